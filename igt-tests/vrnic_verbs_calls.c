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

#include <infiniband/verbs.h>
#include <rdma/ib_user_verbs.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <linux/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("System calls of the RDMA device: how many, and what they do.");

#define DEPTH	64
#define COMPLETIONS	4096
#define SIZE	KIB(256)
/* More than a caller executes itself. */
#define LARGE	KIB(64)
#define SMALL	64
#define ALL	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |	\
		 IBV_ACCESS_REMOTE_ATOMIC)

static int fd = -1, nic = -1;

/* Two connected queue pairs, with memory. */
struct pair {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_cq *cq[2];
	struct ibv_qp *qp[2];
	struct ibv_mr *mr[2];
	uint8_t *mem[2];
	uint16_t lid;
};

static struct ibv_context *__open_verbs(void)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *ctx = NULL;
	int i;

	for (i = 0; list && list[i] && !ctx; i++)
		if (!strcmp(ibv_get_device_name(list[i]), "vrnic0"))
			ctx = ibv_open_device(list[i]);
	if (list)
		ibv_free_device_list(list);
	return ctx;
}

static int set_state(struct ibv_qp *qp, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };

	return ibv_modify_qp(qp, &attr, IBV_QP_STATE);
}

/* From whatever state to ready to send. */
static int __connect_qp(struct pair *p, int i, uint8_t rnr_timer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT, .port_num = 1, .qp_access_flags = ALL,
		.path_mtu = IBV_MTU_4096, .dest_qp_num = p->qp[!i]->qp_num,
		.max_dest_rd_atomic = 1, .max_rd_atomic = 1, .min_rnr_timer = rnr_timer,
		.timeout = 8, .retry_cnt = 1, .rnr_retry = 1,
		.ah_attr = { .dlid = p->lid, .port_num = 1 },
	};
	int ret = set_state(p->qp[i], IBV_QPS_RESET);

	if (!ret)
		ret = ibv_modify_qp(p->qp[i], &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
				    IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
	attr.qp_state = IBV_QPS_RTR;
	if (!ret)
		ret = ibv_modify_qp(p->qp[i], &attr, IBV_QP_STATE | IBV_QP_AV |
				    IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
				    IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
	attr.qp_state = IBV_QPS_RTS;
	if (!ret)
		ret = ibv_modify_qp(p->qp[i], &attr, IBV_QP_STATE | IBV_QP_TIMEOUT |
				    IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
				    IBV_QP_MAX_QP_RD_ATOMIC);
	return ret;
}

static void connect_pair(struct pair *p)
{
	igt_assert_eq(__connect_qp(p, 0, 1), 0);
	igt_assert_eq(__connect_qp(p, 1, 1), 0);
}

static void make_end(struct pair *p, int i)
{
	struct ibv_qp_init_attr init = {
		.cap = {
			.max_send_wr = DEPTH, .max_recv_wr = DEPTH, .max_send_sge = 4,
			.max_recv_sge = 4, .max_inline_data = SMALL,
		},
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};

	/* Room for what several threads post, whenever it is polled. */
	p->cq[i] = ibv_create_cq(p->ctx, COMPLETIONS, NULL, NULL, 0);
	igt_assert(p->cq[i]);
	init.send_cq = p->cq[i];
	init.recv_cq = p->cq[i];
	p->qp[i] = ibv_create_qp(p->pd, &init);
	igt_assert(p->qp[i]);
	p->mem[i] = alloc_pages(SIZE);
	p->mr[i] = ibv_reg_mr(p->pd, p->mem[i], SIZE, ALL);
	igt_assert(p->mr[i]);
}

static void open_pair(struct pair *p)
{
	struct ibv_port_attr port;

	p->ctx = __open_verbs();
	igt_assert(p->ctx);
	p->pd = ibv_alloc_pd(p->ctx);
	igt_assert(p->pd);
	igt_assert_eq(ibv_query_port(p->ctx, 1, &port), 0);
	p->lid = port.lid;
	make_end(p, 0);
	make_end(p, 1);
	connect_pair(p);
}

static void close_pair(struct pair *p)
{
	int i;

	for (i = 0; i < 2; i++) {
		igt_assert_eq(ibv_destroy_qp(p->qp[i]), 0);
		igt_assert_eq(ibv_destroy_cq(p->cq[i]), 0);
		igt_assert_eq(ibv_dereg_mr(p->mr[i]), 0);
		munmap(p->mem[i], SIZE);
	}
	igt_assert_eq(ibv_dealloc_pd(p->pd), 0);
	igt_assert_eq(ibv_close_device(p->ctx), 0);
}

static struct ibv_wc wait_wc(struct ibv_cq *cq)
{
	uint64_t end = now_ms() + 60000;
	struct ibv_wc wc;
	int n;

	do {
		n = ibv_poll_cq(cq, 1, &wc);
		igt_assert_lte(0, n);
		igt_assert_f(n || now_ms() < end, "no completion came\n");
	} while (!n);
	return wc;
}

/* A request of the first end for bytes of the second's memory, or of another region. */
struct request {
	struct ibv_sge sge;
	struct ibv_send_wr wr;
};

static void fill_request(struct pair *p, struct request *r, enum ibv_wr_opcode opcode, uint64_t id,
			 uint64_t addr, uint32_t rkey, uint32_t len)
{
	r->sge = (struct ibv_sge){ (uintptr_t)p->mem[0], len, p->mr[0]->lkey };
	r->wr = (struct ibv_send_wr){
		.wr_id = id, .opcode = opcode, .sg_list = &r->sge, .num_sge = 1,
		.wr.rdma = { .remote_addr = addr, .rkey = rkey },
	};
}

static int __post(struct ibv_qp *qp, struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad;

	return ibv_post_send(qp, wr, &bad);
}

static enum ibv_wc_status rdma(struct pair *p, enum ibv_wr_opcode opcode, uint64_t addr,
			       uint32_t rkey, uint32_t len)
{
	struct request r;
	struct ibv_wc wc;

	fill_request(p, &r, opcode, addr ^ len, addr, rkey, len);
	igt_assert_eq(__post(p->qp[0], &r.wr), 0);
	wc = wait_wc(p->cq[0]);
	igt_assert_eq_u64(wc.wr_id, addr ^ len);
	return wc.status;
}

static enum ibv_wc_status write_back(struct pair *p, uint32_t len)
{
	return rdma(p, IBV_WR_RDMA_WRITE, (uintptr_t)p->mem[1], p->mr[1]->rkey, len);
}

static void post_recv(struct pair *p, uint64_t id, uint64_t addr, uint32_t len, uint32_t lkey)
{
	struct ibv_sge sge = { addr, len, lkey };
	struct ibv_recv_wr wr = { .wr_id = id, .sg_list = &sge, .num_sge = 1 }, *bad;

	igt_assert_eq(ibv_post_recv(p->qp[1], &wr, &bad), 0);
}

/* As the provider does, but whether the kernel wants it or not. */
static int ring_bell(struct ibv_qp *qp)
{
	struct ib_uverbs_post_send_resp resp;
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_post_send call;
	} bell = {
		.hdr = { IB_USER_VERBS_CMD_POST_SEND, sizeof(bell) / 4, sizeof(resp) / 4 },
		.call = {
			.response = (uintptr_t)&resp,
			.qp_handle = qp->handle,
			.wqe_size = sizeof(struct ib_uverbs_send_wr),
		},
	};

	return write(qp->context->cmd_fd, &bell, sizeof(bell)) == sizeof(bell) ? 0 : errno;
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
	struct pair p;
	int i;

	open_pair(&p);
	start_counter();
	begin_count();
	igt_assert_eq(end_count(), 0);
	begin_count();
	for (i = 0; i < 3; i++)
		syscall(SYS_getpid);
	igt_assert_eq(end_count(), 3);
	begin_count();
	for (i = 0; i < 5; i++)
		ring_bell(p.qp[0]);
	igt_assert_eq(end_count(), 5);
	stop_counter();
	close_pair(&p);
}

