// SPDX-License-Identifier: GPL-2.0
/*
 * The bus as software sees it: from a DMA address to the bytes behind it.
 *
 * An address goes through the IOMMU domain of the device where there is one, at
 * the time of each access: one that was unmapped resolves to nothing, and faults.
 *
 * RAM is reached through the kernel's direct map, a BAR through an aperture. Making
 * one is slow, so it outlives the mapping that it was made for by a while.
 */

#include <linux/dma-direct.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "dma_bounce.h"
#include "vrnic_bus.h"
#include "vrnic_mapping.h"

/* How long an aperture stays that nobody uses. */
#define VRNIC_APERTURE_IDLE	(10 * HZ)

/**
 * struct vrnic_aperture - a BAR as the CPU sees it
 */
struct vrnic_aperture {
	/** @link: On vrnic_apertures. */
	struct list_head link;
	/** @users: Mappings that touch it. */
	unsigned int users;
	/** @gone: The function has lost its driver: to be closed when not used. */
	bool gone;
	/** @idle_since: When @users became zero, in jiffies. */
	unsigned long idle_since;
	/** @start: Physical address. */
	phys_addr_t start;
	/** @size: Bytes. */
	u64 size;
	/** @io: The CPU's mapping. */
	void __iomem *io;
};

static void vrnic_idle_fn(struct work_struct *work);

/* Taken in notifications: nothing is made or undone under it. */
static DEFINE_SPINLOCK(vrnic_aperture_lock);
static LIST_HEAD(vrnic_apertures);
static DECLARE_DELAYED_WORK(vrnic_idle_work, vrnic_idle_fn);

/**
 * vrnic_bus_to_phys() - translate a DMA address as the bus does
 * @dev: the device that does the DMA
 * @addr: the address
 *
 * Return: the physical address, or 0 when there is none.
 */
phys_addr_t vrnic_bus_to_phys(struct device *dev, dma_addr_t addr)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain ? iommu_iova_to_phys(domain, addr) : dma_to_phys(dev, addr);
}

/**
 * vrnic_bus_is_ram() - tell RAM from a device's memory
 * @phys: physical address
 */
bool vrnic_bus_is_ram(phys_addr_t phys)
{
	unsigned long pfn = PHYS_PFN(phys);

	/* A BAR may have page structures too, and so may a hole between RAM and it. */
	return pfn_valid(pfn) && page_is_ram(pfn);
}

/**
 * vrnic_bus_is_translated() - tell whether an IOMMU is between a device and memory
 * @dev: the device
 */
bool vrnic_bus_is_translated(struct device *dev)
{
	return compat_dma_is_translated(dev);
}

static bool vrnic_aperture_holds(const struct vrnic_aperture *ap, phys_addr_t phys)
{
	return phys >= ap->start && phys - ap->start < ap->size;
}

static struct vrnic_aperture *vrnic_find_opened(const struct vrnic_bus_view *view,
						phys_addr_t phys)
{
	unsigned int i;

	for (i = 0; i < view->nr; i++)
		if (vrnic_aperture_holds(view->aperture[i], phys))
			return view->aperture[i];
	return NULL;
}

static struct vrnic_aperture *vrnic_get_aperture_locked(phys_addr_t phys)
{
	struct vrnic_aperture *ap;

	lockdep_assert_held(&vrnic_aperture_lock);

	list_for_each_entry(ap, &vrnic_apertures, link) {
		if (ap->gone || !vrnic_aperture_holds(ap, phys))
			continue;
		ap->users++;
		return ap;
	}
	return NULL;
}

static bool vrnic_find_bar(phys_addr_t phys, struct vrnic_aperture *ap)
{
	const struct resource probe = DEFINE_RES_MEM(phys, 1);
	struct pci_dev *pdev = NULL;
	struct resource *res;

	for_each_pci_dev(pdev) {
		res = pci_find_resource(pdev, (struct resource *)&probe);
		if (!res || !(res->flags & IORESOURCE_MEM))
			continue;
		ap->start = res->start;
		ap->size = resource_size(res);
		pci_dev_put(pdev);
		return true;
	}
	return false;
}

/**
 * vrnic_bus_is_bar() - tell whether an address is a BAR's on the bus
 * @addr: the address, where bus addresses are physical ones
 */
bool vrnic_bus_is_bar(dma_addr_t addr)
{
	struct vrnic_aperture ap;

	return vrnic_find_bar(addr, &ap);
}

static struct vrnic_aperture *vrnic_make_aperture(phys_addr_t phys)
{
	struct vrnic_aperture *ap;

	ap = kzalloc(sizeof(*ap), GFP_KERNEL);
	if (!ap)
		return ERR_PTR(-ENOMEM);
	if (!vrnic_find_bar(phys, ap)) {
		kfree(ap);
		return ERR_PTR(-EFAULT);
	}
	ap->io = ioremap_wc(ap->start, ap->size);
	if (!ap->io) {
		kfree(ap);
		return ERR_PTR(-ENOMEM);
	}
	ap->users = 1;
	return ap;
}

