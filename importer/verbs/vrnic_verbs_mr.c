// SPDX-License-Identifier: GPL-2.0
/*
 * Memory regions: the core's.
 *
 * A dma-buf is imported on demand, unless root wants another mode: nothing is pinned, its
 * exporter may move it at any time, and requests wait until it has arrived. User memory is
 * pinned, or followed by address where it is registered on demand (ODP).
 */

#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "verbs.h"
#include "vrnic_verbs.h"

/* Those that are optional, such as relaxed ordering, change nothing here. */
#define VRNIC_IB_ACCESS		(IB_ACCESS_LOCAL_WRITE | IB_ACCESS_REMOTE_WRITE |	\
				 IB_ACCESS_REMOTE_READ | IB_ACCESS_REMOTE_ATOMIC |	\
				 IB_ACCESS_MW_BIND | IB_ACCESS_OPTIONAL)
#define VRNIC_IB_USER_ACCESS	(VRNIC_IB_ACCESS | IB_ACCESS_ON_DEMAND)

static const char * const vrnic_ib_mode_names[VRNIC_MODES] = {
	[VRNIC_MODE_ON_DEMAND] = "on-demand",
	[VRNIC_MODE_EAGER] = "eager",
	[VRNIC_MODE_FENCED] = "fenced",
	[VRNIC_MODE_PINNED] = "pinned",
	[VRNIC_MODE_STATIC] = "static",
};

static int vrnic_ib_mode = VRNIC_MODE_ON_DEMAND;

static int vrnic_ib_set_mode(const char *text, const struct kernel_param *param)
{
	int mode = sysfs_match_string(vrnic_ib_mode_names, text);

	if (mode < 0)
		return mode;
	WRITE_ONCE(vrnic_ib_mode, mode);
	return 0;
}

static int vrnic_ib_get_mode(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "%s\n", vrnic_ib_mode_names[READ_ONCE(vrnic_ib_mode)]);
}

static const struct kernel_param_ops vrnic_ib_mode_ops = {
	.set = vrnic_ib_set_mode,
	.get = vrnic_ib_get_mode,
};

module_param_cb(dmabuf_mode, &vrnic_ib_mode_ops, NULL, 0644);
MODULE_PARM_DESC(dmabuf_mode,
		 "How new regions on dma-bufs follow them: on-demand, eager, fenced, pinned, static");

/**
 * vrnic_ib_rights() - rights as the core has them
 * @access: bits of enum ib_access_flags
 */
u32 vrnic_ib_rights(int access)
{
	u32 rights = 0;

	if (access & IB_ACCESS_LOCAL_WRITE)
		rights |= VRNIC_MAY_LOCAL_WRITE;
	if (access & IB_ACCESS_REMOTE_WRITE)
		rights |= VRNIC_MAY_REMOTE_WRITE;
	if (access & IB_ACCESS_REMOTE_READ)
		rights |= VRNIC_MAY_REMOTE_READ;
	if (access & IB_ACCESS_REMOTE_ATOMIC)
		rights |= VRNIC_MAY_REMOTE_ATOMIC;
	if (access & IB_ACCESS_MW_BIND)
		rights |= VRNIC_MAY_BIND;
	return rights;
}

static struct vrnic_ib_mr *vrnic_ib_alloc_mr(int access, int known, struct ib_udata *udata)
{
	struct vrnic_ib_mr *mr;
	int ret;

	if (access & ~known)
		return ERR_PTR(-EOPNOTSUPP);
	ret = vrnic_ib_no_udata(udata);
	if (ret)
		return ERR_PTR(ret);
	mr = kzalloc(sizeof(*mr), GFP_KERNEL_ACCOUNT);
	if (!mr)
		return ERR_PTR(-ENOMEM);
	mr->access = access;
	return mr;
}

/* Takes the core's region over, or frees what was to be its owner. */
static struct ib_mr *vrnic_ib_finish_mr(struct vrnic_ib_mr *mr, struct vrnic_mr *core)
{
	if (IS_ERR(core)) {
		kfree(mr);
		return ERR_CAST(core);
	}
	mr->core = core;
	mr->ib.lkey = core->lkey;
	mr->ib.rkey = core->rkey;
	mr->ib.iova = core->attr.iova;
	mr->ib.length = core->attr.length;
	vrnic_mr_publish(core);
	return &mr->ib;
}

static struct ib_mr *vrnic_ib_reg_memory(struct ib_pd *pd, u64 start, u64 length, u64 iova,
					 int access, struct ib_udata *udata)
{
	struct vrnic_mr_attr attr = {
		.access = vrnic_ib_rights(access),
		.by_address = access & IB_ACCESS_ON_DEMAND,
		.length = length,
		.iova = iova,
	};
	struct vrnic_ib_mr *mr;

	mr = vrnic_ib_alloc_mr(access, VRNIC_IB_USER_ACCESS, udata);
	if (IS_ERR(mr))
		return ERR_CAST(mr);
	mr->start = start;
	return vrnic_ib_finish_mr(mr, vrnic_mr_reg_user(&to_vrnic_pd(pd)->core, start, &attr));
}

static struct ib_mr *vrnic_ib_reg_user_mr(struct ib_pd *pd, u64 start, u64 length, u64 iova,
					  int access, COMPAT_DMAH struct ib_udata *udata)
{
	if (COMPAT_HAS_DMAH)
		return ERR_PTR(-EOPNOTSUPP);
	return vrnic_ib_reg_memory(pd, start, length, iova, access, udata);
}

