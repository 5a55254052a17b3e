// SPDX-License-Identifier: MIT
/**
 * TEST: vvram move
 * Category: Core
 * Description: Bytes, CPU pointers and zeroed memory over moves.
 *
 * SUBTEST: bytes-%s
 * Description: Bytes survive moves both ways, for a buffer of this size.
 * SUBTEST: pointer-while-moving
 * Description: A CPU pointer is used while another thread moves the buffer.
 * SUBTEST: forked-mapping
 * Description: A child writes through its copy of the mapping across moves.
 * SUBTEST: close-keeps-mapping
 * Description: A mapping outlives its handle.
 * SUBTEST: zeroed
 * Description: New memory is zero, in both placements, after it was dirtied.
 * SUBTEST: dma-buf-mmap
 * Description: The dma-buf's mapping shows the same bytes, in both placements.
 * SUBTEST: evict
 * Description: Buffers of twice VRAM's size, used in turn, keep their bytes.
 * SUBTEST: larger-than-vram
 * Description: Nobody makes room for a buffer that can never fit.
 * SUBTEST: debugger
 * Description: A debugger reads and writes another process's mapping, wherever it is.
 * SUBTEST: revoked
 * Description: A buffer that was taken away from its importers is its owner's to move.
 * SUBTEST: signals
 * Description: Moves under a storm of signals are restarted.
 */

#include <sys/ptrace.h>
#include <sys/wait.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("Bytes and CPU pointers of buffers that move.");

static int fd = -1;

static void test_bytes(uint64_t size)
{
	uint32_t handle = vvram_create(fd, size, VRAM);
	void *p = vvram_mmap(fd, handle, size);
	int i;

	pattern_fill(p, size, size);
	for (i = 0; i < 4; i++) {
		vvram_move(fd, handle, i % 2 ? VRAM : SYSTEM);
		igt_assert_eq(vvram_info(fd, handle).placement, i % 2 ? VRAM : SYSTEM);
		if (i < 3)
			igt_assert_eq(pattern_find_bad(p, size, size, 61), -1);
	}
	pattern_check(p, size, size);
	igt_assert_eq_u64(vvram_info(fd, handle).moves, 4);
	munmap(p, size);
	gem_close(fd, handle);
}

static void test_pointer_while_moving(void)
{
	const uint64_t size = MIB(1);
	uint32_t handle = vvram_create(fd, size, VRAM);
	uint64_t *p = vvram_mmap(fd, handle, size), end = now_ms() + 1500, n = 0, i;
	struct mover m;

	mover_start(&m, fd, handle);
	while (n < 2 || mover_goes_on(&m, end, 3)) {
		n++;
		for (i = 0; i < size / 8; i += 509)
			p[i] = n + i;
		for (i = 0; i < size / 8; i += 509)
			igt_assert_eq_u64(p[i], n + i);
	}
	mover_stop(&m);
	munmap(p, size);
	gem_close(fd, handle);
}

static void test_forked_mapping(void)
{
	const uint64_t size = KIB(256);
	uint32_t handle = vvram_create(fd, size, VRAM);
	void *p = vvram_mmap(fd, handle, size);

	igt_fork(child, 1) {
		igt_assert_eq(__vvram_move(fd, handle, SYSTEM), 0);
		pattern_fill(p, size, 7);
		igt_assert_eq(__vvram_move(fd, handle, VRAM), 0);
		igt_assert_eq(pattern_find_bad(p, size, 7, 1), -1);
	}
	igt_waitchildren();
	pattern_check(p, size, 7);
	munmap(p, size);
	gem_close(fd, handle);
}

static void test_close_keeps_mapping(void)
{
	const uint64_t size = KIB(256);
	uint32_t handle = vvram_create(fd, size, VRAM);
	void *p = vvram_mmap(fd, handle, size);

	pattern_fill(p, size, 3);
	gem_close(fd, handle);
	pattern_check(p, size, 3);
	munmap(p, size);
}

static bool is_zero(const void *p, uint64_t size)
{
	const uint64_t *w = p;
	uint64_t i;

	for (i = 0; i < size / 8; i++)
		if (w[i])
			return false;
	return true;
}

