// SPDX-License-Identifier: MIT
/**
 * TEST: vrnic queue
 * Category: Core
 * Description: Queues, completions and operations of vrnic.
 *
 * SUBTEST: order
 * Description: Completions come in the order of the requests, also over batches.
 * SUBTEST: batch-of-64
 * Description: 64 requests are one call to post and one to reap.
 * SUBTEST: flush-and-reset
 * Description: After an error the queue flushes, and works again after a reset.
 * SUBTEST: room
 * Description: A batch that does not fit is checked, and none of it queued; room comes
 *	back with the completions that are taken.
 * SUBTEST: posters
 * Description: Batches of several threads do not get mixed up.
 * SUBTEST: timeout
 * Description: A poll without completions returns none, after its time.
 * SUBTEST: eventfd-and-poll
 * Description: Completions signal an eventfd, and poll(2) of the file.
 * SUBTEST: many-queues
 * Description: Queues run side by side, up to the limit.
 * SUBTEST: destroy-busy
 * Description: A queue can be destroyed with work in it.
 * SUBTEST: destroy-polled
 * Description: Who polls a queue is told of its end before its work has ended.
 * SUBTEST: fetch-add
 * Description: Adds atomically, in both placements, and returns the old value.
 * SUBTEST: compare-swap
 * Description: Swaps only what it was told to expect.
 * SUBTEST: atomic-alignment
 * Description: Atomics need eight aligned bytes.
 * SUBTEST: fill
 * Description: Fills exactly its range with the pattern.
 * SUBTEST: crc32c
 * Description: The checksum is the one of the bytes, in any pieces.
 * SUBTEST: modes
 * Description: Every mode of a region transfers the same bytes.
 * SUBTEST: prefetch
 * Description: The advise call maps ahead, within the rights of the region.
 */

#include <poll.h>
#include <sys/eventfd.h>

#include "movable.h"

IGT_TEST_DESCRIPTION("Queues, completions and operations of vrnic.");

static int fd = -1, nic = -1;

static struct vrnic_wr simple_wr(struct vrnic_sge *sge, const struct vrnic_reg_mr *mem,
				 uint64_t id, uint32_t len)
{
	*sge = (struct vrnic_sge){ .length = len, .lkey = mem->lkey };
	return (struct vrnic_wr) {
		.wr_id = id, .opcode = VRNIC_OP_WRITE, .rkey = mem->rkey,
		.remote_addr = KIB(32), .num_sge = 1, .sge = (uintptr_t)sge,
	};
}

static void test_batches(uint32_t batch, uint32_t batches)
{
	uint8_t *local = alloc_pages(KIB(64));
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, KIB(64));
	uint32_t queue = vrnic_create_queue(nic, batch * batches), i, b;
	struct vrnic_wr *wrs = calloc(batch, sizeof(*wrs));
	struct vrnic_wc *wcs = calloc(batch * batches, sizeof(*wcs));
	struct vrnic_sge sge;
	int done = 0, n;

	for (b = 0; b < batches; b++) {
		for (i = 0; i < batch; i++)
			wrs[i] = simple_wr(&sge, &mem, b * batch + i, 64);
		igt_assert_eq(__vrnic_post(nic, queue, wrs, batch), 0);
	}
	igt_assert_eq(__vrnic_post(nic, queue, wrs, 1), -ENOSPC);
	while (done < (int)(batch * batches)) {
		n = vrnic_poll(nic, queue, wcs + done, batch * batches - done, 10000000000LL);
		igt_assert_lt(0, n);
		done += n;
	}
	for (i = 0; i < batch * batches; i++) {
		igt_assert_eq_u64(wcs[i].wr_id, i);
		igt_assert_eq(wcs[i].status, 0);
	}
	igt_assert_eq(__vrnic_post(nic, queue, wrs, batch), 0);
	free(wrs);
	free(wcs);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, KIB(64));
}

