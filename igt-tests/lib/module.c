// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <sys/syscall.h>

#include "module.h"

bool module_can_reload(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/%s/sections/.kunit_test_suites", name);
	return getenv("MODULES") && access(path, F_OK);
}

void module_parameters(const char *name, char *out, size_t size)
{
	struct dirent *entry;
	char path[512];
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters", name);
	dir = opendir(path);
	igt_assert(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", name, entry->d_name);
		n += snprintf(out + n, size - n, "%s=%s ", entry->d_name,
			      strtok(read_file(path), "\n"));
		igt_assert_lt(n, size);
	}
	closedir(dir);
}

bool module_is_loaded(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return !access(path, F_OK);
}

/* What a process or an importer still holds is let go a moment later. */
void module_unload(const char *name)
{
	uint64_t end = now_ms() + 20000;

	while (syscall(SYS_delete_module, name, O_NONBLOCK)) {
		igt_assert_f(now_ms() < end, "%s can not be unloaded: %s\n", name, strerror(errno));
		usleep(10000);
	}
}

int __module_load(const char *name, const char *parameters)
{
	char path[256];
	int ko, ret;

	snprintf(path, sizeof(path), "%s/%s.ko", getenv("MODULES"), name);
	ko = open(path, O_RDONLY | O_CLOEXEC);
	igt_assert_fd(ko);
	ret = syscall(SYS_finit_module, ko, parameters, 0) ? -errno : 0;
	close(ko);
	return ret;
}
