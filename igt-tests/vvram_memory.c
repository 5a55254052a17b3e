// SPDX-License-Identifier: MIT
/**
 * TEST: vvram memory
 * Category: Core
 * Description: More buffers than there is room for: eviction, swap, limits.
 *
 * SUBTEST: evict-4x
 * Description: Four times VRAM's size in use; importers are told of evictions.
 * SUBTEST: evict-lru
 * Description: What was used last stays in VRAM longest.
 * SUBTEST: swap
 * Description: Under memory pressure an idle buffer goes to swap, its importer is
 *	told, and it comes back with its bytes.
 * SUBTEST: pinned-stays
 * Description: A pinned buffer is not swapped out.
 * SUBTEST: half-of-memory
 * Description: Two buffers of more than half of the memory that is left each, in turn.
 * SUBTEST: too-large
 * Description: What can not be placed is refused and nothing is lost.
 * SUBTEST: cgroup
 * Description: VRAM is a region of the dmem cgroup, and its limit holds.
 */

#include <sys/stat.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("More buffers than there is room for.");

static int fd = -1, nic = -1;
static bool dynamic, reaches;

static void test_evict_4x(void)
{
	const uint64_t size = vvram_query(fd).vram_size / 8;
	struct shared s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	struct vrnic_advise_mr advise = { .handle = s.reg.handle, .flags = VRNIC_ADVISE_FLUSH };
	uint64_t evictions = vvram_query(fd).evictions;
	uint32_t handles[32];
	void *p[32];
	int i;

	pattern_fill(s.p, s.size, 6);
	igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), 0);
	for (i = 0; i < 32; i++) {
		handles[i] = vvram_create(fd, size, VRAM);
		p[i] = vvram_mmap(fd, handles[i], size);
		pattern_fill(p[i], KIB(4), i);
	}
	if (dynamic && reaches) {
		igt_assert_neq(vvram_info(fd, s.handle).placement, VRAM);
		igt_assert_lte(1, vrnic_query_mr(nic, s.reg.handle).counters.invalidations);
	}
	igt_assert_lte(24, vvram_query(fd).evictions - evictions);
	for (i = 0; i < 32; i++) {
		if (i % 4 == 0)
			vvram_move(fd, handles[i], VRAM);
		pattern_check(p[i], KIB(4), i);
	}
	pattern_check(s.p, s.size, 6);
	for (i = 0; i < 32; i++) {
		munmap(p[i], size);
		gem_close(fd, handles[i]);
	}
	unshare_buffer(fd, nic, &s);
}

static void test_evict_lru(void)
{
	const uint64_t size = vvram_query(fd).vram_size / 4;
	uint32_t handles[4], more;
	int i;

	vvram_wait_unused(fd);
	for (i = 0; i < 4; i++)
		handles[i] = vvram_create(fd, size - MIB(1), VRAM);
	/* Used again, the first one is the youngest. */
	vvram_move(fd, handles[0], SYSTEM);
	vvram_move(fd, handles[0], VRAM);

	more = vvram_create(fd, size - MIB(1), VRAM);
	igt_assert_neq(vvram_info(fd, handles[1]).placement, VRAM);
	igt_assert_eq(vvram_info(fd, handles[0]).placement, VRAM);
	igt_assert_eq(vvram_info(fd, handles[3]).placement, VRAM);

	gem_close(fd, more);
	for (i = 0; i < 4; i++)
		gem_close(fd, handles[i]);
}

/* A figure of /proc/meminfo, bytes. */
static uint64_t meminfo(const char *key)
{
	const char *at = strstr(read_file("/proc/meminfo"), key);

	igt_assert(at);
	return strtoull(at + strlen(key) + 1, NULL, 10) << 10;
}

