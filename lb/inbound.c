#include "lb/inbound.h"

#include "lb/forward.h"
#include "lb/handshake.h"
#include "lb/hints.h"
#include "lb/limiter.h"
#include "lb/room.h"
#include "lb/steer.h"

static bool is_init(const struct ike_datagram *datagram)
{
    return datagram->class == IKE_CLASS_IKE && header_is_init_request(&datagram->header);
}

/* An established flow is touched in one place only, its own cache line. */
static void forward_flow_in(struct dataplane *dp, const struct packet *packet,
                            const struct ike_datagram *datagram, uint32_t index, uint64_t now_ms,
                            struct verdict *verdict)
{
    struct bindings *b = &dp->bindings;
    struct flow *flow = flows_get(b->flows, index);
    struct endpoint src = packet->src;

    if (flow->flags & FLOW_CONFIRMED && !is_init(datagram)) /* which anybody can send as from here */
        flow->seen_ms = (uint32_t)now_ms;
    handshake_from_client(b, index, datagram, now_ms);
    if (flow->source != FLOW_SOURCE_CLIENT)
        src = (struct endpoint){.addr = *snat_addr(b->snat, flow->source), .port = flow->source_port};
    forward_to_backend(dp, packet, datagram, flow->backend, &src, verdict);
    verdict->id = flows_next_id(flow);
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
        if (room_make_port(b, &request, now_ms))
            err = bindings_add_flow(b, &request, now_ms, flow, reason);
    }
    return err;
}

/* Remembers for lb/outbound where a client without a confirmed flow was sent, if that will be asked. */
static void note_hint(struct dataplane *dp, const struct packet *packet, uint16_t backend)
{
    const struct backend *to = &dp->bindings.pool->backends[backend];
    const struct hint_key key = {.client = packet->src, .server = to->server, .port = (uint16_t)packet->port};

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
    if (is_init(request->datagram))
        tracking_refused(&dp->bindings.tracking, packet->service, &packet->src, (uint16_t)reason, now_ms);
    forward_drop(dp, reason, verdict);
}

/*
 * Full NAT cannot forward without a flow. So that a flood of handshakes that lead nowhere does not shut out
 * the clients that come after it, the oldest unconfirmed ones give way: a real client needs its place for one
 * round trip only.
 */
static void make_room(struct bindings *b, const struct steer_request *request, uint32_t keep, uint64_t now_ms)
{
    if (b->pool->services[request->service].mode == CONFIG_MODE_FULL_NAT && request->may_pin)
        room_make(b, request->service, &request->client, keep, now_ms);
}

/* Why there would be no flow, if there is none. */
static enum drop_reason reason_without_flow(const struct steer_request *request,
                                            const struct steer_choice *choice)
{
    if (request->datagram->class == IKE_CLASS_KEEPALIVE)
        return DROP_NO_FLOW;
    return choice->over_limit || !request->may_pin ? DROP_RATE_LIMITED : DROP_TABLE_FULL;
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
    enum drop_reason reason = reason_without_flow(request, choice);
    uint32_t flow;

    note_hint(dp, packet, choice->backend);
    if (request->flow != FLOW_NONE) {
        bindings_remove_flow(b, request->flow);
        make_room(b, request, choice->pin, now_ms);
    }
    if (choice->pin != PIN_NONE && request->may_pin &&
        add_flow(b, packet, choice, now_ms, &flow, &reason) == 0) {
        forward_flow_in(dp, packet, request->datagram, flow, now_ms, verdict);
        return;
    }
    if (request->may_pin && (!transparent || choice->pin == PIN_NONE))
        note_refusal(service, reason, now_ms);
    if (transparent)
        forward_to_backend(dp, packet, request->datagram, choice->backend, &packet->src, verdict);
    else
        refuse(dp, packet, request, reason, now_ms, verdict);
}

/*
 * What begins something in vain costs a token of its source: a message that opens an IKE SA, and whatever
 * makes a new flow. A known session has paid.
 */
static bool is_over_limit(struct dataplane *dp, const struct steer_request *request, uint64_t now_ms)
{
    if (!dp->limiter || request->session != SESSION_NONE ||
        (request->flow != FLOW_NONE && !is_init(request->datagram)))
        return false;
    return !limiter_take(dp->limiter, &request->client.addr, now_ms);
}

/*
 * The session that the packet's SPIs name. A client that has gone from IPv6 to IPv4 can only be followed by
 * full NAT: transparent mode has no packet for a server of the other family.
 */
static uint32_t session_to_follow(const struct bindings *b, const struct packet *packet,
                                  const struct ike_datagram *datagram)
{
    const uint32_t session = steer_session(b, packet->service, datagram);

    if (session == SESSION_NONE || b->pool->services[packet->service].mode == CONFIG_MODE_FULL_NAT)
        return session;
    const uint16_t backend = sessions_get(b->tracking.sessions, session)->story.backend;
    const bool fits = addr_family(&b->pool->backends[backend].addr) == addr_family(&packet->src.addr);
    return fits ? session : SESSION_NONE;
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
        .session = session_to_follow(b, packet, datagram),
        .may_pin = datagram->class != IKE_CLASS_KEEPALIVE,
    };

    if (request.may_pin && is_over_limit(dp, &request, now_ms)) {
        if (is_init(datagram)) {
            refuse(dp, packet, &request, DROP_RATE_LIMITED, now_ms, verdict);
            return;
        }
        request.may_pin = false;
    }
    if (flow == FLOW_NONE) {
        const uint32_t pin = request.session == SESSION_NONE
                                 ? PIN_NONE
                                 : sessions_get(b->tracking.sessions, request.session)->pin;
        make_room(b, &request, pin, now_ms);
    }
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
           addr_is_link_local(client) ||
           !pool_vip(&b->pool->services[packet->service], addr_family(client)) ||
           pool_find_vip(b->pool, client) != POOL_NONE;
}

struct flow_in_key inbound_key(const struct packet *packet)
{
    return (struct flow_in_key){
        .client = packet->src.addr,
        .client_port = packet->src.port,
        .listener = (uint16_t)(packet->service * IKE_PORT_COUNT + packet->port),
    };
}

void inbound_handle(struct dataplane *dp, const struct packet *packet, const struct ike_datagram *datagram,
                    uint64_t now_ms, struct verdict *verdict)
{
    const struct flow_in_key key = inbound_key(packet);
    const uint32_t flow = flows_find_in(dp->bindings.flows, &key);

    if (flow == FLOW_NONE && is_bad_source(&dp->bindings, packet)) /* a bad source never gets a flow */
        forward_drop(dp, DROP_BAD_SOURCE, verdict);
    else if (flow != FLOW_NONE && datagram->class != IKE_CLASS_IKE)
        forward_flow_in(dp, packet, datagram, flow, now_ms, verdict);
    else
        steer_client(dp, packet, datagram, flow, now_ms, verdict);
}
