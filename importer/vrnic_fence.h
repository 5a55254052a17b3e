/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_FENCE_H
#define VRNIC_FENCE_H

#include <linux/types.h>

struct dma_fence;

struct dma_fence *vrnic_fence_create(u64 context, u64 seqno);

#endif /* VRNIC_FENCE_H */
