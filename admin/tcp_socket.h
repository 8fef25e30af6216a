/* The listening TCP socket of the HTTP API. */
#pragma once

#include "base/addr.h"

/*
 * Listens at that address and port. The descriptor (non-blocking, close-on-exec); or a negative error:
 * -EADDRINUSE when another program listens there, -EADDRNOTAVAIL when no interface has the address, or what
 * else the system says. The unspecified IPv6 address stands for all of IPv4, too.
 */
int tcp_socket_listen(const struct endpoint *at);
