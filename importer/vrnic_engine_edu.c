// SPDX-License-Identifier: GPL-2.0
/*
 * The hardware engine: the DMA engine of QEMU's edu function.
 *
 * It moves bytes between memory and a small buffer of its own, so each copy is two
 * transfers. It masters the bus with the addresses that it is given, right or
 * wrong; what becomes of them is up to the bus and the IOMMU.
 *
 * The registers are those of docs/specs/edu in QEMU's source.
 */

#include <linux/cleanup.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "vrnic_bus.h"
#include "vrnic_edu.h"
#include "vrnic_engine.h"

#define EDU_IRQ_STATUS		0x24
#define EDU_IRQ_ACK		0x64
#define EDU_DMA_SRC		0x80
#define EDU_DMA_DST		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_CMD		0x98
#define EDU_DMA_START		BIT(0)
#define EDU_DMA_TO_MEMORY	BIT(1)
#define EDU_DMA_IRQ		BIT(2)
#define EDU_DMA_DONE		0x100
#define EDU_BUFFER		0x40000

/* QEMU before 8.2.1 aborts on a transfer of the whole buffer. */
#define EDU_MAX_TRANSFER	4088

/* What the function addresses unless its dma_mask property says otherwise. */
#define EDU_NARROW_MASK		DMA_BIT_MASK(28)

/* A transfer takes a tenth of a second. */
#define EDU_TIMEOUT		(5 * HZ)

/* To find the mask: bytes to read, and mappings that fill what the usual one reaches. */
#define EDU_PROBE_BYTES		64
#define EDU_PROBE_SIZE		SZ_2M
#define EDU_PROBE_MAPS		((EDU_NARROW_MASK + 1) / EDU_PROBE_SIZE + 1)

/**
 * struct vrnic_edu - the engine of one function
 */
struct vrnic_edu {
	/** @engine: The engine as others know it. */
	struct vrnic_dma_engine engine;
	/** @pdev: The function. */
	struct pci_dev *pdev;
	/** @regs: BAR 0. */
	void __iomem *regs;
	/** @lock: Held by who uses the engine; before any region. */
	struct mutex lock;
	/** @done: A transfer has ended. */
	struct completion done;
	/** @broken: A transfer did not end; the function is off the bus since. */
	bool broken;
	/** @mask: Addresses that it reaches; 0 until somebody wants to use it. */
	u64 mask;
	/** @bounce: Memory that it reaches in any case. */
	void *bounce;
	/** @bounce_addr: DMA address of @bounce. */
	dma_addr_t bounce_addr;
};

static struct vrnic_edu *to_vrnic_edu(struct vrnic_dma_engine *engine)
{
	return container_of(engine, struct vrnic_edu, engine);
}

static irqreturn_t vrnic_edu_irq(int irq, void *data)
{
	struct vrnic_edu *edu = data;
	u32 status = readl(edu->regs + EDU_IRQ_STATUS);

	if (!status || PCI_POSSIBLE_ERROR(status))
		return IRQ_NONE;
	writel(status, edu->regs + EDU_IRQ_ACK);
	if (status & EDU_DMA_DONE)
		complete(&edu->done);
	return IRQ_HANDLED;
}

static int vrnic_edu_transfer(struct vrnic_edu *edu, dma_addr_t addr, u32 n, bool to_memory)
{
	lockdep_assert_held(&edu->lock);

	if (edu->broken)
		return -EIO;

	reinit_completion(&edu->done);
	writeq(to_memory ? EDU_BUFFER : addr, edu->regs + EDU_DMA_SRC);
	writeq(to_memory ? addr : EDU_BUFFER, edu->regs + EDU_DMA_DST);
	writeq(n, edu->regs + EDU_DMA_COUNT);
	writeq(EDU_DMA_START | EDU_DMA_IRQ | (to_memory ? EDU_DMA_TO_MEMORY : 0),
	       edu->regs + EDU_DMA_CMD);
	if (wait_for_completion_timeout(&edu->done, EDU_TIMEOUT))
		return 0;

	/* Whatever it still has in hand must not reach memory once this returns. */
	edu->broken = true;
	pci_clear_master(edu->pdev);
	pci_err(edu->pdev, "a DMA transfer did not end; the engine is not used any more\n");
	return -EIO;
}

/* By the CPU, to or from the memory that the engine does reach. */
static int vrnic_edu_bounce(struct vrnic_edu *edu, const struct vrnic_place *place,
			    u64 done, u32 n, bool to_memory, struct vrnic_dma_fault *fault)
{
	u8 *bounce = edu->bounce;
	struct iosys_map map;
	u64 len;

	for (; n; n -= len, done += len, bounce += len) {
		len = vrnic_resolve(place, done, n, to_memory, &map, fault);
		if (!len)
			return -EFAULT;
		if (to_memory)
			iosys_map_memcpy_to(&map, 0, bounce, len);
		else
			iosys_map_memcpy_from(bounce, &map, 0, len);
	}
	return 0;
}

