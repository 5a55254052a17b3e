// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic strict
 * Category: Core
 * Description: vrnic catches exporters that break the rules, and vvram importers.
 *
 * SUBTEST: honest-exporter
 * Description: The control: an exporter that keeps the rules is not blamed.
 * SUBTEST: exporter-%s
 * Description: A breach is counted, told by ioctl, and logged once with the
 *	exporter's name, the rule and its document.
 * SUBTEST: exporter-moved-pinned
 * Description: Nor is one of a pinned buffer, whether it is told of or not.
 * SUBTEST: callbacks
 * Description: How long exporters take to map and to unmap is told.
 * SUBTEST: exporter-moved-in-use
 * Description: A move without a notification is found in a region that is only used, while it
 *	is there and when it ends.
 * SUBTEST: exporter-in-turn
 * Description: A buffer that can't be mapped for two regions at once fails the request.
 * SUBTEST: exporter-lost
 * Description: Bytes that did not arrive are not read: the request fails, each time.
 * SUBTEST: exporter-lost-device
 * Description: The same of a device that is gone; the region ends with it.
 * SUBTEST: importer-late-unmap
 * Description: The exporter waits for an importer that unmaps late.
 * SUBTEST: importer-never-unmap
 * Description: It waits for as long as the importer does not unmap at all.
 * SUBTEST: importer-unlocked-map
 * Description: A map without the reservation is refused and counted.
 * SUBTEST: vmap
 * Description: A kernel mapping pins the buffer, and tells what it is made of.
 */

#include <signal.h>
#include <sys/wait.h>

#include "movable.h"
#include "modules/rogue.h"

IGT_TEST_DESCRIPTION("Who breaks the rules is caught.");

static int fd = -1, nic = -1, rogue = -1;
static bool dynamic;

static struct vrnic_reg_mr rogue_region_of(uint32_t fault, uint32_t mode)
{
	struct rogue_export export = { .size = KIB(32), .fault = fault };

	igt_assert_eq(do_call(rogue, ROGUE_IOC_EXPORT, &export), 0);
	return vrnic_reg_dma_buf(nic, export.fd, mode, export.size);
}

static struct vrnic_reg_mr rogue_region(uint32_t fault)
{
	return rogue_region_of(fault, VRNIC_MR_ON_DEMAND);
}

static int advise(const struct vrnic_reg_mr *reg)
{
	struct vrnic_advise_mr advise = { .handle = reg->handle, .flags = VRNIC_ADVISE_FLUSH };

	return do_call(nic, VRNIC_IOC_ADVISE_MR, &advise);
}

static uint64_t violations(const struct vrnic_reg_mr *reg, uint32_t *last)
{
	struct vrnic_query_mr mr = vrnic_query_mr(nic, reg->handle);

	*last = mr.last_violation;
	return mr.counters.violations;
}

static void notify(const struct vrnic_reg_mr *reg)
{
	int32_t dmabuf = reg->fd;

	igt_assert_eq(do_call(rogue, ROGUE_IOC_NOTIFY, &dmabuf), 0);
}

static void free_region(struct vrnic_reg_mr *reg)
{
	vrnic_dereg_mr(nic, reg->handle);
	close(reg->fd);
}

static void test_honest(void)
{
	struct vrnic_reg_mr reg = rogue_region(ROGUE_NONE);
	uint32_t last;

	igt_assert_eq(advise(&reg), 0);
	igt_assert_eq(advise(&reg), 0);
	if (dynamic) {
		notify(&reg);
		igt_assert_eq(vrnic_query_mr(nic, reg.handle).state & VRNIC_MR_STATE_MAPPED, 0);
		igt_assert_eq(advise(&reg), 0);
	}
	igt_assert_eq_u64(violations(&reg, &last), 0);
	igt_assert_eq(last, VRNIC_VIOLATION_NONE);
	free_region(&reg);
}

