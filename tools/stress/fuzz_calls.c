// SPDX-License-Identifier: MIT
/*
 * The calls of both devices as tables: which field stands for what. A value is what is
 * put into the field, but for resources (the Nth of those that the program made so far)
 * and arrays (the seed of their entries).
 */

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices.h"
#include "drm.h"
#include "fuzz_table.h"
#include "vrnic.h"
#include "vvram_drm.h"

#define SLOTS		16
#define SCRATCH		(1 << 16)
#define PROGRAMS_A_FILE	8

enum entries { WRS, SGES, SYNCS, ROOM };

static const struct {
	unsigned int size;
	struct field field[MOST_VALUES];
} entry[] = {
	[WRS] = { sizeof(struct vrnic_wr), {
		F(vrnic_wr, opcode, CHOICE, 6), F(vrnic_wr, flags, PAD),
		F(vrnic_wr, remote_addr, PLACE), F(vrnic_wr, remote_length, MAYBE),
		F(vrnic_wr, rkey, RKEY), F(vrnic_wr, num_sge, COUNT),
		F(vrnic_wr, sge, ARRAY, SGES), F(vrnic_wr, operand, MAYBE),
		F(vrnic_wr, swap, MAYBE), } },
	[SGES] = { sizeof(struct vrnic_sge), {
		F(vrnic_sge, addr, PLACE), F(vrnic_sge, length, SIZE),
		F(vrnic_sge, lkey, LKEY), } },
	[SYNCS] = { sizeof(struct drm_vvram_sync), {
		F(drm_vvram_sync, flags, FLAGS, 3), F(drm_vvram_sync, handle, SYNCOBJ),
		F(drm_vvram_sync, point, MAYBE), } },
	[ROOM] = { 64, { { 0 } } },
};

