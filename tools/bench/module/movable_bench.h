/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef MOVABLE_BENCH_H
#define MOVABLE_BENCH_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* What moves are compared with: the kernel's memcpy between a buffer and its own pages. */
struct movable_bench_memcpy {
	/* In: dma-buf, which is mapped for the kernel meanwhile. */
	__s32 fd;
	/* In: 1: from the buffer; 0: to it. */
	__u32 from;
	/* In: bytes. */
	__u64 size;
	/* Out: nanoseconds of the copy alone. */
	__u64 ns;
};

#define MOVABLE_BENCH_MEMCPY	_IOWR(0xEE, 0, struct movable_bench_memcpy)
/* Make the TLBs of emulated CPUs large; they shrink when they are not used. */
#define MOVABLE_BENCH_GROW_TLBS	_IO(0xEE, 1)

#endif /* MOVABLE_BENCH_H */
