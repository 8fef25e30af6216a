#include "lb/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "lb/sockets.h"

/* An option whose value is an int; -1 if the socket has no such option. */
static int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;

    return getsockopt(fd, level, name, &value, &len) < 0 ? -1 : value;
}

/* A socket keeps the network namespace that it was made in. In another one nothing would ever come to it. */
static bool is_of_this_namespace(int fd)
{
    uint64_t its = 0, ours = 0;
    socklen_t its_len = sizeof its, ours_len = sizeof ours;
    const int own = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    /* A kernel before 5.14 does not tell. Then it is ours: so it is wherever nobody moved the service. */
    const bool is_known = own >= 0 && getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &its, &its_len) == 0 &&
                          getsockopt(own, SOL_SOCKET, SO_NETNS_COOKIE, &ours, &ours_len) == 0;

    if (own >= 0)
        close(own);
    return !is_known || its == ours;
}

static bool is_usable(int fd, struct endpoint *at)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    const int family = option_of(fd, SOL_SOCKET, SO_DOMAIN);

    if (option_of(fd, SOL_SOCKET, SO_TYPE) != SOCK_DGRAM ||
        option_of(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_UDP)
        return false;
    if (family == AF_INET6 && option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 1)
        return false; /* and a bound socket cannot be made so */
    if (getpeername(fd, (struct sockaddr *)&sa, &len) == 0)
        return false;
    len = sizeof sa;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
           getsockname(fd, (struct sockaddr *)&sa, &len) == 0 &&
           endpoint_from_sockaddr((const struct sockaddr *)&sa, at) == 0 && at->port != 0 &&
           is_of_this_namespace(fd);
}

int inherited_init(const int *fds, size_t count, struct inherited *out)
{
    *out = (struct inherited){.count = count};
    if (count == 0)
        return 0;
    out->sockets = calloc(count, sizeof *out->sockets);
    if (!out->sockets) {
        out->count = 0;
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        out->sockets[i].fd = fds[i];
        out->sockets[i].usable = is_usable(fds[i], &out->sockets[i].at);
    }
    return 0;
}

void inherited_deinit(struct inherited *inherited)
{
    for (size_t i = 0; i < inherited->count; i++)
        if (inherited->sockets[i].fd >= 0)
            close(inherited->sockets[i].fd);
    free(inherited->sockets);
    *inherited = (struct inherited){0};
}

static int take(struct inherited_socket *socket)
{
    const int fd = socket->fd;

    socket->fd = -1;
    return fd;
}

int inherited_take_vip(struct inherited *inherited, const struct endpoint *vip)
{
    for (size_t i = 0; i < inherited->count; i++) {
        struct inherited_socket *socket = &inherited->sockets[i];
        if (socket->fd >= 0 && socket->usable && endpoint_equal(&socket->at, vip) &&
            sockets_prepare_vip(socket->fd, addr_family(&vip->addr)) == 0)
            return take(socket);
    }
    return ERR_NOT_FOUND;
}

/* Bound to all addresses and transparent: nobody else's socket is both. */
static bool is_return(const struct inherited_socket *socket, int family)
{
    return socket->fd >= 0 && socket->usable && addr_family(&socket->at.addr) == family &&
           addr_is_unspecified(&socket->at.addr) &&
           option_of(socket->fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
                     family == AF_INET ? IP_TRANSPARENT : IPV6_TRANSPARENT) == 1;
}

int inherited_take_return(struct inherited *inherited, int family, uint16_t *port)
{
    for (size_t i = 0; i < inherited->count; i++) {
        struct inherited_socket *socket = &inherited->sockets[i];
        if (is_return(socket, family) && sockets_prepare_return(socket->fd, family) == 0) {
            *port = socket->at.port;
            return take(socket);
        }
    }
    return ERR_NOT_FOUND;
}
