// SPDX-License-Identifier: MIT
#include <poll.h>
#include <rdma/ib_user_verbs.h>

#include "verbs.h"

struct ibv_context *__open_verbs(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *ctx = NULL;
	int i;

	for (i = 0; list && list[i] && !ctx; i++)
		if (!strcmp(ibv_get_device_name(list[i]), name))
			ctx = ibv_open_device(list[i]);
	if (list)
		ibv_free_device_list(list);
	return ctx;
}

struct ibv_context *open_verbs(const char *name)
{
	struct ibv_context *ctx = __open_verbs(name);

	igt_assert(ctx);
	igt_assert_eq(fcntl(ctx->async_fd, F_SETFL, O_NONBLOCK), 0);
	return ctx;
}

void require_verbs(void)
{
	struct ibv_context *ctx = __open_verbs("vrnic0");

	igt_require_f(ctx, "no verbs device, or no provider (RDMAV_DRIVERS)\n");
	ibv_close_device(ctx);
}

void wait_verbs(void)
{
	uint64_t end = now_ms() + 60000;
	struct ibv_context *ctx;

	do {
		ctx = __open_verbs("vrnic0");
		if (!ctx)
			usleep(20000);
	} while (!ctx && now_ms() < end);
	igt_assert(ctx);
	ibv_close_device(ctx);
}

static struct ibv_cq *make_cq(struct end *e, int cqe)
{
	struct ibv_cq *cq = ibv_create_cq(e->ctx, cqe ?: 4 * DEPTH, NULL, NULL, 0);

	igt_assert(cq);
	return cq;
}

static void make_srq(struct end *e, uint32_t wr)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = wr, .max_sge = 4 } };

	e->srq = ibv_create_srq(e->pd, &init);
	igt_assert(e->srq);
}

static void make_qp(struct end *e, enum ibv_qp_type type)
{
	struct ibv_qp_init_attr init = {
		.cap = {
			.max_send_wr = DEPTH, .max_recv_wr = DEPTH, .max_send_sge = 4,
			.max_recv_sge = 4, .max_inline_data = 64,
		},
		.qp_type = type,
		.sq_sig_all = 1,
		.send_cq = e->cq,
		.recv_cq = e->rcq,
		.srq = e->srq,
	};

	e->qp = ibv_create_qp(e->pd, &init);
	igt_assert(e->qp);
}

void open_end_as(struct end *e, const struct end_want *want)
{
	memset(e, 0, sizeof(*e));
	e->ctx = open_verbs(want->name ?: "vrnic0");
	e->pd = ibv_alloc_pd(e->ctx);
	igt_assert(e->pd);
	e->cq = make_cq(e, want->cqe);
	e->rcq = want->apart ? make_cq(e, want->cqe) : e->cq;
	if (want->srq)
		make_srq(e, want->srq);
	make_qp(e, want->type ?: IBV_QPT_RC);
	e->mem = alloc_pages(SIZE);
	e->mr = ibv_reg_mr(e->pd, e->mem, SIZE, ALL);
	igt_assert(e->mr);
}

void open_end(struct end *e)
{
	open_end_as(e, &(struct end_want){});
}

void open_pair(struct end *a, struct end *b)
{
	open_end(a);
	open_end(b);
	connect_ends(a, b);
}

void close_end(struct end *e)
{
	if (e->qp)
		igt_assert_eq(ibv_destroy_qp(e->qp), 0);
	if (e->ah)
		igt_assert_eq(ibv_destroy_ah(e->ah), 0);
	if (e->srq)
		igt_assert_eq(ibv_destroy_srq(e->srq), 0);
	if (e->rcq != e->cq)
		igt_assert_eq(ibv_destroy_cq(e->rcq), 0);
	igt_assert_eq(ibv_destroy_cq(e->cq), 0);
	igt_assert_eq(ibv_dereg_mr(e->mr), 0);
	igt_assert_eq(ibv_dealloc_pd(e->pd), 0);
	igt_assert_eq(ibv_close_device(e->ctx), 0);
	munmap(e->mem, SIZE);
}

uint16_t lid_of(struct end *e)
{
	struct ibv_port_attr port;

	igt_assert_eq(ibv_query_port(e->ctx, 1, &port), 0);
	igt_assert_eq(port.state, IBV_PORT_ACTIVE);
	return port.lid;
}

static struct ibv_ah_attr path_to(struct end *to)
{
	return (struct ibv_ah_attr){ .dlid = lid_of(to), .port_num = 1 };
}

struct ibv_qp_attr attr_of(struct end *e, struct end *to)
{
	(void)e;
	return (struct ibv_qp_attr) {
		.port_num = 1, .qp_access_flags = ALL, .qkey = QKEY, .path_mtu = IBV_MTU_4096,
		.dest_qp_num = to->qp->qp_num, .max_dest_rd_atomic = 1, .max_rd_atomic = 1,
		.min_rnr_timer = 1, .timeout = 8, .retry_cnt = 1, .rnr_retry = 1,
		.ah_attr = path_to(to),
	};
}

