#include "tests/unit/unit.h"

#include "base/err.h"
#include "lb/bindings.h"
#include "lb/ports.h"
#include "tests/unit/three_services.h"

struct fixture {
    struct pool *pool;
    struct bindings b;
};

static void begin(struct fixture *f, uint32_t max_clients)
{
    f->pool = support_pool(services, 3);
    assert_int_equal(bindings_init(&f->b, f->pool, max_clients, 99), 0);
}

static void end(struct fixture *f)
{
    support_check_bindings(&f->b);
    bindings_deinit(&f->b);
    pool_destroy(f->pool);
}

static uint32_t add(struct fixture *f, uint32_t client, uint16_t port, enum ike_port at, uint16_t backend,
                    uint64_t now_ms)
{
    const struct endpoint from = {.addr = support_addr_v4(client), .port = port};

    return support_add_flow(&f->b, from, at, backend, now_ms);
}

static const struct flow *flow_of(struct fixture *f, uint32_t flow)
{
    return flows_get(f->b.flows, flow);
}

/* Still in the table, at this very index? */
static bool is_live(struct fixture *f, uint32_t flow)
{
    const struct flow_out_key key = flow_out_key(flow_of(f, flow));

    return flows_find_out(f->b.flows, &key) == flow;
}

static struct pin *pin_of(struct fixture *f, uint32_t flow)
{
    return pins_get(f->b.pins, flow_of(f, flow)->pin);
}

static void test_counts(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 8);
    const uint32_t a = add(&f, 1, 500, IKE_PORT_500, ONE, 10);
    const uint32_t b = add(&f, 1, 4501, IKE_PORT_4500, ONE, 20);
    assert_int_equal(flow_of(&f, a)->pin, flow_of(&f, b)->pin);
    assert_int_equal(pin_of(&f, a)->flow_count, 2);
    assert_int_equal(pin_of(&f, a)->ports[IKE_PORT_500], 500);
    assert_int_equal(pin_of(&f, a)->ports[IKE_PORT_4500], 4501);
    assert_int_equal(f.pool->backends[ONE].clients, 1);
    assert_int_equal(f.pool->backends[ONE].new_clients_total, 1);
    bindings_move_pin(&f.b, flow_of(&f, a)->pin, ONE); /* where it is already */
    assert_int_equal(f.pool->backends[ONE].new_clients_total, 1);
    bindings_move_pin(&f.b, flow_of(&f, a)->pin, TWO);
    assert_int_equal(f.pool->backends[ONE].clients, 0);
    assert_int_equal(f.pool->backends[TWO].clients, 1);
    assert_int_equal(f.pool->backends[TWO].new_clients_total, 1);
    assert_int_equal(flow_of(&f, a)->backend, ONE); /* a flow stays what it was */
    end(&f);
}

static uint32_t begin_session(struct fixture *f, uint32_t flow, bool answered)
{
    struct story story = story_begin(VPN, ONE, 500, 10);

    story.spi_i = (struct ike_spi){.bytes = {1, (uint8_t)flow}};
    story.flags = answered ? STORY_ANSWERED : 0;
    const uint32_t session = tracking_begin(&f->b.tracking, flow_of(f, flow)->pin, &story, false, 10);
    assert_int_not_equal(session, SESSION_NONE);
    return session;
}

/* Once, when the handshake is given up and not with each of its flows. */
static void test_unanswered_handshakes_are_counted(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 16);
    const uint32_t sent = add(&f, 1, 500, IKE_PORT_500, ONE, 10);
    const uint32_t answered = add(&f, 2, 500, IKE_PORT_500, ONE, 10);
    add(&f, 1, 4500, IKE_PORT_4500, ONE, 10);
    add(&f, 3, 500, IKE_PORT_500, ONE, 10); /* without a handshake */
    begin_session(&f, sent, false);
    begin_session(&f, answered, true);
    bindings_remove_flow(&f.b, sent);
    assert_int_equal(f.pool->backends[ONE].handshakes.unanswered_total, 0);
    bindings_sweep(&f.b, 3010, 200);
    assert_int_equal(pins_count(f.b.pins), 0);
    assert_int_equal(sessions_count(f.b.tracking.sessions), 0);
    assert_int_equal(f.pool->backends[ONE].handshakes.unanswered_total, 1);
    end(&f);
}

