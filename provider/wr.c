// SPDX-License-Identifier: MIT
/* ibv_wr_*: requests that are written to the queue as they are described. */
#include <errno.h>
#include <string.h>

#include "vrnic.h"

static struct vrnic_qp *ex(struct ibv_qp_ex *qp)
{
	return container_of(qp, struct vrnic_qp, base.qp_ex);
}

static void wr_start(struct ibv_qp_ex *ibqp)
{
	struct vrnic_qp *qp = ex(ibqp);

	pthread_spin_lock(&qp->sq.lock);
	qp->wr_pos = qp->sq.pos;
	qp->wr_now = NULL;
	qp->wr_error = qp->base.qp.state >= IBV_QPS_RTS ? 0 : EINVAL;
}

static int wr_complete(struct ibv_qp_ex *ibqp)
{
	struct vrnic_qp *qp = ex(ibqp);
	int ret = qp->wr_error;
	bool call = false;

	if (!ret && qp->wr_pos != qp->sq.pos)
		call = ring_publish(&qp->sq, qp->wr_pos);
	pthread_spin_unlock(&qp->sq.lock);
	return call ? vrnic_ring_bell(&qp->base.qp) : ret;
}

static void wr_abort(struct ibv_qp_ex *ibqp)
{
	pthread_spin_unlock(&ex(ibqp)->sq.lock);
}

/* After an error there is nothing to write to until the next start. */
static struct vrnic_verbs_send *begin(struct ibv_qp_ex *ibqp, uint32_t opcode)
{
	struct vrnic_qp *qp = ex(ibqp);

	if (!qp->wr_error && sq_is_full(qp, qp->wr_pos))
		qp->wr_error = ENOMEM;
	qp->wr_now = NULL;
	if (qp->wr_error)
		return NULL;
	qp->wr_now = ring_slot(&qp->sq, qp->wr_pos++);
	*qp->wr_now = (struct vrnic_verbs_send) {
		.wr_id = ibqp->wr_id,
		.opcode = opcode,
		.flags = ibqp->wr_flags,
	};
	return qp->wr_now;
}

static void begin_rdma(struct ibv_qp_ex *ibqp, uint32_t opcode, uint32_t rkey, uint64_t addr,
		       __be32 imm)
{
	struct vrnic_verbs_send *send = begin(ibqp, opcode);

	if (!send)
		return;
	send->rkey = rkey;
	send->remote_addr = addr;
	send->imm = imm;
}

static void wr_rdma_write(struct ibv_qp_ex *qp, uint32_t rkey, uint64_t addr)
{
	begin_rdma(qp, IBV_WR_RDMA_WRITE, rkey, addr, 0);
}

static void wr_rdma_write_imm(struct ibv_qp_ex *qp, uint32_t rkey, uint64_t addr, __be32 imm)
{
	begin_rdma(qp, IBV_WR_RDMA_WRITE_WITH_IMM, rkey, addr, imm);
}

static void wr_rdma_read(struct ibv_qp_ex *qp, uint32_t rkey, uint64_t addr)
{
	begin_rdma(qp, IBV_WR_RDMA_READ, rkey, addr, 0);
}

static void begin_atomic(struct ibv_qp_ex *qp, uint32_t opcode, uint32_t rkey, uint64_t addr,
			 uint64_t compare_add, uint64_t swap)
{
	struct vrnic_verbs_send *send = begin(qp, opcode);

	if (!send)
		return;
	send->rkey = rkey;
	send->remote_addr = addr;
	send->compare_add = compare_add;
	send->swap = swap;
}

static void wr_atomic_cmp_swp(struct ibv_qp_ex *qp, uint32_t rkey, uint64_t addr,
			      uint64_t compare, uint64_t swap)
{
	begin_atomic(qp, IBV_WR_ATOMIC_CMP_AND_SWP, rkey, addr, compare, swap);
}

static void wr_atomic_fetch_add(struct ibv_qp_ex *qp, uint32_t rkey, uint64_t addr, uint64_t add)
{
	begin_atomic(qp, IBV_WR_ATOMIC_FETCH_AND_ADD, rkey, addr, add, 0);
}

static void wr_send(struct ibv_qp_ex *qp)
{
	begin(qp, IBV_WR_SEND);
}

static void wr_send_imm(struct ibv_qp_ex *qp, __be32 imm)
{
	struct vrnic_verbs_send *send = begin(qp, IBV_WR_SEND_WITH_IMM);

	if (send)
		send->imm = imm;
}

