// SPDX-License-Identifier: MIT
/**
 * TEST: vvram svm
 * Category: Core
 * Description: Memory of a process moves to VRAM and back, and its pointers stay (svm=1).
 *
 * SUBTEST: there-and-back
 * Description: The bytes are the same at both places, and the counters tell where they are.
 * SUBTEST: untouched
 * Description: Memory that was never touched is zero, whoever had the VRAM before.
 * SUBTEST: again
 * Description: What is there already, or can not move, is no error, and takes no room.
 * SUBTEST: cpu-access
 * Description: CPUs, and the kernel for them, use memory that is in VRAM.
 * SUBTEST: fork
 * Description: After a fork each process has its own bytes, whatever moves when.
 * SUBTEST: huge
 * Description: Transparent huge pages move, as a whole or a piece of them.
 * SUBTEST: mappings
 * Description: Memory in VRAM is unmapped, mapped elsewhere, given up and protected.
 * SUBTEST: killed
 * Description: Processes that end in the middle of a move leave nothing behind.
 * SUBTEST: interrupted
 * Description: A call that signals interrupt goes on where it was, and counts right.
 * SUBTEST: evict
 * Description: Buffers that need the room send memory of processes away, and the other way round.
 * SUBTEST: no-room
 * Description: Where VRAM has no room, or there is no memory, that is told, and nothing is lost.
 * SUBTEST: faults
 * Description: Each allocation of a move fails once: what can't move stays, with its bytes.
 * SUBTEST: strangers
 * Description: Other kinds of memory stay where they are, and other processes' is not reached.
 * SUBTEST: bad-input
 * Description: Senseless arguments are refused.
 * SUBTEST: held
 * Description: Pages that somebody has stay, are not given to others, and are told of.
 * SUBTEST: pinned
 * Description: Memory that is pinned for long leaves VRAM first, and does not return.
 * SUBTEST: %s-while-moving
 * Description: Memory moves all the time while a drive, CPUs or a peer by RDMA use it.
 * SUBTEST: control-%s
 * Description: Moves that lose the bytes are found out.
 * SUBTEST: reset
 * Description: Nothing is in VRAM while the function is reset.
 * SUBTEST: unbind
 * Description: The device ends with memory of processes in VRAM: it comes back before.
 * SUBTEST: unbind-held
 * Description: The device does not end before the pages of VRAM are let go.
 * SUBTEST: unbind-listed
 * Description: Nor by pages that nobody has but a list of the CPU that has unmapped them.
 * SUBTEST: unload
 * Description: The module is unloaded with memory of processes in VRAM: it comes back before.
 */

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "direct.h"
#include "faults.h"
#include "foreign.h"
#include "module.h"
#include "rxe.h"

IGT_TEST_DESCRIPTION("Memory of processes in VRAM.");

#define PAGE	KIB(4)
#define HUGE	MIB(2)
#define PART	MIB(1)

static int fd = -1;
static bool coherent;

/* Anonymous memory, aligned as huge pages are, none of it touched. */
static uint8_t *make_memory(uint64_t size)
{
	uint8_t *p = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t head = -(uintptr_t)p & (HUGE - 1);

	igt_assert(p != MAP_FAILED);
	if (head)
		munmap(p, head);
	munmap(p + head + size, HUGE - head);
	return p + head;
}

static uint8_t *make_pattern(uint64_t size, uint64_t seed)
{
	uint8_t *p = make_memory(size);

	pattern_fill(p, size, seed);
	return p;
}

static int __migrate(void *p, uint64_t size, uint32_t placement, uint64_t *moved)
{
	struct drm_vvram_svm_migrate arg = {
		.address = (uintptr_t)p, .length = size, .placement = placement,
	};
	int ret;

	do {
		ret = do_call(fd, DRM_IOCTL_VVRAM_SVM_MIGRATE, &arg);
	} while (ret == -EINTR || ret == -EAGAIN);
	*moved = arg.moved;
	return ret;
}

/* Bytes that moved. */
static uint64_t migrate(void *p, uint64_t size, uint32_t placement)
{
	uint64_t moved;

	igt_assert_eq(__migrate(p, size, placement, &moved), 0);
	return moved;
}

/* All of it: what somebody uses just then is tried again. */
static void migrate_all(void *p, uint64_t size, uint32_t placement)
{
	uint64_t end = now_ms() + 20000, moved = 0;

	while ((moved += migrate(p, size, placement)) < size) {
		igt_assert_f(now_ms() < end, "only %llu of %llu bytes moved\n",
			     (unsigned long long)moved, (unsigned long long)size);
		usleep(1000);
	}
	igt_assert_eq_u64(moved, size);
}

static uint64_t used(void)
{
	return vvram_query(fd).svm_used;
}

/* What was let go is free a moment later. */
static void wait_used(uint64_t size)
{
	uint64_t end = now_ms() + 20000;

	while (used() != size && now_ms() < end)
		usleep(1000);
	igt_assert_eq_u64(used(), size);
}

static void wait_vram_used(uint64_t size)
{
	uint64_t end = now_ms() + 20000;

	while (vvram_query(fd).vram_used != size && now_ms() < end)
		usleep(1000);
	igt_assert_eq_u64(vvram_query(fd).vram_used, size);
}

/* Whatever the test before has left. */
static void reset(void)
{
	uint32_t handle;

	chaos_write(fd, "poison", "0");
	chaos_write(fd, "skip_copy", "0");
	chaos_write(fd, "fail_alloc", "0 12");
	igt_assert_eq(__debugfs_write("/sys/module/vvram/parameters/drain_ms", "5000"), 0);
	if (used() && !__vvram_create(fd, vvram_query(fd).vram_size, VRAM, 0, &handle))
		gem_close(fd, handle);
	wait_used(0);
	vvram_wait_unused(fd);
}

