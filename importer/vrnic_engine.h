/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_ENGINE_H
#define VRNIC_ENGINE_H

#include <linux/types.h>

#include "vrnic_mapping.h"

struct seq_file;
struct vrnic_device;
struct vrnic_dma_engine;

/**
 * struct vrnic_engine_ops - what moves bytes
 *
 * But for @open, @get, @try_get, @put and @show, each function is called between
 * vrnic_access_begin() and vrnic_access_end(), for no more than a chunk, within the
 * bounds of the mappings. It is given DMA addresses only. -EFAULT says that one of them
 * was not resolved: which, is in the fault.
 *
 * Operations that an engine has not are NULL.
 */
struct vrnic_engine_ops {
	/** @name: By which it is found; one engine of a device has it. */
	const char *name;
	/** @max_chunk: Most bytes of one call; 0 for any number. */
	u32 max_chunk;
	/** @open: Optional: get ready for a queue; may wait. Returns 0 or an error. */
	int (*open)(struct vrnic_dma_engine *engine);
	/** @get: Optional: have the engine for oneself; waits for transfers of others only. */
	void (*get)(struct vrnic_dma_engine *engine);
	/** @try_get: The same without a wait; goes with @get. Returns whether it has it. */
	bool (*try_get)(struct vrnic_dma_engine *engine);
	/** @put: Goes with @get. */
	void (*put)(struct vrnic_dma_engine *engine);
	/** @show: Optional: a line for debugfs. */
	void (*show)(struct vrnic_dma_engine *engine, struct seq_file *m);
	/** @copy: Copy @len bytes. */
	int (*copy)(struct vrnic_dma_engine *engine, const struct vrnic_place *dst,
		    const struct vrnic_place *src, u64 len, struct vrnic_dma_fault *fault);
	/** @fill: Repeat 8 bytes; @phase is the first of them to be used. */
	int (*fill)(struct vrnic_dma_engine *engine, const struct vrnic_place *dst, u64 pattern,
		    unsigned int phase, u64 len, struct vrnic_dma_fault *fault);
	/** @crc32c: Go on with a checksum. */
	int (*crc32c)(struct vrnic_dma_engine *engine, const struct vrnic_place *src, u64 len,
		      u32 *crc, struct vrnic_dma_fault *fault);
	/** @fetch_add: Add to 8 aligned bytes, tell what they were. */
	int (*fetch_add)(struct vrnic_dma_engine *engine, const struct vrnic_place *dst, u64 add,
			 u64 *old, struct vrnic_dma_fault *fault);
	/** @compare_swap: Replace 8 aligned bytes if they are @compare. */
	int (*compare_swap)(struct vrnic_dma_engine *engine, const struct vrnic_place *dst,
			    u64 compare, u64 swap, u64 *old, struct vrnic_dma_fault *fault);
};

/**
 * struct vrnic_dma_engine - an engine; part of what it needs for itself
 *
 * It is in use until vrnic_device_remove() of each device that has it returns.
 */
struct vrnic_dma_engine {
	/** @ops: What it can do. */
	const struct vrnic_engine_ops *ops;
};

extern struct vrnic_dma_engine vrnic_engine_cpu;

void vrnic_engine_add(struct vrnic_device *vdev, struct vrnic_dma_engine *engine);
struct vrnic_dma_engine *vrnic_engine_find(struct vrnic_device *vdev, const char *name);
int vrnic_engine_open(struct vrnic_dma_engine *engine);

static inline void vrnic_engine_get(struct vrnic_dma_engine *engine)
{
	if (engine->ops->get)
		engine->ops->get(engine);
}

static inline bool vrnic_engine_try_get(struct vrnic_dma_engine *engine)
{
	return !engine->ops->try_get || engine->ops->try_get(engine);
}

static inline void vrnic_engine_put(struct vrnic_dma_engine *engine)
{
	if (engine->ops->put)
		engine->ops->put(engine);
}

static inline bool vrnic_engine_has_atomics(const struct vrnic_dma_engine *engine)
{
	return engine->ops->fetch_add && engine->ops->compare_swap && engine->ops->fill;
}

#endif /* VRNIC_ENGINE_H */
