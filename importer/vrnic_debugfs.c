// SPDX-License-Identifier: GPL-2.0
/*
 * What can be seen in debugfs below vrnic0, and the misbehaviour that root may
 * ask for, to see that a test catches it.
 */

#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "vrnic_core.h"
#include "vrnic_edu.h"
#include "vrnic_mr.h"

static const char * const vrnic_misbehaviour_name[] = {
	"skip-invalidate", "ignore-kernel-fence", "late-write", "late-unmap",
	"never-unmap", "unlocked-map",
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
	struct vrnic_counters c;

	vrnic_stats_read(stats, &c);
	seq_printf(m, "maps=%llu unmaps=%llu invalidations=%llu faults=%llu ",
		   c.maps, c.unmaps, c.invalidations, c.faults);
	seq_printf(m, "read=%llu written=%llu stall_ns=%llu stall_max_ns=%llu ",
		   c.bytes_read, c.bytes_written, c.stall_ns, c.stall_max_ns);
	seq_printf(m, "dma_faults=%llu violations=%llu\n", c.dma_faults, c.violations);
}

static int counters_show(struct seq_file *m, void *unused)
{
	struct vrnic_device *vdev = m->private;

	vrnic_show_stats(m, &vdev->stats);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

static void vrnic_show_context(struct seq_file *m, struct vrnic_context *ctx)
{
	unsigned long handle;
	struct vrnic_mr *mr;

	mutex_lock(&ctx->lock);
	xa_for_each(&ctx->mrs, handle, mr) {
		seq_printf(m, "ino=%lu mode=%u access=%#x offset=%llu length=%llu mapped=%d ",
			   mr->inode, mr->attr.mode, mr->attr.access, mr->attr.offset,
			   mr->attr.length, READ_ONCE(mr->mapped));
		vrnic_show_stats(m, &mr->stats);
	}
	mutex_unlock(&ctx->lock);
}

static int regions_show(struct seq_file *m, void *unused)
{
	struct vrnic_device *vdev = m->private;
	struct vrnic_context *ctx;

	mutex_lock(&vdev->lock);
	list_for_each_entry(ctx, &vdev->contexts, link)
		vrnic_show_context(m, ctx);
	mutex_unlock(&vdev->lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(regions);

static int engine_show(struct seq_file *m, void *unused)
{
	struct vrnic_device *vdev = m->private;

	if (vdev->edu)
		seq_printf(m, "edu mask=%#llx\n", vrnic_edu_mask(vdev->edu));
	else
		seq_puts(m, "none\n");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(engine);

void vrnic_debugfs_init(struct vrnic_device *vdev)
{
	vdev->debugfs = debugfs_create_dir("vrnic0", NULL);
	debugfs_create_file("misbehave", 0600, vdev->debugfs, vdev, &misbehave_fops);
	debugfs_create_file("counters", 0400, vdev->debugfs, vdev, &counters_fops);
	debugfs_create_file("regions", 0400, vdev->debugfs, vdev, &regions_fops);
	debugfs_create_file("engine", 0400, vdev->debugfs, vdev, &engine_fops);
}

void vrnic_debugfs_fini(struct vrnic_device *vdev)
{
	debugfs_remove_recursive(vdev->debugfs);
}
