#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lb/pool_config.h"
#include "tests/unit/support.h"

/* Two services that share a server, one of them for both families. */
static const struct support_service services[] = {
    {.name = "vpn",
     .vips = {"203.0.113.10", "2001:db8::10"},
     .schedule = CONFIG_SCHEDULE_ROUND_ROBIN,
     .idle_timeout_ms = 5000,
     .half_open_timeout_ms = 700,
     .backends = {{"one", "10.0.0.1", 50, CONFIG_STATE_ENABLED},
                  {"two", "10.0.0.2", 0, CONFIG_STATE_DRAIN},
                  {"six", "2001:db8::1", 0, CONFIG_STATE_ENABLED}}},
    {.name = "full",
     .vips = {"203.0.113.11"},
     .mode = CONFIG_MODE_FULL_NAT,
     .snats = {"10.0.0.200", "10.0.0.201"},
     .backends = {{"uno", "10.0.0.2", 0, CONFIG_STATE_ENABLED},
                  {"due", "10.0.0.3", 0, CONFIG_STATE_DISABLED}}},
};

static void test_built_from_configuration(void **state)
{
    struct pool *pool = support_pool(services, 2);
    const struct service *vpn = &pool->services[0], *full = &pool->services[1];

    (void)state;
    assert_int_equal(pool->service_count, 2);
    assert_int_equal(pool->backend_count, 5);
    assert_int_equal(pool->server_count, 4); /* 10.0.0.2 serves both */
    assert_string_equal(vpn->name, "vpn");
    assert_int_equal(vpn->schedule, CONFIG_SCHEDULE_ROUND_ROBIN);
    assert_int_equal(vpn->persistence.idle_timeout_ms, 5000);
    assert_int_equal(vpn->persistence.half_open_timeout_ms, 700);
    assert_int_equal(full->mode, CONFIG_MODE_FULL_NAT);
    assert_int_equal(full->first_backend, 3);
    assert_int_equal(pool->backends[3].next, 4);
    assert_int_equal(pool->backends[4].next, POOL_NONE);
    assert_int_equal(full->snat_count, 2);
    const struct addr snat = support_addr("10.0.0.201");
    assert_true(addr_equal(&full->snats[1], &snat));
    assert_string_equal(pool->backends[0].name, "one");
    assert_int_equal(pool->backends[0].weight, 50);
    assert_int_equal(pool->backends[1].state, CONFIG_STATE_DRAIN);
    assert_int_equal(pool->backends[3].service, 1);
    assert_int_equal(pool->backends[3].server, pool->backends[1].server);
    assert_int_equal(pool->backends[0].source, POOL_NONE);
    /* The seed is the name's alone: the same in any order and place. */
    assert_true(pool->backends[0].seed != pool->backends[1].seed);
    pool_destroy(pool);
    pool_destroy(NULL);
}

static void test_lookups(void **state)
{
    struct pool *pool = support_pool(services, 2);
    struct addr a;

    (void)state;
    for (size_t i = 0; i < pool->backend_count; i++)
        assert_int_equal(pool_find_server(pool, &pool->backends[i].addr), pool->backends[i].server);
    a = support_addr("10.0.0.9");
    assert_int_equal(pool_find_server(pool, &a), POOL_NONE);
    a = support_addr("::");
    assert_int_equal(pool_find_server(pool, &a), POOL_NONE);
    assert_ptr_equal(pool_vip(&pool->services[0], AF_INET6), &pool->services[0].vips[1]);
    assert_ptr_equal(pool_vip(&pool->services[0], AF_INET), &pool->services[0].vips[0]);
    assert_null(pool_vip(&pool->services[1], AF_INET6));
    pool_destroy(pool);
}

