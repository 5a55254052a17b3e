// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers: creation, placement, pins, and the GEM object's functions.
 */

#include <linux/module.h>
#include <linux/slab.h>

#include <drm/drm_exec.h>
#include <drm/drm_gem.h>
#include <drm/drm_gem_ttm_helper.h>
#include <drm/drm_prime.h>

#include "ttm.h"
#include "vvram_bo.h"
#include "vvram_dma_buf.h"
#include "vvram_drv.h"
#include "vvram_trace.h"

static uint vvram_pin_percent = 50;
module_param_named(pin_limit, vvram_pin_percent, uint, 0644);
MODULE_PARM_DESC(pin_limit, "Most of VRAM that may be pinned, percent (default 50)");

/**
 * vvram_pin_limit() - most bytes of VRAM that may be pinned
 * @vdev: the device
 */
u64 vvram_pin_limit(struct vvram_device *vdev)
{
	return div_u64(vdev->vram.size * min(READ_ONCE(vvram_pin_percent), 100u), 100);
}

static void vvram_bo_destroy(struct ttm_buffer_object *tbo)
{
	struct vvram_bo *bo = ttm_to_vvram_bo(tbo);
	struct vvram_device *vdev = vvram_bo_device(bo);

	mutex_lock(&vdev->bos_lock);
	list_del(&bo->link);
	mutex_unlock(&vdev->bos_lock);

	if (tbo->base.import_attach)
		drm_prime_gem_destroy(&tbo->base, tbo->sg);
	drm_gem_object_release(&tbo->base);
	vvram_client_put(bo->creator);
	kfree(bo);
}

bool vvram_bo_is_ghost(struct ttm_buffer_object *tbo)
{
	return tbo->destroy != vvram_bo_destroy;
}

/**
 * vvram_bo_is_swapped() - tell whether the bytes are in swap
 * @bo: the buffer, its reservation held
 */
bool vvram_bo_is_swapped(struct vvram_bo *bo)
{
	return bo->ttm.ttm && compat_ttm_is_swapped(bo->ttm.ttm);
}

static void vvram_gem_free(struct drm_gem_object *gem)
{
	ttm_bo_fini(&gem_to_vvram_bo(gem)->ttm);
}

/*
 * A mapping stays where it is: pinned. The CPU needs one piece, so a scattered
 * buffer goes to system memory first.
 */
static int vvram_gem_vmap(struct drm_gem_object *gem, struct iosys_map *map)
{
	struct vvram_bo *bo = gem_to_vvram_bo(gem);
	struct vvram_device *vdev = vvram_bo_device(bo);
	struct ttm_resource *res = bo->ttm.resource;
	bool stays;
	long ret;

	stays = res->mem_type == TTM_PL_VRAM && (bo->ttm.pin_count || vvram_is_one_piece(res));
	ret = vvram_bo_pin(bo, stays);
	if (ret)
		return ret;

	ret = dma_resv_wait_timeout(gem->resv, DMA_RESV_USAGE_KERNEL, true,
				    MAX_SCHEDULE_TIMEOUT);
	if (ret < 0)
		goto err_unpin;

	if (bo->ttm.resource->mem_type != TTM_PL_VRAM) {
		ret = ttm_bo_vmap(&bo->ttm, map);
		if (ret)
			goto err_unpin;
		return 0;
	}

	if (!vvram_is_one_piece(bo->ttm.resource)) {
		ret = -EINVAL;
		goto err_unpin;
	}
	*map = vdev->vram.map;
	iosys_map_incr(map, to_vvram_vram_resource(bo->ttm.resource)->segs->seg[0].offset);
	return 0;

err_unpin:
	vvram_bo_unpin(bo);
	return ret;
}

static void vvram_gem_vunmap(struct drm_gem_object *gem, struct iosys_map *map)
{
	struct vvram_bo *bo = gem_to_vvram_bo(gem);

	if (bo->ttm.resource->mem_type != TTM_PL_VRAM)
		ttm_bo_vunmap(&bo->ttm, map);
	else
		iosys_map_clear(map);
	vvram_bo_unpin(bo);
}

static const struct drm_gem_object_funcs vvram_gem_funcs = {
	.free = vvram_gem_free,
	.export = vvram_dma_buf_export,
	.print_info = drm_gem_ttm_print_info,
	.vmap = vvram_gem_vmap,
	.vunmap = vvram_gem_vunmap,
	.mmap = drm_gem_ttm_mmap,
};

/* Only mmap of the exporter's own dma-buf reaches the bytes of a foreign buffer. */
static const struct drm_gem_object_funcs vvram_gem_import_funcs = {
	.free = vvram_gem_free,
	.print_info = drm_gem_ttm_print_info,
};

