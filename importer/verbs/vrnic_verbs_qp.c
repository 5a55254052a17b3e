// SPDX-License-Identifier: GPL-2.0
/*
 * Queue pairs: how they come, change and go.
 *
 * Both ends of a connection are on this host, of one device or of two: their numbers are
 * one space.
 */

#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "vrnic_engine.h"
#include "vrnic_verbs.h"

/* 0 and 1 are those of the management. */
#define VRNIC_IB_QPN_LIMIT	XA_LIMIT(16, VRNIC_IB_QPN_MASK - 1)
/* Beyond all numbers: those of the management, of which each device has one. */
#define VRNIC_IB_GSI_INDEX(lid)	(BIT(24) | (lid))

static DEFINE_XARRAY_ALLOC(vrnic_ib_qps);
static u32 vrnic_ib_next_qpn;

static void vrnic_ib_qp_idle(struct kref *ref)
{
	complete(&container_of(ref, struct vrnic_ib_qp, ref)->idle);
}

void vrnic_ib_qp_put(struct vrnic_ib_qp *qp)
{
	kref_put(&qp->ref, vrnic_ib_qp_idle);
}

/**
 * vrnic_ib_qp_get() - find a queue pair by its number
 * @dlid: the device, see vrnic_ib_lid(); looked at for the management only
 * @qpn: the number
 *
 * Return: the queue pair with a reference, or NULL.
 */
struct vrnic_ib_qp *vrnic_ib_qp_get(u16 dlid, u32 qpn)
{
	u32 index = qpn == VRNIC_IB_GSI_QPN ? VRNIC_IB_GSI_INDEX(dlid) : qpn & VRNIC_IB_QPN_MASK;
	struct vrnic_ib_qp *qp;

	xa_lock(&vrnic_ib_qps);
	qp = xa_load(&vrnic_ib_qps, index);
	if (qp)
		kref_get(&qp->ref);
	xa_unlock(&vrnic_ib_qps);
	return qp;
}

enum ib_qp_state vrnic_ib_qp_state(struct vrnic_ib_qp *qp)
{
	guard(spinlock)(&qp->lock);
	return qp->state;
}

/**
 * vrnic_ib_qp_queue() - have the worker look at a queue pair
 * @qp: the queue pair
 *
 * What was put off stays so.
 */
void vrnic_ib_qp_queue(struct vrnic_ib_qp *qp)
{
	queue_delayed_work(qp->wq.attr.pd->workers, &qp->run, 0);
}

/**
 * vrnic_ib_qp_tell() - an asynchronous event
 * @qp: the queue pair that it is about
 * @event: what happened
 */
void vrnic_ib_qp_tell(struct vrnic_ib_qp *qp, enum ib_event_type event)
{
	struct ib_event ev = {
		.device = qp->ib.device,
		.element.qp = &qp->ib,
		.event = event,
	};

	if (qp->ib.event_handler)
		qp->ib.event_handler(&ev, qp->ib.qp_context);
}

static bool vrnic_ib_qp_set_failed(struct vrnic_ib_qp *qp, enum ib_qp_state state)
{
	guard(spinlock)(&qp->lock);
	switch (qp->state) {
	case IB_QPS_RTR:
	case IB_QPS_RTS:
	case IB_QPS_SQD:
	case IB_QPS_SQE:
		break;
	default:
		return false;
	}
	if (qp->state == state)
		return false;
	qp->state = state;
	qp->draining = false;
	return true;
}

/* At once, whatever its worker waits for. */
static void vrnic_ib_qp_kick(struct vrnic_ib_qp *qp)
{
	mod_delayed_work(qp->wq.attr.pd->workers, &qp->run, 0);
}

static bool vrnic_ib_qp_goes_on(struct vrnic_ib_qp *qp)
{
	enum ib_qp_state state = vrnic_ib_qp_state(qp);

	return state == IB_QPS_RTS || state == IB_QPS_SQD;
}

/**
 * vrnic_ib_qp_put_off() - have the worker try the first request again, after a while
 * @qp: the queue pair, its @exec held
 * @delay: not before, in jiffies
 */
void vrnic_ib_qp_put_off(struct vrnic_ib_qp *qp, unsigned long delay)
{
	lockdep_assert_held(&qp->exec);

	qp->retry_at = ktime_add_ns(ktime_get(), jiffies_to_nsecs(delay));
	vrnic_ib_qp_sleep(qp);
}

