// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic verbs cm
 * Category: Core
 * Description: Connections of the importer by rdma_cm, over a network device's addresses.
 *
 * SUBTEST: port
 * Description: A port has the addresses and the state of its network device, which may go.
 * SUBTEST: connect
 * Description: Connections come and go, and bring what each side says of itself.
 * SUBTEST: data
 * Description: RDMA over a connection brings the right bytes while the buffer moves.
 * SUBTEST: datagrams
 * Description: Datagrams go to who was resolved, say who they are from, and can be answered.
 * SUBTEST: libfabric
 * Description: libfabric's regions of dma-bufs (FI_MR_DMABUF) bring the right bytes while the
 *	buffer moves.
 * SUBTEST: refused
 * Description: Each side learns what is wrong: no route, no listener, an answer of no.
 * SUBTEST: silence
 * Description: An address that nobody has ends with a timeout.
 * SUBTEST: users
 * Description: Processes of two users connect.
 * SUBTEST: killed
 * Description: Who is killed, connected or half-way, is missed at the other end.
 * SUBTEST: unbind
 * Description: A device that goes ends its identifiers, and comes back.
 * SUBTEST: no-netdev
 * Description: A device without a network device is resolved by no address.
 */

#include <arpa/inet.h>
#include <grp.h>
#include <netinet/ip.h>
#include <poll.h>
#include <rdma/rdma_cma.h>
#include <signal.h>
#include <sys/wait.h>

#include "libfabric.h"
#include "module.h"
#include "movable.h"

IGT_TEST_DESCRIPTION("Connections of the importer by rdma_cm.");

#define NETDEV	"mdb0"
#define ADDRESS	"10.77.0.1"
/* In the same network, but nobody's. */
#define NOBODY	"10.77.0.9"
#define PORT	7471
#define SIZE	KIB(256)
#define HEAD	40
#define ALL	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)

static int fd = -1, nic = -1;

/* An end of a connection, or a listener. */
struct peer {
	struct rdma_event_channel *channel;
	struct rdma_cm_id *id;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_mr *mr;
	uint8_t *mem;
};

static void run(const char *command)
{
	igt_assert_f(!system(command), "failed: %s\n", command);
}

static void add_netdev(void)
{
	run("ip link add " NETDEV " type dummy");
	run("ip addr add " ADDRESS "/24 dev " NETDEV);
	run("ip link set " NETDEV " up");
}

static struct sockaddr_in address_of(const char *name)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	igt_assert_eq(inet_pton(AF_INET, name, &addr.sin_addr), 1);
	return addr;
}

/* The next event, or one whose id is NULL. To be acknowledged when @id is not. */
static struct rdma_cm_event *__next_event(struct rdma_event_channel *channel, int timeout_ms)
{
	struct pollfd p = { .fd = channel->fd, .events = POLLIN };
	struct rdma_cm_event *event;

	if (poll(&p, 1, timeout_ms) != 1)
		return NULL;
	igt_assert_eq(rdma_get_cm_event(channel, &event), 0);
	return event;
}

/* Waits for an event, and returns its status. */
static int expect_within(struct peer *p, enum rdma_cm_event_type type, int timeout_ms)
{
	struct rdma_cm_event *event = __next_event(p->channel, timeout_ms);
	enum rdma_cm_event_type got;
	int status;

	igt_assert_f(event, "no %s came\n", rdma_event_str(type));
	got = event->event;
	status = event->status;
	igt_assert_eq(rdma_ack_cm_event(event), 0);
	igt_assert_f(got == type, "%s (%d) came instead of %s\n", rdma_event_str(got), status,
		     rdma_event_str(type));
	return status;
}

static int expect(struct peer *p, enum rdma_cm_event_type type)
{
	return expect_within(p, type, 60000);
}

static void open_id(struct peer *p, enum rdma_port_space space)
{
	*p = (struct peer){ .channel = rdma_create_event_channel() };
	igt_assert(p->channel);
	igt_assert_eq(rdma_create_id(p->channel, &p->id, NULL, space), 0);
}

static void close_id(struct peer *p)
{
	if (p->mr) {
		if (p->id->qp)
			rdma_destroy_qp(p->id);
		igt_assert_eq(ibv_dereg_mr(p->mr), 0);
		igt_assert_eq(ibv_destroy_cq(p->cq), 0);
		igt_assert_eq(ibv_dealloc_pd(p->pd), 0);
		munmap(p->mem, SIZE);
	}
	igt_assert_eq(rdma_destroy_id(p->id), 0);
	if (p->channel)
		rdma_destroy_event_channel(p->channel);
}

static void listen_on(struct peer *p, enum rdma_port_space space)
{
	struct sockaddr_in addr = address_of(ADDRESS);

	open_id(p, space);
	igt_assert_eq(rdma_bind_addr(p->id, (struct sockaddr *)&addr), 0);
	igt_assert_eq(rdma_listen(p->id, 8), 0);
}

