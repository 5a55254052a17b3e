// SPDX-License-Identifier: GPL-2.0
/*
 * The bus as software sees it: from a DMA address to the bytes behind it.
 *
 * An address goes through the IOMMU domain of the device where there is one, at
 * the time of each access: one that was unmapped resolves to nothing, and faults.
 */

#include <linux/dma-direct.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pci.h>

#include "vrnic_bus.h"

/**
 * vrnic_bus_to_phys() - translate a DMA address as the bus does
 * @dev: the device that does the DMA
 * @addr: the address
 *
 * Return: the physical address, or 0 when there is none.
 */
phys_addr_t vrnic_bus_to_phys(struct device *dev, dma_addr_t addr)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain ? iommu_iova_to_phys(domain, addr) : dma_to_phys(dev, addr);
}

/**
 * vrnic_bus_is_ram() - tell RAM from a device's memory
 * @phys: physical address
 */
bool vrnic_bus_is_ram(phys_addr_t phys)
{
	unsigned long pfn = PHYS_PFN(phys);

	return pfn_valid(pfn) && !is_zone_device_page(pfn_to_page(pfn));
}

static const struct vrnic_aperture *
vrnic_find_aperture(const struct vrnic_bus_view *view, phys_addr_t phys)
{
	unsigned int i;

	for (i = 0; i < view->nr; i++)
		if (phys >= view->aperture[i].start &&
		    phys - view->aperture[i].start < view->aperture[i].size)
			return &view->aperture[i];
	return NULL;
}

static bool vrnic_find_bar(phys_addr_t phys, struct resource *bar)
{
	const struct resource probe = DEFINE_RES_MEM(phys, 1);
	struct pci_dev *pdev = NULL;
	struct resource *res;

	for_each_pci_dev(pdev) {
		res = pci_find_resource(pdev, (struct resource *)&probe);
		if (res && res->flags & IORESOURCE_MEM) {
			*bar = *res;
			pci_dev_put(pdev);
			return true;
		}
	}
	return false;
}

static int vrnic_open_aperture(struct vrnic_bus_view *view, phys_addr_t phys)
{
	struct vrnic_aperture *ap = &view->aperture[view->nr];
	struct resource bar;

	if (view->nr == VRNIC_MAX_APERTURES)
		return -ENOSPC;
	if (!vrnic_find_bar(phys, &bar))
		return -EFAULT;

	ap->start = bar.start;
	ap->size = resource_size(&bar);
	ap->io = ioremap_wc(ap->start, ap->size);
	if (!ap->io)
		return -ENOMEM;
	view->nr++;
	return 0;
}

/**
 * vrnic_bus_open() - make the memory behind an address range reachable
 * @view: where to note what was opened
 * @dev: the device that does the DMA
 * @addr: DMA address of a segment
 * @len: its length; it lies in one BAR or in RAM
 *
 * May sleep and allocate, unlike the accesses later on.
 *
 * Return: 0; -EFAULT for an address that leads nowhere; -ENOMEM; -ENOSPC for more
 * BARs than one mapping may touch.
 */
int vrnic_bus_open(struct vrnic_bus_view *view, struct device *dev, dma_addr_t addr, u64 len)
{
	phys_addr_t phys = vrnic_bus_to_phys(dev, addr);

	if (!phys)
		return -EFAULT;
	if (vrnic_bus_is_ram(phys) || vrnic_find_aperture(view, phys))
		return 0;
	return vrnic_open_aperture(view, phys);
}

/**
 * vrnic_bus_close() - undo all vrnic_bus_open()
 * @view: what was opened
 */
void vrnic_bus_close(struct vrnic_bus_view *view)
{
	while (view->nr)
		iounmap(view->aperture[--view->nr].io);
}

/* How many bytes from @addr on are also neighbours physically. */
static u64 vrnic_contiguous(struct device *dev, dma_addr_t addr, phys_addr_t phys, u64 len)
{
	u64 run = PAGE_SIZE - offset_in_page(addr);

	while (run < len && vrnic_bus_to_phys(dev, addr + run) == phys + run)
		run += PAGE_SIZE;
	return min(run, len);
}

/**
 * vrnic_bus_resolve() - find the bytes behind a DMA address, now
 * @view: what was opened for the mapping
 * @dev: the device that does the DMA
 * @addr: the address
 * @len: bytes wanted
 * @map: out: where they are for the CPU
 *
 * Return: number of bytes that follow each other there, 0 for a fault.
 */
u64 vrnic_bus_resolve(const struct vrnic_bus_view *view, struct device *dev,
		      dma_addr_t addr, u64 len, struct iosys_map *map)
{
	phys_addr_t phys = vrnic_bus_to_phys(dev, addr);
	const struct vrnic_aperture *ap;

	if (!phys)
		return 0;

	len = vrnic_contiguous(dev, addr, phys, len);
	if (vrnic_bus_is_ram(phys)) {
		iosys_map_set_vaddr(map, phys_to_virt(phys));
		return len;
	}
	ap = vrnic_find_aperture(view, phys);
	if (!ap)
		return 0;
	iosys_map_set_vaddr_iomem(map, ap->io + (phys - ap->start));
	return min(len, ap->start + ap->size - phys);
}
