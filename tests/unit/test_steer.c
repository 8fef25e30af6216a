#include "tests/unit/unit.h"

#include "lb/room.h"
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

#define REST_MS (3600000 / STEER_REST_PART) /* of the service's idle timeout, one hour */

struct rest_case {
    uint32_t half_open_timeout_ms; /* 0: the usual 30 s */
    bool has_flow;
    bool is_removed; /* instead of told to drain */
    bool is_init;
    uint64_t quiet_ms;
    bool moves;
};

/* A client at a draining backend goes elsewhere only with a new handshake, after a rest. */
static const struct rest_case rest_cases[] = {
    {0, true, false, true, REST_MS - 1, false},
    {0, true, false, true, REST_MS, true},
    {0, true, false, false, REST_MS, false},
    {0, false, false, true, REST_MS - 1, false},
    {0, false, false, true, REST_MS, true},
    {0, true, true, true, REST_MS - 1, false},
    {0, true, true, true, REST_MS, true},
    {REST_MS + 5000, true, false, true, REST_MS + 4999, false},
    {REST_MS + 5000, true, false, true, REST_MS + 5000, true},
    {REST_MS + 5000, false, false, true, REST_MS + 4999, false},
    {REST_MS + 5000, false, false, true, REST_MS + 5000, true},
};

static void test_who_rests_leaves_a_drain(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rest_cases / sizeof rest_cases[0]; i++) {
        const struct rest_case *t = &rest_cases[i];
        struct support_service own = service;
        struct support_net net;
        own.half_open_timeout_ms = t->half_open_timeout_ms;
        support_net_init(&net, &own, 1, 64);
        const struct steer_choice before = ask(&net, 1, true, true);
        if (t->has_flow)
            support_add_flow(&net.dp.bindings, client_of(1), IKE_PORT_500, before.backend, net.now_ms);
        struct backend *backend = &net.pool->backends[before.backend];
        backend->removed = t->is_removed;
        backend->state = t->is_removed ? CONFIG_STATE_ENABLED : CONFIG_STATE_DRAIN;
        net.now_ms += t->quiet_ms;
        const struct steer_choice after = ask(&net, 1, t->is_init, true);
        assert_int_equal(after.pin, before.pin);
        assert_int_equal(after.backend != before.backend, t->moves);
        support_net_deinit(&net);
    }
}

/* One of the two latest flows that is not quiet is enough to stay; so is it if there is nowhere to go. */
static void test_who_does_not_rest_stays(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, &service, 1, 64);
    struct bindings *b = &net.dp.bindings;
    const struct steer_choice held = ask(&net, 1, true, true);
    support_add_flow(b, client_of(1), IKE_PORT_500, held.backend, net.now_ms);
    const uint32_t natt = support_add_flow(b, client_of(1), IKE_PORT_4500, held.backend, net.now_ms);
    net.pool->backends[held.backend].state = CONFIG_STATE_DRAIN;
    net.now_ms += REST_MS;
    flows_get(b->flows, natt)->seen_ms = (uint32_t)net.now_ms - REST_MS + 1;
    assert_int_equal(ask(&net, 1, true, true).backend, held.backend);
    net.now_ms++;
    for (int i = 0; i < 3; i++)
        net.pool->backends[i].state = CONFIG_STATE_DRAIN;
    assert_int_equal(ask(&net, 1, true, true).backend, held.backend); /* all drain */
    net.pool->backends[(held.backend + 1) % 3].state = CONFIG_STATE_ENABLED;
    assert_int_equal(ask(&net, 1, true, true).backend, (held.backend + 1) % 3);
    support_net_deinit(&net);
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
        room_make(&net.dp.bindings, 0, &from, PIN_NONE, 0);
        const struct steer_choice c = ask(&net, client, false, true);
        assert_int_equal(c.backend, began_at);
        assert_int_not_equal(c.pin, PIN_NONE);
        support_net_deinit(&net);
    }
}

/* A session of client 1 at backend 1, and a message of it. */
struct roaming {
    struct support_net net;
    uint8_t data[SUPPORT_MESSAGE_MAX];
    struct ike_datagram datagram;
    uint32_t session;
};

static void begin_roaming(struct roaming *r, uint32_t max_clients)
{
    struct story story = story_begin(0, 1, 500, 0);
    const struct endpoint home = client_of(1);
    uint32_t pin;

    support_net_init(&r->net, &service, 1, max_clients);
    r->datagram = support_datagram(SUPPORT_INFORMATIONAL, IKE_PORT_500, r->data);
    story.spi_i = r->datagram.header.spi_i;
    story.spi_r = r->datagram.header.spi_r;
    assert_int_equal(bindings_add_pin(&r->net.dp.bindings, &home, 1, true, 0, &pin), 0);
    r->session = tracking_begin(&r->net.dp.bindings.tracking, pin, &story, true, 0);
    assert_int_not_equal(r->session, SESSION_NONE);
}

static struct steer_choice roam_to(struct roaming *r, struct endpoint place)
{
    const struct steer_request request = {
        .client = place,
        .datagram = &r->datagram,
        .flow = FLOW_NONE,
        .session = steer_session(&r->net.dp.bindings, 0, &r->datagram),
        .may_pin = true,
    };

    return steer(&r->net.dp.bindings, &request, r->net.now_ms);
}

static void assert_roams(struct roaming *r, uint32_t client, bool pinned)
{
    const struct steer_choice c = roam_to(r, client_of(client));

    assert_int_equal(c.rule, STEER_SESSION);
    assert_int_equal(c.backend, 1);
    assert_true(c.moved);
    assert_int_equal(c.pin != PIN_NONE, pinned);
    if (pinned)
        assert_false(pins_get(r->net.dp.bindings.pins, c.pin)->flags & PIN_CONFIRMED);
}

