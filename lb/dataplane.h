/*
 * The dataplane: from a packet to a verdict. A pure function of packet, time and what it remembers; no I/O,
 * no clock.
 */
#pragma once

#include <stdint.h>

#include "base/addr.h"
#include "lb/bindings.h"
#include "lb/drop.h"
#include "lb/pool.h"

enum packet_side { PACKET_FROM_CLIENT, PACKET_FROM_BACKEND };

/* A UDP datagram as it came in, reassembled. */
struct packet {
    enum packet_side side;
    uint16_t service;   /* from a client: whose VIP it came to ... */
    enum ike_port port; /* ... and on which port */
    struct endpoint src;
    struct endpoint dst; /* from a backend: where it wanted to go; from a client: not used */
    const uint8_t *data; /* UDP payload */
    size_t len;
    uint8_t tos; /* DSCP and ECN, RFC 2474 and 3168; carried over */
    uint8_t ttl; /* as received */
};

enum verdict_action { VERDICT_DROP, VERDICT_TO_BACKEND, VERDICT_TO_CLIENT };

/* What to do: send the packet's payload, TOS and TTL - 1 from src to dst, or drop it. */
struct verdict {
    enum verdict_action action;
    enum drop_reason reason; /* VERDICT_DROP */
    struct endpoint src;
    struct endpoint dst;
    uint16_t service;       /* VERDICT_TO_CLIENT: src is this service's VIP ... */
    enum ike_port port;     /* ... and this port of it */
    uint16_t backend;       /* from which or to which */
    uint16_t id;            /* IPv4: identification; 0: none is known that is better than another */
    bool may_omit_checksum; /* ESP over IPv4 wants a zero UDP checksum: RFC 3948 section 2.1 */
};

struct dataplane {
    struct bindings bindings;
    struct limiter *limiter; /* of what one address may begin; NULL: without limit */
    uint64_t drops[DROP_REASON_COUNT];
    uint16_t *transparent_backend; /* by server: the first transparent backend there, or POOL_NONE */
    bool *is_shared;               /* by server: more than one transparent service has it */
    struct hints *hints;           /* of clients at shared servers; NULL if there is none such */
    uint64_t seed;
};

struct dataplane_settings {
    uint32_t max_clients;
    uint32_t source_rate; /* handshakes and flows a second that one address may begin; 0: without limit */
    uint32_t source_burst;
    uint64_t seed; /* random */
};

/* 0 or a negative error; the pool is borrowed and must outlive the dataplane. */
int dataplane_init(struct dataplane *dp, struct pool *pool, const struct dataplane_settings *settings);
void dataplane_deinit(struct dataplane *dp);

/*
 * Takes note that the pool's services and backends have changed. 0; -ENOMEM, or ERR_FULL when the source
 * addresses of full NAT are more than SNAT_MAX: all but what was too much works then.
 */
int dataplane_refresh(struct dataplane *dp);

/* Gives every address its handshakes and flows anew: dataplane_settings. 0, or -ENOMEM and nothing changed.
 */
int dataplane_limit(struct dataplane *dp, uint32_t source_rate, uint32_t source_burst);

/*
 * The verdict on one packet, which is counted: as a drop, or as traffic of its backend. What cannot be sent
 * afterwards is counted by dataplane_count_unsent().
 */
void dataplane_handle(struct dataplane *dp, const struct packet *packet, uint64_t now_ms,
                      struct verdict *verdict);

/*
 * These packets are about to be handled, in this order: what is known of their flows is fetched from memory
 * for all of them at once. With a million clients each packet would wait for it otherwise.
 */
#define DATAPLANE_EXPECT_MAX 64
void dataplane_expect(const struct dataplane *dp, const struct packet *packets, size_t count);

void dataplane_count_unsent(struct dataplane *dp, enum drop_reason reason);

/* Expires what is due; call it every few milliseconds with some thousand `steps` (bindings_sweep()). */
void dataplane_sweep(struct dataplane *dp, uint64_t now_ms, uint32_t steps);
