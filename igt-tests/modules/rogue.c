// SPDX-License-Identifier: GPL-2.0
/*
 * For tests of importers: an exporter that breaks one rule of dma-buf at a time; and
 * for tests of exporters: a user of vmap, and an importer that unpins too often.
 */

#include <linux/cleanup.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/iosys-map.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "dma_buf.h"
#include "dma_fence.h"
#include "rogue.h"

#define ROGUE_MAX_PAGES		16
#define ROGUE_FENCE_MS		3000
#define ROGUE_LOST_MS		100
/* Just below a PC's local APIC: addresses, but no RAM. */
#define ROGUE_NO_RAM		0xfed80000

struct rogue_fence {
	struct dma_fence base;
	spinlock_t lock;	/* for @base on kernels whose fences bring none */
	struct delayed_work work;
	int error;
};

struct rogue_buffer {
	u32 fault;
	unsigned int nr;
	/* Two sets: one to show first, one to show instead. */
	void *pages[2];
	unsigned int maps;
	struct rogue_table *last;
	struct rogue_fence *fence;
};

struct rogue_table {
	struct sg_table sgt;
	dma_addr_t first;	/* as it was mapped */
};

static const char *rogue_fence_name(struct dma_fence *fence)
{
	return "rogue";
}

static const struct dma_fence_ops rogue_fence_ops = {
	.get_driver_name = rogue_fence_name,
	.get_timeline_name = rogue_fence_name,
};

static void rogue_fence_signal(struct work_struct *work)
{
	struct rogue_fence *fence = container_of(work, struct rogue_fence, work.work);

	if (fence->error)
		dma_fence_set_error(&fence->base, fence->error);
	dma_fence_signal(&fence->base);
	dma_fence_put(&fence->base);
}

static bool rogue_has_fence(u32 fault)
{
	return fault == ROGUE_FENCE || fault == ROGUE_LOST || fault == ROGUE_LOST_DEVICE;
}

static int rogue_add_fence(struct rogue_buffer *buf, struct dma_resv *resv)
{
	struct rogue_fence *fence;
	int ret;

	fence = kzalloc(sizeof(*fence), GFP_KERNEL);
	if (!fence)
		return -ENOMEM;
	compat_dma_fence_init(&fence->base, &rogue_fence_ops, &fence->lock,
			      dma_fence_context_alloc(1), 1);
	INIT_DELAYED_WORK(&fence->work, rogue_fence_signal);
	if (buf->fault == ROGUE_LOST)
		fence->error = -ECANCELED;
	if (buf->fault == ROGUE_LOST_DEVICE)
		fence->error = -ENODEV;

	dma_resv_lock(resv, NULL);
	ret = dma_resv_reserve_fences(resv, 1);
	if (!ret)
		dma_resv_add_fence(resv, &fence->base, DMA_RESV_USAGE_KERNEL);
	dma_resv_unlock(resv);
	if (ret) {
		dma_fence_put(&fence->base);
		return ret;
	}
	buf->fence = fence;
	dma_fence_get(&fence->base);
	schedule_delayed_work(&fence->work, msecs_to_jiffies(fence->error ? ROGUE_LOST_MS :
							     ROGUE_FENCE_MS));
	return 0;
}

/* An entry for each page, or for each half of one, or one for all; what is too much comes again. */
static void rogue_fill_table(struct rogue_buffer *buf, struct sg_table *sgt, unsigned int size)
{
	unsigned int set = buf->fault == ROGUE_MOVED ? buf->maps % 2 : 0, i;
	struct scatterlist *sg;

	for_each_sgtable_sg(sgt, sg, i)
		sg_set_buf(sg, buf->pages[set] + i * size % (buf->nr * PAGE_SIZE), size);
}

static unsigned int rogue_entry_size(const struct rogue_buffer *buf)
{
	switch (buf->fault) {
	case ROGUE_ALIGNMENT:
		return PAGE_SIZE / 2;
	case ROGUE_SEGMENT:
		return buf->nr * PAGE_SIZE;
	default:
		return PAGE_SIZE;
	}
}

static unsigned int rogue_entries(const struct rogue_buffer *buf)
{
	unsigned int nr = buf->nr * PAGE_SIZE / rogue_entry_size(buf);

	if (buf->fault == ROGUE_LENGTH)
		return nr - 1;
	return buf->fault == ROGUE_EXCESS ? nr + 1 : nr;
}