/* The index of servers ends every search, also when it is as full as it gets. */
static void test_many_servers(void **state)
{
    static char names[64][SUPPORT_BACKENDS_MAX][8], texts[64][SUPPORT_BACKENDS_MAX][16];
    static char vips[64][16];
    struct support_service many[64] = {{0}};

    (void)state;
    for (unsigned s = 0; s < 64; s++) {
        many[s] = (struct support_service){.name = "s", .vips = {vips[s]}};
        snprintf(vips[s], sizeof vips[s], "203.0.113.%u", s);
        for (unsigned b = 0; b < SUPPORT_BACKENDS_MAX; b++) {
            snprintf(names[s][b], sizeof names[s][b], "b%u", b);
            snprintf(texts[s][b], sizeof texts[s][b], "10.1.%u.%u", s, b);
            many[s].backends[b] = (struct support_backend){.name = names[s][b], .address = texts[s][b]};
        }
    }
    struct pool *pool = support_pool(many, 64);
    assert_int_equal(pool->server_count, 64 * SUPPORT_BACKENDS_MAX);
    for (size_t i = 0; i < pool->backend_count; i++)
        assert_int_equal(pool_find_server(pool, &pool->backends[i].addr), i);
    for (uint32_t i = 0; i < 1000; i++) {
        const struct addr a = support_addr_v4(i);
        assert_int_equal(pool_find_server(pool, &a), POOL_NONE);
    }
    pool_destroy(pool);
}

struct fitness_case {
    enum config_state state;
    enum health_state health;
    bool avoided;
    int fitness;
    bool lost;
};

/* The one that real clients found silent comes after the others, but before nobody. */
static const struct fitness_case fitness_cases[] = {
    {CONFIG_STATE_ENABLED, HEALTH_UP, false, 4, false},
    {CONFIG_STATE_ENABLED, HEALTH_UNKNOWN, false, 3, false},
    {CONFIG_STATE_ENABLED, HEALTH_UP, true, 2, false},
    {CONFIG_STATE_ENABLED, HEALTH_UNKNOWN, true, 1, false},
    {CONFIG_STATE_ENABLED, HEALTH_DOWN, false, 0, true},
    {CONFIG_STATE_ENABLED, HEALTH_DOWN, true, 0, true},
    {CONFIG_STATE_DRAIN, HEALTH_UP, false, 0, false},
    {CONFIG_STATE_DRAIN, HEALTH_UP, true, 0, false},
    {CONFIG_STATE_DRAIN, HEALTH_UNKNOWN, false, 0, false},
    {CONFIG_STATE_DRAIN, HEALTH_DOWN, false, 0, true},
    {CONFIG_STATE_DISABLED, HEALTH_UP, false, 0, true},
    {CONFIG_STATE_DISABLED, HEALTH_UNKNOWN, false, 0, true},
    {CONFIG_STATE_DISABLED, HEALTH_DOWN, false, 0, true},
};

static void test_fitness(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof fitness_cases / sizeof fitness_cases[0]; i++) {
        const struct fitness_case *t = &fitness_cases[i];
        const struct backend backend = {
            .state = t->state, .health = t->health, .passive = {.avoided = t->avoided}};
        assert_int_equal(pool_fitness(&backend), t->fitness);
        assert_int_equal(pool_is_lost(&backend), t->lost);
    }
}

static void test_set_state(void **state)
{
    struct backend backend = {.state = CONFIG_STATE_ENABLED, .health = HEALTH_UP};

    (void)state;
    pool_set_state(&backend, CONFIG_STATE_DISABLED);
    assert_true(pool_is_lost(&backend));
    pool_set_state(&backend, CONFIG_STATE_DRAIN);
    assert_false(pool_is_lost(&backend));
    assert_int_equal(pool_fitness(&backend), 0);
    pool_set_state(&backend, CONFIG_STATE_ENABLED);
    assert_int_equal(pool_fitness(&backend), 4);
}

static void test_has_fit_by_family(void **state)
{
    struct pool *pool = support_pool(services, 2);
    const struct service *vpn = &pool->services[0];

    (void)state;
    assert_true(pool_has_fit(pool, vpn, AF_INET));
    assert_true(pool_has_fit(pool, vpn, AF_INET6));
    pool->backends[2].health = HEALTH_DOWN;
    assert_false(pool_has_fit(pool, vpn, AF_INET6));
    assert_true(pool_has_fit(pool, vpn, AF_INET));
    pool->backends[0].health = HEALTH_UNKNOWN;
    assert_true(pool_has_fit(pool, vpn, AF_INET));
    pool->backends[0].state = CONFIG_STATE_DRAIN;
    assert_false(pool_has_fit(pool, vpn, AF_INET)); /* the other service's backends do not count */
    pool_destroy(pool);
}

