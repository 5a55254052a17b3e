// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel as a client: its management datagrams, which rdma_cm connects by.
 *
 * Queues are the same as those of programs, only that nobody maps them. Memory is what the
 * client has mapped for DMA, all of it by one key.
 *
 * Other queue pairs of the kernel are refused: its services (NVMe over Fabrics, RDS, SMC,
 * iSER, NFS) want regions that they fill themselves, which there are none of.
 */

#include <linux/slab.h>

#include "vrnic_verbs.h"

static struct vrnic_ib_dma *vrnic_ib_alloc_dma(u32 nr)
{
	return kcalloc(max(nr, 1), sizeof(struct vrnic_ib_dma), GFP_KERNEL);
}

/**
 * vrnic_ib_kernel_make() - what a queue pair of the kernel has beside all others
 * @qp: the queue pair, which is freed when this fails
 * @cap: its sizes
 *
 * Return: 0 or -ENOMEM.
 */
int vrnic_ib_kernel_make(struct vrnic_ib_qp *qp, const struct ib_qp_cap *cap)
{
	qp->send_dma = vrnic_ib_alloc_dma(cap->max_send_sge);
	qp->recv_dma = vrnic_ib_alloc_dma(cap->max_recv_sge);
	if (!qp->send_dma || !qp->recv_dma)
		return -ENOMEM;
	qp->dev->gsi = &qp->ib;
	return 0;
}

void vrnic_ib_kernel_free(struct vrnic_ib_qp *qp)
{
	if (qp->dev->gsi == &qp->ib)
		qp->dev->gsi = NULL;
	kfree(qp->send_dma);
	kfree(qp->recv_dma);
}

/**
 * vrnic_ib_add_dma() - add a request's entries to a list
 * @list: an empty list
 * @dma: room for as many, valid until the list is empty again
 * @dev: the device that does the DMA
 * @sge: the entries, of a queue pair of the kernel
 * @nr: their number
 *
 * Return: IB_WC_SUCCESS, or what is wrong with the entries.
 */
enum ib_wc_status vrnic_ib_add_dma(struct vrnic_list *list, struct vrnic_ib_dma *dma,
				   struct device *dev, const struct vrnic_verbs_sge *sge, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		if (sge[i].lkey != VRNIC_IB_DMA_LKEY)
			return IB_WC_LOC_PROT_ERR;
		dma[i] = (struct vrnic_ib_dma) {
			.map = { .dev = dev, .nr = 1, .seg = &dma[i].seg },
			.seg = { .addr = sge[i].addr, .len = sge[i].length },
		};
		vrnic_list_add_memory(list, &dma[i].map, sge[i].length);
	}
	return IB_WC_SUCCESS;
}

static void vrnic_ib_put_sges(struct vrnic_verbs_sge *to, const struct ib_sge *from, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		to[i] = (struct vrnic_verbs_sge) {
			.addr = from[i].addr,
			.length = from[i].length,
			.lkey = from[i].lkey,
		};
}

static int vrnic_ib_put_send(struct vrnic_ib_qp *qp, const struct ib_send_wr *wr)
{
	struct vrnic_verbs_send *send;

	lockdep_assert_held(&qp->lock);

	if (wr->opcode != IB_WR_SEND || wr->num_sge > qp->cap.max_send_sge)
		return -EINVAL;
	send = vrnic_ib_ring_next(qp->sq);
	if (!send)
		return -ENOMEM;
	*send = (struct vrnic_verbs_send) {
		.wr_id = wr->wr_id,
		.opcode = wr->opcode,
		.flags = wr->send_flags,
		.num_sge = wr->num_sge,
		.remote_qpn = ud_wr(wr)->remote_qpn,
		.remote_qkey = ud_wr(wr)->remote_qkey,
		.ah = to_vrnic_ah(ud_wr(wr)->ah)->number,
	};
	vrnic_ib_put_sges(send->sge, wr->sg_list, wr->num_sge);
	vrnic_ib_ring_publish(qp->sq);
	return 0;
}

/**
 * vrnic_ib_kernel_send() - post the kernel's requests
 * @qp: the queue pair
 * @wr: the requests
 * @bad: out: the first that was not posted
 *
 * In any context but that of an interrupt.
 *
 * Return: 0; -EOPNOTSUPP for a queue pair of a program; -EINVAL for one that does not send, or
 * for a malformed request; -ENOMEM when there is no room.
 */
