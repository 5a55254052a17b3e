// SPDX-License-Identifier: GPL-2.0
/* Part of vvram_vram_soft.c: the tables made of pieces. */

#include <kunit/device.h>
#include <kunit/test.h>

#include "vvram_kunit.h"

/* The length of an entry has 32 bits. */
#define VVRAM_TEST_MAX	ALIGN_DOWN(UINT_MAX, PAGE_SIZE)

static void vvram_test_count(struct kunit *test)
{
	static const struct vvram_segment seg[] = {
		{ .size = SZ_4K }, { .size = VVRAM_TEST_MAX }, { .size = VVRAM_TEST_MAX + SZ_4K },
		{ .size = 3 * (u64)VVRAM_TEST_MAX },
	};
	static const unsigned int want[] = { 1, 1, 2, 3 };
	struct vvram_segments *segs;
	unsigned int i, sum = 0;

	for (i = 0; i < ARRAY_SIZE(seg); i++) {
		segs = vvram_test_segments(test, &seg[i], 1);
		KUNIT_EXPECT_EQ(test, vvram_soft_count_sg(segs, VVRAM_TEST_MAX), want[i]);
		sum += want[i];
		vvram_segments_put(segs);
	}
	segs = vvram_test_segments(test, seg, ARRAY_SIZE(seg));
	KUNIT_EXPECT_EQ(test, vvram_soft_count_sg(segs, VVRAM_TEST_MAX), sum);
	vvram_segments_put(segs);
}

static void vvram_test_table(struct kunit *test)
{
	static const struct vvram_segment seg[] = {
		{ .offset = SZ_16K, .size = SZ_8K }, { .offset = 0, .size = SZ_4K },
	};
	struct vvram_segments *segs = vvram_test_segments(test, seg, ARRAY_SIZE(seg));
	struct device *dev = kunit_device_register(test, "vvram-kunit");
	unsigned long pages = __get_free_pages(GFP_KERNEL, 3);
	struct vvram_vram vram = {};
	static u64 mask = DMA_BIT_MASK(64);
	struct scatterlist *sg;
	struct sg_table *sgt;
	unsigned int i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	KUNIT_ASSERT_NE(test, pages, 0);
	vram.base = virt_to_phys((void *)pages);
	dev->dma_mask = &mask;

	sgt = vvram_soft_map_dma(&vram, dev, segs, VVRAM_TEST_MAX, DMA_BIDIRECTIONAL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sgt);
	KUNIT_EXPECT_EQ(test, sgt->nents, ARRAY_SIZE(seg));
	KUNIT_EXPECT_EQ(test, sgt->orig_nents, 0);
	for_each_sgtable_dma_sg(sgt, sg, i) {
		KUNIT_EXPECT_EQ(test, sg_dma_address(sg), vram.base + seg[i].offset);
		KUNIT_EXPECT_EQ(test, sg_dma_len(sg), seg[i].size);
		KUNIT_EXPECT_NULL(test, sg_page(sg));
	}
	sgt->orig_nents = sgt->nents;
	vvram_soft_unmap_dma(dev, sgt, sgt->nents, DMA_BIDIRECTIONAL);

	dev->dma_mask = NULL;
	free_pages(pages, 3);
	vvram_segments_put(segs);
}

static struct kunit_case vvram_vram_soft_cases[] = {
	KUNIT_CASE(vvram_test_count),
	KUNIT_CASE(vvram_test_table),
	{}
};

static struct kunit_suite vvram_vram_soft_suite = {
	.name = "vvram_vram_soft",
	.test_cases = vvram_vram_soft_cases,
};

kunit_test_suite(vvram_vram_soft_suite);
