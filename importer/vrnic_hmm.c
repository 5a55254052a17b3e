// SPDX-License-Identifier: GPL-2.0
/*
 * Regions by address: user memory that is not pinned. Pages are looked up when they are
 * used, and given back when the process's page tables say so: whatever is behind an address
 * at that time is what is read and written (Documentation/mm/hmm.rst).
 *
 * The CPU's page tables change under &vrnic_mr.access, held for writing by the notifier: it
 * waits for one chunk at most, and what holds it for reading neither allocates nor faults.
 * So pages are faulted in with none of a region's locks but &vrnic_hmm.lock, which notifiers
 * do not take, and are good when the notifier's sequence has not gone on meanwhile.
 */

#include <linux/cleanup.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/minmax.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "hmm.h"
#include "vrnic_access.h"
#include "vrnic_hmm.h"
#include "vrnic_mr.h"
#include "vrnic_trace.h"

/* Pages that are looked up at a time. */
#define VRNIC_HMM_BATCH		64

/**
 * struct vrnic_hmm - a range of a process's address space
 */
struct vrnic_hmm {
	/** @notifier: Tells of changes; its mm is the process's. */
	struct mmu_interval_notifier notifier;
	/** @following: @notifier is there. */
	bool following;
	/** @mr: The region. */
	struct vrnic_mr *mr;
	/** @start: First byte of the first page. */
	unsigned long start;
	/** @nr: Pages. */
	unsigned long nr;
	/** @nr_mapped: Pages that are mapped; &vrnic_mr.access. */
	unsigned long nr_mapped;
	/** @nr_device: Those of a device's memory among them; &vrnic_mr.access. */
	unsigned long nr_device;
	/** @dma: The pages that are mapped, and how; &vrnic_mr.access. */
	struct hmm_dma_map dma;
	/** @lock: Pages are looked up by one at a time. */
	struct mutex lock;
	/** @found: What was looked up; @lock. */
	unsigned long found[VRNIC_HMM_BATCH];
};

static unsigned long vrnic_hmm_pfn(unsigned long found)
{
	return found & ~HMM_PFN_FLAGS;
}

static void vrnic_hmm_unmap_page(struct vrnic_hmm *hmm, unsigned long idx)
{
	unsigned long *pfn = &hmm->dma.pfn_list[idx];
	dma_addr_t *addr = &hmm->mr->map.page[idx];
	struct page *page = hmm_pfn_to_page(*pfn);

	compat_hmm_unmap_page(hmm->mr->pd->vdev->dev, &hmm->dma, idx, *addr);
	if (is_zone_device_page(page))
		hmm->nr_device--;
	else if (*pfn & HMM_PFN_WRITE)
		set_page_dirty(page);
	hmm->nr_mapped--;
	vrnic_count(hmm->mr, unmaps, 1);
	*pfn = 0;
	*addr = 0;
}

static unsigned long vrnic_hmm_unmap(struct vrnic_hmm *hmm, unsigned long first,
				     unsigned long last)
{
	struct vrnic_mapping *map = &hmm->mr->map;
	unsigned long idx, before = hmm->nr_mapped;

	lockdep_assert_held_write(&hmm->mr->access);

	for (idx = first; idx <= last && hmm->nr_mapped; idx++)
		if (map->page[idx])
			vrnic_hmm_unmap_page(hmm, idx);
	/* A BAR is not kept open by those who had been there. */
	if (!hmm->nr_device)
		vrnic_bus_close(&map->view);
	return before - hmm->nr_mapped;
}

/* Also from reclaim, and with the locks of whoever changes the page tables. */
static bool vrnic_hmm_invalidate(struct mmu_interval_notifier *notifier,
				 const struct mmu_notifier_range *range, unsigned long seq)
{
	struct vrnic_hmm *hmm = container_of(notifier, struct vrnic_hmm, notifier);
	unsigned long first, last, n;
	struct vrnic_mr *mr = hmm->mr;

	first = (max(range->start, hmm->start) - hmm->start) >> PAGE_SHIFT;
	last = min((range->end - 1 - hmm->start) >> PAGE_SHIFT, hmm->nr - 1);

	if (mmu_notifier_range_blockable(range))
		down_write(&mr->access);
	else if (!down_write_trylock(&mr->access))
		return false;
	mmu_interval_set_seq(notifier, seq);
	n = vrnic_hmm_unmap(hmm, first, last);
	/* With the lock: its domain may become another one, and the old one end. */
	if (n) {
		vrnic_count(mr, invalidations, 1);
		trace_vrnic_invalidate(mr, n);
	}
	up_write(&mr->access);
	return true;
}