static void make_qp(struct peer *p, enum ibv_qp_type type)
{
	struct ibv_qp_init_attr init = {
		.cap = {
			.max_send_wr = 16, .max_recv_wr = 16, .max_send_sge = 1, .max_recv_sge = 1,
		},
		.qp_type = type,
		.sq_sig_all = 1,
	};

	igt_assert(p->id->verbs);
	p->pd = ibv_alloc_pd(p->id->verbs);
	igt_assert(p->pd);
	p->cq = ibv_create_cq(p->id->verbs, 32, NULL, NULL, 0);
	igt_assert(p->cq);
	init.send_cq = p->cq;
	init.recv_cq = p->cq;
	igt_assert_eq(rdma_create_qp(p->id, p->pd, &init), 0);
	p->mem = alloc_pages(SIZE);
	p->mr = ibv_reg_mr(p->pd, p->mem, SIZE, ALL);
	igt_assert(p->mr);
}

static void resolve(struct peer *p, const char *name)
{
	struct sockaddr_in addr = address_of(name);

	igt_assert_eq(rdma_resolve_addr(p->id, NULL, (struct sockaddr *)&addr, 5000), 0);
	igt_assert_eq(expect(p, RDMA_CM_EVENT_ADDR_RESOLVED), 0);
	igt_assert_eq(rdma_resolve_route(p->id, 5000), 0);
	igt_assert_eq(expect(p, RDMA_CM_EVENT_ROUTE_RESOLVED), 0);
}

static struct rdma_conn_param words(const char *text)
{
	return (struct rdma_conn_param) {
		.private_data = text,
		.private_data_len = strlen(text) + 1,
		.responder_resources = 1,
		.initiator_depth = 1,
		.retry_count = 7,
		.rnr_retry_count = 7,
	};
}

/* What came with an event: the event is acknowledged. */
static void check_words(struct peer *p, enum rdma_cm_event_type type, const char *text)
{
	struct rdma_cm_event *event = __next_event(p->channel, 60000);
	const struct rdma_conn_param *conn;

	igt_assert_f(event, "no %s came\n", rdma_event_str(type));
	igt_assert_f(event->event == type, "%s (%d)\n", rdma_event_str(event->event),
		     event->status);
	conn = &event->param.conn;
	igt_assert_lte(strlen(text) + 1, conn->private_data_len);
	igt_assert(!strcmp(conn->private_data, text));
	igt_assert_eq(rdma_ack_cm_event(event), 0);
}

/* A request that the listener got: @server is its identifier, on the listener's channel. */
static void take_request(struct peer *listener, struct peer *server, const char *text)
{
	struct rdma_cm_event *event = __next_event(listener->channel, 60000);

	igt_assert_f(event, "no request came\n");
	igt_assert_eq(event->event, RDMA_CM_EVENT_CONNECT_REQUEST);
	igt_assert(!strcmp(event->param.conn.private_data, text));
	*server = (struct peer){ .id = event->id };
	igt_assert_eq(rdma_ack_cm_event(event), 0);
}

static void own_channel(struct peer *p)
{
	p->channel = rdma_create_event_channel();
	igt_assert(p->channel);
	igt_assert_eq(rdma_migrate_id(p->id, p->channel), 0);
}

static void connect_peers(struct peer *listener, struct peer *client, struct peer *server)
{
	struct rdma_conn_param hello = words("from the client"), answer = words("of the server");

	open_id(client, RDMA_PS_TCP);
	resolve(client, ADDRESS);
	make_qp(client, IBV_QPT_RC);
	igt_assert_eq(rdma_connect(client->id, &hello), 0);
	take_request(listener, server, "from the client");
	own_channel(server);
	make_qp(server, IBV_QPT_RC);
	igt_assert_eq(rdma_accept(server->id, &answer), 0);
	check_words(client, RDMA_CM_EVENT_ESTABLISHED, "of the server");
	igt_assert_eq(expect(server, RDMA_CM_EVENT_ESTABLISHED), 0);
}

static struct ibv_wc wait_wc(struct peer *p)
{
	uint64_t end = now_ms() + 60000;
	struct ibv_wc wc;
	int n;

	do {
		n = ibv_poll_cq(p->cq, 1, &wc);
		igt_assert_lte(0, n);
		igt_assert_f(n || now_ms() < end, "no completion came\n");
		if (!n)
			usleep(100);
	} while (!n);
	return wc;
}