static struct vvram_bo *vvram_bo_alloc(struct vvram_device *vdev, u64 size)
{
	struct vvram_bo *bo;

	bo = kzalloc(sizeof(*bo), GFP_KERNEL);
	if (!bo)
		return NULL;

	INIT_LIST_HEAD(&bo->link);
	init_waitqueue_head(&bo->unmapped);
	drm_gem_private_object_init(&vdev->drm, &bo->ttm.base, size);
	return bo;
}

static void vvram_bo_publish(struct vvram_bo *bo)
{
	struct vvram_device *vdev = vvram_bo_device(bo);

	mutex_lock(&vdev->bos_lock);
	list_add_tail(&bo->link, &vdev->bos);
	mutex_unlock(&vdev->bos_lock);
}

static struct ttm_place vvram_bo_place(struct vvram_bo *bo, u32 mem_type, u32 flags)
{
	if (mem_type == TTM_PL_VRAM && bo->contiguous)
		flags |= TTM_PL_FLAG_CONTIGUOUS;
	return (struct ttm_place){ .mem_type = mem_type, .flags = flags };
}

/**
 * vvram_bo_create() - create a zeroed buffer
 * @vdev: the device
 * @size: bytes, a multiple of the page size
 * @mem_type: TTM_PL_VRAM or TTM_PL_TT
 * @contiguous: one piece when in VRAM
 * @creator: whom it is for
 *
 * Return: the buffer with one reference, or an error pointer: -ENOSPC or -ENOMEM
 * when there can't be room.
 */
struct vvram_bo *vvram_bo_create(struct vvram_device *vdev, u64 size, u32 mem_type,
				 bool contiguous, struct vvram_client *creator)
{
	struct ttm_operation_ctx ctx = { .interruptible = true, .gfp_retry_mayfail = true };
	struct ttm_placement placement = { .num_placement = 1 };
	struct ttm_place place;
	struct vvram_bo *bo;
	int ret;

	if (mem_type == TTM_PL_VRAM && size > vdev->vram.size)
		return ERR_PTR(-ENOSPC);
	/* What can't be swapped out while it is being filled. */
	if (size >> PAGE_SHIFT > ttm_tt_pages_limit())
		return ERR_PTR(-ENOMEM);

	bo = vvram_bo_alloc(vdev, size);
	if (!bo)
		return ERR_PTR(-ENOMEM);
	bo->ttm.base.funcs = &vvram_gem_funcs;
	bo->contiguous = contiguous;
	bo->creator = vvram_client_get(creator);
	bo->home = mem_type;

	place = vvram_bo_place(bo, mem_type, 0);
	placement.placement = &place;
	ret = ttm_bo_init_reserved(&vdev->ttm, &bo->ttm, ttm_bo_type_device, &placement, 0,
				   &ctx, NULL, NULL, vvram_bo_destroy);
	if (ret)
		return ERR_PTR(ret);	/* TTM has destroyed it */

	trace_vvram_create(bo);
	vvram_bo_publish(bo);
	ttm_bo_unreserve(&bo->ttm);
	return bo;
}

/**
 * vvram_bo_create_imported() - make a buffer of another device's memory
 * @vdev: the device
 * @size: bytes
 * @sgt: the importer's mapping
 * @resv: the exporter's reservation
 *
 * Return: the buffer, or an error pointer.
 */
struct vvram_bo *vvram_bo_create_imported(struct vvram_device *vdev, u64 size,
					  struct sg_table *sgt, struct dma_resv *resv)
{
	static const struct ttm_place place = { .mem_type = TTM_PL_SYSTEM };
	struct ttm_placement placement = { .num_placement = 1, .placement = &place };
	struct ttm_operation_ctx ctx = { .interruptible = true };
	struct vvram_bo *bo;
	int ret;

	bo = vvram_bo_alloc(vdev, size);
	if (!bo)
		return ERR_PTR(-ENOMEM);
	bo->ttm.base.funcs = &vvram_gem_import_funcs;
	bo->home = TTM_PL_SYSTEM;

	dma_resv_lock(resv, NULL);
	ret = ttm_bo_init_reserved(&vdev->ttm, &bo->ttm, ttm_bo_type_sg, &placement, 0,
				   &ctx, sgt, resv, vvram_bo_destroy);
	dma_resv_unlock(resv);
	return ret ? ERR_PTR(ret) : bo;
}

