// SPDX-License-Identifier: GPL-2.0
/*
 * Who has which part of VRAM: a TTM resource manager on the buddy allocator.
 */

#include <linux/log2.h>
#include <linux/module.h>
#include <linux/slab.h>

#include <drm/drm_buddy.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>
#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_placement.h>

#include "ttm.h"
#include "vvram_drv.h"
#include "vvram_pages.h"
#include "vvram_quarantine.h"

/* How often it is looked whether those who have pages of free places have let go. */
#define VVRAM_LET_GO_MS		20

static ulong vvram_max_chunk;
module_param_named(max_chunk, vvram_max_chunk, ulong, 0444);
MODULE_PARM_DESC(max_chunk,
		 "Largest contiguous piece of VRAM given to a buffer, bytes, a power of two; 0 (default) for any");

static struct vvram_vram_mgr *to_vvram_vram_mgr(struct ttm_resource_manager *man)
{
	return container_of(man, struct vvram_vram_mgr, base);
}

/*
 * Pieces are taken from both ends in turn, so that neighbours in the buffer are
 * none in VRAM and importers really meet a scattered buffer.
 */
static int vvram_vram_mgr_alloc_scattered(struct vvram_vram_mgr *mgr, u64 size,
					  struct list_head *blocks)
{
	unsigned long flags = 0;
	int ret;

	lockdep_assert_held(&mgr->lock);

	while (size) {
		u64 piece = min(size, mgr->max_chunk);

		ret = gpu_buddy_alloc_blocks(&mgr->mm, 0, mgr->mm.size, piece,
					     PAGE_SIZE, blocks, flags);
		if (ret)
			return ret;
		size -= piece;
		flags ^= GPU_BUDDY_TOPDOWN_ALLOCATION;
	}
	return 0;
}

static int vvram_vram_mgr_try_blocks(struct vvram_vram_mgr *mgr, u64 size, bool contiguous,
				     struct list_head *blocks)
{
	int ret;

	lockdep_assert_held(&mgr->lock);

	if (mgr->closed)
		ret = -ENOSPC;
	else if (mgr->max_chunk && !contiguous)
		ret = vvram_vram_mgr_alloc_scattered(mgr, size, blocks);
	else
		ret = gpu_buddy_alloc_blocks(&mgr->mm, 0, mgr->mm.size, size,
					     PAGE_SIZE, blocks,
					     contiguous ? GPU_BUDDY_CONTIGUOUS_ALLOCATION : 0);
	if (ret)
		gpu_buddy_free_list(&mgr->mm, blocks, 0);
	return ret;
}

/* Before anybody is evicted. */
static int vvram_vram_mgr_alloc_blocks(struct vvram_vram_mgr *mgr, u64 size,
				       bool contiguous, struct list_head *blocks)
{
	int ret;

	mutex_lock(&mgr->lock);
	do {
		ret = vvram_vram_mgr_try_blocks(mgr, size, contiguous, blocks);
	} while (ret == -ENOSPC && vvram_quarantine_release_one(mgr));
	mutex_unlock(&mgr->lock);
	return ret;
}

static struct vvram_segments *vvram_vram_mgr_segments(struct vvram_vram_mgr *mgr,
						      struct list_head *blocks,
						      bool contiguous, u64 left)
{
	struct gpu_buddy_block *block;
	struct vvram_segments *segs;
	bool merge = contiguous || !mgr->max_chunk;
	struct vvram_segment *last = NULL;

	segs = vvram_segments_alloc(list_count_nodes(blocks));
	if (!segs)
		return NULL;

	list_for_each_entry(block, blocks, link) {
		u64 offset = gpu_buddy_block_offset(block);
		/* One that could not be trimmed for want of memory is longer than the buffer. */
		u64 size = min(gpu_buddy_block_size(&mgr->mm, block), left);

		left -= size;
		if (merge && last && last->offset + last->size == offset) {
			last->size += size;
			continue;
		}
		vvram_segments_append(segs, offset, size);
		last = &segs->seg[segs->count - 1];
	}
	return segs;
}

static int vvram_vram_mgr_alloc(struct ttm_resource_manager *man,
				struct ttm_buffer_object *bo,
				const struct ttm_place *place,
				struct ttm_resource **res)
{
	struct vvram_vram_mgr *mgr = to_vvram_vram_mgr(man);
	bool contiguous = place->flags & TTM_PL_FLAG_CONTIGUOUS;
	struct vvram_vram_resource *vres;
	int ret;

	ret = vvram_chaos_fail(&ttm_to_vvram_device(bo->bdev)->chaos, VVRAM_FAIL_ALLOC);
	if (ret)
		return ret;

