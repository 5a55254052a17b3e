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
 * vrnic_audit_begin() - a region has a new mapping
 * @mr: the region, its reservation held
 */
void vrnic_audit_begin(struct vrnic_mr *mr)
{
	dma_resv_assert_held(mr->dmabuf->resv);

	mr->map.audited = vrnic_audit_uses(mr);
}

/* A region that has lost its mapping meanwhile was told of the move. */
static void vrnic_audit_compare(struct vrnic_mr *mr, struct sg_table *sgt)
{
	struct vrnic_mapping now = {};
	bool moved;

	if (vrnic_mapping_set(&now, mr->pd->vdev->dev, sgt))
		return;
	down_read(&mr->access);
	moved = mr->mapped && vrnic_mapping_place(&mr->map) != vrnic_mapping_place(&now);
	up_read(&mr->access);
	vrnic_mapping_clear(&now);
	if (moved)
		vrnic_violation(mr, VRNIC_BREACH_MOVED);
}

static void vrnic_audit_map(struct vrnic_mr *mr)
{
	s64 notified = atomic64_read(&mr->stats.invalidations);
	struct sg_table *sgt;

	mr->mapping = true;
	sgt = dma_buf_map_attachment(mr->attach, mr->dir);
	mr->mapping = false;
	/* Whoever uses it next has the error. */
	if (IS_ERR(sgt))
		return;
	if (notified == atomic64_read(&mr->stats.invalidations))
		vrnic_audit_compare(mr, sgt);
	dma_buf_unmap_attachment(mr->attach, sgt, mr->dir);
}

/*
 * What can not be pinned does not move, and its exporter may have one table for an attachment,
 * which a second mapping would overwrite.
 */
static bool vrnic_audit_can_move(const struct vrnic_mr *mr)
{
	return mr->ops->dynamic && mr->dmabuf->ops->pin;
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

	dma_resv_assert_held(mr->dmabuf->resv);

	if (!vrnic_audit_ms || !mr->sgt || !mr->mapped || mr->stale || mr->map.audited == uses)
		return;
	if (!vrnic_audit_can_move(mr))
		return;
	mr->map.audited = uses;
	vrnic_audit_map(mr);
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
