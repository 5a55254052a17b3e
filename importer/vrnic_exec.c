// SPDX-License-Identifier: GPL-2.0
/*
 * Work requests: check the keys and ranges, then move the bytes chunk by chunk.
 *
 * Between two chunks no region is held, so a notification waits for one chunk at
 * most; work that lost its mapping gets the new one and goes on where it was.
 */

#include <linux/device.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/sizes.h>

#include "vrnic_access.h"
#include "vrnic_engine.h"
#include "vrnic_mr.h"
#include "vrnic_queue.h"
#include "vrnic_trace.h"

uint vrnic_chunk = SZ_64K;
module_param_named(chunk, vrnic_chunk, uint, 0444);
MODULE_PARM_DESC(chunk, "Bytes moved at a time; a notification waits for no more (default 64K)");

/**
 * struct vrnic_exec - a request while it runs
 */
struct vrnic_exec {
	/** @wq: Its queue. */
	struct vrnic_wq *wq;
	/** @work: The request. */
	const struct vrnic_work *work;
	/** @wc: Its completion. */
	struct vrnic_wc *wc;
	/** @remote: The remote region. */
	struct vrnic_mr *remote;
	/** @nr_locals: Entries in @local. */
	unsigned int nr_locals;
	/** @local: The region of each scatter/gather entry. */
	struct vrnic_mr *local[VRNIC_MAX_SGE];
};

static bool vrnic_range_ok(struct vrnic_mr *mr, u64 addr, u64 len)
{
	u64 end;

	return !check_add_overflow(addr, len, &end) && end <= mr->attr.length;
}

static struct vrnic_place vrnic_place_of(struct vrnic_mr *mr, u64 addr)
{
	return (struct vrnic_place){ .map = &mr->map, .pos = mr->attr.offset + addr };
}

static u32 vrnic_status_of(struct vrnic_exec *ex, struct vrnic_mr *culprit, int error)
{
	switch (error) {
	case 0:
		return VRNIC_WC_SUCCESS;
	case -EFAULT:
		return VRNIC_WC_DMA_FAULT;
	case -ECANCELED:
		return VRNIC_WC_FLUSHED;
	case -ENODEV:
		return culprit == ex->remote ? VRNIC_WC_REM_ACCESS_ERR : VRNIC_WC_LOC_PROT_ERR;
	default:
		return VRNIC_WC_GENERAL_ERR;
	}
}

static void vrnic_note_dma_fault(struct vrnic_mr *mr, const struct vrnic_dma_fault *fault)
{
	vrnic_count(mr, dma_faults, 1);
	trace_vrnic_dma_fault(mr, fault->addr);
	dev_notice_ratelimited(mr->ctx->vdev->dev,
			       "DMA fault: %s address %pad of inode %lu leads nowhere\n",
			       fault->write ? "write to" : "read of", &fault->addr, mr->inode);
}

static u64 vrnic_chunk_of(struct vrnic_exec *ex, u64 left)
{
	u64 most = vrnic_chunk;

	if (ex->wq->engine->max_chunk)
		most = min_t(u64, most, ex->wq->engine->max_chunk);
	return min(left, most);
}

/* Whoever ends a region waits for the work that uses it: that work ends early. */
static struct vrnic_mr *vrnic_find_dead(struct vrnic_exec *ex)
{
	unsigned int i;

	for (i = 0; i < ex->nr_locals; i++)
		if (READ_ONCE(ex->local[i]->dead))
			return ex->local[i];
	return READ_ONCE(ex->remote->dead) ? ex->remote : NULL;
}

static int vrnic_begin(struct vrnic_exec *ex, struct vrnic_access_set *set,
		       struct vrnic_mr **culprit)
{
	const struct vrnic_engine_ops *engine = ex->wq->engine;
	int ret;

	*culprit = vrnic_find_dead(ex);
	if (*culprit)
		return -ENODEV;
	/* Before the regions: a notification does not wait for others' turns. */
	if (engine->get)
		engine->get(ex->wq->ctx->vdev);
	ret = vrnic_access_begin(set, culprit);
	if (ret && engine->put)
		engine->put(ex->wq->ctx->vdev);
	return ret;
}

static void vrnic_end(struct vrnic_exec *ex, struct vrnic_access_set *set)
{
	const struct vrnic_engine_ops *engine = ex->wq->engine;

	vrnic_access_end(set);
	if (engine->put)
		engine->put(ex->wq->ctx->vdev);
}

/* One chunk from one region to another; the regions may be the same. */
static u32 vrnic_copy_chunk(struct vrnic_exec *ex, struct vrnic_mr *dst, u64 to,
			    struct vrnic_mr *src, u64 from, u64 len)
{
	struct vrnic_access_set set = {
		.wq = ex->wq,
		.nr = dst == src ? 1 : 2,
		.mr = { dst, src },
	};
	struct vrnic_place dst_place, src_place;
	struct vrnic_dma_fault fault = {};
	struct vrnic_mr *culprit;
	int ret;