static void rogue_lie(struct rogue_buffer *buf, struct rogue_table *table, struct device *dev)
{
	struct scatterlist *first = table->sgt.sgl;

	table->first = sg_dma_address(first);
	if (buf->fault == ROGUE_MASK)
		sg_dma_address(first) |= dma_get_mask(dev) + 1;
	if (buf->fault == ROGUE_RAW)
		sg_dma_address(first) = sg_phys(first);
}

static void rogue_unmap_no_ram(struct device *dev, struct sg_table *sgt, unsigned int nr)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sg(sgt->sgl, sg, nr, i)
		dma_unmap_resource(dev, sg_dma_address(sg), PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
}

static int rogue_map_no_ram(struct device *dev, struct sg_table *sgt)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_sg(sgt, sg, i) {
		sg_dma_address(sg) = dma_map_resource(dev, ROGUE_NO_RAM + i * PAGE_SIZE,
						      PAGE_SIZE, DMA_BIDIRECTIONAL, 0);
		if (dma_mapping_error(dev, sg_dma_address(sg))) {
			rogue_unmap_no_ram(dev, sgt, i);
			return -EIO;
		}
		sg_dma_len(sg) = PAGE_SIZE;
	}
	sgt->nents = sgt->orig_nents;
	return 0;
}

static struct sg_table *rogue_map(struct dma_buf_attachment *attach,
				  enum dma_data_direction dir)
{
	struct rogue_buffer *buf = attach->dmabuf->priv;
	struct rogue_table *table;
	struct sg_table *sgt;
	int ret;

	if (buf->fault == ROGUE_IN_TURN)
		dma_buf_invalidate_mappings(attach->dmabuf);
	table = kzalloc(sizeof(*table), GFP_KERNEL);
	if (!table)
		return ERR_PTR(-ENOMEM);
	sgt = &table->sgt;
	ret = sg_alloc_table(sgt, rogue_entries(buf), GFP_KERNEL);
	if (ret)
		goto err_free;
	rogue_fill_table(buf, sgt, rogue_entry_size(buf));

	if (buf->fault == ROGUE_PAGES)
		ret = rogue_map_no_ram(attach->dev, sgt);
	else
		ret = dma_map_sgtable(attach->dev, sgt, dir, 0);
	if (ret)
		goto err_table;
	rogue_lie(buf, table, attach->dev);
	buf->maps++;
	buf->last = table;
	return sgt;

err_table:
	sg_free_table(sgt);
err_free:
	kfree(table);
	return ERR_PTR(ret);
}

static void rogue_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			enum dma_data_direction dir)
{
	struct rogue_table *table = container_of(sgt, struct rogue_table, sgt);
	struct rogue_buffer *buf = attach->dmabuf->priv;

	if (buf->last == table)
		buf->last = NULL;
	sg_dma_address(sgt->sgl) = table->first;
	if (buf->fault == ROGUE_PAGES)
		rogue_unmap_no_ram(attach->dev, sgt, sgt->orig_nents);
	else
		dma_unmap_sgtable(attach->dev, sgt, dir, 0);
	sg_free_table(sgt);
	kfree(table);
}

static int rogue_pin(struct dma_buf_attachment *attach)
{
	return 0;
}

static void rogue_unpin(struct dma_buf_attachment *attach)
{
}

static void rogue_free(struct rogue_buffer *buf)
{
	unsigned int set;

	for (set = 0; set < 2; set++)
		if (buf->pages[set])
			free_pages_exact(buf->pages[set], buf->nr * PAGE_SIZE);
	kfree(buf);
}

static void rogue_release(struct dma_buf *dmabuf)
{
	struct rogue_buffer *buf = dmabuf->priv;

	if (buf->fence) {
		flush_delayed_work(&buf->fence->work);
		dma_fence_put(&buf->fence->base);
	}
	rogue_free(buf);
}

static const struct dma_buf_ops rogue_ops = {
	.pin = rogue_pin,
	.unpin = rogue_unpin,
	.map_dma_buf = rogue_map,
	.unmap_dma_buf = rogue_unmap,
	.release = rogue_release,
};

static struct rogue_buffer *rogue_alloc(const struct rogue_export *arg)
{
	struct rogue_buffer *buf;
	unsigned int set;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL);
	if (!buf)
		return NULL;
	buf->fault = arg->fault;
	buf->nr = arg->size >> PAGE_SHIFT;
	for (set = 0; set < 2; set++) {
		buf->pages[set] = alloc_pages_exact(arg->size, GFP_KERNEL | __GFP_ZERO);
		if (!buf->pages[set]) {
			rogue_free(buf);
			return NULL;
		}
	}
	return buf;
}

