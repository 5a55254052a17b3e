// SPDX-License-Identifier: GPL-2.0
/*
 * A move: what happens to a buffer between two placements.
 *
 * TTM has found room, zapped the CPU's mappings and reserved a fence slot. Then,
 * in this order, all with the reservation held:
 *
 *   1. importers are notified and give up their mappings;
 *   2. the copy is made to depend on every fence up to BOOKKEEP, which covers DMA
 *      that importers could not stop at once, and earlier users of the new place;
 *   3. the copy engine takes over, and its fence becomes a KERNEL fence: whoever
 *      maps the buffer meanwhile waits for it before the first access;
 *   4. the old storage is released when that fence signals, not before.
 *
 * See dma_buf_invalidate_mappings() and &enum dma_resv_usage in
 * Documentation/driver-api/dma-buf.rst.
 */

#include <linux/dma-fence-unwrap.h>
#include <linux/dma-resv.h>

#include "dma_buf.h"
#include "ttm.h"
#include "vvram_bo.h"
#include "vvram_copy.h"
#include "vvram_drv.h"
#include "vvram_move.h"
#include "vvram_pages.h"
#include "vvram_quarantine.h"
#include "vvram_strict.h"
#include "vvram_svm.h"
#include "vvram_trace.h"

/**
 * vvram_notify_importers() - tell all importers to give up their mappings
 * @bo: the buffer, its reservation held
 *
 * Buffers that were imported here are their exporter's to notify of.
 */
void vvram_notify_importers(struct vvram_bo *bo)
{
	dma_resv_assert_held(bo->ttm.base.resv);

	if (!bo->dma_buf || list_empty(&bo->dma_buf->attachments))
		return;

	bo->notifies++;
	trace_vvram_notify(bo);
	vvram_strict_notify(bo);
	dma_buf_invalidate_mappings(bo->dma_buf);
}

/* All that must be over before the new place may be written and the old one read. */
static int vvram_move_collect_deps(struct vvram_bo *bo, struct dma_fence **dep)
{
	struct dma_fence *both;
	int ret;

	ret = dma_resv_get_singleton(bo->ttm.base.resv, DMA_RESV_USAGE_BOOKKEEP, dep);
	if (ret || !bo->in_fence)
		return ret;

	if (!*dep) {
		*dep = dma_fence_get(bo->in_fence);
		return 0;
	}
	both = dma_fence_unwrap_merge(*dep, bo->in_fence);
	dma_fence_put(*dep);
	if (!both)
		return -ENOMEM;
	*dep = both;
	return 0;
}

static void vvram_move_set_place(struct vvram_copy_place *place,
				 struct ttm_buffer_object *tbo, struct ttm_resource *res)
{
	if (res->mem_type == TTM_PL_VRAM)
		place->segs = to_vvram_vram_resource(res)->segs;
	else
		place->pages = tbo->ttm->pages;
}

/* New in VRAM: nothing to bring along, only to clear what others left there. */
static int vvram_move_clear(struct vvram_bo *bo, struct ttm_resource *new_mem)
{
	struct vvram_device *vdev = vvram_bo_device(bo);
	struct vvram_copy copy = { .size = bo->ttm.base.size, .inode = bo->inode,
				   .client = bo->creator };
	struct dma_fence *fence;
	int ret;

	ret = vvram_move_collect_deps(bo, &copy.dep);
	if (ret)
		return ret;

	if (!bo->suspects)
		bo->suspects = vvram_suspects_alloc(bo);
	copy.dst.suspects = bo->suspects;
	vvram_move_set_place(&copy.dst, &bo->ttm, new_mem);
	if (vvram_copy_now(vdev, &copy)) {
		ttm_bo_move_null(&bo->ttm, new_mem);
		return 0;
	}
	fence = vvram_copy_submit(vdev, &copy);
	if (IS_ERR(fence))
		return PTR_ERR(fence);

	ttm_bo_move_null(&bo->ttm, new_mem);
	dma_resv_add_fence(bo->ttm.base.resv, fence, DMA_RESV_USAGE_KERNEL);
	dma_fence_put(fence);
	return 0;
}

/* From now on others map it than those who had the place that it has left. */
static void vvram_move_set_suspects(struct vvram_bo *bo, struct vvram_suspects *suspects)
{
	vvram_suspects_put(bo->suspects);
	bo->suspects = vvram_suspects_get(suspects);
}

/*
 * TTM frees the new place now: nobody may be writing there, and what is in the old one may be
 * poison.
 */
static void vvram_move_stay(struct vvram_device *vdev, const struct vvram_copy *copy,
			    struct dma_fence *fence)
{
	struct vvram_copy back = { .src = copy->dst, .dst = copy->src, .size = copy->size };

	dma_fence_wait(fence, false);
	if (dma_fence_get_status(fence) > 0)
		vvram_copy_here(vdev, &back);
	if (copy->src.segs)
		vvram_quarantine_unmark(copy->src.segs);
}

