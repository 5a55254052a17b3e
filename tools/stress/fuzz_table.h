/* SPDX-License-Identifier: MIT */
/* How calls are described to the fuzzer; see fuzz_calls.c. */
#ifndef FUZZ_TABLE_H
#define FUZZ_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "fuzz_calls.h"

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

enum resource {
	GEM, DMABUF, SYNCOBJ, OFFSET, MR, LKEY, RKEY, QUEUE,
	/* Of the RDMA device: handles, keys, numbers, and where queues are mapped. */
	IB_PD, IB_CQ, IB_SRQ, IB_QP, IB_QPN, IB_AH, IB_AHN, IB_MR, IB_LKEY, IB_RKEY, IB_CHANNEL, IB_RING,
	RESOURCES,
};

enum kind {
	ANY = RESOURCES, PAD, MAYBE, FLAGS, CHOICE, SIZE, COUNT, PLACE, TIME, ADDRESS, EVENT,
	FDS, ARRAY, STATE, MASK,
};

struct field {
	uint16_t offset, width;
	/* An enum kind, or an enum resource. */
	uint8_t kind;
	/* Mask of flags, number of choices, or which entries. */
	uint32_t arg;
};

struct result {
	uint16_t offset;
	enum resource resource;
};

struct op {
	const char *name;
	enum { VVRAM, VRNIC, TOUCH, NONSENSE, VERBS_WRITE, VERBS_EX, VERBS_IOCTL, VERBS_RING } where;
	unsigned long request;
	struct field field[MOST_VALUES];
	struct result result[4];
	unsigned int results;
	/* Of the RDMA device: bytes of the command without, and of the answer with what is ours. */
	uint16_t in, out;
};

#define F(type, member, ...) \
	{ offsetof(struct type, member), sizeof(((struct type *)0)->member), __VA_ARGS__ }
#define RESULT(type, member, what) { offsetof(struct type, member), what }

/* What a field's value stands for just now. */
uint64_t resolve(const struct field *f, uint64_t value);
void put(uint8_t *at, const struct field *f, uint64_t value);
unsigned int values_of(const struct op *op);
/* What a call has made. */
void keep_result(enum resource r, uint64_t value);
/* Memory of the program that regions are made of. */
uint8_t *memory(void);

/* The calls of the RDMA device: fuzz_verbs.c. */
extern const struct op verbs_ops[];
extern const unsigned int verbs_op_count;
void run_verbs_call(const struct op *op, const struct fuzz_call *c);
/* A file of its own, or none where there is no such device. */
void open_verbs(void);
void close_verbs(void);

#endif /* FUZZ_TABLE_H */
