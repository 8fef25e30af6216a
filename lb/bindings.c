#include "lb/bindings.h"

#include <errno.h>

#include "base/err.h"
#include "lb/fastpath.h"

/* Steps of a sweep that ending an entry counts for: five or so cache lines anywhere in memory. */
#define EXPIRY_STEPS 16

/* And what asking the fast path about a flow counts for. */
#define FAST_STEPS 4

int bindings_refresh(struct bindings *b)
{
    int err = 0;

    for (uint16_t s = b->pool->first_service; s != POOL_NONE; s = b->pool->services[s].next) {
        struct service *service = &b->pool->services[s];
        for (size_t k = 0; k < service->snat_count; k++) {
            service->sources[k] = snat_add(b->snat, &service->snats[k]);
            if (service->sources[k] == SNAT_NONE)
                err = ERR_FULL;
        }
    }
    return err;
}

int bindings_init(struct bindings *b, struct pool *pool, uint32_t max_clients, uint64_t seed)
{
    const uint32_t flow_capacity = max_clients * BINDINGS_FLOWS_PER_CLIENT;

    *b = (struct bindings){
        .pool = pool,
        .pins = pins_create(max_clients, max_clients / BINDINGS_UNCONFIRMED_PART, seed),
        .flows = flows_create(flow_capacity, flow_capacity / BINDINGS_UNCONFIRMED_PART, seed),
        .snat = snat_create(POOL_BACKENDS_MAX, (uint32_t)(seed >> 32)),
        .spis = spis_create(flow_capacity, seed),
    };
    int err = b->pins && b->flows && b->snat && b->spis ? bindings_refresh(b) : -ENOMEM;
    if (!err)
        err = tracking_init(&b->tracking, pool, b->pins, max_clients, max_clients / BINDINGS_UNCONFIRMED_PART,
                            seed);
    if (err)
        bindings_deinit(b);
    return err;
}

void bindings_deinit(struct bindings *b)
{
    pins_destroy(b->pins);
    flows_destroy(b->flows);
    snat_destroy(b->snat);
    spis_destroy(b->spis);
    tracking_deinit(&b->tracking);
    *b = (struct bindings){0};
}

struct pin_key bindings_pin_key(const struct bindings *b, uint16_t service, const struct endpoint *client)
{
    return (struct pin_key){
        .client = client->addr,
        .service = service,
        .part = b->pool->services[service].persistence.spread_nat ? client->port : 0,
    };
}

int bindings_add_pin(struct bindings *b, const struct endpoint *client, uint16_t backend, bool confirmed,
                     uint64_t now_ms, uint32_t *pin)
{
    struct backend *to = &b->pool->backends[backend];
    const struct pin_key key = bindings_pin_key(b, to->service, client);
    const int err = pins_insert(b->pins, &key, backend, confirmed, now_ms, pin);

    if (err)
        return err;
    to->clients++;
    to->clients_at[STAGE_NONE]++;
    to->new_clients_total++;
    b->changes += confirmed;
    return 0;
}

void bindings_move_pin(struct bindings *b, uint32_t pin, uint16_t backend)
{
    struct pin *p = pins_get(b->pins, pin);
    struct backend *from = &b->pool->backends[p->backend];
    struct backend *to = &b->pool->backends[backend];

    if (from == to)
        return;
    from->clients--;
    from->clients_at[p->stage]--;
    p->backend = backend;
    to->clients++;
    to->clients_at[p->stage]++;
    to->new_clients_total++;
    b->changes += p->flags & PIN_CONFIRMED;
}

void bindings_remove_pin(struct bindings *b, uint32_t pin, uint64_t now_ms)
{
    const struct pin *p = pins_get(b->pins, pin);
    struct backend *backend = &b->pool->backends[p->backend];

    if (!tracking_end_of_pin(&b->tracking, pin, now_ms))
        return;
    backend->clients--;
    backend->clients_at[p->stage]--;
    b->changes += p->flags & PIN_CONFIRMED;
    pins_remove(b->pins, pin);
}

int bindings_adopt_pin(struct bindings *b, const struct pin *pin, uint32_t *index)
{
    const struct pin_key key = {.client = pin->client, .service = pin->service, .part = pin->part};
    struct backend *backend = &b->pool->backends[pin->backend];

    if (pins_find(b->pins, &key) != PIN_NONE)
        return ERR_EXISTS;
    const int err = pins_insert(b->pins, &key, pin->backend, true, 0, index);
    if (err)
        return err;
    struct pin *made = pins_get(b->pins, *index);
    made->roams = pin->roams;
    made->ports[IKE_PORT_500] = pin->ports[IKE_PORT_500];
    made->ports[IKE_PORT_4500] = pin->ports[IKE_PORT_4500];
    made->created_ms = pin->created_ms;
    made->seen_ms = pin->seen_ms;
    made->stage = pin->stage;
    made->flags = pin->flags | PIN_CONFIRMED;
    backend->clients++;
    backend->clients_at[pin->stage]++;
    return 0;
}

