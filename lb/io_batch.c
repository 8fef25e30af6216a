#include "lb/io_batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"

struct incoming {
    struct sockaddr_storage from;
    struct iovec iov;
    _Alignas(struct cmsghdr) uint8_t control[SOCKETS_CONTROL_MAX];
};

struct outgoing {
    struct sockaddr_storage to;
    struct iovec iov[2]; /* headers, if the socket is raw, and payload */
    uint8_t headers[HEADERS_LEN_MAX];
    _Alignas(struct cmsghdr) uint8_t control[SOCKETS_CONTROL_MAX];
    struct sockets_datagram datagram; /* should it have to be fragmented after all */
};

struct io_batch {
    struct mmsghdr rx[IO_BATCH_SIZE];
    struct incoming in[IO_BATCH_SIZE];
    struct mmsghdr tx[IO_BATCH_SIZE];
    struct outgoing out[IO_BATCH_SIZE];
    struct io_target target; /* of all that is waiting */
    unsigned waiting;
    uint8_t *buffers;
};

struct io_batch *io_batch_create(void)
{
    struct io_batch *batch = calloc(1, sizeof *batch);

    if (!batch)
        return NULL;
    batch->buffers = pages_alloc_ready(IO_BATCH_SIZE, IO_DATAGRAM_MAX);
    if (!batch->buffers) {
        free(batch);
        return NULL;
    }
    for (size_t i = 0; i < IO_BATCH_SIZE; i++) {
        struct incoming *in = &batch->in[i];
        in->iov =
            (struct iovec){.iov_base = batch->buffers + i * IO_DATAGRAM_MAX, .iov_len = IO_DATAGRAM_MAX};
        batch->rx[i].msg_hdr = (struct msghdr){
            .msg_name = &in->from, .msg_iov = &in->iov, .msg_iovlen = 1, .msg_control = in->control};
        batch->tx[i].msg_hdr = (struct msghdr){.msg_name = &batch->out[i].to};
    }
    return batch;
}

void io_batch_destroy(struct io_batch *batch)
{
    if (!batch)
        return;
    pages_free(batch->buffers, IO_BATCH_SIZE, IO_DATAGRAM_MAX);
    free(batch);
}

int io_batch_receive(struct io_batch *batch, int fd, int most)
{
    int n;

    for (int i = 0; i < most; i++) {
        batch->rx[i].msg_hdr.msg_namelen = sizeof batch->in[i].from;
        batch->rx[i].msg_hdr.msg_controllen = sizeof batch->in[i].control;
    }
    do
        n = recvmmsg(fd, batch->rx, (unsigned)most, MSG_DONTWAIT, NULL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
    return n;
}

void io_batch_packet(struct io_batch *batch, int i, struct packet *packet)
{
    struct sockets_info info = {.ttl = 64};

    sockets_read_info(&batch->rx[i].msg_hdr, &info);
    (void)endpoint_from_sockaddr((const struct sockaddr *)&batch->in[i].from, &packet->src);
    packet->dst = info.original_dst;
    packet->data = batch->in[i].iov.iov_base;
    packet->len = batch->rx[i].msg_len;
    packet->tos = info.tos;
    packet->ttl = info.ttl;
}

static void count_error(struct dataplane *dp, int err)
{
    const bool busy = err == -EAGAIN || err == -EWOULDBLOCK || err == -ENOBUFS || err == -ENOMEM;

    dataplane_count_unsent(dp, busy ? DROP_SEND_BUSY : DROP_SEND_FAILED);
}

static void fill_udp(struct mmsghdr *msg, struct outgoing *out)
{
    msg->msg_hdr.msg_namelen = endpoint_to_sockaddr(&out->datagram.dst, &out->to);
    msg->msg_hdr.msg_iov = &out->iov[1];
    msg->msg_hdr.msg_iovlen = 1;
    msg->msg_hdr.msg_control = out->control;
    sockets_write_info(&msg->msg_hdr, addr_family(&out->datagram.dst.addr), out->datagram.tos,
                       out->datagram.ttl);
}

/* A raw socket does not fragment. */
static void send_large(struct dataplane *dp, const struct io_target *target, struct mmsghdr *msg,
                       struct outgoing *out)
{
    int err = 0;

    if (target->udp_fd < 0) {
        err = sockets_send_large(&out->datagram);
    } else {
        fill_udp(msg, out);
        if (sendmsg(target->udp_fd, &msg->msg_hdr, MSG_DONTWAIT) < 0)
            err = -errno;
    }
    if (err)
        count_error(dp, err);
}

void io_batch_flush(struct io_batch *batch, struct dataplane *dp)
{
    unsigned sent = 0;

    while (sent < batch->waiting) {
        const int n = sendmmsg(batch->target.fd, &batch->tx[sent], batch->waiting - sent, MSG_DONTWAIT);
        if (n > 0) {
            sent += (unsigned)n;
        } else if (n < 0 && errno != EINTR) {
            /* The error is the first datagram's, and costs only this one. */
            if (errno == EMSGSIZE && batch->target.raw)
                send_large(dp, &batch->target, &batch->tx[sent], &batch->out[sent]);
            else
                count_error(dp, -errno);
            sent++;
        }
    }
    batch->waiting = 0;
}

static void fill_raw(struct mmsghdr *msg, struct outgoing *out, const struct verdict *verdict)
{
    const struct sockets_datagram *d = &out->datagram;
    const struct headers_request request = {
        .src = d->src,
        .dst = d->dst,
        .payload = d->data,
        .len = d->len,
        .tos = d->tos,
        .ttl = d->ttl,
        .id = verdict->id,
        .omit_checksum = verdict->may_omit_checksum,
    };

    out->iov[0] = (struct iovec){.iov_base = out->headers, .iov_len = headers_write(&request, out->headers)};
    /* A raw socket has protocols for ports (ipv6(7)): zero stands for its own. */
    const struct endpoint to = {.addr = d->dst.addr};
    msg->msg_hdr.msg_namelen = endpoint_to_sockaddr(&to, &out->to);
    msg->msg_hdr.msg_iov = out->iov;
    msg->msg_hdr.msg_iovlen = 2;
    msg->msg_hdr.msg_control = NULL;
    msg->msg_hdr.msg_controllen = 0;
}

void io_batch_send(struct io_batch *batch, struct dataplane *dp, const struct io_target *target,
                   const struct packet *packet, const struct verdict *verdict)
{
    const size_t headers = addr_is_v4(&verdict->dst.addr) ? HEADERS_LEN_V4 : HEADERS_LEN_V6;

    if (batch->waiting == IO_BATCH_SIZE || (batch->waiting && target->fd != batch->target.fd))
        io_batch_flush(batch, dp);

    struct outgoing *out = &batch->out[batch->waiting];
    out->datagram = (struct sockets_datagram){
        .src = verdict->src,
        .dst = verdict->dst,
        .data = packet->data,
        .len = packet->len,
        .tos = packet->tos,
        .ttl = (uint8_t)(packet->ttl - 1),
    };
    struct mmsghdr *msg = &batch->tx[batch->waiting];
    /* iov_base is not const in the C library, yet sending only reads it. */
    out->iov[1] = (struct iovec){.iov_base = (void *)packet->data, .iov_len = packet->len};
    if (target->raw && target->mtu && headers + packet->len > target->mtu) {
        io_batch_flush(batch, dp); /* not before what came before it */
        send_large(dp, target, msg, out);
        return;
    }
    batch->waiting++;
    batch->target = *target;
    if (target->raw)
        fill_raw(msg, out, verdict);
    else
        fill_udp(msg, out);
}