static const struct mmu_interval_notifier_ops vrnic_hmm_notifier_ops = {
	.invalidate = vrnic_hmm_invalidate,
};

static int vrnic_hmm_map_page(struct vrnic_hmm *hmm, unsigned long idx, unsigned long found)
{
	unsigned long *pfn = &hmm->dma.pfn_list[idx];
	dma_addr_t *addr = &hmm->mr->map.page[idx];
	struct device *dev = hmm->mr->pd->vdev->dev;

	if (*addr) {
		if (vrnic_hmm_pfn(*pfn) == vrnic_hmm_pfn(found)) {
			*pfn |= found & HMM_PFN_WRITE;
			return 0;
		}
		vrnic_hmm_unmap_page(hmm, idx);
	}

	*pfn = vrnic_hmm_pfn(found) | (found & (HMM_PFN_VALID | HMM_PFN_WRITE));
	*addr = compat_hmm_map_page(dev, &hmm->dma, idx);
	if (dma_mapping_error(dev, *addr)) {
		*pfn = 0;
		*addr = 0;
		return -EFAULT;
	}
	hmm->nr_mapped++;
	if (is_zone_device_page(hmm_pfn_to_page(found)))
		hmm->nr_device++;
	vrnic_count(hmm->mr, maps, 1);
	return 0;
}

/* What was found is mapped, unless it has changed since; -EBUSY then. */
static int vrnic_hmm_map(struct vrnic_hmm *hmm, unsigned long first, unsigned long n,
			 unsigned long seq, struct vrnic_bus_view *view)
{
	struct vrnic_mr *mr = hmm->mr;
	unsigned long i;
	int ret;

	down_write(&mr->access);
	ret = mmu_interval_read_retry(&hmm->notifier, seq) ? -EBUSY : 0;
	if (!ret)
		ret = vrnic_bus_adopt(&mr->map.view, view);
	for (i = 0; i < n && !ret; i++)
		ret = vrnic_hmm_map_page(hmm, first + i, hmm->found[i]);
	if (!ret)
		trace_vrnic_map(mr, n);
	up_write(&mr->access);
	return ret;
}

/* Of memory that leads out of RAM the CPU's way there is opened before it is mapped. */
static int vrnic_hmm_open(struct vrnic_hmm *hmm, unsigned long n, struct vrnic_bus_view *view)
{
	unsigned long i;
	int ret = 0;

	for (i = 0; i < n && !ret; i++)
		ret = vrnic_bus_open_phys(view, PFN_PHYS(vrnic_hmm_pfn(hmm->found[i])));
	return ret;
}

/*
 * What get_user_pages() has for nobody, HMM does not ask for: pages of memfd_secret(), which
 * are not in the kernel's map, by which the CPU's engine reaches RAM; and writes to a shadow
 * stack.
 */
static bool vrnic_hmm_is_refused(const struct vm_area_struct *vma, bool write)
{
	if (vma->vm_file && file_inode(vma->vm_file)->i_sb->s_magic == SECRETMEM_MAGIC)
		return true;
	return write && vma->vm_flags & VM_SHADOW_STACK;
}

static bool vrnic_hmm_may_use(struct mm_struct *mm, unsigned long start, unsigned long end,
			      bool write)
{
	VMA_ITERATOR(vmi, mm, start);
	struct vm_area_struct *vma;

	for_each_vma_range(vmi, vma, end)
		if (vrnic_hmm_is_refused(vma, write))
			return false;
	return true;
}

static int vrnic_hmm_look_up(struct vrnic_hmm *hmm, unsigned long first, unsigned long n,
			     bool write)
{
	struct hmm_range range = {
		.notifier = &hmm->notifier,
		.start = hmm->start + (first << PAGE_SHIFT),
		.end = hmm->start + ((first + n) << PAGE_SHIFT),
		.hmm_pfns = hmm->found,
		.default_flags = HMM_PFN_REQ_FAULT | (write ? HMM_PFN_REQ_WRITE : 0),
	};
	struct mm_struct *mm = hmm->notifier.mm;
	struct vrnic_bus_view view = {};
	int ret;

	memset(hmm->found, 0, sizeof(hmm->found));
	range.notifier_seq = mmu_interval_read_begin(&hmm->notifier);
	mmap_read_lock(mm);
	ret = vrnic_hmm_may_use(mm, range.start, range.end, write) ? hmm_range_fault(&range) :
								     -EACCES;
	mmap_read_unlock(mm);
	/* Not there, or not for that: the owner's mistake, not the bus's. */
	if (ret)
		return ret == -EBUSY || ret == -ENOMEM ? ret : -EACCES;

	ret = vrnic_hmm_open(hmm, n, &view);
	if (!ret)
		ret = vrnic_hmm_map(hmm, first, n, range.notifier_seq, &view);
	vrnic_bus_close(&view);
	return ret;
}

