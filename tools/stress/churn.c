// SPDX-License-Identifier: MIT
/*
 * Processes and threads that create, share, move, map, fault, transfer, evict, revoke
 * and close at random, and are killed at random. Every buffer says what must be in it;
 * at the end nothing may be left.
 *
 * SECONDS=N to run, SEED=N to run the same again.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "devices.h"
#include "drm.h"
#include "vrnic.h"
#include "vvram_drm.h"

#define WORKERS		4
#define BUFFERS		12
#define MAX_SIZE	(1 << 20)
#define DEPTH		8
/* Exit status of a worker that saw what must not be. */
#define SAW_WRONG	3

/* What a worker has in a slot. */
struct buffer {
	uint32_t handle;
	int fd;
	uint64_t size;
	uint64_t *p;
	bool mine;
	struct vrnic_reg_mr reg;
};

struct shared {
	uint64_t steps, transfers, moves, fds_sent;
};

static struct shared *sum;
static int mailbox[WORKERS][2];

struct worker {
	int id, vvram, vrnic;
	uint64_t rnd;
	uint32_t queue;
	struct buffer buffers[BUFFERS];
	uint64_t *local;
	struct vrnic_reg_mr mem;
	volatile uint32_t movable[BUFFERS];
	volatile bool stop;
};

static void wrong(struct worker *w, const char *what, long a, long b)
{
	fprintf(stderr, "churn: worker %d: %s (%ld, %ld)\n", w->id, what, a, b);
	_exit(SAW_WRONG);
}

/* Word 0 is the seed of all others: everybody can check without being told. */
static uint64_t word(uint64_t seed, uint64_t i)
{
	return i ? (i + seed) * 0x9e3779b97f4a7c15ULL : seed;
}

static void fill(uint64_t *p, uint64_t size, uint64_t seed)
{
	uint64_t i;

	for (i = 0; i < size / 8; i++)
		p[i] = word(seed, i);
}

/* Some words of each page. */
static void check(struct worker *w, const volatile uint64_t *p, uint64_t size)
{
	uint64_t seed = p[0], i;

	for (i = 0; i < size / 8; i += 61)
		if (p[i] != word(seed, i))
			wrong(w, "wrong bytes at word, size", i, size);
}

static void map_buffer(struct worker *w, struct buffer *b)
{
	struct drm_vvram_gem_mmap_offset arg = { .handle = b->handle };
	void *p;

	if (b->p || call(w->vvram, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, &arg))
		return;
	p = mmap(NULL, b->size, PROT_READ | PROT_WRITE, MAP_SHARED, w->vvram, arg.offset);
	if (p != MAP_FAILED)
		b->p = p;
}

static void unmap_buffer(struct buffer *b)
{
	if (b->p)
		munmap(b->p, b->size);
	b->p = NULL;
}

static void drop_region(struct worker *w, struct buffer *b)
{
	struct vrnic_dereg_mr arg = { .handle = b->reg.handle };

	if (b->reg.handle)
		call(w->vrnic, VRNIC_IOC_DEREG_MR, &arg);
	b->reg.handle = 0;
}

static void drop_buffer(struct worker *w, struct buffer *b)
{
	struct drm_gem_close arg = { .handle = b->handle };
	uint64_t order = below(&w->rnd, 3);

	w->movable[b - w->buffers] = 0;
	/* In whatever order: all of it must end. */
	if (order == 0)
		drop_region(w, b);
	unmap_buffer(b);
	if (b->fd >= 0)
		close(b->fd);
	if (order == 1)
		drop_region(w, b);
	call(w->vvram, DRM_IOCTL_GEM_CLOSE, &arg);
	drop_region(w, b);
	*b = (struct buffer){ .fd = -1 };
}

