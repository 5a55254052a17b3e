// SPDX-License-Identifier: GPL-2.0
/*
 * The node of a device, /dev/vrnic0, its open files, and what becomes of them when the
 * device goes.
 */

#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "vrnic_context.h"
#include "vrnic_ioctl.h"
#include "vrnic_node.h"

/**
 * struct vrnic_node - a device's node
 */
struct vrnic_node {
	/** @ref: One for the driver, one for each context. */
	struct kref ref;
	/** @misc: The node itself. */
	struct miscdevice misc;
	/** @vdev: The device behind it, with a reference. */
	struct vrnic_device *vdev;
	/** @lock: Protects @contexts and the open contexts' ends; outermost. */
	struct mutex lock;
	/** @contexts: Of open files. */
	struct list_head contexts;
};

static void vrnic_node_free(struct kref *ref)
{
	struct vrnic_node *node = container_of(ref, struct vrnic_node, ref);

	vrnic_device_put(node->vdev);
	mutex_destroy(&node->lock);
	kfree(node);
}

static long vrnic_file_ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	return vrnic_ioctl(file->private_data, cmd, (void __user *)user);
}

static __poll_t vrnic_file_poll(struct file *file, poll_table *wait)
{
	struct vrnic_context *ctx = file->private_data;

	poll_wait(file, &ctx->completed, wait);
	if (READ_ONCE(ctx->pd.vdev->gone))
		return EPOLLERR | EPOLLHUP;
	return vrnic_has_completions(ctx) ? EPOLLIN | EPOLLRDNORM : 0;
}

static int vrnic_node_add_context(struct vrnic_node *node, struct file *file)
{
	struct vrnic_context *ctx = vrnic_context_create(node->vdev);

	if (!ctx)
		return -ENOMEM;
	kref_get(&node->ref);
	ctx->node = node;
	file->private_data = ctx;

	mutex_lock(&node->lock);
	list_add_tail(&ctx->link, &node->contexts);
	mutex_unlock(&node->lock);
	return 0;
}

/* The node is there: who removes it waits for files that are being opened. */
static int vrnic_file_open(struct inode *inode, struct file *file)
{
	struct vrnic_node *node = container_of(file->private_data, struct vrnic_node, misc);
	int idx, ret;

	if (!vrnic_device_enter(node->vdev, &idx))
		return -ENODEV;
	ret = vrnic_node_add_context(node, file);
	vrnic_device_exit(node->vdev, idx);
	return ret;
}

static int vrnic_file_release(struct inode *inode, struct file *file)
{
	struct vrnic_context *ctx = file->private_data;
	struct vrnic_node *node = ctx->node;
	int idx;

	/* Not under the lock: what one client waits for must not hold up the others. */
	idx = srcu_read_lock(&node->vdev->srcu);
	mutex_lock(&node->lock);
	list_del(&ctx->link);
	mutex_unlock(&node->lock);
	vrnic_context_end(ctx);
	srcu_read_unlock(&node->vdev->srcu, idx);

	vrnic_context_free(ctx);
	kref_put(&node->ref, vrnic_node_free);
	return 0;
}

static const struct file_operations vrnic_fops = {
	.owner = THIS_MODULE,
	.open = vrnic_file_open,
	.release = vrnic_file_release,
	.unlocked_ioctl = vrnic_file_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = vrnic_file_poll,
};

/**
 * vrnic_node_create() - make the device's node in /dev
 * @vdev: the device behind it
 *
 * Return: the node, or an error pointer.
 */
struct vrnic_node *vrnic_node_create(struct vrnic_device *vdev)
{
	struct vrnic_node *node;
	int ret;

	node = kzalloc(sizeof(*node), GFP_KERNEL);
	if (!node)
		return ERR_PTR(-ENOMEM);
	kref_init(&node->ref);
	mutex_init(&node->lock);
	INIT_LIST_HEAD(&node->contexts);
	vrnic_device_get(vdev);
	node->vdev = vdev;
	node->misc = (struct miscdevice) {
		.minor = MISC_DYNAMIC_MINOR,
		.name = vdev->name,
		.fops = &vrnic_fops,
		.mode = 0666,
		.parent = vdev->dev,
	};
	ret = misc_register(&node->misc);
	if (ret) {
		kref_put(&node->ref, vrnic_node_free);
		return ERR_PTR(ret);
	}
	return node;
}

/**
 * vrnic_node_remove() - end the node, and all that clients have
 * @node: the node, after vrnic_device_leave()
 *
 * No further file is opened, no call is under way and no mapping is left when this
 * returns. Contexts stay until their files are closed, and answer -ENODEV.
 */
void vrnic_node_remove(struct vrnic_node *node)
{
	struct vrnic_context *ctx;

	misc_deregister(&node->misc);
	mutex_lock(&node->lock);
	list_for_each_entry(ctx, &node->contexts, link)
		wake_up_all(&ctx->completed);
	mutex_unlock(&node->lock);
	vrnic_device_drain(node->vdev);

	mutex_lock(&node->lock);
	list_for_each_entry(ctx, &node->contexts, link)
		vrnic_context_end(ctx);
	mutex_unlock(&node->lock);

	/* Contexts that left the list meanwhile are ended by those who close them. */
	vrnic_device_drain(node->vdev);
	kref_put(&node->ref, vrnic_node_free);
}
