// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic verbs calls
 * Category: Core
 * Description: System calls of the RDMA device: how many there are, and what they do.
 *
 * SUBTEST: counted
 * Description: The control: system calls are counted, doorbells among them.
 * SUBTEST: poll
 * Description: Polling takes no system call, whether there is a completion or not.
 * SUBTEST: post-list
 * Description: A list of 64 requests takes one system call.
 * SUBTEST: post-recv
 * Description: Posting receive requests takes no system call.
 * SUBTEST: at-once
 * Description: A small request is done when the call that posts it returns.
 * SUBTEST: order
 * Description: Requests are done in order, whoever executes them.
 * SUBTEST: move
 * Description: Small requests bring the right bytes while the buffer moves.
 * SUBTEST: move-control
 * Description: An importer that goes on with old addresses is caught by the same check.
 * SUBTEST: received
 * Description: No message is lost or exchanged that is received where a buffer moves.
 * SUBTEST: threads
 * Description: Several threads may post to a queue, and ring for nothing meanwhile.
 * SUBTEST: bells
 * Description: Bells in any state of a queue pair do no harm, and none is missed.
 * SUBTEST: retry
 * Description: Bells do not make a timer end earlier.
 * SUBTEST: killed
 * Description: Clients that are killed while they post leave nothing behind.
 * SUBTEST: stalled-destroy
 * Description: A queue pair ends at once that waits for a buffer, or whose peer does.
 * SUBTEST: stalled-reset
 * Description: The same for one that is reset.
 * SUBTEST: unbind
 * Description: A device may go while a request is executed where it was posted.
 */

#include <rdma/ib_user_verbs.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <linux/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "verbs.h"

IGT_TEST_DESCRIPTION("System calls of the RDMA device: how many, and what they do.");

/* More than a caller executes itself. */
#define LARGE	KIB(64)
#define SMALL	64

static int fd = -1, nic = -1;

/* A request of an end's, for bytes of memory elsewhere. */
struct request {
	struct end *e;
	struct ibv_sge sge;
	struct ibv_send_wr wr;
};

static void fill_write(struct request *r, struct end *e, uint64_t addr, uint32_t rkey, uint32_t len)
{
	r->e = e;
	r->sge = (struct ibv_sge){ (uintptr_t)e->mem, len, e->mr->lkey };
	r->wr = (struct ibv_send_wr){
		.opcode = IBV_WR_RDMA_WRITE, .sg_list = &r->sge, .num_sge = 1,
		.wr.rdma = { addr, rkey },
	};
}

/* The old value goes to the beginning of the end's memory. */
static void fill_add_one(struct request *r, struct end *e, uint64_t addr, uint32_t rkey)
{
	fill_write(r, e, addr, rkey, sizeof(uint64_t));
	r->wr.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD;
	r->wr.wr.atomic.compare_add = 1;
	r->wr.wr.atomic.rkey = rkey;
}

/* Until its worker has been without a request for long enough to have gone. */
static void let_worker_sleep(void)
{
	usleep(50000);
}

/*
 * Calls are counted by a child that traces this process: between two calls of getppid(),
 * of which libraries make none.
 */
struct counter {
	volatile bool ready, stop;
	volatile unsigned int calls;
};

static struct counter *counter;

static bool is_traced_call(uint64_t *nr)
{
	struct __ptrace_syscall_info info;

	if (ptrace((enum __ptrace_request)PTRACE_GET_SYSCALL_INFO, getppid(), sizeof(info),
		   &info) <= 0)
		return false;
	*nr = info.entry.nr;
	return info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

static void count_calls_of_parent(void)
{
	pid_t parent = getppid();
	unsigned int calls = 0;
	bool inside = false;
	int status, sig = 0;
	uint64_t nr;

	igt_assert_eq(ptrace(PTRACE_SEIZE, parent, 0, PTRACE_O_TRACESYSGOOD), 0);
	igt_assert_eq(ptrace(PTRACE_INTERRUPT, parent, 0, 0), 0);
	while (waitpid(parent, &status, __WALL) == parent && WIFSTOPPED(status)) {
		sig = 0;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80) && status >> 16 == 0) {
			sig = WSTOPSIG(status);
		} else if (is_traced_call(&nr) && nr == SYS_getppid) {
			inside = !inside;
			counter->calls = calls;
			calls = 0;
		} else if (inside && is_traced_call(&nr)) {
			calls++;
		}
		counter->ready = true;
		if (counter->stop)
			break;
		ptrace(PTRACE_SYSCALL, parent, 0, sig);
	}
	ptrace(PTRACE_DETACH, parent, 0, sig);
}

