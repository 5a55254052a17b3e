// SPDX-License-Identifier: GPL-2.0
/* Part of vrnic_move.c: ranges, chunks, lists, and the segments that they fall into. */

#include <kunit/test.h>

static void vrnic_test_range(struct kunit *test)
{
	struct vrnic_mr mr = { .attr.length = SZ_64K };

	KUNIT_EXPECT_TRUE(test, vrnic_mr_holds(&mr, 0, SZ_64K));
	KUNIT_EXPECT_TRUE(test, vrnic_mr_holds(&mr, SZ_64K, 0));
	KUNIT_EXPECT_TRUE(test, vrnic_mr_holds(&mr, SZ_64K - 1, 1));
	KUNIT_EXPECT_FALSE(test, vrnic_mr_holds(&mr, 1, SZ_64K));
	KUNIT_EXPECT_FALSE(test, vrnic_mr_holds(&mr, SZ_64K, 1));
	KUNIT_EXPECT_FALSE(test, vrnic_mr_holds(&mr, U64_MAX, 1));
	KUNIT_EXPECT_FALSE(test, vrnic_mr_holds(&mr, 1, U64_MAX));
}

static void vrnic_test_iova(struct kunit *test)
{
	struct vrnic_mr mr = { .attr = { .length = SZ_64K, .offset = 100, .iova = SZ_1M } };
	struct vrnic_mr top = { .attr = { .length = SZ_64K, .iova = 0ULL - SZ_64K } };

	KUNIT_EXPECT_TRUE(test, vrnic_mr_holds(&mr, SZ_1M, SZ_64K));
	KUNIT_EXPECT_TRUE(test, vrnic_mr_holds(&mr, SZ_1M + SZ_64K - 1, 1));
	KUNIT_EXPECT_FALSE(test, vrnic_mr_holds(&mr, SZ_1M - 1, 1));
	KUNIT_EXPECT_FALSE(test, vrnic_mr_holds(&mr, SZ_1M - 1, SZ_64K));
	KUNIT_EXPECT_FALSE(test, vrnic_mr_holds(&mr, SZ_1M, SZ_64K + 1));
	KUNIT_EXPECT_FALSE(test, vrnic_mr_holds(&mr, 0, 1));
	KUNIT_EXPECT_FALSE(test, vrnic_mr_holds(&mr, 0, SZ_1M + 1));
	/* Up to the last address that there is. */
	KUNIT_EXPECT_TRUE(test, vrnic_mr_holds(&top, 0ULL - SZ_64K, SZ_64K));
	KUNIT_EXPECT_TRUE(test, vrnic_mr_holds(&top, U64_MAX, 1));
	KUNIT_EXPECT_FALSE(test, vrnic_mr_holds(&top, U64_MAX, 2));
	KUNIT_EXPECT_FALSE(test, vrnic_mr_holds(&top, 0, 1));
}

static void vrnic_test_chunk(struct kunit *test)
{
	struct vrnic_engine_ops narrow = { .max_chunk = 4088 }, wide = {};

	KUNIT_EXPECT_EQ(test, vrnic_chunk_of(&wide, 1), 1);
	KUNIT_EXPECT_EQ(test, vrnic_chunk_of(&wide, vrnic_chunk), vrnic_chunk);
	KUNIT_EXPECT_EQ(test, vrnic_chunk_of(&wide, vrnic_chunk + 1ULL), vrnic_chunk);
	KUNIT_EXPECT_EQ(test, vrnic_chunk_of(&wide, U64_MAX), vrnic_chunk);
	KUNIT_EXPECT_EQ(test, vrnic_chunk_of(&narrow, 4088), 4088);
	KUNIT_EXPECT_EQ(test, vrnic_chunk_of(&narrow, 4089), 4088);
}

