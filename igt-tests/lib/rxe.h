/* SPDX-License-Identifier: MIT */
/* The kernel's own software RDMA device, whose regions can be on demand by a CPU pointer. */
#ifndef RXE_H
#define RXE_H

#include "verbs.h"

/*
 * A network device for one that talks to itself; whole pages, since 7.3's rxe goes on in the wrong
 * place beyond one.
 */
void make_rxe_network(const char *name);
/*
 * One of this name on a network device that has an IPv4 address; skips the test where there is
 * no such driver. libibverbs must not have been told of one provider only.
 */
void start_rxe(const char *name, const char *netdev);
/* Whether its regions can be on demand, for a peer that writes. */
bool has_odp(struct ibv_context *ctx);
/* The address of its port, by the network device's. */
union ibv_gid gid_of(struct end *e);
/* To a queue pair of whatever machine. */
void connect_to(struct end *e, uint32_t qpn, union ibv_gid gid);

#endif /* RXE_H */
