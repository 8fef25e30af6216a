#include "lb/outbound.h"

#include "lb/fastpath.h"
#include "lb/forward.h"
#include "lb/handshake.h"
#include "lb/hints.h"
#include "lb/proof.h"
#include "lb/steer.h"

/* Is what we know of a client better than what its backend says? What was only guessed gives way. */
static bool knows_better(const struct bindings *b, uint32_t flow, uint32_t pin, uint16_t backend)
{
    if (flow != FLOW_NONE && flows_get(b->flows, flow)->flags & FLOW_CONFIRMED)
        return true;
    if (pin == PIN_NONE)
        return false;
    const struct pin *p = pins_get(b->pins, pin);
    return p->flags & PIN_CONFIRMED && p->backend != backend;
}

/*
 * A transparent backend proves a client that we do not remember: we have just been started, or the tables
 * were full when the handshake began.
 */
static void learn_from_backend(struct dataplane *dp, const struct packet *packet,
                               const struct ike_datagram *datagram, uint16_t backend, uint64_t now_ms)
{
    struct bindings *b = &dp->bindings;
    const uint16_t service = b->pool->backends[backend].service;
    const struct flow_in_key key = {
        .client = packet->dst.addr,
        .client_port = packet->dst.port,
        .listener = (uint16_t)(service * IKE_PORT_COUNT + packet->port),
    };
    const struct pin_key pin_key = bindings_pin_key(b, service, &packet->dst);
    const uint32_t guess = flows_find_in(b->flows, &key);
    const uint32_t session = steer_session(b, service, datagram);
    uint32_t pin = pins_find(b->pins, &pin_key);
    enum drop_reason reason;
    uint32_t flow;

    if (knows_better(b, guess, session == SESSION_NONE ? pin : PIN_NONE, backend))
        return;
    if (pin == PIN_NONE && bindings_add_pin(b, &packet->dst, backend, true, now_ms, &pin) != 0)
        return;
    if (guess != FLOW_NONE)
        bindings_remove_flow(b, guess);
    if (!knows_better(b, FLOW_NONE, pin, backend))
        bindings_move_pin(b, pin, backend);
    pins_confirm(b->pins, pin);
    const struct binding_request request = {
        .client = packet->dst,
        .service = service,
        .port = packet->port,
        .backend = backend,
        .pin = pin,
        .confirmed = true,
        .session = session,
    };
    if (bindings_add_flow(b, &request, now_ms, &flow, &reason) == 0)
        (void)handshake_from_backend(b, flow, datagram, now_ms);
}

/* A hint is older than a reload may be: its index may be nobody's, or another's by now. */
static bool is_transparent_at(const struct pool *pool, uint16_t index, uint16_t server)
{
    const struct backend *backend = &pool->backends[index];

    return backend->used && backend->server == server &&
           pool->services[backend->service].mode == CONFIG_MODE_TRANSPARENT;
}

/*
 * The transparent backend that a reply without a flow comes from, or POOL_NONE. Where several services share
 * the server it is the one that the client was last sent to; if that is not known either, the first is as
 * good as any, and nothing may be learnt from it.
 */
static uint16_t replying_backend(const struct dataplane *dp, const struct packet *packet, uint16_t server,
                                 bool *is_sure)
{
    const struct hint_key key = {.client = packet->dst, .server = server, .port = (uint16_t)packet->port};

    if (!dp->is_shared[server])
        return dp->transparent_backend[server];
    const uint16_t hint = hints_find(dp->hints, &key);
    *is_sure = hint != HINTS_NONE && is_transparent_at(dp->bindings.pool, hint, server);
    return *is_sure ? hint : dp->transparent_backend[server];
}

/* A late answer to a first message tells which backend the client may go on with; a proof, where it is. */
static void learn_from_reply(struct dataplane *dp, const struct packet *packet,
                             const struct ike_datagram *datagram, uint16_t backend, uint64_t now_ms)
{
    struct bindings *b = &dp->bindings;
    const uint16_t service = b->pool->backends[backend].service;
    const struct pin_key key = bindings_pin_key(b, service, &packet->dst);

    if (proof_of_client(b, service, &packet->dst, datagram))
        learn_from_backend(dp, packet, datagram, backend, now_ms);
    else if (datagram->class == IKE_CLASS_IKE && header_is_init_response(&datagram->header))
        handshake_answered(b, pins_find(b->pins, &key), backend, datagram, now_ms);
    proof_note_response(b, service, datagram);
}

/* No flow matches: in transparent mode there is still exactly one right way to rewrite, the source becomes
 * the VIP. */
static void reply_without_flow(struct dataplane *dp, const struct packet *packet,
                               const struct ike_datagram *datagram, uint16_t server, uint64_t now_ms,
                               struct verdict *verdict)
{
    bool is_sure = true;
    const uint16_t backend = replying_backend(dp, packet, server, &is_sure);

    if (backend == POOL_NONE || snat_find(dp->bindings.snat, &packet->dst.addr) != SNAT_NONE) {
        forward_drop(dp, DROP_NO_FLOW, verdict);
        return;
    }
    if (is_sure)
        learn_from_reply(dp, packet, datagram, backend, now_ms);
    forward_to_client(dp, packet, datagram, backend, &packet->dst, now_ms, verdict);
}

static void forward_flow_out(struct dataplane *dp, const struct packet *packet,
                             const struct ike_datagram *datagram, uint32_t index, uint64_t now_ms,
                             struct verdict *verdict)
{
    struct bindings *b = &dp->bindings;
    struct flow *flow = flows_get(b->flows, index);
    const bool proved = handshake_from_backend(b, index, datagram, now_ms);

    if (flow->flags & FLOW_CONFIRMED)
        flow->seen_ms = (uint32_t)now_ms;
    else if (proved)
        bindings_confirm(b, index, now_ms);
    if (datagram->class == IKE_CLASS_ESP)
        fastpath_answered(b, index);
    const struct endpoint client = {.addr = flow->client, .port = flow->client_port};
    forward_to_client(dp, packet, datagram, flow->backend, &client, now_ms, verdict);
    verdict->id = flows_next_id(flow);
}

struct flow_out_key outbound_key(const struct dataplane *dp, const struct packet *packet, uint16_t server)
{
    const uint16_t source = snat_find(dp->bindings.snat, &packet->dst.addr);

    return (struct flow_out_key){
        .client = packet->dst.addr,
        .source = source == SNAT_NONE ? FLOW_SOURCE_CLIENT : source,
        .source_port = packet->dst.port,
        .server = server,
        .port = (uint16_t)packet->port,
    };
}

void outbound_handle(struct dataplane *dp, const struct packet *packet, const struct ike_datagram *datagram,
                     uint16_t server, uint64_t now_ms, struct verdict *verdict)
{
    const struct flow_out_key key = outbound_key(dp, packet, server);
    const uint32_t flow = flows_find_out(dp->bindings.flows, &key);

    if (flow != FLOW_NONE)
        forward_flow_out(dp, packet, datagram, flow, now_ms, verdict);
    else
        reply_without_flow(dp, packet, datagram, server, now_ms, verdict);
}
