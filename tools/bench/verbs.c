// SPDX-License-Identifier: MIT
/*
 * The RDMA device, by libibverbs: movable memory against pinned, and what registering costs.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#include "devices.h"
#include "rig.h"

#define DEPTH	64
#define RIGHTS	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)

/* Two queue pairs that are connected, of which the first one sends, and its memory. */
struct conn {
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp[2];
	struct ibv_mr *mem;
	uint8_t *p;
};

static struct ibv_context *open_device(void)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *ctx = NULL;
	int i;

	for (i = 0; list && list[i] && !ctx; i++)
		if (!strcmp(ibv_get_device_name(list[i]), "vrnic0"))
			ctx = ibv_open_device(list[i]);
	if (list)
		ibv_free_device_list(list);
	return ctx;
}

static void *must_have(const char *what, void *p)
{
	if (!p)
		die(what, -errno);
	return p;
}

static void connect_qp(struct conn *c, int i)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT, .port_num = 1, .qp_access_flags = RIGHTS,
		.path_mtu = IBV_MTU_4096, .dest_qp_num = c->qp[!i]->qp_num, .timeout = 14,
		.ah_attr = { .port_num = 1 },
	};
	struct ibv_port_attr port;

	must("port", -ibv_query_port(c->ctx, 1, &port));
	attr.ah_attr.dlid = port.lid;
	must("INIT", -ibv_modify_qp(c->qp[i], &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
				    IBV_QP_PORT | IBV_QP_ACCESS_FLAGS));
	attr.qp_state = IBV_QPS_RTR;
	must("RTR", -ibv_modify_qp(c->qp[i], &attr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU |
				   IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
				   IBV_QP_MIN_RNR_TIMER));
	attr.qp_state = IBV_QPS_RTS;
	must("RTS", -ibv_modify_qp(c->qp[i], &attr, IBV_QP_STATE | IBV_QP_TIMEOUT |
				   IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
				   IBV_QP_MAX_QP_RD_ATOMIC));
}

static uint8_t *make_pages(uint64_t size)
{
	uint8_t *p = must_have("pages", aligned_alloc(MIB(2), size));

	madvise(p, size, MADV_HUGEPAGE);
	memset(p, 0x5a, size);
	return p;
}

static void open_conn(struct conn *c, uint64_t size)
{
	struct ibv_qp_init_attr init = {
		.cap = { .max_send_wr = DEPTH, .max_send_sge = 1 }, .qp_type = IBV_QPT_RC,
	};
	int i;

	c->pd = must_have("domain", ibv_alloc_pd(c->ctx));
	c->cq = must_have("CQ", ibv_create_cq(c->ctx, DEPTH, NULL, NULL, 0));
	init.send_cq = c->cq;
	init.recv_cq = c->cq;
	for (i = 0; i < 2; i++)
		c->qp[i] = must_have("queue pair", ibv_create_qp(c->pd, &init));
	for (i = 0; i < 2; i++)
		connect_qp(c, i);
	c->p = make_pages(size);
	c->mem = must_have("region", ibv_reg_mr(c->pd, c->p, size, RIGHTS));
}

static void close_conn(struct conn *c)
{
	int i;

	for (i = 0; i < 2; i++)
		must("destroy", -ibv_destroy_qp(c->qp[i]));
	must("destroy", -ibv_destroy_cq(c->cq));
	must("deregister", -ibv_dereg_mr(c->mem));
	must("destroy", -ibv_dealloc_pd(c->pd));
	free(c->p);
}

/* The last one of a list completes. It is not polled for without a break: with two CPUs
 * one is the worker's, and the other may be somebody's who moves the buffer.
 */
static uint64_t run_writes(struct conn *c, uint64_t addr, uint32_t rkey, uint32_t len,
			   uint32_t count, uint32_t step)
{
	struct ibv_sge sge = { (uintptr_t)c->p, len, c->mem->lkey };
	struct ibv_send_wr wrs[DEPTH], *bad;
	uint64_t start = now();
	struct ibv_wc wc;
	uint32_t i;

	for (i = 0; i < count; i++)
		wrs[i] = (struct ibv_send_wr) {
			.opcode = IBV_WR_RDMA_WRITE, .sg_list = &sge, .num_sge = 1,
			.next = i + 1 < count ? &wrs[i + 1] : NULL,
			.send_flags = i + 1 < count ? 0 : IBV_SEND_SIGNALED,
			.wr.rdma = { addr + (uint64_t)i * step, rkey },
		};
	must("post", -ibv_post_send(c->qp[0], wrs, &bad));
	while (!ibv_poll_cq(c->cq, 1, &wc))
		usleep(50);
	if (wc.status)
		die("a request failed", -(int)wc.status);
	return now() - start;
}

