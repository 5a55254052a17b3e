// SPDX-License-Identifier: MIT
/* The userspace half of vrnic_verbs.ko, for libibverbs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vrnic.h"

struct create_ah_resp {
	struct ib_uverbs_create_ah_resp base;
	struct vrnic_verbs_create_ah_resp own;
};

static int query_device(struct ibv_context *context, const struct ibv_query_device_ex_input *input,
			struct ibv_device_attr_ex *attr, size_t size)
{
	struct ib_uverbs_ex_query_device_resp resp;
	size_t resp_size = sizeof(resp);
	int ret;

	ret = ibv_cmd_query_device_any(context, input, attr, size, &resp, &resp_size);
	if (ret)
		return ret;
	snprintf(attr->orig_attr.fw_ver, sizeof(attr->orig_attr.fw_ver), "%llu",
		 (unsigned long long)resp.base.fw_ver);
	return 0;
}

static int query_port(struct ibv_context *context, uint8_t port, struct ibv_port_attr *attr)
{
	struct ibv_query_port cmd;

	return ibv_cmd_query_port(context, port, attr, &cmd, sizeof(cmd));
}

static struct ibv_pd *alloc_pd(struct ibv_context *context)
{
	struct ib_uverbs_alloc_pd_resp resp;
	struct ibv_pd *pd = calloc(1, sizeof(*pd));
	struct ibv_alloc_pd cmd;
	int ret;

	if (!pd)
		return NULL;
	ret = ibv_cmd_alloc_pd(context, pd, &cmd, sizeof(cmd), &resp, sizeof(resp));
	if (!ret)
		return pd;
	free(pd);
	errno = ret;
	return NULL;
}

static int dealloc_pd(struct ibv_pd *pd)
{
	int ret = ibv_cmd_dealloc_pd(pd);

	if (!ret)
		free(pd);
	return ret;
}

static struct ibv_mr *finish_mr(struct verbs_mr *mr, int ret)
{
	if (!ret)
		return &mr->ibv_mr;
	free(mr);
	errno = ret;
	return NULL;
}

static struct ibv_mr *reg_mr(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
			     int access)
{
	struct verbs_mr *mr = calloc(1, sizeof(*mr));
	struct ib_uverbs_reg_mr_resp resp;
	struct ibv_reg_mr cmd;

	if (!mr)
		return NULL;
	return finish_mr(mr, ibv_cmd_reg_mr(pd, addr, length, iova, access, mr, &cmd, sizeof(cmd),
					    &resp, sizeof(resp)));
}

static struct ibv_mr *reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length,
				    uint64_t iova, int fd, int access)
{
	struct verbs_mr *mr = calloc(1, sizeof(*mr));

	if (!mr)
		return NULL;
	return finish_mr(mr, ibv_cmd_reg_dmabuf_mr(pd, offset, length, iova, fd, access, mr, NULL));
}

static int rereg_mr(struct verbs_mr *mr, int flags, struct ibv_pd *pd, void *addr, size_t length,
		    int access)
{
	struct ib_uverbs_rereg_mr_resp resp;
	struct ibv_rereg_mr cmd;

	return ibv_cmd_rereg_mr(mr, flags, addr, length, (uintptr_t)addr, access, pd, &cmd,
				sizeof(cmd), &resp, sizeof(resp));
}

static int dereg_mr(struct verbs_mr *mr)
{
	int ret = ibv_cmd_dereg_mr(mr);

	if (!ret)
		free(mr);
	return ret;
}

static struct ibv_mw *alloc_mw(struct ibv_pd *pd, enum ibv_mw_type type)
{
	struct ib_uverbs_alloc_mw_resp resp;
	struct ibv_mw *mw = calloc(1, sizeof(*mw));
	struct ibv_alloc_mw cmd;
	int ret;

	if (!mw)
		return NULL;
	ret = ibv_cmd_alloc_mw(pd, type, mw, &cmd, sizeof(cmd), &resp, sizeof(resp));
	if (!ret)
		return mw;
	free(mw);
	errno = ret;
	return NULL;
}

static int dealloc_mw(struct ibv_mw *mw)
{
	int ret = ibv_cmd_dealloc_mw(mw);

	if (!ret)
		free(mw);
	return ret;
}

static struct ibv_ah *create_ah(struct ibv_pd *pd, struct ibv_ah_attr *attr)
{
	struct vrnic_ah *ah = calloc(1, sizeof(*ah));
	struct create_ah_resp resp = {};
	int ret;

	if (!ah)
		return NULL;
	ret = ibv_cmd_create_ah(pd, &ah->base, attr, &resp.base, sizeof(resp));
	ah->number = resp.own.ah;
	if (!ret)
		return &ah->base;
	free(ah);
	errno = ret;
	return NULL;
}

static int destroy_ah(struct ibv_ah *ah)
{
	int ret = ibv_cmd_destroy_ah(ah);

	if (!ret)
		free(to_ah(ah));
	return ret;
}

static void free_context(struct ibv_context *context)
{
	struct vrnic_context *ctx = container_of(context, struct vrnic_context, base.context);

	verbs_uninit_context(&ctx->base);
	free(ctx);
}

static const struct verbs_context_ops context_ops = {
	.advise_mr = ibv_cmd_advise_mr,
	.alloc_mw = alloc_mw,
	.alloc_pd = alloc_pd,
	.bind_mw = vrnic_bind_mw,
	.create_ah = create_ah,
	.create_cq = vrnic_create_cq,
	.create_cq_ex = vrnic_create_cq_ex,
	.create_qp = vrnic_create_qp,
	.create_qp_ex = vrnic_create_qp_ex,
	.create_srq = vrnic_create_srq,
	.dealloc_mw = dealloc_mw,
	.dealloc_pd = dealloc_pd,
	.dereg_mr = dereg_mr,
	.destroy_ah = destroy_ah,
	.destroy_cq = vrnic_destroy_cq,
	.destroy_qp = vrnic_destroy_qp,
	.destroy_srq = vrnic_destroy_srq,
	.free_context = free_context,
	.modify_qp = vrnic_modify_qp,
	.modify_srq = vrnic_modify_srq,
	.poll_cq = vrnic_poll_cq,
	.post_recv = vrnic_post_recv,
	.post_send = vrnic_post_send,
	.post_srq_recv = vrnic_post_srq_recv,
	.query_device_ex = query_device,
	.query_port = query_port,
	.query_qp = vrnic_query_qp,
	.query_srq = vrnic_query_srq,
	.reg_dmabuf_mr = reg_dmabuf_mr,
	.reg_mr = reg_mr,
	.rereg_mr = rereg_mr,
	.req_notify_cq = ibv_cmd_req_notify_cq,
	.resize_cq = vrnic_resize_cq,
};

static struct verbs_context *alloc_context(struct ibv_device *device, int fd, void *private)
{
	struct ib_uverbs_get_context_resp resp;
	struct ibv_get_context cmd;
	struct vrnic_context *ctx;

	ctx = verbs_init_and_alloc_context(device, fd, ctx, base, RDMA_DRIVER_UNKNOWN);
	if (!ctx)
		return NULL;
	if (ibv_cmd_get_context(&ctx->base, &cmd, sizeof(cmd), &resp, sizeof(resp))) {
		verbs_uninit_context(&ctx->base);
		free(ctx);
		return NULL;
	}
	verbs_set_ops(&ctx->base, &context_ops);
	return &ctx->base;
}

static struct verbs_device *alloc_device(struct verbs_sysfs_dev *sysfs)
{
	return calloc(1, sizeof(struct verbs_device));
}

static void uninit_device(struct verbs_device *device)
{
	free(device);
}

/* By the function, and by the name: some have no function, and those of others may be renamed. */
static const struct verbs_match_ent match_table[] = {
	VERBS_PCI_MATCH(0x1234, 0x11e8, NULL),
	VERBS_NAME_MATCH("vrnic", NULL),
	{}
};

static const struct verbs_device_ops device_ops = {
	.name = "vrnic",
	.match_min_abi_version = VRNIC_VERBS_ABI_VERSION,
	.match_max_abi_version = VRNIC_VERBS_ABI_VERSION,
	.match_table = match_table,
	.alloc_device = alloc_device,
	.uninit_device = uninit_device,
	.alloc_context = alloc_context,
};

PROVIDER_DRIVER(vrnic, device_ops);
