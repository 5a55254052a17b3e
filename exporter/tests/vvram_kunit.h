/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_KUNIT_H
#define VVRAM_KUNIT_H

#include <kunit/test.h>

#include "../vvram_segments.h"

static inline struct vvram_segments *
vvram_test_segments(struct kunit *test, const struct vvram_segment *seg, unsigned int count)
{
	struct vvram_segments *segs = vvram_segments_alloc(count);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, segs);
	for (i = 0; i < count; i++)
		vvram_segments_append(segs, seg[i].offset, seg[i].size);
	return segs;
}

#endif /* VVRAM_KUNIT_H */
