/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_MM_H
#define COMPAT_MM_H

#include <linux/mm.h>

/**
 * compat_insert_page() - map a page for userspace, from a fault handler
 * @vma: the mapping, VM_MIXEDMAP
 * @address: where
 * @page: the page; the mapping takes a reference
 * @write: writable at once, though the mapping's owner is told of writes. Elsewhere than on
 *	kernels since 6.14 the first write faults again.
 *
 * Return: VM_FAULT_NOPAGE, also when it is mapped already, or an error.
 */
static inline vm_fault_t compat_insert_page(struct vm_area_struct *vma, unsigned long address,
					    struct page *page, bool write)
{
#ifdef HAVE_VMF_INSERT_PAGE_MKWRITE
	struct vm_fault at = { .vma = vma, .address = address };

	return vmf_insert_page_mkwrite(&at, page, write);
#else
	int ret = vm_insert_page(vma, address, page);

	if (ret && ret != -EBUSY)
		return vmf_error(ret);
	return VM_FAULT_NOPAGE;
#endif
}

#endif /* COMPAT_MM_H */
