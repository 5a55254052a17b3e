// SPDX-License-Identifier: GPL-2.0
/*
 * Completion queues. Their clients poll them in memory; here they are filled.
 */

#include <linux/ktime.h>
#include <linux/mutex.h>

#include "verbs.h"
#include "vrnic_verbs.h"

/**
 * vrnic_ib_create_cq() - make a completion queue
 * @ibcq: the queue
 * @attr: what it is to be
 * @attrs: of the client's call; NULL for a queue of the kernel
 *
 * Return: 0 or an error.
 */
int vrnic_ib_create_cq(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
		       struct uverbs_attr_bundle *attrs)
{
	struct ib_udata *udata = attrs ? &attrs->driver_udata : NULL;
	struct vrnic_verbs_create_cq_resp resp = {};
	struct vrnic_ib_cq *cq = to_vrnic_cq(ibcq);
	int ret;

	/* Completions have the time in any case. */
	if (attr->flags & ~IB_UVERBS_CQ_FLAGS_TIMESTAMP_COMPLETION)
		return -EOPNOTSUPP;
	if (!attr->cqe || attr->cqe > VRNIC_IB_MAX_CQE)
		return -EINVAL;
	ret = vrnic_ib_no_udata(udata);
	if (ret)
		return ret;

	mutex_init(&cq->resize);
	spin_lock_init(&cq->lock);
	cq->ring = vrnic_ib_ring_create(udata, attr->cqe, sizeof(struct vrnic_verbs_cqe), &resp.cq);
	if (!cq->ring)
		return -ENOMEM;
	ibcq->cqe = cq->ring->slots;
	if (udata)
		ret = vrnic_ib_respond(udata, &resp, sizeof(resp));
	if (ret)
		vrnic_ib_ring_destroy(cq->ring);
	return ret;
}

static int vrnic_ib_destroy_cq(struct ib_cq *ibcq, struct ib_udata *udata)
{
	struct vrnic_ib_cq *cq = to_vrnic_cq(ibcq);

	vrnic_ib_ring_destroy(cq->ring);
	mutex_destroy(&cq->resize);
	return 0;
}

static void vrnic_ib_cq_copy(struct vrnic_ib_ring *to, const struct vrnic_ib_ring *from, u32 pos,
			     u32 end)
{
	const struct vrnic_verbs_cqe *old = (void *)(from->head + 1);
	struct vrnic_verbs_cqe *new = (void *)(to->head + 1);

	for (; pos != end; pos++)
		new[pos & (to->slots - 1)] = old[pos & (from->slots - 1)];
}

/* Whether the completions that were not taken have room. The client may have written any count. */
static bool vrnic_ib_cq_fits(const struct vrnic_ib_ring *to, const struct vrnic_ib_ring *from,
			     u32 consumer)
{
	return from->pos - consumer <= min(from->slots, to->slots);
}

/*
 * Completions that were not taken keep their counts. Those that were there before @copied
 * are in @to already.
 */
static int vrnic_ib_cq_take_over(struct vrnic_ib_cq *cq, struct vrnic_ib_ring *to, u32 copied)
{
	struct vrnic_ib_ring *from = cq->ring;
	u32 consumer = READ_ONCE(from->head->consumer);

	lockdep_assert_held(&cq->lock);

	if (!vrnic_ib_cq_fits(to, from, consumer))
		return -EINVAL;
	vrnic_ib_cq_copy(to, from, copied, from->pos);
	to->pos = from->pos;
	to->head->producer = from->pos;
	to->head->consumer = consumer;
	cq->ring = to;
	cq->ib.cqe = to->slots;
	return 0;
}

/* Only what comes meanwhile is copied under the lock, which requests wait for. */
static int vrnic_ib_cq_replace(struct vrnic_ib_cq *cq, struct vrnic_ib_ring *to)
{
	struct vrnic_ib_ring *from = cq->ring;
	u32 consumer, end;

	lockdep_assert_held(&cq->resize);

	scoped_guard(spinlock, &cq->lock) {
		consumer = READ_ONCE(from->head->consumer);
		if (!vrnic_ib_cq_fits(to, from, consumer))
			return -EINVAL;
		end = from->pos;
	}
	vrnic_ib_cq_copy(to, from, consumer, end);

	guard(spinlock)(&cq->lock);
	return vrnic_ib_cq_take_over(cq, to, end);
}

