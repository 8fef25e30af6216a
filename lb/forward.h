/* Makes verdicts, and counts what they do: the last step of lb/inbound and lb/outbound. */
#pragma once

#include "ike/classify.h"
#include "lb/dataplane.h"

void forward_drop(struct dataplane *dp, enum drop_reason reason, struct verdict *verdict);

/* The packet goes to a backend from `src`. */
void forward_to_backend(struct dataplane *dp, const struct packet *packet,
                        const struct ike_datagram *datagram, uint16_t backend, const struct endpoint *src,
                        struct verdict *verdict);

/* The packet goes to a client, as from the VIP of the backend's service. */
void forward_to_client(struct dataplane *dp, const struct packet *packet, const struct ike_datagram *datagram,
                       uint16_t backend, const struct endpoint *client, uint64_t now_ms,
                       struct verdict *verdict);