static void create(struct worker *w, struct buffer *b)
{
	struct drm_vvram_gem_create arg = {
		.size = 4096 * (1 + below(&w->rnd, below(&w->rnd, MAX_SIZE / 4096) + 1)),
		.placement = below(&w->rnd, 3) ? DRM_VVRAM_PLACEMENT_VRAM :
						 DRM_VVRAM_PLACEMENT_SYSTEM,
		.flags = below(&w->rnd, 8) ? 0 : DRM_VVRAM_GEM_CREATE_CONTIGUOUS,
	};
	int ret = call(w->vvram, DRM_IOCTL_VVRAM_GEM_CREATE, &arg);

	if (ret == -ENOSPC || ret == -ENOMEM)
		return;
	if (ret)
		wrong(w, "create", ret, arg.size);
	*b = (struct buffer){ .handle = arg.handle, .size = arg.size, .fd = -1, .mine = true };
	map_buffer(w, b);
	if (b->p)
		fill(b->p, b->size, next_random(&w->rnd));
	else
		drop_buffer(w, b);
	w->movable[b - w->buffers] = b->handle;
}

static void export(struct worker *w, struct buffer *b)
{
	struct drm_prime_handle arg = { .handle = b->handle, .flags = DRM_CLOEXEC | DRM_RDWR };

	if (b->fd < 0 && !call(w->vvram, DRM_IOCTL_PRIME_HANDLE_TO_FD, &arg))
		b->fd = arg.fd;
}

static void send_buffer(struct worker *w, struct buffer *b)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec iov = { .iov_base = &b->size, .iov_len = sizeof(b->size) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	export(w, b);
	if (b->fd < 0)
		return;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &b->fd, sizeof(int));
	if (sendmsg(mailbox[below(&w->rnd, WORKERS)][1], &msg, MSG_DONTWAIT) > 0)
		__atomic_add_fetch(&sum->fds_sent, 1, __ATOMIC_RELAXED);
}

