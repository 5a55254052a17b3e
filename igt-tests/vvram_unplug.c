// SPDX-License-Identifier: MIT
/**
 * TEST: vvram unplug
 * Category: Core
 * Description: The device goes away while it is in use, and comes back.
 *
 * SUBTEST: unbind-in-use
 * Description: Unbinding with mappings, regions and moves under way is clean.
 * SUBTEST: fence-done-%s
 * Description: The fence of a copy that was done says so when the device is gone.
 * SUBTEST: fence-cut-short-%s
 * Description: That of a copy that the device's end cut short says -ENODEV.
 * SUBTEST: %s-cut-short
 * Description: A call that waits for a copy says -ENODEV when the device's end cut it short.
 * SUBTEST: importer-unbind
 * Description: The importer goes away in the middle of transfers; moves go on.
 */

#include <linux/dma-buf.h>
#include <linux/sync_file.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>

#include "module.h"

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

/* Longer than anything takes until the device has begun to go. */
#define DELAY_MS	"5000"

/* A way for the device to go and come back; false when there is none. */
struct way {
	const char *name;
	bool (*possible)(void);
	void (*go)(void);
	void (*back)(void);
};

static char function[64], parameters[1024];

static bool can_unbind(void)
{
	return bound_function(VVRAM_DRIVER, function);
}

static void unbind(void)
{
	driver_write(VVRAM_DRIVER, "unbind", function);
}

static void bind(void)
{
	driver_write(VVRAM_DRIVER, "bind", function);
}

static bool can_unload(void)
{
	return module_can_reload("vvram");
}

static void unload(void)
{
	module_parameters("vvram", parameters, sizeof(parameters));
	module_unload("vvram");
}

static void load(void)
{
	int tries = 5, ret;

	/* A carve-out takes a long run of memory. */
	while ((ret = __module_load("vvram", parameters)) && --tries)
		igt_assert_eq(__debugfs_write("/proc/sys/vm/compact_memory", "1"), 0);
	igt_assert_f(!ret, "vvram can not be loaded again: %s\n", strerror(-ret));
}

static const struct way ways[] = {
	{ "unbind", can_unbind, unbind, bind },
	{ "unload", can_unload, unload, load },
};

/* 1 for done, 0 for under way, or an error; and who made the fence. */
static int fence_status(int file, char *driver)
{
	struct sync_fence_info fence = {};
	struct sync_file_info info = { .num_fences = 1, .sync_fence_info = (uintptr_t)&fence };

	igt_assert_eq(do_call(file, SYNC_IOC_FILE_INFO, &info), 0);
	igt_assert_eq(info.num_fences, 1);
	igt_assert_eq(info.status, fence.status);
	if (driver)
		memcpy(driver, fence.driver_name, sizeof(fence.driver_name));
	return info.status;
}

/* Starts a move, and gives its fence as the dma-buf and as a syncobj has it. */
static void move_for_fences(uint32_t handle, int dmabuf, int files[2])
{
	struct drm_syncobj_create syncobj = {};
	struct drm_vvram_sync out = { .flags = DRM_VVRAM_SYNC_SIGNAL };
	struct drm_vvram_gem_move move = {
		.handle = handle, .placement = SYSTEM, .flags = DRM_VVRAM_GEM_MOVE_ASYNC,
		.num_syncs = 1, .syncs = (uintptr_t)&out,
	};
	struct dma_buf_export_sync_file of_buffer = { .flags = DMA_BUF_SYNC_RW };
	struct drm_syncobj_handle of_syncobj = {
		.flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE, .fd = -1,
	};

	igt_assert_eq(do_call(fd, DRM_IOCTL_SYNCOBJ_CREATE, &syncobj), 0);
	out.handle = syncobj.handle;
	of_syncobj.handle = syncobj.handle;
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_MOVE, &move), 0);
	igt_assert_eq(do_call(dmabuf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &of_buffer), 0);
	igt_assert_eq(do_call(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &of_syncobj), 0);
	files[0] = of_buffer.fd;
	files[1] = of_syncobj.fd;
}

/* Since 7.x: what has signalled belongs to no driver any more. */
static bool fences_outlive_module(void)
{
	uint32_t handle = vvram_create(fd, 4096, VRAM);
	int dmabuf = prime_handle_to_fd_for_mmap(fd, handle), files[2], i;
	struct pollfd ready;
	char driver[32];

	move_for_fences(handle, dmabuf, files);
	ready = (struct pollfd) { .fd = files[1], .events = POLLIN };
	igt_assert_eq(poll(&ready, 1, 10000), 1);
	fence_status(files[1], driver);
	for (i = 0; i < 2; i++)
		close(files[i]);
	close(dmabuf);
	gem_close(fd, handle);
	return strcmp(driver, "vvram");
}

