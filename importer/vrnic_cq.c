// SPDX-License-Identifier: GPL-2.0
/*
 * Completion queues: rings that work queues fill, and a client empties.
 */

#include <linux/bug.h>
#include <linux/cleanup.h>
#include <linux/log2.h>
#include <linux/slab.h>

#include "vrnic_cq.h"

/**
 * vrnic_cq_init() - make a completion queue
 * @cq: zeroed memory for it
 * @depth: completions that it has room for
 * @notify: called after each completion, with no lock held
 *
 * Return: 0 or -ENOMEM.
 */
int vrnic_cq_init(struct vrnic_cq *cq, u32 depth, void (*notify)(struct vrnic_cq *cq))
{
	u32 places = roundup_pow_of_two(depth);

	cq->ring = kvcalloc(places, sizeof(*cq->ring), GFP_KERNEL_ACCOUNT);
	if (!cq->ring)
		return -ENOMEM;
	spin_lock_init(&cq->lock);
	cq->mask = places - 1;
	cq->notify = notify;
	return 0;
}

/**
 * vrnic_cq_fini() - end a completion queue
 * @cq: the queue; no work queue fills it any more
 */
void vrnic_cq_fini(struct vrnic_cq *cq)
{
	kvfree(cq->ring);
}

/**
 * vrnic_cq_add() - add a completion
 * @cq: the queue, which has room: work takes it when it is posted
 * @wc: the completion
 *
 * The caller calls &vrnic_cq.notify when it holds no lock any more.
 */
void vrnic_cq_add(struct vrnic_cq *cq, const struct vrnic_completion *wc)
{
	guard(spinlock)(&cq->lock);
	if (WARN_ON_ONCE(cq->tail - READ_ONCE(cq->head) > cq->mask))
		return;
	cq->ring[cq->tail & cq->mask] = *wc;
	/* Whoever sees the number sees the completion. */
	smp_store_release(&cq->tail, cq->tail + 1);
}

/**
 * vrnic_cq_peek() - look at a completion
 * @cq: the queue, from which nobody else takes any meanwhile
 * @i: which, counted from the oldest
 *
 * Return: the completion, which stays in the queue, or NULL when there are no more.
 */
const struct vrnic_completion *vrnic_cq_peek(struct vrnic_cq *cq, u32 i)
{
	/* Pairs with vrnic_cq_add(). */
	if (i >= smp_load_acquire(&cq->tail) - READ_ONCE(cq->head))
		return NULL;
	return &cq->ring[(cq->head + i) & cq->mask];
}

/**
 * vrnic_cq_consume() - take completions out
 * @cq: the queue, from which nobody else takes any meanwhile
 * @count: how many, all of which were seen
 */
void vrnic_cq_consume(struct vrnic_cq *cq, u32 count)
{
	/* Their places are free when all has been read. */
	smp_store_release(&cq->head, cq->head + count);
}
