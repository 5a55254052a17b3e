/* SPDX-License-Identifier: MIT */
/* Connections of libfabric's, whose regions may be of dma-bufs. */
#ifndef LIBFABRIC_H
#define LIBFABRIC_H

#include <rdma/fi_domain.h>

/**
 * struct fabric_end - an endpoint of libfabric's verbs provider
 */
struct fabric_end {
	struct fi_info *info;
	struct fid_fabric *fabric;
	/** @eq: Of the endpoint, and of @pep. */
	struct fid_eq *eq;
	/** @pep: Who listens; the server's. */
	struct fid_pep *pep;
	struct fid_domain *domain;
	struct fid_cq *cq;
	struct fid_ep *ep;
};

/* Both ends in this process, connected by an address that the RDMA device has. */
void open_fabric(struct fabric_end *client, struct fabric_end *server, const char *address,
		 const char *port);
void close_fabric(struct fabric_end *client, struct fabric_end *server);

struct fid_mr *fabric_reg(struct fabric_end *e, void *p, uint64_t size);
/* The region is one by FI_MR_DMABUF, and its addresses count from zero. */
struct fid_mr *fabric_reg_dmabuf(struct fabric_end *e, int dmabuf, uint64_t size);
/* Between @p, of the region @mr, and the other end's memory: 0 or the completion's error. */
int fabric_write(struct fabric_end *e, const void *p, struct fid_mr *mr, uint64_t size,
		 uint64_t addr, uint64_t key);
int fabric_read(struct fabric_end *e, void *p, struct fid_mr *mr, uint64_t size, uint64_t addr,
		uint64_t key);

#endif /* LIBFABRIC_H */
