// SPDX-License-Identifier: GPL-2.0
/*
 * The judge of importers: each breach of the contract is counted, and named in the log
 * with the importer, the rule, the document that it is from, and the buffer.
 *
 * What costs nothing to see is always judged. The rest is with chaos/strict: mappings that
 * are kept after their notification, calls after detach, and, with chaos/poison as well, who
 * wrote where nobody may (vvram_quarantine.c, vvram_copy.c).
 */

#include <linux/debugfs.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/sched/clock.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>

#include <drm/drm_debugfs.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "dma_buf.h"
#include "vvram_bo.h"
#include "vvram_dma_buf.h"
#include "vvram_drv.h"
#include "vvram_quarantine.h"
#include "vvram_strict.h"

static bool vvram_strict_default;
module_param_named(strict, vvram_strict_default, bool, 0444);
MODULE_PARM_DESC(strict, "Begin with chaos/strict on (default no)");

static uint vvram_unmap_ms = 5000;
module_param_named(unmap_ms, vvram_unmap_ms, uint, 0644);
MODULE_PARM_DESC(unmap_ms,
		 "With chaos/strict: when an importer should have unmapped after a notification, ms (default 5000)");

/* How it is called in messages, what it is, and the kernel document that has the rule. */
static const struct vvram_rule {
	const char *name;
	const char *text;
	const char *where;
} vvram_rules[VVRAM_BREACHES] = {
	[VVRAM_BREACH_UNLOCKED] = {
		"unlocked", "calls without the reservation", "DMA-BUF locking convention",
	},
	[VVRAM_BREACH_HELD] = {
		"held-at-detach", "detaches, and still has mappings", "dma_buf_detach()",
	},
	[VVRAM_BREACH_PINNED] = {
		"pinned-at-detach", "detaches, and still has pins", "dma_buf_pin()",
	},
	[VVRAM_BREACH_RELEASED] = {
		"attached-at-release", "gives the buffer up without a detach", "dma_buf_put()",
	},
	[VVRAM_BREACH_LATE] = {
		"late-unmap", "was notified, and does not unmap in time",
		"dma_buf_invalidate_mappings()",
	},
	[VVRAM_BREACH_UNMAP] = {
		"unmap", "unmaps what it has not mapped, or no longer",
		"dma_buf_unmap_attachment()",
	},
	[VVRAM_BREACH_UNPIN] = {
		"unpin", "unpins what it has not pinned, or no longer", "dma_buf_unpin()",
	},
	[VVRAM_BREACH_DETACHED] = {
		"detached", "calls after it has detached", "dma_buf_detach()",
	},
	[VVRAM_BREACH_STALE] = {
		"stale-write", "writes to a place that the buffer has left",
		"dma_buf_invalidate_mappings()",
	},
	[VVRAM_BREACH_EARLY] = {
		"early-write", "writes before the bytes have arrived, in spite of a KERNEL fence",
		"enum dma_resv_usage",
	},
};

/* Its device, and its callback, which tells the module. */
static void vvram_importer_name(struct dma_buf_attachment *attach, char *name)
{
	const struct dma_buf_attach_ops *ops = attach->importer_ops;

	if (ops && ops->invalidate_mappings)
		scnprintf(name, VVRAM_IMPORTER_NAME, "%s %s, %ps",
			  dev_driver_string(attach->dev), dev_name(attach->dev),
			  ops->invalidate_mappings);
	else
		scnprintf(name, VVRAM_IMPORTER_NAME, "%s %s",
			  dev_driver_string(attach->dev), dev_name(attach->dev));
}

static struct vvram_blamed *vvram_blamed_find(struct vvram_strict *strict, const char *name)
{
	unsigned int i;

	lockdep_assert_held(&strict->blamed_lock);

	for (i = 0; i < strict->nr_blamed; i++)
		if (!strncmp(strict->blamed[i].name, name, VVRAM_IMPORTER_NAME - 1))
			return &strict->blamed[i];
	if (i == VVRAM_MAX_BLAMED)
		return &strict->blamed[i - 1];
	strict->nr_blamed++;
	strscpy(strict->blamed[i].name, i < VVRAM_MAX_BLAMED - 1 ? name : "others");
	return &strict->blamed[i];
}

static void vvram_blame(struct vvram_strict *strict, const char *name, enum vvram_breach what)
{
	struct vvram_blamed *blamed;

	atomic64_inc(&strict->violations);
	spin_lock(&strict->blamed_lock);
	blamed = vvram_blamed_find(strict, name);
	if (!blamed->count[what]++)
		blamed->first[what] = local_clock();
	spin_unlock(&strict->blamed_lock);
}

