// SPDX-License-Identifier: MIT
/*
 * The device, and who asks it. Programs that know how to allocate device memory know it of
 * some DRM drivers only (pyverbs: amdgpu and i915). For them vvram is amdgpu, as far as they
 * go: its name, a buffer, the offset for mmap().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <amdgpu_drm.h>
#include <vvram_drm.h>

#include "movable.h"

#define NAME	"vvram"
#define POSE	"amdgpu"

static int raw_ioctl(int fd, unsigned long request, void *arg)
{
	return syscall(SYS_ioctl, fd, request, arg);
}

int card_call(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = raw_ioctl(fd, request, arg);
	} while (ret && (errno == EINTR || errno == EAGAIN));
	return ret ? -errno : 0;
}

bool card_is_vvram(int fd)
{
	char name[16] = "";
	struct drm_version version = { .name = name, .name_len = sizeof(name) - 1 };

	return !card_call(fd, DRM_IOCTL_VERSION, &version) && !strcmp(name, NAME);
}

int card_open(void)
{
	char path[32];
	int fd, i;

	for (i = 128; i < 192; i++) {
		snprintf(path, sizeof(path), "/dev/dri/renderD%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && card_is_vvram(fd))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -1;
}

static int pose_version(int fd, struct drm_version *version)
{
	size_t room = version->name ? version->name_len : 0;
	int ret = raw_ioctl(fd, DRM_IOCTL_VERSION, version);

	if (ret || version->name_len != strlen(NAME))
		return ret;
	if (room >= strlen(NAME) && strncmp(version->name, NAME, strlen(NAME)))
		return ret;
	if (room >= strlen(POSE))
		memcpy(version->name, POSE, strlen(POSE));
	version->name_len = strlen(POSE);
	return ret;
}

static int pose_create(int fd, union drm_amdgpu_gem_create *arg)
{
	struct drm_vvram_gem_create create = {
		.size = arg->in.bo_size,
		.placement = arg->in.domains & AMDGPU_GEM_DOMAIN_VRAM ?
			     DRM_VVRAM_PLACEMENT_VRAM : DRM_VVRAM_PLACEMENT_SYSTEM,
	};
	int ret = raw_ioctl(fd, DRM_IOCTL_VVRAM_GEM_CREATE, &create);

	if (ret)
		return ret;
	memset(arg, 0, sizeof(*arg));
	arg->out.handle = create.handle;
	count(&counts->allocated, 1);
	return 0;
}

static int pose_mmap(int fd, union drm_amdgpu_gem_mmap *arg)
{
	struct drm_vvram_gem_mmap_offset offset = { .handle = arg->in.handle };
	int ret = raw_ioctl(fd, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, &offset);

	if (!ret)
		arg->out.addr_ptr = offset.offset;
	return ret;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *arg;

	va_start(list, request);
	arg = va_arg(list, void *);
	va_end(list);

	if (request == DRM_IOCTL_VERSION)
		return pose_version(fd, arg);
	if (request == DRM_IOCTL_AMDGPU_GEM_CREATE && card_is_vvram(fd))
		return pose_create(fd, arg);
	if (request == DRM_IOCTL_AMDGPU_GEM_MMAP && card_is_vvram(fd))
		return pose_mmap(fd, arg);
	return raw_ioctl(fd, request, arg);
}
