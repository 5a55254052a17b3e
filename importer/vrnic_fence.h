/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_FENCE_H
#define VRNIC_FENCE_H

struct dma_fence;
struct vrnic_wq;

struct dma_fence *vrnic_fence_create(struct vrnic_wq *wq);

#endif /* VRNIC_FENCE_H */
