// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic vfio
 * Category: Core
 * Description: Regions on the BAR of a function that vfio-pci exports.
 *
 * SUBTEST: bar
 * Description: What the importer writes is in the BAR; a reset takes it back, which
 *	ends a pinned region, and one can be made anew.
 */

#include <linux/vfio.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("Regions on the BAR of a function that vfio-pci exports.");

/* Newer than the C library's kernel headers. */
#ifndef VFIO_DEVICE_FEATURE_DMA_BUF
#define VFIO_DEVICE_FEATURE_DMA_BUF	11
#endif

struct bar_dma_buf {
	struct vfio_device_feature feature;
	struct {
		uint32_t region_index;
		uint32_t open_flags;
		uint32_t flags;
		uint32_t nr_ranges;
		struct {
			uint64_t offset;
			uint64_t length;
		} range;
	} get;
};

#define SIZE	KIB(64)
/* Of the BAR. */
#define OFFSET	MIB(1)

static char function[64];

static void override(const char *driver)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", function);
	igt_assert_eq(__debugfs_write(path, driver), 0);
}

static int group_of_function(void)
{
	char path[128], target[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", function);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -1;
	target[n] = 0;
	return atoi(strrchr(target, '/') + 1);
}

struct owner {
	int container, group, device;
	uint64_t config, bar;
	uint8_t *p;
};

static uint64_t region_offset(int device, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	igt_assert_eq(do_call(device, VFIO_DEVICE_GET_REGION_INFO, &info), 0);
	return info.offset;
}

static struct owner own(void)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	uint16_t command;
	struct owner o;
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/%d", group_of_function());
	o.container = open("/dev/vfio/vfio", O_RDWR);
	o.group = open(path, O_RDWR);
	igt_assert(o.container >= 0 && o.group >= 0);
	igt_assert_eq(do_call(o.group, VFIO_GROUP_GET_STATUS, &status), 0);
	igt_assert(status.flags & VFIO_GROUP_FLAGS_VIABLE);
	igt_assert_eq(do_call(o.group, VFIO_GROUP_SET_CONTAINER, &o.container), 0);
	igt_assert_eq(ioctl(o.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	o.device = ioctl(o.group, VFIO_GROUP_GET_DEVICE_FD, function);
	igt_assert_fd(o.device);

	o.config = region_offset(o.device, VFIO_PCI_CONFIG_REGION_INDEX);
	o.bar = region_offset(o.device, VFIO_PCI_BAR2_REGION_INDEX);
	/* Memory decoding on: nothing is exported without. */
	igt_assert_eq(pread(o.device, &command, 2, o.config + 4), 2);
	command |= 2;
	igt_assert_eq(pwrite(o.device, &command, 2, o.config + 4), 2);
	o.p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, o.device, o.bar + OFFSET);
	igt_assert(o.p != MAP_FAILED);
	return o;
}

static void disown(struct owner *o)
{
	munmap(o->p, SIZE);
	close(o->device);
	close(o->group);
	close(o->container);
}

static int export_bar(struct owner *o)
{
	struct bar_dma_buf arg = {
		.feature = {
			.argsz = sizeof(arg),
			.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF,
		},
		.get = {
			.region_index = VFIO_PCI_BAR2_REGION_INDEX, .nr_ranges = 1,
			.open_flags = O_RDWR | O_CLOEXEC,
			.range = { .offset = OFFSET, .length = SIZE },
		},
	};

	return ioctl(o->device, VFIO_DEVICE_FEATURE, &arg);
}

static void check_region(int nic, struct owner *o, const struct vrnic_reg_mr *reg, uint64_t seed)
{
	uint8_t *local = alloc_pages(SIZE);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, SIZE);
	uint32_t queue = vrnic_create_queue(nic, 4);
	struct vrnic_query_mr mr;

	pattern_fill(local, SIZE, seed);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, reg, 0, &mem, 0, SIZE).status, 0);
	pattern_check(o->p, SIZE, seed);
	pattern_fill(o->p, SIZE, ~seed);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, reg, 0, &mem, 0, SIZE).status, 0);
	pattern_check(local, SIZE, ~seed);

	mr = vrnic_query_mr(nic, reg->handle);
	igt_assert(mr.state & VRNIC_MR_STATE_PEER);
	igt_assert_eq_u64(mr.counters.violations, 0);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, SIZE);
}

