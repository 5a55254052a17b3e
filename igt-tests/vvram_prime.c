// SPDX-License-Identifier: MIT
/**
 * TEST: vvram prime
 * Category: Core
 * Description: Export and import of buffers as dma-bufs, and rules of handles.
 *
 * SUBTEST: re-import
 * Description: Importing again gives the same handle; self-import the original.
 * SUBTEST: re-export
 * Description: Exporting again, from either file, gives the same dma-buf.
 * SUBTEST: lifetime
 * Description: Bytes survive the closing of the fd, the handle, then the file.
 * SUBTEST: errors
 * Description: What is no dma-buf, or no handle, is refused.
 * SUBTEST: lseek
 * Description: Seeking tells the size and nothing else.
 * SUBTEST: rights
 * Description: The first export decides whether a buffer's dma-buf may be written to.
 * SUBTEST: rights-self-import
 * Description: A buffer imported by another file of vvram is the buffer itself,
 *	whatever the rights of the dma-buf.
 * SUBTEST: foreign
 * Description: A buffer of another device can be held, but not moved or mapped.
 * SUBTEST: race-import-close
 * Description: Importing races with closing the handle; nothing leaks.
 * SUBTEST: race-export-close
 * Description: Exporting races with closing the handle; nothing leaks.
 */

#include <linux/udmabuf.h>
#include <pthread.h>
#include <sys/stat.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("vvram's buffers as dma-bufs.");

static int fd = -1;

static ino_t inode_of(int dmabuf)
{
	struct stat st;

	igt_assert_eq(fstat(dmabuf, &st), 0);
	return st.st_ino;
}

static void test_re_import(void)
{
	uint32_t handle = vvram_create(fd, KIB(64), VRAM), there;
	int other = drm_open_driver(DRIVER_ANY);
	int dmabuf = prime_handle_to_fd(fd, handle);

	igt_assert_eq(prime_fd_to_handle(fd, dmabuf), handle);
	there = prime_fd_to_handle(other, dmabuf);
	igt_assert_eq(prime_fd_to_handle(other, dmabuf), there);
	igt_assert_eq_u64(vvram_info(other, there).inode, inode_of(dmabuf));
	igt_assert_eq(vvram_info(other, there).placement, VRAM);

	close(dmabuf);
	drm_close_driver(other);
	gem_close(fd, handle);
}

static void test_re_export(void)
{
	uint32_t handle = vvram_create(fd, KIB(64), VRAM), there;
	int other = drm_open_driver(DRIVER_ANY);
	int a = prime_handle_to_fd(fd, handle), b, c;

	there = prime_fd_to_handle(other, a);
	b = prime_handle_to_fd(other, there);
	igt_assert_eq_u64(inode_of(a), inode_of(b));
	close(a);
	close(b);
	gem_close(fd, handle);
	c = prime_handle_to_fd(other, there);
	igt_assert_eq_u64(prime_get_size(c), KIB(64));
	close(c);
	drm_close_driver(other);
}

static void test_lifetime(void)
{
	const uint64_t size = KIB(256);
	int other = drm_open_driver(DRIVER_ANY), dmabuf, late;
	uint32_t handle = vvram_create(other, size, VRAM);
	void *p;

	dmabuf = prime_handle_to_fd_for_mmap(other, handle);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	igt_assert(p != MAP_FAILED);
	pattern_fill(p, size, 5);

	late = dup(dmabuf);
	close(dmabuf);
	gem_close(other, handle);
	drm_close_driver(other);
	pattern_check(p, size, 5);

	handle = prime_fd_to_handle(fd, late);
	vvram_move(fd, handle, SYSTEM);
	pattern_check(p, size, 5);
	munmap(p, size);
	close(late);
	gem_close(fd, handle);
}

