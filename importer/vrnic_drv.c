// SPDX-License-Identifier: GPL-2.0
/*
 * vrnic: an RDMA-like importer of movable device memory.
 *
 * Binds to QEMU's edu function; the kernel grants peer-to-peer DMA to PCI devices
 * only. Where there is no such function when the module is loaded, it makes a
 * device without hardware instead. There is one importer in a machine.
 */

#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "dma_buf.h"
#include "soft_device.h"
#include "vrnic_bus.h"
#include "vrnic_core.h"
#include "vrnic_edu.h"
#include "vrnic_ioctl.h"

#define VRNIC_PCI_VENDOR	0x1234
#define VRNIC_PCI_DEVICE	0x11e8

static DEFINE_MUTEX(vrnic_lock);
static struct vrnic_device *vrnic_bound;
static struct device *vrnic_soft_dev;
static struct device_dma_parameters vrnic_soft_dma_parms;

static int vrnic_start_locked(struct device *dev, struct vrnic_edu *edu)
{
	struct vrnic_device *vdev;
	int ret;

	lockdep_assert_held(&vrnic_lock);

	if (vrnic_bound)
		return dev_err_probe(dev, -EBUSY, "there is an importer already: %s\n",
				     dev_name(vrnic_bound->dev));
	vdev = vrnic_device_create(dev, edu);
	if (IS_ERR(vdev))
		return PTR_ERR(vdev);
	ret = vrnic_face_register(vdev);
	if (ret) {
		vrnic_device_remove(vdev);
		return ret;
	}
	vrnic_bound = vdev;
	if (!compat_dma_buf_is_dynamic_kernel())
		dev_info(dev, "this kernel pins the buffers of dynamic importers (CONFIG_DMABUF_MOVE_NOTIFY is not set)\n");
	return 0;
}

static int vrnic_start(struct device *dev, struct vrnic_edu *edu)
{
	int ret;

	mutex_lock(&vrnic_lock);
	ret = vrnic_start_locked(dev, edu);
	mutex_unlock(&vrnic_lock);
	return ret;
}

static void vrnic_stop(void)
{
	mutex_lock(&vrnic_lock);
	vrnic_face_unregister();
	vrnic_device_remove(vrnic_bound);
	vrnic_bound = NULL;
	mutex_unlock(&vrnic_lock);
}

static int vrnic_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vrnic_edu *edu;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	pci_set_master(pdev);

	edu = vrnic_edu_create(pdev);
	if (IS_ERR(edu)) {
		pci_warn(pdev, "no hardware engine: %pe\n", edu);
		edu = NULL;
	}
	pci_set_drvdata(pdev, edu);
	return vrnic_start(&pdev->dev, edu);
}

static void vrnic_pci_remove(struct pci_dev *pdev)
{
	vrnic_stop();
	pci_clear_master(pdev);
}

static void vrnic_pci_reset_prepare(struct pci_dev *pdev)
{
	struct vrnic_edu *edu = pci_get_drvdata(pdev);

	if (edu)
		vrnic_edu_reset_prepare(edu);
}

static void vrnic_pci_reset_done(struct pci_dev *pdev)
{
	struct vrnic_edu *edu = pci_get_drvdata(pdev);

	if (edu)
		vrnic_edu_reset_done(edu);
}

static const struct pci_error_handlers vrnic_pci_err_handler = {
	.reset_prepare = vrnic_pci_reset_prepare,
	.reset_done = vrnic_pci_reset_done,
};

static const struct pci_device_id vrnic_pci_ids[] = {
	{ PCI_DEVICE(VRNIC_PCI_VENDOR, VRNIC_PCI_DEVICE) },
	{}
};
MODULE_DEVICE_TABLE(pci, vrnic_pci_ids);

static struct pci_driver vrnic_pci_driver = {
	.name = "vrnic",
	.id_table = vrnic_pci_ids,
	.probe = vrnic_pci_probe,
	.remove = vrnic_pci_remove,
	.shutdown = vrnic_pci_remove,
	.err_handler = &vrnic_pci_err_handler,
};

static bool vrnic_has_function(void)
{
	struct pci_dev *pdev = pci_get_device(VRNIC_PCI_VENDOR, VRNIC_PCI_DEVICE, NULL);

	pci_dev_put(pdev);
	return pdev;
}

static int vrnic_soft_create(void)
{
	struct device *dev;
	int ret;

	dev = compat_soft_device_create("vrnic");
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	/* The faux bus leaves all that concerns DMA to its users. */
	dev->dma_parms = &vrnic_soft_dma_parms;
	dma_set_max_seg_size(dev, UINT_MAX);
	ret = dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (!ret)
		ret = vrnic_start(dev, NULL);
	if (ret) {
		compat_soft_device_destroy(dev);
		return ret;
	}
	vrnic_soft_dev = dev;
	return 0;
}

static int __init vrnic_init(void)
{
	int ret;

	vrnic_limits_init();
	if (!vrnic_chunk || !PAGE_ALIGNED(vrnic_chunk)) {
		pr_err("vrnic: chunk=%u is no multiple of the page size\n", vrnic_chunk);
		return -EINVAL;
	}
	ret = vrnic_bus_init();
	if (ret)
		return ret;
	ret = pci_register_driver(&vrnic_pci_driver);
	if (ret)
		goto err_bus;
	if (vrnic_has_function())
		return 0;
	ret = vrnic_soft_create();
	if (ret)
		goto err_driver;
	return 0;

err_driver:
	pci_unregister_driver(&vrnic_pci_driver);
err_bus:
	vrnic_bus_fini();
	return ret;
}

static void __exit vrnic_exit(void)
{
	if (vrnic_soft_dev) {
		vrnic_stop();
		compat_soft_device_destroy(vrnic_soft_dev);
	}
	pci_unregister_driver(&vrnic_pci_driver);
	vrnic_bus_fini();
}

module_init(vrnic_init);
module_exit(vrnic_exit);

COMPAT_IMPORT_NS_DMA_BUF;
MODULE_AUTHOR("movable-dmabuf");
MODULE_DESCRIPTION("RDMA-like importer of movable device memory");
MODULE_LICENSE("GPL");
