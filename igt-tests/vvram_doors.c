// SPDX-License-Identifier: MIT
/**
 * TEST: vvram doors
 * Category: Core
 * Description: Every way by which a buffer's bytes reach anybody, or come from anybody
 *	(docs/design.md, "Doors").
 *
 * SUBTEST: read-%s
 * Description: A reader of a buffer that is still being cleared sees none of the bytes
 *	that another client left there.
 * SUBTEST: write-%s
 * Description: What is written while the buffer moves is there afterwards.
 * SUBTEST: write-fault-ahead
 * Description: Pages that a fault mapped beside its own are gone with the move as well.
 * SUBTEST: write-swap
 * Description: Nothing is lost on the way to swap, however slow the move before it.
 * SUBTEST: pages
 * Description: Nobody gets at the pages themselves, past every fence, unless they were asked for.
 * SUBTEST: debugfs
 * Description: debugfs tells of buffers, and shows none of their bytes.
 * SUBTEST: coredump
 * Description: A core has no bytes of a mapping.
 */

#include <ftw.h>
#include <linux/dma-buf.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "direct.h"
#include "foreign.h"
#include "modules/rogue.h"
#include "subject.h"

IGT_TEST_DESCRIPTION("No door shows what others left, and none loses a write.");

#define SIZE		MIB(4)
/* Of the first try; twice that of each that came too late. */
#define DELAY_MS	250
#define STEP		KIB(64)

static int fd = -1, nic = -1, rogue = -1;
static struct small_vram small;

struct door {
	const char *name;
	void (*read)(const struct subject *s, uint8_t *to);
	void (*write)(const struct subject *s, const uint8_t *from);
};

static bool is_busy(const struct subject *s)
{
	return vvram_info(s->fd, s->handle).flags & DRM_VVRAM_INFO_BUSY;
}

static void move_async(const struct subject *s, uint32_t placement)
{
	igt_assert_eq(__vvram_move_async(s->fd, s->handle, placement), 0);
}

static void read_pointer(const struct subject *s, uint8_t *to)
{
	memcpy(to, s->p, SIZE);
}

static void write_pointer(const struct subject *s, const uint8_t *from)
{
	memcpy(s->p, from, SIZE);
}

/* One fault for each 64 KiB, in its middle; what follows was mapped beside it. */
static void read_ahead(const struct subject *s, uint8_t *to)
{
	for (uint64_t at = 0; at < SIZE; at += STEP) {
		to[at + STEP / 2] = *(volatile uint8_t *)(s->p + at + STEP / 2);
		memcpy(to + at + STEP / 2, s->p + at + STEP / 2, STEP / 2);
		memcpy(to + at, s->p + at, STEP / 2);
	}
}

/* What a debugger does. */
static void read_mem(const struct subject *s, uint8_t *to)
{
	int mem = open("/proc/self/mem", O_RDWR);

	igt_assert_fd(mem);
	igt_assert_eq(pread(mem, to, SIZE, (uintptr_t)s->p), SIZE);
	close(mem);
}

static void write_mem(const struct subject *s, const uint8_t *from)
{
	int mem = open("/proc/self/mem", O_RDWR);

	igt_assert_fd(mem);
	igt_assert_eq(pwrite(mem, from, SIZE, (uintptr_t)s->p), SIZE);
	close(mem);
}

static void map_dma_buf(const struct subject *s, void *to, const void *from)
{
	struct dma_buf_sync sync = {
		.flags = DMA_BUF_SYNC_START | (to ? DMA_BUF_SYNC_READ : DMA_BUF_SYNC_WRITE),
	};
	void *p = mmap(NULL, SIZE, to ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED,
		       s->dmabuf, 0);

	igt_assert(p != MAP_FAILED);
	igt_assert_eq(do_call(s->dmabuf, DMA_BUF_IOCTL_SYNC, &sync), 0);
	if (to)
		memcpy(to, p, SIZE);
	else
		memcpy(p, from, SIZE);
	sync.flags = sync.flags | DMA_BUF_SYNC_END;
	igt_assert_eq(do_call(s->dmabuf, DMA_BUF_IOCTL_SYNC, &sync), 0);
	munmap(p, SIZE);
}

