/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_IOCTL_H
#define VRNIC_IOCTL_H

struct vrnic_device;

int vrnic_face_register(struct vrnic_device *vdev);
void vrnic_face_unregister(void);

#endif /* VRNIC_IOCTL_H */
