/* SPDX-License-Identifier: MIT */
#ifndef __VVRAM_DRM_H__
#define __VVRAM_DRM_H__

#include "drm.h"

#if defined(__cplusplus)
extern "C" {
#endif

/**
 * DOC: Rules of this interface
 *
 * - All integers have a fixed size and are aligned to it; every structure
 *   is a multiple of 8 bytes and the same for 32 and 64 bit callers.
 * - Members called @pad, and flag bits that are not named here, must be zero:
 *   anything else is -EINVAL, so that they can get a meaning later.
 * - New members are only ever added at the end of a structure. Zero in a new
 *   member gives the behaviour from before it existed; the DRM core fills up
 *   the structures of older callers with zeroes.
 * - Ids and values are only ever added, never used again for another meaning.
 * - Every ioctl is allowed on render nodes, can be restarted after a signal
 *   (-EINTR), and fails with -ENODEV once the device is gone.
 * - Unknown GEM handles are -ENOENT.
 */

/** enum drm_vvram_ioctl_id - ioctl numbers, counted from DRM_COMMAND_BASE */
enum drm_vvram_ioctl_id {
	/** @DRM_VVRAM_GEM_CREATE: Create a buffer. */
	DRM_VVRAM_GEM_CREATE = 0,
	/** @DRM_VVRAM_GEM_MMAP_OFFSET: Get the offset for mmap(). */
	DRM_VVRAM_GEM_MMAP_OFFSET,
	/** @DRM_VVRAM_GEM_MOVE: Move a buffer to another placement. */
	DRM_VVRAM_GEM_MOVE,
	/** @DRM_VVRAM_GEM_INFO: Ask for a buffer's state. */
	DRM_VVRAM_GEM_INFO,
	/** @DRM_VVRAM_QUERY: Ask for the device's properties and counters. */
	DRM_VVRAM_QUERY,
	/** @DRM_VVRAM_GEM_ATTACHMENTS: List a buffer's importers. */
	DRM_VVRAM_GEM_ATTACHMENTS,
	/** @DRM_VVRAM_GEM_REVOKE: Take a buffer away from its importers. */
	DRM_VVRAM_GEM_REVOKE,
	/** @DRM_VVRAM_SVM_MIGRATE: Move memory of the caller's to VRAM or back. */
	DRM_VVRAM_SVM_MIGRATE,
};

/**
 * enum drm_vvram_placement - where the bytes of a buffer are
 *
 * Values are bits, so that a later interface may speak of sets.
 */
enum drm_vvram_placement {
	/** @DRM_VVRAM_PLACEMENT_SYSTEM: System memory. */
	DRM_VVRAM_PLACEMENT_SYSTEM = 1 << 0,
	/** @DRM_VVRAM_PLACEMENT_VRAM: The device's own memory. */
	DRM_VVRAM_PLACEMENT_VRAM = 1 << 1,
	/**
	 * @DRM_VVRAM_PLACEMENT_SWAP: Swapped out; comes back at the next use.
	 * Only ever returned.
	 */
	DRM_VVRAM_PLACEMENT_SWAP = 1 << 2,
	/**
	 * @DRM_VVRAM_PLACEMENT_FOREIGN: Another device's buffer, imported here.
	 * Only ever returned.
	 */
	DRM_VVRAM_PLACEMENT_FOREIGN = 1 << 3,
};

/** DRM_VVRAM_GEM_CREATE_CONTIGUOUS - one piece when in VRAM, never scattered */
#define DRM_VVRAM_GEM_CREATE_CONTIGUOUS		(1 << 0)

/**
 * struct drm_vvram_gem_create - argument of DRM_IOCTL_VVRAM_GEM_CREATE
 *
 * The buffer starts zeroed at @placement. It may be evicted from there whenever
 * room is needed. Room that others are just giving up, or keep for a moment only, is
 * waited for.
 *
 * Errors: -EINVAL for a @size of zero or one that overflows, unknown @flags or
 * @placement, @pad not zero; -ENOSPC when VRAM can never hold it; -ENOMEM, also for
 * more than TTM's page limit, which is half of the machine's memory.
 */
struct drm_vvram_gem_create {
	/** @size: In: bytes wanted. Out: bytes given, a multiple of the page size. */
	__u64 size;
	/** @placement: In: VRAM or SYSTEM of &enum drm_vvram_placement. */
	__u32 placement;
	/** @flags: In: DRM_VVRAM_GEM_CREATE_* */
	__u32 flags;
	/** @handle: Out: the GEM handle, never zero. */
	__u32 handle;
	/** @pad: Must be zero. */
	__u32 pad;
};

/**
 * struct drm_vvram_gem_mmap_offset - argument of DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET
 *
 * The mapping stays valid, with the same bytes, across every move. Buffers that
 * were imported from elsewhere have none: -EINVAL.
 */
struct drm_vvram_gem_mmap_offset {
	/** @handle: In: GEM handle. */
	__u32 handle;
	/** @pad: Must be zero. */
	__u32 pad;
	/** @offset: Out: pass it to mmap() on this file. */
	__u64 offset;
};

/** DRM_VVRAM_SYNC_TIMELINE - the syncobj is a timeline */
#define DRM_VVRAM_SYNC_TIMELINE			(1 << 0)
/**
 * DRM_VVRAM_SYNC_SIGNAL - attach the move's fence (else: wait before the move)
 *
 * The fence's status, as a sync_file made of the syncobj tells it (&struct
 * sync_file_info), is 1 for ever when the bytes have arrived, and -ENODEV when the
 * device went away before they did.
 */
#define DRM_VVRAM_SYNC_SIGNAL			(1 << 1)

/** struct drm_vvram_sync - a point to wait for or to signal */
struct drm_vvram_sync {
	/** @flags: DRM_VVRAM_SYNC_* */
	__u32 flags;
	/** @handle: Handle of a drm_syncobj. */
	__u32 handle;
	/** @point: Timeline point; zero for a binary syncobj. */
	__u64 point;
};

/**
 * DRM_VVRAM_GEM_MOVE_ASYNC - return once the move is queued
 *
 * Without it the call returns when the bytes have arrived.
 */
#define DRM_VVRAM_GEM_MOVE_ASYNC		(1 << 0)

/** DRM_VVRAM_MAX_SYNCS - most entries in &drm_vvram_gem_move.syncs */
#define DRM_VVRAM_MAX_SYNCS			64

/**
 * struct drm_vvram_gem_move - argument of DRM_IOCTL_VVRAM_GEM_MOVE
 *
 * Moves the buffer to @placement; a buffer that is there already stays (and the
 * call succeeds). Importers are told before, CPU pointers stay valid, and no
 * byte is lost. A later use by an importer that can not reach VRAM brings the
 * buffer back to system memory. A buffer that was revoked is its owner's to
 * move as before.
 *
 * The bytes have arrived after all syncobjs to wait for, and after the copy, if
 * there has to be one: then the call returns, or with
 * DRM_VVRAM_GEM_MOVE_ASYNC the syncobjs to signal do so.
 *
 * Errors: -EINVAL for unknown @flags, @placement or sync flags, imported
 * buffers, more than DRM_VVRAM_MAX_SYNCS, or a syncobj to wait for that has no
 * fence; -EBUSY when the buffer is pinned elsewhere, or somebody has pages of it
 * and does not let go for as long as the module's parameter drain_ms says; -ENOSPC or -ENOMEM when
 * the destination has no room, and none is to come; -ENOENT for an unknown handle
 * or syncobj; -ENODEV, also after a wait, when the device went away before the
 * bytes had arrived.
 */
struct drm_vvram_gem_move {
	/** @handle: In: GEM handle. */
	__u32 handle;
	/** @placement: In: VRAM or SYSTEM of &enum drm_vvram_placement. */
	__u32 placement;
	/** @flags: In: DRM_VVRAM_GEM_MOVE_* */
	__u32 flags;
	/** @num_syncs: In: number of entries at @syncs. */
	__u32 num_syncs;
	/** @syncs: In: user pointer to &struct drm_vvram_sync. */
	__u64 syncs;
};

/** DRM_VVRAM_INFO_PINNED - has pins and can not be moved */
#define DRM_VVRAM_INFO_PINNED			(1 << 0)
/** DRM_VVRAM_INFO_EXPORTED - has a dma-buf */
#define DRM_VVRAM_INFO_EXPORTED			(1 << 1)
/** DRM_VVRAM_INFO_REVOKED - was taken away from its importers for good */
#define DRM_VVRAM_INFO_REVOKED			(1 << 2)
/** DRM_VVRAM_INFO_BUSY - has fences that have not signalled */
#define DRM_VVRAM_INFO_BUSY			(1 << 3)

/** struct drm_vvram_gem_info - argument of DRM_IOCTL_VVRAM_GEM_INFO */
struct drm_vvram_gem_info {
	/** @handle: In: GEM handle. */
	__u32 handle;
	/** @pad: Must be zero. */
	__u32 pad;
	/** @placement: Out: one of &enum drm_vvram_placement. */
	__u32 placement;
	/** @flags: Out: DRM_VVRAM_INFO_* */
	__u32 flags;
	/** @size: Out: bytes. */
	__u64 size;
	/** @moves: Out: times that the bytes changed place. */
	__u64 moves;
	/** @notifies: Out: times that the importers were told of a move. */
	__u64 notifies;
	/** @inode: Out: inode number of the dma-buf, 0 when never exported. */
	__u64 inode;
	/** @pins: Out: pins held now. */
	__u32 pins;
	/** @attachments: Out: importers attached now. */
	__u32 attachments;
	/** @segments: Out: contiguous pieces in VRAM; 0 elsewhere. */
	__u32 segments;
	/** @pad2: Out: zero. */
	__u32 pad2;
	/**
	 * @held_pages: Out: pages that somebody has by a CPU pointer, CPU mappings aside
	 * (DRM_VVRAM_QUERY_PAGES): the buffer stays where it is until they are let go.
	 */
	__u64 held_pages;
};

/** enum drm_vvram_backend - what VRAM is made of */
enum drm_vvram_backend {
	/** @DRM_VVRAM_BACKEND_PCI: A BAR of a PCI function. */
	DRM_VVRAM_BACKEND_PCI = 1,
	/** @DRM_VVRAM_BACKEND_SOFT: A carve-out of system RAM. */
	DRM_VVRAM_BACKEND_SOFT = 2,
};

/** DRM_VVRAM_QUERY_DYNAMIC - the kernel tells importers of moves instead of pinning */
#define DRM_VVRAM_QUERY_DYNAMIC			(1 << 0)
/** DRM_VVRAM_QUERY_P2P - VRAM can be reached by PCI peers */
#define DRM_VVRAM_QUERY_P2P			(1 << 1)

/**
 * DRM_VVRAM_QUERY_PAGES - CPU mappings have pages
 *
 * A pointer to a buffer may be given to whatever takes one: O_DIRECT, io_uring, vmsplice,
 * RDMA on demand. Who has a page keeps the buffer from being moved, and is waited for.
 * Uses without an end in sight (io_uring's registered buffers, RDMA regions that are
 * pinned), which write, are -EFAULT unless the module's parameter longterm allows them.
 */
#define DRM_VVRAM_QUERY_PAGES			(1 << 2)

/** DRM_VVRAM_QUERY_SVM - DRM_IOCTL_VVRAM_SVM_MIGRATE is there */
#define DRM_VVRAM_QUERY_SVM			(1 << 3)
/**
 * DRM_VVRAM_QUERY_SVM_COHERENT - memory that was moved to VRAM stays there while CPUs use it
 *
 * Else the first access of a CPU's, or of the kernel's for it, brings it back.
 */
#define DRM_VVRAM_QUERY_SVM_COHERENT		(1 << 4)

/** struct drm_vvram_query - argument of DRM_IOCTL_VVRAM_QUERY */
struct drm_vvram_query {
	/** @pad: Must be zero. */
	__u32 pad;
	/** @backend: Out: one of &enum drm_vvram_backend. */
	__u32 backend;
	/** @flags: Out: DRM_VVRAM_QUERY_* */
	__u32 flags;
	/** @pad2: Out: zero. */
	__u32 pad2;
	/** @vram_size: Out: bytes of VRAM. */
	__u64 vram_size;
	/** @vram_used: Out: bytes of VRAM in use, @vram_held among them. */
	__u64 vram_used;
	/** @vram_pinned: Out: bytes of VRAM pinned. */
	__u64 vram_pinned;
	/** @vram_pin_limit: Out: most bytes of VRAM that may be pinned. */
	__u64 vram_pin_limit;
	/** @max_chunk: Out: largest contiguous piece given to a buffer, bytes; 0: any. */
	__u64 max_chunk;
	/** @moves: Out: buffers that changed place, evictions included. */
	__u64 moves;
	/** @bytes_moved: Out: bytes copied by them. */
	__u64 bytes_moved;
	/** @evictions: Out: buffers that had to leave VRAM for others. */
	__u64 evictions;
	/** @swapouts: Out: buffers written to swap. */
	__u64 swapouts;
	/** @system_pinned: Out: bytes of system memory pinned, of buffers there. */
	__u64 system_pinned;
	/** @system_pin_limit: Out: most bytes of system memory that may be pinned. */
	__u64 system_pin_limit;
	/** @vram_held: Out: bytes of VRAM of ended buffers, of which somebody has pages. */
	__u64 vram_held;
	/** @violations: Out: breaches of the dma-buf contract by importers; the log names them. */
	__u64 violations;
	/** @svm_used: Out: bytes of VRAM that are memory of processes. */
	__u64 svm_used;
	/** @svm_moved: Out: bytes of such memory that went to VRAM or came back. */
	__u64 svm_moved;
};

/** enum drm_vvram_reach - whether an importer reaches VRAM, and why not */
enum drm_vvram_reach {
	/** @DRM_VVRAM_REACH_VRAM: It does. */
	DRM_VVRAM_REACH_VRAM = 0,
	/** @DRM_VVRAM_REACH_NO_PEER2PEER: It did not set allow_peer2peer. */
	DRM_VVRAM_REACH_NO_PEER2PEER = 1,
	/** @DRM_VVRAM_REACH_NOT_PCI: VRAM is a BAR and it is not a PCI device. */
	DRM_VVRAM_REACH_NOT_PCI = 2,
	/** @DRM_VVRAM_REACH_NO_PATH: pci_p2pdma_distance() knows no legal path. */
	DRM_VVRAM_REACH_NO_PATH = 3,
	/** @DRM_VVRAM_REACH_NO_KERNEL: The kernel has no helpers for it. */
	DRM_VVRAM_REACH_NO_KERNEL = 4,
	/** @DRM_VVRAM_REACH_DMA_MASK: Its DMA mask does not cover VRAM. */
	DRM_VVRAM_REACH_DMA_MASK = 5,
};

/** DRM_VVRAM_ATTACHMENT_DYNAMIC - takes notifications of moves */
#define DRM_VVRAM_ATTACHMENT_DYNAMIC		(1 << 0)
/** DRM_VVRAM_ATTACHMENT_PINNED - holds a pin */
#define DRM_VVRAM_ATTACHMENT_PINNED		(1 << 1)
/**
 * DRM_VVRAM_ATTACHMENT_BOUNCED - was refused a mapping
 *
 * The kernel would have put bounce buffers in the place of the memory (swiotlb=force, as
 * confidential guests have it, or a DMA mask that does not cover it), and nobody keeps
 * those in step with a dma-buf. The importer's map was -EOPNOTSUPP.
 */
#define DRM_VVRAM_ATTACHMENT_BOUNCED		(1 << 2)

/** struct drm_vvram_attachment - one importer of a buffer */
struct drm_vvram_attachment {
	/** @device: Name of the importing device, ends with a zero byte. */
	char device[48];
	/** @reach: One of &enum drm_vvram_reach. */
	__u32 reach;
	/** @flags: DRM_VVRAM_ATTACHMENT_* */
	__u32 flags;
	/** @maps: Mappings it holds now. */
	__u32 maps;
	/** @distance: pci_p2pdma_distance(), -1 when there is none. */
	__s32 distance;
};

/**
 * struct drm_vvram_gem_attachments - argument of DRM_IOCTL_VVRAM_GEM_ATTACHMENTS
 *
 * Writes at most @count entries, and at most 1024, and returns the number that there are
 * in @count; a @count of zero only asks for the number.
 */
struct drm_vvram_gem_attachments {
	/** @handle: In: GEM handle. */
	__u32 handle;
	/** @count: In: room at @attachments. Out: importers attached. */
	__u32 count;
	/** @attachments: In: user pointer to &struct drm_vvram_attachment. */
	__u64 attachments;
	/** @held_pages: Out: as &drm_vvram_gem_info.held_pages; users are no importers. */
	__u64 held_pages;
};

/**
 * struct drm_vvram_gem_revoke - argument of DRM_IOCTL_VVRAM_GEM_REVOKE
 *
 * Importers lose the buffer for good: when the call returns none of them has a
 * mapping or DMA in flight, and a later attach or map is -ENODEV. The buffer
 * itself and its CPU mappings stay. Only the file that created the buffer may
 * do it: -EACCES. Importers that do not take notifications: -EOPNOTSUPP.
 */
struct drm_vvram_gem_revoke {
	/** @handle: In: GEM handle. */
	__u32 handle;
	/** @pad: Must be zero. */
	__u32 pad;
};

/**
 * struct drm_vvram_svm_migrate - argument of DRM_IOCTL_VVRAM_SVM_MIGRATE
 *
 * Moves memory of the calling process, from @address on, to @placement. Pointers to it stay
 * valid, with the same bytes; memory that was never touched is zeroed, and is there
 * afterwards. VRAM is made by evicting others, whose turn it is, and this memory
 * is evicted in its turn.
 *
 * What can not move stays and is no error: @moved tells how much did. Only anonymous memory
 * moves, that is not locked (mlock()) nor of huge pages (MAP_HUGETLB): mappings of files
 * and devices stay, as do pages that are there already, are swapped out, or are in use by
 * others just then. Larger pages are split.
 *
 * A call that a signal interrupted (-EINTR) has written to @done and @moved how far it came,
 * and goes on from there when it is made again with the same structure.
 *
 * Errors: -EINVAL for an @address, @length, @done or @moved that is no multiple of the page
 * size, a @length of zero, an overflow, a @done beyond @length or a @moved beyond @done, unknown
 * @flags or @placement; -EFAULT when something of the range is not mapped, before anything is
 * moved if that is so at the call; -ENOSPC or -ENOMEM when VRAM has no room, and none is to
 * come; -EOPNOTSUPP without DRM_VVRAM_QUERY_SVM.
 */
struct drm_vvram_svm_migrate {
	/** @address: In: first byte. */
	__u64 address;
	/** @length: In: bytes. */
	__u64 length;
	/** @placement: In: VRAM or SYSTEM of &enum drm_vvram_placement. */
	__u32 placement;
	/** @flags: In: must be zero. */
	__u32 flags;
	/** @done: In: zero, or what an interrupted call left. Out: bytes that were looked at. */
	__u64 done;
	/** @moved: In: zero, or what an interrupted call left. Out: bytes that moved. */
	__u64 moved;
};

#define DRM_IOCTL_VVRAM_GEM_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VVRAM_GEM_CREATE, struct drm_vvram_gem_create)
#define DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VVRAM_GEM_MMAP_OFFSET, struct drm_vvram_gem_mmap_offset)
#define DRM_IOCTL_VVRAM_GEM_MOVE \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VVRAM_GEM_MOVE, struct drm_vvram_gem_move)
#define DRM_IOCTL_VVRAM_GEM_INFO \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VVRAM_GEM_INFO, struct drm_vvram_gem_info)
#define DRM_IOCTL_VVRAM_QUERY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VVRAM_QUERY, struct drm_vvram_query)
#define DRM_IOCTL_VVRAM_GEM_ATTACHMENTS \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VVRAM_GEM_ATTACHMENTS, struct drm_vvram_gem_attachments)
#define DRM_IOCTL_VVRAM_GEM_REVOKE \
	DRM_IOW(DRM_COMMAND_BASE + DRM_VVRAM_GEM_REVOKE, struct drm_vvram_gem_revoke)
#define DRM_IOCTL_VVRAM_SVM_MIGRATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_VVRAM_SVM_MIGRATE, struct drm_vvram_svm_migrate)

#if defined(__cplusplus)
}
#endif

#endif /* __VVRAM_DRM_H__ */
