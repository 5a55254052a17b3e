// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic mr
 * Category: Core
 * Description: Memory regions of vrnic: arguments, keys, rights, isolation.
 *
 * SUBTEST: reg-arguments
 * Description: Each bad argument of the registration gets its errno.
 * SUBTEST: reg-bad-fd
 * Description: What is no dma-buf is refused.
 * SUBTEST: reg-user-bad-address
 * Description: Memory that is not there, or may not be written, is refused.
 * SUBTEST: reg-read-only
 * Description: A dma-buf exported read only gives no write access.
 * SUBTEST: other-arguments
 * Description: Bad handles, pads and flags of the other calls.
 * SUBTEST: post-arguments
 * Description: Malformed work requests are refused, all of the batch.
 * SUBTEST: keys
 * Description: A wrong or old key, and a range beyond the end, complete with an error.
 * SUBTEST: access-rights
 * Description: A region allows what it was registered for.
 * SUBTEST: isolation
 * Description: One open file's regions and queues do not exist for another.
 * SUBTEST: reg-limit
 * Description: The limit of regions is ENOSPC and all are given back.
 * SUBTEST: memlock
 * Description: User memory beyond RLIMIT_MEMLOCK is ENOMEM.
 * SUBTEST: memlock-modes
 * Description: Every mode that keeps a buffer from moving counts, once, for its life.
 */

#include <sys/resource.h>
#include <sys/wait.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("Memory regions of vrnic.");

static int fd = -1, nic = -1;
static uint8_t page[8192] __attribute__((aligned(4096)));

static void test_reg_arguments(void)
{
	uint32_t handle = vvram_create(fd, KIB(64), VRAM), i;
	int dmabuf = prime_handle_to_fd_for_mmap(fd, handle);
	uintptr_t user = (uintptr_t)page;
	const struct {
		struct vrnic_reg_mr arg;
		int ret;
	} table[] = {
		{ { .fd = dmabuf, .length = 0 }, -EINVAL },
		{ { .fd = dmabuf, .length = KIB(64) + 1 }, -EINVAL },
		{ { .fd = dmabuf, .length = 1, .offset = KIB(64) }, -EINVAL },
		{ { .fd = dmabuf, .length = ~0ULL, .offset = 2 }, -EINVAL },
		{ { .fd = dmabuf, .length = 2, .offset = ~0ULL }, -EINVAL },
		{ { .fd = dmabuf, .length = 4096, .flags = 4 }, -EINVAL },
		{ { .fd = dmabuf, .length = 4096, .mode = 5 }, -EINVAL },
		{ { .fd = dmabuf, .length = 4096, .access = 16 }, -EINVAL },
		{ { .fd = dmabuf, .length = 4096, .addr = 4096 }, -EINVAL },
		{ { .fd = dmabuf, .length = 4096, .pad = 1 }, -EINVAL },
		{ { .fd = dmabuf, .length = 4096, .flags = VRNIC_REG_MR_USER, .addr = user }, -EINVAL },
		{ { .fd = -1, .length = 4096, .flags = VRNIC_REG_MR_USER, .addr = user,
		    .offset = 1 }, -EINVAL },
		{ { .fd = -1, .length = 4096, .flags = VRNIC_REG_MR_USER, .addr = user,
		    .mode = VRNIC_MR_PINNED }, -EINVAL },
		{ { .fd = -1, .length = ~0ULL, .flags = VRNIC_REG_MR_USER, .addr = user }, -EINVAL },
		{ { .fd = dmabuf, .length = 1, .offset = KIB(64) - 1 }, 0 },
		{ { .fd = dmabuf, .length = 4097, .offset = 3 }, 0 },
		{ { .fd = -1, .length = 13, .flags = VRNIC_REG_MR_USER, .addr = user + 5 }, 0 },
	};

	for (i = 0; i < ARRAY_LEN(table); i++) {
		struct vrnic_reg_mr arg = table[i].arg;
		int ret = __vrnic_reg_mr(nic, &arg);

		igt_assert_f(ret == table[i].ret, "row %u: %d, not %d\n", i, ret, table[i].ret);
		if (!ret)
			vrnic_dereg_mr(nic, arg.handle);
	}
	igt_assert_eq(vrnic_query(nic).mrs, 0);
	igt_assert_eq(vvram_info(fd, handle).attachments, 0);
	close(dmabuf);
	gem_close(fd, handle);
}

