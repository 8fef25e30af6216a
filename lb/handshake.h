/*
 * Watches handshakes go by: from clear IKE headers and the mere presence of ESP it keeps sessions, each
 * client's stage, and what the backends are known for.
 */
#pragma once

#include "ike/classify.h"
#include "lb/bindings.h"

/* A datagram of the client goes to the backend over this flow. */
void handshake_from_client(struct bindings *b, uint32_t flow, const struct ike_datagram *datagram,
                           uint64_t now_ms);

/* A datagram of the backend goes to the client over this flow. True if it proves the client: lb/proof.h. */
bool handshake_from_backend(struct bindings *b, uint32_t flow, const struct ike_datagram *datagram,
                            uint64_t now_ms);

/*
 * A backend's answer to a first message goes to a client that has no flow to it (any more); `pin` may be
 * PIN_NONE.
 */
void handshake_answered(struct bindings *b, uint32_t pin, uint16_t backend,
                        const struct ike_datagram *datagram, uint64_t now_ms);
