// SPDX-License-Identifier: MIT
/**
 * TEST: vvram chaos
 * Category: Core
 * Description: What vvram does to importers on demand, and that it catches bad ones.
 *
 * SUBTEST: poison-honest
 * Description: With poison on, an importer that keeps the rules sees nothing of it.
 * SUBTEST: poison-stale-reader
 * Description: One that goes on with old addresses reads poison, or faults.
 * SUBTEST: poison-stale-writer
 * Description: One that writes after the notification is noticed, or faults.
 * SUBTEST: delay-killed
 * Description: Who is killed while it waits for a slow move is gone at once.
 * SUBTEST: fail-alloc
 * Description: VRAM that can't be had fails the call and loses nothing.
 * SUBTEST: fail-move
 * Description: A move that fails leaves the buffer where it was.
 * SUBTEST: fail-map
 * Description: A map that fails completes work with an error; the next one goes.
 * SUBTEST: churn
 * Description: Buffers move by themselves under transfers.
 * SUBTEST: ttm-copy
 * Description: TTM's own copy, there to compare with, brings the same bytes.
 * SUBTEST: read-back
 * Description: What was asked for can be read.
 * SUBTEST: arguments
 * Description: What makes no sense is refused.
 */

#include <signal.h>
#include <sys/wait.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("Faults on demand.");

static int fd = -1, nic = -1;
static bool dynamic;

struct rig {
	struct shared s;
	struct vrnic_reg_mr mem;
	uint8_t *local;
	uint32_t queue;
};

static struct rig make_rig(uint64_t size, uint32_t mode)
{
	struct rig r = { .s = share_buffer(fd, nic, size, mode, 0) };

	r.local = alloc_pages(size);
	r.mem = vrnic_reg_user(nic, r.local, size);
	r.queue = vrnic_create_queue(nic, 8);
	return r;
}

static void free_rig(struct rig *r)
{
	vrnic_destroy_queue(nic, r->queue);
	vrnic_dereg_mr(nic, r->mem.handle);
	munmap(r->local, r->s.size);
	unshare_buffer(fd, nic, &r->s);
}

static uint32_t transfer(struct rig *r, uint32_t opcode)
{
	struct vrnic_queue reset = { .handle = r->queue };
	uint32_t status = vrnic_copy(nic, r->queue, opcode, &r->s.reg, 0, &r->mem, 0,
				     r->s.size).status;

	if (status)
		igt_assert_eq(do_call(nic, VRNIC_IOC_RESET_QUEUE, &reset), 0);
	return status;
}

static void test_poison_honest(void)
{
	static const uint32_t modes[] = { VRNIC_MR_ON_DEMAND, VRNIC_MR_EAGER, VRNIC_MR_FENCED };
	uint64_t stale = chaos_read(fd, "stale_writes");
	unsigned int m, i;

	igt_require_f(dynamic, "this kernel pins mapped buffers\n");
	chaos_write(fd, "poison", "1");
	for (m = 0; m < ARRAY_LEN(modes); m++) {
		struct rig r = make_rig(KIB(256), modes[m]);

		for (i = 0; i < 6; i++) {
			pattern_fill(r.local, r.s.size, i);
			igt_assert_eq(transfer(&r, VRNIC_OP_WRITE), 0);
			vvram_move(fd, r.s.handle, i % 2 ? VRAM : SYSTEM);
			memset(r.local, 0, r.s.size);
			igt_assert_eq(transfer(&r, VRNIC_OP_READ), 0);
			pattern_check(r.local, r.s.size, i);
			pattern_check(r.s.p, r.s.size, i);
		}
		free_rig(&r);
	}
	chaos_write(fd, "poison", "0");
	igt_assert_eq_u64(chaos_read(fd, "stale_writes"), stale);
}

static uint64_t dma_faults(void)
{
	return vrnic_query(nic).counters.dma_faults;
}

