/* Opens and reads the kinds of socket that the slow path lives on. All are non-blocking and close-on-exec. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/addr.h"

/* Room for the control messages of one datagram, in or out. */
#define SOCKETS_CONTROL_MAX 128

/*
 * A UDP socket at a VIP, which need not exist yet (IP_FREEBIND). Datagrams that it sends are fragmented as
 * need be. The descriptor, or -errno; -EADDRINUSE when somebody else has that port.
 */
int sockets_open_vip(const struct endpoint *vip);

/* The wildcard socket (IP_TRANSPARENT) that TPROXY hands replies to; its port comes out in *port. Or -errno.
 */
int sockets_open_return(int family, uint16_t *port);

/*
 * Sets all options of such a socket, which may be open and bound already: an earlier process may have left
 * it, with other options. What waits in it is kept. 0 or -errno.
 */
int sockets_prepare_vip(int fd, int family);
int sockets_prepare_return(int fd, int family);

/* The raw socket that takes packets with their IP header. Or -errno. */
int sockets_open_raw(int family);

/*
 * The same for packets that come from a VIP of IPv4, which need not exist yet: their way is looked up as from
 * there, as it is for the VIP's UDP sockets, in case rules of the machine ask for the source. Or -errno.
 */
int sockets_open_raw_vip(const struct addr *vip);

/* How many datagrams the kernel has dropped since the socket was opened, its queue being full; comes round at
 * 2^32. */
uint32_t sockets_lost(int fd);

/* What the control messages of a received datagram say; fields without one keep their value. */
struct sockets_info {
    uint8_t tos;
    uint8_t ttl;
    struct endpoint original_dst; /* return sockets only */
};
void sockets_read_info(struct msghdr *msg, struct sockets_info *info);

/* Adds control messages for TOS and TTL of a datagram that a VIP's socket sends. msg_control has
 * SOCKETS_CONTROL_MAX. */
void sockets_write_info(struct msghdr *msg, int family, uint8_t tos, uint8_t ttl);

/* A datagram with a source that is not ours, of any size: the kernel fragments it. */
struct sockets_datagram {
    struct endpoint src;
    struct endpoint dst;
    const uint8_t *data;
    size_t len;
    uint8_t tos;
    uint8_t ttl;
};

/*
 * Sends it through a transparent socket that lives for this one datagram: dear, but datagrams over the MTU
 * are few (the IKE_AUTH of a client without IKE fragmentation). 0 or -errno.
 */
int sockets_send_large(const struct sockets_datagram *datagram);

/* The source address and the path MTU (bytes, IP header included) towards dst, as routes stand now. 0 or
 * -errno. */
int sockets_route(const struct addr *dst, struct addr *src, uint32_t *mtu);
