// SPDX-License-Identifier: GPL-2.0
/* Part of vrnic_exec.c: ranges, chunks, and the segments that they fall into. */

#include <kunit/test.h>

static void vrnic_test_range(struct kunit *test)
{
	struct vrnic_mr mr = { .attr.length = SZ_64K };

	KUNIT_EXPECT_TRUE(test, vrnic_range_ok(&mr, 0, SZ_64K));
	KUNIT_EXPECT_TRUE(test, vrnic_range_ok(&mr, SZ_64K, 0));
	KUNIT_EXPECT_TRUE(test, vrnic_range_ok(&mr, SZ_64K - 1, 1));
	KUNIT_EXPECT_FALSE(test, vrnic_range_ok(&mr, 1, SZ_64K));
	KUNIT_EXPECT_FALSE(test, vrnic_range_ok(&mr, SZ_64K, 1));
	KUNIT_EXPECT_FALSE(test, vrnic_range_ok(&mr, U64_MAX, 1));
	KUNIT_EXPECT_FALSE(test, vrnic_range_ok(&mr, 1, U64_MAX));
}

static void vrnic_test_chunk(struct kunit *test)
{
	struct vrnic_engine_ops narrow = { .max_chunk = 4088 }, wide = {};
	struct vrnic_wq wq = { .engine = &wide };
	struct vrnic_exec ex = { .wq = &wq };

	KUNIT_EXPECT_EQ(test, vrnic_chunk_of(&ex, 1), 1);
	KUNIT_EXPECT_EQ(test, vrnic_chunk_of(&ex, vrnic_chunk), vrnic_chunk);
	KUNIT_EXPECT_EQ(test, vrnic_chunk_of(&ex, vrnic_chunk + 1ULL), vrnic_chunk);
	KUNIT_EXPECT_EQ(test, vrnic_chunk_of(&ex, U64_MAX), vrnic_chunk);
	wq.engine = &narrow;
	KUNIT_EXPECT_EQ(test, vrnic_chunk_of(&ex, 4088), 4088);
	KUNIT_EXPECT_EQ(test, vrnic_chunk_of(&ex, 4089), 4088);
}

static void vrnic_test_find(struct kunit *test)
{
	struct vrnic_segment seg[] = {
		{ .addr = 0x7000, .start = 0, .len = SZ_4K },
		{ .addr = 0x1000, .start = SZ_4K, .len = SZ_16K },
		{ .addr = 0xf0000, .start = SZ_4K + SZ_16K, .len = SZ_4K },
	};
	struct vrnic_mapping map = { .nr = ARRAY_SIZE(seg), .seg = seg };

	KUNIT_EXPECT_PTR_EQ(test, vrnic_find_segment(&map, 0), &seg[0]);
	KUNIT_EXPECT_PTR_EQ(test, vrnic_find_segment(&map, SZ_4K - 1), &seg[0]);
	KUNIT_EXPECT_PTR_EQ(test, vrnic_find_segment(&map, SZ_4K), &seg[1]);
	KUNIT_EXPECT_PTR_EQ(test, vrnic_find_segment(&map, SZ_4K + SZ_16K - 1), &seg[1]);
	KUNIT_EXPECT_PTR_EQ(test, vrnic_find_segment(&map, SZ_4K + SZ_16K), &seg[2]);
	KUNIT_EXPECT_PTR_EQ(test, vrnic_find_segment(&map, 2 * SZ_4K + SZ_16K - 1), &seg[2]);
}

static struct kunit_case vrnic_exec_cases[] = {
	KUNIT_CASE(vrnic_test_range),
	KUNIT_CASE(vrnic_test_chunk),
	KUNIT_CASE(vrnic_test_find),
	{}
};

static struct kunit_suite vrnic_exec_suite = {
	.name = "vrnic_exec",
	.test_cases = vrnic_exec_cases,
};

kunit_test_suite(vrnic_exec_suite);
