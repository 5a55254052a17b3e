// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic hardware
 * Category: Core
 * Description: A device masters the bus, and the IOMMU judges its addresses.
 *
 * SUBTEST: write-read
 * Description: Hardware writes to and reads from the buffer where it is placed.
 * SUBTEST: distance
 * Description: The exporter's verdict on the path is the kernel's own.
 * SUBTEST: no-path
 * Description: Without a legal path the buffer comes to system memory, and it is told why.
 * SUBTEST: mixed
 * Description: One importer that reaches VRAM and one that does not, at once.
 * SUBTEST: moves
 * Description: A hundred moves under hardware transfers: right bytes, no fault.
 * SUBTEST: shared
 * Description: Who waits for a buffer does not keep others from the engine.
 * SUBTEST: stale-address
 * Description: The control: hardware that goes on with an old address is blocked by
 *	the IOMMU, which counts it and names device and address.
 */

#include "movable.h"

IGT_TEST_DESCRIPTION("A device masters the bus, the IOMMU judges.");

#define SIZE	KIB(16)

static int fd = -1, nic = -1;
static bool dynamic, reaches;

struct rig {
	struct shared s;
	uint8_t *local;
	struct vrnic_reg_mr mem;
	uint32_t queue;
};

static struct rig make_rig(uint32_t mode)
{
	struct rig r;

	igt_require_f(vrnic_query(nic).flags & VRNIC_QUERY_EDU, "the importer has no hardware\n");
	r.s = share_buffer(fd, nic, SIZE, mode, 0);
	r.local = alloc_pages(SIZE);
	r.mem = vrnic_reg_user(nic, r.local, SIZE);
	r.queue = vrnic_create_edu_queue(nic, 8);
	return r;
}

static void free_rig(struct rig *r)
{
	vrnic_destroy_queue(nic, r->queue);
	vrnic_dereg_mr(nic, r->mem.handle);
	munmap(r->local, SIZE);
	unshare_buffer(fd, nic, &r->s);
}

static uint32_t transfer(struct rig *r, uint32_t opcode, const struct vrnic_reg_mr *remote,
			 uint64_t at, uint32_t len)
{
	return vrnic_copy(nic, r->queue, opcode, remote, at, &r->mem, at, len).status;
}

/* Both ways at an odd place, of which the buffer's other bytes must see nothing. */
static void both_ways(struct rig *r, const struct vrnic_reg_mr *remote, uint64_t seed)
{
	const uint64_t at = 1000, len = 5000;
	uint8_t want[SIZE];

	pattern_fill(r->local, SIZE, seed);
	memset(r->s.p, 0x5a, SIZE);
	memset(want, 0x5a, SIZE);
	memcpy(want + at, r->local + at, len);
	igt_assert_eq(transfer(r, VRNIC_OP_WRITE, remote, at, len), 0);
	igt_assert(!memcmp(r->s.p, want, SIZE));
	want[at + len - 1] ^= 1;
	igt_assert(memcmp(r->s.p, want, SIZE));

	pattern_fill(r->s.p, SIZE, ~seed);
	memset(r->local, 0xa5, SIZE);
	memset(want, 0xa5, SIZE);
	memcpy(want + at, r->s.p + at, len);
	igt_assert_eq(transfer(r, VRNIC_OP_READ, remote, at, len), 0);
	igt_assert(!memcmp(r->local, want, SIZE));
}

static uint32_t placement(struct rig *r)
{
	return vvram_info(fd, r->s.handle).placement;
}

static void test_write_read(void)
{
	struct rig r = make_rig(VRNIC_MR_ON_DEMAND);
	uint64_t faults = iommu_faults();

	both_ways(&r, &r.s.reg, 1);
	igt_assert_eq(placement(&r), reaches ? VRAM : SYSTEM);
	igt_assert_eq(!!(vrnic_query_mr(nic, r.s.reg.handle).state & VRNIC_MR_STATE_PEER), reaches);
	if (dynamic) {
		vvram_move(fd, r.s.handle, SYSTEM);
		both_ways(&r, &r.s.reg, 2);
		igt_assert_eq(placement(&r), SYSTEM);
	}
	igt_assert_eq_u64(iommu_faults(), faults);
	free_rig(&r);
}

static struct drm_vvram_attachment attachment(struct rig *r)
{
	struct drm_vvram_attachment att = {};
	struct drm_vvram_gem_attachments list = {
		.handle = r->s.handle, .count = 1, .attachments = (uintptr_t)&att,
	};

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_ATTACHMENTS, &list), 0);
	return att;
}

