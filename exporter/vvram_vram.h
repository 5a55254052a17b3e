/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_VRAM_H
#define VVRAM_VRAM_H

#include <linux/dma-direction.h>
#include <linux/iosys-map.h>
#include <linux/kref.h>
#include <linux/types.h>

#include <drm/ttm/ttm_caching.h>

struct dma_buf_attachment;
struct p2pdma_provider;
struct page;
struct pci_dev;
struct vvram_device;

/**
 * struct vvram_segment - a contiguous piece of VRAM
 */
struct vvram_segment {
	/** @offset: From the start of VRAM, bytes, page aligned. */
	u64 offset;
	/** @size: Bytes, page aligned. */
	u64 size;
};

/**
 * struct vvram_segments - the pieces of VRAM that make up a buffer, in order
 *
 * Outlives the buffer's stay there for as long as a copy reads or clears it.
 */
struct vvram_segments {
	/** @ref: Held by the resource and by each copy. */
	struct kref ref;
	/** @count: Entries in @seg. */
	unsigned int count;
	/** @seg: The pieces. */
	struct vvram_segment seg[] __counted_by(count);
};

/**
 * struct vvram_vram - the memory that plays VRAM
 *
 * Either a BAR of a PCI function or a physically contiguous carve-out of system
 * RAM. Which one it is shows only in vvram_vram.c.
 */
struct vvram_vram {
	/** @backend: One of &enum drm_vvram_backend. */
	u32 backend;
	/** @size: Bytes. */
	u64 size;
	/** @base: Physical address of the first byte. */
	phys_addr_t base;
	/** @map: The CPU's mapping of all of it. */
	struct iosys_map map;
	/** @caching: How userspace may map it. */
	enum ttm_caching caching;
	/** @provider: The BAR as a source of peer memory; NULL without. */
	struct p2pdma_provider *provider;
};

int vvram_vram_init_pci(struct vvram_device *vdev, struct pci_dev *pdev);
int vvram_vram_init_soft(struct vvram_device *vdev, u64 size);

u32 vvram_vram_reach(struct vvram_device *vdev, struct dma_buf_attachment *attach,
		     int *distance);
struct sg_table *vvram_vram_map_dma(struct vvram_device *vdev,
				    struct dma_buf_attachment *attach,
				    const struct vvram_segments *segs, u64 size,
				    enum dma_data_direction dir);
void vvram_vram_unmap_dma(struct vvram_device *vdev,
			  struct dma_buf_attachment *attach,
			  struct sg_table *sgt, enum dma_data_direction dir);

struct vvram_segments *vvram_segments_alloc(unsigned int count);
struct vvram_segments *vvram_segments_get(struct vvram_segments *segs);
void vvram_segments_put(struct vvram_segments *segs);
const struct vvram_segment *vvram_segments_find(const struct vvram_segments *segs,
						u64 *offset);

#endif /* VVRAM_VRAM_H */
