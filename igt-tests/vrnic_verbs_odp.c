// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic verbs odp
 * Category: Core
 * Description: Regions of the RDMA device that are not pinned (IBV_ACCESS_ON_DEMAND).
 *
 * SUBTEST: capabilities
 * Description: The device says what it can do on demand, and refuses the rest.
 * SUBTEST: operations
 * Description: Each operation on memory whose pages are others each time.
 * SUBTEST: atomic-result
 * Description: What an atomic returns is written to a page of the process's own, not to one
 *	that was only read so far and is everybody's.
 * SUBTEST: boundaries
 * Description: What is not there fails its request, with the specification's status at both
 *	ends; a message that has no place, its receiver's.
 * SUBTEST: rereg
 * Description: A pinned region becomes one on demand, and one on demand is pinned.
 * SUBTEST: prefetch
 * Description: Hints map ahead, ranges and rights are checked.
 * SUBTEST: slow-memory
 * Description: Whoever writes to another's memory ends when it wants to, however long that memory
 *	takes to be there (pages=1).
 * SUBTEST: while-moving
 * Description: On the mapping of a buffer that moves (pages=1).
 */

#include <sys/wait.h>

#include "verbs.h"

IGT_TEST_DESCRIPTION("RDMA on demand, by the device's own means.");

#define PAGE	KIB(4)
#define ODP	(ALL | IBV_ACCESS_ON_DEMAND)

static int fd = -1, nic = -1;
static struct end a, b;

static struct ibv_mr *register_as(void *p, uint64_t size, int access)
{
	struct ibv_mr *mr = ibv_reg_mr(b.pd, p, size, access);

	igt_assert(mr);
	return mr;
}

static void test_capabilities(void)
{
	const uint32_t all = IBV_ODP_SUPPORT_SEND | IBV_ODP_SUPPORT_RECV | IBV_ODP_SUPPORT_WRITE |
			     IBV_ODP_SUPPORT_READ | IBV_ODP_SUPPORT_ATOMIC |
			     IBV_ODP_SUPPORT_SRQ_RECV;
	struct ibv_device_attr_ex attr;

	igt_assert_eq(ibv_query_device_ex(b.ctx, NULL, &attr), 0);
	igt_assert_eq_u64(attr.odp_caps.general_caps, IBV_ODP_SUPPORT);
	igt_assert_eq(attr.odp_caps.per_transport_caps.rc_odp_caps, all);
	/* All of an address space, whatever it will have: another kind of region. */
	igt_assert(!ibv_reg_mr(b.pd, NULL, SIZE_MAX, ODP) && errno == EINVAL);
	igt_assert(!ibv_reg_mr(b.pd, b.mem, SIZE, ODP | IBV_ACCESS_HUGETLB) &&
		   errno == EOPNOTSUPP);
}

static enum ibv_wc_status put(void *at, struct ibv_mr *mr, uint32_t len)
{
	return rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)at, mr->rkey, len);
}

static enum ibv_wc_status get(void *at, struct ibv_mr *mr, uint32_t len)
{
	return rdma(&a, IBV_WR_RDMA_READ, (uintptr_t)at, mr->rkey, len);
}

static enum ibv_wc_status add_one(void *at, struct ibv_mr *mr)
{
	struct ibv_sge sge = { (uintptr_t)a.mem, 8, a.mr->lkey };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD, .sg_list = &sge, .num_sge = 1,
		.wr.atomic = { .remote_addr = (uintptr_t)at, .rkey = mr->rkey, .compare_add = 1 },
	};

	return do_send(&a, &wr);
}