static void vrnic_free_aperture(struct vrnic_aperture *ap)
{
	iounmap(ap->io);
	kfree(ap);
}

static struct vrnic_aperture *vrnic_get_aperture(phys_addr_t phys)
{
	struct vrnic_aperture *ap, *other;

	spin_lock(&vrnic_aperture_lock);
	ap = vrnic_get_aperture_locked(phys);
	spin_unlock(&vrnic_aperture_lock);
	if (ap)
		return ap;

	ap = vrnic_make_aperture(phys);
	if (IS_ERR(ap))
		return ap;

	spin_lock(&vrnic_aperture_lock);
	other = vrnic_get_aperture_locked(phys);
	if (!other)
		list_add(&ap->link, &vrnic_apertures);
	spin_unlock(&vrnic_aperture_lock);
	if (!other)
		return ap;

	vrnic_free_aperture(ap);
	return other;
}

static void vrnic_put_aperture(struct vrnic_aperture *ap)
{
	spin_lock(&vrnic_aperture_lock);
	if (!--ap->users) {
		ap->idle_since = jiffies;
		schedule_delayed_work(&vrnic_idle_work, VRNIC_APERTURE_IDLE);
	}
	spin_unlock(&vrnic_aperture_lock);
}

static bool vrnic_is_over(const struct vrnic_aperture *ap)
{
	return !ap->users &&
	       (ap->gone || time_after_eq(jiffies, ap->idle_since + VRNIC_APERTURE_IDLE));
}

static void vrnic_close_idle(void)
{
	struct vrnic_aperture *ap, *next;
	LIST_HEAD(over);
	bool rest;

	spin_lock(&vrnic_aperture_lock);
	list_for_each_entry_safe(ap, next, &vrnic_apertures, link)
		if (vrnic_is_over(ap))
			list_move(&ap->link, &over);
	rest = !list_empty(&vrnic_apertures);
	spin_unlock(&vrnic_aperture_lock);

	list_for_each_entry_safe(ap, next, &over, link)
		vrnic_free_aperture(ap);
	if (rest)
		schedule_delayed_work(&vrnic_idle_work, VRNIC_APERTURE_IDLE);
}

static void vrnic_idle_fn(struct work_struct *work)
{
	vrnic_close_idle();
}

/* Another driver may map the BAR in another way: nothing of it is kept. */
static void vrnic_forget_function(struct pci_dev *pdev)
{
	struct vrnic_aperture *ap;
	struct resource *res;
	int bar;

	spin_lock(&vrnic_aperture_lock);
	list_for_each_entry(ap, &vrnic_apertures, link)
		pci_dev_for_each_resource(pdev, res, bar)
			if (res->start == ap->start && res->flags & IORESOURCE_MEM)
				ap->gone = true;
	spin_unlock(&vrnic_aperture_lock);

	cancel_delayed_work_sync(&vrnic_idle_work);
	vrnic_close_idle();
}

static int vrnic_bus_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	if (event == BUS_NOTIFY_UNBOUND_DRIVER)
		vrnic_forget_function(to_pci_dev(data));
	return NOTIFY_DONE;
}

static struct notifier_block vrnic_bus_notifier = {
	.notifier_call = vrnic_bus_notify,
};

int vrnic_bus_init(void)
{
	return bus_register_notifier(&pci_bus_type, &vrnic_bus_notifier);
}

/* All mappings are gone. */
void vrnic_bus_fini(void)
{
	struct vrnic_aperture *ap, *next;

	bus_unregister_notifier(&pci_bus_type, &vrnic_bus_notifier);
	cancel_delayed_work_sync(&vrnic_idle_work);
	list_for_each_entry_safe(ap, next, &vrnic_apertures, link)
		vrnic_free_aperture(ap);
}

/**
 * vrnic_bus_open_phys() - make memory reachable
 * @view: where to note what was opened
 * @phys: physical address of it, in one BAR or in RAM
 *
 * May sleep and allocate, unlike the accesses later on.
 *
 * Return: 0; -EFAULT for what is neither; -ENOMEM; -ENOSPC for more BARs than one mapping may
 * touch.
 */
int vrnic_bus_open_phys(struct vrnic_bus_view *view, phys_addr_t phys)
{
	struct vrnic_aperture *ap;

	if (vrnic_find_opened(view, phys) || vrnic_bus_is_ram(phys))
		return 0;
	if (view->nr == VRNIC_MAX_APERTURES)
		return -ENOSPC;

	ap = vrnic_get_aperture(phys);
	if (IS_ERR(ap))
		return PTR_ERR(ap);
	view->aperture[view->nr++] = ap;
	return 0;
}

