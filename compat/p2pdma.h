/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_P2PDMA_H
#define COMPAT_P2PDMA_H

#include <linux/dma-buf.h>
#include <linux/pci-p2pdma.h>
#include <linux/pci.h>

/*
 * Peer memory without struct pages: kernels that have the P2PDMA provider map a
 * BAR for an importer, on others no importer reaches it.
 */
#ifdef HAVE_DMA_BUF_PHYS_VEC_TO_SGT
#include <linux/dma-buf-mapping.h>

#define compat_phys_vec		phys_vec
#define compat_phys_vec_to_sgt	dma_buf_phys_vec_to_sgt
#define compat_free_sgt		dma_buf_free_sgt

/**
 * compat_p2pdma_init() - make a BAR a source of peer memory
 * @provider: out: NULL where the kernel was built without P2PDMA
 */
static inline int compat_p2pdma_init(struct pci_dev *pdev, int bar,
				     struct p2pdma_provider **provider)
{
	int ret = pcim_p2pdma_init(pdev);

	*provider = NULL;
	if (ret)
		return ret == -EOPNOTSUPP ? 0 : ret;
	*provider = pcim_p2pdma_provider(pdev, bar);
	return 0;
}
#else
struct p2pdma_provider;

struct compat_phys_vec {
	phys_addr_t paddr;
	size_t len;
};

static inline int compat_p2pdma_init(struct pci_dev *pdev, int bar,
				     struct p2pdma_provider **provider)
{
	*provider = NULL;
	return 0;
}

static inline struct sg_table *
compat_phys_vec_to_sgt(struct dma_buf_attachment *attach,
		       struct p2pdma_provider *provider,
		       struct compat_phys_vec *vec, size_t nr_ranges, size_t size,
		       enum dma_data_direction dir)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static inline void compat_free_sgt(struct dma_buf_attachment *attach,
				   struct sg_table *sgt,
				   enum dma_data_direction dir)
{
}
#endif

#endif /* COMPAT_P2PDMA_H */
