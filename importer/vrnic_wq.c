// SPDX-License-Identifier: GPL-2.0
/*
 * Work queues: requests go in, run in order, and come out as completions.
 */

#include <linux/cleanup.h>
#include <linux/dma-fence.h>
#include <linux/log2.h>
#include <linux/sched/clock.h>
#include <linux/slab.h>

#include "vrnic_cq.h"
#include "vrnic_engine.h"
#include "vrnic_exec.h"
#include "vrnic_trace.h"
#include "vrnic_wq.h"

/* Requests that run in a row before the worker lets others have the CPU. */
#define VRNIC_RUN_BATCH	64
/* How long a worker looks for the next request: less than being woken up takes. */
#define VRNIC_LINGER_NS	20000

static struct vrnic_work *vrnic_wq_place(struct vrnic_wq *wq, u32 place)
{
	return wq->ring + (size_t)wq->stride * place;
}

/*
 * Its place in the queue is given up before anybody can see the completion, and both
 * under the lock: a queue that looks empty has had all of its completions.
 */
static void vrnic_wq_complete(struct vrnic_wq *wq, const struct vrnic_completion *wc)
{
	struct vrnic_cq *cq = wq->attr.cq;

	trace_vrnic_complete(wq->attr.id, wc);
	spin_lock(&wq->lock);
	wq->head++;
	if (wc->status != VRNIC_ST_SUCCESS)
		wq->error = true;
	vrnic_cq_add(cq, wc);
	spin_unlock(&wq->lock);
	cq->notify(cq);
}

static struct vrnic_work *vrnic_wq_next(struct vrnic_wq *wq, bool *flush)
{
	guard(spinlock)(&wq->lock);
	*flush = wq->error || vrnic_wq_is_stopping(wq);
	if (wq->head != wq->tail)
		return vrnic_wq_place(wq, wq->head & wq->mask);
	wq->running = false;
	return NULL;
}

static bool vrnic_wq_looks_empty(const struct vrnic_wq *wq)
{
	return READ_ONCE(wq->tail) == READ_ONCE(wq->head);
}

static void vrnic_wq_linger(struct vrnic_wq *wq)
{
	u64 end = local_clock() + VRNIC_LINGER_NS;

	while (vrnic_wq_looks_empty(wq) && !need_resched() && !vrnic_wq_is_stopping(wq) &&
	       local_clock() < end)
		cpu_relax();
}

static void vrnic_wq_run_one(struct vrnic_wq *wq, const struct vrnic_work *work, bool flush)
{
	struct vrnic_completion wc = { .id = work->id, .op = work->op };

	if (flush)
		wc.status = VRNIC_ST_FLUSHED;
	else
		vrnic_exec(wq->exec, work, &wc);
	vrnic_wq_complete(wq, &wc);
}

static void vrnic_wq_run(struct work_struct *run)
{
	struct vrnic_wq *wq = container_of(run, struct vrnic_wq, run);
	struct vrnic_work *work;
	unsigned int i;
	bool flush;

	for (i = 0; i < VRNIC_RUN_BATCH; i++) {
		if (vrnic_wq_looks_empty(wq))
			vrnic_wq_linger(wq);
		work = vrnic_wq_next(wq, &flush);
		if (!work)
			return;
		vrnic_wq_run_one(wq, work, flush);
		cond_resched();
	}
	queue_work(wq->attr.pd->workers, &wq->run);
}

static bool vrnic_work_is_valid(const struct vrnic_work *work, u32 max_ranges)
{
	switch (work->op) {
	case VRNIC_WORK_WRITE:
	case VRNIC_WORK_READ:
		return work->nr_ranges && work->nr_ranges <= max_ranges &&
		       !work->remote_length && !work->operand && !work->swap;
	case VRNIC_WORK_FETCH_ADD:
		return work->nr_ranges == 1 && !work->remote_length && !work->swap;
	case VRNIC_WORK_COMPARE_SWAP:
		return work->nr_ranges == 1 && !work->remote_length;
	case VRNIC_WORK_FILL:
		return !work->nr_ranges && work->remote_length && !work->swap;
	case VRNIC_WORK_CRC32C:
		return !work->nr_ranges && work->remote_length && !work->swap &&
		       work->operand <= U32_MAX;
	default:
		return false;
	}
}

static bool vrnic_engine_has(const struct vrnic_engine_ops *ops, u32 op)
{
	switch (op) {
	case VRNIC_WORK_FETCH_ADD:
		return ops->fetch_add;
	case VRNIC_WORK_COMPARE_SWAP:
		return ops->compare_swap;
	case VRNIC_WORK_FILL:
		return ops->fill;
	case VRNIC_WORK_CRC32C:
		return ops->crc32c;
	default:
		return ops->copy;
	}
}

/* Sampled once for a batch: its requests all have places of their own, or not all are posted. */
static u32 vrnic_wq_room(const struct vrnic_wq *wq)
{
	/* Pairs with vrnic_wq_retire(). */
	return wq->attr.depth - (wq->tail - smp_load_acquire(&wq->retired));
}

