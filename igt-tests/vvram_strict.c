// SPDX-License-Identifier: MIT
/**
 * TEST: vvram strict
 * Category: Core
 * Description: vvram names each importer that breaks the contract, and the rule.
 *
 * SUBTEST: honest
 * Description: The control: an importer that keeps the rules has no violation in many moves,
 *	with poison and delays.
 * SUBTEST: importer-%s
 * Description: A breach is counted, and logged once with the importer, the rule and the buffer.
 * SUBTEST: keeps
 * Description: Mappings that are kept after notifications, and at detach, are told, and end with
 *	the attachment.
 * SUBTEST: late
 * Description: A mapping that is given back late is told, one that is in time is not.
 * SUBTEST: stale-write
 * Description: A write to a vacated place is found long after the move, and who had it is named.
 * SUBTEST: stale-read
 * Description: A read of a vacated place sees poison.
 * SUBTEST: early-write
 * Description: A write in spite of a KERNEL fence is found, and who has the place is named.
 * SUBTEST: early-read
 * Description: A read in spite of a KERNEL fence sees the pattern for that.
 * SUBTEST: quarantine-room
 * Description: Vacated places are kept apart, and are room for who needs it: nobody is evicted.
 * SUBTEST: off
 * Description: Without chaos/strict, nothing is kept apart, and nobody is late.
 */

#include "movable.h"
#include "modules/careless.h"

IGT_TEST_DESCRIPTION("Importers are judged.");

#define SIZE	KIB(64)
#define UNMAP_MS	200

static int fd = -1;
static bool dynamic;

struct rig {
	uint32_t handle;
	int dmabuf;
	int importer;
	uint64_t before;
};

static uint64_t violations(void)
{
	igt_assert_eq_u64(vvram_query(fd).violations, chaos_read(fd, "violations"));
	return vvram_query(fd).violations;
}

static int attach(int dmabuf, uint32_t fault)
{
	struct careless_attach arg = { .fd = dmabuf, .fault = fault };
	int importer = open("/dev/careless", O_RDWR | O_CLOEXEC);

	igt_assert_fd(importer);
	igt_assert_eq(do_call(importer, CARELESS_IOC_ATTACH, &arg), 0);
	return importer;
}

static struct rig make_rig(uint32_t fault)
{
	struct rig r = { .handle = vvram_create(fd, SIZE, VRAM), .before = violations() };

	igt_assert_eq(drmPrimeHandleToFD(fd, r.handle, DRM_CLOEXEC | DRM_RDWR, &r.dmabuf), 0);
	r.importer = attach(r.dmabuf, fault);
	return r;
}

static void free_rig(struct rig *r)
{
	if (r->importer >= 0)
		close(r->importer);
	close(r->dmabuf);
	gem_close(fd, r->handle);
}

static void write_word(const struct rig *r, uint64_t word)
{
	igt_assert_eq(pwrite(r->importer, &word, sizeof(word), 8), sizeof(word));
}

static uint64_t read_word(const struct rig *r)
{
	uint64_t word;

	igt_assert_eq(pread(r->importer, &word, sizeof(word), 8), sizeof(word));
	return word;
}

/* Lines that name the driver, the rule and this buffer; and the document. */
static int told(const struct rig *r, const char *rule)
{
	char pattern[200];

	snprintf(pattern, sizeof(pattern),
		 "importer [^:]* careless, careless_invalidate.* breaks .*: %s: .*inode %llu; driver-api/dma-buf.rst",
		 rule, (unsigned long long)vvram_info(fd, r->handle).inode);
	return count_in_dmesg(pattern);
}

static uint32_t other_place(const struct rig *r)
{
	return vvram_info(fd, r->handle).placement == VRAM ? SYSTEM : VRAM;
}

/* Only where VRAM is RAM does an importer without hardware reach it. */
static void require_vram(struct rig *r)
{
	write_word(r, 1);
	if (vvram_info(fd, r->handle).placement == VRAM)
		return;
	free_rig(r);
	igt_skip("the importer does not reach VRAM\n");
}

