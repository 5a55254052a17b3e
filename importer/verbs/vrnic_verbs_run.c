// SPDX-License-Identifier: GPL-2.0
/*
 * What queue pairs do: send, receive, answer, and fail, as the InfiniBand specification
 * has it (chapters 9.9 and 10.10).
 *
 * Requests are executed one after the other, by who has rung the bell as long as nothing
 * has to be waited for, else by a worker. That does the responder's part as well: there
 * is no wire, and so no order of packets; what a peer would answer by a NAK is a return
 * value. A peer that would be silent is tried again after a while.
 */

#include <linux/jiffies.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "vrnic_engine.h"
#include "vrnic_verbs.h"

/* Requests that run in a row before the worker lets others have the CPU. */
#define VRNIC_IB_BATCH		64
/* How long a worker looks for the next request: less than being woken up takes. */
#define VRNIC_IB_LINGER_NS	20000

/* How often it looks whether a peer has time for it. */
#define VRNIC_IB_TURN_US	20

/* How long a caller goes on with further requests. */
#define VRNIC_IB_CALLER_NS	100000
/* The largest that it executes where a worker would have a CPU of its own. */
#define VRNIC_IB_CALLER_BYTES	SZ_16K

/* Workers that execute just now. */
static atomic_t vrnic_ib_workers = ATOMIC_INIT(0);

/* Beside what a request completes with: it does not yet. */
enum {
	VRNIC_IB_SILENT = 256,	/* the peer does not answer */
	VRNIC_IB_RNR,		/* the peer has nowhere to put it */
	VRNIC_IB_LATER,		/* it would wait: the worker's */
};

static bool vrnic_ib_is_reliable(const struct vrnic_ib_qp *qp)
{
	return qp->ib.qp_type == IB_QPT_RC;
}

static int vrnic_ib_wc_opcode(u32 opcode)
{
	switch (opcode) {
	case IB_WR_RDMA_WRITE:
	case IB_WR_RDMA_WRITE_WITH_IMM:
		return IB_WC_RDMA_WRITE;
	case IB_WR_RDMA_READ:
		return IB_WC_RDMA_READ;
	case IB_WR_ATOMIC_CMP_AND_SWP:
		return IB_WC_COMP_SWAP;
	case IB_WR_ATOMIC_FETCH_AND_ADD:
		return IB_WC_FETCH_ADD;
	case IB_WR_LOCAL_INV:
		return IB_WC_LOCAL_INV;
	case IB_UVERBS_WR_BIND_MW:
		return IB_UVERBS_WC_BIND_MW;
	default:
		return IB_WC_SEND;
	}
}

static bool vrnic_ib_is_atomic(u32 opcode)
{
	return opcode == IB_WR_ATOMIC_CMP_AND_SWP || opcode == IB_WR_ATOMIC_FETCH_AND_ADD;
}

/* What has nothing to do with the peer. */
static bool vrnic_ib_is_local(u32 opcode)
{
	return opcode == IB_WR_LOCAL_INV || opcode == IB_UVERBS_WR_BIND_MW;
}

/* Four bytes beside the message: the data, or a key. */
static bool vrnic_ib_has_word(u32 opcode)
{
	return opcode == IB_WR_SEND_WITH_IMM || opcode == IB_WR_RDMA_WRITE_WITH_IMM ||
	       opcode == IB_WR_SEND_WITH_INV || opcode == IB_WR_LOCAL_INV;
}

static bool vrnic_ib_has_imm(u32 opcode)
{
	return opcode == IB_WR_SEND_WITH_IMM || opcode == IB_WR_RDMA_WRITE_WITH_IMM;
}

static bool vrnic_ib_opcode_ok(const struct vrnic_ib_qp *qp, u32 opcode)
{
	switch (opcode) {
	case IB_WR_SEND:
	case IB_WR_SEND_WITH_IMM:
		return true;
	case IB_WR_RDMA_WRITE:
	case IB_WR_RDMA_WRITE_WITH_IMM:
	case IB_WR_LOCAL_INV:
	case IB_UVERBS_WR_BIND_MW:
		return qp->ib.qp_type != IB_QPT_UD;
	case IB_WR_SEND_WITH_INV:
		return vrnic_ib_is_reliable(qp);
	case IB_WR_RDMA_READ:
		return vrnic_ib_is_reliable(qp) && qp->attr.max_rd_atomic;
	case IB_WR_ATOMIC_CMP_AND_SWP:
	case IB_WR_ATOMIC_FETCH_AND_ADD:
		return vrnic_ib_is_reliable(qp) && qp->attr.max_rd_atomic &&
		       vrnic_engine_has_atomics(qp->dev->engine);
	default:
		return false;
	}
}

