// SPDX-License-Identifier: MIT
/* Queues that are shared with the kernel: uapi/vrnic_verbs_abi.h tells how. */
#include <errno.h>
#include <sys/mman.h>

#include "vrnic.h"

/* Another place for a queue whose counters go on. */
int ring_remap(struct vrnic_ring *ring, int fd, const struct vrnic_verbs_ring *where)
{
	void *map = mmap(NULL, where->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, where->offset);

	if (map == MAP_FAILED)
		return errno;
	ring->head = map;
	ring->size = where->size;
	ring->slots = where->slots;
	ring->slot_size = where->slot_size;
	return 0;
}

int ring_map(struct vrnic_ring *ring, int fd, const struct vrnic_verbs_ring *where)
{
	int ret = ring_remap(ring, fd, where);

	if (ret)
		return ret;
	ring->pos = 0;
	pthread_spin_init(&ring->lock, PTHREAD_PROCESS_PRIVATE);
	return 0;
}

void ring_unmap(struct vrnic_ring *ring)
{
	if (!ring->head)
		return;
	munmap(ring->head, ring->size);
	pthread_spin_destroy(&ring->lock);
	ring->head = NULL;
}

/* Whether there is no room for one more before @pos. */
bool ring_is_full(const struct vrnic_ring *ring, uint32_t pos)
{
	return pos - __atomic_load_n(&ring->head->consumer, __ATOMIC_ACQUIRE) >= ring->slots;
}

/*
 * The same for a send queue: to a program a request is there until its completion has been
 * taken, so that a completion queue of the same size is never overrun.
 */
bool sq_is_full(const struct vrnic_qp *qp, uint32_t pos)
{
	return pos - __atomic_load_n(&qp->sent, __ATOMIC_ACQUIRE) >= qp->sq.slots ||
	       ring_is_full(&qp->sq, pos);
}

/* Hands all slots before @pos over. Returns whether the kernel wants to be told. */
bool ring_publish(struct vrnic_ring *ring, uint32_t pos)
{
	ring->pos = pos;
	__atomic_store_n(&ring->head->producer, pos, __ATOMIC_RELEASE);
	/* Either we see the kernel's flag, or it sees our slots. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&ring->head->flags, __ATOMIC_RELAXED) & VRNIC_VERBS_RING_CALL;
}

/* The kernel has emptied it. */
void ring_reset(struct vrnic_ring *ring)
{
	if (!ring->head)
		return;
	pthread_spin_lock(&ring->lock);
	ring->pos = 0;
	pthread_spin_unlock(&ring->lock);
}
