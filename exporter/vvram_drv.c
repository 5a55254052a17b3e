// SPDX-License-Identifier: GPL-2.0
/*
 * vvram: a DRM driver whose buffers move between emulated VRAM and system memory.
 *
 * Binds to QEMU's ivshmem-plain function, whose BAR 2 is then VRAM, or with
 * soft=1 makes a device of its own with a carve-out of system RAM.
 */

#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/pci.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_gem_ttm_helper.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "dma_buf.h"
#include "soft_device.h"
#include "vvram_client.h"
#include "vvram_copy.h"
#include "vvram_dma_buf.h"
#include "vvram_drv.h"
#include "vvram_ioctl.h"
#include "vvram_pages.h"
#include "vvram_place.h"
#include "vvram_quarantine.h"
#include "vvram_svm.h"

static bool vvram_soft;
module_param_named(soft, vvram_soft, bool, 0444);
MODULE_PARM_DESC(soft, "Make a device with VRAM carved out of system RAM (default no)");

static char *vvram_vram_size = "256M";
module_param_named(vram_size, vvram_vram_size, charp, 0444);
MODULE_PARM_DESC(vram_size, "Size of the carve-out, bytes or with K, M, G (default 256M)");

static const struct file_operations vvram_fops = {
	.owner = THIS_MODULE,
	DRM_GEM_FOPS,
	.show_fdinfo = drm_show_fdinfo,
};

static struct drm_driver vvram_driver = {
	.driver_features = DRIVER_GEM | DRIVER_RENDER | DRIVER_SYNCOBJ |
			   DRIVER_SYNCOBJ_TIMELINE,
	.ioctls = vvram_ioctls,
	.fops = &vvram_fops,
	.open = vvram_client_open,
	.postclose = vvram_client_close,
	.show_fdinfo = vvram_show_fdinfo,
	.debugfs_init = vvram_debugfs_init,
	.dumb_create = vvram_dumb_create,
	.dumb_map_offset = drm_gem_ttm_dumb_map_offset,
	.gem_prime_import = vvram_dma_buf_import,
	.name = "vvram",
	.desc = "Movable buffers in emulated VRAM",
	.major = 1,
	.minor = 0,
};

static struct vvram_device *vvram_device_alloc(struct device *dev)
{
	struct vvram_device *vdev;
	int ret;

	vdev = devm_drm_dev_alloc(dev, &vvram_driver, struct vvram_device, drm);
	if (IS_ERR(vdev))
		return vdev;

	INIT_LIST_HEAD(&vdev->bos);
	init_rwsem(&vdev->placing);
	init_rwsem(&vdev->vram.draining);
	vvram_chaos_init(vdev);
	ret = vvram_strict_init(vdev);
	if (ret)
		return ERR_PTR(ret);
	ret = drmm_mutex_init(&vdev->drm, &vdev->bos_lock);
	return ret ? ERR_PTR(ret) : vdev;
}

/* All that does not depend on what VRAM is made of. */
static int vvram_device_start(struct vvram_device *vdev)
{
	int ret;

	ret = vvram_ttm_init(vdev);
	if (ret)
		return ret;
	ret = vvram_copy_init(vdev);
	if (ret)
		return ret;
	ret = vvram_shrinker_init(vdev);
	if (ret)
		return ret;

	if (!compat_dma_buf_is_dynamic_kernel())
		drm_info(&vdev->drm,
			 "this kernel pins the buffers of dynamic importers (CONFIG_DMABUF_MOVE_NOTIFY is not set)\n");
	return drm_dev_register(&vdev->drm, 0);
}

/*
 * Documentation/gpu/drm-uapi.rst, "Device Hot-Unplug": no new users, no mapping
 * of the CPU's, no importer, no copy; the rest waits for the last file to close.
 */
static void vvram_device_stop(struct vvram_device *vdev)
{
	vvram_quarantine_end(vdev);
	drm_dev_unplug(&vdev->drm);
	vvram_chaos_fini(vdev);
	vvram_revoke_all(vdev);
	vvram_strict_fini(vdev);
	vvram_copy_wait_idle(vdev);
}

