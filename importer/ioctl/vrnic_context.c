// SPDX-License-Identifier: GPL-2.0
/*
 * What an open file has: handles of regions and queues, and limits.
 */

#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "vrnic_context.h"
#include "vrnic_ioctl.h"
#include "vrnic_mr.h"
#include "vrnic_node.h"

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

static void vrnic_context_free_memory(struct vrnic_context *ctx)
{
	if (ctx->pd.faulters)
		destroy_workqueue(ctx->pd.faulters);
	if (ctx->pd.workers)
		destroy_workqueue(ctx->pd.workers);
	kfree(ctx);
}

/**
 * vrnic_context_create() - begin a client's context
 * @vdev: the device
 *
 * Return: the context, or NULL.
 */
struct vrnic_context *vrnic_context_create(struct vrnic_device *vdev)
{
	struct vrnic_context *ctx;

	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL_ACCOUNT);
	if (!ctx)
		return NULL;
	ctx->pd.workers = vrnic_workers_create();
	ctx->pd.faulters = vrnic_workers_create();
	if (!ctx->pd.workers || !ctx->pd.faulters) {
		vrnic_context_free_memory(ctx);
		return NULL;
	}

	xa_init_flags(&ctx->mrs, XA_FLAGS_ALLOC1);
	xa_init_flags(&ctx->queues, XA_FLAGS_ALLOC1);
	init_waitqueue_head(&ctx->completed);
	ctx->pd.vdev = vdev;
	return ctx;
}

/**
 * vrnic_context_end() - end all that a client has
 * @ctx: the context; no call on it is under way
 */
void vrnic_context_end(struct vrnic_context *ctx)
{
	unsigned long handle;
	struct vrnic_mr *mr;

	vrnic_destroy_queues(ctx);
	xa_for_each(&ctx->mrs, handle, mr)
		vrnic_mr_dereg(vrnic_context_take_mr(ctx, handle));
}

/**
 * vrnic_context_free() - the last of a context
 * @ctx: the context, ended
 */
void vrnic_context_free(struct vrnic_context *ctx)
{
	xa_destroy(&ctx->mrs);
	xa_destroy(&ctx->queues);
	vrnic_context_free_memory(ctx);
}

/**
 * vrnic_context_reserve_mr() - have a handle for a region
 * @ctx: the context
 * @handle: out: the handle, which leads nowhere yet
 *
 * Return: 0, -ENOSPC when the context has its limit of regions, -ENOMEM.
 */
int vrnic_context_reserve_mr(struct vrnic_context *ctx, u32 *handle)
{
	int ret;

	ret = xa_alloc_cyclic(&ctx->mrs, handle, NULL, XA_LIMIT(1, vrnic_max_mrs),
			      &ctx->next_mr, GFP_KERNEL_ACCOUNT);
	if (ret < 0)
		return ret == -EBUSY ? -ENOSPC : ret;
	return 0;
}

/**
 * vrnic_context_set_mr() - let calls find a region, or give the handle back
 * @ctx: the context
 * @handle: of vrnic_context_reserve_mr()
 * @mr: the region, of which the caller has been told: another call may end it at once;
 *	NULL when there is none
 */
void vrnic_context_set_mr(struct vrnic_context *ctx, u32 handle, struct vrnic_mr *mr)
{
	if (mr)
		xa_store(&ctx->mrs, handle, mr, GFP_KERNEL_ACCOUNT);
	else
		xa_erase(&ctx->mrs, handle);
}

/**
 * vrnic_context_get_mr() - find a region by its handle
 * @ctx: the context
 * @handle: the region
 *
 * Return: the region with a reference, or NULL.
 */
struct vrnic_mr *vrnic_context_get_mr(struct vrnic_context *ctx, u32 handle)
{
	struct vrnic_mr *mr;

	xa_lock(&ctx->mrs);
	mr = xa_load(&ctx->mrs, handle);
	if (mr)
		kref_get(&mr->ref);
	xa_unlock(&ctx->mrs);
	return mr;
}

/**
 * vrnic_context_take_mr() - find a region by its handle, for the last time
 * @ctx: the context
 * @handle: the region
 *
 * Return: the region, to be ended by the caller, or NULL.
 */
struct vrnic_mr *vrnic_context_take_mr(struct vrnic_context *ctx, u32 handle)
{
	struct vrnic_mr *mr;

	xa_lock(&ctx->mrs);
	/* A handle that leads nowhere yet stays reserved. */
	mr = xa_load(&ctx->mrs, handle);
	if (mr)
		__xa_erase(&ctx->mrs, handle);
	xa_unlock(&ctx->mrs);
	return mr;
}
