// SPDX-License-Identifier: GPL-2.0
/*
 * For tests of exporters: importers of dma-bufs with one classic mistake each, and one without.
 *
 * The exporter's operations are called directly: what the core puts between them and an
 * importer on kernels that debug dma-bufs would itself be lost, or freed twice, by what is
 * done wrong here.
 */

#include <linux/cleanup.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "careless.h"
#include "dma_buf.h"
#include "soft_device.h"

/* Does the DMA, by the CPU. */
static struct device *careless_dev;

struct careless {
	struct mutex lock;		/* attach, and who uses it */
	u32 fault;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	/* With the reservation: */
	struct sg_table *sgt;
	dma_addr_t addr;		/* of the first page, 0 for none */
	bool stale;			/* sgt should have been given back */
};

static struct sg_table *careless_map(struct dma_buf_attachment *attach)
{
	return attach->dmabuf->ops->map_dma_buf(attach, DMA_BIDIRECTIONAL);
}

static void careless_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt)
{
	attach->dmabuf->ops->unmap_dma_buf(attach, sgt, DMA_BIDIRECTIONAL);
}

static void careless_give_back(struct careless *c)
{
	dma_resv_assert_held(c->dmabuf->resv);

	if (c->sgt)
		careless_unmap(c->attach, c->sgt);
	c->sgt = NULL;
	c->stale = false;
}

static void careless_invalidate(struct dma_buf_attachment *attach)
{
	struct careless *c = attach->importer_priv;

	if (c->fault == CARELESS_LATE) {
		c->stale = c->sgt;
		return;
	}
	if (c->fault == CARELESS_KEEPS)
		c->sgt = NULL;
	else
		careless_give_back(c);
	if (c->fault != CARELESS_STALE)
		c->addr = 0;
}

static const struct dma_buf_attach_ops careless_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = careless_invalidate,
};

static int careless_ensure_mapped(struct careless *c)
{
	struct sg_table *sgt;

	dma_resv_assert_held(c->dmabuf->resv);

	if (c->stale) {
		careless_give_back(c);
		c->addr = 0;
	}
	if (c->addr)
		return 0;
	sgt = careless_map(c->attach);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	c->sgt = sgt;
	c->addr = sg_dma_address(sgt->sgl);
	return 0;
}

static int careless_wait(struct careless *c)
{
	long ret;

	if (c->fault == CARELESS_EARLY)
		return 0;
	ret = dma_resv_wait_timeout(c->dmabuf->resv, DMA_RESV_USAGE_KERNEL, true,
				    MAX_SCHEDULE_TIMEOUT);
	return ret < 0 ? ret : 0;
}

/* Nothing moves meanwhile. All memory that this device reaches is RAM. */
static int careless_access(struct careless *c, u8 *bytes, size_t len, unsigned int at, bool write)
{
	void *p;
	int ret;

	ret = dma_resv_lock_interruptible(c->dmabuf->resv, NULL);
	if (ret)
		return ret;
	ret = careless_ensure_mapped(c);
	if (!ret)
		ret = careless_wait(c);
	if (!ret) {
		p = phys_to_virt(dma_to_phys(careless_dev, c->addr)) + at;
		memcpy(write ? p : bytes, write ? bytes : p, len);
	}
	dma_resv_unlock(c->dmabuf->resv);
	return ret;
}

/* A word of the first page. */
static bool careless_may_access(const struct careless *c, size_t len, loff_t pos)
{
	return c->attach && len == sizeof(u64) && pos >= 0 && pos <= PAGE_SIZE - sizeof(u64);
}

static ssize_t careless_read(struct file *file, char __user *user, size_t len, loff_t *pos)
{
	struct careless *c = file->private_data;
	u8 bytes[sizeof(u64)];
	int ret;

	guard(mutex)(&c->lock);
	if (!careless_may_access(c, len, *pos))
		return -EINVAL;
	ret = careless_access(c, bytes, len, *pos, false);
	if (!ret && copy_to_user(user, bytes, len))
		ret = -EFAULT;
	return ret ? ret : len;
}

static ssize_t careless_write(struct file *file, const char __user *user, size_t len,
			      loff_t *pos)
{
	struct careless *c = file->private_data;
	u8 bytes[sizeof(u64)];
	int ret;

	guard(mutex)(&c->lock);
	if (!careless_may_access(c, len, *pos))
		return -EINVAL;
	if (copy_from_user(bytes, user, len))
		return -EFAULT;
	ret = careless_access(c, bytes, len, *pos, true);
	return ret ? ret : len;
}

static int careless_attach(struct careless *c, const void __user *uarg)
{
	struct dma_buf_attachment *attach;
	struct careless_attach arg;
	struct dma_buf *dmabuf;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.fault >= CARELESS_FAULTS)
		return -EINVAL;
	if (c->dmabuf)
		return -EBUSY;
	dmabuf = dma_buf_get(arg.fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);

	c->fault = arg.fault;
	c->dmabuf = dmabuf;
	attach = dma_buf_dynamic_attach(dmabuf, careless_dev, &careless_attach_ops, c);
	if (IS_ERR(attach)) {
		dma_buf_put(dmabuf);
		c->dmabuf = NULL;
		return PTR_ERR(attach);
	}
	c->attach = attach;
	return 0;
}

