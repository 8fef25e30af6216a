#include "tests/unit/unit.h"

#include "lb/ports.h"
#include "lb/room.h"
#include "tests/unit/three_services.h"

/* Random life: everything that may happen to bindings, and after each hundred steps the books must agree. */
struct random_life {
    struct pool *pool;
    struct bindings b;
    uint64_t random;
    uint64_t now_ms;
};

static void step_add(struct random_life *life)
{
    struct bindings *b = &life->b;
    const uint16_t backend = (uint16_t)support_random_below(&life->random, 5);
    struct binding_request request = {
        .session = SESSION_NONE,
        .client = {.addr = support_addr_v4(support_random_below(&life->random, 60)),
                   .port = (uint16_t)(1 + support_random_below(&life->random, 3))},
        .service = b->pool->backends[backend].service,
        .port = support_random_below(&life->random, 2) ? IKE_PORT_4500 : IKE_PORT_500,
    };
    const struct flow_in_key key = {
        .client = request.client.addr,
        .client_port = request.client.port,
        .listener = (uint16_t)(request.service * IKE_PORT_COUNT + request.port),
    };
    enum drop_reason reason;
    uint32_t flow;

    const struct pin_key pin_key = bindings_pin_key(b, request.service, &request.client);
    request.pin = pins_find(b->pins, &pin_key);
    if (request.pin == PIN_NONE &&
        bindings_add_pin(b, &request.client, backend, false, life->now_ms, &request.pin))
        return;
    request.backend = pins_get(b->pins, request.pin)->backend;
    request.confirmed =
        pins_get(b->pins, request.pin)->flags & PIN_CONFIRMED && support_random_below(&life->random, 2);
    if (flows_find_in(b->flows, &key) == FLOW_NONE)
        (void)bindings_add_flow(b, &request, life->now_ms, &flow, &reason);
}

static uint32_t any_flow(struct random_life *life)
{
    const uint32_t capacity = flows_capacity(life->b.flows);
    uint32_t cursor = support_random_below(&life->random, capacity), budget = capacity;

    return flows_next(life->b.flows, &cursor, &budget);
}

static uint32_t any_pin(struct random_life *life)
{
    const uint32_t capacity = pins_capacity(life->b.pins);
    uint32_t cursor = support_random_below(&life->random, capacity), budget = capacity;

    return pins_next(life->b.pins, &cursor, &budget);
}

static uint16_t any_backend(struct random_life *life, uint16_t service)
{
    const struct pool *pool = life->b.pool;
    uint16_t chosen = POOL_NONE;
    uint32_t seen = 0;

    for (uint16_t i = pool->services[service].first_backend; i != POOL_NONE; i = pool->backends[i].next)
        if (support_random_below(&life->random, ++seen) == 0)
            chosen = i;
    return chosen;
}

static void step_life(struct random_life *life)
{
    struct bindings *b = &life->b;
    const uint32_t what = support_random_below(&life->random, 100);
    const uint32_t flow = any_flow(life), pin = any_pin(life);

    life->now_ms += support_random_below(&life->random, 100) ? support_random_below(&life->random, 40) : 5000;
    if (what < 60) {
        step_add(life);
    } else if (what < 75 && flow != FLOW_NONE) {
        bindings_confirm(b, flow, life->now_ms);
    } else if (what < 80 && flow != FLOW_NONE) {
        bindings_remove_flow(b, flow);
    } else if (what < 84 && pin != PIN_NONE) {
        bindings_move_pin(b, pin, any_backend(life, pins_get(b->pins, pin)->service));
    } else if (what < 86) {
        const struct endpoint client = {.addr = support_addr_v4(support_random_below(&life->random, 60))};
        room_make(b, (uint16_t)support_random_below(&life->random, 3), &client, PIN_NONE, 0);
    } else {
        bindings_sweep(b, life->now_ms, support_random_below(&life->random, 20));
    }
}

/* When all flows are gone each port can be taken once more: none has leaked. */
static void check_no_port_leaked(struct bindings *b)
{
    uint16_t port;

    for (uint16_t source = 0; source < snat_count(b->snat); source++)
        for (uint16_t server = 0; server < b->pool->server_count; server++)
            for (uint16_t at = 0; at < 2; at++)
                for (uint32_t n = 0; n < PORTS_COUNT; n++)
                    assert_int_equal(snat_take(b->snat, source, server, at, &port), 0);
}

static void test_random(void **state)
{
    struct random_life life = {.random = support_seed(), .now_ms = UINT64_C(0xffff0000)};
    const struct addr own = support_addr("10.1.0.9");

    (void)state;
    life.pool = support_pool(services, 3);
    assert_int_equal(bindings_init(&life.b, life.pool, 64, 99), 0);
    life.pool->backends[SOLO].source = snat_add(life.b.snat, &own);
    for (int step = 1; step <= 300000; step++) {
        step_life(&life);
        if (step % 100 == 0)
            support_check_bindings(&life.b);
    }
    for (int i = 0; i < 1000; i++)
        bindings_sweep(&life.b, life.now_ms + 60000, 64);
    assert_int_equal(flows_count(life.b.flows), 0);
    assert_int_equal(pins_count(life.b.pins), 0);
    check_no_port_leaked(&life.b);
    support_check_bindings(&life.b);
    bindings_deinit(&life.b);
    pool_destroy(life.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
