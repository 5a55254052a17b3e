// SPDX-License-Identifier: GPL-2.0
/* Part of vvram_segments.c: pieces of VRAM. */

#include <kunit/test.h>

#include "vvram_kunit.h"

static void vvram_test_find(struct kunit *test)
{
	static const struct vvram_segment seg[] = {
		{ .offset = SZ_1M, .size = SZ_4K },
		{ .offset = 0, .size = SZ_64K },
		{ .offset = SZ_2M, .size = SZ_8K },
	};
	static const struct {
		u64 byte;
		int piece;
		u64 within;
	} table[] = {
		{ 0, 0, 0 }, { SZ_4K - 1, 0, SZ_4K - 1 }, { SZ_4K, 1, 0 },
		{ SZ_4K + SZ_64K - 1, 1, SZ_64K - 1 }, { SZ_4K + SZ_64K, 2, 0 },
		{ SZ_4K + SZ_64K + SZ_8K - 1, 2, SZ_8K - 1 },
		{ SZ_4K + SZ_64K + SZ_8K, -1, 0 }, { U64_MAX, -1, 0 },
	};
	struct vvram_segments *segs = vvram_test_segments(test, seg, ARRAY_SIZE(seg));
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		u64 offset = table[i].byte;
		const struct vvram_segment *found = vvram_segments_find(segs, &offset);

		if (table[i].piece < 0) {
			KUNIT_EXPECT_NULL(test, found);
			continue;
		}
		KUNIT_EXPECT_PTR_EQ(test, found, &segs->seg[table[i].piece]);
		KUNIT_EXPECT_EQ(test, offset, table[i].within);
	}
	vvram_segments_put(segs);
}

/* Each piece is looked at once, wherever the walk begins and however long its steps are. */
static void vvram_test_cursor(struct kunit *test)
{
	static const u64 steps[] = { SZ_64K, SZ_4K, 24, 8 };
	struct vvram_segments *segs = vvram_segments_alloc(64);
	struct vvram_cursor cursor;
	u64 at, left, here, begin;
	unsigned int i, k;

	KUNIT_ASSERT_NOT_NULL(test, segs);
	for (i = 0; i < 64; i++)
		vvram_segments_append(segs, (u64)(64 - i) * SZ_64K, SZ_4K * (1 + i % 2));
	for (k = 0; k < ARRAY_SIZE(steps); k++) {
		begin = k * (SZ_8K + 8);
		vvram_cursor_init(&cursor, segs, begin);
		KUNIT_EXPECT_LE(test, cursor.visited, 7);
		cursor.visited = 0;
		for (at = begin; at < 96 * SZ_4K; at += left) {
			u64 within = at;
			const struct vvram_segment *seg = vvram_segments_find(segs, &within);

			left = min(vvram_cursor_here(&cursor, &here), steps[k]);
			KUNIT_ASSERT_EQ(test, here, seg->offset + within);
			KUNIT_ASSERT_LE(test, within + left, seg->size);
			vvram_cursor_advance(&cursor, left);
		}
		KUNIT_EXPECT_EQ(test, at, 96 * SZ_4K);
		KUNIT_EXPECT_LE(test, cursor.visited, 63);
	}
	vvram_segments_put(segs);
}

/* A single look-up bisects: faults of a scattered buffer come page by page. */
static void vvram_test_search(struct kunit *test)
{
	const unsigned int count = 1 << 14;
	struct vvram_segments *segs = vvram_segments_alloc(count);
	unsigned int i, visited, most = 0;

	KUNIT_ASSERT_NOT_NULL(test, segs);
	for (i = 0; i < count; i++)
		vvram_segments_append(segs, (u64)(count - i) * SZ_8K, SZ_4K);
	for (i = 0; i < count; i++) {
		visited = 0;
		KUNIT_ASSERT_EQ(test, vvram_segments_search(segs, i * SZ_4K + 8, &visited), i);
		most = max(most, visited);
	}
	KUNIT_EXPECT_LE(test, most, 14);
	vvram_segments_put(segs);
}

static struct kunit_case vvram_segments_cases[] = {
	KUNIT_CASE(vvram_test_find),
	KUNIT_CASE(vvram_test_cursor),
	KUNIT_CASE(vvram_test_search),
	{}
};

static struct kunit_suite vvram_segments_suite = {
	.name = "vvram_segments",
	.test_cases = vvram_segments_cases,
};

kunit_test_suite(vvram_segments_suite);
