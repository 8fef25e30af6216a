#include "admin/tcp_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 16

/* A port on which only connections of an earlier run linger is free; one on which somebody listens is not. */
static int set_options(int fd, int family)
{
    static const int on = 1, off = 0;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return -errno;
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0)
        return -errno;
    return 0;
}

int tcp_socket_listen(const struct endpoint *at)
{
    struct sockaddr_storage addr;
    const socklen_t len = endpoint_to_sockaddr(at, &addr);
    const int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    int err = set_options(fd, addr.ss_family);
    if (!err && (bind(fd, (const struct sockaddr *)&addr, len) < 0 || listen(fd, BACKLOG) < 0))
        err = -errno;
    if (err)
        close(fd);
    return err ? err : fd;
}
