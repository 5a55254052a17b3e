// SPDX-License-Identifier: MIT

#include <dirent.h>
#include <limits.h>
#include <linux/dma-heap.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

#include "movable.h"

int do_call(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg) ? -errno : 0;
	} while (ret == -EINTR || ret == -EAGAIN);
	return ret;
}

int __vvram_create(int fd, uint64_t size, uint32_t placement, uint32_t flags, uint32_t *handle)
{
	struct drm_vvram_gem_create arg = {
		.size = size, .placement = placement, .flags = flags,
	};
	int ret = do_call(fd, DRM_IOCTL_VVRAM_GEM_CREATE, &arg);

	if (!ret)
		*handle = arg.handle;
	return ret;
}

uint32_t vvram_create(int fd, uint64_t size, uint32_t placement)
{
	uint32_t handle = 0;

	igt_assert_eq(__vvram_create(fd, size, placement, 0, &handle), 0);
	igt_assert_neq(handle, 0);
	return handle;
}

int __vvram_move(int fd, uint32_t handle, uint32_t placement)
{
	struct drm_vvram_gem_move arg = { .handle = handle, .placement = placement };

	return do_call(fd, DRM_IOCTL_VVRAM_GEM_MOVE, &arg);
}

int __vvram_move_async(int fd, uint32_t handle, uint32_t placement)
{
	struct drm_vvram_gem_move arg = {
		.handle = handle, .placement = placement, .flags = DRM_VVRAM_GEM_MOVE_ASYNC,
	};

	return do_call(fd, DRM_IOCTL_VVRAM_GEM_MOVE, &arg);
}

void vvram_move(int fd, uint32_t handle, uint32_t placement)
{
	igt_assert_eq(__vvram_move(fd, handle, placement), 0);
}

void vvram_move_mapped(int fd, uint32_t handle, uint32_t placement)
{
	int ret = __vvram_move(fd, handle, placement);

	if (ret) {
		igt_assert_eq(ret, -EBUSY);
		igt_assert_eq(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC, 0);
	}
}

void vvram_send_away(int fd, uint32_t handle, void *p, uint32_t placement, int ms)
{
	/* Until what is under way is over: a copy asks for its delay when it is its turn. */
	(void)*(volatile uint8_t *)p;
	chaos_delay(fd, ms);
	igt_assert_eq(__vvram_move_async(fd, handle, placement), 0);
	chaos_delay(fd, 0);
}

struct drm_vvram_gem_info vvram_info(int fd, uint32_t handle)
{
	struct drm_vvram_gem_info arg = { .handle = handle };

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_INFO, &arg), 0);
	return arg;
}

struct drm_vvram_query vvram_query(int fd)
{
	struct drm_vvram_query arg = {};

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_QUERY, &arg), 0);
	return arg;
}

void *vvram_mmap(int fd, uint32_t handle, uint64_t size)
{
	struct drm_vvram_gem_mmap_offset arg = { .handle = handle };
	void *p;

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, &arg), 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, arg.offset);
	igt_assert(p != MAP_FAILED);
	return p;
}

/* Storage of a buffer that was closed is freed when its last copy is done. */
void vvram_wait_unused(int fd)
{
	uint64_t end = now_ms() + 60000;

	while (vvram_query(fd).vram_used) {
		igt_assert_f(now_ms() < end, "VRAM is still in use: %llu bytes\n",
			     (unsigned long long)vvram_query(fd).vram_used);
		usleep(10000);
	}
}

int vrnic_open(void)
{
	int nic = open("/dev/vrnic0", O_RDWR | O_CLOEXEC);

	igt_assert_f(nic >= 0, "/dev/vrnic0: %s\n", strerror(errno));
	return nic;
}

struct vrnic_query vrnic_query(int nic)
{
	struct vrnic_query arg = {};

	igt_assert_eq(do_call(nic, VRNIC_IOC_QUERY, &arg), 0);
	return arg;
}

int __vrnic_reg_mr(int nic, struct vrnic_reg_mr *reg)
{
	return do_call(nic, VRNIC_IOC_REG_MR, reg);
}

