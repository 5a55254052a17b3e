// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic verbs hostile
 * Category: Core
 * Description: Clients of the RDMA device that are killed, that lie, and that race; and a
 *	device that leaves them. Whoever stands by has right bytes all the time.
 *
 * SUBTEST: killed-%s
 * Description: Of two processes in traffic, one or both are killed; nothing is left of them.
 * SUBTEST: leaves-%s
 * Description: The function leaves in traffic and comes back, over and over.
 * SUBTEST: scribbled
 * Description: Queues are written over with what looks like requests while bells ring.
 * SUBTEST: numbers
 * Description: Numbers of others are of no use to whoever knows them.
 * SUBTEST: mappings
 * Description: Queues are mapped as they are, or not at all; a mapping outlives its queue.
 * SUBTEST: inherited
 * Description: Files and queues in the hands of a child, or of a stranger.
 * SUBTEST: races
 * Description: Calls for one object from several threads, and its end among them.
 * SUBTEST: crowd
 * Description: One who has more queue pairs waiting than there are workers holds up nobody.
 * SUBTEST: third-party
 * Description: One who sends to where another one's message waits for a buffer ends at once.
 * SUBTEST: unloaded
 * Description: The module goes while clients have contexts and mapped queues.
 */

#include <rdma/ib_user_verbs.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "module.h"
#include "verbs.h"

IGT_TEST_DESCRIPTION("Clients of the RDMA device that are up to no good.");

static int fd = -1, nic = -1, monitor = -1;
static char function[64];

/* Objects of all clients of all devices, by ib_core's own count. */
static char *resources(void)
{
	static char text[2][512];
	static unsigned int which;
	char *out = text[which++ % 2];
	/* A device that comes back has another number, which is in front. */
	FILE *f = popen("rdma resource show | sed 's/^[0-9]*: //'", "r");
	size_t n;

	igt_assert(f);
	n = fread(out, 1, sizeof(text[0]) - 1, f);
	out[n] = 0;
	igt_assert_eq(pclose(f), 0);
	igt_assert(n);
	return out;
}

/* What there was before any test, of others; the devices of the network. */
static char at_first[512], at_first_netdev[128];

/* As at first, a moment later at most. */
static void check_nothing_left(void)
{
	uint64_t end = now_ms() + 60000;

	while (strcmp(resources(), at_first) && now_ms() < end)
		usleep(50000);
	igt_assert_f(!strcmp(resources(), at_first), "%sis left, at first there was\n%s",
		     resources(), at_first);
	igt_assert_eq(vrnic_query(nic).mrs, 0);
}

/* A pair that has nothing to do with it all; no asserts: it is a thread. */
struct bystander {
	struct end a, b;
	volatile bool stop;
	volatile uint64_t rounds;
	volatile int error;
	pthread_t thread;
};

static bool stand_by_once(struct bystander *s)
{
	struct ibv_sge sge = { (uintptr_t)s->a.mem, SIZE, s->a.mr->lkey };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_RDMA_WRITE, .sg_list = &sge, .num_sge = 1,
		.wr.rdma = { (uintptr_t)s->b.mem, s->b.mr->rkey },
	}, *bad;
	uint64_t end = now_ms() + 60000;
	struct ibv_wc wc;
	int n;

	pattern_fill(s->a.mem, SIZE, s->rounds);
	if (ibv_post_send(s->a.qp, &wr, &bad))
		return false;
	do {
		n = ibv_poll_cq(s->a.cq, 1, &wc);
	} while (!n && now_ms() < end);
	return n == 1 && !wc.status && pattern_find_bad(s->b.mem, SIZE, s->rounds, 7) < 0;
}

static void *stand_by(void *arg)
{
	struct bystander *s = arg;

	while (!s->stop && !s->error) {
		s->error = !stand_by_once(s);
		s->rounds++;
		usleep(2000);
	}
	return NULL;
}

static void start_bystander(struct bystander *s)
{
	memset(s, 0, sizeof(*s));
	open_pair(&s->a, &s->b);
	igt_assert_eq(pthread_create(&s->thread, NULL, stand_by, s), 0);
}

