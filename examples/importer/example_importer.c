// SPDX-License-Identifier: GPL-2.0
/*
 * An importer of dma-bufs that move: to begin from. It has no hardware, so that its DMA is a
 * job that takes a millisecond. All that a driver owes to an exporter is here:
 *
 * - it maps, and waits for KERNEL fences, with the reservation held;
 * - it publishes a fence for its DMA before it lets the reservation go;
 * - when told that the buffer moves it begins no further DMA to the old addresses, and gives
 *   the mapping back as soon as the DMA that is under way has ended;
 * - it maps again when it needs the buffer the next time.
 *
 * Documentation/driver-api/dma-buf.rst
 */

#include <linux/cleanup.h>
#include <linux/device/faux.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "example_importer.h"

/* Does the DMA. */
static struct faux_device *example_dev;

struct example {
	struct mutex lock;		/* for attach and dmabuf: one call at a time */
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;

	/* With the reservation: */
	struct sg_table *sgt;
	bool stale;			/* sgt is to be given back */
	struct dma_fence *job;		/* the last one, or NULL */
	u32 maps;

	struct delayed_work hardware;	/* its interrupt, a millisecond later */
	struct work_struct unmap;
};

struct example_fence {
	struct dma_fence base;
	spinlock_t lock;		/* the fence's own */
};

static const char *example_fence_name(struct dma_fence *fence)
{
	return "example";
}

static const struct dma_fence_ops example_fence_ops = {
	.get_driver_name = example_fence_name,
	.get_timeline_name = example_fence_name,
};

/* Fences of one context signal in their order; jobs of two clients need not: one for each. */
static struct dma_fence *example_fence_create(void)
{
	struct example_fence *fence = kzalloc(sizeof(*fence), GFP_KERNEL);

	if (!fence)
		return NULL;
	spin_lock_init(&fence->lock);
	dma_fence_init(&fence->base, &example_fence_ops, &fence->lock,
		       dma_fence_context_alloc(1), 1);
	return &fence->base;
}

static bool example_is_busy(const struct example *e)
{
	return e->job && !dma_fence_is_signaled(e->job);
}

static void example_unmap_locked(struct example *e)
{
	dma_resv_assert_held(e->dmabuf->resv);

	if (e->sgt)
		dma_buf_unmap_attachment(e->attach, e->sgt, DMA_BIDIRECTIONAL);
	e->sgt = NULL;
	e->stale = false;
}

static int example_map_locked(struct example *e)
{
	struct sg_table *sgt;
	int ret;

	dma_resv_assert_held(e->dmabuf->resv);

	if (e->stale) {
		ret = e->job ? dma_fence_wait(e->job, true) : 0;
		if (ret)
			return ret;
		example_unmap_locked(e);
	}
	if (e->sgt)
		return 0;
	sgt = dma_buf_map_attachment(e->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	e->sgt = sgt;
	e->maps++;
	return 0;
}

/* The exporter, with the reservation: what it does next waits for the fence of the job. */
static void example_invalidate(struct dma_buf_attachment *attach)
{
	struct example *e = attach->importer_priv;

	if (example_is_busy(e))
		e->stale = e->sgt;
	else
		example_unmap_locked(e);
}

static const struct dma_buf_attach_ops example_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = example_invalidate,
};

/* A fence must not wait for a reservation: it signals here, and the mapping goes from there. */
static void example_hardware(struct work_struct *work)
{
	struct example *e = container_of(to_delayed_work(work), struct example, hardware);
	bool cookie = dma_fence_begin_signalling();

	dma_fence_signal(e->job);
	dma_fence_end_signalling(cookie);
	queue_work(system_unbound_wq, &e->unmap);
}

static void example_unmap(struct work_struct *work)
{
	struct example *e = container_of(work, struct example, unmap);

	dma_resv_lock(e->dmabuf->resv, NULL);
	if (e->stale && !example_is_busy(e))
		example_unmap_locked(e);
	dma_resv_unlock(e->dmabuf->resv);
}

/* Here hardware would be told each address, and its interrupt would end the job. */
static void example_start(struct example *e)
{
	struct scatterlist *sg;
	u64 bytes = 0;
	int i;

	for_each_sgtable_dma_sg(e->sgt, sg, i)
		bytes += sg_dma_len(sg);
	WARN_ON(bytes < e->dmabuf->size);
	queue_delayed_work(system_unbound_wq, &e->hardware, msecs_to_jiffies(1));
}

