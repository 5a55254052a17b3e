// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic bounce
 * Category: Core
 * Description: Right bytes or a clear error where the kernel would bounce DMA:
 *	swiotlb=force, or a device whose DMA mask does not cover the memory
 *	(dma_bits of vrnic). On other machines nothing may be refused.
 *
 * SUBTEST: user
 * Description: Memory of a process is used in place, or refused.
 * SUBTEST: vram-%s
 * Description: A buffer that was made in VRAM, in each mode.
 * SUBTEST: system-%s
 * Description: A buffer in system memory, in each mode.
 * SUBTEST: dma-heap
 * Description: An exporter that does not look is found out by the importer.
 * SUBTEST: udmabuf
 * Description: Another one.
 * SUBTEST: control
 * Description: Nobody looks: writes complete with success, and are lost.
 */

#include <linux/udmabuf.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("Right bytes or a clear error where DMA is bounced.");

#define SIZE	KIB(256)
#define PATTERN	0x0123456789abcdefULL

static const char * const mode_name[] = { "on-demand", "eager", "fenced", "pinned", "static" };

static int fd = -1, nic = -1;
static bool translated, forced;
static unsigned int bits;

enum answer { NO, YES, UNKNOWN };

/* Whether the device can't reach memory itself. Special mappings do not tell where it is. */
static enum answer bounces(const void *p, uint64_t size)
{
	enum answer answer = NO;
	uint64_t at, entry, pfn;
	int f;

	if (translated || (!forced && bits == 64))
		return NO;
	if (forced)
		return YES;

	f = open("/proc/self/pagemap", O_RDONLY);
	igt_assert_fd(f);
	for (at = 0; at < size && answer == NO; at += 4096) {
		*(volatile const uint8_t *)((const uint8_t *)p + at);
		igt_assert_eq(pread(f, &entry, 8, ((uintptr_t)p + at) / 4096 * 8), 8);
		pfn = entry & ((1ULL << 55) - 1);
		if (!(entry >> 63) || !pfn)
			answer = UNKNOWN;
		else if (pfn >> (bits - 12))
			answer = YES;
	}
	close(f);
	return answer;
}

static uint32_t crc32c(const uint8_t *p, uint64_t n)
{
	uint32_t crc = 0;
	int i;

	while (n--) {
		crc ^= *p++;
		for (i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return crc;
}

static struct vrnic_wc run(uint32_t opcode, const struct vrnic_reg_mr *reg, uint64_t operand)
{
	uint32_t queue = vrnic_create_queue(nic, 1);
	struct vrnic_wr wr = {
		.wr_id = 1, .opcode = opcode, .rkey = reg->rkey, .remote_length = SIZE,
		.operand = operand,
	};
	struct vrnic_wc wc = vrnic_do(nic, queue, &wr);

	vrnic_destroy_queue(nic, queue);
	return wc;
}

/* Bytes written by the device reach the CPU, and the other way round. */
static void check_right(const struct vrnic_reg_mr *reg, uint8_t *p)
{
	uint64_t i, bad = 0;
	struct vrnic_wc wc;

	wc = run(VRNIC_OP_FILL, reg, PATTERN);
	igt_assert_eq(wc.status, VRNIC_WC_SUCCESS);
	igt_assert_eq_u64(wc.byte_len, SIZE);
	for (i = 0; i < SIZE / 8; i++)
		bad += ((volatile uint64_t *)p)[i] != PATTERN;
	igt_assert_eq_u64(bad, 0);

	pattern_fill(p, SIZE, reg->handle);
	wc = run(VRNIC_OP_CRC32C, reg, 0);
	igt_assert_eq(wc.status, VRNIC_WC_SUCCESS);
	igt_assert_eq_u64(wc.result, crc32c(p, SIZE));
}

/* An error, and not a byte has changed. */
static void check_refused(const struct vrnic_reg_mr *reg, uint8_t *p, uint64_t seed)
{
	struct vrnic_advise_mr advise = { .handle = reg->handle, .flags = VRNIC_ADVISE_FLUSH };
	struct vrnic_wc wc;

	igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), -EOPNOTSUPP);
	wc = run(VRNIC_OP_FILL, reg, PATTERN);
	igt_assert_eq(wc.status, VRNIC_WC_GENERAL_ERR);
	igt_assert_eq_u64(wc.byte_len, 0);
	wc = run(VRNIC_OP_CRC32C, reg, 0);
	igt_assert_eq(wc.status, VRNIC_WC_GENERAL_ERR);
	igt_assert_eq(pattern_find_bad(p, SIZE, seed, 1), -1);
	igt_assert_eq(vrnic_query_mr(nic, reg->handle).segments, 0);
}

