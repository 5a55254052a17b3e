// SPDX-License-Identifier: GPL-2.0
/*
 * An exporter of dma-bufs that move: to begin from. A buffer has two sets of pages, and moves
 * from one to the other when it is asked to. All that a driver owes to importers is here:
 *
 * - it moves nothing that is pinned;
 * - it tells importers before it moves, with the reservation held;
 * - it waits for all fences, also those of BOOKKEEP, since they are of DMA, before it touches
 *   the bytes;
 * - what is mapped is the place where the buffer is, and a place that was mapped stays until
 *   its mapping was given back.
 *
 * It copies while it holds the reservation. A driver with a copy engine adds a KERNEL fence
 * instead, and lets the reservation go.
 *
 * Documentation/driver-api/dma-buf.rst
 */

#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fcntl.h>
#include <linux/highmem.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "example_exporter.h"

#define EXAMPLE_MAX_PAGES	16384

struct example {
	unsigned int nr;
	/* With the reservation: */
	unsigned int at;		/* which of both sets has the bytes */
	unsigned int pins;
	struct page **pages[2];
};

static int example_pin(struct dma_buf_attachment *attach)
{
	struct example *e = attach->dmabuf->priv;

	e->pins++;
	return 0;
}

static void example_unpin(struct dma_buf_attachment *attach)
{
	struct example *e = attach->dmabuf->priv;

	e->pins--;
}

static struct sg_table *example_map(struct dma_buf_attachment *attach,
				    enum dma_data_direction dir)
{
	struct example *e = attach->dmabuf->priv;
	struct sg_table *sgt;
	int ret;

	sgt = kzalloc(sizeof(*sgt), GFP_KERNEL);
	if (!sgt)
		return ERR_PTR(-ENOMEM);
	ret = sg_alloc_table_from_pages(sgt, e->pages[e->at], e->nr, 0, (size_t)e->nr << PAGE_SHIFT,
					GFP_KERNEL);
	if (ret)
		goto err_free;
	ret = dma_map_sgtable(attach->dev, sgt, dir, DMA_ATTR_SKIP_CPU_SYNC);
	if (ret)
		goto err_free_table;
	return sgt;

err_free_table:
	sg_free_table(sgt);
err_free:
	kfree(sgt);
	return ERR_PTR(ret);
}

static void example_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			  enum dma_data_direction dir)
{
	dma_unmap_sgtable(attach->dev, sgt, dir, DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(sgt);
	kfree(sgt);
}

static void example_free(struct example *e)
{
	unsigned int set, i;

	for (set = 0; set < ARRAY_SIZE(e->pages); set++) {
		for (i = 0; e->pages[set] && i < e->nr && e->pages[set][i]; i++)
			__free_page(e->pages[set][i]);
		kvfree(e->pages[set]);
	}
	kfree(e);
}

static void example_release(struct dma_buf *dmabuf)
{
	example_free(dmabuf->priv);
}

static const struct dma_buf_ops example_ops = {
	.pin = example_pin,
	.unpin = example_unpin,
	.map_dma_buf = example_map,
	.unmap_dma_buf = example_unmap,
	.release = example_release,
};

static struct example *example_alloc(unsigned int nr)
{
	struct example *e = kzalloc(sizeof(*e), GFP_KERNEL);
	unsigned int set, i;

	if (!e)
		return NULL;
	e->nr = nr;
	for (set = 0; set < ARRAY_SIZE(e->pages); set++) {
		e->pages[set] = kvcalloc(nr, sizeof(*e->pages[set]), GFP_KERNEL);
		if (!e->pages[set])
			goto err;
		for (i = 0; i < nr; i++) {
			e->pages[set][i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
			if (!e->pages[set][i])
				goto err;
		}
	}
	return e;

err:
	example_free(e);
	return NULL;
}

static int example_create(unsigned long size)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	struct example *e;
	int fd;

	if (!size || !PAGE_ALIGNED(size) || size >> PAGE_SHIFT > EXAMPLE_MAX_PAGES)
		return -EINVAL;
	e = example_alloc(size >> PAGE_SHIFT);
	if (!e)
		return -ENOMEM;
	info.ops = &example_ops;
	info.size = size;
	info.flags = O_RDWR;
	info.priv = e;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		example_free(e);
		return PTR_ERR(dmabuf);
	}
	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(dmabuf);
	return fd;
}

static int example_move_locked(struct dma_buf *dmabuf)
{
	struct example *e = dmabuf->priv;
	unsigned int i;
	long ret;

	if (e->pins)
		return -EBUSY;
	dma_buf_invalidate_mappings(dmabuf);
	ret = dma_resv_wait_timeout(dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP, true,
				    MAX_SCHEDULE_TIMEOUT);
	if (ret < 0)
		return ret;
	for (i = 0; i < e->nr; i++)
		copy_highpage(e->pages[!e->at][i], e->pages[e->at][i]);
	e->at = !e->at;
	return 0;
}

static int example_move(int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	int ret;

	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = dmabuf->ops == &example_ops ? 0 : -EINVAL;
	if (!ret)
		ret = dma_resv_lock_interruptible(dmabuf->resv, NULL);
	if (!ret) {
		ret = example_move_locked(dmabuf);
		dma_resv_unlock(dmabuf->resv);
	}
	dma_buf_put(dmabuf);
	return ret;
}

static long example_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case EXAMPLE_CREATE:
		return example_create(arg);
	case EXAMPLE_MOVE:
		return example_move(arg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations example_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = example_ioctl,
};

static struct miscdevice example_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "example_exporter",
	.fops = &example_fops,
};
module_misc_device(example_misc);

MODULE_IMPORT_NS("DMA_BUF");
MODULE_AUTHOR("movable-dmabuf");
MODULE_DESCRIPTION("An exporter of dma-bufs to begin from");
MODULE_LICENSE("GPL");