static const struct op ops[] = {
	{ "create", VVRAM, DRM_IOCTL_VVRAM_GEM_CREATE, {
		F(drm_vvram_gem_create, size, SIZE), F(drm_vvram_gem_create, placement, FLAGS, 3),
		F(drm_vvram_gem_create, flags, FLAGS, 1), F(drm_vvram_gem_create, pad, PAD), },
	  { RESULT(drm_vvram_gem_create, handle, GEM) }, 1 },
	{ "mmap_offset", VVRAM, DRM_IOCTL_VVRAM_GEM_MMAP_OFFSET, {
		F(drm_vvram_gem_mmap_offset, handle, GEM), F(drm_vvram_gem_mmap_offset, pad, PAD), },
	  { RESULT(drm_vvram_gem_mmap_offset, offset, OFFSET) }, 1 },
	{ "move", VVRAM, DRM_IOCTL_VVRAM_GEM_MOVE, {
		F(drm_vvram_gem_move, handle, GEM), F(drm_vvram_gem_move, placement, FLAGS, 3),
		F(drm_vvram_gem_move, flags, FLAGS, 1), F(drm_vvram_gem_move, num_syncs, COUNT),
		F(drm_vvram_gem_move, syncs, ARRAY, SYNCS), } },
	{ "info", VVRAM, DRM_IOCTL_VVRAM_GEM_INFO, {
		F(drm_vvram_gem_info, handle, GEM), F(drm_vvram_gem_info, pad, PAD), } },
	{ "query", VVRAM, DRM_IOCTL_VVRAM_QUERY, { F(drm_vvram_query, pad, PAD), } },
	{ "attachments", VVRAM, DRM_IOCTL_VVRAM_GEM_ATTACHMENTS, {
		F(drm_vvram_gem_attachments, handle, GEM),
		F(drm_vvram_gem_attachments, count, COUNT),
		F(drm_vvram_gem_attachments, attachments, ARRAY, ROOM), } },
	{ "revoke", VVRAM, DRM_IOCTL_VVRAM_GEM_REVOKE, {
		F(drm_vvram_gem_revoke, handle, GEM), F(drm_vvram_gem_revoke, pad, PAD), } },
	{ "close", VVRAM, DRM_IOCTL_GEM_CLOSE, { F(drm_gem_close, handle, GEM), } },
	{ "export", VVRAM, DRM_IOCTL_PRIME_HANDLE_TO_FD, {
		F(drm_prime_handle, handle, GEM),
		F(drm_prime_handle, flags, FLAGS, DRM_CLOEXEC | DRM_RDWR), },
	  { RESULT(drm_prime_handle, fd, DMABUF) }, 1 },
	{ "import", VVRAM, DRM_IOCTL_PRIME_FD_TO_HANDLE, { F(drm_prime_handle, fd, FDS), },
	  { RESULT(drm_prime_handle, handle, GEM) }, 1 },
	{ "dumb", VVRAM, DRM_IOCTL_MODE_CREATE_DUMB, {
		F(drm_mode_create_dumb, height, COUNT), F(drm_mode_create_dumb, width, COUNT),
		F(drm_mode_create_dumb, bpp, SIZE), },
	  { RESULT(drm_mode_create_dumb, handle, GEM) }, 1 },
	{ "syncobj", VVRAM, DRM_IOCTL_SYNCOBJ_CREATE, { F(drm_syncobj_create, flags, FLAGS, 1), },
	  { RESULT(drm_syncobj_create, handle, SYNCOBJ) }, 1 },
	{ "touch", TOUCH, 0, { { 0, 8, OFFSET, 0 }, { 0, 8, SIZE, 0 }, { 0, 8, FLAGS, 1 }, } },
	{ "nonsense", NONSENSE, 0, { { 0, 8, ANY, 0 }, { 0, 8, ANY, 0 }, } },

	{ "reg", VRNIC, VRNIC_IOC_REG_MR, {
		F(vrnic_reg_mr, flags, FLAGS, VRNIC_REG_MR_NO_PEER2PEER), F(vrnic_reg_mr, mode, CHOICE, 5),
		F(vrnic_reg_mr, access, FLAGS, 15), F(vrnic_reg_mr, fd, FDS),
		F(vrnic_reg_mr, offset, PLACE), F(vrnic_reg_mr, length, SIZE),
		F(vrnic_reg_mr, pad, PAD), },
	  { RESULT(vrnic_reg_mr, handle, MR), RESULT(vrnic_reg_mr, lkey, LKEY),
	    RESULT(vrnic_reg_mr, rkey, RKEY) }, 3 },
	{ "reg_user", VRNIC, VRNIC_IOC_REG_MR, {
		F(vrnic_reg_mr, flags, FLAGS, VRNIC_REG_MR_USER | VRNIC_REG_MR_BY_ADDRESS),
		F(vrnic_reg_mr, mode, PAD),
		F(vrnic_reg_mr, access, FLAGS, 15), F(vrnic_reg_mr, fd, EVENT),
		F(vrnic_reg_mr, addr, ADDRESS), F(vrnic_reg_mr, length, SIZE), },
	  { RESULT(vrnic_reg_mr, handle, MR), RESULT(vrnic_reg_mr, lkey, LKEY),
	    RESULT(vrnic_reg_mr, rkey, RKEY) }, 3 },
	{ "dereg", VRNIC, VRNIC_IOC_DEREG_MR, {
		F(vrnic_dereg_mr, handle, MR), F(vrnic_dereg_mr, pad, PAD), } },
	{ "advise", VRNIC, VRNIC_IOC_ADVISE_MR, {
		F(vrnic_advise_mr, handle, MR), F(vrnic_advise_mr, advice, CHOICE, 2),
		F(vrnic_advise_mr, flags, FLAGS, 1), F(vrnic_advise_mr, pad, PAD), } },
	{ "query_mr", VRNIC, VRNIC_IOC_QUERY_MR, {
		F(vrnic_query_mr, handle, MR), F(vrnic_query_mr, pad, PAD), } },
	{ "nic_query", VRNIC, VRNIC_IOC_QUERY, { F(vrnic_query, pad, PAD), } },
	{ "queue", VRNIC, VRNIC_IOC_CREATE_QUEUE, {
		F(vrnic_create_queue, flags, PAD), F(vrnic_create_queue, engine, CHOICE, 2),
		F(vrnic_create_queue, depth, COUNT), F(vrnic_create_queue, eventfd, EVENT),
		F(vrnic_create_queue, pad, PAD), },
	  { RESULT(vrnic_create_queue, handle, QUEUE) }, 1 },
	{ "unqueue", VRNIC, VRNIC_IOC_DESTROY_QUEUE, {
		F(vrnic_queue, handle, QUEUE), F(vrnic_queue, pad, PAD), } },
	{ "reset", VRNIC, VRNIC_IOC_RESET_QUEUE, {
		F(vrnic_queue, handle, QUEUE), F(vrnic_queue, pad, PAD), } },
	{ "post", VRNIC, VRNIC_IOC_POST, {
		F(vrnic_post, queue, QUEUE), F(vrnic_post, count, COUNT),
		F(vrnic_post, wrs, ARRAY, WRS), } },
	{ "poll", VRNIC, VRNIC_IOC_POLL, {
		F(vrnic_poll, queue, QUEUE), F(vrnic_poll, count, COUNT),
		F(vrnic_poll, wcs, ARRAY, ROOM), F(vrnic_poll, timeout_ns, TIME), } },
};

