/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_STRICT_H
#define VVRAM_STRICT_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct dma_buf;
struct dma_buf_attachment;
struct dma_fence;
struct dentry;
struct vvram_bo;
struct vvram_device;

/** enum vvram_breach - rules of dma-buf that an importer can break */
enum vvram_breach {
	/** @VVRAM_BREACH_UNLOCKED: A call without the reservation. */
	VVRAM_BREACH_UNLOCKED,
	/** @VVRAM_BREACH_HELD: Detached with mappings. */
	VVRAM_BREACH_HELD,
	/** @VVRAM_BREACH_PINNED: Detached with pins. */
	VVRAM_BREACH_PINNED,
	/** @VVRAM_BREACH_RELEASED: Attached to a buffer that ends. */
	VVRAM_BREACH_RELEASED,
	/** @VVRAM_BREACH_LATE: A mapping kept for too long after the notification. */
	VVRAM_BREACH_LATE,
	/** @VVRAM_BREACH_UNMAP: Unmaps a table that is not the attachment's. */
	VVRAM_BREACH_UNMAP,
	/** @VVRAM_BREACH_UNPIN: Unpins without a pin. */
	VVRAM_BREACH_UNPIN,
	/** @VVRAM_BREACH_DETACHED: A call by an attachment that is none any more. */
	VVRAM_BREACH_DETACHED,
	/** @VVRAM_BREACH_STALE: A write to a place that the buffer has left. */
	VVRAM_BREACH_STALE,
	/** @VVRAM_BREACH_EARLY: A write to a place before the bytes have arrived there. */
	VVRAM_BREACH_EARLY,
	/** @VVRAM_BREACHES: Number of values. */
	VVRAM_BREACHES
};

/* Bytes of an importer's name, and importers that are counted apart. */
#define VVRAM_IMPORTER_NAME	96
#define VVRAM_MAX_BLAMED	16

/**
 * struct vvram_blamed - an importer, and how often it broke each rule
 */
struct vvram_blamed {
	/** @name: Its driver, device and callback. */
	char name[VVRAM_IMPORTER_NAME];
	/** @count: Breaches of each rule. */
	u64 count[VVRAM_BREACHES];
	/** @first: When that rule was broken first, by the clock of the kernel's log. */
	u64 first[VVRAM_BREACHES];
};

/**
 * struct vvram_strict - the judge of a device's importers
 */
struct vvram_strict {
	/** @on: Judge also what takes time to find out. */
	bool on;
	/** @violations: Breaches of all rules by all importers. */
	atomic64_t violations;
	/** @blamed_lock: Protects @blamed, @nr_blamed; innermost. */
	spinlock_t blamed_lock;
	/** @nr_blamed: Entries in @blamed. */
	unsigned int nr_blamed;
	/** @blamed: Who broke rules; the last one stands for all that have no room. */
	struct vvram_blamed blamed[VVRAM_MAX_BLAMED];
	/** @lock: Protects @notified; @blamed_lock is taken inside. */
	struct mutex lock;
	/** @notified: Mappings whose importer was told to give them up, oldest first. */
	struct list_head notified;
	/** @look_at: When @overdue runs, jiffies, while it is pending; @lock. */
	unsigned long look_at;
	/** @overdue: Looks for those that are kept for too long. */
	struct delayed_work overdue;
};

/**
 * struct vvram_notice - of a mapping: since when its importer should give it up
 */
struct vvram_notice {
	/** @link: In &vvram_strict.notified, empty before the notification. */
	struct list_head link;
	/** @attach: Whose mapping it is. */
	struct dma_buf_attachment *attach;
	/** @busy: What was under way when it was told, or NULL; &vvram_strict.lock. */
	struct dma_fence *busy;
	/** @deadline: When it is too late, jiffies. */
	unsigned long deadline;
	/** @late: It is, and that was told. */
	bool late;
};

/* So many importers of a place are remembered by name. */
#define VVRAM_MAX_SUSPECTS	4

/**
 * struct vvram_suspects - who has, or had, a buffer's place mapped
 *
 * Of the buffer while it is there; of the copies from and to that place; of the place as long
 * as it is in quarantine.
 */
struct vvram_suspects {
	/** @ref: Of all of these. */
	struct kref ref;
	/** @lock: Protects all that follows. */
	spinlock_t lock;
	/** @inode: Of the dma-buf. */
	unsigned long inode;
	/** @more: There are more than those that have an entry. */
	bool more;
	/** @nr: Importers that have one. */
	unsigned int nr;
	/** @name: Their names. */
	char name[VVRAM_MAX_SUSPECTS][VVRAM_IMPORTER_NAME];
};

static inline void vvram_notice_init(struct vvram_notice *notice,
				     struct dma_buf_attachment *attach)
{
	INIT_LIST_HEAD(&notice->link);
	notice->attach = attach;
	notice->busy = NULL;
}

void vvram_breach(struct vvram_bo *bo, struct dma_buf_attachment *attach,
		  enum vvram_breach what);
void vvram_breach_at(struct vvram_device *vdev, struct vvram_suspects *suspects,
		     enum vvram_breach what, u64 offset);
struct vvram_suspects *vvram_suspects_alloc(struct vvram_bo *bo);
struct vvram_suspects *vvram_suspects_get(struct vvram_suspects *suspects);
void vvram_suspects_put(struct vvram_suspects *suspects);
void vvram_suspects_add(struct vvram_bo *bo, struct dma_buf_attachment *attach);
bool vvram_strict_is_attached(struct vvram_bo *bo, struct dma_buf_attachment *attach);
void vvram_strict_notify(struct vvram_bo *bo);
void vvram_strict_unmap(struct vvram_device *vdev, struct vvram_notice *notice);
int vvram_strict_init(struct vvram_device *vdev);
void vvram_strict_fini(struct vvram_device *vdev);
void vvram_strict_debugfs_init(struct vvram_device *vdev, struct dentry *chaos);

#endif /* VVRAM_STRICT_H */
