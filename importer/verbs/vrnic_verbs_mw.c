// SPDX-License-Identifier: GPL-2.0
/*
 * Memory windows: keys for a part of a region, which their owner gives and takes back by
 * requests.
 *
 * A window of type 1 is of its protection domain, one of type 2 of the queue pair that has
 * bound it (2B). Its keys share the numbers of regions, so that none is both.
 */

#include "vrnic_verbs.h"

/* Its owner chooses the last bits of a key of type 2. */
#define VRNIC_IB_MW_VARIANT	GENMASK(7, 0)

static bool vrnic_ib_mw_is_same(u32 key, u32 other)
{
	return !((key ^ other) & ~VRNIC_IB_MW_VARIANT);
}

/* What is under way through it goes on to its end: it has the region. */
static void vrnic_ib_mw_unbind(struct vrnic_ib_mw *mw)
{
	lockdep_assert_held(&to_vrnic_dev(mw->ib.device)->mw_lock);

	if (mw->mr)
		mw->mr->windows--;
	mw->mr = NULL;
	mw->qp = NULL;
}

static int vrnic_ib_alloc_mw(struct ib_mw *ibmw, struct ib_udata *udata)
{
	struct vrnic_ib_dev *dev = to_vrnic_dev(ibmw->device);
	struct vrnic_ib_mw *mw = to_vrnic_mw(ibmw);
	int ret;

	ret = vrnic_ib_no_udata(udata);
	if (!ret)
		ret = vrnic_key_reserve(dev->vdev, &mw->key);
	if (ret)
		return ret;
	ibmw->rkey = mw->key;
	ret = xa_err(xa_store(&dev->mws, vrnic_key_index(mw->key), mw, GFP_KERNEL_ACCOUNT));
	if (ret)
		vrnic_key_release(dev->vdev, mw->key);
	return ret;
}

static int vrnic_ib_dealloc_mw(struct ib_mw *ibmw)
{
	struct vrnic_ib_dev *dev = to_vrnic_dev(ibmw->device);
	struct vrnic_ib_mw *mw = to_vrnic_mw(ibmw);

	scoped_guard(spinlock, &dev->mw_lock) {
		vrnic_ib_mw_unbind(mw);
		xa_erase(&dev->mws, vrnic_key_index(mw->key));
	}
	vrnic_key_release(dev->vdev, mw->key);
	return 0;
}

static struct vrnic_ib_mw *vrnic_ib_mw_find(struct ib_pd *pd, u32 key)
{
	struct vrnic_ib_dev *dev = to_vrnic_dev(pd->device);
	struct vrnic_ib_mw *mw;

	lockdep_assert_held(&dev->mw_lock);

	mw = xa_load(&dev->mws, vrnic_key_index(key));
	return mw && mw->ib.pd == pd ? mw : NULL;
}

static bool vrnic_ib_mw_leads(const struct vrnic_ib_mw *mw, const struct vrnic_ib_qp *qp, u32 key)
{
	return mw && mw->mr && mw->key == key && (mw->ib.type == IB_MW_TYPE_1 || mw->qp == qp);
}

/**
 * vrnic_ib_mw_get() - find the region that a window leads to
 * @qp: the queue pair that is written to, or read from
 * @key: the window's key
 * @access: bits of &enum vrnic_right that are needed
 * @addr: first byte
 * @len: bytes
 *
 * Return: the region with a reference; NULL for a window that is not there, or does not allow it.
 */
struct vrnic_mr *vrnic_ib_mw_get(struct vrnic_ib_qp *qp, u32 key, u32 access, u64 addr, u64 len)
{
	struct vrnic_ib_mw *mw;
	u64 within;

	guard(spinlock)(&qp->dev->mw_lock);
	mw = vrnic_ib_mw_find(qp->ib.pd, key);
	if (!vrnic_ib_mw_leads(mw, qp, key) || access & ~mw->access)
		return NULL;
	within = addr - mw->addr;
	if (within > mw->len || len > mw->len - within)
		return NULL;
	kref_get(&mw->mr->ref);
	return mw->mr;
}

/**
 * vrnic_ib_mw_may_invalidate() - whether a key is one that a queue pair may take back
 * @qp: the queue pair
 * @key: the key
 */
bool vrnic_ib_mw_may_invalidate(struct vrnic_ib_qp *qp, u32 key)
{
	struct vrnic_ib_mw *mw;

	guard(spinlock)(&qp->dev->mw_lock);
	mw = vrnic_ib_mw_find(qp->ib.pd, key);
	return vrnic_ib_mw_leads(mw, qp, key) && mw->ib.type == IB_MW_TYPE_2;
}

/**
 * vrnic_ib_mw_invalidate() - take a key back
 * @qp: the queue pair, its @resp held, so that nothing comes through the window any more
 * @key: the key
 *
 * Return: IB_WC_SUCCESS, or IB_WC_MW_BIND_ERR for one that it may not take back.
 */
