// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic verbs errors
 * Category: Core
 * Description: What the InfiniBand specification says of errors (9.9, 10.3, 10.10, 11.6):
 *	statuses, states, flushes and events at both ends.
 *
 * SUBTEST: requests
 * Description: What is wrong with a request shows at both ends, and all behind it is flushed.
 * SUBTEST: malformed
 * Description: Requests that no provider would post fail alone.
 * SUBTEST: transitions
 * Description: Each change of state that is not in the table is refused, and changes nothing.
 * SUBTEST: masks
 * Description: Each attribute that is missing, or not allowed, or out of range is refused.
 * SUBTEST: posting
 * Description: What may be posted in each state, and what becomes of it.
 * SUBTEST: limits
 * Description: What is too large, or too many, is refused when it is asked for.
 * SUBTEST: rnr
 * Description: A peer without a receive request is tried as often, and as late, as was asked for.
 * SUBTEST: retry
 * Description: A silent peer is tried as often, and as late, as was asked for.
 * SUBTEST: peer-killed
 * Description: A peer that is killed is a peer that does not answer.
 * SUBTEST: unfinished
 * Description: A message that its sender does not finish takes nothing of the receiver.
 * SUBTEST: waits
 * Description: A message that waits for a buffer is received once, when it is complete.
 * SUBTEST: drained
 * Description: A send queue is drained when what it had begun has ended, and is told so.
 * SUBTEST: established
 * Description: The first message before the receiver was ready to send is told of, once.
 * SUBTEST: srq-limit
 * Description: A shared receive queue tells once when it runs low.
 * SUBTEST: last-wqe
 * Description: The last request of a shared queue has completed when that is told.
 * SUBTEST: datagrams
 * Description: Datagrams that nobody takes are dropped without a trace.
 * SUBTEST: revoked
 * Description: A buffer that is revoked is an access error at its side, and harms no other.
 * SUBTEST: cq-overrun
 * Description: A completion that has no room ends its queue, its queue pair and the message.
 * SUBTEST: posted-in-error
 * Description: What is posted after an error is flushed, also behind what was to be retried.
 * SUBTEST: gone
 * Description: Clients of a device that leaves are told, and get errors from then on.
 */

#include <rdma/ib_user_verbs.h>
#include <signal.h>
#include <sys/wait.h>

#include "verbs.h"

IGT_TEST_DESCRIPTION("The specification's errors, at both ends.");

#define NONE	-1
#define RC	IBV_QPT_RC
#define UC	IBV_QPT_UC
#define UD	IBV_QPT_UD

static int fd = -1, nic = -1;

/* What is wrong with the first request of a row. */
enum wrong {
	NOTHING, RKEY, RKEY_OF_OTHER_PD, RKEY_IS_LKEY, RKEY_DEAD, END, START, WRAP, NO_RIGHT,
	NO_QP_RIGHT, NO_RESPONDER, NO_INITIATOR, UNALIGNED, ATOMIC_LENGTH, LKEY, LKEY_IS_RKEY,
	LKEY_OF_OTHER_PD, LOCAL_END, LOCAL_START, LOCAL_WRAP, LOCAL_READ_ONLY, SHORT_RECV,
	RECV_LKEY, RECV_READ_ONLY, RECV_END, NO_RECV, PEER_RESET, PEER_INIT, PEER_ERR, PEER_OTHER,
	TOO_LONG,
};

/* The one request is 66, good ones are behind it: 67, and what is received as 56 and 57. */
static const struct row {
	const char *name;
	enum ibv_qp_type type;
	enum wrong wrong;
	enum ibv_wr_opcode opcode;
	/* Of the sender: of request 66; its state then. */
	enum ibv_wc_status status;
	enum ibv_qp_state state;
	/* Of the other end: of receive request 55, its one event, its state. */
	int recv_status, event;
	enum ibv_qp_state peer_state;
} rows[] = {
#define ACCESS	IBV_WC_REM_ACCESS_ERR, IBV_QPS_ERR, NONE, IBV_EVENT_QP_ACCESS_ERR, IBV_QPS_ERR
#define REQUEST	IBV_WC_REM_INV_REQ_ERR, IBV_QPS_ERR, NONE, IBV_EVENT_QP_REQ_ERR, IBV_QPS_ERR
#define LOCAL	IBV_WC_LOC_PROT_ERR, IBV_QPS_ERR, NONE, NONE, IBV_QPS_RTS
#define DROPPED	IBV_WC_SUCCESS, IBV_QPS_RTS, NONE, NONE, IBV_QPS_RTS
	{ "write-rkey", RC, RKEY, IBV_WR_RDMA_WRITE, ACCESS },
	{ "read-rkey", RC, RKEY, IBV_WR_RDMA_READ, ACCESS },
	{ "atomic-rkey", RC, RKEY, IBV_WR_ATOMIC_FETCH_AND_ADD, ACCESS },
	{ "write-rkey-of-other-pd", RC, RKEY_OF_OTHER_PD, IBV_WR_RDMA_WRITE, ACCESS },
	{ "read-rkey-of-other-pd", RC, RKEY_OF_OTHER_PD, IBV_WR_RDMA_READ, ACCESS },
	{ "write-rkey-is-lkey", RC, RKEY_IS_LKEY, IBV_WR_RDMA_WRITE, ACCESS },
	{ "write-rkey-dead", RC, RKEY_DEAD, IBV_WR_RDMA_WRITE, ACCESS },
	{ "write-end", RC, END, IBV_WR_RDMA_WRITE, ACCESS },
	{ "read-end", RC, END, IBV_WR_RDMA_READ, ACCESS },
	{ "atomic-end", RC, END, IBV_WR_ATOMIC_CMP_AND_SWP, ACCESS },
	{ "write-start", RC, START, IBV_WR_RDMA_WRITE, ACCESS },
	{ "write-wrap", RC, WRAP, IBV_WR_RDMA_WRITE, ACCESS },
	{ "read-wrap", RC, WRAP, IBV_WR_RDMA_READ, ACCESS },
	{ "write-right", RC, NO_RIGHT, IBV_WR_RDMA_WRITE, ACCESS },
	{ "read-right", RC, NO_RIGHT, IBV_WR_RDMA_READ, ACCESS },
	{ "add-right", RC, NO_RIGHT, IBV_WR_ATOMIC_FETCH_AND_ADD, ACCESS },
	{ "swap-right", RC, NO_RIGHT, IBV_WR_ATOMIC_CMP_AND_SWP, ACCESS },
	{ "write-qp-right", RC, NO_QP_RIGHT, IBV_WR_RDMA_WRITE, REQUEST },
	{ "read-qp-right", RC, NO_QP_RIGHT, IBV_WR_RDMA_READ, REQUEST },
	{ "atomic-qp-right", RC, NO_QP_RIGHT, IBV_WR_ATOMIC_FETCH_AND_ADD, REQUEST },
	{ "read-no-responder", RC, NO_RESPONDER, IBV_WR_RDMA_READ, REQUEST },
	{ "atomic-no-responder", RC, NO_RESPONDER, IBV_WR_ATOMIC_CMP_AND_SWP, REQUEST },
	{ "add-unaligned", RC, UNALIGNED, IBV_WR_ATOMIC_FETCH_AND_ADD, REQUEST },
	{ "swap-unaligned", RC, UNALIGNED, IBV_WR_ATOMIC_CMP_AND_SWP, REQUEST },
	/* The receive request was not used up: it is flushed with those behind it. */
	{ "imm-rkey", RC, RKEY, IBV_WR_RDMA_WRITE_WITH_IMM, IBV_WC_REM_ACCESS_ERR, IBV_QPS_ERR,
	  IBV_WC_WR_FLUSH_ERR, IBV_EVENT_QP_ACCESS_ERR, IBV_QPS_ERR },
	{ "read-no-initiator", RC, NO_INITIATOR, IBV_WR_RDMA_READ, IBV_WC_LOC_QP_OP_ERR,
	  IBV_QPS_ERR, NONE, NONE, IBV_QPS_RTS },
	{ "atomic-length", RC, ATOMIC_LENGTH, IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_WC_LOC_LEN_ERR,
	  IBV_QPS_ERR, NONE, NONE, IBV_QPS_RTS },
	{ "write-lkey", RC, LKEY, IBV_WR_RDMA_WRITE, LOCAL },
	{ "read-lkey", RC, LKEY, IBV_WR_RDMA_READ, LOCAL },
	{ "send-lkey", RC, LKEY, IBV_WR_SEND, LOCAL },
	{ "atomic-lkey", RC, LKEY, IBV_WR_ATOMIC_CMP_AND_SWP, LOCAL },
	{ "write-lkey-is-rkey", RC, LKEY_IS_RKEY, IBV_WR_RDMA_WRITE, LOCAL },
	{ "write-lkey-of-other-pd", RC, LKEY_OF_OTHER_PD, IBV_WR_RDMA_WRITE, LOCAL },
	{ "write-local-end", RC, LOCAL_END, IBV_WR_RDMA_WRITE, LOCAL },
	{ "read-local-start", RC, LOCAL_START, IBV_WR_RDMA_READ, LOCAL },
	{ "send-local-wrap", RC, LOCAL_WRAP, IBV_WR_SEND, LOCAL },
	{ "read-local-right", RC, LOCAL_READ_ONLY, IBV_WR_RDMA_READ, LOCAL },
	{ "add-local-right", RC, LOCAL_READ_ONLY, IBV_WR_ATOMIC_FETCH_AND_ADD, LOCAL },
	{ "send-short-recv", RC, SHORT_RECV, IBV_WR_SEND, IBV_WC_REM_INV_REQ_ERR, IBV_QPS_ERR,
	  IBV_WC_LOC_LEN_ERR, NONE, IBV_QPS_ERR },
	{ "send-recv-lkey", RC, RECV_LKEY, IBV_WR_SEND, IBV_WC_REM_OP_ERR, IBV_QPS_ERR,
	  IBV_WC_LOC_PROT_ERR, NONE, IBV_QPS_ERR },
	{ "send-recv-right", RC, RECV_READ_ONLY, IBV_WR_SEND, IBV_WC_REM_OP_ERR, IBV_QPS_ERR,
	  IBV_WC_LOC_PROT_ERR, NONE, IBV_QPS_ERR },
	{ "send-recv-end", RC, RECV_END, IBV_WR_SEND, IBV_WC_REM_OP_ERR, IBV_QPS_ERR,
	  IBV_WC_LOC_PROT_ERR, NONE, IBV_QPS_ERR },
	{ "send-no-recv", RC, NO_RECV, IBV_WR_SEND, IBV_WC_RNR_RETRY_EXC_ERR, IBV_QPS_ERR,
	  NONE, NONE, IBV_QPS_RTS },
	{ "imm-no-recv", RC, NO_RECV, IBV_WR_RDMA_WRITE_WITH_IMM, IBV_WC_RNR_RETRY_EXC_ERR,
	  IBV_QPS_ERR, NONE, NONE, IBV_QPS_RTS },
	{ "peer-reset", RC, PEER_RESET, IBV_WR_RDMA_WRITE, IBV_WC_RETRY_EXC_ERR, IBV_QPS_ERR,
	  NONE, NONE, IBV_QPS_RESET },
	{ "peer-init", RC, PEER_INIT, IBV_WR_SEND, IBV_WC_RETRY_EXC_ERR, IBV_QPS_ERR,
	  NONE, NONE, IBV_QPS_INIT },
	{ "peer-err", RC, PEER_ERR, IBV_WR_RDMA_READ, IBV_WC_RETRY_EXC_ERR, IBV_QPS_ERR,
	  NONE, NONE, IBV_QPS_ERR },
	{ "peer-other", RC, PEER_OTHER, IBV_WR_RDMA_WRITE, IBV_WC_RETRY_EXC_ERR, IBV_QPS_ERR,
	  NONE, NONE, IBV_QPS_RTS },

	/* Without acknowledgements: the responder drops the message, and keeps its request. */
	{ "uc-rkey", UC, RKEY, IBV_WR_RDMA_WRITE, DROPPED },
	{ "uc-end", UC, END, IBV_WR_RDMA_WRITE, DROPPED },
	{ "uc-right", UC, NO_RIGHT, IBV_WR_RDMA_WRITE, DROPPED },
	{ "uc-qp-right", UC, NO_QP_RIGHT, IBV_WR_RDMA_WRITE, DROPPED },
	{ "uc-imm-rkey", UC, RKEY, IBV_WR_RDMA_WRITE_WITH_IMM, DROPPED },
	{ "uc-no-recv", UC, NO_RECV, IBV_WR_SEND, DROPPED },
	{ "uc-peer-init", UC, PEER_INIT, IBV_WR_SEND, IBV_WC_SUCCESS, IBV_QPS_RTS,
	  NONE, NONE, IBV_QPS_INIT },
	{ "uc-short-recv", UC, SHORT_RECV, IBV_WR_SEND, IBV_WC_SUCCESS, IBV_QPS_RTS,
	  IBV_WC_LOC_LEN_ERR, NONE, IBV_QPS_ERR },
	{ "uc-recv-lkey", UC, RECV_LKEY, IBV_WR_SEND, IBV_WC_SUCCESS, IBV_QPS_RTS,
	  IBV_WC_LOC_PROT_ERR, NONE, IBV_QPS_ERR },
	{ "uc-read", UC, NOTHING, IBV_WR_RDMA_READ, IBV_WC_LOC_QP_OP_ERR, IBV_QPS_SQE,
	  NONE, NONE, IBV_QPS_RTS },
	{ "uc-atomic", UC, NOTHING, IBV_WR_ATOMIC_FETCH_AND_ADD, IBV_WC_LOC_QP_OP_ERR,
	  IBV_QPS_SQE, NONE, NONE, IBV_QPS_RTS },
	{ "uc-lkey", UC, LKEY, IBV_WR_SEND, IBV_WC_LOC_PROT_ERR, IBV_QPS_SQE, NONE, NONE,
	  IBV_QPS_RTS },
	{ "uc-local-end", UC, LOCAL_END, IBV_WR_RDMA_WRITE, IBV_WC_LOC_PROT_ERR, IBV_QPS_SQE,
	  NONE, NONE, IBV_QPS_RTS },

	{ "ud-write", UD, NOTHING, IBV_WR_RDMA_WRITE, IBV_WC_LOC_QP_OP_ERR, IBV_QPS_SQE,
	  NONE, NONE, IBV_QPS_RTS },
	{ "ud-read", UD, NOTHING, IBV_WR_RDMA_READ, IBV_WC_LOC_QP_OP_ERR, IBV_QPS_SQE,
	  NONE, NONE, IBV_QPS_RTS },
	{ "ud-lkey", UD, LKEY, IBV_WR_SEND, IBV_WC_LOC_PROT_ERR, IBV_QPS_SQE, NONE, NONE,
	  IBV_QPS_RTS },
	{ "ud-too-long", UD, TOO_LONG, IBV_WR_SEND, IBV_WC_LOC_LEN_ERR, IBV_QPS_SQE, NONE, NONE,
	  IBV_QPS_RTS },
	{ "ud-no-recv", UD, NO_RECV, IBV_WR_SEND, DROPPED },
	{ "ud-short-recv", UD, SHORT_RECV, IBV_WR_SEND, IBV_WC_SUCCESS, IBV_QPS_RTS,
	  IBV_WC_LOC_LEN_ERR, NONE, IBV_QPS_ERR },
	{ "ud-recv-lkey", UD, RECV_LKEY, IBV_WR_SEND, IBV_WC_SUCCESS, IBV_QPS_RTS,
	  IBV_WC_LOC_PROT_ERR, NONE, IBV_QPS_ERR },
};

