#include "tests/unit/unit.h"

#include "lb/pool_config.h"
#include "tests/unit/support.h"

#define IDLE_MS 60000
#define HALF_MS 3000

static const struct support_service vpn = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .idle_timeout_ms = IDLE_MS,
    .half_open_timeout_ms = HALF_MS,
    .backends = {{"one", "10.1.0.1", 0, CONFIG_STATE_ENABLED}, {"two", "10.1.0.2", 0, CONFIG_STATE_DISABLED}},
};
enum { ONE, TWO };

static void reload(struct support_net *net, const struct support_service *services, size_t count)
{
    struct config *config = support_config(services, count);

    assert_int_equal(pool_config_apply(net->pool, config, NULL), 0);
    assert_int_equal(dataplane_refresh(&net->dp), 0);
    config_destroy(config);
    support_check_bindings(&net->dp.bindings);
}

static void ignore_gone(void *ctx, uint16_t backend)
{
    (void)ctx;
    (void)backend;
}

static bool collect(struct support_net *net)
{
    const bool any = pool_config_collect(net->pool, ignore_gone, NULL);

    if (any)
        assert_int_equal(dataplane_refresh(&net->dp), 0);
    support_check_bindings(&net->dp.bindings);
    return any;
}

/* The sweep goes round all tables, often enough for what it ends to end other things. */
static void sweep(struct support_net *net)
{
    for (int i = 0; i < 4; i++)
        dataplane_sweep(&net->dp, net->now_ms, 100000);
}

static uint16_t to_backend(struct support_net *net, uint16_t service, struct endpoint client,
                           enum ike_port port, enum support_kind kind)
{
    const struct verdict v = support_from_client(net, service, client, port, kind);

    return v.action == VERDICT_TO_BACKEND ? v.backend : POOL_NONE;
}

/* A whole handshake and the first ESP, answered; its backend. */
static uint16_t connect_client(struct support_net *net, uint16_t service, struct endpoint client)
{
    struct verdict v = support_from_client(net, service, client, IKE_PORT_4500, SUPPORT_INIT);

    (void)support_reply(net, &v, SUPPORT_INIT_ANSWER);
    v = support_from_client(net, service, client, IKE_PORT_4500, SUPPORT_AUTH);
    (void)support_reply(net, &v, SUPPORT_AUTH_ANSWER);
    v = support_from_client(net, service, client, IKE_PORT_4500, SUPPORT_ESP);
    (void)support_reply(net, &v, SUPPORT_ESP);
    return v.backend;
}

/* A client is at the first backend when that is removed. */
static void begin_without_one(struct support_net *net, struct endpoint client)
{
    struct support_service changed = vpn;

    support_net_init(net, &vpn, 1, 64);
    assert_int_equal(connect_client(net, 0, client), ONE);
    changed.backends[0] = (struct support_backend){"two", "10.1.0.2", 0, CONFIG_STATE_ENABLED};
    changed.backends[1].name = NULL;
    reload(net, &changed, 1);
}

static void test_removed_keeps_its_clients(void **state)
{
    const struct endpoint old = support_endpoint("192.0.2.1", 4500),
                          second = support_endpoint("192.0.2.1", 5500);
    const struct endpoint fresh = support_endpoint("192.0.2.2", 4500);
    struct support_net net;

    (void)state;
    begin_without_one(&net, old);
    for (int i = 0; i < 10; i++) { /* longer than the idle timeout, but never idle */
        assert_int_equal(to_backend(&net, 0, old, IKE_PORT_4500, SUPPORT_ESP), ONE);
        const struct verdict v =
            support_from_backend(&net, support_addr("10.1.0.1"), old, IKE_PORT_4500, SUPPORT_ESP);
        assert_int_equal(v.action, VERDICT_TO_CLIENT);
        net.now_ms += IDLE_MS / 5;
        sweep(&net);
        assert_false(collect(&net));
    }
    assert_int_equal(connect_client(&net, 0, fresh), TWO);
    net.now_ms -= IDLE_MS / 5;
    net.handshake++; /* a second tunnel of the first machine, beside the living one */
    assert_int_equal(connect_client(&net, 0, second), ONE);
    net.now_ms += IDLE_MS + IDLE_MS / 5;
    sweep(&net);
    assert_true(collect(&net));
    assert_false(net.pool->backends[ONE].used);
    assert_int_equal(connect_client(&net, 0, old), TWO);
    assert_int_equal(
        support_from_backend(&net, support_addr("10.1.0.1"), old, IKE_PORT_4500, SUPPORT_ESP).action,
        VERDICT_DROP);
    support_net_deinit(&net);
}

/*
 * A client has moved away from the removed backend with a handshake that came to nothing. Its old tunnel is
 * forgotten later than the last of its flows there, as it is the only one of its pin: but no later than the
 * backend, or its next message would go to one that is not there, and then to another that has its index.
 */
