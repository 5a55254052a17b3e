// SPDX-License-Identifier: GPL-2.0
/*
 * vrnic_verbs: vrnic as an RDMA device, for programs that use libibverbs.
 *
 * A module of its own on what vrnic.ko exports, so that this one works on kernels
 * without RDMA. Each vrnic device has an ib_device for as long as it lives.
 */

#include <linux/module.h>
#include <linux/slab.h>

#include <rdma/ib_mad.h>

#include "vrnic_client.h"
#include "vrnic_engine.h"
#include "vrnic_ns.h"
#include "vrnic_verbs.h"

static char *vrnic_ib_engine = "cpu";
module_param_named(engine, vrnic_ib_engine, charp, 0444);
MODULE_PARM_DESC(engine, "What moves the bytes: cpu (default), or edu, the function's own, without atomics");

/**
 * vrnic_ib_no_udata() - a call without anything of our own in it
 * @udata: of the client's call
 *
 * Return: 0; -EINVAL when there is something that is not zero.
 */
int vrnic_ib_no_udata(struct ib_udata *udata)
{
	if (!udata || !udata->inlen || ib_is_udata_cleared(udata, 0, udata->inlen))
		return 0;
	return -EINVAL;
}

/**
 * vrnic_ib_respond() - answer a call that makes a queue
 * @udata: of the client's call
 * @resp: the answer
 * @size: its size
 *
 * Return: 0; -EINVAL for a client that has less room, and so could not use it; -EFAULT.
 */
int vrnic_ib_respond(struct ib_udata *udata, const void *resp, size_t size)
{
	if (udata->outlen < size)
		return -EINVAL;
	return ib_copy_to_udata(udata, (void *)resp, size);
}

static __be64 vrnic_ib_guid(const struct vrnic_ib_dev *dev)
{
	/* Locally administered: "vrnic", and the number of the device. */
	return cpu_to_be64(0x0276726e69630000ULL + dev->vdev->id);
}

#define VRNIC_IB_ODP		(IB_ODP_SUPPORT_SEND | IB_ODP_SUPPORT_RECV |		\
				 IB_ODP_SUPPORT_SRQ_RECV)
#define VRNIC_IB_ODP_UC		(VRNIC_IB_ODP | IB_ODP_SUPPORT_WRITE)
#define VRNIC_IB_ODP_RC		(VRNIC_IB_ODP_UC | IB_ODP_SUPPORT_READ | IB_ODP_SUPPORT_ATOMIC)

/* Memory of processes that is not pinned: where the kernel tells what becomes of it. */
static void vrnic_ib_add_odp(struct ib_device_attr *attr)
{
	if (!IS_ENABLED(CONFIG_HMM_MIRROR))
		return;
	attr->kernel_cap_flags |= IBK_ON_DEMAND_PAGING;
	attr->odp_caps.general_caps = IB_ODP_SUPPORT;
	attr->odp_caps.per_transport_caps.rc_odp_caps = VRNIC_IB_ODP_RC;
	attr->odp_caps.per_transport_caps.uc_odp_caps = VRNIC_IB_ODP_UC;
	attr->odp_caps.per_transport_caps.ud_odp_caps = VRNIC_IB_ODP;
}

static int vrnic_ib_query_device(struct ib_device *ib, struct ib_device_attr *attr,
				 struct ib_udata *udata)
{
	struct vrnic_ib_dev *dev = to_vrnic_dev(ib);
	int ret;

	ret = vrnic_ib_no_udata(udata);
	if (ret)
		return ret;