static void test_honest(void)
{
	struct rig r = make_rig(CARELESS_NONE);
	int i;

	chaos_write(fd, "poison", "1");
	for (i = 0; i < 200; i++) {
		chaos_delay(fd, i % 50 == 49 ? 20 : 0);
		write_word(&r, i);
		if (i % 2)
			vvram_move(fd, r.handle, other_place(&r));
		else
			igt_assert_eq(__vvram_move_async(fd, r.handle, other_place(&r)), 0);
		igt_assert_eq_u64(read_word(&r), i);
	}
	chaos_delay(fd, 0);
	chaos_write(fd, "poison", "0");
	free_rig(&r);
	igt_assert_eq_u64(violations(), r.before);
}

/* One call too many. */
static void test_call(uint32_t fault, const char *rule, int error)
{
	struct rig r = make_rig(fault);

	write_word(&r, 1);
	igt_assert_eq(do_call(r.importer, CARELESS_IOC_ERR, NULL), error);
	if (fault != CARELESS_PINNED)
		igt_assert_eq_u64(violations(), r.before + 1);
	close(r.importer);
	r.importer = -1;
	igt_assert_eq_u64(violations(), r.before + 1);
	igt_assert_eq(told(&r, rule), 1);

	/* Nothing is left of it. */
	igt_assert_eq(vvram_info(fd, r.handle).pins, 0);
	vvram_move(fd, r.handle, other_place(&r));
	free_rig(&r);
}

static void set_unmap_ms(const char *ms)
{
	igt_assert_eq(__debugfs_write("/sys/module/vvram/parameters/unmap_ms", ms), 0);
}

static void test_keeps(void)
{
	struct drm_vvram_gem_revoke revoke = {};
	struct rig r;
	int i;

	set_unmap_ms("200");
	r = make_rig(CARELESS_KEEPS);
	for (i = 0; i < 6; i++) {
		write_word(&r, i);
		vvram_move(fd, r.handle, other_place(&r));
	}
	usleep(3 * UNMAP_MS * 1000);
	/* Each of them is counted; a map may have moved the buffer, too. */
	igt_assert_lte(r.before + 6, violations());
	igt_assert_eq(told(&r, "late-unmap"), 1);
	close(r.importer);
	r.importer = -1;
	igt_assert_eq(told(&r, "held-at-detach"), 1);
	set_unmap_ms("5000");

	/* Nobody waits for them for ever. */
	revoke.handle = r.handle;
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &revoke), 0);
	free_rig(&r);
}

static void test_late(void)
{
	struct rig r;

	r = make_rig(CARELESS_LATE);
	write_word(&r, 1);
	vvram_move(fd, r.handle, other_place(&r));
	write_word(&r, 2);
	igt_assert_eq_u64(violations(), r.before);

	set_unmap_ms("200");
	vvram_move(fd, r.handle, other_place(&r));
	usleep(3 * UNMAP_MS * 1000);
	set_unmap_ms("5000");
	igt_assert_eq_u64(violations(), r.before + 1);
	igt_assert_eq(told(&r, "late-unmap"), 1);
	/* When it comes at last, that is not one more. */
	write_word(&r, 3);
	igt_assert_eq_u64(violations(), r.before + 1);
	free_rig(&r);
}

static void test_stale_write(void)
{
	struct rig r = make_rig(CARELESS_STALE);
	uint64_t stale = chaos_read(fd, "stale_writes");

	require_vram(&r);
	chaos_write(fd, "poison", "1");
	vvram_move(fd, r.handle, SYSTEM);
	usleep(100000);
	igt_assert_eq_u64(violations(), r.before);
	write_word(&r, 2);
	chaos_write(fd, "poison", "0");
	igt_assert_eq_u64(violations(), r.before + 1);
	igt_assert_eq_u64(chaos_read(fd, "stale_writes"), stale + 1);
	igt_assert_eq(told(&r, "stale-write"), 1);
	free_rig(&r);
}

