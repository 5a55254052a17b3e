// SPDX-License-Identifier: MIT
/**
 * TEST: vvram pin
 * Category: Core
 * Description: Pins, and the reach of several importers.
 *
 * SUBTEST: static-importer
 * Description: An importer without notifications pins the buffer while it is mapped.
 * SUBTEST: pinned-importer
 * Description: An importer that pins keeps the buffer where all importers reach it.
 * SUBTEST: limit
 * Description: No more than the limit of VRAM can be pinned.
 * SUBTEST: out-of-reach
 * Description: Pinned in VRAM, the buffer is closed to those who do not reach it.
 * SUBTEST: mixed-importers
 * Description: The least able importer decides while it is attached.
 * SUBTEST: unpin-unpinned
 * Description: An importer that unpins without a pin takes none from another.
 */

#include "modules/rogue.h"
#include "movable.h"

IGT_TEST_DESCRIPTION("Pins and reach.");

static int fd = -1, nic = -1;
static bool dynamic, reaches;

static void test_static_importer(void)
{
	struct shared s = share_buffer(fd, nic, KIB(64), VRNIC_MR_STATIC, 0);
	struct drm_vvram_gem_info info = vvram_info(fd, s.handle);
	struct drm_vvram_gem_revoke revoke = { .handle = s.handle };

	/* It can't take peer memory, so the buffer came to it. */
	igt_assert_eq(info.placement, SYSTEM);
	igt_assert_eq(info.pins, 1);
	igt_assert(info.flags & DRM_VVRAM_INFO_PINNED);
	igt_assert_eq(__vvram_move(fd, s.handle, VRAM), -EBUSY);
	igt_assert_eq(__vvram_move(fd, s.handle, SYSTEM), 0);
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &revoke), -EOPNOTSUPP);

	vrnic_dereg_mr(nic, s.reg.handle);
	igt_assert_eq(vvram_info(fd, s.handle).pins, 0);
	vvram_move(fd, s.handle, VRAM);
	munmap(s.p, s.size);
	close(s.dmabuf);
	gem_close(fd, s.handle);
}

static void test_pinned_importer(void)
{
	struct shared s = share_buffer(fd, nic, KIB(64), VRNIC_MR_PINNED, 0);
	struct drm_vvram_gem_info info = vvram_info(fd, s.handle);
	struct drm_vvram_gem_revoke revoke = { .handle = s.handle };
	/* It may have been told of the way to where it is pinned. */
	uint64_t told = vrnic_query_mr(nic, s.reg.handle).counters.invalidations;
	struct vrnic_query_mr mr;

	igt_assert_eq(info.placement, reaches ? VRAM : SYSTEM);
	igt_assert_lte(1, info.pins);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, reaches ? KIB(64) : 0);
	igt_assert_eq(__vvram_move(fd, s.handle, reaches ? SYSTEM : VRAM), -EBUSY);
	igt_assert_eq_u64(vrnic_query_mr(nic, s.reg.handle).counters.invalidations, told);

	/* Revocation is the only notification of a pinned buffer. */
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &revoke), 0);
	mr = vrnic_query_mr(nic, s.reg.handle);
	igt_assert_eq_u64(mr.counters.invalidations, told + 1);
	igt_assert(mr.state & VRNIC_MR_STATE_REVOKED);
	unshare_buffer(fd, nic, &s);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, 0);
}

static void test_limit(void)
{
	uint64_t limit = vvram_query(fd).vram_pin_limit;
	uint32_t handle;
	struct vrnic_reg_mr reg = {
		.mode = VRNIC_MR_PINNED, .length = 4096, .access = VRNIC_ACCESS_REMOTE_READ,
	};

	igt_require_f(reaches, "the importer does not reach VRAM\n");
	handle = vvram_create(fd, limit + KIB(4), VRAM);
	reg.fd = prime_handle_to_fd_for_mmap(fd, handle);
	igt_assert_eq(__vrnic_reg_mr(nic, &reg), -ENOSPC);
	igt_assert_eq(vvram_info(fd, handle).pins, 0);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, 0);
	close(reg.fd);
	gem_close(fd, handle);

	handle = vvram_create(fd, limit, VRAM);
	reg.fd = prime_handle_to_fd_for_mmap(fd, handle);
	igt_assert_eq(__vrnic_reg_mr(nic, &reg), 0);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, limit);
	vrnic_dereg_mr(nic, reg.handle);
	close(reg.fd);
	gem_close(fd, handle);
}

static void test_out_of_reach(void)
{
	struct vrnic_reg_mr other = {
		.mode = VRNIC_MR_ON_DEMAND, .flags = VRNIC_REG_MR_NO_PEER2PEER, .length = 4096,
	};
	struct shared s;

	igt_require_f(reaches, "the importer does not reach VRAM\n");
	s = share_buffer(fd, nic, KIB(64), VRNIC_MR_PINNED, 0);
	other.fd = s.dmabuf;
	igt_assert_eq(__vrnic_reg_mr(nic, &other), -EBUSY);
	other.mode = VRNIC_MR_STATIC;
	other.flags = 0;
	igt_assert_eq(__vrnic_reg_mr(nic, &other), -EBUSY);
	unshare_buffer(fd, nic, &s);
}

