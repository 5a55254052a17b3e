/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_NODE_H
#define VRNIC_NODE_H

struct vrnic_device;
struct vrnic_node;

void vrnic_limits_init(void);
struct vrnic_node *vrnic_node_create(struct vrnic_device *vdev);
void vrnic_node_remove(struct vrnic_node *node);

#endif /* VRNIC_NODE_H */