/**
 * vvram_breach() - note that an importer breaks a rule
 * @bo: the buffer
 * @attach: the importer's attachment
 * @what: the rule
 *
 * Each is counted, and the first one of an attachment logged, for each rule. Of an
 * attachment that is none any more, each.
 */
void vvram_breach(struct vvram_bo *bo, struct dma_buf_attachment *attach,
		  enum vvram_breach what)
{
	struct vvram_device *vdev = vvram_bo_device(bo);
	const struct vvram_rule *rule = &vvram_rules[what];
	struct vvram_attachment *va = attach->priv;
	char name[VVRAM_IMPORTER_NAME];

	vvram_importer_name(attach, name);
	vvram_blame(&vdev->strict, name, what);
	if (what != VVRAM_BREACH_DETACHED && test_and_set_bit(what, &va->told))
		return;
	drm_info(&vdev->drm,
		 "importer %s breaks the dma-buf contract: %s: %s (inode %lu; driver-api/dma-buf.rst, %s)\n",
		 name, rule->name, rule->text, bo->inode, rule->where);
}

/**
 * vvram_suspects_alloc() - nobody has the place mapped yet
 * @bo: whose place it is
 *
 * Return: with one reference; NULL when nobody is to be suspected, or memory is short.
 */
struct vvram_suspects *vvram_suspects_alloc(struct vvram_bo *bo)
{
	struct vvram_suspects *suspects;

	if (!READ_ONCE(vvram_bo_device(bo)->strict.on))
		return NULL;
	suspects = kzalloc(sizeof(*suspects), GFP_KERNEL | __GFP_NOWARN);
	if (!suspects)
		return NULL;
	kref_init(&suspects->ref);
	spin_lock_init(&suspects->lock);
	suspects->inode = bo->inode;
	return suspects;
}

struct vvram_suspects *vvram_suspects_get(struct vvram_suspects *suspects)
{
	if (suspects)
		kref_get(&suspects->ref);
	return suspects;
}

static void vvram_suspects_release(struct kref *ref)
{
	kfree(container_of(ref, struct vvram_suspects, ref));
}

void vvram_suspects_put(struct vvram_suspects *suspects)
{
	if (suspects)
		kref_put(&suspects->ref, vvram_suspects_release);
}

static bool vvram_suspects_have(const struct vvram_suspects *suspects, const char *name)
{
	unsigned int i;

	lockdep_assert_held(&suspects->lock);

	for (i = 0; i < suspects->nr; i++)
		if (!strcmp(suspects->name[i], name))
			return true;
	return false;
}

static void vvram_suspect(struct vvram_suspects *suspects, struct dma_buf_attachment *attach)
{
	char name[VVRAM_IMPORTER_NAME];

	vvram_importer_name(attach, name);
	spin_lock(&suspects->lock);
	if (vvram_suspects_have(suspects, name))
		;
	else if (suspects->nr < VVRAM_MAX_SUSPECTS)
		strscpy(suspects->name[suspects->nr++], name);
	else
		suspects->more = true;
	spin_unlock(&suspects->lock);
}

/**
 * vvram_suspects_add() - an importer maps a buffer where it is
 * @bo: the buffer, its reservation held
 * @attach: the importer's attachment
 */
void vvram_suspects_add(struct vvram_bo *bo, struct dma_buf_attachment *attach)
{
	struct dma_buf_attachment *other;
	struct vvram_attachment *va;

	dma_resv_assert_held(bo->ttm.base.resv);

	if (bo->suspects) {
		WRITE_ONCE(bo->suspects->inode, bo->inode);
		vvram_suspect(bo->suspects, attach);
		return;
	}
	bo->suspects = vvram_suspects_alloc(bo);
	if (!bo->suspects)
		return;
	/* Also those who mapped it when nobody was suspected. */
	list_for_each_entry(other, &attach->dmabuf->attachments, node) {
		va = other->priv;
		if (va->maps)
			vvram_suspect(bo->suspects, other);
	}
}

/* "A", or "A or B". */
static void vvram_suspects_name(struct vvram_suspects *suspects, char *name, size_t size)
{
	unsigned int i;
	size_t n;

	lockdep_assert_held(&suspects->lock);

	n = scnprintf(name, size, "%s", suspects->nr ? suspects->name[0] : "unknown");
	for (i = 1; i < suspects->nr; i++)
		n += scnprintf(name + n, size - n, " or %s", suspects->name[i]);
	if (suspects->more)
		scnprintf(name + n, size - n, " or others");
}

/**
 * vvram_breach_at() - note that somebody wrote where nobody may
 * @vdev: the device
 * @suspects: who has had it mapped, or NULL
 * @what: the rule
 * @offset: byte of the buffer
 *
 * Of several importers it can't be told which one it was: all are named.
 */
