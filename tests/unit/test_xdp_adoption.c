#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/plural.h"
#include "lb/xdp/adoption.h"
#include "tests/unit/support.h"

/* A run goes on with the entries of the one before, whose flows it may know or not. */

#define SLOTS 512
#define NOW   100000
#define SPI   0xc0ffee01 /* of support_message() */

enum { VPN, FULL };

static const struct support_service services[] = {
    {.name = "vpn",
     .vips = {"203.0.113.10", "2001:db8::10"},
     .schedule = CONFIG_SCHEDULE_ROUND_ROBIN,
     .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                  {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED},
                  {"six", "2001:db8:1::1", 0, CONFIG_STATE_ENABLED}}},
    {.name = "full",
     .vips = {"203.0.113.11", "2001:db8::11"},
     .mode = CONFIG_MODE_FULL_NAT,
     .schedule = CONFIG_SCHEDULE_ROUND_ROBIN,
     .snats = {"10.2.0.100", "10.2.0.101", "2001:db8:2::100"},
     .backends = {{"a", "10.2.0.1", 0, CONFIG_STATE_ENABLED},
                  {"b", "10.2.0.2", 0, CONFIG_STATE_ENABLED},
                  {"six", "2001:db8:2::1", 0, CONFIG_STATE_ENABLED}}},
};

struct fixture {
    struct support_net net;
    struct table table;
    struct places places;
    struct xdp_about about;
    char *log_text;
    size_t log_len;
    struct log log;
};

/* The maps, of that many slots, were left by `left_by`, and this run is the other. */
static void begin_with(struct fixture *f, uint32_t left_by, uint32_t slots)
{
    support_net_init(&f->net, services, 2, 100);
    f->table = (struct table){
        .entries = calloc(slots + TABLE_TAIL, sizeof(struct xdp_entry)), .slots = slots, .seed = 7};
    f->places = (struct places){
        .places = calloc(XDP_RUNS * XDP_PLACES_A_RUN, sizeof(struct xdp_place)),
        .sources = calloc(XDP_RUNS * XDP_SOURCES_A_RUN, sizeof(struct xdp_source)),
        .run = (left_by + 1) % XDP_RUNS,
    };
    f->about = (struct xdp_about){.version = XDP_LAYOUT_VERSION, .run = left_by};
    assert_true(f->table.entries && f->places.places && f->places.sources);
    f->log = (struct log){.level = LOG_LEVEL_INFO, .out = open_memstream(&f->log_text, &f->log_len)};
    assert_non_null(f->log.out);
}

static void begin(struct fixture *f, uint32_t left_by)
{
    begin_with(f, left_by, SLOTS);
}

static void end(struct fixture *f)
{
    fclose(f->log.out);
    free(f->log_text);
    free(f->table.entries);
    free(f->places.places);
    free(f->places.sources);
    support_net_deinit(&f->net);
}

static struct endpoint client_of(int number, bool is_six)
{
    struct endpoint e = support_endpoint(is_six ? "2001:db8:c::1" : "198.51.100.1", 40000);

    e.addr.bytes[15] = (uint8_t)number;
    return e;
}

/* A tunnel that a fast path might carry, as packets show it. */
static struct fastpath_binding establish(struct fixture *f, uint16_t service, struct endpoint client)
{
    struct fastpath_binding binding;

    support_establish(&f->net, service, client);
    const struct flow *flow = support_flow(&f->net, service, client, IKE_PORT_4500);
    assert_non_null(flow);
    assert_true(fastpath_describe(&f->net.dp.bindings, flow, &binding));
    return binding;
}

struct pair {
    uint32_t in, out;
};

