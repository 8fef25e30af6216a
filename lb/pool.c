#include "lb/pool.h"

#include <stdlib.h>
#include <string.h>

struct server_slot {
    struct addr addr;
    uint16_t server;
    bool used;
};

/* Half full at most, so that every search ends soon. */
#define SERVER_SLOTS 4096
_Static_assert(SERVER_SLOTS >= 2 * POOL_BACKENDS_MAX, "or searches become long");
_Static_assert((SERVER_SLOTS & (SERVER_SLOTS - 1)) == 0, "a hash is masked with it");

struct pool *pool_create(void)
{
    struct pool *pool = calloc(1, sizeof *pool);

    if (!pool)
        return NULL;
    pool->first_service = POOL_NONE;
    pool->services = calloc(POOL_SERVICES_MAX, sizeof *pool->services);
    pool->backends = calloc(POOL_BACKENDS_MAX, sizeof *pool->backends);
    pool->servers = calloc(POOL_BACKENDS_MAX, sizeof *pool->servers);
    pool->server_index = calloc(SERVER_SLOTS, sizeof *pool->server_index);
    if (!pool->services || !pool->backends || !pool->servers || !pool->server_index) {
        pool_destroy(pool);
        return NULL;
    }
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

/* All but the arrays' addresses. What was never used is all zero, as calloc() has left it. */
static void copy_content(struct pool *to, const struct pool *from)
{
    const struct pool arrays = *to;

    *to = *from;
    to->services = arrays.services;
    to->backends = arrays.backends;
    to->servers = arrays.servers;
    to->server_index = arrays.server_index;
    memset(to->services, 0, arrays.service_count * sizeof *to->services);
    memset(to->backends, 0, arrays.backend_count * sizeof *to->backends);
    memset(to->servers, 0, arrays.server_count * sizeof *to->servers);
    memcpy(to->services, from->services, from->service_count * sizeof *to->services);
    memcpy(to->backends, from->backends, from->backend_count * sizeof *to->backends);
    memcpy(to->servers, from->servers, from->server_count * sizeof *to->servers);
    memcpy(to->server_index, from->server_index, SERVER_SLOTS * sizeof *to->server_index);
}

struct pool *pool_copy(const struct pool *pool)
{
    struct pool *copy = pool_create();

    if (copy)
        copy_content(copy, pool);
    return copy;
}

void pool_restore(struct pool *pool, const struct pool *copy)
{
    copy_content(pool, copy);
}

uint16_t pool_find_service(const struct pool *pool, const char *name)
{
    uint16_t s = pool->first_service;

    while (s != POOL_NONE && strcmp(pool->services[s].name, name) != 0)
        s = pool->services[s].next;
    return s;
}

uint16_t pool_find_backend(const struct pool *pool, uint16_t service, const char *name)
{
    uint16_t i = pool->services[service].first_backend;

    while (i != POOL_NONE && strcmp(pool->backends[i].name, name) != 0)
        i = pool->backends[i].next;
    return i;
}

/* The slot that holds the address, or the empty one where it belongs. */
static struct server_slot *server_slot(const struct pool *pool, const struct addr *addr)
{
    uint32_t at = (uint32_t)addr_hash(addr, 0) & (SERVER_SLOTS - 1);

    while (pool->server_index[at].used && !addr_equal(&pool->server_index[at].addr, addr))
        at = (at + 1) & (SERVER_SLOTS - 1);
    return &pool->server_index[at];
}

static void enter_server(struct pool *pool, uint16_t server)
{
    const struct addr *addr = &pool->servers[server].addr;

    *server_slot(pool, addr) = (struct server_slot){.addr = *addr, .server = server, .used = true};
}

/* There is always one: no more servers are in use than backends. */
static uint16_t free_server(const struct pool *pool)
{
    uint16_t server = 0;

    while (pool->servers[server].used)
        server++;
    return server;
}

static uint16_t server_of(struct pool *pool, const struct addr *addr)
{
    const struct server_slot *slot = server_slot(pool, addr);

    if (slot->used)
        return slot->server;
    const uint16_t server = free_server(pool);
    pool->servers[server] = (struct server){.addr = *addr, .used = true};
    if (pool->server_count <= server)
        pool->server_count = server + 1U;
    enter_server(pool, server);
    return server;
}

void pool_index_servers(struct pool *pool)
{
    memset(pool->server_index, 0, SERVER_SLOTS * sizeof *pool->server_index);
    for (size_t i = 0; i < pool->server_count; i++)
        pool->servers[i].used = false;
    for (size_t i = 0; i < pool->backend_count; i++) {
        const struct backend *backend = &pool->backends[i];
        if (!backend->used || backend->server == POOL_NONE)
            continue;
        pool->servers[backend->server].used = true; /* flows refer to it by this index */
        enter_server(pool, backend->server);
    }
    for (size_t i = 0; i < pool->backend_count; i++) {
        struct backend *backend = &pool->backends[i];
        if (backend->used && backend->server == POOL_NONE)
            backend->server = server_of(pool, &backend->addr);
    }
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

uint16_t pool_find_vip(const struct pool *pool, const struct addr *addr)
{
    for (uint16_t s = pool->first_service; s != POOL_NONE; s = pool->services[s].next) {
        const struct addr *vip = pool_vip(&pool->services[s], addr_family(addr));
        if (vip && addr_equal(vip, addr))
            return s;
    }
    return POOL_NONE;
}

uint16_t pool_find_address(const struct pool *pool, uint16_t service, const struct addr *addr)
{
    uint16_t i = service == POOL_NONE ? POOL_NONE : pool->services[service].first_backend;

    while (i != POOL_NONE && !addr_equal(&pool->backends[i].addr, addr))
        i = pool->backends[i].next;
    return i;
}

int pool_fitness(const struct backend *backend)
{
    const int avoided = backend->passive.avoided ? 0 : 2;

    if (backend->state != CONFIG_STATE_ENABLED || backend->removed)
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

bool pool_is_draining(const struct backend *backend)
{
    return backend->state == CONFIG_STATE_DRAIN ||
           (backend->removed && backend->state != CONFIG_STATE_DISABLED);
}

bool pool_is_left(const struct backend *backend)
{
    return backend->removed && backend->clients == 0 && backend->flows == 0;
}

void pool_set_state(struct backend *backend, enum config_state state)
{
    backend->state = state;
}

bool pool_has_fit(const struct pool *pool, const struct service *service, int family)
{
    for (uint16_t i = service->first_backend; i != POOL_NONE; i = pool->backends[i].next) {
        const struct backend *backend = &pool->backends[i];
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
        const uint64_t fast = backend->fast[TRAFFIC_IN].packets + backend->fast[TRAFFIC_OUT].packets;
        backend->fast_pps = (fast - backend->fast_sampled) * 1000 / elapsed_ms;
        backend->fast_sampled = fast;
    }
    pool->sampled_ms = now_ms;
}
