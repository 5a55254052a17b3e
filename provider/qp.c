// SPDX-License-Identifier: MIT
/* Queue pairs and shared receive queues: posting is writing to memory, and rarely a call. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vrnic.h"

struct create_qp_resp {
	struct ib_uverbs_create_qp_resp base;
	struct vrnic_verbs_create_qp_resp own;
};

struct create_qp_ex_resp {
	struct ib_uverbs_ex_create_qp_resp base;
	struct vrnic_verbs_create_qp_resp own;
};

struct create_srq_resp {
	struct ib_uverbs_create_srq_resp base;
	struct vrnic_verbs_create_srq_resp own;
};

/* The write command without any request; it differs by its number only. */
struct bell {
	struct ib_uverbs_cmd_hdr hdr;
	struct ib_uverbs_post_send call;
};

/* The requests are in the queue: who is told that they are not posts them again. */
static bool is_passing(int error)
{
	return error == ENOMEM || error == EINTR || error == EAGAIN || error == EBUSY;
}

static int call_kernel(struct ibv_qp *qp, uint32_t command)
{
	struct ib_uverbs_post_send_resp resp;
	struct bell bell = {
		.hdr = {
			.command = command,
			.in_words = sizeof(bell) / 4,
			.out_words = sizeof(resp) / 4,
		},
		.call = {
			.response = (uintptr_t)&resp,
			.qp_handle = qp->handle,
			.wqe_size = command == IB_USER_VERBS_CMD_POST_SEND ?
				    sizeof(struct ib_uverbs_send_wr) :
				    sizeof(struct ib_uverbs_recv_wr),
		},
	};

	while (write(qp->context->cmd_fd, &bell, sizeof(bell)) != sizeof(bell))
		if (!is_passing(errno))
			return errno;
	return 0;
}

int vrnic_ring_bell(struct ibv_qp *qp)
{
	return call_kernel(qp, IB_USER_VERBS_CMD_POST_SEND);
}

static void free_qp(struct vrnic_qp *qp)
{
	ring_unmap(&qp->sq);
	ring_unmap(&qp->rq);
	free(qp);
}

static int finish_qp(struct vrnic_qp *qp, struct ibv_context *context, struct ibv_qp_cap *cap,
		     const struct vrnic_verbs_create_qp_resp *own)
{
	int ret = ring_map(&qp->sq, context->cmd_fd, &own->sq);

	if (!ret && own->rq.slots)
		ret = ring_map(&qp->rq, context->cmd_fd, &own->rq);
	if (ret) {
		ibv_cmd_destroy_qp(&qp->base.qp);
		return ret;
	}
	qp->sq.head->cookie = (uintptr_t)qp;
	qp->max_send_sge = cap->max_send_sge;
	qp->max_recv_sge = cap->max_recv_sge;
	qp->max_inline = cap->max_inline_data;
	return 0;
}

struct ibv_qp *vrnic_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	struct vrnic_qp *qp = calloc(1, sizeof(*qp));
	struct create_qp_resp resp = {};
	struct ibv_create_qp cmd;
	int ret;

	if (!qp)
		return NULL;
	qp->sig_all = attr->sq_sig_all;
	ret = ibv_cmd_create_qp(pd, &qp->base.qp, attr, &cmd, sizeof(cmd), &resp.base,
				sizeof(resp));
	if (!ret)
		ret = finish_qp(qp, pd->context, &attr->cap, &resp.own);
	if (ret) {
		free_qp(qp);
		errno = ret;
		return NULL;
	}
	return &qp->base.qp;
}

struct ibv_qp *vrnic_create_qp_ex(struct ibv_context *context, struct ibv_qp_init_attr_ex *attr)
{
	bool ops = attr->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
	struct create_qp_ex_resp resp = {};
	struct ibv_create_qp_ex cmd = {};
	struct vrnic_qp *qp;
	int ret;

	if (attr->comp_mask & ~(IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_CREATE_FLAGS |
				IBV_QP_INIT_ATTR_SEND_OPS_FLAGS) ||
	    (ops && attr->send_ops_flags & ~VRNIC_SEND_OPS)) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	qp = calloc(1, sizeof(*qp));
	if (!qp)
		return NULL;
	qp->sig_all = attr->sq_sig_all;
	ret = ibv_cmd_create_qp_ex2(context, &qp->base, attr, &cmd, sizeof(cmd), &resp.base,
				    sizeof(resp));
	if (!ret)
		ret = finish_qp(qp, context, &attr->cap, &resp.own);
	if (ret) {
		free_qp(qp);
		errno = ret;
		return NULL;
	}
	if (ops) {
		vrnic_set_wr_ops(qp);
		qp->base.comp_mask |= VERBS_QP_EX;
	}
	return &qp->base.qp;
}

static void purge(struct ibv_qp *qp)
{
	vrnic_purge_cq(qp->send_cq, qp->qp_num);
	if (qp->recv_cq != qp->send_cq)
		vrnic_purge_cq(qp->recv_cq, qp->qp_num);
}

