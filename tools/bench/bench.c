// SPDX-License-Identifier: MIT
/*
 * One pass of the benchmark: what is compared runs right after each other. Prints
 * "FIGURE VARIANT PARAMETER VALUE" lines, which tools/bench/report sums up.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "devices.h"
#include "drm.h"
#include "movable_bench.h"
#include "vrnic.h"
#include "vvram_drm.h"

#define KIB(n)		((uint64_t)(n) << 10)
#define MIB(n)		((uint64_t)(n) << 20)
#define VRAM		DRM_VVRAM_PLACEMENT_VRAM
#define SYSTEM		DRM_VVRAM_PLACEMENT_SYSTEM
#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

static int vvram, vrnic, bench;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static double least(double a, double b)
{
	return a && a < b ? a : b;
}

static void report(const char *figure, const char *variant, uint64_t parameter, double value)
{
	printf("%s %s %llu %.3f\n", figure, variant, (unsigned long long)parameter, value);
	fflush(stdout);
}

static void die(const char *what, int ret)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(-ret));
	exit(1);
}

static void must(const char *what, int ret)
{
	if (ret)
		die(what, ret);
}

/* Buffers and regions. */

static uint32_t create_with(uint64_t size, uint32_t placement, uint32_t flags)
{
	struct drm_vvram_gem_create arg = {
		.size = size, .placement = placement, .flags = flags,
	};

	must("create", call(vvram, DRM_IOCTL_VVRAM_GEM_CREATE, &arg));
	return arg.handle;
}

static uint32_t create(uint64_t size, uint32_t placement)
{
	return create_with(size, placement, DRM_VVRAM_GEM_CREATE_CONTIGUOUS);
}

static void gem_close(int fd, uint32_t handle)
{
	struct drm_gem_close arg = { .handle = handle };

	must("close", call(fd, DRM_IOCTL_GEM_CLOSE, &arg));
}

static int export(int fd, uint32_t handle)
{
	struct drm_prime_handle arg = { .handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR };

	must("export", call(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &arg));
	return arg.fd;
}

static uint64_t move(uint32_t handle, uint32_t placement)
{
	struct drm_vvram_gem_move arg = { .handle = handle, .placement = placement };
	uint64_t start = now();

	must("move", call(vvram, DRM_IOCTL_VVRAM_GEM_MOVE, &arg));
	return now() - start;
}

static struct vrnic_reg_mr reg(int fd, uint64_t size, uint32_t mode)
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

static void dereg(const struct vrnic_reg_mr *mr)
{
	struct vrnic_dereg_mr arg = { .handle = mr->handle };

	must("deregister", call(vrnic, VRNIC_IOC_DEREG_MR, &arg));
}

static uint64_t map(const struct vrnic_reg_mr *mr)
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

static void post(uint32_t queue, struct vrnic_wr *wrs, uint32_t count)
{
	struct vrnic_post arg = { .queue = queue, .count = count, .wrs = (uintptr_t)wrs };

	must("post", call(vrnic, VRNIC_IOC_POST, &arg));
}

/* Without @timeout it does not sleep, as benchmarks of RDMA do not. */
static void poll_all(uint32_t queue, uint32_t count, int64_t timeout)
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

/* Memory, a queue and requests of one size, all to the same region. */
struct traffic {
	uint32_t queue, count;
	int64_t timeout;
	uint8_t *p;
	struct vrnic_reg_mr mem;
	struct vrnic_sge sge;
	struct vrnic_wr wrs[64];
};