struct expiry_case {
    const char *label;
    bool confirmed;
    uint64_t start_ms;
    uint32_t timeout_ms;
};

/* 32-bit times wrap after 49 days; nothing may be noticed of it. */
static const struct expiry_case expiry_cases[] = {
    {"half-open", false, 1000, 3000},
    {"idle", true, 1000, 60000},
    {"half-open across the wrap", false, UINT64_C(0x1ffffffff) - 1500, 3000},
    {"idle across the wrap", true, UINT64_C(0x1ffffffff) - 30000, 60000},
    {"half-open at the wrap", false, UINT64_C(0x100000000) - 3000, 3000},
    {"idle beyond the sign bit", true, UINT64_C(0x80000000) - 1, 60000},
};

static void test_expiry_to_the_millisecond(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof expiry_cases / sizeof expiry_cases[0]; i++) {
        const struct expiry_case *t = &expiry_cases[i];
        struct fixture f;
        begin(&f, 8);
        const uint32_t flow = add(&f, 1, 500, IKE_PORT_500, ONE, t->start_ms);
        if (t->confirmed)
            bindings_confirm(&f.b, flow, t->start_ms);
        bindings_sweep(&f.b, t->start_ms + t->timeout_ms - 1, 100);
        if (flows_count(f.b.flows) != 1 || pins_count(f.b.pins) != 1)
            fail_msg("%s: too early", t->label);
        bindings_sweep(&f.b, t->start_ms + t->timeout_ms, 100);
        if (flows_count(f.b.flows) != 0 || pins_count(f.b.pins) != 0)
            fail_msg("%s: too late", t->label);
        assert_int_equal(f.pool->backends[ONE].clients, 0);
        end(&f);
    }
}

/* A pin lives as long as any of its flows, and its time begins with the last packet of any of them. */
static void test_a_pin_outlives_its_flows(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 8);
    add(&f, 1, 500, IKE_PORT_500, ONE, 1000);
    const uint32_t second = add(&f, 1, 4500, IKE_PORT_4500, ONE, 2000);
    bindings_confirm(&f.b, second, 2000);
    bindings_sweep(&f.b, 3999, 100);
    assert_int_equal(flows_count(f.b.flows), 2);
    bindings_sweep(&f.b, 4000, 100);
    assert_int_equal(flows_count(f.b.flows), 1); /* the first was half-open */
    flows_get(f.b.flows, second)->seen_ms = 50000;
    bindings_remove_flow(&f.b, second);
    bindings_sweep(&f.b, 109999, 100);
    assert_int_equal(pins_count(f.b.pins), 1);
    bindings_sweep(&f.b, 110000, 100);
    assert_int_equal(pins_count(f.b.pins), 0);
    end(&f);
}

/* A flow that was last used before the pin was does not set the pin's time back, the wrap notwithstanding. */
static void test_removal_never_sets_time_back(void **state)
{
    static const uint32_t bases[] = {100000, 500};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        begin(&f, 8);
        const uint32_t flow = add(&f, 1, 500, IKE_PORT_500, ONE, bases[i]);
        struct pin *pin = pin_of(&f, flow);
        bindings_confirm(&f.b, flow, bases[i]);
        pin->seen_ms = bases[i];
        flows_get(f.b.flows, flow)->seen_ms = bases[i] - 1000; /* in the second case: before the wrap */
        bindings_remove_flow(&f.b, flow);
        assert_int_equal(pin->seen_ms, bases[i]);
        end(&f);
    }
}

