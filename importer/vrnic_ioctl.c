// SPDX-License-Identifier: GPL-2.0
/*
 * The face of the device: /dev/vrnic0.
 *
 * Copies in, checks the form, and calls the core; nothing behind it knows of files
 * or user pointers.
 */

#include <linux/compat.h>
#include <linux/dma-buf.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "dma_buf.h"
#include "vrnic_engine.h"
#include "vrnic_ioctl.h"
#include "vrnic_mr.h"
#include "vrnic_queue.h"

static struct vrnic_device *vrnic_the_device;

#define VRNIC_ACCESS_ALL	(VRNIC_ACCESS_LOCAL_WRITE | VRNIC_ACCESS_REMOTE_WRITE |	\
				 VRNIC_ACCESS_REMOTE_READ | VRNIC_ACCESS_REMOTE_ATOMIC)
#define VRNIC_ACCESS_WRITES	(VRNIC_ACCESS_LOCAL_WRITE | VRNIC_ACCESS_REMOTE_WRITE |	\
				 VRNIC_ACCESS_REMOTE_ATOMIC)

static long vrnic_query(struct vrnic_context *ctx, void *data)
{
	struct vrnic_device *vdev = ctx->vdev;
	struct vrnic_query *arg = data;

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
	if (vdev->edu)
		arg->flags |= VRNIC_QUERY_EDU;
	if (vrnic_bus_is_translated(vdev->dev))
		arg->flags |= VRNIC_QUERY_IOMMU;
	if (compat_dma_buf_is_dynamic_kernel())
		arg->flags |= VRNIC_QUERY_DYNAMIC;
	strscpy(arg->device, dev_name(vdev->dev));
	vrnic_stats_read(&vdev->stats, &arg->counters);
	return 0;
}

static struct vrnic_mr *vrnic_reg_dma_buf(struct vrnic_context *ctx,
					  const struct vrnic_reg_mr *arg,
					  const struct vrnic_mr_attr *attr)
{
	struct dma_buf *dmabuf = dma_buf_get(arg->fd);
	struct vrnic_mr *mr;
	u64 end;

	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);

	if (check_add_overflow(attr->offset, attr->length, &end) || end > dmabuf->size)
		mr = ERR_PTR(-EINVAL);
	else if (attr->access & VRNIC_ACCESS_WRITES && !(dmabuf->file->f_mode & FMODE_WRITE))
		mr = ERR_PTR(-EACCES);
	else
		mr = vrnic_mr_reg_dma_buf(ctx, dmabuf, attr);
	dma_buf_put(dmabuf);
	return mr;
}

static bool vrnic_reg_mr_is_valid(const struct vrnic_reg_mr *arg)
{
	bool user = arg->flags & VRNIC_REG_MR_USER;

	if (arg->pad || !arg->length ||
	    arg->flags & ~(VRNIC_REG_MR_USER | VRNIC_REG_MR_NO_PEER2PEER) ||
	    arg->access & ~VRNIC_ACCESS_ALL || arg->mode > VRNIC_MR_STATIC)
		return false;
	if (!user)
		return !arg->addr;
	return arg->fd == -1 && !arg->offset && !arg->mode &&
	       !(arg->flags & VRNIC_REG_MR_NO_PEER2PEER);
}

static long vrnic_reg_mr(struct vrnic_context *ctx, void *data)
{
	struct vrnic_reg_mr *arg = data;
	struct vrnic_mr_attr attr = {
		.mode = arg->mode,
		.access = arg->access,
		.peer2peer = !(arg->flags & VRNIC_REG_MR_NO_PEER2PEER),
		.offset = arg->offset,
		.length = arg->length,
	};
	struct vrnic_mr *mr;

	if (!vrnic_reg_mr_is_valid(arg))
		return -EINVAL;

	if (arg->flags & VRNIC_REG_MR_USER)
		mr = vrnic_mr_reg_user(ctx, arg->addr, &attr);
	else
		mr = vrnic_reg_dma_buf(ctx, arg, &attr);
	if (IS_ERR(mr))
		return PTR_ERR(mr);

	arg->handle = mr->handle;
	arg->lkey = mr->lkey;
	arg->rkey = mr->rkey;
	vrnic_mr_put(mr);
	return 0;
}

static long vrnic_dereg_mr(struct vrnic_context *ctx, void *data)
{
	struct vrnic_dereg_mr *arg = data;

	return arg->pad ? -EINVAL : vrnic_mr_dereg(ctx, arg->handle);
}

