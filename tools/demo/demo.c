// SPDX-License-Identifier: MIT
/*
 * Two processes and one buffer in VRAM.
 *
 * The parent owns the buffer and moves it to system memory and back. The child has
 * only its dma-buf: it writes and reads through the importer all the while, and
 * compares each byte. Neither may notice the other.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xf86drm.h>

#include "vrnic.h"
#include "vvram_drm.h"

#define SIZE	(64ULL << 20)
#define SLOT	(256U << 10)
#define SLOTS	(SIZE / SLOT)
#define MOVES	100

/* What the child tells at its end. */
struct report {
	uint64_t bytes;
	uint64_t mismatches;
	uint64_t controls;
	uint64_t invalidations;
	uint64_t maps;
	uint64_t dma_faults;
	uint64_t violations;
};

static void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "demo: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

static void call(int fd, unsigned long request, void *arg, const char *what)
{
	while (ioctl(fd, request, arg)) {
		if (errno != EINTR && errno != EAGAIN)
			die("%s: %s", what, strerror(errno));
	}
}

static uint64_t word(uint64_t slot, uint64_t i, uint64_t round)
{
	return (slot << 40 ^ round << 20 ^ i) * 0x9e3779b97f4a7c15ULL;
}

static void fill(uint64_t *p, uint64_t slot, uint64_t round)
{
	for (uint64_t i = 0; i < SLOT / 8; i++)
		p[i] = word(slot, i, round);
}

static uint64_t count_wrong(const uint64_t *p, uint64_t slot, uint64_t round)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < SLOT / 8; i++)
		wrong += p[i] != word(slot, i, round);
	return wrong;
}

static void send_fd(int sock, int what)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &what, sizeof(int));
	if (sendmsg(sock, &msg, 0) != 1)
		die("can not send the dma-buf: %s", strerror(errno));
}

