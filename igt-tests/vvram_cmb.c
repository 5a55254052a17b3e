// SPDX-License-Identifier: MIT
/**
 * TEST: vvram cmb
 * Category: Core
 * Description: Two drives, one of which has memory of its own that both use (a controller memory
 *	buffer, peer memory of the kernel's), and a buffer that both use while it moves (pages=1).
 *
 * SUBTEST: while-moving
 * Description: From memory of a drive to a moving buffer and back, by way of either drive.
 * SUBTEST: control
 * Description: A move that does not wait for the drives is found out.
 * SUBTEST: path
 * Description: Who does not reach memory of another device says so, and nothing is changed.
 */

#include "direct.h"
#include "subject.h"

IGT_TEST_DESCRIPTION("Memory of a drive and of the device, between two drives.");

#define SIZE		MIB(1)
#define DRIVES		2
#define PARAMETERS	"/sys/module/vvram/parameters/"

static int fd = -1, drives[DRIVES] = { -1, -1 };
static uint8_t *memory;
static uint64_t memory_left;

static const char *const serials[DRIVES] = { DRIVE, MEMORY_DRIVE };

static int fill_from(int drive, uint8_t *p)
{
	return pread(drive, p, SLOT, 0) < 0 ? -errno : 0;
}

/* Both of them VRAM, and the one without memory that of the other. */
static bool all_is_reached(void)
{
	struct subject s = make_subject(fd, SIZE, VRAM);
	bool reached = !fill_from(drives[0], memory);

	for (int i = 0; i < DRIVES; i++)
		reached = !fill_from(drives[i], s.p) && reached;
	free_subject(&s);
	return reached;
}

struct sum {
	int rounds;
	int wrong;
	int moves;
};

static struct sum sum_up(const struct traffic *t, const struct mover *m)
{
	struct sum sum = { .rounds = t[0].rounds, .moves = m->moves };

	for (int i = 0; i < DRIVES; i++) {
		if (t[i].rounds < sum.rounds)
			sum.rounds = t[i].rounds;
		sum.wrong += t[i].wrong;
		igt_assert_f(!t[i].error, "drive '%s': %s\n", serials[i], strerror(-t[i].error));
	}
	return sum;
}

/* Until either drive has done so much, and so many moves were made, or something went wrong. */
static struct sum run_traffic(int rounds, int moves)
{
	struct subject s = make_subject(fd, SIZE, VRAM);
	uint64_t stale = chaos_read(fd, "stale_writes");
	static struct traffic t[DRIVES];
	static struct mover m;
	struct sum sum;
	int i;

	for (i = 0; i < DRIVES; i++)
		t[i] = (struct traffic) {
			.move = traffic_by_pread, .file = drives[i], .p = s.p + i * SLOT,
			.local = memory + i * SLOT, .offset = i * SLOT,
		};
	mover_start(&m, fd, s.handle);
	for (i = 0; i < DRIVES; i++)
		traffic_start(&t[i]);
	do {
		usleep(10000);
		sum = sum_up(t, &m);
	} while ((sum.rounds < rounds || sum.moves < moves) && !m.error && !sum.wrong &&
		 chaos_read(fd, "stale_writes") == stale);
	for (i = 0; i < DRIVES; i++)
		traffic_stop(&t[i]);
	mover_stop(&m);
	sum = sum_up(t, &m);
	free_subject(&s);
	return sum;
}

static void test_while_moving(void)
{
	uint64_t stale = chaos_read(fd, "stale_writes"), faults = iommu_faults();
	struct sum sum;

	igt_require_f(all_is_reached(), "not all reach all here\n");
	sum = run_traffic(50, 50);
	igt_info("%d rounds of each drive, %d moves\n", sum.rounds, sum.moves);
	igt_assert_eq(sum.wrong, 0);
	igt_assert_eq_u64(chaos_read(fd, "stale_writes"), stale);
	igt_assert_eq_u64(iommu_faults(), faults);
}

