/* SPDX-License-Identifier: MIT */
/* What the tests of the RDMA device share: ends of connections, requests, events. */
#ifndef VERBS_H
#define VERBS_H

#include <infiniband/verbs.h>

#include "movable.h"
#include "vrnic_verbs_abi.h"

/* Requests of a queue, and bytes of an end's memory. */
#define DEPTH	64
#define SIZE	KIB(256)
#define QKEY	0x1234
#define ALL	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |	\
		 IBV_ACCESS_REMOTE_ATOMIC)

/**
 * struct end_want - what is not as usual with an end; all may be zero
 */
struct end_want {
	/** @name: of the device; NULL for the first one. */
	const char *name;
	/** @type: of the queue pair; 0 for RC. */
	enum ibv_qp_type type;
	/** @srq: receive from a shared queue of this many requests. */
	uint32_t srq;
	/** @cqe: completions that there is room for. */
	int cqe;
	/** @apart: what is received completes in a queue of its own. */
	bool apart;
};

/**
 * struct end - one end of a connection, with memory of its own
 */
struct end {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	/** @cq: Of what is sent, and without &end_want.apart of what is received. */
	struct ibv_cq *cq;
	/** @rcq: Of what is received. */
	struct ibv_cq *rcq;
	struct ibv_srq *srq;
	/** @qp: NULL when it was destroyed before the end is closed. */
	struct ibv_qp *qp;
	struct ibv_mr *mr;
	uint8_t *mem;
	/** @ah: Of datagrams: where the other end is; made by __connect_end(). */
	struct ibv_ah *ah;
	/** @to: Of datagrams: the other end's number. */
	uint32_t to;
};

struct ibv_context *__open_verbs(const char *name);
struct ibv_context *open_verbs(const char *name);
/* Skips all where there is no RDMA device. */
void require_verbs(void);
/* Until vrnic0 can be opened: its node comes a moment later than the device. */
void wait_verbs(void);
void open_end_as(struct end *e, const struct end_want *want);
void open_end(struct end *e);
void open_pair(struct end *a, struct end *b);
void close_end(struct end *e);
uint16_t lid_of(struct end *e);

/* What a connection's end has as usual. */
struct ibv_qp_attr attr_of(struct end *e, struct end *to);
/* The attributes that a change to @state needs, without IBV_QP_CUR_STATE; -1 for none. */
int mask_to(enum ibv_qp_type type, enum ibv_qp_state state);
/* From whatever state to @state, by way of RESET. */
int __bring_to(struct end *e, struct ibv_qp_attr attr, enum ibv_qp_state state);
void bring_to(struct end *e, struct end *to, enum ibv_qp_state state);
int __set_state(struct end *e, enum ibv_qp_state state);
int __connect_end(struct end *e, struct end *to, int access);
void connect_ends(struct end *a, struct end *b);
enum ibv_qp_state state_of(struct end *e);
/* An error state that a queue pair goes to by itself. */
void wait_state(struct end *e, enum ibv_qp_state state);

struct ibv_wc wait_wc_of(struct ibv_cq *cq);
struct ibv_wc wait_wc(struct end *e);
bool is_idle(struct ibv_cq *cq);
int __post(struct end *e, struct ibv_send_wr *wr);
enum ibv_wc_status do_send(struct end *e, struct ibv_send_wr *wr);
enum ibv_wc_status rdma(struct end *e, enum ibv_wr_opcode opcode, uint64_t addr, uint32_t rkey,
			uint32_t len);
/* A message of the first bytes of @e's memory, as its completion's status. */
enum ibv_wc_status send_bytes(struct end *e, uint64_t id, uint32_t len);
int __post_recv(struct end *e, uint64_t id, uint32_t len, uint32_t lkey);
void post_recv(struct end *e, uint64_t id, uint32_t len, uint32_t lkey);

/* The next event, or -1 when there is none just now. */
int take_event(struct end *e);
/* The next event, waited for; asserts that there is one. */
int wait_event(struct end *e);

/* A buffer of vvram, and a region on its dma-buf. */
struct movable {
	int fd;
	uint32_t handle;
	int dmabuf;
	uint8_t *p;
	struct ibv_mr *mr;
};

struct movable make_movable(int fd, struct end *e);
void free_movable(struct movable *m);
/* A pattern to the buffer and back, by @a, whose peer's region it is: whether all was right. */
bool write_and_read(struct end *a, struct movable *m, uint64_t seed);
/* Sets off for @placement, and arrives so much later: requests on it wait meanwhile. */
void send_away(struct movable *m, uint32_t placement, int ms);

/* Has the kernel look at a queue, as the provider does when it thinks that is needed. */
int ring_bell(struct end *e, uint32_t command);
/* Calls for each queue that this process has mapped; returns how many there are. */
unsigned int visit_rings(void (*call)(void *from, size_t size, void *arg), void *arg);

/* A process of its own, whose status is what @run returns, or 98 where an assertion fails. */
pid_t fork_child(int (*run)(void *arg), void *arg);

#endif /* VERBS_H */
