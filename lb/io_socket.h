/*
 * The slow path's I/O: batches from the VIPs' sockets and from the sockets of the way back go through the
 * dataplane, and the verdicts go out in batches. One libuv loop, no threads.
 */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "base/log.h"
#include "lb/dataplane.h"
#include "lb/inherited.h"

struct io_socket;

/* What lb/kernel must know: the ports of the sockets of the way back; 0 for a family that no VIP has. */
struct io_return_ports {
    uint16_t v4;
    uint16_t v6;
};

/*
 * Opens all sockets: per VIP one for 500 and one for 4500, and per family one for the way back and one raw.
 * Those that are among `inherited` (NULL: nothing is) are taken from there instead, with what waits in them.
 * Everything is borrowed and must outlive it, but `inherited` only the call. 0 and *out, or -errno after a
 * logged error that names the socket; nothing is left open then.
 */
int io_socket_create(uv_loop_t *loop, struct dataplane *dp, struct inherited *inherited,
                     const struct log *log, struct io_socket **out);

struct io_return_ports io_socket_return_ports(const struct io_socket *io);

/* "udp.203.0.113.10.500", "udp.2001-db8--1.4500", "return.4": letters, digits, dots and hyphens only. */
#define IO_SOCKET_NAME_MAX (ADDR_TEXT_MAX + 16)

/*
 * Calls `visit` for each socket that is read, which are those that a restart may lose packets in. The name
 * tells them apart, and is the same whenever the same configuration is run.
 */
void io_socket_each(const struct io_socket *io, void (*visit)(void *ctx, int fd, const char *name),
                    void *ctx);

/* Begins to read. 0 or a negative libuv error. */
int io_socket_start(struct io_socket *io);

/*
 * Opens what a VIP needs that a reload is about to bring, where it is not open already; `service` is for the
 * error, which is logged. Nothing is read until io_socket_refresh(). 0 or -errno.
 */
int io_socket_prepare(struct io_socket *io, const char *service, const struct addr *vip);

/*
 * Takes note that the pool's services have changed: the sockets of VIPs that are gone, or were prepared in
 * vain, are closed, the others are read. 0; or a negative libuv error, after a logged error: the VIPs of
 * which some cannot be read.
 */
int io_socket_refresh(struct io_socket *io);

/* Closes everything and frees it; `closed(ctx)` is called from the loop when that is done. */
void io_socket_close(struct io_socket *io, void (*closed)(void *ctx), void *ctx);
