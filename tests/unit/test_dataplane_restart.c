#include "tests/unit/unit.h"

#include "tests/unit/support.h"

/* A daemon without memory of the tunnels that run through it, and backends that prove their clients. */

static const struct support_service service = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .schedule = CONFIG_SCHEDULE_ROUND_ROBIN,
    .idle_timeout_ms = 60000,
    .half_open_timeout_ms = 3000,
    .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED}, {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED}},
};
enum { A, B };

static struct endpoint client(uint16_t port)
{
    return support_endpoint("198.51.100.1", port);
}

static struct verdict from_client(struct support_net *net, uint16_t port, enum support_kind kind)
{
    return support_from_client(net, 0, client(port), port == 500 ? IKE_PORT_500 : IKE_PORT_4500, kind);
}

static struct verdict from_backend(struct support_net *net, uint16_t backend, uint16_t port,
                                   enum support_kind kind)
{
    return support_from_backend(net, net->pool->backends[backend].addr, client(port),
                                port == 500 ? IKE_PORT_500 : IKE_PORT_4500, kind);
}

static void assert_as_from_vip(const struct verdict *v, uint16_t port)
{
    const struct addr vip = support_addr("203.0.113.10");
    const struct endpoint to = client(port);

    assert_int_equal(v->action, VERDICT_TO_CLIENT);
    assert_true(addr_equal(&v->src.addr, &vip));
    assert_int_equal(v->src.port, port);
    assert_true(endpoint_equal(&v->dst, &to));
}

static const enum support_kind proofs[] = {SUPPORT_ESP, SUPPORT_INFORMATIONAL, SUPPORT_AUTH_ANSWER,
                                           SUPPORT_V1_ENCRYPTED};
static const enum support_kind no_proofs[] = {SUPPORT_INIT_ANSWER, SUPPORT_COOKIE, SUPPORT_V1_ANSWER,
                                              SUPPORT_KEEPALIVE};

static void test_a_proof_is_learnt(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof proofs / sizeof proofs[0]; i++) {
        struct support_net net;
        support_net_init(&net, &service, 1, 16);
        const struct verdict v = from_backend(&net, B, 4500, proofs[i]);
        assert_as_from_vip(&v, 4500);
        assert_int_equal(support_pin(&net, 0, client(4500).addr)->backend, B);
        assert_true(support_pin(&net, 0, client(4500).addr)->flags & PIN_CONFIRMED);
        assert_true(support_flow(&net, 0, client(4500), IKE_PORT_4500)->flags & FLOW_CONFIRMED);
        assert_int_equal(from_client(&net, 4500, SUPPORT_ESP).backend, B); /* not A, whose turn it is */
        assert_int_equal(from_client(&net, 500, SUPPORT_INIT).backend, B);
        support_net_deinit(&net);
    }
}

static void test_nothing_else_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof no_proofs / sizeof no_proofs[0]; i++) {
        struct support_net net;
        support_net_init(&net, &service, 1, 16);
        const struct verdict v = from_backend(&net, B, 4500, no_proofs[i]);
        assert_as_from_vip(&v, 4500);
        assert_int_equal(pins_count(net.dp.bindings.pins), 0);
        assert_int_equal(flows_count(net.dp.bindings.flows), 0);
        support_net_deinit(&net);
    }
}

/* The client speaks first, and we guess wrong; then its server speaks. */
static void test_a_guess_gives_way(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, &service, 1, 16);
    const uint16_t guess = from_client(&net, 4500, SUPPORT_ESP).backend;
    const uint16_t right = guess == A ? B : A;
    assert_int_equal(net.pool->backends[guess].clients, 1);
    const struct verdict v = from_backend(&net, right, 4500, SUPPORT_ESP);
    assert_as_from_vip(&v, 4500);
    assert_int_equal(from_client(&net, 4500, SUPPORT_ESP).backend, right);
    assert_int_equal(net.pool->backends[guess].clients, 0);
    assert_int_equal(net.pool->backends[right].clients, 1);
    support_check_bindings(&net.dp.bindings);
    net.now_ms += 59999;
    dataplane_sweep(&net.dp, net.now_ms, 100);
    assert_int_equal(from_client(&net, 4500, SUPPORT_ESP).backend, right);
    support_net_deinit(&net);
}