static void read_dma_buf(const struct subject *s, uint8_t *to)
{
	map_dma_buf(s, to, NULL);
}

static void write_dma_buf(const struct subject *s, const uint8_t *from)
{
	map_dma_buf(s, NULL, from);
}

static int open_vmap(const struct subject *s)
{
	struct rogue_vmap vmap = { .fd = s->dmabuf };
	int user = open("/dev/rogue", O_RDWR);

	igt_assert_fd(user);
	igt_assert_eq(do_call(user, ROGUE_IOC_VMAP, &vmap), 0);
	return user;
}

static void read_vmap(const struct subject *s, uint8_t *to)
{
	int user = open_vmap(s);

	for (uint64_t at = 0; at < SIZE; at += KIB(4))
		igt_assert_eq(pread(user, to + at, KIB(4), at), KIB(4));
	close(user);
}

static void write_vmap(const struct subject *s, const uint8_t *from)
{
	int user = open_vmap(s);

	for (uint64_t at = 0; at < SIZE; at += KIB(4))
		igt_assert_eq(pwrite(user, from + at, KIB(4), at), KIB(4));
	close(user);
}

static void transfer(const struct subject *s, uint32_t mode, uint32_t opcode, void *local)
{
	struct vrnic_reg_mr reg = vrnic_reg_dma_buf(nic, s->dmabuf, mode, SIZE);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, SIZE);
	uint32_t queue = vrnic_create_queue(nic, 2);

	igt_assert_eq(vrnic_copy(nic, queue, opcode, &reg, 0, &mem, 0, SIZE).status, 0);
	vrnic_destroy_queue(nic, queue);
	vrnic_dereg_mr(nic, mem.handle);
	vrnic_dereg_mr(nic, reg.handle);
}

#define IMPORTER_DOOR(name, mode)						\
static void read_##name(const struct subject *s, uint8_t *to)			\
{										\
	transfer(s, mode, VRNIC_OP_READ, to);					\
}										\
										\
static void write_##name(const struct subject *s, const uint8_t *from)		\
{										\
	transfer(s, mode, VRNIC_OP_WRITE, (void *)from);			\
}

IMPORTER_DOOR(on_demand, VRNIC_MR_ON_DEMAND)
IMPORTER_DOOR(eager, VRNIC_MR_EAGER)
IMPORTER_DOOR(fenced, VRNIC_MR_FENCED)
IMPORTER_DOOR(pinned, VRNIC_MR_PINNED)
IMPORTER_DOOR(static, VRNIC_MR_STATIC)

/* The copy engine reads what it, or another CPU of it, may still be clearing. */
static void read_copy(const struct subject *s, uint8_t *to)
{
	move_async(s, SYSTEM);
	memcpy(to, s->p, SIZE);
	igt_assert_eq(vvram_info(s->fd, s->handle).placement, SYSTEM);
}

static bool have_swap(void)
{
	return strstr(read_file("/proc/swaps"), "partition");
}

/* Whether the buffer went from system memory to swap. */
static bool swap_out(const struct subject *s)
{
	static const char ttm[] = "/sys/kernel/debug/ttm/tt_shrink";
	uint64_t end = now_ms() + 30000;

	while (vvram_info(s->fd, s->handle).placement != DRM_VVRAM_PLACEMENT_SWAP) {
		if (now_ms() > end)
			return false;
		igt_assert_eq(__debugfs_write("/proc/sys/vm/drop_caches", "2"), 0);
		if (!access(ttm, R_OK))
			read_file(ttm);
	}
	return true;
}

static void read_swap(const struct subject *s, uint8_t *to)
{
	igt_require_f(have_swap(), "no swap\n");
	move_async(s, SYSTEM);
	igt_assert(swap_out(s));
	memcpy(to, s->p, SIZE);
}

