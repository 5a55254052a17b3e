// SPDX-License-Identifier: GPL-2.0
/*
 * The calls on queues: a work queue and a completion queue each, with one handle.
 */

#include <linux/eventfd.h>
#include <linux/nospec.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vrnic_context.h"
#include "vrnic_cq.h"
#include "vrnic_engine.h"
#include "vrnic_ioctl.h"
#include "vrnic_wq.h"

VRNIC_SAME(VRNIC_OP_WRITE, VRNIC_WORK_WRITE);
VRNIC_SAME(VRNIC_OP_READ, VRNIC_WORK_READ);
VRNIC_SAME(VRNIC_OP_FETCH_ADD, VRNIC_WORK_FETCH_ADD);
VRNIC_SAME(VRNIC_OP_COMPARE_SWAP, VRNIC_WORK_COMPARE_SWAP);
VRNIC_SAME(VRNIC_OP_FILL, VRNIC_WORK_FILL);
VRNIC_SAME(VRNIC_OP_CRC32C, VRNIC_WORK_CRC32C);
VRNIC_SAME(VRNIC_WC_SUCCESS, VRNIC_ST_SUCCESS);
VRNIC_SAME(VRNIC_WC_LOC_LEN_ERR, VRNIC_ST_LOC_LEN_ERR);
VRNIC_SAME(VRNIC_WC_LOC_PROT_ERR, VRNIC_ST_LOC_PROT_ERR);
VRNIC_SAME(VRNIC_WC_REM_ACCESS_ERR, VRNIC_ST_REM_ACCESS_ERR);
VRNIC_SAME(VRNIC_WC_FLUSHED, VRNIC_ST_FLUSHED);
VRNIC_SAME(VRNIC_WC_DMA_FAULT, VRNIC_ST_DMA_FAULT);
VRNIC_SAME(VRNIC_WC_GENERAL_ERR, VRNIC_ST_GENERAL_ERR);

/* Ranges are copied from userspace to where the core has them. */
VRNIC_SAME(sizeof(struct vrnic_sge), sizeof(struct vrnic_range));
VRNIC_SAME(offsetof(struct vrnic_sge, addr), offsetof(struct vrnic_range, addr));
VRNIC_SAME(offsetof(struct vrnic_sge, length), offsetof(struct vrnic_range, length));
VRNIC_SAME(offsetof(struct vrnic_sge, lkey), offsetof(struct vrnic_range, lkey));
VRNIC_SAME(VRNIC_MAX_SGE, VRNIC_MAX_RANGES);

/**
 * struct vrnic_ioctl_queue - a queue as its client has it
 */
struct vrnic_ioctl_queue {
	/** @ref: One for the context, one for each call that uses it. */
	struct kref ref;
	/** @ctx: The context. */
	struct vrnic_context *ctx;
	/** @wq: Requests. */
	struct vrnic_wq wq;
	/** @cq: Completions; room for one is taken when a request is posted. */
	struct vrnic_cq cq;
	/** @eventfd: Signalled for each completion; NULL for none. */
	struct eventfd_ctx *eventfd;
	/** @post_lock: Held while a batch is copied in and posted. */
	struct mutex post_lock;
	/** @reap_lock: Held from the look at completions until they are taken. */
	struct mutex reap_lock;
};

static void vrnic_queue_notify(struct vrnic_cq *cq)
{
	struct vrnic_ioctl_queue *queue = container_of(cq, struct vrnic_ioctl_queue, cq);

	if (queue->eventfd)
		eventfd_signal(queue->eventfd);
	if (wq_has_sleeper(&queue->ctx->completed))
		wake_up_all(&queue->ctx->completed);
}

static void vrnic_queue_free(struct kref *ref)
{
	struct vrnic_ioctl_queue *queue = container_of(ref, struct vrnic_ioctl_queue, ref);

	vrnic_wq_fini(&queue->wq);
	vrnic_cq_fini(&queue->cq);
	if (queue->eventfd)
		eventfd_ctx_put(queue->eventfd);
	mutex_destroy(&queue->post_lock);
	mutex_destroy(&queue->reap_lock);
	kfree(queue);
}

/* NULL is no queue. */
static void vrnic_queue_put(struct vrnic_ioctl_queue *queue)
{
	if (queue)
		kref_put(&queue->ref, vrnic_queue_free);
}

DEFINE_FREE(vrnic_queue, struct vrnic_ioctl_queue *, vrnic_queue_put(_T))

static struct vrnic_ioctl_queue *vrnic_queue_get(struct vrnic_context *ctx, u32 handle)
{
	struct vrnic_ioctl_queue *queue;

	xa_lock(&ctx->queues);
	queue = xa_load(&ctx->queues, handle);
	if (queue)
		kref_get(&queue->ref);
	xa_unlock(&ctx->queues);
	return queue;
}

