// SPDX-License-Identifier: MIT
/*
 * Preloaded into a program that uses libibverbs: what it registers becomes a buffer of
 * vvram's, at the same addresses, and is registered as the dma-buf that it is. So the region
 * is imported on demand, and the buffer moves all the time. Or, for devices that take no
 * dma-bufs, it is registered by its address, on demand (pages=1). tools/movable-run is the way
 * to use it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <infiniband/verbs.h>

#include "movable.h"

#undef ibv_reg_mr
#undef ibv_reg_mr_iova

#define DMA_BUF_ACCESS	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |	\
			 IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC |	\
			 IBV_ACCESS_OPTIONAL_RANGE)

typedef struct ibv_mr *(*reg_mr_fn)(struct ibv_pd *, void *, size_t, uint64_t, unsigned int);
typedef int (*dereg_mr_fn)(struct ibv_mr *);

#define PAGE		4096UL

/* A region, and the buffer that it lies in; NULL for one of pages that were pinned. */
struct region {
	struct region *next;
	struct ibv_mr *mr;
	struct buffer *buffer;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct region *regions;
/* Less is not worth a buffer. */
static size_t least = PAGE;
/* Regions are of addresses, rather than of dma-bufs. */
static bool by_pointer;

static void remember(struct region *region)
{
	pthread_mutex_lock(&lock);
	region->next = regions;
	regions = region;
	pthread_mutex_unlock(&lock);
}

static struct region *forget(const struct ibv_mr *mr)
{
	struct region **at, *region;

	pthread_mutex_lock(&lock);
	for (at = &regions; *at && (*at)->mr != mr; at = &(*at)->next)
		;
	region = *at;
	if (region)
		*at = region->next;
	pthread_mutex_unlock(&lock);
	return region;
}

static bool share_a_page(const struct ibv_mr *mr, uintptr_t addr, size_t length)
{
	uintptr_t start = (uintptr_t)mr->addr & ~(PAGE - 1);

	return start < addr + length && (addr & ~(PAGE - 1)) < (uintptr_t)mr->addr + mr->length;
}

/* Pages that the device has pinned must stay: it would go on with them alone. */
static bool is_pinned(const void *addr, size_t length)
{
	struct region *region;

	pthread_mutex_lock(&lock);
	for (region = regions; region; region = region->next)
		if (!region->buffer && share_a_page(region->mr, (uintptr_t)addr, length))
			break;
	pthread_mutex_unlock(&lock);
	return region;
}

static struct ibv_mr *reg_ordinary(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
				   unsigned int access)
{
	reg_mr_fn next = (reg_mr_fn)dlsym(RTLD_NEXT, "ibv_reg_mr_iova2");

	return next(pd, addr, length, iova, access);
}

static struct ibv_mr *reg_in(struct buffer *buffer, struct ibv_pd *pd, char *addr, size_t length,
			     uint64_t iova, unsigned int access)
{
	struct ibv_mr *mr;

	if (by_pointer)
		mr = reg_ordinary(pd, addr, length, iova, access | IBV_ACCESS_ON_DEMAND);
	else
		mr = ibv_reg_dmabuf_mr(pd, addr - buffer->start, length, iova, buffer->fd, access);
	if (!mr)
		return NULL;
	mr->addr = addr;
	count(&counts->regions, 1);
	count(&counts->bytes, length);
	return mr;
}

/* The buffer for a region, if it may have one. */
static struct buffer *buffer_for(void *addr, size_t length, uint64_t iova, unsigned int access)
{
	unsigned int may = DMA_BUF_ACCESS | (by_pointer ? IBV_ACCESS_ON_DEMAND : 0);
	bool fits = !(access & ~may) && !(((uintptr_t)addr ^ iova) & (PAGE - 1));
	bool large = length >= least;

	if (!addr || length >= SIZE_MAX / 2)
		return NULL;
	if (large && !fits)
		count(&counts->other_rights, 1);
	return fits ? buffer_get(addr, length, large && !is_pinned(addr, length)) : NULL;
}

/* What is not possible is for the library to refuse, in its own words. */
struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
				unsigned int access)
{
	struct region *region = calloc(1, sizeof(*region));

	if (!region) {
		errno = ENOMEM;
		return NULL;
	}
	region->buffer = buffer_for(addr, length, iova, access);
	if (region->buffer)
		region->mr = reg_in(region->buffer, pd, addr, length, iova, access);
	if (!region->mr) {
		if (region->buffer)
			buffer_put(region->buffer);
		region->buffer = NULL;
		region->mr = reg_ordinary(pd, addr, length, iova, access);
	}
	if (!region->mr) {
		free(region);
		return NULL;
	}
	remember(region);
	return region->mr;
}

struct ibv_mr *ibv_reg_mr_iova(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
			       int access)
{
	return ibv_reg_mr_iova2(pd, addr, length, iova, access);
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	return ibv_reg_mr_iova2(pd, addr, length, (uintptr_t)addr, access);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	dereg_mr_fn next = (dereg_mr_fn)dlsym(RTLD_NEXT, "ibv_dereg_mr");
	struct region *region = forget(mr);
	int ret = next(mr);

	if (!region)
		return ret;
	if (ret) {
		remember(region);
		return ret;
	}
	if (region->buffer)
		buffer_put(region->buffer);
	free(region);
	return 0;
}

static void __attribute__((constructor)) begin(void)
{
	const char *min = getenv("MOVABLE_LEAST");

	if (min)
		least = strtoul(min, NULL, 0);
	by_pointer = getenv("MOVABLE_BY_POINTER");
}
