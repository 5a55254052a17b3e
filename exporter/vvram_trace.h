/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vvram

#if !defined(VVRAM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VVRAM_TRACE_H

#include <linux/tracepoint.h>

#include <drm/ttm/ttm_placement.h>

#include "vvram_bo.h"

/*
 * Every event carries the inode number of the dma-buf, as the kernel's dma_buf
 * events do (Documentation/trace/events.rst tells how to combine them); 0 while
 * the buffer has none.
 */

#define show_vvram_place(type)				\
	__print_symbolic(type,				\
			 { TTM_PL_SYSTEM, "swappable" },	\
			 { TTM_PL_TT, "system" },	\
			 { TTM_PL_VRAM, "vram" })

DECLARE_EVENT_CLASS(vvram_bo,
	TP_PROTO(struct vvram_bo *bo),
	TP_ARGS(bo),
	TP_STRUCT__entry(
		__field(unsigned long, inode)
		__field(u64, size)
		__field(u32, place)
		__field(u32, pins)
	),
	TP_fast_assign(
		__entry->inode = bo->inode;
		__entry->size = bo->ttm.base.size;
		__entry->place = bo->ttm.resource ? bo->ttm.resource->mem_type : 0;
		__entry->pins = bo->ttm.pin_count;
	),
	TP_printk("ino=%lu size=%llu place=%s pins=%u", __entry->inode, __entry->size,
		  show_vvram_place(__entry->place), __entry->pins)
);

DEFINE_EVENT(vvram_bo, vvram_create, TP_PROTO(struct vvram_bo *bo), TP_ARGS(bo));
DEFINE_EVENT(vvram_bo, vvram_notify, TP_PROTO(struct vvram_bo *bo), TP_ARGS(bo));
DEFINE_EVENT(vvram_bo, vvram_pin, TP_PROTO(struct vvram_bo *bo), TP_ARGS(bo));
DEFINE_EVENT(vvram_bo, vvram_unpin, TP_PROTO(struct vvram_bo *bo), TP_ARGS(bo));
DEFINE_EVENT(vvram_bo, vvram_swap, TP_PROTO(struct vvram_bo *bo), TP_ARGS(bo));
DEFINE_EVENT(vvram_bo, vvram_revoke, TP_PROTO(struct vvram_bo *bo), TP_ARGS(bo));

/* Somebody wants it moved, and waits for who has pages of it. */
TRACE_EVENT(vvram_held,
	TP_PROTO(struct vvram_bo *bo, unsigned long pages),
	TP_ARGS(bo, pages),
	TP_STRUCT__entry(
		__field(unsigned long, inode)
		__field(u64, size)
		__field(u32, place)
		__field(unsigned long, pages)
	),
	TP_fast_assign(
		__entry->inode = bo->inode;
		__entry->size = bo->ttm.base.size;
		__entry->place = bo->ttm.resource ? bo->ttm.resource->mem_type : 0;
		__entry->pages = pages;
	),
	TP_printk("ino=%lu size=%llu place=%s pages=%lu", __entry->inode, __entry->size,
		  show_vvram_place(__entry->place), __entry->pages)
);

DECLARE_EVENT_CLASS(vvram_move,
	TP_PROTO(struct vvram_bo *bo, u32 from, u32 to, bool evict),
	TP_ARGS(bo, from, to, evict),
	TP_STRUCT__entry(
		__field(unsigned long, inode)
		__field(u64, size)
		__field(u32, from)
		__field(u32, to)
		__field(bool, evict)
	),
	TP_fast_assign(
		__entry->inode = bo->inode;
		__entry->size = bo->ttm.base.size;
		__entry->from = from;
		__entry->to = to;
		__entry->evict = evict;
	),
	TP_printk("ino=%lu size=%llu from=%s to=%s evict=%d", __entry->inode,
		  __entry->size, show_vvram_place(__entry->from),
		  show_vvram_place(__entry->to), __entry->evict)
);

DEFINE_EVENT(vvram_move, vvram_move_begin,
	TP_PROTO(struct vvram_bo *bo, u32 from, u32 to, bool evict),
	TP_ARGS(bo, from, to, evict));
