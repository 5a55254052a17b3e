/* SPDX-License-Identifier: MIT */
/*
 * Calls of /dev/rogue: dma-bufs that break one rule each, a user of vmap, and an importer
 * that unpins too often.
 */
#ifndef ROGUE_H
#define ROGUE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/** enum rogue_fault - which rule a buffer's exporter breaks */
enum rogue_fault {
	/** @ROGUE_NONE: None: a well behaved exporter, the control. */
	ROGUE_NONE,
	/** @ROGUE_ALIGNMENT: Its tables have borders within pages. */
	ROGUE_ALIGNMENT,
	/** @ROGUE_LENGTH: Its tables lack the last page. */
	ROGUE_LENGTH,
	/** @ROGUE_PAGES: Its tables name pages for memory that is no RAM. */
	ROGUE_PAGES,
	/** @ROGUE_LOCK: It notifies without the reservation. */
	ROGUE_LOCK,
	/** @ROGUE_FENCE: A KERNEL fence of it takes three seconds. */
	ROGUE_FENCE,
	/** @ROGUE_MOVED: It maps other pages each time, and tells nobody. */
	ROGUE_MOVED,
	/** @ROGUE_IN_TURN: Each map takes the buffer away from all that have it mapped. */
	ROGUE_IN_TURN,
	/** @ROGUE_LOST: Its KERNEL fence takes 0.1 s, and ends with -ECANCELED. */
	ROGUE_LOST,
	/** @ROGUE_LOST_DEVICE: The same with -ENODEV. */
	ROGUE_LOST_DEVICE,
	/** @ROGUE_EXCESS: Its tables have a page more than the buffer. */
	ROGUE_EXCESS,
	/** @ROGUE_MASK: Its first address has a bit more than the importer has. */
	ROGUE_MASK,
	/** @ROGUE_SEGMENT: All of it is one segment, however long the importer takes them. */
	ROGUE_SEGMENT,
	/** @ROGUE_RAW: Its first address is that of memory, not one of the importer's. */
	ROGUE_RAW,
	/** @ROGUE_TABLE: It changes the last table that it made before it notifies. */
	ROGUE_TABLE,
	/** @ROGUE_SIZE: Its file is half as large as the buffer. */
	ROGUE_SIZE,
	/** @ROGUE_FAULTS: Number of values. */
	ROGUE_FAULTS,
};

/** struct rogue_export - make a buffer */
struct rogue_export {
	/** @size: In: bytes, a multiple of the page size, at most 64 KiB. */
	__u64 size;
	/** @fault: In: one of &enum rogue_fault. */
	__u32 fault;
	/** @fd: Out: its dma-buf. */
	__s32 fd;
};

/**
 * struct rogue_vmap - map any dma-buf for the kernel
 *
 * Until ROGUE_IOC_VUNMAP, or until the file is closed, pread() and pwrite() on the file
 * are accesses through that mapping.
 */
struct rogue_vmap {
	/** @fd: In: the dma-buf. */
	__s32 fd;
	/** @is_iomem: Out: as the exporter says. */
	__u32 is_iomem;
};

#define ROGUE_IOC_EXPORT	_IOWR('R', 0, struct rogue_export)
/* Notifies the importers of one of our buffers; its fd is the argument. */
#define ROGUE_IOC_NOTIFY	_IOW('R', 1, __s32)
#define ROGUE_IOC_VMAP		_IOWR('R', 2, struct rogue_vmap)
#define ROGUE_IOC_VUNMAP	_IO('R', 3)
/*
 * Asks the exporter itself for a mapping of the dma-buf whose fd is the argument, and
 * gives it back: the core's dma_buf_vmap() warns of every error.
 */
#define ROGUE_IOC_TRY_VMAP	_IOW('R', 4, __s32)
/* As an importer of the dma-buf whose fd is the argument: unpins it, without a pin. */
#define ROGUE_IOC_UNPIN		_IOW('R', 5, __s32)

#endif /* ROGUE_H */
