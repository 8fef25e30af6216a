#include "tests/unit/unit.h"

#include "tests/unit/support.h"

/* What one address may begin: dataplane.source_rate, and where the dataplane asks for it. */

#define RATE         1 /* a second */
#define BURST        5
#define HALF_OPEN_MS 3000

static const struct support_service transparent = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .schedule = CONFIG_SCHEDULE_ROUND_ROBIN,
    .idle_timeout_ms = 60000,
    .half_open_timeout_ms = HALF_OPEN_MS,
    .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED}, {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED}},
};

static void begin(struct support_net *net, int full_nat, uint32_t rate)
{
    struct support_service service = transparent;
    const struct dataplane_settings settings = {
        .max_clients = 400, .source_rate = rate, .source_burst = BURST, .seed = 99};

    if (full_nat) {
        service.mode = CONFIG_MODE_FULL_NAT;
        service.snats[0] = "10.1.0.100";
    }
    support_net_init(net, &service, 1, 400);
    dataplane_deinit(&net->dp);
    assert_int_equal(dataplane_init(&net->dp, net->pool, &settings), 0);
}

static struct endpoint noisy(uint16_t port)
{
    return support_endpoint("198.51.100.1", port);
}

static struct verdict init(struct support_net *net, struct endpoint from)
{
    net->handshake++;
    return support_from_client(net, 0, from, IKE_PORT_500, SUPPORT_INIT);
}

/* Uses up what the noisy address has. */
static void exhaust(struct support_net *net)
{
    for (int i = 0; i < BURST; i++)
        assert_int_equal(init(net, noisy(500)).action, VERDICT_TO_BACKEND);
}

/* The sixth is dropped, counted and noted; others go unharmed; tokens come back with time. */
static void test_handshakes(void **state)
{
    (void)state;
    for (int full_nat = 0; full_nat < 2; full_nat++) {
        struct journal_entry entries[JOURNAL_ENTRIES_MAX];
        const struct endpoint from = noisy(500);
        struct support_net net;
        begin(&net, full_nat, RATE);
        exhaust(&net);
        for (uint32_t i = 1; i <= 3; i++) {
            const struct verdict v = init(&net, from);
            assert_int_equal(v.action, VERDICT_DROP);
            assert_int_equal(v.reason, DROP_RATE_LIMITED);
            assert_int_equal(net.dp.drops[DROP_RATE_LIMITED], i);
            assert_int_equal(journal_find(net.dp.bindings.tracking.journal, &from.addr, entries), 1);
            assert_int_equal(entries[0].event, JOURNAL_REFUSED);
            assert_int_equal(entries[0].reason, DROP_RATE_LIMITED);
            assert_int_equal(entries[0].count, i);
        }
        /* Nothing of it is kept, on a flow as well as from a port that has none. */
        assert_int_equal(init(&net, noisy(501)).action, VERDICT_DROP);
        assert_int_equal(sessions_count(net.dp.bindings.tracking.sessions), BURST);
        assert_int_equal(flows_count(net.dp.bindings.flows), 1);
        for (uint32_t i = 0; i < 20; i++) {
            const struct endpoint other = {.addr = support_addr_v4(i), .port = 500};
            assert_int_equal(init(&net, other).action, VERDICT_TO_BACKEND);
        }
        net.now_ms += 1000 / RATE;
        assert_int_equal(init(&net, from).action, VERDICT_TO_BACKEND);
        assert_int_equal(init(&net, from).action, VERDICT_DROP);
        support_net_deinit(&net);
    }
}

/* A retransmission costs as much: it is a message that opens an SA. */
static void test_repetitions_cost(void **state)
{
    struct support_net net;

    (void)state;
    begin(&net, 0, RATE);
    for (int i = 0; i < BURST + 1; i++)
        assert_int_equal(support_from_client(&net, 0, noisy(500), IKE_PORT_500, SUPPORT_INIT).action,
                         i < BURST ? VERDICT_TO_BACKEND : VERDICT_DROP);
    support_net_deinit(&net);
}