/* The entries that the run before had of it; its numbers of backend and source are those given. */
static struct pair leave(struct fixture *f, const struct fastpath_binding *binding, uint16_t place,
                         uint16_t source)
{
    const struct table_key in_key = table_key_in(binding), out_key = table_key_out(binding);
    struct xdp_entry in = {.state = XDP_IN,
                           .new_port = htons(binding->source.port),
                           .seen = 55,
                           .place = place,
                           .source = source,
                           .spis = {SPI, 2, 3, 4}};
    struct xdp_entry out = {
        .state = XDP_OUT, .new_port = htons(binding->client.port), .seen = 66, .place = place, .is_asked = 1};

    table_put_addr(out.client, &binding->client.addr);
    const struct pair pair = {table_insert(&f->table, &in_key, &in, 0),
                              table_insert(&f->table, &out_key, &out, 0)};
    assert_true(pair.in != TABLE_NONE && pair.out != TABLE_NONE);
    return pair;
}

/* Goes on, and checks that so many flows were. */
static void go_on(struct fixture *f, uint32_t flows)
{
    const uint32_t run = f->places.run;
    uint32_t cursor = 0, budget = UINT32_MAX, index, fast = 0;
    char text[80];

    f->table.count = 12345; /* whatever: it counts itself */
    const struct adoption_time now = {.ms = f->net.now_ms, .ticks = NOW};
    assert_int_equal(adoption_run(&f->table, &f->places, &f->about, &f->net.dp.bindings, &now, &f->log), 0);
    assert_int_equal(f->about.run, run);
    assert_int_equal(f->table.count, 2 * flows);
    fflush(f->log.out);
    snprintf(text, sizeof text, "went on with %u flow%s of the run before", flows, plural(flows));
    assert_non_null(strstr(f->log_text, text));
    for (uint32_t i = 0; i < f->table.slots + TABLE_TAIL; i++)
        if (table_is_used(&f->table, i))
            assert_int_equal(f->table.entries[i].place / XDP_PLACES_A_RUN, run);
    while ((index = flows_next(f->net.dp.bindings.flows, &cursor, &budget)) != FLOW_NONE)
        fast += (flows_get(f->net.dp.bindings.flows, index)->flags & FLOW_FAST) != 0;
    assert_int_equal(fast, flows);
    cursor = 0, budget = UINT32_MAX; /* or each flow would have to leave what is not there */
    while ((index = flows_next(f->net.dp.bindings.flows, &cursor, &budget)) != FLOW_NONE)
        flows_get(f->net.dp.bindings.flows, index)->flags &= (uint8_t)~FLOW_FAST;
}

static uint16_t number(uint32_t run, uint16_t backend)
{
    return (uint16_t)(run * XDP_PLACES_A_RUN + backend);
}

static void assert_gone(const struct fixture *f, struct pair pair)
{
    assert_int_equal(f->table.entries[pair.in].state, XDP_GONE);
    assert_int_equal(f->table.entries[pair.out].state, XDP_GONE);
    assert_int_equal(f->table.entries[pair.in].seen, NOW);
    assert_int_equal(f->table.entries[pair.out].seen, NOW);
}

/* What a kept pair is now; all but its numbers is as it was. */
static void assert_kept(const struct fixture *f, struct pair pair, const struct fastpath_binding *binding)
{
    const struct xdp_entry *in = &f->table.entries[pair.in], *out = &f->table.entries[pair.out];
    static const uint32_t spis[] = {SPI, 2, 3, 4};
    const uint16_t source = binding->source_index == FLOW_SOURCE_CLIENT
                                ? XDP_SOURCE_CLIENT
                                : (uint16_t)(f->places.run * XDP_SOURCES_A_RUN + binding->source_index);

    assert_int_equal(in->state, XDP_IN);
    assert_int_equal(out->state, XDP_OUT);
    assert_int_equal(in->place, number(f->places.run, binding->backend));
    assert_int_equal(out->place, number(f->places.run, binding->backend));
    assert_int_equal(in->source, source);
    assert_int_equal(out->is_asked, 0);
    assert_int_equal(in->seen, 55);
    assert_int_equal(out->seen, 66);
    assert_memory_equal(in->spis, spis, sizeof spis);
    assert_int_equal(ntohs(in->new_port), binding->source.port);
    assert_int_equal(ntohs(out->new_port), binding->client.port);
    assert_memory_equal(out->client, binding->client.addr.bytes, 16);
}

