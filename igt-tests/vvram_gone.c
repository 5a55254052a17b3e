// SPDX-License-Identifier: MIT
/**
 * TEST: vvram gone
 * Category: Core
 * Description: Doors that close when the device goes away; it is back after each test.
 *
 * SUBTEST: vmap-after
 * Description: The kernel gets no mapping of a dma-buf that outlives its device.
 * SUBTEST: vmap-held
 * Description: Unbinding waits for a mapping of the kernel's, which stays good.
 * SUBTEST: vmap-cut-short
 * Description: The kernel gets no mapping of bytes that the device's end keeps from coming.
 * SUBTEST: create
 * Description: A file that is still open makes no buffer, of either kind.
 * SUBTEST: create-race
 * Description: Buffers that are being made when the device goes hold nothing up.
 */

#include <sys/wait.h>

#include "movable.h"
#include "modules/rogue.h"

IGT_TEST_DESCRIPTION("Doors that close when the device goes away.");

#define SIZE	MIB(1)
#define MAKERS	2
#define ROUNDS	5

static int fd = -1, rogue = -1;
static char function[64];

/* All of the old device is closed before, so that the new one gets its number. */
static void open_again(void)
{
	close(fd);
	bind_again(VVRAM_DRIVER, function);
	fd = vvram_open_again();
	igt_assert_fd(fd);
}

/* A buffer whose bytes survive moves: the device works. */
static void check_device(void)
{
	uint32_t handle = vvram_create(fd, SIZE, VRAM);
	void *p = vvram_mmap(fd, handle, SIZE);

	pattern_fill(p, SIZE, 9);
	vvram_move(fd, handle, SYSTEM);
	vvram_move(fd, handle, VRAM);
	pattern_check(p, SIZE, 9);
	munmap(p, SIZE);
	gem_close(fd, handle);
}

static int make_dma_buf(void)
{
	uint32_t handle = 0;

	igt_assert_eq(__vvram_create(fd, SIZE, VRAM, DRM_VVRAM_GEM_CREATE_CONTIGUOUS, &handle), 0);
	return prime_handle_to_fd_for_mmap(fd, handle);
}

static void test_vmap_after(void)
{
	int32_t dmabuf = make_dma_buf();
	int before, after;

	before = do_call(rogue, ROGUE_IOC_TRY_VMAP, &dmabuf);
	driver_write(VVRAM_DRIVER, "unbind", function);
	after = do_call(rogue, ROGUE_IOC_TRY_VMAP, &dmabuf);
	close(dmabuf);
	open_again();
	check_device();
	igt_assert_eq(before, 0);
	igt_assert_eq(after, -ENODEV);
}

static void test_vmap_held(void)
{
	struct rogue_vmap vmap = { .fd = make_dma_buf() };
	uint64_t word = 0x1234567887654321, read_back = 0;
	int status, waited;
	ssize_t got = 0;
	pid_t pid;

	igt_assert_eq(do_call(rogue, ROGUE_IOC_VMAP, &vmap), 0);
	pid = fork();
	if (!pid)
		_exit(__debugfs_write(VVRAM_DRIVER "/unbind", function) != 0);
	sleep(2);
	waited = waitpid(pid, &status, WNOHANG);
	if (!waited) {
		igt_assert_eq(pwrite(rogue, &word, sizeof(word), SIZE / 2), sizeof(word));
		got = pread(rogue, &read_back, sizeof(read_back), SIZE / 2);
	}
	igt_assert_eq(do_call(rogue, ROGUE_IOC_VUNMAP, NULL), 0);
	if (!waited)
		igt_assert_eq(waitpid(pid, &status, 0), pid);
	close(vmap.fd);
	open_again();
	check_device();
	igt_assert(WIFEXITED(status) && !WEXITSTATUS(status));
	igt_assert_f(!waited, "it was unbound under the mapping\n");
	igt_assert_eq(got, sizeof(read_back));
	igt_assert_eq_u64(read_back, word);
}

