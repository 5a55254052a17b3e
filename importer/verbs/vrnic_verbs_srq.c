// SPDX-License-Identifier: GPL-2.0
/*
 * Receive requests, of one queue pair or shared by many. A shared queue needs no call, ever:
 * whoever receives looks.
 */

#include <linux/build_bug.h>

#include "vrnic_verbs.h"

/**
 * vrnic_ib_rq_init() - make a queue for receive requests
 * @rq: the queue, zeroed
 * @wr: most requests that are wanted; out: that there is room for
 * @max_sge: most entries of each
 * @udata: of the client's call
 * @where: out: what to tell the client
 *
 * Return: 0; -EINVAL for sizes beyond the limits, -ENOMEM.
 */
int vrnic_ib_rq_init(struct vrnic_ib_rq *rq, u32 *wr, u32 max_sge, struct ib_udata *udata,
		     struct vrnic_verbs_ring *where)
{
	u32 size = struct_size_t(struct vrnic_verbs_recv, sge, max_sge);

	if (!*wr || *wr > VRNIC_IB_MAX_WR || max_sge > VRNIC_IB_MAX_SGE)
		return -EINVAL;
	spin_lock_init(&rq->lock);
	rq->max_sge = max_sge;
	rq->ring = vrnic_ib_ring_create(udata, *wr, size, where);
	if (!rq->ring)
		return -ENOMEM;
	*wr = rq->ring->slots;
	return 0;
}

static bool vrnic_ib_rq_is_short(struct vrnic_ib_rq *rq)
{
	lockdep_assert_held(&rq->lock);

	if (!rq->limit || vrnic_ib_ring_ahead(rq->ring) >= rq->limit)
		return false;
	/* Told once; the client sets it anew. */
	rq->limit = 0;
	return true;
}

static void vrnic_ib_srq_tell_limit(struct ib_srq *ibsrq)
{
	struct ib_event event = {
		.device = ibsrq->device,
		.element.srq = ibsrq,
		.event = IB_EVENT_SRQ_LIMIT_REACHED,
	};

	if (ibsrq->event_handler)
		ibsrq->event_handler(&event, ibsrq->srq_context);
}

/**
 * vrnic_ib_rq_take() - take the first receive request of a queue pair
 * @qp: the queue pair, its @resp held; the request is in &vrnic_ib_qp.recv afterwards
 *
 * Return: false when there is none.
 */
bool vrnic_ib_rq_take(struct vrnic_ib_qp *qp)
{
	struct vrnic_ib_rq *rq = vrnic_ib_rq_of(qp);
	bool is_short;
	u32 ahead;

	lockdep_assert_held(&qp->resp);

	if (qp->recv_held) {
		qp->recv_held = false;
		return true;
	}
	scoped_guard(spinlock, &rq->lock) {
		ahead = vrnic_ib_ring_ahead(rq->ring);
		if (!ahead || ahead > rq->ring->slots)
			return false;
		vrnic_ib_ring_peek(rq->ring, qp->recv);
		vrnic_ib_ring_consume(rq->ring);
		is_short = vrnic_ib_rq_is_short(rq);
	}
	if (is_short)
		vrnic_ib_srq_tell_limit(qp->ib.srq);
	return true;
}

static int vrnic_ib_create_srq(struct ib_srq *ibsrq, struct ib_srq_init_attr *init,
			       struct ib_udata *udata)
{
	struct vrnic_verbs_create_srq_resp resp = {};
	struct vrnic_ib_srq *srq = to_vrnic_srq(ibsrq);
	int ret;

	if (init->srq_type != IB_SRQT_BASIC)
		return -EOPNOTSUPP;
	ret = vrnic_ib_no_udata(udata);
	if (ret)
		return ret;
	ret = vrnic_ib_rq_init(&srq->rq, &init->attr.max_wr, init->attr.max_sge, udata, &resp.rq);
	if (ret)
		return ret;
	ret = vrnic_ib_respond(udata, &resp, sizeof(resp));
	if (ret)
		vrnic_ib_ring_destroy(srq->rq.ring);
	return ret;
}

static int vrnic_ib_modify_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr,
			       enum ib_srq_attr_mask mask, struct ib_udata *udata)
{
	struct vrnic_ib_rq *rq = &to_vrnic_srq(ibsrq)->rq;
	bool is_short;

	if (mask & IB_SRQ_MAX_WR)
		return -EOPNOTSUPP;
	if (mask & ~IB_SRQ_LIMIT || attr->srq_limit > rq->ring->slots)
		return -EINVAL;
	if (!(mask & IB_SRQ_LIMIT))
		return 0;
	scoped_guard(spinlock, &rq->lock) {
		rq->limit = attr->srq_limit;
		is_short = vrnic_ib_rq_is_short(rq);
	}
	if (is_short)
		vrnic_ib_srq_tell_limit(ibsrq);
	return 0;
}

static int vrnic_ib_query_srq(struct ib_srq *ibsrq, struct ib_srq_attr *attr)
{
	struct vrnic_ib_rq *rq = &to_vrnic_srq(ibsrq)->rq;

	attr->max_wr = rq->ring->slots;
	attr->max_sge = rq->max_sge;
	attr->srq_limit = READ_ONCE(rq->limit);
	return 0;
}

static int vrnic_ib_destroy_srq(struct ib_srq *ibsrq, struct ib_udata *udata)
{
	vrnic_ib_ring_destroy(to_vrnic_srq(ibsrq)->rq.ring);
	return 0;
}

const struct ib_device_ops vrnic_ib_srq_ops = {
	.create_srq = vrnic_ib_create_srq,
	.modify_srq = vrnic_ib_modify_srq,
	.query_srq = vrnic_ib_query_srq,
	.destroy_srq = vrnic_ib_destroy_srq,
	INIT_RDMA_OBJ_SIZE(ib_srq, vrnic_ib_srq, ib),
};
