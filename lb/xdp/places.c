#include "lb/xdp/places.h"

#include <string.h>

#include "lb/fastpath.h"
#include "lb/xdp/table.h"

_Static_assert(XDP_PLACES_A_RUN == POOL_BACKENDS_MAX && XDP_SOURCES_A_RUN == SNAT_MAX,
               "there is a place for each backend and each source address");

uint16_t places_of_backend(const struct places *places, uint16_t backend)
{
    return (uint16_t)(places->run * XDP_PLACES_A_RUN + backend);
}

uint16_t places_of_source(const struct places *places, uint16_t source)
{
    return source == FLOW_SOURCE_CLIENT ? XDP_SOURCE_CLIENT
                                        : (uint16_t)(places->run * XDP_SOURCES_A_RUN + source);
}

static void refresh_place(struct places *places, const struct bindings *b, uint16_t index)
{
    const struct backend *backend = &b->pool->backends[index];
    const struct service *service = &b->pool->services[backend->service];
    struct xdp_place *at = &places->places[places_of_backend(places, index)];
    const struct addr *vip = backend->used ? pool_vip(service, addr_family(&backend->addr)) : NULL;
    struct xdp_place now = {0};

    if (vip) {
        table_put_addr(now.server, &backend->addr);
        table_put_addr(now.vip, vip);
        now.ifindex = places->ifindex[backend->server];
        now.is_open = fastpath_may_carry(backend);
        now.idle = (uint32_t)(((uint64_t)service->persistence.idle_timeout_ms * 1000000) >> XDP_TICK_SHIFT);
    }
    if (memcmp(at, &now, sizeof now) == 0)
        return;
    __atomic_store_n(&at->is_open, 0, __ATOMIC_RELAXED); /* nobody takes what is half written */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    memcpy(at->server, now.server, sizeof at->server);
    memcpy(at->vip, now.vip, sizeof at->vip);
    at->ifindex = now.ifindex;
    at->idle = now.idle;
    __atomic_store_n(&at->is_open, now.is_open, __ATOMIC_RELEASE);
}

void places_refresh(struct places *places, const struct bindings *b)
{
    for (size_t i = 0; i < b->pool->backend_count; i++)
        refresh_place(places, b, (uint16_t)i);
    for (uint16_t i = 0; i < snat_count(b->snat); i++)
        table_put_addr(places->sources[places_of_source(places, i)].addr, snat_addr(b->snat, i));
}