static void test_room(void)
{
	const uint32_t depth = 5;
	uint8_t *local = alloc_pages(KIB(64));
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, KIB(64));
	uint32_t queue = vrnic_create_queue(nic, depth), round, i, n;
	struct vrnic_wr wrs[6];
	struct vrnic_wc wcs[6];
	struct vrnic_sge sge[6];

	/* Often enough for each place of the ring to be the first one. */
	for (round = 0; round < 20; round++) {
		pattern_fill(local, KIB(32), round);
		memset(local + KIB(32), 0, KIB(32));
		for (i = 0; i < 6; i++) {
			wrs[i] = simple_wr(&sge[i], &mem, 10 * round + i, 8);
			wrs[i].remote_addr = KIB(32) + 8 * i;
			sge[i].addr = 8 * i;
		}
		igt_assert_eq(__vrnic_post(nic, queue, wrs, 6), -ENOSPC);
		wrs[5].opcode = 99;
		igt_assert_eq(__vrnic_post(nic, queue, wrs, 6), -EINVAL);
		wrs[5].opcode = VRNIC_OP_WRITE;
		wrs[5].sge = 8;
		igt_assert_eq(__vrnic_post(nic, queue, wrs, 6), -EFAULT);
		wrs[5].sge = (uintptr_t)&sge[5];
		igt_assert_eq(vrnic_poll(nic, queue, wcs, 6, 1000000), 0);
		pattern_check(local, KIB(32), round);
		igt_assert_eq(local[KIB(32)], 0);

		/* Some of them are taken before the rest is posted. */
		n = round % depth + 1;
		igt_assert_eq(__vrnic_post(nic, queue, wrs, n), 0);
		for (i = 0; i < n; i++) {
			igt_assert_eq(vrnic_poll(nic, queue, wcs, 1, 10000000000LL), 1);
			igt_assert_eq_u64(wcs[0].wr_id, 10 * round + i);
			igt_assert_eq(wcs[0].status, 0);
			igt_assert_eq(__vrnic_post(nic, queue, wrs, depth - n + i + 2), -ENOSPC);
		}
		igt_assert(!memcmp(local, local + KIB(32), 8 * n));
		igt_assert_eq(local[KIB(32) + 8 * n], 0);
	}
	vrnic_destroy_queue(nic, queue);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, KIB(64));
}

#define POSTERS	3
#define BATCH	7

struct poster {
	uint32_t queue, id;
	const struct vrnic_reg_mr *mem;
	int error;
	pthread_t thread;
};

static void *poster_run(void *arg)
{
	struct poster *p = arg;
	struct vrnic_sge sge = { .length = 8, .lkey = p->mem->lkey };
	struct vrnic_wr wrs[BATCH];
	uint32_t batch, i;

	for (batch = 0; batch < 200 && !p->error;) {
		for (i = 0; i < BATCH; i++)
			wrs[i] = (struct vrnic_wr) {
				.wr_id = p->id << 16 | batch << 4 | i, .rkey = p->mem->rkey,
				.opcode = VRNIC_OP_WRITE, .remote_addr = 8 * (1 + p->id),
				.num_sge = 1, .sge = (uintptr_t)&sge,
			};
		p->error = __vrnic_post(nic, p->queue, wrs, BATCH);
		if (!p->error)
			batch++;
		else if (p->error == -ENOSPC)
			p->error = usleep(100);
	}
	return NULL;
}

static void test_posters(void)
{
	uint8_t *local = alloc_pages(4096);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, 4096);
	uint32_t queue = vrnic_create_queue(nic, 2 * BATCH + 1), next[POSTERS] = {}, i;
	struct poster posters[POSTERS];
	struct vrnic_wc wc;

	for (i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){ .queue = queue, .id = i, .mem = &mem };
		igt_assert_eq(pthread_create(&posters[i].thread, NULL, poster_run,
					     &posters[i]), 0);
	}
	for (i = 0; i < POSTERS * 200 * BATCH; i++) {
		uint32_t id, n = i % BATCH;

		igt_assert_eq(vrnic_poll(nic, queue, &wc, 1, 30000000000LL), 1);
		igt_assert_eq(wc.status, 0);
		id = wc.wr_id >> 16;
		igt_assert_lt(id, POSTERS);
		/* A batch is together, and follows the one before of the same thread. */
		igt_assert_eq_u64(wc.wr_id & 0xffff, next[id] << 4 | n);
		next[id] += n == BATCH - 1;
	}
	for (i = 0; i < POSTERS; i++) {
		pthread_join(posters[i].thread, NULL);
		igt_assert_eq(posters[i].error, 0);
		igt_assert_eq(next[i], 200);
	}
	vrnic_destroy_queue(nic, queue);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, 4096);
}

