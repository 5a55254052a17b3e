/* SPDX-License-Identifier: MIT */
/*
 * Calls of /dev/holder: a user of pages by their pointer, as a drive or a NIC is one.
 */
#ifndef HOLDER_H
#define HOLDER_H

#include <linux/ioctl.h>
#include <linux/types.h>

/** HOLDER_LONGTERM - without an end in sight, as memory is registered */
#define HOLDER_LONGTERM		(1 << 0)
/** HOLDER_READ - only to read from there */
#define HOLDER_READ		(1 << 1)

/** struct holder_take - get pages, at most 1024, and keep them until told or closed */
struct holder_take {
	/** @addr: In: where, page aligned. */
	__u64 addr;
	/** @pages: In: how many. */
	__u32 pages;
	/** @flags: In: HOLDER_* */
	__u32 flags;
};

#define HOLDER_IOC_TAKE		_IOW('H', 0, struct holder_take)
/* pread() and pwrite() on the file are accesses to the pages that it has. */
#define HOLDER_IOC_LET_GO	_IO('H', 1)

#endif /* HOLDER_H */
