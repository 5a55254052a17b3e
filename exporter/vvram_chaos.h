/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_CHAOS_H
#define VVRAM_CHAOS_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct dentry;
struct vvram_device;

/** enum vvram_fail - operations that can be told to fail */
enum vvram_fail {
	/** @VVRAM_FAIL_ALLOC: Allocating VRAM. */
	VVRAM_FAIL_ALLOC,
	/** @VVRAM_FAIL_MAP: Mapping for an importer. */
	VVRAM_FAIL_MAP,
	/** @VVRAM_FAIL_MOVE: Starting a move. */
	VVRAM_FAIL_MOVE,
	VVRAM_FAIL_COUNT
};

/* Every vacated place is filled with this 64 bit word when poison is on. */
#define VVRAM_POISON		0xdeadf0071ea5edb1ULL
/* And with this one each place whose bytes are held up by a delay, with chaos/strict. */
#define VVRAM_POISON_EARLY	0x700ea711ba5e1e55ULL

/**
 * struct vvram_chaos - what a driver author may do to importers, all off at first
 */
struct vvram_chaos {
	/** @poison: Fill the vacated place, and watch it for stale writers. */
	bool poison;
	/** @delay_ms: Wait between notification and copy. */
	u32 delay_ms;
	/** @churn_hz: Moves per second of buffers picked at random. */
	u32 churn_hz;
	/** @skip_drain: Leave pages to their users, and move nevertheless. */
	bool skip_drain;
	/** @skip_copy: Pages of processes that move leave their bytes behind. */
	bool skip_copy;
	/** @ttm_copy: Move by ttm_bo_move_memcpy(), to compare with. */
	bool ttm_copy;
	/** @churn: Makes these moves. */
	struct delayed_work churn;
	/** @stale_writes: Times that a vacated place was written to. */
	atomic64_t stale_writes;
	/** @unlocked_calls: Callbacks that came without the reservation. */
	atomic64_t unlocked_calls;
	/** @fail: How often each operation is still to fail, and how. */
	struct {
		atomic_t count;
		int error;
	} fail[VVRAM_FAIL_COUNT];
};

int vvram_chaos_fail(struct vvram_chaos *chaos, enum vvram_fail what);
void vvram_chaos_init(struct vvram_device *vdev);
void vvram_chaos_fini(struct vvram_device *vdev);
void vvram_chaos_debugfs_init(struct vvram_device *vdev, struct dentry *root);

#endif /* VVRAM_CHAOS_H */
