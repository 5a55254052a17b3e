// SPDX-License-Identifier: GPL-2.0
/*
 * Moving bytes from one list of pieces to another, chunk by chunk, and what else engines do.
 *
 * Between two chunks no region is held, so a notification waits for one chunk at
 * most; work that lost its mapping gets the new one and goes on where it was.
 */

#include <linux/device.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "vrnic_engine.h"
#include "vrnic_move.h"
#include "vrnic_ns.h"
#include "vrnic_trace.h"

uint vrnic_chunk = SZ_64K;
module_param_named(chunk, vrnic_chunk, uint, 0444);
MODULE_PARM_DESC(chunk, "Bytes moved at a time; a notification waits for no more (default 64K)");
EXPORT_SYMBOL_NS_GPL(vrnic_chunk, VRNIC_NS);

/**
 * vrnic_mr_holds() - whether bytes are within a region
 * @mr: the region
 * @addr: first byte, counted as in requests
 * @len: their number
 *
 * An address below the region's first is one far behind its last, counted from there.
 */
bool vrnic_mr_holds(const struct vrnic_mr *mr, u64 addr, u64 len)
{
	u64 end;

	return !check_add_overflow(addr - mr->attr.iova, len, &end) && end <= mr->attr.length;
}
EXPORT_SYMBOL_NS_GPL(vrnic_mr_holds, VRNIC_NS);

/**
 * vrnic_list_add() - add bytes of a region to a list that has room
 * @list: the list
 * @mr: the region, whose reference goes to the list
 * @addr: first byte, counted as in requests
 * @len: bytes, within the region
 */
void vrnic_list_add(struct vrnic_list *list, struct vrnic_mr *mr, u64 addr, u64 len)
{
	list->piece[list->nr++] = (struct vrnic_piece) {
		.mr = mr,
		.map = &mr->map,
		.pos = mr->attr.offset + (addr - mr->attr.iova),
		.len = len,
	};
	list->len += len;
}
EXPORT_SYMBOL_NS_GPL(vrnic_list_add, VRNIC_NS);

/**
 * vrnic_list_add_memory() - add bytes that are no region's to a list that has room
 * @list: the list
 * @map: their addresses, which stay
 * @len: their number
 */
void vrnic_list_add_memory(struct vrnic_list *list, struct vrnic_mapping *map, u64 len)
{
	list->piece[list->nr++] = (struct vrnic_piece){ .map = map, .len = len };
	list->len += len;
}
EXPORT_SYMBOL_NS_GPL(vrnic_list_add_memory, VRNIC_NS);

/* Pieces of no length are left behind as well. */
static struct vrnic_piece *vrnic_list_first(struct vrnic_list *list)
{
	while (!list->piece[list->first].len)
		list->first++;
	return &list->piece[list->first];
}

/**
 * vrnic_list_skip() - leave out the first bytes of a list
 * @list: a list that has as many
 * @len: their number
 */
void vrnic_list_skip(struct vrnic_list *list, u64 len)
{
	struct vrnic_piece *piece;
	u64 n;

	for (; len; len -= n) {
		piece = vrnic_list_first(list);
		n = min(len, piece->len);
		piece->pos += n;
		piece->len -= n;
	}
}
EXPORT_SYMBOL_NS_GPL(vrnic_list_skip, VRNIC_NS);

/**
 * vrnic_list_put() - empty a list
 * @list: the list
 */
void vrnic_list_put(struct vrnic_list *list)
{
	while (list->nr)
		if (list->piece[--list->nr].mr)
			vrnic_mr_put(list->piece[list->nr].mr);
	list->first = 0;
	list->len = 0;
}
EXPORT_SYMBOL_NS_GPL(vrnic_list_put, VRNIC_NS);

/* Whoever ends a region waits for the work that uses it: that work ends early. */
static struct vrnic_mr *vrnic_list_find_dead(const struct vrnic_list *list)
{
	unsigned int i;

	for (i = 0; i < list->nr; i++)
		if (list->piece[i].mr && READ_ONCE(list->piece[i].mr->dead))
			return list->piece[i].mr;
	return NULL;
}