static struct vrnic_ioctl_queue *vrnic_queue_take(struct vrnic_context *ctx, u32 handle)
{
	struct vrnic_ioctl_queue *queue;

	xa_lock(&ctx->queues);
	/* A handle that leads nowhere yet stays reserved. */
	queue = xa_load(&ctx->queues, handle);
	if (queue)
		__xa_erase(&ctx->queues, handle);
	xa_unlock(&ctx->queues);
	return queue;
}

static struct vrnic_ioctl_queue *vrnic_queue_alloc(struct vrnic_context *ctx)
{
	struct vrnic_ioctl_queue *queue = kzalloc(sizeof(*queue), GFP_KERNEL_ACCOUNT);

	if (!queue)
		return NULL;
	kref_init(&queue->ref);
	mutex_init(&queue->post_lock);
	mutex_init(&queue->reap_lock);
	queue->ctx = ctx;
	return queue;
}

static const char * const vrnic_engine_name[] = {
	[VRNIC_ENGINE_CPU] = "cpu",
	[VRNIC_ENGINE_EDU] = "edu",
};

/**
 * vrnic_ioctl_engine() - find what an ioctl's number of an engine means
 * @vdev: the device
 * @engine: one of &enum vrnic_engine
 *
 * Return: the engine, or NULL when the device has it not.
 */
struct vrnic_dma_engine *vrnic_ioctl_engine(struct vrnic_device *vdev, u32 engine)
{
	engine = array_index_nospec(engine, ARRAY_SIZE(vrnic_engine_name));
	return vrnic_engine_find(vdev, vrnic_engine_name[engine]);
}

static long vrnic_queue_set_up(struct vrnic_ioctl_queue *queue,
			       const struct vrnic_create_queue *arg,
			       struct vrnic_dma_engine *engine)
{
	const struct vrnic_wq_attr attr = {
		.pd = &queue->ctx->pd,
		.engine = engine,
		.cq = &queue->cq,
		.depth = arg->depth,
		.max_ranges = VRNIC_MAX_SGE,
	};
	struct eventfd_ctx *eventfd;
	long ret;

	ret = vrnic_wq_init(&queue->wq, &attr);
	if (ret)
		return ret;
	ret = vrnic_cq_init(&queue->cq, arg->depth, vrnic_queue_notify);
	if (ret || arg->eventfd < 0)
		return ret;
	eventfd = eventfd_ctx_fdget(arg->eventfd);
	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	queue->eventfd = eventfd;
	return 0;
}

static long vrnic_queue_reserve(struct vrnic_ioctl_queue *queue)
{
	int ret;

	ret = xa_alloc(&queue->ctx->queues, &queue->wq.attr.id, NULL,
		       XA_LIMIT(1, vrnic_max_queues), GFP_KERNEL_ACCOUNT);
	return ret == -EBUSY ? -ENOSPC : ret;
}

/**
 * vrnic_create_queue() - VRNIC_IOC_CREATE_QUEUE
 * @call: the call
 *
 * Return: 0 or an error as of &struct vrnic_create_queue.
 */
long vrnic_create_queue(struct vrnic_call *call)
{
	struct vrnic_create_queue *arg = &call->arg.create_queue;
	struct vrnic_context *ctx = call->ctx;
	struct vrnic_dma_engine *engine;
	long ret;

	if (arg->flags || arg->pad || !arg->depth || arg->depth > vrnic_max_depth ||
	    arg->engine >= ARRAY_SIZE(vrnic_engine_name) || arg->eventfd < -1)
		return -EINVAL;
	engine = vrnic_ioctl_engine(ctx->pd.vdev, arg->engine);
	if (!engine)
		return -EOPNOTSUPP;

	struct vrnic_ioctl_queue *queue __free(vrnic_queue) = vrnic_queue_alloc(ctx);

	if (!queue)
		return -ENOMEM;
	ret = vrnic_queue_set_up(queue, arg, engine);
	if (!ret)
		ret = vrnic_queue_reserve(queue);
	if (ret)
		return ret;

	arg->handle = queue->wq.attr.id;
	ret = vrnic_answer(call);
	if (ret) {
		xa_erase(&ctx->queues, arg->handle);
		return ret;
	}
	/* Another call may end it at once. */
	xa_store(&ctx->queues, arg->handle, no_free_ptr(queue), GFP_KERNEL_ACCOUNT);
	return 0;
}

/* Who polls the queue need not wait for the request that it is at. */
static void vrnic_queue_end(struct vrnic_ioctl_queue *queue)
{
	vrnic_wq_kill(&queue->wq);
	wake_up_all(&queue->ctx->completed);
	vrnic_wq_stop(&queue->wq);
	vrnic_queue_put(queue);
}