static void test_zeroed(void)
{
	const uint64_t size = MIB(2);
	static const uint32_t places[] = { VRAM, SYSTEM };
	unsigned int round, i;

	for (round = 0; round < 4; round++) {
		for (i = 0; i < ARRAY_LEN(places); i++) {
			uint32_t handle = vvram_create(fd, size, places[i]);
			void *p = vvram_mmap(fd, handle, size);

			if (round % 2)
				vvram_move(fd, handle, places[!i]);
			igt_assert(is_zero(p, size));
			pattern_fill(p, size, round);
			igt_assert(!is_zero(p, size));
			munmap(p, size);
			gem_close(fd, handle);
		}
	}
}

static void test_larger_than_vram(void)
{
	uint64_t size = vvram_query(fd).vram_size + KIB(64);
	uint32_t other = vvram_create(fd, MIB(1), VRAM);
	uint32_t handle = vvram_create(fd, size, SYSTEM);
	uint8_t *p = vvram_mmap(fd, handle, size);
	uint64_t evictions = vvram_query(fd).evictions;
	int ret;

	pattern_fill(p + size - MIB(1), MIB(1), 11);
	ret = __vvram_move(fd, handle, VRAM);
	/* TTM of Linux 6.12 says that there is no memory. */
	igt_assert_f(ret == -ENOSPC || ret == -ENOMEM, "%d\n", ret);
	igt_assert_eq(vvram_info(fd, handle).placement, SYSTEM);
	igt_assert_eq(vvram_info(fd, other).placement, VRAM);
	igt_assert_eq_u64(vvram_query(fd).evictions, evictions);
	pattern_check(p + size - MIB(1), MIB(1), 11);
	munmap(p, size);
	gem_close(fd, handle);
	gem_close(fd, other);
}

static void test_dma_buf_mmap(void)
{
	const uint64_t size = KIB(512);
	uint32_t handle = vvram_create(fd, size, VRAM);
	int dmabuf = prime_handle_to_fd_for_mmap(fd, handle), i;
	void *p = vvram_mmap(fd, handle, size);
	void *q = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);

	igt_assert(q != MAP_FAILED);
	for (i = 0; i < 4; i++) {
		pattern_fill(i % 2 ? p : q, size, i);
		vvram_move(fd, handle, i % 2 ? VRAM : SYSTEM);
		pattern_check(i % 2 ? q : p, size, i);
	}
	igt_assert(mmap(NULL, size + 4096, PROT_READ, MAP_SHARED, dmabuf, 0) == MAP_FAILED);
	munmap(p, size);
	munmap(q, size);
	close(dmabuf);
	gem_close(fd, handle);
}

static void test_evict(void)
{
	const uint64_t size = vvram_query(fd).vram_size / 8;
	uint64_t evictions = vvram_query(fd).evictions;
	uint32_t handles[16];
	void *p[16];
	int i;

	for (i = 0; i < 16; i++) {
		handles[i] = vvram_create(fd, size, VRAM);
		p[i] = vvram_mmap(fd, handles[i], size);
		pattern_fill(p[i], KIB(64), i);
	}
	igt_assert_lt(0, vvram_query(fd).evictions - evictions);
	for (i = 0; i < 16; i++) {
		vvram_move(fd, handles[i], VRAM);
		pattern_check(p[i], KIB(64), i);
	}
	for (i = 0; i < 16; i++) {
		munmap(p[i], size);
		gem_close(fd, handles[i]);
	}
	vvram_wait_unused(fd);
}

static void test_revoked(void)
{
	const uint64_t size = MIB(1);
	uint32_t handle = vvram_create(fd, size, VRAM);
	struct drm_vvram_gem_revoke revoke = { .handle = handle };
	int dmabuf = prime_handle_to_fd(fd, handle), i;
	void *p = vvram_mmap(fd, handle, size);

	pattern_fill(p, size, 12);
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &revoke), 0);
	for (i = 0; i < 4; i++) {
		vvram_move(fd, handle, i % 2 ? VRAM : SYSTEM);
		igt_assert_eq(vvram_info(fd, handle).placement, i % 2 ? VRAM : SYSTEM);
		pattern_check(p, size, 12);
	}
	igt_assert_eq_u64(vvram_info(fd, handle).moves, 4);
	igt_assert(vvram_info(fd, handle).flags & DRM_VVRAM_INFO_REVOKED);
	close(dmabuf);
	munmap(p, size);
	gem_close(fd, handle);
}