static void stop_bystander(struct bystander *s)
{
	uint64_t rounds = s->rounds, end = now_ms() + 60000;

	/* Still at work. */
	while (s->rounds < rounds + 2 && !s->error && now_ms() < end)
		usleep(1000);
	s->stop = true;
	pthread_join(s->thread, NULL);
	igt_assert_eq(s->error, 0);
	igt_assert_lt(rounds, s->rounds);
	close_end(&s->a);
	close_end(&s->b);
}

/* More of them than a workqueue has workers. */
#define CROWD		1100
#define CROWD_MS	5000

static struct ibv_qp *join_crowd(struct end *e)
{
	struct ibv_qp_init_attr init = {
		.cap = { .max_send_wr = 1, .max_send_sge = 1 }, .qp_type = IBV_QPT_UD,
		.sq_sig_all = 1, .send_cq = e->cq, .recv_cq = e->cq,
	};
	struct end one = *e;

	one.qp = ibv_create_qp(e->pd, &init);
	igt_assert(one.qp);
	bring_to(&one, e, IBV_QPS_RTS);
	return one.qp;
}

/* Datagrams to where nobody receives, from a buffer that is on its way. */
static void crowd_sends(struct end *e, struct movable *m, struct ibv_qp **qp)
{
	struct ibv_sge sge = { 0, 64, m->mr->lkey };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1,
		.wr.ud = { e->ah, e->qp->qp_num, QKEY },
	}, *bad;
	int i;

	for (i = 0; i < CROWD; i++)
		igt_assert_eq(ibv_post_send(qp[i], &wr, &bad), 0);
}

/* Too much for who posts it: it takes a worker. False when the crowd does not wait any more. */
static bool check_bystanders(struct end *a, struct end *b, struct ibv_cq *crowd)
{
	uint64_t begin = now_ms();

	if (!is_idle(crowd))
		return false;
	igt_assert_eq(rdma(a, IBV_WR_RDMA_WRITE, (uintptr_t)b->mem, b->mr->rkey, SIZE), 0);
	igt_info("%" PRIu64 " ms\n", now_ms() - begin);
	/* However long it took: before the crowd's turn. */
	igt_assert(is_idle(crowd));
	return true;
}

static void test_crowd(void)
{
	struct end_want want = { .type = IBV_QPT_UD, .cqe = CROWD };
	struct ibv_qp *qp[CROWD];
	struct end e, a, b;
	struct movable m;
	bool waits;
	int i, n;

	igt_require(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC);
	open_end_as(&e, &want);
	connect_ends(&e, &e);
	open_pair(&a, &b);
	m = make_movable(fd, &e);
	for (i = 0; i < CROWD; i++)
		qp[i] = join_crowd(&e);

	/* Workers are made one by one, for all clients: those of the first time stay. */
	for (i = 0; i < 2; i++) {
		send_away(&m, i ? VRAM : SYSTEM, CROWD_MS);
		crowd_sends(&e, &m, qp);
		waits = !i || check_bystanders(&a, &b, e.cq);
		/* Else one has been taken. */
		for (n = waits ? 0 : 1; n < CROWD; n++)
			igt_assert_eq(wait_wc(&e).status, 0);
	}

	for (i = 0; i < CROWD; i++)
		igt_assert_eq(ibv_destroy_qp(qp[i]), 0);
	free_movable(&m);
	close_end(&e);
	close_end(&a);
	close_end(&b);
	igt_require_f(waits, "a machine too slow for a crowd\n");
}

static void send_datagram(struct end *e)
{
	struct ibv_sge sge = { (uintptr_t)e->mem, 64, e->mr->lkey };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1,
		.wr.ud = { e->ah, e->to, QKEY },
	};

	igt_assert_eq(__post(e, &wr), 0);
	usleep(100000);
}

static void test_third_party(void)
{
	struct end_want want = { .type = IBV_QPT_UD };
	struct ibv_recv_wr recv = { .num_sge = 1 }, *bad;
	struct end to, from[2];
	struct ibv_sge sge;
	struct movable m;
	uint64_t start;
	int i;

	igt_require(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC);
	open_end_as(&to, &want);
	for (i = 0; i < 2; i++) {
		open_end_as(&from[i], &want);
		connect_ends(&from[i], &to);
	}
	m = make_movable(fd, &to);
	sge = (struct ibv_sge){ 0, 1024, m.mr->lkey };
	recv.sg_list = &sge;
	for (i = 0; i < 2; i++)
		igt_assert_eq(ibv_post_recv(to.qp, &recv, &bad), 0);

	start = now_ms();
	send_away(&m, SYSTEM, AWAY_MS);
	for (i = 0; i < 2; i++)
		send_datagram(&from[i]);
	igt_assert_eq(ibv_destroy_qp(from[1].qp), 0);
	from[1].qp = NULL;
	igt_assert_lt(now_ms() - start, SOON_MS);

	free_movable(&m);
	close_end(&from[0]);
	close_end(&from[1]);
	close_end(&to);
}