static void test_batch_of_64(void)
{
	uint8_t *local = alloc_pages(KIB(64));
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, KIB(64));
	uint32_t queue = vrnic_create_queue(nic, 64), i;
	struct vrnic_wr wrs[64];
	struct vrnic_wc wcs[64];
	struct vrnic_sge sge;
	uint64_t end = now_ms() + 5000;

	for (i = 0; i < 64; i++)
		wrs[i] = simple_wr(&sge, &mem, i, 8);
	igt_assert_eq(__vrnic_post(nic, queue, wrs, 64), 0);
	/* Wait for the last one only, by a queue that is full until then. */
	while (__vrnic_post(nic, queue, wrs, 1) == -ENOSPC && now_ms() < end) {
		usleep(20000);
		if (vrnic_query_mr(nic, mem.handle).counters.bytes_written == 64 * 8)
			break;
	}
	usleep(20000);
	igt_assert_eq(vrnic_poll(nic, queue, wcs, 64, 0), 64);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, KIB(64));
}

static void test_flush(void)
{
	uint8_t *local = alloc_pages(KIB(64));
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, KIB(64));
	uint32_t queue = vrnic_create_queue(nic, 8), i;
	struct vrnic_queue reset = { .handle = queue };
	struct vrnic_wr wrs[8];
	struct vrnic_wc wcs[8] = {};
	struct vrnic_sge sge;
	int done = 0;

	for (i = 0; i < 8; i++)
		wrs[i] = simple_wr(&sge, &mem, i, 8);
	wrs[3].rkey ^= 0x500;
	igt_assert_eq(__vrnic_post(nic, queue, wrs, 8), 0);
	while (done < 8)
		done += vrnic_poll(nic, queue, wcs + done, 8 - done, 10000000000LL);
	for (i = 0; i < 8; i++) {
		igt_assert_eq_u64(wcs[i].wr_id, i);
		igt_assert_eq(wcs[i].status, i < 3 ? VRNIC_WC_SUCCESS :
			      i == 3 ? VRNIC_WC_REM_ACCESS_ERR : VRNIC_WC_FLUSHED);
	}
	igt_assert_eq(__vrnic_post(nic, queue, wrs, 1), -EPIPE);
	igt_assert_eq(do_call(nic, VRNIC_IOC_RESET_QUEUE, &reset), 0);
	igt_assert_eq(vrnic_do(nic, queue, &wrs[0]).status, 0);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, KIB(64));
}

static void test_timeout(void)
{
	uint32_t queue = vrnic_create_queue(nic, 8);
	uint64_t start = now_ms();
	struct vrnic_wc wc;

	igt_assert_eq(vrnic_poll(nic, queue, &wc, 1, 0), 0);
	igt_assert_lt(now_ms() - start, 100);
	start = now_ms();
	igt_assert_eq(vrnic_poll(nic, queue, &wc, 1, 200000000LL), 0);
	igt_assert_lte(199, now_ms() - start);
	igt_assert_eq(vrnic_poll(nic, queue, NULL, 1, 0), -EFAULT);
}

