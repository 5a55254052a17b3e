// SPDX-License-Identifier: MIT
/*
 * The calls of the RDMA device: write commands of uverbs, some of its ioctls, and what is
 * written into the queues that the kernel shares. What its workers do with that is not seen
 * by the search, which follows the calls' own coverage.
 */

#include <fcntl.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/ib_user_verbs.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices.h"
#include "fuzz_table.h"
#include "vrnic_verbs_abi.h"

#define F(type, member, ...) \
	{ offsetof(struct type, member), sizeof(((struct type *)0)->member), __VA_ARGS__ }
#define RESULT(type, member, what) { offsetof(struct type, member), what }
/* A queue in the driver's part of an answer. */
#define OWN(type, own, member) \
	{ sizeof(struct type) + offsetof(struct own, member), IB_RING }
#define CMD(type)	sizeof(struct type)
#define ANSWER(type, own)	(sizeof(struct type) + sizeof(struct own))
#define METHOD(object, method)	((unsigned long)(object) << 16 | (method))
#define MEMORY		(1 << 16)

/* What is done in the queues' memory, and changes that belong together. */
enum { FILL, CONNECT };

/* Fields of creating queues have few sensible values: most are small. */
const struct op verbs_ops[] = {
	{ "ib_query_device", VERBS_WRITE, IB_USER_VERBS_CMD_QUERY_DEVICE, { { 8, 8, PAD, 0 } },
	  .in = CMD(ib_uverbs_query_device), .out = CMD(ib_uverbs_query_device_resp) },
	{ "ib_query_port", VERBS_WRITE, IB_USER_VERBS_CMD_QUERY_PORT, {
		F(ib_uverbs_query_port, port_num, FLAGS, 1), },
	  .in = CMD(ib_uverbs_query_port), .out = CMD(ib_uverbs_query_port_resp) },
	{ "ib_pd", VERBS_WRITE, IB_USER_VERBS_CMD_ALLOC_PD, { { 8, 8, PAD, 0 } },
	  { RESULT(ib_uverbs_alloc_pd_resp, pd_handle, IB_PD) }, 1,
	  .in = CMD(ib_uverbs_alloc_pd), .out = CMD(ib_uverbs_alloc_pd_resp) },
	{ "ib_unpd", VERBS_WRITE, IB_USER_VERBS_CMD_DEALLOC_PD, {
		F(ib_uverbs_dealloc_pd, pd_handle, IB_PD), },
	  .in = CMD(ib_uverbs_dealloc_pd) },
	{ "ib_ah", VERBS_WRITE, IB_USER_VERBS_CMD_CREATE_AH, {
		F(ib_uverbs_create_ah, pd_handle, IB_PD),
		F(ib_uverbs_create_ah, attr.dlid, CHOICE, 3),
		F(ib_uverbs_create_ah, attr.is_global, FLAGS, 1),
		F(ib_uverbs_create_ah, attr.port_num, CHOICE, 3),
		F(ib_uverbs_create_ah, attr.grh.sgid_index, CHOICE, 2), },
	  { RESULT(ib_uverbs_create_ah_resp, ah_handle, IB_AH),
	    { sizeof(struct ib_uverbs_create_ah_resp), IB_AHN } }, 2,
	  .in = CMD(ib_uverbs_create_ah),
	  .out = ANSWER(ib_uverbs_create_ah_resp, vrnic_verbs_create_ah_resp) },
	{ "ib_unah", VERBS_WRITE, IB_USER_VERBS_CMD_DESTROY_AH, {
		F(ib_uverbs_destroy_ah, ah_handle, IB_AH), },
	  .in = CMD(ib_uverbs_destroy_ah) },
	{ "ib_reg", VERBS_WRITE, IB_USER_VERBS_CMD_REG_MR, {
		F(ib_uverbs_reg_mr, start, ADDRESS), F(ib_uverbs_reg_mr, length, SIZE),
		F(ib_uverbs_reg_mr, hca_va, ADDRESS), F(ib_uverbs_reg_mr, pd_handle, IB_PD),
		F(ib_uverbs_reg_mr, access_flags, FLAGS, 15 | IB_UVERBS_ACCESS_ON_DEMAND), },
	  { RESULT(ib_uverbs_reg_mr_resp, mr_handle, IB_MR),
	    RESULT(ib_uverbs_reg_mr_resp, lkey, IB_LKEY),
	    RESULT(ib_uverbs_reg_mr_resp, rkey, IB_RKEY) }, 3,
	  .in = CMD(ib_uverbs_reg_mr), .out = CMD(ib_uverbs_reg_mr_resp) },
	{ "ib_rereg", VERBS_WRITE, IB_USER_VERBS_CMD_REREG_MR, {
		F(ib_uverbs_rereg_mr, mr_handle, IB_MR), F(ib_uverbs_rereg_mr, flags, FLAGS, 7),
		F(ib_uverbs_rereg_mr, start, ADDRESS), F(ib_uverbs_rereg_mr, length, SIZE),
		F(ib_uverbs_rereg_mr, hca_va, ADDRESS), F(ib_uverbs_rereg_mr, pd_handle, IB_PD),
		F(ib_uverbs_rereg_mr, access_flags, FLAGS, 15), },
	  .in = CMD(ib_uverbs_rereg_mr), .out = CMD(ib_uverbs_rereg_mr_resp) },
	{ "ib_dereg", VERBS_WRITE, IB_USER_VERBS_CMD_DEREG_MR, {
		F(ib_uverbs_dereg_mr, mr_handle, IB_MR), },
	  .in = CMD(ib_uverbs_dereg_mr) },
	{ "ib_channel", VERBS_WRITE, IB_USER_VERBS_CMD_CREATE_COMP_CHANNEL, { { 0, 8, PAD, 0 } },
	  { RESULT(ib_uverbs_create_comp_channel_resp, fd, IB_CHANNEL) }, 1,
	  .in = CMD(ib_uverbs_create_comp_channel),
	  .out = CMD(ib_uverbs_create_comp_channel_resp) },
	{ "ib_cq", VERBS_WRITE, IB_USER_VERBS_CMD_CREATE_CQ, {
		F(ib_uverbs_create_cq, cqe, COUNT), F(ib_uverbs_create_cq, comp_vector, FLAGS, 1),
		F(ib_uverbs_create_cq, comp_channel, EVENT), },
	  { RESULT(ib_uverbs_create_cq_resp, cq_handle, IB_CQ),
	    OWN(ib_uverbs_create_cq_resp, vrnic_verbs_create_cq_resp, cq) }, 2,
	  .in = CMD(ib_uverbs_create_cq),
	  .out = ANSWER(ib_uverbs_create_cq_resp, vrnic_verbs_create_cq_resp) },
	{ "ib_resize_cq", VERBS_WRITE, IB_USER_VERBS_CMD_RESIZE_CQ, {
		F(ib_uverbs_resize_cq, cq_handle, IB_CQ), F(ib_uverbs_resize_cq, cqe, COUNT), },
	  .in = CMD(ib_uverbs_resize_cq), .out = CMD(ib_uverbs_resize_cq_resp) + 64 },
	{ "ib_uncq", VERBS_WRITE, IB_USER_VERBS_CMD_DESTROY_CQ, {
		F(ib_uverbs_destroy_cq, cq_handle, IB_CQ), },
	  .in = CMD(ib_uverbs_destroy_cq), .out = CMD(ib_uverbs_destroy_cq_resp) },
	{ "ib_arm", VERBS_WRITE, IB_USER_VERBS_CMD_REQ_NOTIFY_CQ, {
		F(ib_uverbs_req_notify_cq, cq_handle, IB_CQ),
		F(ib_uverbs_req_notify_cq, solicited_only, FLAGS, 1), },
	  .in = CMD(ib_uverbs_req_notify_cq) },
	{ "ib_srq", VERBS_WRITE, IB_USER_VERBS_CMD_CREATE_SRQ, {
		F(ib_uverbs_create_srq, pd_handle, IB_PD), F(ib_uverbs_create_srq, max_wr, COUNT),
		F(ib_uverbs_create_srq, max_sge, CHOICE, 18),
		F(ib_uverbs_create_srq, srq_limit, MAYBE), },
	  { RESULT(ib_uverbs_create_srq_resp, srq_handle, IB_SRQ),
	    OWN(ib_uverbs_create_srq_resp, vrnic_verbs_create_srq_resp, rq) }, 2,
	  .in = CMD(ib_uverbs_create_srq),
	  .out = ANSWER(ib_uverbs_create_srq_resp, vrnic_verbs_create_srq_resp) },
	{ "ib_limit", VERBS_WRITE, IB_USER_VERBS_CMD_MODIFY_SRQ, {
		F(ib_uverbs_modify_srq, srq_handle, IB_SRQ),
		F(ib_uverbs_modify_srq, attr_mask, FLAGS, 3),
		F(ib_uverbs_modify_srq, max_wr, COUNT), F(ib_uverbs_modify_srq, srq_limit, COUNT), },
	  .in = CMD(ib_uverbs_modify_srq) },
	{ "ib_query_srq", VERBS_WRITE, IB_USER_VERBS_CMD_QUERY_SRQ, {
		F(ib_uverbs_query_srq, srq_handle, IB_SRQ), },
	  .in = CMD(ib_uverbs_query_srq), .out = CMD(ib_uverbs_query_srq_resp) },
	{ "ib_unsrq", VERBS_WRITE, IB_USER_VERBS_CMD_DESTROY_SRQ, {
		F(ib_uverbs_destroy_srq, srq_handle, IB_SRQ), },
	  .in = CMD(ib_uverbs_destroy_srq), .out = CMD(ib_uverbs_destroy_srq_resp) },
	{ "ib_qp", VERBS_WRITE, IB_USER_VERBS_CMD_CREATE_QP, {
		F(ib_uverbs_create_qp, pd_handle, IB_PD),
		F(ib_uverbs_create_qp, send_cq_handle, IB_CQ),
		F(ib_uverbs_create_qp, recv_cq_handle, IB_CQ),
		F(ib_uverbs_create_qp, srq_handle, IB_SRQ),
		F(ib_uverbs_create_qp, max_send_wr, COUNT),
		F(ib_uverbs_create_qp, max_recv_wr, COUNT),
		F(ib_uverbs_create_qp, max_send_sge, CHOICE, 18),
		F(ib_uverbs_create_qp, max_recv_sge, CHOICE, 18),
		F(ib_uverbs_create_qp, qp_type, CHOICE, 6),
		F(ib_uverbs_create_qp, is_srq, FLAGS, 1), },
	  { RESULT(ib_uverbs_create_qp_resp, qp_handle, IB_QP),
	    RESULT(ib_uverbs_create_qp_resp, qpn, IB_QPN),
	    OWN(ib_uverbs_create_qp_resp, vrnic_verbs_create_qp_resp, sq),
	    OWN(ib_uverbs_create_qp_resp, vrnic_verbs_create_qp_resp, rq) }, 4,
	  .in = CMD(ib_uverbs_create_qp),
	  .out = ANSWER(ib_uverbs_create_qp_resp, vrnic_verbs_create_qp_resp) },
	{ "ib_query_qp", VERBS_WRITE, IB_USER_VERBS_CMD_QUERY_QP, {
		F(ib_uverbs_query_qp, qp_handle, IB_QP),
		F(ib_uverbs_query_qp, attr_mask, FLAGS, 0x1fffff), },
	  .in = CMD(ib_uverbs_query_qp), .out = CMD(ib_uverbs_query_qp_resp) },
	{ "ib_modify", VERBS_WRITE, IB_USER_VERBS_CMD_MODIFY_QP, {
		F(ib_uverbs_modify_qp, qp_handle, IB_QP), F(ib_uverbs_modify_qp, attr_mask, MASK),
		F(ib_uverbs_modify_qp, qp_state, STATE), F(ib_uverbs_modify_qp, dest_qp_num, IB_QPN),
		F(ib_uverbs_modify_qp, dest.dlid, CHOICE, 3),
		F(ib_uverbs_modify_qp, path_mtu, CHOICE, 7),
		F(ib_uverbs_modify_qp, port_num, CHOICE, 2),
		F(ib_uverbs_modify_qp, max_dest_rd_atomic, CHOICE, 130),
		F(ib_uverbs_modify_qp, rnr_retry, CHOICE, 9),
		F(ib_uverbs_modify_qp, qp_access_flags, FLAGS, 15), },
	  .in = CMD(ib_uverbs_modify_qp) },
	{ "ib_unqp", VERBS_WRITE, IB_USER_VERBS_CMD_DESTROY_QP, {
		F(ib_uverbs_destroy_qp, qp_handle, IB_QP), },
	  .in = CMD(ib_uverbs_destroy_qp), .out = CMD(ib_uverbs_destroy_qp_resp) },
	{ "ib_bell", VERBS_WRITE, IB_USER_VERBS_CMD_POST_SEND, {
		F(ib_uverbs_post_send, qp_handle, IB_QP),
		F(ib_uverbs_post_send, wr_count, PAD), F(ib_uverbs_post_send, sge_count, PAD), },
	  .in = CMD(ib_uverbs_post_send), .out = CMD(ib_uverbs_post_send_resp) },
	{ "ib_recv_bell", VERBS_WRITE, IB_USER_VERBS_CMD_POST_RECV, {
		F(ib_uverbs_post_recv, qp_handle, IB_QP),
		F(ib_uverbs_post_recv, wr_count, PAD), F(ib_uverbs_post_recv, sge_count, PAD), },
	  .in = CMD(ib_uverbs_post_recv), .out = CMD(ib_uverbs_post_recv_resp) },
	/* Whatever command it is, of whatever size. */
	{ "ib_nonsense", VERBS_WRITE, ~0UL, {
		{ 0, 8, CHOICE, 56 }, { 8, 8, ANY, 0 }, { 16, 8, IB_QP, 0 }, { 24, 8, SIZE, 0 }, },
	  .in = 96, .out = 256 },

	{ "ib_ex_query_device", VERBS_EX, IB_USER_VERBS_EX_CMD_QUERY_DEVICE, { { 0, 4, PAD, 0 } },
	  .in = CMD(ib_uverbs_ex_query_device), .out = CMD(ib_uverbs_ex_query_device_resp) },
	{ "ib_ex_cq", VERBS_EX, IB_USER_VERBS_EX_CMD_CREATE_CQ, {
		F(ib_uverbs_ex_create_cq, cqe, COUNT),
		F(ib_uverbs_ex_create_cq, comp_vector, FLAGS, 1),
		F(ib_uverbs_ex_create_cq, comp_channel, EVENT),
		F(ib_uverbs_ex_create_cq, comp_mask, PAD),
		F(ib_uverbs_ex_create_cq, flags, FLAGS, 3), },
	  { RESULT(ib_uverbs_ex_create_cq_resp, base.cq_handle, IB_CQ),
	    OWN(ib_uverbs_ex_create_cq_resp, vrnic_verbs_create_cq_resp, cq) }, 2,
	  .in = CMD(ib_uverbs_ex_create_cq),
	  .out = ANSWER(ib_uverbs_ex_create_cq_resp, vrnic_verbs_create_cq_resp) },
	{ "ib_ex_modify", VERBS_EX, IB_USER_VERBS_EX_CMD_MODIFY_QP, {
		F(ib_uverbs_ex_modify_qp, base.qp_handle, IB_QP),
		F(ib_uverbs_ex_modify_qp, base.attr_mask, MASK),
		F(ib_uverbs_ex_modify_qp, base.qp_state, STATE),
		F(ib_uverbs_ex_modify_qp, base.dest_qp_num, IB_QPN),
		F(ib_uverbs_ex_modify_qp, base.port_num, CHOICE, 2), },
	  .in = CMD(ib_uverbs_ex_modify_qp), .out = CMD(ib_uverbs_ex_modify_qp_resp) },

	/* Of ioctls a field's offset is the attribute. */
	{ "ib_reg_dmabuf", VERBS_IOCTL, METHOD(UVERBS_OBJECT_MR, UVERBS_METHOD_REG_DMABUF_MR), {
		{ UVERBS_ATTR_REG_DMABUF_MR_PD_HANDLE, 4, IB_PD, 0 },
		{ UVERBS_ATTR_REG_DMABUF_MR_OFFSET, 8, PLACE, 0 },
		{ UVERBS_ATTR_REG_DMABUF_MR_LENGTH, 8, SIZE, 0 },
		{ UVERBS_ATTR_REG_DMABUF_MR_IOVA, 8, PLACE, 0 },
		{ UVERBS_ATTR_REG_DMABUF_MR_FD, 4, FDS, 0 },
		{ UVERBS_ATTR_REG_DMABUF_MR_ACCESS_FLAGS, 4, FLAGS, 15 }, },
	  { { UVERBS_ATTR_REG_DMABUF_MR_HANDLE, IB_MR },
	    { UVERBS_ATTR_REG_DMABUF_MR_RESP_LKEY, IB_LKEY },
	    { UVERBS_ATTR_REG_DMABUF_MR_RESP_RKEY, IB_RKEY } }, 3 },
	{ "ib_advise", VERBS_IOCTL, METHOD(UVERBS_OBJECT_MR, UVERBS_METHOD_ADVISE_MR), {
		{ UVERBS_ATTR_ADVISE_MR_PD_HANDLE, 4, IB_PD, 0 },
		{ UVERBS_ATTR_ADVISE_MR_ADVICE, 8, CHOICE, 4 },
		{ UVERBS_ATTR_ADVISE_MR_FLAGS, 4, FLAGS, 1 },
		{ UVERBS_ATTR_ADVISE_MR_SGE_LIST, 16, IB_LKEY, 0 }, } },
	{ "ib_ioctl_nonsense", VERBS_IOCTL, ~0UL, {
		{ 0, 8, CHOICE, 24 }, { 1, 8, CHOICE, 12 }, { 2, 4, IB_PD, 0 }, { 3, 8, ANY, 0 }, } },

	{ "ib_fill", VERBS_RING, FILL, {
		{ 0, 8, IB_RING, 0 }, { 0, 8, ANY, 0 }, { 0, 8, CHOICE, 9 }, } },
	{ "ib_connect", VERBS_RING, CONNECT, { { 0, 8, IB_QP, 0 }, { 0, 8, IB_QPN, 0 }, } },
};

