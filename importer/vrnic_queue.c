// SPDX-License-Identifier: GPL-2.0
/*
 * Queues: work requests go in, run in order, and come out as completions.
 *
 * Room for a completion is taken when a request is posted, so that none is lost.
 */

#include <linux/eventfd.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>

#include "vrnic_engine.h"
#include "vrnic_queue.h"
#include "vrnic_trace.h"

/* Requests that run in a row before the worker lets others have the CPU. */
#define VRNIC_RUN_BATCH	64
/* How long a worker looks for the next request: less than being woken up takes. */
#define VRNIC_LINGER_NS	20000

static void vrnic_wq_complete(struct vrnic_wq *wq, const struct vrnic_wc *wc)
{
	spin_lock(&wq->lock);
	wq->wcs[(wq->head + wq->done) % wq->depth] = *wc;
	wq->done++;
	if (wc->status != VRNIC_WC_SUCCESS)
		wq->error = true;
	spin_unlock(&wq->lock);

	trace_vrnic_complete(wq->handle, wc);
	if (wq->eventfd)
		eventfd_signal(wq->eventfd);
	if (wq_has_sleeper(&wq->ctx->completed))
		wake_up_all(&wq->ctx->completed);
}

static struct vrnic_work *vrnic_wq_next(struct vrnic_wq *wq, bool *flush)
{
	struct vrnic_work *work;

	spin_lock(&wq->lock);
	work = list_first_entry_or_null(&wq->pending, struct vrnic_work, link);
	if (work)
		list_del(&work->link);
	else
		wq->running = false;
	*flush = wq->error || vrnic_wq_is_stopping(wq);
	spin_unlock(&wq->lock);
	return work;
}

static void vrnic_wq_linger(struct vrnic_wq *wq)
{
	u64 end = local_clock() + VRNIC_LINGER_NS;

	while (list_empty_careful(&wq->pending) && !need_resched() &&
	       !vrnic_wq_is_stopping(wq) && local_clock() < end)
		cpu_relax();
}

static void vrnic_wq_run_one(struct vrnic_wq *wq, struct vrnic_work *work, bool flush)
{
	struct vrnic_wc wc = { .wr_id = work->wr.wr_id, .opcode = work->wr.opcode };

	if (flush)
		wc.status = VRNIC_WC_FLUSHED;
	else
		vrnic_exec(wq, work, &wc);
	vrnic_wq_complete(wq, &wc);
	kfree(work);
}

static void vrnic_wq_run(struct work_struct *run)
{
	struct vrnic_wq *wq = container_of(run, struct vrnic_wq, run);
	struct vrnic_work *work;
	unsigned int i;
	bool flush;

	for (i = 0; i < VRNIC_RUN_BATCH; i++) {
		if (list_empty_careful(&wq->pending))
			vrnic_wq_linger(wq);
		work = vrnic_wq_next(wq, &flush);
		if (!work)
			return;
		vrnic_wq_run_one(wq, work, flush);
		cond_resched();
	}
	queue_work(wq->ctx->vdev->wq, &wq->run);
}

/**
 * vrnic_works_free() - free work requests that were not posted
 * @works: the requests
 */
void vrnic_works_free(struct list_head *works)
{
	struct vrnic_work *work, *next;

	list_for_each_entry_safe(work, next, works, link)
		kfree(work);
	INIT_LIST_HEAD(works);
}

/**
 * vrnic_wq_post() - put work requests into a queue
 * @wq: the queue
 * @works: the requests, well formed; emptied on success
 * @count: their number
 *
 * Return: 0; -ENOSPC when there is no room for all; -EPIPE in the error state;
 * -ENOENT when the queue is being destroyed.
 */
int vrnic_wq_post(struct vrnic_wq *wq, struct list_head *works, u32 count)
{
	struct vrnic_work *work;
	int ret = 0;

	spin_lock(&wq->lock);
	if (wq->dead)
		ret = -ENOENT;
	else if (wq->error)
		ret = -EPIPE;
	else if (count > wq->depth - wq->used)
		ret = -ENOSPC;
	if (!ret) {
		list_for_each_entry(work, works, link)
			trace_vrnic_post(wq->handle, &work->wr);
		wq->used += count;
		list_splice_tail_init(works, &wq->pending);
		if (!wq->running)
			queue_work(wq->ctx->vdev->wq, &wq->run);
		wq->running = true;
	}
	spin_unlock(&wq->lock);
	return ret;
}

/**
 * vrnic_wq_reap() - take completions
 * @wq: the queue
 * @wcs: where to
 * @count: most that are wanted
 *
 * Return: number taken.
 */
u32 vrnic_wq_reap(struct vrnic_wq *wq, struct vrnic_wc *wcs, u32 count)
{
	u32 i;

	spin_lock(&wq->lock);
	count = min(count, wq->done);
	for (i = 0; i < count; i++)
		wcs[i] = wq->wcs[(wq->head + i) % wq->depth];
	wq->head = (wq->head + count) % wq->depth;
	wq->done -= count;
	wq->used -= count;
	spin_unlock(&wq->lock);
	return count;
}

bool vrnic_wq_has_completions(struct vrnic_wq *wq)
{
	return READ_ONCE(wq->done);
}

