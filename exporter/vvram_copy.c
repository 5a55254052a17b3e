// SPDX-License-Identifier: GPL-2.0
/*
 * The copy engine: copies or clears in the background and signals a fence.
 *
 * A job is complete before its fence is published: from then on it allocates
 * nothing and takes no lock that is held over an allocation or over a wait for a
 * fence (Documentation/driver-api/dma-buf.rst, "DMA Fence Cross-Driver
 * Contract"). Large copies are split into parts that run side by side.
 */

#include <linux/cpumask.h>
#include <linux/dma-fence-unwrap.h>
#include <linux/dma-resv.h>
#include <linux/io.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include <drm/drm_cache.h>
#include <drm/drm_debugfs.h>
#include <drm/drm_drv.h>
#include <drm/drm_managed.h>

#include "dma_fence.h"
#include "vvram_client.h"
#include "vvram_copy.h"
#include "vvram_drv.h"
#include "vvram_quarantine.h"
#include "vvram_strict.h"
#include "vvram_trace.h"

/* Smallest part worth a CPU of its own, and most parts of a job. */
#define VVRAM_COPY_PART		SZ_1M
#define VVRAM_COPY_MAX_PARTS	8
/* Bytes between two points where other tasks get the CPU. */
#define VVRAM_COPY_STEP		SZ_256K
/* Up to here, a copy costs less than waking a worker for it. */
#define VVRAM_COPY_SMALL	SZ_64K
/* How long a poisoned place is watched for stale writers. */
#define VVRAM_POISON_WATCH_MS	20

struct vvram_copy_job;

/* A slice of a job, run by one worker. */
struct vvram_copy_part {
	struct work_struct work;
	struct vvram_copy_job *job;
	u64 start;
	u64 end;
};

/**
 * struct vvram_copy_job - a copy under way, and its fence
 */
struct vvram_copy_job {
	/** @base: Must be first: the fence is freed as memory of its own. */
	struct dma_fence base;
	/** @lock: For @base on kernels whose fences bring none. */
	spinlock_t lock;
	/** @vdev: The device; outlives the job. */
	struct vvram_device *vdev;
	/** @src: Where the bytes are; empty to clear. */
	struct vvram_copy_place src;
	/** @dst: Where they go. */
	struct vvram_copy_place dst;
	/** @size: Bytes. */
	u64 size;
	/** @inode: Of the dma-buf, for messages. */
	unsigned long inode;
	/** @client: Who pays for it. */
	struct vvram_client *client;
	/** @error: First error of any part. */
	int error;
	/** @dep: What the job waits for; dropped when it starts. */
	struct dma_fence *dep;
	/** @dep_cb: Starts the job. */
	struct dma_fence_cb dep_cb;
	/** @start: Runs once @dep has signalled. */
	struct work_struct start;
	/** @later: What comes after a pause, on demand of those who test importers. */
	struct delayed_work later;
	/** @evict: The vacated place is given away ahead of the copy. */
	bool evict;
	/** @early: @dst has VVRAM_POISON_EARLY. */
	bool early;
	/** @queued: @start was queued, and will not be again. */
	bool queued;
	/** @parts_left: Parts that have not ended. */
	atomic_t parts_left;
	/** @nr_parts: Entries in @part. */
	unsigned int nr_parts;
	/** @part: Slices that run side by side. */
	struct vvram_copy_part part[] __counted_by(nr_parts);
};

/**
 * struct vvram_copy_cursor - a walk over a place, span by span
 *
 * A span is what follows each other in memory: neither pieces of VRAM nor pages are
 * looked at twice.
 */
struct vvram_copy_cursor {
	/** @vdev: The device. */
	struct vvram_device *vdev;
	/** @pages: The place's pages; NULL in VRAM. */
	struct page **pages;
	/** @vram: The walk over the place's pieces, in VRAM. */
	struct vvram_cursor vram;
	/** @offset: Byte of the place. */
	u64 offset;
	/** @end: Where the walk ends. */
	u64 end;
	/** @map: The CPU's view of it. */
	struct iosys_map map;
	/** @len: Bytes from there to the end of the span. */
	u64 len;
};

