#include "tests/unit/unit.h"

#include <stdio.h>

#include "lb/schedule.h"
#include "tests/unit/support.h"

#define CLIENTS 40000

static struct support_service service_of(enum config_schedule schedule)
{
    return (struct support_service){
        .name = "vpn",
        .vips = {"203.0.113.10", "2001:db8::10"},
        .schedule = schedule,
        .backends = {{"alpha", "10.1.0.1", 100, CONFIG_STATE_ENABLED},
                     {"beta", "10.1.0.2", 200, CONFIG_STATE_ENABLED},
                     {"gamma", "10.1.0.3", 50, CONFIG_STATE_ENABLED},
                     {"delta", "10.1.0.4", 150, CONFIG_STATE_ENABLED},
                     {"six", "2001:db8::1", 100, CONFIG_STATE_ENABLED}},
    };
}
#define BACKENDS_V4 4

static struct pool *pool_of(enum config_schedule schedule)
{
    const struct support_service service = service_of(schedule);

    return support_pool(&service, 1);
}

static uint16_t pick(struct pool *pool, uint32_t client)
{
    const struct schedule_key key = {.client = support_addr_v4(client)};

    return schedule_pick(pool, 0, &key);
}

/* As lb/steer does for a new client. */
static uint16_t pick_and_keep(struct pool *pool, uint32_t client)
{
    const uint16_t chosen = pick(pool, client);

    assert_in_range(chosen, 0, BACKENDS_V4 - 1);
    pool->backends[chosen].clients++;
    return chosen;
}

/* Every schedule gives each backend its weight's share; the hashes within 5 % of it, the others exactly. */
static void test_shares(void **state)
{
    static const uint32_t permille[BACKENDS_V4] = {200, 400, 100, 300};

    (void)state;
    for (enum config_schedule s = CONFIG_SCHEDULE_BOUNDED_HASH; s <= CONFIG_SCHEDULE_ROUND_ROBIN; s++) {
        struct pool *pool = pool_of(s);
        for (uint32_t i = 0; i < CLIENTS; i++)
            pick_and_keep(pool, i);
        for (int b = 0; b < BACKENDS_V4; b++) {
            const uint32_t share = CLIENTS / 1000 * permille[b];
            const bool hash = s == CONFIG_SCHEDULE_BOUNDED_HASH || s == CONFIG_SCHEDULE_SOURCE_HASH;
            const uint32_t slack = hash ? share / 20 : 1;
            assert_in_range(pool->backends[b].clients, share - slack, share + slack);
        }
        assert_int_equal(pool->backends[4].clients, 0); /* IPv6 only */
        pool_destroy(pool);
    }
}

struct golden {
    const char *client;
    const char *backend;
};

/* Two nodes of different releases must choose alike: these choices are never to change. */
static const struct golden golden[] = {
    {"192.0.2.1", "beta"},    {"192.0.2.2", "beta"},       {"192.0.2.3", "gamma"},    {"192.0.2.4", "delta"},
    {"192.0.2.5", "beta"},    {"192.0.2.6", "delta"},      {"192.0.2.7", "delta"},    {"192.0.2.8", "alpha"},
    {"198.51.100.1", "beta"}, {"198.51.100.200", "delta"}, {"203.0.113.77", "delta"},
};

static void test_golden_choices(void **state)
{
    struct pool *pool = pool_of(CONFIG_SCHEDULE_SOURCE_HASH);

    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        const struct schedule_key key = {.client = support_addr(golden[i].client)};
        assert_string_equal(pool->backends[schedule_pick(pool, 0, &key)].name, golden[i].backend);
        assert_string_equal(pool->backends[schedule_pick_stateless(pool, 0, &key)].name, golden[i].backend);
    }
    pool_destroy(pool);
}

