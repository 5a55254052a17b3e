// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic answer
 * Category: Core
 * Description: What a call takes or makes is not lost when its answer can't be given.
 *
 * SUBTEST: poll-argument
 * Description: The argument of POLL can't be written: the next call has the completions.
 * SUBTEST: poll-array
 * Description: The array can't be written, or its last entry: nothing is lost.
 * SUBTEST: poll-array-vanishes
 * Description: The array can't be written any more when completions come.
 * SUBTEST: poll-readers
 * Description: Several readers, some with bad memory: each completion once, in order.
 * SUBTEST: made-in-vain
 * Description: What was made is gone when its handle can't be told.
 * SUBTEST: made-before-told
 * Description: Nobody reaches what was made before its maker knows of it.
 * SUBTEST: reset-while-reaped
 * Description: RESET_QUEUE returns, however completions are taken meanwhile.
 * SUBTEST: argument-sizes
 * Description: Callers may be older or newer than the kernel.
 */

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("What a call takes or makes is not lost with its answer.");

#define DEPTH	256

static int nic = -1;
static struct vrnic_reg_mr mem;

static void post(uint32_t queue, uint64_t first, unsigned int n)
{
	struct vrnic_sge sge = { .length = 8, .lkey = mem.lkey };
	struct vrnic_wr wrs[DEPTH];
	unsigned int i;

	for (i = 0; i < n; i++)
		wrs[i] = (struct vrnic_wr) {
			.wr_id = first + i, .opcode = VRNIC_OP_WRITE, .num_sge = 1,
			.sge = (uintptr_t)&sge, .rkey = mem.rkey,
		};
	igt_assert_eq(__vrnic_post(nic, queue, wrs, n), 0);
}

/* They come in order from @first on, and there are no more of them. */
static void expect(uint32_t queue, uint64_t first, unsigned int n)
{
	struct vrnic_wc wcs[DEPTH];
	unsigned int done = 0;
	int got, i;

	while (done < n) {
		got = vrnic_poll(nic, queue, wcs, DEPTH, 10000000000LL);
		igt_assert_lt(0, got);
		for (i = 0; i < got; i++, done++) {
			igt_assert_eq_u64(wcs[i].wr_id, first + done);
			igt_assert_eq(wcs[i].status, VRNIC_WC_SUCCESS);
		}
	}
	igt_assert_eq(done, n);
	igt_assert_eq(vrnic_poll(nic, queue, wcs, DEPTH, 0), 0);
}

static void wait_written(uint64_t bytes)
{
	uint64_t end = now_ms() + 20000;

	while (vrnic_query_mr(nic, mem.handle).counters.bytes_written < bytes) {
		igt_assert(now_ms() < end);
		usleep(1000);
	}
	/* The last completion follows the last byte. */
	usleep(50000);
}

static uint32_t queue_with(unsigned int n)
{
	uint64_t before = vrnic_query_mr(nic, mem.handle).counters.bytes_written;
	uint32_t queue = vrnic_create_queue(nic, DEPTH);

	post(queue, 1, n);
	wait_written(before + 8 * n);
	return queue;
}

static void test_poll_argument(void)
{
	struct vrnic_poll *arg = alloc_pages(KIB(4));
	uint32_t queue = queue_with(10);
	struct vrnic_wc wcs[16];

	*arg = (struct vrnic_poll) { .queue = queue, .count = 16, .wcs = (uintptr_t)wcs };
	igt_assert_eq(mprotect(arg, KIB(4), PROT_READ), 0);
	igt_assert_eq(do_call(nic, VRNIC_IOC_POLL, arg), -EFAULT);
	igt_assert_eq(arg->count, 16);
	expect(queue, 1, 10);

	/* No completions are told in the same way. */
	igt_assert_eq(do_call(nic, VRNIC_IOC_POLL, arg), -EFAULT);
	munmap(arg, KIB(4));
	vrnic_destroy_queue(nic, queue);
}