bool vrnic_context_has_completions(struct vrnic_context *ctx)
{
	unsigned long handle;
	struct vrnic_wq *wq;
	bool any = false;

	xa_lock(&ctx->queues);
	xa_for_each(&ctx->queues, handle, wq)
		any |= vrnic_wq_has_completions(wq);
	xa_unlock(&ctx->queues);
	return any;
}

/**
 * vrnic_wq_reset() - leave the error state
 * @wq: the queue
 *
 * Waits until what was pending has been flushed. Completions stay to be polled. A
 * queue that is in order is left alone.
 *
 * Return: 0 or -ERESTARTSYS.
 */
int vrnic_wq_reset(struct vrnic_wq *wq)
{
	int ret;

	if (!READ_ONCE(wq->error))
		return 0;
	ret = wait_event_interruptible(wq->ctx->completed,
				       READ_ONCE(wq->used) == READ_ONCE(wq->done) ||
				       vrnic_wq_is_stopping(wq));
	if (ret)
		return ret;

	spin_lock(&wq->lock);
	wq->error = false;
	spin_unlock(&wq->lock);
	return 0;
}

static void vrnic_wq_free(struct kref *ref)
{
	struct vrnic_wq *wq = container_of(ref, struct vrnic_wq, ref);

	if (wq->eventfd)
		eventfd_ctx_put(wq->eventfd);
	kvfree(wq->wcs);
	kfree(wq);
}

void vrnic_wq_put(struct vrnic_wq *wq)
{
	kref_put(&wq->ref, vrnic_wq_free);
}

/**
 * vrnic_wq_get() - find a queue by its handle
 * @ctx: the context
 * @handle: the queue
 *
 * Return: the queue with a reference, or NULL.
 */
struct vrnic_wq *vrnic_wq_get(struct vrnic_context *ctx, u32 handle)
{
	struct vrnic_wq *wq;

	xa_lock(&ctx->queues);
	wq = xa_load(&ctx->queues, handle);
	if (wq)
		kref_get(&wq->ref);
	xa_unlock(&ctx->queues);
	return wq;
}

static struct vrnic_wq *vrnic_wq_alloc(struct vrnic_context *ctx,
				       const struct vrnic_engine_ops *engine, u32 depth)
{
	struct vrnic_wq *wq;

	wq = kzalloc(sizeof(*wq), GFP_KERNEL_ACCOUNT);
	if (!wq)
		return NULL;
	wq->wcs = kvcalloc(depth, sizeof(*wq->wcs), GFP_KERNEL_ACCOUNT);
	if (!wq->wcs) {
		kfree(wq);
		return NULL;
	}
	kref_init(&wq->ref);
	spin_lock_init(&wq->lock);
	INIT_LIST_HEAD(&wq->pending);
	INIT_WORK(&wq->run, vrnic_wq_run);
	wq->ctx = ctx;
	wq->engine = engine;
	wq->depth = depth;
	return wq;
}

/**
 * vrnic_wq_create() - make a queue
 * @ctx: the context
 * @engine: moves its bytes
 * @depth: most requests posted and not yet polled
 * @eventfd: taken over on success; NULL for none
 *
 * Return: the queue with a reference for the caller, or an error pointer: -ENOSPC
 * for too many, -ENOMEM.
 */
struct vrnic_wq *vrnic_wq_create(struct vrnic_context *ctx, const struct vrnic_engine_ops *engine,
				 u32 depth, struct eventfd_ctx *eventfd)
{
	struct vrnic_wq *wq = vrnic_wq_alloc(ctx, engine, depth);
	int ret;

	if (!wq)
		return ERR_PTR(-ENOMEM);

	mutex_lock(&ctx->lock);
	ret = xa_alloc(&ctx->queues, &wq->handle, NULL, XA_LIMIT(1, vrnic_max_queues),
		       GFP_KERNEL_ACCOUNT);
	if (!ret) {
		wq->eventfd = eventfd;
		kref_get(&wq->ref);
		xa_store(&ctx->queues, wq->handle, wq, GFP_KERNEL_ACCOUNT);
	}
	mutex_unlock(&ctx->lock);
	if (ret) {
		vrnic_wq_put(wq);
		return ERR_PTR(ret == -EBUSY ? -ENOSPC : ret);
	}
	return wq;
}

/**
 * vrnic_wq_destroy() - end a queue
 * @ctx: the context
 * @handle: the queue
 *
 * Returns when nothing of it runs any more.
 *
 * Return: 0, -ENOENT for an unknown handle.
 */
int vrnic_wq_destroy(struct vrnic_context *ctx, u32 handle)
{
	struct vrnic_wq *wq;

	mutex_lock(&ctx->lock);
	wq = xa_erase(&ctx->queues, handle);
	mutex_unlock(&ctx->lock);
	if (!wq)
		return -ENOENT;

	spin_lock(&wq->lock);
	wq->dead = true;
	spin_unlock(&wq->lock);
	wake_up_all(&wq->ctx->completed);
	cancel_work_sync(&wq->run);
	vrnic_works_free(&wq->pending);
	vrnic_wq_put(wq);
	return 0;
}

/**
 * vrnic_wq_destroy_all() - end all queues of a context
 * @ctx: the context
 */
void vrnic_wq_destroy_all(struct vrnic_context *ctx)
{
	unsigned long handle;
	struct vrnic_wq *wq;

	xa_for_each(&ctx->queues, handle, wq)
		vrnic_wq_destroy(ctx, handle);
}