static void test_reg_bad_fd(void)
{
	struct vrnic_reg_mr arg = { .fd = 1023, .length = 4096 };
	int pipes[2];

	igt_assert_eq(__vrnic_reg_mr(nic, &arg), -EBADF);
	arg.fd = -1;
	igt_assert_eq(__vrnic_reg_mr(nic, &arg), -EBADF);
	igt_assert_eq(pipe(pipes), 0);
	arg.fd = pipes[0];
	igt_assert_eq(__vrnic_reg_mr(nic, &arg), -EINVAL);
	arg.fd = nic;
	igt_assert_eq(__vrnic_reg_mr(nic, &arg), -EINVAL);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_reg_user_bad_address(void)
{
	struct vrnic_reg_mr arg = {
		.flags = VRNIC_REG_MR_USER, .fd = -1, .length = 4096, .addr = 4096,
	};
	void *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	igt_assert_eq(__vrnic_reg_mr(nic, &arg), -EFAULT);
	arg.addr = ~0ULL << 12;
	igt_assert_lt(__vrnic_reg_mr(nic, &arg), 0);
	arg.addr = 1ULL << 60;
	igt_assert_eq(__vrnic_reg_mr(nic, &arg), -EFAULT);

	arg.addr = (uintptr_t)ro;
	arg.access = VRNIC_ACCESS_LOCAL_WRITE;
	igt_assert_eq(__vrnic_reg_mr(nic, &arg), -EFAULT);
	arg.access = 0;
	igt_assert_eq(__vrnic_reg_mr(nic, &arg), 0);
	vrnic_dereg_mr(nic, arg.handle);
	munmap(ro, 4096);
}

static void test_reg_read_only(void)
{
	static const uint32_t writes[] = {
		VRNIC_ACCESS_LOCAL_WRITE, VRNIC_ACCESS_REMOTE_WRITE, VRNIC_ACCESS_REMOTE_ATOMIC,
	};
	uint32_t handle = vvram_create(fd, KIB(64), VRAM);
	int dmabuf = prime_handle_to_fd(fd, handle);
	struct vrnic_reg_mr arg = { .fd = dmabuf, .length = 4096 };
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(writes); i++) {
		arg.access = writes[i];
		igt_assert_eq(__vrnic_reg_mr(nic, &arg), -EACCES);
	}
	arg.access = VRNIC_ACCESS_REMOTE_READ;
	igt_assert_eq(__vrnic_reg_mr(nic, &arg), 0);
	vrnic_dereg_mr(nic, arg.handle);
	close(dmabuf);
	gem_close(fd, handle);
}

static void test_other_arguments(void)
{
	struct vrnic_dereg_mr dereg = { .handle = 77 };
	struct vrnic_query_mr query = { .handle = 77 };
	struct vrnic_advise_mr advise = { .handle = 77 };
	struct vrnic_query device = { .pad = 1 };
	struct vrnic_queue queue = { .handle = 77 };
	struct vrnic_create_queue create = { .depth = 0, .eventfd = -1 };
	struct vrnic_wc wc;

	igt_assert_eq(do_call(nic, VRNIC_IOC_QUERY, &device), -EINVAL);
	igt_assert_eq(do_call(nic, VRNIC_IOC_DEREG_MR, &dereg), -ENOENT);
	dereg.pad = 1;
	igt_assert_eq(do_call(nic, VRNIC_IOC_DEREG_MR, &dereg), -EINVAL);
	igt_assert_eq(do_call(nic, VRNIC_IOC_QUERY_MR, &query), -ENOENT);
	igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), -ENOENT);
	advise.advice = 9;
	igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), -EINVAL);
	igt_assert_eq(do_call(nic, VRNIC_IOC_DESTROY_QUEUE, &queue), -ENOENT);
	igt_assert_eq(do_call(nic, VRNIC_IOC_RESET_QUEUE, &queue), -ENOENT);

	igt_assert_eq(do_call(nic, VRNIC_IOC_CREATE_QUEUE, &create), -EINVAL);
	create.depth = vrnic_query(nic).max_depth + 1;
	igt_assert_eq(do_call(nic, VRNIC_IOC_CREATE_QUEUE, &create), -EINVAL);
	create = (struct vrnic_create_queue){ .depth = 1, .engine = 7, .eventfd = -1 };
	igt_assert_eq(do_call(nic, VRNIC_IOC_CREATE_QUEUE, &create), -EINVAL);
	create = (struct vrnic_create_queue){ .depth = 1, .eventfd = 1023 };
	igt_assert_eq(do_call(nic, VRNIC_IOC_CREATE_QUEUE, &create), -EBADF);
	create.eventfd = nic;
	igt_assert_eq(do_call(nic, VRNIC_IOC_CREATE_QUEUE, &create), -EINVAL);

	igt_assert_eq(vrnic_poll(nic, 77, &wc, 1, 0), -ENOENT);
	igt_assert_eq(vrnic_poll(nic, 77, &wc, 0, 0), -EINVAL);
	igt_assert_eq(do_call(nic, VRNIC_IOC_QUERY, NULL), -EFAULT);
	igt_assert_eq(do_call(nic, _IO(VRNIC_IOC_MAGIC, 0x7f), NULL), -ENOTTY);
}