static const char *vvram_copy_driver_name(struct dma_fence *fence)
{
	return "vvram";
}

static const char *vvram_copy_timeline_name(struct dma_fence *fence)
{
	return "copy";
}

static const struct dma_fence_ops vvram_copy_fence_ops = {
	.get_driver_name = vvram_copy_driver_name,
	.get_timeline_name = vvram_copy_timeline_name,
};

static bool vvram_copy_place_is_empty(const struct vvram_copy_place *place)
{
	return !place->segs && !place->pages;
}

/* Pages that follow each other in memory make one span: bytes in it, and where. */
static u64 vvram_copy_map_pages(struct page **pages, u64 offset, u64 max,
				struct iosys_map *map)
{
	unsigned long i = offset >> PAGE_SHIFT;
	u64 len = PAGE_SIZE - offset_in_page(offset);

	iosys_map_set_vaddr(map, page_address(pages[i]) + offset_in_page(offset));
	while (len < max && page_to_pfn(pages[i + 1]) == page_to_pfn(pages[i]) + 1) {
		len += PAGE_SIZE;
		i++;
	}
	return min(len, max);
}

static void vvram_copy_find_span(struct vvram_copy_cursor *cursor)
{
	u64 left = cursor->end - cursor->offset, at;

	if (!left)
		return;
	if (cursor->pages) {
		cursor->len = vvram_copy_map_pages(cursor->pages, cursor->offset, left,
						   &cursor->map);
		return;
	}
	cursor->len = min(left, vvram_cursor_here(&cursor->vram, &at));
	cursor->map = cursor->vdev->vram.map;
	iosys_map_incr(&cursor->map, at);
}

/* Begins a walk over the bytes from @start to @end of a place that is not empty. */
static void vvram_copy_cursor_init(struct vvram_copy_cursor *cursor, struct vvram_device *vdev,
				   const struct vvram_copy_place *place, u64 start, u64 end)
{
	*cursor = (struct vvram_copy_cursor) {
		.vdev = vdev, .pages = place->pages, .offset = start, .end = end,
	};
	if (place->segs)
		vvram_cursor_init(&cursor->vram, place->segs, start);
	vvram_copy_find_span(cursor);
}

/* Walks on, at most to the end of the span. */
static void vvram_copy_cursor_advance(struct vvram_copy_cursor *cursor, u64 bytes)
{
	cursor->offset += bytes;
	cursor->len -= bytes;
	iosys_map_incr(&cursor->map, bytes);
	if (!cursor->pages)
		vvram_cursor_advance(&cursor->vram, bytes);
	if (!cursor->len)
		vvram_copy_find_span(cursor);
}

static void vvram_copy_cursor_fini(struct vvram_copy_cursor *cursor)
{
	atomic64_add(cursor->vram.visited, &cursor->vdev->copy_pieces);
}

static void vvram_clear_range(struct vvram_device *vdev, const struct vvram_copy_place *place,
			      u64 start, u64 end)
{
	struct vvram_copy_cursor to;
	u64 len;

	vvram_copy_cursor_init(&to, vdev, place, start, end);
	while (to.offset < end) {
		len = min_t(u64, to.len, VVRAM_COPY_STEP);
		iosys_map_memset(&to.map, 0, 0, len);
		vvram_copy_cursor_advance(&to, len);
		cond_resched();
	}
	vvram_copy_cursor_fini(&to);
}

