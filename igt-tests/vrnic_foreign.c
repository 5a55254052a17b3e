// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic foreign
 * Category: Core
 * Description: Regions on dma-bufs of the kernel's other exporters.
 *
 * SUBTEST: udmabuf
 * Description: A memfd through udmabuf: what the importer writes is in the file.
 * SUBTEST: dma-heap
 * Description: A buffer of the system dma-heap.
 * SUBTEST: vgem
 * Description: A dumb buffer of vgem.
 * SUBTEST: across
 * Description: From a buffer of one exporter straight into another's, which moves.
 */

#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <sys/syscall.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("Regions on the kernel's other exporters.");

/* No segment may be longer than what udmabuf's own device claims to map: 64 KiB. */
#define SIZE	KIB(64)

static int fd = -1, nic = -1, vgem = -1;

/* A buffer and a way of the CPU to its bytes that does not go through vrnic. */
struct foreign {
	int dmabuf;
	int memfd;
	uint32_t handle;
	uint8_t *p;
};

static struct foreign from_udmabuf(void)
{
	struct foreign f = { .memfd = memfd_create("foreign", MFD_ALLOW_SEALING) };
	struct udmabuf_create create = { .memfd = f.memfd, .size = SIZE };
	int dev = open("/dev/udmabuf", O_RDWR);

	igt_require_f(dev >= 0, "no udmabuf\n");
	igt_assert_fd(f.memfd);
	igt_assert_eq(ftruncate(f.memfd, SIZE), 0);
	igt_assert_eq(fcntl(f.memfd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	f.dmabuf = ioctl(dev, UDMABUF_CREATE, &create);
	igt_assert_fd(f.dmabuf);
	close(dev);
	f.p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f.memfd, 0);
	igt_assert(f.p != MAP_FAILED);
	return f;
}

static struct foreign from_dma_heap(void)
{
	struct foreign f = { .memfd = -1 };

	f.dmabuf = dma_heap_buffer(SIZE, &f.p);
	return f;
}

static struct foreign from_vgem(void)
{
	struct drm_mode_create_dumb create = { .width = SIZE / 1024, .height = 256, .bpp = 32 };
	struct foreign f = { .memfd = -1 };

	if (vgem < 0 && !system("modprobe -q vgem"))
		vgem = open_card("vgem");
	igt_require_f(vgem >= 0, "no vgem\n");
	igt_assert_eq(do_call(vgem, DRM_IOCTL_MODE_CREATE_DUMB, &create), 0);
	igt_assert_eq_u64(create.size, SIZE);
	f.handle = create.handle;
	f.dmabuf = prime_handle_to_fd_for_mmap(vgem, f.handle);
	f.p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f.dmabuf, 0);
	igt_assert(f.p != MAP_FAILED);
	return f;
}

static void release(struct foreign *f)
{
	munmap(f->p, SIZE);
	close(f->dmabuf);
	if (f->memfd >= 0)
		close(f->memfd);
	if (f->handle)
		gem_close(vgem, f->handle);
}

static void cpu_access(struct foreign *f, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags | DMA_BUF_SYNC_RW };

	igt_assert_eq(do_call(f->dmabuf, DMA_BUF_IOCTL_SYNC, &sync), 0);
}

static void check_mode(struct foreign *f, uint32_t mode, uint64_t seed)
{
	struct vrnic_reg_mr reg = vrnic_reg_dma_buf(nic, f->dmabuf, mode, SIZE);
	uint8_t *local = alloc_pages(SIZE);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, SIZE);
	uint32_t queue = vrnic_create_queue(nic, 4);
	struct vrnic_query_mr mr;

	pattern_fill(local, SIZE, seed);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &reg, 0, &mem, 0, SIZE).status, 0);
	cpu_access(f, DMA_BUF_SYNC_START);
	pattern_check(f->p, SIZE, seed);
	pattern_fill(f->p, SIZE, ~seed);
	cpu_access(f, DMA_BUF_SYNC_END);
	memset(local, 0, SIZE);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &reg, 0, &mem, 0, SIZE).status, 0);
	pattern_check(local, SIZE, ~seed);

	mr = vrnic_query_mr(nic, reg.handle);
	igt_assert_eq_u64(mr.counters.violations, 0);
	igt_assert_eq_u64(mr.counters.dma_faults, 0);
	igt_assert_eq(mr.state & VRNIC_MR_STATE_PEER, 0);
	vrnic_destroy_queue(nic, queue);
	vrnic_dereg_mr(nic, reg.handle);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, SIZE);
}

static void test_exporter(struct foreign (*make)(void))
{
	static const uint32_t modes[] = {
		VRNIC_MR_ON_DEMAND, VRNIC_MR_EAGER, VRNIC_MR_FENCED, VRNIC_MR_PINNED, VRNIC_MR_STATIC,
	};
	struct foreign f = make();
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(modes); i++)
		check_mode(&f, modes[i], i + 1);
	release(&f);
}

static void test_across(void)
{
	struct foreign f = from_udmabuf();
	struct vrnic_reg_mr reg = vrnic_reg_dma_buf(nic, f.dmabuf, VRNIC_MR_ON_DEMAND, SIZE);
	struct shared s = share_buffer(fd, nic, SIZE, VRNIC_MR_ON_DEMAND, 0);
	uint32_t queue = vrnic_create_queue(nic, 4);
	struct mover m;
	uint64_t round;

	mover_start(&m, fd, s.handle);
	for (round = 1; round <= 20; round++) {
		pattern_fill(f.p, SIZE, round);
		igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &s.reg, 0, &reg, 0,
					 SIZE).status, 0);
		memset(f.p, 0, SIZE);
		igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &s.reg, 0, &reg, 0,
					 SIZE).status, 0);
		pattern_check(f.p, SIZE, round);
	}
	mover_stop(&m);
	pattern_check(s.p, SIZE, round - 1);
	vrnic_dereg_mr(nic, reg.handle);
	unshare_buffer(fd, nic, &s);
	release(&f);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
	}

	igt_describe("The file is the reference.");
	igt_subtest("udmabuf")
		test_exporter(from_udmabuf);
	igt_describe("What V4L2 and Android share.");
	igt_subtest("dma-heap")
		test_exporter(from_dma_heap);
	igt_describe("Another DRM driver.");
	igt_subtest("vgem")
		test_exporter(from_vgem);
	igt_describe("Two exporters in one request.");
	igt_subtest("across")
		test_across();

	igt_fixture {
		if (vgem >= 0) {
			close(vgem);
			igt_assert_eq(system("rmmod vgem"), 0);
		}
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
	}
}