int mask_to(enum ibv_qp_type type, enum ibv_qp_state state)
{
	static const int rtr = IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN;
	bool connected = type != IBV_QPT_UD, reliable = type == IBV_QPT_RC;

	switch (state) {
	case IBV_QPS_RESET:
	case IBV_QPS_ERR:
	case IBV_QPS_SQD:
		return IBV_QP_STATE;
	case IBV_QPS_INIT:
		return IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
		       (connected ? IBV_QP_ACCESS_FLAGS : IBV_QP_QKEY);
	case IBV_QPS_RTR:
		return IBV_QP_STATE | (connected ? rtr : 0) |
		       (reliable ? IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER : 0);
	case IBV_QPS_RTS:
		return IBV_QP_STATE | IBV_QP_SQ_PSN |
		       (reliable ? IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
				   IBV_QP_MAX_QP_RD_ATOMIC : 0);
	default:
		return -1;
	}
}

int __set_state(struct end *e, enum ibv_qp_state state)
{
	struct ibv_qp_attr attr = { .qp_state = state };

	return ibv_modify_qp(e->qp, &attr, IBV_QP_STATE);
}

int __bring_to(struct end *e, struct ibv_qp_attr attr, enum ibv_qp_state state)
{
	static const enum ibv_qp_state way[] = { IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS };
	unsigned int i;
	int ret;

	ret = __set_state(e, IBV_QPS_RESET);
	for (i = 0; !ret && i < ARRAY_LEN(way) && way[i] <= state; i++) {
		attr.qp_state = way[i];
		ret = ibv_modify_qp(e->qp, &attr, mask_to(e->qp->qp_type, way[i]));
	}
	if (!ret && state > IBV_QPS_RTS)
		ret = __set_state(e, state);
	return ret;
}

void bring_to(struct end *e, struct end *to, enum ibv_qp_state state)
{
	igt_assert_eq(__bring_to(e, attr_of(e, to), state), 0);
}

static void address(struct end *e, struct end *to)
{
	struct ibv_ah_attr path = path_to(to);

	if (e->ah)
		igt_assert_eq(ibv_destroy_ah(e->ah), 0);
	e->ah = ibv_create_ah(e->pd, &path);
	igt_assert(e->ah);
	e->to = to->qp->qp_num;
}

int __connect_end(struct end *e, struct end *to, int access)
{
	struct ibv_qp_attr attr = attr_of(e, to);

	if (e->qp->qp_type == IBV_QPT_UD)
		address(e, to);
	attr.qp_access_flags = access;
	return __bring_to(e, attr, IBV_QPS_RTS);
}

void connect_ends(struct end *a, struct end *b)
{
	igt_assert_eq(__connect_end(a, b, ALL), 0);
	igt_assert_eq(__connect_end(b, a, ALL), 0);
}

enum ibv_qp_state state_of(struct end *e)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	igt_assert_eq(ibv_query_qp(e->qp, &attr, IBV_QP_STATE, &init), 0);
	return attr.qp_state;
}

void wait_state(struct end *e, enum ibv_qp_state state)
{
	uint64_t end = now_ms() + 60000;

	while (state_of(e) != state && now_ms() < end)
		usleep(1000);
	igt_assert_eq(state_of(e), state);
}

struct ibv_wc wait_wc_of(struct ibv_cq *cq)
{
	uint64_t end = now_ms() + 60000;
	struct ibv_wc wc;
	int n;

	do {
		n = ibv_poll_cq(cq, 1, &wc);
		igt_assert_lte(0, n);
		igt_assert_f(n || now_ms() < end, "no completion came\n");
		if (!n)
			usleep(100);
	} while (!n);
	return wc;
}

struct ibv_wc wait_wc(struct end *e)
{
	return wait_wc_of(e->cq);
}

bool is_idle(struct ibv_cq *cq)
{
	struct ibv_wc wc;

	return ibv_poll_cq(cq, 1, &wc) == 0;
}

int __post(struct end *e, struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad;

	return ibv_post_send(e->qp, wr, &bad);
}

enum ibv_wc_status do_send(struct end *e, struct ibv_send_wr *wr)
{
	struct ibv_wc wc;

	igt_assert_eq(__post(e, wr), 0);
	wc = wait_wc(e);
	igt_assert_eq_u64(wc.wr_id, wr->wr_id);
	igt_assert_eq(wc.qp_num, e->qp->qp_num);
	return wc.status;
}

