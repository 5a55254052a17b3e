// SPDX-License-Identifier: MIT
/**
 * TEST: vvram bounce
 * Category: Core
 * Description: Doors that no device's DMA goes through show the buffer itself, also where
 *	the kernel would bounce DMA (swiotlb=force); what an importer gets is right or refused.
 *
 * SUBTEST: dumb
 * Description: A dumb buffer, by the CPU and by an importer, in both placements.
 * SUBTEST: prime-import
 * Description: A foreign buffer keeps its bytes, in place, while vvram has it imported.
 * SUBTEST: prime-import-large
 * Description: The same for one that is larger than a bounce buffer can be.
 * SUBTEST: vmap-%s
 * Description: A mapping of the kernel's is of the buffer, in this placement.
 */

#include <drm_mode.h>

#include "modules/rogue.h"
#include "subject.h"

IGT_TEST_DESCRIPTION("Doors that no DMA goes through.");

/* What swiotlb can map at once, and more than that. */
#define SIZE	KIB(256)
#define LARGE	MIB(8)

static int fd = -1, nic = -1;
static bool forced, translated;

/* An importer writes where the CPU looks, or is told that it can't. */
static void check_importer(int dmabuf, uint8_t *p, uint64_t size, bool in_reach)
{
	struct vrnic_reg_mr reg = vrnic_reg_dma_buf(nic, dmabuf, VRNIC_MR_ON_DEMAND, size), mem;
	uint8_t *local = alloc_pages(size);
	uint32_t queue;

	pattern_fill(p, size, 1);
	if (!in_reach) {
		struct vrnic_advise_mr advise = {
			.handle = reg.handle, .flags = VRNIC_ADVISE_FLUSH,
		};

		igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), -EOPNOTSUPP);
		pattern_check(p, size, 1);
	} else {
		queue = vrnic_create_queue(nic, 1);
		mem = vrnic_reg_user(nic, local, size);
		pattern_fill(local, size, 2);
		igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &reg, 0, &mem, 0,
					 size).status, 0);
		pattern_check(p, size, 2);
		vrnic_dereg_mr(nic, mem.handle);
		vrnic_destroy_queue(nic, queue);
	}
	vrnic_dereg_mr(nic, reg.handle);
	munmap(local, size);
}

static void test_dumb(void)
{
	struct drm_mode_create_dumb dumb = { .width = 1024, .height = SIZE / 4096, .bpp = 32 };
	struct drm_mode_map_dumb map = {};
	uint8_t *p;
	int dmabuf;

	igt_assert_eq(do_call(fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb), 0);
	igt_assert_eq_u64(dumb.size, SIZE);
	map.handle = dumb.handle;
	igt_assert_eq(do_call(fd, DRM_IOCTL_MODE_MAP_DUMB, &map), 0);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, map.offset);
	igt_assert(p != MAP_FAILED);
	for (uint64_t i = 0; i < SIZE; i++)
		igt_assert_eq(p[i], 0);

	pattern_fill(p, SIZE, 3);
	vvram_move(fd, dumb.handle, SYSTEM);
	pattern_check(p, SIZE, 3);
	vvram_move(fd, dumb.handle, VRAM);
	pattern_check(p, SIZE, 3);

	dmabuf = prime_handle_to_fd_for_mmap(fd, dumb.handle);
	check_importer(dmabuf, p, SIZE, !forced || translated);
	close(dmabuf);
	munmap(p, SIZE);
	gem_close(fd, dumb.handle);
}

/*
 * Were it mapped for vvram, which gives it on but does no DMA, the unmap would copy old
 * bytes out of a bounce buffer over what the CPU has written since.
 */
static void test_prime_import(uint64_t size)
{
	uint32_t handle;
	int dmabuf, again;
	uint8_t *p, *q;

	dmabuf = dma_heap_buffer(size, &p);
	pattern_fill(p, size, 4);
	igt_assert_eq(__prime_fd_to_handle(fd, dmabuf, &handle), 0);
	igt_assert_eq(vvram_info(fd, handle).placement, DRM_VVRAM_PLACEMENT_FOREIGN);
	pattern_check(p, size, 4);
	pattern_fill(p, size, 5);

	again = prime_handle_to_fd_for_mmap(fd, handle);
	q = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
	igt_assert(q != MAP_FAILED);
	pattern_check(q, size, 5);
	pattern_fill(q, size, 6);
	munmap(q, size);
	close(again);
	gem_close(fd, handle);
	pattern_check(p, size, 6);
	munmap(p, size);
	close(dmabuf);
}

static void test_vmap(uint32_t placement)
{
	struct subject s = make_subject(fd, SIZE, placement);
	struct rogue_vmap vmap = { .fd = s.dmabuf };
	uint8_t *bytes = alloc_pages(SIZE);
	int user = open_rogue();
	uint64_t at;

	igt_assert_fd(user);
	pattern_fill(s.p, SIZE, 7);
	igt_assert_eq(do_call(user, ROGUE_IOC_VMAP, &vmap), 0);
	igt_assert_eq(vvram_info(fd, s.handle).placement, placement);
	for (at = 0; at < SIZE; at += KIB(4))
		igt_assert_eq(pread(user, bytes + at, KIB(4), at), KIB(4));
	pattern_check(bytes, SIZE, 7);
	pattern_fill(bytes, SIZE, 8);
	for (at = 0; at < SIZE; at += KIB(4))
		igt_assert_eq(pwrite(user, bytes + at, KIB(4), at), KIB(4));
	pattern_check(s.p, SIZE, 8);
	igt_assert_eq(do_call(user, ROGUE_IOC_VUNMAP, NULL), 0);
	close(user);
	vvram_move(fd, s.handle, placement == VRAM ? SYSTEM : VRAM);
	pattern_check(s.p, SIZE, 8);
	munmap(bytes, SIZE);
	free_subject(&s);
	igt_assert_eq(system("rmmod rogue"), 0);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		forced = strstr(read_file("/proc/cmdline"), "swiotlb=force");
		translated = vrnic_query(nic).flags & VRNIC_QUERY_IOMMU;
	}

	igt_describe("Right bytes for the CPU, and for an importer too or none.");
	igt_subtest("dumb")
		test_dumb();
	igt_describe("Its exporter's bytes stay its own.");
	igt_subtest("prime-import")
		test_prime_import(SIZE);
	igt_describe("Too large to be bounced.");
	igt_subtest("prime-import-large")
		test_prime_import(LARGE);
	igt_describe("The kernel sees what the CPU wrote, and the other way round.");
	igt_subtest("vmap-vram")
		test_vmap(VRAM);
	igt_describe("The same for pages of the kernel.");
	igt_subtest("vmap-system")
		test_vmap(SYSTEM);

	igt_fixture {
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
	}
}
