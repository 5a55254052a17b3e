/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_TTM_H
#define COMPAT_TTM_H

#include <drm/drm_drv.h>
#ifdef HAVE_TTM_BO_SHRINK
#include <drm/ttm/ttm_backup.h>
#endif
#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_device.h>
#include <drm/ttm/ttm_pool.h>
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

/*
 * What TTM says when a placement has no room. Where a driver can't choose, it is the same
 * as for a lack of memory (compat_ttm_device_init()).
 */
#ifdef HAVE_TTM_ALLOC_FLAGS
#define COMPAT_TTM_NO_ROOM	(-ENOSPC)
#else
#define COMPAT_TTM_NO_ROOM	(-ENOMEM)
#endif

/*
 * Pages that go to swap one by one while memory is reclaimed, where TTM can do that.
 * Such pages are not under TTM's own limit; elsewhere that limit alone swaps.
 */
#ifdef HAVE_TTM_BO_SHRINK
#define COMPAT_TTM_TT_FLAGS	(TTM_TT_FLAG_EXTERNAL | TTM_TT_FLAG_EXTERNAL_MAPPABLE)

static inline int compat_ttm_setup_backup(struct ttm_tt *tt)
{
	return ttm_tt_setup_backup(tt);
}

static inline bool compat_ttm_is_swapped(struct ttm_tt *tt)
{
	return ttm_tt_is_swapped(tt) || ttm_tt_is_backed_up(tt);
}

static inline int compat_ttm_pool_alloc(struct ttm_device *bdev, struct ttm_tt *tt,
					struct ttm_operation_ctx *ctx)
{
	return ttm_tt_is_backed_up(tt) ? ttm_tt_restore(bdev, tt, ctx) :
					 ttm_pool_alloc(&bdev->pool, tt, ctx);
}

static inline unsigned long compat_ttm_backup_pages(void)
{
	return ttm_backup_bytes_avail() >> PAGE_SHIFT;
}
#else
#define COMPAT_TTM_TT_FLAGS	0

static inline int compat_ttm_setup_backup(struct ttm_tt *tt)
{
	return 0;
}

static inline bool compat_ttm_is_swapped(struct ttm_tt *tt)
{
	return tt->page_flags & TTM_TT_FLAG_SWAPPED;
}

static inline int compat_ttm_pool_alloc(struct ttm_device *bdev, struct ttm_tt *tt,
					struct ttm_operation_ctx *ctx)
{
	return ttm_pool_alloc(&bdev->pool, tt, ctx);
}

static inline unsigned long compat_ttm_backup_pages(void)
{
	return 0;
}
#endif

/**
 * compat_ttm_split_pages() - make each page of a buffer one that can be mapped by itself
 * @tt: pages as ttm_pool_alloc() gave them
 *
 * TTM's larger pages are not compound: only their first one has a reference. Each keeps its
 * order in page->private, and TTM itself splits them so before it swaps them out. It frees each
 * by its reference from then on, so that one that somebody else still has outlives the buffer.
 */
static inline void compat_ttm_split_pages(struct ttm_tt *tt)
{
	unsigned long nr, i = 0;

	while (i < tt->num_pages) {
		unsigned int order = page_private(tt->pages[i]);

		if (order)
			split_page(tt->pages[i], order);
		for (nr = 1UL << order; nr; nr--)
			set_page_private(tt->pages[i++], 0);
	}
}

/**
 * compat_ttm_shrink() - back up the pages of buffers that are not in use
 * @man: the manager of their placement
 * @ctx: how to wait
 * @may: tells whether a buffer may go
 * @done: called for each one that went
 * @enough: end when so many pages were freed
 *
 * Both functions are called with the buffer's reservation held. Does nothing on
 * kernels that can not back up pages.
 *
 * Return: pages freed.
 */
static inline unsigned long
compat_ttm_shrink(struct ttm_resource_manager *man, struct ttm_operation_ctx *ctx,
		  bool (*may)(struct ttm_buffer_object *bo),
		  void (*done)(struct ttm_buffer_object *bo), unsigned long enough)
{
	unsigned long freed = 0;
#ifdef HAVE_TTM_BO_SHRINK
	const struct ttm_bo_shrink_flags flags = { .allow_move = true };
	struct ttm_lru_walk_arg arg = { .ctx = ctx, .trylock_only = true };
	struct ttm_bo_lru_cursor cursor;
	struct ttm_buffer_object *bo;
	long ret;

	ttm_bo_lru_for_each_reserved_guarded(&cursor, man, &arg, bo) {
		if (!ttm_bo_shrink_suitable(bo, ctx) || !may(bo))
			continue;
		ret = ttm_bo_shrink(ctx, bo, flags);
		if (ret <= 0)
			continue;
		done(bo);
		freed += ret;
		if (freed >= enough)
			break;
	}
#endif
	return freed;
}

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
 * struct compat_ttm_dmem - what the dmem cgroup's controller is to shrink
 */
struct compat_ttm_dmem {
	/** @drm: The device. */
	struct drm_device *drm;
	/** @man: The manager. */
	struct ttm_resource_manager *man;
};

#ifdef HAVE_DMEM_CGROUP_INIT
/* Called for as long as there is the region, which ends after what an eviction needs. */
static inline int compat_ttm_dmem_reclaim(struct dmem_cgroup_pool_state *pool, u64 bytes,
					  void *priv)
{
	struct compat_ttm_dmem *dmem = priv;
	int ret, idx;

	if (!drm_dev_enter(dmem->drm, &idx))
		return -ENODEV;
	ret = ttm_resource_manager_dmem_reclaim(pool, bytes, dmem->man);
	drm_dev_exit(idx);
	return ret;
}
#endif

/**
 * compat_ttm_register_dmem() - make a manager's memory a region of the dmem cgroup
 * @dmem: lives as long as the device
 * @drm: the device
 * @man: the manager
 * @name: of the region
 * @size: bytes
 *
 * Does nothing on kernels without that controller.
 *
 * Return: 0 or an error.
 */
static inline int compat_ttm_register_dmem(struct compat_ttm_dmem *dmem, struct drm_device *drm,
					   struct ttm_resource_manager *man,
					   const char *name, u64 size)
{
#ifdef HAVE_DRMM_CGROUP_REGION
	struct dmem_cgroup_region *region;
#ifdef HAVE_DMEM_CGROUP_INIT
	static const struct dmem_cgroup_ops ops = {
		.reclaim = compat_ttm_dmem_reclaim,
	};
	const struct dmem_cgroup_init init = {
		.size = size,
		.ops = &ops,
		.reclaim_priv = dmem,
	};

	*dmem = (struct compat_ttm_dmem){ .drm = drm, .man = man };

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
