// SPDX-License-Identifier: MIT
/**
 * TEST: vvram room
 * Category: Core
 * Description: Buffers that somebody keeps for a moment are waited for, not taken for full VRAM.
 *
 * SUBTEST: created-behind-closed
 * Description: Two clients want the room of a buffer that was closed while it was cleared.
 * SUBTEST: created-behind-kept
 * Description: A buffer is made in the room of one whose reservation a call holds for long.
 * SUBTEST: dumb-behind-kept
 * Description: The same for a dumb buffer.
 * SUBTEST: moved-behind-kept
 * Description: The same for a buffer that is moved to VRAM.
 * SUBTEST: created-behind-importer
 * Description: The same while an importer waits for the bytes, without the reservation.
 * SUBTEST: interrupted
 * Description: Who waits for room can be killed, and interrupted by signals.
 * SUBTEST: movers
 * Description: Processes each move a buffer of more than half of VRAM in and out.
 * SUBTEST: creators
 * Description: Processes each make, check and close buffers of more than half of VRAM.
 * SUBTEST: importer
 * Description: An importer uses one such buffer while others are made and moved.
 * SUBTEST: in-the-way-of-a-map
 * Description: Room in one piece that can't be had is refused, though an importer keeps
 *	bringing a buffer back.
 * SUBTEST: full
 * Description: VRAM full of what can't move says so, at once and to everybody.
 */

#include <drm_mode.h>
#include <signal.h>
#include <sys/wait.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("Room that is there a moment later.");

/* How long copies wait: longer than a call needs to get to where it waits. */
#define DELAY_MS	2000
#define SECONDS		3

static int fd = -1, nic = -1;
static uint64_t vram;

static bool no_room(int ret)
{
	return ret == -ENOSPC || ret == -ENOMEM;
}

static uint64_t part_of_vram(unsigned int eighths)
{
	return vram / 8 * eighths & ~(MIB(1) - 1);
}

static bool is_zero(const void *p, uint64_t size)
{
	const uint64_t *w = p;

	for (uint64_t i = 0; i < size / 8; i += 511)
		if (w[i])
			return false;
	return true;
}

/* New, in VRAM, of that size and zeroed; dirty afterwards. */
static void check_new(int file, uint32_t handle, uint64_t size)
{
	void *p = vvram_mmap(file, handle, size);

	igt_assert(is_zero(p, size));
	pattern_fill(p, MIB(1), 1);
	igt_assert(!is_zero(p, size));
	munmap(p, size);
}

/* The loser of the two finds the closed buffer reserved by the winner, who waits for it. */
static void test_behind_closed(void)
{
	const uint64_t size = part_of_vram(6);

	chaos_delay(fd, DELAY_MS);
	gem_close(fd, vvram_create(fd, size, VRAM));
	chaos_delay(fd, 0);
	igt_fork(child, 2) {
		int file = drm_open_driver(DRIVER_ANY);
		uint32_t handle = vvram_create(file, size, VRAM);

		check_new(file, handle, size);
		close(file);
	}
	igt_waitchildren();
	vvram_wait_unused(fd);
}

/* A child's call that keeps the reservation until the buffer is cleared. */
struct keeper {
	uint32_t handle;
	int dmabuf;
	pid_t pid;
	uint64_t begin;
};

static void wait_until_busy(uint64_t begin)
{
	while (!strstr(read_file(vvram_debugfs(fd, "buffers")), " busy\n"))
		igt_assert_lt(now_ms() - begin, DELAY_MS);
}

static struct keeper keep(uint64_t size)
{
	struct drm_vvram_gem_revoke revoke = {};
	struct keeper k = { .begin = now_ms() };

	chaos_delay(fd, DELAY_MS);
	k.handle = vvram_create(fd, size, VRAM);
	k.dmabuf = prime_handle_to_fd(fd, k.handle);
	chaos_delay(fd, 0);
	revoke.handle = k.handle;
	k.pid = fork();
	if (!k.pid)
		_exit(-do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &revoke));
	igt_assert_lt(0, k.pid);
	wait_until_busy(k.begin);
	return k;
}

static void keep_end(struct keeper *k)
{
	int status;

	igt_assert_eq(waitpid(k->pid, &status, 0), k->pid);
	igt_assert(WIFEXITED(status));
	igt_assert_eq(WEXITSTATUS(status), 0);
	close(k->dmabuf);
	gem_close(fd, k->handle);
	vvram_wait_unused(fd);
}

/* It took as long as the keeper did, and the kept buffer made room. */
static void check_waited(const struct keeper *k, uint32_t handle)
{
	igt_assert_lte(DELAY_MS, now_ms() - k->begin);
	igt_assert_eq(vvram_info(fd, handle).placement, VRAM);
	igt_assert_eq(vvram_info(fd, k->handle).placement, SYSTEM);
}