/* Services differ in their timeouts; the long one in front of the list must not keep the short one alive. */
static void test_each_service_has_its_timeouts(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 16);
    f.pool->backends[SOLO].source =
        snat_add(f.b.snat, &(struct addr){.bytes = {[10] = 0xff, 0xff, 10, 1, 0, 9}});
    add(&f, 1, 500, IKE_PORT_500, SOLO, 1000);
    add(&f, 1, 500, IKE_PORT_500, ONE, 1000);
    bindings_sweep(&f.b, 4000, 100);
    assert_int_equal(flows_count(f.b.flows), 1);
    bindings_sweep(&f.b, 6000, 100);
    assert_int_equal(flows_count(f.b.flows), 0);
    end(&f);
}

/* A sweep takes no more steps than it was told, ending an entry takes several, and the next one goes on from
 * there. */
static void test_sweep_goes_in_slices(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 64);
    for (uint32_t i = 0; i < 10; i++)
        bindings_confirm(&f.b, add(&f, i, 500, IKE_PORT_500, ONE, 1000), 1000);
    for (uint32_t left = 10; left > 0; left--) {
        assert_int_equal(flows_count(f.b.flows), left);
        bindings_sweep(&f.b, 61000, 2);
        support_check_bindings(&f.b);
    }
    assert_int_equal(flows_count(f.b.flows), 0);
    bindings_sweep(&f.b, 61000, 2); /* reaches the end ... */
    bindings_confirm(&f.b, add(&f, 1, 500, IKE_PORT_500, ONE, 70000), 70000);
    for (int i = 0; i < 20; i++) /* ... and begins again */
        bindings_sweep(&f.b, 130000, 2);
    assert_int_equal(flows_count(f.b.flows), 0);
    end(&f);
}

static void test_full_nat_source(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 16);
    const uint32_t a = add(&f, 1, 500, IKE_PORT_500, UNO, 10);
    const uint32_t b = add(&f, 1, 4500, IKE_PORT_4500, UNO, 10);
    /* One client has one source address, of the backend's family, on both ports. */
    assert_int_equal(flow_of(&f, a)->source, flow_of(&f, b)->source);
    for (uint32_t i = 2; i < 4; i++)
        assert_true(
            addr_is_v4(snat_addr(f.b.snat, flow_of(&f, add(&f, i, 500, IKE_PORT_500, UNO, 10))->source)));
    assert_in_range(flow_of(&f, a)->source_port, PORTS_FIRST, PORTS_LAST);
    end(&f);
}

static int try_flow(struct fixture *f, uint32_t client, uint16_t backend, enum drop_reason *reason)
{
    struct binding_request request = {
        .session = SESSION_NONE,
        .client = {.addr = support_addr_v4(client), .port = 4500},
        .service = f->pool->backends[backend].service,
        .port = IKE_PORT_4500,
        .backend = backend,
    };
    uint32_t flow;

    assert_int_equal(bindings_add_pin(&f->b, &request.client, backend, true, 5, &request.pin), 0);
    return bindings_add_flow(&f->b, &request, 5, &flow, reason);
}

static void test_refusals(void **state)
{
    enum drop_reason reason = DROP_REASON_COUNT;
    struct fixture f;
    uint16_t port;

    (void)state;
    begin(&f, 16);                                              /* flows: 32, of them 8 unconfirmed */
    assert_int_equal(try_flow(&f, 1, SOLO, &reason), ERR_FULL); /* no route known yet */
    assert_int_equal(reason, DROP_NO_SNAT_ADDRESS);

    const struct addr own = support_addr("10.1.0.9");
    f.pool->backends[SOLO].source = snat_add(f.b.snat, &own);
    for (uint32_t n = 0; n < PORTS_COUNT; n++)
        assert_int_equal(
            snat_take(f.b.snat, f.pool->backends[SOLO].source, f.pool->backends[SOLO].server, 1, &port), 0);
    assert_int_equal(try_flow(&f, 2, SOLO, &reason), ERR_FULL);
    assert_int_equal(reason, DROP_NO_SNAT_PORT);
    snat_release(f.b.snat, f.pool->backends[SOLO].source, f.pool->backends[SOLO].server, 1, 7777);
    assert_int_equal(try_flow(&f, 3, SOLO, &reason), 0); /* the one that came back */

    for (uint32_t i = 10; i < 17; i++)
        assert_int_equal(try_flow(&f, i, ONE, &reason), 0);
    assert_int_equal(try_flow(&f, 17, UNO, &reason), ERR_FULL);
    assert_int_equal(reason, DROP_TABLE_FULL);
    end(&f);
}

