// SPDX-License-Identifier: GPL-2.0
/*
 * Memory regions and their keys.
 */

#include <linux/cleanup.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "vrnic_dma_buf.h"
#include "vrnic_hmm.h"
#include "vrnic_mr.h"
#include "vrnic_ns.h"
#include "vrnic_umem.h"

/*
 * The random part is for keys of regions that are gone; those of another domain are no use
 * however they are got.
 */
#define VRNIC_KEY_RANDOM_SHIFT	8
#define VRNIC_KEY_RANDOM_MASK	GENMASK(7, 0)
#define VRNIC_MAX_INDEX		GENMASK(15, 0)

static u32 vrnic_make_key(u32 index)
{
	return index << VRNIC_KEY_INDEX_SHIFT |
	       (get_random_u32() & VRNIC_KEY_RANDOM_MASK) << VRNIC_KEY_RANDOM_SHIFT;
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
EXPORT_SYMBOL_NS_GPL(vrnic_mr_put, VRNIC_NS);

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

	mr->ops->release(mr);
	vrnic_mr_uncharge(mr);
	atomic_dec(&mr->pd->vdev->mrs);
	kfree_rcu(mr, rcu);
}

static struct vrnic_mr *vrnic_mr_alloc(struct vrnic_pd *pd,
				       const struct vrnic_mr_attr *attr,
				       const struct vrnic_mr_ops *ops)
{
	struct vrnic_mr *mr;

	mr = kzalloc(sizeof(*mr), GFP_KERNEL_ACCOUNT);
	if (!mr)
		return NULL;

	kref_init(&mr->ref);
	init_completion(&mr->idle);
	init_rwsem(&mr->access);
	mr->pd = pd;
	mr->attr = *attr;
	mr->ops = ops;
	atomic_inc(&pd->vdev->mrs);
	return mr;
}

static int vrnic_index_reserve(struct vrnic_device *vdev, u32 *index)
{
	int ret;

	ret = xa_alloc_cyclic(&vdev->regions, index, NULL, XA_LIMIT(1, VRNIC_MAX_INDEX),
			      &vdev->next_region, GFP_KERNEL_ACCOUNT);
	if (ret < 0)
		return ret == -EBUSY ? -ENOSPC : ret;
	return 0;
}

/**
 * vrnic_key_reserve() - a key that leads to no region, now and later
 * @vdev: the device
 * @key: out: the key, and all others of its index
 *
 * Return: 0; -ENOSPC when the device has its limit, -ENOMEM.
 */
int vrnic_key_reserve(struct vrnic_device *vdev, u32 *key)
{
	u32 index;
	int ret;

	ret = vrnic_index_reserve(vdev, &index);
	if (!ret)
		*key = vrnic_make_key(index);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(vrnic_key_reserve, VRNIC_NS);

/**
 * vrnic_key_release() - give a key back
 * @vdev: the device
 * @key: of vrnic_key_reserve()
 */
void vrnic_key_release(struct vrnic_device *vdev, u32 key)
{
	xa_erase(&vdev->regions, vrnic_key_index(key));
}
EXPORT_SYMBOL_NS_GPL(vrnic_key_release, VRNIC_NS);

/* Its place and keys, which lead nowhere before vrnic_mr_publish(). */
static int vrnic_mr_get_keys(struct vrnic_mr *mr)
{
	int ret;

	ret = vrnic_index_reserve(mr->pd->vdev, &mr->index);
	if (ret)
		return ret;

	mr->lkey = vrnic_make_key(mr->index);
	do {
		mr->rkey = vrnic_make_key(mr->index);
	} while (mr->rkey == mr->lkey);
	return 0;
}

/**
 * vrnic_mr_publish() - let work find a region
 * @mr: the region, of which the client has been told
 */
void vrnic_mr_publish(struct vrnic_mr *mr)
{
	xa_store(&mr->pd->vdev->regions, mr->index, mr, GFP_KERNEL_ACCOUNT);
}
EXPORT_SYMBOL_NS_GPL(vrnic_mr_publish, VRNIC_NS);

static bool vrnic_mr_attr_is_valid(const struct vrnic_mr_attr *attr)
{
	return attr->length && attr->mode < VRNIC_MODES && !(attr->access & ~VRNIC_MAY_ALL) &&
	       attr->length - 1 <= U64_MAX - attr->iova;
}

static struct vrnic_mr *vrnic_mr_reg_dma_buf_of(struct vrnic_pd *pd,
						struct dma_buf *dmabuf,
						const struct vrnic_mr_attr *attr)
{
	struct vrnic_mr *mr;
	u64 end;
	int ret;

	if (check_add_overflow(attr->offset, attr->length, &end) || end > dmabuf->size)
		return ERR_PTR(-EINVAL);
	if (attr->access & VRNIC_MAY_WRITE && !(dmabuf->file->f_mode & FMODE_WRITE))
		return ERR_PTR(-EACCES);
	mr = vrnic_mr_alloc(pd, attr, &vrnic_dma_buf_ops[attr->mode]);
	if (!mr)
		return ERR_PTR(-ENOMEM);

	get_dma_buf(dmabuf);
	mr->dmabuf = dmabuf;
	mr->inode = file_inode(dmabuf->file)->i_ino;
	ret = vrnic_dma_buf_import(mr);
	if (!ret)
		ret = vrnic_mr_get_keys(mr);
	if (ret) {
		vrnic_mr_end(mr);
		return ERR_PTR(ret);
	}
	return mr;
}

/**
 * vrnic_mr_reg_dma_buf() - register a region on a dma-buf
 * @pd: the domain
 * @fd: the buffer, in the caller's files; the region takes a reference of its own
 * @attr: what the region is to be, its range within the buffer
 *
 * Return: the region, to be given to vrnic_mr_publish() or vrnic_mr_dereg(), or an
 * error pointer: -EINVAL for a malformed @attr, a range beyond the buffer, or a file that
 * is no dma-buf; -EBADF; -EACCES to write what was exported read only; -ENOSPC when the
 * device has its limit; -ENOMEM, also for RLIMIT_MEMLOCK; or the exporter's.
 */
struct vrnic_mr *vrnic_mr_reg_dma_buf(struct vrnic_pd *pd, int fd,
				      const struct vrnic_mr_attr *attr)
{
	struct dma_buf *dmabuf;
	struct vrnic_mr *mr;

	if (!vrnic_mr_attr_is_valid(attr))
		return ERR_PTR(-EINVAL);
	dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);
	mr = vrnic_mr_reg_dma_buf_of(pd, dmabuf, attr);
	dma_buf_put(dmabuf);
	return mr;
}
EXPORT_SYMBOL_NS_GPL(vrnic_mr_reg_dma_buf, VRNIC_NS);

