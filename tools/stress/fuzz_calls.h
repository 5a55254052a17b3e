/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_CALLS_H
#define FUZZ_CALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MOST_CALLS	24
#define MOST_VALUES	10

/* A call, and what its fields are drawn from. */
struct fuzz_call {
	uint8_t which;
	uint64_t value[MOST_VALUES];
};

struct program {
	uint8_t count;
	struct fuzz_call call[MOST_CALLS];
};

/* Once in each process. */
void open_files(void);

/* Its files are closed some programs later, at the latest with the process. */
void run_program(const struct program *p);

void random_program(struct program *p, uint64_t *rnd);
void mutate_program(struct program *p, const struct program *other, uint64_t *rnd);

/* One line for a program. */
void print_program(FILE *f, const struct program *p);
bool parse_program(char *line, struct program *p);

#endif /* FUZZ_CALLS_H */
