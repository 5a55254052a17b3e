// SPDX-License-Identifier: MIT
/**
 * TEST: vvram ioctl
 * Category: Core
 * Description: Arguments of vvram's ioctls: each bad value gets its errno.
 *
 * SUBTEST: create
 * Description: Sizes, placements, flags and pads of the create call.
 * SUBTEST: mmap-offset
 * Description: Arguments of the mmap offset call, and mapping beyond the end.
 * SUBTEST: move
 * Description: Arguments of the move call.
 * SUBTEST: info
 * Description: Arguments of the info call, and what it says of a new buffer.
 * SUBTEST: query
 * Description: Arguments of the query call, and that its numbers make sense.
 * SUBTEST: attachments
 * Description: Arguments of the attachments call.
 * SUBTEST: revoke
 * Description: Arguments of the revoke call, and who may do it.
 * SUBTEST: bad-pointer
 * Description: Arguments that are not mapped are EFAULT.
 * SUBTEST: unknown-ioctl
 * Description: A number beyond the last one is EINVAL.
 * SUBTEST: render-node
 * Description: Everything is allowed on the render node.
 */

#include "movable.h"

IGT_TEST_DESCRIPTION("Arguments of vvram's ioctls.");

static int fd = -1;

static void test_create(void)
{
	static const struct {
		struct drm_vvram_gem_create arg;
		int ret;
	} table[] = {
		{ { .size = 0, .placement = VRAM }, -EINVAL },
		{ { .size = ~0ULL, .placement = VRAM }, -EINVAL },
		{ { .size = ~0ULL - 4094, .placement = SYSTEM }, -EINVAL },
		{ { .size = 4096, .placement = 0 }, -EINVAL },
		{ { .size = 4096, .placement = VRAM | SYSTEM }, -EINVAL },
		{ { .size = 4096, .placement = DRM_VVRAM_PLACEMENT_SWAP }, -EINVAL },
		{ { .size = 4096, .placement = DRM_VVRAM_PLACEMENT_FOREIGN }, -EINVAL },
		{ { .size = 4096, .placement = 1U << 31 }, -EINVAL },
		{ { .size = 4096, .placement = VRAM, .flags = 2 }, -EINVAL },
		{ { .size = 4096, .placement = VRAM, .flags = ~0U }, -EINVAL },
		{ { .size = 4096, .placement = VRAM, .pad = 1 }, -EINVAL },
		{ { .size = 1ULL << 46, .placement = VRAM }, -ENOSPC },
		{ { .size = 1ULL << 46, .placement = SYSTEM }, -ENOMEM },
		{ { .size = 1ULL << 62, .placement = SYSTEM }, -ENOMEM },
		{ { .size = 1, .placement = VRAM }, 0 },
		{ { .size = 4097, .placement = SYSTEM }, 0 },
		{ { .size = 65536, .placement = VRAM,
		    .flags = DRM_VVRAM_GEM_CREATE_CONTIGUOUS }, 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(table); i++) {
		struct drm_vvram_gem_create arg = table[i].arg;
		int ret = do_call(fd, DRM_IOCTL_VVRAM_GEM_CREATE, &arg);

		igt_assert_f(ret == table[i].ret, "row %u: %d, not %d\n", i, ret, table[i].ret);
		if (ret) {
			igt_assert_eq(arg.handle, 0);
			continue;
		}
		igt_assert_eq_u64(arg.size, (table[i].arg.size + 4095) & ~4095ULL);
		gem_close(fd, arg.handle);
	}
}

static void test_mmap_offset(void)
{
	uint32_t handle = vvram_create(fd, KIB(64), VRAM);
	struct drm_vvram_gem_mmap_offset arg = { .handle = handle, .pad = 1 };

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, &arg), -EINVAL);
	arg = (struct drm_vvram_gem_mmap_offset){ .handle = handle + 1000 };
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, &arg), -ENOENT);
	arg = (struct drm_vvram_gem_mmap_offset){ .handle = 0 };
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, &arg), -ENOENT);
	arg = (struct drm_vvram_gem_mmap_offset){ .handle = handle };
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, &arg), 0);

	igt_assert(mmap(NULL, KIB(68), PROT_READ, MAP_SHARED, fd, arg.offset) == MAP_FAILED);
	igt_assert_eq(errno, EINVAL);
	igt_assert(mmap(NULL, KIB(64), PROT_READ, MAP_PRIVATE, fd, arg.offset) == MAP_FAILED);
	gem_close(fd, handle);
}