/**
 * vrnic_destroy_queue() - VRNIC_IOC_DESTROY_QUEUE
 * @call: the call
 *
 * Returns when nothing of the queue runs any more.
 *
 * Return: 0, -EINVAL, or -ENOENT for an unknown handle.
 */
long vrnic_destroy_queue(struct vrnic_call *call)
{
	struct vrnic_queue *arg = &call->arg.queue;
	struct vrnic_ioctl_queue *queue;

	if (arg->pad)
		return -EINVAL;
	queue = vrnic_queue_take(call->ctx, arg->handle);
	if (!queue)
		return -ENOENT;
	vrnic_queue_end(queue);
	return 0;
}

/**
 * vrnic_destroy_queues() - end all queues of a context
 * @ctx: the context
 */
void vrnic_destroy_queues(struct vrnic_context *ctx)
{
	struct vrnic_ioctl_queue *queue;
	unsigned long handle;

	xa_for_each(&ctx->queues, handle, queue)
		vrnic_queue_end(vrnic_queue_take(ctx, handle));
}

/**
 * vrnic_has_completions() - whether any queue of a context has some
 * @ctx: the context
 */
bool vrnic_has_completions(struct vrnic_context *ctx)
{
	struct vrnic_ioctl_queue *queue;
	unsigned long handle;
	bool any = false;

	xa_lock(&ctx->queues);
	xa_for_each(&ctx->queues, handle, queue)
		any |= !vrnic_cq_is_empty(&queue->cq);
	xa_unlock(&ctx->queues);
	return any;
}

/**
 * vrnic_reset_queue() - VRNIC_IOC_RESET_QUEUE
 * @call: the call
 *
 * Waits until what was pending has been flushed.
 *
 * Return: 0, -EINVAL, -ENOENT or -ERESTARTSYS.
 */
long vrnic_reset_queue(struct vrnic_call *call)
{
	struct vrnic_queue *arg = &call->arg.queue;

	if (arg->pad)
		return -EINVAL;

	struct vrnic_ioctl_queue *queue __free(vrnic_queue) = vrnic_queue_get(call->ctx,
									      arg->handle);

	if (!queue)
		return -ENOENT;
	/* Taking completions does not change what is pending: none of that needs a wake-up. */
	return wait_event_interruptible(queue->ctx->completed, vrnic_wq_try_reset(&queue->wq) ||
					vrnic_wq_is_stopping(&queue->wq));
}

static long vrnic_prepare(struct vrnic_ioctl_queue *queue, u32 n,
			  const struct vrnic_wr __user *user)
{
	struct vrnic_work head = {};
	struct vrnic_work *work;
	struct vrnic_wr wr;

	lockdep_assert_held(&queue->post_lock);

	if (copy_from_user(&wr, user, sizeof(wr)))
		return -EFAULT;
	if (wr.flags || (wr.sge && !wr.num_sge))
		return -EINVAL;

	head.id = wr.wr_id;
	head.op = wr.opcode;
	head.rkey = wr.rkey;
	head.remote_addr = wr.remote_addr;
	head.remote_length = wr.remote_length;
	head.operand = wr.operand;
	head.swap = wr.swap;
	head.nr_ranges = wr.num_sge;
	work = vrnic_wq_prepare(&queue->wq, n, &head);
	if (IS_ERR(work))
		return PTR_ERR(work);
	return copy_from_user(work->range, u64_to_user_ptr(wr.sge),
			      sizeof(work->range[0]) * wr.num_sge) ? -EFAULT : 0;
}

/**
 * vrnic_post() - VRNIC_IOC_POST
 * @call: the call
 *
 * Others that post to this queue wait for their turn, be it for a page fault of ours.
 *
 * Return: 0 or an error as of &struct vrnic_post.
 */
long vrnic_post(struct vrnic_call *call)
{
	struct vrnic_post *arg = &call->arg.post;
	const struct vrnic_wr __user *wrs = u64_to_user_ptr(arg->wrs);
	long ret;
	u32 i;

	if (!arg->count || arg->count > VRNIC_MAX_BATCH)
		return -EINVAL;

	struct vrnic_ioctl_queue *queue __free(vrnic_queue) = vrnic_queue_get(call->ctx,
									      arg->queue);

	if (!queue)
		return -ENOENT;
	ret = mutex_lock_killable(&queue->post_lock);
	if (ret)
		return ret;
	for (i = 0; i < arg->count && !ret; i++)
		ret = vrnic_prepare(queue, i, wrs + i);
	if (!ret)
		ret = vrnic_wq_post(&queue->wq, arg->count);
	mutex_unlock(&queue->post_lock);
	return ret;
}

static struct vrnic_wc vrnic_wc_of(const struct vrnic_completion *completion)
{
	return (struct vrnic_wc) {
		.wr_id = completion->id,
		.status = completion->status,
		.opcode = completion->op,
		.byte_len = completion->byte_len,
		.result = completion->result,
	};
}

