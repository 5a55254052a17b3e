/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_CPU_H
#define VVRAM_CPU_H

struct drm_gem_object;
struct iosys_map;
struct vm_area_struct;
struct vm_operations_struct;

extern const struct vm_operations_struct vvram_vm_ops;

int vvram_gem_mmap(struct drm_gem_object *gem, struct vm_area_struct *vma);
int vvram_gem_vmap(struct drm_gem_object *gem, struct iosys_map *map);
void vvram_gem_vunmap(struct drm_gem_object *gem, struct iosys_map *map);

#endif /* VVRAM_CPU_H */