static void start_counter(void)
{
	counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	igt_assert(counter != MAP_FAILED);
	igt_fork(child, 1)
		count_calls_of_parent();
	while (!counter->ready)
		usleep(1000);
}

static void stop_counter(void)
{
	counter->stop = true;
	getpid();
	igt_waitchildren();
	munmap(counter, sizeof(*counter));
}

static void begin_count(void)
{
	syscall(SYS_getppid);
}

static unsigned int end_count(void)
{
	syscall(SYS_getppid);
	return counter->calls;
}

static void test_counted(void)
{
	struct end a, b;
	int i;

	open_pair(&a, &b);
	start_counter();
	begin_count();
	igt_assert_eq(end_count(), 0);
	begin_count();
	for (i = 0; i < 3; i++)
		syscall(SYS_getpid);
	igt_assert_eq(end_count(), 3);
	begin_count();
	for (i = 0; i < 5; i++)
		ring_bell(&a, IB_USER_VERBS_CMD_POST_SEND);
	igt_assert_eq(end_count(), 5);
	stop_counter();
	close_end(&a);
	close_end(&b);
}

/* A list of as many requests as the queue has room for. */
static void fill_list(struct end *a, struct end *b, struct request *list, uint32_t len)
{
	int i;

	for (i = 0; i < DEPTH; i++) {
		fill_write(&list[i], a, (uintptr_t)b->mem + i * SMALL, b->mr->rkey, len);
		list[i].sge.addr += i * SMALL;
		list[i].wr.wr_id = i;
		list[i].wr.next = i + 1 < DEPTH ? &list[i + 1].wr : NULL;
	}
}

/* Without looking at the clock: where it is not the CPU's own, that is a call. */
static void poll_list(struct end *e, struct ibv_wc wc[DEPTH])
{
	int n, i;

	for (i = 0; i < DEPTH; i += n) {
		n = ibv_poll_cq(e->cq, DEPTH - i, wc + i);
		igt_assert_lte(0, n);
	}
}

static void check_list(struct end *b, const struct ibv_wc wc[DEPTH])
{
	int i;

	for (i = 0; i < DEPTH; i++) {
		igt_assert_eq(wc[i].status, IBV_WC_SUCCESS);
		igt_assert_eq_u64(wc[i].wr_id, i);
	}
	pattern_check(b->mem, DEPTH * SMALL, 7);
}

static void test_poll(void)
{
	struct request list[DEPTH];
	struct ibv_wc wc[DEPTH];
	unsigned int calls;
	struct end a, b;
	int i, n = 0;

	open_pair(&a, &b);
	fill_list(&a, &b, list, SMALL);
	start_counter();
	begin_count();
	for (i = 0; i < 1000; i++)
		n += ibv_poll_cq(a.cq, DEPTH, wc);
	calls = end_count();
	igt_assert_eq(n, 0);
	igt_assert_eq(calls, 0);

	igt_assert_eq(__post(&a, &list[0].wr), 0);
	let_worker_sleep();
	begin_count();
	n = ibv_poll_cq(a.cq, DEPTH, wc);
	calls = end_count();
	igt_assert_eq(n, DEPTH);
	igt_assert_eq(calls, 0);
	stop_counter();
	for (i = 0; i < DEPTH; i++)
		igt_assert_eq(wc[i].status, IBV_WC_SUCCESS);
	close_end(&a);
	close_end(&b);
}

static void test_post_list(void)
{
	struct request list[DEPTH];
	struct ibv_wc wc[DEPTH];
	unsigned int calls;
	struct end a, b;
	int ret;

	open_pair(&a, &b);
	pattern_fill(a.mem, DEPTH * SMALL, 7);
	fill_list(&a, &b, list, SMALL);
	start_counter();
	let_worker_sleep();
	begin_count();
	ret = __post(&a, &list[0].wr);
	calls = end_count();
	igt_assert_eq(ret, 0);
	igt_assert_eq(calls, 1);
	begin_count();
	poll_list(&a, wc);
	igt_assert_eq(end_count(), 0);
	stop_counter();
	check_list(&b, wc);
	close_end(&a);
	close_end(&b);
}

