// SPDX-License-Identifier: GPL-2.0
/*
 * Stricter than hardware: what an exporter hands out, and how it calls back, is
 * checked against Documentation/driver-api/dma-buf.rst.
 *
 * A breach is counted, logged once for each rule and exporter, and shown by ioctl.
 */

#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/math64.h>
#include <linux/scatterlist.h>
#include <linux/sched/clock.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/time64.h>

#include "dma_bounce.h"
#include "vrnic_check.h"
#include "vrnic_mr.h"
#include "vrnic_trace.h"

/* How it is called, what it is, and the kernel document that has the rule. */
static const struct vrnic_rule {
	const char *name;
	const char *text;
	const char *where;
} vrnic_rules[VRNIC_BREACHES] = {
	[VRNIC_BREACH_ALIGNMENT] = {
		"alignment",
		"a DMA address or length is not page aligned", "dma_buf_ops.map_dma_buf",
	},
	[VRNIC_BREACH_LENGTH] = {
		"length",
		"the table does not cover the buffer", "dma_buf_ops.map_dma_buf",
	},
	[VRNIC_BREACH_PAGES] = {
		"pages",
		"peer memory came with struct pages", "dma_buf_attach_ops.allow_peer2peer",
	},
	[VRNIC_BREACH_LOCK] = {
		"unlocked",
		"a callback came without the reservation held", "DMA-BUF locking convention",
	},
	[VRNIC_BREACH_FENCE] = {
		"fence",
		"a KERNEL fence did not signal in time", "DMA Fence Cross-Driver Contract",
	},
	[VRNIC_BREACH_MOVED] = {
		"silent-move",
		"the buffer changed its place without a notification",
		"dma_buf_invalidate_mappings()",
	},
	[VRNIC_BREACH_BOUNCED] = {
		"bounced",
		"its addresses lead to bounce buffers", "dma_buf_map_attachment()",
	},
};

static struct vrnic_blamed *vrnic_blamed_find(struct vrnic_device *vdev, const char *exporter)
{
	struct vrnic_blamed *blamed = vdev->blamed;
	unsigned int i;

	lockdep_assert_held(&vdev->blamed_lock);

	for (i = 0; i < vdev->nr_blamed; i++)
		if (!strncmp(blamed[i].exporter, exporter, sizeof(blamed[i].exporter) - 1))
			return &blamed[i];
	if (i == VRNIC_MAX_BLAMED)
		return &blamed[i - 1];
	vdev->nr_blamed++;
	strscpy(blamed[i].exporter, i < VRNIC_MAX_BLAMED - 1 ? exporter : "others");
	return &blamed[i];
}

/* Whether it is the exporter's first breach of that rule. */
static bool vrnic_blame(struct vrnic_device *vdev, const char *exporter, u32 what)
{
	struct vrnic_blamed *blamed;
	bool first;

	spin_lock(&vdev->blamed_lock);
	blamed = vrnic_blamed_find(vdev, exporter);
	first = !blamed->count[what]++;
	if (first)
		blamed->first[what] = local_clock();
	spin_unlock(&vdev->blamed_lock);
	return first;
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

	if (vrnic_blame(vdev, exporter, what))
		dev_err(vdev->dev,
			"exporter %s breaks the dma-buf contract: %s: %s (inode %lu; driver-api/dma-buf.rst, %s)\n",
			exporter, vrnic_rules[what].name, vrnic_rules[what].text, mr->inode,
			vrnic_rules[what].where);
}

/**
 * vrnic_show_contract() - who broke which rule, a line for each
 * @m: where to
 * @vdev: the device that has met it
 */
void vrnic_show_contract(struct seq_file *m, struct vrnic_device *vdev)
{
	struct vrnic_blamed *blamed;
	unsigned int what;
	u64 first;

	spin_lock(&vdev->blamed_lock);
	for (blamed = vdev->blamed; blamed < vdev->blamed + vdev->nr_blamed; blamed++)
		for (what = 0; what < VRNIC_BREACHES; what++) {
			if (!blamed->count[what])
				continue;
			first = div_u64(blamed->first[what], NSEC_PER_MSEC);
			seq_printf(m, "rule=%s count=%llu first=%llu.%03llu exporter=%s\n",
				   vrnic_rules[what].name, blamed->count[what],
				   div_u64(first, MSEC_PER_SEC), first % MSEC_PER_SEC,
				   blamed->exporter);
		}
	spin_unlock(&vdev->blamed_lock);
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
