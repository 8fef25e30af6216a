#include "lb/xdp/question.h"

#include <errno.h>

#define ANSWER_BYTES 32768 /* what the kernel puts into one part of a dump at most */

struct mnl_socket *question_socket(int bus, int flags, unsigned groups)
{
    struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC | flags);

    if (socket && mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID) < 0) {
        const int err = errno;
        mnl_socket_close(socket);
        errno = err;
        return NULL;
    }
    return socket;
}

int question_open(struct question *q, int bus)
{
    *q = (struct question){.bus = bus, .socket = question_socket(bus, 0, 0)};
    return q->socket ? 0 : -errno;
}

void question_close(struct question *q)
{
    if (q->socket)
        mnl_socket_close(q->socket);
    q->socket = NULL;
}

static int exchange(struct question *q, const struct nlmsghdr *nlh, mnl_cb_t found, void *data)
{
    _Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
    int more = MNL_CB_OK;

    if (mnl_socket_sendto(q->socket, nlh, nlh->nlmsg_len) < 0)
        return -errno;
    while (more == MNL_CB_OK) {
        const ssize_t len = mnl_socket_recvfrom(q->socket, answer, sizeof answer);
        if (len < 0)
            return -errno;
        more = mnl_cb_run(answer, (size_t)len, q->seq, mnl_socket_get_portid(q->socket), found, data);
    }
    return more < 0 ? -errno : 0;
}

int question_ask(struct question *q, struct nlmsghdr *nlh, uint16_t flags, mnl_cb_t found, void *data)
{
    if (!q->socket)
        q->socket = question_socket(q->bus, 0, 0);
    if (!q->socket)
        return -errno;
    nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    nlh->nlmsg_seq = ++q->seq;
    const int err = exchange(q, nlh, found, data);
    if (err) /* the rest of the answer, if there is one, would be taken for that to the next question */
        question_close(q);
    return err;
}
