// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic address
 * Category: Core
 * Description: Regions by address: user memory that is not pinned.
 *
 * SUBTEST: nothing-there
 * Description: Nothing is behind the addresses at first, and none of it is pinned later.
 * SUBTEST: kinds
 * Description: Memory of each kind that a process can have is read and written.
 * SUBTEST: changes
 * Description: After each change of the page tables it is the new memory that is used; a
 *	region that pins goes on with the old one, and is caught.
 * SUBTEST: boundaries
 * Description: Mappings change within the region: each page is what its mapping says.
 * SUBTEST: secret
 * Description: Memory that the kernel itself must not reach (memfd_secret()) is refused.
 * SUBTEST: while-changing
 * Description: Requests while pages are swapped, migrated, write-protected and put together.
 * SUBTEST: while-moving
 * Description: Requests on the mapping of a buffer that moves (pages=1).
 * SUBTEST: mixed
 * Description: One region of memory, a file, and a buffer that moves, in one request.
 * SUBTEST: same-region
 * Description: Both ends of a request in one region, and atomics.
 * SUBTEST: prefetch
 * Description: What was mapped ahead is not faulted in; hints of what is not there fail.
 * SUBTEST: owner-gone
 * Description: A region ends with the address space that it is of, not with another.
 * SUBTEST: ended-while-freed
 * Description: The memory of a region is freed while the region ends; who has it next finds
 *	it as free memory has to be, or the kernel complains.
 * SUBTEST: killed
 * Description: Clients are killed while their pages are faulted in.
 * SUBTEST: bad-arguments
 * Description: What is no region by address is refused.
 * SUBTEST: limit
 * Description: The tables count against RLIMIT_MEMLOCK, the memory does not.
 */

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "subject.h"

IGT_TEST_DESCRIPTION("User memory that is used as it is when it is used.");

#define PAGE		KIB(4)
#define SIZE		KIB(256)
#define ALL_ACCESS	(VRNIC_ACCESS_LOCAL_WRITE | VRNIC_ACCESS_REMOTE_WRITE |	\
			 VRNIC_ACCESS_REMOTE_READ | VRNIC_ACCESS_REMOTE_ATOMIC)

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static int fd = -1, nic = -1;
static uint32_t queue;
/* The other end of each request, pinned. */
static uint8_t *far;
static struct vrnic_reg_mr far_reg;

static int __reg_by_address(int of, void *p, uint64_t size, struct vrnic_reg_mr *reg)
{
	*reg = (struct vrnic_reg_mr) {
		.flags = VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS, .access = ALL_ACCESS,
		.fd = -1, .addr = (uintptr_t)p, .length = size,
	};
	return __vrnic_reg_mr(of, reg);
}

static struct vrnic_reg_mr reg_by_address(void *p, uint64_t size)
{
	struct vrnic_reg_mr reg;

	igt_assert_eq(__reg_by_address(nic, p, size, &reg), 0);
	return reg;
}

static void *map_at(void *p, uint64_t size, int prot)
{
	return mmap(p, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | (p ? MAP_FIXED : 0), -1, 0);
}

/* A queue that has failed takes nothing more. */
static uint32_t finish(struct vrnic_wc wc)
{
	struct vrnic_queue reset = { .handle = queue };

	if (wc.status)
		igt_assert_eq(do_call(nic, VRNIC_IOC_RESET_QUEUE, &reset), 0);
	return wc.status;
}

static uint32_t put(const struct vrnic_reg_mr *reg, uint64_t at, uint32_t len)
{
	return finish(vrnic_copy(nic, queue, VRNIC_OP_WRITE, reg, at, &far_reg, 0, len));
}

static uint32_t get(const struct vrnic_reg_mr *reg, uint64_t at, uint32_t len)
{
	return finish(vrnic_copy(nic, queue, VRNIC_OP_READ, reg, at, &far_reg, 0, len));
}

/* Whether the CPU sees what the device writes, and the device what the CPU writes. */
static bool agree(const struct vrnic_reg_mr *reg, uint8_t *p, uint64_t size, uint64_t seed)
{
	pattern_fill(far, size, seed);
	igt_assert_eq(put(reg, 0, size), VRNIC_WC_SUCCESS);
	if (pattern_find_bad(p, size, seed, 1) != -1)
		return false;
	pattern_fill(p, size, seed + 1);
	memset(far, 0, size);
	igt_assert_eq(get(reg, 0, size), VRNIC_WC_SUCCESS);
	return pattern_find_bad(far, size, seed + 1, 1) == -1;
}

