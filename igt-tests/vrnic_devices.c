// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic devices
 * Category: Core
 * Description: Any number of vrnic's devices in one machine.
 *
 * SUBTEST: names
 * Description: Each has a node, a folder in debugfs and a name of its own.
 * SUBTEST: shared-buffer
 * Description: Regions of two devices on one buffer go on when it moves.
 * SUBTEST: moves
 * Description: The same with requests of both in flight all the time.
 * SUBTEST: keys
 * Description: A key of one device is none of the other's.
 * SUBTEST: counters
 * Description: What one does is not counted at the other.
 * SUBTEST: leave
 * Description: When one leaves the other goes on; it comes back by the same name.
 * SUBTEST: soft-arguments
 * Description: A number of devices that is not possible is refused.
 */

#include "module.h"

IGT_TEST_DESCRIPTION("Two importers of one buffer.");

#define SIZE	KIB(256)
#define SLOT	KIB(32)

static int fd = -1, nic[2] = { -1, -1 };
static char parameters[1024];
static bool verbs;

/* The verbs face, where it is loaded, holds the core. */
static void unload(void)
{
	if (module_is_loaded("vrnic_verbs"))
		module_unload("vrnic_verbs");
	module_unload("vrnic");
}

/* What comes later holds. */
static int load(const char *more)
{
	char all[sizeof(parameters) + 64];

	snprintf(all, sizeof(all), "%s%s", parameters, more);
	return __module_load("vrnic", all);
}

static int open_device(int i)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/vrnic%d", i);
	return open(path, O_RDWR | O_CLOEXEC);
}

static void open_devices(void)
{
	uint64_t end = now_ms() + 10000;
	int i;

	for (i = 0; i < 2; i++)
		while ((nic[i] = open_device(i)) < 0) {
			igt_assert_f(now_ms() < end, "/dev/vrnic%d: %s\n", i, strerror(errno));
			usleep(5000);
		}
}

static void test_names(void)
{
	char path[64];
	int i;

	igt_assert(strcmp(vrnic_query(nic[0]).device, vrnic_query(nic[1]).device));
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/vrnic%d/counters", i);
		igt_assert(strstr(read_file(path), "dma_faults="));
	}
}

/* One buffer, a region of each device on it, and what each of them moves bytes with. */
struct rig {
	struct shared s;
	struct vrnic_reg_mr reg[2], mem[2];
	uint32_t queue[2];
	uint8_t *local[2];
};

static struct rig make_rig(uint32_t mode)
{
	struct rig r = { .s = share_buffer(fd, nic[0], SIZE, mode, 0) };
	int i;

	r.reg[0] = r.s.reg;
	r.reg[1] = vrnic_reg_dma_buf(nic[1], r.s.dmabuf, mode, SIZE);
	for (i = 0; i < 2; i++) {
		r.local[i] = alloc_pages(2 * SIZE);
		r.mem[i] = vrnic_reg_user(nic[i], r.local[i], 2 * SIZE);
		r.queue[i] = vrnic_create_queue(nic[i], 2 * SLOTS);
	}
	return r;
}

static void free_rig(struct rig *r)
{
	int i;

	for (i = 0; i < 2; i++) {
		vrnic_destroy_queue(nic[i], r->queue[i]);
		vrnic_dereg_mr(nic[i], r->mem[i].handle);
		munmap(r->local[i], 2 * SIZE);
	}
	vrnic_dereg_mr(nic[1], r->reg[1].handle);
	unshare_buffer(fd, nic[0], &r->s);
}

static int transfer(struct rig *r, int i, uint32_t opcode)
{
	return vrnic_copy(nic[i], r->queue[i], opcode, &r->reg[i], 0, &r->mem[i], 0, SIZE).status;
}

/* Written by one, read by the other, and seen by the CPU. */
static void both_ways(struct rig *r, int writer, uint64_t seed)
{
	int reader = !writer;

	pattern_fill(r->local[writer], SIZE, seed);
	memset(r->local[reader], 0, SIZE);
	igt_assert_eq(transfer(r, writer, VRNIC_OP_WRITE), 0);
	igt_assert_eq(transfer(r, reader, VRNIC_OP_READ), 0);
	pattern_check(r->local[reader], SIZE, seed);
	pattern_check(r->s.p, SIZE, seed);
}

