/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_VERBS_H
#define COMPAT_VERBS_H

#include <rdma/ib_verbs.h>

/* Regions with a DMA handle: an argument more, which leads to nothing here. */
#ifdef HAVE_IB_DMAH
#define COMPAT_DMAH		struct ib_dmah *dmah,
#define COMPAT_HAS_DMAH		(dmah)
#else
#define COMPAT_DMAH
#define COMPAT_HAS_DMAH		false
#endif

/* Since queues of userspace have a function of their own, memory may come with them. */
#ifdef HAVE_CREATE_USER_CQ
#define COMPAT_CREATE_USER_CQ	create_user_cq
#define COMPAT_RESIZE_USER_CQ	resize_user_cq
#define COMPAT_RESIZE_CQE	unsigned int
#else
#define COMPAT_CREATE_USER_CQ	create_cq
#define COMPAT_RESIZE_USER_CQ	resize_cq
#define COMPAT_RESIZE_CQE	int
#endif

/* The core tells clients of the state of a port's network device. */
#ifdef HAVE_IB_DISPATCH_PORT_STATE_EVENT
#define COMPAT_CORE_TELLS_PORT_STATE	true
#else
#define COMPAT_CORE_TELLS_PORT_STATE	false
#endif

#endif /* COMPAT_VERBS_H */