/*
 * Other memory makes another region, and so do pages that may be written from now on, or
 * are pinned no more: how they are mapped is another way. The caller puts it in the place of
 * the old one.
 */
static struct ib_mr *vrnic_ib_rereg_closed(struct ib_mr *ibmr, int flags, u64 start, u64 length,
					   u64 iova, int access, struct ib_pd *pd,
					   struct ib_udata *udata)
{
	struct vrnic_ib_mr *mr = to_vrnic_mr(ibmr);
	u32 rights;
	int ret;

	if (!(flags & IB_MR_REREG_ACCESS))
		access = mr->access;
	if (flags & IB_MR_REREG_TRANS)
		return vrnic_ib_reg_memory(pd, start, length, iova, access, udata);
	if (access & ~VRNIC_IB_USER_ACCESS)
		return ERR_PTR(-EOPNOTSUPP);

	rights = vrnic_ib_rights(access);
	if ((rights & VRNIC_MAY_WRITE && !vrnic_mr_is_writable(mr->core)) ||
	    (access ^ mr->access) & IB_ACCESS_ON_DEMAND) {
		if (mr->core->dmabuf)
			return ERR_PTR(-EOPNOTSUPP);
		return vrnic_ib_reg_memory(pd, mr->start, ibmr->length, ibmr->iova, access, udata);
	}
	ret = vrnic_mr_change(mr->core, &to_vrnic_pd(pd)->core, rights);
	if (ret)
		return ERR_PTR(ret);
	mr->access = access;
	return NULL;
}

static struct ib_mr *vrnic_ib_rereg_user_mr(struct ib_mr *ibmr, int flags, u64 start, u64 length,
					    u64 iova, int access, struct ib_pd *pd,
					    struct ib_udata *udata)
{
	struct vrnic_ib_mr *mr = to_vrnic_mr(ibmr);
	struct ib_mr *new;
	int ret;

	ret = vrnic_ib_mw_close(mr);
	if (ret)
		return ERR_PTR(ret);
	new = vrnic_ib_rereg_closed(ibmr, flags, start, length, iova, access, pd, udata);
	/* One that is going to be replaced stays closed. */
	if (IS_ERR_OR_NULL(new))
		vrnic_ib_mw_open(mr);
	return new;
}

static struct ib_mr *vrnic_ib_reg_user_mr_dmabuf(struct ib_pd *pd, u64 offset, u64 length,
						 u64 iova, int fd, int access,
						 COMPAT_DMAH struct uverbs_attr_bundle *attrs)
{
	struct vrnic_mr_attr attr = {
		.mode = READ_ONCE(vrnic_ib_mode),
		.access = vrnic_ib_rights(access),
		.peer2peer = true,
		.offset = offset,
		.length = length,
		.iova = iova,
	};
	struct vrnic_ib_mr *mr;

	if (COMPAT_HAS_DMAH)
		return ERR_PTR(-EOPNOTSUPP);
	mr = vrnic_ib_alloc_mr(access, VRNIC_IB_ACCESS, &attrs->driver_udata);
	if (IS_ERR(mr))
		return ERR_CAST(mr);
	return vrnic_ib_finish_mr(mr, vrnic_mr_reg_dma_buf(&to_vrnic_pd(pd)->core, fd, &attr));
}

/* Work that is under way finds the region dead before its next chunk. Windows keep it. */
static int vrnic_ib_dereg_mr(struct ib_mr *ibmr, struct ib_udata *udata)
{
	struct vrnic_ib_mr *mr = to_vrnic_mr(ibmr);
	int ret;

	ret = vrnic_ib_mw_close(mr);
	if (ret)
		return ret;
	vrnic_mr_dereg(mr->core);
	kfree(mr);
	return 0;
}

static int vrnic_ib_prefetch(struct ib_pd *pd, const struct ib_sge *sge, bool write, bool flush)
{
	struct vrnic_mr *mr = vrnic_mr_get_by_key(&to_vrnic_pd(pd)->core, sge->lkey, false);
	int ret = -EINVAL;

	if (!mr)
		return -ENOENT;
	if (vrnic_mr_holds(mr, sge->addr, sge->length))
		ret = vrnic_mr_prefetch(mr, sge->addr, sge->length, write, flush);
	vrnic_mr_put(mr);
	return ret;
}

static int vrnic_ib_advise_mr(struct ib_pd *pd, enum ib_uverbs_advise_mr_advice advice, u32 flags,
			      struct ib_sge *sge, u32 nr, struct uverbs_attr_bundle *attrs)
{
	bool write = advice == IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH_WRITE;
	bool flush = flags & IB_UVERBS_ADVISE_MR_FLAG_FLUSH;
	int ret = 0;
	u32 i;

	if (flags & ~IB_UVERBS_ADVISE_MR_FLAG_FLUSH)
		return -EINVAL;
	if (!write && advice != IB_UVERBS_ADVISE_MR_ADVICE_PREFETCH)
		return -EOPNOTSUPP;
	for (i = 0; i < nr && !ret; i++)
		ret = vrnic_ib_prefetch(pd, &sge[i], write, flush);
	return ret;
}

const struct ib_device_ops vrnic_ib_mr_ops = {
	.reg_user_mr = vrnic_ib_reg_user_mr,
	.reg_user_mr_dmabuf = vrnic_ib_reg_user_mr_dmabuf,
	.rereg_user_mr = vrnic_ib_rereg_user_mr,
	.dereg_mr = vrnic_ib_dereg_mr,
	.advise_mr = vrnic_ib_advise_mr,
};
