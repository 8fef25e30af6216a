#include "health/mtu_search.h"

size_t mtu_search_next(const struct mtu_search *s, uint16_t sizes[static MTU_SEARCH_WIDTH])
{
    const uint32_t between = s->fails > s->passes ? s->fails - s->passes - 1 : 0;
    const uint32_t count = between < MTU_SEARCH_WIDTH ? between : MTU_SEARCH_WIDTH;

    for (uint32_t i = 0; i < count; i++)
        sizes[i] = (uint16_t)(s->passes + (i + 1) * (between + 1) / (count + 1));
    return count;
}

void mtu_search_passed(struct mtu_search *s, uint16_t size)
{
    if (size > s->passes && size < s->fails)
        s->passes = size;
}

void mtu_search_failed(struct mtu_search *s, uint16_t size)
{
    if (size < s->fails && size > s->passes)
        s->fails = size;
}
