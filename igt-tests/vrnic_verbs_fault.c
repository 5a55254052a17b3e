// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic verbs fault
 * Category: Core
 * Description: Each allocation and each user copy of each verb fails once.
 *
 * SUBTEST: open
 * Description: A device that can not be opened now can be the next time.
 * SUBTEST: calls
 * Description: All verbs get the right errno, leave nothing behind, and work the next time.
 */

#include <rdma/ib_user_verbs.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "faults.h"
#include "verbs.h"

IGT_TEST_DESCRIPTION("Each allocation and each user copy of each verb fails once.");

static int fd = -1, nic = -1;

struct subject {
	struct ibv_device *device;
	struct end a, b, shared;
	struct movable m;
	/* From a to b. */
	struct ibv_qp_attr attr;
	/* What the last call has made. */
	struct ibv_context *ctx;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	struct ibv_srq *srq;
	struct ibv_ah *ah;
	struct ibv_mr *mr;
	struct ibv_mw *mw;
	/* A window, and a region that it is bound to; one that changes, and how often. */
	struct ibv_mw *window;
	struct ibv_mr *bindable, *changing;
	unsigned int turn;
};

static int made(const void *object)
{
	return object ? 0 : -errno;
}

static int run_open(void *ctx)
{
	struct subject *s = ctx;

	errno = 0;
	s->ctx = ibv_open_device(s->device);
	/* The library does not say why. */
	return s->ctx ? 0 : -ENOMEM;
}

static void undo_open(void *ctx)
{
	igt_assert_eq(ibv_close_device(((struct subject *)ctx)->ctx), 0);
}

static int run_query_device(void *ctx)
{
	struct ibv_device_attr attr;

	return -ibv_query_device(((struct subject *)ctx)->a.ctx, &attr);
}

static int run_query_port(void *ctx)
{
	struct ibv_port_attr attr;

	return -ibv_query_port(((struct subject *)ctx)->a.ctx, 1, &attr);
}

static int run_pd(void *ctx)
{
	struct subject *s = ctx;

	s->pd = ibv_alloc_pd(s->a.ctx);
	return made(s->pd);
}

static void undo_pd(void *ctx)
{
	igt_assert_eq(ibv_dealloc_pd(((struct subject *)ctx)->pd), 0);
}

static int run_reg(void *ctx)
{
	struct subject *s = ctx;

	s->mr = ibv_reg_mr(s->a.pd, s->a.mem + 100, SIZE - 200, ALL);
	return made(s->mr);
}

static int run_reg_dma_buf(void *ctx)
{
	struct subject *s = ctx;

	s->mr = ibv_reg_dmabuf_mr(s->a.pd, 0, SIZE, 0, s->m.dmabuf, ALL);
	return made(s->mr);
}

static void undo_reg(void *ctx)
{
	igt_assert_eq(ibv_dereg_mr(((struct subject *)ctx)->mr), 0);
}

static int run_advise(void *ctx)
{
	struct subject *s = ctx;
	struct ibv_sge sge = { 0, SIZE, s->m.mr->lkey };

	return -ibv_advise_mr(s->b.pd, IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
			      IBV_ADVISE_MR_FLAG_FLUSH, &sge, 1);
}

static int run_channel(void *ctx)
{
	struct subject *s = ctx;

	s->channel = ibv_create_comp_channel(s->a.ctx);
	return made(s->channel);
}

static void undo_channel(void *ctx)
{
	igt_assert_eq(ibv_destroy_comp_channel(((struct subject *)ctx)->channel), 0);
}

static int run_cq(void *ctx)
{
	struct subject *s = ctx;

	s->cq = ibv_create_cq(s->a.ctx, 100, NULL, NULL, 0);
	return made(s->cq);
}

static int run_cq_ex(void *ctx)
{
	struct subject *s = ctx;
	struct ibv_cq_init_attr_ex attr = { .cqe = 100, .wc_flags = IBV_WC_STANDARD_FLAGS };
	struct ibv_cq_ex *cq = ibv_create_cq_ex(s->a.ctx, &attr);

	s->cq = cq ? ibv_cq_ex_to_cq(cq) : NULL;
	return made(cq);
}

static void undo_cq(void *ctx)
{
	igt_assert_eq(ibv_destroy_cq(((struct subject *)ctx)->cq), 0);
}

