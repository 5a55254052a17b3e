// SPDX-License-Identifier: GPL-2.0
/*
 * Addresses: where a datagram goes, and what it begins with when it arrives.
 *
 * A client posts the number of an address, so that it can't say that a datagram came from
 * elsewhere.
 */

#include <linux/limits.h>

#include "vrnic_verbs.h"

/* Devices that are registered; for those who look for one by its address. */
static DEFINE_SPINLOCK(vrnic_ib_devs_lock);
static LIST_HEAD(vrnic_ib_devs);

void vrnic_ib_devs_add(struct vrnic_ib_dev *dev)
{
	guard(spinlock_irqsave)(&vrnic_ib_devs_lock);
	list_add_tail(&dev->link, &vrnic_ib_devs);
}

/**
 * vrnic_ib_devs_take() - take a device off the list of all
 * @vdev: the device behind it
 *
 * Return: the device, or NULL when there is none.
 */
struct vrnic_ib_dev *vrnic_ib_devs_take(struct vrnic_device *vdev)
{
	struct vrnic_ib_dev *dev;

	guard(spinlock_irqsave)(&vrnic_ib_devs_lock);
	list_for_each_entry(dev, &vrnic_ib_devs, link) {
		if (dev->vdev != vdev)
			continue;
		list_del(&dev->link);
		return dev;
	}
	return NULL;
}

/* The device that has an address of RoCE at the moment; 0 for none: nobody answers. */
static u16 vrnic_ib_lid_of_gid(const union ib_gid *gid)
{
	struct vrnic_ib_dev *dev;

	guard(spinlock_irqsave)(&vrnic_ib_devs_lock);
	list_for_each_entry(dev, &vrnic_ib_devs, link)
		if (vrnic_ib_is_roce(dev) && vrnic_ib_net_has_gid(dev, gid))
			return vrnic_ib_lid(dev);
	return 0;
}

/**
 * vrnic_ib_find_lid() - which device an address leads to
 * @dev: the device whose address it is
 * @attr: the address
 *
 * It is found once: addresses that move later leave connections where they are, as on
 * Ethernet, where the hardware's address stays.
 *
 * Return: the number of the device, see vrnic_ib_lid(); 0 or any other for none.
 */
u16 vrnic_ib_find_lid(const struct vrnic_ib_dev *dev, const struct rdma_ah_attr *attr)
{
	return vrnic_ib_is_roce(dev) ? vrnic_ib_lid_of_gid(&rdma_ah_read_grh(attr)->dgid) :
				       rdma_ah_get_dlid(attr);
}

static int vrnic_ib_ah_number(struct vrnic_ib_ah *ah, u32 flags)
{
	gfp_t gfp = flags & RDMA_CREATE_AH_SLEEPABLE ? GFP_KERNEL_ACCOUNT : GFP_ATOMIC;

	return xa_alloc(&to_vrnic_dev(ah->ib.device)->ahs, &ah->number, ah,
			XA_LIMIT(1, VRNIC_IB_MAX_AH), gfp);
}

static int vrnic_ib_create_ah(struct ib_ah *ibah, struct rdma_ah_init_attr *init,
			      struct ib_udata *udata)
{
	struct vrnic_ib_dev *dev = to_vrnic_dev(ibah->device);
	struct vrnic_verbs_create_ah_resp resp = {};
	struct vrnic_ib_ah *ah = to_vrnic_ah(ibah);
	int ret;

	ret = vrnic_ib_no_udata(udata);
	if (ret)
		return ret;
	if (rdma_ah_get_port_num(init->ah_attr) != VRNIC_IB_PORT)
		return -EINVAL;
	ah->attr = *init->ah_attr;
	ah->way.dlid = vrnic_ib_find_lid(dev, init->ah_attr);
	ah->way.has_head = rdma_ah_get_ah_flags(init->ah_attr) & IB_AH_GRH;
	if (ah->way.has_head)
		vrnic_ib_head_make(&ah->way.head, init->ah_attr, vrnic_ib_is_roce(dev));
	/* The caller's reference. */
	ah->attr.grh.sgid_attr = NULL;

	ret = vrnic_ib_ah_number(ah, init->flags);
	if (ret || !udata)
		return ret;
	resp.ah = ah->number;
	ret = vrnic_ib_respond(udata, &resp, sizeof(resp));
	if (ret)
		xa_erase(&dev->ahs, ah->number);
	return ret;
}

static int vrnic_ib_query_ah(struct ib_ah *ibah, struct rdma_ah_attr *attr)
{
	*attr = to_vrnic_ah(ibah)->attr;
	return 0;
}

static int vrnic_ib_destroy_ah(struct ib_ah *ibah, u32 flags)
{
	xa_erase(&to_vrnic_dev(ibah->device)->ahs, to_vrnic_ah(ibah)->number);
	return 0;
}

/**
 * vrnic_ib_ah_way() - which way a datagram goes
 * @qp: whose datagram it is; out: its @way
 * @number: of the address
 *
 * Return: false when there is no such address in the queue pair's domain.
 */
bool vrnic_ib_ah_way(struct vrnic_ib_qp *qp, u32 number)
{
	struct xarray *ahs = &qp->dev->ahs;
	struct vrnic_ib_ah *ah;

	xa_lock(ahs);
	ah = xa_load(ahs, number);
	if (ah && ah->ib.pd != qp->ib.pd)
		ah = NULL;
	if (ah)
		qp->way = ah->way;
	xa_unlock(ahs);
	return ah;
}

const struct ib_device_ops vrnic_ib_ah_ops = {
	.create_ah = vrnic_ib_create_ah,
	.create_user_ah = vrnic_ib_create_ah,
	.query_ah = vrnic_ib_query_ah,
	.destroy_ah = vrnic_ib_destroy_ah,
	INIT_RDMA_OBJ_SIZE(ib_ah, vrnic_ib_ah, ib),
};