	ret = vrnic_begin(ex, &set, &culprit);
	if (ret)
		return vrnic_status_of(ex, culprit, ret);
	dst_place = vrnic_place_of(dst, to);
	src_place = vrnic_place_of(src, from);
	ret = ex->wq->engine->copy(ex->wq->ctx->vdev, &dst_place, &src_place, len, &fault);
	vrnic_end(ex, &set);
	if (ret == -EFAULT)
		vrnic_note_dma_fault(fault.write ? dst : src, &fault);
	if (ret)
		return vrnic_status_of(ex, dst, ret);

	vrnic_count(src, bytes_read, len);
	vrnic_count(dst, bytes_written, len);
	ex->wc->byte_len += len;
	return VRNIC_WC_SUCCESS;
}

static u32 vrnic_copy(struct vrnic_exec *ex, struct vrnic_mr *dst, u64 to,
		      struct vrnic_mr *src, u64 from, u64 len)
{
	u32 status = VRNIC_WC_SUCCESS;
	u64 done, n;

	for (done = 0; done < len && !status; done += n) {
		n = vrnic_chunk_of(ex, len - done);
		status = vrnic_copy_chunk(ex, dst, to + done, src, from + done, n);
	}
	return status;
}

static u32 vrnic_exec_copy(struct vrnic_exec *ex)
{
	bool read = ex->work->wr.opcode == VRNIC_OP_READ;
	u64 addr = ex->work->wr.remote_addr;
	const struct vrnic_sge *sge;
	u32 status = VRNIC_WC_SUCCESS;
	unsigned int i;

	for (i = 0; i < ex->nr_locals && !status; i++) {
		sge = &ex->work->sge[i];
		status = read ?
			 vrnic_copy(ex, ex->local[i], sge->addr, ex->remote, addr, sge->length) :
			 vrnic_copy(ex, ex->remote, addr, ex->local[i], sge->addr, sge->length);
		addr += sge->length;
	}
	return status;
}

/* An operation of the engine on one region: one chunk of it. */
static int vrnic_step(struct vrnic_exec *ex, const struct vrnic_place *place, u64 done, u64 n,
		      struct vrnic_dma_fault *fault)
{
	const struct vrnic_engine_ops *engine = ex->wq->engine;
	struct vrnic_device *vdev = ex->wq->ctx->vdev;
	const struct vrnic_wr *wr = &ex->work->wr;
	u32 crc = ex->wc->result;
	int ret;

	switch (wr->opcode) {
	case VRNIC_OP_FILL:
		return engine->fill(vdev, place, wr->operand, done % sizeof(u64), n, fault);
	case VRNIC_OP_CRC32C:
		ret = engine->crc32c(vdev, place, n, &crc, fault);
		ex->wc->result = crc;
		return ret;
	case VRNIC_OP_FETCH_ADD:
		return engine->fetch_add(vdev, place, wr->operand, &ex->wc->result, fault);
	default:
		return engine->compare_swap(vdev, place, wr->operand, wr->swap,
					    &ex->wc->result, fault);
	}
}

static u32 vrnic_remote_chunk(struct vrnic_exec *ex, u64 done, u64 n)
{
	struct vrnic_access_set set = { .wq = ex->wq, .nr = 1, .mr = { ex->remote } };
	struct vrnic_dma_fault fault = {};
	struct vrnic_mr *culprit;
	struct vrnic_place place;
	int ret;

	ret = vrnic_begin(ex, &set, &culprit);
	if (ret)
		return vrnic_status_of(ex, culprit, ret);
	place = vrnic_place_of(ex->remote, ex->work->wr.remote_addr + done);
	ret = vrnic_step(ex, &place, done, n, &fault);
	vrnic_end(ex, &set);
	if (ret == -EFAULT)
		vrnic_note_dma_fault(ex->remote, &fault);
	if (ret)
		return vrnic_status_of(ex, ex->remote, ret);

	if (ex->work->wr.opcode != VRNIC_OP_FILL)
		vrnic_count(ex->remote, bytes_read, n);
	if (ex->work->wr.opcode != VRNIC_OP_CRC32C)
		vrnic_count(ex->remote, bytes_written, n);
	ex->wc->byte_len += n;
	return VRNIC_WC_SUCCESS;
}

/* Operations on the remote region alone. */
static u32 vrnic_exec_remote(struct vrnic_exec *ex, u64 len)
{
	u32 status = VRNIC_WC_SUCCESS;
	u64 done, n;

	for (done = 0; done < len && !status; done += n) {
		n = vrnic_chunk_of(ex, len - done);
		status = vrnic_remote_chunk(ex, done, n);
	}
	return status;
}

/* The old value also goes to the local entry. */
static u32 vrnic_store_result(struct vrnic_exec *ex)
{
	struct vrnic_mr *local = ex->local[0];
	struct vrnic_access_set set = { .wq = ex->wq, .nr = 1, .mr = { local } };
	struct vrnic_dma_fault fault = {};
	struct vrnic_mr *culprit;
	struct vrnic_place place;
	int ret;

	ret = vrnic_begin(ex, &set, &culprit);
	if (ret)
		return vrnic_status_of(ex, culprit, ret);
	place = vrnic_place_of(local, ex->work->sge[0].addr);
	ret = ex->wq->engine->fill(ex->wq->ctx->vdev, &place, ex->wc->result, 0, sizeof(u64),
				   &fault);
	vrnic_end(ex, &set);
	if (ret == -EFAULT)
		vrnic_note_dma_fault(local, &fault);
	if (!ret)
		vrnic_count(local, bytes_written, sizeof(u64));
	return vrnic_status_of(ex, local, ret);
}

