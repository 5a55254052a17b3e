// SPDX-License-Identifier: MIT
/**
 * TEST: vvram seen
 * Category: Core
 * Description: What can be seen of vvram from outside.
 *
 * SUBTEST: fdinfo
 * Description: fdinfo has the keys of drm-usage-stats, and its numbers follow.
 * SUBTEST: fdinfo-race
 * Description: fdinfo is read while buffers move, are evicted and swapped out: each
 *	counts once, whenever that is.
 * SUBTEST: gputop
 * Description: IGT's gputop shows a client and its use of the copy engine.
 * SUBTEST: debugfs
 * Description: debugfs shows the allocator and each buffer.
 * SUBTEST: trace
 * Description: Events of a move carry the dma-buf's inode, in the right order.
 * SUBTEST: scattered
 * Description: With a largest chunk set, buffers have many pieces, one on request.
 */

#include "movable.h"

IGT_TEST_DESCRIPTION("What can be seen of vvram from outside.");

static int fd = -1, nic = -1;

static void test_fdinfo(void)
{
	uint64_t vram = fdinfo_kib(fd, "drm-total-vram"), system = fdinfo_kib(fd, "drm-total-memory");
	uint32_t handle = vvram_create(fd, MIB(2), VRAM);
	int dmabuf;

	igt_assert(strstr(read_fdinfo(fd), "drm-driver:\tvvram"));
	igt_assert(strstr(read_fdinfo(fd), "drm-client-id:"));
	igt_assert(strstr(read_fdinfo(fd), "drm-engine-copy:"));
	if (vvram_query(fd).backend == DRM_VVRAM_BACKEND_PCI)
		igt_assert(strstr(read_fdinfo(fd), "drm-pdev:"));

	igt_assert_eq_u64(fdinfo_kib(fd, "drm-total-vram"), vram + 2048);
	igt_assert_lte(2048, fdinfo_kib(fd, "drm-resident-vram"));
	vvram_move(fd, handle, SYSTEM);
	igt_assert_eq_u64(fdinfo_kib(fd, "drm-total-vram"), vram);
	igt_assert_eq_u64(fdinfo_kib(fd, "drm-total-memory"), system + 2048);

	igt_assert_eq_u64(fdinfo_kib(fd, "drm-shared-memory"), 0);
	dmabuf = prime_handle_to_fd(fd, handle);
	igt_assert_eq_u64(fdinfo_kib(fd, "drm-shared-memory"), 2048);
	close(dmabuf);
	gem_close(fd, handle);
}

/* Value in bytes of a key in a text of fdinfo's. */
static uint64_t fdinfo_value(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	unsigned long long value = 0;
	char unit[8] = "";

	if (at)
		sscanf(at + strlen(key), ": %llu %7s", &value, unit);
	return value << (!strcmp(unit, "KiB") ? 10 : !strcmp(unit, "MiB") ? 20 : 0);
}

struct watcher {
	pthread_t thread;
	char path[64];
	uint64_t total;
	volatile bool stop;
	uint64_t reads, wrong;
};

static void *watch_fdinfo(void *arg)
{
	struct watcher *w = arg;
	uint64_t vram, memory;
	char text[4096];
	ssize_t n;
	int f;

	while (!w->stop) {
		f = open(w->path, O_RDONLY);
		n = read(f, text, sizeof(text) - 1);
		close(f);
		if (n < 0)
			n = 0;
		text[n] = 0;
		vram = fdinfo_value(text, "drm-total-vram");
		memory = fdinfo_value(text, "drm-total-memory");
		w->wrong += vram + memory != w->total ||
			    fdinfo_value(text, "drm-resident-vram") != vram ||
			    fdinfo_value(text, "drm-resident-memory") > memory ||
			    fdinfo_value(text, "drm-active-memory") > memory ||
			    fdinfo_value(text, "drm-active-vram") > vram;
		w->reads++;
	}
	return NULL;
}

static void test_fdinfo_race(void)
{
	const uint64_t small = MIB(1), big = vvram_query(fd).vram_size;
	int client = drm_open_driver(DRIVER_ANY), other = drm_open_driver(DRIVER_ANY);
	struct watcher w = { .total = 8 * small };
	uint64_t end = now_ms() + 4000;
	uint32_t handles[8], evictor;
	int i, round;

	for (i = 0; i < 8; i++)
		handles[i] = vvram_create(client, small, i % 2 ? VRAM : SYSTEM);
	snprintf(w.path, sizeof(w.path), "/proc/self/fdinfo/%d", client);
	igt_assert_eq(pthread_create(&w.thread, NULL, watch_fdinfo, &w), 0);
	for (round = 0; round < 3 || now_ms() < end; round++) {
		for (i = 0; i < 8; i++)
			vvram_move(client, handles[i], (i + round) % 2 ? SYSTEM : VRAM);
		if (round % 8 == 0) {
			evictor = vvram_create(other, big, VRAM);
			gem_close(other, evictor);
		}
		if (round % 4 == 1)
			igt_assert_eq(__debugfs_write("/proc/sys/vm/drop_caches", "2"), 0);
	}
	w.stop = true;
	pthread_join(w.thread, NULL);
	igt_assert_lt(10, w.reads);
	igt_assert_eq_u64(w.wrong, 0);

	/* The control: one buffer more is noticed. */
	vvram_create(client, small, VRAM);
	w.stop = false;
	igt_assert_eq(pthread_create(&w.thread, NULL, watch_fdinfo, &w), 0);
	usleep(200000);
	w.stop = true;
	pthread_join(w.thread, NULL);
	igt_assert_lt(0, w.wrong);
	drm_close_driver(other);
	drm_close_driver(client);
	vvram_wait_unused(fd);
}

