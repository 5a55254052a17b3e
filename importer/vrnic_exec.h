/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VRNIC_EXEC_H
#define VRNIC_EXEC_H

struct vrnic_completion;
struct vrnic_exec;
struct vrnic_work;
struct vrnic_wq;

struct vrnic_exec *vrnic_exec_create(struct vrnic_wq *wq);
void vrnic_exec(struct vrnic_exec *ex, const struct vrnic_work *work, struct vrnic_completion *wc);

#endif /* VRNIC_EXEC_H */
