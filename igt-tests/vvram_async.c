// SPDX-License-Identifier: MIT
/**
 * TEST: vvram async
 * Category: Core
 * Description: Asynchronous moves and the fences that they leave.
 *
 * SUBTEST: out-syncobj
 * Description: The call returns at once; the syncobj signals when the bytes arrived.
 * SUBTEST: timeline
 * Description: The same with points of a timeline.
 * SUBTEST: in-fence
 * Description: A move starts after what it was told to wait for.
 * SUBTEST: several-in-fences
 * Description: It starts after all of them, and after the buffer's own last move.
 * SUBTEST: already-there%s
 * Description: Of a buffer that need not move, out still means after in.
 * SUBTEST: already-there-moving
 * Description: The same for one that is on its way there: after in, and after its bytes.
 * SUBTEST: already-there-waits
 * Description: A call that waits returns after the fence that it was given.
 * SUBTEST: pointer-waits
 * Description: A CPU access of a buffer on its way waits for its bytes.
 * SUBTEST: importer-waits
 * Description: An importer waits for the KERNEL fence; one that does not is caught.
 * SUBTEST: dma-buf-poll
 * Description: poll() of the dma-buf tells a move under way, for reading and writing.
 * SUBTEST: sync-file
 * Description: An exported sync_file is a snapshot of the move's fence.
 * SUBTEST: sync-file-arguments
 * Description: Flags of the sync_file calls and of the SYNC call.
 * SUBTEST: waits-for-fences
 * Description: A move waits for what userspace put into the reservation.
 */

#include <linux/dma-buf.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("Asynchronous moves and their fences.");

#define DELAY_MS	300

static int fd = -1, nic = -1;

static uint32_t new_syncobj(void)
{
	struct drm_syncobj_create arg = {};

	igt_assert_eq(do_call(fd, DRM_IOCTL_SYNCOBJ_CREATE, &arg), 0);
	return arg.handle;
}

static void free_syncobj(uint32_t handle)
{
	struct drm_syncobj_destroy arg = { .handle = handle };

	igt_assert_eq(do_call(fd, DRM_IOCTL_SYNCOBJ_DESTROY, &arg), 0);
}

static int wait_point(uint32_t handle, uint64_t point, int ms)
{
	struct drm_syncobj_wait binary = {
		.handles = (uintptr_t)&handle, .count_handles = 1,
	};
	struct timespec ts;
	int64_t deadline;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	deadline = ts.tv_sec * 1000000000LL + ts.tv_nsec + ms * 1000000LL;
	if (point) {
		struct drm_syncobj_timeline_wait arg = {
			.handles = (uintptr_t)&handle, .points = (uintptr_t)&point,
			.count_handles = 1, .timeout_nsec = deadline,
		};

		return do_call(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &arg);
	}
	binary.timeout_nsec = deadline;
	return do_call(fd, DRM_IOCTL_SYNCOBJ_WAIT, &binary);
}

static int __move_async(uint32_t handle, uint32_t placement, struct drm_vvram_sync *syncs,
			uint32_t count)
{
	struct drm_vvram_gem_move arg = {
		.handle = handle, .placement = placement, .flags = DRM_VVRAM_GEM_MOVE_ASYNC,
		.num_syncs = count, .syncs = (uintptr_t)syncs,
	};

	return do_call(fd, DRM_IOCTL_VVRAM_GEM_MOVE, &arg);
}

static void test_out(bool timeline)
{
	const uint64_t size = MIB(1), point = timeline ? 7 : 0;
	/* A machine with much else to do may well take a while to come back. */
	const int delay = 5 * DELAY_MS;
	uint32_t handle = vvram_create(fd, size, VRAM);
	void *p = vvram_mmap(fd, handle, size);
	struct drm_vvram_sync out = {
		.flags = DRM_VVRAM_SYNC_SIGNAL | (timeline ? DRM_VVRAM_SYNC_TIMELINE : 0),
		.handle = new_syncobj(), .point = point,
	};
	uint64_t start;

	pattern_fill(p, size, 1);
	chaos_delay(fd, delay);
	start = now_ms();
	igt_assert_eq(__move_async(handle, SYSTEM, &out, 1), 0);
	igt_assert_lt(now_ms() - start, delay / 2);
	igt_assert(vvram_info(fd, handle).flags & DRM_VVRAM_INFO_BUSY);
	igt_assert_eq(wait_point(out.handle, point, 0), -ETIME);
	igt_assert_eq(wait_point(out.handle, point, 10000), 0);
	igt_assert_lte(delay, now_ms() - start);
	igt_assert_eq(vvram_info(fd, handle).flags & DRM_VVRAM_INFO_BUSY, 0);
	chaos_delay(fd, 0);
	pattern_check(p, size, 1);

	/* Already there: signals at once. */
	igt_assert_eq(__move_async(handle, SYSTEM, &out, timeline ? 0 : 1), 0);
	igt_assert_eq(wait_point(out.handle, point, 1000), 0);
	free_syncobj(out.handle);
	munmap(p, size);
	gem_close(fd, handle);
}