/* What one process tells the other of its end. */
struct card {
	uint32_t qpn, rkey;
	uint64_t addr;
};

static struct card card_of(struct end *e)
{
	return (struct card){ e->qp->qp_num, e->mr->rkey, (uintptr_t)e->mem };
}

/* False when the other one was killed before. */
static bool exchange(int sock, struct end *e, struct card *theirs)
{
	struct ibv_qp_attr attr = attr_of(e, e);
	struct card mine = card_of(e);
	char go;

	if (send(sock, &mine, sizeof(mine), MSG_NOSIGNAL) != sizeof(mine) ||
	    read(sock, theirs, sizeof(*theirs)) != sizeof(*theirs))
		return false;
	attr.dest_qp_num = theirs->qpn;
	attr.retry_cnt = 7;
	attr.timeout = 12;
	igt_assert_eq(__bring_to(e, attr, IBV_QPS_RTS), 0);
	/* Both are ready. */
	return send(sock, "!", 1, MSG_NOSIGNAL) == 1 && read(sock, &go, 1) == 1;
}

/* To and from the other process until that is gone: 0 for the status that goes with it. */
static int traffic_with_peer(void *arg)
{
	/* The one of this end, and the other. */
	int *sock = arg;
	enum ibv_wc_status status = 0;
	struct card to;
	struct end end, *e = &end;
	uint64_t n;

	close(sock[1]);
	open_end(e);
	if (!exchange(sock[0], e, &to))
		return 0;
	for (n = 0; !status; n++)
		status = rdma(e, n % 2 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE, to.addr, to.rkey,
			      SIZE);
	/* It may be met while its objects go, one after the other. */
	if (status != IBV_WC_RETRY_EXC_ERR && status != IBV_WC_REM_ACCESS_ERR)
		return 2;
	return state_of(e) == IBV_QPS_ERR ? 0 : 3;
}

static void test_killed(bool both)
{
	struct bystander s;
	int sock[2], status, i;
	pid_t a, b;

	start_bystander(&s);
	for (i = 0; i < 10; i++) {
		igt_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sock), 0);
		a = fork_child(traffic_with_peer, sock);
		b = fork_child(traffic_with_peer, (int []){ sock[1], sock[0] });
		close(sock[0]);
		close(sock[1]);
		usleep(300000 + i * 20000);
		kill(a, SIGKILL);
		if (both)
			kill(b, SIGKILL);
		igt_assert_eq(waitpid(a, NULL, 0), a);
		igt_assert_eq(waitpid(b, &status, 0), b);
		igt_assert_f(both || !status, "the one that is left: %x\n", status);
	}
	stop_bystander(&s);
	check_nothing_left();
}

static void order(const char *command)
{
	monitor_order(monitor, command);
}

static bool is_there(void)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", function);
	return !access(path, F_OK);
}

static void wait_there(bool there)
{
	uint64_t end = now_ms() + 60000;

	while (is_there() != there && now_ms() < end)
		usleep(5000);
	igt_assert_eq(is_there(), there);
}

static void function_write(const char *what)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", function, what);
	igt_assert_eq(__debugfs_write(path, "1"), 0);
}

static void leave_unbind(void)
{
	driver_write(VRNIC_DRIVER, "unbind", function);
}

static void leave_remove(void)
{
	function_write("remove");
}

static void come_rescan(void)
{
	igt_assert_eq(__debugfs_write("/sys/bus/pci/rescan", "1"), 0);
	wait_there(true);
}

static void leave_unplug(void)
{
	order("device_del edu0");
	wait_there(false);
}

/* The slot may be empty here before it is so for the machine. */
static void come_plug(void)
{
	uint64_t end = now_ms() + 60000;

	while (!is_there() && now_ms() < end) {
		order("device_add edu,id=edu0,bus=port2,dma_mask=0xffffffffffffffff");
		usleep(1000000);
	}
	wait_there(true);
}

