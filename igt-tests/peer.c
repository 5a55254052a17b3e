// SPDX-License-Identifier: MIT
/*
 * Does on one machine what a test on another one says (lib/peer.h): peer [ADDRESS]. Ends when
 * the test does.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "peer.h"
#include "rxe.h"

static struct end e;

/* The test may not have begun yet. */
static int call_test(const char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PEER_PORT) };
	uint64_t end = now_ms() + 300000;
	int fd;

	igt_assert_eq(inet_pton(AF_INET, address, &to.sin_addr), 1);
	do {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		igt_assert_fd(fd);
		if (!connect(fd, (struct sockaddr *)&to, sizeof(to)))
			return fd;
		close(fd);
		usleep(200000);
	} while (now_ms() < end);
	return -1;
}

static void die(struct ibv_send_wr *wr)
{
	/* Whoever waits for this machine's verdict is not to take it for a failure. */
	igt_assert_eq(system("echo 0 >/host/status; sync"), 0);
	for (int i = 0; i < 20; i++)
		do_send(&e, wr);
	igt_assert_eq(__post(&e, wr), 0);
	igt_assert_eq(system("echo b >/proc/sysrq-trigger"), 0);
	pause();
}

static int run_perftest(unsigned int which, const char *address)
{
	char client[256], command[512];

	igt_assert(which < PEER_PERFTESTS);
	peer_perftest(client, sizeof(client), "", which, address);
	/* What it says is of interest when it fails. */
	snprintf(command, sizeof(command), "%s >/tmp/perftest || { cat /tmp/perftest; false; }", client);
	return system(command);
}

static struct peer_answer answer(const struct peer_call *call)
{
	static const enum ibv_wr_opcode opcodes[] = {
		[PEER_PUT] = IBV_WR_RDMA_WRITE, [PEER_GET] = IBV_WR_RDMA_READ,
		[PEER_ADD] = IBV_WR_ATOMIC_FETCH_AND_ADD, [PEER_DIE] = IBV_WR_RDMA_WRITE,
	};
	struct ibv_sge sge = { (uintptr_t)e.mem, call->len, e.mr->lkey };
	struct ibv_send_wr wr = { .sg_list = &sge, .num_sge = 1 };
	struct peer_answer answer = {};

	igt_assert(call->op >= PEER_PUT && call->op <= PEER_DIE && call->len <= SIZE);
	wr.opcode = opcodes[call->op];
	if (call->op == PEER_ADD) {
		wr.wr.atomic.remote_addr = call->addr;
		wr.wr.atomic.rkey = call->rkey;
		wr.wr.atomic.compare_add = 1;
	} else {
		wr.wr.rdma.remote_addr = call->addr;
		wr.wr.rdma.rkey = call->rkey;
	}
	if (call->op == PEER_PUT)
		pattern_fill(e.mem, call->len, call->seed);
	if (call->op == PEER_DIE)
		die(&wr);
	answer.status = do_send(&e, &wr);
	if (call->op == PEER_GET)
		answer.wrong = pattern_find_bad(e.mem, call->len, call->seed, 1) >= 0;
	return answer;
}

int main(int argc, char **argv)
{
	const char *address = argc > 1 ? argv[1] : PEER_NET "1";
	struct end_want want = { .name = PEER_DEVICE };
	struct peer_answer said;
	struct peer_call call;
	int fd;

	unsetenv("RDMAV_DRIVERS");
	start_rxe(PEER_DEVICE, "eth0");
	open_end_as(&e, &want);
	fd = call_test(address);
	if (fd < 0) {
		fprintf(stderr, "peer: nobody answers\n");
		return 1;
	}
	if (!peer_connect(fd, &e)) {
		fprintf(stderr, "peer: the test went away\n");
		return 1;
	}
	while (peer_receive(fd, &call, sizeof(call))) {
		if (call.op == PEER_PERFTEST)
			said = (struct peer_answer) { .status = run_perftest(call.seed, address) };
		else
			said = answer(&call);
		if (!peer_send(fd, &said, sizeof(said)))
			break;
	}
	close(fd);
	close_end(&e);
	return 0;
}