static void test_created_behind_kept(void)
{
	struct drm_vvram_query before = vvram_query(fd), after;
	struct keeper k = keep(part_of_vram(6));
	uint32_t handle = vvram_create(fd, part_of_vram(6), VRAM);

	check_waited(&k, handle);
	/* The kept one moved; to create is no move. */
	after = vvram_query(fd);
	igt_assert_eq_u64(after.moves, before.moves + 1);
	igt_assert_eq_u64(after.evictions, before.evictions + 1);
	igt_assert_eq_u64(after.bytes_moved, before.bytes_moved + part_of_vram(6));
	igt_assert_eq_u64(vvram_info(fd, handle).moves, 0);
	check_new(fd, handle, part_of_vram(6));
	gem_close(fd, handle);
	keep_end(&k);
}

static void test_dumb_behind_kept(void)
{
	struct drm_mode_create_dumb dumb = { .width = 1024, .bpp = 32 };
	struct keeper k = keep(part_of_vram(6));

	dumb.height = part_of_vram(6) / 4096;
	igt_assert_eq(do_call(fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb), 0);
	check_waited(&k, dumb.handle);
	check_new(fd, dumb.handle, dumb.size);
	gem_close(fd, dumb.handle);
	keep_end(&k);
}

static void test_moved_behind_kept(void)
{
	const uint64_t size = part_of_vram(5);
	uint32_t handle = vvram_create(fd, size, SYSTEM);
	void *p = vvram_mmap(fd, handle, size);
	struct keeper k;

	pattern_fill(p, MIB(1), 2);
	k = keep(part_of_vram(6));
	igt_assert_eq(__vvram_move(fd, handle, VRAM), 0);
	check_waited(&k, handle);
	pattern_check(p, MIB(1), 2);
	munmap(p, size);
	gem_close(fd, handle);
	keep_end(&k);
}

static void test_behind_importer(void)
{
	const uint64_t size = part_of_vram(6);
	uint8_t *local = alloc_pages(KIB(4));
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, KIB(4));
	struct vrnic_sge sge = { .length = KIB(4), .lkey = mem.lkey };
	struct vrnic_wr wr = {
		.opcode = VRNIC_OP_READ, .num_sge = 1, .sge = (uintptr_t)&sge,
	};
	uint32_t queue = vrnic_create_queue(nic, 1), handle;
	struct vrnic_wc wc;
	struct shared s;

	igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC,
		      "the kernel pins mapped buffers\n");
	igt_require_f(vrnic_reaches_vram(fd, nic), "the importer does not reach VRAM\n");
	chaos_delay(fd, DELAY_MS);
	s = share_buffer(fd, nic, size, VRNIC_MR_ON_DEMAND, 0);
	chaos_delay(fd, 0);
	wr.rkey = s.reg.rkey;
	memset(local, 1, KIB(4));
	igt_assert_eq(__vrnic_post(nic, queue, &wr, 1), 0);
	usleep(200000);

	handle = vvram_create(fd, size, VRAM);
	igt_assert_eq(vvram_info(fd, handle).placement, VRAM);
	check_new(fd, handle, size);
	igt_assert_eq(vrnic_poll(nic, queue, &wc, 1, 60000000000LL), 1);
	igt_assert_eq(wc.status, VRNIC_WC_SUCCESS);
	igt_assert(is_zero(local, KIB(4)));

	gem_close(fd, handle);
	vrnic_destroy_queue(nic, queue);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, KIB(4));
	unshare_buffer(fd, nic, &s);
	vvram_wait_unused(fd);
}

static void on_signal(int number __attribute__((unused)))
{
}

/* Says in its exit status how it ended. */
static pid_t create_in_child(uint64_t size)
{
	struct drm_vvram_gem_create create = { .size = size, .placement = VRAM };
	/* Without SA_RESTART. */
	struct sigaction action = { .sa_handler = on_signal };
	pid_t pid = fork();

	if (!pid) {
		sigaction(SIGUSR1, &action, NULL);
		if (ioctl(fd, DRM_IOCTL_VVRAM_GEM_CREATE, &create))
			_exit(errno);
		gem_close(fd, create.handle);
		_exit(0);
	}
	igt_assert_lt(0, pid);
	usleep(200000);
	return pid;
}

