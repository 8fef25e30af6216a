#include "lb/restore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define INDEX_COUNT  (UINT16_MAX + 1)
#define FAMILY_COUNT 2

/* Times are known up to here: differences of truncated times are right up to 24 days. */
#define AGE_MS_MAX INT32_MAX

/* The sessions of a pin are made from the oldest to the youngest, and come the other way round. */
struct pending {
    struct saved_session *sessions;
    uint32_t count;
    uint32_t room;
    uint32_t pin; /* PIN_NONE: they are nobody's */
};

/* Which session was at a saved slot. */
struct link {
    uint32_t session; /* index + 1; 0: none */
    uint8_t generation;
};

struct restore {
    struct bindings *b;
    uint64_t now_ms;
    struct restore_result *result;
    uint16_t services[INDEX_COUNT]
                     [FAMILY_COUNT]; /* by saved index and the client's family: that of now, or POOL_NONE */
    uint16_t backends[INDEX_COUNT][FAMILY_COUNT];
    bool is_spread_changed[POOL_SERVICES_MAX]; /* by index now */
    struct pending pending;
    struct link *links; /* by saved slot */
    uint32_t link_count;
};

static int family_index(const struct addr *addr)
{
    return addr_is_v4(addr) ? 0 : 1;
}

static void take_service(struct restore *r, const struct saved_service *saved)
{
    for (uint8_t i = 0; i < saved->vip_count; i++) {
        const uint16_t s = pool_find_vip(r->b->pool, &saved->vips[i]);
        r->services[saved->index][family_index(&saved->vips[i])] = s;
        if (s != POOL_NONE)
            r->is_spread_changed[s] = r->b->pool->services[s].persistence.spread_nat != saved->spread_nat;
    }
}

static void set_state(struct restore *r, struct backend *backend, const struct saved_backend *saved)
{
    if ((uint8_t)backend->configured != saved->configured || (uint8_t)backend->state == saved->operator_state)
        return;
    backend->state = (enum config_state)saved->operator_state;
    r->result->operator_states++;
}

static void take_backend(struct restore *r, const struct saved_backend *saved)
{
    for (int family = 0; family < FAMILY_COUNT; family++) {
        const uint16_t i = pool_find_address(r->b->pool, r->services[saved->service][family], &saved->addr);
        r->backends[saved->index][family] = i;
        if (i != POOL_NONE)
            set_state(r, &r->b->pool->backends[i], saved);
    }
}

/* The saved service's index now, for a client of that address; POOL_NONE if it can have none. */
static uint16_t service_of(const struct restore *r, uint16_t saved, const struct addr *client)
{
    if (addr_is_unspecified(client) || addr_is_multicast(client) ||
        pool_find_vip(r->b->pool, client) != POOL_NONE)
        return POOL_NONE;
    return r->services[saved][family_index(client)];
}

/* The saved backend's index now, if it is one of that service; else POOL_NONE. */
static uint16_t backend_of(const struct restore *r, uint16_t saved, uint16_t service,
                           const struct addr *client)
{
    const uint16_t backend = r->backends[saved][family_index(client)];

    return backend != POOL_NONE && r->b->pool->backends[backend].service == service ? backend : POOL_NONE;
}

/* When that was, by the clock of now. */
static uint32_t time_of(const struct restore *r, uint32_t age_ms)
{
    const uint64_t ago_ms = age_ms + r->result->away_ms;

    return (uint32_t)r->now_ms - (uint32_t)(ago_ms > AGE_MS_MAX ? AGE_MS_MAX : ago_ms);
}

