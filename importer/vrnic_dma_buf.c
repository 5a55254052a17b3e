// SPDX-License-Identifier: GPL-2.0
/*
 * The importer's side of dma-buf: attach, map, lose the mapping, map again.
 *
 * Locking as in Documentation/driver-api/dma-buf.rst: the reservation is held to
 * pin, unpin, map, unmap and in the notification; never to attach, detach, get
 * and put. The region's own lock is taken inside of it.
 */

#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/module.h>

#include "dma_buf.h"
#include "vrnic_access.h"
#include "vrnic_audit.h"
#include "vrnic_check.h"
#include "vrnic_dma_buf.h"
#include "vrnic_exporter.h"
#include "vrnic_fence.h"
#include "vrnic_misbehave.h"
#include "vrnic_mr.h"
#include "vrnic_trace.h"

static uint vrnic_fence_timeout = 60;
module_param_named(fence_timeout, vrnic_fence_timeout, uint, 0644);
MODULE_PARM_DESC(fence_timeout, "Seconds until an exporter's fence counts as broken (default 60)");

static enum dma_data_direction vrnic_mr_direction(struct vrnic_mr *mr)
{
	return vrnic_mr_is_writable(mr) ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
}

/**
 * vrnic_dma_buf_map_table() - have the exporter make a table
 * @mr: the region, its reservation held
 *
 * Return: the table, or the exporter's error.
 */
struct sg_table *vrnic_dma_buf_map_table(struct vrnic_mr *mr)
{
	u64 start = vrnic_exporter_now();
	struct sg_table *sgt;

	mr->mapping = true;
	sgt = dma_buf_map_attachment(mr->attach, mr->dir);
	mr->mapping = false;
	vrnic_exporter_took(mr, VRNIC_CALLBACK_MAP, start);
	return sgt;
}

/**
 * vrnic_dma_buf_unmap_table() - give a table back
 * @mr: the region, its reservation held
 * @sgt: the table, of vrnic_dma_buf_map_table()
 */
void vrnic_dma_buf_unmap_table(struct vrnic_mr *mr, struct sg_table *sgt)
{
	u64 start = vrnic_exporter_now();

	dma_buf_unmap_attachment(mr->attach, sgt, mr->dir);
	vrnic_exporter_took(mr, VRNIC_CALLBACK_UNMAP, start);
}

/**
 * vrnic_dma_buf_unmap_locked() - give the exporter's table back
 * @mr: the region, its reservation held; nothing of the table is in use any more
 */
void vrnic_dma_buf_unmap_locked(struct vrnic_mr *mr)
{
	dma_resv_assert_held(mr->dmabuf->resv);

	mr->stale = false;
	if (!mr->sgt)
		return;
	trace_vrnic_unmap(mr, 0);
	vrnic_audit_table(mr, false);
	vrnic_dma_buf_unmap_table(mr, mr->sgt);
	mr->sgt = NULL;
	vrnic_count(mr, unmaps, 1);
}

/**
 * vrnic_dma_buf_stop_access() - forget the addresses
 * @mr: the region
 *
 * Once this returns no access is under way, and none can start. It waits for one
 * chunk at most, in which nothing waits for reclaim or for a reservation.
 */
void vrnic_dma_buf_stop_access(struct vrnic_mr *mr)
{
	struct vrnic_mapping old = {};

	down_write(&mr->access);
	if (mr->mapped)
		swap(mr->map, old);
	mr->mapped = false;
	up_write(&mr->access);

	vrnic_mapping_clear(&old);
}

static void vrnic_set_revoked(struct vrnic_mr *mr)
{
	trace_vrnic_revoked(mr, 0);
	down_write(&mr->access);
	mr->revoked = true;
	up_write(&mr->access);
}

static void vrnic_invalidate_mappings(struct dma_buf_attachment *attach);

/*
 * The exporter moves the buffer for another region of ours, which it is asked to map just
 * now. Mapping this one ahead of its use would take the buffer away from there again.
 */