static int vrnic_ib_resize_cq(struct ib_cq *ibcq, COMPAT_RESIZE_CQE cqe, struct ib_udata *udata)
{
	struct vrnic_verbs_resize_cq_resp resp = {};
	struct vrnic_ib_cq *cq = to_vrnic_cq(ibcq);
	struct vrnic_ib_ring *ring, *old;
	int ret;

	if (cqe < 1 || cqe > VRNIC_IB_MAX_CQE)
		return -EINVAL;
	ret = vrnic_ib_no_udata(udata);
	if (ret)
		return ret;
	ring = vrnic_ib_ring_create(udata, cqe, sizeof(struct vrnic_verbs_cqe), &resp.cq);
	if (!ring)
		return -ENOMEM;
	ret = vrnic_ib_respond(udata, &resp, sizeof(resp));
	if (ret)
		goto err_destroy;
	scoped_guard(mutex, &cq->resize) {
		old = cq->ring;
		ret = vrnic_ib_cq_replace(cq, ring);
	}
	if (ret)
		goto err_destroy;
	vrnic_ib_ring_destroy(old);
	return 0;

err_destroy:
	vrnic_ib_ring_destroy(ring);
	return ret;
}

/* What came before is for the client to see: it looks once more, or asks whether it missed any. */
static int vrnic_ib_req_notify_cq(struct ib_cq *ibcq, enum ib_cq_notify_flags flags)
{
	struct vrnic_ib_cq *cq = to_vrnic_cq(ibcq);

	guard(spinlock)(&cq->lock);
	/* The next of any kind is more than the next solicited one. */
	if (cq->armed != IB_CQ_NEXT_COMP)
		cq->armed = flags & IB_CQ_SOLICITED_MASK;
	return flags & IB_CQ_REPORT_MISSED_EVENTS &&
	       cq->ring->pos != READ_ONCE(cq->ring->head->consumer);
}

/* False without room. */
static bool vrnic_ib_cq_write(struct vrnic_ib_cq *cq, const struct vrnic_verbs_cqe *cqe)
{
	struct vrnic_ib_ring *ring = cq->ring;
	struct vrnic_verbs_cqe *slots = (void *)(ring->head + 1);

	lockdep_assert_held(&cq->lock);

	if (ring->pos - READ_ONCE(ring->head->consumer) >= ring->slots)
		return false;
	slots[ring->pos & (ring->slots - 1)] = *cqe;
	ring->pos++;
	/* Pairs with the client's acquire: it sees the slot that it is told of. */
	smp_store_release(&ring->head->producer, ring->pos);
	return true;
}

static bool vrnic_ib_cq_disarm(struct vrnic_ib_cq *cq, bool solicited)
{
	bool tell = cq->armed == IB_CQ_NEXT_COMP || (cq->armed && solicited);

	lockdep_assert_held(&cq->lock);

	if (tell)
		cq->armed = 0;
	return tell;
}

static void vrnic_ib_cq_tell_overrun(struct vrnic_ib_cq *cq)
{
	struct ib_event event = {
		.device = cq->ib.device,
		.element.cq = &cq->ib,
		.event = IB_EVENT_CQ_ERR,
	};

	if (cq->ib.event_handler)
		cq->ib.event_handler(&event, cq->ib.cq_context);
}

/**
 * vrnic_ib_cq_push() - complete a request
 * @cq: the queue
 * @cqe: the completion
 * @solicited: its sender asked for an event, or it is of an error
 *
 * Return: false when the queue has been overrun: the completion is lost.
 */
bool vrnic_ib_cq_push(struct vrnic_ib_cq *cq, const struct vrnic_verbs_cqe *cqe, bool solicited)
{
	bool was_overrun, written = false, tell = false;

	scoped_guard(spinlock, &cq->lock) {
		was_overrun = cq->overrun;
		if (!was_overrun)
			written = vrnic_ib_cq_write(cq, cqe);
		if (written)
			tell = vrnic_ib_cq_disarm(cq, solicited);
		cq->overrun = !written;
	}
	if (tell)
		cq->ib.comp_handler(&cq->ib, cq->ib.cq_context);
	if (!written && !was_overrun)
		vrnic_ib_cq_tell_overrun(cq);
	return written;
}

const struct ib_device_ops vrnic_ib_cq_ops = {
	.COMPAT_CREATE_USER_CQ = vrnic_ib_create_cq,
	.destroy_cq = vrnic_ib_destroy_cq,
	.req_notify_cq = vrnic_ib_req_notify_cq,
	.COMPAT_RESIZE_USER_CQ = vrnic_ib_resize_cq,
	INIT_RDMA_OBJ_SIZE(ib_cq, vrnic_ib_cq, ib),
};