/**
 * vrnic_wq_prepare() - fill in a request that is to be posted
 * @wq: the queue; nobody else posts meanwhile
 * @n: its number in the batch, from 0
 * @head: all of the request but its ranges
 *
 * One that there is no room for is checked all the same.
 *
 * Return: the request, whose ranges the caller fills in, or an error pointer: -EINVAL for
 * one that is malformed; -EOPNOTSUPP for an operation that the queue's engine has not.
 */
struct vrnic_work *vrnic_wq_prepare(struct vrnic_wq *wq, u32 n, const struct vrnic_work *head)
{
	struct vrnic_work *work;

	if (!vrnic_work_is_valid(head, wq->attr.max_ranges))
		return ERR_PTR(-EINVAL);
	if (!vrnic_engine_has(wq->attr.engine->ops, head->op))
		return ERR_PTR(-EOPNOTSUPP);

	if (!n)
		wq->room = vrnic_wq_room(wq);
	work = vrnic_wq_place(wq, n < wq->room ? (wq->tail + n) & wq->mask : wq->mask + 1);
	*work = *head;
	return work;
}

/**
 * vrnic_wq_post() - put a batch of requests into a queue
 * @wq: the queue; nobody else posts meanwhile
 * @count: how many were prepared, at least one
 *
 * Return: 0; -ENOSPC when there is no room for all, -EPIPE in the error state, -ENOENT
 * when the queue was stopped: none of them is posted then.
 */
int vrnic_wq_post(struct vrnic_wq *wq, u32 count)
{
	u32 i;

	guard(spinlock)(&wq->lock);
	if (wq->dead)
		return -ENOENT;
	if (wq->error)
		return -EPIPE;
	if (count > wq->room)
		return -ENOSPC;

	for (i = 0; i < count; i++)
		trace_vrnic_post(wq->attr.id, vrnic_wq_place(wq, (wq->tail + i) & wq->mask));
	wq->tail += count;
	if (!wq->running)
		queue_work(wq->attr.pd->workers, &wq->run);
	wq->running = true;
	return 0;
}

/**
 * vrnic_wq_retire() - let go of the oldest requests
 * @wq: the queue; nobody else retires any meanwhile
 * @count: how many, all of which have completed
 */
void vrnic_wq_retire(struct vrnic_wq *wq, u32 count)
{
	/* Their places may be filled again when the worker is done with them. */
	smp_store_release(&wq->retired, wq->retired + count);
}

/**
 * vrnic_wq_try_reset() - leave the error state, if nothing is pending
 * @wq: the queue
 *
 * What has completed stays in the completion queue. A queue that is in order is left
 * alone.
 *
 * Return: whether it is in order.
 */
bool vrnic_wq_try_reset(struct vrnic_wq *wq)
{
	guard(spinlock)(&wq->lock);
	if (wq->head == wq->tail)
		wq->error = false;
	return !wq->error;
}

/**
 * vrnic_wq_init() - make a work queue
 * @wq: zeroed memory for it
 * @attr: what it is to be; within the limits that the client was told
 *
 * vrnic_wq_fini() cleans up after an error as well.
 *
 * Return: 0, -ENOMEM, or an error of the engine, which may have to be waited for: -EINTR.
 */
int vrnic_wq_init(struct vrnic_wq *wq, const struct vrnic_wq_attr *attr)
{
	u32 places = roundup_pow_of_two(attr->depth);
	int ret;

	ret = vrnic_engine_open(attr->engine);
	if (ret)
		return ret;
	wq->stride = struct_size_t(struct vrnic_work, range, attr->max_ranges);
	wq->ring = kvcalloc(places + 1, wq->stride, GFP_KERNEL_ACCOUNT);
	wq->exec = vrnic_exec_create(wq);
	if (!wq->ring || !wq->exec)
		return -ENOMEM;
	spin_lock_init(&wq->lock);
	INIT_WORK(&wq->run, vrnic_wq_run);
	wq->mask = places - 1;
	wq->attr = *attr;
	wq->fence_context = dma_fence_context_alloc(1);
	return 0;
}

/**
 * vrnic_wq_kill() - nothing is posted to a queue any more
 * @wq: the queue
 *
 * For who has to tell others before vrnic_wq_stop(), which may take as long as a move.
 */
void vrnic_wq_kill(struct vrnic_wq *wq)
{
	guard(spinlock)(&wq->lock);
	wq->dead = true;
}

/**
 * vrnic_wq_stop() - nothing runs any more when this returns
 * @wq: the queue
 *
 * What is pending does not complete.
 */
void vrnic_wq_stop(struct vrnic_wq *wq)
{
	vrnic_wq_kill(wq);
	cancel_work_sync(&wq->run);
}

/**
 * vrnic_wq_fini() - end a work queue
 * @wq: the queue, stopped, or what vrnic_wq_init() left of it
 */
void vrnic_wq_fini(struct vrnic_wq *wq)
{
	kfree(wq->exec);
	kvfree(wq->ring);
}
