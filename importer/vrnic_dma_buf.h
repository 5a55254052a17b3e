/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_DMA_BUF_H
#define VRNIC_DMA_BUF_H

#include <linux/types.h>

#include "vrnic_mr.h"

struct sg_table;
struct vrnic_access_set;

extern const struct vrnic_mr_ops vrnic_dma_buf_ops[VRNIC_MODES];

int vrnic_dma_buf_import(struct vrnic_mr *mr);
int vrnic_dma_buf_prefetch(struct vrnic_mr *mr);
void vrnic_dma_buf_prefetch_later(struct vrnic_mr *mr);
int vrnic_dma_buf_wait_moved(struct vrnic_mr *mr, const struct vrnic_access_set *set);
int vrnic_dma_buf_ensure_locked(struct vrnic_mr *mr, bool intr, const struct vrnic_access_set *set);
struct sg_table *vrnic_dma_buf_map_table(struct vrnic_mr *mr);
void vrnic_dma_buf_unmap_table(struct vrnic_mr *mr, struct sg_table *sgt);
void vrnic_dma_buf_stop_access(struct vrnic_mr *mr);
void vrnic_dma_buf_unmap_locked(struct vrnic_mr *mr);

#endif /* VRNIC_DMA_BUF_H */
