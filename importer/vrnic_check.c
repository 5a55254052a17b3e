// SPDX-License-Identifier: GPL-2.0
/*
 * Stricter than hardware: what an exporter hands out, and how it calls back, is
 * checked against Documentation/driver-api/dma-buf.rst.
 *
 * A breach is counted, logged once for each exporter, and shown by ioctl.
 */

#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/scatterlist.h>
#include <linux/string.h>

#include "dma_bounce.h"
#include "vrnic_check.h"
#include "vrnic_mr.h"
#include "vrnic_trace.h"

static const char * const vrnic_violation_text[] = {
	[VRNIC_BREACH_ALIGNMENT] = "a DMA address or length is not page aligned",
	[VRNIC_BREACH_LENGTH] = "the table does not cover the buffer",
	[VRNIC_BREACH_PAGES] = "peer memory came with struct pages",
	[VRNIC_BREACH_LOCK] = "a callback came without the reservation held",
	[VRNIC_BREACH_FENCE] = "a KERNEL fence did not signal in time",
	[VRNIC_BREACH_MOVED] = "the buffer changed its place without a notification",
	[VRNIC_BREACH_BOUNCED] = "its addresses lead to bounce buffers",
};

/* Tells a name only once; there are few exporters in a machine. */
static bool vrnic_exporter_is_new(struct vrnic_device *vdev, const char *name)
{
	bool is_new = false;
	unsigned int i;

	spin_lock(&vdev->blamed_lock);
	for (i = 0; i < ARRAY_SIZE(vdev->blamed); i++) {
		if (!strncmp(vdev->blamed[i], name, sizeof(vdev->blamed[i]) - 1))
			break;
		if (vdev->blamed[i][0])
			continue;
		strscpy(vdev->blamed[i], name);
		is_new = true;
		break;
	}
	spin_unlock(&vdev->blamed_lock);
	return is_new;
}

/**
 * vrnic_violation() - note a breach of the contract
 * @mr: the region that met it
 * @what: one of &enum vrnic_breach
 */
void vrnic_violation(struct vrnic_mr *mr, u32 what)
{
	struct vrnic_device *vdev = mr->pd->vdev;
	const char *exporter = mr->dmabuf->exp_name;

	vrnic_count(mr, violations, 1);
	WRITE_ONCE(mr->last_violation, what);
	trace_vrnic_violation(mr, what);

	if (vrnic_exporter_is_new(vdev, exporter))
		dev_err(vdev->dev, "exporter %s breaks the dma-buf contract: %s (inode %lu)\n",
			exporter, vrnic_violation_text[what], mr->inode);
}

/**
 * vrnic_check_locked() - a callback must come with the reservation held
 * @mr: the region
 *
 * Return: whether it does.
 */
bool vrnic_check_locked(struct vrnic_mr *mr)
{
	if (dma_resv_is_locked(mr->dmabuf->resv))
		return true;
	vrnic_violation(mr, VRNIC_BREACH_LOCK);
	return false;
}

/* Memory that is no RAM has addresses only, never a page to go with them. */
static bool vrnic_has_peer_page(struct vrnic_mr *mr, struct scatterlist *sg)
{
	struct device *dev = mr->pd->vdev->dev;

	return sg_page(sg) && !vrnic_bus_is_ram(vrnic_bus_to_phys(dev, sg_dma_address(sg)));
}

/**
 * vrnic_check_table() - check a table that the exporter made
 * @mr: the region
 * @sgt: the table
 *
 * Return: 0; when it is of no use -EINVAL, or -EOPNOTSUPP if bytes that are written to it
 * do not arrive.
 */
int vrnic_check_table(struct vrnic_mr *mr, struct sg_table *sgt)
{
	struct device *dev = mr->pd->vdev->dev;
	bool aligned = true;
	struct scatterlist *sg;
	u64 total = 0;
	unsigned int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		aligned &= PAGE_ALIGNED(sg_dma_address(sg)) && PAGE_ALIGNED(sg_dma_len(sg));
		total += sg_dma_len(sg);
	}
	if (!total || total < mr->dmabuf->size) {
		vrnic_violation(mr, VRNIC_BREACH_LENGTH);
		return -EINVAL;
	}
	if (!aligned)
		vrnic_violation(mr, VRNIC_BREACH_ALIGNMENT);
	/* The CPU's side of a table may have other borders: its first entry tells. */
	if (vrnic_has_peer_page(mr, sgt->sgl))
		vrnic_violation(mr, VRNIC_BREACH_PAGES);
	if (compat_dma_table_is_bounced(dev, sgt) &&
	    !vrnic_misbehaves(mr->pd->vdev, VRNIC_ACCEPT_BOUNCED)) {
		vrnic_violation(mr, VRNIC_BREACH_BOUNCED);
		return -EOPNOTSUPP;
	}
	return 0;
}