static void test_in_fence(void)
{
	uint32_t a = vvram_create(fd, MIB(1), VRAM), b = vvram_create(fd, MIB(1), VRAM);
	struct drm_vvram_sync first = { .flags = DRM_VVRAM_SYNC_SIGNAL, .handle = new_syncobj() };
	struct drm_vvram_sync both[2] = {
		{ .handle = first.handle },
		{ .flags = DRM_VVRAM_SYNC_SIGNAL, .handle = new_syncobj() },
	};
	struct drm_vvram_sync empty = { .handle = new_syncobj() };
	uint64_t start;

	igt_assert_eq(__move_async(b, SYSTEM, &empty, 1), -EINVAL);
	igt_assert_eq(vvram_info(fd, b).placement, VRAM);

	chaos_delay(fd, DELAY_MS);
	start = now_ms();
	igt_assert_eq(__move_async(a, SYSTEM, &first, 1), 0);
	igt_assert_eq(__move_async(b, SYSTEM, both, 2), 0);
	igt_assert_eq(wait_point(both[1].handle, 0, 10000), 0);
	igt_assert_eq(wait_point(first.handle, 0, 0), 0);
	/* One after the other, not side by side. */
	igt_assert_lte(2 * DELAY_MS, now_ms() - start);
	chaos_delay(fd, 0);

	free_syncobj(first.handle);
	free_syncobj(both[1].handle);
	free_syncobj(empty.handle);
	gem_close(fd, a);
	gem_close(fd, b);
}

static void test_several_in_fences(void)
{
	const uint64_t size = MIB(1);
	struct drm_vvram_sync syncs[3];
	uint32_t handles[3];
	uint64_t start;
	void *p;
	int i;

	for (i = 0; i < 3; i++) {
		handles[i] = vvram_create(fd, size, VRAM);
		syncs[i] = (struct drm_vvram_sync) {
			.flags = DRM_VVRAM_SYNC_SIGNAL, .handle = new_syncobj(),
		};
	}
	p = vvram_mmap(fd, handles[2], size);
	pattern_fill(p, size, 3);

	chaos_delay(fd, DELAY_MS);
	start = now_ms();
	for (i = 0; i < 2; i++) {
		igt_assert_eq(__move_async(handles[i], SYSTEM, &syncs[i], 1), 0);
		syncs[i].flags = 0;
	}
	igt_assert_eq(__move_async(handles[2], SYSTEM, NULL, 0), 0);
	igt_assert_eq(__move_async(handles[2], VRAM, syncs, 3), 0);
	igt_assert_eq(wait_point(syncs[2].handle, 0, 10000), 0);
	igt_assert_lte(2 * DELAY_MS, now_ms() - start);
	chaos_delay(fd, 0);
	for (i = 0; i < 2; i++)
		igt_assert_eq(wait_point(syncs[i].handle, 0, 0), 0);
	igt_assert_eq(vvram_info(fd, handles[2]).placement, VRAM);
	pattern_check(p, size, 3);

	munmap(p, size);
	for (i = 0; i < 3; i++) {
		free_syncobj(syncs[i].handle);
		gem_close(fd, handles[i]);
	}
}

/* Lets @in signal when a slow move of a buffer, which is returned, is over. */
static uint32_t slow_fence(struct drm_vvram_sync *in, int ms)
{
	uint32_t handle = vvram_create(fd, MIB(1), VRAM);

	*in = (struct drm_vvram_sync){
		.flags = DRM_VVRAM_SYNC_SIGNAL, .handle = new_syncobj(),
	};
	/* Clear before, lest its clear waits as well. */
	vvram_move(fd, handle, SYSTEM);
	chaos_delay(fd, ms);
	igt_assert_eq(__move_async(handle, VRAM, in, 1), 0);
	in->flags = 0;
	return handle;
}

