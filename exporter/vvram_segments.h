/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_SEGMENTS_H
#define VVRAM_SEGMENTS_H

#include <linux/kref.h>
#include <linux/types.h>

struct vvram_suspects;

/**
 * struct vvram_segment - a contiguous piece of VRAM
 */
struct vvram_segment {
	/** @start: Byte of the buffer with which it begins, page aligned. */
	u64 start;
	/** @offset: From the start of VRAM, bytes, page aligned. */
	u64 offset;
	/** @size: Bytes, page aligned. */
	u64 size;
};

/**
 * struct vvram_segments - the pieces of VRAM that make up a buffer, in order
 *
 * Outlives the buffer's stay there for as long as a copy reads or clears it.
 */
struct vvram_segments {
	/** @ref: Held by the resource and by each copy. */
	struct kref ref;
	/** @poisoned: Left by its buffer, and filled with poison then. */
	bool poisoned;
	/** @suspects: Of a poisoned place: who had it mapped, or NULL. */
	struct vvram_suspects *suspects;
	/** @count: Entries in @seg. */
	unsigned int count;
	/** @seg: The pieces; each begins where the one before ends. */
	struct vvram_segment seg[] __counted_by(count);
};

/**
 * struct vvram_cursor - a walk over the pieces of a buffer
 *
 * Looks at each piece once, where a search for every byte would look at many of them
 * each time.
 */
struct vvram_cursor {
	/** @segs: The pieces; whoever walks has a reference. */
	const struct vvram_segments *segs;
	/** @index: The piece. */
	unsigned int index;
	/** @within: Byte within it. */
	u64 within;
	/** @visited: Pieces that were looked at so far. */
	unsigned int visited;
};

struct vvram_segments *vvram_segments_alloc(unsigned int max);
void vvram_segments_append(struct vvram_segments *segs, u64 offset, u64 size);
struct vvram_segments *vvram_segments_get(struct vvram_segments *segs);
void vvram_segments_put(struct vvram_segments *segs);
const struct vvram_segment *vvram_segments_find(const struct vvram_segments *segs,
						u64 *offset);
void vvram_cursor_init(struct vvram_cursor *cursor, const struct vvram_segments *segs,
		       u64 offset);
u64 vvram_cursor_here(const struct vvram_cursor *cursor, u64 *offset);
void vvram_cursor_advance(struct vvram_cursor *cursor, u64 bytes);

#endif /* VVRAM_SEGMENTS_H */