static void come_nothing(void)
{
}

static const struct way {
	const char *name;
	void (*leave)(void);
	void (*back)(void);
} ways[] = {
	{ "unbind", leave_unbind, come_nothing },
	{ "remove", leave_remove, come_rescan },
	{ "unplug", leave_unplug, come_plug },
};

/* Traffic of all kinds, until the device has gone; without asserts on what it gets. */
static int traffic_until_gone(void *arg)
{
	int ready = *(int *)arg;
	struct ibv_async_event event;
	struct movable m;
	struct end a, b;
	struct ibv_wc wc;
	uint64_t end, n;

	open_pair(&a, &b);
	m = make_movable(fd, &b);
	igt_assert_eq(write(ready, "!", 1), 1);
	for (n = 0, end = now_ms() + 120000; now_ms() < end; n++) {
		struct ibv_sge sge = { (uintptr_t)a.mem, SIZE, a.mr->lkey };
		struct ibv_send_wr wr = {
			.opcode = n % 3 ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE, .sg_list = &sge,
			.num_sge = 1, .wr.rdma = { 0, m.mr->rkey },
		};

		__post(&a, &wr);
		ibv_poll_cq(a.cq, 1, &wc);
		if (n % 64 == 0)
			__vvram_move(fd, m.handle, n % 128 ? VRAM : SYSTEM);
		if (!ibv_get_async_event(a.ctx, &event) &&
		    event.event_type == IBV_EVENT_DEVICE_FATAL)
			break;
	}
	/* Some end what they have, others leave that to their own end. */
	if (getpid() % 2) {
		free_movable(&m);
		close_end(&a);
		close_end(&b);
	}
	return now_ms() < end ? 0 : 1;
}

static bool can_plug(void)
{
	const char *machine = getenv("MACHINE");

	return monitor >= 0 && machine &&
	       (!strcmp(machine, "p2p") || !strcmp(machine, "p2p-virtio-iommu") ||
		!strcmp(machine, "no-p2p"));
}

static void test_leaves(const struct way *way)
{
	const char *asked = getenv("REPLUG_ROUNDS");
	int rounds = asked ? atoi(asked) : 10, ready[2], i, status;
	char go;
	pid_t pids[2];
	unsigned int k;

	igt_assert_lt(0, rounds);
	igt_require_f(bound_function(VRNIC_DRIVER, function), "there is no PCI function\n");
	igt_require_f(way->leave != leave_unplug || can_plug(), "the machine takes no orders\n");
	igt_assert_eq(pipe(ready), 0);
	close(nic);
	for (i = 0; i < rounds; i++) {
		for (k = 0; k < ARRAY_LEN(pids); k++)
			pids[k] = fork_child(traffic_until_gone, &ready[1]);
		for (k = 0; k < ARRAY_LEN(pids); k++)
			igt_assert_eq(read(ready[0], &go, 1), 1);
		usleep(i % 10 * 30000);
		way->leave();
		for (k = 0; k < ARRAY_LEN(pids); k++) {
			igt_assert_eq(waitpid(pids[k], &status, 0), pids[k]);
			igt_assert_eq(status, 0);
		}
		way->back();
		bind_again(VRNIC_DRIVER, function);
		wait_verbs();
	}
	close(ready[0]);
	close(ready[1]);
	nic = vrnic_open();
	check_nothing_left();
}

/* What looks like requests, now and then; the seed makes the rest. */
struct scribbler {
	struct end *a, *b;
	uint32_t seed;
	volatile bool stop;
	pthread_t thread;
};

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static uint64_t likely(struct scribbler *s)
{
	uint32_t keys[] = { s->a->mr->lkey, s->a->mr->rkey, s->b->mr->lkey, s->b->mr->rkey };

	switch (next(&s->seed) % 8) {
	case 0:
		return keys[next(&s->seed) % 4];
	case 1:
		return (uintptr_t)s->a->mem + next(&s->seed) % SIZE;
	case 2:
		return (uintptr_t)s->b->mem + next(&s->seed) % SIZE / 8 * 8;
	case 3:
		return next(&s->seed) % 16;
	case 4:
		return (uint64_t)keys[next(&s->seed) % 4] << 32 | next(&s->seed) % SIZE;
	case 5:
		return next(&s->seed) % 16 | (uint64_t)(next(&s->seed) % 16) << 32;
	case 6:
		return 0;
	default:
		return (uint64_t)next(&s->seed) << 40 | next(&s->seed);
	}
}

