/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_QUEUE_H
#define VRNIC_QUEUE_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "vrnic_core.h"

struct eventfd_ctx;
struct vrnic_engine_ops;

/**
 * struct vrnic_work - a posted work request
 */
struct vrnic_work {
	/** @link: On &vrnic_wq.pending. */
	struct list_head link;
	/** @wr: As posted; its address of entries has no meaning here. */
	struct vrnic_wr wr;
	/** @sge: Scatter/gather entries, &vrnic_wr.num_sge of them. */
	struct vrnic_sge sge[];
};

/**
 * struct vrnic_wq - a queue: work requests that run in order, and completions
 */
struct vrnic_wq {
	/** @ref: One for the context, one for each call that uses it. */
	struct kref ref;
	/** @ctx: The context. */
	struct vrnic_context *ctx;
	/** @handle: Names the queue. */
	u32 handle;
	/** @engine: Moves its bytes. */
	const struct vrnic_engine_ops *engine;
	/** @eventfd: Signalled for each completion; NULL for none. */
	struct eventfd_ctx *eventfd;
	/** @run: Executes what is pending. */
	struct work_struct run;
	/** @depth: Room in @wcs. */
	u32 depth;

	/** @lock: Protects all below; innermost. */
	spinlock_t lock;
	/** @pending: Not started. */
	struct list_head pending;
	/** @running: A worker is on its way or at it, and looks once more. */
	bool running;
	/** @used: Posted and not yet polled. */
	u32 used;
	/** @error: A request failed: those behind it are flushed. */
	bool error;
	/** @dead: Being destroyed: nothing is posted or started any more. */
	bool dead;
	/** @head: First completion in @wcs. */
	u32 head;
	/** @done: Completions in @wcs. */
	u32 done;
	/** @wcs: Ring of completions. */
	struct vrnic_wc *wcs;
};

struct vrnic_wq *vrnic_wq_create(struct vrnic_context *ctx, const struct vrnic_engine_ops *engine,
				 u32 depth, struct eventfd_ctx *eventfd);
int vrnic_wq_destroy(struct vrnic_context *ctx, u32 handle);
void vrnic_wq_destroy_all(struct vrnic_context *ctx);
struct vrnic_wq *vrnic_wq_get(struct vrnic_context *ctx, u32 handle);
void vrnic_wq_put(struct vrnic_wq *wq);
int vrnic_wq_post(struct vrnic_wq *wq, struct list_head *works, u32 count);
u32 vrnic_wq_reap(struct vrnic_wq *wq, struct vrnic_wc *wcs, u32 count);
bool vrnic_wq_has_completions(struct vrnic_wq *wq);
int vrnic_wq_reset(struct vrnic_wq *wq);
bool vrnic_context_has_completions(struct vrnic_context *ctx);
void vrnic_works_free(struct list_head *works);

/* Nothing more of it is to be started, and what runs is to end early. */
static inline bool vrnic_wq_is_stopping(const struct vrnic_wq *wq)
{
	return READ_ONCE(wq->dead) || READ_ONCE(wq->ctx->vdev->gone);
}

/* vrnic_exec.c */
void vrnic_exec(struct vrnic_wq *wq, const struct vrnic_work *work, struct vrnic_wc *wc);

#endif /* VRNIC_QUEUE_H */
