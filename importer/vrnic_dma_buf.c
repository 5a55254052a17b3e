// SPDX-License-Identifier: GPL-2.0
/*
 * The importer's side of dma-buf: attach, map, lose the mapping, map again.
 *
 * Locking as in Documentation/driver-api/dma-buf.rst: the reservation is held to
 * pin, unpin, map, unmap and in the notification; never to attach, detach, get
 * and put. The region's own lock is taken inside of it.
 */

#include <linux/delay.h>
#include <linux/dma-resv.h>
#include <linux/ktime.h>
#include <linux/slab.h>

#include "dma_buf.h"
#include "vrnic_mr.h"
#include "vrnic_trace.h"

/* An exporter whose fence takes longer is broken: fences end in finite time. */
#define VRNIC_FENCE_TIMEOUT	(60 * HZ)
#define VRNIC_LATE_UNMAP_MS	200
#define VRNIC_LATE_WRITE_MS	5

static enum dma_data_direction vrnic_mr_direction(struct vrnic_mr *mr)
{
	u32 writes = VRNIC_ACCESS_LOCAL_WRITE | VRNIC_ACCESS_REMOTE_WRITE |
		     VRNIC_ACCESS_REMOTE_ATOMIC;

	return mr->attr.access & writes ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
}

static bool vrnic_mr_is_dynamic(struct vrnic_mr *mr)
{
	return mr->attr.mode <= VRNIC_MR_FENCED;
}

/* Gives the exporter's table back; nothing of it is in use any more. */
static void vrnic_unmap_locked(struct vrnic_mr *mr)
{
	dma_resv_assert_held(mr->dmabuf->resv);

	mr->stale = false;
	if (!mr->sgt)
		return;
	trace_vrnic_unmap(mr, 0);
	dma_buf_unmap_attachment(mr->attach, mr->sgt, vrnic_mr_direction(mr));
	mr->sgt = NULL;
	vrnic_count(mr, unmaps, 1);
}

/* Once this returns no access is under way, and none can start. */
static void vrnic_stop_access(struct vrnic_mr *mr)
{
	down_write(&mr->access);
	if (mr->mapped) {
		mr->mapped = false;
		vrnic_mapping_clear(&mr->map);
	}
	up_write(&mr->access);
}

static void vrnic_follow_later(struct vrnic_mr *mr, unsigned int ms)
{
	mod_delayed_work(system_unbound_wq, &mr->follow, msecs_to_jiffies(ms));
}

static void vrnic_misbehave_late_write(struct vrnic_mr *mr)
{
	down_read(&mr->access);
	if (mr->mapped)
		mr->late_addr = mr->map.seg[0].addr;
	up_read(&mr->access);
	vrnic_follow_later(mr, VRNIC_LATE_WRITE_MS);
}

/* The faults that root asked for; true when nothing else is to be done. */
static bool vrnic_misbehave_invalidate(struct vrnic_mr *mr)
{
	struct vrnic_device *vdev = mr->ctx->vdev;

	if (vrnic_misbehaves(vdev, VRNIC_LATE_WRITE))
		vrnic_misbehave_late_write(mr);

	if (vrnic_misbehaves(vdev, VRNIC_SKIP_INVALIDATE)) {
		vrnic_unmap_locked(mr);
		return true;
	}
	if (vrnic_misbehaves(vdev, VRNIC_LATE_UNMAP | VRNIC_NEVER_UNMAP)) {
		vrnic_stop_access(mr);
		mr->stale = true;
		if (vrnic_misbehaves(vdev, VRNIC_LATE_UNMAP))
			vrnic_follow_later(mr, VRNIC_LATE_UNMAP_MS);
		return true;
	}
	return false;
}

/*
 * The exporter is about to move the buffer. Accesses are stopped here, after the
 * chunk that is under way, and the mapping is given back at once, the reservation
 * being held. Fenced work goes on under its fence: its mapping is only marked, and
 * given back by the worker that follows.
 */
