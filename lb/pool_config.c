#include "lb/pool_config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/err.h"

/* The names' hash is part of what two nodes must agree on, so its seed is fixed. */
#define NAME_SEED UINT64_C(0x696b656c62)

#define NOTE_MAX 256

/* Which index each service and backend of the configuration will have, found before anything is changed. */
struct plan {
    struct pool *pool;
    const struct pool_config_notes *notes;
    uint16_t services[CONFIG_SERVICES_MAX];
    uint16_t backends[CONFIG_BACKENDS_MAX]; /* of all services, one after the other */
    bool service_taken[POOL_SERVICES_MAX];
    bool backend_taken[POOL_BACKENDS_MAX];
    uint16_t *service_end; /* while it is executed: where the list of services goes on ... */
    uint16_t *backend_end[POOL_SERVICES_MAX]; /* ... and that of each one's backends */
};

__attribute__((format(printf, 2, 3))) static void note(const struct pool_config_notes *notes, const char *fmt,
                                                       ...)
{
    char text[NOTE_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    notes->note(notes->ctx, text);
}

static bool shares_vip(const struct service *service, const struct config_service *config)
{
    for (size_t i = 0; i < config->vip_count; i++) {
        const struct addr *vip = pool_vip(service, addr_family(&config->vips[i]));
        if (vip && addr_equal(vip, &config->vips[i]))
            return true;
    }
    return false;
}

/* What became free last is taken last, so that what is told of the past finds the right names. */
static uint16_t free_service(struct plan *plan)
{
    struct pool *pool = plan->pool;

    for (uint32_t tries = 0; tries < POOL_SERVICES_MAX; tries++) {
        const uint16_t s = pool->service_hand;
        pool->service_hand = (uint16_t)((s + 1) % POOL_SERVICES_MAX);
        if (!pool->services[s].used && !plan->service_taken[s])
            return s;
    }
    return POOL_NONE;
}

static uint16_t free_backend(struct plan *plan)
{
    struct pool *pool = plan->pool;

    for (uint32_t tries = 0; tries < POOL_BACKENDS_MAX; tries++) {
        const uint16_t i = pool->backend_hand;
        pool->backend_hand = (uint16_t)((i + 1) % POOL_BACKENDS_MAX);
        if (!pool->backends[i].used && !plan->backend_taken[i])
            return i;
    }
    return POOL_NONE;
}

static int plan_service(struct plan *plan, const struct config_service *config, uint16_t *index)
{
    const struct pool *pool = plan->pool;
    uint16_t found = POOL_NONE;

    for (uint16_t s = pool->first_service; s != POOL_NONE; s = pool->services[s].next) {
        if (!shares_vip(&pool->services[s], config))
            continue;
        if (found != POOL_NONE || plan->service_taken[s]) {
            note(plan->notes,
                 "services.%s.vip: this VIP is of service %s as it runs; a service is known by "
                 "its VIPs, which cannot be joined or parted without a restart",
                 config->name, pool->services[s].name);
            return ERR_EXISTS;
        }
        found = s;
    }
    if (found == POOL_NONE)
        found = free_service(plan);
    if (found == POOL_NONE) {
        note(plan->notes,
             "services.%s: no room for it beside the removed services that have clients yet; "
             "wait until they have gone, or restart",
             config->name);
        return ERR_FULL;
    }
    plan->service_taken[found] = true;
    *index = found;
    return 0;
}

/* The backend of the running service with that address and, if `by_name`, that name. */
static uint16_t match_backend(const struct plan *plan, uint16_t service, const struct config_backend *config,
                              bool by_name)
{
    const struct pool *pool = plan->pool;

    if (!pool->services[service].used)
        return POOL_NONE;
    for (uint16_t i = pool->services[service].first_backend; i != POOL_NONE; i = pool->backends[i].next) {
        const struct backend *backend = &pool->backends[i];
        if (!plan->backend_taken[i] && addr_equal(&backend->addr, &config->address) &&
            (!by_name || strcmp(backend->name, config->name) == 0))
            return i;
    }
    return POOL_NONE;
}

static void plan_matches(struct plan *plan, uint16_t service, const struct config_service *config,
                         uint16_t *indices, bool by_name)
{
    for (size_t i = 0; i < config->backend_count; i++) {
        if (indices[i] != POOL_NONE)
            continue;
        indices[i] = match_backend(plan, service, &config->backends[i], by_name);
        if (indices[i] != POOL_NONE)
            plan->backend_taken[indices[i]] = true;
    }
}

/* One that has kept its address and name goes before one that has changed its name. */
static int plan_backends(struct plan *plan, uint16_t service, const struct config_service *config,
                         uint16_t *indices)
{
    for (size_t i = 0; i < config->backend_count; i++)
        indices[i] = POOL_NONE;
    plan_matches(plan, service, config, indices, true);
    plan_matches(plan, service, config, indices, false);
    for (size_t i = 0; i < config->backend_count; i++) {
        if (indices[i] != POOL_NONE)
            continue;
        indices[i] = free_backend(plan);
        if (indices[i] == POOL_NONE) {
            note(plan->notes,
                 "services.%s.backends.%s: no room for it beside the removed backends that have "
                 "clients yet; wait until they have gone, or restart",
                 config->name, config->backends[i].name);
            return ERR_FULL;
        }
        plan->backend_taken[indices[i]] = true;
    }
    return 0;
}

static int make_plan(struct plan *plan, const struct config *config)
{
    const uint16_t service_hand = plan->pool->service_hand;
    const uint16_t backend_hand = plan->pool->backend_hand;
    size_t planned = 0;
    int err = 0;

    for (size_t s = 0; s < config->service_count && !err; s++) {
        const struct config_service *service = &config->services[s];
        err = plan_service(plan, service, &plan->services[s]);
        if (!err)
            err = plan_backends(plan, plan->services[s], service, &plan->backends[planned]);
        planned += service->backend_count;
    }
    if (err) {
        plan->pool->service_hand = service_hand;
        plan->pool->backend_hand = backend_hand;
    }
    return err;
}

static void apply_state(struct backend *backend, enum config_state configured)
{
    if (!backend->used || backend->removed || backend->configured != configured)
        backend->state = configured;
    backend->configured = configured;
}

static void apply_backend(struct pool *pool, uint16_t index, const struct config_backend *config,
                          uint16_t service)
{
    struct backend *backend = &pool->backends[index];

    if (!backend->used)
        *backend = (struct backend){
            .addr = config->address,
            .service = service,
            .server = POOL_NONE,
            .health = HEALTH_UNKNOWN,
            .source = POOL_NONE,
        };
    if (pool->backend_count <= index)
        pool->backend_count = index + 1U;
    apply_state(backend, config->state);
    snprintf(backend->name, sizeof backend->name, "%s", config->name);
    backend->seed = XXH3_64bits_withSeed(config->name, strlen(config->name), NAME_SEED);
    backend->weight = config->weight;
    backend->used = true;
    backend->removed = false;
}

static void apply_vips(struct service *service, const struct config_service *config,
                       const struct pool_config_notes *notes)
{
    char text[ADDR_TEXT_MAX];

    for (size_t i = 0; i < config->vip_count; i++) {
        const struct addr *vip = pool_vip(service, addr_family(&config->vips[i]));
        if (!vip)
            service->vips[service->vip_count++] = config->vips[i];
        else if (!addr_equal(vip, &config->vips[i]))
            note(notes, "services.%s.vip: %s takes the place of the other VIP only at a restart",
                 config->name, addr_format(&config->vips[i], text));
    }
    if (config->vip_count < service->vip_count)
        note(notes, "services.%s.vip: the VIP that is not in the file any more goes only at a restart",
             config->name);
}

/* What the clients of a running service depend on stays. */
static void keep_running(struct service *service, const struct config_service *config,
                         const struct pool_config_notes *notes)
{
    if (service->mode != config->mode)
        note(notes, "services.%s.mode: it stays %s until a restart", config->name,
             config_mode_name(service->mode));
    if (service->persistence.spread_nat != config->persistence.spread_nat)
        note(notes, "services.%s.persistence.spread_nat: it stays %s until a restart", config->name,
             service->persistence.spread_nat ? "true" : "false");
}

static void apply_service(struct pool *pool, uint16_t index, const struct config_service *config,
                          const struct pool_config_notes *notes)
{
    struct service *service = &pool->services[index];
    const bool spread_nat = service->used ? service->persistence.spread_nat : config->persistence.spread_nat;

    if (service->used)
        keep_running(service, config, notes);
    else
        *service = (struct service){.mode = config->mode};
    if (pool->service_count <= index)
        pool->service_count = index + 1U;
    snprintf(service->name, sizeof service->name, "%s", config->name);
    apply_vips(service, config, notes);
    service->schedule = config->schedule;
    service->persistence = config->persistence;
    service->persistence.spread_nat = spread_nat;
    service->snat_count = service->mode == CONFIG_MODE_FULL_NAT ? config->snat_count : 0;
    for (size_t i = 0; i < service->snat_count; i++)
        service->snats[i] = config->snats[i];
    service->used = true;
    service->removed = false;
}

/* What was saved up under other weights would give one of them many turns one after the other. */
static void begin_turns_anew(struct pool *pool, uint16_t service)
{
    for (uint16_t i = pool->services[service].first_backend; i != POOL_NONE; i = pool->backends[i].next)
        pool->backends[i].round_robin = 0;
}

static void append_service(struct plan *plan, uint16_t index)
{
    struct service *service = &plan->pool->services[index];

    *plan->service_end = index;
    plan->service_end = &service->next;
    service->next = POOL_NONE;
    plan->backend_end[index] = &service->first_backend;
    service->first_backend = POOL_NONE;
}

static void append_backend(struct plan *plan, uint16_t index)
{
    struct backend *backend = &plan->pool->backends[index];

    *plan->backend_end[backend->service] = index;
    plan->backend_end[backend->service] = &backend->next;
    backend->next = POOL_NONE;
}

/* A name that is taken again becomes "NAME@ADDRESS", which no configuration can have. */
static void set_apart(char name[static POOL_NAME_MAX], const struct addr *addr)
{
    const size_t len = strlen(name);
    char text[ADDR_TEXT_MAX];

    snprintf(name + len, POOL_NAME_MAX - len, "@%s", addr_format(addr, text));
}

static void remove_service(struct plan *plan, uint16_t index)
{
    struct pool *pool = plan->pool;
    struct service *service = &pool->services[index];

    service->removed = true;
    if (pool_find_service(pool, service->name) != POOL_NONE)
        set_apart(service->name, &service->vips[0]);
    append_service(plan, index);
}

static void remove_backend(struct plan *plan, uint16_t index)
{
    struct pool *pool = plan->pool;
    struct backend *backend = &pool->backends[index];

    backend->removed = true;
    if (pool_find_backend(pool, backend->service, backend->name) != POOL_NONE)
        set_apart(backend->name, &backend->addr);
    append_backend(plan, index);
}

static void execute(struct plan *plan, const struct config *config)
{
    struct pool *pool = plan->pool;
    size_t planned = 0;

    pool->first_service = POOL_NONE;
    plan->service_end = &pool->first_service;
    for (size_t s = 0; s < config->service_count; s++) {
        const struct config_service *service = &config->services[s];
        bool is_reweighted = false;
        apply_service(pool, plan->services[s], service, plan->notes);
        append_service(plan, plan->services[s]);
        for (size_t i = 0; i < service->backend_count; i++, planned++) {
            const struct backend *backend = &pool->backends[plan->backends[planned]];
            is_reweighted |= backend->used && backend->weight != service->backends[i].weight;
            apply_backend(pool, plan->backends[planned], &service->backends[i], plan->services[s]);
            append_backend(plan, plan->backends[planned]);
        }
        if (is_reweighted)
            begin_turns_anew(pool, plan->services[s]);
    }
    for (size_t s = 0; s < pool->service_count; s++)
        if (pool->services[s].used && !plan->service_taken[s])
            remove_service(plan, (uint16_t)s);
    for (size_t i = 0; i < pool->backend_count; i++)
        if (pool->backends[i].used && !plan->backend_taken[i])
            remove_backend(plan, (uint16_t)i);
    pool_index_servers(pool);
}

static void ignore_note(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

int pool_config_apply(struct pool *pool, const struct config *config, const struct pool_config_notes *notes)
{
    static const struct pool_config_notes unheard = {.note = ignore_note};
    struct plan *plan = calloc(1, sizeof *plan);

    if (!plan)
        return -ENOMEM;
    plan->pool = pool;
    plan->notes = notes ? notes : &unheard;
    const int err = make_plan(plan, config);
    if (!err)
        execute(plan, config);
    free(plan);
    return err;
}

static void unlink_backend(struct pool *pool, uint16_t index)
{
    uint16_t *link = &pool->services[pool->backends[index].service].first_backend;

    while (*link != index)
        link = &pool->backends[*link].next;
    *link = pool->backends[index].next;
    pool->backends[index].used = false;
}

static void unlink_service(struct pool *pool, uint16_t index)
{
    uint16_t *link = &pool->first_service;

    while (*link != index)
        link = &pool->services[*link].next;
    *link = pool->services[index].next;
    pool->services[index].used = false;
}

bool pool_config_collect(struct pool *pool, pool_config_gone_fn *gone, void *ctx)
{
    bool any = false;

    for (size_t i = 0; i < pool->backend_count; i++) {
        const struct backend *backend = &pool->backends[i];
        if (!backend->used || !pool_is_left(backend) || backend->sessions)
            continue;
        gone(ctx, (uint16_t)i);
        unlink_backend(pool, (uint16_t)i);
        any = true;
    }
    for (size_t s = 0; any && s < pool->service_count; s++)
        if (pool->services[s].used && pool->services[s].removed &&
            pool->services[s].first_backend == POOL_NONE)
            unlink_service(pool, (uint16_t)s);
    if (any)
        pool_index_servers(pool);
    return any;
}