static int vmap_while_unbinding(int32_t dmabuf)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(-do_call(rogue, ROGUE_IOC_TRY_VMAP, &dmabuf));
	igt_assert_lt(0, pid);
	usleep(500000);
	driver_write(VVRAM_DRIVER, "unbind", function);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void test_vmap_cut_short(void)
{
	int dmabuf, ret;

	chaos_delay(fd, 3000);
	dmabuf = make_dma_buf();
	ret = vmap_while_unbinding(dmabuf);
	close(dmabuf);
	open_again();
	check_device();
	igt_assert_eq(ret, -ENODEV);
}

static int create_dumb(uint32_t width, uint32_t *handle)
{
	struct drm_mode_create_dumb arg = { .width = width, .height = 64, .bpp = 32 };
	int ret = do_call(fd, DRM_IOCTL_MODE_CREATE_DUMB, &arg);

	*handle = arg.handle;
	return ret;
}

static void test_create(void)
{
	uint32_t handle = 0;
	int dumb, gem;

	igt_assert_eq(create_dumb(4096, &handle), 0);
	igt_assert_eq(__vvram_create(fd, SIZE, VRAM, 0, &handle), 0);
	driver_write(VVRAM_DRIVER, "unbind", function);
	dumb = create_dumb(4096, &handle);
	gem = __vvram_create(fd, SIZE, VRAM, 0, &handle);
	open_again();
	check_device();
	igt_assert_eq(dumb, -ENODEV);
	igt_assert_eq(gem, -ENODEV);
}

static void *maker(void *arg)
{
	intptr_t n = (intptr_t)arg;
	uint32_t handle = 0;
	int ret, i;

	for (i = 0;; i++) {
		/* From those that are cleared at once to those of several parts. */
		ret = n % 2 ? create_dumb(64 << i % 8, &handle) :
			      __vvram_create(fd, KIB(16) << i % 8, VRAM, 0, &handle);
		if (ret)
			return (void *)(intptr_t)ret;
		if (i % 64 == 63)
			usleep(1000);
		if (handle) {
			struct drm_gem_close close_arg = { .handle = handle };

			/* Refused when the device has gone: then it goes with the file. */
			ioctl(fd, DRM_IOCTL_GEM_CLOSE, &close_arg);
		}
	}
}

static void test_create_race(void)
{
	void *results[MAKERS] = {};
	pthread_t threads[MAKERS];
	int round;
	intptr_t i;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < MAKERS; i++)
			igt_assert_eq(pthread_create(&threads[i], NULL, maker, (void *)i), 0);
		usleep(50000 + 7000 * round);
		driver_write(VVRAM_DRIVER, "unbind", function);
		for (i = 0; i < MAKERS; i++)
			pthread_join(threads[i], &results[i]);
		open_again();
		for (i = 0; i < MAKERS; i++)
			igt_assert_eq((intptr_t)results[i], -ENODEV);
		check_device();
		vvram_wait_unused(fd);
	}
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		igt_require_f(bound_function(VVRAM_DRIVER, function),
			      "VRAM is not a PCI function\n");
		rogue = open_rogue();
		igt_assert_fd(rogue);
	}

	igt_describe("There is nothing left that could be mapped.");
	igt_subtest("vmap-after")
		test_vmap_after();
	igt_describe("Who has a pointer is waited for.");
	igt_subtest("vmap-held")
		test_vmap_held();
	igt_describe("What is not there can't be mapped.");
	igt_subtest("vmap-cut-short")
		test_vmap_cut_short();
	igt_describe("No buffer is born after its device.");
	igt_subtest("create")
		test_create();
	igt_describe("The device goes, comes, and works, whoever makes buffers.");
	igt_subtest("create-race")
		test_create_race();

	igt_fixture {
		close(rogue);
		vvram_wait_unused(fd);
		close(fd);
		igt_assert_eq(system("rmmod rogue"), 0);
	}
}
