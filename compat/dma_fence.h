/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_DMA_FENCE_H
#define COMPAT_DMA_FENCE_H

#include <linux/dma-fence.h>
#include <linux/module.h>

/*
 * Since 7.x a fence that has signalled is independent of who made it. Before,
 * its functions are called for as long as it lives, and userspace may hold it in
 * a sync_file: so each fence keeps the module loaded.
 */
#ifdef HAVE_DMA_FENCE_INLINE_LOCK
#define COMPAT_DMA_FENCE_OPS
#else
static inline void compat_dma_fence_release(struct dma_fence *fence)
{
	dma_fence_free(fence);
	module_put(THIS_MODULE);
}

#define COMPAT_DMA_FENCE_OPS	.release = compat_dma_fence_release,
#endif

/**
 * compat_dma_fence_init() - dma_fence_init() with the fence's own lock
 * @fence: at the start of memory that kfree_rcu() can free
 * @ops: with COMPAT_DMA_FENCE_OPS in it
 * @lock: lives as long as the fence; used only by kernels whose fences have none
 * @context: timeline
 * @seqno: point on it
 */
static inline void compat_dma_fence_init(struct dma_fence *fence,
					 const struct dma_fence_ops *ops,
					 spinlock_t *lock, u64 context, u64 seqno)
{
#ifdef HAVE_DMA_FENCE_INLINE_LOCK
	dma_fence_init(fence, ops, NULL, context, seqno);
#else
	__module_get(THIS_MODULE);
	spin_lock_init(lock);
	dma_fence_init(fence, ops, lock, context, seqno);
#endif
}

#endif /* COMPAT_DMA_FENCE_H */