static int vrnic_hmm_may_go_on(struct vrnic_hmm *hmm, const struct vrnic_access_set *set)
{
	if (READ_ONCE(hmm->mr->dead) || (set && vrnic_access_find_dead(set)))
		return -ENODEV;
	if (set && vrnic_access_is_stopping(set))
		return -ECANCELED;
	if (!set && fatal_signal_pending(current))
		return -EINTR;
	return 0;
}

static int vrnic_hmm_fault_pages(struct vrnic_hmm *hmm, unsigned long first, unsigned long last,
				 bool write, const struct vrnic_access_set *set)
{
	unsigned long n;
	int ret;

	while (first <= last) {
		ret = vrnic_hmm_may_go_on(hmm, set);
		if (ret)
			return ret;
		n = min(last - first + 1, VRNIC_HMM_BATCH);
		ret = vrnic_hmm_look_up(hmm, first, n, write);
		if (ret && ret != -EBUSY)
			return ret;
		if (!ret)
			first += n;
		cond_resched();
	}
	return 0;
}

static int vrnic_hmm_fault_here(struct vrnic_mr *mr, u64 pos, u64 len, bool write,
				const struct vrnic_access_set *set)
{
	struct vrnic_hmm *hmm = mr->hmm;
	struct mm_struct *mm = hmm->notifier.mm;
	int ret;

	if (!mmget_not_zero(mm))
		return -EACCES;
	vrnic_count(mr, faults, 1);
	trace_vrnic_fault(mr, pos);
	ret = mutex_lock_killable(&hmm->lock);
	if (!ret) {
		ret = vrnic_hmm_fault_pages(hmm, pos >> PAGE_SHIFT, (pos + len - 1) >> PAGE_SHIFT,
					    write, set);
		mutex_unlock(&hmm->lock);
	}
	/* The last one to leave cleans up, which may take long: not here. */
	mmput_async(mm);
	return ret;
}

/* A fault on behalf of somebody who may have to leave. */
struct vrnic_hmm_job {
	struct kref ref;	/* of who does it, and of who waits */
	struct work_struct work;
	struct completion done;
	struct vrnic_mr *mr;	/* with a reference until it is done */
	u64 pos;
	u64 len;
	bool write;
	int ret;	/* when it is done */
};

static void vrnic_hmm_job_free(struct kref *ref)
{
	kfree(container_of(ref, struct vrnic_hmm_job, ref));
}

static void vrnic_hmm_job_do(struct work_struct *work)
{
	struct vrnic_hmm_job *job = container_of(work, struct vrnic_hmm_job, work);

	job->ret = vrnic_hmm_fault_here(job->mr, job->pos, job->len, job->write, NULL);
	complete(&job->done);
	vrnic_mr_put(job->mr);
	kref_put(&job->ref, vrnic_hmm_job_free);
}

/*
 * A page may take as long as its owner likes (a file of a file system that does not answer), and
 * neither signals nor ends are looked at meanwhile. So it is the owner's worker who waits for
 * it, and others leave when they have to.
 */
static int vrnic_hmm_fault_there(struct vrnic_mr *mr, u64 pos, u64 len, bool write,
				 const struct vrnic_access_set *set)
{
	struct vrnic_hmm_job *job;
	int ret = 0;

	job = kzalloc(sizeof(*job), GFP_KERNEL);
	if (!job)
		return -ENOMEM;
	kref_init(&job->ref);
	kref_get(&job->ref);
	INIT_WORK(&job->work, vrnic_hmm_job_do);
	init_completion(&job->done);
	kref_get(&mr->ref);
	job->mr = mr;
	job->pos = pos;
	job->len = len;
	job->write = write;

	queue_work(mr->pd->faulters, &job->work);
	while (!ret && !wait_for_completion_timeout(&job->done, VRNIC_STOP_INTERVAL))
		ret = vrnic_hmm_may_go_on(mr->hmm, set);
	if (!ret) {
		ret = job->ret;
	} else if (cancel_work(&job->work)) {
		/* It was not begun: nobody else has it. */
		vrnic_mr_put(mr);
		kfree(job);
		return ret;
	}
	kref_put(&job->ref, vrnic_hmm_job_free);
	return ret;
}

