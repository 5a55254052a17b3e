/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_CONTIG_PAGES_H
#define COMPAT_CONTIG_PAGES_H

#include <linux/gfp.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>

/**
 * compat_alloc_contig_pages() - get a physically contiguous run of free pages
 * @nr_pages: length of the run
 *
 * alloc_contig_pages() is not exported before 7.x, alloc_contig_range() is: try
 * the aligned ranges of each node in turn.
 *
 * Return: the first page, or NULL. Give back with free_contig_range().
 */
static inline struct page *compat_alloc_contig_pages(unsigned long nr_pages)
{
#ifdef HAVE_ALLOC_CONTIG_FROZEN_PAGES
	return alloc_contig_pages(nr_pages, GFP_KERNEL | __GFP_NOWARN,
				  numa_node_id(), NULL);
#else
	unsigned long step = max_t(unsigned long, nr_pages, MAX_ORDER_NR_PAGES);
	unsigned long pfn, end;
	int nid;

	for_each_online_node(nid) {
		end = node_end_pfn(nid);
		pfn = ALIGN(node_start_pfn(nid), MAX_ORDER_NR_PAGES);
		for (; pfn + nr_pages <= end; pfn += step) {
			if (!pfn_to_online_page(pfn) ||
			    !pfn_to_online_page(pfn + nr_pages - 1) ||
			    page_zone(pfn_to_page(pfn)) !=
			    page_zone(pfn_to_page(pfn + nr_pages - 1)))
				continue;
			if (!alloc_contig_range(pfn, pfn + nr_pages, MIGRATE_MOVABLE,
						GFP_KERNEL | __GFP_NOWARN))
				return pfn_to_page(pfn);
		}
	}
	return NULL;
#endif
}

#endif /* COMPAT_CONTIG_PAGES_H */