const unsigned int verbs_op_count = ARRAY_LEN(verbs_ops);

static int verbs = -1, events = -1;
static uint8_t answer[1024];

/* A queue as a value: where it is, how large, what its slots are. */
enum slots { COMPLETIONS, SENDS, RECEIVES };

static uint64_t ring_value(const struct vrnic_verbs_ring *ring, enum slots slots)
{
	uint64_t pages = ring->size >> 12;

	return ring->offset | (pages < 4096 ? pages : 0) | (uint64_t)slots << 44 |
	       (uint64_t)ring->slot_size << 48;
}

static void keep_ring(const struct op *op, unsigned int i)
{
	struct vrnic_verbs_ring ring;

	memcpy(&ring, answer + op->result[i].offset, sizeof(ring));
	if (ring.slots)
		keep_result(IB_RING, ring_value(&ring, op->results == 4 && i == 2 ? SENDS :
						op->result[0].resource == IB_CQ ? COMPLETIONS :
										  RECEIVES));
}

static void keep_results(const struct op *op)
{
	unsigned int i;
	uint32_t value;

	for (i = 0; i < op->results; i++) {
		memcpy(&value, answer + op->result[i].offset, sizeof(value));
		if (op->result[i].resource == IB_RING)
			keep_ring(op, i);
		else
			keep_result(op->result[i].resource, value);
	}
}

