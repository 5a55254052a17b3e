// SPDX-License-Identifier: GPL-2.0
/*
 * Room for those who may evict others for it: who creates a buffer, and who moves one.
 *
 * A buffer that somebody has reserved for a moment (its end, a move, an importer's map)
 * can't be evicted just then. That is no lack of room: it is to be waited for, with a
 * ww_acquire_ctx, since the buffer that needs the room is reserved meanwhile
 * (Documentation/locking/ww-mutex-design.rst). TTM finds the ticket in that buffer's
 * reservation.
 *
 * TTM's answer is the same when there is no room, when two tickets met and this one had to
 * give way, and when room was made by another one than TTM itself. So who finds none tries
 * again alone.
 */

#include <linux/dma-resv.h>
#include <linux/rwsem.h>
#include <linux/sched/signal.h>

#include "ttm.h"
#include "vvram_bo.h"
#include "vvram_drv.h"
#include "vvram_pages.h"
#include "vvram_place.h"
#include "vvram_svm.h"
#include "vvram_sync.h"

/* Between two attempts to make room where users of pages are in the way. */
#define VVRAM_PLACE_PAUSE_MS	50
/* Attempts in which nothing changes, until it is believed that there is no room. */
#define VVRAM_PLACE_TRIES	3

static int vvram_place_locked(struct vvram_bo *bo, u32 mem_type, struct vvram_sync_set *syncs)
{
	struct ttm_operation_ctx ctx = { .interruptible = true, .gfp_retry_mayfail = true };
	u32 home = bo->home;
	int ret;

	dma_resv_assert_held(bo->ttm.base.resv);

	bo->in_fence = syncs->in_fence;
	bo->home = mem_type;
	ret = vvram_bo_validate(bo, mem_type, &ctx);
	bo->in_fence = NULL;
	if (ret)
		bo->home = home;
	else
		vvram_sync_set_signal(syncs, bo->ttm.base.resv);
	return ret;
}

/* The first lock under a ticket is taken as without: nobody has to give way. */
static int vvram_place_once(struct vvram_bo *bo, u32 mem_type, struct vvram_sync_set *syncs,
			    struct ww_acquire_ctx *ticket)
{
	int ret;

	ret = dma_resv_lock_interruptible(bo->ttm.base.resv, ticket);
	if (ret)
		return ret;
	ret = vvram_place_locked(bo, mem_type, syncs);
	dma_resv_unlock(bo->ttm.base.resv);
	return ret;
}

static int vvram_place_shared(struct vvram_bo *bo, u32 mem_type, struct vvram_sync_set *syncs)
{
	struct vvram_device *vdev = vvram_bo_device(bo);
	struct ww_acquire_ctx ticket;
	int ret;

	ret = vvram_placing_begin(vdev, mem_type);
	if (ret)
		return ret;
	ww_acquire_init(&ticket, &reservation_ww_class);
	ret = vvram_place_once(bo, mem_type, syncs, &ticket);
	ww_acquire_fini(&ticket);
	vvram_placing_end(vdev, mem_type);
	return ret;
}

/* The buffer after @last, whose reference goes; with a reference, or NULL. */
static struct vvram_bo *vvram_bo_after(struct vvram_device *vdev, struct vvram_bo *last)
{
	struct vvram_bo *bo, *found = NULL;

	mutex_lock(&vdev->bos_lock);
	bo = last ? last : list_entry(&vdev->bos, struct vvram_bo, link);
	list_for_each_entry_continue(bo, &vdev->bos, link) {
		if (!kref_get_unless_zero(&bo->ttm.base.refcount))
			continue;
		found = bo;
		break;
	}
	mutex_unlock(&vdev->bos_lock);
	if (last)
		drm_gem_object_put(&last->ttm.base);
	return found;
}

/*
 * Of two tickets the younger one gives way, and importers have tickets too. So those that
 * are at work are waited for here, while nothing is held; who comes later is younger.
 */
static int vvram_ticket_become_oldest(struct vvram_device *vdev, struct ww_acquire_ctx *ticket)
{
	struct vvram_bo *bo = NULL;
	int ret;

	while ((bo = vvram_bo_after(vdev, bo))) {
		ret = dma_resv_lock_interruptible(bo->ttm.base.resv, ticket);
		if (ret) {
			drm_gem_object_put(&bo->ttm.base);
			return ret;
		}
		dma_resv_unlock(bo->ttm.base.resv);
	}
	return 0;
}

