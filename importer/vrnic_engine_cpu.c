// SPDX-License-Identifier: GPL-2.0
/*
 * The software engine: moves bytes as a DMA engine on the bus would.
 *
 * It knows DMA addresses only and resolves each at the time of the access.
 */

#include <linux/atomic.h>
#include <linux/crc32c.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iosys-map.h>
#include <linux/minmax.h>
#include <linux/spinlock.h>

#include <drm/drm_cache.h>

#include "vrnic_engine.h"

/* Bytes of stack for what is not done in place. */
#define VRNIC_BLOCK	512

/*
 * A BAR has no locked instructions that could be relied on: there, atomics are
 * atomic among those of this importer only, as a NIC's are.
 */
static DEFINE_SPINLOCK(vrnic_io_atomic_lock);

static void vrnic_flush(const struct iosys_map *to)
{
	if (to->is_iomem)
		wmb(); /* what was written to a BAR is there before anyone is told so */
}

/*
 * From one BAR to another. drm_memcpy_from_wc() can't: where it has no instruction for that,
 * it goes on to the next multiple of 128 bytes.
 */
static void vrnic_copy_io(void __iomem *to, const struct iosys_map *from, u64 len)
{
	u8 block[VRNIC_BLOCK] __aligned(16);
	struct iosys_map src, dst;
	u64 done, n;

	iosys_map_set_vaddr(&dst, block);
	for (done = 0; done < len; done += n) {
		n = min_t(u64, len - done, VRNIC_BLOCK);
		src = IOSYS_MAP_INIT_OFFSET(from, done);
		drm_memcpy_from_wc(&dst, &src, n);
		memcpy_toio(to + done, block, n);
	}
}

static int vrnic_cpu_copy(struct vrnic_dma_engine *engine, const struct vrnic_place *dst,
			  const struct vrnic_place *src, u64 len,
			  struct vrnic_dma_fault *fault)
{
	struct iosys_map from, to;
	u64 done, n;

	for (done = 0; done < len; done += n) {
		n = vrnic_resolve(src, done, len - done, false, &from, fault);
		if (!n)
			return -EFAULT;
		n = vrnic_resolve(dst, done, n, true, &to, fault);
		if (!n)
			return -EFAULT;
		if (from.is_iomem && to.is_iomem)
			vrnic_copy_io(to.vaddr_iomem, &from, n);
		else if (from.is_iomem)
			drm_memcpy_from_wc(&to, &from, n);
		else if (to.is_iomem)
			memcpy_toio(to.vaddr_iomem, from.vaddr, n);
		else
			memmove(to.vaddr, from.vaddr, n);
		vrnic_flush(&to);
	}
	return 0;
}

static int vrnic_cpu_fill(struct vrnic_dma_engine *engine, const struct vrnic_place *dst,
			  u64 pattern, unsigned int phase, u64 len,
			  struct vrnic_dma_fault *fault)
{
	u8 block[VRNIC_BLOCK + sizeof(u64)];
	struct iosys_map to;
	u64 done, n, i;

	for (i = 0; i < sizeof(block); i += sizeof(u64))
		memcpy(block + i, &pattern, sizeof(u64));

	for (done = 0; done < len; done += n) {
		n = vrnic_resolve(dst, done, len - done, true, &to, fault);
		if (!n)
			return -EFAULT;
		for (i = 0; i < n; i += VRNIC_BLOCK)
			iosys_map_memcpy_to(&to, i, block + (phase + done + i) % sizeof(u64),
					    min_t(u64, VRNIC_BLOCK, n - i));
		vrnic_flush(&to);
	}
	return 0;
}

static int vrnic_cpu_crc32c(struct vrnic_dma_engine *engine, const struct vrnic_place *src, u64 len,
			    u32 *crc, struct vrnic_dma_fault *fault)
{
	u8 block[VRNIC_BLOCK];
	struct iosys_map from;
	u64 done, n;

	for (done = 0; done < len; done += n) {
		n = vrnic_resolve(src, done, len - done, false, &from, fault);
		if (!n)
			return -EFAULT;
		if (!from.is_iomem) {
			*crc = crc32c(*crc, from.vaddr, n);
			continue;
		}
		n = min_t(u64, n, sizeof(block));
		memcpy_fromio(block, from.vaddr_iomem, n);
		*crc = crc32c(*crc, block, n);
	}
	return 0;
}

static u64 vrnic_io_fetch_add(u64 __iomem *io, u64 add)
{
	u64 old;

	guard(spinlock)(&vrnic_io_atomic_lock);
	old = readq(io);
	writeq(old + add, io);
	return old;
}

static u64 vrnic_io_compare_swap(u64 __iomem *io, u64 compare, u64 swap)
{
	u64 old;

	guard(spinlock)(&vrnic_io_atomic_lock);
	old = readq(io);
	if (old == compare)
		writeq(swap, io);
	return old;
}

static int vrnic_cpu_fetch_add(struct vrnic_dma_engine *engine, const struct vrnic_place *dst,
			       u64 add, u64 *old, struct vrnic_dma_fault *fault)
{
	struct iosys_map to;

	if (vrnic_resolve(dst, 0, sizeof(u64), true, &to, fault) < sizeof(u64))
		return -EFAULT;
	*old = to.is_iomem ? vrnic_io_fetch_add(to.vaddr_iomem, add) :
			     atomic64_fetch_add(add, (atomic64_t *)to.vaddr);
	vrnic_flush(&to);
	return 0;
}

static int vrnic_cpu_compare_swap(struct vrnic_dma_engine *engine, const struct vrnic_place *dst,
				  u64 compare, u64 swap, u64 *old,
				  struct vrnic_dma_fault *fault)
{
	struct iosys_map to;

	if (vrnic_resolve(dst, 0, sizeof(u64), true, &to, fault) < sizeof(u64))
		return -EFAULT;
	*old = to.is_iomem ? vrnic_io_compare_swap(to.vaddr_iomem, compare, swap) :
			     atomic64_cmpxchg((atomic64_t *)to.vaddr, compare, swap);
	vrnic_flush(&to);
	return 0;
}

static const struct vrnic_engine_ops vrnic_cpu_ops = {
	.name = "cpu",
	.copy = vrnic_cpu_copy,
	.fill = vrnic_cpu_fill,
	.crc32c = vrnic_cpu_crc32c,
	.fetch_add = vrnic_cpu_fetch_add,
	.compare_swap = vrnic_cpu_compare_swap,
};

/* Of all devices: it needs nothing for itself. */
struct vrnic_dma_engine vrnic_engine_cpu = {
	.ops = &vrnic_cpu_ops,
};
