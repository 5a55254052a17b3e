/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_IOCTL_H
#define VVRAM_IOCTL_H

#include <linux/types.h>

struct drm_device;
struct drm_file;
struct drm_ioctl_desc;
struct drm_mode_create_dumb;

extern const struct drm_ioctl_desc vvram_ioctls[];
extern const int vvram_num_ioctls;

int vvram_dumb_create(struct drm_file *file, struct drm_device *drm,
		      struct drm_mode_create_dumb *args);

#endif /* VVRAM_IOCTL_H */
