// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic transfer
 * Category: Core
 * Description: Transfers to and from buffers that move, by the importer.
 *
 * SUBTEST: write-read
 * Description: Bytes written by the importer are seen by the CPU, and back.
 * SUBTEST: unaligned
 * Description: Odd offsets and lengths touch exactly their bytes.
 * SUBTEST: between-buffers
 * Description: The same from one buffer to another, wherever both of them are.
 * SUBTEST: several-sges
 * Description: A request gathers from several regions and scatters to them.
 * SUBTEST: reach
 * Description: The exporter tells what the importer reaches, and acts on it.
 * SUBTEST: remap-counts
 * Description: One map for each move of a used region, none for an idle one.
 * SUBTEST: last-handle-closed
 * Description: Importers are told of moves also when no GEM handle is left.
 * SUBTEST: continuous-moves-%s
 * Description: Under moves each request completes once, with the right bytes.
 * SUBTEST: ten-thousand-moves
 * Description: One buffer moves ten thousand times, with a region of each mode on it.
 */

#include "movable.h"

IGT_TEST_DESCRIPTION("Transfers to and from buffers that move.");

static int fd = -1, nic = -1;
static bool dynamic;

static void test_write_read(void)
{
	const uint64_t size = MIB(1);
	struct shared s = share_buffer(fd, nic, size, VRNIC_MR_ON_DEMAND, 0);
	void *local = alloc_pages(size);
	struct vrnic_reg_mr reg = vrnic_reg_user(nic, local, size);
	uint32_t queue = vrnic_create_queue(nic, 4);
	struct vrnic_wc wc;
	int i;

	for (i = 0; i < 4; i++) {
		pattern_fill(local, size, i);
		wc = vrnic_copy(nic, queue, VRNIC_OP_WRITE, &s.reg, 0, &reg, 0, size);
		igt_assert_eq(wc.status, VRNIC_WC_SUCCESS);
		igt_assert_eq_u64(wc.byte_len, size);
		pattern_check(s.p, size, i);

		vvram_move_mapped(fd, s.handle, i % 2 ? VRAM : SYSTEM);

		memset(local, 0, size);
		wc = vrnic_copy(nic, queue, VRNIC_OP_READ, &s.reg, 0, &reg, 0, size);
		igt_assert_eq(wc.status, VRNIC_WC_SUCCESS);
		pattern_check(local, size, i);
	}
	vrnic_dereg_mr(nic, reg.handle);
	munmap(local, size);
	unshare_buffer(fd, nic, &s);
}

static void test_unaligned(void)
{
	static const struct {
		uint32_t remote, local, len;
	} table[] = {
		{ 0, 0, 1 }, { 1, 2, 3 }, { 4095, 1, 2 }, { 4093, 4095, 4099 },
		{ 65535, 3, 65537 }, { 131071, 0, 1 }, { 7, 11, 131000 },
	};
	const uint64_t size = KIB(128);
	struct shared s = share_buffer(fd, nic, size, VRNIC_MR_ON_DEMAND, 0);
	uint8_t *local = alloc_pages(size + 8192), *want = malloc(size);
	struct vrnic_reg_mr reg = vrnic_reg_user(nic, local, size + 8192);
	uint32_t queue = vrnic_create_queue(nic, 4);
	unsigned int i;

	pattern_fill(local, size, 99);
	for (i = 0; i < ARRAY_LEN(table); i++) {
		memset(s.p, 0x5a, size);
		memset(want, 0x5a, size);
		memcpy(want + table[i].remote, local + table[i].local, table[i].len);
		igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &s.reg, table[i].remote,
					 &reg, table[i].local, table[i].len).status, 0);
		igt_assert_f(!memcmp(s.p, want, size), "row %u: wrong bytes\n", i);
		want[table[i].remote] ^= 1;
		igt_assert(memcmp(s.p, want, size));
	}
	free(want);
	vrnic_dereg_mr(nic, reg.handle);
	munmap(local, size + 8192);
	unshare_buffer(fd, nic, &s);
}

static void check_between(struct shared *to, struct shared *from, uint32_t queue, uint32_t len)
{
	const uint64_t size = KIB(128);
	const uint32_t at = 1000 + len % 13, from_at = 1000 + len % 7;
	uint8_t *want = malloc(size);

	memset(to->p, 0x5a, size);
	memset(want, 0x5a, size);
	pattern_fill(from->p, size, len);
	memcpy(want + at, from->p + from_at, len);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &to->reg, at, &from->reg, from_at,
				 len).status, 0);
	igt_assert_f(!memcmp(to->p, want, size), "%u bytes: wrong ones\n", len);
	want[at + len] ^= 1;
	igt_assert(memcmp(to->p, want, size));
	free(want);
}