static long vrnic_advise_mr(struct vrnic_context *ctx, void *data)
{
	struct vrnic_advise_mr *arg = data;
	struct vrnic_mr *mr;
	long ret = 0;

	if (arg->pad || arg->advice > VRNIC_ADVISE_PREFETCH_WRITE ||
	    arg->flags & ~VRNIC_ADVISE_FLUSH)
		return -EINVAL;

	mr = vrnic_mr_get(ctx, arg->handle);
	if (!mr)
		return -ENOENT;
	if (arg->advice == VRNIC_ADVISE_PREFETCH_WRITE &&
	    !(mr->attr.access & VRNIC_ACCESS_WRITES))
		ret = -EACCES;
	else if (mr->dmabuf && arg->flags & VRNIC_ADVISE_FLUSH)
		ret = vrnic_dma_buf_prefetch(mr);
	else if (mr->dmabuf)
		vrnic_dma_buf_prefetch_later(mr);
	vrnic_mr_put(mr);
	return ret;
}

static long vrnic_query_mr(struct vrnic_context *ctx, void *data)
{
	struct vrnic_query_mr *arg = data;
	struct vrnic_mr *mr;

	if (arg->pad)
		return -EINVAL;
	mr = vrnic_mr_get(ctx, arg->handle);
	if (!mr)
		return -ENOENT;
	vrnic_mr_query(mr, arg);
	vrnic_mr_put(mr);
	return 0;
}

static const struct vrnic_engine_ops *vrnic_get_engine(struct vrnic_device *vdev, u32 engine)
{
	if (engine == VRNIC_ENGINE_CPU)
		return &vrnic_engine_cpu;
	return vdev->edu ? &vrnic_engine_edu : NULL;
}

static long vrnic_create_queue(struct vrnic_context *ctx, void *data)
{
	struct vrnic_create_queue *arg = data;
	const struct vrnic_engine_ops *engine;
	struct eventfd_ctx *eventfd = NULL;
	struct vrnic_wq *wq;
	int ret;

	if (arg->flags || arg->pad || !arg->depth || arg->depth > vrnic_max_depth ||
	    arg->engine > VRNIC_ENGINE_EDU || arg->eventfd < -1)
		return -EINVAL;
	engine = vrnic_get_engine(ctx->vdev, arg->engine);
	if (!engine)
		return -EOPNOTSUPP;
	ret = engine->open ? engine->open(ctx->vdev) : 0;
	if (ret)
		return ret;
	if (arg->eventfd >= 0) {
		eventfd = eventfd_ctx_fdget(arg->eventfd);
		if (IS_ERR(eventfd))
			return PTR_ERR(eventfd);
	}

	wq = vrnic_wq_create(ctx, engine, arg->depth, eventfd);
	if (IS_ERR(wq)) {
		if (eventfd)
			eventfd_ctx_put(eventfd);
		return PTR_ERR(wq);
	}
	arg->handle = wq->handle;
	vrnic_wq_put(wq);
	return 0;
}

static long vrnic_destroy_queue(struct vrnic_context *ctx, void *data)
{
	struct vrnic_queue *arg = data;

	return arg->pad ? -EINVAL : vrnic_wq_destroy(ctx, arg->handle);
}

static long vrnic_reset_queue(struct vrnic_context *ctx, void *data)
{
	struct vrnic_queue *arg = data;
	struct vrnic_wq *wq;
	long ret;

	if (arg->pad)
		return -EINVAL;
	wq = vrnic_wq_get(ctx, arg->handle);
	if (!wq)
		return -ENOENT;
	ret = vrnic_wq_reset(wq);
	vrnic_wq_put(wq);
	return ret;
}

static bool vrnic_wr_is_valid(const struct vrnic_wr *wr)
{
	if (wr->flags || wr->num_sge > VRNIC_MAX_SGE)
		return false;

	switch (wr->opcode) {
	case VRNIC_OP_WRITE:
	case VRNIC_OP_READ:
		return wr->num_sge && !wr->remote_length && !wr->operand && !wr->swap;
	case VRNIC_OP_FETCH_ADD:
		return wr->num_sge == 1 && !wr->remote_length && !wr->swap;
	case VRNIC_OP_COMPARE_SWAP:
		return wr->num_sge == 1 && !wr->remote_length;
	case VRNIC_OP_FILL:
		return !wr->num_sge && !wr->sge && wr->remote_length && !wr->swap;
	case VRNIC_OP_CRC32C:
		return !wr->num_sge && !wr->sge && wr->remote_length && !wr->swap &&
		       wr->operand <= U32_MAX;
	default:
		return false;
	}
}

static bool vrnic_engine_has(const struct vrnic_engine_ops *engine, u32 opcode)
{
	switch (opcode) {
	case VRNIC_OP_FETCH_ADD:
		return engine->fetch_add;
	case VRNIC_OP_COMPARE_SWAP:
		return engine->compare_swap;
	case VRNIC_OP_FILL:
		return engine->fill;
	case VRNIC_OP_CRC32C:
		return engine->crc32c;
	default:
		return engine->copy;
	}
}

