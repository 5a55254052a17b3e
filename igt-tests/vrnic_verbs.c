// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic verbs
 * Category: Core
 * Description: The importer as an RDMA device, by stock libibverbs, on buffers that move.
 *
 * SUBTEST: move
 * Description: RDMA to and from a dma-buf brings the right bytes while the buffer moves.
 * SUBTEST: move-control
 * Description: An importer that goes on with old addresses is caught by the same check.
 * SUBTEST: operations
 * Description: Each operation does what it says, and completes at both ends as it should.
 * SUBTEST: foreign-key
 * Description: Keys are of no use outside of their protection domain.
 * SUBTEST: two-devices
 * Description: The ends of a connection may be of two devices, whose buffers move.
 * SUBTEST: two-devices-moves
 * Description: The same under ten thousand moves of both buffers, without one fault.
 * SUBTEST: hardware
 * Description: With the function's own engine: right bytes under moves, no atomics, and the
 *	IOMMU as judge.
 * SUBTEST: garbage
 * Description: Queues that a client fills with garbage harm nobody but itself.
 * SUBTEST: killed
 * Description: Clients that are killed in traffic leave nothing behind.
 * SUBTEST: unbind
 * Description: A device that goes ends its clients' traffic, and comes back.
 */

#include <arpa/inet.h>
#include <rdma/ib_user_verbs.h>
#include <sys/wait.h>

#include "module.h"
#include "verbs.h"

IGT_TEST_DESCRIPTION("The importer as an RDMA device, by stock libibverbs.");

static int fd = -1, nic = -1;

static void test_move(void)
{
	struct vrnic_counters before = vrnic_query(nic).counters, after;
	struct end a, b;
	struct movable m;
	struct mover mover;
	uint64_t round;

	igt_require(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC);
	open_pair(&a, &b);
	m = make_movable(fd, &b);
	mover_start(&mover, fd, m.handle);
	for (round = 0; mover.moves < 1000; round++)
		igt_assert_f(write_and_read(&a, &m, round), "round %" PRIu64 "\n", round);
	mover_stop(&mover);

	after = vrnic_query(nic).counters;
	igt_info("%d moves, %" PRIu64 " rounds, %" PRIu64 " invalidations\n", mover.moves,
		 round, (uint64_t)(after.invalidations - before.invalidations));
	igt_assert_lt(100, after.invalidations - before.invalidations);
	igt_assert_eq_u64(after.dma_faults, before.dma_faults);
	igt_assert_eq_u64(after.violations, before.violations);
	igt_assert_eq(state_of(&a), IBV_QPS_RTS);
	free_movable(&m);
	close_end(&a);
	close_end(&b);
}

static void test_move_control(void)
{
	struct end a, b;
	struct movable m;
	uint32_t stays;
	bool good;

	igt_require(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC);
	open_pair(&a, &b);
	m = make_movable(fd, &b);
	igt_assert(write_and_read(&a, &m, 1));
	stays = vrnic_place_to_leave(fd, nic);
	vvram_move(fd, m.handle, stays);
	igt_assert(write_and_read(&a, &m, 2));

	vrnic_misbehave("skip-invalidate");
	vvram_move(fd, m.handle, stays == VRAM ? SYSTEM : VRAM);
	good = write_and_read(&a, &m, 3);
	vrnic_misbehave("none");
	igt_assert_f(!good, "old addresses were used, and nobody noticed\n");
	free_movable(&m);
	close_end(&a);
	close_end(&b);
}

static void check_atomics(struct end *a, struct end *b)
{
	uint64_t *at = (uint64_t *)(b->mem + 64), *old = (uint64_t *)a->mem;
	struct ibv_sge sge = { (uintptr_t)old, sizeof(*old), a->mr->lkey };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD, .sg_list = &sge, .num_sge = 1,
		.wr.atomic = {
			.remote_addr = (uintptr_t)at, .rkey = b->mr->rkey, .compare_add = 5,
		},
	};

	*at = 37;
	igt_assert_eq(do_send(a, &wr), IBV_WC_SUCCESS);
	igt_assert_eq_u64(*old, 37);
	igt_assert_eq_u64(*at, 42);

	wr.opcode = IBV_WR_ATOMIC_CMP_AND_SWP;
	wr.wr.atomic.compare_add = 41;
	wr.wr.atomic.swap = 7;
	igt_assert_eq(do_send(a, &wr), IBV_WC_SUCCESS);
	igt_assert_eq_u64(*old, 42);
	igt_assert_eq_u64(*at, 42);
	wr.wr.atomic.compare_add = 42;
	igt_assert_eq(do_send(a, &wr), IBV_WC_SUCCESS);
	igt_assert_eq_u64(*at, 7);
}