static void scribble(void *from, size_t size, void *arg)
{
	struct vrnic_verbs_ring_head *head = from;
	uint64_t *slots = (uint64_t *)(head + 1);
	struct scribbler *s = arg;
	unsigned int i;

	for (i = 0; i < 32; i++)
		slots[next(&s->seed) % ((size - sizeof(*head)) / 8)] = likely(s);
	/* Most of the time a counter that makes sense. */
	if (next(&s->seed) % 8)
		head->producer = head->consumer + next(&s->seed) % 8;
	else
		head->producer = next(&s->seed);
	if (!(next(&s->seed) % 8))
		head->consumer = head->producer - next(&s->seed) % 8;
	if (!(next(&s->seed) % 8))
		head->flags = next(&s->seed);
}

static void *keep_scribbling(void *arg)
{
	struct scribbler *s = arg;

	while (!s->stop) {
		visit_rings(scribble, s);
		usleep(200);
	}
	return NULL;
}

static void be_scribbling(int child)
{
	static const enum ibv_qp_type types[] = { IBV_QPT_RC, IBV_QPT_UC, IBV_QPT_UD };
	struct end_want want = { .type = types[child % 3], .srq = child > 2 ? 32 : 0 };
	struct scribbler s = { .seed = child * 12345 + 1 };
	struct end a, b;
	int i;

	open_end_as(&a, &want);
	open_end_as(&b, &want);
	connect_ends(&a, &b);
	s.a = &a;
	s.b = &b;
	igt_assert_eq(pthread_create(&s.thread, NULL, keep_scribbling, &s), 0);
	for (i = 0; i < 1500; i++) {
		ring_bell(i % 3 ? &a : &b, i % 5 ? IB_USER_VERBS_CMD_POST_SEND :
						   IB_USER_VERBS_CMD_POST_RECV);
		if (state_of(&a) == IBV_QPS_ERR || state_of(&b) == IBV_QPS_ERR)
			connect_ends(&a, &b);
		take_event(&a);
		take_event(&b);
		usleep(500);
	}
	s.stop = true;
	pthread_join(s.thread, NULL);
	/* Polling what was written over is the client's own affair: no provider's call more. */
	_exit(0);
}

static void test_scribbled(void)
{
	struct bystander s;

	/* Its queues are not in the children: they are mapped after the fork. */
	igt_fork(child, 4)
		be_scribbling(child);
	start_bystander(&s);
	igt_waitchildren();
	stop_bystander(&s);
	check_nothing_left();
}

/* A victim that tells all its numbers, and has its memory looked at by the parent. */
static int be_victim(void *arg)
{
	int sock = *(int *)arg;
	struct card mine;
	struct end e;
	char go;

	open_end(&e);
	memset(e.mem, 0xcc, SIZE);
	connect_ends(&e, &e);
	post_recv(&e, 1, SIZE, e.mr->lkey);
	mine = card_of(&e);
	igt_assert_eq(write(sock, &mine, sizeof(mine)), sizeof(mine));
	igt_assert_eq(read(sock, &go, 1), 1);
	igt_assert_eq(e.mem[0], 0xcc);
	igt_assert_eq(e.mem[SIZE - 1], 0xcc);
	igt_assert(is_idle(e.cq));
	igt_assert_eq(state_of(&e), IBV_QPS_RTS);
	igt_assert_eq(take_event(&e), -1);
	return 0;
}

static void check_handles(struct end *e)
{
	uint32_t handle = e->qp->handle;
	int i;

	/* Of objects of another kind, of none. */
	for (i = 1; i < 64; i++) {
		e->qp->handle = handle + i;
		igt_assert_neq(__set_state(e, IBV_QPS_ERR), 0);
		igt_assert_neq(ring_bell(e, IB_USER_VERBS_CMD_POST_SEND), 0);
	}
	e->qp->handle = handle;
}