static enum ibv_wc_status rdma(struct peer *p, enum ibv_wr_opcode opcode, uint64_t addr,
			       uint32_t rkey)
{
	struct ibv_sge sge = { (uintptr_t)p->mem, SIZE, p->mr->lkey };
	struct ibv_send_wr wr = {
		.opcode = opcode, .sg_list = &sge, .num_sge = 1,
		.wr.rdma = { .remote_addr = addr, .rkey = rkey },
	}, *bad;

	igt_assert_eq(ibv_post_send(p->id->qp, &wr, &bad), 0);
	return wait_wc(p).status;
}

/* Writes a pattern to the other end, reads it back, and tells whether that went right. */
static bool round_trip(struct peer *p, uint64_t addr, uint32_t rkey, const uint8_t *there,
		       uint64_t seed)
{
	pattern_fill(p->mem, SIZE, seed);
	if (rdma(p, IBV_WR_RDMA_WRITE, addr, rkey))
		return false;
	memset(p->mem, 0xee, SIZE);
	if (rdma(p, IBV_WR_RDMA_READ, addr, rkey))
		return false;
	return pattern_find_bad(p->mem, SIZE, seed, 1) < 0 &&
	       pattern_find_bad(there, SIZE, seed, 1) < 0;
}

static void check_port(enum ibv_port_state state, const char *gid)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	uint64_t end = now_ms() + 20000;
	struct ibv_context *ctx = NULL;
	struct ibv_port_attr port;
	union ibv_gid got = {};
	char text[64] = "";
	int i, j;

	for (i = 0; list && list[i] && !ctx; i++)
		if (!strcmp(ibv_get_device_name(list[i]), "vrnic0"))
			ctx = ibv_open_device(list[i]);
	ibv_free_device_list(list);
	igt_assert(ctx);
	/* Addresses come and go by a worker. */
	do {
		usleep(10000);
		igt_assert_eq(ibv_query_port(ctx, 1, &port), 0);
		for (j = 0; j < port.gid_tbl_len; j++) {
			ibv_query_gid(ctx, 1, j, &got);
			inet_ntop(AF_INET6, &got, text, sizeof(text));
			if (!strcmp(text, "::ffff:" ADDRESS))
				break;
		}
		if (j == port.gid_tbl_len)
			text[0] = 0;
	} while ((port.state != state || strcmp(text, gid)) && now_ms() < end);
	igt_assert_eq(port.state, state);
	igt_assert_eq(port.link_layer, IBV_LINK_LAYER_ETHERNET);
	igt_assert_f(!strcmp(text, gid), "the address is '%s'\n", text);
	ibv_close_device(ctx);
}

static void test_port(void)
{
	struct peer listener, client, server;

	check_port(IBV_PORT_ACTIVE, "::ffff:" ADDRESS);
	listen_on(&listener, RDMA_PS_TCP);
	connect_peers(&listener, &client, &server);

	/* What is connected stays so: no packet ever went that way. */
	run("ip link del " NETDEV);
	check_port(IBV_PORT_DOWN, "");
	igt_assert(round_trip(&client, (uintptr_t)server.mem, server.mr->rkey, server.mem, 1));
	close_id(&client);
	close_id(&server);
	close_id(&listener);

	add_netdev();
	check_port(IBV_PORT_ACTIVE, "::ffff:" ADDRESS);
	run("ip link set " NETDEV " down");
	check_port(IBV_PORT_DOWN, "::ffff:" ADDRESS);
	run("ip link set " NETDEV " up");
	check_port(IBV_PORT_ACTIVE, "::ffff:" ADDRESS);
	listen_on(&listener, RDMA_PS_TCP);
	connect_peers(&listener, &client, &server);
	igt_assert(round_trip(&client, (uintptr_t)server.mem, server.mr->rkey, server.mem, 2));
	close_id(&client);
	close_id(&server);
	close_id(&listener);
}

static void test_connect(void)
{
	struct peer listener, client, server, *first, *second;
	int i;

	listen_on(&listener, RDMA_PS_TCP);
	for (i = 0; i < 20; i++) {
		connect_peers(&listener, &client, &server);
		igt_assert_neq(client.id->qp->qp_num, server.id->qp->qp_num);
		igt_assert(round_trip(&client, (uintptr_t)server.mem, server.mr->rkey, server.mem,
				      i));
		/* Either side may end it; the other one agrees. */
		first = i % 2 ? &client : &server;
		second = i % 2 ? &server : &client;
		igt_assert_eq(rdma_disconnect(first->id), 0);
		igt_assert_eq(expect(second, RDMA_CM_EVENT_DISCONNECTED), 0);
		igt_assert_eq(rdma_disconnect(second->id), 0);
		igt_assert_eq(expect(first, RDMA_CM_EVENT_DISCONNECTED), 0);
		igt_assert_eq(rdma(&client, IBV_WR_RDMA_WRITE, (uintptr_t)server.mem,
				   server.mr->rkey), IBV_WC_WR_FLUSH_ERR);
		close_id(&client);
		close_id(&server);
	}
	close_id(&listener);
}

