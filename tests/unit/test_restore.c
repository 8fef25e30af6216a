#include "tests/unit/unit.h"

#include <stdlib.h>

#include "lb/ports.h"
#include "tests/unit/two_daemons.h"

/* What becomes of a file's records where the daemon that reads it is not as that which wrote it: time has
 * passed, services and backends are others, the records are nonsense. */

/* What a restored daemon does with the next packets is what the old one would have done. */
static void test_tunnels_go_on(void **state)
{
    struct support_net net, after;

    (void)state;
    support_net_init(&net, services, SERVICES, CLIENTS);
    for (uint16_t service = 0; service < SERVICES; service++)
        for (uint32_t i = 0; i < 50; i++)
            connect_client(&net, service, client_at(i, false), 500);
    struct saved_file file = save(&net);
    start_again(&file, &after, services, SERVICES, 5000);
    for (uint16_t service = 0; service < SERVICES; service++) {
        for (uint32_t i = 0; i < 50; i++) {
            const struct endpoint client = {.addr = client_at(i, false), .port = 1500};
            assert_int_not_equal(bindings_find_esp(&after.dp.bindings, service, &client.addr, 0xc0ffee01),
                                 FLOW_NONE);
            const struct verdict x = support_from_client(&net, service, client, IKE_PORT_4500, SUPPORT_ESP);
            const struct verdict y = support_from_client(&after, service, client, IKE_PORT_4500, SUPPORT_ESP);
            assert_int_equal(y.action, VERDICT_TO_BACKEND);
            assert_int_equal(x.backend, y.backend);
            assert_true(endpoint_equal(&x.src, &y.src));
            const struct verdict back = support_reply(&after, &y, SUPPORT_ESP);
            assert_int_equal(back.action, VERDICT_TO_CLIENT);
            assert_true(endpoint_equal(&back.dst, &client));
            /* Its session is known: it is followed to another address. */
            const struct endpoint elsewhere = {.addr = support_addr_v4(1000 + i), .port = 4500};
            after.sa = support_sa_of(&after, &client.addr);
            const struct verdict moved =
                support_from_client(&after, service, elsewhere, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
            assert_int_equal(moved.backend, x.backend);
            after.sa = (struct support_sa){0};
        }
    }
    /* No new flow gets a port that a restored one has. */
    for (uint32_t i = 0; i < 200; i++)
        connect_client(&after, FULL, support_addr_v4(5000 + i), 500);
    support_net_deinit(&after);
    free(file.data);
    support_net_deinit(&net);
}

static struct restore_result one_client(uint64_t silent_ms, uint64_t away_ms)
{
    struct support_net net, after;

    support_net_init(&net, services, SERVICES, CLIENTS);
    connect_client(&net, OPEN, client_at(1, false), 500);
    struct saved_file file =
        saved_file_of(&net.dp.bindings, net.now_ms + silent_ms, WALL_MS, 1000, NULL, NULL);
    const struct restore_result result = start_again(&file, &after, services, SERVICES, away_ms);
    assert_int_equal(result.pins, pins_count(after.dp.bindings.pins));
    assert_int_equal(result.sessions, sessions_count(after.dp.bindings.tracking.sessions));
    support_net_deinit(&after);
    free(file.data);
    support_net_deinit(&net);
    return result;
}

/* By the wall clock, as the machine may have been off; one that went back counts as no time. */
static void test_expired_meanwhile(void **state)
{
    static const struct {
        uint64_t silent_ms, away_ms;
        bool is_there;
    } cases[] = {
        {0, 0, true},
        {0, IDLE_MS - 1, true},
        {0, IDLE_MS, false},
        {IDLE_MS - 1, 0, true},
        {IDLE_MS / 2, IDLE_MS / 2 - 1, true},
        {IDLE_MS / 2, IDLE_MS / 2, false},
        {0, UINT64_C(86400000) * 40, false}, /* the truncated times have come round */
        {0, UINT64_C(86400000) * 49 + 61367000, false},
        {0, UINT64_C(1) << 62, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct restore_result result = one_client(cases[i].silent_ms, cases[i].away_ms);
        assert_int_equal(result.pins, cases[i].is_there);
        assert_int_equal(result.sessions, cases[i].is_there);
        assert_int_equal(result.flows, cases[i].is_there);
        assert_int_equal(result.expired, !cases[i].is_there);
    }
}

static void test_a_clock_that_went_back(void **state)
{
    struct support_net net, after;
    struct restore_result result;

    (void)state;
    support_net_init(&net, services, SERVICES, CLIENTS);
    connect_client(&net, OPEN, client_at(1, false), 500);
    struct saved_file file = save(&net);
    support_net_init(&after, services, SERVICES, CLIENTS);
    assert_int_equal(
        restore_bindings(&after.dp.bindings, file.data, file.len, LATER_MS, WALL_MS - 1000000, &result), 0);
    assert_true(result.away_ms == 0);
    assert_int_equal(result.pins, 1);
    support_net_deinit(&after);
    free(file.data);
    support_net_deinit(&net);
}

/* Clients of everything in `services`, 20 of IPv4 and 20 of IPv6 at the first, 20 at the others. */
static struct saved_file crowd(struct support_net *net)
{
    support_net_init(net, services, SERVICES, CLIENTS);
    for (uint32_t i = 0; i < 20; i++) {
        for (uint16_t service = 0; service < SERVICES; service++)
            connect_client(net, service, client_at(i, false), 500);
        connect_client(net, OPEN, client_at(i, true), 500);
    }
    return save(net);
}

/* A configuration in another order, with other names: what has the same addresses is the same. */
static void test_known_by_addresses(void **state)
{
    const struct support_service changed[] = {
        {.name = "new", .vips = {"203.0.113.99"}, .backends = {{"z", "10.1.0.9", 0, CONFIG_STATE_ENABLED}}},
        services[FULL],
        {.name = "renamed",
         .vips = {"203.0.113.10", "2001:db8::10"},
         .backends = {{"new", "10.1.0.9", 0, CONFIG_STATE_ENABLED},
                      {"other", "10.1.0.2", 0, CONFIG_STATE_ENABLED},
                      {"six", "2001:db8:1::1", 0, CONFIG_STATE_ENABLED},
                      {"another", "10.1.0.1", 0, CONFIG_STATE_ENABLED}}},
        services[SPREAD],
    };
    struct support_net net, after;
    struct saved_file file = crowd(&net);

    (void)state;
    const struct restore_result result = start_again(&file, &after, changed, 4, 0);
    assert_int_equal(result.pins, 80);
    assert_int_equal(result.gone, 0);
    for (uint32_t i = 0; i < 20; i++) {
        const struct addr client = client_at(i, false);
        const struct backend *before = &net.pool->backends[support_pin(&net, OPEN, client)->backend];
        const struct backend *now = &after.pool->backends[support_pin(&after, 2, client)->backend];
        assert_true(addr_equal(&before->addr, &now->addr));
    }
    support_net_deinit(&after);
    free(file.data);
    support_net_deinit(&net);
}

/* What belongs to something that there is no more is left out, and counted; the rest is there. */
static void test_what_is_gone(void **state)
{
    struct support_service changed[SERVICES];
    struct support_net net, after;
    struct saved_file file = crowd(&net);
    const uint32_t at_a = net.pool->backends[0].clients;

    (void)state;
    struct restore_result result = start_again(&file, &after, &services[FULL], 1, 0); /* two services */
    assert_int_equal(result.pins, 20);
    assert_int_equal(result.gone, 60);
    support_net_deinit(&after);

    memcpy(changed, services, sizeof changed); /* a backend has another address */
    changed[OPEN].backends[0].address = "10.1.0.77";
    result = start_again(&file, &after, changed, SERVICES, 0);
    assert_true(at_a > 0 && at_a < 20);
    assert_int_equal(result.gone, at_a);
    assert_int_equal(result.pins, 80 - at_a);
    support_net_deinit(&after);

    memcpy(changed, services, sizeof changed); /* a VIP of one family is another */
    changed[OPEN].vips[0] = "203.0.113.77";
    result = start_again(&file, &after, changed, SERVICES, 0);
    assert_int_equal(result.gone, 20);
    assert_int_equal(result.pins, 60);
    support_net_deinit(&after);

    memcpy(changed, services, sizeof changed); /* a client's address has become a VIP: it is no client */
    const struct addr client = client_at(3, false);
    char text[ADDR_TEXT_MAX];
    changed[SPREAD].vips[0] = addr_format(&client, text);
    result = start_again(&file, &after, changed, SERVICES, 0);
    assert_int_equal(result.gone, 20 + 2);
    support_net_deinit(&after);
    free(file.data);
    support_net_deinit(&net);
}

/* Another mode, other source addresses: the flows cannot go on, but the clients keep their backends. */
static void test_flows_that_cannot_be(void **state)
{
    struct support_service changed[SERVICES];
    struct support_net net, after;
    struct saved_file file = crowd(&net);

    (void)state;
    memcpy(changed, services, sizeof changed);
    changed[OPEN].mode = CONFIG_MODE_FULL_NAT;
    changed[OPEN].snats[0] = "10.1.0.103";
    changed[OPEN].snats[1] = "2001:db8:1::103";
    struct restore_result result = start_again(&file, &after, changed, SERVICES, IDLE_MS - 1);
    assert_int_equal(result.pins, 80);
    assert_int_equal(result.lost_flows, 40);
    assert_int_equal(result.flows, 40);
    support_net_deinit(&after);

    memcpy(changed, services, sizeof changed);
    changed[SPREAD].snats[0] = "10.1.0.103"; /* what it had is the other service's now */
    changed[FULL].snats[2] = "10.1.0.102";
    result = start_again(&file, &after, changed, SERVICES, 0);
    assert_int_equal(result.pins, 80);
    assert_int_equal(result.lost_flows, 20);
    support_net_deinit(&after);

    memcpy(changed, services, sizeof changed);
    memset(changed[SPREAD].snats, 0, sizeof changed[SPREAD].snats); /* the route's, which is not known yet */
    result = start_again(&file, &after, changed, SERVICES, 0);
    assert_int_equal(result.lost_flows, 0);
    support_net_deinit(&after);
    free(file.data);
    support_net_deinit(&net);
}

/* Of a service that spreads its clients otherwise now the pins are found no more: only flows hold them. */
static void test_spread_otherwise(void **state)
{
    struct support_service changed[SERVICES];
    struct support_net net, after;
    struct saved_file file;

    (void)state;
    memcpy(changed, services, sizeof changed);
    changed[SPREAD].spread_nat = false;
    changed[FULL].spread_nat = true;
    support_net_init(&net, services, SERVICES, CLIENTS);
    for (uint32_t i = 0; i < 20; i++)
        for (uint16_t service = 0; service < SERVICES; service++)
            connect_client(&net, service, client_at(i, false), 500);
    for (uint32_t i = 0; i < 20; i++) { /* ten of each lose their flows */
        const uint16_t service = i % 2 ? FULL : SPREAD;
        const struct flow_in_key key = {.client = client_at(i / 2, false),
                                        .client_port = 1500,
                                        .listener = (uint16_t)(service * IKE_PORT_COUNT + IKE_PORT_4500)};
        bindings_remove_flow(&net.dp.bindings, flows_find_in(net.dp.bindings.flows, &key));
    }
    file = save(&net);
    const struct restore_result result = start_again(&file, &after, changed, SERVICES, 0);
    assert_int_equal(result.gone, 20);
    assert_int_equal(result.pins, 40);
    assert_int_equal(result.flows, 40);
    support_net_deinit(&after);
    free(file.data);
    support_net_deinit(&net);
}

/* An operator's word holds until the file says something new. */
static void test_operator_states(void **state)
{
    struct support_service changed[SERVICES];
    struct support_net net, after;

    (void)state;
    support_net_init(&net, services, SERVICES, CLIENTS);
    net.pool->backends[0].state = CONFIG_STATE_DRAIN;
    net.pool->backends[1].state = CONFIG_STATE_DISABLED;
    net.pool->backends[2].state = CONFIG_STATE_ENABLED; /* the file says drain */
    struct saved_file file = save(&net);

    struct restore_result result = start_again(&file, &after, services, SERVICES, 0);
    assert_int_equal(after.pool->backends[0].state, CONFIG_STATE_DRAIN);
    assert_int_equal(after.pool->backends[1].state, CONFIG_STATE_DISABLED);
    assert_int_equal(after.pool->backends[2].state, CONFIG_STATE_ENABLED);
    assert_int_equal(after.pool->backends[3].state, CONFIG_STATE_ENABLED);
    assert_int_equal(result.operator_states, 3);
    support_net_deinit(&after);

    memcpy(changed, services, sizeof changed);
    changed[OPEN].backends[0].state = CONFIG_STATE_DISABLED;
    changed[OPEN].backends[2].state = CONFIG_STATE_DISABLED;
    result = start_again(&file, &after, changed, SERVICES, 0);
    assert_int_equal(after.pool->backends[0].state, CONFIG_STATE_DISABLED);
    assert_int_equal(after.pool->backends[1].state, CONFIG_STATE_DISABLED);
    assert_int_equal(after.pool->backends[2].state, CONFIG_STATE_DISABLED);
    assert_int_equal(result.operator_states, 1);
    support_net_deinit(&after);
    free(file.data);
    support_net_deinit(&net);
}

/* With less room than before the rest is counted. */
static void test_no_room(void **state)
{
    struct support_net net, after;
    struct restore_result result;
    struct saved_file file = crowd(&net);

    (void)state;
    support_net_init(&after, services, SERVICES, 30);
    assert_int_equal(restore_bindings(&after.dp.bindings, file.data, file.len, LATER_MS, WALL_MS, &result),
                     0);
    assert_int_equal(result.pins, 30);
    assert_int_equal(result.no_room, 50);
    support_net_deinit(&after);
    free(file.data);
    support_net_deinit(&net);
}

/* A file whose checksums are right, but whose records hold what cannot be: nothing of it is made. */
static void test_strange_records(void **state)
{
    struct support_net after;
    struct saved_file file = saved_file_begin();
    struct restore_result result;
    uint8_t *buffer = malloc(SAVED_BLOCK_BYTES);
    struct writer block = saved_block_begin(buffer);
    struct saved_pin pin = {.key = {.service = 9}, .backend = 5, .flags = PIN_CONFIRMED};
    struct saved_flow flow = {.service = 9, .backend = 5, .flags = FLOW_CONFIRMED, .session = 3};
    struct saved_session session = {.slot = 3, .story = {.backend = 5}};

    (void)state;
    saved_session_put(&block, &session); /* before any pin */
    saved_pin_put(&block, &pin);         /* of a service that is not named */
    saved_session_put(&block, &session);
    saved_service_put(
        &block, &(struct saved_service){.index = 9, .vip_count = 1, .vips = {support_addr("203.0.113.11")}});
    saved_backend_put(&block,
                      &(struct saved_backend){.index = 5, .service = 8, .addr = support_addr("10.1.0.1")});
    saved_pin_put(&block, &pin); /* its backend is of a service that is not named */
    saved_backend_put(&block,
                      &(struct saved_backend){.index = 5, .service = 9, .addr = support_addr("10.1.0.1")});
    saved_pin_put(&block, &pin); /* the client is :: */
    pin.key.client = support_addr("224.0.0.1");
    saved_pin_put(&block, &pin);
    pin.key.client = support_addr("203.0.113.10"); /* a VIP */
    saved_pin_put(&block, &pin);
    pin.key.client = support_addr("198.51.100.1");
    saved_pin_put(&block, &pin); /* the only one */
    saved_pin_put(&block, &pin); /* again */
    session.story.spi_i.bytes[0] = 1;
    saved_session_put(&block, &session);        /* SPIr is zero, and the pin came twice */
    flow.client = support_addr("198.51.100.2"); /* without a pin */
    flow.client_port = 4500;
    saved_flow_put(&block, &flow);
    flow.client = pin.key.client;
    flow.client_port = 0;
    saved_flow_put(&block, &flow);
    flow.client_port = 4500;
    saved_flow_put(&block, &flow); /* full NAT without a source */
    flow.has_source = true;
    flow.source = support_addr("10.1.0.100");
    flow.source_port = 4500; /* never handed out */
    saved_flow_put(&block, &flow);
    flow.source_port = PORTS_LAST + 1;
    saved_flow_put(&block, &flow);
    flow.source_port = 0;
    saved_flow_put(&block, &flow);
    flow.source = support_addr("10.1.0.5"); /* no source address of the service */
    flow.source_port = 2000;
    saved_flow_put(&block, &flow);
    flow.source = support_addr("10.1.0.100");
    saved_flow_put(&block, &flow); /* the only one */
    saved_flow_put(&block, &flow); /* again */
    flow.client_port = 4501;       /* another with the same port towards the server */
    saved_flow_put(&block, &flow);
    saved_file_block(&file, &block, WALL_MS);
    saved_file_end(&file, WALL_MS);
    assert_int_equal(saved_verify(file.data, file.len).fault, SAVED_FAULT_NONE);
    result = start_again(&file, &after, services, SERVICES, 0);
    assert_int_equal(result.pins, 1);
    assert_int_equal(result.gone, 5);
    assert_int_equal(result.sessions, 0);
    assert_int_equal(result.flows, 1);
    assert_int_equal(result.lost_flows, 7);
    support_net_deinit(&after);
    free(file.data);
    free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tunnels_go_on),
        cmocka_unit_test(test_expired_meanwhile),
        cmocka_unit_test(test_a_clock_that_went_back),
        cmocka_unit_test(test_known_by_addresses),
        cmocka_unit_test(test_what_is_gone),
        cmocka_unit_test(test_flows_that_cannot_be),
        cmocka_unit_test(test_spread_otherwise),
        cmocka_unit_test(test_operator_states),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_strange_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
