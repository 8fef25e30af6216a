#include "lb/forward.h"

#include "lb/passive.h"

void forward_drop(struct dataplane *dp, enum drop_reason reason, struct verdict *verdict)
{
    *verdict = (struct verdict){.action = VERDICT_DROP, .reason = reason};
    dp->drops[reason]++;
}

static void count(struct dataplane *dp, uint16_t backend, enum traffic_direction direction,
                  const struct packet *packet)
{
    struct traffic *traffic = &dp->bindings.pool->backends[backend].traffic[direction];

    traffic->packets++;
    traffic->bytes += packet->len;
}

static bool may_omit_checksum(const struct ike_datagram *datagram, const struct addr *towards)
{
    return datagram->class == IKE_CLASS_ESP && addr_is_v4(towards);
}

void forward_to_backend(struct dataplane *dp, const struct packet *packet,
                        const struct ike_datagram *datagram, uint16_t backend, const struct endpoint *src,
                        struct verdict *verdict)
{
    const struct addr *addr = &dp->bindings.pool->backends[backend].addr;

    *verdict = (struct verdict){
        .action = VERDICT_TO_BACKEND,
        .src = *src,
        .dst = {.addr = *addr, .port = ike_port_number(packet->port)},
        .backend = backend,
        .may_omit_checksum = may_omit_checksum(datagram, addr),
    };
    count(dp, backend, TRAFFIC_IN, packet);
}

void forward_to_client(struct dataplane *dp, const struct packet *packet, const struct ike_datagram *datagram,
                       uint16_t backend, const struct endpoint *client, uint64_t now_ms,
                       struct verdict *verdict)
{
    const uint16_t service = dp->bindings.pool->backends[backend].service;
    const struct addr *vip = pool_vip(&dp->bindings.pool->services[service], addr_family(&client->addr));

    *verdict = (struct verdict){
        .action = VERDICT_TO_CLIENT,
        .src = {.addr = *vip, .port = packet->src.port},
        .dst = *client,
        .service = service,
        .port = packet->port,
        .backend = backend,
        .may_omit_checksum = may_omit_checksum(datagram, vip),
    };
    count(dp, backend, TRAFFIC_OUT, packet);
    passive_heard(&dp->bindings.pool->backends[backend], now_ms);
}