static void test_there_and_back(void)
{
	const uint64_t size = MIB(8);
	uint8_t *p = make_pattern(size, 1);
	uint64_t before = vvram_query(fd).svm_moved;

	chaos_write(fd, "poison", "1");
	migrate_all(p, size, VRAM);
	igt_assert_eq_u64(used(), size);
	igt_assert_eq_u64(KIB(fdinfo_kib(fd, "vvram-svm")), size);
	igt_assert_lte(size, vvram_query(fd).vram_used);
	igt_assert_eq_u64(vvram_query(fd).svm_moved - before, size);
	migrate_all(p, size, SYSTEM);
	igt_assert_eq_u64(vvram_query(fd).svm_moved - before, 2 * size);
	wait_used(0);
	wait_vram_used(0);
	pattern_check(p, size, 1);

	/* By itself, when a CPU needs it there. */
	pattern_fill(p, size, 2);
	migrate_all(p, size, VRAM);
	pattern_check(p, size, 2);
	wait_used(coherent ? size : 0);
	munmap(p, size);
	wait_used(0);
	igt_assert_eq_u64(fdinfo_kib(fd, "vvram-svm"), 0);
}

static void test_untouched(void)
{
	struct small_vram small = small_vram_make(MIB(8));
	const uint64_t size = MIB(4);
	uint8_t *p;

	foreign_leave(&small);
	p = make_memory(size);
	migrate_all(p, size, VRAM);
	igt_assert_eq_u64(used(), size);
	assert_zero(p, size);
	munmap(p, size);
	small_vram_wait(&small);

	/* Pages that are there, pages of which only zeroes were read, and others between them. */
	foreign_leave(&small);
	p = make_memory(size);
	for (uint64_t at = 0; at < size; at += 3 * PAGE)
		pattern_fill(p + at, PAGE, at);
	for (uint64_t at = PAGE; at < size; at += 3 * PAGE)
		igt_assert_eq(p[at], 0);
	migrate_all(p, size, VRAM);
	for (uint64_t at = 0; at < size; at += PAGE) {
		if (at / PAGE % 3)
			assert_zero(p + at, PAGE);
		else
			igt_assert_eq(pattern_find_bad(p + at, PAGE, at, 1), -1);
	}
	munmap(p, size);
	small_vram_wait(&small);

	/* Of what was evicted nothing is left for a buffer. */
	p = make_memory(size);
	for (uint64_t at = 0; at < size; at += 8)
		*(uint64_t *)(p + at) = FOREIGN;
	migrate_all(p, size, VRAM);
	munmap(p, size);
	small_vram_wait(&small);
	{
		uint32_t handle = vvram_create(fd, MIB(8), VRAM);
		uint8_t *q = vvram_mmap(fd, handle, MIB(8));

		assert_zero(q, MIB(8));
		munmap(q, MIB(8));
		gem_close(fd, handle);
	}
	small_vram_free(&small);
}

static void test_again(void)
{
	const uint64_t size = MIB(4);
	uint8_t *p = make_pattern(size, 3);

	migrate_all(p, size, VRAM);
	for (int i = 0; i < 20; i++)
		igt_assert_eq_u64(migrate(p, size, VRAM), 0);
	igt_assert_eq_u64(used(), size);
	wait_vram_used(size);
	/* Every second page: the rest takes no more than it needs. */
	for (uint64_t at = 0; at < size; at += 2 * PAGE)
		migrate_all(p + at, PAGE, SYSTEM);
	igt_assert_eq_u64(used(), size / 2);
	igt_assert_eq_u64(migrate(p, size, VRAM), size / 2);
	wait_vram_used(size + size / 2);
	pattern_check(p, size, 3);
	migrate(p, size, SYSTEM);
	wait_used(0);
	wait_vram_used(0);
	igt_assert_eq_u64(migrate(p, size, SYSTEM), 0);
	pattern_check(p, size, 3);
	munmap(p, size);
}

static void test_cpu_access(void)
{
	const uint64_t size = MIB(1);
	uint8_t *p = make_pattern(size, 4), copy[PAGE];
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	igt_assert_fd(mem);
	migrate_all(p, size, VRAM);
	igt_assert_eq(pattern_find_bad(p, 8, 4, 1), -1);
	/* What is around it may come along. */
	igt_assert_lte(coherent ? size : size - KIB(64), used());
	if (!coherent)
		igt_assert_lt(used(), size);

	migrate(p, size, VRAM);
	igt_assert_eq(pread(mem, copy, PAGE, (uintptr_t)p + KIB(512)), PAGE);
	igt_assert(!memcmp(copy, p + KIB(512), PAGE));
	migrate(p, size, VRAM);
	copy[5] ^= 1;
	igt_assert_eq(pwrite(mem, copy, PAGE, (uintptr_t)p + KIB(512)), PAGE);
	igt_assert(!memcmp(copy, p + KIB(512), PAGE));
	copy[5] ^= 1;
	igt_assert_eq(pwrite(mem, copy, PAGE, (uintptr_t)p + KIB(512)), PAGE);

	/* Written there, moved, read. */
	migrate(p, size, VRAM);
	pattern_fill(p, size, 5);
	migrate(p, size, SYSTEM);
	pattern_check(p, size, 5);
	close(mem);
	munmap(p, size);
}