static int rogue_export(struct rogue_export __user *uarg)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct rogue_export arg;
	struct dma_buf *dmabuf;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (!arg.size || !PAGE_ALIGNED(arg.size) || arg.fault >= ROGUE_FAULTS ||
	    arg.size > ROGUE_MAX_PAGES * PAGE_SIZE)
		return -EINVAL;

	info.ops = &rogue_ops;
	info.size = arg.size;
	info.flags = O_RDWR | O_CLOEXEC;
	info.priv = rogue_alloc(&arg);
	if (!info.priv)
		return -ENOMEM;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		rogue_free(info.priv);
		return PTR_ERR(dmabuf);
	}

	if (arg.fault == ROGUE_SIZE)
		i_size_write(file_inode(dmabuf->file), arg.size / 2);
	ret = rogue_has_fence(arg.fault) ? rogue_add_fence(info.priv, dmabuf->resv) : 0;
	if (!ret)
		ret = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (ret < 0) {
		dma_buf_put(dmabuf);
		return ret;
	}
	return put_user(ret, &uarg->fd);
}

/* The importer's callback itself: the core's function asserts the reservation. */
static void rogue_notify_unlocked(struct dma_buf *dmabuf)
{
	struct dma_buf_attachment *attach;

	list_for_each_entry(attach, &dmabuf->attachments, node)
		if (attach->importer_ops && attach->importer_ops->invalidate_mappings)
			attach->importer_ops->invalidate_mappings(attach);
}

/* The dma-buf whose fd is the argument. */
static struct dma_buf *rogue_get(int __user *ufd)
{
	int fd;

	if (get_user(fd, ufd))
		return ERR_PTR(-EFAULT);
	return dma_buf_get(fd);
}

