// SPDX-License-Identifier: MIT
/**
 * TEST: vvram pages
 * Category: Core
 * Description: A CPU pointer to a buffer is given to a drive, to io_uring and to others who use
 *	its pages, and the buffer moves nevertheless (pages=1).
 *
 * SUBTEST: %s-while-moving
 * Description: Files on a drive are read and written to a buffer that moves all the time.
 * SUBTEST: control
 * Description: A move that does not wait for those who have pages is found out.
 * SUBTEST: held-in-%s
 * Description: A buffer whose pages somebody has stays; everybody is told, and nobody waits long.
 * SUBTEST: pinned
 * Description: A buffer that an importer has pinned is not waited for.
 * SUBTEST: let-go
 * Description: A move goes on as soon as the last page is let go.
 * SUBTEST: freed-in-%s
 * Description: Pages of a buffer that has ended are nobody else's until they are let go.
 * SUBTEST: evict
 * Description: Only buffers without users of pages make room; room that they keep is waited for.
 * SUBTEST: swap
 * Description: What somebody has pages of is not swapped out.
 * SUBTEST: reset
 * Description: A reset of the function sends all others out of VRAM when one has to stay.
 * SUBTEST: for-long
 * Description: Pages are not given to who would keep them for ever, unless that is allowed.
 * SUBTEST: rights
 * Description: Nobody writes through a mapping that is read-only.
 * SUBTEST: %s-in-flight
 * Description: The mapping goes away in the middle of what a drive does with it.
 * SUBTEST: importer
 * Description: An importer uses the buffer while a drive does, and both while it moves.
 * SUBTEST: path
 * Description: Where the drive does not reach VRAM it says so, and reaches system memory.
 * SUBTEST: unbind
 * Description: The device does not go before its pages are let go.
 * SUBTEST: unbind-in-flight
 * Description: The device goes in the middle of what a drive does with it.
 */

#include <linux/io_uring.h>
#include <signal.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "direct.h"
#include "foreign.h"
#include "modules/holder.h"
#include "subject.h"

IGT_TEST_DESCRIPTION("Pages of buffers, by a CPU pointer.");

#define SIZE	MIB(1)
#define THREADS	2

static int fd = -1, nic = -1, drive = -1;

#define PARAMETERS	"/sys/module/vvram/parameters/"

/* How long moves wait. */
static void wait_for(const char *ms)
{
	igt_assert_eq(__debugfs_write(PARAMETERS "drain_ms", ms), 0);
}

/* Long enough to tell a wait from none, where nobody will let go. */
static void wait_a_second(void)
{
	wait_for("1000");
}

static void wait_as_usual(void)
{
	wait_for("5000");
}

/* Whatever the test before has left. */
static void reset(void)
{
	chaos_write(fd, "poison", "0");
	chaos_write(fd, "skip_drain", "0");
	igt_assert_eq(__debugfs_write(PARAMETERS "longterm", "0"), 0);
	igt_assert_eq(__debugfs_write(PARAMETERS "pin_limit", "50"), 0);
	wait_as_usual();
}

/* Those who have pages let them go a moment after they have said that they are done. */
static void wait_let_go(uint32_t handle)
{
	uint64_t end = now_ms() + 20000;

	while (vvram_info(fd, handle).held_pages && now_ms() < end)
		usleep(10000);
	igt_assert_eq_u64(vvram_info(fd, handle).held_pages, 0);
}

/* In two pieces, the border in the middle of a page. */
static int by_preadv(struct traffic *t, bool write, void *p)
{
	const uint32_t first = KIB(8) + 512;
	struct iovec iov[] = { { p, first }, { (uint8_t *)p + first, SLOT - first } };
	ssize_t ret = write ? pwritev(t->file, iov, 2, t->offset) :
			      preadv(t->file, iov, 2, t->offset);

	return ret < 0 ? -errno : ret;
}

static int by_uring(struct traffic *t, bool write, void *p)
{
	return uring_do(&t->ring, write ? IORING_OP_WRITE : IORING_OP_READ, t->file, p,
			SLOT, t->offset);
}

static const struct way {
	const char *name;
	int (*move)(struct traffic *t, bool write, void *p);
} ways[] = {
	{ "direct", traffic_by_pread },
	{ "direct-vector", by_preadv },
	{ "io-uring", by_uring },
	{ "buffered", traffic_by_pread },
};

