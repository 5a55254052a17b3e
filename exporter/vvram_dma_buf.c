// SPDX-License-Identifier: GPL-2.0
/*
 * The exporter's side of dma-buf: who is attached, what each of them reaches, and
 * the mappings and pins that they hold.
 *
 * Locking as in Documentation/driver-api/dma-buf.rst ("DMA-BUF locking
 * convention"): attach, detach and release are called without the reservation,
 * pin, unpin, map and unmap with it.
 */

#include <linux/dma-mapping.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_prime.h>
#include <drm/drm_print.h>
#include <drm/ttm/ttm_tt.h>

#include "dma_bounce.h"
#include "dma_buf.h"
#include "vvram_bo.h"
#include "vvram_dma_buf.h"
#include "vvram_drm.h"
#include "vvram_drv.h"
#include "vvram_place.h"
#include "vvram_trace.h"

static struct vvram_bo *dma_buf_to_vvram_bo(struct dma_buf *dmabuf)
{
	return gem_to_vvram_bo((struct drm_gem_object *)dmabuf->priv);
}

/**
 * vvram_all_reach_vram() - tell whether a buffer may be mapped or pinned in VRAM
 * @bo: the buffer, its reservation held
 *
 * The least able importer decides for all: a buffer that one of them can reach
 * only in system memory is not to wander between two placements.
 */
bool vvram_all_reach_vram(struct vvram_bo *bo)
{
	struct dma_buf_attachment *attach;
	struct vvram_attachment *va;

	dma_resv_assert_held(bo->ttm.base.resv);

	if (!bo->dma_buf)
		return true;
	list_for_each_entry(attach, &bo->dma_buf->attachments, node) {
		va = attach->priv;
		if (va->reach != DRM_VVRAM_REACH_VRAM)
			return false;
	}
	return true;
}

/* Pinned where the newcomer can't follow: the buffer will not come to it either. */
static bool vvram_is_out_of_reach(struct vvram_bo *bo)
{
	return bo->ttm.pin_count && vvram_bo_is_in_vram(bo);
}

static int vvram_dma_buf_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct vvram_bo *bo = dma_buf_to_vvram_bo(dmabuf);
	struct vvram_attachment *va;
	int ret = 0;

	va = kzalloc(sizeof(*va), GFP_KERNEL);
	if (!va)
		return -ENOMEM;

	INIT_LIST_HEAD(&va->mappings);
	va->reach = vvram_vram_reach(&vvram_bo_device(bo)->vram, attach, &va->distance);
	if (va->reach != DRM_VVRAM_REACH_VRAM)
		attach->peer2peer = false;

	dma_resv_lock(dmabuf->resv, NULL);
	if (bo->revoked)
		ret = -ENODEV;
	else if (va->reach != DRM_VVRAM_REACH_VRAM && vvram_is_out_of_reach(bo))
		ret = -EBUSY;
	else
		trace_vvram_attach(bo, attach->dev, va->reach);
	dma_resv_unlock(dmabuf->resv);
	if (ret) {
		kfree(va);
		return ret;
	}

	attach->priv = va;
	return 0;
}

/*
 * Lockdep tells an importer that calls without the reservation; that nobody at all
 * holds it shows on every kernel. Going on would race with a move.
 */
static bool vvram_is_locked(struct vvram_bo *bo, struct dma_buf_attachment *attach)
{
	if (dma_resv_is_locked(attach->dmabuf->resv))
		return true;
	atomic64_inc(&vvram_bo_device(bo)->chaos.unlocked_calls);
	vvram_breach(bo, attach, VVRAM_BREACH_UNLOCKED);
	return false;
}

static bool vvram_is_called_well(struct vvram_bo *bo, struct dma_buf_attachment *attach)
{
	return vvram_is_locked(bo, attach) && vvram_strict_is_attached(bo, attach);
}

