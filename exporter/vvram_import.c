// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers of other devices, imported by PRIME.
 */

#include <drm/drm_prime.h>

#include "dma_buf.h"
#include "vvram_bo.h"
#include "vvram_drv.h"

/**
 * vvram_import_sg_table() - &drm_driver.gem_prime_import_sg_table
 * @drm: the device
 * @attach: its attachment to the foreign buffer
 * @sgt: the mapping
 *
 * Such a buffer can be passed on and waited for, but it is its exporter's to
 * place, to map and to notify of.
 *
 * Return: the GEM object, or an error pointer.
 */
struct drm_gem_object *vvram_import_sg_table(struct drm_device *drm,
					     struct dma_buf_attachment *attach,
					     struct sg_table *sgt)
{
	struct vvram_bo *bo;

	bo = vvram_bo_create_imported(to_vvram_device(drm), attach->dmabuf->size, sgt,
				      attach->dmabuf->resv);
	return IS_ERR(bo) ? ERR_CAST(bo) : &bo->ttm.base;
}
