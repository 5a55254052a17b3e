// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers: creation, placement, pins, and the GEM object's functions.
 */

#include <linux/dma-buf.h>
#include <linux/module.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_gem.h>
#include <drm/drm_gem_ttm_helper.h>
#include <drm/drm_prime.h>

#include "ttm.h"
#include "vvram_bo.h"
#include "vvram_cpu.h"
#include "vvram_dma_buf.h"
#include "vvram_drv.h"
#include "vvram_pages.h"
#include "vvram_place.h"
#include "vvram_strict.h"
#include "vvram_sync.h"
#include "vvram_trace.h"

static uint vvram_pin_percent = 50;
module_param_named(pin_limit, vvram_pin_percent, uint, 0644);
MODULE_PARM_DESC(pin_limit,
		 "Most of VRAM, and of the system memory that buffers may have, that may be pinned, percent (default 50)");

/**
 * vvram_pin_limit() - most bytes that may be pinned in a placement
 * @vdev: the device
 * @mem_type: TTM_PL_VRAM, or TTM_PL_TT for system memory
 */
u64 vvram_pin_limit(struct vvram_device *vdev, u32 mem_type)
{
	u64 size = mem_type == TTM_PL_VRAM ? vdev->vram.size :
					     (u64)ttm_tt_pages_limit() << PAGE_SHIFT;

	return div_u64(size * min(READ_ONCE(vvram_pin_percent), 100u), 100);
}

