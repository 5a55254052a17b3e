/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_FENCE_H
#define VRNIC_FENCE_H

#include <linux/types.h>

struct dma_fence;
struct vrnic_wq;

struct dma_fence *vrnic_fence_create(struct vrnic_wq *wq);
bool vrnic_fence_needs_module(const struct dma_fence *fence);

#endif /* VRNIC_FENCE_H */
