// SPDX-License-Identifier: GPL-2.0
/*
 * Shared virtual memory (svm=1): anonymous memory of a process moves to VRAM and back, and
 * its pointers stay what they are.
 *
 * VRAM has struct pages for that: of a BAR they are its memory, which CPUs and other devices
 * go on to use where it is (MEMORY_DEVICE_COHERENT). The carve-out is RAM that has pages
 * already, so others stand for it, without an address that a CPU could use
 * (MEMORY_DEVICE_PRIVATE): its first access brings the bytes back. See
 * Documentation/mm/hmm.rst.
 *
 * Room comes from where buffers have it. A block is a buffer without a handle, whose bytes are
 * pages of processes; each of them has a reference to it. TTM evicts it like any other, which
 * is to bring its pages back. The block's reservation keeps pages from being added
 * meanwhile; they may go at any time.
 *
 * The kernel's helpers for this (drm_pagemap) are for devices that copy by DMA: they map each
 * page of the process, know only pages that CPUs can't use, and move a range as a whole or
 * not at all. Here CPUs copy, pages of a BAR stay in use, and what can't move is left out.
 */

#include <linux/cpu.h>
#include <linux/dma-resv.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include <drm/drm_debugfs.h>
#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "svm.h"
#include "vvram_bo.h"
#include "vvram_client.h"
#include "vvram_copy.h"
#include "vvram_drm.h"
#include "vvram_drv.h"
#include "vvram_svm.h"
#include "vvram_trace.h"

/* Pages that move together, and most pages of a block. */
#define VVRAM_SVM_PAGES		(SZ_2M >> PAGE_SHIFT)
/* Pages that a CPU's access brings back. */
#define VVRAM_SVM_FAULT_PAGES	(SZ_64K >> PAGE_SHIFT)
/* How often a page that is busy is asked to leave its block, with a tick in between. */
#define VVRAM_SVM_TRIES		5
/* How often those who keep the device from its end are told of. */
#define VVRAM_SVM_TELLING_MS	10000

static bool vvram_svm;
module_param_named(svm, vvram_svm, bool, 0444);
MODULE_PARM_DESC(svm,
		 "Memory of processes may move to VRAM and back by DRM_IOCTL_VVRAM_SVM_MIGRATE (default no)");

/**
 * vvram_svm_is_wanted() - tell whether new devices are to have pages for processes
 */
bool vvram_svm_is_wanted(void)
{
	return vvram_svm;
}

/**
 * struct vvram_svm_step - pages that move together
 */
struct vvram_svm_step {
	/** @vdev: The device. */
	struct vvram_device *vdev;
	/** @to_vram: Which way. */
	bool to_vram;
	/** @gfp: How system memory is had. */
	gfp_t gfp;
	/** @no_memory: Something stays as there is no memory for it. */
	bool no_memory;
	/** @max: Most pages of a step. */
	unsigned long max;
	/** @src: The kernel's entry for each page, @max of them: what is there. */
	unsigned long *src;
	/** @dst: The same: what is to be there. */
	unsigned long *dst;

	/** @nr: Pages with bytes to copy. */
	unsigned long nr;
	/** @pages: Their ends in system memory. */
	struct page **pages;
	/** @vram: Their ends in VRAM, in the same order. */
	struct vvram_segments *vram;
	/** @nr_fresh: Pages that were never touched. */
	unsigned long nr_fresh;
	/** @fresh: Their ends in VRAM. */
	struct vvram_segments *fresh;
};

/**
 * struct vvram_svm_range - a call's range on its way to VRAM, or back
 */
struct vvram_svm_range {
	/** @step: Of one move after the other. */
	struct vvram_svm_step step;
	/** @client: Who asks. */
	struct vvram_client *client;
	/** @args: What for, and how far it came. */
	struct drm_vvram_svm_migrate *args;
	/** @block: Where pages go, with a reference; NULL when another one is to be made. */
	struct vvram_bo *block;
	/** @at: The next free page of it. */
	struct vvram_cursor at;
	/** @left: Pages of it that are free. */
	unsigned long left;
};