#define ALL_ACCESS	(VRNIC_ACCESS_LOCAL_WRITE | VRNIC_ACCESS_REMOTE_WRITE | \
			 VRNIC_ACCESS_REMOTE_READ | VRNIC_ACCESS_REMOTE_ATOMIC)

struct vrnic_reg_mr vrnic_reg_dma_buf(int nic, int dmabuf, uint32_t mode, uint64_t size)
{
	struct vrnic_reg_mr reg = {
		.mode = mode, .access = ALL_ACCESS, .fd = dmabuf, .length = size,
	};

	igt_assert_eq(__vrnic_reg_mr(nic, &reg), 0);
	return reg;
}

struct vrnic_reg_mr vrnic_reg_user(int nic, void *addr, uint64_t size)
{
	struct vrnic_reg_mr reg = {
		.flags = VRNIC_REG_MR_USER, .access = ALL_ACCESS, .fd = -1,
		.addr = (uintptr_t)addr, .length = size,
	};

	igt_assert_eq(__vrnic_reg_mr(nic, &reg), 0);
	return reg;
}

int __vrnic_dereg_mr(int nic, uint32_t handle)
{
	struct vrnic_dereg_mr arg = { .handle = handle };

	return do_call(nic, VRNIC_IOC_DEREG_MR, &arg);
}

void vrnic_dereg_mr(int nic, uint32_t handle)
{
	igt_assert_eq(__vrnic_dereg_mr(nic, handle), 0);
}

struct vrnic_query_mr vrnic_query_mr(int nic, uint32_t handle)
{
	struct vrnic_query_mr arg = { .handle = handle };

	igt_assert_eq(do_call(nic, VRNIC_IOC_QUERY_MR, &arg), 0);
	return arg;
}

static uint32_t create_queue_on(int nic, uint32_t depth, uint32_t engine)
{
	struct vrnic_create_queue arg = { .depth = depth, .engine = engine, .eventfd = -1 };

	igt_assert_eq(do_call(nic, VRNIC_IOC_CREATE_QUEUE, &arg), 0);
	return arg.handle;
}

uint32_t vrnic_create_queue(int nic, uint32_t depth)
{
	return create_queue_on(nic, depth, VRNIC_ENGINE_CPU);
}

uint32_t vrnic_create_edu_queue(int nic, uint32_t depth)
{
	return create_queue_on(nic, depth, VRNIC_ENGINE_EDU);
}

void vrnic_destroy_queue(int nic, uint32_t queue)
{
	struct vrnic_queue arg = { .handle = queue };

	igt_assert_eq(do_call(nic, VRNIC_IOC_DESTROY_QUEUE, &arg), 0);
}

int __vrnic_post(int nic, uint32_t queue, struct vrnic_wr *wrs, uint32_t count)
{
	struct vrnic_post arg = { .queue = queue, .count = count, .wrs = (uintptr_t)wrs };

	return do_call(nic, VRNIC_IOC_POST, &arg);
}

int vrnic_poll(int nic, uint32_t queue, struct vrnic_wc *wcs, uint32_t count, int64_t timeout_ns)
{
	struct vrnic_poll arg = {
		.queue = queue, .count = count, .wcs = (uintptr_t)wcs, .timeout_ns = timeout_ns,
	};
	int ret = do_call(nic, VRNIC_IOC_POLL, &arg);

	return ret ? ret : (int)arg.count;
}

static struct vrnic_wc wait_for(int nic, uint32_t queue, uint64_t wr_id)
{
	struct vrnic_wc wc = {};

	igt_assert_eq(vrnic_poll(nic, queue, &wc, 1, 60000000000LL), 1);
	igt_assert_eq_u64(wc.wr_id, wr_id);
	return wc;
}

struct vrnic_wc vrnic_do(int nic, uint32_t queue, struct vrnic_wr *wr)
{
	igt_assert_eq(__vrnic_post(nic, queue, wr, 1), 0);
	return wait_for(nic, queue, wr->wr_id);
}

