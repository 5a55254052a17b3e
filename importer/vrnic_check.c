// SPDX-License-Identifier: GPL-2.0
/*
 * Stricter than hardware: what an exporter hands out, and how it calls back, is
 * checked against Documentation/driver-api/dma-buf.rst.
 *
 * A breach is counted, logged once for each rule and exporter, and shown by ioctl.
 */

#include <linux/crc32c.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/scatterlist.h>

#include "dma_bounce.h"
#include "vrnic_check.h"
#include "vrnic_exporter.h"
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
	[VRNIC_BREACH_EXCESS] = {
		"excess",
		"the table leads beyond the buffer", "dma_buf_ops.map_dma_buf",
	},
	[VRNIC_BREACH_MASK] = {
		"mask",
		"an address is beyond the DMA mask of the importer", "dma_buf_map_attachment()",
	},
	[VRNIC_BREACH_SEGMENT] = {
		"segment",
		"a segment is longer than the importer takes", "dma_buf_map_attachment()",
	},
	[VRNIC_BREACH_RAW] = {
		"raw",
		"the IOMMU does not know an address that was just mapped",
		"dma_buf_map_attachment()",
	},
	[VRNIC_BREACH_TABLE] = {
		"table",
		"a table changed after it was handed out", "dma_buf_map_attachment()",
	},
	[VRNIC_BREACH_PIN] = {
		"pin",
		"a pinned buffer changed its place", "dma_buf_pin()",
	},
	[VRNIC_BREACH_SIZE] = {
		"size",
		"the size of the buffer is not that of its file", "dma_buf.size",
	},
};

/**
 * vrnic_rule_name() - what a rule is called
 * @what: one of &enum vrnic_breach, but not VRNIC_BREACH_NONE
 */
const char *vrnic_rule_name(u32 what)
{
	return vrnic_rules[what].name;
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

	if (vrnic_exporter_blame(vdev, exporter, what))
		dev_err(vdev->dev,
			"exporter %s breaks the dma-buf contract: %s: %s (inode %lu; driver-api/dma-buf.rst, %s)\n",
			exporter, vrnic_rules[what].name, vrnic_rules[what].text, mr->inode,
			vrnic_rules[what].where);
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
	phys_addr_t phys = vrnic_bus_to_phys(mr->pd->vdev->dev, sg_dma_address(sg));

	return sg_page(sg) && phys && !vrnic_bus_is_ram(phys);
}

/**
 * vrnic_check_file() - check what the buffer's file says of it
 * @mr: the region
 */
void vrnic_check_file(struct vrnic_mr *mr)
{
	if (i_size_read(file_inode(mr->dmabuf->file)) != mr->dmabuf->size)
		vrnic_violation(mr, VRNIC_BREACH_SIZE);
}

/* What a table is like, by one walk. */
struct vrnic_table_facts {
	u64 total;	/* bytes */
	bool aligned;	/* to pages */
	bool within;	/* the device's DMA mask */
	bool short_enough;	/* each segment */
};

/* An address that the device can not put on the bus is another one there. */
static bool vrnic_is_within(u64 mask, struct scatterlist *sg)
{
	return sg_dma_address(sg) <= mask && sg_dma_len(sg) - 1 <= mask - sg_dma_address(sg);
}

static struct vrnic_table_facts vrnic_look_at_table(struct device *dev, struct sg_table *sgt)
{
	struct vrnic_table_facts facts = { .aligned = true, .within = true, .short_enough = true };
	unsigned int max = dma_get_max_seg_size(dev), i;
	u64 mask = dma_get_mask(dev);
	struct scatterlist *sg;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		facts.total += sg_dma_len(sg);
		facts.aligned &= PAGE_ALIGNED(sg_dma_address(sg)) && PAGE_ALIGNED(sg_dma_len(sg));
		facts.within &= vrnic_is_within(mask, sg);
		facts.short_enough &= sg_dma_len(sg) <= max;
	}
	return facts;
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
	struct vrnic_table_facts facts = vrnic_look_at_table(dev, sgt);

	if (!facts.total || facts.total < mr->dmabuf->size) {
		vrnic_violation(mr, VRNIC_BREACH_LENGTH);
		return -EINVAL;
	}
	if (!facts.within) {
		vrnic_violation(mr, VRNIC_BREACH_MASK);
		return -EINVAL;
	}
	if (facts.total > PAGE_ALIGN(mr->dmabuf->size))
		vrnic_violation(mr, VRNIC_BREACH_EXCESS);
	if (!facts.aligned)
		vrnic_violation(mr, VRNIC_BREACH_ALIGNMENT);
	if (!facts.short_enough)
		vrnic_violation(mr, VRNIC_BREACH_SEGMENT);
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

/**
 * vrnic_check_raw() - find out why addresses of a table lead nowhere
 * @mr: the region
 * @sgt: its table, mapped just now
 */
void vrnic_check_raw(struct vrnic_mr *mr, struct sg_table *sgt)
{
	struct device *dev = mr->pd->vdev->dev;
	struct scatterlist *sg;
	unsigned int i;

	if (!vrnic_bus_is_translated(dev))
		return;
	for_each_sgtable_dma_sg(sgt, sg, i) {
		/* Below a switch a BAR is reached without the IOMMU, by its bus address. */
		if (vrnic_bus_to_phys(dev, sg_dma_address(sg)) ||
		    vrnic_bus_is_bar(sg_dma_address(sg)))
			continue;
		vrnic_violation(mr, VRNIC_BREACH_RAW);
		return;
	}
}

/**
 * vrnic_table_sum() - what a table says
 * @sgt: the table
 *
 * Return: a checksum over its addresses and lengths.
 */
u32 vrnic_table_sum(struct sg_table *sgt)
{
	struct scatterlist *sg;
	unsigned int i;
	u32 crc = 0;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		u64 entry[] = { sg_dma_address(sg), sg_dma_len(sg) };

		crc = crc32c(crc, entry, sizeof(entry));
	}
	return crc;
}