static void test_errors(void)
{
	struct drm_prime_handle arg = { .handle = 12345 };
	uint32_t handle = vvram_create(fd, KIB(4), VRAM), out;
	int pipes[2];

	igt_assert_eq(do_call(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &arg), -ENOENT);
	arg = (struct drm_prime_handle){ .handle = handle, .flags = 1 << 30 };
	igt_assert_eq(do_call(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &arg), -EINVAL);

	igt_assert_eq(__prime_fd_to_handle(fd, -1, &out), -EBADF);
	igt_assert_eq(__prime_fd_to_handle(fd, 1023, &out), -EBADF);
	igt_assert_eq(pipe(pipes), 0);
	igt_assert_eq(__prime_fd_to_handle(fd, pipes[0], &out), -EINVAL);
	igt_assert_eq(__prime_fd_to_handle(fd, fd, &out), -EINVAL);
	close(pipes[0]);
	close(pipes[1]);
	gem_close(fd, handle);
}

static void test_lseek(void)
{
	uint32_t handle = vvram_create(fd, KIB(20), VRAM);
	int dmabuf = prime_handle_to_fd(fd, handle);

	igt_assert_eq_u64(lseek(dmabuf, 0, SEEK_END), KIB(20));
	igt_assert_eq_u64(lseek(dmabuf, 0, SEEK_SET), 0);
	igt_assert_eq(lseek(dmabuf, 4096, SEEK_SET), -1);
	igt_assert_eq(errno, EINVAL);
	igt_assert_eq(lseek(dmabuf, 0, SEEK_CUR), -1);
	igt_assert_eq(errno, EINVAL);
	close(dmabuf);
	gem_close(fd, handle);
}

static int export_with(uint32_t handle, uint32_t rights)
{
	struct drm_prime_handle arg = { .handle = handle, .flags = DRM_CLOEXEC | rights };

	igt_assert_eq(do_call(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &arg), 0);
	return arg.fd;
}

static int map_for(int dmabuf, int prot)
{
	void *p = mmap(NULL, KIB(4), prot, MAP_SHARED, dmabuf, 0);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, KIB(4));
	return 0;
}

static void test_rights(void)
{
	uint32_t handle = vvram_create(fd, KIB(4), VRAM), other = vvram_create(fd, KIB(4), VRAM);
	int first = export_with(handle, 0), second = export_with(handle, DRM_RDWR);

	igt_assert_eq_u64(inode_of(first), inode_of(second));
	igt_assert_eq(map_for(first, PROT_READ), 0);
	igt_assert_eq(map_for(first, PROT_READ | PROT_WRITE), -EACCES);
	igt_assert_eq(map_for(second, PROT_READ | PROT_WRITE), -EACCES);

	/* The core keeps the dma-buf with the handle. */
	close(first);
	close(second);
	second = export_with(handle, DRM_RDWR);
	igt_assert_eq(map_for(second, PROT_READ | PROT_WRITE), -EACCES);
	close(second);

	/* The control: the other order. */
	first = export_with(other, DRM_RDWR);
	second = export_with(other, 0);
	igt_assert_eq(map_for(first, PROT_READ | PROT_WRITE), 0);
	igt_assert_eq(map_for(second, PROT_READ | PROT_WRITE), 0);
	close(first);
	close(second);
	gem_close(fd, other);
	gem_close(fd, handle);
}

static void test_rights_self_import(void)
{
	uint32_t handle = vvram_create(fd, KIB(4), VRAM), there;
	int dmabuf = export_with(handle, 0), other = drm_open_driver(DRIVER_ANY);
	void *p = vvram_mmap(fd, handle, KIB(4)), *q;

	there = prime_fd_to_handle(other, dmabuf);
	q = vvram_mmap(other, there, KIB(4));
	pattern_fill(q, KIB(4), 3);
	pattern_check(p, KIB(4), 3);
	igt_assert_eq(map_for(dmabuf, PROT_READ | PROT_WRITE), -EACCES);
	munmap(p, KIB(4));
	munmap(q, KIB(4));
	close(dmabuf);
	drm_close_driver(other);
	gem_close(fd, handle);
}

