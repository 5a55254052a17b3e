// SPDX-License-Identifier: GPL-2.0
/*
 * Memory pressure: buffers in system memory that nobody uses right now go to swap.
 *
 * Importers are notified as of any other move, from within reclaim: what they do
 * then may not allocate (&dma_buf_attach_ops.invalidate_mappings).
 */

#include <linux/sched/signal.h>
#include <linux/shrinker.h>
#include <linux/swap.h>

#include <drm/drm_managed.h>

#include "ttm.h"
#include "vvram_bo.h"
#include "vvram_drv.h"
#include "vvram_pages.h"

static unsigned long vvram_shrinker_count(struct shrinker *shrinker,
					  struct shrink_control *sc)
{
	struct vvram_device *vdev = shrinker->private_data;
	unsigned long pages;

	/* Swap is reached through shmem, a filesystem. */
	if (!(sc->gfp_mask & __GFP_FS))
		return 0;
	pages = min_t(unsigned long, atomic_long_read(&vdev->tt_pages),
		      compat_ttm_backup_pages());
	return pages ? pages : SHRINK_EMPTY;
}

static bool vvram_may_shrink(struct ttm_buffer_object *tbo)
{
	return !vvram_bo_is_ghost(tbo) && tbo->type != ttm_bo_type_sg &&
	       vvram_pages_settle(ttm_to_vvram_bo(tbo));
}

static void vvram_bo_shrunk(struct ttm_buffer_object *tbo)
{
	vvram_tt_account(ttm_to_vvram_device(tbo->bdev), tbo->ttm, false);
	vvram_swap_notify(tbo);
}

static unsigned long vvram_shrinker_scan(struct shrinker *shrinker,
					 struct shrink_control *sc)
{
	struct vvram_device *vdev = shrinker->private_data;
	/* Only kswapd has the time to wait for a fence. */
	struct ttm_operation_ctx ctx = { .no_wait_gpu = !current_is_kswapd() };
	unsigned long freed = 0;
	u32 type;

	/* Somebody waits for those at work, and would wait for us too. */
	if (!down_read_trylock(&vdev->shrinking))
		return SHRINK_STOP;

	for (type = TTM_PL_SYSTEM; type <= TTM_PL_TT && freed < sc->nr_to_scan; type++)
		freed += compat_ttm_shrink(ttm_manager_type(&vdev->ttm, type), &ctx,
					   vvram_may_shrink, vvram_bo_shrunk,
					   sc->nr_to_scan - freed);

	up_read(&vdev->shrinking);
	sc->nr_scanned = freed;
	return freed ? freed : SHRINK_STOP;
}

/**
 * vvram_shrinker_wait() - wait for the memory that is just being given back
 * @vdev: the device
 *
 * A shrinker keeps the buffer that it swaps out to itself for as long as that takes.
 * Others that reclaim find nothing meanwhile, and give up too early. A reservation
 * may be held: shrinkers only try to take one.
 *
 * Return: 0, or -EINTR when the process is being killed.
 */
int vvram_shrinker_wait(struct vvram_device *vdev)
{
	if (fatal_signal_pending(current) || down_write_killable(&vdev->shrinking))
		return -EINTR;
	up_write(&vdev->shrinking);
	return 0;
}

static void vvram_shrinker_fini(struct drm_device *drm, void *shrinker)
{
	shrinker_free(shrinker);
}

/**
 * vvram_shrinker_init() - let the kernel ask for memory back
 * @vdev: the device, TTM set up
 *
 * Return: 0 or -ENOMEM.
 */
int vvram_shrinker_init(struct vvram_device *vdev)
{
	struct shrinker *shrinker;

	init_rwsem(&vdev->shrinking);
	shrinker = shrinker_alloc(0, "drm-vvram:%s", vdev->drm.unique);
	if (!shrinker)
		return -ENOMEM;

	shrinker->count_objects = vvram_shrinker_count;
	shrinker->scan_objects = vvram_shrinker_scan;
	shrinker->private_data = vdev;
	shrinker_register(shrinker);
	return drmm_add_action_or_reset(&vdev->drm, vvram_shrinker_fini, shrinker);
}
