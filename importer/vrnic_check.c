// SPDX-License-Identifier: GPL-2.0
/*
 * Stricter than hardware: what an exporter hands out, and how it calls back, is
 * checked against Documentation/driver-api/dma-buf.rst.
 *
 * A breach is counted, logged once for each exporter, and shown by ioctl.
 */

#include <linux/crc32c.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/scatterlist.h>
#include <linux/string.h>

#include "vrnic_mr.h"
#include "vrnic_trace.h"

static const char * const vrnic_violation_text[] = {
	[VRNIC_VIOLATION_ALIGNMENT] = "a DMA address or length is not page aligned",
	[VRNIC_VIOLATION_LENGTH] = "the table does not cover the buffer",
	[VRNIC_VIOLATION_PAGES] = "peer memory came with struct pages",
	[VRNIC_VIOLATION_LOCK] = "a callback came without the reservation held",
	[VRNIC_VIOLATION_FENCE] = "a KERNEL fence did not signal in time",
	[VRNIC_VIOLATION_MOVED] = "the buffer changed its place without a notification",
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
 * @what: one of &enum vrnic_violation
 */
void vrnic_violation(struct vrnic_mr *mr, u32 what)
{
	struct vrnic_device *vdev = mr->ctx->vdev;
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
	vrnic_violation(mr, VRNIC_VIOLATION_LOCK);
	return false;
}

/* Memory that is no RAM has addresses only, never a page to go with them. */
static bool vrnic_has_peer_page(struct vrnic_mr *mr, struct scatterlist *sg)
{
	struct device *dev = mr->ctx->vdev->dev;

	return sg_page(sg) && !vrnic_bus_is_ram(vrnic_bus_to_phys(dev, sg_dma_address(sg)));
}

/**
 * vrnic_check_table() - check a table that the exporter made
 * @mr: the region
 * @sgt: the table
 *
 * Return: 0, or -EINVAL when it is of no use.
 */
int vrnic_check_table(struct vrnic_mr *mr, struct sg_table *sgt)
{
	bool aligned = true;
	struct scatterlist *sg;
	u64 total = 0;
	unsigned int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		aligned &= PAGE_ALIGNED(sg_dma_address(sg)) && PAGE_ALIGNED(sg_dma_len(sg));
		total += sg_dma_len(sg);
	}
	if (!total || total < mr->dmabuf->size) {
		vrnic_violation(mr, VRNIC_VIOLATION_LENGTH);
		return -EINVAL;
	}
	if (!aligned)
		vrnic_violation(mr, VRNIC_VIOLATION_ALIGNMENT);
	/* The CPU's side of a table may have other borders: its first entry tells. */
	if (vrnic_has_peer_page(mr, sgt->sgl))
		vrnic_violation(mr, VRNIC_VIOLATION_PAGES);
	return 0;
}

/**
 * vrnic_check_place_of() - what is behind the addresses of a mapping
 * @mr: a mapped region, its reservation held
 *
 * Return: a checksum over the places of all pages.
 */
u32 vrnic_check_place_of(struct vrnic_mr *mr)
{
	struct device *dev = mr->ctx->vdev->dev;
	phys_addr_t phys;
	unsigned int i;
	u32 crc = 0;
	u64 off;

	dma_resv_assert_held(mr->dmabuf->resv);

	for (i = 0; i < mr->map.nr; i++) {
		for (off = 0; off < mr->map.seg[i].len; off += PAGE_SIZE) {
			phys = vrnic_bus_to_phys(dev, mr->map.seg[i].addr + off);
			crc = crc32c(crc, (u8 *)&phys, sizeof(phys));
		}
	}
	return crc;
}