static const struct door doors[] = {
	{ "fault", read_pointer, write_pointer },
	{ "fault-ahead", read_ahead, NULL },
	{ "access", read_mem, write_mem },
	{ "dma-buf-sync", read_dma_buf, write_dma_buf },
	{ "vmap", read_vmap, write_vmap },
	{ "map-on-demand", read_on_demand, write_on_demand },
	{ "map-eager", read_eager, write_eager },
	{ "map-fenced", read_fenced, write_fenced },
	{ "pin", read_pinned, write_pinned },
	{ "map-static", read_static, write_static },
	{ "copy", read_copy, NULL },
	{ "swap", read_swap, NULL },
};

/* The control: the other client's bytes are found by this door while it is theirs. */
static void control_read(const struct door *door, uint8_t *to)
{
	struct subject s = make_subject(drm_open_driver(DRIVER_ANY), SIZE, VRAM);

	for (uint64_t i = 0; i < SIZE / 8; i++)
		((uint64_t *)s.p)[i] = FOREIGN;
	door->read(&s, to);
	igt_assert_eq_u64(foreign_count(to, SIZE) * 8, SIZE);
	free_subject(&s);
	drm_close_driver(s.fd);
}

static void test_read(const struct door *door)
{
	uint8_t *to = alloc_pages(SIZE);
	bool busy = false;
	int tries;

	control_read(door, to);
	for (tries = 0; !busy && tries < 5; tries++) {
		struct subject s;

		foreign_leave(&small);
		chaos_delay(fd, DELAY_MS << tries);
		s = make_subject(fd, SIZE, VRAM);
		/* On a slow machine it may be clear already. */
		busy = is_busy(&s);
		door->read(&s, to);
		chaos_delay(fd, 0);
		assert_zero(to, SIZE);
		free_subject(&s);
	}
	igt_assert_f(busy, "no read began while the buffer was being cleared\n");
	munmap(to, SIZE);
}

static void test_write(const struct door *door)
{
	static const uint32_t places[] = { VRAM, SYSTEM };
	uint8_t *from = alloc_pages(SIZE);
	struct subject s;
	unsigned int i;
	bool busy;
	int tries;

	for (i = 0; i < ARRAY_LEN(places); i++) {
		busy = false;
		for (tries = 0; !busy && tries < 5; tries++) {
			small_vram_wait(&small);
			s = make_subject(fd, SIZE, places[i]);
			pattern_fill(s.p, SIZE, 1);
			pattern_fill(from, SIZE, 2 + i);
			chaos_delay(fd, DELAY_MS << tries);
			move_async(&s, places[!i]);
			busy = is_busy(&s);
			door->write(&s, from);
			chaos_delay(fd, 0);
			/* Whatever is still on its way arrives before this returns. */
			vvram_move(fd, s.handle, places[i]);
			pattern_check(s.p, SIZE, 2 + i);
			free_subject(&s);
		}
		igt_assert_f(busy, "no write began while the buffer moved\n");
	}
	munmap(from, SIZE);
}

static void test_write_ahead(void)
{
	struct subject s = make_subject(fd, SIZE, VRAM);

	pattern_fill(s.p, SIZE, 1);
	vvram_move(fd, s.handle, SYSTEM);
	for (uint64_t at = 0; at < SIZE; at += STEP)
		igt_assert_eq(pattern_find_bad(s.p, 8, 1, 1), -1);

	chaos_delay(fd, 4 * DELAY_MS);
	move_async(&s, VRAM);
	for (uint64_t at = 0; at < SIZE; at += STEP)
		memset(s.p + at + KIB(4), 0x5a, STEP - KIB(4));
	chaos_delay(fd, 0);
	vvram_move(fd, s.handle, SYSTEM);
	for (uint64_t at = 0; at < SIZE; at++)
		if (at % STEP >= KIB(4))
			igt_assert_eq(s.p[at], 0x5a);
	free_subject(&s);
}

static void test_write_swap(void)
{
	struct subject s;

	igt_require_f(have_swap(), "no swap\n");
	small_vram_wait(&small);
	s = make_subject(fd, SIZE, VRAM);
	pattern_fill(s.p, SIZE, 1);
	chaos_delay(fd, 4 * DELAY_MS);
	move_async(&s, SYSTEM);
	igt_assert(swap_out(&s));
	move_async(&s, VRAM);
	pattern_fill(s.p, SIZE / 2, 2);
	chaos_delay(fd, 0);
	igt_assert_eq(pattern_find_bad(s.p, SIZE / 2, 2, 1), -1);
	pattern_fill(s.p, SIZE / 2, 1);
	pattern_check(s.p, SIZE, 1);
	free_subject(&s);
}