/* The drive; or a file in memory, for which CPUs copy. */
static int open_file(const struct way *way)
{
	int f;

	if (strcmp(way->name, "buffered"))
		return dup(drive);
	f = memfd_create("buffered", MFD_CLOEXEC);
	igt_assert_eq(ftruncate(f, SIZE), 0);
	return f;
}

static void traffic_init(struct traffic *t, const struct way *way, uint8_t *p, unsigned int slot)
{
	*t = (struct traffic) {
		.move = way->move, .file = open_file(way), .p = p + slot * SLOT, .offset = slot * SLOT,
	};
	igt_assert_fd(t->file);
	t->local = alloc_pages(SLOT);
	if (way->move == by_uring)
		igt_require_f(!__uring_open(&t->ring), "no io_uring\n");
}

static void traffic_fini(struct traffic *t)
{
	if (t->move == by_uring)
		uring_close(&t->ring);
	munmap(t->local, SLOT);
	close(t->file);
}

struct sum {
	int rounds;
	int wrong;
	int moves;
};

/* Traffic and moves until there have been so many of both, or something went wrong. */
static struct sum run_traffic(const struct way *way, int rounds, int moves, bool wrong_ends)
{
	struct subject s = make_subject(fd, SIZE, VRAM);
	static struct traffic t[THREADS];
	static struct mover m;
	uint64_t stale = chaos_read(fd, "stale_writes");
	struct sum sum = {};
	int i;

	/* However slow the machine is. */
	wait_for("60000");
	for (i = 0; i < THREADS; i++)
		traffic_init(&t[i], way, s.p, i);
	mover_start(&m, fd, s.handle);
	for (i = 0; i < THREADS; i++)
		traffic_start(&t[i]);
	do {
		usleep(10000);
		sum = (struct sum) { .moves = m.moves };
		for (i = 0; i < THREADS; i++) {
			sum.rounds += t[i].rounds;
			sum.wrong += t[i].wrong;
			igt_assert_f(!t[i].error, "%s: %s\n", way->name, strerror(-t[i].error));
		}
	} while ((sum.rounds < rounds || sum.moves < moves) && !m.error &&
		 !(wrong_ends && (sum.wrong || chaos_read(fd, "stale_writes") > stale)));
	for (i = 0; i < THREADS; i++)
		traffic_stop(&t[i]);
	mover_stop(&m);
	wait_let_go(s.handle);
	wait_as_usual();
	for (i = 0; i < THREADS; i++)
		traffic_fini(&t[i]);
	free_subject(&s);
	return sum;
}

static bool reaches_vram;

static int try_drive(uint8_t *p)
{
	ssize_t ret = pread(drive, p, SLOT, 0);

	return ret < 0 ? -errno : 0;
}

static void need_drive(void)
{
	struct subject s;

	if (drive >= 0)
		return;
	drive = open_drive(DRIVE);
	s = make_subject(fd, SIZE, VRAM);
	reaches_vram = !try_drive(s.p);
	free_subject(&s);
}

static void need_drive_to_vram(void)
{
	need_drive();
	igt_require_f(reaches_vram, "the drive does not reach VRAM here\n");
}

/* Where an IOMMU judges, and where there is time. */
static bool at_length(void)
{
	const char *machine = getenv("MACHINE");

	return getenv("LONG") || (machine && !strcmp(machine, "p2p"));
}

static void test_while_moving(const struct way *way, int rounds, int moves)
{
	uint64_t faults = iommu_faults(), stale = chaos_read(fd, "stale_writes");
	struct sum sum;

	need_drive_to_vram();
	chaos_write(fd, "poison", "1");
	sum = run_traffic(way, rounds, moves, false);
	chaos_write(fd, "poison", "0");
	igt_info("%d requests, %d moves\n", 4 * sum.rounds, sum.moves);
	igt_assert_eq(sum.wrong, 0);
	igt_assert_eq_u64(chaos_read(fd, "stale_writes"), stale);
	igt_assert_eq_u64(iommu_faults(), faults);
}

