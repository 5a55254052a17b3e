// SPDX-License-Identifier: GPL-2.0
/*
 * From "these regions are needed" to "their addresses are good until I am done".
 *
 * Mostly the mappings are there, and it is enough to hold them. When one is missing,
 * or a fence has to be put into a buffer, the reservations of all buffers are taken
 * together: whoever waited for a second one with a first region held would wait for
 * an exporter that waits for the first. Pages of regions by address are faulted in before
 * that, with nothing held.
 */

#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/ktime.h>
#include <linux/sched.h>

#include "vrnic_access.h"
#include "vrnic_dma_buf.h"
#include "vrnic_engine.h"
#include "vrnic_fence.h"
#include "vrnic_mr.h"
#include "vrnic_wq.h"
#include "vrnic_trace.h"

/**
 * struct vrnic_resvs - reservations that are held together
 */
struct vrnic_resvs {
	/** @ticket: Settles who steps back. */
	struct ww_acquire_ctx ticket;
	/** @nr: Entries in @resv. */
	unsigned int nr;
	/** @resv: Different ones. */
	struct dma_resv *resv[2];
};

static void vrnic_lock_resvs(struct vrnic_resvs *resvs, struct vrnic_access_set *set)
{
	struct dma_resv **resv = resvs->resv;
	unsigned int i;

	resvs->nr = 0;
	for (i = 0; i < set->nr; i++) {
		if (!set->mr[i]->ops->dynamic)
			continue;
		if (!resvs->nr || resv[0] != set->mr[i]->dmabuf->resv)
			resv[resvs->nr++] = set->mr[i]->dmabuf->resv;
	}

	ww_acquire_init(&resvs->ticket, &reservation_ww_class);
	if (resvs->nr)
		dma_resv_lock(resv[0], &resvs->ticket);
	while (resvs->nr == 2 && dma_resv_lock(resv[1], &resvs->ticket) == -EDEADLK) {
		dma_resv_unlock(resv[0]);
		swap(resv[0], resv[1]);
		dma_resv_lock_slow(resv[0], &resvs->ticket);
	}
}

static void vrnic_unlock_resvs(struct vrnic_resvs *resvs)
{
	while (resvs->nr)
		dma_resv_unlock(resvs->resv[--resvs->nr]);
	ww_acquire_fini(&resvs->ticket);
}

/*
 * With the reservations held since the mappings were made, nobody but the exporter itself
 * takes one away: when it is asked for the other. Some buffers have to move once or twice
 * until all can reach them; a buffer that goes back and forth is of no use.
 */
#define VRNIC_MAX_ROUNDS	16

/* Does not wait: 0 with @mr->access held; -EAGAIN, or -ENODEV for good. */
static int vrnic_try_acquire(struct vrnic_mr *mr)
{
	bool ended;

	if (!down_read_trylock(&mr->access))
		return -EAGAIN;
	ended = mr->dead || mr->revoked || (!mr->mapped && !mr->ops->dynamic);
	if (mr->mapped && !ended)
		return 0;
	up_read(&mr->access);
	return ended ? -ENODEV : -EAGAIN;
}

static void vrnic_release_all(struct vrnic_mr **mr, unsigned int nr)
{
	while (nr)
		up_read(&mr[--nr]->access);
}

static int vrnic_try_acquire_all(struct vrnic_mr **mr, unsigned int nr, struct vrnic_mr **culprit)
{
	unsigned int i;
	int ret;

	for (i = 0; i < nr; i++) {
		*culprit = mr[i];
		ret = vrnic_try_acquire(mr[i]);
		if (ret) {
			vrnic_release_all(mr, i);
			return ret;
		}
	}
	return 0;
}

/**
 * vrnic_access_is_ready() - whether bytes of a region are there
 * @need: the bytes, the region's access held
 */
bool vrnic_access_is_ready(const struct vrnic_need *need)
{
	const struct vrnic_mr_ops *ops = need->mr->ops;

	return !ops->ready || ops->ready(need->mr, need->pos, need->len, need->write);
}

static int vrnic_try_acquire_set(struct vrnic_access_set *set, struct vrnic_mr **culprit)
{
	unsigned int i;
	int ret;

	ret = vrnic_try_acquire_all(set->mr, set->nr, culprit);
	if (ret)
		return ret;
	for (i = 0; i < set->nr_needs; i++) {
		if (vrnic_access_is_ready(&set->need[i]))
			continue;
		*culprit = set->need[i].mr;
		vrnic_release_all(set->mr, set->nr);
		return -EAGAIN;
	}
	return 0;
}

/* With the engine, which is given back if there is no more to be had. */
static int vrnic_acquire_set(struct vrnic_access_set *set, struct vrnic_mr **culprit)
{
	int ret = vrnic_try_acquire_set(set, culprit);

	if (ret)
		vrnic_engine_put(set->wq->attr.engine);
	return ret;
}

