// SPDX-License-Identifier: MIT
/**
 * TEST: vvram fault
 * Category: Core
 * Description: Each allocation and each user copy of each call fails once.
 *
 * SUBTEST: calls
 * Description: All ioctls, export, import, mmap and page faults get the right errno,
 *	lose no byte, and work the next time.
 * SUBTEST: files
 * Description: So does opening a file.
 */

#include "faults.h"
#include "movable.h"

IGT_TEST_DESCRIPTION("Each allocation and each user copy fails once.");

#define SIZE	KIB(256)

/*
 * Handles are made on the other file: one that could not be told to its maker, because
 * the DRM core's copy to the user failed, lives until that file is closed.
 */
static int fd = -1, other = -1, nic = -1, zero = -1;

struct subject {
	uint32_t handle, made, imported;
	int dmabuf, file;
	uint8_t *p, *q;
	uint64_t offset;
	uint32_t place, syncobj;
};

static int run_create(void *ctx)
{
	struct subject *s = ctx;

	return __vvram_create(other, SIZE, s->place, 0, &s->made);
}

static void undo_create(void *ctx)
{
	struct subject *s = ctx;

	gem_close(other, s->made);
}

static int run_create_dumb(void *ctx)
{
	struct drm_mode_create_dumb create = { .width = 64, .height = 64, .bpp = 32 };
	struct subject *s = ctx;
	int ret = do_call(other, DRM_IOCTL_MODE_CREATE_DUMB, &create);

	s->made = create.handle;
	return ret;
}

static int run_move(void *ctx)
{
	struct subject *s = ctx;

	return __vvram_move(fd, s->handle, s->place);
}

/* There and back, so that each attempt has a way to go. */
static void undo_move(void *ctx)
{
	struct subject *s = ctx;

	vvram_move(fd, s->handle, s->place == VRAM ? SYSTEM : VRAM);
}

static int run_move_async(void *ctx)
{
	struct subject *s = ctx;
	struct drm_vvram_sync sync = { .flags = DRM_VVRAM_SYNC_SIGNAL, .handle = s->syncobj };
	struct drm_vvram_gem_move arg = {
		.handle = s->handle, .placement = s->place, .num_syncs = 1,
		.flags = DRM_VVRAM_GEM_MOVE_ASYNC, .syncs = (uintptr_t)&sync,
	};

	return do_call(fd, DRM_IOCTL_VVRAM_GEM_MOVE, &arg);
}

static int run_info(void *ctx)
{
	struct subject *s = ctx;
	struct drm_vvram_gem_info arg = { .handle = s->handle };

	return do_call(fd, DRM_IOCTL_VVRAM_GEM_INFO, &arg);
}

static int run_query(void *ctx)
{
	struct drm_vvram_query arg = {};

	(void)ctx;
	return do_call(fd, DRM_IOCTL_VVRAM_QUERY, &arg);
}

static int run_attachments(void *ctx)
{
	struct subject *s = ctx;
	struct drm_vvram_attachment att[4] = {};
	struct drm_vvram_gem_attachments arg = {
		.handle = s->handle, .count = 4, .attachments = (uintptr_t)att,
	};

	return do_call(fd, DRM_IOCTL_VVRAM_GEM_ATTACHMENTS, &arg);
}

static int next_fd(void)
{
	int next = dup(fd);

	close(next);
	/* cppcheck-suppress deallocret */
	return next;
}

static int run_export(void *ctx)
{
	struct subject *s = ctx;
	struct drm_prime_handle arg = { .handle = s->handle, .flags = DRM_CLOEXEC | DRM_RDWR };
	int next = next_fd(), ret;

	ret = do_call(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &arg);
	s->file = arg.fd;
	/* The core installs the fd before it fails to tell: it would be this one. */
	if (ret)
		close(next);
	return ret;
}

static void undo_file(void *ctx)
{
	struct subject *s = ctx;

	close(s->file);
}

/* By another client, to whom the buffer is new. */
static int run_import(void *ctx)
{
	struct subject *s = ctx;
	struct drm_prime_handle arg = { .fd = s->dmabuf };
	int ret = do_call(other, DRM_IOCTL_PRIME_FD_TO_HANDLE, &arg);

	s->imported = arg.handle;
	return ret;
}

static void undo_import(void *ctx)
{
	struct subject *s = ctx;

	gem_close(other, s->imported);
}

static int get_offset(struct subject *s)
{
	struct drm_vvram_gem_mmap_offset arg = { .handle = s->handle };
	int ret = do_call(fd, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, &arg);

	s->offset = arg.offset;
	return ret;
}