void vvram_breach_at(struct vvram_device *vdev, struct vvram_suspects *suspects,
		     enum vvram_breach what, u64 offset)
{
	const struct vvram_rule *rule = &vvram_rules[what];
	char name[(VVRAM_MAX_SUSPECTS + 1) * VVRAM_IMPORTER_NAME] = "unknown";
	unsigned long inode = 0;

	if (suspects) {
		spin_lock(&suspects->lock);
		vvram_suspects_name(suspects, name, sizeof(name));
		inode = suspects->inode;
		spin_unlock(&suspects->lock);
	}
	vvram_blame(&vdev->strict, name, what);
	drm_info(&vdev->drm,
		 "importer %s breaks the dma-buf contract: %s: %s (offset %#llx, inode %lu; driver-api/dma-buf.rst, %s)\n",
		 name, rule->name, rule->text, offset, inode, rule->where);
}

/**
 * vvram_strict_is_attached() - whether a call comes from an attachment
 * @bo: the buffer, its reservation held
 * @attach: what the caller says that it is; the core has read it already, and nothing of the
 *	exporter's behind it is
 *
 * Return: false when that was detached; it is noted then.
 */
bool vvram_strict_is_attached(struct vvram_bo *bo, struct dma_buf_attachment *attach)
{
	struct dma_buf_attachment *known;

	dma_resv_assert_held(bo->ttm.base.resv);

	if (!READ_ONCE(vvram_bo_device(bo)->strict.on))
		return true;
	list_for_each_entry(known, &attach->dmabuf->attachments, node)
		if (known == attach)
			return true;
	vvram_breach(bo, attach, VVRAM_BREACH_DETACHED);
	return false;
}

static struct vvram_bo *vvram_notice_bo(struct vvram_notice *notice)
{
	return gem_to_vvram_bo((struct drm_gem_object *)notice->attach->dmabuf->priv);
}

/* Unless something is to be looked at before that. */
static void vvram_strict_look_at(struct vvram_strict *strict, unsigned long when)
{
	lockdep_assert_held(&strict->lock);

	if (delayed_work_pending(&strict->overdue) && !time_before(when, strict->look_at))
		return;
	strict->look_at = when;
	mod_delayed_work(system_unbound_wq, &strict->overdue, max_t(long, when - jiffies, 0) + 1);
}

static unsigned long vvram_notice_deadline(void)
{
	return jiffies + msecs_to_jiffies(READ_ONCE(vvram_unmap_ms));
}

static void vvram_notice_note(struct vvram_strict *strict, struct vvram_notice *notice,
			      struct dma_fence *busy)
{
	lockdep_assert_held(&strict->lock);

	/* Of several notifications the first one counts. */
	if (!list_empty(&notice->link))
		return;
	notice->busy = dma_fence_get(busy);
	notice->deadline = vvram_notice_deadline();
	list_add_tail(&notice->link, &strict->notified);
	vvram_strict_look_at(strict, notice->deadline);
}

/**
 * vvram_strict_notify() - importers are about to be notified
 * @bo: the buffer, its reservation held
 *
 * From now on their mappings are to be given back in bounded time: when what is under way
 * now is over, and they can have the reservation.
 */
void vvram_strict_notify(struct vvram_bo *bo)
{
	struct vvram_strict *strict = &vvram_bo_device(bo)->strict;
	struct dma_buf_attachment *attach;
	struct vvram_attachment *va;
	struct vvram_mapping *mapping;
	struct dma_fence *busy;

	dma_resv_assert_held(bo->ttm.base.resv);

	if (!READ_ONCE(strict->on))
		return;
	/* Without memory nobody is judged. */
	if (dma_resv_get_singleton(bo->ttm.base.resv, DMA_RESV_USAGE_BOOKKEEP, &busy))
		return;
	mutex_lock(&strict->lock);
	list_for_each_entry(attach, &bo->dma_buf->attachments, node) {
		if (!dma_buf_attach_revocable(attach))
			continue;
		va = attach->priv;
		list_for_each_entry(mapping, &va->mappings, link)
			vvram_notice_note(strict, &mapping->notice, busy);
	}
	mutex_unlock(&strict->lock);
	dma_fence_put(busy);
}

/* Its time begins when nothing is in its way any more. */
static bool vvram_notice_is_excused(struct vvram_notice *notice)
{
	bool busy = notice->busy;

	if (busy && dma_fence_is_signaled(notice->busy)) {
		dma_fence_put(notice->busy);
		notice->busy = NULL;
	}
	return busy || dma_resv_is_locked(notice->attach->dmabuf->resv);
}

static void vvram_notice_judge(struct vvram_notice *notice)
{
	if (notice->late || time_before(jiffies, notice->deadline))
		return;
	if (vvram_notice_is_excused(notice)) {
		notice->deadline = vvram_notice_deadline();
		return;
	}
	notice->late = true;
	vvram_breach(vvram_notice_bo(notice), notice->attach, VVRAM_BREACH_LATE);
}

