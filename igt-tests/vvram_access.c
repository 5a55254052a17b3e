// SPDX-License-Identifier: MIT
/**
 * TEST: vvram access
 * Category: Core
 * Description: Accesses of a mapping that are no page fault: /proc/PID/mem and ptrace.
 *
 * SUBTEST: fresh
 * Description: A new buffer is zero, however slowly it is being cleared.
 * SUBTEST: fresh-user
 * Description: The same for a user without rights, and without anything being slow.
 * SUBTEST: read-moving
 * Description: While the buffer moves, either way, its bytes are read.
 * SUBTEST: write-moving
 * Description: What is written while the buffer moves is there afterwards.
 * SUBTEST: debugger-moving
 * Description: ptrace() reads and writes another process's mapping while it moves.
 * SUBTEST: swapped
 * Description: A buffer that was swapped out is read and written.
 * SUBTEST: killed
 * Description: Who waits for a slow move and is killed does not wait for its end.
 * SUBTEST: read-only-%s
 * Description: A mapping that may not be written to is not, as for a memfd.
 */

#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "foreign.h"

IGT_TEST_DESCRIPTION("Accesses of a mapping that are no page fault.");

#define SIZE		MIB(4)
/* Of the first try; twice that of each that came too late. */
#define DELAY_MS	250
#define NOBODY		65534

static int fd = -1, mem = -1;
static struct small_vram small;

static void move_async(uint32_t handle, uint32_t placement)
{
	igt_assert_eq(__vvram_move_async(fd, handle, placement), 0);
}

static bool is_busy(uint32_t handle)
{
	return vvram_info(fd, handle).flags & DRM_VVRAM_INFO_BUSY;
}

static ssize_t mem_read(void *to, const void *from, size_t len)
{
	ssize_t ret = pread(mem, to, len, (uintptr_t)from);

	return ret < 0 ? -errno : ret;
}

static ssize_t mem_write(void *to, const void *from, size_t len)
{
	ssize_t ret = pwrite(mem, from, len, (uintptr_t)to);

	return ret < 0 ? -errno : ret;
}

static void test_fresh(void)
{
	uint8_t *to = alloc_pages(SIZE), *p;
	bool busy = false;
	uint32_t handle;
	int tries;

	for (tries = 0; !busy && tries < 5; tries++) {
		foreign_leave(&small);
		chaos_delay(fd, DELAY_MS << tries);
		handle = vvram_create(fd, SIZE, VRAM);
		p = vvram_mmap(fd, handle, SIZE);
		busy = is_busy(handle);
		igt_assert_eq(mem_read(to, p, SIZE), SIZE);
		chaos_delay(fd, 0);
		assert_zero(to, SIZE);

		/* The control: bytes that are there are read. */
		memset(p, 0x87, SIZE);
		igt_assert_eq(mem_read(to, p, SIZE), SIZE);
		igt_assert(to[0] == 0x87 && to[SIZE - 1] == 0x87);
		munmap(p, SIZE);
		gem_close(fd, handle);
	}
	igt_assert_f(busy, "no read began while the buffer was being cleared\n");
	munmap(to, SIZE);
}

/* In a child: the last MiB first, since it is cleared last. */
static int look_as_nobody(const char *node, uint64_t size)
{
	uint8_t *to = alloc_pages(size), *p;
	struct drm_vvram_gem_mmap_offset arg = {};
	uint64_t foreign;
	int client, own;

	if (setgid(NOBODY) || setuid(NOBODY) || prctl(PR_SET_DUMPABLE, 1))
		return 1;
	client = open(node, O_RDWR);
	own = open("/proc/self/mem", O_RDONLY);
	if (client < 0 || own < 0)
		return 2;
	if (__vvram_create(client, size, VRAM, 0, &arg.handle) ||
	    do_call(client, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, &arg))
		return 3;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, client, arg.offset);
	if (p == MAP_FAILED)
		return 4;
	if (pread(own, to, MIB(1), (uintptr_t)p + size - MIB(1)) != MIB(1) ||
	    pread(own, to + MIB(1), size - MIB(1), (uintptr_t)p) != (ssize_t)(size - MIB(1)))
		return 5;
	foreign = foreign_count(to, size);
	if (foreign)
		printf("%llu bytes of another client\n", (unsigned long long)foreign * 8);
	fflush(stdout);
	return foreign ? 6 : 0;
}

/* A node of the device that is open here, as others find it. */
static void render_node(char *path, size_t size)
{
	int render = drm_open_driver_render(DRIVER_ANY);
	char link[64];
	ssize_t len;

	igt_assert_fd(render);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", render);
	len = readlink(link, path, size - 1);
	igt_assert_lt(0, len);
	path[len] = 0;
	drm_close_driver(render);
}

