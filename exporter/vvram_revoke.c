// SPDX-License-Identifier: GPL-2.0
/*
 * Revocation: importers lose a buffer for good.
 *
 * One path for the ioctl, for PCI unbind and hot-unplug, and for module unload:
 * flag under the reservation, invalidate, wait for the fences, then for all
 * unmaps (dma_buf_invalidate_mappings()). Later attachments and mappings fail
 * with -ENODEV.
 */

#include <linux/dma-resv.h>

#include "dma_buf.h"
#include "vvram_bo.h"
#include "vvram_dma_buf.h"
#include "vvram_drv.h"
#include "vvram_move.h"
#include "vvram_revoke.h"
#include "vvram_trace.h"

/* Without notifications an importer keeps its mapping for as long as it likes. */
static bool vvram_can_revoke(struct vvram_bo *bo)
{
	struct dma_buf_attachment *attach;

	dma_resv_assert_held(bo->ttm.base.resv);

	if (!bo->dma_buf)
		return true;
	list_for_each_entry(attach, &bo->dma_buf->attachments, node)
		if (!dma_buf_attach_revocable(attach))
			return false;
	return true;
}

static void vvram_revoke_locked(struct vvram_bo *bo)
{
	dma_resv_assert_held(bo->ttm.base.resv);

	if (bo->revoked)
		return;
	bo->revoked = true;
	trace_vvram_revoke(bo);
	vvram_notify_importers(bo);
}

static bool vvram_is_unmapped(struct vvram_bo *bo)
{
	return !READ_ONCE(bo->maps);
}

/**
 * vvram_revoke() - take a buffer away from its importers
 * @bo: the buffer
 *
 * Return: 0 when no importer has a mapping or DMA in flight any more;
 * -EOPNOTSUPP when one of them can't be told; -EINTR after a signal, with the
 * buffer revoked: call again to wait.
 */
int vvram_revoke(struct vvram_bo *bo)
{
	struct dma_resv *resv = bo->ttm.base.resv;
	long ret;

	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret)
		return ret;
	if (!bo->revoked && !vvram_can_revoke(bo)) {
		dma_resv_unlock(resv);
		return -EOPNOTSUPP;
	}
	vvram_revoke_locked(bo);
	ret = dma_resv_wait_timeout(resv, DMA_RESV_USAGE_BOOKKEEP, true,
				    MAX_SCHEDULE_TIMEOUT);
	dma_resv_unlock(resv);
	if (ret < 0)
		return ret;

	return wait_event_interruptible(bo->unmapped, vvram_is_unmapped(bo));
}

/* One that importers may still use, with a reference. */
static struct vvram_bo *vvram_next_exposed(struct vvram_device *vdev)
{
	struct vvram_bo *bo, *found = NULL;

	mutex_lock(&vdev->bos_lock);
	list_for_each_entry(bo, &vdev->bos, link) {
		if ((READ_ONCE(bo->revoked) && vvram_is_unmapped(bo)) ||
		    !kref_get_unless_zero(&bo->ttm.base.refcount))
			continue;
		found = bo;
		break;
	}
	mutex_unlock(&vdev->bos_lock);
	return found;
}

/**
 * vvram_revoke_all() - take all buffers away from their importers
 * @vdev: the device, unplugged
 *
 * Does not return before every importer has unmapped: their DMA addresses end
 * with the device (Documentation/driver-api/pci/p2pdma.rst).
 */
void vvram_revoke_all(struct vvram_device *vdev)
{
	struct vvram_bo *bo;

	while ((bo = vvram_next_exposed(vdev))) {
		dma_resv_lock(bo->ttm.base.resv, NULL);
		vvram_revoke_locked(bo);
		dma_resv_wait_timeout(bo->ttm.base.resv, DMA_RESV_USAGE_BOOKKEEP, false,
				      MAX_SCHEDULE_TIMEOUT);
		dma_resv_unlock(bo->ttm.base.resv);

		wait_event(bo->unmapped, vvram_is_unmapped(bo));
		drm_gem_object_put(&bo->ttm.base);
	}
}