/* The memory goes as well: nobody may have a page of it. */
static void vvram_device_end(struct vvram_device *vdev)
{
	vvram_device_stop(vdev);
	vvram_svm_drain(vdev);
	vvram_pages_drain_all(vdev);
}

static int vvram_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct vvram_device *vdev;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	vdev = vvram_device_alloc(&pdev->dev);
	if (IS_ERR(vdev))
		return PTR_ERR(vdev);
	ret = vvram_vram_init_pci(vdev, pdev);
	if (ret)
		return ret;

	pci_set_drvdata(pdev, vdev);
	return vvram_device_start(vdev);
}

static void vvram_pci_remove(struct pci_dev *pdev)
{
	vvram_device_end(pci_get_drvdata(pdev));
}

static void vvram_pci_shutdown(struct pci_dev *pdev)
{
	vvram_device_stop(pci_get_drvdata(pdev));
}

/*
 * The function answers to nobody while it is reset: accesses by CPUs and peers would
 * be lost. So all buffers that can move wait outside.
 */
static void vvram_pci_reset_prepare(struct pci_dev *pdev)
{
	struct vvram_device *vdev = pci_get_drvdata(pdev);

	if (vvram_vacate(vdev))
		drm_info(&vdev->drm, "buffers are in VRAM while it is reset\n");
}

static void vvram_pci_reset_done(struct pci_dev *pdev)
{
	struct vvram_device *vdev = pci_get_drvdata(pdev);

	vvram_vram_mgr_close(&vdev->vram_mgr, false);
}

static const struct pci_error_handlers vvram_pci_err_handler = {
	.reset_prepare = vvram_pci_reset_prepare,
	.reset_done = vvram_pci_reset_done,
};

/* QEMU's ivshmem-plain, of Red Hat's vendor id. */
static const struct pci_device_id vvram_pci_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110) },
	{}
};
MODULE_DEVICE_TABLE(pci, vvram_pci_ids);

static struct pci_driver vvram_pci_driver = {
	.name = "vvram",
	.id_table = vvram_pci_ids,
	.probe = vvram_pci_probe,
	.remove = vvram_pci_remove,
	.shutdown = vvram_pci_shutdown,
	.err_handler = &vvram_pci_err_handler,
};

static struct device *vvram_soft_dev;

static int vvram_soft_init(struct device *dev)
{
	struct vvram_device *vdev;
	int ret;

	ret = dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	vdev = vvram_device_alloc(dev);
	if (IS_ERR(vdev))
		return PTR_ERR(vdev);
	ret = vvram_vram_init_soft(vdev, memparse(vvram_vram_size, NULL));
	if (ret)
		return ret;

	dev_set_drvdata(dev, vdev);
	return vvram_device_start(vdev);
}

static int vvram_soft_create(void)
{
	struct device *dev;
	int ret;

	dev = compat_soft_device_create("vvram");
	if (IS_ERR(dev))
		return PTR_ERR(dev);

	ret = vvram_soft_init(dev);
	if (ret) {
		compat_soft_device_destroy(dev);
		return ret;
	}
	vvram_soft_dev = dev;
	return 0;
}

static void vvram_soft_destroy(void)
{
	if (!vvram_soft_dev)
		return;
	vvram_device_end(dev_get_drvdata(vvram_soft_dev));
	compat_soft_device_destroy(vvram_soft_dev);
}

static int __init vvram_init(void)
{
	int ret;

	vvram_driver.num_ioctls = vvram_num_ioctls;

	ret = pci_register_driver(&vvram_pci_driver);
	if (ret || !vvram_soft)
		return ret;

	ret = vvram_soft_create();
	if (ret)
		pci_unregister_driver(&vvram_pci_driver);
	return ret;
}

static void __exit vvram_exit(void)
{
	vvram_soft_destroy();
	pci_unregister_driver(&vvram_pci_driver);
}

module_init(vvram_init);
module_exit(vvram_exit);

COMPAT_IMPORT_NS_DMA_BUF;
MODULE_AUTHOR("movable-dmabuf");
MODULE_DESCRIPTION("DRM driver with movable buffers in emulated VRAM");
MODULE_LICENSE("GPL");
