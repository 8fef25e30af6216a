#include "lb/room.h"

/* One packet may end a few bindings more than it makes, so that the tables recover under a flood. */
#define TRIES_MAX 16

/* Handshakes under way that are spared at a time when room is made. */
#define SPARED_MAX 8

/* Flows that are looked at for a source port: a service has few servers, so one of them holds it. */
#define PORT_LOOKS_MAX 64

/*
 * Ends a flow before its time, and its pin if that is unconfirmed and held by nothing else; the pins `own`
 * and `keep` stay.
 */
static void end_flow(struct bindings *b, uint32_t flow, uint32_t own, uint32_t keep, uint64_t now_ms)
{
    const uint32_t pin = flows_get(b->flows, flow)->pin;

    bindings_remove_flow(b, flow);
    const struct pin *p = pins_get(b->pins, pin);
    if (pin != own && pin != keep && p->flow_count == 0 && !(p->flags & PIN_CONFIRMED))
        bindings_remove_pin(b, pin, now_ms);
}

/* Is its server about to confirm this client? So it is when the client, which is who it says, has gone on. */
static bool is_under_way(const struct pin *pin)
{
    return (pin->flags & (PIN_RECEIVES | PIN_CONFIRMED)) == PIN_RECEIVES;
}

/*
 * Room is made at the cost of the oldest unconfirmed, but a handshake under way gets another turn: forged
 * ones must not take its flow while a busy server prepares the answer. Only if there are many, one of them
 * goes.
 */
static uint32_t oldest_pin(struct bindings *b)
{
    for (int spared = 0; spared < SPARED_MAX; spared++) {
        const uint32_t index = pins_oldest_unconfirmed(b->pins);
        if (index == PIN_NONE || !is_under_way(pins_get(b->pins, index)))
            break;
        pins_renew(b->pins, index);
    }
    return pins_oldest_unconfirmed(b->pins);
}

static uint32_t oldest_flow(struct bindings *b)
{
    for (int spared = 0; spared < SPARED_MAX; spared++) {
        const uint32_t index = flows_oldest_unconfirmed(b->flows);
        if (index == FLOW_NONE || !is_under_way(pins_get(b->pins, flows_get(b->flows, index)->pin)))
            break;
        flows_renew(b->flows, index);
    }
    return flows_oldest_unconfirmed(b->flows);
}

/*
 * Ends an unconfirmed pin with the flows of its latest ports. If it has more of them, the oldest flow of all
 * ends instead: sooner or later that is one of these.
 */
static void end_pin(struct bindings *b, uint32_t index, uint32_t keep, uint64_t now_ms)
{
    const struct pin *pin = pins_get(b->pins, index);

    for (uint16_t port = 0; port < IKE_PORT_COUNT; port++) {
        const uint32_t flow = bindings_flow_of_pin(b, pin, (enum ike_port)port);
        if (flow != FLOW_NONE)
            bindings_remove_flow(b, flow);
    }
    if (pin->flow_count == 0)
        bindings_remove_pin(b, index, now_ms);
    else
        end_flow(b, oldest_flow(b), PIN_NONE, keep, now_ms);
}

void room_make(struct bindings *b, uint16_t service, const struct endpoint *client, uint32_t keep,
               uint64_t now_ms)
{
    const struct pin_key key = bindings_pin_key(b, service, client);
    const uint32_t own = pins_find(b->pins, &key);
    int tries = TRIES_MAX;

    while (own == PIN_NONE && !pins_has_room(b->pins) && pins_unconfirmed_count(b->pins)) {
        const uint32_t oldest = oldest_pin(b);
        if (oldest == keep || tries-- <= 0)
            break;
        end_pin(b, oldest, keep, now_ms);
    }
    while (!flows_has_room(b->flows, false) && flows_unconfirmed_count(b->flows) && tries-- > 0)
        end_flow(b, oldest_flow(b), own, keep, now_ms);
    if (tries < TRIES_MAX)
        b->pool->services[service].no_room_ms = now_ms;
}

/*
 * Towards another server, or another port of it, or from an address that is not the service's, a port is no
 * help.
 */
static bool holds_such_port(const struct bindings *b, const struct flow *flow,
                            const struct binding_request *request)
{
    return flow->source != FLOW_SOURCE_CLIENT && flow->listener / IKE_PORT_COUNT == request->service &&
           flow->listener % IKE_PORT_COUNT == request->port &&
           flow->server == b->pool->backends[request->backend].server;
}

bool room_make_port(struct bindings *b, const struct binding_request *request, uint64_t now_ms)
{
    uint32_t flow = oldest_flow(b);

    for (int looked_at = 0; flow != FLOW_NONE && looked_at < PORT_LOOKS_MAX; looked_at++) {
        const struct flow *f = flows_get(b->flows, flow);
        if (holds_such_port(b, f, request) && !is_under_way(pins_get(b->pins, f->pin))) {
            end_flow(b, flow, request->pin, PIN_NONE, now_ms);
            return true;
        }
        flow = flows_younger_unconfirmed(b->flows, flow);
    }
    return false;
}