/* A message from @p, of b's memory on demand, to a's; and one back to it. */
static void send_both_ways(uint8_t *p, struct ibv_mr *mr, uint64_t seed)
{
	struct ibv_sge sge = { (uintptr_t)p, PAGE, mr->lkey };
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1 };
	struct ibv_recv_wr recv = { .sg_list = &sge, .num_sge = 1 }, *bad;

	pattern_fill(p, PAGE, seed);
	post_recv(&a, 1, PAGE, a.mr->lkey);
	igt_assert_eq(do_send(&b, &wr), IBV_WC_SUCCESS);
	igt_assert_eq(wait_wc(&a).status, IBV_WC_SUCCESS);
	igt_assert_eq(pattern_find_bad(a.mem, PAGE, seed, 1), -1);

	igt_assert_eq(madvise(p, PAGE, MADV_DONTNEED), 0);
	pattern_fill(a.mem, PAGE, seed + 1);
	igt_assert_eq(ibv_post_recv(b.qp, &recv, &bad), 0);
	igt_assert_eq(send_bytes(&a, 2, PAGE), IBV_WC_SUCCESS);
	igt_assert_eq(wait_wc(&b).status, IBV_WC_SUCCESS);
	igt_assert_eq(pattern_find_bad(p, PAGE, seed + 1, 1), -1);
}

static void test_operations(void)
{
	uint8_t *p = alloc_pages(SIZE);
	struct ibv_mr *mr = register_as(p, SIZE, ODP);
	uint64_t n;

	for (n = 0; n < 20; n++) {
		pattern_fill(a.mem, SIZE, n);
		igt_assert_eq(put(p, mr, SIZE), IBV_WC_SUCCESS);
		igt_assert_eq(pattern_find_bad(p, SIZE, n, 1), -1);
		memset(a.mem, 0, SIZE);
		igt_assert_eq(get(p, mr, SIZE), IBV_WC_SUCCESS);
		igt_assert_eq(pattern_find_bad(a.mem, SIZE, n, 1), -1);

		igt_assert_eq(madvise(p, SIZE, MADV_DONTNEED), 0);
		igt_assert_eq(add_one(p + 8, mr), IBV_WC_SUCCESS);
		igt_assert_eq_u64(*(volatile uint64_t *)(p + 8), 1);
		igt_assert_eq_u64(*(volatile uint64_t *)a.mem, 0);
		send_both_ways(p + PAGE, mr, n);
		igt_assert_eq(madvise(p, SIZE, MADV_DONTNEED), 0);
	}
	igt_assert_eq(ibv_dereg_mr(mr), 0);
	munmap(p, SIZE);
}

/* Its memory was never touched: reading it gives the page of zeroes that all share. */
static void test_atomic_result(void)
{
	uint8_t *p = alloc_pages(2 * PAGE), *fresh;
	struct ibv_mr *mr = ibv_reg_mr(a.pd, p, 2 * PAGE, ODP);
	struct ibv_sge sge = { (uintptr_t)p, 8, mr ? mr->lkey : 0 };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE, .sg_list = &sge, .num_sge = 1,
		.wr.rdma = { (uintptr_t)b.mem + 64, b.mr->rkey },
	};
	volatile uint64_t *count = (uint64_t *)b.mem;

	igt_assert(mr);
	*count = 77;
	igt_assert_eq(do_send(&a, &wr), IBV_WC_SUCCESS);
	wr = (struct ibv_send_wr) {
		.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD, .sg_list = &sge, .num_sge = 1,
		.wr.atomic = { .remote_addr = (uintptr_t)b.mem, .rkey = b.mr->rkey, .compare_add = 1 },
	};
	igt_assert_eq(do_send(&a, &wr), IBV_WC_SUCCESS);
	igt_assert_eq_u64(*count, 78);
	igt_assert_eq_u64(*(volatile uint64_t *)p, 77);
	fresh = alloc_pages(PAGE);
	igt_assert_eq_u64(*(volatile uint64_t *)fresh, 0);
	munmap(fresh, PAGE);
	igt_assert_eq(ibv_dereg_mr(mr), 0);
	munmap(p, 2 * PAGE);
}