/**
 * vrnic_ib_qp_sleep() - have the worker come when the first request is to be tried again
 * @qp: the queue pair, its @exec held
 *
 * Jiffies may be behind the time, so they do not tell whether it has come.
 */
void vrnic_ib_qp_sleep(struct vrnic_ib_qp *qp)
{
	s64 left = ktime_to_ns(ktime_sub(qp->retry_at, ktime_get()));

	lockdep_assert_held(&qp->exec);

	mod_delayed_work(qp->wq.attr.pd->workers, &qp->run, nsecs_to_jiffies(max(left, 0)) + 1);
	/* Whoever took it out of work just before that wants its worker at once. */
	if (!vrnic_ib_qp_goes_on(qp))
		vrnic_ib_qp_kick(qp);
}

/**
 * vrnic_ib_qp_fail() - a queue pair goes to an error state by itself
 * @qp: the queue pair, held by a reference or by its worker
 * @state: IB_QPS_ERR or IB_QPS_SQE
 *
 * Without effect on one that its owner has taken out of work meanwhile.
 *
 * Return: whether it was not in that state before.
 */
bool vrnic_ib_qp_fail(struct vrnic_ib_qp *qp, enum ib_qp_state state)
{
	if (!vrnic_ib_qp_set_failed(qp, state))
		return false;
	vrnic_ib_qp_kick(qp);
	return true;
}

/**
 * vrnic_ib_qp_drained() - nothing of a queue pair that is to be drained is being sent
 * @qp: the queue pair; its worker calls
 */
void vrnic_ib_qp_drained(struct vrnic_ib_qp *qp)
{
	bool tell;

	scoped_guard(spinlock, &qp->lock) {
		tell = qp->draining && qp->state == IB_QPS_SQD;
		qp->draining = false;
	}
	if (tell && qp->attr.en_sqd_async_notify)
		vrnic_ib_qp_tell(qp, IB_EVENT_SQ_DRAINED);
}

/* Coherent memory is never bounced, so that both sides see the same. */
static int vrnic_ib_scratch_init(struct vrnic_ib_scratch *scratch, struct device *dev)
{
	struct sg_table sgt;
	int ret;

	scratch->cpu = dma_alloc_coherent(dev, VRNIC_IB_SCRATCH, &scratch->addr,
					  GFP_KERNEL_ACCOUNT);
	if (!scratch->cpu)
		return -ENOMEM;
	ret = sg_alloc_table(&sgt, 1, GFP_KERNEL);
	if (!ret) {
		sg_dma_address(sgt.sgl) = scratch->addr;
		sg_dma_len(sgt.sgl) = VRNIC_IB_SCRATCH;
		ret = vrnic_mapping_set(&scratch->map, dev, &sgt);
		sg_free_table(&sgt);
	}
	if (ret) {
		dma_free_coherent(dev, VRNIC_IB_SCRATCH, scratch->cpu, scratch->addr);
		scratch->cpu = NULL;
	}
	return ret;
}

static void vrnic_ib_scratch_fini(struct vrnic_ib_scratch *scratch, struct device *dev)
{
	if (!scratch->cpu)
		return;
	vrnic_mapping_clear(&scratch->map);
	dma_free_coherent(dev, VRNIC_IB_SCRATCH, scratch->cpu, scratch->addr);
}

static void vrnic_ib_qp_free_memory(struct vrnic_ib_qp *qp)
{
	vrnic_ib_scratch_fini(&qp->scratch, qp->dev->vdev->dev);
	vrnic_ib_ring_destroy(qp->sq);
	vrnic_ib_ring_destroy(qp->rq.ring);
	kfree(qp->send);
	kfree(qp->recv);
	vrnic_ib_kernel_free(qp);
	mutex_destroy(&qp->resp);
	mutex_destroy(&qp->exec);
	mutex_destroy(&qp->modify);
}

static int vrnic_ib_qp_make_sq(struct vrnic_ib_qp *qp, struct ib_qp_cap *cap,
			       struct ib_udata *udata, struct vrnic_verbs_ring *where)
{
	u32 room = max_t(u32, cap->max_inline_data,
			 cap->max_send_sge * sizeof(struct vrnic_verbs_sge));
	u32 size = ALIGN(sizeof(struct vrnic_verbs_send) + room, sizeof(u64));

