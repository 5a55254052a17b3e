// SPDX-License-Identifier: GPL-2.0
/*
 * Syncobjs of a move: what it waits for, and what it signals.
 *
 * All that can fail is done before the move starts.
 */

#include <linux/dma-fence-chain.h>
#include <linux/dma-fence-unwrap.h>
#include <linux/dma-resv.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_syncobj.h>

#include "vvram_drm.h"
#include "vvram_sync.h"

static int vvram_sync_add_in(struct vvram_sync_set *set, struct drm_file *file,
			     const struct drm_vvram_sync *sync)
{
	struct dma_fence *fence, *both;
	int ret;

	ret = drm_syncobj_find_fence(file, sync->handle, sync->point, 0, &fence);
	if (ret)
		return ret;
	if (!set->in_fence) {
		set->in_fence = fence;
		return 0;
	}

	both = dma_fence_unwrap_merge(set->in_fence, fence);
	dma_fence_put(fence);
	if (!both)
		return -ENOMEM;
	dma_fence_put(set->in_fence);
	set->in_fence = both;
	return 0;
}

static int vvram_sync_add_out(struct vvram_sync_set *set, struct drm_file *file,
			      const struct drm_vvram_sync *sync)
{
	struct vvram_sync_out *out = &set->out[set->num_out];

	out->syncobj = drm_syncobj_find(file, sync->handle);
	if (!out->syncobj)
		return -ENOENT;
	set->num_out++;

	if (!(sync->flags & DRM_VVRAM_SYNC_TIMELINE))
		return 0;
	out->point = sync->point;
	out->chain = dma_fence_chain_alloc();
	return out->chain ? 0 : -ENOMEM;
}

static int vvram_sync_add(struct vvram_sync_set *set, struct drm_file *file,
			  const struct drm_vvram_sync *sync)
{
	bool timeline = sync->flags & DRM_VVRAM_SYNC_TIMELINE;

	if (sync->flags & ~(DRM_VVRAM_SYNC_TIMELINE | DRM_VVRAM_SYNC_SIGNAL) ||
	    timeline != !!sync->point)
		return -EINVAL;
	if (sync->flags & DRM_VVRAM_SYNC_SIGNAL)
		return vvram_sync_add_out(set, file, sync);
	return vvram_sync_add_in(set, file, sync);
}

/**
 * vvram_sync_set_init() - look up the syncobjs of a move
 * @set: to fill in; call vvram_sync_set_fini() when this succeeds
 * @file: whose handles they are
 * @user_ptr: array of &struct drm_vvram_sync
 * @count: its length
 *
 * Return: 0; -EINVAL for a bad entry, too many, or a syncobj to wait for without
 * a fence; -ENOENT for an unknown handle; -EFAULT; -ENOMEM.
 */
int vvram_sync_set_init(struct vvram_sync_set *set, struct drm_file *file, u64 user_ptr,
			u32 count)
{
	struct drm_vvram_sync *syncs;
	u32 i;
	int ret = 0;

	*set = (struct vvram_sync_set) {};
	if (!count)
		return 0;
	if (count > DRM_VVRAM_MAX_SYNCS)
		return -EINVAL;

	syncs = memdup_array_user(u64_to_user_ptr(user_ptr), count, sizeof(*syncs));
	if (IS_ERR(syncs))
		return PTR_ERR(syncs);
	set->out = kcalloc(count, sizeof(*set->out), GFP_KERNEL);
	if (!set->out)
		ret = -ENOMEM;

	for (i = 0; !ret && i < count; i++)
		ret = vvram_sync_add(set, file, &syncs[i]);
	kfree(syncs);
	if (ret)
		vvram_sync_set_fini(set);
	return ret;
}

/**
 * vvram_sync_set_wait() - wait until the bytes have arrived, after all in-fences
 * @set: the syncobjs, after vvram_sync_set_signal()
 * @intr: a signal may end the wait
 *
 * Return: 0, -ERESTARTSYS, or -ENODEV when the device went away before they had arrived.
 */
int vvram_sync_set_wait(struct vvram_sync_set *set, bool intr)
{
	struct dma_fence *const fences[] = { set->arrived, set->in_fence };
	unsigned int i;
	long ret;

	for (i = 0; i < ARRAY_SIZE(fences); i++) {
		ret = fences[i] ? dma_fence_wait(fences[i], intr) : 0;
		if (ret)
			return ret;
	}
	return set->arrived ? min(dma_fence_get_status(set->arrived), 0) : 0;
}

/* Where nothing had to be copied, what was to be waited for before is still to come. */
static struct dma_fence *vvram_sync_set_end(struct vvram_sync_set *set)
{
	struct dma_fence *end = dma_fence_unwrap_merge(set->arrived, set->in_fence);

	if (end)
		return end;
	vvram_sync_set_wait(set, false);
	return dma_fence_get_stub();
}

/* A fence that has signalled is not among those that are merged, nor is its error. */
static struct dma_fence *vvram_sync_find_failed(struct dma_resv *resv)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;

	dma_resv_for_each_fence(&cursor, resv, DMA_RESV_USAGE_KERNEL, fence)
		if (dma_fence_get_status(fence) < 0)
			return dma_fence_get(fence);
	return NULL;
}

/**
 * vvram_sync_set_signal() - let the syncobjs signal when the bytes have arrived
 * @set: the syncobjs
 * @resv: the buffer's reservation, held
 *
 * Not before the in-fences either. The move is under way and must not fail any more:
 * without memory this waits. What cut the copy short is the syncobjs' error.
 */
void vvram_sync_set_signal(struct vvram_sync_set *set, struct dma_resv *resv)
{
	struct dma_fence *end, *failed;
	unsigned int i;

	dma_resv_assert_held(resv);

	if (dma_resv_get_singleton(resv, DMA_RESV_USAGE_KERNEL, &set->arrived))
		dma_resv_wait_timeout(resv, DMA_RESV_USAGE_KERNEL, false, MAX_SCHEDULE_TIMEOUT);
	end = set->num_out ? vvram_sync_set_end(set) : NULL;

	failed = vvram_sync_find_failed(resv);
	if (failed) {
		dma_fence_put(set->arrived);
		dma_fence_put(end);
		set->arrived = failed;
		end = dma_fence_get(failed);
	}

	for (i = 0; i < set->num_out; i++) {
		struct vvram_sync_out *out = &set->out[i];

		if (out->chain) {
			drm_syncobj_add_point(out->syncobj, out->chain, end, out->point);
			out->chain = NULL;
		} else {
			drm_syncobj_replace_fence(out->syncobj, end);
		}
	}
	dma_fence_put(end);
}

/**
 * vvram_sync_set_fini() - let go of the syncobjs
 * @set: the syncobjs
 */
void vvram_sync_set_fini(struct vvram_sync_set *set)
{
	unsigned int i;

	for (i = 0; i < set->num_out; i++) {
		dma_fence_chain_free(set->out[i].chain);
		drm_syncobj_put(set->out[i].syncobj);
	}
	kfree(set->out);
	dma_fence_put(set->arrived);
	dma_fence_put(set->in_fence);
}
