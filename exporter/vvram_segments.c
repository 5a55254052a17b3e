// SPDX-License-Identifier: GPL-2.0
/* The pieces of VRAM that make up a buffer, and walks over them. */

#include <linux/slab.h>

#include "vvram_segments.h"
#include "vvram_strict.h"

/**
 * vvram_segments_alloc() - allocate room for the pieces of a buffer
 * @max: most pieces that there will be
 *
 * Return: segments without any piece yet and with one reference, or NULL.
 */
struct vvram_segments *vvram_segments_alloc(unsigned int max)
{
	struct vvram_segments *segs;

	segs = kvzalloc(struct_size(segs, seg, max), GFP_KERNEL);
	if (segs)
		kref_init(&segs->ref);
	return segs;
}

/**
 * vvram_segments_append() - add a piece at the end of the buffer
 * @segs: the pieces so far, nobody else's yet; there is room for one more
 * @offset: where it is in VRAM
 * @size: bytes
 */
void vvram_segments_append(struct vvram_segments *segs, u64 offset, u64 size)
{
	unsigned int i = segs->count++;

	segs->seg[i] = (struct vvram_segment) { .offset = offset, .size = size };
	if (i)
		segs->seg[i].start = segs->seg[i - 1].start + segs->seg[i - 1].size;
}

struct vvram_segments *vvram_segments_get(struct vvram_segments *segs)
{
	kref_get(&segs->ref);
	return segs;
}

static void vvram_segments_release(struct kref *ref)
{
	struct vvram_segments *segs = container_of(ref, struct vvram_segments, ref);

	vvram_suspects_put(segs->suspects);
	kvfree(segs);
}

void vvram_segments_put(struct vvram_segments *segs)
{
	if (segs)
		kref_put(&segs->ref, vvram_segments_release);
}

/* Index of the piece with a byte of the buffer, the last one's for what is beyond. */
static unsigned int vvram_segments_search(const struct vvram_segments *segs, u64 offset,
					  unsigned int *visited)
{
	unsigned int low = 0, high = segs->count;

	while (high - low > 1) {
		unsigned int middle = low + (high - low) / 2;

		++*visited;
		if (segs->seg[middle].start <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/**
 * vvram_segments_find() - find the piece that holds a byte of the buffer
 * @segs: the buffer's pieces
 * @offset: in: byte of the buffer; out: byte within the piece
 *
 * For a single look-up, by bisection; &struct vvram_cursor is for a range.
 *
 * Return: the piece, or NULL beyond the end.
 */
const struct vvram_segment *vvram_segments_find(const struct vvram_segments *segs,
						u64 *offset)
{
	const struct vvram_segment *seg;
	unsigned int visited = 0;

	seg = &segs->seg[vvram_segments_search(segs, *offset, &visited)];
	if (*offset - seg->start >= seg->size)
		return NULL;
	*offset -= seg->start;
	return seg;
}

/**
 * vvram_cursor_init() - begin a walk
 * @cursor: to set up
 * @segs: the buffer's pieces
 * @offset: byte of the buffer to begin with
 */
void vvram_cursor_init(struct vvram_cursor *cursor, const struct vvram_segments *segs,
		       u64 offset)
{
	*cursor = (struct vvram_cursor) { .segs = segs, .visited = 1 };
	cursor->index = vvram_segments_search(segs, offset, &cursor->visited);
	cursor->within = offset - segs->seg[cursor->index].start;
}

/**
 * vvram_cursor_here() - tell where the walk has arrived
 * @cursor: the walk, not at the buffer's end
 * @offset: out: byte of VRAM
 *
 * Return: number of bytes from there to the end of the piece.
 */
u64 vvram_cursor_here(const struct vvram_cursor *cursor, u64 *offset)
{
	const struct vvram_segment *seg = &cursor->segs->seg[cursor->index];

	*offset = seg->offset + cursor->within;
	return seg->size - cursor->within;
}

/**
 * vvram_cursor_advance() - walk on
 * @cursor: the walk
 * @bytes: how far, at most to the end of the piece
 */
void vvram_cursor_advance(struct vvram_cursor *cursor, u64 bytes)
{
	cursor->within += bytes;
	if (cursor->within < cursor->segs->seg[cursor->index].size)
		return;
	cursor->within = 0;
	if (++cursor->index < cursor->segs->count)
		cursor->visited++;
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "tests/vvram_segments_kunit.c"
#endif
