// SPDX-License-Identifier: GPL-2.0
/*
 * Faults on demand, for those who test an importer: poison, delay, churn, fail.
 *
 * All off until root turns them on in debugfs, below chaos/.
 */

#include <linux/debugfs.h>
#include <linux/random.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include <drm/drm_drv.h>

#include "vvram_bo.h"
#include "vvram_chaos.h"
#include "vvram_drv.h"
#include "vvram_place.h"
#include "vvram_quarantine.h"
#include "vvram_strict.h"

#define VVRAM_MAX_CHURN_HZ	1000
#define VVRAM_MAX_DELAY_MS	5000

/**
 * vvram_chaos_fail() - tell whether an operation is to fail
 * @chaos: of the device
 * @what: the operation about to start
 *
 * Return: the chosen error while there are failures left, else 0.
 */
int vvram_chaos_fail(struct vvram_chaos *chaos, enum vvram_fail what)
{
	if (!atomic_read(&chaos->fail[what].count) ||
	    atomic_dec_if_positive(&chaos->fail[what].count) < 0)
		return 0;
	return -READ_ONCE(chaos->fail[what].error);
}

static struct vvram_bo *vvram_random_bo(struct vvram_device *vdev)
{
	struct vvram_bo *bo, *found = NULL;
	size_t n;

	mutex_lock(&vdev->bos_lock);
	n = list_count_nodes(&vdev->bos);
	if (n) {
		n = get_random_u32_below(n);
		list_for_each_entry(bo, &vdev->bos, link)
			if (!n--)
				break;
		if (kref_get_unless_zero(&bo->ttm.base.refcount))
			found = bo;
	}
	mutex_unlock(&vdev->bos_lock);
	return found;
}

/*
 * A move without a wish of the owner: where it wants the buffer stays as it is. Nor does
 * it take the room that somebody is just making.
 */
static void vvram_churn_bo(struct vvram_bo *bo)
{
	struct ttm_operation_ctx ctx = { .gfp_retry_mayfail = true };

	if (!dma_resv_trylock(bo->ttm.base.resv))
		return;
	if (!bo->ttm.pin_count) {
		if (vvram_bo_is_in_vram(bo))
			vvram_bo_validate(bo, TTM_PL_TT, &ctx);
		else if (vvram_may_return(bo))
			vvram_bo_validate(bo, TTM_PL_VRAM, &ctx);
	}
	dma_resv_unlock(bo->ttm.base.resv);
}

static void vvram_churn_work(struct work_struct *work)
{
	struct vvram_chaos *chaos = container_of(work, struct vvram_chaos, churn.work);
	struct vvram_device *vdev = container_of(chaos, struct vvram_device, chaos);
	u32 hz = READ_ONCE(chaos->churn_hz);
	struct vvram_bo *bo;
	int idx;

	if (!hz || !drm_dev_enter(&vdev->drm, &idx))
		return;
	bo = vvram_random_bo(vdev);
	if (bo) {
		vvram_churn_bo(bo);
		drm_gem_object_put(&bo->ttm.base);
	}
	queue_delayed_work(system_unbound_wq, &chaos->churn, msecs_to_jiffies(1000 / hz));
	drm_dev_exit(idx);
}

static int vvram_churn_get(void *data, u64 *val)
{
	struct vvram_device *vdev = data;

	*val = vdev->chaos.churn_hz;
	return 0;
}