static void test_post_recv(void)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = DEPTH, .max_sge = 1 } };
	struct ibv_recv_wr list[DEPTH] = {}, *bad;
	unsigned int calls;
	struct ibv_srq *srq;
	struct end a, b;
	int i, ret;

	open_pair(&a, &b);
	srq = ibv_create_srq(b.pd, &init);
	igt_assert(srq);
	for (i = 0; i + 1 < DEPTH; i++)
		list[i].next = &list[i + 1];
	start_counter();
	let_worker_sleep();
	begin_count();
	ret = ibv_post_recv(b.qp, list, &bad);
	calls = end_count();
	igt_assert_eq(ret, 0);
	igt_assert_eq(calls, 0);
	begin_count();
	ret = ibv_post_srq_recv(srq, list, &bad);
	calls = end_count();
	igt_assert_eq(ret, 0);
	igt_assert_eq(calls, 0);
	stop_counter();
	igt_assert_eq(ibv_destroy_srq(srq), 0);
	close_end(&a);
	close_end(&b);
}

/* How many of a number of requests have completed when the call returns. */
static unsigned int count_at_once(struct end *a, struct end *b, uint32_t len)
{
	unsigned int i, at_once = 0;
	struct request r;
	struct ibv_wc wc;

	fill_write(&r, a, (uintptr_t)b->mem, b->mr->rkey, len);
	for (i = 0; i < 100; i++) {
		let_worker_sleep();
		igt_assert_eq(__post(a, &r.wr), 0);
		if (ibv_poll_cq(a->cq, 1, &wc) == 1)
			at_once++;
		else
			wc = wait_wc(a);
		igt_assert_eq(wc.status, IBV_WC_SUCCESS);
	}
	return at_once;
}

static void test_at_once(void)
{
	unsigned int small, large;
	struct end a, b;

	open_pair(&a, &b);
	small = count_at_once(&a, &b, SMALL);
	large = count_at_once(&a, &b, SIZE);
	igt_info("done when the call returns: %u small, %u large of 100\n", small, large);
	/*
	 * A signal, another thread that runs in between, or a machine so slow that the call's time
	 * is over, may have the worker do it.
	 */
	igt_assert_lte(50, small);
	close_end(&a);
	close_end(&b);
}

/* All write to the same place, each something else: what is there is from the last one. */
static void test_order(void)
{
	struct request list[DEPTH];
	struct ibv_wc wc;
	struct end a, b;
	int round, i;

	open_pair(&a, &b);
	for (round = 0; round < 50; round++) {
		fill_list(&a, &b, list, SMALL);
		for (i = 0; i < DEPTH; i++) {
			list[i].wr.wr.rdma.remote_addr = (uintptr_t)b.mem;
			list[i].sge.length = i * 7 % 5 == round % 5 ? LARGE : SMALL;
		}
		pattern_fill(a.mem, SIZE, round);
		list[DEPTH - 1].sge.length = SMALL;
		igt_assert_eq(__post(&a, &list[0].wr), 0);
		for (i = 0; i < DEPTH; i++) {
			wc = wait_wc(&a);
			igt_assert_eq(wc.status, IBV_WC_SUCCESS);
			igt_assert_eq_u64(wc.wr_id, i);
		}
		igt_assert(!memcmp(b.mem, a.mem + (DEPTH - 1) * SMALL, SMALL));
	}
	close_end(&a);
	close_end(&b);
}

/* Adds to a counter in the buffer, and tells whether it had the old value. */
static bool count_up(struct end *a, struct movable *m, uint64_t old)
{
	struct request r;

	fill_add_one(&r, a, SIZE - sizeof(uint64_t), m->mr->rkey);
	return !do_send(a, &r.wr) && *(uint64_t *)a->mem == old;
}

/* Writes a pattern somewhere, reads it back, and tells whether that went right. */
static bool small_round(struct end *a, struct movable *m, uint64_t seed)
{
	uint64_t at = seed * SMALL % (SIZE - SMALL);

	pattern_fill(a->mem, SMALL, seed);
	if (rdma(a, IBV_WR_RDMA_WRITE, at, m->mr->rkey, SMALL))
		return false;
	memset(a->mem, 0xee, SMALL);
	if (rdma(a, IBV_WR_RDMA_READ, at, m->mr->rkey, SMALL))
		return false;
	return pattern_find_bad(a->mem, SMALL, seed, 1) < 0 &&
	       pattern_find_bad(m->p + at, SMALL, seed, 1) < 0 && count_up(a, m, seed);
}