int vrnic_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	struct ibv_modify_qp cmd = {};
	int ret = ibv_cmd_modify_qp(qp, attr, mask, &cmd, sizeof(cmd));

	if (!ret && mask & IBV_QP_STATE && attr->qp_state == IBV_QPS_RESET) {
		purge(qp);
		ring_reset(&to_qp(qp)->sq);
		to_qp(qp)->sent = 0;
		ring_reset(&to_qp(qp)->rq);
	}
	return ret;
}

int vrnic_query_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask,
		   struct ibv_qp_init_attr *init)
{
	struct ibv_query_qp cmd;

	return ibv_cmd_query_qp(qp, attr, mask, init, &cmd, sizeof(cmd));
}

int vrnic_destroy_qp(struct ibv_qp *qp)
{
	int ret = ibv_cmd_destroy_qp(qp);

	if (ret)
		return ret;
	purge(qp);
	free_qp(to_qp(qp));
	return 0;
}

static void put_sges(struct vrnic_verbs_sge *to, const struct ibv_sge *from, int count)
{
	int i;

	for (i = 0; i < count; i++)
		to[i] = (struct vrnic_verbs_sge) {
			.addr = from[i].addr,
			.length = from[i].length,
			.lkey = from[i].lkey,
		};
}

static int put_inline(const struct vrnic_qp *qp, struct vrnic_verbs_send *send,
		      const struct ibv_send_wr *wr)
{
	char *to = (char *)send->sge;
	uint32_t len = 0;
	int i;

	for (i = 0; i < wr->num_sge; i++) {
		if (wr->sg_list[i].length > qp->max_inline - len)
			return EINVAL;
		memcpy(to + len, (void *)(uintptr_t)wr->sg_list[i].addr, wr->sg_list[i].length);
		len += wr->sg_list[i].length;
	}
	send->inline_len = len;
	return 0;
}

void vrnic_put_bind(struct vrnic_verbs_send *send, const struct ibv_mw *mw, uint32_t rkey,
		    const struct ibv_mw_bind_info *info)
{
	send->rkey = rkey;
	send->remote_addr = info->addr;
	send->mw_length = info->length;
	send->mw_rkey = mw->rkey;
	send->mr_lkey = info->mr ? info->mr->lkey : 0;
	send->mw_access = info->mw_access_flags;
}

static int put_operation(struct vrnic_qp *qp, struct vrnic_verbs_send *send,
			 const struct ibv_send_wr *wr)
{
	switch (wr->opcode) {
	case IBV_WR_LOCAL_INV:
	case IBV_WR_SEND_WITH_INV:
		send->invalidate_rkey = wr->invalidate_rkey;
		return 0;
	case IBV_WR_BIND_MW:
		vrnic_put_bind(send, wr->bind_mw.mw, wr->bind_mw.rkey, &wr->bind_mw.bind_info);
		return 0;
	case IBV_WR_SEND_WITH_IMM:
		send->imm = wr->imm_data;
		/* fallthrough */
	case IBV_WR_SEND:
		if (qp->base.qp.qp_type != IBV_QPT_UD)
			return 0;
		send->remote_qpn = wr->wr.ud.remote_qpn;
		send->remote_qkey = wr->wr.ud.remote_qkey;
		send->ah = to_ah(wr->wr.ud.ah)->number;
		return 0;
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		send->imm = wr->imm_data;
		/* fallthrough */
	case IBV_WR_RDMA_WRITE:
	case IBV_WR_RDMA_READ:
		send->remote_addr = wr->wr.rdma.remote_addr;
		send->rkey = wr->wr.rdma.rkey;
		return 0;
	case IBV_WR_ATOMIC_CMP_AND_SWP:
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		send->remote_addr = wr->wr.atomic.remote_addr;
		send->rkey = wr->wr.atomic.rkey;
		send->compare_add = wr->wr.atomic.compare_add;
		send->swap = wr->wr.atomic.swap;
		return 0;
	default:
		return EINVAL;
	}
}

static int put_send(struct vrnic_qp *qp, struct vrnic_verbs_send *send,
		    const struct ibv_send_wr *wr)
{
	if (wr->num_sge < 0 || (uint32_t)wr->num_sge > qp->max_send_sge)
		return EINVAL;
	*send = (struct vrnic_verbs_send) {
		.wr_id = wr->wr_id,
		.opcode = wr->opcode,
		.flags = wr->send_flags,
	};
	if (wr->send_flags & IBV_SEND_INLINE)
		return put_inline(qp, send, wr) ?: put_operation(qp, send, wr);
	send->num_sge = wr->num_sge;
	put_sges(send->sge, wr->sg_list, wr->num_sge);
	return put_operation(qp, send, wr);
}

static bool can_send(const struct ibv_qp *qp)
{
	return qp->state >= IBV_QPS_RTS;
}