static void test_control(void)
{
	uint64_t stale = chaos_read(fd, "stale_writes");
	struct sum sum;

	need_drive_to_vram();
	breaches_on_purpose(true);
	chaos_write(fd, "poison", "1");
	chaos_write(fd, "skip_drain", "1");
	sum = run_traffic(&ways[0], 20000, 20000, true);
	chaos_write(fd, "skip_drain", "0");
	chaos_write(fd, "poison", "0");
	breaches_on_purpose(false);
	igt_assert_f(sum.wrong || chaos_read(fd, "stale_writes") > stale,
		     "nothing was found in %d rounds and %d moves\n", sum.rounds, sum.moves);
}

static int __take(int holder, void *p, uint32_t pages, uint32_t flags)
{
	struct holder_take take = { .addr = (uintptr_t)p, .pages = pages, .flags = flags };

	return do_call(holder, HOLDER_IOC_TAKE, &take);
}

static int take(void *p, uint32_t pages)
{
	int holder = open_holder();

	igt_assert_fd(holder);
	igt_assert_eq(__take(holder, p, pages, 0), 0);
	return holder;
}

static uint64_t attachments_held(uint32_t handle)
{
	struct drm_vvram_gem_attachments arg = { .handle = handle };

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_ATTACHMENTS, &arg), 0);
	return arg.held_pages;
}

static void assert_held(const struct subject *s, uint64_t pages)
{
	igt_assert_eq_u64(vvram_info(fd, s->handle).held_pages, pages);
	igt_assert_eq_u64(attachments_held(s->handle), pages);
	igt_assert_eq_u64(fdinfo_kib(fd, "vvram-held"), 4 * pages);
}

static uint32_t other(uint32_t placement)
{
	return placement == VRAM ? SYSTEM : VRAM;
}

static void test_held(uint32_t placement)
{
	struct subject s = make_subject(fd, SIZE, placement);
	uint64_t words[512], begin;
	int holder;

	pattern_fill(s.p, SIZE, placement);
	assert_held(&s, 0);
	holder = take(s.p + SLOT, 16);
	assert_held(&s, 16);

	wait_a_second();
	begin = now_ms();
	igt_assert_eq(__vvram_move(fd, s.handle, other(placement)), -EBUSY);
	igt_assert_lte(900, now_ms() - begin);
	begin = now_ms();
	igt_assert_eq(__vvram_move_async(fd, s.handle, other(placement)), -EBUSY);
	igt_assert_lte(900, now_ms() - begin);
	wait_as_usual();
	igt_assert_eq(vvram_info(fd, s.handle).placement, placement);
	vvram_move(fd, s.handle, placement);

	/* It is the buffer's memory still, both ways. */
	igt_assert_eq(pread(holder, words, sizeof(words), 0), sizeof(words));
	igt_assert(!memcmp(words, s.p + SLOT, sizeof(words)));
	words[7] ^= 1;
	igt_assert_eq(pwrite(holder, words, sizeof(words), 0), sizeof(words));
	igt_assert(!memcmp(words, s.p + SLOT, sizeof(words)));
	words[7] ^= 1;
	igt_assert_eq(pwrite(holder, words, sizeof(words), 0), sizeof(words));

	close(holder);
	assert_held(&s, 0);
	vvram_move(fd, s.handle, other(placement));
	pattern_check(s.p, SIZE, placement);
	free_subject(&s);
}

static void test_pinned(void)
{
	struct shared s = share_buffer(fd, nic, SIZE, VRNIC_MR_PINNED, 0);
	uint32_t placement = vvram_info(fd, s.handle).placement;
	uint64_t begin = now_ms();

	/* Nobody will let go: nobody is waited for. */
	wait_for("60000");
	igt_assert_eq(__vvram_move(fd, s.handle, other(placement)), -EBUSY);
	igt_assert_lt(now_ms() - begin, 10000);
	wait_as_usual();
	unshare_buffer(fd, nic, &s);
}

static void *close_later(void *arg)
{
	usleep(200000);
	close((intptr_t)arg);
	return NULL;
}