static void test_boundaries(void)
{
	uint8_t *p = alloc_pages(SIZE), *hole = p + 10 * PAGE, *fixed = p + 20 * PAGE;
	struct ibv_mr *mr = register_as(p, SIZE, ODP);
	struct ibv_sge sge = { (uintptr_t)hole - PAGE, 2 * PAGE, mr->lkey };
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1 };
	struct ibv_recv_wr recv = { .sg_list = &sge, .num_sge = 1 }, *bad;

	igt_assert_eq(put(p, mr, SIZE), IBV_WC_SUCCESS);
	munmap(hole, PAGE);
	igt_assert_eq(put(hole, mr, 8), IBV_WC_REM_ACCESS_ERR);
	wait_state(&b, IBV_QPS_ERR);
	connect_ends(&a, &b);
	igt_assert_eq(get(hole - 8, mr, 16), IBV_WC_REM_ACCESS_ERR);
	connect_ends(&a, &b);
	igt_assert_eq(put(hole - PAGE, mr, PAGE), IBV_WC_SUCCESS);
	igt_assert_eq(put(hole + PAGE, mr, PAGE), IBV_WC_SUCCESS);

	/* The sender's own memory; the receiver's. */
	post_recv(&a, 1, 2 * PAGE, a.mr->lkey);
	igt_assert_eq(do_send(&b, &wr), IBV_WC_LOC_PROT_ERR);
	connect_ends(&a, &b);
	igt_assert_eq(ibv_post_recv(b.qp, &recv, &bad), 0);
	igt_assert_eq(send_bytes(&a, 2, 2 * PAGE), IBV_WC_REM_OP_ERR);
	igt_assert_eq(wait_wc(&b).status, IBV_WC_LOC_PROT_ERR);
	wait_state(&b, IBV_QPS_ERR);
	connect_ends(&a, &b);

	igt_assert_eq(mprotect(fixed, PAGE, PROT_READ), 0);
	igt_assert_eq(get(fixed, mr, PAGE), IBV_WC_SUCCESS);
	igt_assert_eq(add_one(fixed, mr), IBV_WC_REM_ACCESS_ERR);
	connect_ends(&a, &b);
	igt_assert_eq(ibv_dereg_mr(mr), 0);
	munmap(p, SIZE);
}

static int rereg(struct ibv_mr *mr, int access)
{
	return ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_ACCESS, NULL, NULL, 0, access);
}

static void test_rereg(void)
{
	uint8_t *p = alloc_pages(SIZE);
	struct ibv_mr *mr = register_as(p, SIZE, ALL);

	/* Pinned: the device goes on with what was there. */
	igt_assert_eq(put(p, mr, PAGE), IBV_WC_SUCCESS);
	igt_assert_eq(madvise(p, SIZE, MADV_DONTNEED), 0);
	a.mem[0] = 7;
	igt_assert_eq(put(p, mr, PAGE), IBV_WC_SUCCESS);
	igt_assert_eq(*(volatile uint8_t *)p, 0);

	igt_assert_eq(rereg(mr, ODP), 0);
	igt_assert_eq(put(p, mr, PAGE), IBV_WC_SUCCESS);
	igt_assert_eq(p[0], 7);
	igt_assert_eq(madvise(p, SIZE, MADV_DONTNEED), 0);
	a.mem[0] = 8;
	igt_assert_eq(put(p, mr, PAGE), IBV_WC_SUCCESS);
	igt_assert_eq(p[0], 8);

	igt_assert_eq(rereg(mr, ODP & ~IBV_ACCESS_REMOTE_WRITE), 0);
	igt_assert_eq(put(p, mr, PAGE), IBV_WC_REM_ACCESS_ERR);
	connect_ends(&a, &b);
	igt_assert_eq(get(p, mr, PAGE), IBV_WC_SUCCESS);
	igt_assert_eq(a.mem[0], 8);

	igt_assert_eq(rereg(mr, ALL), 0);
	a.mem[0] = 9;
	igt_assert_eq(put(p, mr, PAGE), IBV_WC_SUCCESS);
	igt_assert_eq(p[0], 9);
	igt_assert_eq(madvise(p, SIZE, MADV_DONTNEED), 0);
	a.mem[0] = 10;
	igt_assert_eq(put(p, mr, PAGE), IBV_WC_SUCCESS);
	igt_assert_eq(*(volatile uint8_t *)p, 0);
	igt_assert_eq(ibv_dereg_mr(mr), 0);
	munmap(p, SIZE);
}

