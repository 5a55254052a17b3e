// SPDX-License-Identifier: GPL-2.0
/*
 * The calls of /dev/vrnic0: copy in, check the form, translate, and call the core; nothing
 * behind them knows of files or user pointers.
 */

#include <linux/nospec.h>
#include <linux/pci.h>
#include <linux/uaccess.h>

#include "dma_buf.h"
#include "vrnic_context.h"
#include "vrnic_ioctl.h"
#include "vrnic_mr.h"

VRNIC_SAME(VRNIC_ACCESS_LOCAL_WRITE, VRNIC_MAY_LOCAL_WRITE);
VRNIC_SAME(VRNIC_ACCESS_REMOTE_WRITE, VRNIC_MAY_REMOTE_WRITE);
VRNIC_SAME(VRNIC_ACCESS_REMOTE_READ, VRNIC_MAY_REMOTE_READ);
VRNIC_SAME(VRNIC_ACCESS_REMOTE_ATOMIC, VRNIC_MAY_REMOTE_ATOMIC);
VRNIC_SAME(VRNIC_MR_ON_DEMAND, VRNIC_MODE_ON_DEMAND);
VRNIC_SAME(VRNIC_MR_EAGER, VRNIC_MODE_EAGER);
VRNIC_SAME(VRNIC_MR_FENCED, VRNIC_MODE_FENCED);
VRNIC_SAME(VRNIC_MR_PINNED, VRNIC_MODE_PINNED);
VRNIC_SAME(VRNIC_MR_STATIC, VRNIC_MODE_STATIC);
VRNIC_SAME(VRNIC_VIOLATION_NONE, VRNIC_BREACH_NONE);
VRNIC_SAME(VRNIC_VIOLATION_ALIGNMENT, VRNIC_BREACH_ALIGNMENT);
VRNIC_SAME(VRNIC_VIOLATION_LENGTH, VRNIC_BREACH_LENGTH);
VRNIC_SAME(VRNIC_VIOLATION_PAGES, VRNIC_BREACH_PAGES);
VRNIC_SAME(VRNIC_VIOLATION_LOCK, VRNIC_BREACH_LOCK);
VRNIC_SAME(VRNIC_VIOLATION_FENCE, VRNIC_BREACH_FENCE);
VRNIC_SAME(VRNIC_VIOLATION_MOVED, VRNIC_BREACH_MOVED);
VRNIC_SAME(VRNIC_VIOLATION_BOUNCED, VRNIC_BREACH_BOUNCED);
VRNIC_SAME(VRNIC_VIOLATION_EXCESS, VRNIC_BREACH_EXCESS);
VRNIC_SAME(VRNIC_VIOLATION_MASK, VRNIC_BREACH_MASK);
VRNIC_SAME(VRNIC_VIOLATION_SEGMENT, VRNIC_BREACH_SEGMENT);
VRNIC_SAME(VRNIC_VIOLATION_RAW, VRNIC_BREACH_RAW);
VRNIC_SAME(VRNIC_VIOLATION_TABLE, VRNIC_BREACH_TABLE);
VRNIC_SAME(VRNIC_VIOLATION_PIN, VRNIC_BREACH_PIN);
VRNIC_SAME(VRNIC_VIOLATION_SIZE, VRNIC_BREACH_SIZE);

/**
 * vrnic_answer() - tell the caller
 * @call: the call, its answer in the place of its argument
 *
 * Only then is what was made, or taken, the caller's own.
 *
 * Return: 0 or -EFAULT.
 */
long vrnic_answer(const struct vrnic_call *call)
{
	return copy_to_user(call->user, &call->arg, call->size) ? -EFAULT : 0;
}

static struct vrnic_counters vrnic_read_counters(const struct vrnic_stats *stats)
{
	return (struct vrnic_counters) {
		.maps = atomic64_read(&stats->maps),
		.unmaps = atomic64_read(&stats->unmaps),
		.invalidations = atomic64_read(&stats->invalidations),
		.faults = atomic64_read(&stats->faults),
		.bytes_read = atomic64_read(&stats->bytes_read),
		.bytes_written = atomic64_read(&stats->bytes_written),
		.stall_ns = atomic64_read(&stats->stall_ns),
		.stall_max_ns = atomic64_read(&stats->stall_max_ns),
		.dma_faults = atomic64_read(&stats->dma_faults),
		.violations = atomic64_read(&stats->violations),
	};
}

