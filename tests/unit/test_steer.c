#include "tests/unit/unit.h"

#include "lb/schedule.h"
#include "lb/steer.h"
#include "tests/unit/support.h"

static const struct support_service service = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .schedule = CONFIG_SCHEDULE_ROUND_ROBIN, /* so that a second choice shows */
    .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                 {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED},
                 {"c", "10.1.0.3", 0, CONFIG_STATE_ENABLED}},
};

static struct endpoint client_of(uint32_t client)
{
    return (struct endpoint){.addr = support_addr_v4(client), .port = 500};
}

/* A message that opens an IKE SA, or one of an SA that is not known. */
static struct steer_choice ask(struct support_net *net, uint32_t client, bool is_init, bool may_pin)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    const struct ike_datagram datagram =
        support_datagram(is_init ? SUPPORT_INIT : SUPPORT_INFORMATIONAL, IKE_PORT_500, data);
    const struct steer_request request = {
        .client = client_of(client),
        .datagram = &datagram,
        .flow = FLOW_NONE,
        .session = SESSION_NONE,
        .may_pin = may_pin,
    };

    return steer(&net->dp.bindings, &request, net->now_ms);
}

static uint16_t stateless(struct support_net *net, uint32_t client)
{
    const struct schedule_key key = {.client = support_addr_v4(client)};

    return schedule_pick_stateless(net->pool, 0, &key);
}

static void test_a_new_client_is_pinned(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, &service, 1, 64);
    for (uint32_t i = 0; i < 6; i++) {
        const struct steer_choice c = ask(&net, i, true, true);
        assert_int_equal(c.backend, i % 3); /* the schedule's choice */
        assert_int_equal(pins_get(net.dp.bindings.pins, c.pin)->backend, c.backend);
        assert_false(pins_get(net.dp.bindings.pins, c.pin)->flags & PIN_CONFIRMED);
        for (int again = 0; again < 4; again++) { /* and whatever comes next follows it */
            const struct steer_choice next = ask(&net, i, again & 1, again & 2);
            assert_int_equal(next.backend, c.backend);
            assert_int_equal(next.pin, c.pin);
        }
    }
    support_net_deinit(&net);
}

struct held_case {
    enum config_state state;
    enum health_state health;
    bool is_init;
    bool moves;
};

static const struct held_case held_cases[] = {
    {CONFIG_STATE_ENABLED, HEALTH_UP, true, false},   {CONFIG_STATE_ENABLED, HEALTH_UNKNOWN, true, false},
    {CONFIG_STATE_ENABLED, HEALTH_DOWN, true, true},  {CONFIG_STATE_ENABLED, HEALTH_DOWN, false, false},
    {CONFIG_STATE_DRAIN, HEALTH_UP, true, false}, /* drain keeps its clients */
    {CONFIG_STATE_DRAIN, HEALTH_DOWN, true, true},    {CONFIG_STATE_DISABLED, HEALTH_UP, true, true},
    {CONFIG_STATE_DISABLED, HEALTH_UP, false, false},
};

static void test_when_a_pin_moves(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof held_cases / sizeof held_cases[0]; i++) {
        const struct held_case *t = &held_cases[i];
        struct support_net net;
        support_net_init(&net, &service, 1, 64);
        const struct steer_choice before = ask(&net, 1, true, true);
        net.pool->backends[before.backend].state = t->state;
        net.pool->backends[before.backend].health = t->health;
        const struct steer_choice after = ask(&net, 1, t->is_init, true);
        assert_int_equal(after.pin, before.pin);
        assert_int_equal(after.backend != before.backend, t->moves);
        assert_int_equal(pins_get(net.dp.bindings.pins, after.pin)->backend, after.backend);
        assert_int_equal(net.pool->backends[after.backend].clients, 1);
        support_net_deinit(&net);
    }
}

static void test_no_backend(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, &service, 1, 64);
    const struct steer_choice held = ask(&net, 1, true, true);
    for (int i = 0; i < 3; i++)
        net.pool->backends[i].health = HEALTH_DOWN;
    assert_int_equal(ask(&net, 2, true, true).backend, POOL_NONE);
    assert_int_equal(ask(&net, 2, false, false).backend, POOL_NONE);
    assert_int_equal(pins_count(net.dp.bindings.pins), 1); /* nothing was pinned to nobody */
    assert_int_equal(ask(&net, 1, true, true).backend, POOL_NONE);
    assert_int_equal(ask(&net, 1, false, true).backend, held.backend);
    assert_int_equal(pins_get(net.dp.bindings.pins, held.pin)->backend, held.backend);
    support_net_deinit(&net);
}

static void test_a_keepalive_leaves_no_trace(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, &service, 1, 64);
    for (uint32_t i = 0; i < 20; i++) {
        const struct steer_choice c = ask(&net, i, false, false);
        assert_int_equal(c.pin, PIN_NONE);
        assert_int_equal(c.backend, stateless(&net, i));
    }
    assert_int_equal(pins_count(net.dp.bindings.pins), 0);
    assert_int_equal(ask(&net, 1, true, true).backend, 0); /* round robin has not moved */
    support_net_deinit(&net);
}

static void test_without_room_by_source_hash(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, &service, 1, 16); /* 4 unconfirmed */
    for (uint32_t i = 0; i < 4; i++)
        assert_int_not_equal(ask(&net, i, true, true).pin, PIN_NONE);
    for (uint32_t i = 4; i < 40; i++) {
        const struct steer_choice c = ask(&net, i, true, true);
        assert_int_equal(c.pin, PIN_NONE);
        assert_int_equal(c.backend, stateless(&net, i));
    }
    assert_int_not_equal(ask(&net, 2, false, true).pin, PIN_NONE); /* who is pinned stays so */
    support_net_deinit(&net);
}

/*
 * A handshake that began without a pin goes on where it began when room appears before its IKE_AUTH: what
 * opens nothing belongs to something that was forwarded by source-hash, or by nobody we know.
 */
static void test_room_in_the_middle_of_a_handshake(void **state)
{
    (void)state;
    for (uint32_t client = 100; client < 120; client++) {
        struct support_net net;
        support_net_init(&net, &service, 1, 16);
        for (uint32_t i = 0; i < 4; i++)
            ask(&net, i, true, true);
        const uint16_t began_at = ask(&net, client, true, true).backend;
        const struct endpoint from = client_of(client);
        bindings_make_room(&net.dp.bindings, 0, &from, PIN_NONE, 0);
        const struct steer_choice c = ask(&net, client, false, true);
        assert_int_equal(c.backend, began_at);
        assert_int_not_equal(c.pin, PIN_NONE);
        support_net_deinit(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_client_is_pinned),
        cmocka_unit_test(test_when_a_pin_moves),
        cmocka_unit_test(test_no_backend),
        cmocka_unit_test(test_a_keepalive_leaves_no_trace),
        cmocka_unit_test(test_without_room_by_source_hash),
        cmocka_unit_test(test_room_in_the_middle_of_a_handshake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
