// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic verbs objects
 * Category: Core
 * Description: What may be changed of the RDMA device's objects, and by whom.
 *
 * SUBTEST: resize-cq
 * Description: A completion queue gets another size; no completion is lost, none comes twice.
 * SUBTEST: resize-cq-traffic
 * Description: The same while it is being filled.
 * SUBTEST: resize-cq-garbage
 * Description: A client that has overwritten its queue harms nobody by another size.
 * SUBTEST: post-while-polling
 * Description: Who looks at the completion of a request may post the next one in its place.
 * SUBTEST: rereg-access
 * Description: A region has the rights that it was given last.
 * SUBTEST: rereg-pd
 * Description: A region's keys are good in the domain that it was given to last.
 * SUBTEST: rereg-memory
 * Description: A region leads to the memory that it was given last.
 * SUBTEST: rereg-traffic
 * Description: A region is changed in traffic: a request fails, or brings all bytes.
 * SUBTEST: window
 * Description: A window of type 2 allows what it was bound to, until it is taken back.
 * SUBTEST: window-refused
 * Description: Windows are bound by who may, to what there is.
 * SUBTEST: window-send-inv
 * Description: A message takes a window's key back at its receiver, or ends the connection.
 * SUBTEST: window-type-1
 * Description: A window of type 1 is of its domain, and is bound anew.
 * SUBTEST: window-traffic
 * Description: Windows come and go in traffic: nothing arrives when one was taken back.
 * SUBTEST: modes
 * Description: New regions follow their buffers in the way that root has chosen.
 * SUBTEST: fenced-two
 * Description: A fenced region is one of two on a buffer: a move waits for the DMA of both.
 */

#include "verbs.h"

IGT_TEST_DESCRIPTION("What may be changed of the RDMA device's objects.");

#define MODE	"/sys/module/vrnic_verbs/parameters/dmabuf_mode"

static int fd = -1, nic = -1;

/* Writes that complete in order, by their number. */
static void post_writes(struct end *a, struct end *b, uint64_t first, int count)
{
	struct ibv_sge sge = { (uintptr_t)a->mem, 64, a->mr->lkey };
	int i;

	for (i = 0; i < count; i++) {
		struct ibv_send_wr wr = {
			.wr_id = first + i, .opcode = IBV_WR_RDMA_WRITE, .sg_list = &sge,
			.num_sge = 1, .wr.rdma = { (uintptr_t)b->mem, b->mr->rkey },
		};

		igt_assert_eq(__post(a, &wr), 0);
	}
}

static void take_writes(struct end *a, uint64_t first, int count)
{
	struct ibv_wc wc;
	int i;

	for (i = 0; i < count; i++) {
		wc = wait_wc(a);
		igt_assert_eq(wc.status, IBV_WC_SUCCESS);
		igt_assert_eq_u64(wc.wr_id, first + i);
	}
}

/* All that was posted has completed: the last one's bytes are there. */
static void wait_written(struct end *b, uint8_t value)
{
	uint64_t end = now_ms() + 60000;
	volatile uint8_t *at = b->mem + 63;

	while (*at != value && now_ms() < end)
		usleep(100);
	igt_assert_eq(*at, value);
	/* The completion follows the bytes. */
	usleep(20000);
}

static void test_resize_cq(void)
{
	struct end a, b;

	open_pair(&a, &b);
	memset(a.mem, 1, SIZE);
	post_writes(&a, &b, 100, 40);
	wait_written(&b, 1);
	take_writes(&a, 100, 5);

	/* Less than there are: nothing changes. */
	igt_assert_eq(ibv_resize_cq(a.cq, 16), EINVAL);
	take_writes(&a, 105, 5);

	igt_assert_eq(ibv_resize_cq(a.cq, 1000), 0);
	igt_assert_lte(1000, a.cq->cqe);
	take_writes(&a, 110, 20);
	igt_assert_eq(ibv_resize_cq(a.cq, 10), 0);
	igt_assert_lte(10, a.cq->cqe);
	igt_assert_lt(a.cq->cqe, 64);
	take_writes(&a, 130, 10);
	igt_assert(is_idle(a.cq));

	/* Of the new size there is room for as many, and no more. */
	memset(a.mem, 2, SIZE);
	post_writes(&a, &b, 200, a.cq->cqe);
	wait_written(&b, 2);
	take_writes(&a, 200, a.cq->cqe);
	igt_assert_eq(take_event(&a), -1);
	post_writes(&a, &b, 300, a.cq->cqe + 1);
	igt_assert_eq(wait_event(&a), IBV_EVENT_CQ_ERR);

	igt_assert_eq(ibv_resize_cq(a.cq, 0), EINVAL);
	igt_assert_eq(ibv_resize_cq(a.cq, INT32_MAX), EINVAL);
	close_end(&a);
	close_end(&b);
}