/* With reservations held nobody waits for others' turns: before the next try then. */
static int vrnic_try_acquire_engine(struct vrnic_access_set *set)
{
	set->turn = !vrnic_engine_try_get(set->wq->attr.engine);
	return set->turn ? -EAGAIN : 0;
}

static void vrnic_wait_turn(struct vrnic_access_set *set)
{
	if (!set->turn)
		return;
	vrnic_engine_get(set->wq->attr.engine);
	vrnic_engine_put(set->wq->attr.engine);
	set->turn = false;
}

static int vrnic_fault_one(struct vrnic_access_set *set, const struct vrnic_need *need)
{
	struct vrnic_mr *mr = need->mr;
	bool ready;

	if (!mr->ops->fault)
		return 0;
	down_read(&mr->access);
	ready = vrnic_access_is_ready(need);
	up_read(&mr->access);
	if (ready)
		return 0;
	set->missed = mr;
	return mr->ops->fault(mr, need->pos, need->len, need->write, set);
}

static int vrnic_fault_all(struct vrnic_access_set *set, struct vrnic_mr **culprit)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < set->nr_needs && !ret; i++) {
		*culprit = set->need[i].mr;
		ret = vrnic_fault_one(set, &set->need[i]);
	}
	return ret;
}

static int vrnic_map_all(struct vrnic_access_set *set, struct vrnic_mr **culprit)
{
	unsigned int i;
	int ret;

	for (i = 0; i < set->nr; i++) {
		if (!set->mr[i]->ops->dynamic)
			continue;
		*culprit = set->mr[i];
		if (!set->mr[i]->mapped || set->mr[i]->stale) {
			set->missed = set->mr[i];
			vrnic_count(set->mr[i], faults, 1);
			trace_vrnic_fault(set->mr[i], 0);
		}
		ret = vrnic_dma_buf_ensure_locked(set->mr[i], false, set);
		if (ret)
			return ret;
	}
	return 0;
}

static int vrnic_reserve_slots(struct vrnic_access_set *set)
{
	unsigned int i;
	int ret;

	for (i = 0; i < set->nr; i++) {
		if (!set->mr[i]->ops->fenced)
			continue;
		ret = dma_resv_reserve_fences(set->mr[i]->dmabuf->resv, 1);
		if (ret)
			return ret;
	}
	return 0;
}

static void vrnic_publish_fence(struct vrnic_access_set *set)
{
	unsigned int i;

	for (i = 0; i < set->nr; i++)
		if (set->mr[i]->ops->fenced)
			dma_resv_add_fence(set->mr[i]->dmabuf->resv, set->fence,
					   DMA_RESV_USAGE_BOOKKEEP);
}

static bool vrnic_have_lost_one(struct vrnic_access_set *set)
{
	unsigned int i;

	for (i = 0; i < set->nr; i++)
		if (set->mr[i]->ops->dynamic && (!set->mr[i]->mapped || set->mr[i]->stale))
			return true;
	return false;
}

static int vrnic_begin_locked(struct vrnic_access_set *set, struct vrnic_mr **culprit,
			      unsigned int *lost)
{
	int ret;

	ret = vrnic_map_all(set, culprit);
	if (!ret && vrnic_have_lost_one(set))
		ret = ++*lost < VRNIC_MAX_ROUNDS ? -EAGAIN : -EBUSY;
	if (!ret && set->fence)
		ret = vrnic_reserve_slots(set);
	if (!ret)
		ret = vrnic_try_acquire_engine(set);
	if (!ret)
		ret = vrnic_acquire_set(set, culprit);
	return ret;
}

/**
 * vrnic_access_find_dead() - find a region that its owner waits to end
 * @set: the regions
 *
 * Return: the region, or NULL.
 */
struct vrnic_mr *vrnic_access_find_dead(const struct vrnic_access_set *set)
{
	unsigned int i;

	for (i = 0; i < set->nr; i++)
		if (READ_ONCE(set->mr[i]->dead))
			return set->mr[i];
	return NULL;
}

/*
 * The long wait is without reservations: others need those meanwhile, of this buffer, or of
 * the other one, which may be another client's.
 */
static int vrnic_wait_moved(struct vrnic_access_set *set)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < set->nr && !ret; i++)
		if (set->mr[i]->ops->dynamic)
			ret = vrnic_dma_buf_wait_moved(set->mr[i], set);
	return ret;
}

/*
 * All mappings are made, all bytes have arrived, and all memory is there before the
 * fence is published: nothing is left then that could wait. The mappings are held
 * from before the reservations are released, so each of them serves at least once.
 */
