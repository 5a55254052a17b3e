/* SPDX-License-Identifier: MIT */
#ifndef DEVICES_H
#define DEVICES_H

#include <stdbool.h>
#include <stdint.h>

/* File descriptors of the two devices; ends the program when there is none. */
int open_vvram(void);
int open_vrnic(void);

/* A card of a driver's, or -1. */
int open_card(const char *driver);

/* ioctl() that returns 0 or -errno, restarted after signals. */
int call(int fd, unsigned long request, void *arg);

/* A number from the environment. */
uint64_t number(const char *name, uint64_t otherwise);

/* Numbers that are the same for the same seed. */
uint64_t next_random(uint64_t *state);
uint64_t below(uint64_t *state, uint64_t limit);

/* Waits until nothing is left in VRAM and in the importer; false after a minute. */
bool devices_are_empty(int vvram, int vrnic);

#endif /* DEVICES_H */
