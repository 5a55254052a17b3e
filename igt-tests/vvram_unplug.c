// SPDX-License-Identifier: MIT
/**
 * TEST: vvram unplug
 * Category: Core
 * Description: The device goes away while it is in use, and comes back.
 *
 * SUBTEST: unbind-in-use
 * Description: Unbinding with mappings, regions and moves under way is clean.
 * SUBTEST: importer-unbind
 * Description: The importer goes away in the middle of transfers; moves go on.
 */

#include <pthread.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("Devices that go away while they are in use.");

static int fd = -1, nic = -1;

static void *mover_until_gone(void *arg)
{
	uint32_t handle = *(uint32_t *)arg;
	int i = 0, ret;

	/* Where the core pins for importers, moves are refused until the very end. */
	do {
		ret = __vvram_move(fd, handle, i++ % 2 ? VRAM : SYSTEM);
	} while (!ret || ret == -EBUSY);
	return (void *)(intptr_t)ret;
}

static void test_unbind_in_use(void)
{
	const uint64_t size = KIB(512);
	char name[64];
	struct shared s;
	uint8_t *local = alloc_pages(size);
	struct vrnic_reg_mr mem;
	struct drm_vvram_gem_create create = { .size = 4096, .placement = VRAM };
	volatile uint8_t *p;
	uint32_t queue;
	pthread_t thread;
	void *result;
	int again;

	igt_require_f(bound_function(VVRAM_DRIVER, name), "VRAM is not a PCI function\n");
	s = share_buffer(fd, nic, size, VRNIC_MR_ON_DEMAND, 0);
	mem = vrnic_reg_user(nic, local, size);
	queue = vrnic_create_queue(nic, 4);
	pattern_fill(s.p, size, 1);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &s.reg, 0, &mem, 0, size).status, 0);
	igt_assert_eq(pthread_create(&thread, NULL, mover_until_gone, &s.handle), 0);
	usleep(50000);

	driver_write(VVRAM_DRIVER, "unbind", name);
	pthread_join(thread, &result);
	igt_assert_eq((intptr_t)result, -ENODEV);

	/* The importer has lost it, and so have we; nobody is hurt. */
	igt_assert_eq(vrnic_query_mr(nic, s.reg.handle).state & VRNIC_MR_STATE_MAPPED, 0);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &s.reg, 0, &mem, 0, size).status,
		      VRNIC_WC_REM_ACCESS_ERR);
	p = s.p;
	p[0] = 1;
	p[size - 1] = p[0];
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_CREATE, &create), -ENODEV);

	driver_write(VVRAM_DRIVER, "bind", name);
	again = vvram_open_again();
	igt_assert_fd(again);
	/* The old device ends late: the new one is in use already. */
	vrnic_dereg_mr(nic, s.reg.handle);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(s.p, size);
	close(s.dmabuf);
	close(fd);
	fd = again;
	munmap(local, size);

	s = share_buffer(fd, nic, size, VRNIC_MR_ON_DEMAND, 0);
	pattern_fill(s.p, size, 2);
	vvram_move(fd, s.handle, SYSTEM);
	pattern_check(s.p, size, 2);
	unshare_buffer(fd, nic, &s);
}

static void test_importer_unbind(void)
{
	const uint64_t size = KIB(512);
	struct vrnic_query query = {};
	uint8_t *local = alloc_pages(size);
	struct vrnic_reg_mr mem;
	struct vrnic_wr wr;
	struct vrnic_sge sge;
	struct shared s;
	uint32_t queue;
	char name[64];
	int i;

	igt_require_f(bound_function(VRNIC_DRIVER, name), "the importer is not a PCI function\n");
	s = share_buffer(fd, nic, size, VRNIC_MR_ON_DEMAND, 0);
	mem = vrnic_reg_user(nic, local, size);
	queue = vrnic_create_queue(nic, 64);
	sge = (struct vrnic_sge){ .length = size, .lkey = mem.lkey };
	wr = (struct vrnic_wr) {
		.opcode = VRNIC_OP_WRITE, .rkey = s.reg.rkey, .num_sge = 1, .sge = (uintptr_t)&sge,
	};
	for (i = 0; i < 64; i++)
		igt_assert_eq(__vrnic_post(nic, queue, &wr, 1), 0);

	driver_write(VRNIC_DRIVER, "unbind", name);
	igt_assert_eq(vvram_info(fd, s.handle).attachments, 0);
	igt_assert_eq(do_call(nic, VRNIC_IOC_QUERY, &query), -ENODEV);
	vvram_move(fd, s.handle, SYSTEM);
	vvram_move(fd, s.handle, VRAM);

	driver_write(VRNIC_DRIVER, "bind", name);
	close(nic);
	nic = vrnic_open();
	igt_assert_eq(vrnic_query(nic).mrs, 0);
	munmap(s.p, size);
	close(s.dmabuf);
	gem_close(fd, s.handle);
	munmap(local, size);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
	}

	igt_describe("No fault, no hang, and a device that can be bound again.");
	igt_subtest("unbind-in-use")
		test_unbind_in_use();
	igt_describe("Work ends, mappings are given back, the exporter is free.");
	igt_subtest("importer-unbind")
		test_importer_unbind();

	igt_fixture {
		close(nic);
		close(fd);
	}
}
