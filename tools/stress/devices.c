// SPDX-License-Identifier: MIT

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "devices.h"
#include "vrnic.h"
#include "vvram_drm.h"

int call(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg) ? -errno : 0;
	} while (ret == -EINTR || ret == -EAGAIN);
	return ret;
}

int open_card(const char *driver)
{
	struct drm_version version;
	char path[32], name[16];
	int i, fd;

	for (i = 0; i < 16; i++) {
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		memset(name, 0, sizeof(name));
		version = (struct drm_version){ .name = name, .name_len = sizeof(name) - 1 };
		if (!call(fd, DRM_IOCTL_VERSION, &version) && !strcmp(name, driver))
			return fd;
		close(fd);
	}
	return -1;
}

int open_vvram(void)
{
	int fd = open_card("vvram");

	if (fd >= 0)
		return fd;
	fprintf(stderr, "there is no vvram device\n");
	exit(1);
}

int open_vrnic(void)
{
	int fd = open("/dev/vrnic0", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	perror("/dev/vrnic0");
	exit(1);
}

/* xorshift64*: short, and good enough to wander about. */
uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state ? *state : 1;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dULL;
}

uint64_t below(uint64_t *state, uint64_t limit)
{
	return next_random(state) % limit;
}

uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

bool devices_are_empty(int vvram, int vrnic)
{
	struct drm_vvram_query vram;
	struct vrnic_query nic;
	int i;

	for (i = 0; i < 600; i++) {
		vram = (struct drm_vvram_query){};
		nic = (struct vrnic_query){};
		if (call(vvram, DRM_IOCTL_VVRAM_QUERY, &vram) ||
		    call(vrnic, VRNIC_IOC_QUERY, &nic))
			return false;
		if (!vram.vram_used && !vram.vram_pinned && !nic.mrs)
			return true;
		usleep(100000);
	}
	fprintf(stderr, "left: %llu bytes of VRAM, %llu pinned, %u regions\n",
		(unsigned long long)vram.vram_used, (unsigned long long)vram.vram_pinned,
		(unsigned int)nic.mrs);
	return false;
}
