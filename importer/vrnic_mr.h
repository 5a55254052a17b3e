/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_MR_H
#define VRNIC_MR_H

#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/rwsem.h>
#include <linux/workqueue.h>

#include "vrnic_bus.h"
#include "vrnic_core.h"

struct dma_buf;
struct dma_buf_attachment;
struct sg_table;
struct vrnic_umem;

/**
 * struct vrnic_mapping - DMA addresses of a whole buffer, and what is behind them
 */
struct vrnic_mapping {
	/** @nr: Entries in @seg. */
	unsigned int nr;
	/** @seg: In the buffer's order. */
	struct vrnic_segment *seg;
	/** @view: For the CPU engine. */
	struct vrnic_bus_view view;
};

/**
 * struct vrnic_mr_attr - what a region is to be
 */
struct vrnic_mr_attr {
	/** @mode: One of &enum vrnic_mr_mode. */
	u32 mode;
	/** @access: Bits of &enum vrnic_access. */
	u32 access;
	/** @peer2peer: Import with allow_peer2peer. */
	bool peer2peer;
	/** @offset: First byte within the buffer. */
	u64 offset;
	/** @length: Bytes. */
	u64 length;
};

/**
 * struct vrnic_mr - a memory region
 *
 * Locks, outermost first: the dma-buf's reservation, then @access. Whoever holds
 * @access takes no reservation, allocates nothing and does not fault; holding it
 * for reading, one only ever tries to get that of another region.
 */
struct vrnic_mr {
	/** @ref: One for the context, one for each piece of work that uses it. */
	struct kref ref;
	/** @idle: Completed with the last reference; the region ends after that. */
	struct completion idle;
	/** @ctx: The context that it belongs to. */
	struct vrnic_context *ctx;
	/** @handle: Index in &vrnic_context.mrs. */
	u32 handle;
	/** @lkey: Local key. */
	u32 lkey;
	/** @rkey: Remote key. */
	u32 rkey;
	/** @attr: As registered. */
	struct vrnic_mr_attr attr;

	/** @access: Read while memory is accessed, written while @map changes. */
	struct rw_semaphore access;
	/** @mapped: @map may be used; @access. */
	bool mapped;
	/** @peer: @map came without pages: peer memory; @access. */
	bool peer;
	/** @dead: Ended: no access ever again; @access. */
	bool dead;
	/** @revoked: The exporter took the buffer away; @access. */
	bool revoked;
	/** @map: The addresses; @access. */
	struct vrnic_mapping map;

	/** @dmabuf: The buffer, NULL for user memory. */
	struct dma_buf *dmabuf;
	/** @attach: The attachment. */
	struct dma_buf_attachment *attach;
	/** @sgt: The exporter's table; reservation. */
	struct sg_table *sgt;
	/** @pinned: Holds a pin; reservation. */
	bool pinned;
	/** @stale: Notified, but not unmapped yet; reservation. */
	bool stale;
	/** @inode: Of the dma-buf. */
	unsigned long inode;
	/** @unmap_work: Gives back what the notification could not. */
	struct delayed_work unmap_work;
	/** @map_work: Maps ahead of use. */
	struct work_struct map_work;

	/** @late_work: Writes after the notification, when asked to misbehave. */
	struct delayed_work late_work;
	/** @late_addr: Where. */
	dma_addr_t late_addr;

	/** @umem: User memory, NULL for a dma-buf. */
	struct vrnic_umem *umem;
	/** @locked_mm: Whose RLIMIT_MEMLOCK is charged, NULL for none. */
	struct mm_struct *locked_mm;
	/** @locked_pages: How much is charged there. */
	unsigned long locked_pages;

	/** @stats: Counters of this region. */
	struct vrnic_stats stats;
	/** @last_violation: One of &enum vrnic_violation. */
	u32 last_violation;
};

/* Both for the region and for the device. */
#define vrnic_count(mr, what, n)					\
do {									\
	struct vrnic_mr *__mr = (mr);					\
	s64 __n = (n);							\
									\
	atomic64_add(__n, &__mr->stats.what);				\
	atomic64_add(__n, &__mr->ctx->vdev->stats.what);		\
} while (0)

struct vrnic_mr *vrnic_mr_reg_dma_buf(struct vrnic_context *ctx, struct dma_buf *dmabuf,
				      const struct vrnic_mr_attr *attr);
struct vrnic_mr *vrnic_mr_reg_user(struct vrnic_context *ctx, u64 addr,
				   const struct vrnic_mr_attr *attr);
int vrnic_mr_dereg(struct vrnic_context *ctx, u32 handle);
void vrnic_mr_dereg_all(struct vrnic_context *ctx);
struct vrnic_mr *vrnic_mr_get(struct vrnic_context *ctx, u32 handle);
struct vrnic_mr *vrnic_mr_get_by_key(struct vrnic_context *ctx, u32 key, bool remote);
void vrnic_mr_put(struct vrnic_mr *mr);
int vrnic_mr_charge(struct vrnic_mr *mr, u64 bytes);
void vrnic_mr_query(struct vrnic_mr *mr, struct vrnic_query_mr *out);

static inline bool vrnic_mr_is_writable(const struct vrnic_mr *mr)
{
	return mr->attr.access & (VRNIC_ACCESS_LOCAL_WRITE | VRNIC_ACCESS_REMOTE_WRITE |
				  VRNIC_ACCESS_REMOTE_ATOMIC);
}

/* Has one mapping for all accesses to come, or another after each notification. */
static inline bool vrnic_mr_is_dynamic(const struct vrnic_mr *mr)
{
	return mr->dmabuf && mr->attr.mode <= VRNIC_MR_FENCED;
}

static inline bool vrnic_mr_is_fenced(const struct vrnic_mr *mr)
{
	return mr->dmabuf && mr->attr.mode == VRNIC_MR_FENCED;
}

int vrnic_mapping_set(struct vrnic_mapping *map, struct device *dev, struct sg_table *sgt);
void vrnic_mapping_clear(struct vrnic_mapping *map);

/* vrnic_dma_buf.c */
int vrnic_dma_buf_import(struct vrnic_mr *mr);
void vrnic_dma_buf_release(struct vrnic_mr *mr);
int vrnic_dma_buf_prefetch(struct vrnic_mr *mr);
void vrnic_dma_buf_prefetch_later(struct vrnic_mr *mr);
int vrnic_dma_buf_ensure_locked(struct vrnic_mr *mr, bool intr);
void vrnic_dma_buf_stop_access(struct vrnic_mr *mr);
void vrnic_dma_buf_unmap_locked(struct vrnic_mr *mr);

/* vrnic_misbehave.c */
void vrnic_misbehave_init(struct vrnic_mr *mr);
void vrnic_misbehave_fini(struct vrnic_mr *mr);
bool vrnic_misbehave_invalidate(struct vrnic_mr *mr);

/* vrnic_umem.c */
int vrnic_umem_pin(struct vrnic_mr *mr, u64 addr);
void vrnic_umem_release(struct vrnic_mr *mr);

/* vrnic_check.c */
void vrnic_violation(struct vrnic_mr *mr, u32 what);
int vrnic_check_table(struct vrnic_mr *mr, struct sg_table *sgt);
bool vrnic_check_locked(struct vrnic_mr *mr);
u32 vrnic_check_place_of(struct vrnic_mr *mr);

#endif /* VRNIC_MR_H */