	*attr = (struct ib_device_attr) {
		.fw_ver = VRNIC_VERBS_ABI_VERSION,
		.sys_image_guid = vrnic_ib_guid(dev),
		.max_mr_size = U64_MAX,
		.page_size_cap = PAGE_SIZE,
		.vendor_id = 0x1234,
		.vendor_part_id = 0x11e8,
		.max_qp = SZ_64K,
		.max_qp_wr = VRNIC_IB_MAX_WR,
		.device_cap_flags = IB_DEVICE_CURR_QP_STATE_MOD | IB_DEVICE_SYS_IMAGE_GUID |
				    IB_DEVICE_RC_RNR_NAK_GEN | IB_DEVICE_MEM_WINDOW |
				    IB_DEVICE_MEM_WINDOW_TYPE_2B,
		.kernel_cap_flags = IBK_LOCAL_DMA_LKEY,
		.max_send_sge = VRNIC_IB_MAX_SGE,
		.max_recv_sge = VRNIC_IB_MAX_SGE,
		.max_sge_rd = VRNIC_IB_MAX_SGE,
		.max_cq = SZ_64K,
		.max_cqe = VRNIC_IB_MAX_CQE,
		.max_mr = U16_MAX,
		.max_mw = U16_MAX,
		.max_pd = SZ_64K,
		.max_qp_rd_atom = VRNIC_IB_MAX_RD_ATOMIC,
		.max_res_rd_atom = SZ_64K * VRNIC_IB_MAX_RD_ATOMIC,
		.max_qp_init_rd_atom = VRNIC_IB_MAX_RD_ATOMIC,
		/* Among those of the engine, as in device memory the CPU's own are not. */
		.atomic_cap = vrnic_engine_has_atomics(dev->engine) ? IB_ATOMIC_HCA :
								      IB_ATOMIC_NONE,
		.max_ah = VRNIC_IB_MAX_AH,
		.max_srq = SZ_64K,
		.max_srq_wr = VRNIC_IB_MAX_WR,
		.max_srq_sge = VRNIC_IB_MAX_SGE,
		.max_pkeys = 1,
		/* Of completions: nanoseconds. */
		.timestamp_mask = U64_MAX,
		.hca_core_clock = USEC_PER_SEC,
	};
	vrnic_ib_add_odp(attr);
	return 0;
}

static int vrnic_ib_query_port(struct ib_device *ib, u32 port, struct ib_port_attr *attr)
{
	attr->state = IB_PORT_ACTIVE;
	attr->phys_state = IB_PORT_PHYS_STATE_LINK_UP;
	attr->max_mtu = IB_MTU_4096;
	attr->active_mtu = IB_MTU_4096;
	attr->gid_tbl_len = 1;
	attr->pkey_tbl_len = 1;
	attr->max_msg_sz = VRNIC_IB_MAX_MSG;
	attr->lid = vrnic_ib_lid(to_vrnic_dev(ib));
	attr->sm_lid = 1;
	attr->max_vl_num = 1;
	attr->active_width = IB_WIDTH_4X;
	attr->active_speed = IB_SPEED_EDR;
	if (vrnic_ib_is_roce(to_vrnic_dev(ib)))
		vrnic_ib_net_query_port(to_vrnic_dev(ib), attr);
	return 0;
}

/*
 * Management datagrams are for rdma_cm, which needs a network device. Without one,
 * connections are made by their programs.
 */
static int vrnic_ib_get_port_immutable(struct ib_device *ib, u32 port,
				       struct ib_port_immutable *immutable)
{
	struct ib_port_attr attr = {};

	vrnic_ib_query_port(ib, port, &attr);
	immutable->gid_tbl_len = attr.gid_tbl_len;
	immutable->pkey_tbl_len = attr.pkey_tbl_len;
	immutable->core_cap_flags = RDMA_CORE_CAP_PROT_IB;
	if (vrnic_ib_is_roce(to_vrnic_dev(ib))) {
		immutable->core_cap_flags = RDMA_CORE_PORT_IBA_ROCE_UDP_ENCAP;
		immutable->max_mad_size = IB_MGMT_MAD_SIZE;
	}
	return 0;
}

static enum rdma_link_layer vrnic_ib_get_link_layer(struct ib_device *ib, u32 port)
{
	return vrnic_ib_is_roce(to_vrnic_dev(ib)) ? IB_LINK_LAYER_ETHERNET :
						    IB_LINK_LAYER_INFINIBAND;
}

static int vrnic_ib_query_gid(struct ib_device *ib, u32 port, int index, union ib_gid *gid)
{
	if (index)
		return -EINVAL;
	gid->global.subnet_prefix = cpu_to_be64(0xfe80000000000000ULL);
	gid->global.interface_id = vrnic_ib_guid(to_vrnic_dev(ib));
	return 0;
}