/* Requests come from memory of the client: any bits may be there. */
static bool vrnic_ib_send_ok(const struct vrnic_ib_qp *qp)
{
	const struct vrnic_verbs_send *send = qp->send;
	bool inlined = send->flags & IB_SEND_INLINE;

	if (send->flags & ~(IB_SEND_FENCE | IB_SEND_SIGNALED | IB_SEND_SOLICITED | IB_SEND_INLINE))
		return false;
	if (!vrnic_ib_opcode_ok(qp, send->opcode))
		return false;
	if (!vrnic_ib_has_word(send->opcode) && send->imm)
		return false;
	if (vrnic_ib_is_local(send->opcode))
		return !inlined && !send->inline_len && !send->num_sge;
	if (!inlined)
		return !send->inline_len && send->num_sge <= qp->cap.max_send_sge;
	return !send->num_sge && send->inline_len <= qp->cap.max_inline_data &&
	       send->opcode != IB_WR_RDMA_READ && !vrnic_ib_is_atomic(send->opcode);
}

/* The entries of a request: those of no length need no valid key. */
static int vrnic_ib_add_entries(struct vrnic_list *list, struct ib_pd *pd,
				const struct vrnic_verbs_sge *sge, u32 nr, u32 access)
{
	struct vrnic_mr *mr;
	u32 i;

	for (i = 0; i < nr; i++) {
		if (!sge[i].length)
			continue;
		mr = vrnic_mr_get_by_key(&to_vrnic_pd(pd)->core, sge[i].lkey, false);
		if (!mr)
			return IB_WC_LOC_PROT_ERR;
		vrnic_list_add(list, mr, sge[i].addr, sge[i].length);
		if (access & ~mr->attr.access ||
		    !vrnic_mr_holds(mr, sge[i].addr, sge[i].length))
			return IB_WC_LOC_PROT_ERR;
	}
	return list->len > VRNIC_IB_MAX_MSG ? IB_WC_LOC_LEN_ERR : IB_WC_SUCCESS;
}

static int vrnic_ib_add_inline(struct vrnic_ib_qp *qp)
{
	u32 len = qp->send->inline_len;

	if (!len)
		return IB_WC_SUCCESS;
	memcpy(qp->scratch.cpu, qp->send->sge, len);
	vrnic_list_add_memory(&qp->local, &qp->scratch.map, len);
	return IB_WC_SUCCESS;
}

/* All that the sender can know of without its peer. */
static int vrnic_ib_prepare(struct vrnic_ib_qp *qp)
{
	const struct vrnic_verbs_send *send = qp->send;
	u32 access = 0;
	int status;

	if (!vrnic_ib_send_ok(qp))
		return IB_WC_LOC_QP_OP_ERR;
	if (vrnic_ib_is_datagram(qp) && !vrnic_ib_ah_way(qp, send->ah))
		return IB_WC_LOC_QP_OP_ERR;
	if (send->flags & IB_SEND_INLINE)
		return vrnic_ib_add_inline(qp);

	if (send->opcode == IB_WR_RDMA_READ || vrnic_ib_is_atomic(send->opcode))
		access = VRNIC_MAY_LOCAL_WRITE;
	if (qp->send_dma)
		status = vrnic_ib_add_dma(&qp->local, qp->send_dma, qp->dev->vdev->dev, send->sge,
					  send->num_sge);
	else
		status = vrnic_ib_add_entries(&qp->local, qp->ib.pd, send->sge, send->num_sge,
					      access);
	if (status)
		return status;
	if (vrnic_ib_is_atomic(send->opcode) &&
	    (qp->local.nr != 1 || qp->local.len != sizeof(u64)))
		return IB_WC_LOC_LEN_ERR;
	if (vrnic_ib_is_datagram(qp) && qp->local.len > VRNIC_IB_MAX_DATAGRAM)
		return IB_WC_LOC_LEN_ERR;
	return IB_WC_SUCCESS;
}

/*
 * A datagram is complete before its receiver knows of it: what goes wrong at the sender's
 * side takes no receive request.
 */
static int vrnic_ib_stage(struct vrnic_ib_qp *qp)
{
	struct vrnic_list *staged = &qp->remote;
	struct vrnic_moved moved;
	u64 len = qp->local.len;

	vrnic_list_add_memory(staged, &qp->scratch.map, len);
	moved = vrnic_copy(&qp->mover, staged, &qp->local, len);
	vrnic_list_put(staged);
	vrnic_list_put(&qp->local);
	if (moved.error == -EAGAIN)
		return VRNIC_IB_LATER;
	if (moved.error)
		return moved.error == -ECANCELED ? IB_WC_WR_FLUSH_ERR : IB_WC_LOC_PROT_ERR;
	vrnic_list_add_memory(&qp->local, &qp->scratch.map, len);
	return IB_WC_SUCCESS;
}

/*
 * The responder refuses a request. On a reliable connection that is the end of it at both
 * sides; otherwise nobody notices.
 */
static int vrnic_ib_refuse(struct vrnic_ib_qp *peer, int status, enum ib_event_type event)
{
	lockdep_assert_held(&peer->resp);

	if (vrnic_ib_is_reliable(peer)) {
		vrnic_ib_qp_fail(peer, IB_QPS_ERR);
		vrnic_ib_qp_tell(peer, event);
	}
	return status;
}