static int vvram_dma_buf_pin(struct dma_buf_attachment *attach)
{
	struct vvram_bo *bo = dma_buf_to_vvram_bo(attach->dmabuf);
	struct ttm_operation_ctx ctx = { .interruptible = true, .gfp_retry_mayfail = true };
	struct vvram_attachment *va = attach->priv;
	bool in_vram;
	int ret, idx;

	if (!vvram_is_called_well(bo, attach))
		return -EINVAL;
	if (bo->revoked || !drm_dev_enter(bo->ttm.base.dev, &idx))
		return -ENODEV;

	in_vram = vvram_all_reach_vram(bo) && (vvram_bo_is_in_vram(bo) || vvram_may_return(bo));
	ret = vvram_bo_pin(bo, in_vram, &ctx);
	drm_dev_exit(idx);
	if (ret)
		return ret;

	/* The importer may use a pinned buffer at once, without any fence. */
	ret = vvram_bo_wait_arrived(bo, true);
	if (ret) {
		vvram_bo_unpin(bo);
		return ret;
	}
	va->pins++;
	return 0;
}

static void vvram_dma_buf_unpin(struct dma_buf_attachment *attach)
{
	struct vvram_bo *bo = dma_buf_to_vvram_bo(attach->dmabuf);
	struct vvram_attachment *va = attach->priv;

	if (!vvram_is_called_well(bo, attach))
		return;
	if (!va->pins) {
		/* It would be another's, who counts on it. */
		vvram_breach(bo, attach, VVRAM_BREACH_UNPIN);
		return;
	}
	va->pins--;
	vvram_bo_unpin(bo);
}

/**
 * vvram_attachment_refuse_bounced() - tell of an importer that gets at copies only
 * @attach: the attachment
 *
 * The reservation must be held. A mapping of a dma-buf is in use for long, and nobody syncs
 * it: what the importer writes to a bounce buffer would never arrive.
 *
 * Return: -EOPNOTSUPP, for the importer.
 */
int vvram_attachment_refuse_bounced(struct dma_buf_attachment *attach)
{
	struct vvram_bo *bo = dma_buf_to_vvram_bo(attach->dmabuf);
	struct vvram_attachment *va = attach->priv;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!va->bounced)
		drm_info(bo->ttm.base.dev,
			 "importer %s can't have inode %lu: its DMA would be bounced (swiotlb=force, or a DMA mask of %#llx)\n",
			 dev_name(attach->dev), bo->inode, dma_get_mask(attach->dev));
	va->bounced = true;
	return -EOPNOTSUPP;
}

/**
 * vvram_attachment_max_segment() - the longest segment that an importer's device takes
 * @attach: the attachment
 *
 * Return: bytes, whole pages (Documentation/core-api/dma-api.rst).
 */
size_t vvram_attachment_max_segment(struct dma_buf_attachment *attach)
{
	size_t max = min_t(size_t, dma_get_max_seg_size(attach->dev),
			   dma_max_mapping_size(attach->dev));

	return max_t(size_t, ALIGN_DOWN(max, PAGE_SIZE), PAGE_SIZE);
}

static struct sg_table *vvram_make_system_table(struct dma_buf_attachment *attach,
						struct ttm_tt *tt)
{
	struct sg_table *sgt;
	int ret;

	sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	if (!sgt)
		return ERR_PTR(-ENOMEM);
	ret = sg_alloc_table_from_pages_segment(sgt, tt->pages, tt->num_pages, 0,
						(u64)tt->num_pages << PAGE_SHIFT,
						vvram_attachment_max_segment(attach), GFP_KERNEL);
	if (!ret)
		return sgt;
	kfree(sgt);
	return ERR_PTR(ret);
}

static void vvram_unmap_system(struct dma_buf_attachment *attach, struct sg_table *sgt,
			       enum dma_data_direction dir)
{
	dma_unmap_sgtable(attach->dev, sgt, dir, DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(sgt);
	kfree(sgt);
}

static struct sg_table *vvram_map_system(struct vvram_bo *bo,
					 struct dma_buf_attachment *attach,
					 enum dma_data_direction dir)
{
	struct sg_table *sgt = vvram_make_system_table(attach, bo->ttm.ttm);
	int ret = -EBUSY;