enum ibv_wc_status rdma(struct end *e, enum ibv_wr_opcode opcode, uint64_t addr, uint32_t rkey,
			uint32_t len)
{
	struct ibv_sge sge = { (uintptr_t)e->mem, len, e->mr->lkey };
	struct ibv_send_wr wr = {
		.wr_id = addr ^ len, .opcode = opcode, .sg_list = &sge, .num_sge = 1,
		.wr.rdma = { .remote_addr = addr, .rkey = rkey },
	};

	return do_send(e, &wr);
}

enum ibv_wc_status send_bytes(struct end *e, uint64_t id, uint32_t len)
{
	struct ibv_sge sge = { (uintptr_t)e->mem, len, e->mr->lkey };
	struct ibv_send_wr wr = {
		.wr_id = id, .opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1,
	};

	if (e->qp->qp_type == IBV_QPT_UD) {
		wr.wr.ud.ah = e->ah;
		wr.wr.ud.remote_qpn = e->to;
		wr.wr.ud.remote_qkey = QKEY;
	}
	return do_send(e, &wr);
}

int __post_recv(struct end *e, uint64_t id, uint32_t len, uint32_t lkey)
{
	struct ibv_sge sge = { (uintptr_t)e->mem, len, lkey };
	struct ibv_recv_wr wr = { .wr_id = id, .sg_list = &sge, .num_sge = 1 }, *bad;

	if (e->srq)
		return ibv_post_srq_recv(e->srq, &wr, &bad);
	return ibv_post_recv(e->qp, &wr, &bad);
}

void post_recv(struct end *e, uint64_t id, uint32_t len, uint32_t lkey)
{
	igt_assert_eq(__post_recv(e, id, len, lkey), 0);
}

int take_event(struct end *e)
{
	struct ibv_async_event event;

	if (ibv_get_async_event(e->ctx, &event))
		return -1;
	ibv_ack_async_event(&event);
	return event.event_type;
}

int wait_event(struct end *e)
{
	struct pollfd pfd = { .fd = e->ctx->async_fd, .events = POLLIN };

	igt_assert_f(poll(&pfd, 1, 60000) == 1, "no event came\n");
	return take_event(e);
}

struct movable make_movable(int fd, struct end *e)
{
	struct movable m = { .fd = fd, .handle = vvram_create(fd, SIZE, VRAM) };

	m.dmabuf = prime_handle_to_fd_for_mmap(fd, m.handle);
	m.p = vvram_mmap(fd, m.handle, SIZE);
	m.mr = ibv_reg_dmabuf_mr(e->pd, 0, SIZE, 0, m.dmabuf, ALL);
	igt_assert(m.mr);
	return m;
}

void free_movable(struct movable *m)
{
	igt_assert_eq(ibv_dereg_mr(m->mr), 0);
	munmap(m->p, SIZE);
	close(m->dmabuf);
	gem_close(m->fd, m->handle);
}

bool write_and_read(struct end *a, struct movable *m, uint64_t seed)
{
	pattern_fill(a->mem, SIZE, seed);
	if (rdma(a, IBV_WR_RDMA_WRITE, 0, m->mr->rkey, SIZE))
		return false;
	memset(a->mem, 0xee, SIZE);
	if (rdma(a, IBV_WR_RDMA_READ, 0, m->mr->rkey, SIZE))
		return false;
	return pattern_find_bad(a->mem, SIZE, seed, 1) < 0 &&
	       pattern_find_bad(m->p, SIZE, seed, 1) < 0;
}

void send_away(struct movable *m, uint32_t placement, int ms)
{
	vvram_send_away(m->fd, m->handle, m->p, placement, ms);
}

int ring_bell(struct end *e, uint32_t command)
{
	struct ib_uverbs_post_send_resp resp;
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_post_send call;
	} bell = {
		.hdr = { command, sizeof(bell) / 4, sizeof(resp) / 4 },
		.call = {
			.response = (uintptr_t)&resp,
			.qp_handle = e->qp->handle,
			.wqe_size = sizeof(struct ib_uverbs_send_wr),
		},
	};

	return write(e->ctx->cmd_fd, &bell, sizeof(bell)) == sizeof(bell) ? 0 : errno;
}

unsigned int visit_rings(void (*call)(void *from, size_t size, void *arg), void *arg)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int found = 0;
	unsigned long from, to;
	char line[512];

	igt_assert(f);
	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, "uverbs") || sscanf(line, "%lx-%lx rw-s", &from, &to) != 2)
			continue;
		found++;
		call((void *)from, to - from, arg);
	}
	fclose(f);
	return found;
}

pid_t fork_child(int (*run)(void *arg), void *arg)
{
	pid_t pid = fork();

	igt_assert_lte(0, pid);
	if (pid)
		return pid;
	/* What fails must not go on with the parent's tests. */
	if (sigsetjmp(igt_subtest_jmpbuf, 1))
		_exit(98);
	_exit(run(arg));
}
