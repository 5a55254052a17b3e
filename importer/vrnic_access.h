/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_ACCESS_H
#define VRNIC_ACCESS_H

#include <linux/types.h>

#include "vrnic_wq.h"

struct dma_fence;
struct vrnic_mr;

/* Most regions of work that does not wait: of both ends of a transfer. */
#define VRNIC_MAX_HELD		(2 * VRNIC_MAX_RANGES)

/**
 * struct vrnic_need - bytes of a region that one step of work touches
 */
struct vrnic_need {
	/** @mr: The region. */
	struct vrnic_mr *mr;
	/** @pos: First byte, as of &struct vrnic_place. */
	u64 pos;
	/** @len: Bytes. */
	u64 len;
	/** @write: They are written. */
	bool write;
};

/**
 * struct vrnic_access_set - the regions that one step of work touches
 */
struct vrnic_access_set {
	/** @wq: The queue that the work is of. */
	struct vrnic_wq *wq;
	/** @peer: A queue whose end is the work's as well, or NULL. */
	struct vrnic_wq *peer;
	/** @fence: Covers the step for fenced regions, else NULL. */
	struct dma_fence *fence;
	/** @missed: A region whose mapping was not there and had to be made, or NULL. */
	struct vrnic_mr *missed;
	/** @turn: All but the engine was there: its turn is waited for. */
	bool turn;
	/** @cookie: Of the annotation as a path that others wait for. */
	bool cookie;
	/** @nr: 1 or 2; two entries are different regions. */
	unsigned int nr;
	/** @mr: The regions. */
	struct vrnic_mr *mr[2];
	/** @nr_needs: Entries in @need. */
	unsigned int nr_needs;
	/** @need: Which bytes of them. */
	struct vrnic_need need[2];
};

/**
 * struct vrnic_hold - the regions of work that does not wait
 */
struct vrnic_hold {
	/** @cookie: Of the annotation as a path that others wait for. */
	bool cookie;
	/** @nr: Entries in @mr. */
	unsigned int nr;
	/** @mr: The regions; each is there once. */
	struct vrnic_mr *mr[VRNIC_MAX_HELD];
};

/* How long something that ends goes on to wait, and how long if it has waited for long. */
#define VRNIC_STOP_INTERVAL	((long)max(HZ / 50, 1))
#define VRNIC_STOP_SELDOM	(8 * VRNIC_STOP_INTERVAL)

/* Who waits looks at this from time to time. */
static inline bool vrnic_access_is_stopping(const struct vrnic_access_set *set)
{
	return vrnic_wq_is_stopping(set->wq) || (set->peer && vrnic_wq_is_stopping(set->peer));
}

bool vrnic_access_is_ready(const struct vrnic_need *need);
struct vrnic_mr *vrnic_access_find_dead(const struct vrnic_access_set *set);
int vrnic_access_begin(struct vrnic_access_set *set, struct vrnic_mr **culprit);
void vrnic_access_end(struct vrnic_access_set *set);
bool vrnic_access_try(struct vrnic_wq *wq, struct vrnic_hold *hold);
void vrnic_access_release(struct vrnic_hold *hold);

#endif /* VRNIC_ACCESS_H */
