#include "health/socket.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define OPEN_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

/* Closes the descriptor and returns the errno of the call that failed before. */
static int fail(int fd)
{
    const int error = errno;

    close(fd);
    return -error;
}

static int report_icmp_errors(int fd, int family)
{
    const int on = 1;

    if (family == AF_INET)
        return setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
}

static int connect_to(int fd, const struct endpoint *target)
{
    struct sockaddr_storage sa;
    const socklen_t len = endpoint_to_sockaddr(target, &sa);

    return connect(fd, (const struct sockaddr *)&sa, len);
}

static int bind_port(int fd, int family, uint16_t port)
{
    const struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    const struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (family == AF_INET)
        return bind(fd, (const struct sockaddr *)&v4, sizeof v4);
    return bind(fd, (const struct sockaddr *)&v6, sizeof v6);
}

static int bind_free_port(int fd, int family)
{
    const unsigned count = HEALTH_PORT_MAX - HEALTH_PORT_MIN + 1;
    uint16_t start = 0;

    const int status = uv_random(NULL, NULL, &start, sizeof start, 0, NULL);
    if (status < 0) {
        errno = -status;
        return -1;
    }
    for (unsigned i = 0; i < count; i++) {
        if (bind_port(fd, family, (uint16_t)(HEALTH_PORT_MIN + (start + i) % count)) == 0)
            return 0;
        if (errno != EADDRINUSE)
            return -1;
    }
    return -1;
}

static int set_fragments(int fd, int family, enum socket_fragments fragments)
{
    const int never = fragments == SOCKET_FRAGMENTS_NEVER;
    const int v4 = never ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT;
    const int v6 = never ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT;

    if (fragments == SOCKET_FRAGMENTS_AS_USUAL)
        return 0;
    if (family == AF_INET)
        return setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4, sizeof v4);
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_DONTFRAG, &never, sizeof never) < 0)
        return -1;
    return setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6, sizeof v6);
}

int socket_udp(const struct socket_udp *what)
{
    const int family = addr_family(&what->target.addr);
    const int on = 1;
    const int fd = socket(family, SOCK_DGRAM | OPEN_FLAGS, 0);

    if (fd < 0)
        return -errno;
    /* Without this a wildcard IPv6 socket would also take the port away from IPv4. */
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
        return fail(fd);
    if (report_icmp_errors(fd, family) < 0 || set_fragments(fd, family, what->fragments) < 0)
        return fail(fd);
    if ((what->source_port ? bind_port(fd, family, what->source_port) : bind_free_port(fd, family)) < 0 ||
        connect_to(fd, &what->target) < 0)
        return fail(fd);
    return fd;
}

struct socket_limit socket_limit(int fd)
{
    char control[512];
    struct msghdr msg = {.msg_control = control, .msg_controllen = sizeof control};
    struct socket_limit limit = {0};

    if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
        return limit;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        const bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
        const bool v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;
        struct sock_extended_err e;
        if (!v4 && !v6)
            continue;
        memcpy(&e, CMSG_DATA(c), sizeof e);
        if (e.ee_errno == EMSGSIZE)
            limit = (struct socket_limit){.mtu = e.ee_info, .is_own = e.ee_origin == SO_EE_ORIGIN_LOCAL};
    }
    return limit;
}

static int pass_echo_replies_only(int fd, int family)
{
    if (family == AF_INET) {
        const struct icmp_filter filter = {.data = ~(1U << ICMP_ECHOREPLY)};
        return setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
    }
    struct icmp6_filter filter;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
    return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
}

int socket_icmp(const struct addr *target)
{
    const struct endpoint to = {.addr = *target};
    const int family = addr_family(target);
    const int fd = socket(family, SOCK_RAW | OPEN_FLAGS, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);

    if (fd < 0)
        return -errno;
    if (pass_echo_replies_only(fd, family) < 0 || report_icmp_errors(fd, family) < 0 ||
        connect_to(fd, &to) < 0)
        return fail(fd);
    return fd;
}

int socket_tcp(const struct endpoint *target)
{
    const int family = addr_family(&target->addr);
    const int fd = socket(family, SOCK_STREAM | OPEN_FLAGS, 0);

    if (fd < 0)
        return -errno;
    if (report_icmp_errors(fd, family) < 0 || (connect_to(fd, target) < 0 && errno != EINPROGRESS))
        return fail(fd);
    return fd;
}

int socket_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}
