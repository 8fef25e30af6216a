#include "health/pace.h"

uint32_t pace_first_ms(uint32_t interval_ms, uint32_t random)
{
    const uint32_t spread = interval_ms < PACE_FIRST_MAX_MS ? interval_ms : PACE_FIRST_MAX_MS;

    return spread ? random % spread : 0;
}

uint32_t pace_next_ms(uint32_t interval_ms, uint32_t random)
{
    const uint32_t tenth = interval_ms / 10;
    const uint32_t next = interval_ms - random % (tenth + 1);

    return next ? next : 1;
}
