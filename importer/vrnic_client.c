// SPDX-License-Identifier: GPL-2.0
/*
 * Who has to know which devices there are, without being a part of this module.
 */

#include <linux/list.h>
#include <linux/mutex.h>

#include "vrnic_client.h"
#include "vrnic_core.h"
#include "vrnic_ns.h"

/* Protects both below; held over the client's functions, outside of all other locks. */
static DEFINE_MUTEX(vrnic_clients_lock);
static LIST_HEAD(vrnic_devices);
static struct vrnic_client *vrnic_client;

/**
 * vrnic_client_register() - be told of devices, those that are there first
 * @client: the client
 *
 * Return: 0; -EBUSY when there is one already.
 */
int vrnic_client_register(struct vrnic_client *client)
{
	struct vrnic_device *vdev;

	guard(mutex)(&vrnic_clients_lock);
	if (vrnic_client)
		return -EBUSY;
	vrnic_client = client;
	list_for_each_entry(vdev, &vrnic_devices, link)
		client->add(vdev);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(vrnic_client_register, VRNIC_NS);

/**
 * vrnic_client_unregister() - let go of all devices
 * @client: the client
 */
void vrnic_client_unregister(struct vrnic_client *client)
{
	struct vrnic_device *vdev;

	guard(mutex)(&vrnic_clients_lock);
	list_for_each_entry(vdev, &vrnic_devices, link)
		client->remove(vdev);
	vrnic_client = NULL;
}
EXPORT_SYMBOL_NS_GPL(vrnic_client_unregister, VRNIC_NS);

/**
 * vrnic_client_add_device() - a device is complete
 * @vdev: the device
 */
void vrnic_client_add_device(struct vrnic_device *vdev)
{
	guard(mutex)(&vrnic_clients_lock);
	list_add_tail(&vdev->link, &vrnic_devices);
	if (vrnic_client)
		vrnic_client->add(vdev);
}

/**
 * vrnic_client_remove_device() - a device is about to be removed
 * @vdev: the device
 */
void vrnic_client_remove_device(struct vrnic_device *vdev)
{
	guard(mutex)(&vrnic_clients_lock);
	list_del(&vdev->link);
	if (vrnic_client)
		vrnic_client->remove(vdev);
}