static int vrnic_begin_slowly(struct vrnic_access_set *set, struct vrnic_mr **culprit)
{
	struct vrnic_resvs resvs;
	unsigned int lost = 0;
	int ret;

	do {
		if (vrnic_access_is_stopping(set))
			return -ECANCELED;
		cond_resched();

		vrnic_wait_turn(set);
		ret = vrnic_fault_all(set, culprit);
		if (ret)
			break;
		ret = vrnic_wait_moved(set);
		if (ret)
			break;
		vrnic_lock_resvs(&resvs, set);
		ret = vrnic_begin_locked(set, culprit, &lost);
		if (!ret) {
			set->cookie = dma_fence_begin_signalling();
			if (set->fence)
				vrnic_publish_fence(set);
		}
		vrnic_unlock_resvs(&resvs);
	} while (ret == -EAGAIN || ret == -EINTR || ret == -ERESTARTSYS || ret == -EDEADLK);
	if (ret == -ENODEV)
		*culprit = vrnic_access_find_dead(set) ?: *culprit;
	return ret;
}

static void vrnic_note_stall(struct vrnic_stats *stats, s64 ns)
{
	s64 max = atomic64_read(&stats->stall_max_ns);

	atomic64_add(ns, &stats->stall_ns);
	while (ns > max && !atomic64_try_cmpxchg(&stats->stall_max_ns, &max, ns))
		;
}

static int vrnic_begin_stalled(struct vrnic_access_set *set, struct vrnic_mr **culprit)
{
	ktime_t start = ktime_get();
	s64 ns;
	int ret;

	ret = vrnic_begin_slowly(set, culprit);
	if (!set->missed)
		return ret;

	ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	vrnic_note_stall(&set->missed->stats, ns);
	vrnic_note_stall(&set->wq->attr.pd->vdev->stats, ns);
	return ret;
}

static int vrnic_begin_fenced(struct vrnic_access_set *set, struct vrnic_mr **culprit)
{
	int ret;

	set->fence = vrnic_fence_create(set->wq);
	if (!set->fence)
		return -ENOMEM;
	ret = vrnic_begin_stalled(set, culprit);
	if (ret)
		dma_fence_put(set->fence);
	return ret;
}

/**
 * vrnic_access_begin() - have the engine, and the mappings of all regions, good until the end
 * @set: the regions
 * @culprit: out: the region that an error is about
 *
 * Waits for mappings, for as long as it takes: work is not failed because a buffer
 * is on its way. The caller holds no lock. Until vrnic_access_end() the caller must
 * not allocate, fault, or wait for anything, and must be done within the time of
 * one chunk: a notification may be waiting for it.
 *
 * Return: 0; -ENODEV when a region has ended; -EACCES when there is no memory behind an
 * address, or none for that; -ECANCELED when the queue, or its
 * peer, is being stopped; -EBUSY when an exporter maps for one region only at another's cost; or
 * another error.
 */
int vrnic_access_begin(struct vrnic_access_set *set, struct vrnic_mr **culprit)
{
	unsigned int i;
	int ret;

	set->fence = NULL;
	set->missed = NULL;
	set->turn = false;
	*culprit = set->mr[0];
	if (vrnic_access_is_stopping(set))
		return -ECANCELED;
	for (i = 0; i < set->nr; i++)
		if (set->mr[i]->ops->fenced)
			return vrnic_begin_fenced(set, culprit);

	/* Its turn comes before the regions: a notification does not wait for others' turns. */
	vrnic_engine_get(set->wq->attr.engine);
	ret = vrnic_acquire_set(set, culprit);
	if (ret == -EAGAIN)
		return vrnic_begin_stalled(set, culprit);
	if (!ret)
		set->cookie = dma_fence_begin_signalling();
	return ret;
}

/**
 * vrnic_access_end() - give the mappings free
 * @set: the regions
 */
void vrnic_access_end(struct vrnic_access_set *set)
{
	if (set->fence)
		dma_fence_signal(set->fence);
	dma_fence_end_signalling(set->cookie);
	dma_fence_put(set->fence);

	vrnic_release_all(set->mr, set->nr);
	vrnic_engine_put(set->wq->attr.engine);
}

/**
 * vrnic_access_try() - have the mappings of all regions, if that takes no wait
 * @wq: the queue that the work is of
 * @hold: the regions
 *
 * For work that runs where nothing may be waited for. Regions that are fenced always
 * need a reservation, and so are never had. Until vrnic_access_release() all is as
 * between vrnic_access_begin() and vrnic_access_end().
 *
 * Return: false when something is in the way, be it for good; nothing is held then.
 */
bool vrnic_access_try(struct vrnic_wq *wq, struct vrnic_hold *hold)
{
	struct vrnic_mr *culprit;
	unsigned int i;

	if (vrnic_wq_is_stopping(wq))
		return false;
	for (i = 0; i < hold->nr; i++)
		if (hold->mr[i]->ops->fenced)
			return false;
	if (vrnic_try_acquire_all(hold->mr, hold->nr, &culprit))
		return false;
	hold->cookie = dma_fence_begin_signalling();
	return true;
}

/**
 * vrnic_access_release() - give the mappings free
 * @hold: the regions
 */
void vrnic_access_release(struct vrnic_hold *hold)
{
	dma_fence_end_signalling(hold->cookie);
	vrnic_release_all(hold->mr, hold->nr);
}
