#include "tests/unit/unit.h"

#include "lb/dataplane.h"
#include "tests/unit/support.h"

enum { VPN, FULL }; /* services: transparent and full NAT, each for both families, on servers of their own */
enum { VPN_A, VPN_B, VPN_SIX, FULL_A, FULL_B, FULL_SIX };

static const struct support_service services[] = {
    {.name = "vpn",
     .vips = {"203.0.113.10", "2001:db8::10"},
     .schedule = CONFIG_SCHEDULE_ROUND_ROBIN,
     .idle_timeout_ms = 60000,
     .half_open_timeout_ms = 3000,
     .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                  {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED},
                  {"six", "2001:db8:1::1", 0, CONFIG_STATE_ENABLED}}},
    {.name = "full",
     .vips = {"203.0.113.11", "2001:db8::11"},
     .mode = CONFIG_MODE_FULL_NAT,
     .schedule = CONFIG_SCHEDULE_ROUND_ROBIN,
     .snats = {"10.2.0.100", "2001:db8:2::100"},
     .idle_timeout_ms = 60000,
     .half_open_timeout_ms = 3000,
     .backends = {{"a", "10.2.0.1", 0, CONFIG_STATE_ENABLED},
                  {"b", "10.2.0.2", 0, CONFIG_STATE_ENABLED},
                  {"six", "2001:db8:2::1", 0, CONFIG_STATE_ENABLED}}},
};

static int set_up(void **state)
{
    return support_net_set_up(state, services, 2, 1000);
}

static struct endpoint client_of(int number, int family_six, uint16_t port)
{
    struct endpoint e = support_endpoint(family_six ? "2001:db8:c::1" : "198.51.100.1", port);

    e.addr.bytes[15] = (uint8_t)number;
    return e;
}

static void assert_endpoint(const struct endpoint *e, const char *addr, uint16_t port)
{
    char text[ADDR_TEXT_MAX];

    assert_string_equal(addr_format(&e->addr, text), addr);
    assert_int_equal(e->port, port);
}

static void assert_drop(struct support_net *net, const struct verdict *v, enum drop_reason reason)
{
    uint64_t sum = 0;

    assert_int_equal(v->action, VERDICT_DROP);
    assert_string_equal(drop_reason_name(v->reason), drop_reason_name(reason));
    assert_int_equal(net->dp.drops[reason], 1);
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        sum += net->dp.drops[i];
    assert_int_equal(sum, 1);
    net->dp.drops[reason] = 0;
}

/* A handshake and traffic; the backend that it happened at. */
static uint16_t establish(struct support_net *net, uint16_t service, struct endpoint on_500,
                          struct endpoint on_4500)
{
    struct verdict v = support_from_client(net, service, on_500, IKE_PORT_500, SUPPORT_INIT);

    assert_int_equal(support_reply(net, &v, SUPPORT_INIT_ANSWER).action, VERDICT_TO_CLIENT);
    v = support_from_client(net, service, on_4500, IKE_PORT_4500, SUPPORT_AUTH);
    assert_int_equal(support_reply(net, &v, SUPPORT_AUTH_ANSWER).action, VERDICT_TO_CLIENT);
    v = support_from_client(net, service, on_4500, IKE_PORT_4500, SUPPORT_ESP);
    assert_int_equal(support_reply(net, &v, SUPPORT_ESP).action, VERDICT_TO_CLIENT);
    assert_int_equal(support_pin(net, service, on_4500.addr)->stage, STAGE_ESTABLISHED);
    return v.backend;
}

struct way {
    uint16_t service;
    int six;
    const char *vip;
    const char *snat; /* NULL: transparent */
};

static const struct way ways[] = {
    {VPN, 0, "203.0.113.10", NULL},
    {VPN, 1, "2001:db8::10", NULL},
    {FULL, 0, "203.0.113.11", "10.2.0.100"},
    {FULL, 1, "2001:db8::11", "2001:db8:2::100"},
};