static int vrnic_ib_query_pkey(struct ib_device *ib, u32 port, u16 index, u16 *pkey)
{
	if (index)
		return -EINVAL;
	*pkey = IB_DEFAULT_PKEY_FULL;
	return 0;
}

static int vrnic_ib_alloc_ucontext(struct ib_ucontext *ibuc, struct ib_udata *udata)
{
	struct vrnic_ib_ucontext *uc = to_vrnic_ucontext(ibuc);
	int ret = vrnic_ib_no_udata(udata);

	if (ret)
		return ret;
	uc->workers = vrnic_workers_create();
	if (!uc->workers)
		return -ENOMEM;
	uc->faulters = vrnic_workers_create();
	if (!uc->faulters) {
		destroy_workqueue(uc->workers);
		return -ENOMEM;
	}
	return 0;
}

static void vrnic_ib_dealloc_ucontext(struct ib_ucontext *ibuc)
{
	destroy_workqueue(to_vrnic_ucontext(ibuc)->faulters);
	destroy_workqueue(to_vrnic_ucontext(ibuc)->workers);
}

/* All of its objects are ended by ib_uverbs; mapped queues are memory of their own. */
static void vrnic_ib_disassociate_ucontext(struct ib_ucontext *ibuc)
{
}

static int vrnic_ib_alloc_pd(struct ib_pd *pd, struct ib_udata *udata)
{
	struct vrnic_pd *core = &to_vrnic_pd(pd)->core;
	struct vrnic_ib_ucontext *uc;

	core->vdev = to_vrnic_dev(pd->device)->vdev;
	core->workers = core->vdev->workers;
	if (udata) {
		uc = rdma_udata_to_drv_context(udata, struct vrnic_ib_ucontext, ib);
		core->workers = uc->workers;
		core->faulters = uc->faulters;
	}
	return vrnic_ib_no_udata(udata);
}

static int vrnic_ib_dealloc_pd(struct ib_pd *pd, struct ib_udata *udata)
{
	return 0;
}

static void vrnic_ib_get_fw_str(struct ib_device *ib, char *str)
{
	snprintf(str, IB_FW_VERSION_NAME_MAX, "%d", VRNIC_VERBS_ABI_VERSION);
}

/* Before anybody can make an address: those lead to where they do when they are made. */
static int vrnic_ib_enable(struct ib_device *ib)
{
	vrnic_ib_devs_add(to_vrnic_dev(ib));
	return 0;
}

static const struct ib_device_ops vrnic_ib_ops = {
	.owner = THIS_MODULE,
	.driver_id = RDMA_DRIVER_UNKNOWN,
	.uverbs_abi_ver = VRNIC_VERBS_ABI_VERSION,

	.enable_driver = vrnic_ib_enable,
	.query_device = vrnic_ib_query_device,
	.query_port = vrnic_ib_query_port,
	.get_port_immutable = vrnic_ib_get_port_immutable,
	.get_link_layer = vrnic_ib_get_link_layer,
	.get_dev_fw_str = vrnic_ib_get_fw_str,
	.query_gid = vrnic_ib_query_gid,
	.query_pkey = vrnic_ib_query_pkey,
	.alloc_ucontext = vrnic_ib_alloc_ucontext,
	.dealloc_ucontext = vrnic_ib_dealloc_ucontext,
	.disassociate_ucontext = vrnic_ib_disassociate_ucontext,
	.mmap = vrnic_ib_mmap,
	.mmap_free = vrnic_ib_mmap_free,
	.alloc_pd = vrnic_ib_alloc_pd,
	.dealloc_pd = vrnic_ib_dealloc_pd,
	INIT_RDMA_OBJ_SIZE(ib_pd, vrnic_ib_pd, ib),
	INIT_RDMA_OBJ_SIZE(ib_ucontext, vrnic_ib_ucontext, ib),
};