static void test_numbers(void)
{
	struct ibv_qp_attr attr;
	struct card victim;
	int sock[2], status;
	struct end a, b;
	pid_t pid;

	igt_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sock), 0);
	pid = fork_child(be_victim, &sock[1]);
	igt_assert_eq(read(sock[0], &victim, sizeof(victim)), sizeof(victim));
	open_pair(&a, &b);
	check_handles(&a);
	/* Its key, by a connection of our own. */
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, victim.addr, victim.rkey, 64),
		      IBV_WC_REM_ACCESS_ERR);
	/* Its queue pair, which has not named us. */
	attr = attr_of(&a, &b);
	attr.dest_qp_num = victim.qpn;
	igt_assert_eq(__bring_to(&a, attr, IBV_QPS_RTS), 0);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, victim.addr, victim.rkey, 64),
		      IBV_WC_RETRY_EXC_ERR);
	igt_assert_eq(__bring_to(&a, attr, IBV_QPS_RTS), 0);
	igt_assert_eq(send_bytes(&a, 1, 64), IBV_WC_RETRY_EXC_ERR);
	igt_assert_eq(write(sock[0], "!", 1), 1);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq(status, 0);
	close_end(&a);
	close_end(&b);
}

/* Where a queue of this process is mapped from. */
static bool ring_offset(uint64_t *offset, size_t *size, void **at)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long from = 0, to = 0, off = 0;
	bool found = false;
	char line[512];

	igt_assert(f);
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, "uverbs") &&
			sscanf(line, "%lx-%lx rw-s %lx", &from, &to, &off) == 3;
	fclose(f);
	*offset = off;
	*size = to - from;
	*at = (void *)from;
	return found;
}

static void refuse_map(int file, size_t size, int prot, int flags, uint64_t offset)
{
	igt_assert(mmap(NULL, size, prot, flags, file, offset) == MAP_FAILED);
}

static void test_mappings(void)
{
	int rw = PROT_READ | PROT_WRITE, file, status;
	uint32_t *again;
	uint64_t offset;
	size_t size;
	struct end a, b;
	void *ring;
	pid_t pid;

	open_pair(&a, &b);
	igt_assert(ring_offset(&offset, &size, &ring));
	/* Of one of the two. */
	file = a.ctx->cmd_fd;
	again = mmap(NULL, size, rw, MAP_SHARED, file, offset);
	if (again == MAP_FAILED) {
		file = b.ctx->cmd_fd;
		again = mmap(NULL, size, rw, MAP_SHARED, file, offset);
	}
	igt_assert(again != MAP_FAILED);
	refuse_map(file, size + 4096, rw, MAP_SHARED, offset);
	refuse_map(file, size, rw, MAP_PRIVATE, offset);
	refuse_map(file, size, rw, MAP_SHARED, 1ULL << 40);
	refuse_map(file, size, rw, MAP_SHARED, offset + MIB(1));
	if (size > 4096) {
		refuse_map(file, size - 4096, rw, MAP_SHARED, offset);
		refuse_map(file, size, rw, MAP_SHARED, offset + 4096);
	}
	/* There is nothing behind it. */
	igt_assert(mremap(again, size, size + 4096, MREMAP_MAYMOVE) == MAP_FAILED);
	/* Some are left when the queue is no more, in a child as well. */
	pid = fork();
	igt_assert_lte(0, pid);
	if (!pid) {
		usleep(500000);
		memset(again, 0x55, size);
		_exit(0);
	}
	close_end(&a);
	close_end(&b);
	memset(again, 0xaa, size);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq(status, 0);
	munmap(again, size);
	open_pair(&a, &b);
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)b.mem, b.mr->rkey, SIZE), 0);
	close_end(&a);
	close_end(&b);
}

static void send_fd(int sock, int file)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &file, sizeof(file));
	igt_assert_eq(sendmsg(sock, &msg, 0), 1);
}

static int receive_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int file;

	igt_assert_eq(recvmsg(sock, &msg, 0), 1);
	igt_assert(CMSG_FIRSTHDR(&msg));
	memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(file));
	return file;
}

/* One who was given the file: its owner is gone by then. */
static int be_stranger(void *arg)
{
	int *sock = arg;
	char c;

	close(sock[0]);
	receive_fd(sock[1]);
	while (read(sock[1], &c, 1) > 0)
		;
	usleep(200000);
	return 0;
}