static void test_mixed(void)
{
	struct vrnic_reg_mr weak = {
		.mode = VRNIC_MR_ON_DEMAND, .flags = VRNIC_REG_MR_NO_PEER2PEER,
		.access = VRNIC_ACCESS_REMOTE_READ,
	};
	struct drm_vvram_attachment att[2] = {};
	struct drm_vvram_gem_attachments list = { .count = 2, .attachments = (uintptr_t)att };
	struct vrnic_reg_mr mem;
	struct shared s;
	uint8_t *local;
	uint32_t queue;

	igt_require_f(dynamic, "this kernel pins mapped buffers\n");
	s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	weak.fd = s.dmabuf;
	weak.length = s.size;
	list.handle = s.handle;
	local = alloc_pages(s.size);
	mem = vrnic_reg_user(nic, local, s.size);
	queue = vrnic_create_queue(nic, 2);
	pattern_fill(s.p, s.size, 5);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &s.reg, 0, &mem, 0, s.size).status, 0);
	igt_assert_eq(vvram_info(fd, s.handle).placement, reaches ? VRAM : SYSTEM);

	igt_assert_eq(__vrnic_reg_mr(nic, &weak), 0);
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_ATTACHMENTS, &list), 0);
	igt_assert_eq(list.count, 2);
	igt_assert(att[0].reach == DRM_VVRAM_REACH_NO_PEER2PEER ||
		   att[1].reach == DRM_VVRAM_REACH_NO_PEER2PEER);

	/* Both work, and the buffer does not wander between them. */
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &weak, 0, &mem, 0, s.size).status, 0);
	pattern_check(local, s.size, 5);
	igt_assert_eq(vvram_info(fd, s.handle).placement, SYSTEM);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &s.reg, 0, &mem, 0, s.size).status, 0);
	igt_assert_eq(vvram_info(fd, s.handle).placement, SYSTEM);
	pattern_check(local, s.size, 5);

	/* It is asked for in VRAM again, and comes back to the weak one at its next use. */
	vvram_move(fd, s.handle, VRAM);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &weak, 0, &mem, 0, s.size).status, 0);
	igt_assert_eq(vvram_info(fd, s.handle).placement, SYSTEM);

	/* Alone again, the other one lets it return. */
	vrnic_dereg_mr(nic, weak.handle);
	vvram_move(fd, s.handle, VRAM);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &s.reg, 0, &mem, 0, s.size).status, 0);
	igt_assert_eq(vvram_info(fd, s.handle).placement, reaches ? VRAM : SYSTEM);
	pattern_check(local, s.size, 5);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, s.size);
	unshare_buffer(fd, nic, &s);
}

static void test_unpin_unpinned(void)
{
	const char *said = "importer [^:]*rogue.*: unpin: ";
	int before = count_in_dmesg(said), rogue = open_rogue();
	struct shared s;
	uint32_t pins;

	igt_assert_fd(rogue);
	breaches_on_purpose(true);
	/* Where the other importer reaches it too. */
	s = share_buffer(fd, nic, KIB(64), VRNIC_MR_PINNED, VRNIC_REG_MR_NO_PEER2PEER);
	/* A kernel that pins mapped buffers has done so too. */
	pins = vvram_info(fd, s.handle).pins;
	igt_assert_lt(0, pins);
	igt_assert_eq(do_call(rogue, ROGUE_IOC_UNPIN, &s.dmabuf), 0);
	igt_assert_eq(vvram_info(fd, s.handle).pins, pins);
	igt_assert_eq(__vvram_move(fd, s.handle, VRAM), -EBUSY);
	igt_assert_eq(count_in_dmesg(said), before + 1);

	/* And of one that nobody has pinned. */
	vrnic_dereg_mr(nic, s.reg.handle);
	igt_assert_eq(do_call(rogue, ROGUE_IOC_UNPIN, &s.dmabuf), 0);
	igt_assert_eq(vvram_info(fd, s.handle).pins, 0);
	vvram_move(fd, s.handle, VRAM);
	munmap(s.p, s.size);
	close(s.dmabuf);
	gem_close(fd, s.handle);
	breaches_on_purpose(false);
	close(rogue);
	igt_assert_eq(system("rmmod rogue"), 0);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		dynamic = vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC;
		reaches = vrnic_reaches_vram(fd, nic);
		/* What clients before have closed may still be being cleared. */
		vvram_wait_unused(fd);
	}

	igt_describe("Who can't be told of a move must not see one.");
	igt_subtest("static-importer")
		test_static_importer();
	igt_describe("A pin holds, until the buffer is revoked.");
	igt_subtest("pinned-importer")
		test_pinned_importer();
	igt_describe("Pins leave room for others.");
	igt_subtest("limit")
		test_limit();
	igt_describe("No importer is attached to what it can never map.");
	igt_subtest("out-of-reach")
		test_out_of_reach();
	igt_describe("One weak importer keeps the buffer in system memory.");
	igt_subtest("mixed-importers")
		test_mixed();
	igt_describe("A pin is the importer's who has made it.");
	igt_subtest("unpin-unpinned")
		test_unpin_unpinned();

	igt_fixture {
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
	}
}
