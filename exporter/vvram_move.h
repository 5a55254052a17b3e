/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_MOVE_H
#define VVRAM_MOVE_H

#include <linux/types.h>

struct ttm_buffer_object;
struct ttm_operation_ctx;
struct ttm_place;
struct ttm_resource;
struct vvram_bo;

void vvram_notify_importers(struct vvram_bo *bo);
int vvram_move(struct ttm_buffer_object *tbo, bool evict, struct ttm_operation_ctx *ctx,
	       struct ttm_resource *new_mem, struct ttm_place *hop);

#endif /* VVRAM_MOVE_H */
