/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_CHECK_H
#define VRNIC_CHECK_H

#include <linux/types.h>

struct seq_file;
struct sg_table;
struct vrnic_device;
struct vrnic_mr;

void vrnic_violation(struct vrnic_mr *mr, u32 what);
int vrnic_check_table(struct vrnic_mr *mr, struct sg_table *sgt);
bool vrnic_check_locked(struct vrnic_mr *mr);
void vrnic_show_contract(struct seq_file *m, struct vrnic_device *vdev);

#endif /* VRNIC_CHECK_H */
