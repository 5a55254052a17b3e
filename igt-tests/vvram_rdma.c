// SPDX-License-Identifier: MIT
/**
 * TEST: vvram rdma
 * Category: Core
 * Description: Regions of the kernel's own software RDMA device (rxe), on demand
 *	(IBV_ACCESS_ON_DEMAND), on the mapping of a buffer that moves (pages=1).
 *
 * SUBTEST: while-moving
 * Description: Writes, reads and atomics of a peer while the buffer moves.
 * SUBTEST: boundaries
 * Description: Mappings within the region change: each page is what its mapping says.
 * SUBTEST: pinned
 * Description: A region that would pin the buffer's pages is refused.
 */

#include "rxe.h"

IGT_TEST_DESCRIPTION("RDMA on demand, by the CPU pointer to a movable buffer.");

#define SLOT	KIB(64)
#define PAGE	KIB(4)

static int fd = -1;
static struct end a, b;

static void connect_both(void)
{
	connect_to(&a, b.qp->qp_num, gid_of(&b));
	connect_to(&b, a.qp->qp_num, gid_of(&a));
}

static enum ibv_wc_status add_one(uint8_t *at, uint32_t rkey)
{
	struct ibv_sge sge = { (uintptr_t)a.mem, 8, a.mr->lkey };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD, .sg_list = &sge, .num_sge = 1,
		.wr.atomic = { .remote_addr = (uintptr_t)at, .rkey = rkey, .compare_add = 1 },
	};

	return do_send(&a, &wr);
}

static enum ibv_wc_status put(uint8_t *at, uint32_t rkey, uint32_t len)
{
	return rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)at, rkey, len);
}

static enum ibv_wc_status get(uint8_t *at, uint32_t rkey, uint32_t len)
{
	return rdma(&a, IBV_WR_RDMA_READ, (uintptr_t)at, rkey, len);
}

static struct ibv_mr *register_on_demand(void *p)
{
	struct ibv_mr *mr = ibv_reg_mr(b.pd, p, SIZE, ALL | IBV_ACCESS_ON_DEMAND);

	igt_assert(mr);
	return mr;
}

static void test_while_moving(void)
{
	uint32_t handle = vvram_create(fd, SIZE, VRAM);
	uint8_t *p = vvram_mmap(fd, handle, SIZE), *count = p + SIZE - PAGE;
	struct ibv_mr *mr = register_on_demand(p);
	uint64_t stale = chaos_read(fd, "stale_writes"), n = 0;
	struct mover m;

	chaos_write(fd, "poison", "1");
	mover_start(&m, fd, handle);
	while (n < 100 || mover_goes_on(&m, 0, 100)) {
		pattern_fill(a.mem, SLOT, n);
		igt_assert_eq(put(p, mr->rkey, SLOT), IBV_WC_SUCCESS);
		igt_assert_eq(pattern_find_bad(p, SLOT, n, 1), -1);
		pattern_fill(p + SLOT, SLOT, n + 1);
		igt_assert_eq(get(p + SLOT, mr->rkey, SLOT), IBV_WC_SUCCESS);
		igt_assert_eq(pattern_find_bad(a.mem, SLOT, n + 1, 1), -1);
		igt_assert_eq(add_one(count, mr->rkey), IBV_WC_SUCCESS);
		igt_assert_eq_u64(*(volatile uint64_t *)count, ++n);
	}
	mover_stop(&m);
	chaos_write(fd, "poison", "0");
	igt_info("%llu rounds, %d moves\n", (unsigned long long)n, m.moves);
	pattern_check(p, SLOT, n - 1);
	igt_assert_eq_u64(chaos_read(fd, "stale_writes"), stale);
	igt_assert_eq_u64(vvram_info(fd, handle).held_pages, 0);
	igt_assert_eq(ibv_dereg_mr(mr), 0);
	munmap(p, SIZE);
	gem_close(fd, handle);
}

/* A request that fails ends the connection: it is made anew. */
static void expect_access_error(enum ibv_wc_status status)
{
	igt_assert_eq(status, IBV_WC_REM_ACCESS_ERR);
	connect_both();
}

