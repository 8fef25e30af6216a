#include "lb/alarms.h"

/* NO_BACKEND, or NO_BACKEND_FAMILY where clients of the other family are still served, or nothing. */
static uint32_t backend_alarm(const struct pool *pool, const struct service *service)
{
    bool any_fit = false;
    bool any_lacking = false;

    for (uint16_t i = service->first_backend; i != POOL_NONE; i = pool->backends[i].next) {
        const struct backend *backend = &pool->backends[i];
        if (pool_has_fit(pool, service, addr_family(&backend->addr)))
            any_fit = true;
        else
            any_lacking = true;
    }
    if (!any_lacking)
        return 0;
    return 1U << (any_fit ? ALARM_NO_BACKEND_FAMILY : ALARM_NO_BACKEND);
}

/* The likely cause depends on whose address the server sees. */
static uint32_t refusing_alarm(const struct pool *pool, const struct service *service)
{
    for (uint16_t i = service->first_backend; i != POOL_NONE; i = pool->backends[i].next)
        if (pool->backends[i].passive.suspicion == SUSPICION_REFUSING)
            return 1U << (service->mode == CONFIG_MODE_FULL_NAT ? ALARM_REFUSING_FULL_NAT : ALARM_REFUSING);
    return 0;
}

/* Nobody who may get new clients answers. Where probes run they tell sooner: NO_BACKEND. */
static uint32_t silent_alarm(const struct pool *pool, const struct service *service)
{
    uint32_t on = 0;

    for (uint16_t i = service->first_backend; i != POOL_NONE; i = pool->backends[i].next) {
        const struct backend *backend = &pool->backends[i];
        if (pool_fitness(backend) == 0)
            continue;
        if (backend->passive.suspicion != SUSPICION_SILENT)
            return 0;
        on = 1U << ALARM_SILENT;
    }
    return on;
}

static bool is_recent(uint64_t then_ms, uint64_t now_ms)
{
    return then_ms != 0 && now_ms - then_ms < ALARM_HOLD_MS;
}

void alarms_note_fragments(struct pool *pool, uint64_t lost, uint64_t now_ms)
{
    if (lost >= ALARM_FRAGMENTS_PER_S)
        pool->fragments_lost_ms = now_ms;
}

uint32_t alarms_of(const struct pool *pool, const struct service *service, uint64_t now_ms)
{
    uint32_t on = refusing_alarm(pool, service) | silent_alarm(pool, service);

    if (!service->removed) /* else that new clients are dropped is as it should be */
        on |= backend_alarm(pool, service);

    if (is_recent(service->no_address_ms, now_ms))
        on |= 1U << ALARM_NO_SNAT_ADDRESS;
    if (is_recent(service->no_port_ms, now_ms))
        on |= 1U << ALARM_NO_SNAT_PORT;
    if (is_recent(service->no_room_ms, now_ms))
        on |= 1U << ALARM_NO_ROOM;
    if (is_recent(pool->fragments_lost_ms, now_ms))
        on |= 1U << ALARM_FRAGMENTS;
    return on;
}

const char *alarm_name(enum alarm alarm)
{
    static const char *const names[ALARM_COUNT] = {
#define ALARM_NAME(name, label, text) [ALARM_##name] = (label),
        ALARM_LIST(ALARM_NAME)
#undef ALARM_NAME
    };

    return names[alarm];
}

const char *alarm_text(enum alarm alarm)
{
    static const char *const texts[ALARM_COUNT] = {
#define ALARM_TEXT(name, label, text) [ALARM_##name] = (text),
        ALARM_LIST(ALARM_TEXT)
#undef ALARM_TEXT
    };

    return texts[alarm];
}