/* There and back on both ports, in both modes and both families: every field of the verdict. */
static void test_there_and_back(void **state)
{
    static const enum support_kind kinds[2][2] = {{SUPPORT_INIT, SUPPORT_INIT_ANSWER},
                                                  {SUPPORT_ESP, SUPPORT_ESP}};
    struct support_net *net = *state;

    for (size_t i = 0; i < 4; i++) {
        const struct way *w = &ways[i];
        const struct endpoint client = client_of(1, w->six, 40000);
        uint16_t first = POOL_NONE;
        for (enum ike_port port = IKE_PORT_500; port <= IKE_PORT_4500; port++) {
            const bool is_esp = port == IKE_PORT_4500;
            const struct verdict in = support_from_client(net, w->service, client, port, kinds[port][0]);
            assert_int_equal(in.action, VERDICT_TO_BACKEND);
            assert_true(addr_equal(&in.dst.addr, &net->pool->backends[in.backend].addr));
            assert_int_equal(in.dst.port, is_esp ? 4500 : 500);
            assert_int_equal(in.may_omit_checksum, is_esp && !w->six);
            assert_int_not_equal(in.id, 0);
            assert_true(first == POOL_NONE || in.backend == first); /* both ports, one backend */
            first = in.backend;
            if (w->snat)
                assert_endpoint(&in.src, w->snat, in.src.port);
            else
                assert_true(endpoint_equal(&in.src, &client));

            const struct verdict out = support_reply(net, &in, kinds[port][1]);
            assert_int_equal(out.action, VERDICT_TO_CLIENT);
            assert_endpoint(&out.src, w->vip, is_esp ? 4500 : 500);
            assert_true(endpoint_equal(&out.dst, &client));
            assert_int_equal(out.service, w->service);
            assert_int_equal(out.port, port);
            assert_int_equal(out.backend, in.backend);
            assert_int_equal(out.may_omit_checksum, is_esp && !w->six);
            assert_int_equal(out.id, in.id == UINT16_MAX ? 1 : in.id + 1); /* one row for both directions */
        }
        const struct backend *b = &net->pool->backends[first];
        assert_int_equal(b->service, w->service);
        assert_int_equal(b->traffic[TRAFFIC_IN].packets, 2);
        assert_int_equal(b->traffic[TRAFFIC_OUT].packets, 2);
        assert_int_equal(b->traffic[TRAFFIC_IN].bytes, 40 + 12);
        assert_int_equal(b->clients, 1);
    }
}

/* Fifty clients on two backends: whatever the ports, each client has one backend. */
static void test_both_ports_at_one_backend(void **state)
{
    struct support_net *net = *state;

    for (int i = 1; i <= 50; i++) {
        for (uint16_t service = VPN; service <= FULL; service++) {
            const uint16_t b = establish(net, service, client_of(i, 0, 500), client_of(i, 0, 4500));
            const struct endpoint rebound = client_of(i, 0, (uint16_t)(30000 + i));
            assert_int_equal(support_from_client(net, service, rebound, IKE_PORT_4500, SUPPORT_ESP).backend,
                             b);
            assert_int_equal(support_from_client(net, service, rebound, IKE_PORT_500, SUPPORT_INIT).backend,
                             b);
        }
    }
    assert_int_equal(net->pool->backends[VPN_A].clients, 25);
    assert_int_equal(net->pool->backends[VPN_B].clients, 25);
}

struct drop_case {
    const char *label;
    struct packet packet;
    uint8_t data[40];
    enum drop_reason reason;
};

#define IKE_HEADER(version, exchange, length)                                                                \
    1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 33, version, exchange, 8, 0, 0, 0, 0, 0, 0, 0, length