/* The ends of a row, and what was made for it. */
struct rig {
	struct end a, b, other;
	/* Without any right at all; of a domain of its own. */
	struct ibv_mr *none_a, *none_b, *foreign_a, *foreign_b;
	struct ibv_pd *pd_a, *pd_b;
};

static struct ibv_mr *reg(struct ibv_pd *pd, struct end *e, int access)
{
	struct ibv_mr *mr = ibv_reg_mr(pd, e->mem, SIZE, access);

	igt_assert(mr);
	return mr;
}

static void open_rig(struct rig *r, enum ibv_qp_type type)
{
	struct end_want want = { .type = type, .apart = true };

	open_end_as(&r->a, &want);
	open_end_as(&r->b, &want);
	open_end_as(&r->other, &want);
	r->pd_a = ibv_alloc_pd(r->a.ctx);
	r->pd_b = ibv_alloc_pd(r->b.ctx);
	igt_assert(r->pd_a && r->pd_b);
	r->none_a = reg(r->a.pd, &r->a, 0);
	r->none_b = reg(r->b.pd, &r->b, 0);
	r->foreign_a = reg(r->pd_a, &r->a, ALL);
	r->foreign_b = reg(r->pd_b, &r->b, ALL);
}

static void close_rig(struct rig *r)
{
	igt_assert_eq(ibv_dereg_mr(r->none_a), 0);
	igt_assert_eq(ibv_dereg_mr(r->none_b), 0);
	igt_assert_eq(ibv_dereg_mr(r->foreign_a), 0);
	igt_assert_eq(ibv_dereg_mr(r->foreign_b), 0);
	igt_assert_eq(ibv_dealloc_pd(r->pd_a), 0);
	igt_assert_eq(ibv_dealloc_pd(r->pd_b), 0);
	close_end(&r->a);
	close_end(&r->b);
	close_end(&r->other);
}

static uint32_t dead_rkey(struct end *e)
{
	struct ibv_mr *mr = reg(e->pd, e, ALL);
	uint32_t rkey = mr->rkey;

	igt_assert_eq(ibv_dereg_mr(mr), 0);
	return rkey;
}

static bool is_atomic(enum ibv_wr_opcode opcode)
{
	return opcode == IBV_WR_ATOMIC_FETCH_AND_ADD || opcode == IBV_WR_ATOMIC_CMP_AND_SWP;
}

static bool receives(enum ibv_wr_opcode opcode)
{
	return opcode == IBV_WR_SEND || opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
}

/* Where a request goes to: the members of the three kinds overlap. */
static void aim(struct end *e, struct ibv_send_wr *wr, uint64_t remote, uint32_t rkey)
{
	if (e->qp->qp_type == UD && receives(wr->opcode)) {
		wr->wr.ud.ah = e->ah;
		wr->wr.ud.remote_qpn = e->to;
		wr->wr.ud.remote_qkey = QKEY;
	} else if (is_atomic(wr->opcode)) {
		wr->wr.atomic.remote_addr = remote;
		wr->wr.atomic.rkey = rkey;
	} else {
		wr->wr.rdma.remote_addr = remote;
		wr->wr.rdma.rkey = rkey;
	}
}

static void spoil_remote(const struct row *row, struct rig *r, uint64_t *remote, uint32_t *rkey)
{
	switch (row->wrong) {
	case RKEY:
		*rkey ^= 0x100;
		break;
	case RKEY_OF_OTHER_PD:
		*rkey = r->foreign_b->rkey;
		break;
	case RKEY_IS_LKEY:
		*rkey = r->b.mr->lkey;
		break;
	case RKEY_DEAD:
		*rkey = dead_rkey(&r->b);
		break;
	case END:
		*remote += SIZE - (is_atomic(row->opcode) ? 0 : 7);
		break;
	case START:
		*remote -= 8;
		break;
	case WRAP:
		*remote = -4ULL;
		break;
	case NO_RIGHT:
		*rkey = r->none_b->rkey;
		break;
	case UNALIGNED:
		*remote += 4;
		break;
	default:
		break;
	}
}

static void spoil_local(const struct row *row, struct rig *r, struct ibv_sge *sge)
{
	switch (row->wrong) {
	case LKEY:
		sge->lkey ^= 0x100;
		break;
	case LKEY_IS_RKEY:
		sge->lkey = r->a.mr->rkey;
		break;
	case LKEY_OF_OTHER_PD:
		sge->lkey = r->foreign_a->lkey;
		break;
	case LOCAL_END:
		sge->addr += SIZE - 7;
		break;
	case LOCAL_START:
		sge->addr -= 8;
		break;
	case LOCAL_WRAP:
		sge->addr = -4ULL;
		break;
	case LOCAL_READ_ONLY:
		sge->lkey = r->none_a->lkey;
		break;
	case ATOMIC_LENGTH:
		sge->length = 4;
		break;
	case TOO_LONG:
		sge->length = 4097;
		break;
	default:
		break;
	}
}