/* It has its parent's queues, but the file takes write commands of its opener only. */
static int be_heir(void *arg)
{
	struct end *e = arg;

	igt_assert_eq(ring_bell(e, IB_USER_VERBS_CMD_POST_SEND), EACCES);
	visit_rings(scribble, &(struct scribbler){ .a = e, .b = e, .seed = getpid() });
	return 0;
}

static int be_owner(void *arg)
{
	int *sock = arg, status;
	struct end a, b;
	pid_t pid;

	close(sock[1]);
	open_pair(&a, &b);
	make_movable(fd, &b);
	pid = fork_child(be_heir, &a);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq(status, 0);
	send_fd(sock[0], a.ctx->cmd_fd);
	return 0;
}

static void test_inherited(void)
{
	int sock[2], status, i, k;
	pid_t pids[2];

	for (i = 0; i < 5; i++) {
		igt_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sock), 0);
		pids[0] = fork_child(be_stranger, sock);
		pids[1] = fork_child(be_owner, sock);
		close(sock[0]);
		close(sock[1]);
		for (k = 0; k < 2; k++) {
			igt_assert_eq(waitpid(pids[k], &status, 0), pids[k]);
			igt_assert_eq(status, 0);
		}
	}
	check_nothing_left();
}

struct racer {
	struct end *e, *to;
	volatile bool stop;
	pthread_t thread;
};

/* No asserts: what comes first is anybody's guess. */
static void *race_modify(void *arg)
{
	struct racer *r = arg;
	struct ibv_qp_attr attr = attr_of(r->e, r->to);
	unsigned int n;

	for (n = 0; !r->stop; n++)
		__bring_to(r->e, attr, n % 3 ? IBV_QPS_RTS : IBV_QPS_ERR);
	return NULL;
}

static void *race_poll(void *arg)
{
	struct racer *r = arg;
	struct ibv_wc wc[8];

	while (!r->stop)
		ibv_poll_cq(r->e->cq, 8, wc);
	return NULL;
}

static void check_modify_race(void)
{
	struct racer racers[4];
	struct end a, b;
	unsigned int i;

	open_pair(&a, &b);
	for (i = 0; i < 4; i++) {
		racers[i] = (struct racer){ .e = i % 2 ? &b : &a, .to = i % 2 ? &a : &b };
		igt_assert_eq(pthread_create(&racers[i].thread, NULL, race_modify, &racers[i]), 0);
	}
	for (i = 0; i < 2000; i++) {
		struct ibv_sge sge = { (uintptr_t)a.mem, 4096, a.mr->lkey };
		struct ibv_send_wr wr = {
			.opcode = i % 2 ? IBV_WR_SEND : IBV_WR_RDMA_WRITE, .sg_list = &sge,
			.num_sge = 1, .wr.rdma = { (uintptr_t)b.mem, b.mr->rkey },
		};

		__post(&a, &wr);
		__post_recv(&b, i, 4096, b.mr->lkey);
		ring_bell(i % 2 ? &a : &b, IB_USER_VERBS_CMD_POST_SEND);
	}
	for (i = 0; i < 4; i++) {
		racers[i].stop = true;
		pthread_join(racers[i].thread, NULL);
	}
	/* Of use as before. */
	connect_ends(&a, &b);
	while (!is_idle(a.cq) || !is_idle(b.cq))
		;
	igt_assert_eq(rdma(&a, IBV_WR_RDMA_WRITE, (uintptr_t)b.mem, b.mr->rkey, SIZE), 0);
	close_end(&a);
	close_end(&b);
}

/* Queue pairs come and go in the sight of who polls for them, and of who sends to them. */
static void check_destroy_race(void)
{
	struct racer poller;
	struct end a, b;
	unsigned int i;

	open_pair(&a, &b);
	poller = (struct racer){ .e = &b };
	igt_assert_eq(pthread_create(&poller.thread, NULL, race_poll, &poller), 0);
	for (i = 0; i < 100; i++) {
		struct ibv_qp_init_attr init = {
			.cap = { .max_send_wr = 8, .max_recv_wr = 8, .max_recv_sge = 1 },
			.qp_type = IBV_QPT_RC, .send_cq = b.cq, .recv_cq = b.cq,
		};
		struct ibv_sge sge = { (uintptr_t)a.mem, SIZE, a.mr->lkey };
		struct ibv_send_wr wr = {
			.opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1,
		};

		igt_assert_eq(ibv_destroy_qp(b.qp), 0);
		b.qp = ibv_create_qp(b.pd, &init);
		igt_assert(b.qp);
		connect_ends(&a, &b);
		__post_recv(&b, i, SIZE, b.mr->lkey);
		igt_assert_eq(__post(&a, &wr), 0);
		usleep(i % 10 * 50);
	}
	poller.stop = true;
	pthread_join(poller.thread, NULL);
	close_end(&a);
	close_end(&b);
}