	if (IS_ERR(sgt))
		return sgt;

	/* Asked before, so that no bounce buffers are taken from those who need them. */
	if (compat_dma_table_would_bounce(attach->dev, sgt)) {
		ret = vvram_attachment_refuse_bounced(attach);
		goto err_free;
	}
	if (dma_map_sgtable(attach->dev, sgt, dir, DMA_ATTR_SKIP_CPU_SYNC))
		goto err_free;
	if (compat_dma_table_is_bounced(attach->dev, sgt)) {
		vvram_unmap_system(attach, sgt, dir);
		return ERR_PTR(vvram_attachment_refuse_bounced(attach));
	}
	return sgt;

err_free:
	sg_free_table(sgt);
	kfree(sgt);
	return ERR_PTR(ret);
}

static struct sg_table *vvram_map_placed(struct vvram_bo *bo,
					 struct dma_buf_attachment *attach,
					 enum dma_data_direction dir)
{
	switch (bo->ttm.resource->mem_type) {
	case TTM_PL_TT:
		return vvram_map_system(bo, attach, dir);
	case TTM_PL_VRAM:
		/* Pinned there before this importer came. */
		if (!attach->peer2peer)
			return ERR_PTR(-EINVAL);
		return vvram_vram_map(&vvram_bo_device(bo)->vram, attach,
				      to_vvram_vram_resource(bo->ttm.resource)->segs, dir);
	default:
		return ERR_PTR(-EINVAL);
	}
}

static struct vvram_mapping *vvram_mapping_make(struct vvram_bo *bo,
						struct dma_buf_attachment *attach,
						enum dma_data_direction dir)
{
	struct vvram_attachment *va = attach->priv;
	struct vvram_mapping *mapping;
	struct sg_table *sgt;

	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL);
	if (!mapping)
		return ERR_PTR(-ENOMEM);

	sgt = vvram_map_placed(bo, attach, dir);
	if (IS_ERR(sgt)) {
		kfree(mapping);
		return ERR_CAST(sgt);
	}
	mapping->sgt = sgt;
	mapping->dir = dir;
	mapping->in_vram = vvram_bo_is_in_vram(bo);
	vvram_notice_init(&mapping->notice, attach);
	list_add(&mapping->link, &va->mappings);
	va->maps++;
	vvram_suspects_add(bo, attach);
	return mapping;
}

static struct vvram_mapping *vvram_mapping_find(struct vvram_attachment *va,
						const struct sg_table *sgt)
{
	struct vvram_mapping *mapping;

	list_for_each_entry(mapping, &va->mappings, link)
		if (mapping->sgt == sgt)
			return mapping;
	return NULL;
}

static void vvram_mapping_end(struct vvram_bo *bo, struct dma_buf_attachment *attach,
			      struct vvram_mapping *mapping)
{
	struct vvram_device *vdev = vvram_bo_device(bo);
	struct vvram_attachment *va = attach->priv;

	trace_vvram_unmap(bo, attach->dev, mapping->sgt->nents);
	vvram_strict_unmap(vdev, &mapping->notice);
	if (mapping->in_vram)
		vvram_vram_unmap(&vdev->vram, attach, mapping->sgt, mapping->dir);
	else
		vvram_unmap_system(attach, mapping->sgt, mapping->dir);
	list_del(&mapping->link);
	kfree(mapping);
	va->maps--;
	vvram_bo_map_end(bo);
}

static bool vvram_may_map_in_vram(struct vvram_bo *bo, struct dma_buf_attachment *attach)
{
	return attach->peer2peer && vvram_all_reach_vram(bo) &&
	       (vvram_bo_is_in_vram(bo) || vvram_may_return(bo));
}

