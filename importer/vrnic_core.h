/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_CORE_H
#define VRNIC_CORE_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "vrnic.h"

struct dentry;
struct device;
struct vrnic_edu;

/**
 * struct vrnic_stats - what &struct vrnic_counters shows, as it is counted
 */
struct vrnic_stats {
	/** @maps: Mappings made. */
	atomic64_t maps;
	/** @unmaps: Mappings given back. */
	atomic64_t unmaps;
	/** @invalidations: Notifications by the exporter. */
	atomic64_t invalidations;
	/** @faults: Accesses that found no mapping. */
	atomic64_t faults;
	/** @bytes_read: Bytes read from memory. */
	atomic64_t bytes_read;
	/** @bytes_written: Bytes written to memory. */
	atomic64_t bytes_written;
	/** @stall_ns: Time waited for mappings. */
	atomic64_t stall_ns;
	/** @stall_max_ns: Longest of these waits. */
	atomic64_t stall_max_ns;
	/** @dma_faults: Addresses that the bus did not resolve. */
	atomic64_t dma_faults;
	/** @violations: Breaches of the contract by exporters. */
	atomic64_t violations;
};

/** enum vrnic_misbehaviour - breaches of the contract that root may ask for */
enum vrnic_misbehaviour {
	/** @VRNIC_SKIP_INVALIDATE: Unmap, but go on with the old addresses. */
	VRNIC_SKIP_INVALIDATE = BIT(0),
	/** @VRNIC_IGNORE_KERNEL_FENCE: Access before the bytes have arrived. */
	VRNIC_IGNORE_KERNEL_FENCE = BIT(1),
	/** @VRNIC_LATE_WRITE: Write once more after the notification. */
	VRNIC_LATE_WRITE = BIT(2),
	/** @VRNIC_LATE_UNMAP: Unmap long after the notification. */
	VRNIC_LATE_UNMAP = BIT(3),
	/** @VRNIC_NEVER_UNMAP: Unmap only when the region is used again or ends. */
	VRNIC_NEVER_UNMAP = BIT(4),
	/** @VRNIC_UNLOCKED_MAP: Map without the reservation. */
	VRNIC_UNLOCKED_MAP = BIT(5),
};

/**
 * struct vrnic_device - one importer
 */
struct vrnic_device {
	/** @ref: One for the driver, one for each context. */
	struct kref ref;
	/** @dev: The bus device that does the DMA; gone with @gone. */
	struct device *dev;
	/** @srcu: Held over each call from outside; see vrnic_device_enter(). */
	struct srcu_struct srcu;
	/** @gone: The bus device was removed. */
	bool gone;
	/** @edu: The hardware engine, NULL without. */
	struct vrnic_edu *edu;
	/** @wq: Runs the queues, and maps ahead. */
	struct workqueue_struct *wq;
	/** @unmap_wq: Gives mappings back; exporters wait for it, also in reclaim. */
	struct workqueue_struct *unmap_wq;
	/** @lock: Protects @contexts and the open contexts' ends; outermost. */
	struct mutex lock;
	/** @contexts: Open contexts. */
	struct list_head contexts;
	/** @mrs: Regions of all contexts. */
	atomic_t mrs;
	/** @stats: Of all regions since the device came up. */
	struct vrnic_stats stats;
	/** @misbehave: Bits of &enum vrnic_misbehaviour. */
	u32 misbehave;
	/** @blamed_lock: Protects @blamed. */
	spinlock_t blamed_lock;
	/** @blamed: Exporters whose breach of the contract was logged. */
	char blamed[8][32];
	/** @debugfs: Its directory. */
	struct dentry *debugfs;
};

/**
 * struct vrnic_context - the objects of one client; nothing in it reaches another
 */
struct vrnic_context {
	/** @vdev: The device, with a reference. */
	struct vrnic_device *vdev;
	/** @link: On &vrnic_device.contexts. */
	struct list_head link;
	/** @lock: Serialises making and ending of regions and queues. */
	struct mutex lock;
	/** @mrs: Regions by index. */
	struct xarray mrs;
	/** @next_mr: Where the search for a free index begins: keys come back late. */
	u32 next_mr;
	/** @queues: Queues by handle. */
	struct xarray queues;
	/** @fence_context: First of the fence timelines, one for each queue handle. */
	u64 fence_context;
	/** @fence_seqno: Last point on any of them. */
	atomic64_t fence_seqno;
	/** @completed: Woken for each completion, and when the device goes. */
	wait_queue_head_t completed;
};

extern uint vrnic_max_mrs;
extern uint vrnic_max_queues;
extern uint vrnic_max_depth;
extern uint vrnic_chunk;

struct vrnic_device *vrnic_device_create(struct device *dev, struct vrnic_edu *edu);
void vrnic_device_remove(struct vrnic_device *vdev);
void vrnic_device_put(struct vrnic_device *vdev);
void vrnic_limits_init(void);
bool vrnic_device_enter(struct vrnic_device *vdev, int *idx);
void vrnic_device_exit(struct vrnic_device *vdev, int idx);
void vrnic_stats_read(const struct vrnic_stats *stats, struct vrnic_counters *out);

struct vrnic_context *vrnic_context_create(struct vrnic_device *vdev);
void vrnic_context_destroy(struct vrnic_context *ctx);

void vrnic_debugfs_init(struct vrnic_device *vdev);
void vrnic_debugfs_fini(struct vrnic_device *vdev);

static inline bool vrnic_misbehaves(struct vrnic_device *vdev, u32 how)
{
	return unlikely(READ_ONCE(vdev->misbehave) & how);
}

#endif /* VRNIC_CORE_H */