void bindings_discard_pin(struct bindings *b, uint32_t pin)
{
    const struct pin *p = pins_get(b->pins, pin);
    struct backend *backend = &b->pool->backends[p->backend];

    for (uint32_t session; (session = sessions_of_pin(b->tracking.sessions, pin)) != SESSION_NONE;)
        tracking_forget(&b->tracking, session);
    backend->clients--;
    backend->clients_at[p->stage]--;
    pins_remove(b->pins, pin);
}

static bool is_due(uint32_t now_ms, uint32_t seen_ms, uint32_t timeout_ms)
{
    return now_ms - seen_ms >= timeout_ms;
}

bool bindings_pin_is_due(const struct bindings *b, const struct pin *pin, uint64_t now_ms)
{
    const struct config_persistence *limits = &b->pool->services[pin->service].persistence;
    const bool stays = (pin->flags & (PIN_CONFIRMED | PIN_LEFT)) == PIN_CONFIRMED;
    const uint32_t timeout_ms = stays ? limits->idle_timeout_ms : limits->half_open_timeout_ms;

    return pin->flow_count == 0 && is_due((uint32_t)now_ms, pin->seen_ms, timeout_ms);
}

static const struct service *service_of(const struct bindings *b, const struct flow *flow)
{
    return &b->pool->services[flow->listener / IKE_PORT_COUNT];
}

bool bindings_flow_is_due(const struct bindings *b, const struct flow *flow, uint64_t now_ms)
{
    const struct config_persistence *limits = &service_of(b, flow)->persistence;
    const bool stays = (flow->flags & (FLOW_CONFIRMED | FLOW_LEFT)) == FLOW_CONFIRMED;
    const uint32_t timeout_ms = stays ? limits->idle_timeout_ms : limits->half_open_timeout_ms;

    return is_due((uint32_t)now_ms, flow->seen_ms, timeout_ms);
}

/* The source towards the backend, with a port of its own in full-NAT mode. */
static int choose_source(struct bindings *b, const struct binding_request *request, struct flow *flow,
                         enum drop_reason *reason)
{
    const struct service *service = &b->pool->services[request->service];
    const struct backend *backend = &b->pool->backends[request->backend];
    const uint16_t *sources = service->snat_count ? service->sources : &backend->source;
    const size_t count = service->snat_count ? service->snat_count : 1;
    const size_t first = addr_hash(&request->client.addr, 0) % count;

    if (service->mode == CONFIG_MODE_TRANSPARENT) {
        flow->source = FLOW_SOURCE_CLIENT;
        flow->source_port = request->client.port;
        return 0;
    }
    *reason = DROP_NO_SNAT_ADDRESS;
    for (size_t i = 0; i < count; i++) {
        flow->source = sources[(first + i) % count];
        if (flow->source == SNAT_NONE ||
            addr_family(snat_addr(b->snat, flow->source)) != addr_family(&backend->addr))
            continue;
        if (snat_take(b->snat, flow->source, backend->server, (uint16_t)request->port, &flow->source_port) ==
            0)
            return 0;
        *reason = DROP_NO_SNAT_PORT;
    }
    return ERR_FULL;
}

/* A flow of another service has the same client port towards the same server. Does it still need it? */
static int displace_rival(struct bindings *b, const struct flow *flow, uint64_t now_ms)
{
    const struct flow_out_key key = flow_out_key(flow);
    const uint32_t rival = flows_find_out(b->flows, &key);

    if (rival == FLOW_NONE)
        return 0;
    const struct flow *held = fastpath_flow(b, rival, now_ms);
    const uint32_t rest_ms = service_of(b, held)->persistence.half_open_timeout_ms;
    if (held->flags & FLOW_CONFIRMED && !is_due((uint32_t)now_ms, held->client_ms, rest_ms))
        return ERR_EXISTS; /* the client of a living tunnel sends keepalives, every 20 s or so (RFC 3948
                              section 4) */
    bindings_remove_flow(b, rival);
    return 0;
}

void bindings_see_session(const struct bindings *b, struct flow *flow, uint32_t session)
{
    flow->session = session;
    if (session != SESSION_NONE)
        flow->session_generation = sessions_get(b->tracking.sessions, session)->generation;
}

