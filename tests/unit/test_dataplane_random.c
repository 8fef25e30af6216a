#include "tests/unit/unit.h"

#include <string.h>

#include "tests/unit/support.h"

/*
 * Hundreds of thousands of random packets from few clients over changing backends, with small tables, so that
 * every limit is met again and again. What must hold after each packet is checked; the seed is printed.
 */

#define STEPS   200000
#define CLIENTS 30
#define RECENT  64

/* Handshakes that each client has going at a time, so that their messages mix. */
#define HANDSHAKES 3

enum { VPN, FULL };

static const struct support_service services[] = {
    {.name = "vpn",
     .vips = {"203.0.113.10"},
     .idle_timeout_ms = 60000,
     .half_open_timeout_ms = 3000,
     .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED}, {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED}}},
    {.name = "full",
     .vips = {"203.0.113.11"},
     .mode = CONFIG_MODE_FULL_NAT,
     .schedule = CONFIG_SCHEDULE_LEAST_CLIENTS,
     .snats = {"10.2.0.100", "10.2.0.101"},
     .idle_timeout_ms = 60000,
     .half_open_timeout_ms = 3000,
     .backends = {{"a", "10.2.0.1", 0, CONFIG_STATE_ENABLED}, {"b", "10.2.0.2", 0, CONFIG_STATE_ENABLED}}},
};

/* What a backend has been sent, and by whom. */
struct sent {
    struct verdict verdict;
    struct endpoint client;
    uint16_t service;
};

struct world {
    struct support_net net;
    uint64_t random;
    struct sent recent[RECENT];
    uint32_t recent_count;
    uint64_t handled;
    uint64_t outcomes; /* packets forwarded or dropped, by the counters */
};

static uint32_t below(struct world *w, uint32_t limit)
{
    return support_random_below(&w->random, limit);
}

static uint32_t confirmed_flows(const struct world *w)
{
    return flows_count(w->net.dp.bindings.flows) - flows_unconfirmed_count(w->net.dp.bindings.flows);
}

static uint64_t counted(const struct world *w)
{
    uint64_t sum = 0;

    for (int i = 0; i < DROP_REASON_COUNT; i++)
        sum += w->net.dp.drops[i];
    for (size_t i = 0; i < w->net.pool->backend_count; i++)
        sum += w->net.pool->backends[i].traffic[0].packets + w->net.pool->backends[i].traffic[1].packets;
    return sum;
}

static bool is_lived_on(const struct world *w, uint16_t service, const struct flow *flow)
{
    const uint32_t quiet_ms = (uint32_t)w->net.now_ms - flow->client_ms;

    return (flow->flags & (FLOW_CONFIRMED | FLOW_LEFT)) == FLOW_CONFIRMED &&
           !pool_is_lost(&w->net.pool->backends[flow->backend]) &&
           quiet_ms < w->net.pool->services[service].persistence.half_open_timeout_ms;
}

static bool is_lived_at(const struct world *w, uint16_t service, const struct pin *pin)
{
    const struct bindings *b = &w->net.dp.bindings;

    for (int port = 0; port < IKE_PORT_COUNT; port++) {
        const uint32_t flow = bindings_flow_of_pin(b, pin, (enum ike_port)port);
        if (flow != FLOW_NONE && is_lived_on(w, service, flows_get(b->flows, flow)))
            return true;
    }
    return false;
}

/* The session that a client's message names by its SPIs; one that opens an IKE SA names none. */
static uint32_t named_session(const struct world *w, uint16_t service, const struct flow *flow,
                              enum support_kind kind)
{
    const struct support_sa sa = support_sa_of(&w->net, &flow->client);
    struct ike_spi spi_i, spi_r;

    if (kind == SUPPORT_INIT || kind == SUPPORT_V1_INIT)
        return SESSION_NONE;
    memcpy(spi_i.bytes, &sa.spi_i, sizeof spi_i.bytes);
    memcpy(spi_r.bytes, &sa.spi_r, sizeof spi_r.bytes);
    return sessions_find(w->net.dp.bindings.tracking.sessions, service, &spi_i, &spi_r);
}

/*
 * Did an IKE message have leave to end its own confirmed flow? From a lost backend, or if its client has left
 * it, any has. Else one of a session elsewhere has if no tunnel lives there; any other, if there never was
 * one and its pin leads, or may fail over to, somewhere else.
 */
static bool may_leave(struct world *w, uint16_t service, const struct flow *flow, enum support_kind kind)
{
    const struct backend *backend = &w->net.pool->backends[flow->backend];
    const uint32_t session = named_session(w, service, flow, kind);

    if (pool_is_lost(backend) || flow->flags & FLOW_LEFT)
        return true;
    if (session != SESSION_NONE)
        return sessions_get(w->net.dp.bindings.tracking.sessions, session)->story.backend != flow->backend &&
               !is_lived_on(w, service, flow);
    if ((flow->flags & FLOW_ESP_BOTH) == FLOW_ESP_BOTH)
        return false;
    const struct pin *pin = support_pin(&w->net, service, flow->client);
    return pin->backend != flow->backend || backend->passive.suspicion == SUSPICION_SILENT ||
           !is_lived_at(w, service, pin);
}

