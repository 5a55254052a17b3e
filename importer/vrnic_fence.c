// SPDX-License-Identifier: GPL-2.0
/*
 * The fence that covers DMA in flight of a fenced region.
 */

#include <linux/slab.h>

#include "dma_fence.h"
#include "vrnic_fence.h"
#include "vrnic_wq.h"

/**
 * struct vrnic_fence - a fence of a queue
 */
struct vrnic_fence {
	/** @base: The fence; first, so that it is freed with it. */
	struct dma_fence base;
	/** @lock: For kernels whose fences have none of their own. */
	spinlock_t lock;	/* for @base on kernels whose fences bring none */
};

static const char *vrnic_fence_driver_name(struct dma_fence *fence)
{
	return "vrnic";
}

static const char *vrnic_fence_timeline_name(struct dma_fence *fence)
{
	return "dma";
}

static const struct dma_fence_ops vrnic_fence_ops = {
	.get_driver_name = vrnic_fence_driver_name,
	.get_timeline_name = vrnic_fence_timeline_name,
};

/**
 * vrnic_fence_create() - make a fence
 * @wq: the queue whose work it covers, called by its worker only; a queue's fences signal
 *	in order
 *
 * Whoever publishes it signals it before doing anything that may wait.
 *
 * Return: the fence, or NULL.
 */
struct dma_fence *vrnic_fence_create(struct vrnic_wq *wq)
{
	struct vrnic_fence *fence;

	fence = kzalloc(sizeof(*fence), GFP_KERNEL);
	if (!fence)
		return NULL;
	compat_dma_fence_init(&fence->base, &vrnic_fence_ops, &fence->lock,
			      wq->fence_context, ++wq->fence_seqno);
	return &fence->base;
}

/**
 * vrnic_fence_needs_module() - whether a fence would call into this module for ever
 * @fence: any fence, which has signalled
 */
bool vrnic_fence_needs_module(const struct dma_fence *fence)
{
	return compat_dma_fence_needs_ops(fence, &vrnic_fence_ops);
}
