/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_HMM_H
#define VRNIC_HMM_H

#include <linux/types.h>

struct vrnic_mr;
struct vrnic_mr_ops;

/* Built where the kernel has HMM: others call none of it. */
extern const struct vrnic_mr_ops vrnic_hmm_ops;

int vrnic_hmm_follow(struct vrnic_mr *mr, u64 addr);

#endif /* VRNIC_HMM_H */
