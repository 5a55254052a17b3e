// SPDX-License-Identifier: MIT
/*
 * A test of a driver with dma-bufs that move: to begin from. Each half is a dozen lines: make a
 * buffer, give its fd to the other driver, and use it while it moves. Who breaks the rules of
 * dma-buf meanwhile is named by tools/vm run, and by "contract" in debugfs.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xf86drm.h>

#include "../exporter/example_exporter.h"
#include "../importer/example_importer.h"
#include "vrnic.h"
#include "vvram_drm.h"

#define SIZE	(1U << 20)
#define ROUNDS	100U

static int check(int ret, const char *what)
{
	if (ret < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
		exit(1);
	}
	return ret;
}

static int open_or_die(const char *path)
{
	return check(open(path, O_RDWR | O_CLOEXEC), path);
}

/* An importer of yours, on a buffer of vvram's. */
static void test_importer(void)
{
	int vvram = open_or_die(getenv("VVRAM_CARD") ?: "/dev/dri/card0");
	int importer = open_or_die("/dev/example_importer");
	struct drm_vvram_gem_create create = {
		.size = SIZE, .placement = DRM_VVRAM_PLACEMENT_VRAM,
	};
	struct drm_vvram_gem_move move = {};
	uint32_t maps = 0;
	unsigned int i;
	int dmabuf;

	check(drmIoctl(vvram, DRM_IOCTL_VVRAM_GEM_CREATE, &create), "GEM_CREATE");
	check(drmPrimeHandleToFD(vvram, create.handle, DRM_CLOEXEC | DRM_RDWR, &dmabuf), "export");
	check(ioctl(importer, EXAMPLE_IMPORT, dmabuf), "import");
	for (i = 0; i < ROUNDS; i++) {
		check(ioctl(importer, EXAMPLE_RUN), "run");
		move = (struct drm_vvram_gem_move) {
			.handle = create.handle,
			.placement = i % 2 ? DRM_VVRAM_PLACEMENT_VRAM : DRM_VVRAM_PLACEMENT_SYSTEM,
		};
		check(drmIoctl(vvram, DRM_IOCTL_VVRAM_GEM_MOVE, &move), "GEM_MOVE");
	}
	check(ioctl(importer, EXAMPLE_MAPS, &maps), "maps");
	printf("importer: %u mappings, %u moves\n", maps, ROUNDS);
	/* Each move takes the mapping away. */
	if (maps < ROUNDS) {
		fprintf(stderr, "the importer has not mapped again\n");
		exit(1);
	}
	close(importer);
	close(dmabuf);
	close(vvram);
}

/* An exporter of yours, used by vrnic: what is written to the buffer is read back, moved. */
struct nic {
	int fd;
	uint32_t queue;
	struct vrnic_reg_mr remote, local;
};

static void open_nic(struct nic *nic, int dmabuf, void *memory)
{
	struct vrnic_create_queue queue = { .depth = 4, .eventfd = -1 };

	nic->fd = open_or_die("/dev/vrnic0");
	nic->remote = (struct vrnic_reg_mr) {
		.mode = VRNIC_MR_ON_DEMAND, .fd = dmabuf, .length = SIZE,
		.access = VRNIC_ACCESS_REMOTE_READ | VRNIC_ACCESS_REMOTE_WRITE,
	};
	nic->local = (struct vrnic_reg_mr) {
		.flags = VRNIC_REG_MR_USER, .fd = -1, .addr = (uintptr_t)memory, .length = SIZE,
		.access = VRNIC_ACCESS_LOCAL_WRITE,
	};
	check(ioctl(nic->fd, VRNIC_IOC_REG_MR, &nic->remote), "REG_MR");
	check(ioctl(nic->fd, VRNIC_IOC_REG_MR, &nic->local), "REG_MR of memory");
	check(ioctl(nic->fd, VRNIC_IOC_CREATE_QUEUE, &queue), "CREATE_QUEUE");
	nic->queue = queue.handle;
}

static void transfer(struct nic *nic, uint32_t opcode)
{
	struct vrnic_sge sge = { .length = SIZE, .lkey = nic->local.lkey };
	struct vrnic_wr wr = {
		.opcode = opcode, .rkey = nic->remote.rkey, .num_sge = 1, .sge = (uintptr_t)&sge,
	};
	struct vrnic_post post = { .queue = nic->queue, .count = 1, .wrs = (uintptr_t)&wr };
	struct vrnic_wc wc = {};
	struct vrnic_poll poll = {
		.queue = nic->queue, .count = 1, .wcs = (uintptr_t)&wc, .timeout_ns = 60000000000LL,
	};

	check(ioctl(nic->fd, VRNIC_IOC_POST, &post), "POST");
	check(ioctl(nic->fd, VRNIC_IOC_POLL, &poll), "POLL");
	if (poll.count != 1 || wc.status) {
		fprintf(stderr, "a request failed with status %u\n", wc.status);
		exit(1);
	}
}

static void test_exporter(void)
{
	int exporter = open_or_die("/dev/example_exporter");
	int dmabuf = check(ioctl(exporter, EXAMPLE_CREATE, SIZE), "create");
	uint32_t *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);
	struct nic nic;
	uint32_t round, i;

	if (memory == MAP_FAILED)
		check(-1, "mmap");
	open_nic(&nic, dmabuf, memory);
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < SIZE / sizeof(*memory); i++)
			memory[i] = round + i;
		transfer(&nic, VRNIC_OP_WRITE);
		check(ioctl(exporter, EXAMPLE_MOVE, dmabuf), "move");
		memset(memory, 0, SIZE);
		transfer(&nic, VRNIC_OP_READ);
		for (i = 0; i < SIZE / sizeof(*memory); i++)
			if (memory[i] != round + i) {
				fprintf(stderr, "word %u is %#x, not %#x\n", i, memory[i], round + i);
				exit(1);
			}
	}
	printf("exporter: %u moves, all bytes right\n", ROUNDS);
	close(nic.fd);
	close(dmabuf);
	close(exporter);
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : "";

	if (strcmp(only, "exporter"))
		test_importer();
	if (strcmp(only, "importer"))
		test_exporter();
	return 0;
}