/* What a transfer failed of: at the side of the responder, or of the requester. */
static int vrnic_ib_judge(struct vrnic_ib_qp *peer, int error, bool at_peer)
{
	bool access = error == -ENODEV || error == -EFAULT || error == -EACCES;

	if (!error)
		return IB_WC_SUCCESS;
	if (error == -EAGAIN)
		return VRNIC_IB_LATER;
	if (error == -ECANCELED)
		return IB_WC_WR_FLUSH_ERR;
	if (!at_peer)
		return access ? IB_WC_LOC_PROT_ERR : IB_WC_GENERAL_ERR;
	return access ? vrnic_ib_refuse(peer, IB_WC_REM_ACCESS_ERR, IB_EVENT_QP_ACCESS_ERR) :
			vrnic_ib_refuse(peer, IB_WC_REM_OP_ERR, IB_EVENT_QP_FATAL);
}

/* By a key of a region, or of a window. */
static struct vrnic_mr *vrnic_ib_find_remote(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer,
					     u32 access, u64 len)
{
	const struct vrnic_verbs_send *send = qp->send;
	struct vrnic_mr *mr;

	mr = vrnic_mr_get_by_key(&to_vrnic_pd(peer->ib.pd)->core, send->rkey, true);
	if (!mr)
		return vrnic_ib_mw_get(peer, send->rkey, access, send->remote_addr, len);
	if (!(access & ~mr->attr.access) && vrnic_mr_holds(mr, send->remote_addr, len))
		return mr;
	vrnic_mr_put(mr);
	return NULL;
}

static int vrnic_ib_get_remote(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer, u32 access,
			       u64 len)
{
	const struct vrnic_verbs_send *send = qp->send;
	struct vrnic_mr *mr;

	/* Of nothing, neither key nor address is looked at. */
	if (!len)
		return IB_WC_SUCCESS;
	mr = vrnic_ib_find_remote(qp, peer, access, len);
	if (!mr)
		return vrnic_ib_refuse(peer, IB_WC_REM_ACCESS_ERR, IB_EVENT_QP_ACCESS_ERR);
	vrnic_list_add(&qp->remote, mr, send->remote_addr, len);
	return IB_WC_SUCCESS;
}

/* What a queue pair does not answer at all is an invalid request, whatever the key. */
static int vrnic_ib_check_right(struct vrnic_ib_qp *peer, int right)
{
	bool reads = right != IB_ACCESS_REMOTE_WRITE;

	if (peer->attr.qp_access_flags & right && (!reads || peer->attr.max_dest_rd_atomic))
		return IB_WC_SUCCESS;
	return vrnic_ib_refuse(peer, IB_WC_REM_INV_REQ_ERR, IB_EVENT_QP_REQ_ERR);
}

static int vrnic_ib_write(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer)
{
	struct vrnic_moved moved;
	int status;

	status = vrnic_ib_check_right(peer, IB_ACCESS_REMOTE_WRITE);
	if (!status)
		status = vrnic_ib_get_remote(qp, peer, VRNIC_MAY_REMOTE_WRITE, qp->local.len);
	if (status)
		return status;
	moved = vrnic_copy(&qp->mover, &qp->remote, &qp->local, qp->local.len);
	return vrnic_ib_judge(peer, moved.error, moved.at_dst);
}

static int vrnic_ib_read(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer)
{
	struct vrnic_moved moved;
	int status;

	status = vrnic_ib_check_right(peer, IB_ACCESS_REMOTE_READ);
	if (!status)
		status = vrnic_ib_get_remote(qp, peer, VRNIC_MAY_REMOTE_READ, qp->local.len);
	if (status)
		return status;
	moved = vrnic_copy(&qp->mover, &qp->local, &qp->remote, qp->local.len);
	return vrnic_ib_judge(peer, moved.error, !moved.at_dst);
}

static int vrnic_ib_do_atomic(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer)
{
	const struct vrnic_verbs_send *send = qp->send;
	struct vrnic_operand operand = {
		.op = send->opcode == IB_WR_ATOMIC_FETCH_AND_ADD ? VRNIC_WORK_FETCH_ADD :
								   VRNIC_WORK_COMPARE_SWAP,
		.operand = send->compare_add,
		.swap = send->swap,
	};
	struct vrnic_moved moved;
	int status;

	status = vrnic_ib_check_right(peer, IB_ACCESS_REMOTE_ATOMIC);
	if (status)
		return status;
	if (send->remote_addr % sizeof(u64))
		return vrnic_ib_refuse(peer, IB_WC_REM_INV_REQ_ERR, IB_EVENT_QP_REQ_ERR);
	status = vrnic_ib_get_remote(qp, peer, VRNIC_MAY_REMOTE_ATOMIC, sizeof(u64));
	if (status)
		return status;
	/* An iova may be aligned where the memory is not, as far as pages go. */
	if (qp->remote.piece[0].pos % sizeof(u64))
		return vrnic_ib_refuse(peer, IB_WC_REM_INV_REQ_ERR, IB_EVENT_QP_REQ_ERR);
	moved = vrnic_atomic(&qp->mover, &qp->remote, &qp->local, &operand);
	return vrnic_ib_judge(peer, moved.error, moved.at_dst);
}

