/* Opens the non-blocking sockets of the probes. */
#pragma once

#include <stdint.h>

#include "base/addr.h"

/*
 * The source ports of UDP probes. The port allocator of full NAT leaves this range alone, so that an answer
 * to a probe is never taken for an answer to a client.
 */
#define HEALTH_PORT_MIN 64512
#define HEALTH_PORT_MAX 65535

/*
 * All of them return a descriptor that the caller closes, or -errno. ICMP errors about what they send are
 * reported by the next call on them (IP_RECVERR), hosts that cannot be reached included.
 */

/*
 * UDP, connected to the target, so that its answers reach this socket although a TPROXY rule claims all else
 * that comes from a backend's port, and so that nobody else's datagrams do. Its port is one of the range that
 * is free, chosen at random; with all of them in use, -EADDRINUSE. The range bounds how many probes are under
 * way.
 */
int socket_udp(const struct endpoint *target);

/*
 * Raw ICMP, connected, passing on echo replies only. Raw rather than a ping socket, which a fresh namespace
 * allows to nobody (net.ipv4.ping_group_range) while CAP_NET_RAW is needed by the dataplane anyway.
 */
int socket_icmp(const struct addr *target);

/* TCP, its connection begun; it is writable once the outcome is known (SO_ERROR). */
int socket_tcp(const struct endpoint *target);

/* Takes the pending error: an errno, 0 if there is none. */
int socket_error(int fd);
