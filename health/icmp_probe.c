#include "health/icmp_probe.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "health/socket.h"
#include "health/watch.h"

#define ECHO_LEN        24 /* type, code, checksum; then what the peer sends back: */
#define ECHOED_OFFSET   4
#define ECHOED_LEN      (ECHO_LEN - ECHOED_OFFSET) /* identifier, sequence number and data, all of them random */
#define READS_PER_EVENT 8                          /* a flood of echo replies cannot hold the loop */
#define REPLY_MAX       512

struct icmp_probe {
    struct probe_request request;
    struct watch *watch;
    uint8_t echoed[ECHOED_LEN];
};

/* RFC 1071, over an even number of bytes. */
static uint16_t internet_checksum(const uint8_t *data, size_t len)
{
    struct cursor c = cursor_over(data, len);
    uint32_t sum = 0;

    while (cursor_left(&c))
        sum += cursor_u16(&c);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static int send_request(const struct icmp_probe *p, int fd)
{
    const bool v4 = addr_is_v4(&p->request.target);
    uint8_t packet[ECHO_LEN];
    struct writer w = writer_over(packet, sizeof packet);

    writer_u8(&w, v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST);
    writer_u8(&w, 0);
    writer_u16(&w, 0);
    writer_bytes(&w, p->echoed, sizeof p->echoed);
    /*
     * The kernel writes ICMPv6's checksum, which covers addresses that are not known here: RFC 3542
     * section 3.1.
     */
    if (v4)
        writer_patch_u16(&w, 2, internet_checksum(packet, sizeof packet));
    return send(fd, packet, sizeof packet, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* A raw IPv4 socket delivers the IP header too, a raw IPv6 socket does not. */
static bool is_our_reply(const struct icmp_probe *p, const uint8_t *data, size_t len)
{
    const bool v4 = addr_is_v4(&p->request.target);
    struct cursor c = cursor_over(data, len);

    if (v4) {
        const size_t header_len = (size_t)(cursor_u8(&c) & 0x0f) * 4;
        cursor_bytes(&c, header_len ? header_len - 1 : 0);
    }
    const uint8_t type = cursor_u8(&c);
    cursor_bytes(&c, ECHOED_OFFSET - 1);
    const uint8_t *echoed = cursor_bytes(&c, ECHOED_LEN);
    return echoed && type == (v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) &&
           memcmp(echoed, p->echoed, ECHOED_LEN) == 0;
}

static void on_readable(void *ctx, int fd)
{
    const struct icmp_probe *p = ctx;
    uint8_t reply[REPLY_MAX];
    char cause[CAUSE_MAX];

    for (int i = 0; i < READS_PER_EVENT; i++) {
        const ssize_t len = recv(fd, reply, sizeof reply, 0);
        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (len < 0) {
            cause_set_errno(cause, "ICMP echo", errno);
            p->request.done(p->request.ctx, &(struct probe_outcome){.failure = cause});
            return;
        }
        if (is_our_reply(p, reply, (size_t)len)) {
            p->request.done(p->request.ctx, &(struct probe_outcome){0});
            return;
        }
    }
}

static void *start(const struct probe_request *request, char cause[static CAUSE_MAX])
{
    struct icmp_probe *p = malloc(sizeof *p);
    int status = -ENOMEM;
    int fd;

    if (!p)
        goto fail;
    *p = (struct icmp_probe){.request = *request};
    status = uv_random(NULL, NULL, p->echoed, sizeof p->echoed, 0, NULL);
    if (status < 0)
        goto fail;
    fd = socket_icmp(&request->target);
    status = fd;
    if (fd < 0)
        goto fail;
    status = watch_open(request->loop, fd, UV_READABLE, on_readable, p, &p->watch);
    if (status < 0)
        goto fail;
    status = send_request(p, fd);
    if (status < 0)
        goto close_watch;
    return p;

close_watch:
    watch_close(p->watch);
fail:
    cause_set_errno(cause, "ICMP echo", -status);
    free(p);
    return NULL;
}

static void describe_silence(const void *probe, char text[static CAUSE_MAX])
{
    (void)probe;
    cause_set(text, "no ICMP echo reply");
}

static void destroy(void *probe)
{
    struct icmp_probe *p = probe;

    watch_close(p->watch);
    free(p);
}

const struct probe_ops *icmp_probe_ops(void)
{
    static const struct probe_ops ops = {
        .start = start,
        .describe_silence = describe_silence,
        .destroy = destroy,
    };

    return &ops;
}
