/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_VERBS_H
#define VRNIC_VERBS_H

#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <rdma/ib_verbs.h>
#include <rdma/uverbs_ioctl.h>

#include "vrnic_move.h"
#include "vrnic_mr.h"
#include "vrnic_verbs_abi.h"
#include "vrnic_wq.h"

#define VRNIC_IB_PORT		1
#define VRNIC_IB_MAX_MSG	BIT(31)
#define VRNIC_IB_MAX_WR		16384
/* Libraries have one queue for all that they ever may connect to. */
#define VRNIC_IB_MAX_CQE	BIT(18)
#define VRNIC_IB_MAX_SGE	VRNIC_MAX_RANGES
#define VRNIC_IB_MAX_INLINE	512
#define VRNIC_IB_MAX_RD_ATOMIC	128
#define VRNIC_IB_MAX_AH		SZ_64K
#define VRNIC_IB_QPN_MASK	GENMASK(23, 0)
/* Each port has one of this number: its datagrams are those of the management. */
#define VRNIC_IB_GSI_QPN	1
/* The key of the kernel's own regions, which no region has: all that it has mapped for DMA. */
#define VRNIC_IB_DMA_LKEY	0
/* The path's MTU, as the port has it. */
#define VRNIC_IB_MAX_DATAGRAM	4096
/* What a datagram's receive buffer begins with. */
#define VRNIC_IB_GRH		40
/* Inline data, or a datagram with its head behind it. */
#define VRNIC_IB_SCRATCH	PAGE_ALIGN(VRNIC_IB_MAX_DATAGRAM + VRNIC_IB_GRH)

/**
 * struct vrnic_ib_dev - the verbs face of a device
 */
struct vrnic_ib_dev {
	/** @ib: What ib_core knows; first. */
	struct ib_device ib;
	/** @vdev: The device behind it. */
	struct vrnic_device *vdev;
	/** @engine: Moves the bytes of all its queue pairs. */
	struct vrnic_dma_engine *engine;
	/** @link: On the list of all of them. */
	struct list_head link;
	/** @leaving: All that it has is being ended: nothing is executed any more. */
	bool leaving;
	/** @ahs: Addresses by their number. */
	struct xarray ahs;
	/** @mw_lock: Protects what windows lead to; innermost. */
	spinlock_t mw_lock;
	/** @mws: Windows by the index in their keys; changes under @mw_lock, or when one is new. */
	struct xarray mws;
	/** @gsi: The queue pair of the management, NULL for none. */
	struct ib_qp *gsi;
	/** @net_name: Of the port's network device; NULL for a port of InfiniBand. */
	const char *net_name;
	/** @net_nb: Tells of network devices, if the port is to have one. */
	struct notifier_block net_nb;
	/** @ndev: The network device, NULL while it is not there; RTNL. */
	struct net_device *ndev;
};

/**
 * struct vrnic_ib_ucontext - a client
 */
struct vrnic_ib_ucontext {
	/** @ib: What ib_core knows; first. */
	struct ib_ucontext ib;
	/** @workers: Of its domains, see &vrnic_pd.workers. */
	struct workqueue_struct *workers;
	/** @faulters: The same, see &vrnic_pd.faulters. */
	struct workqueue_struct *faulters;
};

/**
 * struct vrnic_ib_pd - a protection domain
 */
struct vrnic_ib_pd {
	/** @ib: What ib_core knows; first. */
	struct ib_pd ib;
	/** @core: The core's, which owns the regions. */
	struct vrnic_pd core;
};

/**
 * struct vrnic_ib_way - where an address leads to
 */
struct vrnic_ib_way {
	/** @dlid: The device, see vrnic_ib_lid(); zero for one that nobody has. */
	u16 dlid;
	/** @has_head: Datagrams begin with @head. */
	bool has_head;
	/** @head: Who it is from, and to. */
	union rdma_network_hdr head;
};

/**
 * struct vrnic_ib_ah - an address
 */
struct vrnic_ib_ah {
	/** @ib: What ib_core knows; first. */
	struct ib_ah ib;
	/** @attr: As created. */
	struct rdma_ah_attr attr;
	/** @number: By which requests name it. */
	u32 number;
	/** @way: Where it leads to. */
	struct vrnic_ib_way way;
};

/**
 * struct vrnic_ib_mr - a memory region
 */
struct vrnic_ib_mr {
	/** @ib: What ib_core knows; first. */
	struct ib_mr ib;
	/** @core: The core's. */
	struct vrnic_mr *core;
	/** @start: User memory: its first byte in the client's memory. */
	u64 start;
	/** @access: As its client has set it. */
	int access;
};

/**
 * struct vrnic_ib_mw - a memory window; &vrnic_ib_dev.mw_lock protects all but @ib
 */
