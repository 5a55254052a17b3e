// SPDX-License-Identifier: MIT

#include "rxe.h"

void make_rxe_network(const char *name)
{
	static const char *const make[] = {
		"modprobe -q dummy",
		"[ -d /sys/class/net/%1$s ] || ip link add %1$s mtu 9000 type dummy",
		"ip addr replace 192.0.2.1/24 dev %1$s",
		"ip link set %1$s up",
	};
	char command[128];

	for (unsigned int i = 0; i < ARRAY_LEN(make); i++) {
		snprintf(command, sizeof(command), make[i], name);
		igt_require_f(!system(command), "no network: %s\n", command);
	}
}

void start_rxe(const char *name, const char *netdev)
{
	struct ibv_context *ctx = NULL;
	uint64_t end = now_ms() + 60000;
	char command[256];

	snprintf(command, sizeof(command),
		 "modprobe -q rdma_rxe && modprobe -q ib_uverbs && { [ -d /sys/class/infiniband/%s ] || rdma link add %s type rxe netdev %s; }",
		 name, name, netdev);
	igt_require_f(!system(command), "no rxe on %s\n", netdev);
	while (!(ctx = __open_verbs(name)) && now_ms() < end)
		usleep(20000);
	igt_assert(ctx);
	ibv_close_device(ctx);
}

bool has_odp(struct ibv_context *ctx)
{
	struct ibv_device_attr_ex attr;

	igt_assert_eq(ibv_query_device_ex(ctx, NULL, &attr), 0);
	return attr.odp_caps.general_caps & IBV_ODP_SUPPORT &&
	       attr.odp_caps.per_transport_caps.rc_odp_caps & IBV_ODP_SUPPORT_WRITE;
}

/* The second of its GIDs: the first one is made of the hardware's address. */
#define GID_INDEX	1

union ibv_gid gid_of(struct end *e)
{
	union ibv_gid gid;

	igt_assert_eq(ibv_query_gid(e->ctx, 1, GID_INDEX, &gid), 0);
	return gid;
}

void connect_to(struct end *e, uint32_t qpn, union ibv_gid gid)
{
	struct ibv_qp_attr attr = attr_of(e, e);

	attr.dest_qp_num = qpn;
	attr.ah_attr.is_global = 1;
	attr.ah_attr.grh.dgid = gid;
	attr.ah_attr.grh.sgid_index = GID_INDEX;
	attr.ah_attr.grh.hop_limit = 1;
	/* Packets get lost, and machines are slow. */
	attr.timeout = 19;
	attr.retry_cnt = 7;
	igt_assert_eq(__bring_to(e, attr, IBV_QPS_RTS), 0);
}
