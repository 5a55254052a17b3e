// SPDX-License-Identifier: GPL-2.0
/*
 * The driver's side of TTM: what backs a buffer, where it is evicted to, and how
 * the CPU maps it.
 */

#include <linux/slab.h>

#include <drm/drm_managed.h>
#include <drm/drm_vma_manager.h>
#include <drm/ttm/ttm_range_manager.h>

#include "ttm.h"
#include "vvram_bo.h"
#include "vvram_drv.h"
#include "vvram_move.h"
#include "vvram_pages.h"
#include "vvram_svm.h"
#include "vvram_trace.h"

/**
 * vvram_tt_has_data() - tell whether there are bytes to carry along
 * @tt: pages of a buffer, may be NULL
 */
bool vvram_tt_has_data(struct ttm_tt *tt)
{
	return tt && (ttm_tt_is_populated(tt) || compat_ttm_is_swapped(tt));
}

/**
 * vvram_tt_account() - note that pages came or went, for the shrinker
 * @vdev: the device
 * @tt: the pages
 * @populated: they came
 */
void vvram_tt_account(struct vvram_device *vdev, struct ttm_tt *tt, bool populated)
{
	atomic_long_add(populated ? tt->num_pages : -(long)tt->num_pages, &vdev->tt_pages);
}

static struct ttm_tt *vvram_tt_create(struct ttm_buffer_object *bo, u32 page_flags)
{
	struct ttm_tt *tt;
	int ret;

	tt = kzalloc(sizeof(*tt), GFP_KERNEL);
	if (!tt)
		return NULL;

	if (bo->type == ttm_bo_type_sg)
		ret = ttm_sg_tt_init(tt, bo, page_flags, ttm_cached);
	else
		ret = ttm_tt_init(tt, bo, page_flags | COMPAT_TTM_TT_FLAGS, ttm_cached, 0);
	if (ret)
		goto err_free;

	/* Now, because there is no memory for it when memory is short. */
	if (bo->type != ttm_bo_type_sg) {
		ret = compat_ttm_setup_backup(tt);
		if (ret)
			goto err_fini;
	}
	return tt;

err_fini:
	ttm_tt_fini(tt);
err_free:
	kfree(tt);
	return NULL;
}

/* Imported: the pages are another device's. */
static bool vvram_tt_is_imported(struct ttm_tt *tt)
{
	return (tt->page_flags & (TTM_TT_FLAG_EXTERNAL | TTM_TT_FLAG_EXTERNAL_MAPPABLE)) ==
	       TTM_TT_FLAG_EXTERNAL;
}

static void vvram_tt_destroy(struct ttm_device *bdev, struct ttm_tt *tt)
{
	ttm_tt_fini(tt);
	kfree(tt);
}

/*
 * Memory is short only when nothing of ours was swapped out while we tried. Before
 * that, nobody is to be killed for it.
 */
static int vvram_tt_alloc(struct vvram_device *vdev, struct ttm_tt *tt,
			  struct ttm_operation_ctx *ctx)
{
	struct ttm_operation_ctx mayfail = *ctx;
	s64 swapouts;
	int ret;

	mayfail.gfp_retry_mayfail = true;
	do {
		swapouts = atomic64_read(&vdev->swapouts);
		ret = compat_ttm_pool_alloc(&vdev->ttm, tt, &mayfail);
		if (ret != -ENOMEM)
			break;
		ret = vvram_shrinker_wait(vdev) ?: -ENOMEM;
	} while (ret == -ENOMEM && swapouts != atomic64_read(&vdev->swapouts));

	if (ret == -ENOMEM && !ctx->gfp_retry_mayfail)
		ret = compat_ttm_pool_alloc(&vdev->ttm, tt, ctx);
	return ret;
}

static int vvram_tt_populate(struct ttm_device *bdev, struct ttm_tt *tt,
			     struct ttm_operation_ctx *ctx)
{
	struct vvram_device *vdev = ttm_to_vvram_device(bdev);
	int ret;

	if (vvram_tt_is_imported(tt))
		return 0;
	ret = vvram_tt_alloc(vdev, tt, ctx);
	if (ret)
		return ret;
	vvram_tt_account(vdev, tt, true);
	if (vdev->vram.pages)
		compat_ttm_split_pages(tt);
	return 0;
}

static void vvram_tt_unpopulate(struct ttm_device *bdev, struct ttm_tt *tt)
{
	if (vvram_tt_is_imported(tt))
		return;
	ttm_pool_free(&bdev->pool, tt);
	vvram_tt_account(ttm_to_vvram_device(bdev), tt, false);
}

