#include "tests/unit/unit.h"

#include <stdlib.h>

#include "lb/alarms.h"
#include "lb/ports.h"
#include "lb/schedule.h"
#include "tests/unit/support.h"

/* What the dataplane does when something is used up: the unconfirmed share, the tables, the source ports. */

#define MAX_CLIENTS 40 /* of which 10 unconfirmed */
#define FLOOD       1000

static struct support_service service_of(enum config_mode mode, enum config_schedule schedule)
{
    return (struct support_service){
        .name = "vpn",
        .vips = {"203.0.113.10"},
        .mode = mode,
        .schedule = schedule,
        .snats = {mode == CONFIG_MODE_FULL_NAT ? "10.1.0.100" : NULL},
        .idle_timeout_ms = 60000,
        .half_open_timeout_ms = 3000,
        .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                     {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED},
                     {"c", "10.1.0.3", 0, CONFIG_STATE_ENABLED}},
    };
}

static void begin(struct support_net *net, enum config_mode mode, enum config_schedule schedule,
                  uint32_t max_clients)
{
    const struct support_service service = service_of(mode, schedule);

    support_net_init(net, &service, 1, max_clients);
}

static struct endpoint client_of(uint32_t number, uint16_t port)
{
    return (struct endpoint){.addr = support_addr_v4(number), .port = port};
}

static struct verdict init(struct support_net *net, uint32_t client)
{
    return support_from_client(net, 0, client_of(client, 500), IKE_PORT_500, SUPPORT_INIT);
}

/* A whole handshake; fails unless both of its parts reach one backend. */
static uint16_t establish(struct support_net *net, uint32_t client)
{
    struct verdict v = init(net, client);
    const uint16_t backend = v.backend;

    assert_int_equal(support_reply(net, &v, SUPPORT_INIT_ANSWER).action, VERDICT_TO_CLIENT);
    v = support_from_client(net, 0, client_of(client, 4500), IKE_PORT_4500, SUPPORT_AUTH);
    assert_int_equal(v.action, VERDICT_TO_BACKEND);
    assert_int_equal(v.backend, backend);
    const struct verdict answer = support_reply(net, &v, SUPPORT_AUTH_ANSWER);
    assert_int_equal(answer.action, VERDICT_TO_CLIENT);
    assert_true(addr_equal(&answer.src.addr, &net->pool->services[0].vips[0]));
    assert_int_equal(answer.dst.port, 4500);
    return backend;
}

static void assert_established(struct support_net *net, uint32_t client, uint16_t backend)
{
    const struct flow *flow = support_flow(net, 0, client_of(client, 4500), IKE_PORT_4500);

    assert_non_null(flow);
    assert_true(flow->flags & FLOW_CONFIRMED);
    assert_int_equal(flow->backend, backend);
    assert_int_equal(support_pin(net, 0, client_of(client, 0).addr)->backend, backend);
    assert_int_equal(support_from_client(net, 0, client_of(client, 4500), IKE_PORT_4500, SUPPORT_ESP).backend,
                     backend);
}

/* As many as there is room for, one a second, so that the half-open flows of port 500 do not pile up. */
static void fill_with_confirmed(struct support_net *net)
{
    for (uint32_t i = 0; i < MAX_CLIENTS; i++) {
        establish(net, i);
        net->now_ms += 1000;
        dataplane_sweep(&net->dp, net->now_ms, 1000);
    }
    assert_int_equal(pins_count(net->dp.bindings.pins), MAX_CLIENTS);
    assert_int_equal(pins_unconfirmed_count(net->dp.bindings.pins), 0);
}

static bool has_alarm(const struct support_net *net, enum alarm alarm)
{
    return alarms_of(net->pool, &net->pool->services[0], net->now_ms) & 1U << alarm;
}