/* More than the address space holds needs no page to be tried. */
static int vrnic_check_user_range(u64 addr, u64 length)
{
	u64 end;

	if (check_add_overflow(addr, length, &end) || PAGE_ALIGN(end) < end)
		return -EINVAL;
	return end > TASK_SIZE_MAX ? -EFAULT : 0;
}

/**
 * vrnic_mr_reg_user() - register a region on the caller's memory
 * @pd: the domain
 * @addr: first byte
 * @attr: what the region is to be; without a mode, an offset, or peer2peer
 *
 * Return: the region, to be given to vrnic_mr_publish() or vrnic_mr_dereg(), or an
 * error pointer: -EINVAL for a malformed @attr or a range that overflows, -EFAULT for one
 * beyond the address space, -ENOSPC when the device has its limit, -EOPNOTSUPP for memory by
 * address on a kernel without HMM, or as of vrnic_umem_pin() or vrnic_hmm_follow().
 */
struct vrnic_mr *vrnic_mr_reg_user(struct vrnic_pd *pd, u64 addr,
				   const struct vrnic_mr_attr *attr)
{
	struct vrnic_mr *mr;
	int ret;

	if (!vrnic_mr_attr_is_valid(attr) || attr->mode || attr->offset)
		return ERR_PTR(-EINVAL);
	ret = vrnic_check_user_range(addr, attr->length);
	if (ret)
		return ERR_PTR(ret);
	if (attr->by_address && !IS_ENABLED(CONFIG_HMM_MIRROR))
		return ERR_PTR(-EOPNOTSUPP);
	mr = vrnic_mr_alloc(pd, attr, attr->by_address ? &vrnic_hmm_ops : &vrnic_umem_ops);
	if (!mr)
		return ERR_PTR(-ENOMEM);

	ret = attr->by_address ? vrnic_hmm_follow(mr, addr) : vrnic_umem_pin(mr, addr);
	if (!ret)
		ret = vrnic_mr_get_keys(mr);
	if (ret) {
		vrnic_mr_end(mr);
		return ERR_PTR(ret);
	}
	return mr;
}
EXPORT_SYMBOL_NS_GPL(vrnic_mr_reg_user, VRNIC_NS);

/* Notifications and workers of the region look at its domain under the reservation. */
static void vrnic_mr_set(struct vrnic_mr *mr, struct vrnic_pd *pd, u32 access)
{
	if (mr->dmabuf)
		dma_resv_lock(mr->dmabuf->resv, NULL);
	down_write(&mr->access);
	mr->pd = pd;
	mr->attr.access = access;
	up_write(&mr->access);
	if (mr->dmabuf)
		dma_resv_unlock(mr->dmabuf->resv);
}

