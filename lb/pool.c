#include "lb/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* The names' hash is part of what two nodes must agree on, so its seed is fixed. */
#define NAME_SEED UINT64_C(0x696b656c62)

struct server_slot {
    struct addr addr;
    uint16_t server;
    bool used;
};

static struct server_slot *server_slot(const struct pool *pool, const struct addr *addr)
{
    uint32_t at = (uint32_t)addr_hash(addr, 0) & pool->server_index_mask;

    while (pool->server_index[at].used && !addr_equal(&pool->server_index[at].addr, addr))
        at = (at + 1) & pool->server_index_mask;
    return &pool->server_index[at];
}

static uint16_t add_server(struct pool *pool, const struct addr *addr)
{
    struct server_slot *slot = server_slot(pool, addr);

    if (!slot->used) {
        *slot = (struct server_slot){.addr = *addr, .server = (uint16_t)pool->server_count, .used = true};
        pool->servers[pool->server_count++] = *addr;
    }
    return slot->server;
}

static void add_backend(struct pool *pool, const struct config_backend *config, uint16_t service)
{
    struct backend *backend = &pool->backends[pool->backend_count++];

    *backend = (struct backend){
        .addr = config->address,
        .service = service,
        .server = add_server(pool, &config->address),
        .weight = config->weight,
        .seed = XXH3_64bits_withSeed(config->name, strlen(config->name), NAME_SEED),
        .state = config->state,
        .health = HEALTH_UNKNOWN,
        .source = POOL_NONE,
    };
    memcpy(backend->name, config->name, sizeof backend->name);
}

static void add_service(struct pool *pool, const struct config_service *config)
{
    const uint16_t index = (uint16_t)pool->service_count++;
    struct service *service = &pool->services[index];

    *service = (struct service){
        .mode = config->mode,
        .schedule = config->schedule,
        .vip_count = config->vip_count,
        .persistence = config->persistence,
        .first_backend = (uint16_t)pool->backend_count,
        .backend_count = (uint16_t)config->backend_count,
    };
    memcpy(service->name, config->name, sizeof service->name);
    memcpy(service->vips, config->vips, sizeof service->vips);
    service->snat_count = config->snat_count;
    for (size_t i = 0; i < config->snat_count; i++)
        service->snats[i] = config->snats[i];
    for (size_t i = 0; i < config->backend_count; i++)
        add_backend(pool, &config->backends[i], index);
}

struct pool *pool_create(const struct config *config)
{
    size_t backends = 0;
    size_t slots = 4;
    struct pool *pool = calloc(1, sizeof *pool);

    assert(config->service_count > 0); /* config/ sees to it */
    if (!pool)
        return NULL;
    for (size_t i = 0; i < config->service_count; i++)
        backends += config->services[i].backend_count;
    while (slots < 2 * backends)
        slots *= 2;
    pool->services = calloc(config->service_count, sizeof *pool->services);
    pool->backends = calloc(backends, sizeof *pool->backends);
    pool->servers = calloc(backends, sizeof *pool->servers);
    pool->server_index = calloc(slots, sizeof *pool->server_index);
    pool->server_index_mask = (uint32_t)slots - 1;
    if (!pool->services || !pool->backends || !pool->servers || !pool->server_index) {
        pool_destroy(pool);
        return NULL;
    }
    for (size_t i = 0; i < config->service_count; i++)
        add_service(pool, &config->services[i]);
    return pool;
}

void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    free(pool->services);
    free(pool->backends);
    free(pool->servers);
    free(pool->server_index);
    free(pool);
}

uint16_t pool_find_server(const struct pool *pool, const struct addr *addr)
{
    const struct server_slot *slot = server_slot(pool, addr);

    return slot->used ? slot->server : POOL_NONE;
}

const struct addr *pool_vip(const struct service *service, int family)
{
    for (size_t i = 0; i < service->vip_count; i++)
        if (addr_family(&service->vips[i]) == family)
            return &service->vips[i];
    return NULL;
}

bool pool_is_vip(const struct pool *pool, const struct addr *addr)
{
    for (size_t i = 0; i < pool->service_count; i++) {
        const struct addr *vip = pool_vip(&pool->services[i], addr_family(addr));
        if (vip && addr_equal(vip, addr))
            return true;
    }
    return false;
}

int pool_fitness(const struct backend *backend)
{
    const int avoided = backend->passive.avoided ? 0 : 2;

    if (backend->state != CONFIG_STATE_ENABLED)
        return 0;
    switch (backend->health) {
    case HEALTH_UP:
        return avoided + 2;
    case HEALTH_UNKNOWN:
        return avoided + 1;
    case HEALTH_DOWN:
    default:
        return 0;
    }
}

bool pool_is_lost(const struct backend *backend)
{
    return backend->health == HEALTH_DOWN || backend->state == CONFIG_STATE_DISABLED;
}

bool pool_has_fit(const struct pool *pool, const struct service *service, int family)
{
    for (uint16_t i = 0; i < service->backend_count; i++) {
        const struct backend *backend = &pool->backends[service->first_backend + i];
        if (addr_family(&backend->addr) == family && pool_fitness(backend) > 0)
            return true;
    }
    return false;
}

void pool_sample(struct pool *pool, uint64_t now_ms)
{
    const uint64_t elapsed_ms = now_ms - pool->sampled_ms;

    if (pool->sampled_ms == 0 || elapsed_ms == 0) {
        pool->sampled_ms = now_ms;
        return;
    }
    for (size_t i = 0; i < pool->backend_count; i++) {
        struct backend *backend = &pool->backends[i];
        for (int d = 0; d < 2; d++) {
            const struct traffic now = backend->traffic[d];
            backend->rate[d].packets = (now.packets - backend->sampled[d].packets) * 1000 / elapsed_ms;
            backend->rate[d].bytes = (now.bytes - backend->sampled[d].bytes) * 1000 / elapsed_ms;
            backend->sampled[d] = now;
        }
    }
    pool->sampled_ms = now_ms;
}
