// SPDX-License-Identifier: MIT
/*
 * Who moves bytes, and how fast: moves, the engine, small requests.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices.h"
#include "movable_bench.h"
#include "rig.h"

static void set_ttm_copy(bool on)
{
	const char *dir = getenv("VVRAM_DEBUGFS");
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/chaos/ttm_copy", dir ?: "/sys/kernel/debug/dri/0");
	f = fopen(path, "w");
	if (!f || fprintf(f, "%d\n", on) < 0 || fclose(f))
		die(path, -errno);
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

void bench_migrate(void)
{
	static const uint64_t sizes[] = {
		KIB(64), KIB(512), MIB(2), MIB(8), MIB(32), MIB(128), MIB(256),
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(sizes); i++)
		migrate(sizes[i]);
}

/* Leaves VRAM free in pieces of that size only, as many as make @size. */
static uint32_t *make_holes(uint64_t size, uint64_t piece)
{
	uint32_t count = size / piece, *held = calloc(2 * count + 1, sizeof(*held)), i;
	struct drm_vvram_query query = {};

	for (i = 0; i < 2 * count; i++)
		held[i] = create(piece, VRAM);
	must("query", call(vvram, DRM_IOCTL_VVRAM_QUERY, &query));
	held[i] = create_with(query.vram_size - query.vram_used, VRAM, 0);
	move(held[i], VRAM);
	for (i = 0; i < 2 * count; i += 2)
		gem_close(vvram, held[i]);
	return held;
}

static void free_holes(uint32_t *held, uint64_t size, uint64_t piece)
{
	uint32_t count = size / piece, i;

	for (i = 0; i < count; i++)
		gem_close(vvram, held[2 * i + 1]);
	gem_close(vvram, held[2 * count]);
	free(held);
	wait_empty();
}

/* With all that belongs to it: room is found, and given back. */
static void scattered(const char *variant, uint64_t size)
{
	double clear = 0, from = 0, to = 0, faults = 0;
	uint32_t handle, i, n = 4;
	uint64_t start;

	for (i = 0; i < n; i++) {
		grow_tlbs();
		start = now();
		handle = create_with(size, VRAM, 0);
		/* It is there: this waits for the bytes only. */
		move(handle, VRAM);
		clear = least(clear, now() - start);
		grow_tlbs();
		from = least(from, move(handle, SYSTEM));
		grow_tlbs();
		to = least(to, move(handle, VRAM));
		faults = least(faults, timed_faults(handle, size));
		gem_close(vvram, handle);
	}
	report("scattered-clear", variant, size, clear);
	report("scattered-from-vram", variant, size, from);
	report("scattered-to-vram", variant, size, to);
	report("scattered-faults", variant, size, faults);
}

void bench_scattered(void)
{
	static const struct {
		const char *name;
		uint64_t piece;
	} pieces[] = { { "64-KiB", KIB(64) }, { "4-KiB", KIB(4) } };
	static const uint64_t sizes[] = { MIB(16), MIB(64) };
	uint32_t i, k, *held;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		scattered("one-piece", sizes[i]);
		for (k = 0; k < ARRAY_LEN(pieces); k++) {
			held = make_holes(sizes[i], pieces[k].piece);
			scattered(pieces[k].name, sizes[i]);
			free_holes(held, sizes[i], pieces[k].piece);
		}
	}
}

void bench_engine(void)
{
	uint32_t handle = create(MIB(4), VRAM), i, k, n = 16;
	double cpu = 0, alone = 0, both = 0, sum;
	int fd = export(vvram, handle);
	struct vrnic_reg_mr mr = reg(fd, MIB(4), VRNIC_MR_PINNED);
	struct traffic one, two;
	uint64_t start;

	for (k = 0; k < 16; k++) {
		traffic_init(&one, &mr, VRNIC_OP_WRITE, MIB(2), n);
		traffic_init(&two, &mr, VRNIC_OP_WRITE, MIB(2), n);
		for (i = 0; i < n; i++) {
			one.sge.length = MIB(1);
			two.sge.length = MIB(1);
			two.wrs[i].remote_addr = MIB(2);
		}
		one.timeout = -1;
		traffic_run(&one);
		traffic_run(&two);
		grow_tlbs();
		alone = least(alone, (double)traffic_run(&one) / n);
		/* As many, lest only the shorter measurement finds a moment without others. */
		for (i = 0, sum = 0; i < n; i++)
			sum += memcpy_ns(fd, MIB(1), false);
		cpu = least(cpu, sum / n);
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

void bench_small(void)
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

void bench_warm(void)
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