static void wait_child(pid_t pid)
{
	int status;

	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_f(WIFEXITED(status) && !WEXITSTATUS(status), "the child ended with %#x\n", status);
}

static bool is_right(const void *p, uint64_t size, uint64_t seed)
{
	return pattern_find_bad(p, size, seed, 1) == -1;
}

/* A step of the one, then of the other. */
static void pass_on(int pipe)
{
	igt_assert_eq(write(pipe, "", 1), 1);
}

static bool wait_turn(int pipe)
{
	char c;

	return read(pipe, &c, 1) == 1;
}

/* The child's exit code says where it went wrong. */
static void be_child(uint8_t *p, uint64_t size, uint32_t placement, int mine, int parents)
{
	uint64_t moved;

	if (!wait_turn(mine) || !is_right(p, size, 6))
		_exit(1);
	pattern_fill(p, size / 2, 7);
	if (__migrate(p, size, placement, &moved))
		_exit(2);
	if (!is_right(p, size / 2, 7))
		_exit(3);
	pass_on(parents);
	if (!wait_turn(mine) || !is_right(p, size / 2, 7))
		_exit(4);
	_exit(0);
}

static void test_fork_in(uint32_t before, uint32_t after)
{
	const uint64_t size = MIB(2);
	uint8_t *p = make_pattern(size, 6), *q = make_memory(size);
	int to_child[2], to_parent[2];
	pid_t pid;

	memcpy(q, p, size);
	igt_assert_eq(pipe(to_child) | pipe(to_parent), 0);
	migrate(p, size, before);
	pid = fork();
	if (!pid)
		be_child(p, size, after, to_child[0], to_parent[1]);
	/* Shared now: a move is one for both. */
	migrate(p, size, after);
	pass_on(to_child[1]);
	igt_assert(wait_turn(to_parent[0]));
	igt_assert(!memcmp(p, q, size));
	pattern_fill(p, size, 8);
	migrate(p, size, before);
	pass_on(to_child[1]);
	wait_child(pid);
	pattern_check(p, size, 8);
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(to_parent[i]);
	}
	munmap(p, size);
	munmap(q, size);
	wait_used(0);
}

static void test_fork(void)
{
	test_fork_in(VRAM, VRAM);
	test_fork_in(VRAM, SYSTEM);
	test_fork_in(SYSTEM, VRAM);
}

static uint64_t huge_bytes(const void *p)
{
	char head[32], *line = NULL;
	FILE *f = fopen("/proc/self/smaps", "re");
	uint64_t kib = 0;
	size_t room = 0;
	bool in = false;

	igt_assert(f);
	snprintf(head, sizeof(head), "%lx-", (unsigned long)p);
	while (getline(&line, &room, f) > 0) {
		in |= !strncmp(line, head, strlen(head));
		if (in && sscanf(line, "AnonHugePages: %lu kB", &kib) == 1)
			break;
	}
	free(line);
	fclose(f);
	return KIB(kib);
}

static void test_huge(void)
{
	const uint64_t size = 3 * HUGE;
	uint8_t *p = make_memory(size);

	igt_require_f(!madvise(p, size, MADV_HUGEPAGE), "no transparent huge pages\n");
	pattern_fill(p, size, 9);
	igt_require_f(huge_bytes(p), "the kernel gave no huge page\n");
	/* A piece from the middle of one, over a border, and the rest. */
	migrate_all(p + HUGE / 2, KIB(64), VRAM);
	migrate_all(p + 2 * HUGE - KIB(64), KIB(128), VRAM);
	igt_assert_eq_u64(used(), KIB(192));
	pattern_check(p, size, 9);
	migrate(p, size, VRAM);
	igt_assert_eq_u64(used(), size);
	migrate_all(p, size, SYSTEM);
	pattern_check(p, size, 9);
	munmap(p, size);

	/* The huge page of zeroes. */
	p = make_memory(size);
	igt_assert_eq(madvise(p, size, MADV_HUGEPAGE), 0);
	igt_assert_eq(p[HUGE + 7], 0);
	migrate_all(p, size, VRAM);
	assert_zero(p, size);
	munmap(p, size);
	wait_used(0);
}

static void test_mappings(void)
{
	const uint64_t size = MIB(4);
	uint8_t *p = make_pattern(size, 10), *q = make_memory(PART), *local = make_pattern(size, 10);

	migrate_all(p, size, VRAM);
	igt_assert(mremap(p, PART, PART, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	igt_assert_eq(munmap(p + PART, PART / 2), 0);
	igt_assert_eq(madvise(p + 3 * PART / 2, PART / 2, MADV_DONTNEED), 0);
	igt_assert_eq(mprotect(p + 2 * PART, PART, PROT_READ), 0);
	wait_used(size - PART);
	igt_assert(!memcmp(q, local, PART));
	assert_zero(p + 3 * PART / 2, PART / 2);
	igt_assert(!memcmp(p + 2 * PART, local + 2 * PART, 2 * PART));

	/* Borders of mappings are none of a move's; what is gone is told. */
	migrate(p + 3 * PART / 2, size - 3 * PART / 2, SYSTEM);
	migrate(q, PART, SYSTEM);
	wait_used(0);
	igt_assert_eq_u64(migrate(p + 3 * PART / 2, size - 3 * PART / 2, VRAM), size - 3 * PART / 2);
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_SVM_MIGRATE, &(struct drm_vvram_svm_migrate) {
		.address = (uintptr_t)p, .length = size, .placement = VRAM }), -EFAULT);
	igt_assert(!memcmp(p + 2 * PART, local + 2 * PART, 2 * PART));
	/* No right to access is no right to lose. */
	igt_assert_eq(mprotect(p + 3 * PART, PART, PROT_NONE), 0);
	migrate(p + 3 * PART, PART, SYSTEM);
	migrate_all(p + 3 * PART, PART, VRAM);
	igt_assert_eq(mprotect(p + 3 * PART, PART, PROT_READ), 0);
	igt_assert(!memcmp(p + 3 * PART, local + 3 * PART, PART));
	munmap(p, size);
	munmap(q, PART);
	munmap(local, size);
	wait_used(0);
}

