/*
 * Pins, flows, sessions, source ports and the pool's client counts, kept in step: whoever makes or ends a
 * binding does it here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lb/drop.h"
#include "lb/flows.h"
#include "lb/pool.h"
#include "lb/snat.h"
#include "lb/tracking.h"
#include "persist/pins.h"
#include "persist/spis.h"

/* Of the tables' room, so much may be unconfirmed: one part in this many. */
#define BINDINGS_UNCONFIRMED_PART 4

/* Flows a client: one for each port of IKE. */
#define BINDINGS_FLOWS_PER_CLIENT 2

struct fastpath;

struct bindings {
    struct pool *pool; /* borrowed */
    struct pins *pins;
    struct flows *flows;
    struct snat *snat;
    struct spis *spis; /* the ESP SPIs of flows */
    struct tracking tracking;
    const struct fastpath *fastpath; /* borrowed; NULL: none */
    const char *fastpath_trouble;    /* borrowed; why there is none although it is wanted; or NULL */
    uint32_t flow_hand;              /* where the sweep stands */
    uint32_t pin_hand;
    uint64_t
        changes; /* times that something confirmed was made, moved or ended: whether a new saving is due */
};

/* Sizes everything for max_clients; 0 or -ENOMEM. `seed` is random. */
int bindings_init(struct bindings *b, struct pool *pool, uint32_t max_clients, uint64_t seed);
void bindings_deinit(struct bindings *b);

/*
 * Takes note that the pool's services have changed. ERR_FULL when their source addresses are more than
 * SNAT_MAX with those used since the start: the services do without those that are too many.
 */
int bindings_refresh(struct bindings *b);

/* The key of a client's pin: its address, where clients behind one address are spread with the port. */
struct pin_key bindings_pin_key(const struct bindings *b, uint16_t service, const struct endpoint *client);

/* Pins a client that has no pin at the backend's service. 0 and its index, or ERR_FULL. */
int bindings_add_pin(struct bindings *b, const struct endpoint *client, uint16_t backend, bool confirmed,
                     uint64_t now_ms, uint32_t *pin);

/* The pin, and with it each later packet that has no flow, goes to another backend of the same service. */
void bindings_move_pin(struct bindings *b, uint32_t pin, uint16_t backend);

/*
 * Ends a pin that has no flow, and its sessions; if those are more than one packet may end, the pin stays and
 * the sweep does the rest.
 */
void bindings_remove_pin(struct bindings *b, uint32_t pin, uint64_t now_ms);

/* What bindings_add_flow() makes. */
struct binding_request {
    struct endpoint client;
    uint16_t service;
    enum ike_port port;
    uint16_t backend;
    uint32_t pin;
    bool confirmed;
    bool moved;       /* the client comes from another port, as its ESP says (lb/steer.h) */
    uint32_t session; /* what it belongs to, as far as is known, or SESSION_NONE */
};

/*
 * Makes the flow, in full-NAT mode with a source port of its own. 0 and its index in *flow; or ERR_FULL, with
 * the reason in *reason: TABLE_FULL, NO_SNAT_PORT or NO_SNAT_ADDRESS. Where one client uses two transparent
 * VIPs that share a server, from one port, both flows look alike to the server: the older one gives way
 * unless it is confirmed and in use; then ERR_EXISTS.
 */
int bindings_add_flow(struct bindings *b, const struct binding_request *request, uint64_t now_ms,
                      uint32_t *flow, enum drop_reason *reason);
void bindings_remove_flow(struct bindings *b, uint32_t flow);

/*
 * The flow of that ESP SPI, which the client sends from another port now; FLOW_NONE if there is none, or if
 * it was seen on flows to different backends.
 */
uint32_t bindings_find_esp(const struct bindings *b, uint16_t service, const struct addr *client,
                           uint32_t spi);

/* The client sends that ESP SPI on this flow; it is found by it once the flow is confirmed. */
void bindings_note_esp(struct bindings *b, uint32_t flow, uint32_t spi);

/* The session was seen on this flow; SESSION_NONE: none is known. */
void bindings_see_session(const struct bindings *b, struct flow *flow, uint32_t session);

/* The session that was seen on this flow last, or SESSION_NONE if that has ended or left the flow's pin. */
uint32_t bindings_session_of_flow(const struct bindings *b, const struct flow *flow);

/* The flow of a pin's latest port at 500 or 4500, or FLOW_NONE; `pin` is one of the table. */
uint32_t bindings_flow_of_pin(const struct bindings *b, const struct pin *pin, enum ike_port port);

/* The backend has proved the client: flow and pin are confirmed. */
void bindings_confirm(struct bindings *b, uint32_t flow, uint64_t now_ms);

/*
 * Makes a confirmed pin or flow as it was before a restart, every field of it (but for the links, and `pin`
 * and `server` of a flow are what they are now), and its port of full NAT. It counts as a client, but not as
 * a new one. 0 and its index; ERR_EXISTS if there is one like it, or somebody else has its port; ERR_FULL;
 * ERR_RANGE if no flow can have that port.
 */
int bindings_adopt_pin(struct bindings *b, const struct pin *pin, uint32_t *index);
int bindings_adopt_flow(struct bindings *b, const struct flow *flow, uint32_t *index);

/* Ends a pin that has no flow, and its sessions, as if they had never been adopted; for the start only. */
void bindings_discard_pin(struct bindings *b, uint32_t pin);

/* Has it been unused for so long that it is to be ended? A pin with flows never. */
bool bindings_pin_is_due(const struct bindings *b, const struct pin *pin, uint64_t now_ms);
bool bindings_flow_is_due(const struct bindings *b, const struct flow *flow, uint64_t now_ms);

/*
 * Ends what has expired: the oldest unconfirmed flows, in order of age until one is not due, and whatever is
 * due among the next slots of each table. Looking at a slot is one step, ending an entry is several (it
 * touches memory at random); a call takes at most about 2 * `steps`. Call it often.
 */
void bindings_sweep(struct bindings *b, uint64_t now_ms, uint32_t steps);
