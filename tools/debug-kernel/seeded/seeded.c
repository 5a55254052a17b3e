// SPDX-License-Identifier: GPL-2.0
/*
 * One bug of each kind, on request: shows that the debug kernel would tell of ours.
 */

#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>

static char *bug = "";
module_param(bug, charp, 0);
MODULE_PARM_DESC(bug, "use-after-free, lock-inversion, missing-unmap, leak, sleep-in-atomic or out-of-bounds");

static noinline void seeded_use_after_free(void)
{
	char *p = kmalloc(64, GFP_KERNEL), *stale = p;

	if (!p)
		return;
	OPTIMIZER_HIDE_VAR(stale);
	kfree(p);
	WRITE_ONCE(stale[8], 1);
}

static DEFINE_MUTEX(seeded_a);
static DEFINE_MUTEX(seeded_b);

static noinline void seeded_lock_inversion(void)
{
	mutex_lock(&seeded_a);
	mutex_lock(&seeded_b);
	mutex_unlock(&seeded_b);
	mutex_unlock(&seeded_a);

	mutex_lock(&seeded_b);
	mutex_lock(&seeded_a);
	mutex_unlock(&seeded_a);
	mutex_unlock(&seeded_b);
}

static int seeded_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct page *page = alloc_page(GFP_KERNEL);
	dma_addr_t addr;

	if (!page)
		return -ENOMEM;
	if (dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64)))
		return -EIO;
	addr = dma_map_page(&pdev->dev, page, 0, PAGE_SIZE, DMA_TO_DEVICE);
	if (dma_mapping_error(&pdev->dev, addr))
		return -EIO;
	return 0;
}

/* QEMU's edu function, which is ours as long as vrnic is not loaded. */
static const struct pci_device_id seeded_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{}
};

static struct pci_driver seeded_driver = {
	.name = "seeded",
	.id_table = seeded_ids,
	.probe = seeded_probe,
};

/* The device's driver goes, and leaves a mapping. */
static noinline void seeded_missing_unmap(void)
{
	if (!pci_register_driver(&seeded_driver))
		pci_unregister_driver(&seeded_driver);
}

static noinline void seeded_leak(void)
{
	void *p;
	int i;

	/* More than one: the last may still be in a register. */
	for (i = 0; i < 16; i++) {
		p = kmalloc(1000, GFP_KERNEL);
		OPTIMIZER_HIDE_VAR(p);
	}
}

static DEFINE_SPINLOCK(seeded_lock);

static noinline void seeded_sleep_in_atomic(void)
{
	spin_lock(&seeded_lock);
	might_sleep();
	spin_unlock(&seeded_lock);
}

static int seeded_table[4];

static noinline void seeded_out_of_bounds(void)
{
	int i = strlen(bug);

	OPTIMIZER_HIDE_VAR(i);
	WRITE_ONCE(seeded_table[i], 1);
}

static int __init seeded_init(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} bugs[] = {
		{ "use-after-free", seeded_use_after_free },
		{ "lock-inversion", seeded_lock_inversion },
		{ "missing-unmap", seeded_missing_unmap },
		{ "leak", seeded_leak },
		{ "sleep-in-atomic", seeded_sleep_in_atomic },
		{ "out-of-bounds", seeded_out_of_bounds },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bugs); i++) {
		if (strcmp(bug, bugs[i].name))
			continue;
		bugs[i].run();
		return 0;
	}
	return -EINVAL;
}

static void __exit seeded_exit(void)
{
}

module_init(seeded_init);
module_exit(seeded_exit);

MODULE_AUTHOR("movable-dmabuf");
MODULE_DESCRIPTION("Seeded bugs, the control of the debug kernel");
MODULE_LICENSE("GPL");
