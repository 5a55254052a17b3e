/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_UMEM_H
#define VRNIC_UMEM_H

#include <linux/types.h>

struct vrnic_mr;
struct vrnic_mr_ops;

extern const struct vrnic_mr_ops vrnic_umem_ops;

int vrnic_umem_pin(struct vrnic_mr *mr, u64 addr);

#endif /* VRNIC_UMEM_H */