int vrnic_post_send(struct ibv_qp *ibqp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	struct vrnic_qp *qp = to_qp(ibqp);
	struct ibv_send_wr *first = wr;
	bool call = false;
	uint32_t pos;
	int ret = can_send(ibqp) ? 0 : EINVAL;

	pthread_spin_lock(&qp->sq.lock);
	for (pos = qp->sq.pos; wr && !ret; wr = wr->next) {
		ret = sq_is_full(qp, pos) ? ENOMEM :
					    put_send(qp, ring_slot(&qp->sq, pos), wr);
		if (ret)
			break;
		pos++;
	}
	*bad = wr;
	if (pos != qp->sq.pos)
		call = ring_publish(&qp->sq, pos);
	pthread_spin_unlock(&qp->sq.lock);
	if (call && !ret) {
		ret = vrnic_ring_bell(ibqp);
		*bad = first;
	} else if (call) {
		vrnic_ring_bell(ibqp);
	}
	return ret;
}

/* Of type 1; the others are bound by requests of their owner's. */
int vrnic_bind_mw(struct ibv_qp *qp, struct ibv_mw *mw, struct ibv_mw_bind *bind)
{
	struct ibv_send_wr wr = {
		.wr_id = bind->wr_id,
		.opcode = IBV_WR_BIND_MW,
		.send_flags = bind->send_flags,
		.bind_mw = {
			.mw = mw,
			.rkey = ibv_inc_rkey(mw->rkey),
			.bind_info = bind->bind_info,
		},
	}, *bad;
	int ret;

	if (mw->type != IBV_MW_TYPE_1)
		return EINVAL;
	ret = vrnic_post_send(qp, &wr, &bad);
	if (!ret)
		mw->rkey = wr.bind_mw.rkey;
	return ret;
}

static int put_recv(struct vrnic_ring *ring, uint32_t pos, const struct ibv_recv_wr *wr,
		    uint32_t max_sge)
{
	struct vrnic_verbs_recv *recv = ring_slot(ring, pos);

	if (wr->num_sge < 0 || (uint32_t)wr->num_sge > max_sge)
		return EINVAL;
	recv->wr_id = wr->wr_id;
	recv->num_sge = wr->num_sge;
	recv->pad = 0;
	put_sges(recv->sge, wr->sg_list, wr->num_sge);
	return 0;
}

static int post_to(struct vrnic_ring *ring, uint32_t max_sge, struct ibv_recv_wr *wr,
		   struct ibv_recv_wr **bad, bool *call)
{
	uint32_t pos;
	int ret = 0;

	pthread_spin_lock(&ring->lock);
	for (pos = ring->pos; wr; wr = wr->next) {
		ret = ring_is_full(ring, pos) ? ENOMEM : put_recv(ring, pos, wr, max_sge);
		if (ret)
			break;
		pos++;
	}
	*bad = wr;
	*call = pos != ring->pos && ring_publish(ring, pos);
	pthread_spin_unlock(&ring->lock);
	return ret;
}

int vrnic_post_recv(struct ibv_qp *ibqp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	struct vrnic_qp *qp = to_qp(ibqp);
	bool call;
	int ret;

	if (!qp->rq.head || ibqp->state == IBV_QPS_RESET) {
		*bad = wr;
		return EINVAL;
	}
	ret = post_to(&qp->rq, qp->max_recv_sge, wr, bad, &call);
	if (call)
		call_kernel(ibqp, IB_USER_VERBS_CMD_POST_RECV);
	return ret;
}

int vrnic_post_srq_recv(struct ibv_srq *ibsrq, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	struct vrnic_srq *srq = to_srq(ibsrq);
	bool call;

	return post_to(&srq->ring, srq->max_sge, wr, bad, &call);
}

struct ibv_srq *vrnic_create_srq(struct ibv_pd *pd, struct ibv_srq_init_attr *attr)
{
	struct vrnic_srq *srq = calloc(1, sizeof(*srq));
	struct create_srq_resp resp = {};
	struct ibv_create_srq cmd;
	int ret;

	if (!srq)
		return NULL;
	ret = ibv_cmd_create_srq(pd, &srq->base.srq, attr, &cmd, sizeof(cmd), &resp.base,
				 sizeof(resp));
	if (ret)
		goto err_free;
	ret = ring_map(&srq->ring, pd->context->cmd_fd, &resp.own.rq);
	if (ret)
		goto err_destroy;
	srq->max_sge = attr->attr.max_sge;
	return &srq->base.srq;

err_destroy:
	ibv_cmd_destroy_srq(&srq->base.srq);
err_free:
	free(srq);
	errno = ret;
	return NULL;
}

int vrnic_modify_srq(struct ibv_srq *srq, struct ibv_srq_attr *attr, int mask)
{
	struct ibv_modify_srq cmd;

	return ibv_cmd_modify_srq(srq, attr, mask, &cmd, sizeof(cmd));
}

int vrnic_query_srq(struct ibv_srq *srq, struct ibv_srq_attr *attr)
{
	struct ibv_query_srq cmd;

	return ibv_cmd_query_srq(srq, attr, &cmd, sizeof(cmd));
}

int vrnic_destroy_srq(struct ibv_srq *srq)
{
	int ret = ibv_cmd_destroy_srq(srq);

	if (ret)
		return ret;
	ring_unmap(&to_srq(srq)->ring);
	free(to_srq(srq));
	return 0;
}
