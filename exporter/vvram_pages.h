/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_PAGES_H
#define VVRAM_PAGES_H

#include <linux/mm_types.h>
#include <linux/types.h>

struct vvram_bo;
struct vvram_device;
struct vvram_segments;

bool vvram_bo_has_pages(struct vvram_bo *bo);
bool vvram_pages_may_stay(struct vvram_bo *bo);
vm_fault_t vvram_pages_fault(struct vm_fault *vmf);
vm_fault_t vvram_pages_fault_nothing(struct vm_fault *vmf);
vm_fault_t vvram_pages_fault_yield(struct vm_fault *vmf);

unsigned long vvram_pages_held(struct vvram_bo *bo);
bool vvram_segments_are_used(struct vvram_device *vdev, const struct vvram_segments *segs);
bool vvram_pages_settle(struct vvram_bo *bo);
int vvram_pages_wait(struct vvram_bo *bo, unsigned long end);
unsigned long vvram_pages_deadline(void);
void vvram_pages_be_patient(struct vvram_bo *bo);
void vvram_pages_drain_begin(struct vvram_bo *bo);
void vvram_pages_drain_end(struct vvram_bo *bo);
void vvram_pages_drain_all(struct vvram_device *vdev);

#endif /* VVRAM_PAGES_H */