static void set_fence_timeout(const char *seconds)
{
	igt_assert_eq(__debugfs_write("/sys/module/vrnic/parameters/fence_timeout", seconds), 0);
}

static void check_told(const char *rule)
{
	char pattern[200];

	snprintf(pattern, sizeof(pattern),
		 "exporter rogue breaks the dma-buf contract: [a-z-]*: %s .inode [0-9]*; driver-api/dma-buf.rst",
		 rule);
	igt_assert_eq(count_in_dmesg(pattern), 1);
}

static uint64_t vrnic_parameter(const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "/sys/module/vrnic/parameters/%s", name);
	return strtoull(read_file(path), NULL, 10);
}

static bool is_translated(void)
{
	char path[200];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group/type", vrnic_query(nic).device);
	return !access(path, F_OK) && !strncmp(read_file(path), "DMA", 3);
}

/* Where a breach can be made, and would be seen. */
static void require_chance(uint32_t fault)
{
	igt_require_f(dynamic || (fault != ROGUE_LOCK && fault != ROGUE_MOVED &&
				  fault != ROGUE_TABLE), "this kernel pins mapped buffers\n");
	igt_require_f(fault != ROGUE_MASK || vrnic_parameter("dma_bits") < 64,
		      "the device has all addresses\n");
	igt_require_f(fault != ROGUE_SEGMENT || vrnic_parameter("max_segment") < KIB(32),
		      "the device takes segments of any length\n");
	igt_require_f(fault != ROGUE_RAW || is_translated(), "no IOMMU translates addresses\n");
	igt_require_f(fault != ROGUE_TABLE || vrnic_parameter("audit_ms"), "there are no audits\n");
}

static void test_exporter(uint32_t fault, uint32_t violation, const char *rule, int error)
{
	struct vrnic_reg_mr reg;
	uint32_t last;

	require_chance(fault);
	/* With a table of its own for the importer (CONFIG_DMABUF_DEBUG). */
	igt_require_f((fault != ROGUE_PAGES && fault != ROGUE_TABLE) || pages_are_shown(),
		      "this kernel hides all pages\n");
	breaches_on_purpose(true);
	reg = rogue_region(fault);
	if (fault == ROGUE_FENCE)
		set_fence_timeout("1");
	igt_assert_eq(advise(&reg), error);
	set_fence_timeout("60");
	if (fault == ROGUE_LOCK || fault == ROGUE_TABLE)
		notify(&reg);
	if (fault == ROGUE_MOVED)
		igt_assert_eq(advise(&reg), 0);

	igt_assert_lte(1, violations(&reg, &last));
	igt_assert_eq(last, violation);
	check_told(rule);
	free_region(&reg);
	breaches_on_purpose(false);
}

static void read_region(const struct vrnic_reg_mr *reg)
{
	uint32_t queue = vrnic_create_queue(nic, 4);
	uint8_t *local = alloc_pages(KIB(32));
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, KIB(32));

	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, reg, 0, &mem, 0, KIB(32)).status, 0);
	vrnic_destroy_queue(nic, queue);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, KIB(32));
}

/* Until there are so many, or an audit has had its time. */
static uint64_t wait_violations(const struct vrnic_reg_mr *reg, uint64_t many)
{
	uint64_t end = now_ms() + 3 * vrnic_parameter("audit_ms");
	uint32_t last;

	while (violations(reg, &last) < many && now_ms() < end)
		usleep(10000);
	return violations(reg, &last);
}