/* ESP and IKE without a flow: transparent mode forwards them as without memory, full NAT cannot. */
static void test_without_a_flow(void **state)
{
    static const enum support_kind kinds[] = {SUPPORT_ESP, SUPPORT_INFORMATIONAL, SUPPORT_AUTH};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct journal_entry entries[JOURNAL_ENTRIES_MAX];
        const struct endpoint from = noisy(4500);
        struct support_net net;
        begin(&net, i & 1, RATE);
        exhaust(&net);
        const uint16_t at = support_pin(&net, 0, from.addr)->backend;
        net.handshake++;
        const struct verdict v = support_from_client(&net, 0, from, IKE_PORT_4500, kinds[i / 2]);
        if (i & 1) {
            assert_int_equal(v.action, VERDICT_DROP);
            assert_int_equal(v.reason, DROP_RATE_LIMITED);
        } else {
            assert_int_equal(v.action, VERDICT_TO_BACKEND);
            assert_int_equal(v.backend, at); /* where its pin leads, as ever */
            assert_true(endpoint_equal(&v.src, &from));
            assert_int_equal(net.dp.drops[DROP_RATE_LIMITED], 0);
            const struct verdict back = support_reply(&net, &v, SUPPORT_INIT_ANSWER);
            assert_int_equal(back.action, VERDICT_TO_CLIENT);
            assert_true(endpoint_equal(&back.dst, &from));
        }
        assert_null(support_flow(&net, 0, from, IKE_PORT_4500));
        assert_int_equal(flows_count(net.dp.bindings.flows), 1);
        assert_int_equal(journal_find(net.dp.bindings.tracking.journal, &from.addr, entries), 0);
        support_net_deinit(&net);
    }
}

/* Many ports of one address make flows for its tokens only, and a client that is unknown gets no pin. */
static void test_flows_cost(void **state)
{
    (void)state;
    for (int full_nat = 0; full_nat < 2; full_nat++) {
        struct support_net net;
        begin(&net, full_nat, RATE);
        for (uint16_t i = 0; i < 50; i++)
            support_from_client(&net, 0, noisy((uint16_t)(1000 + i)), IKE_PORT_4500, SUPPORT_ESP);
        assert_int_equal(flows_count(net.dp.bindings.flows), BURST);
        net.now_ms += HALF_OPEN_MS;
        dataplane_sweep(&net.dp, net.now_ms, 10000);
        assert_int_equal(pins_count(net.dp.bindings.pins), 0);
        for (uint16_t i = 0; i < 50; i++)
            support_from_client(&net, 0, noisy((uint16_t)(1000 + i)), IKE_PORT_4500, SUPPORT_INFORMATIONAL);
        assert_int_equal(flows_count(net.dp.bindings.flows), HALF_OPEN_MS / 1000 * RATE);
        support_net_deinit(&net);
    }
}

/* A tunnel costs nothing, wherever it goes; nor does a keepalive, which begins nothing. */
static void test_what_is_free(void **state)
{
    (void)state;
    for (int full_nat = 0; full_nat < 2; full_nat++) {
        const struct endpoint client = noisy(4500), moved = noisy(1234);
        struct support_net net;
        begin(&net, full_nat, RATE);
        const struct verdict before = support_establish(&net, 0, client);
        const struct support_sa sa = support_sa_of(&net, &client.addr);
        for (uint16_t i = 0; i < 20; i++)
            support_from_client(&net, 0, noisy((uint16_t)(2000 + i)), IKE_PORT_4500, SUPPORT_KEEPALIVE);
        for (int i = 0; i < BURST - 1; i++) /* the tunnel has cost one token, for its first message */
            assert_int_equal(init(&net, noisy(500)).action, VERDICT_TO_BACKEND);
        assert_int_equal(init(&net, noisy(500)).action, VERDICT_DROP);

        net.sa = sa;
        for (int i = 0; i < 20; i++) {
            assert_int_equal(support_from_client(&net, 0, client, IKE_PORT_4500, SUPPORT_ESP).backend,
                             before.backend);
            assert_int_equal(
                support_from_client(&net, 0, client, IKE_PORT_4500, SUPPORT_INFORMATIONAL).action,
                VERDICT_TO_BACKEND);
        }
        net.now_ms += 1000 / RATE; /* IKE of an SA that is not known is free on a flow, too */
        net.sa.spi_i ^= 2;
        for (int i = 0; i < 20; i++)
            support_from_client(&net, 0, client, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
        assert_int_equal(init(&net, noisy(500)).action, VERDICT_TO_BACKEND);
        net.sa = sa;
        const struct verdict v = support_from_client(&net, 0, moved, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
        assert_int_equal(v.action, VERDICT_TO_BACKEND);
        assert_int_equal(v.backend, before.backend);
        assert_non_null(support_flow(&net, 0, moved, IKE_PORT_4500));
        support_net_deinit(&net);
    }
}

static void test_without_a_limit(void **state)
{
    struct support_net net;

    (void)state;
    begin(&net, 0, 0);
    assert_null(net.dp.limiter);
    for (int i = 0; i < 50 * BURST; i++)
        assert_int_equal(init(&net, noisy(500)).action, VERDICT_TO_BACKEND);
    support_net_deinit(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshakes),     cmocka_unit_test(test_repetitions_cost),
        cmocka_unit_test(test_without_a_flow), cmocka_unit_test(test_flows_cost),
        cmocka_unit_test(test_what_is_free),   cmocka_unit_test(test_without_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
