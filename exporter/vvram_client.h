/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VVRAM_CLIENT_H
#define VVRAM_CLIENT_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/sched.h>

struct drm_device;
struct drm_file;

/**
 * struct vvram_client - an open file, as far as its buffers outlive it
 */
struct vvram_client {
	/** @ref: Held by the file, its buffers, and the copies made of them. */
	struct kref ref;
	/** @pid: Of who opened it, as the first process of the system sees it. */
	pid_t pid;
	/** @comm: What that was called then. */
	char comm[TASK_COMM_LEN];
	/** @copy_ns: Time that the copy engine spent on its buffers. */
	atomic64_t copy_ns;
	/** @svm_pages: Pages in VRAM of processes that moved them there by this file. */
	atomic64_t svm_pages;
};

int vvram_client_open(struct drm_device *drm, struct drm_file *file);
void vvram_client_close(struct drm_device *drm, struct drm_file *file);
struct vvram_client *vvram_client_get(struct vvram_client *client);
void vvram_client_put(struct vvram_client *client);

#endif /* VVRAM_CLIENT_H */
