#include "tests/unit/unit.h"

#include "lb/steer.h"
#include "tests/unit/support.h"

/* Clients behind one address of a NAT, where each is to have a backend of its own. */

static const struct support_service service = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .schedule = CONFIG_SCHEDULE_SOURCE_HASH,
    .spread_nat = true,
    .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                 {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED},
                 {"c", "10.1.0.3", 0, CONFIG_STATE_ENABLED}},
};

/* Asks with a message of that kind and SPIi that comes from a port of one address. */
static struct steer_choice ask_behind_nat(struct support_net *net, enum support_kind kind, uint64_t spi_i,
                                          uint16_t from, enum ike_port port)
{
    const struct support_sa sa = {.spi_i = spi_i};
    uint8_t data[SUPPORT_MESSAGE_MAX];
    struct ike_datagram d = {0};
    const size_t len = support_message(kind, port, sa, data);

    assert_int_not_equal(classify_datagram(data, len, port == IKE_PORT_4500, &d), IKE_CLASS_GARBAGE);
    const struct steer_request request = {
        .port = port,
        .client = {.addr = support_addr_v4(1), .port = from},
        .datagram = &d,
        .flow = FLOW_NONE,
        .session = steer_session(&net->dp.bindings, 0, &d),
        .may_pin = true,
    };
    return steer(&net->dp.bindings, &request, net->now_ms);
}

/* Handshakes from one address go to all backends, each with both its ports to one, and each port has a pin.
 */
static void test_an_address_is_spread(void **state)
{
    uint32_t at[3] = {0};
    struct support_net net;

    (void)state;
    support_net_init(&net, &service, 1, 1000);
    for (uint16_t i = 0; i < 90; i++) {
        const uint16_t on_500 = (uint16_t)(10000 + i), on_4500 = (uint16_t)(20000 + i);
        const struct steer_choice init = ask_behind_nat(&net, SUPPORT_INIT, 1000 + i, on_500, IKE_PORT_500);
        const struct steer_choice auth = ask_behind_nat(&net, SUPPORT_AUTH, 1000 + i, on_4500, IKE_PORT_4500);
        assert_int_equal(init.rule, STEER_SCHEDULE);
        assert_int_equal(auth.rule, STEER_SCHEDULE);
        assert_int_equal(init.backend, auth.backend);
        assert_int_not_equal(init.pin, auth.pin);
        assert_int_equal(pins_get(net.dp.bindings.pins, init.pin)->part, on_500);
        at[init.backend]++;
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(at[i], 15, 45);
    support_net_deinit(&net);
}

/* A NAT that keeps ports gives away what belongs together: 500 and 4500 of one address. */
static void test_kept_ports_are_one_client(void **state)
{
    static const struct {
        uint16_t first, then;
        bool together;
    } kept[] = {{500, 4500, true}, {500, 4501, false}, {501, 4500, false}};

    (void)state;
    for (size_t i = 0; i < 2 * sizeof kept / sizeof kept[0]; i++) {
        const enum ike_port port = i % 2 ? IKE_PORT_4500 : IKE_PORT_500;
        const enum ike_port other = i % 2 ? IKE_PORT_500 : IKE_PORT_4500;
        const uint16_t first = i % 2 ? kept[i / 2].then : kept[i / 2].first;
        const uint16_t then = i % 2 ? kept[i / 2].first : kept[i / 2].then;
        struct support_net net;
        support_net_init(&net, &service, 1, 64);
        const struct steer_choice a = ask_behind_nat(&net, SUPPORT_INIT, 77, first, port);
        const struct binding_request request = {.session = SESSION_NONE,
                                                .client = {.addr = support_addr_v4(1), .port = first},
                                                .port = port,
                                                .backend = a.backend,
                                                .pin = a.pin};
        enum drop_reason reason;
        uint32_t flow;
        assert_int_equal(bindings_add_flow(&net.dp.bindings, &request, net.now_ms, &flow, &reason), 0);
        const struct steer_choice b = ask_behind_nat(&net, SUPPORT_INFORMATIONAL, 88, then, other);
        assert_int_equal(b.pin == a.pin, kept[i / 2].together);
        assert_int_equal(b.rule, kept[i / 2].together ? STEER_PIN : STEER_SCHEDULE);
        support_net_deinit(&net);
    }
}

/*
 * Two tunnels of one client share port 4500, but their handshakes came from ports of their own and went to
 * two backends: the first tunnel keeps its flow, and the second succeeds there with its next handshake.
 */
static void test_a_conflict(void **state)
{
    const struct endpoint shared = {.addr = support_addr_v4(1), .port = 4500};
    const struct endpoint second = {.addr = support_addr_v4(1), .port = 1025};
    struct binding_request request = {
        .session = SESSION_NONE, .client = shared, .port = IKE_PORT_4500, .backend = 0};
    struct story story = story_begin(0, 2, second.port, 1000000);
    struct support_net net;
    uint8_t data[SUPPORT_MESSAGE_MAX];
    const struct ike_datagram d = support_datagram(SUPPORT_AUTH, IKE_PORT_4500, data);
    enum drop_reason reason;
    uint32_t flow, pin;

    (void)state;
    support_net_init(&net, &service, 1, 64);
    struct bindings *b = &net.dp.bindings;
    assert_int_equal(bindings_add_pin(b, &shared, 0, true, net.now_ms, &request.pin), 0);
    assert_int_equal(bindings_add_flow(b, &request, net.now_ms, &flow, &reason), 0);
    bindings_confirm(b, flow, net.now_ms);
    story.spi_i = d.header.spi_i;
    story.spi_r = d.header.spi_r;
    assert_int_equal(bindings_add_pin(b, &second, 2, false, net.now_ms, &pin), 0);
    const uint32_t session = tracking_begin(&b->tracking, pin, &story, false, net.now_ms);
    for (int i = 0; i < 3; i++) { /* the client repeats its IKE_AUTH */
        const struct steer_request asked = {.port = IKE_PORT_4500,
                                            .client = shared,
                                            .datagram = &d,
                                            .flow = flow,
                                            .session = session,
                                            .may_pin = true};
        const struct steer_choice c = steer(b, &asked, net.now_ms);
        assert_int_equal(c.rule, STEER_CONFLICT);
        assert_int_equal(c.backend, 0);
        assert_int_equal(c.pin, request.pin);
        assert_int_equal(net.pool->services[0].conflicts_total, 1);
        assert_true(sessions_get(b->tracking.sessions, session)->story.flags & STORY_CONFLICT);
        assert_int_equal(pins_get(b->pins, pin)->backend, 0);
    }
    assert_int_equal(ask_behind_nat(&net, SUPPORT_INIT, 99, 1025, IKE_PORT_500).backend, 0);

    /* Of a session that is proved the next handshake need not be turned away. */
    sessions_confirm(b->tracking.sessions, session);
    bindings_move_pin(b, pin, 2);
    const struct steer_request asked = {.port = IKE_PORT_4500,
                                        .client = shared,
                                        .datagram = &d,
                                        .flow = flow,
                                        .session = session,
                                        .may_pin = true};
    assert_int_equal(steer(b, &asked, net.now_ms).rule, STEER_CONFLICT);
    assert_int_equal(pins_get(b->pins, pin)->backend, 2);
    support_net_deinit(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_address_is_spread),
        cmocka_unit_test(test_kept_ports_are_one_client),
        cmocka_unit_test(test_a_conflict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