static void test_moved_in_use(void)
{
	uint64_t before;
	struct vrnic_reg_mr reg;

	igt_require_f(dynamic, "this kernel pins mapped buffers\n");
	igt_require_f(vrnic_parameter("audit_ms"), "there are no audits\n");
	/* The control. */
	reg = rogue_region(ROGUE_NONE);
	read_region(&reg);
	igt_assert_eq_u64(wait_violations(&reg, 1), 0);
	free_region(&reg);

	breaches_on_purpose(true);
	reg = rogue_region(ROGUE_MOVED);
	read_region(&reg);
	igt_assert_eq_u64(wait_violations(&reg, 1), 1);
	free_region(&reg);
	check_told("the buffer changed its place without a notification");

	before = vrnic_query(nic).counters.violations;
	reg = rogue_region(ROGUE_MOVED);
	read_region(&reg);
	free_region(&reg);
	igt_assert_eq_u64(vrnic_query(nic).counters.violations, before + 1);
	breaches_on_purpose(false);
}

static void test_moved_pinned(void)
{
	struct vrnic_reg_mr reg;
	uint64_t before;

	igt_require_f(vrnic_parameter("audit_ms"), "there are no audits\n");
	/* The control: used, and then taken away for good. */
	before = vrnic_query(nic).counters.violations;
	reg = rogue_region_of(ROGUE_NONE, VRNIC_MR_PINNED);
	read_region(&reg);
	notify(&reg);
	igt_assert_eq(vrnic_query_mr(nic, reg.handle).state, VRNIC_MR_STATE_REVOKED);
	free_region(&reg);
	igt_assert_eq_u64(vrnic_query(nic).counters.violations, before);

	breaches_on_purpose(true);
	reg = rogue_region_of(ROGUE_MOVED, VRNIC_MR_PINNED);
	read_region(&reg);
	igt_assert_eq_u64(wait_violations(&reg, 1), 1);
	free_region(&reg);
	check_told("a pinned buffer changed its place");
	igt_assert_eq_u64(vrnic_query(nic).counters.violations, before + 1);

	reg = rogue_region_of(ROGUE_MOVED, VRNIC_MR_PINNED);
	notify(&reg);
	free_region(&reg);
	igt_assert_eq_u64(vrnic_query(nic).counters.violations, before + 2);
	breaches_on_purpose(false);
}

/* Of all devices, how many calls of an exporter's callback there were. */
static uint64_t callbacks(const char *callback)
{
	char command[200];
	uint64_t calls;
	FILE *f;

	snprintf(command, sizeof(command),
		 "sed -n 's/^callback=%s calls=\\([0-9]*\\) .* exporter=rogue$/\\1/p' %s", callback,
		 "/sys/kernel/debug/vrnic*/callbacks");
	f = popen(command, "r");
	igt_assert(f);
	if (fscanf(f, "%" SCNu64, &calls) != 1)
		calls = 0;
	pclose(f);
	return calls;
}

static void test_callbacks(void)
{
	uint64_t maps = callbacks("map"), unmaps = callbacks("unmap"), pins = callbacks("pin");
	struct vrnic_reg_mr reg;

	igt_require_f(vrnic_parameter("audit_ms"), "there are no audits\n");
	reg = rogue_region_of(ROGUE_NONE, VRNIC_MR_PINNED);
	igt_assert_eq_u64(callbacks("map"), maps + 1);
	igt_assert_eq_u64(callbacks("pin"), pins + 1);
	igt_assert_eq_u64(callbacks("unmap"), unmaps);
	free_region(&reg);
	igt_assert_eq_u64(callbacks("unmap"), unmaps + 1);
}