static int receive_fd(int sock)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int what;

	if (recvmsg(sock, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		die("no dma-buf came: %s", strerror(errno));
	memcpy(&what, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return what;
}

/* The importer, as the child uses it. */
struct nic {
	int fd;
	uint32_t queue;
	struct vrnic_reg_mr remote;
	struct vrnic_reg_mr local;
	uint64_t *out;	/* written to the buffer */
	uint64_t *in;	/* read back from it */
};

static void nic_open(struct nic *nic, int dmabuf)
{
	struct vrnic_create_queue queue = { .depth = 16, .eventfd = -1 };

	nic->fd = open("/dev/vrnic0", O_RDWR | O_CLOEXEC);
	if (nic->fd < 0)
		die("/dev/vrnic0: %s", strerror(errno));
	nic->out = mmap(NULL, 2 * SLOT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (nic->out == MAP_FAILED)
		die("no memory");
	nic->in = nic->out + SLOT / 8;

	nic->remote = (struct vrnic_reg_mr) {
		.mode = VRNIC_MR_ON_DEMAND, .fd = dmabuf, .length = SIZE,
		.access = VRNIC_ACCESS_REMOTE_READ | VRNIC_ACCESS_REMOTE_WRITE,
	};
	call(nic->fd, VRNIC_IOC_REG_MR, &nic->remote, "can not register the dma-buf");
	nic->local = (struct vrnic_reg_mr) {
		.flags = VRNIC_REG_MR_USER, .fd = -1, .addr = (uintptr_t)nic->out,
		.length = 2 * SLOT, .access = VRNIC_ACCESS_LOCAL_WRITE,
	};
	call(nic->fd, VRNIC_IOC_REG_MR, &nic->local, "can not register memory");
	call(nic->fd, VRNIC_IOC_CREATE_QUEUE, &queue, "can not make a queue");
	nic->queue = queue.handle;
}

/* Writes @out to a slot and reads the slot back to @in. */
static void nic_transfer(struct nic *nic, uint64_t slot)
{
	struct vrnic_sge sges[2] = {
		{ .addr = 0, .length = SLOT, .lkey = nic->local.lkey },
		{ .addr = SLOT, .length = SLOT, .lkey = nic->local.lkey },
	};
	struct vrnic_wr wrs[2];
	struct vrnic_wc wc;
	struct vrnic_post post = { .queue = nic->queue, .count = 2, .wrs = (uintptr_t)wrs };
	int i;

	for (i = 0; i < 2; i++)
		wrs[i] = (struct vrnic_wr) {
			.wr_id = i, .opcode = i ? VRNIC_OP_READ : VRNIC_OP_WRITE,
			.remote_addr = slot * SLOT, .rkey = nic->remote.rkey,
			.num_sge = 1, .sge = (uintptr_t)&sges[i],
		};
	call(nic->fd, VRNIC_IOC_POST, &post, "can not post");
	for (i = 0; i < 2; i++) {
		struct vrnic_poll poll = {
			.queue = nic->queue, .count = 1, .wcs = (uintptr_t)&wc,
			.timeout_ns = 60000000000LL,
		};

		call(nic->fd, VRNIC_IOC_POLL, &poll, "can not poll");
		if (!poll.count)
			die("a transfer does not complete");
		if (wc.status)
			die("a transfer failed with status %u", wc.status);
	}
}

static int child_main(int sock)
{
	struct vrnic_query_mr query = {};
	struct report report = {};
	struct nic nic;
	uint64_t n;
	char byte;

	nic_open(&nic, receive_fd(sock));
	if (write(sock, "r", 1) != 1)
		die("the parent is gone");
	for (n = 0; recv(sock, &byte, 1, MSG_DONTWAIT) != 1; n++) {
		uint64_t slot = n % SLOTS, round = n / SLOTS;

		fill(nic.out, slot, round);
		memset(nic.in, 0, SLOT);
		nic_transfer(&nic, slot);
		report.mismatches += count_wrong(nic.in, slot, round);
		report.bytes += 2 * SLOT;
		/* The comparison itself is on trial too. */
		nic.in[n % (SLOT / 8)] ^= 1ULL << n % 64;
		report.controls += count_wrong(nic.in, slot, round) == 1;
	}
	report.controls = report.controls == n;

	query.handle = nic.remote.handle;
	call(nic.fd, VRNIC_IOC_QUERY_MR, &query, "can not ask for counters");
	report.invalidations = query.counters.invalidations;
	report.maps = query.counters.maps;
	report.dma_faults = query.counters.dma_faults;
	report.violations = query.counters.violations;
	if (write(sock, &report, sizeof(report)) != sizeof(report))
		die("the parent is gone");
	return 0;
}

static int open_vvram(void)
{
	const char *card = getenv("VVRAM_CARD");
	int fd = card && *card ? open(card, O_RDWR | O_CLOEXEC) : drmOpen("vvram", NULL);

	if (fd < 0)
		die("there is no vvram device; is vvram.ko loaded?");
	return fd;
}

static const char *reach_text(uint32_t reach)
{
	switch (reach) {
	case DRM_VVRAM_REACH_VRAM: return "it reaches VRAM";
	case DRM_VVRAM_REACH_NO_PATH: return "no legal path to VRAM: works in system memory";
	case DRM_VVRAM_REACH_NO_KERNEL: return "this kernel has no peer-to-peer DMA: works in system memory";
	default: return "does not reach VRAM: works in system memory";
	}
}

static struct drm_vvram_gem_info info(int fd, uint32_t handle)
{
	struct drm_vvram_gem_info arg = { .handle = handle };

	call(fd, DRM_IOCTL_VVRAM_GEM_INFO, &arg, "can not ask for the buffer");
	return arg;
}

static pid_t start_child(char *self, int sock)
{
	char number[16];
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid)
		return pid;
	snprintf(number, sizeof(number), "%d", sock);
	execl("/proc/self/exe", self, "importer", number, NULL);
	die("exec: %s", strerror(errno));
	return 0;
}

/* The owner's own view: each slot holds what was written to it last. */
static uint64_t check_through_pointer(const uint64_t *p, uint64_t transfers)
{
	uint64_t wrong = 0;

	for (uint64_t slot = 0; slot < SLOTS && slot < transfers; slot++) {
		uint64_t round = (transfers - 1 - slot) / SLOTS;

		wrong += count_wrong(p + slot * (SLOT / 8), slot, round);
	}
	return wrong;
}

static void move_around(int fd, uint32_t handle, bool dynamic)
{
	uint64_t i;

	for (i = 0; i < MOVES || (dynamic && info(fd, handle).moves < MOVES); i++) {
		struct drm_vvram_gem_move move = {
			.handle = handle,
			.placement = i % 2 ? DRM_VVRAM_PLACEMENT_VRAM : DRM_VVRAM_PLACEMENT_SYSTEM,
		};

		if (ioctl(fd, DRM_IOCTL_VVRAM_GEM_MOVE, &move) && errno != EINTR &&
		    (dynamic || errno != EBUSY))
			die("move %llu: %s", (unsigned long long)i, strerror(errno));
		if (i % 20 == 19)
			printf("  %3llu moves asked for, %llu made, %llu notifications sent\n",
			       (unsigned long long)i + 1,
			       (unsigned long long)info(fd, handle).moves,
			       (unsigned long long)info(fd, handle).notifies);
	}
}

static int parent_main(char *self)
{
	struct drm_vvram_gem_create create = {
		.size = SIZE, .placement = DRM_VVRAM_PLACEMENT_VRAM,
	};
	struct drm_vvram_gem_mmap_offset offset = {};
	struct drm_vvram_attachment att = {};
	struct drm_vvram_gem_attachments list = { .count = 1, .attachments = (uintptr_t)&att };
	struct drm_vvram_query query = {};
	int fd = open_vvram(), dmabuf, socks[2], status;
	struct report report;
	bool dynamic, ok;
	uint64_t moves, wrong;
	void *p;
	pid_t pid;
	char byte;

	call(fd, DRM_IOCTL_VVRAM_QUERY, &query, "can not ask the device");
	dynamic = query.flags & DRM_VVRAM_QUERY_DYNAMIC;
	printf("VRAM: %llu MiB, %s\n", (unsigned long long)query.vram_size >> 20,
	       query.backend == DRM_VVRAM_BACKEND_PCI ? "a PCI BAR" : "carved out of system RAM");

	call(fd, DRM_IOCTL_VVRAM_GEM_CREATE, &create, "can not make a buffer");
	offset.handle = create.handle;
	call(fd, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, &offset, "can not map the buffer");
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset.offset);
	if (p == MAP_FAILED || drmPrimeHandleToFD(fd, create.handle, DRM_CLOEXEC | DRM_RDWR, &dmabuf))
		die("can not share the buffer: %s", strerror(errno));

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, socks))
		die("socketpair: %s", strerror(errno));
	pid = start_child(self, socks[1]);
	close(socks[1]);
	send_fd(socks[0], dmabuf);
	if (read(socks[0], &byte, 1) != 1)
		die("the importer's process did not start");
	list.handle = create.handle;
	call(fd, DRM_IOCTL_VVRAM_GEM_ATTACHMENTS, &list, "can not list importers");
	printf("buffer: %llu MiB; importer %s in process %d: %s\n",
	       SIZE >> 20, att.device, pid, reach_text(att.reach));
	if (!dynamic)
		printf("this kernel pins what an importer has mapped: the buffer can not move\n");

	move_around(fd, create.handle, dynamic);
	moves = info(fd, create.handle).moves;
	if (write(socks[0], "s", 1) != 1 ||
	    read(socks[0], &report, sizeof(report)) != sizeof(report))
		die("the importer's process has failed");
	waitpid(pid, &status, 0);

	wrong = report.mismatches + check_through_pointer(p, report.bytes / (2 * SLOT));
	printf("importer: %llu MiB written and read back; lost its mapping %llu times, mapped %llu times\n",
	       (unsigned long long)report.bytes >> 20, (unsigned long long)report.invalidations,
	       (unsigned long long)report.maps);
	printf("a flipped bit in each comparison was %s\n",
	       report.controls ? "always noticed" : "NOT noticed");

	ok = !wrong && !status && report.controls && report.bytes && !report.dma_faults &&
	     !report.violations && (!dynamic || (moves >= MOVES && report.maps > 1));
	printf("demo: %s moves=%llu invalidations=%llu remaps=%llu bytes=%llu mismatches=%llu\n",
	       ok ? "OK" : "FAILED", (unsigned long long)moves,
	       (unsigned long long)report.invalidations,
	       (unsigned long long)(report.maps ? report.maps - 1 : 0),
	       (unsigned long long)report.bytes, (unsigned long long)wrong);
	return !ok;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "importer"))
		return child_main(atoi(argv[2]));
	return parent_main(argv[0]);
}
