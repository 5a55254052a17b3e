/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_ENGINE_H
#define VRNIC_ENGINE_H

#include <linux/types.h>

struct iosys_map;
struct vrnic_device;
struct vrnic_mapping;
struct vrnic_segment;

/**
 * struct vrnic_place - bytes behind DMA addresses
 */
struct vrnic_place {
	/** @map: The addresses. */
	struct vrnic_mapping *map;
	/** @pos: First byte, counted from the first address. */
	u64 pos;
};

/**
 * struct vrnic_dma_fault - an address that the bus did not resolve
 */
struct vrnic_dma_fault {
	/** @addr: The address. */
	dma_addr_t addr;
	/** @write: It was to be written. */
	bool write;
};

/**
 * struct vrnic_engine_ops - what moves bytes
 *
 * But for @open, @get and @put, each function is called between vrnic_access_begin() and
 * vrnic_access_end(), for no more than a chunk, within the bounds of the mappings.
 * It is given DMA addresses only. -EFAULT says that one of them was not resolved:
 * which, is in the fault.
 *
 * Operations that an engine has not are NULL.
 */
struct vrnic_engine_ops {
	/** @max_chunk: Most bytes of one call; 0 for any number. */
	u32 max_chunk;
	/** @open: Optional: get ready for a queue; may wait. Returns 0 or an error. */
	int (*open)(struct vrnic_device *vdev);
	/** @get: Optional: have the engine for oneself; may wait. */
	void (*get)(struct vrnic_device *vdev);
	/** @put: Goes with @get. */
	void (*put)(struct vrnic_device *vdev);
	/** @copy: Copy @len bytes. */
	int (*copy)(struct vrnic_device *vdev, const struct vrnic_place *dst,
		    const struct vrnic_place *src, u64 len, struct vrnic_dma_fault *fault);
	/** @fill: Repeat 8 bytes; @phase is the first of them to be used. */
	int (*fill)(struct vrnic_device *vdev, const struct vrnic_place *dst, u64 pattern,
		    unsigned int phase, u64 len, struct vrnic_dma_fault *fault);
	/** @crc32c: Go on with a checksum. */
	int (*crc32c)(struct vrnic_device *vdev, const struct vrnic_place *src, u64 len,
		      u32 *crc, struct vrnic_dma_fault *fault);
	/** @fetch_add: Add to 8 aligned bytes, tell what they were. */
	int (*fetch_add)(struct vrnic_device *vdev, const struct vrnic_place *dst, u64 add,
			 u64 *old, struct vrnic_dma_fault *fault);
	/** @compare_swap: Replace 8 aligned bytes if they are @compare. */
	int (*compare_swap)(struct vrnic_device *vdev, const struct vrnic_place *dst,
			    u64 compare, u64 swap, u64 *old, struct vrnic_dma_fault *fault);
};

extern const struct vrnic_engine_ops vrnic_engine_cpu;
extern const struct vrnic_engine_ops vrnic_engine_edu;

struct vrnic_segment *vrnic_find_segment(const struct vrnic_mapping *map, u64 pos);
u64 vrnic_resolve(struct vrnic_device *vdev, const struct vrnic_place *place, u64 done,
		  u64 len, bool write, struct iosys_map *out, struct vrnic_dma_fault *fault);

#endif /* VRNIC_ENGINE_H */
