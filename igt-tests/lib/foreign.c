// SPDX-License-Identifier: MIT

#include "foreign.h"

static uint64_t free_vram(int fd)
{
	struct drm_vvram_query query = vvram_query(fd);

	return query.vram_size - query.vram_used;
}

struct small_vram small_vram_make(uint64_t rest)
{
	struct small_vram small = { .fd = drm_open_driver(DRIVER_ANY) };
	uint64_t size = free_vram(small.fd);
	uint32_t handle;

	if (size > rest) {
		handle = vvram_create(small.fd, size - rest, VRAM);
		while (vvram_info(small.fd, handle).flags & DRM_VVRAM_INFO_BUSY)
			usleep(10000);
	}
	small.used = vvram_query(small.fd).vram_used;
	return small;
}

void small_vram_free(struct small_vram *small)
{
	drm_close_driver(small->fd);
}

void small_vram_wait(const struct small_vram *small)
{
	uint64_t end = now_ms() + 60000;

	while (vvram_query(small->fd).vram_used > small->used) {
		igt_assert_f(now_ms() < end, "VRAM is still in use\n");
		usleep(10000);
	}
}

void foreign_leave(const struct small_vram *small)
{
	int client = drm_open_driver(DRIVER_ANY);
	uint64_t size, i, *p;
	uint32_t handle;

	small_vram_wait(small);
	size = free_vram(client);
	handle = vvram_create(client, size, VRAM);
	p = vvram_mmap(client, handle, size);
	for (i = 0; i < size / 8; i++)
		p[i] = FOREIGN;
	igt_assert_eq(vvram_info(client, handle).placement, VRAM);
	munmap(p, size);
	drm_close_driver(client);
	small_vram_wait(small);
}

uint64_t foreign_count(const void *p, uint64_t size)
{
	const uint64_t *w = p;
	uint64_t i, n = 0;

	for (i = 0; i < size / 8; i++)
		n += w[i] == FOREIGN;
	return n;
}

void assert_zero(const void *p, uint64_t size)
{
	const uint64_t *w = p;
	uint64_t i;

	igt_assert_f(!foreign_count(p, size), "%llu of %llu bytes are of another client\n",
		     (unsigned long long)foreign_count(p, size) * 8, (unsigned long long)size);
	for (i = 0; i < size / 8; i++)
		igt_assert_f(!w[i], "%#llx at %#llx\n", (unsigned long long)w[i],
			     (unsigned long long)i * 8);
}