static void test_stale_read(void)
{
	struct rig r = make_rig(CARELESS_STALE);

	require_vram(&r);
	chaos_write(fd, "poison", "1");
	vvram_move(fd, r.handle, SYSTEM);
	usleep(100000);
	igt_assert_eq_u64(read_word(&r), chaos_read(fd, "poison_pattern"));
	chaos_write(fd, "poison", "0");
	/* It has harmed nobody. */
	igt_assert_eq_u64(violations(), r.before);
	free_rig(&r);
}

/* The buffer is on its way for half a second when this returns. */
static struct rig start_slow_move(uint32_t fault)
{
	struct rig r = make_rig(fault);

	/* Its first map may move the buffer, which it does not wait for either. */
	read_word(&r);
	vvram_move(fd, r.handle, vvram_info(fd, r.handle).placement);
	write_word(&r, 1);
	chaos_write(fd, "poison", "1");
	if (vvram_info(fd, r.handle).placement == VRAM) {
		chaos_delay(fd, 500);
		igt_assert_eq(__vvram_move_async(fd, r.handle, SYSTEM), 0);
	} else {
		/* It does not reach VRAM: its own map brings the buffer back. */
		vvram_move(fd, r.handle, VRAM);
		chaos_delay(fd, 500);
		read_word(&r);
	}
	/* Until the delay has begun. */
	usleep(100000);
	return r;
}

static void end_slow_move(struct rig *r)
{
	/* Done when a call that waits for it returns. */
	vvram_move(fd, r->handle, vvram_info(fd, r->handle).placement);
	chaos_delay(fd, 0);
	chaos_write(fd, "poison", "0");
}

static void test_early_write(void)
{
	struct rig r = start_slow_move(CARELESS_EARLY);

	write_word(&r, 2);
	end_slow_move(&r);
	igt_assert_eq_u64(violations(), r.before + 1);
	igt_assert_eq(told(&r, "early-write"), 1);
	/* And its bytes are lost, as on hardware. */
	igt_assert_eq_u64(read_word(&r), 1);
	free_rig(&r);
}

static void test_early_read(void)
{
	struct rig r = start_slow_move(CARELESS_EARLY);

	igt_assert_eq_u64(read_word(&r), chaos_read(fd, "early_pattern"));
	igt_assert(chaos_read(fd, "early_pattern") != chaos_read(fd, "poison_pattern"));
	end_slow_move(&r);
	igt_assert_eq_u64(read_word(&r), 1);
	igt_assert_eq_u64(violations(), r.before);
	free_rig(&r);
}

static uint64_t in_quarantine(void)
{
	char *line = strstr(read_file(vvram_debugfs(fd, "vram_mm")), "quarantine: ");

	igt_assert(line);
	return strtoull(line + strlen("quarantine: "), NULL, 10);
}

static void test_quarantine_room(void)
{
	const uint64_t size = MIB(16);
	uint32_t handle = vvram_create(fd, size, VRAM), rest;
	struct drm_vvram_query before;
	uint64_t used, free_bytes;

	/* A place that a test before has left, and that ends now, would go there as well. */
	for (int i = 0; i < 200 && vvram_query(fd).vram_used > size; i++)
		usleep(10000);
	used = vvram_query(fd).vram_used;
	chaos_write(fd, "poison", "1");
	vvram_move(fd, handle, SYSTEM);
	/* It leaves the place when the copy is done, a moment later. */
	for (int i = 0; i < 100 && in_quarantine() < size; i++)
		usleep(10000);
	igt_assert_eq_u64(in_quarantine(), size);
	before = vvram_query(fd);
	igt_assert_eq_u64(before.vram_used, used - size);

	free_bytes = before.vram_size - before.vram_used;
	rest = vvram_create(fd, free_bytes, VRAM);
	igt_assert_eq_u64(in_quarantine(), 0);
	igt_assert_eq_u64(vvram_query(fd).evictions, before.evictions);
	igt_assert_eq_u64(vvram_query(fd).violations, before.violations);
	gem_close(fd, rest);

	/* Ends with its time as well. */
	vvram_move(fd, handle, VRAM);
	igt_assert_eq(__debugfs_write("/sys/module/vvram/parameters/quarantine_ms", "100"), 0);
	vvram_move(fd, handle, SYSTEM);
	usleep(1000000);
	igt_assert_eq_u64(in_quarantine(), 0);
	igt_assert_eq(__debugfs_write("/sys/module/vvram/parameters/quarantine_ms", "10000"), 0);
	chaos_write(fd, "poison", "0");
	gem_close(fd, handle);
}