static u64 vrnic_chunk_of(const struct vrnic_engine_ops *ops, u64 left)
{
	u64 most = ops->max_chunk ? min(vrnic_chunk, ops->max_chunk) : vrnic_chunk;

	return min(left, most);
}

static struct vrnic_need vrnic_need_of(const struct vrnic_piece *piece, u64 len, bool write)
{
	return (struct vrnic_need) {
		.mr = piece->mr,
		.pos = piece->pos,
		.len = len,
		.write = write,
	};
}

static void vrnic_set_add(struct vrnic_access_set *set, const struct vrnic_piece *piece, u64 len,
			  bool write)
{
	struct vrnic_mr *mr = piece->mr;

	if (!mr)
		return;
	set->need[set->nr_needs++] = vrnic_need_of(piece, len, write);
	if (!set->nr || set->mr[0] != mr)
		set->mr[set->nr++] = mr;
}

static int vrnic_begin(struct vrnic_mover *mover, struct vrnic_access_set *set,
		       struct vrnic_mr **culprit)
{
	if (mover->now)
		return 0;
	set->wq = mover->wq;
	set->peer = mover->peer;
	return vrnic_access_begin(set, culprit);
}

static void vrnic_end(struct vrnic_mover *mover, struct vrnic_access_set *set)
{
	if (mover->now)
		return;
	vrnic_access_end(set);
	cond_resched();
}

static void vrnic_hold_list(struct vrnic_hold *hold, const struct vrnic_list *list)
{
	unsigned int i, k;

	for (i = list->first; i < list->nr; i++) {
		if (!list->piece[i].mr)
			continue;
		for (k = 0; k < hold->nr && hold->mr[k] != list->piece[i].mr; k++)
			;
		hold->mr[k] = list->piece[i].mr;
		hold->nr = max(hold->nr, k + 1);
	}
}

static bool vrnic_list_is_ready(const struct vrnic_list *list, u64 len, bool write)
{
	const struct vrnic_piece *piece;
	struct vrnic_need need;
	unsigned int i;
	u64 n;

	for (i = list->first; len; i++, len -= n) {
		piece = &list->piece[i];
		n = min(len, piece->len);
		need = vrnic_need_of(piece, n, write);
		if (n && piece->mr && !vrnic_access_is_ready(&need))
			return false;
	}
	return true;
}

/*
 * With all regions held together, nothing stops half-way that was begun. A notification
 * waits for no more than a chunk here as well. The first list is written, the other one if
 * @write.
 */
static bool vrnic_try_begin_all(struct vrnic_mover *mover, const struct vrnic_list *dst,
				const struct vrnic_list *src, u64 len, bool write)
{
	if (!mover->now)
		return true;
	if (len > vrnic_chunk || mover->wq->attr.engine->ops->get)
		return false;
	mover->hold.nr = 0;
	vrnic_hold_list(&mover->hold, dst);
	vrnic_hold_list(&mover->hold, src);
	if (!vrnic_access_try(mover->wq, &mover->hold))
		return false;
	if (vrnic_list_is_ready(dst, len, true) && vrnic_list_is_ready(src, len, write))
		return true;
	vrnic_access_release(&mover->hold);
	return false;
}

static void vrnic_end_all(struct vrnic_mover *mover)
{
	if (mover->now)
		vrnic_access_release(&mover->hold);
}

static void vrnic_note_dma_fault(struct vrnic_mr *mr, const struct vrnic_dma_fault *fault)
{
	if (!mr)
		return;
	vrnic_count(mr, dma_faults, 1);
	trace_vrnic_dma_fault(mr, fault->addr);
	dev_notice_ratelimited(mr->pd->vdev->dev,
			       "DMA fault: %s address %pad of inode %lu leads nowhere\n",
			       fault->write ? "write to" : "read of", &fault->addr, mr->inode);
}

static struct vrnic_place vrnic_place_of(const struct vrnic_piece *piece)
{
	return (struct vrnic_place){ .map = piece->map, .pos = piece->pos };
}