static void test_poll_array(void)
{
	uint8_t *pages = alloc_pages(KIB(8));
	struct vrnic_wc *last = (struct vrnic_wc *)(pages + KIB(4)) - 1;
	uint32_t queue = queue_with(10);
	int taken = 0, got;

	igt_assert_eq(mprotect(pages + KIB(4), KIB(4), PROT_READ), 0);
	igt_assert_eq(vrnic_poll(nic, queue, (struct vrnic_wc *)(pages + KIB(4)), 10, 0), -EFAULT);

	/* One entry fits, then half of one: what is said to be taken is there. */
	got = vrnic_poll(nic, queue, last, 10, 0);
	if (got != -EFAULT) {
		igt_assert_eq(got, 1);
		igt_assert_eq_u64(last->wr_id, 1);
		taken++;
	}
	last = (struct vrnic_wc *)((uint8_t *)last + sizeof(*last) / 2);
	igt_assert_eq(vrnic_poll(nic, queue, last, 10, 0), -EFAULT);
	expect(queue, 1 + taken, 10 - taken);
	munmap(pages, KIB(8));
	vrnic_destroy_queue(nic, queue);
}

struct reader {
	struct vrnic_poll arg;
	int ret;
	pthread_t thread;
};

static void *poll_once(void *data)
{
	struct reader *r = data;

	r->ret = do_call(nic, VRNIC_IOC_POLL, &r->arg);
	return NULL;
}

static void test_array_vanishes(void)
{
	uint32_t queue = vrnic_create_queue(nic, DEPTH);
	struct vrnic_wc *wcs = alloc_pages(KIB(4));
	struct reader r = {
		.arg = { .queue = queue, .count = 16, .wcs = (uintptr_t)wcs, .timeout_ns = -1 },
	};

	igt_assert_eq(pthread_create(&r.thread, NULL, poll_once, &r), 0);
	usleep(300000);
	igt_assert_eq(mprotect(wcs, KIB(4), PROT_NONE), 0);
	post(queue, 1, 10);
	pthread_join(r.thread, NULL);
	igt_assert_eq(r.ret, -EFAULT);
	expect(queue, 1, 10);
	munmap(wcs, KIB(4));
	vrnic_destroy_queue(nic, queue);
}

#define READERS	4
#define ROUNDS	10

struct many {
	uint32_t queue;
	bool bad;
	unsigned int n;
	uint64_t *seen;
	const char *wrong;
	pthread_t thread;
};

/* Readers with bad memory get nothing, and take nothing away. */
static void *poll_many(void *data)
{
	struct vrnic_wc wcs[3] = {}, *array = wcs;
	struct vrnic_poll arg = {};
	struct many *m = data;
	uint64_t before = 0;
	uint32_t i;
	int ret;

	if (m->bad)
		array = mmap(NULL, KIB(4), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	while (__atomic_load_n(&m->n, __ATOMIC_SEQ_CST)) {
		arg = (struct vrnic_poll) {
			.queue = m->queue, .count = 3, .wcs = (uintptr_t)array,
			.timeout_ns = 1000000,
		};
		ret = do_call(nic, VRNIC_IOC_POLL, &arg);
		if (ret != (m->bad ? -EFAULT : 0))
			m->wrong = "result";
		for (i = 0; !ret && i < arg.count; i++) {
			if (wcs[i].wr_id <= before)
				m->wrong = "order";
			before = wcs[i].wr_id;
			__atomic_fetch_add(&m->seen[before], 1, __ATOMIC_SEQ_CST);
		}
	}
	return NULL;
}

static void test_readers(void)
{
	uint64_t seen[1 + DEPTH * ROUNDS] = {}, id, end = now_ms() + 120000;
	uint32_t queue = vrnic_create_queue(nic, DEPTH);
	struct many m[READERS];
	unsigned int i, r;

	for (i = 0; i < READERS; i++) {
		m[i] = (struct many) { .queue = queue, .bad = i % 2, .n = 1, .seen = seen };
		igt_assert_eq(pthread_create(&m[i].thread, NULL, poll_many, &m[i]), 0);
	}
	for (r = 0; r < ROUNDS; r++) {
		post(queue, 1 + r * DEPTH, DEPTH);
		/* The queue is full: the next round waits until all of this one are taken. */
		for (id = 1 + r * DEPTH; id <= (r + 1) * DEPTH; id++)
			while (!__atomic_load_n(&seen[id], __ATOMIC_SEQ_CST) && now_ms() < end)
				usleep(100);
	}
	for (i = 0; i < READERS; i++)
		__atomic_store_n(&m[i].n, 0, __ATOMIC_SEQ_CST);
	for (i = 0; i < READERS; i++) {
		pthread_join(m[i].thread, NULL);
		igt_assert_f(!m[i].wrong, "reader %u: %s\n", i, m[i].wrong);
	}
	for (id = 1; id <= DEPTH * ROUNDS; id++)
		igt_assert_f(seen[id] == 1, "completion %llu came %llu times\n",
			     (unsigned long long)id, (unsigned long long)seen[id]);
	vrnic_destroy_queue(nic, queue);
}

static void test_made_in_vain(void)
{
	uint8_t *page = alloc_pages(KIB(4));
	struct vrnic_reg_mr *reg = (void *)page;
	struct vrnic_create_queue *create = (void *)(page + KIB(1));
	uint32_t mrs = vrnic_query(nic).mrs, i, handle;
	int mine = vrnic_open();

	*reg = (struct vrnic_reg_mr) {
		.flags = VRNIC_REG_MR_USER, .fd = -1, .addr = (uintptr_t)page, .length = KIB(4),
	};
	*create = (struct vrnic_create_queue) { .depth = 4, .eventfd = -1 };
	igt_assert_eq(mprotect(page, KIB(4), PROT_READ), 0);
	for (i = 0; i < 2 * vrnic_query(nic).max_queues; i++) {
		igt_assert_eq(do_call(mine, VRNIC_IOC_REG_MR, reg), -EFAULT);
		igt_assert_eq(do_call(mine, VRNIC_IOC_CREATE_QUEUE, create), -EFAULT);
	}
	igt_assert_eq(vrnic_query(nic).mrs, mrs);
	/* The limit of queues is not used up. */
	for (i = 0; i < vrnic_query(nic).max_queues; i++) {
		handle = vrnic_create_queue(mine, 1);
		igt_assert_lt(0, handle);
	}
	close(mine);
	munmap(page, KIB(4));
}

/* Writes to the page wait until release_page(). */
static int hold_page(void *page)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)page, .len = KIB(4) },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect wp = {
		.range = range.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);

	igt_require_f(uffd >= 0, "no userfaultfd\n");
	igt_require_f(!ioctl(uffd, UFFDIO_API, &api) && !ioctl(uffd, UFFDIO_REGISTER, &range),
		      "userfaultfd can't hold writes\n");
	igt_assert_eq(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp), 0);
	return uffd;
}

