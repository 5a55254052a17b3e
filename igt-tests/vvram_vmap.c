// SPDX-License-Identifier: MIT
/**
 * TEST: vvram vmap
 * Category: Core
 * Description: Mappings of the kernel's: where the buffer is meanwhile, and until when.
 *
 * SUBTEST: out-of-reach
 * Description: With an importer attached that does not reach VRAM the buffer is pinned
 *	in system memory, and that importer maps it.
 * SUBTEST: attach-later
 * Description: Such an importer is not attached to a buffer that is mapped in VRAM.
 * SUBTEST: counted
 * Description: VRAM that is mapped is pinned, and counted once.
 * SUBTEST: limit
 * Description: Beyond the limit of pins a buffer goes to system memory instead.
 * SUBTEST: revoke
 * Description: Revocation waits for the mapping's end; there is none afterwards.
 * SUBTEST: signals
 * Description: A mapping that has to wait is made, whatever signals come.
 */

#include <signal.h>
#include <sys/time.h>

#include "movable.h"
#include "modules/rogue.h"
#include "subject.h"

IGT_TEST_DESCRIPTION("Mappings of the kernel's.");

#define SIZE		MIB(2)
#define PIN_LIMIT	"/sys/module/vvram/parameters/pin_limit"

static int fd = -1, nic = -1, rogue = -1;

/* A file that maps the buffer until it is closed. */
static int map_buffer(const struct subject *s, bool *is_iomem)
{
	struct rogue_vmap vmap = { .fd = s->dmabuf };
	int user = open("/dev/rogue", O_RDWR);

	igt_assert_fd(user);
	igt_assert_eq(do_call(user, ROGUE_IOC_VMAP, &vmap), 0);
	if (is_iomem)
		*is_iomem = vmap.is_iomem;
	return user;
}

static int try_map(const struct subject *s)
{
	int32_t dmabuf = s->dmabuf;

	return do_call(rogue, ROGUE_IOC_TRY_VMAP, &dmabuf);
}

static void read_map(int user, uint8_t *to)
{
	for (uint64_t at = 0; at < SIZE; at += KIB(4))
		igt_assert_eq(pread(user, to + at, KIB(4), at), KIB(4));
}

static void write_map(int user, const uint8_t *from)
{
	for (uint64_t at = 0; at < SIZE; at += KIB(4))
		igt_assert_eq(pwrite(user, from + at, KIB(4), at), KIB(4));
}

static struct vrnic_reg_mr weak_importer(const struct subject *s)
{
	return (struct vrnic_reg_mr) {
		.mode = VRNIC_MR_ON_DEMAND, .flags = VRNIC_REG_MR_NO_PEER2PEER,
		.access = VRNIC_ACCESS_REMOTE_READ | VRNIC_ACCESS_REMOTE_WRITE,
		.fd = s->dmabuf, .length = SIZE,
	};
}

static void test_out_of_reach(void)
{
	struct subject s = make_subject(fd, SIZE, VRAM);
	struct vrnic_reg_mr weak = weak_importer(&s), mem;
	uint8_t *local = alloc_pages(SIZE), *bytes = alloc_pages(SIZE);
	uint32_t queue = vrnic_create_queue(nic, 2);
	bool is_iomem;
	int user;

	mem = vrnic_reg_user(nic, local, SIZE);
	igt_assert_eq(__vrnic_reg_mr(nic, &weak), 0);
	pattern_fill(s.p, SIZE, 1);
	user = map_buffer(&s, &is_iomem);
	igt_assert_eq(vvram_info(fd, s.handle).placement, SYSTEM);
	igt_assert_eq(vvram_info(fd, s.handle).pins, 1);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, 0);
	igt_assert(!is_iomem);
	read_map(user, bytes);
	pattern_check(bytes, SIZE, 1);

	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &weak, 0, &mem, 0, SIZE).status, 0);
	pattern_check(local, SIZE, 1);
	pattern_fill(local, SIZE, 2);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &weak, 0, &mem, 0, SIZE).status, 0);
	read_map(user, bytes);
	pattern_check(bytes, SIZE, 2);
	pattern_fill(bytes, SIZE, 3);
	write_map(user, bytes);
	igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &weak, 0, &mem, 0, SIZE).status, 0);
	pattern_check(local, SIZE, 3);

	close(user);
	vrnic_dereg_mr(nic, weak.handle);
	igt_assert_eq(vvram_info(fd, s.handle).pins, 0);
	/* The control: without that importer it stays where it is. */
	vvram_move(fd, s.handle, VRAM);
	close(map_buffer(&s, NULL));
	igt_assert_eq(vvram_info(fd, s.handle).placement, VRAM);
	pattern_check(s.p, SIZE, 3);

	vrnic_destroy_queue(nic, queue);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, SIZE);
	munmap(bytes, SIZE);
	free_subject(&s);
}

static void test_attach_later(void)
{
	struct subject s = make_subject(fd, SIZE, VRAM);
	struct vrnic_reg_mr weak = weak_importer(&s), fixed = weak;
	int user = map_buffer(&s, NULL);

	fixed.mode = VRNIC_MR_STATIC;
	fixed.flags = 0;
	igt_assert_eq(vvram_info(fd, s.handle).placement, VRAM);
	igt_assert_eq(__vrnic_reg_mr(nic, &weak), -EBUSY);
	igt_assert_eq(__vrnic_reg_mr(nic, &fixed), -EBUSY);
	close(user);
	igt_assert_eq(__vrnic_reg_mr(nic, &weak), 0);
	vrnic_dereg_mr(nic, weak.handle);
	igt_assert_eq(__vrnic_reg_mr(nic, &fixed), 0);
	vrnic_dereg_mr(nic, fixed.handle);
	free_subject(&s);
}