static ssize_t splice_from(void *p)
{
	int pipes[2], ret;

	igt_assert_eq(pipe(pipes), 0);
	ret = splice_to(pipes[1], p, KIB(4));
	close(pipes[0]);
	close(pipes[1]);
	return ret;
}

static ssize_t vm_access(void *p, bool write)
{
	static uint8_t buf[4096];
	struct iovec local = { .iov_base = buf, .iov_len = sizeof(buf) };
	struct iovec remote = { .iov_base = p, .iov_len = sizeof(buf) };
	ssize_t ret = write ? process_vm_writev(getpid(), &local, 1, &remote, 1, 0) :
			      process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

	return ret < 0 ? -errno : ret;
}

static void test_pages(void)
{
	uint32_t places[] = { VRAM, SYSTEM };
	struct subject s;
	uint8_t *anon;

	igt_require_f(!(vvram_query(fd).flags & DRM_VVRAM_QUERY_PAGES), "vvram has pages=1\n");
	s = make_subject(fd, SIZE, VRAM);
	anon = alloc_pages(KIB(4));

	for (unsigned int i = 0; i < ARRAY_LEN(places); i++) {
		vvram_move(fd, s.handle, places[i]);
		s.p[0] = 1;
		igt_assert_eq(splice_from(s.p), -EFAULT);
		igt_assert_eq(vm_access(s.p, false), -EFAULT);
		igt_assert_eq(vm_access(s.p, true), -EFAULT);
	}
	anon[0] = 1;
	igt_assert_eq(splice_from(anon), KIB(4));
	igt_assert_eq(vm_access(anon, false), KIB(4));
	igt_assert_eq(vm_access(anon, true), KIB(4));
	munmap(anon, KIB(4));
	free_subject(&s);
}

/* Whether a file has a run of the pattern, at any place, or names it as a number. */
static bool file_has_pattern(const char *path, uint64_t pattern)
{
	static uint8_t buf[MIB(1)];
	uint64_t run[8];
	char text[20];
	size_t kept = 0;
	ssize_t got;
	bool found = false;
	int f = open(path, O_RDONLY | O_NONBLOCK);

	if (f < 0)
		return false;
	for (int i = 0; i < 8; i++)
		run[i] = pattern;
	snprintf(text, sizeof(text), "%" PRIx64, pattern);
	while (!found && (got = read(f, buf + kept, sizeof(buf) - kept)) > 0) {
		kept += got;
		found = memmem(buf, kept, run, sizeof(run)) ||
			memmem(buf, kept, text, strlen(text));
		got = kept < sizeof(run) ? kept : sizeof(run);
		memmove(buf, buf + kept - got, got);
		kept = got;
	}
	close(f);
	return found;
}

static int files_with_pattern;

static int look_into(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_F)
		files_with_pattern += file_has_pattern(path, FOREIGN);
	return 0;
}

