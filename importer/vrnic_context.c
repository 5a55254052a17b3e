// SPDX-License-Identifier: GPL-2.0
/*
 * The device and its clients' contexts: how they come, and how they go.
 */

#include <linux/device.h>
#include <linux/dma-fence.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "vrnic_core.h"
#include "vrnic_mr.h"
#include "vrnic_queue.h"

/* A key has twelve bits for the region. */
#define VRNIC_MRS_LIMIT		4095
#define VRNIC_QUEUES_LIMIT	4096
#define VRNIC_DEPTH_LIMIT	65536

uint vrnic_max_mrs = 1024;
module_param_named(max_mrs, vrnic_max_mrs, uint, 0444);
MODULE_PARM_DESC(max_mrs, "Most regions of an open file (default 1024, at most 4095)");

uint vrnic_max_queues = 64;
module_param_named(max_queues, vrnic_max_queues, uint, 0444);
MODULE_PARM_DESC(max_queues, "Most queues of an open file (default 64, at most 4096)");

uint vrnic_max_depth = 4096;
module_param_named(max_depth, vrnic_max_depth, uint, 0444);
MODULE_PARM_DESC(max_depth, "Most work requests of a queue (default 4096, at most 65536)");

/**
 * vrnic_limits_init() - bring the limits that were asked for into what is possible
 */
void vrnic_limits_init(void)
{
	vrnic_max_mrs = clamp_t(uint, vrnic_max_mrs, 1, VRNIC_MRS_LIMIT);
	vrnic_max_queues = clamp_t(uint, vrnic_max_queues, 1, VRNIC_QUEUES_LIMIT);
	vrnic_max_depth = clamp_t(uint, vrnic_max_depth, 1, VRNIC_DEPTH_LIMIT);
}

/**
 * vrnic_stats_read() - counters as userspace sees them
 * @stats: as they are counted
 * @out: where to
 */
void vrnic_stats_read(const struct vrnic_stats *stats, struct vrnic_counters *out)
{
	*out = (struct vrnic_counters) {
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

/**
 * vrnic_device_enter() - keep the bus device from going away
 * @vdev: the device
 * @idx: for vrnic_device_exit()
 *
 * Return: false when it is gone.
 */
bool vrnic_device_enter(struct vrnic_device *vdev, int *idx)
{
	*idx = srcu_read_lock(&vdev->srcu);
	if (!READ_ONCE(vdev->gone))
		return true;
	srcu_read_unlock(&vdev->srcu, *idx);
	return false;
}

void vrnic_device_exit(struct vrnic_device *vdev, int idx)
{
	srcu_read_unlock(&vdev->srcu, idx);
}

static void vrnic_device_free_memory(struct vrnic_device *vdev)
{
	if (vdev->unmap_wq)
		destroy_workqueue(vdev->unmap_wq);
	if (vdev->wq)
		destroy_workqueue(vdev->wq);
	cleanup_srcu_struct(&vdev->srcu);
	mutex_destroy(&vdev->lock);
	kfree(vdev);
}

/**
 * vrnic_device_create() - make an importer
 * @dev: does its DMA
 * @edu: its hardware engine, NULL without
 *
 * Return: the importer, or an error pointer.
 */
struct vrnic_device *vrnic_device_create(struct device *dev, struct vrnic_edu *edu)
{
	struct vrnic_device *vdev;
	int ret;

	vdev = kzalloc(sizeof(*vdev), GFP_KERNEL);
	if (!vdev)
		return ERR_PTR(-ENOMEM);

	ret = init_srcu_struct(&vdev->srcu);
	if (ret) {
		kfree(vdev);
		return ERR_PTR(ret);
	}
	kref_init(&vdev->ref);
	vdev->dev = dev;
	vdev->edu = edu;
	mutex_init(&vdev->lock);
	spin_lock_init(&vdev->blamed_lock);
	INIT_LIST_HEAD(&vdev->contexts);

	vdev->wq = alloc_workqueue("vrnic", WQ_UNBOUND, 0);
	vdev->unmap_wq = alloc_workqueue("vrnic-unmap", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!vdev->wq || !vdev->unmap_wq) {
		vrnic_device_free_memory(vdev);
		return ERR_PTR(-ENOMEM);
	}
	vrnic_debugfs_init(vdev);
	return vdev;
}

static void vrnic_device_free(struct kref *ref)
{
	vrnic_device_free_memory(container_of(ref, struct vrnic_device, ref));
}

void vrnic_device_put(struct vrnic_device *vdev)
{
	kref_put(&vdev->ref, vrnic_device_free);
}

static void vrnic_context_end(struct vrnic_context *ctx)
{
	vrnic_wq_destroy_all(ctx);
	vrnic_mr_dereg_all(ctx);
}

/**
 * vrnic_device_remove() - the bus device is going away
 * @vdev: the device
 *
 * When this returns no mapping is left and no call is under way; contexts stay
 * until their files are closed, and answer -ENODEV.
 */
void vrnic_device_remove(struct vrnic_device *vdev)
{
	struct vrnic_context *ctx;

	WRITE_ONCE(vdev->gone, true);
	mutex_lock(&vdev->lock);
	list_for_each_entry(ctx, &vdev->contexts, link)
		wake_up_all(&ctx->completed);
	mutex_unlock(&vdev->lock);
	synchronize_srcu(&vdev->srcu);

	mutex_lock(&vdev->lock);
	list_for_each_entry(ctx, &vdev->contexts, link)
		vrnic_context_end(ctx);
	mutex_unlock(&vdev->lock);

	/* Contexts that left the list meanwhile are ended by those who close them. */
	synchronize_srcu(&vdev->srcu);

	vrnic_debugfs_fini(vdev);
	vrnic_device_put(vdev);
}

/**
 * vrnic_context_create() - begin a client's context
 * @vdev: the device, entered
 *
 * Return: the context, or NULL.
 */
struct vrnic_context *vrnic_context_create(struct vrnic_device *vdev)
{
	struct vrnic_context *ctx;

	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL_ACCOUNT);
	if (!ctx)
		return NULL;

	mutex_init(&ctx->lock);
	xa_init_flags(&ctx->mrs, XA_FLAGS_ALLOC1);
	xa_init_flags(&ctx->queues, XA_FLAGS_ALLOC1);
	init_waitqueue_head(&ctx->completed);
	ctx->fence_context = dma_fence_context_alloc(vrnic_max_queues + 1);
	kref_get(&vdev->ref);
	ctx->vdev = vdev;

	mutex_lock(&vdev->lock);
	list_add_tail(&ctx->link, &vdev->contexts);
	mutex_unlock(&vdev->lock);
	return ctx;
}

/**
 * vrnic_context_destroy() - end a client's context with all that it has
 * @ctx: the context; no call on it is under way
 */
void vrnic_context_destroy(struct vrnic_context *ctx)
{
	struct vrnic_device *vdev = ctx->vdev;
	int idx;

	/* Not under the lock: what one client waits for must not hold up the others. */
	idx = srcu_read_lock(&vdev->srcu);
	mutex_lock(&vdev->lock);
	list_del(&ctx->link);
	mutex_unlock(&vdev->lock);
	vrnic_context_end(ctx);
	srcu_read_unlock(&vdev->srcu, idx);

	xa_destroy(&ctx->mrs);
	xa_destroy(&ctx->queues);
	mutex_destroy(&ctx->lock);
	kfree(ctx);
	vrnic_device_put(vdev);
}
