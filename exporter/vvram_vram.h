/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_VRAM_H
#define VVRAM_VRAM_H

#include <linux/dma-direction.h>
#include <linux/iosys-map.h>
#include <linux/rwsem.h>
#include <linux/types.h>

#include <drm/ttm/ttm_caching.h>

#include "vvram_segments.h"

struct dma_buf_attachment;
struct p2pdma_provider;
struct pci_dev;
struct sg_table;
struct vvram_device;
struct vvram_vram;

/**
 * struct vvram_vram_ops - what one kind of VRAM does in its own way
 */
struct vvram_vram_ops {
	/** @backend: One of &enum drm_vvram_backend. */
	u32 backend;
	/**
	 * @reach: Decides whether an importer that can do without pages reaches it. Returns
	 * one of &enum drm_vvram_reach; @distance is -1 before.
	 */
	u32 (*reach)(struct vvram_vram *vram, struct dma_buf_attachment *attach, int *distance);
	/** @map: Of vvram_vram_map(). */
	struct sg_table *(*map)(struct vvram_vram *vram, struct dma_buf_attachment *attach,
				const struct vvram_segments *segs, enum dma_data_direction dir);
	/** @unmap: Of vvram_vram_unmap(). */
	void (*unmap)(struct vvram_vram *vram, struct dma_buf_attachment *attach,
		      struct sg_table *sgt, enum dma_data_direction dir);
};

/**
 * struct vvram_vram - the memory that plays VRAM
 */
struct vvram_vram {
	/** @ops: Those of its kind. */
	const struct vvram_vram_ops *ops;
	/** @size: Bytes. */
	u64 size;
	/** @base: Physical address of the first byte. */
	phys_addr_t base;
	/** @map: The CPU's mapping of all of it. */
	struct iosys_map map;
	/** @caching: How userspace may map it. */
	enum ttm_caching caching;
	/** @pages: CPUs map its struct pages, each of which has a reference of the device's. */
	bool pages;
	/** @drained: Nobody has any of them, nor will: they may be gone; @draining. */
	bool drained;
	/** @draining: Read-held by those who look at pages of VRAM; innermost. */
	struct rw_semaphore draining;
	/** @provider: The BAR as a source of peer memory; NULL without. */
	struct p2pdma_provider *provider;
};

bool vvram_vram_wants_pages(void);
int vvram_vram_init_pci(struct vvram_device *vdev, struct pci_dev *pdev);
int vvram_vram_init_soft(struct vvram_device *vdev, u64 size);

u32 vvram_vram_reach(struct vvram_vram *vram, struct dma_buf_attachment *attach, int *distance);
struct sg_table *vvram_vram_map(struct vvram_vram *vram, struct dma_buf_attachment *attach,
				const struct vvram_segments *segs, enum dma_data_direction dir);
void vvram_vram_unmap(struct vvram_vram *vram, struct dma_buf_attachment *attach,
		      struct sg_table *sgt, enum dma_data_direction dir);

#endif /* VVRAM_VRAM_H */