static struct vvram_mapping *vvram_map_where_possible(struct vvram_bo *bo,
						      struct dma_buf_attachment *attach,
						      enum dma_data_direction dir)
{
	struct ttm_operation_ctx ctx = { .interruptible = true, .gfp_retry_mayfail = true };
	int ret;

	ret = vvram_chaos_fail(&vvram_bo_device(bo)->chaos, VVRAM_FAIL_MAP);
	if (!ret && !bo->ttm.pin_count)
		ret = vvram_bo_validate_for_map(bo, vvram_may_map_in_vram(bo, attach), &ctx);
	return ret ? ERR_PTR(ret) : vvram_mapping_make(bo, attach, dir);
}

static struct sg_table *vvram_dma_buf_map(struct dma_buf_attachment *attach,
					  enum dma_data_direction dir)
{
	struct vvram_bo *bo = dma_buf_to_vvram_bo(attach->dmabuf);
	struct vvram_mapping *mapping;
	int idx;

	if (!vvram_is_called_well(bo, attach))
		return ERR_PTR(-EINVAL);
	if (bo->revoked || !drm_dev_enter(bo->ttm.base.dev, &idx))
		return ERR_PTR(-ENODEV);

	mapping = vvram_map_where_possible(bo, attach, dir);
	drm_dev_exit(idx);
	if (IS_ERR(mapping))
		return ERR_CAST(mapping);

	vvram_bo_touch(bo);
	vvram_bo_map_begin(bo);
	trace_vvram_map(bo, attach->dev, mapping->sgt->nents);
	return mapping->sgt;
}

static void vvram_unmap_locked(struct vvram_bo *bo, struct dma_buf_attachment *attach,
			       struct sg_table *sgt)
{
	struct vvram_mapping *mapping;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (!vvram_strict_is_attached(bo, attach))
		return;
	mapping = vvram_mapping_find(attach->priv, sgt);
	if (mapping)
		vvram_mapping_end(bo, attach, mapping);
	else
		/* Taking it apart would harm whoever has it, if anybody still does. */
		vvram_breach(bo, attach, VVRAM_BREACH_UNMAP);
}

static void vvram_dma_buf_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
				enum dma_data_direction dir)
{
	struct vvram_bo *bo = dma_buf_to_vvram_bo(attach->dmabuf);

	if (vvram_is_locked(bo, attach)) {
		vvram_unmap_locked(bo, attach, sgt);
		return;
	}
	/* It can't be refused, as the importer does not come again. */
	dma_resv_lock(attach->dmabuf->resv, NULL);
	vvram_unmap_locked(bo, attach, sgt);
	dma_resv_unlock(attach->dmabuf->resv);
}

/* Without what the kernel has pinned for a mapping. */
static bool vvram_attachment_has_pinned(struct dma_buf_attachment *attach)
{
	struct vvram_attachment *va = attach->priv;

	if (attach->importer_ops && compat_dma_buf_is_dynamic_kernel())
		return va->pins;
	return va->pins > va->maps;
}

/*
 * What the importer has left nobody could give back any more: revocation and unbind would
 * wait for it for ever, and the buffer stay where it is.
 */
static void vvram_attachment_clean_up(struct vvram_bo *bo, struct dma_buf_attachment *attach)
{
	struct vvram_attachment *va = attach->priv;
	struct vvram_mapping *mapping, *next;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (vvram_attachment_has_pinned(attach))
		vvram_breach(bo, attach, VVRAM_BREACH_PINNED);
	if (va->maps)
		vvram_breach(bo, attach, VVRAM_BREACH_HELD);
	list_for_each_entry_safe(mapping, next, &va->mappings, link)
		vvram_mapping_end(bo, attach, mapping);

	for (; va->pins; va->pins--)
		vvram_bo_unpin(bo);
}

