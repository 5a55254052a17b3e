// SPDX-License-Identifier: GPL-2.0
/*
 * VRAM that is a BAR of a PCI function. Only PCI devices reach it, and only over a path
 * that the kernel knows to be legal (Documentation/driver-api/pci/p2pdma.rst).
 */

#include <linux/pci-p2pdma.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "dma_buf.h"
#include "p2pdma.h"
#include "vvram_drm.h"
#include "vvram_drv.h"

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
 * vvram_vram_init_pci() - use BAR 2 of a PCI function as VRAM
 * @vdev: the device
 * @pdev: its enabled PCI function
 *
 * Return: 0, -ENODEV when the BAR is no memory, or another error.
 */
int vvram_vram_init_pci(struct vvram_device *vdev, struct pci_dev *pdev)
{
	struct vvram_vram *vram = &vdev->vram;
	void __iomem *io;
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
	vram->caching = ttm_write_combined;

	io = devm_ioremap_wc(&pdev->dev, vram->base, vram->size);
	if (!io)
		return -ENOMEM;
	iosys_map_set_vaddr_iomem(&vram->map, io);

	return compat_p2pdma_init(pdev, VVRAM_BAR, &vram->provider);
}
