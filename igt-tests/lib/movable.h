/* SPDX-License-Identifier: MIT */
/*
 * What the tests share: the two devices' calls, patterns, and both together.
 *
 * Functions that begin with two underscores return 0 or a negative errno; their
 * namesakes without assert that it is 0.
 */
#ifndef MOVABLE_H
#define MOVABLE_H

#include <pthread.h>

#include "igt.h"
#include "vrnic.h"
#include "vvram_drm.h"

#define KIB(n)		((uint64_t)(n) << 10)
#define MIB(n)		((uint64_t)(n) << 20)
#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

#define VRAM	DRM_VVRAM_PLACEMENT_VRAM
#define SYSTEM	DRM_VVRAM_PLACEMENT_SYSTEM

/* ioctl() that returns 0 or -errno. */
int do_call(int fd, unsigned long request, void *arg);

/* vvram */
int __vvram_create(int fd, uint64_t size, uint32_t placement, uint32_t flags, uint32_t *handle);
uint32_t vvram_create(int fd, uint64_t size, uint32_t placement);
int __vvram_move(int fd, uint32_t handle, uint32_t placement);
/* Returns as soon as the buffer is on its way. */
int __vvram_move_async(int fd, uint32_t handle, uint32_t placement);
void vvram_move(int fd, uint32_t handle, uint32_t placement);
/* Kernels that pin the mapped buffers of dynamic importers refuse the move. */
void vvram_move_mapped(int fd, uint32_t handle, uint32_t placement);
/* A buffer is away for so long ... */
#define AWAY_MS		5000
/* ... and who does not wait for it is done within that, on the slowest machine. */
#define SOON_MS		4000
/* Sets off for @placement, and arrives so much later; @p is its mapping. */
void vvram_send_away(int fd, uint32_t handle, void *p, uint32_t placement, int ms);
struct drm_vvram_gem_info vvram_info(int fd, uint32_t handle);
struct drm_vvram_query vvram_query(int fd);
void *vvram_mmap(int fd, uint32_t handle, uint64_t size);
void vvram_wait_unused(int fd);

/* vrnic */
int vrnic_open(void);
struct vrnic_query vrnic_query(int nic);
int __vrnic_reg_mr(int nic, struct vrnic_reg_mr *reg);
struct vrnic_reg_mr vrnic_reg_dma_buf(int nic, int dmabuf, uint32_t mode, uint64_t size);
struct vrnic_reg_mr vrnic_reg_user(int nic, void *addr, uint64_t size);
int __vrnic_dereg_mr(int nic, uint32_t handle);
void vrnic_dereg_mr(int nic, uint32_t handle);
struct vrnic_query_mr vrnic_query_mr(int nic, uint32_t handle);
uint32_t vrnic_create_queue(int nic, uint32_t depth);
/* One that hardware serves. */
uint32_t vrnic_create_edu_queue(int nic, uint32_t depth);
void vrnic_destroy_queue(int nic, uint32_t queue);
int __vrnic_post(int nic, uint32_t queue, struct vrnic_wr *wrs, uint32_t count);
int vrnic_poll(int nic, uint32_t queue, struct vrnic_wc *wcs, uint32_t count, int64_t timeout_ns);

/* One request and its completion. */
struct vrnic_wc vrnic_do(int nic, uint32_t queue, struct vrnic_wr *wr);
struct vrnic_wc vrnic_copy(int nic, uint32_t queue, uint32_t opcode,
			   const struct vrnic_reg_mr *remote, uint64_t remote_addr,
			   const struct vrnic_reg_mr *local, uint64_t local_addr, uint32_t len);
/* The request alone; its number is one more than @remote_addr. */
void vrnic_post_copy(int nic, uint32_t queue, uint32_t opcode,
		     const struct vrnic_reg_mr *remote, uint64_t remote_addr,
		     const struct vrnic_reg_mr *local, uint64_t local_addr, uint32_t len);

#define SLOTS	8

/*
 * Each slot of the buffer is written, then read back, in requests that are in
 * flight all at once, while the buffer moves.
 */
void transfer_round(int nic, uint32_t queue, const struct vrnic_reg_mr *remote,
		    const struct vrnic_reg_mr *mem, uint8_t *local, uint32_t slot, uint64_t round);

/* A buffer with its mapping, its dma-buf and a region of the importer's on it. */
struct shared {
	uint64_t size;
	uint32_t handle;
	int dmabuf;
	uint8_t *p;
	struct vrnic_reg_mr reg;
};