/**
 * vrnic_mr_change() - give a region to another domain, or other rights
 * @mr: the region, published
 * @pd: the domain from now on, of the same device
 * @access: bits of &enum vrnic_right; none to write if it had none
 *
 * Returns when nothing uses it as it was. Its keys stay, and lead nowhere meanwhile.
 *
 * Return: 0; -EINTR when the caller is being killed, and nothing has changed.
 */
int vrnic_mr_change(struct vrnic_mr *mr, struct vrnic_pd *pd, u32 access)
{
	/* Its index stays taken. */
	xa_store(&mr->pd->vdev->regions, mr->index, NULL, GFP_KERNEL_ACCOUNT);
	synchronize_rcu();
	vrnic_mr_put(mr);
	if (wait_for_completion_killable(&mr->idle)) {
		/* Somebody has it still, and it is as it was; else the completion is coming. */
		if (kref_get_unless_zero(&mr->ref)) {
			vrnic_mr_publish(mr);
			return -EINTR;
		}
		wait_for_completion(&mr->idle);
	}

	vrnic_mr_set(mr, pd, access);
	reinit_completion(&mr->idle);
	kref_init(&mr->ref);
	vrnic_mr_publish(mr);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(vrnic_mr_change, VRNIC_NS);

/**
 * vrnic_mr_dereg() - end a region, published or not
 * @mr: the region
 *
 * Returns when nothing uses it any more.
 */
void vrnic_mr_dereg(struct vrnic_mr *mr)
{
	xa_erase(&mr->pd->vdev->regions, mr->index);
	vrnic_mr_end(mr);
}
EXPORT_SYMBOL_NS_GPL(vrnic_mr_dereg, VRNIC_NS);

/**
 * vrnic_mr_get_by_key() - find a region by one of its keys
 * @pd: the domain of the queue that the key is used by, or by whose peer
 * @key: the key
 * @remote: it is used as a remote key
 *
 * Return: the region with a reference, or NULL for a key that is not valid here.
 */
struct vrnic_mr *vrnic_mr_get_by_key(struct vrnic_pd *pd, u32 key, bool remote)
{
	struct vrnic_mr *mr;

	guard(rcu)();
	mr = xa_load(&pd->vdev->regions, vrnic_key_index(key));
	if (!mr || mr->pd != pd || key != (remote ? mr->rkey : mr->lkey))
		return NULL;
	return kref_get_unless_zero(&mr->ref) ? mr : NULL;
}
EXPORT_SYMBOL_NS_GPL(vrnic_mr_get_by_key, VRNIC_NS);

/**
 * vrnic_mr_prefetch() - map now what would be mapped at first use
 * @mr: the region
 * @addr: first byte, counted as in requests; of a dma-buf all is mapped
 * @len: bytes, within the region
 * @write: it is going to be written
 * @flush: return when it is mapped, with what came of it; otherwise it is only a hint
 *
 * Return: 0; -EACCES for a region that may not be written; with @flush also an error as of
 * vrnic_dma_buf_prefetch(), or of &vrnic_mr_ops.fault.
 */
int vrnic_mr_prefetch(struct vrnic_mr *mr, u64 addr, u64 len, bool write, bool flush)
{
	u64 pos = mr->attr.offset + (addr - mr->attr.iova);
	int ret;

	if (write && !vrnic_mr_is_writable(mr))
		return -EACCES;
	if (mr->ops->fault && len) {
		ret = mr->ops->fault(mr, pos, len, write, NULL);
		return flush || ret == -EINTR ? ret : 0;
	}
	if (!mr->dmabuf)
		return 0;
	if (flush)
		return vrnic_dma_buf_prefetch(mr);
	vrnic_dma_buf_prefetch_later(mr);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(vrnic_mr_prefetch, VRNIC_NS);

/**
 * vrnic_mr_get_state() - tell what a region is at the moment
 * @mr: the region
 * @state: out: its state
 */
void vrnic_mr_get_state(struct vrnic_mr *mr, struct vrnic_mr_state *state)
{
	down_read(&mr->access);
	*state = (struct vrnic_mr_state) {
		.mapped = mr->mapped,
		.peer = mr->mapped && mr->peer,
		.revoked = mr->revoked,
		.segments = mr->mapped ? mr->map.nr : 0,
	};
	if (mr->ops->get_state)
		mr->ops->get_state(mr, state);
	up_read(&mr->access);
}

#if IS_ENABLED(CONFIG_KUNIT)
#include "tests/vrnic_mr_kunit.c"
#endif
