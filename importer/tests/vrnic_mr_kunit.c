// SPDX-License-Identifier: GPL-2.0
/* Part of vrnic_mr.c: keys, and the addresses of a table. */

#include <kunit/device.h>
#include <kunit/test.h>

#include <linux/dma-mapping.h>
#include <linux/scatterlist.h>

static void vrnic_test_keys(struct kunit *test)
{
	static const u32 indexes[] = { 1, 2, 255, 4095 };
	unsigned int i, n, differ = 0;
	u32 key, last = 0;

	for (i = 0; i < ARRAY_SIZE(indexes); i++) {
		for (n = 0; n < 100; n++) {
			key = vrnic_make_key(indexes[i]);
			KUNIT_EXPECT_EQ(test, key >> VRNIC_KEY_INDEX_SHIFT, indexes[i]);
			KUNIT_EXPECT_EQ(test, key & GENMASK(7, 0), 0);
			differ += key != last;
			last = key;
		}
	}
	/* Not to be guessed from the last one. */
	KUNIT_EXPECT_GT(test, differ, 380);
}

static void vrnic_test_mapping(struct kunit *test)
{
	struct device *dev = kunit_device_register(test, "vrnic-kunit");
	unsigned long pages = __get_free_pages(GFP_KERNEL, 2);
	struct vrnic_mapping map = {};
	struct scatterlist *sg;
	struct sg_table sgt;
	unsigned int i;
	u64 start = 0;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	KUNIT_ASSERT_NE(test, pages, 0);
	KUNIT_ASSERT_EQ(test, sg_alloc_table(&sgt, 3, GFP_KERNEL), 0);
	for_each_sgtable_sg(&sgt, sg, i) {
		sg_dma_address(sg) = virt_to_phys((void *)pages) + (2 - i) * PAGE_SIZE;
		sg_dma_len(sg) = PAGE_SIZE;
	}

	KUNIT_ASSERT_EQ(test, vrnic_mapping_set(&map, dev, &sgt), 0);
	KUNIT_EXPECT_EQ(test, map.nr, 3);
	for (i = 0; i < map.nr; i++) {
		KUNIT_EXPECT_EQ(test, map.seg[i].start, start);
		KUNIT_EXPECT_EQ(test, map.seg[i].addr,
				virt_to_phys((void *)pages) + (2 - i) * PAGE_SIZE);
		start += map.seg[i].len;
	}
	KUNIT_EXPECT_EQ(test, start, 3 * PAGE_SIZE);
	vrnic_mapping_clear(&map);
	KUNIT_EXPECT_EQ(test, map.nr, 0);
	sg_free_table(&sgt);
	free_pages(pages, 2);
}

static struct kunit_case vrnic_mr_cases[] = {
	KUNIT_CASE(vrnic_test_keys),
	KUNIT_CASE(vrnic_test_mapping),
	{}
};

static struct kunit_suite vrnic_mr_suite = {
	.name = "vrnic_mr",
	.test_cases = vrnic_mr_cases,
};

kunit_test_suite(vrnic_mr_suite);