static void test_let_go(void)
{
	struct subject s = make_subject(fd, SIZE, VRAM);
	pthread_t thread;
	uint64_t begin;
	int holder;

	pattern_fill(s.p, SIZE, 5);
	holder = take(s.p, 1);
	begin = now_ms();
	igt_assert_eq(pthread_create(&thread, NULL, close_later, (void *)(intptr_t)holder), 0);
	vvram_move(fd, s.handle, SYSTEM);
	igt_assert_lte(150, now_ms() - begin);
	pthread_join(thread, NULL);
	pattern_check(s.p, SIZE, 5);

	/* Who waits can be killed at once. */
	holder = take(s.p, 1);
	begin = now_ms();
	igt_fork(child, 1) {
		signal(SIGALRM, SIG_DFL);
		ualarm(100000, 0);
		__vvram_move(fd, s.handle, VRAM);
		_exit(0);
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	igt_assert_lt(now_ms() - begin, 4500);
	close(holder);
	free_subject(&s);
}

/* So that whatever has been given back is used, and written to. */
static void use_memory(void)
{
	uint64_t size = MIB(256);
	uint8_t *p = alloc_pages(size);

	memset(p, 0xee, size);
	munmap(p, size);
}

static void test_freed(uint32_t placement)
{
	struct small_vram small = small_vram_make(MIB(8));
	struct subject s = make_subject(fd, SIZE, placement);
	uint8_t *local = alloc_pages(SIZE);
	uint64_t end = now_ms() + 20000;
	int holder;

	pattern_fill(s.p, SIZE, 9);
	holder = take(s.p, SIZE / KIB(4));
	free_subject(&s);
	if (placement == VRAM) {
		while (vvram_query(fd).vram_held < SIZE && now_ms() < end)
			usleep(10000);
		igt_assert_eq_u64(vvram_query(fd).vram_held, SIZE);
		/* So all that is left is less. */
		small.used += SIZE;
	}
	/* Others take all that they can have, of both memories. */
	foreign_leave(&small);
	use_memory();
	for (uint64_t at = 0; at < SIZE; at += KIB(4))
		igt_assert_eq(pread(holder, local + at, KIB(4), at), KIB(4));
	igt_assert_eq(pattern_find_bad(local, SIZE, 9, 1), -1);
	memset(local, 0x5a, SIZE);
	for (uint64_t at = 0; at < SIZE; at += KIB(4))
		igt_assert_eq(pwrite(holder, local + at, KIB(4), at), KIB(4));
	close(holder);
	munmap(local, SIZE);
	if (placement == VRAM)
		small.used -= SIZE;
	small_vram_wait(&small);
	igt_assert_eq_u64(vvram_query(fd).vram_held, 0);

	/* What it has written is no gift to the next owner. */
	s = make_subject(fd, MIB(8), VRAM);
	assert_zero(s.p, s.size);
	free_subject(&s);
	small_vram_free(&small);
}

static void test_evict(void)
{
	enum { PARTS = 4 };
	struct drm_vvram_query query = vvram_query(fd);
	uint64_t size = query.vram_size / PARTS - MIB(1), begin;
	uint32_t handles[PARTS + 1];
	int holders[PARTS];
	uint8_t *p[PARTS];
	pthread_t thread;
	int i, ret;

	vvram_wait_unused(fd);
	for (i = 0; i < PARTS; i++) {
		handles[i] = vvram_create(fd, size, VRAM);
		p[i] = vvram_mmap(fd, handles[i], size);
		pattern_fill(p[i], KIB(64), i);
		holders[i] = i == 2 ? -1 : take(p[i], 1);
	}
	/* Of those in VRAM the only one that nobody has is not the oldest. */
	handles[PARTS] = vvram_create(fd, size, VRAM);
	for (i = 0; i < PARTS; i++)
		igt_assert_eq(vvram_info(fd, handles[i]).placement, i == 2 ? SYSTEM : VRAM);

	gem_close(fd, handles[PARTS]);
	vvram_move(fd, handles[2], VRAM);
	holders[2] = take(p[2], 1);
	wait_a_second();
	begin = now_ms();
	ret = __vvram_create(fd, size, VRAM, 0, &handles[PARTS]);
	igt_assert(ret == -ENOSPC || ret == -ENOMEM);
	igt_assert_lte(900, now_ms() - begin);
	wait_as_usual();

	igt_assert_eq(pthread_create(&thread, NULL, close_later, (void *)(intptr_t)holders[1]), 0);
	handles[PARTS] = vvram_create(fd, size, VRAM);
	pthread_join(thread, NULL);
	igt_assert_eq(vvram_info(fd, handles[1]).placement, SYSTEM);

	for (i = 0; i < PARTS; i++) {
		if (i != 1)
			close(holders[i]);
		pattern_check(p[i], KIB(64), i);
		munmap(p[i], size);
		gem_close(fd, handles[i]);
	}
	gem_close(fd, handles[PARTS]);
}

static bool is_swapped(const struct subject *s)
{
	for (int i = 0; i < 50 && vvram_info(fd, s->handle).placement != DRM_VVRAM_PLACEMENT_SWAP; i++)
		press_memory();
	return vvram_info(fd, s->handle).placement == DRM_VVRAM_PLACEMENT_SWAP;
}

static void test_swap(void)
{
	struct subject kept = make_subject(fd, SIZE, SYSTEM), other = make_subject(fd, SIZE, SYSTEM);
	int holder;

	pattern_fill(kept.p, SIZE, 1);
	pattern_fill(other.p, SIZE, 2);
	holder = take(kept.p, 1);
	igt_assert(is_swapped(&other));
	igt_assert_eq(vvram_info(fd, kept.handle).placement, SYSTEM);
	close(holder);
	igt_assert(is_swapped(&kept));
	pattern_check(kept.p, SIZE, 1);
	pattern_check(other.p, SIZE, 2);
	free_subject(&kept);
	free_subject(&other);
}

static void test_reset(void)
{
	struct subject kept, others[3];
	char path[128], name[64];
	unsigned int i;
	int holder;

	igt_require_f(bound_function(VVRAM_DRIVER, name), "VRAM is not a PCI function\n");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", name);
	igt_require_f(!access(path, W_OK), "the function has no reset\n");
	kept = make_subject(fd, SIZE, VRAM);
	holder = take(kept.p, 1);
	for (i = 0; i < ARRAY_LEN(others); i++) {
		others[i] = make_subject(fd, SIZE, VRAM);
		pattern_fill(others[i].p, SIZE, i);
	}
	wait_a_second();
	igt_assert_eq(__debugfs_write(path, "1"), 0);
	wait_as_usual();
	igt_assert_eq(vvram_info(fd, kept.handle).placement, VRAM);
	for (i = 0; i < ARRAY_LEN(others); i++) {
		igt_assert_eq(vvram_info(fd, others[i].handle).placement, SYSTEM);
		pattern_check(others[i].p, SIZE, i);
		vvram_move(fd, others[i].handle, VRAM);
		free_subject(&others[i]);
	}
	close(holder);
	free_subject(&kept);
}

static int take_for_long(struct subject *s)
{
	int holder = open_holder(), ret = __take(holder, s->p, 4, HOLDER_LONGTERM);

	if (ret) {
		close(holder);
		return ret;
	}
	return holder;
}

static void test_for_long(void)
{
	struct subject s = make_subject(fd, SIZE, SYSTEM);
	struct vrnic_reg_mr reg;
	struct uring ring;
	int holder;

	s.p[0] = 1;
	igt_assert_eq(take_for_long(&s), -EFAULT);
	if (!__uring_open(&ring)) {
		igt_assert_eq(uring_register(&ring, s.p, SIZE), -EFAULT);
		uring_close(&ring);
	}
	reg = (struct vrnic_reg_mr) {
		.flags = VRNIC_REG_MR_USER, .fd = -1, .addr = (uintptr_t)s.p, .length = SIZE,
		.access = VRNIC_ACCESS_LOCAL_WRITE,
	};
	igt_assert_eq(__vrnic_reg_mr(nic, &reg), -EFAULT);
	igt_assert_eq_u64(vvram_info(fd, s.handle).held_pages, 0);
	free_subject(&s);

	/* With the owner's leave, up to the limit of pins. */
	igt_assert_eq(__debugfs_write(PARAMETERS "longterm", "1"), 0);
	s = make_subject(fd, SIZE, SYSTEM);
	holder = take_for_long(&s);
	igt_assert_fd(holder);
	wait_a_second();
	igt_assert_eq(__vvram_move(fd, s.handle, VRAM), -EBUSY);
	wait_as_usual();
	free_subject(&s);
	close(holder);

	igt_assert_eq(__debugfs_write(PARAMETERS "pin_limit", "0"), 0);
	s = make_subject(fd, SIZE, SYSTEM);
	igt_assert_eq(take_for_long(&s), -EFAULT);
	free_subject(&s);
	igt_assert_eq(__debugfs_write(PARAMETERS "pin_limit", "50"), 0);
	igt_assert_eq(__debugfs_write(PARAMETERS "longterm", "0"), 0);
}

static void test_rights(void)
{
	uint8_t *p, *local;
	struct subject s;
	int mem, pipes[2];

	need_drive();
	s = make_subject(fd, SIZE, SYSTEM);
	p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, s.dmabuf, 0);
	local = alloc_pages(SLOT);
	mem = open("/proc/self/mem", O_RDWR);
	igt_assert(p != MAP_FAILED);
	pattern_fill(s.p, SIZE, 3);
	pattern_fill(local, SLOT, 4);
	igt_assert_eq(pwrite(drive, local, SLOT, 0), SLOT);
	igt_assert(pread(drive, p, SLOT, 0) < 0 && errno == EFAULT);
	igt_assert(pwrite(mem, local, SLOT, (uintptr_t)p) < 0 && errno == EIO);
	/* Reading is what it is for. */
	igt_assert_eq(pwrite(drive, p, SLOT, 0), SLOT);
	igt_assert_eq(pread(drive, local, SLOT, 0), SLOT);
	igt_assert_eq(pattern_find_bad(local, SLOT, 3, 1), -1);
	igt_assert_eq(pipe(pipes), 0);
	igt_assert_eq(splice_to(pipes[1], p, KIB(16)), KIB(16));
	igt_assert_eq_u64(vvram_info(fd, s.handle).held_pages, 4);
	igt_assert_eq(read(pipes[0], local, KIB(16)), KIB(16));
	igt_assert_eq(pattern_find_bad(local, KIB(16), 3, 1), -1);
	igt_assert_eq_u64(vvram_info(fd, s.handle).held_pages, 0);
	pattern_check(s.p, SIZE, 3);
	close(pipes[0]);
	close(pipes[1]);
	close(mem);
	munmap(p, SIZE);
	munmap(local, SLOT);
	free_subject(&s);
}