static void vvram_copy_range(struct vvram_device *vdev, const struct vvram_copy_place *src,
			     const struct vvram_copy_place *dst, u64 start, u64 end)
{
	struct vvram_copy_cursor from, to;
	u64 len;

	vvram_copy_cursor_init(&from, vdev, src, start, end);
	vvram_copy_cursor_init(&to, vdev, dst, start, end);
	while (to.offset < end) {
		len = min3(from.len, to.len, (u64)VVRAM_COPY_STEP);
		if (from.map.is_iomem)
			drm_memcpy_from_wc(&to.map, &from.map, len);
		else
			iosys_map_memcpy_to(&to.map, 0, from.map.vaddr, len);
		vvram_copy_cursor_advance(&from, len);
		vvram_copy_cursor_advance(&to, len);
		cond_resched();
	}
	vvram_copy_cursor_fini(&from);
	vvram_copy_cursor_fini(&to);
}

static void vvram_copy_or_clear(struct vvram_device *vdev, const struct vvram_copy_place *src,
				const struct vvram_copy_place *dst, u64 start, u64 end)
{
	if (vvram_copy_place_is_empty(src))
		vvram_clear_range(vdev, dst, start, end);
	else
		vvram_copy_range(vdev, src, dst, start, end);
	wmb(); /* write-combining buffers are drained before anyone is told so */
}

static void vvram_copy_fill(struct vvram_device *vdev, const struct vvram_copy_place *place,
			    u64 size, u64 word)
{
	struct vvram_copy_cursor at;
	u64 len, i;

	vvram_copy_cursor_init(&at, vdev, place, 0, size);
	while (at.offset < size) {
		len = min_t(u64, at.len, VVRAM_COPY_STEP);
		for (i = 0; i < len; i += sizeof(u64))
			iosys_map_wr(&at.map, i, u64, word);
		vvram_copy_cursor_advance(&at, len);
		cond_resched();
	}
	vvram_copy_cursor_fini(&at);
	wmb(); /* leaves the write-combining buffers before anyone looks */
}

/* A function that was pulled out reads as ones. */
static bool vvram_copy_place_answers(struct vvram_device *vdev,
				     const struct vvram_copy_place *place)
{
	return !place->segs || !dev_is_pci(vdev->drm.dev) ||
	       pci_device_is_present(to_pci_dev(vdev->drm.dev));
}

/**
 * vvram_copy_compare() - look for what was written over poison
 * @vdev: the device, held against unplug
 * @place: a place that is filled with it
 * @size: bytes
 * @word: the poison
 *
 * Return: byte with which the first word begins that is another one, or the size; that as well
 * when the device went away meanwhile.
 */
u64 vvram_copy_compare(struct vvram_device *vdev, const struct vvram_copy_place *place, u64 size,
		       u64 word)
{
	struct vvram_copy_cursor at;
	u64 len, i = 0;

	vvram_copy_cursor_init(&at, vdev, place, 0, size);
	while (at.offset < size) {
		len = min_t(u64, at.len, VVRAM_COPY_STEP);
		for (i = 0; i < len; i += sizeof(u64))
			if (iosys_map_rd(&at.map, i, u64) != word)
				goto out;
		vvram_copy_cursor_advance(&at, len);
		i = 0;
		cond_resched();
	}
out:
	vvram_copy_cursor_fini(&at);
	if (at.offset < size && !vvram_copy_place_answers(vdev, place))
		return size;
	return at.offset + i;
}

/* Goes on after a while, and lets the caller go: it may be one who can be killed. */
static void vvram_copy_later(struct vvram_copy_job *job, work_func_t func, u32 ms)
{
	INIT_DELAYED_WORK(&job->later, func);
	queue_delayed_work(job->vdev->copy_wq, &job->later, msecs_to_jiffies(ms) + 1);
}

static struct vvram_copy_job *vvram_copy_job_of_later(struct work_struct *work)
{
	return container_of(to_delayed_work(work), struct vvram_copy_job, later);
}

static void vvram_copy_place_get(struct vvram_copy_place *to,
				 const struct vvram_copy_place *from)
{
	to->segs = from->segs ? vvram_segments_get(from->segs) : NULL;
	to->pages = from->pages;
	to->suspects = vvram_suspects_get(from->suspects);
}