static void careless_detach(struct careless *c)
{
	if (!c->attach)
		return;
	dma_resv_lock(c->dmabuf->resv, NULL);
	if (c->fault != CARELESS_KEEPS)
		careless_give_back(c);
	dma_resv_unlock(c->dmabuf->resv);
	dma_buf_detach(c->dmabuf, c->attach);
	c->attach = NULL;
}

static int careless_unmap_twice(struct careless *c)
{
	struct sg_table *sgt;

	dma_resv_assert_held(c->dmabuf->resv);

	sgt = careless_map(c->attach);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	careless_unmap(c->attach, sgt);
	careless_unmap(c->attach, sgt);
	return 0;
}

static int careless_unmap_foreign(struct careless *c, struct dma_buf_attachment *other)
{
	struct sg_table *sgt;

	dma_resv_assert_held(c->dmabuf->resv);

	sgt = careless_map(other);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);
	careless_unmap(c->attach, sgt);
	careless_unmap(other, sgt);
	return 0;
}

static int careless_pin(struct careless *c)
{
	int ret;

	dma_resv_assert_held(c->dmabuf->resv);

	ret = dma_buf_pin(c->attach);
	if (ret || c->fault == CARELESS_PINNED)
		return ret;
	dma_buf_unpin(c->attach);
	dma_buf_unpin(c->attach);
	return 0;
}

static int careless_err_locked(struct careless *c, struct dma_buf_attachment *other)
{
	switch (c->fault) {
	case CARELESS_TWICE:
		return careless_unmap_twice(c);
	case CARELESS_FOREIGN:
		return careless_unmap_foreign(c, other);
	case CARELESS_PINNED:
	case CARELESS_UNPINS:
		return careless_pin(c);
	default:
		return -EINVAL;
	}
}

/* Beside a second attachment, as another importer has it. */
static int careless_err_with_other(struct careless *c)
{
	struct dma_buf_attachment *other;
	int ret;

	other = dma_buf_dynamic_attach(c->dmabuf, careless_dev, &careless_attach_ops, c);
	if (IS_ERR(other))
		return PTR_ERR(other);
	dma_resv_lock(c->dmabuf->resv, NULL);
	ret = careless_err_locked(c, other);
	dma_resv_unlock(c->dmabuf->resv);
	dma_buf_detach(c->dmabuf, other);
	return ret;
}

/* The memory of an attachment that has ended is the kernel's: a copy of it calls. */
static int careless_map_detached(struct careless *c)
{
	struct dma_buf_attachment copy = *c->attach;
	struct sg_table *sgt;

	careless_detach(c);
	dma_resv_lock(c->dmabuf->resv, NULL);
	sgt = careless_map(&copy);
	if (!IS_ERR(sgt))
		careless_unmap(&copy, sgt);
	dma_resv_unlock(c->dmabuf->resv);
	return PTR_ERR_OR_ZERO(sgt);
}

static int careless_map_unlocked(struct careless *c)
{
	struct sg_table *sgt = careless_map(c->attach);

	if (!IS_ERR(sgt))
		careless_unmap(c->attach, sgt);
	return PTR_ERR_OR_ZERO(sgt);
}

static int careless_err(struct careless *c)
{
	if (!c->attach)
		return -EINVAL;
	if (c->fault == CARELESS_DETACHED)
		return careless_map_detached(c);
	if (c->fault == CARELESS_UNLOCKED)
		return careless_map_unlocked(c);
	return careless_err_with_other(c);
}

static long careless_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct careless *c = file->private_data;

	guard(mutex)(&c->lock);
	switch (cmd) {
	case CARELESS_IOC_ATTACH:
		return careless_attach(c, (void __user *)arg);
	case CARELESS_IOC_ERR:
		return careless_err(c);
	default:
		return -ENOTTY;
	}
}

static int careless_open(struct inode *inode, struct file *file)
{
	struct careless *c = kzalloc(sizeof(*c), GFP_KERNEL);

	if (!c)
		return -ENOMEM;
	mutex_init(&c->lock);
	file->private_data = c;
	return 0;
}

static int careless_close(struct inode *inode, struct file *file)
{
	struct careless *c = file->private_data;

	careless_detach(c);
	if (c->dmabuf)
		dma_buf_put(c->dmabuf);
	mutex_destroy(&c->lock);
	kfree(c);
	return 0;
}

static const struct file_operations careless_fops = {
	.owner = THIS_MODULE,
	.open = careless_open,
	.release = careless_close,
	.read = careless_read,
	.write = careless_write,
	.unlocked_ioctl = careless_ioctl,
};

static struct miscdevice careless_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "careless",
	.fops = &careless_fops,
};

static int __init careless_init(void)
{
	int ret;

	careless_dev = compat_soft_device_create("careless");
	if (IS_ERR(careless_dev))
		return PTR_ERR(careless_dev);
	ret = dma_coerce_mask_and_coherent(careless_dev, DMA_BIT_MASK(64));
	if (!ret)
		ret = misc_register(&careless_misc);
	if (ret)
		compat_soft_device_destroy(careless_dev);
	return ret;
}

static void __exit careless_exit(void)
{
	misc_deregister(&careless_misc);
	compat_soft_device_destroy(careless_dev);
}

module_init(careless_init);
module_exit(careless_exit);

COMPAT_IMPORT_NS_DMA_BUF;
MODULE_AUTHOR("movable-dmabuf");
MODULE_DESCRIPTION("Importers of dma-bufs that break the rules, for tests");
MODULE_LICENSE("GPL");