static void test_no_session_outlives_its_backend(void **state)
{
    const struct endpoint client = support_endpoint("192.0.2.1", 4500),
                          again = support_endpoint("192.0.2.1", 5500);
    struct support_net net;

    (void)state;
    begin_without_one(&net, client);
    net.now_ms += IDLE_MS / 2;
    net.handshake++;
    assert_int_equal(to_backend(&net, 0, again, IKE_PORT_4500, SUPPORT_INIT), TWO);
    net.now_ms += IDLE_MS / 2;
    sweep(&net);
    assert_int_equal(net.pool->backends[ONE].clients + net.pool->backends[ONE].flows, 0);
    assert_int_equal(net.pool->backends[TWO].clients, 1);
    assert_true(collect(&net));
    net.handshake--;
    assert_int_equal(to_backend(&net, 0, client, IKE_PORT_4500, SUPPORT_INFORMATIONAL), TWO);
    support_net_deinit(&net);
}

/* While a session waits for the sweep its backend waits, too; and a message of it keeps both. */
static void test_session_holds_its_backend(void **state)
{
    const struct endpoint client = support_endpoint("192.0.2.1", 4500),
                          again = support_endpoint("192.0.2.1", 5500);
    struct support_net net;

    (void)state;
    begin_without_one(&net, client);
    net.now_ms += IDLE_MS / 2;
    net.handshake++;
    assert_int_equal(to_backend(&net, 0, again, IKE_PORT_4500, SUPPORT_INIT), TWO);
    net.handshake--;
    for (uint32_t flow; (flow = flows_count(net.dp.bindings.flows)) > 0;) { /* but not the session */
        uint32_t cursor = 0, budget = UINT32_MAX;
        bindings_remove_flow(&net.dp.bindings, flows_next(net.dp.bindings.flows, &cursor, &budget));
    }
    assert_true(pool_is_left(&net.pool->backends[ONE]));
    assert_false(collect(&net));
    assert_int_equal(to_backend(&net, 0, client, IKE_PORT_4500, SUPPORT_INFORMATIONAL), ONE);
    sweep(&net);
    assert_false(collect(&net));
    net.now_ms += 2 * IDLE_MS;
    sweep(&net);
    assert_true(collect(&net));
    support_net_deinit(&net);
}

/* A reply without a flow is that of the service that has the server, before one that is removed. */
static void test_shared_servers_follow(void **state)
{
    const struct support_service both[] = {
        {.name = "a", .vips = {"203.0.113.10"}, .backends = {{"x", "10.1.0.1", 0, CONFIG_STATE_ENABLED}}},
        {.name = "b", .vips = {"203.0.113.11"}, .backends = {{"x", "10.1.0.1", 0, CONFIG_STATE_ENABLED}}},
    };
    const struct endpoint client = support_endpoint("192.0.2.1", 4500),
                          unknown = support_endpoint("192.0.2.9", 4500);
    struct support_net net;

    (void)state;
    support_net_init(&net, both, 1, 64);
    assert_int_equal(connect_client(&net, 0, client), 0);
    assert_false(net.dp.is_shared[0]);
    reload(&net, both, 2);
    assert_true(net.dp.is_shared[0]);
    assert_non_null(net.dp.hints);
    assert_int_equal(
        support_from_backend(&net, support_addr("10.1.0.1"), unknown, IKE_PORT_4500, SUPPORT_INIT_ANSWER)
            .service,
        0);
    net.pool->backends[1].health = HEALTH_UP;
    assert_int_equal(connect_client(&net, 1, support_endpoint("192.0.2.2", 4500)), 1);
    reload(&net, &both[1], 1);
    assert_true(net.dp.is_shared[0]); /* "a" has a client yet */
    assert_int_equal(
        support_from_backend(&net, support_addr("10.1.0.1"), unknown, IKE_PORT_4500, SUPPORT_INIT_ANSWER)
            .service,
        1);
    assert_int_equal(
        support_from_backend(&net, support_addr("10.1.0.1"), client, IKE_PORT_4500, SUPPORT_ESP).service, 0);
    net.now_ms += UINT64_C(3600000);
    sweep(&net);
    assert_true(collect(&net));
    assert_false(net.dp.is_shared[0]);
    assert_int_equal(net.dp.transparent_backend[0], 1);
    support_net_deinit(&net);
}

static void test_source_rate_follows(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, &vpn, 1, 64);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(dataplane_limit(&net.dp, 1, 2), 0); /* with a full purse each time */
        int passed = 0;
        for (uint16_t port = 1; port <= 5; port++, net.handshake++)
            passed += to_backend(&net, 0, support_endpoint("192.0.2.1", port), IKE_PORT_500, SUPPORT_INIT) !=
                      POOL_NONE;
        assert_int_equal(passed, 2);
    }
    assert_int_equal(dataplane_limit(&net.dp, 0, 0), 0);
    for (uint16_t port = 1; port <= 5; port++, net.handshake++)
        assert_int_equal(to_backend(&net, 0, support_endpoint("192.0.2.1", port), IKE_PORT_500, SUPPORT_INIT),
                         ONE);
    support_net_deinit(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_removed_keeps_its_clients),
        cmocka_unit_test(test_no_session_outlives_its_backend),
        cmocka_unit_test(test_session_holds_its_backend),
        cmocka_unit_test(test_shared_servers_follow),
        cmocka_unit_test(test_source_rate_follows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