static const struct drop_case drop_cases[] = {
    {"too short", {.len = 27}, {IKE_HEADER(0x20, 34, 28)}, DROP_TOO_SHORT},
    {"empty", {.len = 0}, {0}, DROP_TOO_SHORT},
    {"zero SPI", {.len = 28}, {0}, DROP_ZERO_SPI},
    {"version", {.len = 28}, {IKE_HEADER(0x00, 34, 28)}, DROP_BAD_IKE_VERSION},
    {"exchange", {.len = 28}, {IKE_HEADER(0x20, 2, 28)}, DROP_BAD_IKE_EXCHANGE},
    {"length", {.len = 28}, {IKE_HEADER(0x20, 34, 29)}, DROP_BAD_IKE_LENGTH},
    {"short ESP", {.len = 7, .port = IKE_PORT_4500}, {1, 2, 3, 4, 5, 6, 7}, DROP_TOO_SHORT},
    {"TTL 1", {.len = 28, .ttl = 1}, {IKE_HEADER(0x20, 34, 28)}, DROP_TTL_EXPIRED},
    {"TTL 0", {.len = 1, .ttl = 0}, {0xff}, DROP_TTL_EXPIRED},
};

static void test_garbage_is_dropped_from_both_sides(void **state)
{
    struct support_net *net = *state;

    for (size_t i = 0; i < sizeof drop_cases / sizeof drop_cases[0]; i++) {
        const struct drop_case *t = &drop_cases[i];
        for (enum packet_side side = PACKET_FROM_CLIENT; side <= PACKET_FROM_BACKEND; side++) {
            struct packet p = t->packet;
            struct verdict v;
            p.side = side;
            p.data = t->data;
            p.ttl = t->reason == DROP_TTL_EXPIRED ? p.ttl : 64;
            p.src = side == PACKET_FROM_CLIENT ? client_of(1, 0, 500)
                                               : support_endpoint("10.1.0.1", p.port ? 4500 : 500);
            p.dst = client_of(1, 0, 500);
            dataplane_handle(&net->dp, &p, net->now_ms, &v);
            assert_drop(net, &v, t->reason);
        }
    }
    assert_int_equal(flows_count(net->dp.bindings.flows), 0);
    assert_int_equal(pins_count(net->dp.bindings.pins), 0);
}

static void test_bad_sources(void **state)
{
    static const struct {
        const char *addr;
        uint16_t port;
    } sources[] = {
        {"198.51.100.1", 0}, {"0.0.0.0", 500},       {"224.0.0.1", 500}, {"203.0.113.10", 500}, {"::", 500},
        {"ff02::1", 500},    {"2001:db8::10", 4500}, {"fe80::1", 500},   {"febf::1", 500},
    };
    struct support_net *net = *state;

    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        const struct endpoint from = support_endpoint(sources[i].addr, sources[i].port);
        const struct verdict v = support_from_client(net, VPN, from, IKE_PORT_500, SUPPORT_INIT);
        assert_drop(net, &v, DROP_BAD_SOURCE);
    }
}

/* A source that is another service's VIP makes the backend's answer come to ikelb as if from a client. */
static void test_a_vip_is_no_client(void **state)
{
    struct support_net *net = *state;
    const struct verdict v =
        support_from_client(net, VPN, support_endpoint("203.0.113.11", 500), IKE_PORT_500, SUPPORT_INIT);

    assert_drop(net, &v, DROP_BAD_SOURCE);
}

static void test_unknown_senders(void **state)
{
    struct support_net *net = *state;
    struct packet p = {
        .side = PACKET_FROM_BACKEND, .port = IKE_PORT_4500, .dst = client_of(1, 0, 500), .ttl = 64};
    struct verdict v =
        support_from_backend(net, support_addr("10.1.0.3"), client_of(1, 0, 500), IKE_PORT_500, SUPPORT_INIT);

    assert_drop(net, &v, DROP_UNKNOWN_SENDER);
    p.src = support_endpoint("10.1.0.1", 4501); /* a backend, but not its IKE port */
    p.data = (const uint8_t *)"\xff";
    p.len = 1;
    dataplane_handle(&net->dp, &p, net->now_ms, &v);
    assert_drop(net, &v, DROP_UNKNOWN_SENDER);
}