static void check_send(struct end *a, struct end *b)
{
	struct ibv_sge sge[2] = {
		{ (uintptr_t)a->mem, 100, a->mr->lkey },
		{ (uintptr_t)a->mem + 5000, 7000, a->mr->lkey },
	};
	struct ibv_send_wr wr = {
		.wr_id = 1, .opcode = IBV_WR_SEND_WITH_IMM, .sg_list = sge, .num_sge = 2,
		.imm_data = htonl(0xcafe),
	};
	struct ibv_wc wc;

	pattern_fill(a->mem, SIZE, 5);
	memset(b->mem, 0, SIZE);
	post_recv(b, 77, SIZE, b->mr->lkey);
	igt_assert_eq(do_send(a, &wr), IBV_WC_SUCCESS);
	wc = wait_wc(b);
	igt_assert_eq(wc.status, IBV_WC_SUCCESS);
	igt_assert_eq(wc.opcode, IBV_WC_RECV);
	igt_assert_eq_u64(wc.wr_id, 77);
	igt_assert_eq(wc.byte_len, 7100);
	igt_assert(wc.wc_flags & IBV_WC_WITH_IMM);
	igt_assert_eq(ntohl(wc.imm_data), 0xcafe);
	igt_assert(!memcmp(b->mem, a->mem, 100));
	igt_assert(!memcmp(b->mem + 100, a->mem + 5000, 7000));
	igt_assert_eq(b->mem[7100], 0);
}

/* Memory that nobody has registered: it is read when the request is posted. */
static void check_inline(struct end *a, struct end *b)
{
	char text[] = "inline data are taken at once";
	struct ibv_sge sge = { (uintptr_t)text, sizeof(text), 0 };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE_WITH_IMM, .sg_list = &sge, .num_sge = 1,
		.send_flags = IBV_SEND_INLINE, .imm_data = htonl(9),
		.wr.rdma = { (uintptr_t)b->mem + 33, b->mr->rkey },
	};
	struct ibv_wc wc;

	post_recv(b, 78, 0, 0);
	igt_assert_eq(__post(a, &wr), 0);
	memset(text, 0, sizeof(text));
	igt_assert_eq(wait_wc(a).status, IBV_WC_SUCCESS);
	wc = wait_wc(b);
	igt_assert_eq(wc.opcode, IBV_WC_RECV_RDMA_WITH_IMM);
	igt_assert_eq(wc.byte_len, sizeof(text));
	igt_assert_eq(ntohl(wc.imm_data), 9);
	igt_assert(!strcmp((char *)b->mem + 33, "inline data are taken at once"));

	sge.length = 65;
	igt_assert_eq(__post(a, &wr), EINVAL);
}

static void test_operations(void)
{
	struct end a, b;

	open_pair(&a, &b);
	pattern_fill(a.mem, SIZE, 3);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)b.mem, b.mr->rkey, SIZE), 0);
	pattern_check(b.mem, SIZE, 3);
	pattern_fill(b.mem, SIZE, 4);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_READ, (uintptr_t)b.mem, b.mr->rkey, SIZE), 0);
	pattern_check(a.mem, SIZE, 4);
	check_send(&a, &b);
	check_inline(&a, &b);
	check_atomics(&a, &b);
	igt_assert_eq(take_event(&a), -1);
	igt_assert_eq(take_event(&b), -1);
	close_end(&a);
	close_end(&b);
}

static void test_foreign_key(void)
{
	struct end a, b, other;

	open_end(&a);
	open_end(&b);
	open_end(&other);
	memset(other.mem, 0xcc, 64);
	connect_ends(&a, &b);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_READ, (uintptr_t)other.mem, other.mr->rkey, 64),
		      IBV_WC_REM_ACCESS_ERR);
	connect_ends(&a, &b);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)other.mem, other.mr->rkey, 64),
		      IBV_WC_REM_ACCESS_ERR);
	igt_assert_eq(other.mem[0], 0xcc);

	/* Nobody is reached who has not named the other. */
	connect_ends(&b, &other);
	igt_assert_eq(__connect_end(&a, &b, ALL), 0);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)b.mem, b.mr->rkey, 64),
		      IBV_WC_RETRY_EXC_ERR);
	igt_assert_eq(state_of(&b), IBV_QPS_RTS);
	close_end(&a);
	close_end(&b);
	close_end(&other);
}

