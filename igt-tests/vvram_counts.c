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
 * SUBTEST: pieces
 * Description: A scattered buffer is cleared and moved by looking at each piece once.
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

/* Pieces of VRAM that the copy engine has looked at. */
static uint64_t pieces_visited(void)
{
	const char *at = strstr(read_file(vvram_debugfs(fd, "copy")), "pieces: ");

	igt_assert(at);
	return strtoull(at + strlen("pieces: "), NULL, 10);
}

/* What is still being copied from, or cleared, is free only then: others would be evicted. */
static void wait_for_room(uint64_t size)
{
	uint64_t end = now_ms() + 10000;
	struct drm_vvram_query query;

	for (;;) {
		query = vvram_query(fd);
		if (query.vram_size - query.vram_used >= size)
			return;
		igt_assert_lt(now_ms(), end);
		usleep(1000);
	}
}

/*
 * Leaves every second page of a part of VRAM free, @count in all. An allocator in which
 * nothing is left of earlier clients gives small buffers one behind the other.
 */
static void make_holes(uint32_t *handles, uint32_t count, uint32_t *rest)
{
	struct drm_vvram_query query;
	uint32_t i;

	vvram_wait_unused(fd);
	for (i = 0; i < 2 * count; i++)
		handles[i] = vvram_create(fd, 4096, VRAM);
	query = vvram_query(fd);
	*rest = vvram_create(fd, query.vram_size - query.vram_used, VRAM);
	for (i = 0; i < count; i++)
		gem_close(fd, handles[2 * i + 1]);
	wait_for_room(count * 4096);
}

static void check_visits(const char *what, uint64_t before, uint32_t count)
{
	uint64_t visits = pieces_visited() - before;

	/* Each part of a copy looks for its beginning besides. */
	igt_assert_f(visits >= count && visits <= count + 100,
		     "%s in %u pieces: %llu visits\n", what, count, (unsigned long long)visits);
}

/* How many, where the buffer was given most of them one by one. */
static uint32_t pieces_of(uint32_t handle, uint32_t count)
{
	uint32_t pieces = vvram_info(fd, handle).segments;

	igt_assert_lte(count / 2, pieces);
	igt_assert_lte(pieces, count);
	return pieces;
}

static void test_pieces(uint32_t count)
{
	uint32_t *handles = calloc(2 * count, sizeof(*handles)), rest, handle, pieces, i;
	const uint64_t size = count * 4096;
	uint64_t before;
	void *p;

	make_holes(handles, count, &rest);
	while (vvram_info(fd, rest).flags & DRM_VVRAM_INFO_BUSY)
		usleep(1000);
	before = pieces_visited();
	handle = vvram_create(fd, size, VRAM);
	while (vvram_info(fd, handle).flags & DRM_VVRAM_INFO_BUSY)
		usleep(1000);
	pieces = pieces_of(handle, count);
	check_visits("clear", before, pieces);

	p = vvram_mmap(fd, handle, size);
	pattern_fill(p, size, count);
	before = pieces_visited();
	vvram_move(fd, handle, SYSTEM);
	check_visits("move to system memory", before, pieces);
	pattern_check(p, size, count);
	wait_for_room(size);
	before = pieces_visited();
	vvram_move(fd, handle, VRAM);
	check_visits("move to VRAM", before, pieces_of(handle, count));
	pattern_check(p, size, count);

	munmap(p, size);
	gem_close(fd, handle);
	gem_close(fd, rest);
	for (i = 0; i < count; i++)
		gem_close(fd, handles[2 * i]);
	free(handles);
	vvram_wait_unused(fd);
}

static void require_dynamic(void)
{
	igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC,
		      "the kernel pins what is attached\n");
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
	}

	igt_describe("Each byte once.");
	igt_subtest("copies") {
		require_dynamic();
		test_copies();
	}
	igt_describe("Once an invalidation, and only in use.");
	igt_subtest("maps") {
		require_dynamic();
		require_reach();
		test_maps();
	}
	igt_describe("One call for 64 requests.");
	igt_subtest("calls")
		test_calls();
	igt_describe("Each piece once, however many there are.");
	igt_subtest("pieces") {
		test_pieces(256);
		test_pieces(1024);
	}
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