	qp->send = kzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!qp->send)
		return -ENOMEM;
	/* One that never sends is no special case. */
	qp->sq = vrnic_ib_ring_create(udata, max(cap->max_send_wr, 1), size, where);
	if (!qp->sq)
		return -ENOMEM;
	vrnic_ib_ring_reset(qp->sq, true);
	cap->max_send_wr = qp->sq->slots;
	cap->max_inline_data = min_t(u32, room, VRNIC_IB_MAX_INLINE);
	return 0;
}

static int vrnic_ib_qp_make_rq(struct vrnic_ib_qp *qp, struct ib_qp_cap *cap,
			       struct ib_udata *udata, struct vrnic_verbs_ring *where)
{
	u32 max_sge = qp->ib.srq ? vrnic_ib_rq_of(qp)->max_sge : cap->max_recv_sge;

	qp->recv = kzalloc(struct_size(qp->recv, sge, max_sge), GFP_KERNEL_ACCOUNT);
	if (!qp->recv)
		return -ENOMEM;
	if (qp->ib.srq) {
		cap->max_recv_wr = 0;
		cap->max_recv_sge = 0;
		return 0;
	}
	cap->max_recv_wr = max(cap->max_recv_wr, 1);
	return vrnic_ib_rq_init(&qp->rq, &cap->max_recv_wr, max_sge, udata, where);
}

static bool vrnic_ib_type_ok(const struct ib_qp_init_attr *init, bool kernel)
{
	switch (init->qp_type) {
	case IB_QPT_RC:
	case IB_QPT_UC:
	case IB_QPT_UD:
		return !kernel;
	case IB_QPT_GSI:
		return kernel && !init->srq;
	default:
		return false;
	}
}

static int vrnic_ib_check_cap(const struct ib_qp_init_attr *init, bool kernel)
{
	const struct ib_qp_cap *cap = &init->cap;

	if (!vrnic_ib_type_ok(init, kernel))
		return -EOPNOTSUPP;
	if (init->create_flags)
		return -EOPNOTSUPP;
	if (!init->send_cq || !init->recv_cq || cap->max_send_wr > VRNIC_IB_MAX_WR ||
	    cap->max_send_sge > VRNIC_IB_MAX_SGE || cap->max_inline_data > VRNIC_IB_MAX_INLINE)
		return -EINVAL;
	if (!init->srq && (cap->max_recv_wr > VRNIC_IB_MAX_WR ||
			   cap->max_recv_sge > VRNIC_IB_MAX_SGE))
		return -EINVAL;
	return 0;
}

static void vrnic_ib_qp_init(struct vrnic_ib_qp *qp, const struct ib_qp_init_attr *init)
{
	qp->dev = to_vrnic_dev(qp->ib.device);
	kref_init(&qp->ref);
	init_completion(&qp->idle);
	INIT_DELAYED_WORK(&qp->run, vrnic_ib_qp_run);
	mutex_init(&qp->modify);
	mutex_init(&qp->exec);
	mutex_init(&qp->resp);
	spin_lock_init(&qp->lock);
	qp->state = IB_QPS_RESET;
	qp->sig_all = init->sq_sig_type == IB_SIGNAL_ALL_WR;
	qp->wq.attr.pd = &to_vrnic_pd(qp->ib.pd)->core;
	qp->wq.attr.engine = qp->dev->engine;
	qp->wq.fence_context = dma_fence_context_alloc(1);
	qp->mover.wq = &qp->wq;
}

static int vrnic_ib_qp_number(struct vrnic_ib_qp *qp)
{
	struct ib_qp *ibqp = &qp->ib;

	if (ibqp->qp_type != IB_QPT_GSI)
		return xa_alloc_cyclic(&vrnic_ib_qps, &ibqp->qp_num, qp, VRNIC_IB_QPN_LIMIT,
				       &vrnic_ib_next_qpn, GFP_KERNEL_ACCOUNT);
	ibqp->qp_num = VRNIC_IB_GSI_QPN;
	return xa_insert(&vrnic_ib_qps, VRNIC_IB_GSI_INDEX(vrnic_ib_lid(qp->dev)), qp, GFP_KERNEL);
}

static void vrnic_ib_qp_forget(struct vrnic_ib_qp *qp)
{
	if (qp->ib.qp_type == IB_QPT_GSI)
		xa_erase(&vrnic_ib_qps, VRNIC_IB_GSI_INDEX(vrnic_ib_lid(qp->dev)));
	else
		xa_erase(&vrnic_ib_qps, qp->ib.qp_num);
}

