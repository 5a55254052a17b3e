// SPDX-License-Identifier: MIT
/*
 * Programs of ioctls that the coverage of the two modules leads: one that reaches a new
 * line is kept and changed further. Values know what they stand for (fuzz_calls.c), and
 * are now and then anything. What the calls return does not matter: the kernel judges.
 *
 * CALLS=N calls to make, SEED=N to run the same again.
 * fuzz CORPUS [NEW]: programs to begin with, and where the smallest set goes that
 * reaches as much.
 */

#include <fcntl.h>
#include <linux/kcov.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "devices.h"
#include "fuzz_calls.h"

#define WORKERS		2
#define MOST_PROGRAMS	4096
#define COVER_WORDS	(1 << 18)
#define MAP_BITS	16

struct state {
	uint64_t calls, wanted;
	uint32_t programs, lines;
	uint8_t seen[1 << MAP_BITS];
	struct program corpus[MOST_PROGRAMS];
};

static struct state *state;
static unsigned long *cover;

static void start_cover(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, KCOV_INIT_TRACE, COVER_WORDS)) {
		perror("/sys/kernel/debug/kcov");
		exit(1);
	}
	cover = mmap(NULL, COVER_WORDS * sizeof(*cover), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (cover == MAP_FAILED || ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC)) {
		perror("kcov");
		exit(1);
	}
}

/* Lines that nobody reached before. */
static unsigned int note_cover(uint8_t *seen)
{
	uint64_t i, n = __atomic_load_n(&cover[0], __ATOMIC_RELAXED);
	unsigned int found = 0;
	uint32_t hash;

	for (i = 1; i <= n; i++) {
		hash = (cover[i] * 0x9e3779b97f4a7c15ULL) >> (64 - MAP_BITS);
		if (!seen[hash]) {
			seen[hash] = 1;
			found++;
		}
	}
	return found;
}

static unsigned int run(const struct program *p, uint8_t *seen)
{
	__atomic_store_n(&cover[0], 0, __ATOMIC_RELAXED);
	run_program(p);
	return note_cover(seen);
}

static void keep(const struct program *p)
{
	uint32_t i = __atomic_fetch_add(&state->programs, 1, __ATOMIC_RELAXED);

	if (i < MOST_PROGRAMS)
		state->corpus[i] = *p;
	else
		__atomic_fetch_sub(&state->programs, 1, __ATOMIC_RELAXED);
}

static void choose(struct program *p, uint64_t *rnd)
{
	uint32_t n = __atomic_load_n(&state->programs, __ATOMIC_RELAXED);

	n = n < MOST_PROGRAMS ? n : MOST_PROGRAMS;
	if (!n || !below(rnd, 16)) {
		random_program(p, rnd);
		return;
	}
	*p = state->corpus[below(rnd, n)];
	mutate_program(p, &state->corpus[below(rnd, n)], rnd);
}

static void work(uint64_t rnd, uint32_t first, uint32_t given)
{
	struct program p;
	unsigned int found;
	uint32_t i;

	start_cover();
	open_files();
	for (i = first; i < given; i += WORKERS)
		__atomic_fetch_add(&state->lines, run(&state->corpus[i], state->seen),
				   __ATOMIC_RELAXED);
	while (__atomic_load_n(&state->calls, __ATOMIC_RELAXED) < state->wanted) {
		choose(&p, &rnd);
		found = run(&p, state->seen);
		__atomic_fetch_add(&state->calls, p.count, __ATOMIC_RELAXED);
		if (!found)
			continue;
		__atomic_fetch_add(&state->lines, found, __ATOMIC_RELAXED);
		keep(&p);
	}
	_exit(0);
}

/* The last ones first: they reach most. */
static void write_smallest(const char *path)
{
	uint8_t *seen = calloc(1, sizeof(state->seen));
	FILE *f = fopen(path, "w");
	unsigned int i, kept = 0;

	if (!f) {
		perror(path);
		exit(1);
	}
	start_cover();
	open_files();
	for (i = state->programs; i--; ) {
		if (run(&state->corpus[i], seen)) {
			print_program(f, &state->corpus[i]);
			kept++;
		}
	}
	fclose(f);
	free(seen);
	printf("fuzz: %u programs reach as much\n", kept);
}

static void read_corpus(const char *path)
{
	char line[8192];
	FILE *f = fopen(path, "r");

	if (!f) {
		perror(path);
		exit(1);
	}
	while (fgets(line, sizeof(line), f)) {
		struct program p;

		if (line[0] == '#')
			continue;
		if (!parse_program(line, &p)) {
			fprintf(stderr, "%s: no program: %s", path, line);
			exit(1);
		}
		keep(&p);
	}
	fclose(f);
}

static void nothing(int sig)
{
	(void)sig;
}

/* Every call may be interrupted, and none waits for ever. */
static void start_interrupts(void)
{
	struct itimerval often = { { 0, 50000 }, { 0, 50000 } };
	struct sigaction act = { .sa_handler = nothing };

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

int main(int argc, char **argv)
{
	uint64_t seed = number("SEED", time(NULL)), rnd = seed;
	unsigned int i, bad = 0;
	uint32_t given;
	int status;

	if (argc < 2) {
		fprintf(stderr, "usage: fuzz CORPUS [NEW]\n");
		return 2;
	}
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	state->wanted = number("CALLS", 10000);
	printf("fuzz: seed %llu, %llu calls\n", (unsigned long long)seed,
	       (unsigned long long)state->wanted);
	fflush(stdout);
	read_corpus(argv[1]);
	given = state->programs;

	for (i = 0; i < WORKERS; i++) {
		if (!fork()) {
			start_interrupts();
			work(next_random(&rnd), i, given);
		}
		next_random(&rnd);
	}
	while (wait(&status) > 0)
		bad += !WIFEXITED(status) || WEXITSTATUS(status);
	if (argc > 2 && !bad) {
		fflush(stdout);
		if (!fork()) {
			start_interrupts();
			write_smallest(argv[2]);
			exit(0);
		}
		wait(&status);
	}
	bad += !devices_are_empty(open_vvram(), open_vrnic());
	/* Without feedback there was no search. */
	bad += state->lines < 500;
	printf("fuzz: %s seed=%llu calls=%llu programs=%u given=%u places=%u\n",
	       bad ? "FAILED" : "OK", (unsigned long long)seed, (unsigned long long)state->calls,
	       state->programs, given, state->lines);
	return bad ? 1 : 0;
}