static void test_two_devices(void)
{
	struct ibv_context *ctx = __open_verbs("vrnic1");
	struct end a, b;
	struct movable m;
	int i;

	igt_require(ctx);
	ibv_close_device(ctx);
	open_end(&a);
	open_end_as(&b, &(struct end_want){ .name = "vrnic1" });
	igt_assert_neq(lid_of(&a), lid_of(&b));
	connect_ends(&a, &b);
	m = make_movable(fd, &b);
	for (i = 0; i < 20; i++) {
		igt_assert(write_and_read(&a, &m, i));
		vvram_move_mapped(fd, m.handle, i % 2 ? VRAM : SYSTEM);
	}
	check_send(&a, &b);

	/* A key of one device is none of the other. */
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)a.mem, a.mr->rkey, 64),
		      IBV_WC_REM_ACCESS_ERR);
	free_movable(&m);
	close_end(&a);
	close_end(&b);
}

/* From one moving buffer to the other, and back. */
static bool between_round(struct end *a, struct movable *from, struct movable *to, uint64_t seed)
{
	struct ibv_sge sge = { 0, SIZE, from->mr->lkey };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE, .sg_list = &sge, .num_sge = 1,
		.wr.rdma = { 0, to->mr->rkey },
	};

	pattern_fill(from->p, SIZE, seed);
	if (do_send(a, &wr) || pattern_find_bad(to->p, SIZE, seed, 1) >= 0)
		return false;
	pattern_fill(to->p, SIZE, ~seed);
	wr.opcode = IBV_WR_RDMA_READ;
	return !do_send(a, &wr) && pattern_find_bad(from->p, SIZE, ~seed, 1) < 0;
}

static void test_two_devices_moves(void)
{
	struct ibv_context *ctx = __open_verbs("vrnic1");
	struct movable from, to;
	struct mover mover[2];
	uint64_t round, faults;
	struct end a, b;
	bool good;

	igt_require(ctx && vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC);
	ibv_close_device(ctx);
	open_end(&a);
	open_end_as(&b, &(struct end_want){ .name = "vrnic1" });
	connect_ends(&a, &b);
	from = make_movable(fd, &a);
	to = make_movable(fd, &b);
	faults = iommu_faults();
	mover_start(&mover[0], fd, from.handle);
	mover_start(&mover[1], fd, to.handle);
	for (round = 0; mover[0].moves + mover[1].moves < 10000; round++)
		igt_assert_f(between_round(&a, &from, &to, round), "round %" PRIu64 "\n", round);
	mover_stop(&mover[0]);
	mover_stop(&mover[1]);
	igt_info("%d and %d moves, %" PRIu64 " rounds\n", mover[0].moves, mover[1].moves, round);
	igt_assert_lt(100, mover[0].moves);
	igt_assert_lt(100, mover[1].moves);
	igt_assert_eq_u64(iommu_faults(), faults);
	igt_assert_eq(state_of(&a), IBV_QPS_RTS);
	igt_assert_eq(state_of(&b), IBV_QPS_RTS);

	/* The control: one of them goes on with old addresses. */
	vvram_move(fd, to.handle, SYSTEM);
	igt_assert(between_round(&a, &from, &to, round));
	vrnic_misbehave_of("vrnic1", "skip-invalidate");
	vvram_move(fd, to.handle, VRAM);
	good = between_round(&a, &from, &to, round);
	vrnic_misbehave_of("vrnic1", "none");
	igt_assert_f(!good, "old addresses were used, and nobody noticed\n");
	free_movable(&from);
	free_movable(&to);
	close_end(&a);
	close_end(&b);
}

/* So much that the engine takes two of its turns. */
#define HARDWARE_BYTES	5000

static bool hardware_round(struct end *a, struct movable *m, uint64_t seed)
{
	const uint64_t at = 1000 + seed;

	pattern_fill(a->mem, SIZE, seed);
	memset(m->p, 0x5a, SIZE);
	if (rdma(a, IBV_WR_RDMA_WRITE, at, m->mr->rkey, HARDWARE_BYTES))
		return false;
	if (memcmp(m->p + at, a->mem, HARDWARE_BYTES) || m->p[at - 1] != 0x5a ||
	    m->p[at + HARDWARE_BYTES] != 0x5a)
		return false;
	pattern_fill(m->p, SIZE, ~seed);
	return !rdma(a, IBV_WR_RDMA_READ, at, m->mr->rkey, HARDWARE_BYTES) &&
	       !memcmp(m->p + at, a->mem, HARDWARE_BYTES);
}

