/* SPDX-License-Identifier: MIT */
/*
 * Calls of /dev/careless: an importer of a dma-buf, one for each open file, that breaks one
 * rule, or none.
 *
 * pread() and pwrite() are accesses to the buffer's first page: mapped for the importer at the
 * first one, and again after each notification.
 */
#ifndef CARELESS_H
#define CARELESS_H

#include <linux/ioctl.h>
#include <linux/types.h>

/** enum careless_fault - what an importer does wrong */
enum careless_fault {
	/** @CARELESS_NONE: Nothing: a well behaved importer, the control. */
	CARELESS_NONE,
	/** @CARELESS_KEEPS: It maps again after each notification, and never unmaps. */
	CARELESS_KEEPS,
	/** @CARELESS_LATE: Notified, it unmaps only when it uses the buffer again. */
	CARELESS_LATE,
	/** @CARELESS_STALE: It unmaps when notified, and goes on with the old addresses. */
	CARELESS_STALE,
	/** @CARELESS_EARLY: It does not wait for KERNEL fences. */
	CARELESS_EARLY,
	/** @CARELESS_TWICE: CARELESS_IOC_ERR: it unmaps twice. */
	CARELESS_TWICE,
	/** @CARELESS_FOREIGN: CARELESS_IOC_ERR: it unmaps another attachment's table. */
	CARELESS_FOREIGN,
	/** @CARELESS_PINNED: CARELESS_IOC_ERR: it pins, and forgets that. */
	CARELESS_PINNED,
	/** @CARELESS_UNPINS: CARELESS_IOC_ERR: it unpins twice. */
	CARELESS_UNPINS,
	/** @CARELESS_DETACHED: CARELESS_IOC_ERR: it detaches, and maps then. */
	CARELESS_DETACHED,
	/** @CARELESS_UNLOCKED: CARELESS_IOC_ERR: it maps without the reservation. */
	CARELESS_UNLOCKED,
	/** @CARELESS_FAULTS: Number of values. */
	CARELESS_FAULTS,
};

/** struct careless_attach - attach to a dma-buf, until the file is closed */
struct careless_attach {
	/** @fd: In: the dma-buf. */
	__s32 fd;
	/** @fault: In: one of &enum careless_fault. */
	__u32 fault;
};

#define CARELESS_IOC_ATTACH	_IOW('C', 0, struct careless_attach)
/* Makes the mistake, where it is one call too many; returns what the exporter said. */
#define CARELESS_IOC_ERR	_IO('C', 1)

#endif /* CARELESS_H */