static void post_first_recv(const struct row *row, struct rig *r)
{
	uint32_t lkey = r->b.mr->lkey, len = 4096;

	if (!receives(row->opcode) || row->wrong == NO_RECV)
		return;
	if (row->wrong == SHORT_RECV)
		len = row->type == UD ? 40 + 7 : 7;
	if (row->wrong == RECV_LKEY)
		lkey ^= 0x100;
	if (row->wrong == RECV_READ_ONLY)
		lkey = r->none_b->lkey;
	if (row->wrong == RECV_END)
		len = SIZE + 1;
	post_recv(&r->b, 55, len, lkey);
}

static void post_good_recvs(const struct row *row, struct rig *r)
{
	post_recv(&r->a, 100, 4096, r->a.mr->lkey);
	post_recv(&r->a, 101, 4096, r->a.mr->lkey);
	if (row->wrong == NO_RECV)
		return;
	post_recv(&r->b, 56, 4096, r->b.mr->lkey);
	post_recv(&r->b, 57, 4096, r->b.mr->lkey);
}

static void prepare(const struct row *row, struct rig *r)
{
	struct ibv_qp_attr a = attr_of(&r->a, &r->b), b = attr_of(&r->b, &r->a);

	/* Makes the addresses as well. */
	connect_ends(&r->a, &r->b);
	if (row->wrong == NO_QP_RIGHT)
		b.qp_access_flags = 0;
	if (row->wrong == NO_RESPONDER)
		b.max_dest_rd_atomic = 0;
	if (row->wrong == NO_INITIATOR)
		a.max_rd_atomic = 0;
	if (row->wrong == PEER_OTHER)
		b.dest_qp_num = r->other.qp->qp_num;
	igt_assert_eq(__bring_to(&r->a, a, IBV_QPS_RTS), 0);
	igt_assert_eq(__bring_to(&r->b, b, row->wrong == PEER_RESET ? IBV_QPS_RESET :
					   row->wrong == PEER_INIT ? IBV_QPS_INIT :
					   row->wrong == PEER_ERR ? IBV_QPS_ERR : IBV_QPS_RTS), 0);
	if (row->wrong < PEER_RESET || row->wrong > PEER_ERR)
		post_first_recv(row, r);
	if (row->wrong != PEER_RESET && row->wrong != PEER_ERR)
		post_good_recvs(row, r);
	else
		post_recv(&r->a, 100, 4096, r->a.mr->lkey);
	memset(r->a.mem, 0xaa, 4096);
	memset(r->b.mem, 0xbb, 4096);
}

/* The one that is wrong, and one that is not, in one call. */
static void post_both(const struct row *row, struct rig *r)
{
	uint64_t remote = (uintptr_t)r->b.mem;
	uint32_t rkey = r->b.mr->rkey;
	struct ibv_sge sge = { (uintptr_t)r->a.mem, 8, r->a.mr->lkey }, good = sge;
	struct ibv_send_wr second = {
		.wr_id = 67, .opcode = row->type == UD ? IBV_WR_SEND : IBV_WR_RDMA_WRITE,
		.sg_list = &good, .num_sge = row->type == UD ? 0 : 1,
	};
	struct ibv_send_wr first = {
		.wr_id = 66, .opcode = row->opcode, .sg_list = &sge, .num_sge = 1, .next = &second,
	};

	good.length = 1;
	spoil_remote(row, r, &remote, &rkey);
	spoil_local(row, r, &sge);
	aim(&r->a, &first, remote, rkey);
	aim(&r->a, &second, (uintptr_t)r->b.mem + 64, r->b.mr->rkey);
	igt_assert_eq(__post(&r->a, &first), 0);
}

static void expect(struct ibv_cq *cq, struct end *e, uint64_t id, enum ibv_wc_status status)
{
	struct ibv_wc wc = wait_wc_of(cq);

	igt_assert_eq_u64(wc.wr_id, id);
	igt_assert_f(wc.status == status, "%s, not %s\n", ibv_wc_status_str(wc.status),
		     ibv_wc_status_str(status));
	igt_assert_eq(wc.vendor_err, 0);
	igt_assert_eq(wc.qp_num, e->qp->qp_num);
}

static void check_sender(const struct row *row, struct rig *r)
{
	expect(r->a.cq, &r->a, 66, row->status);
	igt_assert_eq(state_of(&r->a), row->state);
	expect(r->a.cq, &r->a, 67, row->status ? IBV_WC_WR_FLUSH_ERR : IBV_WC_SUCCESS);
	if (row->state == IBV_QPS_ERR) {
		expect(r->a.rcq, &r->a, 100, IBV_WC_WR_FLUSH_ERR);
		if (row->wrong != PEER_RESET && row->wrong != PEER_ERR)
			expect(r->a.rcq, &r->a, 101, IBV_WC_WR_FLUSH_ERR);
	}
	igt_assert_eq(take_event(&r->a), NONE);
	igt_assert(is_idle(r->a.cq) && is_idle(r->a.rcq));
}

static void check_peer(const struct row *row, struct rig *r)
{
	igt_assert_eq(state_of(&r->b), row->peer_state);
	if (row->recv_status != NONE)
		expect(r->b.rcq, &r->b, 55, row->recv_status);
	if (row->peer_state == IBV_QPS_ERR && row->wrong != PEER_ERR) {
		expect(r->b.rcq, &r->b, 56, IBV_WC_WR_FLUSH_ERR);
		expect(r->b.rcq, &r->b, 57, IBV_WC_WR_FLUSH_ERR);
	}
	igt_assert_eq(take_event(&r->b), row->event);
	igt_assert_eq(take_event(&r->b), NONE);
	igt_assert(is_idle(r->b.cq));
	/* A datagram without bytes was behind the one that was wrong. */
	if (row->type == UD && !row->status && row->peer_state == IBV_QPS_RTS &&
	    row->wrong != NO_RECV)
		expect(r->b.rcq, &r->b, 56, IBV_WC_SUCCESS);
	igt_assert(is_idle(r->b.rcq));
	/* Nothing was written but by the request behind. */
	igt_assert_eq(r->a.mem[0], 0xaa);
	igt_assert_eq(r->b.mem[0], 0xbb);
	if (row->type != UD && row->peer_state == IBV_QPS_RTS && row->wrong != NO_QP_RIGHT)
		igt_assert_eq(r->b.mem[64], row->status ? 0xbb : 0xaa);
}

/* The control: what was dropped, or not begun, has left the receive request for the next. */
static void check_recv_is_left(const struct row *row, struct rig *r)
{
	struct ibv_wc wc;

	if (row->type == UD || !receives(row->opcode) || row->wrong == NO_RECV ||
	    row->state != IBV_QPS_RTS || row->peer_state != IBV_QPS_RTS)
		return;
	igt_assert_eq(send_bytes(&r->a, 68, 100), IBV_WC_SUCCESS);
	wc = wait_wc_of(r->b.rcq);
	igt_assert_eq_u64(wc.wr_id, 55);
	igt_assert_eq(wc.status, IBV_WC_SUCCESS);
	igt_assert_eq(wc.opcode, IBV_WC_RECV);
	igt_assert_eq(wc.byte_len, 100);
}

/* The control: both ends are of use again. */
static void check_again(const struct row *row, struct rig *r)
{
	uint32_t head = row->type == UD ? 40 : 0;
	struct ibv_wc wc;

	connect_ends(&r->a, &r->b);
	post_recv(&r->b, 1, 4096, r->b.mr->lkey);
	igt_assert_eq(send_bytes(&r->a, 2, 64), IBV_WC_SUCCESS);
	wc = wait_wc_of(r->b.rcq);
	igt_assert_eq_u64(wc.wr_id, 1);
	igt_assert_eq(wc.status, IBV_WC_SUCCESS);
	igt_assert_eq(wc.byte_len, 64 + head);
	igt_assert(!memcmp(r->b.mem + head, r->a.mem, 64));
	igt_assert_eq(take_event(&r->a), NONE);
	igt_assert_eq(take_event(&r->b), NONE);
}

static void test_requests(void)
{
	static const enum ibv_qp_type types[] = { RC, UC, UD };
	struct rig r;
	unsigned int i, t;

	for (t = 0; t < ARRAY_LEN(types); t++) {
		open_rig(&r, types[t]);
		for (i = 0; i < ARRAY_LEN(rows); i++) {
			if (rows[i].type != types[t])
				continue;
			igt_info("%s\n", rows[i].name);
			prepare(&rows[i], &r);
			post_both(&rows[i], &r);
			check_sender(&rows[i], &r);
			check_peer(&rows[i], &r);
			check_recv_is_left(&rows[i], &r);
			check_again(&rows[i], &r);
		}
		close_rig(&r);
	}
}

/* What a provider would refuse is put right into the ring. */
struct search {
	uint64_t id;
	struct vrnic_verbs_send *found;
};

static void find_slot(void *from, size_t size, void *arg)
{
	struct search *s = arg;
	uint64_t *p;

	for (p = from; p < (uint64_t *)((char *)from + size); p++)
		if (*p == s->id)
			s->found = (struct vrnic_verbs_send *)p;
}

static void spoil_slot(struct vrnic_verbs_send *send, unsigned int how)
{
	switch (how) {
	case 0:
		send->opcode = 0x7fffffff;
		break;
	case 1:
		send->flags = 1U << 31;
		break;
	case 2:
		send->num_sge = 5;
		break;
	case 3:
		send->num_sge = 0xffffffff;
		break;
	case 4:
		send->flags |= IBV_SEND_INLINE;
		send->num_sge = 0;
		send->inline_len = 65;
		break;
	case 5:
		send->flags |= IBV_SEND_INLINE;
		send->num_sge = 0;
		send->inline_len = 0xffffffff;
		break;
	case 6:
		send->flags |= IBV_SEND_INLINE;
		break;
	case 7:
		send->inline_len = 8;
		break;
	default:
		send->imm = 1;
		break;
	}
}