static void test_between_buffers(void)
{
	static const uint32_t placements[] = { VRAM, SYSTEM };
	struct shared a = share_buffer(fd, nic, KIB(128), VRNIC_MR_ON_DEMAND, 0);
	struct shared b = share_buffer(fd, nic, KIB(128), VRNIC_MR_ON_DEMAND, 0);
	uint32_t queue = vrnic_create_queue(nic, 4), len;
	int i;

	for (i = 0; i < 4; i++) {
		vvram_move_mapped(fd, a.handle, placements[i % 2]);
		vvram_move_mapped(fd, b.handle, placements[i / 2]);
		for (len = 1; len < 300; len += 29)
			check_between(&a, &b, queue, len);
		check_between(&a, &b, queue, 65536 - 16);
		check_between(&a, &b, queue, 65536 + 48);
	}
	unshare_buffer(fd, nic, &a);
	unshare_buffer(fd, nic, &b);
}

static void test_several_sges(void)
{
	const uint64_t size = KIB(64);
	struct shared s = share_buffer(fd, nic, size, VRNIC_MR_ON_DEMAND, 0);
	struct shared t = share_buffer(fd, nic, size, VRNIC_MR_ON_DEMAND, 0);
	uint8_t *local = alloc_pages(size);
	struct vrnic_reg_mr reg = vrnic_reg_user(nic, local, size);
	struct vrnic_sge sge[3] = {
		{ .addr = 100, .length = 1000, .lkey = reg.lkey },
		{ .addr = 8000, .length = 9000, .lkey = t.reg.lkey },
		{ .addr = 5000, .length = 3, .lkey = reg.lkey },
	};
	struct vrnic_wr wr = {
		.opcode = VRNIC_OP_WRITE, .rkey = s.reg.rkey, .remote_addr = 17,
		.num_sge = 3, .sge = (uintptr_t)sge,
	};
	uint32_t queue = vrnic_create_queue(nic, 4);

	pattern_fill(local, size, 1);
	pattern_fill(t.p, size, 2);
	vvram_move_mapped(fd, t.handle, SYSTEM);
	igt_assert_eq(vrnic_do(nic, queue, &wr).status, 0);
	igt_assert(!memcmp(s.p + 17, local + 100, 1000));
	igt_assert(!memcmp(s.p + 1017, t.p + 8000, 9000));
	igt_assert(!memcmp(s.p + 10017, local + 5000, 3));

	memset(local, 0, size);
	memset(t.p, 0, size);
	wr.opcode = VRNIC_OP_READ;
	igt_assert_eq(vrnic_do(nic, queue, &wr).status, 0);
	igt_assert(!memcmp(s.p + 17, local + 100, 1000));
	igt_assert(!memcmp(s.p + 1017, t.p + 8000, 9000));
	vrnic_dereg_mr(nic, reg.handle);
	munmap(local, size);
	unshare_buffer(fd, nic, &t);
	unshare_buffer(fd, nic, &s);
}

/* What machine this is: the runner says so, and the exporter must agree. */
static uint32_t expected_reach(void)
{
	const char *machine = getenv("MACHINE");

	igt_require_f(machine, "MACHINE is not set\n");
	if (!strcmp(machine, "soft"))
		return DRM_VVRAM_REACH_VRAM;
	if (!(vvram_query(fd).flags & DRM_VVRAM_QUERY_P2P))
		return DRM_VVRAM_REACH_NO_KERNEL;
	return strcmp(machine, "no-p2p") ? DRM_VVRAM_REACH_VRAM : DRM_VVRAM_REACH_NO_PATH;
}