static int vrnic_ib_create_qp(struct ib_qp *ibqp, struct ib_qp_init_attr *init,
			      struct ib_udata *udata)
{
	struct vrnic_verbs_create_qp_resp resp = {};
	struct vrnic_ib_qp *qp = to_vrnic_qp(ibqp);
	int ret;

	ret = vrnic_ib_check_cap(init, !udata);
	if (!ret)
		ret = vrnic_ib_no_udata(udata);
	if (!ret)
		ret = vrnic_engine_open(to_vrnic_dev(ibqp->device)->engine);
	if (ret)
		return ret;

	vrnic_ib_qp_init(qp, init);
	ret = vrnic_ib_qp_make_sq(qp, &init->cap, udata, &resp.sq);
	if (!ret)
		ret = vrnic_ib_qp_make_rq(qp, &init->cap, udata, &resp.rq);
	if (!ret)
		ret = vrnic_ib_scratch_init(&qp->scratch, qp->dev->vdev->dev);
	if (!ret)
		ret = udata ? vrnic_ib_respond(udata, &resp, sizeof(resp)) :
			      vrnic_ib_kernel_make(qp, &init->cap);
	if (!ret)
		ret = vrnic_ib_qp_number(qp);
	if (ret < 0) {
		vrnic_ib_qp_free_memory(qp);
		return ret == -EBUSY ? -ENOSPC : ret;
	}
	qp->cap = init->cap;
	return 0;
}

static void vrnic_ib_qp_set_state(struct vrnic_ib_qp *qp, enum ib_qp_state state)
{
	guard(spinlock)(&qp->lock);
	qp->draining = state == IB_QPS_SQD && qp->state == IB_QPS_RTS;
	qp->state = state;
}

/* Peers that send to it just now are waited for; they hold references. */
static int vrnic_ib_destroy_qp(struct ib_qp *ibqp, struct ib_udata *udata)
{
	struct vrnic_ib_qp *qp = to_vrnic_qp(ibqp);

	vrnic_ib_qp_set_state(qp, IB_QPS_RESET);
	WRITE_ONCE(qp->wq.dead, true);
	vrnic_ib_qp_forget(qp);
	vrnic_ib_qp_put(qp);
	wait_for_completion(&qp->idle);
	cancel_delayed_work_sync(&qp->run);
	/* It binds none any more. */
	vrnic_ib_mw_forget(qp);
	/* A client that is not told, of a device that has gone, finds out when it posts. */
	vrnic_ib_ring_call(qp->sq, true);
	vrnic_ib_qp_free_memory(qp);
	return 0;
}

static int vrnic_ib_check_path(const struct ib_qp_attr *attr, int mask)
{
	if (mask & IB_QP_PORT && attr->port_num != VRNIC_IB_PORT)
		return -EINVAL;
	if (mask & IB_QP_PKEY_INDEX && attr->pkey_index)
		return -EINVAL;
	if (mask & IB_QP_AV && rdma_ah_get_port_num(&attr->ah_attr) != VRNIC_IB_PORT)
		return -EINVAL;
	if (mask & IB_QP_PATH_MTU &&
	    (attr->path_mtu < IB_MTU_256 || attr->path_mtu > IB_MTU_4096))
		return -EINVAL;
	/* No second path to anywhere. */
	return mask & (IB_QP_ALT_PATH | IB_QP_PATH_MIG_STATE) ? -EINVAL : 0;
}

static int vrnic_ib_check_attr(const struct ib_qp_attr *attr, int mask)
{
	/* A right to what nobody can ask for here, as a flush, is none. */
	if (mask & IB_QP_ACCESS_FLAGS && attr->qp_access_flags & ~IB_ACCESS_SUPPORTED)
		return -EINVAL;
	if ((mask & IB_QP_TIMEOUT && attr->timeout > 31) ||
	    (mask & IB_QP_RETRY_CNT && attr->retry_cnt > 7) ||
	    (mask & IB_QP_RNR_RETRY && attr->rnr_retry > 7) ||
	    (mask & IB_QP_MIN_RNR_TIMER && attr->min_rnr_timer > 31))
		return -EINVAL;
	if ((mask & IB_QP_MAX_QP_RD_ATOMIC && attr->max_rd_atomic > VRNIC_IB_MAX_RD_ATOMIC) ||
	    (mask & IB_QP_MAX_DEST_RD_ATOMIC &&
	     attr->max_dest_rd_atomic > VRNIC_IB_MAX_RD_ATOMIC))
		return -EINVAL;
	if (mask & IB_QP_DEST_QPN && attr->dest_qp_num & ~VRNIC_IB_QPN_MASK)
		return -EINVAL;
	return vrnic_ib_check_path(attr, mask);
}