/* Two regions of one buffer, from its first half to its second. */
static uint32_t copy_between(uint32_t fault, uint32_t mode)
{
	struct rogue_export export = { .size = KIB(32), .fault = fault };
	uint32_t queue = vrnic_create_queue(nic, 4), status;
	uint8_t *local = alloc_pages(KIB(32));
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, KIB(32)), a, b;

	igt_assert_eq(do_call(rogue, ROGUE_IOC_EXPORT, &export), 0);
	a = vrnic_reg_dma_buf(nic, export.fd, mode, export.size);
	b = vrnic_reg_dma_buf(nic, export.fd, mode, export.size);

	/* One at a time is no problem. */
	pattern_fill(local, KIB(16), 1 + mode);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &a, 0, &mem, 0, KIB(16)).status, 0);
	status = vrnic_copy(nic, queue, VRNIC_OP_WRITE, &b, KIB(16), &a, 0, KIB(16)).status;
	if (!status) {
		igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &a, KIB(16), &mem, KIB(16),
					 KIB(16)).status, 0);
		pattern_check(local + KIB(16), KIB(16), 1 + mode);
	}
	/* Nor does anything go on in the background. */
	usleep(100000);
	igt_assert_lt(vrnic_query_mr(nic, a.handle).counters.maps +
		      vrnic_query_mr(nic, b.handle).counters.maps, 100);

	vrnic_destroy_queue(nic, queue);
	vrnic_dereg_mr(nic, a.handle);
	vrnic_dereg_mr(nic, b.handle);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, KIB(32));
	close(export.fd);
	return status;
}

static void test_in_turn(void)
{
	uint32_t mode;

	igt_require_f(dynamic, "this kernel pins mapped buffers\n");
	for (mode = VRNIC_MR_ON_DEMAND; mode <= VRNIC_MR_FENCED; mode++) {
		igt_assert_eq(copy_between(ROGUE_NONE, mode), VRNIC_WC_SUCCESS);
		igt_assert_eq(copy_between(ROGUE_IN_TURN, mode), VRNIC_WC_GENERAL_ERR);
	}
}

/* A read of a buffer into memory that has a pattern, and what became of both. */
static void read_lost(const struct vrnic_reg_mr *reg, uint32_t status)
{
	uint32_t queue = vrnic_create_queue(nic, 4);
	uint8_t *local = alloc_pages(KIB(32));
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, KIB(32));
	struct vrnic_wc wc;
	uint64_t i;

	pattern_fill(local, KIB(32), 5);
	wc = vrnic_copy(nic, queue, VRNIC_OP_READ, reg, 0, &mem, 0, KIB(32));
	igt_assert_eq(wc.status, status);
	igt_assert_eq_u64(wc.byte_len, status ? 0 : KIB(32));
	if (status)
		pattern_check(local, KIB(32), 5);
	else
		for (i = 0; i < KIB(32); i++)
			igt_assert_eq(local[i], 0);
	vrnic_destroy_queue(nic, queue);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, KIB(32));
}

static void test_lost(uint32_t fault, uint32_t status, int error, uint32_t state)
{
	struct vrnic_reg_mr reg = rogue_region(ROGUE_NONE);
	uint32_t last;

	/* The control: zeroes are read where nothing was lost. */
	read_lost(&reg, VRNIC_WC_SUCCESS);
	free_region(&reg);

	/* While the fence is on its way, and when it has ended. */
	reg = rogue_region(fault);
	read_lost(&reg, status);
	read_lost(&reg, status);
	igt_assert_eq(advise(&reg), error);
	igt_assert_eq(vrnic_query_mr(nic, reg.handle).state, state);
	/* It is a misfortune, not a breach of the contract. */
	igt_assert_eq_u64(violations(&reg, &last), 0);
	free_region(&reg);
}

/* Milliseconds that a revocation takes. */
static uint64_t time_revoke(const char *how)
{
	struct shared s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	struct drm_vvram_gem_revoke revoke = { .handle = s.handle };
	uint64_t start;

	igt_assert_eq(advise(&s.reg), 0);
	vrnic_misbehave(how);
	start = now_ms();
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &revoke), 0);
	start = now_ms() - start;
	vrnic_misbehave("none");
	unshare_buffer(fd, nic, &s);
	return start;
}