struct vrnic_ib_mw {
	/** @ib: What ib_core knows; first. */
	struct ib_mw ib;
	/** @key: Its key. */
	u32 key;
	/** @access: Bits of &enum vrnic_right. */
	u32 access;
	/** @mr: Where it leads to, NULL for nowhere. */
	struct vrnic_mr *mr;
	/** @qp: The only queue pair that it is for, NULL for all of the domain. */
	struct vrnic_ib_qp *qp;
	/** @addr: First byte, as the region counts. */
	u64 addr;
	/** @len: Bytes. */
	u64 len;
};

/**
 * struct vrnic_ib_ring - a queue in memory that its client maps
 *
 * The client may write to all of it at any time. So the kernel has its own counters,
 * and looks at copies of slots.
 */
struct vrnic_ib_ring {
	/** @entry: By which it is mapped; the memory goes with its last reference. */
	struct rdma_user_mmap_entry entry;
	/** @pages: The memory. */
	struct page **pages;
	/** @nr_pages: Entries in @pages. */
	unsigned int nr_pages;
	/** @head: The same for the kernel: counters, then the slots. */
	struct vrnic_verbs_ring_head *head;
	/** @slots: Number of slots, a power of two. */
	u32 slots;
	/** @slot_size: Bytes of a slot. */
	u32 slot_size;
	/** @pos: The kernel's counter. */
	u32 pos;
};

/**
 * struct vrnic_ib_cq - a completion queue
 */
struct vrnic_ib_cq {
	/** @ib: What ib_core knows; first. */
	struct ib_cq ib;
	/** @resize: One at a time changes its size. */
	struct mutex resize;
	/** @lock: Protects all below; innermost. */
	spinlock_t lock;
	/** @ring: The completions; changes with @resize held as well. */
	struct vrnic_ib_ring *ring;
	/** @armed: Which completion is told of: enum ib_cq_notify_flags; 0 for none. */
	u8 armed;
	/** @overrun: There was no room: it takes nothing more. */
	bool overrun;
};

/**
 * struct vrnic_ib_rq - receive requests, of a queue pair or of many
 */
struct vrnic_ib_rq {
	/** @lock: Protects all below; nothing but a CQ's lock is taken inside. */
	spinlock_t lock;
	/** @ring: The requests. */
	struct vrnic_ib_ring *ring;
	/** @max_sge: Most entries of one. */
	u32 max_sge;
	/** @limit: Tell when fewer are left; 0 for never. */
	u32 limit;
};

/**
 * struct vrnic_ib_srq - a shared receive queue
 */
struct vrnic_ib_srq {
	/** @ib: What ib_core knows; first. */
	struct ib_srq ib;
	/** @rq: The queue. */
	struct vrnic_ib_rq rq;
};

/**
 * struct vrnic_ib_scratch - memory of a queue pair that is reached as a region is
 *
 * Inline data are sent from there, and datagrams.
 */
struct vrnic_ib_scratch {
	/** @cpu: Its first byte. */
	void *cpu;
	/** @addr: The same as the device sees it. */
	dma_addr_t addr;
	/** @map: For the engines. */
	struct vrnic_mapping map;
};

/**
 * struct vrnic_ib_dma - memory that the kernel has mapped for DMA
 */
struct vrnic_ib_dma {
	/** @map: For the engines. */
	struct vrnic_mapping map;
	/** @seg: Its only segment. */
	struct vrnic_segment seg;
};

/**
 * struct vrnic_ib_qp - a queue pair
 *
 * Who has @exec sends: one request after the other, to the end. That is its worker, or a
 * caller that has rung the bell and leaves to the worker whatever would have to wait.
 * What is done at the other queue pair, the responder, is done in the place of that one,
 * under its @resp.
 */
struct vrnic_ib_qp {
	/** @ib: What ib_core knows; first. */
	struct ib_qp ib;
	/** @dev: Its device. */
	struct vrnic_ib_dev *dev;
	/** @ref: One for its owner, one for each peer that sends to it just now. */
	struct kref ref;
	/** @idle: Completed with the last reference. */
	struct completion idle;
	/** @wq: In whose name the core accesses memory; of no other use. */
	struct vrnic_wq wq;
	/** @run: Sends, and flushes. */
	struct delayed_work run;
	/** @modify: Serialises changes of its owner. */
	struct mutex modify;
	/** @lock: Protects @state, @draining. */
	spinlock_t lock;
	/** @state: As it is now. */
	enum ib_qp_state state;
	/** @draining: Going to be drained, of which its owner is to be told. */
	bool draining;
	/** @attr: As its owner set it; changes while nothing of it runs but for limits. */
	struct ib_qp_attr attr;
	/** @way: To the peer; that of a datagram is @exec's. */
	struct vrnic_ib_way way;
	/** @cap: Sizes. */
	struct ib_qp_cap cap;
	/** @sig_all: Each request has a completion. */
	bool sig_all;