static int vvram_move_copy(struct vvram_bo *bo, bool evict, struct ttm_resource *new_mem)
{
	struct vvram_device *vdev = vvram_bo_device(bo);
	struct ttm_resource *old_mem = bo->ttm.resource;
	struct vvram_copy copy = { .size = bo->ttm.base.size, .inode = bo->inode,
				   .client = bo->creator };
	u32 from = old_mem->mem_type;
	struct dma_fence *fence;
	int ret;

	trace_vvram_move_begin(bo, from, new_mem->mem_type, evict);
	vvram_notify_importers(bo);

	ret = vvram_move_collect_deps(bo, &copy.dep);
	if (ret)
		return ret;

	/* Only memory that leaves VRAM is given away ahead of the copy. */
	copy.evict = evict && from == TTM_PL_VRAM;
	vvram_move_set_place(&copy.src, &bo->ttm, old_mem);
	vvram_move_set_place(&copy.dst, &bo->ttm, new_mem);
	copy.src.suspects = bo->suspects;
	copy.dst.suspects = vvram_suspects_alloc(bo);
	fence = vvram_copy_submit(vdev, &copy);
	if (IS_ERR(fence)) {
		vvram_suspects_put(copy.dst.suspects);
		return PTR_ERR(fence);
	}

	ret = ttm_bo_move_accel_cleanup(&bo->ttm, fence, evict, true, new_mem);
	if (ret) {
		vvram_move_stay(vdev, &copy, fence);
	} else {
		vvram_move_set_suspects(bo, copy.dst.suspects);
		bo->moves++;
		atomic64_inc(&vdev->moves);
		atomic64_add(bo->ttm.base.size, &vdev->bytes_moved);
		if (copy.evict)
			atomic64_inc(&vdev->evictions);
		trace_vvram_move_end(bo, from, new_mem->mem_type, evict);
	}
	vvram_suspects_put(copy.dst.suspects);
	dma_fence_put(fence);
	return ret;
}

/* Only to compare with: the CPU that asks copies all, before anybody goes on. */
static int vvram_move_by_ttm(struct vvram_bo *bo, struct ttm_operation_ctx *ctx,
			     struct ttm_resource *new_mem)
{
	int ret;

	if (!vvram_is_one_piece(bo->ttm.resource) || !vvram_is_one_piece(new_mem))
		return -EINVAL;
	vvram_notify_importers(bo);
	ret = ttm_bo_wait_ctx(&bo->ttm, ctx);
	if (!ret && bo->in_fence)
		ret = dma_fence_wait(bo->in_fence, ctx->interruptible);
	if (!ret)
		ret = ttm_bo_move_memcpy(&bo->ttm, ctx, new_mem);
	if (!ret)
		vvram_move_set_suspects(bo, NULL);
	return ret;
}

/* System memory stays where it is between "usable by devices" and "may be swapped". */
static int vvram_move_system(struct vvram_bo *bo, struct ttm_resource *new_mem)
{
	if (new_mem->mem_type == TTM_PL_SYSTEM) {
		vvram_notify_importers(bo);
		vvram_move_set_suspects(bo, NULL);
	}
	ttm_bo_move_null(&bo->ttm, new_mem);
	return 0;
}

/**
 * vvram_move() - &ttm_device_funcs.move
 * @tbo: the buffer, its reservation held and one fence slot reserved
 * @evict: the move makes room for another buffer
 * @ctx: how to wait
 * @new_mem: where to
 * @hop: unused: every placement reaches every other one
 *
 * Return: 0, or an error with the buffer and its bytes where they were.
 */
int vvram_move(struct ttm_buffer_object *tbo, bool evict, struct ttm_operation_ctx *ctx,
	       struct ttm_resource *new_mem, struct ttm_place *hop)
{
	struct ttm_resource *old_mem = tbo->resource;
	bool to_vram = new_mem->mem_type == TTM_PL_VRAM;
	struct vvram_bo *bo;
	int ret;

	dma_resv_assert_held(tbo->base.resv);

	/* Of what another move has left behind, some kernels swap the pages out. */
	if (vvram_bo_is_ghost(tbo) || tbo->type == ttm_bo_type_sg || (!old_mem && !to_vram)) {
		ttm_bo_move_null(tbo, new_mem);
		return 0;
	}
	bo = ttm_to_vvram_bo(tbo);
	if (bo->is_svm)
		return vvram_svm_move_block(bo, new_mem);

	if (old_mem && old_mem->mem_type != TTM_PL_VRAM && !to_vram)
		return vvram_move_system(bo, new_mem);

	/* TTM has taken the mappings away, and asks not always before it moves. */
	if (!vvram_pages_settle(bo))
		return -EBUSY;
	ret = vvram_chaos_fail(&vvram_bo_device(bo)->chaos, VVRAM_FAIL_MOVE);
	if (ret)
		return ret;

	if (!old_mem || (old_mem->mem_type != TTM_PL_VRAM && !vvram_tt_has_data(tbo->ttm)))
		return vvram_move_clear(bo, new_mem);

	/* Brings swapped pages back, and makes pages for the way to TTM_PL_SYSTEM. */
	ret = ttm_bo_populate(tbo, ctx);
	if (ret)
		return ret;
	if (unlikely(READ_ONCE(vvram_bo_device(bo)->chaos.ttm_copy)))
		return vvram_move_by_ttm(bo, ctx, new_mem);
	return vvram_move_copy(bo, evict, new_mem);
}
