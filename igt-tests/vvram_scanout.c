// SPDX-License-Identifier: MIT
/**
 * TEST: vvram scanout
 * Category: Core
 * Description: Another driver's display shows a buffer of ours.
 *
 * SUBTEST: bochs
 * Description: A buffer written in VRAM, imported by bochs and put on its screen, is
 *	what the machine's screenshot shows, pixel by pixel.
 */

#include <dirent.h>
#include <xf86drmMode.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("Another driver's display shows a buffer of ours.");

#define WIDTH	640
#define HEIGHT	480
#define SIZE	((uint64_t)WIDTH * HEIGHT * 4)

static int fd = -1;

static uint32_t pixel(unsigned int x, unsigned int y)
{
	return (x * 255 / (WIDTH - 1)) << 16 | (y * 255 / (HEIGHT - 1)) << 8 | (x ^ y) % 256;
}

static void show(int card, uint32_t fb)
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

static void test_bochs(void)
{
	uint32_t handle, imported, fb, handles[4] = {}, pitches[4] = {}, offsets[4] = {};
	uint32_t x, y, *p;
	uint8_t *rgb;
	int card, dmabuf;

	igt_require_f(!system("modprobe -q bochs"), "no bochs driver\n");
	card = open_card("bochs-drm");
	igt_require_f(card >= 0, "no bochs display\n");

	handle = vvram_create(fd, SIZE, VRAM);
	dmabuf = prime_handle_to_fd(fd, handle);
	if (drmPrimeFDToHandle(card, dmabuf, &imported)) {
		close(dmabuf);
		close(card);
		gem_close(fd, handle);
		igt_skip("this kernel's bochs imports nothing\n");
	}
	p = vvram_mmap(fd, handle, SIZE);
	for (y = 0; y < HEIGHT; y++)
		for (x = 0; x < WIDTH; x++)
			p[y * WIDTH + x] = pixel(x, y);

	handles[0] = imported;
	pitches[0] = WIDTH * 4;
	igt_assert_eq(drmModeAddFB2(card, WIDTH, HEIGHT, 0x34325258 /* XR24 */, handles,
				    pitches, offsets, &fb, 0), 0);
	show(card, fb);
	rgb = screenshot();
	igt_assert_eq(wrong_pixels(rgb), 0);
	rgb[WIDTH * 3] ^= 1;
	igt_assert_eq(wrong_pixels(rgb), 1);
	/* On the screen it stays where it is. */
	igt_assert(vvram_info(fd, handle).flags & DRM_VVRAM_INFO_PINNED);

	igt_assert_eq(drmModeRmFB(card, fb), 0);
	gem_close(card, imported);
	close(card);
	close(dmabuf);
	munmap(p, SIZE);
	gem_close(fd, handle);
	igt_assert_eq(system("modprobe -r bochs"), 0);
}

igt_main {
	igt_fixture
		fd = drm_open_driver(DRIVER_ANY);

	igt_describe("What was written is what is seen.");
	igt_subtest("bochs")
		test_bochs();

	igt_fixture {
		vvram_wait_unused(fd);
		drm_close_driver(fd);
	}
}
