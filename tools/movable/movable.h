/* SPDX-License-Identifier: MIT */
#ifndef MOVABLE_H
#define MOVABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What was done, in a file that all processes of a run share: tools/movable-run reads it, as
 * numbers in this order.
 */
struct counts {
	/* Regions that were made movable, and their bytes. */
	uint64_t regions, bytes;
	/* Moves of buffers, those that failed, and how long a process had something to move. */
	uint64_t moves, failed_moves, moving_us;
	/* Regions left as they were: of other memory, of other rights, without room in vvram. */
	uint64_t other_memory, other_rights, no_room;
	/* Buffers that a program allocated by itself. */
	uint64_t allocated;
};

extern struct counts *counts;
void count(uint64_t *which, uint64_t n);

/* Whole pages of the process that are a buffer of vvram's. */
struct buffer {
	struct buffer *next;
	char *start;
	size_t size;
	uint32_t handle;
	/* The dma-buf, and its inode, by which a mapping is known to be its own. */
	int fd;
	ino_t inode;
	dev_t device;
	bool in_vram;
	/* Regions. */
	unsigned int users;
	/* Bytes, as memory.c counts them. */
	uint64_t moved;
	/* During a fork: what the child gets. */
	char *snapshot;
};

/* memory.c */
struct buffer *buffer_get(void *addr, size_t length, bool make);
void buffer_put(struct buffer *buffer);

/* device.c */
int card_open(void);
bool card_is_vvram(int fd);
int card_call(int fd, unsigned long request, void *arg);

#endif /* MOVABLE_H */