/* False when there was no room for the completion, which ends the queue pair. */
static bool vrnic_ib_complete(struct vrnic_ib_qp *qp, struct ib_cq *cq,
			      struct vrnic_verbs_cqe *cqe, bool solicited)
{
	cqe->qp_num = qp->ib.qp_num;
	cqe->timestamp_ns = ktime_get_ns();
	if (vrnic_ib_cq_push(to_vrnic_cq(cq), cqe, solicited || cqe->status))
		return true;
	if (vrnic_ib_qp_fail(qp, IB_QPS_ERR))
		vrnic_ib_qp_tell(qp, IB_EVENT_QP_FATAL);
	return false;
}

/* A receive request of @peer, which is in its copy, has ended. */
static bool vrnic_ib_complete_recv(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer, int status)
{
	const struct vrnic_verbs_send *send = qp->send;
	struct vrnic_verbs_cqe cqe = {
		.wr_id = peer->recv->wr_id,
		.status = status,
		.opcode = send->opcode == IB_WR_RDMA_WRITE_WITH_IMM ? IB_WC_RECV_RDMA_WITH_IMM :
								      IB_WC_RECV,
		.byte_len = qp->local.len,
	};

	lockdep_assert_held(&peer->resp);

	if (vrnic_ib_has_imm(send->opcode)) {
		cqe.imm = send->imm;
		cqe.wc_flags |= IB_WC_WITH_IMM;
	} else if (send->opcode == IB_WR_SEND_WITH_INV && !status) {
		cqe.invalidated_rkey = send->invalidate_rkey;
		cqe.wc_flags |= VRNIC_VERBS_WC_WITH_INV;
	}
	if (vrnic_ib_is_datagram(peer)) {
		cqe.byte_len += VRNIC_IB_GRH;
		cqe.src_qp = qp->ib.qp_num;
		cqe.wc_flags |= qp->way.has_head ? IB_WC_GRH : 0;
		cqe.slid = vrnic_ib_is_roce(qp->dev) ? 0 : vrnic_ib_lid(qp->dev);
	}
	/* Who sees the completion sees the state that goes with it. */
	if (status)
		vrnic_ib_qp_fail(peer, IB_QPS_ERR);
	return vrnic_ib_complete(peer, peer->ib.recv_cq, &cqe, send->flags & IB_SEND_SOLICITED);
}

/* The entries of the receive request, which has to have room for so much. */
static int vrnic_ib_add_recv(struct vrnic_ib_qp *peer, u64 len)
{
	struct ib_pd *pd = peer->ib.srq ? peer->ib.srq->pd : peer->ib.pd;
	const struct vrnic_verbs_recv *recv = peer->recv;
	int status;

	if (recv->num_sge > vrnic_ib_rq_of(peer)->max_sge || recv->pad)
		return IB_WC_LOC_QP_OP_ERR;
	if (peer->recv_dma)
		status = vrnic_ib_add_dma(&peer->recv_list, peer->recv_dma, peer->dev->vdev->dev,
					  recv->sge, recv->num_sge);
	else
		status = vrnic_ib_add_entries(&peer->recv_list, pd, recv->sge, recv->num_sge,
					      VRNIC_MAY_LOCAL_WRITE);
	if (status)
		return status;
	return peer->recv_list.len < len ? IB_WC_LOC_LEN_ERR : IB_WC_SUCCESS;
}

/* What a datagram begins with says where it is from; nothing, if its address does not. */
static struct vrnic_moved vrnic_ib_put_head(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer)
{
	BUILD_BUG_ON(sizeof(qp->way.head) != VRNIC_IB_GRH);

	if (!qp->way.has_head) {
		vrnic_list_skip(&peer->recv_list, VRNIC_IB_GRH);
		return (struct vrnic_moved){};
	}
	vrnic_ib_head_finish(&qp->way.head, qp->local.len);
	/* Behind the datagram. */
	memcpy(qp->scratch.cpu + VRNIC_IB_MAX_DATAGRAM, &qp->way.head, VRNIC_IB_GRH);
	vrnic_list_add_memory(&qp->remote, &qp->scratch.map, VRNIC_IB_MAX_DATAGRAM + VRNIC_IB_GRH);
	vrnic_list_skip(&qp->remote, VRNIC_IB_MAX_DATAGRAM);
	return vrnic_copy(&qp->mover, &peer->recv_list, &qp->remote, VRNIC_IB_GRH);
}

