// SPDX-License-Identifier: GPL-2.0
/*
 * Work requests: check the keys and ranges, then have the bytes moved.
 */

#include <linux/slab.h>

#include "vrnic_cq.h"
#include "vrnic_exec.h"
#include "vrnic_move.h"
#include "vrnic_mr.h"
#include "vrnic_wq.h"

/**
 * struct vrnic_exec - a request while it runs, one at a time
 */
struct vrnic_exec {
	/** @mover: Moves its bytes. */
	struct vrnic_mover mover;
	/** @work: The request. */
	const struct vrnic_work *work;
	/** @wc: Its completion. */
	struct vrnic_completion *wc;
	/** @remote: The remote range. */
	struct vrnic_list remote;
	/** @local: The scatter/gather entries. */
	struct vrnic_list local;
};

/* A region that is at both ends counts as the remote one. */
static u32 vrnic_status_of(const struct vrnic_exec *ex, const struct vrnic_moved *moved)
{
	switch (moved->error) {
	case 0:
		return VRNIC_ST_SUCCESS;
	case -EFAULT:
		return VRNIC_ST_DMA_FAULT;
	case -ECANCELED:
		return VRNIC_ST_FLUSHED;
	case -ENODEV:
	case -EACCES:
		return moved->culprit == ex->remote.piece[0].mr ? VRNIC_ST_REM_ACCESS_ERR :
								  VRNIC_ST_LOC_PROT_ERR;
	default:
		return VRNIC_ST_GENERAL_ERR;
	}
}

static u32 vrnic_exec_copy(struct vrnic_exec *ex)
{
	bool read = ex->work->op == VRNIC_WORK_READ;
	struct vrnic_list *dst = read ? &ex->local : &ex->remote;
	struct vrnic_list *src = read ? &ex->remote : &ex->local;
	struct vrnic_moved moved = vrnic_copy(&ex->mover, dst, src, ex->local.len);

	ex->wc->byte_len = moved.done;
	return vrnic_status_of(ex, &moved);
}

/* Operations on the remote region alone, and atomics, whose old value is also stored. */
static u32 vrnic_exec_operation(struct vrnic_exec *ex)
{
	struct vrnic_operand operand = {
		.op = ex->work->op,
		.operand = ex->work->operand,
		.swap = ex->work->swap,
		.result = ex->wc->result,
	};
	struct vrnic_moved moved;

	moved = ex->local.nr ?
		vrnic_atomic(&ex->mover, &ex->remote, &ex->local, &operand) :
		vrnic_operate(&ex->mover, &ex->remote, ex->work->remote_length, &operand);
	ex->wc->byte_len = moved.done;
	ex->wc->result = operand.result;
	return vrnic_status_of(ex, &moved);
}

static bool vrnic_is_atomic(u32 op)
{
	return op == VRNIC_WORK_FETCH_ADD || op == VRNIC_WORK_COMPARE_SWAP;
}

/* Local entries are written by reads and atomics, and read by writes. */
static u32 vrnic_get_locals(struct vrnic_exec *ex)
{
	u32 need = ex->work->op == VRNIC_WORK_WRITE ? 0 : VRNIC_MAY_LOCAL_WRITE;
	const struct vrnic_range *range;
	struct vrnic_mr *mr;
	unsigned int i;

	for (i = 0; i < ex->work->nr_ranges; i++) {
		range = &ex->work->range[i];
		mr = vrnic_mr_get_by_key(ex->mover.wq->attr.pd, range->lkey, false);
		if (!mr)
			return VRNIC_ST_LOC_PROT_ERR;
		vrnic_list_add(&ex->local, mr, range->addr, range->length);
		if (!vrnic_mr_holds(mr, range->addr, range->length) || need & ~mr->attr.access)
			return VRNIC_ST_LOC_PROT_ERR;
	}
	if (vrnic_is_atomic(ex->work->op) && ex->local.len != sizeof(u64))
		return VRNIC_ST_LOC_LEN_ERR;
	return VRNIC_ST_SUCCESS;
}

static u32 vrnic_remote_access(u32 op)
{
	switch (op) {
	case VRNIC_WORK_READ:
	case VRNIC_WORK_CRC32C:
		return VRNIC_MAY_REMOTE_READ;
	case VRNIC_WORK_FETCH_ADD:
	case VRNIC_WORK_COMPARE_SWAP:
		return VRNIC_MAY_REMOTE_ATOMIC;
	default:
		return VRNIC_MAY_REMOTE_WRITE;
	}
}

static u64 vrnic_remote_length(const struct vrnic_work *work)
{
	u64 total = work->remote_length;
	unsigned int i;

	for (i = 0; i < work->nr_ranges; i++)
		total += work->range[i].length;
	return total;
}

static u32 vrnic_get_remote(struct vrnic_exec *ex)
{
	const struct vrnic_work *work = ex->work;
	u64 len = vrnic_remote_length(work);
	struct vrnic_mr *mr;

	mr = vrnic_mr_get_by_key(ex->mover.wq->attr.pd, work->rkey, true);
	if (!mr)
		return VRNIC_ST_REM_ACCESS_ERR;
	vrnic_list_add(&ex->remote, mr, work->remote_addr, len);
	if (!(mr->attr.access & vrnic_remote_access(work->op)) ||
	    !vrnic_mr_holds(mr, work->remote_addr, len))
		return VRNIC_ST_REM_ACCESS_ERR;
	if (vrnic_is_atomic(work->op) && ex->remote.piece[0].pos % sizeof(u64))
		return VRNIC_ST_REM_ACCESS_ERR;
	return VRNIC_ST_SUCCESS;
}

static u32 vrnic_exec_checked(struct vrnic_exec *ex)
{
	switch (ex->work->op) {
	case VRNIC_WORK_WRITE:
	case VRNIC_WORK_READ:
		return vrnic_exec_copy(ex);
	default:
		return vrnic_exec_operation(ex);
	}
}

/**
 * vrnic_exec_create() - make what a queue's requests run with, one at a time
 * @wq: the queue
 *
 * Return: to be freed by kfree(), or NULL.
 */
struct vrnic_exec *vrnic_exec_create(struct vrnic_wq *wq)
{
	struct vrnic_exec *ex = kzalloc(sizeof(*ex), GFP_KERNEL_ACCOUNT);

	if (ex)
		ex->mover.wq = wq;
	return ex;
}

/**
 * vrnic_exec() - run a work request
 * @ex: of its queue
 * @work: the request, well formed
 * @wc: its completion, to be filled in
 *
 * All keys and ranges are checked before the first byte is moved.
 */
void vrnic_exec(struct vrnic_exec *ex, const struct vrnic_work *work, struct vrnic_completion *wc)
{
	ex->work = work;
	ex->wc = wc;
	if (work->op == VRNIC_WORK_CRC32C)
		wc->result = (u32)work->operand;

	wc->status = vrnic_get_remote(ex);
	if (!wc->status)
		wc->status = vrnic_get_locals(ex);
	if (!wc->status)
		wc->status = vrnic_exec_checked(ex);

	vrnic_list_put(&ex->remote);
	vrnic_list_put(&ex->local);
}
