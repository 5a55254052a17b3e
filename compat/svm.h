/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_SVM_H
#define COMPAT_SVM_H

#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/memremap.h>

/*
 * What is told when the last user of a device's page has gone: COMPAT_PAGE_FREED names the
 * member of struct dev_pagemap_ops.
 */
#ifdef HAVE_PAGEMAP_FOLIO_FREE
#define COMPAT_PAGE_FREED		folio_free
#define COMPAT_DEFINE_PAGE_FREED(name, freed)		\
static void name(struct folio *folio)			\
{							\
	freed(&folio->page);				\
}

static inline void compat_device_page_init(struct page *page, struct dev_pagemap *pagemap)
{
	zone_device_page_init(page, pagemap, 0);
}
#else
#define COMPAT_PAGE_FREED		page_free
#define COMPAT_DEFINE_PAGE_FREED(name, freed)		\
static void name(struct page *page)			\
{							\
	freed(page);					\
}

static inline void compat_device_page_init(struct page *page, struct dev_pagemap *pagemap)
{
	zone_device_page_init(page);
}
#endif

/**
 * compat_request_private_region() - get physical addresses at which there is nothing
 * @dev: whose they are, for as long as it has its resources
 * @size: bytes
 *
 * Return: the region, or an error pointer; -EOPNOTSUPP where the kernel knows no pages
 * without memory of their own.
 */
static inline struct resource *compat_request_private_region(struct device *dev, u64 size)
{
#ifdef CONFIG_DEVICE_PRIVATE
	return devm_request_free_mem_region(dev, &iomem_resource, size);
#else
	return ERR_PTR(-EOPNOTSUPP);
#endif
}

#endif /* COMPAT_SVM_H */