static int reg_dma_buf(int dmabuf, uint32_t mode, struct vrnic_reg_mr *reg)
{
	*reg = (struct vrnic_reg_mr) {
		.mode = mode, .fd = dmabuf, .length = SIZE,
		.access = VRNIC_ACCESS_REMOTE_WRITE | VRNIC_ACCESS_REMOTE_READ,
	};
	return __vrnic_reg_mr(nic, reg);
}

static struct vrnic_reg_mr user_region(void *p)
{
	return (struct vrnic_reg_mr) {
		.flags = VRNIC_REG_MR_USER, .fd = -1, .addr = (uintptr_t)p, .length = SIZE,
		.access = VRNIC_ACCESS_REMOTE_WRITE | VRNIC_ACCESS_REMOTE_READ,
	};
}

static void test_user(void)
{
	unsigned int i, refused = 0;

	for (i = 0; i < 16; i++) {
		uint8_t *p = alloc_pages(SIZE);
		struct vrnic_reg_mr reg = user_region(p);
		enum answer bounce;
		int ret;

		pattern_fill(p, SIZE, i);
		bounce = bounces(p, SIZE);
		igt_assert_neq(bounce, UNKNOWN);
		ret = __vrnic_reg_mr(nic, &reg);
		igt_assert_eq(ret, bounce == YES ? -EOPNOTSUPP : 0);
		igt_assert_eq(pattern_find_bad(p, SIZE, i, 1), -1);
		if (!ret) {
			check_right(&reg, p);
			vrnic_dereg_mr(nic, reg.handle);
		}
		refused += bounce == YES;
		munmap(p, SIZE);
	}
	igt_assert_eq(vrnic_query(nic).mrs, 0);
	igt_info("%u of %u refused\n", refused, i);
}

static uint32_t attachment_flags(uint32_t handle)
{
	struct drm_vvram_attachment att = {};
	struct drm_vvram_gem_attachments list = {
		.handle = handle, .count = 1, .attachments = (uintptr_t)&att,
	};

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_ATTACHMENTS, &list), 0);
	igt_assert_eq(list.count, 1);
	return att.flags;
}

/* What the exporter has said of a buffer. */
static int count_refusals(uint32_t handle)
{
	char line[128];

	snprintf(line, sizeof(line), "importer .* can.t have inode %llu: its DMA would be bounced",
		 (unsigned long long)vvram_info(fd, handle).inode);
	return count_in_dmesg(line);
}

static enum answer buffer_bounces(uint32_t handle, const void *p)
{
	if (vvram_info(fd, handle).placement == VRAM &&
	    vvram_query(fd).backend == DRM_VVRAM_BACKEND_PCI)
		return NO;
	return bounces(p, SIZE);
}

/*
 * Registers, maps, and tells whether that was refused for bounce buffers: nothing else is
 * an answer. What is refused at registration is no region.
 */
