// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls: check what userspace says, then call the part that does it.
 *
 * Each runs between drm_dev_enter() and drm_dev_exit(), so that the device can't
 * go away under it.
 */

#include <linux/cleanup.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem_ttm_helper.h>
#include <drm/drm_ioctl.h>

#include "dma_buf.h"
#include "drm_dumb_buffers.h"
#include "ttm.h"
#include "vvram_bo.h"
#include "vvram_copy.h"
#include "vvram_dma_buf.h"
#include "vvram_drm.h"
#include "vvram_drv.h"
#include "vvram_ioctl.h"
#include "vvram_pages.h"
#include "vvram_place.h"
#include "vvram_revoke.h"
#include "vvram_svm.h"
#include "vvram_sync.h"

/* TTM's name for a placement that userspace may ask for. */
static int vvram_placement_to_ttm(u32 placement, u32 *mem_type)
{
	switch (placement) {
	case DRM_VVRAM_PLACEMENT_VRAM:
		*mem_type = TTM_PL_VRAM;
		return 0;
	case DRM_VVRAM_PLACEMENT_SYSTEM:
		*mem_type = TTM_PL_TT;
		return 0;
	default:
		return -EINVAL;
	}
}

static u32 vvram_placement_of(struct vvram_bo *bo)
{
	if (vvram_bo_is_imported(bo))
		return DRM_VVRAM_PLACEMENT_FOREIGN;
	if (vvram_bo_is_in_vram(bo))
		return DRM_VVRAM_PLACEMENT_VRAM;
	if (vvram_bo_is_swapped(bo))
		return DRM_VVRAM_PLACEMENT_SWAP;
	return DRM_VVRAM_PLACEMENT_SYSTEM;
}

static struct vvram_bo *vvram_bo_lookup(struct drm_file *file, u32 handle)
{
	struct drm_gem_object *gem = drm_gem_object_lookup(file, handle);

	return gem ? gem_to_vvram_bo(gem) : NULL;
}

static void vvram_bo_put(struct vvram_bo *bo)
{
	if (bo)
		drm_gem_object_put(&bo->ttm.base);
}

/* For a lookup that is good until the function ends: __free(vvram_bo_put). */
DEFINE_FREE(vvram_bo_put, struct vvram_bo *, vvram_bo_put(_T))

static int vvram_create_handle(struct vvram_device *vdev, struct drm_file *file, u64 size,
			       u32 mem_type, unsigned int kind, u32 *handle)
{
	struct vvram_bo *bo;
	int ret;

	bo = vvram_bo_create(vdev, size, mem_type, kind, file->driver_priv);
	if (IS_ERR(bo))
		return PTR_ERR(bo);

	ret = drm_gem_handle_create(file, &bo->ttm.base, handle);
	vvram_bo_put(bo);
	return ret;
}

static int vvram_gem_create(struct vvram_device *vdev, struct drm_file *file,
			    struct drm_vvram_gem_create *args)
{
	unsigned int kind;
	u32 mem_type;
	u64 size;
	int ret;

	if (args->pad || args->flags & ~DRM_VVRAM_GEM_CREATE_CONTIGUOUS)
		return -EINVAL;
	ret = vvram_placement_to_ttm(args->placement, &mem_type);
	if (ret)
		return ret;

	size = PAGE_ALIGN(args->size);
	if (!size || size < args->size)
		return -EINVAL;

	kind = args->flags & DRM_VVRAM_GEM_CREATE_CONTIGUOUS ? VVRAM_BO_CONTIGUOUS : 0;
	ret = vvram_create_handle(vdev, file, size, mem_type, kind, &args->handle);
	if (!ret)
		args->size = size;
	return ret;
}

static int vvram_gem_mmap_offset(struct vvram_device *vdev, struct drm_file *file,
				 struct drm_vvram_gem_mmap_offset *args)
{
	struct vvram_bo *bo __free(vvram_bo_put) = vvram_bo_lookup(file, args->handle);

