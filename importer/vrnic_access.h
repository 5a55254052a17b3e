/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_ACCESS_H
#define VRNIC_ACCESS_H

#include <linux/types.h>

struct dma_fence;
struct vrnic_mr;
struct vrnic_wq;

/**
 * struct vrnic_access_set - the regions that one step of work touches
 */
struct vrnic_access_set {
	/** @wq: The queue that the work is of. */
	struct vrnic_wq *wq;
	/** @fence: Covers the step for fenced regions, else NULL. */
	struct dma_fence *fence;
	/** @missed: A region whose mapping was not there and had to be made, or NULL. */
	struct vrnic_mr *missed;
	/** @cookie: Of the annotation as a path that others wait for. */
	bool cookie;
	/** @nr: 1 or 2; two entries are different regions. */
	unsigned int nr;
	/** @mr: The regions. */
	struct vrnic_mr *mr[2];
};

int vrnic_access_begin(struct vrnic_access_set *set, struct vrnic_mr **culprit);
void vrnic_access_end(struct vrnic_access_set *set);

#endif /* VRNIC_ACCESS_H */
