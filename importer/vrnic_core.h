/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_CORE_H
#define VRNIC_CORE_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

struct dentry;
struct device;
struct vrnic_dma_engine;

/**
 * struct vrnic_stats - counters of a region or of the device
 */
struct vrnic_stats {
	/** @maps: Mappings made; of user memory by address, pages. */
	atomic64_t maps;
	/** @unmaps: Mappings given back; the same. */
	atomic64_t unmaps;
	/** @invalidations: Notifications by the exporter, or of changed page tables. */
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
	/** @VRNIC_ACCEPT_BOUNCED: Do not look whether memory is bounced. */
	VRNIC_ACCEPT_BOUNCED = BIT(6),
};

/** enum vrnic_breach - breaches of the dma-buf contract by exporters */
enum vrnic_breach {
	/** @VRNIC_BREACH_NONE: None so far. */
	VRNIC_BREACH_NONE,
	/** @VRNIC_BREACH_ALIGNMENT: A DMA address or length is not page aligned. */
	VRNIC_BREACH_ALIGNMENT,
	/** @VRNIC_BREACH_LENGTH: The table covers less than the buffer. */
	VRNIC_BREACH_LENGTH,
	/** @VRNIC_BREACH_PAGES: Peer memory came with struct pages. */
	VRNIC_BREACH_PAGES,
	/** @VRNIC_BREACH_LOCK: A callback came without the reservation held. */
	VRNIC_BREACH_LOCK,
	/** @VRNIC_BREACH_FENCE: A KERNEL fence did not signal in time. */
	VRNIC_BREACH_FENCE,
	/** @VRNIC_BREACH_MOVED: The addresses changed without a notification. */
	VRNIC_BREACH_MOVED,
	/** @VRNIC_BREACH_BOUNCED: The addresses lead to bounce buffers. */
	VRNIC_BREACH_BOUNCED,
	/** @VRNIC_BREACH_EXCESS: The table leads beyond the buffer. */
	VRNIC_BREACH_EXCESS,
	/** @VRNIC_BREACH_MASK: An address is beyond the device's DMA mask. */
	VRNIC_BREACH_MASK,
	/** @VRNIC_BREACH_SEGMENT: A segment is longer than the device takes. */
	VRNIC_BREACH_SEGMENT,
	/** @VRNIC_BREACH_RAW: The IOMMU does not know a fresh address. */
	VRNIC_BREACH_RAW,
	/** @VRNIC_BREACH_TABLE: A table changed after it was handed out. */
	VRNIC_BREACH_TABLE,
	/** @VRNIC_BREACH_PIN: A pinned buffer changed its place. */
	VRNIC_BREACH_PIN,
	/** @VRNIC_BREACH_SIZE: The buffer's size is not its file's. */
	VRNIC_BREACH_SIZE,
	/** @VRNIC_BREACHES: Number of values. */
	VRNIC_BREACHES,
};

/* Exporters that are told apart. */
#define VRNIC_MAX_EXPORTERS	16

/** enum vrnic_callback - what exporters are timed in, the reservation being held */
enum vrnic_callback {
	/** @VRNIC_CALLBACK_MAP: Making a table. */
	VRNIC_CALLBACK_MAP,
	/** @VRNIC_CALLBACK_UNMAP: Taking one back. */
	VRNIC_CALLBACK_UNMAP,
	/** @VRNIC_CALLBACK_PIN: Pinning the buffer. */
	VRNIC_CALLBACK_PIN,
	/** @VRNIC_CALLBACKS: Number of values. */
	VRNIC_CALLBACKS,
};

/* Powers of two of microseconds, up to two seconds, and what takes longer. */
#define VRNIC_TOOK_STEPS	23

/**
 * struct vrnic_took - how long a callback took
 */
struct vrnic_took {
	/** @calls: Calls that took less than 1 us, 2 us, 4 us ...; the last ones: longer. */
	u64 calls[VRNIC_TOOK_STEPS];
	/** @max_us: The longest, us. */
	u64 max_us;
};

/**
 * struct vrnic_exporter - what is known of an exporter
 */