static dma_addr_t vrnic_edu_addr(const struct vrnic_place *place, u64 done, u32 *n)
{
	struct vrnic_segment run;
	const struct vrnic_segment *seg =
		vrnic_find_segment(place->map, place->pos + done, *n, &run);
	u64 within = place->pos + done - seg->start;

	*n = min_t(u64, *n, seg->len - within);
	return seg->addr + within;
}

static int vrnic_edu_move(struct vrnic_edu *edu, const struct vrnic_place *place, u64 done,
			  dma_addr_t addr, u32 n, bool to_memory, struct vrnic_dma_fault *fault)
{
	int ret;

	/* Addresses of another device lead elsewhere from here. */
	if (place->map->dev == &edu->pdev->dev && addr + n - 1 <= edu->mask)
		return vrnic_edu_transfer(edu, addr, n, to_memory);

	if (to_memory) {
		ret = vrnic_edu_transfer(edu, edu->bounce_addr, n, true);
		return ret ? ret : vrnic_edu_bounce(edu, place, done, n, true, fault);
	}
	ret = vrnic_edu_bounce(edu, place, done, n, false, fault);
	return ret ? ret : vrnic_edu_transfer(edu, edu->bounce_addr, n, false);
}

static int vrnic_edu_copy(struct vrnic_dma_engine *engine, const struct vrnic_place *dst,
			  const struct vrnic_place *src, u64 len,
			  struct vrnic_dma_fault *fault)
{
	struct vrnic_edu *edu = to_vrnic_edu(engine);
	dma_addr_t from, to;
	u64 done;
	int ret;
	u32 n;

	for (done = 0; done < len; done += n) {
		n = len - done;
		from = vrnic_edu_addr(src, done, &n);
		to = vrnic_edu_addr(dst, done, &n);
		ret = vrnic_edu_move(edu, src, done, from, n, false, fault);
		if (!ret)
			ret = vrnic_edu_move(edu, dst, done, to, n, true, fault);
		if (ret)
			return ret;
	}
	return 0;
}

/* Bytes from the given address, through the engine, arrive in the bounce memory. */
static bool vrnic_edu_reaches(struct vrnic_edu *edu, const u8 *bytes, dma_addr_t addr)
{
	int ret;

	memset(edu->bounce, 0, EDU_PROBE_BYTES);
	ret = vrnic_edu_transfer(edu, addr, EDU_PROBE_BYTES, false);
	if (!ret)
		ret = vrnic_edu_transfer(edu, edu->bounce_addr, EDU_PROBE_BYTES, true);
	return !ret && !memcmp(edu->bounce, bytes, EDU_PROBE_BYTES);
}

/*
 * Of each CPU, as such memory is given out at boot, from the top downwards. For all
 * functions: one at a time finds out what it reaches.
 */
static DEFINE_PER_CPU_ALIGNED(u8 [EDU_PROBE_BYTES], vrnic_edu_bytes);
static DEFINE_MUTEX(vrnic_edu_bytes_lock);

/* One that reads right beyond the usual mask was given all bits. */
static void vrnic_edu_test(struct vrnic_edu *edu, u8 *bytes, size_t size)
{
	struct device *dev = &edu->pdev->dev;
	dma_addr_t addr;

	get_random_bytes(bytes, EDU_PROBE_BYTES);
	addr = dma_map_single(dev, bytes, size, DMA_TO_DEVICE);
	if (dma_mapping_error(dev, addr))
		return;
	if (addr > EDU_NARROW_MASK && vrnic_edu_reaches(edu, bytes, addr))
		edu->mask = DMA_BIT_MASK(64);
	dma_unmap_single(dev, addr, size, DMA_TO_DEVICE);
}

/*
 * An IOMMU's addresses are given out from the last one downwards, and begin anew at the
 * top when those below are used up: @other is mapped until then, and stays so for the
 * test. An address that is cut off leads there.
 */
static void vrnic_edu_test_translated(struct vrnic_edu *edu, u8 *bytes, u8 *other,
				      dma_addr_t *low)
{
	struct device *dev = &edu->pdev->dev;
	unsigned int nr;

	for (nr = 0; nr < EDU_PROBE_MAPS; nr++) {
		low[nr] = dma_map_single(dev, other, EDU_PROBE_SIZE, DMA_TO_DEVICE);
		if (dma_mapping_error(dev, low[nr]))
			break;
		if (low[nr] <= EDU_NARROW_MASK)
			continue;
		dma_unmap_single(dev, low[nr], EDU_PROBE_SIZE, DMA_TO_DEVICE);
		vrnic_edu_test(edu, bytes, EDU_PROBE_SIZE);
		break;
	}
	while (nr--)
		dma_unmap_single(dev, low[nr], EDU_PROBE_SIZE, DMA_TO_DEVICE);
}

