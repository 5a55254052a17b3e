/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_MR_H
#define VRNIC_MR_H

#include <linux/completion.h>
#include <linux/dma-direction.h>
#include <linux/kref.h>
#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/workqueue.h>

#include "vrnic_core.h"
#include "vrnic_mapping.h"

struct dma_buf;
struct dma_buf_attachment;
struct sg_table;
struct vrnic_access_set;
struct vrnic_hmm;
struct vrnic_mr_state;
struct vrnic_umem;

/** enum vrnic_right - what may be done with a region */
enum vrnic_right {
	/** @VRNIC_MAY_LOCAL_WRITE: It may be written as a local buffer. */
	VRNIC_MAY_LOCAL_WRITE = BIT(0),
	/** @VRNIC_MAY_REMOTE_WRITE: It may be the target of writes. */
	VRNIC_MAY_REMOTE_WRITE = BIT(1),
	/** @VRNIC_MAY_REMOTE_READ: It may be the source of reads. */
	VRNIC_MAY_REMOTE_READ = BIT(2),
	/** @VRNIC_MAY_REMOTE_ATOMIC: It may be the target of atomics. */
	VRNIC_MAY_REMOTE_ATOMIC = BIT(3),
	/** @VRNIC_MAY_BIND: Windows may be bound to it. */
	VRNIC_MAY_BIND = BIT(4),
};

#define VRNIC_MAY_WRITE		(VRNIC_MAY_LOCAL_WRITE | VRNIC_MAY_REMOTE_WRITE |	\
				 VRNIC_MAY_REMOTE_ATOMIC)
#define VRNIC_MAY_ALL		(VRNIC_MAY_WRITE | VRNIC_MAY_REMOTE_READ | VRNIC_MAY_BIND)

/** enum vrnic_mode - how a region on a dma-buf follows the buffer */
enum vrnic_mode {
	/** @VRNIC_MODE_ON_DEMAND: Mapped at first use, and again after a notification. */
	VRNIC_MODE_ON_DEMAND,
	/** @VRNIC_MODE_EAGER: Mapped again at once, by a worker. */
	VRNIC_MODE_EAGER,
	/** @VRNIC_MODE_FENCED: Work in flight goes on under a fence. */
	VRNIC_MODE_FENCED,
	/** @VRNIC_MODE_PINNED: Pinned while registered; ends when revoked. */
	VRNIC_MODE_PINNED,
	/** @VRNIC_MODE_STATIC: Without notifications; the kernel pins the buffer. */
	VRNIC_MODE_STATIC,
	/** @VRNIC_MODES: Number of values. */
	VRNIC_MODES,
};

struct vrnic_mr;

/**
 * struct vrnic_mr_ops - how a region comes to its memory, and follows it
 */
struct vrnic_mr_ops {
	/** @dynamic: Mapped at its use, and again after each notification. */
	bool dynamic;
	/** @fenced: A notification does not stop work in flight, whose fence covers it. */
	bool fenced;
	/** @begin: Optional: map, right after the attachment, what is to be mapped then. */
	int (*begin)(struct vrnic_mr *mr);
	/**
	 * @invalidate: The exporter takes the mapping away, the reservation held if
	 * @locked. NULL for an importer that is not told.
	 */
	void (*invalidate)(struct vrnic_mr *mr, bool locked);
	/**
	 * @ready: Optional: whether bytes are there, to be written if @write, counted as
	 * &struct vrnic_place does; &vrnic_mr.access held. Without it all of them are while
	 * the region is mapped.
	 */
	bool (*ready)(const struct vrnic_mr *mr, u64 pos, u64 len, bool write);
	/**
	 * @fault: With @ready: have them be there, for the moment; for @set, or for the caller
	 * itself without one. No lock held. Returns 0, -EACCES for memory that is not there or
	 * not for that, -ENODEV for a region that ends, -ECANCELED for a set that is stopped,
	 * -EINTR, -EFAULT for what the device does not reach, -ENOMEM, -ENOSPC.
	 */
	int (*fault)(struct vrnic_mr *mr, u64 pos, u64 len, bool write,
		     const struct vrnic_access_set *set);
	/** @get_state: Optional: what differs from the usual; &vrnic_mr.access held. */
	void (*get_state)(const struct vrnic_mr *mr, struct vrnic_mr_state *state);
	/** @release: Give all back, also after a failure half-way; the region is dead. */
	void (*release)(struct vrnic_mr *mr);
};

/**
 * struct vrnic_mr_attr - what a region is to be
 */
struct vrnic_mr_attr {
	/** @mode: One of &enum vrnic_mode. */
	u32 mode;
	/** @access: Bits of &enum vrnic_right; 0 allows local reads only. */
	u32 access;
	/** @peer2peer: Import with allow_peer2peer. */
	bool peer2peer;
	/** @by_address: User memory: not pinned, whatever is behind the address is used. */
	bool by_address;
	/** @offset: First byte within the buffer; 0 for user memory. */
	u64 offset;
	/** @length: Bytes. */
	u64 length;
	/** @iova: Address of the first byte in work requests. */
	u64 iova;
};

