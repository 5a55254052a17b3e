// SPDX-License-Identifier: MIT
/* Completion queues: polled in memory, without a system call. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "vrnic.h"

#define VRNIC_WC_FLAGS	(IBV_WC_STANDARD_FLAGS | IBV_WC_EX_WITH_COMPLETION_TIMESTAMP)

struct create_cq_resp {
	struct ib_uverbs_create_cq_resp base;
	struct vrnic_verbs_create_cq_resp own;
};

struct create_cq_ex_resp {
	struct ib_uverbs_ex_create_cq_resp base;
	struct vrnic_verbs_create_cq_resp own;
};

static struct ibv_cq *finish_cq(struct vrnic_cq *cq, struct ibv_context *context,
				const struct vrnic_verbs_ring *where)
{
	int ret = ring_map(&cq->ring, context->cmd_fd, where);

	if (!ret)
		return &cq->base.cq;
	ibv_cmd_destroy_cq(&cq->base.cq);
	free(cq);
	errno = ret;
	return NULL;
}

struct ibv_cq *vrnic_create_cq(struct ibv_context *context, int cqe,
			       struct ibv_comp_channel *channel, int vector)
{
	struct vrnic_cq *cq = calloc(1, sizeof(*cq));
	struct create_cq_resp resp = {};
	int ret;

	if (!cq)
		return NULL;
	ret = ibv_cmd_create_cq(context, cqe, channel, vector, &cq->base.cq, NULL, 0, &resp.base,
				sizeof(resp));
	if (ret) {
		free(cq);
		errno = ret;
		return NULL;
	}
	return finish_cq(cq, context, &resp.own.cq);
}

int vrnic_destroy_cq(struct ibv_cq *ibcq)
{
	struct vrnic_cq *cq = to_cq(ibcq);
	int ret = ibv_cmd_destroy_cq(ibcq);

	if (ret)
		return ret;
	ring_unmap(&cq->ring);
	free(cq);
	return 0;
}

struct resize_cq_resp {
	struct ib_uverbs_resize_cq_resp base;
	struct vrnic_verbs_resize_cq_resp own;
};

/* Nothing is taken meanwhile: what is there is copied, and counts go on. */
int vrnic_resize_cq(struct ibv_cq *ibcq, int cqe)
{
	struct vrnic_cq *cq = to_cq(ibcq);
	struct resize_cq_resp resp = {};
	struct ibv_resize_cq cmd;
	struct vrnic_ring old;
	int ret;

	pthread_spin_lock(&cq->ring.lock);
	old = cq->ring;
	ret = ibv_cmd_resize_cq(ibcq, cqe, &cmd, sizeof(cmd), &resp.base, sizeof(resp));
	if (!ret)
		ret = ring_remap(&cq->ring, ibcq->context->cmd_fd, &resp.own.cq);
	pthread_spin_unlock(&cq->ring.lock);
	if (!ret)
		munmap(old.head, old.size);
	return ret;
}

static bool has_cqe(const struct vrnic_cq *cq)
{
	return cq->ring.pos != __atomic_load_n(&cq->ring.head->producer, __ATOMIC_ACQUIRE);
}

/*
 * A completion's place is free, and then that of its request: who posts the next one at
 * once has room for its completion.
 */
static void take_cqe(struct vrnic_cq *cq, struct vrnic_verbs_cqe *to)
{
	struct vrnic_qp *qp;

	*to = *(struct vrnic_verbs_cqe *)ring_slot(&cq->ring, cq->ring.pos);
	__atomic_store_n(&cq->ring.head->consumer, ++cq->ring.pos, __ATOMIC_RELEASE);
	/* Queue pairs that are no more, or were reset, have no completions here. */
	qp = (struct vrnic_qp *)(uintptr_t)to->cookie;
	if (qp)
		__atomic_store_n(&qp->sent, to->sent, __ATOMIC_RELEASE);
}

static void read_cqe(const struct vrnic_verbs_cqe *cqe, struct ibv_wc *wc)
{
	*wc = (struct ibv_wc) {
		.wr_id = cqe->wr_id,
		.status = cqe->status,
		.opcode = cqe->opcode,
		.byte_len = cqe->byte_len,
		.imm_data = cqe->imm,
		.qp_num = cqe->qp_num,
		.src_qp = cqe->src_qp,
		.wc_flags = cqe->wc_flags,
		.slid = cqe->slid,
	};
}

int vrnic_poll_cq(struct ibv_cq *ibcq, int count, struct ibv_wc *wc)
{
	struct vrnic_cq *cq = to_cq(ibcq);
	struct vrnic_verbs_cqe cqe;
	int n;

	pthread_spin_lock(&cq->ring.lock);
	for (n = 0; n < count && has_cqe(cq); n++) {
		take_cqe(cq, &cqe);
		read_cqe(&cqe, &wc[n]);
	}
	pthread_spin_unlock(&cq->ring.lock);
	return n;
}

