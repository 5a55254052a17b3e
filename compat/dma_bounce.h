/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_DMA_BOUNCE_H
#define COMPAT_DMA_BOUNCE_H

#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/minmax.h>
#include <linux/scatterlist.h>
#include <linux/swiotlb.h>

/*
 * What DMA_ATTR_REQUIRE_COHERENT asks of the DMA API since Linux 7.3, for all kernels, and
 * without the API's warnings: memory that is shared for long, that nobody syncs, must not
 * be exchanged for a bounce buffer.
 */

/*
 * Behind an IOMMU whole pages are never bounced (dma-iommu), and what dma_need_sync() says
 * is said of the device, not of the address.
 */
static inline bool compat_dma_is_translated(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain && domain->type != IOMMU_DOMAIN_IDENTITY;
}

/**
 * compat_dma_would_bounce() - ask before memory is mapped
 * @dev: the device that is to do the DMA
 * @phys: first byte, in RAM
 * @len: bytes
 *
 * Return: true when the DMA API can't but put a bounce buffer in its place.
 */
static inline bool compat_dma_would_bounce(struct device *dev, phys_addr_t phys, size_t len)
{
	if (compat_dma_is_translated(dev))
		return false;
	return is_swiotlb_force_bounce(dev) ||
	       phys_to_dma(dev, phys) + len - 1 > min_not_zero(dma_get_mask(dev),
							       dev->bus_dma_limit);
}

/**
 * compat_dma_table_would_bounce() - the same for a table that is not mapped yet
 * @dev: the device that is to do the DMA
 * @sgt: the table, with pages
 */
static inline bool compat_dma_table_would_bounce(struct device *dev, struct sg_table *sgt)
{
	struct scatterlist *sg;
	unsigned int i;

	if (compat_dma_is_translated(dev))
		return false;
	for_each_sgtable_sg(sgt, sg, i)
		if (compat_dma_would_bounce(dev, sg_phys(sg), sg->length))
			return true;
	return false;
}

/**
 * compat_dma_table_is_bounced() - ask of a table that is mapped
 * @dev: the device that does the DMA
 * @sgt: the table; only its DMA side is looked at
 *
 * Return: true when an address leads to a bounce buffer, or is not coherent.
 */
static inline bool compat_dma_table_is_bounced(struct device *dev, struct sg_table *sgt)
{
	struct scatterlist *sg;
	unsigned int i;

	if (compat_dma_is_translated(dev))
		return false;
	for_each_sgtable_dma_sg(sgt, sg, i)
		if (dma_need_sync(dev, sg_dma_address(sg)))
			return true;
	return false;
}

#endif /* COMPAT_DMA_BOUNCE_H */