static void test_move(void)
{
	uint32_t h = vvram_create(fd, KIB(64), VRAM), i;
	struct drm_vvram_sync bad_flag = { .flags = 4 };
	struct drm_vvram_sync no_syncobj = { .handle = 12345 };
	struct drm_vvram_sync no_point = { .flags = DRM_VVRAM_SYNC_TIMELINE };
	const struct {
		struct drm_vvram_gem_move arg;
		int ret;
	} table[] = {
		{ { .handle = 0, .placement = VRAM }, -ENOENT },
		{ { .handle = h + 1000, .placement = VRAM }, -ENOENT },
		{ { .handle = h, .placement = 0 }, -EINVAL },
		{ { .handle = h, .placement = VRAM | SYSTEM }, -EINVAL },
		{ { .handle = h, .placement = DRM_VVRAM_PLACEMENT_SWAP }, -EINVAL },
		{ { .handle = h, .placement = VRAM, .flags = 2 }, -EINVAL },
		{ { .handle = h, .placement = VRAM, .flags = 1U << 31 }, -EINVAL },
		{ { .handle = h, .placement = VRAM, .num_syncs = DRM_VVRAM_MAX_SYNCS + 1 }, -EINVAL },
		{ { .handle = h, .placement = VRAM, .num_syncs = ~0U }, -EINVAL },
		{ { .handle = h, .placement = VRAM, .num_syncs = 1 }, -EFAULT },
		{ { .handle = h, .placement = VRAM, .num_syncs = 1,
		    .syncs = (uintptr_t)&bad_flag }, -EINVAL },
		{ { .handle = h, .placement = VRAM, .num_syncs = 1,
		    .syncs = (uintptr_t)&no_syncobj }, -ENOENT },
		{ { .handle = h, .placement = VRAM, .num_syncs = 1,
		    .syncs = (uintptr_t)&no_point }, -EINVAL },
		{ { .handle = h, .placement = VRAM }, 0 },
		{ { .handle = h, .placement = SYSTEM }, 0 },
		{ { .handle = h, .placement = SYSTEM }, 0 },
	};

	for (i = 0; i < ARRAY_LEN(table); i++) {
		struct drm_vvram_gem_move arg = table[i].arg;
		int ret = do_call(fd, DRM_IOCTL_VVRAM_GEM_MOVE, &arg);

		igt_assert_f(ret == table[i].ret, "row %u: %d, not %d\n", i, ret, table[i].ret);
	}
	igt_assert_eq_u64(vvram_info(fd, h).moves, 1);
	gem_close(fd, h);
}

static void test_info(void)
{
	uint32_t handle = vvram_create(fd, KIB(64), VRAM);
	struct drm_vvram_gem_info arg = { .handle = handle, .pad = 1 };

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_INFO, &arg), -EINVAL);
	arg = (struct drm_vvram_gem_info){ .handle = handle + 1000 };
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_INFO, &arg), -ENOENT);

	arg = vvram_info(fd, handle);
	igt_assert_eq(arg.placement, VRAM);
	igt_assert_eq_u64(arg.size, KIB(64));
	igt_assert_eq_u64(arg.moves, 0);
	igt_assert_eq_u64(arg.inode, 0);
	igt_assert_eq(arg.pins, 0);
	igt_assert_eq(arg.attachments, 0);
	igt_assert_lt(0, arg.segments);
	gem_close(fd, handle);
}

static void test_query(void)
{
	struct drm_vvram_query arg = { .pad = 1 }, before, after;
	uint32_t handle;

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_QUERY, &arg), -EINVAL);
	before = vvram_query(fd);
	igt_assert(before.backend == DRM_VVRAM_BACKEND_PCI ||
		   before.backend == DRM_VVRAM_BACKEND_SOFT);
	igt_assert_lt(0, before.vram_size);
	igt_assert_lte(before.vram_pin_limit, before.vram_size);

	handle = vvram_create(fd, MIB(1), VRAM);
	vvram_move(fd, handle, SYSTEM);
	after = vvram_query(fd);
	igt_assert_eq_u64(after.moves, before.moves + 1);
	igt_assert_eq_u64(after.bytes_moved, before.bytes_moved + MIB(1));
	gem_close(fd, handle);
}

