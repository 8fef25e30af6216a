#include "lb/dataplane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lb/fastpath.h"
#include "lb/forward.h"
#include "lb/hints.h"
#include "lb/inbound.h"
#include "lb/limiter.h"
#include "lb/outbound.h"

/* So few flows stay in the processor's caches by themselves. */
#define EXPECT_FLOWS_MIN 10000

/* Is this backend the better answer to whose a reply is than the one known so far? */
static bool is_likelier(const struct pool *pool, uint16_t known, const struct backend *backend)
{
    return known == POOL_NONE || (pool->backends[known].removed && !backend->removed);
}

/* Which service a reply of a server belongs to, if its address alone can tell. */
static int index_servers(struct dataplane *dp)
{
    const struct pool *pool = dp->bindings.pool;
    bool any_shared = false;

    for (size_t i = 0; i < POOL_BACKENDS_MAX; i++) {
        dp->transparent_backend[i] = POOL_NONE;
        dp->is_shared[i] = false;
    }
    for (size_t i = 0; i < pool->backend_count; i++) {
        const struct backend *backend = &pool->backends[i];
        if (!backend->used || pool->services[backend->service].mode != CONFIG_MODE_TRANSPARENT)
            continue;
        uint16_t *known = &dp->transparent_backend[backend->server];
        dp->is_shared[backend->server] |= *known != POOL_NONE;
        any_shared |= *known != POOL_NONE;
        if (is_likelier(pool, *known, backend))
            *known = (uint16_t)i;
    }
    if (any_shared && !dp->hints)
        dp->hints = hints_create(dp->seed);
    if (!any_shared || dp->hints)
        return 0;
    memset(dp->is_shared, 0, POOL_BACKENDS_MAX * sizeof *dp->is_shared); /* a running daemon goes on */
    return -ENOMEM;
}

int dataplane_refresh(struct dataplane *dp)
{
    const int err = bindings_refresh(&dp->bindings);
    const int index_err = index_servers(dp);

    fastpath_refresh(&dp->bindings);
    return err ? err : index_err;
}

int dataplane_limit(struct dataplane *dp, uint32_t source_rate, uint32_t source_burst)
{
    struct limiter *limiter = NULL;

    if (source_rate) {
        limiter = limiter_create(source_rate, source_burst, dp->seed);
        if (!limiter)
            return -ENOMEM;
    }
    limiter_destroy(dp->limiter);
    dp->limiter = limiter;
    return 0;
}

int dataplane_init(struct dataplane *dp, struct pool *pool, const struct dataplane_settings *settings)
{
    *dp = (struct dataplane){.seed = settings->seed};
    int err = bindings_init(&dp->bindings, pool, settings->max_clients, settings->seed);
    if (!err) {
        dp->transparent_backend = calloc(POOL_BACKENDS_MAX, sizeof *dp->transparent_backend);
        dp->is_shared = calloc(POOL_BACKENDS_MAX, sizeof *dp->is_shared);
        err = dp->transparent_backend && dp->is_shared ? dataplane_refresh(dp) : -ENOMEM;
    }
    if (!err)
        err = dataplane_limit(dp, settings->source_rate, settings->source_burst);
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

static uint32_t expect(const struct dataplane *dp, const struct packet *packet)
{
    if (packet->side == PACKET_FROM_CLIENT) {
        const struct flow_in_key key = inbound_key(packet);
        return flows_expect_in(dp->bindings.flows, &key);
    }
    /* Of an unknown sender it is as good as any other; nothing is done but to read. */
    const struct flow_out_key key =
        outbound_key(dp, packet, pool_find_server(dp->bindings.pool, &packet->src.addr));
    return flows_expect_out(dp->bindings.flows, &key);
}

void dataplane_expect(const struct dataplane *dp, const struct packet *packets, size_t count)
{
    uint32_t buckets[DATAPLANE_EXPECT_MAX];

    if (flows_count(dp->bindings.flows) < EXPECT_FLOWS_MIN)
        return;
    for (size_t i = 0; i < count; i++)
        buckets[i] = expect(dp, &packets[i]);
    for (size_t i = 0; i < count; i++) {
        if (packets[i].side == PACKET_FROM_CLIENT)
            flows_expected_in(dp->bindings.flows, buckets[i]);
        else
            flows_expected_out(dp->bindings.flows, buckets[i]);
    }
}

void dataplane_sweep(struct dataplane *dp, uint64_t now_ms, uint32_t steps)
{
    bindings_sweep(&dp->bindings, now_ms, steps);
}
