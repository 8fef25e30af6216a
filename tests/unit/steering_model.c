#include "tests/unit/steering_model.h"

#include "tests/unit/model_steer.h"
#include "tests/unit/model_watch.h"
#include "tests/unit/unit.h"

void steering_model_init(struct model *m, struct pool *pool, uint32_t max_clients)
{
    *m = (struct model){.pool = pool, .max_clients = max_clients};
    assert_in_range(max_clients * BINDINGS_FLOWS_PER_CLIENT, 1, MODEL_ENTRIES_MAX);
    assert_in_range(pool->backend_count, 1, MODEL_BACKENDS);
}

/* --- The way of a packet --- */

static struct model_verdict drop(enum drop_reason reason)
{
    return (struct model_verdict){.action = VERDICT_DROP, .reason = reason, .flow = MODEL_NONE};
}

static struct model_verdict to_backend(struct model *m, const struct packet *p, uint16_t backend,
                                       uint32_t flow)
{
    return (struct model_verdict){
        .action = VERDICT_TO_BACKEND,
        .backend = backend,
        .flow = flow,
        .src = flow == MODEL_NONE ? p->src : m->flows[flow].source,
        .dst = {m->pool->backends[backend].addr, ike_port_number(p->port)},
    };
}

static void client_was_seen(struct model *m, uint32_t flow, const struct ike_datagram *d)
{
    struct model_flow *f = &m->flows[flow];

    if (f->confirmed && !model_steer_opens(d)) /* which anybody can send */
        f->seen_ms = m->pins[f->pin].seen_ms = m->now_ms;
}

/* --- Full NAT cannot forward without a flow: what is oldest and unconfirmed gives way --- */

static bool is_under_way(const struct model *m, uint32_t pin)
{
    return m->pins[pin].receives && !m->pins[pin].confirmed;
}

static uint32_t first_unconfirmed_flow(const struct model *m)
{
    uint32_t oldest = MODEL_NONE;

    for (uint32_t i = 0; i < m->top; i++) {
        const struct model_flow *f = &m->flows[i];
        if (f->used && !f->confirmed && (oldest == MODEL_NONE || f->number < m->flows[oldest].number))
            oldest = i;
    }
    return oldest;
}

static uint32_t first_unconfirmed_pin(const struct model *m)
{
    uint32_t oldest = MODEL_NONE;

    for (uint32_t i = 0; i < m->top; i++) {
        const struct model_pin *p = &m->pins[i];
        if (p->used && !p->confirmed && (oldest == MODEL_NONE || p->number < m->pins[oldest].number))
            oldest = i;
    }
    return oldest;
}

/* The oldest; but handshakes under way get another turn, some of them at a time. */
static uint32_t oldest_flow(struct model *m)
{
    uint32_t flow = first_unconfirmed_flow(m);

    for (int spared = 0; spared < MODEL_SPARED && flow != MODEL_NONE && is_under_way(m, m->flows[flow].pin);
         spared++) {
        m->flows[flow].number = ++m->born;
        flow = first_unconfirmed_flow(m);
    }
    return flow;
}

static uint32_t oldest_pin(struct model *m)
{
    uint32_t pin = first_unconfirmed_pin(m);

    for (int spared = 0; spared < MODEL_SPARED && pin != MODEL_NONE && is_under_way(m, pin); spared++) {
        m->pins[pin].number = ++m->born;
        pin = first_unconfirmed_pin(m);
    }
    return pin;
}

static void end_flow(struct model *m, uint32_t flow, uint32_t own, uint32_t keep)
{
    const uint32_t pin = m->flows[flow].pin;

    m->flows[flow].used = false;
    if (pin != own && pin != keep && !model_tables_has_flow(m, pin) && !m->pins[pin].confirmed)
        model_tables_end_pin(m, pin);
}

/* The pin ends with the flows of its latest ports; if it has more, the oldest flow of all does. */
static void end_pin_early(struct model *m, uint32_t pin, uint32_t keep)
{
    const struct model_pin *p = &m->pins[pin];

    for (uint16_t port = 0; port < IKE_PORT_COUNT; port++) {
        const struct endpoint client = {p->client, p->ports[port]};
        const uint32_t flow = model_tables_find_flow(m, p->service, (enum ike_port)port, client);
        if (flow != MODEL_NONE && m->flows[flow].pin == pin)
            m->flows[flow].used = false;
    }
    if (!model_tables_has_flow(m, pin))
        model_tables_end_pin(m, pin);
    else
        end_flow(m, oldest_flow(m), MODEL_NONE, keep);
}

static void make_room(struct model *m, const struct packet *p, const struct ike_datagram *d, uint32_t keep)
{
    const uint32_t own =
        model_tables_find_pin(m, p->service, &p->src.addr, model_tables_part_of(m, p->service, p->src));
    int tries = MODEL_ROOM_TRIES;

    if (model_steer_is_transparent(m, p->service) || d->class == IKE_CLASS_KEEPALIVE)
        return;
    while (own == MODEL_NONE && !model_tables_has_pin_room(m, false) &&
           first_unconfirmed_pin(m) != MODEL_NONE) {
        const uint32_t oldest = oldest_pin(m);
        if (oldest == keep || tries-- <= 0)
            break;
        end_pin_early(m, oldest, keep);
    }
    while (!model_tables_has_flow_room(m, false) && first_unconfirmed_flow(m) != MODEL_NONE && tries-- > 0)
        end_flow(m, oldest_flow(m), own, keep);
}