/* New clients are dropped with a reason when nobody may get them; old ones go on. */
static void test_no_backend(void **state)
{
    struct support_net *net = *state;

    for (size_t i = 0; i < 4; i++) {
        const struct way *w = &ways[i];
        const struct endpoint old = client_of(1, w->six, 4500), new = client_of(2, w->six, 4500);
        establish(net, w->service, old, old);
        for (size_t k = 0; k < net->pool->backend_count; k++)
            net->pool->backends[k].health = HEALTH_DOWN;
        for (int kind = SUPPORT_INIT; kind <= SUPPORT_INIT_FRAGMENTATION; kind++) {
            const struct verdict v =
                support_from_client(net, w->service, new, IKE_PORT_500, (enum support_kind)kind);
            assert_drop(net, &v, DROP_NO_BACKEND);
        }
        const struct verdict keepalive =
            support_from_client(net, w->service, new, IKE_PORT_4500, SUPPORT_KEEPALIVE);
        assert_drop(net, &keepalive, DROP_NO_BACKEND);
        const struct verdict init = support_from_client(net, w->service, old, IKE_PORT_500, SUPPORT_INIT);
        assert_drop(net, &init, DROP_NO_BACKEND); /* it may leave, but nobody would have it */
        assert_int_equal(support_from_client(net, w->service, old, IKE_PORT_4500, SUPPORT_ESP).action,
                         VERDICT_TO_BACKEND);
        assert_int_equal(
            support_from_client(net, w->service, old, IKE_PORT_4500, SUPPORT_INFORMATIONAL).action,
            VERDICT_TO_BACKEND);
        for (size_t k = 0; k < net->pool->backend_count; k++)
            net->pool->backends[k].health = HEALTH_UP;
    }
}

static void test_keepalives(void **state)
{
    struct support_net *net = *state;
    struct verdict v = support_from_client(net, VPN, client_of(1, 0, 4500), IKE_PORT_4500, SUPPORT_KEEPALIVE);

    assert_int_equal(v.action,
                     VERDICT_TO_BACKEND); /* forwarded, for what it may be good for, and forgotten */
    v = support_from_client(net, FULL, client_of(1, 0, 4500), IKE_PORT_4500, SUPPORT_KEEPALIVE);
    assert_drop(net, &v, DROP_NO_FLOW); /* it deserves no source port */
    assert_int_equal(flows_count(net->dp.bindings.flows), 0);
    assert_int_equal(pins_count(net->dp.bindings.pins), 0);

    const uint16_t b = establish(net, FULL, client_of(1, 0, 500), client_of(1, 0, 4500));
    v = support_from_client(net, FULL, client_of(1, 0, 4500), IKE_PORT_4500, SUPPORT_KEEPALIVE);
    assert_int_equal(v.action, VERDICT_TO_BACKEND);
    assert_int_equal(v.backend, b);
}

/* Replies that match no flow: as from the VIP in transparent mode; in full NAT nobody knows whose they are.
 */
static void test_replies_without_flow(void **state)
{
    struct support_net *net = *state;
    const struct endpoint stranger = client_of(9, 0, 777);
    struct verdict v =
        support_from_backend(net, support_addr("10.1.0.2"), stranger, IKE_PORT_500, SUPPORT_INIT_ANSWER);

    assert_int_equal(v.action, VERDICT_TO_CLIENT);
    assert_endpoint(&v.src, "203.0.113.10", 500);
    assert_true(endpoint_equal(&v.dst, &stranger));
    assert_int_equal(v.backend, VPN_B);
    assert_int_equal(flows_count(net->dp.bindings.flows), 0); /* a clear answer proves nothing */
    v = support_from_backend(net, support_addr("10.2.0.1"), stranger, IKE_PORT_4500, SUPPORT_ESP);
    assert_drop(net, &v, DROP_NO_FLOW);
    v = support_from_backend(net, support_addr("10.2.0.1"), support_endpoint("10.2.0.100", 2000),
                             IKE_PORT_4500, SUPPORT_ESP);
    assert_drop(net, &v, DROP_NO_FLOW);
    /* A transparent backend has no business with a source address of full NAT. */
    v = support_from_backend(net, support_addr("10.1.0.1"), support_endpoint("10.2.0.100", 2000),
                             IKE_PORT_4500, SUPPORT_ESP);
    assert_drop(net, &v, DROP_NO_FLOW);
}

