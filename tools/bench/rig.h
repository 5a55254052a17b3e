/* SPDX-License-Identifier: MIT */
#ifndef RIG_H
#define RIG_H

/*
 * What all figures are measured with: devices, buffers, regions, traffic. A call that
 * fails ends the benchmark.
 */

#include <stdbool.h>
#include <stdint.h>

#include "vrnic.h"
#include "vvram_drm.h"

#define KIB(n)		((uint64_t)(n) << 10)
#define MIB(n)		((uint64_t)(n) << 20)
#define VRAM		DRM_VVRAM_PLACEMENT_VRAM
#define SYSTEM		DRM_VVRAM_PLACEMENT_SYSTEM
#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

/* Files of the devices, and of the module that has the kernel's memcpy. */
extern int vvram, vrnic, bench;

/* Memory, a queue and requests of one size, all to the same region. */
struct traffic {
	uint32_t queue, count;
	int64_t timeout;
	uint8_t *p;
	struct vrnic_reg_mr mem;
	struct vrnic_sge sge;
	struct vrnic_wr wrs[64];
};

/* A thread that moves a buffer to and fro, and how long that took. */
struct mover {
	uint32_t handle;
	volatile bool stop;
	uint64_t sum, longest;
};

void *mover(void *arg);

/* Nanoseconds. */
uint64_t now(void);
/* VRAM that is in use, but for what the benchmark holds all the time, is free again. */
void wait_empty(void);
/* Of two; zero is none yet. */
double least(double a, double b);
/* A line of the results. */
void report(const char *figure, const char *variant, uint64_t parameter, double value);
/* @ret is a negative errno; must() takes 0 too. */
void die(const char *what, int ret);
void must(const char *what, int ret);
uint32_t create_with(uint64_t size, uint32_t placement, uint32_t flags);
uint32_t create(uint64_t size, uint32_t placement);
void gem_close(int fd, uint32_t handle);
int export(int fd, uint32_t handle);
/* Both tell how long it took. */
uint64_t move(uint32_t handle, uint32_t placement);
uint64_t map(const struct vrnic_reg_mr *mr);
struct vrnic_reg_mr reg(int fd, uint64_t size, uint32_t mode);
void dereg(const struct vrnic_reg_mr *mr);
void post(uint32_t queue, struct vrnic_wr *wrs, uint32_t count);
void poll_all(uint32_t queue, uint32_t count, int64_t timeout);
void traffic_init(struct traffic *t, const struct vrnic_reg_mr *to, uint32_t op,
		  uint32_t size, uint32_t count);
void traffic_fini(struct traffic *t);
uint64_t traffic_run(struct traffic *t);
void grow_tlbs(void);
void *map_buffer(uint32_t handle, uint64_t size);
/* A CPU's first reads of all pages of a mapping. */
uint64_t timed_faults(uint32_t handle, uint64_t size);
/* One copy between a dma-buf and pages, by the kernel's memcpy. */
double memcpy_ns(int fd, uint64_t size, bool from);
int by_size(const void *a, const void *b);

/* The figures. */
void bench_migrate(void);
void bench_scattered(void);
void bench_engine(void);
void bench_small(void);
void bench_warm(void);
void bench_mapping(void);
void bench_lifetimes(void);
void bench_first_byte(void);
void bench_under_moves(void);
void bench_notify(void);
void bench_evict(void);
void bench_memory(void);
void bench_pages(void);
void bench_verbs(void);

#endif /* RIG_H */