static bool is_refused(int dmabuf, uint32_t mode, struct vrnic_reg_mr *reg)
{
	bool maps_at_once = mode != VRNIC_MR_ON_DEMAND && mode != VRNIC_MR_FENCED;
	struct vrnic_advise_mr advise = { .flags = VRNIC_ADVISE_FLUSH };
	int ret = reg_dma_buf(dmabuf, mode, reg);

	if (ret && maps_at_once) {
		igt_assert_eq(ret, -EOPNOTSUPP);
		reg->handle = 0;
		return true;
	}
	igt_assert_eq(ret, 0);
	advise.handle = reg->handle;
	ret = do_call(nic, VRNIC_IOC_ADVISE_MR, &advise);
	if (ret)
		igt_assert_eq(ret, -EOPNOTSUPP);
	igt_assert(!ret || !maps_at_once);
	return ret;
}

static void check_answer(enum answer expected, bool refused)
{
	if (expected != UNKNOWN)
		igt_assert_eq(refused, expected == YES);
	igt_info("%s\n", refused ? "refused" : "right");
}

static void test_buffer(uint32_t placement, uint32_t mode)
{
	uint64_t before = vrnic_query(nic).counters.violations;
	uint32_t handle = vvram_create(fd, SIZE, placement);
	int dmabuf = prime_handle_to_fd_for_mmap(fd, handle);
	uint8_t *p = vvram_mmap(fd, handle, SIZE);
	struct vrnic_reg_mr reg;
	bool refused;

	pattern_fill(p, SIZE, mode);
	refused = is_refused(dmabuf, mode, &reg);
	/* Now it is where it was to be mapped. */
	check_answer(buffer_bounces(handle, p), refused);
	igt_assert_eq(pattern_find_bad(p, SIZE, mode, 1), -1);
	if (reg.handle) {
		if (refused)
			check_refused(&reg, p, mode);
		else
			check_right(&reg, p);
		igt_assert_eq(!!(attachment_flags(handle) & DRM_VVRAM_ATTACHMENT_BOUNCED),
			      refused);
		vrnic_dereg_mr(nic, reg.handle);
	}
	/* However often it was tried. */
	igt_assert_eq(count_refusals(handle), refused);
	igt_assert_eq(vvram_info(fd, handle).pins, 0);
	igt_assert_eq_u64(vrnic_query(nic).counters.violations, before);
	munmap(p, SIZE);
	close(dmabuf);
	gem_close(fd, handle);
}

static int from_dma_heap(uint8_t **p)
{
	return dma_heap_buffer(SIZE, p);
}