/* In transparent mode no packet of IPv4 can go to a server of IPv6, whatever session it belongs to. */
static uint32_t find_session_to_follow(const struct model *m, const struct packet *p,
                                       const struct ike_datagram *d)
{
    const uint32_t session = model_tables_find_session(m, p->service, d);

    if (session == MODEL_NONE || !model_steer_is_transparent(m, p->service))
        return session;
    const struct addr *backend = &m->pool->backends[m->sessions[session].backend].addr;
    return addr_family(backend) == addr_family(&p->src.addr) ? session : MODEL_NONE;
}

/* A new flow for the packet, or MODEL_NONE. */
static uint32_t add_flow_for(struct model *m, const struct packet *p, const struct place *place)
{
    const struct model_flow made = {
        .client = p->src,
        .service = p->service,
        .port = p->port,
        .backend = place->backend,
        .pin = place->pin,
        .moved = place->moved,
        .session = place->session,
        .session_number = place->session == MODEL_NONE ? 0 : m->sessions[place->session].number,
        .source = model_steer_is_transparent(m, p->service) ? p->src : (struct endpoint){.port = 0}};

    return place->pin == MODEL_NONE ? MODEL_NONE : model_tables_add_flow(m, &made);
}

static struct model_verdict from_client(struct model *m, const struct packet *p, const struct ike_datagram *d)
{
    const bool is_keepalive = d->class == IKE_CLASS_KEEPALIVE;
    uint32_t flow = model_tables_find_flow(m, p->service, p->port, p->src);

    const uint32_t session = find_session_to_follow(m, p, d);

    if (flow == MODEL_NONE)
        make_room(m, p, d, session == MODEL_NONE ? MODEL_NONE : m->sessions[session].pin);
    const struct place place = model_steer_find_place(m, flow, session, p, d);
    if (place.backend == POOL_NONE)
        return drop(DROP_NO_BACKEND);
    if (flow == MODEL_NONE || m->flows[flow].backend != place.backend) {
        if (flow != MODEL_NONE) {
            m->flows[flow].used = false;
            make_room(m, p, d, place.pin);
        }
        flow = is_keepalive ? MODEL_NONE : add_flow_for(m, p, &place);
        if (flow == MODEL_NONE && !model_steer_is_transparent(m, p->service))
            return drop(is_keepalive ? DROP_NO_FLOW : place.over_limit ? DROP_RATE_LIMITED : DROP_TABLE_FULL);
        if (flow == MODEL_NONE)
            return to_backend(m, p, place.backend, MODEL_NONE);
    }
    client_was_seen(m, flow, d);
    model_watch_from_client(m, flow, d);
    return to_backend(m, p, m->flows[flow].backend, flow);
}

static uint16_t backend_of(const struct model *m, const struct addr *server)
{
    for (size_t i = 0; i < m->pool->backend_count; i++) {
        if (addr_equal(&m->pool->backends[i].addr, server))
            return (uint16_t)i;
    }
    return POOL_NONE;
}

/* A backend model_watch_proves a client that is not remembered. What is confirmed of it is known better. */
static void learn(struct model *m, uint16_t backend, uint32_t session, const struct packet *p,
                  const struct ike_datagram *d)
{
    const uint16_t service = m->pool->backends[backend].service;
    const uint32_t guess = model_tables_find_flow(m, service, p->port, p->dst);
    uint32_t pin = model_tables_find_pin(m, service, &p->dst.addr, model_tables_part_of(m, service, p->dst));

    if (guess != MODEL_NONE && m->flows[guess].confirmed)
        return;
    if (session == MODEL_NONE && pin != MODEL_NONE && m->pins[pin].confirmed &&
        m->pins[pin].backend != backend)
        return;
    if (pin == MODEL_NONE)
        pin = model_tables_add_pin(m, p->dst, service, backend, true);
    if (pin == MODEL_NONE)
        return;
    if (guess != MODEL_NONE)
        m->flows[guess].used = false;
    if (!m->pins[pin].confirmed)
        m->pins[pin].backend = backend;
    m->pins[pin].confirmed = true;
    const struct model_flow made = {.client = p->dst,
                                    .service = service,
                                    .port = p->port,
                                    .backend = backend,
                                    .pin = pin,
                                    .source = p->dst,
                                    .confirmed = true,
                                    .session = session,
                                    .session_number =
                                        session == MODEL_NONE ? 0 : m->sessions[session].number};
    const uint32_t flow = model_tables_add_flow(m, &made);
    if (flow != MODEL_NONE)
        model_watch_from_backend(m, flow, d);
}

