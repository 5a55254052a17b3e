// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic replug
 * Category: Core
 * Description: Either function leaves in the middle of traffic and comes back, over
 *	and over: unplugged by the machine, removed, unbound or reset by the kernel.
 *
 * SUBTEST: vram-%s
 * Description: The exporter's function leaves; regions on its buffers end.
 * SUBTEST: importer-%s
 * Description: The importer's function leaves; buffers go on to move.
 * SUBTEST: narrow-importer
 * Description: An importer with a narrow DMA mask is plugged in, and transfers.
 */

#include "movable.h"

IGT_TEST_DESCRIPTION("Functions that leave in the middle of traffic and come back.");

#define SIZE	KIB(64)
#define DEPTH	16

static int monitor = -1;
/* The functions that this file sends away, and brings back whatever happens. */
static char vram_function[64], importer_function[64];
static bool narrow;

static void order(const char *command)
{
	monitor_order(monitor, command);
}

/* Whether the function is there, or not, in time. */
static bool becomes(const char *name, bool there, uint64_t ms)
{
	uint64_t end = now_ms() + ms;
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", name);
	while (!access(path, F_OK) != there) {
		if (now_ms() > end)
			return false;
		usleep(5000);
	}
	return true;
}

static void function_write(const char *name, const char *what)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", name, what);
	igt_assert_eq(__debugfs_write(path, "1"), 0);
}

/* Ways to leave, and back again. */
struct way {
	const char *name;
	void (*leave)(const char *function, bool vram);
	void (*back)(const char *function, bool vram);
	/* It is there again, with all its users, when leave() returns. */
	bool stays;
};

static void unplug(const char *function, bool vram)
{
	order(vram ? "device_del vram0" : "device_del edu0");
	igt_assert(becomes(function, false, 20000));
}

/* The slot may be empty here before it is so for the machine. */
static void plug_device(const char *function, const char *command)
{
	int tries = 20;

	do {
		order(command);
	} while (!becomes(function, true, 1000) && --tries);
	igt_assert_f(tries, "%s: %s did not come\n", function, command);
}

/* A new backend each time: QEMU 7.2 aborts when an old one is used again. */
static void plug_vram(const char *function)
{
	static char last[32] = "vram";
	static int plugs;
	char command[128], backend[32];

	snprintf(backend, sizeof(backend), "replug%d-%d", getpid(), ++plugs);
	snprintf(command, sizeof(command),
		 "object_add memory-backend-memfd,id=%s,size=256M,share=on", backend);
	order(command);
	snprintf(command, sizeof(command),
		 "device_add ivshmem-plain,memdev=%s,id=vram0,bus=port1", backend);
	plug_device(function, command);
	snprintf(command, sizeof(command), "object_del %s", last);
	order(command);
	snprintf(last, sizeof(last), "%s", backend);
}

static void plug(const char *function, bool vram)
{
	if (vram)
		plug_vram(function);
	else
		plug_device(function, "device_add edu,id=edu0,bus=port2,dma_mask=0xffffffffffffffff");
}

static void remove_function(const char *function, bool vram)
{
	(void)vram;
	function_write(function, "remove");
}

static void rescan(const char *function, bool vram)
{
	(void)vram;
	igt_assert_eq(__debugfs_write("/sys/bus/pci/rescan", "1"), 0);
	igt_assert(becomes(function, true, 20000));
}

static void unbind(const char *function, bool vram)
{
	driver_write(vram ? VVRAM_DRIVER : VRNIC_DRIVER, "unbind", function);
}

static void bind(const char *function, bool vram)
{
	driver_write(vram ? VVRAM_DRIVER : VRNIC_DRIVER, "bind", function);
}

static void reset(const char *function, bool vram)
{
	(void)vram;
	function_write(function, "reset");
}

static void nothing(const char *function, bool vram)
{
	(void)function;
	(void)vram;
}

static const struct way ways[] = {
	{ "unplug", unplug, plug, false },
	{ "remove", remove_function, rescan, false },
	{ "unbind", unbind, bind, false },
	{ "reset", reset, nothing, true },
};

/*
 * Requests without a pause, completions counted. No asserts: it is a thread. It ends
 * when the importer is gone, or when it is told to.
 */
struct traffic {
	int nic;
	uint32_t queue;
	struct vrnic_reg_mr remote, mem;
	volatile bool stop;
	uint64_t posted, good, bad;
	int error;
	pthread_t thread;
};

