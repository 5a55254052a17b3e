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
	/** @remote: The remote region; NULL once it was given back. */
	struct vrnic_mr *remote;
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
	if (error == -EFAULT)
		return VRNIC_WC_DMA_FAULT;
	if (error != -ENODEV)
		return VRNIC_WC_GENERAL_ERR;
	return culprit == ex->remote ? VRNIC_WC_REM_ACCESS_ERR : VRNIC_WC_LOC_PROT_ERR;
}

static void vrnic_note_dma_fault(struct vrnic_mr *mr, dma_addr_t addr)
{
	vrnic_count(mr, dma_faults, 1);
	trace_vrnic_dma_fault(mr, addr);
	dev_err_ratelimited(mr->ctx->vdev->dev,
			    "DMA fault: address %pad of inode %lu leads nowhere\n",
			    &addr, mr->inode);
}

/* One chunk from one region to another; the regions may be the same. */
static u32 vrnic_copy_chunk(struct vrnic_exec *ex, struct vrnic_mr *dst, u64 to,
			    struct vrnic_mr *src, u64 from, u64 len)
{
	struct vrnic_access_set set = { .nr = dst == src ? 1 : 2, .mr = { dst, src } };
	struct vrnic_place dst_place, src_place;
	struct vrnic_mr *culprit = dst;
	dma_addr_t fault;
	int ret;

	ret = vrnic_access_begin(&set, &culprit);
	if (ret)
		return vrnic_status_of(ex, culprit, ret);
	dst_place = vrnic_place_of(dst, to);
	src_place = vrnic_place_of(src, from);
	ret = ex->wq->engine->copy(ex->wq->ctx->vdev->dev, &dst_place, &src_place, len, &fault);
	vrnic_access_end(&set);
	if (ret) {
		vrnic_note_dma_fault(ex->remote, fault);
		return vrnic_status_of(ex, ex->remote, ret);
	}
	vrnic_count(src, bytes_read, len);
	vrnic_count(dst, bytes_written, len);
	return VRNIC_WC_SUCCESS;
}

static u32 vrnic_copy(struct vrnic_exec *ex, struct vrnic_mr *dst, u64 to,
		      struct vrnic_mr *src, u64 from, u64 len)
{
	u32 status = VRNIC_WC_SUCCESS;
	u64 done, n;

	for (done = 0; done < len && !status; done += n) {
		n = min_t(u64, len - done, vrnic_chunk);
		status = vrnic_copy_chunk(ex, dst, to + done, src, from + done, n);
	}
	return status;
}

/* What a local entry must allow: written by reads and atomics, read by writes. */
static struct vrnic_mr *vrnic_get_local(struct vrnic_exec *ex, const struct vrnic_sge *sge,
					bool write)
{
	struct vrnic_mr *mr = vrnic_mr_get_by_key(ex->wq->ctx, sge->lkey, false);

	if (!mr)
		return NULL;
	if (vrnic_range_ok(mr, sge->addr, sge->length) &&
	    (!write || mr->attr.access & VRNIC_ACCESS_LOCAL_WRITE))
		return mr;
	vrnic_mr_put(mr);
	return NULL;
}

static u64 vrnic_local_length(const struct vrnic_work *work)
{
	u64 total = 0;
	u32 i;

	for (i = 0; i < work->wr.num_sge; i++)
		total += work->sge[i].length;
	return total;
}

static u32 vrnic_exec_copy(struct vrnic_exec *ex, bool read)
{
	u64 addr = ex->work->wr.remote_addr;
	u32 status = VRNIC_WC_SUCCESS, i;
	const struct vrnic_sge *sge;
	struct vrnic_mr *local;

	for (i = 0; i < ex->work->wr.num_sge && !status; i++) {
		sge = &ex->work->sge[i];
		local = vrnic_get_local(ex, sge, read);
		if (!local)
			return VRNIC_WC_LOC_PROT_ERR;
		status = read ?
			 vrnic_copy(ex, local, sge->addr, ex->remote, addr, sge->length) :
			 vrnic_copy(ex, ex->remote, addr, local, sge->addr, sge->length);
		vrnic_mr_put(local);
		addr += sge->length;
		if (!status)
			ex->wc->byte_len += sge->length;
	}
	return status;
}

static int vrnic_remote_step(struct vrnic_exec *ex, const struct vrnic_place *place, u64 done,
			     u64 n, dma_addr_t *fault)
{
	const struct vrnic_engine_ops *engine = ex->wq->engine;
	const struct vrnic_wr *wr = &ex->work->wr;
	struct device *dev = ex->wq->ctx->vdev->dev;
	u32 crc = ex->wc->result;
	int ret;

	switch (wr->opcode) {
	case VRNIC_OP_FILL:
		return engine->fill(dev, place, wr->operand, done % sizeof(u64), n, fault);
	case VRNIC_OP_CRC32C:
		ret = engine->crc32c(dev, place, n, &crc, fault);
		ex->wc->result = crc;
		return ret;
	case VRNIC_OP_FETCH_ADD:
		return engine->fetch_add(dev, place, wr->operand, &ex->wc->result, fault);
	default:
		return engine->compare_swap(dev, place, wr->operand, wr->swap,
					    &ex->wc->result, fault);
	}
}