static void fill_command(uint8_t *at, const struct op *op, const struct fuzz_call *c)
{
	unsigned int i;

	for (i = 0; i < values_of(op); i++)
		put(at, &op->field[i], resolve(&op->field[i], c->value[i]));
}

static int write_command(unsigned long command, uint8_t *call, uint16_t in, uint16_t out)
{
	struct ib_uverbs_cmd_hdr *hdr = (void *)call;
	uint64_t where = (uintptr_t)answer;

	*hdr = (struct ib_uverbs_cmd_hdr) {
		.command = command, .in_words = (sizeof(*hdr) + in) / 4, .out_words = out / 4,
	};
	/* Commands with an answer begin with where it goes. */
	if (out)
		memcpy(call + sizeof(*hdr), &where, sizeof(where));
	return write(verbs, call, sizeof(*hdr) + in) < 0 ? -1 : 0;
}

static void run_write(const struct op *op, const struct fuzz_call *c)
{
	uint8_t call[512] = {};
	unsigned long command = op->request;

	fill_command(call + sizeof(struct ib_uverbs_cmd_hdr), op, c);
	if (command == IB_USER_VERBS_CMD_POST_SEND || command == IB_USER_VERBS_CMD_POST_RECV)
		((struct ib_uverbs_post_send *)(call + 8))->wqe_size = 128;
	if (command == ~0UL)
		command = c->value[0] % 56;
	if (!write_command(command, call, op->in, op->out))
		keep_results(op);
}