static void go_back_and_forth(uint8_t *p, uint64_t size)
{
	uint64_t moved;

	for (;;) {
		__migrate(p, size, VRAM, &moved);
		memset(p, 1, size / 2);
		__migrate(p, size, SYSTEM, &moved);
	}
}

static void test_killed(void)
{
	const uint64_t size = MIB(16);

	for (int i = 0; i < 10; i++) {
		pid_t pid = fork();

		if (!pid) {
			uint8_t *p = make_memory(size);

			setpgid(0, 0);
			memset(p, 2, size);
			if (i % 2)
				fork();
			go_back_and_forth(p, size);
		}
		setpgid(pid, pid);
		usleep(50000 + i * 7000);
		igt_assert_eq(kill(-pid, SIGKILL), 0);
		igt_assert_eq(waitpid(pid, NULL, 0), pid);
	}
	wait_used(0);
	wait_vram_used(0);
}

static void nothing(int sig)
{
	(void)sig;
}

static void test_interrupted(void)
{
	const uint64_t size = MIB(64);
	uint8_t *p = make_pattern(size, 11);
	struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = {};
	struct drm_vvram_svm_migrate arg;
	struct sigaction act = { .sa_handler = nothing };
	int ret, interrupted = 0, i;

	sigaction(SIGALRM, &act, NULL);
	for (i = 0; i < 20 && interrupted < 10; i++) {
		arg = (struct drm_vvram_svm_migrate) { .address = (uintptr_t)p, .length = size,
						       .placement = i % 2 ? SYSTEM : VRAM };
		setitimer(ITIMER_REAL, &often, NULL);
		while ((ret = ioctl(fd, DRM_IOCTL_VVRAM_SVM_MIGRATE, &arg)) && errno == EINTR)
			interrupted++;
		setitimer(ITIMER_REAL, &never, NULL);
		igt_assert_eq(ret, 0);
		igt_assert_eq_u64(arg.done, size);
		igt_assert_eq_u64(arg.moved, size);
		igt_assert_eq_u64(used(), i % 2 ? 0 : size);
	}
	signal(SIGALRM, SIG_DFL);
	igt_assert_lt(0, interrupted);
	pattern_check(p, size, 11);
	munmap(p, size);
}

static void test_evict(void)
{
	const uint64_t vram = vvram_query(fd).vram_size, most = vram - MIB(16), size = MIB(32);
	uint8_t *p = make_pattern(size, 12), *q;
	uint32_t handle;

	/* A buffer that has room when all of it has left. */
	migrate_all(p, size, VRAM);
	handle = vvram_create(fd, most, VRAM);
	igt_assert_eq(vvram_info(fd, handle).placement, VRAM);
	igt_assert_lte(used(), MIB(16));
	q = vvram_mmap(fd, handle, most);
	assert_zero(q, size);
	pattern_check(p, size, 12);
	pattern_fill(q, size, 13);

	/* Now the buffer has to go. */
	migrate(p, size, VRAM);
	igt_assert_eq_u64(used(), size);
	igt_assert_eq(vvram_info(fd, handle).placement, SYSTEM);
	pattern_check(q, size, 13);
	pattern_check(p, size, 12);
	munmap(p, size);
	munmap(q, most);
	gem_close(fd, handle);

	/* More than there is room for: what came first goes first. */
	p = make_memory(vram + size);
	pattern_fill(p, size, 14);
	pattern_fill(p + vram, size, 15);
	migrate_all(p, vram + size, VRAM);
	igt_assert_lt(vram / 2, used());
	igt_assert_lte(used(), vram);
	pattern_check(p + vram, size, 15);
	pattern_check(p, size, 14);
	assert_zero(p + size, size);
	munmap(p, vram + size);
}

static void test_no_room(void)
{
	const uint64_t size = MIB(2);
	uint8_t *p = make_pattern(size, 15);
	uint64_t moved;

	chaos_write(fd, "fail_alloc", "1000000 12");
	igt_assert_eq(__migrate(p, size, VRAM, &moved), -ENOMEM);
	igt_assert_eq_u64(moved, 0);
	chaos_write(fd, "fail_alloc", "0 12");
	igt_assert_eq_u64(used(), 0);
	pattern_check(p, size, 15);
	migrate_all(p, size, VRAM);
	/* There is no need for VRAM on the way back. */
	chaos_write(fd, "fail_alloc", "1000000 12");
	migrate_all(p, size, SYSTEM);
	chaos_write(fd, "fail_alloc", "0 12");
	pattern_check(p, size, 15);
	munmap(p, size);
}

/* Some of its pages were never touched. */
#define FEW	KIB(64)

static int run_to_vram(void *p)
{
	uint64_t moved;

	return __migrate(p, FEW, VRAM, &moved);
}

static int run_to_system(void *p)
{
	uint64_t moved;

	return __migrate(p, FEW, SYSTEM, &moved);
}

static void undo_to_vram(void *p)
{
	migrate(p, FEW, SYSTEM);
	igt_assert_eq_u64(used(), 0);
	madvise((uint8_t *)p + FEW / 2, FEW / 2, MADV_DONTNEED);
}

