/* SPDX-License-Identifier: MIT */
#ifndef MODULE_H
#define MODULE_H

#include "movable.h"

/* Whether the module can be loaded again: its own tests would run anew, and be counted. */
bool module_can_reload(const char *name);

/* The parameters that a module has, as it is loaded with them. */
void module_parameters(const char *name, char *out, size_t size);

bool module_is_loaded(const char *name);
void module_unload(const char *name);
int __module_load(const char *name, const char *parameters);

#endif /* MODULE_H */