static void test_shared_buffer(void)
{
	bool dynamic = vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC;
	struct rig r;
	uint32_t mode;
	int i;

	for (mode = VRNIC_MR_ON_DEMAND; mode <= VRNIC_MR_FENCED; mode++) {
		r = make_rig(mode);
		igt_assert_eq(vvram_info(fd, r.s.handle).attachments, 2);
		for (i = 0; i < 6; i++) {
			both_ways(&r, i % 2, 10 * mode + i);
			vvram_move_mapped(fd, r.s.handle, i % 2 ? VRAM : SYSTEM);
		}
		for (i = 0; i < 2 && dynamic; i++)
			igt_assert_lt(2, vrnic_query_mr(nic[i], r.reg[i].handle)
				      .counters.invalidations);
		free_rig(&r);
	}
}

static void test_moves(void)
{
	struct rig r = make_rig(VRNIC_MR_ON_DEMAND);
	struct mover m = { .may_be_busy = true };
	uint64_t end = now_ms() + 3000, rounds = 0;
	int i;

	mover_start(&m, fd, r.s.handle);
	while (now_ms() < end || rounds < 4) {
		i = rounds++ % 2;
		transfer_round(nic[i], r.queue[i], &r.reg[i], &r.mem[i], r.local[i], SLOT, rounds);
	}
	mover_stop(&m);
	igt_assert_eq(m.error, 0);
	if (vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC)
		igt_assert_lte(10, m.moves);
	for (i = 0; i < 2; i++)
		igt_assert_eq_u64(vrnic_query_mr(nic[i], r.reg[i].handle).counters.violations, 0);
	igt_info("%llu rounds, %d moves\n", (unsigned long long)rounds, m.moves);
	free_rig(&r);
}

static int copy_reset(int i, uint32_t queue, const struct vrnic_reg_mr *remote,
		      const struct vrnic_reg_mr *local)
{
	struct vrnic_queue again = { .handle = queue };
	int status = vrnic_copy(nic[i], queue, VRNIC_OP_WRITE, remote, 0, local, 0, 4096).status;

	igt_assert_eq(do_call(nic[i], VRNIC_IOC_RESET_QUEUE, &again), 0);
	return status;
}

static void test_keys(void)
{
	struct rig r = make_rig(VRNIC_MR_ON_DEMAND);
	int i;

	for (i = 0; i < 2; i++) {
		struct vrnic_reg_mr *theirs = &r.reg[!i], *mem = &r.mem[!i];

		memset(r.s.p, 0, SIZE);
		memset(r.local[0], 0xee, SIZE);
		memset(r.local[1], 0xee, SIZE);
		igt_assert_eq(copy_reset(i, r.queue[i], theirs, &r.mem[i]),
			      VRNIC_WC_REM_ACCESS_ERR);
		igt_assert_eq(copy_reset(i, r.queue[i], &r.reg[i], mem), VRNIC_WC_LOC_PROT_ERR);
		igt_assert_eq(r.s.p[0] | r.s.p[4095], 0);
		/* The control: with keys of its own. */
		igt_assert_eq(copy_reset(i, r.queue[i], &r.reg[i], &r.mem[i]), 0);
		igt_assert_eq(r.s.p[0] & r.s.p[4095], 0xee);
	}
	free_rig(&r);
}

static void test_counters(void)
{
	struct rig r = make_rig(VRNIC_MR_ON_DEMAND);
	struct vrnic_counters before[2], after[2];
	int i;

	for (i = 0; i < 2; i++)
		before[i] = vrnic_query(nic[i]).counters;
	igt_assert_eq(transfer(&r, 1, VRNIC_OP_WRITE), 0);
	for (i = 0; i < 2; i++)
		after[i] = vrnic_query(nic[i]).counters;
	igt_assert_eq_u64(after[1].bytes_written, before[1].bytes_written + SIZE);
	igt_assert_eq_u64(after[0].bytes_written, before[0].bytes_written);
	igt_assert_eq(vrnic_query(nic[0]).mrs, 2);
	igt_assert_eq(vrnic_query(nic[1]).mrs, 2);
	free_rig(&r);
}

