/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_DRM_DUMB_BUFFERS_H
#define COMPAT_DRM_DUMB_BUFFERS_H

#ifdef HAVE_DRM_MODE_SIZE_DUMB
#include <drm/drm_dumb_buffers.h>
#else
#include <linux/mm.h>
#include <linux/overflow.h>

#include <drm/drm_mode.h>

/* Before 6.19 each driver computes the size by itself. */
static inline int drm_mode_size_dumb(struct drm_device *drm, struct drm_mode_create_dumb *args,
				     unsigned long pitch_align, unsigned long size_align)
{
	u32 pitch;

	if (check_mul_overflow(args->width, DIV_ROUND_UP(args->bpp, 8), &pitch) ||
	    pitch > U32_MAX - pitch_align)
		return -EINVAL;
	args->pitch = ALIGN(pitch, pitch_align);
	args->size = ALIGN((u64)args->pitch * args->height, max(size_align, PAGE_SIZE));
	return args->size ? 0 : -EINVAL;
}
#endif

#endif /* COMPAT_DRM_DUMB_BUFFERS_H */