static int make_udmabuf(uint64_t size)
{
	struct udmabuf_create create = { .size = size };
	int dev = open("/dev/udmabuf", O_RDWR), dmabuf;

	igt_require_f(dev >= 0, "the kernel has no udmabuf\n");
	create.memfd = memfd_create("movable", MFD_ALLOW_SEALING);
	igt_assert_fd(create.memfd);
	igt_assert_eq(ftruncate(create.memfd, size), 0);
	igt_assert_eq(fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	dmabuf = ioctl(dev, UDMABUF_CREATE, &create);
	igt_assert_fd(dmabuf);
	close(create.memfd);
	close(dev);
	return dmabuf;
}

static void test_foreign(void)
{
	int dmabuf = make_udmabuf(KIB(64)), again;
	uint32_t handle = prime_fd_to_handle(fd, dmabuf);
	struct drm_vvram_gem_mmap_offset map = { .handle = handle };

	igt_assert_eq(vvram_info(fd, handle).placement, DRM_VVRAM_PLACEMENT_FOREIGN);
	igt_assert_eq(__vvram_move(fd, handle, SYSTEM), -EINVAL);
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, &map), -EINVAL);
	again = prime_handle_to_fd(fd, handle);
	igt_assert_eq_u64(inode_of(again), inode_of(dmabuf));
	close(again);
	close(dmabuf);
	gem_close(fd, handle);
}

struct race {
	int dmabuf;
	uint32_t handle;
	bool export;
	volatile bool stop;
};

static void *race_thread(void *arg)
{
	struct race *r = arg;
	struct drm_prime_handle prime;
	uint32_t handle;

	while (!r->stop) {
		if (!r->export && !__prime_fd_to_handle(fd, r->dmabuf, &handle)) {
			struct drm_gem_close close_arg = { .handle = handle };

			ioctl(fd, DRM_IOCTL_GEM_CLOSE, &close_arg);
		} else if (r->export) {
			prime = (struct drm_prime_handle){ .handle = r->handle, .flags = O_CLOEXEC };
			if (!ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime))
				close(prime.fd);
		}
	}
	return NULL;
}

static void test_race(bool export)
{
	struct race r = { .export = export };
	uint64_t end = now_ms() + 1000;
	pthread_t threads[2];
	uint32_t handle = 0;
	int i;

	vvram_wait_unused(fd);
	if (!export) {
		handle = vvram_create(fd, KIB(4), VRAM);
		r.dmabuf = prime_handle_to_fd(fd, handle);
	}
	for (i = 0; i < 2; i++)
		igt_assert_eq(pthread_create(&threads[i], NULL, race_thread, &r), 0);
	while (now_ms() < end) {
		if (!export)
			continue;
		r.handle = vvram_create(fd, KIB(4), VRAM);
		usleep(50);
		gem_close(fd, r.handle);
	}
	r.stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	if (!export) {
		struct drm_gem_close close_arg = { .handle = handle };

		ioctl(fd, DRM_IOCTL_GEM_CLOSE, &close_arg);
		close(r.dmabuf);
	}
	vvram_wait_unused(fd);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
	}

	igt_describe("One buffer has one handle in a file.");
	igt_subtest("re-import")
		test_re_import();
	igt_describe("One buffer has one dma-buf.");
	igt_subtest("re-export")
		test_re_export();
	igt_describe("A dma-buf keeps its buffer, whatever else is closed.");
	igt_subtest("lifetime")
		test_lifetime();
	igt_describe("The field's errno for each wrong argument.");
	igt_subtest("errors")
		test_errors();
	igt_describe("Only the size can be asked for.");
	igt_subtest("lseek")
		test_lseek();
	igt_describe("One dma-buf has one set of rights.");
	igt_subtest("rights")
		test_rights();
	igt_describe("Who may import a buffer has a handle, and what goes with it.");
	igt_subtest("rights-self-import")
		test_rights_self_import();
	igt_describe("Another exporter's buffer stays that exporter's.");
	igt_subtest("foreign")
		test_foreign();
	igt_describe("No handle is closed twice and no buffer is left.");
	igt_subtest("race-import-close")
		test_race(false);
	igt_describe("No dma-buf outlives its use.");
	igt_subtest("race-export-close")
		test_race(true);

	igt_fixture {
		vvram_wait_unused(fd);
		drm_close_driver(fd);
	}
}