static bool vrnic_is_for_sibling(struct vrnic_mr *mr)
{
	struct dma_buf_attachment *attach;

	if (!dma_resv_is_locked(mr->dmabuf->resv))
		return false;

	list_for_each_entry(attach, &mr->dmabuf->attachments, node)
		if (attach->importer_ops &&
		    attach->importer_ops->invalidate_mappings == vrnic_invalidate_mappings &&
		    ((struct vrnic_mr *)attach->importer_priv)->mapping)
			return true;
	return false;
}

/* Notified, and nothing may go on: unless the importer was asked to misbehave. */
static bool vrnic_must_stop(struct vrnic_mr *mr, bool locked)
{
	return mr->sgt && !(locked && vrnic_misbehave_invalidate(mr));
}

static void vrnic_unmap_later(struct vrnic_mr *mr)
{
	mr->stale = true;
	mod_delayed_work(mr->pd->vdev->unmap_wq, &mr->unmap_work, 0);
}

/*
 * Accesses are stopped here, after the chunk that is under way, and the mapping is given
 * back at once, the reservation being held.
 */
static bool vrnic_give_back(struct vrnic_mr *mr, bool locked)
{
	if (!vrnic_must_stop(mr, locked))
		return false;

	vrnic_dma_buf_stop_access(mr);
	if (locked)
		vrnic_dma_buf_unmap_locked(mr);
	else
		vrnic_unmap_later(mr);
	return true;
}

static void vrnic_invalidate_on_demand(struct vrnic_mr *mr, bool locked)
{
	vrnic_give_back(mr, locked);
}

static void vrnic_invalidate_eager(struct vrnic_mr *mr, bool locked)
{
	if (vrnic_give_back(mr, locked) && !vrnic_is_for_sibling(mr))
		queue_work(mr->pd->workers, &mr->map_work);
}

/* Work goes on under its fence: the mapping is only marked, and given back by a worker. */
static void vrnic_invalidate_fenced(struct vrnic_mr *mr, bool locked)
{
	if (vrnic_must_stop(mr, locked))
		vrnic_unmap_later(mr);
}

/* Notifications go on until the attachment is gone, and must find no pin then. */
static void vrnic_unpin(struct vrnic_mr *mr)
{
	if (mr->pinned)
		dma_buf_unpin(mr->attach);
	mr->pinned = false;
}

/*
 * A pinned buffer does not move: its notification is a revocation, and final. One
 * that comes before it is pinned is of the move that the pin itself makes.
 */
static void vrnic_invalidate_pinned(struct vrnic_mr *mr, bool locked)
{
	if (!mr->pinned)
		return;
	vrnic_audit_lost(mr);
	vrnic_dma_buf_stop_access(mr);
	vrnic_set_revoked(mr);
	vrnic_dma_buf_unmap_locked(mr);
	vrnic_unpin(mr);
}

/* The exporter is about to move the buffer, or takes it away. */
static void vrnic_invalidate_mappings(struct dma_buf_attachment *attach)
{
	struct vrnic_mr *mr = attach->importer_priv;
	bool locked = vrnic_check_locked(mr);

	vrnic_count(mr, invalidations, 1);
	trace_vrnic_invalidate(mr, 0);
	mr->ops->invalidate(mr, locked);
}

static const struct dma_buf_attach_ops vrnic_attach_ops = {
	.invalidate_mappings = vrnic_invalidate_mappings,
};

static const struct dma_buf_attach_ops vrnic_attach_p2p_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = vrnic_invalidate_mappings,
};

static struct dma_buf_attachment *vrnic_attach(struct vrnic_mr *mr)
{
	struct device *dev = mr->pd->vdev->dev;

	if (!mr->ops->invalidate)
		return dma_buf_attach(mr->dmabuf, dev);
	return dma_buf_dynamic_attach(mr->dmabuf, dev, mr->attr.peer2peer ?
				      &vrnic_attach_p2p_ops : &vrnic_attach_ops, mr);
}

