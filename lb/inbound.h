/* What a client has sent to a VIP: its flow is found, or it is steered and gets one. */
#pragma once

#include "ike/classify.h"
#include "lb/dataplane.h"

/* By what its flow is found. */
struct flow_in_key inbound_key(const struct packet *packet);

void inbound_handle(struct dataplane *dp, const struct packet *packet, const struct ike_datagram *datagram,
                    uint64_t now_ms, struct verdict *verdict);
