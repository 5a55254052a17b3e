/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_MOVE_H
#define VRNIC_MOVE_H

#include <linux/types.h>

#include "vrnic_access.h"
#include "vrnic_mr.h"
#include "vrnic_wq.h"

/**
 * struct vrnic_piece - bytes of a region, or of memory that a face has
 */
struct vrnic_piece {
	/** @mr: The region, with a reference; NULL for memory of a face. */
	struct vrnic_mr *mr;
	/** @map: Its addresses. */
	struct vrnic_mapping *map;
	/** @pos: First byte, counted from the first address. */
	u64 pos;
	/** @len: Bytes. */
	u64 len;
};

/**
 * struct vrnic_list - one end of a transfer: pieces that are used up from the front
 */
struct vrnic_list {
	/** @nr: Entries in @piece. */
	unsigned int nr;
	/** @first: The first that is not used up. */
	unsigned int first;
	/** @len: Bytes of all of them, as they were. */
	u64 len;
	/** @piece: The pieces. */
	struct vrnic_piece piece[VRNIC_MAX_RANGES];
};

/**
 * struct vrnic_mover - in whose name bytes are moved
 */
struct vrnic_mover {
	/** @wq: The queue: its engine, and its end ends what is moved. */
	struct vrnic_wq *wq;
	/** @peer: A queue whose end ends it as well, or NULL. */
	struct vrnic_wq *peer;
	/** @now: Nothing may be waited for: what is moved is moved at once, or not at all. */
	bool now;
	/** @hold: With @now, the regions meanwhile. */
	struct vrnic_hold hold;
};

/**
 * struct vrnic_operand - an operation of the engine on bytes of one region
 */
struct vrnic_operand {
	/** @op: VRNIC_WORK_FILL, VRNIC_WORK_CRC32C, or one of the atomics. */
	u32 op;
	/** @operand: As of &struct vrnic_work. */
	u64 operand;
	/** @swap: The same. */
	u64 swap;
	/** @result: The checksum so far, which begins as the seed, or the old value. */
	u64 result;
};

/**
 * struct vrnic_moved - what became of bytes that were to be moved
 */
struct vrnic_moved {
	/** @done: Bytes that were moved. */
	u64 done;
	/**
	 * @error: As of vrnic_access_begin(), -EFAULT of the engine, or 0; -EAGAIN for
	 * what can't be moved now, of which nothing was.
	 */
	int error;
	/** @at_dst: It is an error at the end that is written. */
	bool at_dst;
	/** @culprit: The region that it is about, or NULL. */
	struct vrnic_mr *culprit;
};

bool vrnic_mr_holds(const struct vrnic_mr *mr, u64 addr, u64 len);
void vrnic_list_add(struct vrnic_list *list, struct vrnic_mr *mr, u64 addr, u64 len);
void vrnic_list_add_memory(struct vrnic_list *list, struct vrnic_mapping *map, u64 len);
void vrnic_list_skip(struct vrnic_list *list, u64 len);
void vrnic_list_put(struct vrnic_list *list);
struct vrnic_moved vrnic_copy(struct vrnic_mover *mover, struct vrnic_list *dst,
			      struct vrnic_list *src, u64 len);
struct vrnic_moved vrnic_operate(struct vrnic_mover *mover, struct vrnic_list *at, u64 len,
				 struct vrnic_operand *operand);
struct vrnic_moved vrnic_atomic(struct vrnic_mover *mover, struct vrnic_list *at,
				struct vrnic_list *result, struct vrnic_operand *operand);

#endif /* VRNIC_MOVE_H */