	if (args->pad)
		return -EINVAL;
	if (!bo)
		return -ENOENT;
	if (vvram_bo_is_imported(bo))
		return -EINVAL;
	args->offset = drm_vma_node_offset_addr(&bo->ttm.base.vma_node);
	return 0;
}

static int vvram_gem_move(struct vvram_device *vdev, struct drm_file *file,
			  struct drm_vvram_gem_move *args)
{
	struct vvram_bo *bo __free(vvram_bo_put) = vvram_bo_lookup(file, args->handle);
	struct vvram_sync_set syncs;
	u32 mem_type;
	int ret;

	if (args->flags & ~DRM_VVRAM_GEM_MOVE_ASYNC)
		return -EINVAL;
	ret = vvram_placement_to_ttm(args->placement, &mem_type);
	if (ret)
		return ret;
	if (!bo)
		return -ENOENT;
	if (vvram_bo_is_imported(bo))
		return -EINVAL;

	ret = vvram_sync_set_init(&syncs, file, args->syncs, args->num_syncs);
	if (ret)
		return ret;

	ret = vvram_place(bo, mem_type, &syncs);
	if (!ret && !(args->flags & DRM_VVRAM_GEM_MOVE_ASYNC)) {
		vvram_copy_help(bo->ttm.base.resv);
		ret = vvram_sync_set_wait(&syncs, true);
	}
	vvram_sync_set_fini(&syncs);
	return ret;
}

static void vvram_info_locked(struct vvram_bo *bo, struct drm_vvram_gem_info *args)
{
	struct dma_resv *resv = bo->ttm.base.resv;
	struct ttm_resource *res = bo->ttm.resource;

	dma_resv_assert_held(resv);

	args->placement = vvram_placement_of(bo);
	args->flags = 0;
	if (bo->ttm.pin_count)
		args->flags |= DRM_VVRAM_INFO_PINNED;
	if (bo->inode)
		args->flags |= DRM_VVRAM_INFO_EXPORTED;
	if (bo->revoked)
		args->flags |= DRM_VVRAM_INFO_REVOKED;
	if (!dma_resv_test_signaled(resv, DMA_RESV_USAGE_BOOKKEEP))
		args->flags |= DRM_VVRAM_INFO_BUSY;
	args->size = bo->ttm.base.size;
	args->moves = bo->moves;
	args->notifies = bo->notifies;
	args->inode = bo->inode;
	args->pins = bo->ttm.pin_count;
	args->attachments = bo->dma_buf ? list_count_nodes(&bo->dma_buf->attachments) : 0;
	args->segments = args->placement == DRM_VVRAM_PLACEMENT_VRAM ?
			 to_vvram_vram_resource(res)->segs->count : 0;
	args->pad2 = 0;
	args->held_pages = vvram_pages_held(bo);
}

static int vvram_gem_info(struct vvram_device *vdev, struct drm_file *file,
			  struct drm_vvram_gem_info *args)
{
	struct vvram_bo *bo __free(vvram_bo_put) = vvram_bo_lookup(file, args->handle);
	int ret;

	if (args->pad)
		return -EINVAL;
	if (!bo)
		return -ENOENT;
	ret = dma_resv_lock_interruptible(bo->ttm.base.resv, NULL);
	if (ret)
		return ret;
	vvram_info_locked(bo, args);
	dma_resv_unlock(bo->ttm.base.resv);
	return 0;
}

static int vvram_query(struct vvram_device *vdev, struct drm_file *file,
		       struct drm_vvram_query *args)
{
	u64 used, held;

	if (args->pad)
		return -EINVAL;