/* A list of as many requests as the queue has room for. */
static void fill_list(struct pair *p, struct request *list, uint32_t len)
{
	int i;

	for (i = 0; i < DEPTH; i++) {
		fill_request(p, &list[i], IBV_WR_RDMA_WRITE, i, (uintptr_t)p->mem[1] + i * SMALL,
			     p->mr[1]->rkey, len);
		list[i].sge.addr += i * SMALL;
		list[i].wr.next = i + 1 < DEPTH ? &list[i + 1].wr : NULL;
	}
}

/* Without looking at the clock: where it is not the CPU's own, that is a call. */
static void poll_list(struct pair *p, struct ibv_wc wc[DEPTH])
{
	int n, i;

	for (i = 0; i < DEPTH; i += n) {
		n = ibv_poll_cq(p->cq[0], DEPTH - i, wc + i);
		igt_assert_lte(0, n);
	}
}

static void check_list(struct pair *p, const struct ibv_wc wc[DEPTH])
{
	int i;

	for (i = 0; i < DEPTH; i++) {
		igt_assert_eq(wc[i].status, IBV_WC_SUCCESS);
		igt_assert_eq_u64(wc[i].wr_id, i);
	}
	pattern_check(p->mem[1], DEPTH * SMALL, 7);
}

static void test_poll(void)
{
	struct request list[DEPTH];
	struct ibv_wc wc[DEPTH];
	unsigned int calls;
	struct pair p;
	int i, n = 0;

	open_pair(&p);
	fill_list(&p, list, SMALL);
	start_counter();
	begin_count();
	for (i = 0; i < 1000; i++)
		n += ibv_poll_cq(p.cq[0], DEPTH, wc);
	calls = end_count();
	igt_assert_eq(n, 0);
	igt_assert_eq(calls, 0);

	igt_assert_eq(__post(p.qp[0], &list[0].wr), 0);
	let_worker_sleep();
	begin_count();
	n = ibv_poll_cq(p.cq[0], DEPTH, wc);
	calls = end_count();
	igt_assert_eq(n, DEPTH);
	igt_assert_eq(calls, 0);
	stop_counter();
	for (i = 0; i < DEPTH; i++)
		igt_assert_eq(wc[i].status, IBV_WC_SUCCESS);
	close_pair(&p);
}