int vrnic_ib_kernel_send(struct vrnic_ib_qp *qp, const struct ib_send_wr *wr,
			 const struct ib_send_wr **bad)
{
	int ret = 0;

	*bad = wr;
	if (!qp->send_dma)
		return -EOPNOTSUPP;
	scoped_guard(spinlock, &qp->lock) {
		if (qp->state < IB_QPS_RTS)
			return -EINVAL;
		for (; wr && !ret; wr = ret ? wr : wr->next)
			ret = vrnic_ib_put_send(qp, wr);
	}
	*bad = wr;
	vrnic_ib_qp_queue(qp);
	return ret;
}

static int vrnic_ib_put_recv(struct vrnic_ib_qp *qp, const struct ib_recv_wr *wr)
{
	struct vrnic_verbs_recv *recv;

	lockdep_assert_held(&qp->lock);

	if (wr->num_sge > qp->cap.max_recv_sge)
		return -EINVAL;
	recv = vrnic_ib_ring_next(qp->rq.ring);
	if (!recv)
		return -ENOMEM;
	recv->wr_id = wr->wr_id;
	recv->num_sge = wr->num_sge;
	recv->pad = 0;
	vrnic_ib_put_sges(recv->sge, wr->sg_list, wr->num_sge);
	vrnic_ib_ring_publish(qp->rq.ring);
	return 0;
}

/**
 * vrnic_ib_kernel_recv() - post the kernel's receive requests
 * @qp: the queue pair
 * @wr: the requests
 * @bad: out: the first that was not posted
 *
 * In any context but that of an interrupt.
 *
 * Return: as of vrnic_ib_kernel_send().
 */
int vrnic_ib_kernel_recv(struct vrnic_ib_qp *qp, const struct ib_recv_wr *wr,
			 const struct ib_recv_wr **bad)
{
	bool flush;
	int ret = 0;

	*bad = wr;
	if (!qp->recv_dma)
		return -EOPNOTSUPP;
	scoped_guard(spinlock, &qp->lock) {
		if (qp->state == IB_QPS_RESET)
			return -EINVAL;
		for (; wr && !ret; wr = ret ? wr : wr->next)
			ret = vrnic_ib_put_recv(qp, wr);
		flush = qp->state == IB_QPS_ERR;
	}
	*bad = wr;
	if (flush)
		vrnic_ib_qp_queue(qp);
	return ret;
}

static void vrnic_ib_read_cqe(struct vrnic_ib_dev *dev, const struct vrnic_verbs_cqe *cqe,
			      struct ib_wc *wc)
{
	*wc = (struct ib_wc) {
		.wr_id = cqe->wr_id,
		.status = cqe->status,
		.opcode = cqe->opcode,
		.byte_len = cqe->byte_len,
		.qp = dev->gsi,
		.src_qp = cqe->src_qp,
		.slid = cqe->slid,
		.wc_flags = cqe->wc_flags,
		.port_num = VRNIC_IB_PORT,
	};
}

static int vrnic_ib_poll_cq(struct ib_cq *ibcq, int max, struct ib_wc *wc)
{
	struct vrnic_ib_cq *cq = to_vrnic_cq(ibcq);
	struct vrnic_ib_ring *ring = cq->ring;
	const struct vrnic_verbs_cqe *slots = (void *)(ring->head + 1);
	u32 pos;
	int n;

	guard(spinlock)(&cq->lock);
	pos = ring->head->consumer;
	for (n = 0; n < max && pos != ring->pos; n++, pos++)
		vrnic_ib_read_cqe(to_vrnic_dev(ibcq->device), &slots[pos & (ring->slots - 1)],
				  &wc[n]);
	ring->head->consumer = pos;
	return n;
}

/* All memory, for everybody who knows a key: there is none. */
static struct ib_mr *vrnic_ib_get_dma_mr(struct ib_pd *pd, int access)
{
	return ERR_PTR(-EOPNOTSUPP);
}

/* Beside those of programs. */
const struct ib_device_ops vrnic_ib_kernel_ops = {
	.create_cq = vrnic_ib_create_cq,
	.get_dma_mr = vrnic_ib_get_dma_mr,
	.poll_cq = vrnic_ib_poll_cq,
};