static void run_ex(const struct op *op, const struct fuzz_call *c)
{
	struct {
		struct ib_uverbs_cmd_hdr hdr;
		struct ib_uverbs_ex_cmd_hdr ex;
		uint8_t command[256];
	} call = {};
	uint16_t own = op->results > 1 ? sizeof(struct vrnic_verbs_create_cq_resp) : 0;

	fill_command(call.command, op, c);
	call.hdr = (struct ib_uverbs_cmd_hdr) {
		.command = op->request | IB_USER_VERBS_CMD_FLAG_EXTENDED,
		.in_words = op->in / 8, .out_words = (op->out - own) / 8,
	};
	call.ex.response = (uintptr_t)answer;
	call.ex.provider_out_words = own / 8;
	if (write(verbs, &call, sizeof(call.hdr) + sizeof(call.ex) + op->in) > 0)
		keep_results(op);
}

static void put_attr(struct ib_uverbs_attr *attr, const struct field *f, uint64_t value)
{
	static struct ib_uverbs_sge sge;

	*attr = (struct ib_uverbs_attr) {
		/* Handles have no length. */
		.attr_id = f->offset, .len = f->kind == IB_PD ? 0 : f->width,
		.flags = UVERBS_ATTR_F_MANDATORY,
		.data = resolve(f, value),
	};
	if (f->width <= 8)
		return;
	sge = (struct ib_uverbs_sge){ (uintptr_t)memory(), 4096, attr->data };
	attr->data = (uintptr_t)&sge;
}