static void test_fresh_user(void)
{
	int status, tries;
	char node[64];
	pid_t pid;

	render_node(node, sizeof(node));
	igt_assert_eq(chmod(node, 0666), 0);
	for (tries = 0; tries < 8; tries++) {
		foreign_leave(&small);
		pid = fork();
		if (!pid)
			_exit(look_as_nobody(node, MIB(8)));
		igt_assert_eq(waitpid(pid, &status, 0), pid);
		igt_assert(WIFEXITED(status));
		igt_assert_eq(WEXITSTATUS(status), 0);
	}
}

static void test_moving(bool write)
{
	static const uint32_t places[] = { VRAM, SYSTEM };
	static const char mark[64] = "written while it moves";
	uint8_t *to = alloc_pages(SIZE), *p;
	unsigned int i, tries;
	uint32_t handle;
	uint64_t at;
	bool busy;

	for (i = 0; i < ARRAY_LEN(places); i++) {
		busy = false;
		for (tries = 0; !busy && tries < 5; tries++) {
			handle = vvram_create(fd, SIZE, places[i]);
			p = vvram_mmap(fd, handle, SIZE);
			pattern_fill(p, SIZE, i + 1);
			chaos_delay(fd, DELAY_MS << tries);
			move_async(handle, places[!i]);
			busy = is_busy(handle);
			if (write) {
				/* Across the borders of pages, at both ends, and between. */
				for (at = KIB(4) - 32; at < SIZE - 64; at += KIB(256))
					igt_assert_eq(mem_write(p + at, mark, 64), 64);
				igt_assert_eq(mem_write(p + SIZE - 64, mark, 64), 64);
			} else {
				igt_assert_eq(mem_read(to, p, SIZE), SIZE);
				pattern_check(to, SIZE, i + 1);
			}
			chaos_delay(fd, 0);
			vvram_move(fd, handle, places[i]);
			for (at = KIB(4) - 32; write && at < SIZE - 64; at += KIB(256))
				igt_assert(!memcmp(p + at, mark, 64));
			if (write)
				igt_assert(!memcmp(p + SIZE - 64, mark, 64));
			else
				pattern_check(p, SIZE, i + 1);
			munmap(p, SIZE);
			gem_close(fd, handle);
		}
		igt_assert_f(busy, "no access began while the buffer moved\n");
	}
	munmap(to, SIZE);
}

/* A child that is stopped, to be looked into. */
static pid_t stopped_child(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_TRACEME) || raise(SIGSTOP))
			_exit(1);
		_exit(0);
	}
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert(WIFSTOPPED(status));
	return pid;
}

static void end_child(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
}

static void test_debugger(void)
{
	uint32_t handle = vvram_create(fd, SIZE, VRAM), to = SYSTEM;
	long *p = vvram_mmap(fd, handle, SIZE), *q;
	unsigned int round, tries;
	bool busy;
	pid_t pid;

	pid = stopped_child();
	q = p + SIZE / sizeof(*p) / 2;
	for (round = 0; round < 2; round++) {
		for (busy = false, tries = 0; !busy && tries < 5; tries++) {
			*q = 1;
			q[1] = 2;
			chaos_delay(fd, DELAY_MS << tries);
			move_async(handle, to);
			busy = is_busy(handle);
			errno = 0;
			igt_assert_eq(ptrace(PTRACE_PEEKDATA, pid, q, NULL), 1);
			igt_assert_eq(errno, 0);
			igt_assert_eq(ptrace(PTRACE_POKEDATA, pid, q, 3), 0);
			chaos_delay(fd, 0);
			igt_assert_eq(*q, 3);
			igt_assert_eq(q[1], 2);

			/* The other order: the write is the first to come. */
			to = to == SYSTEM ? VRAM : SYSTEM;
			chaos_delay(fd, DELAY_MS << tries);
			move_async(handle, to);
			busy &= is_busy(handle);
			igt_assert_eq(ptrace(PTRACE_POKEDATA, pid, q, 4), 0);
			chaos_delay(fd, 0);
			vvram_move(fd, handle, to);
			igt_assert_eq(*q, 4);
			igt_assert_eq(q[1], 2);
			to = to == SYSTEM ? VRAM : SYSTEM;
		}
		igt_assert_f(busy, "no access began while the buffer moved\n");
		to = VRAM;
		vvram_move(fd, handle, SYSTEM);
	}
	end_child(pid);
	munmap(p, SIZE);
	gem_close(fd, handle);
}