/*
 * With an IOMMU the old address is dead: the access faults. Without one it reaches
 * the old place, where there is poison.
 */
static void test_stale_reader(void)
{
	uint64_t poison = chaos_read(fd, "poison_pattern"), faults;
	bool iommu = vrnic_query(nic).flags & VRNIC_QUERY_IOMMU;
	uint32_t status;
	struct rig r;

	igt_require_f(dynamic, "this kernel pins mapped buffers\n");
	r = make_rig(KIB(64), VRNIC_MR_ON_DEMAND);
	pattern_fill(r.s.p, r.s.size, 1);
	igt_assert_eq(transfer(&r, VRNIC_OP_READ), 0);
	pattern_check(r.local, r.s.size, 1);
	if (vvram_info(fd, r.s.handle).placement != VRAM) {
		/* Its old place is given back to the system, and may be anything. */
		free_rig(&r);
		igt_skip("the importer does not reach VRAM\n");
	}

	faults = dma_faults();
	chaos_write(fd, "poison", "1");
	vrnic_misbehave("skip-invalidate");
	vvram_move(fd, r.s.handle, SYSTEM);
	status = transfer(&r, VRNIC_OP_READ);
	vrnic_misbehave("none");
	chaos_write(fd, "poison", "0");

	if (iommu) {
		igt_assert_eq(status, VRNIC_WC_DMA_FAULT);
		igt_assert_lt(faults, dma_faults());
	} else {
		igt_assert_eq(status, 0);
		igt_assert_eq_u64(*(uint64_t *)r.local, poison);
		igt_assert_neq(pattern_find_bad(r.local, r.s.size, 1, 1), -1);
	}
	pattern_check(r.s.p, r.s.size, 1);
	free_rig(&r);
}

static void test_stale_writer(void)
{
	bool iommu = vrnic_query(nic).flags & VRNIC_QUERY_IOMMU;
	uint64_t faults, stale;
	struct rig r;

	igt_require_f(dynamic, "this kernel pins mapped buffers\n");
	r = make_rig(KIB(64), VRNIC_MR_ON_DEMAND);
	pattern_fill(r.local, r.s.size, 2);
	igt_assert_eq(transfer(&r, VRNIC_OP_WRITE), 0);

	faults = dma_faults();
	stale = chaos_read(fd, "stale_writes");
	chaos_write(fd, "poison", "1");
	vrnic_misbehave("late-write");
	vvram_move(fd, r.s.handle, vvram_info(fd, r.s.handle).placement == VRAM ? SYSTEM : VRAM);
	usleep(100000);
	/* What is in quarantine is judged now. */
	chaos_write(fd, "poison", "0");
	vrnic_misbehave("none");

	/*
	 * Without an IOMMU the write lands: in the poison, which is watched, or on a
	 * slow machine still in the bytes that are about to be copied.
	 */
	if (iommu)
		igt_assert_lt(faults, dma_faults());
	else
		igt_assert(stale < chaos_read(fd, "stale_writes") ||
			   pattern_find_bad(r.s.p, r.s.size, 2, 1) >= 0);
	free_rig(&r);
}

#define DELAY_MS	5000

