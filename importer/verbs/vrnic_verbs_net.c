// SPDX-License-Identifier: GPL-2.0
/*
 * Ports that have a network device (RoCE v2): it lends them its addresses, so that
 * rdma_cm finds them, and its state. No packet goes through it: both ends of whatever is
 * sent are on this host.
 *
 * Which device is given one is said when the module is loaded, as it makes the port one of
 * another kind. The network device itself may come and go.
 */

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/udp.h>

#include <net/ip.h>
#include <net/ipv6.h>
#include <rdma/ib_addr.h>
#include <rdma/ib_cache.h>
#include <rdma/ib_mad.h>
#include <rdma/ib_pack.h>

#include "verbs.h"
#include "vrnic_verbs.h"

#define VRNIC_IB_MAX_NETDEVS	16
#define VRNIC_IB_GIDS		128
/* That a transport header of InfiniBand follows. */
#define VRNIC_IB_NEXT_HDR	0x1b

static char *vrnic_ib_netdev[VRNIC_IB_MAX_NETDEVS];
static int vrnic_ib_nr_netdevs;
module_param_array_named(netdev, vrnic_ib_netdev, charp, &vrnic_ib_nr_netdevs, 0444);
MODULE_PARM_DESC(netdev, "Ethernet device of vrnic0, of vrnic1, ...: rdma_cm by its addresses");

/**
 * vrnic_ib_net_check() - look at the module's parameters
 *
 * Return: 0; -EINVAL for one network device that is named twice: its addresses would lead to
 * two devices.
 */
int vrnic_ib_net_check(void)
{
	int i, j;

	for (i = 0; i < vrnic_ib_nr_netdevs; i++)
		for (j = 0; j < i; j++)
			if (*vrnic_ib_netdev[i] && !strcmp(vrnic_ib_netdev[i], vrnic_ib_netdev[j]))
				return -EINVAL;
	return 0;
}

static bool vrnic_ib_net_is_up(const struct net_device *ndev)
{
	return netif_running(ndev) && netif_carrier_ok(ndev);
}

static void vrnic_ib_net_tell(struct vrnic_ib_dev *dev, bool up)
{
	struct ib_event event = {
		.device = &dev->ib,
		.element.port_num = VRNIC_IB_PORT,
		.event = up ? IB_EVENT_PORT_ACTIVE : IB_EVENT_PORT_ERR,
	};

	/* Some kernels tell by themselves. Only a device that is registered has clients. */
	if (COMPAT_CORE_TELLS_PORT_STATE || !ib_device_try_get(&dev->ib))
		return;
	ib_dispatch_event(&event);
	ib_device_put(&dev->ib);
}

/* Called with RTNL held; also for all that there is when the notifier is registered. */
static int vrnic_ib_net_event(struct notifier_block *nb, unsigned long event, void *info)
{
	struct vrnic_ib_dev *dev = container_of(nb, struct vrnic_ib_dev, net_nb);
	struct net_device *ndev = netdev_notifier_info_to_dev(info);

	/* A device that was renamed stays. */
	if (dev->ndev ? dev->ndev != ndev : strcmp(ndev->name, dev->net_name))
		return NOTIFY_DONE;

	switch (event) {
	case NETDEV_REGISTER:
	case NETDEV_CHANGENAME:
		if (ndev->type != ARPHRD_ETHER || dev->ndev)
			break;
		if (!ib_device_set_netdev(&dev->ib, ndev, VRNIC_IB_PORT))
			dev->ndev = ndev;
		break;
	case NETDEV_UNREGISTER:
		if (!dev->ndev)
			break;
		ib_device_set_netdev(&dev->ib, NULL, VRNIC_IB_PORT);
		dev->ndev = NULL;
		break;
	case NETDEV_UP:
	case NETDEV_DOWN:
	case NETDEV_CHANGE:
		if (dev->ndev)
			vrnic_ib_net_tell(dev, vrnic_ib_net_is_up(ndev));
		break;
	}
	return NOTIFY_DONE;
}

/**
 * vrnic_ib_net_init() - give a device its network device, if it is to have one
 * @dev: the device, not registered yet
 *
 * Return: 0 or an error.
 */
int vrnic_ib_net_init(struct vrnic_ib_dev *dev)
{
	if (dev->vdev->id >= vrnic_ib_nr_netdevs || !*vrnic_ib_netdev[dev->vdev->id])
		return 0;
	dev->net_name = vrnic_ib_netdev[dev->vdev->id];
	dev->net_nb.notifier_call = vrnic_ib_net_event;
	return register_netdevice_notifier_net(&init_net, &dev->net_nb);
}