static void test_reach(void)
{
	uint32_t expect = expected_reach();
	struct shared s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	struct vrnic_advise_mr advise = {
		.handle = s.reg.handle, .flags = VRNIC_ADVISE_FLUSH,
	};
	struct drm_vvram_attachment att = {};
	struct drm_vvram_gem_attachments list = {
		.handle = s.handle, .count = 1, .attachments = (uintptr_t)&att,
	};
	bool reaches = expect == DRM_VVRAM_REACH_VRAM;
	struct vrnic_query_mr mr;

	pattern_fill(s.p, s.size, 4);
	igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), 0);
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_ATTACHMENTS, &list), 0);
	igt_assert_eq(list.count, 1);
	igt_info("importer %s, reach %u, distance %d\n", att.device, att.reach, att.distance);
	igt_assert_eq(att.reach, expect);
	igt_assert_eq(att.maps, 1);
	igt_assert(att.flags & DRM_VVRAM_ATTACHMENT_DYNAMIC);
	igt_assert(!strcmp(att.device, vrnic_query(nic).device));

	mr = vrnic_query_mr(nic, s.reg.handle);
	igt_assert_eq(vvram_info(fd, s.handle).placement, reaches ? VRAM : SYSTEM);
	/* Without pages to tell by, VRAM that is RAM looks like any other. */
	if (pages_are_shown() || vrnic_query(nic).flags & VRNIC_QUERY_PCI)
		igt_assert_eq(!!(mr.state & VRNIC_MR_STATE_PEER), reaches);
	igt_assert_eq_u64(mr.counters.violations, 0);
	pattern_check(s.p, s.size, 4);
	unshare_buffer(fd, nic, &s);
}

/* Where the core pins: a mapped buffer stays, and its first mapping with it. */
static void expect_pinned(struct shared *s, uint32_t queue, const struct vrnic_reg_mr *reg)
{
	int i;

	for (i = 0; i < 4; i++) {
		igt_assert_eq(__vvram_move(fd, s->handle, VRAM), -EBUSY);
		igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &s->reg, 0, reg, 0,
					 4096).status, 0);
	}
	igt_assert_eq_u64(vrnic_query_mr(nic, s->reg.handle).counters.maps, 1);
	igt_assert(vvram_info(fd, s->handle).flags & DRM_VVRAM_INFO_PINNED);
}

static void test_remap_counts(void)
{
	struct shared s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	uint8_t *local = alloc_pages(4096);
	struct vrnic_reg_mr reg = vrnic_reg_user(nic, local, 4096);
	uint32_t queue = vrnic_create_queue(nic, 4), i;
	struct vrnic_counters before, after;

	vvram_move_mapped(fd, s.handle, SYSTEM);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &s.reg, 0, &reg, 0, 4096).status, 0);
	if (!dynamic) {
		expect_pinned(&s, queue, &reg);
		goto out;
	}

	before = vrnic_query_mr(nic, s.reg.handle).counters;
	igt_assert_eq_u64(before.maps, 1);
	for (i = 0; i < 10; i++) {
		/* Back to system memory each time, where every importer stays. */
		vvram_move_mapped(fd, s.handle, VRAM);
		vvram_move_mapped(fd, s.handle, SYSTEM);
		igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &s.reg, 0, &reg, 0,
					 4096).status, 0);
	}
	after = vrnic_query_mr(nic, s.reg.handle).counters;
	igt_assert_eq_u64(after.maps - before.maps, 10);
	igt_assert_eq_u64(after.faults - before.faults, 10);
	igt_assert_eq_u64(after.invalidations - before.invalidations, 20);

	for (i = 0; i < 10; i++)
		vvram_move_mapped(fd, s.handle, i % 2 ? SYSTEM : VRAM);
	igt_assert_eq_u64(vrnic_query_mr(nic, s.reg.handle).counters.maps, after.maps);
	igt_assert_eq_u64(vvram_info(fd, s.handle).moves,
			  vvram_info(fd, s.handle).notifies);
out:
	vrnic_dereg_mr(nic, reg.handle);
	munmap(local, 4096);
	unshare_buffer(fd, nic, &s);
}

static void test_last_handle_closed(void)
{
	const uint64_t size = KIB(64);
	uint64_t hog = vvram_query(fd).vram_size / 8;
	uint32_t handle, again, queue, hogs[8], i;
	struct vrnic_reg_mr reg, mem;
	uint8_t *local;
	bool evicted;
	int dmabuf;

	igt_require_f(dynamic, "this kernel pins mapped buffers\n");
	handle = vvram_create(fd, size, VRAM);
	dmabuf = prime_handle_to_fd_for_mmap(fd, handle);
	reg = vrnic_reg_dma_buf(nic, dmabuf, VRNIC_MR_ON_DEMAND, size);
	local = alloc_pages(size);
	mem = vrnic_reg_user(nic, local, size);
	queue = vrnic_create_queue(nic, 4);
	pattern_fill(local, size, 21);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &reg, 0, &mem, 0, size).status, 0);
	gem_close(fd, handle);

	for (i = 0; i < 8; i++)
		hogs[i] = vvram_create(fd, hog, VRAM);
	evicted = vrnic_query_mr(nic, reg.handle).counters.invalidations > 0;
	for (i = 0; i < 8; i++)
		gem_close(fd, hogs[i]);

	again = prime_fd_to_handle(fd, dmabuf);
	igt_assert_f(evicted || vvram_info(fd, again).moves == 0 ||
		     vrnic_query_mr(nic, reg.handle).counters.maps == 1,
		     "moved without a notification\n");
	memset(local, 0, size);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &reg, 0, &mem, 0, size).status, 0);
	pattern_check(local, size, 21);
	igt_assert_eq_u64(vrnic_query_mr(nic, reg.handle).counters.dma_faults, 0);
	vrnic_dereg_mr(nic, reg.handle);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, size);
	close(dmabuf);
	gem_close(fd, again);
	vvram_wait_unused(fd);
}