#define VRNIC_IB_SET(flag, member)			\
do {							\
	if (mask & (flag))				\
		qp->attr.member = attr->member;		\
} while (0)

static void vrnic_ib_qp_apply(struct vrnic_ib_qp *qp, const struct ib_qp_attr *attr, int mask)
{
	lockdep_assert_held(&qp->resp);

	VRNIC_IB_SET(IB_QP_EN_SQD_ASYNC_NOTIFY, en_sqd_async_notify);
	VRNIC_IB_SET(IB_QP_ACCESS_FLAGS, qp_access_flags);
	VRNIC_IB_SET(IB_QP_PKEY_INDEX, pkey_index);
	VRNIC_IB_SET(IB_QP_PORT, port_num);
	VRNIC_IB_SET(IB_QP_QKEY, qkey);
	VRNIC_IB_SET(IB_QP_AV, ah_attr);
	VRNIC_IB_SET(IB_QP_PATH_MTU, path_mtu);
	VRNIC_IB_SET(IB_QP_TIMEOUT, timeout);
	VRNIC_IB_SET(IB_QP_RETRY_CNT, retry_cnt);
	VRNIC_IB_SET(IB_QP_RNR_RETRY, rnr_retry);
	VRNIC_IB_SET(IB_QP_RQ_PSN, rq_psn);
	VRNIC_IB_SET(IB_QP_MAX_QP_RD_ATOMIC, max_rd_atomic);
	VRNIC_IB_SET(IB_QP_MIN_RNR_TIMER, min_rnr_timer);
	VRNIC_IB_SET(IB_QP_SQ_PSN, sq_psn);
	VRNIC_IB_SET(IB_QP_MAX_DEST_RD_ATOMIC, max_dest_rd_atomic);
	VRNIC_IB_SET(IB_QP_DEST_QPN, dest_qp_num);
	/* The caller's reference. */
	qp->attr.ah_attr.grh.sgid_attr = NULL;
	if (mask & IB_QP_AV)
		qp->way.dlid = vrnic_ib_find_lid(qp->dev, &attr->ah_attr);
}

/* Nothing of it runs any more, and all that was posted is forgotten. */
static void vrnic_ib_qp_reset(struct vrnic_ib_qp *qp)
{
	lockdep_assert_held(&qp->modify);

	vrnic_ib_qp_set_state(qp, IB_QPS_RESET);
	/* What runs ends early, also a peer's request that waits for its own buffer. */
	WRITE_ONCE(qp->wq.dead, true);
	/* A caller that is at it begins no other request, and puts nothing off after that. */
	mutex_lock(&qp->exec);
	mutex_unlock(&qp->exec);
	cancel_delayed_work_sync(&qp->run);

	mutex_lock(&qp->exec);
	mutex_lock(&qp->resp);
	qp->attr = (struct ib_qp_attr){};
	vrnic_ib_ring_reset(qp->sq, true);
	vrnic_ib_ring_reset(qp->rq.ring, false);
	qp->tries = 0;
	qp->rnr_tries = 0;
	qp->begun = false;
	qp->recv_held = false;
	qp->heard = false;
	qp->told_last = false;
	WRITE_ONCE(qp->wq.dead, false);
	mutex_unlock(&qp->resp);
	mutex_unlock(&qp->exec);
}

static void vrnic_ib_qp_end(struct vrnic_ib_qp *qp)
{
	lockdep_assert_held(&qp->modify);

	vrnic_ib_qp_set_state(qp, IB_QPS_ERR);
	vrnic_ib_qp_kick(qp);
}

static int vrnic_ib_qp_change(struct vrnic_ib_qp *qp, enum ib_qp_state cur, enum ib_qp_state next,
			      const struct ib_qp_attr *attr, int mask)
{
	lockdep_assert_held(&qp->modify);

	if (mutex_lock_interruptible(&qp->resp))
		return -EINTR;
	vrnic_ib_qp_apply(qp, attr, mask);
	mutex_unlock(&qp->resp);

	/* It may have failed meanwhile: an error is left by a reset only. */
	scoped_guard(spinlock, &qp->lock) {
		if (qp->state != cur)
			return cur == next ? 0 : -EINVAL;
		qp->draining = next == IB_QPS_SQD && cur == IB_QPS_RTS;
		qp->state = next;
	}
	/* A peer that is to be tried again later is not tried at once for that. */
	if (next != cur)
		vrnic_ib_qp_queue(qp);
	return 0;
}