/* Traffic of either direction keeps a confirmed client; without any it goes, to the millisecond. */
static void test_refreshed_by_either_direction(void **state)
{
    struct support_net *net = *state;

    for (int direction = 0; direction < 2; direction++) {
        const struct endpoint client = client_of(1, 0, 4500);
        establish(net, VPN, client_of(1, 0, 500), client);
        const struct verdict to = support_from_client(net, VPN, client, IKE_PORT_4500, SUPPORT_ESP);
        for (int i = 0; i < 5; i++) {
            net->now_ms += 59999;
            dataplane_sweep(&net->dp, net->now_ms, 1000);
            assert_non_null(support_flow(net, VPN, client, IKE_PORT_4500));
            if (direction)
                support_reply(net, &to, SUPPORT_ESP);
            else
                support_from_client(net, VPN, client, IKE_PORT_4500, SUPPORT_ESP);
        }
        net->now_ms += 59999;
        dataplane_sweep(&net->dp, net->now_ms, 1000);
        assert_int_equal(pins_count(net->dp.bindings.pins), 1);
        net->now_ms += 1;
        dataplane_sweep(&net->dp, net->now_ms, 1000);
        assert_int_equal(pins_count(net->dp.bindings.pins), 0);
        assert_int_equal(flows_count(net->dp.bindings.flows), 0);
    }
}

/* Without a proof a client has its half-open time from the start, however often it asks and is answered. */
static void test_half_open_is_not_prolonged(void **state)
{
    struct support_net *net = *state;
    const struct endpoint client = client_of(1, 0, 500);

    for (int i = 0; i < 30; i++) {
        const struct verdict v = support_from_client(net, VPN, client, IKE_PORT_500, SUPPORT_INIT);
        support_reply(net, &v, SUPPORT_COOKIE);
        net->now_ms += 100;
        dataplane_sweep(&net->dp, net->now_ms, 1000);
        assert_int_equal(flows_count(net->dp.bindings.flows), i < 29);
    }
    assert_int_equal(pins_count(net->dp.bindings.pins), 0);
    assert_int_equal(net->pool->backends[VPN_A].handshakes.unanswered_total, 0);
}

/* A server goes down: the next handshake goes elsewhere, its IKE on 4500 follows it, and ESP stays. */
static void test_a_backend_goes_down(void **state)
{
    struct support_net *net = *state;

    for (size_t i = 0; i < 4; i += 2) { /* IPv4, both modes */
        const uint16_t s = ways[i].service;
        const struct endpoint on_500 = client_of(1, 0, 500), on_4500 = client_of(1, 0, 4500);
        const uint16_t old = establish(net, s, on_500, on_4500);
        net->pool->backends[old].health = HEALTH_DOWN;
        assert_int_equal(support_from_client(net, s, on_4500, IKE_PORT_4500, SUPPORT_ESP).backend, old);
        assert_int_equal(support_from_client(net, s, on_4500, IKE_PORT_4500, SUPPORT_INFORMATIONAL).backend,
                         old);
        net->handshake++;
        const uint16_t new = support_from_client(net, s, on_500, IKE_PORT_500, SUPPORT_INIT).backend;
        assert_int_not_equal(new, old);
        assert_int_equal(support_from_client(net, s, on_4500, IKE_PORT_4500, SUPPORT_ESP).backend, old);
        const struct verdict auth = support_from_client(net, s, on_4500, IKE_PORT_4500, SUPPORT_AUTH);
        assert_int_equal(auth.backend, new);
        assert_int_equal(support_reply(net, &auth, SUPPORT_AUTH_ANSWER).action, VERDICT_TO_CLIENT);
        assert_int_equal(support_from_client(net, s, on_4500, IKE_PORT_4500, SUPPORT_ESP).backend, new);
        assert_int_equal(net->pool->backends[old].clients, 0);
        assert_int_equal(net->pool->backends[new].clients, 1);
        support_check_bindings(&net->dp.bindings);
    }
}

