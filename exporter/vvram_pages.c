// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers whose CPU mappings have pages (pages=1), so that a pointer into one can be given to
 * files, io_uring and RDMA, and the buffer moves nevertheless.
 *
 * The life of a page, in VRAM and in system memory alike: the buffer has one reference from the
 * beginning, each mapping of a CPU's one more, and so has each user that get_user_pages()
 * found a mapping for. A move takes the mappings away first. With the reservation held nobody
 * can map the page again, so that from then on users only become fewer: the page may be left
 * when the buffer's reference is the only one. What a user does with it meanwhile is neither
 * seen nor stopped.
 *
 * A user may be about to fault on the next page of the same buffer, and that waits for the
 * reservation. So nobody who holds one waits for users of pages, but for a moment where there is
 * no other way: whoever wants a buffer moved lets it go and tries again.
 *
 * See Documentation/core-api/pin_user_pages.rst.
 */

#include <linux/delay.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pfn.h>
#include <linux/sched/signal.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>
#include <drm/drm_vma_manager.h>

#include "mm.h"
#include "ttm.h"
#include "vvram_bo.h"
#include "vvram_drv.h"
#include "vvram_pages.h"
#include "vvram_trace.h"

/*
 * How long a fault leaves the pages to those who wait for their users, and how much it maps then:
 * as much as a user asks for at once, who does not have to yield again.
 */
#define VVRAM_YIELD_MS		100
#define VVRAM_YIELD_PAGES	512UL
/* How long users of pages are waited for with the reservation held. */
#define VVRAM_PATIENCE_MS	200
/* When it is looked first whether they have let go, and at the latest then each time, us. */
#define VVRAM_LOOK_US		50
#define VVRAM_LOOK_SELDOM_US	4000
/* How often those who keep a device from its end are named. */
#define VVRAM_NAMING_MS		10000

static bool vvram_longterm;
module_param_named(longterm, vvram_longterm, bool, 0644);
MODULE_PARM_DESC(longterm,
		 "Pages may be pinned for long, which keeps their buffer where it is; mappings of as much as may be pinned (default no)");

static uint vvram_drain_ms = 5000;
module_param_named(drain_ms, vvram_drain_ms, uint, 0644);
MODULE_PARM_DESC(drain_ms,
		 "How long a move waits for those who have pages of the buffer, ms (default 5000)");

/**
 * vvram_pages_deadline() - until when users of pages are waited for, from now on
 *
 * Return: jiffies.
 */
unsigned long vvram_pages_deadline(void)
{
	return jiffies + msecs_to_jiffies(READ_ONCE(vvram_drain_ms));
}

/**
 * vvram_bo_has_pages() - tell whether a buffer's CPU mappings have pages
 * @bo: the buffer
 */
bool vvram_bo_has_pages(struct vvram_bo *bo)
{
	return vvram_bo_device(bo)->vram.pages && !vvram_bo_is_imported(bo);
}

static struct page *vvram_vram_page(struct vvram_vram *vram, u64 offset)
{
	return pfn_to_page(PHYS_PFN(vram->base + offset));
}

/* Besides the buffer somebody has it, or it is mapped, or was until a moment ago. */
static bool vvram_page_is_used(struct page *page)
{
	return page_ref_count(page) != 1;
}

/* To be shown only: a mapping may come or go between the two numbers. */
static bool vvram_page_is_held(struct page *page)
{
	int mapped = folio_mapcount(page_folio(page));

	return page_ref_count(page) > 1 + mapped;
}

static unsigned long vvram_segments_count(struct vvram_vram *vram,
					  const struct vvram_segments *segs,
					  bool (*is)(struct page *page))
{
	unsigned long n = 0;
	unsigned int i;
	u64 at;

	for (i = 0; i < segs->count; i++)
		for (at = 0; at < segs->seg[i].size; at += PAGE_SIZE)
			n += is(vvram_vram_page(vram, segs->seg[i].offset + at));
	return n;
}

/**
 * vvram_segments_are_used() - tell whether anybody has pages of a place in VRAM
 * @vdev: the device
 * @segs: the place, which no buffer has any more
 *
 * Until vvram_pages_drain_all() has seen all of VRAM unused.
 */