static void test_post_list(void)
{
	struct request list[DEPTH];
	struct ibv_wc wc[DEPTH];
	unsigned int calls;
	struct pair p;
	int ret;

	open_pair(&p);
	pattern_fill(p.mem[0], DEPTH * SMALL, 7);
	fill_list(&p, list, SMALL);
	start_counter();
	let_worker_sleep();
	begin_count();
	ret = __post(p.qp[0], &list[0].wr);
	calls = end_count();
	igt_assert_eq(ret, 0);
	igt_assert_eq(calls, 1);
	begin_count();
	poll_list(&p, wc);
	igt_assert_eq(end_count(), 0);
	stop_counter();
	check_list(&p, wc);
	close_pair(&p);
}

static void test_post_recv(void)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = DEPTH, .max_sge = 1 } };
	struct ibv_recv_wr list[DEPTH] = {}, *bad;
	unsigned int calls;
	struct ibv_srq *srq;
	struct pair p;
	int i, ret;

	open_pair(&p);
	srq = ibv_create_srq(p.pd, &init);
	igt_assert(srq);
	for (i = 0; i + 1 < DEPTH; i++)
		list[i].next = &list[i + 1];
	start_counter();
	let_worker_sleep();
	begin_count();
	ret = ibv_post_recv(p.qp[1], list, &bad);
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
	close_pair(&p);
}

/* How many of a number of requests have completed when the call returns. */
static unsigned int count_at_once(struct pair *p, uint32_t len)
{
	unsigned int i, at_once = 0;
	struct request r;
	struct ibv_wc wc;

	fill_request(p, &r, IBV_WR_RDMA_WRITE, 1, (uintptr_t)p->mem[1], p->mr[1]->rkey, len);
	for (i = 0; i < 100; i++) {
		let_worker_sleep();
		igt_assert_eq(__post(p->qp[0], &r.wr), 0);
		if (ibv_poll_cq(p->cq[0], 1, &wc) == 1)
			at_once++;
		else
			wc = wait_wc(p->cq[0]);
		igt_assert_eq(wc.status, IBV_WC_SUCCESS);
	}
	return at_once;
}

static void test_at_once(void)
{
	unsigned int small, large;
	struct pair p;

	open_pair(&p);
	small = count_at_once(&p, SMALL);
	large = count_at_once(&p, SIZE);
	igt_info("done when the call returns: %u small, %u large of 100\n", small, large);
	/* A signal, or another thread that runs in between, may have the worker do it. */
	igt_assert_lte(90, small);
	close_pair(&p);
}