static int vrnic_ib_fill_recv(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer, int *recv_status)
{
	bool invalidate = qp->send->opcode == IB_WR_SEND_WITH_INV;
	bool datagram = vrnic_ib_is_datagram(peer);
	struct vrnic_moved moved = {};

	*recv_status = vrnic_ib_add_recv(peer, qp->local.len + (datagram ? VRNIC_IB_GRH : 0));
	if (*recv_status)
		return *recv_status == IB_WC_LOC_LEN_ERR ? IB_WC_REM_INV_REQ_ERR : IB_WC_REM_OP_ERR;

	/* Nothing arrives with a key that can't be taken back. */
	if (invalidate && !vrnic_ib_mw_may_invalidate(peer, qp->send->invalidate_rkey)) {
		*recv_status = IB_WC_MW_BIND_ERR;
		return vrnic_ib_refuse(peer, IB_WC_REM_ACCESS_ERR, IB_EVENT_QP_ACCESS_ERR);
	}

	if (datagram)
		moved = vrnic_ib_put_head(qp, peer);
	if (!moved.error)
		moved = vrnic_copy(&qp->mover, &peer->recv_list, &qp->local, qp->local.len);
	if (!moved.error && invalidate)
		vrnic_ib_mw_invalidate(peer, qp->send->invalidate_rkey);
	if (!moved.error)
		return IB_WC_SUCCESS;
	if (moved.at_dst && moved.error != -ECANCELED && moved.error != -EAGAIN) {
		*recv_status = vrnic_ib_judge(peer, moved.error, false);
		return IB_WC_REM_OP_ERR;
	}
	/* It is not complete yet, or never: the receiver waits for the rest, or another one. */
	peer->recv_held = true;
	return vrnic_ib_judge(peer, moved.error, false);
}

static int vrnic_ib_send(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer)
{
	int status, recv_status;

	if (!vrnic_ib_rq_take(peer))
		return VRNIC_IB_RNR;
	status = vrnic_ib_fill_recv(qp, peer, &recv_status);
	vrnic_list_put(&peer->recv_list);
	if (peer->recv_held)
		return status;
	/* What a receiver can't be told of is not acknowledged: it has failed of that. */
	return vrnic_ib_complete_recv(qp, peer, recv_status) || status ? status : VRNIC_IB_SILENT;
}

/*
 * The receive request comes first: without one, nothing is written. It is used up by a
 * message that has come in full.
 */
static int vrnic_ib_write_with_imm(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer)
{
	int status;

	if (!vrnic_ib_rq_take(peer))
		return VRNIC_IB_RNR;
	status = vrnic_ib_write(qp, peer);
	if (status) {
		peer->recv_held = true;
		return status;
	}
	return vrnic_ib_complete_recv(qp, peer, IB_WC_SUCCESS) ? status : VRNIC_IB_SILENT;
}

static int vrnic_ib_respond_to(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer)
{
	switch (qp->send->opcode) {
	case IB_WR_SEND:
	case IB_WR_SEND_WITH_IMM:
	case IB_WR_SEND_WITH_INV:
		return vrnic_ib_send(qp, peer);
	case IB_WR_RDMA_WRITE:
		return vrnic_ib_write(qp, peer);
	case IB_WR_RDMA_WRITE_WITH_IMM:
		return vrnic_ib_write_with_imm(qp, peer);
	case IB_WR_RDMA_READ:
		return vrnic_ib_read(qp, peer);
	default:
		return vrnic_ib_do_atomic(qp, peer);
	}
}

static bool vrnic_ib_is_receiving(struct vrnic_ib_qp *qp)
{
	switch (vrnic_ib_qp_state(qp)) {
	case IB_QPS_RTR:
	case IB_QPS_RTS:
	case IB_QPS_SQD:
	case IB_QPS_SQE:
		return true;
	default:
		return false;
	}
}

static bool vrnic_ib_takes_datagram(const struct vrnic_ib_qp *qp, const struct vrnic_ib_qp *peer)
{
	u32 qkey = qp->send->remote_qkey;

	/* Keys that are not for everybody are those of the sender's queue pair. */
	if (qkey & BIT(31))
		qkey = qp->attr.qkey;
	return qp->way.dlid == vrnic_ib_lid(peer->dev) && qkey == peer->attr.qkey;
}

/* Each end must have named the other. */
static bool vrnic_ib_is_connected(const struct vrnic_ib_qp *qp, const struct vrnic_ib_qp *peer)
{
	return peer->attr.dest_qp_num == qp->ib.qp_num &&
	       qp->way.dlid == vrnic_ib_lid(peer->dev) &&
	       peer->way.dlid == vrnic_ib_lid(qp->dev);
}

static bool vrnic_ib_reaches(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer)
{
	lockdep_assert_held(&peer->resp);

	if (peer->ib.qp_type != qp->ib.qp_type || !vrnic_ib_is_receiving(peer))
		return false;
	/* There is nothing between networks of two kinds. */
	if (vrnic_ib_is_roce(peer->dev) != vrnic_ib_is_roce(qp->dev))
		return false;
	return vrnic_ib_is_datagram(qp) ? vrnic_ib_takes_datagram(qp, peer) :
					  vrnic_ib_is_connected(qp, peer);
}

/* The first message, when the owner has not made it ready to send yet. */
static void vrnic_ib_hear(struct vrnic_ib_qp *peer)
{
	lockdep_assert_held(&peer->resp);

	if (peer->heard)
		return;
	peer->heard = true;
	if (vrnic_ib_qp_state(peer) == IB_QPS_RTR)
		vrnic_ib_qp_tell(peer, IB_EVENT_COMM_EST);
}

/* In units of 10 us: the specification's table 45. */
static const u16 vrnic_ib_rnr_timer[32] = {
	0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192,
	256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288,
	16384, 24576, 32768, 49152,
};

static unsigned long vrnic_ib_rnr_delay(u8 timer)
{
	/* The first entry is the longest. */
	unsigned int units = timer ? vrnic_ib_rnr_timer[timer] : 65536;

	return max(usecs_to_jiffies(units * 10), 1);
}

