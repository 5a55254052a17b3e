// SPDX-License-Identifier: MIT

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include "libfabric.h"
#include "movable.h"

/* The first one that knows of dma-bufs. */
#define VERSION	FI_VERSION(1, 20)
#define WAIT_MS	60000

static void check(int ret, const char *what)
{
	igt_assert_f(!ret, "libfabric: %s: %s\n", what, fi_strerror(-ret));
}

static struct fi_info *find_info(const char *address, const char *port, uint64_t flags)
{
	struct fi_info *hints = fi_allocinfo(), *info;

	igt_assert(hints);
	hints->caps = FI_RMA;
	hints->ep_attr->type = FI_EP_MSG;
	hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	hints->fabric_attr->prov_name = strdup("verbs");
	check(fi_getinfo(VERSION, address, port, flags, hints, &info), "fi_getinfo");
	fi_freeinfo(hints);
	return info;
}

static void open_fabric_eq(struct fabric_end *e)
{
	struct fi_eq_attr attr = { .wait_obj = FI_WAIT_UNSPEC };

	check(fi_fabric(e->info->fabric_attr, &e->fabric, NULL), "fi_fabric");
	check(fi_eq_open(e->fabric, &attr, &e->eq, NULL), "fi_eq_open");
}

static void open_ep(struct fabric_end *e)
{
	struct fi_cq_attr attr = { .format = FI_CQ_FORMAT_CONTEXT, .size = 16 };

	check(fi_domain(e->fabric, e->info, &e->domain, NULL), "fi_domain");
	check(fi_cq_open(e->domain, &attr, &e->cq, NULL), "fi_cq_open");
	check(fi_endpoint(e->domain, e->info, &e->ep, NULL), "fi_endpoint");
	check(fi_ep_bind(e->ep, &e->eq->fid, 0), "fi_ep_bind");
	check(fi_ep_bind(e->ep, &e->cq->fid, FI_TRANSMIT | FI_RECV), "fi_ep_bind");
	check(fi_enable(e->ep), "fi_enable");
}

/* To look at its events is what brings a connection on, also for @other. */
static struct fi_info *expect_event(struct fabric_end *e, struct fabric_end *other, uint32_t want)
{
	uint64_t end = now_ms() + WAIT_MS;
	struct fi_eq_err_entry err = {};
	struct fi_eq_cm_entry entry;
	uint32_t event;
	ssize_t n;

	while ((n = fi_eq_read(e->eq, &event, &entry, sizeof(entry), 0)) == -FI_EAGAIN &&
	       now_ms() < end) {
		fi_eq_read(other->eq, &event, &entry, sizeof(entry), FI_PEEK);
		usleep(1000);
	}
	if (n == -FI_EAVAIL)
		fi_eq_readerr(e->eq, &err, 0);
	igt_assert_f(n == sizeof(entry), "libfabric: no event came: %s\n",
		     fi_strerror(err.err ?: -n));
	igt_assert_eq(event, want);
	return entry.info;
}

void open_fabric(struct fabric_end *client, struct fabric_end *server, const char *address,
		 const char *port)
{
	struct fi_info *request;

	*server = (struct fabric_end) { .info = find_info(address, port, FI_SOURCE) };
	*client = (struct fabric_end) { .info = find_info(address, port, 0) };
	open_fabric_eq(server);
	check(fi_passive_ep(server->fabric, server->info, &server->pep, NULL), "fi_passive_ep");
	check(fi_pep_bind(server->pep, &server->eq->fid, 0), "fi_pep_bind");
	check(fi_listen(server->pep), "fi_listen");

	open_fabric_eq(client);
	open_ep(client);
	check(fi_connect(client->ep, client->info->dest_addr, NULL, 0), "fi_connect");
	request = expect_event(server, client, FI_CONNREQ);
	fi_freeinfo(server->info);
	server->info = request;
	open_ep(server);
	check(fi_accept(server->ep, NULL, 0), "fi_accept");
	expect_event(server, client, FI_CONNECTED);
	expect_event(client, server, FI_CONNECTED);
}

static void close_end(struct fabric_end *e)
{
	check(fi_close(&e->ep->fid), "close endpoint");
	check(fi_close(&e->cq->fid), "close CQ");
	check(fi_close(&e->domain->fid), "close domain");
	if (e->pep)
		check(fi_close(&e->pep->fid), "close listener");
	check(fi_close(&e->eq->fid), "close EQ");
	check(fi_close(&e->fabric->fid), "close fabric");
	fi_freeinfo(e->info);
}

void close_fabric(struct fabric_end *client, struct fabric_end *server)
{
	check(fi_shutdown(client->ep, 0), "fi_shutdown");
	close_end(client);
	close_end(server);
}

struct fid_mr *fabric_reg(struct fabric_end *e, void *p, uint64_t size)
{
	struct fid_mr *mr;

	check(fi_mr_reg(e->domain, p, size, FI_READ | FI_WRITE, 0, 0, 0, &mr, NULL), "fi_mr_reg");
	return mr;
}

struct fid_mr *fabric_reg_dmabuf(struct fabric_end *e, int dmabuf, uint64_t size)
{
	struct fi_mr_dmabuf range = { .fd = dmabuf, .len = size };
	struct fi_mr_attr attr = {
		.dmabuf = &range, .iov_count = 1, .access = FI_REMOTE_READ | FI_REMOTE_WRITE,
	};
	struct fid_mr *mr;

	check(fi_mr_regattr(e->domain, &attr, FI_MR_DMABUF, &mr), "FI_MR_DMABUF");
	return mr;
}

static int wait_completion(struct fabric_end *e)
{
	uint64_t end = now_ms() + WAIT_MS;
	struct fi_cq_err_entry err = {};
	struct fi_cq_entry entry;
	ssize_t n;

	while ((n = fi_cq_read(e->cq, &entry, 1)) == -FI_EAGAIN) {
		igt_assert_f(now_ms() < end, "libfabric: no completion came\n");
		usleep(100);
	}
	if (n == 1)
		return 0;
	igt_assert_eq(n, -FI_EAVAIL);
	igt_assert_eq(fi_cq_readerr(e->cq, &err, 0), 1);
	return err.err;
}

int fabric_write(struct fabric_end *e, const void *p, struct fid_mr *mr, uint64_t size,
		 uint64_t addr, uint64_t key)
{
	check(fi_write(e->ep, p, size, fi_mr_desc(mr), 0, addr, key, NULL), "fi_write");
	return wait_completion(e);
}

int fabric_read(struct fabric_end *e, void *p, struct fid_mr *mr, uint64_t size, uint64_t addr,
		uint64_t key)
{
	check(fi_read(e->ep, p, size, fi_mr_desc(mr), 0, addr, key, NULL), "fi_read");
	return wait_completion(e);
}
