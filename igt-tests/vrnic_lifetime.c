// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic lifetime
 * Category: Core
 * Description: Whose regions they are, and how they end.
 *
 * SUBTEST: other-process
 * Description: The fd is sent to another process, which transfers during moves.
 * SUBTEST: revoke
 * Description: A revoked buffer ends its region, and only that.
 * SUBTEST: other-ends
 * Description: A region that ends while a request waits for the other one's buffer ends alone.
 * SUBTEST: same-buffer
 * Description: Who waits for a buffer is not waited for by others at the same buffer.
 * SUBTEST: mapping-ahead
 * Description: A region that is being mapped ahead of its use ends at once.
 * SUBTEST: kill
 * Description: A process killed in the middle leaves nothing behind.
 */

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("Whose regions they are, and how they end.");

static int fd = -1, nic = -1;

static void send_fd(int sock, int what)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &what, sizeof(int));
	igt_assert_eq(sendmsg(sock, &msg, 0), 1);
}

static int receive_fd(int sock)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int what;

	igt_assert_eq(recvmsg(sock, &msg, 0), 1);
	memcpy(&what, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return what;
}

static void child_transfers(int sock, uint64_t size)
{
	uint8_t *local = alloc_pages(2 * size);
	struct vrnic_reg_mr reg, mem;
	uint64_t round;
	uint32_t queue;
	char ready = 1;

	nic = vrnic_open();
	reg = vrnic_reg_dma_buf(nic, receive_fd(sock), VRNIC_MR_ON_DEMAND, size);
	mem = vrnic_reg_user(nic, local, 2 * size);
	queue = vrnic_create_queue(nic, 2 * SLOTS);
	for (round = 1; round <= 5; round++)
		transfer_round(nic, queue, &reg, &mem, local, size / SLOTS, round);
	igt_assert_eq(write(sock, &ready, 1), 1);
}

static void test_other_process(void)
{
	const uint64_t size = KIB(512);
	uint32_t handle = vvram_create(fd, size, VRAM);
	int dmabuf = prime_handle_to_fd_for_mmap(fd, handle), socks[2], i;
	void *p = vvram_mmap(fd, handle, size);
	char ready;

	igt_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, socks), 0);
	igt_fork(child, 1) {
		close(dmabuf);
		child_transfers(socks[1], size);
	}
	send_fd(socks[0], dmabuf);
	close(dmabuf);
	for (i = 0; recv(socks[0], &ready, 1, MSG_DONTWAIT) < 0; i++)
		vvram_move_mapped(fd, handle, i % 2 ? VRAM : SYSTEM);
	igt_waitchildren();
	pattern_check(p, size, 5);
	munmap(p, size);
	close(socks[0]);
	close(socks[1]);
	gem_close(fd, handle);
	vvram_wait_unused(fd);
}

static void test_revoke(void)
{
	struct shared s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	struct shared t = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	struct drm_vvram_gem_revoke revoke = { .handle = s.handle };
	uint32_t queue = vrnic_create_queue(nic, 4);
	struct vrnic_queue reset = { .handle = queue };
	struct vrnic_reg_mr late = { .fd = s.dmabuf, .length = 4096 };

	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &s.reg, 0, &t.reg, 0, 4096).status, 0);
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &revoke), 0);
	igt_assert_eq(vrnic_query_mr(nic, s.reg.handle).state & VRNIC_MR_STATE_MAPPED, 0);

	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &s.reg, 0, &t.reg, 0, 4096).status,
		      VRNIC_WC_REM_ACCESS_ERR);
	igt_assert_eq(do_call(nic, VRNIC_IOC_RESET_QUEUE, &reset), 0);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &t.reg, 0, &s.reg, 0, 4096).status,
		      VRNIC_WC_LOC_PROT_ERR);
	igt_assert_eq(do_call(nic, VRNIC_IOC_RESET_QUEUE, &reset), 0);
	igt_assert(vrnic_query_mr(nic, s.reg.handle).state & VRNIC_MR_STATE_REVOKED);
	igt_assert_eq(__vrnic_reg_mr(nic, &late), -ENODEV);

	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &t.reg, 0, &t.reg, 8192, 4096).status, 0);
	pattern_fill(s.p, s.size, 1);
	pattern_check(s.p, s.size, 1);
	unshare_buffer(fd, nic, &s);
	unshare_buffer(fd, nic, &t);
}

/* One request, which waits. */
static void post_write(int of, uint32_t queue, const struct vrnic_reg_mr *to,
		       const struct vrnic_reg_mr *from)
{
	vrnic_post_copy(of, queue, VRNIC_OP_WRITE, to, 0, from, 0, 4096);
	usleep(100000);
}

static void require_moves(void)
{
	igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC,
		      "this kernel pins mapped buffers\n");
	igt_require_f(vrnic_reaches_vram(fd, nic), "the importer does not reach VRAM\n");
}

