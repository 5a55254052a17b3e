/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_DMA_FENCE_H
#define COMPAT_DMA_FENCE_H

#include <linux/dma-fence.h>

/**
 * compat_dma_fence_init() - dma_fence_init() with the fence's own lock
 * @fence: at the start of memory that kfree_rcu() can free
 * @ops: functions; without release and wait, so that since 7.x the fence does not
 *	need them any more once it has signalled, and may outlive the module. Before,
 *	as with every driver's fences there, a sync_file must not.
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
	spin_lock_init(lock);
	dma_fence_init(fence, ops, lock, context, seqno);
#endif
}

/**
 * compat_dma_fence_needs_ops() - whether a fence that has signalled still uses its functions
 * @fence: the fence
 * @ops: functions
 *
 * Return: whether they are the fence's, for as long as it lives; never since 7.x.
 */
static inline bool compat_dma_fence_needs_ops(const struct dma_fence *fence,
					      const struct dma_fence_ops *ops)
{
#ifdef HAVE_DMA_FENCE_INLINE_LOCK
	return false;
#else
	return fence->ops == ops;
#endif
}

#endif /* COMPAT_DMA_FENCE_H */