static void test_post_arguments(void)
{
	struct vrnic_reg_mr reg = vrnic_reg_user(nic, page, sizeof(page));
	uint32_t queue = vrnic_create_queue(nic, 4), i;
	struct vrnic_sge sge = { .length = 8, .lkey = reg.lkey };
	uintptr_t ptr = (uintptr_t)&sge;
	const struct vrnic_wr good = {
		.opcode = VRNIC_OP_WRITE, .rkey = reg.rkey, .num_sge = 1, .sge = ptr,
	};
	const struct {
		struct vrnic_wr wr;
		int ret;
	} table[] = {
		{ { .opcode = 99, .num_sge = 1, .sge = ptr }, -EINVAL },
		{ { .opcode = VRNIC_OP_WRITE, .num_sge = 0 }, -EINVAL },
		{ { .opcode = VRNIC_OP_WRITE, .num_sge = VRNIC_MAX_SGE + 1, .sge = ptr }, -EINVAL },
		{ { .opcode = VRNIC_OP_WRITE, .num_sge = 1, .sge = ptr, .flags = 1 }, -EINVAL },
		{ { .opcode = VRNIC_OP_WRITE, .num_sge = 1, .sge = ptr, .operand = 1 }, -EINVAL },
		{ { .opcode = VRNIC_OP_WRITE, .num_sge = 1, .sge = ptr, .remote_length = 1 }, -EINVAL },
		{ { .opcode = VRNIC_OP_WRITE, .num_sge = 1, .sge = 0 }, -EFAULT },
		{ { .opcode = VRNIC_OP_FILL, .num_sge = 1, .sge = ptr, .remote_length = 8 }, -EINVAL },
		{ { .opcode = VRNIC_OP_CRC32C, .operand = 1ULL << 32, .remote_length = 8 }, -EINVAL },
	};
	struct vrnic_wr batch[5];
	struct vrnic_wc wc;

	for (i = 0; i < ARRAY_LEN(table); i++) {
		batch[0] = good;
		batch[1] = table[i].wr;
		igt_assert_eq(__vrnic_post(nic, queue, batch, 2), table[i].ret);
	}
	igt_assert_eq(vrnic_poll(nic, queue, &wc, 1, 10000000), 0);

	for (i = 0; i < 5; i++)
		batch[i] = good;
	igt_assert_eq(__vrnic_post(nic, queue, batch, 0), -EINVAL);
	igt_assert_eq(__vrnic_post(nic, queue, batch, VRNIC_MAX_BATCH + 1), -EINVAL);
	igt_assert_eq(__vrnic_post(nic, queue, batch, 5), -ENOSPC);
	igt_assert_eq(__vrnic_post(nic, queue + 1, batch, 1), -ENOENT);
	igt_assert_eq(__vrnic_post(nic, queue, NULL, 1), -EFAULT);
	vrnic_dereg_mr(nic, reg.handle);
}