#define CLIENTS 12

/* Clients of both modes and families, all of whose entries are there; backends had any other numbers. */
static void test_all_are_kept(void **state)
{
    (void)state;
    for (uint32_t left_by = 0; left_by < XDP_RUNS; left_by++) {
        struct fixture f;
        struct fastpath_binding bindings[CLIENTS];
        struct pair pairs[CLIENTS];
        begin(&f, left_by);
        for (int i = 0; i < CLIENTS; i++) {
            bindings[i] = establish(&f, i % 2 ? FULL : VPN, client_of(i + 1, i % 4 > 1));
            pairs[i] = leave(&f, &bindings[i], number(left_by, (uint16_t)(2000 - i)), (uint16_t)(i * 7));
        }
        go_on(&f, CLIENTS);
        for (int i = 0; i < CLIENTS; i++)
            assert_kept(&f, pairs[i], &bindings[i]);
        assert_int_equal(f.places.places[number(f.places.run, 0)].is_open, 1); /* they lead somewhere */
        end(&f);
    }
}

/* A flow of which nothing is known any more, among others. */
static void test_unknown_flows_go(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 0);
    const struct fastpath_binding known = establish(&f, VPN, client_of(1, false));
    struct fastpath_binding unknown = known;
    unknown.client = unknown.source = client_of(2, false);
    const struct pair stays = leave(&f, &known, 5, 5), goes = leave(&f, &unknown, 5, 5);
    go_on(&f, 1);
    assert_kept(&f, stays, &known);
    assert_gone(&f, goes);
    end(&f);
}

static struct flow *flow_of(struct fixture *f, const struct fastpath_binding *binding)
{
    return support_flow(&f->net, f->net.pool->backends[binding->backend].service, binding->client,
                        IKE_PORT_4500);
}

/* Forgets a client, as who has no state file. */
static void forget(struct fixture *f, const struct fastpath_binding *binding)
{
    struct bindings *b = &f->net.dp.bindings;
    struct flow *flow = flow_of(f, binding);
    const uint32_t pin = flow->pin;
    uint32_t cursor = 0, budget = UINT32_MAX, index;

    while ((index = flows_next(b->flows, &cursor, &budget)) != FLOW_NONE)
        if (flows_get(b->flows, index)->pin == pin)
            bindings_remove_flow(b, index);
    bindings_remove_pin(b, pin, f->net.now_ms);
}

static uint16_t source_number(const struct fastpath_binding *binding)
{
    return binding->source_index == FLOW_SOURCE_CLIENT ? XDP_SOURCE_CLIENT : 7;
}

/* Flows that only the table knows, where the place and source of the run before tell whose they are. */
static void test_flows_are_learnt(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct fixture f;
        begin(&f, 0);
        const struct fastpath_binding binding = establish(&f, i % 2 ? FULL : VPN, client_of(1, i > 1));
        const struct pair pair = leave(&f, &binding, number(0, 5), source_number(&binding));
        table_put_addr(f.places.places[number(0, 5)].server, &binding.server.addr);
        table_put_addr(f.places.sources[7].addr, &binding.source.addr);
        forget(&f, &binding);
        assert_int_equal(pins_count(f.net.dp.bindings.pins), 0);
        go_on(&f, 1);
        assert_kept(&f, pair, &binding);
        const struct flow *flow = flow_of(&f, &binding);
        const struct pin *pin = pins_get(f.net.dp.bindings.pins, flow->pin);
        assert_int_equal(flow->backend, binding.backend);
        assert_int_equal(flow->source, binding.source_index);
        assert_int_equal(flow->source_port, binding.source.port);
        assert_int_equal(flow->flags, FLOW_CONFIRMED | FLOW_ESP_BOTH);
        assert_int_equal(flow->proved_spi, 4); /* the latest of its SPIs */
        assert_int_equal(f.net.now_ms - flow->client_ms, (uint64_t)(NOW - 55) * 1048576 / 1000000);
        assert_int_equal(f.net.now_ms - flow->seen_ms,
                         (uint64_t)(NOW - 66) * 1048576 / 1000000); /* by either */
        assert_int_equal(pin->backend, binding.backend);
        assert_int_equal(pin->flags, PIN_CONFIRMED);
        assert_int_equal(f.net.pool->backends[binding.backend].clients, 1);
        end(&f);
    }
}

