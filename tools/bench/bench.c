// SPDX-License-Identifier: MIT
/*
 * One pass of the benchmark: what is compared runs right after each other. Prints
 * "FIGURE VARIANT PARAMETER VALUE" lines, which tools/bench/report sums up.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "devices.h"
#include "rig.h"

/* FIGURES: which to run, separated by commas; all without. */
static bool wanted(const char *name)
{
	const char *list = getenv("FIGURES");

	return !list || !*list || strstr(list, name);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} figures[] = {
		{ "migrate", bench_migrate }, { "scattered", bench_scattered },
		{ "engine", bench_engine },
		{ "small", bench_small }, { "warm", bench_warm },
		{ "mapping", bench_mapping }, { "lifetimes", bench_lifetimes },
		{ "first-byte", bench_first_byte }, { "under-moves", bench_under_moves },
		{ "notify", bench_notify }, { "evict", bench_evict },
		{ "memory", bench_memory }, { "pages", bench_pages }, { "verbs", bench_verbs },
	};
	unsigned int i;

	vvram = open_vvram();
	vrnic = open_vrnic();
	/* Others have some VRAM in use too: it is not one block to be split each time. */
	create(4096, VRAM);
	bench = open("/dev/movable-bench", O_RDWR | O_CLOEXEC);
	if (bench < 0)
		die("/dev/movable-bench", -errno);
	for (i = 0; i < ARRAY_LEN(figures); i++)
		if (wanted(figures[i].name))
			figures[i].run();
	return 0;
}
