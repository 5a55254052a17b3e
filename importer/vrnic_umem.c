// SPDX-License-Identifier: GPL-2.0
/*
 * User memory of a region: pinned for its life, counted against RLIMIT_MEMLOCK.
 */

#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "dma_bounce.h"
#include "vrnic_mr.h"
#include "vrnic_umem.h"

/**
 * struct vrnic_umem - pinned pages of a process
 */
struct vrnic_umem {
	/** @pages: The pages. */
	struct page **pages;
	/** @nr: How many of them are pinned. */
	unsigned long nr;
	/** @writable: Pinned for writing. */
	bool writable;
	/** @sgt: Their DMA mapping. */
	struct sg_table sgt;
	/** @dir: Its direction. */
	enum dma_data_direction dir;
	/** @dma_mapped: @sgt is mapped. */
	bool dma_mapped;
};

static int vrnic_umem_pin_pages(struct vrnic_umem *umem, u64 start, unsigned long nr)
{
	unsigned int flags = FOLL_LONGTERM | (umem->writable ? FOLL_WRITE : 0);
	int n;

	while (umem->nr < nr) {
		n = pin_user_pages_fast(start + (umem->nr << PAGE_SHIFT),
					min_t(unsigned long, nr - umem->nr, INT_MAX),
					flags, umem->pages + umem->nr);
		if (n <= 0)
			return n ? n : -EFAULT;
		umem->nr += n;
		cond_resched();
	}
	return 0;
}

/*
 * Pages of a process are mapped for as long as the region lives, and both sides use them
 * without a call in between: there is no moment for a sync.
 */
static bool vrnic_umem_is_bounced(struct vrnic_mr *mr)
{
	struct vrnic_device *vdev = mr->pd->vdev;
	struct vrnic_umem *umem = mr->umem;

	if (vrnic_misbehaves(vdev, VRNIC_ACCEPT_BOUNCED))
		return false;
	return umem->dma_mapped ? compat_dma_table_is_bounced(vdev->dev, &umem->sgt) :
				  compat_dma_table_would_bounce(vdev->dev, &umem->sgt);
}

static int vrnic_umem_map(struct vrnic_mr *mr, u64 size)
{
	struct vrnic_umem *umem = mr->umem;
	struct device *dev = mr->pd->vdev->dev;
	int ret;

	ret = sg_alloc_table_from_pages(&umem->sgt, umem->pages, umem->nr, 0, size,
					GFP_KERNEL);
	if (ret)
		return ret;
	if (vrnic_umem_is_bounced(mr))
		return -EOPNOTSUPP;
	ret = dma_map_sgtable(dev, &umem->sgt, umem->dir, 0);
	if (ret)
		return ret;
	umem->dma_mapped = true;
	if (vrnic_umem_is_bounced(mr))
		return -EOPNOTSUPP;
	return vrnic_mapping_set(&mr->map, dev, &umem->sgt);
}

/**
 * vrnic_umem_pin() - pin and map the user memory of a region
 * @mr: the region
 * @addr: first byte, of a range within the caller's address space
 *
 * Return: 0; -EFAULT where there is nothing that may be pinned; -ENOMEM, also for
 * RLIMIT_MEMLOCK; -EOPNOTSUPP for memory that the device does not reach itself. The region's
 * end cleans up after an error as well.
 */
int vrnic_umem_pin(struct vrnic_mr *mr, u64 addr)
{
	u64 start = PAGE_ALIGN_DOWN(addr), size = PAGE_ALIGN(addr + mr->attr.length) - start;
	struct vrnic_umem *umem;
	int ret;

	umem = kzalloc(sizeof(*umem), GFP_KERNEL_ACCOUNT);
	if (!umem)
		return -ENOMEM;
	mr->umem = umem;
	umem->writable = vrnic_mr_is_writable(mr);
	umem->dir = umem->writable ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;

	ret = vrnic_mr_charge(mr, size);
	if (ret)
		return ret;
	umem->pages = kvmalloc_array(size >> PAGE_SHIFT, sizeof(*umem->pages),
				     GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!umem->pages)
		return -ENOMEM;
	ret = vrnic_umem_pin_pages(umem, start, size >> PAGE_SHIFT);
	if (ret)
		return ret;
	ret = vrnic_umem_map(mr, size);
	if (ret)
		return ret;

	mr->attr.offset = addr - start;
	mr->mapped = true;
	return 0;
}

static void vrnic_umem_release(struct vrnic_mr *mr)
{
	struct vrnic_umem *umem = mr->umem;

	if (!umem)
		return;

	down_write(&mr->access);
	mr->mapped = false;
	up_write(&mr->access);

	vrnic_mapping_clear(&mr->map);
	if (umem->dma_mapped)
		dma_unmap_sgtable(mr->pd->vdev->dev, &umem->sgt, umem->dir, 0);
	sg_free_table(&umem->sgt);
	unpin_user_pages_dirty_lock(umem->pages, umem->nr, umem->writable);
	kvfree(umem->pages);
	kfree(umem);
}

/* One mapping for all of its life; nobody takes it away. */
const struct vrnic_mr_ops vrnic_umem_ops = {
	.release = vrnic_umem_release,
};
