// SPDX-License-Identifier: MIT
/**
 * TEST: vvram peer
 * Category: Core
 * Description: Another machine uses a buffer that moves, by RDMA over a network (rxe, on
 *	demand, by the CPU pointer; pages=1). To be run with a peer: tools/vm run --peer ./out/peer
 *
 * SUBTEST: while-moving
 * Description: The other machine's writes, reads and atomics while the buffer moves.
 * SUBTEST: perftest-%s
 * Description: Unchanged programs on both machines, memory of this one's in buffers that move.
 * SUBTEST: dies
 * Description: It loses power in the middle of its writes; the buffer goes on.
 */

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "peer.h"
#include "rxe.h"

IGT_TEST_DESCRIPTION("Movable memory of one machine, used by another.");

#define SLOT	KIB(64)

static int fd = -1, peer = -1;
static struct end e;

static int wait_for_peer(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PEER_PORT) };
	int f = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, ret;
	struct pollfd pfd = { .fd = f, .events = POLLIN };

	igt_assert_fd(f);
	igt_assert_eq(setsockopt(f, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	igt_assert_eq(bind(f, (struct sockaddr *)&at, sizeof(at)), 0);
	igt_assert_eq(listen(f, 1), 0);
	igt_assert_f(poll(&pfd, 1, 240000) == 1, "no peer calls\n");
	ret = accept(f, NULL, NULL);
	close(f);
	igt_assert_fd(ret);
	return ret;
}

static void ask(uint32_t op, void *at, uint64_t len, uint64_t seed, const struct ibv_mr *mr)
{
	struct peer_call call = {
		.op = op, .rkey = mr->rkey, .addr = (uintptr_t)at, .len = len, .seed = seed,
	};

	igt_assert(peer_send(peer, &call, sizeof(call)));
}

static struct peer_answer do_ask(uint32_t op, void *at, uint64_t len, uint64_t seed,
				 const struct ibv_mr *mr)
{
	struct peer_answer answer;

	ask(op, at, len, seed, mr);
	igt_assert(peer_receive(peer, &answer, sizeof(answer)));
	igt_assert_eq(answer.status, IBV_WC_SUCCESS);
	return answer;
}

struct on_demand {
	uint32_t handle;
	uint8_t *p;
	struct ibv_mr *mr;
};

static struct on_demand make_on_demand(void)
{
	struct on_demand d = { .handle = vvram_create(fd, SIZE, VRAM) };

	d.p = vvram_mmap(fd, d.handle, SIZE);
	d.mr = ibv_reg_mr(e.pd, d.p, SIZE, ALL | IBV_ACCESS_ON_DEMAND);
	igt_assert(d.mr);
	return d;
}

static void free_on_demand(struct on_demand *d)
{
	igt_assert_eq(ibv_dereg_mr(d->mr), 0);
	munmap(d->p, SIZE);
	gem_close(fd, d->handle);
}

static void test_while_moving(void)
{
	uint64_t stale = chaos_read(fd, "stale_writes"), faults = iommu_faults(), n = 0;
	struct on_demand d = make_on_demand();
	uint8_t *count = d.p + SIZE - KIB(4);
	struct mover m;

	/* What finds a wrong byte does find one. */
	pattern_fill(d.p, SLOT, 77);
	d.p[SLOT / 2] ^= 1;
	igt_assert_eq(do_ask(PEER_GET, d.p, SLOT, 77, d.mr).wrong, 1);

	chaos_write(fd, "poison", "1");
	mover_start(&m, fd, d.handle);
	while (n < 100 || mover_goes_on(&m, 0, 200)) {
		do_ask(PEER_PUT, d.p, SLOT, n, d.mr);
		igt_assert_eq(pattern_find_bad(d.p, SLOT, n, 1), -1);
		pattern_fill(d.p + SLOT, SLOT, n + 1);
		igt_assert_eq(do_ask(PEER_GET, d.p + SLOT, SLOT, n + 1, d.mr).wrong, 0);
		do_ask(PEER_ADD, count, 8, 0, d.mr);
		igt_assert_eq_u64(*(volatile uint64_t *)count, ++n);
	}
	mover_stop(&m);
	chaos_write(fd, "poison", "0");
	igt_info("%llu rounds, %d moves\n", (unsigned long long)n, m.moves);
	pattern_check(d.p, SLOT, n - 1);
	igt_assert_eq_u64(chaos_read(fd, "stale_writes"), stale);
	igt_assert_eq_u64(iommu_faults(), faults);
	free_on_demand(&d);
}

/* The folder that the tests and what belongs to them are in. */
static const char *own_folder(void)
{
	static char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	igt_assert_lt(0, n);
	path[n] = 0;
	*strrchr(path, '/') = 0;
	return path;
}

/* On perftest's port. */
static void wait_for_server(void)
{
	uint64_t end = now_ms() + 60000;

	while (system("grep -qs ':4853 [0-9A-F]*:0000 0A' /proc/net/tcp /proc/net/tcp6")) {
		igt_assert_lt(now_ms(), end);
		usleep(100000);
	}
}

/* Reads what is said until the end, and how often buffers have moved; the program's status. */
static int wait_for_end(FILE *said, int *moves)
{
	char line[512];

	*moves = 0;
	while (fgets(line, sizeof(line), said)) {
		if (!strncmp(line, "movable-run:", strlen("movable-run:")) && strstr(line, " with ")) {
			sscanf(strstr(line, " with "), " with %d moves", moves);
			igt_info("%s", line);
		} else {
			igt_debug("%s", line);
		}
	}
	return pclose(said);
}

static void test_perftest(unsigned int which)
{
	uint64_t stale = chaos_read(fd, "stale_writes"), faults = iommu_faults();
	struct peer_call call = { .op = PEER_PERFTEST, .seed = which };
	struct peer_answer answer;
	char under[PATH_MAX + 64], command[PATH_MAX + 256];
	FILE *server;
	int moves, status;

	snprintf(under, sizeof(under), "%s/movable-run --by-pointer", own_folder());
	peer_perftest(command, sizeof(command), under, which, "");
	chaos_write(fd, "poison", "1");
	server = popen(command, "r");
	igt_assert(server);
	wait_for_server();
	igt_assert(peer_send(peer, &call, sizeof(call)));
	igt_assert(peer_receive(peer, &answer, sizeof(answer)));
	status = wait_for_end(server, &moves);
	chaos_write(fd, "poison", "0");
	igt_assert_eq(answer.status, 0);
	igt_assert_eq(status, 0);
	igt_assert_lte(10, moves);
	igt_assert_eq_u64(chaos_read(fd, "stale_writes"), stale);
	igt_assert_eq_u64(iommu_faults(), faults);
}

static void test_dies(void)
{
	struct on_demand d = make_on_demand();
	struct mover m;
	char byte;

	do_ask(PEER_PUT, d.p, SLOT, 5, d.mr);
	pattern_fill(d.p + SLOT, SLOT, 6);
	mover_start(&m, fd, d.handle);
	ask(PEER_DIE, d.p, SLOT, 5, d.mr);
	/* Of a machine without power nobody says that the connection has ended. */
	igt_assert_lte(recv(peer, &byte, 1, MSG_DONTWAIT), 0);
	sleep(3);
	while (mover_goes_on(&m, 0, 50))
		usleep(10000);
	mover_stop(&m);
	pattern_check(d.p, SLOT, 5);
	pattern_check(d.p + SLOT, SLOT, 6);
	igt_assert_eq_u64(vvram_info(fd, d.handle).held_pages, 0);
	free_on_demand(&d);
}

igt_main
{
	igt_fixture {
		struct end_want want = { .name = PEER_DEVICE };

		igt_require_f(getenv("NODE"), "there is no second machine (--peer)\n");
		fd = drm_open_driver(DRIVER_ANY);
		igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_PAGES,
			      "vvram was loaded without pages=1\n");
		/* Which names vrnic's provider alone. */
		unsetenv("RDMAV_DRIVERS");
		start_rxe(PEER_DEVICE, "eth0");
		open_end_as(&e, &want);
		igt_require_f(has_odp(e.ctx), "no regions on demand\n");
		peer = wait_for_peer();
		igt_assert(peer_connect(peer, &e));
	}

	igt_describe("Every byte is right, wherever the buffer was at the time.");
	igt_subtest("while-moving")
		test_while_moving();
	for (unsigned int i = 0; i < PEER_PERFTESTS; i++) {
		igt_describe("Programs that people measure RDMA with need not know of moves.");
		igt_subtest_f("perftest-%s", peer_perftests[i])
			test_perftest(i);
	}
	igt_describe("Nothing here waits for a machine that is gone.");
	igt_subtest("dies")
		test_dies();

	igt_fixture {
		close(peer);
		close_end(&e);
		igt_assert_eq(system("rdma link delete " PEER_DEVICE), 0);
		drm_close_driver(fd);
	}
}