static void test_distance(void)
{
	const char *modules = getenv("MODULES");
	char command[256], vvram[64], vrnic[64];
	struct rig r = make_rig(VRNIC_MR_ON_DEMAND);
	int told = -2;
	FILE *f;

	igt_require_f(modules && bound_function(VVRAM_DRIVER, vvram) &&
		      bound_function(VRNIC_DRIVER, vrnic), "no PCI functions\n");
	snprintf(command, sizeof(command),
		 "P2P_DISTANCE_MODULE=%s/p2p_distance.ko sh %s/p2p-distance %s %s",
		 modules, modules, vvram, vrnic);
	f = popen(command, "r");
	igt_assert(f && fscanf(f, "distance %d", &told) == 1);
	pclose(f);
	igt_assert_eq(told, attachment(&r).distance);
	free_rig(&r);
}

static void test_no_path(void)
{
	const char *machine = getenv("MACHINE");
	struct rig r;

	igt_require_f(machine && !strcmp(machine, "no-p2p") && dynamic, "the path is legal here\n");
	r = make_rig(VRNIC_MR_ON_DEMAND);
	both_ways(&r, &r.s.reg, 3);
	igt_assert_eq(attachment(&r).reach, DRM_VVRAM_REACH_NO_PATH);
	igt_assert_eq(attachment(&r).distance, -1);
	igt_assert_eq(placement(&r), SYSTEM);
	free_rig(&r);
}

static void test_mixed(void)
{
	struct vrnic_reg_mr weak;
	struct rig r;

	igt_require_f(reaches && dynamic, "the importer does not reach VRAM\n");
	r = make_rig(VRNIC_MR_ON_DEMAND);
	both_ways(&r, &r.s.reg, 4);
	igt_assert_eq(placement(&r), VRAM);

	weak = (struct vrnic_reg_mr) {
		.fd = r.s.dmabuf, .length = SIZE, .flags = VRNIC_REG_MR_NO_PEER2PEER,
		.access = VRNIC_ACCESS_REMOTE_READ | VRNIC_ACCESS_REMOTE_WRITE,
	};
	igt_assert_eq(__vrnic_reg_mr(nic, &weak), 0);
	both_ways(&r, &weak, 5);
	igt_assert_eq(placement(&r), SYSTEM);
	both_ways(&r, &r.s.reg, 6);
	igt_assert_eq(placement(&r), SYSTEM);

	vrnic_dereg_mr(nic, weak.handle);
	vvram_move(fd, r.s.handle, VRAM);
	both_ways(&r, &r.s.reg, 7);
	igt_assert_eq(placement(&r), VRAM);
	free_rig(&r);
}

/* A transfer takes the device a fifth of a second; the buffer moves between them, too. */
static void test_moves(void)
{
	uint64_t faults = iommu_faults(), moves;
	struct vrnic_counters counters;
	struct rig r;
	int i;

	igt_require_f(dynamic, "this kernel pins mapped buffers\n");
	r = make_rig(VRNIC_MR_ON_DEMAND);
	for (i = 0; vvram_info(fd, r.s.handle).moves < 100; i++) {
		struct vrnic_sge sge = { .length = 512, .lkey = r.mem.lkey };
		struct vrnic_wr wr = {
			.wr_id = i, .opcode = i % 2 ? VRNIC_OP_READ : VRNIC_OP_WRITE,
			.rkey = r.s.reg.rkey, .num_sge = 1, .sge = (uintptr_t)&sge,
		};
		struct vrnic_wc wc = {};

		/* What the last write left is read back, wherever it has gone since. */
		if (i % 2)
			memset(r.local, 0, 512);
		else
			pattern_fill(r.local, 512, i);
		igt_assert_eq(__vrnic_post(nic, r.queue, &wr, 1), 0);
		for (moves = 0; moves < 6; moves++)
			vvram_move(fd, r.s.handle, moves % 2 ? VRAM : SYSTEM);
		igt_assert_eq(vrnic_poll(nic, r.queue, &wc, 1, 60000000000LL), 1);
		igt_assert_eq(wc.status, 0);
		igt_assert_eq_u64(wc.wr_id, i);
		igt_assert_eq(pattern_find_bad(r.local, 512, i & ~1, 1), -1);
		igt_assert_eq(pattern_find_bad(r.s.p, 512, i & ~1, 1), -1);
	}
	counters = vrnic_query_mr(nic, r.s.reg.handle).counters;
	igt_info("%d transfers, %llu moves, %llu maps\n", i,
		 (unsigned long long)vvram_info(fd, r.s.handle).moves,
		 (unsigned long long)counters.maps);
	igt_assert_eq_u64(iommu_faults(), faults);
	igt_assert_eq_u64(counters.violations, 0);
	free_rig(&r);
}