static void test_nothing_there(void)
{
	uint8_t *p = map_at(NULL, SIZE, PROT_NONE);
	struct vrnic_reg_mr reg;
	unsigned char there[SIZE / PAGE];

	munmap(p, SIZE);
	reg = reg_by_address(p, SIZE);
	igt_assert_eq(put(&reg, 0, PAGE), VRNIC_WC_REM_ACCESS_ERR);
	igt_assert_eq(get(&reg, 0, PAGE), VRNIC_WC_REM_ACCESS_ERR);

	igt_assert(map_at(p, SIZE, PROT_READ | PROT_WRITE) == p);
	igt_assert_eq(mincore(p, SIZE, there), 0);
	igt_assert(!there[0] && !there[1]);
	/* A page that was never touched is zeroes; only that one is made. */
	memset(far, 0x5a, PAGE);
	igt_assert_eq(get(&reg, 0, PAGE), VRNIC_WC_SUCCESS);
	igt_assert(!far[0] && !memcmp(far, far + 1, PAGE - 1));
	igt_assert_eq(vrnic_query_mr(nic, reg.handle).segments, 1);
	igt_assert(agree(&reg, p, SIZE, 1));
	igt_assert_eq(vrnic_query_mr(nic, reg.handle).segments, SIZE / PAGE);

	munmap(p, SIZE);
	igt_assert_eq(vrnic_query_mr(nic, reg.handle).segments, 0);
	igt_assert_eq(put(&reg, 0, PAGE), VRNIC_WC_REM_ACCESS_ERR);
	vrnic_dereg_mr(nic, reg.handle);
}

static void *map_memfd(unsigned int flags, uint64_t size)
{
	int f = memfd_create("address", MFD_CLOEXEC | flags);
	void *p;

	igt_assert_fd(f);
	igt_assert_eq(ftruncate(f, size), 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	close(f);
	return p;
}

static void *map_anonymous(void)
{
	return map_at(NULL, MIB(2), PROT_READ | PROT_WRITE);
}

static void *map_huge(void)
{
	uint8_t *p = map_at(NULL, MIB(4), PROT_READ | PROT_WRITE);

	p = (uint8_t *)(((uintptr_t)p + MIB(2) - 1) & ~(uintptr_t)(MIB(2) - 1));
	igt_assert_eq(madvise(p, MIB(2), MADV_HUGEPAGE), 0);
	memset(p, 1, MIB(2));
	return p;
}

static void *map_shared(void)
{
	return map_memfd(0, MIB(2));
}

/* Of a file that others have as it is: what is written is the process's own. */
static void *map_private_file(void)
{
	int f = open("/proc/self/exe", O_RDONLY);
	void *p = mmap(NULL, MIB(2), PROT_READ | PROT_WRITE, MAP_PRIVATE, f, 0);

	close(f);
	return p;
}

static void *map_tmpfs(void)
{
	int f = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	void *p;

	igt_assert_fd(f);
	igt_assert_eq(ftruncate(f, MIB(2)), 0);
	p = mmap(NULL, MIB(2), PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	close(f);
	return p;
}

/* How many there are; a kernel need not know them. */
static void make_hugetlb_pages(const char *nr)
{
	if (!access("/proc/sys/vm/nr_hugepages", W_OK))
		__debugfs_write("/proc/sys/vm/nr_hugepages", nr);
}

static void *map_hugetlb(void)
{
	make_hugetlb_pages("2");
	return mmap(NULL, MIB(2), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
}

static void test_kinds(void)
{
	static const struct {
		const char *name;
		void *(*map)(void);
		uint64_t size;
		/* A kernel need not have it. */
		bool optional;
	} kinds[] = {
		{ "anonymous", map_anonymous, MIB(2), false },
		{ "huge", map_huge, MIB(2), false },
		{ "shared", map_shared, MIB(2), false },
		{ "private file", map_private_file, KIB(16), false },
		{ "file", map_tmpfs, MIB(2), false },
		{ "hugetlb", map_hugetlb, MIB(2), true },
	};
	struct vrnic_reg_mr reg;
	unsigned int i;
	uint8_t *p;

	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		p = kinds[i].map();
		if (p == MAP_FAILED && kinds[i].optional) {
			igt_info("no %s here\n", kinds[i].name);
			continue;
		}
		igt_assert(p != MAP_FAILED);
		reg = reg_by_address(p, kinds[i].size);
		igt_assert_f(agree(&reg, p, kinds[i].size, i), "%s: wrong bytes\n", kinds[i].name);
		igt_assert_eq(vrnic_query_mr(nic, reg.handle).counters.dma_faults, 0);
		vrnic_dereg_mr(nic, reg.handle);
		munmap(p, kinds[i].size);
	}
	make_hugetlb_pages("0");
}

static void drop_pages(uint8_t *p)
{
	igt_assert_eq(madvise(p, SIZE, MADV_DONTNEED), 0);
}

static void map_over(uint8_t *p)
{
	igt_assert(map_at(p, SIZE, PROT_READ | PROT_WRITE) == p);
}

static void move_in(uint8_t *p)
{
	uint8_t *q = map_at(NULL, SIZE, PROT_READ | PROT_WRITE);

	memset(q, 7, SIZE);
	igt_assert(mremap(q, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p);
}

/* The child has the pages; who writes gets copies. */
static void write_after_fork(uint8_t *p)
{
	int go[2];
	pid_t pid;
	char c;

	igt_assert_eq(pipe(go), 0);
	pid = fork();
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], &c, 1) < 0);
	}
	for (unsigned int i = 0; i < SIZE; i += PAGE)
		p[i]++;
	close(go[0]);
	close(go[1]);
	igt_assert_eq(waitpid(pid, NULL, 0), pid);
}