/* What counts is the name: not the place in the file, nor the address, nor what else the node has seen. */
static void test_two_nodes_choose_alike(void **state)
{
    struct support_service service = service_of(CONFIG_SCHEDULE_SOURCE_HASH);
    struct pool *one = support_pool(&service, 1);
    struct support_service shuffled[2] = {service, service};

    (void)state;
    for (int b = 0; b < BACKENDS_V4; b++)
        shuffled[1].backends[b] = service.backends[BACKENDS_V4 - 1 - b];
    shuffled[1].backends[0].address = "10.9.9.9";
    struct pool *two = support_pool(shuffled, 2);
    two->backends[6].clients = 12345;
    for (uint32_t i = 0; i < 2000; i++) {
        const struct schedule_key key = {.client = support_addr_v4(i)};
        assert_string_equal(one->backends[schedule_pick(one, 0, &key)].name,
                            two->backends[schedule_pick(two, 1, &key)].name);
    }
    pool_destroy(one);
    pool_destroy(two);
}

/* A backend that goes moves its own clients only, by weight to the others; when it comes back, so do they. */
static void test_minimal_movement(void **state)
{
    struct pool *pool = pool_of(CONFIG_SCHEDULE_SOURCE_HASH);
    uint32_t moved_to[BACKENDS_V4] = {0}, moved = 0;

    (void)state;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        const uint16_t before = pick(pool, i);
        pool->backends[1].health = HEALTH_DOWN;
        const uint16_t without = pick(pool, i);
        pool->backends[1].health = HEALTH_UP;
        assert_int_equal(pick(pool, i), before);
        assert_int_not_equal(without, 1);
        assert_true(before == 1 || without == before);
        moved_to[without] += before == 1;
        moved += before == 1;
    }
    assert_in_range(moved_to[0], moved * 100 / 300 * 9 / 10, moved * 100 / 300 * 11 / 10);
    assert_in_range(moved_to[2], moved * 50 / 300 * 9 / 10, moved * 50 / 300 * 11 / 10);
    assert_in_range(moved_to[3], moved * 150 / 300 * 9 / 10, moved * 150 / 300 * 11 / 10);
    pool_destroy(pool);
}

/* 125 % of the fair share of all clients, this one included, rounded up. */
static uint64_t bound_of(uint64_t clients, uint64_t weight, uint64_t weights)
{
    const uint64_t scaled = clients * weight * 125, divisor = weights * 100;

    return scaled / divisor + (scaled % divisor != 0);
}

static void test_the_bound_holds(void **state)
{
    struct pool *pool = pool_of(CONFIG_SCHEDULE_BOUNDED_HASH);
    uint32_t diverted = 0;

    (void)state;
    for (uint32_t i = 0; i < 5000; i++) {
        const struct schedule_key key = {.client = support_addr_v4(i)};
        const uint16_t first = schedule_pick_stateless(pool, 0, &key);
        const uint64_t first_bound = bound_of(i + 1, pool->backends[first].weight, 500);
        const bool first_fits = pool->backends[first].clients + 1 <= first_bound;
        const uint16_t chosen = pick_and_keep(pool, i);
        assert_true(pool->backends[chosen].clients <= bound_of(i + 1, pool->backends[chosen].weight, 500));
        assert_int_equal(chosen == first, first_fits); /* off the hash's choice only where that is full */
        diverted += chosen != first;
    }
    assert_true(diverted > 0);

    /* Even if one backend holds everything already, somebody is under the bound. */
    for (int b = 0; b < BACKENDS_V4; b++)
        pool->backends[b].clients = b == 1 ? 1000000 : 0;
    for (uint32_t i = 0; i < 100; i++)
        assert_int_not_equal(pick_and_keep(pool, i), 1);
    pool_destroy(pool);
}

/* Only those that may be chosen share the clients: what others hold does not raise anybody's bound. */
static void test_the_bound_knows_only_candidates(void **state)
{
    struct pool *pool = pool_of(CONFIG_SCHEDULE_BOUNDED_HASH);

    (void)state;
    pool->backends[0].health = HEALTH_UNKNOWN;
    pool->backends[0].clients = 100000;
    pool->backends[2].state = CONFIG_STATE_DRAIN;
    pool->backends[2].clients = 100000;
    pool->backends[4].clients = 100000; /* IPv6 */
    for (uint32_t i = 0; i < 3000; i++) {
        const uint16_t chosen = pick_and_keep(pool, i);
        assert_true(chosen == 1 || chosen == 3);
        assert_true(pool->backends[chosen].clients <= bound_of(i + 1, pool->backends[chosen].weight, 350));
    }
    pool_destroy(pool);
}