static int example_run_locked(struct example *e)
{
	struct dma_resv *resv = e->dmabuf->resv;
	struct dma_fence *fence;
	long ret;

	/* One job at a time. */
	ret = e->job ? dma_fence_wait(e->job, true) : 0;
	if (!ret)
		ret = example_map_locked(e);
	if (ret)
		return ret;
	/* The bytes may still be on their way to where they are mapped. */
	ret = dma_resv_wait_timeout(resv, DMA_RESV_USAGE_KERNEL, true, MAX_SCHEDULE_TIMEOUT);
	if (ret < 0)
		return ret;
	ret = dma_resv_reserve_fences(resv, 1);
	if (ret)
		return ret;
	fence = example_fence_create();
	if (!fence)
		return -ENOMEM;

	dma_fence_put(e->job);
	e->job = fence;
	dma_resv_add_fence(resv, fence, DMA_RESV_USAGE_WRITE);
	example_start(e);
	return 0;
}

static int example_run(struct example *e)
{
	int ret;

	if (!e->attach)
		return -EINVAL;
	/* The work of the job before uses what the next one changes. */
	flush_delayed_work(&e->hardware);
	ret = dma_resv_lock_interruptible(e->dmabuf->resv, NULL);
	if (ret)
		return ret;
	ret = example_run_locked(e);
	dma_resv_unlock(e->dmabuf->resv);
	return ret;
}

static int example_import(struct example *e, int fd)
{
	struct dma_buf_attachment *attach;
	struct dma_buf *dmabuf;

	if (e->attach)
		return -EBUSY;
	dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	e->dmabuf = dmabuf;
	attach = dma_buf_dynamic_attach(dmabuf, &example_dev->dev, &example_attach_ops, e);
	if (IS_ERR(attach)) {
		dma_buf_put(dmabuf);
		return PTR_ERR(attach);
	}
	e->attach = attach;
	return 0;
}

static long example_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct example *e = file->private_data;

	guard(mutex)(&e->lock);
	switch (cmd) {
	case EXAMPLE_IMPORT:
		return example_import(e, arg);
	case EXAMPLE_RUN:
		return example_run(e);
	case EXAMPLE_MAPS:
		return put_user(e->maps, (u32 __user *)arg);
	default:
		return -ENOTTY;
	}
}

static int example_open(struct inode *inode, struct file *file)
{
	struct example *e = kzalloc(sizeof(*e), GFP_KERNEL);

	if (!e)
		return -ENOMEM;
	mutex_init(&e->lock);
	INIT_DELAYED_WORK(&e->hardware, example_hardware);
	INIT_WORK(&e->unmap, example_unmap);
	file->private_data = e;
	return 0;
}

static void example_give_up(struct example *e)
{
	flush_delayed_work(&e->hardware);
	flush_work(&e->unmap);
	dma_resv_lock(e->dmabuf->resv, NULL);
	example_unmap_locked(e);
	dma_resv_unlock(e->dmabuf->resv);
	dma_buf_detach(e->dmabuf, e->attach);
	dma_buf_put(e->dmabuf);
}

static int example_close(struct inode *inode, struct file *file)
{
	struct example *e = file->private_data;

	if (e->attach)
		example_give_up(e);
	dma_fence_put(e->job);
	mutex_destroy(&e->lock);
	kfree(e);
	return 0;
}

static const struct file_operations example_fops = {
	.owner = THIS_MODULE,
	.open = example_open,
	.release = example_close,
	.unlocked_ioctl = example_ioctl,
};

static struct miscdevice example_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "example_importer",
	.fops = &example_fops,
};

static int __init example_init(void)
{
	int ret;

	example_dev = faux_device_create("example_importer", NULL, NULL);
	if (!example_dev)
		return -ENODEV;
	ret = dma_coerce_mask_and_coherent(&example_dev->dev, DMA_BIT_MASK(64));
	if (!ret)
		ret = misc_register(&example_misc);
	if (ret)
		faux_device_destroy(example_dev);
	return ret;
}

static void __exit example_exit(void)
{
	misc_deregister(&example_misc);
	faux_device_destroy(example_dev);
}

module_init(example_init);
module_exit(example_exit);

MODULE_IMPORT_NS("DMA_BUF");
MODULE_AUTHOR("movable-dmabuf");
MODULE_DESCRIPTION("An importer of dma-bufs to begin from");
MODULE_LICENSE("GPL");
