// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own memcpy between a dma-buf and ordinary pages, timed: what the
 * benchmark compares moves and transfers with.
 */

#include <linux/dma-buf.h>
#include <linux/iosys-map.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "dma_buf.h"
#include "movable_bench.h"

/* Blocks as large as the page allocator has them, made once. */
#define BENCH_ORDER	10
#define BENCH_BLOCK	(PAGE_SIZE << BENCH_ORDER)
#define BENCH_BLOCKS	64
/* Entries that a TLB is to have: more than the pages of most copies. */
#define BENCH_TLB_PAGES	16384

static struct page *bench_block[BENCH_BLOCKS];

static u8 *bench_page(unsigned long i)
{
	return (u8 *)page_address(bench_block[i >> BENCH_ORDER]) +
	       (i % (1 << BENCH_ORDER)) * PAGE_SIZE;
}

static void bench_copy(struct iosys_map *map, u64 size, bool from)
{
	u64 offset, len;
	void *block;

	for (offset = 0; offset < size; offset += len) {
		len = min_t(u64, size - offset, BENCH_BLOCK);
		block = page_address(bench_block[offset / BENCH_BLOCK]);
		if (from)
			iosys_map_memcpy_from(block, map, offset, len);
		else
			iosys_map_memcpy_to(map, offset, block, len);
		cond_resched();
	}
}

static int bench_memcpy(struct movable_bench_memcpy *arg)
{
	struct dma_buf *dmabuf = dma_buf_get(arg->fd);
	struct iosys_map map;
	u64 start;
	int ret;

	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = -EINVAL;
	if (arg->size > dmabuf->size || arg->size > BENCH_BLOCKS * BENCH_BLOCK)
		goto out;
	ret = dma_buf_vmap_unlocked(dmabuf, &map);
	if (ret)
		goto out;
	start = ktime_get_ns();
	bench_copy(&map, arg->size, arg->from);
	arg->ns = ktime_get_ns() - start;
	dma_buf_vunmap_unlocked(dmabuf, &map);
out:
	dma_buf_put(dmabuf);
	return ret;
}

/* QEMU doubles a TLB that is found full when it is flushed, and forgets after 0.1 s. */
static long bench_grow_tlb(void *arg)
{
	unsigned long pages, i, cr3;

	for (pages = 256; pages <= BENCH_TLB_PAGES; pages *= 2) {
		for (i = 0; i < pages; i++)
			READ_ONCE(*bench_page(i));
		asm volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r" (cr3) : : "memory");
	}
	return 0;
}

static int bench_grow_tlbs(void)
{
	unsigned int cpu;
	long ret = 0;

	for_each_online_cpu(cpu)
		ret = ret ?: work_on_cpu(cpu, bench_grow_tlb, NULL);
	return ret;
}

static long bench_ioctl(struct file *file, unsigned int cmd, unsigned long uarg)
{
	struct movable_bench_memcpy arg;
	int ret;

	if (cmd == MOVABLE_BENCH_GROW_TLBS)
		return bench_grow_tlbs();
	if (cmd != MOVABLE_BENCH_MEMCPY)
		return -ENOTTY;
	if (copy_from_user(&arg, (void __user *)uarg, sizeof(arg)))
		return -EFAULT;
	ret = bench_memcpy(&arg);
	if (!ret && copy_to_user((void __user *)uarg, &arg, sizeof(arg)))
		ret = -EFAULT;
	return ret;
}

static const struct file_operations bench_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = bench_ioctl,
};

static struct miscdevice bench_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "movable-bench",
	.fops = &bench_fops,
};

static void bench_free(void)
{
	unsigned int i;

	for (i = 0; i < BENCH_BLOCKS && bench_block[i]; i++)
		__free_pages(bench_block[i], BENCH_ORDER);
}

static int __init bench_init(void)
{
	unsigned int i;
	int ret;

	for (i = 0; i < BENCH_BLOCKS; i++) {
		bench_block[i] = alloc_pages(GFP_KERNEL | __GFP_NOWARN, BENCH_ORDER);
		if (!bench_block[i]) {
			bench_free();
			return -ENOMEM;
		}
	}
	ret = misc_register(&bench_misc);
	if (ret)
		bench_free();
	return ret;
}

static void __exit bench_exit(void)
{
	misc_deregister(&bench_misc);
	bench_free();
}

module_init(bench_init);
module_exit(bench_exit);

COMPAT_IMPORT_NS_DMA_BUF;
MODULE_AUTHOR("movable-dmabuf");
MODULE_DESCRIPTION("The kernel's memcpy, timed");
MODULE_LICENSE("GPL");