static void test_leave(void)
{
	char function[64], name[48];
	struct vrnic_query query = {};
	struct rig r;

	igt_require_f(bound_function(VRNIC_DRIVER, function), "there is no PCI function\n");
	r = make_rig(VRNIC_MR_ON_DEMAND);
	both_ways(&r, 0, 1);
	snprintf(name, sizeof(name), "%s", vrnic_query(nic[0]).device);

	driver_write(VRNIC_DRIVER, "unbind", function);
	igt_assert_eq(do_call(nic[0], VRNIC_IOC_QUERY, &query), -ENODEV);
	pattern_fill(r.local[1], SIZE, 2);
	igt_assert_eq(transfer(&r, 1, VRNIC_OP_WRITE), 0);
	pattern_check(r.s.p, SIZE, 2);
	vvram_move_mapped(fd, r.s.handle, VRAM);
	igt_assert_eq(transfer(&r, 1, VRNIC_OP_READ), 0);
	pattern_check(r.local[1], SIZE, 2);
	igt_assert_eq(vvram_info(fd, r.s.handle).attachments, 1);

	driver_write(VRNIC_DRIVER, "bind", function);
	close(nic[0]);
	nic[0] = open_device(0);
	igt_assert_fd(nic[0]);
	igt_assert(!strcmp(name, vrnic_query(nic[0]).device));
	vrnic_dereg_mr(nic[1], r.reg[1].handle);
	munmap(r.s.p, SIZE);
	close(r.s.dmabuf);
	gem_close(fd, r.s.handle);
}

static void test_soft_arguments(void)
{
	igt_require_f(module_can_reload("vrnic"), "the module can not be loaded again\n");
	close(nic[0]);
	close(nic[1]);
	unload();
	igt_assert_eq(load("soft=17"), -EINVAL);
	igt_assert_eq(load("soft=-2"), -EINVAL);
	igt_assert_eq(access("/dev/vrnic0", F_OK), -1);
	igt_assert_eq(load("soft=16"), 0);
	nic[0] = open_device(15);
	igt_assert_fd(nic[0]);
	close(nic[0]);
	unload();
	igt_assert_eq(load("soft=2"), 0);
	open_devices();
}

igt_main {
	bool reloaded = false;

	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		module_parameters("vrnic", parameters, sizeof(parameters));
		verbs = module_is_loaded("vrnic_verbs");
		if (access("/dev/vrnic1", F_OK)) {
			igt_require_f(module_can_reload("vrnic"), "there is one device\n");
			unload();
			reloaded = true;
			igt_assert_eq(load("soft=2"), 0);
		}
		open_devices();
	}

	igt_describe("Nothing of one is called like the other's.");
	igt_subtest("names")
		test_names();
	igt_describe("What one wrote the other reads, wherever the buffer is.");
	igt_subtest("shared-buffer")
		test_shared_buffer();
	igt_describe("No request of either fails, no byte is wrong.");
	igt_subtest("moves")
		test_moves();
	igt_describe("No key leads into another device.");
	igt_subtest("keys")
		test_keys();
	igt_describe("Each counts for itself.");
	igt_subtest("counters")
		test_counters();
	igt_describe("One comes and goes, the other does not notice.");
	igt_subtest("leave")
		test_leave();
	igt_describe("From none to sixteen.");
	igt_subtest("soft-arguments")
		test_soft_arguments();

	igt_fixture {
		close(nic[0]);
		close(nic[1]);
		if (reloaded) {
			unload();
			igt_assert_eq(load(""), 0);
		}
		if (verbs && !module_is_loaded("vrnic_verbs"))
			igt_assert_eq(__module_load("vrnic_verbs", ""), 0);
		vvram_wait_unused(fd);
		drm_close_driver(fd);
	}
}
