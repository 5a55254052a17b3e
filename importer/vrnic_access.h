/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_ACCESS_H
#define VRNIC_ACCESS_H

#include <linux/types.h>

struct dma_fence;
struct vrnic_mr;

/**
 * struct vrnic_access_set - the regions that one step of work touches
 */
struct vrnic_access_set {
	/** @nr: 1 or 2; two entries are different regions. */
	unsigned int nr;
	/** @mr: The regions. */
	struct vrnic_mr *mr[2];
	/** @fence: Covers the step for fenced regions, else NULL. */
	struct dma_fence *fence;
	/** @cookie: Of the annotation of @fence's signalling path. */
	bool cookie;
};

int vrnic_access_begin(struct vrnic_access_set *set, struct vrnic_mr **culprit);
void vrnic_access_end(struct vrnic_access_set *set);

#endif /* VRNIC_ACCESS_H */