/* A region that pins, as the control: it has the pages of before, for ever. */
static void test_changes(void)
{
	static const struct {
		const char *name;
		void (*change)(uint8_t *p);
	} changes[] = {
		{ "madvise", drop_pages },
		{ "mmap", map_over },
		{ "mremap", move_in },
	};
	struct vrnic_reg_mr reg, pinned;
	unsigned int i;
	uint8_t *p;

	for (i = 0; i < ARRAY_LEN(changes); i++) {
		p = map_at(NULL, SIZE, PROT_READ | PROT_WRITE);
		reg = reg_by_address(p, SIZE);
		pinned = vrnic_reg_user(nic, p, SIZE);
		igt_assert(agree(&reg, p, SIZE, i) && agree(&pinned, p, SIZE, i));

		changes[i].change(p);
		igt_assert_f(agree(&reg, p, SIZE, i), "%s: wrong bytes\n", changes[i].name);
		igt_assert_lte(1, vrnic_query_mr(nic, reg.handle).counters.invalidations);
		igt_assert_f(!agree(&pinned, p, SIZE, i), "%s: nothing changed\n", changes[i].name);
		vrnic_dereg_mr(nic, pinned.handle);
		vrnic_dereg_mr(nic, reg.handle);
		munmap(p, SIZE);
	}

	p = map_at(NULL, SIZE, PROT_READ | PROT_WRITE);
	reg = reg_by_address(p, SIZE);
	igt_assert(agree(&reg, p, SIZE, 1));
	write_after_fork(p);
	igt_assert(agree(&reg, p, SIZE, 2));
	vrnic_dereg_mr(nic, reg.handle);
	munmap(p, SIZE);
}