static int reap(struct traffic *t)
{
	struct vrnic_wc wcs[DEPTH];
	struct vrnic_queue again = { .handle = t->queue };
	bool failed = false;
	int n, i;

	n = vrnic_poll(t->nic, t->queue, wcs, DEPTH, 10000000000LL);
	if (n <= 0)
		return n ? n : -ETIME;
	for (i = 0; i < n; i++) {
		failed |= wcs[i].status;
		*(wcs[i].status ? &t->bad : &t->good) += 1;
	}
	/* All that is queued is flushed, and reaped, before the queue is used again. */
	if (!failed)
		return 0;
	while (t->posted > t->good + t->bad) {
		n = vrnic_poll(t->nic, t->queue, wcs, DEPTH, 10000000000LL);
		if (n <= 0)
			return n ? n : -ETIME;
		t->bad += n;
	}
	return do_call(t->nic, VRNIC_IOC_RESET_QUEUE, &again);
}

static void *traffic_run(void *arg)
{
	struct traffic *t = arg;
	struct vrnic_sge sge = { .length = SIZE, .lkey = t->mem.lkey };
	struct vrnic_wr wr = {
		.opcode = VRNIC_OP_WRITE, .rkey = t->remote.rkey, .num_sge = 1,
		.sge = (uintptr_t)&sge,
	};
	int ret = 0;

	while (!ret && (!t->stop || t->posted > t->good + t->bad)) {
		while (!ret && !t->stop && t->posted < t->good + t->bad + DEPTH) {
			wr.opcode = t->posted % 2 ? VRNIC_OP_READ : VRNIC_OP_WRITE;
			ret = __vrnic_post(t->nic, t->queue, &wr, 1);
			/* A request before it has failed: its completion is there to be reaped. */
			if (ret == -EPIPE && t->posted > t->good + t->bad) {
				ret = 0;
				break;
			}
			t->posted += !ret;
		}
		/* Told to stop since the condition above: then there may be nothing to wait for. */
		if (!ret && t->posted > t->good + t->bad)
			ret = reap(t);
	}
	t->error = ret;
	return NULL;
}

struct rig {
	int fd, nic;
	struct shared s;
	uint8_t *local;
	struct traffic t;
};

static int open_nic_again(void)
{
	uint64_t end = now_ms() + 10000;
	int nic;

	do {
		nic = open("/dev/vrnic0", O_RDWR | O_CLOEXEC);
		if (nic >= 0)
			return nic;
		usleep(5000);
	} while (now_ms() < end);
	return -1;
}

static void start(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->fd = vvram_open_again();
	igt_assert_fd(r->fd);
	r->nic = open_nic_again();
	igt_assert_fd(r->nic);
	r->s = share_buffer(r->fd, r->nic, SIZE, VRNIC_MR_ON_DEMAND, 0);
	r->local = alloc_pages(SIZE);
	r->t = (struct traffic) {
		.nic = r->nic, .remote = r->s.reg, .mem = vrnic_reg_user(r->nic, r->local, SIZE),
		.queue = vrnic_create_queue(r->nic, DEPTH),
	};
	igt_assert_eq(pthread_create(&r->t.thread, NULL, traffic_run, &r->t), 0);
	while (!r->t.good)
		usleep(1000);
}

static void finish(struct rig *r)
{
	r->t.stop = true;
	pthread_join(r->t.thread, NULL);
}

/* The importer is still there: each request has its completion. */
static void check_importer(struct rig *r)
{
	igt_assert_eq(r->t.error, 0);
	igt_assert_eq_u64(r->t.posted, r->t.good + r->t.bad);
	igt_assert_eq_u64(vrnic_query_mr(r->nic, r->s.reg.handle).counters.violations, 0);
}

static void clean_up(struct rig *r)
{
	close(r->nic);
	munmap(r->s.p, SIZE);
	munmap(r->local, SIZE);
	close(r->s.dmabuf);
	close(r->fd);
}

static void vram_round(const struct way *way, const char *function)
{
	struct rig r;

	start(&r);
	way->leave(function, true);
	finish(&r);
	check_importer(&r);
	if (way->stays)
		igt_assert_eq_u64(r.t.bad, 0);
	else
		igt_assert_eq(vrnic_query_mr(r.nic, r.s.reg.handle).state & VRNIC_MR_STATE_MAPPED, 0);
	clean_up(&r);
	way->back(function, true);
}

static void importer_round(const struct way *way, const char *function)
{
	struct vrnic_query query = {};
	struct rig r;

	start(&r);
	way->leave(function, false);
	if (!way->stays)
		igt_assert_eq(do_call(r.nic, VRNIC_IOC_QUERY, &query), -ENODEV);
	finish(&r);
	if (way->stays)
		check_importer(&r);
	else
		igt_assert_eq(vvram_info(r.fd, r.s.handle).attachments, 0);
	/* A region that is still there may be pinned by the kernel. */
	if (!way->stays || vvram_query(r.fd).flags & DRM_VVRAM_QUERY_DYNAMIC) {
		vvram_move(r.fd, r.s.handle, SYSTEM);
		vvram_move(r.fd, r.s.handle, VRAM);
	}
	pattern_fill(r.s.p, SIZE, 1);
	pattern_check(r.s.p, SIZE, 1);
	clean_up(&r);
	way->back(function, false);
}

