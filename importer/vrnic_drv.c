// SPDX-License-Identifier: GPL-2.0
/*
 * vrnic: an RDMA-like importer of movable device memory.
 *
 * Binds to QEMU's edu functions; the kernel grants peer-to-peer DMA to PCI devices
 * only. Where there is none when the module is loaded, it makes a device without
 * hardware instead; soft=N makes N of them in any case.
 */

#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "dma_buf.h"
#include "soft_device.h"
#include "vrnic_bus.h"
#include "vrnic_client.h"
#include "vrnic_core.h"
#include "vrnic_edu.h"
#include "vrnic_engine.h"
#include "ioctl/vrnic_node.h"

#define VRNIC_PCI_VENDOR	0x1234
#define VRNIC_PCI_DEVICE	0x11e8

static uint vrnic_dma_bits = 64;
module_param_named(dma_bits, vrnic_dma_bits, uint, 0444);
MODULE_PARM_DESC(dma_bits, "Bits of the addresses that the device has, 32 to 64 (default 64)");

static uint vrnic_max_segment = UINT_MAX;
module_param_named(max_segment, vrnic_max_segment, uint, 0444);
MODULE_PARM_DESC(max_segment, "Longest segment that the device takes, bytes, at least a page (default any)");

#define VRNIC_SOFT_LIMIT	16
#define VRNIC_SOFT_AUTO		(-1)

static int vrnic_soft = VRNIC_SOFT_AUTO;
module_param_named(soft, vrnic_soft, int, 0444);
MODULE_PARM_DESC(soft, "Devices without hardware to make, at most 16 (default: 1 where there is no edu function)");

/**
 * struct vrnic_instance - an importer with its faces
 */
struct vrnic_instance {
	/** @vdev: The importer. */
	struct vrnic_device *vdev;
	/** @node: Its node. */
	struct vrnic_node *node;
};

/**
 * struct vrnic_soft - a device without hardware
 */
static struct vrnic_soft {
	/** @instance: The importer. */
	struct vrnic_instance instance;
	/** @dev: The bus device. */
	struct device *dev;
} vrnic_softs[VRNIC_SOFT_LIMIT];

/**
 * struct vrnic_function - an edu function
 */
struct vrnic_function {
	/** @instance: The importer. */
	struct vrnic_instance instance;
	/** @edu: Its hardware engine; NULL without. */
	struct vrnic_edu *edu;
};

static int vrnic_start(struct vrnic_instance *in, struct device *dev,
		       struct vrnic_dma_engine *hardware)
{
	in->vdev = vrnic_device_create(dev);
	if (IS_ERR(in->vdev))
		return PTR_ERR(in->vdev);
	vrnic_engine_add(in->vdev, &vrnic_engine_cpu);
	if (hardware)
		vrnic_engine_add(in->vdev, hardware);
	vrnic_debugfs_init(in->vdev);
	in->node = vrnic_node_create(in->vdev);
	if (IS_ERR(in->node)) {
		vrnic_device_remove(in->vdev);
		return PTR_ERR(in->node);
	}
	if (!compat_dma_buf_is_dynamic_kernel())
		dev_info(dev, "this kernel pins the buffers of dynamic importers (CONFIG_DMABUF_MOVE_NOTIFY is not set)\n");
	vrnic_client_add_device(in->vdev);
	return 0;
}

static void vrnic_stop(struct vrnic_instance *in)
{
	vrnic_device_leave(in->vdev);
	vrnic_client_remove_device(in->vdev);
	vrnic_node_remove(in->node);
	vrnic_device_remove(in->vdev);
}

static int vrnic_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vrnic_function *fn;
	int ret;

	fn = devm_kzalloc(&pdev->dev, sizeof(*fn), GFP_KERNEL);
	if (!fn)
		return -ENOMEM;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(vrnic_dma_bits));
	if (ret)
		return ret;
	dma_set_max_seg_size(&pdev->dev, vrnic_max_segment);
	pci_set_master(pdev);

	fn->edu = vrnic_edu_create(pdev);
	if (IS_ERR(fn->edu)) {
		pci_warn(pdev, "no hardware engine: %pe\n", fn->edu);
		fn->edu = NULL;
	}
	pci_set_drvdata(pdev, fn);
	return vrnic_start(&fn->instance, &pdev->dev, fn->edu ? vrnic_edu_engine(fn->edu) : NULL);
}

static void vrnic_pci_remove(struct pci_dev *pdev)
{
	struct vrnic_function *fn = pci_get_drvdata(pdev);

	vrnic_stop(&fn->instance);
	pci_clear_master(pdev);
}