	vres = kzalloc(sizeof(*vres), GFP_KERNEL);
	if (!vres)
		return -ENOMEM;

	INIT_LIST_HEAD(&vres->blocks);
	ttm_resource_init(bo, place, &vres->base);

	ret = vvram_vram_mgr_alloc_blocks(mgr, vres->base.size, contiguous, &vres->blocks);
	if (ret)
		goto err_fini;

	vres->segs = vvram_vram_mgr_segments(mgr, &vres->blocks, contiguous, vres->base.size);
	if (!vres->segs) {
		ret = -ENOMEM;
		goto err_free;
	}
	vres->base.start = vres->segs->seg[0].offset >> PAGE_SHIFT;

	*res = &vres->base;
	return 0;

err_free:
	mutex_lock(&mgr->lock);
	gpu_buddy_free_list(&mgr->mm, &vres->blocks, 0);
	mutex_unlock(&mgr->lock);
err_fini:
	ttm_resource_fini(man, &vres->base);
	kfree(vres);
	return ret;
}

/**
 * vvram_vram_mgr_return() - give a place back to the allocator
 * @mgr: the manager, its lock held
 * @vres: the place, without TTM's part; it ends
 */
void vvram_vram_mgr_return(struct vvram_vram_mgr *mgr, struct vvram_vram_resource *vres)
{
	lockdep_assert_held(&mgr->lock);

	gpu_buddy_free_list(&mgr->mm, &vres->blocks, 0);
	atomic64_inc(&mgr->frees);
	vvram_segments_put(vres->segs);
	kfree(vres);
}

static bool vvram_vram_mgr_is_held(struct vvram_vram_mgr *mgr, struct vvram_vram_resource *vres)
{
	struct vvram_device *vdev = container_of(mgr, struct vvram_device, vram_mgr);

	return vvram_segments_are_used(vdev, vres->segs);
}

static void vvram_vram_mgr_look_later(struct vvram_vram_mgr *mgr)
{
	queue_delayed_work(mgr->base.bdev->wq, &mgr->let_go, msecs_to_jiffies(VVRAM_LET_GO_MS));
}

static void vvram_vram_mgr_retire(struct vvram_vram_mgr *mgr, struct vvram_vram_resource *vres)
{
	lockdep_assert_held(&mgr->lock);

	if (!vvram_quarantine_take(mgr, vres))
		vvram_vram_mgr_return(mgr, vres);
}

/*
 * What TTM says is used is so until it is with the allocator, or among what is held. What is in
 * quarantine is as good as free.
 */
static void vvram_vram_mgr_free(struct ttm_resource_manager *man,
				struct ttm_resource *res)
{
	struct vvram_vram_resource *vres = to_vvram_vram_resource(res);
	struct vvram_vram_mgr *mgr = to_vvram_vram_mgr(man);

	mutex_lock(&mgr->lock);
	ttm_resource_fini(man, res);
	if (vvram_vram_mgr_is_held(mgr, vres)) {
		/* Nobody else may have it yet: they go on reading and writing there. */
		list_add_tail(&vres->held, &mgr->held);
		mgr->held_size += res->size;
		vvram_vram_mgr_look_later(mgr);
	} else {
		vvram_vram_mgr_retire(mgr, vres);
	}
	mutex_unlock(&mgr->lock);
}

static void vvram_vram_mgr_let_go(struct work_struct *work)
{
	struct vvram_vram_mgr *mgr = container_of(work, struct vvram_vram_mgr, let_go.work);
	struct vvram_vram_resource *vres, *next;

	mutex_lock(&mgr->lock);
	list_for_each_entry_safe(vres, next, &mgr->held, held) {
		if (vvram_vram_mgr_is_held(mgr, vres))
			continue;
		list_del(&vres->held);
		mgr->held_size -= vres->base.size;
		vvram_vram_mgr_retire(mgr, vres);
	}
	if (!list_empty(&mgr->held))
		vvram_vram_mgr_look_later(mgr);
	mutex_unlock(&mgr->lock);
}

/**
 * vvram_vram_mgr_used() - bytes of VRAM that nobody can have
 * @mgr: the manager
 * @held: out: of these, what no buffer has, but somebody pages of
 */
u64 vvram_vram_mgr_used(struct vvram_vram_mgr *mgr, u64 *held)
{
	u64 used;

	mutex_lock(&mgr->lock);
	*held = mgr->held_size;
	used = ttm_resource_manager_usage(&mgr->base) + *held;
	mutex_unlock(&mgr->lock);
	return used;
}

