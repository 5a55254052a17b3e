// SPDX-License-Identifier: GPL-2.0
/* Part of vvram_copy.c: how a copy is cut into parts and spans. */

#include <kunit/test.h>

/* The parts cover every byte once, and begin at pages. */
static void vvram_test_parts(struct kunit *test)
{
	static const u64 sizes[] = {
		SZ_4K, SZ_2M - SZ_4K, SZ_2M, SZ_2M + SZ_4K, 2 * SZ_2M, 3 * SZ_2M + SZ_4K,
		SZ_64M + 3 * SZ_4K, 5ULL * SZ_1G + SZ_4K,
	};
	struct vvram_copy_job *job;
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct vvram_copy copy = { .size = sizes[i] };
		u64 at = 0;

		job = vvram_copy_job_alloc(NULL, &copy);
		KUNIT_ASSERT_NOT_NULL(test, job);
		KUNIT_EXPECT_LE(test, job->nr_parts, vvram_copy_capacity());
		if (sizes[i] < 2 * VVRAM_COPY_PART)
			KUNIT_EXPECT_EQ(test, job->nr_parts, 1);
		for (k = 0; k < job->nr_parts; k++) {
			KUNIT_EXPECT_EQ(test, job->part[k].start, at);
			KUNIT_EXPECT_GT(test, job->part[k].end, at);
			at = job->part[k].end;
		}
		KUNIT_EXPECT_EQ(test, at, sizes[i]);
		kfree(job);
	}
}

/* Pages that follow each other are one span, from any byte on. */
static void vvram_test_spans(struct kunit *test)
{
	unsigned long block = __get_free_pages(GFP_KERNEL, 2), single = __get_free_page(GFP_KERNEL);
	struct page *first, *pages[4];
	struct iosys_map map;

	KUNIT_ASSERT_TRUE(test, block && single);
	first = virt_to_page((void *)block);
	pages[0] = first;
	pages[1] = first + 1;
	pages[2] = virt_to_page((void *)single);
	pages[3] = first + 3;

	KUNIT_EXPECT_EQ(test, vvram_copy_map_pages(pages, 0, 4 * PAGE_SIZE, &map), 2 * PAGE_SIZE);
	KUNIT_EXPECT_PTR_EQ(test, map.vaddr, (void *)block);
	KUNIT_EXPECT_EQ(test, vvram_copy_map_pages(pages, 100, PAGE_SIZE, &map), PAGE_SIZE);
	KUNIT_EXPECT_PTR_EQ(test, map.vaddr, (void *)(block + 100));
	KUNIT_EXPECT_EQ(test, vvram_copy_map_pages(pages, PAGE_SIZE + 8, 3 * PAGE_SIZE - 8, &map),
			PAGE_SIZE - 8);
	KUNIT_EXPECT_EQ(test, vvram_copy_map_pages(pages, 2 * PAGE_SIZE, 2 * PAGE_SIZE, &map),
			PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, vvram_copy_map_pages(pages, 3 * PAGE_SIZE, PAGE_SIZE, &map),
			PAGE_SIZE);

	free_page(single);
	free_pages(block, 2);
}

static struct kunit_case vvram_copy_cases[] = {
	KUNIT_CASE(vvram_test_parts),
	KUNIT_CASE(vvram_test_spans),
	{}
};

static struct kunit_suite vvram_copy_suite = {
	.name = "vvram_copy",
	.test_cases = vvram_copy_cases,
};

kunit_test_suite(vvram_copy_suite);