static struct vrnic_work *vrnic_copy_work(struct vrnic_wq *wq, const struct vrnic_wr *wr)
{
	struct vrnic_work *work;

	if (!vrnic_wr_is_valid(wr))
		return ERR_PTR(-EINVAL);
	if (!vrnic_engine_has(wq->engine, wr->opcode))
		return ERR_PTR(-EOPNOTSUPP);

	work = kmalloc(struct_size(work, sge, wr->num_sge), GFP_KERNEL_ACCOUNT);
	if (!work)
		return ERR_PTR(-ENOMEM);
	work->wr = *wr;
	if (copy_from_user(work->sge, u64_to_user_ptr(wr->sge),
			   sizeof(work->sge[0]) * wr->num_sge)) {
		kfree(work);
		return ERR_PTR(-EFAULT);
	}
	return work;
}

static long vrnic_copy_works(struct vrnic_wq *wq, const struct vrnic_wr *wrs, u32 count,
			     struct list_head *works)
{
	struct vrnic_work *work;
	u32 i;

	for (i = 0; i < count; i++) {
		work = vrnic_copy_work(wq, &wrs[i]);
		if (IS_ERR(work))
			return PTR_ERR(work);
		list_add_tail(&work->link, works);
	}
	return 0;
}

static long vrnic_post(struct vrnic_context *ctx, void *data)
{
	struct vrnic_post *arg = data;
	struct vrnic_wq *wq;
	struct vrnic_wr *wrs;
	LIST_HEAD(works);
	long ret;

	if (!arg->count || arg->count > VRNIC_MAX_BATCH)
		return -EINVAL;
	wq = vrnic_wq_get(ctx, arg->queue);
	if (!wq)
		return -ENOENT;

	wrs = vmemdup_array_user(u64_to_user_ptr(arg->wrs), arg->count, sizeof(*wrs));
	if (IS_ERR(wrs)) {
		ret = PTR_ERR(wrs);
		goto out_put;
	}
	ret = vrnic_copy_works(wq, wrs, arg->count, &works);
	kvfree(wrs);
	if (!ret)
		ret = vrnic_wq_post(wq, &works, arg->count);
	vrnic_works_free(&works);
out_put:
	vrnic_wq_put(wq);
	return ret;
}

static long vrnic_wait_completion(struct vrnic_wq *wq, s64 timeout_ns)
{
	struct vrnic_device *vdev = wq->ctx->vdev;
	long ret;

	if (vrnic_wq_has_completions(wq) || !timeout_ns)
		return 0;
	ret = wait_event_interruptible_hrtimeout(wq->ctx->completed,
						 vrnic_wq_has_completions(wq) ||
						 vrnic_wq_is_stopping(wq),
						 timeout_ns < 0 ? KTIME_MAX :
						 ns_to_ktime(timeout_ns));
	if (READ_ONCE(vdev->gone))
		return -ENODEV;
	if (READ_ONCE(wq->dead))
		return -ENOENT;
	/* A call with a time limit must not be restarted with all of it. */
	if (ret == -ERESTARTSYS)
		return timeout_ns < 0 ? ret : -EINTR;
	return ret == -ETIME ? 0 : ret;
}

static long vrnic_poll_queue(struct vrnic_context *ctx, void *data)
{
	struct vrnic_poll *arg = data;
	struct vrnic_wc *wcs;
	struct vrnic_wq *wq;
	long ret;

	if (!arg->count || arg->count > VRNIC_MAX_BATCH)
		return -EINVAL;
	wq = vrnic_wq_get(ctx, arg->queue);
	if (!wq)
		return -ENOENT;
	wcs = kvmalloc_array(arg->count, sizeof(*wcs), GFP_KERNEL_ACCOUNT);
	if (!wcs) {
		ret = -ENOMEM;
		goto out_put;
	}
	/* Completions that are taken can't be put back: see that they have a place. */
	ret = fault_in_writeable(u64_to_user_ptr(arg->wcs), sizeof(*wcs) * arg->count) ?
	      -EFAULT : 0;
	if (!ret)
		ret = vrnic_wait_completion(wq, arg->timeout_ns);
	if (!ret) {
		arg->count = vrnic_wq_reap(wq, wcs, arg->count);
		if (copy_to_user(u64_to_user_ptr(arg->wcs), wcs, sizeof(*wcs) * arg->count))
			ret = -EFAULT;
	}
	kvfree(wcs);
out_put:
	vrnic_wq_put(wq);
	return ret;
}

