/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_ENGINE_H
#define VRNIC_ENGINE_H

#include <linux/types.h>

struct device;
struct vrnic_mapping;

/**
 * struct vrnic_place - bytes behind DMA addresses
 */
struct vrnic_place {
	/** @map: The addresses. */
	const struct vrnic_mapping *map;
	/** @pos: First byte, counted from the first address. */
	u64 pos;
};

/**
 * struct vrnic_engine_ops - what moves bytes
 *
 * Each function is called between vrnic_access_begin() and vrnic_access_end(), for
 * no more than a chunk, within the bounds of the mappings. It is given DMA
 * addresses only. -EFAULT says that one of them was not resolved; @fault is then
 * that address.
 */
struct vrnic_engine_ops {
	/** @copy: Copy @len bytes; the places do not overlap unless they are equal. */
	int (*copy)(struct device *dev, const struct vrnic_place *dst,
		    const struct vrnic_place *src, u64 len, dma_addr_t *fault);
	/** @fill: Repeat 8 bytes; @phase is the first of them to be used. */
	int (*fill)(struct device *dev, const struct vrnic_place *dst, u64 pattern,
		    unsigned int phase, u64 len, dma_addr_t *fault);
	/** @crc32c: Go on with a checksum. */
	int (*crc32c)(struct device *dev, const struct vrnic_place *src, u64 len, u32 *crc,
		      dma_addr_t *fault);
	/** @fetch_add: Add to 8 aligned bytes, tell what they were. */
	int (*fetch_add)(struct device *dev, const struct vrnic_place *dst, u64 add,
			 u64 *old, dma_addr_t *fault);
	/** @compare_swap: Replace 8 aligned bytes if they are @compare. */
	int (*compare_swap)(struct device *dev, const struct vrnic_place *dst, u64 compare,
			    u64 swap, u64 *old, dma_addr_t *fault);
};

extern const struct vrnic_engine_ops vrnic_engine_cpu;

#endif /* VRNIC_ENGINE_H */