/* Whoever repeats a message from many addresses gets few pins for it, and the session stays where it is. */
static void test_roamers_over_their_limit(void **state)
{
    struct roaming r;

    (void)state;
    begin_roaming(&r, 64);
    struct bindings *b = &r.net.dp.bindings;
    const uint32_t home = sessions_get(b->tracking.sessions, r.session)->pin;
    for (uint32_t i = 0; i < 20; i++)
        assert_roams(&r, 100 + i, i < SESSION_MOVES_MAX);
    assert_int_equal(pins_count(b->pins), 1 + SESSION_MOVES_MAX);
    assert_int_equal(sessions_get(b->tracking.sessions, r.session)->pin, home);
    r.net.now_ms += SESSION_MOVE_REGAIN_MS;
    for (uint32_t i = 0; i < 3; i++)
        assert_roams(&r, 200 + i, i < 1);
    support_net_deinit(&r.net);
}

/* The same from many ports of its own address, whose pin it has: then there is none for this packet. */
static void test_rebinding_over_the_limit(void **state)
{
    struct roaming r;

    (void)state;
    begin_roaming(&r, 64);
    const uint32_t home = sessions_get(r.net.dp.bindings.tracking.sessions, r.session)->pin;
    for (uint16_t i = 0; i < 10; i++) {
        const struct endpoint place = {.addr = support_addr_v4(1), .port = (uint16_t)(1000 + i)};
        const struct steer_choice c = roam_to(&r, place);
        assert_int_equal(c.rule, STEER_SESSION);
        assert_int_equal(c.backend, 1);
        assert_true(c.moved);
        assert_int_equal(c.pin, i < SESSION_MOVES_MAX ? home : PIN_NONE);
    }
    support_net_deinit(&r.net);
}

static void test_a_roamer_without_room(void **state)
{
    struct roaming r;

    (void)state;
    begin_roaming(&r, 16); /* 4 unconfirmed */
    for (uint32_t i = 10; i < 14; i++)
        ask(&r.net, i, true, true);
    assert_false(pins_has_room(r.net.dp.bindings.pins));
    assert_roams(&r, 100, false);
    support_net_deinit(&r.net);
}

/* SPIs name a session only together, and only at its service. */
static void test_what_names_a_session(void **state)
{
    struct roaming r;
    uint8_t data[SUPPORT_MESSAGE_MAX];

    (void)state;
    begin_roaming(&r, 64);
    const struct bindings *b = &r.net.dp.bindings;
    assert_int_equal(steer_session(b, 0, &r.datagram), r.session);
    assert_int_equal(steer_session(b, 1, &r.datagram), SESSION_NONE);
    struct ike_datagram d = r.datagram;
    d.header.spi_r.bytes[0] ^= 1;
    assert_int_equal(steer_session(b, 0, &d), SESSION_NONE);
    d = r.datagram;
    d.header.spi_i.bytes[7] ^= 1;
    assert_int_equal(steer_session(b, 0, &d), SESSION_NONE);
    d = r.datagram;
    d.header.spi_r = (struct ike_spi){{0}};
    assert_int_equal(steer_session(b, 0, &d), SESSION_NONE);
    d = support_datagram(SUPPORT_ESP, IKE_PORT_4500, data);
    d.header = r.datagram.header;
    assert_int_equal(steer_session(b, 0, &d), SESSION_NONE);
    support_net_deinit(&r.net);
}

/* A message with the SPIs of a handshake elsewhere, as from the address of a tunnel, does not turn that
 * handshake away from its backend. */
static void test_no_conflict_from_elsewhere(void **state)
{
    struct roaming r;
    struct binding_request request = {.session = SESSION_NONE, .client = client_of(7), .backend = 0};
    enum drop_reason reason;
    uint32_t flow;

    (void)state;
    begin_roaming(&r, 64);
    struct bindings *b = &r.net.dp.bindings;
    const uint32_t home = sessions_get(b->tracking.sessions, r.session)->pin;
    const struct story story = story_begin(0, 1, 500, r.net.now_ms);
    const uint32_t handshake = tracking_begin(&b->tracking, home, &story, false, r.net.now_ms);
    assert_int_equal(bindings_add_pin(b, &request.client, 0, true, r.net.now_ms, &request.pin), 0);
    assert_int_equal(bindings_add_flow(b, &request, r.net.now_ms, &flow, &reason), 0);
    bindings_confirm(b, flow, r.net.now_ms);
    const struct steer_request asked = {.client = request.client,
                                        .datagram = &r.datagram,
                                        .flow = flow,
                                        .session = handshake,
                                        .may_pin = true};
    assert_int_equal(steer(b, &asked, r.net.now_ms).rule, STEER_CONFLICT);
    assert_int_equal(pins_get(b->pins, home)->backend, 1);
    support_net_deinit(&r.net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_client_is_pinned),
        cmocka_unit_test(test_when_a_pin_moves),
        cmocka_unit_test(test_who_rests_leaves_a_drain),
        cmocka_unit_test(test_who_does_not_rest_stays),
        cmocka_unit_test(test_no_backend),
        cmocka_unit_test(test_a_keepalive_leaves_no_trace),
        cmocka_unit_test(test_without_room_by_source_hash),
        cmocka_unit_test(test_room_in_the_middle_of_a_handshake),
        cmocka_unit_test(test_roamers_over_their_limit),
        cmocka_unit_test(test_rebinding_over_the_limit),
        cmocka_unit_test(test_a_roamer_without_room),
        cmocka_unit_test(test_what_names_a_session),
        cmocka_unit_test(test_no_conflict_from_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