void vrnic_post_copy(int nic, uint32_t queue, uint32_t opcode,
		     const struct vrnic_reg_mr *remote, uint64_t remote_addr,
		     const struct vrnic_reg_mr *local, uint64_t local_addr, uint32_t len)
{
	struct vrnic_sge sge = { .addr = local_addr, .length = len, .lkey = local->lkey };
	struct vrnic_wr wr = {
		.wr_id = remote_addr + 1, .opcode = opcode, .remote_addr = remote_addr,
		.rkey = remote->rkey, .num_sge = 1, .sge = (uintptr_t)&sge,
	};

	igt_assert_eq(__vrnic_post(nic, queue, &wr, 1), 0);
}

struct vrnic_wc vrnic_copy(int nic, uint32_t queue, uint32_t opcode,
			   const struct vrnic_reg_mr *remote, uint64_t remote_addr,
			   const struct vrnic_reg_mr *local, uint64_t local_addr, uint32_t len)
{
	vrnic_post_copy(nic, queue, opcode, remote, remote_addr, local, local_addr, len);
	return wait_for(nic, queue, remote_addr + 1);
}

void transfer_round(int nic, uint32_t queue, const struct vrnic_reg_mr *remote,
		    const struct vrnic_reg_mr *mem, uint8_t *local, uint32_t slot, uint64_t round)
{
	struct vrnic_wc wcs[2 * SLOTS];
	struct vrnic_wr wrs[2 * SLOTS];
	struct vrnic_sge sges[2 * SLOTS];
	uint8_t *in = local, *out = local + SLOTS * (uint64_t)slot;
	bool seen[2 * SLOTS] = {};
	int done = 0, n, i;

	for (i = 0; i < 2 * SLOTS; i++) {
		bool read = i >= SLOTS;
		uint64_t at = (uint64_t)(i % SLOTS) * slot;

		sges[i] = (struct vrnic_sge) {
			.addr = at + (read ? SLOTS * (uint64_t)slot : 0),
			.length = slot, .lkey = mem->lkey,
		};
		wrs[i] = (struct vrnic_wr) {
			.wr_id = round << 8 | i, .opcode = read ? VRNIC_OP_READ : VRNIC_OP_WRITE,
			.remote_addr = at, .rkey = remote->rkey, .num_sge = 1,
			.sge = (uintptr_t)&sges[i],
		};
	}
	pattern_fill(in, SLOTS * (uint64_t)slot, round);
	memset(out, 0, SLOTS * (uint64_t)slot);
	igt_assert_eq(__vrnic_post(nic, queue, wrs, 2 * SLOTS), 0);
	while (done < 2 * SLOTS) {
		n = vrnic_poll(nic, queue, wcs, 2 * SLOTS, 30000000000LL);
		igt_assert_lt(0, n);
		for (i = 0; i < n; i++, done++) {
			igt_assert_eq(wcs[i].status, VRNIC_WC_SUCCESS);
			igt_assert_eq_u64(wcs[i].wr_id, round << 8 | done);
			igt_assert(!seen[done]);
			seen[done] = true;
		}
	}
	igt_assert_eq(vrnic_poll(nic, queue, wcs, 1, 0), 0);
	igt_assert_eq(pattern_find_bad(out, SLOTS * (uint64_t)slot, round, 1), -1);
}

struct shared share_buffer(int fd, int nic, uint64_t size, uint32_t mode, uint32_t flags)
{
	struct shared s = { .size = size, .handle = vvram_create(fd, size, VRAM) };
	struct vrnic_reg_mr reg = {
		.mode = mode, .flags = flags, .access = ALL_ACCESS, .length = size,
	};

	s.dmabuf = prime_handle_to_fd_for_mmap(fd, s.handle);
	s.p = vvram_mmap(fd, s.handle, size);
	reg.fd = s.dmabuf;
	igt_assert_eq(__vrnic_reg_mr(nic, &reg), 0);
	s.reg = reg;
	return s;
}

void unshare_buffer(int fd, int nic, struct shared *s)
{
	vrnic_dereg_mr(nic, s->reg.handle);
	munmap(s->p, s->size);
	close(s->dmabuf);
	gem_close(fd, s->handle);
}

