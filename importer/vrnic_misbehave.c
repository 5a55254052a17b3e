// SPDX-License-Identifier: GPL-2.0
/*
 * What root may ask for in debugfs: an importer that breaks the rules, so that a
 * test can show that it would notice.
 *
 * For throw-away machines only: without an IOMMU the late accesses land in memory
 * that may have another owner by then.
 */

#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/iosys-map.h>

#include "vrnic_dma_buf.h"
#include "vrnic_misbehave.h"
#include "vrnic_mr.h"
#include "vrnic_trace.h"

#define VRNIC_LATE_UNMAP_MS	100
#define VRNIC_LATE_WRITE_MS	5
#define VRNIC_LATE_PATTERN	0x6574616c6574616cULL

/* Eight bytes to where the region began before the notification. */
static void vrnic_write_late(struct work_struct *work)
{
	struct vrnic_mr *mr = container_of(work, struct vrnic_mr, late_work.work);
	struct device *dev = mr->pd->vdev->dev;
	struct vrnic_segment seg = { .addr = mr->late_addr, .len = sizeof(u64) };
	struct vrnic_bus_view view = {};
	struct iosys_map map;

	if (vrnic_bus_open(&view, dev, mr->late_addr) ||
	    !vrnic_bus_resolve(&view, dev, &seg, 0, seg.len, &map)) {
		vrnic_count(mr, dma_faults, 1);
		trace_vrnic_dma_fault(mr, mr->late_addr);
	} else {
		iosys_map_wr(&map, 0, u64, VRNIC_LATE_PATTERN);
	}
	vrnic_bus_close(&view);
}

static void vrnic_plan_late_write(struct vrnic_mr *mr)
{
	if (!vrnic_mr_is_writable(mr))
		return;

	down_read(&mr->access);
	if (mr->mapped) {
		mr->late_addr = mr->map.seg[0].addr;
		schedule_delayed_work(&mr->late_work, msecs_to_jiffies(VRNIC_LATE_WRITE_MS));
	}
	up_read(&mr->access);
}

/**
 * vrnic_misbehave_init() - prepare a region that may be asked to misbehave
 * @mr: the region
 */
void vrnic_misbehave_init(struct vrnic_mr *mr)
{
	INIT_DELAYED_WORK(&mr->late_work, vrnic_write_late);
}

/**
 * vrnic_misbehave_fini() - no misbehaviour after the end
 * @mr: the region
 */
void vrnic_misbehave_fini(struct vrnic_mr *mr)
{
	cancel_delayed_work_sync(&mr->late_work);
}

/**
 * vrnic_misbehave_invalidate() - answer a notification in the wrong way, if asked to
 * @mr: a mapped region, its reservation held
 *
 * Return: true when that is all that is to be done.
 */
bool vrnic_misbehave_invalidate(struct vrnic_mr *mr)
{
	struct vrnic_device *vdev = mr->pd->vdev;

	dma_resv_assert_held(mr->dmabuf->resv);

	if (vrnic_misbehaves(vdev, VRNIC_LATE_WRITE))
		vrnic_plan_late_write(mr);

	if (vrnic_misbehaves(vdev, VRNIC_SKIP_INVALIDATE)) {
		vrnic_dma_buf_unmap_locked(mr);
		return true;
	}
	if (vrnic_misbehaves(vdev, VRNIC_LATE_UNMAP | VRNIC_NEVER_UNMAP)) {
		vrnic_dma_buf_stop_access(mr);
		mr->stale = true;
		if (vrnic_misbehaves(vdev, VRNIC_LATE_UNMAP))
			mod_delayed_work(vdev->unmap_wq, &mr->unmap_work,
					 msecs_to_jiffies(VRNIC_LATE_UNMAP_MS));
		return true;
	}
	return false;
}