static int vvram_place_as_oldest(struct vvram_bo *bo, u32 mem_type,
				 struct vvram_sync_set *syncs)
{
	struct ww_acquire_ctx ticket;
	int ret;

	ww_acquire_init(&ticket, &reservation_ww_class);
	ret = vvram_ticket_become_oldest(vvram_bo_device(bo), &ticket);
	if (!ret)
		ret = vvram_place_once(bo, mem_type, syncs, &ticket);
	ww_acquire_fini(&ticket);
	return ret;
}

/*
 * Nobody else evicts meanwhile. As long as places are given back, by those who had them
 * reserved, the next attempt may find the room. They are not taken again meanwhile
 * (vvram_may_return()), so that this comes to an end.
 */
static int vvram_place_alone(struct vvram_bo *bo, u32 mem_type, struct vvram_sync_set *syncs)
{
	struct vvram_device *vdev = vvram_bo_device(bo);
	unsigned int tries = 0;
	s64 frees;
	int ret;

	if (down_write_killable(&vdev->placing))
		return -EINTR;
	do {
		frees = atomic64_read(&vdev->vram_mgr.frees);
		ret = vvram_place_as_oldest(bo, mem_type, syncs);
		if (frees != atomic64_read(&vdev->vram_mgr.frees))
			tries = 0;
	} while (ret == COMPAT_TTM_NO_ROOM && ++tries < VVRAM_PLACE_TRIES &&
		 !fatal_signal_pending(current));
	up_write(&vdev->placing);
	return ret;
}

/* What is pinned stays where it is. */
static bool vvram_has_room(struct vvram_device *vdev, u64 size)
{
	return size <= vdev->vram.size - atomic64_read(&vdev->vram_pinned);
}

/**
 * vvram_placing_begin() - note that somebody may evict buffers
 * @vdev: the device
 * @mem_type: where room is needed: TTM_PL_VRAM or TTM_PL_TT
 *
 * No reservation may be held. Others do so at the same time, but for one who has found no
 * room. System memory needs no eviction.
 *
 * Return: 0 or -EINTR.
 */
int vvram_placing_begin(struct vvram_device *vdev, u32 mem_type)
{
	return mem_type == TTM_PL_VRAM ? down_read_interruptible(&vdev->placing) : 0;
}

/**
 * vvram_placing_end() - undo vvram_placing_begin()
 * @vdev: the device
 * @mem_type: as there
 */
void vvram_placing_end(struct vvram_device *vdev, u32 mem_type)
{
	if (mem_type == TTM_PL_VRAM)
		up_read(&vdev->placing);
}

/**
 * vvram_may_return() - whether a buffer may come to VRAM without its owner's call
 * @bo: the buffer, its reservation held
 *
 * Not while somebody may be making room there: it would be evicted again, and TTM goes on
 * as long as it finds something to evict, which for a request that fits in no case is as
 * long as others come back.
 */
bool vvram_may_return(struct vvram_bo *bo)
{
	dma_resv_assert_held(bo->ttm.base.resv);

	return !rwsem_is_locked(&vvram_bo_device(bo)->placing);
}

/* Whose pages nobody has, or -EBUSY. */
static int vvram_place_unused(struct vvram_bo *bo, u32 mem_type, struct vvram_sync_set *syncs)
{
	int ret;

	if (mem_type == TTM_PL_VRAM && bo->ttm.base.size > vvram_bo_device(bo)->vram.size)
		return COMPAT_TTM_NO_ROOM;
	ret = vvram_place_shared(bo, mem_type, syncs);
	if (ret != COMPAT_TTM_NO_ROOM || mem_type != TTM_PL_VRAM ||
	    !vvram_has_room(vvram_bo_device(bo), bo->ttm.base.size))
		return ret;
	return vvram_place_alone(bo, mem_type, syncs);
}

/* @wait: out: somebody has pages of it, or of what is in its way, and may let them go. */
static int vvram_place_try(struct vvram_bo *bo, u32 mem_type, struct vvram_sync_set *syncs,
			   bool *wait)
{
	struct vvram_device *vdev = vvram_bo_device(bo);
	s64 held_back = atomic64_read(&vdev->held_back);
	int ret;

	ret = vvram_place_unused(bo, mem_type, syncs);
	if (ret == COMPAT_TTM_NO_ROOM)
		*wait = mem_type == TTM_PL_VRAM && vvram_has_room(vdev, bo->ttm.base.size) &&
			(held_back != atomic64_read(&vdev->held_back) ||
			 vvram_vram_mgr_held(&vdev->vram_mgr));
	else
		*wait = ret == -EBUSY && vvram_bo_has_pages(bo);
	return ret;
}

