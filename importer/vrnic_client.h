/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_CLIENT_H
#define VRNIC_CLIENT_H

struct vrnic_device;

/**
 * struct vrnic_client - a further face, in a module of its own
 */
struct vrnic_client {
	/** @add: A device is there; may sleep. */
	void (*add)(struct vrnic_device *vdev);
	/** @remove: It goes: nothing of the face uses it when this returns. */
	void (*remove)(struct vrnic_device *vdev);
};

int vrnic_client_register(struct vrnic_client *client);
void vrnic_client_unregister(struct vrnic_client *client);

void vrnic_client_add_device(struct vrnic_device *vdev);
void vrnic_client_remove_device(struct vrnic_device *vdev);

#endif /* VRNIC_CLIENT_H */
