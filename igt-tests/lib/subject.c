// SPDX-License-Identifier: MIT

#include "subject.h"

struct subject make_subject(int fd, uint64_t size, uint32_t placement)
{
	struct subject s = { .fd = fd, .size = size };

	igt_assert_eq(__vvram_create(fd, size, placement, DRM_VVRAM_GEM_CREATE_CONTIGUOUS,
				     &s.handle), 0);
	s.dmabuf = prime_handle_to_fd_for_mmap(fd, s.handle);
	s.p = vvram_mmap(fd, s.handle, size);
	return s;
}

void free_subject(struct subject *s)
{
	munmap(s->p, s->size);
	close(s->dmabuf);
	gem_close(s->fd, s->handle);
}
