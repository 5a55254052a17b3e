// SPDX-License-Identifier: MIT
/*
 * Memory of the process that becomes a buffer of vvram's where it is: the bytes are copied, and
 * the one mapping takes the place of the other. Addresses stay, and so does what else lies in
 * the first and the last page. It stays a buffer until the program unmaps it: whoever ends a
 * region (a thread of UCX's, at the time of a free()) must not touch the memory, which may be
 * somebody else's in the next moment.
 *
 * System calls are made without libc's functions, which others have wrapped as well: UCX
 * would take a mapping that is replaced for memory that was freed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <vvram_drm.h>

#include "movable.h"

#define PAGE		4096UL
#define NS_PER_S	1000000000L

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct buffer *buffers;
static int card = -1;
/* Bytes that the buffer whose turn it was had moved by then; see next_turn(). */
static uint64_t moved_so_far;
static bool moving;
static long moves_per_s = 50;

static struct counts nobody_reads;
struct counts *counts = &nobody_reads;

void count(uint64_t *which, uint64_t n)
{
	__atomic_fetch_add(which, n, __ATOMIC_RELAXED);
}

static char *map(size_t size, int flags, int fd)
{
	return (char *)syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0L);
}

static void unmap(char *at, size_t size)
{
	syscall(SYS_munmap, at, size);
}