static void test_round_robin_is_smooth(void **state)
{
    static const uint16_t rounds[] = {0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0};
    const struct support_service service = {
        .name = "vpn",
        .vips = {"203.0.113.10"},
        .schedule = CONFIG_SCHEDULE_ROUND_ROBIN,
        .backends = {{"a", "10.1.0.1", 5, CONFIG_STATE_ENABLED},
                     {"b", "10.1.0.2", 1, CONFIG_STATE_ENABLED},
                     {"c", "10.1.0.3", 1, CONFIG_STATE_ENABLED}},
    };
    struct pool *pool = support_pool(&service, 1);

    (void)state;
    for (size_t i = 0; i < sizeof rounds / sizeof rounds[0]; i++)
        assert_int_equal(pick(pool, (uint32_t)i), rounds[i]);
    pool->backends[0].health = HEALTH_DOWN; /* the two others take turns */
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(pick(pool, i), 1 + i % 2);
    pool_destroy(pool);
}

static void test_least_clients(void **state)
{
    struct pool *pool = pool_of(CONFIG_SCHEDULE_LEAST_CLIENTS);

    (void)state;
    assert_int_equal(pick(pool, 1), 1); /* all empty: the heaviest */
    pool->backends[0].clients = 10;
    pool->backends[1].clients = 21;
    pool->backends[2].clients = 5;
    pool->backends[3].clients = 16;
    /* One more each: 11/100, 22/200, 6/50, 17/150: equal at the first two, and the first of them wins. */
    assert_int_equal(pick(pool, 1), 0);
    pool->backends[0].clients = 11;
    assert_int_equal(pick(pool, 1), 1);
    pool->backends[1].state = CONFIG_STATE_DRAIN;
    assert_int_equal(pick(pool, 1), 3);
    pool_destroy(pool);
}

/* Up before unknown; never drain, disabled or down; never the other family. */
static void test_who_is_chosen(void **state)
{
    const struct schedule_key v6 = {.client = support_addr("2001:db8:1::1")};

    (void)state;
    for (enum config_schedule s = CONFIG_SCHEDULE_BOUNDED_HASH; s <= CONFIG_SCHEDULE_ROUND_ROBIN; s++) {
        struct pool *pool = pool_of(s);
        for (int b = 0; b < BACKENDS_V4; b++)
            pool->backends[b].health = HEALTH_UNKNOWN;
        pool->backends[2].health = HEALTH_UP;
        for (uint32_t i = 0; i < 50; i++)
            assert_int_equal(pick(pool, i), 2);
        pool->backends[2].state = CONFIG_STATE_DRAIN;
        pool->backends[1].state = CONFIG_STATE_DISABLED;
        pool->backends[3].health = HEALTH_DOWN;
        for (uint32_t i = 0; i < 50; i++)
            assert_int_equal(pick(pool, i), 0); /* unknown is better than nobody */
        assert_int_equal(schedule_pick(pool, 0, &v6), 4);
        pool->backends[0].health = HEALTH_DOWN;
        assert_int_equal(pick(pool, 1), POOL_NONE);
        const struct schedule_key v4 = {.client = support_addr_v4(1)};
        assert_int_equal(schedule_pick_stateless(pool, 0, &v4), POOL_NONE);
        assert_int_equal(schedule_pick(pool, 0, &v6), 4);
        pool_destroy(pool);
    }
}

/* After a backend that does not answer comes the next by source-hash, and each of the others before it comes
 * again. */
