#include "tests/unit/unit.h"

#include "tests/unit/support.h"

/* Clients that go elsewhere, and others that pretend to be them, through the whole dataplane in both modes.
 */

#define IDLE_MS      60000
#define HALF_OPEN_MS 3000
#define MAX_CLIENTS  400

static const struct support_service transparent = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .schedule = CONFIG_SCHEDULE_ROUND_ROBIN,
    .idle_timeout_ms = IDLE_MS,
    .half_open_timeout_ms = HALF_OPEN_MS,
    .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED}, {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED}},
};

static void begin(struct support_net *net, int full_nat)
{
    struct support_service service = transparent;

    if (full_nat) {
        service.mode = CONFIG_MODE_FULL_NAT;
        service.snats[0] = "10.1.0.100";
    }
    support_net_init(net, &service, 1, MAX_CLIENTS);
}

static struct endpoint home(uint16_t port)
{
    return support_endpoint("198.51.100.1", port);
}

static struct session *session_of(struct support_net *net, struct support_sa sa)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    struct ike_datagram d = {0};
    const size_t len = support_message(SUPPORT_AUTH, IKE_PORT_4500, sa, data);

    assert_int_not_equal(classify_datagram(data, len, true, &d), IKE_CLASS_GARBAGE);
    struct sessions *sessions = net->dp.bindings.tracking.sessions;
    const uint32_t index = sessions_find(sessions, 0, &d.header.spi_i, &d.header.spi_r);
    assert_int_not_equal(index, SESSION_NONE);
    return sessions_get(sessions, index);
}

static void assert_sent(const struct verdict *v, uint16_t backend)
{
    assert_int_equal(v->action, VERDICT_TO_BACKEND);
    assert_int_equal(v->backend, backend);
}

/* What the backend sends there reaches the client. */
static void assert_answered(struct support_net *net, const struct verdict *to, enum support_kind kind,
                            struct endpoint client)
{
    const struct verdict v = support_reply(net, to, kind);

    assert_int_equal(v.action, VERDICT_TO_CLIENT);
    assert_true(endpoint_equal(&v.dst, &client));
}

/* A tunnel at home works, as it did when the backend was sent `before`: the same flow, the same source. */
static void assert_whole(struct support_net *net, const struct verdict *before, struct endpoint client)
{
    const struct support_sa sa = net->sa;

    net->sa = (struct support_sa){0};
    const struct flow *flow = support_flow(net, 0, client, IKE_PORT_4500);
    assert_non_null(flow);
    assert_true(flow->flags & FLOW_CONFIRMED);
    assert_int_equal(flow->backend, before->backend);
    const struct pin *pin = support_pin(net, 0, client.addr);
    assert_true(pin->flags & PIN_CONFIRMED);
    assert_false(pin->flags & PIN_LEFT);
    assert_int_equal(pin->backend, before->backend);
    assert_ptr_equal(pins_get(net->dp.bindings.pins, session_of(net, support_sa_of(net, &client.addr))->pin),
                     pin);
    assert_answered(net, before, SUPPORT_ESP, client);
    const struct verdict v = support_from_client(net, 0, client, IKE_PORT_4500, SUPPORT_ESP);
    assert_sent(&v, before->backend);
    assert_true(endpoint_equal(&v.src, &before->src));
    net->sa = sa;
}