static void test_off(void)
{
	struct rig r;

	chaos_write(fd, "strict", "0");
	set_unmap_ms("50");
	r = make_rig(CARELESS_LATE);
	chaos_write(fd, "poison", "1");
	write_word(&r, 1);
	vvram_move(fd, r.handle, other_place(&r));
	usleep(200000);
	igt_assert_eq_u64(in_quarantine(), 0);
	write_word(&r, 2);
	chaos_write(fd, "poison", "0");
	free_rig(&r);
	set_unmap_ms("5000");
	igt_assert_eq_u64(violations(), r.before);
	chaos_write(fd, "strict", "1");
}

igt_main {
	static const struct {
		const char *name;
		uint32_t fault;
		const char *rule;
		int error;
	} calls[] = {
		{ "unmaps-twice", CARELESS_TWICE, "unmap", 0 },
		{ "unmaps-foreign", CARELESS_FOREIGN, "unmap", 0 },
		{ "detaches-pinned", CARELESS_PINNED, "pinned-at-detach", 0 },
		{ "unpins-twice", CARELESS_UNPINS, "unpin", 0 },
		{ "maps-detached", CARELESS_DETACHED, "detached", -EINVAL },
		{ "maps-unlocked", CARELESS_UNLOCKED, "unlocked", -EINVAL },
	};
	uint64_t strict = 0;
	int loaded = -1;

	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		dynamic = vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC;
		igt_require_f(dynamic, "this kernel pins mapped buffers\n");
		loaded = open_careless();
		igt_assert_fd(loaded);
		strict = chaos_read(fd, "strict");
		chaos_write(fd, "strict", "1");
	}

	igt_describe("No false alarm.");
	igt_subtest("honest")
		test_honest();

	igt_fixture {
		breaches_on_purpose(true);
	}

	for (unsigned int i = 0; i < ARRAY_LEN(calls); i++) {
		igt_describe("The importer and the rule are named.");
		igt_subtest_f("importer-%s", calls[i].name)
			test_call(calls[i].fault, calls[i].rule, calls[i].error);
	}
	igt_describe("Mappings that nobody gives back.");
	igt_subtest("keeps")
		test_keeps();
	igt_describe("Bounded time is bounded.");
	igt_subtest("late")
		test_late();
	igt_describe("However late, the writer is found.");
	igt_subtest("stale-write")
		test_stale_write();
	igt_describe("What is read tells what is wrong.");
	igt_subtest("stale-read")
		test_stale_read();
	igt_describe("Who does not wait is found.");
	igt_subtest("early-write")
		test_early_write();
	igt_describe("What is read tells what is wrong.");
	igt_subtest("early-read")
		test_early_read();
	igt_describe("Quarantine takes no room from anybody.");
	igt_subtest("quarantine-room")
		test_quarantine_room();
	igt_describe("A switch that is off is off.");
	igt_subtest("off")
		test_off();

	igt_fixture {
		breaches_on_purpose(false);
		chaos_write(fd, "poison", "0");
		chaos_write(fd, "delay_ms", "0");
		chaos_write(fd, "strict", strict ? "1" : "0");
		close(loaded);
		vvram_wait_unused(fd);
		drm_close_driver(fd);
		igt_assert_eq(system("rmmod careless"), 0);
	}
}
