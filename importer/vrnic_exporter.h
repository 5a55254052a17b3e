/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_EXPORTER_H
#define VRNIC_EXPORTER_H

#include <linux/types.h>

struct seq_file;
struct vrnic_device;
struct vrnic_mr;

bool vrnic_exporter_blame(struct vrnic_device *vdev, const char *name, u32 what);
u64 vrnic_exporter_now(void);
void vrnic_exporter_took(struct vrnic_mr *mr, unsigned int callback, u64 start);
void vrnic_show_contract(struct seq_file *m, struct vrnic_device *vdev);
void vrnic_show_callbacks(struct seq_file *m, struct vrnic_device *vdev);

#endif /* VRNIC_EXPORTER_H */