/* Its bytes arrive all the same, for those who hold the buffer. */
static void test_delay_killed(void)
{
	const uint64_t size = MIB(4);
	uint32_t handle = vvram_create(fd, size, SYSTEM);
	uint8_t *p = vvram_mmap(fd, handle, size);
	uint64_t begin, killed;
	int status;
	pid_t pid;

	pattern_fill(p, size, 7);
	chaos_write(fd, "delay_ms", "5000");
	begin = now_ms();
	pid = fork();
	igt_assert_lte(0, pid);
	if (!pid)
		_exit(-__vvram_move(fd, handle, VRAM));
	while (!(vvram_info(fd, handle).flags & DRM_VVRAM_INFO_BUSY) &&
	       now_ms() - begin < DELAY_MS)
		usleep(1000);
	/* It waits now, or is about to. */
	usleep(200000);
	killed = now_ms();
	igt_assert_eq(kill(pid, SIGKILL), 0);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	killed = now_ms() - killed;
	chaos_write(fd, "delay_ms", "0");
	igt_assert_f(killed < 2000, "gone after %llu ms\n", (unsigned long long)killed);
	igt_assert(WIFSIGNALED(status));
	/* The control: what it waited for is still under way. */
	igt_assert(vvram_info(fd, handle).flags & DRM_VVRAM_INFO_BUSY);
	pattern_check(p, size, 7);
	igt_assert_lte(DELAY_MS, now_ms() - begin);
	igt_assert_eq(vvram_info(fd, handle).placement, VRAM);

	munmap(p, size);
	gem_close(fd, handle);
}

static void test_fail_alloc(void)
{
	uint32_t handle = 0;

	/* Each attempt: older kernels say the same for a lack of room, which is tried again. */
	chaos_write(fd, "fail_alloc", "100 12");
	igt_assert_eq(__vvram_create(fd, KIB(64), VRAM, 0, &handle), -ENOMEM);
	chaos_write(fd, "fail_alloc", "0 12");
	igt_assert_eq(__vvram_create(fd, KIB(64), VRAM, 0, &handle), 0);
	gem_close(fd, handle);
}

static void test_fail_move(void)
{
	uint32_t handle = vvram_create(fd, KIB(64), VRAM);
	void *p = vvram_mmap(fd, handle, KIB(64));

	pattern_fill(p, KIB(64), 3);
	chaos_write(fd, "fail_move", "2 5");
	igt_assert_eq(__vvram_move(fd, handle, SYSTEM), -EIO);
	igt_assert_eq(__vvram_move(fd, handle, SYSTEM), -EIO);
	igt_assert_eq(vvram_info(fd, handle).placement, VRAM);
	pattern_check(p, KIB(64), 3);
	vvram_move(fd, handle, SYSTEM);
	pattern_check(p, KIB(64), 3);
	munmap(p, KIB(64));
	gem_close(fd, handle);
}

static void test_fail_map(void)
{
	struct rig r = make_rig(KIB(64), VRNIC_MR_ON_DEMAND);

	pattern_fill(r.local, r.s.size, 4);
	chaos_write(fd, "fail_map", "1 12");
	igt_assert_eq(transfer(&r, VRNIC_OP_WRITE), VRNIC_WC_GENERAL_ERR);
	igt_assert_eq(transfer(&r, VRNIC_OP_WRITE), 0);
	pattern_check(r.s.p, r.s.size, 4);
	free_rig(&r);
}

static void test_churn(void)
{
	struct rig r = make_rig(KIB(256), VRNIC_MR_ON_DEMAND);
	uint64_t end = now_ms() + 1500, n = 0;

	chaos_write(fd, "churn_hz", "100");
	while (now_ms() < end || (dynamic && vvram_info(fd, r.s.handle).moves < 6)) {
		pattern_fill(r.local, r.s.size, ++n);
		igt_assert_eq(transfer(&r, VRNIC_OP_WRITE), 0);
		memset(r.local, 0, r.s.size);
		igt_assert_eq(transfer(&r, VRNIC_OP_READ), 0);
		igt_assert_eq(pattern_find_bad(r.local, r.s.size, n, 1), -1);
	}
	chaos_write(fd, "churn_hz", "0");
	pattern_check(r.s.p, r.s.size, n);
	free_rig(&r);
}