bool vvram_segments_are_used(struct vvram_device *vdev, const struct vvram_segments *segs)
{
	bool used;

	if (!vdev->vram.pages)
		return false;
	down_read(&vdev->vram.draining);
	used = !vdev->vram.drained &&
	       vvram_segments_count(&vdev->vram, segs, vvram_page_is_used);
	up_read(&vdev->vram.draining);
	return used;
}

static unsigned long vvram_pages_count(struct vvram_bo *bo, bool (*is)(struct page *page))
{
	struct vvram_vram *vram = &vvram_bo_device(bo)->vram;
	const struct vvram_segments *segs;
	struct ttm_tt *tt = bo->ttm.ttm;
	unsigned long n = 0, i;

	dma_resv_assert_held(bo->ttm.base.resv);

	if (!vvram_bo_has_pages(bo))
		return 0;
	if (vvram_bo_is_in_vram(bo)) {
		segs = to_vvram_vram_resource(bo->ttm.resource)->segs;
		down_read(&vram->draining);
		if (!vram->drained)
			n = vvram_segments_count(vram, segs, is);
		up_read(&vram->draining);
	} else if (tt && ttm_tt_is_populated(tt)) {
		for (i = 0; i < tt->num_pages; i++)
			n += is(tt->pages[i]);
	}
	return n;
}

/**
 * vvram_pages_held() - count the pages of a buffer that somebody has, mappings aside
 * @bo: the buffer, its reservation held
 */
unsigned long vvram_pages_held(struct vvram_bo *bo)
{
	return vvram_pages_count(bo, vvram_page_is_held);
}

/**
 * vvram_pages_settle() - have the CPUs' mappings of a buffer gone, and its pages' users
 * @bo: the buffer, its reservation held
 *
 * Does not wait for users. As long as the reservation is held there will be no new ones.
 *
 * Return: whether nobody has any of its pages.
 */
bool vvram_pages_settle(struct vvram_bo *bo)
{
	dma_resv_assert_held(bo->ttm.base.resv);

	if (!vvram_bo_has_pages(bo))
		return true;
	ttm_bo_unmap_virtual(&bo->ttm);
	return !vvram_pages_count(bo, vvram_page_is_used) ||
	       unlikely(READ_ONCE(vvram_bo_device(bo)->chaos.skip_drain));
}

/**
 * vvram_pages_drain_begin() - let no new users come to a buffer's pages as fast as others go
 * @bo: the buffer
 *
 * Until vvram_pages_drain_end() each fault leaves it to itself for a moment, but goes on
 * then: it may be one for more pages of a user that is waited for.
 */
void vvram_pages_drain_begin(struct vvram_bo *bo)
{
	atomic_inc(&bo->drains);
}

/**
 * vvram_pages_drain_end() - undo vvram_pages_drain_begin()
 * @bo: the buffer
 */
void vvram_pages_drain_end(struct vvram_bo *bo)
{
	if (atomic_dec_and_test(&bo->drains))
		wake_up_all(&bo->drained);
}

/* Most users have pages for a request, of which many may fit into a tick. */
static void vvram_pages_pause(unsigned int *us)
{
	usleep_range_state(*us, 2 * *us, TASK_KILLABLE);
	*us = min(2 * *us, VVRAM_LOOK_SELDOM_US);
}

/**
 * vvram_pages_wait() - wait until nobody has a buffer's pages
 * @bo: the buffer, its reservation not held, between vvram_pages_drain_begin() and end
 * @end: when to give up, of vvram_pages_deadline()
 *
 * There is no wake-up when a user of a page lets it go: it is looked at again and again.
 *
 * Return: 0 when nobody had one just now; -EBUSY when the buffer is pinned, or the time is
 * over; -EINTR when the caller is being killed.
 */
int vvram_pages_wait(struct vvram_bo *bo, unsigned long end)
{
	unsigned int us = VVRAM_LOOK_US;
	unsigned long held;
	bool settled, pinned;

	for (;;) {
		if (dma_resv_lock_interruptible(bo->ttm.base.resv, NULL))
			return -EINTR;
		pinned = bo->ttm.pin_count;
		settled = pinned || vvram_pages_settle(bo);
		held = settled ? 0 : vvram_pages_held(bo);
		if (held)
			trace_vvram_held(bo, held);
		dma_resv_unlock(bo->ttm.base.resv);

		if (pinned || (!settled && time_after(jiffies, end)))
			return -EBUSY;
		if (settled)
			return 0;
		if (vvram_pages_pause(&us), fatal_signal_pending(current))
			return -EINTR;
	}
}