/* The machines whose ports take functions by these names. */
static bool can_plug(void)
{
	const char *machine = getenv("MACHINE");

	return monitor >= 0 && machine &&
	       (!strncmp(machine, "p2p", 3) || !strcmp(machine, "no-p2p")) &&
	       strcmp(machine, "p2p-switch");
}

/* What the machine gave it; the driver has to find out. */
static void check_mask(const char *mask)
{
	const char *engine;
	int nic = open_nic_again();

	vrnic_create_edu_queue(nic, 2);
	close(nic);
	engine = read_file("/sys/kernel/debug/vrnic0/engine");
	igt_assert_f(strstr(engine, mask), "engine: %s, not %s\n", engine, mask);
}

static void test_way(const struct way *way, bool vram)
{
	const char *asked = getenv("REPLUG_ROUNDS");
	int rounds = asked ? atoi(asked) : 10, i;
	uint64_t begin = now_ms();
	char function[64];

	igt_assert_lt(0, rounds);

	igt_require_f(bound_function(vram ? VVRAM_DRIVER : VRNIC_DRIVER, function),
		      "there is no PCI function\n");
	igt_require_f(way->leave != unplug || can_plug(), "the machine takes no orders\n");
	for (i = 0; i < rounds; i++) {
		if (vram)
			vram_round(way, function);
		else
			importer_round(way, function);
		check_mask("mask=0xffffffffffffffff");
	}
	igt_info("%d rounds in %llu ms\n", i, (unsigned long long)(now_ms() - begin));
}

static void narrow_transfer(struct rig *r)
{
	uint64_t moved = vvram_info(r->fd, r->s.handle).moves;
	uint32_t queue;

	igt_assert(vrnic_query(r->nic).flags & VRNIC_QUERY_EDU);
	queue = vrnic_create_edu_queue(r->nic, 2);
	pattern_fill(r->local, SIZE, 3);
	igt_assert_eq(vrnic_copy(r->nic, queue, VRNIC_OP_WRITE, &r->s.reg, 4096,
				 &r->t.mem, 4096, 4096).status, 0);
	igt_assert(!memcmp(r->s.p + 4096, r->local + 4096, 4096));
	memset(r->local, 0, SIZE);
	igt_assert_eq(vrnic_copy(r->nic, queue, VRNIC_OP_READ, &r->s.reg, 4096,
				 &r->t.mem, 0, 4096).status, 0);
	igt_assert(!memcmp(r->local, r->s.p + 4096, 4096));
	igt_assert_eq_u64(vvram_info(r->fd, r->s.handle).moves, moved);
}

static void test_narrow(void)
{
	char function[64];
	struct rig r;

	igt_require_f(bound_function(VRNIC_DRIVER, function) && can_plug(),
		      "the machine takes no orders\n");
	unplug(function, false);
	narrow = true;
	plug_device(function, "device_add edu,id=edu0,bus=port2");
	start(&r);
	finish(&r);
	check_importer(&r);
	check_mask("mask=0xfffffff\n");
	narrow_transfer(&r);
	clean_up(&r);
	unplug(function, false);
	plug(function, false);
	narrow = false;
}

/* What a test that failed has left undone: others need the function. */
static void bring_back(char *function, bool vram)
{
	const char *driver = vram ? VVRAM_DRIVER : VRNIC_DRIVER;

	if (!function[0])
		return;
	if (!vram && narrow && becomes(function, true, 0))
		unplug(function, false);
	if (becomes(function, true, 0)) {
		bind_again(driver, function);
		return;
	}
	igt_assert_eq(__debugfs_write("/sys/bus/pci/rescan", "1"), 0);
	if (!becomes(function, true, 1000) && can_plug())
		plug(function, vram);
	bind_again(driver, function);
}

igt_main {
	igt_fixture {
		monitor = open_monitor();
		if (!bound_function(VVRAM_DRIVER, vram_function))
			vram_function[0] = 0;
		if (!bound_function(VRNIC_DRIVER, importer_function))
			importer_function[0] = 0;
	}

	for (unsigned int i = 0; i < ARRAY_LEN(ways); i++) {
		igt_describe("Work ends with an error, or not at all; nothing is left behind.");
		igt_subtest_f("vram-%s", ways[i].name)
			test_way(&ways[i], true);
		igt_describe("The exporter is free of an importer that is gone.");
		igt_subtest_f("importer-%s", ways[i].name)
			test_way(&ways[i], false);
	}
	igt_describe("What it can't address is brought to where it can.");
	igt_subtest("narrow-importer")
		test_narrow();

	igt_fixture {
		bring_back(vram_function, true);
		bring_back(importer_function, false);
		close(monitor);
	}
}
