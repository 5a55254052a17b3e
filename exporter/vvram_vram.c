// SPDX-License-Identifier: GPL-2.0
/*
 * The memory that plays VRAM: a PCI BAR, or a carve-out of system RAM.
 *
 * The two differ in how the CPU maps them and in how a peer device reaches them;
 * nothing outside of this file knows which one it is.
 */

#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/mm.h>
#include <linux/pci-p2pdma.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "contig_pages.h"
#include "dma_buf.h"
#include "p2pdma.h"
#include "vvram_drm.h"
#include "vvram_drv.h"

#define VVRAM_BAR	2

/* Longest page aligned entry that fits the 32 bit length of a scatterlist. */
#define VVRAM_SG_MAX	ALIGN_DOWN(UINT_MAX, PAGE_SIZE)

/**
 * vvram_segments_alloc() - allocate room for the pieces of a buffer
 * @count: number of pieces
 *
 * Return: segments with one reference, or NULL.
 */
struct vvram_segments *vvram_segments_alloc(unsigned int count)
{
	struct vvram_segments *segs;

	segs = kvzalloc(struct_size(segs, seg, count), GFP_KERNEL);
	if (!segs)
		return NULL;

	kref_init(&segs->ref);
	segs->count = count;
	return segs;
}

struct vvram_segments *vvram_segments_get(struct vvram_segments *segs)
{
	kref_get(&segs->ref);
	return segs;
}

static void vvram_segments_release(struct kref *ref)
{
	kvfree(container_of(ref, struct vvram_segments, ref));
}

void vvram_segments_put(struct vvram_segments *segs)
{
	if (segs)
		kref_put(&segs->ref, vvram_segments_release);
}

/**
 * vvram_segments_find() - find the piece that holds a byte of the buffer
 * @segs: the buffer's pieces
 * @offset: in: byte of the buffer; out: byte within the piece
 *
 * Return: the piece, or NULL beyond the end.
 */
const struct vvram_segment *vvram_segments_find(const struct vvram_segments *segs,
						u64 *offset)
{
	unsigned int i;

	for (i = 0; i < segs->count; i++) {
		if (*offset < segs->seg[i].size)
			return &segs->seg[i];
		*offset -= segs->seg[i].size;
	}
	return NULL;
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
	void __iomem *io;
	int ret;

	if (!(pci_resource_flags(pdev, VVRAM_BAR) & IORESOURCE_MEM) ||
	    !pci_resource_len(pdev, VVRAM_BAR))
		return dev_err_probe(&pdev->dev, -ENODEV, "BAR %d is no memory\n",
				     VVRAM_BAR);

	ret = pcim_request_region(pdev, VVRAM_BAR, "vvram");
	if (ret)
		return ret;

	vram->backend = DRM_VVRAM_BACKEND_PCI;
	vram->base = pci_resource_start(pdev, VVRAM_BAR);
	vram->size = ALIGN_DOWN(pci_resource_len(pdev, VVRAM_BAR), PAGE_SIZE);
	vram->caching = ttm_write_combined;

	io = devm_ioremap_wc(&pdev->dev, vram->base, vram->size);
	if (!io)
		return -ENOMEM;
	iosys_map_set_vaddr_iomem(&vram->map, io);

	return compat_p2pdma_init(pdev, VVRAM_BAR, &vram->provider);
}

static void vvram_vram_free_pages(struct drm_device *drm, void *arg)
{
	struct vvram_vram *vram = arg;

	free_contig_range(PHYS_PFN(vram->base), PFN_DOWN(vram->size));
}

/**
 * vvram_vram_init_soft() - carve VRAM out of system RAM
 * @vdev: the device
 * @size: bytes
 *
 * The pages stay until the last user of the device is gone, since there is no
 * hardware that could vanish.
 *
 * Return: 0, -EINVAL for a size that is no multiple of the page size, -ENOMEM.
 */
int vvram_vram_init_soft(struct vvram_device *vdev, u64 size)
{
	struct vvram_vram *vram = &vdev->vram;
	struct page *pages;

	if (!size || !PAGE_ALIGNED(size))
		return -EINVAL;

	pages = compat_alloc_contig_pages(PFN_DOWN(size));
	if (!pages) {
		drm_err(&vdev->drm, "no %llu MiB of contiguous memory for VRAM\n",
			size >> 20);
		return -ENOMEM;
	}

	vram->backend = DRM_VVRAM_BACKEND_SOFT;
	vram->base = page_to_phys(pages);
	vram->size = size;
	vram->caching = ttm_cached;
	iosys_map_set_vaddr(&vram->map, page_address(pages));

	return drmm_add_action_or_reset(&vdev->drm, vvram_vram_free_pages, vram);
}

/**
 * vvram_vram_reach() - decide whether an importer reaches VRAM
 * @vdev: the exporter
 * @attach: the importer's new attachment
 * @distance: out: pci_p2pdma_distance(), or -1
 *
 * A BAR can be reached by PCI devices only, and only over a path that the
 * kernel knows to be legal (Documentation/driver-api/pci/p2pdma.rst). The
 * carve-out is RAM, which every device reaches within its DMA mask.
 *
 * Return: one of &enum drm_vvram_reach.
 */