static void test_counted(void)
{
	struct subject s = make_subject(fd, SIZE, VRAM);
	int first = map_buffer(&s, NULL), second;

	igt_assert_eq_u64(vvram_query(fd).vram_pinned, SIZE);
	second = map_buffer(&s, NULL);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, SIZE);
	close(first);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, SIZE);
	igt_assert_eq(__vvram_move(fd, s.handle, SYSTEM), -EBUSY);
	close(second);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, 0);
	vvram_move(fd, s.handle, SYSTEM);
	free_subject(&s);
}

static void set_pin_limit(const char *percent)
{
	igt_assert_eq(__debugfs_write(PIN_LIMIT, percent), 0);
}

static void test_limit(void)
{
	struct subject a = make_subject(fd, SIZE, VRAM), b = make_subject(fd, SIZE, VRAM);
	uint8_t *bytes = alloc_pages(SIZE);
	int user, other;

	/* Room for one of the two. */
	igt_require_f(vvram_query(fd).vram_size / 100 < 2 * SIZE, "VRAM is larger\n");
	pattern_fill(b.p, SIZE, 4);
	set_pin_limit("1");
	user = map_buffer(&a, NULL);
	igt_assert_eq(vvram_info(fd, a.handle).placement, VRAM);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, SIZE);

	igt_assert_eq(try_map(&b), 0);
	other = map_buffer(&b, NULL);
	igt_assert_eq(vvram_info(fd, b.handle).placement, SYSTEM);
	igt_assert_eq(vvram_info(fd, b.handle).pins, 1);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, SIZE);
	read_map(other, bytes);
	pattern_check(bytes, SIZE, 4);
	close(other);
	close(user);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, 0);

	/* The control: with room it stays. */
	vvram_move(fd, b.handle, VRAM);
	other = map_buffer(&b, NULL);
	igt_assert_eq(vvram_info(fd, b.handle).placement, VRAM);
	close(other);
	set_pin_limit("50");
	pattern_check(b.p, SIZE, 4);
	munmap(bytes, SIZE);
	free_subject(&a);
	free_subject(&b);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* Signals that end waits: without SA_RESTART. 0 ends them. */
static void alarms_every(int us)
{
	struct sigaction act = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &act, NULL);
	ualarm(us, us);
}

static void test_revoke(void)
{
	struct subject s = make_subject(fd, SIZE, VRAM);
	struct drm_vvram_gem_revoke revoke = { .handle = s.handle };
	uint8_t *bytes = alloc_pages(SIZE);
	int user = map_buffer(&s, NULL), ret;

	pattern_fill(s.p, SIZE, 5);
	alarms_every(500000);
	ret = ioctl(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &revoke) ? -errno : 0;
	alarms_every(0);
	igt_assert_eq(ret, -EINTR);
	igt_assert(vvram_info(fd, s.handle).flags & DRM_VVRAM_INFO_REVOKED);
	read_map(user, bytes);
	pattern_check(bytes, SIZE, 5);
	close(user);

	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_REVOKE, &revoke), 0);
	igt_assert_eq(try_map(&s), -ENODEV);
	igt_assert_eq(vvram_info(fd, s.handle).pins, 0);
	/* Its owner's. */
	vvram_move(fd, s.handle, SYSTEM);
	pattern_check(s.p, SIZE, 5);
	munmap(bytes, SIZE);
	free_subject(&s);
}

static void test_signals(void)
{
	struct subject s = make_subject(fd, SIZE, VRAM);
	struct drm_vvram_gem_move move = {
		.handle = s.handle, .placement = SYSTEM, .flags = DRM_VVRAM_GEM_MOVE_ASYNC,
	};
	int warnings = count_in_dmesg("WARNING.*dma-buf"), tries = 0;
	struct rogue_vmap vmap = { .fd = s.dmabuf };
	int user = open("/dev/rogue", O_RDWR), ret;
	uint8_t *bytes = alloc_pages(SIZE);

	pattern_fill(s.p, SIZE, 6);
	chaos_write(fd, "delay_ms", "500");
	igt_assert_eq(do_call(fd, DRM_IOCTL_VVRAM_GEM_MOVE, &move), 0);
	alarms_every(20000);
	do {
		ret = ioctl(user, ROGUE_IOC_VMAP, &vmap) ? -errno : 0;
		tries++;
	} while (ret == -EINTR);
	alarms_every(0);
	chaos_write(fd, "delay_ms", "0");
	igt_assert_eq(ret, 0);
	igt_assert_eq(tries, 1);
	read_map(user, bytes);
	pattern_check(bytes, SIZE, 6);
	igt_assert_eq(count_in_dmesg("WARNING.*dma-buf"), warnings);
	close(user);
	munmap(bytes, SIZE);
	free_subject(&s);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
		rogue = open_rogue();
		igt_assert_fd(rogue);
		vvram_wait_unused(fd);
	}

	igt_describe("The least able importer decides for the kernel's mapping too.");
	igt_subtest("out-of-reach")
		test_out_of_reach();
	igt_describe("No importer is attached to what it can never map.");
	igt_subtest("attach-later")
		test_attach_later();
	igt_describe("A mapping is a pin.");
	igt_subtest("counted")
		test_counted();
	igt_describe("Pins leave room for others, and mappings are made nevertheless.");
	igt_subtest("limit")
		test_limit();
	igt_describe("Who has a pointer is waited for.");
	igt_subtest("revoke")
		test_revoke();
	igt_describe("The core warns of a mapping that fails.");
	igt_subtest("signals")
		test_signals();

	igt_fixture {
		chaos_write(fd, "delay_ms", "0");
		set_pin_limit("50");
		close(rogue);
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
		igt_assert_eq(system("rmmod rogue"), 0);
	}
}
