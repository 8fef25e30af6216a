/*
 * Room in full tables: the oldest unconfirmed bindings end before their time, so that a flood of handshakes
 * that lead nowhere does not shut out the clients that come after it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lb/bindings.h"

/*
 * Makes room for one more unconfirmed flow of this client, and for its pin if it has none, where forwarding
 * without them is impossible: the oldest unconfirmed bindings end before their time. Never ends the client's
 * own pin or the pin `keep` (or PIN_NONE), and ends nothing where that would make no room. Bounded work; may
 * leave it full.
 */
void room_make(struct bindings *b, uint16_t service, const struct endpoint *client, uint32_t keep,
               uint64_t now_ms);

/*
 * The same for a source port, after bindings_add_flow() has found none for this request: among the oldest
 * unconfirmed flows, the first that holds such a port ends. False if none of them does.
 */
bool room_make_port(struct bindings *b, const struct binding_request *request, uint64_t now_ms);
