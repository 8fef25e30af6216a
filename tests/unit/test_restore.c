#include "tests/unit/unit.h"

#include <stdlib.h>

#include "lb/ports.h"
#include "lb/restore.h"
#include "tests/unit/saved_file.h"
#include "tests/unit/support.h"

/* Tables are saved, and restored into those of another daemon, whose monotonic clock is another one. */

#define CLIENTS   1000
#define WALL_MS   UINT64_C(1700000000000)
#define LATER_MS  UINT64_C(0x100000123) /* when the second daemon starts: its truncated times come round */
#define IDLE_MS   600000
#define HALF_OPEN 3000

#define BACKENDS                                                                                             \
    {                                                                                                        \
        {"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED}, {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED},              \
        {                                                                                                    \
            "c", "10.1.0.3", 0, CONFIG_STATE_DRAIN                                                           \
        }                                                                                                    \
    }

enum { OPEN, FULL, SPREAD, SERVICES };

static const struct support_service services[SERVICES] = {
    [OPEN] = {.name = "open",
              .vips = {"203.0.113.10", "2001:db8::10"},
              .idle_timeout_ms = IDLE_MS,
              .half_open_timeout_ms = HALF_OPEN,
              .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                           {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED},
                           {"c", "10.1.0.3", 0, CONFIG_STATE_DRAIN},
                           {"six", "2001:db8:1::1", 0, CONFIG_STATE_ENABLED}}},
    [FULL] = {.name = "full",
              .vips = {"203.0.113.11"},
              .mode = CONFIG_MODE_FULL_NAT,
              .snats = {"10.1.0.100", "10.1.0.101"},
              .idle_timeout_ms = IDLE_MS,
              .half_open_timeout_ms = HALF_OPEN,
              .backends = BACKENDS},
    [SPREAD] = {.name = "spread",
                .vips = {"203.0.113.12"},
                .mode = CONFIG_MODE_FULL_NAT,
                .snats = {"10.1.0.102"},
                .idle_timeout_ms = IDLE_MS,
                .half_open_timeout_ms = HALF_OPEN,
                .spread_nat = true,
                .backends = BACKENDS},
};

static struct addr client_at(uint32_t number, bool v6)
{
    struct addr addr = support_addr("2001:db8:2::");

    if (!v6)
        return support_addr_v4(number);
    addr.bytes[15] = (uint8_t)number;
    return addr;
}

/* A client connects; its session has been established when ESP has passed both ways. */
static void connect_client(struct support_net *net, uint16_t service, struct addr client, uint16_t port)
{
    const struct endpoint on_500 = {.addr = client, .port = port};
    const struct endpoint on_4500 = {.addr = client, .port = (uint16_t)(port + 1000)};
    struct verdict v = support_from_client(net, service, on_500, IKE_PORT_500, SUPPORT_INIT_FRAGMENTATION);

    if (v.action != VERDICT_TO_BACKEND)
        return;
    support_reply(net, &v, SUPPORT_INIT_ANSWER_FRAGMENTATION);
    v = support_from_client(net, service, on_4500, IKE_PORT_4500, SUPPORT_AUTH);
    support_reply(net, &v, SUPPORT_AUTH_ANSWER);
    v = support_from_client(net, service, on_4500, IKE_PORT_4500, SUPPORT_ESP);
    support_reply(net, &v, SUPPORT_ESP);
}

/* One random packet, and perhaps an answer. */
static void step(struct support_net *net, uint64_t *random)
{
    const uint16_t service = (uint16_t)support_random_below(random, SERVICES);
    const bool v6 = service == OPEN && support_random_below(random, 4) == 0;
    const struct endpoint client = {
        .addr = client_at(support_random_below(random, 60), v6),
        .port = (uint16_t)(500 + support_random_below(random, 4)),
    };
    const enum ike_port port = support_random_below(random, 2) ? IKE_PORT_4500 : IKE_PORT_500;
    enum support_kind kind = (enum support_kind)support_random_below(random, SUPPORT_KIND_COUNT);

    net->now_ms += support_random_below(random, 60);
    net->handshake = support_random_below(random, 3);
    net->sa = (struct support_sa){.message_id = support_random_below(random, 5),
                                  .esp_spi = support_random_below(random, 4)};
    if (support_random_below(random, 5) == 0) {
        connect_client(net, service, client.addr, client.port);
        return;
    }
    if (kind == SUPPORT_ESP && port == IKE_PORT_500)
        kind = SUPPORT_KEEPALIVE;
    const struct verdict v = support_from_client(net, service, client, port, kind);
    if (v.action != VERDICT_TO_BACKEND || support_random_below(random, 3) == 0)
        return;
    const enum support_kind answer = (enum support_kind)support_random_below(random, SUPPORT_KIND_COUNT);
    support_reply(net, &v, answer == SUPPORT_ESP && port == IKE_PORT_500 ? SUPPORT_KEEPALIVE : answer);
    if (support_random_below(random, 50) == 0)
        dataplane_sweep(&net->dp, net->now_ms, 4096);
}

/* Another daemon of that configuration, started so long after. */
static struct restore_result start_again(const struct saved_file *file, struct support_net *out,
                                         const struct support_service *configured, size_t count,
                                         uint64_t away_ms)
{
    struct restore_result result;

    support_net_init(out, configured, count, CLIENTS);
    out->now_ms = LATER_MS;
    assert_int_equal(
        restore_bindings(&out->dp.bindings, file->data, file->len, out->now_ms, WALL_MS + away_ms, &result),
        0);
    assert_true(result.away_ms == away_ms);
    support_check_bindings(&out->dp.bindings);
    return result;
}

/* The same moment on the two clocks; `away_ms` have passed between. */
static void assert_same_time(uint32_t before, const struct support_net *a, uint32_t after,
                             const struct support_net *b, uint64_t away_ms)
{
    assert_int_equal((uint32_t)a->now_ms - before + (uint32_t)away_ms, (uint32_t)b->now_ms - after);
}

static void assert_same_session(const struct support_net *a, const struct session *before,
                                const struct support_net *b, const struct session *after, uint64_t away_ms)
{
    const struct story *x = &before->story, *y = &after->story;

    assert_memory_equal(x->spi_i.bytes, y->spi_i.bytes, 8);
    assert_memory_equal(x->spi_r.bytes, y->spi_r.bytes, 8);
    assert_int_equal(x->service, y->service);
    assert_int_equal(x->backend, y->backend);
    assert_int_equal(x->client_port, y->client_port);
    assert_int_equal(x->error, y->error);
    assert_int_equal(x->flags, y->flags);
    assert_int_equal(x->stage, y->stage);
    assert_int_equal(x->reached, y->reached);
    assert_int_equal(x->init_count, y->init_count);
    assert_int_equal(x->auth_count, y->auth_count);
    assert_int_equal(x->failovers, y->failovers);
    assert_int_equal(x->roams, y->roams);
    for (int i = 0; i < STAGE_COUNT; i++)
        if (x->reached & 1U << i)
            assert_same_time(x->stage_ms[i], a, y->stage_ms[i], b, away_ms);
    assert_same_time(x->seen_ms, a, y->seen_ms, b, away_ms);
    assert_int_equal(before->next_id, after->next_id);
    assert_true(after->confirmed);
}

/* Confirmed sessions in their order, from the youngest to the oldest. */
static uint32_t assert_same_sessions(struct support_net *a, uint32_t pin_a, struct support_net *b,
                                     uint32_t pin_b, uint64_t away_ms)
{
    struct sessions *before = a->dp.bindings.tracking.sessions, *after = b->dp.bindings.tracking.sessions;
    uint32_t y = sessions_of_pin(after, pin_b), count = 0;

    for (uint32_t x = sessions_of_pin(before, pin_a); x != SESSION_NONE;
         x = sessions_get(before, x)->pin_next) {
        if (!sessions_get(before, x)->confirmed)
            continue;
        assert_int_not_equal(y, SESSION_NONE);
        assert_same_session(a, sessions_get(before, x), b, sessions_get(after, y), away_ms);
        y = sessions_get(after, y)->pin_next;
        count++;
    }
    assert_int_equal(y, SESSION_NONE);
    return count;
}

static void assert_same_pins(struct support_net *a, struct support_net *b, uint64_t away_ms)
{
    struct pins *before = a->dp.bindings.pins, *after = b->dp.bindings.pins;
    uint32_t cursor = 0, budget = UINT32_MAX, x, count = 0, sessions = 0;

    while ((x = pins_next(before, &cursor, &budget)) != PIN_NONE) {
        const struct pin *p = pins_get(before, x);
        const struct pin_key key = {.client = p->client, .service = p->service, .part = p->part};
        const uint32_t y = pins_find(after, &key);
        if (!(p->flags & PIN_CONFIRMED)) {
            assert_int_equal(y, PIN_NONE);
            continue;
        }
        assert_int_not_equal(y, PIN_NONE);
        const struct pin *q = pins_get(after, y);
        assert_int_equal(p->backend, q->backend);
        assert_int_equal(p->roams, q->roams);
        assert_int_equal(p->ports[0], q->ports[0]);
        assert_int_equal(p->ports[1], q->ports[1]);
        assert_int_equal(p->stage, q->stage);
        assert_int_equal(p->flags, q->flags);
        assert_same_time(p->created_ms, a, q->created_ms, b, away_ms);
        if (p->flow_count == 0)
            assert_same_time(p->seen_ms, a, q->seen_ms, b, away_ms);
        sessions += assert_same_sessions(a, x, b, y, away_ms);
        count++;
    }
    assert_int_equal(pins_count(after), count);
    assert_int_equal(pins_unconfirmed_count(after), 0);
    assert_int_equal(sessions_count(b->dp.bindings.tracking.sessions), sessions);
}

static void assert_same_flow(struct support_net *a, const struct flow *f, struct support_net *b,
                             const struct flow *g, uint64_t away_ms)
{
    struct bindings *before = &a->dp.bindings, *after = &b->dp.bindings;

    assert_int_equal(f->backend, g->backend);
    assert_int_equal(f->source_port, g->source_port);
    assert_int_equal(f->source == FLOW_SOURCE_CLIENT, g->source == FLOW_SOURCE_CLIENT);
    if (f->source != FLOW_SOURCE_CLIENT)
        assert_true(addr_equal(snat_addr(before->snat, f->source), snat_addr(after->snat, g->source)));
    assert_int_equal(f->flags, g->flags);
    assert_int_equal(f->esp_spi, g->esp_spi);
    assert_int_equal(f->proved_spi, g->proved_spi);
    assert_same_time(f->client_ms, a, g->client_ms, b, away_ms);
    assert_same_time(f->seen_ms, a, g->seen_ms, b, away_ms);
    assert_int_equal(pins_get(before->pins, f->pin)->part, pins_get(after->pins, g->pin)->part);
    const uint32_t x = bindings_session_of_flow(before, f), y = bindings_session_of_flow(after, g);
    if (x == SESSION_NONE || !sessions_get(before->tracking.sessions, x)->confirmed) {
        assert_int_equal(y, SESSION_NONE);
        return;
    }
    assert_int_not_equal(y, SESSION_NONE);
    assert_memory_equal(sessions_get(before->tracking.sessions, x)->story.spi_r.bytes,
                        sessions_get(after->tracking.sessions, y)->story.spi_r.bytes, 8);
}

static void assert_same_flows(struct support_net *a, struct support_net *b, uint64_t away_ms)
{
    struct flows *before = a->dp.bindings.flows, *after = b->dp.bindings.flows;
    uint32_t cursor = 0, budget = UINT32_MAX, x, count = 0;

    while ((x = flows_next(before, &cursor, &budget)) != FLOW_NONE) {
        const struct flow *f = flows_get(before, x);
        const struct flow_in_key key = {
            .client = f->client, .client_port = f->client_port, .listener = f->listener};
        const uint32_t y = flows_find_in(after, &key);
        if (!(f->flags & FLOW_CONFIRMED)) {
            assert_int_equal(y, FLOW_NONE);
            continue;
        }
        assert_int_not_equal(y, FLOW_NONE);
        assert_same_flow(a, f, b, flows_get(after, y), away_ms);
        count++;
    }
    assert_int_equal(flows_count(after), count);
    assert_int_equal(flows_unconfirmed_count(after), 0);
}

static void assert_no_new_clients(const struct pool *pool)
{
    for (size_t i = 0; i < pool->backend_count; i++) {
        const struct backend *backend = &pool->backends[i];
        assert_int_equal(backend->new_clients_total, 0);
        for (int stage = 0; stage < STAGE_COUNT; stage++)
            assert_int_equal(backend->handshakes.reached[stage], 0);
    }
}

/* Whatever life has made, everything that is confirmed is the same afterwards. */
static void test_random_life(void **state)
{
    struct support_net net, after;
    uint64_t random = support_seed();

    (void)state;
    support_net_init(&net, services, SERVICES, CLIENTS);
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 300; i++)
            step(&net, &random);
        /* What is due already would not come back, and is of no interest here. */
        for (int i = 0; i < 4; i++)
            dataplane_sweep(&net.dp, net.now_ms, 100000);
        const uint64_t away_ms = 0;
        struct saved_file file = saved_file_of(&net.dp.bindings, net.now_ms, WALL_MS,
                                               1 + support_random_below(&random, 50), NULL, NULL);
        const struct restore_result result = start_again(&file, &after, services, SERVICES, away_ms);
        assert_same_pins(&net, &after, away_ms);
        assert_same_flows(&net, &after, away_ms);
        assert_no_new_clients(after.pool);
        assert_int_equal(result.pins, pins_count(after.dp.bindings.pins));
        assert_int_equal(result.flows, flows_count(after.dp.bindings.flows));
        assert_int_equal(result.gone + result.expired + result.no_room + result.lost_flows, 0);
        assert_true(result.pins > 20 && result.sessions > 10 && result.flows > 20);
        support_net_deinit(&after);
        free(file.data);
    }
    support_net_deinit(&net);
}