static void test_boundaries(void)
{
	uint8_t *p = map_at(NULL, SIZE, PROT_READ | PROT_WRITE), *shared = map_memfd(0, PAGE);
	uint8_t *hole = p + 10 * PAGE, *fixed = p + 20 * PAGE;
	struct vrnic_reg_mr reg = reg_by_address(p, SIZE);
	unsigned int i;

	igt_assert(agree(&reg, p, SIZE, 1));
	munmap(hole, PAGE);
	igt_assert_eq(put(&reg, hole - p, 8), VRNIC_WC_REM_ACCESS_ERR);
	/* Also when it is only the last page of many. */
	igt_assert_eq(put(&reg, 0, 11 * PAGE), VRNIC_WC_REM_ACCESS_ERR);
	igt_assert_eq(get(&reg, hole - p - 8, 16), VRNIC_WC_REM_ACCESS_ERR);
	igt_assert_eq(put(&reg, 0, 10 * PAGE), VRNIC_WC_SUCCESS);
	igt_assert_eq(put(&reg, 11 * PAGE, 9 * PAGE), VRNIC_WC_SUCCESS);
	/* As a local range it is the requester's own mistake. */
	igt_assert_eq(finish(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &far_reg, 0, &reg, hole - p, 8)),
		      VRNIC_WC_LOC_PROT_ERR);

	igt_assert(mremap(shared, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, hole) == hole);
	igt_assert(agree(&reg, p, SIZE, 2));

	igt_assert_eq(mprotect(fixed, PAGE, PROT_READ), 0);
	memset(far, 0x5a, PAGE);
	igt_assert_eq(put(&reg, fixed - p, PAGE), VRNIC_WC_REM_ACCESS_ERR);
	igt_assert_eq(get(&reg, fixed - p, PAGE), VRNIC_WC_SUCCESS);
	igt_assert(!memcmp(far, fixed, PAGE));
	igt_assert_eq(put(&reg, fixed - p + PAGE, PAGE), VRNIC_WC_SUCCESS);
	for (i = 0; i < PAGE; i += 8)
		igt_assert_neq(fixed[i] + (fixed[i + 1] << 8), 0x5a5a);
	igt_assert_eq(mprotect(fixed, PAGE, PROT_NONE), 0);
	igt_assert_eq(get(&reg, fixed - p, PAGE), VRNIC_WC_REM_ACCESS_ERR);
	igt_assert_eq(mprotect(fixed, PAGE, PROT_READ | PROT_WRITE), 0);
	igt_assert(agree(&reg, p, SIZE, 3));

	vrnic_dereg_mr(nic, reg.handle);
	munmap(p, SIZE);
}

static void test_secret(void)
{
	uint8_t *p = map_at(NULL, SIZE, PROT_READ | PROT_WRITE);
	int f = syscall(SYS_memfd_secret, 0);
	struct vrnic_reg_mr reg;

	igt_require_f(f >= 0, "no memfd_secret()\n");
	igt_assert_eq(ftruncate(f, PAGE), 0);
	igt_assert(mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, f, 0) ==
		   p + PAGE);
	close(f);
	p[PAGE] = 1;
	reg = reg_by_address(p, SIZE);
	igt_assert_eq(get(&reg, PAGE, PAGE), VRNIC_WC_REM_ACCESS_ERR);
	igt_assert_eq(put(&reg, 0, 3 * PAGE), VRNIC_WC_REM_ACCESS_ERR);
	igt_assert_eq(p[PAGE], 1);
	igt_assert_eq(put(&reg, 2 * PAGE, PAGE), VRNIC_WC_SUCCESS);
	vrnic_dereg_mr(nic, reg.handle);
	munmap(p, SIZE);
}

/* What leaves the bytes as they are, but not where they are. */
struct changer {
	uint8_t *p;
	volatile bool stop;
	volatile int changes;
	pthread_t thread;
};

static void *change_all_the_time(void *arg)
{
	struct changer *c = arg;
	pid_t pid;

	while (!c->stop) {
		switch (c->changes % 4) {
		case 0:
			madvise(c->p, MIB(2), MADV_PAGEOUT);
			break;
		case 1:
			madvise(c->p, MIB(2), MADV_COLLAPSE);
			break;
		case 2:
			__debugfs_write("/proc/sys/vm/compact_memory", "1");
			break;
		case 3:
			pid = fork();
			if (!pid)
				_exit(0);
			waitpid(pid, NULL, 0);
			break;
		}
		c->changes++;
	}
	return NULL;
}