static ktime_t vrnic_poll_end(s64 timeout_ns)
{
	return timeout_ns < 0 ? KTIME_MAX : ktime_add_safe(ktime_get(), ns_to_ktime(timeout_ns));
}

static long vrnic_wait_completion(struct vrnic_ioctl_queue *queue, ktime_t end)
{
	ktime_t left = end == KTIME_MAX ? end : ktime_sub(end, ktime_get());
	struct vrnic_context *ctx = queue->ctx;
	long ret;

	if (!vrnic_cq_is_empty(&queue->cq))
		return 0;
	if (left <= 0)
		return -ETIME;
	ret = wait_event_interruptible_hrtimeout(ctx->completed,
						 !vrnic_cq_is_empty(&queue->cq) ||
						 vrnic_wq_is_stopping(&queue->wq), left);
	if (READ_ONCE(ctx->pd.vdev->gone))
		return -ENODEV;
	if (READ_ONCE(queue->wq.dead))
		return -ENOENT;
	/* A call with a time limit must not be restarted with all of it. */
	if (ret == -ERESTARTSYS)
		return end == KTIME_MAX ? ret : -EINTR;
	return ret;
}

static u32 vrnic_peek(struct vrnic_ioctl_queue *queue, struct vrnic_wc *wcs, u32 room)
{
	const struct vrnic_completion *completion;
	u32 n;

	lockdep_assert_held(&queue->reap_lock);

	for (n = 0; n < room; n++) {
		completion = vrnic_cq_peek(&queue->cq, n);
		if (!completion)
			break;
		wcs[n] = vrnic_wc_of(completion);
	}
	return n;
}

/*
 * Completions leave the queue when the caller has them and knows how many there are.
 * What does not fit into the caller's memory stays for the next call.
 *
 * -EAGAIN: there are none, and @last does not say that the time is over.
 */
static long vrnic_take_completions(struct vrnic_call *call, struct vrnic_ioctl_queue *queue,
				   struct vrnic_wc *wcs, u32 room, bool last)
{
	struct vrnic_poll *arg = &call->arg.poll;
	unsigned long left;
	u32 n, copied;
	long ret;

	lockdep_assert_held(&queue->reap_lock);

	n = vrnic_peek(queue, wcs, room);
	if (!n && !last)
		return -EAGAIN;
	left = copy_to_user(u64_to_user_ptr(arg->wcs), wcs, sizeof(*wcs) * n);
	copied = n - DIV_ROUND_UP(left, sizeof(*wcs));
	if (n && !copied)
		return -EFAULT;

	arg->count = copied;
	ret = vrnic_answer(call);
	if (ret)
		return ret;
	vrnic_cq_consume(&queue->cq, copied);
	vrnic_wq_retire(&queue->wq, copied);
	return 0;
}

/* Others that poll this queue wait for their turn, be it for a page fault of ours. */
static long vrnic_try_poll(struct vrnic_call *call, struct vrnic_ioctl_queue *queue,
			   struct vrnic_wc *wcs, u32 room, ktime_t end)
{
	long wait, ret;

	wait = vrnic_wait_completion(queue, end);
	if (wait && wait != -ETIME)
		return wait;
	ret = mutex_lock_interruptible(&queue->reap_lock);
	if (ret)
		return ret;
	ret = vrnic_take_completions(call, queue, wcs, room, wait == -ETIME);
	mutex_unlock(&queue->reap_lock);
	return ret;
}

/**
 * vrnic_poll_queue() - VRNIC_IOC_POLL
 * @call: the call
 *
 * Return: 0 or an error as of &struct vrnic_poll.
 */
long vrnic_poll_queue(struct vrnic_call *call)
{
	struct vrnic_poll *arg = &call->arg.poll;
	ktime_t end = vrnic_poll_end(arg->timeout_ns);
	u32 room = arg->count;
	long ret;

	if (!room || room > VRNIC_MAX_BATCH)
		return -EINVAL;

	struct vrnic_ioctl_queue *queue __free(vrnic_queue) = vrnic_queue_get(call->ctx,
									      arg->queue);

	if (!queue)
		return -ENOENT;

	struct vrnic_wc *wcs __free(kvfree) = kvmalloc_array(room, sizeof(*wcs),
							     GFP_KERNEL_ACCOUNT);

	if (!wcs)
		return -ENOMEM;
	/* Waiting is of no use for who can't take them. */
	if (fault_in_writeable(u64_to_user_ptr(arg->wcs), sizeof(*wcs) * room))
		return -EFAULT;

	do {
		ret = vrnic_try_poll(call, queue, wcs, room, end);
	} while (ret == -EAGAIN);
	return ret;
}
