// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic fault
 * Category: Core
 * Description: Each allocation and each user copy of each call fails once.
 *
 * SUBTEST: calls
 * Description: All calls of the importer get the right errno, and work the next time.
 * SUBTEST: invalidation
 * Description: A move is not held up by an importer that gets no memory.
 */

#include "faults.h"
#include "movable.h"

IGT_TEST_DESCRIPTION("Each allocation and each user copy fails once.");

#define SIZE	KIB(64)

static int fd = -1, nic = -1;

struct subject {
	struct shared s;
	struct vrnic_reg_mr mem, followed;
	uint8_t *local;
	uint32_t mode, queue, made;
	int file;
};

static int run_reg(void *ctx)
{
	struct subject *s = ctx;
	struct vrnic_reg_mr reg = {
		.fd = s->s.dmabuf, .mode = s->mode, .length = SIZE,
		.access = VRNIC_ACCESS_REMOTE_READ | VRNIC_ACCESS_REMOTE_WRITE,
	};
	int ret = do_call(nic, VRNIC_IOC_REG_MR, &reg);

	s->made = reg.handle;
	return ret;
}

static int run_reg_user(void *ctx)
{
	struct subject *s = ctx;
	struct vrnic_reg_mr reg = {
		.fd = -1, .flags = VRNIC_REG_MR_USER, .addr = (uintptr_t)s->local + 100,
		.length = SIZE - 200, .access = VRNIC_ACCESS_LOCAL_WRITE,
	};
	int ret = do_call(nic, VRNIC_IOC_REG_MR, &reg);

	s->made = reg.handle;
	return ret;
}

static int run_reg_by_address(void *ctx)
{
	struct subject *s = ctx;
	struct vrnic_reg_mr reg = {
		.fd = -1, .flags = VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS,
		.addr = (uintptr_t)s->local + 100, .length = SIZE - 200,
	};
	int ret = do_call(nic, VRNIC_IOC_REG_MR, &reg);

	s->made = reg.handle;
	return ret;
}

/* Pages that are not there, as they are each time. */
static int run_fault_in(void *ctx)
{
	struct subject *s = ctx;
	struct vrnic_advise_mr arg = { .handle = s->followed.handle, .flags = VRNIC_ADVISE_FLUSH };
	int ret = do_call(nic, VRNIC_IOC_ADVISE_MR, &arg);

	/* HMM does not tell what is not there from what there was no memory for. */
	return ret == -EACCES ? -ENOMEM : ret;
}

static void undo_fault_in(void *ctx)
{
	struct subject *s = ctx;

	igt_assert_eq(madvise(s->local, SIZE, MADV_DONTNEED), 0);
}

static void undo_reg(void *ctx)
{
	vrnic_dereg_mr(nic, ((struct subject *)ctx)->made);
}

static int run_advise(void *ctx)
{
	struct subject *s = ctx;
	struct vrnic_advise_mr arg = { .handle = s->s.reg.handle, .flags = VRNIC_ADVISE_FLUSH };

	return do_call(nic, VRNIC_IOC_ADVISE_MR, &arg);
}

static int run_query_mr(void *ctx)
{
	struct subject *s = ctx;
	struct vrnic_query_mr arg = { .handle = s->s.reg.handle };

	return do_call(nic, VRNIC_IOC_QUERY_MR, &arg);
}

static int run_query(void *ctx)
{
	struct vrnic_query arg = {};

	(void)ctx;
	return do_call(nic, VRNIC_IOC_QUERY, &arg);
}

static int run_create_queue(void *ctx)
{
	struct vrnic_create_queue arg = { .depth = 8, .eventfd = -1 };
	struct subject *s = ctx;
	int ret = do_call(nic, VRNIC_IOC_CREATE_QUEUE, &arg);

	s->made = arg.handle;
	return ret;
}

static void undo_create_queue(void *ctx)
{
	vrnic_destroy_queue(nic, ((struct subject *)ctx)->made);
}

static int run_post(void *ctx)
{
	struct subject *s = ctx;
	struct vrnic_sge sge[2] = {
		{ .length = 4096, .lkey = s->mem.lkey },
		{ .addr = 8192, .length = 100, .lkey = s->mem.lkey },
	};
	struct vrnic_wr wrs[3];
	unsigned int i;

	for (i = 0; i < 3; i++)
		wrs[i] = (struct vrnic_wr) {
			.wr_id = i, .opcode = VRNIC_OP_WRITE, .rkey = s->s.reg.rkey,
			.num_sge = 2, .sge = (uintptr_t)sge,
		};
	return __vrnic_post(nic, s->queue, wrs, 3);
}

static int run_poll(void *ctx)
{
	struct subject *s = ctx;
	struct vrnic_wc wcs[8];
	int ret = vrnic_poll(nic, s->queue, wcs, 8, 0);

	return ret < 0 ? ret : 0;
}

