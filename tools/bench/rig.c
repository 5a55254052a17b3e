// SPDX-License-Identifier: MIT
/*
 * Devices, buffers, regions and traffic, for all figures.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "devices.h"
#include "drm.h"
#include "movable_bench.h"
#include "rig.h"

int vvram, vrnic, bench;

uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

double least(double a, double b)
{
	return a && a < b ? a : b;
}

int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void report(const char *figure, const char *variant, uint64_t parameter, double value)
{
	printf("%s %s %llu %.3f\n", figure, variant, (unsigned long long)parameter, value);
	fflush(stdout);
}

void die(const char *what, int ret)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(-ret));
	exit(1);
}

void must(const char *what, int ret)
{
	if (ret)
		die(what, ret);
}

/* Buffers and regions. */

uint32_t create_with(uint64_t size, uint32_t placement, uint32_t flags)
{
	struct drm_vvram_gem_create arg = {
		.size = size, .placement = placement, .flags = flags,
	};

	must("create", call(vvram, DRM_IOCTL_VVRAM_GEM_CREATE, &arg));
	return arg.handle;
}

uint32_t create(uint64_t size, uint32_t placement)
{
	return create_with(size, placement, DRM_VVRAM_GEM_CREATE_CONTIGUOUS);
}

void gem_close(int fd, uint32_t handle)
{
	struct drm_gem_close arg = { .handle = handle };

	must("close", call(fd, DRM_IOCTL_GEM_CLOSE, &arg));
}

void wait_empty(void)
{
	struct drm_vvram_query query = {};

	do {
		usleep(1000);
		must("query", call(vvram, DRM_IOCTL_VVRAM_QUERY, &query));
	} while (query.vram_used > 4096);
}

int export(int fd, uint32_t handle)
{
	struct drm_prime_handle arg = { .handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR };

	must("export", call(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &arg));
	return arg.fd;
}

uint64_t move(uint32_t handle, uint32_t placement)
{
	struct drm_vvram_gem_move arg = { .handle = handle, .placement = placement };
	uint64_t start = now();

	must("move", call(vvram, DRM_IOCTL_VVRAM_GEM_MOVE, &arg));
	return now() - start;
}

void *map_buffer(uint32_t handle, uint64_t size)
{
	struct drm_vvram_gem_mmap_offset offset = { .handle = handle };
	void *p;

	must("mmap offset", call(vvram, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, &offset));
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vvram, offset.offset);
	if (p == MAP_FAILED)
		die("mmap", -errno);
	return p;
}

uint64_t timed_faults(uint32_t handle, uint64_t size)
{
	volatile uint8_t *p = map_buffer(handle, size);
	uint64_t start = now(), i;

	for (i = 0; i < size; i += 4096)
		(void)p[i];
	start = now() - start;
	munmap((void *)p, size);
	return start;
}

struct vrnic_reg_mr reg(int fd, uint64_t size, uint32_t mode)
{
	struct vrnic_reg_mr arg = {
		.fd = fd, .length = size, .mode = mode,
		.access = VRNIC_ACCESS_REMOTE_READ | VRNIC_ACCESS_REMOTE_WRITE,
	};

	must("register", call(vrnic, VRNIC_IOC_REG_MR, &arg));
	return arg;
}

static struct vrnic_reg_mr reg_user(void *p, uint64_t size)
{
	struct vrnic_reg_mr arg = {
		.fd = -1, .flags = VRNIC_REG_MR_USER, .addr = (uintptr_t)p, .length = size,
		.access = VRNIC_ACCESS_LOCAL_WRITE,
	};

	must("register memory", call(vrnic, VRNIC_IOC_REG_MR, &arg));
	return arg;
}

void dereg(const struct vrnic_reg_mr *mr)
{
	struct vrnic_dereg_mr arg = { .handle = mr->handle };

	must("deregister", call(vrnic, VRNIC_IOC_DEREG_MR, &arg));
}

uint64_t map(const struct vrnic_reg_mr *mr)
{
	struct vrnic_advise_mr arg = {
		.handle = mr->handle, .advice = VRNIC_ADVISE_PREFETCH_WRITE,
		.flags = VRNIC_ADVISE_FLUSH,
	};
	uint64_t start = now();

	must("map", call(vrnic, VRNIC_IOC_ADVISE_MR, &arg));
	return now() - start;
}

static uint32_t create_queue(uint32_t depth)
{
	struct vrnic_create_queue arg = { .depth = depth, .eventfd = -1 };

	must("queue", call(vrnic, VRNIC_IOC_CREATE_QUEUE, &arg));
	return arg.handle;
}

static void destroy_queue(uint32_t queue)
{
	struct vrnic_queue arg = { .handle = queue };

	must("destroy queue", call(vrnic, VRNIC_IOC_DESTROY_QUEUE, &arg));
}

void post(uint32_t queue, struct vrnic_wr *wrs, uint32_t count)
{
	struct vrnic_post arg = { .queue = queue, .count = count, .wrs = (uintptr_t)wrs };

	must("post", call(vrnic, VRNIC_IOC_POST, &arg));
}

/* Without @timeout it does not sleep, as benchmarks of RDMA do not. */
void poll_all(uint32_t queue, uint32_t count, int64_t timeout)
{
	struct vrnic_wc wcs[64] = {};
	struct vrnic_poll arg;
	uint32_t i;

	while (count) {
		arg = (struct vrnic_poll) {
			.queue = queue, .count = count < 64 ? count : 64, .wcs = (uintptr_t)wcs,
			.timeout_ns = timeout,
		};
		must("poll", call(vrnic, VRNIC_IOC_POLL, &arg));
		for (i = 0; i < arg.count; i++)
			if (wcs[i].status)
				die("a request failed", -(int)wcs[i].status);
		count -= arg.count;
	}
}

void traffic_init(struct traffic *t, const struct vrnic_reg_mr *to, uint32_t op,
		  uint32_t size, uint32_t count)
{
	uint32_t i;

	t->queue = create_queue(64);
	t->count = count;
	t->timeout = 0;
	t->p = aligned_alloc(size < MIB(1) ? 4096 : MIB(2), size);
	if (size >= MIB(1))
		madvise(t->p, size, MADV_HUGEPAGE);
	memset(t->p, 0x5a, size);
	t->mem = reg_user(t->p, size);
	t->sge = (struct vrnic_sge){ .length = size, .lkey = t->mem.lkey };
	for (i = 0; i < count; i++)
		t->wrs[i] = (struct vrnic_wr) {
			.opcode = op, .rkey = to->rkey, .num_sge = 1, .sge = (uintptr_t)&t->sge,
		};
}

void traffic_fini(struct traffic *t)
{
	destroy_queue(t->queue);
	dereg(&t->mem);
	free(t->p);
}

uint64_t traffic_run(struct traffic *t)
{
	uint64_t start = now();

	post(t->queue, t->wrs, t->count);
	poll_all(t->queue, t->count, t->timeout);
	return now() - start;
}

/*
 * A direct mapped TLB of few entries, which an emulated CPU has after idling, holds no
 * two places that are apart by a multiple of its reach: copies then take ten times as
 * long. Real ones are not like that: all copies that are timed start with large ones.
 */
void grow_tlbs(void)
{
	must("TLBs", ioctl(bench, MOVABLE_BENCH_GROW_TLBS) ? -errno : 0);
}

double memcpy_ns(int fd, uint64_t size, bool from)
{
	struct movable_bench_memcpy arg = { .fd = fd, .from = from, .size = size };

	grow_tlbs();
	must("memcpy", call(bench, MOVABLE_BENCH_MEMCPY, &arg));
	return arg.ns;
}