/* What a restored daemon does with the next packets is what the old one would have done. */
static void test_tunnels_go_on(void **state)
{
    struct support_net net, after;

    (void)state;
    support_net_init(&net, services, SERVICES, CLIENTS);
    for (uint16_t service = 0; service < SERVICES; service++)
        for (uint32_t i = 0; i < 50; i++)
            connect_client(&net, service, client_at(i, false), 500);
    struct saved_file file = saved_file_of(&net.dp.bindings, net.now_ms, WALL_MS, 1000, NULL, NULL);
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
    struct saved_file file = saved_file_of(&net.dp.bindings, net.now_ms, WALL_MS, 1000, NULL, NULL);
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
    return saved_file_of(&net->dp.bindings, net->now_ms, WALL_MS, 1000, NULL, NULL);
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
    file = saved_file_of(&net.dp.bindings, net.now_ms, WALL_MS, 1000, NULL, NULL);
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
    struct saved_file file = saved_file_of(&net.dp.bindings, net.now_ms, WALL_MS, 1000, NULL, NULL);

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

struct restless {
    struct support_net *net;
    uint64_t random;
};

static void live_on(void *ctx)
{
    struct restless *restless = ctx;

    for (int i = 0; i < 3; i++)
        step(restless->net, &restless->random);
}

/* The tables change between the slices: what is read is sound all the same, and who stayed is there. */
static void test_changes_between_slices(void **state)
{
    struct support_net net, after;
    struct restless restless = {.net = &net, .random = support_seed()};
    uint32_t steady = 0;

    (void)state;
    support_net_init(&net, services, SERVICES, CLIENTS);
    for (uint32_t i = 0; i < 50; i++)
        connect_client(&net, FULL, support_addr_v4(10000 + i), 500);
    for (int round = 0; round < 40; round++) {
        const uint64_t begin_ms = net.now_ms;
        for (uint32_t i = 0; i < 50; i++)
            support_from_client(&net, FULL,
                                (struct endpoint){.addr = support_addr_v4(10000 + i), .port = 1500},
                                IKE_PORT_4500, SUPPORT_ESP);
        struct saved_file file =
            saved_file_of(&net.dp.bindings, begin_ms, WALL_MS, 4 + (uint32_t)round, live_on, &restless);
        start_again(&file, &after, services, SERVICES, 0);
        for (uint32_t i = 0; i < 50; i++) {
            const struct endpoint client = {.addr = support_addr_v4(10000 + i), .port = 1500};
            const struct flow *f = support_flow(&net, FULL, client, IKE_PORT_4500);
            const struct flow *g = support_flow(&after, FULL, client, IKE_PORT_4500);
            assert_true(f && g);
            assert_int_equal(f->backend, g->backend);
            assert_int_equal(f->source_port, g->source_port);
            steady += bindings_session_of_flow(&after.dp.bindings, g) != SESSION_NONE;
        }
        support_net_deinit(&after);
        free(file.data);
    }
    assert_int_equal(steady, 40 * 50);
    support_net_deinit(&net);
}

/*
 * The walk stands before a session when that ends, and its place is taken by one of another client: neither
 * is written as the first client's.
 */
static void test_a_session_that_ends_between_slices(void **state)
{
    struct support_net net, after;
    struct saved_file file = saved_file_begin();
    uint8_t *buffer = malloc(SAVED_BLOCK_BYTES);
    struct writer block = saved_block_begin(buffer);
    struct snapshot snapshot;

    (void)state;
    support_net_init(&net, services, SERVICES, CLIENTS);
    for (uint32_t i = 0; i < 3; i++) {
        net.handshake = i;
        connect_client(&net, OPEN, client_at(1, false), 500);
    }
    struct sessions *sessions = net.dp.bindings.tracking.sessions;
    const struct pin_key key = {.client = client_at(1, false), .service = OPEN};
    const uint32_t pin = pins_find(net.dp.bindings.pins, &key);
    const uint32_t second = sessions_get(sessions, sessions_of_pin(sessions, pin))->pin_next;
    snapshot_begin(&snapshot, &net.dp.bindings, net.now_ms);
    while (snapshot.session != second)
        assert_false(snapshot_write(&snapshot, &block, 1));
    tracking_end(&net.dp.bindings.tracking, second, net.now_ms);
    connect_client(&net, OPEN, client_at(2, false), 500);
    assert_true(sessions_is_of(sessions, second, pin + 1));
    assert_true(snapshot_write(&snapshot, &block, UINT32_MAX));
    saved_file_block(&file, &block, WALL_MS);
    saved_file_end(&file, WALL_MS);
    const struct restore_result result = start_again(&file, &after, services, SERVICES, 0);
    assert_int_equal(result.pins, 2);
    assert_int_equal(result.sessions, 2); /* the youngest of the first, and the other client's */
    for (uint32_t i = 1; i <= 2; i++) {
        const struct pin_key whose = {.client = client_at(i, false), .service = OPEN};
        const uint32_t youngest =
            sessions_of_pin(after.dp.bindings.tracking.sessions, pins_find(after.dp.bindings.pins, &whose));
        assert_int_not_equal(youngest, SESSION_NONE);
        assert_int_equal(sessions_get(after.dp.bindings.tracking.sessions, youngest)->pin_next, SESSION_NONE);
    }
    support_net_deinit(&after);
    free(file.data);
    free(buffer);
    support_net_deinit(&net);
}

/* Thousands of sessions behind one address are written over many blocks, in their order. */
static void test_many_sessions_of_a_pin(void **state)
{
    struct support_net net, after;
    const struct endpoint client = {.addr = support_addr_v4(1), .port = 1500};

    (void)state;
    support_net_init(&net, services, SERVICES, CLIENTS);
    for (uint32_t i = 0; i < 900; i++) {
        net.handshake = i;
        connect_client(&net, OPEN, client.addr, 500);
    }
    struct saved_file file = saved_file_of(&net.dp.bindings, net.now_ms, WALL_MS, 7, NULL, NULL);
    const struct restore_result result = start_again(&file, &after, services, SERVICES, 0);
    assert_int_equal(result.sessions, sessions_count(net.dp.bindings.tracking.sessions));
    assert_true(result.sessions > 800);
    assert_same_pins(&net, &after, 0);
    assert_same_flows(&net, &after, 0);
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
        cmocka_unit_test(test_random_life),
        cmocka_unit_test(test_tunnels_go_on),
        cmocka_unit_test(test_expired_meanwhile),
        cmocka_unit_test(test_a_clock_that_went_back),
        cmocka_unit_test(test_known_by_addresses),
        cmocka_unit_test(test_what_is_gone),
        cmocka_unit_test(test_flows_that_cannot_be),
        cmocka_unit_test(test_spread_otherwise),
        cmocka_unit_test(test_operator_states),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_changes_between_slices),
        cmocka_unit_test(test_a_session_that_ends_between_slices),
        cmocka_unit_test(test_many_sessions_of_a_pin),
        cmocka_unit_test(test_strange_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
