#include "lb/dataplane.h"

#include <errno.h>
#include <stdlib.h>

#include "lb/forward.h"
#include "lb/hints.h"
#include "lb/inbound.h"
#include "lb/limiter.h"
#include "lb/outbound.h"

/* Which service a reply of a server belongs to, if its address alone can tell. */
static int index_servers(struct dataplane *dp, const struct pool *pool, uint64_t seed)
{
    bool any_shared = false;

    dp->transparent_backend = calloc(pool->server_count, sizeof *dp->transparent_backend);
    dp->is_shared = calloc(pool->server_count, sizeof *dp->is_shared);
    if (!dp->transparent_backend || !dp->is_shared)
        return -ENOMEM;
    for (size_t i = 0; i < pool->server_count; i++)
        dp->transparent_backend[i] = POOL_NONE;
    for (size_t i = pool->backend_count; i-- > 0;) {
        const struct backend *backend = &pool->backends[i];
        uint16_t *first = &dp->transparent_backend[backend->server];
        if (pool->services[backend->service].mode != CONFIG_MODE_TRANSPARENT)
            continue;
        dp->is_shared[backend->server] |= *first != POOL_NONE;
        any_shared |= *first != POOL_NONE;
        *first = (uint16_t)i;
    }
    if (any_shared)
        dp->hints = hints_create(seed);
    return any_shared && !dp->hints ? -ENOMEM : 0;
}

int dataplane_init(struct dataplane *dp, struct pool *pool, const struct dataplane_settings *settings)
{
    *dp = (struct dataplane){0};
    int err = bindings_init(&dp->bindings, pool, settings->max_clients, settings->seed);
    if (!err)
        err = index_servers(dp, pool, settings->seed);
    if (!err && settings->source_rate) {
        dp->limiter = limiter_create(settings->source_rate, settings->source_burst, settings->seed);
        err = dp->limiter ? 0 : -ENOMEM;
    }
    if (err)
        dataplane_deinit(dp);
    return err;
}

void dataplane_deinit(struct dataplane *dp)
{
    bindings_deinit(&dp->bindings);
    free(dp->transparent_backend);
    free(dp->is_shared);
    hints_destroy(dp->hints);
    limiter_destroy(dp->limiter);
    *dp = (struct dataplane){0};
}

void dataplane_count_unsent(struct dataplane *dp, enum drop_reason reason)
{
    dp->drops[reason]++;
}

void dataplane_handle(struct dataplane *dp, const struct packet *packet, uint64_t now_ms,
                      struct verdict *verdict)
{
    struct ike_datagram datagram;
    uint16_t server = POOL_NONE;

    if (packet->side == PACKET_FROM_BACKEND) {
        server = pool_find_server(dp->bindings.pool, &packet->src.addr);
        if (server == POOL_NONE || packet->src.port != ike_port_number(packet->port)) {
            forward_drop(dp, DROP_UNKNOWN_SENDER, verdict);
            return;
        }
    }
    if (classify_datagram(packet->data, packet->len, packet->port == IKE_PORT_4500, &datagram) ==
        IKE_CLASS_GARBAGE)
        forward_drop(dp, (enum drop_reason)datagram.garbage, verdict);
    else if (packet->ttl <= 1)
        forward_drop(dp, DROP_TTL_EXPIRED, verdict);
    else if (packet->side == PACKET_FROM_CLIENT)
        inbound_handle(dp, packet, &datagram, now_ms, verdict);
    else
        outbound_handle(dp, packet, &datagram, server, now_ms, verdict);
}

void dataplane_sweep(struct dataplane *dp, uint64_t now_ms, uint32_t steps)
{
    bindings_sweep(&dp->bindings, now_ms, steps);
}