/* The function does not tell its mask, and cuts off the address bits above it. */
static void vrnic_edu_probe_mask(struct vrnic_edu *edu)
{
	u8 *bytes = per_cpu_ptr(vrnic_edu_bytes, cpumask_first(cpu_possible_mask));
	dma_addr_t *low;

	edu->mask = EDU_NARROW_MASK;
	if (!vrnic_bus_is_translated(&edu->pdev->dev)) {
		guard(mutex)(&vrnic_edu_bytes_lock);
		if (virt_addr_valid(bytes))
			vrnic_edu_test(edu, bytes, EDU_PROBE_BYTES);
		return;
	}

	low = kmalloc_array(EDU_PROBE_MAPS, sizeof(*low), GFP_KERNEL);
	bytes = alloc_pages_exact(2 * EDU_PROBE_SIZE, GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN);
	if (low && bytes)
		vrnic_edu_test_translated(edu, bytes, bytes + EDU_PROBE_SIZE, low);
	if (bytes)
		free_pages_exact(bytes, 2 * EDU_PROBE_SIZE);
	kfree(low);
}

/* Whoever asks for the hardware first finds out what it reaches. */
static int vrnic_edu_open(struct vrnic_dma_engine *engine)
{
	struct vrnic_edu *edu = to_vrnic_edu(engine);
	int ret;

	ret = mutex_lock_interruptible(&edu->lock);
	if (ret)
		return ret;
	if (!edu->mask)
		vrnic_edu_probe_mask(edu);
	ret = edu->broken ? -EIO : 0;
	mutex_unlock(&edu->lock);
	return ret;
}

static void vrnic_edu_get(struct vrnic_dma_engine *engine)
{
	mutex_lock(&to_vrnic_edu(engine)->lock);
}

static bool vrnic_edu_try_get(struct vrnic_dma_engine *engine)
{
	return mutex_trylock(&to_vrnic_edu(engine)->lock);
}

static void vrnic_edu_put(struct vrnic_dma_engine *engine)
{
	mutex_unlock(&to_vrnic_edu(engine)->lock);
}

/* No mask when no queue has used the engine. */
static void vrnic_edu_show(struct vrnic_dma_engine *engine, struct seq_file *m)
{
	seq_printf(m, "edu mask=%#llx\n", to_vrnic_edu(engine)->mask);
}

static const struct vrnic_engine_ops vrnic_edu_ops = {
	.name = "edu",
	.max_chunk = EDU_MAX_TRANSFER,
	.open = vrnic_edu_open,
	.get = vrnic_edu_get,
	.try_get = vrnic_edu_try_get,
	.put = vrnic_edu_put,
	.show = vrnic_edu_show,
	.copy = vrnic_edu_copy,
};

/**
 * vrnic_edu_create() - bring up the engine of a function
 * @pdev: the function, enabled, allowed to master the bus
 *
 * All that it takes is given back with the driver's other resources.
 *
 * Return: the engine, or an error pointer.
 */
struct vrnic_edu *vrnic_edu_create(struct pci_dev *pdev)
{
	struct vrnic_edu *edu;
	int ret;

	edu = devm_kzalloc(&pdev->dev, sizeof(*edu), GFP_KERNEL);
	if (!edu)
		return ERR_PTR(-ENOMEM);
	edu->engine.ops = &vrnic_edu_ops;
	edu->pdev = pdev;
	init_completion(&edu->done);
	ret = devm_mutex_init(&pdev->dev, &edu->lock);
	if (ret)
		return ERR_PTR(ret);

	edu->regs = pcim_iomap_region(pdev, 0, "vrnic");
	if (IS_ERR(edu->regs))
		return ERR_CAST(edu->regs);

	ret = dma_set_coherent_mask(&pdev->dev, EDU_NARROW_MASK);
	if (ret)
		return ERR_PTR(ret);
	edu->bounce = dmam_alloc_coherent(&pdev->dev, PAGE_SIZE, &edu->bounce_addr, GFP_KERNEL);
	if (!edu->bounce)
		return ERR_PTR(-ENOMEM);
	/* Nothing else has to be where the engine reaches it. */
	ret = dma_set_coherent_mask(&pdev->dev, dma_get_mask(&pdev->dev));
	if (ret)
		return ERR_PTR(ret);

	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSI | PCI_IRQ_INTX);
	if (ret < 0)
		return ERR_PTR(ret);
	ret = devm_request_irq(&pdev->dev, pci_irq_vector(pdev, 0), vrnic_edu_irq, IRQF_SHARED,
			       "vrnic", edu);
	if (ret)
		return ERR_PTR(ret);

	return edu;
}

/**
 * vrnic_edu_engine() - the engine as a device's queues use it
 * @edu: the engine
 */
struct vrnic_dma_engine *vrnic_edu_engine(struct vrnic_edu *edu)
{
	return &edu->engine;
}

/**
 * vrnic_edu_reset_prepare() - the function is about to be reset
 * @edu: the engine
 *
 * Returns when no transfer is under way; none starts before vrnic_edu_reset_done().
 */
void vrnic_edu_reset_prepare(struct vrnic_edu *edu)
{
	mutex_lock(&edu->lock);
}

/**
 * vrnic_edu_reset_done() - the function works again, also if it did not before
 * @edu: the engine
 */
void vrnic_edu_reset_done(struct vrnic_edu *edu)
{
	if (edu->broken)
		pci_set_master(edu->pdev);
	edu->broken = false;
	mutex_unlock(&edu->lock);
}