/* When the ports of one address are gone, the service's next one serves. */
static void test_the_next_address_serves(void **state)
{
    enum drop_reason reason;
    struct fixture f;
    uint16_t port;

    (void)state;
    begin(&f, 16);
    const struct addr first = support_addr("10.1.0.100"), last = support_addr("10.1.0.101");
    for (uint32_t n = 0; n < PORTS_COUNT; n++)
        assert_int_equal(
            snat_take(f.b.snat, snat_find(f.b.snat, &first), f.pool->backends[UNO].server, 1, &port), 0);
    for (uint32_t client = 1; client <= 4; client++)
        assert_int_equal(try_flow(&f, client, UNO, &reason), 0);
    uint32_t cursor = 0, budget = 100, flow;
    while ((flow = flows_next(f.b.flows, &cursor, &budget)) != FLOW_NONE)
        assert_int_equal(flow_of(&f, flow)->source, snat_find(f.b.snat, &last));
    end(&f);
}

/* Two VIPs share a server: what the server would see is the same, so the older flow gives way. */
static void test_a_rival_gives_way(void **state)
{
    static const struct support_service twins[] = {
        {.name = "a", .vips = {"203.0.113.10"}, .backends = {{"x", "10.1.0.1", 0, CONFIG_STATE_ENABLED}}},
        {.name = "b", .vips = {"203.0.113.11"}, .backends = {{"y", "10.1.0.1", 0, CONFIG_STATE_ENABLED}}},
    };
    struct fixture f = {.pool = support_pool(twins, 2)};

    (void)state;
    assert_int_equal(bindings_init(&f.b, f.pool, 8, 1), 0);
    const uint32_t a = add(&f, 1, 500, IKE_PORT_500, 0, 10);
    const uint32_t pin_a = flow_of(&f, a)->pin;
    const uint32_t b = add(&f, 1, 500, IKE_PORT_500, 1, 20);
    const struct flow_out_key key = flow_out_key(flow_of(&f, b));
    assert_int_equal(flows_find_out(f.b.flows, &key), b);
    assert_int_equal(flow_of(&f, b)->backend, 1);
    assert_int_equal(flows_count(f.b.flows), 1);
    assert_int_equal(pins_get(f.b.pins, pin_a)->flow_count, 0);
    add(&f, 1, 4500, IKE_PORT_4500, 0, 30); /* another port is no rival */
    assert_int_equal(flows_count(f.b.flows), 2);
    end(&f);
}

/* Somebody who fakes a client's address towards the other VIP must not end its tunnel. */
static void test_a_rival_in_use_stays(void **state)
{
    static const struct support_service twins[] = {
        {.name = "a",
         .vips = {"203.0.113.10"},
         .half_open_timeout_ms = 3000,
         .idle_timeout_ms = 60000,
         .backends = {{"x", "10.1.0.1", 0, CONFIG_STATE_ENABLED}}},
        {.name = "b", .vips = {"203.0.113.11"}, .backends = {{"y", "10.1.0.1", 0, CONFIG_STATE_ENABLED}}},
    };
    struct fixture f = {.pool = support_pool(twins, 2)};
    struct binding_request request = {.session = SESSION_NONE,
                                      .client = {.addr = support_addr_v4(1), .port = 4500},
                                      .service = 1,
                                      .port = IKE_PORT_4500,
                                      .backend = 1};
    enum drop_reason reason;
    uint32_t flow;

    (void)state;
    assert_int_equal(bindings_init(&f.b, f.pool, 16, 1), 0);
    const uint32_t held = add(&f, 1, 4500, IKE_PORT_4500, 0, 1000);
    bindings_confirm(&f.b, held, 1000);
    assert_int_equal(bindings_add_pin(&f.b, &request.client, 1, false, 1000, &request.pin), 0);
    assert_int_equal(bindings_add_flow(&f.b, &request, 3999, &flow, &reason), ERR_EXISTS);
    assert_true(is_live(&f, held));
    support_check_bindings(&f.b);
    flows_get(f.b.flows, held)->seen_ms = 3999; /* what the server still sends does not keep it */
    assert_int_equal(bindings_add_flow(&f.b, &request, 4000, &flow, &reason), 0); /* silent for too long */
    assert_int_equal(flow_of(&f, flow)->backend, 1);
    assert_int_equal(flows_count(f.b.flows), 1);
    end(&f);
}