static int rogue_notify(int __user *ufd)
{
	struct rogue_buffer *buf;
	struct dma_buf *dmabuf;

	dmabuf = rogue_get(ufd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	if (dmabuf->ops != &rogue_ops) {
		dma_buf_put(dmabuf);
		return -EINVAL;
	}

	buf = dmabuf->priv;
	if (buf->fault == ROGUE_LOCK) {
		rogue_notify_unlocked(dmabuf);
	} else {
		dma_resv_lock(dmabuf->resv, NULL);
		if (buf->fault == ROGUE_TABLE && buf->last)
			sg_dma_address(buf->last->sgt.sgl) += PAGE_SIZE;
		dma_buf_invalidate_mappings(dmabuf);
		dma_resv_unlock(dmabuf->resv);
	}
	dma_buf_put(dmabuf);
	return 0;
}

struct rogue_file {
	struct device *dev;
	struct mutex lock;	/* the members below */
	struct dma_buf *dmabuf;
	struct iosys_map map;
	u8 page[PAGE_SIZE];	/* on its way between the mapping and the user */
};

static int rogue_vunmap(struct rogue_file *rf)
{
	lockdep_assert_held(&rf->lock);

	if (!rf->dmabuf)
		return -EINVAL;
	dma_buf_vunmap_unlocked(rf->dmabuf, &rf->map);
	dma_buf_put(rf->dmabuf);
	rf->dmabuf = NULL;
	return 0;
}

static int rogue_vmap(struct rogue_file *rf, struct rogue_vmap __user *uarg)
{
	struct dma_buf *dmabuf;
	struct rogue_vmap arg;
	int ret;

	lockdep_assert_held(&rf->lock);

	if (rf->dmabuf)
		return -EBUSY;
	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	dmabuf = dma_buf_get(arg.fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = dma_buf_vmap_unlocked(dmabuf, &rf->map);
	if (ret) {
		dma_buf_put(dmabuf);
		return ret;
	}
	rf->dmabuf = dmabuf;
	arg.is_iomem = rf->map.is_iomem;
	if (copy_to_user(uarg, &arg, sizeof(arg))) {
		rogue_vunmap(rf);
		return -EFAULT;
	}
	return 0;
}

static int rogue_try_vmap(int __user *ufd)
{
	struct iosys_map map = {};
	struct dma_buf *dmabuf;
	int ret;

	dmabuf = rogue_get(ufd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);

	dma_resv_lock(dmabuf->resv, NULL);
	ret = dmabuf->vmapping_counter ? -EBUSY : dmabuf->ops->vmap(dmabuf, &map);
	if (!ret)
		dmabuf->ops->vunmap(dmabuf, &map);
	dma_resv_unlock(dmabuf->resv);
	dma_buf_put(dmabuf);
	return ret;
}

/* How much of a request lies within the buffer that is mapped. */
static ssize_t rogue_clamp(struct rogue_file *rf, size_t len, loff_t pos)
{
	lockdep_assert_held(&rf->lock);

	if (!rf->dmabuf || pos < 0)
		return -EINVAL;
	return pos < rf->dmabuf->size ? min_t(u64, len, rf->dmabuf->size - pos) : 0;
}

static ssize_t rogue_read(struct file *file, char __user *user, size_t len, loff_t *pos)
{
	struct rogue_file *rf = file->private_data;
	ssize_t ret;

	guard(mutex)(&rf->lock);
	ret = rogue_clamp(rf, min(len, PAGE_SIZE), *pos);
	if (ret <= 0)
		return ret;
	iosys_map_memcpy_from(rf->page, &rf->map, *pos, ret);
	if (copy_to_user(user, rf->page, ret))
		return -EFAULT;
	*pos += ret;
	return ret;
}

static ssize_t rogue_write(struct file *file, const char __user *user, size_t len, loff_t *pos)
{
	struct rogue_file *rf = file->private_data;
	ssize_t ret;

	guard(mutex)(&rf->lock);
	ret = rogue_clamp(rf, min(len, PAGE_SIZE), *pos);
	if (ret <= 0)
		return ret;
	if (copy_from_user(rf->page, user, ret))
		return -EFAULT;
	iosys_map_memcpy_to(&rf->map, *pos, rf->page, ret);
	*pos += ret;
	return ret;
}

static int rogue_open(struct inode *inode, struct file *file)
{
	/* The core has left its own device there. */
	struct miscdevice *misc = file->private_data;
	struct rogue_file *rf = kzalloc(sizeof(*rf), GFP_KERNEL);

	if (!rf)
		return -ENOMEM;
	mutex_init(&rf->lock);
	rf->dev = misc->this_device;
	file->private_data = rf;
	return 0;
}

static int rogue_close(struct inode *inode, struct file *file)
{
	struct rogue_file *rf = file->private_data;

	mutex_lock(&rf->lock);
	rogue_vunmap(rf);
	mutex_unlock(&rf->lock);
	mutex_destroy(&rf->lock);
	kfree(rf);
	return 0;
}

static void rogue_invalidate(struct dma_buf_attachment *attach)
{
}

static const struct dma_buf_attach_ops rogue_attach_ops = {
	.invalidate_mappings = rogue_invalidate,
};

static int rogue_unpin_unpinned(struct device *dev, int __user *ufd)
{
	struct dma_buf_attachment *attach;
	struct dma_buf *dmabuf;

	dmabuf = rogue_get(ufd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);

	attach = dma_buf_dynamic_attach(dmabuf, dev, &rogue_attach_ops, NULL);
	if (!IS_ERR(attach)) {
		dma_resv_lock(dmabuf->resv, NULL);
		dma_buf_unpin(attach);
		dma_resv_unlock(dmabuf->resv);
		dma_buf_detach(dmabuf, attach);
	}
	dma_buf_put(dmabuf);
	return PTR_ERR_OR_ZERO(attach);
}

static long rogue_map_ioctl(struct rogue_file *rf, unsigned int cmd, void __user *arg)
{
	guard(mutex)(&rf->lock);
	return cmd == ROGUE_IOC_VMAP ? rogue_vmap(rf, arg) : rogue_vunmap(rf);
}

static long rogue_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct rogue_file *rf = file->private_data;

	switch (cmd) {
	case ROGUE_IOC_EXPORT:
		return rogue_export((void __user *)arg);
	case ROGUE_IOC_NOTIFY:
		return rogue_notify((void __user *)arg);
	case ROGUE_IOC_VMAP:
	case ROGUE_IOC_VUNMAP:
		return rogue_map_ioctl(rf, cmd, (void __user *)arg);
	case ROGUE_IOC_TRY_VMAP:
		return rogue_try_vmap((void __user *)arg);
	case ROGUE_IOC_UNPIN:
		return rogue_unpin_unpinned(rf->dev, (void __user *)arg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations rogue_fops = {
	.owner = THIS_MODULE,
	.open = rogue_open,
	.release = rogue_close,
	.read = rogue_read,
	.write = rogue_write,
	.unlocked_ioctl = rogue_ioctl,
};

static struct miscdevice rogue_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "rogue",
	.fops = &rogue_fops,
};
module_misc_device(rogue_misc);

COMPAT_IMPORT_NS_DMA_BUF;
MODULE_AUTHOR("movable-dmabuf");
MODULE_DESCRIPTION("dma-bufs that break the rules, for tests");
MODULE_LICENSE("GPL");