static void test_the_next_after_one(void **state)
{
    struct pool *pool = pool_of(CONFIG_SCHEDULE_LEAST_CLIENTS);

    (void)state;
    pool->backends[1].clients = 1000; /* matters to no hash */
    for (uint32_t i = 0; i < 500; i++) {
        const struct schedule_key key = {.client = support_addr_v4(i), .part = i % 3};
        uint16_t at = schedule_pick_stateless(pool, 0, &key);
        bool seen[BACKENDS_V4] = {false};
        for (int n = 0; n < BACKENDS_V4; n++) {
            assert_in_range(at, 0, BACKENDS_V4 - 1);
            assert_false(seen[at]);
            seen[at] = true;
            /* What it leads to is what the hash would choose without those that came before. */
            pool->backends[at].health = HEALTH_DOWN;
            const uint16_t rest = schedule_pick_stateless(pool, 0, &key);
            pool->backends[at].health = HEALTH_UP;
            const uint16_t next = schedule_pick_after(pool, 0, &key, at);
            if (n == 0)
                assert_int_equal(next, rest);
            at = next;
        }
        assert_int_equal(at, schedule_pick_stateless(pool, 0, &key)); /* round and round */
    }
    pool_destroy(pool);
}

/* Only those that may be chosen come; the one that is left need not be one of them. */
static void test_who_is_next(void **state)
{
    const struct schedule_key key = {.client = support_addr_v4(7)},
                              v6 = {.client = support_addr("2001:db8:1::1")};
    struct pool *pool = pool_of(CONFIG_SCHEDULE_BOUNDED_HASH);

    (void)state;
    pool->backends[2].state = CONFIG_STATE_DRAIN;
    pool->backends[3].passive.avoided = true;
    assert_int_equal(schedule_pick_after(pool, 0, &key, 0), 1);
    assert_int_equal(schedule_pick_after(pool, 0, &key, 1), 0);
    for (uint16_t left = 2; left < 4; left++)
        assert_in_range(schedule_pick_after(pool, 0, &key, left), 0, 1);
    pool->backends[0].health = HEALTH_UNKNOWN;
    assert_int_equal(schedule_pick_after(pool, 0, &key, 1), POOL_NONE); /* itself is the only fit one */
    pool->backends[1].passive.avoided = true;
    assert_int_equal(schedule_pick_after(pool, 0, &key, 1), 0);
    assert_int_equal(schedule_pick_after(pool, 0, &v6, 4), POOL_NONE);
    for (int b = 0; b < BACKENDS_V4; b++)
        pool->backends[b].health = HEALTH_DOWN;
    assert_int_equal(schedule_pick_after(pool, 0, &key, 1), POOL_NONE);
    pool_destroy(pool);
}

/* The parts of one address are spread as clients are, by weight; without a part it is the address alone. */
static void test_parts_are_spread(void **state)
{
    static const uint32_t permille[BACKENDS_V4] = {200, 400, 100, 300};

    (void)state;
    for (enum config_schedule s = CONFIG_SCHEDULE_BOUNDED_HASH; s <= CONFIG_SCHEDULE_SOURCE_HASH; s++) {
        struct pool *pool = pool_of(s);
        struct schedule_key key = {.client = support_addr("192.0.2.1")};
        for (key.part = 1; key.part <= CLIENTS; key.part++) {
            const uint16_t chosen = schedule_pick(pool, 0, &key);
            assert_in_range(chosen, 0, BACKENDS_V4 - 1);
            pool->backends[chosen].clients++;
        }
        for (int b = 0; b < BACKENDS_V4; b++) {
            const uint32_t share = CLIENTS / 1000 * permille[b];
            assert_in_range(pool->backends[b].clients, share - share / 20, share + share / 20);
        }
        pool_destroy(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_golden_choices),
        cmocka_unit_test(test_two_nodes_choose_alike),
        cmocka_unit_test(test_minimal_movement),
        cmocka_unit_test(test_the_bound_holds),
        cmocka_unit_test(test_the_bound_knows_only_candidates),
        cmocka_unit_test(test_round_robin_is_smooth),
        cmocka_unit_test(test_least_clients),
        cmocka_unit_test(test_who_is_chosen),
        cmocka_unit_test(test_the_next_after_one),
        cmocka_unit_test(test_who_is_next),
        cmocka_unit_test(test_parts_are_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