int bindings_add_flow(struct bindings *b, const struct binding_request *request, uint64_t now_ms,
                      uint32_t *index, enum drop_reason *reason)
{
    struct flow flow = {
        .client = request->client.addr,
        .client_port = request->client.port,
        .listener = (uint16_t)(request->service * IKE_PORT_COUNT + request->port),
        .backend = request->backend,
        .server = b->pool->backends[request->backend].server,
        .flags = (uint8_t)((request->confirmed ? FLOW_CONFIRMED : 0) | (request->moved ? FLOW_MOVED : 0)),
        .pin = request->pin,
    };

    bindings_see_session(b, &flow, request->session);
    if (!flows_has_room(b->flows, request->confirmed)) {
        *reason = DROP_TABLE_FULL;
        return ERR_FULL;
    }
    int err = choose_source(b, request, &flow, reason);
    if (!err)
        err = displace_rival(b, &flow, now_ms);
    if (err)
        return err;
    (void)flows_insert(b->flows, &flow, now_ms, index); /* there is room: it was asked for above */

    struct pin *pin = pins_get(b->pins, request->pin);
    b->pool->backends[request->backend].flows++;
    pin->flow_count++;
    pin->ports[request->port] = request->client.port;
    pin->flags &= (uint8_t)~PIN_LEFT;
    if (pin->flags & PIN_CONFIRMED)
        pin->seen_ms = (uint32_t)now_ms;
    b->changes += request->confirmed;
    return 0;
}

int bindings_adopt_flow(struct bindings *b, const struct flow *flow, uint32_t *index)
{
    const struct flow_in_key in = {
        .client = flow->client, .client_port = flow->client_port, .listener = flow->listener};
    const struct flow_out_key out = flow_out_key(flow);
    const uint16_t port = flow->listener % IKE_PORT_COUNT;
    int err = 0;

    if (!flows_has_room(b->flows, true))
        return ERR_FULL;
    if (flows_find_in(b->flows, &in) != FLOW_NONE || flows_find_out(b->flows, &out) != FLOW_NONE)
        return ERR_EXISTS;
    if (flow->source != FLOW_SOURCE_CLIENT)
        err = snat_claim(b->snat, flow->source, flow->server, port, flow->source_port);
    if (err)
        return err;
    (void)flows_insert(b->flows, flow, 0, index); /* there is room: it was asked for above */
    struct flow *made = flows_get(b->flows, *index);
    made->client_ms = flow->client_ms;
    made->seen_ms = flow->seen_ms;
    made->proved_spi = flow->proved_spi;
    if (flow->esp_spi)
        bindings_note_esp(b, *index, flow->esp_spi);
    b->pool->backends[flow->backend].flows++;
    pins_get(b->pins, flow->pin)->flow_count++;
    return 0;
}

void bindings_remove_flow(struct bindings *b, uint32_t index)
{
    fastpath_leave(b, index);
    const struct flow flow = *flows_get(b->flows, index);
    struct pin *pin = pins_get(b->pins, flow.pin);

    if (flow.source != FLOW_SOURCE_CLIENT)
        snat_release(b->snat, flow.source, flow.server, flow.listener % IKE_PORT_COUNT, flow.source_port);
    flows_remove(b->flows, index);

    b->pool->backends[flow.backend].flows--;
    pin->flow_count--;
    b->changes += flow.flags & FLOW_CONFIRMED;
    if (flow.flags & FLOW_CONFIRMED && (int32_t)(flow.seen_ms - pin->seen_ms) > 0)
        pin->seen_ms = flow.seen_ms;
}

/* Removes a flow for good, and with it the pin that nothing holds any more. */
static void expire_flow(struct bindings *b, uint32_t index, uint64_t now_ms)
{
    const uint32_t pin = flows_get(b->flows, index)->pin;

    bindings_remove_flow(b, index);
    if (bindings_pin_is_due(b, pins_get(b->pins, pin), now_ms))
        bindings_remove_pin(b, pin, now_ms);
}

uint32_t bindings_session_of_flow(const struct bindings *b, const struct flow *flow)
{
    struct sessions *sessions = b->tracking.sessions;
    const bool is_there = sessions_is_of(sessions, flow->session, flow->pin) &&
                          sessions_get(sessions, flow->session)->generation == flow->session_generation;

    return is_there ? flow->session : SESSION_NONE;
}

