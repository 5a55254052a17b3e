// SPDX-License-Identifier: GPL-2.0
/*
 * From "these regions are needed" to "their addresses are good until I am done".
 *
 * Two regions can not simply be locked one after the other: getting the mapping of
 * one takes its buffer's reservation, which comes before any region's lock. So one
 * is held and the other tried; when that fails the first is let go.
 */

#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/sched.h>

#include "vrnic_access.h"
#include "vrnic_fence.h"
#include "vrnic_mr.h"

static bool vrnic_is_usable(struct vrnic_mr *mr)
{
	lockdep_assert_held_read(&mr->access);

	return mr->mapped && !mr->dead && !mr->revoked;
}

static bool vrnic_is_fenced(struct vrnic_mr *mr)
{
	return mr->dmabuf && mr->attr.mode == VRNIC_MR_FENCED;
}

/* Waits for the mapping. On success @mr->access is held for reading. */
static int vrnic_acquire(struct vrnic_mr *mr)
{
	down_read(&mr->access);
	if (vrnic_is_usable(mr))
		return 0;
	up_read(&mr->access);
	return mr->dmabuf ? vrnic_dma_buf_fault(mr) : -ENODEV;
}

/* Does not wait. */
static bool vrnic_try_acquire(struct vrnic_mr *mr)
{
	if (!down_read_trylock(&mr->access))
		return false;
	if (vrnic_is_usable(mr))
		return true;
	up_read(&mr->access);
	return false;
}

static int vrnic_begin_unfenced(struct vrnic_access_set *set, struct vrnic_mr **culprit)
{
	unsigned int held = 0;
	int ret;

	for (;;) {
		*culprit = set->mr[held];
		ret = vrnic_acquire(set->mr[held]);
		if (ret || set->nr == 1 || vrnic_try_acquire(set->mr[!held]))
			return ret;
		up_read(&set->mr[held]->access);
		held = !held;
		cond_resched();
	}
}

/* The reservations that the fence goes into; the second only if it is another. */
static unsigned int vrnic_fenced_resvs(struct vrnic_access_set *set, struct dma_resv *resv[2])
{
	unsigned int i, n = 0;

	for (i = 0; i < set->nr; i++) {
		if (!vrnic_is_fenced(set->mr[i]))
			continue;
		if (!n || resv[0] != set->mr[i]->dmabuf->resv)
			resv[n++] = set->mr[i]->dmabuf->resv;
	}
	return n;
}

static void vrnic_lock_resvs(struct dma_resv *resv[2], unsigned int n)
{
	dma_resv_lock(resv[0], NULL);
	while (n > 1 && !dma_resv_trylock(resv[1])) {
		dma_resv_unlock(resv[0]);
		cond_resched();
		swap(resv[0], resv[1]);
		dma_resv_lock(resv[0], NULL);
	}
}

static void vrnic_unlock_resvs(struct dma_resv *resv[2], unsigned int n)
{
	while (n)
		dma_resv_unlock(resv[--n]);
}

/* The mappings that need a reservation, which is held. */
static int vrnic_ensure_fenced(struct vrnic_access_set *set, struct vrnic_mr **culprit)
{
	struct vrnic_mr *mr;
	unsigned int i;
	int ret;

	for (i = 0; i < set->nr; i++) {
		mr = set->mr[i];
		*culprit = mr;
		if (!vrnic_is_fenced(mr))
			continue;
		if (!mr->mapped || mr->stale)
			vrnic_count(mr, faults, 1);
		ret = vrnic_dma_buf_ensure_locked(mr);
		if (ret)
			return ret;
	}
	return 0;
}

/* All mappings good and held, or -EAGAIN without any of them. */
static int vrnic_acquire_fenced(struct vrnic_access_set *set, struct vrnic_mr **culprit)
{
	unsigned int i;
	int ret;

	ret = vrnic_ensure_fenced(set, culprit);
	if (ret)
		return ret;

	for (i = 0; i < set->nr; i++) {
		*culprit = set->mr[i];
		if (!vrnic_try_acquire(set->mr[i])) {
			while (i)
				up_read(&set->mr[--i]->access);
			return -EAGAIN;
		}
	}
	return 0;
}

static int vrnic_publish_fence(struct vrnic_access_set *set, struct dma_resv *resv[2],
			       unsigned int n)
{
	struct vrnic_mr *mr = vrnic_is_fenced(set->mr[0]) ? set->mr[0] : set->mr[1];
	unsigned int i;
	int ret;

	set->fence = vrnic_fence_create(mr->fence_context,
					atomic64_inc_return(&mr->fence_seqno));
	if (!set->fence)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		ret = dma_resv_reserve_fences(resv[i], 1);
		if (ret) {
			dma_fence_put(set->fence);
			set->fence = NULL;
			return ret;
		}
	}
	set->cookie = dma_fence_begin_signalling();
	for (i = 0; i < n; i++)
		dma_resv_add_fence(resv[i], set->fence, DMA_RESV_USAGE_BOOKKEEP);
	return 0;
}

/*
 * The fence is published only when nothing is left to wait for: every mapping is
 * there, and all bytes have arrived.
 */
static int vrnic_begin_fenced(struct vrnic_access_set *set, struct vrnic_mr **culprit)
{
	struct dma_resv *resv[2];
	unsigned int i, n = vrnic_fenced_resvs(set, resv);
	int ret;

	for (;;) {
		vrnic_lock_resvs(resv, n);
		ret = vrnic_acquire_fenced(set, culprit);
		if (!ret)
			break;
		vrnic_unlock_resvs(resv, n);
		if (ret != -EAGAIN && ret != -EINTR && ret != -ERESTARTSYS)
			return ret;
		if (!vrnic_is_fenced(*culprit)) {
			ret = vrnic_acquire(*culprit);
			if (ret)
				return ret;
			up_read(&(*culprit)->access);
		}
		cond_resched();
	}

	ret = vrnic_publish_fence(set, resv, n);
	if (ret)
		for (i = 0; i < set->nr; i++)
			up_read(&set->mr[i]->access);
	vrnic_unlock_resvs(resv, n);
	return ret;
}

/**
 * vrnic_access_begin() - have the mappings of all regions, good until the end
 * @set: the regions
 * @culprit: out: the region that an error is about
 *
 * Waits for mappings; the caller holds no lock. Until vrnic_access_end() the
 * caller must not allocate, fault, or wait for anything, and must be done within
 * the time of one chunk: a notification may be waiting for it.
 *
 * Return: 0; -ENODEV when a region has ended; or another error.
 */
int vrnic_access_begin(struct vrnic_access_set *set, struct vrnic_mr **culprit)
{
	unsigned int i;

	set->fence = NULL;
	for (i = 0; i < set->nr; i++)
		if (vrnic_is_fenced(set->mr[i]))
			return vrnic_begin_fenced(set, culprit);
	return vrnic_begin_unfenced(set, culprit);
}

/**
 * vrnic_access_end() - give the mappings free
 * @set: the regions
 */
void vrnic_access_end(struct vrnic_access_set *set)
{
	unsigned int i;

	if (set->fence) {
		dma_fence_signal(set->fence);
		dma_fence_end_signalling(set->cookie);
		dma_fence_put(set->fence);
	}
	for (i = 0; i < set->nr; i++)
		up_read(&set->mr[i]->access);
}