/* Movable memory in VRAM against memory of a process, both warm. */
static void warm(struct ibv_context *ctx)
{
	uint32_t handle = create(MIB(2), VRAM), i;
	struct conn c = { .ctx = ctx };
	int fd = export(vvram, handle);
	struct ibv_mr *vram, *pinned;
	double best[2] = {};
	uint8_t *p;

	open_conn(&c, MIB(2));
	p = make_pages(MIB(2));
	pinned = must_have("region", ibv_reg_mr(c.pd, p, MIB(2), RIGHTS));
	vram = must_have("region", ibv_reg_dmabuf_mr(c.pd, 0, MIB(2), 0, fd, RIGHTS));
	for (i = 0; i < 60; i++) {
		grow_tlbs();
		best[0] = least(best[0], run_writes(&c, 0, vram->rkey, KIB(64), 16, KIB(64)));
		grow_tlbs();
		best[1] = least(best[1], run_writes(&c, (uintptr_t)p, pinned->rkey, KIB(64), 16,
						    KIB(64)));
	}
	report("verbs-warm", "dma-buf", KIB(64), best[0]);
	report("verbs-warm", "pinned", KIB(64), best[1]);
	must("deregister", -ibv_dereg_mr(vram));
	must("deregister", -ibv_dereg_mr(pinned));
	free(p);
	close_conn(&c);
	close(fd);
	gem_close(vvram, handle);
}

static void large_writes(struct ibv_context *ctx)
{
	uint32_t handle = create(MIB(2), VRAM), i, k, n = 16;
	struct conn c = { .ctx = ctx };
	int fd = export(vvram, handle);
	double cpu = 0, verbs = 0, sum;
	struct ibv_mr *mr;

	open_conn(&c, MIB(2));
	mr = must_have("region", ibv_reg_dmabuf_mr(c.pd, 0, MIB(2), 0, fd, RIGHTS));
	for (i = 0; i < 16; i++) {
		grow_tlbs();
		verbs = least(verbs, (double)run_writes(&c, 0, mr->rkey, MIB(1), n, 0) / n);
		for (k = 0, sum = 0; k < n; k++)
			sum += memcpy_ns(fd, MIB(1), false);
		cpu = least(cpu, sum / n);
	}
	report("verbs-write", "vrnic", MIB(1), verbs);
	report("verbs-write", "memcpy", MIB(1), cpu);
	must("deregister", -ibv_dereg_mr(mr));
	close_conn(&c);
	close(fd);
	gem_close(vvram, handle);
}

static double registration(struct conn *c, uint64_t size)
{
	uint32_t handle = create_with(size, VRAM, 0), i;
	int fd = export(vvram, handle);
	struct ibv_mr *mr;
	uint64_t start;
	double best = 0;

	for (i = 0; i < 40; i++) {
		start = now();
		mr = must_have("region", ibv_reg_dmabuf_mr(c->pd, 0, size, 0, fd, RIGHTS));
		best = least(best, now() - start);
		/* Used, so that what is left for the first use is made and undone as well. */
		run_writes(c, size - 64, mr->rkey, 64, 1, 0);
		must("deregister", -ibv_dereg_mr(mr));
	}
	close(fd);
	gem_close(vvram, handle);
	wait_empty();
	return best;
}

static double writes_for(struct conn *c, uint32_t rkey, uint64_t ns)
{
	uint64_t start = now(), bytes = 0;

	while (now() - start < ns) {
		run_writes(c, 0, rkey, KIB(256), 32, KIB(256));
		bytes += 32 * KIB(256);
	}
	return bytes * 1e9 / (now() - start);
}

static void under_moves(struct ibv_context *ctx)
{
	uint32_t handle = create(MIB(8), VRAM);
	struct mover m = { .handle = handle };
	struct conn c = { .ctx = ctx };
	int fd = export(vvram, handle);
	double alone, moved;
	struct ibv_mr *mr;
	pthread_t thread;
	uint64_t start;

	open_conn(&c, MIB(2));
	mr = must_have("region", ibv_reg_dmabuf_mr(c.pd, 0, MIB(8), 0, fd, RIGHTS));
	move(handle, SYSTEM);
	alone = writes_for(&c, mr->rkey, 1000000000) / 2;
	move(handle, VRAM);
	alone += writes_for(&c, mr->rkey, 1000000000) / 2;
	start = now();
	pthread_create(&thread, NULL, mover, &m);
	moved = writes_for(&c, mr->rkey, 2000000000);
	m.stop = true;
	pthread_join(thread, NULL);
	report("verbs-moves", "alone", MIB(8), alone);
	report("verbs-moves", "moved", MIB(8), moved);
	report("verbs-moves", "share-of-moves", MIB(8), (double)m.sum / (now() - start));
	must("deregister", -ibv_dereg_mr(mr));
	close_conn(&c);
	close(fd);
	gem_close(vvram, handle);
}

void bench_verbs(void)
{
	struct ibv_context *ctx = open_device();
	struct drm_vvram_query query = {};
	struct conn c = { .ctx = ctx };

	/* A kernel without RDMA, or no provider. */
	if (!ctx)
		return;
	warm(ctx);
	large_writes(ctx);
	under_moves(ctx);
	must("query", call(vvram, DRM_IOCTL_VVRAM_QUERY, &query));
	open_conn(&c, MIB(2));
	report("verbs-registration", "small", MIB(1), registration(&c, MIB(1)));
	report("verbs-registration", "large", query.vram_size - MIB(64),
	       registration(&c, query.vram_size - MIB(64)));
	close_conn(&c);
	ibv_close_device(ctx);
}
