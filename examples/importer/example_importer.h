/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLE_IMPORTER_H
#define EXAMPLE_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Argument: the fd of a dma-buf. */
#define EXAMPLE_IMPORT	_IO('I', 0)
/* Start a job on all of the buffer; the buffer's fences tell when it is done. */
#define EXAMPLE_RUN	_IO('I', 1)
/* Out: how often the buffer was mapped so far. */
#define EXAMPLE_MAPS	_IOR('I', 2, __u32)

#endif /* EXAMPLE_IMPORTER_H */