static void swap_out(uint32_t handle)
{
	static const char ttm[] = "/sys/kernel/debug/ttm/tt_shrink";
	uint64_t end = now_ms() + 30000;

	while (vvram_info(fd, handle).placement != DRM_VVRAM_PLACEMENT_SWAP) {
		igt_assert_f(now_ms() < end, "it does not go to swap\n");
		igt_assert_eq(__debugfs_write("/proc/sys/vm/drop_caches", "2"), 0);
		if (!access(ttm, R_OK))
			read_file(ttm);
	}
}

static void test_swapped(void)
{
	const uint64_t size = KIB(256);
	uint8_t *to = alloc_pages(size), *p;
	uint32_t handle;

	igt_require_f(strstr(read_file("/proc/swaps"), "partition"), "no swap\n");
	handle = vvram_create(fd, size, SYSTEM);
	p = vvram_mmap(fd, handle, size);
	pattern_fill(p, size, 5);
	swap_out(handle);
	igt_assert_eq(mem_read(to, p, size), size);
	pattern_check(to, size, 5);

	swap_out(handle);
	pattern_fill(to, size, 6);
	igt_assert_eq(mem_write(p + KIB(64), to + KIB(64), KIB(64)), KIB(64));
	memcpy(to, p, size);
	pattern_fill(p, size, 5);
	igt_assert(!memcmp(to, p, KIB(64)) && !memcmp(to + KIB(128), p + KIB(128), KIB(128)));
	pattern_fill(p, size, 6);
	igt_assert(!memcmp(to + KIB(64), p + KIB(64), KIB(64)));
	munmap(p, size);
	munmap(to, size);
	gem_close(fd, handle);
}

static void read_until_killed(const void *p, bool write)
{
	static uint8_t page[4096];
	int own = open("/proc/self/mem", O_RDWR);

	if (write)
		_exit(pwrite(own, page, sizeof(page), (uintptr_t)p) != sizeof(page));
	_exit(pread(own, page, sizeof(page), (uintptr_t)p) != sizeof(page));
}

/* Whether the move was still under way when the child was gone. */
static bool kill_while_moving(uint32_t handle, void *p, int delay_ms, bool write)
{
	bool busy;
	int status;
	pid_t pid;

	chaos_delay(fd, delay_ms);
	move_async(handle, write ? VRAM : SYSTEM);
	pid = fork();
	if (!pid)
		read_until_killed(p, write);
	usleep(300000);
	if (!is_busy(handle) || waitpid(pid, &status, WNOHANG)) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return false;
	}
	kill(pid, SIGKILL);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	busy = is_busy(handle);
	igt_assert(!busy || WIFSIGNALED(status));
	return busy;
}

static void test_killed(void)
{
	uint32_t handle = vvram_create(fd, SIZE, VRAM);
	uint8_t *p = vvram_mmap(fd, handle, SIZE);
	unsigned int i, tries;
	bool killed;

	p[0] = 7;
	for (i = 0; i < 2; i++) {
		for (killed = false, tries = 0; !killed && tries < 3; tries++) {
			killed = kill_while_moving(handle, p, 1250 << tries, i);
			chaos_delay(fd, 0);
			/* Nothing of it remains: the buffer has its bytes. */
			igt_assert_eq(p[0], 7);
			if (!killed)
				vvram_move(fd, handle, i ? SYSTEM : VRAM);
		}
		igt_assert_f(killed, "nobody that waits for a move can be killed\n");
	}
	munmap(p, SIZE);
	gem_close(fd, handle);
}

/* How a mapping was made that may not be written to. */
struct protection {
	const char *name;
	/* Rights of the file, of mmap(), and of a later mprotect(), which may be none. */
	int file, prot, later;
};

static const struct protection protections[] = {
	{ "file", O_RDONLY, PROT_READ, -1 },
	{ "mapping", O_RDWR, PROT_READ, -1 },
	{ "mprotect", O_RDWR, PROT_READ | PROT_WRITE, PROT_READ },
	{ "none", O_RDWR, PROT_NONE, -1 },
	{ "none-later", O_RDWR, PROT_READ | PROT_WRITE, PROT_NONE },
	/* The control. */
	{ "not", O_RDWR, PROT_READ | PROT_WRITE, -1 },
};