static void test_continuous_moves(uint32_t mode)
{
	const uint32_t slot = KIB(128);
	const uint64_t size = SLOTS * (uint64_t)slot;
	struct shared s = share_buffer(fd, nic, size, mode, 0);
	uint8_t *local = alloc_pages(2 * size);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, 2 * size);
	uint32_t queue = vrnic_create_queue(nic, 2 * SLOTS);
	struct mover m;
	uint64_t end = now_ms() + 2000, round = 0;
	struct vrnic_query_mr mr;

	mover_start(&m, fd, s.handle);
	while (!round || mover_goes_on(&m, end, 6))
		transfer_round(nic, queue, &s.reg, &mem, local, slot, ++round);
	mover_stop(&m);

	mr = vrnic_query_mr(nic, s.reg.handle);
	igt_info("rounds %llu, moves %llu, invalidations %llu, maps %llu, faults %llu\n",
		 (unsigned long long)round, (unsigned long long)vvram_info(fd, s.handle).moves,
		 (unsigned long long)mr.counters.invalidations,
		 (unsigned long long)mr.counters.maps, (unsigned long long)mr.counters.faults);
	igt_assert_eq_u64(mr.counters.dma_faults, 0);
	igt_assert_eq_u64(mr.counters.violations, 0);
	if (dynamic) {
		igt_assert_lt(5, vvram_info(fd, s.handle).moves);
		igt_assert_lt(2, mr.counters.maps);
	}
	/* The bytes that the last round left, checked from the exporter's side. */
	pattern_check(s.p, size, round);

	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, 2 * size);
	unshare_buffer(fd, nic, &s);
}

/* A region of its own on the buffer, and requests on a quarter of it, until told. */
struct load {
	struct vrnic_reg_mr reg;
	uint64_t at;
	volatile bool *stop;
	uint64_t rounds;
	pthread_t thread;
};

#define QUARTER	KIB(4)

/* Asserts in threads end the wrong one: trouble is left in @rounds. */
static void *load_run(void *arg)
{
	struct load *l = arg;
	uint64_t *local = alloc_pages(2 * QUARTER);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, 2 * QUARTER);
	uint32_t queue = vrnic_create_queue(nic, 2);
	uint64_t *back = local + QUARTER / 8;
	struct vrnic_sge sges[2] = {
		{ .length = QUARTER, .lkey = mem.lkey },
		{ .addr = QUARTER, .length = QUARTER, .lkey = mem.lkey },
	};
	struct vrnic_wr wrs[2] = {};
	struct vrnic_wc wcs[3];
	uint64_t round;
	int i, n;

	for (i = 0; i < 2; i++)
		wrs[i] = (struct vrnic_wr) {
			.opcode = i ? VRNIC_OP_READ : VRNIC_OP_WRITE, .num_sge = 1,
			.remote_addr = l->at, .rkey = l->reg.rkey, .sge = (uintptr_t)&sges[i],
		};
	for (round = 1; !*l->stop; round++) {
		pattern_fill(local, QUARTER, round);
		wrs[0].wr_id = 2 * round;
		wrs[1].wr_id = 2 * round + 1;
		if (__vrnic_post(nic, queue, wrs, 2))
			return NULL;
		for (i = 0; i < 2; i += n) {
			n = vrnic_poll(nic, queue, wcs, 3, 60000000000LL);
			if (n <= 0 || i + n > 2)
				return NULL;
			for (int j = 0; j < n; j++)
				if (wcs[j].status || wcs[j].wr_id != 2 * round + i + j)
					return NULL;
		}
		if (pattern_find_bad(back, QUARTER, round, 1) >= 0)
			return NULL;
	}
	l->rounds = round;
	vrnic_dereg_mr(nic, mem.handle);
	return NULL;
}

