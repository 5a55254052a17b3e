// SPDX-License-Identifier: MIT

#include "faults.h"
#include "movable.h"

/* More than any call has; a call that never gets through is a defect. */
#define MOST_FAULTS	5000

/* Of the thread that opens it. */
#define FAIL_NTH	"/proc/thread-self/fail-nth"

static bool set(const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", file);
	return !access(path, W_OK) && !__debugfs_write(path, text);
}

bool faults_available(void)
{
	/* Allocations that may sleep fail as well, and the log stays short. */
	return !access(FAIL_NTH, W_OK) && set("failslab/ignore-gfp-wait", "N") &&
	       set("fail_page_alloc/ignore-gfp-wait", "N") &&
	       set("fail_page_alloc/ignore-gfp-highmem", "N") &&
	       set("fail_page_alloc/min-order", "0") && set("failslab/verbose", "0") &&
	       set("fail_page_alloc/verbose", "0") && set("fail_usercopy/verbose", "0");
}

static bool is_fair(int error)
{
	return error == -ENOMEM || error == -EFAULT || error == -ENOSPC || error == -EAGAIN;
}

/* Runs once; tells whether the fault was met in there. */
static bool run_with_fault(const struct fault_op *op, void *ctx, int fail_nth, unsigned int nth,
			   int *ret)
{
	char text[16] = {};
	ssize_t n;

	snprintf(text, sizeof(text), "%u", nth);
	igt_assert_eq(pwrite(fail_nth, text, strlen(text), 0), strlen(text));
	*ret = op->run(ctx);
	/* One that is left over may hit this very read. */
	n = pread(fail_nth, text, sizeof(text) - 1, 0);
	pwrite(fail_nth, "0", 1, 0);
	return n > 0 && !atoi(text);
}

unsigned int fail_each(const struct fault_op *op, void *ctx)
{
	int fail_nth = open(FAIL_NTH, O_RDWR), ret;
	unsigned int nth;
	bool met;

	igt_assert_fd(fail_nth);
	for (nth = 1; nth < MOST_FAULTS; nth++) {
		met = run_with_fault(op, ctx, fail_nth, nth, &ret);
		igt_assert_f(!ret || (met && is_fair(ret)), "%s, fault %u: %s\n", op->name, nth,
			     strerror(-ret));
		if (!ret && op->undo)
			op->undo(ctx);
		if (!met) {
			close(fail_nth);
			return nth - 1;
		}
	}
	igt_assert_f(false, "%s: no end of faults\n", op->name);
	return 0;
}
