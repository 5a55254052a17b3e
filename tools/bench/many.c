// SPDX-License-Identifier: MIT
/*
 * Many buffers: eviction among them, and what each of them costs.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices.h"
#include "drm.h"
#include "rig.h"

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

void bench_memory(void)
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

void bench_evict(void)
{
	evict_among(100);
	evict_among(10000);
}