static void test_already_there(bool timeline, bool moving)
{
	static const uint32_t places[] = { SYSTEM, VRAM };
	unsigned int i, tries;
	uint64_t point = 0;
	bool seen;

	for (i = 0; i < ARRAY_LEN(places); i++) {
		for (seen = false, tries = 0; !seen && tries < 5; tries++) {
			uint32_t b = vvram_create(fd, MIB(1), places[i ^ moving]), a;
			struct drm_vvram_sync syncs[2];
			void *p = vvram_mmap(fd, b, MIB(1));
			int in, out;

			pattern_fill(p, MIB(1), 5);
			a = slow_fence(&syncs[0], moving && i ? 4 * DELAY_MS : 2 * DELAY_MS);
			if (moving) {
				/* Once the bytes are later, once the fence is. */
				chaos_delay(fd, i ? DELAY_MS : 4 * DELAY_MS);
				igt_assert_eq(__move_async(b, places[i], NULL, 0), 0);
			}
			point = timeline ? point + 1 : 0;
			syncs[1] = (struct drm_vvram_sync){
				.flags = DRM_VVRAM_SYNC_SIGNAL |
					 (timeline ? DRM_VVRAM_SYNC_TIMELINE : 0),
				.handle = new_syncobj(), .point = point,
			};
			igt_assert_eq(__move_async(b, places[i], syncs, 2), 0);

			/* In this order: out is not to be first, whenever that is looked at. */
			out = wait_point(syncs[1].handle, point, 0);
			in = wait_point(syncs[0].handle, 0, 0);
			igt_assert_f(out == -ETIME || !in, "out was signalled before in\n");
			seen = out == -ETIME && in == -ETIME;

			igt_assert_eq(wait_point(syncs[1].handle, point, 10000), 0);
			igt_assert_eq(wait_point(syncs[0].handle, 0, 0), 0);
			if (moving)
				igt_assert_eq(vvram_info(fd, b).flags & DRM_VVRAM_INFO_BUSY, 0);
			chaos_delay(fd, 0);
			igt_assert_eq(vvram_info(fd, b).placement, places[i]);
			pattern_check(p, MIB(1), 5);

			free_syncobj(syncs[0].handle);
			free_syncobj(syncs[1].handle);
			munmap(p, MIB(1));
			gem_close(fd, a);
			gem_close(fd, b);
		}
		igt_assert_f(seen, "the fence was always over before it was looked at\n");
	}
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void test_already_there_waits(void)
{
	struct sigaction act = { .sa_handler = on_alarm };
	uint32_t b = vvram_create(fd, MIB(1), SYSTEM), a;
	struct drm_vvram_sync in;
	struct drm_vvram_gem_move arg = {
		.handle = b, .placement = SYSTEM, .num_syncs = 1, .syncs = (uintptr_t)&in,
	};
	int ret;

	a = slow_fence(&in, 2 * DELAY_MS);
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_MOVE, &arg), 0);
	igt_assert_eq(wait_point(in.handle, 0, 0), 0);
	chaos_delay(fd, 0);
	free_syncobj(in.handle);
	gem_close(fd, a);

	/* A signal ends the wait: without SA_RESTART. */
	a = slow_fence(&in, 3000);
	sigaction(SIGALRM, &act, NULL);
	ualarm(300000, 300000);
	ret = ioctl(fd, DRM_IOCTL_VVRAM_GEM_MOVE, &arg) ? -errno : 0;
	ualarm(0, 0);
	igt_assert_eq(ret, -EINTR);
	igt_assert_eq(wait_point(in.handle, 0, 0), -ETIME);
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_MOVE, &arg), 0);
	igt_assert_eq(wait_point(in.handle, 0, 0), 0);
	chaos_delay(fd, 0);
	free_syncobj(in.handle);
	gem_close(fd, a);
	gem_close(fd, b);
}

static void test_pointer_waits(void)
{
	const uint64_t size = KIB(256);
	uint32_t handle = vvram_create(fd, size, VRAM);
	void *p = vvram_mmap(fd, handle, size);
	uint64_t start;

	pattern_fill(p, size, 2);
	chaos_delay(fd, DELAY_MS);
	start = now_ms();
	igt_assert_eq(__move_async(handle, SYSTEM, NULL, 0), 0);
	igt_assert_eq(pattern_find_bad(p, size, 2, 1), -1);
	igt_assert_lte(DELAY_MS, now_ms() - start);
	chaos_delay(fd, 0);
	pattern_check(p, size, 2);
	munmap(p, size);
	gem_close(fd, handle);
}