static void test_other_ends(void)
{
	struct shared s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	uint8_t *local = alloc_pages(4096);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, 4096);
	uint32_t queue = vrnic_create_queue(nic, 4);
	struct vrnic_queue reset = { .handle = queue };
	uint64_t start = now_ms();
	struct vrnic_wc wc;

	vvram_send_away(fd, s.handle, s.p, SYSTEM, AWAY_MS);
	post_write(nic, queue, &s.reg, &mem);
	vrnic_dereg_mr(nic, mem.handle);
	igt_assert_eq(vrnic_poll(nic, queue, &wc, 1, 60000000000LL), 1);
	igt_assert_eq(wc.status, VRNIC_WC_LOC_PROT_ERR);
	igt_assert_lt(now_ms() - start, SOON_MS);
	igt_assert_eq(vrnic_query_mr(nic, s.reg.handle).state & VRNIC_MR_STATE_REVOKED, 0);

	mem = vrnic_reg_user(nic, local, 4096);
	igt_assert_eq(do_call(nic, VRNIC_IOC_RESET_QUEUE, &reset), 0);
	pattern_fill(local, 4096, 3);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &s.reg, 0, &mem, 0, 4096).status, 0);
	pattern_check(s.p, 4096, 3);
	vrnic_dereg_mr(nic, mem.handle);
	vrnic_destroy_queue(nic, queue);
	munmap(local, 4096);
	unshare_buffer(fd, nic, &s);
}

/* Two clients with a region on one buffer each, to which each writes. */
static void test_same_buffer(uint32_t mode)
{
	struct shared s = share_buffer(fd, nic, KIB(64), mode, 0);
	uint8_t *local = alloc_pages(4096);
	struct vrnic_reg_mr mem[2], reg;
	uint32_t queue[2];
	int other = vrnic_open();
	uint64_t start;

	reg = vrnic_reg_dma_buf(other, s.dmabuf, VRNIC_MR_ON_DEMAND, KIB(64));
	mem[0] = vrnic_reg_user(nic, local, 4096);
	mem[1] = vrnic_reg_user(other, local, 4096);
	queue[0] = vrnic_create_queue(nic, 4);
	queue[1] = vrnic_create_queue(other, 4);

	start = now_ms();
	vvram_send_away(fd, s.handle, s.p, SYSTEM, AWAY_MS);
	post_write(nic, queue[0], &s.reg, &mem[0]);
	post_write(other, queue[1], &reg, &mem[1]);
	vrnic_destroy_queue(other, queue[1]);
	vrnic_dereg_mr(other, reg.handle);
	close(other);
	igt_assert_lt(now_ms() - start, SOON_MS);
	vrnic_destroy_queue(nic, queue[0]);
	igt_assert_lt(now_ms() - start, SOON_MS);
	vrnic_dereg_mr(nic, mem[0].handle);
	munmap(local, 4096);
	unshare_buffer(fd, nic, &s);
}

static void test_mapping_ahead(void)
{
	struct shared s = share_buffer(fd, nic, KIB(64), VRNIC_MR_EAGER, 0);
	uint64_t start = now_ms();

	vvram_send_away(fd, s.handle, s.p, SYSTEM, AWAY_MS);
	usleep(100000);
	vrnic_dereg_mr(nic, s.reg.handle);
	igt_assert_lt(now_ms() - start, SOON_MS);
	s.reg = vrnic_reg_dma_buf(nic, s.dmabuf, VRNIC_MR_ON_DEMAND, KIB(64));
	unshare_buffer(fd, nic, &s);
}

static void test_kill(void)
{
	const uint64_t size = MIB(1);
	uint32_t handle = vvram_create(fd, size, VRAM);
	int dmabuf = prime_handle_to_fd_for_mmap(fd, handle), status, i;
	uint64_t end;
	pid_t pid;

	for (i = 0; i < 5; i++) {
		pid = fork();
		igt_assert_fd(pid);
		if (!pid) {
			uint8_t *local = alloc_pages(2 * size);
			struct vrnic_reg_mr reg, mem;
			uint64_t round = 0;
			uint32_t queue;

			nic = vrnic_open();
			reg = vrnic_reg_dma_buf(nic, dmabuf, VRNIC_MR_ON_DEMAND, size);
			mem = vrnic_reg_user(nic, local, 2 * size);
			queue = vrnic_create_queue(nic, 2 * SLOTS);
			for (;;)
				transfer_round(nic, queue, &reg, &mem, local, size / SLOTS, ++round);
		}
		usleep(100000 + 37000 * i);
		igt_assert_eq(kill(pid, SIGKILL), 0);
		igt_assert_eq(waitpid(pid, &status, 0), pid);
		for (end = now_ms() + 5000; vrnic_query(nic).mrs && now_ms() < end;)
			usleep(1000);
		igt_assert_eq(vrnic_query(nic).mrs, 0);
		igt_assert_eq(vvram_info(fd, handle).attachments, 0);
		vvram_move(fd, handle, i % 2 ? VRAM : SYSTEM);
	}
	close(dmabuf);
	gem_close(fd, handle);
	vvram_wait_unused(fd);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
	}

	igt_describe("It does not matter whose process transfers.");
	igt_subtest("other-process")
		test_other_process();
	igt_describe("Revocation is final for its region, and for no other.");
	igt_subtest("revoke")
		test_revoke();
	igt_describe("What is waited for meanwhile is the other one's, and stays as it is.");
	igt_subtest("other-ends") {
		require_moves();
		test_other_ends();
	}
	igt_describe("Nobody's end takes as long as another one's buffer.");
	igt_subtest("same-buffer") {
		require_moves();
		test_same_buffer(VRNIC_MR_ON_DEMAND);
		test_same_buffer(VRNIC_MR_EAGER);
	}
	igt_describe("What nobody asked for is not waited for.");
	igt_subtest("mapping-ahead") {
		require_moves();
		test_mapping_ahead();
	}
	igt_describe("Death at any point frees all, and the buffer can move.");
	igt_subtest("kill")
		test_kill();

	igt_fixture {
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
	}
}