static void test_boundaries(void)
{
	uint32_t handle = vvram_create(fd, SIZE, VRAM), second = vvram_create(fd, PAGE, SYSTEM);
	uint8_t *p = vvram_mmap(fd, handle, SIZE), *q = vvram_mmap(fd, second, PAGE);
	uint8_t *hole = p + 10 * PAGE, *fixed = p + 20 * PAGE;
	struct ibv_mr *mr = register_on_demand(p);
	int dmabuf = prime_handle_to_fd_for_mmap(fd, second);

	pattern_fill(p, SIZE, 1);
	pattern_fill(a.mem, PAGE, 2);
	igt_assert_eq(put(hole, mr->rkey, PAGE), IBV_WC_SUCCESS);

	munmap(hole, PAGE);
	expect_access_error(put(hole, mr->rkey, PAGE));
	vvram_move(fd, handle, SYSTEM);
	igt_assert_eq(put(hole - PAGE, mr->rkey, PAGE), IBV_WC_SUCCESS);
	igt_assert_eq(put(hole + PAGE, mr->rkey, PAGE), IBV_WC_SUCCESS);

	/* Another buffer there: it is that one's bytes. */
	igt_assert(mmap(hole, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, dmabuf, 0) == hole);
	pattern_fill(a.mem, PAGE, 3);
	igt_assert_eq(put(hole, mr->rkey, PAGE), IBV_WC_SUCCESS);
	igt_assert_eq(pattern_find_bad(q, PAGE, 3, 1), -1);
	vvram_move(fd, second, VRAM);
	igt_assert_eq(get(hole, mr->rkey, PAGE), IBV_WC_SUCCESS);
	igt_assert_eq(pattern_find_bad(a.mem, PAGE, 3, 1), -1);

	igt_assert_eq(mprotect(fixed, PAGE, PROT_READ), 0);
	expect_access_error(put(fixed, mr->rkey, PAGE));
	igt_assert_eq(get(fixed, mr->rkey, PAGE), IBV_WC_SUCCESS);
	igt_assert(!memcmp(a.mem, fixed, PAGE));
	igt_assert_eq(put(fixed + PAGE, mr->rkey, PAGE), IBV_WC_SUCCESS);

	igt_assert_eq(ibv_dereg_mr(mr), 0);
	close(dmabuf);
	munmap(p, SIZE);
	munmap(q, PAGE);
	gem_close(fd, handle);
	gem_close(fd, second);
}

static void test_pinned(void)
{
	uint32_t handle = vvram_create(fd, SIZE, SYSTEM);
	uint8_t *p = vvram_mmap(fd, handle, SIZE);

	igt_assert(!ibv_reg_mr(b.pd, p, SIZE, ALL) && errno == EFAULT);
	vvram_move(fd, handle, VRAM);
	igt_assert(!ibv_reg_mr(b.pd, p, SIZE, ALL));
	igt_assert_eq_u64(vvram_info(fd, handle).held_pages, 0);
	munmap(p, SIZE);
	gem_close(fd, handle);
}

igt_main
{
	igt_fixture {
		struct end_want want = { .name = "movable0" };

		fd = drm_open_driver(DRIVER_ANY);
		igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_PAGES,
			      "vvram was loaded without pages=1\n");
		/* Which names vrnic's provider alone. */
		unsetenv("RDMAV_DRIVERS");
		make_rxe_network("movable0");
		start_rxe("movable0", "movable0");
		open_end_as(&a, &want);
		open_end_as(&b, &want);
		igt_require_f(has_odp(a.ctx), "no regions on demand\n");
		connect_both();
	}

	igt_describe("Nothing is lost, and nothing goes to a place that the buffer has left.");
	igt_subtest("while-moving")
		test_while_moving();
	igt_describe("A region on demand is its mappings, whatever they are at the time.");
	igt_subtest("boundaries")
		test_boundaries();
	igt_describe("A region that is not on demand would keep the buffer where it is.");
	igt_subtest("pinned")
		test_pinned();

	igt_fixture {
		close_end(&a);
		close_end(&b);
		igt_assert_eq(system("rdma link delete movable0; ip link delete movable0"), 0);
		drm_close_driver(fd);
	}
}
