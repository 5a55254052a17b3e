/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_DRV_H
#define VVRAM_DRV_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/wait.h>

#include <drm/drm_device.h>
#include <drm/ttm/ttm_device.h>

#include "vvram_chaos.h"
#include "vvram_strict.h"
#include "vvram_svm.h"
#include "vvram_vram.h"
#include "vvram_vram_mgr.h"

struct drm_printer;
struct drm_file;

/**
 * struct vvram_device - one exporter: its VRAM and all buffers in it
 */
struct vvram_device {
	/** @drm: What userspace sees; lives as long as its last user. */
	struct drm_device drm;
	/** @ttm: Placement, eviction and swapping of the buffers. */
	struct ttm_device ttm;
	/** @vram: The memory itself. */
	struct vvram_vram vram;
	/** @vram_mgr: Who has which part of it. */
	struct vvram_vram_mgr vram_mgr;

	/** @svm: Pages of processes in VRAM. */
	struct vvram_svm svm;

	/** @copy_wq: Runs the jobs of the copy engine. */
	struct workqueue_struct *copy_wq;
	/** @copy_jobs: Jobs that have not signalled their fence. */
	atomic_t copy_jobs;
	/** @copy_pieces: Pieces of VRAM that all copies looked at. */
	atomic64_t copy_pieces;
	/** @copy_idle: Woken when @copy_jobs becomes zero. */
	wait_queue_head_t copy_idle;

	/** @evict_lock: Keeps evictions in one order; taken inside reservations. */
	struct mutex evict_lock;
	/** @evict_context: Timeline of evictions; they signal in order. */
	u64 evict_context;
	/** @evict_seqno: Last point on it; @evict_lock. */
	u64 evict_seqno;
	/** @evict_last: Fence of the last eviction; @evict_lock. */
	struct dma_fence *evict_last;

	/**
	 * @placing: Read-held by those who may evict buffers to make room in VRAM, and to
	 * write by one who found none; taken before any reservation.
	 */
	struct rw_semaphore placing;

	/** @tt_pages: Pages of system memory that hold bytes of buffers. */
	atomic_long_t tt_pages;
	/** @shrinking: Read-held by shrinkers at work; to write is to wait for them. */
	struct rw_semaphore shrinking;

	/** @bos_lock: Protects @bos, @longterm; innermost, never held over anything that waits. */
	struct mutex bos_lock;
	/** @bos: All buffers created here, imported ones excluded. */
	struct list_head bos;

	/** @vram_pinned: Bytes of VRAM pinned. */
	atomic64_t vram_pinned;
	/** @system_pinned: Bytes of system memory pinned. */
	atomic64_t system_pinned;
	/** @longterm: Bytes of buffers whose pages may be pinned for long; @bos_lock. */
	u64 longterm;
	/** @held_back: Evictions that did not take place as somebody had pages of the buffer. */
	atomic64_t held_back;
	/** @moves: Buffers that changed place. */
	atomic64_t moves;
	/** @bytes_moved: Bytes that were copied for them. */
	atomic64_t bytes_moved;
	/** @evictions: Moves out of VRAM to make room. */
	atomic64_t evictions;
	/** @swapouts: Buffers written to swap. */
	atomic64_t swapouts;

	/** @chaos: Faults on demand, to test importers. */
	struct vvram_chaos chaos;
	/** @strict: The judge of importers. */
	struct vvram_strict strict;
};

#define to_vvram_device(d)	container_of(d, struct vvram_device, drm)
#define ttm_to_vvram_device(t)	container_of(t, struct vvram_device, ttm)

u64 vvram_pin_limit(struct vvram_device *vdev, u32 mem_type);

int vvram_ttm_init(struct vvram_device *vdev);
int vvram_shrinker_init(struct vvram_device *vdev);
int vvram_shrinker_wait(struct vvram_device *vdev);
void vvram_revoke_all(struct vvram_device *vdev);
void vvram_show_fdinfo(struct drm_printer *p, struct drm_file *file);
void vvram_debugfs_init(struct drm_minor *minor);
struct drm_gem_object *vvram_import(struct drm_device *drm, struct dma_buf *dmabuf);

#endif /* VVRAM_DRV_H */
