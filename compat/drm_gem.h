/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_DRM_GEM_H
#define COMPAT_DRM_GEM_H

#include <drm/drm_gem.h>

/* Before 6.13 drm_print_memory_stats() always prints the active memory. */
#ifndef HAVE_DRM_GEM_OBJECT_ACTIVE
#define DRM_GEM_OBJECT_ACTIVE	0
#endif

#endif /* COMPAT_DRM_GEM_H */