static void release_page(int uffd, void *page)
{
	struct uffdio_writeprotect wp = { .range = { .start = (uintptr_t)page, .len = KIB(4) } };

	igt_assert_eq(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp), 0);
}

struct maker {
	int nic;
	unsigned long request;
	void *arg;
	int ret;
	pthread_t thread;
};

static void *make(void *data)
{
	struct maker *m = data;

	m->ret = do_call(m->nic, m->request, m->arg);
	return NULL;
}

/* Starts a call and returns when it is about to write its answer. */
static void start_held(int mine, unsigned long request, void *arg, int uffd,
		       struct maker *m)
{
	struct uffd_msg msg;

	*m = (struct maker) { .nic = mine, .request = request, .arg = arg };
	igt_assert_eq(pthread_create(&m->thread, NULL, make, m), 0);
	igt_assert_eq(read(uffd, &msg, sizeof(msg)), sizeof(msg));
	igt_assert_eq(msg.event, UFFD_EVENT_PAGEFAULT);
}

static void test_made_before_told(void)
{
	uint8_t *page = alloc_pages(KIB(4)), *local = alloc_pages(KIB(4));
	struct vrnic_create_queue *create = (void *)page;
	struct vrnic_reg_mr *reg = (void *)page;
	int mine = vrnic_open(), uffd;
	struct vrnic_queue queue = { .handle = 1 };
	struct vrnic_query_mr query = { .handle = 1 };
	struct maker m;

	*reg = (struct vrnic_reg_mr) {
		.flags = VRNIC_REG_MR_USER, .fd = -1, .addr = (uintptr_t)local, .length = KIB(4),
	};
	uffd = hold_page(page);
	start_held(mine, VRNIC_IOC_REG_MR, reg, uffd, &m);
	igt_assert_eq(do_call(mine, VRNIC_IOC_QUERY_MR, &query), -ENOENT);
	igt_assert_eq(__vrnic_dereg_mr(mine, 1), -ENOENT);
	release_page(uffd, page);
	pthread_join(m.thread, NULL);
	igt_assert_eq(m.ret, 0);
	/* The guess was right: only it came too early. */
	igt_assert_eq(reg->handle, 1);
	igt_assert_eq(do_call(mine, VRNIC_IOC_QUERY_MR, &query), 0);
	igt_assert_eq(__vrnic_dereg_mr(mine, 1), 0);
	close(uffd);

	*create = (struct vrnic_create_queue) { .depth = 4, .eventfd = -1 };
	uffd = hold_page(page);
	start_held(mine, VRNIC_IOC_CREATE_QUEUE, create, uffd, &m);
	igt_assert_eq(do_call(mine, VRNIC_IOC_RESET_QUEUE, &queue), -ENOENT);
	igt_assert_eq(do_call(mine, VRNIC_IOC_DESTROY_QUEUE, &queue), -ENOENT);
	release_page(uffd, page);
	pthread_join(m.thread, NULL);
	igt_assert_eq(m.ret, 0);
	igt_assert_eq(create->handle, 1);
	igt_assert_eq(do_call(mine, VRNIC_IOC_DESTROY_QUEUE, &queue), 0);
	close(uffd);
	close(mine);
	munmap(page, KIB(4));
	munmap(local, KIB(4));
}