/* A memfd of one page, with the rights of the file. */
static int make_memfd(int rights)
{
	char path[64];
	int file = memfd_create("movable", 0), again;

	igt_assert_fd(file);
	igt_assert_eq(ftruncate(file, KIB(4)), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	again = open(path, rights);
	igt_assert_fd(again);
	close(file);
	return again;
}

static int make_dma_buf(uint32_t handle, int rights)
{
	return rights == O_RDWR ? prime_handle_to_fd_for_mmap(fd, handle) :
				  prime_handle_to_fd(fd, handle);
}

/* What the kernel answers to each kind of access. */
struct answers {
	ssize_t read, write, poke, mprotect;
	uint8_t byte;
};

static struct answers access_mapping(int file, const struct protection *how)
{
	uint8_t *p = mmap(NULL, KIB(4), how->prot, MAP_SHARED, file, 0);
	struct answers a = {};
	uint8_t byte = 0;
	pid_t pid;

	igt_assert(p != MAP_FAILED);
	if (how->prot & PROT_WRITE)
		p[0] = 0;
	if (how->later >= 0)
		igt_assert_eq(mprotect(p, KIB(4), how->later), 0);

	a.read = mem_read(&byte, p, 1);
	byte = 1;
	a.write = mem_write(p, &byte, 1);
	pid = stopped_child();
	a.poke = ptrace(PTRACE_POKEDATA, pid, p + 8, 2) ? -errno : 0;
	end_child(pid);

	a.mprotect = mprotect(p, KIB(4), PROT_READ | PROT_WRITE) ? -errno : 0;
	if (!a.mprotect) {
		a.byte = p[0] | p[8];
		memset(p, 0, 16);
	}
	munmap(p, KIB(4));
	return a;
}

static bool is_readable(const struct protection *how)
{
	return (how->later < 0 ? how->prot : how->later) & PROT_READ;
}

static void test_protection(const struct protection *how)
{
	static const uint32_t places[] = { VRAM, SYSTEM };
	uint32_t handle = vvram_create(fd, KIB(4), VRAM);
	uint8_t *p = vvram_mmap(fd, handle, KIB(4));
	int memfd = make_memfd(how->file), dmabuf = make_dma_buf(handle, how->file);
	struct answers want, is;
	bool writable = how->later < 0 && how->prot & PROT_WRITE;

	want = access_mapping(memfd, how);
	igt_assert_eq(want.write, writable ? 1 : -EIO);
	igt_assert_eq(want.byte, writable ? 3 : 0);
	for (unsigned int i = 0; i < ARRAY_LEN(places); i++) {
		memset(p, 0, 16);
		vvram_move(fd, handle, places[i]);
		is = access_mapping(dmabuf, how);
		igt_info("read %zd write %zd poke %zd mprotect %zd byte %u, right is %zd %zd %zd %zd %u\n",
			 is.read, is.write, is.poke, is.mprotect, is.byte,
			 want.read, want.write, want.poke, want.mprotect, want.byte);
		igt_assert_eq(is.write, want.write);
		igt_assert_eq(is.poke, want.poke);
		/* Some kernels force it where the memory has pages; others may refuse. */
		igt_assert(is.read == want.read || (!is_readable(how) && is.read == -EIO));
		igt_assert_eq(is.mprotect, want.mprotect);
		igt_assert_eq(is.byte, want.byte);
		igt_assert_eq(p[0] | p[8], 0);
	}
	close(memfd);
	close(dmabuf);
	munmap(p, KIB(4));
	gem_close(fd, handle);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		mem = open("/proc/self/mem", O_RDWR);
		igt_assert_fd(mem);
		small = small_vram_make(MIB(16));
	}

	igt_describe("A debugger sees no more than a pointer does.");
	igt_subtest("fresh")
		test_fresh();
	igt_describe("Anybody may open the node, and sees nothing of others.");
	igt_subtest("fresh-user")
		test_fresh_user();
	igt_describe("The old place or the new one, but the bytes.");
	igt_subtest("read-moving")
		test_moving(false);
	igt_describe("No write goes where the copy will go later.");
	igt_subtest("write-moving")
		test_moving(true);
	igt_describe("A debugger's words, as its child will see them.");
	igt_subtest("debugger-moving")
		test_debugger();
	igt_describe("The bytes come back for a debugger too.");
	igt_subtest("swapped")
		test_swapped();
	igt_describe("A wait that has an end, for those who are killed.");
	igt_subtest("killed")
		test_killed();
	for (unsigned int i = 0; i < ARRAY_LEN(protections); i++) {
		igt_describe("The mapping's rights hold for a debugger as well.");
		igt_subtest_f("read-only-%s", protections[i].name)
			test_protection(&protections[i]);
	}

	igt_fixture {
		chaos_delay(fd, 0);
		close(mem);
		small_vram_free(&small);
		vvram_wait_unused(fd);
		drm_close_driver(fd);
	}
}