static void check_no_atomics(struct end *a, struct end *b)
{
	struct ibv_device_attr attr;
	struct ibv_sge sge = { (uintptr_t)a->mem, 8, a->mr->lkey };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD, .sg_list = &sge, .num_sge = 1,
		.wr.atomic = { .remote_addr = (uintptr_t)b->mem, .rkey = b->mr->rkey },
	};

	igt_assert_eq(ibv_query_device(a->ctx, &attr), 0);
	igt_assert_eq(attr.atomic_cap, IBV_ATOMIC_NONE);
	igt_assert_eq(do_send(a, &wr), IBV_WC_LOC_QP_OP_ERR);
	connect_ends(a, b);
}

/* The IOMMU tells of each by an interrupt, when the transfer may be over. */
static void wait_no_more_faults(void)
{
	uint64_t faults;

	do {
		faults = iommu_faults();
		usleep(300000);
	} while (iommu_faults() != faults);
}

static void run_hardware(void)
{
	uint64_t faults = iommu_faults();
	struct end a, b;
	struct movable m;
	int i;

	open_pair(&a, &b);
	m = make_movable(fd, &b);
	for (i = 0; i < 4; i++) {
		igt_assert_f(hardware_round(&a, &m, i), "round %d\n", i);
		vvram_move_mapped(fd, m.handle, i % 2 ? VRAM : SYSTEM);
	}
	check_no_atomics(&a, &b);
	igt_assert_eq_u64(iommu_faults(), faults);

	if (vrnic_query(nic).flags & VRNIC_QUERY_IOMMU &&
	    vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC) {
		/* The control: an old address leads nowhere. */
		igt_assert(hardware_round(&a, &m, 5));
		vrnic_misbehave("skip-invalidate");
		vvram_move(fd, m.handle, SYSTEM);
		igt_assert(!hardware_round(&a, &m, 6));
		while (iommu_faults() == faults)
			usleep(20000);
		wait_no_more_faults();
		vrnic_misbehave("none");
	}
	free_movable(&m);
	close_end(&a);
	close_end(&b);
}

static void load_verbs(const char *parameters)
{
	module_unload("vrnic_verbs");
	igt_assert_eq(__module_load("vrnic_verbs", parameters), 0);
	wait_verbs();
}

/* Each device has addresses of its own, which the other one's engine can't use. */
static void run_hardware_of_two(void)
{
	uint64_t faults = iommu_faults();
	struct end a, b;
	struct movable m;
	int i;

	open_end(&a);
	open_end_as(&b, &(struct end_want){ .name = "vrnic1" });
	connect_ends(&a, &b);
	m = make_movable(fd, &b);
	for (i = 0; i < 2; i++) {
		igt_assert_f(hardware_round(&a, &m, i), "round %d\n", i);
		vvram_move_mapped(fd, m.handle, SYSTEM);
	}
	igt_assert_eq_u64(iommu_faults(), faults);
	free_movable(&m);
	close_end(&a);
	close_end(&b);
}

static void test_hardware(void)
{
	igt_require_f(vrnic_query(nic).flags & VRNIC_QUERY_EDU, "the importer has no hardware\n");
	igt_require(module_can_reload("vrnic_verbs"));
	load_verbs("engine=edu");
	run_hardware();
	if (!access("/dev/vrnic1", F_OK))
		run_hardware_of_two();
	load_verbs("");
}

static void scribble(void *from, size_t size, void *seed)
{
	uint32_t *p, x = *(uint32_t *)seed;

	for (p = from; p < (uint32_t *)((char *)from + size); p++)
		*p = x = x * 1664525 + 1013904223;
	*(uint32_t *)seed = x;
}

static unsigned int fill_queues_with_garbage(uint32_t seed)
{
	return visit_rings(scribble, &seed);
}

