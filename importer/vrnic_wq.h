/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_WQ_H
#define VRNIC_WQ_H

#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "vrnic_core.h"

struct vrnic_cq;
struct vrnic_dma_engine;
struct vrnic_exec;

/* Most ranges of a work request. */
#define VRNIC_MAX_RANGES	16

/** enum vrnic_work_op - what a work request does */
enum vrnic_work_op {
	/** @VRNIC_WORK_WRITE: Gather the local ranges into the remote one. */
	VRNIC_WORK_WRITE,
	/** @VRNIC_WORK_READ: Scatter the remote range to the local ones. */
	VRNIC_WORK_READ,
	/** @VRNIC_WORK_FETCH_ADD: Add to 8 remote bytes; the old value goes to the local 8. */
	VRNIC_WORK_FETCH_ADD,
	/** @VRNIC_WORK_COMPARE_SWAP: Exchange 8 remote bytes if they are as expected. */
	VRNIC_WORK_COMPARE_SWAP,
	/** @VRNIC_WORK_FILL: Repeat 8 bytes over the remote range. */
	VRNIC_WORK_FILL,
	/** @VRNIC_WORK_CRC32C: Checksum of the remote range. */
	VRNIC_WORK_CRC32C,
};

/**
 * struct vrnic_range - a range of a region
 */
struct vrnic_range {
	/** @addr: First byte. */
	u64 addr;
	/** @length: Bytes. */
	u32 length;
	/** @lkey: The region's local key. */
	u32 lkey;
};

/**
 * struct vrnic_work - a work request
 */
struct vrnic_work {
	/** @id: The client's; comes back in the completion. */
	u64 id;
	/** @op: One of &enum vrnic_work_op. */
	u32 op;
	/** @rkey: The remote region's key. */
	u32 rkey;
	/** @remote_addr: First byte there. */
	u64 remote_addr;
	/** @remote_length: Bytes of an operation without local ranges, else 0. */
	u64 remote_length;
	/** @operand: To be added, expected, repeated, or the seed. */
	u64 operand;
	/** @swap: What takes the place of the value that was expected. */
	u64 swap;
	/** @nr_ranges: Entries in @range. */
	u32 nr_ranges;
	/** @range: Local ranges. */
	struct vrnic_range range[];
};

/**
 * struct vrnic_wq_attr - what a work queue is to be
 */
struct vrnic_wq_attr {
	/** @pd: Whose keys are good. */
	struct vrnic_pd *pd;
	/** @engine: Moves the bytes; opened by vrnic_wq_init(). */
	struct vrnic_dma_engine *engine;
	/** @cq: Gets the completions. */
	struct vrnic_cq *cq;
	/** @id: Its name in trace events. */
	u32 id;
	/** @depth: Most requests that are posted and not yet retired. */
	u32 depth;
	/** @max_ranges: Most local ranges of a request. */
	u32 max_ranges;
};

/**
 * struct vrnic_wq - a work queue: work requests go in, run in order, and complete
 *
 * One at a time posts, and one at a time retires; whoever has the queue sees to that.
 * Posting allocates nothing: requests are filled in where they are run from.
 */
struct vrnic_wq {
	/** @attr: As made. */
	struct vrnic_wq_attr attr;
	/** @fence_context: Timeline of its fences. */
	u64 fence_context;
	/** @fence_seqno: Last point on it; the worker's. */
	u64 fence_seqno;
	/** @run: Executes what is pending. */
	struct work_struct run;
	/** @mask: Places in @ring, a power of two, less one. */
	u32 mask;
	/** @stride: Bytes of a place. */
	u32 stride;
	/** @ring: Requests, and a place for one that there is no room for. */
	void *ring;
	/** @exec: What they run with; the worker's. */
	struct vrnic_exec *exec;
	/** @room: Of the batch that is being prepared; the poster's. */
	u32 room;
	/** @retired: Requests whose places are free again; never wrapped. */
	u32 retired;

	/** @lock: Protects all below. */
	spinlock_t lock;
	/** @tail: Requests that were posted; never wrapped. */
	u32 tail;
	/** @head: Requests that have completed; never wrapped. */
	u32 head;
	/** @running: A worker is on its way or at it, and looks once more. */
	bool running;
	/** @error: A request failed: those behind it are flushed. */
	bool error;
	/** @dead: Stopped: nothing is posted or started any more. */
	bool dead;
};

int vrnic_wq_init(struct vrnic_wq *wq, const struct vrnic_wq_attr *attr);
void vrnic_wq_kill(struct vrnic_wq *wq);
void vrnic_wq_stop(struct vrnic_wq *wq);
void vrnic_wq_fini(struct vrnic_wq *wq);
struct vrnic_work *vrnic_wq_prepare(struct vrnic_wq *wq, u32 n, const struct vrnic_work *head);
int vrnic_wq_post(struct vrnic_wq *wq, u32 count);
void vrnic_wq_retire(struct vrnic_wq *wq, u32 count);
bool vrnic_wq_try_reset(struct vrnic_wq *wq);

/* Nothing more of it is to be started, and what runs is to end early. */
static inline bool vrnic_wq_is_stopping(const struct vrnic_wq *wq)
{
	return READ_ONCE(wq->dead) || READ_ONCE(wq->attr.pd->vdev->gone);
}

#endif /* VRNIC_WQ_H */