/* One chunk from one piece to another; their regions may be the same. */
static struct vrnic_moved vrnic_copy_chunk(struct vrnic_mover *mover,
					   const struct vrnic_piece *dst,
					   const struct vrnic_piece *src, u64 len)
{
	struct vrnic_place to = vrnic_place_of(dst), from = vrnic_place_of(src);
	struct vrnic_dma_engine *engine = mover->wq->attr.engine;
	struct vrnic_dma_fault fault = {};
	struct vrnic_access_set set = {};
	struct vrnic_moved moved = {};

	vrnic_set_add(&set, dst, len, true);
	vrnic_set_add(&set, src, len, false);
	moved.error = vrnic_begin(mover, &set, &moved.culprit);
	moved.at_dst = moved.culprit == dst->mr;
	if (moved.error)
		return moved;
	moved.error = engine->ops->copy(engine, &to, &from, len, &fault);
	vrnic_end(mover, &set);
	if (moved.error) {
		moved.at_dst = fault.write;
		moved.culprit = fault.write ? dst->mr : src->mr;
		vrnic_note_dma_fault(moved.culprit, &fault);
		return moved;
	}
	if (src->mr)
		vrnic_count(src->mr, bytes_read, len);
	if (dst->mr)
		vrnic_count(dst->mr, bytes_written, len);
	return (struct vrnic_moved){ .done = len };
}

/* The next chunk of both, @left bytes before the end. */
static struct vrnic_moved vrnic_copy_next(struct vrnic_mover *mover, struct vrnic_list *dst,
					  struct vrnic_list *src, u64 left)
{
	struct vrnic_piece *to = vrnic_list_first(dst), *from = vrnic_list_first(src);
	struct vrnic_moved moved = { .error = -ENODEV, .at_dst = true };
	u64 n = min3(vrnic_chunk_of(mover->wq->attr.engine->ops, left), to->len, from->len);

	moved.culprit = vrnic_list_find_dead(dst);
	if (moved.culprit)
		return moved;
	moved.at_dst = false;
	moved.culprit = vrnic_list_find_dead(src);
	if (moved.culprit)
		return moved;
	moved = vrnic_copy_chunk(mover, to, from, n);
	vrnic_list_skip(dst, moved.done);
	vrnic_list_skip(src, moved.done);
	return moved;
}

/**
 * vrnic_copy() - copy from one list of pieces to another
 * @mover: in whose name
 * @dst: where to; it has @len bytes left
 * @src: where from; it has @len bytes left, and pieces of regions where @dst has none
 * @len: bytes
 *
 * What has been moved is used up in both. Waits for mappings, as vrnic_access_begin()
 * does, unless it is to be moved now; that is at most a chunk, by an engine that needs
 * not be waited for. The caller holds no lock that a notification or an exporter needs.
 *
 * Return: what became of it.
 */
struct vrnic_moved vrnic_copy(struct vrnic_mover *mover, struct vrnic_list *dst,
			      struct vrnic_list *src, u64 len)
{
	struct vrnic_moved moved = {};
	u64 done = 0;

	if (!vrnic_try_begin_all(mover, dst, src, len, false))
		return (struct vrnic_moved){ .error = -EAGAIN };
	for (; done < len && !moved.error; done += moved.done)
		moved = vrnic_copy_next(mover, dst, src, len - done);
	vrnic_end_all(mover);
	moved.done = done;
	return moved;
}
EXPORT_SYMBOL_NS_GPL(vrnic_copy, VRNIC_NS);

static int vrnic_step(struct vrnic_dma_engine *engine, const struct vrnic_place *place,
		      struct vrnic_operand *operand, u64 done, u64 len,
		      struct vrnic_dma_fault *fault)
{
	u32 crc = operand->result;
	int ret;

	switch (operand->op) {
	case VRNIC_WORK_FILL:
		return engine->ops->fill(engine, place, operand->operand, done % sizeof(u64), len,
					 fault);
	case VRNIC_WORK_CRC32C:
		ret = engine->ops->crc32c(engine, place, len, &crc, fault);
		operand->result = crc;
		return ret;
	case VRNIC_WORK_FETCH_ADD:
		return engine->ops->fetch_add(engine, place, operand->operand, &operand->result,
					      fault);
	default:
		return engine->ops->compare_swap(engine, place, operand->operand, operand->swap,
						 &operand->result, fault);
	}
}

