// SPDX-License-Identifier: GPL-2.0
/*
 * The software engine: moves bytes as a DMA engine on the bus would.
 *
 * It knows DMA addresses only and resolves each at the time of the access.
 */

#include <linux/atomic.h>
#include <linux/crc32c.h>
#include <linux/io.h>
#include <linux/minmax.h>

#include <drm/drm_cache.h>

#include "vrnic_engine.h"
#include "vrnic_mr.h"

/* Bytes of stack that a checksum of uncached memory goes through. */
#define VRNIC_CRC_BUF	256

/* The segment that holds a byte; segments are in order, so halve. */
static const struct vrnic_segment *vrnic_find_segment(const struct vrnic_mapping *map, u64 pos)
{
	unsigned int low = 0, high = map->nr - 1, mid;

	while (low < high) {
		mid = (low + high + 1) / 2;
		if (map->seg[mid].start <= pos)
			low = mid;
		else
			high = mid - 1;
	}
	return &map->seg[low];
}

/* Returns how many bytes at @pos follow each other at @out; 0 for a fault. */
static u64 vrnic_resolve(struct device *dev, const struct vrnic_mapping *map, u64 pos, u64 len,
			 struct iosys_map *out, dma_addr_t *fault)
{
	const struct vrnic_segment *seg = vrnic_find_segment(map, pos);
	u64 within = pos - seg->start;
	u64 n;

	*fault = seg->addr + within;
	n = vrnic_bus_resolve(&map->view, dev, seg->addr + within,
			      min(len, seg->len - within), out);
	return n;
}

static int vrnic_cpu_copy(struct device *dev, const struct vrnic_place *dst,
			  const struct vrnic_place *src, u64 len, dma_addr_t *fault)
{
	struct iosys_map from, to;
	u64 done, n;

	for (done = 0; done < len; done += n) {
		n = vrnic_resolve(dev, src->map, src->pos + done, len - done, &from, fault);
		if (!n)
			return -EFAULT;
		n = vrnic_resolve(dev, dst->map, dst->pos + done, n, &to, fault);
		if (!n)
			return -EFAULT;
		if (from.is_iomem)
			drm_memcpy_from_wc(&to, &from, n);
		else
			iosys_map_memcpy_to(&to, 0, from.vaddr, n);
	}
	return 0;
}

static int vrnic_cpu_fill(struct device *dev, const struct vrnic_place *dst, u64 pattern,
			  unsigned int phase, u64 len, dma_addr_t *fault)
{
	u8 block[64 + sizeof(u64)];
	struct iosys_map to;
	u64 done, n, i;

	for (i = 0; i < sizeof(block); i += sizeof(u64))
		memcpy(block + i, &pattern, sizeof(u64));

	for (done = 0; done < len; done += n) {
		n = vrnic_resolve(dev, dst->map, dst->pos + done, len - done, &to, fault);
		if (!n)
			return -EFAULT;
		for (i = 0; i < n; i += 64)
			iosys_map_memcpy_to(&to, i, block + (phase + done + i) % sizeof(u64),
					    min_t(u64, 64, n - i));
	}
	return 0;
}

static int vrnic_cpu_crc32c(struct device *dev, const struct vrnic_place *src, u64 len,
			    u32 *crc, dma_addr_t *fault)
{
	u8 buf[VRNIC_CRC_BUF];
	struct iosys_map from;
	u64 done, n;

	for (done = 0; done < len; done += n) {
		n = vrnic_resolve(dev, src->map, src->pos + done, len - done, &from, fault);
		if (!n)
			return -EFAULT;
		if (!from.is_iomem) {
			*crc = crc32c(*crc, from.vaddr, n);
			continue;
		}
		n = min_t(u64, n, sizeof(buf));
		memcpy_fromio(buf, from.vaddr_iomem, n);
		*crc = crc32c(*crc, buf, n);
	}
	return 0;
}

/* Locked instructions work on a BAR as on RAM; nothing here depends on which it is. */
static atomic64_t *vrnic_resolve_atomic(struct device *dev, const struct vrnic_place *dst,
					dma_addr_t *fault)
{
	struct iosys_map to;

	if (vrnic_resolve(dev, dst->map, dst->pos, sizeof(u64), &to, fault) < sizeof(u64))
		return NULL;
	return to.is_iomem ? (atomic64_t __force *)to.vaddr_iomem : to.vaddr;
}

static int vrnic_cpu_fetch_add(struct device *dev, const struct vrnic_place *dst, u64 add,
			       u64 *old, dma_addr_t *fault)
{
	atomic64_t *v = vrnic_resolve_atomic(dev, dst, fault);

	if (!v)
		return -EFAULT;
	*old = atomic64_fetch_add(add, v);
	return 0;
}

static int vrnic_cpu_compare_swap(struct device *dev, const struct vrnic_place *dst,
				  u64 compare, u64 swap, u64 *old, dma_addr_t *fault)
{
	atomic64_t *v = vrnic_resolve_atomic(dev, dst, fault);

	if (!v)
		return -EFAULT;
	*old = atomic64_cmpxchg(v, compare, swap);
	return 0;
}

const struct vrnic_engine_ops vrnic_engine_cpu = {
	.copy = vrnic_cpu_copy,
	.fill = vrnic_cpu_fill,
	.crc32c = vrnic_cpu_crc32c,
	.fetch_add = vrnic_cpu_fetch_add,
	.compare_swap = vrnic_cpu_compare_swap,
};
