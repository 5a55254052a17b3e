// SPDX-License-Identifier: GPL-2.0
/*
 * What can be seen in debugfs below the device's name, and the misbehaviour that root may
 * ask for, to see that a test catches it.
 */

#include <linux/cleanup.h>
#include <linux/debugfs.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "vrnic_core.h"
#include "vrnic_engine.h"
#include "vrnic_exporter.h"
#include "vrnic_mr.h"

static const char * const vrnic_misbehaviour_name[] = {
	"skip-invalidate", "ignore-kernel-fence", "late-write", "late-unmap",
	"never-unmap", "unlocked-map", "accept-bounced",
};

static int misbehave_show(struct seq_file *m, void *unused)
{
	struct vrnic_device *vdev = m->private;
	u32 bits = READ_ONCE(vdev->misbehave);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vrnic_misbehaviour_name); i++)
		if (bits & BIT(i))
			seq_printf(m, "%s ", vrnic_misbehaviour_name[i]);
	seq_puts(m, bits ? "\n" : "none\n");
	return 0;
}

static int vrnic_parse_misbehaviour(char *text, u32 *bits)
{
	char *word;
	int i;

	*bits = 0;
	while ((word = strsep(&text, "\n "))) {
		if (!*word || !strcmp(word, "none"))
			continue;
		i = match_string(vrnic_misbehaviour_name,
				 ARRAY_SIZE(vrnic_misbehaviour_name), word);
		if (i < 0)
			return i;
		*bits |= BIT(i);
	}
	return 0;
}

static ssize_t misbehave_write(struct file *file, const char __user *user, size_t len,
			       loff_t *pos)
{
	struct seq_file *m = file->private_data;
	struct vrnic_device *vdev = m->private;
	char *text;
	u32 bits;
	int ret;

	if (len > 256)
		return -EINVAL;
	text = memdup_user_nul(user, len);
	if (IS_ERR(text))
		return PTR_ERR(text);
	ret = vrnic_parse_misbehaviour(text, &bits);
	kfree(text);
	if (ret)
		return ret;
	WRITE_ONCE(vdev->misbehave, bits);
	return len;
}
DEFINE_SHOW_STORE_ATTRIBUTE(misbehave);

static void vrnic_show_stats(struct seq_file *m, const struct vrnic_stats *stats)
{
	seq_printf(m, "maps=%lld unmaps=%lld invalidations=%lld faults=%lld ",
		   atomic64_read(&stats->maps), atomic64_read(&stats->unmaps),
		   atomic64_read(&stats->invalidations), atomic64_read(&stats->faults));
	seq_printf(m, "read=%lld written=%lld stall_ns=%lld stall_max_ns=%lld ",
		   atomic64_read(&stats->bytes_read), atomic64_read(&stats->bytes_written),
		   atomic64_read(&stats->stall_ns), atomic64_read(&stats->stall_max_ns));
	seq_printf(m, "dma_faults=%lld violations=%lld\n",
		   atomic64_read(&stats->dma_faults), atomic64_read(&stats->violations));
}

static int counters_show(struct seq_file *m, void *unused)
{
	struct vrnic_device *vdev = m->private;

	vrnic_show_stats(m, &vdev->stats);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

static int contract_show(struct seq_file *m, void *unused)
{
	vrnic_show_contract(m, m->private);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(contract);

static int callbacks_show(struct seq_file *m, void *unused)
{
	vrnic_show_callbacks(m, m->private);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(callbacks);

static int regions_show(struct seq_file *m, void *unused)
{
	struct vrnic_device *vdev = m->private;
	unsigned long index;
	struct vrnic_mr *mr;

	guard(rcu)();
	xa_for_each(&vdev->regions, index, mr) {
		seq_printf(m, "ino=%lu mode=%u access=%#x offset=%llu length=%llu mapped=%d ",
			   mr->inode, mr->attr.mode, mr->attr.access, mr->attr.offset,
			   mr->attr.length, READ_ONCE(mr->mapped));
		vrnic_show_stats(m, &mr->stats);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(regions);

static int engine_show(struct seq_file *m, void *unused)
{
	struct vrnic_device *vdev = m->private;
	struct vrnic_dma_engine *engine;
	bool any = false;
	unsigned int i;

	for (i = 0; i < vdev->nr_engines; i++) {
		engine = vdev->engines[i];
		if (!engine->ops->show)
			continue;
		engine->ops->show(engine, m);
		any = true;
	}
	if (!any)
		seq_puts(m, "none\n");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(engine);

void vrnic_debugfs_init(struct vrnic_device *vdev)
{
	vdev->debugfs = debugfs_create_dir(vdev->name, NULL);
	debugfs_create_file("misbehave", 0600, vdev->debugfs, vdev, &misbehave_fops);
	debugfs_create_file("counters", 0400, vdev->debugfs, vdev, &counters_fops);
	debugfs_create_file("contract", 0400, vdev->debugfs, vdev, &contract_fops);
	debugfs_create_file("callbacks", 0400, vdev->debugfs, vdev, &callbacks_fops);
	debugfs_create_file("regions", 0400, vdev->debugfs, vdev, &regions_fops);
	debugfs_create_file("engine", 0400, vdev->debugfs, vdev, &engine_fops);
}

void vrnic_debugfs_fini(struct vrnic_device *vdev)
{
	debugfs_remove_recursive(vdev->debugfs);
}
