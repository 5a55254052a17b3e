// SPDX-License-Identifier: GPL-2.0
/*
 * Clients: whose buffers are whose, and whom the copy engine's time is charged to.
 */

#include <linux/slab.h>

#include <drm/drm_file.h>

#include "vvram_client.h"

/**
 * vvram_client_open() - &drm_driver.open
 * @drm: the device
 * @file: the new file
 *
 * Return: 0 or -ENOMEM.
 */
int vvram_client_open(struct drm_device *drm, struct drm_file *file)
{
	struct vvram_client *client;

	client = kzalloc(sizeof(*client), GFP_KERNEL);
	if (!client)
		return -ENOMEM;
	kref_init(&client->ref);
	client->pid = task_tgid_nr(current);
	get_task_comm(client->comm, current);
	file->driver_priv = client;
	return 0;
}

/**
 * vvram_client_close() - &drm_driver.postclose
 * @drm: the device
 * @file: the file that goes
 */
void vvram_client_close(struct drm_device *drm, struct drm_file *file)
{
	vvram_client_put(file->driver_priv);
}

struct vvram_client *vvram_client_get(struct vvram_client *client)
{
	if (client)
		kref_get(&client->ref);
	return client;
}

static void vvram_client_release(struct kref *ref)
{
	kfree(container_of(ref, struct vvram_client, ref));
}

void vvram_client_put(struct vvram_client *client)
{
	if (client)
		kref_put(&client->ref, vvram_client_release);
}