	/** @exec: Held by who executes requests; protects all up to @retry_at. */
	struct mutex exec;
	/** @mover: Moves their bytes; only the worker may wait for anything. */
	struct vrnic_mover mover;
	/** @sq: Requests. */
	struct vrnic_ib_ring *sq;
	/** @send: Copy of a slot. */
	struct vrnic_verbs_send *send;
	/** @local: What it is about. */
	struct vrnic_list local;
	/** @remote: What it is about at the other end. */
	struct vrnic_list remote;
	/** @scratch: Inline data, and datagrams. */
	struct vrnic_ib_scratch scratch;
	/** @tries: How often the peer did not answer. */
	unsigned int tries;
	/** @rnr_tries: How often the peer had no receive request. */
	unsigned int rnr_tries;
	/** @begun: The first request of @sq waits to be tried again by the worker. */
	bool begun;
	/** @retry_at: When that is. */
	ktime_t retry_at;

	/** @resp: Held by who is at the responder's side; one at a time per thread. */
	struct mutex resp;
	/** @rq: Receive requests of its own. */
	struct vrnic_ib_rq rq;
	/** @recv: Copy of a slot; @resp. */
	struct vrnic_verbs_recv *recv;
	/** @recv_list: Where it leads; @resp. */
	struct vrnic_list recv_list;
	/** @recv_held: The request in @recv is for the next message; @resp. */
	bool recv_held;
	/** @heard: A message has come since it is ready to receive; @resp. */
	bool heard;
	/** @told_last: Its owner knows that it takes nothing more of a shared queue; @resp. */
	bool told_last;

	/** @send_dma: For entries of @send; NULL unless it is the kernel's; @exec. */
	struct vrnic_ib_dma *send_dma;
	/** @recv_dma: For entries of @recv; the same; @resp. */
	struct vrnic_ib_dma *recv_dma;
};

