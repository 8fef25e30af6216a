#include "lb/sockets.h"

#include <errno.h>
#include <linux/in6.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

/* Bursts of a whole pool's clients must fit while the loop is busy elsewhere. */
#define BUFFER_BYTES (8 * 1024 * 1024)

/* One option, as a row: level, name, value. */
struct option {
    int level;
    int name;
    int value;
};

static int set_options(int fd, const struct option *options, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value) < 0)
            return -errno;
    return 0;
}

#define SET_OPTIONS(fd, table) set_options(fd, table, sizeof(table) / sizeof(table)[0])

/* Larger than net.core.*mem_max with CAP_NET_ADMIN, else as large as that allows: either will do. */
static void set_buffers(int fd)
{
    const int bytes = BUFFER_BYTES;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

/* What every UDP socket here has, and can be given at any time. */
static int prepare_udp(int fd, int family)
{
    static const struct option v4[] = {
        {IPPROTO_IP, IP_RECVTOS, 1},
        {IPPROTO_IP, IP_RECVTTL, 1},
        {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT},
    };
    static const struct option v6[] = {
        {IPPROTO_IPV6, IPV6_RECVTCLASS, 1},
        {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1},
        {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT},
    };

    return family == AF_INET ? SET_OPTIONS(fd, v4) : SET_OPTIONS(fd, v6);
}

static int open_udp(int family)
{
    static const struct option v6[] = {{IPPROTO_IPV6, IPV6_V6ONLY, 1}}; /* before it is bound, or never */
    const int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    const int err = family == AF_INET6 ? SET_OPTIONS(fd, v6) : 0;
    if (err) {
        close(fd);
        return err;
    }
    return fd;
}

static int bind_to(int fd, const struct endpoint *at)
{
    struct sockaddr_storage sa;
    const socklen_t len = endpoint_to_sockaddr(at, &sa);

    return bind(fd, (const struct sockaddr *)&sa, len) < 0 ? -errno : 0;
}

int sockets_prepare_vip(int fd, int family)
{
    static const struct option v4[] = {{IPPROTO_IP, IP_FREEBIND, 1}};
    static const struct option v6[] = {{IPPROTO_IPV6, IPV6_FREEBIND, 1}};
    int err = prepare_udp(fd, family);

    if (!err)
        err = family == AF_INET ? SET_OPTIONS(fd, v4) : SET_OPTIONS(fd, v6);
    set_buffers(fd);
    return err;
}

int sockets_open_vip(const struct endpoint *vip)
{
    const int family = addr_family(&vip->addr);
    const int fd = open_udp(family);

    if (fd < 0)
        return fd;
    int err = sockets_prepare_vip(fd, family);
    if (!err)
        err = bind_to(fd, vip);
    if (err) {
        close(fd);
        return err;
    }
    return fd;
}

int sockets_prepare_return(int fd, int family)
{
    /* SO_REUSEADDR: the socket of sockets_send_large() may need the same port at a client's address. */
    static const struct option v4[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1}, {IPPROTO_IP, IP_TRANSPARENT, 1}, {IPPROTO_IP, IP_RECVORIGDSTADDR, 1}};
    static const struct option v6[] = {{SOL_SOCKET, SO_REUSEADDR, 1},
                                       {IPPROTO_IPV6, IPV6_TRANSPARENT, 1},
                                       {IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1}};
    int err = prepare_udp(fd, family);

    if (!err)
        err = family == AF_INET ? SET_OPTIONS(fd, v4) : SET_OPTIONS(fd, v6);
    set_buffers(fd);
    return err;
}

int sockets_open_return(int family, uint16_t *port)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    struct endpoint at = {0};
    const int fd = open_udp(family);

    if (fd < 0)
        return fd;
    if (family == AF_INET)
        at.addr = addr_from_v4("\0\0\0\0");
    int err = sockets_prepare_return(fd, family);
    if (!err)
        err = bind_to(fd, &at);
    if (!err && getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        err = -errno;
    if (!err)
        err = endpoint_from_sockaddr((const struct sockaddr *)&sa, &at);
    if (err) {
        close(fd);
        return err;
    }
    *port = at.port;
    return fd;
}

