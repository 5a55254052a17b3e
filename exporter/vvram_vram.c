// SPDX-License-Identifier: GPL-2.0
/*
 * The memory that plays VRAM: a PCI BAR (vvram_vram_pci.c), or a carve-out of system RAM
 * (vvram_vram_soft.c). They differ in how a peer device reaches them; nothing outside of
 * these files knows which one it is.
 */

#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/module.h>

#include "vvram_drm.h"
#include "vvram_vram.h"

static bool vvram_pages;
module_param_named(pages, vvram_pages, bool, 0444);
MODULE_PARM_DESC(pages,
		 "CPU pointers may be given to files, io_uring and RDMA: mappings have pages (default no)");

/**
 * vvram_vram_wants_pages() - tell whether mappings of new devices are to have pages
 */
bool vvram_vram_wants_pages(void)
{
	return vvram_pages;
}

/**
 * vvram_vram_reach() - decide whether an importer reaches VRAM
 * @vram: the exporter's
 * @attach: the importer's new attachment
 * @distance: out: pci_p2pdma_distance(), or -1
 *
 * Return: one of &enum drm_vvram_reach.
 */
u32 vvram_vram_reach(struct vvram_vram *vram, struct dma_buf_attachment *attach, int *distance)
{
	*distance = -1;
	if (!attach->peer2peer)
		return DRM_VVRAM_REACH_NO_PEER2PEER;
	return vram->ops->reach(vram, attach, distance);
}

/**
 * vvram_vram_map() - give an importer DMA addresses of VRAM
 * @vram: the exporter's
 * @attach: an attachment that reaches VRAM
 * @segs: the buffer's pieces
 * @dir: direction of the DMA
 *
 * The reservation must be held. The table has no pages, only DMA addresses
 * (&dma_buf_attach_ops.allow_peer2peer).
 *
 * Return: the table, or an error pointer; -EBUSY when it can't be mapped, -EOPNOTSUPP
 * when the importer's DMA would be bounced.
 */
struct sg_table *vvram_vram_map(struct vvram_vram *vram, struct dma_buf_attachment *attach,
				const struct vvram_segments *segs, enum dma_data_direction dir)
{
	dma_resv_assert_held(attach->dmabuf->resv);
	return vram->ops->map(vram, attach, segs, dir);
}

/**
 * vvram_vram_unmap() - take back what vvram_vram_map() gave
 * @vram: the exporter's
 * @attach: the attachment
 * @sgt: the table
 * @dir: direction given at mapping
 *
 * The reservation must be held.
 */
void vvram_vram_unmap(struct vvram_vram *vram, struct dma_buf_attachment *attach,
		      struct sg_table *sgt, enum dma_data_direction dir)
{
	dma_resv_assert_held(attach->dmabuf->resv);
	vram->ops->unmap(vram, attach, sgt, dir);
}