static void vvram_copy_place_put(struct vvram_copy_place *place)
{
	vvram_segments_put(place->segs);
	vvram_suspects_put(place->suspects);
}

/*
 * Drop all that the job holds before the fence signals: after that nothing of it
 * may be touched, and the module may be gone before the fence is.
 */
static void vvram_copy_end(struct vvram_copy_job *job)
{
	struct vvram_device *vdev = job->vdev;

	trace_vvram_copy_end(job->inode, job->size, job->error);
	vvram_copy_place_put(&job->src);
	vvram_copy_place_put(&job->dst);
	vvram_client_put(job->client);
	if (job->error)
		dma_fence_set_error(&job->base, job->error);
	dma_fence_signal(&job->base);
	dma_fence_put(&job->base);

	if (atomic_dec_and_test(&vdev->copy_jobs))
		wake_up_all(&vdev->copy_idle);
}

static void vvram_poison_judge(struct vvram_copy_job *job)
{
	struct vvram_device *vdev = job->vdev;
	u64 offset = vvram_copy_compare(vdev, &job->src, job->size, VVRAM_POISON);

	if (offset == job->size)
		return;
	vvram_stale_write(vdev, job->src.suspects, offset);
	vvram_copy_fill(vdev, &job->src, job->size, VVRAM_POISON);
}

static void vvram_copy_watch_over(struct work_struct *work)
{
	struct vvram_copy_job *job = vvram_copy_job_of_later(work);
	bool cookie = dma_fence_begin_signalling();
	int idx;

	/* What was unplugged meanwhile has lost its bytes to nobody. */
	if (drm_dev_enter(&job->vdev->drm, &idx)) {
		vvram_poison_judge(job);
		drm_dev_exit(idx);
	}
	vvram_copy_end(job);
	dma_fence_end_signalling(cookie);
}

/*
 * Whoever still writes to the vacated place does so without right. What an eviction has left is
 * somebody else's when the fence signals, and so are pages: those are watched until then. Of
 * other places it is seen when they leave the quarantine.
 */
static bool vvram_copy_poison(struct vvram_copy_job *job)
{
	struct vvram_device *vdev = job->vdev;
	int idx;

	if (!READ_ONCE(vdev->chaos.poison) || job->error ||
	    vvram_copy_place_is_empty(&job->src) || !drm_dev_enter(&vdev->drm, &idx))
		return false;
	vvram_copy_fill(vdev, &job->src, job->size, VVRAM_POISON);
	drm_dev_exit(idx);
	if (job->src.segs && !job->evict && READ_ONCE(vdev->strict.on)) {
		vvram_quarantine_mark(job->src.segs, job->src.suspects);
		return false;
	}
	vvram_copy_later(job, vvram_copy_watch_over, VVRAM_POISON_WATCH_MS);
	return true;
}

/* What should have been overwritten may be of others, and importers still have it mapped. */
static void vvram_copy_give_up(struct vvram_copy_job *job, const struct vvram_copy_part *part)
{
	if (job->dst.pages)
		vvram_clear_range(job->vdev, &job->dst, part->start, part->end);
	WRITE_ONCE(job->error, -ENODEV);
}

static void vvram_copy_part_run(struct vvram_copy_part *part)
{
	struct vvram_copy_job *job = part->job;
	u64 start = ktime_get_ns();
	int idx;

	if (drm_dev_enter(&job->vdev->drm, &idx)) {
		vvram_copy_or_clear(job->vdev, &job->src, &job->dst, part->start,
				    part->end);
		drm_dev_exit(idx);
	} else {
		vvram_copy_give_up(job, part);
	}
	if (job->client)
		atomic64_add(ktime_get_ns() - start, &job->client->copy_ns);

	if (atomic_dec_and_test(&job->parts_left) && !vvram_copy_poison(job))
		vvram_copy_end(job);
}

static void vvram_copy_part_work(struct work_struct *work)
{
	bool cookie = dma_fence_begin_signalling();

	vvram_copy_part_run(container_of(work, struct vvram_copy_part, work));
	dma_fence_end_signalling(cookie);
}