/* The same number, by name or drawn, for both tables. */
static unsigned int op_count(void)
{
	return ARRAY_LEN(ops) + verbs_op_count;
}

static const struct op *op_of(unsigned int which)
{
	which %= op_count();
	return which < ARRAY_LEN(ops) ? &ops[which] : &verbs_ops[which - ARRAY_LEN(ops)];
}

static int vvram = -1, vrnic = -1, event = -1, zero = -1, sink = -1;
static uint8_t *scratch, *arena;
static size_t arena_used;
static uint64_t slots[RESOURCES][SLOTS];
static unsigned int made[RESOURCES];

unsigned int values_of(const struct op *op)
{
	unsigned int n = 0;

	while (n < MOST_VALUES && op->field[n].width)
		n++;
	return n;
}

static uint64_t draw_size(uint64_t *rnd)
{
	static const uint64_t edges[] = {
		0, 1, 8, 4095, 4097, 1 << 21, 1 << 28, (1 << 28) + 4096, 1ULL << 32,
		1ULL << 40, 1ULL << 63, ~0ULL, ~4095ULL, 32,
	};

	if (!below(rnd, 6))
		return edges[below(rnd, ARRAY_LEN(edges))];
	if (!below(rnd, 8))
		return 4096 * (1 + below(rnd, 512));
	return 4096 * (1 + below(rnd, 8));
}

/* What changes of queue pairs ask for, now and then with one bit more or less. */
static uint64_t draw_mask(uint64_t *rnd)
{
	static const uint32_t masks[] = {
		0x1, 0x5, 0x39, 0x71, 0x101181, 0x129181, 0x12e01, 0x10001, 0x9, 0x41,
	};
	uint64_t mask = masks[below(rnd, ARRAY_LEN(masks))];

	return below(rnd, 8) ? mask : mask ^ 1ULL << below(rnd, 21);
}

static uint64_t draw(const struct field *f, uint64_t *rnd)
{
	/* Seldom what nobody means. */
	if (!below(rnd, 48))
		return next_random(rnd) >> below(rnd, 64);
	switch (f->kind) {
	case PAD:
		return 0;
	case MAYBE:
		return below(rnd, 2) ? 0 : draw_size(rnd);
	case FLAGS:
		return next_random(rnd) & f->arg;
	case CHOICE:
		return below(rnd, f->arg);
	case SIZE:
		return draw_size(rnd);
	case COUNT:
		return below(rnd, 16) ? 1 + below(rnd, 1 + below(rnd, 32)) : 1020 + below(rnd, 8);
	case PLACE:
		return below(rnd, 2) ? 0 : below(rnd, 4) ? 8 * below(rnd, 4096) : draw_size(rnd);
	case TIME:
		return below(rnd, 8) ? 0 : below(rnd, 4) ? 1000000 : ~0ULL;
	case ADDRESS:
		return below(rnd, SCRATCH);
	case EVENT:
		return below(rnd, 8) ? 0 : below(rnd, 4);
	case STATE:
		return below(rnd, 7);
	case MASK:
		return draw_mask(rnd);
	case ARRAY:
	case ANY:
		return next_random(rnd);
	default:
		return below(rnd, below(rnd, SLOTS) + 1);
	}
}

void put(uint8_t *at, const struct field *f, uint64_t value)
{
	memcpy(at + f->offset, &value, f->width);
}

