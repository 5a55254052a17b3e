/* SPDX-License-Identifier: MIT */
#ifndef __VRNIC_VERBS_ABI_H__
#define __VRNIC_VERBS_ABI_H__

#include <linux/types.h>

#if defined(__cplusplus)
extern "C" {
#endif

/**
 * DOC: Queues that the kernel and the provider share
 *
 * What vrnic_verbs.ko and its userspace provider (libvrnic) know of each other, on top of
 * the kernel's own rdma/ib_user_verbs.h. Programs use libibverbs.
 *
 * - Each queue is a ring in memory of its own, which the provider maps: @offset of
 *   &struct vrnic_verbs_ring is that of its mmap(). A head comes first, then the slots.
 * - Both counters run freely; the slot of a count is its remainder by the number of
 *   slots, which is a power of two.
 * - Send and receive queues: the provider writes slots, then @producer; the kernel
 *   copies a slot once, checks the copy, and then moves @consumer on. To a program a slot of
 *   a send queue is free when it has taken the completion (specification, 10.8.5), of which
 *   @cookie and @sent in the completion tell.
 * - Completion queues: the kernel writes slots, then @producer; the provider moves
 *   @consumer on. A queue in which there is no room when the kernel needs it has
 *   been overrun: an asynchronous event, and no completion comes any more.
 * - The kernel looks for new entries by itself while VRNIC_VERBS_RING_CALL is not set.
 *   With it, the provider rings: the write command POST_SEND or POST_RECV of ib_uverbs
 *   for the queue pair, without any request. The provider looks after it has
 *   written @producer, with a full barrier in between.
 * - Opcodes, flags, states and statuses are those of rdma/ib_user_verbs.h and of
 *   libibverbs.
 */

/** VRNIC_VERBS_ABI_VERSION - the only one so far */
#define VRNIC_VERBS_ABI_VERSION		1

/** VRNIC_VERBS_RING_CALL - nobody looks: a call is needed after @producer has moved */
#define VRNIC_VERBS_RING_CALL		(1 << 0)

/** struct vrnic_verbs_ring_head - the beginning of a queue's memory */
struct vrnic_verbs_ring_head {
	/** @producer: Entries written so far. */
	__u32 producer;
	/** @pad: Keeps the two sides' cache lines apart. */
	__u32 pad[15];
	/** @consumer: Entries taken so far. */
	__u32 consumer;
	/** @flags: VRNIC_VERBS_RING_*; the kernel's. */
	__u32 flags;
	/** @cookie: Of a send queue: comes back in its completions; the provider's. */
	__u64 cookie;
	/** @pad2: Up to the first slot. */
	__u32 pad2[12];
};

/** struct vrnic_verbs_ring - where a queue is, in the answers to calls that make one */
struct vrnic_verbs_ring {
	/** @offset: For mmap(). */
	__u64 offset;
	/** @size: Bytes to map. */
	__u32 size;
	/** @slots: Number of slots; a power of two, zero for a queue that is not there. */
	__u32 slots;
	/** @slot_size: Bytes of each. */
	__u32 slot_size;
	/** @pad: Zero. */
	__u32 pad;
};

/** struct vrnic_verbs_create_ah_resp - answer to CREATE_AH */
struct vrnic_verbs_create_ah_resp {
	/** @ah: Number of the address, for requests. */
	__u32 ah;
	/** @pad: Zero. */
	__u32 pad;
};

/** struct vrnic_verbs_create_cq_resp - answer to CREATE_CQ */
struct vrnic_verbs_create_cq_resp {
	/** @cq: Slots are &struct vrnic_verbs_cqe. */
	struct vrnic_verbs_ring cq;
};

/**
 * struct vrnic_verbs_resize_cq_resp - answer to RESIZE_CQ
 *
 * Both counters are as they were, and so are the completions between them. Nothing may be taken
 * from the queue during the call.
 */
struct vrnic_verbs_resize_cq_resp {
	/** @cq: The queue from now on. */
	struct vrnic_verbs_ring cq;
};

/** struct vrnic_verbs_create_srq_resp - answer to CREATE_SRQ */
struct vrnic_verbs_create_srq_resp {
	/** @rq: Slots are &struct vrnic_verbs_recv. */
	struct vrnic_verbs_ring rq;
};

/** struct vrnic_verbs_create_qp_resp - answer to CREATE_QP */
struct vrnic_verbs_create_qp_resp {
	/** @sq: Slots are &struct vrnic_verbs_send. */
	struct vrnic_verbs_ring sq;
	/** @rq: Slots are &struct vrnic_verbs_recv; not there with a shared receive queue. */
	struct vrnic_verbs_ring rq;
};

/** struct vrnic_verbs_sge - a scatter/gather entry */
struct vrnic_verbs_sge {
	/** @addr: First byte. */
	__u64 addr;
	/** @length: Bytes. */
	__u32 length;
	/** @lkey: Local key. */
	__u32 lkey;
};

/** struct vrnic_verbs_send - a slot of a send queue */
struct vrnic_verbs_send {
	/** @wr_id: Comes back in the completion. */
	__u64 wr_id;
	/** @opcode: enum ib_uverbs_wr_opcode. */
	__u32 opcode;
	/** @flags: As of ibv_send_wr.send_flags. */
	__u32 flags;
	union {
		/** @imm: Immediate data, in network order; zero without. */
		__be32 imm;
		/** @invalidate_rkey: The window whose key is taken back, here or at the peer. */
		__u32 invalidate_rkey;
	};
	/** @num_sge: Entries that follow; zero for inline data. */
	__u32 num_sge;
	/** @inline_len: Bytes of inline data that follow instead. */
	__u32 inline_len;
	/** @rkey: Of RDMA and atomics; a window's from now on. */
	__u32 rkey;
	/** @remote_addr: Of RDMA and atomics; a window's first byte. */
	__u64 remote_addr;
	union {
		struct {
			/** @compare_add: What to add, or to compare with. */
			__u64 compare_add;
			/** @swap: What to put there. */
			__u64 swap;
		};
		struct {
			/** @remote_qpn: Datagrams: the queue pair. */
			__u32 remote_qpn;
			/** @remote_qkey: Datagrams: its key. */
			__u32 remote_qkey;
			/** @ah: Datagrams: where it is: of the answer to CREATE_AH. */
			__u32 ah;
			/** @pad: Zero. */
			__u32 pad;
		};
		struct {
			/** @mw_length: Windows: bytes; zero for none. */
			__u64 mw_length;
			/** @mw_rkey: Windows: the key so far. */
			__u32 mw_rkey;
			/** @mr_lkey: Windows: the region. */
			__u32 mr_lkey;
			/** @mw_access: Windows: rights, as of ibv_access_flags. */
			__u32 mw_access;
			/** @pad2: Zero. */
			__u32 pad2;
		};
	};
	/** @sge: Entries, or inline data. */
	struct vrnic_verbs_sge sge[];
};

/** struct vrnic_verbs_recv - a slot of a receive queue */
struct vrnic_verbs_recv {
	/** @wr_id: Comes back in the completion. */
	__u64 wr_id;
	/** @num_sge: Entries that follow. */
	__u32 num_sge;
	/** @pad: Zero. */
	__u32 pad;
	/** @sge: Entries. */
	struct vrnic_verbs_sge sge[];
};

/** VRNIC_VERBS_WC_WITH_INV - of wc_flags as libibverbs has them; the kernel's own differ */
#define VRNIC_VERBS_WC_WITH_INV		(1 << 3)

/** struct vrnic_verbs_cqe - a slot of a completion queue */
struct vrnic_verbs_cqe {
	/** @wr_id: Of the request. */
	__u64 wr_id;
	/** @status: enum ibv_wc_status. */
	__u32 status;
	/** @opcode: enum ibv_wc_opcode; valid as it is in &struct ibv_wc. */
	__u32 opcode;
	/** @byte_len: Bytes transferred. */
	__u32 byte_len;
	union {
		/** @imm: Immediate data, in network order. */
		__be32 imm;
		/** @invalidated_rkey: The window whose key the peer has taken back. */
		__u32 invalidated_rkey;
	};
	/** @qp_num: Local queue pair. */
	__u32 qp_num;
	/** @src_qp: Remote queue pair of a datagram. */
	__u32 src_qp;
	/** @wc_flags: enum ibv_wc_flags. */
	__u32 wc_flags;
	/** @slid: Where a datagram came from. */
	__u32 slid;
	/** @timestamp_ns: When it was written, of CLOCK_MONOTONIC. */
	__u64 timestamp_ns;
	/** @cookie: Of a send request: that of its queue; zero of others. */
	__u64 cookie;
	/** @sent: Of a send request: @consumer behind it. */
	__u32 sent;
	/** @pad: Zero. */
	__u32 pad;
};

#if defined(__cplusplus)
}
#endif

#endif /* __VRNIC_VERBS_ABI_H__ */
