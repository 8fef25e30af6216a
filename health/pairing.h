/*
 * Is one server behind both ports? A handshake is begun on port 500, and its very message then repeated to
 * port 4500. The server that has begun it takes that for a retransmission and repeats its answer, SPI and all
 * (RFC 7296 section 2.1); any other server begins a handshake of its own, with an SPI of its own.
 */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "base/addr.h"

enum pairing_verdict {
    PAIRING_NOT_BEGUN, /* no handshake was accepted on port 500 */
    PAIRING_SAME,
    PAIRING_DIFFERENT, /* a new port at 500 still meets the first server, at 4500 another one */
    PAIRING_BY_PORT,   /* even at 500 each source port meets another server, or a server that takes it for new
                        */
    PAIRING_UNCLEAR,   /* the repetition was not answered, or with a demand */
};

/* Repetitions to port 4500, each from a port of its own, in case it is the ports that decide about the
 * server. */
#define PAIRING_REPEATS 2

struct pairing_request {
    uv_loop_t *loop;
    struct addr target;
    uint32_t timeout_ms; /* for each message, which is repeated at half of it */
    void (*done)(void *ctx, enum pairing_verdict verdict);
    void *ctx;
};

struct pairing;

/*
 * Asks; `done` is called once, from the loop, and the pairing then frees itself. One half-open SA stays on
 * the server, and up to PAIRING_REPEATS + 1 on others. 0, -ENOMEM, or another -errno.
 */
int pairing_start(const struct pairing_request *request, struct pairing **out);

/* Breaks it off and frees it; `done` is not called. Not allowed from `done` on. */
void pairing_cancel(struct pairing *p);