/* While the queue is drained nobody looks: there is time to spoil what was posted. */
static void test_malformed(void)
{
	struct search s = { .id = 0x1122334455667788ULL };
	struct end a, b;
	unsigned int how;

	open_pair(&a, &b);
	for (how = 0; how < 9; how++, s.id++) {
		struct ibv_sge sge = { (uintptr_t)a.mem, 8, a.mr->lkey };
		struct ibv_send_wr wr = {
			.wr_id = s.id, .opcode = IBV_WR_RDMA_WRITE, .sg_list = &sge, .num_sge = 1,
			.wr.rdma = { (uintptr_t)b.mem, b.mr->rkey },
		};

		connect_ends(&a, &b);
		memset(b.mem, 0xbb, 64);
		igt_assert_eq(__set_state(&a, IBV_QPS_SQD), 0);
		igt_assert_eq(__post(&a, &wr), 0);
		s.found = NULL;
		visit_rings(find_slot, &s);
		igt_assert(s.found);
		spoil_slot(s.found, how);
		igt_assert_eq(__set_state(&a, IBV_QPS_RTS), 0);
		expect(a.cq, &a, s.id, IBV_WC_LOC_QP_OP_ERR);
		igt_assert_eq(state_of(&a), IBV_QPS_ERR);
		igt_assert_eq(state_of(&b), IBV_QPS_RTS);
		igt_assert_eq(b.mem[0], 0xbb);
	}
	close_end(&a);
	close_end(&b);
}

/* The specification's figure of states; the target of each row. */
static bool may_change(enum ibv_qp_type type, enum ibv_qp_state from, enum ibv_qp_state to)
{
	switch (to) {
	case IBV_QPS_RESET:
		return true;
	case IBV_QPS_ERR:
		return from != IBV_QPS_RESET;
	case IBV_QPS_INIT:
		return from == IBV_QPS_RESET || from == IBV_QPS_INIT;
	case IBV_QPS_RTR:
		return from == IBV_QPS_INIT;
	case IBV_QPS_RTS:
		return from == IBV_QPS_RTR || from == IBV_QPS_RTS || from == IBV_QPS_SQD ||
		       (from == IBV_QPS_SQE && type != RC);
	case IBV_QPS_SQD:
		return from == IBV_QPS_RTS || from == IBV_QPS_SQD;
	default:
		return false;
	}
}

/* To RTS from where it was before, next to nothing is needed. */
static int mask_from(enum ibv_qp_type type, enum ibv_qp_state from, enum ibv_qp_state to)
{
	int mask = mask_to(type, to);

	if (to == IBV_QPS_RTS && from != IBV_QPS_RTR)
		return IBV_QP_STATE;
	return mask < 0 ? IBV_QP_STATE : mask;
}

static void bring_to_sqe(struct end *e, struct end *to)
{
	struct ibv_sge sge = { (uintptr_t)e->mem, 8, e->mr->lkey ^ 0x100 };
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1 };

	igt_assert_eq(__connect_end(e, to, ALL), 0);
	aim(e, &wr, 0, 0);
	igt_assert_eq(do_send(e, &wr), IBV_WC_LOC_PROT_ERR);
}

static void check_transitions(enum ibv_qp_type type)
{
	struct end_want want = { .type = type };
	enum ibv_qp_state from, to;
	struct ibv_qp_attr attr;
	struct end a, b;
	int ret;

	open_end_as(&a, &want);
	open_end_as(&b, &want);
	for (from = IBV_QPS_RESET; from <= IBV_QPS_ERR; from++) {
		if (from == IBV_QPS_SQE && type == RC)
			continue;
		for (to = IBV_QPS_RESET; to <= IBV_QPS_ERR; to++) {
			if (from == IBV_QPS_SQE)
				bring_to_sqe(&a, &b);
			else
				bring_to(&a, &b, from);
			attr = attr_of(&a, &b);
			attr.qp_state = to;
			ret = ibv_modify_qp(a.qp, &attr, mask_from(type, from, to));
			igt_assert_f(ret == (may_change(type, from, to) ? 0 : EINVAL),
				     "type %d, %d to %d: %d\n", type, from, to, ret);
			igt_assert_eq(state_of(&a), ret ? from : to);
		}
	}
	close_end(&a);
	close_end(&b);
}

static void test_transitions(void)
{
	check_transitions(RC);
	check_transitions(UC);
	check_transitions(UD);
}

/* All that any change may have, as a bit of the mask each. */
#define MASKS	21

static int optional_to(enum ibv_qp_type type, enum ibv_qp_state state)
{
	int access = type == UD ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS;

	switch (state) {
	case IBV_QPS_RTR:
		return access | IBV_QP_PKEY_INDEX | (type == UD ? 0 : IBV_QP_ALT_PATH);
	case IBV_QPS_RTS:
		return access | IBV_QP_CUR_STATE |
		       (type == UD ? 0 : IBV_QP_ALT_PATH | IBV_QP_PATH_MIG_STATE) |
		       (type == RC ? IBV_QP_MIN_RNR_TIMER : 0);
	default:
		return 0;
	}
}

static void check_masks(enum ibv_qp_type type)
{
	static const enum ibv_qp_state states[] = { IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS };
	struct end_want want = { .type = type };
	struct ibv_qp_attr attr;
	struct end a, b;
	unsigned int i, bit;
	int mask, all;

	open_end_as(&a, &want);
	open_end_as(&b, &want);
	for (i = 0; i < ARRAY_LEN(states); i++) {
		all = mask_to(type, states[i]);
		bring_to(&a, &b, states[i] - 1);
		for (bit = 0; bit < MASKS; bit++) {
			mask = all ^ 1 << bit;
			/* Without a state it is no change of it. */
			if (1 << bit == IBV_QP_STATE || optional_to(type, states[i]) & 1 << bit)
				continue;
			attr = attr_of(&a, &b);
			attr.qp_state = states[i];
			igt_assert_f(ibv_modify_qp(a.qp, &attr, mask) == EINVAL,
				     "type %d, to %d, mask %x\n", type, states[i], mask);
			igt_assert_eq(state_of(&a), states[i] - 1);
		}
		attr = attr_of(&a, &b);
		attr.qp_state = states[i];
		/* The control. */
		igt_assert_eq(ibv_modify_qp(a.qp, &attr, all), 0);
	}
	close_end(&a);
	close_end(&b);
}

static void refuse(struct end *a, struct ibv_qp_attr attr, enum ibv_qp_state to, int more)
{
	attr.qp_state = to;
	igt_assert_eq(ibv_modify_qp(a->qp, &attr, mask_to(RC, to) | more), EINVAL);
	igt_assert_eq(state_of(a), to - 1);
}

#define REFUSE(to, member, value)			\
do {							\
	struct ibv_qp_attr attr = attr_of(&a, &b);	\
							\
	attr.member = value;				\
	refuse(&a, attr, to, 0);			\
} while (0)

static void check_ranges(void)
{
	struct ibv_qp_attr cur;
	struct end a, b;

	open_end(&a);
	open_end(&b);
	bring_to(&a, &b, IBV_QPS_RESET);
	REFUSE(IBV_QPS_INIT, port_num, 0);
	REFUSE(IBV_QPS_INIT, port_num, 2);
	REFUSE(IBV_QPS_INIT, pkey_index, 1);
	REFUSE(IBV_QPS_INIT, qp_access_flags, 1U << 30);
	bring_to(&a, &b, IBV_QPS_INIT);
	REFUSE(IBV_QPS_RTR, path_mtu, 0);
	REFUSE(IBV_QPS_RTR, path_mtu, IBV_MTU_4096 + 1);
	REFUSE(IBV_QPS_RTR, ah_attr.port_num, 2);
	REFUSE(IBV_QPS_RTR, min_rnr_timer, 32);
	REFUSE(IBV_QPS_RTR, max_dest_rd_atomic, 129);
	REFUSE(IBV_QPS_RTR, dest_qp_num, 1 << 24);
	bring_to(&a, &b, IBV_QPS_RTR);
	REFUSE(IBV_QPS_RTS, timeout, 32);
	REFUSE(IBV_QPS_RTS, retry_cnt, 8);
	REFUSE(IBV_QPS_RTS, rnr_retry, 8);
	REFUSE(IBV_QPS_RTS, max_rd_atomic, 129);
	/* What it is thought to be in, and is not. */
	cur = attr_of(&a, &b);
	cur.cur_qp_state = IBV_QPS_SQD;
	refuse(&a, cur, IBV_QPS_RTS, IBV_QP_CUR_STATE);
	close_end(&a);
	close_end(&b);
}

static void test_masks(void)
{
	check_masks(RC);
	check_masks(UC);
	check_masks(UD);
	check_ranges();
}

static void test_posting(void)
{
	struct ibv_send_wr wr = { .wr_id = 1, .opcode = IBV_WR_SEND };
	struct end_want want = { .apart = true };
	struct end a, b;

	open_end_as(&a, &want);
	open_end_as(&b, &want);
	igt_assert_eq(__post(&a, &wr), EINVAL);
	igt_assert_eq(__post_recv(&a, 2, 8, a.mr->lkey), EINVAL);
	bring_to(&a, &b, IBV_QPS_INIT);
	igt_assert_eq(__post(&a, &wr), EINVAL);
	igt_assert_eq(ring_bell(&a, IB_USER_VERBS_CMD_POST_SEND), EINVAL);
	post_recv(&a, 3, 8, a.mr->lkey);
	bring_to(&a, &b, IBV_QPS_RTR);
	igt_assert_eq(__post(&a, &wr), EINVAL);
	/* A reset forgets all, without a completion. */
	igt_assert_eq(__set_state(&a, IBV_QPS_RESET), 0);
	igt_assert(is_idle(a.rcq));
	/* From wherever it comes, what was posted is flushed in the error state, in order. */
	bring_to(&a, &b, IBV_QPS_INIT);
	post_recv(&a, 4, 8, a.mr->lkey);
	post_recv(&a, 5, 8, a.mr->lkey);
	igt_assert_eq(__set_state(&a, IBV_QPS_ERR), 0);
	expect(a.rcq, &a, 4, IBV_WC_WR_FLUSH_ERR);
	expect(a.rcq, &a, 5, IBV_WC_WR_FLUSH_ERR);
	post_recv(&a, 6, 8, a.mr->lkey);
	expect(a.rcq, &a, 6, IBV_WC_WR_FLUSH_ERR);
	igt_assert_eq(__post(&a, &wr), 0);
	expect(a.cq, &a, 1, IBV_WC_WR_FLUSH_ERR);
	igt_assert_eq(take_event(&a), NONE);
	close_end(&a);
	close_end(&b);
}