/* What the table knows, but this configuration has otherwise. */
static void test_what_is_not_learnt(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        struct fixture f;
        begin(&f, 0);
        const struct fastpath_binding binding = establish(&f, what == 3 ? FULL : VPN, client_of(1, false));
        const struct pair pair = leave(&f, &binding, number(0, 5), source_number(&binding));
        table_put_addr(f.places.places[number(0, 5)].server, &binding.server.addr);
        if (what == 0) /* no backend of the service */
            f.places.places[number(0, 5)].server[1] ^= 1ULL << 63;
        if (what == 1) /* another mode */
            f.table.entries[pair.in].source = 7;
        if (what == 2) /* too old */
            f.net.now_ms += 24 * 3600 * 1000;
        /* 3: no source address of ours */
        forget(&f, &binding);
        if (what == 2)
            f.table.entries[pair.in].seen = f.table.entries[pair.out].seen =
                NOW - (uint32_t)((24 * 3600 * 1000ULL * 1000000) >> XDP_TICK_SHIFT);
        go_on(&f, 0);
        assert_gone(&f, pair);
        assert_int_equal(pins_count(f.net.dp.bindings.pins), 0);
        end(&f);
    }
}

/* The same where all but one entry stand behind the last home slot. */
static void test_the_tail(void **state)
{
    struct fixture f;
    struct fastpath_binding bindings[XDP_WINDOW / 2];
    struct pair pairs[XDP_WINDOW / 2];

    (void)state;
    begin_with(&f, 0, 1);
    for (int i = 0; i < XDP_WINDOW / 2; i++) {
        bindings[i] = establish(&f, VPN, client_of(i + 1, false));
        pairs[i] = leave(&f, &bindings[i], 5, 5);
        if (i % 2)
            flow_of(&f, &bindings[i])->flags |= FLOW_LEFT;
    }
    go_on(&f, XDP_WINDOW / 4);
    for (int i = 0; i < XDP_WINDOW / 2; i++)
        if (i % 2)
            assert_gone(&f, pairs[i]);
        else
            assert_kept(&f, pairs[i], &bindings[i]);
    end(&f);
}

static void set_state(struct fixture *f, const struct fastpath_binding *binding)
{
    f->net.pool->backends[binding->backend].state = CONFIG_STATE_DRAIN;
}

static void set_down(struct fixture *f, const struct fastpath_binding *binding)
{
    f->net.pool->backends[binding->backend].health = HEALTH_DOWN;
}

static void forget_spi(struct fixture *f, const struct fastpath_binding *binding)
{
    flow_of(f, binding)->proved_spi = 0;
}

static void forget_esp(struct fixture *f, const struct fastpath_binding *binding)
{
    flow_of(f, binding)->flags &= (uint8_t)~FLOW_ESP_OUT;
}

static void go_away(struct fixture *f, const struct fastpath_binding *binding)
{
    flow_of(f, binding)->flags |= FLOW_LEFT;
}

/* Flows that are known but may not be carried, or not yet. */
static void test_flows_that_may_not(void **state)
{
    static void (*const reasons[])(struct fixture *, const struct fastpath_binding *) = {
        set_state, set_down, forget_spi, forget_esp, go_away};

    (void)state;
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        struct fixture f;
        begin(&f, 0);
        const struct fastpath_binding binding = establish(&f, i % 2 ? FULL : VPN, client_of(1, false));
        const struct pair pair = leave(&f, &binding, 5, 5);
        reasons[i](&f, &binding);
        go_on(&f, 0);
        assert_gone(&f, pair);
        end(&f);
    }
}

static void wrong_client(struct xdp_entry *in, struct xdp_entry *out)
{
    (void)in;
    ((uint8_t *)out->client)[15] ^= 1;
}