static void test_fence(const struct way *way, bool cut_short)
{
	const uint64_t size = MIB(4);
	int files[2], dmabuf, i;
	uint32_t handle;
	void *p;

	igt_require_f(way->possible(), "no way to %s\n", way->name);
	igt_require_f(way->go != unload || fences_outlive_module(),
		      "this kernel's fences need the module\n");
	handle = vvram_create(fd, size, VRAM);
	dmabuf = prime_handle_to_fd_for_mmap(fd, handle);
	p = vvram_mmap(fd, handle, size);
	pattern_fill(p, size, 5);
	if (cut_short)
		chaos_write(fd, "delay_ms", DELAY_MS);
	move_for_fences(handle, dmabuf, files);
	if (!cut_short)
		pattern_check(p, size, 5);
	munmap(p, size);
	close(dmabuf);
	gem_close(fd, handle);
	for (i = 0; i < 2; i++)
		igt_assert_eq(fence_status(files[i], NULL), cut_short ? 0 : 1);
	close(fd);
	way->go();
	way->back();
	fd = vvram_open_again();
	igt_assert_fd(fd);

	for (i = 0; i < 2; i++) {
		struct pollfd ready = { .fd = files[i], .events = POLLIN };

		igt_assert_eq(fence_status(files[i], NULL), cut_short ? -ENODEV : 1);
		igt_assert_eq(poll(&ready, 1, 0), 1);
		close(files[i]);
	}
}

/* Calls that wait for the bytes of a buffer. */
static int move_there(uint32_t handle, int dmabuf)
{
	(void)dmabuf;
	return __vvram_move(fd, handle, SYSTEM);
}

static int move_back(uint32_t handle, int dmabuf)
{
	struct drm_vvram_gem_move move = {
		.handle = handle, .placement = SYSTEM, .flags = DRM_VVRAM_GEM_MOVE_ASYNC,
	};

	(void)dmabuf;
	if (do_call(fd, DRM_IOCTL_VVRAM_GEM_MOVE, &move))
		return -EINVAL;
	return __vvram_move(fd, handle, VRAM);
}

static int pin(uint32_t handle, int dmabuf)
{
	struct vrnic_reg_mr reg = {
		.mode = VRNIC_MR_PINNED, .fd = dmabuf, .length = MIB(4),
		.access = VRNIC_ACCESS_REMOTE_READ,
	};
	struct drm_vvram_gem_move move = {
		.handle = handle, .placement = SYSTEM, .flags = DRM_VVRAM_GEM_MOVE_ASYNC,
	};
	int ret;

	if (do_call(fd, DRM_IOCTL_VVRAM_GEM_MOVE, &move))
		return -EINVAL;
	ret = __vrnic_reg_mr(nic, &reg);
	if (!ret)
		vrnic_dereg_mr(nic, reg.handle);
	return ret;
}

static const struct waiter {
	const char *name;
	int (*call)(uint32_t handle, int dmabuf);
} waiters[] = {
	{ "move", move_there },
	{ "move-back", move_back },
	{ "pin", pin },
};

static int call_in_child(const struct waiter *w, uint32_t handle, int dmabuf, bool with_unbind)
{
	uint64_t end = now_ms() + 3000;
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(-w->call(handle, dmabuf));
	igt_assert_lt(0, pid);
	if (with_unbind) {
		while (strstr(read_file(vvram_debugfs(fd, "copy")), "jobs: 0"))
			igt_assert_lt(now_ms(), end);
		usleep(300000);
		unbind();
	}
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void test_cut_short(const struct waiter *w)
{
	const uint64_t size = MIB(4);
	uint32_t handle;
	int dmabuf, ret;
	void *p;

	igt_require_f(can_unbind(), "VRAM is not a PCI function\n");
	handle = vvram_create(fd, size, VRAM);
	dmabuf = prime_handle_to_fd_for_mmap(fd, handle);
	p = vvram_mmap(fd, handle, size);
	pattern_fill(p, size, 6);
	/* The control: with the device there it is only slow. */
	chaos_write(fd, "delay_ms", "100");
	igt_assert_eq(call_in_child(w, handle, dmabuf, false), 0);
	pattern_check(p, size, 6);
	vvram_move(fd, handle, VRAM);
	munmap(p, size);

	chaos_write(fd, "delay_ms", "3000");
	ret = call_in_child(w, handle, dmabuf, true);
	close(dmabuf);
	close(fd);
	bind();
	fd = vvram_open_again();
	igt_assert_fd(fd);
	igt_assert_eq(ret, -ENODEV);
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
	static char vram[64], importer[64];

	igt_fixture {
		if (!bound_function(VVRAM_DRIVER, vram))
			vram[0] = 0;
		if (!bound_function(VRNIC_DRIVER, importer))
			importer[0] = 0;
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
	}

	igt_describe("No fault, no hang, and a device that can be bound again.");
	igt_subtest("unbind-in-use")
		test_unbind_in_use();
	for (unsigned int i = 0; i < ARRAY_LEN(ways); i++) {
		igt_describe("Done is done for ever.");
		igt_subtest_f("fence-done-%s", ways[i].name)
			test_fence(&ways[i], false);
		igt_describe("What was not done is not said to be.");
		igt_subtest_f("fence-cut-short-%s", ways[i].name)
			test_fence(&ways[i], true);
	}
	for (unsigned int i = 0; i < ARRAY_LEN(waiters); i++) {
		igt_describe("No success without the bytes.");
		igt_subtest_f("%s-cut-short", waiters[i].name)
			test_cut_short(&waiters[i]);
	}
	igt_describe("Work ends, mappings are given back, the exporter is free.");
	igt_subtest("importer-unbind")
		test_importer_unbind();

	igt_fixture {
		/* A test that failed in between leaves them to the next one. */
		if (vram[0])
			bind_again(VVRAM_DRIVER, vram);
		if (importer[0])
			bind_again(VRNIC_DRIVER, importer);
		close(nic);
		close(fd);
	}
}
