// SPDX-License-Identifier: GPL-2.0
/*
 * How CPUs get at a buffer's bytes, other than by a page fault, which is TTM's: a
 * debugger through somebody's mapping, and the kernel through one of its own.
 *
 * Whoever looks waits for the KERNEL fences first, under the reservation: before that
 * the bytes are those of the last owner, or have not arrived (&enum dma_resv_usage).
 */

#include <linux/dma-resv.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include <drm/drm_drv.h>
#include <drm/drm_gem_ttm_helper.h>
#include <drm/drm_vma_manager.h>

#include "ttm.h"
#include "vvram_bo.h"
#include "vvram_cpu.h"
#include "vvram_dma_buf.h"
#include "vvram_drv.h"
#include "vvram_pages.h"

/* The callers can't be restarted: only a signal that kills ends their wait. */
static bool vvram_is_killed(void)
{
	if (fatal_signal_pending(current))
		return true;
	schedule_timeout_killable(1);
	return false;
}

static int vvram_wait_arrived(struct dma_resv *resv)
{
	while (dma_resv_wait_timeout(resv, DMA_RESV_USAGE_KERNEL, true,
				     MAX_SCHEDULE_TIMEOUT) < 0)
		if (vvram_is_killed())
			return -EINTR;
	return 0;
}

/*
 * With the reservation held and all bytes there: 0, or -EINTR without. The long wait
 * comes before: others need the reservation meanwhile.
 */
static int vvram_lock_arrived(struct dma_resv *resv)
{
	int ret;

	ret = vvram_wait_arrived(resv);
	if (ret)
		return ret;
	while (dma_resv_lock_interruptible(resv, NULL))
		if (vvram_is_killed())
			return -EINTR;

	ret = vvram_wait_arrived(resv);
	if (ret)
		dma_resv_unlock(resv);
	return ret;
}

static void vvram_access_vram(struct vvram_bo *bo, u64 offset, void *buf, int len, bool write)
{
	struct vvram_segments *segs = to_vvram_vram_resource(bo->ttm.resource)->segs;
	struct iosys_map *map = &vvram_bo_device(bo)->vram.map;
	int done, n;

	for (done = 0; done < len; done += n) {
		u64 within = offset + done;
		const struct vvram_segment *seg = vvram_segments_find(segs, &within);

		n = min_t(u64, len - done, seg->size - within);
		if (write)
			iosys_map_memcpy_to(map, seg->offset + within, buf + done, n);
		else
			iosys_map_memcpy_from(buf + done, map, seg->offset + within, n);
	}
}

static int vvram_access_pages(struct vvram_bo *bo, u64 offset, void *buf, int len, bool write)
{
	struct ttm_operation_ctx ctx = { .gfp_retry_mayfail = true };
	struct page **pages;
	int done, n, ret;

	/* They may be in swap. */
	ret = ttm_bo_populate(&bo->ttm, &ctx);
	if (ret)
		return ret;

	pages = bo->ttm.ttm->pages;
	for (done = 0; done < len; done += n) {
		struct page *page = pages[(offset + done) >> PAGE_SHIFT];
		size_t within = offset_in_page(offset + done);

		n = min_t(size_t, len - done, PAGE_SIZE - within);
		if (write)
			memcpy_to_page(page, within, buf + done, n);
		else
			memcpy_from_page(buf + done, page, within, n);
	}
	return 0;
}

static int vvram_access_locked(struct vvram_bo *bo, u64 offset, void *buf, int len, bool write)
{
	int ret = 0, idx;

	dma_resv_assert_held(bo->ttm.base.resv);

	/* A page fault shows a dummy page from here on: nothing of the buffer. */
	if (!drm_dev_enter(bo->ttm.base.dev, &idx))
		return -EIO;
	if (vvram_bo_is_in_vram(bo))
		vvram_access_vram(bo, offset, buf, len, write);
	else
		ret = vvram_access_pages(bo, offset, buf, len, write);
	drm_dev_exit(idx);
	return ret;
}

/*
 * &vm_operations_struct.access: the mmap_lock of the mapping is held. Writing through a
 * shared mapping that is not writable is refused, forced or not, as it is for mappings
 * that have pages (check_vma_flags()). Whether a read is forced is not told: none is.
 */
static int vvram_vm_access(struct vm_area_struct *vma, unsigned long addr, void *buf, int len,
			   int write)
{
	struct ttm_buffer_object *tbo = vma->vm_private_data;
	u64 start = vma->vm_pgoff - drm_vma_node_start(&tbo->base.vma_node);
	u64 offset = (start << PAGE_SHIFT) + addr - vma->vm_start;
	int ret;

	if (!(vma->vm_flags & (write ? VM_WRITE : VM_READ)))
		return -EACCES;

	/* The caller goes on in the next mapping, which may be of something else. */
	len = min_t(u64, len, vma->vm_end - addr);
	ret = vvram_lock_arrived(tbo->base.resv);
	if (ret)
		return ret;
	ret = vvram_access_locked(ttm_to_vvram_bo(tbo), offset, buf, len, write);
	ttm_bo_unreserve(tbo);
	return ret ? ret : len;
}

