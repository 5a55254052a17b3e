// SPDX-License-Identifier: GPL-2.0
/*
 * The fence that covers DMA in flight of a fenced region.
 */

#include <linux/slab.h>

#include "dma_fence.h"
#include "vrnic_fence.h"

struct vrnic_fence {
	struct dma_fence base;
	spinlock_t lock;
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
 * @context: its timeline
 * @seqno: point on it
 *
 * Whoever publishes it signals it before doing anything that may wait.
 *
 * Return: the fence, or NULL.
 */
struct dma_fence *vrnic_fence_create(u64 context, u64 seqno)
{
	struct vrnic_fence *fence;

	fence = kzalloc(sizeof(*fence), GFP_KERNEL);
	if (!fence)
		return NULL;
	compat_dma_fence_init(&fence->base, &vrnic_fence_ops, &fence->lock, context, seqno);
	return &fence->base;
}
