// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a client, as Documentation/gpu/drm-usage-stats.rst wants it.
 */

#include <linux/dma-resv.h>

#include <drm/drm_file.h>
#include <drm/drm_print.h>

#include "drm_gem.h"
#include "ttm.h"
#include "vvram_bo.h"
#include "vvram_client.h"
#include "vvram_copy.h"
#include "vvram_drv.h"

static bool vvram_bo_is_resident(struct vvram_bo *bo, bool vram)
{
	return vram || (bo->ttm.ttm && ttm_tt_is_populated(bo->ttm.ttm));
}

static void vvram_add_bo_stats(struct vvram_bo *bo, struct drm_memory_stats *stats, bool vram)
{
	u64 size = bo->ttm.base.size;

	if (bo->ttm.base.handle_count > 1 || bo->dma_buf)
		stats->shared += size;
	else
		stats->private += size;
	if (vvram_bo_is_resident(bo, vram))
		stats->resident += size;
	if (!dma_resv_test_signaled(bo->ttm.base.resv, DMA_RESV_USAGE_READ))
		stats->active += size;
}

/**
 * vvram_show_fdinfo() - &drm_driver.show_fdinfo
 * @p: where to
 * @file: the client
 *
 * Placements are read without the reservation, which may be held for long: a
 * buffer on its way counts for either place.
 */
void vvram_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct drm_memory_stats system = {}, vram = {};
	struct vvram_client *client = file->driver_priv;
	struct drm_gem_object *gem;
	struct ttm_resource *res;
	struct vvram_bo *bo;
	bool in_vram;
	int id;

	spin_lock(&file->table_lock);
	idr_for_each_entry(&file->object_idr, gem, id) {
		bo = gem_to_vvram_bo(gem);
		/* The resource is freed with the LRU lock taken. */
		spin_lock(&bo->ttm.bdev->lru_lock);
		res = bo->ttm.resource;
		in_vram = res && res->mem_type == TTM_PL_VRAM;
		spin_unlock(&bo->ttm.bdev->lru_lock);
		vvram_add_bo_stats(bo, in_vram ? &vram : &system, in_vram);
	}
	spin_unlock(&file->table_lock);

	drm_printf(p, "drm-engine-copy:\t%lld ns\n", atomic64_read(&client->copy_ns));
	drm_printf(p, "drm-engine-capacity-copy:\t%u\n", vvram_copy_capacity());
	drm_print_memory_stats(p, &system, DRM_GEM_OBJECT_RESIDENT | DRM_GEM_OBJECT_ACTIVE,
			       "memory");
	drm_print_memory_stats(p, &vram, DRM_GEM_OBJECT_RESIDENT | DRM_GEM_OBJECT_ACTIVE,
			       "vram");
}