static long vrnic_query(struct vrnic_call *call)
{
	struct vrnic_device *vdev = call->ctx->pd.vdev;
	struct vrnic_query *arg = &call->arg.query;

	if (arg->pad)
		return -EINVAL;

	*arg = (struct vrnic_query) {
		.max_mrs = vrnic_max_mrs,
		.max_queues = vrnic_max_queues,
		.max_depth = vrnic_max_depth,
		.mrs = atomic_read(&vdev->mrs),
		.chunk = vrnic_chunk,
	};
	if (dev_is_pci(vdev->dev))
		arg->flags |= VRNIC_QUERY_PCI;
	if (vrnic_ioctl_engine(vdev, VRNIC_ENGINE_EDU))
		arg->flags |= VRNIC_QUERY_EDU;
	if (vrnic_bus_is_translated(vdev->dev))
		arg->flags |= VRNIC_QUERY_IOMMU;
	if (compat_dma_buf_is_dynamic_kernel())
		arg->flags |= VRNIC_QUERY_DYNAMIC;
	strscpy(arg->device, dev_name(vdev->dev));
	arg->counters = vrnic_read_counters(&vdev->stats);
	return vrnic_answer(call);
}

#define VRNIC_ACCESS_ALL	(VRNIC_ACCESS_LOCAL_WRITE | VRNIC_ACCESS_REMOTE_WRITE |	\
				 VRNIC_ACCESS_REMOTE_READ | VRNIC_ACCESS_REMOTE_ATOMIC)

static bool vrnic_reg_mr_is_valid(const struct vrnic_reg_mr *arg)
{
	if (arg->pad || arg->access & ~VRNIC_ACCESS_ALL ||
	    arg->flags & ~(VRNIC_REG_MR_USER | VRNIC_REG_MR_NO_PEER2PEER |
			   VRNIC_REG_MR_BY_ADDRESS))
		return false;
	if (!(arg->flags & VRNIC_REG_MR_USER))
		return !arg->addr && !(arg->flags & VRNIC_REG_MR_BY_ADDRESS);
	return arg->fd == -1 && !(arg->flags & VRNIC_REG_MR_NO_PEER2PEER);
}

static long vrnic_reg_mr(struct vrnic_call *call)
{
	struct vrnic_reg_mr *arg = &call->arg.reg_mr;
	struct vrnic_mr_attr attr = {
		.mode = arg->mode,
		.access = arg->access,
		.peer2peer = !(arg->flags & VRNIC_REG_MR_NO_PEER2PEER),
		.by_address = arg->flags & VRNIC_REG_MR_BY_ADDRESS,
		.offset = arg->offset,
		.length = arg->length,
	};
	struct vrnic_mr *mr;
	long ret;

	if (!vrnic_reg_mr_is_valid(arg))
		return -EINVAL;

	if (arg->flags & VRNIC_REG_MR_USER)
		mr = vrnic_mr_reg_user(&call->ctx->pd, arg->addr, &attr);
	else
		mr = vrnic_mr_reg_dma_buf(&call->ctx->pd, arg->fd, &attr);
	if (IS_ERR(mr))
		return PTR_ERR(mr);

	ret = vrnic_context_reserve_mr(call->ctx, &arg->handle);
	if (ret) {
		vrnic_mr_dereg(mr);
		return ret;
	}
	arg->lkey = mr->lkey;
	arg->rkey = mr->rkey;
	ret = vrnic_answer(call);
	if (ret) {
		vrnic_context_set_mr(call->ctx, arg->handle, NULL);
		vrnic_mr_dereg(mr);
		return ret;
	}
	vrnic_mr_publish(mr);
	vrnic_context_set_mr(call->ctx, arg->handle, mr);
	return 0;
}

static long vrnic_dereg_mr(struct vrnic_call *call)
{
	struct vrnic_dereg_mr *arg = &call->arg.dereg_mr;
	struct vrnic_mr *mr;

	if (arg->pad)
		return -EINVAL;
	mr = vrnic_context_take_mr(call->ctx, arg->handle);
	if (!mr)
		return -ENOENT;
	vrnic_mr_dereg(mr);
	return 0;
}

static long vrnic_advise_mr(struct vrnic_call *call)
{
	struct vrnic_advise_mr *arg = &call->arg.advise_mr;
	struct vrnic_mr *mr;
	long ret;

	if (arg->pad || arg->advice > VRNIC_ADVISE_PREFETCH_WRITE ||
	    arg->flags & ~VRNIC_ADVISE_FLUSH)
		return -EINVAL;

	mr = vrnic_context_get_mr(call->ctx, arg->handle);
	if (!mr)
		return -ENOENT;
	ret = vrnic_mr_prefetch(mr, mr->attr.iova, mr->attr.length,
				arg->advice == VRNIC_ADVISE_PREFETCH_WRITE,
				arg->flags & VRNIC_ADVISE_FLUSH);
	vrnic_mr_put(mr);
	return ret;
}

