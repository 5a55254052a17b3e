// SPDX-License-Identifier: GPL-2.0
/* Part of vvram_vram_mgr.c: blocks of the allocator become pieces of a buffer. */

#include <kunit/test.h>

#define VVRAM_TEST_SIZE	SZ_16M

static int vvram_mgr_test_init(struct kunit *test)
{
	struct vvram_vram_mgr *mgr = kunit_kzalloc(test, sizeof(*mgr), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, mgr);
	mutex_init(&mgr->lock);
	vvram_quarantine_init(mgr);
	KUNIT_ASSERT_EQ(test, gpu_buddy_init(&mgr->mm, VVRAM_TEST_SIZE, PAGE_SIZE), 0);
	test->priv = mgr;
	return 0;
}

static void vvram_mgr_test_exit(struct kunit *test)
{
	struct vvram_vram_mgr *mgr = test->priv;

	gpu_buddy_fini(&mgr->mm);
}

/* Allocates, checks what holds for every buffer, and leaves the pieces to the caller. */
static struct vvram_segments *vvram_mgr_test_alloc(struct kunit *test, u64 size,
						   bool contiguous, struct list_head *blocks)
{
	struct vvram_vram_mgr *mgr = test->priv;
	struct vvram_segments *segs;
	unsigned int i;
	u64 sum = 0;

	KUNIT_ASSERT_EQ(test, vvram_vram_mgr_alloc_blocks(mgr, size, contiguous, blocks), 0);
	segs = vvram_vram_mgr_segments(mgr, blocks, contiguous, size);
	KUNIT_ASSERT_NOT_NULL(test, segs);
	for (i = 0; i < segs->count; i++) {
		KUNIT_EXPECT_TRUE(test, PAGE_ALIGNED(segs->seg[i].offset));
		KUNIT_EXPECT_LE(test, segs->seg[i].offset + segs->seg[i].size, VVRAM_TEST_SIZE);
		sum += segs->seg[i].size;
	}
	KUNIT_EXPECT_EQ(test, sum, size);
	return segs;
}

static void vvram_mgr_test_free(struct kunit *test, struct vvram_segments *segs,
				struct list_head *blocks)
{
	struct vvram_vram_mgr *mgr = test->priv;

	mutex_lock(&mgr->lock);
	gpu_buddy_free_list(&mgr->mm, blocks, 0);
	mutex_unlock(&mgr->lock);
	vvram_segments_put(segs);
}

/* Neighbours become one piece: importers get few entries. */
static void vvram_test_merge(struct kunit *test)
{
	static const u64 sizes[] = { SZ_4K, 3 * SZ_4K, SZ_1M + SZ_4K, VVRAM_TEST_SIZE };
	struct vvram_segments *segs;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		LIST_HEAD(blocks);

		segs = vvram_mgr_test_alloc(test, sizes[i], true, &blocks);
		KUNIT_EXPECT_EQ(test, segs->count, 1);
		vvram_mgr_test_free(test, segs, &blocks);
	}
}

static void vvram_test_scatter(struct kunit *test)
{
	struct vvram_vram_mgr *mgr = test->priv;
	struct vvram_segments *segs;
	LIST_HEAD(blocks);
	unsigned int i;

	mgr->max_chunk = SZ_64K;
	segs = vvram_mgr_test_alloc(test, SZ_1M + SZ_4K, false, &blocks);
	KUNIT_EXPECT_GE(test, segs->count, 17);
	for (i = 0; i < segs->count; i++)
		KUNIT_EXPECT_LE(test, segs->seg[i].size, SZ_64K);
	for (i = 1; i < segs->count; i++)
		KUNIT_EXPECT_NE(test, segs->seg[i - 1].offset + segs->seg[i - 1].size,
				segs->seg[i].offset);
	vvram_mgr_test_free(test, segs, &blocks);
}

static void vvram_test_full(struct kunit *test)
{
	struct vvram_vram_mgr *mgr = test->priv;
	struct vvram_segments *segs;
	LIST_HEAD(blocks);
	LIST_HEAD(more);

	mgr->max_chunk = SZ_64K;
	segs = vvram_mgr_test_alloc(test, VVRAM_TEST_SIZE, false, &blocks);
	KUNIT_EXPECT_EQ(test, vvram_vram_mgr_alloc_blocks(mgr, SZ_4K, false, &more), -ENOSPC);
	KUNIT_EXPECT_TRUE(test, list_empty(&more));
	vvram_mgr_test_free(test, segs, &blocks);

	/* Nothing of a failed attempt stays behind. */
	segs = vvram_mgr_test_alloc(test, VVRAM_TEST_SIZE - SZ_4K, false, &blocks);
	KUNIT_EXPECT_EQ(test, vvram_vram_mgr_alloc_blocks(mgr, SZ_64K, false, &more), -ENOSPC);
	vvram_mgr_test_free(test, segs, &blocks);
	segs = vvram_mgr_test_alloc(test, VVRAM_TEST_SIZE, true, &blocks);
	vvram_mgr_test_free(test, segs, &blocks);
}

static struct kunit_case vvram_vram_mgr_cases[] = {
	KUNIT_CASE(vvram_test_merge),
	KUNIT_CASE(vvram_test_scatter),
	KUNIT_CASE(vvram_test_full),
	{}
};

static struct kunit_suite vvram_vram_mgr_suite = {
	.name = "vvram_vram_mgr",
	.init = vvram_mgr_test_init,
	.exit = vvram_mgr_test_exit,
	.test_cases = vvram_vram_mgr_cases,
};

kunit_test_suite(vvram_vram_mgr_suite);