static void test_move(void)
{
	struct vrnic_counters before = vrnic_query(nic).counters, after;
	struct mover mover;
	struct movable m;
	struct end a, b;
	uint64_t n;

	igt_require(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC);
	open_pair(&a, &b);
	m = make_movable(fd, &b);
	mover_start(&mover, fd, m.handle);
	for (n = 0; mover.moves < 500; n++)
		igt_assert_f(small_round(&a, &m, n), "round %" PRIu64 "\n", n);
	mover_stop(&mover);
	after = vrnic_query(nic).counters;
	igt_info("%d moves, %" PRIu64 " rounds\n", mover.moves, n);
	igt_assert_eq_u64(*(uint64_t *)(m.p + SIZE - sizeof(uint64_t)), n);
	igt_assert_lt(100, after.invalidations - before.invalidations);
	igt_assert_eq_u64(after.dma_faults, before.dma_faults);
	free_movable(&m);
	close_end(&a);
	close_end(&b);
}

/* Whether a buffer that is mapped is in VRAM, and may leave it. */
static void require_leaving(void)
{
	igt_require(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC);
	igt_require_f(vrnic_reaches_vram(fd, nic), "the importer does not reach VRAM\n");
}

static void test_move_control(void)
{
	struct movable m;
	struct end a, b;
	bool good;

	require_leaving();
	open_pair(&a, &b);
	m = make_movable(fd, &b);
	igt_assert(small_round(&a, &m, 0));
	vrnic_misbehave("skip-invalidate");
	vvram_move(fd, m.handle, SYSTEM);
	good = small_round(&a, &m, 1);
	vrnic_misbehave("none");
	igt_assert_f(!good, "old addresses were used, and nobody noticed\n");
	free_movable(&m);
	close_end(&a);
	close_end(&b);
}

/* The receive request is taken before it shows that its buffer is elsewhere. */
static void receive_one(struct end *a, struct end *b, struct movable *m, uint64_t n)
{
	struct ibv_sge sge = { n % DEPTH * SMALL, SMALL, m->mr->lkey };
	struct ibv_recv_wr wr = { .wr_id = n, .sg_list = &sge, .num_sge = 1 }, *bad;
	struct ibv_wc wc;

	igt_assert_eq(ibv_post_recv(b->qp, &wr, &bad), 0);
	pattern_fill(a->mem, SMALL, n);
	igt_assert_eq(send_bytes(a, n, SMALL), IBV_WC_SUCCESS);
	wc = wait_wc(b);
	igt_assert_eq(wc.status, IBV_WC_SUCCESS);
	igt_assert_eq_u64(wc.wr_id, n);
	igt_assert_eq(wc.byte_len, SMALL);
	pattern_check(m->p + sge.addr, SMALL, n);
}

static void test_received(void)
{
	struct mover mover;
	struct movable m;
	struct end a, b;
	uint64_t n;

	open_pair(&a, &b);
	m = make_movable(fd, &b);
	/* Without a mapping yet, and after each move. */
	for (n = 0; n < 20; n++) {
		receive_one(&a, &b, &m, n);
		vvram_move_mapped(fd, m.handle, n % 2 ? VRAM : SYSTEM);
	}
	/* A kernel that pins mapped buffers has them moved when nobody maps them only. */
	if (vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC) {
		mover_start(&mover, fd, m.handle);
		for (; mover.moves < 500 && !mover.error; n++)
			receive_one(&a, &b, &m, n);
		mover_stop(&mover);
	}
	free_movable(&m);
	close_end(&a);
	close_end(&b);
}

/* A thread that rings, whether the kernel wants it or not. */
struct ringer {
	struct end *e;
	volatile bool stop;
	volatile uint64_t bells;
	pthread_t thread;
};

static void *ring_all_the_time(void *arg)
{
	struct ringer *r = arg;

	while (!r->stop) {
		ring_bell(r->e, IB_USER_VERBS_CMD_POST_SEND);
		r->bells++;
	}
	return NULL;
}

static void start_ringer(struct ringer *r, struct end *e)
{
	*r = (struct ringer){ .e = e };
	igt_assert_eq(pthread_create(&r->thread, NULL, ring_all_the_time, r), 0);
}

static void stop_ringer(struct ringer *r)
{
	r->stop = true;
	pthread_join(r->thread, NULL);
}