static void test_control(void)
{
	uint64_t stale = chaos_read(fd, "stale_writes");
	struct sum sum;

	igt_require_f(all_is_reached(), "not all reach all here\n");
	breaches_on_purpose(true);
	chaos_write(fd, "skip_drain", "1");
	sum = run_traffic(20000, 20000);
	chaos_write(fd, "skip_drain", "0");
	/* What is in quarantine is looked at now. */
	chaos_write(fd, "poison", "0");
	breaches_on_purpose(false);
	chaos_write(fd, "poison", "1");
	igt_assert_f(sum.wrong || chaos_read(fd, "stale_writes") > stale,
		     "nothing was found in %d rounds and %d moves\n", sum.rounds, sum.moves);
}

/* All of it arrives, or there is an error and nothing has changed. */
static void check_path(int drive, uint8_t *to, uint8_t *local)
{
	uint64_t seed = 2;
	int ret;

	pattern_fill(local, SLOT, 2);
	igt_assert_eq(pwrite(drive, local, SLOT, 0), SLOT);
	pattern_fill(to, SLOT, 3);
	ret = fill_from(drive, to);
	if (ret) {
		igt_assert_f(ret == -EINVAL || ret == -EREMOTEIO, "%s\n", strerror(-ret));
		igt_assert(pwrite(drive, to, SLOT, 0) < 0 && errno == -ret);
		seed = 3;
	}
	igt_assert_eq(pattern_find_bad(to, SLOT, seed, 1), -1);
}

static void test_path(void)
{
	struct subject s = make_subject(fd, SIZE, VRAM);
	uint8_t *local = alloc_pages(SLOT);

	for (int i = 0; i < DRIVES; i++) {
		check_path(drives[i], memory, local);
		check_path(drives[i], s.p, local);
	}
	/* Its own memory is within reach of each drive, and system memory of all. */
	igt_assert_eq(fill_from(drives[1], memory), 0);
	igt_assert_eq_u64(vvram_info(fd, s.handle).held_pages, 0);
	vvram_move(fd, s.handle, SYSTEM);
	for (int i = 0; i < DRIVES; i++)
		igt_assert_eq(fill_from(drives[i], s.p), 0);
	munmap(local, SLOT);
	free_subject(&s);
}

static void reset(void)
{
	chaos_write(fd, "skip_drain", "0");
	chaos_write(fd, "poison", "1");
	/* However slow the machine is. */
	igt_assert_eq(__debugfs_write(PARAMETERS "drain_ms", "60000"), 0);
}

igt_main
{
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		igt_require_f(vvram_query(fd).flags & DRM_VVRAM_QUERY_PAGES,
			      "vvram was loaded without pages=1\n");
		for (int i = 0; i < DRIVES; i++)
			drives[i] = open_drive(serials[i]);
		memory_left = drive_memory_left(MEMORY_DRIVE);
		memory = map_drive_memory(MEMORY_DRIVE, DRIVES * SLOT);
	}

	igt_describe("Each byte is right that went from a device to another, wherever that was.");
	igt_subtest("while-moving") {
		reset();
		test_while_moving();
	}
	igt_describe("What the test above looks for is there without the wait.");
	igt_subtest("control") {
		reset();
		test_control();
	}
	igt_describe("Bytes arrive, or there is an error that a program can do something about.");
	igt_subtest("path") {
		reset();
		test_path();
	}

	igt_fixture {
		munmap(memory, DRIVES * SLOT);
		/* Nobody has a page of it any more. */
		igt_assert_eq_u64(drive_memory_left(MEMORY_DRIVE), memory_left);
		for (int i = 0; i < DRIVES; i++)
			close(drives[i]);
		chaos_write(fd, "poison", "0");
		igt_assert_eq(__debugfs_write(PARAMETERS "drain_ms", "5000"), 0);
		drm_close_driver(fd);
	}
}