static void wrong_client_port(struct xdp_entry *in, struct xdp_entry *out)
{
    (void)in;
    out->new_port ^= 1;
}

static void wrong_source_port(struct xdp_entry *in, struct xdp_entry *out)
{
    (void)out;
    in->new_port ^= 1;
}

static void no_in(struct xdp_entry *in, struct xdp_entry *out)
{
    (void)out;
    in->state = XDP_GONE;
}

static void no_out(struct xdp_entry *in, struct xdp_entry *out)
{
    (void)in;
    out->state = XDP_FREE;
}

/* Entries under the flow's keys that lead elsewhere, or of which one is missing: both go. */
static void test_entries_that_are_wrong(void **state)
{
    static void (*const faults[])(struct xdp_entry *, struct xdp_entry *) = {
        wrong_client, wrong_client_port, wrong_source_port, no_in, no_out};

    (void)state;
    for (size_t i = 0; i < 2 * sizeof faults / sizeof faults[0]; i++) {
        struct fixture f;
        begin(&f, 1);
        const struct fastpath_binding binding = establish(&f, i % 2 ? FULL : VPN, client_of(1, false));
        const struct pair pair = leave(&f, &binding, number(1, 5), 5);
        faults[i / 2](&f.table.entries[pair.in], &f.table.entries[pair.out]);
        go_on(&f, 0);
        assert_false(table_is_used(&f.table, pair.in));
        assert_false(table_is_used(&f.table, pair.out));
        end(&f);
    }
}

/* Full NAT: the flow has another source address or port than its entries, whose replies would be lost. */
static void test_another_source(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        begin(&f, 0);
        const struct fastpath_binding binding = establish(&f, FULL, client_of(1, false));
        struct fastpath_binding other = binding;
        if (i)
            other.source.port++;
        else
            other.source.addr = support_addr("10.2.0.200");
        const struct pair pair = leave(&f, &other, 5, 5);
        go_on(&f, 0);
        assert_gone(&f, pair);
        end(&f);
    }
}

/*
 * The run before crashed while it adopted: what it had done has its numbers, the rest those of the one before
 * it, which are ours again and mean other backends by now.
 */
static void test_after_a_crash_in_between(void **state)
{
    (void)state;
    for (uint32_t left_by = 0; left_by < XDP_RUNS; left_by++) {
        struct fixture f;
        begin(&f, left_by);
        const struct fastpath_binding done = establish(&f, VPN, client_of(1, false));
        const struct fastpath_binding undone = establish(&f, FULL, client_of(2, false));
        const struct pair stays = leave(&f, &done, number(left_by, 5), 5);
        const struct pair goes = leave(&f, &undone, number(1 - left_by, 5), 5);
        go_on(&f, 1);
        assert_kept(&f, stays, &done);
        assert_gone(&f, goes);
        end(&f);
    }
}

/* Twice in a row, as runs do: the numbers of the first are the first's again. */
static void test_again_and_again(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 0);
    const struct fastpath_binding binding = establish(&f, FULL, client_of(1, false));
    const struct pair pair = leave(&f, &binding, number(0, 9), 9);
    for (int i = 0; i < 4; i++) {
        go_on(&f, 1);
        assert_kept(&f, pair, &binding);
        f.places.run = (f.about.run + 1) % XDP_RUNS;
    }
    end(&f);
}

static void test_an_empty_table(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 0);
    establish(&f, VPN, client_of(1, false));
    go_on(&f, 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_kept),
        cmocka_unit_test(test_unknown_flows_go),
        cmocka_unit_test(test_flows_are_learnt),
        cmocka_unit_test(test_what_is_not_learnt),
        cmocka_unit_test(test_the_tail),
        cmocka_unit_test(test_flows_that_may_not),
        cmocka_unit_test(test_entries_that_are_wrong),
        cmocka_unit_test(test_another_source),
        cmocka_unit_test(test_after_a_crash_in_between),
        cmocka_unit_test(test_again_and_again),
        cmocka_unit_test(test_an_empty_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
