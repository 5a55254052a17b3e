/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_QUARANTINE_H
#define VVRAM_QUARANTINE_H

#include <linux/types.h>

struct vvram_device;
struct vvram_segments;
struct vvram_suspects;
struct vvram_vram_mgr;
struct vvram_vram_resource;

void vvram_stale_write(struct vvram_device *vdev, struct vvram_suspects *suspects, u64 offset);
void vvram_quarantine_mark(struct vvram_segments *segs, struct vvram_suspects *suspects);
void vvram_quarantine_unmark(struct vvram_segments *segs);
bool vvram_quarantine_take(struct vvram_vram_mgr *mgr, struct vvram_vram_resource *vres);
bool vvram_quarantine_release_one(struct vvram_vram_mgr *mgr);
void vvram_quarantine_end(struct vvram_device *vdev);
void vvram_quarantine_init(struct vvram_vram_mgr *mgr);
void vvram_quarantine_fini(struct vvram_device *vdev);

#endif /* VVRAM_QUARANTINE_H */
