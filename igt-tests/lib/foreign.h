/* SPDX-License-Identifier: MIT */
/*
 * Bytes that another client left in VRAM, and how to find them.
 */
#ifndef FOREIGN_H
#define FOREIGN_H

#include "movable.h"

/* Each 8 bytes of what the other client wrote. */
#define FOREIGN		0xf0e1d2c3b4a59687ULL

/**
 * struct small_vram - VRAM of which a client of its own holds all but a rest
 *
 * So that the rest can be filled, and used again, in a moment.
 */
struct small_vram {
	int fd;
	uint64_t used;
};

struct small_vram small_vram_make(uint64_t rest);
void small_vram_free(struct small_vram *small);
/* Storage of a buffer that was closed is freed when its last copy is done. */
void small_vram_wait(const struct small_vram *small);

/* A client writes FOREIGN to all that is left of VRAM, and closes its file. */
void foreign_leave(const struct small_vram *small);
/* How many of the words are the other client's. */
uint64_t foreign_count(const void *p, uint64_t size);
/* Asserts that a buffer's bytes, which were read into memory, are all zero. */
void assert_zero(const void *p, uint64_t size);

#endif /* FOREIGN_H */