static void vrnic_pci_reset_prepare(struct pci_dev *pdev)
{
	struct vrnic_function *fn = pci_get_drvdata(pdev);

	if (fn->edu)
		vrnic_edu_reset_prepare(fn->edu);
}

static void vrnic_pci_reset_done(struct pci_dev *pdev)
{
	struct vrnic_function *fn = pci_get_drvdata(pdev);

	if (fn->edu)
		vrnic_edu_reset_done(fn->edu);
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

static void vrnic_soft_name(char *name, size_t size, unsigned int nr)
{
	if (nr)
		snprintf(name, size, "vrnic.%u", nr);
	else
		strscpy(name, "vrnic", size);
}

/* The faux bus leaves all that concerns DMA to its users. */
static int vrnic_soft_set_up_dma(struct device *dev)
{
	dev->dma_parms = devm_kzalloc(dev, sizeof(*dev->dma_parms), GFP_KERNEL);
	if (!dev->dma_parms)
		return -ENOMEM;
	dma_set_max_seg_size(dev, vrnic_max_segment);
	return dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(vrnic_dma_bits));
}

static int vrnic_soft_create(unsigned int nr)
{
	struct device *dev;
	char name[24];
	int ret;

	vrnic_soft_name(name, sizeof(name), nr);
	dev = compat_soft_device_create(name);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	ret = vrnic_soft_set_up_dma(dev);
	if (!ret)
		ret = vrnic_start(&vrnic_softs[nr].instance, dev, NULL);
	if (ret) {
		compat_soft_device_destroy(dev);
		return ret;
	}
	vrnic_softs[nr].dev = dev;
	return 0;
}

static void vrnic_soft_destroy_all(void)
{
	unsigned int i;

	for (i = 0; i < VRNIC_SOFT_LIMIT && vrnic_softs[i].dev; i++) {
		vrnic_stop(&vrnic_softs[i].instance);
		compat_soft_device_destroy(vrnic_softs[i].dev);
	}
}

/*
 * A module that fails to start is freed, also when somebody has opened a node meanwhile.
 * So with the first node there is no way back.
 */
static int vrnic_soft_create_all(void)
{
	int i, nr = vrnic_soft, ret;

	if (nr == VRNIC_SOFT_AUTO)
		nr = !vrnic_has_function();
	for (i = 0; i < nr; i++) {
		ret = vrnic_soft_create(i);
		if (!ret)
			continue;
		if (!i && !vrnic_has_function())
			return ret;
		pr_warn("vrnic: %d of %d devices without hardware: %pe\n", i, nr, ERR_PTR(ret));
		break;
	}
	return 0;
}

static int __init vrnic_check_parameters(void)
{
	vrnic_limits_init();
	if (!vrnic_chunk || !PAGE_ALIGNED(vrnic_chunk)) {
		pr_err("vrnic: chunk=%u is no multiple of the page size\n", vrnic_chunk);
		return -EINVAL;
	}
	if (vrnic_dma_bits < 32 || vrnic_dma_bits > 64) {
		pr_err("vrnic: dma_bits=%u is not within 32 to 64\n", vrnic_dma_bits);
		return -EINVAL;
	}
	if (vrnic_max_segment < PAGE_SIZE) {
		pr_err("vrnic: max_segment=%u is less than a page\n", vrnic_max_segment);
		return -EINVAL;
	}
	if (vrnic_soft < VRNIC_SOFT_AUTO || vrnic_soft > VRNIC_SOFT_LIMIT) {
		pr_err("vrnic: soft=%d is not within 0 to %d\n", vrnic_soft, VRNIC_SOFT_LIMIT);
		return -EINVAL;
	}
	return 0;
}

static int __init vrnic_init(void)
{
	int ret;

	ret = vrnic_check_parameters();
	if (ret)
		return ret;
	ret = vrnic_bus_init();
	if (ret)
		return ret;
	ret = pci_register_driver(&vrnic_pci_driver);
	if (ret)
		goto err_bus;
	ret = vrnic_soft_create_all();
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
	vrnic_soft_destroy_all();
	pci_unregister_driver(&vrnic_pci_driver);
	vrnic_bus_fini();
}

module_init(vrnic_init);
module_exit(vrnic_exit);

COMPAT_IMPORT_NS_DMA_BUF;
MODULE_AUTHOR("movable-dmabuf");
MODULE_DESCRIPTION("RDMA-like importer of movable device memory");
MODULE_LICENSE("GPL");