/* Who has a peer holds what that one's end waits for. */
static int vrnic_hmm_fault(struct vrnic_mr *mr, u64 pos, u64 len, bool write,
			   const struct vrnic_access_set *set)
{
	if (set && (set->peer || set->wq->attr.pd != mr->pd))
		return vrnic_hmm_fault_there(mr, pos, len, write, set);
	return vrnic_hmm_fault_here(mr, pos, len, write, set);
}

static bool vrnic_hmm_ready(const struct vrnic_mr *mr, u64 pos, u64 len, bool write)
{
	unsigned long idx, last = (pos + len - 1) >> PAGE_SHIFT;

	for (idx = pos >> PAGE_SHIFT; idx <= last; idx++) {
		if (!mr->map.page[idx])
			return false;
		if (write && !(mr->hmm->dma.pfn_list[idx] & HMM_PFN_WRITE))
			return false;
	}
	return true;
}

static void vrnic_hmm_get_state(const struct vrnic_mr *mr, struct vrnic_mr_state *state)
{
	state->mapped = mr->hmm->nr_mapped;
	state->peer = mr->hmm->nr_device;
	state->segments = min(mr->hmm->nr_mapped, U32_MAX);
}

static int vrnic_hmm_make_tables(struct vrnic_hmm *hmm)
{
	struct vrnic_mapping *map = &hmm->mr->map;
	int ret;

	/* They stay, and so count as if they were pinned; the pages do not. */
	ret = vrnic_mr_charge(hmm->mr, hmm->nr * (sizeof(*map->page) + sizeof(*hmm->dma.pfn_list)));
	if (ret)
		return ret;
	map->page = kvcalloc(hmm->nr, sizeof(*map->page), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!map->page)
		return -ENOMEM;
	map->dev = hmm->mr->pd->vdev->dev;
	map->nr = hmm->nr;
	return compat_hmm_map_alloc(map->dev, &hmm->dma, hmm->nr);
}

/**
 * vrnic_hmm_follow() - let a region follow a range of the caller's address space
 * @mr: the region
 * @addr: first byte, of a range within the address space; nothing needs to be there yet
 *
 * Return: 0; -ENOMEM, also for RLIMIT_MEMLOCK, against which the tables count; -EOPNOTSUPP
 * for a device that does not reach all memory itself. The region's end cleans up after an error
 * as well.
 */
int vrnic_hmm_follow(struct vrnic_mr *mr, u64 addr)
{
	u64 start = PAGE_ALIGN_DOWN(addr), end = addr + mr->attr.length;
	struct vrnic_hmm *hmm;
	int ret;

	hmm = kzalloc(sizeof(*hmm), GFP_KERNEL_ACCOUNT);
	if (!hmm)
		return -ENOMEM;
	mutex_init(&hmm->lock);
	hmm->mr = mr;
	hmm->start = start;
	hmm->nr = (PAGE_ALIGN(end) - start) >> PAGE_SHIFT;
	mr->hmm = hmm;
	mr->attr.offset = addr - start;

	ret = vrnic_hmm_make_tables(hmm);
	if (ret)
		return ret;
	mr->mapped = true;
	ret = mmu_interval_notifier_insert(&hmm->notifier, current->mm, start,
					   hmm->nr << PAGE_SHIFT, &vrnic_hmm_notifier_ops);
	hmm->following = !ret;
	return ret;
}

static void vrnic_hmm_release(struct vrnic_mr *mr)
{
	struct vrnic_hmm *hmm = mr->hmm;

	if (!hmm)
		return;

	/*
	 * Nobody uses the region any more, so that no page comes. Those that are there are its
	 * own as long as it would be told of their end: without the notifier they may be
	 * somebody else's already.
	 */
	down_write(&mr->access);
	mr->mapped = false;
	vrnic_hmm_unmap(hmm, 0, hmm->nr - 1);
	up_write(&mr->access);
	if (hmm->following)
		mmu_interval_notifier_remove(&hmm->notifier);

	if (hmm->dma.pfn_list)
		compat_hmm_map_free(mr->map.dev, &hmm->dma);
	vrnic_mapping_clear(&mr->map);
	mutex_destroy(&hmm->lock);
	kfree(hmm);
}

/* Always mapped, as far as the region's callers know; page by page, as they need it. */
const struct vrnic_mr_ops vrnic_hmm_ops = {
	.ready = vrnic_hmm_ready,
	.fault = vrnic_hmm_fault,
	.get_state = vrnic_hmm_get_state,
	.release = vrnic_hmm_release,
};