static int run_mmap(void *ctx)
{
	struct subject *s = ctx;
	int ret = get_offset(s);

	if (ret)
		return ret;
	s->q = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, s->offset);
	return s->q == MAP_FAILED ? -errno : 0;
}

static void undo_mmap(void *ctx)
{
	struct subject *s = ctx;

	munmap(s->q, SIZE);
}

/* Page faults by a system call, which tells of the error; in tables that are new. */
static int run_touch(void *ctx)
{
	struct subject *s = ctx;
	int ret = 0;

	s->q = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, s->offset);
	if (s->q == MAP_FAILED)
		return -errno;
	if (read(zero, s->q + SIZE / 2, 8) != 8)
		ret = -errno;
	munmap(s->q, SIZE);
	return ret;
}

static int run_attach(void *ctx)
{
	struct subject *s = ctx;
	struct vrnic_reg_mr reg = {
		.fd = s->dmabuf, .mode = VRNIC_MR_EAGER, .length = SIZE,
		.access = VRNIC_ACCESS_REMOTE_READ,
	};
	int ret = do_call(nic, VRNIC_IOC_REG_MR, &reg);

	s->made = reg.handle;
	return ret;
}

static void undo_attach(void *ctx)
{
	vrnic_dereg_mr(nic, ((struct subject *)ctx)->made);
}

static int run_revoke(void *ctx)
{
	struct subject *s = ctx;
	struct drm_vvram_gem_revoke arg = { .handle = s->handle };

	return do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &arg);
}

static const struct fault_op ops[] = {
	{ "create", run_create, undo_create },
	{ "create dumb", run_create_dumb, undo_create },
	{ "info", run_info, NULL },
	{ "query", run_query, NULL },
	{ "export", run_export, undo_file },
	{ "import", run_import, undo_import },
	{ "attach and map", run_attach, undo_attach },
	{ "attachments", run_attachments, NULL },
	{ "mmap", run_mmap, undo_mmap },
	{ "fault", run_touch, NULL },
	{ "move", run_move, undo_move },
	{ "move async", run_move_async, undo_move },
};

static void check_place(struct subject *s, uint32_t place)
{
	unsigned int i, n;

	for (i = 0; i < ARRAY_LEN(ops); i++) {
		s->place = place;
		vvram_move(fd, s->handle, place == VRAM ? SYSTEM : VRAM);
		n = fail_each(&ops[i], s);
		igt_info("%s: %u faults\n", ops[i].name, n);
		igt_assert_eq(pattern_find_bad(s->p + 4096, 4096, 1, 1), -1);
	}
}

static void test_calls(void)
{
	static const struct fault_op revoke = { "revoke", run_revoke, NULL };
	struct drm_syncobj_create create = {};
	struct subject s = {};

	s.handle = vvram_create(fd, SIZE, VRAM);
	s.p = vvram_mmap(fd, s.handle, SIZE);
	igt_assert_eq(get_offset(&s), 0);
	pattern_fill(s.p + 4096, 4096, 1);
	s.dmabuf = prime_handle_to_fd_for_mmap(fd, s.handle);
	igt_assert_eq(do_call(fd, DRM_IOCTL_SYNCOBJ_CREATE, &create), 0);
	s.syncobj = create.handle;

	check_place(&s, VRAM);
	check_place(&s, SYSTEM);
	fail_each(&revoke, &s);

	munmap(s.p, SIZE);
	close(s.dmabuf);
	gem_close(fd, s.handle);
	igt_assert_eq(do_call(fd, DRM_IOCTL_SYNCOBJ_DESTROY, &create), 0);
	close(other);
	other = vvram_open_again();
	vvram_wait_unused(fd);
}

static char node[64];

static int run_open(void *ctx)
{
	struct subject *s = ctx;

	s->file = open(node, O_RDWR | O_CLOEXEC);
	return s->file < 0 ? -errno : 0;
}

static void test_files(void)
{
	static const struct fault_op op = { "open", run_open, undo_file };
	struct subject s = {};

	snprintf(node, sizeof(node), "%s", getenv("VVRAM_CARD") ?: "/dev/dri/card0");
	igt_info("open: %u faults\n", fail_each(&op, &s));
}

igt_main {
	igt_fixture {
		igt_require_f(faults_available(), "the kernel injects no faults\n");
		fd = drm_open_driver(DRIVER_ANY);
		other = vvram_open_again();
		nic = vrnic_open();
		zero = open("/dev/zero", O_RDONLY);
	}

	igt_describe("The errno is right, nothing leaks, the bytes stay.");
	igt_subtest("calls")
		test_calls();
	igt_describe("No half-made client stays.");
	igt_subtest("files")
		test_files();

	igt_fixture {
		close(zero);
		close(nic);
		close(other);
		drm_close_driver(fd);
	}
}