/*
 * A fence that ended with an error says that the bytes did not arrive, and what is there
 * is anybody's. A device that is gone ends the region; any other error fails the request,
 * and is not passed on: what a fence's -EINTR or -ECANCELED means is not what ours do.
 */
static int vrnic_check_arrived(struct vrnic_mr *mr)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	int error;

	dma_resv_assert_held(mr->dmabuf->resv);

	dma_resv_for_each_fence(&cursor, mr->dmabuf->resv, DMA_RESV_USAGE_KERNEL, fence) {
		error = dma_fence_get_status(fence);
		if (error < 0)
			return error == -ENODEV ? -ENODEV : -EIO;
	}
	return 0;
}

/* Neither a queue that ends nor a region that does waits for an exporter's fences. */
static long vrnic_wait_fences(struct vrnic_mr *mr, bool intr, const struct vrnic_access_set *set)
{
	long left = READ_ONCE(vrnic_fence_timeout) * HZ, look = VRNIC_STOP_INTERVAL, slice, ret;

	if (vrnic_misbehaves(mr->pd->vdev, VRNIC_IGNORE_KERNEL_FENCE))
		return 1;
	do {
		if (set && vrnic_access_is_stopping(set))
			return -ECANCELED;
		if (READ_ONCE(mr->dead) || (set && vrnic_access_find_dead(set)))
			return -ENODEV;
		slice = min(left, look);
		ret = dma_resv_wait_timeout(mr->dmabuf->resv, DMA_RESV_USAGE_KERNEL, intr, slice);
		left -= slice;
		/* There may be a crowd of them. */
		look = min(2 * look, VRNIC_STOP_SELDOM);
	} while (!ret && left);
	return ret;
}

/**
 * vrnic_dma_buf_wait_moved() - wait for moves without the reservation
 * @mr: the region
 * @set: whose end ends the wait
 *
 * Others need it meanwhile, and another buffer that is reserved would be held up by this one.
 *
 * Return: 0, also when it takes too long; -ECANCELED or -ENODEV for @set.
 */
int vrnic_dma_buf_wait_moved(struct vrnic_mr *mr, const struct vrnic_access_set *set)
{
	long ret = vrnic_wait_fences(mr, false, set);

	return ret == -ECANCELED || ret == -ENODEV ? ret : 0;
}

/* Times that a buffer is waited for which has set off again by then. */
#define VRNIC_MAX_MOVES		16

/*
 * Takes the reservation of a buffer that is at rest, for who waits for nothing else: the long wait
 * is without it, as others need it. One that does not come to rest is waited for with it.
 */
static int vrnic_lock_arrived(struct vrnic_mr *mr, bool intr)
{
	struct dma_resv *resv = mr->dmabuf->resv;
	unsigned int moves = VRNIC_MAX_MOVES;
	long left;
	int ret;

	for (;;) {
		left = vrnic_wait_fences(mr, intr, NULL);
		if (left < 0)
			return left;
		ret = intr ? dma_resv_lock_interruptible(resv, NULL) : dma_resv_lock(resv, NULL);
		if (ret)
			return ret;
		if (!left || !--moves || dma_resv_test_signaled(resv, DMA_RESV_USAGE_KERNEL))
			return 0;
		dma_resv_unlock(resv);
	}
}

/* The bytes may still be on their way: not before they have arrived. */
static int vrnic_wait_arrived(struct vrnic_mr *mr, bool intr, const struct vrnic_access_set *set)
{
	long ret;

	if (vrnic_misbehaves(mr->pd->vdev, VRNIC_IGNORE_KERNEL_FENCE))
		return 0;
	ret = vrnic_wait_fences(mr, intr, set);
	if (ret > 0)
		return vrnic_check_arrived(mr);
	if (!ret)
		vrnic_violation(mr, VRNIC_BREACH_FENCE);
	return ret ? ret : -ETIMEDOUT;
}

