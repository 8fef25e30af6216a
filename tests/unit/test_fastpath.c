#include "tests/unit/unit.h"

#include "tests/unit/fast_tunnel.h"

/* When flows go to the fast path, driven by packets as they come. */

static void assert_endpoint(const struct endpoint *e, const char *addr, uint16_t port)
{
    char text[ADDR_TEXT_MAX];

    assert_string_equal(addr_format(&e->addr, text), addr);
    assert_int_equal(e->port, port);
}

static void check_binding(struct fixture *f, const struct fastpath_binding *b)
{
    const struct flow *flow = flow_of(f);

    assert_endpoint(&b->client, f->way->client, 40000);
    assert_endpoint(&b->vip, f->way->vip, 4500);
    assert_endpoint(&b->source, f->way->snat ? f->way->snat : f->way->client, flow->source_port);
    assert_true(endpoint_equal(&b->source, &f->to.src));
    assert_true(endpoint_equal(&b->server, &f->to.dst));
    assert_int_equal(b->backend, f->way->backend);
    assert_int_equal(b->source_index, flow->source);
    assert_int_equal(b->source_index == FLOW_SOURCE_CLIENT, f->way->snat == NULL);
    assert_int_equal(b->spi, SPI);
}

/* Step by step: nothing but the backend's ESP after the client's enters a flow, once. */
static void test_entered_when_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        struct fixture f;
        begin(&f, &ways[i]);
        shake_hands(&f);
        ask(&f, SUPPORT_KEEPALIVE);
        ask(&f, SUPPORT_ESP);
        answer(&f, SUPPORT_INFORMATIONAL_ANSWER);
        answer(&f, SUPPORT_KEEPALIVE);
        assert_int_equal(f.fake.enters, 0);
        answer(&f, SUPPORT_ESP);
        assert_int_equal(f.fake.enters, 1);
        assert_true(flow_of(&f)->flags & FLOW_FAST);
        check_binding(&f, &f.fake.last);
        answer(&f, SUPPORT_ESP);
        ask(&f, SUPPORT_ESP);
        answer(&f, SUPPORT_ESP);
        assert_int_equal(f.fake.enters, 1);
        assert_int_equal(f.fake.asks + f.fake.leaves, 0);
        end(&f);
    }
}

/* The backend's ESP came before the client's, and answers nothing of it. */
static void test_the_backend_speaks_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        struct fixture f;
        begin(&f, &ways[i]);
        shake_hands(&f);
        answer(&f, SUPPORT_ESP);
        answer(&f, SUPPORT_ESP);
        ask(&f, SUPPORT_ESP);
        assert_int_equal(f.fake.enters, 0);
        answer(&f, SUPPORT_ESP);
        assert_int_equal(f.fake.enters, 1);
        end(&f);
    }
}

/* A flow that the backend's ESP itself has proved, after a restart without memory. */
static void test_learnt_from_the_backend(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, &ways[0]);
    ask(&f, SUPPORT_ESP);
    assert_int_equal(f.fake.enters, 0);
    answer(&f, SUPPORT_ESP);
    assert_int_equal(f.fake.enters, 1);
    end(&f);
}