static void vrnic_invalidate_mappings(struct dma_buf_attachment *attach)
{
	struct vrnic_mr *mr = attach->importer_priv;

	vrnic_check_locked(mr);
	vrnic_count(mr, invalidations, 1);
	trace_vrnic_invalidate(mr, 0);

	if (!mr->sgt || vrnic_misbehave_invalidate(mr))
		return;

	if (mr->attr.mode == VRNIC_MR_FENCED) {
		mr->stale = true;
		vrnic_follow_later(mr, 0);
		return;
	}
	vrnic_stop_access(mr);
	vrnic_unmap_locked(mr);
	if (mr->attr.mode == VRNIC_MR_EAGER)
		vrnic_follow_later(mr, 0);
}

/*
 * A pinned buffer does not move: its notification is a revocation, and final. One
 * that comes earlier is of the move to where the buffer is going to be pinned.
 */
static void vrnic_revoke_mappings(struct dma_buf_attachment *attach)
{
	struct vrnic_mr *mr = attach->importer_priv;

	vrnic_check_locked(mr);
	vrnic_count(mr, invalidations, 1);
	if (!mr->pinned)
		return;

	trace_vrnic_revoked(mr, 0);
	vrnic_stop_access(mr);
	down_write(&mr->access);
	mr->revoked = true;
	up_write(&mr->access);
	vrnic_unmap_locked(mr);
}

#define VRNIC_ATTACH_OPS(name, p2p, fn)				\
static const struct dma_buf_attach_ops name = {			\
	.allow_peer2peer = p2p,					\
	.invalidate_mappings = fn,				\
}

VRNIC_ATTACH_OPS(vrnic_dynamic_p2p_ops, true, vrnic_invalidate_mappings);
VRNIC_ATTACH_OPS(vrnic_dynamic_ops, false, vrnic_invalidate_mappings);
VRNIC_ATTACH_OPS(vrnic_pinned_p2p_ops, true, vrnic_revoke_mappings);
VRNIC_ATTACH_OPS(vrnic_pinned_ops, false, vrnic_revoke_mappings);

static struct dma_buf_attachment *vrnic_attach(struct vrnic_mr *mr)
{
	const struct dma_buf_attach_ops *ops;
	bool p2p = mr->attr.peer2peer;

	if (mr->attr.mode == VRNIC_MR_STATIC)
		return dma_buf_attach(mr->dmabuf, mr->ctx->vdev->dev);
	if (mr->attr.mode == VRNIC_MR_PINNED)
		ops = p2p ? &vrnic_pinned_p2p_ops : &vrnic_pinned_ops;
	else
		ops = p2p ? &vrnic_dynamic_p2p_ops : &vrnic_dynamic_ops;
	return dma_buf_dynamic_attach(mr->dmabuf, mr->ctx->vdev->dev, ops, mr);
}

/* The bytes may still be on their way: not before they have arrived. */
static int vrnic_wait_arrived(struct vrnic_mr *mr)
{
	long ret;

	if (vrnic_misbehaves(mr->ctx->vdev, VRNIC_IGNORE_KERNEL_FENCE))
		return 0;
	ret = dma_resv_wait_timeout(mr->dmabuf->resv, DMA_RESV_USAGE_KERNEL, false,
				    VRNIC_FENCE_TIMEOUT);
	if (ret > 0)
		return 0;
	if (!ret)
		vrnic_violation(mr, VRNIC_VIOLATION_FENCE);
	return ret ? ret : -ETIMEDOUT;
}

static int vrnic_install(struct vrnic_mr *mr)
{
	struct vrnic_mapping map = {};
	int ret;

	ret = vrnic_mapping_set(&map, mr->ctx->vdev->dev, mr->sgt);
	if (ret)
		return ret;

	down_write(&mr->access);
	if (mr->mapped)
		vrnic_mapping_clear(&mr->map);
	mr->map = map;
	mr->peer = !sg_page(mr->sgt->sgl);
	mr->mapped = true;
	up_write(&mr->access);
	return 0;
}

static struct sg_table *vrnic_map_table(struct vrnic_mr *mr)
{
	struct dma_resv *resv = mr->dmabuf->resv;
	struct sg_table *sgt;
	bool unlocked = vrnic_misbehaves(mr->ctx->vdev, VRNIC_UNLOCKED_MAP);

	if (unlocked)
		dma_resv_unlock(resv);
	sgt = dma_buf_map_attachment(mr->attach, vrnic_mr_direction(mr));
	if (unlocked)
		dma_resv_lock(resv, NULL);
	return sgt;
}

