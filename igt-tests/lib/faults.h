/* SPDX-License-Identifier: MIT */
/*
 * The kernel fails the Nth allocation or user copy of a call, for N from 1 until the
 * call gets through (Documentation/fault-injection/fault-injection.rst, fail-nth).
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>

/* Whether this kernel can; sets it up. */
bool faults_available(void);

/**
 * struct fault_op - a call that is to survive
 */
struct fault_op {
	const char *name;
	/** @run: 0 or a negative errno. */
	int (*run)(void *ctx);
	/** @undo: After each success, without faults; may be NULL. */
	void (*undo)(void *ctx);
};

/* Asserts that each fault gives an error of the field's, or none; counts the faults. */
unsigned int fail_each(const struct fault_op *op, void *ctx);

#endif /* FAULTS_H */
