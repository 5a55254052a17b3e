// SPDX-License-Identifier: GPL-2.0
/*
 * What an importer knows of each exporter: which rules it broke, and how long its callbacks
 * take.
 */

#include <linux/dma-buf.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/sched/clock.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/time64.h>

#include "vrnic_audit.h"
#include "vrnic_check.h"
#include "vrnic_exporter.h"
#include "vrnic_mr.h"

static const char * const vrnic_callback_name[VRNIC_CALLBACKS] = {
	"map", "unmap", "pin",
};

static struct vrnic_exporter *vrnic_exporter_find(struct vrnic_device *vdev, const char *name)
{
	struct vrnic_exporter *exporter = vdev->exporters;
	unsigned int i;

	lockdep_assert_held(&vdev->exporters_lock);

	for (i = 0; i < vdev->nr_exporters; i++)
		if (!strncmp(exporter[i].name, name, sizeof(exporter[i].name) - 1))
			return &exporter[i];
	if (i == VRNIC_MAX_EXPORTERS)
		return &exporter[i - 1];
	vdev->nr_exporters++;
	strscpy(exporter[i].name, i < VRNIC_MAX_EXPORTERS - 1 ? name : "others");
	return &exporter[i];
}

/**
 * vrnic_exporter_blame() - count a breach of the contract
 * @vdev: the device that has met it
 * @name: of the exporter
 * @what: one of &enum vrnic_breach
 *
 * Return: whether it is the exporter's first breach of that rule.
 */
bool vrnic_exporter_blame(struct vrnic_device *vdev, const char *name, u32 what)
{
	struct vrnic_exporter *exporter;
	bool first;

	spin_lock(&vdev->exporters_lock);
	exporter = vrnic_exporter_find(vdev, name);
	first = !exporter->count[what]++;
	if (first)
		exporter->first[what] = local_clock();
	spin_unlock(&vdev->exporters_lock);
	return first;
}

/**
 * vrnic_exporter_now() - when a callback begins
 *
 * Return: ns, for vrnic_exporter_took(); 0 when nobody looks after exporters.
 */
u64 vrnic_exporter_now(void)
{
	return vrnic_audit_is_on() ? ktime_get_ns() : 0;
}

/**
 * vrnic_exporter_took() - note how long a callback took
 * @mr: the region, its reservation held, as it was meanwhile
 * @callback: one of &enum vrnic_callback
 * @start: what vrnic_exporter_now() said before it
 */
void vrnic_exporter_took(struct vrnic_mr *mr, unsigned int callback, u64 start)
{
	struct vrnic_device *vdev = mr->pd->vdev;
	struct vrnic_took *took;
	u64 us;

	if (!start)
		return;
	us = div_u64(ktime_get_ns() - start, NSEC_PER_USEC);
	spin_lock(&vdev->exporters_lock);
	took = &vrnic_exporter_find(vdev, mr->dmabuf->exp_name)->took[callback];
	took->calls[us ? min(ilog2(us) + 1, VRNIC_TOOK_STEPS - 1) : 0]++;
	took->max_us = max(took->max_us, us);
	spin_unlock(&vdev->exporters_lock);
}

static void vrnic_show_breaches(struct seq_file *m, const struct vrnic_exporter *exporter)
{
	unsigned int what;
	u64 first;

	for (what = 0; what < VRNIC_BREACHES; what++) {
		if (!exporter->count[what])
			continue;
		first = div_u64(exporter->first[what], NSEC_PER_MSEC);
		seq_printf(m, "rule=%s count=%llu first=%llu.%03llu exporter=%s\n",
			   vrnic_rule_name(what), exporter->count[what],
			   div_u64(first, MSEC_PER_SEC), first % MSEC_PER_SEC, exporter->name);
	}
}

/* Each step has the calls that took less than that, but not less than the step before. */
static void vrnic_show_took(struct seq_file *m, const struct vrnic_exporter *exporter)
{
	const struct vrnic_took *took;
	unsigned int i, step;
	u64 calls;

	for (i = 0; i < VRNIC_CALLBACKS; i++) {
		took = &exporter->took[i];
		for (calls = 0, step = 0; step < VRNIC_TOOK_STEPS; step++)
			calls += took->calls[step];
		if (!calls)
			continue;
		seq_printf(m, "callback=%s calls=%llu max_us=%llu", vrnic_callback_name[i], calls,
			   took->max_us);
		for (step = 0; step < VRNIC_TOOK_STEPS - 1; step++)
			if (took->calls[step])
				seq_printf(m, " <%uus=%llu", 1u << step, took->calls[step]);
		if (took->calls[step])
			seq_printf(m, " more=%llu", took->calls[step]);
		seq_printf(m, " exporter=%s\n", exporter->name);
	}
}

static void vrnic_show_exporters(struct seq_file *m, struct vrnic_device *vdev,
				 void (*show)(struct seq_file *m, const struct vrnic_exporter *e))
{
	unsigned int i;

	spin_lock(&vdev->exporters_lock);
	for (i = 0; i < vdev->nr_exporters; i++)
		show(m, &vdev->exporters[i]);
	spin_unlock(&vdev->exporters_lock);
}

/**
 * vrnic_show_contract() - who broke which rule, a line for each
 * @m: where to
 * @vdev: the device that has met it
 */
void vrnic_show_contract(struct seq_file *m, struct vrnic_device *vdev)
{
	vrnic_show_exporters(m, vdev, vrnic_show_breaches);
}

/**
 * vrnic_show_callbacks() - how long exporters' callbacks took, a line for each
 * @m: where to
 * @vdev: the device that has called
 */
void vrnic_show_callbacks(struct seq_file *m, struct vrnic_device *vdev)
{
	vrnic_show_exporters(m, vdev, vrnic_show_took);
}