static struct ibv_qp *make_qp(struct end *e, enum ibv_qp_type type, struct ibv_qp_cap cap)
{
	struct ibv_qp_init_attr init = {
		.send_cq = e->cq, .recv_cq = e->cq, .cap = cap, .qp_type = type,
	};

	errno = 0;
	return ibv_create_qp(e->pd, &init);
}

static void check_creation(struct end *e)
{
	static const struct ibv_qp_cap much[] = {
		{ .max_send_wr = 16385 }, { .max_recv_wr = 16385 }, { .max_send_sge = 17 },
		{ .max_recv_sge = 17 }, { .max_inline_data = 513 }, { .max_send_wr = 0xffffffff },
	};
	struct ibv_srq_init_attr srq = { .attr = { .max_wr = 16385, .max_sge = 1 } };
	struct ibv_device_attr attr;
	unsigned int i;

	igt_assert_eq(ibv_query_device(e->ctx, &attr), 0);
	igt_assert_eq(attr.max_qp_wr, 16384);
	igt_assert_eq(attr.max_sge, 16);
	for (i = 0; i < ARRAY_LEN(much); i++) {
		igt_assert(!make_qp(e, RC, much[i]));
		igt_assert_eq(errno, EINVAL);
	}
	igt_assert(!make_qp(e, IBV_QPT_RAW_PACKET, (struct ibv_qp_cap){}));
	igt_assert(!ibv_create_cq(e->ctx, attr.max_cqe + 1, NULL, NULL, 0));
	igt_assert(!ibv_create_srq(e->pd, &srq));
	srq.attr.max_wr = 0;
	igt_assert(!ibv_create_srq(e->pd, &srq));
	srq.attr.max_wr = 1;
	srq.attr.max_sge = 17;
	igt_assert(!ibv_create_srq(e->pd, &srq));
	/* The limit is of no meaning yet. */
	srq.attr.max_sge = 1;
	srq.attr.srq_limit = 1;
	e->srq = ibv_create_srq(e->pd, &srq);
	igt_assert(e->srq);
	igt_assert_eq(ibv_query_srq(e->srq, &srq.attr), 0);
	igt_assert_eq(srq.attr.srq_limit, 0);
	igt_assert_eq(ibv_destroy_srq(e->srq), 0);
	e->srq = NULL;
}

static void check_posting_much(struct end *a, struct end *b)
{
	char text[80] = {};
	struct ibv_sge sge[5] = { { (uintptr_t)text, 65, 0 } };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE, .sg_list = sge, .num_sge = 1,
		.send_flags = IBV_SEND_INLINE, .wr.rdma = { (uintptr_t)b->mem, b->mr->rkey },
	};
	struct ibv_recv_wr rwr = { .sg_list = sge, .num_sge = 5 }, *bad;

	igt_assert_eq(__post(a, &wr), EINVAL);
	sge[0].length = 40;
	sge[1] = sge[0];
	wr.num_sge = 2;
	igt_assert_eq(__post(a, &wr), EINVAL);
	sge[0].length = 0xffffffff;
	igt_assert_eq(__post(a, &wr), EINVAL);
	wr.send_flags = 0;
	wr.num_sge = 5;
	igt_assert_eq(__post(a, &wr), EINVAL);
	igt_assert_eq(ibv_post_recv(a->qp, &rwr, &bad), EINVAL);
	igt_assert(bad == &rwr);
	igt_assert_eq(state_of(a), IBV_QPS_RTS);
	igt_assert(is_idle(a->cq));
}

/* The first one waits for a receive request, and all others for it. */
static void check_posting_many(struct end *a, struct end *b)
{
	struct ibv_sge sge = { (uintptr_t)a->mem, 8, a->mr->lkey };
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1 };
	struct ibv_qp_attr attr = attr_of(a, b);
	int n = 0, done;

	attr.rnr_retry = 7;
	igt_assert_eq(__bring_to(a, attr, IBV_QPS_RTS), 0);
	while (n < 10 * DEPTH && !__post(a, &wr))
		n++;
	igt_assert_eq(n, DEPTH);
	post_recv(b, 1, 8, b->mr->lkey);
	igt_assert_eq(wait_wc(a).status, 0);
	igt_assert_eq(wait_wc(b).status, 0);
	igt_assert_eq(__post(a, &wr), 0);
	igt_assert_eq(__post(a, &wr), ENOMEM);
	for (n = 0; !__post_recv(b, n, 8, b->mr->lkey);)
		n++;
	igt_assert_lte(DEPTH, n);
	for (done = 0; done < DEPTH; done++)
		igt_assert_eq(wait_wc(a).status, 0);
	for (n = 0; !__post_recv(a, n, 8, a->mr->lkey);)
		n++;
	igt_assert_eq(n, DEPTH);
}

/* A request has its place until its completion has been taken, executed or not. */
static void check_posting_done(struct end *a, struct end *b)
{
	struct ibv_sge sge = { (uintptr_t)a->mem, 8, a->mr->lkey };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE, .sg_list = &sge, .num_sge = 1,
		.wr.rdma = { (uintptr_t)b->mem, b->mr->rkey },
	};
	int n, round;

	connect_ends(a, b);
	for (round = 0; round < 3; round++) {
		for (n = 0; n < DEPTH; n++)
			igt_assert_eq(__post(a, &wr), 0);
		usleep(100000);
		igt_assert_eq(__post(a, &wr), ENOMEM);
		igt_assert_eq(wait_wc(a).status, 0);
		igt_assert_eq(__post(a, &wr), 0);
		igt_assert_eq(__post(a, &wr), ENOMEM);
		for (n = 0; n < DEPTH; n++)
			igt_assert_eq(wait_wc(a).status, 0);
	}
	/* A reset forgets them. */
	for (n = 0; n < DEPTH; n++)
		igt_assert_eq(__post(a, &wr), 0);
	connect_ends(a, b);
	for (n = 0; n < DEPTH; n++)
		igt_assert_eq(__post(a, &wr), 0);
	for (n = 0; n < DEPTH; n++)
		igt_assert_eq(wait_wc(a).status, 0);
}

static void test_limits(void)
{
	struct end a, b;

	open_pair(&a, &b);
	check_creation(&a);
	check_posting_much(&a, &b);
	check_posting_many(&a, &b);
	check_posting_done(&a, &b);
	close_end(&a);
	close_end(&b);
}

static uint64_t timed_send(struct end *e, enum ibv_wc_status status)
{
	uint64_t begin = now_ms();

	igt_assert_eq(send_bytes(e, 1, 8), status);
	return now_ms() - begin;
}

static void connect_as(struct end *a, struct end *b, const struct ibv_qp_attr *attr_a,
		       const struct ibv_qp_attr *attr_b)
{
	igt_assert_eq(__bring_to(a, *attr_a, IBV_QPS_RTS), 0);
	igt_assert_eq(__bring_to(b, *attr_b, IBV_QPS_RTS), 0);
}

static void test_rnr(void)
{
	struct ibv_qp_attr attr_a, attr_b;
	struct ibv_sge sge;
	struct ibv_send_wr wr = { .wr_id = 9, .opcode = IBV_WR_SEND, .num_sge = 1 };
	struct end a, b;
	uint64_t ms;
	int n;

	open_pair(&a, &b);
	attr_a = attr_of(&a, &b);
	attr_b = attr_of(&b, &a);
	/* 40.96 ms, of the receiver's. */
	attr_b.min_rnr_timer = 24;
	for (n = 0; n < 7; n++) {
		attr_a.rnr_retry = n;
		connect_as(&a, &b, &attr_a, &attr_b);
		ms = timed_send(&a, IBV_WC_RNR_RETRY_EXC_ERR);
		igt_info("%d retries: %" PRIu64 " ms\n", n, ms);
		igt_assert_lte(n * 40, ms);
		igt_assert_eq(state_of(&a), IBV_QPS_ERR);
		igt_assert_eq(state_of(&b), IBV_QPS_RTS);
	}
	/* 0 is the longest: 655.36 ms. */
	attr_a.rnr_retry = 1;
	attr_b.min_rnr_timer = 0;
	connect_as(&a, &b, &attr_a, &attr_b);
	igt_assert_lte(655, timed_send(&a, IBV_WC_RNR_RETRY_EXC_ERR));
	/* Seven is for ever: eight times and more, and then there is room. */
	attr_a.rnr_retry = 7;
	attr_b.min_rnr_timer = 20;
	connect_as(&a, &b, &attr_a, &attr_b);
	sge = (struct ibv_sge){ (uintptr_t)a.mem, 8, a.mr->lkey };
	wr.sg_list = &sge;
	igt_assert_eq(__post(&a, &wr), 0);
	usleep(500000);
	igt_assert(is_idle(a.cq));
	post_recv(&b, 10, 8, b.mr->lkey);
	expect(b.rcq, &b, 10, IBV_WC_SUCCESS);
	expect(a.cq, &a, 9, IBV_WC_SUCCESS);
	close_end(&a);
	close_end(&b);
}

static void test_retry(void)
{
	struct ibv_qp_attr attr_a, attr_b;
	struct ibv_sge sge;
	struct ibv_send_wr wr = { .wr_id = 9, .opcode = IBV_WR_SEND, .num_sge = 1 };
	struct end a, b;
	uint64_t ms;
	int n;

	open_pair(&a, &b);
	attr_a = attr_of(&a, &b);
	attr_b = attr_of(&b, &a);
	/* 67.1 ms. */
	attr_a.timeout = 14;
	for (n = 0; n < 8; n += 3) {
		attr_a.retry_cnt = n;
		connect_as(&a, &b, &attr_a, &attr_b);
		igt_assert_eq(__set_state(&b, IBV_QPS_ERR), 0);
		ms = timed_send(&a, IBV_WC_RETRY_EXC_ERR);
		igt_info("%d retries: %" PRIu64 " ms\n", n, ms);
		igt_assert_lte((n + 1) * 67, ms);
	}
	/* Without a timeout it waits for ever; one that comes gets all. */
	attr_a.timeout = 0;
	attr_a.retry_cnt = 0;
	connect_as(&a, &b, &attr_a, &attr_b);
	igt_assert_eq(__set_state(&b, IBV_QPS_RESET), 0);
	sge = (struct ibv_sge){ (uintptr_t)a.mem, 8, a.mr->lkey };
	wr.sg_list = &sge;
	igt_assert_eq(__post(&a, &wr), 0);
	usleep(500000);
	igt_assert(is_idle(a.cq));
	igt_assert_eq(__bring_to(&b, attr_b, IBV_QPS_INIT), 0);
	post_recv(&b, 10, 8, b.mr->lkey);
	attr_b.qp_state = IBV_QPS_RTR;
	igt_assert_eq(ibv_modify_qp(b.qp, &attr_b, mask_to(RC, IBV_QPS_RTR)), 0);
	expect(a.cq, &a, 9, IBV_WC_SUCCESS);
	expect(b.rcq, &b, 10, IBV_WC_SUCCESS);
	close_end(&a);
	close_end(&b);
}