/* Reads the buffer through the importer right after a move was started. */
static bool importer_sees_bytes(const char *how, uint64_t seed)
{
	const uint64_t size = KIB(256);
	struct shared s = share_buffer(fd, nic, size, VRNIC_MR_ON_DEMAND, 0);
	uint8_t *local = alloc_pages(size);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, size);
	uint32_t queue = vrnic_create_queue(nic, 2);
	bool right;

	/* Other bytes where it was in VRAM, lest an early reader finds the right ones. */
	memset(s.p, 0x77, size);
	vvram_move(fd, s.handle, SYSTEM);
	pattern_fill(s.p, size, seed);
	chaos_delay(fd, 3 * DELAY_MS);
	vrnic_misbehave(how);
	igt_assert_eq(__move_async(s.handle, VRAM, NULL, 0), 0);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &s.reg, 0, &mem, 0, size).status, 0);
	vrnic_misbehave("none");
	chaos_delay(fd, 0);
	right = pattern_find_bad(local, size, seed, 1) < 0;

	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, size);
	unshare_buffer(fd, nic, &s);
	return right;
}

static void test_importer_waits(void)
{
	struct shared s = share_buffer(fd, nic, KIB(4), VRNIC_MR_ON_DEMAND, 0);
	struct vrnic_advise_mr advise = { .handle = s.reg.handle, .flags = VRNIC_ADVISE_FLUSH };
	bool reaches;

	igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), 0);
	reaches = vvram_info(fd, s.handle).placement == VRAM;
	unshare_buffer(fd, nic, &s);

	igt_assert(importer_sees_bytes("none", 41));
	/*
	 * Where it reaches VRAM it is the place of the move that it looks at; and where
	 * the core pins for it, it is the pin that waits.
	 */
	if (reaches && vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC)
		igt_assert(!importer_sees_bytes("ignore-kernel-fence", 42));
}

static int poll_dma_buf(int dmabuf, short events, int ms)
{
	struct pollfd p = { .fd = dmabuf, .events = events };
	int ret = poll(&p, 1, ms);

	igt_assert_lte(0, ret);
	return ret ? p.revents : 0;
}

static void test_dma_buf_poll(void)
{
	uint32_t handle = vvram_create(fd, KIB(64), SYSTEM);
	int dmabuf = prime_handle_to_fd_for_mmap(fd, handle);

	igt_assert_eq(poll_dma_buf(dmabuf, POLLIN | POLLOUT, 0), POLLIN | POLLOUT);
	chaos_delay(fd, DELAY_MS);
	igt_assert_eq(__move_async(handle, VRAM, NULL, 0), 0);
	igt_assert_eq(poll_dma_buf(dmabuf, POLLIN, 0), 0);
	igt_assert_eq(poll_dma_buf(dmabuf, POLLOUT, 0), 0);
	igt_assert_eq(poll_dma_buf(dmabuf, POLLIN, 10000), POLLIN);
	igt_assert_eq(poll_dma_buf(dmabuf, POLLOUT, 1000), POLLOUT);
	chaos_delay(fd, 0);
	close(dmabuf);
	gem_close(fd, handle);
}

static int export_sync_file(int dmabuf, uint32_t flags, int *out)
{
	struct dma_buf_export_sync_file arg = { .flags = flags, .fd = -1 };
	int ret = do_call(dmabuf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &arg);

	*out = arg.fd;
	return ret;
}

static void test_sync_file(void)
{
	uint32_t handle = vvram_create(fd, KIB(64), SYSTEM);
	int dmabuf = prime_handle_to_fd_for_mmap(fd, handle), before, during;

	igt_assert_eq(export_sync_file(dmabuf, DMA_BUF_SYNC_READ, &before), 0);
	igt_assert_eq(poll_dma_buf(before, POLLIN, 0), POLLIN);
	chaos_delay(fd, DELAY_MS);
	igt_assert_eq(__move_async(handle, VRAM, NULL, 0), 0);
	igt_assert_eq(export_sync_file(dmabuf, DMA_BUF_SYNC_READ, &during), 0);
	igt_assert_eq(poll_dma_buf(before, POLLIN, 0), POLLIN);
	igt_assert_eq(poll_dma_buf(during, POLLIN, 0), 0);
	igt_assert_eq(poll_dma_buf(during, POLLIN, 10000), POLLIN);
	chaos_delay(fd, 0);
	close(before);
	close(during);
	close(dmabuf);
	gem_close(fd, handle);
}

