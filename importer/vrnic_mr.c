// SPDX-License-Identifier: GPL-2.0
/*
 * Memory regions and their keys.
 */

#include <linux/dma-buf.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "vrnic_mr.h"
#include "vrnic_trace.h"

/* A key: index above, a random part below it, then eight zero bits. */
#define VRNIC_KEY_INDEX_SHIFT	20
#define VRNIC_KEY_RANDOM_SHIFT	8
#define VRNIC_KEY_RANDOM_MASK	GENMASK(11, 0)

static u32 vrnic_make_key(u32 index)
{
	return index << VRNIC_KEY_INDEX_SHIFT |
	       (get_random_u32() & VRNIC_KEY_RANDOM_MASK) << VRNIC_KEY_RANDOM_SHIFT;
}

/**
 * vrnic_mapping_clear() - forget the addresses
 * @map: the mapping
 */
void vrnic_mapping_clear(struct vrnic_mapping *map)
{
	vrnic_bus_close(&map->view);
	kvfree(map->seg);
	map->seg = NULL;
	map->nr = 0;
}

/**
 * vrnic_mapping_set() - take over the addresses of a table
 * @map: empty mapping to fill
 * @dev: the device that does the DMA
 * @sgt: the table; only its DMA side is looked at, it may have no pages
 *
 * Return: 0, or an error as of vrnic_bus_open().
 */
int vrnic_mapping_set(struct vrnic_mapping *map, struct device *dev, struct sg_table *sgt)
{
	struct scatterlist *sg;
	u64 start = 0;
	unsigned int i;
	int ret;

	map->seg = kvmalloc_array(sgt->nents, sizeof(*map->seg), GFP_KERNEL);
	if (!map->seg)
		return -ENOMEM;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		ret = vrnic_bus_open(&map->view, dev, sg_dma_address(sg));
		if (ret) {
			vrnic_mapping_clear(map);
			return ret;
		}
		map->seg[i] = (struct vrnic_segment) {
			.addr = sg_dma_address(sg),
			.start = start,
			.len = sg_dma_len(sg),
		};
		start += sg_dma_len(sg);
	}
	map->nr = sgt->nents;
	return 0;
}

/**
 * vrnic_mr_charge() - count pinned memory against RLIMIT_MEMLOCK
 * @mr: the region, not charged yet
 * @bytes: how much
 *
 * Return: 0 or -ENOMEM.
 */
int vrnic_mr_charge(struct vrnic_mr *mr, u64 bytes)
{
	unsigned long pages = PFN_UP(bytes);
	int ret;

	ret = account_locked_vm(current->mm, pages, true);
	if (ret)
		return ret;
	mmgrab(current->mm);
	mr->locked_mm = current->mm;
	mr->locked_pages = pages;
	return 0;
}

static void vrnic_mr_uncharge(struct vrnic_mr *mr)
{
	if (!mr->locked_mm)
		return;
	account_locked_vm(mr->locked_mm, mr->locked_pages, false);
	mmdrop(mr->locked_mm);
}

static void vrnic_mr_idle(struct kref *ref)
{
	complete(&container_of(ref, struct vrnic_mr, ref)->idle);
}

void vrnic_mr_put(struct vrnic_mr *mr)
{
	kref_put(&mr->ref, vrnic_mr_idle);
}

/*
 * Ends a region: no access starts any more, work that is under way finds it dead
 * before its next chunk, and when all have let go, all that it held is given back.
 */
static void vrnic_mr_end(struct vrnic_mr *mr)
{
	down_write(&mr->access);
	mr->dead = true;
	up_write(&mr->access);

	vrnic_mr_put(mr);
	wait_for_completion(&mr->idle);

	if (mr->umem)
		vrnic_umem_release(mr);
	if (mr->dmabuf)
		vrnic_dma_buf_release(mr);
	vrnic_mr_uncharge(mr);
	atomic_dec(&mr->ctx->vdev->mrs);
	kfree(mr);
}

static struct vrnic_mr *vrnic_mr_alloc(struct vrnic_context *ctx,
				       const struct vrnic_mr_attr *attr)
{
	struct vrnic_mr *mr;

	mr = kzalloc(sizeof(*mr), GFP_KERNEL_ACCOUNT);
	if (!mr)
		return NULL;

	kref_init(&mr->ref);
	init_completion(&mr->idle);
	init_rwsem(&mr->access);
	mr->ctx = ctx;
	mr->attr = *attr;
	atomic_inc(&ctx->vdev->mrs);
	return mr;
}

/* The last step of registration: from here on work can find the region. */
static int vrnic_mr_publish(struct vrnic_mr *mr)
{
	struct vrnic_context *ctx = mr->ctx;
	int ret;

	mutex_lock(&ctx->lock);
	ret = xa_alloc_cyclic(&ctx->mrs, &mr->handle, NULL, XA_LIMIT(1, vrnic_max_mrs),
			      &ctx->next_mr, GFP_KERNEL_ACCOUNT);
	if (ret >= 0) {
		mr->lkey = vrnic_make_key(mr->handle);
		do {
			mr->rkey = vrnic_make_key(mr->handle);
		} while (mr->rkey == mr->lkey);
		kref_get(&mr->ref);
		xa_store(&ctx->mrs, mr->handle, mr, GFP_KERNEL_ACCOUNT);
	}
	mutex_unlock(&ctx->lock);
	if (ret < 0)
		return ret == -EBUSY ? -ENOSPC : ret;
	return 0;
}