static void vvram_copy_start_work(struct work_struct *work)
{
	struct vvram_copy_job *job = container_of(work, struct vvram_copy_job, start);
	struct vvram_device *vdev = job->vdev;
	bool cookie = dma_fence_begin_signalling();
	unsigned int i;

	dma_fence_put(job->dep);
	job->dep = NULL;

	trace_vvram_copy_start(job->inode, job->size, job->nr_parts);
	for (i = 1; i < job->nr_parts; i++)
		queue_work(vdev->copy_wq, &job->part[i].work);
	vvram_copy_part_run(&job->part[0]);
	dma_fence_end_signalling(cookie);
}

/* The job may be over before this returns. */
static void vvram_copy_queue(struct vvram_copy_job *job)
{
	dma_fence_get(&job->base);
	queue_work(job->vdev->copy_wq, &job->start);
	/* Pairs with vvram_copy_help(): queueing is over. */
	smp_store_release(&job->queued, true);
	dma_fence_put(&job->base);
}

/* All importers should still be waiting for the fence. */
static void vvram_early_judge(struct vvram_copy_job *job)
{
	struct vvram_device *vdev = job->vdev;
	u64 offset;
	int idx;

	if (!job->early || !drm_dev_enter(&vdev->drm, &idx))
		return;
	offset = vvram_copy_compare(vdev, &job->dst, job->size, VVRAM_POISON_EARLY);
	drm_dev_exit(idx);
	if (offset != job->size)
		vvram_breach_at(vdev, job->dst.suspects, VVRAM_BREACH_EARLY, offset);
}

static void vvram_copy_delay_over(struct work_struct *work)
{
	struct vvram_copy_job *job = vvram_copy_job_of_later(work);
	bool cookie = dma_fence_begin_signalling();

	vvram_early_judge(job);
	vvram_copy_queue(job);
	dma_fence_end_signalling(cookie);
}

static void vvram_copy_delay(struct vvram_copy_job *job)
{
	vvram_copy_later(job, vvram_copy_delay_over, READ_ONCE(job->vdev->chaos.delay_ms));
}

/* Nobody else's any more, and not the buffer's yet. */
static void vvram_copy_poison_early(struct work_struct *work)
{
	struct vvram_copy_job *job = vvram_copy_job_of_later(work);
	bool cookie = dma_fence_begin_signalling();
	int idx;

	if (drm_dev_enter(&job->vdev->drm, &idx)) {
		vvram_copy_fill(job->vdev, &job->dst, job->size, VVRAM_POISON_EARLY);
		job->early = true;
		drm_dev_exit(idx);
	}
	vvram_copy_delay(job);
	dma_fence_end_signalling(cookie);
}

/* All that the job waits for is over. During a delay it can't be helped. */
static void vvram_copy_ready(struct vvram_copy_job *job)
{
	struct vvram_device *vdev = job->vdev;

	if (likely(!READ_ONCE(vdev->chaos.delay_ms)))
		vvram_copy_queue(job);
	else if (READ_ONCE(vdev->chaos.poison) && READ_ONCE(vdev->strict.on))
		vvram_copy_later(job, vvram_copy_poison_early, 0);
	else
		vvram_copy_delay(job);
}

static void vvram_copy_dep_signalled(struct dma_fence *dep, struct dma_fence_cb *cb)
{
	struct vvram_copy_job *job = container_of(cb, struct vvram_copy_job, dep_cb);

	vvram_copy_ready(job);
}

/**
 * vvram_copy_capacity() - most parts of a copy that run side by side
 */
unsigned int vvram_copy_capacity(void)
{
	return min(num_online_cpus(), VVRAM_COPY_MAX_PARTS);
}