/* The old server goes down for the time of an IKE_SA_INIT, which the new one answers. Where its IKE_AUTH
 * goes. */
static uint16_t begin_while_down(struct support_net *net, uint16_t old, struct endpoint on_500,
                                 struct endpoint on_4500)
{
    net->pool->backends[old].health = HEALTH_DOWN;
    net->handshake++;
    const struct verdict init = support_from_client(net, VPN, on_500, IKE_PORT_500, SUPPORT_INIT);
    assert_int_not_equal(init.backend, old);
    support_reply(net, &init, SUPPORT_INIT_ANSWER);
    net->pool->backends[old].health = HEALTH_UP;
    const struct verdict auth = support_from_client(net, VPN, on_4500, IKE_PORT_4500, SUPPORT_AUTH);
    assert_int_equal(support_reply(net, &auth, SUPPORT_AUTH_ANSWER).action, VERDICT_TO_CLIENT);
    return auth.backend;
}

/*
 * The old server comes back between the new IKE_SA_INIT and its IKE_AUTH. If the client has stopped its old
 * tunnel both reach the new server, although the old one still sends.
 */
static void test_a_backend_comes_back_in_between(void **state)
{
    struct support_net *net = *state;
    const struct endpoint on_500 = client_of(1, 0, 500), on_4500 = client_of(1, 0, 4500);
    const uint16_t old = establish(net, VPN, on_500, on_4500);
    const struct verdict to = support_from_client(net, VPN, on_4500, IKE_PORT_4500, SUPPORT_ESP);

    net->now_ms += 3000;
    support_reply(net, &to, SUPPORT_ESP);
    assert_int_not_equal(begin_while_down(net, old, on_500, on_4500), old);
    assert_int_equal(net->pool->services[VPN].conflicts_total, 0);
}

/*
 * If it has not, as when a second client behind its address has begun, the old tunnel keeps its flow: this
 * handshake fails, and the next one succeeds where that tunnel is.
 */
static void test_a_backend_comes_back_to_a_tunnel(void **state)
{
    struct support_net *net = *state;
    const struct endpoint on_500 = client_of(1, 0, 500), on_4500 = client_of(1, 0, 4500);
    const uint16_t old = establish(net, VPN, on_500, on_4500);

    net->now_ms += 2999;
    assert_int_equal(begin_while_down(net, old, on_500, on_4500), old);
    assert_int_equal(net->pool->services[VPN].conflicts_total, 1);
    assert_int_equal(support_from_client(net, VPN, on_4500, IKE_PORT_4500, SUPPORT_ESP).backend, old);
    net->handshake++;
    assert_int_equal(establish(net, VPN, on_500, on_4500), old);
    assert_int_equal(net->pool->services[VPN].conflicts_total, 1);
}

static void test_drain_and_disabled(void **state)
{
    struct support_net *net = *state;
    const struct endpoint on_500 = client_of(1, 0, 500), on_4500 = client_of(1, 0, 4500);
    const uint16_t held = establish(net, VPN, on_500, on_4500);
    const uint16_t other = held == VPN_A ? VPN_B : VPN_A;

    net->pool->backends[held].state = CONFIG_STATE_DRAIN;
    assert_int_equal(support_from_client(net, VPN, on_500, IKE_PORT_500, SUPPORT_INIT).backend, held);
    for (int i = 2; i < 12; i++)
        assert_int_equal(
            support_from_client(net, VPN, client_of(i, 0, 500), IKE_PORT_500, SUPPORT_INIT).backend, other);
    net->pool->backends[held].state = CONFIG_STATE_DISABLED;
    assert_int_equal(support_from_client(net, VPN, on_4500, IKE_PORT_4500, SUPPORT_ESP).backend, held);
    assert_int_equal(support_from_client(net, VPN, on_500, IKE_PORT_500, SUPPORT_INIT).backend, other);
}