static void test_swap(void)
{
	struct vrnic_advise_mr advise = { .flags = VRNIC_ADVISE_FLUSH };
	uint64_t swapouts = vvram_query(fd).swapouts, told;
	struct shared s;
	int i;

	igt_require_f(meminfo("SwapTotal:"), "no swap\n");
	vvram_wait_unused(fd);
	s = share_buffer(fd, nic, KIB(256), VRNIC_MR_ON_DEMAND, 0);
	pattern_fill(s.p, s.size, 7);
	vvram_move(fd, s.handle, SYSTEM);
	if (dynamic) {
		advise.handle = s.reg.handle;
		igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), 0);
	}
	told = vrnic_query_mr(nic, s.reg.handle).counters.invalidations;
	for (i = 0; i < 50 && vvram_info(fd, s.handle).placement == SYSTEM; i++)
		press_memory();
	igt_assert_lt(swapouts, vvram_query(fd).swapouts);
	igt_assert_eq(vvram_info(fd, s.handle).placement, DRM_VVRAM_PLACEMENT_SWAP);
	if (dynamic)
		igt_assert_eq_u64(vrnic_query_mr(nic, s.reg.handle).counters.invalidations, told + 1);

	/* Back by a use of the importer's, and once more by a move to VRAM. */
	if (dynamic) {
		advise.flags = VRNIC_ADVISE_FLUSH;
		igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), 0);
		igt_assert_neq(vvram_info(fd, s.handle).placement, DRM_VVRAM_PLACEMENT_SWAP);
		pattern_check(s.p, s.size, 7);
	}
	vvram_move(fd, s.handle, VRAM);
	igt_assert_eq(vvram_info(fd, s.handle).placement, VRAM);
	pattern_check(s.p, s.size, 7);
	unshare_buffer(fd, nic, &s);
}

static void test_pinned_stays(void)
{
	struct shared s;
	int i;

	igt_require_f(meminfo("SwapTotal:"), "no swap\n");
	s = share_buffer(fd, nic, KIB(256), VRNIC_MR_STATIC, 0);
	pattern_fill(s.p, s.size, 9);
	for (i = 0; i < 5; i++)
		press_memory();
	igt_assert_eq(vvram_info(fd, s.handle).placement, SYSTEM);
	pattern_check(s.p, s.size, 9);
	unshare_buffer(fd, nic, &s);
}

/* One word in each MiB, so that the test's own time is not all there is. */
static void stamp(uint64_t *p, uint64_t size, uint64_t seed)
{
	for (uint64_t i = 0; i < size; i += MIB(1))
		p[i / 8] = i ^ seed << 48;
}

static void check_stamps(const volatile uint64_t *p, uint64_t size, uint64_t seed)
{
	for (uint64_t i = 0; i < size; i += MIB(1))
		igt_assert_eq_u64(p[i / 8], i ^ seed << 48);
}

#define TTM_LIMIT	"/sys/module/ttm/parameters/pages_limit"

/* A machine that has no more memory than that free; to take the time of no larger one. */
static struct {
	void *taken;
	uint64_t size;
	char limit[32];
} small;

static void small_machine_make(uint64_t left, uint64_t ttm_limit)
{
	char limit[32];

	igt_assert_eq(__debugfs_write("/proc/sys/vm/drop_caches", "1"), 0);
	igt_require_f(meminfo("MemAvailable:") > left + MIB(2), "too little memory\n");
	snprintf(small.limit, sizeof(small.limit), "%s", read_file(TTM_LIMIT));
	small.size = meminfo("MemAvailable:") - left;
	small.taken = alloc_pages(small.size);
	madvise(small.taken, small.size, MADV_HUGEPAGE);
	igt_assert_eq(mlock(small.taken, small.size), 0);

	/* Where TTM swaps by a limit of its own, that is half of the machine's memory. */
	snprintf(limit, sizeof(limit), "%llu", (unsigned long long)ttm_limit / 4096);
	igt_assert_eq(__debugfs_write(TTM_LIMIT, limit), 0);
}

static void small_machine_end(void)
{
	if (!small.taken)
		return;
	__debugfs_write(TTM_LIMIT, small.limit);
	munmap(small.taken, small.size);
	small.taken = NULL;
}

static void test_half_of_memory(void)
{
	const uint64_t left = MIB(288), size = MIB(160);
	uint64_t swapouts = vvram_query(fd).swapouts;
	uint32_t handles[2];
	uint64_t *p[2];
	int i;

	igt_require_f(meminfo("SwapFree:") >= size, "too little swap\n");
	small_machine_make(left, size);
	for (i = 0; i < 2; i++) {
		handles[i] = vvram_create(fd, size, SYSTEM);
		p[i] = vvram_mmap(fd, handles[i], size);
		stamp(p[i], size, i + 1);
	}
	for (i = 0; i < 2; i++)
		check_stamps(p[i], size, i + 1);
	/*
	 * Both at once do not fit. A swap-out is counted when it is over, and it gives
	 * pages to others before; who looks at the buffer's bytes has waited for it.
	 */
	igt_assert_lt(swapouts, vvram_query(fd).swapouts);
	for (i = 0; i < 2; i++) {
		munmap(p[i], size);
		gem_close(fd, handles[i]);
	}
	small_machine_end();
}