/* Somebody who reads from the drive to a mapping that may go at any time. */
struct reader {
	struct subject s;
	volatile bool stop;
	volatile int error;
	pthread_t thread;
};

static void *reader_run(void *arg)
{
	struct reader *r = arg;

	while (!r->stop && !r->error) {
		/* As far as it came, or not at all. */
		if (pread(drive, *(uint8_t *volatile *)&r->s.p, SLOT, 0) < 0 && errno != EFAULT)
			r->error = errno;
	}
	return NULL;
}

static void remap(struct reader *r)
{
	uint8_t *to = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	to = mremap(r->s.p, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	igt_assert((void *)to != MAP_FAILED);
	r->s.p = to;
}

static void unmap(struct reader *r)
{
	munmap(r->s.p, SIZE);
	igt_assert(mmap(r->s.p, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, r->s.dmabuf,
			0) == r->s.p);
}

static void fork_away(struct reader *r)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(pread(drive, r->s.p + SLOT, SLOT, 0) != SLOT);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq(status, 0);
}

static void kill_child(struct reader *r)
{
	pid_t pid = fork();

	if (!pid) {
		while (pread(drive, r->s.p + SLOT, SLOT, 0) == SLOT)
			;
		_exit(1);
	}
	igt_assert_lt(0, pid);
	usleep(20000);
	kill(pid, SIGKILL);
	igt_assert_eq(waitpid(pid, NULL, 0), pid);
}