static void *reap_all(void *data)
{
	struct many *m = data;
	struct vrnic_wc wcs[DEPTH];

	while (__atomic_load_n(&m->n, __ATOMIC_SEQ_CST))
		vrnic_poll(nic, m->queue, wcs, DEPTH, 0);
	return NULL;
}

static void reset_queue(uint32_t queue)
{
	struct vrnic_queue reset = { .handle = queue };

	igt_set_timeout(30, "a reset that does not return");
	igt_assert_eq(do_call(nic, VRNIC_IOC_RESET_QUEUE, &reset), 0);
	igt_reset_timeout();
}

/* Each request but the first is flushed, while a reset waits and completions are taken. */
static void test_reset_while_reaped(void)
{
	struct vrnic_sge sge = { .length = 8, .lkey = mem.lkey };
	uint32_t queue = vrnic_create_queue(nic, DEPTH), rounds = 0, i;
	struct many m = { .queue = queue, .n = 1 };
	uint64_t end = now_ms() + 3000;
	struct vrnic_wr wrs[8];
	int ret = 0;

	for (i = 0; i < 8; i++)
		wrs[i] = (struct vrnic_wr) {
			.opcode = VRNIC_OP_WRITE, .num_sge = 1, .sge = (uintptr_t)&sge,
		};
	igt_assert_eq(pthread_create(&m.thread, NULL, reap_all, &m), 0);
	while (now_ms() < end && (!ret || ret == -EPIPE || ret == -ENOSPC)) {
		ret = __vrnic_post(nic, queue, wrs, 1 + rounds++ % 8);
		reset_queue(queue);
	}
	__atomic_store_n(&m.n, 0, __ATOMIC_SEQ_CST);
	pthread_join(m.thread, NULL);
	igt_info("%u resets\n", rounds);
	igt_assert(!ret || ret == -EPIPE || ret == -ENOSPC);
	igt_assert_lt(100, rounds);
	vrnic_destroy_queue(nic, queue);
}

/* The same call, by a caller who knows of another size. */
static unsigned long resized(unsigned long request, size_t size)
{
	return _IOC(_IOC_DIR(request), _IOC_TYPE(request), _IOC_NR(request), size);
}

