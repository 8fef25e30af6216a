#include "tests/unit/unit.h"

#include "lb/xdp/table.h"
#include "tests/unit/fast_tunnel.h"

/* What the fast path has seen counts as if it had come by here: for expiry, and for who may take whose place.
 */

#define IDLE_MS      60000
#define HALF_OPEN_MS 3000

/* Of a sweep: enough for all the flows of a test that has few. */
#define STEPS 40

/* So long after the slow path's last packet. */
#define LATER_MS 20000

/* Which times it moves, and which not: back, or into the future, or those of a client that may be another. */
static void test_times(void **state)
{
    static const struct {
        uint32_t client_ms, backend_ms; /* ages */
        bool is_asked;                  /* the client's latest SPI has not been answered */
        uint32_t client_age, seen_age;
    } rows[] = {
        {100, 300, false, 100, 100},
        {300, 100, false, 300, 100},
        {0, 0, false, 0, 0},
        {100, LATER_MS + 1, false, 100, 100},
        {LATER_MS + 1, 100, false, LATER_MS, 100},
        {LATER_MS + 1, LATER_MS + 2, false, LATER_MS, LATER_MS},
        {LATER_MS, LATER_MS, false, LATER_MS, LATER_MS},
        {100, 300, true, LATER_MS, 100},
        {300, 100, true, LATER_MS, 100},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        begin_fast(&f, &ways[i % WAYS]);
        if (rows[i].is_asked)
            ask_esp(&f, SPI_2);
        f.net.now_ms += LATER_MS;
        f.fake.ages = (struct fastpath_ages){rows[i].client_ms, rows[i].backend_ms};
        const struct flow *flow = fastpath_flow(&f.net.dp.bindings, index_of(&f), f.net.now_ms);
        assert_ptr_equal(flow, flow_of(&f));
        assert_true(f.fake.now_ms == f.net.now_ms);
        assert_int_equal((uint32_t)f.net.now_ms - flow->client_ms, rows[i].client_age);
        assert_int_equal((uint32_t)f.net.now_ms - flow->seen_ms, rows[i].seen_age);
        end(&f);
    }
}

/* What the table says of a direction that has been quiet for weeks, or whose packet has just come: the other
 * one goes on, and no time goes back. */
static void test_times_of_weeks(void **state)
{
    static const int days[] = {1, 24, 25, 26, 27, 45, 52};
    static const uint32_t day_ticks = (uint32_t)(UINT64_C(86400000000000) >> XDP_TICK_SHIFT);
    const uint32_t now = 12345;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof days / sizeof days[0]; i++) {
        const bool is_client = i % 2;
        const struct xdp_entry quiet = {.seen = now - (uint32_t)days[i / 2] * day_ticks};
        const struct xdp_entry busy = {.seen = now + 5};
        struct fixture f;
        begin_fast(&f, &ways[i % WAYS]);
        f.net.now_ms += LATER_MS;
        f.fake.ages = (struct fastpath_ages){table_age_ms(is_client ? &quiet : &busy, now),
                                             table_age_ms(is_client ? &busy : &quiet, now)};
        const struct flow *flow = fastpath_flow(&f.net.dp.bindings, index_of(&f), f.net.now_ms);
        assert_int_equal((uint32_t)f.net.now_ms - flow->client_ms, is_client ? LATER_MS : 0);
        assert_int_equal((uint32_t)f.net.now_ms - flow->seen_ms, 0);
        f.fake.ages = (struct fastpath_ages){table_age_ms(&quiet, now), table_age_ms(&quiet, now)};
        f.net.now_ms += LATER_MS;
        fastpath_flow(&f.net.dp.bindings, index_of(&f), f.net.now_ms);
        assert_int_equal((uint32_t)f.net.now_ms - flow->seen_ms, LATER_MS);
        end(&f);
    }
}

/* Truncated times come round. */
static void test_times_come_round(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, &ways[0]);
    f.net.now_ms = UINT64_C(0x100000000) - 50;
    shake_hands(&f);
    ask(&f, SUPPORT_ESP);
    answer(&f, SUPPORT_ESP);
    f.net.now_ms += 200;
    f.fake.ages = (struct fastpath_ages){180, 20};
    const struct flow *flow = fastpath_flow(&f.net.dp.bindings, index_of(&f), f.net.now_ms);
    assert_int_equal(flow->client_ms, UINT32_MAX - 29);
    assert_int_equal(flow->seen_ms, 130);
    end(&f);
}

/* A flow that it does not carry, or knows nothing of any more, has the times that it has. */
static void test_nothing_to_tell(void **state)
{
    struct fixture f;

    (void)state;
    begin_fast(&f, &ways[0]);
    const struct flow before = *flow_of(&f);
    f.net.now_ms += LATER_MS;
    f.fake.has_lost = true;
    fastpath_flow(&f.net.dp.bindings, index_of(&f), f.net.now_ms);
    assert_memory_equal(flow_of(&f), &before, sizeof before);
    f.fake.has_lost = false;
    f.fake.now_ms = 0;
    fastpath_leave(&f.net.dp.bindings, index_of(&f));
    fastpath_flow(&f.net.dp.bindings, index_of(&f), f.net.now_ms);
    assert_true(f.fake.now_ms == 0);
    end(&f);
}