static void vvram_dma_buf_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct vvram_bo *bo = dma_buf_to_vvram_bo(dmabuf);

	dma_resv_lock(dmabuf->resv, NULL);
	vvram_attachment_clean_up(bo, attach);
	/* The event tells where the buffer is. */
	trace_vvram_detach(bo, attach->dev, 0);
	dma_resv_unlock(dmabuf->resv);
	kfree(attach->priv);
}

static void vvram_dma_buf_release(struct dma_buf *dmabuf)
{
	struct vvram_bo *bo = dma_buf_to_vvram_bo(dmabuf);
	struct dma_buf_attachment *attach;

	dma_resv_lock(bo->ttm.base.resv, NULL);
	/* Whoever gave it up without a detach. */
	list_for_each_entry(attach, &dmabuf->attachments, node) {
		vvram_breach(bo, attach, VVRAM_BREACH_RELEASED);
		vvram_attachment_clean_up(bo, attach);
	}
	bo->dma_buf = NULL;
	dma_resv_unlock(bo->ttm.base.resv);

	drm_gem_dmabuf_release(dmabuf);
}

/* What the CPU has written to a BAR may still be in its write buffers. */
static int vvram_dma_buf_end_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	wmb(); /* pairs with whatever tells the device that the bytes are there */
	return 0;
}

static const struct dma_buf_ops vvram_dma_buf_ops = {
	.attach = vvram_dma_buf_attach,
	.detach = vvram_dma_buf_detach,
	.pin = vvram_dma_buf_pin,
	.unpin = vvram_dma_buf_unpin,
	.map_dma_buf = vvram_dma_buf_map,
	.unmap_dma_buf = vvram_dma_buf_unmap,
	.end_cpu_access = vvram_dma_buf_end_cpu_access,
	.release = vvram_dma_buf_release,
	.mmap = drm_gem_dmabuf_mmap,
	.vmap = drm_gem_dmabuf_vmap,
	.vunmap = drm_gem_dmabuf_vunmap,
};

/**
 * vvram_dma_buf_export() - &drm_gem_object_funcs.export
 * @gem: the buffer
 * @flags: of the file: O_CLOEXEC, O_RDWR
 *
 * Return: the dma-buf, or an error pointer.
 */
struct dma_buf *vvram_dma_buf_export(struct drm_gem_object *gem, int flags)
{
	struct vvram_bo *bo = gem_to_vvram_bo(gem);
	struct dma_buf_export_info info = {
		.exp_name = "vvram",
		.owner = gem->dev->driver->fops->owner,
		.ops = &vvram_dma_buf_ops,
		.size = gem->size,
		.flags = flags,
		.priv = gem,
		.resv = gem->resv,
	};
	struct dma_buf *dmabuf;

	dmabuf = drm_gem_dmabuf_export(gem->dev, &info);
	if (IS_ERR(dmabuf))
		return dmabuf;

	dma_resv_lock(gem->resv, NULL);
	bo->dma_buf = dmabuf;
	bo->inode = file_inode(dmabuf->file)->i_ino;
	dma_resv_unlock(gem->resv);
	return dmabuf;
}

/**
 * vvram_dma_buf_import() - &drm_driver.gem_prime_import
 * @drm: the device
 * @dmabuf: the buffer to import
 *
 * A buffer of this very device is itself, not an import.
 *
 * Return: the GEM object with a reference, or an error pointer; -ENODEV when the device
 * is gone, which can't map anything any more.
 */
struct drm_gem_object *vvram_dma_buf_import(struct drm_device *drm, struct dma_buf *dmabuf)
{
	struct drm_gem_object *gem;
	int idx;

	if (dmabuf->ops == &vvram_dma_buf_ops) {
		gem = dmabuf->priv;
		if (gem->dev == drm) {
			drm_gem_object_get(gem);
			return gem;
		}
	}
	if (!drm_dev_enter(drm, &idx))
		return ERR_PTR(-ENODEV);
	gem = vvram_import(drm, dmabuf);
	drm_dev_exit(idx);
	return gem;
}