/* The guess was made on both ports: when one is put right, the next handshake on the other must follow. */
static void test_both_ports_follow_the_proof(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, &service, 1, 16);
    const uint16_t guess = from_client(&net, 500, SUPPORT_INIT).backend;
    const uint16_t right = guess == A ? B : A;
    assert_int_equal(from_client(&net, 4500, SUPPORT_ESP).backend, guess);
    from_backend(&net, right, 4500, SUPPORT_ESP);
    const uint16_t on_500 = from_client(&net, 500, SUPPORT_INIT).backend;
    const uint16_t on_4500 = from_client(&net, 4500, SUPPORT_AUTH).backend;
    assert_int_equal(on_500, on_4500);
    support_net_deinit(&net);
}

/* What is confirmed stays, whoever claims what afterwards; the packets themselves are forwarded. */
static void test_the_confirmed_stays(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, &service, 1, 16);
    from_backend(&net, B, 4500, SUPPORT_ESP);
    for (size_t i = 0; i < sizeof proofs / sizeof proofs[0]; i++) {
        struct verdict v = from_backend(&net, A, 4500, proofs[i]); /* the same port */
        assert_as_from_vip(&v, 4500);
        v = support_from_backend(&net, net.pool->backends[A].addr, support_endpoint("198.51.100.1", 20000),
                                 IKE_PORT_4500, proofs[i]);
        assert_int_equal(v.action, VERDICT_TO_CLIENT); /* another port of the same client */
        assert_int_equal(v.dst.port, 20000);
    }
    assert_int_equal(support_pin(&net, 0, client(4500).addr)->backend, B);
    assert_int_equal(flows_count(net.dp.bindings.flows), 1);
    assert_int_equal(from_client(&net, 4500, SUPPORT_INFORMATIONAL).backend, B);
    support_net_deinit(&net);
}

/* The same server on another port of the client: a second flow of the same pin. */
static void test_another_port_of_the_same_server(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, &service, 1, 16);
    from_backend(&net, B, 4500, SUPPORT_ESP);
    from_backend(&net, B, 500, SUPPORT_INFORMATIONAL);
    assert_int_equal(support_pin(&net, 0, client(500).addr)->flow_count, 2);
    assert_int_equal(net.pool->backends[B].clients, 1);
    support_net_deinit(&net);
}

/* Learning needs no unconfirmed share, so a flood cannot hinder it; only a table full of the confirmed can.
 */
static void test_learning_and_limits(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, &service, 1, 16);
    for (uint32_t i = 0; i < 100; i++)
        support_from_client(&net, 0, (struct endpoint){.addr = support_addr_v4(i), .port = 500}, IKE_PORT_500,
                            SUPPORT_INIT);
    for (uint32_t i = 0; i < 100; i++) {
        const struct endpoint to = {.addr = support_addr_v4(1000 + i), .port = 4500};
        const struct verdict v =
            support_from_backend(&net, net.pool->backends[A].addr, to, IKE_PORT_4500, SUPPORT_ESP);
        assert_int_equal(v.action, VERDICT_TO_CLIENT);
        assert_int_equal(support_flow(&net, 0, to, IKE_PORT_4500) != NULL, i < 12);
    }
    assert_int_equal(pins_count(net.dp.bindings.pins), 16);
    support_net_deinit(&net);
}

/* A guessed flow is replaced although the table has no other room. */
static void test_learning_in_a_full_table(void **state)
{
    struct support_net net;

    (void)state;
    support_net_init(&net, &service, 1, 4); /* 8 flows, 2 of them unconfirmed */
    const uint16_t guess = from_client(&net, 4500, SUPPORT_ESP).backend;
    for (uint16_t port = 1; port <= 7; port++) /* the rest of the flow table */
        support_from_backend(&net, net.pool->backends[A].addr, support_endpoint("198.51.100.2", port),
                             IKE_PORT_4500, SUPPORT_ESP);
    assert_int_equal(flows_count(net.dp.bindings.flows), 8);
    from_backend(&net, !guess, 4500, SUPPORT_ESP);
    assert_int_equal(from_client(&net, 4500, SUPPORT_ESP).backend, !guess);
    assert_int_equal(flows_count(net.dp.bindings.flows), 8);
    support_net_deinit(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_proof_is_learnt),   cmocka_unit_test(test_nothing_else_is),
        cmocka_unit_test(test_a_guess_gives_way),   cmocka_unit_test(test_both_ports_follow_the_proof),
        cmocka_unit_test(test_the_confirmed_stays), cmocka_unit_test(test_another_port_of_the_same_server),
        cmocka_unit_test(test_learning_and_limits), cmocka_unit_test(test_learning_in_a_full_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