static void see_reply_without_flow(struct model *m, uint16_t backend, const struct packet *p,
                                   const struct ike_datagram *d)
{
    const uint16_t service = m->pool->backends[backend].service;
    const uint32_t session = model_tables_find_session(m, service, d);

    if (model_watch_proves(m, session, p->dst, d))
        learn(m, backend, session, p, d);
    else if (d->class == IKE_CLASS_IKE && header_is_init_response(&d->header))
        model_watch_answer(
            m, model_tables_find_pin(m, service, &p->dst.addr, model_tables_part_of(m, service, p->dst)),
            backend, d);
    if (session != MODEL_NONE && header_is_encrypted(&d->header)) /* whatever it has proved */
        model_watch_response(&m->sessions[session], &d->header);
}

static struct model_verdict from_backend(struct model *m, const struct packet *p,
                                         const struct ike_datagram *d)
{
    const uint16_t backend = backend_of(m, &p->src.addr);
    const uint16_t service = m->pool->backends[backend].service;
    const uint32_t flow = model_tables_find_flow_of_reply(m, p);
    const struct endpoint client = flow == MODEL_NONE ? p->dst : m->flows[flow].client;

    if (flow == MODEL_NONE && !model_steer_is_transparent(m, service))
        return drop(DROP_NO_FLOW);
    if (flow == MODEL_NONE) {
        see_reply_without_flow(m, backend, p, d);
    } else {
        model_watch_from_backend(m, flow, d);
        if (m->flows[flow].confirmed)
            m->flows[flow].seen_ms = m->pins[m->flows[flow].pin].seen_ms = m->now_ms;
    }
    m->passive[backend].heard_ms = m->now_ms;
    if (m->passive[backend].suspicion == SUSPICION_SILENT)
        model_watch_judge(m, backend);
    return (struct model_verdict){
        .action = VERDICT_TO_CLIENT,
        .backend = backend,
        .flow = flow,
        .src = {*pool_vip(&m->pool->services[service], addr_family(&client.addr)), ike_port_number(p->port)},
        .dst = client,
    };
}

struct model_verdict steering_model_handle(struct model *m, const struct packet *packet,
                                           const struct ike_datagram *datagram, uint64_t now_ms)
{
    m->now_ms = now_ms;
    return packet->side == PACKET_FROM_CLIENT ? from_client(m, packet, datagram)
                                              : from_backend(m, packet, datagram);
}

/* --- Time --- */

static bool is_flow_due(const struct model *m, const struct model_flow *f)
{
    const struct config_persistence *t = &m->pool->services[f->service].persistence;

    if (!f->confirmed)
        return m->now_ms - f->born_ms >= t->half_open_timeout_ms;
    return m->now_ms - f->seen_ms >= (f->left ? t->half_open_timeout_ms : t->idle_timeout_ms);
}

static bool is_pin_due(const struct model *m, uint32_t pin)
{
    const struct model_pin *p = &m->pins[pin];
    const struct config_persistence *t = &m->pool->services[p->service].persistence;

    if (model_tables_has_flow(m, pin))
        return false;
    if (!p->confirmed)
        return m->now_ms - p->born_ms >= t->half_open_timeout_ms;
    return m->now_ms - p->seen_ms >= (p->left ? t->half_open_timeout_ms : t->idle_timeout_ms);
}

static bool is_session_due(const struct model *m, const struct model_session *s)
{
    const struct config_persistence *t = &m->pool->services[s->service].persistence;

    if (!s->confirmed)
        return m->now_ms - s->born_ms >= t->half_open_timeout_ms;
    for (uint32_t i = 0; i < m->top; i++) {
        const struct model_session *other = &m->sessions[i];
        if (other->used && other->pin == s->pin && other->pin_number > s->pin_number)
            return m->now_ms - s->seen_ms >=
                   (s->stage == STAGE_ESTABLISHED ? t->idle_timeout_ms : t->half_open_timeout_ms);
    }
    return false;
}

void steering_model_sweep(struct model *m, uint64_t now_ms)
{
    m->now_ms = now_ms;
    for (uint32_t i = 0; i < m->top; i++) {
        if (m->flows[i].used && is_flow_due(m, &m->flows[i]))
            m->flows[i].used = false;
    }
    for (uint32_t i = 0; i < m->top; i++) {
        if (m->pins[i].used && is_pin_due(m, i))
            model_tables_end_pin(m, i);
    }
    for (uint32_t i = 0; i < m->top; i++) {
        struct model_session *s = &m->sessions[i];
        s->may_end = s->used && is_session_due(m, s);
    }
    for (int confirmed = 0; confirmed < 2; confirmed++) {
        for (uint32_t i = 0; i < m->top; i++) {
            struct model_session *s = &m->sessions[i];
            if (s->used && s->confirmed == confirmed && is_session_due(m, s))
                s->used = false;
        }
    }
}

void steering_model_review(struct model *m, uint64_t now_ms)
{
    m->now_ms = now_ms;
    for (size_t i = 0; i < m->pool->backend_count; i++)
        model_watch_judge(m, (uint16_t)i);
}
