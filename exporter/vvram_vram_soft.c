// SPDX-License-Identifier: GPL-2.0
/* VRAM that is a carve-out of system RAM, which every device reaches within its DMA mask. */

#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "contig_pages.h"
#include "dma_bounce.h"
#include "dma_buf.h"
#include "vvram_dma_buf.h"
#include "vvram_drm.h"
#include "vvram_drv.h"
#include "vvram_svm.h"

static u32 vvram_soft_reach(struct vvram_vram *vram, struct dma_buf_attachment *attach,
			    int *distance)
{
	struct device *dev = attach->dev;

	if (!dev->dma_mask ||
	    vram->base + vram->size - 1 > min_not_zero(*dev->dma_mask, dev->bus_dma_limit))
		return DRM_VVRAM_REACH_DMA_MASK;
	return DRM_VVRAM_REACH_VRAM;
}

static unsigned int vvram_soft_count_sg(const struct vvram_segments *segs, size_t max)
{
	unsigned int i, n = 0;

	for (i = 0; i < segs->count; i++)
		n += DIV_ROUND_UP_ULL(segs->seg[i].size, max);
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
					   const struct vvram_segments *segs, size_t max,
					   enum dma_data_direction dir)
{
	struct scatterlist *sg;
	struct sg_table *sgt;
	unsigned int i, n = 0;
	int ret;

	sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	if (!sgt)
		return ERR_PTR(-ENOMEM);

	ret = sg_alloc_table(sgt, vvram_soft_count_sg(segs, max), GFP_KERNEL);
	if (ret) {
		kfree(sgt);
		return ERR_PTR(ret);
	}

	sg = sgt->sgl;
	for (i = 0; i < segs->count; i++) {
		phys_addr_t phys = vram->base + segs->seg[i].offset;
		u64 left = segs->seg[i].size;

		while (left) {
			size_t len = min_t(u64, left, max);
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

static void vvram_soft_unmap(struct vvram_vram *vram, struct dma_buf_attachment *attach,
			     struct sg_table *sgt, enum dma_data_direction dir)
{
	/* Hidden from importers, but sg_free_table() goes by it. */
	sgt->orig_nents = sgt->nents;
	vvram_soft_unmap_dma(attach->dev, sgt, sgt->nents, dir);
}

/* Memory within reach, as vvram_soft_reach() has found, is bounced for all or for none. */
static struct sg_table *vvram_soft_map(struct vvram_vram *vram, struct dma_buf_attachment *attach,
				       const struct vvram_segments *segs,
				       enum dma_data_direction dir)
{
	struct sg_table *sgt;

	if (compat_dma_would_bounce(attach->dev, vram->base, vram->size))
		return ERR_PTR(vvram_attachment_refuse_bounced(attach));

	sgt = vvram_soft_map_dma(vram, attach->dev, segs, vvram_attachment_max_segment(attach),
				 dir);
	if (IS_ERR(sgt) || !compat_dma_table_is_bounced(attach->dev, sgt))
		return sgt;

	vvram_soft_unmap(vram, attach, sgt, dir);
	return ERR_PTR(vvram_attachment_refuse_bounced(attach));
}

static const struct vvram_vram_ops vvram_soft_ops = {
	.backend = DRM_VVRAM_BACKEND_SOFT,
	.reach = vvram_soft_reach,
	.map = vvram_soft_map,
	.unmap = vvram_soft_unmap,
};

static void vvram_soft_free_pages(struct drm_device *drm, void *arg)
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
	int ret;

	if (!size || !PAGE_ALIGNED(size))
		return -EINVAL;

	pages = compat_alloc_contig_pages(PFN_DOWN(size));
	if (!pages) {
		drm_err(&vdev->drm, "no %llu MiB of contiguous memory for VRAM\n",
			size >> 20);
		return -ENOMEM;
	}

	vram->ops = &vvram_soft_ops;
	vram->base = page_to_phys(pages);
	vram->size = size;
	vram->caching = ttm_cached;
	vram->pages = vvram_vram_wants_pages();
	iosys_map_set_vaddr(&vram->map, page_address(pages));

	ret = drmm_add_action_or_reset(&vdev->drm, vvram_soft_free_pages, vram);
	if (ret || !vvram_svm_is_wanted())
		return ret;
	return vvram_svm_init_private(vdev);
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "tests/vvram_vram_soft_kunit.c"
#endif