static void test_while_changing(void)
{
	const int changes = getenv("LONG") ? 200 : 50;
	uint8_t *p = map_huge();
	struct vrnic_reg_mr reg = reg_by_address(p, MIB(2));
	/* Stays when an assertion ends the test before the thread. */
	static struct changer changer;
	struct vrnic_counters counters;
	unsigned int n, at;

	changer = (struct changer) { .p = p };
	pattern_fill(p, MIB(2), 77);
	igt_assert_eq(pthread_create(&changer.thread, NULL, change_all_the_time, &changer), 0);
	for (n = 0; n < 200 || changer.changes < changes; n++) {
		/* Odd borders, over those of pages. */
		at = n % 32 * (KIB(60) + 8) & ~7u;
		pattern_fill(far, KIB(60), n);
		igt_assert_eq(put(&reg, at, KIB(60)), VRNIC_WC_SUCCESS);
		igt_assert_eq(pattern_find_bad(p + at, KIB(60), n, 1), -1);
		pattern_fill(p + at, KIB(60), n + 1);
		igt_assert_eq(get(&reg, at, KIB(60)), VRNIC_WC_SUCCESS);
		igt_assert_eq(pattern_find_bad(far, KIB(60), n + 1, 1), -1);
	}
	changer.stop = true;
	pthread_join(changer.thread, NULL);
	counters = vrnic_query_mr(nic, reg.handle).counters;
	igt_info("%u rounds, %d changes, %llu invalidations, %llu faults\n", n, changer.changes,
		 (unsigned long long)counters.invalidations, (unsigned long long)counters.faults);
	igt_assert_lte(changes / 2, counters.invalidations);
	igt_assert_eq_u64(counters.dma_faults, 0);
	vrnic_dereg_mr(nic, reg.handle);
	munmap(p, MIB(2));
}

static void need_pages(void)
{
	igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_PAGES,
		      "vvram was loaded without pages=1\n");
}

/* A device that has no way to VRAM hears of it: the bus resolves no address. */
static bool reaches(const struct vrnic_reg_mr *reg)
{
	uint32_t status = get(reg, 0, 8);

	if (status)
		igt_assert_eq(status, VRNIC_WC_DMA_FAULT);
	return !status;
}

static void test_while_moving(void)
{
	const int rounds = getenv("LONG") ? 1000 : 300;
	uint64_t stale = chaos_read(fd, "stale_writes"), faults = iommu_faults();
	struct vrnic_reg_mr reg;
	struct subject s;
	struct mover m;
	int n;

	need_pages();
	s = make_subject(fd, SIZE, VRAM);
	reg = reg_by_address(s.p, SIZE);
	igt_require_f(reaches(&reg), "the importer does not reach VRAM here\n");
	chaos_write(fd, "poison", "1");
	mover_start(&m, fd, s.handle);
	for (n = 0; n < rounds || mover_goes_on(&m, 0, rounds); n++) {
		pattern_fill(far, KIB(64), n);
		igt_assert_eq(put(&reg, n % 4 * KIB(64), KIB(64)), VRNIC_WC_SUCCESS);
		igt_assert_eq(pattern_find_bad(s.p + n % 4 * KIB(64), KIB(64), n, 1), -1);
		igt_assert_eq(get(&reg, n % 4 * KIB(64), KIB(64)), VRNIC_WC_SUCCESS);
		igt_assert_eq(pattern_find_bad(far, KIB(64), n, 1), -1);
	}
	mover_stop(&m);
	chaos_write(fd, "poison", "0");
	igt_info("%d rounds, %d moves\n", n, m.moves);
	pattern_check(far, KIB(64), n - 1);
	igt_assert_eq_u64(chaos_read(fd, "stale_writes"), stale);
	igt_assert_eq_u64(iommu_faults(), faults);
	igt_assert_eq_u64(vvram_info(fd, s.handle).held_pages, 0);
	vrnic_dereg_mr(nic, reg.handle);
	free_subject(&s);
}

/* Memory, a file, the buffer, and memory again, without a gap. */
static void test_mixed(void)
{
	const uint64_t part = KIB(64), size = 4 * part;
	struct vrnic_reg_mr reg;
	struct subject s;
	struct mover m;
	uint8_t *p;
	int n, f;

	need_pages();
	s = make_subject(fd, part, VRAM);
	p = map_at(NULL, size, PROT_READ | PROT_WRITE);
	f = memfd_create("mixed", MFD_CLOEXEC);
	igt_assert_eq(ftruncate(f, part), 0);
	igt_assert(mmap(p + part, part, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, f, 0) ==
		   p + part);
	close(f);
	igt_assert(mmap(p + 2 * part, part, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			s.dmabuf, 0) == p + 2 * part);

	reg = reg_by_address(p + 2 * part, part);
	igt_require_f(reaches(&reg), "the importer does not reach VRAM here\n");
	vrnic_dereg_mr(nic, reg.handle);
	reg = reg_by_address(p, size);
	mover_start(&m, fd, s.handle);
	for (n = 0; n < 100 || mover_goes_on(&m, 0, 100); n++)
		igt_assert(agree(&reg, p, size, n));
	mover_stop(&m);

	/* The border of the buffer's mapping moves: a page more is memory. */
	igt_assert(map_at(p + 2 * part, PAGE, PROT_READ | PROT_WRITE) == p + 2 * part);
	mover_start(&m, fd, s.handle);
	for (n = 0; n < 50 || mover_goes_on(&m, 0, 50); n++)
		igt_assert(agree(&reg, p, size, n));
	mover_stop(&m);
	igt_assert_eq(memcmp(p + 2 * part + PAGE, s.p + PAGE, part - PAGE), 0);
	igt_assert_neq(memcmp(p + 2 * part, s.p, PAGE), 0);
	vrnic_dereg_mr(nic, reg.handle);
	munmap(p, size);
	free_subject(&s);
}