static void vvram_bo_destroy(struct ttm_buffer_object *tbo)
{
	struct vvram_bo *bo = ttm_to_vvram_bo(tbo);
	struct vvram_device *vdev = vvram_bo_device(bo);

	mutex_lock(&vdev->bos_lock);
	list_del(&bo->link);
	if (bo->longterm)
		vdev->longterm -= tbo->base.size;
	mutex_unlock(&vdev->bos_lock);

	if (tbo->base.import_attach)
		drm_prime_gem_destroy(&tbo->base, tbo->sg);
	drm_gem_object_release(&tbo->base);
	vvram_client_put(bo->creator);
	vvram_suspects_put(bo->suspects);
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

static const struct drm_gem_object_funcs vvram_gem_funcs = {
	.free = vvram_gem_free,
	.export = vvram_dma_buf_export,
	.print_info = drm_gem_ttm_print_info,
	.vmap = vvram_gem_vmap,
	.vunmap = vvram_gem_vunmap,
	.mmap = vvram_gem_mmap,
	.vm_ops = &vvram_vm_ops,
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
	init_waitqueue_head(&bo->drained);
	drm_gem_private_object_init(&vdev->drm, &bo->ttm.base, size);
	return bo;
}

/* It may be evicted since it has its place, and that is what is told of it. */
static void vvram_bo_publish(struct vvram_bo *bo)
{
	struct vvram_device *vdev = vvram_bo_device(bo);

	dma_resv_lock(bo->ttm.base.resv, NULL);
	trace_vvram_create(bo);
	dma_resv_unlock(bo->ttm.base.resv);

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

/* With its storage in VRAM or in system memory, or without any. */
static struct vvram_bo *vvram_bo_init(struct vvram_device *vdev, u64 size, u32 mem_type,
				      unsigned int kind, struct vvram_client *creator, bool placed)
{
	struct ttm_operation_ctx ctx = { .interruptible = true, .gfp_retry_mayfail = true };
	struct ttm_placement placement = { .num_placement = placed };
	struct ttm_place place;
	struct vvram_bo *bo;
	int ret;

	bo = vvram_bo_alloc(vdev, size);
	if (!bo)
		return ERR_PTR(-ENOMEM);
	bo->ttm.base.funcs = &vvram_gem_funcs;
	bo->contiguous = kind & VVRAM_BO_CONTIGUOUS;
	bo->is_svm = kind & VVRAM_BO_SVM;
	bo->creator = vvram_client_get(creator);
	bo->home = mem_type;

	place = vvram_bo_place(bo, mem_type, 0);
	placement.placement = &place;
	ret = ttm_bo_init_reserved(&vdev->ttm, &bo->ttm, ttm_bo_type_device, &placement, 0,
				   &ctx, NULL, NULL, vvram_bo_destroy);
	if (ret)
		return ERR_PTR(ret);	/* TTM has destroyed it */
	ttm_bo_unreserve(&bo->ttm);
	return bo;
}

/* Most often there is room, or it can be made at once. */
static struct vvram_bo *vvram_bo_init_placed(struct vvram_device *vdev, u64 size, u32 mem_type,
					     unsigned int kind, struct vvram_client *creator)
{
	struct vvram_bo *bo;
	int ret;

	ret = vvram_placing_begin(vdev, mem_type);
	if (ret)
		return ERR_PTR(ret);
	bo = vvram_bo_init(vdev, size, mem_type, kind, creator, true);
	vvram_placing_end(vdev, mem_type);
	return bo;
}

/* TTM locks a new buffer without a ticket: so it is made first, and placed then. */
static struct vvram_bo *vvram_bo_init_and_place(struct vvram_device *vdev, u64 size,
						u32 mem_type, unsigned int kind,
						struct vvram_client *creator)
{
	struct vvram_sync_set nothing = {};
	struct vvram_bo *bo;
	int ret;

	bo = vvram_bo_init(vdev, size, mem_type, kind, creator, false);
	if (IS_ERR(bo))
		return bo;
	ret = vvram_place(bo, mem_type, &nothing);
	vvram_sync_set_fini(&nothing);
	if (!ret)
		return bo;
	drm_gem_object_put(&bo->ttm.base);
	return ERR_PTR(ret);
}

/**
 * vvram_bo_create() - create a zeroed buffer
 * @vdev: the device
 * @size: bytes, a multiple of the page size
 * @mem_type: TTM_PL_VRAM or TTM_PL_TT
 * @kind: VVRAM_BO_*, or 0
 * @creator: whom it is for
 *
 * No reservation may be held, nor &vvram_device.placing.
 *
 * Return: the buffer with one reference, or an error pointer: -ENOSPC or -ENOMEM
 * when there can't be room.
 */
struct vvram_bo *vvram_bo_create(struct vvram_device *vdev, u64 size, u32 mem_type,
				 unsigned int kind, struct vvram_client *creator)
{
	struct vvram_bo *bo;

	if (mem_type == TTM_PL_VRAM && size > vdev->vram.size)
		return ERR_PTR(-ENOSPC);
	/* What can't be swapped out while it is being filled. */
	if (size >> PAGE_SHIFT > ttm_tt_pages_limit())
		return ERR_PTR(-ENOMEM);

	bo = vvram_bo_init_placed(vdev, size, mem_type, kind, creator);
	if (bo == ERR_PTR(COMPAT_TTM_NO_ROOM) && mem_type == TTM_PL_VRAM)
		bo = vvram_bo_init_and_place(vdev, size, mem_type, kind, creator);
	if (IS_ERR(bo))
		return bo;

	if (!bo->is_svm)
		vvram_bo_publish(bo);
	return bo;
}

/**
 * vvram_bo_create_imported() - make a buffer of another device's memory
 * @vdev: the device
 * @attach: to its dma-buf; goes with the buffer, also when that can't be made, as does a
 *	reference to the dma-buf: TTM may end it later, and needs the reservation for that
 *
 * Return: the buffer, or an error pointer.
 */
struct vvram_bo *vvram_bo_create_imported(struct vvram_device *vdev,
					  struct dma_buf_attachment *attach)
{
	static const struct ttm_place place = { .mem_type = TTM_PL_SYSTEM };
	struct ttm_placement placement = { .num_placement = 1, .placement = &place };
	struct ttm_operation_ctx ctx = { .interruptible = true };
	struct dma_buf *dmabuf = attach->dmabuf;
	struct dma_resv *resv = dmabuf->resv;
	struct vvram_bo *bo;
	int ret;

	bo = vvram_bo_alloc(vdev, dmabuf->size);
	if (!bo) {
		dma_buf_detach(dmabuf, attach);
		return ERR_PTR(-ENOMEM);
	}
	get_dma_buf(dmabuf);
	bo->ttm.base.import_attach = attach;
	bo->ttm.base.funcs = &vvram_gem_import_funcs;
	bo->home = TTM_PL_SYSTEM;

	dma_resv_lock(resv, NULL);
	ret = ttm_bo_init_reserved(&vdev->ttm, &bo->ttm, ttm_bo_type_sg, &placement, 0,
				   &ctx, NULL, resv, vvram_bo_destroy);
	dma_resv_unlock(resv);
	return ret ? ERR_PTR(ret) : bo;
}

/* What leaves one memory for the other must have no users. In between nothing is copied. */
static bool vvram_bo_may_leave(struct vvram_bo *bo, u32 mem_type)
{
	return vvram_bo_is_in_vram(bo) == (mem_type == TTM_PL_VRAM) || vvram_pages_settle(bo);
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
 * Return: 0, -EBUSY when it is pinned elsewhere or somebody has pages of it, -ENOSPC or
 * -ENOMEM, or -EINTR.
 */
int vvram_bo_validate(struct vvram_bo *bo, u32 mem_type, struct ttm_operation_ctx *ctx)
{
	struct ttm_place place = vvram_bo_place(bo, mem_type, 0);
	struct ttm_placement placement = { .num_placement = 1, .placement = &place };

	dma_resv_assert_held(bo->ttm.base.resv);

	if (bo->ttm.pin_count && bo->ttm.resource->mem_type != mem_type)
		return -EBUSY;
	if (!vvram_bo_may_leave(bo, mem_type))
		return -EBUSY;
	return ttm_bo_validate(&bo->ttm, &placement, ctx);
}

/**
 * vvram_bo_validate_for_map() - bring a buffer to where an importer can map it
 * @bo: the buffer, its reservation held, not pinned
 * @allow_vram: every importer reaches VRAM
 * @ctx: how to wait
 *
 * A buffer whose owner wants it in VRAM returns there when there is room, and when nobody
 * has pages of it; no other buffer is evicted for that, lest two importers chase each
 * other's.
 *
 * Return: 0 or an error as of vvram_bo_validate().
 */
int vvram_bo_validate_for_map(struct vvram_bo *bo, bool allow_vram,
			      struct ttm_operation_ctx *ctx)
{
	struct ttm_place places[] = {
		vvram_bo_place(bo, TTM_PL_VRAM, TTM_PL_FLAG_DESIRED),
		vvram_bo_place(bo, TTM_PL_TT, TTM_PL_FLAG_FALLBACK),
	};
	struct ttm_placement placement = {
		.num_placement = ARRAY_SIZE(places),
		.placement = places,
	};

	dma_resv_assert_held(bo->ttm.base.resv);

	if (!allow_vram && vvram_bo_is_in_vram(bo))
		vvram_pages_be_patient(bo);
	if (!allow_vram || bo->home != TTM_PL_VRAM || !vvram_bo_may_leave(bo, TTM_PL_VRAM))
		return vvram_bo_validate(bo, TTM_PL_TT, ctx);
	return ttm_bo_validate(&bo->ttm, &placement, ctx);
}

/* All pins of a buffer are in one placement, since it does not move. */
static atomic64_t *vvram_bo_pinned(struct vvram_bo *bo)
{
	struct vvram_device *vdev = vvram_bo_device(bo);

	return vvram_bo_is_in_vram(bo) ? &vdev->vram_pinned :
							   &vdev->system_pinned;
}

/**
 * vvram_bo_pin() - keep a buffer where it is, or bring it to where it may stay
 * @bo: the buffer, its reservation held
 * @allow_vram: it may be pinned in VRAM
 * @ctx: how to wait
 *
 * Return: 0; -EINVAL when it is pinned in VRAM and @allow_vram is not set;
 * -ENOSPC when more than vvram_pin_limit() would be pinned; or an error as of
 * vvram_bo_validate().
 */
int vvram_bo_pin(struct vvram_bo *bo, bool allow_vram, struct ttm_operation_ctx *ctx)
{
	u64 size = bo->ttm.base.size, limit;
	int ret;

	dma_resv_assert_held(bo->ttm.base.resv);

	if (bo->ttm.pin_count) {
		if (vvram_bo_is_in_vram(bo) && !allow_vram)
			return -EINVAL;
	} else {
		ret = vvram_bo_validate_for_map(bo, allow_vram, ctx);
		if (ret)
			return ret;
		limit = vvram_pin_limit(vvram_bo_device(bo), bo->ttm.resource->mem_type);
		/* What may be pinned by pointers is not to be had twice. */
		if (vvram_bo_is_in_vram(bo))
			limit -= min(limit, READ_ONCE(vvram_bo_device(bo)->longterm));
		if (atomic64_add_return(size, vvram_bo_pinned(bo)) > limit) {
			atomic64_sub(size, vvram_bo_pinned(bo));
			return -ENOSPC;
		}
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

	ttm_bo_unpin(&bo->ttm);
	if (!bo->ttm.pin_count)
		atomic64_sub(bo->ttm.base.size, vvram_bo_pinned(bo));
	trace_vvram_unpin(bo);
}

/**
 * vvram_bo_wait_arrived() - wait until the bytes are where they belong
 * @bo: the buffer, its reservation held
 * @intr: a signal may end the wait
 *
 * For whoever looks at them next. A copy that the device's end cuts short signals its
 * fence as any other.
 *
 * Return: 0, -ERESTARTSYS, or -ENODEV when the device has gone meanwhile.
 */
int vvram_bo_wait_arrived(struct vvram_bo *bo, bool intr)
{
	long ret;

	dma_resv_assert_held(bo->ttm.base.resv);

	ret = dma_resv_wait_timeout(bo->ttm.base.resv, DMA_RESV_USAGE_KERNEL, intr,
				    MAX_SCHEDULE_TIMEOUT);
	if (ret < 0)
		return ret;
	return drm_dev_is_unplugged(bo->ttm.base.dev) ? -ENODEV : 0;
}

/**
 * vvram_bo_map_begin() - note that somebody has got a mapping
 * @bo: the buffer, its reservation held
 *
 * Revocation and unbind wait until vvram_bo_map_end() was called as often.
 */
void vvram_bo_map_begin(struct vvram_bo *bo)
{
	dma_resv_assert_held(bo->ttm.base.resv);

	bo->maps++;
}

/**
 * vvram_bo_map_end() - note that a mapping was given back
 * @bo: the buffer, its reservation held
 */
void vvram_bo_map_end(struct vvram_bo *bo)
{
	dma_resv_assert_held(bo->ttm.base.resv);

	if (!--bo->maps)
		wake_up_all(&bo->unmapped);
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