DEFINE_EVENT(vvram_move, vvram_move_end,
	TP_PROTO(struct vvram_bo *bo, u32 from, u32 to, bool evict),
	TP_ARGS(bo, from, to, evict));

DECLARE_EVENT_CLASS(vvram_importer,
	TP_PROTO(struct vvram_bo *bo, struct device *dev, u32 value),
	TP_ARGS(bo, dev, value),
	TP_STRUCT__entry(
		__field(unsigned long, inode)
		__string(importer, dev_name(dev))
		__field(u32, place)
		__field(u32, value)
	),
	TP_fast_assign(
		__entry->inode = bo->inode;
		__assign_str(importer);
		__entry->place = bo->ttm.resource ? bo->ttm.resource->mem_type : 0;
		__entry->value = value;
	),
	TP_printk("ino=%lu importer=%s place=%s value=%u", __entry->inode,
		  __get_str(importer), show_vvram_place(__entry->place), __entry->value)
);

/* value: what it reaches, one of enum drm_vvram_reach */
DEFINE_EVENT(vvram_importer, vvram_attach,
	TP_PROTO(struct vvram_bo *bo, struct device *dev, u32 value),
	TP_ARGS(bo, dev, value));
DEFINE_EVENT(vvram_importer, vvram_detach,
	TP_PROTO(struct vvram_bo *bo, struct device *dev, u32 value),
	TP_ARGS(bo, dev, value));
/* value: DMA segments */
DEFINE_EVENT(vvram_importer, vvram_map,
	TP_PROTO(struct vvram_bo *bo, struct device *dev, u32 value),
	TP_ARGS(bo, dev, value));
DEFINE_EVENT(vvram_importer, vvram_unmap,
	TP_PROTO(struct vvram_bo *bo, struct device *dev, u32 value),
	TP_ARGS(bo, dev, value));

DECLARE_EVENT_CLASS(vvram_copy,
	TP_PROTO(unsigned long inode, u64 size, int value),
	TP_ARGS(inode, size, value),
	TP_STRUCT__entry(
		__field(unsigned long, inode)
		__field(u64, size)
		__field(int, value)
	),
	TP_fast_assign(
		__entry->inode = inode;
		__entry->size = size;
		__entry->value = value;
	),
	TP_printk("ino=%lu size=%llu value=%d", __entry->inode, __entry->size,
		  __entry->value)
);

/* value: parts that run side by side */
DEFINE_EVENT(vvram_copy, vvram_copy_start,
	TP_PROTO(unsigned long inode, u64 size, int value),
	TP_ARGS(inode, size, value));
/* value: 0, or the fence's error */
DEFINE_EVENT(vvram_copy, vvram_copy_end,
	TP_PROTO(unsigned long inode, u64 size, int value),
	TP_ARGS(inode, size, value));

#define show_vvram_svm_cause(cause)			\
	__print_symbolic(cause,				\
			 { VVRAM_SVM_CALL, "call" },	\
			 { VVRAM_SVM_FAULT, "fault" },	\
			 { VVRAM_SVM_EVICT, "evict" },	\
			 { VVRAM_SVM_END, "end" })

/* address: of a process, or 0; pages: those that went, of those that were to */
TRACE_EVENT(vvram_svm,
	TP_PROTO(unsigned long address, bool to_vram, enum vvram_svm_cause cause,
		 unsigned long pages, unsigned long of),
	TP_ARGS(address, to_vram, cause, pages, of),
	TP_STRUCT__entry(
		__field(unsigned long, address)
		__field(bool, to_vram)
		__field(u32, cause)
		__field(unsigned long, pages)
		__field(unsigned long, of)
	),
	TP_fast_assign(
		__entry->address = address;
		__entry->to_vram = to_vram;
		__entry->cause = cause;
		__entry->pages = pages;
		__entry->of = of;
	),
	TP_printk("address=%#lx to=%s cause=%s pages=%lu of=%lu", __entry->address,
		  __entry->to_vram ? "vram" : "system", show_vvram_svm_cause(__entry->cause),
		  __entry->pages, __entry->of)
);

#endif /* VVRAM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE vvram_trace
#include <trace/define_trace.h>