static void test_a_flood_in_transparent_mode(void **state)
{
    struct support_net net;
    uint16_t backends[3];

    (void)state;
    begin(&net, CONFIG_MODE_TRANSPARENT, CONFIG_SCHEDULE_ROUND_ROBIN, MAX_CLIENTS);
    for (uint32_t i = 0; i < 3; i++)
        backends[i] = establish(&net, i);
    net.now_ms += 3000;
    dataplane_sweep(&net.dp, net.now_ms, 1000);
    for (uint32_t i = 0; i < FLOOD; i++) {
        const struct endpoint from = client_of(1000 + i, 500);
        const struct schedule_key key = {.client = from.addr};
        const struct verdict v = init(&net, 1000 + i);
        assert_int_equal(v.action, VERDICT_TO_BACKEND);
        assert_true(endpoint_equal(&v.src, &from));
        assert_int_equal(has_alarm(&net, ALARM_NO_ROOM), i >= 10);
        if (i >= 10)
            assert_int_equal(v.backend, schedule_pick_stateless(net.pool, 0, &key));
        const struct verdict back = support_reply(&net, &v, SUPPORT_INIT_ANSWER);
        assert_int_equal(back.action, VERDICT_TO_CLIENT);
        assert_true(endpoint_equal(&back.dst, &from));
        assert_true(addr_equal(&back.src.addr, &net.pool->services[0].vips[0]));
        assert_int_equal(back.src.port, 500);
    }
    assert_int_equal(pins_unconfirmed_count(net.dp.bindings.pins), 10);
    assert_int_equal(pins_count(net.dp.bindings.pins), 13);
    for (uint32_t i = 0; i < 3; i++)
        assert_established(&net, i, backends[i]);
    establish(&net, 7); /* an honest client in the middle of it: its server's proof makes its pin */
    assert_established(&net, 7, support_pin(&net, 0, client_of(7, 0).addr)->backend);
    net.now_ms += 3000;
    dataplane_sweep(&net.dp, net.now_ms, 1000);
    assert_int_equal(pins_unconfirmed_count(net.dp.bindings.pins), 0);
    support_net_deinit(&net);
}

static void test_a_flood_in_full_nat(void **state)
{
    struct support_net net;
    uint16_t backends[3];

    (void)state;
    begin(&net, CONFIG_MODE_FULL_NAT, CONFIG_SCHEDULE_ROUND_ROBIN, MAX_CLIENTS);
    for (uint32_t i = 0; i < 3; i++)
        backends[i] = establish(&net, i);
    for (uint32_t i = 0; i < FLOOD; i++) {
        const struct endpoint from = client_of(1000 + i, 500);
        const struct verdict v = init(&net, 1000 + i);
        const struct verdict back = support_reply(&net, &v, SUPPORT_INIT_ANSWER); /* in time: it is served */
        assert_int_equal(back.action, VERDICT_TO_CLIENT);
        assert_true(endpoint_equal(&back.dst, &from));
        if (i >= 20) { /* the oldest had to go, and the one before me did not */
            assert_null(support_flow(&net, 0, client_of(1000 + i - 20, 500), IKE_PORT_500));
            assert_non_null(support_flow(&net, 0, client_of(1000 + i - 1, 500), IKE_PORT_500));
        }
        if (i % 100 == 0)
            support_check_bindings(&net.dp.bindings);
    }
    assert_true(has_alarm(&net, ALARM_NO_ROOM)); /* somebody had to give way */
    for (uint32_t i = 0; i < 3; i++)
        assert_established(&net, i, backends[i]);
    assert_established(&net, 7, establish(&net, 7));
    assert_int_equal(net.dp.drops[DROP_TABLE_FULL], 0);
    support_net_deinit(&net);
}

