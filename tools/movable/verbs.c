// SPDX-License-Identifier: MIT
/*
 * Preloaded into a program that uses libibverbs: what it registers becomes a buffer of
 * vvram's, at the same addresses, and is registered as the dma-buf that it is. So the region
 * is imported on demand, and the buffer moves all the time. tools/movable-run is the way to
 * use it.
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

/* Regions that lie in buffers. */
struct region {
	struct region *next;
	struct ibv_mr *mr;
	struct buffer *buffer;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct region *regions;
/* Less is not worth a buffer. */
static size_t least = 4096;

static void remember(struct ibv_mr *mr, struct buffer *buffer, struct region *region)
{
	region->mr = mr;
	region->buffer = buffer;
	pthread_mutex_lock(&lock);
	region->next = regions;
	regions = region;
	pthread_mutex_unlock(&lock);
}

static struct buffer *forget(const struct ibv_mr *mr)
{
	struct region **at, *region;
	struct buffer *buffer = NULL;

	pthread_mutex_lock(&lock);
	for (at = &regions; *at && (*at)->mr != mr; at = &(*at)->next)
		;
	region = *at;
	if (region) {
		*at = region->next;
		buffer = region->buffer;
		free(region);
	}
	pthread_mutex_unlock(&lock);
	return buffer;
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
	struct region *region = calloc(1, sizeof(*region));
	struct ibv_mr *mr = NULL;

	if (region)
		mr = ibv_reg_dmabuf_mr(pd, addr - buffer->start, length, iova, buffer->fd, access);
	if (!mr) {
		free(region);
		return NULL;
	}
	mr->addr = addr;
	remember(mr, buffer, region);
	count(&counts->regions, 1);
	count(&counts->bytes, length);
	return mr;
}

/* What is not possible is for the library to refuse, in its own words. */
struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
				unsigned int access)
{
	bool fits = !(access & ~DMA_BUF_ACCESS) && !(((uintptr_t)addr ^ iova) & 4095);
	bool sane = addr && length < SIZE_MAX / 2, large = length >= least;
	struct buffer *buffer;
	struct ibv_mr *mr;

	if (sane && large && !fits)
		count(&counts->other_rights, 1);
	buffer = sane && fits ? buffer_get(addr, length, large) : NULL;
	if (!buffer)
		return reg_ordinary(pd, addr, length, iova, access);
	mr = reg_in(buffer, pd, addr, length, iova, access);
	if (mr)
		return mr;
	buffer_put(buffer);
	return reg_ordinary(pd, addr, length, iova, access);
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
	struct buffer *buffer = forget(mr);
	struct region *region;
	int ret = next(mr);

	if (!buffer)
		return ret;
	if (!ret) {
		buffer_put(buffer);
		return 0;
	}
	region = calloc(1, sizeof(*region));
	if (region)
		remember(mr, buffer, region);
	return ret;
}

static void __attribute__((constructor)) begin(void)
{
	const char *min = getenv("MOVABLE_LEAST");

	if (min)
		least = strtoul(min, NULL, 0);
}