static void test_in_flight(void (*what)(struct reader *r))
{
	static struct reader r;
	static struct mover m;
	uint8_t *local = alloc_pages(SLOT);

	need_drive_to_vram();
	r = (struct reader){};
	wait_for("60000");
	r.s = make_subject(fd, SIZE, VRAM);
	pattern_fill(local, SLOT, 8);
	igt_assert_eq(pwrite(drive, local, SLOT, 0), SLOT);
	mover_start(&m, fd, r.s.handle);
	igt_assert_eq(pthread_create(&r.thread, NULL, reader_run, &r), 0);
	for (int i = 0; i < 20 || mover_goes_on(&m, 0, 3); i++)
		what(&r);
	r.stop = true;
	pthread_join(r.thread, NULL);
	mover_stop(&m);
	igt_assert_eq(r.error, 0);

	/* All is as it should be, and nobody has anything any more. */
	igt_assert_eq(pread(drive, r.s.p, SLOT, 0), SLOT);
	pattern_check(r.s.p, SLOT, 8);
	wait_let_go(r.s.handle);
	wait_as_usual();
	vvram_move(fd, r.s.handle, SYSTEM);
	vvram_move(fd, r.s.handle, VRAM);
	free_subject(&r.s);
	munmap(local, SLOT);
}

