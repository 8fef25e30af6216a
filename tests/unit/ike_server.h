/*
 * A stand-in for an IKE server, for the tests of health/: two UDP sockets on the loopback device of a network
 * namespace that the test program makes for itself, driven by the loop of the test.
 */
#pragma once

#include <dirent.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/addr.h"
#include "base/cursor.h"
#include "health/watch.h"
#include "ike/payload.h"

#define SERVER_SEEN_MAX 64

/* What the server does with a datagram. */
enum server_manner {
    SERVER_REFUSES, /* answers NO_PROPOSAL_CHOSEN */
    SERVER_ACCEPTS, /* answers with SPIr, the notify and the vendor ID of `server_extras` */
    SERVER_SILENT,
    SERVER_VERSION_ONLY, /* silent but for unknown versions */
    SERVER_ECHOES,
    SERVER_OTHER_SPI,    /* answers somebody else */
    SERVER_BABBLES,      /* answers with bytes that are not IKE */
    SERVER_WANTS_COOKIE, /* and then accepts */
    SERVER_WANTS_GROUP,  /* MODP-1024, and then accepts */
    SERVER_WANTS_BOTH,   /* a cookie, then the group */
    SERVER_WANTS_ODD_GROUP,
    SERVER_REPEATS_GROUP,  /* demands MODP-1024 for ever */
    SERVER_REPEATS_COOKIE, /* demands a cookie for ever */
    SERVER_V1_ONLY,
};

/* A request as it came, in full. */
struct server_seen {
    struct ike_datagram datagram;
    uint8_t bytes[9216];
    size_t len;
    struct endpoint from;
};

struct server {
    struct watch *watches[2];
    int fds[2];
    enum server_manner manners[2]; /* of port 500 and of port 4500 */
    bool fragmentation;
    uint16_t spi_r[2];  /* the responder's SPI at each port; 0 stands for 9 */
    bool spi_by_port;   /* it is the source port instead */
    size_t largest;     /* longer datagrams are taken for lost on the way; 0: none is */
    bool answers_first; /* what comes to port 4500 is answered from 500 to who asked first, as libreswan does
                         */
    bool late;          /* port 500 answers its first two messages together, when the second has come */
    struct server_seen seen[SERVER_SEEN_MAX]; /* the first so many */
    int seen_count;
    int counts[2]; /* all */
};

struct server_socket {
    struct server *server;
    int index;
};

/* Gives the program a network of its own, of which only the loopback device is up. */
static inline void server_unshare_network(void)
{
    struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

    assert_int_equal(unshare(CLONE_NEWNET), 0);
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
    close(fd);
}

/*
 * The first loop of a process opens descriptors of libuv's own that stay; they are opened here, before the
 * counting.
 */