/**
 * struct vrnic_mr - a memory region
 *
 * Locks, outermost first: the dma-buf's reservation, then @access. Whoever holds
 * @access takes no reservation, allocates nothing and does not fault; holding it
 * for reading, one only ever tries to get that of another region.
 */
struct vrnic_mr {
	/** @ref: One for the client, one for each piece of work that uses it. */
	struct kref ref;
	/** @idle: Completed with the last reference; the region ends after that. */
	struct completion idle;
	/** @rcu: Keys are looked up under RCU. */
	struct rcu_head rcu;
	/** @pd: The domain that it belongs to. */
	struct vrnic_pd *pd;
	/** @index: In &vrnic_device.regions, and in its keys. */
	u32 index;
	/** @lkey: Local key. */
	u32 lkey;
	/** @rkey: Remote key. */
	u32 rkey;
	/** @attr: As registered. */
	struct vrnic_mr_attr attr;
	/** @windows: Further keys of the face that lead to it, which it outlives; the face's. */
	u32 windows;
	/** @closed: No further ones; the same. */
	bool closed;
	/** @ops: What its mode, or user memory, makes of it. */
	const struct vrnic_mr_ops *ops;

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
	/** @sum: What @sgt said when it was made, while exporters are looked after. */
	u32 sum;
	/** @dir: Of @sgt, as it was made; rights may have become fewer since. */
	enum dma_data_direction dir;
	/** @mapping: The exporter is making @sgt; reservation. */
	bool mapping;
	/** @pinned: Holds a pin; reservation. */
	bool pinned;
	/** @lost: Was notified although it was pinned, and is to be audited; reservation. */
	bool lost;
	/** @lost_place: Where it was then. */
	u32 lost_place;
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

	/** @umem: Pinned user memory, or NULL. */
	struct vrnic_umem *umem;
	/** @hmm: User memory by address, or NULL. */
	struct vrnic_hmm *hmm;
	/** @locked_mm: Whose RLIMIT_MEMLOCK is charged, NULL for none. */
	struct mm_struct *locked_mm;
	/** @locked_pages: How much is charged there. */
	unsigned long locked_pages;

	/** @stats: Counters of this region. */
	struct vrnic_stats stats;
	/** @last_violation: One of &enum vrnic_breach. */
	u32 last_violation;
};

/**
 * struct vrnic_mr_state - what a region is at the moment
 */
struct vrnic_mr_state {
	/** @mapped: Has a mapping. */
	bool mapped;
	/** @peer: Of peer memory: addresses without pages. */
	bool peer;
	/** @revoked: The exporter took the buffer away. */
	bool revoked;
	/** @segments: Of the mapping, or pages that are mapped; 0 without one. */
	u32 segments;
};

/* Both for the region and for the device. */
#define vrnic_count(mr, what, n)					\
do {									\
	struct vrnic_mr *__mr = (mr);					\
	s64 __n = (n);							\
									\
	atomic64_add(__n, &__mr->stats.what);				\
	atomic64_add(__n, &__mr->pd->vdev->stats.what);		\
} while (0)

/* A key: index above, a random part below it, then eight zero bits. */
#define VRNIC_KEY_INDEX_SHIFT	16

static inline u32 vrnic_key_index(u32 key)
{
	return key >> VRNIC_KEY_INDEX_SHIFT;
}

int vrnic_key_reserve(struct vrnic_device *vdev, u32 *key);
void vrnic_key_release(struct vrnic_device *vdev, u32 key);
struct vrnic_mr *vrnic_mr_reg_dma_buf(struct vrnic_pd *pd, int fd,
				      const struct vrnic_mr_attr *attr);
struct vrnic_mr *vrnic_mr_reg_user(struct vrnic_pd *pd, u64 addr,
				   const struct vrnic_mr_attr *attr);
void vrnic_mr_publish(struct vrnic_mr *mr);
int vrnic_mr_change(struct vrnic_mr *mr, struct vrnic_pd *pd, u32 access);
void vrnic_mr_dereg(struct vrnic_mr *mr);
struct vrnic_mr *vrnic_mr_get_by_key(struct vrnic_pd *pd, u32 key, bool remote);
void vrnic_mr_put(struct vrnic_mr *mr);
int vrnic_mr_charge(struct vrnic_mr *mr, u64 bytes);
int vrnic_mr_prefetch(struct vrnic_mr *mr, u64 addr, u64 len, bool write, bool flush);
void vrnic_mr_get_state(struct vrnic_mr *mr, struct vrnic_mr_state *state);

static inline bool vrnic_mr_is_writable(const struct vrnic_mr *mr)
{
	return mr->attr.access & VRNIC_MAY_WRITE;
}

#endif /* VRNIC_MR_H */