static void run_ioctl(const struct op *op, const struct fuzz_call *c)
{
	struct {
		struct ib_uverbs_ioctl_hdr hdr;
		struct ib_uverbs_attr attr[MOST_VALUES + 4];
	} call = {};
	uint32_t out[4] = {};
	unsigned int i, n = 0;

	for (i = 0; i < values_of(op); i++)
		put_attr(&call.attr[n++], &op->field[i], c->value[i]);
	for (i = 0; i < op->results; i++)
		call.attr[n++] = (struct ib_uverbs_attr) {
			.attr_id = op->result[i].offset, .len = i ? 4 : 0,
			.flags = UVERBS_ATTR_F_MANDATORY, .data = i ? (uintptr_t)&out[i] : 0,
		};
	call.hdr.length = sizeof(call.hdr) + n * sizeof(call.attr[0]);
	call.hdr.object_id = op->request == ~0UL ? c->value[0] : op->request >> 16;
	call.hdr.method_id = op->request == ~0UL ? c->value[1] : op->request & 0xffff;
	call.hdr.num_attrs = n;
	if (ioctl(verbs, RDMA_VERBS_IOCTL, &call))
		return;
	for (i = 0; i < op->results; i++)
		keep_result(op->result[i].resource, i ? out[i] : call.attr[n - op->results].data);
}

