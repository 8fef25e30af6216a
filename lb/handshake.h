/*
 * Watches handshakes go by: from clear IKE headers and the mere presence of ESP it keeps sessions, each
 * client's stage, and what the backends are known for.
 */
#pragma once

#include "ike/classify.h"
#include "lb/bindings.h"

/* An IKE message or ESP of the client goes to the backend over this flow. */
void handshake_from_client(struct bindings *b, uint32_t flow, const struct ike_datagram *datagram,
                           uint64_t now_ms);

/*
 * A datagram of the backend goes to the client over this flow. True if it proves the client: only a backend
 * that has derived keys with the client sends encrypted messages or ESP, and it could not without a client
 * that receives at its address. Everything before that, IKE_SA_INIT answers and cookies, also goes out to
 * spoofed addresses.
 */
bool handshake_from_backend(struct bindings *b, uint32_t flow, const struct ike_datagram *datagram,
                            uint64_t now_ms);

/* A backend's answer to a first message goes to a client that has no flow to it (any more); `pin` may be
 * PIN_NONE. */
void handshake_answered(struct bindings *b, uint32_t pin, uint16_t backend,
                        const struct ike_datagram *datagram, uint64_t now_ms);

/*
 * A datagram of a backend goes to a client, whether it proves anything or not: what it answers is no new
 * request from now on.
 */
void handshake_note_response(struct bindings *b, uint16_t service, const struct ike_datagram *datagram);

/*
 * Does this datagram of a backend prove a client to be there? Of a session that is known to be elsewhere, an
 * answer proves it only if it is the first to its request.
 */
bool handshake_is_proof(const struct bindings *b, uint16_t service, const struct endpoint *client,
                        const struct ike_datagram *datagram);