static void sweep(struct fixture *f, uint64_t after_ms)
{
    f->net.now_ms += after_ms;
    dataplane_sweep(&f->net.dp, f->net.now_ms, STEPS);
    fake_check(&f->fake, &f->net);
}

/* Fast traffic of either direction keeps flow and pin; without any they go, to the millisecond. */
static void test_expiry(void **state)
{
    static const struct fastpath_ages ages[] = {{IDLE_MS - 1, IDLE_MS * 2}, {IDLE_MS * 2, IDLE_MS - 1}};

    (void)state;
    for (size_t i = 0; i < 2 * WAYS; i++) {
        struct fixture f;
        begin_fast(&f, &ways[i % WAYS]);
        f.fake.ages = ages[i / WAYS];
        for (int k = 0; k < 5; k++)
            sweep(&f, IDLE_MS);
        assert_non_null(flow_of(&f));
        assert_int_equal(f.fake.count, 1);
        f.fake.ages = (struct fastpath_ages){IDLE_MS, IDLE_MS};
        sweep(&f, 0);
        assert_int_equal(f.fake.count, 1); /* what was known before stays known */
        sweep(&f, 1);
        assert_int_equal(f.fake.count, 0);
        assert_int_equal(flows_count(f.net.dp.bindings.flows), 0);
        assert_int_equal(pins_count(f.net.dp.bindings.pins), 0);
        end(&f);
    }
}

/* If it has lost the flow, the slow path's times are all there is. */
static void test_expiry_of_what_it_has_lost(void **state)
{
    struct fixture f;

    (void)state;
    begin_fast(&f, &ways[0]);
    f.fake.has_lost = true;
    sweep(&f, IDLE_MS - 1);
    assert_int_equal(f.fake.count, 1);
    sweep(&f, 1);
    assert_int_equal(f.fake.count, 0);
    end(&f);
}

#define CROWD 50

/* To ask about a flow is dearer than to look at one: a sweep asks about fewer, and the next goes on there. */
static void test_a_sweep_is_bounded(void **state)
{
    struct fixture f;
    uint32_t sweeps = 0;

    (void)state;
    begin(&f, &ways[0]);
    for (uint8_t i = 1; i <= CROWD; i++) {
        f.client.addr.bytes[15] = i;
        shake_hands(&f);
        ask(&f, SUPPORT_ESP);
        answer(&f, SUPPORT_ESP);
    }
    f.fake.lookups = 0;
    for (; f.fake.lookups < CROWD; sweeps++) {
        const uint32_t before = f.fake.lookups;
        sweep(&f, 0);
        assert_in_range(f.fake.lookups - before, 1, STEPS / 4);
    }
    assert_true(sweeps <= 2 * CROWD);
    end(&f);
}

#define SHARED_BACKENDS                                                                                      \
    {                                                                                                        \
        {"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED},                                                          \
        {                                                                                                    \
            "b", "10.1.0.2", 0, CONFIG_STATE_ENABLED                                                         \
        }                                                                                                    \
    }

/* Two services on the same servers. */
static const struct support_service pair[] = {
    {.name = "vpn",
     .vips = {"203.0.113.10"},
     .idle_timeout_ms = IDLE_MS,
     .half_open_timeout_ms = HALF_OPEN_MS,
     .backends = SHARED_BACKENDS},
    {.name = "other",
     .vips = {"203.0.113.11"},
     .idle_timeout_ms = IDLE_MS,
     .half_open_timeout_ms = HALF_OPEN_MS,
     .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED}}},
};

static struct endpoint client_at(uint16_t port)
{
    return support_endpoint("198.51.100.1", port);
}

/* A fast tunnel of the client at the first service; what its backend was sent. */
static struct verdict begin_pair(struct support_net *net, struct fake_fastpath *fake)
{
    support_net_init(net, pair, 2, 100);
    fake_attach(fake, net);
    net->pool->backends[1].state = CONFIG_STATE_DISABLED; /* it is to be at the first one */
    struct verdict v = support_from_client(net, 0, client_at(500), IKE_PORT_500, SUPPORT_INIT);
    net->pool->backends[1].state = CONFIG_STATE_ENABLED;
    assert_int_equal(v.backend, 0);
    support_reply(net, &v, SUPPORT_INIT_ANSWER);
    v = support_from_client(net, 0, client_at(4500), IKE_PORT_4500, SUPPORT_AUTH);
    support_reply(net, &v, SUPPORT_AUTH_ANSWER);
    v = support_from_client(net, 0, client_at(4500), IKE_PORT_4500, SUPPORT_ESP);
    support_reply(net, &v, SUPPORT_ESP);
    assert_int_equal(fake->count, 1);
    return v;
}