struct vrnic_exporter {
	/** @name: Its name. */
	char name[32];
	/** @count: Breaches of each rule. */
	u64 count[VRNIC_BREACHES];
	/** @first: When that rule was broken first, by the clock of the kernel's log. */
	u64 first[VRNIC_BREACHES];
	/** @took: Of each &enum vrnic_callback. */
	struct vrnic_took took[VRNIC_CALLBACKS];
};

/* Engines of one device. */
#define VRNIC_MAX_ENGINES	2

/**
 * struct vrnic_device - one importer
 */
struct vrnic_device {
	/** @ref: One for the driver, one for each face. */
	struct kref ref;
	/** @link: On the list of those that clients are told of. */
	struct list_head link;
	/** @dev: The bus device that does the DMA; gone with @gone. */
	struct device *dev;
	/** @id: Number in its name, the lowest that was free. */
	int id;
	/** @name: "vrnic" and @id: of its node, and in debugfs. */
	char name[20];
	/** @srcu: Held over each call from outside; see vrnic_device_enter(). */
	struct srcu_struct srcu;
	/** @gone: The bus device was removed. */
	bool gone;
	/** @nr_engines: Entries in @engines. */
	unsigned int nr_engines;
	/** @engines: What moves bytes for it. */
	struct vrnic_dma_engine *engines[VRNIC_MAX_ENGINES];
	/** @workers: Those of the kernel's own domains. */
	struct workqueue_struct *workers;
	/** @unmap_wq: Gives mappings back; exporters wait for it, also in reclaim. */
	struct workqueue_struct *unmap_wq;
	/** @mrs: Number of regions. */
	atomic_t mrs;
	/** @regions: Regions by the index in their keys; read under RCU. */
	struct xarray regions;
	/** @next_region: Where the search for a free index begins: keys come back late. */
	u32 next_region;
	/** @stats: Of all regions since the device came up. */
	struct vrnic_stats stats;
	/** @misbehave: Bits of &enum vrnic_misbehaviour. */
	u32 misbehave;
	/** @exporters_lock: Protects @nr_exporters, @exporters. */
	spinlock_t exporters_lock;
	/** @nr_exporters: Entries in @exporters. */
	unsigned int nr_exporters;
	/** @exporters: Those that were met; the last one for all without room. */
	struct vrnic_exporter exporters[VRNIC_MAX_EXPORTERS];
	/** @audit: Looks whether regions in use still are where their exporter has them. */
	struct delayed_work audit;
	/** @debugfs: Its directory. */
	struct dentry *debugfs;
};

/**
 * struct vrnic_pd - a protection domain: keys of a region are good for its queues only
 */
struct vrnic_pd {
	/** @vdev: The device. */
	struct vrnic_device *vdev;
	/** @workers: Do what its queues and regions wait for; of its client, which alone waits. */
	struct workqueue_struct *workers;
	/**
	 * @faulters: Have pages of its regions be there, for whoever may not wait for that; its
	 * client's as well, and apart: those who wait for them are workers.
	 */
	struct workqueue_struct *faulters;
};

extern uint vrnic_chunk;

struct vrnic_device *vrnic_device_create(struct device *dev);
void vrnic_device_leave(struct vrnic_device *vdev);
void vrnic_device_drain(struct vrnic_device *vdev);
void vrnic_device_remove(struct vrnic_device *vdev);
void vrnic_device_get(struct vrnic_device *vdev);
void vrnic_device_put(struct vrnic_device *vdev);
bool vrnic_device_enter(struct vrnic_device *vdev, int *idx);
void vrnic_device_exit(struct vrnic_device *vdev, int idx);
struct workqueue_struct *vrnic_workers_create(void);

void vrnic_debugfs_init(struct vrnic_device *vdev);
void vrnic_debugfs_fini(struct vrnic_device *vdev);

static inline bool vrnic_misbehaves(struct vrnic_device *vdev, u32 how)
{
	return unlikely(READ_ONCE(vdev->misbehave) & how);
}

#endif /* VRNIC_CORE_H */