static void test_garbage(void)
{
	struct end a, b;
	int i;

	igt_fork(child, 4) {
		for (i = 0; i < 25; i++) {
			open_pair(&a, &b);
			igt_assert_lte(6, fill_queues_with_garbage(child * 1000 + i));
			igt_assert_eq(ring_bell(&a, IB_USER_VERBS_CMD_POST_SEND), 0);
			igt_assert_eq(ring_bell(&b, IB_USER_VERBS_CMD_POST_RECV), 0);
			fill_queues_with_garbage(child * 2000 + i);
			igt_assert_eq(ring_bell(&b, IB_USER_VERBS_CMD_POST_SEND), 0);
			/* That it is garbage is noticed sooner or later, whatever it says. */
			usleep(2000);
			close_end(&a);
			close_end(&b);
		}
	}
	igt_waitchildren();
	igt_assert_eq(vrnic_query(nic).mrs, 0);
}

static void traffic(struct end *a, struct end *b, struct movable *m)
{
	uint64_t n;

	for (n = 0; ; n++)
		if (rdma(a, n % 2 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE,
			 n % 3 ? 0 : (uintptr_t)b->mem, n % 3 ? m->mr->rkey : b->mr->rkey, SIZE))
			return;
}

static void run_until_killed(void)
{
	struct end a, b;
	struct movable m;
	struct mover mover;

	open_pair(&a, &b);
	m = make_movable(fd, &b);
	mover_start(&mover, fd, m.handle);
	traffic(&a, &b, &m);
}

static void test_killed(void)
{
	vrnic_kill_clients(nic, run_until_killed, 20000);
}

/* Completions may stay away then, without an error: nobody is there to write them. */
static int traffic_until_gone(void)
{
	struct ibv_async_event event;
	struct end a, b;
	struct ibv_wc wc;
	uint64_t end;

	open_pair(&a, &b);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)b.mem, b.mr->rkey, SIZE), 0);
	for (end = now_ms() + 60000; now_ms() < end;) {
		struct ibv_sge sge = { (uintptr_t)a.mem, SIZE, a.mr->lkey };
		struct ibv_send_wr wr = {
			.opcode = IBV_WR_RDMA_WRITE, .sg_list = &sge, .num_sge = 1,
			.wr.rdma = { (uintptr_t)b.mem, b.mr->rkey },
		};

		__post(&a, &wr);
		ibv_poll_cq(a.cq, 1, &wc);
		if (!ibv_get_async_event(a.ctx, &event) &&
		    event.event_type == IBV_EVENT_DEVICE_FATAL)
			return 0;
	}
	return 1;
}

static void test_unbind(void)
{
	char function[64];
	int i, status;
	pid_t pid;

	igt_require(bound_function(VRNIC_DRIVER, function));
	close(nic);
	for (i = 0; i < 10; i++) {
		pid = fork();
		igt_assert_lte(0, pid);
		if (!pid)
			_exit(traffic_until_gone());
		usleep(300000 + i * 20000);
		driver_write(VRNIC_DRIVER, "unbind", function);
		igt_assert(!__open_verbs("vrnic0"));
		igt_assert_eq(waitpid(pid, &status, 0), pid);
		igt_assert_eq(status, 0);
		bind_again(VRNIC_DRIVER, function);
	}
	nic = vrnic_open();
	igt_assert_eq(vrnic_query(nic).mrs, 0);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		require_verbs();
	}

	igt_describe("The right bytes while a buffer moves.");
	igt_subtest("move")
		test_move();
	igt_describe("Old addresses are noticed.");
	igt_subtest("move-control")
		test_move_control();
	igt_describe("Each operation, at both ends.");
	igt_subtest("operations")
		test_operations();
	igt_describe("One client does not reach another's memory.");
	igt_subtest("foreign-key")
		test_foreign_key();
	igt_describe("From one device to the other.");
	igt_subtest("two-devices")
		test_two_devices();
	igt_describe("And back, while both ends' buffers move.");
	igt_subtest("two-devices-moves")
		test_two_devices_moves();
	igt_describe("Bytes that no CPU moves.");
	igt_subtest("hardware")
		test_hardware();
	igt_describe("Shared queues are not trusted.");
	igt_subtest("garbage")
		test_garbage();
	igt_describe("Nothing is left of who is killed.");
	igt_subtest("killed")
		test_killed();
	igt_describe("A device that goes takes nobody with it.");
	igt_subtest("unbind")
		test_unbind();

	igt_fixture {
		vrnic_misbehave("none");
		if (!access("/dev/vrnic1", F_OK))
			vrnic_misbehave_of("vrnic1", "none");
		close(nic);
		close(fd);
	}
}
