// SPDX-License-Identifier: MIT

#include <sys/socket.h>

#include "peer.h"
#include "rxe.h"

const char *const peer_perftests[PEER_PERFTESTS] = { "ib_write_bw", "ib_read_bw" };

/* The second GID is that of the address. What is not of whole pages rxe copies wrongly. */
void peer_perftest(char *command, size_t size, const char *under, unsigned int which,
		   const char *address)
{
	snprintf(command, size, "%s timeout 60 %s -d " PEER_DEVICE " -x 1 -F --odp -n 200 -s 65536 2>&1 %s",
		 under, peer_perftests[which], address);
}

bool peer_send(int fd, const void *p, size_t size)
{
	return send(fd, p, size, MSG_NOSIGNAL) == (ssize_t)size;
}

bool peer_receive(int fd, void *p, size_t size)
{
	return recv(fd, p, size, MSG_WAITALL) == (ssize_t)size;
}

bool peer_connect(int fd, struct end *e)
{
	struct peer_end own = { .qpn = e->qp->qp_num }, other;
	union ibv_gid gid = gid_of(e);

	memcpy(own.gid, gid.raw, sizeof(own.gid));
	if (!peer_send(fd, &own, sizeof(own)) || !peer_receive(fd, &other, sizeof(other)))
		return false;
	memcpy(gid.raw, other.gid, sizeof(other.gid));
	connect_to(e, other.qpn, gid);
	return true;
}
