// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers of other devices, imported by PRIME.
 */

#include <linux/dma-buf.h>

#include "dma_buf.h"
#include "vvram_bo.h"
#include "vvram_drv.h"

/**
 * vvram_import() - import a buffer of another device
 * @drm: the device
 * @dmabuf: the buffer
 *
 * Such a buffer can be passed on and waited for, but it is its exporter's to place, to map
 * and to notify of. It is attached, so that its exporter knows, but not mapped: no DMA will
 * be done, and where the exporter's memory is bounced, the end of a mapping would overwrite
 * what the CPU has written since it was made.
 *
 * Return: the GEM object with a reference, or an error pointer.
 */
struct drm_gem_object *vvram_import(struct drm_device *drm, struct dma_buf *dmabuf)
{
	struct dma_buf_attachment *attach;
	struct vvram_bo *bo;

	attach = dma_buf_attach(dmabuf, drm->dev);
	if (IS_ERR(attach))
		return ERR_CAST(attach);

	bo = vvram_bo_create_imported(to_vvram_device(drm), attach);
	return IS_ERR(bo) ? ERR_CAST(bo) : &bo->ttm.base;
}