static void test_debugfs(void)
{
	char dir[] = "/tmp/doors-XXXXXX", path[64];
	struct subject s;

	foreign_leave(&small);
	s = make_subject(fd, SIZE, VRAM);
	for (uint64_t i = 0; i < SIZE / 8; i++)
		((uint64_t *)s.p)[i] = FOREIGN;
	files_with_pattern = 0;
	igt_assert_eq(nftw(vvram_debugfs(fd, ""), look_into, 8, FTW_PHYS), 0);
	igt_assert_eq(nftw("/sys/kernel/debug/vrnic0", look_into, 8, FTW_PHYS), 0);
	igt_assert_eq(files_with_pattern, 0);

	/* The control: what does have it is found. */
	igt_assert(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/bytes", dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	igt_assert_eq(__debugfs_write(path, "word=f0e1d2c3b4a59687"), 0);
	igt_assert_eq(nftw(dir, look_into, 8, FTW_PHYS), 0);
	igt_assert_eq(files_with_pattern, 1);
	unlink(path);
	rmdir(dir);
	free_subject(&s);
}

/* Flags of a mapping as /proc/self/smaps has them, with a blank around each. */
static const char *vm_flags(const void *p)
{
	static char line[512];
	char start[32];
	bool here = false;
	FILE *f = fopen("/proc/self/smaps", "r");

	igt_assert(f);
	snprintf(start, sizeof(start), "%lx-", (unsigned long)p);
	while (fgets(line, sizeof(line), f)) {
		here |= !strncmp(line, start, strlen(start));
		if (here && !strncmp(line, "VmFlags:", 8))
			break;
	}
	fclose(f);
	igt_assert(here);
	return line;
}

/* A pattern of its own: other subtests leave theirs on the heap and on the stack. */
#define IN_MAPPING	(FOREIGN + 2)

/* The pattern is computed, so that no code or register has a run of it. */
static void dump_core(const char *dir, const struct subject *s, uint64_t *anon)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	for (uint64_t i = 0; i < KIB(64) / 8; i++) {
		anon[i] = ~FOREIGN;
		((uint64_t *)s->p)[i] = IN_MAPPING;
	}
	signal(SIGABRT, SIG_DFL);
	if (chdir(dir) || setrlimit(RLIMIT_CORE, &unlimited))
		_exit(1);
	abort();
}

static void test_coredump(void)
{
	char dir[] = "/tmp/doors-XXXXXX", path[64], pattern[128];
	struct subject s;
	uint64_t *anon = alloc_pages(KIB(64));
	int status;
	pid_t pid;

	s = make_subject(fd, SIZE, VRAM);
	igt_assert(strstr(vm_flags(s.p), " dd "));
	igt_assert(!strstr(vm_flags(anon), " dd "));

	snprintf(pattern, sizeof(pattern), "%s", read_file("/proc/sys/kernel/core_pattern"));
	igt_assert_eq(__debugfs_write("/proc/sys/kernel/core_pattern", "core"), 0);
	igt_assert(mkdtemp(dir));
	pid = fork();
	if (!pid)
		dump_core(dir, &s, anon);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq(__debugfs_write("/proc/sys/kernel/core_pattern", pattern), 0);
	igt_assert(WIFSIGNALED(status) && WCOREDUMP(status));

	snprintf(path, sizeof(path), "%s/core", dir);
	if (access(path, R_OK))
		snprintf(path, sizeof(path), "%s/core.%d", dir, pid);
	igt_assert(!file_has_pattern(path, IN_MAPPING));
	/* The control: memory that belongs into a core is there. */
	igt_assert(file_has_pattern(path, ~FOREIGN));
	unlink(path);
	rmdir(dir);
	munmap(anon, KIB(64));
	free_subject(&s);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		rogue = open_rogue();
		igt_assert_fd(rogue);
		small = small_vram_make(4 * SIZE);
	}

	for (unsigned int i = 0; i < ARRAY_LEN(doors); i++) {
		igt_describe("Nobody sees what another client left behind.");
		igt_subtest_f("read-%s", doors[i].name)
			test_read(&doors[i]);
	}
	for (unsigned int i = 0; i < ARRAY_LEN(doors); i++) {
		if (!doors[i].write)
			continue;
		igt_describe("Who wrote finds it where the buffer went.");
		igt_subtest_f("write-%s", doors[i].name)
			test_write(&doors[i]);
	}
	igt_describe("A move takes away all that a fault mapped.");
	igt_subtest("write-fault-ahead")
		test_write_ahead();
	igt_describe("Swap gets the bytes that the buffer had.");
	igt_subtest("write-swap")
		test_write_swap();
	igt_describe("The mapping has no pages that could be held.");
	igt_subtest("pages")
		test_pages();
	igt_describe("root sees all about buffers but their bytes.");
	igt_subtest("debugfs")
		test_debugfs();
	igt_describe("The kernel leaves the mappings out of a core.");
	igt_subtest("coredump")
		test_coredump();

	igt_fixture {
		chaos_delay(fd, 0);
		small_vram_free(&small);
		close(rogue);
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
		igt_assert_eq(system("rmmod rogue"), 0);
	}
}