/**
 * vvram_pages_be_patient() - wait a moment for users of a buffer's pages, who may be about to go
 * @bo: the buffer, its reservation held by somebody who can't let it go
 *
 * Importers map with the reservation held, and most of them fail for good when they can't. Most
 * users are done with what they have soon; those who fault on the next page are not, so that it is
 * no use to wait for long.
 */
void vvram_pages_be_patient(struct vvram_bo *bo)
{
	unsigned long end = jiffies + msecs_to_jiffies(VVRAM_PATIENCE_MS);
	unsigned int us = VVRAM_LOOK_US;

	if (!vvram_bo_has_pages(bo))
		return;

	while (!vvram_pages_settle(bo) && time_before(jiffies, end) &&
	       !fatal_signal_pending(current))
		vvram_pages_pause(&us);
}

static struct page *vvram_bo_page(struct vvram_bo *bo, unsigned long index)
{
	u64 offset = (u64)index << PAGE_SHIFT;
	const struct vvram_segment *seg;

	if (!vvram_bo_is_in_vram(bo))
		return bo->ttm.ttm->pages[index];
	seg = vvram_segments_find(to_vvram_vram_resource(bo->ttm.resource)->segs, &offset);
	return vvram_vram_page(&vvram_bo_device(bo)->vram, seg->offset + offset);
}

/**
 * vvram_pages_fault() - map the pages at a CPU's address, and some behind it
 * @vmf: the fault; the buffer's reservation is held, and its bytes have arrived
 *
 * Return: as &vm_operations_struct.fault does.
 */
vm_fault_t vvram_pages_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct ttm_buffer_object *tbo = vma->vm_private_data;
	struct ttm_operation_ctx ctx = { .interruptible = true };
	unsigned long index = vmf->pgoff - drm_vma_node_start(&tbo->base.vma_node);
	struct vvram_bo *bo = ttm_to_vvram_bo(tbo);
	unsigned long nr = atomic_read(&bo->drains) ? VVRAM_YIELD_PAGES : TTM_BO_VM_NUM_PREFAULT;
	vm_fault_t ret = VM_FAULT_NOPAGE;
	unsigned long i;
	int err;

	dma_resv_assert_held(tbo->base.resv);

	if (index >= PFN_UP(tbo->base.size))
		return VM_FAULT_SIGBUS;
	if (!vvram_bo_is_in_vram(bo)) {
		err = ttm_bo_populate(tbo, &ctx);
		if (err == -EINTR || err == -ERESTARTSYS || err == -EAGAIN)
			return VM_FAULT_NOPAGE;
		if (err)
			return VM_FAULT_SIGBUS;
	}
	nr = min3(nr, PFN_DOWN(vma->vm_end - vmf->address), PFN_UP(tbo->base.size) - index);
	/* Writable at once, if ever: there is nobody to be told of the first write. */
	for (i = 0; i < nr; i++) {
		ret = compat_insert_page(vma, vmf->address + i * PAGE_SIZE,
					 vvram_bo_page(bo, index + i), vma->vm_flags & VM_WRITE);
		if (ret & VM_FAULT_ERROR)
			break;
	}
	return i ? VM_FAULT_NOPAGE : ret;
}

/**
 * vvram_pages_fault_nothing() - map one page of its own for all of a mapping
 * @vmf: the fault; the buffer's reservation is held, and the device is gone
 *
 * Return: as &vm_operations_struct.fault does.
 */
vm_fault_t vvram_pages_fault_nothing(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	vm_fault_t ret = VM_FAULT_NOPAGE;
	unsigned long address;
	struct page *page;

	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return VM_FAULT_OOM;
	for (address = vma->vm_start; address < vma->vm_end; address += PAGE_SIZE) {
		ret = compat_insert_page(vma, address, page, false);
		if (ret & VM_FAULT_ERROR)
			break;
	}
	/* From here on it is the mapping's. */
	put_page(page);
	return ret;
}