bool vrnic_reaches_vram(int fd, int nic)
{
	struct shared s = share_buffer(fd, nic, KIB(4), VRNIC_MR_ON_DEMAND, 0);
	struct drm_vvram_attachment att = {};
	struct drm_vvram_gem_attachments list = {
		.handle = s.handle, .count = 1, .attachments = (uintptr_t)&att,
	};

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_ATTACHMENTS, &list), 0);
	unshare_buffer(fd, nic, &s);
	return att.reach == DRM_VVRAM_REACH_VRAM;
}

uint32_t vrnic_place_to_leave(int fd, int nic)
{
	return vrnic_reaches_vram(fd, nic) ? VRAM : SYSTEM;
}

void vrnic_kill_clients(int nic, void (*run)(void), unsigned int first_us)
{
	uint64_t end;
	pid_t pid;
	int i;

	for (i = 0; i < 20; i++) {
		pid = fork();
		igt_assert_lte(0, pid);
		if (!pid) {
			run();
			_exit(1);
		}
		usleep(first_us + i * 15000);
		kill(pid, SIGKILL);
		igt_assert_eq(waitpid(pid, NULL, 0), pid);
	}
	end = now_ms() + 60000;
	while (vrnic_query(nic).mrs && now_ms() < end)
		usleep(10000);
	igt_assert_eq(vrnic_query(nic).mrs, 0);
}

void *alloc_pages(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	igt_assert(p != MAP_FAILED);
	return p;
}

char *vvram_debugfs(int fd, const char *name)
{
	static char path[256];
	struct stat st;

	igt_assert_eq(fstat(fd, &st), 0);
	snprintf(path, sizeof(path), "/sys/kernel/debug/dri/%u/%s", minor(st.st_rdev), name);
	return path;
}

int __debugfs_write(const char *path, const char *text)
{
	int f = open(path, O_WRONLY), ret = 0;

	igt_assert_f(f >= 0, "%s: %s\n", path, strerror(errno));
	if (write(f, text, strlen(text)) < 0)
		ret = -errno;
	close(f);
	return ret;
}

int dma_heap_buffer(uint64_t size, uint8_t **p)
{
	struct dma_heap_allocation_data alloc = { .len = size, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDWR);

	igt_require_f(heap >= 0, "no system dma-heap\n");
	igt_assert_eq(do_call(heap, DMA_HEAP_IOCTL_ALLOC, &alloc), 0);
	close(heap);
	*p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, alloc.fd, 0);
	igt_assert(*p != MAP_FAILED);
	return alloc.fd;
}

bool pages_are_shown(void)
{
	return system("zgrep -qs CONFIG_DMABUF_DEBUG=y /proc/config.gz 2>/dev/null");
}

char *read_file(const char *path)
{
	static char text[65536];
	size_t n = 0;
	ssize_t got;
	int f = open(path, O_RDONLY);

	igt_assert_f(f >= 0, "%s: %s\n", path, strerror(errno));
	while ((got = read(f, text + n, sizeof(text) - 1 - n)) > 0)
		n += got;
	text[n] = 0;
	close(f);
	return text;
}

char *chaos_file(int fd, const char *name)
{
	char file[64];

	snprintf(file, sizeof(file), "chaos/%s", name);
	return vvram_debugfs(fd, file);
}

uint64_t chaos_read(int fd, const char *name)
{
	return strtoull(read_file(chaos_file(fd, name)), NULL, 0);
}

void chaos_write(int fd, const char *name, const char *text)
{
	igt_assert_eq(__debugfs_write(chaos_file(fd, name), text), 0);
}

void chaos_delay(int fd, int ms)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", ms);
	chaos_write(fd, "delay_ms", text);
}

bool bound_function(const char *driver, char *name)
{
	char command[256];
	FILE *f;
	bool found;

	snprintf(command, sizeof(command), "ls %s 2>/dev/null | grep -m 1 ^0000:", driver);
	f = popen(command, "r");
	igt_assert(f);
	found = fscanf(f, "%63s", name) == 1;
	pclose(f);
	return found;
}

void driver_write(const char *driver, const char *what, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", driver, what);
	igt_assert_eq(__debugfs_write(path, name), 0);
}