static struct vvram_copy_job *vvram_copy_job_alloc(struct vvram_device *vdev,
						   const struct vvram_copy *copy)
{
	unsigned int nr = clamp_t(u64, copy->size / VVRAM_COPY_PART, 1,
				  vvram_copy_capacity());
	u64 step = ALIGN(DIV_ROUND_UP_ULL(copy->size, nr), PAGE_SIZE);
	struct vvram_copy_job *job;
	unsigned int i;

	job = kzalloc(struct_size(job, part, nr), GFP_KERNEL);
	if (!job)
		return NULL;

	job->vdev = vdev;
	job->size = copy->size;
	job->inode = copy->inode;
	job->evict = copy->evict;
	job->nr_parts = nr;
	atomic_set(&job->parts_left, nr);
	INIT_WORK(&job->start, vvram_copy_start_work);
	for (i = 0; i < nr; i++) {
		job->part[i].job = job;
		job->part[i].start = min(i * step, copy->size);
		job->part[i].end = min((i + 1) * step, copy->size);
		INIT_WORK(&job->part[i].work, vvram_copy_part_work);
	}
	return job;
}

/*
 * Memory that an eviction vacates is given away before the copy is done, and the
 * next owner waits only for the last fence of the timeline: evictions must
 * signal in order. So each depends on the one before.
 */
static int vvram_copy_chain_eviction(struct vvram_device *vdev, struct vvram_copy_job *job)
{
	struct dma_fence *both;

	lockdep_assert_held(&vdev->evict_lock);

	if (!vdev->evict_last)
		return 0;
	if (!job->dep) {
		job->dep = dma_fence_get(vdev->evict_last);
		return 0;
	}
	both = dma_fence_unwrap_merge(job->dep, vdev->evict_last);
	if (!both)
		return -ENOMEM;
	dma_fence_put(job->dep);
	job->dep = both;
	return 0;
}

static int vvram_copy_init_fence(struct vvram_device *vdev, struct vvram_copy_job *job,
				 bool evict)
{
	int ret;

	if (!evict) {
		compat_dma_fence_init(&job->base, &vvram_copy_fence_ops, &job->lock,
				      dma_fence_context_alloc(1), 1);
		return 0;
	}

	mutex_lock(&vdev->evict_lock);
	ret = vvram_copy_chain_eviction(vdev, job);
	if (!ret) {
		compat_dma_fence_init(&job->base, &vvram_copy_fence_ops, &job->lock,
				      vdev->evict_context, ++vdev->evict_seqno);
		dma_fence_put(vdev->evict_last);
		vdev->evict_last = dma_fence_get(&job->base);
	}
	mutex_unlock(&vdev->evict_lock);
	return ret;
}

/**
 * vvram_copy_submit() - start a copy, or the clearing of a place
 * @vdev: the device
 * @copy: what to do; an empty source clears. &vvram_copy.dep is taken over, also
 *	on failure
 *
 * Return: the fence, which signals in finite time (with -ENODEV set when the
 * device went away before), or -ENOMEM.
 */
struct dma_fence *vvram_copy_submit(struct vvram_device *vdev, struct vvram_copy *copy)
{
	struct vvram_copy_job *job;
	struct dma_fence *fence;
	int ret;

	job = vvram_copy_job_alloc(vdev, copy);
	if (!job) {
		dma_fence_put(copy->dep);
		return ERR_PTR(-ENOMEM);
	}
	job->dep = copy->dep;
	ret = vvram_copy_init_fence(vdev, job, copy->evict);
	if (ret) {
		dma_fence_put(job->dep);
		kfree(job);
		return ERR_PTR(ret);
	}
	job->client = vvram_client_get(copy->client);
	vvram_copy_place_get(&job->src, &copy->src);
	vvram_copy_place_get(&job->dst, &copy->dst);

	fence = dma_fence_get(&job->base);
	atomic_inc(&vdev->copy_jobs);
	if (!job->dep ||
	    dma_fence_add_callback(job->dep, &job->dep_cb, vvram_copy_dep_signalled))
		vvram_copy_ready(job);
	return fence;
}

