/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_COPY_H
#define VVRAM_COPY_H

#include <linux/types.h>

struct dma_fence;
struct dma_resv;
struct page;
struct vvram_client;
struct vvram_device;
struct vvram_segments;
struct vvram_suspects;

/**
 * struct vvram_copy_place - one end of a copy
 *
 * Either pieces of VRAM, or pages of system memory, or neither: zeroes.
 */
struct vvram_copy_place {
	/** @segs: Pieces of VRAM; the job takes a reference of its own. */
	struct vvram_segments *segs;
	/** @pages: Pages; whoever owns them keeps them until the fence signals. */
	struct page **pages;
	/** @suspects: Who has it mapped, or NULL; the job takes a reference of its own. */
	struct vvram_suspects *suspects;
};

/**
 * struct vvram_copy - what the copy engine is to do
 */
struct vvram_copy {
	/** @src: Where the bytes are; empty to clear. */
	struct vvram_copy_place src;
	/** @dst: Where they go. */
	struct vvram_copy_place dst;
	/** @size: Bytes. */
	u64 size;
	/** @inode: Of the dma-buf, for messages; 0 without. */
	unsigned long inode;
	/** @client: Who pays for it; the job takes a reference of its own. */
	struct vvram_client *client;
	/** @dep: Start when it has signalled; may be NULL. The job takes it over. */
	struct dma_fence *dep;
	/** @evict: On the timeline of evictions. */
	bool evict;
};

unsigned int vvram_copy_capacity(void);
struct dma_fence *vvram_copy_submit(struct vvram_device *vdev, struct vvram_copy *copy);
bool vvram_copy_now(struct vvram_device *vdev, const struct vvram_copy *copy);
u64 vvram_copy_compare(struct vvram_device *vdev, const struct vvram_copy_place *place, u64 size,
		       u64 word);
void vvram_copy_here(struct vvram_device *vdev, const struct vvram_copy *copy);
void vvram_copy_help(struct dma_resv *resv);
int vvram_copy_init(struct vvram_device *vdev);
void vvram_copy_wait_idle(struct vvram_device *vdev);

#endif /* VVRAM_COPY_H */
