// SPDX-License-Identifier: MIT
/**
 * TEST: vvram scanout
 * Category: Core
 * Description: Another driver's display shows a buffer of ours.
 *
 * SUBTEST: bochs
 * Description: A buffer written in VRAM, imported by bochs and put on its screen, is
 *	what the machine's screenshot shows, pixel by pixel.
 * SUBTEST: slow-clear
 * Description: A new buffer is put on the screen while it is still being cleared: it is
 *	black, and shows nothing that another client left in VRAM.
 * SUBTEST: limit
 * Description: What is pinned in VRAM for a screen is counted; beyond the limit a
 *	buffer is shown from system memory.
 */

#include <dirent.h>
#include <xf86drmMode.h>

#include "foreign.h"
#include "modules/rogue.h"

IGT_TEST_DESCRIPTION("Another driver's display shows a buffer of ours.");

#define WIDTH	640
#define HEIGHT	480
#define SIZE	((uint64_t)WIDTH * HEIGHT * 4)
#define PIN_LIMIT	"/sys/module/vvram/parameters/pin_limit"

static int fd = -1, card = -1;

static uint32_t pixel(unsigned int x, unsigned int y)
{
	return (x * 255 / (WIDTH - 1)) << 16 | (y * 255 / (HEIGHT - 1)) << 8 | (x ^ y) % 256;
}

static void set_mode(uint32_t fb)
{
	drmModeRes *res = drmModeGetResources(card);
	drmModeConnector *con;
	int i;

	igt_assert(res && res->count_crtcs && res->count_connectors);
	con = drmModeGetConnector(card, res->connectors[0]);
	igt_assert(con);
	for (i = 0; i < con->count_modes; i++)
		if (con->modes[i].hdisplay == WIDTH && con->modes[i].vdisplay == HEIGHT)
			break;
	igt_assert_lt(i, con->count_modes);
	igt_assert_eq(drmModeSetCrtc(card, res->crtcs[0], fb, 0, 0, res->connectors, 1,
				     &con->modes[i]), 0);
	drmModeFreeConnector(con);
	drmModeFreeResources(res);
}

/* The machine writes its picture to a folder that it shares with the guest. */
static uint8_t *screenshot(void)
{
	static uint8_t rgb[WIDTH * HEIGHT * 3];
	const char *host = getenv("HOST_DIR");
	int monitor = open_monitor(), width = 0, height = 0, tries;
	char command[512];
	FILE *f = NULL;

	igt_require_f(host && monitor >= 0, "the machine takes no orders\n");
	unlink("/host/shot.ppm");
	snprintf(command, sizeof(command), "screendump %s/shot.ppm", host);
	monitor_order(monitor, command);
	for (tries = 0; !f && tries < 100; tries++) {
		usleep(50000);
		f = fopen("/host/shot.ppm", "r");
	}
	igt_assert(f);
	usleep(500000);
	igt_assert_eq(fscanf(f, "P6 %d %d 255", &width, &height), 2);
	fgetc(f);
	igt_assert_eq(width, WIDTH);
	igt_assert_eq(height, HEIGHT);
	igt_assert_eq(fread(rgb, 3, WIDTH * HEIGHT, f), WIDTH * HEIGHT);
	fclose(f);
	close(monitor);
	return rgb;
}

/* How many pixels are not as they were written. */
static unsigned int wrong_pixels(const uint8_t *rgb)
{
	unsigned int x, y, n = 0;

	for (y = 0; y < HEIGHT; y++)
		for (x = 0; x < WIDTH; x++, rgb += 3)
			n += (rgb[0] << 16 | rgb[1] << 8 | rgb[2]) != (int)pixel(x, y);
	return n;
}

/* A buffer as bochs knows it. */
struct screen {
	uint32_t handle, imported, fb;
	int dmabuf;
	uint32_t *p;
};

/* Takes the buffer. */
static struct screen make_screen(uint32_t handle)
{
	struct screen s = { .handle = handle, .dmabuf = prime_handle_to_fd(fd, handle) };
	uint32_t handles[4] = {}, pitches[4] = { WIDTH * 4 }, offsets[4] = {};

	if (drmPrimeFDToHandle(card, s.dmabuf, &s.imported)) {
		close(s.dmabuf);
		gem_close(fd, handle);
		igt_skip("this kernel's bochs imports nothing\n");
	}
	s.p = vvram_mmap(fd, handle, SIZE);
	handles[0] = s.imported;
	igt_assert_eq(drmModeAddFB2(card, WIDTH, HEIGHT, 0x34325258 /* XR24 */, handles,
				    pitches, offsets, &s.fb, 0), 0);
	return s;
}

static void free_screen(struct screen *s)
{
	igt_assert_eq(drmModeRmFB(card, s->fb), 0);
	gem_close(card, s->imported);
	close(s->dmabuf);
	munmap(s->p, SIZE);
	gem_close(fd, s->handle);
}

static void fill_screen(const struct screen *s)
{
	uint32_t x, y;

	for (y = 0; y < HEIGHT; y++)
		for (x = 0; x < WIDTH; x++)
			s->p[y * WIDTH + x] = pixel(x, y);
}

