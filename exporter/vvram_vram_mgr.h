/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_VRAM_MGR_H
#define VVRAM_VRAM_MGR_H

#include <linux/atomic.h>
#include <linux/gpu_buddy.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include <drm/ttm/ttm_placement.h>
#include <drm/ttm/ttm_resource.h>

#include "ttm.h"

struct vvram_device;
struct vvram_segments;

/**
 * struct vvram_vram_mgr - hands out VRAM, TTM's resource manager for it
 */
struct vvram_vram_mgr {
	/** @base: TTM's part. */
	struct ttm_resource_manager base;
	/** @dmem: What the dmem cgroup's controller has of it. */
	struct compat_ttm_dmem dmem;
	/** @lock: Protects @mm; nothing is taken inside. */
	struct mutex lock;
	/** @mm: The free and used blocks. */
	struct gpu_buddy mm;
	/** @max_chunk: Largest piece given to a buffer, bytes; 0 for any. */
	u64 max_chunk;
	/** @frees: Times that somebody gave back a place. */
	atomic64_t frees;
	/** @closed: Nothing is allocated for now; @lock. */
	bool closed;
	/** @held: Places that no buffer has any more, but somebody pages of; @lock. */
	struct list_head held;
	/** @held_size: Bytes of them; @lock. */
	u64 held_size;
	/** @let_go: Looks whether they still do. */
	struct delayed_work let_go;
	/** @quarantine: Poisoned places that nobody gets for a while, oldest first; @lock. */
	struct list_head quarantine;
	/** @quarantine_size: Bytes of them; @lock. */
	u64 quarantine_size;
	/** @quarantine_over: Ends their time. */
	struct delayed_work quarantine_over;
};

/**
 * struct vvram_vram_resource - a buffer's place in VRAM
 */
struct vvram_vram_resource {
	/** @base: TTM's part. */
	struct ttm_resource base;
	/** @blocks: The allocator's blocks. */
	struct list_head blocks;
	/** @held: In &vvram_vram_mgr.held or .quarantine, without @base then. */
	struct list_head held;
	/** @until: End of its time in quarantine, jiffies. */
	unsigned long until;
	/** @segs: The same as pieces in the buffer's order. */
	struct vvram_segments *segs;
};

#define to_vvram_vram_resource(r)	container_of(r, struct vvram_vram_resource, base)

/* Whether the CPU can have it as one range: pages can be mapped so, VRAM has to be so. */
static inline bool vvram_is_one_piece(struct ttm_resource *res)
{
	return res->mem_type != TTM_PL_VRAM || to_vvram_vram_resource(res)->segs->count == 1;
}

int vvram_vram_mgr_init(struct vvram_device *vdev);
u64 vvram_vram_mgr_used(struct vvram_vram_mgr *mgr, u64 *held);
u64 vvram_vram_mgr_held(struct vvram_vram_mgr *mgr);
void vvram_vram_mgr_return(struct vvram_vram_mgr *mgr, struct vvram_vram_resource *vres);
void vvram_vram_mgr_close(struct vvram_vram_mgr *mgr, bool closed);
void vvram_vram_mgr_fini(struct vvram_device *vdev);

#endif /* VVRAM_VRAM_MGR_H */