/*
 * Bytes to a buffer and back by @trip while it moves, until @end at least; @before is of the
 * time before all that.
 */
static void check_moving(uint32_t handle, uint64_t end, const struct vrnic_counters *before,
			 bool (*trip)(void *arg, uint64_t seed), void *arg)
{
	uint32_t stays = vrnic_place_to_leave(fd, nic);
	struct vrnic_counters after;
	struct mover mover;
	uint64_t round;

	mover_start(&mover, fd, handle);
	for (round = 0; mover_goes_on(&mover, end, 200); round++)
		igt_assert_f(trip(arg, round), "round %" PRIu64 "\n", round);
	mover_stop(&mover);
	after = vrnic_query(nic).counters;
	igt_info("%d moves, %" PRIu64 " rounds\n", mover.moves, round);
	igt_assert_lt(20, after.invalidations - before->invalidations);
	igt_assert_eq_u64(after.dma_faults, before->dma_faults);

	/* The same check notices an importer that goes on with old addresses. */
	vvram_move(fd, handle, stays);
	igt_assert(trip(arg, 1));
	vrnic_misbehave("skip-invalidate");
	vvram_move(fd, handle, stays == VRAM ? SYSTEM : VRAM);
	igt_assert(!trip(arg, 2));
	vrnic_misbehave("none");
}

struct data_trip {
	struct peer *from;
	struct ibv_mr *to;
	const uint8_t *there;
};

static bool data_round(void *arg, uint64_t seed)
{
	struct data_trip *t = arg;

	return round_trip(t->from, 0, t->to->rkey, t->there, seed);
}

static void test_data(void)
{
	struct vrnic_counters before = vrnic_query(nic).counters;
	struct peer listener, client, server;
	struct data_trip trip = { .from = &client };
	uint64_t end = now_ms() + 2000;
	uint32_t handle;
	uint8_t *p;
	int dmabuf;

	listen_on(&listener, RDMA_PS_TCP);
	connect_peers(&listener, &client, &server);
	handle = vvram_create(fd, SIZE, VRAM);
	dmabuf = prime_handle_to_fd_for_mmap(fd, handle);
	p = vvram_mmap(fd, handle, SIZE);
	trip.there = p;
	trip.to = ibv_reg_dmabuf_mr(server.pd, 0, SIZE, 0, dmabuf, ALL);
	igt_assert(trip.to);

	check_moving(handle, end, &before, data_round, &trip);

	igt_assert_eq(ibv_dereg_mr(trip.to), 0);
	munmap(p, SIZE);
	close(dmabuf);
	gem_close(fd, handle);
	close_id(&client);
	close_id(&server);
	close_id(&listener);
}

struct fabric_trip {
	struct fabric_end *from;
	uint8_t *mem;
	struct fid_mr *local, *to;
	const uint8_t *there;
};

/* As round_trip(), by libfabric. */
static bool fabric_round(void *arg, uint64_t seed)
{
	struct fabric_trip *t = arg;

	pattern_fill(t->mem, SIZE, seed);
	if (fabric_write(t->from, t->mem, t->local, SIZE, 0, fi_mr_key(t->to)))
		return false;
	memset(t->mem, 0xee, SIZE);
	if (fabric_read(t->from, t->mem, t->local, SIZE, 0, fi_mr_key(t->to)))
		return false;
	return pattern_find_bad(t->mem, SIZE, seed, 1) < 0 &&
	       pattern_find_bad(t->there, SIZE, seed, 1) < 0;
}

static void test_libfabric(void)
{
	struct vrnic_counters before = vrnic_query(nic).counters;
	struct fabric_end client, server;
	struct fabric_trip trip = { .from = &client, .mem = alloc_pages(SIZE) };
	uint32_t handle;
	uint8_t *p;
	int dmabuf;

	open_fabric(&client, &server, ADDRESS, "7471");
	handle = vvram_create(fd, SIZE, VRAM);
	dmabuf = prime_handle_to_fd_for_mmap(fd, handle);
	p = vvram_mmap(fd, handle, SIZE);
	trip.there = p;
	trip.local = fabric_reg(&client, trip.mem, SIZE);
	trip.to = fabric_reg_dmabuf(&server, dmabuf, SIZE);

	check_moving(handle, 0, &before, fabric_round, &trip);

	igt_assert_eq(fi_close(&trip.local->fid), 0);
	igt_assert_eq(fi_close(&trip.to->fid), 0);
	close_fabric(&client, &server);
	munmap(p, SIZE);
	munmap(trip.mem, SIZE);
	close(dmabuf);
	gem_close(fd, handle);
}

static void post_recv(struct peer *p)
{
	struct ibv_sge sge = { (uintptr_t)p->mem, SIZE, p->mr->lkey };
	struct ibv_recv_wr wr = { .sg_list = &sge, .num_sge = 1 }, *bad;

	igt_assert_eq(ibv_post_recv(p->id->qp, &wr, &bad), 0);
}

