#include "tests/unit/unit.h"

#include <stdlib.h>

#include "tests/unit/two_daemons.h"

/* Whatever life has made of the tables, and goes on making while they are written: what is confirmed is the
 * same in the daemon that restores them. */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_life),
        cmocka_unit_test(test_changes_between_slices),
        cmocka_unit_test(test_a_session_that_ends_between_slices),
        cmocka_unit_test(test_many_sessions_of_a_pin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
