/* SPDX-License-Identifier: MIT */
/*
 * What a test says to the other machine of two (tools/vm run --peer), where igt-tests/peer.c
 * does it: requests of RDMA to memory of the test's, and checks of the bytes.
 */
#ifndef PEER_H
#define PEER_H

#include "verbs.h"

/* Of the network that joins both. */
#define PEER_NET	"192.0.2."
#define PEER_PORT	7471
/* The kernel's own software RDMA device on it. */
#define PEER_DEVICE	"peer0"

/** enum peer_op - what the other machine is to do */
enum peer_op {
	/** @PEER_PUT: Write a pattern (pattern_fill()) there. */
	PEER_PUT = 1,
	/** @PEER_GET: Read from there, and compare with the pattern. */
	PEER_GET,
	/** @PEER_ADD: Add one to the word there. */
	PEER_ADD,
	/** @PEER_DIE: Write there again and again, and lose power in the middle of it. */
	PEER_DIE,
	/** @PEER_PERFTEST: Run one of peer_perftests, &peer_call.seed, as the client. */
	PEER_PERFTEST,
};

/* Programs of perftest's. */
#define PEER_PERFTESTS	2
extern const char *const peer_perftests[PEER_PERFTESTS];
/* The command for one, after @under; a client if @address is one. */
void peer_perftest(char *command, size_t size, const char *under, unsigned int which,
		   const char *address);

/** struct peer_end - a queue pair, as each of both tells the other at first */
struct peer_end {
	/** @gid: Of its port. */
	uint8_t gid[16];
	/** @qpn: Its number. */
	uint32_t qpn;
};

/** struct peer_call - one thing to do */
struct peer_call {
	/** @op: One of &enum peer_op. */
	uint32_t op;
	/** @rkey: Of the region. */
	uint32_t rkey;
	/** @addr: Where. */
	uint64_t addr;
	/** @len: Bytes. */
	uint64_t len;
	/** @seed: Of the pattern; or which program. */
	uint64_t seed;
};

/** struct peer_answer - what became of it */
struct peer_answer {
	/** @status: Of the completion, or of the program: 0 for success. */
	uint32_t status;
	/** @wrong: A byte was not as the pattern has it. */
	uint32_t wrong;
};

/* Over the connection by which both speak; false when it has ended. */
bool peer_send(int fd, const void *p, size_t size);
bool peer_receive(int fd, void *p, size_t size);
/* Connects this end with that of the other side, which does the same. */
bool peer_connect(int fd, struct end *e);

#endif /* PEER_H */