/* As TTM has a first fault wait, which is tried again then. The reservation has been unlocked. */
static vm_fault_t vvram_fault_wait(struct ttm_buffer_object *tbo, struct vm_fault *vmf)
{
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT) {
		ttm_bo_unreserve(tbo);
		return VM_FAULT_RETRY;
	}
	drm_gem_object_get(&tbo->base);
	mmap_read_unlock(vmf->vma->vm_mm);
	dma_resv_wait_timeout(tbo->base.resv, DMA_RESV_USAGE_KERNEL, true, MAX_SCHEDULE_TIMEOUT);
	dma_resv_unlock(tbo->base.resv);
	drm_gem_object_put(&tbo->base);
	return VM_FAULT_RETRY;
}

/* Not who may never be told that it has tried before (hmm_range_fault()), and has no pages. */
static bool vvram_may_yield(struct vm_fault *vmf)
{
	return !(vmf->flags & (FAULT_FLAG_RETRY_NOWAIT | FAULT_FLAG_REMOTE));
}

/*
 * Something was interrupted. Who faults by get_user_pages() or HMM asks again at once; the latter
 * also when it is being killed.
 */
static vm_fault_t vvram_fault_interrupted(void)
{
	schedule_timeout_killable(1);
	return fatal_signal_pending(current) ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
}

/*
 * For a fault that can't be tried again. The long wait is without the reservation: others need it
 * meanwhile. It is held again when 0 is returned.
 */
static vm_fault_t vvram_fault_wait_here(struct ttm_buffer_object *tbo)
{
	struct dma_resv *resv = tbo->base.resv;

	if (dma_resv_test_signaled(resv, DMA_RESV_USAGE_KERNEL))
		return 0;
	dma_resv_unlock(resv);
	if (dma_resv_wait_timeout(resv, DMA_RESV_USAGE_KERNEL, true, MAX_SCHEDULE_TIMEOUT) < 0 ||
	    dma_resv_lock_interruptible(resv, NULL))
		return vvram_fault_interrupted();
	if (vvram_bo_wait_arrived(ttm_to_vvram_bo(tbo), true) != -ERESTARTSYS)
		return 0;
	dma_resv_unlock(resv);
	return vvram_fault_interrupted();
}

static vm_fault_t vvram_fault_map(struct vm_fault *vmf)
{
	struct ttm_buffer_object *tbo = vmf->vma->vm_private_data;
	pgprot_t prot = vmf->vma->vm_page_prot;

	if (vvram_bo_has_pages(ttm_to_vvram_bo(tbo)))
		return vvram_pages_fault(vmf);
	return ttm_bo_vm_fault_reserved(vmf, prot, TTM_BO_VM_NUM_PREFAULT);
}

static vm_fault_t vvram_fault_map_nothing(struct vm_fault *vmf)
{
	struct ttm_buffer_object *tbo = vmf->vma->vm_private_data;

	if (vvram_bo_has_pages(ttm_to_vvram_bo(tbo)))
		return vvram_pages_fault_nothing(vmf);
	return ttm_bo_vm_dummy_page(vmf, vmf->vma->vm_page_prot);
}

/*
 * As TTM's own, but for when it asks whether there is a device: after the wait for the
 * bytes, not before. A copy that is given up with the device lets its fence signal.
 */
static vm_fault_t vvram_fault(struct vm_fault *vmf)
{
	struct ttm_buffer_object *tbo = vmf->vma->vm_private_data;
	vm_fault_t ret;
	int idx;

	ret = ttm_bo_vm_reserve(tbo, vmf);
	if (ret)
		return ret == VM_FAULT_NOPAGE ? vvram_fault_interrupted() : ret;

	if (fault_flag_allow_retry_first(vmf->flags)) {
		if (!dma_resv_test_signaled(tbo->base.resv, DMA_RESV_USAGE_KERNEL))
			return vvram_fault_wait(tbo, vmf);
		if (atomic_read(&ttm_to_vvram_bo(tbo)->drains) && vvram_may_yield(vmf))
			return vvram_pages_fault_yield(vmf);
	} else {
		ret = vvram_fault_wait_here(tbo);
		if (ret)
			return ret;
	}
	if (drm_dev_enter(tbo->base.dev, &idx)) {
		ret = vvram_fault_map(vmf);
		drm_dev_exit(idx);
	} else {
		ret = vvram_fault_map_nothing(vmf);
	}
	/* TTM has unlocked it. */
	if (ret == VM_FAULT_RETRY && !(vmf->flags & FAULT_FLAG_RETRY_NOWAIT))
		return ret;
	ttm_bo_unreserve(tbo);
	return ret;
}

/*
 * A wait without the lock of the address space outlives the mapping, and a buffer holds neither
 * the device nor this module: the file does. Of a process it ends after this function has.
 */
static vm_fault_t vvram_vm_fault(struct vm_fault *vmf)
{
	struct file *file = get_file(vmf->vma->vm_file);
	vm_fault_t ret = vvram_fault(vmf);

	fput(file);
	return ret;
}