/**
 * vvram_copy_now() - do a copy here that is too small to wake a worker for
 * @vdev: the device
 * @copy: what to do, at once: without a &vvram_copy.dep
 *
 * Return: whether it was done; one that is not small is to be submitted.
 */
bool vvram_copy_now(struct vvram_device *vdev, const struct vvram_copy *copy)
{
	int idx;

	if (copy->dep || copy->size > VVRAM_COPY_SMALL || !drm_dev_enter(&vdev->drm, &idx))
		return false;
	vvram_copy_or_clear(vdev, &copy->src, &copy->dst, 0, copy->size);
	drm_dev_exit(idx);
	return true;
}

/**
 * vvram_copy_here() - do a copy of any size, by the caller
 * @vdev: the device; its memory is there, also while it is being unbound
 * @copy: what to do, at once: without a &vvram_copy.dep
 */
void vvram_copy_here(struct vvram_device *vdev, const struct vvram_copy *copy)
{
	if (!WARN_ON_ONCE(vvram_copy_place_is_empty(&copy->dst)))
		vvram_copy_or_clear(vdev, &copy->src, &copy->dst, 0, copy->size);
}

/**
 * vvram_copy_help() - do the copies of a buffer that no worker has begun
 * @resv: the buffer's reservation, not held
 *
 * For those who wait for them anyway. Of a copy of several parts it is the first one:
 * the others run beside it. It can not be interrupted, but takes no longer than the bytes
 * do: pauses (chaos) are never the caller's.
 */
void vvram_copy_help(struct dma_resv *resv)
{
	struct dma_resv_iter cursor;
	struct vvram_copy_job *job;
	struct dma_fence *fence;

	dma_resv_iter_begin(&cursor, resv, DMA_RESV_USAGE_KERNEL);
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		if (rcu_access_pointer(fence->ops) != &vvram_copy_fence_ops)
			continue;
		job = container_of(fence, struct vvram_copy_job, base);
		/* Before, cancelling would hide from queue_work() that it is not pending. */
		if (smp_load_acquire(&job->queued) && cancel_work(&job->start))
			vvram_copy_start_work(&job->start);
	}
	dma_resv_iter_end(&cursor);
}

/**
 * vvram_copy_wait_idle() - wait until no job is under way
 * @vdev: the device, unplugged, so that no new job starts
 */
void vvram_copy_wait_idle(struct vvram_device *vdev)
{
	wait_event(vdev->copy_idle, !atomic_read(&vdev->copy_jobs));
}

static int vvram_copy_show(struct seq_file *m, void *unused)
{
	struct drm_debugfs_entry *entry = m->private;
	struct vvram_device *vdev = to_vvram_device(entry->dev);

	seq_printf(m, "jobs: %d\n", atomic_read(&vdev->copy_jobs));
	seq_printf(m, "pieces: %lld\n", atomic64_read(&vdev->copy_pieces));
	return 0;
}

static void vvram_copy_fini(struct drm_device *drm, void *arg)
{
	struct vvram_device *vdev = arg;

	vvram_copy_wait_idle(vdev);
	destroy_workqueue(vdev->copy_wq);
	dma_fence_put(vdev->evict_last);
}

/**
 * vvram_copy_init() - set up the copy engine
 * @vdev: the device
 *
 * Return: 0 or -ENOMEM.
 */
int vvram_copy_init(struct vvram_device *vdev)
{
	int ret;

	ret = drmm_mutex_init(&vdev->drm, &vdev->evict_lock);
	if (ret)
		return ret;
	init_waitqueue_head(&vdev->copy_idle);
	vdev->evict_context = dma_fence_context_alloc(1);
	drm_debugfs_add_file(&vdev->drm, "copy", vvram_copy_show, NULL);

	vdev->copy_wq = alloc_workqueue("vvram-copy", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!vdev->copy_wq)
		return -ENOMEM;
	return drmm_add_action_or_reset(&vdev->drm, vvram_copy_fini, vdev);
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "tests/vvram_copy_kunit.c"
#endif
