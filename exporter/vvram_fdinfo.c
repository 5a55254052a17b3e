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
#include "vvram_pages.h"

static void vvram_add_bo_stats(struct vvram_bo *bo, struct drm_memory_stats *stats)
{
	struct drm_gem_object *gem = &bo->ttm.base;

	dma_resv_assert_held(gem->resv);

	if (drm_gem_object_is_shared_for_memory_stats(gem))
		stats->shared += gem->size;
	else
		stats->private += gem->size;
	if (vvram_bo_is_in_vram(bo) || (bo->ttm.ttm && ttm_tt_is_populated(bo->ttm.ttm)))
		stats->resident += gem->size;
	if (!dma_resv_test_signaled(gem->resv, DMA_RESV_USAGE_READ))
		stats->active += gem->size;
}

/* The object of the first handle from @id on, with a reference; or NULL. */
static struct drm_gem_object *vvram_next_handle(struct drm_file *file, int *id)
{
	struct drm_gem_object *gem;

	spin_lock(&file->table_lock);
	gem = idr_get_next(&file->object_idr, id);
	if (gem)
		drm_gem_object_get(gem);
	spin_unlock(&file->table_lock);
	return gem;
}

/*
 * What backs a buffer belongs to others while the reservation is theirs. The table is
 * let go to wait for it.
 */
static void vvram_sum_up(struct drm_file *file, struct drm_memory_stats *system,
			 struct drm_memory_stats *vram, u64 *held)
{
	struct drm_gem_object *gem;
	struct vvram_bo *bo;
	int id;

	for (id = 0; (gem = vvram_next_handle(file, &id)); id++) {
		if (!dma_resv_lock_interruptible(gem->resv, NULL)) {
			bo = gem_to_vvram_bo(gem);
			vvram_add_bo_stats(bo, vvram_bo_is_in_vram(bo) ? vram : system);
			*held += (u64)vvram_pages_held(bo) << PAGE_SHIFT;
			dma_resv_unlock(gem->resv);
		}
		drm_gem_object_put(gem);
	}
}

/**
 * vvram_show_fdinfo() - &drm_driver.show_fdinfo
 * @p: where to
 * @file: the client
 *
 * After a signal, buffers that are in use are left out.
 */
void vvram_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct drm_memory_stats system = {}, vram = {};
	struct vvram_client *client = file->driver_priv;
	u64 held = 0;

	vvram_sum_up(file, &system, &vram, &held);
	drm_printf(p, "drm-engine-copy:\t%lld ns\n", atomic64_read(&client->copy_ns));
	drm_printf(p, "drm-engine-capacity-copy:\t%u\n", vvram_copy_capacity());
	drm_print_memory_stats(p, &system, DRM_GEM_OBJECT_RESIDENT | DRM_GEM_OBJECT_ACTIVE,
			       "memory");
	drm_print_memory_stats(p, &vram, DRM_GEM_OBJECT_RESIDENT | DRM_GEM_OBJECT_ACTIVE,
			       "vram");
	drm_printf(p, "vvram-held:\t%llu KiB\n", held >> 10);
	drm_printf(p, "vvram-svm:\t%llu KiB\n",
		   (u64)atomic64_read(&client->svm_pages) << (PAGE_SHIFT - 10));
}