/* When a backend's flows may be carried, and that they are when it may again. */
static void test_backends_that_may_not(void **state)
{
    static const struct {
        enum health_state health;
        enum config_state state;
        bool removed;
        bool may;
    } rows[] = {
        {HEALTH_UP, CONFIG_STATE_ENABLED, false, true},
        {HEALTH_UNKNOWN, CONFIG_STATE_ENABLED, false, true},
        {HEALTH_DOWN, CONFIG_STATE_ENABLED, false, false},
        {HEALTH_UP, CONFIG_STATE_DRAIN, false, false},
        {HEALTH_UP, CONFIG_STATE_DISABLED, false, false},
        {HEALTH_UP, CONFIG_STATE_ENABLED, true, false},
        {HEALTH_DOWN, CONFIG_STATE_DRAIN, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        begin(&f, &ways[i % WAYS]);
        struct backend *backend = &f.net.pool->backends[f.way->backend];
        shake_hands(&f);
        ask(&f, SUPPORT_ESP);
        backend->health = rows[i].health;
        backend->state = rows[i].state;
        backend->removed = rows[i].removed;
        answer(&f, SUPPORT_ESP);
        assert_int_equal(fastpath_may_carry(backend), rows[i].may);
        assert_int_equal(f.fake.enters, rows[i].may);
        backend->health = HEALTH_UP;
        backend->state = CONFIG_STATE_ENABLED;
        backend->removed = false;
        answer(&f, SUPPORT_ESP);
        assert_int_equal(f.fake.enters, 1);
        end(&f);
    }
}

/* Flag by flag, and SPI by SPI. */
static void test_what_a_flow_needs(void **state)
{
    const uint8_t all = FLOW_CONFIRMED | FLOW_ESP_IN | FLOW_ESP_OUT;
    const struct {
        uint8_t flags;
        uint32_t esp_spi, proved_spi;
        bool may;
    } rows[] = {
        {all, SPI, SPI, true},
        {all | FLOW_FAST, SPI, SPI, true},
        {all | FLOW_FAST | FLOW_ASKED, SPI, SPI, true},
        {all & ~FLOW_CONFIRMED, SPI, SPI, false},
        {all & ~FLOW_ESP_IN, SPI, SPI, false},
        {all & ~FLOW_ESP_OUT, SPI, SPI, false},
        {all | FLOW_MOVED, SPI, SPI, false},
        {all | FLOW_LEFT, SPI, SPI, false},
        {all, SPI_2, SPI, false},
        {all, SPI, 0, false},
        {all, 0, 0, false},
    };
    struct fixture f;

    (void)state;
    begin(&f, &ways[0]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct flow flow = {.backend = VPN_A,
                                  .listener = VPN * IKE_PORT_COUNT + IKE_PORT_4500,
                                  .flags = rows[i].flags,
                                  .esp_spi = rows[i].esp_spi,
                                  .proved_spi = rows[i].proved_spi};
        assert_int_equal(fastpath_may_enter(&f.net.dp.bindings, &flow), rows[i].may);
    }
    end(&f);
}

/* What the fast path could not carry at all: port 500, and full NAT that changes the family. */
static void test_what_cannot_be_described(void **state)
{
    static const struct {
        uint16_t backend;
        enum ike_port port;
        const char *client;
        bool can;
    } rows[] = {
        {VPN_A, IKE_PORT_4500, "198.51.100.1", true},     {VPN_A, IKE_PORT_500, "198.51.100.1", false},
        {VPN_SIX, IKE_PORT_4500, "2001:db8::1", true},    {FULL_A, IKE_PORT_4500, "198.51.100.1", true},
        {FULL_A, IKE_PORT_4500, "2001:db8::1", false},    {FULL_SIX, IKE_PORT_4500, "2001:db8::1", true},
        {FULL_SIX, IKE_PORT_4500, "198.51.100.1", false},
    };
    struct fixture f;

    (void)state;
    begin(&f, &ways[0]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const uint16_t service = f.net.pool->backends[rows[i].backend].service;
        const struct flow flow = {.client = support_addr(rows[i].client),
                                  .source = FLOW_SOURCE_CLIENT,
                                  .backend = rows[i].backend,
                                  .listener = (uint16_t)(service * IKE_PORT_COUNT + rows[i].port)};
        struct fastpath_binding binding;
        assert_int_equal(fastpath_describe(&f.net.dp.bindings, &flow, &binding), rows[i].can);
    }
    end(&f);
}

/* A client of full NAT goes from IPv4 to IPv6 and stays at its server, over the slow path. */
static void test_a_change_of_family(void **state)
{
    struct fixture f;

    (void)state;
    begin_fast(&f, &ways[2]);
    f.net.sa = support_sa_of(&f.net, &f.client.addr);
    f.client = support_endpoint("2001:db8:c::7", 1234);
    ask(&f, SUPPORT_INFORMATIONAL);
    answer(&f, SUPPORT_INFORMATIONAL_ANSWER);
    for (int i = 0; i < 3; i++) {
        ask(&f, SUPPORT_ESP);
        answer(&f, SUPPORT_ESP);
    }
    assert_true(fastpath_may_enter(&f.net.dp.bindings, flow_of(&f)));
    assert_int_equal(f.fake.enters, 1);
    assert_int_equal(f.fake.leaves, 1); /* the old path */
    end(&f);
}

/* Rekeying: one packet of the backend is asked for, and enters the flow again. */
static void test_a_new_spi(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        struct fixture f;
        begin_fast(&f, &ways[i]);
        ask_esp(&f, SPI);
        assert_int_equal(f.fake.asks, 0);
        ask_esp(&f, SPI_2);
        assert_int_equal(f.fake.asks, 1);
        ask_esp(&f, SPI_2);
        ask_esp(&f, SPI_3); /* it has been asked for already */
        answer(&f, SUPPORT_INFORMATIONAL_ANSWER);
        ask(&f, SUPPORT_KEEPALIVE);
        assert_int_equal(f.fake.asks, 1);
        assert_int_equal(f.fake.enters, 1);
        answer(&f, SUPPORT_ESP);
        assert_int_equal(f.fake.enters, 2);
        assert_int_equal(f.fake.last.spi, SPI_3);
        answer(&f, SUPPORT_ESP);
        assert_int_equal(f.fake.enters, 2);
        ask_esp(&f, SPI_2);
        assert_int_equal(f.fake.asks, 2);
        answer(&f, SUPPORT_ESP);
        assert_int_equal(f.fake.enters, 3);
        assert_int_equal(f.fake.last.spi, SPI_2);
        assert_int_equal(f.fake.leaves, 0);
        end(&f);
    }
}