static void vvram_svm_step_fini(struct vvram_svm_step *step)
{
	vvram_segments_put(step->fresh);
	vvram_segments_put(step->vram);
	kvfree(step->src);
}

static int vvram_svm_step_init(struct vvram_svm_step *step, struct vvram_device *vdev,
			       bool to_vram, unsigned long max)
{
	*step = (struct vvram_svm_step) {
		.vdev = vdev, .to_vram = to_vram, .gfp = GFP_HIGHUSER_MOVABLE, .max = max,
	};
	/* migrate_vma_setup() may find as many twice, see vvram_svm_found(). */
	step->src = kvmalloc_array(max, 4 * sizeof(*step->src) + sizeof(*step->pages),
				   GFP_KERNEL);
	step->vram = vvram_segments_alloc(max);
	step->fresh = to_vram ? vvram_segments_alloc(max) : NULL;
	if (!step->src || !step->vram || (to_vram && !step->fresh)) {
		vvram_svm_step_fini(step);
		return -ENOMEM;
	}
	step->dst = step->src + 2 * max;
	step->pages = (struct page **)(step->dst + 2 * max);
	return 0;
}

static void vvram_svm_step_begin(struct vvram_svm_step *step, unsigned long nr)
{
	memset(step->dst, 0, 2 * nr * sizeof(*step->dst));
	step->nr = 0;
	step->vram->count = 0;
	step->nr_fresh = 0;
	if (step->fresh)
		step->fresh->count = 0;
}

/* Neighbours are copied as one piece. */
static void vvram_svm_add(struct vvram_segments *segs, u64 offset)
{
	struct vvram_segment *last = segs->count ? &segs->seg[segs->count - 1] : NULL;

	if (last && last->offset + last->size == offset)
		last->size += PAGE_SIZE;
	else
		vvram_segments_append(segs, offset, PAGE_SIZE);
}

static struct page *vvram_svm_page(struct vvram_device *vdev, u64 offset)
{
	return pfn_to_page(vdev->svm.first + PHYS_PFN(offset));
}

static u64 vvram_svm_offset(struct vvram_device *vdev, struct page *page)
{
	return PFN_PHYS(page_to_pfn(page) - vdev->svm.first);
}

/* The CPU's view of a page at either end. */
static void *vvram_svm_address(struct vvram_svm_step *step, struct page *page)
{
	struct vvram_device *vdev = step->vdev;

	return is_zone_device_page(page) ? vdev->vram.map.vaddr + vvram_svm_offset(vdev, page) :
					   page_address(page);
}

/* Locked, with a reference; for nobody yet. */
static struct page *vvram_svm_take_page(struct vvram_bo *block, u64 offset)
{
	struct vvram_device *vdev = vvram_bo_device(block);
	struct page *page = vvram_svm_page(vdev, offset);

	compat_device_page_init(page, &vdev->svm.pagemap);
	page->zone_device_data = block;
	drm_gem_object_get(&block->ttm.base);
	atomic_inc(&block->svm_pages);
	atomic64_inc(&block->creator->svm_pages);
	atomic_long_inc(&vdev->svm.pages);
	return page;
}

/* By whoever was its last user, who may hold any lock. */
static void vvram_svm_page_freed(struct page *page)
{
	struct vvram_bo *block = page->zone_device_data;
	struct vvram_svm *svm = &vvram_bo_device(block)->svm;

	atomic_long_dec(&svm->pages);
	atomic64_dec(&block->creator->svm_pages);
	atomic_dec(&block->svm_pages);
	if (!refcount_dec_not_one(&block->ttm.base.refcount.refcount) &&
	    llist_add(&block->svm_ended, &svm->ended))
		schedule_work(&svm->end);
}

static void vvram_svm_end_blocks(struct work_struct *work)
{
	struct vvram_svm *svm = container_of(work, struct vvram_svm, end);
	struct vvram_bo *block, *next;

	llist_for_each_entry_safe(block, next, llist_del_all(&svm->ended), svm_ended)
		drm_gem_object_put(&block->ttm.base);
}

/* KSM reads its pages by the kernel's mapping, which not all pages of VRAM have. */
static bool vvram_svm_is_ksm(unsigned long src)
{
	struct page *page = migrate_pfn_to_page(src);

	return page && folio_test_ksm(page_folio(page));
}