/* The peer's number comes, and the own one goes, by pipes. */
static void be_killed(int in, int out)
{
	struct end b;
	struct ibv_qp_attr attr;
	uint64_t ours[2];
	uint32_t to;

	open_end(&b);
	ours[0] = b.qp->qp_num | (uint64_t)b.mr->rkey << 32;
	ours[1] = (uintptr_t)b.mem;
	igt_assert_eq(read(in, &to, sizeof(to)), sizeof(to));
	attr = attr_of(&b, &b);
	attr.dest_qp_num = to;
	igt_assert_eq(__bring_to(&b, attr, IBV_QPS_RTS), 0);
	igt_assert_eq(write(out, ours, sizeof(ours)), sizeof(ours));
	pause();
}

static void test_peer_killed(void)
{
	int to_child[2], from_child[2], status;
	struct ibv_qp_attr attr;
	uint64_t theirs[2];
	struct end a;
	pid_t pid;

	igt_assert_eq(pipe(to_child) | pipe(from_child), 0);
	pid = fork();
	igt_assert_lte(0, pid);
	if (!pid) {
		be_killed(to_child[0], from_child[1]);
		_exit(1);
	}
	open_end(&a);
	igt_assert_eq(write(to_child[1], &a.qp->qp_num, 4), 4);
	igt_assert_eq(read(from_child[0], theirs, sizeof(theirs)), sizeof(theirs));
	attr = attr_of(&a, &a);
	attr.dest_qp_num = theirs[0];
	igt_assert_eq(__bring_to(&a, attr, IBV_QPS_RTS), 0);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, theirs[1], theirs[0] >> 32, SIZE), 0);
	kill(pid, SIGKILL);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert(WIFSIGNALED(status));
	post_recv(&a, 4, 8, a.mr->lkey);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, theirs[1], theirs[0] >> 32, SIZE),
		      IBV_WC_RETRY_EXC_ERR);
	expect(a.cq, &a, 4, IBV_WC_WR_FLUSH_ERR);
	igt_assert_eq(state_of(&a), IBV_QPS_ERR);
	igt_assert_eq(take_event(&a), NONE);
	close_end(&a);
}

/* A kernel that pins for every importer moves no mapped buffer, and revokes none. */
static void require_dynamic(void)
{
	igt_require(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC);
}

static void end_buffer(struct movable *m)
{
	struct drm_vvram_gem_revoke arg = { .handle = m->handle };

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &arg), 0);
}

/* Two pieces: the first waits for a buffer that is on its way, the second is seen after it. */
static void post_of(struct end *e, struct movable *m)
{
	struct ibv_sge sge[2] = { { 0, 4096, m->mr->lkey }, { 8192, 4096, m->mr->lkey } };
	struct ibv_send_wr wr = {
		.wr_id = 66, .opcode = IBV_WR_SEND, .sg_list = sge, .num_sge = 2,
	};

	igt_assert_eq(__post(e, &wr), 0);
}

/* A source whose second half is revoked: the first one has gone out by then. */
static void send_half(struct end *a, struct movable *m)
{
	struct ibv_sge sge[2] = {
		{ (uintptr_t)a->mem, 4096, a->mr->lkey }, { 0, 4096, m->mr->lkey },
	};
	struct ibv_send_wr wr = {
		.wr_id = 66, .opcode = IBV_WR_SEND, .sg_list = sge, .num_sge = 2,
	};

	igt_assert_eq(do_send(a, &wr), IBV_WC_LOC_PROT_ERR);
}

static void check_unfinished(const struct end_want *want)
{
	struct movable m;
	struct end a, b;

	open_end_as(&a, want);
	open_end_as(&b, want);
	connect_ends(&a, &b);
	m = make_movable(fd, &a);
	end_buffer(&m);
	post_recv(&b, 55, SIZE, b.mr->lkey);
	post_recv(&b, 56, SIZE, b.mr->lkey);
	send_half(&a, &m);
	igt_assert_eq(state_of(&a), want->type == UC ? IBV_QPS_SQE : IBV_QPS_ERR);
	igt_assert_eq(state_of(&b), IBV_QPS_RTS);
	igt_assert(is_idle(b.rcq));
	igt_assert_eq(take_event(&b), NONE);
	/* A message may come in its place. */
	igt_assert_eq(__connect_end(&a, &b, ALL), 0);
	igt_assert_eq(send_bytes(&a, 1, 100), IBV_WC_SUCCESS);
	expect(b.rcq, &b, 55, IBV_WC_SUCCESS);
	/* Or none: it is flushed before those behind it. */
	send_half(&a, &m);
	igt_assert_eq(__set_state(&b, IBV_QPS_ERR), 0);
	expect(b.rcq, &b, 56, IBV_WC_WR_FLUSH_ERR);
	if (want->srq)
		igt_assert_eq(wait_event(&b), IBV_EVENT_QP_LAST_WQE_REACHED);
	igt_assert_eq(take_event(&b), NONE);
	/* A reset forgets it. */
	connect_ends(&a, &b);
	if (!want->srq)
		post_recv(&b, 57, SIZE, b.mr->lkey);
	else
		post_recv(&b, 58, SIZE, b.mr->lkey);
	send_half(&a, &m);
	connect_ends(&a, &b);
	post_recv(&b, 59, SIZE, b.mr->lkey);
	igt_assert_eq(send_bytes(&a, 2, 100), IBV_WC_SUCCESS);
	expect(b.rcq, &b, 59, IBV_WC_SUCCESS);
	free_movable(&m);
	close_end(&a);
	close_end(&b);
}

/* The same when the sender is destroyed while its buffer is on its way. */
static void check_destroyed(void)
{
	struct end_want want = { .apart = true };
	struct ibv_qp *gone;
	struct movable m;
	struct end a, b;

	open_end_as(&a, &want);
	open_end_as(&b, &want);
	connect_ends(&a, &b);
	m = make_movable(fd, &a);
	post_recv(&b, 55, SIZE, b.mr->lkey);
	post_recv(&b, 56, SIZE, b.mr->lkey);
	send_away(&m, SYSTEM, 1000);
	post_of(&a, &m);
	usleep(200000);
	gone = a.qp;
	a.qp = make_qp(&a, RC, (struct ibv_qp_cap){ .max_send_wr = 1 });
	igt_assert(a.qp);
	igt_assert_eq(ibv_destroy_qp(gone), 0);
	igt_assert_eq(state_of(&b), IBV_QPS_RTS);
	igt_assert(is_idle(b.rcq));
	igt_assert_eq(take_event(&b), NONE);
	igt_assert_eq(__set_state(&b, IBV_QPS_ERR), 0);
	expect(b.rcq, &b, 55, IBV_WC_WR_FLUSH_ERR);
	expect(b.rcq, &b, 56, IBV_WC_WR_FLUSH_ERR);
	free_movable(&m);
	close_end(&a);
	close_end(&b);
}

static void test_unfinished(void)
{
	require_dynamic();
	check_destroyed();
	check_unfinished(&(struct end_want){ .apart = true });
	check_unfinished(&(struct end_want){ .apart = true, .type = UC });
	check_unfinished(&(struct end_want){ .apart = true, .srq = DEPTH });
}

/* Small, and the first: whoever posts it would execute it, if the buffer was there. */
static void check_waits(enum ibv_qp_type type)
{
	struct end_want want = { .type = type, .apart = true };
	uint32_t head = type == UD ? 40 : 0, i;
	struct movable m;
	struct end a, b;
	struct ibv_wc wc;

	open_end_as(&a, &want);
	open_end_as(&b, &want);
	connect_ends(&a, &b);
	m = make_movable(fd, &b);
	for (i = 0; i < 5; i++) {
		struct ibv_sge sge = { 0, 4096, m.mr->lkey };
		struct ibv_recv_wr wr = { .wr_id = 55, .sg_list = &sge, .num_sge = 1 }, *bad;

		igt_assert_eq(ibv_post_recv(b.qp, &wr, &bad), 0);
		post_recv(&b, 56, 4096, b.mr->lkey);
		memset(m.p, 0, 4096);
		memset(a.mem, i + 1, 100);
		send_away(&m, i % 2 ? VRAM : SYSTEM, 300);
		igt_assert_eq(send_bytes(&a, 66, 100), IBV_WC_SUCCESS);
		wc = wait_wc_of(b.rcq);
		igt_assert_eq_u64(wc.wr_id, 55);
		igt_assert_eq(wc.status, IBV_WC_SUCCESS);
		igt_assert_eq(wc.byte_len, 100 + head);
		igt_assert(!memcmp(m.p + head, a.mem, 100));
		igt_assert(is_idle(b.rcq));
		igt_assert_eq(send_bytes(&a, 67, 8), IBV_WC_SUCCESS);
		expect(b.rcq, &b, 56, IBV_WC_SUCCESS);
	}
	free_movable(&m);
	close_end(&a);
	close_end(&b);
}

static void test_waits(void)
{
	require_dynamic();
	check_waits(RC);
	check_waits(UC);
	check_waits(UD);
}

static void drain(struct end *e)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_SQD, .en_sqd_async_notify = 1 };

	igt_assert_eq(ibv_modify_qp(e->qp, &attr, IBV_QP_STATE | IBV_QP_EN_SQD_ASYNC_NOTIFY), 0);
}

static bool is_draining(struct end *e)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	igt_assert_eq(ibv_query_qp(e->qp, &attr, IBV_QP_STATE, &init), 0);
	igt_assert_eq(attr.qp_state, IBV_QPS_SQD);
	return attr.sq_draining;
}