	used = vvram_vram_mgr_used(&vdev->vram_mgr, &held);
	*args = (struct drm_vvram_query) {
		.backend = vdev->vram.ops->backend,
		.vram_size = vdev->vram.size,
		.vram_used = used,
		.vram_pinned = atomic64_read(&vdev->vram_pinned),
		.vram_pin_limit = vvram_pin_limit(vdev, TTM_PL_VRAM),
		.max_chunk = vdev->vram_mgr.max_chunk,
		.moves = atomic64_read(&vdev->moves),
		.bytes_moved = atomic64_read(&vdev->bytes_moved),
		.evictions = atomic64_read(&vdev->evictions),
		.swapouts = atomic64_read(&vdev->swapouts),
		.system_pinned = atomic64_read(&vdev->system_pinned),
		.system_pin_limit = vvram_pin_limit(vdev, TTM_PL_TT),
		.vram_held = held,
		.violations = atomic64_read(&vdev->strict.violations),
		.svm_used = vvram_svm_used(vdev),
		.svm_moved = (u64)atomic64_read(&vdev->svm.moved) << PAGE_SHIFT,
	};
	if (compat_dma_buf_is_dynamic_kernel())
		args->flags |= DRM_VVRAM_QUERY_DYNAMIC;
	if (vdev->vram.provider)
		args->flags |= DRM_VVRAM_QUERY_P2P;
	if (vdev->vram.pages)
		args->flags |= DRM_VVRAM_QUERY_PAGES;
	if (vdev->svm.select)
		args->flags |= DRM_VVRAM_QUERY_SVM;
	if (vdev->svm.select == MIGRATE_VMA_SELECT_DEVICE_COHERENT)
		args->flags |= DRM_VVRAM_QUERY_SVM_COHERENT;
	return 0;
}

static void vvram_fill_attachment(struct dma_buf_attachment *attach,
				  struct drm_vvram_attachment *out)
{
	const struct vvram_attachment *va = attach->priv;

	*out = (struct drm_vvram_attachment) {
		.reach = va->reach,
		.maps = va->maps,
		.distance = va->distance,
	};
	strscpy(out->device, dev_name(attach->dev));
	if (dma_buf_attach_revocable(attach))
		out->flags |= DRM_VVRAM_ATTACHMENT_DYNAMIC;
	if (va->pins)
		out->flags |= DRM_VVRAM_ATTACHMENT_PINNED;
	if (va->bounced)
		out->flags |= DRM_VVRAM_ATTACHMENT_BOUNCED;
}

/* Into a buffer first: userspace's memory may not be touched under a reservation. */
static u32 vvram_list_attachments(struct vvram_bo *bo, struct drm_vvram_attachment *out,
				  u32 room)
{
	struct dma_buf_attachment *attach;
	u32 n = 0;

	dma_resv_assert_held(bo->ttm.base.resv);

	if (!bo->dma_buf)
		return 0;
	list_for_each_entry(attach, &bo->dma_buf->attachments, node) {
		if (n < room)
			vvram_fill_attachment(attach, &out[n]);
		n++;
	}
	return n;
}

/* More importers than that are only counted. */
#define VVRAM_MAX_LISTED	1024

static int vvram_gem_attachments(struct vvram_device *vdev, struct drm_file *file,
				 struct drm_vvram_gem_attachments *args)
{
	struct vvram_bo *bo __free(vvram_bo_put) = vvram_bo_lookup(file, args->handle);
	u32 room = min_t(u32, args->count, VVRAM_MAX_LISTED), n;
	struct drm_vvram_attachment *out __free(kvfree) =
		kvcalloc(room, sizeof(*out), GFP_KERNEL);
	int ret;

	if (!bo)
		return -ENOENT;
	if (!out)
		return -ENOMEM;
	ret = dma_resv_lock_interruptible(bo->ttm.base.resv, NULL);
	if (ret)
		return ret;
	n = vvram_list_attachments(bo, out, room);
	args->held_pages = vvram_pages_held(bo);
	dma_resv_unlock(bo->ttm.base.resv);

	if (copy_to_user(u64_to_user_ptr(args->attachments), out,
			 sizeof(*out) * min(n, room)))
		return -EFAULT;
	args->count = n;
	return 0;
}

static int vvram_gem_revoke(struct vvram_device *vdev, struct drm_file *file,
			    struct drm_vvram_gem_revoke *args)
{
	struct vvram_bo *bo __free(vvram_bo_put) = vvram_bo_lookup(file, args->handle);