static void test_signals(void)
{
	const uint64_t size = MIB(8);
	uint32_t handle = vvram_create(fd, size, VRAM);
	void *p = vvram_mmap(fd, handle, size);
	int i;

	pattern_fill(p, size, 11);
	igt_fork_signal_helper();
	for (i = 0; i < 10; i++)
		vvram_move(fd, handle, i % 2 ? VRAM : SYSTEM);
	igt_stop_signal_helper();
	pattern_check(p, size, 11);
	munmap(p, size);
	gem_close(fd, handle);
}

/* Its words are counted up by the debugger. */
static void be_debugged(const long *p, uint64_t words)
{
	uint64_t i;

	if (ptrace(PTRACE_TRACEME) || raise(SIGSTOP))
		_exit(1);
	for (i = 0; i < words; i += 511)
		if (p[i] != (long)i + 2)
			_exit(2);
	_exit(0);
}

static void test_debugger(void)
{
	const uint64_t size = KIB(256), words = size / sizeof(long);
	uint32_t handle = vvram_create(fd, size, VRAM);
	long *p = vvram_mmap(fd, handle, size);
	int status, round;
	uint64_t i;
	pid_t pid;

	for (i = 0; i < words; i++)
		p[i] = i;
	pid = fork();
	if (!pid)
		be_debugged(p, words);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert(WIFSTOPPED(status));

	for (round = 0; round < 2; round++) {
		vvram_move(fd, handle, round ? SYSTEM : VRAM);
		for (i = 0; i < words; i += 511) {
			errno = 0;
			igt_assert_eq_u64(ptrace(PTRACE_PEEKDATA, pid, p + i, NULL), i + round);
			igt_assert_eq(errno, 0);
			igt_assert_eq(ptrace(PTRACE_POKEDATA, pid, p + i, i + round + 1), 0);
		}
	}
	igt_assert_eq(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert(WIFEXITED(status) && !WEXITSTATUS(status));
	munmap(p, size);
	gem_close(fd, handle);
}

igt_main {
	static const struct {
		const char *name;
		uint64_t size;
	} sizes[] = {
		{ "4k", KIB(4) },
		{ "68k", KIB(68) },
		{ "5m", MIB(5) },
		{ "32m", MIB(32) },
	};

	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
	}

	for (unsigned int i = 0; i < ARRAY_LEN(sizes); i++) {
		igt_describe("Every byte is where it was, whatever the placement.");
		igt_subtest_f("bytes-%s", sizes[i].name)
			test_bytes(sizes[i].size);
	}
	igt_describe("Larger than half of VRAM: no two of them fit.");
	igt_subtest("bytes-large")
		test_bytes((vvram_query(fd).vram_size * 5 / 8) & ~4095ULL);
	igt_describe("No write is lost and no old byte is seen through a CPU pointer.");
	igt_subtest("pointer-while-moving")
		test_pointer_while_moving();
	igt_describe("A mapping that was inherited follows the buffer too.");
	igt_subtest("forked-mapping")
		test_forked_mapping();
	igt_describe("The buffer lives for as long as it is mapped.");
	igt_subtest("close-keeps-mapping")
		test_close_keeps_mapping();
	igt_describe("Nobody sees what another buffer left behind.");
	igt_subtest("zeroed")
		test_zeroed();
	igt_describe("Both ways to map a buffer show one memory.");
	igt_subtest("dma-buf-mmap")
		test_dma_buf_mmap();
	igt_describe("VRAM that is full makes room.");
	igt_subtest("evict")
		test_evict();
	igt_describe("More than there is.");
	igt_subtest("larger-than-vram")
		test_larger_than_vram();
	igt_describe("The way of ptrace() to memory that has no pages.");
	igt_subtest("debugger")
		test_debugger();
	igt_describe("The owner keeps its bytes.");
	igt_subtest("revoked")
		test_revoked();
	igt_describe("A move that a signal interrupts can be called again.");
	igt_subtest("signals")
		test_signals();

	igt_fixture {
		vvram_wait_unused(fd);
		drm_close_driver(fd);
	}
}