/* Tells whether what the two wait for was still kept when they had ended. */
static bool interrupt_two(void)
{
	struct keeper k = keep(part_of_vram(6));
	pid_t told = create_in_child(part_of_vram(6)), killed = create_in_child(part_of_vram(6));
	siginfo_t kept = {};
	int status, last;

	igt_assert_eq(kill(killed, SIGKILL), 0);
	igt_assert_eq(waitpid(killed, &last, 0), killed);
	/* Once may be too early. */
	while (!waitpid(told, &status, WNOHANG)) {
		igt_assert_eq(kill(told, SIGUSR1), 0);
		usleep(10000);
	}
	igt_assert_eq(waitid(P_PID, k.pid, &kept, WEXITED | WNOHANG | WNOWAIT), 0);
	if (!kept.si_pid) {
		igt_assert(WIFSIGNALED(last));
		igt_assert(WIFEXITED(status));
		igt_assert_eq(WEXITSTATUS(status), EINTR);
	}
	keep_end(&k);
	return !kept.si_pid;
}

static void test_interrupted(void)
{
	int tries = 5;

	/* A machine that has more to do may be too slow for it. */
	while (!interrupt_two())
		igt_assert_f(--tries, "they waited for as long as it was kept\n");
}

static void test_movers(void)
{
	const uint64_t size = part_of_vram(5), end = now_ms() + SECONDS * 1000;

	igt_fork(child, 3) {
		int file = drm_open_driver(DRIVER_ANY);
		uint32_t handle = vvram_create(file, size, SYSTEM);
		uint64_t *p = vvram_mmap(file, handle, size), n = 0;

		do {
			pattern_fill(p, KIB(4), child + 3 * n);
			vvram_move(file, handle, VRAM);
			igt_assert_eq(pattern_find_bad(p, KIB(4), child + 3 * n, 1), -1);
			vvram_move(file, handle, SYSTEM);
			igt_assert_eq(pattern_find_bad(p, KIB(4), child + 3 * n, 1), -1);
			n++;
		} while (now_ms() < end);
		close(file);
	}
	igt_waitchildren();
}

static void test_creators(void)
{
	const uint64_t size = part_of_vram(5), end = now_ms() + SECONDS * 1000;

	igt_fork(child, 3) {
		int file = drm_open_driver(DRIVER_ANY);

		do {
			uint32_t handle = vvram_create(file, size, VRAM);

			if (child)
				check_new(file, handle, size);
			gem_close(file, handle);
		} while (now_ms() < end);
		close(file);
	}
	igt_waitchildren();
}

/* Its maps hold the buffer's reservation with a ticket, and wait for copies meanwhile. */
static void test_importer(void)
{
	const uint64_t size = part_of_vram(5), end = now_ms() + SECONDS * 1000;
	struct shared s = share_buffer(fd, nic, size, VRNIC_MR_ON_DEMAND, 0);
	uint8_t *local = alloc_pages(KIB(64));
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, KIB(64));
	uint32_t queue = vrnic_create_queue(nic, 4), n = 0;

	pattern_fill(s.p, KIB(64), 9);
	igt_fork(child, 2) {
		int file = drm_open_driver(DRIVER_ANY);
		uint32_t handle = vvram_create(file, size, child ? VRAM : SYSTEM);

		do {
			if (child) {
				gem_close(file, handle);
				handle = vvram_create(file, size, VRAM);
			} else {
				vvram_move(file, handle, VRAM);
				vvram_move(file, handle, SYSTEM);
			}
		} while (now_ms() < end);
		close(file);
	}
	do {
		memset(local, 0, KIB(64));
		igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &s.reg, 0, &mem, 0,
					 KIB(64)).status, 0);
		igt_assert_eq(pattern_find_bad(local, KIB(64), 9, 1), -1);
		if (n++ % 4 == 0)
			vvram_move_mapped(fd, s.handle, VRAM);
	} while (now_ms() < end);
	igt_waitchildren();

	vrnic_destroy_queue(nic, queue);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, KIB(64));
	unshare_buffer(fd, nic, &s);
}

/* Uses a buffer all the time, so that it comes back as soon as it is evicted. */
static pid_t use_in_child(const struct vrnic_reg_mr *reg, uint32_t queue)
{
	struct vrnic_wr wr = {
		.opcode = VRNIC_OP_CRC32C, .rkey = reg->rkey, .remote_length = reg->length,
	};
	pid_t pid = fork();

	if (!pid) {
		while (!vrnic_do(nic, queue, &wr).status)
			;
		_exit(1);
	}
	igt_assert_lt(0, pid);
	return pid;
}

/* In one piece; says in its exit status how it ended. */
static pid_t ask_in_child(uint64_t size)
{
	uint32_t handle;
	pid_t pid = fork();

	if (!pid)
		_exit(-__vvram_create(fd, size, VRAM, DRM_VVRAM_GEM_CREATE_CONTIGUOUS, &handle));
	igt_assert_lt(0, pid);
	return pid;
}

