/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLE_EXPORTER_H
#define EXAMPLE_EXPORTER_H

#include <linux/ioctl.h>

/* Argument: bytes, a multiple of the page size; returns the fd of a dma-buf of zeroes. */
#define EXAMPLE_CREATE	_IO('E', 0)
/* Argument: the fd of one; moves it to its other pages, and waits until it is there. */
#define EXAMPLE_MOVE	_IO('E', 1)

#endif /* EXAMPLE_EXPORTER_H */