void bind_again(const char *driver, const char *name)
{
	uint64_t end = now_ms() + 20000;
	char path[PATH_MAX], bound[PATH_MAX];

	snprintf(path, sizeof(path), "%s/bind", driver);
	snprintf(bound, sizeof(bound), "%s/%s", driver, name);
	while (access(bound, F_OK)) {
		igt_assert_f(now_ms() < end, "%s has not come back to its driver\n", name);
		__debugfs_write(path, name);
		usleep(10000);
	}
}

int vvram_open_again(void)
{
	char path[64];
	uint64_t end = now_ms() + 5000;
	int again, i;

	while (now_ms() < end) {
		for (i = 0; i < 8; i++) {
			struct drm_vvram_query query = {};

			snprintf(path, sizeof(path), "/dev/dri/card%d", i);
			again = open(path, O_RDWR | O_CLOEXEC);
			if (again >= 0 && !do_call(again, DRM_IOCTL_VVRAM_QUERY, &query))
				return again;
			close(again);
		}
		usleep(10000);
	}
	return -1;
}

int count_in_dmesg(const char *pattern)
{
	char command[256];
	int n = -1;
	FILE *f;

	snprintf(command, sizeof(command), "dmesg | grep -cE '%s'", pattern);
	f = popen(command, "r");
	igt_assert(f && fscanf(f, "%d", &n) == 1);
	pclose(f);
	return n;
}

uint64_t iommu_faults(void)
{
	char *line, *end;
	uint64_t sum = 0, n;

	/* " 24:  0  3  DMAR-MSI  0-edge  dmar0": a count for each CPU. */
	for (line = strtok(read_file("/proc/interrupts"), "\n"); line; line = strtok(NULL, "\n")) {
		if (!strstr(line, "dmar0"))
			continue;
		for (line = strchr(line, ':') + 1; n = strtoull(line, &end, 10), end != line; line = end)
			sum += n;
		break;
	}
	/* Rare enough not to be suppressed; the other IOMMU has no count of its own. */
	return sum ? sum : (uint64_t)count_in_dmesg("virtio_iommu.*fault from EP");
}

int open_card(const char *driver)
{
	char path[32], name[16];
	int card, i;

	for (i = 0; i < 8; i++) {
		struct drm_version version = { .name = name, .name_len = sizeof(name) - 1 };

		memset(name, 0, sizeof(name));
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		card = open(path, O_RDWR);
		if (card < 0)
			continue;
		if (!ioctl(card, DRM_IOCTL_VERSION, &version) && !strcmp(name, driver))
			return card;
		close(card);
	}
	return -1;
}

static int open_test_module(const char *name)
{
	const char *modules = getenv("MODULES");
	char command[256];

	igt_require_f(modules, "MODULES does not say where the test modules are\n");
	snprintf(command, sizeof(command), "%s/%s.ko", modules, name);
	igt_require_f(!access(command, R_OK), "no %s\n", command);
	snprintf(command, sizeof(command), "[ -d /sys/module/%s ] || insmod %s/%s.ko", name,
		 modules, name);
	igt_assert_eq(system(command), 0);
	snprintf(command, sizeof(command), "/dev/%s", name);
	return open(command, O_RDWR | O_CLOEXEC);
}

int open_careless(void)
{
	return open_test_module("careless");
}

int open_rogue(void)
{
	return open_test_module("rogue");
}

int open_holder(void)
{
	return open_test_module("holder");
}

int open_monitor(void)
{
	char path[300];
	struct dirent *e;
	DIR *dir = opendir("/sys/class/virtio-ports");
	int port = -1;

	if (!dir)
		return -1;
	while (port < 0 && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", e->d_name);
		if (e->d_name[0] == '.' || access(path, R_OK) ||
		    strncmp(read_file(path), "monitor", 7))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", e->d_name);
		port = open(path, O_RDWR | O_NONBLOCK);
	}
	closedir(dir);
	return port;
}