static void test_resize_cq_traffic(void)
{
	uint64_t next = 0, taken = 0;
	struct end a, b;
	int i;

	open_pair(&a, &b);
	for (i = 0; i < 200; i++) {
		while (next - taken + 8 <= DEPTH) {
			post_writes(&a, &b, next, 8);
			next += 8;
		}
		igt_assert_eq(ibv_resize_cq(a.cq, i % 2 ? 64 : 500), 0);
		take_writes(&a, taken, 24);
		taken += 24;
	}
	take_writes(&a, taken, next - taken);
	igt_assert(is_idle(a.cq));
	igt_assert_eq(take_event(&a), -1);
	close_end(&a);
	close_end(&b);
}

static void overwrite(void *from, size_t size, void *arg)
{
	uint32_t *p, *seed = arg;

	for (p = from; p < (uint32_t *)((char *)from + size); p++)
		*p = *seed = *seed * 1664525 + 1013904223;
}

static void test_resize_cq_garbage(void)
{
	struct end a, b;
	uint32_t seed;
	int i, ret;

	for (i = 0; i < 20; i++) {
		seed = i;
		open_pair(&a, &b);
		post_writes(&a, &b, 0, 32);
		igt_assert_lte(6, visit_rings(overwrite, &seed));
		ret = ibv_resize_cq(a.cq, 10 + i * 20);
		igt_assert(!ret || ret == EINVAL);
		close_end(&a);
		close_end(&b);
	}
	igt_assert_eq(vrnic_query(nic).mrs, 0);
}

static int rereg(struct ibv_mr *mr, int flags, struct ibv_pd *pd, void *addr, size_t len,
		 int access)
{
	return ibv_rereg_mr(mr, flags, pd, addr, len, access);
}

static enum ibv_wc_status write_to(struct end *a, struct end *b, uint8_t value)
{
	memset(a->mem, value, SIZE);
	return rdma(a, IBV_WR_RDMA_WRITE, (uintptr_t)b->mr->addr, b->mr->rkey, 64);
}

/* Like @e, with a queue of completions that is polled one by one, and room for one request. */
static struct end one_place(struct end *e, struct ibv_cq_ex **cq)
{
	struct ibv_cq_init_attr_ex want = { .cqe = 4, .wc_flags = IBV_WC_STANDARD_FLAGS };
	struct ibv_qp_init_attr init = {
		.cap = { .max_send_wr = 1, .max_send_sge = 1 }, .qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};
	struct end one = *e;

	*cq = ibv_create_cq_ex(e->ctx, &want);
	igt_assert(*cq);
	init.send_cq = ibv_cq_ex_to_cq(*cq);
	init.recv_cq = init.send_cq;
	one.qp = ibv_create_qp(e->pd, &init);
	igt_assert(one.qp);
	igt_assert_eq(init.cap.max_send_wr, 1);
	return one;
}

static void test_post_while_polling(void)
{
	struct ibv_poll_cq_attr attr = {};
	struct ibv_cq_ex *cq;
	struct end a, b, one;
	uint64_t end, n;
	int ret;

	open_end(&a);
	open_end(&b);
	one = one_place(&a, &cq);
	connect_ends(&one, &b);
	post_writes(&one, &b, 0, 1);
	for (n = 0, end = now_ms() + 60000; n < 100; n++) {
		do {
			ret = ibv_start_poll(cq, &attr);
		} while (ret == ENOENT && now_ms() < end);
		igt_assert_eq(ret, 0);
		igt_assert_eq(cq->status, IBV_WC_SUCCESS);
		igt_assert_eq_u64(cq->wr_id, n);
		if (n < 99)
			post_writes(&one, &b, n + 1, 1);
		/* It is still the same. */
		igt_assert_eq(ibv_wc_read_opcode(cq), IBV_WC_RDMA_WRITE);
		igt_assert_eq(ibv_wc_read_qp_num(cq), one.qp->qp_num);
		ibv_end_poll(cq);
	}
	igt_assert_eq(ibv_destroy_qp(one.qp), 0);
	igt_assert_eq(ibv_destroy_cq(ibv_cq_ex_to_cq(cq)), 0);
	close_end(&a);
	close_end(&b);
}