/*
 * Of the peers' locks a caller has one only if nobody else has it. A worker waits, as long as its
 * queue pair does not end: whoever has it may be waiting for a third one's buffer.
 */
static bool vrnic_ib_lock_resp(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer)
{
	lockdep_assert_held(&qp->exec);

	while (!mutex_trylock(&peer->resp)) {
		if (qp->mover.now || vrnic_wq_is_stopping(&qp->wq))
			return false;
		usleep_range(VRNIC_IB_TURN_US, 2 * VRNIC_IB_TURN_US);
	}
	return true;
}

static int vrnic_ib_transmit_to(struct vrnic_ib_qp *qp, struct vrnic_ib_qp *peer,
				unsigned long *rnr_delay)
{
	int status = VRNIC_IB_SILENT;

	if (!vrnic_ib_lock_resp(qp, peer))
		return VRNIC_IB_LATER;
	if (vrnic_ib_reaches(qp, peer)) {
		vrnic_ib_hear(peer);
		qp->mover.peer = &peer->wq;
		status = vrnic_ib_respond_to(qp, peer);
		qp->mover.peer = NULL;
	}
	*rnr_delay = vrnic_ib_rnr_delay(peer->attr.min_rnr_timer);
	mutex_unlock(&peer->resp);
	/* It went in the middle of it. */
	if (status == IB_WC_WR_FLUSH_ERR && !vrnic_wq_is_stopping(&qp->wq))
		return VRNIC_IB_SILENT;
	return status;
}

static int vrnic_ib_transmit(struct vrnic_ib_qp *qp, unsigned long *rnr_delay)
{
	u32 qpn = vrnic_ib_is_datagram(qp) ? qp->send->remote_qpn : qp->attr.dest_qp_num;
	struct vrnic_ib_qp *peer;
	int status;

	peer = vrnic_ib_qp_get(qp->way.dlid, qpn);
	if (!peer)
		return VRNIC_IB_SILENT;
	status = vrnic_ib_transmit_to(qp, peer, rnr_delay);
	vrnic_ib_qp_put(peer);
	return status;
}

/* Nobody answers: the local timeout is 4.096 us times a power of two, 0 is no end of it. */
static int vrnic_ib_retry_silent(struct vrnic_ib_qp *qp, unsigned long *delay)
{
	if (!qp->attr.timeout) {
		*delay = HZ;
		return VRNIC_IB_SILENT;
	}
	qp->tries++;
	*delay = nsecs_to_jiffies(4096ULL << qp->attr.timeout) + 1;
	return VRNIC_IB_SILENT;
}

/* Seven is no end of it. */
static int vrnic_ib_retry_rnr(struct vrnic_ib_qp *qp, unsigned long rnr_delay,
			      unsigned long *delay)
{
	if (qp->attr.rnr_retry != 7 && qp->rnr_tries++ >= qp->attr.rnr_retry)
		return IB_WC_RNR_RETRY_EXC_ERR;
	*delay = rnr_delay;
	return VRNIC_IB_RNR;
}

/* Without acknowledgements all is well that was sent; what the sender did wrong is its own. */
static int vrnic_ib_unacknowledged(int status)
{
	switch (status) {
	case IB_WC_LOC_PROT_ERR:
	case IB_WC_GENERAL_ERR:
	case IB_WC_WR_FLUSH_ERR:
		return status;
	default:
		return IB_WC_SUCCESS;
	}
}

static int vrnic_ib_execute_local(struct vrnic_ib_qp *qp)
{
	int status;

	if (qp->send->opcode == IB_UVERBS_WR_BIND_MW)
		return vrnic_ib_mw_bind(qp);
	/* What comes through the window just now is waited for. */
	if (!vrnic_ib_lock_resp(qp, qp))
		return VRNIC_IB_LATER;
	status = vrnic_ib_mw_invalidate(qp, qp->send->invalidate_rkey);
	mutex_unlock(&qp->resp);
	return status;
}

/* With a worker on each other CPU, one more would only take this one away from the caller. */
static u64 vrnic_ib_caller_bytes(void)
{
	unsigned int workers = atomic_read(&vrnic_ib_workers);

	return workers + 1 < num_online_cpus() ? VRNIC_IB_CALLER_BYTES : vrnic_chunk;
}

static int vrnic_ib_execute(struct vrnic_ib_qp *qp, unsigned long *delay)
{
	unsigned long rnr_delay;
	int status;

	/* Its answer has been waited for in vain after each try, the last one among them. */
	if (qp->tries > qp->attr.retry_cnt)
		return IB_WC_RETRY_EXC_ERR;
	status = vrnic_ib_prepare(qp);
	if (!status && qp->mover.now && qp->local.len > vrnic_ib_caller_bytes())
		return VRNIC_IB_LATER;
	if (!status && vrnic_ib_is_datagram(qp) && qp->local.len &&
	    !(qp->send->flags & IB_SEND_INLINE))
		status = vrnic_ib_stage(qp);
	if (status)
		return status;
	if (vrnic_ib_is_local(qp->send->opcode))
		return vrnic_ib_execute_local(qp);
	status = vrnic_ib_transmit(qp, &rnr_delay);
	if (status == VRNIC_IB_LATER)
		return status;
	if (!vrnic_ib_is_reliable(qp))
		return vrnic_ib_unacknowledged(status);
	if (status == VRNIC_IB_SILENT)
		return vrnic_ib_retry_silent(qp, delay);
	qp->tries = 0;
	if (status == VRNIC_IB_RNR)
		return vrnic_ib_retry_rnr(qp, rnr_delay, delay);
	qp->rnr_tries = 0;
	return status;
}