static int run_arm(void *ctx)
{
	return -ibv_req_notify_cq(((struct subject *)ctx)->a.cq, 0);
}

static int run_srq(void *ctx)
{
	struct ibv_srq_init_attr init = { .attr = { .max_wr = 100, .max_sge = 2 } };
	struct subject *s = ctx;

	s->srq = ibv_create_srq(s->a.pd, &init);
	return made(s->srq);
}

static void undo_srq(void *ctx)
{
	igt_assert_eq(ibv_destroy_srq(((struct subject *)ctx)->srq), 0);
}

static int run_limit(void *ctx)
{
	struct ibv_srq_attr attr = { .srq_limit = 3 };

	return -ibv_modify_srq(((struct subject *)ctx)->shared.srq, &attr, IBV_SRQ_LIMIT);
}

static int run_query_srq(void *ctx)
{
	struct ibv_srq_attr attr;

	return -ibv_query_srq(((struct subject *)ctx)->shared.srq, &attr);
}

static int create_qp(struct subject *s, enum ibv_qp_type type)
{
	struct ibv_qp_init_attr init = {
		.cap = {
			.max_send_wr = 100, .max_recv_wr = 100, .max_send_sge = 2,
			.max_recv_sge = 2, .max_inline_data = 64,
		},
		.qp_type = type, .send_cq = s->a.cq, .recv_cq = s->a.cq,
	};

	s->qp = ibv_create_qp(s->a.pd, &init);
	return made(s->qp);
}

static int run_rc(void *ctx)
{
	return create_qp(ctx, IBV_QPT_RC);
}

static int run_ud(void *ctx)
{
	return create_qp(ctx, IBV_QPT_UD);
}

static int run_qp_ex(void *ctx)
{
	struct subject *s = ctx;
	struct ibv_qp_init_attr_ex init = {
		.cap = { .max_send_wr = 100, .max_recv_wr = 100, .max_send_sge = 2 },
		.qp_type = IBV_QPT_RC, .send_cq = s->a.cq, .recv_cq = s->a.cq, .pd = s->a.pd,
		.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.send_ops_flags = IBV_QP_EX_WITH_RDMA_WRITE,
	};

	s->qp = ibv_create_qp_ex(s->a.ctx, &init);
	return made(s->qp);
}

static void undo_qp(void *ctx)
{
	igt_assert_eq(ibv_destroy_qp(((struct subject *)ctx)->qp), 0);
}

static int run_ah(void *ctx)
{
	struct subject *s = ctx;

	s->ah = ibv_create_ah(s->a.pd, &s->attr.ah_attr);
	return made(s->ah);
}

static void undo_ah(void *ctx)
{
	igt_assert_eq(ibv_destroy_ah(((struct subject *)ctx)->ah), 0);
}

/* A change of a queue pair from where it is, be it by a fault, to where it was. */
static int run_modify(void *ctx)
{
	struct subject *s = ctx;

	return -__bring_to(&s->a, s->attr, IBV_QPS_RTS);
}

static int run_query_qp(void *ctx)
{
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;

	return -ibv_query_qp(((struct subject *)ctx)->a.qp, &attr, IBV_QP_STATE, &init);
}

static int run_bell(void *ctx)
{
	return -ring_bell(&((struct subject *)ctx)->a, IB_USER_VERBS_CMD_POST_SEND);
}

static int run_recv_bell(void *ctx)
{
	return -ring_bell(&((struct subject *)ctx)->a, IB_USER_VERBS_CMD_POST_RECV);
}

static int run_transfer(void *ctx)
{
	struct subject *s = ctx;
	struct ibv_sge sge = { (uintptr_t)s->a.mem, SIZE, s->a.mr->lkey };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE, .sg_list = &sge, .num_sge = 1,
		.wr.rdma.rkey = s->m.mr->rkey,
	};

	return -__post(&s->a, &wr);
}

/* Without the call that has failed, the next one brings both to the worker. */
static void undo_transfer(void *ctx)
{
	struct subject *s = ctx;

	igt_assert_eq(wait_wc(&s->a).status, 0);
	while (!is_idle(s->a.cq))
		;
}

static int alloc_mw(struct subject *s, enum ibv_mw_type type)
{
	s->mw = ibv_alloc_mw(s->a.pd, type);
	return made(s->mw);
}