static void test_rereg_access(void)
{
	struct end a, b;
	struct movable m;

	open_pair(&a, &b);
	b.mem[0] = 0;
	igt_assert_eq(write_to(&a, &b, 1), IBV_WC_SUCCESS);
	igt_assert_eq(b.mem[0], 1);

	igt_assert_eq(rereg(b.mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0,
			    IBV_ACCESS_REMOTE_READ), 0);
	igt_assert_eq(write_to(&a, &b, 2), IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(b.mem[0], 1);
	connect_ends(&a, &b);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_READ, (uintptr_t)b.mem, b.mr->rkey, 64),
		      IBV_WC_SUCCESS);

	/* Pages that are to be written again are pinned anew: another key may come of it. */
	igt_assert_eq(rereg(b.mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0, ALL), 0);
	igt_assert_eq(write_to(&a, &b, 3), IBV_WC_SUCCESS);
	igt_assert_eq(b.mem[0], 3);
	igt_assert_eq(rereg(b.mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0,
			    IBV_ACCESS_REMOTE_WRITE), IBV_REREG_MR_ERR_CMD);

	/* libibverbs lets no region on a dma-buf be changed. */
	m = make_movable(fd, &b);
	igt_assert_eq(rereg(m.mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0, ALL),
		      IBV_REREG_MR_ERR_INPUT);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, 0, m.mr->rkey, 64), IBV_WC_SUCCESS);
	free_movable(&m);
	close_end(&a);
	close_end(&b);
}

static void test_rereg_pd(void)
{
	struct ibv_pd *other;
	struct end a, b;
	uint32_t rkey;

	open_pair(&a, &b);
	other = ibv_alloc_pd(b.ctx);
	igt_assert(other);
	rkey = b.mr->rkey;
	igt_assert_eq(write_to(&a, &b, 1), IBV_WC_SUCCESS);
	igt_assert_eq(rereg(b.mr, IBV_REREG_MR_CHANGE_PD, other, NULL, 0, 0), 0);
	igt_assert_eq(b.mr->rkey, rkey);
	igt_assert_eq(write_to(&a, &b, 2), IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(b.mem[0], 1);

	/* The domain that it left may go, the one that it is in may not. */
	igt_assert_eq(ibv_dealloc_pd(other), EBUSY);
	igt_assert_eq(rereg(b.mr, IBV_REREG_MR_CHANGE_PD, b.pd, NULL, 0, 0), 0);
	igt_assert_eq(ibv_dealloc_pd(other), 0);
	connect_ends(&a, &b);
	igt_assert_eq(write_to(&a, &b, 3), IBV_WC_SUCCESS);
	igt_assert_eq(b.mem[0], 3);
	close_end(&a);
	close_end(&b);
}

static void test_rereg_memory(void)
{
	uint8_t *old, *new = alloc_pages(SIZE);
	struct end a, b;

	open_pair(&a, &b);
	old = b.mem;
	old[0] = 0;
	new[0] = 0;
	igt_assert_eq(rereg(b.mr, IBV_REREG_MR_CHANGE_TRANSLATION, NULL, new, SIZE / 2, 0), 0);
	igt_assert_eq(write_to(&a, &b, 4), IBV_WC_SUCCESS);
	igt_assert_eq(new[0], 4);
	igt_assert_eq(old[0], 0);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)new + SIZE / 2, b.mr->rkey, 64),
		      IBV_WC_REM_ACCESS_ERR);
	connect_ends(&a, &b);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)old, b.mr->rkey, 64),
		      IBV_WC_REM_ACCESS_ERR);

	/* What can't be had leaves the region as it was. */
	connect_ends(&a, &b);
	igt_assert_eq(rereg(b.mr, IBV_REREG_MR_CHANGE_TRANSLATION, NULL, (void *)4096, SIZE, 0),
		      IBV_REREG_MR_ERR_CMD);
	b.mr->addr = new;
	igt_assert_eq(write_to(&a, &b, 5), IBV_WC_SUCCESS);
	igt_assert_eq(new[0], 5);
	igt_assert_eq(vrnic_query(nic).mrs, 2);
	close_end(&a);
	close_end(&b);
	munmap(new, SIZE);
}

static void test_rereg_traffic(void)
{
	int changes = 0, tries;
	struct end a, b;

	open_pair(&a, &b);
	for (tries = 0; changes < 50; tries++) {
		struct ibv_sge sge = { (uintptr_t)a.mem, SIZE, a.mr->lkey };
		struct ibv_send_wr wr = {
			.opcode = IBV_WR_RDMA_WRITE, .sg_list = &sge, .num_sge = 1,
			.wr.rdma = { (uintptr_t)b.mem, b.mr->rkey },
		};

		igt_assert_lt(tries, 10000);
		pattern_fill(a.mem, SIZE, changes);
		igt_assert_eq(__post(&a, &wr), 0);
		/* It waits for a request that it finds under way; the next one fails, or not. */
		igt_assert_eq(rereg(b.mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0, ALL), 0);
		if (wait_wc(&a).status) {
			connect_ends(&a, &b);
			continue;
		}
		igt_assert_eq(pattern_find_bad(b.mem, SIZE, changes, 1), -1);
		changes++;
	}
	igt_info("%d changes, %d requests\n", changes, tries);
	close_end(&a);
	close_end(&b);
}