static void test_races(void)
{
	check_modify_race();
	check_destroy_race();
	check_nothing_left();
}

/* It comes back as what it was, if that was on a network device. */
static void load_again(void)
{
	char parameters[256] = "", *netdev;

	if (at_first_netdev[0]) {
		netdev = strtok(at_first_netdev, "\n");
		snprintf(parameters, sizeof(parameters), "netdev=%s", netdev ?: "");
	}
	igt_assert_eq(__module_load("vrnic_verbs", parameters), 0);
}

static void test_unloaded(void)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = { .opcode = IBV_WR_RDMA_WRITE, .num_sge = 1 };
	struct movable m;
	struct end a, b;
	int i;

	igt_require(module_can_reload("vrnic_verbs"));
	snprintf(at_first_netdev, sizeof(at_first_netdev), "%s",
		 read_file("/sys/module/vrnic_verbs/parameters/netdev"));
	for (i = 0; i < 5; i++) {
		open_pair(&a, &b);
		m = make_movable(fd, &b);
		sge = (struct ibv_sge){ (uintptr_t)a.mem, SIZE, a.mr->lkey };
		wr.sg_list = &sge;
		wr.wr.rdma.rkey = m.mr->rkey;
		igt_assert_eq(__post(&a, &wr), 0);
		module_unload("vrnic_verbs");
		igt_assert(!__open_verbs("vrnic0"));
		igt_assert_eq(wait_event(&a), IBV_EVENT_DEVICE_FATAL);
		/* The queues are still mapped, and nobody's. */
		visit_rings(scribble, &(struct scribbler){ .a = &a, .b = &b });
		igt_assert_eq(__set_state(&a, IBV_QPS_ERR), EIO);
		load_again();
		wait_verbs();
		free_movable(&m);
		close_end(&a);
		close_end(&b);
	}
	check_nothing_left();
}

igt_main {
	igt_fixture {
		snprintf(at_first, sizeof(at_first), "%s", resources());
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		require_verbs();
		monitor = open_monitor();
		if (!bound_function(VRNIC_DRIVER, function))
			function[0] = 0;
	}

	igt_describe("One end is gone, the other one is told.");
	igt_subtest_f("killed-%s", "one")
		test_killed(false);
	igt_describe("Nothing is left of either end.");
	igt_subtest_f("killed-%s", "both")
		test_killed(true);
	igt_describe("What is written into queues harms nobody else.");
	igt_subtest("scribbled")
		test_scribbled();
	igt_describe("Numbers are no rights.");
	igt_subtest("numbers")
		test_numbers();
	igt_describe("Pages of queues, and nothing else.");
	igt_subtest("mappings")
		test_mappings();
	igt_describe("Whoever has the file last.");
	igt_subtest("inherited")
		test_inherited();
	igt_describe("Objects that change and go while they are in use.");
	igt_subtest("races")
		test_races();
	igt_describe("Who waits is not waited for by others.");
	igt_subtest("third-party")
		test_third_party();
	igt_describe("A crowd that waits is in nobody's way.");
	igt_subtest("crowd")
		test_crowd();
	igt_describe("Contexts of a module that is no more.");
	igt_subtest("unloaded")
		test_unloaded();
	for (unsigned int i = 0; i < ARRAY_LEN(ways); i++) {
		igt_describe("Clients are told, and leave nothing behind.");
		igt_subtest_f("leaves-%s", ways[i].name)
			test_leaves(&ways[i]);
	}

	igt_fixture {
		if (function[0]) {
			if (!is_there())
				come_rescan();
			bind_again(VRNIC_DRIVER, function);
		}
		close(monitor);
		close(nic);
		close(fd);
	}
}