/* The kernel's log names the function, and an address: how often so far. */
static int blocked_writes(void)
{
	char name[64], pattern[200];
	unsigned int bus, dev, fn;

	igt_assert(bound_function(VRNIC_DRIVER, name));
	igt_assert_eq(sscanf(name, "0000:%x:%x.%x", &bus, &dev, &fn), 3);
	snprintf(pattern, sizeof(pattern),
		 "DMA Write.*Request device .(0000:)?%s. fault addr 0x|fault from EP %u at 0x",
		 name + strlen("0000:"), bus << 8 | dev << 3 | fn);
	return count_in_dmesg(pattern);
}

/* The IOMMU tells by an interrupt, which may come later than the end of the transfer. */
static bool is_told(uint64_t faults, int told)
{
	uint64_t end = now_ms() + 10000;

	while (iommu_faults() <= faults || blocked_writes() <= told) {
		if (now_ms() > end)
			return false;
		usleep(20000);
	}
	return true;
}

static void test_shared(void)
{
	struct rig r = make_rig(VRNIC_MR_ON_DEMAND);
	uint8_t *local = alloc_pages(2 * SIZE);
	int other = vrnic_open();
	struct vrnic_reg_mr mem = vrnic_reg_user(other, local, 2 * SIZE);
	uint32_t queue = vrnic_create_edu_queue(other, 4);
	uint64_t start = now_ms();

	igt_require_f(dynamic && reaches, "the buffer does not move\n");
	vvram_send_away(fd, r.s.handle, r.s.p, SYSTEM, AWAY_MS);
	vrnic_post_copy(nic, r.queue, VRNIC_OP_WRITE, &r.s.reg, 0, &r.mem, 0, SIZE);
	usleep(100000);
	/* In few transfers, each of which takes a tenth of a second. */
	pattern_fill(local, 512, 4);
	igt_assert_eq(vrnic_copy(other, queue, VRNIC_OP_WRITE, &mem, SIZE, &mem, 0, 512).status, 0);
	pattern_check(local + SIZE, 512, 4);
	igt_assert_lt(now_ms() - start, SOON_MS);
	vrnic_destroy_queue(other, queue);
	vrnic_dereg_mr(other, mem.handle);
	close(other);
	munmap(local, 2 * SIZE);
	free_rig(&r);
	igt_assert_lt(now_ms() - start, SOON_MS);
}

static void test_stale_address(void)
{
	uint64_t faults;
	struct rig r;
	int told;

	igt_require_f(vrnic_query(nic).flags & VRNIC_QUERY_IOMMU && reaches && dynamic,
		      "no IOMMU, or out of reach\n");
	r = make_rig(VRNIC_MR_ON_DEMAND);
	pattern_fill(r.s.p, SIZE, 8);
	igt_assert_eq(transfer(&r, VRNIC_OP_READ, &r.s.reg, 0, 512), 0);
	memset(r.local, 0xee, SIZE);
	faults = iommu_faults();
	told = blocked_writes();

	/* The honest importer: moved, mapped again, no fault. */
	vvram_move(fd, r.s.handle, SYSTEM);
	vvram_move(fd, r.s.handle, VRAM);
	igt_assert_eq(transfer(&r, VRNIC_OP_READ, &r.s.reg, 0, 512), 0);
	igt_assert_eq_u64(iommu_faults(), faults);

	vrnic_misbehave("skip-invalidate");
	vvram_move(fd, r.s.handle, SYSTEM);
	memset(r.local, 0xee, SIZE);
	igt_assert_eq(transfer(&r, VRNIC_OP_WRITE, &r.s.reg, 0, 512), 0);
	igt_assert(is_told(faults, told));
	vrnic_misbehave("none");
	/* It did no harm. */
	pattern_check(r.s.p, SIZE, 8);
	free_rig(&r);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		dynamic = vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC;
		reaches = vrnic_reaches_vram(fd, nic);
	}

	igt_describe("What hardware writes the CPU reads, and back.");
	igt_subtest("write-read")
		test_write_read();
	igt_describe("A driver author can ask the kernel the same question.");
	igt_subtest("distance")
		test_distance();
	igt_describe("No path is no failure.");
	igt_subtest("no-path")
		test_no_path();
	igt_describe("The least able importer decides while it is attached.");
	igt_subtest("mixed")
		test_mixed();
	igt_describe("Hardware never meets an address that is not its own.");
	igt_subtest("moves")
		test_moves();
	igt_describe("A turn of the engine takes as long as its transfer.");
	igt_subtest("shared")
		test_shared();
	igt_describe("The control: who keeps an old address is caught.");
	igt_subtest("stale-address")
		test_stale_address();

	igt_fixture {
		vrnic_misbehave("none");
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
	}
}