static int vrnic_map_locked(struct vrnic_mr *mr)
{
	struct sg_table *sgt;
	int ret;

	dma_resv_assert_held(mr->dmabuf->resv);

	sgt = vrnic_map_table(mr);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	mr->sgt = sgt;
	vrnic_count(mr, maps, 1);
	vrnic_check_table(mr, sgt);
	trace_vrnic_map(mr, sgt->nents);

	ret = vrnic_wait_arrived(mr);
	if (!ret)
		ret = vrnic_install(mr);
	if (ret)
		vrnic_unmap_locked(mr);
	return ret;
}

static void vrnic_set_revoked(struct vrnic_mr *mr)
{
	trace_vrnic_revoked(mr, 0);
	down_write(&mr->access);
	mr->revoked = true;
	up_write(&mr->access);
}

/**
 * vrnic_dma_buf_ensure_locked() - have a mapping that is good now
 * @mr: the region, its reservation held
 *
 * Return: 0; -ENODEV when the region has ended; -ETIMEDOUT when the exporter's
 * fence does not signal; or the exporter's error.
 */
int vrnic_dma_buf_ensure_locked(struct vrnic_mr *mr)
{
	int ret;

	dma_resv_assert_held(mr->dmabuf->resv);

	if (mr->dead || mr->revoked)
		return -ENODEV;
	if (mr->mapped && !mr->stale)
		return 0;
	/* Only these map again: the others had one mapping, and have lost it. */
	if (!vrnic_mr_is_dynamic(mr))
		return -ENODEV;

	vrnic_stop_access(mr);
	vrnic_unmap_locked(mr);
	ret = vrnic_map_locked(mr);
	if (ret == -ENODEV)
		vrnic_set_revoked(mr);
	return ret;
}

static void vrnic_note_stall(struct vrnic_stats *stats, s64 ns)
{
	s64 max = atomic64_read(&stats->stall_max_ns);

	atomic64_add(ns, &stats->stall_ns);
	while (ns > max && !atomic64_try_cmpxchg(&stats->stall_max_ns, &max, ns))
		;
}

/**
 * vrnic_dma_buf_fault() - get the mapping that an access has missed
 * @mr: the region; the caller holds none of its locks
 *
 * Waits as long as it takes: work is not failed because the buffer is on its way.
 *
 * Return: 0 with @mr->access held for reading and the mapping good, so that the
 * caller gets at least one access in before the next notification; or an error as
 * of vrnic_dma_buf_ensure_locked().
 */
int vrnic_dma_buf_fault(struct vrnic_mr *mr)
{
	ktime_t start = ktime_get();
	s64 ns;
	int ret;

	vrnic_count(mr, faults, 1);
	trace_vrnic_fault(mr, 0);

	do {
		dma_resv_lock(mr->dmabuf->resv, NULL);
		ret = vrnic_dma_buf_ensure_locked(mr);
		if (!ret)
			down_read(&mr->access);
		dma_resv_unlock(mr->dmabuf->resv);
	} while (ret == -EINTR || ret == -ERESTARTSYS || ret == -EAGAIN);

	ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	vrnic_note_stall(&mr->stats, ns);
	vrnic_note_stall(&mr->ctx->vdev->stats, ns);
	return ret;
}

/**
 * vrnic_dma_buf_prefetch() - map now what would be mapped at first use
 * @mr: the region
 *
 * Return: 0, -EINTR, or an error as of vrnic_dma_buf_ensure_locked().
 */
int vrnic_dma_buf_prefetch(struct vrnic_mr *mr)
{
	int ret;

	ret = dma_resv_lock_interruptible(mr->dmabuf->resv, NULL);
	if (ret)
		return ret;
	if (mr->sgt && !mr->stale && vrnic_mr_is_dynamic(mr))
		vrnic_check_place(mr);
	ret = vrnic_dma_buf_ensure_locked(mr);
	dma_resv_unlock(mr->dmabuf->resv);
	return ret;
}

/**
 * vrnic_dma_buf_prefetch_later() - have a worker map the region
 * @mr: the region
 *
 * Only a hint: a failure shows when the region is used.
 */
void vrnic_dma_buf_prefetch_later(struct vrnic_mr *mr)
{
	dma_resv_lock(mr->dmabuf->resv, NULL);
	if (!mr->dead) {
		mr->prefetch = true;
		vrnic_follow_later(mr, 0);
	}
	dma_resv_unlock(mr->dmabuf->resv);
}