static const struct vrnic_ioctl {
	unsigned int cmd;
	long (*fn)(struct vrnic_context *ctx, void *data);
} vrnic_ioctls[] = {
	{ VRNIC_IOC_QUERY, vrnic_query },
	{ VRNIC_IOC_REG_MR, vrnic_reg_mr },
	{ VRNIC_IOC_DEREG_MR, vrnic_dereg_mr },
	{ VRNIC_IOC_ADVISE_MR, vrnic_advise_mr },
	{ VRNIC_IOC_QUERY_MR, vrnic_query_mr },
	{ VRNIC_IOC_CREATE_QUEUE, vrnic_create_queue },
	{ VRNIC_IOC_DESTROY_QUEUE, vrnic_destroy_queue },
	{ VRNIC_IOC_RESET_QUEUE, vrnic_reset_queue },
	{ VRNIC_IOC_POST, vrnic_post },
	{ VRNIC_IOC_POLL, vrnic_poll_queue },
};

/* The largest argument of all calls. */
union vrnic_argument {
	struct vrnic_query query;
	struct vrnic_query_mr query_mr;
	struct vrnic_reg_mr reg_mr;
	struct vrnic_create_queue create_queue;
};

/* The caller will not learn the handle: what it names must not stay. */
static void vrnic_undo(struct vrnic_context *ctx, unsigned int cmd,
		       const union vrnic_argument *arg)
{
	if (cmd == VRNIC_IOC_REG_MR)
		vrnic_mr_dereg(ctx, arg->reg_mr.handle);
	else if (cmd == VRNIC_IOC_CREATE_QUEUE)
		vrnic_wq_destroy(ctx, arg->create_queue.handle);
}

static long vrnic_call(struct vrnic_context *ctx, const struct vrnic_ioctl *ioctl,
		       unsigned long user)
{
	unsigned int size = _IOC_SIZE(ioctl->cmd);
	union vrnic_argument arg = {};
	long ret;

	if (copy_from_user(&arg, (void __user *)user, size))
		return -EFAULT;
	ret = ioctl->fn(ctx, &arg);
	if (!ret && _IOC_DIR(ioctl->cmd) & _IOC_READ &&
	    copy_to_user((void __user *)user, &arg, size)) {
		vrnic_undo(ctx, ioctl->cmd, &arg);
		ret = -EFAULT;
	}
	return ret;
}

static long vrnic_file_ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	struct vrnic_context *ctx = file->private_data;
	unsigned int nr = _IOC_NR(cmd);
	long ret;
	int idx;

	if (nr >= ARRAY_SIZE(vrnic_ioctls) || vrnic_ioctls[nr].cmd != cmd)
		return -ENOTTY;
	if (!vrnic_device_enter(ctx->vdev, &idx))
		return -ENODEV;
	ret = vrnic_call(ctx, &vrnic_ioctls[nr], user);
	vrnic_device_exit(ctx->vdev, idx);
	return ret;
}

static __poll_t vrnic_file_poll(struct file *file, poll_table *wait)
{
	struct vrnic_context *ctx = file->private_data;

	poll_wait(file, &ctx->completed, wait);
	if (READ_ONCE(ctx->vdev->gone))
		return EPOLLERR | EPOLLHUP;
	return vrnic_context_has_completions(ctx) ? EPOLLIN | EPOLLRDNORM : 0;
}

static int vrnic_file_open(struct inode *inode, struct file *file)
{
	struct vrnic_device *vdev = vrnic_the_device;
	struct vrnic_context *ctx;
	int idx;

	if (!vrnic_device_enter(vdev, &idx))
		return -ENODEV;
	ctx = vrnic_context_create(vdev);
	vrnic_device_exit(vdev, idx);
	if (!ctx)
		return -ENOMEM;
	file->private_data = ctx;
	return 0;
}

static int vrnic_file_release(struct inode *inode, struct file *file)
{
	vrnic_context_destroy(file->private_data);
	return 0;
}

static const struct file_operations vrnic_fops = {
	.owner = THIS_MODULE,
	.open = vrnic_file_open,
	.release = vrnic_file_release,
	.unlocked_ioctl = vrnic_file_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = vrnic_file_poll,
};

static struct miscdevice vrnic_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vrnic0",
	.fops = &vrnic_fops,
	.mode = 0666,
};

/**
 * vrnic_face_register() - make /dev/vrnic0
 * @vdev: the device behind it; there is one
 *
 * Return: 0 or an error.
 */
int vrnic_face_register(struct vrnic_device *vdev)
{
	vrnic_the_device = vdev;
	vrnic_misc.parent = vdev->dev;
	return misc_register(&vrnic_misc);
}

/**
 * vrnic_face_unregister() - no further file is opened when this returns
 */
void vrnic_face_unregister(void)
{
	misc_deregister(&vrnic_misc);
}