/* A new SPI of a flow that is not carried is nobody's business. */
static void test_a_new_spi_without_a_fast_flow(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, &ways[0]);
    f.fake.refuses = true;
    shake_hands(&f);
    ask(&f, SUPPORT_ESP);
    answer(&f, SUPPORT_ESP);
    ask_esp(&f, SPI_2);
    assert_int_equal(f.fake.asks, 0);
    end(&f);
}

/* While the backend may not be carried for, an asked flow stays as it is, and goes on afterwards. */
static void test_asked_while_draining(void **state)
{
    struct fixture f;

    (void)state;
    begin_fast(&f, &ways[0]);
    ask_esp(&f, SPI_2);
    f.net.pool->backends[VPN_A].state = CONFIG_STATE_DRAIN;
    answer(&f, SUPPORT_ESP);
    assert_int_equal(f.fake.enters, 1);
    f.net.pool->backends[VPN_A].state = CONFIG_STATE_ENABLED;
    answer(&f, SUPPORT_ESP);
    assert_int_equal(f.fake.enters, 2);
    assert_int_equal(f.fake.last.spi, SPI_2);
    end(&f);
}

/* A fast path that is full: the slow one forwards, and tries again with each packet of the backend. */
static void test_it_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        struct fixture f;
        begin(&f, &ways[i]);
        f.fake.refuses = true;
        shake_hands(&f);
        ask(&f, SUPPORT_ESP);
        for (int k = 1; k <= 3; k++) {
            answer(&f, SUPPORT_ESP);
            assert_int_equal(f.fake.enters, k);
            assert_false(flow_of(&f)->flags & (FLOW_FAST | FLOW_ASKED));
            ask(&f, SUPPORT_ESP);
            answer(&f, SUPPORT_INFORMATIONAL_ANSWER); /* which has learnt nothing that would be new */
            assert_int_equal(f.fake.enters, k);
        }
        f.fake.refuses = false;
        answer(&f, SUPPORT_ESP);
        assert_true(flow_of(&f)->flags & FLOW_FAST);
        end(&f);
    }
}

/* An asked flow that it does not take again stays asked: its packets come here. */
static void test_it_refuses_another_spi(void **state)
{
    struct fixture f;

    (void)state;
    begin_fast(&f, &ways[0]);
    ask_esp(&f, SPI_2);
    f.fake.refuses = true;
    answer(&f, SUPPORT_ESP);
    assert_int_equal(flow_of(&f)->flags & (FLOW_FAST | FLOW_ASKED), FLOW_FAST | FLOW_ASKED);
    end(&f);
}

static void test_reports_and_refreshes(void **state)
{
    struct fixture f;
    struct fastpath_report report;

    (void)state;
    begin_fast(&f, &ways[0]);
    const int before = f.fake.refreshes;
    fastpath_refresh(&f.net.dp.bindings);
    assert_int_equal(f.fake.refreshes, before + 1);
    assert_int_equal(dataplane_refresh(&f.net.dp), 0);
    assert_int_equal(f.fake.refreshes, before + 2);
    memset(&report, 0xff, sizeof report);
    fastpath_report(&f.net.dp.bindings, &report);
    assert_int_equal(report.mode, FASTPATH_NATIVE);
    assert_int_equal(report.entries, 2);
    assert_int_equal(report.interface_count + report.reason_count, 0);
    f.net.dp.bindings.fastpath = NULL;
    memset(&report, 0xff, sizeof report);
    fastpath_report(&f.net.dp.bindings, &report);
    assert_int_equal(report.mode, FASTPATH_OFF);
    assert_int_equal(report.entries + report.capacity + report.interface_count + report.reason_count, 0);
    fastpath_refresh(&f.net.dp.bindings);
    f.net.dp.bindings.fastpath = &f.fake.fastpath;
    end(&f);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(fastpath_mode_name(FASTPATH_OFF), "off");
    assert_string_equal(fastpath_mode_name(FASTPATH_GENERIC), "generic");
    assert_string_equal(fastpath_mode_name(FASTPATH_NATIVE), "native");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entered_when_answered),
        cmocka_unit_test(test_the_backend_speaks_first),
        cmocka_unit_test(test_learnt_from_the_backend),
        cmocka_unit_test(test_backends_that_may_not),
        cmocka_unit_test(test_what_a_flow_needs),
        cmocka_unit_test(test_what_cannot_be_described),
        cmocka_unit_test(test_a_change_of_family),
        cmocka_unit_test(test_a_new_spi),
        cmocka_unit_test(test_a_new_spi_without_a_fast_flow),
        cmocka_unit_test(test_asked_while_draining),
        cmocka_unit_test(test_it_refuses),
        cmocka_unit_test(test_it_refuses_another_spi),
        cmocka_unit_test(test_reports_and_refreshes),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
