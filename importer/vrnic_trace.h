/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vrnic

#if !defined(VRNIC_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VRNIC_TRACE_H

#include <linux/dma-buf.h>
#include <linux/tracepoint.h>

#include "vrnic_cq.h"
#include "vrnic_mr.h"
#include "vrnic_wq.h"

/*
 * Events of a region carry the inode number of its dma-buf, as the kernel's
 * dma_buf events do; 0 for user memory.
 */
DECLARE_EVENT_CLASS(vrnic_mr,
	TP_PROTO(struct vrnic_mr *mr, u64 value),
	TP_ARGS(mr, value),
	TP_STRUCT__entry(
		__field(unsigned long, inode)
		__string(exporter, mr->dmabuf ? mr->dmabuf->exp_name : "user")
		__field(u32, index)
		__field(u64, value)
	),
	TP_fast_assign(
		__entry->inode = mr->inode;
		__assign_str(exporter);
		__entry->index = mr->index;
		__entry->value = value;
	),
	TP_printk("ino=%lu exporter=%s region=%u value=%#llx", __entry->inode,
		  __get_str(exporter), __entry->index, __entry->value)
);

/* value: DMA segments */
DEFINE_EVENT(vrnic_mr, vrnic_map, TP_PROTO(struct vrnic_mr *mr, u64 value), TP_ARGS(mr, value));
DEFINE_EVENT(vrnic_mr, vrnic_unmap, TP_PROTO(struct vrnic_mr *mr, u64 value), TP_ARGS(mr, value));
DEFINE_EVENT(vrnic_mr, vrnic_invalidate, TP_PROTO(struct vrnic_mr *mr, u64 value),
	     TP_ARGS(mr, value));
DEFINE_EVENT(vrnic_mr, vrnic_revoked, TP_PROTO(struct vrnic_mr *mr, u64 value),
	     TP_ARGS(mr, value));
DEFINE_EVENT(vrnic_mr, vrnic_fault, TP_PROTO(struct vrnic_mr *mr, u64 value), TP_ARGS(mr, value));
/* value: the address */
DEFINE_EVENT(vrnic_mr, vrnic_dma_fault, TP_PROTO(struct vrnic_mr *mr, u64 value),
	     TP_ARGS(mr, value));
/* value: one of enum vrnic_breach */
DEFINE_EVENT(vrnic_mr, vrnic_violation, TP_PROTO(struct vrnic_mr *mr, u64 value),
	     TP_ARGS(mr, value));

TRACE_EVENT(vrnic_post,
	TP_PROTO(u32 queue, const struct vrnic_work *work),
	TP_ARGS(queue, work),
	TP_STRUCT__entry(
		__field(u32, queue)
		__field(u64, wr_id)
		__field(u32, opcode)
		__field(u64, remote_addr)
	),
	TP_fast_assign(
		__entry->queue = queue;
		__entry->wr_id = work->id;
		__entry->opcode = work->op;
		__entry->remote_addr = work->remote_addr;
	),
	TP_printk("queue=%u wr_id=%#llx opcode=%u remote_addr=%#llx", __entry->queue,
		  __entry->wr_id, __entry->opcode, __entry->remote_addr)
);

TRACE_EVENT(vrnic_complete,
	TP_PROTO(u32 queue, const struct vrnic_completion *wc),
	TP_ARGS(queue, wc),
	TP_STRUCT__entry(
		__field(u32, queue)
		__field(u64, wr_id)
		__field(u32, opcode)
		__field(u32, status)
		__field(u64, byte_len)
	),
	TP_fast_assign(
		__entry->queue = queue;
		__entry->wr_id = wc->id;
		__entry->opcode = wc->op;
		__entry->status = wc->status;
		__entry->byte_len = wc->byte_len;
	),
	TP_printk("queue=%u wr_id=%#llx opcode=%u status=%u bytes=%llu", __entry->queue,
		  __entry->wr_id, __entry->opcode, __entry->status, __entry->byte_len)
);

#endif /* VRNIC_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE vrnic_trace
#include <trace/define_trace.h>
