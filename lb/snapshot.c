#include "lb/snapshot.h"

_Static_assert(SAVED_VIPS_MAX == CONFIG_VIPS_MAX, "all VIPs fit");
_Static_assert(SAVED_OPERATOR_COUNT == CONFIG_STATE_DISABLED + 1, "each operator state has a number");
_Static_assert(SAVED_FLOW_CONFIRMED == FLOW_CONFIRMED && SAVED_FLOW_FLAGS == (FLOW_LEFT << 1) - 1,
               "the flags of flows are those of the format");

/* A time that lies so little ahead is after the begin of the walk, not 49 days ago. */
#define WALK_MS_MAX 3600000U

void snapshot_begin(struct snapshot *s, const struct bindings *bindings, uint64_t now_ms)
{
    *s = (struct snapshot){.bindings = bindings, .now_ms = now_ms, .session = SESSION_NONE};
}

static uint32_t age_of(const struct snapshot *s, uint32_t time_ms)
{
    const uint32_t age_ms = (uint32_t)s->now_ms - time_ms;

    return age_ms > UINT32_MAX - WALK_MS_MAX ? 0 : age_ms;
}

static void put_service(struct writer *block, const struct pool *pool, uint16_t index)
{
    const struct service *service = &pool->services[index];
    struct saved_service record = {
        .index = index,
        .vip_count = (uint8_t)service->vip_count,
        .spread_nat = service->persistence.spread_nat,
    };

    for (size_t i = 0; i < service->vip_count; i++)
        record.vips[i] = service->vips[i];
    saved_service_put(block, &record);
}

static void put_backend(struct writer *block, const struct pool *pool, uint16_t index)
{
    const struct backend *backend = &pool->backends[index];
    const struct saved_backend record = {
        .index = index,
        .service = backend->service,
        .addr = backend->addr,
        .configured = (uint8_t)backend->configured,
        .operator_state = (uint8_t)backend->state,
    };

    saved_backend_put(block, &record);
}

static void put_pin(const struct snapshot *s, struct writer *block, const struct pin *pin)
{
    const struct saved_pin record = {
        .key = {.client = pin->client, .service = pin->service, .part = pin->part},
        .backend = pin->backend,
        .roams = pin->roams,
        .ports = {pin->ports[IKE_PORT_500], pin->ports[IKE_PORT_4500]},
        .created_age_ms = age_of(s, pin->created_ms),
        .seen_age_ms = age_of(s, pin->seen_ms),
        .stage = pin->stage,
        .flags = pin->flags,
        .has_flows = pin->flow_count > 0,
    };

    saved_pin_put(block, &record);
}

static void put_session(const struct snapshot *s, struct writer *block, uint32_t index)
{
    const struct session *session = sessions_get(s->bindings->tracking.sessions, index);
    struct saved_session record = {
        .slot = index,
        .generation = session->generation,
        .next_id = session->next_id,
        .story = session->story,
    };

    for (int i = 0; i < STAGE_COUNT; i++)
        record.story.stage_ms[i] = age_of(s, session->story.stage_ms[i]);
    record.story.seen_ms = age_of(s, session->story.seen_ms);
    saved_session_put(block, &record);
}

static void put_flow(const struct snapshot *s, struct writer *block, const struct flow *flow)
{
    struct saved_flow record = {
        .client = flow->client,
        .client_port = flow->client_port,
        .service = flow->listener / IKE_PORT_COUNT,
        .port = flow->listener % IKE_PORT_COUNT,
        .part = pins_get(s->bindings->pins, flow->pin)->part,
        .backend = flow->backend,
        .flags = flow->flags & SAVED_FLOW_FLAGS,
        .session = flow->session,
        .session_generation = flow->session_generation,
        .client_age_ms = age_of(s, flow->client_ms),
        .seen_age_ms = age_of(s, flow->seen_ms),
        .esp_spi = flow->esp_spi,
        .proved_spi = flow->proved_spi,
    };

    if (flow->source != FLOW_SOURCE_CLIENT) {
        record.has_source = true;
        record.source = *snat_addr(s->bindings->snat, flow->source);
        record.source_port = flow->source_port;
    }
    saved_flow_put(block, &record);
}