/**
 * vvram_bo_validate() - bring a buffer to a placement
 * @bo: the buffer, its reservation held
 * @mem_type: TTM_PL_VRAM or TTM_PL_TT
 * @ctx: how to wait
 *
 * The bytes may still be on their way: they have arrived when the KERNEL fences
 * of the reservation have signalled.
 *
 * Return: 0, -EBUSY when it is pinned elsewhere, -ENOSPC or -ENOMEM, or -EINTR.
 */
int vvram_bo_validate(struct vvram_bo *bo, u32 mem_type, struct ttm_operation_ctx *ctx)
{
	struct ttm_place place = vvram_bo_place(bo, mem_type, 0);
	struct ttm_placement placement = { .num_placement = 1, .placement = &place };

	dma_resv_assert_held(bo->ttm.base.resv);

	if (bo->ttm.pin_count && bo->ttm.resource->mem_type != mem_type)
		return -EBUSY;
	return ttm_bo_validate(&bo->ttm, &placement, ctx);
}

/**
 * vvram_bo_validate_for_map() - bring a buffer to where an importer can map it
 * @bo: the buffer, its reservation held, not pinned
 * @allow_vram: every importer reaches VRAM
 *
 * A buffer whose owner wants it in VRAM returns there when there is room; no
 * other buffer is evicted for that, lest two importers chase each other's.
 *
 * Return: 0 or an error as of vvram_bo_validate().
 */
int vvram_bo_validate_for_map(struct vvram_bo *bo, bool allow_vram)
{
	struct ttm_operation_ctx ctx = { .interruptible = true, .gfp_retry_mayfail = true };
	struct ttm_place places[] = {
		vvram_bo_place(bo, TTM_PL_VRAM, TTM_PL_FLAG_DESIRED),
		vvram_bo_place(bo, TTM_PL_TT, TTM_PL_FLAG_FALLBACK),
	};
	struct ttm_placement placement = {
		.num_placement = ARRAY_SIZE(places),
		.placement = places,
	};

	dma_resv_assert_held(bo->ttm.base.resv);

	if (!allow_vram || bo->home != TTM_PL_VRAM)
		return vvram_bo_validate(bo, TTM_PL_TT, &ctx);
	return ttm_bo_validate(&bo->ttm, &placement, &ctx);
}

/**
 * vvram_bo_pin() - keep a buffer where it is, or bring it to where it may stay
 * @bo: the buffer, its reservation held
 * @allow_vram: it may be pinned in VRAM
 *
 * Return: 0; -EINVAL when it is pinned in VRAM and @allow_vram is not set;
 * -ENOSPC when more than the limit of VRAM would be pinned; or an error as of
 * vvram_bo_validate().
 */
int vvram_bo_pin(struct vvram_bo *bo, bool allow_vram)
{
	struct vvram_device *vdev = vvram_bo_device(bo);
	u64 size = bo->ttm.base.size;
	int ret;

	dma_resv_assert_held(bo->ttm.base.resv);

	if (bo->ttm.pin_count) {
		if (bo->ttm.resource->mem_type == TTM_PL_VRAM && !allow_vram)
			return -EINVAL;
	} else {
		ret = vvram_bo_validate_for_map(bo, allow_vram);
		if (ret)
			return ret;
	}

	if (bo->ttm.resource->mem_type == TTM_PL_VRAM) {
		if (!bo->vram_pins &&
		    atomic64_add_return(size, &vdev->vram_pinned) > vvram_pin_limit(vdev)) {
			atomic64_sub(size, &vdev->vram_pinned);
			return -ENOSPC;
		}
		bo->vram_pins++;
	}
	ttm_bo_pin(&bo->ttm);
	trace_vvram_pin(bo);
	return 0;
}

/**
 * vvram_bo_unpin() - give back one vvram_bo_pin()
 * @bo: the buffer, its reservation held
 */
void vvram_bo_unpin(struct vvram_bo *bo)
{
	dma_resv_assert_held(bo->ttm.base.resv);

	if (bo->ttm.resource->mem_type == TTM_PL_VRAM && !--bo->vram_pins)
		atomic64_sub(bo->ttm.base.size, &vvram_bo_device(bo)->vram_pinned);
	ttm_bo_unpin(&bo->ttm);
	trace_vvram_unpin(bo);
}

/**
 * vvram_bo_touch() - make a buffer the last one to be evicted
 * @bo: the buffer, its reservation held
 */
void vvram_bo_touch(struct vvram_bo *bo)
{
	spin_lock(&bo->ttm.bdev->lru_lock);
	ttm_bo_move_to_lru_tail(&bo->ttm);
	spin_unlock(&bo->ttm.bdev->lru_lock);
}
