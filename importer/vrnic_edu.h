/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_EDU_H
#define VRNIC_EDU_H

#include <linux/types.h>

struct pci_dev;
struct vrnic_edu;

struct vrnic_edu *vrnic_edu_create(struct pci_dev *pdev);
u64 vrnic_edu_mask(const struct vrnic_edu *edu);
void vrnic_edu_reset_prepare(struct vrnic_edu *edu);
void vrnic_edu_reset_done(struct vrnic_edu *edu);

#endif /* VRNIC_EDU_H */