static void traffic_init(struct traffic *t, const struct vrnic_reg_mr *to, uint32_t op,
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

static void traffic_fini(struct traffic *t)
{
	destroy_queue(t->queue);
	dereg(&t->mem);
	free(t->p);
}

static uint64_t traffic_run(struct traffic *t)
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
static void grow_tlbs(void)
{
	must("TLBs", ioctl(bench, MOVABLE_BENCH_GROW_TLBS) ? -errno : 0);
}

/* Migration. */

static double memcpy_ns(int fd, uint64_t size, bool from)
{
	struct movable_bench_memcpy arg = { .fd = fd, .from = from, .size = size };

	grow_tlbs();
	must("memcpy", call(bench, MOVABLE_BENCH_MEMCPY, &arg));
	return arg.ns;
}

static void set_ttm_copy(bool on)
{
	const char *dir = getenv("VVRAM_DEBUGFS");
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/chaos/ttm_copy", dir ?: "/sys/kernel/debug/dri/0");
	f = fopen(path, "w");
	if (!f)
		die(path, -errno);
	fprintf(f, "%d\n", on);
	fclose(f);
}

/* @page is moved ahead, so that the way is warm. */
static double timed_move(uint32_t page, uint32_t handle, uint32_t placement)
{
	grow_tlbs();
	move(page, placement);
	return move(handle, placement);
}

/* Each time with other pages, and the least of all. */
static void migrate(uint64_t size)
{
	unsigned int n = size >= MIB(128) ? 8 : 12, i;
	double to = 0, from = 0, ttm_to = 0, ttm_from = 0, cpu_to = 0, cpu_from = 0;
	uint32_t page = create(4096, VRAM), handle, spacer[12];
	int fd;

	for (i = 0; i < n; i++) {
		spacer[i] = create(MIB(2) << i % 4, SYSTEM);
		handle = create(size, VRAM);
		fd = export(vvram, handle);
		cpu_to = least(cpu_to, memcpy_ns(fd, size, false));
		cpu_from = least(cpu_from, memcpy_ns(fd, size, true));
		from = least(from, timed_move(page, handle, SYSTEM));
		to = least(to, timed_move(page, handle, VRAM));
		set_ttm_copy(true);
		ttm_from = least(ttm_from, timed_move(page, handle, SYSTEM));
		ttm_to = least(ttm_to, timed_move(page, handle, VRAM));
		set_ttm_copy(false);
		close(fd);
		gem_close(vvram, handle);
	}
	while (i)
		gem_close(vvram, spacer[--i]);
	gem_close(vvram, page);
	report("migrate-to-vram", "vvram", size, to);
	report("migrate-to-vram", "memcpy", size, cpu_to);
	report("migrate-to-vram", "ttm", size, ttm_to);
	report("migrate-from-vram", "vvram", size, from);
	report("migrate-from-vram", "memcpy", size, cpu_from);
	report("migrate-from-vram", "ttm", size, ttm_from);
}

/* The engine. */

static void engine(void)
{
	uint32_t handle = create(MIB(4), VRAM), i, k, n = 16;
	double cpu = 0, alone = 0, both = 0;
	int fd = export(vvram, handle);
	struct vrnic_reg_mr mr = reg(fd, MIB(4), VRNIC_MR_PINNED);
	struct traffic one, two;
	uint64_t start;

	for (k = 0; k < 16; k++) {
		traffic_init(&one, &mr, VRNIC_OP_WRITE, MIB(2), n);
		traffic_init(&two, &mr, VRNIC_OP_WRITE, MIB(2), n);
		for (i = 0; i < n; i++) {
			one.sge.length = two.sge.length = MIB(1);
			two.wrs[i].remote_addr = MIB(2);
		}
		traffic_run(&one);
		traffic_run(&two);
		grow_tlbs();
		start = now();
		post(one.queue, one.wrs, n);
		poll_all(one.queue, n, -1);
		alone = least(alone, (double)(now() - start) / n);
		for (i = 0; i < n; i++)
			cpu = least(cpu, memcpy_ns(fd, MIB(1), false));
		grow_tlbs();
		start = now();
		post(one.queue, one.wrs, n);
		post(two.queue, two.wrs, n);
		poll_all(one.queue, n, -1);
		poll_all(two.queue, n, -1);
		both = least(both, (double)(now() - start) / (2 * n));
		traffic_fini(&two);
		traffic_fini(&one);
	}
	report("engine-write", "one-queue", MIB(1), alone);
	report("engine-write", "memcpy", MIB(1), cpu);
	report("engine-write", "two-queues", MIB(1), both);
	dereg(&mr);
	close(fd);
	gem_close(vvram, handle);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void small(void)
{
	static uint64_t each[2000];
	uint32_t handle = create(KIB(64), VRAM), i;
	int fd = export(vvram, handle);
	struct vrnic_reg_mr mr = reg(fd, KIB(64), VRNIC_MR_ON_DEMAND);
	struct traffic t;
	uint64_t ns = 0;

	traffic_init(&t, &mr, VRNIC_OP_WRITE, 64, 64);
	traffic_run(&t);
	for (i = 0; i < 200; i++)
		ns += traffic_run(&t);
	report("small-writes", "vrnic", 64, 64.0 * 200 * 1e9 / ns);
	traffic_fini(&t);

	traffic_init(&t, &mr, VRNIC_OP_WRITE, 4096, 1);
	traffic_run(&t);
	for (i = 0; i < ARRAY_LEN(each); i++)
		each[i] = traffic_run(&t);
	qsort(each, ARRAY_LEN(each), sizeof(each[0]), by_size);
	report("latency", "vrnic", 4096, each[ARRAY_LEN(each) / 2]);
	traffic_fini(&t);
	dereg(&mr);
	close(fd);
	gem_close(vvram, handle);
}

static void warm(void)
{
	uint32_t handle = create(MIB(1), VRAM), i;
	int fd = export(vvram, handle);
	struct vrnic_reg_mr mr[2];
	struct traffic t[2];
	double best[2] = {};

	mr[0] = reg(fd, MIB(1), VRNIC_MR_ON_DEMAND);
	mr[1] = reg(fd, MIB(1), VRNIC_MR_PINNED);
	for (i = 0; i < 2; i++) {
		traffic_init(&t[i], &mr[i], VRNIC_OP_WRITE, KIB(16), 64);
		traffic_run(&t[i]);
	}
	for (i = 0; i < 100; i++)
		best[i & 1] = least(best[i & 1], traffic_run(&t[i & 1]));
	report("warm", "on-demand", KIB(16), best[0]);
	report("warm", "pinned", KIB(16), best[1]);
	for (i = 0; i < 2; i++) {
		traffic_fini(&t[i]);
		dereg(&mr[i]);
	}
	close(fd);
	gem_close(vvram, handle);
}

/* Mapping. */

static double map_unmap(int fd, uint64_t size, unsigned int n)
{
	double with = 0, without = 0;
	struct vrnic_reg_mr mr;
	uint64_t start;

	while (n--) {
		start = now();
		mr = reg(fd, size, VRNIC_MR_ON_DEMAND);
		dereg(&mr);
		without = least(without, now() - start);
		start = now();
		mr = reg(fd, size, VRNIC_MR_ON_DEMAND);
		map(&mr);
		dereg(&mr);
		with = least(with, now() - start);
	}
	if (with <= without)
		die("mapping took no time", -ERANGE);
	return with - without;
}

static int make_udmabuf(uint64_t size)
{
	int memfd = memfd_create("bench", MFD_ALLOW_SEALING), dev, fd;
	struct udmabuf_create arg = { .memfd = memfd, .size = size };

	if (ftruncate(memfd, size) || fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		die("memfd", -errno);
	dev = open("/dev/udmabuf", O_RDWR);
	fd = dev < 0 ? -1 : ioctl(dev, UDMABUF_CREATE, &arg);
	if (fd < 0)
		die("udmabuf", -errno);
	close(dev);
	close(memfd);
	return fd;
}

static void mapping(void)
{
	uint32_t handle = create(MIB(64), VRAM);
	int fd = export(vvram, handle), udma = make_udmabuf(MIB(64));

	report("map-vram", "vvram", MIB(64), map_unmap(fd, MIB(64), 20));
	report("map-vram", "udmabuf", MIB(64), map_unmap(udma, MIB(64), 4));
	move(handle, SYSTEM);
	report("map-system", "vvram", MIB(64), map_unmap(fd, MIB(64), 20));
	report("map-system", "udmabuf", MIB(64), map_unmap(udma, MIB(64), 4));
	close(udma);
	close(fd);
	gem_close(vvram, handle);
}

static void import_and_close(int fd)
{
	struct vrnic_reg_mr mr = reg(fd, 4096, VRNIC_MR_ON_DEMAND);

	dereg(&mr);
	close(fd);
}

static int open_vgem(void)
{
	struct drm_version version = {};
	char path[32], name[16];
	int i, fd;

	for (i = 0; i < 16; i++) {
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		memset(name, 0, sizeof(name));
		version = (struct drm_version){ .name = name, .name_len = sizeof(name) - 1 };
		if (fd >= 0 && !call(fd, DRM_IOCTL_VERSION, &version) && !strcmp(name, "vgem"))
			return fd;
		close(fd);
	}
	return -1;
}

static uint32_t make_dumb(int fd)
{
	struct drm_mode_create_dumb arg = { .width = 32, .height = 32, .bpp = 32 };

	must("dumb buffer", call(fd, DRM_IOCTL_MODE_CREATE_DUMB, &arg));
	return arg.handle;
}

static void live_as_gem(int fd, uint32_t handle)
{
	import_and_close(export(fd, handle));
	gem_close(fd, handle);
}

static void live_in_heap(int heap)
{
	struct dma_heap_allocation_data arg = { .len = 4096, .fd_flags = O_RDWR | O_CLOEXEC };

	must("dma-heap", call(heap, DMA_HEAP_IOCTL_ALLOC, &arg));
	import_and_close(arg.fd);
}

static void lifetimes(void)
{
	static const char *const names[] = { "vvram", "vvram-system", "vgem", "dma-heap" };
	int vgem = open_vgem(), heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
	double best[ARRAY_LEN(names)] = {};
	uint32_t round, who, i, n = 50;
	uint64_t start;

	if (vgem < 0 || heap < 0)
		die("vgem or the system dma-heap is missing", -ENODEV);
	for (round = 0; round < 8; round++) {
		for (who = 0; who < ARRAY_LEN(names); who++) {
			start = now();
			for (i = 0; i < n; i++) {
				if (who < 2)
					live_as_gem(vvram, create(4096, who ? SYSTEM : VRAM));
				else if (who == 2)
					live_as_gem(vgem, make_dumb(vgem));
				else
					live_in_heap(heap);
			}
			best[who] = least(best[who], (double)(now() - start) / n);
		}
	}
	for (who = 0; who < ARRAY_LEN(names); who++)
		report("lifetime", names[who], 4096, best[who]);
	close(heap);
	close(vgem);
}

/* Moves under an importer. */

static void first_byte(uint64_t size)
{
	static const uint32_t places[] = { SYSTEM, VRAM };
	uint32_t handle = create(size, VRAM), i, n = size >= MIB(16) ? 8 : 20;
	int fd = export(vvram, handle);
	struct vrnic_reg_mr mr = reg(fd, size, VRNIC_MR_ON_DEMAND);
	double first[2] = {}, only_map[2] = {}, warm_read[2] = {};
	struct traffic t;

	traffic_init(&t, &mr, VRNIC_OP_READ, 8, 1);
	traffic_run(&t);
	for (i = 0; i < 2 * n; i++) {
		move(handle, places[i & 1]);
		first[i & 1] = least(first[i & 1], traffic_run(&t));
	}
	for (i = 0; i < 2 * n; i++) {
		move(handle, places[i & 1]);
		only_map[i & 1] = least(only_map[i & 1], map(&mr));
		warm_read[i & 1] = least(warm_read[i & 1], traffic_run(&t));
	}
	for (i = 0; i < 2; i++) {
		report(i ? "first-byte-vram" : "first-byte-system", "first", size, first[i]);
		report(i ? "first-byte-vram" : "first-byte-system", "map", size, only_map[i]);
		report(i ? "first-byte-vram" : "first-byte-system", "read", size, warm_read[i]);
	}
	traffic_fini(&t);
	dereg(&mr);
	close(fd);
	gem_close(vvram, handle);
}

struct mover {
	uint32_t handle;
	volatile bool stop;
	uint64_t sum, longest;
};

static void *mover(void *arg)
{
	struct mover *m = arg;
	uint64_t ns;
	int i;

	for (i = 0; !m->stop; i++) {
		ns = move(m->handle, i & 1 ? VRAM : SYSTEM);
		m->sum += ns;
		if (ns > m->longest)
			m->longest = ns;
		usleep(20000);
	}
	return NULL;
}

static double traffic_for(struct traffic *t, uint64_t ns)
{
	uint64_t start = now(), bytes = 0;

	while (now() - start < ns) {
		traffic_run(t);
		bytes += (uint64_t)t->count * t->sge.length;
	}
	return bytes * 1e9 / (now() - start);
}

static void under_moves(void)
{
	uint64_t size = MIB(8), start, wrong = 0, i;
	uint32_t handle = create(size, VRAM), k;
	int fd = export(vvram, handle);
	struct vrnic_reg_mr mr = reg(fd, size, VRNIC_MR_ON_DEMAND);
	struct drm_vvram_gem_mmap_offset offset = { .handle = handle };
	struct vrnic_query_mr query = { .handle = mr.handle };
	struct mover m = { .handle = handle };
	struct traffic t;
	pthread_t thread;
	uint64_t elapsed;
	uint8_t *p;
	double alone, moved;

	traffic_init(&t, &mr, VRNIC_OP_WRITE, KIB(256), 32);
	for (k = 0; k < t.count; k++)
		t.wrs[k].remote_addr = k * KIB(256);
	/* The CPU is the movers' and the engine's. */
	t.timeout = -1;
	move(handle, SYSTEM);
	alone = traffic_for(&t, 1000000000) / 2;
	move(handle, VRAM);
	alone += traffic_for(&t, 1000000000) / 2;
	start = now();
	pthread_create(&thread, NULL, mover, &m);
	moved = traffic_for(&t, 2000000000);
	m.stop = true;
	pthread_join(thread, NULL);
	elapsed = now() - start;
	must("query", call(vrnic, VRNIC_IOC_QUERY_MR, &query));
	report("under-moves", "alone", size, alone);
	report("under-moves", "moved", size, moved);
	report("under-moves", "share-of-moves", size, (double)m.sum / elapsed);
	report("under-moves", "longest-stall", size, query.counters.stall_max_ns);
	report("under-moves", "longest-move", size, m.longest);

	must("mmap offset", call(vvram, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, &offset));
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, vvram, offset.offset);
	for (i = 0; i < size; i++)
		wrong += p[i] != 0x5a;
	munmap(p, size);
	report("under-moves", "wrong-bytes", size, wrong);
	traffic_fini(&t);
	dereg(&mr);
	close(fd);
	gem_close(vvram, handle);
}

static void notify(void)
{
	static const unsigned int counts[] = { 1, 100, 250, 500, 1000 };
	uint32_t handle = create(4096, VRAM), i, k, have = 0, n = 60;
	static struct vrnic_reg_mr mr[1000];
	int fd = export(vvram, handle);
	uint64_t start, ns, best;

	for (i = 0; i < ARRAY_LEN(counts); i++) {
		while (have < counts[i])
			mr[have++] = reg(fd, 4096, VRNIC_MR_ON_DEMAND);
		/* The least of many: what is added by others is not of this. */
		for (k = 0, best = ~0ULL; k < n; k++) {
			ns = move(handle, k & 1 ? VRAM : SYSTEM);
			best = ns < best ? ns : best;
		}
		report("notify", "vvram", counts[i], best);
	}
	while (have)
		dereg(&mr[--have]);
	start = now();
	for (i = 0; i < 100000; i++)
		syscall(SYS_getppid);
	report("notify", "getppid", 1, (now() - start) / 100000.0);
	close(fd);
	gem_close(vvram, handle);
}

/* Many buffers. */

static void wait_empty(void)
{
	struct drm_vvram_query query = {};

	do {
		usleep(1000);
		must("query", call(vvram, DRM_IOCTL_VVRAM_QUERY, &query));
	} while (query.vram_used > 4096);
}

static void evict_among(unsigned int count)
{
	struct drm_vvram_query query = {};
	uint32_t *handles = calloc(count + 40, sizeof(*handles)), filler, i, n = 40;
	uint64_t start, each[40];

	must("query", call(vvram, DRM_IOCTL_VVRAM_QUERY, &query));
	for (i = 0; i < count; i++)
		handles[i] = create(KIB(64), VRAM);
	filler = create_with(query.vram_size - (count + 1) * KIB(64), VRAM, 0);
	for (i = 0; i < n; i++) {
		grow_tlbs();
		start = now();
		handles[count + i] = create(KIB(64), VRAM);
		each[i] = now() - start;
	}
	qsort(each, n, sizeof(each[0]), by_size);
	report("evict", "vvram", count, each[n / 2]);
	for (i = 0; i < count + n; i++)
		gem_close(vvram, handles[i]);
	gem_close(vvram, filler);
	free(handles);
	wait_empty();
}

/* Bytes of slabs and of vmalloc. */
static double kernel_memory(const char *what)
{
	unsigned long long kib = 0, one;
	char line[128], name[64];
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63[^:]: %llu", name, &one) == 2 && strstr(what, name))
			kib += one;
	if (f)
		fclose(f);
	return kib * 1024.0;
}

static void memory(void)
{
	static const char ours[] = "Slab,Percpu", tables[] = "SecPageTables";
	static struct vrnic_reg_mr mr[4000];
	unsigned int i, n = 8000;
	uint32_t *handles = calloc(n, sizeof(*handles)), handle;
	struct vrnic_reg_mr big;
	double before, pages;
	int fd;

	before = kernel_memory(ours);
	for (i = 0; i < n; i++)
		handles[i] = create(4096, VRAM);
	report("memory", "buffer", n, (kernel_memory(ours) - before) / n);
	for (i = 0; i < n; i++)
		gem_close(vvram, handles[i]);
	free(handles);
	wait_empty();

	handle = create(MIB(512), VRAM);
	fd = export(vvram, handle);
	n = ARRAY_LEN(mr);
	before = kernel_memory(ours);
	for (i = 0; i < n; i++)
		mr[i] = reg(fd, 4096, VRNIC_MR_ON_DEMAND);
	report("memory", "region", n, (kernel_memory(ours) - before) / n);
	while (i)
		dereg(&mr[--i]);

	for (i = 0; i < 2; i++) {
		big = reg(fd, MIB(512), VRNIC_MR_ON_DEMAND);
		before = kernel_memory(ours);
		pages = kernel_memory(tables);
		map(&big);
		report("memory", i ? "mapped-gib-system" : "mapped-gib-vram", MIB(512),
		       2 * (kernel_memory(ours) - before));
		report("memory", i ? "iommu-gib-system" : "iommu-gib-vram", MIB(512),
		       2 * (kernel_memory(tables) - pages));
		dereg(&big);
		if (!i)
			move(handle, SYSTEM);
	}
	close(fd);
	gem_close(vvram, handle);
	wait_empty();
}

static void migrate_all(void)
{
	static const uint64_t sizes[] = {
		KIB(64), KIB(512), MIB(2), MIB(8), MIB(32), MIB(128), MIB(256),
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(sizes); i++)
		migrate(sizes[i]);
}

static void first_byte_all(void)
{
	static const uint64_t sizes[] = { KIB(4), MIB(1), MIB(64) };
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(sizes); i++)
		first_byte(sizes[i]);
}

static void evict(void)
{
	evict_among(100);
	evict_among(10000);
}

/* FIGURES: which to run, separated by commas; all without. */
static bool wanted(const char *name)
{
	const char *list = getenv("FIGURES");

	return !list || !*list || strstr(list, name);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} figures[] = {
		{ "migrate", migrate_all }, { "engine", engine }, { "small", small },
		{ "warm", warm }, { "mapping", mapping }, { "lifetimes", lifetimes },
		{ "first-byte", first_byte_all }, { "under-moves", under_moves },
		{ "notify", notify }, { "evict", evict }, { "memory", memory },
	};
	unsigned int i;

	vvram = open_vvram();
	vrnic = open_vrnic();
	/* Others have some VRAM in use too: it is not one block to be split each time. */
	create(4096, VRAM);
	bench = open("/dev/movable-bench", O_RDWR | O_CLOEXEC);
	if (bench < 0)
		die("/dev/movable-bench", -errno);
	for (i = 0; i < ARRAY_LEN(figures); i++)
		if (wanted(figures[i].name))
			figures[i].run();
	return 0;
}