static void test_ten_thousand_moves(void)
{
	static const uint32_t modes[] = {
		VRNIC_MR_ON_DEMAND, VRNIC_MR_EAGER, VRNIC_MR_FENCED, VRNIC_MR_ON_DEMAND,
	};
	struct load loads[ARRAY_LEN(modes)] = {};
	struct shared s;
	volatile bool stop = false;
	uint64_t start = now_ms(), iommu = iommu_faults();
	unsigned int i;

	igt_require_f(dynamic, "this kernel pins mapped buffers\n");
	s = share_buffer(fd, nic, ARRAY_LEN(modes) * QUARTER, VRNIC_MR_ON_DEMAND, 0);
	for (i = 0; i < ARRAY_LEN(modes); i++) {
		loads[i].reg = vrnic_reg_dma_buf(nic, s.dmabuf, modes[i], s.size);
		loads[i].at = i * QUARTER;
		loads[i].stop = &stop;
		igt_assert_eq(pthread_create(&loads[i].thread, NULL, load_run, &loads[i]), 0);
	}
	for (i = 0; vvram_info(fd, s.handle).moves < 10000; i++)
		vvram_move(fd, s.handle, i % 2 ? VRAM : SYSTEM);
	stop = true;
	for (i = 0; i < ARRAY_LEN(modes); i++)
		pthread_join(loads[i].thread, NULL);

	for (i = 0; i < ARRAY_LEN(modes); i++) {
		struct vrnic_query_mr mr = vrnic_query_mr(nic, loads[i].reg.handle);

		igt_info("mode %u: rounds %llu, maps %llu, invalidations %llu\n", modes[i],
			 (unsigned long long)loads[i].rounds, (unsigned long long)mr.counters.maps,
			 (unsigned long long)mr.counters.invalidations);
		igt_assert_lt(0, loads[i].rounds);
		igt_assert_lte(10000, mr.counters.invalidations);
		igt_assert_eq_u64(mr.counters.dma_faults, 0);
		igt_assert_eq_u64(mr.counters.violations, 0);
		/* Seen from the other side. */
		igt_assert_eq(pattern_find_bad(s.p + loads[i].at, QUARTER,
					       loads[i].rounds - 1, 1), -1);
		vrnic_dereg_mr(nic, loads[i].reg.handle);
	}
	igt_assert_eq_u64(iommu_faults(), iommu);
	igt_info("%llu ms\n", (unsigned long long)(now_ms() - start));
	unshare_buffer(fd, nic, &s);
}

igt_main {
	static const struct {
		const char *name;
		uint32_t mode;
	} modes[] = {
		{ "on-demand", VRNIC_MR_ON_DEMAND },
		{ "eager", VRNIC_MR_EAGER },
		{ "fenced", VRNIC_MR_FENCED },
	};

	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		dynamic = vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC;
		igt_assert_eq(dynamic, !!(vrnic_query(nic).flags & VRNIC_QUERY_DYNAMIC));
	}

	igt_describe("What one side writes the other reads, wherever the buffer is.");
	igt_subtest("write-read")
		test_write_read();
	igt_describe("Not one byte more, not one less.");
	igt_subtest("unaligned")
		test_unaligned();
	igt_describe("And no other bytes, from device memory to device memory.");
	igt_subtest("between-buffers")
		test_between_buffers();
	igt_describe("VRAM and system memory can be mixed in a request.");
	igt_subtest("several-sges")
		test_several_sges();
	igt_describe("A path that is legal is used; another one falls back, and is told.");
	igt_subtest("reach")
		test_reach();
	igt_describe("No mapping is made that nobody uses.");
	igt_subtest("remap-counts")
		test_remap_counts();
	igt_describe("The dma-buf alone keeps importers informed.");
	igt_subtest("last-handle-closed")
		test_last_handle_closed();
	for (unsigned int i = 0; i < ARRAY_LEN(modes); i++) {
		igt_describe("Nothing is lost, doubled or failed because the buffer moves.");
		igt_subtest_f("continuous-moves-%s", modes[i].name)
			test_continuous_moves(modes[i].mode);
	}
	igt_describe("Ten thousand times in a row, and still nothing.");
	igt_subtest("ten-thousand-moves")
		test_ten_thousand_moves();

	igt_fixture {
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
	}
}
