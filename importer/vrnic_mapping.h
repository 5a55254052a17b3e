/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_MAPPING_H
#define VRNIC_MAPPING_H

#include <linux/types.h>

#include "vrnic_bus.h"

struct device;
struct iosys_map;
struct sg_table;

/**
 * struct vrnic_segment - a run of DMA addresses
 */
struct vrnic_segment {
	/** @addr: First DMA address. */
	dma_addr_t addr;
	/** @start: Byte of the buffer that it holds. */
	u64 start;
	/** @len: Bytes. */
	u64 len;
	/** @linear: The first so many are known to be neighbours; grows without a lock. */
	u64 linear;
};

/**
 * struct vrnic_mapping - DMA addresses of a whole buffer, and what is behind them
 */
struct vrnic_mapping {
	/** @dev: The device whose addresses they are. */
	struct device *dev;
	/** @nr: Entries in @seg, or in @page. */
	unsigned long nr;
	/** @seg: In the buffer's order; NULL for memory that is mapped page by page. */
	struct vrnic_segment *seg;
	/** @page: Else the address of each page, 0 for one that is not there. */
	dma_addr_t *page;
	/** @view: For the CPU engine. */
	struct vrnic_bus_view view;
	/** @place_known: @place is valid; the buffer's reservation. */
	bool place_known;
	/** @place: Checksum of what is behind the addresses; the same. */
	u32 place;
	/** @audited: Bytes that had gone through the region at the last audit; the same. */
	s64 audited;
};

/**
 * struct vrnic_place - bytes behind DMA addresses
 */
struct vrnic_place {
	/** @map: The addresses, and the device whose they are. */
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

int vrnic_mapping_set(struct vrnic_mapping *map, struct device *dev, struct sg_table *sgt);
void vrnic_mapping_clear(struct vrnic_mapping *map);
u32 vrnic_mapping_place(struct vrnic_mapping *map);
struct vrnic_segment *vrnic_find_segment(const struct vrnic_mapping *map, u64 pos, u64 len,
					 struct vrnic_segment *run);
u64 vrnic_resolve(const struct vrnic_place *place, u64 done, u64 len, bool write,
		  struct iosys_map *out, struct vrnic_dma_fault *fault);

#endif /* VRNIC_MAPPING_H */
