/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_DMA_BUF_H
#define VVRAM_DMA_BUF_H

#include <linux/dma-direction.h>
#include <linux/list.h>
#include <linux/types.h>

#include "vvram_strict.h"

struct dma_buf;
struct dma_buf_attachment;
struct drm_device;
struct drm_gem_object;
struct sg_table;
struct vvram_bo;

/**
 * struct vvram_attachment - what the exporter knows of an importer
 */
struct vvram_attachment {
	/** @reach: One of &enum drm_vvram_reach; fixed at attach. */
	u32 reach;
	/** @distance: pci_p2pdma_distance(), -1 without a path. */
	int distance;
	/** @mappings: Those that it holds, &struct vvram_mapping; reservation. */
	struct list_head mappings;
	/** @maps: How many they are; reservation. */
	unsigned int maps;
	/** @pins: Pins held; reservation. */
	unsigned int pins;
	/** @bounced: A map was refused for a bounce buffer; reservation. */
	bool bounced;
	/** @told: Bits of &enum vvram_breach that were logged. */
	unsigned long told;
};

/**
 * struct vvram_mapping - a mapping that an importer holds
 */
struct vvram_mapping {
	/** @link: In &vvram_attachment.mappings; reservation. */
	struct list_head link;
	/** @sgt: The importer's table. */
	struct sg_table *sgt;
	/** @dir: Direction of @sgt. */
	enum dma_data_direction dir;
	/** @in_vram: What it is of; the buffer may have moved since. */
	bool in_vram;
	/** @notice: Whether it should have been given back. */
	struct vvram_notice notice;
};

struct dma_buf *vvram_dma_buf_export(struct drm_gem_object *gem, int flags);
struct drm_gem_object *vvram_dma_buf_import(struct drm_device *drm, struct dma_buf *dmabuf);
bool vvram_all_reach_vram(struct vvram_bo *bo);
size_t vvram_attachment_max_segment(struct dma_buf_attachment *attach);
int vvram_attachment_refuse_bounced(struct dma_buf_attachment *attach);

#endif /* VVRAM_DMA_BUF_H */