static void undo_to_system(void *p)
{
	migrate(p, FEW, VRAM);
	igt_assert_eq_u64(used(), FEW);
}

static void test_faults(void)
{
	static const struct fault_op to_vram = { "to VRAM", run_to_vram, undo_to_vram };
	static const struct fault_op to_system = { "to system memory", run_to_system, undo_to_system };
	uint8_t *p = make_memory(FEW);

	igt_require_f(faults_available(), "the kernel injects no faults\n");
	pattern_fill(p, FEW / 2, 16);
	igt_info("to VRAM: %u faults\n", fail_each(&to_vram, p));
	pattern_check(p, FEW / 2, 16);
	migrate_all(p, FEW, VRAM);
	igt_info("to system memory: %u faults\n", fail_each(&to_system, p));
	pattern_check(p, FEW / 2, 16);
	assert_zero(p + FEW / 2, FEW / 2);
	munmap(p, FEW);
}

static void assert_stays(void *p, uint64_t size)
{
	igt_assert_eq_u64(migrate(p, size, VRAM), 0);
	igt_assert_eq_u64(migrate(p, size, SYSTEM), 0);
	igt_assert_eq_u64(used(), 0);
}

static void *map_file(int file, int flags)
{
	void *p = mmap(NULL, PART, PROT_READ | PROT_WRITE, flags, file, 0);

	igt_assert(p != MAP_FAILED);
	return p;
}

static void test_strangers(void)
{
	uint32_t handle = vvram_create(fd, PART, SYSTEM);
	int memory = memfd_create("svm", MFD_CLOEXEC);
	uint8_t *p = make_memory(4 * PART), *q;
	void *huge;

	/* Which old kernels can't split when they are not mapped as a whole. */
	madvise(p, 4 * PART, MADV_NOHUGEPAGE);
	pattern_fill(p, 4 * PART, 16);

	igt_assert_eq(ftruncate(memory, PART), 0);
	q = map_file(memory, MAP_SHARED);
	memset(q, 3, PART);
	assert_stays(q, PART);
	munmap(q, PART);
	/* Own pages of a file's mapping as well. */
	q = map_file(memory, MAP_PRIVATE);
	memset(q, 4, PART / 2);
	assert_stays(q, PART);
	munmap(q, PART);
	close(memory);

	q = vvram_mmap(fd, handle, PART);
	memset(q, 5, PART);
	assert_stays(q, PART);
	munmap(q, PART);
	gem_close(fd, handle);

	q = mmap(NULL, PART, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(q, 6, PART);
	assert_stays(q, PART);
	munmap(q, PART);

	huge = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
		    -1, 0);
	if (huge != MAP_FAILED) {
		assert_stays(huge, HUGE);
		munmap(huge, HUGE);
	}

	/* In the middle of a range: the rest moves. Locked memory comes back, but does not leave. */
	migrate_all(p + 2 * PART, PART / 2, VRAM);
	igt_assert_eq(mlock(p + 2 * PART, PART), 0);
	q = mmap(p + PART, PART, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
	igt_assert(q == p + PART);
	migrate(p, 4 * PART, VRAM);
	igt_assert_eq_u64(used(), 2 * PART + (coherent ? PART / 2 : 0));
	migrate(p, 4 * PART, SYSTEM);
	wait_used(0);
	igt_assert(is_right(p, PART, 16));
	munmap(p, 4 * PART);

	/* The same file in another process: that one's memory. */
	p = make_pattern(PART, 17);
	igt_fork(child, 1) {
		munmap(p, PART);
		igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_SVM_MIGRATE, &(struct drm_vvram_svm_migrate) {
			.address = (uintptr_t)p, .length = PART, .placement = VRAM }), -EFAULT);
		q = make_pattern(PART, 18);
		migrate_all(q, PART, VRAM);
		igt_assert_eq_u64(used(), PART);
		pattern_check(q, PART, 18);
	}
	igt_waitchildren();
	wait_used(0);
	pattern_check(p, PART, 17);
	munmap(p, PART);
}

static void test_bad_input(void)
{
	uint8_t *p = make_pattern(PART, 19);
	const struct drm_vvram_svm_migrate good = {
		.address = (uintptr_t)p, .length = PART, .placement = VRAM,
	};
	struct {
		struct drm_vvram_svm_migrate arg;
		int ret;
	} bad[] = {
		{ good, -EINVAL }, { good, -EINVAL }, { good, -EINVAL }, { good, -EINVAL }, { good, -EINVAL },
		{ good, -EINVAL }, { good, -EINVAL }, { good, -EINVAL }, { good, -EINVAL }, { good, -EINVAL },
		{ good, -EFAULT }, { good, -EFAULT }, { good, -EFAULT },
	};
	unsigned int i = 0;

	bad[i++].arg.address++;
	bad[i++].arg.length--;
	bad[i++].arg.length = 0;
	bad[i++].arg.length = -PAGE;
	bad[i++].arg.flags = 1;
	bad[i++].arg.placement = 0;
	bad[i++].arg.placement = VRAM | SYSTEM;
	bad[i++].arg.done = PART + PAGE;
	bad[i++].arg.done = 1;
	bad[i++].arg.moved = PAGE;
	bad[i++].arg.address = 0;
	bad[i++].arg.address = 1ULL << 63;
	bad[i++].arg.length = 1ULL << 46;
	igt_assert_eq(i, ARRAY_LEN(bad));
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		int ret = do_call(fd, DRM_IOCTL_VVRAM_SVM_MIGRATE, &bad[i].arg);

		igt_assert_f(ret == bad[i].ret, "%u: %s\n", i, strerror(-ret));
		igt_assert_eq_u64(used(), 0);
	}
	migrate_all(p, PART, VRAM);
	munmap(p, PART);
}

