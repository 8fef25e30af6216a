#include "lb/alarms.h"

static bool has_fit_backends(const struct pool *pool, const struct service *service)
{
    for (size_t i = 0; i < service->vip_count; i++)
        if (pool_has_fit(pool, service, addr_family(&service->vips[i])))
            return true;
    return false;
}

static bool is_recent(uint64_t then_ms, uint64_t now_ms)
{
    return then_ms != 0 && now_ms - then_ms < ALARM_HOLD_MS;
}

uint32_t alarms_of(const struct pool *pool, const struct service *service, uint64_t now_ms)
{
    uint32_t on = 0;

    if (!has_fit_backends(pool, service))
        on |= 1U << ALARM_NO_BACKEND;
    if (is_recent(service->no_port_ms, now_ms))
        on |= 1U << ALARM_NO_SNAT_PORT;
    if (is_recent(service->no_room_ms, now_ms))
        on |= 1U << ALARM_NO_ROOM;
    return on;
}

const char *alarm_text(enum alarm alarm)
{
    static const char *const texts[ALARM_COUNT] = {
#define ALARM_TEXT(name, text) [ALARM_##name] = (text),
        ALARM_LIST(ALARM_TEXT)
#undef ALARM_TEXT
    };

    return texts[alarm];
}