static void test_eventfd(void)
{
	uint8_t *local = alloc_pages(KIB(64));
	int mine = vrnic_open(), event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct vrnic_reg_mr mem = vrnic_reg_user(mine, local, KIB(64));
	struct vrnic_create_queue create = { .depth = 8, .eventfd = event };
	struct pollfd p = { .fd = mine, .events = POLLIN };
	struct vrnic_wr wrs[3];
	struct vrnic_wc wcs[3];
	struct vrnic_sge sge;
	uint64_t count;
	int i, done;

	igt_assert_eq(do_call(mine, VRNIC_IOC_CREATE_QUEUE, &create), 0);
	igt_assert_eq(poll(&p, 1, 0), 0);
	for (i = 0; i < 3; i++)
		wrs[i] = simple_wr(&sge, &mem, i, 8);
	igt_assert_eq(__vrnic_post(mine, create.handle, wrs, 3), 0);
	igt_assert_eq(poll(&p, 1, 5000), 1);
	igt_assert(p.revents & POLLIN);
	for (done = 0; done < 3;)
		done += vrnic_poll(mine, create.handle, wcs, 3 - done, 10000000000LL);
	igt_assert_eq(poll(&p, 1, 0), 0);
	usleep(50000);
	igt_assert_eq(read(event, &count, sizeof(count)), sizeof(count));
	igt_assert_eq_u64(count, 3);
	close(event);
	close(mine);
	munmap(local, KIB(64));
}

static void test_many_queues(void)
{
	uint32_t max = vrnic_query(nic).max_queues, i;
	uint8_t *local = alloc_pages(KIB(64));
	int mine = vrnic_open();
	struct vrnic_reg_mr mem = vrnic_reg_user(mine, local, KIB(64));
	struct vrnic_create_queue create = { .depth = 4, .eventfd = -1 };
	uint32_t *queues = calloc(max, sizeof(*queues));
	struct vrnic_sge sge;
	struct vrnic_wr wr;
	struct vrnic_wc wc;

	for (i = 0; i < max; i++)
		queues[i] = vrnic_create_queue(mine, 4);
	igt_assert_eq(do_call(mine, VRNIC_IOC_CREATE_QUEUE, &create), -ENOSPC);
	for (i = 0; i < max; i++) {
		wr = simple_wr(&sge, &mem, i, 4096);
		igt_assert_eq(__vrnic_post(mine, queues[i], &wr, 1), 0);
	}
	for (i = 0; i < max; i++) {
		igt_assert_eq(vrnic_poll(mine, queues[i], &wc, 1, 10000000000LL), 1);
		igt_assert_eq_u64(wc.wr_id, i);
	}
	free(queues);
	close(mine);
	munmap(local, KIB(64));
}

static void test_destroy_busy(void)
{
	const uint64_t size = MIB(8);
	uint8_t *local = alloc_pages(size);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, size);
	struct vrnic_queue destroy;
	struct vrnic_wr wrs[64];
	struct vrnic_sge sge;
	int round, i;

	for (round = 0; round < 5; round++) {
		destroy.handle = vrnic_create_queue(nic, 64);
		destroy.pad = 0;
		for (i = 0; i < 64; i++) {
			wrs[i] = simple_wr(&sge, &mem, i, size / 2);
			wrs[i].remote_addr = size / 2;
		}
		igt_assert_eq(__vrnic_post(nic, destroy.handle, wrs, 64), 0);
		igt_assert_eq(do_call(nic, VRNIC_IOC_DESTROY_QUEUE, &destroy), 0);
		igt_assert_eq(do_call(nic, VRNIC_IOC_DESTROY_QUEUE, &destroy), -ENOENT);
	}
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, size);
}

/* How long the buffer's bytes take to arrive. */
#define ARRIVAL_MS	4000

struct poller {
	uint32_t queue;
	int ret;
};

static void *poll_for_ever(void *data)
{
	struct poller *p = data;
	struct vrnic_wc wc;
	struct vrnic_poll poll = {
		.queue = p->queue, .count = 1, .wcs = (uintptr_t)&wc, .timeout_ns = -1,
	};

	p->ret = do_call(nic, VRNIC_IOC_POLL, &poll);
	return NULL;
}

