// SPDX-License-Identifier: MIT
/*
 * What an importer notices of moves, and what it costs to tell it.
 */

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices.h"
#include "drm.h"
#include "rig.h"

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

void *mover(void *arg)
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

void bench_first_byte(void)
{
	static const uint64_t sizes[] = { KIB(4), MIB(1), MIB(64) };
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(sizes); i++)
		first_byte(sizes[i]);
}

void bench_under_moves(void)
{
	uint64_t size = MIB(8), start, wrong = 0, i;
	uint32_t handle = create(size, VRAM), k;
	int fd = export(vvram, handle);
	struct vrnic_reg_mr mr = reg(fd, size, VRNIC_MR_ON_DEMAND);
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

	p = map_buffer(handle, size);
	for (i = 0; i < size; i++)
		wrong += p[i] != 0x5a;
	munmap(p, size);
	report("under-moves", "wrong-bytes", size, wrong);
	traffic_fini(&t);
	dereg(&mr);
	close(fd);
	gem_close(vvram, handle);
}

void bench_notify(void)
{
	static const unsigned int counts[] = { 1, 100, 250, 500, 1000 };
	uint32_t handle = create(4096, VRAM), i, k, have = 0, n = 60;
	static struct vrnic_reg_mr mr[1000];
	int fd = export(vvram, handle);
	uint64_t start;
	double best;

	for (i = 0; i < ARRAY_LEN(counts); i++) {
		while (have < counts[i])
			mr[have++] = reg(fd, 4096, VRNIC_MR_ON_DEMAND);
		/* The least of many: what is added by others is not of this. */
		for (k = 0, best = 0; k < n; k++)
			best = least(best, move(handle, k & 1 ? VRAM : SYSTEM));
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