int sockets_open_raw(int family)
{
    /* IPPROTO_RAW implies that the caller writes the IP header (raw(7), ipv6(7)), and never receives. */
    const int fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);

    if (fd < 0)
        return -errno;
    set_buffers(fd);
    return fd;
}

int sockets_open_raw_vip(const struct addr *vip)
{
    static const struct option options[] = {{IPPROTO_IP, IP_FREEBIND, 1}};
    const struct endpoint at = {.addr = *vip};
    const int fd = sockets_open_raw(AF_INET);

    if (fd < 0)
        return fd;
    int err = SET_OPTIONS(fd, options);
    if (!err)
        err = bind_to(fd, &at);
    if (err) {
        close(fd);
        return err;
    }
    return fd;
}

uint32_t sockets_lost(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof info;

    /* It cannot fail with a socket of ours; if it did, nothing would be known to be lost. */
    (void)getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len);
    return info[SK_MEMINFO_DROPS];
}

void sockets_read_info(struct msghdr *msg, struct sockets_info *info)
{
    int value;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            info->tos = *CMSG_DATA(c);
        } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
                   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
            memcpy(&value, CMSG_DATA(c), sizeof value);
            info->ttl = (uint8_t)value;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            memcpy(&value, CMSG_DATA(c), sizeof value);
            info->tos = (uint8_t)value;
        } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR) ||
                   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR)) {
            (void)endpoint_from_sockaddr((const struct sockaddr *)CMSG_DATA(c), &info->original_dst);
        }
    }
}

static struct cmsghdr *put_int(struct cmsghdr *c, int level, int type, int value)
{
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(sizeof value);
    memcpy(CMSG_DATA(c), &value, sizeof value);
    return (struct cmsghdr *)((uint8_t *)c + CMSG_SPACE(sizeof value));
}

void sockets_write_info(struct msghdr *msg, int family, uint8_t tos, uint8_t ttl)
{
    const bool v4 = family == AF_INET;
    struct cmsghdr *c = msg->msg_control;

    c = put_int(c, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_HOPLIMIT, ttl);
    if (tos)
        c = put_int(c, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, tos);
    msg->msg_controllen = (size_t)((uint8_t *)c - (uint8_t *)msg->msg_control);
}

int sockets_send_large(const struct sockets_datagram *d)
{
    const bool v4 = addr_is_v4(&d->dst.addr);
    const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
    const struct option options[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1},
        {level, v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, 1},
        {level, v4 ? IP_TOS : IPV6_TCLASS, d->tos},
        {level, v4 ? IP_TTL : IPV6_UNICAST_HOPS, d->ttl},
    };
    struct sockaddr_storage to;
    const int fd = open_udp(v4 ? AF_INET : AF_INET6);

    if (fd < 0)
        return fd;
    int err = prepare_udp(fd, v4 ? AF_INET : AF_INET6);
    if (!err)
        err = SET_OPTIONS(fd, options);
    if (!err)
        err = bind_to(fd, &d->src);
    if (!err) {
        const socklen_t to_len = endpoint_to_sockaddr(&d->dst, &to);
        if (sendto(fd, d->data, d->len, 0, (const struct sockaddr *)&to, to_len) < 0)
            err = -errno;
    }
    close(fd);
    return err;
}

int sockets_route(const struct addr *dst, struct addr *src, uint32_t *mtu)
{
    const bool v4 = addr_is_v4(dst);
    const struct endpoint to = {.addr = *dst, .port = 500};
    struct endpoint from;
    struct sockaddr_storage sa;
    socklen_t sa_len = endpoint_to_sockaddr(&to, &sa);
    int value = 0;
    socklen_t value_len = sizeof value;
    int err = 0;
    const int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&sa, sa_len) < 0)
        err = -errno;
    sa_len = sizeof sa;
    if (!err && getsockname(fd, (struct sockaddr *)&sa, &sa_len) < 0)
        err = -errno;
    if (!err &&
        getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &value, &value_len) < 0)
        err = -errno;
    close(fd);
    if (err)
        return err;
    err = endpoint_from_sockaddr((const struct sockaddr *)&sa, &from);
    *src = from.addr;
    *mtu = (uint32_t)value;
    return err;
}