static u32 vrnic_exec_atomic(struct vrnic_exec *ex)
{
	u32 status;

	status = vrnic_exec_remote(ex, sizeof(u64));
	return status ? status : vrnic_store_result(ex);
}

static bool vrnic_is_atomic(u32 opcode)
{
	return opcode == VRNIC_OP_FETCH_ADD || opcode == VRNIC_OP_COMPARE_SWAP;
}

/* Local entries are written by reads and atomics, and read by writes. */
static u32 vrnic_get_locals(struct vrnic_exec *ex)
{
	u32 need = ex->work->wr.opcode == VRNIC_OP_WRITE ? 0 : VRNIC_ACCESS_LOCAL_WRITE;
	const struct vrnic_sge *sge;
	struct vrnic_mr *mr;
	unsigned int i;

	for (i = 0; i < ex->work->wr.num_sge; i++) {
		sge = &ex->work->sge[i];
		mr = vrnic_mr_get_by_key(ex->wq->ctx, sge->lkey, false);
		if (!mr)
			return VRNIC_WC_LOC_PROT_ERR;
		ex->local[ex->nr_locals++] = mr;
		if (!vrnic_range_ok(mr, sge->addr, sge->length) || need & ~mr->attr.access)
			return VRNIC_WC_LOC_PROT_ERR;
	}
	if (vrnic_is_atomic(ex->work->wr.opcode) && ex->work->sge[0].length != sizeof(u64))
		return VRNIC_WC_LOC_LEN_ERR;
	return VRNIC_WC_SUCCESS;
}

static u32 vrnic_remote_access(u32 opcode)
{
	switch (opcode) {
	case VRNIC_OP_READ:
	case VRNIC_OP_CRC32C:
		return VRNIC_ACCESS_REMOTE_READ;
	case VRNIC_OP_FETCH_ADD:
	case VRNIC_OP_COMPARE_SWAP:
		return VRNIC_ACCESS_REMOTE_ATOMIC;
	default:
		return VRNIC_ACCESS_REMOTE_WRITE;
	}
}

static u64 vrnic_remote_length(const struct vrnic_work *work)
{
	u64 total = work->wr.remote_length;
	unsigned int i;

	for (i = 0; i < work->wr.num_sge; i++)
		total += work->sge[i].length;
	return total;
}

static u32 vrnic_get_remote(struct vrnic_exec *ex)
{
	const struct vrnic_wr *wr = &ex->work->wr;
	struct vrnic_mr *mr;

	mr = vrnic_mr_get_by_key(ex->wq->ctx, wr->rkey, true);
	if (!mr)
		return VRNIC_WC_REM_ACCESS_ERR;
	ex->remote = mr;
	if (!(mr->attr.access & vrnic_remote_access(wr->opcode)) ||
	    !vrnic_range_ok(mr, wr->remote_addr, vrnic_remote_length(ex->work)))
		return VRNIC_WC_REM_ACCESS_ERR;
	if (vrnic_is_atomic(wr->opcode) && (mr->attr.offset + wr->remote_addr) % sizeof(u64))
		return VRNIC_WC_REM_ACCESS_ERR;
	return VRNIC_WC_SUCCESS;
}

static u32 vrnic_exec_checked(struct vrnic_exec *ex)
{
	switch (ex->work->wr.opcode) {
	case VRNIC_OP_WRITE:
	case VRNIC_OP_READ:
		return vrnic_exec_copy(ex);
	case VRNIC_OP_FETCH_ADD:
	case VRNIC_OP_COMPARE_SWAP:
		return vrnic_exec_atomic(ex);
	default:
		return vrnic_exec_remote(ex, ex->work->wr.remote_length);
	}
}

/**
 * vrnic_exec() - run a work request
 * @wq: its queue
 * @work: the request, well formed
 * @wc: its completion, to be filled in
 *
 * All keys and ranges are checked before the first byte is moved.
 */
void vrnic_exec(struct vrnic_wq *wq, const struct vrnic_work *work, struct vrnic_wc *wc)
{
	struct vrnic_exec ex = { .wq = wq, .work = work, .wc = wc };

	if (work->wr.opcode == VRNIC_OP_CRC32C)
		wc->result = (u32)work->wr.operand;

	wc->status = vrnic_get_remote(&ex);
	if (!wc->status)
		wc->status = vrnic_get_locals(&ex);
	if (!wc->status)
		wc->status = vrnic_exec_checked(&ex);

	if (ex.remote)
		vrnic_mr_put(ex.remote);
	while (ex.nr_locals)
		vrnic_mr_put(ex.local[--ex.nr_locals]);
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "tests/vrnic_exec_kunit.c"
#endif