const struct vm_operations_struct vvram_vm_ops = {
	.fault = vvram_vm_fault,
	.open = ttm_bo_vm_open,
	.close = ttm_bo_vm_close,
	.access = vvram_vm_access,
};

/* Never called, as it is for mappings without pages. */
static vm_fault_t vvram_vm_pfn_mkwrite(struct vm_fault *vmf)
{
	return 0;
}

/*
 * Of mappings whose pages nobody may have for long: those whose owner wants to be told of
 * writes are refused to who would write to them for long without telling (FOLL_LONGTERM).
 */
static const struct vm_operations_struct vvram_vm_short_ops = {
	.fault = vvram_vm_fault,
	.open = ttm_bo_vm_open,
	.close = ttm_bo_vm_close,
	.access = vvram_vm_access,
	.pfn_mkwrite = vvram_vm_pfn_mkwrite,
};

/**
 * vvram_gem_mmap() - &drm_gem_object_funcs.mmap
 * @gem: the buffer
 * @vma: where
 *
 * Return: 0, or -EINVAL for a private mapping.
 */
int vvram_gem_mmap(struct drm_gem_object *gem, struct vm_area_struct *vma)
{
	struct vvram_bo *bo = gem_to_vvram_bo(gem);
	int ret;

	ret = drm_gem_ttm_mmap(gem, vma);
	if (ret || !vvram_bo_has_pages(bo))
		return ret;

	vm_flags_mod(vma, VM_MIXEDMAP, VM_PFNMAP | VM_IO);
	if (!vvram_pages_may_stay(bo))
		vma->vm_ops = &vvram_vm_short_ops;
	return 0;
}

/*
 * A mapping of the kernel's stays where it is, pinned: in VRAM if it is there, all
 * importers reach it, it is in one piece, as the CPU needs it, and more of VRAM may be
 * pinned.
 *
 * No signal ends the waits, which are as long as a copy at most: dma_buf_vmap() warns
 * of every error.
 */
static int vvram_pin_for_vmap(struct vvram_bo *bo)
{
	struct ttm_operation_ctx ctx = { .gfp_retry_mayfail = true };
	bool in_one_piece = vvram_is_one_piece(bo->ttm.resource);
	bool stays = vvram_bo_is_in_vram(bo) && vvram_all_reach_vram(bo);
	int ret;

	if (bo->ttm.pin_count)
		return in_one_piece ? vvram_bo_pin(bo, stays, &ctx) : -EINVAL;

	if (stays && in_one_piece) {
		ret = vvram_bo_pin(bo, true, &ctx);
		if (ret != -ENOSPC)
			return ret;
	}
	return vvram_bo_pin(bo, false, &ctx);
}

static int vvram_vmap_pinned(struct vvram_bo *bo, struct iosys_map *map)
{
	struct vvram_segments *segs;
	int ret;

	ret = vvram_bo_wait_arrived(bo, false);
	if (ret)
		return ret;
	if (!vvram_bo_is_in_vram(bo))
		return ttm_bo_vmap(&bo->ttm, map);

	segs = to_vvram_vram_resource(bo->ttm.resource)->segs;
	*map = vvram_bo_device(bo)->vram.map;
	iosys_map_incr(map, segs->seg[0].offset);
	return 0;
}

/**
 * vvram_gem_vmap() - &drm_gem_object_funcs.vmap
 * @gem: the buffer, its reservation held
 * @map: out: where its bytes are
 *
 * Counts as a mapping of an importer's: revocation and unbind wait for its end.
 *
 * Return: 0; -ENODEV when the buffer was revoked or the device is gone; -EINVAL when it
 * is pinned in VRAM in several pieces; or an error as of vvram_bo_pin().
 */
int vvram_gem_vmap(struct drm_gem_object *gem, struct iosys_map *map)
{
	struct vvram_bo *bo = gem_to_vvram_bo(gem);
	int ret, idx;

	dma_resv_assert_held(gem->resv);

	if (bo->revoked || !drm_dev_enter(gem->dev, &idx))
		return -ENODEV;
	ret = vvram_pin_for_vmap(bo);
	if (ret)
		goto out_exit;
	ret = vvram_vmap_pinned(bo, map);
	if (ret)
		vvram_bo_unpin(bo);
	else
		vvram_bo_map_begin(bo);
out_exit:
	drm_dev_exit(idx);
	return ret;
}

/**
 * vvram_gem_vunmap() - &drm_gem_object_funcs.vunmap
 * @gem: the buffer, its reservation held
 * @map: what vvram_gem_vmap() gave
 */
void vvram_gem_vunmap(struct drm_gem_object *gem, struct iosys_map *map)
{
	struct vvram_bo *bo = gem_to_vvram_bo(gem);

	dma_resv_assert_held(gem->resv);

	if (!vvram_bo_is_in_vram(bo))
		ttm_bo_vunmap(&bo->ttm, map);
	else
		iosys_map_clear(map);
	vvram_bo_unpin(bo);
	vvram_bo_map_end(bo);
}
