/*
 * The flow table: one entry a NAT binding, (client ip:port, VIP:port) <-> (source ip:port used,
 * backend:port), found from either side in one look-up. An entry is one cache line and holds all that
 * rewriting needs.
 *
 * Like pins, a flow is unconfirmed until its backend has proved the client; unconfirmed flows have a bounded
 * share and live for seconds. No clock and no I/O: time is an argument.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/slots.h"

#define FLOW_NONE          SLOT_NONE
#define FLOW_SOURCE_CLIENT UINT16_MAX /* transparent: the source towards the backend is the client itself */

enum flow_flag {
    FLOW_CONFIRMED = 1 << 0,
    FLOW_ESP_IN = 1 << 1,
    FLOW_ESP_OUT = 1 << 2,
    FLOW_MOVED = 1 << 3, /* made because an ESP SPI came from a new port; not confirmed by the backend yet */
    FLOW_LEFT = 1 << 4,  /* its client has gone on to another place: it lives for seconds */
    FLOW_FAST = 1 << 5,  /* the fast path has it (lb/fastpath.h) ... */
    FLOW_ASKED = 1 << 6, /* ... and lets the backend's next packet pass by here */
};
#define FLOW_ESP_BOTH (FLOW_ESP_IN | FLOW_ESP_OUT)

/* What the client's side sees; `listener` stands for service and port (lb/pool.h). */
struct flow_in_key {
    struct addr client;
    uint16_t client_port;
    uint16_t listener;
};

/* What the backend's side sees: replies go from server:port to source:source_port. */
struct flow_out_key {
    struct addr client; /* only if source is FLOW_SOURCE_CLIENT */
    uint16_t source;    /* index of a SNAT address (lb/snat.h), or FLOW_SOURCE_CLIENT */
    uint16_t source_port;
    uint16_t server;
    uint16_t port; /* enum ike_port */
};

struct flow {
    struct addr client;
    uint16_t client_port;
    uint16_t listener;
    uint16_t backend;
    uint16_t server;
    uint16_t source;
    uint16_t source_port;
    uint8_t flags;              /* enum flow_flag */
    uint8_t session_generation; /* which of those that had its index: bindings_session_of_flow() */
    uint16_t packet_id;         /* the IPv4 identification that was given out last: flows_next_id() */
    uint32_t pin;
    uint32_t client_ms;  /* the latest packet of the client's tunnel or its IKE SA, truncated likewise */
    uint32_t seen_ms;    /* truncated to 32 bits. Confirmed: the latest packet. Unconfirmed: the start. */
    uint32_t session;    /* the session last seen here, or SESSION_NONE; it may be gone (sessions_is_of()) */
    uint32_t esp_spi;    /* the latest of the client; 0: none */
    uint32_t proved_spi; /* the same when the backend last sent ESP: what it has answered */
    uint32_t in_next;
    uint32_t out_next;
} __attribute__((aligned(64)));

struct flows;

/* As pins_create(). */
struct flows *flows_create(uint32_t capacity, uint32_t unconfirmed_max, uint64_t seed);
void flows_destroy(struct flows *flows);

/* Index of the flow, or FLOW_NONE. */
uint32_t flows_find_in(const struct flows *flows, const struct flow_in_key *key);
uint32_t flows_find_out(const struct flows *flows, const struct flow_out_key *key);

/*
 * A new flow from client, client_port, listener, backend, server, source, source_port, pin, session and flags
 * of *flow. Neither key may be in the table. 0 and its index, or ERR_FULL when flows_has_room() says so.
 */
int flows_insert(struct flows *flows, const struct flow *flow, uint64_t now_ms, uint32_t *index);

/* Is there room for one more? An unconfirmed one also needs room in the unconfirmed share. */
bool flows_has_room(const struct flows *flows, bool confirmed);

/* Is this the index of a flow in use? */
bool flows_is_used(const struct flows *flows, uint32_t index);

/* The flow of that index, which must be in use. Its keys may not be changed. Valid until the next insert or
 * remove. */
struct flow *flows_get(struct flows *flows, uint32_t index);

/* The key by which the backend's side finds this flow. */
struct flow_out_key flow_out_key(const struct flow *flow);

/*
 * The IPv4 identification of the flow's next packet. As RFC 6864 section 4.3 wants it, none comes again until
 * all others have been used; where they begin differs from flow to flow. Zero is none of them, since the
 * kernel takes that for a wish to choose itself, which costs it a look-up at a random place for each packet.
 */
uint16_t flows_next_id(struct flow *flow);

/*
 * Look-ups that are about to be made, in two steps with other packets' in between, so that memory has come
 * near by the time: the first returns what the second wants.
 */
uint32_t flows_expect_in(const struct flows *flows, const struct flow_in_key *key);
uint32_t flows_expect_out(const struct flows *flows, const struct flow_out_key *key);
void flows_expected_in(const struct flows *flows, uint32_t bucket);
void flows_expected_out(const struct flows *flows, uint32_t bucket);

void flows_confirm(struct flows *flows, uint32_t index, uint64_t now_ms);
void flows_remove(struct flows *flows, uint32_t index);

/* Lets an unconfirmed flow count as the youngest. */
void flows_renew(struct flows *flows, uint32_t index);

/* The oldest unconfirmed flow, and the next younger one of an unconfirmed flow; FLOW_NONE if there is none.
 */
uint32_t flows_oldest_unconfirmed(const struct flows *flows);
uint32_t flows_younger_unconfirmed(const struct flows *flows, uint32_t index);

/* Walks the table in slices: slots_next(). */
uint32_t flows_next(const struct flows *flows, uint32_t *cursor, uint32_t *budget);

uint32_t flows_count(const struct flows *flows);
uint32_t flows_unconfirmed_count(const struct flows *flows);
uint32_t flows_capacity(const struct flows *flows);
