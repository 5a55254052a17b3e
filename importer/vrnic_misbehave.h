/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_MISBEHAVE_H
#define VRNIC_MISBEHAVE_H

#include <linux/types.h>

struct vrnic_mr;

void vrnic_misbehave_init(struct vrnic_mr *mr);
void vrnic_misbehave_fini(struct vrnic_mr *mr);
bool vrnic_misbehave_invalidate(struct vrnic_mr *mr);

#endif /* VRNIC_MISBEHAVE_H */
