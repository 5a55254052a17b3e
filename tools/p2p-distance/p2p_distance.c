// SPDX-License-Identifier: GPL-2.0
/*
 * Asks the kernel about the path between two PCI functions, prints the answer, and is
 * gone: loading it always fails.
 */

#include <linux/module.h>
#include <linux/pci-p2pdma.h>
#include <linux/pci.h>

static char *provider;
module_param(provider, charp, 0);
MODULE_PARM_DESC(provider, "The function whose memory is to be reached, dddd:bb:dd.f");

static char *client;
module_param(client, charp, 0);
MODULE_PARM_DESC(client, "The function that is to reach it");

static struct pci_dev *find(const char *name)
{
	struct device *dev = name ? bus_find_device_by_name(&pci_bus_type, NULL, name) : NULL;

	if (!dev)
		pr_info("p2p-distance: there is no PCI function %s\n", name ? name : "(none)");
	return dev ? to_pci_dev(dev) : NULL;
}

static int __init p2p_distance_init(void)
{
	struct pci_dev *from = find(provider), *to = find(client);

	/* The reason for a refusal is printed by the kernel itself. */
	if (from && to)
		pr_info("p2p-distance: distance %d\n",
			pci_p2pdma_distance(from, &to->dev, true));
	pci_dev_put(from);
	pci_dev_put(to);
	return -ECANCELED;
}
module_init(p2p_distance_init);

MODULE_AUTHOR("movable-dmabuf");
MODULE_DESCRIPTION("Prints the peer-to-peer distance of two PCI functions");
MODULE_LICENSE("GPL");