static void test_unsent_is_counted(void **state)
{
    struct support_net *net = *state;

    dataplane_count_unsent(&net->dp, DROP_SEND_BUSY);
    dataplane_count_unsent(&net->dp, DROP_SEND_FAILED);
    dataplane_count_unsent(&net->dp, DROP_SEND_FAILED);
    assert_int_equal(net->dp.drops[DROP_SEND_BUSY], 1);
    assert_int_equal(net->dp.drops[DROP_SEND_FAILED], 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, support_net_tear_down)

/* Packets of both sides, of flows that are there and that are not, and of an unknown sender. */
static void test_expecting_changes_nothing(void **state)
{
    enum { FLOWS = 11000 };
    static const struct support_service one = {
        .name = "vpn", .vips = {"203.0.113.10"}, .backends = {{"one", "10.0.0.1", 0, CONFIG_STATE_ENABLED}}};
    struct packet packets[DATAPLANE_EXPECT_MAX];
    struct support_net net;
    enum drop_reason reason;
    uint32_t index;

    (void)state;
    support_net_init(&net, &one, 1, FLOWS);
    struct bindings *b = &net.dp.bindings;
    struct flows *flows = b->flows;
    struct binding_request request = {.port = IKE_PORT_4500, .confirmed = true, .session = SESSION_NONE};
    request.client = support_endpoint("192.0.2.1", 1);
    assert_int_equal(bindings_add_pin(b, &request.client, 0, true, 5, &request.pin), 0);
    for (; request.client.port <= FLOWS; request.client.port++)
        assert_int_equal(bindings_add_flow(b, &request, 5, &index, &reason), 0);
    for (uint16_t i = 0; i < DATAPLANE_EXPECT_MAX; i++) {
        const struct endpoint client = support_endpoint("192.0.2.1", (uint16_t)(i * 200));
        const struct endpoint server = support_endpoint(i % 4 == 1 ? "10.0.0.1" : "10.0.0.9", 4500);
        packets[i] = (struct packet){.side = i % 2 ? PACKET_FROM_BACKEND : PACKET_FROM_CLIENT,
                                     .port = IKE_PORT_4500,
                                     .src = i % 2 ? server : client,
                                     .dst = i % 2 ? client : server};
    }
    const struct flow before = *flows_get(flows, index);
    dataplane_expect(&net.dp, packets, DATAPLANE_EXPECT_MAX);
    dataplane_expect(&net.dp, packets, 0);
    assert_memory_equal(flows_get(flows, index), &before, sizeof before);
    assert_int_equal(flows_count(flows), FLOWS);
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        assert_int_equal(net.dp.drops[i], 0);
    support_net_deinit(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back),
        TEST(test_both_ports_at_one_backend),
        TEST(test_garbage_is_dropped_from_both_sides),
        TEST(test_bad_sources),
        TEST(test_a_vip_is_no_client),
        TEST(test_unknown_senders),
        TEST(test_no_backend),
        TEST(test_keepalives),
        TEST(test_replies_without_flow),
        TEST(test_refreshed_by_either_direction),
        TEST(test_half_open_is_not_prolonged),
        TEST(test_a_backend_goes_down),
        TEST(test_a_backend_comes_back_in_between),
        TEST(test_a_backend_comes_back_to_a_tunnel),
        TEST(test_drain_and_disabled),
        TEST(test_unsent_is_counted),
        TEST(test_expecting_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
