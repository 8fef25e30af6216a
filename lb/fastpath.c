#include "lb/fastpath.h"

const char *fastpath_mode_name(enum fastpath_mode mode)
{
    static const char *const names[] = {
        [FASTPATH_OFF] = "off", [FASTPATH_GENERIC] = "generic", [FASTPATH_NATIVE] = "native"};

    return names[mode];
}

bool fastpath_describe(const struct bindings *b, const struct flow *flow, struct fastpath_binding *out)
{
    const struct backend *backend = &b->pool->backends[flow->backend];
    const struct addr *vip = pool_vip(&b->pool->services[backend->service], addr_family(&backend->addr));
    const bool is_transparent = flow->source == FLOW_SOURCE_CLIENT;

    if (flow->listener % IKE_PORT_COUNT != IKE_PORT_4500 || !vip ||
        addr_family(&flow->client) != addr_family(&backend->addr)) /* full NAT may change the family */
        return false;
    *out = (struct fastpath_binding){
        .client = {.addr = flow->client, .port = flow->client_port},
        .vip = {.addr = *vip, .port = ike_port_number(IKE_PORT_4500)},
        .source = {.addr = is_transparent ? flow->client : *snat_addr(b->snat, flow->source),
                   .port = flow->source_port},
        .server = {.addr = backend->addr, .port = ike_port_number(IKE_PORT_4500)},
        .backend = flow->backend,
        .source_index = flow->source,
        .spi = flow->proved_spi,
    };
    return true;
}

bool fastpath_may_carry(const struct backend *backend)
{
    return !pool_is_lost(backend) && !pool_is_draining(backend);
}

bool fastpath_may_enter(const struct bindings *b, const struct flow *flow)
{
    const unsigned wanted = FLOW_CONFIRMED | FLOW_ESP_BOTH;
    const struct backend *backend = &b->pool->backends[flow->backend];

    return (flow->flags & (wanted | FLOW_MOVED | FLOW_LEFT)) == wanted && flow->proved_spi &&
           flow->proved_spi == flow->esp_spi && fastpath_may_carry(backend);
}

void fastpath_answered(struct bindings *b, uint32_t index)
{
    struct flow *flow = flows_get(b->flows, index);
    struct fastpath_binding binding;

    if (!b->fastpath || (flow->flags & (FLOW_FAST | FLOW_ASKED)) == FLOW_FAST ||
        !fastpath_may_enter(b, flow) || !fastpath_describe(b, flow, &binding) ||
        !b->fastpath->ops->enter(b->fastpath->ctx, &binding))
        return;
    flow->flags = (uint8_t)((flow->flags | FLOW_FAST) & ~FLOW_ASKED);
}

void fastpath_unproved(struct bindings *b, uint32_t index)
{
    struct flow *flow = flows_get(b->flows, index);
    struct fastpath_binding binding;

    if ((flow->flags & (FLOW_FAST | FLOW_ASKED)) != FLOW_FAST || !fastpath_describe(b, flow, &binding))
        return;
    flow->flags |= FLOW_ASKED;
    b->fastpath->ops->ask(b->fastpath->ctx, &binding);
}

void fastpath_leave(struct bindings *b, uint32_t index)
{
    struct flow *flow = flows_get(b->flows, index);
    struct fastpath_binding binding;

    if (!(flow->flags & FLOW_FAST) || !fastpath_describe(b, flow, &binding))
        return;
    b->fastpath->ops->leave(b->fastpath->ctx, &binding);
    flow->flags &= (uint8_t) ~(FLOW_FAST | FLOW_ASKED);
}

static void advance(uint32_t *time_ms, uint32_t other_ms)
{
    if ((int32_t)(other_ms - *time_ms) > 0)
        *time_ms = other_ms;
}

struct flow *fastpath_flow(const struct bindings *b, uint32_t index, uint64_t now_ms)
{
    struct flow *flow = flows_get(b->flows, index);
    struct fastpath_binding binding;
    struct fastpath_ages ages;

    if (!(flow->flags & FLOW_FAST) || !fastpath_describe(b, flow, &binding) ||
        !b->fastpath->ops->ages(b->fastpath->ctx, &binding, now_ms, &ages))
        return flow;
    const uint32_t client_ms = (uint32_t)now_ms - ages.client_ms;
    advance(&flow->seen_ms, client_ms);
    advance(&flow->seen_ms, (uint32_t)now_ms - ages.backend_ms);
    if (flow->esp_spi == flow->proved_spi) /* or it may be another client's: lb/handshake.c */
        advance(&flow->client_ms, client_ms);
    return flow;
}

void fastpath_refresh(const struct bindings *b)
{
    if (b->fastpath)
        b->fastpath->ops->refresh(b->fastpath->ctx);
}

void fastpath_report(const struct bindings *b, struct fastpath_report *out)
{
    *out = (struct fastpath_report){.mode = FASTPATH_OFF, .trouble = b->fastpath_trouble};
    if (b->fastpath)
        b->fastpath->ops->report(b->fastpath->ctx, out);
}