/**
 * vrnic_bus_open() - make the memory behind an address reachable
 * @view: where to note what was opened
 * @dev: the device that does the DMA
 * @addr: DMA address of a segment, which lies in one BAR or in RAM
 *
 * Return: 0; -EFAULT for an address that leads nowhere, or as of vrnic_bus_open_phys().
 */
int vrnic_bus_open(struct vrnic_bus_view *view, struct device *dev, dma_addr_t addr)
{
	phys_addr_t phys = vrnic_bus_to_phys(dev, addr);

	return phys ? vrnic_bus_open_phys(view, phys) : -EFAULT;
}

/**
 * vrnic_bus_adopt() - add what another view has
 * @view: the view of a mapping that is in use, nobody uses it meanwhile
 * @more: the other one, from which is taken what @view has not
 *
 * Return: 0, or -ENOSPC for more BARs than one mapping may touch.
 */
int vrnic_bus_adopt(struct vrnic_bus_view *view, struct vrnic_bus_view *more)
{
	unsigned int i, left = 0;
	int ret = 0;

	for (i = 0; i < more->nr; i++) {
		if (vrnic_find_opened(view, more->aperture[i]->start)) {
			more->aperture[left++] = more->aperture[i];
		} else if (view->nr == VRNIC_MAX_APERTURES) {
			more->aperture[left++] = more->aperture[i];
			ret = -ENOSPC;
		} else {
			view->aperture[view->nr++] = more->aperture[i];
		}
	}
	more->nr = left;
	return ret;
}

/**
 * vrnic_bus_close() - undo all vrnic_bus_open()
 * @view: what was opened
 */
void vrnic_bus_close(struct vrnic_bus_view *view)
{
	while (view->nr)
		vrnic_put_aperture(view->aperture[--view->nr]);
}

/* The pages of @seg from @pos up to @end are neighbours. */
static void vrnic_learn_linear(struct vrnic_segment *seg, struct device *dev, u64 pos,
			       phys_addr_t phys, u64 end)
{
	u64 linear = READ_ONCE(seg->linear);

	if (pos > linear || end <= linear)
		return;
	if (pos && pos == linear && vrnic_bus_to_phys(dev, seg->addr + pos - 1) != phys - 1)
		return;
	WRITE_ONCE(seg->linear, end);
}

/*
 * How many bytes from @pos on are also neighbours physically. An IOMMU makes one run of
 * scattered pages: each of them is asked for, once. As a segment is mapped and unmapped
 * as a whole, the first and the last one tell after that whether all are in place.
 */
static u64 vrnic_contiguous(struct vrnic_segment *seg, struct device *dev, u64 pos,
			    phys_addr_t phys, u64 len)
{
	dma_addr_t addr = seg->addr + pos;
	u64 run = PAGE_SIZE - offset_in_page(addr);

	if (run >= len || !vrnic_bus_is_translated(dev))
		return len;
	if (pos + len <= READ_ONCE(seg->linear) &&
	    vrnic_bus_to_phys(dev, addr + len - 1) == phys + len - 1)
		return len;

	while (run < len && vrnic_bus_to_phys(dev, addr + run) == phys + run)
		run += PAGE_SIZE;
	vrnic_learn_linear(seg, dev, pos, phys, pos + run);
	return min(run, len);
}

/* Asking for the same page again, as small requests do, is cheap. */
static bool vrnic_is_known_ram(struct vrnic_bus_view *view, phys_addr_t phys)
{
	unsigned long pfn = PHYS_PFN(phys);

	if (READ_ONCE(view->ram_pfn) == pfn)
		return true;
	if (!vrnic_bus_is_ram(phys))
		return false;
	WRITE_ONCE(view->ram_pfn, pfn);
	return true;
}

/**
 * vrnic_bus_resolve() - find the bytes behind a DMA address, now
 * @view: what was opened for the mapping
 * @dev: the device that does the DMA
 * @seg: the segment that holds the address
 * @pos: where in it
 * @len: bytes wanted, within the segment
 * @map: out: where they are for the CPU
 *
 * Return: number of bytes that follow each other there, 0 for a fault.
 */
u64 vrnic_bus_resolve(struct vrnic_bus_view *view, struct device *dev,
		      struct vrnic_segment *seg, u64 pos, u64 len, struct iosys_map *map)
{
	phys_addr_t phys = vrnic_bus_to_phys(dev, seg->addr + pos);
	const struct vrnic_aperture *ap;

	if (!phys)
		return 0;

	len = vrnic_contiguous(seg, dev, pos, phys, len);
	ap = vrnic_find_opened(view, phys);
	if (ap) {
		iosys_map_set_vaddr_iomem(map, ap->io + (phys - ap->start));
		return min(len, ap->start + ap->size - phys);
	}
	if (!vrnic_is_known_ram(view, phys))
		return 0;
	iosys_map_set_vaddr(map, phys_to_virt(phys));
	return len;
}