/* On the screen it stays where it is, and VRAM that stays is counted. */
static void check_pins(const struct screen *s)
{
	struct drm_vvram_gem_info info = vvram_info(fd, s->handle);

	igt_assert(info.flags & DRM_VVRAM_INFO_PINNED);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, info.placement == VRAM ? info.size : 0);
}

static void test_bochs(void)
{
	struct screen s = make_screen(vvram_create(fd, SIZE, VRAM));
	uint8_t *rgb;

	fill_screen(&s);
	set_mode(s.fb);
	rgb = screenshot();
	igt_assert_eq(wrong_pixels(rgb), 0);
	rgb[WIDTH * 3] ^= 1;
	igt_assert_eq(wrong_pixels(rgb), 1);
	check_pins(&s);
	free_screen(&s);
}

static unsigned int foreign_pixels(const uint8_t *rgb)
{
	unsigned int i, n = 0;
	uint32_t is;

	for (i = 0; i < WIDTH * HEIGHT; i++, rgb += 3) {
		is = rgb[0] << 16 | rgb[1] << 8 | rgb[2];
		n += is == (FOREIGN & 0xffffff) || is == (FOREIGN >> 32 & 0xffffff);
	}
	return n;
}

static bool is_black(const uint8_t *rgb)
{
	for (unsigned int i = 0; i < WIDTH * HEIGHT * 3; i++)
		if (rgb[i])
			return false;
	return true;
}

static void test_slow_clear(void)
{
	struct small_vram small = small_vram_make(MIB(8));
	struct screen s = make_screen(vvram_create(fd, SIZE, VRAM));
	uint64_t i, *words = (uint64_t *)s.p;
	bool busy = false;
	uint32_t handle;
	uint8_t *rgb;
	int tries;

	/* The control: on the screen, the other client's bytes are seen. */
	for (i = 0; i < SIZE / 8; i++)
		words[i] = FOREIGN;
	set_mode(s.fb);
	igt_assert_eq(foreign_pixels(screenshot()), WIDTH * HEIGHT);
	free_screen(&s);

	for (tries = 0; !busy && tries < 5; tries++) {
		foreign_leave(&small);
		chaos_write(fd, "delay_ms", "1000");
		handle = vvram_create(fd, SIZE, VRAM);
		busy = vvram_info(fd, handle).flags & DRM_VVRAM_INFO_BUSY;
		s = make_screen(handle);
		set_mode(s.fb);
		chaos_write(fd, "delay_ms", "0");
		rgb = screenshot();
		igt_assert_eq(foreign_pixels(rgb), 0);
		igt_assert(is_black(rgb));
		free_screen(&s);
	}
	igt_assert_f(busy, "the buffer was always clear before it was shown\n");
	small_vram_free(&small);
}

/* A kernel mapping takes nearly all of the limit: one percent of VRAM. */
static void test_limit(void)
{
	struct rogue_vmap vmap = {};
	struct screen s;
	uint32_t pinned;
	int rogue;

	igt_require_f(vvram_query(fd).vram_size / 100 < MIB(2) + SIZE, "VRAM is larger\n");
	s = make_screen(vvram_create(fd, SIZE, VRAM));
	fill_screen(&s);
	rogue = open_rogue();
	igt_assert_eq(__debugfs_write(PIN_LIMIT, "1"), 0);
	igt_assert_eq(__vvram_create(fd, MIB(2), VRAM, DRM_VVRAM_GEM_CREATE_CONTIGUOUS, &pinned), 0);
	vmap.fd = prime_handle_to_fd(fd, pinned);
	igt_assert_eq(do_call(rogue, ROGUE_IOC_VMAP, &vmap), 0);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, MIB(2));

	set_mode(s.fb);
	igt_assert_eq(wrong_pixels(screenshot()), 0);
	igt_assert(vvram_info(fd, s.handle).flags & DRM_VVRAM_INFO_PINNED);
	igt_assert_eq(vvram_info(fd, s.handle).placement, SYSTEM);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, MIB(2));
	free_screen(&s);

	close(rogue);
	close(vmap.fd);
	gem_close(fd, pinned);
	igt_assert_eq(__debugfs_write(PIN_LIMIT, "50"), 0);
	igt_assert_eq_u64(vvram_query(fd).vram_pinned, 0);
	igt_assert_eq(system("rmmod rogue"), 0);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		igt_require_f(!system("modprobe -q bochs"), "no bochs driver\n");
		card = open_card("bochs-drm");
		igt_require_f(card >= 0, "no bochs display\n");
	}

	igt_describe("What was written is what is seen.");
	igt_subtest("bochs")
		test_bochs();
	igt_describe("No picture has bytes of the client before.");
	igt_subtest("slow-clear")
		test_slow_clear();
	igt_describe("A screen leaves room for others.");
	igt_subtest("limit")
		test_limit();

	igt_fixture {
		chaos_write(fd, "delay_ms", "0");
		igt_assert_eq(__debugfs_write(PIN_LIMIT, "50"), 0);
		vvram_wait_unused(fd);
		drm_close_driver(fd);
		close(card);
		igt_assert_eq(system("modprobe -r bochs"), 0);
	}
}