static void test_sample(void **state)
{
    struct pool *pool = support_pool(services, 2);
    struct backend *b = &pool->backends[1];

    (void)state;
    b->traffic[TRAFFIC_IN] = (struct traffic){10, 1000};
    pool_sample(pool, 5000); /* the first only begins */
    assert_int_equal(b->rate[TRAFFIC_IN].packets, 0);
    b->traffic[TRAFFIC_IN] = (struct traffic){20, 3000};
    b->traffic[TRAFFIC_OUT] = (struct traffic){5, 50};
    b->fast[TRAFFIC_IN] = (struct traffic){7, 70};
    b->fast[TRAFFIC_OUT] = (struct traffic){2, 20};
    pool_sample(pool, 5000); /* no time has passed: nothing to divide by */
    pool_sample(pool, 5500);
    assert_int_equal(b->rate[TRAFFIC_IN].bytes, 2 * 3000);
    assert_int_equal(b->rate[TRAFFIC_OUT].packets, 10);
    assert_int_equal(b->rate[TRAFFIC_OUT].bytes, 100);
    assert_int_equal(b->fast_pps, 18);
    pool_sample(pool, 6500);
    assert_int_equal(b->rate[TRAFFIC_IN].packets, 0);
    assert_int_equal(b->fast_pps, 0);
    pool_destroy(pool);
}

/* A service with as many backends as there may be, all of them new to every pool. */
static void apply_crowd(struct pool *pool)
{
    struct config_backend *backends = calloc(CONFIG_BACKENDS_MAX, sizeof *backends);
    struct config_service service = {
        .name = "crowd", .vips = {support_addr("203.0.113.99")}, .vip_count = 1, .backends = backends};
    const struct config config = {.services = &service, .service_count = 1};

    assert_non_null(backends);
    for (; service.backend_count < CONFIG_BACKENDS_MAX; service.backend_count++) {
        struct config_backend *backend = &backends[service.backend_count];
        snprintf(backend->name, sizeof backend->name, "c%zu", service.backend_count);
        backend->address = support_addr_v4(0x10000 + (uint32_t)service.backend_count);
        backend->weight = 1;
    }
    assert_int_equal(pool_config_apply(pool, &config, NULL), 0);
    free(backends);
}

/* However often a change turns out to be impossible. */
static void test_restored_as_it_was(void **state)
{
    struct pool *pool = support_pool(services, 2);
    struct pool *copy = pool_copy(pool);
    struct addr a = support_addr_v4(0x10000);

    (void)state;
    assert_non_null(copy);
    assert_true(copy->backends != pool->backends && support_pools_alike(copy, pool));
    for (int i = 0; i < 3; i++) {
        pool->backends[1].clients = 7;
        apply_crowd(pool);
        assert_false(support_pools_alike(copy, pool));
        assert_int_not_equal(pool_find_server(pool, &a), POOL_NONE);
        pool_restore(pool, copy);
        assert_true(support_pools_alike(copy, pool));
        assert_int_equal(pool_find_server(pool, &a), POOL_NONE);
        for (size_t k = 0; k < pool->backend_count; k++)
            assert_int_equal(pool_find_server(pool, &pool->backends[k].addr), pool->backends[k].server);
    }
    pool_destroy(pool);
    pool_destroy(copy);
}

static void test_port_numbers(void **state)
{
    (void)state;
    assert_int_equal(ike_port_number(IKE_PORT_500), 500);
    assert_int_equal(ike_port_number(IKE_PORT_4500), 4500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_from_configuration),
        cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_many_servers),
        cmocka_unit_test(test_fitness),
        cmocka_unit_test(test_set_state),
        cmocka_unit_test(test_has_fit_by_family),
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_restored_as_it_was),
        cmocka_unit_test(test_port_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