static inline int server_open_descriptors(void)
{
    uv_loop_t loop;
    int count = 0;

    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    DIR *dir = opendir("/proc/self/fd");

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static inline void server_put_header(struct writer *w, const struct ike_header *h, uint8_t version,
                                     uint16_t spi_r, uint8_t next)
{
    writer_bytes(w, h->spi_i.bytes, 8);
    writer_bytes(w, (const uint8_t[8]){(uint8_t)spi_r, (uint8_t)(spi_r >> 8)}, 8);
    writer_u8(w, next);
    writer_u8(w, version);
    writer_u8(w, version == 0x10 ? IKE_EXCHANGE_V1_INFORMATIONAL : h->exchange);
    writer_u8(w, version == 0x10 ? 0 : IKE_FLAG_RESPONSE);
    writer_u32(w, 0);
    writer_u32(w, 0);
}

static inline void server_put_notify(struct writer *w, uint8_t next, uint16_t type, const void *data,
                                     size_t len)
{
    writer_u8(w, next);
    writer_u8(w, 0);
    writer_u16(w, (uint16_t)(8 + len));
    writer_u16(w, 0);
    writer_u16(w, type);
    writer_bytes(w, data, len);
}

static inline void server_put_acceptance(struct writer *w, const struct ike_header *h, uint16_t spi_r,
                                         bool fragmentation)
{
    static const uint8_t vendor[] = "\x88\x2f\xe5\x6d\x6f\xd2\x0d\xbc\x22\x51\x61\x3b\x2e\xbe\x5b\xeb";

    server_put_header(w, h, 0x20, spi_r, fragmentation ? IKE_PAYLOAD_NOTIFY : IKE_PAYLOAD_VENDOR);
    if (fragmentation)
        server_put_notify(w, IKE_PAYLOAD_VENDOR, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, NULL, 0);
    for (int i = 0; i < 2; i++) {
        writer_u8(w, i == 0 ? IKE_PAYLOAD_VENDOR : IKE_PAYLOAD_NONE);
        writer_u8(w, 0);
        writer_u16(w, 4 + 16);
        writer_bytes(w, i == 0 ? vendor : (const uint8_t *)"0123456789abcdef", 16);
    }
}

static inline void server_put_refusal(struct writer *w, const struct ike_header *h, uint16_t type,
                                      const void *data, size_t len)
{
    server_put_header(w, h, 0x20, 0, IKE_PAYLOAD_NOTIFY);
    server_put_notify(w, IKE_PAYLOAD_NONE, type, data, len);
}

/* The group of the Key Exchange payload, 0 if there is none. */
static inline uint16_t server_group_of(const struct ike_datagram *d)
{
    struct payload_walk w;
    struct ike_payload p;

    payload_walk_init(&w, d);
    while (payload_walk_next(&w, &p))
        if (p.type == IKE_PAYLOAD_KE)
            return (uint16_t)(p.body[0] << 8 | p.body[1]);
    return 0;
}

static inline void server_put_answer(struct server *s, enum server_manner manner, uint16_t spi_r,
                                     const struct ike_datagram *d, struct writer *w)
{
    const bool cookie = payload_find_notify(d, IKE_NOTIFY_COOKIE, NULL);
    const bool wants_cookie = manner == SERVER_WANTS_COOKIE || manner == SERVER_WANTS_BOTH;
    const bool wants_group = manner == SERVER_WANTS_GROUP || manner == SERVER_WANTS_BOTH;
    struct ike_header other = d->header;

    if (manner == SERVER_OTHER_SPI) {
        other.spi_i.bytes[7] ^= 1;
        server_put_refusal(w, &other, IKE_NOTIFY_NO_PROPOSAL_CHOSEN, NULL, 0);
    } else if (d->header.major > 2)
        server_put_refusal(w, &d->header, IKE_NOTIFY_INVALID_MAJOR_VERSION, NULL, 0);
    else if (manner == SERVER_REPEATS_COOKIE || (wants_cookie && !cookie))
        server_put_refusal(w, &d->header, IKE_NOTIFY_COOKIE, "cookie", 6);
    else if (manner == SERVER_REPEATS_GROUP || (wants_group && server_group_of(d) != 2))
        server_put_refusal(w, &d->header, IKE_NOTIFY_INVALID_KE_PAYLOAD, "\0\2", 2);
    else if (manner == SERVER_WANTS_ODD_GROUP)
        server_put_refusal(w, &d->header, IKE_NOTIFY_INVALID_KE_PAYLOAD, "\0\x18", 2);
    else if (manner == SERVER_REFUSES)
        server_put_refusal(w, &d->header, IKE_NOTIFY_NO_PROPOSAL_CHOSEN, NULL, 0);
    else if (manner == SERVER_V1_ONLY) {
        server_put_header(w, &d->header, 0x10, 0, IKE_PAYLOAD_V1_NOTIFY);
        writer_u8(w, 0);
        writer_u8(w, 0);
        writer_u16(w, 12);
        writer_u32(w, 1);
        writer_u32(w, 5);
    } else
        server_put_acceptance(w, &d->header, spi_r, s->fragmentation);
}

static inline void server_answer(const struct server_socket *socket, int fd, const struct server_seen *seen,
                                 size_t len, const struct sockaddr *to, socklen_t to_len)
{
    struct server *s = socket->server;
    const enum server_manner manner = s->manners[socket->index];
    const bool to_first = s->answers_first && socket->index == 1;
    const size_t marker = socket->index && !to_first ? IKE_NON_ESP_MARKER : 0;
    struct sockaddr_storage first;
    uint8_t buf[1024] = {0};
    struct writer w = writer_over(buf + marker, sizeof buf - marker);

    const bool is_late = s->late && socket->index == 0;
    if (is_late && s->counts[0] == 0)
        return;
    if (manner == SERVER_SILENT || (manner == SERVER_VERSION_ONLY && seen->datagram.header.major < 3))
        return;
    if (manner == SERVER_ECHOES) {
        sendto(fd, seen->bytes, len, 0, to, to_len);
        return;
    }
    if (manner == SERVER_BABBLES) {
        sendto(fd, "hello", 5, 0, to, to_len);
        return;
    }
    const uint16_t spi_r = s->spi_by_port ? seen->from.port : s->spi_r[socket->index];
    server_put_answer(s, manner, spi_r ? spi_r : 9, &seen->datagram, &w);
    writer_patch_u32(&w, 24, (uint32_t)writer_len(&w));
    if (to_first) {
        to_len = endpoint_to_sockaddr(&s->seen[0].from, &first);
        to = (const struct sockaddr *)&first;
        fd = s->fds[0];
    }
    for (int i = 0; i < (is_late && s->counts[0] == 1 ? 2 : 1); i++)
        sendto(fd, buf, marker + writer_len(&w), 0, to, to_len);
}

static inline void server_read(void *ctx, int fd)
{
    const struct server_socket *socket = ctx;
    struct server *s = socket->server;
    struct server_seen seen = {0};
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;
    const ssize_t len =
        recvfrom(fd, seen.bytes, sizeof seen.bytes, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);

    if (len < 0 || (s->largest && (size_t)len > s->largest))
        return;
    seen.len = (size_t)len;
    assert_int_equal(classify_datagram(seen.bytes, (size_t)len, socket->index, &seen.datagram),
                     IKE_CLASS_IKE);
    assert_int_equal(endpoint_from_sockaddr((const struct sockaddr *)&from, &seen.from), 0);
    server_answer(socket, fd, &seen, (size_t)len, (const struct sockaddr *)&from, from_len);
    s->counts[socket->index]++;
    if (s->seen_count == SERVER_SEEN_MAX)
        return;
    struct server_seen *kept = &s->seen[s->seen_count++];
    *kept = seen;
    kept->datagram.ike = kept->bytes + (seen.datagram.ike - seen.bytes);
}

/* Binds the two ports of 127.0.0.1 or ::1; the sockets must outlive the watches. */
static inline void server_open(struct server *s, struct server_socket sockets[2], uv_loop_t *loop,
                               const char *address)
{
    static const uint16_t ports[2] = {IKE_PORT, IKE_NATT_PORT};

    for (int i = 0; i < 2; i++) {
        struct endpoint e = {.port = ports[i]};
        struct sockaddr_storage sa;

        assert_int_equal(addr_parse(address, &e.addr), 0);
        const socklen_t len = endpoint_to_sockaddr(&e, &sa);
        const int fd = socket(sa.ss_family, SOCK_DGRAM, 0);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (const struct sockaddr *)&sa, len), 0);
        s->fds[i] = fd;
        sockets[i] = (struct server_socket){.server = s, .index = i};
        assert_int_equal(watch_open(loop, fd, UV_READABLE, server_read, &sockets[i], &s->watches[i]), 0);
    }
}

static inline void server_close_port(struct server *s, int index)
{
    watch_close(s->watches[index]);
    s->watches[index] = NULL;
}

static inline void server_close(struct server *s)
{
    server_close_port(s, 0);
    server_close_port(s, 1);
}
