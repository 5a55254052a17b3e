/* SPDX-License-Identifier: MIT */
#ifndef SUBJECT_H
#define SUBJECT_H

#include "movable.h"

/* A buffer in one piece, and the ways to it that need no preparation of theirs. */
struct subject {
	int fd;
	uint64_t size;
	uint32_t handle;
	int dmabuf;
	uint8_t *p;
};

struct subject make_subject(int fd, uint64_t size, uint32_t placement);
void free_subject(struct subject *s);

#endif /* SUBJECT_H */