/* Has the pages themselves, until it is closed. */
static int take_pages(void *p, uint64_t size, int ends[2])
{
	igt_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	igt_assert_lte(size, fcntl(ends[1], F_SETPIPE_SZ, size));
	return splice_to(ends[1], p, size);
}

static void let_go(int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

static void test_held(void)
{
	uint64_t vram = vvram_query(fd).vram_size, moved;
	uint8_t *p = make_pattern(PART, 20), word[8];
	uint32_t handle;
	int ends[2], ret;

	/* In system memory they stay there. */
	igt_assert_eq(take_pages(p, KIB(64), ends), KIB(64));
	igt_assert_eq_u64(migrate(p, PART, VRAM), PART - KIB(64));
	let_go(ends);
	migrate_all(p, KIB(64), VRAM);

	igt_assert_eq(take_pages(p, KIB(64), ends), KIB(64));
	if (coherent) {
		igt_assert_eq_u64(used(), PART);
		igt_assert_eq_u64(migrate(p, PART, SYSTEM), PART - KIB(64));
		igt_assert_eq_u64(used(), KIB(64));
		/* No room is made of them, and that is no error of theirs. */
		igt_assert_eq(__debugfs_write("/sys/module/vvram/parameters/drain_ms", "500"), 0);
		/* By another name before 7.x. */
		ret = __vvram_create(fd, vram, VRAM, 0, &handle);
		igt_assert_f(ret == -ENOSPC || ret == -ENOMEM, "%s\n", strerror(-ret));
		igt_assert_eq_u64(used(), KIB(64));
		/* Nor are they anybody else's when their owner has unmapped them. */
		munmap(p, PART);
		handle = vvram_create(fd, vram - HUGE, VRAM);
		gem_close(fd, handle);
		igt_assert_eq_u64(used(), KIB(64));
	} else {
		igt_assert_eq_u64(used(), PART - KIB(64));
		igt_assert_eq(__migrate(p, KIB(64), VRAM, &moved), 0);
		igt_assert_eq_u64(moved, 0);
		munmap(p, PART);
	}
	igt_assert_eq(read(ends[0], word, 8), 8);
	igt_assert_eq(pattern_find_bad(word, 8, 20, 1), -1);
	let_go(ends);
	wait_used(0);
}

static void test_pinned(void)
{
	uint8_t *p = make_pattern(PART, 21);
	struct uring ring;

	igt_require_f(!__uring_open(&ring), "no io_uring\n");
	migrate_all(p, PART, VRAM);
	igt_assert_eq(uring_register(&ring, p, KIB(64)), 0);
	wait_used(PART - KIB(64));
	igt_assert_eq_u64(migrate(p, PART, VRAM), 0);
	pattern_check(p, PART, 21);
	uring_close(&ring);
	munmap(p, PART);
}

/* Moves memory back and forth, in pieces of many sizes. */
struct wanderer {
	uint8_t *p;
	uint64_t size;
	volatile bool stop;
	volatile uint64_t pages;
	volatile int error;
	pthread_t thread;
};

static void *wander(void *arg)
{
	struct wanderer *w = arg;
	unsigned int i;

	for (i = 0; !w->stop && !w->error; i++) {
		uint64_t size = i % 3 ? w->size : PAGE << i % 7, moved;

		w->error = __migrate(w->p, size, i & 1 ? SYSTEM : VRAM, &moved);
		w->pages += moved / PAGE;
	}
	return NULL;
}

static void wander_start(struct wanderer *w, uint8_t *p, uint64_t size)
{
	*w = (struct wanderer) { .p = p, .size = size };
	igt_assert_eq(pthread_create(&w->thread, NULL, wander, w), 0);
}

static void wander_stop(struct wanderer *w)
{
	w->stop = true;
	pthread_join(w->thread, NULL);
	igt_assert_eq(w->error, 0);
}

/* As many pages as have to move, so that a test has seen something. */
static uint64_t enough(void)
{
	return getenv("LONG") ? 50000 : 5000;
}

/* Who uses the memory: what is wrong, or -errno. */
struct user {
	const char *name;
	void (*begin)(uint8_t *p);
	int (*round)(uint8_t *p, uint64_t round);
	void (*end)(void);
};

static uint8_t *local;

static int by_cpu(uint8_t *p, uint64_t round)
{
	pattern_fill(p, SLOT, round);
	return !is_right(p, SLOT, round);
}

static struct traffic direct;

static void begin_direct(uint8_t *p)
{
	/* NVMe maps by page, and dma_map_page() has no device's pages there. */
	igt_require_f(!(vvram_query(fd).flags & DRM_VVRAM_QUERY_SVM_COHERENT) ||
		      access("/sys/kernel/debug/dma-api", F_OK),
		      "this kernel's DMA debugging keeps a drive from pages of VRAM\n");
	direct = (struct traffic) {
		.move = traffic_by_pread, .file = open_drive(DRIVE), .p = p, .local = local,
	};
}

static int by_direct(uint8_t *p, uint64_t round)
{
	(void)p;
	(void)round;
	direct.wrong = 0;
	return traffic_round(&direct) ? direct.wrong : direct.error;
}

static void end_direct(void)
{
	close(direct.file);
}

static struct end a, b;
static struct ibv_mr *mr;

static void begin_rdma(uint8_t *p)
{
	struct end_want want = { .name = "movable0" };

	make_rxe_network("movable0");
	start_rxe("movable0", "movable0");
	open_end_as(&a, &want);
	open_end_as(&b, &want);
	igt_require_f(has_odp(a.ctx), "no regions on demand\n");
	connect_to(&a, b.qp->qp_num, gid_of(&b));
	connect_to(&b, a.qp->qp_num, gid_of(&a));
	mr = ibv_reg_mr(b.pd, p, 2 * SLOT, ALL | IBV_ACCESS_ON_DEMAND);
	igt_assert(mr);
}

/* A write and a read of a peer. */
static int by_rdma(uint8_t *p, uint64_t round)
{
	int wrong;

	pattern_fill(a.mem, SLOT, 2 * round);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)p, mr->rkey, SLOT), IBV_WC_SUCCESS);
	wrong = !is_right(p, SLOT, 2 * round);
	pattern_fill(p + SLOT, SLOT, 2 * round + 1);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_READ, (uintptr_t)p + SLOT, mr->rkey, SLOT), IBV_WC_SUCCESS);
	return wrong + !is_right(a.mem, SLOT, 2 * round + 1);
}