/* From each writer: has it come to the end of its part? */
static bool write_services(struct snapshot *s, struct writer *block, uint32_t *steps)
{
    const struct pool *pool = s->bindings->pool;

    for (; s->hand < pool->service_count; s->hand++, --*steps) {
        if (*steps == 0 || !saved_block_has_room(block))
            return false;
        if (pool->services[s->hand].used)
            put_service(block, pool, (uint16_t)s->hand);
    }
    return true;
}

static bool write_backends(struct snapshot *s, struct writer *block, uint32_t *steps)
{
    const struct pool *pool = s->bindings->pool;

    for (; s->hand < pool->backend_count; s->hand++, --*steps) {
        if (*steps == 0 || !saved_block_has_room(block))
            return false;
        if (pool->backends[s->hand].used)
            put_backend(block, pool, (uint16_t)s->hand);
    }
    return true;
}

/* The next session to write may have ended, or left its pin, since the last slice. */
static bool is_still_there(const struct snapshot *s)
{
    struct sessions *sessions = s->bindings->tracking.sessions;

    return sessions_is_of(sessions, s->session, s->pin) &&
           sessions_get(sessions, s->session)->generation == s->generation;
}

static void aim_at_session(struct snapshot *s, uint32_t session)
{
    s->session = session;
    if (session != SESSION_NONE)
        s->generation = sessions_get(s->bindings->tracking.sessions, session)->generation;
}

/* The rest of a pin's sessions. If the next one has gone the others wait for the next snapshot. */
static bool write_sessions(struct snapshot *s, struct writer *block, uint32_t *steps)
{
    while (s->session != SESSION_NONE && is_still_there(s)) {
        if (*steps == 0 || !saved_block_has_room(block))
            return false;
        --*steps;
        const struct session *session = sessions_get(s->bindings->tracking.sessions, s->session);
        if (session->confirmed)
            put_session(s, block, s->session);
        aim_at_session(s, session->pin_next);
    }
    s->session = SESSION_NONE;
    return true;
}

static bool write_pins(struct snapshot *s, struct writer *block, uint32_t *steps)
{
    struct pins *pins = s->bindings->pins;

    while (write_sessions(s, block, steps)) {
        if (*steps == 0 || !saved_block_has_room(block))
            return false;
        const uint32_t index = pins_next(pins, &s->hand, steps);
        if (index == PIN_NONE)
            return *steps > 0;
        const struct pin *pin = pins_get(pins, index);
        if (!(pin->flags & PIN_CONFIRMED))
            continue;
        put_pin(s, block, pin);
        s->pin = index;
        s->pin_count++;
        aim_at_session(s, sessions_of_pin(s->bindings->tracking.sessions, index));
    }
    return false;
}

static bool write_flows(struct snapshot *s, struct writer *block, uint32_t *steps)
{
    struct flows *flows = s->bindings->flows;

    while (*steps && saved_block_has_room(block)) {
        const uint32_t index = flows_next(flows, &s->hand, steps);
        if (index == FLOW_NONE)
            return *steps > 0;
        const struct flow *flow = flows_get(flows, index);
        if (flow->flags & FLOW_CONFIRMED)
            put_flow(s, block, flow);
    }
    return false;
}

bool snapshot_write(struct snapshot *s, struct writer *block, uint32_t steps)
{
    static bool (*const parts[])(struct snapshot *, struct writer *, uint32_t *) = {
        [SNAPSHOT_SERVICES] = write_services,
        [SNAPSHOT_BACKENDS] = write_backends,
        [SNAPSHOT_PINS] = write_pins,
        [SNAPSHOT_FLOWS] = write_flows,
    };

    while (s->part != SNAPSHOT_DONE && parts[s->part](s, block, &steps)) {
        s->part++;
        s->hand = 0;
    }
    return s->part == SNAPSHOT_DONE;
}