u32 vvram_vram_reach(struct vvram_device *vdev, struct dma_buf_attachment *attach,
		     int *distance)
{
	struct vvram_vram *vram = &vdev->vram;
	struct device *dev = attach->dev;

	*distance = -1;
	if (!attach->peer2peer)
		return DRM_VVRAM_REACH_NO_PEER2PEER;

	if (vram->backend == DRM_VVRAM_BACKEND_SOFT) {
		if (!dev->dma_mask ||
		    vram->base + vram->size - 1 > min_not_zero(*dev->dma_mask, dev->bus_dma_limit))
			return DRM_VVRAM_REACH_DMA_MASK;
		return DRM_VVRAM_REACH_VRAM;
	}

	if (!dev_is_pci(dev))
		return DRM_VVRAM_REACH_NOT_PCI;
	if (!vram->provider)
		return DRM_VVRAM_REACH_NO_KERNEL;

	*distance = pci_p2pdma_distance(to_pci_dev(vdev->drm.dev), dev, false);
	if (*distance < 0)
		return DRM_VVRAM_REACH_NO_PATH;
	return DRM_VVRAM_REACH_VRAM;
}

static unsigned int vvram_vram_count_sg(const struct vvram_segments *segs)
{
	unsigned int i, n = 0;

	for (i = 0; i < segs->count; i++)
		n += DIV_ROUND_UP_ULL(segs->seg[i].size, VVRAM_SG_MAX);
	return n;
}

static void vvram_soft_unmap_dma(struct device *dev, struct sg_table *sgt,
				 unsigned int mapped, enum dma_data_direction dir)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sg(sgt->sgl, sg, mapped, i)
		dma_unmap_page_attrs(dev, sg_dma_address(sg), sg_dma_len(sg), dir,
				     DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(sgt);
	kfree(sgt);
}

/*
 * RAM behind a table that shows DMA addresses only, as peer memory does, so that
 * importers meet the same rules as with a BAR.
 */
static struct sg_table *vvram_soft_map_dma(struct vvram_vram *vram, struct device *dev,
					   const struct vvram_segments *segs,
					   enum dma_data_direction dir)
{
	struct scatterlist *sg;
	struct sg_table *sgt;
	unsigned int i, n = 0;
	int ret;

	sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	if (!sgt)
		return ERR_PTR(-ENOMEM);

	ret = sg_alloc_table(sgt, vvram_vram_count_sg(segs), GFP_KERNEL);
	if (ret) {
		kfree(sgt);
		return ERR_PTR(ret);
	}

	sg = sgt->sgl;
	for (i = 0; i < segs->count; i++) {
		phys_addr_t phys = vram->base + segs->seg[i].offset;
		u64 left = segs->seg[i].size;

		while (left) {
			size_t len = min_t(u64, left, VVRAM_SG_MAX);
			dma_addr_t addr;

			addr = dma_map_page_attrs(dev, pfn_to_page(PHYS_PFN(phys)), 0, len,
						  dir, DMA_ATTR_SKIP_CPU_SYNC);
			if (dma_mapping_error(dev, addr)) {
				vvram_soft_unmap_dma(dev, sgt, n, dir);
				return ERR_PTR(-EBUSY);
			}
			sg_set_page(sg, NULL, 0, 0);
			sg_dma_address(sg) = addr;
			sg_dma_len(sg) = len;
			sg = sg_next(sg);
			phys += len;
			left -= len;
			n++;
		}
	}
	sgt->orig_nents = 0;
	return sgt;
}

static struct sg_table *vvram_pci_map_dma(struct vvram_vram *vram,
					  struct dma_buf_attachment *attach,
					  const struct vvram_segments *segs, u64 size,
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
	sgt = compat_phys_vec_to_sgt(attach, vram->provider, vec, segs->count, size, dir);
	kvfree(vec);
	return sgt;
}

/**
 * vvram_vram_map_dma() - give an importer DMA addresses of VRAM
 * @vdev: the exporter
 * @attach: an attachment that reaches VRAM
 * @segs: the buffer's pieces
 * @size: the buffer's size in bytes
 * @dir: direction of the DMA
 *
 * The reservation must be held. The table has no pages, only DMA addresses
 * (&dma_buf_attach_ops.allow_peer2peer).
 *
 * Return: the table, or an error pointer; -EBUSY when it can't be mapped.
 */
struct sg_table *vvram_vram_map_dma(struct vvram_device *vdev,
				    struct dma_buf_attachment *attach,
				    const struct vvram_segments *segs, u64 size,
				    enum dma_data_direction dir)
{
	dma_resv_assert_held(attach->dmabuf->resv);

	if (vdev->vram.backend == DRM_VVRAM_BACKEND_SOFT)
		return vvram_soft_map_dma(&vdev->vram, attach->dev, segs, dir);
	return vvram_pci_map_dma(&vdev->vram, attach, segs, size, dir);
}

/**
 * vvram_vram_unmap_dma() - take back what vvram_vram_map_dma() gave
 * @vdev: the exporter
 * @attach: the attachment
 * @sgt: the table
 * @dir: direction given at mapping
 *
 * The reservation must be held.
 */
void vvram_vram_unmap_dma(struct vvram_device *vdev,
			  struct dma_buf_attachment *attach,
			  struct sg_table *sgt, enum dma_data_direction dir)
{
	dma_resv_assert_held(attach->dmabuf->resv);

	/* Hidden from importers, but sg_free_table() goes by it. */
	sgt->orig_nents = sgt->nents;

	if (vdev->vram.backend == DRM_VVRAM_BACKEND_SOFT)
		vvram_soft_unmap_dma(attach->dev, sgt, sgt->nents, dir);
	else
		compat_free_sgt(attach, sgt, dir);
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "tests/vvram_vram_kunit.c"
#endif