/* So that the flows that refer to this slot find the session again. */
static int note_link(struct restore *r, const struct saved_session *saved, uint32_t session)
{
    uint32_t count = r->link_count ? r->link_count : 1024;

    while (count <= saved->slot)
        count *= 2;
    if (count > r->link_count) {
        struct link *grown = realloc(r->links, count * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        memset(grown + r->link_count, 0, (count - r->link_count) * sizeof *grown);
        r->links = grown;
        r->link_count = count;
    }
    r->links[saved->slot] = (struct link){.session = session + 1, .generation = saved->generation};
    return 0;
}

static int make_session(struct restore *r, const struct saved_session *saved)
{
    struct tracking *t = &r->b->tracking;
    const struct pin *pin = pins_get(r->b->pins, r->pending.pin);
    struct story story = saved->story;

    story.service = pin->service;
    story.backend = backend_of(r, saved->story.backend, pin->service, &pin->client);
    if (story.backend == POOL_NONE || header_spi_is_zero(&story.spi_i) || header_spi_is_zero(&story.spi_r) ||
        sessions_find(t->sessions, pin->service, &story.spi_i, &story.spi_r) != SESSION_NONE)
        return 0;
    for (int i = 0; i < STAGE_COUNT; i++)
        story.stage_ms[i] = time_of(r, story.stage_ms[i]);
    story.seen_ms = time_of(r, story.seen_ms);
    const uint32_t made = tracking_begin(t, r->pending.pin, &story, true, r->now_ms);
    if (made == SESSION_NONE)
        return 0;
    sessions_get(t->sessions, made)->next_id = saved->next_id;
    r->result->sessions++;
    return note_link(r, saved, made);
}

/* The pin's sessions are complete. */
static int make_sessions(struct restore *r)
{
    int err = 0;

    while (r->pending.count && !err)
        err = make_session(r, &r->pending.sessions[--r->pending.count]);
    return err;
}

static int take_session(struct restore *r, const struct saved_session *saved)
{
    struct pending *pending = &r->pending;

    if (pending->pin == PIN_NONE || pending->count == sessions_capacity(r->b->tracking.sessions))
        return 0;
    if (pending->count == pending->room) {
        const uint32_t room = pending->room ? pending->room * 2 : 16;
        struct saved_session *grown = realloc(pending->sessions, room * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        pending->sessions = grown;
        pending->room = room;
    }
    pending->sessions[pending->count++] = *saved;
    return 0;
}

/* A pin with flows is in use for as long as these are: whether it has expired shows when they are there. */
static void take_pin(struct restore *r, const struct saved_pin *saved)
{
    const uint16_t service = service_of(r, saved->key.service, &saved->key.client);
    const uint16_t backend =
        service == POOL_NONE ? POOL_NONE : backend_of(r, saved->backend, service, &saved->key.client);
    const struct pin pin = {
        .client = saved->key.client,
        .service = service,
        .part = saved->key.part,
        .backend = backend,
        .roams = saved->roams,
        .ports = {saved->ports[IKE_PORT_500], saved->ports[IKE_PORT_4500]},
        .created_ms = time_of(r, saved->created_age_ms),
        .seen_ms = time_of(r, saved->seen_age_ms),
        .stage = saved->stage,
        .flags = saved->flags,
    };

    r->pending.pin = PIN_NONE;
    if (backend == POOL_NONE) {
        r->result->gone++;
        return;
    }
    if (!saved->has_flows && bindings_pin_is_due(r->b, &pin, r->now_ms)) {
        r->result->expired++;
        return;
    }
    if (bindings_adopt_pin(r->b, &pin, &r->pending.pin) == ERR_FULL)
        r->result->no_room++;
}

/* Is it a source address that the service uses now? */
static bool is_source(const struct service *service, const struct backend *backend, uint16_t source)
{
    for (size_t i = 0; i < service->snat_count; i++)
        if (service->sources[i] == source)
            return true;
    return service->snat_count == 0 && (backend->source == source || backend->source == SNAT_NONE);
}

/*
 * Sets the flow's source. False if the service cannot use it any more. Without `snat` it is the address of
 * the route; as long as there is none, right after a boot, what it was is believed.
 */
static bool set_source(struct bindings *b, const struct service *service, const struct saved_flow *saved,
                       struct flow *flow)
{
    const struct backend *backend = &b->pool->backends[flow->backend];

    if (saved->has_source != (service->mode == CONFIG_MODE_FULL_NAT))
        return false;
    if (!saved->has_source) {
        flow->source = FLOW_SOURCE_CLIENT;
        flow->source_port = saved->client_port;
        return addr_family(&saved->client) == addr_family(&backend->addr);
    }
    flow->source_port = saved->source_port;
    flow->source = snat_find(b->snat, &saved->source);
    if (flow->source == SNAT_NONE && service->snat_count == 0 && backend->source == SNAT_NONE)
        flow->source = snat_add(b->snat, &saved->source);
    return flow->source != SNAT_NONE && addr_family(&saved->source) == addr_family(&backend->addr) &&
           is_source(service, backend, flow->source);
}

/* The session that the flow was seen with, if it has come back for the same pin. */
static uint32_t linked_session(const struct restore *r, const struct saved_flow *saved, uint32_t pin)
{
    const struct link *link = saved->session < r->link_count ? &r->links[saved->session] : NULL;

    if (!link || !link->session || link->generation != saved->session_generation ||
        !sessions_is_of(r->b->tracking.sessions, link->session - 1, pin))
        return SESSION_NONE;
    return link->session - 1;
}

/* The flow, but for its source; false if it belongs to nothing that there is. */
static bool read_flow(const struct restore *r, const struct saved_flow *saved, struct flow *out)
{
    const uint16_t service = service_of(r, saved->service, &saved->client);
    const struct pin_key key = {.client = saved->client, .service = service, .part = saved->part};
    const uint16_t backend =
        service == POOL_NONE ? POOL_NONE : backend_of(r, saved->backend, service, &saved->client);

    *out = (struct flow){
        .client = saved->client,
        .client_port = saved->client_port,
        .listener = (uint16_t)(service * IKE_PORT_COUNT + saved->port),
        .backend = backend,
        .flags = saved->flags,
        .client_ms = time_of(r, saved->client_age_ms),
        .seen_ms = time_of(r, saved->seen_age_ms),
        .esp_spi = saved->esp_spi,
        .proved_spi = saved->proved_spi,
    };
    if (backend == POOL_NONE || saved->client_port == 0)
        return false;
    out->server = r->b->pool->backends[backend].server;
    out->pin = pins_find(r->b->pins, &key);
    return out->pin != PIN_NONE;
}

static void take_flow(struct restore *r, const struct saved_flow *saved)
{
    struct bindings *b = r->b;
    struct flow flow;
    uint32_t made;

    if (!read_flow(r, saved, &flow))
        return;
    struct pin *pin = pins_get(b->pins, flow.pin);
    if ((int32_t)(flow.seen_ms - pin->seen_ms) > 0)
        pin->seen_ms = flow.seen_ms;
    if (bindings_flow_is_due(b, &flow, r->now_ms))
        return;
    bindings_see_session(b, &flow, linked_session(r, saved, flow.pin));
    if (set_source(b, &b->pool->services[pin->service], saved, &flow) &&
        bindings_adopt_flow(b, &flow, &made) == 0)
        r->result->flows++;
    else
        r->result->lost_flows++;
}

static int take(struct restore *r, const struct saved_record *record)
{
    int err = 0;

    if (record->type != SAVED_SESSION)
        err = make_sessions(r);
    switch (record->type) {
    case SAVED_SERVICE:
        take_service(r, &record->service);
        break;
    case SAVED_BACKEND:
        take_backend(r, &record->backend);
        break;
    case SAVED_PIN:
        take_pin(r, &record->pin);
        break;
    case SAVED_SESSION:
        err = take_session(r, &record->session);
        break;
    case SAVED_FLOW:
        take_flow(r, &record->flow);
        break;
    }
    return err;
}

/* Pins whose flows have not come back may have expired, and have no key by which they are found any more if
 * their service's clients are spread otherwise. */
static void discard_unused(struct restore *r)
{
    struct pins *pins = r->b->pins;
    uint32_t cursor = 0, budget = UINT32_MAX, index;

    while ((index = pins_next(pins, &cursor, &budget)) != PIN_NONE) {
        const struct pin *pin = pins_get(pins, index);
        if (bindings_pin_is_due(r->b, pin, r->now_ms))
            r->result->expired++;
        else if (pin->flow_count == 0 && r->is_spread_changed[pin->service])
            r->result->gone++;
        else
            continue;
        bindings_discard_pin(r->b, index);
    }
    r->result->pins = pins_count(pins);
    r->result->sessions = sessions_count(r->b->tracking.sessions);
}

int restore_bindings(struct bindings *b, const void *data, size_t len, uint64_t now_ms, uint64_t wall_ms,
                     struct restore_result *result)
{
    struct saved_reader reader = saved_reader_over(data, len);
    const uint64_t saved_wall_ms = reader.header.saved_wall_ms;
    struct restore *r = calloc(1, sizeof *r);
    struct saved_record record;
    int err = 0;

    if (!r)
        return -ENOMEM;
    *result = (struct restore_result){.away_ms = wall_ms > saved_wall_ms ? wall_ms - saved_wall_ms : 0};
    r->b = b;
    r->now_ms = now_ms;
    r->result = result;
    r->pending.pin = PIN_NONE;
    memset(r->services, 0xff, sizeof r->services); /* POOL_NONE */
    memset(r->backends, 0xff, sizeof r->backends);
    while (!err && saved_reader_next(&reader, &record))
        err = take(r, &record);
    if (!err)
        err = make_sessions(r);
    discard_unused(r);
    free(r->pending.sessions);
    free(r->links);
    free(r);
    return err;
}