struct shared share_buffer(int fd, int nic, uint64_t size, uint32_t mode, uint32_t flags);
void unshare_buffer(int fd, int nic, struct shared *s);
bool vrnic_reaches_vram(int fd, int nic);
/*
 * Where a buffer is to be before it leaves an importer behind that goes on with its old place:
 * in VRAM if it may, which is no memory of the kernel's, of which KASAN would tell.
 */
uint32_t vrnic_place_to_leave(int fd, int nic);
/*
 * Has 20 processes, one after the other, @run until they are killed, the first after @first_us;
 * asserts that no region is left then.
 */
void vrnic_kill_clients(int nic, void (*run)(void), unsigned int first_us);
void *alloc_pages(uint64_t size);

#define VRNIC_MISBEHAVE	"/sys/kernel/debug/vrnic0/misbehave"

/* Files in debugfs: those of vvram's chaos, and of vrnic. */
char *chaos_file(int fd, const char *name);
uint64_t chaos_read(int fd, const char *name);
void chaos_write(int fd, const char *name, const char *text);
/* How long each copy waits before it begins. */
void chaos_delay(int fd, int ms);
int __debugfs_write(const char *path, const char *text);
/* What breaks the rules until "none": breaches of the contract are no failure meanwhile. */
void vrnic_misbehave(const char *how);
void vrnic_misbehave_of(const char *device, const char *how);
/* The dma-buf of memory of the system's dma-heap, mapped at @p. */
int dma_heap_buffer(uint64_t size, uint8_t **p);
/* A kernel with CONFIG_DMABUF_DEBUG gives importers tables without pages. */
bool pages_are_shown(void);
char *read_file(const char *path);

/* Breaches of the dma-buf contract are on purpose from here on, or are none any more. */
void breaches_on_purpose(bool begin);
/* Lines of the kernel's log that match an extended regular expression. */
int count_in_dmesg(const char *pattern);
/* Accesses that an IOMMU has blocked so far. */
uint64_t iommu_faults(void);
char *vvram_debugfs(int fd, const char *name);
/* Of /proc/self/fdinfo; a key's value in KiB, as of "drm-total-vram". */
const char *read_fdinfo(int fd);
uint64_t fdinfo_kib(int fd, const char *key);

#define VVRAM_DRIVER	"/sys/bus/pci/drivers/vvram"
#define VRNIC_DRIVER	"/sys/bus/pci/drivers/vrnic"

/* Name of the first function that a driver is bound to, as its folder in sysfs has it. */
bool bound_function(const char *driver, char *name);
void driver_write(const char *driver, const char *what, const char *name);
/* Nothing when it is bound, or has bound itself in the meantime. */
void bind_again(const char *driver, const char *name);
/* The node of a device that was bound anew, or -1 after a while. */
int vvram_open_again(void);

/* The card whose driver is called so, or -1. */
int open_card(const char *driver);

/* The test modules of igt-tests/modules, which are loaded for that: rmmod them in the end. */
int open_careless(void);
int open_rogue(void);
int open_holder(void);

/* The port by which the machine takes orders, or -1. */
int open_monitor(void);
void monitor_order(int monitor, const char *command);

/* A thread that moves a buffer back and forth until it is stopped. */
struct mover {
	int fd;
	uint32_t handle;
	/* A kernel that pins mapped buffers refuses moves; that is no error then. */
	bool may_be_busy;
	volatile bool stop;
	volatile int moves;
	volatile int error;
	pthread_t thread;
};

void mover_start(struct mover *m, int fd, uint32_t handle);
/*
 * Whether to go on: the time is not over, or it has moved less often than @moves, as it does
 * on a machine that has more to do.
 */
bool mover_goes_on(const struct mover *m, uint64_t end_ms, int moves);
void mover_stop(struct mover *m);

/* A pattern that tells place and seed of each 8 bytes. */
void pattern_fill(void *p, uint64_t size, uint64_t seed);
/* Byte offset of the first wrong 8 bytes, or -1. Looks at every @step-th word. */
int64_t pattern_find_bad(const void *p, uint64_t size, uint64_t seed, unsigned int step);
/* Asserts that all is right, and that one flipped bit would have been seen. */
void pattern_check(void *p, uint64_t size, uint64_t seed);

/* Asks the kernel for all that can be reclaimed; TTM's own switch is for old kernels. */
void press_memory(void);

/* Milliseconds of the monotonic clock. */
uint64_t now_ms(void);

#endif /* MOVABLE_H */