static void test_same_region(void)
{
	uint8_t *p = map_at(NULL, SIZE, PROT_READ | PROT_WRITE);
	struct vrnic_reg_mr reg = reg_by_address(p, SIZE);
	struct vrnic_sge sge = { .addr = 64, .length = 8, .lkey = reg.lkey };
	struct vrnic_wr add = {
		.opcode = VRNIC_OP_FETCH_ADD, .remote_addr = 8, .rkey = reg.rkey, .operand = 3,
		.num_sge = 1, .sge = (uintptr_t)&sge,
	};
	uint64_t *count = (uint64_t *)p;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		pattern_fill(p, SIZE / 2, i);
		igt_assert_eq(finish(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &reg, SIZE / 2, &reg, 0,
						SIZE / 2)), VRNIC_WC_SUCCESS);
		igt_assert_eq(pattern_find_bad(p + SIZE / 2, SIZE / 2, i, 1), -1);
		igt_assert_eq(madvise(p + SIZE / 2, SIZE / 2, MADV_DONTNEED), 0);
	}
	for (i = 0; i < 20; i++) {
		count[1] = 40 + i;
		igt_assert_eq(vrnic_do(nic, queue, &add).status, VRNIC_WC_SUCCESS);
		igt_assert_eq_u64(count[1], 43 + i);
		igt_assert_eq_u64(count[8], 40 + i);
		madvise(p, PAGE, MADV_DONTNEED);
	}
	vrnic_dereg_mr(nic, reg.handle);
	munmap(p, SIZE);
}

static int advise(uint32_t handle, uint32_t advice, uint32_t flags)
{
	struct vrnic_advise_mr arg = { .handle = handle, .advice = advice, .flags = flags };

	return do_call(nic, VRNIC_IOC_ADVISE_MR, &arg);
}

static void test_prefetch(void)
{
	uint8_t *p = map_at(NULL, SIZE, PROT_READ | PROT_WRITE);
	struct vrnic_reg_mr reg = reg_by_address(p, SIZE), read_only = {
		.flags = VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS, .fd = -1,
		.addr = (uintptr_t)p, .length = SIZE,
	};
	uint64_t faults;

	igt_assert_eq(advise(reg.handle, VRNIC_ADVISE_PREFETCH_WRITE, VRNIC_ADVISE_FLUSH), 0);
	igt_assert_eq(vrnic_query_mr(nic, reg.handle).segments, SIZE / PAGE);
	faults = vrnic_query_mr(nic, reg.handle).counters.faults;
	igt_assert(agree(&reg, p, SIZE, 1));
	igt_assert_eq_u64(vrnic_query_mr(nic, reg.handle).counters.faults, faults);

	igt_assert_eq(mprotect(p, PAGE, PROT_READ), 0);
	igt_assert_eq(advise(reg.handle, VRNIC_ADVISE_PREFETCH, VRNIC_ADVISE_FLUSH), 0);
	igt_assert_eq(advise(reg.handle, VRNIC_ADVISE_PREFETCH_WRITE, VRNIC_ADVISE_FLUSH), -EACCES);
	igt_assert_eq(advise(reg.handle, VRNIC_ADVISE_PREFETCH_WRITE, 0), 0);
	munmap(p, SIZE);
	igt_assert_eq(advise(reg.handle, VRNIC_ADVISE_PREFETCH, VRNIC_ADVISE_FLUSH), -EACCES);

	igt_assert_eq(__vrnic_reg_mr(nic, &read_only), 0);
	igt_assert_eq(advise(read_only.handle, VRNIC_ADVISE_PREFETCH_WRITE, 0), -EACCES);
	vrnic_dereg_mr(nic, read_only.handle);
	vrnic_dereg_mr(nic, reg.handle);
}