/* What is there was found, unmapped and locked: says where it goes. */
static void vvram_svm_choose_vram(struct vvram_svm_range *range, unsigned long nr)
{
	struct vvram_svm_step *step = &range->step;
	struct page *page;
	unsigned long i;
	u64 offset;

	for (i = 0; i < nr; i++) {
		if (!(step->src[i] & MIGRATE_PFN_MIGRATE) || vvram_svm_is_ksm(step->src[i]))
			continue;
		vvram_cursor_here(&range->at, &offset);
		vvram_cursor_advance(&range->at, PAGE_SIZE);
		range->left--;
		page = vvram_svm_take_page(range->block, offset);
		step->dst[i] = migrate_pfn(page_to_pfn(page));

		page = migrate_pfn_to_page(step->src[i]);
		if (page) {
			step->pages[step->nr++] = page;
			vvram_svm_add(step->vram, offset);
		} else {
			step->nr_fresh++;
			vvram_svm_add(step->fresh, offset);
		}
	}
}

/* @vma: NULL when it is not known whose pages these are; what finds no memory stays. */
static void vvram_svm_choose_system(struct vvram_svm_step *step, unsigned long nr,
				    struct vm_area_struct *vma, unsigned long address)
{
	struct page *page, *new;
	unsigned long i;

