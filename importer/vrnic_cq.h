/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_CQ_H
#define VRNIC_CQ_H

#include <linux/spinlock.h>
#include <linux/types.h>

/** enum vrnic_work_status - how a work request ended */
enum vrnic_work_status {
	/** @VRNIC_ST_SUCCESS: Done. */
	VRNIC_ST_SUCCESS,
	/** @VRNIC_ST_LOC_LEN_ERR: Local ranges do not fit the operation. */
	VRNIC_ST_LOC_LEN_ERR,
	/** @VRNIC_ST_LOC_PROT_ERR: Bad local key, range or right, or revoked. */
	VRNIC_ST_LOC_PROT_ERR,
	/** @VRNIC_ST_REM_ACCESS_ERR: Bad remote key, range or right, or revoked. */
	VRNIC_ST_REM_ACCESS_ERR,
	/** @VRNIC_ST_FLUSHED: Not started: an earlier request of the queue failed. */
	VRNIC_ST_FLUSHED,
	/** @VRNIC_ST_DMA_FAULT: The bus did not resolve an address. */
	VRNIC_ST_DMA_FAULT,
	/** @VRNIC_ST_GENERAL_ERR: The mapping could not be made. */
	VRNIC_ST_GENERAL_ERR,
};

/**
 * struct vrnic_completion - how a work request ended
 */
struct vrnic_completion {
	/** @id: Of the work request. */
	u64 id;
	/** @status: One of &enum vrnic_work_status. */
	u32 status;
	/** @op: Of the work request. */
	u32 op;
	/** @byte_len: Bytes transferred. */
	u64 byte_len;
	/** @result: The checksum, or the old value. */
	u64 result;
};

/**
 * struct vrnic_cq - a completion queue: filled by any number of work queues
 *
 * One at a time takes completions out; whoever has the queue sees to that.
 */
struct vrnic_cq {
	/** @notify: Called after each completion, with no lock held. */
	void (*notify)(struct vrnic_cq *cq);
	/** @mask: Places in @ring, a power of two, less one. */
	u32 mask;
	/** @ring: Completions. */
	struct vrnic_completion *ring;
	/** @lock: Serialises those who add; inside of &vrnic_wq.lock. */
	spinlock_t lock;
	/** @tail: Completions that were added; never wrapped. */
	u32 tail;
	/** @head: Completions that were taken; the taker's. */
	u32 head;
};

int vrnic_cq_init(struct vrnic_cq *cq, u32 depth, void (*notify)(struct vrnic_cq *cq));
void vrnic_cq_fini(struct vrnic_cq *cq);
void vrnic_cq_add(struct vrnic_cq *cq, const struct vrnic_completion *wc);
const struct vrnic_completion *vrnic_cq_peek(struct vrnic_cq *cq, u32 i);
void vrnic_cq_consume(struct vrnic_cq *cq, u32 count);

static inline bool vrnic_cq_is_empty(const struct vrnic_cq *cq)
{
	return READ_ONCE(cq->tail) == READ_ONCE(cq->head);
}

#endif /* VRNIC_CQ_H */
