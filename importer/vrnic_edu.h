/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_EDU_H
#define VRNIC_EDU_H

struct pci_dev;
struct vrnic_edu;
struct vrnic_dma_engine;

struct vrnic_edu *vrnic_edu_create(struct pci_dev *pdev);
struct vrnic_dma_engine *vrnic_edu_engine(struct vrnic_edu *edu);
void vrnic_edu_reset_prepare(struct vrnic_edu *edu);
void vrnic_edu_reset_done(struct vrnic_edu *edu);

#endif /* VRNIC_EDU_H */