/**
 * vrnic_mr_reg_dma_buf() - register a region on a dma-buf
 * @ctx: the context
 * @dmabuf: the buffer; the region takes a reference of its own
 * @attr: what the region is to be, its range within the buffer
 *
 * Return: the region, published, with a reference for the caller, or an error
 * pointer.
 */
struct vrnic_mr *vrnic_mr_reg_dma_buf(struct vrnic_context *ctx, struct dma_buf *dmabuf,
				      const struct vrnic_mr_attr *attr)
{
	struct vrnic_mr *mr = vrnic_mr_alloc(ctx, attr);
	int ret;

	if (!mr)
		return ERR_PTR(-ENOMEM);

	get_dma_buf(dmabuf);
	mr->dmabuf = dmabuf;
	mr->inode = file_inode(dmabuf->file)->i_ino;
	ret = vrnic_dma_buf_import(mr);
	if (!ret)
		ret = vrnic_mr_publish(mr);
	if (ret) {
		vrnic_mr_end(mr);
		return ERR_PTR(ret);
	}
	return mr;
}

/**
 * vrnic_mr_reg_user() - register a region on the caller's memory
 * @ctx: the context
 * @addr: first byte
 * @attr: what the region is to be
 *
 * Return: the region, published, with a reference for the caller, or an error
 * pointer.
 */
struct vrnic_mr *vrnic_mr_reg_user(struct vrnic_context *ctx, u64 addr,
				   const struct vrnic_mr_attr *attr)
{
	struct vrnic_mr *mr = vrnic_mr_alloc(ctx, attr);
	int ret;

	if (!mr)
		return ERR_PTR(-ENOMEM);

	ret = vrnic_umem_pin(mr, addr);
	if (!ret)
		ret = vrnic_mr_publish(mr);
	if (ret) {
		vrnic_mr_end(mr);
		return ERR_PTR(ret);
	}
	return mr;
}

/**
 * vrnic_mr_dereg() - end a region
 * @ctx: the context
 * @handle: the region
 *
 * Return: 0 when nothing uses it any more, -ENOENT for an unknown handle.
 */
int vrnic_mr_dereg(struct vrnic_context *ctx, u32 handle)
{
	struct vrnic_mr *mr;

	mutex_lock(&ctx->lock);
	mr = xa_erase(&ctx->mrs, handle);
	mutex_unlock(&ctx->lock);
	if (!mr)
		return -ENOENT;
	vrnic_mr_end(mr);
	return 0;
}

/**
 * vrnic_mr_dereg_all() - end all regions of a context
 * @ctx: the context, its queues ended before
 */
void vrnic_mr_dereg_all(struct vrnic_context *ctx)
{
	struct vrnic_mr *mr;
	unsigned long handle;

	xa_for_each(&ctx->mrs, handle, mr)
		vrnic_mr_dereg(ctx, handle);
}

/**
 * vrnic_mr_get() - find a region by its handle
 * @ctx: the context
 * @handle: the region
 *
 * Return: the region with a reference, or NULL.
 */
struct vrnic_mr *vrnic_mr_get(struct vrnic_context *ctx, u32 handle)
{
	struct vrnic_mr *mr;

	xa_lock(&ctx->mrs);
	mr = xa_load(&ctx->mrs, handle);
	if (mr)
		kref_get(&mr->ref);
	xa_unlock(&ctx->mrs);
	return mr;
}

/**
 * vrnic_mr_get_by_key() - find a region by one of its keys
 * @ctx: the context
 * @key: the key
 * @remote: it is used as a remote key
 *
 * Return: the region with a reference, or NULL for a key that is not valid here.
 */
struct vrnic_mr *vrnic_mr_get_by_key(struct vrnic_context *ctx, u32 key, bool remote)
{
	struct vrnic_mr *mr = vrnic_mr_get(ctx, key >> VRNIC_KEY_INDEX_SHIFT);

	if (mr && key != (remote ? mr->rkey : mr->lkey)) {
		vrnic_mr_put(mr);
		return NULL;
	}
	return mr;
}

/**
 * vrnic_mr_query() - tell a region's state and counters
 * @mr: the region
 * @out: where to
 */
void vrnic_mr_query(struct vrnic_mr *mr, struct vrnic_query_mr *out)
{
	out->mode = mr->attr.mode;
	out->last_violation = READ_ONCE(mr->last_violation);
	out->inode = mr->inode;
	vrnic_stats_read(&mr->stats, &out->counters);

	down_read(&mr->access);
	out->segments = mr->mapped ? mr->map.nr : 0;
	out->state = 0;
	if (mr->mapped)
		out->state |= VRNIC_MR_STATE_MAPPED;
	if (mr->mapped && mr->peer)
		out->state |= VRNIC_MR_STATE_PEER;
	if (mr->revoked)
		out->state |= VRNIC_MR_STATE_REVOKED;
	up_read(&mr->access);
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "tests/vrnic_mr_kunit.c"
#endif
