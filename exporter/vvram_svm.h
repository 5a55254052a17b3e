/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_SVM_H
#define VVRAM_SVM_H

#include <linux/atomic.h>
#include <linux/llist.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct drm_vvram_svm_migrate;
struct ttm_resource;
struct vvram_bo;
struct vvram_client;
struct vvram_device;

/** enum vvram_svm_cause - why pages of processes move */
enum vvram_svm_cause {
	/** @VVRAM_SVM_CALL: Their process asked for it. */
	VVRAM_SVM_CALL,
	/** @VVRAM_SVM_FAULT: A CPU wants to use what it does not reach. */
	VVRAM_SVM_FAULT,
	/** @VVRAM_SVM_EVICT: Others need the room. */
	VVRAM_SVM_EVICT,
	/** @VVRAM_SVM_END: The device ends, or is reset. */
	VVRAM_SVM_END,
};

/**
 * struct vvram_svm - VRAM as memory of processes
 */
struct vvram_svm {
	/** @pagemap: The kernel's pages of VRAM. */
	struct dev_pagemap pagemap;
	/** @select: MIGRATE_VMA_SELECT_*, how migration finds them; 0 without svm=1. */
	unsigned long select;
	/** @first: Number of the page that stands for VRAM's first one. */
	unsigned long first;

	/** @pages: Pages that processes have. */
	atomic_long_t pages;
	/** @moved: Pages that moved, both ways. */
	atomic64_t moved;
	/** @faults: Times that a CPU's access brought pages back. */
	atomic64_t faults;
	/** @evictions: Blocks whose pages had to leave for others. */
	atomic64_t evictions;

	/** @ended: Blocks without pages, each with its last reference. */
	struct llist_head ended;
	/** @end: Frees them: who lets the last page go may not sleep. */
	struct work_struct end;
};

bool vvram_svm_is_wanted(void);
int vvram_svm_init_private(struct vvram_device *vdev);
int vvram_svm_init_coherent(struct vvram_device *vdev);

int vvram_svm_move_range(struct vvram_device *vdev, struct vvram_client *client, bool to_vram,
			 struct drm_vvram_svm_migrate *args);
u64 vvram_svm_used(struct vvram_device *vdev);

bool vvram_svm_vacate_block(struct vvram_bo *bo, bool patient);
int vvram_svm_move_block(struct vvram_bo *bo, struct ttm_resource *new_mem);
bool vvram_svm_vacate(struct vvram_device *vdev, unsigned long end);
void vvram_svm_drain(struct vvram_device *vdev);

#endif /* VVRAM_SVM_H */
