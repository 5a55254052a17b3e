// SPDX-License-Identifier: GPL-2.0
/*
 * Queues in memory that is shared with their client: one side writes slots and then the
 * producer's counter, the other takes them and then moves the consumer's.
 *
 * Nothing that is read there is believed: a counter says how many slots may be looked at,
 * at most all of them, and of a slot there is one copy, which is checked.
 */

#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "vrnic_verbs.h"

static void vrnic_ib_ring_free(struct vrnic_ib_ring *ring)
{
	if (ring->head)
		vunmap(ring->head);
	while (ring->nr_pages)
		__free_page(ring->pages[--ring->nr_pages]);
	kvfree(ring->pages);
	kfree(ring);
}

/* Pages of its own, on its client's account. */
static struct vrnic_ib_ring *vrnic_ib_ring_alloc(unsigned int nr_pages)
{
	struct vrnic_ib_ring *ring;

	ring = kzalloc(sizeof(*ring), GFP_KERNEL_ACCOUNT);
	if (!ring)
		return NULL;
	ring->pages = kvcalloc(nr_pages, sizeof(*ring->pages), GFP_KERNEL_ACCOUNT);
	if (!ring->pages)
		goto err_free;
	while (ring->nr_pages < nr_pages) {
		ring->pages[ring->nr_pages] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!ring->pages[ring->nr_pages])
			goto err_free;
		ring->nr_pages++;
	}
	ring->head = vmap(ring->pages, nr_pages, VM_MAP, PAGE_KERNEL);
	if (!ring->head)
		goto err_free;
	return ring;

err_free:
	vrnic_ib_ring_free(ring);
	return NULL;
}

/**
 * vrnic_ib_ring_create() - make a queue that its client can map
 * @udata: of the client's call; NULL for a queue of the kernel
 * @slots: number of slots, rounded up to a power of two
 * @slot_size: bytes of each
 * @where: out: what to tell the client
 *
 * Return: the queue, or NULL when there is no memory.
 */
struct vrnic_ib_ring *vrnic_ib_ring_create(struct ib_udata *udata, u32 slots, u32 slot_size,
					   struct vrnic_verbs_ring *where)
{
	struct vrnic_ib_ring *ring;
	struct ib_ucontext *uc;
	size_t size;

	slots = roundup_pow_of_two(slots);
	size = PAGE_ALIGN(sizeof(*ring->head) + (size_t)slots * slot_size);
	ring = vrnic_ib_ring_alloc(size >> PAGE_SHIFT);
	if (!ring)
		return NULL;
	ring->slots = slots;
	ring->slot_size = slot_size;
	if (!udata)
		return ring;
	uc = rdma_udata_to_uverbs_attr_bundle(udata)->context;
	if (rdma_user_mmap_entry_insert(uc, &ring->entry, size)) {
		vrnic_ib_ring_free(ring);
		return NULL;
	}
	*where = (struct vrnic_verbs_ring) {
		.offset = rdma_user_mmap_get_offset(&ring->entry),
		.size = size,
		.slots = slots,
		.slot_size = slot_size,
	};
	return ring;
}

/**
 * vrnic_ib_ring_destroy() - let go of a queue
 * @ring: the queue, or NULL
 *
 * The client's mapping keeps the pages for as long as it lives.
 */
void vrnic_ib_ring_destroy(struct vrnic_ib_ring *ring)
{
	if (!ring)
		return;
	if (ring->entry.ucontext)
		rdma_user_mmap_entry_remove(&ring->entry);
	else
		vrnic_ib_ring_free(ring);
}

static void *vrnic_ib_ring_slot(struct vrnic_ib_ring *ring)
{
	return (void *)(ring->head + 1) +
	       (size_t)(ring->pos & (ring->slots - 1)) * ring->slot_size;
}

/**
 * vrnic_ib_ring_ahead() - how many requests there are
 * @ring: a queue that the client fills
 *
 * Return: their number; more than there are slots when the counter makes no sense.
 */
u32 vrnic_ib_ring_ahead(struct vrnic_ib_ring *ring)
{
	/* Pairs with the client's release: the slots that it tells of are there. */
	return smp_load_acquire(&ring->head->producer) - ring->pos;
}

/**
 * vrnic_ib_ring_peek() - copy the first request
 * @ring: a queue that has one
 * @copy: where to; the size of a slot
 */
void vrnic_ib_ring_peek(struct vrnic_ib_ring *ring, void *copy)
{
	memcpy(copy, vrnic_ib_ring_slot(ring), ring->slot_size);
	/* What is checked is what is used. */
	barrier();
}

/**
 * vrnic_ib_ring_consume() - the first request is done with
 * @ring: the queue
 */
void vrnic_ib_ring_consume(struct vrnic_ib_ring *ring)
{
	ring->pos++;
	/* Pairs with the client's acquire: it may write to the slot from now on. */
	smp_store_release(&ring->head->consumer, ring->pos);
}

/**
 * vrnic_ib_ring_call() - say whether the client has to call after it has posted
 * @ring: the queue
 * @call: it has; look once more at the queue after that
 */
void vrnic_ib_ring_call(struct vrnic_ib_ring *ring, bool call)
{
	WRITE_ONCE(ring->head->flags, call ? VRNIC_VERBS_RING_CALL : 0);
	/* Either the client sees the flag, or the look that follows the request. */
	smp_mb();
}

/**
 * vrnic_ib_ring_reset() - empty a queue
 * @ring: a queue that the client fills, or NULL
 * @call: the client has to call after it has posted
 */
void vrnic_ib_ring_reset(struct vrnic_ib_ring *ring, bool call)
{
	if (!ring)
		return;
	ring->pos = 0;
	WRITE_ONCE(ring->head->producer, 0);
	WRITE_ONCE(ring->head->consumer, 0);
	vrnic_ib_ring_call(ring, call);
}

/**
 * vrnic_ib_ring_next() - where the kernel's next request goes
 * @ring: a queue of the kernel, which one at a time fills
 *
 * Return: the slot, or NULL when there is no room.
 */
void *vrnic_ib_ring_next(struct vrnic_ib_ring *ring)
{
	u32 pos = ring->head->producer;

	/* Pairs with the release of who has taken a copy. */
	if (pos - smp_load_acquire(&ring->head->consumer) >= ring->slots)
		return NULL;
	return (void *)(ring->head + 1) + (size_t)(pos & (ring->slots - 1)) * ring->slot_size;
}

/**
 * vrnic_ib_ring_publish() - hand the request over
 * @ring: a queue whose next slot has been filled
 */
void vrnic_ib_ring_publish(struct vrnic_ib_ring *ring)
{
	/* Pairs with the acquire of who looks for requests. */
	smp_store_release(&ring->head->producer, ring->head->producer + 1);
}

int vrnic_ib_mmap(struct ib_ucontext *ibuc, struct vm_area_struct *vma)
{
	struct rdma_user_mmap_entry *entry = rdma_user_mmap_entry_get(ibuc, vma);
	struct vrnic_ib_ring *ring;
	int ret;

	if (!entry)
		return -EINVAL;
	ring = container_of(entry, struct vrnic_ib_ring, entry);
	vm_flags_set(vma, VM_DONTEXPAND);
	ret = vm_map_pages_zero(vma, ring->pages, ring->nr_pages);
	rdma_user_mmap_entry_put(entry);
	return ret;
}

void vrnic_ib_mmap_free(struct rdma_user_mmap_entry *entry)
{
	vrnic_ib_ring_free(container_of(entry, struct vrnic_ib_ring, entry));
}
