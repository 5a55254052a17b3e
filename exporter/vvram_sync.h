/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_SYNC_H
#define VVRAM_SYNC_H

#include <linux/types.h>

struct dma_fence;
struct dma_fence_chain;
struct dma_resv;
struct drm_file;
struct drm_syncobj;

/** struct vvram_sync_out - a syncobj to signal */
struct vvram_sync_out {
	/** @syncobj: With a reference. */
	struct drm_syncobj *syncobj;
	/** @chain: Allocated ahead for a timeline; NULL for a binary syncobj. */
	struct dma_fence_chain *chain;
	/** @point: On that timeline. */
	u64 point;
};

/**
 * struct vvram_sync_set - the syncobjs of a move, looked up and ready
 */
struct vvram_sync_set {
	/** @in_fence: All that is to be waited for, as one; NULL for nothing. */
	struct dma_fence *in_fence;
	/** @arrived: Of the copy, once it is under way; NULL when there is none. */
	struct dma_fence *arrived;
	/** @num_out: Entries in @out. */
	unsigned int num_out;
	/** @out: To signal. */
	struct vvram_sync_out *out;
};

int vvram_sync_set_init(struct vvram_sync_set *set, struct drm_file *file, u64 user_ptr,
			u32 count);
int vvram_sync_set_wait(struct vvram_sync_set *set, bool intr);
void vvram_sync_set_signal(struct vvram_sync_set *set, struct dma_resv *resv);
void vvram_sync_set_fini(struct vvram_sync_set *set);

#endif /* VVRAM_SYNC_H */
