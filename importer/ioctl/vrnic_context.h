/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_CONTEXT_H
#define VRNIC_CONTEXT_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "vrnic_core.h"

struct vrnic_mr;
struct vrnic_node;

/**
 * struct vrnic_context - the objects of one client; nothing in it reaches another
 */
struct vrnic_context {
	/** @pd: Its domain. */
	struct vrnic_pd pd;
	/** @node: By which it was opened, with a reference. */
	struct vrnic_node *node;
	/** @link: On &vrnic_node.contexts. */
	struct list_head link;
	/** @mrs: Regions by handle. */
	struct xarray mrs;
	/** @next_mr: Where the search for a free handle begins: they come back late. */
	u32 next_mr;
	/** @queues: Queues by handle. */
	struct xarray queues;
	/** @completed: Woken for each completion, and when the device goes. */
	wait_queue_head_t completed;
};

extern uint vrnic_max_mrs;
extern uint vrnic_max_queues;
extern uint vrnic_max_depth;

struct vrnic_context *vrnic_context_create(struct vrnic_device *vdev);
void vrnic_context_end(struct vrnic_context *ctx);
void vrnic_context_free(struct vrnic_context *ctx);
int vrnic_context_reserve_mr(struct vrnic_context *ctx, u32 *handle);
void vrnic_context_set_mr(struct vrnic_context *ctx, u32 handle, struct vrnic_mr *mr);
struct vrnic_mr *vrnic_context_get_mr(struct vrnic_context *ctx, u32 handle);
struct vrnic_mr *vrnic_context_take_mr(struct vrnic_context *ctx, u32 handle);

#endif /* VRNIC_CONTEXT_H */