static void test_importer(void)
{
	uint64_t end = now_ms() + 1500, n = 0;
	struct vrnic_reg_mr mem;
	static struct traffic t;
	static struct mover m;
	struct shared s;
	uint32_t queue;
	uint8_t *local;

	need_drive_to_vram();
	wait_for("60000");
	queue = vrnic_create_queue(nic, 4 * SLOTS);
	local = alloc_pages(2 * SLOTS * SLOT);
	mem = vrnic_reg_user(nic, local, 2 * SLOTS * SLOT);
	s = share_buffer(fd, nic, SIZE, VRNIC_MR_ON_DEMAND, 0);
	traffic_init(&t, &ways[0], s.p, SLOTS + 1);
	mover_start(&m, fd, s.handle);
	traffic_start(&t);
	while (!t.error && (n < 2 || t.rounds < 2 || mover_goes_on(&m, end, 3))) {
		for (uint32_t slot = 0; slot < SLOTS; slot++)
			transfer_round(nic, queue, &s.reg, &mem, local, slot, n);
		n++;
	}
	traffic_stop(&t);
	mover_stop(&m);
	igt_assert_eq(t.error, 0);
	igt_assert_eq(t.wrong, 0);
	wait_as_usual();
	traffic_fini(&t);
	vrnic_destroy_queue(nic, queue);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, 2 * SLOTS * SLOT);
	unshare_buffer(fd, nic, &s);
}

static void test_path(void)
{
	struct subject s;
	int ret;

	need_drive();
	s = make_subject(fd, SIZE, VRAM);
	ret = try_drive(s.p);
	if (reaches_vram) {
		igt_assert_eq(ret, 0);
	} else {
		igt_assert_f(ret == -EINVAL || ret == -EREMOTEIO, "%s\n", strerror(-ret));
		igt_assert_eq(vvram_info(fd, s.handle).held_pages, 0);
	}
	vvram_move(fd, s.handle, SYSTEM);
	igt_assert_eq(try_drive(s.p), 0);
	free_subject(&s);
}

/* Nothing of the buffer is in the new device. */
static void come_back(struct subject *s, const char *name)
{
	munmap(s->p, SIZE);
	close(s->dmabuf);
	close(fd);
	driver_write(VVRAM_DRIVER, "bind", name);
	fd = vvram_open_again();
	igt_assert_fd(fd);
	*s = make_subject(fd, SIZE, VRAM);
	assert_zero(s->p, SIZE);
	free_subject(s);
}

static void test_unbind(void)
{
	static char name[64];
	struct subject s;
	uint64_t word = 0;
	int holder, go[2], status, early;
	pid_t pid;

	igt_require_f(bound_function(VVRAM_DRIVER, name), "VRAM is not a PCI function\n");
	/* Not this process: it would wait for itself if it ended. */
	igt_assert_eq(pipe(go), 0);
	pid = fork();
	if (!pid) {
		close(go[1]);
		if (read(go[0], &word, 1) == 1)
			driver_write(VVRAM_DRIVER, "unbind", name);
		_exit(0);
	}
	close(go[0]);
	s = make_subject(fd, SIZE, VRAM);
	pattern_fill(s.p, SIZE, 6);
	holder = take(s.p, 1);
	igt_assert_eq(write(go[1], "", 1), 1);
	usleep(500000);
	early = waitpid(pid, &status, WNOHANG);
	if (pread(holder, &word, 8, 8) != 8)
		word = 0;
	close(holder);
	igt_assert_eq(early, 0);
	igt_assert_neq(word, 0);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	close(go[1]);

	/* The mapping has become one of nothing. */
	igt_assert_eq(s.p[8], 0);
	s.p[8] = 1;
	come_back(&s, name);
}