static void *post_1000(void *arg)
{
	struct request *r = arg;
	int i, ret;

	for (i = 0; i < 1000; i++) {
		do
			ret = __post(r->e, &r->wr);
		while (ret == ENOMEM);
		if (ret)
			return (void *)1;
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t thread[2];
	struct ringer ringer;
	struct request r;
	struct end a, b;
	void *failed;
	int i;

	open_pair(&a, &b);
	fill_add_one(&r, &a, (uintptr_t)b.mem, b.mr->rkey);
	start_ringer(&ringer, &a);
	for (i = 0; i < 2; i++)
		igt_assert_eq(pthread_create(&thread[i], NULL, post_1000, &r), 0);
	for (i = 0; i < 2000; i++)
		igt_assert_eq(wait_wc(&a).status, IBV_WC_SUCCESS);
	for (i = 0; i < 2; i++) {
		pthread_join(thread[i], &failed);
		igt_assert(!failed);
	}
	stop_ringer(&ringer);
	/* Each was done once. */
	igt_assert_eq_u64(*(uint64_t *)b.mem, 2000);
	igt_assert(is_idle(a.cq));
	close_end(&a);
	close_end(&b);
}

static void test_bells(void)
{
	struct request list[DEPTH];
	struct ringer ringer[2];
	struct end a, b;
	int i, k;

	open_pair(&a, &b);
	start_ringer(&ringer[0], &a);
	start_ringer(&ringer[1], &b);
	for (i = 0; i < 100; i++) {
		/* In the middle of traffic, of small requests or of large ones. */
		fill_list(&a, &b, list, i % 2 ? LARGE : SMALL);
		igt_assert_eq(__post(&a, &list[0].wr), 0);
		usleep(i * 20);
		igt_assert_eq(__set_state(&a, i % 3 ? IBV_QPS_ERR : IBV_QPS_RESET), 0);
		if (i % 3)
			for (k = 0; k < DEPTH; k++)
				wait_wc(&a);
		connect_ends(&a, &b);
		igt_assert(is_idle(a.cq));
		igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)b.mem, b.mr->rkey,
				   i % 2 ? SMALL : LARGE), IBV_WC_SUCCESS);
	}
	for (k = 0; k < 2; k++) {
		stop_ringer(&ringer[k]);
		igt_assert_lt(10, ringer[k].bells);
	}
	close_end(&a);
	close_end(&b);
}

/* No receive request, ever: it is tried twice, 0.16 s apart. */
static void test_retry(void)
{
	struct ibv_qp_attr attr;
	struct ringer ringer;
	struct end a, b;
	uint64_t begin;

	open_pair(&a, &b);
	attr = attr_of(&b, &a);
	attr.min_rnr_timer = 28;
	igt_assert_eq(__bring_to(&b, attr, IBV_QPS_RTS), 0);
	start_ringer(&ringer, &a);
	begin = now_ms();
	igt_assert_eq(send_bytes(&a, 1, SMALL), IBV_WC_RNR_RETRY_EXC_ERR);
	igt_assert_lte(160, now_ms() - begin);
	stop_ringer(&ringer);
	close_end(&a);
	close_end(&b);
}

static void post_until_killed(void)
{
	struct mover mover;
	struct movable m;
	struct end a, b;
	uint64_t n;

	open_pair(&a, &b);
	m = make_movable(fd, &b);
	mover_start(&mover, fd, m.handle);
	for (n = 0; ; n++)
		if (rdma(&a, n % 2 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE, 0, m.mr->rkey, SMALL))
			return;
}

static void test_killed(void)
{
	vrnic_kill_clients(nic, post_until_killed, 50000);
}

/* How long the copy waits before it begins. */
#define STALL_MS	4000

struct stall {
	struct end a, b;
	struct movable m;
	uint64_t moving_since;
};

/* A request of the first end that waits for a buffer which is on its way. */
static void begin_stall(struct stall *s)
{
	struct request r;

	open_pair(&s->a, &s->b);
	s->m = make_movable(fd, &s->b);
	igt_assert_eq(rdma(&s->a, IBV_WR_RDMA_WRITE, 0, s->m.mr->rkey, SMALL), IBV_WC_SUCCESS);
	s->moving_since = now_ms();
	send_away(&s->m, SYSTEM, STALL_MS);
	fill_write(&r, &s->a, 0, s->m.mr->rkey, SMALL);
	igt_assert_eq(__post(&s->a, &r.wr), 0);
	usleep(300000);
}

static void end_stall(struct stall *s)
{
	free_movable(&s->m);
	close_end(&s->a);
	close_end(&s->b);
}

/* The control: the request does wait, and then is done. */
static void check_stall(void)
{
	struct stall s;

	begin_stall(&s);
	igt_assert_eq(wait_wc(&s.a).status, IBV_WC_SUCCESS);
	igt_assert_lte(STALL_MS, now_ms() - s.moving_since);
	end_stall(&s);
}

