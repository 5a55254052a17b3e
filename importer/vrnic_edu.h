/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_EDU_H
#define VRNIC_EDU_H

struct pci_dev;
struct vrnic_edu;

struct vrnic_edu *vrnic_edu_create(struct pci_dev *pdev);

#endif /* VRNIC_EDU_H */