static int prefetch(struct ibv_mr *mr, void *at, uint32_t len, bool write)
{
	struct ibv_sge sge = { (uintptr_t)at, len, mr->lkey };

	return -ibv_advise_mr(b.pd, write ? IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE :
					    IBV_ADVISE_MR_ADVICE_PREFETCH,
			      IBV_ADVISE_MR_FLAG_FLUSH, &sge, 1);
}

static void test_prefetch(void)
{
	uint8_t *p = alloc_pages(SIZE);
	struct ibv_mr *mr = register_as(p, SIZE, ODP), *fixed = register_as(p, SIZE, ODP & ~ALL);
	uint64_t faults;

	igt_assert_eq(prefetch(mr, p, SIZE, true), 0);
	faults = vrnic_query(nic).counters.faults;
	igt_assert_eq(put(p, mr, SIZE), IBV_WC_SUCCESS);
	igt_assert_eq_u64(vrnic_query(nic).counters.faults, faults);

	igt_assert_eq(prefetch(fixed, p, PAGE, false), 0);
	igt_assert_eq(prefetch(fixed, p, PAGE, true), -EACCES);
	igt_assert_eq(prefetch(mr, p + PAGE, SIZE, false), -EINVAL);
	munmap(p + PAGE, PAGE);
	igt_assert_eq(prefetch(mr, p, PAGE, true), 0);
	igt_assert_eq(prefetch(mr, p, PAGE + 1, true), -EACCES);
	igt_assert_eq(ibv_dereg_mr(fixed), 0);
	igt_assert_eq(ibv_dereg_mr(mr), 0);
	munmap(p, SIZE);
}

/* A request that is not waited for. */
static void post_write(struct end *e, struct ibv_mr *from, void *at, uint32_t rkey)
{
	struct ibv_sge sge = { (uintptr_t)e->mem, PAGE, from->lkey };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE, .sg_list = &sge, .num_sge = 1,
		.wr.rdma = { (uintptr_t)at, rkey },
	};

	igt_assert_eq(__post(e, &wr), 0);
	usleep(100000);
}

/* What two processes know of each other: who has memory, and who writes to it. */
struct meeting {
	volatile uint32_t owner_qpn, writer_qpn, rkey, away, over;
	void *p;
};

static void wait_for(const volatile uint32_t *number)
{
	uint64_t end = now_ms() + 60000;

	while (!*number && now_ms() < end)
		usleep(1000);
	igt_assert(*number);
}

static void meet(struct end *e, uint32_t qpn)
{
	struct ibv_qp other = { .qp_num = qpn };
	struct end to = { .ctx = e->ctx, .qp = &other };

	igt_assert_eq(__connect_end(e, &to, ALL), 0);
}

static int own_memory(void *arg)
{
	struct meeting *m = arg;
	struct ibv_mr *mr;
	uint32_t handle;
	struct end e;

	open_end(&e);
	handle = vvram_create(fd, SIZE, VRAM);
	m->p = vvram_mmap(fd, handle, SIZE);
	mr = ibv_reg_mr(e.pd, m->p, SIZE, ODP);
	igt_assert(mr);
	m->rkey = mr->rkey;
	m->owner_qpn = e.qp->qp_num;
	wait_for(&m->writer_qpn);
	meet(&e, m->writer_qpn);
	vvram_send_away(fd, handle, m->p, SYSTEM, AWAY_MS);
	m->away = true;
	wait_for(&m->over);
	igt_assert_eq(ibv_dereg_mr(mr), 0);
	close_end(&e);
	munmap(m->p, SIZE);
	gem_close(fd, handle);
	return 0;
}

static void test_slow_memory(bool region_first)
{
	struct meeting *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ibv_mr *own;
	struct end e;
	uint64_t start;
	int status;
	pid_t pid;

	igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_PAGES,
		      "vvram was loaded without pages=1\n");
	pid = fork_child(own_memory, m);
	open_end(&e);
	wait_for(&m->owner_qpn);
	meet(&e, m->owner_qpn);
	m->writer_qpn = e.qp->qp_num;
	wait_for(&m->away);

	own = ibv_reg_mr(e.pd, e.mem, PAGE, 0);
	igt_assert(own);
	start = now_ms();
	post_write(&e, own, m->p, m->rkey);
	/* As it goes when a process is killed: what was made last goes first. */
	if (region_first)
		igt_assert_eq(ibv_dereg_mr(own), 0);
	igt_assert_eq(ibv_destroy_qp(e.qp), 0);
	e.qp = NULL;
	igt_assert_lt(now_ms() - start, SOON_MS);
	if (!region_first)
		igt_assert_eq(ibv_dereg_mr(own), 0);
	m->over = true;
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq(status, 0);
	close_end(&e);
	munmap(m, sizeof(*m));
}

