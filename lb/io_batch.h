/* One batch of datagrams in and one out: the memory that recvmmsg and sendmmsg work on, and what fills it. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lb/dataplane.h"
#include "lb/headers.h"
#include "lb/sockets.h"

#define IO_BATCH_SIZE   32
#define IO_DATAGRAM_MAX 65536 /* the largest UDP payload is 65,527 bytes */

/* Where a datagram of the outgoing batch goes. */
struct io_target {
    int fd;
    bool raw;     /* takes packets with their IP header; else a VIP's UDP socket */
    uint32_t mtu; /* raw: of the way, in bytes; 0 if unknown. What is larger goes out in fragments ... */
    int udp_fd;   /* ... through this VIP's UDP socket, or, if it is -1, one that is opened for it */
};

struct io_batch;

struct io_batch *io_batch_create(void);
void io_batch_destroy(struct io_batch *batch);

/* Receives up to `most` datagrams, IO_BATCH_SIZE at most. Their number, or 0 if there are none now or -errno.
 */
int io_batch_receive(struct io_batch *batch, int fd, int most);

/*
 * The i-th datagram received: data, len, src, tos and ttl of *packet, and dst if the socket tells it. The
 * data stays until the next io_batch_receive().
 */
void io_batch_packet(struct io_batch *batch, int i, struct packet *packet);

/*
 * Adds one datagram to what goes out: the payload of `packet` as `verdict` says. Flushes first if the batch
 * is full or goes to another target.
 */
void io_batch_send(struct io_batch *batch, struct dataplane *dp, const struct io_target *target,
                   const struct packet *packet, const struct verdict *verdict);

/* Sends what is waiting. What cannot be sent is counted. */
void io_batch_flush(struct io_batch *batch, struct dataplane *dp);