	if (args->pad)
		return -EINVAL;
	if (!bo)
		return -ENOENT;
	if (vvram_bo_is_imported(bo))
		return -EINVAL;
	if (bo->creator != file->driver_priv)
		return -EACCES;
	return vvram_revoke(bo);
}

static int vvram_svm_migrate(struct vvram_device *vdev, struct drm_file *file,
			     struct drm_vvram_svm_migrate *args)
{
	u64 end;
	u32 mem_type;
	int ret;

	if (args->flags || !args->length || args->done > args->length ||
	    args->moved > args->done || check_add_overflow(args->address, args->length, &end) ||
	    !PAGE_ALIGNED(args->address | args->length | args->done | args->moved))
		return -EINVAL;
	ret = vvram_placement_to_ttm(args->placement, &mem_type);
	if (ret)
		return ret;
	if (!vdev->svm.select)
		return -EOPNOTSUPP;
	return vvram_svm_move_range(vdev, file->driver_priv, mem_type == TTM_PL_VRAM, args);
}

/* What most scanout hardware wants of a line. */
#define VVRAM_DUMB_PITCH	64

/**
 * vvram_dumb_create() - &drm_driver.dumb_create
 * @file: who asks
 * @drm: the device
 * @args: geometry, checked by the DRM core; out: pitch, size, handle
 *
 * Return: 0, -ENODEV when the device is gone, -EINVAL on overflow, or an error as of
 * vvram_bo_create().
 */
int vvram_dumb_create(struct drm_file *file, struct drm_device *drm,
		      struct drm_mode_create_dumb *args)
{
	int idx, ret;

	if (!drm_dev_enter(drm, &idx))
		return -ENODEV;
	ret = drm_mode_size_dumb(drm, args, VVRAM_DUMB_PITCH, 0);
	if (!ret)
		ret = vvram_create_handle(to_vvram_device(drm), file, args->size, TTM_PL_VRAM,
					  0, &args->handle);
	drm_dev_exit(idx);
	return ret;
}

/* One entry point for each ioctl, with the device held against unplug. */
#define VVRAM_IOCTL_FN(name, type)						\
static int vvram_##name##_ioctl(struct drm_device *drm, void *data,		\
				struct drm_file *file)				\
{										\
	int idx, ret;								\
										\
	if (!drm_dev_enter(drm, &idx))						\
		return -ENODEV;							\
	ret = vvram_##name(to_vvram_device(drm), file, (struct type *)data);	\
	drm_dev_exit(idx);							\
	return ret;								\
}

VVRAM_IOCTL_FN(gem_create, drm_vvram_gem_create)
VVRAM_IOCTL_FN(gem_mmap_offset, drm_vvram_gem_mmap_offset)
VVRAM_IOCTL_FN(gem_move, drm_vvram_gem_move)
VVRAM_IOCTL_FN(gem_info, drm_vvram_gem_info)
VVRAM_IOCTL_FN(query, drm_vvram_query)
VVRAM_IOCTL_FN(gem_attachments, drm_vvram_gem_attachments)
VVRAM_IOCTL_FN(gem_revoke, drm_vvram_gem_revoke)
VVRAM_IOCTL_FN(svm_migrate, drm_vvram_svm_migrate)

const struct drm_ioctl_desc vvram_ioctls[] = {
	DRM_IOCTL_DEF_DRV(VVRAM_GEM_CREATE, vvram_gem_create_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(VVRAM_GEM_MMAP_OFFSET, vvram_gem_mmap_offset_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(VVRAM_GEM_MOVE, vvram_gem_move_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(VVRAM_GEM_INFO, vvram_gem_info_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(VVRAM_QUERY, vvram_query_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(VVRAM_GEM_ATTACHMENTS, vvram_gem_attachments_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(VVRAM_GEM_REVOKE, vvram_gem_revoke_ioctl, DRM_RENDER_ALLOW),
	DRM_IOCTL_DEF_DRV(VVRAM_SVM_MIGRATE, vvram_svm_migrate_ioctl, DRM_RENDER_ALLOW),
};

const int vvram_num_ioctls = ARRAY_SIZE(vvram_ioctls);
