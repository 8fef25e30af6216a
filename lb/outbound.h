/* What a backend has sent to a client: it leaves from the VIP, and tells what the backend knows of the
 * client. */
#pragma once

#include "ike/classify.h"
#include "lb/dataplane.h"

/* By what its flow is found. `server` is the packet's source (lb/pool.h). */
struct flow_out_key outbound_key(const struct dataplane *dp, const struct packet *packet, uint16_t server);

void outbound_handle(struct dataplane *dp, const struct packet *packet, const struct ike_datagram *datagram,
                     uint16_t server, uint64_t now_ms, struct verdict *verdict);