/* All write to the same place, each something else: what is there is from the last one. */
static void test_order(void)
{
	struct request list[DEPTH];
	struct ibv_wc wc;
	struct pair p;
	int round, i;

	open_pair(&p);
	for (round = 0; round < 50; round++) {
		fill_list(&p, list, SMALL);
		for (i = 0; i < DEPTH; i++) {
			list[i].wr.wr.rdma.remote_addr = (uintptr_t)p.mem[1];
			list[i].sge.length = i * 7 % 5 == round % 5 ? LARGE : SMALL;
		}
		pattern_fill(p.mem[0], SIZE, round);
		list[DEPTH - 1].sge.length = SMALL;
		igt_assert_eq(__post(p.qp[0], &list[0].wr), 0);
		for (i = 0; i < DEPTH; i++) {
			wc = wait_wc(p.cq[0]);
			igt_assert_eq(wc.status, IBV_WC_SUCCESS);
			igt_assert_eq_u64(wc.wr_id, i);
		}
		igt_assert(!memcmp(p.mem[1], p.mem[0] + (DEPTH - 1) * SMALL, SMALL));
	}
	close_pair(&p);
}

/* A buffer of vvram, and a region on its dma-buf. */
struct movable {
	uint32_t handle;
	int dmabuf;
	uint8_t *p;
	struct ibv_mr *mr;
};

static struct movable make_movable(struct pair *p)
{
	struct movable m = { .handle = vvram_create(fd, SIZE, VRAM) };

	m.dmabuf = prime_handle_to_fd_for_mmap(fd, m.handle);
	m.p = vvram_mmap(fd, m.handle, SIZE);
	m.mr = ibv_reg_dmabuf_mr(p->pd, 0, SIZE, 0, m.dmabuf, ALL);
	igt_assert(m.mr);
	return m;
}

static void free_movable(struct movable *m)
{
	igt_assert_eq(ibv_dereg_mr(m->mr), 0);
	munmap(m->p, SIZE);
	close(m->dmabuf);
	gem_close(fd, m->handle);
}

/* Adds to a counter in the buffer, and tells whether it had the old value. */
static bool count_up(struct pair *p, struct movable *m, uint64_t old)
{
	struct request r;

	fill_request(p, &r, IBV_WR_ATOMIC_FETCH_AND_ADD, 1, 0, 0, sizeof(uint64_t));
	r.wr.wr.atomic.remote_addr = SIZE - sizeof(uint64_t);
	r.wr.wr.atomic.rkey = m->mr->rkey;
	r.wr.wr.atomic.compare_add = 1;
	igt_assert_eq(__post(p->qp[0], &r.wr), 0);
	return !wait_wc(p->cq[0]).status && *(uint64_t *)p->mem[0] == old;
}

/* Writes a pattern somewhere, reads it back, and tells whether that went right. */
static bool small_round(struct pair *p, struct movable *m, uint64_t seed)
{
	uint64_t at = seed * SMALL % (SIZE - SMALL);

	pattern_fill(p->mem[0], SMALL, seed);
	if (rdma(p, IBV_WR_RDMA_WRITE, at, m->mr->rkey, SMALL))
		return false;
	memset(p->mem[0], 0xee, SMALL);
	if (rdma(p, IBV_WR_RDMA_READ, at, m->mr->rkey, SMALL))
		return false;
	return pattern_find_bad(p->mem[0], SMALL, seed, 1) < 0 &&
	       pattern_find_bad(m->p + at, SMALL, seed, 1) < 0 && count_up(p, m, seed);
}