/**
 * vvram_vram_mgr_held() - bytes of places that no buffer has, but somebody pages of
 * @mgr: the manager
 */
u64 vvram_vram_mgr_held(struct vvram_vram_mgr *mgr)
{
	u64 size;

	mutex_lock(&mgr->lock);
	size = mgr->held_size;
	mutex_unlock(&mgr->lock);
	return size;
}

static void vvram_vram_mgr_debug(struct ttm_resource_manager *man,
				 struct drm_printer *p)
{
	struct vvram_vram_mgr *mgr = to_vvram_vram_mgr(man);

	mutex_lock(&mgr->lock);
	drm_printf(p, "max_chunk: %llu\n", mgr->max_chunk);
	drm_printf(p, "held: %llu\n", mgr->held_size);
	drm_printf(p, "quarantine: %llu\n", mgr->quarantine_size);
	drm_buddy_print(&mgr->mm, p);
	mutex_unlock(&mgr->lock);
}

static const struct ttm_resource_manager_func vvram_vram_mgr_func = {
	.alloc = vvram_vram_mgr_alloc,
	.free = vvram_vram_mgr_free,
	.debug = vvram_vram_mgr_debug,
};

/**
 * vvram_vram_mgr_init() - make VRAM available to TTM
 * @vdev: the device, its VRAM and TTM device set up
 *
 * Return: 0, -EINVAL for a bad max_chunk parameter, or another error.
 */
int vvram_vram_mgr_init(struct vvram_device *vdev)
{
	struct vvram_vram_mgr *mgr = &vdev->vram_mgr;
	u64 size = vdev->vram.size;
	int ret;

	if (vvram_max_chunk &&
	    (vvram_max_chunk < PAGE_SIZE || !is_power_of_2(vvram_max_chunk))) {
		drm_err(&vdev->drm, "max_chunk=%lu is no power of two of at least a page\n",
			vvram_max_chunk);
		return -EINVAL;
	}
	mgr->max_chunk = vvram_max_chunk;

	ret = drmm_mutex_init(&vdev->drm, &mgr->lock);
	if (ret)
		return ret;
	ret = compat_ttm_register_dmem(&mgr->dmem, &vdev->drm, &mgr->base, "vram", size);
	if (ret)
		return ret;
	ret = gpu_buddy_init(&mgr->mm, size, PAGE_SIZE);
	if (ret)
		return ret;
	INIT_LIST_HEAD(&mgr->held);
	INIT_DELAYED_WORK(&mgr->let_go, vvram_vram_mgr_let_go);
	vvram_quarantine_init(mgr);

	mgr->base.func = &vvram_vram_mgr_func;
	ttm_resource_manager_init(&mgr->base, &vdev->ttm, size);
	ttm_set_driver_manager(&vdev->ttm, TTM_PL_VRAM, &mgr->base);
	ttm_resource_manager_set_used(&mgr->base, true);
	return 0;
}

/**
 * vvram_vram_mgr_close() - let nothing into VRAM, or let it in again
 * @mgr: the manager
 * @closed: whether VRAM is as if it were full
 */
void vvram_vram_mgr_close(struct vvram_vram_mgr *mgr, bool closed)
{
	mutex_lock(&mgr->lock);
	mgr->closed = closed;
	mutex_unlock(&mgr->lock);
	if (closed)
		vvram_quarantine_end(container_of(mgr, struct vvram_device, vram_mgr));
}

/**
 * vvram_vram_mgr_fini() - undo vvram_vram_mgr_init()
 * @vdev: the device; nobody has a buffer any more
 */
void vvram_vram_mgr_fini(struct vvram_device *vdev)
{
	struct vvram_vram_mgr *mgr = &vdev->vram_mgr;

	/* TTM's worker may still be at the end of the last ones. */
	flush_workqueue(vdev->ttm.wq);
	ttm_resource_manager_set_used(&mgr->base, false);
	ttm_resource_manager_evict_all(&vdev->ttm, &mgr->base);
	ttm_resource_manager_cleanup(&mgr->base);
	ttm_set_driver_manager(&vdev->ttm, TTM_PL_VRAM, NULL);
	/* The device did not go before all pages of VRAM were without users. */
	while (vvram_vram_mgr_held(mgr))
		flush_delayed_work(&mgr->let_go);
	cancel_delayed_work_sync(&mgr->let_go);
	vvram_quarantine_fini(vdev);
	gpu_buddy_fini(&mgr->mm);
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "tests/vvram_vram_mgr_kunit.c"
#endif