static void test_sync_file_arguments(void)
{
	uint32_t handle = vvram_create(fd, KIB(64), VRAM);
	int dmabuf = prime_handle_to_fd_for_mmap(fd, handle), out;
	struct dma_buf_import_sync_file import = { .flags = DMA_BUF_SYNC_READ, .fd = -1 };
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };

	igt_assert_eq(export_sync_file(dmabuf, 0, &out), -EINVAL);
	igt_assert_eq(export_sync_file(dmabuf, 1U << 31, &out), -EINVAL);
	igt_assert_eq(do_call(dmabuf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import), -EINVAL);
	igt_assert_eq(do_call(dmabuf, DMA_BUF_IOCTL_SYNC, &sync), 0);
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	igt_assert_eq(do_call(dmabuf, DMA_BUF_IOCTL_SYNC, &sync), 0);
	sync.flags = DMA_BUF_SYNC_END;
	igt_assert_eq(do_call(dmabuf, DMA_BUF_IOCTL_SYNC, &sync), -EINVAL);
	sync.flags = 1ULL << 40;
	igt_assert_eq(do_call(dmabuf, DMA_BUF_IOCTL_SYNC, &sync), -EINVAL);
	close(dmabuf);
	gem_close(fd, handle);
}

/* The fence of one buffer's move, imported into another's reservation. */
static void test_waits_for_fences(void)
{
	uint32_t a = vvram_create(fd, KIB(64), SYSTEM), b = vvram_create(fd, KIB(64), SYSTEM);
	int da = prime_handle_to_fd_for_mmap(fd, a), db = prime_handle_to_fd_for_mmap(fd, b);
	struct dma_buf_import_sync_file import = { .flags = DMA_BUF_SYNC_RW };
	uint64_t start;

	chaos_delay(fd, DELAY_MS);
	start = now_ms();
	igt_assert_eq(__move_async(a, VRAM, NULL, 0), 0);
	igt_assert_eq(export_sync_file(da, DMA_BUF_SYNC_RW, &import.fd), 0);
	igt_assert_eq(do_call(db, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import), 0);
	vvram_move(fd, b, VRAM);
	igt_assert_lte(2 * DELAY_MS, now_ms() - start);
	chaos_delay(fd, 0);
	close(import.fd);
	close(da);
	close(db);
	gem_close(fd, a);
	gem_close(fd, b);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
	}

	igt_describe("The caller goes on while the bytes are on their way.");
	igt_subtest("out-syncobj")
		test_out(false);
	igt_describe("A point of a timeline stands for the move.");
	igt_subtest("timeline")
		test_out(true);
	igt_describe("In-fences order moves of different buffers.");
	igt_subtest("in-fence")
		test_in_fence();
	igt_describe("Fences are waited for together.");
	igt_subtest("several-in-fences")
		test_several_in_fences();
	igt_describe("A move that has nothing to do keeps the order.");
	igt_subtest("already-there")
		test_already_there(false, false);
	igt_describe("A point of a timeline keeps it too.");
	igt_subtest("already-there-timeline")
		test_already_there(true, false);
	igt_describe("Nothing to do, because it is being done.");
	igt_subtest("already-there-moving")
		test_already_there(false, true);
	igt_describe("Who waits for the move waits for what it was to wait for.");
	igt_subtest("already-there-waits")
		test_already_there_waits();
	igt_describe("No CPU sees a place before its bytes.");
	igt_subtest("pointer-waits")
		test_pointer_waits();
	igt_describe("No importer does either, unless it breaks the rules.");
	igt_subtest("importer-waits")
		test_importer_waits();
	igt_describe("Implicit synchronisation knows of moves.");
	igt_subtest("dma-buf-poll")
		test_dma_buf_poll();
	igt_describe("Explicit synchronisation can be had from it.");
	igt_subtest("sync-file")
		test_sync_file();
	igt_describe("Bad flags are refused.");
	igt_subtest("sync-file-arguments")
		test_sync_file_arguments();
	igt_describe("The copy starts after every fence of the reservation.");
	igt_subtest("waits-for-fences")
		test_waits_for_fences();

	igt_fixture {
		chaos_write(fd, "delay_ms", "0");
		vrnic_misbehave("none");
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
	}
}