/* RFC 4555: the client asks from its new address; until its backend has answered there the old path stays. */
static void test_mobike(void **state)
{
    (void)state;
    for (int full_nat = 0; full_nat < 2; full_nat++) {
        const struct endpoint old = home(4500), new = support_endpoint("192.0.2.77", 1234);
        struct support_net net;
        begin(&net, full_nat);
        support_establish(
            &net, 0, support_endpoint("198.51.100.9", 4500)); /* so that backends are not those of hashes */
        const struct verdict before = support_establish(&net, 0, old);
        net.sa = support_sa_of(&net, &old.addr);
        const struct verdict asked = support_from_client(&net, 0, new, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
        assert_sent(&asked, before.backend);
        assert_false(support_pin(&net, 0, new.addr)->flags & PIN_CONFIRMED);
        assert_whole(&net, &before, old);

        assert_answered(&net, &asked, SUPPORT_INFORMATIONAL_ANSWER, new);
        const struct pin *pin = support_pin(&net, 0, new.addr);
        assert_true(pin->flags & PIN_CONFIRMED);
        assert_int_equal(pin->backend, before.backend);
        assert_int_equal(pin->stage, STAGE_ESTABLISHED);
        assert_int_equal(net.pool->services[0].roams_total[ROAM_MOBIKE], 1);
        assert_true(support_flow(&net, 0, old, IKE_PORT_4500)->flags & FLOW_LEFT);
        assert_true(support_pin(&net, 0, old.addr)->flags & PIN_LEFT);
        const struct verdict esp = support_from_client(&net, 0, new, IKE_PORT_4500, SUPPORT_ESP);
        assert_sent(&esp, before.backend);
        assert_answered(&net, &esp, SUPPORT_ESP, new);
        support_net_deinit(&net);
    }
}

/* A backend may be the first to use the new path, with a request of its own. */
static void test_the_backend_asks_first(void **state)
{
    (void)state;
    for (int full_nat = 0; full_nat < 2; full_nat++) {
        const struct endpoint old = home(4500), new = support_endpoint("192.0.2.77", 1234);
        struct support_net net;
        begin(&net, full_nat);
        const struct verdict before = support_establish(&net, 0, old);
        net.sa = support_sa_of(&net, &old.addr);
        const struct verdict asked = support_from_client(&net, 0, new, IKE_PORT_4500, SUPPORT_AUTH);
        assert_sent(&asked, before.backend);
        assert_answered(&net, &asked, SUPPORT_AUTH_ANSWER, new); /* the answer of long ago, once more */
        assert_int_equal(net.pool->services[0].roams_total[ROAM_MOBIKE], 0);
        assert_false(support_pin(&net, 0, new.addr)->flags & PIN_CONFIRMED);
        assert_answered(&net, &asked, SUPPORT_INFORMATIONAL, new);
        assert_int_equal(net.pool->services[0].roams_total[ROAM_MOBIKE], 1);
        support_net_deinit(&net);
    }
}

/* What is left behind lives for seconds, unless it is used again; a keepalive is no use. */
static void test_what_is_left_behind(void **state)
{
    static const struct {
        enum support_kind kind;
        bool stays;
    } uses[] = {{SUPPORT_KEEPALIVE, false}, {SUPPORT_ESP, true}};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const struct endpoint old = home(4500), new = support_endpoint("192.0.2.77", 1234);
        struct support_net net;
        begin(&net, i & 1);
        support_establish(&net, 0, old);
        net.now_ms += HALF_OPEN_MS; /* the flow of port 500 was never confirmed */
        dataplane_sweep(&net.dp, net.now_ms, 10000);
        net.sa = support_sa_of(&net, &old.addr);
        const struct verdict v = support_from_client(&net, 0, new, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
        assert_answered(&net, &v, SUPPORT_INFORMATIONAL_ANSWER, new);
        support_from_client(&net, 0, old, IKE_PORT_4500, uses[i / 2].kind);
        net.now_ms += HALF_OPEN_MS - 1;
        dataplane_sweep(&net.dp, net.now_ms, 10000);
        assert_int_equal(flows_count(net.dp.bindings.flows), 2);
        assert_int_equal(pins_count(net.dp.bindings.pins), 2);
        net.now_ms += 1;
        dataplane_sweep(&net.dp, net.now_ms, 10000);
        assert_int_equal(flows_count(net.dp.bindings.flows), 1 + uses[i / 2].stays);
        assert_int_equal(pins_count(net.dp.bindings.pins), 1 + uses[i / 2].stays);
        assert_non_null(support_flow(&net, 0, new, IKE_PORT_4500));
        support_net_deinit(&net);
    }
}

/* There and back again: the pin at home is its client's as before. */
static void test_coming_back(void **state)
{
    (void)state;
    for (int full_nat = 0; full_nat < 2; full_nat++) {
        const struct endpoint old = home(4500), new = support_endpoint("192.0.2.77", 1234);
        struct support_net net;
        begin(&net, full_nat);
        const struct verdict before = support_establish(&net, 0, old);
        net.sa = support_sa_of(&net, &old.addr);
        for (uint32_t i = 0; i < 4; i++) {
            net.sa.message_id = 10 + i;
            const struct endpoint at = i % 2 ? old : new;
            const struct verdict v = support_from_client(&net, 0, at, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
            assert_sent(&v, before.backend);
            assert_answered(&net, &v, SUPPORT_INFORMATIONAL_ANSWER, at);
            net.now_ms += 1000;
        }
        assert_int_equal(net.pool->services[0].roams_total[ROAM_MOBIKE], 4);
        assert_whole(&net, &before, old);
        support_net_deinit(&net);
    }
}

/* A NAT gives the client another port, as its ESP or its IKE shows; the pin may lead elsewhere by now. */
static void test_rebinding(void **state)
{
    static const enum support_kind asks[] = {SUPPORT_ESP, SUPPORT_INFORMATIONAL};
    static const enum support_kind answers[] = {SUPPORT_ESP, SUPPORT_INFORMATIONAL_ANSWER};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const struct endpoint old = home(4500), new = home(1234);
        struct support_net net;
        begin(&net, i & 1);
        const struct verdict before = support_establish(&net, 0, old);
        support_from_client(&net, 0, old, IKE_PORT_4500, SUPPORT_ESP); /* its SPI is seen on a proved flow */
        struct pin *pin = support_pin(&net, 0, old.addr);
        bindings_move_pin(&net.dp.bindings, support_flow(&net, 0, old, IKE_PORT_4500)->pin,
                          1 - before.backend);
        const struct verdict v = support_from_client(&net, 0, new, IKE_PORT_4500, asks[i / 2]);
        assert_sent(&v, before.backend);
        assert_false(support_flow(&net, 0, old, IKE_PORT_4500)->flags & FLOW_LEFT);
        assert_int_equal(pin->roams, 0);
        assert_answered(&net, &v, answers[i / 2], new);
        assert_answered(&net, &v, SUPPORT_ESP, new);
        assert_true(support_flow(&net, 0, old, IKE_PORT_4500)->flags & FLOW_LEFT);
        assert_true(support_flow(&net, 0, new, IKE_PORT_4500)->flags & FLOW_CONFIRMED);
        assert_int_equal(session_of(&net, support_sa_of(&net, &old.addr))->story.client_port, 1234);
        assert_int_equal(pin->roams, 1);
        assert_int_equal(net.pool->services[0].roams_total[ROAM_REBIND], 1);
        assert_int_equal(net.pool->services[0].roams_total[ROAM_MOBIKE], 0);
        support_net_deinit(&net);
    }
}

/* The same of a tunnel whose handshake was before our time: it is counted once. */
static void test_rebinding_without_a_session(void **state)
{
    (void)state;
    for (int full_nat = 0; full_nat < 2; full_nat++) {
        const struct endpoint old = home(4500), new = home(1234);
        struct support_net net;
        begin(&net, full_nat);
        struct verdict v = support_from_client(&net, 0, old, IKE_PORT_4500, SUPPORT_ESP);
        const uint16_t backend = v.backend;
        assert_answered(&net, &v, SUPPORT_ESP, old);
        support_from_client(&net, 0, old, IKE_PORT_4500, SUPPORT_ESP);
        v = support_from_client(&net, 0, new, IKE_PORT_4500, SUPPORT_ESP);
        assert_sent(&v, backend);
        for (int i = 0; i < 3; i++)
            assert_answered(&net, &v, SUPPORT_ESP, new);
        assert_int_equal(net.pool->services[0].roams_total[ROAM_REBIND], 1);
        assert_int_equal(support_pin(&net, 0, old.addr)->roams, 1);
        support_net_deinit(&net);
    }
}

/* Half a pair, a guessed one, or none: nothing goes to the session's backend on account of it. */
static void test_guesses(void **state)
{
    (void)state;
    for (int full_nat = 0; full_nat < 2; full_nat++) {
        const struct endpoint victim = home(4500);
        struct support_net net;
        begin(&net, full_nat);
        const struct verdict before = support_establish(&net, 0, victim);
        const struct support_sa real = support_sa_of(&net, &victim.addr);
        const uint8_t moves_left = session_of(&net, real)->moves_left;
        for (uint32_t i = 0; i < 60; i++) {
            const struct endpoint thief = {.addr = support_addr_v4(i), .port = 4500};
            net.sa = real;
            if (i % 3 != 0)
                net.sa.spi_i ^= (uint64_t)1 << i;
            if (i % 3 != 1)
                net.sa.spi_r ^= (uint64_t)1 << i;
            const struct verdict v =
                support_from_client(&net, 0, thief, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
            assert_int_equal(v.action, VERDICT_TO_BACKEND);
            assert_false(support_flow(&net, 0, thief, IKE_PORT_4500)->flags & FLOW_MOVED);
        }
        assert_whole(&net, &before, victim);
        assert_int_equal(session_of(&net, real)->moves_left, moves_left);
        support_net_deinit(&net);
    }
}

/*
 * Messages of the victim, copied from the path, come from very many addresses, and its server answers each of
 * them as it did before: no proved pin comes of it, and few of the others.
 */
static void test_replays(void **state)
{
    static const enum support_kind copies[] = {SUPPORT_AUTH, SUPPORT_INIT, SUPPORT_INFORMATIONAL,
                                               SUPPORT_ESP};
    static const enum support_kind answers[] = {SUPPORT_AUTH_ANSWER, SUPPORT_INIT_ANSWER,
                                                SUPPORT_INFORMATIONAL_ANSWER, SUPPORT_KEEPALIVE};

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        const struct endpoint victim = home(4500);
        struct support_net net;
        begin(&net, i & 1);
        const struct verdict before = support_establish(&net, 0, victim);
        const struct verdict dpd = support_from_client(&net, 0, victim, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
        assert_answered(&net, &dpd, SUPPORT_INFORMATIONAL_ANSWER, victim);
        const struct support_sa real = support_sa_of(&net, &victim.addr);
        for (uint32_t n = 0; n < 5000; n++) {
            const struct endpoint thief = {.addr = support_addr_v4(n), .port = (uint16_t)(4500 + n % 2)};
            net.sa = real;
            net.now_ms += n % 10 == 0;
            const struct verdict v = support_from_client(&net, 0, thief, IKE_PORT_4500, copies[i / 2]);
            if (v.action == VERDICT_TO_BACKEND)
                (void)support_reply(&net, &v, answers[i / 2]);
            if (n % 500 == 0)
                assert_whole(&net, &before, victim);
        }
        assert_whole(&net, &before, victim);
        struct bindings *b = &net.dp.bindings;
        assert_int_equal(pins_count(b->pins) - pins_unconfirmed_count(b->pins), 1);
        assert_int_equal(flows_count(b->flows) - flows_unconfirmed_count(b->flows), 1);
        assert_in_range(pins_unconfirmed_count(b->pins), 0, MAX_CLIENTS / BINDINGS_UNCONFIRMED_PART);
        assert_int_equal(net.pool->services[0].roams_total[ROAM_MOBIKE], 0);
        assert_int_equal(net.pool->services[0].roams_total[ROAM_REBIND], 0);
        net.sa = (struct support_sa){0};
        net.now_ms += HALF_OPEN_MS;
        for (int n = 0; n < 10; n++)
            dataplane_sweep(&net.dp, net.now_ms, 10000);
        assert_int_equal(pins_count(b->pins), 1);
        assert_int_equal(sessions_count(b->tracking.sessions), 1);
        support_net_deinit(&net);
    }
}

/* A session has few moves: replays of it from many addresses make as few pins. */
static void test_moves_are_limited(void **state)
{
    (void)state;
    for (int full_nat = 0; full_nat < 2; full_nat++) {
        const struct endpoint victim = home(4500);
        struct support_net net;
        begin(&net, full_nat);
        const struct verdict before = support_establish(&net, 0, victim);
        net.sa = support_sa_of(&net, &victim.addr);
        net.now_ms += SESSION_MOVE_REGAIN_MS; /* what the way to 4500 has cost is regained */
        for (uint32_t n = 0; n < 50; n++) {
            const struct endpoint thief = {.addr = support_addr_v4(n), .port = 4500};
            const struct verdict v =
                support_from_client(&net, 0, thief, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
            if (full_nat && n >= SESSION_MOVES_MAX)
                assert_int_equal(v.reason, DROP_RATE_LIMITED);
            else
                assert_sent(&v, before.backend);
        }
        assert_int_equal(pins_count(net.dp.bindings.pins), 1 + SESSION_MOVES_MAX);
        assert_int_equal(net.dp.drops[DROP_RATE_LIMITED], full_nat ? 50 - SESSION_MOVES_MAX : 0);
        assert_whole(&net, &before, victim);
        support_net_deinit(&net);
    }
}

/* No pin can be had any more: all are of confirmed clients. */
static void fill_pins(struct support_net *net)
{
    struct bindings *b = &net->dp.bindings;
    uint32_t pin;

    for (uint32_t n = 0; pins_has_room(b->pins); n++) {
        const struct endpoint client = {.addr = support_addr_v4(1000 + n)};
        assert_int_equal(bindings_add_pin(b, &client, 0, true, net->now_ms, &pin), 0);
    }
}

/* Without room, too, it is told which packets are dropped for want of it and which as too many. */
static void test_the_limit_without_room(void **state)
{
    const struct endpoint victim = home(4500);
    struct support_net net;

    (void)state;
    begin(&net, true);
    support_establish(&net, 0, victim);
    fill_pins(&net);
    net.sa = support_sa_of(&net, &victim.addr);
    net.now_ms += SESSION_MOVE_REGAIN_MS;
    for (uint32_t n = 0; n < 10; n++) {
        const struct endpoint thief = {.addr = support_addr_v4(n), .port = 4500};
        const struct verdict v = support_from_client(&net, 0, thief, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
        assert_int_equal(v.action, VERDICT_DROP);
        assert_int_equal(v.reason, n < SESSION_MOVES_MAX ? DROP_TABLE_FULL : DROP_RATE_LIMITED);
    }
    support_net_deinit(&net);
}

/* What a server answers to a client that gets no flow is answered, and proves nothing a second time. */
static void test_answers_without_a_flow(void **state)
{
    const struct endpoint old = home(4500), new = support_endpoint("192.0.2.77", 1234);
    struct support_net net;

    (void)state;
    begin(&net, false);
    const struct verdict before = support_establish(&net, 0, old);
    fill_pins(&net);
    net.sa = support_sa_of(&net, &old.addr);
    net.sa.message_id = 20;
    const struct verdict v = support_from_client(&net, 0, new, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
    assert_sent(&v, before.backend);
    assert_answered(&net, &v, SUPPORT_INFORMATIONAL_ANSWER, new);
    assert_null(support_flow(&net, 0, new, IKE_PORT_4500));
    assert_int_equal(session_of(&net, net.sa)->next_id, 21);
    support_net_deinit(&net);
}

/* From IPv6 to IPv4: transparent mode has no packet for the old server, and takes it for a stranger's. */
static void test_the_other_family(void **state)
{
    static const struct support_service dual = {
        .name = "vpn",
        .vips = {"203.0.113.10", "2001:db8::10"},
        .snats = {"10.1.0.100", "2001:db8:1::100"},
        .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                     {"b", "2001:db8:1::1", 0, CONFIG_STATE_ENABLED}},
    };

    (void)state;
    for (int full_nat = 0; full_nat < 2; full_nat++) {
        const struct endpoint old = support_endpoint("2001:db8:2::1", 4500), new = home(4500);
        struct support_service service = dual;
        struct support_net net;
        if (full_nat)
            service.mode = CONFIG_MODE_FULL_NAT;
        else
            service.snats[0] = NULL;
        support_net_init(&net, &service, 1, MAX_CLIENTS);
        assert_int_equal(support_establish(&net, 0, old).backend, 1);
        net.sa = support_sa_of(&net, &old.addr);
        const struct verdict v = support_from_client(&net, 0, new, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
        assert_sent(&v, full_nat ? 1 : 0);
        assert_int_equal(addr_family(&v.src.addr), addr_family(&v.dst.addr));
        support_net_deinit(&net);
    }
}

/*
 * Somebody with a tunnel of his own sends its messages as from the victim's address and port, to another
 * backend than the victim's: the victim's flow stays, even if its backend has been quiet for long.
 */
static void test_a_session_of_ones_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const struct endpoint victim = home(4500), thief = support_endpoint("192.0.2.66", 4500);
        struct support_net net;
        begin(&net, i & 1);
        const struct verdict before = support_establish(&net, 0, victim);
        assert_int_not_equal(support_establish(&net, 0, thief).backend, before.backend);
        if (i & 2)
            net.now_ms += 10 * HALF_OPEN_MS; /* idle, but not gone */
        net.sa = support_sa_of(&net, &thief.addr);
        for (int n = 0; n < 3; n++) {
            const struct verdict v =
                support_from_client(&net, 0, victim, IKE_PORT_4500, SUPPORT_INFORMATIONAL);
            if (v.action == VERDICT_TO_BACKEND)
                (void)support_reply(&net, &v, SUPPORT_INFORMATIONAL_ANSWER);
            assert_whole(&net, &before, victim);
        }
        support_net_deinit(&net);
    }
}

/*
 * First messages as from the victim's address and port, such as its server leaves without an answer, come
 * again and again while nothing else is heard from that server: they take nothing from the living tunnel.
 */
static void test_forged_handshakes(void **state)
{
    (void)state;
    for (int full_nat = 0; full_nat < 2; full_nat++) {
        const struct endpoint victim = home(4500);
        struct support_net net;
        begin(&net, full_nat);
        const struct verdict before = support_establish(&net, 0, victim);
        for (int n = 0; n < 10; n++) {
            net.now_ms += 250;
            net.sa.spi_i = 0x1234;
            const struct verdict v = support_from_client(&net, 0, victim, IKE_PORT_4500, SUPPORT_INIT);
            assert_sent(&v, before.backend);
        }
        net.sa = (struct support_sa){0};
        assert_whole(&net, &before, victim);
        support_net_deinit(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mobike),
        cmocka_unit_test(test_the_backend_asks_first),
        cmocka_unit_test(test_what_is_left_behind),
        cmocka_unit_test(test_coming_back),
        cmocka_unit_test(test_rebinding),
        cmocka_unit_test(test_rebinding_without_a_session),
        cmocka_unit_test(test_guesses),
        cmocka_unit_test(test_replays),
        cmocka_unit_test(test_moves_are_limited),
        cmocka_unit_test(test_the_limit_without_room),
        cmocka_unit_test(test_answers_without_a_flow),
        cmocka_unit_test(test_the_other_family),
        cmocka_unit_test(test_a_session_of_ones_own),
        cmocka_unit_test(test_forged_handshakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
