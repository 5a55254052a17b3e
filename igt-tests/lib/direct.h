/* SPDX-License-Identifier: MIT */
/*
 * Those who take a pointer and go past the CPU: files opened with O_DIRECT, io_uring, pipes.
 */
#ifndef DIRECT_H
#define DIRECT_H

#include "movable.h"

/* Serial numbers of the machine's drives: the one that each has, and the one with memory. */
#define DRIVE		"disk"
#define MEMORY_DRIVE	"memory"

/* One of them, opened with O_DIRECT; skips the test when it is not there. */
int open_drive(const char *serial);
/* Memory of the drive itself (CMB), for other devices as well; skips the test where there is none. */
void *map_drive_memory(const char *serial, uint64_t size);
/* Bytes of it that nobody has. */
uint64_t drive_memory_left(const char *serial);

/* An io_uring of few entries. */
struct uring {
	int fd;
	void *sq, *cq;
	uint64_t sq_size, cq_size, sqes_size;
	struct io_uring_sqe *sqes;
	struct io_uring_params *params;
};

/* Returns 0 or -errno; -ENOSYS and -EPERM where the kernel has none for us. */
int __uring_open(struct uring *ring);
void uring_close(struct uring *ring);
/* One request and its result: bytes, or -errno. */
int uring_do(struct uring *ring, int opcode, int fd, void *buf, uint32_t size, uint64_t offset);
/* Memory that the ring keeps until it is closed; 0 or -errno. */
int uring_register(struct uring *ring, void *buf, uint64_t size);

/* Puts pages themselves into a pipe: bytes, or -errno. */
int splice_to(int pipe, void *p, uint64_t size);

/* Bytes of a request, and of what it uses of the buffer and of the drive. */
#define SLOT	KIB(64)

/* One who reads and writes a slot of its own, of the buffer and of the drive. */
struct traffic {
	/* To the drive or from there: bytes, or -errno. */
	int (*move)(struct traffic *t, bool write, void *p);
	int file;
	struct uring ring;
	uint8_t *p;
	/* Memory that stays where it is, and is reached by the drive as well. */
	uint8_t *local;
	uint64_t offset;
	volatile bool stop;
	volatile int rounds;
	volatile int wrong;
	volatile int error;
	pthread_t thread;
};

/* A &struct traffic.move. */
int traffic_by_pread(struct traffic *t, bool write, void *p);
/*
 * To the drive and back into the buffer; from the buffer to the drive and back. What comes back
 * wrong is counted; false is an error.
 */
bool traffic_round(struct traffic *t);
/* A thread of its own that does that, until it is stopped or has an error. */
void traffic_start(struct traffic *t);
void traffic_stop(struct traffic *t);

#endif /* DIRECT_H */
