/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_AUDIT_H
#define VRNIC_AUDIT_H

struct vrnic_device;
struct vrnic_mr;

bool vrnic_audit_is_on(void);
void vrnic_audit_begin(struct vrnic_mr *mr);
void vrnic_audit_table(struct vrnic_mr *mr, bool made);
void vrnic_audit_lost(struct vrnic_mr *mr);
void vrnic_audit_locked(struct vrnic_mr *mr);
void vrnic_audit_init(struct vrnic_device *vdev);
void vrnic_audit_fini(struct vrnic_device *vdev);

#endif /* VRNIC_AUDIT_H */