static void test_argument_sizes(void)
{
	static const struct {
		unsigned long request;
		/* Up to the last member that is not padding. */
		size_t least;
	} calls[] = {
		{ VRNIC_IOC_QUERY, sizeof(struct vrnic_query) },
		{ VRNIC_IOC_REG_MR, offsetof(struct vrnic_reg_mr, pad) },
		{ VRNIC_IOC_DEREG_MR, offsetof(struct vrnic_dereg_mr, pad) },
		{ VRNIC_IOC_ADVISE_MR, offsetof(struct vrnic_advise_mr, pad) },
		{ VRNIC_IOC_QUERY_MR, sizeof(struct vrnic_query_mr) },
		{ VRNIC_IOC_CREATE_QUEUE, offsetof(struct vrnic_create_queue, pad) },
		{ VRNIC_IOC_DESTROY_QUEUE, offsetof(struct vrnic_queue, pad) },
		{ VRNIC_IOC_RESET_QUEUE, offsetof(struct vrnic_queue, pad) },
		{ VRNIC_IOC_POST, sizeof(struct vrnic_post) },
		{ VRNIC_IOC_POLL, sizeof(struct vrnic_poll) },
	};
	uint8_t arg[1024] = {};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(calls); i++) {
		unsigned long request = calls[i].request;
		size_t size = _IOC_SIZE(request);
		int plain;

		memset(arg, 0, sizeof(arg));
		plain = do_call(nic, request, arg);
		memset(arg, 0, sizeof(arg));
		igt_assert_eq(do_call(nic, resized(request, size + 64), arg), plain);
		memset(arg, 0, sizeof(arg));
		arg[size + 63] = 1;
		igt_assert_eq(do_call(nic, resized(request, size + 64), arg), -E2BIG);
		memset(arg, 0, sizeof(arg));
		igt_assert_eq(do_call(nic, resized(request, calls[i].least), arg), plain);
		igt_assert_eq(do_call(nic, resized(request, calls[i].least - 1), arg), -EINVAL);
		igt_assert_eq(do_call(nic, resized(request, 0), arg), -EINVAL);
		/* The size is the only thing that may differ. */
		igt_assert_eq(do_call(nic, request ^ _IOC(_IOC_READ | _IOC_WRITE, 0, 0, 0), arg),
			      -ENOTTY);
	}
}

/* What an older caller does not know of is neither read nor written. */
static void test_shorter_and_longer(void)
{
	struct {
		struct vrnic_reg_mr reg;
		uint64_t beyond[4];
	} arg = { .reg = mem }, good = arg;
	unsigned long longer = resized(VRNIC_IOC_REG_MR, sizeof(arg));
	unsigned long shorter = resized(VRNIC_IOC_REG_MR, offsetof(struct vrnic_reg_mr, pad));
	unsigned int i;

	arg.reg.pad = 0xabcd;
	igt_assert_eq(do_call(nic, VRNIC_IOC_REG_MR, &arg), -EINVAL);
	igt_assert_eq(do_call(nic, shorter, &arg), 0);
	igt_assert_eq(arg.reg.pad, 0xabcd);
	igt_assert_neq(arg.reg.handle, mem.handle);
	igt_assert_eq_u64(vrnic_query_mr(nic, arg.reg.handle).mode, mem.mode);
	vrnic_dereg_mr(nic, arg.reg.handle);

	arg = good;
	igt_assert_eq(do_call(nic, longer, &arg), 0);
	for (i = 0; i < ARRAY_LEN(arg.beyond); i++)
		igt_assert_eq_u64(arg.beyond[i], 0);
	vrnic_dereg_mr(nic, arg.reg.handle);

	for (i = 0; i < ARRAY_LEN(arg.beyond); i++) {
		arg = good;
		arg.beyond[i] = 1ULL << 63;
		igt_assert_eq(do_call(nic, longer, &arg), -E2BIG);
	}
	igt_assert_eq(vrnic_query(nic).mrs, 1);
}

igt_main {
	uint8_t *local = alloc_pages(KIB(4));

	igt_fixture {
		nic = vrnic_open();
		mem = vrnic_reg_user(nic, local, KIB(4));
	}

	igt_describe("Nobody knows of completions that could not be told.");
	igt_subtest("poll-argument")
		test_poll_argument();
	igt_describe("What does not fit into the caller's memory stays.");
	igt_subtest("poll-array")
		test_poll_array();
	igt_describe("Memory that was good may be bad a moment later.");
	igt_subtest("poll-array-vanishes")
		test_array_vanishes();
	igt_describe("None twice, none lost.");
	igt_subtest("poll-readers")
		test_readers();
	igt_describe("Regions and queues that nobody knows of do not stay.");
	igt_subtest("made-in-vain")
		test_made_in_vain();
	igt_describe("A handle that is guessed leads nowhere before it is told.");
	igt_subtest("made-before-told")
		test_made_before_told();
	igt_describe("Nobody sleeps on what has happened already.");
	igt_subtest("reset-while-reaped")
		test_reset_while_reaped();
	igt_describe("A number and a direction name a call; its argument may grow.");
	igt_subtest("argument-sizes") {
		test_argument_sizes();
		test_shorter_and_longer();
	}

	igt_fixture {
		vrnic_dereg_mr(nic, mem.handle);
		close(nic);
	}
}