static void test_attachments(void)
{
	uint32_t handle = vvram_create(fd, KIB(64), VRAM);
	struct drm_vvram_gem_attachments arg = { .handle = handle + 1000 };

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_ATTACHMENTS, &arg), -ENOENT);
	arg = (struct drm_vvram_gem_attachments){ .handle = handle, .count = ~0U };
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_ATTACHMENTS, &arg), 0);
	igt_assert_eq(arg.count, 0);
	gem_close(fd, handle);
}

static void test_revoke(void)
{
	uint32_t handle = vvram_create(fd, KIB(64), VRAM), other_handle;
	struct drm_vvram_gem_revoke arg = { .handle = handle, .pad = 1 };
	int other = drm_open_driver(DRIVER_ANY);
	int dmabuf = prime_handle_to_fd(fd, handle);

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &arg), -EINVAL);
	arg = (struct drm_vvram_gem_revoke){ .handle = handle + 1000 };
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &arg), -ENOENT);

	other_handle = prime_fd_to_handle(other, dmabuf);
	arg = (struct drm_vvram_gem_revoke){ .handle = other_handle };
	igt_assert_eq(do_call(other, DRM_IOCTL_VVRAM_GEM_REVOKE, &arg), -EACCES);

	arg = (struct drm_vvram_gem_revoke){ .handle = handle };
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &arg), 0);
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &arg), 0);
	igt_assert(vvram_info(fd, handle).flags & DRM_VVRAM_INFO_REVOKED);

	close(dmabuf);
	drm_close_driver(other);
	gem_close(fd, handle);
}

static void test_bad_pointer(void)
{
	static const unsigned long calls[] = {
		DRM_IOCTL_VVRAM_GEM_CREATE, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET,
		DRM_IOCTL_VVRAM_GEM_MOVE, DRM_IOCTL_VVRAM_GEM_INFO, DRM_IOCTL_VVRAM_QUERY,
		DRM_IOCTL_VVRAM_GEM_ATTACHMENTS, DRM_IOCTL_VVRAM_GEM_REVOKE,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(calls); i++) {
		igt_assert_eq(do_call(fd, calls[i], NULL), -EFAULT);
		igt_assert_eq(do_call(fd, calls[i], (void *)-4096L), -EFAULT);
	}
}

static void test_render_node(void)
{
	int render = drm_open_driver_render(DRIVER_ANY);
	uint32_t handle = vvram_create(render, KIB(64), VRAM);

	vvram_move(render, handle, SYSTEM);
	igt_assert_eq(vvram_info(render, handle).placement, SYSTEM);
	igt_assert_lt(0, vvram_query(render).vram_size);
	gem_close(render, handle);
	drm_close_driver(render);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
	}

	igt_describe("A bad size, placement, flag or pad is refused and leaves nothing.");
	igt_subtest("create")
		test_create();
	igt_describe("A bad handle or pad is refused; no mapping goes beyond the buffer.");
	igt_subtest("mmap-offset")
		test_mmap_offset();
	igt_describe("A bad handle, placement, flag or syncobj is refused.");
	igt_subtest("move")
		test_move();
	igt_describe("A new buffer is where it was asked for, and says so.");
	igt_subtest("info")
		test_info();
	igt_describe("The device's counters follow what is done.");
	igt_subtest("query")
		test_query();
	igt_describe("A buffer without importers lists none.");
	igt_subtest("attachments")
		test_attachments();
	igt_describe("Only the creator revokes, as often as it likes.");
	igt_subtest("revoke")
		test_revoke();
	igt_describe("No argument structure, no crash.");
	igt_subtest("bad-pointer")
		test_bad_pointer();
	igt_describe("The DRM core refuses what the driver does not know.");
	igt_subtest("unknown-ioctl")
		igt_assert_eq(do_call(fd, DRM_IO(DRM_COMMAND_BASE + 0x3f), NULL), -EINVAL);
	igt_describe("Render nodes may do all of it.");
	igt_subtest("render-node")
		test_render_node();

	igt_fixture {
		drm_close_driver(fd);
	}
}
