/*
 * Steering: which backend a packet without a flow goes to, and whether a client may still stay with the one
 * it has. The order of the rules is the order of docs/architecture.md, "Steering".
 */
#pragma once

#include <stdint.h>

#include "lb/bindings.h"

/* What is asked. */
struct steer_request {
    uint16_t service;
    struct addr client;
    bool is_init; /* the packet opens a new IKE SA */
    bool may_pin; /* false: decide, but remember nothing (a keepalive opens nothing) */
};

/* What is answered. */
struct steer_choice {
    uint16_t backend; /* POOL_NONE: no backend may get this client */
    uint32_t pin;     /* PIN_NONE: the client could not be pinned, or should not */
};

/*
 * Rules, first match wins:
 * 1. The client has a pin: its backend, unless that is lost and the packet opens a new IKE SA; then the
 * schedule chooses again and the pin moves.
 * 2. A new client: the schedule chooses if the packet opens a new IKE SA, else source-hash; a pin is made.
 * 3. There is no room for a pin: source-hash, which needs no memory, so that nobody is refused.
 */
struct steer_choice steer(struct bindings *b, const struct steer_request *request, uint64_t now_ms);