static int vvram_churn_set(void *data, u64 val)
{
	struct vvram_device *vdev = data;
	int idx;

	if (val > VVRAM_MAX_CHURN_HZ)
		return -EINVAL;
	if (!drm_dev_enter(&vdev->drm, &idx))
		return -ENODEV;
	WRITE_ONCE(vdev->chaos.churn_hz, val);
	if (val)
		mod_delayed_work(system_unbound_wq, &vdev->chaos.churn, 0);
	drm_dev_exit(idx);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(vvram_churn_fops, vvram_churn_get, vvram_churn_set, "%llu\n");

static int vvram_delay_get(void *data, u64 *val)
{
	struct vvram_device *vdev = data;

	*val = vdev->chaos.delay_ms;
	return 0;
}

static int vvram_delay_set(void *data, u64 val)
{
	struct vvram_device *vdev = data;

	if (val > VVRAM_MAX_DELAY_MS)
		return -EINVAL;
	WRITE_ONCE(vdev->chaos.delay_ms, val);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(vvram_delay_fops, vvram_delay_get, vvram_delay_set, "%llu\n");

static int vvram_poison_get(void *data, u64 *val)
{
	struct vvram_device *vdev = data;

	*val = vdev->chaos.poison;
	return 0;
}

static int vvram_poison_set(void *data, u64 val)
{
	struct vvram_device *vdev = data;

	if (val > 1)
		return -EINVAL;
	WRITE_ONCE(vdev->chaos.poison, val);
	if (!val)
		vvram_quarantine_end(vdev);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(vvram_poison_fops, vvram_poison_get, vvram_poison_set, "%llu\n");

static int vvram_poison_pattern_get(void *data, u64 *val)
{
	*val = VVRAM_POISON;
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(vvram_poison_pattern_fops, vvram_poison_pattern_get, NULL,
			 "0x%016llx\n");

static int vvram_early_pattern_get(void *data, u64 *val)
{
	*val = VVRAM_POISON_EARLY;
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(vvram_early_pattern_fops, vvram_early_pattern_get, NULL,
			 "0x%016llx\n");

static int vvram_stale_writes_get(void *data, u64 *val)
{
	struct vvram_device *vdev = data;

	*val = atomic64_read(&vdev->chaos.stale_writes);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(vvram_stale_writes_fops, vvram_stale_writes_get, NULL, "%llu\n");

static int vvram_unlocked_calls_get(void *data, u64 *val)
{
	struct vvram_device *vdev = data;

	*val = atomic64_read(&vdev->chaos.unlocked_calls);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(vvram_unlocked_calls_fops, vvram_unlocked_calls_get, NULL, "%llu\n");

/* "COUNT ERRNO": the next COUNT operations fail with -ERRNO. */
static ssize_t vvram_fail_write(struct vvram_device *vdev, enum vvram_fail what,
				const char __user *user, size_t len)
{
	unsigned int count, error;
	char buf[32];

	if (len >= sizeof(buf))
		return -EINVAL;
	if (copy_from_user(buf, user, len))
		return -EFAULT;
	buf[len] = 0;
	if (sscanf(buf, "%u %u", &count, &error) != 2 || count > INT_MAX ||
	    !error || error > MAX_ERRNO)
		return -EINVAL;
	/* To TTM that is no error, but a way by another place. */
	if (error == EMULTIHOP)
		return -EINVAL;

	WRITE_ONCE(vdev->chaos.fail[what].error, error);
	atomic_set(&vdev->chaos.fail[what].count, count);
	return len;
}

static int vvram_fail_show(struct seq_file *m, enum vvram_fail what)
{
	struct vvram_device *vdev = m->private;

	seq_printf(m, "%d %d\n", atomic_read(&vdev->chaos.fail[what].count),
		   vdev->chaos.fail[what].error);
	return 0;
}

#define VVRAM_FAIL_FILE(name, what)						\
static ssize_t name##_write(struct file *file, const char __user *user,	\
			    size_t len, loff_t *pos)				\
{										\
	struct seq_file *m = file->private_data;				\
										\
	return vvram_fail_write(m->private, what, user, len);			\
}										\
										\
static int name##_show(struct seq_file *m, void *unused)			\
{										\
	return vvram_fail_show(m, what);					\
}										\
DEFINE_SHOW_STORE_ATTRIBUTE(name)

VVRAM_FAIL_FILE(vvram_fail_alloc, VVRAM_FAIL_ALLOC);
VVRAM_FAIL_FILE(vvram_fail_map, VVRAM_FAIL_MAP);
VVRAM_FAIL_FILE(vvram_fail_move, VVRAM_FAIL_MOVE);

/**
 * vvram_chaos_debugfs_init() - put the switches below chaos/
 * @vdev: the device
 * @root: its debugfs directory
 */
void vvram_chaos_debugfs_init(struct vvram_device *vdev, struct dentry *root)
{
	struct dentry *dir = debugfs_create_dir("chaos", root);

	debugfs_create_file("poison", 0600, dir, vdev, &vvram_poison_fops);
	debugfs_create_file("poison_pattern", 0400, dir, vdev, &vvram_poison_pattern_fops);
	debugfs_create_file("early_pattern", 0400, dir, vdev, &vvram_early_pattern_fops);
	debugfs_create_file("stale_writes", 0400, dir, vdev, &vvram_stale_writes_fops);
	debugfs_create_file("unlocked_calls", 0400, dir, vdev, &vvram_unlocked_calls_fops);
	debugfs_create_file("delay_ms", 0600, dir, vdev, &vvram_delay_fops);
	debugfs_create_file("churn_hz", 0600, dir, vdev, &vvram_churn_fops);
	debugfs_create_bool("skip_drain", 0600, dir, &vdev->chaos.skip_drain);
	debugfs_create_bool("skip_copy", 0600, dir, &vdev->chaos.skip_copy);
	debugfs_create_bool("ttm_copy", 0600, dir, &vdev->chaos.ttm_copy);
	vvram_strict_debugfs_init(vdev, dir);
	debugfs_create_file("fail_alloc", 0600, dir, vdev, &vvram_fail_alloc_fops);
	debugfs_create_file("fail_map", 0600, dir, vdev, &vvram_fail_map_fops);
	debugfs_create_file("fail_move", 0600, dir, vdev, &vvram_fail_move_fops);
}

void vvram_chaos_init(struct vvram_device *vdev)
{
	INIT_DELAYED_WORK(&vdev->chaos.churn, vvram_churn_work);
}

/**
 * vvram_chaos_fini() - stop the churn
 * @vdev: the device, unplugged
 */
void vvram_chaos_fini(struct vvram_device *vdev)
{
	cancel_delayed_work_sync(&vdev->chaos.churn);
}