/* Ages, and whether the tunnel still holds its place. */
struct claim {
    struct fastpath_ages ages;
    bool holds;
};

/* The client's own packets count here: a backend also sends to who is gone. */
static const struct claim claims_of_clients[] = {
    {{0, LATER_MS}, true},
    {{HALF_OPEN_MS - 1, LATER_MS}, true},
    {{HALF_OPEN_MS, 0}, false},
    {{LATER_MS, 0}, false},
};
#define CLAIMS (sizeof claims_of_clients / sizeof claims_of_clients[0])

/* Another handshake of the client fails over only if no tunnel of it lives at the backend. */
static void test_a_handshake_fails_over(void **state)
{
    (void)state;
    for (size_t i = 0; i < CLAIMS; i++) {
        struct support_net net;
        struct fake_fastpath fake;
        begin_pair(&net, &fake);
        net.now_ms += LATER_MS;
        fake.ages = claims_of_clients[i].ages;
        net.pool->backends[0].passive.suspicion = SUSPICION_REFUSING;
        net.handshake++;
        support_from_client(&net, 0, client_at(500), IKE_PORT_500, SUPPORT_INIT);
        net.now_ms += 1000;
        const struct verdict v = support_from_client(&net, 0, client_at(500), IKE_PORT_500, SUPPORT_INIT);
        assert_int_equal(v.backend, claims_of_clients[i].holds ? 0 : 1);
        support_net_deinit(&net);
    }
}

/* A session of the client at another backend comes to the flow's port. */
static void test_a_session_wants_the_port(void **state)
{
    (void)state;
    for (size_t i = 0; i < CLAIMS; i++) {
        struct support_net net;
        struct fake_fastpath fake;
        begin_pair(&net, &fake);
        net.now_ms += LATER_MS;
        fake.ages = (struct fastpath_ages){LATER_MS, LATER_MS};
        net.pool->backends[0].health = HEALTH_DOWN;
        net.handshake++;
        const struct verdict init = support_from_client(&net, 0, client_at(500), IKE_PORT_500, SUPPORT_INIT);
        assert_int_equal(init.backend, 1);
        support_reply(&net, &init, SUPPORT_INIT_ANSWER);
        net.pool->backends[0].health = HEALTH_UP;
        fake.ages = claims_of_clients[i].ages;
        const struct verdict auth =
            support_from_client(&net, 0, client_at(4500), IKE_PORT_4500, SUPPORT_AUTH);
        assert_int_equal(auth.backend, claims_of_clients[i].holds ? 0 : 1);
        assert_int_equal(net.pool->services[0].conflicts_total, claims_of_clients[i].holds);
        assert_int_equal(fake.count, claims_of_clients[i].holds);
        support_net_deinit(&net);
    }
}

/* The same client and port at another VIP of the same server: only one of them can have it. */
static void test_a_rival(void **state)
{
    (void)state;
    for (size_t i = 0; i < CLAIMS; i++) {
        struct support_net net;
        struct fake_fastpath fake;
        begin_pair(&net, &fake);
        net.now_ms += LATER_MS;
        fake.ages = claims_of_clients[i].ages;
        support_from_client(&net, 1, client_at(4500), IKE_PORT_4500, SUPPORT_AUTH);
        assert_int_equal(support_flow(&net, 0, client_at(4500), IKE_PORT_4500) != NULL,
                         claims_of_clients[i].holds);
        assert_int_equal(support_flow(&net, 1, client_at(4500), IKE_PORT_4500) == NULL,
                         claims_of_clients[i].holds);
        assert_int_equal(fake.count, claims_of_clients[i].holds);
        support_net_deinit(&net);
    }
}

/* A client that begins anew leaves a draining backend when nothing has passed for a quarter of its time. */
static void test_a_draining_backend(void **state)
{
    static const struct claim claims[] = {
        {{0, LATER_MS}, true},
        {{LATER_MS, 0}, true}, /* either direction */
        {{IDLE_MS / 4 - 1, LATER_MS}, true},
        {{IDLE_MS / 4, IDLE_MS / 4}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        struct support_net net;
        struct fake_fastpath fake;
        begin_pair(&net, &fake);
        net.now_ms += LATER_MS;
        fake.ages = claims[i].ages;
        net.pool->backends[0].state = CONFIG_STATE_DRAIN;
        net.handshake++;
        const struct verdict v = support_from_client(&net, 0, client_at(500), IKE_PORT_500, SUPPORT_INIT);
        assert_int_equal(v.backend, claims[i].holds ? 0 : 1);
        support_net_deinit(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_times_of_weeks),
        cmocka_unit_test(test_times_come_round),
        cmocka_unit_test(test_nothing_to_tell),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_expiry_of_what_it_has_lost),
        cmocka_unit_test(test_a_sweep_is_bounded),
        cmocka_unit_test(test_a_handshake_fails_over),
        cmocka_unit_test(test_a_session_wants_the_port),
        cmocka_unit_test(test_a_rival),
        cmocka_unit_test(test_a_draining_backend),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
