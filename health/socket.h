/* Opens the non-blocking sockets of the probes. */
#pragma once

#include <stdbool.h>
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

/* What becomes of a datagram that is larger than the way to the target carries in one piece. */
enum socket_fragments {
    SOCKET_FRAGMENTS_AS_USUAL, /* this machine fragments it as it knows the path; routers must not (DF) */
    SOCKET_FRAGMENTS_ALLOWED,  /* this machine and every router may */
    SOCKET_FRAGMENTS_NEVER,    /* it is lost, and what this machine has learnt about the path is ignored */
};

struct socket_udp {
    struct endpoint target;
    uint16_t source_port; /* 0: a free one of the range above */
    enum socket_fragments fragments;
};

/*
 * UDP, connected to the target, so that its answers reach this socket although a TPROXY rule claims all else
 * that comes from a backend's port, and so that nobody else's datagrams do. A free port is one of the range,
 * chosen at random; with all of them in use, -EADDRINUSE. The range bounds how many probes are under way.
 */
int socket_udp(const struct socket_udp *what);

/*
 * Raw ICMP, connected, passing on echo replies only. Raw rather than a ping socket, which a fresh namespace
 * allows to nobody (net.ipv4.ping_group_range) while CAP_NET_RAW is needed by the dataplane anyway.
 */
int socket_icmp(const struct addr *target);

/* TCP, its connection begun; it is writable once the outcome is known (SO_ERROR). */
int socket_tcp(const struct endpoint *target);

/* How large an IP packet may be, in bytes, headers included, and who says so; all zero if nobody did. */
struct socket_limit {
    uint32_t mtu;
    bool is_own; /* this machine's own link, nothing was sent; else a router's ICMP message */
};

/* After a call has failed with EMSGSIZE: takes the message from the socket's error queue. */
struct socket_limit socket_limit(int fd);

/* Takes the pending error: an errno, 0 if there is none. */
int socket_error(int fd);
