/* SPDX-License-Identifier: MIT */
/*
 * The part of libigt's interface that these tests use, declared for building
 * against the library alone. Where an IGT source tree is at hand its own igt.h is
 * used instead (IGT_SRC=), and this file is not looked at.
 */
#ifndef IGT_H
#define IGT_H

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <drm.h>
#include <xf86drm.h>

#ifndef IGT_LOG_DOMAIN
#define IGT_LOG_DOMAIN NULL
#endif

enum igt_log_level {
	IGT_LOG_DEBUG,
	IGT_LOG_INFO,
	IGT_LOG_WARN,
	IGT_LOG_CRITICAL,
	IGT_LOG_NONE,
};

extern sigjmp_buf igt_subtest_jmpbuf;
extern const char *__igt_test_description;

void igt_subtest_init_parse_opts(int *argc, char **argv, const char *short_opts,
				 const struct option *long_opts, const char *help,
				 int (*handler)(int opt, int index, void *data), void *data);
bool __igt_fixture(void);
void __igt_fixture_complete(void);
bool __igt_run_subtest(const char *name, const char *file, const int line);
void igt_describe_f(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void igt_success(void);
void igt_exit(void) __attribute__((noreturn));
void igt_skip(const char *f, ...) __attribute__((noreturn, format(printf, 1, 2)));
void __igt_skip_check(const char *file, const int line, const char *func,
		      const char *check, const char *format, ...)
	__attribute__((noreturn, format(printf, 5, 6)));
void __igt_fail_assert(const char *domain, const char *file, const int line,
		       const char *func, const char *assertion, const char *format, ...)
	__attribute__((noreturn, format(printf, 6, 7)));
void igt_log(const char *domain, enum igt_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool __igt_fork(void);
void igt_waitchildren(void);
void igt_set_timeout(unsigned int seconds, const char *op);
void igt_reset_timeout(void);
void igt_fork_signal_helper(void);
void igt_stop_signal_helper(void);

int drm_open_driver(int chipset);
int drm_open_driver_render(int chipset);
int drm_close_driver(int fd);
void gem_close(int fd, uint32_t handle);
int prime_handle_to_fd(int fd, uint32_t handle);
int prime_handle_to_fd_for_mmap(int fd, uint32_t handle);
uint32_t prime_fd_to_handle(int fd, int dma_buf_fd);
int __prime_fd_to_handle(int fd, int dma_buf_fd, uint32_t *handle);
off_t prime_get_size(int dma_buf_fd);

/* Any driver: which one it is comes from the environment. */
#define DRIVER_ANY	(~0U & ~(1U << 2))

#define igt_tokencat2(x, y)	x ## y
#define igt_tokencat(x, y)	igt_tokencat2(x, y)

#define IGT_TEST_DESCRIPTION(text) const char *__igt_test_description = text

#define igt_main								\
	static void __igt_real_main(void);					\
	int main(int argc, char **argv)						\
	{									\
		igt_subtest_init_parse_opts(&argc, argv, NULL, NULL, NULL, NULL, NULL); \
		__igt_real_main();						\
		igt_exit();							\
	}									\
	static void __igt_real_main(void)

#define igt_fixture								\
	for (volatile int igt_tokencat(__once, __LINE__) = 0;			\
	     igt_tokencat(__once, __LINE__) < 1 && __igt_fixture() &&		\
		     sigsetjmp(igt_subtest_jmpbuf, 1) == 0;			\
	     igt_tokencat(__once, __LINE__)++, __igt_fixture_complete())

#define igt_subtest(name)							\
	for (; __igt_run_subtest(name, __FILE__, __LINE__) &&			\
	       sigsetjmp(igt_subtest_jmpbuf, 1) == 0; igt_success())

#define igt_subtest_f(fmt, ...)							\
	for (char igt_tokencat(__name, __LINE__)[256];				\
	     snprintf(igt_tokencat(__name, __LINE__), 256, fmt, __VA_ARGS__),	\
	     __igt_run_subtest(igt_tokencat(__name, __LINE__), __FILE__, __LINE__) && \
	     sigsetjmp(igt_subtest_jmpbuf, 1) == 0; igt_success())

#define igt_describe(text)	igt_describe_f("%s", text)

#define igt_fork(child, n)							\
	for (int child = 0; child < (n); child++)				\
		for (; __igt_fork(); exit(0))

#define igt_assert_f(expr, ...)							\
	do {									\
		if (!(expr))							\
			__igt_fail_assert(IGT_LOG_DOMAIN, __FILE__, __LINE__,	\
					  __func__, #expr, __VA_ARGS__);	\
	} while (0)
#define igt_assert(expr)							\
	do {									\
		if (!(expr))							\
			__igt_fail_assert(IGT_LOG_DOMAIN, __FILE__, __LINE__,	\
					  __func__, #expr, NULL);		\
	} while (0)
#define igt_assert_cmp(a, op, b)						\
	do {									\
		long long __a = (a), __b = (b);					\
										\
		igt_assert_f(__a op __b, "%lld " #op " %lld\n", __a, __b);	\
	} while (0)
#define igt_assert_eq(a, b)	igt_assert_cmp(a, ==, b)
#define igt_assert_neq(a, b)	igt_assert_cmp(a, !=, b)
#define igt_assert_lte(a, b)	igt_assert_cmp(a, <=, b)
#define igt_assert_lt(a, b)	igt_assert_cmp(a, <, b)
#define igt_assert_eq_u64(a, b)	igt_assert_cmp(a, ==, b)
#define igt_assert_fd(fd)	igt_assert_lte(0, fd)
#define igt_require(expr)							\
	do {									\
		if (!(expr))							\
			__igt_skip_check(__FILE__, __LINE__, __func__, #expr, NULL); \
	} while (0)
#define igt_require_f(expr, ...)						\
	do {									\
		if (!(expr))							\
			__igt_skip_check(__FILE__, __LINE__, __func__, #expr,	\
					 __VA_ARGS__);				\
	} while (0)
#define igt_info(...)	igt_log(IGT_LOG_DOMAIN, IGT_LOG_INFO, __VA_ARGS__)
#define igt_debug(...)	igt_log(IGT_LOG_DOMAIN, IGT_LOG_DEBUG, __VA_ARGS__)

#endif /* IGT_H */