static void test_late_unmap(void)
{
	uint64_t honest = 1000, took;
	int i;

	igt_require_f(dynamic, "this kernel pins mapped buffers\n");
	for (i = 0; i < 5; i++) {
		took = time_revoke("none");
		honest = took < honest ? took : honest;
	}
	/* It unmaps after 100 ms, give or take a tick. */
	igt_assert_lte(90, time_revoke("late-unmap"));
	igt_assert_lt(honest, 90);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void test_never_unmap(void)
{
	struct sigaction act = { .sa_handler = on_alarm };
	struct drm_vvram_gem_revoke revoke = {};
	struct shared s;

	igt_require_f(dynamic, "this kernel pins mapped buffers\n");
	s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	revoke.handle = s.handle;
	igt_assert_eq(advise(&s.reg), 0);
	vrnic_misbehave("never-unmap");

	/* Without SA_RESTART: the alarm ends the wait. */
	sigaction(SIGALRM, &act, NULL);
	ualarm(500000, 500000);
	igt_assert_eq(ioctl(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &revoke), -1);
	igt_assert_eq(errno, EINTR);
	ualarm(0, 0);
	vrnic_misbehave("none");

	vrnic_dereg_mr(nic, s.reg.handle);
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &revoke), 0);
	munmap(s.p, s.size);
	close(s.dmabuf);
	gem_close(fd, s.handle);
}

static void test_unlocked_map(void)
{
	struct shared s;
	uint64_t before;

	igt_require_f(dynamic, "this kernel pins mapped buffers\n");
	igt_require_f(access("/proc/lockdep_stats", F_OK), "lockdep tells by itself\n");
	s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	before = chaos_read(fd, "unlocked_calls");
	vrnic_misbehave("unlocked-map");
	igt_assert_eq(advise(&s.reg), -EINVAL);
	vrnic_misbehave("none");
	igt_assert_eq_u64(chaos_read(fd, "unlocked_calls"), before + 1);
	igt_assert_eq(advise(&s.reg), 0);
	igt_assert_eq_u64(chaos_read(fd, "unlocked_calls"), before + 1);
	unshare_buffer(fd, nic, &s);
}

static void test_vmap(void)
{
	uint32_t handle, place;
	struct rogue_vmap vmap;
	uint64_t *p, word;

	for (place = SYSTEM; place <= VRAM; place++) {
		int user = open("/dev/rogue", O_RDWR);

		igt_assert_eq(__vvram_create(fd, KIB(64), place,
					     DRM_VVRAM_GEM_CREATE_CONTIGUOUS, &handle), 0);
		p = vvram_mmap(fd, handle, KIB(64));
		pattern_fill(p, KIB(64), place);
		vmap = (struct rogue_vmap) { .fd = prime_handle_to_fd_for_mmap(fd, handle) };
		igt_assert_eq(do_call(user, ROGUE_IOC_VMAP, &vmap), 0);
		igt_assert_eq(vmap.is_iomem, place == VRAM &&
			      vvram_query(fd).backend == DRM_VVRAM_BACKEND_PCI);
		igt_assert_eq(pread(user, &word, 8, KIB(64) - 8), 8);
		igt_assert_eq_u64(word, p[KIB(64) / 8 - 1]);
		word = ~word;
		igt_assert_eq(pwrite(user, &word, 8, KIB(64) - 8), 8);
		igt_assert_eq_u64(word, p[KIB(64) / 8 - 1]);

		igt_assert_eq(vvram_info(fd, handle).placement, place);
		igt_assert_lte(1, vvram_info(fd, handle).pins);
		igt_assert_eq(__vvram_move(fd, handle, place == VRAM ? SYSTEM : VRAM), -EBUSY);
		close(user);
		vvram_move(fd, handle, place == VRAM ? SYSTEM : VRAM);
		igt_assert_eq_u64(word, p[KIB(64) / 8 - 1]);
		close(vmap.fd);
		munmap(p, KIB(64));
		gem_close(fd, handle);
	}
}