static void expect_status(uint32_t queue, struct vrnic_wr *wr, uint32_t status)
{
	struct vrnic_queue reset = { .handle = queue };

	igt_assert_eq(vrnic_do(nic, queue, wr).status, status);
	if (!status)
		return;
	igt_assert_eq(__vrnic_post(nic, queue, wr, 1), -EPIPE);
	igt_assert_eq(do_call(nic, VRNIC_IOC_RESET_QUEUE, &reset), 0);
}

static void test_keys(void)
{
	struct vrnic_reg_mr reg = vrnic_reg_user(nic, page, sizeof(page));
	uint32_t queue = vrnic_create_queue(nic, 4);
	struct vrnic_sge sge = { .length = 8, .lkey = reg.lkey };
	struct vrnic_wr wr = {
		.opcode = VRNIC_OP_WRITE, .rkey = reg.rkey, .num_sge = 1,
		.sge = (uintptr_t)&sge, .remote_addr = 4096,
	};

	expect_status(queue, &wr, VRNIC_WC_SUCCESS);

	wr.rkey = reg.lkey;
	expect_status(queue, &wr, VRNIC_WC_REM_ACCESS_ERR);
	wr.rkey = reg.rkey ^ 0x100;
	expect_status(queue, &wr, VRNIC_WC_REM_ACCESS_ERR);
	wr.rkey = reg.rkey;
	wr.remote_addr = sizeof(page) - 7;
	expect_status(queue, &wr, VRNIC_WC_REM_ACCESS_ERR);
	wr.remote_addr = ~0ULL - 3;
	expect_status(queue, &wr, VRNIC_WC_REM_ACCESS_ERR);
	wr.remote_addr = 0;

	sge.lkey = reg.rkey;
	expect_status(queue, &wr, VRNIC_WC_LOC_PROT_ERR);
	sge.lkey = reg.lkey;
	sge.addr = sizeof(page) - 7;
	expect_status(queue, &wr, VRNIC_WC_LOC_PROT_ERR);
	sge.addr = 0;

	vrnic_dereg_mr(nic, reg.handle);
	expect_status(queue, &wr, VRNIC_WC_REM_ACCESS_ERR);
}

static void test_access_rights(void)
{
	static const struct {
		uint32_t opcode, access, status;
	} table[] = {
		{ VRNIC_OP_WRITE, VRNIC_ACCESS_REMOTE_READ, VRNIC_WC_REM_ACCESS_ERR },
		{ VRNIC_OP_WRITE, VRNIC_ACCESS_REMOTE_WRITE, VRNIC_WC_SUCCESS },
		{ VRNIC_OP_READ, VRNIC_ACCESS_REMOTE_WRITE, VRNIC_WC_REM_ACCESS_ERR },
		{ VRNIC_OP_READ, VRNIC_ACCESS_REMOTE_READ, VRNIC_WC_SUCCESS },
		{ VRNIC_OP_FETCH_ADD, VRNIC_ACCESS_REMOTE_WRITE, VRNIC_WC_REM_ACCESS_ERR },
		{ VRNIC_OP_FETCH_ADD, VRNIC_ACCESS_REMOTE_ATOMIC, VRNIC_WC_SUCCESS },
	};
	uint32_t queue = vrnic_create_queue(nic, 4), i;
	struct vrnic_reg_mr local = vrnic_reg_user(nic, page, 4096), read_only;

	for (i = 0; i < ARRAY_LEN(table); i++) {
		struct vrnic_reg_mr remote = {
			.flags = VRNIC_REG_MR_USER, .fd = -1, .addr = (uintptr_t)page + 4096,
			.length = 4096, .access = table[i].access,
		};
		struct vrnic_sge sge = { .length = 8, .lkey = local.lkey };
		struct vrnic_wr wr = { .opcode = table[i].opcode, .num_sge = 1, .sge = (uintptr_t)&sge };

		igt_assert_eq(__vrnic_reg_mr(nic, &remote), 0);
		wr.rkey = remote.rkey;
		expect_status(queue, &wr, table[i].status);
		vrnic_dereg_mr(nic, remote.handle);
	}

	read_only = (struct vrnic_reg_mr) {
		.flags = VRNIC_REG_MR_USER, .fd = -1, .addr = (uintptr_t)page, .length = 4096,
	};
	igt_assert_eq(__vrnic_reg_mr(nic, &read_only), 0);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &local, 0, &read_only, 0, 8).status,
		      VRNIC_WC_LOC_PROT_ERR);
	vrnic_dereg_mr(nic, read_only.handle);
	vrnic_dereg_mr(nic, local.handle);
}