/**
 * vvram_strict_unmap() - a mapping is given back
 * @vdev: the device
 * @notice: the mapping's
 *
 * The buffer's reservation is held.
 */
void vvram_strict_unmap(struct vvram_device *vdev, struct vvram_notice *notice)
{
	if (list_empty(&notice->link))
		return;
	mutex_lock(&vdev->strict.lock);
	list_del_init(&notice->link);
	mutex_unlock(&vdev->strict.lock);
	dma_fence_put(notice->busy);
}

/* Those that are late stay in the list until they are given back, and are told once. */
static void vvram_strict_look(struct work_struct *work)
{
	struct vvram_strict *strict = container_of(work, struct vvram_strict, overdue.work);
	struct vvram_notice *notice, *next = NULL;

	if (!READ_ONCE(strict->on))
		return;
	mutex_lock(&strict->lock);
	list_for_each_entry(notice, &strict->notified, link) {
		vvram_notice_judge(notice);
		if (!notice->late && (!next || time_before(notice->deadline, next->deadline)))
			next = notice;
	}
	if (next)
		vvram_strict_look_at(strict, next->deadline);
	mutex_unlock(&strict->lock);
}

static int vvram_contract_show(struct seq_file *m, void *unused)
{
	struct drm_debugfs_entry *entry = m->private;
	struct vvram_strict *strict = &to_vvram_device(entry->dev)->strict;
	struct vvram_blamed *blamed;
	unsigned int what;
	u64 first;

	spin_lock(&strict->blamed_lock);
	for (blamed = strict->blamed; blamed < strict->blamed + strict->nr_blamed; blamed++)
		for (what = 0; what < VVRAM_BREACHES; what++) {
			if (!blamed->count[what])
				continue;
			first = div_u64(blamed->first[what], NSEC_PER_MSEC);
			seq_printf(m, "rule=%s count=%llu first=%llu.%03llu importer=%s\n",
				   vvram_rules[what].name, blamed->count[what],
				   div_u64(first, MSEC_PER_SEC), first % MSEC_PER_SEC,
				   blamed->name);
		}
	spin_unlock(&strict->blamed_lock);
	return 0;
}

static int vvram_strict_get(void *data, u64 *val)
{
	struct vvram_device *vdev = data;

	*val = vdev->strict.on;
	return 0;
}

static int vvram_strict_set(void *data, u64 val)
{
	struct vvram_device *vdev = data;

	if (val > 1)
		return -EINVAL;
	WRITE_ONCE(vdev->strict.on, val);
	if (!val) {
		vvram_quarantine_end(vdev);
		return 0;
	}
	/* What was notified before it went off was not looked at meanwhile. */
	mutex_lock(&vdev->strict.lock);
	vvram_strict_look_at(&vdev->strict, jiffies);
	mutex_unlock(&vdev->strict.lock);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(vvram_strict_fops, vvram_strict_get, vvram_strict_set, "%llu\n");

static int vvram_violations_get(void *data, u64 *val)
{
	struct vvram_device *vdev = data;

	*val = atomic64_read(&vdev->strict.violations);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(vvram_violations_fops, vvram_violations_get, NULL, "%llu\n");

/**
 * vvram_strict_debugfs_init() - the switch and what it has found, below chaos/
 * @vdev: the device
 * @chaos: the directory
 */
void vvram_strict_debugfs_init(struct vvram_device *vdev, struct dentry *chaos)
{
	debugfs_create_file("strict", 0600, chaos, vdev, &vvram_strict_fops);
	debugfs_create_file("violations", 0400, chaos, vdev, &vvram_violations_fops);
}

/**
 * vvram_strict_init() - set up the judge
 * @vdev: the device, not registered yet
 *
 * Return: 0 or -ENOMEM.
 */
int vvram_strict_init(struct vvram_device *vdev)
{
	struct vvram_strict *strict = &vdev->strict;

	strict->on = vvram_strict_default;
	spin_lock_init(&strict->blamed_lock);
	INIT_LIST_HEAD(&strict->notified);
	INIT_DELAYED_WORK(&strict->overdue, vvram_strict_look);
	drm_debugfs_add_file(&vdev->drm, "contract", vvram_contract_show, NULL);
	return drmm_mutex_init(&vdev->drm, &strict->lock);
}

/**
 * vvram_strict_fini() - end the watch over mappings
 * @vdev: the device, unplugged; nobody has one that could be late
 */
void vvram_strict_fini(struct vvram_device *vdev)
{
	cancel_delayed_work_sync(&vdev->strict.overdue);
}
