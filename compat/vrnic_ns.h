/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_VRNIC_NS_H
#define COMPAT_VRNIC_NS_H

#include <linux/export.h>
#include <linux/module.h>

/* What vrnic.ko has for its further faces: a namespace is a string since 6.13. */
#ifdef HAVE_IMPORT_NS_STRING
#define VRNIC_NS	"VRNIC"
#else
#define VRNIC_NS	VRNIC
#endif

#endif /* COMPAT_VRNIC_NS_H */
