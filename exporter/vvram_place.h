/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_PLACE_H
#define VVRAM_PLACE_H

#include <linux/types.h>

struct vvram_bo;
struct vvram_device;
struct vvram_sync_set;

int vvram_placing_begin(struct vvram_device *vdev, u32 mem_type);
void vvram_placing_end(struct vvram_device *vdev, u32 mem_type);
bool vvram_may_return(struct vvram_bo *bo);
int vvram_place(struct vvram_bo *bo, u32 mem_type, struct vvram_sync_set *syncs);
int vvram_vacate(struct vvram_device *vdev);

#endif /* VVRAM_PLACE_H */
