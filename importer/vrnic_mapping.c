// SPDX-License-Identifier: GPL-2.0
/*
 * The DMA addresses of a buffer, in its order, and the bytes behind them.
 */

#include <linux/crc32c.h>
#include <linux/minmax.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "vrnic_mapping.h"
#include "vrnic_ns.h"

/**
 * vrnic_mapping_clear() - forget the addresses
 * @map: the mapping
 */
void vrnic_mapping_clear(struct vrnic_mapping *map)
{
	vrnic_bus_close(&map->view);
	kvfree(map->seg);
	map->seg = NULL;
	kvfree(map->page);
	map->page = NULL;
	map->nr = 0;
}
EXPORT_SYMBOL_NS_GPL(vrnic_mapping_clear, VRNIC_NS);

/**
 * vrnic_mapping_set() - take over the addresses of a table
 * @map: empty mapping to fill
 * @dev: the device that does the DMA
 * @sgt: the table; only its DMA side is looked at, it may have no pages
 *
 * Return: 0, or an error as of vrnic_bus_open().
 */
int vrnic_mapping_set(struct vrnic_mapping *map, struct device *dev, struct sg_table *sgt)
{
	struct scatterlist *sg;
	u64 start = 0;
	unsigned int i;
	int ret;

	map->dev = dev;
	map->seg = kvmalloc_array(sgt->nents, sizeof(*map->seg), GFP_KERNEL);
	if (!map->seg)
		return -ENOMEM;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		ret = vrnic_bus_open(&map->view, dev, sg_dma_address(sg));
		if (ret) {
			vrnic_mapping_clear(map);
			return ret;
		}
		map->seg[i] = (struct vrnic_segment) {
			.addr = sg_dma_address(sg),
			.start = start,
			.len = sg_dma_len(sg),
		};
		start += sg_dma_len(sg);
	}
	map->nr = sgt->nents;
	return 0;
}
EXPORT_SYMBOL_NS_GPL(vrnic_mapping_set, VRNIC_NS);

/*
 * A segment is mapped and unmapped as a whole: its first and its last page tell where it
 * is. Segments that follow each other in memory count as one, since the next table may
 * have its borders elsewhere.
 */
static u32 vrnic_sum_places(const struct vrnic_mapping *map)
{
	phys_addr_t first, last, before = 0;
	const struct vrnic_segment *seg;
	unsigned int i;
	u32 crc = 0;

	for (i = 0; i < map->nr; i++) {
		seg = &map->seg[i];
		first = vrnic_bus_to_phys(map->dev, seg->addr);
		last = vrnic_bus_to_phys(map->dev, seg->addr + seg->len - 1);
		if (first != before + 1) {
			crc = crc32c(crc, &before, sizeof(before));
			crc = crc32c(crc, &first, sizeof(first));
		}
		before = last;
		cond_resched();
	}
	return crc32c(crc, &before, sizeof(before));
}

/**
 * vrnic_mapping_place() - what is behind the addresses
 * @map: the mapping, the reservation of its buffer held
 *
 * It is looked up once for each mapping.
 *
 * Return: a checksum over the places of all segments.
 */
u32 vrnic_mapping_place(struct vrnic_mapping *map)
{
	if (!map->place_known)
		map->place = vrnic_sum_places(map);
	map->place_known = true;
	return map->place;
}

/* Pages whose addresses follow each other, as an IOMMU makes them, are one run. */
static void vrnic_find_run(const struct vrnic_mapping *map, u64 pos, u64 len,
			   struct vrnic_segment *run)
{
	unsigned long first = pos >> PAGE_SHIFT, last = (pos + len - 1) >> PAGE_SHIFT;
	unsigned long next = first + 1;

	while (next <= last && map->page[next] == map->page[next - 1] + PAGE_SIZE)
		next++;
	*run = (struct vrnic_segment) {
		.addr = map->page[first],
		.start = (u64)first << PAGE_SHIFT,
		.len = (u64)(next - first) << PAGE_SHIFT,
	};
}

/**
 * vrnic_find_segment() - find the segment that holds a byte
 * @map: segments in order, or pages
 * @pos: the byte, within the buffer
 * @len: bytes from there on that are of interest, within the buffer
 * @run: room for the answer when it is made of pages
 */
struct vrnic_segment *vrnic_find_segment(const struct vrnic_mapping *map, u64 pos, u64 len,
					 struct vrnic_segment *run)
{
	unsigned int low = 0, high = map->nr - 1, mid;

	if (map->page) {
		vrnic_find_run(map, pos, len, run);
		return run;
	}
	while (low < high) {
		mid = (low + high + 1) / 2;
		if (map->seg[mid].start <= pos)
			low = mid;
		else
			high = mid - 1;
	}
	return &map->seg[low];
}

/**
 * vrnic_resolve() - find the bytes of a place, now
 * @place: where the access begins
 * @done: bytes of it that are behind
 * @len: bytes that are ahead
 * @write: they are to be written
 * @out: out: where they are for the CPU
 * @fault: out: the address, should it be one that leads nowhere
 *
 * Return: number of bytes that follow each other at @out, 0 for a fault.
 */
u64 vrnic_resolve(const struct vrnic_place *place, u64 done, u64 len, bool write,
		  struct iosys_map *out, struct vrnic_dma_fault *fault)
{
	struct vrnic_segment run;
	struct vrnic_segment *seg = vrnic_find_segment(place->map, place->pos + done, len, &run);
	u64 within = place->pos + done - seg->start;

	fault->addr = seg->addr + within;
	fault->write = write;
	return vrnic_bus_resolve(&place->map->view, place->map->dev, seg, within,
				 min(len, seg->len - within), out);
}