/* A child's exit status, or -1 when it does not end within that time and had to be killed. */
static int end_of(pid_t pid, uint64_t ms)
{
	uint64_t end = now_ms() + ms;
	int status;

	while (!waitpid(pid, &status, WNOHANG)) {
		if (now_ms() > end) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		usleep(10000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define USERS	8

/*
 * A small buffer is pinned within VRAM. All else can be evicted, and as much as is asked
 * for is free then, but in two pieces.
 */
static void test_in_the_way(void)
{
	uint32_t below, queue[USERS];
	struct shared pinned, used[USERS];
	uint64_t evictions, begin;
	pid_t user[USERS];
	int i, ret;

	igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC,
		      "the kernel pins mapped buffers\n");
	igt_require_f(vrnic_reaches_vram(fd, nic), "the importer does not reach VRAM\n");
	below = vvram_create(fd, part_of_vram(3), VRAM);
	pinned = share_buffer(fd, nic, MIB(1), VRNIC_MR_PINNED, 0);
	gem_close(fd, below);
	igt_assert(no_room(-end_of(ask_in_child(part_of_vram(7)), 10000)));

	for (i = 0; i < USERS; i++) {
		used[i] = share_buffer(fd, nic, MIB(1), VRNIC_MR_EAGER, 0);
		queue[i] = vrnic_create_queue(nic, 1);
		user[i] = use_in_child(&used[i].reg, queue[i]);
	}
	evictions = vvram_query(fd).evictions;
	begin = now_ms();
	ret = end_of(ask_in_child(part_of_vram(7)), 20000);
	igt_info("%llu evictions in %llu ms\n",
		 (unsigned long long)(vvram_query(fd).evictions - evictions),
		 (unsigned long long)(now_ms() - begin));
	igt_assert(no_room(-ret));

	/* The control: all were in the way, and are used all the time. */
	igt_assert_lte(USERS, vvram_query(fd).evictions - evictions);
	for (i = 0; i < USERS; i++) {
		igt_assert_eq(end_of(user[i], 0), -1);
		vrnic_destroy_queue(nic, queue[i]);
		unshare_buffer(fd, nic, &used[i]);
	}
	unshare_buffer(fd, nic, &pinned);
}

static void test_full(void)
{
	uint64_t limit = vvram_query(fd).vram_pin_limit, begin;
	const uint64_t size = vram - limit + MIB(1);
	uint32_t handle = 0, moved;
	struct shared s;

	igt_require_f(vrnic_reaches_vram(fd, nic), "the importer does not reach VRAM\n");
	igt_require_f(limit > MIB(1), "nothing can be pinned\n");
	s = share_buffer(fd, nic, limit, VRNIC_MR_PINNED, 0);
	igt_assert_eq(vvram_info(fd, s.handle).placement, VRAM);
	moved = vvram_create(fd, size, SYSTEM);

	begin = now_ms();
	igt_assert(no_room(__vvram_create(fd, size, VRAM, 0, &handle)));
	igt_assert(no_room(__vvram_move(fd, moved, VRAM)));
	igt_assert_eq(vvram_info(fd, moved).placement, SYSTEM);
	igt_assert_lt(now_ms() - begin, 10000);
	gem_close(fd, moved);

	/* What is left can be had. */
	handle = vvram_create(fd, size - MIB(2), VRAM);
	gem_close(fd, handle);
	unshare_buffer(fd, nic, &s);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		vram = vvram_query(fd).vram_size;
		vvram_wait_unused(fd);
	}

	igt_describe("A buffer that ends is no obstacle, whoever waits for its end.");
	igt_subtest("created-behind-closed")
		test_behind_closed();
	igt_describe("A buffer that a call holds is evicted when the call is over.");
	igt_subtest("created-behind-kept")
		test_created_behind_kept();
	igt_describe("Dumb buffers are like others.");
	igt_subtest("dumb-behind-kept")
		test_dumb_behind_kept();
	igt_describe("A move waits as well.");
	igt_subtest("moved-behind-kept")
		test_moved_behind_kept();
	igt_describe("An importer that waits is in nobody's way, and gets its bytes.");
	igt_subtest("created-behind-importer")
		test_behind_importer();
	igt_describe("A wait for room holds up nobody who is told to go.");
	igt_subtest("interrupted")
		test_interrupted();
	igt_describe("No two of them fit, and each has its turn.");
	igt_subtest("movers")
		test_movers();
	igt_describe("What is closed makes room for what comes.");
	igt_subtest("creators")
		test_creators();
	igt_describe("An importer keeps the buffer for as long as a map takes.");
	igt_subtest("importer") {
		igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC,
			      "this kernel pins mapped buffers: it is more than may be pinned\n");
		test_importer();
	}
	igt_describe("What comes back is evicted so often, and no more.");
	igt_subtest("in-the-way-of-a-map")
		test_in_the_way();
	igt_describe("The control: no room is no room.");
	igt_subtest("full")
		test_full();

	igt_fixture {
		chaos_delay(fd, 0);
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
	}
}