void monitor_order(int monitor, const char *command)
{
	struct pollfd p = { .fd = monitor, .events = POLLIN };
	char answer[4096];

	igt_assert_eq(write(monitor, command, strlen(command)), strlen(command));
	igt_assert_eq(write(monitor, "\n", 1), 1);
	/* What it answers is of no use here, but must not pile up. */
	while (poll(&p, 1, 20) > 0 && read(monitor, answer, sizeof(answer)) > 0)
		;
}

const char *read_fdinfo(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return read_file(path);
}

uint64_t fdinfo_kib(int fd, const char *key)
{
	const char *at = strstr(read_fdinfo(fd), key);
	unsigned long long value;
	char unit[8] = "";

	igt_assert_f(at && at[strlen(key)] == ':', "no %s in\n%s\n", key, read_fdinfo(fd));
	igt_assert_lte(1, sscanf(at + strlen(key) + 1, "%llu %7s", &value, unit));
	if (!strcmp(unit, "KiB"))
		return value;
	return !strcmp(unit, "MiB") ? value << 10 : value >> 10;
}

/* Where what runs the guest looks for them (tools/guest/run). */
void breaches_on_purpose(bool begin)
{
	FILE *kmsg = fopen("/dev/kmsg", "w");

	igt_assert(kmsg);
	fprintf(kmsg, "<6>guest: %s\n", begin ? "breaches on purpose" : "no more breaches");
	fclose(kmsg);
}

void vrnic_misbehave_of(const char *device, const char *how)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/misbehave", device);
	if (strcmp(how, "none"))
		breaches_on_purpose(true);
	igt_assert_eq(__debugfs_write(path, how), 0);
	if (!strcmp(how, "none"))
		breaches_on_purpose(false);
}

void vrnic_misbehave(const char *how)
{
	vrnic_misbehave_of("vrnic0", how);
}

static void *mover_run(void *arg)
{
	struct mover *m = arg;

	while (!m->stop && !m->error) {
		m->error = __vvram_move(m->fd, m->handle, m->moves % 2 ? VRAM : SYSTEM);
		if (m->error == -EBUSY && m->may_be_busy)
			m->error = 0;
		m->moves++;
	}
	return NULL;
}

void mover_start(struct mover *m, int fd, uint32_t handle)
{
	*m = (struct mover) {
		.fd = fd, .handle = handle,
		.may_be_busy = !(vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC),
	};
	igt_assert_eq(pthread_create(&m->thread, NULL, mover_run, m), 0);
}

bool mover_goes_on(const struct mover *m, uint64_t end_ms, int moves)
{
	return !m->error && (now_ms() < end_ms || m->moves < moves);
}

void mover_stop(struct mover *m)
{
	m->stop = true;
	pthread_join(m->thread, NULL);
	igt_assert_eq(m->error, 0);
}

static uint64_t pattern_word(uint64_t i, uint64_t seed)
{
	return (i ^ seed << 32) * 0x9e3779b97f4a7c15ULL + seed;
}

void pattern_fill(void *p, uint64_t size, uint64_t seed)
{
	uint64_t *w = p, i;

	for (i = 0; i < size / 8; i++)
		w[i] = pattern_word(i, seed);
}

int64_t pattern_find_bad(const void *p, uint64_t size, uint64_t seed, unsigned int step)
{
	const volatile uint64_t *w = p;
	uint64_t i;

	for (i = 0; i < size / 8; i += step)
		if (w[i] != pattern_word(i, seed))
			return i * 8;
	return -1;
}

void pattern_check(void *p, uint64_t size, uint64_t seed)
{
	volatile uint8_t *b = p;
	uint64_t at = size / 2;

	igt_assert_eq(pattern_find_bad(p, size, seed, 1), -1);

	b[at] ^= 0x10;
	igt_assert_eq(pattern_find_bad(p, size, seed, 1), at & ~7ULL);
	b[at] ^= 0x10;
}

void press_memory(void)
{
	static const char ttm[] = "/sys/kernel/debug/ttm/tt_shrink";

	igt_assert_eq(__debugfs_write("/proc/sys/vm/drop_caches", "2"), 0);
	if (!access(ttm, R_OK))
		read_file(ttm);
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}