/* All pins confirmed: full NAT must refuse and says so; transparent mode forwards all the same. */
static void test_max_clients(void **state)
{
    (void)state;
    for (enum config_mode mode = CONFIG_MODE_TRANSPARENT; mode <= CONFIG_MODE_FULL_NAT; mode++) {
        struct support_net net;
        begin(&net, mode, CONFIG_SCHEDULE_LEAST_CLIENTS, MAX_CLIENTS);
        fill_with_confirmed(&net);
        assert_false(has_alarm(&net, ALARM_NO_ROOM));
        for (uint32_t i = MAX_CLIENTS; i < 2 * MAX_CLIENTS; i++) {
            const struct verdict v = init(&net, i);
            assert_int_equal(v.action, mode == CONFIG_MODE_TRANSPARENT ? VERDICT_TO_BACKEND : VERDICT_DROP);
            if (v.action == VERDICT_DROP)
                assert_int_equal(v.reason, DROP_TABLE_FULL);
        }
        assert_int_equal(net.dp.drops[DROP_TABLE_FULL], mode == CONFIG_MODE_TRANSPARENT ? 0 : MAX_CLIENTS);
        assert_true(has_alarm(&net, ALARM_NO_ROOM));
        for (uint32_t i = 0; i < MAX_CLIENTS; i++)
            assert_established(&net, i, support_pin(&net, 0, client_of(i, 0).addr)->backend);
        net.now_ms += 60000; /* nobody says anything for the idle time: there is room again */
        dataplane_sweep(&net.dp, net.now_ms, 1000);
        assert_established(&net, 99, establish(&net, 99));
        support_net_deinit(&net);
    }
}

/* To make room for its second port, a client must not lose its own pin, and with it its backend. */
static void test_a_client_does_not_displace_itself(void **state)
{
    (void)state;
    for (uint32_t client = 1; client < 10; client++) {
        struct support_net net;
        begin(&net, CONFIG_MODE_FULL_NAT, CONFIG_SCHEDULE_ROUND_ROBIN, 4); /* one unconfirmed */
        for (uint32_t i = 0; i < client; i++)
            init(&net, 100 + i);
        establish(&net, client);
        support_net_deinit(&net);
    }
}

/* The same where flows are short, and the oldest is the client's own first one. */
static void test_a_client_does_not_displace_its_pin(void **state)
{
    (void)state;
    for (uint32_t client = 1; client < 10; client++) {
        struct support_net net;
        begin(&net, CONFIG_MODE_FULL_NAT, CONFIG_SCHEDULE_ROUND_ROBIN, 16); /* 8 unconfirmed flows */
        const struct endpoint on_4500 = client_of(client, 4500);
        const uint16_t first = init(&net, client).backend;
        for (uint16_t port = 1000; port < 1007; port++)
            support_from_client(&net, 0, client_of(99, port), IKE_PORT_500, SUPPORT_INIT);
        assert_int_equal(support_from_client(&net, 0, on_4500, IKE_PORT_4500, SUPPORT_AUTH).backend, first);
        support_net_deinit(&net);
    }
}

/*
 * Unconfirmed flows of a confirmed client (somebody uses its address, or its NAT is busy) stand at the head
 * of the age list, but their end makes no room for a pin: new clients must be served nevertheless.
 */
static void test_room_for_pins_behind_flows_of_the_confirmed(void **state)
{
    struct support_net net;

    (void)state;
    begin(&net, CONFIG_MODE_FULL_NAT, CONFIG_SCHEDULE_ROUND_ROBIN, MAX_CLIENTS);
    establish(&net, 1);
    for (uint16_t port = 1000; port < 1008; port++)
        support_from_client(&net, 0, client_of(1, port), IKE_PORT_500, SUPPORT_INIT);
    for (uint32_t i = 0; i < 10; i++)
        init(&net, 100 + i);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(init(&net, 200 + i).action, VERDICT_TO_BACKEND);
    support_net_deinit(&net);
}

