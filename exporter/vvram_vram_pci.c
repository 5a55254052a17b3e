// SPDX-License-Identifier: GPL-2.0
/*
 * VRAM that is a BAR of a PCI function. Only PCI devices reach it, and only over a path
 * that the kernel knows to be legal (Documentation/driver-api/pci/p2pdma.rst).
 */

#include <linux/pci-p2pdma.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include <drm/drm_print.h>

#include "dma_buf.h"
#include "p2pdma.h"
#include "vvram_drm.h"
#include "vvram_drv.h"
#include "vvram_svm.h"

#define VVRAM_BAR	2

static u32 vvram_pci_reach(struct vvram_vram *vram, struct dma_buf_attachment *attach,
			   int *distance)
{
	struct device *own = container_of(vram, struct vvram_device, vram)->drm.dev;

	if (!dev_is_pci(attach->dev))
		return DRM_VVRAM_REACH_NOT_PCI;
	if (!vram->provider)
		return DRM_VVRAM_REACH_NO_KERNEL;

	*distance = pci_p2pdma_distance(to_pci_dev(own), attach->dev, false);
	if (*distance < 0)
		return DRM_VVRAM_REACH_NO_PATH;
	return DRM_VVRAM_REACH_VRAM;
}

static struct sg_table *vvram_pci_map(struct vvram_vram *vram, struct dma_buf_attachment *attach,
				      const struct vvram_segments *segs,
				      enum dma_data_direction dir)
{
	struct compat_phys_vec *vec;
	struct sg_table *sgt;
	unsigned int i;

	vec = kvmalloc_array(segs->count, sizeof(*vec), GFP_KERNEL);
	if (!vec)
		return ERR_PTR(-ENOMEM);

	for (i = 0; i < segs->count; i++) {
		vec[i].paddr = vram->base + segs->seg[i].offset;
		vec[i].len = segs->seg[i].size;
	}
	sgt = compat_phys_vec_to_sgt(attach, vram->provider, vec, segs->count,
				     attach->dmabuf->size, dir);
	kvfree(vec);
	return sgt;
}

static void vvram_pci_unmap(struct vvram_vram *vram, struct dma_buf_attachment *attach,
			    struct sg_table *sgt, enum dma_data_direction dir)
{
	sgt->orig_nents = sgt->nents;
	compat_free_sgt(attach, sgt, dir);
}

static const struct vvram_vram_ops vvram_pci_ops = {
	.backend = DRM_VVRAM_BACKEND_PCI,
	.reach = vvram_pci_reach,
	.map = vvram_pci_map,
	.unmap = vvram_pci_unmap,
};

/**
 * struct vvram_pci_pages - all pages of a BAR, taken from the kernel's allocator of peer memory
 */
struct vvram_pci_pages {
	/** @pdev: The function. */
	struct pci_dev *pdev;
	/** @addr: The kernel's mapping, of which VRAM makes no use. */
	void *addr;
	/** @size: Bytes. */
	u64 size;
};

/* Without the device's reference: who has one now is the last, as the allocator expects. */
static void vvram_pci_free_pages(void *data)
{
	struct vvram_pci_pages *all = data;
	u64 at;

	for (at = 0; at < all->size; at += PAGE_SIZE)
		WARN_ON_ONCE(!page_ref_freeze(virt_to_page(all->addr + at), 1));
	pci_free_p2pmem(all->pdev, all->addr, all->size);
}

/*
 * The kernel gives out peer memory without a count of users, and takes each page back as soon as
 * its count is zero. It never is: one reference stays for as long as the device is there.
 */
static int vvram_pci_make_pages(struct vvram_vram *vram, struct pci_dev *pdev)
{
	struct vvram_pci_pages *all;
	u64 at;
	int ret;

	ret = pci_p2pdma_add_resource(pdev, VVRAM_BAR, vram->size, 0);
	if (ret == -EOPNOTSUPP) {
		dev_info(&pdev->dev, "this kernel has no pages for a BAR (CONFIG_PCI_P2PDMA is not set)\n");
		return 0;
	}
	if (ret)
		return ret;

	all = devm_kzalloc(&pdev->dev, sizeof(*all), GFP_KERNEL);
	if (!all)
		return -ENOMEM;
	all->pdev = pdev;
	all->size = vram->size;
	all->addr = pci_alloc_p2pmem(pdev, vram->size);
	if (!all->addr)
		return -ENOMEM;
	for (at = 0; at < vram->size; at += PAGE_SIZE)
		init_page_count(virt_to_page(all->addr + at));
	vram->pages = true;
	return devm_add_action_or_reset(&pdev->dev, vvram_pci_free_pages, all);
}

static int vvram_pci_map_wc(struct vvram_vram *vram, struct pci_dev *pdev)
{
	void __iomem *io;

	io = devm_ioremap_wc(&pdev->dev, vram->base, vram->size);
	if (!io)
		return -ENOMEM;
	iosys_map_set_vaddr_iomem(&vram->map, io);
	vram->caching = ttm_write_combined;
	return 0;
}

/* The kernel's mapping of pages is cached, and no memory has two kinds of caching. */
static int vvram_pci_map_cached(struct vvram_device *vdev, struct pci_dev *pdev)
{
	if (vvram_vram_wants_pages())
		return dev_err_probe(&pdev->dev, -EINVAL,
				     "a BAR has either svm=1 or pages=1, since it has one kind of pages\n");
	vdev->vram.caching = ttm_cached;
	return vvram_svm_init_coherent(vdev);
}

/**
 * vvram_vram_init_pci() - use BAR 2 of a PCI function as VRAM
 * @vdev: the device
 * @pdev: its enabled PCI function
 *
 * Return: 0, -ENODEV when the BAR is no memory, or another error.
 */
int vvram_vram_init_pci(struct vvram_device *vdev, struct pci_dev *pdev)
{
	struct vvram_vram *vram = &vdev->vram;
	int ret;

	if (!(pci_resource_flags(pdev, VVRAM_BAR) & IORESOURCE_MEM) ||
	    !pci_resource_len(pdev, VVRAM_BAR))
		return dev_err_probe(&pdev->dev, -ENODEV, "BAR %d is no memory\n",
				     VVRAM_BAR);

	ret = pcim_request_region(pdev, VVRAM_BAR, "vvram");
	if (ret)
		return ret;

	vram->ops = &vvram_pci_ops;
	vram->base = pci_resource_start(pdev, VVRAM_BAR);
	vram->size = ALIGN_DOWN(pci_resource_len(pdev, VVRAM_BAR), PAGE_SIZE);
	ret = vvram_svm_is_wanted() ? vvram_pci_map_cached(vdev, pdev) :
				      vvram_pci_map_wc(vram, pdev);
	if (ret)
		return ret;

	ret = compat_p2pdma_init(pdev, VVRAM_BAR, &vram->provider);
	if (ret || !vvram_vram_wants_pages())
		return ret;
	return vvram_pci_make_pages(vram, pdev);
}