static uint64_t one(enum resource r, uint64_t *rnd)
{
	struct field f = { .width = 8, .kind = r };

	return resolve(&f, below(rnd, 4));
}

static void fill_sges(struct vrnic_verbs_sge *sge, uint32_t n, uint64_t *rnd)
{
	for (; n; n--, sge++)
		*sge = (struct vrnic_verbs_sge) {
			.addr = (uintptr_t)memory() + 8 * below(rnd, MEMORY / 8),
			.length = below(rnd, 4) ? 8 * below(rnd, 64) : next_random(rnd),
			.lkey = one(IB_LKEY, rnd),
		};
}

static void fill_send(struct vrnic_verbs_send *send, uint32_t room, uint64_t *rnd)
{
	*send = (struct vrnic_verbs_send) {
		.wr_id = next_random(rnd),
		.opcode = below(rnd, 8),
		.flags = below(rnd, 4) ? 2 : below(rnd, 32),
		.num_sge = below(rnd, 1 + (room < 4 ? room : 4)),
		.rkey = one(IB_RKEY, rnd),
		.remote_addr = (uintptr_t)memory() + 8 * below(rnd, MEMORY / 8),
	};
	if (below(rnd, 2)) {
		send->remote_qpn = one(IB_QPN, rnd);
		send->ah = one(IB_AHN, rnd);
	}
	fill_sges(send->sge, send->num_sge, rnd);
	if (!below(rnd, 8))
		send->inline_len = below(rnd, 600);
	if (!below(rnd, 16))
		((uint32_t *)send)[below(rnd, 16)] = next_random(rnd);
}