/* What is left of a queue pair that is no more: the others move up. */
void vrnic_purge_cq(struct ibv_cq *ibcq, uint32_t qpn)
{
	struct vrnic_cq *cq = to_cq(ibcq);
	struct vrnic_ring *ring = &cq->ring;
	struct vrnic_verbs_cqe *cqe;
	uint32_t from, to;

	pthread_spin_lock(&ring->lock);
	to = __atomic_load_n(&ring->head->producer, __ATOMIC_ACQUIRE);
	/* The program may have overwritten it. */
	if (to - ring->pos > ring->slots)
		to = ring->pos;
	for (from = to; from != ring->pos; from--) {
		cqe = ring_slot(ring, from - 1);
		if (cqe->qp_num == qpn)
			continue;
		to--;
		if (to != from - 1)
			*(struct vrnic_verbs_cqe *)ring_slot(ring, to) = *cqe;
	}
	ring->pos = to;
	__atomic_store_n(&ring->head->consumer, to, __ATOMIC_RELEASE);
	pthread_spin_unlock(&ring->lock);
}

static struct vrnic_cq *ex(struct ibv_cq_ex *cq)
{
	return container_of(cq, struct vrnic_cq, base.cq_ex);
}

static int set_now(struct vrnic_cq *cq)
{
	if (!has_cqe(cq))
		return ENOENT;
	take_cqe(cq, &cq->now);
	cq->base.cq_ex.wr_id = cq->now.wr_id;
	cq->base.cq_ex.status = cq->now.status;
	return 0;
}

static int start_poll(struct ibv_cq_ex *cq, struct ibv_poll_cq_attr *attr)
{
	int ret;

	if (attr->comp_mask)
		return EINVAL;
	pthread_spin_lock(&ex(cq)->ring.lock);
	ret = set_now(ex(cq));
	if (ret)
		pthread_spin_unlock(&ex(cq)->ring.lock);
	return ret;
}

static int next_poll(struct ibv_cq_ex *cq)
{
	return set_now(ex(cq));
}

static void end_poll(struct ibv_cq_ex *cq)
{
	pthread_spin_unlock(&ex(cq)->ring.lock);
}

static enum ibv_wc_opcode read_opcode(struct ibv_cq_ex *cq)
{
	return ex(cq)->now.opcode;
}

static uint32_t read_vendor_err(struct ibv_cq_ex *cq)
{
	return 0;
}

static uint32_t read_byte_len(struct ibv_cq_ex *cq)
{
	return ex(cq)->now.byte_len;
}

static __be32 read_imm_data(struct ibv_cq_ex *cq)
{
	return ex(cq)->now.imm;
}

static uint32_t read_qp_num(struct ibv_cq_ex *cq)
{
	return ex(cq)->now.qp_num;
}

static uint32_t read_src_qp(struct ibv_cq_ex *cq)
{
	return ex(cq)->now.src_qp;
}

static unsigned int read_wc_flags(struct ibv_cq_ex *cq)
{
	return ex(cq)->now.wc_flags;
}

static uint32_t read_slid(struct ibv_cq_ex *cq)
{
	return ex(cq)->now.slid;
}

static uint8_t read_nothing(struct ibv_cq_ex *cq)
{
	return 0;
}

static uint64_t read_timestamp(struct ibv_cq_ex *cq)
{
	return ex(cq)->now.timestamp_ns;
}

static void set_cq_ops(struct ibv_cq_ex *cq)
{
	cq->start_poll = start_poll;
	cq->next_poll = next_poll;
	cq->end_poll = end_poll;
	cq->read_opcode = read_opcode;
	cq->read_vendor_err = read_vendor_err;
	cq->read_byte_len = read_byte_len;
	cq->read_imm_data = read_imm_data;
	cq->read_qp_num = read_qp_num;
	cq->read_src_qp = read_src_qp;
	cq->read_wc_flags = read_wc_flags;
	cq->read_slid = read_slid;
	cq->read_sl = read_nothing;
	cq->read_dlid_path_bits = read_nothing;
	cq->read_completion_ts = read_timestamp;
	cq->read_completion_wallclock_ns = read_timestamp;
}

struct ibv_cq_ex *vrnic_create_cq_ex(struct ibv_context *context, struct ibv_cq_init_attr_ex *attr)
{
	struct create_cq_ex_resp resp = {};
	struct vrnic_cq *cq;
	int ret;

	if (attr->comp_mask & ~IBV_CQ_INIT_ATTR_MASK_FLAGS ||
	    (attr->comp_mask & IBV_CQ_INIT_ATTR_MASK_FLAGS &&
	     attr->flags & ~IBV_CREATE_CQ_ATTR_SINGLE_THREADED) ||
	    attr->wc_flags & ~VRNIC_WC_FLAGS) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	cq = calloc(1, sizeof(*cq));
	if (!cq)
		return NULL;
	ret = ibv_cmd_create_cq_ex(context, attr, &cq->base, NULL, 0, &resp.base, sizeof(resp),
				   CREATE_CQ_CMD_FLAGS_TS_IGNORED_EX);
	if (ret) {
		free(cq);
		errno = ret;
		return NULL;
	}
	set_cq_ops(&cq->base.cq_ex);
	return finish_cq(cq, context, &resp.own.cq) ? &cq->base.cq_ex : NULL;
}
