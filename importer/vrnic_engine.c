// SPDX-License-Identifier: GPL-2.0
/*
 * The engines of a device: what moves bytes, by name.
 */

#include <linux/bug.h>
#include <linux/string.h>

#include "vrnic_core.h"
#include "vrnic_engine.h"
#include "vrnic_ns.h"

/**
 * vrnic_engine_add() - give a device an engine
 * @vdev: the device, which nobody else knows yet
 * @engine: the engine
 */
void vrnic_engine_add(struct vrnic_device *vdev, struct vrnic_dma_engine *engine)
{
	if (WARN_ON(vdev->nr_engines == ARRAY_SIZE(vdev->engines)))
		return;
	vdev->engines[vdev->nr_engines++] = engine;
}

/**
 * vrnic_engine_find() - find an engine of a device
 * @vdev: the device
 * @name: its name
 *
 * Return: the engine, or NULL when the device has none that is called so.
 */
struct vrnic_dma_engine *vrnic_engine_find(struct vrnic_device *vdev, const char *name)
{
	unsigned int i;

	for (i = 0; i < vdev->nr_engines; i++)
		if (!strcmp(vdev->engines[i]->ops->name, name))
			return vdev->engines[i];
	return NULL;
}
EXPORT_SYMBOL_NS_GPL(vrnic_engine_find, VRNIC_NS);

/**
 * vrnic_engine_open() - have an engine ready for a queue
 * @engine: the engine
 *
 * May wait for others that use it.
 *
 * Return: 0, or an error of the engine.
 */
int vrnic_engine_open(struct vrnic_dma_engine *engine)
{
	return engine->ops->open ? engine->ops->open(engine) : 0;
}
EXPORT_SYMBOL_NS_GPL(vrnic_engine_open, VRNIC_NS);