static void end_rdma(void)
{
	igt_assert_eq(ibv_dereg_mr(mr), 0);
	close_end(&a);
	close_end(&b);
	igt_assert_eq(system("rdma link delete movable0; ip link delete movable0"), 0);
}

static const struct user users[] = {
	{ "cpu", NULL, by_cpu, NULL },
	{ "direct", begin_direct, by_direct, end_direct },
	{ "rdma", begin_rdma, by_rdma, end_rdma },
};

/* Rounds until so many pages have moved, or @wrong_ends and something was wrong: how often. */
static int use_while_moving(const struct user *u, uint64_t rounds, uint64_t pages, bool wrong_ends)
{
	const uint64_t size = PART;
	uint8_t *p = make_pattern(size, 22), *rest = make_pattern(size, 22);
	static struct wanderer w;
	uint64_t round = 0;
	int wrong = 0, ret = 0;

	local = alloc_pages(SLOT);
	if (u->begin)
		u->begin(p);
	wander_start(&w, p, size);
	while ((round < rounds || w.pages < pages) && !w.error && !(wrong_ends && wrong)) {
		ret = u->round(p, round++);
		if (ret < 0)
			break;
		wrong += ret;
	}
	wander_stop(&w);
	if (u->end)
		u->end();
	igt_info("%llu rounds, %llu pages moved, %d wrong\n", (unsigned long long)round,
		 (unsigned long long)w.pages, wrong);
	igt_assert_f(ret >= 0, "%s: %s\n", u->name, strerror(-ret));
	/* What nobody wrote to meanwhile. */
	if (!wrong_ends)
		igt_assert(!memcmp(p + 2 * SLOT, rest + 2 * SLOT, size - 2 * SLOT));
	munmap(local, SLOT);
	munmap(rest, size);
	munmap(p, size);
	return wrong;
}

static void test_while_moving(const struct user *u)
{
	chaos_write(fd, "poison", "1");
	igt_assert_eq(use_while_moving(u, 50, enough(), false), 0);
	chaos_write(fd, "poison", "0");
}

static void test_control(const struct user *u)
{
	chaos_write(fd, "skip_copy", "1");
	igt_assert_lt(0, use_while_moving(u, 2000, 1000000, true));
	chaos_write(fd, "skip_copy", "0");
}

static void test_reset(void)
{
	uint8_t *p = make_pattern(MIB(4), 23);
	char path[128], name[64];

	igt_require_f(bound_function(VVRAM_DRIVER, name), "VRAM is not a PCI function\n");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", name);
	igt_require_f(!access(path, W_OK), "the function has no reset\n");
	migrate_all(p, MIB(4), VRAM);
	igt_assert_eq(__debugfs_write(path, "1"), 0);
	igt_assert_eq_u64(used(), 0);
	pattern_check(p, MIB(4), 23);
	migrate_all(p, MIB(4), VRAM);
	pattern_check(p, MIB(4), 23);
	munmap(p, MIB(4));
}

static void test_unbind(void)
{
	uint8_t *p = make_pattern(MIB(8), 24);
	static struct wanderer w;
	static char name[64];

	igt_require_f(bound_function(VVRAM_DRIVER, name), "VRAM is not a PCI function\n");
	migrate_all(p, MIB(8), VRAM);
	/* Another one does not stop asking. */
	wander_start(&w, make_pattern(MIB(4), 25), MIB(4));
	usleep(100000);
	driver_write(VVRAM_DRIVER, "unbind", name);
	pthread_join(w.thread, NULL);
	igt_assert_eq(w.error, -ENODEV);
	pattern_check(p, MIB(8), 24);
	pattern_check(w.p, MIB(4), 25);
	close(fd);
	driver_write(VVRAM_DRIVER, "bind", name);
	fd = vvram_open_again();
	igt_assert_fd(fd);
	migrate_all(p, MIB(8), VRAM);
	pattern_check(p, MIB(8), 24);
	munmap(p, MIB(8));
	munmap(w.p, w.size);
}

