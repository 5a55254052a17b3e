/* SPDX-License-Identifier: MIT */
#ifndef __VRNIC_H__
#define __VRNIC_H__

#include <linux/ioctl.h>
#include <linux/types.h>

#if defined(__cplusplus)
extern "C" {
#endif

/**
 * DOC: Rules of this interface
 *
 * - All integers have a fixed size and are aligned to it; every structure is a
 *   multiple of 8 bytes and the same for 32 and 64 bit callers.
 * - Members called @pad, and flag bits that are not named here, must be zero:
 *   anything else is -EINVAL.
 * - Ids and values are only ever added, never used again for another meaning.
 * - New members of a call's argument are only ever added at its end; zero gives
 *   the behaviour from before. The number and direction of an ioctl say which
 *   call it is, its size how much the caller knows of: what an older caller
 *   lacks is taken as zero, what a newer one has beyond must be zero (-E2BIG)
 *   and is not written. -EINVAL for less than the members of the first version.
 *   Structures in arrays do not grow.
 * - Handles, keys, queues and completions belong to the open file that made
 *   them: to any other file they are -ENOENT or an invalid key.
 * - What a call would have taken or made stays, or is gone, when its answer can
 *   not be written: -EFAULT leaves nothing that the caller does not know of. A
 *   handle or key is of no use before the call that makes it has written it.
 * - Every ioctl can be restarted after a signal, and fails with -ENODEV once
 *   the device is gone.
 *
 * DOC: Addresses
 *
 * A region's addresses count from zero at its first byte, as in a zero based
 * region of RDMA. A key names the region; its upper 24 bits hold the index and
 * a random part, the lower 8 bits are zero.
 */

/** enum vrnic_access - what may be done with a region */
enum vrnic_access {
	/** @VRNIC_ACCESS_LOCAL_WRITE: It may be written as a local buffer. */
	VRNIC_ACCESS_LOCAL_WRITE = 1 << 0,
	/** @VRNIC_ACCESS_REMOTE_WRITE: It may be the target of writes. */
	VRNIC_ACCESS_REMOTE_WRITE = 1 << 1,
	/** @VRNIC_ACCESS_REMOTE_READ: It may be the source of reads. */
	VRNIC_ACCESS_REMOTE_READ = 1 << 2,
	/** @VRNIC_ACCESS_REMOTE_ATOMIC: It may be the target of atomics. */
	VRNIC_ACCESS_REMOTE_ATOMIC = 1 << 3,
};

/** enum vrnic_mr_mode - how a region on a dma-buf follows the buffer */
enum vrnic_mr_mode {
	/**
	 * @VRNIC_MR_ON_DEMAND: Mapped at first use, nothing pinned; unmapped
	 * when the exporter says so and mapped again at the next use.
	 */
	VRNIC_MR_ON_DEMAND = 0,
	/**
	 * @VRNIC_MR_EAGER: Like on demand, but mapped again at once by a worker,
	 * unless the buffer was moved to be mapped for another region.
	 */
	VRNIC_MR_EAGER = 1,
	/**
	 * @VRNIC_MR_FENCED: Like on demand, but work in flight is not stopped:
	 * a BOOKKEEP fence in the reservation covers it.
	 */
	VRNIC_MR_FENCED = 2,
	/** @VRNIC_MR_PINNED: Pinned while registered; ends when revoked. */
	VRNIC_MR_PINNED = 3,
	/**
	 * @VRNIC_MR_STATIC: Without notifications, as older importers do; the
	 * kernel pins the buffer while registered.
	 */
	VRNIC_MR_STATIC = 4,
};

/** VRNIC_REG_MR_USER - the region is user memory at @addr, not a dma-buf */
#define VRNIC_REG_MR_USER			(1 << 0)
/** VRNIC_REG_MR_NO_PEER2PEER - import without allow_peer2peer */
#define VRNIC_REG_MR_NO_PEER2PEER		(1 << 1)
/**
 * VRNIC_REG_MR_BY_ADDRESS - with VRNIC_REG_MR_USER: the memory is not pinned
 *
 * Work reads and writes what is behind the address when it runs: pages are faulted in
 * then, as for the process itself, and given up when the process's page tables change.
 * Nothing has to be there when the region is registered, mappings may come, go, move and
 * be of any kind that has pages. A request that touches an address where there is
 * nothing, or that the process may not write, fails with VRNIC_WC_REM_ACCESS_ERR or
 * VRNIC_WC_LOC_PROT_ERR, and so do all when the process has ended; other addresses go on.
 * Not the memory is counted against RLIMIT_MEMLOCK, but 16 bytes of tables for each page.
 * See Documentation/mm/hmm.rst.
 */
#define VRNIC_REG_MR_BY_ADDRESS			(1 << 2)

/**
 * struct vrnic_reg_mr - argument of VRNIC_IOC_REG_MR
 *
 * Registers a memory region, either on the dma-buf @fd or, with
 * VRNIC_REG_MR_USER, on this process's memory at @addr (pinned for as long as
 * the region lives and counted against RLIMIT_MEMLOCK, unless VRNIC_REG_MR_BY_ADDRESS).
 *
 * A region that keeps its dma-buf from moving counts as well, with all of the buffer,
 * for as long as it lives, against the limit of the process that registers it:
 * VRNIC_MR_PINNED and VRNIC_MR_STATIC, and without VRNIC_QUERY_DYNAMIC every mode.
 * Each region counts for itself, as in RDMA.
 *
 * Errors: -EINVAL for unknown bits, zero @length, a range that overflows or
 * goes beyond the buffer, or an @fd that is not a dma-buf; -EBADF for an @fd
 * that is not open; -EACCES for write access to a buffer that was exported
 * read only; -EFAULT for a bad @addr; -ENOSPC when the file has its limit of
 * regions, or the device, which has 65535; -ENOMEM for RLIMIT_MEMLOCK or no memory;
 * -ENODEV when the exporter has revoked the buffer; -EOPNOTSUPP when the device reaches
 * the memory only by bounce buffers, or the kernel has no HMM for VRNIC_REG_MR_BY_ADDRESS;
 * -ETIMEDOUT for a fence that does not signal, -EIO
 * for one that says that the buffer's bytes did not arrive (modes that map at first use:
 * the last three then).
 */
struct vrnic_reg_mr {
	/** @flags: In: VRNIC_REG_MR_* */
	__u32 flags;
	/** @mode: In: one of &enum vrnic_mr_mode; zero for user memory. */
	__u32 mode;
	/** @access: In: bits of &enum vrnic_access; 0 allows local reads only. */
	__u32 access;
	/** @fd: In: dma-buf; -1 for user memory. */
	__s32 fd;
	/** @addr: In: user address; zero for a dma-buf. */
	__u64 addr;
	/** @offset: In: first byte within the dma-buf; zero for user memory. */
	__u64 offset;
	/** @length: In: bytes. */
	__u64 length;
	/** @handle: Out: names the region in other calls, never zero. */
	__u32 handle;
	/** @lkey: Out: key for scatter/gather entries. */
	__u32 lkey;
	/** @rkey: Out: key for the remote side of a work request. */
	__u32 rkey;
	/** @pad: Must be zero. */
	__u32 pad;
};

/**
 * struct vrnic_dereg_mr - argument of VRNIC_IOC_DEREG_MR
 *
 * Returns when no work uses the region any more; work that is still queued
 * then fails with an invalid key.
 */
struct vrnic_dereg_mr {
	/** @handle: In: region. */
	__u32 handle;
	/** @pad: Must be zero. */
	__u32 pad;
};

/** enum vrnic_advice - what VRNIC_IOC_ADVISE_MR is to do */
enum vrnic_advice {
	/** @VRNIC_ADVISE_PREFETCH: Map the region for reading. */
	VRNIC_ADVISE_PREFETCH = 0,
	/** @VRNIC_ADVISE_PREFETCH_WRITE: Map the region for reading and writing. */
	VRNIC_ADVISE_PREFETCH_WRITE = 1,
};

/** VRNIC_ADVISE_FLUSH - return when it is done, with its result */
#define VRNIC_ADVISE_FLUSH			(1 << 0)

/**
 * struct vrnic_advise_mr - argument of VRNIC_IOC_ADVISE_MR
 *
 * Errors: -EINVAL for unknown values; -ENOENT for an unknown region; -EACCES for
 * PREFETCH_WRITE of a region that may not be written. With VRNIC_ADVISE_FLUSH also
 * what comes of it: -ENODEV when the region has ended; -EOPNOTSUPP when its memory
 * would be bounced; -ETIMEDOUT for a fence that does not signal; -EIO for one that
 * says that the buffer's bytes did not arrive; or the exporter's. Of a region by address:
 * -EACCES when there is nothing behind an address, or nothing for that, or no memory to have
 * it there; -EFAULT for what the device does not reach; -EINTR, with or without it.
 */
struct vrnic_advise_mr {
	/** @handle: In: region. */
	__u32 handle;
	/** @advice: In: one of &enum vrnic_advice. */
	__u32 advice;
	/** @flags: In: VRNIC_ADVISE_* */
	__u32 flags;
	/** @pad: Must be zero. */
	__u32 pad;
};

/** VRNIC_MR_STATE_MAPPED - has a mapping now */
#define VRNIC_MR_STATE_MAPPED			(1 << 0)
/** VRNIC_MR_STATE_REVOKED - the exporter took the buffer away */
#define VRNIC_MR_STATE_REVOKED			(1 << 1)
/** VRNIC_MR_STATE_PEER - the mapping is peer memory: addresses without pages */
#define VRNIC_MR_STATE_PEER			(1 << 2)

/** struct vrnic_counters - counters of a region or of the device */
struct vrnic_counters {
	/** @maps: Mappings made; of user memory by address, pages. */
	__u64 maps;
	/** @unmaps: Mappings given back; of user memory by address, pages. */
	__u64 unmaps;
	/** @invalidations: Notifications by the exporter, or of changed page tables. */
	__u64 invalidations;
	/** @faults: Times that work found no mapping and had to make one. */
	__u64 faults;
	/** @bytes_read: Bytes read from memory. */
	__u64 bytes_read;
	/** @bytes_written: Bytes written to memory. */
	__u64 bytes_written;
	/** @stall_ns: Nanoseconds that work waited for a mapping, in sum. */
	__u64 stall_ns;
	/** @stall_max_ns: The longest of these waits. */
	__u64 stall_max_ns;
	/** @dma_faults: Accesses to addresses that the bus did not resolve. */
	__u64 dma_faults;
	/** @violations: Breaches of the dma-buf contract by the exporter. */
	__u64 violations;
};

/** struct vrnic_query_mr - argument of VRNIC_IOC_QUERY_MR */
struct vrnic_query_mr {
	/** @handle: In: region. */
	__u32 handle;
	/** @pad: Must be zero. */
	__u32 pad;
	/** @state: Out: VRNIC_MR_STATE_* */
	__u32 state;
	/** @mode: Out: one of &enum vrnic_mr_mode. */
	__u32 mode;
	/** @segments: Out: DMA segments of the mapping; pages that are mapped, if by address. */
	__u32 segments;
	/** @last_violation: Out: one of &enum vrnic_violation. */
	__u32 last_violation;
	/** @inode: Out: inode number of the dma-buf. */
	__u64 inode;
	/** @counters: Out: of this region. */
	struct vrnic_counters counters;
};

/** enum vrnic_violation - breaches of the dma-buf contract that are detected */
enum vrnic_violation {
	/** @VRNIC_VIOLATION_NONE: None so far. */
	VRNIC_VIOLATION_NONE = 0,
	/** @VRNIC_VIOLATION_ALIGNMENT: A DMA address or length is not page aligned. */
	VRNIC_VIOLATION_ALIGNMENT = 1,
	/** @VRNIC_VIOLATION_LENGTH: The table covers less than the buffer. */
	VRNIC_VIOLATION_LENGTH = 2,
	/** @VRNIC_VIOLATION_PAGES: Peer memory came with struct pages. */
	VRNIC_VIOLATION_PAGES = 3,
	/** @VRNIC_VIOLATION_LOCK: A callback came without the reservation held. */
	VRNIC_VIOLATION_LOCK = 4,
	/** @VRNIC_VIOLATION_FENCE: A KERNEL fence did not signal in time. */
	VRNIC_VIOLATION_FENCE = 5,
	/** @VRNIC_VIOLATION_MOVED: The addresses changed without a notification. */
	VRNIC_VIOLATION_MOVED = 6,
	/**
	 * @VRNIC_VIOLATION_BOUNCED: The addresses lead to bounce buffers, which nobody
	 * keeps in step with the buffer. The mapping is not used: -EOPNOTSUPP, and work
	 * completes with VRNIC_WC_GENERAL_ERR.
	 */
	VRNIC_VIOLATION_BOUNCED = 7,
	/** @VRNIC_VIOLATION_EXCESS: The table leads beyond the buffer. */
	VRNIC_VIOLATION_EXCESS = 8,
	/**
	 * @VRNIC_VIOLATION_MASK: An address is beyond the device's DMA mask. The mapping is not
	 * used: -EINVAL, and work completes with VRNIC_WC_GENERAL_ERR.
	 */
	VRNIC_VIOLATION_MASK = 9,
	/** @VRNIC_VIOLATION_SEGMENT: A segment is longer than the device takes. */
	VRNIC_VIOLATION_SEGMENT = 10,
	/** @VRNIC_VIOLATION_RAW: The IOMMU does not know an address that was just mapped. */
	VRNIC_VIOLATION_RAW = 11,
	/** @VRNIC_VIOLATION_TABLE: A table changed after it was handed out. */
	VRNIC_VIOLATION_TABLE = 12,
	/** @VRNIC_VIOLATION_PIN: A pinned buffer changed its place. */
	VRNIC_VIOLATION_PIN = 13,
	/** @VRNIC_VIOLATION_SIZE: The buffer's size is not that of its file. */
	VRNIC_VIOLATION_SIZE = 14,
};

/** enum vrnic_engine - what moves the bytes of a queue */
enum vrnic_engine {
	/** @VRNIC_ENGINE_CPU: Software that resolves DMA addresses as the bus would. */
	VRNIC_ENGINE_CPU = 0,
	/** @VRNIC_ENGINE_EDU: The DMA engine of QEMU's edu function. */
	VRNIC_ENGINE_EDU = 1,
};

/**
 * struct vrnic_create_queue - argument of VRNIC_IOC_CREATE_QUEUE
 *
 * Errors: -EINVAL for a @depth of zero or above the limit, unknown bits;
 * -EOPNOTSUPP for an engine that the device does not have; -EIO for one that
 * does not work; -EINTR while it is got ready; -EBADF or -EINVAL for a wrong
 * @eventfd; -ENOSPC when the file has its limit of queues.
 */
struct vrnic_create_queue {
	/** @flags: In: must be zero. */
	__u32 flags;
	/** @engine: In: one of &enum vrnic_engine. */
	__u32 engine;
	/** @depth: In: most work requests that are posted and not yet polled. */
	__u32 depth;
	/** @eventfd: In: signalled for every completion; -1 for none. */
	__s32 eventfd;
	/** @handle: Out: names the queue, never zero. */
	__u32 handle;
	/** @pad: Must be zero. */
	__u32 pad;
};

/** struct vrnic_queue - argument of VRNIC_IOC_DESTROY_QUEUE and VRNIC_IOC_RESET_QUEUE */
struct vrnic_queue {
	/** @handle: In: queue. */
	__u32 handle;
	/** @pad: Must be zero. */
	__u32 pad;
};

/** enum vrnic_opcode - what a work request does */
enum vrnic_opcode {
	/** @VRNIC_OP_WRITE: Gather the local entries into the remote range. */
	VRNIC_OP_WRITE = 0,
	/** @VRNIC_OP_READ: Scatter the remote range to the local entries. */
	VRNIC_OP_READ = 1,
	/**
	 * @VRNIC_OP_FETCH_ADD: Add @operand to the 8 bytes at the remote address;
	 * the old value goes to the local entry (8 bytes).
	 */
	VRNIC_OP_FETCH_ADD = 2,
	/**
	 * @VRNIC_OP_COMPARE_SWAP: Put @swap into the 8 bytes at the remote address
	 * when they equal @operand; the old value goes to the local entry.
	 */
	VRNIC_OP_COMPARE_SWAP = 3,
	/** @VRNIC_OP_FILL: Repeat the 8 bytes of @operand over the remote range. */
	VRNIC_OP_FILL = 4,
	/**
	 * @VRNIC_OP_CRC32C: CRC32C of the remote range, seeded with the low half
	 * of @operand; the result is in the completion.
	 */
	VRNIC_OP_CRC32C = 5,
};

/** VRNIC_MAX_SGE - most scatter/gather entries of a work request */
#define VRNIC_MAX_SGE				16
/** VRNIC_MAX_BATCH - most work requests or completions of one call */
#define VRNIC_MAX_BATCH				1024

/** struct vrnic_sge - a range of a region */
struct vrnic_sge {
	/** @addr: First byte, counted from the start of the region. */
	__u64 addr;
	/** @length: Bytes. */
	__u32 length;
	/** @lkey: The region's local key. */
	__u32 lkey;
};

/** struct vrnic_wr - a work request */
struct vrnic_wr {
	/** @wr_id: The caller's; comes back in the completion. */
	__u64 wr_id;
	/** @opcode: One of &enum vrnic_opcode. */
	__u32 opcode;
	/** @flags: Must be zero. */
	__u32 flags;
	/** @remote_addr: First byte, counted from the start of the remote region. */
	__u64 remote_addr;
	/** @remote_length: Bytes for FILL and CRC32C; zero for the others. */
	__u64 remote_length;
	/** @rkey: The remote region's key. */
	__u32 rkey;
	/** @num_sge: Entries at @sge. */
	__u32 num_sge;
	/** @sge: User pointer to &struct vrnic_sge. */
	__u64 sge;
	/** @operand: See &enum vrnic_opcode; zero where it has no meaning. */
	__u64 operand;
	/** @swap: See &enum vrnic_opcode; zero where it has no meaning. */
	__u64 swap;
};

/**
 * struct vrnic_post - argument of VRNIC_IOC_POST
 *
 * Queues @count work requests in order; they start, and complete, in order. All
 * requests of the call are checked for their form first: when one is malformed
 * none is queued. Keys and ranges are checked when a request runs. Errors:
 * -EINVAL; -ENOSPC when the queue has no room for all of them; -EPIPE when the
 * queue is in the error state and must be reset.
 */
struct vrnic_post {
	/** @queue: In: queue. */
	__u32 queue;
	/** @count: In: entries at @wrs, 1 to VRNIC_MAX_BATCH. */
	__u32 count;
	/** @wrs: In: user pointer to &struct vrnic_wr. */
	__u64 wrs;
};

/** enum vrnic_status - how a work request ended */
enum vrnic_status {
	/** @VRNIC_WC_SUCCESS: Done. */
	VRNIC_WC_SUCCESS = 0,
	/** @VRNIC_WC_LOC_LEN_ERR: Local entries do not fit the operation. */
	VRNIC_WC_LOC_LEN_ERR = 1,
	/** @VRNIC_WC_LOC_PROT_ERR: Bad local key, range or access. */
	VRNIC_WC_LOC_PROT_ERR = 2,
	/**
	 * @VRNIC_WC_REM_ACCESS_ERR: Bad remote key, range or access, or revoked; a
	 * device whose fence says that it is gone has revoked its buffers.
	 */
	VRNIC_WC_REM_ACCESS_ERR = 3,
	/** @VRNIC_WC_FLUSHED: Not started: an earlier request of the queue failed. */
	VRNIC_WC_FLUSHED = 4,
	/** @VRNIC_WC_DMA_FAULT: The bus did not resolve an address. */
	VRNIC_WC_DMA_FAULT = 5,
	/**
	 * @VRNIC_WC_GENERAL_ERR: The mapping could not be made: no memory, say, or an
	 * exporter that maps for one of two regions only at the other's cost. Or the
	 * buffer's bytes did not arrive, as the fence of their exporter's copy says.
	 */
	VRNIC_WC_GENERAL_ERR = 6,
};

/** struct vrnic_wc - a completion */
struct vrnic_wc {
	/** @wr_id: Of the work request. */
	__u64 wr_id;
	/** @status: One of &enum vrnic_status. */
	__u32 status;
	/** @opcode: Of the work request. */
	__u32 opcode;
	/** @byte_len: Bytes transferred. */
	__u64 byte_len;
	/** @result: CRC32C, or the old value of an atomic. */
	__u64 result;
};

/**
 * struct vrnic_poll - argument of VRNIC_IOC_POLL
 *
 * Takes up to @count completions, in the order of the work requests. Waits
 * until there is at least one, or until @timeout_ns is over, which is no error:
 * @count is 0 then. Several readers of a queue take turns, and each completion
 * goes to one of them.
 *
 * Errors: -EINVAL for a @count of zero or above VRNIC_MAX_BATCH; -ENOENT for an
 * unknown queue; -EFAULT when @wcs, or the argument itself, can not be written.
 * After an error no completion is gone: the next call has them all. @count may be
 * smaller than the number that there are when a part of @wcs can not be written.
 */
struct vrnic_poll {
	/** @queue: In: queue. */
	__u32 queue;
	/** @count: In: room at @wcs, 1 to VRNIC_MAX_BATCH. Out: completions taken. */
	__u32 count;
	/** @wcs: In: user pointer to &struct vrnic_wc. */
	__u64 wcs;
	/** @timeout_ns: In: longest wait; 0 does not wait, negative has no end. */
	__s64 timeout_ns;
};

/** VRNIC_QUERY_PCI - sits on a PCI function */
#define VRNIC_QUERY_PCI				(1 << 0)
/** VRNIC_QUERY_EDU - has the hardware engine */
#define VRNIC_QUERY_EDU				(1 << 1)
/** VRNIC_QUERY_IOMMU - its addresses are translated by an IOMMU */
#define VRNIC_QUERY_IOMMU			(1 << 2)
/** VRNIC_QUERY_DYNAMIC - the kernel tells importers of moves instead of pinning */
#define VRNIC_QUERY_DYNAMIC			(1 << 3)

/** struct vrnic_query - argument of VRNIC_IOC_QUERY */
struct vrnic_query {
	/** @pad: Must be zero. */
	__u32 pad;
	/** @flags: Out: VRNIC_QUERY_* */
	__u32 flags;
	/** @max_mrs: Out: regions per file. */
	__u32 max_mrs;
	/** @max_queues: Out: queues per file. */
	__u32 max_queues;
	/** @max_depth: Out: work requests per queue. */
	__u32 max_depth;
	/** @mrs: Out: regions of all files now. */
	__u32 mrs;
	/** @chunk: Out: bytes copied at a time; bounds the wait in a notification. */
	__u64 chunk;
	/** @device: Out: name of the device, ends with a zero byte. */
	char device[48];
	/** @counters: Out: of the device since it was loaded. */
	struct vrnic_counters counters;
};

#define VRNIC_IOC_MAGIC			0xED

#define VRNIC_IOC_QUERY			_IOWR(VRNIC_IOC_MAGIC, 0x00, struct vrnic_query)
#define VRNIC_IOC_REG_MR		_IOWR(VRNIC_IOC_MAGIC, 0x01, struct vrnic_reg_mr)
#define VRNIC_IOC_DEREG_MR		_IOW(VRNIC_IOC_MAGIC, 0x02, struct vrnic_dereg_mr)
#define VRNIC_IOC_ADVISE_MR		_IOW(VRNIC_IOC_MAGIC, 0x03, struct vrnic_advise_mr)
#define VRNIC_IOC_QUERY_MR		_IOWR(VRNIC_IOC_MAGIC, 0x04, struct vrnic_query_mr)
#define VRNIC_IOC_CREATE_QUEUE		_IOWR(VRNIC_IOC_MAGIC, 0x05, struct vrnic_create_queue)
#define VRNIC_IOC_DESTROY_QUEUE		_IOW(VRNIC_IOC_MAGIC, 0x06, struct vrnic_queue)
#define VRNIC_IOC_RESET_QUEUE		_IOW(VRNIC_IOC_MAGIC, 0x07, struct vrnic_queue)
#define VRNIC_IOC_POST			_IOW(VRNIC_IOC_MAGIC, 0x08, struct vrnic_post)
#define VRNIC_IOC_POLL			_IOWR(VRNIC_IOC_MAGIC, 0x09, struct vrnic_poll)

#if defined(__cplusplus)
}
#endif

#endif /* __VRNIC_H__ */