static void test_move(void)
{
	struct vrnic_counters before = vrnic_query(nic).counters, after;
	struct mover mover;
	struct movable m;
	struct pair p;
	uint64_t n;

	igt_require(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC);
	open_pair(&p);
	m = make_movable(&p);
	mover_start(&mover, fd, m.handle);
	for (n = 0; mover.moves < 500; n++)
		igt_assert_f(small_round(&p, &m, n), "round %" PRIu64 "\n", n);
	mover_stop(&mover);
	after = vrnic_query(nic).counters;
	igt_info("%d moves, %" PRIu64 " rounds\n", mover.moves, n);
	igt_assert_eq_u64(*(uint64_t *)(m.p + SIZE - sizeof(uint64_t)), n);
	igt_assert_lt(100, after.invalidations - before.invalidations);
	igt_assert_eq_u64(after.dma_faults, before.dma_faults);
	free_movable(&m);
	close_pair(&p);
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
	struct pair p;
	bool good;

	require_leaving();
	open_pair(&p);
	m = make_movable(&p);
	igt_assert(small_round(&p, &m, 0));
	vrnic_misbehave("skip-invalidate");
	vvram_move(fd, m.handle, SYSTEM);
	good = small_round(&p, &m, 1);
	vrnic_misbehave("none");
	igt_assert_f(!good, "old addresses were used, and nobody noticed\n");
	free_movable(&m);
	close_pair(&p);
}

/* The receive request is taken before it shows that its buffer is elsewhere. */
static void receive_one(struct pair *p, struct movable *m, uint64_t n)
{
	uint64_t at = n % DEPTH * SMALL;
	struct request r;
	struct ibv_wc wc;

	post_recv(p, n, at, SMALL, m->mr->lkey);
	pattern_fill(p->mem[0], SMALL, n);
	fill_request(p, &r, IBV_WR_SEND, n, 0, 0, SMALL);
	igt_assert_eq(__post(p->qp[0], &r.wr), 0);
	wc = wait_wc(p->cq[0]);
	igt_assert_eq(wc.status, IBV_WC_SUCCESS);
	wc = wait_wc(p->cq[1]);
	igt_assert_eq(wc.status, IBV_WC_SUCCESS);
	igt_assert_eq_u64(wc.wr_id, n);
	igt_assert_eq(wc.byte_len, SMALL);
	pattern_check(m->p + at, SMALL, n);
}

static void test_received(void)
{
	struct mover mover;
	struct movable m;
	struct pair p;
	uint64_t n;

	open_pair(&p);
	m = make_movable(&p);
	/* Without a mapping yet, and after each move. */
	for (n = 0; n < 20; n++) {
		receive_one(&p, &m, n);
		vvram_move_mapped(fd, m.handle, n % 2 ? VRAM : SYSTEM);
	}
	/* A kernel that pins mapped buffers has them moved when nobody maps them only. */
	if (vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC) {
		mover_start(&mover, fd, m.handle);
		for (; mover.moves < 500 && !mover.error; n++)
			receive_one(&p, &m, n);
		mover_stop(&mover);
	}
	free_movable(&m);
	close_pair(&p);
}

/* A thread that posts, or only rings. */
struct ringer {
	struct ibv_qp *qp;
	struct pair *p;
	volatile bool stop;
	volatile uint64_t bells;
	pthread_t thread;
};

static void *ring_all_the_time(void *arg)
{
	struct ringer *r = arg;

	while (!r->stop) {
		ring_bell(r->qp);
		r->bells++;
	}
	return NULL;
}