static void wr_send_inv(struct ibv_qp_ex *qp, uint32_t rkey)
{
	struct vrnic_verbs_send *send = begin(qp, IBV_WR_SEND_WITH_INV);

	if (send)
		send->invalidate_rkey = rkey;
}

static void wr_local_inv(struct ibv_qp_ex *qp, uint32_t rkey)
{
	struct vrnic_verbs_send *send = begin(qp, IBV_WR_LOCAL_INV);

	if (send)
		send->invalidate_rkey = rkey;
}

static void wr_bind_mw(struct ibv_qp_ex *qp, struct ibv_mw *mw, uint32_t rkey,
		       const struct ibv_mw_bind_info *info)
{
	struct vrnic_verbs_send *send = begin(qp, IBV_WR_BIND_MW);

	if (send)
		vrnic_put_bind(send, mw, rkey, info);
}

static void wr_set_ud_addr(struct ibv_qp_ex *qp, struct ibv_ah *ah, uint32_t qpn, uint32_t qkey)
{
	struct vrnic_verbs_send *send = ex(qp)->wr_now;

	if (!send)
		return;
	send->remote_qpn = qpn;
	send->remote_qkey = qkey;
	send->ah = to_ah(ah)->number;
}

static void wr_set_sge_list(struct ibv_qp_ex *ibqp, size_t count, const struct ibv_sge *sge)
{
	struct vrnic_qp *qp = ex(ibqp);
	size_t i;

	if (!qp->wr_now)
		return;
	if (count > qp->max_send_sge) {
		qp->wr_error = EINVAL;
		return;
	}
	for (i = 0; i < count; i++)
		qp->wr_now->sge[i] = (struct vrnic_verbs_sge) {
			.addr = sge[i].addr,
			.length = sge[i].length,
			.lkey = sge[i].lkey,
		};
	qp->wr_now->num_sge = count;
}

static void wr_set_sge(struct ibv_qp_ex *qp, uint32_t lkey, uint64_t addr, uint32_t length)
{
	struct ibv_sge sge = { .addr = addr, .length = length, .lkey = lkey };

	wr_set_sge_list(qp, 1, &sge);
}

static void wr_set_inline_data_list(struct ibv_qp_ex *ibqp, size_t count,
				    const struct ibv_data_buf *buf)
{
	struct vrnic_qp *qp = ex(ibqp);
	size_t i, len = 0;

	if (!qp->wr_now)
		return;
	for (i = 0; i < count; i++) {
		if (buf[i].length > qp->max_inline - len) {
			qp->wr_error = EINVAL;
			return;
		}
		memcpy((char *)qp->wr_now->sge + len, buf[i].addr, buf[i].length);
		len += buf[i].length;
	}
	qp->wr_now->flags |= IBV_SEND_INLINE;
	qp->wr_now->inline_len = len;
}

static void wr_set_inline_data(struct ibv_qp_ex *qp, void *addr, size_t length)
{
	struct ibv_data_buf buf = { .addr = addr, .length = length };

	wr_set_inline_data_list(qp, 1, &buf);
}

void vrnic_set_wr_ops(struct vrnic_qp *qp)
{
	struct ibv_qp_ex *ops = &qp->base.qp_ex;

	ops->wr_start = wr_start;
	ops->wr_complete = wr_complete;
	ops->wr_abort = wr_abort;
	ops->wr_rdma_write = wr_rdma_write;
	ops->wr_rdma_write_imm = wr_rdma_write_imm;
	ops->wr_rdma_read = wr_rdma_read;
	ops->wr_atomic_cmp_swp = wr_atomic_cmp_swp;
	ops->wr_atomic_fetch_add = wr_atomic_fetch_add;
	ops->wr_send = wr_send;
	ops->wr_send_imm = wr_send_imm;
	ops->wr_send_inv = wr_send_inv;
	ops->wr_local_inv = wr_local_inv;
	ops->wr_bind_mw = wr_bind_mw;
	ops->wr_set_ud_addr = wr_set_ud_addr;
	ops->wr_set_sge = wr_set_sge;
	ops->wr_set_sge_list = wr_set_sge_list;
	ops->wr_set_inline_data = wr_set_inline_data;
	ops->wr_set_inline_data_list = wr_set_inline_data_list;
}