static void test_while_moving(void)
{
	uint64_t stale = chaos_read(fd, "stale_writes"), n = 0;
	uint32_t handle;
	struct ibv_mr *mr;
	struct mover m;
	uint8_t *p;

	igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_PAGES,
		      "vvram was loaded without pages=1\n");
	handle = vvram_create(fd, SIZE, VRAM);
	p = vvram_mmap(fd, handle, SIZE);
	/* Pinned, it would not move. */
	igt_assert(!ibv_reg_mr(b.pd, p, SIZE, ALL) && errno == EFAULT);
	mr = register_as(p, SIZE, ODP);
	chaos_write(fd, "poison", "1");
	mover_start(&m, fd, handle);
	while (n < 100 || mover_goes_on(&m, 0, 100)) {
		pattern_fill(a.mem, SIZE - PAGE, n);
		igt_assert_eq(put(p, mr, SIZE - PAGE), IBV_WC_SUCCESS);
		igt_assert_eq(pattern_find_bad(p, SIZE - PAGE, n, 1), -1);
		memset(a.mem, 0, SIZE);
		igt_assert_eq(get(p, mr, SIZE - PAGE), IBV_WC_SUCCESS);
		igt_assert_eq(pattern_find_bad(a.mem, SIZE - PAGE, n, 1), -1);
		igt_assert_eq(add_one(p + SIZE - PAGE, mr), IBV_WC_SUCCESS);
		igt_assert_eq_u64(*(volatile uint64_t *)(p + SIZE - PAGE), ++n);
	}
	mover_stop(&m);
	chaos_write(fd, "poison", "0");
	igt_info("%llu rounds, %d moves\n", (unsigned long long)n, m.moves);
	pattern_check(p, SIZE - PAGE, n - 1);
	igt_assert_eq_u64(chaos_read(fd, "stale_writes"), stale);
	igt_assert_eq_u64(vvram_info(fd, handle).held_pages, 0);
	igt_assert_eq(ibv_dereg_mr(mr), 0);
	munmap(p, SIZE);
	gem_close(fd, handle);
}

igt_main
{
	igt_fixture {
		struct ibv_mr *mr;

		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		require_verbs();
		open_pair(&a, &b);
		/* A device that does not reach all memory itself has none of these regions. */
		mr = ibv_reg_mr(b.pd, b.mem, PAGE, ODP);
		igt_require_f(mr || errno != EOPNOTSUPP, "no regions on demand here\n");
		igt_assert(mr && !ibv_dereg_mr(mr));
	}

	igt_describe("No more, and no less.");
	igt_subtest("capabilities")
		test_capabilities();
	igt_describe("Pages are what they are when they are used.");
	igt_subtest("operations")
		test_operations();
	igt_describe("Nothing is written that may only be read.");
	igt_subtest("atomic-result")
		test_atomic_result();
	igt_describe("The rest of the region goes on.");
	igt_subtest("boundaries")
		test_boundaries();
	igt_describe("On demand from now on, or no more.");
	igt_subtest("rereg")
		test_rereg();
	igt_describe("Mapped before they are used.");
	igt_subtest("prefetch")
		test_prefetch();
	igt_describe("It is the owner of memory who waits for it.");
	igt_subtest("slow-memory") {
		test_slow_memory(false);
		test_slow_memory(true);
	}
	igt_describe("The buffer moves, and nothing is lost.");
	igt_subtest("while-moving")
		test_while_moving();

	igt_fixture {
		close_end(&a);
		close_end(&b);
		close(nic);
		drm_close_driver(fd);
	}
}