static void test_destroy_polled(void)
{
	struct poller p = { .queue = vrnic_create_queue(nic, 1) };
	struct vrnic_wr wr = { .opcode = VRNIC_OP_CRC32C, .remote_length = KIB(4) };
	uint64_t begin = now_ms(), end;
	pthread_t thread;
	struct shared s;

	chaos_delay(fd, ARRIVAL_MS);
	s = share_buffer(fd, nic, MIB(1), VRNIC_MR_ON_DEMAND, 0);
	chaos_delay(fd, 0);
	wr.rkey = s.reg.rkey;
	igt_assert_eq(__vrnic_post(nic, p.queue, &wr, 1), 0);
	igt_assert_eq(pthread_create(&thread, NULL, poll_for_ever, &p), 0);
	usleep(500000);
	vrnic_destroy_queue(nic, p.queue);
	end = now_ms();
	igt_assert_eq(pthread_join(thread, NULL), 0);
	igt_assert_eq(p.ret, -ENOENT);

	/* What the request waited for is still on its way, and nobody waited for it. */
	igt_assert(vvram_info(fd, s.handle).flags & DRM_VVRAM_INFO_BUSY);
	igt_assert_lt(end - begin, ARRIVAL_MS);
	unshare_buffer(fd, nic, &s);
}

static struct vrnic_wc atomic_op(uint32_t queue, const struct shared *s,
				 const struct vrnic_reg_mr *mem, uint32_t opcode, uint64_t at,
				 uint64_t operand, uint64_t swap, uint32_t len)
{
	struct vrnic_sge sge = { .addr = 8, .length = len, .lkey = mem->lkey };
	struct vrnic_wr wr = {
		.opcode = opcode, .rkey = s->reg.rkey, .remote_addr = at, .num_sge = 1,
		.sge = (uintptr_t)&sge, .operand = operand, .swap = swap,
	};

	return vrnic_do(nic, queue, &wr);
}

static void test_atomics(bool add)
{
	struct shared s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	uint64_t *local = alloc_pages(4096);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, 4096);
	uint32_t queue = vrnic_create_queue(nic, 4);
	volatile uint64_t *word = (uint64_t *)(s.p + 4096);
	struct vrnic_wc wc;
	uint64_t i, old;

	*word = 1000;
	for (i = 0; i < 8; i++) {
		old = *word;
		if (add)
			wc = atomic_op(queue, &s, &mem, VRNIC_OP_FETCH_ADD, 4096, i, 0, 8);
		else
			wc = atomic_op(queue, &s, &mem, VRNIC_OP_COMPARE_SWAP, 4096,
				       i % 2 ? old : old + 1, 77 + i, 8);
		igt_assert_eq(wc.status, 0);
		igt_assert_eq_u64(wc.result, old);
		igt_assert_eq_u64(local[1], old);
		igt_assert_eq_u64(*word, add ? old + i : i % 2 ? 77 + i : old);
		igt_assert_eq_u64(word[-1] | word[1], 0);
		if (vvram_query(fd).flags & DRM_VVRAM_QUERY_DYNAMIC)
			vvram_move(fd, s.handle, i % 2 ? VRAM : SYSTEM);
	}
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, 4096);
	unshare_buffer(fd, nic, &s);
}

static void test_atomic_alignment(void)
{
	struct shared s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	uint64_t *local = alloc_pages(4096);
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, 4096);
	uint32_t queue = vrnic_create_queue(nic, 4);
	struct vrnic_queue reset = { .handle = queue };

	igt_assert_eq(atomic_op(queue, &s, &mem, VRNIC_OP_FETCH_ADD, 4, 1, 0, 8).status,
		      VRNIC_WC_REM_ACCESS_ERR);
	igt_assert_eq(do_call(nic, VRNIC_IOC_RESET_QUEUE, &reset), 0);
	igt_assert_eq(atomic_op(queue, &s, &mem, VRNIC_OP_FETCH_ADD, 8, 1, 0, 4).status,
		      VRNIC_WC_LOC_LEN_ERR);
	igt_assert_eq(do_call(nic, VRNIC_IOC_RESET_QUEUE, &reset), 0);
	igt_assert_eq(atomic_op(queue, &s, &mem, VRNIC_OP_FETCH_ADD, KIB(64), 1, 0, 8).status,
		      VRNIC_WC_REM_ACCESS_ERR);
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, 4096);
	unshare_buffer(fd, nic, &s);
}