/* What a pinned region had is gone for good: its key leads nowhere. */
static void check_ended(int nic, const struct vrnic_reg_mr *reg)
{
	void *local = alloc_pages(SIZE);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, SIZE);
	uint32_t queue = vrnic_create_queue(nic, 4);

	igt_assert(vrnic_query_mr(nic, reg->handle).state & VRNIC_MR_STATE_REVOKED);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, reg, 0, &mem, 0, SIZE).status,
		      VRNIC_WC_REM_ACCESS_ERR);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, SIZE);
}

static void use_bar(void)
{
	int nic = vrnic_open(), dmabuf;
	struct vrnic_reg_mr reg, pinned;
	struct owner o = own();

	dmabuf = export_bar(&o);
	igt_assert_fd(dmabuf);

	/* It moves nothing, and takes back all: for those who can be told only. */
	reg = (struct vrnic_reg_mr) { .fd = dmabuf, .mode = VRNIC_MR_STATIC, .length = SIZE };
	igt_assert_eq(__vrnic_reg_mr(nic, &reg), -EOPNOTSUPP);
	reg = vrnic_reg_dma_buf(nic, dmabuf, VRNIC_MR_ON_DEMAND, SIZE);
	check_region(nic, &o, &reg, 1);
	pinned = vrnic_reg_dma_buf(nic, dmabuf, VRNIC_MR_PINNED, SIZE);
	check_region(nic, &o, &pinned, 2);

	igt_assert_eq(ioctl(o.device, VFIO_DEVICE_RESET), 0);
	igt_assert_eq(vrnic_query_mr(nic, reg.handle).state & VRNIC_MR_STATE_MAPPED, 0);
	check_ended(nic, &pinned);
	vrnic_dereg_mr(nic, pinned.handle);

	/* The reset is over: one maps again by itself, the other is made anew. */
	check_region(nic, &o, &reg, 3);
	vrnic_dereg_mr(nic, reg.handle);
	pinned = vrnic_reg_dma_buf(nic, dmabuf, VRNIC_MR_PINNED, SIZE);
	check_region(nic, &o, &pinned, 4);
	vrnic_dereg_mr(nic, pinned.handle);
	close(dmabuf);
	disown(&o);
	close(nic);
}

/* vfio-pci exports BARs by the same helpers as vvram. */
static bool kernel_has_p2p(void)
{
	int fd = vvram_open_again();
	bool has = vvram_query(fd).flags & DRM_VVRAM_QUERY_P2P;

	close(fd);
	return has;
}

/* The function is vvram's before and after. */
static void test_bar(void)
{
	igt_require_f(bound_function(VVRAM_DRIVER, function), "VRAM is not a PCI function\n");
	igt_require_f(kernel_has_p2p(), "this kernel exports no BARs\n");
	igt_require_f(group_of_function() >= 0, "no IOMMU\n");
	igt_require_f(!system("modprobe -q vfio-pci"), "no vfio-pci\n");

	driver_write(VVRAM_DRIVER, "unbind", function);
	override("vfio-pci");
	driver_write("/sys/bus/pci/drivers/vfio-pci", "bind", function);
	igt_fork(child, 1)
		use_bar();
	igt_waitchildren();
	driver_write("/sys/bus/pci/drivers/vfio-pci", "unbind", function);
	override("\n");
	driver_write(VVRAM_DRIVER, "bind", function);
	close(vvram_open_again());
}

igt_main {
	igt_describe("An exporter that revokes, and means it.");
	igt_subtest("bar")
		test_bar();
}
