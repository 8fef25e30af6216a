/* A pool that takes one configuration after the other, for the tests of lb/pool_config.c. */
#pragma once

#include <stdio.h>

#include "lb/pool_config.h"
#include "tests/unit/support.h"
#include "tests/unit/unit.h"

#define VPN                                                                                                  \
    {                                                                                                        \
        "203.0.113.10", "2001:db8::10"                                                                       \
    }
#define FULL                                                                                                 \
    {                                                                                                        \
        "203.0.113.11"                                                                                       \
    }

static const struct support_service vpn = {
    .name = "vpn",
    .vips = VPN,
    .backends = {{"one", "10.0.0.1", 50, CONFIG_STATE_ENABLED}, {"two", "10.0.0.2", 0, CONFIG_STATE_ENABLED}},
};
static const struct support_service full = {
    .name = "full",
    .vips = FULL,
    .mode = CONFIG_MODE_FULL_NAT,
    .snats = {"10.0.0.200"},
    .backends = {{"uno", "10.0.0.2", 0, CONFIG_STATE_ENABLED}},
};

/* A pool with the two services, and what it has noted since. */
struct fixture {
    struct pool *pool;
    size_t notes;
    char last[256];
    uint16_t gone[8];
    size_t gone_count;
};

static inline void begin(struct fixture *f)
{
    const struct support_service services[] = {vpn, full};

    *f = (struct fixture){.pool = support_pool(services, 2)};
}

static inline void hear(void *ctx, const char *text)
{
    struct fixture *f = ctx;

    snprintf(f->last, sizeof f->last, "%s", text);
    f->notes++;
}

static inline int apply(struct fixture *f, const struct support_service *services, size_t count)
{
    const struct pool_config_notes notes = {.note = hear, .ctx = f};
    struct config *config = support_config(services, count);

    f->notes = 0;
    const int err = pool_config_apply(f->pool, config, &notes);
    config_destroy(config);
    return err;
}

static inline void hear_gone(void *ctx, uint16_t backend)
{
    struct fixture *f = ctx;

    assert_true(f->gone_count < sizeof f->gone / sizeof f->gone[0]);
    assert_true(f->pool->backends[backend].used); /* yet: its names can be told */
    f->gone[f->gone_count++] = backend;
}

static inline bool collect(struct fixture *f)
{
    f->gone_count = 0;
    return pool_config_collect(f->pool, hear_gone, f);
}

/* "vpn: one two; full: uno (due)": the lists in their order, what is removed in brackets. */
static inline const char *listed(const struct pool *pool, char text[static 512])
{
    size_t len = 0;

    text[0] = '\0';
    for (uint16_t s = pool->first_service; s != POOL_NONE; s = pool->services[s].next) {
        const struct service *service = &pool->services[s];
        assert_true(service->used);
        len += (size_t)snprintf(text + len, 512 - len,
                                service->removed ? "%s(%s):" : "%s%s:", len ? "; " : "", service->name);
        for (uint16_t i = service->first_backend; i != POOL_NONE; i = pool->backends[i].next) {
            const struct backend *backend = &pool->backends[i];
            assert_true(backend->used && backend->service == s);
            assert_int_equal(pool_find_server(pool, &backend->addr), backend->server);
            assert_true(addr_equal(&pool->servers[backend->server].addr, &backend->addr));
            len += (size_t)snprintf(text + len, 512 - len, backend->removed ? " (%s)" : " %s", backend->name);
        }
    }
    return text;
}

static inline void check_listed(const struct pool *pool, const char *wanted)
{
    char text[512];

    assert_string_equal(listed(pool, text), wanted);
}

static inline uint16_t backend_at(const struct fixture *f, const char *service, const char *name)
{
    const uint16_t s = pool_find_service(f->pool, service);

    assert_int_not_equal(s, POOL_NONE);
    const uint16_t i = pool_find_backend(f->pool, s, name);
    assert_int_not_equal(i, POOL_NONE);
    return i;
}