/* The child shares the file: its region is one of this process's as well, but not its memory. */
static void test_owner_gone(void)
{
	uint8_t *p = map_at(NULL, SIZE, PROT_READ | PROT_WRITE);
	/* Its queue and its far end are this process's as well. */
	struct vrnic_reg_mr *reg = map_memfd(0, PAGE);
	int status;
	pid_t pid;

	memset(p, 1, SIZE);
	pid = fork();
	if (!pid) {
		memset(p, 2, SIZE);
		_exit(__reg_by_address(nic, p, SIZE, reg) || get(reg, 0, SIZE) || far[0] != 2);
	}
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq(get(reg, 0, PAGE), VRNIC_WC_REM_ACCESS_ERR);
	igt_assert_eq(put(reg, 0, PAGE), VRNIC_WC_REM_ACCESS_ERR);
	igt_assert(p[0] == 1 && p[SIZE - 1] == 1);
	igt_assert_eq(vrnic_query_mr(nic, reg->handle).segments, 0);
	vrnic_dereg_mr(nic, reg->handle);
	munmap(reg, PAGE);
	munmap(p, SIZE);
}

struct freed {
	void *p;
	uint64_t size;
	pthread_barrier_t at_once;
};

static void *free_memory(void *arg)
{
	struct freed *f = arg;

	pthread_barrier_wait(&f->at_once);
	munmap(f->p, f->size);
	return NULL;
}

static void test_ended_while_freed(int rounds)
{
	static struct freed f = { .size = MIB(32) };
	struct vrnic_reg_mr reg;
	pthread_t thread;

	pthread_barrier_init(&f.at_once, NULL, 2);
	while (rounds--) {
		f.p = map_at(NULL, f.size, PROT_READ | PROT_WRITE);
		reg = reg_by_address(f.p, f.size);
		igt_assert_eq(advise(reg.handle, VRNIC_ADVISE_PREFETCH_WRITE, VRNIC_ADVISE_FLUSH), 0);
		igt_assert_eq(pthread_create(&thread, NULL, free_memory, &f), 0);
		pthread_barrier_wait(&f.at_once);
		vrnic_dereg_mr(nic, reg.handle);
		pthread_join(thread, NULL);
	}
	pthread_barrier_destroy(&f.at_once);
}

static void be_killed(void)
{
	uint8_t *p = map_at(NULL, MIB(16), PROT_READ | PROT_WRITE);
	int mine = vrnic_open();
	uint32_t own = vrnic_create_queue(mine, 4);
	struct vrnic_reg_mr reg;

	igt_assert_eq(__reg_by_address(mine, p, MIB(16), &reg), 0);
	for (;;) {
		vrnic_copy(mine, own, VRNIC_OP_WRITE, &reg, 0, &reg, MIB(8), MIB(8));
		madvise(p, MIB(16), MADV_DONTNEED);
	}
}

static void test_killed(void)
{
	vrnic_dereg_mr(nic, far_reg.handle);
	vrnic_kill_clients(nic, be_killed, 2000);
	far_reg = vrnic_reg_user(nic, far, MIB(2));
}

static void test_bad_arguments(void)
{
	uint64_t p = (uintptr_t)far;
	const struct {
		struct vrnic_reg_mr reg;
		int ret;
	} table[] = {
		{ { .flags = VRNIC_REG_MR_BY_ADDRESS, .fd = -1, .addr = p, .length = PAGE }, -EINVAL },
		{ { .flags = VRNIC_REG_MR_BY_ADDRESS, .fd = -1, .length = PAGE }, -EINVAL },
		{ { .flags = VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS, .fd = -1, .addr = p }, -EINVAL },
		{ { .flags = VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS, .fd = -1, .addr = p,
		    .length = PAGE, .mode = VRNIC_MR_EAGER }, -EINVAL },
		{ { .flags = VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS, .fd = -1, .addr = p,
		    .length = PAGE, .offset = 1 }, -EINVAL },
		{ { .flags = VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS, .fd = 0, .addr = p,
		    .length = PAGE }, -EINVAL },
		{ { .flags = VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS |
			     VRNIC_REG_MR_NO_PEER2PEER, .fd = -1, .addr = p, .length = PAGE }, -EINVAL },
		{ { .flags = VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS, .fd = -1, .addr = p,
		    .length = -p }, -EINVAL },
		{ { .flags = VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS, .fd = -1,
		    .addr = 1ULL << 62, .length = PAGE }, -EFAULT },
		{ { .flags = VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS, .fd = -1, .addr = PAGE,
		    .length = (1ULL << 47) - 2 * PAGE - 1 }, -ENOMEM },
		{ { .flags = VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS, .fd = -1, .addr = p + 5,
		    .length = 13 }, 0 },
	};
	struct vrnic_reg_mr reg;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(table); i++) {
		reg = table[i].reg;
		igt_assert_f(__vrnic_reg_mr(nic, &reg) == table[i].ret, "row %u\n", i);
	}
	igt_assert_eq(put(&reg, 0, 13), VRNIC_WC_REM_ACCESS_ERR);
	vrnic_dereg_mr(nic, reg.handle);
}

