/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_BO_H
#define VVRAM_BO_H

#include <linux/llist.h>
#include <linux/wait.h>

#include <drm/ttm/ttm_bo.h>
#include <drm/ttm/ttm_placement.h>

#include "vvram_client.h"
#include "vvram_drv.h"

/* VVRAM_BO_CONTIGUOUS - in one piece when in VRAM */
#define VVRAM_BO_CONTIGUOUS	BIT(0)
/* VVRAM_BO_SVM - a block for pages of processes: what is there is up to who asked for it */
#define VVRAM_BO_SVM		BIT(1)

/**
 * struct vvram_bo - a buffer
 */
struct vvram_bo {
	/** @ttm: Base; its GEM object is the public face. */
	struct ttm_buffer_object ttm;
	/** @link: On &vvram_device.bos. */
	struct list_head link;
	/** @creator: Who may revoke it, and pays for its copies. */
	struct vvram_client *creator;
	/** @contiguous: One piece when in VRAM. */
	bool contiguous;

	/** @home: TTM_PL_* where the owner wants it; reservation. */
	u32 home;
	/** @revoked: Importers lost it for good; reservation. */
	bool revoked;
	/** @maps: Mappings held by importers and by the kernel; reservation. */
	unsigned int maps;
	/** @unmapped: Woken when @maps becomes zero. */
	wait_queue_head_t unmapped;

	/**
	 * @dma_buf: Its dma-buf while there is one; reservation. The GEM object
	 * forgets it with the last handle, when importers may still be attached.
	 */
	struct dma_buf *dma_buf;
	/** @inode: Of the dma-buf, by which the kernel's own events name it. */
	unsigned long inode;
	/** @suspects: Who has mapped it where it is, or NULL; reservation. */
	struct vvram_suspects *suspects;
	/** @in_fence: The next copy waits for it; reservation. */
	struct dma_fence *in_fence;

	/** @drains: Those who wait for the users of its pages. */
	atomic_t drains;
	/** @drained: Woken when @drains becomes zero. */
	wait_queue_head_t drained;
	/** @longterm: Counted in &vvram_device.longterm; &vvram_device.bos_lock. */
	bool longterm;

	/** @is_svm: A block for pages of processes, on no list and without a handle. */
	bool is_svm;
	/** @svm_pages: Pages that processes have of it. */
	atomic_t svm_pages;
	/** @svm_ended: In &vvram_svm.ended, when they have none any more. */
	struct llist_node svm_ended;

	/** @moves: Times that the bytes changed place; reservation. */
	u64 moves;
	/** @notifies: Times that importers were told; reservation. */
	u64 notifies;
};

#define ttm_to_vvram_bo(b)	container_of(b, struct vvram_bo, ttm)
#define gem_to_vvram_bo(g)	container_of(g, struct vvram_bo, ttm.base)

static inline struct vvram_device *vvram_bo_device(struct vvram_bo *bo)
{
	return ttm_to_vvram_device(bo->ttm.bdev);
}

/* TTM keeps the old storage of a moved buffer in objects of its own. */
bool vvram_bo_is_ghost(struct ttm_buffer_object *bo);

static inline bool vvram_bo_is_imported(struct vvram_bo *bo)
{
	return bo->ttm.type == ttm_bo_type_sg;
}

static inline bool vvram_bo_is_in_vram(struct vvram_bo *bo)
{
	return bo->ttm.resource && bo->ttm.resource->mem_type == TTM_PL_VRAM;
}

bool vvram_bo_is_swapped(struct vvram_bo *bo);
bool vvram_tt_has_data(struct ttm_tt *tt);
void vvram_tt_account(struct vvram_device *vdev, struct ttm_tt *tt, bool populated);
void vvram_swap_notify(struct ttm_buffer_object *tbo);

struct vvram_bo *vvram_bo_create(struct vvram_device *vdev, u64 size, u32 mem_type,
				 unsigned int kind, struct vvram_client *creator);
struct vvram_bo *vvram_bo_create_imported(struct vvram_device *vdev,
					  struct dma_buf_attachment *attach);
int vvram_bo_validate(struct vvram_bo *bo, u32 mem_type, struct ttm_operation_ctx *ctx);
int vvram_bo_validate_for_map(struct vvram_bo *bo, bool allow_vram,
			      struct ttm_operation_ctx *ctx);
int vvram_bo_pin(struct vvram_bo *bo, bool allow_vram, struct ttm_operation_ctx *ctx);
void vvram_bo_unpin(struct vvram_bo *bo);
int vvram_bo_wait_arrived(struct vvram_bo *bo, bool intr);
void vvram_bo_map_begin(struct vvram_bo *bo);
void vvram_bo_map_end(struct vvram_bo *bo);
void vvram_bo_touch(struct vvram_bo *bo);

#endif /* VVRAM_BO_H */
