// SPDX-License-Identifier: MIT
/**
 * TEST: vvram counts
 * Category: Core
 * Description: How often things are done, which no clock of an emulated machine tells.
 *
 * SUBTEST: copies
 * Description: A move copies each byte once, whoever is attached.
 * SUBTEST: maps
 * Description: A region in use is mapped once an invalidation, an idle one not at all.
 * SUBTEST: calls
 * Description: One call posts 64 requests, and one takes their completions.
 * SUBTEST: segments
 * Description: A table has an entry a piece, not a page.
 */

#include <sys/eventfd.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("How often things are done.");

#define SIZE	MIB(1)
#define TIMES	20

static int fd = -1, nic = -1;

static void test_copies(void)
{
	struct shared s = share_buffer(fd, nic, SIZE, VRNIC_MR_ON_DEMAND, 0);
	struct drm_vvram_query before = vvram_query(fd), after;
	unsigned int i;

	for (i = 1; i <= TIMES; i++) {
		vvram_move(fd, s.handle, i & 1 ? SYSTEM : VRAM);
		after = vvram_query(fd);
		igt_assert_eq_u64(after.moves, before.moves + i);
		igt_assert_eq_u64(after.bytes_moved, before.bytes_moved + i * SIZE);
	}
	/* It is there already. */
	vvram_move(fd, s.handle, VRAM);
	igt_assert_eq_u64(vvram_query(fd).bytes_moved, after.bytes_moved);
	unshare_buffer(fd, nic, &s);
}

static int read_some(const struct vrnic_reg_mr *from, uint32_t queue,
		     const struct vrnic_reg_mr *mem, uint64_t offset)
{
	return vrnic_copy(nic, queue, VRNIC_OP_READ, from, offset, mem, 0, 64).status;
}

static void test_maps(void)
{
	struct shared s = share_buffer(fd, nic, SIZE, VRNIC_MR_ON_DEMAND, 0);
	struct vrnic_reg_mr idle = vrnic_reg_dma_buf(nic, s.dmabuf, VRNIC_MR_ON_DEMAND, SIZE);
	uint8_t *local = alloc_pages(4096);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, 4096);
	uint32_t queue = vrnic_create_queue(nic, 8), i, k;
	struct vrnic_counters before, used;

	igt_assert_eq(read_some(&s.reg, queue, &mem, 0), 0);
	before = vrnic_query_mr(nic, s.reg.handle).counters;
	for (i = 1; i <= TIMES; i++) {
		vvram_move(fd, s.handle, i & 1 ? SYSTEM : VRAM);
		for (k = 0; k < 3; k++)
			igt_assert_eq(read_some(&s.reg, queue, &mem, k * 4096), 0);
		used = vrnic_query_mr(nic, s.reg.handle).counters;
		igt_assert_eq_u64(used.maps, before.maps + i);
		igt_assert_eq_u64(used.unmaps, before.unmaps + i);
		igt_assert_eq_u64(used.invalidations, before.invalidations + i);
	}
	igt_assert_eq_u64(vrnic_query_mr(nic, idle.handle).counters.maps, 0);

	vrnic_destroy_queue(nic, queue);
	vrnic_dereg_mr(nic, mem.handle);
	vrnic_dereg_mr(nic, idle.handle);
	munmap(local, 4096);
	unshare_buffer(fd, nic, &s);
}

static void test_calls(void)
{
	struct shared s = share_buffer(fd, nic, SIZE, VRNIC_MR_ON_DEMAND, 0);
	uint8_t *local = alloc_pages(4096);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, 4096);
	struct vrnic_create_queue queue = { .depth = 64, .eventfd = eventfd(0, 0) };
	struct vrnic_sge sge = { .length = 64, .lkey = mem.lkey };
	uint64_t done = 0, count;
	struct vrnic_wr wrs[64];
	struct vrnic_wc wcs[64];
	unsigned int i;

	igt_assert_eq(do_call(nic, VRNIC_IOC_CREATE_QUEUE, &queue), 0);
	for (i = 0; i < 64; i++)
		wrs[i] = (struct vrnic_wr) {
			.wr_id = i, .opcode = VRNIC_OP_WRITE, .remote_addr = 64 * i,
			.rkey = s.reg.rkey, .num_sge = 1, .sge = (uintptr_t)&sge,
		};
	igt_assert_eq(__vrnic_post(nic, queue.handle, wrs, 64), 0);
	while (done < 64) {
		igt_assert_eq(read(queue.eventfd, &count, sizeof(count)), sizeof(count));
		done += count;
	}
	igt_assert_eq(vrnic_poll(nic, queue.handle, wcs, 64, 0), 64);

	vrnic_destroy_queue(nic, queue.handle);
	close(queue.eventfd);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, 4096);
	unshare_buffer(fd, nic, &s);
}

static void test_segments(void)
{
	struct shared s = share_buffer(fd, nic, MIB(4), VRNIC_MR_PINNED, 0);
	uint32_t pieces;

	pieces = vvram_info(fd, s.handle).segments;
	igt_assert_lt(0, (int)pieces);
	igt_assert_eq(vrnic_query_mr(nic, s.reg.handle).segments, pieces);
	unshare_buffer(fd, nic, &s);
}

/* An importer that does not reach it moves the buffer back as it maps. */
static void require_reach(void)
{
	igt_require_f(vrnic_reaches_vram(fd, nic), "the importer does not reach VRAM\n");
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC,
			      "the kernel pins what is attached\n");
	}

	igt_describe("Each byte once.");
	igt_subtest("copies")
		test_copies();
	igt_describe("Once an invalidation, and only in use.");
	igt_subtest("maps") {
		require_reach();
		test_maps();
	}
	igt_describe("One call for 64 requests.");
	igt_subtest("calls")
		test_calls();
	igt_describe("An entry a piece.");
	igt_subtest("segments") {
		require_reach();
		test_segments();
	}

	igt_fixture {
		close(nic);
		drm_close_driver(fd);
	}
}
