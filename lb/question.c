#include "lb/question.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define PART_BYTES 32768 /* what the kernel puts into one part of a list at most */

/* So often a list is asked for that changes meanwhile. */
#define TRIES 4

/* The kernel answers while it is asked, so there is nothing to wait for. Kernels that do not know one of the
 * options, the last of them of Linux 4.20, do without. */
struct mnl_socket *question_socket(int bus, unsigned groups)
{
    static const int options[] = {NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK};
    struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int on = 1;

    if (socket && mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID) < 0) {
        const int err = errno;
        mnl_socket_close(socket);
        errno = err;
        return NULL;
    }
    for (size_t i = 0; socket && i < sizeof options / sizeof options[0]; i++)
        (void)mnl_socket_setsockopt(socket, options[i], &on, sizeof on);
    return socket;
}

int question_open(struct question *q, int bus)
{
    *q = (struct question){.bus = bus, .socket = question_socket(bus, 0)};
    return q->socket ? 0 : -errno;
}

void question_close(struct question *q)
{
    if (q->socket)
        mnl_socket_close(q->socket);
    q->socket = NULL;
}

struct nlmsghdr *question_begin(struct question *q, uint16_t type, size_t header_bytes)
{
    struct nlmsghdr *nlh = mnl_nlmsg_put_header(q->message);

    nlh->nlmsg_type = type;
    (void)mnl_nlmsg_put_extra_header(nlh, header_bytes);
    return nlh;
}

/* Who gets what is answered. */
struct reader {
    struct question *question;
    mnl_cb_t found;
    void *data;
    bool has_ended; /* there is no more to come */
};

static int on_entry(const struct nlmsghdr *nlh, void *data)
{
    const struct reader *reader = data;

    return reader->found ? reader->found(nlh, reader->data) : MNL_CB_OK;
}

static int on_end_attr(const struct nlattr *attr, void *data)
{
    struct question *q = data;

    if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
        snprintf(q->trouble, sizeof q->trouble, "%s", mnl_attr_get_str(attr));
    return MNL_CB_OK;
}

/* An acknowledgement, a refusal or the end of a list. The library reads no text, and takes every end for a
 * good one. */
static int on_end(const struct nlmsghdr *nlh, void *data)
{
    struct reader *reader = data;
    const int *err = mnl_nlmsg_get_payload(nlh); /* struct nlmsgerr begins with it as well */
    const size_t bytes = nlh->nlmsg_type == NLMSG_ERROR ? sizeof(struct nlmsgerr) : sizeof *err;

    if (mnl_nlmsg_get_payload_len(nlh) < bytes) {
        errno = EBADMSG;
        return MNL_CB_ERROR;
    }
    if (nlh->nlmsg_flags & NLM_F_ACK_TLVS)
        (void)mnl_attr_parse(nlh, (unsigned)bytes, on_end_attr, reader->question);
    reader->has_ended = true;
    errno = -*err;
    return *err ? MNL_CB_ERROR : MNL_CB_STOP;
}

static int exchange(struct question *q, const struct nlmsghdr *nlh, struct reader *reader)
{
    mnl_cb_t ends[] = {[NLMSG_ERROR] = on_end, [NLMSG_DONE] = on_end};
    _Alignas(struct nlmsghdr) char part[PART_BYTES];
    int more = MNL_CB_OK;

    if (mnl_socket_sendto(q->socket, nlh, nlh->nlmsg_len) < 0)
        return -errno;
    while (more == MNL_CB_OK) {
        const ssize_t len = mnl_socket_recvfrom(q->socket, part, sizeof part);
        if (len < 0)
            return -errno;
        more = mnl_cb_run2(part, (size_t)len, q->seq, mnl_socket_get_portid(q->socket), on_entry, reader,
                           ends, sizeof ends / sizeof ends[0]);
    }
    return more < 0 ? -errno : 0;
}

static int ask(struct question *q, struct nlmsghdr *nlh, uint16_t flags, mnl_cb_t found, void *data)
{
    struct reader reader = {.question = q, .found = found, .data = data};

    q->trouble[0] = '\0';
    if (!q->socket)
        q->socket = question_socket(q->bus, 0);
    if (!q->socket)
        return -errno;
    nlh->nlmsg_flags |= NLM_F_REQUEST | flags;
    nlh->nlmsg_seq = ++q->seq;
    const int err = exchange(q, nlh, &reader);
    if (err && !reader.has_ended) /* the rest of the answer would be taken for that to the next question */
        question_close(q);
    return err;
}

int question_ask(struct question *q, struct nlmsghdr *nlh, mnl_cb_t found, void *data)
{
    return ask(q, nlh, NLM_F_ACK, found, data);
}

int question_list(struct question *q, struct nlmsghdr *nlh, mnl_cb_t found, void *data, size_t size)
{
    char at_first[QUESTION_DATA_MAX];
    int err = -EINTR;

    if (size > sizeof at_first)
        return ERR_RANGE;
    memcpy(at_first, data, size);
    for (int i = 0; i < TRIES && err == -EINTR; i++) {
        memcpy(data, at_first, size);
        err = ask(q, nlh, NLM_F_DUMP, found, data);
    }
    return err;
}