static void test_unbind_held(void)
{
	static char name[64];
	uint8_t *p, word[8];
	int ends[2], early, status;
	pid_t pid;

	igt_require_f(bound_function(VVRAM_DRIVER, name), "VRAM is not a PCI function\n");
	p = make_pattern(PART, 26);
	migrate_all(p, PART, VRAM);
	igt_assert_eq(take_pages(p, KIB(64), ends), KIB(64));
	igt_assert_eq_u64(used(), PART);
	pid = fork();
	if (!pid) {
		/* It would have the pages as well, and what waits is not to be waited for. */
		munmap(p, PART);
		let_go(ends);
		driver_write(VVRAM_DRIVER, "unbind", name);
		_exit(0);
	}
	usleep(500000);
	early = waitpid(pid, &status, WNOHANG);
	status = read(ends[0], word, 8);
	let_go(ends);
	igt_assert_eq(early, 0);
	igt_assert_eq(status, 8);
	igt_assert_eq(pattern_find_bad(word, 8, 26, 1), -1);
	wait_child(pid);
	pattern_check(p, PART, 26);
	munmap(p, PART);
	close(fd);
	driver_write(VVRAM_DRIVER, "bind", name);
	fd = vvram_open_again();
	igt_assert_fd(fd);
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	igt_assert_eq(sched_setaffinity(0, sizeof(set), &set), 0);
}

/* Locked memory goes by such a list, of 31 entries, when it is unmapped. */
static void test_unbind_listed(void)
{
	static char name[64];
	uint64_t start;
	cpu_set_t all;
	uint8_t *p;

	igt_require_f(bound_function(VVRAM_DRIVER, name), "VRAM is not a PCI function\n");
	igt_assert_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	p = make_pattern(KIB(64), 28);
	run_on(0);
	migrate_all(p, KIB(64), VRAM);
	igt_assert_eq(mlock(p, KIB(64)), 0);
	munmap(p, KIB(64));
	run_on(1);
	start = now_ms();
	driver_write(VVRAM_DRIVER, "unbind", name);
	igt_info("%llu ms\n", (unsigned long long)(now_ms() - start));
	igt_assert_lt(now_ms() - start, 8000);
	sched_setaffinity(0, sizeof(all), &all);
	close(fd);
	driver_write(VVRAM_DRIVER, "bind", name);
	fd = vvram_open_again();
	igt_assert_fd(fd);
}

static void test_unload(void)
{
	uint8_t *p = make_pattern(MIB(8), 27);
	static char parameters[4096];
	int complaints = count_in_dmesg("nonexistent resource");

	igt_require_f(module_can_reload("vvram"), "vvram can not be loaded again\n");
	module_parameters("vvram", parameters, sizeof(parameters));
	migrate_all(p, MIB(8), VRAM);
	drm_close_driver(fd);
	module_unload("vvram");
	pattern_check(p, MIB(8), 27);
	igt_assert_eq(__module_load("vvram", parameters), 0);
	fd = vvram_open_again();
	igt_assert_fd(fd);
	igt_assert_eq(count_in_dmesg("nonexistent resource"), complaints);
	migrate_all(p, MIB(8), VRAM);
	pattern_check(p, MIB(8), 27);
	munmap(p, MIB(8));
}

static const struct {
	const char *name;
	void (*test)(void);
	const char *what;
} tests[] = {
	{ "there-and-back", test_there_and_back, "A move changes the place, and nothing else." },
	{ "untouched", test_untouched, "Nobody sees what another one had in VRAM." },
	{ "again", test_again, "Asking twice does no harm." },
	{ "cpu-access", test_cpu_access, "Memory in VRAM is memory." },
	{ "fork", test_fork, "Copies are made when they are needed, from wherever the bytes are." },
	{ "huge", test_huge, "The size of a page is no limit to what moves." },
	{ "mappings", test_mappings, "What is done to a mapping is done to its pages in VRAM." },
	{ "killed", test_killed, "VRAM is free when its processes have ended." },
	{ "interrupted", test_interrupted, "Signals do not wait for a long move, and lose none of it." },
	{ "evict", test_evict, "There is one VRAM, for buffers and for processes." },
	{ "no-room", test_no_room, "A move that fails changes nothing." },
	{ "faults", test_faults, "Whatever fails, the bytes stay." },
	{ "strangers", test_strangers, "Only what can move moves." },
	{ "bad-input", test_bad_input, "What makes no sense is refused." },
	{ "held", test_held, "Who has a page has that page." },
	{ "pinned", test_pinned, "VRAM is not pinned by processes." },
	{ "reset", test_reset, "A reset loses nothing." },
	{ "unbind", test_unbind, "The device's end loses nothing." },
	{ "unbind-held", test_unbind_held, "Nothing of the device is in use when it has gone." },
	{ "unbind-listed", test_unbind_listed, "Nor is it in use by those who forgot it." },
	{ "unload", test_unload, "The module's end loses nothing." },
};

igt_main
{
	unsigned int i;

	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_SVM,
			      "vvram was loaded without svm=1\n");
		coherent = vvram_query(fd).flags & DRM_VVRAM_QUERY_SVM_COHERENT;
		unsetenv("RDMAV_DRIVERS");
	}

	for (i = 0; i < ARRAY_LEN(users); i++) {
		igt_describe("No byte is lost or late, whoever uses it.");
		igt_subtest_f("%s-while-moving", users[i].name) {
			reset();
			test_while_moving(&users[i]);
		}
		igt_describe("What the test before looks for is there when bytes are lost.");
		igt_subtest_f("control-%s", users[i].name) {
			reset();
			test_control(&users[i]);
		}
	}
	for (i = 0; i < ARRAY_LEN(tests); i++) {
		igt_describe(tests[i].what);
		igt_subtest(tests[i].name) {
			reset();
			tests[i].test();
		}
	}

	igt_fixture {
		drm_close_driver(fd);
	}
}
