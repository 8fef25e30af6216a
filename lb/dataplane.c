#include "lb/dataplane.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lb/handshake.h"
#include "lb/hints.h"
#include "lb/limiter.h"
#include "lb/passive.h"
#include "lb/steer.h"

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

static void drop(struct dataplane *dp, enum drop_reason reason, struct verdict *verdict)
{
    *verdict = (struct verdict){.action = VERDICT_DROP, .reason = reason};
    dp->drops[reason]++;
}

void dataplane_count_unsent(struct dataplane *dp, enum drop_reason reason)
{
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

/* Sends it to a backend from `src`. */
static void to_backend(struct dataplane *dp, const struct packet *packet, const struct ike_datagram *datagram,
                       uint16_t backend, const struct endpoint *src, struct verdict *verdict)
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

/* Sends it to a client, as from the VIP of the backend's service. */
static void to_client(struct dataplane *dp, const struct packet *packet, const struct ike_datagram *datagram,
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

/* An established flow is touched in one place only, its own cache line. */
static void forward_flow_in(struct dataplane *dp, const struct packet *packet,
                            const struct ike_datagram *datagram, uint32_t index, uint64_t now_ms,
                            struct verdict *verdict)
{
    struct bindings *b = &dp->bindings;
    struct flow *flow = flows_get(b->flows, index);
    struct endpoint src = packet->src;

    flow->client_ms = (uint32_t)now_ms;
    if (flow->flags & FLOW_CONFIRMED)
        flow->seen_ms = (uint32_t)now_ms;
    if (datagram->class != IKE_CLASS_KEEPALIVE) {
        flow->flags &= (uint8_t)~FLOW_LEFT;
        handshake_from_client(b, index, datagram, now_ms);
    }
    if (flow->source != FLOW_SOURCE_CLIENT)
        src = (struct endpoint){.addr = *snat_addr(b->snat, flow->source), .port = flow->source_port};
    to_backend(dp, packet, datagram, flow->backend, &src, verdict);
}

static int add_flow(struct bindings *b, const struct packet *packet, const struct steer_choice *choice,
                    uint64_t now_ms, uint32_t *flow, enum drop_reason *reason)
{
    const struct binding_request request = {
        .client = packet->src,
        .service = packet->service,
        .port = packet->port,
        .backend = choice->backend,
        .pin = choice->pin,
        .moved = choice->rule == STEER_ESP,
        .session = choice->session,
    };

    int err = bindings_add_flow(b, &request, now_ms, flow, reason);
    if (err && *reason == DROP_NO_SNAT_PORT) {
        b->pool->services[packet->service].no_port_ms = now_ms;
        if (bindings_make_port(b, &request, now_ms))
            err = bindings_add_flow(b, &request, now_ms, flow, reason);
    }
    return err;
}

static struct hint_key hint_key(const struct endpoint *client, uint16_t server, enum ike_port port)
{
    return (struct hint_key){.client = *client, .server = server, .port = (uint16_t)port};
}

/* Remembers for replying_backend() where a client without a confirmed flow was sent, if that will be asked.
 */
static void note_hint(struct dataplane *dp, const struct packet *packet, uint16_t backend)
{
    const struct backend *to = &dp->bindings.pool->backends[backend];
    const struct hint_key key = hint_key(&packet->src, to->server, packet->port);

    if (dp->is_shared[to->server] && dp->bindings.pool->services[to->service].mode == CONFIG_MODE_TRANSPARENT)
        hints_note(dp->hints, &key, backend);
}

/* For the alarms (lb/alarms.h). */
static void note_refusal(struct service *service, enum drop_reason reason, uint64_t now_ms)
{
    if (reason == DROP_NO_SNAT_ADDRESS)
        service->no_address_ms = now_ms;
    else if (reason == DROP_TABLE_FULL)
        service->no_room_ms = now_ms;
}

/* What opened a handshake and is dropped is remembered, so that it can be explained. */
static void refuse(struct dataplane *dp, const struct packet *packet, const struct steer_request *request,
                   enum drop_reason reason, uint64_t now_ms, struct verdict *verdict)
{
    const struct ike_datagram *datagram = request->datagram;

    if (datagram->class == IKE_CLASS_IKE && header_is_init_request(&datagram->header))
        tracking_refused(&dp->bindings.tracking, packet->service, &packet->src, (uint16_t)reason, now_ms);
    drop(dp, reason, verdict);
}

/*
 * Full NAT cannot forward without a flow. So that a flood of handshakes that lead nowhere does not shut out
 * the clients that come after it, the oldest unconfirmed ones give way: a real client needs its place for one
 * round trip only.
 */
static void make_room(struct bindings *b, const struct steer_request *request, uint64_t now_ms)
{
    if (b->pool->services[request->service].mode == CONFIG_MODE_FULL_NAT && request->may_pin)
        bindings_make_room(b, request->service, &request->client, now_ms);
}

/* Why there would be no flow, if there is none. */
static enum drop_reason reason_without_flow(const struct bindings *b, const struct steer_request *request,
                                            const struct steer_choice *choice)
{
    const bool over_limit = choice->moved && choice->pin == PIN_NONE && pins_has_room(b->pins);

    if (request->datagram->class == IKE_CLASS_KEEPALIVE)
        return DROP_NO_FLOW;
    return over_limit || !request->may_pin ? DROP_RATE_LIMITED : DROP_TABLE_FULL;
}

/*
 * The packet goes to the chosen backend with a new flow, in place of its old one, if it can have one.
 * Transparent mode forwards without one, too; what the client loses then is its pin, if anything.
 */
static void forward_new(struct dataplane *dp, const struct packet *packet,
                        const struct steer_request *request, const struct steer_choice *choice,
                        uint64_t now_ms, struct verdict *verdict)
{
    struct bindings *b = &dp->bindings;
    struct service *service = &b->pool->services[packet->service];
    const bool transparent = service->mode == CONFIG_MODE_TRANSPARENT;
    enum drop_reason reason = reason_without_flow(b, request, choice);
    uint32_t flow;

    note_hint(dp, packet, choice->backend);
    if (request->flow != FLOW_NONE) {
        bindings_remove_flow(b, request->flow);
        make_room(b, request, now_ms);
    }
    if (choice->pin != PIN_NONE && request->may_pin &&
        add_flow(b, packet, choice, now_ms, &flow, &reason) == 0) {
        forward_flow_in(dp, packet, request->datagram, flow, now_ms, verdict);
        return;
    }
    if (request->may_pin && (!transparent || choice->pin == PIN_NONE))
        note_refusal(service, reason, now_ms);
    if (transparent)
        to_backend(dp, packet, request->datagram, choice->backend, &packet->src, verdict);
    else
        refuse(dp, packet, request, reason, now_ms, verdict);
}

/*
 * What begins something in vain costs a token of its source: a message that opens an IKE SA, and whatever
 * makes a new flow. A known session has paid.
 */
static bool is_over_limit(struct dataplane *dp, const struct steer_request *request, uint64_t now_ms)
{
    const bool is_init =
        request->datagram->class == IKE_CLASS_IKE && header_is_init_request(&request->datagram->header);

    if (!dp->limiter || request->session != SESSION_NONE || (request->flow != FLOW_NONE && !is_init))
        return false;
    return !limiter_take(dp->limiter, &request->client.addr, now_ms);
}

/* A packet without a flow, or an IKE message, which may have to leave its flow. */
static void steer_client(struct dataplane *dp, const struct packet *packet,
                         const struct ike_datagram *datagram, uint32_t flow, uint64_t now_ms,
                         struct verdict *verdict)
{
    struct bindings *b = &dp->bindings;
    struct steer_request request = {
        .service = packet->service,
        .port = packet->port,
        .client = packet->src,
        .datagram = datagram,
        .flow = flow,
        .session = steer_session(b, packet->service, datagram),
        .may_pin = datagram->class != IKE_CLASS_KEEPALIVE,
    };

    if (request.may_pin && is_over_limit(dp, &request, now_ms)) {
        if (datagram->class == IKE_CLASS_IKE && header_is_init_request(&datagram->header)) {
            refuse(dp, packet, &request, DROP_RATE_LIMITED, now_ms, verdict);
            return;
        }
        request.may_pin = false;
    }
    if (flow == FLOW_NONE)
        make_room(b, &request, now_ms);
    const struct steer_choice choice = steer(b, &request, now_ms);
    if (choice.backend == POOL_NONE)
        refuse(dp, packet, &request, DROP_NO_BACKEND, now_ms, verdict);
    else if (flow != FLOW_NONE && choice.backend == flows_get(b->flows, flow)->backend)
        forward_flow_in(dp, packet, datagram, flow, now_ms, verdict);
    else
        forward_new(dp, packet, &request, &choice, now_ms, verdict);
}

/* A source that no answer could reach, or that would make the answer come back here for ever. */
static bool is_bad_source(const struct bindings *b, const struct packet *packet)
{
    const struct addr *client = &packet->src.addr;

    return packet->src.port == 0 || addr_is_unspecified(client) || addr_is_multicast(client) ||
           !pool_vip(&b->pool->services[packet->service], addr_family(client)) ||
           pool_is_vip(b->pool, client);
}

static void handle_client(struct dataplane *dp, const struct packet *packet,
                          const struct ike_datagram *datagram, uint64_t now_ms, struct verdict *verdict)
{
    const struct flow_in_key key = {
        .client = packet->src.addr,
        .client_port = packet->src.port,
        .listener = (uint16_t)(packet->service * IKE_PORT_COUNT + packet->port),
    };
    const uint32_t flow = flows_find_in(dp->bindings.flows, &key);

    if (flow == FLOW_NONE && is_bad_source(&dp->bindings, packet)) /* a bad source never gets a flow */
        drop(dp, DROP_BAD_SOURCE, verdict);
    else if (flow != FLOW_NONE && datagram->class != IKE_CLASS_IKE)
        forward_flow_in(dp, packet, datagram, flow, now_ms, verdict);
    else
        steer_client(dp, packet, datagram, flow, now_ms, verdict);
}

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

/*
 * The transparent backend that a reply without a flow comes from, or POOL_NONE. Where several services share
 * the server it is the one that the client was last sent to; if that is not known either, the first is as
 * good as any, and nothing may be learnt from it.
 */
static uint16_t replying_backend(const struct dataplane *dp, const struct packet *packet, uint16_t server,
                                 bool *is_sure)
{
    const struct hint_key key = hint_key(&packet->dst, server, packet->port);

    if (!dp->is_shared[server])
        return dp->transparent_backend[server];
    const uint16_t hint = hints_find(dp->hints, &key);
    *is_sure = hint != HINTS_NONE;
    return *is_sure ? hint : dp->transparent_backend[server];
}

/* A late answer to a first message tells which backend the client may go on with; a proof, where it is. */
static void learn_from_reply(struct dataplane *dp, const struct packet *packet,
                             const struct ike_datagram *datagram, uint16_t backend, uint64_t now_ms)
{
    struct bindings *b = &dp->bindings;
    const uint16_t service = b->pool->backends[backend].service;
    const struct pin_key key = bindings_pin_key(b, service, &packet->dst);

    if (handshake_is_proof(b, service, &packet->dst, datagram))
        learn_from_backend(dp, packet, datagram, backend, now_ms);
    else if (datagram->class == IKE_CLASS_IKE && header_is_init_response(&datagram->header))
        handshake_answered(b, pins_find(b->pins, &key), backend, datagram, now_ms);
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
        drop(dp, DROP_NO_FLOW, verdict);
        return;
    }
    if (is_sure)
        learn_from_reply(dp, packet, datagram, backend, now_ms);
    to_client(dp, packet, datagram, backend, &packet->dst, now_ms, verdict);
}

static void forward_flow_out(struct dataplane *dp, const struct packet *packet,
                             const struct ike_datagram *datagram, uint32_t index, uint64_t now_ms,
                             struct verdict *verdict)
{
    struct bindings *b = &dp->bindings;
    struct flow *flow = flows_get(b->flows, index);
    const bool proved = handshake_from_backend(b, index, datagram, now_ms);

    flow->backend_ms = (uint32_t)now_ms;
    if (flow->flags & FLOW_CONFIRMED)
        flow->seen_ms = (uint32_t)now_ms;
    else if (proved)
        bindings_confirm(b, index, now_ms);
    const struct endpoint client = {.addr = flow->client, .port = flow->client_port};
    to_client(dp, packet, datagram, flow->backend, &client, now_ms, verdict);
}

static void handle_backend(struct dataplane *dp, const struct packet *packet,
                           const struct ike_datagram *datagram, uint16_t server, uint64_t now_ms,
                           struct verdict *verdict)
{
    const uint16_t source = snat_find(dp->bindings.snat, &packet->dst.addr);
    struct flow_out_key key = {
        .client = packet->dst.addr,
        .source = source == SNAT_NONE ? FLOW_SOURCE_CLIENT : source,
        .source_port = packet->dst.port,
        .server = server,
        .port = (uint16_t)packet->port,
    };
    const uint32_t flow = flows_find_out(dp->bindings.flows, &key);

    if (flow != FLOW_NONE)
        forward_flow_out(dp, packet, datagram, flow, now_ms, verdict);
    else
        reply_without_flow(dp, packet, datagram, server, now_ms, verdict);
}

void dataplane_handle(struct dataplane *dp, const struct packet *packet, uint64_t now_ms,
                      struct verdict *verdict)
{
    struct ike_datagram datagram;
    uint16_t server = POOL_NONE;

    if (packet->side == PACKET_FROM_BACKEND) {
        server = pool_find_server(dp->bindings.pool, &packet->src.addr);
        if (server == POOL_NONE || packet->src.port != ike_port_number(packet->port)) {
            drop(dp, DROP_UNKNOWN_SENDER, verdict);
            return;
        }
    }
    if (classify_datagram(packet->data, packet->len, packet->port == IKE_PORT_4500, &datagram) ==
        IKE_CLASS_GARBAGE)
        drop(dp, (enum drop_reason)datagram.garbage, verdict);
    else if (packet->ttl <= 1)
        drop(dp, DROP_TTL_EXPIRED, verdict);
    else if (packet->side == PACKET_FROM_CLIENT)
        handle_client(dp, packet, &datagram, now_ms, verdict);
    else
        handle_backend(dp, packet, &datagram, server, now_ms, verdict);
}

void dataplane_sweep(struct dataplane *dp, uint64_t now_ms, uint32_t steps)
{
    bindings_sweep(&dp->bindings, now_ms, steps);
}