/* From VRAM to system memory, from there to where it may be swapped out. */
static void vvram_evict_flags(struct ttm_buffer_object *bo, struct ttm_placement *placement)
{
	static const struct ttm_place to_tt = { .mem_type = TTM_PL_TT };
	static const struct ttm_place to_system = { .mem_type = TTM_PL_SYSTEM };

	if (bo->type == ttm_bo_type_sg || vvram_bo_is_ghost(bo)) {
		/* Nothing of ours to keep: TTM drops the storage. */
		placement->num_placement = 0;
		return;
	}
	/* Nothing is left of a block of SVM when its pages have gone. */
	placement->placement = bo->resource->mem_type == TTM_PL_VRAM &&
			       !ttm_to_vvram_bo(bo)->is_svm ? &to_tt : &to_system;
	placement->num_placement = 1;
}

/*
 * TTM complains of what fails later, and gives up: pages of processes go now. It asks for one
 * after the other, and nobody can interrupt that: none is waited for.
 */
static bool vvram_may_evict(struct vvram_bo *bo)
{
	return bo->is_svm ? vvram_svm_vacate_block(bo, false) : vvram_pages_settle(bo);
}

/* Whoever can't have its place now may have it later: see vvram_place(). */
static bool vvram_eviction_valuable(struct ttm_buffer_object *tbo, const struct ttm_place *place)
{
	if (!ttm_bo_eviction_valuable(tbo, place))
		return false;
	if (vvram_bo_is_ghost(tbo) || tbo->deleted || vvram_may_evict(ttm_to_vvram_bo(tbo)))
		return true;
	atomic64_inc(&ttm_to_vvram_device(tbo->bdev)->held_back);
	return false;
}

/**
 * vvram_swap_notify() - &ttm_device_funcs.swap_notify
 * @tbo: the buffer that goes to swap, its reservation held
 */
void vvram_swap_notify(struct ttm_buffer_object *tbo)
{
	if (vvram_bo_is_ghost(tbo))
		return;
	atomic64_inc(&ttm_to_vvram_device(tbo->bdev)->swapouts);
	trace_vvram_swap(ttm_to_vvram_bo(tbo));
}

static int vvram_io_mem_reserve(struct ttm_device *bdev, struct ttm_resource *mem)
{
	struct vvram_vram *vram = &ttm_to_vvram_device(bdev)->vram;

	if (mem->mem_type != TTM_PL_VRAM)
		return 0;

	/* For TTM's own copy only, which takes what is in one piece. */
	mem->bus.offset = vram->base + to_vvram_vram_resource(mem)->segs->seg[0].offset;
	mem->bus.is_iomem = true;
	mem->bus.caching = vram->caching;
	return 0;
}

static unsigned long vvram_io_mem_pfn(struct ttm_buffer_object *bo, unsigned long page)
{
	struct vvram_vram *vram = &ttm_to_vvram_device(bo->bdev)->vram;
	u64 offset = (u64)page << PAGE_SHIFT;
	const struct vvram_segment *seg;

	seg = vvram_segments_find(to_vvram_vram_resource(bo->resource)->segs, &offset);
	return PHYS_PFN(vram->base + seg->offset + offset);
}

static const struct ttm_device_funcs vvram_ttm_funcs = {
	.ttm_tt_create = vvram_tt_create,
	.ttm_tt_populate = vvram_tt_populate,
	.ttm_tt_unpopulate = vvram_tt_unpopulate,
	.ttm_tt_destroy = vvram_tt_destroy,
	.eviction_valuable = vvram_eviction_valuable,
	.evict_flags = vvram_evict_flags,
	.move = vvram_move,
	.swap_notify = vvram_swap_notify,
	.io_mem_reserve = vvram_io_mem_reserve,
	.io_mem_pfn = vvram_io_mem_pfn,
};

static void vvram_ttm_fini(struct drm_device *drm, void *arg)
{
	struct vvram_device *vdev = arg;

	vvram_vram_mgr_fini(vdev);
	ttm_range_man_fini(&vdev->ttm, TTM_PL_TT);
	ttm_device_fini(&vdev->ttm);
}

/**
 * vvram_ttm_init() - set up TTM with its placements
 * @vdev: the device, its VRAM set up
 *
 * System memory that devices may use is TTM_PL_TT. It has no aperture, so its
 * manager gets as much as the machine has RAM.
 *
 * Return: 0 or an error.
 */
int vvram_ttm_init(struct vvram_device *vdev)
{
	int ret;

	ret = compat_ttm_device_init(&vdev->ttm, &vvram_ttm_funcs, &vdev->drm);
	if (ret)
		return ret;

	ret = ttm_range_man_init(&vdev->ttm, TTM_PL_TT, true, totalram_pages());
	if (ret)
		goto err_device;

	ret = vvram_vram_mgr_init(vdev);
	if (ret)
		goto err_tt;

	return drmm_add_action_or_reset(&vdev->drm, vvram_ttm_fini, vdev);

err_tt:
	ttm_range_man_fini(&vdev->ttm, TTM_PL_TT);
err_device:
	ttm_device_fini(&vdev->ttm);
	return ret;
}
