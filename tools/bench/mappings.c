// SPDX-License-Identifier: MIT
/*
 * Maps, and whole lives of buffers, next to those of other exporters.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices.h"
#include "drm.h"
#include "rig.h"

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

void bench_mapping(void)
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

void bench_lifetimes(void)
{
	static const char *const names[] = { "vvram", "vvram-system", "vgem", "dma-heap" };
	int vgem = open_card("vgem"), heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
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
