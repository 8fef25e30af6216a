/*
 * What proves a client to be at its address: only a backend that has derived keys with the client sends
 * encrypted messages or ESP, and it could not without a client that receives there. Everything before that,
 * IKE_SA_INIT answers and cookies, also goes out to spoofed addresses.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ike/classify.h"
#include "lb/bindings.h"

/*
 * Does this datagram of a backend prove a client to be there? Of a session that is known to be elsewhere, an
 * answer proves it only if it is the first to its request.
 */
bool proof_of_client(const struct bindings *b, uint16_t service, const struct endpoint *client,
                     const struct ike_datagram *datagram);

/*
 * A datagram of a backend goes to a client, whether it proves anything or not: what it answers is no new
 * request from now on.
 */
void proof_note_response(struct bindings *b, uint16_t service, const struct ike_datagram *datagram);

/*
 * An encrypted IKE message of the backend, which proves the client, goes out over this flow. Its session is
 * confirmed and is where the flow leads from now on; if it is not known it is learnt. A session of another
 * backend stays as it is.
 */
void proof_accept(struct bindings *b, uint32_t flow, const struct ike_datagram *datagram, uint64_t now_ms);