static uint64_t resource(enum resource r, uint64_t value)
{
	return value < SLOTS && made[r] ? slots[r][value % (made[r] < SLOTS ? made[r] : SLOTS)] :
					  value;
}

/* As many as any call may look at, in memory that ends with the arena. */
static uint64_t make_array(enum entries which, uint64_t seed)
{
	unsigned int n = which == ROOM ? 0 : 1 + below(&seed, 1 + below(&seed, 16)), i, k;
	size_t size = VRNIC_MAX_BATCH * entry[which].size;
	const struct field *f;
	uint8_t *at;

	if (!below(&seed, 48))
		return below(&seed, 2) ? 0 : (uintptr_t)arena + (1 << 20) - 16;
	if (which != WRS && which != ROOM)
		size = 16 * entry[which].size;
	if (arena_used + size > 1 << 20)
		arena_used = 0;
	at = arena + arena_used;
	arena_used += size;
	memset(at, 0, size);
	for (i = 0; i < n; i++) {
		for (k = 0; k < MOST_VALUES && entry[which].field[k].width; k++) {
			f = &entry[which].field[k];
			put(at + i * entry[which].size, f, resolve(f, draw(f, &seed)));
		}
	}
	return (uintptr_t)at;
}

uint64_t resolve(const struct field *f, uint64_t value)
{
	switch (f->kind) {
	case ARRAY:
		return make_array(f->arg, value);
	case ADDRESS:
		return value < SCRATCH ? (uintptr_t)scratch + value : value;
	case EVENT:
		return value == 0 ? -1ULL : value == 1 ? (uint64_t)event :
		       value == 2 ? (uint64_t)vvram : value;
	case FDS:
		return made[DMABUF] ? resource(DMABUF, value) : value == 1 ? (uint64_t)vrnic : -1ULL;
	default:
		return f->kind < RESOURCES ? resource(f->kind, value) : value;
	}
}

static void touch(uint64_t offset, uint64_t size, bool write)
{
	void *p;

	size = size > 1 << 20 ? 1 << 20 : size;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vvram, offset);
	if (p == MAP_FAILED)
		return;
	/* By a system call: what can not be had is an error and no signal. */
	if (write)
		(void)!read(zero, p, size);
	else
		(void)!pwrite(sink, p, size, 0);
	munmap(p, size);
}

void keep_result(enum resource r, uint64_t value)
{
	if ((r == DMABUF || r == IB_CHANNEL) && made[r] >= SLOTS)
		close(slots[r][made[r] % SLOTS]);
	slots[r][made[r]++ % SLOTS] = value;
}

uint8_t *memory(void)
{
	return scratch;
}

static void run_call(const struct fuzz_call *c)
{
	const struct op *op = op_of(c->which);
	uint8_t arg[256] = {};
	unsigned int i, n = values_of(op);
	const struct result *r;
	uint64_t value;

	if (op->where >= VERBS_WRITE) {
		run_verbs_call(op, c);
		return;
	}
	if (op->where == TOUCH) {
		touch(resource(OFFSET, c->value[0]), c->value[1], c->value[2]);
		return;
	}
	if (op->where == NONSENSE) {
		ioctl(c->value[0] & 1 ? vvram : vrnic, c->value[0] >> 1, c->value[1]);
		return;
	}
	for (i = 0; i < n; i++)
		put(arg, &op->field[i], resolve(&op->field[i], c->value[i]));
	if (ioctl(op->where == VVRAM ? vvram : vrnic, op->request, arg))
		return;
	for (i = 0; i < op->results; i++) {
		r = &op->result[i];
		value = 0;
		memcpy(&value, arg + r->offset, r->resource == OFFSET ? 8 : 4);
		keep_result(r->resource, value);
	}
}

