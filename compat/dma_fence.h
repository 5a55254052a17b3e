/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_DMA_FENCE_H
#define COMPAT_DMA_FENCE_H

#include <linux/dma-fence.h>

/**
 * compat_dma_fence_init() - dma_fence_init() with the fence's own lock
 * @lock: lives as long as the fence; used only by kernels whose fences have none
 */
static inline void compat_dma_fence_init(struct dma_fence *fence,
					 const struct dma_fence_ops *ops,
					 spinlock_t *lock, u64 context, u64 seqno)
{
#ifdef HAVE_DMA_FENCE_INLINE_LOCK
	dma_fence_init(fence, ops, NULL, context, seqno);
#else
	spin_lock_init(lock);
	dma_fence_init(fence, ops, lock, context, seqno);
#endif
}

#endif /* COMPAT_DMA_FENCE_H */