static void receive_buffer(struct worker *w, struct buffer *b)
{
	char control[CMSG_SPACE(sizeof(int))];
	uint64_t size;
	struct iovec iov = { .iov_base = &size, .iov_len = sizeof(size) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct drm_prime_handle arg = {};
	unsigned int i;

	if (recvmsg(mailbox[w->id][0], &msg, MSG_DONTWAIT) <= 0 || !CMSG_FIRSTHDR(&msg))
		return;
	memcpy(&arg.fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	if (call(w->vvram, DRM_IOCTL_PRIME_FD_TO_HANDLE, &arg)) {
		close(arg.fd);
		return;
	}
	/* One that we have already: the same handle again, of which there is one only. */
	for (i = 0; i < BUFFERS; i++) {
		if (w->buffers[i].handle == arg.handle) {
			close(arg.fd);
			return;
		}
	}
	*b = (struct buffer){ .handle = arg.handle, .fd = arg.fd, .size = size };
	w->movable[b - w->buffers] = b->handle;
}

static void add_region(struct worker *w, struct buffer *b)
{
	struct vrnic_reg_mr reg = {
		.mode = below(&w->rnd, 5), .length = b->size,
		.access = VRNIC_ACCESS_REMOTE_READ | VRNIC_ACCESS_REMOTE_WRITE,
		.flags = below(&w->rnd, 4) ? 0 : VRNIC_REG_MR_NO_PEER2PEER,
	};
	int ret;

	export(w, b);
	if (b->fd < 0)
		return;
	reg.fd = b->fd;
	ret = call(w->vrnic, VRNIC_IOC_REG_MR, &reg);
	if (!ret)
		b->reg = reg;
	else if (ret != -ENODEV && ret != -EBUSY && ret != -ENOSPC && ret != -ENOMEM &&
		 ret != -EINVAL)
		wrong(w, "register", ret, reg.mode);
}

/* Read and checked, or written with what is there already. */
static void transfer(struct worker *w, struct buffer *b)
{
	bool read = below(&w->rnd, 2);
	struct vrnic_sge sge = { .length = b->size, .lkey = w->mem.lkey };
	struct vrnic_wr wr = {
		.opcode = VRNIC_OP_READ, .rkey = b->reg.rkey, .num_sge = 1,
		.sge = (uintptr_t)&sge,
	};
	struct vrnic_post post = { .queue = w->queue, .count = 1, .wrs = (uintptr_t)&wr };
	struct vrnic_queue reset = { .handle = w->queue };
	struct vrnic_poll poll;
	struct vrnic_wc wc;
	int i, ret;

	for (i = 0; i < (read ? 1 : 2); i++) {
		ret = call(w->vrnic, VRNIC_IOC_POST, &post);
		if (ret)
			wrong(w, "post", ret, 0);
		poll = (struct vrnic_poll) {
			.queue = w->queue, .count = 1, .wcs = (uintptr_t)&wc,
			.timeout_ns = 120000000000LL,
		};
		ret = call(w->vrnic, VRNIC_IOC_POLL, &poll);
		if (ret || poll.count != 1)
			wrong(w, "a request did not complete", ret, poll.count);
		if (wc.status) {
			/* Revoked, most likely: fine, but then nothing else is. */
			ret = call(w->vrnic, VRNIC_IOC_RESET_QUEUE, &reset);
			if (ret)
				wrong(w, "reset", ret, wc.status);
			drop_region(w, b);
			return;
		}
		check(w, w->local, b->size);
		wr.opcode = VRNIC_OP_WRITE;
	}
	__atomic_add_fetch(&sum->transfers, 1, __ATOMIC_RELAXED);
}

static void move(int vvram, uint32_t handle, uint64_t *rnd)
{
	struct drm_vvram_gem_move arg = {
		.handle = handle,
		.placement = below(rnd, 2) ? DRM_VVRAM_PLACEMENT_VRAM : DRM_VVRAM_PLACEMENT_SYSTEM,
		.flags = below(rnd, 2) ? DRM_VVRAM_GEM_MOVE_ASYNC : 0,
	};

	if (!call(vvram, DRM_IOCTL_VVRAM_GEM_MOVE, &arg))
		__atomic_add_fetch(&sum->moves, 1, __ATOMIC_RELAXED);
}

static void revoke_buffer(struct worker *w, struct buffer *b)
{
	struct drm_vvram_gem_revoke arg = { .handle = b->handle };

	if (b->mine)
		call(w->vvram, DRM_IOCTL_VVRAM_GEM_REVOKE, &arg);
}

/* All of VRAM for a moment, at the cost of everybody else. */
static void evict(struct worker *w)
{
	struct drm_vvram_query query = {};
	struct drm_vvram_gem_create arg = { .placement = DRM_VVRAM_PLACEMENT_VRAM };
	struct drm_gem_close close = {};

	call(w->vvram, DRM_IOCTL_VVRAM_QUERY, &query);
	arg.size = query.vram_size / 2;
	if (call(w->vvram, DRM_IOCTL_VVRAM_GEM_CREATE, &arg))
		return;
	close.handle = arg.handle;
	call(w->vvram, DRM_IOCTL_GEM_CLOSE, &close);
}

static void step(struct worker *w)
{
	struct buffer *b = &w->buffers[below(&w->rnd, BUFFERS)];
	uint64_t what = below(&w->rnd, 100);

	__atomic_add_fetch(&sum->steps, 1, __ATOMIC_RELAXED);
	if (!b->handle) {
		if (below(&w->rnd, 2))
			create(w, b);
		else
			receive_buffer(w, b);
	} else if (what < 8) {
		drop_buffer(w, b);
	} else if (what < 25) {
		move(w->vvram, b->handle, &w->rnd);
	} else if (what < 40) {
		map_buffer(w, b);
		if (b->p)
			check(w, b->p, b->size);
	} else if (what < 45) {
		unmap_buffer(b);
	} else if (what < 55) {
		send_buffer(w, b);
	} else if (what < 57) {
		revoke_buffer(w, b);
	} else if (what < 58) {
		evict(w);
	} else if (what < 62) {
		drop_region(w, b);
	} else if (b->reg.handle) {
		transfer(w, b);
	} else {
		add_region(w, b);
	}
}

static void *mover(void *arg)
{
	struct worker *w = arg;
	uint64_t rnd = w->rnd ^ 0x5555;
	uint32_t handle;

	while (!w->stop) {
		handle = w->movable[below(&rnd, BUFFERS)];
		if (handle)
			move(w->vvram, handle, &rnd);
		else
			usleep(1000);
	}
	return NULL;
}

static void work(int id, uint64_t seed, time_t end)
{
	struct worker *w = calloc(1, sizeof(*w));
	struct vrnic_create_queue queue = { .depth = DEPTH, .eventfd = -1 };
	struct vrnic_reg_mr mem = {
		.fd = -1, .flags = VRNIC_REG_MR_USER, .length = MAX_SIZE,
		.access = VRNIC_ACCESS_LOCAL_WRITE,
	};
	pthread_t thread;
	int i;

	w->id = id;
	w->rnd = seed;
	w->vvram = open_vvram();
	w->vrnic = open_vrnic();
	w->local = mmap(NULL, MAX_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mem.addr = (uintptr_t)w->local;
	if (call(w->vrnic, VRNIC_IOC_CREATE_QUEUE, &queue) ||
	    call(w->vrnic, VRNIC_IOC_REG_MR, &mem))
		wrong(w, "set-up", 0, 0);
	w->queue = queue.handle;
	w->mem = mem;
	for (i = 0; i < BUFFERS; i++)
		w->buffers[i].fd = -1;

	pthread_create(&thread, NULL, mover, w);
	while (time(NULL) < end)
		step(w);
	w->stop = true;
	pthread_join(thread, NULL);
	for (i = 0; i < BUFFERS; i++)
		if (w->buffers[i].handle)
			drop_buffer(w, &w->buffers[i]);
	_exit(0);
}

static pid_t start(int id, uint64_t seed, time_t end)
{
	pid_t pid = fork();

	if (!pid)
		work(id, seed, end);
	return pid;
}

int main(void)
{
	uint64_t seconds = number("SECONDS", 10), seed = number("SEED", time(NULL)), rnd = seed;
	time_t end = time(NULL) + seconds;
	unsigned int kills = 0, bad = 0;
	pid_t pids[WORKERS];
	int i, status;
	pid_t pid;

	printf("churn: seed %llu, %llu s\n", (unsigned long long)seed, (unsigned long long)seconds);
	fflush(stdout);
	sum = mmap(NULL, sizeof(*sum), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < WORKERS; i++)
		if (socketpair(AF_UNIX, SOCK_DGRAM, 0, mailbox[i]))
			return 1;
	for (i = 0; i < WORKERS; i++)
		pids[i] = start(i, next_random(&rnd), end);

	while (time(NULL) < end && !bad) {
		usleep(200000 + below(&rnd, 2000000));
		i = below(&rnd, WORKERS);
		kill(pids[i], SIGKILL);
		waitpid(pids[i], &status, 0);
		bad += WIFEXITED(status) && WEXITSTATUS(status);
		kills++;
		pids[i] = start(i, next_random(&rnd), end);
	}
	while ((pid = waitpid(-1, &status, 0)) > 0)
		bad += !WIFEXITED(status) || WEXITSTATUS(status);

	/* Buffers under way between processes go with the sockets. */
	for (i = 0; i < WORKERS; i++) {
		close(mailbox[i][0]);
		close(mailbox[i][1]);
	}
	bad += !devices_are_empty(open_vvram(), open_vrnic());
	printf("churn: %s seed=%llu steps=%llu transfers=%llu moves=%llu shared=%llu kills=%u\n",
	       bad ? "FAILED" : "OK", (unsigned long long)seed, (unsigned long long)sum->steps,
	       (unsigned long long)sum->transfers, (unsigned long long)sum->moves,
	       (unsigned long long)sum->fds_sent, kills);
	return bad ? 1 : 0;
}
