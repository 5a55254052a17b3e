/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_TTM_H
#define COMPAT_TTM_H

#include <drm/drm_drv.h>
#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_device.h>
#include <drm/ttm/ttm_resource.h>
#include <drm/ttm/ttm_tt.h>

#ifdef HAVE_DRMM_CGROUP_REGION
#include <linux/cgroup_dmem.h>
#endif

#ifndef HAVE_TTM_BO_FINI
#define ttm_bo_fini	ttm_bo_put
#endif

#ifndef HAVE_TTM_BO_POPULATE
static inline int ttm_bo_populate(struct ttm_buffer_object *bo,
				  struct ttm_operation_ctx *ctx)
{
	return bo->ttm ? ttm_tt_populate(bo->bdev, bo->ttm, ctx) : 0;
}
#endif

/**
 * compat_ttm_device_init() - ttm_device_init() without any special pool
 *
 * Where the kernel lets a driver choose, a lack of room is -ENOSPC.
 */
static inline int compat_ttm_device_init(struct ttm_device *bdev,
					 const struct ttm_device_funcs *funcs,
					 struct drm_device *drm)
{
#ifdef HAVE_TTM_ALLOC_FLAGS
	return ttm_device_init(bdev, funcs, drm->dev,
			       drm->anon_inode->i_mapping,
			       drm->vma_offset_manager,
			       TTM_ALLOCATION_PROPAGATE_ENOSPC);
#else
	return ttm_device_init(bdev, funcs, drm->dev,
			       drm->anon_inode->i_mapping,
			       drm->vma_offset_manager, false, false);
#endif
}

/**
 * compat_ttm_register_dmem() - make a manager's memory a region of the dmem cgroup
 *
 * Does nothing on kernels without that controller.
 */
static inline int compat_ttm_register_dmem(struct drm_device *drm,
					   struct ttm_resource_manager *man,
					   const char *name, u64 size)
{
#ifdef HAVE_DRMM_CGROUP_REGION
	struct dmem_cgroup_region *region;
#ifdef HAVE_DMEM_CGROUP_INIT
	static const struct dmem_cgroup_ops ops = {
		.reclaim = ttm_resource_manager_dmem_reclaim,
	};
	const struct dmem_cgroup_init init = {
		.size = size,
		.ops = &ops,
		.reclaim_priv = man,
	};

	region = drmm_cgroup_register_region(drm, name, &init);
#else
	region = drmm_cgroup_register_region(drm, name, size);
#endif
	if (IS_ERR(region))
		return PTR_ERR(region);
#ifdef HAVE_DMEM_CGROUP_INIT
	ttm_resource_manager_set_dmem_region(man, region);
#else
	man->cg = region;
#endif
#endif
	return 0;
}

#endif /* COMPAT_TTM_H */