static void test_too_large(void)
{
	uint64_t vram = vvram_query(fd).vram_size;
	uint32_t handle, big;
	void *p;

	igt_assert_eq(__vvram_create(fd, vram + 4096, VRAM, 0, &handle), -ENOSPC);
	handle = vvram_create(fd, KIB(64), VRAM);
	p = vvram_mmap(fd, handle, KIB(64));
	pattern_fill(p, KIB(64), 8);
	big = vvram_create(fd, vram, VRAM);
	pattern_check(p, KIB(64), 8);
	igt_assert_eq(vvram_info(fd, handle).placement, SYSTEM);
	gem_close(fd, big);

	/* Larger than VRAM is fine in system memory, but can't move. */
	big = vvram_create(fd, vram + MIB(4), SYSTEM);
	igt_assert_lt(__vvram_move(fd, big, VRAM), 0);
	igt_assert_eq(vvram_info(fd, big).placement, SYSTEM);
	gem_close(fd, big);
	munmap(p, KIB(64));
	gem_close(fd, handle);
}

/* Line of a file in a cgroup that is about vvram's VRAM: its name. */
static bool cgroup_region(char *name, size_t size)
{
	static const char capacity[] = "/sys/fs/cgroup/dmem.capacity";
	char *line;

	if (access(capacity, R_OK))
		return false;
	for (line = strtok(read_file(capacity), "\n"); line; line = strtok(NULL, "\n")) {
		if (!strstr(line, "vram"))
			continue;
		snprintf(name, size, "%s", strtok(line, " "));
		return true;
	}
	return false;
}

static void test_cgroup(void)
{
	static const char dir[] = "/sys/fs/cgroup/movable";
	char region[128], text[200];
	uint32_t handle, more;
	int child_fd;

	igt_require_f(cgroup_region(region, sizeof(region)), "the kernel has no dmem cgroup\n");
	igt_assert_eq(__debugfs_write("/sys/fs/cgroup/cgroup.subtree_control", "+dmem"), 0);
	igt_assert(!mkdir(dir, 0755) || errno == EEXIST);
	snprintf(text, sizeof(text), "%s %llu", region, (unsigned long long)MIB(2));
	igt_assert_eq(__debugfs_write("/sys/fs/cgroup/movable/dmem.max", text), 0);

	igt_fork(child, 1) {
		igt_assert_eq(__debugfs_write("/sys/fs/cgroup/movable/cgroup.procs", "0"), 0);
		child_fd = drm_open_driver(DRIVER_ANY);
		handle = vvram_create(child_fd, MIB(2), VRAM);
		snprintf(text, sizeof(text), "%s %llu", region, (unsigned long long)MIB(2));
		igt_assert(strstr(read_file("/sys/fs/cgroup/movable/dmem.current"), text));
		/* The next one takes the place of the first: the limit is the group's. */
		more = vvram_create(child_fd, MIB(1), VRAM);
		igt_assert_eq(vvram_info(child_fd, handle).placement, SYSTEM);
		igt_assert_eq(vvram_info(child_fd, more).placement, VRAM);
		igt_assert_lt(__vvram_create(child_fd, MIB(3), VRAM, 0, &more), 0);
		drm_close_driver(child_fd);
	}
	igt_waitchildren();

	/* Outside the group there is no limit. */
	handle = vvram_create(fd, MIB(8), VRAM);
	igt_assert_eq(vvram_info(fd, handle).placement, VRAM);
	gem_close(fd, handle);
	rmdir(dir);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		dynamic = vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC;
		reaches = vrnic_reaches_vram(fd, nic);
		vvram_wait_unused(fd);
	}

	igt_describe("VRAM is overcommitted, and nothing is lost.");
	igt_subtest("evict-4x")
		test_evict_4x();
	igt_describe("The least recently used buffer leaves first.");
	igt_subtest("evict-lru")
		test_evict_lru();
	igt_describe("From system memory to swap and back.");
	igt_subtest("swap")
		test_swap();
	igt_describe("Whom an importer has pinned the kernel can not swap out.");
	igt_subtest("pinned-stays")
		test_pinned_stays();
	igt_describe("System memory is overcommitted, and nothing is lost.");
	igt_subtest("half-of-memory")
		test_half_of_memory();
	igt_describe("ENOSPC, and all else stays.");
	igt_subtest("too-large")
		test_too_large();
	igt_describe("A group gets as much VRAM as it may have.");
	igt_subtest("cgroup")
		test_cgroup();

	igt_fixture {
		small_machine_end();
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
	}
}
