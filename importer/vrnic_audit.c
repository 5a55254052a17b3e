// SPDX-License-Identifier: GPL-2.0
/*
 * The audit: whether a buffer still is where its exporter said when it was mapped.
 *
 * An exporter that moves a buffer and tells nobody is found by asking it for another mapping,
 * which has other addresses behind it then. That costs a use nothing: a region is audited some
 * time after it was used, and once more when it ends, so that no use goes unjudged.
 */

#include <linux/cleanup.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "vrnic_audit.h"
#include "vrnic_check.h"
#include "vrnic_dma_buf.h"
#include "vrnic_mr.h"

static uint vrnic_audit_ms;
module_param_named(audit_ms, vrnic_audit_ms, uint, 0444);
MODULE_PARM_DESC(audit_ms,
		 "How often regions that were used are looked after: has the exporter moved the buffer without a notification? ms, 0 (default) for never");

/* Bytes that went through a region so far. */
static s64 vrnic_audit_uses(const struct vrnic_mr *mr)
{
	return atomic64_read(&mr->stats.bytes_read) + atomic64_read(&mr->stats.bytes_written);
}

/**
 * vrnic_audit_is_on() - tell whether exporters are looked after
 */
bool vrnic_audit_is_on(void)
{
	return vrnic_audit_ms;
}

/**
 * vrnic_audit_begin() - a region has a new mapping
 * @mr: the region, its reservation held
 */
void vrnic_audit_begin(struct vrnic_mr *mr)
{
	dma_resv_assert_held(mr->dmabuf->resv);

	mr->map.audited = vrnic_audit_uses(mr);
}

/**
 * vrnic_audit_table() - a region has a table, or is about to give it back
 * @mr: the region, its reservation held
 * @made: it has it just now
 */
void vrnic_audit_table(struct vrnic_mr *mr, bool made)
{
	u32 sum;

	dma_resv_assert_held(mr->dmabuf->resv);

	if (!vrnic_audit_ms)
		return;
	sum = vrnic_table_sum(mr->sgt);
	if (!made && sum != mr->sum)
		vrnic_violation(mr, VRNIC_BREACH_TABLE);
	mr->sum = sum;
}

/* Where a region is; false for one without a mapping, also since a moment ago. */
static bool vrnic_audit_place(struct vrnic_mr *mr, u32 *place)
{
	bool mapped;

	down_read(&mr->access);
	mapped = mr->mapped;
	if (mapped)
		*place = vrnic_mapping_place(&mr->map);
	up_read(&mr->access);
	return mapped;
}

/**
 * vrnic_audit_lost() - a region is about to lose its mapping although it is pinned
 * @mr: the region, its reservation held unless the exporter forgot
 *
 * That is a revocation, after which there is no other mapping, or none elsewhere: an exporter
 * that gives one has moved the buffer. It is asked later on.
 */
void vrnic_audit_lost(struct vrnic_mr *mr)
{
	if (vrnic_audit_ms && mr->sgt)
		mr->lost = vrnic_audit_place(mr, &mr->lost_place);
}

/* Whether the buffer is, by now, where it was. What has no mapping at all is nowhere else. */
static bool vrnic_audit_is_at(struct vrnic_mr *mr, struct sg_table *sgt, u32 place)
{
	struct vrnic_mapping now = {};
	bool there;

	if (vrnic_mapping_set(&now, mr->pd->vdev->dev, sgt))
		return true;
	there = vrnic_mapping_place(&now) == place;
	vrnic_mapping_clear(&now);
	return there;
}

/* Asks for another mapping; an error is for whoever uses the region next. */
static void vrnic_audit_map(struct vrnic_mr *mr, u32 place, u32 breach)
{
	s64 notified = atomic64_read(&mr->stats.invalidations);
	struct sg_table *sgt;

	/* The core waits for as long as it takes, for an importer that is not told. */
	if (!mr->ops->invalidate &&
	    !dma_resv_test_signaled(mr->dmabuf->resv, DMA_RESV_USAGE_KERNEL))
		return;
	sgt = vrnic_dma_buf_map_table(mr);
	if (IS_ERR(sgt))
		return;
	/* A region that was notified meanwhile was told of the move. */
	if (notified == atomic64_read(&mr->stats.invalidations) &&
	    !vrnic_audit_is_at(mr, sgt, place))
		vrnic_violation(mr, breach);
	vrnic_dma_buf_unmap_table(mr, sgt);
}

/* An exporter without pins may have one table for an attachment, and nothing that moves. */
static bool vrnic_audit_can_move(const struct vrnic_mr *mr)
{
	return mr->dmabuf->ops->pin;
}

/**
 * vrnic_audit_locked() - look whether a region that was used is where it should be
 * @mr: the region, its reservation held
 *
 * Does nothing when it was not used since the last time.
 */
void vrnic_audit_locked(struct vrnic_mr *mr)
{
	s64 uses = vrnic_audit_uses(mr);
	u32 place;

	dma_resv_assert_held(mr->dmabuf->resv);

	if (mr->lost) {
		mr->lost = false;
		vrnic_audit_map(mr, mr->lost_place, VRNIC_BREACH_PIN);
		return;
	}
	if (!vrnic_audit_ms || !mr->sgt || mr->stale || mr->map.audited == uses)
		return;
	if (!vrnic_audit_can_move(mr) || !vrnic_audit_place(mr, &place))
		return;
	mr->map.audited = uses;
	vrnic_audit_map(mr, place, mr->ops->dynamic ? VRNIC_BREACH_MOVED : VRNIC_BREACH_PIN);
}

/* The region on a dma-buf after @index, with a reference, or NULL. */
static struct vrnic_mr *vrnic_audit_next(struct vrnic_device *vdev, unsigned long *index)
{
	struct vrnic_mr *mr;

	guard(rcu)();
	xa_for_each_start(&vdev->regions, *index, mr, *index + 1)
		if (mr->dmabuf && kref_get_unless_zero(&mr->ref))
			return mr;
	return NULL;
}

static void vrnic_audit_work(struct work_struct *work)
{
	struct vrnic_device *vdev = container_of(work, struct vrnic_device, audit.work);
	unsigned long index = 0;
	struct vrnic_mr *mr;
	int idx;

	if (!vrnic_device_enter(vdev, &idx))
		return;
	while ((mr = vrnic_audit_next(vdev, &index))) {
		/* One that is moved, or mapped, just now is left for the next time. */
		if (dma_resv_trylock(mr->dmabuf->resv)) {
			vrnic_audit_locked(mr);
			dma_resv_unlock(mr->dmabuf->resv);
		}
		vrnic_mr_put(mr);
	}
	queue_delayed_work(vdev->workers, &vdev->audit, msecs_to_jiffies(vrnic_audit_ms));
	vrnic_device_exit(vdev, idx);
}

/**
 * vrnic_audit_init() - begin with the audits of a device
 * @vdev: the device
 */
void vrnic_audit_init(struct vrnic_device *vdev)
{
	INIT_DELAYED_WORK(&vdev->audit, vrnic_audit_work);
	if (vrnic_audit_ms)
		queue_delayed_work(vdev->workers, &vdev->audit, msecs_to_jiffies(vrnic_audit_ms));
}

/**
 * vrnic_audit_fini() - end them
 * @vdev: the device, which no call is let into any more
 */
void vrnic_audit_fini(struct vrnic_device *vdev)
{
	cancel_delayed_work_sync(&vdev->audit);
}
