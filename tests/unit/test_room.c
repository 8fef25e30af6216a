#include "tests/unit/unit.h"

#include "lb/room.h"
#include "tests/unit/support.h"

enum { VPN, FULL };     /* services: transparent; full NAT */
enum { ONE, TWO, UNO }; /* backends */

static const struct support_service services[] = {
    {.name = "vpn",
     .vips = {"203.0.113.10"},
     .backends = {{"one", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                  {"two", "10.1.0.2", 0, CONFIG_STATE_ENABLED}}},
    {.name = "full",
     .vips = {"203.0.113.11"},
     .mode = CONFIG_MODE_FULL_NAT,
     .snats = {"10.1.0.100"},
     .backends = {{"uno", "10.1.0.1", 0, CONFIG_STATE_ENABLED}}},
};

static uint32_t add(struct support_net *net, uint32_t client, uint16_t port, enum ike_port at,
                    uint16_t backend, uint64_t now_ms)
{
    const struct endpoint from = {.addr = support_addr_v4(client), .port = port};

    return support_add_flow(&net->dp.bindings, from, at, backend, now_ms);
}

/* Still in the table, at this very index? */
static bool is_live(struct support_net *net, uint32_t flow)
{
    const struct flow_out_key key = flow_out_key(flows_get(net->dp.bindings.flows, flow));

    return flows_find_out(net->dp.bindings.flows, &key) == flow;
}

/* The client has sent the SPI of its server's answer, so it is there. */
static void go_on(struct support_net *net, uint32_t flow)
{
    struct bindings *b = &net->dp.bindings;

    pins_get(b->pins, flows_get(b->flows, flow)->pin)->flags |= PIN_RECEIVES;
}

static void test_make_room(void **state)
{
    struct support_net net;
    uint32_t pin;

    (void)state;
    support_net_init(&net, services, 2, 16); /* 4 unconfirmed pins, 8 unconfirmed flows */
    struct bindings *b = &net.dp.bindings;
    const struct endpoint other = {.addr = support_addr_v4(99)}, known = {.addr = support_addr_v4(2)};
    const struct pin_key known_key = bindings_pin_key(b, VPN, &known);
    const uint32_t kept = add(&net, 1, 500, IKE_PORT_500, ONE, 10);
    bindings_confirm(b, kept, 10);
    const uint32_t odd = add(&net, 1, 501, IKE_PORT_500, ONE, 20); /* unconfirmed; its pin is not */
    add(&net, 2, 500, IKE_PORT_500, TWO, 30);
    add(&net, 2, 4500, IKE_PORT_4500, TWO, 30);
    const struct endpoint lonely = {.addr = support_addr_v4(3)};
    assert_int_equal(bindings_add_pin(b, &lonely, ONE, false, 40, &pin), 0);
    room_make(b, VPN, &other, PIN_NONE, 0);
    assert_int_equal(pins_count(b->pins), 3); /* there was room */

    add(&net, 4, 500, IKE_PORT_500, TWO, 50);
    add(&net, 5, 500, IKE_PORT_500, TWO, 50);
    room_make(b, VPN, &known, PIN_NONE, 0); /* it has its pin, and there is room for a flow */
    assert_int_equal(pins_count(b->pins), 5);
    room_make(b, VPN, &other, PIN_NONE, 0);
    assert_int_equal(pins_find(b->pins, &known_key), PIN_NONE); /* the oldest pin, with both its flows */
    assert_int_equal(pins_count(b->pins), 4);
    assert_int_equal(flows_count(b->flows), 4);
    assert_true(is_live(&net, odd));

    for (uint16_t port = 1000; port < 1005; port++)
        add(&net, 1, port, IKE_PORT_500, ONE, 60);
    assert_false(flows_has_room(b->flows, false));
    room_make(b, VPN, &known, PIN_NONE, 0); /* now the flow, the oldest of all */
    assert_true(flows_has_room(b->flows, false));
    assert_false(is_live(&net, odd));
    assert_true(is_live(&net, kept));
    support_net_deinit(&net);
}

/* Neither the pin that the new flow is for nor the client's own one ends, whatever their age. */
static void test_some_pins_are_kept(void **state)
{
    const struct endpoint own = {.addr = support_addr_v4(1)}, other = {.addr = support_addr_v4(99)};
    struct support_net net;
    uint32_t flow[4];

    (void)state;
    support_net_init(&net, services, 2, 16); /* 4 unconfirmed pins, 8 unconfirmed flows */
    struct bindings *b = &net.dp.bindings;
    for (uint16_t i = 0; i < 4; i++)
        flow[i] = add(&net, i + 1U, 500, IKE_PORT_500, ONE, i);
    const uint32_t pin[] = {flows_get(b->flows, flow[0])->pin, flows_get(b->flows, flow[1])->pin};
    room_make(b, VPN, &other, pin[0], 10);
    assert_false(pins_has_room(b->pins)); /* no younger pin ends in its place */
    for (uint16_t port = 1000; port < 1004; port++)
        add(&net, 4, port, IKE_PORT_500, ONE, 10);
    room_make(b, VPN, &own, pin[1], 10);
    add(&net, 4, 1004, IKE_PORT_500, ONE, 10);
    room_make(b, VPN, &own, pin[1], 10);
    assert_int_equal(pins_count(b->pins), 4);
    assert_int_equal(pins_get(b->pins, pin[0])->flow_count + pins_get(b->pins, pin[1])->flow_count, 0);
    support_net_deinit(&net);
}

/* Handshakes under way are spared while there are others, and give way in turn where there are none. */
static void test_handshakes_are_spared(void **state)
{
    const struct endpoint other = {.addr = support_addr_v4(99)};
    struct support_net net;
    uint32_t flow[4];

    (void)state;
    support_net_init(&net, services, 2, 16); /* 4 unconfirmed pins, 8 unconfirmed flows */
    struct bindings *b = &net.dp.bindings;
    for (uint16_t i = 0; i < 4; i++)
        flow[i] = add(&net, i + 1U, 500, IKE_PORT_500, ONE, i);
    for (int i = 0; i < 3; i++)
        go_on(&net, flow[i]);
    room_make(b, FULL, &other, PIN_NONE, 10);
    assert_false(is_live(&net, flow[3])); /* the youngest, but the only one that may be forged */
    assert_int_equal(pins_count(b->pins), 3);

    flow[3] = add(&net, 4, 500, IKE_PORT_500, ONE, 20);
    go_on(&net, flow[3]);
    room_make(b, FULL, &other, PIN_NONE, 30);
    assert_int_equal(pins_count(b->pins), 3); /* nobody is refused a place for them */
    assert_true(pins_has_room(b->pins));
    support_net_deinit(&net);
}

/* The same for flows, and for the ports of full NAT. */
static void test_flows_are_spared(void **state)
{
    const struct endpoint known = {.addr = support_addr_v4(2)};
    const struct binding_request request = {.service = FULL, .port = IKE_PORT_500, .backend = UNO};
    struct support_net net;

    (void)state;
    support_net_init(&net, services, 2, 16);
    struct bindings *b = &net.dp.bindings;
    const uint32_t spared = add(&net, 1, 500, IKE_PORT_500, UNO, 0);
    go_on(&net, spared);
    const uint32_t second = add(&net, 2, 1000, IKE_PORT_500, UNO, 1);
    const uint32_t third = add(&net, 2, 1001, IKE_PORT_500, UNO, 2);
    for (uint16_t port = 1002; flows_has_room(b->flows, false); port++)
        add(&net, 2, port, IKE_PORT_500, UNO, 3);
    room_make(b, FULL, &known, PIN_NONE, 10);
    assert_true(is_live(&net, spared));
    assert_false(is_live(&net, second));

    assert_true(room_make_port(b, &request, 10));
    assert_true(is_live(&net, spared));
    assert_false(is_live(&net, third));
    while (room_make_port(b, &request, 10))
        ;
    assert_true(is_live(&net, spared)); /* a port is not worth a handshake */
    assert_int_equal(flows_count(b->flows), 1);
    bindings_confirm(b, spared, 11);
    assert_false(room_make_port(b, &request, 12)); /* where all are confirmed nobody gives way */
    support_net_deinit(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_make_room),
        cmocka_unit_test(test_some_pins_are_kept),
        cmocka_unit_test(test_handshakes_are_spared),
        cmocka_unit_test(test_flows_are_spared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