/* No flow is ended in vain: when the table is full of confirmed pins, ending others makes no room for one. */
static void test_nothing_is_recycled_in_vain(void **state)
{
    struct support_net net;

    (void)state;
    begin(&net, CONFIG_MODE_FULL_NAT, CONFIG_SCHEDULE_ROUND_ROBIN, MAX_CLIENTS);
    fill_with_confirmed(&net);
    const struct endpoint moved = client_of(1, 20000); /* the NAT of a client has moved its port */
    support_from_client(&net, 0, moved, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
    assert_non_null(support_flow(&net, 0, moved, IKE_PORT_4500));
    for (uint32_t i = 0; i < 10; i++)
        init(&net, 1000 + i);
    assert_non_null(support_flow(&net, 0, moved, IKE_PORT_4500));
    support_net_deinit(&net);
}

/* All ports towards each backend are in use, but those of one. */
static void use_up_ports(struct support_net *net, uint16_t keep)
{
    uint16_t port;

    for (uint16_t server = 0; server < net->pool->server_count; server++) {
        for (uint32_t n = 0; n < PORTS_COUNT; n++)
            assert_int_equal(snat_take(net->dp.bindings.snat, 0, server, IKE_PORT_500, &port), 0);
        if (keep)
            snat_release(net->dp.bindings.snat, 0, server, IKE_PORT_500, keep);
    }
}

static void test_source_ports_run_out(void **state)
{
    struct support_net net;

    (void)state;
    begin(&net, CONFIG_MODE_FULL_NAT, CONFIG_SCHEDULE_ROUND_ROBIN, MAX_CLIENTS);
    use_up_ports(&net, 0);
    const struct verdict refused = init(&net, 1);
    assert_int_equal(refused.action, VERDICT_DROP);
    assert_int_equal(refused.reason, DROP_NO_SNAT_PORT);
    assert_int_equal(net.dp.drops[DROP_NO_SNAT_PORT], 1);
    assert_true(has_alarm(&net, ALARM_NO_SNAT_PORT));
    assert_false(has_alarm(&net, ALARM_NO_ROOM));
    snat_release(net.dp.bindings.snat, 0, net.pool->backends[refused.backend].server, IKE_PORT_500, 2000);
    net.now_ms += ALARM_HOLD_MS;
    assert_false(has_alarm(&net, ALARM_NO_SNAT_PORT));
    support_net_deinit(&net);
}

static void test_a_port_comes_back_with_expiry(void **state)
{
    struct support_net net;

    (void)state;
    begin(&net, CONFIG_MODE_FULL_NAT, CONFIG_SCHEDULE_ROUND_ROBIN, MAX_CLIENTS);
    net.pool->backends[1].health = net.pool->backends[2].health = HEALTH_DOWN;
    use_up_ports(&net, 2000);
    for (uint32_t client = 1; client < 5; client++) {
        const struct verdict v = init(&net, client);
        assert_int_equal(v.action, VERDICT_TO_BACKEND);
        assert_int_equal(v.src.port, 2000);
        support_reply(&net, &v, SUPPORT_AUTH_ANSWER); /* proved: it need not give way */
        assert_int_equal(init(&net, 100).reason, DROP_NO_SNAT_PORT);
        net.now_ms += 60000;
        dataplane_sweep(&net.dp, net.now_ms, 1000);
    }
    support_net_deinit(&net);
}

/* A flood that takes all ports shuts nobody out: the oldest handshake that got nowhere gives its port. */
static void test_an_unconfirmed_port_gives_way(void **state)
{
    struct support_net net;

    (void)state;
    begin(&net, CONFIG_MODE_FULL_NAT, CONFIG_SCHEDULE_ROUND_ROBIN, MAX_CLIENTS);
    use_up_ports(&net, 2000);
    const uint16_t other = init(&net, 1).backend; /* the oldest of all, but at another server */
    for (uint16_t i = 0; i < 3; i++)
        net.pool->backends[i].health = i == (other + 1) % 3 ? HEALTH_UP : HEALTH_DOWN;
    for (uint32_t client = 2; client < 6; client++) {
        assert_int_equal(init(&net, client).src.port, 2000);
        assert_non_null(support_flow(&net, 0, client_of(client, 500), IKE_PORT_500));
        assert_null(
            support_flow(&net, 0, client_of(client - 1, 500), client > 2 ? IKE_PORT_500 : IKE_PORT_4500));
        assert_int_equal(has_alarm(&net, ALARM_NO_SNAT_PORT), client > 2);
        support_check_bindings(&net.dp.bindings);
    }
    assert_non_null(support_flow(&net, 0, client_of(1, 500), IKE_PORT_500));
    assert_int_equal(net.dp.drops[DROP_NO_SNAT_PORT], 0);
    support_net_deinit(&net);
}

/* Thousands of clients at one backend: no two of them look alike to it, and each gets its own replies. */
static void test_full_nat_without_collision(void **state)
{
    struct verdict *verdicts = calloc(65536, sizeof *verdicts); /* by source port */
    struct support_net net;
    uint32_t count = 0;

    (void)state;
    begin(&net, CONFIG_MODE_FULL_NAT, CONFIG_SCHEDULE_SOURCE_HASH, 50000);
    assert_non_null(verdicts);
    for (int b = 1; b < 3; b++)
        net.pool->backends[b].health = HEALTH_DOWN;
    for (uint32_t i = 0; i < 12000; i++) {
        const struct verdict v = init(&net, i);
        assert_int_equal(v.action, VERDICT_TO_BACKEND);
        assert_int_equal(verdicts[v.src.port].action, VERDICT_DROP);
        verdicts[v.src.port] = v;
        count++;
    }
    for (uint32_t port = 0; port < 65536; port++) {
        if (verdicts[port].action == VERDICT_DROP)
            continue;
        const struct verdict back = support_reply(&net, &verdicts[port], SUPPORT_INIT_ANSWER);
        const struct flow *flow = support_flow(&net, 0, back.dst, IKE_PORT_500);
        assert_non_null(flow);
        assert_int_equal(flow->source_port, port);
        count--;
    }
    assert_int_equal(count, 0);
    free(verdicts);
    support_net_deinit(&net);
}

/* Two services at one server, or at the same two. */
static void begin_twins(struct support_net *net, enum config_mode mode, int servers)
{
    struct support_service twins[2] = {service_of(mode, CONFIG_SCHEDULE_ROUND_ROBIN),
                                       service_of(mode, CONFIG_SCHEDULE_ROUND_ROBIN)};

    if (servers == 1)
        twins[0].backends[1].name = twins[1].backends[1].name = NULL;
    twins[1].vips[0] = "203.0.113.11";
    support_net_init(net, twins, 2, MAX_CLIENTS);
}

/* A client that uses two VIPs of one server. */
static void test_two_vips_one_server(void **state)
{
    (void)state;
    for (enum config_mode mode = CONFIG_MODE_TRANSPARENT; mode <= CONFIG_MODE_FULL_NAT; mode++) {
        struct support_net net;
        begin_twins(&net, mode, 1);
        for (uint16_t second_port = 500; second_port <= 501; second_port++) {
            struct verdict v[2], back[2];
            for (uint16_t s = 0; s < 2; s++)
                v[s] = support_from_client(&net, s, client_of(1, s ? second_port : 500), IKE_PORT_500,
                                           SUPPORT_INIT);
            for (uint16_t s = 0; s < 2; s++)
                back[s] = support_reply(&net, &v[s], SUPPORT_INIT_ANSWER);
            assert_int_equal(back[1].service, 1);
            /* The same port in transparent mode is one flow to the server: the latest VIP has it. */
            assert_int_equal(back[0].service, mode == CONFIG_MODE_TRANSPARENT && second_port == 500 ? 1 : 0);
            support_check_bindings(&net.dp.bindings);
            net.now_ms += 3000;
            dataplane_sweep(&net.dp, net.now_ms, 1000);
        }
        support_net_deinit(&net);
    }
}

/* Two transparent services share their servers, and replies to clients without a flow still leave from the
 * right VIP. */
static void test_shared_servers_without_flows(void **state)
{
    struct support_net net;

    (void)state;
    begin_twins(&net, CONFIG_MODE_TRANSPARENT, 2);
    for (uint32_t i = 0; i < 20; i++)
        init(&net, 1000 + i); /* the unconfirmed share is used up */
    for (uint32_t i = 0; i < 40; i++) {
        const uint16_t service = i % 2;
        const struct verdict v =
            support_from_client(&net, service, client_of(i, 500), IKE_PORT_500, SUPPORT_INIT);
        assert_null(support_flow(&net, service, client_of(i, 500), IKE_PORT_500));
        assert_int_equal(support_reply(&net, &v, SUPPORT_INIT_ANSWER).service, service);
    }
    support_net_deinit(&net);
}

/* A tunnel whose client is there keeps its way, whoever sends in its name to the other VIP. */
static void test_shared_server_with_a_living_tunnel(void **state)
{
    const struct endpoint client = client_of(1, 4500);
    struct support_net net;

    (void)state;
    begin_twins(&net, CONFIG_MODE_TRANSPARENT, 1);
    const struct addr server = net.pool->servers[0].addr;
    establish(&net, 1);
    for (int i = 0; i < 5; i++) {
        net.now_ms += 2000; /* half_open_timeout is 3000 */
        support_from_client(&net, 0, client, IKE_PORT_4500, SUPPORT_ESP);
        support_from_client(&net, 1, client, IKE_PORT_4500, SUPPORT_ESP);
        assert_int_equal(support_from_backend(&net, server, client, IKE_PORT_4500, SUPPORT_ESP).service, 0);
    }
    net.now_ms += 3000; /* the client has gone over to the other VIP */
    support_from_client(&net, 1, client, IKE_PORT_4500, SUPPORT_ESP);
    assert_int_equal(support_from_backend(&net, server, client, IKE_PORT_4500, SUPPORT_ESP).service, 1);
    support_net_deinit(&net);
}

/* After a restart the server speaks first: nobody can tell for which service, so nothing is learnt until the
 * client has. */
static void test_shared_servers_after_a_restart(void **state)
{
    const struct endpoint client = client_of(1, 4500);
    struct support_net net;

    (void)state;
    begin_twins(&net, CONFIG_MODE_TRANSPARENT, 1);
    const struct addr server = net.pool->servers[0].addr;
    assert_int_equal(support_from_backend(&net, server, client, IKE_PORT_4500, SUPPORT_ESP).action,
                     VERDICT_TO_CLIENT);
    assert_int_equal(flows_count(net.dp.bindings.flows) + pins_count(net.dp.bindings.pins), 0);
    support_from_client(&net, 1, client, IKE_PORT_4500, SUPPORT_ESP);
    for (int i = 0; i < 3; i++)
        assert_int_equal(support_from_backend(&net, server, client, IKE_PORT_4500, SUPPORT_ESP).service, 1);
    assert_int_equal(flows_count(net.dp.bindings.flows), 1);
    assert_non_null(support_pin(&net, 1, client.addr));
    support_net_deinit(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_flood_in_transparent_mode),
        cmocka_unit_test(test_a_flood_in_full_nat),
        cmocka_unit_test(test_max_clients),
        cmocka_unit_test(test_a_client_does_not_displace_itself),
        cmocka_unit_test(test_a_client_does_not_displace_its_pin),
        cmocka_unit_test(test_room_for_pins_behind_flows_of_the_confirmed),
        cmocka_unit_test(test_nothing_is_recycled_in_vain),
        cmocka_unit_test(test_source_ports_run_out),
        cmocka_unit_test(test_a_port_comes_back_with_expiry),
        cmocka_unit_test(test_an_unconfirmed_port_gives_way),
        cmocka_unit_test(test_full_nat_without_collision),
        cmocka_unit_test(test_two_vips_one_server),
        cmocka_unit_test(test_shared_servers_without_flows),
        cmocka_unit_test(test_shared_server_with_a_living_tunnel),
        cmocka_unit_test(test_shared_servers_after_a_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