static void test_drained(void)
{
	struct ibv_sge sge;
	struct ibv_send_wr wrs[2] = {
		{ .wr_id = 1, .opcode = IBV_WR_SEND, .num_sge = 1, .next = &wrs[1] },
		{ .wr_id = 2, .opcode = IBV_WR_SEND, .num_sge = 1 },
	};
	struct ibv_qp_attr attr;
	struct end a, b;

	open_pair(&a, &b);
	/* Of nothing, at once, and only where it was asked for. */
	igt_assert_eq(__set_state(&a, IBV_QPS_SQD), 0);
	igt_assert_eq(__set_state(&a, IBV_QPS_RTS), 0);
	igt_assert_eq(take_event(&a), NONE);
	drain(&a);
	igt_assert_eq(wait_event(&a), IBV_EVENT_SQ_DRAINED);
	igt_assert(!is_draining(&a));

	/* What has begun, and waits for a receive request, is still to be ended. */
	attr = attr_of(&a, &b);
	attr.rnr_retry = 7;
	connect_ends(&a, &b);
	igt_assert_eq(__bring_to(&a, attr, IBV_QPS_RTS), 0);
	sge = (struct ibv_sge){ (uintptr_t)a.mem, 8, a.mr->lkey };
	wrs[0].sg_list = &sge;
	wrs[1].sg_list = &sge;
	igt_assert_eq(__post(&a, wrs), 0);
	usleep(300000);
	drain(&a);
	usleep(300000);
	igt_assert(is_draining(&a));
	igt_assert_eq(take_event(&a), NONE);
	post_recv(&b, 10, 8, b.mr->lkey);
	post_recv(&b, 11, 8, b.mr->lkey);
	igt_assert_eq(wait_event(&a), IBV_EVENT_SQ_DRAINED);
	igt_assert(!is_draining(&a));
	/* It had completed before, and the one behind it has not begun. */
	igt_assert_eq(ibv_poll_cq(a.cq, 1, &(struct ibv_wc){}), 1);
	usleep(100000);
	igt_assert(is_idle(a.cq));
	igt_assert_eq(__set_state(&a, IBV_QPS_RTS), 0);
	expect(a.cq, &a, 2, IBV_WC_SUCCESS);
	igt_assert_eq(take_event(&a), NONE);
	close_end(&a);
	close_end(&b);
}

static void test_established(void)
{
	static const enum ibv_qp_type types[] = { RC, UC, UD };
	struct end_want want = {};
	struct end a, b;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(types); i++) {
		want.type = types[i];
		open_end_as(&a, &want);
		open_end_as(&b, &want);
		connect_ends(&a, &b);
		bring_to(&b, &a, IBV_QPS_RTR);
		post_recv(&b, 3, 4096, b.mr->lkey);
		post_recv(&b, 4, 4096, b.mr->lkey);
		igt_assert_eq(take_event(&b), NONE);
		igt_assert_eq(send_bytes(&a, 1, 8), IBV_WC_SUCCESS);
		expect(b.cq, &b, 3, IBV_WC_SUCCESS);
		igt_assert_eq(wait_event(&b), IBV_EVENT_COMM_EST);
		igt_assert_eq(send_bytes(&a, 2, 8), IBV_WC_SUCCESS);
		expect(b.cq, &b, 4, IBV_WC_SUCCESS);
		igt_assert_eq(take_event(&b), NONE);
		igt_assert_eq(take_event(&a), NONE);
		close_end(&a);
		close_end(&b);
	}
}

static int set_limit(struct end *e, uint32_t limit)
{
	struct ibv_srq_attr attr = { .srq_limit = limit };

	return ibv_modify_srq(e->srq, &attr, IBV_SRQ_LIMIT);
}

static uint32_t limit_of(struct end *e)
{
	struct ibv_srq_attr attr;

	igt_assert_eq(ibv_query_srq(e->srq, &attr), 0);
	return attr.srq_limit;
}

static void test_srq_limit(void)
{
	struct end_want want = { .srq = 16 };
	struct end a, b;
	int i;

	open_end(&a);
	open_end_as(&b, &want);
	connect_ends(&a, &b);
	igt_assert_eq(set_limit(&b, 17), EINVAL);
	for (i = 0; i < 8; i++)
		post_recv(&b, i, 64, b.mr->lkey);
	igt_assert_eq(set_limit(&b, 7), 0);
	igt_assert_eq(limit_of(&b), 7);
	igt_assert_eq(send_bytes(&a, 1, 8), 0);
	igt_assert_eq(take_event(&b), NONE);
	igt_assert_eq(send_bytes(&a, 1, 8), 0);
	igt_assert_eq(wait_event(&b), IBV_EVENT_SRQ_LIMIT_REACHED);
	igt_assert_eq(limit_of(&b), 0);
	igt_assert_eq(send_bytes(&a, 1, 8), 0);
	igt_assert_eq(take_event(&b), NONE);
	/* It is short already. */
	igt_assert_eq(set_limit(&b, 10), 0);
	igt_assert_eq(wait_event(&b), IBV_EVENT_SRQ_LIMIT_REACHED);
	close_end(&a);
	close_end(&b);
}

/* A message that is under way into a buffer that moves. */
static void check_last_is_last(struct end *a, struct end *b)
{
	struct ibv_sge sge = { 0, 8192, 0 };
	struct ibv_recv_wr wr = { .wr_id = 57, .sg_list = &sge, .num_sge = 1 }, *bad;
	struct movable m, src;
	struct ibv_wc wc;

	if (!(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC))
		return;
	connect_ends(a, b);
	m = make_movable(fd, b);
	src = make_movable(fd, a);
	sge.lkey = m.mr->lkey;
	igt_assert_eq(ibv_post_srq_recv(b->srq, &wr, &bad), 0);
	send_away(&m, SYSTEM, 1000);
	post_of(a, &src);
	usleep(200000);
	igt_assert_eq(__set_state(b, IBV_QPS_ERR), 0);
	igt_assert_eq(wait_event(b), IBV_EVENT_QP_LAST_WQE_REACHED);
	igt_assert_eq(ibv_poll_cq(b->rcq, 1, &wc), 1);
	igt_assert_eq_u64(wc.wr_id, 57);
	igt_assert_eq(take_event(b), NONE);
	wait_wc(a);
	free_movable(&m);
	free_movable(&src);
}

static void test_last_wqe(void)
{
	struct end_want want = { .srq = 16, .apart = true };
	struct ibv_mr *none;
	struct end a, b;
	int i;

	open_end(&a);
	open_end_as(&b, &want);
	none = reg(b.pd, &b, 0);
	/* What it has taken has completed when the event is there: it is the last. */
	for (i = 0; i < 50; i++) {
		struct ibv_wc wc;

		connect_ends(&a, &b);
		post_recv(&b, 55, 64, none->lkey);
		igt_assert_eq(send_bytes(&a, 1, 8), IBV_WC_REM_OP_ERR);
		igt_assert_eq(wait_event(&b), IBV_EVENT_QP_LAST_WQE_REACHED);
		igt_assert_eq(ibv_poll_cq(b.rcq, 1, &wc), 1);
		igt_assert_eq_u64(wc.wr_id, 55);
		igt_assert_eq(wc.status, IBV_WC_LOC_PROT_ERR);
	}
	check_last_is_last(&a, &b);
	/* By its owner, too, once, and without any request. */
	connect_ends(&a, &b);
	post_recv(&b, 56, 64, b.mr->lkey);
	igt_assert_eq(__set_state(&b, IBV_QPS_ERR), 0);
	igt_assert_eq(wait_event(&b), IBV_EVENT_QP_LAST_WQE_REACHED);
	igt_assert_eq(__set_state(&b, IBV_QPS_ERR), 0);
	usleep(100000);
	igt_assert_eq(take_event(&b), NONE);
	/* What is in the shared queue stays there for others. */
	igt_assert(is_idle(b.rcq));
	connect_ends(&a, &b);
	igt_assert_eq(send_bytes(&a, 1, 8), 0);
	expect(b.rcq, &b, 56, IBV_WC_SUCCESS);
	igt_assert_eq(ibv_dereg_mr(none), 0);
	close_end(&a);
	close_end(&b);
}

static enum ibv_wc_status datagram(struct end *e, uint32_t qpn, uint32_t qkey)
{
	struct ibv_sge sge = { (uintptr_t)e->mem, 8, e->mr->lkey };
	struct ibv_send_wr wr = {
		.wr_id = 1, .opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1,
		.wr.ud = { .ah = e->ah, .remote_qpn = qpn, .remote_qkey = qkey },
	};

	return do_send(e, &wr);
}

static void test_datagrams(void)
{
	struct end_want want = { .type = UD, .apart = true };
	struct end a, b, rc;
	struct ibv_wc wc;

	open_end_as(&a, &want);
	open_end_as(&b, &want);
	open_end(&rc);
	connect_ends(&a, &b);
	connect_ends(&rc, &rc);
	post_recv(&b, 55, 4096, b.mr->lkey);
	post_recv(&rc, 56, 4096, rc.mr->lkey);
	igt_assert_eq(datagram(&a, b.qp->qp_num, QKEY + 1), IBV_WC_SUCCESS);
	igt_assert_eq(datagram(&a, b.qp->qp_num + 1000, QKEY), IBV_WC_SUCCESS);
	igt_assert_eq(datagram(&a, 0xffffff, QKEY), IBV_WC_SUCCESS);
	igt_assert_eq(datagram(&a, 0, QKEY), IBV_WC_SUCCESS);
	igt_assert_eq(datagram(&a, rc.qp->qp_num, QKEY), IBV_WC_SUCCESS);
	igt_assert(is_idle(b.rcq) && is_idle(rc.rcq));
	/* With its high bit, the key is that of the sender's own queue pair. */
	igt_assert_eq(datagram(&a, b.qp->qp_num, 1U << 31), IBV_WC_SUCCESS);
	wc = wait_wc_of(b.rcq);
	igt_assert_eq_u64(wc.wr_id, 55);
	igt_assert_eq(wc.byte_len, 48);
	igt_assert_eq(wc.src_qp, a.qp->qp_num);
	/* Nobody waits for it. */
	igt_assert_eq(datagram(&a, b.qp->qp_num, QKEY), IBV_WC_SUCCESS);
	igt_assert_eq(state_of(&a), IBV_QPS_RTS);
	igt_assert_eq(state_of(&b), IBV_QPS_RTS);
	igt_assert_eq(state_of(&rc), IBV_QPS_RTS);
	igt_assert_eq(take_event(&b), NONE);
	igt_assert_eq(take_event(&rc), NONE);
	close_end(&a);
	close_end(&b);
	close_end(&rc);
}

