/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_REVOKE_H
#define VVRAM_REVOKE_H

struct vvram_bo;

int vvram_revoke(struct vvram_bo *bo);

#endif /* VVRAM_REVOKE_H */