void open_files(void)
{
	scratch = mmap(NULL, SCRATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	arena = mmap(NULL, (1 << 20) + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	/* What lies behind it must not be read. */
	mprotect(arena + (1 << 20), 4096, PROT_NONE);
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	sink = memfd_create("sink", MFD_CLOEXEC);
	event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

/* Files live for some programs: opening them costs as much as many calls. */
static void open_devices(void)
{
	static unsigned int programs;

	if (programs++ % PROGRAMS_A_FILE)
		return;
	if (vvram >= 0) {
		close_verbs();
		close(vrnic);
		close(vvram);
	}
	vvram = open_vvram();
	vrnic = open_vrnic();
	open_verbs();
}

void run_program(const struct program *p)
{
	unsigned int i;

	open_devices();
	arena_used = 0;
	memset(made, 0, sizeof(made));
	for (i = 0; i < p->count; i++)
		run_call(&p->call[i]);
	for (i = 0; i < made[DMABUF] && i < SLOTS; i++)
		close(slots[DMABUF][i]);
	for (i = 0; i < made[IB_CHANNEL] && i < SLOTS; i++)
		close(slots[IB_CHANNEL][i]);
}

static void random_call(struct fuzz_call *c, uint64_t *rnd)
{
	const struct op *op;
	unsigned int i, n;

	c->which = below(rnd, op_count());
	op = op_of(c->which);
	n = values_of(op);
	for (i = 0; i < n; i++)
		c->value[i] = draw(&op->field[i], rnd);
}

void random_program(struct program *p, uint64_t *rnd)
{
	unsigned int i;

	memset(p, 0, sizeof(*p));
	p->count = 1 + below(rnd, MOST_CALLS);
	for (i = 0; i < p->count; i++)
		random_call(&p->call[i], rnd);
}

/* A new call in between, one less, another value, or the end of another program. */
static void mutate_once(struct program *p, const struct program *other, uint64_t *rnd)
{
	unsigned int i = below(rnd, p->count), k, n;
	const struct op *op;

	switch (below(rnd, 8)) {
	case 0:
	case 1:
	case 2:
		if (p->count == MOST_CALLS)
			break;
		memmove(&p->call[i + 1], &p->call[i], (p->count - i) * sizeof(p->call[0]));
		p->count++;
		memset(&p->call[i], 0, sizeof(p->call[i]));
		random_call(&p->call[i], rnd);
		break;
	case 3:
		if (p->count == 1)
			break;
		p->count--;
		memmove(&p->call[i], &p->call[i + 1], (p->count - i) * sizeof(p->call[0]));
		break;
	case 4:
		n = below(rnd, other->count) + 1;
		if (n > MOST_CALLS - i)
			n = MOST_CALLS - i;
		memcpy(&p->call[i], &other->call[other->count - n], n * sizeof(p->call[0]));
		p->count = i + n;
		break;
	default:
		op = op_of(p->call[i].which);
		n = values_of(op);
		k = below(rnd, n);
		p->call[i].value[k] = draw(&op->field[k], rnd);
	}
}

void mutate_program(struct program *p, const struct program *other, uint64_t *rnd)
{
	unsigned int n = 1 + below(rnd, 4);

	while (n--)
		mutate_once(p, other, rnd);
}

void print_program(FILE *f, const struct program *p)
{
	const struct op *op;
	unsigned int i, k;

	for (i = 0; i < p->count; i++) {
		op = op_of(p->call[i].which);
		fprintf(f, "%s%s", i ? "; " : "", op->name);
		for (k = 0; k < values_of(op); k++)
			fprintf(f, " %llx", (unsigned long long)p->call[i].value[k]);
	}
	fprintf(f, "\n");
}

static bool parse_call(char *text, struct fuzz_call *c)
{
	char *save = NULL, *word = strtok_r(text, "\n ", &save);
	unsigned int i, k = 0;

	for (i = 0; word && i < op_count(); i++) {
		if (strcmp(word, op_of(i)->name))
			continue;
		c->which = i;
		while ((word = strtok_r(NULL, "\n ", &save)) && k < MOST_VALUES)
			c->value[k++] = strtoull(word, NULL, 16);
		return k == values_of(op_of(i));
	}
	return false;
}

bool parse_program(char *line, struct program *p)
{
	char *save = NULL, *text;

	memset(p, 0, sizeof(*p));
	for (text = strtok_r(line, ";", &save); text; text = strtok_r(NULL, ";", &save)) {
		if (p->count == MOST_CALLS || !parse_call(text, &p->call[p->count]))
			return false;
		p->count++;
	}
	return p->count;
}