static void *post_64(void *arg)
{
	struct pair *p = arg;
	struct request r;
	int i, ret;

	for (i = 0; i < 1000; i++) {
		fill_request(p, &r, IBV_WR_ATOMIC_FETCH_AND_ADD, i, 0, 0, sizeof(uint64_t));
		r.wr.wr.atomic.remote_addr = (uintptr_t)p->mem[1];
		r.wr.wr.atomic.rkey = p->mr[1]->rkey;
		r.wr.wr.atomic.compare_add = 1;
		do
			ret = __post(p->qp[0], &r.wr);
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
	struct ibv_wc wc;
	struct pair p;
	void *failed;
	int i;

	open_pair(&p);
	ringer = (struct ringer){ .qp = p.qp[0] };
	*(uint64_t *)p.mem[1] = 0;
	igt_assert_eq(pthread_create(&ringer.thread, NULL, ring_all_the_time, &ringer), 0);
	for (i = 0; i < 2; i++)
		igt_assert_eq(pthread_create(&thread[i], NULL, post_64, &p), 0);
	for (i = 0; i < 2000; i++) {
		wc = wait_wc(p.cq[0]);
		igt_assert_eq(wc.status, IBV_WC_SUCCESS);
	}
	for (i = 0; i < 2; i++) {
		pthread_join(thread[i], &failed);
		igt_assert(!failed);
	}
	ringer.stop = true;
	pthread_join(ringer.thread, NULL);
	/* Each was done once. */
	igt_assert_eq_u64(*(uint64_t *)p.mem[1], 2000);
	igt_assert_eq(ibv_poll_cq(p.cq[0], 1, &wc), 0);
	close_pair(&p);
}

static void test_bells(void)
{
	struct ringer ringer[2];
	struct pair p;
	int i, k;

	open_pair(&p);
	for (k = 0; k < 2; k++) {
		ringer[k] = (struct ringer){ .qp = p.qp[k] };
		igt_assert_eq(pthread_create(&ringer[k].thread, NULL, ring_all_the_time,
					     &ringer[k]), 0);
	}
	for (i = 0; i < 100; i++) {
		struct request list[DEPTH];
		struct ibv_wc wc;

		/* In the middle of traffic, of small requests or of large ones. */
		fill_list(&p, list, i % 2 ? LARGE : SMALL);
		igt_assert_eq(__post(p.qp[0], &list[0].wr), 0);
		usleep(i * 20);
		igt_assert_eq(set_state(p.qp[0], i % 3 ? IBV_QPS_ERR : IBV_QPS_RESET), 0);
		if (i % 3)
			for (k = 0; k < DEPTH; k++)
				wait_wc(p.cq[0]);
		connect_pair(&p);
		igt_assert_eq(ibv_poll_cq(p.cq[0], 1, &wc), 0);
		igt_assert_eq(write_back(&p, i % 2 ? SMALL : LARGE), IBV_WC_SUCCESS);
	}
	for (k = 0; k < 2; k++) {
		ringer[k].stop = true;
		pthread_join(ringer[k].thread, NULL);
		igt_assert_lt(10, ringer[k].bells);
	}
	close_pair(&p);
}

/* No receive request, ever: it is tried twice, 0.16 s apart. */
static void test_retry(void)
{
	struct ringer ringer;
	struct request r;
	struct ibv_wc wc;
	struct pair p;
	uint64_t begin;

	open_pair(&p);
	igt_assert_eq(__connect_qp(&p, 1, 28), 0);
	ringer = (struct ringer){ .qp = p.qp[0] };
	igt_assert_eq(pthread_create(&ringer.thread, NULL, ring_all_the_time, &ringer), 0);
	fill_request(&p, &r, IBV_WR_SEND, 1, 0, 0, SMALL);
	begin = now_ms();
	igt_assert_eq(__post(p.qp[0], &r.wr), 0);
	wc = wait_wc(p.cq[0]);
	igt_assert_eq(wc.status, IBV_WC_RNR_RETRY_EXC_ERR);
	igt_assert_lte(160, now_ms() - begin);
	ringer.stop = true;
	pthread_join(ringer.thread, NULL);
	close_pair(&p);
}

static void post_until_killed(void)
{
	struct mover mover;
	struct movable m;
	struct pair p;
	uint64_t n;

	open_pair(&p);
	m = make_movable(&p);
	mover_start(&mover, fd, m.handle);
	for (n = 0; ; n++)
		if (rdma(&p, n % 2 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE, 0, m.mr->rkey, SMALL))
			return;
}

static void test_killed(void)
{
	vrnic_kill_clients(nic, post_until_killed, 50000);
}

/* How long each copy waits before it begins. */
#define STALL_MS	4000

struct stall {
	struct pair p;
	struct movable m;
	pthread_t mover;
	uint64_t moving_since;
};

static void *move_slowly(void *arg)
{
	struct stall *s = arg;

	return (void *)(intptr_t)__vvram_move(fd, s->m.handle, SYSTEM);
}

/* A request of the first queue pair that waits for a buffer which is on its way. */
static void begin_stall(struct stall *s)
{
	struct request r;
	uint64_t before;

	open_pair(&s->p);
	s->m = make_movable(&s->p);
	igt_assert_eq(rdma(&s->p, IBV_WR_RDMA_WRITE, 0, s->m.mr->rkey, SMALL), IBV_WC_SUCCESS);
	/* The first use of a buffer may have moved it as well. */
	before = vrnic_query(nic).counters.invalidations;
	chaos_delay(fd, STALL_MS);
	s->moving_since = now_ms();
	igt_assert_eq(pthread_create(&s->mover, NULL, move_slowly, s), 0);
	while (vrnic_query(nic).counters.invalidations == before)
		usleep(1000);
	fill_request(&s->p, &r, IBV_WR_RDMA_WRITE, 9, 0, s->m.mr->rkey, SMALL);
	igt_assert_eq(__post(s->p.qp[0], &r.wr), 0);
	usleep(300000);
}

static void end_stall(struct stall *s)
{
	void *failed;

	chaos_delay(fd, 0);
	pthread_join(s->mover, &failed);
	igt_assert(!failed);
	free_movable(&s->m);
}

static void close_rest(struct pair *p, int gone)
{
	if (gone != 0)
		igt_assert_eq(ibv_destroy_qp(p->qp[0]), 0);
	if (gone != 1)
		igt_assert_eq(ibv_destroy_qp(p->qp[1]), 0);
	ibv_close_device(p->ctx);
}

/* The control: the request does wait, and then is done. */
static void check_stall(void)
{
	struct stall s;

	begin_stall(&s);
	igt_assert_eq(wait_wc(s.p.cq[0]).status, IBV_WC_SUCCESS);
	igt_assert_lte(STALL_MS, now_ms() - s.moving_since);
	end_stall(&s);
	close_pair(&s.p);
}

static void test_stalled(bool reset)
{
	struct stall s;
	uint64_t begin;
	int i;

	require_leaving();
	check_stall();
	for (i = 0; i < 2; i++) {
		begin_stall(&s);
		begin = now_ms();
		if (reset)
			igt_assert_eq(set_state(s.p.qp[i], IBV_QPS_RESET), 0);
		else
			igt_assert_eq(ibv_destroy_qp(s.p.qp[i]), 0);
		igt_info("%s: %" PRIu64 " ms\n", i ? "peer" : "sender", now_ms() - begin);
		igt_assert_lt(now_ms() - begin, STALL_MS / 4);
		/* The buffer still is on its way. */
		igt_assert_lt(now_ms() - s.moving_since, STALL_MS);
		if (i)
			igt_assert_eq(wait_wc(s.p.cq[0]).status, IBV_WC_RETRY_EXC_ERR);
		end_stall(&s);
		close_rest(&s.p, reset ? -1 : i);
	}
}

/* Completions may stay away then, without an error: nobody is there to write them. */
static int post_until_gone(volatile bool *begun)
{
	struct ibv_async_event event;
	struct request r;
	struct ibv_wc wc;
	struct pair p;
	uint64_t end;

	open_pair(&p);
	igt_assert_eq(fcntl(p.ctx->async_fd, F_SETFL, O_NONBLOCK), 0);
	fill_request(&p, &r, IBV_WR_RDMA_WRITE, 1, (uintptr_t)p.mem[1], p.mr[1]->rkey, SMALL);
	for (end = now_ms() + 60000; now_ms() < end;) {
		__post(p.qp[0], &r.wr);
		if (ibv_poll_cq(p.cq[0], 1, &wc) == 1)
			*begun = true;
		if (!ibv_get_async_event(p.ctx, &event) &&
		    event.event_type == IBV_EVENT_DEVICE_FATAL)
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
		pid = fork();
		igt_assert_lte(0, pid);
		if (!pid)
			_exit(post_until_gone(begun));
		while (!*begun && waitpid(pid, &status, WNOHANG) == 0)
			usleep(1000);
		usleep(i * 20000);
		driver_write(VRNIC_DRIVER, "unbind", function);
		igt_assert_eq(waitpid(pid, &status, 0), pid);
		igt_assert_eq(status, 0);
		bind_again(VRNIC_DRIVER, function);
	}
	munmap((void *)begun, sizeof(*begun));
	nic = vrnic_open();
	igt_assert_eq(vrnic_query(nic).mrs, 0);
}

igt_main {
	igt_fixture {
		struct ibv_context *ctx;

		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		ctx = __open_verbs();
		igt_require_f(ctx, "no verbs device, or no provider (RDMAV_DRIVERS)\n");
		ibv_close_device(ctx);
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
