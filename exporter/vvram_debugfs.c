// SPDX-License-Identifier: GPL-2.0
/*
 * What can be seen in debugfs: VRAM's allocator, and each buffer.
 */

#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include <drm/drm_debugfs.h>
#include <drm/drm_file.h>

#include "dma_buf.h"
#include "ttm.h"
#include "vvram_bo.h"
#include "vvram_drv.h"
#include "vvram_pages.h"

static const char *vvram_place_name(struct vvram_bo *bo)
{
	if (vvram_bo_is_imported(bo))
		return "foreign";
	if (vvram_bo_is_in_vram(bo))
		return "vram";
	if (vvram_bo_is_swapped(bo))
		return "swap";
	return "system";
}

/* A buffer that is being moved right now is shown as such instead of waited for. */
static void vvram_show_bo(struct seq_file *m, struct vvram_bo *bo)
{
	seq_printf(m, "ino=%lu size=%zu", bo->inode, bo->ttm.base.size);
	if (!dma_resv_trylock(bo->ttm.base.resv)) {
		seq_puts(m, " busy\n");
		return;
	}
	seq_printf(m, " place=%s home=%s moves=%llu notifies=%llu",
		   vvram_place_name(bo), bo->home == TTM_PL_VRAM ? "vram" : "system",
		   bo->moves, bo->notifies);
	seq_printf(m, " attachments=%zu maps=%u pins=%u held=%lu%s\n",
		   bo->dma_buf ? list_count_nodes(&bo->dma_buf->attachments) : 0,
		   bo->maps, bo->ttm.pin_count, vvram_pages_held(bo),
		   bo->revoked ? " revoked" : "");
	dma_resv_unlock(bo->ttm.base.resv);
}

static int vvram_buffers_show(struct seq_file *m, void *unused)
{
	struct drm_debugfs_entry *entry = m->private;
	struct vvram_device *vdev = to_vvram_device(entry->dev);
	struct vvram_bo *bo;

	mutex_lock(&vdev->bos_lock);
	list_for_each_entry(bo, &vdev->bos, link)
		vvram_show_bo(m, bo);
	mutex_unlock(&vdev->bos_lock);
	return 0;
}

static const struct drm_debugfs_info vvram_debugfs_files[] = {
	{ "buffers", vvram_buffers_show },
};

/**
 * vvram_debugfs_init() - &drm_driver.debugfs_init
 * @minor: the device's minor
 */
void vvram_debugfs_init(struct drm_minor *minor)
{
	struct vvram_device *vdev = to_vvram_device(minor->dev);

	drm_debugfs_add_files(minor->dev, vvram_debugfs_files,
			      ARRAY_SIZE(vvram_debugfs_files));
	ttm_resource_manager_create_debugfs(&vdev->vram_mgr.base, minor->debugfs_root,
					    "vram_mm");
	vvram_chaos_debugfs_init(vdev, minor->debugfs_root);
}
