// SPDX-License-Identifier: GPL-2.0
/*
 * Quarantine: with chaos/poison and chaos/strict, a place in VRAM that a buffer has left is
 * poisoned, and nobody gets it before a while is over, or there is no other room. Who writes
 * there meanwhile is found when it leaves, however late that is.
 *
 * Nothing is refused for it, and nobody evicted: the allocator takes places out of it first
 * (vvram_vram_mgr.c). What an eviction vacates is wanted at once, and is not put in.
 */

#include <linux/module.h>

#include <drm/drm_drv.h>

#include "vvram_copy.h"
#include "vvram_drv.h"
#include "vvram_quarantine.h"

static uint vvram_quarantine_ms = 10000;
module_param_named(quarantine_ms, vvram_quarantine_ms, uint, 0644);
MODULE_PARM_DESC(quarantine_ms,
		 "With chaos/poison and chaos/strict: how long VRAM that a buffer has left is kept from others, ms (default 10000)");

/**
 * vvram_stale_write() - note that somebody wrote to a place that a buffer has left
 * @vdev: the device
 * @suspects: who had it mapped, or NULL
 * @offset: byte of the buffer
 */
void vvram_stale_write(struct vvram_device *vdev, struct vvram_suspects *suspects, u64 offset)
{
	atomic64_inc(&vdev->chaos.stale_writes);
	vvram_breach_at(vdev, suspects, VVRAM_BREACH_STALE, offset);
}

/**
 * vvram_quarantine_mark() - a place that its buffer has left is full of poison
 * @segs: the place; the copy from there has not signalled yet
 * @suspects: who had it mapped, or NULL
 */
void vvram_quarantine_mark(struct vvram_segments *segs, struct vvram_suspects *suspects)
{
	segs->poisoned = true;
	segs->suspects = vvram_suspects_get(suspects);
}

/**
 * vvram_quarantine_unmark() - the buffer stays there after all
 * @segs: the place; the copy from there has signalled
 */
void vvram_quarantine_unmark(struct vvram_segments *segs)
{
	segs->poisoned = false;
	vvram_suspects_put(segs->suspects);
	segs->suspects = NULL;
}

static struct vvram_device *vvram_quarantine_device(struct vvram_vram_mgr *mgr)
{
	return container_of(mgr, struct vvram_device, vram_mgr);
}

static void vvram_quarantine_judge(struct vvram_device *vdev, struct vvram_segments *segs,
				   u64 size)
{
	struct vvram_copy_place place = { .segs = segs };
	u64 offset;
	int idx;

	if (!drm_dev_enter(&vdev->drm, &idx))
		return;
	offset = vvram_copy_compare(vdev, &place, size, VVRAM_POISON);
	drm_dev_exit(idx);
	if (offset != size)
		vvram_stale_write(vdev, segs->suspects, offset);
}

static void vvram_quarantine_release(struct vvram_vram_mgr *mgr,
				     struct vvram_vram_resource *vres)
{
	lockdep_assert_held(&mgr->lock);

	vvram_quarantine_judge(vvram_quarantine_device(mgr), vres->segs, vres->base.size);
	mgr->quarantine_size -= vres->base.size;
	list_del(&vres->held);
	vvram_vram_mgr_return(mgr, vres);
}

static void vvram_quarantine_look_at(struct vvram_vram_mgr *mgr,
				     const struct vvram_vram_resource *vres)
{
	mod_delayed_work(mgr->base.bdev->wq, &mgr->quarantine_over,
			 max_t(long, vres->until - jiffies, 0) + 1);
}

/**
 * vvram_quarantine_take() - keep a place from others for a while
 * @mgr: the manager, its lock held
 * @vres: the place, which is nobody's any more
 *
 * Return: false when there is no reason to.
 */
bool vvram_quarantine_take(struct vvram_vram_mgr *mgr, struct vvram_vram_resource *vres)
{
	struct vvram_device *vdev = vvram_quarantine_device(mgr);

	lockdep_assert_held(&mgr->lock);

	if (!vres->segs->poisoned)
		return false;
	if (!vdev->chaos.poison || !vdev->strict.on || mgr->closed ||
	    drm_dev_is_unplugged(&vdev->drm)) {
		vvram_quarantine_judge(vdev, vres->segs, vres->base.size);
		return false;
	}
	vres->until = jiffies + msecs_to_jiffies(READ_ONCE(vvram_quarantine_ms));
	list_add_tail(&vres->held, &mgr->quarantine);
	mgr->quarantine_size += vres->base.size;
	if (list_is_first(&vres->held, &mgr->quarantine))
		vvram_quarantine_look_at(mgr, vres);
	return true;
}

/**
 * vvram_quarantine_release_one() - make room
 * @mgr: the manager, its lock held
 *
 * Return: false when there is nothing in quarantine.
 */
bool vvram_quarantine_release_one(struct vvram_vram_mgr *mgr)
{
	struct vvram_vram_resource *vres;

	lockdep_assert_held(&mgr->lock);

	vres = list_first_entry_or_null(&mgr->quarantine, struct vvram_vram_resource, held);
	if (!vres)
		return false;
	vvram_quarantine_release(mgr, vres);
	return true;
}

/* Oldest first: the first one whose time is not over ends it. */
static void vvram_quarantine_over(struct work_struct *work)
{
	struct vvram_vram_mgr *mgr = container_of(work, struct vvram_vram_mgr,
						  quarantine_over.work);
	struct vvram_vram_resource *vres, *next;

	mutex_lock(&mgr->lock);
	list_for_each_entry_safe(vres, next, &mgr->quarantine, held) {
		if (time_before(jiffies, vres->until)) {
			vvram_quarantine_look_at(mgr, vres);
			break;
		}
		vvram_quarantine_release(mgr, vres);
	}
	mutex_unlock(&mgr->lock);
}

/**
 * vvram_quarantine_end() - release all places, and judge who wrote there
 * @vdev: the device
 *
 * No reservation may be held.
 */
void vvram_quarantine_end(struct vvram_device *vdev)
{
	struct vvram_vram_mgr *mgr = &vdev->vram_mgr;

	mutex_lock(&mgr->lock);
	while (vvram_quarantine_release_one(mgr))
		;
	mutex_unlock(&mgr->lock);
}

void vvram_quarantine_init(struct vvram_vram_mgr *mgr)
{
	INIT_LIST_HEAD(&mgr->quarantine);
	INIT_DELAYED_WORK(&mgr->quarantine_over, vvram_quarantine_over);
}

/**
 * vvram_quarantine_fini() - give all places back
 * @vdev: the device, unplugged; no buffer leaves a place any more
 */
void vvram_quarantine_fini(struct vvram_device *vdev)
{
	vvram_quarantine_end(vdev);
	cancel_delayed_work_sync(&vdev->vram_mgr.quarantine_over);
}