/* Where clients behind one address are spread, a port that a pin has used may have become another's. */
static void test_a_port_changes_hands(void **state)
{
    static const struct support_service spread = {
        .name = "vpn",
        .vips = {"203.0.113.10"},
        .spread_nat = true,
        .backends = {{"one", "10.1.0.1", 0, CONFIG_STATE_ENABLED}},
    };
    struct fixture f = {.pool = support_pool(&spread, 1)};
    struct binding_request request = {
        .client = {.addr = support_addr_v4(1), .port = 4501}, .port = IKE_PORT_4500, .session = SESSION_NONE};
    enum drop_reason reason;
    uint32_t flow;

    (void)state;
    assert_int_equal(bindings_init(&f.b, f.pool, 16, 1), 0);
    request.pin = flow_of(&f, add(&f, 1, 500, IKE_PORT_500, 0, 10))->pin;
    assert_int_equal(bindings_add_flow(&f.b, &request, 10, &flow, &reason), 0);
    const struct pin *first = pins_get(f.b.pins, request.pin);
    assert_int_equal(bindings_flow_of_pin(&f.b, first, IKE_PORT_4500), flow);
    bindings_remove_flow(&f.b, flow);
    assert_int_equal(bindings_flow_of_pin(&f.b, first, IKE_PORT_4500), FLOW_NONE);
    flow = add(&f, 1, 4501, IKE_PORT_4500, 0, 20);
    assert_int_equal(bindings_flow_of_pin(&f.b, pin_of(&f, flow), IKE_PORT_4500), flow);
    assert_int_equal(bindings_flow_of_pin(&f.b, first, IKE_PORT_4500), FLOW_NONE);
    assert_int_not_equal(bindings_flow_of_pin(&f.b, first, IKE_PORT_500), FLOW_NONE);
    end(&f);
}

/* A session's slot is used again, often by the next handshake of the same pin: the flow has not seen that. */
static void test_a_flow_knows_its_session(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 16);
    const uint32_t index = add(&f, 1, 500, IKE_PORT_500, ONE, 10);
    struct flow *flow = flows_get(f.b.flows, index);
    struct tracking *t = &f.b.tracking;
    assert_int_equal(bindings_session_of_flow(&f.b, flow), SESSION_NONE);
    const uint32_t session = begin_session(&f, index, true);
    bindings_see_session(&f.b, flow, session);
    assert_int_equal(bindings_session_of_flow(&f.b, flow), session);
    tracking_end(t, session, 20);
    assert_int_equal(bindings_session_of_flow(&f.b, flow), SESSION_NONE);
    assert_int_equal(begin_session(&f, index, true), session); /* the same slot */
    assert_int_equal(bindings_session_of_flow(&f.b, flow), SESSION_NONE);
    bindings_see_session(&f.b, flow, session);
    assert_int_equal(bindings_session_of_flow(&f.b, flow), session);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_unanswered_handshakes_are_counted),
        cmocka_unit_test(test_expiry_to_the_millisecond),
        cmocka_unit_test(test_a_pin_outlives_its_flows),
        cmocka_unit_test(test_removal_never_sets_time_back),
        cmocka_unit_test(test_each_service_has_its_timeouts),
        cmocka_unit_test(test_sweep_goes_in_slices),
        cmocka_unit_test(test_full_nat_source),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_the_next_address_serves),
        cmocka_unit_test(test_a_rival_gives_way),
        cmocka_unit_test(test_a_rival_in_use_stays),
        cmocka_unit_test(test_a_port_changes_hands),
        cmocka_unit_test(test_a_flow_knows_its_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