static enum ibv_wc_status send_datagram(struct peer *p, struct ibv_ah *ah, uint32_t qpn,
					uint32_t qkey, uint32_t len)
{
	struct ibv_sge sge = { (uintptr_t)p->mem, len, p->mr->lkey };
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1,
		.wr.ud = { .ah = ah, .remote_qpn = qpn, .remote_qkey = qkey },
	}, *bad;

	igt_assert_eq(ibv_post_send(p->id->qp, &wr, &bad), 0);
	return wait_wc(p).status;
}

static uint16_t ip_sum(const void *head)
{
	const uint16_t *p = head;
	uint32_t sum = 0;
	int i;

	for (i = 0; i < 10; i++)
		sum += p[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* The head is one of IPv4, at the end of the room for one of IPv6. */
static void check_head(const uint8_t *mem, uint32_t len)
{
	struct iphdr ip;

	memcpy(&ip, mem + HEAD - sizeof(ip), sizeof(ip));
	igt_assert_eq(ip.version, 4);
	igt_assert_eq(ip.ihl, 5);
	igt_assert_eq(ip.protocol, IPPROTO_UDP);
	igt_assert_eq(ip.saddr, address_of(ADDRESS).sin_addr.s_addr);
	igt_assert_eq(ip.daddr, address_of(ADDRESS).sin_addr.s_addr);
	/* Its own, UDP's, two of the transport, the checksum. */
	igt_assert_eq(ntohs(ip.tot_len), 20 + 8 + 12 + 8 + len + 4);
	igt_assert_eq(ip_sum(&ip), 0);
	ip.ttl++;
	igt_assert_neq(ip_sum(&ip), 0);
}

/* Resolves a datagram's peer; its parameters as the client sees them. */
static struct rdma_ud_param connect_datagrams(struct peer *listener, struct peer *client,
					      struct peer *server)
{
	struct rdma_conn_param hello = words("datagrams"), answer = {};
	struct rdma_cm_event *event;
	struct rdma_ud_param ud;

	open_id(client, RDMA_PS_UDP);
	resolve(client, ADDRESS);
	make_qp(client, IBV_QPT_UD);
	igt_assert_eq(rdma_connect(client->id, &hello), 0);
	event = __next_event(listener->channel, 60000);
	igt_assert(event);
	igt_assert_eq(event->event, RDMA_CM_EVENT_CONNECT_REQUEST);
	igt_assert(!strcmp(event->param.ud.private_data, "datagrams"));
	*server = (struct peer){ .id = event->id };
	igt_assert_eq(rdma_ack_cm_event(event), 0);
	own_channel(server);
	make_qp(server, IBV_QPT_UD);
	answer.qp_num = server->id->qp->qp_num;
	igt_assert_eq(rdma_accept(server->id, &answer), 0);

	event = __next_event(client->channel, 60000);
	igt_assert(event);
	igt_assert_eq(event->event, RDMA_CM_EVENT_ESTABLISHED);
	ud = event->param.ud;
	igt_assert_eq(ud.qp_num, server->id->qp->qp_num);
	igt_assert_eq(rdma_ack_cm_event(event), 0);
	return ud;
}

static void test_datagrams(void)
{
	struct peer listener, client, server;
	struct ibv_ah *ah, *back, *foreign;
	struct rdma_ud_param ud;
	struct ibv_wc wc;

	listen_on(&listener, RDMA_PS_UDP);
	ud = connect_datagrams(&listener, &client, &server);
	ah = ibv_create_ah(client.pd, &ud.ah_attr);
	igt_assert(ah);

	post_recv(&server);
	pattern_fill(client.mem, KIB(1), 7);
	igt_assert_eq(send_datagram(&client, ah, ud.qp_num, ud.qkey, KIB(1)), IBV_WC_SUCCESS);
	wc = wait_wc(&server);
	igt_assert_eq(wc.status, IBV_WC_SUCCESS);
	igt_assert_eq(wc.byte_len, HEAD + KIB(1));
	igt_assert_eq(wc.src_qp, client.id->qp->qp_num);
	igt_assert(wc.wc_flags & IBV_WC_GRH);
	check_head(server.mem, KIB(1));
	igt_assert(!memcmp(server.mem + HEAD, client.mem, KIB(1)));

	/* An answer, to where the head says that it came from. */
	back = ibv_create_ah_from_wc(server.pd, &wc, (struct ibv_grh *)server.mem, 1);
	igt_assert(back);
	post_recv(&client);
	memset(server.mem, 0x5a, 100);
	igt_assert_eq(send_datagram(&server, back, wc.src_qp, ud.qkey, 100), IBV_WC_SUCCESS);
	wc = wait_wc(&client);
	igt_assert_eq(wc.byte_len, HEAD + 100);
	igt_assert_eq(client.mem[HEAD + 99], 0x5a);

	/* With another key it arrives nowhere; with an address of another domain it stays. */
	post_recv(&server);
	igt_assert_eq(send_datagram(&client, ah, ud.qp_num, ud.qkey + 1, 100), IBV_WC_SUCCESS);
	usleep(50000);
	igt_assert_eq(ibv_poll_cq(server.cq, 1, &wc), 0);
	foreign = ibv_create_ah(server.pd, &ud.ah_attr);
	igt_assert(foreign);
	igt_assert_eq(send_datagram(&client, foreign, ud.qp_num, ud.qkey, 100),
		      IBV_WC_LOC_QP_OP_ERR);

	ibv_destroy_ah(foreign);
	ibv_destroy_ah(back);
	ibv_destroy_ah(ah);
	close_id(&client);
	close_id(&server);
	close_id(&listener);
}

static void test_refused(void)
{
	struct sockaddr_in nowhere = address_of("192.0.2.1");
	struct rdma_conn_param hello = words("hello");
	struct peer listener, client, server;
	int ret;

	/* No route. */
	open_id(&client, RDMA_PS_TCP);
	ret = rdma_resolve_addr(client.id, NULL, (struct sockaddr *)&nowhere, 2000);
	if (!ret)
		igt_assert_neq(expect(&client, RDMA_CM_EVENT_ADDR_ERROR), 0);
	close_id(&client);

	/* No listener: the other side's CM says so. */
	open_id(&client, RDMA_PS_TCP);
	resolve(&client, ADDRESS);
	make_qp(&client, IBV_QPT_RC);
	igt_assert_eq(rdma_connect(client.id, &hello), 0);
	igt_assert_eq(expect(&client, RDMA_CM_EVENT_REJECTED), 8);
	close_id(&client);

	/* A listener that does not want it, and says why. */
	listen_on(&listener, RDMA_PS_TCP);
	open_id(&client, RDMA_PS_TCP);
	resolve(&client, ADDRESS);
	make_qp(&client, IBV_QPT_RC);
	igt_assert_eq(rdma_connect(client.id, &hello), 0);
	take_request(&listener, &server, "hello");
	igt_assert_eq(rdma_reject(server.id, "not today", 10), 0);
	check_words(&client, RDMA_CM_EVENT_REJECTED, "not today");
	igt_assert_eq(rdma_destroy_id(server.id), 0);
	close_id(&client);
	close_id(&listener);
}

/* Sixteen times 4.3 seconds, as ib_cm has it. */
static void test_silence(void)
{
	struct rdma_conn_param hello = words("anybody?");
	struct peer tcp, udp;

	open_id(&tcp, RDMA_PS_TCP);
	resolve(&tcp, NOBODY);
	make_qp(&tcp, IBV_QPT_RC);
	open_id(&udp, RDMA_PS_UDP);
	resolve(&udp, NOBODY);
	make_qp(&udp, IBV_QPT_UD);
	igt_assert_eq(rdma_connect(tcp.id, &hello), 0);
	igt_assert_eq(rdma_connect(udp.id, &hello), 0);
	igt_assert_eq(expect_within(&tcp, RDMA_CM_EVENT_UNREACHABLE, 240000), -ETIMEDOUT);
	igt_assert_eq(expect_within(&udp, RDMA_CM_EVENT_UNREACHABLE, 240000), -ETIMEDOUT);
	close_id(&tcp);
	close_id(&udp);
}

static int go;

/*
 * A client of its own, which does what it is asked for when it is connected. It waits until
 * @go is closed, so that there is a listener: librdmacm's devices are not for two processes,
 * and so not opened before.
 */
static pid_t fork_client(uid_t uid, void (*then)(struct peer *client))
{
	struct rdma_conn_param hello = words("child");
	struct peer client;
	int ends[2];
	pid_t pid;
	char c;

	igt_assert_eq(pipe(ends), 0);
	pid = fork();
	igt_assert_lte(0, pid);
	go = ends[1];
	if (pid) {
		close(ends[0]);
		return pid;
	}
	close(ends[1]);
	igt_assert_eq(read(ends[0], &c, 1), 0);
	if (uid && (setgroups(0, NULL) || setgid(uid) || setuid(uid)))
		_exit(2);
	open_id(&client, RDMA_PS_TCP);
	resolve(&client, ADDRESS);
	make_qp(&client, IBV_QPT_RC);
	igt_assert_eq(rdma_connect(client.id, &hello), 0);
	then(&client);
	_exit(0);
}

static void send_hello(struct peer *client)
{
	struct ibv_sge sge = { (uintptr_t)client->mem, SIZE, client->mr->lkey };
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1 }, *bad;

	igt_assert_eq(expect(client, RDMA_CM_EVENT_ESTABLISHED), 0);
	pattern_fill(client->mem, SIZE, 99);
	igt_assert_eq(ibv_post_send(client->id->qp, &wr, &bad), 0);
	igt_assert_eq(wait_wc(client).status, IBV_WC_SUCCESS);
	igt_assert_eq(rdma_disconnect(client->id), 0);
}

static void accept_child(struct peer *listener, struct peer *server)
{
	struct rdma_conn_param answer = words("welcome");

	take_request(listener, server, "child");
	own_channel(server);
	make_qp(server, IBV_QPT_RC);
	post_recv(server);
	igt_assert_eq(rdma_accept(server->id, &answer), 0);
}

static void test_users(void)
{
	struct peer listener, server;
	int status;
	pid_t pid;

	pid = fork_client(65534, send_hello);
	listen_on(&listener, RDMA_PS_TCP);
	close(go);
	accept_child(&listener, &server);
	igt_assert_eq(expect(&server, RDMA_CM_EVENT_ESTABLISHED), 0);
	igt_assert_eq(wait_wc(&server).status, IBV_WC_SUCCESS);
	igt_assert_eq(pattern_find_bad(server.mem, SIZE, 99, 1), -1);
	igt_assert_eq(expect(&server, RDMA_CM_EVENT_DISCONNECTED), 0);
	igt_assert_eq(waitpid(pid, &status, 0), pid);
	igt_assert_eq(status, 0);
	close_id(&server);
	close_id(&listener);
}

static void wait_forever(struct peer *client)
{
	igt_assert_eq(expect(client, RDMA_CM_EVENT_ESTABLISHED), 0);
	for (;;)
		pause();
}

static void kill_child(pid_t pid)
{
	igt_assert_eq(kill(pid, SIGKILL), 0);
	igt_assert_eq(waitpid(pid, NULL, 0), pid);
}

static pid_t fork_listener(void)
{
	struct peer listener, server;
	pid_t pid = fork();

	igt_assert_lte(0, pid);
	if (pid)
		return pid;
	listen_on(&listener, RDMA_PS_TCP);
	/* Never answered. */
	take_request(&listener, &server, "hello");
	kill(getpid(), SIGSTOP);
	_exit(1);
}

static void test_killed(void)
{
	struct rdma_conn_param hello = words("hello");
	struct peer listener, client, server;
	int i, status;
	pid_t pid;

	/* Connected. */
	for (i = 0; i < 5; i++) {
		pid = fork_client(0, wait_forever);
		listen_on(&listener, RDMA_PS_TCP);
		close(go);
		accept_child(&listener, &server);
		igt_assert_eq(expect(&server, RDMA_CM_EVENT_ESTABLISHED), 0);
		kill_child(pid);
		igt_assert_eq(expect(&server, RDMA_CM_EVENT_DISCONNECTED), 0);
		close_id(&server);
		close_id(&listener);
	}

	/* A server that has the request, and has not answered. */
	pid = fork_listener();
	do {
		open_id(&client, RDMA_PS_TCP);
		resolve(&client, ADDRESS);
		make_qp(&client, IBV_QPT_RC);
		igt_assert_eq(rdma_connect(client.id, &hello), 0);
		status = 0;
		if (waitpid(pid, &status, WUNTRACED | WNOHANG) == pid)
			break;
		/* It was not there yet, if it is refused now. */
		usleep(500000);
		if (waitpid(pid, &status, WUNTRACED | WNOHANG) == pid)
			break;
		igt_assert_eq(expect(&client, RDMA_CM_EVENT_REJECTED), 8);
		close_id(&client);
	} while (true);
	igt_assert(WIFSTOPPED(status));
	kill_child(pid);
	igt_assert_neq(expect(&client, RDMA_CM_EVENT_REJECTED), 0);
	close_id(&client);
}

/* An identifier of each kind: connected, listening, resolved. */
static int hold_until_gone(void)
{
	struct peer listener, client, server, idle;
	struct rdma_cm_event *event;
	unsigned int gone = 0;
	uint64_t end;

	listen_on(&listener, RDMA_PS_TCP);
	connect_peers(&listener, &client, &server);
	open_id(&idle, RDMA_PS_TCP);
	resolve(&idle, ADDRESS);
	kill(getppid(), SIGUSR1);
	for (end = now_ms() + 60000; now_ms() < end && gone != 7;) {
		struct peer *peers[] = { &client, &server, &idle };
		unsigned int i;

		for (i = 0; i < ARRAY_LEN(peers); i++) {
			event = __next_event(peers[i]->channel, 10);
			if (!event)
				continue;
			if (event->event == RDMA_CM_EVENT_DEVICE_REMOVAL)
				gone |= 1 << i;
			rdma_ack_cm_event(event);
		}
	}
	return gone == 7 ? 0 : 1;
}

static void test_unbind(void)
{
	struct peer listener, client, server;
	char function[64];
	sigset_t ready;
	int i, status;
	pid_t pid;

	igt_assert(bound_function(VRNIC_DRIVER, function));
	sigemptyset(&ready);
	sigaddset(&ready, SIGUSR1);
	igt_assert_eq(sigprocmask(SIG_BLOCK, &ready, NULL), 0);
	for (i = 0; i < 5; i++) {
		pid = fork();
		igt_assert_lte(0, pid);
		if (!pid)
			_exit(hold_until_gone());
		igt_assert_eq(sigwaitinfo(&ready, NULL), SIGUSR1);
		driver_write(VRNIC_DRIVER, "unbind", function);
		igt_assert_eq(waitpid(pid, &status, 0), pid);
		igt_assert_eq(status, 0);
		bind_again(VRNIC_DRIVER, function);
	}
	igt_assert_eq(sigprocmask(SIG_UNBLOCK, &ready, NULL), 0);
	check_port(IBV_PORT_ACTIVE, "::ffff:" ADDRESS);
	listen_on(&listener, RDMA_PS_TCP);
	connect_peers(&listener, &client, &server);
	close_id(&client);
	close_id(&server);
	close_id(&listener);
}

static void load_verbs(const char *parameters)
{
	module_unload("vrnic_verbs");
	igt_assert_eq(__module_load("vrnic_verbs", parameters), 0);
}

static void test_no_netdev(void)
{
	struct sockaddr_in addr = address_of(ADDRESS);
	struct peer client;

	load_verbs("");
	open_id(&client, RDMA_PS_TCP);
	igt_assert_eq(rdma_resolve_addr(client.id, NULL, (struct sockaddr *)&addr, 2000), 0);
	igt_assert_eq(expect(&client, RDMA_CM_EVENT_ADDR_ERROR), -ENODEV);
	close_id(&client);

	/* Its addresses would lead to two devices. */
	module_unload("vrnic_verbs");
	igt_assert_eq(__module_load("vrnic_verbs", "netdev=" NETDEV "," NETDEV), -EINVAL);
	igt_assert_eq(__module_load("vrnic_verbs", "netdev=" NETDEV), 0);
	check_port(IBV_PORT_ACTIVE, "::ffff:" ADDRESS);
}

/*
 * In a process of its own: librdmacm keeps devices open, which those who are forked later would
 * have in common.
 */
static void apart(void (*test)(void))
{
	uint64_t end = now_ms() + 20000;

	igt_fork(child, 1)
		test();
	igt_waitchildren();
	while (vrnic_query(nic).mrs && now_ms() < end)
		usleep(10000);
	igt_assert_eq(vrnic_query(nic).mrs, 0);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		igt_require(getenv("MODULES") && module_is_loaded("vrnic_verbs"));
		igt_require_f(!system("modprobe -q -a rdma_ucm dummy"), "no rdma_cm\n");
		add_netdev();
		load_verbs("netdev=" NETDEV);
		check_port(IBV_PORT_ACTIVE, "::ffff:" ADDRESS);
	}

	igt_describe("What a port has of its network device.");
	igt_subtest("port")
		apart(test_port);
	igt_describe("Connect, accept, disconnect.");
	igt_subtest("connect")
		apart(test_connect);
	igt_describe("The right bytes while a buffer moves.");
	igt_subtest("data") {
		igt_require(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC);
		apart(test_data);
	}
	igt_describe("Datagrams and their heads.");
	igt_subtest("datagrams")
		apart(test_datagrams);
	igt_describe("The right bytes by libfabric while a buffer moves.");
	igt_subtest("libfabric") {
		igt_require(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC);
		apart(test_libfabric);
	}
	igt_describe("What is refused, and how one learns of it.");
	igt_subtest("refused")
		apart(test_refused);
	igt_describe("Nobody answers.");
	igt_subtest("silence") {
		igt_require_f(getenv("LONG"), "rdma_cm asks for more than a minute\n");
		apart(test_silence);
	}
	igt_describe("Two users.");
	igt_subtest("users")
		apart(test_users);
	igt_describe("One end is killed.");
	igt_subtest("killed")
		apart(test_killed);
	igt_describe("The device goes.");
	igt_subtest("unbind") {
		char function[64];

		igt_require(bound_function(VRNIC_DRIVER, function));
		close(nic);
		igt_fork(child, 1)
			test_unbind();
		igt_waitchildren();
		nic = vrnic_open();
	}
	igt_describe("Control: without a network device there is no address.");
	igt_subtest("no-netdev")
		apart(test_no_netdev);

	igt_fixture {
		vrnic_misbehave("none");
		load_verbs("");
		system("ip link del " NETDEV);
		close(nic);
		close(fd);
	}
}
