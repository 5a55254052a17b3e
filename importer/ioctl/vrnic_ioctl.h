/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_IOCTL_H
#define VRNIC_IOCTL_H

#include <linux/build_bug.h>
#include <linux/types.h>

#include "vrnic.h"

struct vrnic_context;
struct vrnic_device;
struct vrnic_dma_engine;

/* Values that are the same on both sides, and go from one to the other as they are. */
#define VRNIC_SAME(uapi, core)	static_assert((int)(uapi) == (int)(core))

/**
 * struct vrnic_call - one call, from its argument to its answer
 */
struct vrnic_call {
	/** @ctx: Whose it is. */
	struct vrnic_context *ctx;
	/** @user: Where the argument came from, and the answer goes to. */
	void __user *user;
	/** @size: Bytes of it that both sides know of. */
	size_t size;
	/** @arg: The argument, as it came and as it is answered. */
	union vrnic_argument {
		struct vrnic_query query;
		struct vrnic_reg_mr reg_mr;
		struct vrnic_dereg_mr dereg_mr;
		struct vrnic_advise_mr advise_mr;
		struct vrnic_query_mr query_mr;
		struct vrnic_create_queue create_queue;
		struct vrnic_queue queue;
		struct vrnic_post post;
		struct vrnic_poll poll;
	} arg;
};

long vrnic_ioctl(struct vrnic_context *ctx, unsigned int cmd, void __user *user);
long vrnic_answer(const struct vrnic_call *call);

/* vrnic_ioctl_queue.c */
struct vrnic_dma_engine *vrnic_ioctl_engine(struct vrnic_device *vdev, u32 engine);
long vrnic_create_queue(struct vrnic_call *call);
long vrnic_destroy_queue(struct vrnic_call *call);
long vrnic_reset_queue(struct vrnic_call *call);
long vrnic_post(struct vrnic_call *call);
long vrnic_poll_queue(struct vrnic_call *call);
void vrnic_destroy_queues(struct vrnic_context *ctx);
bool vrnic_has_completions(struct vrnic_context *ctx);

#endif /* VRNIC_IOCTL_H */
