/* SPDX-License-Identifier: MIT */
#ifndef VRNIC_PROVIDER_H
#define VRNIC_PROVIDER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <infiniband/driver.h>

#include "vrnic_verbs_abi.h"

/* A queue that is shared with the kernel. */
struct vrnic_ring {
	struct vrnic_verbs_ring_head *head;
	size_t size;
	uint32_t slots, slot_size;
	/* Our counter: the producer's, or that of who takes. */
	uint32_t pos;
	pthread_spinlock_t lock;
};

struct vrnic_context {
	struct verbs_context base;
};

struct vrnic_cq {
	struct verbs_cq base;
	struct vrnic_ring ring;
	/* Between start_poll() and end_poll(): a copy of the completion, which has been taken. */
	struct vrnic_verbs_cqe now;
};

struct vrnic_srq {
	struct verbs_srq base;
	struct vrnic_ring ring;
	uint32_t max_sge;
};

struct vrnic_qp {
	struct verbs_qp base;
	struct vrnic_ring sq, rq;
	/* Of the send queue: up to where completions have been taken. */
	uint32_t sent;
	uint32_t max_send_sge, max_recv_sge, max_inline;
	bool sig_all;
	/* Between wr_start() and wr_complete(). */
	uint32_t wr_pos;
	int wr_error;
	struct vrnic_verbs_send *wr_now;
};

struct vrnic_ah {
	struct ibv_ah base;
	/* By which requests name it. */
	uint32_t number;
};

static inline struct vrnic_cq *to_cq(struct ibv_cq *cq)
{
	return container_of(cq, struct vrnic_cq, base.cq);
}

static inline struct vrnic_srq *to_srq(struct ibv_srq *srq)
{
	return container_of(srq, struct vrnic_srq, base.srq);
}

static inline struct vrnic_qp *to_qp(struct ibv_qp *qp)
{
	return container_of(qp, struct vrnic_qp, base.qp);
}

static inline struct vrnic_ah *to_ah(struct ibv_ah *ah)
{
	return container_of(ah, struct vrnic_ah, base);
}

static inline void *ring_slot(const struct vrnic_ring *ring, uint32_t pos)
{
	return (char *)(ring->head + 1) + (size_t)(pos & (ring->slots - 1)) * ring->slot_size;
}

/* ring.c */
int ring_map(struct vrnic_ring *ring, int fd, const struct vrnic_verbs_ring *where);
int ring_remap(struct vrnic_ring *ring, int fd, const struct vrnic_verbs_ring *where);
void ring_unmap(struct vrnic_ring *ring);
bool ring_is_full(const struct vrnic_ring *ring, uint32_t pos);
bool sq_is_full(const struct vrnic_qp *qp, uint32_t pos);
bool ring_publish(struct vrnic_ring *ring, uint32_t pos);
void ring_reset(struct vrnic_ring *ring);

/* cq.c */
struct ibv_cq *vrnic_create_cq(struct ibv_context *context, int cqe,
			       struct ibv_comp_channel *channel, int vector);
struct ibv_cq_ex *vrnic_create_cq_ex(struct ibv_context *context,
				     struct ibv_cq_init_attr_ex *attr);
int vrnic_destroy_cq(struct ibv_cq *cq);
int vrnic_resize_cq(struct ibv_cq *cq, int cqe);
int vrnic_poll_cq(struct ibv_cq *cq, int count, struct ibv_wc *wc);
void vrnic_purge_cq(struct ibv_cq *cq, uint32_t qpn);

/* qp.c */
struct ibv_qp *vrnic_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr);
struct ibv_qp *vrnic_create_qp_ex(struct ibv_context *context, struct ibv_qp_init_attr_ex *attr);
int vrnic_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask);
int vrnic_query_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask,
		   struct ibv_qp_init_attr *init);
int vrnic_destroy_qp(struct ibv_qp *qp);
int vrnic_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad);
int vrnic_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad);
struct ibv_srq *vrnic_create_srq(struct ibv_pd *pd, struct ibv_srq_init_attr *attr);
int vrnic_modify_srq(struct ibv_srq *srq, struct ibv_srq_attr *attr, int mask);
int vrnic_query_srq(struct ibv_srq *srq, struct ibv_srq_attr *attr);
int vrnic_destroy_srq(struct ibv_srq *srq);
int vrnic_post_srq_recv(struct ibv_srq *srq, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad);
void vrnic_put_bind(struct vrnic_verbs_send *send, const struct ibv_mw *mw, uint32_t rkey,
		    const struct ibv_mw_bind_info *info);
int vrnic_bind_mw(struct ibv_qp *qp, struct ibv_mw *mw, struct ibv_mw_bind *bind);
int vrnic_ring_bell(struct ibv_qp *qp);

/* wr.c */
#define VRNIC_SEND_OPS	(IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM |	\
			 IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM |			\
			 IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP |		\
			 IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD | IBV_QP_EX_WITH_LOCAL_INV |		\
			 IBV_QP_EX_WITH_BIND_MW | IBV_QP_EX_WITH_SEND_WITH_INV)
void vrnic_set_wr_ops(struct vrnic_qp *qp);

#endif /* VRNIC_PROVIDER_H */