/* Kernels with CONFIG_DMABUF_DEBUG hide all pages: there, the address has to tell. */
static bool vrnic_is_peer(struct vrnic_mr *mr)
{
	if (sg_page(mr->sgt->sgl))
		return false;
	if (!IS_ENABLED(CONFIG_DMABUF_DEBUG))
		return true;
	return !vrnic_bus_is_ram(vrnic_bus_to_phys(mr->pd->vdev->dev,
						   sg_dma_address(mr->sgt->sgl)));
}

static int vrnic_install(struct vrnic_mr *mr)
{
	struct vrnic_mapping map = {};
	int ret;

	ret = vrnic_mapping_set(&map, mr->pd->vdev->dev, mr->sgt);
	if (ret == -EFAULT)
		vrnic_check_raw(mr, mr->sgt);
	if (ret)
		return ret;

	down_write(&mr->access);
	swap(mr->map, map);
	mr->peer = vrnic_is_peer(mr);
	mr->mapped = true;
	vrnic_audit_begin(mr);
	up_write(&mr->access);
	return 0;
}

static struct sg_table *vrnic_map_table(struct vrnic_mr *mr)
{
	struct dma_resv *resv = mr->dmabuf->resv;
	struct sg_table *sgt;
	bool unlocked = vrnic_misbehaves(mr->pd->vdev, VRNIC_UNLOCKED_MAP);

	if (unlocked)
		dma_resv_unlock(resv);
	mr->dir = vrnic_mr_direction(mr);
	sgt = vrnic_dma_buf_map_table(mr);
	if (unlocked)
		dma_resv_lock(resv, NULL);
	return sgt;
}

/*
 * The wait comes after the mapping, which may itself have started a move
 * (dma_buf_map_attachment()).
 */
static int vrnic_map_locked(struct vrnic_mr *mr, bool intr, const struct vrnic_access_set *set)
{
	struct sg_table *sgt;
	int ret;

	dma_resv_assert_held(mr->dmabuf->resv);

	sgt = vrnic_map_table(mr);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	mr->sgt = sgt;
	vrnic_count(mr, maps, 1);
	trace_vrnic_map(mr, sgt->nents);
	vrnic_audit_table(mr, true);

	ret = vrnic_check_table(mr, sgt);
	if (!ret)
		ret = vrnic_wait_arrived(mr, intr, set);
	if (!ret)
		ret = vrnic_install(mr);
	if (ret)
		vrnic_dma_buf_unmap_locked(mr);
	return ret;
}

/**
 * vrnic_dma_buf_ensure_locked() - have a mapping that is good now
 * @mr: the region, its reservation held
 * @intr: a signal may end the wait
 * @set: whose end may do so, or NULL
 *
 * Return: 0; -ENODEV when the region has ended; -ECANCELED for @set; -ETIMEDOUT when the exporter's
 * fence does not signal; -EIO when it signalled that the bytes did not arrive;
 * -ERESTARTSYS or -EINTR; or the exporter's error.
 */
int vrnic_dma_buf_ensure_locked(struct vrnic_mr *mr, bool intr, const struct vrnic_access_set *set)
{
	int ret;

	dma_resv_assert_held(mr->dmabuf->resv);

	if (mr->dead || mr->revoked)
		return -ENODEV;
	if (mr->mapped && !mr->stale)
		return 0;
	/* Only these map again: the others had one mapping, and have lost it. */
	if (!mr->ops->dynamic)
		return -ENODEV;

	vrnic_dma_buf_stop_access(mr);
	vrnic_dma_buf_unmap_locked(mr);
	ret = vrnic_map_locked(mr, intr, set);
	/* Unless it is another region of the set that has ended. */
	if (ret == -ENODEV && !(set && vrnic_access_find_dead(set)))
		vrnic_set_revoked(mr);
	return ret;
}

