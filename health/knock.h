/*
 * One knock at an IKE port: is a datagram of this shape answered? It asks what the health probe asks, so that
 * nothing stays behind on the server.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "health/socket.h"

enum knock_end { KNOCK_ANSWERED, KNOCK_SILENT, KNOCK_ERROR };

struct knock_outcome {
    enum knock_end end;
    int error;                 /* of KNOCK_ERROR: -errno, an ICMP message's for instance */
    struct socket_limit limit; /* of -EMSGSIZE */
};

typedef void knock_done_fn(void *ctx, const struct knock_outcome *outcome);

struct knock_request {
    uv_loop_t *loop;
    struct addr target;
    bool natt_port;       /* port 4500, else 500 */
    uint16_t source_port; /* 0: a free one */
    uint16_t packet_len;  /* of the IP packet, headers included; 0: as small as the question is */
    enum socket_fragments fragments;
    uint32_t delay_ms;   /* before it is asked */
    uint32_t timeout_ms; /* from then on; the question is repeated at half of it */
    knock_done_fn *done;
    void *ctx;
};

/* The sizes that a packet_len may have, in both families. */
#define KNOCK_PACKET_MIN 576
#define KNOCK_PACKET_MAX 9000

/* The smallest IP packet that every link carries: RFC 791 section 3.2 (a host must take 576), RFC 8200
 * section 5. */
uint16_t knock_packet_floor(const struct addr *target);

/*
 * What should lie between questions to one server. strongSwan counts an IKE_SA_INIT as a half-open handshake
 * for as long as it takes to refuse it, and falls silent when it has five of one address at once.
 */
#define KNOCK_SPACING_MS 20

struct knock;

/*
 * `done` is called once, from the loop and never from within this call; the knock then frees itself. 0, or
 * -ENOMEM. `out` (may be NULL) is for knock_cancel().
 */
int knock_start(const struct knock_request *request, struct knock **out);

/* Breaks it off and frees it; `done` is not called. Not allowed from `done` on. */
void knock_cancel(struct knock *k);