static void vrnic_ib_set_ops(struct ib_device *ib)
{
	ib_set_device_ops(ib, &vrnic_ib_ops);
	ib_set_device_ops(ib, &vrnic_ib_ah_ops);
	ib_set_device_ops(ib, &vrnic_ib_cq_ops);
	ib_set_device_ops(ib, &vrnic_ib_mr_ops);
	ib_set_device_ops(ib, &vrnic_ib_mw_ops);
	ib_set_device_ops(ib, &vrnic_ib_qp_ops);
	ib_set_device_ops(ib, &vrnic_ib_srq_ops);
	ib->uverbs_cmd_mask |= BIT_ULL(IB_USER_VERBS_CMD_POST_SEND) |
			       BIT_ULL(IB_USER_VERBS_CMD_POST_RECV) |
			       BIT_ULL(IB_USER_VERBS_CMD_REQ_NOTIFY_CQ) |
			       BIT_ULL(IB_USER_VERBS_CMD_QUERY_AH);
}

static int vrnic_ib_register(struct vrnic_device *vdev)
{
	struct vrnic_dma_engine *engine = vrnic_engine_find(vdev, vrnic_ib_engine);
	struct vrnic_ib_dev *dev;
	int ret;

	/* One that is asked for and not there is not replaced by another one. */
	if (!engine)
		return -EOPNOTSUPP;
	dev = ib_alloc_device(vrnic_ib_dev, ib);
	if (!dev)
		return -ENOMEM;
	dev->vdev = vdev;
	dev->engine = engine;
	dev->ib.node_type = RDMA_NODE_IB_CA;
	dev->ib.local_dma_lkey = VRNIC_IB_DMA_LKEY;
	dev->ib.node_guid = vrnic_ib_guid(dev);
	dev->ib.phys_port_cnt = 1;
	dev->ib.num_comp_vectors = num_possible_cpus();
	dev->ib.dev.parent = vdev->dev;
	strscpy(dev->ib.node_desc, vdev->name);
	xa_init_flags(&dev->ahs, XA_FLAGS_ALLOC);
	spin_lock_init(&dev->mw_lock);
	xa_init(&dev->mws);
	vrnic_ib_set_ops(&dev->ib);

	ret = vrnic_ib_net_init(dev);
	if (ret)
		goto err_dealloc;
	/* The kernel is a client of such ports only. */
	if (vrnic_ib_is_roce(dev))
		ib_set_device_ops(&dev->ib, &vrnic_ib_kernel_ops);
	ret = ib_register_device(&dev->ib, vdev->name, vdev->dev);
	if (ret)
		goto err_net;
	return 0;

err_net:
	vrnic_ib_devs_take(vdev);
	vrnic_ib_net_fini(dev);
err_dealloc:
	ib_dealloc_device(&dev->ib);
	return ret;
}

static void vrnic_ib_add(struct vrnic_device *vdev)
{
	int ret = vrnic_ib_register(vdev);

	if (ret)
		dev_err(vdev->dev, "no RDMA device %s: %d\n", vdev->name, ret);
}

/* Programs that run are told, and all that they have is ended before this returns. */
static void vrnic_ib_remove(struct vrnic_device *vdev)
{
	struct vrnic_ib_dev *dev = vrnic_ib_devs_take(vdev);

	if (!dev)
		return;
	WRITE_ONCE(dev->leaving, true);
	vrnic_ib_net_fini(dev);
	ib_unregister_device(&dev->ib);
	ib_dealloc_device(&dev->ib);
}

static struct vrnic_client vrnic_ib_client = {
	.add = vrnic_ib_add,
	.remove = vrnic_ib_remove,
};

static int __init vrnic_verbs_init(void)
{
	int ret = vrnic_ib_net_check();

	return ret ? ret : vrnic_client_register(&vrnic_ib_client);
}

static void __exit vrnic_verbs_exit(void)
{
	vrnic_client_unregister(&vrnic_ib_client);
}

module_init(vrnic_verbs_init);
module_exit(vrnic_verbs_exit);

MODULE_IMPORT_NS(VRNIC_NS);
MODULE_AUTHOR("movable-dmabuf");
MODULE_DESCRIPTION("vrnic as an RDMA device");
MODULE_LICENSE("GPL");