static void test_isolation(void)
{
	struct vrnic_reg_mr reg = vrnic_reg_user(nic, page, sizeof(page));
	struct vrnic_query_mr query = { .handle = reg.handle };
	uint32_t queue = vrnic_create_queue(nic, 4), other_queue;
	struct vrnic_queue reset = {};
	struct vrnic_reg_mr own;
	int other = vrnic_open();
	struct vrnic_wc wc;

	igt_assert_eq(__vrnic_dereg_mr(other, reg.handle), -ENOENT);
	igt_assert_eq(do_call(other, VRNIC_IOC_QUERY_MR, &query), -ENOENT);
	igt_assert_eq(vrnic_poll(other, queue, &wc, 1, 0), -ENOENT);

	other_queue = vrnic_create_queue(other, 4);
	wc = vrnic_copy(other, other_queue, VRNIC_OP_WRITE, &reg, 0, &reg, 0, 8);
	igt_assert_eq(wc.status, VRNIC_WC_REM_ACCESS_ERR);

	/* Nor as a local key; the control: with one of its own. */
	own = vrnic_reg_user(other, page, sizeof(page));
	reset.handle = other_queue;
	igt_assert_eq(do_call(other, VRNIC_IOC_RESET_QUEUE, &reset), 0);
	wc = vrnic_copy(other, other_queue, VRNIC_OP_WRITE, &own, 0, &reg, 0, 8);
	igt_assert_eq(wc.status, VRNIC_WC_LOC_PROT_ERR);
	igt_assert_eq(do_call(other, VRNIC_IOC_RESET_QUEUE, &reset), 0);
	wc = vrnic_copy(other, other_queue, VRNIC_OP_WRITE, &own, 0, &own, 8, 8);
	igt_assert_eq(wc.status, VRNIC_WC_SUCCESS);
	close(other);
	vrnic_dereg_mr(nic, reg.handle);
}

static void test_reg_limit(void)
{
	uint32_t max = vrnic_query(nic).max_mrs, i;
	struct vrnic_reg_mr arg;
	int other = vrnic_open(), ret = 0;

	for (i = 0; i <= max; i++) {
		arg = (struct vrnic_reg_mr) {
			.flags = VRNIC_REG_MR_USER, .fd = -1, .length = 4096,
			.addr = (uintptr_t)page,
		};
		ret = __vrnic_reg_mr(other, &arg);
		if (ret)
			break;
	}
	igt_assert_eq(ret, -ENOSPC);
	igt_assert_eq(i, max);
	igt_assert_eq(vrnic_query(nic).mrs, max);
	close(other);
	igt_assert_eq(vrnic_query(nic).mrs, 0);
}