/* A request whose copy is in @send has ended. */
static void vrnic_ib_complete_send(struct vrnic_ib_qp *qp, int status, u64 len)
{
	struct vrnic_verbs_cqe cqe = {
		.wr_id = qp->send->wr_id,
		.status = status,
		.opcode = vrnic_ib_wc_opcode(qp->send->opcode),
		.byte_len = len,
	};

	vrnic_ib_ring_consume(qp->sq);
	/* What the client says of itself, for itself. */
	cqe.cookie = READ_ONCE(qp->sq->head->cookie);
	cqe.sent = qp->sq->pos;
	if (status && status != IB_WC_WR_FLUSH_ERR)
		vrnic_ib_qp_fail(qp, vrnic_ib_is_reliable(qp) ? IB_QPS_ERR : IB_QPS_SQE);
	if (status || qp->sig_all || qp->send->flags & IB_SEND_SIGNALED)
		vrnic_ib_complete(qp, qp->ib.send_cq, &cqe, false);
}

/* Whether it is done with; if not, it is tried again after @delay, or by the worker. */
static bool vrnic_ib_run_one(struct vrnic_ib_qp *qp, unsigned long *delay)
{
	int status;
	u64 len;

	vrnic_ib_ring_peek(qp->sq, qp->send);
	status = vrnic_ib_execute(qp, delay);
	len = qp->local.len;
	vrnic_list_put(&qp->local);
	vrnic_list_put(&qp->remote);
	qp->begun = *delay;
	if (status >= VRNIC_IB_SILENT)
		return false;
	vrnic_ib_complete_send(qp, status, len);
	return true;
}

/* A counter that makes no sense ends the queue pair: its ring can't be trusted. */
static bool vrnic_ib_has_send(struct vrnic_ib_qp *qp)
{
	u32 ahead = vrnic_ib_ring_ahead(qp->sq);

	if (ahead <= qp->sq->slots)
		return ahead;
	if (vrnic_ib_qp_state(qp) == IB_QPS_RTS) {
		vrnic_ib_qp_fail(qp, IB_QPS_ERR);
		vrnic_ib_qp_tell(qp, IB_EVENT_QP_FATAL);
	}
	return false;
}

static void vrnic_ib_linger(struct vrnic_ib_qp *qp)
{
	u64 end = local_clock() + VRNIC_IB_LINGER_NS;

	while (!vrnic_ib_ring_ahead(qp->sq) && !need_resched() && local_clock() < end)
		cpu_relax();
}

static bool vrnic_ib_wait_send(struct vrnic_ib_qp *qp)
{
	if (vrnic_ib_has_send(qp))
		return true;
	vrnic_ib_linger(qp);
	vrnic_ib_ring_call(qp->sq, true);
	if (!vrnic_ib_has_send(qp))
		return false;
	vrnic_ib_ring_call(qp->sq, false);
	return true;
}

static bool vrnic_ib_flush_send(struct vrnic_ib_qp *qp)
{
	vrnic_ib_ring_call(qp->sq, true);
	qp->begun = false;
	if (!vrnic_ib_has_send(qp))
		return false;
	vrnic_ib_ring_peek(qp->sq, qp->send);
	vrnic_ib_complete_send(qp, IB_WC_WR_FLUSH_ERR, 0);
	return true;
}

/* Of a shared queue, what a queue pair has taken is its own; all else is for others. */
static bool vrnic_ib_take_flushed(struct vrnic_ib_qp *qp)
{
	lockdep_assert_held(&qp->resp);

	if (qp->ib.srq)
		return qp->recv_held && vrnic_ib_rq_take(qp);
	vrnic_ib_ring_call(qp->rq.ring, true);
	return vrnic_ib_rq_take(qp);
}

/* All that it had taken of a shared queue has completed: its owner may count on that. */
static void vrnic_ib_tell_last(struct vrnic_ib_qp *qp)
{
	lockdep_assert_held(&qp->resp);

	if (!qp->ib.srq || qp->told_last)
		return;
	qp->told_last = true;
	vrnic_ib_qp_tell(qp, IB_EVENT_QP_LAST_WQE_REACHED);
}

static bool vrnic_ib_flush_recv(struct vrnic_ib_qp *qp)
{
	struct vrnic_verbs_cqe cqe = { .status = IB_WC_WR_FLUSH_ERR, .opcode = IB_WC_RECV };
	bool any;

	mutex_lock(&qp->resp);
	any = vrnic_ib_take_flushed(qp);
	if (any) {
		cqe.wr_id = qp->recv->wr_id;
		vrnic_ib_complete(qp, qp->ib.recv_cq, &cqe, false);
	} else {
		vrnic_ib_tell_last(qp);
	}
	mutex_unlock(&qp->resp);
	return any;
}