static void test_limit(void)
{
	igt_fork(child, 1) {
		struct rlimit limit = { .rlim_cur = KIB(64), .rlim_max = KIB(64) };
		uint8_t *p = map_at(NULL, MIB(64), PROT_READ | PROT_WRITE);
		int mine = vrnic_open();
		struct vrnic_reg_mr reg;

		igt_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
		igt_assert_eq(setuid(65534), 0);
		igt_assert_eq(__reg_by_address(mine, p, MIB(64), &reg), -ENOMEM);
		igt_assert_eq(__reg_by_address(mine, p, MIB(16), &reg), 0);
		igt_assert_eq(__reg_by_address(mine, p, PAGE, &reg), -ENOMEM);
	}
	igt_waitchildren();
	igt_assert_eq(vrnic_query(nic).mrs, 1);
}

igt_main
{
	igt_fixture {
		struct vrnic_reg_mr reg;
		int ret;

		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		queue = vrnic_create_queue(nic, 16);
		/* A device that does not reach all memory itself has none of these regions. */
		far = map_memfd(0, MIB(2));
		ret = __reg_by_address(nic, far, PAGE, &reg);
		igt_require_f(ret != -EOPNOTSUPP, "no regions by address here\n");
		igt_assert_eq(ret, 0);
		vrnic_dereg_mr(nic, reg.handle);
		far_reg = vrnic_reg_user(nic, far, MIB(2));
	}

	igt_describe("A region needs nothing behind it, and keeps nothing there.");
	igt_subtest("nothing-there")
		test_nothing_there();
	igt_describe("Whatever has pages can be used.");
	igt_subtest("kinds")
		test_kinds();
	igt_describe("It is the memory of now that is used.");
	igt_subtest("changes")
		test_changes();
	igt_describe("Pages that are there go on beside those that are not.");
	igt_subtest("boundaries")
		test_boundaries();
	igt_describe("Nobody gets at memory by a device that he may not have by himself.");
	igt_subtest("secret")
		test_secret();
	igt_describe("The kernel may do with the pages what it wants.");
	igt_subtest("while-changing")
		test_while_changing();
	igt_describe("VRAM by pointer moves, and nothing is lost.");
	igt_subtest("while-moving")
		test_while_moving();
	igt_describe("Memory of several kinds in a row is one region.");
	igt_subtest("mixed")
		test_mixed();
	igt_describe("Both ends may need pages at once.");
	igt_subtest("same-region")
		test_same_region();
	igt_describe("Pages can be had ahead of their use.");
	igt_subtest("prefetch")
		test_prefetch();
	igt_describe("An address is one of the address space that it was registered in.");
	igt_subtest("owner-gone")
		test_owner_gone();
	igt_describe("Pages are not touched once they are not the process's.");
	igt_subtest("ended-while-freed")
		test_ended_while_freed(30);
	igt_describe("Nothing is left of who is killed.");
	igt_subtest("killed")
		test_killed();
	igt_describe("Nonsense is refused.");
	igt_subtest("bad-arguments")
		test_bad_arguments();
	igt_describe("What is kept for a region counts, what is not does not.");
	igt_subtest("limit")
		test_limit();

	igt_fixture {
		vrnic_dereg_mr(nic, far_reg.handle);
		close(nic);
		drm_close_driver(fd);
	}
}
