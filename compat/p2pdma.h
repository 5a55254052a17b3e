/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_P2PDMA_H
#define COMPAT_P2PDMA_H

#include <linux/dma-buf.h>
#include <linux/pci-p2pdma.h>
#include <linux/pci.h>
#include <linux/slab.h>

/*
 * Peer memory without struct pages: kernels that have the P2PDMA provider map a
 * BAR for an importer, on others no importer reaches it.
 */
#ifdef HAVE_DMA_BUF_PHYS_VEC_TO_SGT
#include <linux/dma-buf-mapping.h>

#define compat_phys_vec		phys_vec

/**
 * struct compat_p2p_table - a table of several ranges
 */
struct compat_p2p_table {
	/** @sgt: What the importer gets. */
	struct sg_table sgt;
	/** @nr: Entries in @part. */
	unsigned int nr;
	/** @part: Mapping of each range. */
	struct sg_table *part[];
};

static inline void compat_p2p_table_free(struct dma_buf_attachment *attach,
					 struct compat_p2p_table *table,
					 enum dma_data_direction dir)
{
	while (table->nr--) {
		struct sg_table *part = table->part[table->nr];

		/*
		 * dma_buf_phys_vec_to_sgt() hides the number of entries from
		 * sg_free_table(), which dma_buf_free_sgt() calls: it would leak them.
		 */
		part->orig_nents = part->nents;
		dma_buf_free_sgt(attach, part, dir);
	}
	kvfree(table);
}

/**
 * compat_phys_vec_to_sgt() - dma_buf_phys_vec_to_sgt() for any number of ranges
 *
 * Up to 7.3 that function puts all ranges at the same IOVA, so that with an IOMMU
 * it fails for more than one of them: each range is mapped by itself.
 */
static inline struct sg_table *
compat_phys_vec_to_sgt(struct dma_buf_attachment *attach,
		       struct p2pdma_provider *provider,
		       struct compat_phys_vec *vec, size_t nr_ranges, size_t size,
		       enum dma_data_direction dir)
{
	struct scatterlist *to, *from;
	struct compat_p2p_table *table;
	unsigned int nents = 0, i, j;
	struct sg_table *part;
	int ret;

	table = kvzalloc(struct_size(table, part, nr_ranges), GFP_KERNEL);
	if (!table)
		return ERR_PTR(-ENOMEM);

	for (i = 0; i < nr_ranges; i++) {
		part = dma_buf_phys_vec_to_sgt(attach, provider, &vec[i], 1, vec[i].len, dir);
		if (IS_ERR(part)) {
			ret = PTR_ERR(part);
			goto err_free;
		}
		table->part[table->nr++] = part;
		nents += part->nents;
	}
	ret = sg_alloc_table(&table->sgt, nents, GFP_KERNEL);
	if (ret)
		goto err_free;

	to = table->sgt.sgl;
	for (i = 0; i < nr_ranges; i++) {
		for_each_sgtable_dma_sg(table->part[i], from, j) {
			sg_set_page(to, NULL, 0, 0);
			sg_dma_address(to) = sg_dma_address(from);
			sg_dma_len(to) = sg_dma_len(from);
			to = sg_next(to);
		}
	}
	table->sgt.orig_nents = 0;
	return &table->sgt;

err_free:
	compat_p2p_table_free(attach, table, dir);
	return ERR_PTR(ret);
}

/**
 * compat_free_sgt() - undo compat_phys_vec_to_sgt()
 * @sgt: the table, its orig_nents set to its number of entries
 */
static inline void compat_free_sgt(struct dma_buf_attachment *attach,
				   struct sg_table *sgt,
				   enum dma_data_direction dir)
{
	sg_free_table(sgt);
	compat_p2p_table_free(attach, container_of(sgt, struct compat_p2p_table, sgt), dir);
}

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