static void check_forwarded(struct world *w, uint16_t service, struct endpoint client, enum ike_port port,
                            const struct verdict *v)
{
    const struct flow *flow = support_flow(&w->net, service, client, port);

    assert_int_equal(w->net.pool->backends[v->backend].service, service);
    assert_int_equal(v->dst.port, ike_port_number(port));
    if (service == VPN) {
        assert_true(endpoint_equal(&v->src, &client));
        assert_true(!flow || flow->backend == v->backend);
    } else { /* never without a flow of its own, whose port nobody else has (support_check_bindings()) */
        assert_non_null(flow);
        assert_int_equal(flow->backend, v->backend);
        assert_int_equal(flow->source_port, v->src.port);
    }
    w->recent[w->recent_count++ % RECENT] = (struct sent){*v, client, service};
}

static void step_client(struct world *w)
{
    static const enum support_kind kinds[] = {
        SUPPORT_INIT,    SUPPORT_INIT, SUPPORT_AUTH,      SUPPORT_INFORMATIONAL,
        SUPPORT_V1_INIT, SUPPORT_ESP,  SUPPORT_KEEPALIVE,
    };
    const uint16_t service = (uint16_t)below(w, 2);
    const enum support_kind kind = kinds[below(w, 7)];
    const enum ike_port port = kind == SUPPORT_ESP || below(w, 2) ? IKE_PORT_4500 : IKE_PORT_500;
    const struct endpoint client = {.addr = support_addr_v4(below(w, CLIENTS)),
                                    .port = (uint16_t)(500 + below(w, 3))};
    const struct flow *flow = support_flow(&w->net, service, client, port);
    const uint32_t before = confirmed_flows(w);
    const bool leaves = flow && flow->flags & FLOW_CONFIRMED && kind != SUPPORT_ESP &&
                        kind != SUPPORT_KEEPALIVE && may_leave(w, service, flow, kind);

    const struct verdict v = support_from_client(&w->net, service, client, port, kind);
    assert_true(confirmed_flows(w) + leaves >= before && confirmed_flows(w) <= before);
    if (v.action == VERDICT_TO_BACKEND)
        check_forwarded(w, service, client, port, &v);
    else
        assert_int_equal(v.action, VERDICT_DROP);
}

static void step_backend(struct world *w)
{
    static const enum support_kind kinds[] = {SUPPORT_INIT_ANSWER, SUPPORT_COOKIE, SUPPORT_AUTH_ANSWER,
                                              SUPPORT_ESP};
    const struct sent *sent = &w->recent[below(w, RECENT)];
    const uint32_t before = confirmed_flows(w);

    if (sent->verdict.action != VERDICT_TO_BACKEND)
        return;
    const enum ike_port port = sent->verdict.dst.port == 500 ? IKE_PORT_500 : IKE_PORT_4500;
    const struct flow *flow = support_flow(&w->net, sent->service, sent->client, port);
    const bool same =
        flow && flow->backend == sent->verdict.backend && flow->source_port == sent->verdict.src.port;
    const struct verdict v =
        support_reply(&w->net, &sent->verdict, kinds[below(w, port == IKE_PORT_4500 ? 4 : 3)]);
    assert_in_range(confirmed_flows(w), before, before + 1);
    if (sent->service == VPN || same) {
        assert_int_equal(v.action, VERDICT_TO_CLIENT);
        assert_true(endpoint_equal(&v.dst, &sent->client));
        assert_true(addr_equal(&v.src.addr, &w->net.pool->services[sent->service].vips[0]));
        assert_int_equal(v.src.port, sent->verdict.dst.port);
    } else if (v.action == VERDICT_DROP) {
        assert_int_equal(v.reason, DROP_NO_FLOW);
    }
}

static void step_pool(struct world *w)
{
    struct backend *b = &w->net.pool->backends[below(w, 4)];

    if (below(w, 2))
        b->health = (enum health_state)below(w, 3);
    else
        b->state = below(w, 2) ? CONFIG_STATE_ENABLED : (enum config_state)below(w, 3);
}

static void step(struct world *w)
{
    const uint32_t what = below(w, 1000);

    w->net.handshake = below(w, HANDSHAKES);
    w->net.now_ms += below(w, 200) ? below(w, 20) : 10000;
    if (what < 550)
        step_client(w);
    else if (what < 950)
        step_backend(w);
    else if (what < 960)
        step_pool(w);
    else
        dataplane_sweep(&w->net.dp, w->net.now_ms, below(w, 16));
}

static void test_random(void **state)
{
    struct world w = {.random = support_seed()};

    (void)state;
    support_net_init(&w.net, services, 2, 24);
    w.net.now_ms = UINT64_C(0xfff00000); /* the times wrap on the way */
    for (int i = 1; i <= STEPS; i++) {
        const uint64_t before = counted(&w);
        step(&w);
        assert_true(counted(&w) - before <= 1);
        if (i % 50 == 0)
            support_check_bindings(&w.net.dp.bindings);
    }
    assert_true(w.net.now_ms > UINT64_C(0x100000000));
    assert_true(w.recent_count > STEPS / 4); /* it was a life worth checking */
    w.net.now_ms += 60000;
    for (int i = 0; i < 10; i++)
        dataplane_sweep(&w.net.dp, w.net.now_ms, 100);
    assert_int_equal(flows_count(w.net.dp.bindings.flows), 0);
    assert_int_equal(pins_count(w.net.dp.bindings.pins), 0);
    assert_int_equal(sessions_count(w.net.dp.bindings.tracking.sessions), 0);
    support_net_deinit(&w.net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
