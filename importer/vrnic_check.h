/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_CHECK_H
#define VRNIC_CHECK_H

#include <linux/types.h>

struct sg_table;
struct vrnic_mr;

void vrnic_violation(struct vrnic_mr *mr, u32 what);
int vrnic_check_table(struct vrnic_mr *mr, struct sg_table *sgt);
bool vrnic_check_locked(struct vrnic_mr *mr);
void vrnic_check_file(struct vrnic_mr *mr);
void vrnic_check_raw(struct vrnic_mr *mr, struct sg_table *sgt);
u32 vrnic_table_sum(struct sg_table *sgt);
const char *vrnic_rule_name(u32 what);

#endif /* VRNIC_CHECK_H */