/* What a command prints, as one text. */
static const char *output_of(const char *command)
{
	static char text[65536];
	FILE *f = popen(command, "r");
	size_t n;

	igt_assert(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	pclose(f);
	return text;
}

static void test_gputop(void)
{
	struct mover mover;
	uint32_t handle;
	const char *text;

	igt_require_f(!system("command -v gputop >/dev/null"), "no gputop\n");
	handle = vvram_create(fd, MIB(24), VRAM);
	mover_start(&mover, fd, handle);
	text = output_of("TERM=dumb timeout 10 gputop -n 3 -d 0.5 2>&1");
	mover_stop(&mover);
	igt_assert_f(strstr(text, "vvram_seen") && strstr(text, "copy"), "%s\n", text);
	gem_close(fd, handle);
}

static void test_debugfs(void)
{
	struct shared s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	char want[64], *text;

	igt_assert(strstr(read_file(vvram_debugfs(fd, "vram_mm")), "size"));
	snprintf(want, sizeof(want), "ino=%llu size=65536",
		 (unsigned long long)vvram_info(fd, s.handle).inode);
	text = read_file(vvram_debugfs(fd, "buffers"));
	igt_assert(strstr(text, want));
	igt_assert(strstr(text, "attachments=1"));
	snprintf(want, sizeof(want), "ino=%llu mode=0", (unsigned long long)vvram_info(fd, s.handle).inode);
	igt_assert(strstr(read_file("/sys/kernel/debug/vrnic0/regions"), want));
	igt_assert(strstr(read_file("/sys/kernel/debug/vrnic0/counters"), "dma_faults="));
	unshare_buffer(fd, nic, &s);
}

static void tracing(const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/tracing/%s", file);
	igt_assert_eq(__debugfs_write(path, text), 0);
}

static void test_trace(void)
{
	static const char *const order[] = {
		"vvram_attach", "vvram_map", "vvram_move_begin", "vvram_notify",
		"vrnic_invalidate", "vrnic_unmap", "vvram_unmap", "vvram_move_end",
	};
	struct shared s;
	struct vrnic_advise_mr advise = { .flags = VRNIC_ADVISE_FLUSH };
	char want[64], *text, *at;
	unsigned int i;

	igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC,
		      "this kernel pins mapped buffers\n");
	igt_require_f(!access("/sys/kernel/tracing/events/vvram/enable", W_OK), "no tracing\n");
	tracing("trace", "");
	tracing("events/vvram/enable", "1");
	tracing("events/vrnic/enable", "1");
	s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	advise.handle = s.reg.handle;
	vvram_move(fd, s.handle, SYSTEM);
	tracing("trace", "");
	igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), 0);
	vvram_move(fd, s.handle, vvram_info(fd, s.handle).placement == VRAM ? SYSTEM : VRAM);
	tracing("events/vvram/enable", "0");
	tracing("events/vrnic/enable", "0");

	text = read_file("/sys/kernel/tracing/trace");
	snprintf(want, sizeof(want), "ino=%llu ", (unsigned long long)vvram_info(fd, s.handle).inode);
	for (i = 1; i < ARRAY_LEN(order); i++) {
		at = strstr(text, order[i]);
		igt_assert_f(at, "no %s after %s in\n%.2000s\n", order[i], order[i - 1], text);
		igt_assert_f(strstr(at, want) && strstr(at, want) < strchr(at, '\n'),
			     "%s is not of %s\n", order[i], want);
		text = at + 1;
	}
	tracing("trace", "");
	unshare_buffer(fd, nic, &s);
}

static void test_scattered(void)
{
	uint64_t chunk = vvram_query(fd).max_chunk;
	struct shared s;
	struct vrnic_advise_mr advise = { .flags = VRNIC_ADVISE_FLUSH };
	uint32_t handle = 0;

	igt_require_f(chunk, "vvram was loaded without max_chunk\n");
	s = share_buffer(fd, nic, 16 * chunk, VRNIC_MR_ON_DEMAND, 0);
	igt_assert_eq(vvram_info(fd, s.handle).segments, 16);
	pattern_fill(s.p, s.size, 9);
	advise.handle = s.reg.handle;
	igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), 0);
	pattern_check(s.p, s.size, 9);
	unshare_buffer(fd, nic, &s);

	igt_assert_eq(__vvram_create(fd, 16 * chunk, VRAM, DRM_VVRAM_GEM_CREATE_CONTIGUOUS,
				     &handle), 0);
	igt_assert_eq(vvram_info(fd, handle).segments, 1);
	gem_close(fd, handle);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
	}

	igt_describe("Tools that read fdinfo see where a client's memory is.");
	igt_subtest("fdinfo")
		test_fdinfo();
	igt_describe("A reader that takes no reservation is not mistaken.");
	igt_subtest("fdinfo-race")
		test_fdinfo_race();
	igt_describe("A tool of others' understands the numbers.");
	igt_subtest("gputop")
		test_gputop();
	igt_describe("root sees all buffers and regions.");
	igt_subtest("debugfs")
		test_debugfs();
	igt_describe("The way of a move can be followed.");
	igt_subtest("trace")
		test_trace();
	igt_describe("Importers meet many segments.");
	igt_subtest("scattered")
		test_scattered();

	igt_fixture {
		close(nic);
		drm_close_driver(fd);
	}
}