static void test_stalled(bool reset)
{
	struct stall s;
	struct end *e;
	uint64_t begin;
	int i;

	require_leaving();
	check_stall();
	for (i = 0; i < 2; i++) {
		begin_stall(&s);
		e = i ? &s.b : &s.a;
		begin = now_ms();
		if (reset) {
			igt_assert_eq(__set_state(e, IBV_QPS_RESET), 0);
		} else {
			igt_assert_eq(ibv_destroy_qp(e->qp), 0);
			e->qp = NULL;
		}
		igt_info("%s: %" PRIu64 " ms\n", i ? "peer" : "sender", now_ms() - begin);
		igt_assert_lt(now_ms() - begin, STALL_MS / 4);
		/* The buffer still is on its way. */
		igt_assert_lt(now_ms() - s.moving_since, STALL_MS);
		if (i)
			igt_assert_eq(wait_wc(&s.a).status, IBV_WC_RETRY_EXC_ERR);
		end_stall(&s);
	}
}

/* Completions may stay away then, without an error: nobody is there to write them. */
static int post_until_gone(void *arg)
{
	volatile bool *begun = arg;
	struct request r;
	struct ibv_wc wc;
	struct end a, b;
	uint64_t end;

	open_pair(&a, &b);
	fill_write(&r, &a, (uintptr_t)b.mem, b.mr->rkey, SMALL);
	for (end = now_ms() + 60000; now_ms() < end;) {
		__post(&a, &r.wr);
		if (ibv_poll_cq(a.cq, 1, &wc) == 1)
			*begun = true;
		if (take_event(&a) == IBV_EVENT_DEVICE_FATAL)
			return 0;
	}
	return 1;
}

static void test_unbind(void)
{
	volatile bool *begun = mmap(NULL, sizeof(*begun), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char function[64];
	int i, status;
	pid_t pid;

	igt_require(bound_function(VRNIC_DRIVER, function));
	igt_assert(begun != MAP_FAILED);
	close(nic);
	for (i = 0; i < 10; i++) {
		*begun = false;
		pid = fork_child(post_until_gone, (void *)begun);
		while (!*begun && waitpid(pid, &status, WNOHANG) == 0)
			usleep(1000);
		usleep(i * 20000);
		driver_write(VRNIC_DRIVER, "unbind", function);
		igt_assert_eq(waitpid(pid, &status, 0), pid);
		igt_assert_eq(status, 0);
		bind_again(VRNIC_DRIVER, function);
		wait_verbs();
	}
	munmap((void *)begun, sizeof(*begun));
	nic = vrnic_open();
	igt_assert_eq(vrnic_query(nic).mrs, 0);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		require_verbs();
	}

	igt_describe("What counts calls counts them.");
	igt_subtest("counted")
		test_counted();
	igt_describe("Polling is looking at memory.");
	igt_subtest("poll")
		test_poll();
	igt_describe("One call for a list, at most.");
	igt_subtest("post-list")
		test_post_list();
	igt_describe("Receivers need no call.");
	igt_subtest("post-recv")
		test_post_recv();
	igt_describe("No worker has to be woken up for little.");
	igt_subtest("at-once")
		test_at_once();
	igt_describe("One request after the other.");
	igt_subtest("order")
		test_order();
	igt_describe("The right bytes while a buffer moves.");
	igt_subtest("move")
		test_move();
	igt_describe("Old addresses are noticed.");
	igt_subtest("move-control")
		test_move_control();
	igt_describe("A receive request that was taken is not lost.");
	igt_subtest("received")
		test_received();
	igt_describe("One executes, whoever rings.");
	igt_subtest("threads")
		test_threads();
	igt_describe("Bells while states change.");
	igt_subtest("bells")
		test_bells();
	igt_describe("A timer is a timer.");
	igt_subtest("retry")
		test_retry();
	igt_describe("Nothing is left of who is killed.");
	igt_subtest("killed")
		test_killed();
	igt_describe("Nobody waits who is to go.");
	igt_subtest("stalled-destroy")
		test_stalled(false);
	igt_describe("Nobody waits who is to be reset.");
	igt_subtest("stalled-reset")
		test_stalled(true);
	igt_describe("A device that goes waits for callers, and no longer.");
	igt_subtest("unbind")
		test_unbind();

	igt_fixture {
		vrnic_misbehave("none");
		close(nic);
		close(fd);
	}
}