static int run_mw_1(void *ctx)
{
	return alloc_mw(ctx, IBV_MW_TYPE_1);
}

static int run_mw_2(void *ctx)
{
	return alloc_mw(ctx, IBV_MW_TYPE_2);
}

static void undo_mw(void *ctx)
{
	igt_assert_eq(ibv_dealloc_mw(((struct subject *)ctx)->mw), 0);
}

static int run_bind(void *ctx)
{
	struct subject *s = ctx;
	struct ibv_mw_bind bind = {
		.bind_info = {
			.mr = s->bindable, .addr = (uintptr_t)s->a.mem, .length = 64,
			.mw_access_flags = IBV_ACCESS_REMOTE_READ,
		},
	};

	return -ibv_bind_mw(s->a.qp, s->window, &bind);
}

static int run_resize(void *ctx)
{
	struct subject *s = ctx;

	return -ibv_resize_cq(s->a.cq, s->turn++ % 2 ? 4 * DEPTH : 16 * DEPTH);
}

static int run_rereg_access(void *ctx)
{
	struct subject *s = ctx;
	int access = s->turn++ % 2 ? ALL : IBV_ACCESS_LOCAL_WRITE;

	return ibv_rereg_mr(s->changing, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0, access) ?
	       -errno : 0;
}

static int run_rereg_memory(void *ctx)
{
	struct subject *s = ctx;

	return ibv_rereg_mr(s->changing, IBV_REREG_MR_CHANGE_TRANSLATION, NULL,
			    s->a.mem + (s->turn++ % 2 ? 0 : SIZE / 2), SIZE / 2, 0) ? -errno : 0;
}

/*
 * What has been made ends again. An end that has failed may have come all the same, when
 * only its answer could not be written.
 */
static int run_dereg(void *ctx)
{
	struct subject *s = ctx;
	int ret = run_reg(ctx);

	if (ret)
		return ret;
	ret = -ibv_dereg_mr(s->mr);
	if (ret)
		ibv_dereg_mr(s->mr);
	return ret;
}

static int run_dealloc_mw(void *ctx)
{
	struct subject *s = ctx;
	int ret = run_mw_2(ctx);

	if (ret)
		return ret;
	ret = -ibv_dealloc_mw(s->mw);
	if (ret)
		ibv_dealloc_mw(s->mw);
	return ret;
}

static int run_destroy_qp(void *ctx)
{
	struct subject *s = ctx;
	int ret = run_rc(ctx);

	if (ret)
		return ret;
	ret = -ibv_destroy_qp(s->qp);
	if (ret)
		ibv_destroy_qp(s->qp);
	return ret;
}

static int run_destroy_cq(void *ctx)
{
	struct subject *s = ctx;
	int ret = run_cq(ctx);

	if (ret)
		return ret;
	ret = -ibv_destroy_cq(s->cq);
	if (ret)
		ibv_destroy_cq(s->cq);
	return ret;
}

static int run_destroy_srq(void *ctx)
{
	struct subject *s = ctx;
	int ret = run_srq(ctx);

	if (ret)
		return ret;
	ret = -ibv_destroy_srq(s->srq);
	if (ret)
		ibv_destroy_srq(s->srq);
	return ret;
}

static const struct fault_op ops[] = {
	{ "query device", run_query_device, NULL },
	{ "query port", run_query_port, NULL },
	{ "alloc pd", run_pd, undo_pd },
	{ "reg user", run_reg, undo_reg },
	{ "reg dma-buf", run_reg_dma_buf, undo_reg },
	{ "advise", run_advise, NULL },
	{ "create channel", run_channel, undo_channel },
	{ "create cq", run_cq, undo_cq },
	{ "create cq ex", run_cq_ex, undo_cq },
	{ "arm cq", run_arm, NULL },
	{ "create srq", run_srq, undo_srq },
	{ "limit srq", run_limit, NULL },
	{ "query srq", run_query_srq, NULL },
	{ "create qp rc", run_rc, undo_qp },
	{ "create qp ud", run_ud, undo_qp },
	{ "create qp ex", run_qp_ex, undo_qp },
	{ "create ah", run_ah, undo_ah },
	{ "modify qp", run_modify, NULL },
	{ "query qp", run_query_qp, NULL },
	{ "bell", run_bell, NULL },
	{ "bell of receive requests", run_recv_bell, NULL },
	{ "transfer", run_transfer, undo_transfer },
	{ "alloc mw type 1", run_mw_1, undo_mw },
	{ "alloc mw type 2", run_mw_2, undo_mw },
	{ "bind mw", run_bind, undo_transfer },
	{ "resize cq", run_resize, NULL },
	{ "rereg access", run_rereg_access, NULL },
	{ "rereg memory", run_rereg_memory, NULL },
	{ "dereg", run_dereg, NULL },
	{ "dealloc mw", run_dealloc_mw, NULL },
	{ "destroy qp", run_destroy_qp, NULL },
	{ "destroy cq", run_destroy_cq, NULL },
	{ "destroy srq", run_destroy_srq, NULL },
};