uint32_t bindings_flow_of_pin(const struct bindings *b, const struct pin *pin, enum ike_port port)
{
    const struct flow_in_key key = {
        .client = pin->client,
        .client_port = pin->ports[port],
        .listener = (uint16_t)(pin->service * IKE_PORT_COUNT + port),
    };

    if (pin->ports[port] == 0 || pin->flow_count == 0)
        return FLOW_NONE;
    const uint32_t flow = flows_find_in(b->flows, &key);
    /* Where the clients of one address are spread the port may have become another's. */
    return flow != FLOW_NONE && pins_get(b->pins, flows_get(b->flows, flow)->pin) == pin ? flow : FLOW_NONE;
}

/* Is the proposal of persist/spis still true? */
static bool has_esp(const struct bindings *b, uint32_t index, uint16_t service, const struct addr *client,
                    uint32_t spi)
{
    if (!flows_is_used(b->flows, index))
        return false;
    const struct flow *flow = flows_get(b->flows, index);
    return flow->esp_spi == spi && flow->listener == service * IKE_PORT_COUNT + IKE_PORT_4500 &&
           flow->flags & FLOW_CONFIRMED && addr_equal(&flow->client, client);
}

uint32_t bindings_find_esp(const struct bindings *b, uint16_t service, const struct addr *client,
                           uint32_t spi)
{
    const struct spi_key key = {.client = *client, .spi = spi, .service = service};
    uint32_t proposals[SPIS_PROPOSALS_MAX];
    const uint32_t count = spis_find(b->spis, &key, proposals);
    uint32_t found = FLOW_NONE;

    for (uint32_t i = 0; i < count; i++) {
        if (!has_esp(b, proposals[i], service, client, spi))
            continue;
        if (found != FLOW_NONE &&
            flows_get(b->flows, found)->backend != flows_get(b->flows, proposals[i])->backend)
            return FLOW_NONE;
        if (found == FLOW_NONE)
            found = proposals[i];
    }
    return found;
}

void bindings_note_esp(struct bindings *b, uint32_t index, uint32_t spi)
{
    struct flow *flow = flows_get(b->flows, index);
    const struct spi_key key = {
        .client = flow->client, .spi = spi, .service = (uint16_t)(flow->listener / IKE_PORT_COUNT)};

    flow->esp_spi = spi;
    if (flow->flags & FLOW_CONFIRMED) /* else anybody can have sent it */
        spis_note(b->spis, &key, index);
}

void bindings_confirm(struct bindings *b, uint32_t index, uint64_t now_ms)
{
    const struct flow *flow = flows_get(b->flows, index);

    b->changes++;
    flows_confirm(b->flows, index, now_ms);
    pins_confirm(b->pins, flow->pin);
    if (flow->esp_spi)
        bindings_note_esp(b, index, flow->esp_spi);
}

/* Takes the steps that something costs off the budget; a sweep always gets somewhere. */
static void spend(uint32_t *budget, uint32_t steps)
{
    *budget -= *budget < steps ? *budget : steps;
}

static void sweep_unconfirmed(struct bindings *b, uint64_t now_ms, uint32_t budget)
{
    while (budget) {
        const uint32_t flow = flows_oldest_unconfirmed(b->flows);
        if (flow == FLOW_NONE || !bindings_flow_is_due(b, flows_get(b->flows, flow), now_ms))
            return;
        expire_flow(b, flow, now_ms);
        spend(&budget, EXPIRY_STEPS);
    }
}

static void sweep_flows(struct bindings *b, uint64_t now_ms, uint32_t budget)
{
    uint32_t index;

    while ((index = flows_next(b->flows, &b->flow_hand, &budget)) != FLOW_NONE) {
        const struct flow *flow = fastpath_flow(b, index, now_ms);
        if (flow->flags & FLOW_FAST)
            spend(&budget, FAST_STEPS);
        if (bindings_flow_is_due(b, flow, now_ms)) {
            expire_flow(b, index, now_ms);
            spend(&budget, EXPIRY_STEPS);
        }
    }
    if (budget)
        b->flow_hand = 0;
}

static void sweep_pins(struct bindings *b, uint64_t now_ms, uint32_t budget)
{
    uint32_t index;

    while ((index = pins_next(b->pins, &b->pin_hand, &budget)) != PIN_NONE) {
        if (bindings_pin_is_due(b, pins_get(b->pins, index), now_ms)) {
            bindings_remove_pin(b, index, now_ms);
            spend(&budget, EXPIRY_STEPS);
        }
    }
    if (budget)
        b->pin_hand = 0;
}

void bindings_sweep(struct bindings *b, uint64_t now_ms, uint32_t steps)
{
    sweep_unconfirmed(b, now_ms, steps / 2);
    sweep_flows(b, now_ms, steps);
    sweep_pins(b, now_ms, steps / 2);
    tracking_sweep(&b->tracking, now_ms, steps / 2);
}