static void test_memlock(void)
{
	igt_fork(child, 1) {
		struct rlimit limit = { .rlim_cur = KIB(64), .rlim_max = KIB(64) };
		void *p = mmap(NULL, MIB(1), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		struct vrnic_reg_mr arg = {
			.flags = VRNIC_REG_MR_USER, .fd = -1, .addr = (uintptr_t)p, .length = MIB(1),
		};
		int mine = vrnic_open();

		igt_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
		igt_assert_eq(setuid(65534), 0);
		igt_assert_eq(__vrnic_reg_mr(mine, &arg), -ENOMEM);
		arg.length = KIB(32);
		igt_assert_eq(__vrnic_reg_mr(mine, &arg), 0);
		vrnic_dereg_mr(mine, arg.handle);
		arg.length = KIB(64);
		igt_assert_eq(__vrnic_reg_mr(mine, &arg), 0);
	}
	igt_waitchildren();
}

/* Kilobytes that count against RLIMIT_MEMLOCK. */
static unsigned long locked_kib(void)
{
	char *line = strstr(read_file("/proc/self/status"), "VmLck:");

	igt_assert(line);
	return strtoul(line + strlen("VmLck:"), NULL, 10);
}

static void set_limit(uint64_t bytes)
{
	struct rlimit limit = { .rlim_cur = bytes, .rlim_max = MIB(4) };

	igt_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
}

static void check_charge(int mine, int dmabuf, int revoked, uint32_t mode, bool charged)
{
	struct vrnic_reg_mr arg = { .fd = dmabuf, .mode = mode, .length = 4096 }, other = arg;
	struct vrnic_advise_mr advise = { .flags = VRNIC_ADVISE_FLUSH };

	/* It is all of the buffer that does not move, not only the region's part. */
	set_limit(KIB(64));
	igt_assert_eq(__vrnic_reg_mr(mine, &arg), charged ? -ENOMEM : 0);
	igt_assert_eq(locked_kib(), 0);
	if (!charged)
		vrnic_dereg_mr(mine, arg.handle);

	set_limit(MIB(1));
	igt_assert_eq(__vrnic_reg_mr(mine, &arg), 0);
	igt_assert_eq(locked_kib(), charged ? 1024 : 0);
	advise.handle = arg.handle;
	igt_assert_eq(do_call(mine, VRNIC_IOC_ADVISE_MR, &advise), 0);
	igt_assert_eq(locked_kib(), charged ? 1024 : 0);
	igt_assert_eq(__vrnic_reg_mr(mine, &other), charged ? -ENOMEM : 0);
	if (!charged)
		vrnic_dereg_mr(mine, other.handle);
	vrnic_dereg_mr(mine, arg.handle);
	igt_assert_eq(locked_kib(), 0);

	/* A registration that fails costs nothing. */
	arg.fd = revoked;
	igt_assert_eq(__vrnic_reg_mr(mine, &arg), -ENODEV);
	igt_assert_eq(locked_kib(), 0);
}

static void test_memlock_modes(void)
{
	bool dynamic = vrnic_query(nic).flags & VRNIC_QUERY_DYNAMIC;
	uint32_t handle = vvram_create(fd, MIB(1), SYSTEM), mode;
	struct drm_vvram_gem_revoke revoke = { .handle = vvram_create(fd, MIB(1), SYSTEM) };
	int dmabuf = prime_handle_to_fd_for_mmap(fd, handle);
	int revoked = prime_handle_to_fd_for_mmap(fd, revoke.handle);

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &revoke), 0);
	igt_fork(child, 1) {
		int mine = vrnic_open();

		set_limit(MIB(4));
		igt_assert_eq(setuid(65534), 0);
		for (mode = VRNIC_MR_ON_DEMAND; mode <= VRNIC_MR_STATIC; mode++)
			check_charge(mine, dmabuf, revoked, mode,
				     mode >= VRNIC_MR_PINNED || !dynamic);
	}
	igt_waitchildren();
	close(dmabuf);
	close(revoked);
	gem_close(fd, handle);
	gem_close(fd, revoke.handle);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
	}

	igt_describe("A bad range, mode, flag or pad is refused; odd ranges are fine.");
	igt_subtest("reg-arguments")
		test_reg_arguments();
	igt_describe("Only a dma-buf is one.");
	igt_subtest("reg-bad-fd")
		test_reg_bad_fd();
	igt_describe("A region is on memory that the caller may use so.");
	igt_subtest("reg-user-bad-address")
		test_reg_user_bad_address();
	igt_describe("Rights of the dma-buf's file hold for the region.");
	igt_subtest("reg-read-only")
		test_reg_read_only();
	igt_describe("Unknown handles are ENOENT, everything malformed EINVAL.");
	igt_subtest("other-arguments")
		test_other_arguments();
	igt_describe("One malformed request keeps the whole batch out.");
	igt_subtest("post-arguments")
		test_post_arguments();
	igt_describe("Keys and ranges are checked at each use.");
	igt_subtest("keys")
		test_keys();
	igt_describe("No operation goes beyond the rights of either side.");
	igt_subtest("access-rights")
		test_access_rights();
	igt_describe("Nothing of one file reaches another.");
	igt_subtest("isolation")
		test_isolation();
	igt_describe("Limits are clean, and closing gives all back.");
	igt_subtest("reg-limit")
		test_reg_limit();
	igt_describe("Pinned user memory counts.");
	igt_subtest("memlock")
		test_memlock();
	igt_describe("Whoever keeps a buffer where it is pays for it.");
	igt_subtest("memlock-modes")
		test_memlock_modes();

	igt_fixture {
		close(nic);
		drm_close_driver(fd);
	}
}