/*
 * The device's objects are being ended, one after the other: what fails for want of another
 * one is not to be told of. The kernel's own datagrams have to complete, for their memory.
 */
static bool vrnic_ib_is_leaving(const struct vrnic_ib_qp *qp)
{
	return READ_ONCE(qp->dev->leaving) && qp->ib.qp_type != IB_QPT_GSI;
}

/* False when there is nothing to do before somebody calls. */
static bool vrnic_ib_step(struct vrnic_ib_qp *qp, unsigned long *delay)
{
	bool any;

	if (vrnic_ib_is_leaving(qp)) {
		vrnic_ib_ring_call(qp->sq, true);
		return false;
	}
	switch (vrnic_ib_qp_state(qp)) {
	case IB_QPS_RTS:
		if (!vrnic_ib_wait_send(qp))
			return false;
		/* It may have come after another state. */
		if (vrnic_ib_qp_state(qp) == IB_QPS_RTS)
			vrnic_ib_run_one(qp, delay);
		return true;
	case IB_QPS_SQE:
		return vrnic_ib_flush_send(qp);
	case IB_QPS_ERR:
		any = vrnic_ib_flush_send(qp);
		return vrnic_ib_flush_recv(qp) || any;
	case IB_QPS_SQD:
		if (qp->begun) {
			vrnic_ib_run_one(qp, delay);
			return true;
		}
		vrnic_ib_qp_drained(qp);
		fallthrough;
	default:
		vrnic_ib_ring_call(qp->sq, true);
		return false;
	}
}

/* It was woken up for something else than its timer, which goes on. */
static bool vrnic_ib_is_early(struct vrnic_ib_qp *qp)
{
	switch (vrnic_ib_qp_state(qp)) {
	case IB_QPS_RTS:
	case IB_QPS_SQD:
		return qp->begun && ktime_before(ktime_get(), qp->retry_at);
	default:
		return false;
	}
}

static void vrnic_ib_run_worker(struct vrnic_ib_qp *qp)
{
	unsigned long delay = 0;
	unsigned int i;

	lockdep_assert_held(&qp->exec);

	if (vrnic_ib_is_early(qp)) {
		vrnic_ib_qp_sleep(qp);
		return;
	}
	qp->mover.now = false;
	if (vrnic_ib_qp_state(qp) == IB_QPS_RTS)
		vrnic_ib_ring_call(qp->sq, false);
	for (i = 0; i < VRNIC_IB_BATCH && !delay; i++) {
		if (!vrnic_ib_step(qp, &delay))
			return;
		cond_resched();
	}
	if (delay)
		vrnic_ib_qp_put_off(qp, delay);
	else
		vrnic_ib_qp_queue(qp);
}

/**
 * vrnic_ib_qp_run() - the worker of a queue pair
 * @work: its &vrnic_ib_qp.run
 */
void vrnic_ib_qp_run(struct work_struct *work)
{
	struct vrnic_ib_qp *qp = container_of(to_delayed_work(work), struct vrnic_ib_qp, run);

	mutex_lock(&qp->exec);
	atomic_inc(&vrnic_ib_workers);
	vrnic_ib_run_worker(qp);
	atomic_dec(&vrnic_ib_workers);
	mutex_unlock(&qp->exec);
}

/* False when there is nothing more to do for it just now, and the worker need not come. */
static bool vrnic_ib_run_caller(struct vrnic_ib_qp *qp)
{
	u64 end = local_clock() + VRNIC_IB_CALLER_NS;
	unsigned long delay = 0;

	lockdep_assert_held(&qp->exec);

	if (qp->begun || vrnic_ib_is_leaving(qp))
		return false;
	qp->mover.now = true;
	while (vrnic_ib_qp_state(qp) == IB_QPS_RTS) {
		if (!vrnic_ib_has_send(qp))
			return false;
		/* It may have come after another state. */
		if (vrnic_ib_qp_state(qp) != IB_QPS_RTS)
			return true;
		if (local_clock() > end || signal_pending(current))
			return true;
		if (vrnic_ib_run_one(qp, &delay))
			continue;
		if (delay)
			vrnic_ib_qp_put_off(qp, delay);
		return !delay;
	}
	return true;
}

/**
 * vrnic_ib_qp_run_now() - execute requests where the bell was rung
 * @qp: the queue pair
 *
 * Does not wait for anything: neither for another one that executes, nor for a peer's lock
 * or a mapping; and is done after a short time. The rest is the worker's. While there is a
 * worker the client need not ring; without one, it rings after each request that it adds:
 * so nothing is left behind.
 */
void vrnic_ib_qp_run_now(struct vrnic_ib_qp *qp)
{
	bool more = true;

	if (mutex_trylock(&qp->exec)) {
		more = vrnic_ib_run_caller(qp);
		mutex_unlock(&qp->exec);
	}
	if (more)
		vrnic_ib_qp_queue(qp);
}