int vrnic_ib_mw_invalidate(struct vrnic_ib_qp *qp, u32 key)
{
	struct vrnic_ib_mw *mw;

	lockdep_assert_held(&qp->resp);

	guard(spinlock)(&qp->dev->mw_lock);
	mw = vrnic_ib_mw_find(qp->ib.pd, key);
	if (!vrnic_ib_mw_leads(mw, qp, key) || mw->ib.type != IB_MW_TYPE_2)
		return IB_WC_MW_BIND_ERR;
	vrnic_ib_mw_unbind(mw);
	return IB_WC_SUCCESS;
}

static int vrnic_ib_mw_set(struct vrnic_ib_qp *qp, struct vrnic_mr *mr)
{
	const struct vrnic_verbs_send *send = qp->send;
	struct vrnic_ib_mw *mw;

	guard(spinlock)(&qp->dev->mw_lock);
	mw = vrnic_ib_mw_find(qp->ib.pd, send->mw_rkey);
	if (!mw || !vrnic_ib_mw_is_same(mw->key, send->mw_rkey) ||
	    !vrnic_ib_mw_is_same(mw->key, send->rkey))
		return IB_WC_MW_BIND_ERR;
	/* One of type 2 is to be taken back first, and is not there without bytes. */
	if (mw->ib.type == IB_MW_TYPE_2 && (mw->mr || !mr))
		return IB_WC_MW_BIND_ERR;
	if (mr && mr->closed)
		return IB_WC_MW_BIND_ERR;

	vrnic_ib_mw_unbind(mw);
	mw->key = send->rkey;
	mw->addr = send->remote_addr;
	mw->len = send->mw_length;
	mw->access = vrnic_ib_rights(send->mw_access);
	mw->mr = mr;
	if (mr)
		mr->windows++;
	mw->qp = mw->ib.type == IB_MW_TYPE_2 ? qp : NULL;
	return IB_WC_SUCCESS;
}

static bool vrnic_ib_mw_mr_ok(const struct vrnic_mr *mr, const struct vrnic_verbs_send *send)
{
	u32 rights = vrnic_ib_rights(send->mw_access);

	if (!(mr->attr.access & VRNIC_MAY_BIND) ||
	    !vrnic_mr_holds(mr, send->remote_addr, send->mw_length))
		return false;
	return !(rights & VRNIC_MAY_WRITE) || mr->attr.access & VRNIC_MAY_LOCAL_WRITE;
}

/**
 * vrnic_ib_mw_bind() - a request that binds a window
 * @qp: the queue pair whose request it is
 *
 * Return: IB_WC_SUCCESS, IB_WC_MW_BIND_ERR, or IB_WC_LOC_QP_OP_ERR for rights that no window has.
 */
int vrnic_ib_mw_bind(struct vrnic_ib_qp *qp)
{
	const struct vrnic_verbs_send *send = qp->send;
	int status = IB_WC_MW_BIND_ERR;
	struct vrnic_mr *mr;

	/* Local rights are of no use in a window; programs ask for them, and hardware lets them. */
	if (send->mw_access & ~(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE |
				IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_ATOMIC))
		return IB_WC_LOC_QP_OP_ERR;
	/* Of nothing: it is given up. */
	if (!send->mw_length)
		return vrnic_ib_mw_set(qp, NULL);
	mr = vrnic_mr_get_by_key(&to_vrnic_pd(qp->ib.pd)->core, send->mr_lkey, false);
	if (!mr)
		return status;
	if (vrnic_ib_mw_mr_ok(mr, send))
		status = vrnic_ib_mw_set(qp, mr);
	vrnic_mr_put(mr);
	return status;
}

/**
 * vrnic_ib_mw_forget() - a queue pair goes, and its windows lead nowhere
 * @qp: the queue pair
 */
void vrnic_ib_mw_forget(struct vrnic_ib_qp *qp)
{
	struct vrnic_ib_mw *mw;
	unsigned long index;

	guard(spinlock)(&qp->dev->mw_lock);
	xa_for_each(&qp->dev->mws, index, mw)
		if (mw->qp == qp)
			vrnic_ib_mw_unbind(mw);
}

/**
 * vrnic_ib_mw_close() - let no window be bound to a region any more
 * @mr: the region
 *
 * Return: 0, or -EBUSY when there are some.
 */
int vrnic_ib_mw_close(struct vrnic_ib_mr *mr)
{
	guard(spinlock)(&to_vrnic_dev(mr->ib.device)->mw_lock);
	if (mr->core->windows)
		return -EBUSY;
	mr->core->closed = true;
	return 0;
}

/**
 * vrnic_ib_mw_open() - the other way round
 * @mr: the region
 */
void vrnic_ib_mw_open(struct vrnic_ib_mr *mr)
{
	guard(spinlock)(&to_vrnic_dev(mr->ib.device)->mw_lock);
	mr->core->closed = false;
}

const struct ib_device_ops vrnic_ib_mw_ops = {
	.alloc_mw = vrnic_ib_alloc_mw,
	.dealloc_mw = vrnic_ib_dealloc_mw,
	INIT_RDMA_OBJ_SIZE(ib_mw, vrnic_ib_mw, ib),
};