static long vrnic_query_mr(struct vrnic_call *call)
{
	struct vrnic_query_mr *arg = &call->arg.query_mr;
	struct vrnic_mr_state state;
	struct vrnic_mr *mr;

	if (arg->pad)
		return -EINVAL;
	mr = vrnic_context_get_mr(call->ctx, arg->handle);
	if (!mr)
		return -ENOENT;
	vrnic_mr_get_state(mr, &state);
	arg->state = (state.mapped ? VRNIC_MR_STATE_MAPPED : 0) |
		     (state.peer ? VRNIC_MR_STATE_PEER : 0) |
		     (state.revoked ? VRNIC_MR_STATE_REVOKED : 0);
	arg->mode = mr->attr.mode;
	arg->segments = state.segments;
	arg->last_violation = READ_ONCE(mr->last_violation);
	arg->inode = mr->inode;
	arg->counters = vrnic_read_counters(&mr->stats);
	vrnic_mr_put(mr);
	return vrnic_answer(call);
}

static const struct vrnic_ioctl {
	unsigned int cmd;
	/* Up to the last member of the first version: what every caller has. */
	size_t least;
	long (*fn)(struct vrnic_call *call);
} vrnic_ioctls[] = {
#define VRNIC_IOCTL(_cmd, _arg, _last, _fn)					\
	[_IOC_NR(_cmd)] = {							\
		.cmd = (_cmd) + BUILD_BUG_ON_ZERO(_IOC_SIZE(_cmd) !=		\
				sizeof_field(union vrnic_argument, _arg)),	\
		.least = offsetofend(typeof_member(union vrnic_argument, _arg), _last), \
		.fn = _fn,							\
	}
	VRNIC_IOCTL(VRNIC_IOC_QUERY, query, counters, vrnic_query),
	VRNIC_IOCTL(VRNIC_IOC_REG_MR, reg_mr, rkey, vrnic_reg_mr),
	VRNIC_IOCTL(VRNIC_IOC_DEREG_MR, dereg_mr, handle, vrnic_dereg_mr),
	VRNIC_IOCTL(VRNIC_IOC_ADVISE_MR, advise_mr, flags, vrnic_advise_mr),
	VRNIC_IOCTL(VRNIC_IOC_QUERY_MR, query_mr, counters, vrnic_query_mr),
	VRNIC_IOCTL(VRNIC_IOC_CREATE_QUEUE, create_queue, handle, vrnic_create_queue),
	VRNIC_IOCTL(VRNIC_IOC_DESTROY_QUEUE, queue, handle, vrnic_destroy_queue),
	VRNIC_IOCTL(VRNIC_IOC_RESET_QUEUE, queue, handle, vrnic_reset_queue),
	VRNIC_IOCTL(VRNIC_IOC_POST, post, wrs, vrnic_post),
	VRNIC_IOCTL(VRNIC_IOC_POLL, poll, timeout_ns, vrnic_poll_queue),
};

/* Callers may be older, or newer: copy_struct_from_user() tells what that means. */
static const struct vrnic_ioctl *vrnic_find_ioctl(unsigned int cmd)
{
	const struct vrnic_ioctl *ioctl;
	unsigned int nr = _IOC_NR(cmd);

	if (nr >= ARRAY_SIZE(vrnic_ioctls))
		return NULL;
	ioctl = &vrnic_ioctls[array_index_nospec(nr, ARRAY_SIZE(vrnic_ioctls))];
	return (cmd & ~IOCSIZE_MASK) == (ioctl->cmd & ~IOCSIZE_MASK) ? ioctl : NULL;
}

static long vrnic_run_call(const struct vrnic_ioctl *ioctl, struct vrnic_call *call,
			   size_t user_size)
{
	size_t size = _IOC_SIZE(ioctl->cmd);
	int ret;

	if (user_size < ioctl->least)
		return -EINVAL;
	ret = copy_struct_from_user(&call->arg, size, call->user, user_size);
	if (ret)
		return ret;
	call->size = min(size, user_size);
	return ioctl->fn(call);
}

/**
 * vrnic_ioctl() - a call from its argument to its answer
 * @ctx: whose it is
 * @cmd: which, and how much of its argument the caller knows
 * @user: where the argument is
 *
 * Return: 0 or an error; -ENOTTY for a call that there is not, -ENODEV when the device is
 * gone.
 */
long vrnic_ioctl(struct vrnic_context *ctx, unsigned int cmd, void __user *user)
{
	const struct vrnic_ioctl *ioctl = vrnic_find_ioctl(cmd);
	struct vrnic_call call = { .ctx = ctx, .user = user };
	long ret;
	int idx;

	if (!ioctl)
		return -ENOTTY;
	if (!vrnic_device_enter(ctx->pd.vdev, &idx))
		return -ENODEV;
	ret = vrnic_run_call(ioctl, &call, _IOC_SIZE(cmd));
	vrnic_device_exit(ctx->pd.vdev, idx);
	return ret;
}