/* What was posted is done, or was not taken at all. */
static void drain(void *ctx)
{
	struct subject *s = ctx;
	struct vrnic_wc wcs[8];
	int n, i;

	while ((n = vrnic_poll(nic, s->queue, wcs, 8, 1000000000LL)) > 0)
		for (i = 0; i < n; i++)
			igt_assert_eq(wcs[i].status, 0);
	igt_assert_eq(n, 0);
}

static void undo_post(void *ctx)
{
	struct subject *s = ctx;
	struct vrnic_wc wcs[8];
	int n, i, done;

	for (done = 0; done < 3; done += n) {
		n = vrnic_poll(nic, s->queue, wcs, 8, 10000000000LL);
		igt_assert_lt(0, n);
		for (i = 0; i < n; i++)
			igt_assert_eq(wcs[i].status, 0);
	}
}

static int run_open(void *ctx)
{
	struct subject *s = ctx;

	s->file = open("/dev/vrnic0", O_RDWR | O_CLOEXEC);
	return s->file < 0 ? -errno : 0;
}

static void undo_open(void *ctx)
{
	close(((struct subject *)ctx)->file);
}

static const struct fault_op ops[] = {
	{ "open", run_open, undo_open },
	{ "query", run_query, NULL },
	{ "reg user", run_reg_user, undo_reg },
	{ "reg by address", run_reg_by_address, undo_reg },
	{ "fault in", run_fault_in, undo_fault_in },
	{ "advise", run_advise, NULL },
	{ "query mr", run_query_mr, NULL },
	{ "create queue", run_create_queue, undo_create_queue },
	{ "post", run_post, undo_post },
	{ "poll", run_poll, NULL },
};

static struct subject make_subject(uint32_t mode)
{
	struct subject s = { .s = share_buffer(fd, nic, SIZE, mode, 0) };

	s.local = alloc_pages(SIZE);
	s.mem = vrnic_reg_user(nic, s.local, SIZE);
	s.followed = (struct vrnic_reg_mr) {
		.flags = VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS, .fd = -1,
		.addr = (uintptr_t)s.local, .length = SIZE,
	};
	igt_assert_eq(__vrnic_reg_mr(nic, &s.followed), 0);
	s.queue = vrnic_create_queue(nic, 8);
	return s;
}

static void free_subject(struct subject *s)
{
	drain(s);
	vrnic_destroy_queue(nic, s->queue);
	vrnic_dereg_mr(nic, s->followed.handle);
	vrnic_dereg_mr(nic, s->mem.handle);
	munmap(s->local, SIZE);
	unshare_buffer(fd, nic, &s->s);
	vvram_wait_unused(fd);
}

static void test_calls(void)
{
	static const uint32_t modes[] = {
		VRNIC_MR_ON_DEMAND, VRNIC_MR_EAGER, VRNIC_MR_FENCED, VRNIC_MR_PINNED, VRNIC_MR_STATIC,
	};
	static const struct fault_op reg = { "reg", run_reg, undo_reg };
	struct subject s = make_subject(VRNIC_MR_ON_DEMAND);
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(ops); i++)
		igt_info("%s: %u faults\n", ops[i].name, fail_each(&ops[i], &s));
	for (i = 0; i < ARRAY_LEN(modes); i++) {
		s.mode = modes[i];
		igt_info("reg, mode %u: %u faults\n", modes[i], fail_each(&reg, &s));
	}
	free_subject(&s);
}

static int run_move(void *ctx)
{
	struct subject *s = ctx;

	return __vvram_move(fd, s->s.handle, SYSTEM);
}

static void undo_move(void *ctx)
{
	struct subject *s = ctx;

	vvram_move(fd, s->s.handle, VRAM);
	igt_assert_eq(run_advise(s), 0);
}

static void test_invalidation(void)
{
	static const uint32_t modes[] = { VRNIC_MR_ON_DEMAND, VRNIC_MR_EAGER, VRNIC_MR_FENCED };
	static const struct fault_op move = { "move of a mapped buffer", run_move, undo_move };
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(modes); i++) {
		struct subject s = make_subject(modes[i]);

		pattern_fill(s.s.p, SIZE, i);
		igt_assert_eq(run_advise(&s), 0);
		igt_info("mode %u: %u faults\n", modes[i], fail_each(&move, &s));
		pattern_check(s.s.p, SIZE, i);
		free_subject(&s);
	}
}

igt_main {
	igt_fixture {
		igt_require_f(faults_available(), "the kernel injects no faults\n");
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
	}

	igt_describe("The errno is right, nothing leaks.");
	igt_subtest("calls")
		test_calls();
	igt_describe("The exporter moves, whatever the importer lacks.");
	igt_subtest("invalidation")
		test_invalidation();

	igt_fixture {
		close(nic);
		drm_close_driver(fd);
	}
}