/*
 * Exchanges a mapping for a new one. Nobody else can move the buffer meanwhile: if
 * the exporter did so when asked to map, it has notified all importers, this one too.
 */
static int vrnic_map_again_locked(struct vrnic_mr *mr)
{
	s64 notified = atomic64_read(&mr->stats.invalidations);
	u32 place = vrnic_mapping_place(&mr->map);
	int ret;

	vrnic_dma_buf_stop_access(mr);
	ret = vrnic_dma_buf_ensure_locked(mr, true, NULL);
	if (!ret && notified == atomic64_read(&mr->stats.invalidations) &&
	    place != vrnic_mapping_place(&mr->map))
		vrnic_violation(mr, VRNIC_BREACH_MOVED);
	return ret;
}

/**
 * vrnic_dma_buf_prefetch() - map now what would be mapped at first use
 * @mr: the region
 *
 * One that has a mapping gets a new one, to see that it was still right.
 *
 * Return: 0 or an error as of vrnic_dma_buf_ensure_locked().
 */
int vrnic_dma_buf_prefetch(struct vrnic_mr *mr)
{
	int ret;

	ret = vrnic_lock_arrived(mr, true);
	if (ret)
		return ret;
	if (mr->sgt && mr->mapped && !mr->stale && mr->ops->dynamic)
		ret = vrnic_map_again_locked(mr);
	else
		ret = vrnic_dma_buf_ensure_locked(mr, true, NULL);
	dma_resv_unlock(mr->dmabuf->resv);
	return ret;
}

/**
 * vrnic_dma_buf_prefetch_later() - have a worker map the region
 * @mr: the region
 *
 * Only a hint: a failure shows when the region is used.
 */
void vrnic_dma_buf_prefetch_later(struct vrnic_mr *mr)
{
	down_read(&mr->access);
	if (!mr->dead)
		queue_work(mr->pd->workers, &mr->map_work);
	up_read(&mr->access);
}

static void vrnic_map_ahead(struct work_struct *work)
{
	struct vrnic_mr *mr = container_of(work, struct vrnic_mr, map_work);

	if (vrnic_lock_arrived(mr, false))
		return;
	vrnic_dma_buf_ensure_locked(mr, false, NULL);
	dma_resv_unlock(mr->dmabuf->resv);
}

static void vrnic_unmap_stale(struct work_struct *work)
{
	struct vrnic_mr *mr = container_of(work, struct vrnic_mr, unmap_work.work);

	dma_resv_lock(mr->dmabuf->resv, NULL);
	if (mr->stale) {
		vrnic_dma_buf_stop_access(mr);
		vrnic_dma_buf_unmap_locked(mr);
	}
	dma_resv_unlock(mr->dmabuf->resv);
}

static int vrnic_begin_pinned(struct vrnic_mr *mr)
{
	u64 start;
	int ret;

	ret = dma_resv_lock_interruptible(mr->dmabuf->resv, NULL);
	if (ret)
		return ret;
	start = vrnic_exporter_now();
	ret = dma_buf_pin(mr->attach);
	vrnic_exporter_took(mr, VRNIC_CALLBACK_PIN, start);
	mr->pinned = !ret;
	if (!ret)
		ret = vrnic_map_locked(mr, true, NULL);
	dma_resv_unlock(mr->dmabuf->resv);
	return ret;
}

static int vrnic_begin_static(struct vrnic_mr *mr)
{
	int ret;

	ret = dma_resv_lock_interruptible(mr->dmabuf->resv, NULL);
	if (ret)
		return ret;
	ret = vrnic_map_locked(mr, true, NULL);
	dma_resv_unlock(mr->dmabuf->resv);
	return ret;
}

/*
 * Its buffer can't move while it is mapped. Who registers it pays for all of its life,
 * whoever maps it later on: a worker has nobody's limit.
 */