static enum ibv_wc_status rdma_with(struct end *e, uint64_t addr, uint32_t lkey,
				    enum ibv_wr_opcode opcode, struct end *to, uint32_t rkey)
{
	struct ibv_sge sge = { addr, 8, lkey };
	struct ibv_send_wr wr = {
		.opcode = opcode, .sg_list = &sge, .num_sge = 1,
		.wr.rdma = { rkey == to->mr->rkey ? (uintptr_t)to->mem : 0, rkey },
	};

	return do_send(e, &wr);
}

static void test_revoked(void)
{
	struct movable ma, mb;
	struct end a, b;

	require_dynamic();
	open_pair(&a, &b);
	ma = make_movable(fd, &a);
	mb = make_movable(fd, &b);
	/* The control. */
	igt_assert_eq(rdma_with(&a, 0, ma.mr->lkey, IBV_WR_RDMA_WRITE, &b, mb.mr->rkey), 0);
	end_buffer(&mb);
	igt_assert_eq(rdma_with(&a, 0, ma.mr->lkey, IBV_WR_RDMA_WRITE, &b, mb.mr->rkey),
		      IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(state_of(&b), IBV_QPS_ERR);
	igt_assert_eq(take_event(&b), IBV_EVENT_QP_ACCESS_ERR);
	connect_ends(&a, &b);
	igt_assert_eq(rdma_with(&a, 0, ma.mr->lkey, IBV_WR_RDMA_READ, &b, mb.mr->rkey),
		      IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(take_event(&b), IBV_EVENT_QP_ACCESS_ERR);
	/* Other regions go on. */
	connect_ends(&a, &b);
	igt_assert_eq(rdma_with(&a, 0, ma.mr->lkey, IBV_WR_RDMA_WRITE, &b, b.mr->rkey), 0);
	end_buffer(&ma);
	igt_assert_eq(rdma_with(&a, 0, ma.mr->lkey, IBV_WR_RDMA_WRITE, &b, b.mr->rkey),
		      IBV_WC_LOC_PROT_ERR);
	igt_assert_eq(state_of(&a), IBV_QPS_ERR);
	igt_assert_eq(state_of(&b), IBV_QPS_RTS);
	connect_ends(&a, &b);
	igt_assert_eq(rdma_with(&a, 0, ma.mr->lkey, IBV_WR_RDMA_READ, &b, b.mr->rkey),
		      IBV_WC_LOC_PROT_ERR);
	igt_assert_eq(take_event(&b), NONE);
	igt_assert_eq(take_event(&a), NONE);
	free_movable(&ma);
	free_movable(&mb);
	close_end(&a);
	close_end(&b);
}

/* Which events of the queue pair, and of the completion queue, have come; as bits. */
static int collect_events(struct end *e)
{
	int event, all = 0;

	usleep(100000);
	while ((event = take_event(e)) != NONE) {
		igt_assert_f(!(all & 1 << event), "event %d came twice\n", event);
		all |= 1 << event;
	}
	return all;
}

#define OVERRUN	(1 << IBV_EVENT_CQ_ERR | 1 << IBV_EVENT_QP_FATAL)

static void test_cq_overrun(void)
{
	struct end_want few = { .cqe = 4, .apart = true }, want = { .apart = true };
	struct ibv_sge sge;
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE, .num_sge = 1 };
	struct end a, b;
	int i, n;

	/* That of the sender. */
	open_end_as(&a, &few);
	open_end_as(&b, &want);
	connect_ends(&a, &b);
	sge = (struct ibv_sge){ (uintptr_t)a.mem, 8, a.mr->lkey };
	wr.sg_list = &sge;
	wr.wr.rdma.remote_addr = (uintptr_t)b.mem;
	wr.wr.rdma.rkey = b.mr->rkey;
	for (i = 0; i < 10; i++)
		igt_assert_eq(__post(&a, &wr), 0);
	wait_state(&a, IBV_QPS_ERR);
	igt_assert_eq(collect_events(&a), OVERRUN);
	igt_assert_eq(state_of(&b), IBV_QPS_RTS);
	for (n = 0; ibv_poll_cq(a.cq, 1, &(struct ibv_wc){}) == 1;)
		n++;
	igt_assert_eq(n, 4);
	close_end(&a);
	close_end(&b);

	/* That of the receiver: what it was not told of was not received. */
	open_end_as(&a, &want);
	open_end_as(&b, &few);
	connect_ends(&a, &b);
	for (i = 0; i < 6; i++)
		post_recv(&b, i, 64, b.mr->lkey);
	for (i = 0; i < 4; i++)
		igt_assert_eq(send_bytes(&a, i, 8), 0);
	igt_assert_neq(send_bytes(&a, 4, 8), 0);
	igt_assert_eq(state_of(&a), IBV_QPS_ERR);
	igt_assert_eq(state_of(&b), IBV_QPS_ERR);
	igt_assert_eq(collect_events(&b), OVERRUN);
	igt_assert_eq(collect_events(&a), 0);
	close_end(&a);
	close_end(&b);
}

static void check_gone(struct end *e)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RESET };
	struct ibv_qp_init_attr init;
	struct ibv_sge sge = { (uintptr_t)e->mem, 8, e->mr->lkey };
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE, .sg_list = &sge, .num_sge = 1 };

	igt_assert_eq(wait_event(e), IBV_EVENT_DEVICE_FATAL);
	igt_assert_eq(ibv_modify_qp(e->qp, &attr, IBV_QP_STATE), EIO);
	igt_assert_eq(ibv_query_qp(e->qp, &attr, IBV_QP_STATE, &init), EIO);
	igt_assert(!ibv_reg_mr(e->pd, e->mem, SIZE, ALL));
	igt_assert(!ibv_alloc_pd(e->ctx));
	/* Nobody looks at the queue any more, and the kernel says so. */
	igt_assert_eq(__post(e, &wr), EIO);
	igt_assert(is_idle(e->cq));
}

/* A request that waits for a receive request: the kernel is going to look at the queue. */
static void post_waiting(struct end *e, struct end *to)
{
	struct ibv_sge sge = { (uintptr_t)e->mem, 8, e->mr->lkey };
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1 };
	struct ibv_qp_attr attr = attr_of(e, to);

	attr.rnr_retry = 7;
	/* The other end may be gone a while before this one is. */
	attr.timeout = 0;
	igt_assert_eq(__bring_to(e, attr, IBV_QPS_RTS), 0);
	igt_assert_eq(__post(e, &wr), 0);
	usleep(100000);
}

static void test_posted_in_error(void)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = {
		.wr_id = 2, .opcode = IBV_WR_RDMA_WRITE, .sg_list = &sge, .num_sge = 1,
	};
	struct ibv_wc wc;
	struct end a, b;
	int i;

	open_pair(&a, &b);
	post_waiting(&a, &b);
	igt_assert_eq(__set_state(&a, IBV_QPS_ERR), 0);
	igt_assert_eq(wait_wc(&a).status, IBV_WC_WR_FLUSH_ERR);
	sge = (struct ibv_sge){ (uintptr_t)a.mem, 8, a.mr->lkey };
	for (i = 0; i < 3; i++) {
		usleep(50000);
		igt_assert_eq(__post(&a, &wr), 0);
		wc = wait_wc(&a);
		igt_assert_eq(wc.status, IBV_WC_WR_FLUSH_ERR);
		igt_assert_eq_u64(wc.wr_id, 2);
	}
	close_end(&a);
	close_end(&b);
}

static void test_gone(void)
{
	char function[64];
	struct end a, b;

	igt_require(bound_function(VRNIC_DRIVER, function));
	open_pair(&a, &b);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)b.mem, b.mr->rkey, SIZE), 0);
	post_waiting(&a, &b);
	close(nic);
	driver_write(VRNIC_DRIVER, "unbind", function);
	check_gone(&a);
	check_gone(&b);
	/* What is left of them can be given back. */
	close_end(&a);
	close_end(&b);
	bind_again(VRNIC_DRIVER, function);
	nic = vrnic_open();
	open_pair(&a, &b);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)b.mem, b.mr->rkey, SIZE), 0);
	close_end(&a);
	close_end(&b);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		require_verbs();
	}

	igt_describe("Each error, at both ends.");
	igt_subtest("requests")
		test_requests();
	igt_describe("The ring is not trusted.");
	igt_subtest("malformed")
		test_malformed();
	igt_describe("No way but those of the figure.");
	igt_subtest("transitions")
		test_transitions();
	igt_describe("No attribute too many, too few, or too large.");
	igt_subtest("masks")
		test_masks();
	igt_describe("When requests are taken.");
	igt_subtest("posting")
		test_posting();
	igt_describe("What there is no room for.");
	igt_subtest("limits")
		test_limits();
	igt_describe("A receiver that is not ready.");
	igt_subtest("rnr")
		test_rnr();
	igt_describe("A receiver that is silent.");
	igt_subtest("retry")
		test_retry();
	igt_describe("A receiver that is no more.");
	igt_subtest("peer-killed")
		test_peer_killed();
	igt_describe("A sender that does not finish.");
	igt_subtest("unfinished")
		test_unfinished();
	igt_describe("A buffer that is on its way.");
	igt_subtest("waits")
		test_waits();
	igt_describe("Draining ends when it is done.");
	igt_subtest("drained")
		test_drained();
	igt_describe("Who is not ready to send is told of the first message.");
	igt_subtest("established")
		test_established();
	igt_describe("A shared queue that runs low.");
	igt_subtest("srq-limit")
		test_srq_limit();
	igt_describe("The last request of a shared queue.");
	igt_subtest("last-wqe")
		test_last_wqe();
	igt_describe("Datagrams for nobody.");
	igt_subtest("datagrams")
		test_datagrams();
	igt_describe("A region that has ended.");
	igt_subtest("revoked")
		test_revoked();
	igt_describe("Completions without room.");
	igt_subtest("cq-overrun")
		test_cq_overrun();
	igt_describe("Whoever waits for the last one to be flushed.");
	igt_subtest("posted-in-error")
		test_posted_in_error();
	igt_describe("A device that has left.");
	igt_subtest("gone")
		test_gone();

	igt_fixture {
		close(nic);
		close(fd);
	}
}