/*
 * Users of pages are waited for with nothing held. As they come and go fast, or not at all, what
 * is in the way is not evicted over and over.
 */
static int vvram_place_patiently(struct vvram_bo *bo, u32 mem_type, struct vvram_sync_set *syncs)
{
	unsigned long end = vvram_pages_deadline();
	bool wait;
	int ret;

	do {
		ret = vvram_pages_wait(bo, end);
		if (ret)
			return ret;
		ret = vvram_place_try(bo, mem_type, syncs, &wait);
		if (!wait)
			return ret;
		schedule_timeout_killable(ret == -EBUSY ? 1 :
					  msecs_to_jiffies(VVRAM_PLACE_PAUSE_MS));
		if (fatal_signal_pending(current))
			return -EINTR;
	} while (time_before(jiffies, end));
	return ret;
}

/**
 * vvram_place() - bring a buffer to where its owner wants it
 * @bo: the buffer, its reservation not held
 * @mem_type: TTM_PL_VRAM or TTM_PL_TT
 * @syncs: what the copy waits for, and what it signals
 *
 * Buffers that others have reserved are waited for, and until vvram_pages_deadline() whoever
 * has pages of the buffer, or of those that are in its way. &vvram_device.placing must not be
 * held.
 *
 * Return: 0, or an error as of vvram_bo_validate(): -ENOSPC or -ENOMEM when there is no
 * room even if nobody else wants it.
 */
int vvram_place(struct vvram_bo *bo, u32 mem_type, struct vvram_sync_set *syncs)
{
	bool wait;
	int ret;

	ret = vvram_place_try(bo, mem_type, syncs, &wait);
	if (!wait)
		return ret;
	vvram_pages_drain_begin(bo);
	ret = vvram_place_patiently(bo, mem_type, syncs);
	vvram_pages_drain_end(bo);
	return ret;
}

/* What can be done about a buffer that is to leave, in a moment: 0, or an error. */
static int vvram_send_away(struct vvram_bo *bo)
{
	struct ttm_operation_ctx ctx = {};
	int ret = 0;

	dma_resv_lock(bo->ttm.base.resv, NULL);
	if (vvram_bo_is_in_vram(bo) && !bo->ttm.pin_count)
		ret = vvram_bo_validate(bo, TTM_PL_TT, &ctx);
	dma_resv_unlock(bo->ttm.base.resv);
	if (ret != -EBUSY)
		return ret;

	vvram_pages_drain_begin(bo);
	vvram_pages_wait(bo, jiffies + msecs_to_jiffies(VVRAM_PLACE_PAUSE_MS));
	vvram_pages_drain_end(bo);
	return ret;
}

/* Sends all away that can go, whatever keeps another; and waits until what goes has gone. */
static int vvram_send_all_away(struct vvram_device *vdev)
{
	struct vvram_bo *bo = NULL;
	int ret = 0, error;

	while ((bo = vvram_bo_after(vdev, bo))) {
		error = vvram_send_away(bo);
		if (error)
			ret = error;
	}
	while ((bo = vvram_bo_after(vdev, bo)))
		dma_resv_wait_timeout(bo->ttm.base.resv, DMA_RESV_USAGE_KERNEL, false,
				      MAX_SCHEDULE_TIMEOUT);
	return ret;
}

/**
 * vvram_vacate() - bring out of VRAM all that can move, and let nothing in
 * @vdev: the device
 *
 * What is pinned stays; who has pages is waited for until vvram_pages_deadline(). Until
 * vvram_vram_mgr_close() opens it again VRAM is as if it were full.
 *
 * Return: 0, or an error with buffers still in VRAM.
 */
int vvram_vacate(struct vvram_device *vdev)
{
	unsigned long end = vvram_pages_deadline();
	int ret = 0;

	vvram_vram_mgr_close(&vdev->vram_mgr, true);
	/* TTM gives up at the first one that can't go. */
	if (vdev->vram.pages || vdev->svm.select)
		do {
			ret = vvram_send_all_away(vdev);
		} while (ret == -EBUSY && time_before(jiffies, end));
	if (!vvram_svm_vacate(vdev, end))
		ret = -EBUSY;
	return ret ? ret : ttm_resource_manager_evict_all(&vdev->ttm, &vdev->vram_mgr.base);
}