static int vrnic_ib_modify_locked(struct vrnic_ib_qp *qp, const struct ib_qp_attr *attr, int mask)
{
	enum ib_qp_state cur = vrnic_ib_qp_state(qp), next;
	int ret;

	if (mask & IB_QP_CUR_STATE && attr->cur_qp_state != cur)
		return -EINVAL;
	next = mask & IB_QP_STATE ? attr->qp_state : cur;
	if (!ib_modify_qp_is_ok(cur, next, qp->ib.qp_type, mask))
		return -EINVAL;
	ret = vrnic_ib_check_attr(attr, mask);
	if (ret)
		return ret;

	switch (next) {
	case IB_QPS_RESET:
		vrnic_ib_qp_reset(qp);
		return 0;
	case IB_QPS_ERR:
		vrnic_ib_qp_end(qp);
		return 0;
	default:
		return vrnic_ib_qp_change(qp, cur, next, attr, mask);
	}
}

static int vrnic_ib_modify_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
			      struct ib_udata *udata)
{
	struct vrnic_ib_qp *qp = to_vrnic_qp(ibqp);
	int ret;

	if (mask & ~IB_QP_ATTR_STANDARD_BITS)
		return -EOPNOTSUPP;
	ret = vrnic_ib_no_udata(udata);
	if (ret)
		return ret;
	if (mutex_lock_interruptible(&qp->modify))
		return -EINTR;
	ret = vrnic_ib_modify_locked(qp, attr, mask);
	mutex_unlock(&qp->modify);
	return ret;
}

static int vrnic_ib_query_qp(struct ib_qp *ibqp, struct ib_qp_attr *attr, int mask,
			     struct ib_qp_init_attr *init)
{
	struct vrnic_ib_qp *qp = to_vrnic_qp(ibqp);

	mutex_lock(&qp->modify);
	*attr = qp->attr;
	scoped_guard(spinlock, &qp->lock) {
		attr->qp_state = qp->state;
		attr->sq_draining = qp->draining;
	}
	mutex_unlock(&qp->modify);
	attr->cur_qp_state = attr->qp_state;
	attr->cap = qp->cap;

	init->cap = qp->cap;
	init->qp_context = ibqp->qp_context;
	init->send_cq = ibqp->send_cq;
	init->recv_cq = ibqp->recv_cq;
	init->srq = ibqp->srq;
	init->sq_sig_type = qp->sig_all ? IB_SIGNAL_ALL_WR : IB_SIGNAL_REQ_WR;
	init->qp_type = ibqp->qp_type;
	return 0;
}

/* Requests are in the ring: this only says that there are some. Whoever says so executes. */
static int vrnic_ib_post_send(struct ib_qp *ibqp, const struct ib_send_wr *wr,
			      const struct ib_send_wr **bad)
{
	struct vrnic_ib_qp *qp = to_vrnic_qp(ibqp);

	if (wr)
		return vrnic_ib_kernel_send(qp, wr, bad);
	switch (vrnic_ib_qp_state(qp)) {
	case IB_QPS_RESET:
	case IB_QPS_INIT:
	case IB_QPS_RTR:
		return -EINVAL;
	default:
		vrnic_ib_qp_run_now(qp);
		return 0;
	}
}

/* Whoever sends to it looks for requests: they only have to be flushed. */
static int vrnic_ib_post_recv(struct ib_qp *ibqp, const struct ib_recv_wr *wr,
			      const struct ib_recv_wr **bad)
{
	struct vrnic_ib_qp *qp = to_vrnic_qp(ibqp);

	if (wr)
		return vrnic_ib_kernel_recv(qp, wr, bad);
	if (vrnic_ib_qp_state(qp) == IB_QPS_ERR)
		vrnic_ib_qp_queue(qp);
	return 0;
}

const struct ib_device_ops vrnic_ib_qp_ops = {
	.create_qp = vrnic_ib_create_qp,
	.modify_qp = vrnic_ib_modify_qp,
	.query_qp = vrnic_ib_query_qp,
	.destroy_qp = vrnic_ib_destroy_qp,
	.post_send = vrnic_ib_post_send,
	.post_recv = vrnic_ib_post_recv,
	INIT_RDMA_OBJ_SIZE(ib_qp, vrnic_ib_qp, ib),
};