/* One chunk of the operation, @done bytes after its beginning. */
static struct vrnic_moved vrnic_operate_chunk(struct vrnic_mover *mover,
					      const struct vrnic_piece *at,
					      struct vrnic_operand *operand, u64 done, u64 len)
{
	struct vrnic_moved moved = { .at_dst = true, .culprit = at->mr };
	struct vrnic_place place = vrnic_place_of(at);
	struct vrnic_dma_fault fault = {};
	struct vrnic_access_set set = {};

	vrnic_set_add(&set, at, len, operand->op != VRNIC_WORK_CRC32C);
	moved.error = vrnic_begin(mover, &set, &moved.culprit);
	if (moved.error)
		return moved;
	moved.error = vrnic_step(mover->wq->attr.engine, &place, operand, done, len, &fault);
	vrnic_end(mover, &set);
	if (moved.error) {
		vrnic_note_dma_fault(at->mr, &fault);
		return moved;
	}
	if (operand->op != VRNIC_WORK_FILL)
		vrnic_count(at->mr, bytes_read, len);
	if (operand->op != VRNIC_WORK_CRC32C)
		vrnic_count(at->mr, bytes_written, len);
	return (struct vrnic_moved){ .done = len };
}

/**
 * vrnic_operate() - have the engine do something with bytes of regions
 * @mover: in whose name
 * @at: the bytes, of regions; of an atomic, eight aligned ones of one
 * @len: their number
 * @operand: what to do; its result comes back in it
 *
 * Waits for mappings, as vrnic_copy() does.
 *
 * Return: what became of it.
 */
struct vrnic_moved vrnic_operate(struct vrnic_mover *mover, struct vrnic_list *at, u64 len,
				 struct vrnic_operand *operand)
{
	struct vrnic_moved moved = {};
	struct vrnic_piece *piece;
	u64 done = 0, n;

	for (; done < len && !moved.error; done += moved.done) {
		piece = vrnic_list_first(at);
		n = min(vrnic_chunk_of(mover->wq->attr.engine->ops, len - done), piece->len);
		moved = vrnic_operate_chunk(mover, piece, operand, done, n);
		vrnic_list_skip(at, moved.done);
	}
	moved.done = done;
	return moved;
}

static struct vrnic_moved vrnic_atomic_begun(struct vrnic_mover *mover, struct vrnic_list *at,
					     struct vrnic_list *result,
					     struct vrnic_operand *operand)
{
	struct vrnic_operand store = { .op = VRNIC_WORK_FILL };
	struct vrnic_moved moved = { .error = -ENODEV }, stored;

	moved.culprit = vrnic_list_find_dead(result);
	if (moved.culprit)
		return moved;
	moved = vrnic_operate(mover, at, sizeof(u64), operand);
	if (moved.error)
		return moved;
	store.operand = operand->result;
	stored = vrnic_operate(mover, result, sizeof(u64), &store);
	moved.error = stored.error;
	moved.at_dst = false;
	moved.culprit = stored.culprit;
	return moved;
}

/**
 * vrnic_atomic() - an atomic operation, whose old value goes somewhere
 * @mover: in whose name
 * @at: eight aligned bytes of a region
 * @result: eight bytes of a region, for the old value
 * @operand: what to do
 *
 * Waits for mappings, or not, as vrnic_copy().
 *
 * Return: what became of it; as at the end that is written when it is about @at.
 */
struct vrnic_moved vrnic_atomic(struct vrnic_mover *mover, struct vrnic_list *at,
				struct vrnic_list *result, struct vrnic_operand *operand)
{
	struct vrnic_moved moved;

	if (!vrnic_try_begin_all(mover, at, result, sizeof(u64), true))
		return (struct vrnic_moved){ .error = -EAGAIN };
	moved = vrnic_atomic_begun(mover, at, result, operand);
	vrnic_end_all(mover);
	return moved;
}
EXPORT_SYMBOL_NS_GPL(vrnic_atomic, VRNIC_NS);

#if IS_ENABLED(CONFIG_KUNIT)
#include "tests/vrnic_move_kunit.c"
#endif