igt_main {
	static const struct {
		const char *name;
		uint32_t fault, violation;
		const char *rule;
		int error;
	} faults[] = {
		{ "alignment", ROGUE_ALIGNMENT, VRNIC_VIOLATION_ALIGNMENT,
		  "a DMA address or length is not page aligned", 0 },
		{ "length", ROGUE_LENGTH, VRNIC_VIOLATION_LENGTH,
		  "the table does not cover the buffer", -EINVAL },
		{ "pages", ROGUE_PAGES, VRNIC_VIOLATION_PAGES,
		  "peer memory came with struct pages", -EFAULT },
		{ "lock", ROGUE_LOCK, VRNIC_VIOLATION_LOCK,
		  "a callback came without the reservation held", 0 },
		{ "fence", ROGUE_FENCE, VRNIC_VIOLATION_FENCE,
		  "a KERNEL fence did not signal in time", -ETIMEDOUT },
		{ "moved", ROGUE_MOVED, VRNIC_VIOLATION_MOVED,
		  "the buffer changed its place without a notification", 0 },
		{ "excess", ROGUE_EXCESS, VRNIC_VIOLATION_EXCESS,
		  "the table leads beyond the buffer", 0 },
		{ "mask", ROGUE_MASK, VRNIC_VIOLATION_MASK,
		  "an address is beyond the DMA mask of the importer", -EINVAL },
		{ "segment", ROGUE_SEGMENT, VRNIC_VIOLATION_SEGMENT,
		  "a segment is longer than the importer takes", 0 },
		{ "raw", ROGUE_RAW, VRNIC_VIOLATION_RAW,
		  "the IOMMU does not know an address that was just mapped", -EFAULT },
		{ "table", ROGUE_TABLE, VRNIC_VIOLATION_TABLE,
		  "a table changed after it was handed out", 0 },
		{ "size", ROGUE_SIZE, VRNIC_VIOLATION_SIZE,
		  "the size of the buffer is not that of its file", 0 },
	};

	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		dynamic = vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC;
		rogue = open_rogue();
		igt_assert_fd(rogue);
	}

	igt_describe("No false alarm.");
	igt_subtest("honest-exporter")
		test_honest();
	for (unsigned int i = 0; i < ARRAY_LEN(faults); i++) {
		igt_describe("The rule that was broken is named.");
		igt_subtest_f("exporter-%s", faults[i].name)
			test_exporter(faults[i].fault, faults[i].violation, faults[i].rule,
				      faults[i].error);
	}
	igt_describe("No use of a buffer that is elsewhere goes unnoticed.");
	igt_subtest("exporter-moved-in-use")
		test_moved_in_use();
	igt_describe("A pin keeps a buffer where it is.");
	igt_subtest("exporter-moved-pinned")
		test_moved_pinned();
	igt_describe("Who makes others wait is known by the time.");
	igt_subtest("callbacks")
		test_callbacks();
	igt_describe("Two regions that take the buffer from each other come to an end.");
	igt_subtest("exporter-in-turn")
		test_in_turn();
	igt_describe("What is behind a fence with an error is anybody's.");
	igt_subtest("exporter-lost")
		test_lost(ROGUE_LOST, VRNIC_WC_GENERAL_ERR, -EIO, 0);
	igt_describe("A device that is gone does not come back to the region.");
	igt_subtest("exporter-lost-device")
		test_lost(ROGUE_LOST_DEVICE, VRNIC_WC_REM_ACCESS_ERR, -ENODEV,
			  VRNIC_MR_STATE_REVOKED);
	igt_describe("The control: the exporter's wait shows a late importer.");
	igt_subtest("importer-late-unmap")
		test_late_unmap();
	igt_describe("The control: the exporter does not take away what is mapped.");
	igt_subtest("importer-never-unmap")
		test_never_unmap();
	igt_describe("The control: a map without the lock does not go through.");
	igt_subtest("importer-unlocked-map")
		test_unlocked_map();
	igt_describe("Who has a pointer keeps what it points to.");
	igt_subtest("vmap")
		test_vmap();

	igt_fixture {
		vrnic_misbehave("none");
		close(rogue);
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
		igt_assert_eq(system("rmmod rogue"), 0);
	}
}