static void test_unbind_in_flight(void)
{
	static char name[64];
	struct reader r = {};

	need_drive_to_vram();
	igt_require_f(bound_function(VVRAM_DRIVER, name), "VRAM is not a PCI function\n");
	r.s = make_subject(fd, SIZE, VRAM);
	igt_assert_eq(pthread_create(&r.thread, NULL, reader_run, &r), 0);
	usleep(200000);
	driver_write(VVRAM_DRIVER, "unbind", name);
	usleep(100000);
	r.stop = true;
	pthread_join(r.thread, NULL);
	igt_assert_eq(r.error, 0);
	come_back(&r.s, name);
}

static const struct {
	const char *name;
	void (*what)(struct reader *r);
} ends[] = {
	{ "remap", remap },
	{ "unmap", unmap },
	{ "fork", fork_away },
	{ "kill", kill_child },
};

igt_main
{
	unsigned int i;

	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_PAGES,
			      "vvram was loaded without pages=1\n");
		nic = vrnic_open();
	}

	for (i = 0; i < ARRAY_LEN(ways); i++) {
		igt_describe("Nothing is lost on the way to a file and back.");
		igt_subtest_f("%s-while-moving", ways[i].name) {
			reset();
			test_while_moving(&ways[i], i ? 100 : 500, i || !at_length() ? 50 : 1000);
		}
	}
	igt_describe("What the tests above look for is there without the wait.");
	igt_subtest("control") {
		reset();
		test_control();
	}
	igt_describe("Users of pages are seen, and keep the buffer where it is.");
	igt_subtest("held-in-vram") {
		reset();
		test_held(VRAM);
	}
	igt_describe("Users of pages are seen, and keep the buffer where it is.");
	igt_subtest("held-in-system") {
		reset();
		test_held(SYSTEM);
	}
	igt_describe("Pins are no users of pages.");
	igt_subtest("pinned") {
		reset();
		test_pinned();
	}
	igt_describe("Moves wait for users of pages, and no longer.");
	igt_subtest("let-go") {
		reset();
		test_let_go();
	}
	igt_describe("Pages outlive their buffer for those who have them, and for nobody else.");
	igt_subtest("freed-in-vram") {
		reset();
		test_freed(VRAM);
	}
	igt_describe("Pages outlive their buffer for those who have them, and for nobody else.");
	igt_subtest("freed-in-system") {
		reset();
		test_freed(SYSTEM);
	}
	igt_describe("Eviction looks for buffers whose pages nobody has.");
	igt_subtest("evict") {
		reset();
		test_evict();
	}
	igt_describe("Swapping out, too, waits for nobody and takes nothing away.");
	igt_subtest("swap") {
		reset();
		test_swap();
	}
	igt_describe("What can leave leaves before a reset, whatever can not.");
	igt_subtest("reset") {
		reset();
		test_reset();
	}
	igt_describe("Memory that could not move any more is refused.");
	igt_subtest("for-long") {
		reset();
		test_for_long();
	}
	igt_describe("The rights of a mapping are those of who uses its pages.");
	igt_subtest("rights") {
		reset();
		test_rights();
	}
	for (i = 0; i < ARRAY_LEN(ends); i++) {
		igt_describe("What is reported as done is done, and no page is forgotten.");
		igt_subtest_f("%s-in-flight", ends[i].name) {
			reset();
			test_in_flight(ends[i].what);
		}
	}
	igt_describe("Importers and users of pages do not disturb each other.");
	igt_subtest("importer") {
		reset();
		test_importer();
	}
	igt_describe("No path between two devices is an error that a program can do something about.");
	igt_subtest("path") {
		reset();
		test_path();
	}
	igt_describe("Nothing of the device is in use when it has gone.");
	igt_subtest("unbind") {
		reset();
		test_unbind();
	}
	igt_describe("What is in flight ends before the device does.");
	igt_subtest("unbind-in-flight") {
		reset();
		test_unbind_in_flight();
	}

	igt_fixture {
		if (drive >= 0)
			close(drive);
		close(nic);
		drm_close_driver(fd);
		igt_assert_eq(system("! [ -d /sys/module/holder ] || rmmod holder"), 0);
	}
}