/* A region that windows may be bound to. */
static void allow_windows(struct end *e)
{
	igt_assert_eq(rereg(e->mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0,
			    ALL | IBV_ACCESS_MW_BIND), 0);
}

static struct ibv_send_wr bind_of(struct ibv_mw *mw, struct ibv_mr *mr, uint64_t addr,
				  uint64_t length, int access)
{
	return (struct ibv_send_wr) {
		.wr_id = 77, .opcode = IBV_WR_BIND_MW,
		.bind_mw = {
			.mw = mw, .rkey = ibv_inc_rkey(mw->rkey),
			.bind_info = { mr, addr, length, access },
		},
	};
}

static enum ibv_wc_status bind_mw(struct end *e, struct ibv_mw *mw, struct ibv_mr *mr,
				  uint64_t addr, uint64_t length, int access)
{
	struct ibv_send_wr wr = bind_of(mw, mr, addr, length, access);
	enum ibv_wc_status status = do_send(e, &wr);

	if (!status)
		mw->rkey = wr.bind_mw.rkey;
	return status;
}

static enum ibv_wc_status invalidate(struct end *e, enum ibv_wr_opcode opcode, uint32_t rkey)
{
	struct ibv_sge sge = { (uintptr_t)e->mem, 64, e->mr->lkey };
	struct ibv_send_wr wr = { .wr_id = 78, .opcode = opcode, .invalidate_rkey = rkey };

	if (opcode == IBV_WR_SEND_WITH_INV) {
		wr.sg_list = &sge;
		wr.num_sge = 1;
	}
	return do_send(e, &wr);
}

static enum ibv_wc_status use(struct end *a, enum ibv_wr_opcode opcode, struct end *b,
			      uint64_t offset, uint32_t len, uint32_t rkey)
{
	enum ibv_wc_status status = rdma(a, opcode, (uintptr_t)b->mem + offset, rkey, len);

	/* Refused, it ends the connection. */
	if (status)
		connect_ends(a, b);
	return status;
}

#define WRITE	IBV_WR_RDMA_WRITE
#define READ	IBV_WR_RDMA_READ