/**
 * vrnic_ib_net_fini() - take the network device away
 * @dev: the device, whose clients are there still, so that they are told
 */
void vrnic_ib_net_fini(struct vrnic_ib_dev *dev)
{
	if (vrnic_ib_is_roce(dev))
		unregister_netdevice_notifier_net(&init_net, &dev->net_nb);
}

/**
 * vrnic_ib_net_query_port() - what a port has of its network device
 * @dev: a device that is to have one
 * @attr: of the port; out: its state, and what differs from a port without
 */
void vrnic_ib_net_query_port(struct vrnic_ib_dev *dev, struct ib_port_attr *attr)
{
	struct net_device *ndev = ib_device_get_netdev(&dev->ib, VRNIC_IB_PORT);

	attr->gid_tbl_len = VRNIC_IB_GIDS;
	attr->lid = 0;
	attr->sm_lid = 0;
	attr->port_cap_flags = IB_PORT_CM_SUP;
	attr->ip_gids = true;
	if (!ndev || !vrnic_ib_net_is_up(ndev)) {
		attr->state = IB_PORT_DOWN;
		attr->phys_state = IB_PORT_PHYS_STATE_DISABLED;
	}
	dev_put(ndev);
}

/**
 * vrnic_ib_net_has_gid() - whether an address is a device's
 * @dev: the device
 * @gid: the address
 */
bool vrnic_ib_net_has_gid(struct vrnic_ib_dev *dev, const union ib_gid *gid)
{
	const struct ib_gid_attr *attr;

	attr = rdma_find_gid(&dev->ib, gid, IB_GID_TYPE_ROCE_UDP_ENCAP, NULL);
	if (IS_ERR(attr))
		return false;
	rdma_put_gid_attr(attr);
	return true;
}

static void vrnic_ib_make_ipv4(struct iphdr *ip, const struct ib_global_route *grh,
			       const union ib_gid *sgid)
{
	*ip = (struct iphdr) {
		.version = 4,
		.ihl = 5,
		.tos = grh->traffic_class,
		.frag_off = htons(IP_DF),
		.ttl = grh->hop_limit,
		.protocol = IPPROTO_UDP,
		.saddr = *(const __be32 *)(sgid->raw + 12),
		.daddr = *(const __be32 *)(grh->dgid.raw + 12),
	};
}

static void vrnic_ib_make_grh(struct ib_grh *to, const struct ib_global_route *grh,
			      const union ib_gid *sgid, bool roce)
{
	*to = (struct ib_grh) {
		.version_tclass_flow = cpu_to_be32(6 << 28 | grh->traffic_class << 20 |
						   (grh->flow_label & 0xfffff)),
		.next_hdr = roce ? IPPROTO_UDP : VRNIC_IB_NEXT_HDR,
		.hop_limit = grh->hop_limit,
		.sgid = *sgid,
		.dgid = grh->dgid,
	};
}

/**
 * vrnic_ib_head_make() - what a datagram that goes by an address begins with
 * @head: out: the head, but for what depends on a datagram's length
 * @attr: the address, which has a global route
 * @roce: it is one of RoCE
 */
void vrnic_ib_head_make(union rdma_network_hdr *head, const struct rdma_ah_attr *attr, bool roce)
{
	const struct ib_global_route *grh = rdma_ah_read_grh(attr);
	const union ib_gid *sgid = &grh->sgid_attr->gid;

	memset(head, 0, sizeof(*head));
	if (roce && ipv6_addr_v4mapped((const struct in6_addr *)&grh->dgid))
		vrnic_ib_make_ipv4(&head->roce4grh, grh, sgid);
	else
		vrnic_ib_make_grh(&head->ibgrh, grh, sgid, roce);
}

/**
 * vrnic_ib_head_finish() - a head for a datagram
 * @head: as vrnic_ib_head_make() has made it
 * @len: bytes of the datagram
 */
void vrnic_ib_head_finish(union rdma_network_hdr *head, u32 len)
{
	/* Both heads of the transport, and the checksum behind. */
	u32 packet = IB_BTH_BYTES + IB_DETH_BYTES + len + sizeof(__be32);

	/* Zero in front of a head of IPv4, which is shorter. */
	switch (head->ibgrh.next_hdr) {
	case 0:
		packet += sizeof(struct udphdr) + sizeof(struct iphdr);
		head->roce4grh.tot_len = htons(packet);
		ip_send_check(&head->roce4grh);
		return;
	case IPPROTO_UDP:
		packet += sizeof(struct udphdr);
		fallthrough;
	default:
		head->ibgrh.paylen = cpu_to_be16(packet);
	}
}