/**
 * vvram_pages_fault_yield() - leave a buffer that is to move to itself for a moment
 * @vmf: the fault, the first try of one that may be tried again; the reservation is held,
 *	and not any more when this returns
 *
 * Return: VM_FAULT_RETRY.
 */
vm_fault_t vvram_pages_fault_yield(struct vm_fault *vmf)
{
	struct ttm_buffer_object *tbo = vmf->vma->vm_private_data;
	struct vvram_bo *bo = ttm_to_vvram_bo(tbo);

	drm_gem_object_get(&tbo->base);
	mmap_read_unlock(vmf->vma->vm_mm);
	dma_resv_unlock(tbo->base.resv);
	wait_event_killable_timeout(bo->drained, !atomic_read(&bo->drains),
				    msecs_to_jiffies(VVRAM_YIELD_MS));
	drm_gem_object_put(&tbo->base);
	return VM_FAULT_RETRY;
}

/**
 * vvram_pages_may_stay() - tell whether a new mapping's pages may be pinned for long
 * @bo: the buffer
 *
 * Such pins can't be told from others by who looks at a page, and may outlive the mapping, so
 * the whole buffer is counted until its end.
 */
bool vvram_pages_may_stay(struct vvram_bo *bo)
{
	struct vvram_device *vdev = vvram_bo_device(bo);
	u64 limit = vvram_pin_limit(vdev, TTM_PL_VRAM), size = bo->ttm.base.size;
	u64 pinned = atomic64_read(&vdev->vram_pinned);
	bool may;

	mutex_lock(&vdev->bos_lock);
	if (!bo->longterm && READ_ONCE(vvram_longterm) &&
	    pinned + vdev->longterm + size <= limit) {
		vdev->longterm += size;
		bo->longterm = true;
	}
	may = bo->longterm;
	mutex_unlock(&vdev->bos_lock);
	return may;
}

/* Of whom the users are is not known: only whose buffer it is. */
static void vvram_name_held(struct vvram_device *vdev, unsigned long used)
{
	struct vvram_bo *bo;
	unsigned long held;

	drm_warn(&vdev->drm, "waiting for the users of %lu pages of VRAM (%llu bytes of ended buffers)\n",
		 used, vvram_vram_mgr_held(&vdev->vram_mgr));
	mutex_lock(&vdev->bos_lock);
	list_for_each_entry(bo, &vdev->bos, link) {
		if (!dma_resv_trylock(bo->ttm.base.resv))
			continue;
		held = vvram_bo_is_in_vram(bo) ? vvram_pages_held(bo) : 0;
		if (held)
			drm_warn(&vdev->drm,
				 "still in use: %lu pages of a buffer of %zu bytes (inode %lu) of %s[%d]\n",
				 held, bo->ttm.base.size, bo->inode, bo->creator->comm,
				 bo->creator->pid);
		dma_resv_unlock(bo->ttm.base.resv);
	}
	mutex_unlock(&vdev->bos_lock);
}

static unsigned long vvram_vram_used(struct vvram_vram *vram)
{
	unsigned long used = 0;
	u64 at;

	for (at = 0; at < vram->size; at += PAGE_SIZE)
		used += vvram_page_is_used(vvram_vram_page(vram, at));
	return used;
}

/**
 * vvram_pages_drain_all() - wait until nobody has a page of VRAM
 * @vdev: the device, unplugged, so that nobody gets one anew
 *
 * Afterwards nobody looks at the pages any more: those of a BAR end with the device.
 */
void vvram_pages_drain_all(struct vvram_device *vdev)
{
	unsigned long named = jiffies, used;

	if (!vdev->vram.pages)
		return;
	while ((used = vvram_vram_used(&vdev->vram))) {
		if (time_after(jiffies, named + msecs_to_jiffies(VVRAM_NAMING_MS))) {
			vvram_name_held(vdev, used);
			named = jiffies;
		}
		schedule_timeout_uninterruptible(msecs_to_jiffies(10));
	}
	down_write(&vdev->vram.draining);
	vdev->vram.drained = true;
	up_write(&vdev->vram.draining);
}
