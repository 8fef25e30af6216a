/* Watches handshakes go by: from clear IKE headers and the mere presence of ESP it keeps each client's stage.
 */
#pragma once

#include "ike/classify.h"
#include "lb/bindings.h"

/* A datagram of the client goes to the backend over this flow. */
void handshake_from_client(struct bindings *b, uint32_t flow, const struct ike_datagram *datagram);

/*
 * A datagram of the backend goes to the client over this flow. True if it proves the client: only a backend
 * that has derived keys with the client sends encrypted messages or ESP, and it could not without a client
 * that receives at its address. Everything before that, IKE_SA_INIT answers and cookies, also goes out to
 * spoofed addresses.
 */
bool handshake_from_backend(struct bindings *b, uint32_t flow, const struct ike_datagram *datagram);

/* Is this such a proof? */
bool handshake_is_proof(const struct ike_datagram *datagram);
