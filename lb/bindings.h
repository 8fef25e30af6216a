/*
 * Pins, flows, source ports and the pool's client counts, kept in step: whoever makes or ends a binding does
 * it here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lb/drop.h"
#include "lb/flows.h"
#include "lb/pool.h"
#include "lb/snat.h"
#include "persist/pins.h"

/* Of the tables' room, so much may be unconfirmed: one part in this many. */
#define BINDINGS_UNCONFIRMED_PART 4

/* Flows a client: one for each port of IKE. */
#define BINDINGS_FLOWS_PER_CLIENT 2

struct bindings {
    struct pool *pool; /* borrowed */
    struct pins *pins;
    struct flows *flows;
    struct snat *snat;
    uint32_t flow_hand; /* where the sweep stands */
    uint32_t pin_hand;
};

/* Sizes everything for max_clients; 0 or -ENOMEM. `seed` is random. */
int bindings_init(struct bindings *b, struct pool *pool, uint32_t max_clients, uint64_t seed);
void bindings_deinit(struct bindings *b);

/* Pins a client that has no pin. 0 and its index, or ERR_FULL. */
int bindings_add_pin(struct bindings *b, const struct addr *client, uint16_t backend, bool confirmed,
                     uint64_t now_ms, uint32_t *pin);

/* The pin, and with it each later packet that has no flow, goes to another backend of the same service. */
void bindings_move_pin(struct bindings *b, uint32_t pin, uint16_t backend);

/* What bindings_add_flow() makes. */
struct binding_request {
    struct endpoint client;
    uint16_t service;
    enum ike_port port;
    uint16_t backend;
    uint32_t pin;
    bool confirmed;
};

/*
 * Makes the flow, in full-NAT mode with a source port of its own. A flow that has the same key towards the
 * backend (possible only where one client uses two VIPs that share a server) gives way. 0 and its index in
 * *flow; or ERR_FULL, with the reason in *reason: TABLE_FULL, NO_SNAT_PORT or NO_SNAT_ADDRESS.
 */
int bindings_add_flow(struct bindings *b, const struct binding_request *request, uint64_t now_ms,
                      uint32_t *flow, enum drop_reason *reason);
void bindings_remove_flow(struct bindings *b, uint32_t flow);

/* The backend has proved the client: flow and pin are confirmed. */
void bindings_confirm(struct bindings *b, uint32_t flow, uint64_t now_ms);

/*
 * Ends the oldest unconfirmed binding before its time, to make room for a new one where forwarding without a
 * flow is impossible. False if there is none.
 */
bool bindings_recycle(struct bindings *b);

/*
 * Ends what has expired: all unconfirmed flows that are due, and whatever is due among the next `slots` slots
 * of each table. Call it often; a call costs at most about `slots` steps.
 */
void bindings_sweep(struct bindings *b, uint64_t now_ms, uint32_t slots);
