// SPDX-License-Identifier: GPL-2.0
/*
 * For tests of memory that is reached by a pointer: a user of its pages, who keeps them for as
 * long as a test likes, and reads and writes them behind the back of whoever owns them.
 */

#include <linux/cleanup.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "holder.h"

#define HOLDER_MAX_PAGES	1024

struct holder {
	struct mutex lock;	/* for what follows */
	int nr;
	struct page *pages[HOLDER_MAX_PAGES];
};

static void holder_let_go(struct holder *holder)
{
	unpin_user_pages(holder->pages, holder->nr);
	holder->nr = 0;
}

static int holder_take(struct holder *holder, const void __user *arg)
{
	struct holder_take take;
	unsigned int flags;
	int ret;

	if (copy_from_user(&take, arg, sizeof(take)))
		return -EFAULT;
	if (!take.pages || take.pages > HOLDER_MAX_PAGES || !PAGE_ALIGNED(take.addr) ||
	    take.flags & ~(HOLDER_LONGTERM | HOLDER_READ))
		return -EINVAL;
	if (holder->nr)
		return -EBUSY;

	/* Pages of a peer's are nothing to be registered: the kernel allows only one of both. */
	flags = take.flags & HOLDER_LONGTERM ? FOLL_LONGTERM : FOLL_PCI_P2PDMA;
	if (!(take.flags & HOLDER_READ))
		flags |= FOLL_WRITE;
	ret = pin_user_pages_fast(take.addr, take.pages, flags, holder->pages);
	if (ret < 0)
		return ret;
	holder->nr = ret;
	if (ret == take.pages)
		return 0;
	holder_let_go(holder);
	return -EFAULT;
}

/* Up to the end of a page. */
static ssize_t holder_copy(struct holder *holder, char __user *user, size_t len, loff_t *pos,
			   bool write)
{
	size_t at = offset_in_page(*pos), n = min(len, PAGE_SIZE - at);
	unsigned long left;
	void *p;

	guard(mutex)(&holder->lock);
	if (*pos < 0 || PFN_DOWN(*pos) >= holder->nr)
		return 0;
	/* With a 64 bit kernel every page has an address. */
	p = page_address(holder->pages[PFN_DOWN(*pos)]) + at;
	left = write ? copy_from_user(p, user, n) : copy_to_user(user, p, n);
	if (left)
		return -EFAULT;
	*pos += n;
	return n;
}

static ssize_t holder_read(struct file *file, char __user *user, size_t len, loff_t *pos)
{
	return holder_copy(file->private_data, user, len, pos, false);
}

static ssize_t holder_write(struct file *file, const char __user *user, size_t len, loff_t *pos)
{
	return holder_copy(file->private_data, (char __user *)user, len, pos, true);
}

static long holder_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct holder *holder = file->private_data;

	guard(mutex)(&holder->lock);
	switch (cmd) {
	case HOLDER_IOC_TAKE:
		return holder_take(holder, (void __user *)arg);
	case HOLDER_IOC_LET_GO:
		holder_let_go(holder);
		return 0;
	default:
		return -ENOTTY;
	}
}

static int holder_open(struct inode *inode, struct file *file)
{
	struct holder *holder = kzalloc(sizeof(*holder), GFP_KERNEL);

	if (!holder)
		return -ENOMEM;
	mutex_init(&holder->lock);
	file->private_data = holder;
	return 0;
}

static int holder_close(struct inode *inode, struct file *file)
{
	struct holder *holder = file->private_data;

	holder_let_go(holder);
	mutex_destroy(&holder->lock);
	kfree(holder);
	return 0;
}

static const struct file_operations holder_fops = {
	.owner = THIS_MODULE,
	.open = holder_open,
	.release = holder_close,
	.read = holder_read,
	.write = holder_write,
	.unlocked_ioctl = holder_ioctl,
};

static struct miscdevice holder_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "holder",
	.fops = &holder_fops,
};
module_misc_device(holder_misc);

MODULE_AUTHOR("movable-dmabuf");
MODULE_DESCRIPTION("A user of pages by their pointer, for tests");
MODULE_LICENSE("GPL");