static void test_fill(void)
{
	const uint64_t pattern = 0x0807060504030201ULL;
	struct shared s = share_buffer(fd, nic, KIB(256), VRNIC_MR_ON_DEMAND, 0);
	uint32_t queue = vrnic_create_queue(nic, 4);
	struct vrnic_wr wr = {
		.opcode = VRNIC_OP_FILL, .rkey = s.reg.rkey, .remote_addr = 4093,
		.remote_length = 131077, .operand = pattern,
	};
	uint64_t i;

	memset(s.p, 0xee, s.size);
	igt_assert_eq(vrnic_do(nic, queue, &wr).status, 0);
	for (i = 0; i < s.size; i++) {
		uint8_t want = i < 4093 || i >= 4093 + 131077 ? 0xee : (i - 4093) % 8 + 1;

		igt_assert_f(s.p[i] == want, "byte %llu\n", (unsigned long long)i);
	}
	unshare_buffer(fd, nic, &s);
}

static uint32_t crc32c(uint32_t crc, const uint8_t *p, uint64_t len)
{
	int bit;

	while (len--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return crc;
}

static void test_crc32c(void)
{
	static const struct {
		uint32_t at, len;
	} table[] = { { 0, 1 }, { 3, 4099 }, { 65535, 70000 }, { 0, 131072 } };
	struct shared s = share_buffer(fd, nic, KIB(256), VRNIC_MR_ON_DEMAND, 0);
	uint32_t queue = vrnic_create_queue(nic, 4);
	unsigned int i;

	pattern_fill(s.p, s.size, 31);
	for (i = 0; i < ARRAY_LEN(table); i++) {
		struct vrnic_wr wr = {
			.opcode = VRNIC_OP_CRC32C, .rkey = s.reg.rkey, .remote_addr = table[i].at,
			.remote_length = table[i].len, .operand = 0xffffffff,
		};
		struct vrnic_wc wc = vrnic_do(nic, queue, &wr);

		igt_assert_eq(wc.status, 0);
		igt_assert_eq_u64(wc.result, crc32c(0xffffffff, s.p + table[i].at, table[i].len));
		s.p[table[i].at] ^= 1;
		igt_assert_neq(vrnic_do(nic, queue, &wr).result, wc.result);
		s.p[table[i].at] ^= 1;
	}
	unshare_buffer(fd, nic, &s);
}

static void test_modes(void)
{
	static const uint32_t flags[] = { 0, VRNIC_REG_MR_NO_PEER2PEER };
	uint8_t *local = alloc_pages(KIB(256));
	struct vrnic_reg_mr mem = vrnic_reg_user(nic, local, KIB(256));
	uint32_t queue = vrnic_create_queue(nic, 4), mode, f;

	for (mode = VRNIC_MR_ON_DEMAND; mode <= VRNIC_MR_STATIC; mode++) {
		for (f = 0; f < ARRAY_LEN(flags); f++) {
			struct shared s = share_buffer(fd, nic, KIB(256), mode, flags[f]);

			pattern_fill(local, KIB(256), mode);
			igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_WRITE, &s.reg, 0, &mem, 0,
						 KIB(256)).status, 0);
			pattern_check(s.p, s.size, mode);
			memset(local, 0, KIB(256));
			igt_assert_eq(vrnic_copy(nic, queue, VRNIC_OP_READ, &s.reg, 0, &mem, 0,
						 KIB(256)).status, 0);
			pattern_check(local, KIB(256), mode);
			igt_assert_eq(vrnic_query_mr(nic, s.reg.handle).mode, mode);
			igt_assert_eq_u64(vrnic_query_mr(nic, s.reg.handle).counters.violations, 0);
			unshare_buffer(fd, nic, &s);
		}
	}
	vrnic_dereg_mr(nic, mem.handle);
	munmap(local, KIB(256));
}