static struct ibv_device *find_device(struct ibv_device **list)
{
	int i;

	for (i = 0; list[i]; i++)
		if (!strcmp(ibv_get_device_name(list[i]), "vrnic0"))
			return list[i];
	return NULL;
}

/* tools/guest/run looks for the name. */
#define LEAKED	"uverbs-leaks-me"

static int open_in_child(void *arg)
{
	static const struct fault_op op = { "open", run_open, undo_open };

	prctl(PR_SET_NAME, "vrnic_verbs_fault");
	igt_info("open: %u faults\n", fail_each(&op, arg));
	return 0;
}

/*
 * Up to Linux 7.3 at least, UVERBS_METHOD_GET_CONTEXT forgets the task that it has counted for
 * a context which can not be made after all. So that is one of its own, and what there is of it
 * from its first moment on is told by a name.
 */
static void test_open(void)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct subject s = {};
	char name[16];
	int status;
	pid_t pid;

	igt_assert(list);
	s.device = find_device(list);
	igt_assert(s.device);
	prctl(PR_GET_NAME, name);
	prctl(PR_SET_NAME, LEAKED);
	pid = fork_child(open_in_child, &s);
	prctl(PR_SET_NAME, name);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq(status, 0);
	ibv_free_device_list(list);
}

static void test_calls(void)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct subject s = {};
	unsigned int i;

	igt_assert(list);
	s.device = find_device(list);
	igt_assert(s.device);
	open_pair(&s.a, &s.b);
	open_end_as(&s.shared, &(struct end_want){ .srq = 16 });
	s.m = make_movable(fd, &s.b);
	s.attr = attr_of(&s.a, &s.b);
	s.window = ibv_alloc_mw(s.a.pd, IBV_MW_TYPE_1);
	s.bindable = ibv_reg_mr(s.a.pd, s.a.mem, SIZE, ALL | IBV_ACCESS_MW_BIND);
	s.changing = ibv_reg_mr(s.a.pd, s.a.mem, SIZE, ALL);
	igt_assert(s.window && s.bindable && s.changing);
	for (i = 0; i < ARRAY_LEN(ops); i++)
		igt_info("%s: %u faults\n", ops[i].name, fail_each(&ops[i], &s));
	/* Of use as before. */
	connect_ends(&s.a, &s.b);
	pattern_fill(s.a.mem, SIZE, 7);
	igt_assert_eq(rdma(&s.a, IBV_WR_RDMA_WRITE, 0, s.m.mr->rkey, SIZE), 0);
	pattern_check(s.m.p, SIZE, 7);
	igt_assert_eq(ibv_dealloc_mw(s.window), 0);
	igt_assert_eq(ibv_dereg_mr(s.bindable), 0);
	igt_assert_eq(ibv_dereg_mr(s.changing), 0);
	free_movable(&s.m);
	close_end(&s.a);
	close_end(&s.b);
	close_end(&s.shared);
	ibv_free_device_list(list);
	igt_assert_eq(vrnic_query(nic).mrs, 0);
}

igt_main {
	igt_fixture {
		igt_require_f(faults_available(), "the kernel injects no faults\n");
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		require_verbs();
	}

	igt_describe("The same of the device itself.");
	igt_subtest("open")
		test_open();
	igt_describe("The errno is right, nothing leaks.");
	igt_subtest("calls")
		test_calls();

	igt_fixture {
		close(nic);
		close(fd);
	}
}