/* What is at @from is at @to afterwards, in the place of what was there. */
static bool put_at(char *from, size_t size, char *to)
{
	return (char *)syscall(SYS_mremap, from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to;
}

/* Memory of its own, with the bytes that it has now. */
static char *copy_of(const char *start, size_t size)
{
	char *copy = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (copy != MAP_FAILED)
		memcpy(copy, start, size);
	return copy;
}

/*
 * Threads of the program that write to this memory wait from now on, until what is returned
 * is closed; -1 where that can't be had, as for memory that has been a buffer before. This one
 * must not write there either.
 */
static int hold_writers(char *start, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_UNPOPULATED };
	struct uffdio_register range = {
		.range = { (uintptr_t)start, size }, .mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect protect = {
		.range = range.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	/* Without privileges, the kernel's own writes of the program's calls are refused instead. */
	if (fd < 0)
		fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (fd < 0)
		return -1;
	if (!syscall(SYS_ioctl, fd, UFFDIO_API, &api) &&
	    !syscall(SYS_ioctl, fd, UFFDIO_REGISTER, &range) &&
	    !syscall(SYS_ioctl, fd, UFFDIO_WRITEPROTECT, &protect))
		return fd;
	close(fd);
	return -1;
}

/* The bytes of @to go to @from, which then takes its place; nothing that is written is lost. */
static bool replace(char *from, size_t size, char *to)
{
	int held = hold_writers(to, size);
	bool done;

	if (held < 0)
		return false;
	memcpy(from, to, size);
	done = put_at(from, size, to);
	close(held);
	return done;
}

static bool query(int maps, const char *addr, struct procmap_query *vma)
{
	*vma = (struct procmap_query){
		.size = sizeof(*vma),
		.query_flags = PROCMAP_QUERY_COVERING_OR_NEXT_VMA,
		.query_addr = (uintptr_t)addr,
	};
	return !syscall(SYS_ioctl, maps, PROCMAP_QUERY, vma);
}

static dev_t device_of(const struct procmap_query *vma)
{
	return makedev(vma->dev_major, vma->dev_minor);
}

static bool has(const struct procmap_query *vma, const char *addr)
{
	return vma->vma_start <= (uintptr_t)addr && (uintptr_t)addr < vma->vma_end;
}

/* Memory that nobody else sees, and that no other mapping may replace: not the stack. */
static bool is_ordinary(const struct procmap_query *vma)
{
	const uint64_t rights = PROCMAP_QUERY_VMA_READABLE | PROCMAP_QUERY_VMA_WRITABLE;

	return (vma->vma_flags & ~(uint64_t)PROCMAP_QUERY_VMA_EXECUTABLE) == rights &&
	       !vma->inode && vma->vma_page_size == PAGE &&
	       !has(vma, __builtin_frame_address(0));
}

/* A buffer's that nobody uses is as good. */
static bool is_free(const struct procmap_query *vma)
{
	struct buffer *b;

	for (b = buffers; b; b = b->next)
		if (!b->users && b->inode == vma->inode && b->device == device_of(vma))
			return true;
	return is_ordinary(vma);
}

static bool is_of(const struct buffer *b, const struct procmap_query *vma)
{
	return b->inode == vma->inode && b->device == device_of(vma);
}

/* Whether all of it may become a buffer's, or, with @b, is that buffer's. */
static bool all_is(const struct buffer *b, const char *start, size_t size)
{
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	const char *at = start;
	struct procmap_query vma;

	while (at < start + size && query(maps, at, &vma) && has(&vma, at) &&
	       (b ? is_of(b, &vma) : is_free(&vma)))
		at = (char *)(uintptr_t)vma.vma_end;
	close(maps);
	return at >= start + size;
}

/* Calls @fn, if any, for each piece that still is the buffer's. Returns whether there is one. */
static bool each_piece(const struct buffer *b,
		       void (*fn)(const struct buffer *b, char *at, size_t size))
{
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char *at = b->start, *end = b->start + b->size, *to;
	struct procmap_query vma;
	bool any = false;

	for (; at < end && query(maps, at, &vma) && (uintptr_t)end > vma.vma_start; at = to) {
		if (!has(&vma, at))
			at = (char *)(uintptr_t)vma.vma_start;
		to = (uintptr_t)end < vma.vma_end ? end : (char *)(uintptr_t)vma.vma_end;
		if (!is_of(b, &vma))
			continue;
		any = true;
		if (fn)
			fn(b, at, to - at);
	}
	close(maps);
	return any;
}

static void put_snapshot(const struct buffer *b, char *at, size_t size)
{
	put_at(b->snapshot + (at - b->start), size, at);
}

static void free_handle(uint32_t handle)
{
	struct drm_gem_close arg = { .handle = handle };

	card_call(card, DRM_IOCTL_GEM_CLOSE, &arg);
}

/* A buffer with a dma-buf; its mapping is the only one so far. */
static char *make_storage(struct buffer *b)
{
	struct drm_vvram_gem_create create = {
		.size = b->size, .placement = DRM_VVRAM_PLACEMENT_VRAM,
	};
	struct drm_prime_handle prime = { .flags = DRM_RDWR | DRM_CLOEXEC };
	struct stat st;
	char *at;

	if (card_call(card, DRM_IOCTL_VVRAM_GEM_CREATE, &create))
		return MAP_FAILED;
	b->handle = create.handle;
	prime.handle = create.handle;
	b->in_vram = true;
	if (card_call(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime))
		goto err_handle;
	b->fd = prime.fd;
	at = map(b->size, MAP_SHARED, b->fd);
	if (at == MAP_FAILED || fstat(b->fd, &st))
		goto err_fd;
	b->inode = st.st_ino;
	b->device = st.st_dev;
	return at;

err_fd:
	close(b->fd);
err_handle:
	free_handle(b->handle);
	return MAP_FAILED;
}

/*
 * Of those in use, the one that has moved the fewest bytes: what small ones need is not
 * taken by large ones, which move all the same.
 */
static struct buffer *next_turn(void)
{
	struct buffer *b, *first = NULL;

	for (b = buffers; b; b = b->next)
		if (b->users && (!first || b->moved < first->moved))
			first = b;
	if (!first)
		return NULL;
	moved_so_far = first->moved;
	first->moved += first->size;
	return first;
}

/* Who was not there, or not in use, does not catch up. */
static void use(struct buffer *b)
{
	if (!b->users++ && b->moved < moved_so_far)
		b->moved = moved_so_far;
}

/* Handles are not used while the lock is held: one that is gone is no harm. */
static bool move_one(void)
{
	struct drm_vvram_gem_move move = {};
	struct buffer *b;
	int ret;

	pthread_mutex_lock(&lock);
	b = next_turn();
	if (b) {
		b->in_vram = !b->in_vram;
		move.handle = b->handle;
		move.placement = b->in_vram ? DRM_VVRAM_PLACEMENT_VRAM : DRM_VVRAM_PLACEMENT_SYSTEM;
	}
	pthread_mutex_unlock(&lock);
	if (!b)
		return false;
	ret = card_call(card, DRM_IOCTL_VVRAM_GEM_MOVE, &move);
	count(!ret ? &counts->moves : &counts->failed_moves, ret != -ENOENT);
	return true;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* At a steady rate; moves that take longer are not caught up with. */
static void *move_all(void *unused)
{
	int64_t period = NS_PER_S / moves_per_s, began, took;
	struct timespec rest = {};
	bool any;

	for (;;) {
		began = now_ns();
		any = move_one();
		took = now_ns() - began;
		if (took < period) {
			rest.tv_sec = (period - took) / NS_PER_S;
			rest.tv_nsec = (period - took) % NS_PER_S;
			nanosleep(&rest, NULL);
		}
		if (any)
			count(&counts->moving_us, (now_ns() - began) / 1000);
	}
	return unused;
}

/* The program's signals are not for this thread. */
static void start_moving(void)
{
	sigset_t all, before;
	pthread_t thread;

	if (moving)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	moving = !pthread_create(&thread, NULL, move_all, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (moving)
		pthread_detach(thread);
}

static struct buffer *make_buffer(char *start, size_t size)
{
	struct buffer *b = calloc(1, sizeof(*b));
	char *at;

	if (!b)
		return NULL;
	b->start = start;
	b->size = size;
	if (card < 0)
		card = card_open();
	at = make_storage(b);
	if (at == MAP_FAILED) {
		count(&counts->no_room, 1);
		goto err_free;
	}
	if (!replace(at, size, start)) {
		count(&counts->other_memory, 1);
		goto err_storage;
	}
	b->next = buffers;
	buffers = b;
	start_moving();
	return b;

err_storage:
	unmap(at, size);
	close(b->fd);
	free_handle(b->handle);
err_free:
	free(b);
	return NULL;
}

static void free_buffer(struct buffer *b)
{
	struct buffer **at = &buffers;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	close(b->fd);
	free_handle(b->handle);
	free(b);
}

/* What is not used any more, and not mapped. */
static void free_unmapped(void)
{
	struct buffer *b, *next;

	for (b = buffers; b; b = next) {
		next = b->next;
		if (!b->users && !each_piece(b, NULL))
			free_buffer(b);
	}
}

static struct buffer *find_or_make(char *addr, size_t length, bool make)
{
	char *start = (char *)((uintptr_t)addr & ~(PAGE - 1));
	size_t size = (addr + length - start + PAGE - 1) & ~(PAGE - 1);
	struct buffer *b;

	for (b = buffers; b; b = b->next)
		if (start >= b->start && start + size <= b->start + b->size &&
		    all_is(b, start, size))
			return b;
	if (!make)
		return NULL;
	if (!all_is(NULL, start, size)) {
		count(&counts->other_memory, 1);
		return NULL;
	}
	return make_buffer(start, size);
}

/* buffer_get - the buffer that memory lies in, which it becomes if @make; NULL if none */
struct buffer *buffer_get(void *addr, size_t length, bool make)
{
	struct buffer *b;

	pthread_mutex_lock(&lock);
	free_unmapped();
	b = find_or_make(addr, length, make);
	if (b)
		use(b);
	pthread_mutex_unlock(&lock);
	return b;
}

/* buffer_put - not for a region any more */
void buffer_put(struct buffer *b)
{
	pthread_mutex_lock(&lock);
	b->users--;
	free_unmapped();
	pthread_mutex_unlock(&lock);
}

/* A child has a copy of its parent's memory, not a part of it. */
static void before_fork(void)
{
	struct buffer *b;

	pthread_mutex_lock(&lock);
	for (b = buffers; b; b = b->next)
		b->snapshot = copy_of(b->start, b->size);
}

static void after_fork_in_parent(void)
{
	struct buffer *b;

	for (b = buffers; b; b = b->next) {
		if (b->snapshot != MAP_FAILED)
			unmap(b->snapshot, b->size);
		b->snapshot = NULL;
	}
	pthread_mutex_unlock(&lock);
}

/* Handles are the parent's as well: nothing is closed but what is the child's own. */
static void after_fork_in_child(void)
{
	struct buffer *b;

	for (b = buffers; b; b = b->next) {
		if (b->snapshot != MAP_FAILED)
			each_piece(b, put_snapshot);
		close(b->fd);
	}
	buffers = NULL;
	moving = false;
	if (card >= 0)
		close(card);
	card = -1;
	pthread_mutex_unlock(&lock);
}

static void open_counts(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *at;

	if (fd < 0)
		return;
	at = map(sizeof(*counts), MAP_SHARED, fd);
	close(fd);
	if (at != MAP_FAILED)
		counts = at;
}

static void __attribute__((constructor)) begin(void)
{
	const char *path = getenv("MOVABLE_COUNTS"), *hz = getenv("MOVABLE_HZ");

	if (path)
		open_counts(path);
	if (hz && atol(hz) > 0)
		moves_per_s = atol(hz);
	/* Pages of its own for all that may be registered, with nothing beside it. */
	mallopt(M_MMAP_THRESHOLD, PAGE);
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}