static void fill_slot(void *slot, enum slots slots, uint32_t size, uint64_t *rnd)
{
	struct vrnic_verbs_recv *recv = slot;

	if (slots == SENDS) {
		fill_send(slot, (size - sizeof(struct vrnic_verbs_send)) / 16, rnd);
		return;
	}
	if (slots == COMPLETIONS)
		return;
	recv->wr_id = next_random(rnd);
	recv->num_sge = below(rnd, (size - sizeof(*recv)) / 16 + 1);
	recv->pad = !below(rnd, 32);
	fill_sges(recv->sge, recv->num_sge, rnd);
	if (!below(rnd, 16))
		recv->num_sge = next_random(rnd);
}

static void fill_ring(uint64_t where, uint64_t seed, uint64_t count)
{
	size_t size = (where & 4095) << 12;
	uint32_t slot_size = where >> 48, slots, i, pos;
	struct vrnic_verbs_ring_head *head;
	enum slots kind = where >> 44 & 3;

	if (!size || slot_size < 16)
		return;
	head = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, verbs,
		    where & ((1ULL << 44) - 4096));
	if (head == MAP_FAILED)
		return;
	slots = (size - sizeof(*head)) / slot_size;
	/* The largest power of two that has room is what there is, or more. */
	while (slots & (slots - 1))
		slots &= slots - 1;
	pos = head->consumer;
	for (i = 0; i < count % 9; i++)
		fill_slot((char *)(head + 1) + (size_t)((pos + i) & (slots - 1)) * slot_size,
			  kind, slot_size, &seed);
	if (kind == COMPLETIONS)
		head->consumer = below(&seed, 16) ? head->producer : next_random(&seed);
	else
		head->producer = below(&seed, 32) ? pos + i : next_random(&seed);
	munmap(head, size);
}

/* Whichever of the three kinds it is. */
static void step(uint32_t qp, uint32_t dest, uint8_t state, const uint32_t *masks)
{
	uint8_t call[8 + sizeof(struct ib_uverbs_modify_qp)] = {};
	struct ib_uverbs_modify_qp *cmd = (void *)(call + 8);
	unsigned int i;

	for (i = 0; i < 3; i++) {
		memset(call, 0, sizeof(call));
		*cmd = (struct ib_uverbs_modify_qp) {
			.dest = { .dlid = 1, .port_num = 1 }, .qp_handle = qp,
			.attr_mask = masks[i], .dest_qp_num = dest, .qp_access_flags = 15,
			.qp_state = state, .path_mtu = 5, .max_rd_atomic = 1,
			.max_dest_rd_atomic = 1, .min_rnr_timer = 1, .port_num = 1, .timeout = 5,
			.retry_cnt = 1, .rnr_retry = 1,
		};
		if (!write_command(IB_USER_VERBS_CMD_MODIFY_QP, call, sizeof(*cmd), 0))
			return;
	}
}

static void connect_qp(uint32_t qp, uint32_t dest)
{
	static const uint32_t masks[4][3] = {
		{ 1, 1, 1 }, { 0x39, 0x71, 0x39 }, { 0x129181, 0x101181, 1 },
		{ 0x12e01, 0x10001, 0x10001 },
	};
	unsigned int state;

	for (state = 0; state < 4; state++)
		step(qp, dest, state, masks[state]);
}

static void run_ring(const struct op *op, const struct fuzz_call *c)
{
	uint64_t first = resolve(&op->field[0], c->value[0]);

	if (op->request == FILL)
		fill_ring(first, c->value[1], c->value[2]);
	else
		connect_qp(first, resolve(&op->field[1], c->value[1]));
}

void run_verbs_call(const struct op *op, const struct fuzz_call *c)
{
	if (verbs < 0)
		return;
	switch (op->where) {
	case VERBS_WRITE:
		run_write(op, c);
		break;
	case VERBS_EX:
		run_ex(op, c);
		break;
	case VERBS_IOCTL:
		run_ioctl(op, c);
		break;
	default:
		run_ring(op, c);
	}
}

void open_verbs(void)
{
	uint8_t call[8 + sizeof(struct ib_uverbs_get_context)] = {};
	struct ib_uverbs_get_context_resp *resp = (void *)answer;

	verbs = open("/dev/infiniband/uverbs0", O_RDWR | O_CLOEXEC);
	if (verbs < 0)
		return;
	events = -1;
	if (!write_command(IB_USER_VERBS_CMD_GET_CONTEXT, call,
			   sizeof(struct ib_uverbs_get_context), sizeof(*resp)))
		events = resp->async_fd;
}

void close_verbs(void)
{
	if (verbs < 0)
		return;
	if (events >= 0)
		close(events);
	close(verbs);
}