#define to_vrnic_ib(type, member)							\
static inline struct vrnic_ib_##type *to_vrnic_##type(struct ib_##member *ib)		\
{											\
	return container_of(ib, struct vrnic_ib_##type, ib);				\
}

to_vrnic_ib(dev, device)
to_vrnic_ib(ucontext, ucontext)
to_vrnic_ib(pd, pd)
to_vrnic_ib(ah, ah)
to_vrnic_ib(mr, mr)
to_vrnic_ib(mw, mw)
to_vrnic_ib(cq, cq)
to_vrnic_ib(srq, srq)
to_vrnic_ib(qp, qp)
#undef to_vrnic_ib

static inline struct vrnic_ib_rq *vrnic_ib_rq_of(struct vrnic_ib_qp *qp)
{
	return qp->ib.srq ? &to_vrnic_srq(qp->ib.srq)->rq : &qp->rq;
}

/* Of a port of InfiniBand; for others it is a number of our own. */
static inline u16 vrnic_ib_lid(const struct vrnic_ib_dev *dev)
{
	return dev->vdev->id + 1;
}

static inline bool vrnic_ib_is_roce(const struct vrnic_ib_dev *dev)
{
	return dev->net_name;
}

static inline bool vrnic_ib_is_datagram(const struct vrnic_ib_qp *qp)
{
	return qp->ib.qp_type == IB_QPT_UD || qp->ib.qp_type == IB_QPT_GSI;
}

/* vrnic_verbs_main.c */
int vrnic_ib_no_udata(struct ib_udata *udata);
int vrnic_ib_respond(struct ib_udata *udata, const void *resp, size_t size);

/* vrnic_verbs_net.c */
int vrnic_ib_net_check(void);
int vrnic_ib_net_init(struct vrnic_ib_dev *dev);
void vrnic_ib_net_fini(struct vrnic_ib_dev *dev);
void vrnic_ib_net_query_port(struct vrnic_ib_dev *dev, struct ib_port_attr *attr);
bool vrnic_ib_net_has_gid(struct vrnic_ib_dev *dev, const union ib_gid *gid);
void vrnic_ib_head_make(union rdma_network_hdr *head, const struct rdma_ah_attr *attr, bool roce);
void vrnic_ib_head_finish(union rdma_network_hdr *head, u32 len);

/* vrnic_verbs_ah.c */
extern const struct ib_device_ops vrnic_ib_ah_ops;
void vrnic_ib_devs_add(struct vrnic_ib_dev *dev);
struct vrnic_ib_dev *vrnic_ib_devs_take(struct vrnic_device *vdev);
u16 vrnic_ib_find_lid(const struct vrnic_ib_dev *dev, const struct rdma_ah_attr *attr);
bool vrnic_ib_ah_way(struct vrnic_ib_qp *qp, u32 number);

/* vrnic_verbs_kernel.c */
extern const struct ib_device_ops vrnic_ib_kernel_ops;
int vrnic_ib_kernel_make(struct vrnic_ib_qp *qp, const struct ib_qp_cap *cap);
void vrnic_ib_kernel_free(struct vrnic_ib_qp *qp);
int vrnic_ib_kernel_send(struct vrnic_ib_qp *qp, const struct ib_send_wr *wr,
			 const struct ib_send_wr **bad);
int vrnic_ib_kernel_recv(struct vrnic_ib_qp *qp, const struct ib_recv_wr *wr,
			 const struct ib_recv_wr **bad);
enum ib_wc_status vrnic_ib_add_dma(struct vrnic_list *list, struct vrnic_ib_dma *dma,
				   struct device *dev, const struct vrnic_verbs_sge *sge, u32 nr);

/* vrnic_verbs_ring.c */
struct vrnic_ib_ring *vrnic_ib_ring_create(struct ib_udata *udata, u32 slots, u32 slot_size,
					   struct vrnic_verbs_ring *where);
void vrnic_ib_ring_destroy(struct vrnic_ib_ring *ring);
u32 vrnic_ib_ring_ahead(struct vrnic_ib_ring *ring);
void vrnic_ib_ring_peek(struct vrnic_ib_ring *ring, void *copy);
void vrnic_ib_ring_consume(struct vrnic_ib_ring *ring);
void vrnic_ib_ring_call(struct vrnic_ib_ring *ring, bool call);
void vrnic_ib_ring_reset(struct vrnic_ib_ring *ring, bool call);
void *vrnic_ib_ring_next(struct vrnic_ib_ring *ring);
void vrnic_ib_ring_publish(struct vrnic_ib_ring *ring);
int vrnic_ib_mmap(struct ib_ucontext *ibuc, struct vm_area_struct *vma);
void vrnic_ib_mmap_free(struct rdma_user_mmap_entry *entry);

/* vrnic_verbs_mr.c */
extern const struct ib_device_ops vrnic_ib_mr_ops;
u32 vrnic_ib_rights(int access);

/* vrnic_verbs_mw.c */
extern const struct ib_device_ops vrnic_ib_mw_ops;
struct vrnic_mr *vrnic_ib_mw_get(struct vrnic_ib_qp *qp, u32 key, u32 access, u64 addr, u64 len);
bool vrnic_ib_mw_may_invalidate(struct vrnic_ib_qp *qp, u32 key);
int vrnic_ib_mw_invalidate(struct vrnic_ib_qp *qp, u32 key);
int vrnic_ib_mw_bind(struct vrnic_ib_qp *qp);
void vrnic_ib_mw_forget(struct vrnic_ib_qp *qp);
int vrnic_ib_mw_close(struct vrnic_ib_mr *mr);
void vrnic_ib_mw_open(struct vrnic_ib_mr *mr);

/* vrnic_verbs_cq.c */
extern const struct ib_device_ops vrnic_ib_cq_ops;
int vrnic_ib_create_cq(struct ib_cq *ibcq, const struct ib_cq_init_attr *attr,
		       struct uverbs_attr_bundle *attrs);
bool vrnic_ib_cq_push(struct vrnic_ib_cq *cq, const struct vrnic_verbs_cqe *cqe, bool solicited);

/* vrnic_verbs_srq.c */
extern const struct ib_device_ops vrnic_ib_srq_ops;
int vrnic_ib_rq_init(struct vrnic_ib_rq *rq, u32 *wr, u32 max_sge, struct ib_udata *udata,
		     struct vrnic_verbs_ring *where);
bool vrnic_ib_rq_take(struct vrnic_ib_qp *qp);

/* vrnic_verbs_qp.c */
extern const struct ib_device_ops vrnic_ib_qp_ops;
struct vrnic_ib_qp *vrnic_ib_qp_get(u16 dlid, u32 qpn);
void vrnic_ib_qp_put(struct vrnic_ib_qp *qp);
enum ib_qp_state vrnic_ib_qp_state(struct vrnic_ib_qp *qp);
void vrnic_ib_qp_queue(struct vrnic_ib_qp *qp);
void vrnic_ib_qp_put_off(struct vrnic_ib_qp *qp, unsigned long delay);
void vrnic_ib_qp_sleep(struct vrnic_ib_qp *qp);
bool vrnic_ib_qp_fail(struct vrnic_ib_qp *qp, enum ib_qp_state state);
void vrnic_ib_qp_tell(struct vrnic_ib_qp *qp, enum ib_event_type event);
void vrnic_ib_qp_drained(struct vrnic_ib_qp *qp);

/* vrnic_verbs_run.c */
void vrnic_ib_qp_run(struct work_struct *work);
void vrnic_ib_qp_run_now(struct vrnic_ib_qp *qp);

#endif /* VRNIC_VERBS_H */