static void test_prefetch(void)
{
	struct shared s = share_buffer(fd, nic, KIB(64), VRNIC_MR_ON_DEMAND, 0);
	struct vrnic_reg_mr read_only = {
		.fd = s.dmabuf, .length = 4096, .access = VRNIC_ACCESS_REMOTE_READ,
	};
	struct vrnic_advise_mr advise = { .handle = s.reg.handle };
	uint64_t end = now_ms() + 5000;

	igt_assert_eq(vrnic_query_mr(nic, s.reg.handle).state, 0);
	igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), 0);
	while (!(vrnic_query_mr(nic, s.reg.handle).state & VRNIC_MR_STATE_MAPPED))
		igt_assert(now_ms() < end);
	igt_assert_eq_u64(vrnic_query_mr(nic, s.reg.handle).counters.faults, 0);

	/* On a mapped region it looks whether the mapping is still right. */
	advise.flags = VRNIC_ADVISE_FLUSH;
	advise.advice = VRNIC_ADVISE_PREFETCH_WRITE;
	igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), 0);
	igt_assert_eq_u64(vrnic_query_mr(nic, s.reg.handle).counters.violations, 0);

	igt_assert_eq(__vrnic_reg_mr(nic, &read_only), 0);
	advise.handle = read_only.handle;
	igt_assert_eq(do_call(nic, VRNIC_IOC_ADVISE_MR, &advise), -EACCES);
	vrnic_dereg_mr(nic, read_only.handle);
	unshare_buffer(fd, nic, &s);
}

igt_main {
	igt_fixture {
		fd = drm_open_driver(DRIVER_ANY);
		nic = vrnic_open();
	}

	igt_describe("First in, first out, and none more than fit.");
	igt_subtest("order")
		test_batches(100, 4);
	igt_describe("A batch costs one system call each way.");
	igt_subtest("batch-of-64")
		test_batch_of_64();
	igt_describe("What is behind an error does not run.");
	igt_subtest("flush-and-reset")
		test_flush();
	igt_describe("What does not fit leaves no trace.");
	igt_subtest("room")
		test_room();
	igt_describe("One at a time, each as a whole.");
	igt_subtest("posters")
		test_posters();
	igt_describe("No completion is no error.");
	igt_subtest("timeout")
		test_timeout();
	igt_describe("Completions can be waited for in both of the usual ways.");
	igt_subtest("eventfd-and-poll")
		test_eventfd();
	igt_describe("Any number of queues, up to the limit.");
	igt_subtest("many-queues")
		test_many_queues();
	igt_describe("Work that is queued does not keep its queue alive.");
	igt_subtest("destroy-busy")
		test_destroy_busy();
	igt_describe("The wait for the work is the destroyer's alone.");
	igt_subtest("destroy-polled")
		test_destroy_polled();
	igt_describe("The sum is right, and only there.");
	igt_subtest("fetch-add")
		test_atomics(true);
	igt_describe("The swap happens if, and only if, the value is the expected one.");
	igt_subtest("compare-swap")
		test_atomics(false);
	igt_describe("Anything else is an error.");
	igt_subtest("atomic-alignment")
		test_atomic_alignment();
	igt_describe("Also over chunks, and at odd addresses.");
	igt_subtest("fill")
		test_fill();
	igt_describe("Compared with a checksum made here.");
	igt_subtest("crc32c")
		test_crc32c();
	igt_describe("The modes differ in how they follow moves, in nothing else.");
	igt_subtest("modes")
		test_modes();
	igt_describe("Mapped ahead, no fault later.");
	igt_subtest("prefetch")
		test_prefetch();

	igt_fixture {
		vvram_wait_unused(fd);
		close(nic);
		drm_close_driver(fd);
	}
}
