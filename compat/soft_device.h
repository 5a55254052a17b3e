/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COMPAT_SOFT_DEVICE_H
#define COMPAT_SOFT_DEVICE_H

#include <linux/device.h>
#include <linux/err.h>

/*
 * A device without hardware: on the faux bus where there is one (Linux 6.14), on
 * the platform bus before.
 */
#ifdef HAVE_FAUX_DEVICE
#include <linux/device/faux.h>
#else
#include <linux/platform_device.h>
#endif

/**
 * compat_soft_device_create() - make a device without hardware
 * @name: its name
 *
 * Return: the device, ready for devm_ resources, or an error pointer.
 */
static inline struct device *compat_soft_device_create(const char *name)
{
#ifdef HAVE_FAUX_DEVICE
	struct faux_device *faux = faux_device_create(name, NULL, NULL);

	return faux ? &faux->dev : ERR_PTR(-ENODEV);
#else
	struct platform_device *pdev;

	pdev = platform_device_register_simple(name, PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(pdev))
		return ERR_CAST(pdev);
	if (!devres_open_group(&pdev->dev, NULL, GFP_KERNEL)) {
		platform_device_unregister(pdev);
		return ERR_PTR(-ENOMEM);
	}
	return &pdev->dev;
#endif
}

/**
 * compat_soft_device_destroy() - release its devm_ resources and the device
 * @dev: the device
 */
static inline void compat_soft_device_destroy(struct device *dev)
{
#ifdef HAVE_FAUX_DEVICE
	faux_device_destroy(to_faux_device(dev));
#else
	devres_release_group(dev, NULL);
	platform_device_unregister(to_platform_device(dev));
#endif
}

#endif /* COMPAT_SOFT_DEVICE_H */