/* Operations on the remote region alone. */
static u32 vrnic_exec_remote(struct vrnic_exec *ex, u64 len)
{
	struct vrnic_access_set set = { .nr = 1, .mr = { ex->remote } };
	struct vrnic_mr *culprit = ex->remote;
	struct vrnic_place place;
	dma_addr_t fault;
	u64 done, n;
	int ret;

	for (done = 0; done < len; done += n) {
		n = min_t(u64, len - done, vrnic_chunk);
		ret = vrnic_access_begin(&set, &culprit);
		if (ret)
			return vrnic_status_of(ex, culprit, ret);
		place = vrnic_place_of(ex->remote, ex->work->wr.remote_addr + done);
		ret = vrnic_remote_step(ex, &place, done, n, &fault);
		vrnic_access_end(&set);
		if (ret) {
			vrnic_note_dma_fault(ex->remote, fault);
			return vrnic_status_of(ex, ex->remote, ret);
		}
		if (ex->work->wr.opcode != VRNIC_OP_FILL)
			vrnic_count(ex->remote, bytes_read, n);
		if (ex->work->wr.opcode != VRNIC_OP_CRC32C)
			vrnic_count(ex->remote, bytes_written, n);
		ex->wc->byte_len += n;
	}
	return VRNIC_WC_SUCCESS;
}

/* The old value also goes to the local entry, by the CPU as a device's reply would. */
static u32 vrnic_store_result(struct vrnic_exec *ex, struct vrnic_mr *local)
{
	struct vrnic_access_set set = { .nr = 1, .mr = { local } };
	struct vrnic_mr *culprit = local;
	struct vrnic_place place;
	dma_addr_t fault;
	int ret;

	ret = vrnic_access_begin(&set, &culprit);
	if (ret)
		return vrnic_status_of(ex, culprit, ret);
	place = vrnic_place_of(local, ex->work->sge[0].addr);
	ret = ex->wq->engine->fill(ex->wq->ctx->vdev->dev, &place, ex->wc->result, 0,
				   sizeof(u64), &fault);
	vrnic_access_end(&set);
	if (ret) {
		vrnic_note_dma_fault(local, fault);
		return vrnic_status_of(ex, local, ret);
	}
	vrnic_count(local, bytes_written, sizeof(u64));
	return VRNIC_WC_SUCCESS;
}

static u32 vrnic_exec_atomic(struct vrnic_exec *ex)
{
	struct vrnic_mr *local;
	u32 status;

	local = vrnic_get_local(ex, &ex->work->sge[0], true);
	if (!local)
		return VRNIC_WC_LOC_PROT_ERR;
	status = vrnic_exec_remote(ex, sizeof(u64));
	if (!status)
		status = vrnic_store_result(ex, local);
	vrnic_mr_put(local);
	return status;
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

static bool vrnic_is_atomic(u32 opcode)
{
	return opcode == VRNIC_OP_FETCH_ADD || opcode == VRNIC_OP_COMPARE_SWAP;
}

static u32 vrnic_exec_checked(struct vrnic_exec *ex)
{
	const struct vrnic_wr *wr = &ex->work->wr;
	u64 len = wr->remote_length ? wr->remote_length : vrnic_local_length(ex->work);

	if (!(ex->remote->attr.access & vrnic_remote_access(wr->opcode)) ||
	    !vrnic_range_ok(ex->remote, wr->remote_addr, len))
		return VRNIC_WC_REM_ACCESS_ERR;

	if (!vrnic_is_atomic(wr->opcode)) {
		if (wr->opcode == VRNIC_OP_WRITE || wr->opcode == VRNIC_OP_READ)
			return vrnic_exec_copy(ex, wr->opcode == VRNIC_OP_READ);
		return vrnic_exec_remote(ex, len);
	}
	if (len != sizeof(u64))
		return VRNIC_WC_LOC_LEN_ERR;
	if ((ex->remote->attr.offset + wr->remote_addr) % sizeof(u64))
		return VRNIC_WC_REM_ACCESS_ERR;
	return vrnic_exec_atomic(ex);
}

/**
 * vrnic_exec() - run a work request
 * @wq: its queue
 * @work: the request, well formed
 * @wc: its completion, to be filled in
 */
void vrnic_exec(struct vrnic_wq *wq, const struct vrnic_work *work, struct vrnic_wc *wc)
{
	struct vrnic_exec ex = { .wq = wq, .work = work, .wc = wc };

	if (work->wr.opcode == VRNIC_OP_CRC32C)
		wc->result = (u32)work->wr.operand;
	ex.remote = vrnic_mr_get_by_key(wq->ctx, work->wr.rkey, true);
	if (!ex.remote) {
		wc->status = VRNIC_WC_REM_ACCESS_ERR;
		return;
	}
	wc->status = vrnic_exec_checked(&ex);
	vrnic_mr_put(ex.remote);
}