static void vrnic_write_late(struct vrnic_mr *mr)
{
	struct vrnic_bus_view view = {};
	struct iosys_map map;
	dma_addr_t addr = mr->late_addr;
	struct device *dev = mr->ctx->vdev->dev;

	if (!addr)
		return;
	mr->late_addr = 0;
	if (vrnic_bus_open(&view, dev, addr, PAGE_SIZE) ||
	    !vrnic_bus_resolve(&view, dev, addr, sizeof(u64), &map)) {
		vrnic_count(mr, dma_faults, 1);
		trace_vrnic_dma_fault(mr, addr);
	} else {
		iosys_map_wr(&map, 0, u64, 0x6574616c6574616cULL);
	}
	vrnic_bus_close(&view);
}

/* What the notification could not or should not do itself. */
static void vrnic_follow_work(struct work_struct *work)
{
	struct vrnic_mr *mr = container_of(work, struct vrnic_mr, follow.work);

	vrnic_write_late(mr);

	dma_resv_lock(mr->dmabuf->resv, NULL);
	if (mr->stale && !vrnic_misbehaves(mr->ctx->vdev, VRNIC_NEVER_UNMAP)) {
		vrnic_stop_access(mr);
		vrnic_unmap_locked(mr);
	}
	if (mr->attr.mode == VRNIC_MR_EAGER || mr->prefetch)
		vrnic_dma_buf_ensure_locked(mr);
	mr->prefetch = false;
	dma_resv_unlock(mr->dmabuf->resv);
}

static int vrnic_pin_and_map(struct vrnic_mr *mr)
{
	struct dma_resv *resv = mr->dmabuf->resv;
	int ret;

	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret)
		return ret;
	ret = dma_buf_pin(mr->attach);
	if (!ret) {
		mr->pinned = true;
		ret = vrnic_map_locked(mr);
	}
	dma_resv_unlock(resv);
	return ret;
}

static int vrnic_map_static(struct vrnic_mr *mr)
{
	int ret;

	ret = dma_resv_lock_interruptible(mr->dmabuf->resv, NULL);
	if (ret)
		return ret;
	ret = vrnic_map_locked(mr);
	dma_resv_unlock(mr->dmabuf->resv);
	return ret;
}

/**
 * vrnic_dma_buf_import() - attach to the region's buffer
 * @mr: the region, complete: the notification may come at once
 *
 * Modes without notification are mapped here, the others at first use.
 *
 * Return: 0, or an error; vrnic_dma_buf_release() cleans up after either.
 */
int vrnic_dma_buf_import(struct vrnic_mr *mr)
{
	struct dma_buf_attachment *attach;
	int ret = 0;

	INIT_DELAYED_WORK(&mr->follow, vrnic_follow_work);
	mr->fence_context = dma_fence_context_alloc(1);

	if (mr->attr.mode == VRNIC_MR_PINNED)
		ret = vrnic_mr_charge(mr, mr->dmabuf->size);
	if (ret)
		return ret;

	attach = vrnic_attach(mr);
	if (IS_ERR(attach))
		return PTR_ERR(attach);
	mr->attach = attach;

	switch (mr->attr.mode) {
	case VRNIC_MR_PINNED:
		return vrnic_pin_and_map(mr);
	case VRNIC_MR_STATIC:
		return vrnic_map_static(mr);
	case VRNIC_MR_EAGER:
		return vrnic_dma_buf_prefetch(mr);
	default:
		return 0;
	}
}

/**
 * vrnic_dma_buf_release() - unmap, unpin, detach, put
 * @mr: the region, dead
 */
void vrnic_dma_buf_release(struct vrnic_mr *mr)
{
	struct dma_resv *resv = mr->dmabuf->resv;

	if (mr->attach) {
		dma_resv_lock(resv, NULL);
		vrnic_stop_access(mr);
		vrnic_unmap_locked(mr);
		if (mr->pinned)
			dma_buf_unpin(mr->attach);
		dma_resv_unlock(resv);

		/* No notification starts it again: there is nothing mapped. */
		cancel_delayed_work_sync(&mr->follow);
		dma_buf_detach(mr->dmabuf, mr->attach);
	}
	dma_buf_put(mr->dmabuf);
}