static void test_ttm_copy(void)
{
	const uint64_t sizes[] = { KIB(64), MIB(1) };
	uint32_t handle, segments;
	void *p;

	for (unsigned int i = 0; i < ARRAY_LEN(sizes); i++) {
		handle = vvram_create(fd, sizes[i], VRAM);
		p = vvram_mmap(fd, handle, sizes[i]);
		pattern_fill(p, sizes[i], i);
		segments = vvram_info(fd, handle).segments;
		chaos_write(fd, "ttm_copy", "1");
		/* It takes what is in one piece. */
		igt_assert_eq(__vvram_move(fd, handle, SYSTEM), segments > 1 ? -EINVAL : 0);
		pattern_check(p, sizes[i], i);
		if (segments == 1)
			vvram_move(fd, handle, VRAM);
		chaos_write(fd, "ttm_copy", "0");
		pattern_check(p, sizes[i], i);
		munmap(p, sizes[i]);
		gem_close(fd, handle);
	}
}

static void test_read_back(void)
{
	static const char *const fail[] = { "fail_alloc", "fail_map", "fail_move" };

	for (unsigned int i = 0; i < ARRAY_LEN(fail); i++) {
		chaos_write(fd, fail[i], "0 12");
		igt_assert(!strcmp(read_file(chaos_file(fd, fail[i])), "0 12\n"));
	}
	chaos_write(fd, "churn_hz", "1");
	igt_assert_eq_u64(chaos_read(fd, "churn_hz"), 1);
	chaos_write(fd, "churn_hz", "0");
	igt_assert_eq_u64(chaos_read(fd, "churn_hz"), 0);

	vrnic_misbehave("late-unmap");
	igt_assert(strstr(read_file(VRNIC_MISBEHAVE), "late-unmap"));
	vrnic_misbehave("none");
	igt_assert(!strcmp(read_file(VRNIC_MISBEHAVE), "none\n"));
}

static void test_arguments(void)
{
	static const struct {
		const char *file, *text;
	} bad[] = {
		{ "delay_ms", "5001" }, { "churn_hz", "1001" },
		{ "fail_map", "1" }, { "fail_move", "1 0" },
		{ "fail_move", "1 4096" }, { "fail_alloc", "x y" },
	};

	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++)
		igt_assert_eq(__debugfs_write(chaos_file(fd, bad[i].file), bad[i].text), -EINVAL);
	igt_assert_eq(__debugfs_write(VRNIC_MISBEHAVE, "nonsense"), -EINVAL);
	igt_assert_eq_u64(chaos_read(fd, "delay_ms"), 0);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		dynamic = vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC;
	}

	igt_describe("Poison is not for those who keep the rules.");
	igt_subtest("poison-honest")
		test_poison_honest();
	igt_describe("The control: a stale reader is caught.");
	igt_subtest("poison-stale-reader")
		test_stale_reader();
	igt_describe("The control: a stale writer is caught.");
	igt_subtest("poison-stale-writer")
		test_stale_writer();
	igt_describe("A delay holds nobody up who is told to go.");
	igt_subtest("delay-killed")
		test_delay_killed();
	igt_describe("No VRAM: the chosen errno, and the next call works.");
	igt_subtest("fail-alloc")
		test_fail_alloc();
	igt_describe("No move: the chosen errno, and the bytes stay.");
	igt_subtest("fail-move")
		test_fail_move();
	igt_describe("No map: an error completion, and the next request works.");
	igt_subtest("fail-map")
		test_fail_map();
	igt_describe("Nobody needs to ask for a move.");
	igt_subtest("churn")
		test_churn();
	igt_describe("The copy of the benchmark's comparison copies.");
	igt_subtest("ttm-copy")
		test_ttm_copy();
	igt_describe("Switches tell their state.");
	igt_subtest("read-back")
		test_read_back();
	igt_describe("Values out of range are refused.");
	igt_subtest("arguments")
		test_arguments();

	igt_fixture {
		chaos_write(fd, "poison", "0");
		chaos_write(fd, "delay_ms", "0");
		chaos_write(fd, "churn_hz", "0");
		chaos_write(fd, "ttm_copy", "0");
		vrnic_misbehave("none");
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
	}
}
