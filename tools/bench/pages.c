// SPDX-License-Identifier: MIT
/*
 * What it costs that CPU mappings have pages (pages=1): faults and moves, to be compared with
 * those of a vvram without, and a drive's transfers to and from the buffer (O_DIRECT), compared
 * with those of a process's own memory.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices.h"
#include "rig.h"

#define REQUEST	KIB(256)

static void faults(const char *variant)
{
	uint64_t size = MIB(2);
	uint32_t handle = create(size, VRAM), i;
	double in_vram = 0, in_system = 0;

	for (i = 0; i < 20; i++)
		in_vram = least(in_vram, timed_faults(handle, size));
	move(handle, SYSTEM);
	for (i = 0; i < 20; i++)
		in_system = least(in_system, timed_faults(handle, size));
	gem_close(vvram, handle);
	report("pages-faults-vram", variant, size, in_vram);
	report("pages-faults-system", variant, size, in_system);
}

static double timed_move(uint32_t handle, uint32_t placement, void *touched, uint64_t size)
{
	uint64_t i;

	grow_tlbs();
	for (i = 0; touched && i < size; i += 4096)
		(void)((volatile uint8_t *)touched)[i];
	return move(handle, placement);
}

static void moves(const char *variant, uint64_t size, bool mapped)
{
	uint32_t handle = create(size, VRAM), i;
	void *p = mapped ? map_buffer(handle, size) : NULL;
	double from = 0, to = 0;

	for (i = 0; i < 12; i++) {
		from = least(from, timed_move(handle, SYSTEM, p, size));
		to = least(to, timed_move(handle, VRAM, p, size));
	}
	if (p)
		munmap(p, size);
	gem_close(vvram, handle);
	report(mapped ? "pages-move-mapped-from-vram" : "pages-move-from-vram", variant, size, from);
	report(mapped ? "pages-move-mapped-to-vram" : "pages-move-to-vram", variant, size, to);
}

static void transfer(int drive, bool write, uint8_t *p)
{
	ssize_t ret = write ? pwrite(drive, p, REQUEST, 0) : pread(drive, p, REQUEST, 0);

	if (ret != (ssize_t)REQUEST)
		die("the drive", ret < 0 ? -errno : -EIO);
}

/* The least time of a request of each, in turn. */
static void direct(int drive, bool write, uint8_t *own, uint8_t *vram)
{
	double best[2] = {};
	uint64_t start;
	uint32_t i;

	for (i = 0; i < 200; i++) {
		start = now();
		transfer(drive, write, i & 1 ? vram : own);
		best[i & 1] = least(best[i & 1], now() - start);
	}
	report(write ? "direct-write" : "direct-read", "malloc", REQUEST, best[0]);
	report(write ? "direct-write" : "direct-read", "vram", REQUEST, best[1]);
}

/* Bytes a second; as many to the buffer as from it. */
static double direct_for(int drive, uint8_t *p, uint64_t size, uint64_t ns)
{
	uint64_t start = now(), i;

	for (i = 0; now() - start < ns; i++)
		transfer(drive, i & 1, p + i * REQUEST % size);
	return i * REQUEST * 1e9 / (now() - start);
}

struct moves {
	uint32_t handle;
	volatile bool stop;
	uint64_t count;
};

static void *move_all_the_time(void *arg)
{
	struct moves *m = arg;

	while (!m->stop) {
		move(m->handle, m->count++ & 1 ? VRAM : SYSTEM);
		usleep(20000);
	}
	return NULL;
}

/*
 * How long a move takes that has nobody to wait for: what one waits for, the drive has
 * meanwhile. Of both ways.
 */
static double quiet_move(uint32_t handle)
{
	double best[2] = {};
	uint32_t i;

	for (i = 0; i < 20; i++) {
		best[i & 1] = least(best[i & 1], move(handle, i & 1 ? VRAM : SYSTEM));
		usleep(20000);
	}
	return (best[0] + best[1]) / 2;
}

static void direct_under_moves(int drive, uint32_t handle, uint8_t *p, uint64_t size)
{
	struct moves m = { .handle = handle };
	double alone, moved, quiet = quiet_move(handle);
	uint64_t start, elapsed;
	pthread_t thread;

	alone = direct_for(drive, p, size, 1000000000) / 2;
	move(handle, SYSTEM);
	alone += direct_for(drive, p, size, 1000000000) / 2;
	move(handle, VRAM);
	start = now();
	pthread_create(&thread, NULL, move_all_the_time, &m);
	moved = direct_for(drive, p, size, 3000000000);
	m.stop = true;
	pthread_join(thread, NULL);
	elapsed = now() - start;
	report("direct-moves", "alone", size, alone);
	report("direct-moves", "moved", size, moved);
	report("direct-moves", "share-of-moves", size, quiet * m.count / elapsed);
	report("direct-moves", "moves", size, m.count);
}

static void drive(const char *node)
{
	uint64_t size = MIB(4);
	uint32_t handle = create(size, VRAM);
	uint8_t *p = map_buffer(handle, size), *own = aligned_alloc(4096, REQUEST);
	int fd = open(node, O_RDWR | O_DIRECT | O_CLOEXEC);

	if (fd < 0)
		die(node, -errno);
	memset(own, 0x5a, REQUEST);
	memset(p, 0x5a, size);
	direct(fd, false, own, p);
	direct(fd, true, own, p);
	direct_under_moves(fd, handle, p, size);
	close(fd);
	free(own);
	munmap(p, size);
	gem_close(vvram, handle);
}

void bench_pages(void)
{
	struct drm_vvram_query query = {};
	const char *node = getenv("DRIVE"), *variant;

	/* Both kinds are to be measured: tools/bench/guest sees to that, and finds the drive. */
	if (!node)
		return;
	must("query", call(vvram, DRM_IOCTL_VVRAM_QUERY, &query));
	variant = query.flags & DRM_VVRAM_QUERY_PAGES ? "pages" : "pfns";
	faults(variant);
	moves(variant, MIB(2), false);
	moves(variant, MIB(32), false);
	moves(variant, MIB(2), true);
	if (query.flags & DRM_VVRAM_QUERY_PAGES)
		drive(node);
}