static bool vrnic_is_pinning(struct vrnic_mr *mr)
{
	return !mr->ops->dynamic || !compat_dma_buf_is_dynamic_kernel();
}

/**
 * vrnic_dma_buf_import() - attach to the region's buffer
 * @mr: the region, complete: the notification may come at once
 *
 * Modes without notification are mapped here, the others at first use.
 *
 * Return: 0, or an error; the region's end cleans up after either.
 */
int vrnic_dma_buf_import(struct vrnic_mr *mr)
{
	struct dma_buf_attachment *attach;
	int ret = 0;

	INIT_DELAYED_WORK(&mr->unmap_work, vrnic_unmap_stale);
	INIT_WORK(&mr->map_work, vrnic_map_ahead);
	vrnic_misbehave_init(mr);

	if (vrnic_is_pinning(mr))
		ret = vrnic_mr_charge(mr, mr->dmabuf->size);
	if (ret)
		return ret;

	attach = vrnic_attach(mr);
	if (IS_ERR(attach))
		return PTR_ERR(attach);
	mr->attach = attach;
	vrnic_check_file(mr);

	return mr->ops->begin ? mr->ops->begin(mr) : 0;
}

/*
 * A fence that has signalled may stay in the buffer for as long as that lives. Before
 * 7.x it would need this module for as long, so it is exchanged for one that does not.
 */
static void vrnic_drop_fences(struct vrnic_mr *mr)
{
	struct dma_fence *fence, *stub;
	struct dma_resv_iter cursor;

	dma_resv_assert_held(mr->dmabuf->resv);

	stub = dma_fence_get_stub();
	dma_resv_for_each_fence(&cursor, mr->dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP, fence)
		if (dma_fence_is_signaled(fence) && vrnic_fence_needs_module(fence))
			dma_resv_replace_fences(mr->dmabuf->resv, fence->context, stub,
						DMA_RESV_USAGE_BOOKKEEP);
	dma_fence_put(stub);
}

static void vrnic_dma_buf_release(struct vrnic_mr *mr)
{
	struct dma_resv *resv = mr->dmabuf->resv;

	if (mr->attach) {
		dma_resv_lock(resv, NULL);
		vrnic_audit_locked(mr);
		vrnic_dma_buf_stop_access(mr);
		vrnic_dma_buf_unmap_locked(mr);
		vrnic_unpin(mr);
		if (mr->ops->fenced)
			vrnic_drop_fences(mr);
		dma_resv_unlock(resv);

		/* No notification starts them again: there is nothing mapped. */
		cancel_delayed_work_sync(&mr->unmap_work);
		cancel_work_sync(&mr->map_work);
		vrnic_misbehave_fini(mr);
		dma_buf_detach(mr->dmabuf, mr->attach);
	}
	dma_buf_put(mr->dmabuf);
}

const struct vrnic_mr_ops vrnic_dma_buf_ops[VRNIC_MODES] = {
	[VRNIC_MODE_ON_DEMAND] = {
		.dynamic = true,
		.invalidate = vrnic_invalidate_on_demand,
		.release = vrnic_dma_buf_release,
	},
	[VRNIC_MODE_EAGER] = {
		.dynamic = true,
		.begin = vrnic_dma_buf_prefetch,
		.invalidate = vrnic_invalidate_eager,
		.release = vrnic_dma_buf_release,
	},
	[VRNIC_MODE_FENCED] = {
		.dynamic = true,
		.fenced = true,
		.invalidate = vrnic_invalidate_fenced,
		.release = vrnic_dma_buf_release,
	},
	[VRNIC_MODE_PINNED] = {
		.begin = vrnic_begin_pinned,
		.invalidate = vrnic_invalidate_pinned,
		.release = vrnic_dma_buf_release,
	},
	[VRNIC_MODE_STATIC] = {
		.begin = vrnic_begin_static,
		.release = vrnic_dma_buf_release,
	},
};