static void test_window(void)
{
	struct end a, b;
	struct ibv_mw *mw;
	uint32_t old;

	open_pair(&a, &b);
	allow_windows(&b);
	mw = ibv_alloc_mw(b.pd, IBV_MW_TYPE_2);
	igt_assert(mw);

	/* Nothing, before it is bound. */
	igt_assert_eq(use(&a, WRITE, &b, 4096, 64, mw->rkey), IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(bind_mw(&b, mw, b.mr, (uintptr_t)b.mem + 4096, 8192,
			      IBV_ACCESS_REMOTE_WRITE), IBV_WC_SUCCESS);
	memset(a.mem, 7, SIZE);
	memset(b.mem, 0, SIZE);
	igt_assert_eq(use(&a, WRITE, &b, 4096, 8192, mw->rkey), IBV_WC_SUCCESS);
	igt_assert_eq(b.mem[4095], 0);
	igt_assert_eq(b.mem[4096], 7);
	igt_assert_eq(b.mem[4096 + 8191], 7);
	igt_assert_eq(b.mem[4096 + 8192], 0);

	/* Neither before it nor behind it, nor other rights, nor another key. */
	igt_assert_eq(use(&a, WRITE, &b, 4095, 64, mw->rkey), IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(use(&a, WRITE, &b, 4097, 8192, mw->rkey), IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(use(&a, READ, &b, 4096, 64, mw->rkey), IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(use(&a, WRITE, &b, 4096, 64, mw->rkey ^ 1), IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(use(&a, WRITE, &b, 4096, 64, mw->rkey), IBV_WC_SUCCESS);

	/* The region stays for as long as the window leads to it. */
	igt_assert_eq(ibv_dereg_mr(b.mr), EBUSY);
	igt_assert_eq(rereg(b.mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0, ALL),
		      IBV_REREG_MR_ERR_CMD);

	old = mw->rkey;
	igt_assert_eq(invalidate(&b, IBV_WR_LOCAL_INV, old), IBV_WC_SUCCESS);
	igt_assert_eq(use(&a, WRITE, &b, 4096, 64, old), IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(bind_mw(&b, mw, b.mr, (uintptr_t)b.mem, SIZE, IBV_ACCESS_REMOTE_READ),
		      IBV_WC_SUCCESS);
	igt_assert_eq(use(&a, READ, &b, 0, 64, old), IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(use(&a, READ, &b, 0, 64, mw->rkey), IBV_WC_SUCCESS);

	/* A window that is gone leads nowhere. */
	old = mw->rkey;
	igt_assert_eq(ibv_dealloc_mw(mw), 0);
	igt_assert_eq(use(&a, READ, &b, 0, 64, old), IBV_WC_REM_ACCESS_ERR);
	close_end(&a);
	close_end(&b);
}

/* One request that is refused; the connection is made anew. */
static void refuse_bind(struct end *a, struct end *b, struct ibv_mw *mw, struct ibv_mr *mr,
			uint64_t addr, uint64_t length, int access, enum ibv_wc_status status)
{
	igt_assert_eq(bind_mw(b, mw, mr, addr, length, access), status);
	igt_assert_eq(state_of(b), IBV_QPS_ERR);
	connect_ends(a, b);
}

static void test_window_refused(void)
{
	struct ibv_mr *plain, *readable, *elsewhere;
	struct ibv_mw *mw, *foreign;
	struct ibv_pd *other;
	struct end a, b;
	uint64_t at;

	open_pair(&a, &b);
	allow_windows(&b);
	at = (uintptr_t)b.mem;
	other = ibv_alloc_pd(b.ctx);
	mw = ibv_alloc_mw(b.pd, IBV_MW_TYPE_2);
	foreign = ibv_alloc_mw(other, IBV_MW_TYPE_2);
	plain = ibv_reg_mr(b.pd, b.mem, SIZE, ALL);
	readable = ibv_reg_mr(b.pd, b.mem, SIZE, IBV_ACCESS_MW_BIND);
	elsewhere = ibv_reg_mr(other, b.mem, SIZE, ALL | IBV_ACCESS_MW_BIND);
	igt_assert(other && mw && foreign && plain && readable && elsewhere);

	refuse_bind(&a, &b, mw, b.mr, at + SIZE - 7, 8, IBV_ACCESS_REMOTE_READ,
		    IBV_WC_MW_BIND_ERR);
	refuse_bind(&a, &b, mw, b.mr, at - 1, 8, IBV_ACCESS_REMOTE_READ, IBV_WC_MW_BIND_ERR);
	refuse_bind(&a, &b, mw, b.mr, at, UINT64_MAX, IBV_ACCESS_REMOTE_READ, IBV_WC_MW_BIND_ERR);
	refuse_bind(&a, &b, mw, b.mr, at, 0, IBV_ACCESS_REMOTE_READ, IBV_WC_MW_BIND_ERR);
	refuse_bind(&a, &b, mw, plain, at, 64, IBV_ACCESS_REMOTE_READ, IBV_WC_MW_BIND_ERR);
	refuse_bind(&a, &b, mw, readable, at, 64, IBV_ACCESS_REMOTE_WRITE, IBV_WC_MW_BIND_ERR);
	refuse_bind(&a, &b, mw, elsewhere, at, 64, IBV_ACCESS_REMOTE_READ, IBV_WC_MW_BIND_ERR);
	refuse_bind(&a, &b, foreign, b.mr, at, 64, IBV_ACCESS_REMOTE_READ, IBV_WC_MW_BIND_ERR);
	refuse_bind(&a, &b, mw, b.mr, at, 64, IBV_ACCESS_ZERO_BASED, IBV_WC_LOC_QP_OP_ERR);

	/* Twice, without taking it back in between; and by who has not bound it. */
	igt_assert_eq(bind_mw(&b, mw, readable, at, 64, IBV_ACCESS_REMOTE_READ), IBV_WC_SUCCESS);
	refuse_bind(&a, &b, mw, b.mr, at, 64, IBV_ACCESS_REMOTE_READ, IBV_WC_MW_BIND_ERR);
	igt_assert_eq(use(&a, READ, &b, 0, 64, mw->rkey), IBV_WC_SUCCESS);
	igt_assert_eq(invalidate(&a, IBV_WR_LOCAL_INV, mw->rkey), IBV_WC_MW_BIND_ERR);
	connect_ends(&a, &b);
	igt_assert_eq(invalidate(&b, IBV_WR_LOCAL_INV, b.mr->rkey), IBV_WC_MW_BIND_ERR);
	connect_ends(&a, &b);
	igt_assert_eq(invalidate(&b, IBV_WR_LOCAL_INV, mw->rkey), IBV_WC_SUCCESS);
	igt_assert_eq(invalidate(&b, IBV_WR_LOCAL_INV, mw->rkey), IBV_WC_MW_BIND_ERR);

	igt_assert_eq(ibv_dealloc_mw(mw), 0);
	igt_assert_eq(ibv_dealloc_mw(foreign), 0);
	igt_assert_eq(ibv_dereg_mr(plain), 0);
	igt_assert_eq(ibv_dereg_mr(readable), 0);
	igt_assert_eq(ibv_dereg_mr(elsewhere), 0);
	igt_assert_eq(ibv_dealloc_pd(other), 0);
	close_end(&a);
	close_end(&b);
}

static void test_window_send_inv(void)
{
	struct end a, b;
	struct ibv_mw *mw;
	struct ibv_wc wc;

	open_pair(&a, &b);
	allow_windows(&b);
	mw = ibv_alloc_mw(b.pd, IBV_MW_TYPE_2);
	igt_assert(mw);
	igt_assert_eq(bind_mw(&b, mw, b.mr, (uintptr_t)b.mem, SIZE, IBV_ACCESS_REMOTE_WRITE),
		      IBV_WC_SUCCESS);
	igt_assert_eq(use(&a, WRITE, &b, 0, 64, mw->rkey), IBV_WC_SUCCESS);
	post_recv(&b, 5, SIZE, b.mr->lkey);
	memset(a.mem, 9, SIZE);
	igt_assert_eq(invalidate(&a, IBV_WR_SEND_WITH_INV, mw->rkey), IBV_WC_SUCCESS);
	wc = wait_wc(&b);
	igt_assert_eq(wc.status, IBV_WC_SUCCESS);
	igt_assert_eq(wc.opcode, IBV_WC_RECV);
	igt_assert_eq(wc.byte_len, 64);
	igt_assert(wc.wc_flags & IBV_WC_WITH_INV);
	igt_assert_eq(wc.invalidated_rkey, mw->rkey);
	igt_assert_eq(b.mem[63], 9);
	igt_assert_eq(use(&a, WRITE, &b, 0, 64, mw->rkey), IBV_WC_REM_ACCESS_ERR);

	/* A key that is none any more; nothing of the message arrives. */
	b.mem[0] = 1;
	post_recv(&b, 6, SIZE, b.mr->lkey);
	igt_assert_eq(invalidate(&a, IBV_WR_SEND_WITH_INV, mw->rkey), IBV_WC_REM_ACCESS_ERR);
	wc = wait_wc(&b);
	igt_assert_eq(wc.status, IBV_WC_MW_BIND_ERR);
	igt_assert_eq_u64(wc.wr_id, 6);
	igt_assert_eq(b.mem[0], 1);
	igt_assert_eq(state_of(&b), IBV_QPS_ERR);
	igt_assert_eq(ibv_dealloc_mw(mw), 0);
	close_end(&a);
	close_end(&b);
}

static void test_window_type_1(void)
{
	struct ibv_mw_bind bind = {
		.wr_id = 3, .bind_info.mw_access_flags = IBV_ACCESS_REMOTE_WRITE,
	};
	struct end a, b;
	struct ibv_mw *mw;
	uint32_t old;

	open_pair(&a, &b);
	allow_windows(&b);
	mw = ibv_alloc_mw(b.pd, IBV_MW_TYPE_1);
	igt_assert(mw);
	bind.bind_info.mr = b.mr;
	bind.bind_info.addr = (uintptr_t)b.mem;
	bind.bind_info.length = 4096;
	igt_assert_eq(ibv_bind_mw(b.qp, mw, &bind), 0);
	igt_assert_eq(wait_wc(&b).status, IBV_WC_SUCCESS);
	igt_assert_eq(use(&a, WRITE, &b, 0, 4096, mw->rkey), IBV_WC_SUCCESS);
	igt_assert_eq(use(&a, WRITE, &b, 4096, 64, mw->rkey), IBV_WC_REM_ACCESS_ERR);

	/* Bound anew, it is another one. */
	old = mw->rkey;
	bind.bind_info.addr += 4096;
	igt_assert_eq(ibv_bind_mw(b.qp, mw, &bind), 0);
	igt_assert_eq(wait_wc(&b).status, IBV_WC_SUCCESS);
	igt_assert_neq(mw->rkey, old);
	igt_assert_eq(use(&a, WRITE, &b, 4096, 64, mw->rkey), IBV_WC_SUCCESS);
	igt_assert_eq(use(&a, WRITE, &b, 0, 64, old), IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(ibv_dereg_mr(b.mr), EBUSY);

	/* To nothing. */
	bind.bind_info.length = 0;
	igt_assert_eq(ibv_bind_mw(b.qp, mw, &bind), 0);
	igt_assert_eq(wait_wc(&b).status, IBV_WC_SUCCESS);
	igt_assert_eq(use(&a, WRITE, &b, 4096, 64, mw->rkey), IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(ibv_dealloc_mw(mw), 0);
	close_end(&a);
	close_end(&b);
}

static void write_window(struct end *a, struct end *b, uint32_t rkey)
{
	struct ibv_sge sge = { (uintptr_t)a->mem, SIZE, a->mr->lkey };
	struct ibv_send_wr wr = {
		.opcode = WRITE, .sg_list = &sge, .num_sge = 1,
		.wr.rdma = { (uintptr_t)b->mem, rkey },
	};

	igt_assert_eq(__post(a, &wr), 0);
}

static void test_window_traffic(void)
{
	struct ibv_mw *mw;
	struct end a, b;
	uint64_t i;

	open_pair(&a, &b);
	allow_windows(&b);
	mw = ibv_alloc_mw(b.pd, IBV_MW_TYPE_2);
	igt_assert(mw);
	for (i = 0; i < 50; i++) {
		igt_assert_eq(bind_mw(&b, mw, b.mr, (uintptr_t)b.mem, SIZE,
				      IBV_ACCESS_REMOTE_WRITE), IBV_WC_SUCCESS);
		pattern_fill(a.mem, SIZE, i);
		/* What is under way when it is taken back has ended before, or fails. */
		if (i % 2) {
			igt_assert_eq(use(&a, WRITE, &b, 0, SIZE, mw->rkey), IBV_WC_SUCCESS);
			igt_assert_eq(pattern_find_bad(b.mem, SIZE, i, 1), -1);
			igt_assert_eq(invalidate(&b, IBV_WR_LOCAL_INV, mw->rkey), IBV_WC_SUCCESS);
			continue;
		}
		write_window(&a, &b, mw->rkey);
		igt_assert_eq(invalidate(&b, IBV_WR_LOCAL_INV, mw->rkey), IBV_WC_SUCCESS);
		memset(b.mem, 0x11, SIZE);
		usleep(1000);
		if (wait_wc(&a).status)
			connect_ends(&a, &b);
		else
			igt_assert_eq(b.mem[SIZE - 1], 0x11);
	}

	/* Left bound, it goes with the queue pair that has bound it. */
	igt_assert_eq(bind_mw(&b, mw, b.mr, (uintptr_t)b.mem, SIZE, IBV_ACCESS_REMOTE_WRITE),
		      IBV_WC_SUCCESS);
	igt_assert_eq(ibv_dereg_mr(b.mr), EBUSY);
	igt_assert_eq(ibv_destroy_qp(b.qp), 0);
	igt_assert_eq(ibv_dealloc_mw(mw), 0);
	igt_assert_eq(ibv_destroy_cq(b.cq), 0);
	igt_assert_eq(ibv_dereg_mr(b.mr), 0);
	igt_assert_eq(ibv_dealloc_pd(b.pd), 0);
	igt_assert_eq(ibv_close_device(b.ctx), 0);
	munmap(b.mem, SIZE);
	close_end(&a);
}

/* Whether it is mapped again after a move that nobody has made use of. */
static bool maps_again(uint64_t before)
{
	uint64_t end = now_ms() + 2000;

	while (vrnic_query(nic).counters.maps == before && now_ms() < end)
		usleep(10000);
	return vrnic_query(nic).counters.maps != before;
}

static void check_mode(const char *mode)
{
	bool stays = !strcmp(mode, "pinned") || !strcmp(mode, "static");
	struct movable m;
	struct end a, b;
	uint64_t maps;
	uint32_t to;

	igt_assert_eq(__debugfs_write(MODE, mode), 0);
	igt_assert(!strncmp(read_file(MODE), mode, strlen(mode)));
	open_pair(&a, &b);
	m = make_movable(fd, &b);
	igt_assert(write_and_read(&a, &m, 1));
	maps = vrnic_query(nic).counters.maps;
	/* Where one is that does not move is the importer's and the machine's affair. */
	to = vvram_info(fd, m.handle).placement == VRAM ? SYSTEM : VRAM;
	igt_assert_eq(__vvram_move(fd, m.handle, to), stays ? -EBUSY : 0);
	if (!stays)
		igt_assert_eq(maps_again(maps), !strcmp(mode, "eager"));
	igt_assert(write_and_read(&a, &m, 2));
	free_movable(&m);
	close_end(&a);
	close_end(&b);
}

static void test_modes(void)
{
	static const char * const modes[] = { "on-demand", "eager", "fenced", "pinned", "static" };
	unsigned int i;

	igt_require(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC);
	for (i = 0; i < ARRAY_LEN(modes); i++)
		check_mode(modes[i]);
	igt_assert_eq(__debugfs_write(MODE, "sometimes"), -EINVAL);
	igt_assert(!strncmp(read_file(MODE), "static", 6));
}

/* One queue pair's half of a buffer that two of them use. */
struct half {
	struct end *from;
	struct ibv_mr *mr;
	uint64_t at;
	uint64_t rounds;
	bool wrong;
	volatile bool stop;
	pthread_t thread;
};

static void *use_half(void *arg)
{
	struct half *h = arg;
	uint8_t *mem = h->from->mem;

	while (!h->stop && !h->wrong) {
		pattern_fill(mem, SIZE / 2, ++h->rounds);
		h->wrong = rdma(h->from, IBV_WR_RDMA_WRITE, h->at, h->mr->rkey, SIZE / 2);
		memset(mem, 0xee, SIZE / 2);
		h->wrong |= rdma(h->from, IBV_WR_RDMA_READ, h->at, h->mr->rkey, SIZE / 2);
		h->wrong |= pattern_find_bad(mem, SIZE / 2, h->rounds, 1) >= 0;
	}
	return NULL;
}

/* A move waits for the fences of both, of whom neither knows the other's. */
static void test_fenced_two(void)
{
	struct end a[2], b[2];
	struct half half[2];
	struct mover mover;
	struct movable m;
	unsigned int i;

	igt_require(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC);
	igt_assert_eq(__debugfs_write(MODE, "fenced"), 0);
	chaos_write(fd, "poison", "1");
	for (i = 0; i < 2; i++)
		open_pair(&a[i], &b[i]);
	m = make_movable(fd, &b[0]);
	for (i = 0; i < 2; i++) {
		half[i] = (struct half) { .from = &a[i], .mr = m.mr, .at = i * SIZE / 2 };
		if (i)
			half[i].mr = ibv_reg_dmabuf_mr(b[i].pd, 0, SIZE, 0, m.dmabuf, ALL);
		igt_assert(half[i].mr);
	}

	mover_start(&mover, fd, m.handle);
	for (i = 0; i < 2; i++)
		pthread_create(&half[i].thread, NULL, use_half, &half[i]);
	while (mover_goes_on(&mover, 0, 100) && !half[0].wrong && !half[1].wrong)
		usleep(10000);
	for (i = 0; i < 2; i++) {
		half[i].stop = true;
		pthread_join(half[i].thread, NULL);
	}
	mover_stop(&mover);
	chaos_write(fd, "poison", "0");

	for (i = 0; i < 2; i++) {
		igt_info("%d: %" PRIu64 " rounds\n", i, half[i].rounds);
		igt_assert(!half[i].wrong);
		igt_assert(half[i].rounds > 2);
	}
	igt_assert_eq(ibv_dereg_mr(half[1].mr), 0);
	free_movable(&m);
	for (i = 0; i < 2; i++) {
		close_end(&a[i]);
		close_end(&b[i]);
	}
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		require_verbs();
	}

	igt_describe("Another size, with completions in the queue.");
	igt_subtest("resize-cq")
		test_resize_cq();
	igt_describe("Another size in traffic.");
	igt_subtest("resize-cq-traffic")
		test_resize_cq_traffic();
	igt_describe("Another size of garbage.");
	igt_subtest("resize-cq-garbage")
		test_resize_cq_garbage();
	igt_describe("A place is free as soon as its completion is seen.");
	igt_subtest("post-while-polling")
		test_post_while_polling();
	igt_describe("Other rights.");
	igt_subtest("rereg-access")
		test_rereg_access();
	igt_describe("Another domain.");
	igt_subtest("rereg-pd")
		test_rereg_pd();
	igt_describe("Other memory.");
	igt_subtest("rereg-memory")
		test_rereg_memory();
	igt_describe("Changes in traffic.");
	igt_subtest("rereg-traffic")
		test_rereg_traffic();
	igt_describe("What a window allows.");
	igt_subtest("window")
		test_window();
	igt_describe("Windows that are not bound.");
	igt_subtest("window-refused")
		test_window_refused();
	igt_describe("Taken back by a message.");
	igt_subtest("window-send-inv")
		test_window_send_inv();
	igt_describe("Of the domain.");
	igt_subtest("window-type-1")
		test_window_type_1();
	igt_describe("Windows in traffic.");
	igt_subtest("window-traffic")
		test_window_traffic();
	igt_describe("Each mode, by what a move does.");
	igt_subtest("modes")
		test_modes();
	igt_describe("Two queue pairs' fences on one buffer.");
	igt_subtest("fenced-two")
		test_fenced_two();

	igt_fixture {
		__debugfs_write(MODE, "on-demand");
		close(nic);
		close(fd);
	}
}