	for (i = 0; i < nr; i++) {
		page = migrate_pfn_to_page(step->src[i]);
		if (!page || !(step->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		new = vma ? alloc_page_vma(step->gfp, vma, address + i * PAGE_SIZE) :
			    alloc_page(step->gfp);
		if (!new) {
			step->no_memory = true;
			continue;
		}
		lock_page(new);
		step->dst[i] = migrate_pfn(page_to_pfn(new));
		step->pages[step->nr++] = new;
		vvram_svm_add(step->vram, vvram_svm_offset(step->vdev, page));
	}
}

/* Each byte of each new page is written: none of an owner before is left. */
static void vvram_svm_copy(struct vvram_svm_step *step)
{
	struct vvram_copy_place system = { .pages = step->pages };
	struct vvram_copy_place vram = { .segs = step->vram };
	struct vvram_copy copy = { .size = step->nr << PAGE_SHIFT };
	struct vvram_copy clear = { .size = step->nr_fresh << PAGE_SHIFT };

	if (step->nr) {
		copy.dst = step->to_vram ? vram : system;
		if (likely(!READ_ONCE(step->vdev->chaos.skip_copy)))
			copy.src = step->to_vram ? system : vram;
		vvram_copy_here(step->vdev, &copy);
	}
	if (step->nr_fresh) {
		clear.dst.segs = step->fresh;
		vvram_copy_here(step->vdev, &clear);
	}
}

static void vvram_svm_poison(struct vvram_svm_step *step, struct page *page)
{
	memset64(vvram_svm_address(step, page), VVRAM_POISON, PAGE_SIZE / sizeof(u64));
}

/* The kernel has moved what could: number of pages. What they have left is nobody's. */
static unsigned long vvram_svm_sum_up(struct vvram_svm_step *step, unsigned long nr)
{
	bool poison = READ_ONCE(step->vdev->chaos.poison);
	unsigned long moved = 0, i;
	struct page *page;

	for (i = 0; i < nr; i++) {
		if (!step->dst[i] || !(step->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		moved++;
		page = migrate_pfn_to_page(step->src[i]);
		if (page && unlikely(poison))
			vvram_svm_poison(step, page);
	}
	atomic64_add(moved, &step->vdev->svm.moved);
	return moved;
}

static bool vvram_svm_may_move(struct vm_area_struct *vma, bool to_vram)
{
	return vma_is_anonymous(vma) && !(vma->vm_flags & (VM_SPECIAL | VM_HUGETLB)) &&
	       !(to_vram && vma->vm_flags & VM_LOCKED);
}

static struct migrate_vma vvram_svm_args(struct vvram_svm_step *step, struct vm_area_struct *vma,
					 unsigned long start, unsigned long nr)
{
	struct vvram_svm *svm = &step->vdev->svm;

	return (struct migrate_vma) {
		.vma = vma,
		.src = step->src,
		.dst = step->dst,
		.start = start,
		.end = start + nr * PAGE_SIZE,
		.pgmap_owner = svm,
		.flags = step->to_vram ? MIGRATE_VMA_SELECT_SYSTEM : svm->select,
	};
}

/*
 * Linux 7.3's migrate_vma_setup() counts the first pages twice when the page table goes while it
 * splits a huge page (MADV_DONTNEED by another thread). Then no page has its place in the list,
 * and none is moved.
 */
static bool vvram_svm_found(const struct migrate_vma *args, unsigned long nr)
{
	return args->npages <= nr;
}

static int vvram_svm_move_to_system(struct vvram_svm_step *step, struct migrate_vma *args,
				    unsigned long *moved)
{
	unsigned long nr = (args->end - args->start) >> PAGE_SHIFT;
	int ret;

	mmap_assert_locked(args->vma->vm_mm);

	vvram_svm_step_begin(step, nr);
	ret = migrate_vma_setup(args);
	if (ret)
		return ret;
	if (vvram_svm_found(args, nr))
		vvram_svm_choose_system(step, args->npages, args->vma, args->start);
	migrate_vma_pages(args);
	/* Not before it is sure that nobody uses the pages: who does may write. */
	vvram_svm_copy(step);
	*moved = vvram_svm_sum_up(step, args->npages);
	migrate_vma_finalize(args);
	return 0;
}

static int vvram_svm_move_to_vram(struct vvram_svm_range *range, struct migrate_vma *args,
				  unsigned long *moved)
{
	unsigned long nr = (args->end - args->start) >> PAGE_SHIFT;
	struct vvram_svm_step *step = &range->step;
	int ret;

	mmap_assert_locked(args->vma->vm_mm);
	dma_resv_assert_held(range->block->ttm.base.resv);

	vvram_svm_step_begin(step, nr);
	ret = migrate_vma_setup(args);
	if (ret)
		return ret;
	if (vvram_svm_found(args, nr))
		vvram_svm_choose_vram(range, args->npages);
	/* Before what was never touched is mapped. */
	vvram_svm_copy(step);
	migrate_vma_pages(args);
	*moved = vvram_svm_sum_up(step, args->npages);
	migrate_vma_finalize(args);
	return 0;
}

/*
 * The block's memory belongs to it once those who had it before are done. It is made with
 * nothing held: that may take long.
 */
static int vvram_svm_make_block(struct vvram_svm_range *range, u64 size)
{
	struct vvram_device *vdev = range->step.vdev;
	struct vvram_bo *block;
	long ret;

	block = vvram_bo_create(vdev, size, TTM_PL_VRAM, VVRAM_BO_SVM, range->client);
	if (IS_ERR(block))
		return PTR_ERR(block);
	ret = dma_resv_wait_timeout(block->ttm.base.resv, DMA_RESV_USAGE_BOOKKEEP, true,
				    MAX_SCHEDULE_TIMEOUT);
	if (ret < 0) {
		drm_gem_object_put(&block->ttm.base);
		return ret;
	}
	range->block = block;
	range->left = 0;
	return 0;
}

static void vvram_svm_drop_block(struct vvram_svm_range *range)
{
	if (range->block)
		drm_gem_object_put(&range->block->ttm.base);
	range->block = NULL;
	range->left = 0;
}

/* Without pages it may have been evicted since. */
static int vvram_svm_lock_block(struct vvram_svm_range *range)
{
	struct vvram_bo *block = range->block;
	int ret;

	ret = dma_resv_lock_interruptible(block->ttm.base.resv, NULL);
	if (ret)
		return ret;
	if (!vvram_bo_is_in_vram(block)) {
		dma_resv_unlock(block->ttm.base.resv);
		return -EAGAIN;
	}
	if (!range->left) {
		vvram_cursor_init(&range->at,
				  to_vvram_vram_resource(block->ttm.resource)->segs, 0);
		range->left = block->ttm.base.size >> PAGE_SHIFT;
	}
	return 0;
}

static int vvram_svm_fill_block(struct vvram_svm_range *range, struct vm_area_struct *vma,
				unsigned long address, unsigned long *nr, unsigned long *moved)
{
	struct migrate_vma args;
	int ret;

	ret = vvram_svm_lock_block(range);
	if (ret)
		return ret;
	*nr = min(*nr, range->left);
	args = vvram_svm_args(&range->step, vma, address, *nr);
	ret = vvram_svm_move_to_vram(range, &args, moved);
	dma_resv_unlock(range->block->ttm.base.resv);
	return ret;
}

/* As much as is moved together; -EAGAIN when there has to be a block first. */
static int vvram_svm_move_some(struct vvram_svm_range *range, struct vm_area_struct *vma,
			       unsigned long address, unsigned long *nr)
{
	struct vvram_svm_step *step = &range->step;
	unsigned long moved = 0;
	struct migrate_vma args;
	int ret;

	*nr = min(*nr, step->max);
	if (!step->to_vram) {
		args = vvram_svm_args(step, vma, address, *nr);
		ret = vvram_svm_move_to_system(step, &args, &moved);
	} else if (range->block) {
		ret = vvram_svm_fill_block(range, vma, address, nr, &moved);
	} else {
		ret = -EAGAIN;
	}
	if (ret)
		return ret;
	trace_vvram_svm(address, step->to_vram, VVRAM_SVM_CALL, moved, *nr);
	range->args->moved += moved << PAGE_SHIFT;
	return 0;
}

static int vvram_svm_move_on(struct vvram_svm_range *range)
{
	unsigned long address = range->args->address + range->args->done;
	unsigned long end = range->args->address + range->args->length, nr;
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	int ret = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = vma_lookup(mm, address);
	if (!vma) {
		ret = -EFAULT;
		goto out_unlock;
	}
	nr = (min(vma->vm_end, end) - address) >> PAGE_SHIFT;
	if (vvram_svm_may_move(vma, range->step.to_vram))
		ret = vvram_svm_move_some(range, vma, address, &nr);
	if (!ret)
		range->args->done += nr << PAGE_SHIFT;
out_unlock:
	mmap_read_unlock(mm);
	return ret;
}

/* Nobody waits for a long range to end; each call comes further, whatever signals there are. */
static int vvram_svm_has_to_stop(struct vvram_svm_range *range, u64 begin)
{
	if (drm_dev_is_unplugged(&range->step.vdev->drm))
		return -ENODEV;
	if (fatal_signal_pending(current))
		return -EINTR;
	return range->args->done > begin && signal_pending(current) ? -EINTR : 0;
}

/* Has a block been filled, or evicted, another one takes its place. */
static int vvram_svm_move_all(struct vvram_svm_range *range)
{
	struct drm_vvram_svm_migrate *args = range->args;
	u64 most = VVRAM_SVM_PAGES << PAGE_SHIFT, begin = args->done;
	int ret = 0;

	while (args->done < args->length) {
		ret = vvram_svm_has_to_stop(range, begin) ?: vvram_svm_move_on(range);
		if (ret == -EAGAIN) {
			vvram_svm_drop_block(range);
			ret = vvram_svm_make_block(range, min(args->length - args->done, most));
		} else if (range->block && !range->left) {
			vvram_svm_drop_block(range);
		}
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

static bool vvram_svm_is_mapped(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma;
	unsigned long at = start;

	if (mmap_read_lock_killable(mm))
		return true;
	while (at < end && (vma = vma_lookup(mm, at)))
		at = vma->vm_end;
	mmap_read_unlock(mm);
	return at >= end;
}

/**
 * vvram_svm_move_range() - move memory of the caller's to VRAM, or back
 * @vdev: the device, with pages for processes
 * @client: whose call it is
 * @to_vram: which way
 * @args: what, checked; out: how far it came
 *
 * No lock may be held.
 *
 * Return: 0; -EFAULT when something is not mapped; -EINTR after a signal; or an error as of
 * vvram_bo_create().
 */
int vvram_svm_move_range(struct vvram_device *vdev, struct vvram_client *client, bool to_vram,
			 struct drm_vvram_svm_migrate *args)
{
	struct vvram_svm_range range = { .client = client, .args = args };
	unsigned long pages = min(args->length >> PAGE_SHIFT, (u64)VVRAM_SVM_PAGES);
	int ret;

	if (args->address + args->length > TASK_SIZE ||
	    !vvram_svm_is_mapped(current->mm, args->address + args->done,
				 args->address + args->length))
		return -EFAULT;
	ret = vvram_svm_step_init(&range.step, vdev, to_vram, pages);
	if (ret)
		return ret;
	ret = vvram_svm_move_all(&range);
	vvram_svm_drop_block(&range);
	vvram_svm_step_fini(&range.step);
	return ret;
}

/**
 * vvram_svm_used() - bytes of VRAM that are memory of processes
 * @vdev: the device
 */
u64 vvram_svm_used(struct vvram_device *vdev)
{
	return (u64)atomic_long_read(&vdev->svm.pages) << PAGE_SHIFT;
}

/* Pages that somebody uses just then stay, as do those that find no memory. */
static unsigned long vvram_svm_bring_back(struct vvram_svm_step *step, u64 offset, u64 size)
{
	unsigned long moved = 0, nr;

	for (; size; offset += PFN_PHYS(nr), size -= PFN_PHYS(nr)) {
		nr = min(PHYS_PFN(size), step->max);
		vvram_svm_step_begin(step, nr);
		migrate_device_range(step->src, step->vdev->svm.first + PHYS_PFN(offset), nr);
		vvram_svm_choose_system(step, nr, NULL, 0);
		migrate_device_pages(step->src, step->dst, nr);
		vvram_svm_copy(step);
		moved += vvram_svm_sum_up(step, nr);
		migrate_device_finalize(step->src, step->dst, nr);
		cond_resched();
	}
	return moved;
}

static unsigned long vvram_svm_bring_block_back(struct vvram_svm_step *step,
						const struct vvram_segments *segs)
{
	unsigned long moved = 0;
	unsigned int i;

	for (i = 0; i < segs->count; i++)
		moved += vvram_svm_bring_back(step, segs->seg[i].offset, segs->seg[i].size);
	return moved;
}

/**
 * vvram_svm_vacate_block() - bring a block's pages back to system memory
 * @bo: the block, its reservation held, so that it does not get other ones
 * @patient: wait for pages that are being moved, which takes a moment; not for other users
 *
 * Return: whether it has none any more.
 */
bool vvram_svm_vacate_block(struct vvram_bo *bo, bool patient)
{
	struct vvram_device *vdev = vvram_bo_device(bo);
	unsigned int tries = patient ? VVRAM_SVM_TRIES : 1;
	struct vvram_svm_step step;
	struct vvram_segments *segs;
	unsigned long moved = 0;

	dma_resv_assert_held(bo->ttm.base.resv);

	if (!vvram_bo_is_in_vram(bo) || !atomic_read(&bo->svm_pages))
		return true;
	if (vvram_svm_step_init(&step, vdev, false, VVRAM_SVM_PAGES))
		return false;
	/* For others' buffers nobody is killed. */
	step.gfp |= __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	segs = to_vvram_vram_resource(bo->ttm.resource)->segs;
	while ((moved += vvram_svm_bring_block_back(&step, segs)),
	       atomic_read(&bo->svm_pages) && --tries)
		schedule_timeout_uninterruptible(1);
	vvram_svm_step_fini(&step);

	trace_vvram_svm(0, false, VVRAM_SVM_EVICT, moved, bo->ttm.base.size >> PAGE_SHIFT);
	if (atomic_read(&bo->svm_pages))
		return false;
	atomic64_inc(&vdev->svm.evictions);
	return true;
}

/**
 * vvram_svm_move_block() - &ttm_device_funcs.move of a block
 * @bo: the block, its reservation held
 * @new_mem: where to
 *
 * Return: 0, or -EBUSY with pages left where they were.
 */
int vvram_svm_move_block(struct vvram_bo *bo, struct ttm_resource *new_mem)
{
	if (!vvram_svm_vacate_block(bo, true))
		return -EBUSY;
	ttm_bo_move_null(&bo->ttm, new_mem);
	return 0;
}

/* Returns whether no process has a page of VRAM. */
static bool vvram_svm_send_away(struct vvram_device *vdev)
{
	struct vvram_svm_step step;
	unsigned long moved;

	if (!atomic_long_read(&vdev->svm.pages))
		return true;
	if (vvram_svm_step_init(&step, vdev, false, VVRAM_SVM_PAGES))
		return false;
	moved = vvram_svm_bring_back(&step, 0, vdev->vram.size);
	vvram_svm_step_fini(&step);
	trace_vvram_svm(0, false, VVRAM_SVM_END, moved, vdev->vram.size >> PAGE_SHIFT);
	return !atomic_long_read(&vdev->svm.pages);
}

/*
 * A page that was unmapped from locked memory is on a list of the CPU that has unmapped it, with a
 * reference, until that CPU empties the list. To migrate nothing does just that.
 */
static long vvram_svm_drain_cpu(void *unused)
{
	migrate_device_range(NULL, 0, 0);
	return 0;
}

static void vvram_svm_drain_cpus(void)
{
	unsigned int cpu;

	cpus_read_lock();
	for_each_online_cpu(cpu)
		work_on_cpu(cpu, vvram_svm_drain_cpu, NULL);
	cpus_read_unlock();
}

/**
 * vvram_svm_vacate() - bring all pages of processes back to system memory
 * @vdev: the device
 * @end: until when users of pages are waited for, jiffies
 *
 * Return: whether all have gone.
 */
bool vvram_svm_vacate(struct vvram_device *vdev, unsigned long end)
{
	while (!vvram_svm_send_away(vdev)) {
		if (time_after(jiffies, end))
			return false;
		vvram_svm_drain_cpus();
		schedule_timeout_uninterruptible(msecs_to_jiffies(10));
	}
	return true;
}

/**
 * vvram_svm_drain() - wait until no process has a page of VRAM
 * @vdev: the device, unplugged, so that nobody gets one anew
 *
 * The pages end with the device. Who uses one is known to nobody.
 */
void vvram_svm_drain(struct vvram_device *vdev)
{
	while (!vvram_svm_vacate(vdev, jiffies + msecs_to_jiffies(VVRAM_SVM_TELLING_MS)))
		drm_warn(&vdev->drm, "waiting for the users of %ld pages of shared memory\n",
			 atomic_long_read(&vdev->svm.pages));
}

static int vvram_svm_move_around(struct vvram_svm_step *step, struct vm_fault *vmf,
				 unsigned long *moved)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long start = ALIGN_DOWN(vmf->address, VVRAM_SVM_FAULT_PAGES << PAGE_SHIFT);
	unsigned long end = start + (VVRAM_SVM_FAULT_PAGES << PAGE_SHIFT);
	struct migrate_vma args;

	start = max(start, vma->vm_start);
	end = min(end, vma->vm_end);
	args = vvram_svm_args(step, vma, start, (end - start) >> PAGE_SHIFT);
	args.fault_page = vmf->page;
	return vvram_svm_move_to_system(step, &args, moved);
}

/*
 * A CPU can't use the page: it is brought back, with some around it. Needs no reservation, so
 * that whoever holds one may fault.
 */
static vm_fault_t vvram_svm_fault(struct vm_fault *vmf)
{
	struct vvram_bo *block = vmf->page->zone_device_data;
	struct vvram_device *vdev = vvram_bo_device(block);
	struct vvram_svm_step step;
	unsigned long moved = 0;
	int ret;

	if (vvram_svm_step_init(&step, vdev, false, VVRAM_SVM_FAULT_PAGES))
		return VM_FAULT_OOM;
	ret = vvram_svm_move_around(&step, vmf, &moved);
	vvram_svm_step_fini(&step);
	if (ret)
		return VM_FAULT_SIGBUS;
	atomic64_inc(&vdev->svm.faults);
	trace_vvram_svm(vmf->address, false, VVRAM_SVM_FAULT, moved, VVRAM_SVM_FAULT_PAGES);
	/* What did not move for another reason is busy, or gone: the access is tried again. */
	return step.no_memory && !moved ? VM_FAULT_OOM : 0;
}

COMPAT_DEFINE_PAGE_FREED(vvram_svm_freed, vvram_svm_page_freed)

static const struct dev_pagemap_ops vvram_svm_ops = {
	.COMPAT_PAGE_FREED = vvram_svm_freed,
	.migrate_to_ram = vvram_svm_fault,
};

static int vvram_svm_show(struct seq_file *m, void *unused)
{
	struct drm_debugfs_entry *entry = m->private;
	struct vvram_svm *svm = &to_vvram_device(entry->dev)->svm;

	seq_printf(m, "pages: %ld\n", atomic_long_read(&svm->pages));
	seq_printf(m, "moved: %lld\n", atomic64_read(&svm->moved));
	seq_printf(m, "faults: %lld\n", atomic64_read(&svm->faults));
	seq_printf(m, "evictions: %lld\n", atomic64_read(&svm->evictions));
	return 0;
}

/* The last pages are gone, with the kernel's mapping. */
static void vvram_svm_fini(void *data)
{
	struct vvram_svm *svm = data;

	flush_work(&svm->end);
}

/* @start: physical address of the pages; returns the kernel's mapping, of no use for some. */
static void *vvram_svm_init(struct vvram_device *vdev, enum memory_type type, u64 start)
{
	struct device *dev = vdev->drm.dev;
	struct vvram_svm *svm = &vdev->svm;
	void *map;
	int ret;

	if (!IS_ALIGNED(start | vdev->vram.size, memremap_compat_align())) {
		drm_err(&vdev->drm, "svm=1: VRAM has to be a multiple of %lu bytes\n",
			memremap_compat_align());
		return ERR_PTR(-EINVAL);
	}
	init_llist_head(&svm->ended);
	INIT_WORK(&svm->end, vvram_svm_end_blocks);
	svm->first = PHYS_PFN(start);
	svm->pagemap.type = type;
	svm->pagemap.ops = &vvram_svm_ops;
	svm->pagemap.owner = svm;
	svm->pagemap.nr_range = 1;
	svm->pagemap.range.start = start;
	svm->pagemap.range.end = start + vdev->vram.size - 1;

	ret = devm_add_action_or_reset(dev, vvram_svm_fini, svm);
	if (ret)
		return ERR_PTR(ret);
	map = devm_memremap_pages(dev, &svm->pagemap);
	if (IS_ERR(map))
		return map;
	svm->select = type == MEMORY_DEVICE_PRIVATE ? MIGRATE_VMA_SELECT_DEVICE_PRIVATE :
						      MIGRATE_VMA_SELECT_DEVICE_COHERENT;
	drm_debugfs_add_file(&vdev->drm, "svm", vvram_svm_show, NULL);
	return map;
}

/**
 * vvram_svm_init_private() - make pages for VRAM of which CPUs can't use any
 * @vdev: the device, its VRAM known
 *
 * They end with the device's resources.
 *
 * Return: 0, -EOPNOTSUPP where the kernel has no such pages, or another error.
 */
int vvram_svm_init_private(struct vvram_device *vdev)
{
	struct resource *region;

	region = compat_request_private_region(vdev->drm.dev, vdev->vram.size);
	if (region == ERR_PTR(-EOPNOTSUPP))
		drm_err(&vdev->drm, "svm=1: this kernel has no pages for it (CONFIG_DEVICE_PRIVATE is not set)\n");
	if (IS_ERR(region))
		return PTR_ERR(region);
	return PTR_ERR_OR_ZERO(vvram_svm_init(vdev, MEMORY_DEVICE_PRIVATE, region->start));
}

/**
 * vvram_svm_init_coherent() - make pages of VRAM that CPUs use where it is
 * @vdev: the device, its VRAM known
 *
 * They end with the device's resources, and so does the kernel's mapping, which becomes
 * &vvram_vram.map.
 *
 * Return: 0 or an error.
 */
int vvram_svm_init_coherent(struct vvram_device *vdev)
{
	void *map = vvram_svm_init(vdev, MEMORY_DEVICE_COHERENT, vdev->vram.base);

	if (IS_ERR(map))
		return PTR_ERR(map);
	iosys_map_set_vaddr(&vdev->vram.map, map);
	return 0;
}
