// SPDX-License-Identifier: MIT

#include <glob.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "direct.h"

/* A file in the drive's folder of sysfs that matches, once the drive is there. */
static bool find_of_drive(const char *serial, const char *pattern, char *path, size_t size)
{
	char wanted[PATH_MAX];
	bool found = false;
	glob_t drives, files;

	if (glob("/sys/class/nvme/nvme*", 0, NULL, &drives))
		return false;
	for (size_t i = 0; i < drives.gl_pathc && !found; i++) {
		snprintf(wanted, sizeof(wanted), "%s/serial", drives.gl_pathv[i]);
		if (strcmp(strtok(read_file(wanted), "\n ") ?: "", serial))
			continue;
		snprintf(wanted, sizeof(wanted), "%s/%s", drives.gl_pathv[i], pattern);
		if (glob(wanted, 0, NULL, &files))
			continue;
		found = true;
		snprintf(path, size, "%s", files.gl_pathv[0]);
		globfree(&files);
	}
	globfree(&drives);
	return found;
}

int open_drive(const char *serial)
{
	uint64_t end = now_ms() + 5000;
	char path[PATH_MAX], node[64];
	int f = -1;

	igt_require_f(!system("modprobe nvme"), "no driver for the drive\n");
	while (f < 0 && now_ms() < end) {
		usleep(20000);
		if (!find_of_drive(serial, "nvme*n1", path, sizeof(path)))
			continue;
		snprintf(node, sizeof(node), "/dev/%s", strrchr(path, '/') + 1);
		f = open(node, O_RDWR | O_DIRECT | O_CLOEXEC);
	}
	igt_require_f(f >= 0, "the machine has no drive '%s'\n", serial);
	return f;
}

void *map_drive_memory(const char *serial, uint64_t size)
{
	char path[PATH_MAX];
	void *p;
	int f;

	igt_require_f(find_of_drive(serial, "device/p2pmem/allocate", path, sizeof(path)),
		      "the drive has no memory\n");
	f = open(path, O_RDWR | O_CLOEXEC);
	igt_assert_fd(f);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	igt_assert(p != MAP_FAILED);
	close(f);
	return p;
}

uint64_t drive_memory_left(const char *serial)
{
	char path[PATH_MAX];

	igt_assert(find_of_drive(serial, "device/p2pmem/available", path, sizeof(path)));
	return strtoull(read_file(path), NULL, 10);
}

int __uring_open(struct uring *ring)
{
	struct io_uring_params *params = calloc(1, sizeof(*params));
	int ret = -ENOMEM;

	*ring = (struct uring) { .params = params };
	ring->fd = syscall(__NR_io_uring_setup, 4, params);
	if (ring->fd < 0) {
		ret = -errno;
		free(params);
		return ret;
	}
	ring->sq_size = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
	ring->cq_size = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
	ring->sqes_size = params->sq_entries * sizeof(struct io_uring_sqe);
	ring->sq = mmap(NULL, ring->sq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
			IORING_OFF_SQ_RING);
	ring->cq = mmap(NULL, ring->cq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
			IORING_OFF_CQ_RING);
	ring->sqes = mmap(NULL, ring->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
			  IORING_OFF_SQES);
	igt_assert(ring->sq != MAP_FAILED && ring->cq != MAP_FAILED &&
		   (void *)ring->sqes != MAP_FAILED);
	return 0;
}

/* The rings' pages have what was registered for as long as they are mapped. */
void uring_close(struct uring *ring)
{
	munmap(ring->sq, ring->sq_size);
	munmap(ring->cq, ring->cq_size);
	munmap(ring->sqes, ring->sqes_size);
	close(ring->fd);
	free(ring->params);
}

static uint32_t *ring_word(void *ring, uint32_t offset)
{
	return (uint32_t *)((uint8_t *)ring + offset);
}

int uring_do(struct uring *ring, int opcode, int fd, void *buf, uint32_t size, uint64_t offset)
{
	struct io_sqring_offsets *sq = &ring->params->sq_off;
	struct io_cqring_offsets *cq = &ring->params->cq_off;
	uint32_t *tail = ring_word(ring->sq, sq->tail), *head = ring_word(ring->cq, cq->head);
	uint32_t mask = *ring_word(ring->sq, sq->ring_mask), slot = *tail & mask;
	struct io_uring_cqe *cqes = (void *)ring_word(ring->cq, cq->cqes);
	int ret;

	ring->sqes[slot] = (struct io_uring_sqe) {
		.opcode = opcode, .fd = fd, .addr = (uintptr_t)buf, .len = size, .off = offset,
	};
	ring_word(ring->sq, sq->array)[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	do {
		ret = syscall(__NR_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	} while (ret < 0 && errno == EINTR);
	igt_assert_lte(0, ret);

	igt_assert_neq(*head, __atomic_load_n(ring_word(ring->cq, cq->tail), __ATOMIC_ACQUIRE));
	ret = cqes[*head & *ring_word(ring->cq, cq->ring_mask)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return ret;
}

int uring_register(struct uring *ring, void *buf, uint64_t size)
{
	struct iovec iov = { .iov_base = buf, .iov_len = size };

	return syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS, &iov, 1) ?
	       -errno : 0;
}

int splice_to(int pipe, void *p, uint64_t size)
{
	struct iovec iov = { .iov_base = p, .iov_len = size };
	ssize_t ret = vmsplice(pipe, &iov, 1, SPLICE_F_NONBLOCK);

	return ret < 0 ? -errno : ret;
}

int traffic_by_pread(struct traffic *t, bool write, void *p)
{
	ssize_t ret = write ? pwrite(t->file, p, SLOT, t->offset) :
			      pread(t->file, p, SLOT, t->offset);

	return ret < 0 ? -errno : ret;
}

static bool traffic_step(struct traffic *t, bool write, uint8_t *p)
{
	int ret = t->move(t, write, p);

	if (ret != (int)SLOT)
		t->error = ret < 0 ? ret : -EIO;
	return !t->error;
}

bool traffic_round(struct traffic *t)
{
	uint64_t seed = t->offset + 2 * t->rounds;

	pattern_fill(t->local, SLOT, seed);
	if (!traffic_step(t, true, t->local) || !traffic_step(t, false, t->p))
		return false;
	t->wrong += pattern_find_bad(t->p, SLOT, seed, 1) != -1;

	pattern_fill(t->p, SLOT, seed + 1);
	if (!traffic_step(t, true, t->p) || !traffic_step(t, false, t->local))
		return false;
	t->wrong += pattern_find_bad(t->local, SLOT, seed + 1, 1) != -1;
	t->rounds++;
	return true;
}

static void *traffic_run(void *arg)
{
	struct traffic *t = arg;

	while (!t->stop && traffic_round(t))
		;
	return NULL;
}

void traffic_start(struct traffic *t)
{
	igt_assert_eq(pthread_create(&t->thread, NULL, traffic_run, t), 0);
}

void traffic_stop(struct traffic *t)
{
	t->stop = true;
	pthread_join(t->thread, NULL);
}
