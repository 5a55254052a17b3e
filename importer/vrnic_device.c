// SPDX-License-Identifier: GPL-2.0
/*
 * The device: how it comes, and how it goes.
 */

#include <linux/device.h>
#include <linux/idr.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "vrnic_audit.h"
#include "vrnic_core.h"
#include "vrnic_ns.h"

static DEFINE_IDA(vrnic_ids);

/**
 * vrnic_device_enter() - keep the bus device from going away
 * @vdev: the device
 * @idx: for vrnic_device_exit()
 *
 * Return: false when it is gone.
 */
bool vrnic_device_enter(struct vrnic_device *vdev, int *idx)
{
	*idx = srcu_read_lock(&vdev->srcu);
	if (!READ_ONCE(vdev->gone))
		return true;
	srcu_read_unlock(&vdev->srcu, *idx);
	return false;
}

void vrnic_device_exit(struct vrnic_device *vdev, int idx)
{
	srcu_read_unlock(&vdev->srcu, idx);
}

/**
 * vrnic_workers_create() - what executes what a client has to wait for
 *
 * There are so many workers at most. Each client has its own: those of one that all wait,
 * for buffers that do not come, are not what others wait for.
 *
 * Return: the workqueue, which goes after all that it works for; or NULL.
 */
struct workqueue_struct *vrnic_workers_create(void)
{
	return alloc_workqueue("vrnic", WQ_UNBOUND, 0);
}
EXPORT_SYMBOL_NS_GPL(vrnic_workers_create, VRNIC_NS);

static void vrnic_device_free_memory(struct vrnic_device *vdev)
{
	if (vdev->unmap_wq)
		destroy_workqueue(vdev->unmap_wq);
	if (vdev->workers)
		destroy_workqueue(vdev->workers);
	cleanup_srcu_struct(&vdev->srcu);
	xa_destroy(&vdev->regions);
	kfree(vdev);
}

static struct vrnic_device *vrnic_device_alloc(struct device *dev)
{
	struct vrnic_device *vdev;
	int ret;

	vdev = kzalloc(sizeof(*vdev), GFP_KERNEL);
	if (!vdev)
		return ERR_PTR(-ENOMEM);

	ret = init_srcu_struct(&vdev->srcu);
	if (ret) {
		kfree(vdev);
		return ERR_PTR(ret);
	}
	kref_init(&vdev->ref);
	vdev->dev = dev;
	spin_lock_init(&vdev->exporters_lock);
	xa_init_flags(&vdev->regions, XA_FLAGS_ALLOC1);

	vdev->workers = vrnic_workers_create();
	vdev->unmap_wq = alloc_workqueue("vrnic-unmap", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!vdev->workers || !vdev->unmap_wq) {
		vrnic_device_free_memory(vdev);
		return ERR_PTR(-ENOMEM);
	}
	return vdev;
}

/**
 * vrnic_device_create() - make an importer
 * @dev: does its DMA
 *
 * Nobody knows it before it has its engines, vrnic_debugfs_init() was called, and faces
 * are made.
 *
 * Return: the importer, or an error pointer.
 */
struct vrnic_device *vrnic_device_create(struct device *dev)
{
	struct vrnic_device *vdev = vrnic_device_alloc(dev);
	int id;

	if (IS_ERR(vdev))
		return vdev;
	id = ida_alloc(&vrnic_ids, GFP_KERNEL);
	if (id < 0) {
		vrnic_device_free_memory(vdev);
		return ERR_PTR(id);
	}
	vdev->id = id;
	snprintf(vdev->name, sizeof(vdev->name), "vrnic%d", id);
	vrnic_audit_init(vdev);
	return vdev;
}

static void vrnic_device_free(struct kref *ref)
{
	vrnic_device_free_memory(container_of(ref, struct vrnic_device, ref));
}

void vrnic_device_get(struct vrnic_device *vdev)
{
	kref_get(&vdev->ref);
}

void vrnic_device_put(struct vrnic_device *vdev)
{
	kref_put(&vdev->ref, vrnic_device_free);
}

/**
 * vrnic_device_leave() - the bus device is going away: no call is let in any more
 * @vdev: the device
 *
 * What runs ends early. Faces wake up who waits, wait with vrnic_device_drain() and end
 * all that their clients have, before vrnic_device_remove().
 */
void vrnic_device_leave(struct vrnic_device *vdev)
{
	WRITE_ONCE(vdev->gone, true);
}

/**
 * vrnic_device_drain() - wait for calls
 * @vdev: the device
 *
 * None that was let in before is under way when this returns.
 */
void vrnic_device_drain(struct vrnic_device *vdev)
{
	synchronize_srcu(&vdev->srcu);
}

/**
 * vrnic_device_remove() - the last of a device
 * @vdev: the device, which has no regions and queues any more
 *
 * Clients may still hold its memory.
 */
void vrnic_device_remove(struct vrnic_device *vdev)
{
	vrnic_audit_fini(vdev);
	vrnic_debugfs_fini(vdev);
	/* Nothing is called so any more: the next one may be, as after a re-plug. */
	ida_free(&vrnic_ids, vdev->id);
	vrnic_device_put(vdev);
}
