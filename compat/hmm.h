/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_HMM_H
#define COMPAT_HMM_H

#include <linux/dma-mapping.h>
#include <linux/hmm.h>

/*
 * A process's pages for a device, each on its own: pfn_list of struct hmm_dma_map has what
 * hmm_range_fault() found.
 */
#ifdef HAVE_HMM_DMA_MAP

#include <linux/hmm-dma.h>
#include <linux/pci-p2pdma.h>

/**
 * compat_hmm_map_alloc() - tables for a range of pages
 * @dev: the device that does the DMA
 * @map: out: empty; all zero after an error
 * @nr: pages
 *
 * Return: 0, -ENOMEM, or -EOPNOTSUPP for a device whose memory would be bounced.
 */
static inline int compat_hmm_map_alloc(struct device *dev, struct hmm_dma_map *map, size_t nr)
{
	int ret = hmm_dma_map_alloc(dev, map, nr, PAGE_SIZE);

	if (ret)
		*map = (struct hmm_dma_map){};
	return ret;
}

/**
 * compat_hmm_map_free() - free the tables
 * @dev: the device
 * @map: no page of which is mapped
 */
static inline void compat_hmm_map_free(struct device *dev, struct hmm_dma_map *map)
{
	hmm_dma_map_free(dev, map);
}

/**
 * compat_hmm_map_page() - map the page that stands in the list
 * @dev: the device
 * @map: the tables
 * @idx: index of the page, not mapped; allocates nothing that waits for reclaim
 *
 * Return: its DMA address, or one that dma_mapping_error() tells.
 */
static inline dma_addr_t compat_hmm_map_page(struct device *dev, struct hmm_dma_map *map,
					     size_t idx)
{
	struct pci_p2pdma_map_state state = {};

	return hmm_dma_map_pfn(dev, map, idx, &state);
}

/**
 * compat_hmm_unmap_page() - undo compat_hmm_map_page()
 * @dev: the device
 * @map: the tables
 * @idx: index of the page
 * @addr: its DMA address
 */
static inline void compat_hmm_unmap_page(struct device *dev, struct hmm_dma_map *map, size_t idx,
					 dma_addr_t addr)
{
	hmm_dma_unmap_pfn(dev, map, idx);
}

#else

#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

struct hmm_dma_map {
	unsigned long *pfn_list;
};

static inline int compat_hmm_map_alloc(struct device *dev, struct hmm_dma_map *map, size_t nr)
{
	if (is_swiotlb_force_bounce(dev) || dma_addressing_limited(dev))
		return -EOPNOTSUPP;
	map->pfn_list = kvcalloc(nr, sizeof(*map->pfn_list), GFP_KERNEL | __GFP_NOWARN);
	return map->pfn_list ? 0 : -ENOMEM;
}

static inline void compat_hmm_map_free(struct device *dev, struct hmm_dma_map *map)
{
	kvfree(map->pfn_list);
}

static inline dma_addr_t compat_hmm_map_page(struct device *dev, struct hmm_dma_map *map,
					     size_t idx)
{
	return dma_map_page(dev, hmm_pfn_to_page(map->pfn_list[idx]), 0, PAGE_SIZE,
			    DMA_BIDIRECTIONAL);
}

static inline void compat_hmm_unmap_page(struct device *dev, struct hmm_dma_map *map, size_t idx,
					 dma_addr_t addr)
{
	dma_unmap_page(dev, addr, PAGE_SIZE, DMA_BIDIRECTIONAL);
}

#endif

#endif /* COMPAT_HMM_H */
