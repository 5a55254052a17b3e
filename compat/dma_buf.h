/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_DMA_BUF_H
#define COMPAT_DMA_BUF_H

#include <linux/dma-buf.h>
#include <linux/module.h>

/*
 * Linux 7.x named the notification after what it does to the importer. The
 * meaning of the older names is the same.
 */
#ifndef HAVE_DMA_BUF_INVALIDATE_MAPPINGS
#define invalidate_mappings		move_notify
#define dma_buf_invalidate_mappings	dma_buf_move_notify
#endif

#ifndef HAVE_DMA_BUF_ATTACH_REVOCABLE
static inline bool dma_buf_attach_revocable(struct dma_buf_attachment *attach)
{
	return attach->importer_ops && attach->importer_ops->invalidate_mappings;
}
#endif

/**
 * compat_dma_buf_is_dynamic_kernel() - tell whether importers are notified
 *
 * Return: false on kernels that were built to pin the buffers of dynamic
 * importers while they are mapped (CONFIG_DMABUF_MOVE_NOTIFY unset, before 7.x).
 */
static inline bool compat_dma_buf_is_dynamic_kernel(void)
{
#ifdef HAVE_DMA_BUF_INVALIDATE_MAPPINGS
	return true;
#else
	return IS_ENABLED(CONFIG_DMABUF_MOVE_NOTIFY);
#endif
}

#ifdef HAVE_IMPORT_NS_STRING
#define COMPAT_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS("DMA_BUF")
#else
#define COMPAT_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS(DMA_BUF)
#endif

#endif /* COMPAT_DMA_BUF_H */