/* Pieces are used up from the front, also those of no length. */
static void vrnic_test_list(struct kunit *test)
{
	struct vrnic_mr mr = { .attr = { .length = SZ_64K, .offset = 100, .iova = SZ_1M } };
	struct vrnic_list list = {};

	vrnic_list_add(&list, &mr, SZ_1M + 10, 0);
	vrnic_list_add(&list, &mr, SZ_1M, 7);
	vrnic_list_add(&list, &mr, SZ_1M + 100, 0);
	vrnic_list_add(&list, &mr, SZ_1M + 200, 5);
	KUNIT_EXPECT_EQ(test, list.len, 12);
	KUNIT_EXPECT_EQ(test, vrnic_list_first(&list)->pos, 100);
	vrnic_list_skip(&list, 6);
	KUNIT_EXPECT_EQ(test, vrnic_list_first(&list)->pos, 106);
	KUNIT_EXPECT_EQ(test, vrnic_list_first(&list)->len, 1);
	vrnic_list_skip(&list, 2);
	KUNIT_EXPECT_EQ(test, vrnic_list_first(&list)->pos, 301);
	KUNIT_EXPECT_EQ(test, vrnic_list_first(&list)->len, 4);
	vrnic_list_skip(&list, 4);
	KUNIT_EXPECT_EQ(test, list.len, 12);
	KUNIT_EXPECT_NULL(test, vrnic_list_find_dead(&list));
	mr.dead = true;
	KUNIT_EXPECT_PTR_EQ(test, vrnic_list_find_dead(&list), &mr);
}

static struct vrnic_segment *vrnic_test_find_at(const struct vrnic_mapping *map, u64 pos)
{
	struct vrnic_segment run;

	return vrnic_find_segment(map, pos, 1, &run);
}

static void vrnic_test_find(struct kunit *test)
{
	struct vrnic_segment seg[] = {
		{ .addr = 0x7000, .start = 0, .len = SZ_4K },
		{ .addr = 0x1000, .start = SZ_4K, .len = SZ_16K },
		{ .addr = 0xf0000, .start = SZ_4K + SZ_16K, .len = SZ_4K },
	};
	struct vrnic_mapping map = { .nr = ARRAY_SIZE(seg), .seg = seg };

	KUNIT_EXPECT_PTR_EQ(test, vrnic_test_find_at(&map, 0), &seg[0]);
	KUNIT_EXPECT_PTR_EQ(test, vrnic_test_find_at(&map, SZ_4K - 1), &seg[0]);
	KUNIT_EXPECT_PTR_EQ(test, vrnic_test_find_at(&map, SZ_4K), &seg[1]);
	KUNIT_EXPECT_PTR_EQ(test, vrnic_test_find_at(&map, SZ_4K + SZ_16K - 1), &seg[1]);
	KUNIT_EXPECT_PTR_EQ(test, vrnic_test_find_at(&map, SZ_4K + SZ_16K), &seg[2]);
	KUNIT_EXPECT_PTR_EQ(test, vrnic_test_find_at(&map, 2 * SZ_4K + SZ_16K - 1), &seg[2]);
}

static void vrnic_test_find_run(struct kunit *test)
{
	dma_addr_t page[] = { 0x10000, 0x11000, 0, 0x12000, 0x13000, 0x30000 };
	struct vrnic_mapping map = { .nr = ARRAY_SIZE(page), .page = page };
	struct vrnic_segment run;

	/* Neighbours are one, as far as they are of interest; what is not there is none. */
	KUNIT_EXPECT_PTR_EQ(test, vrnic_find_segment(&map, 8, SZ_16K, &run), &run);
	KUNIT_EXPECT_EQ(test, run.addr, 0x10000);
	KUNIT_EXPECT_EQ(test, run.start, 0);
	KUNIT_EXPECT_EQ(test, run.len, 2 * SZ_4K);
	vrnic_find_segment(&map, 8, SZ_4K - 8, &run);
	KUNIT_EXPECT_EQ(test, run.len, SZ_4K);
	vrnic_find_segment(&map, 3 * SZ_4K, 3 * SZ_4K, &run);
	KUNIT_EXPECT_EQ(test, run.addr, 0x12000);
	KUNIT_EXPECT_EQ(test, run.start, 3 * SZ_4K);
	KUNIT_EXPECT_EQ(test, run.len, 2 * SZ_4K);
	vrnic_find_segment(&map, 6 * SZ_4K - 1, 1, &run);
	KUNIT_EXPECT_EQ(test, run.addr, 0x30000);
	KUNIT_EXPECT_EQ(test, run.len, SZ_4K);
}

static struct kunit_case vrnic_move_cases[] = {
	KUNIT_CASE(vrnic_test_range),
	KUNIT_CASE(vrnic_test_iova),
	KUNIT_CASE(vrnic_test_chunk),
	KUNIT_CASE(vrnic_test_list),
	KUNIT_CASE(vrnic_test_find),
	KUNIT_CASE(vrnic_test_find_run),
	{}
};

static struct kunit_suite vrnic_move_suite = {
	.name = "vrnic_move",
	.test_cases = vrnic_move_cases,
};

kunit_test_suite(vrnic_move_suite);