static int from_udmabuf(uint8_t **p)
{
	int memfd = memfd_create("bounce", MFD_ALLOW_SEALING), dev = open("/dev/udmabuf", O_RDWR);
	struct udmabuf_create create = { .memfd = memfd, .size = SIZE };
	int dmabuf;

	igt_require_f(dev >= 0, "no udmabuf\n");
	igt_assert_fd(memfd);
	igt_assert_eq(ftruncate(memfd, SIZE), 0);
	igt_assert_eq(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	*p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	igt_assert(*p != MAP_FAILED);
	memset(*p, 0, SIZE);
	dmabuf = ioctl(dev, UDMABUF_CREATE, &create);
	igt_assert_fd(dmabuf);
	close(dev);
	close(memfd);
	return dmabuf;
}

static void check_foreign(int dmabuf, uint8_t *p, uint32_t mode)
{
	uint64_t before = vrnic_query(nic).counters.violations;
	struct vrnic_query_mr mr;
	struct vrnic_reg_mr reg;
	bool refused;

	pattern_fill(p, SIZE, mode);
	/* These exporters don't look where their addresses lead. */
	breaches_on_purpose(true);
	refused = is_refused(dmabuf, mode, &reg);
	check_answer(bounces(p, SIZE), refused);
	igt_assert_eq(pattern_find_bad(p, SIZE, mode, 1), -1);
	if (reg.handle && !refused) {
		check_right(&reg, p);
	} else if (reg.handle) {
		check_refused(&reg, p, mode);
		mr = vrnic_query_mr(nic, reg.handle);
		igt_assert_lte(1, mr.counters.violations);
		igt_assert_eq(mr.last_violation, VRNIC_VIOLATION_BOUNCED);
	}
	if (reg.handle)
		vrnic_dereg_mr(nic, reg.handle);
	breaches_on_purpose(false);
	igt_assert_eq(vrnic_query(nic).counters.violations > before, refused);
	igt_assert_eq(pattern_find_bad(p, SIZE, refused ? mode : reg.handle, 1), -1);
}

static void test_foreign(int (*make)(uint8_t **p))
{
	uint32_t mode;
	uint8_t *p;
	int dmabuf;

	for (mode = VRNIC_MR_ON_DEMAND; mode <= VRNIC_MR_STATIC; mode++) {
		dmabuf = make(&p);
		check_foreign(dmabuf, p, mode);
		munmap(p, SIZE);
		close(dmabuf);
	}
}

/* The write completes, and its bytes are elsewhere. */
static void check_lost(struct vrnic_reg_mr *reg, uint8_t *p, uint64_t seed)
{
	struct vrnic_wc wc = run(VRNIC_OP_FILL, reg, PATTERN);

	igt_assert_eq(wc.status, VRNIC_WC_SUCCESS);
	igt_assert_eq(pattern_find_bad(p, SIZE, seed, 1), -1);
	vrnic_dereg_mr(nic, reg->handle);
}

static void test_control(void)
{
	struct vrnic_reg_mr reg;
	unsigned int i;
	uint8_t *p;
	int dmabuf;

	for (i = 0; i < 64; i++) {
		p = alloc_pages(SIZE);
		pattern_fill(p, SIZE, 1);
		if (bounces(p, SIZE) == YES)
			break;
		munmap(p, SIZE);
	}
	igt_require_f(i < 64, "nothing is bounced on this machine\n");

	vrnic_misbehave("accept-bounced");
	reg = user_region(p);
	igt_assert_eq(__vrnic_reg_mr(nic, &reg), 0);
	check_lost(&reg, p, 1);
	munmap(p, SIZE);

	dmabuf = from_dma_heap(&p);
	pattern_fill(p, SIZE, 2);
	if (bounces(p, SIZE) == YES) {
		igt_assert_eq(reg_dma_buf(dmabuf, VRNIC_MR_ON_DEMAND, &reg), 0);
		check_lost(&reg, p, 2);
	}
	munmap(p, SIZE);
	close(dmabuf);
	vrnic_misbehave("none");
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		translated = vrnic_query(nic).flags & VRNIC_QUERY_IOMMU;
		forced = strstr(read_file("/proc/cmdline"), "swiotlb=force");
		bits = strtoul(read_file("/sys/module/vrnic/parameters/dma_bits"), NULL, 10);
		igt_info("IOMMU %d, swiotlb=force %d, %u bits\n", translated, forced, bits);
	}

	igt_describe("In place, or not at all.");
	igt_subtest("user")
		test_user();
	for (unsigned int mode = 0; mode < ARRAY_LEN(mode_name); mode++) {
		igt_describe("The exporter finds out before it gives addresses away.");
		igt_subtest_f("vram-%s", mode_name[mode])
			test_buffer(VRAM, mode);
		igt_describe("The same for pages of the kernel.");
		igt_subtest_f("system-%s", mode_name[mode])
			test_buffer(SYSTEM, mode);
	}
	igt_describe("Found out by the importer, and told.");
	igt_subtest("dma-heap")
		test_foreign(from_dma_heap);
	igt_describe("Found out by the importer, and told.");
	igt_subtest("udmabuf")
		test_foreign(from_udmabuf);
	igt_describe("The control: without the check the bytes are lost.");
	igt_subtest("control")
		test_control();

	igt_fixture {
		vrnic_misbehave("none");
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
	}
}
