#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "lb/xdp/table.h"
#include "lb/xdp/xdp.h"
#include "tests/unit/netns.h"
#include "tests/unit/open_map.h"
#include "tests/unit/support.h"

/* The fast path as lb/ sees it, with its maps in the kernel, in a namespace that has no device to attach to.
 */

#define CLIENTS 37
#define START   UINT64_C(123456789)

enum { VPN, FULL };
enum { VPN_A, FULL_A };

static const struct support_service services[] = {
    {.name = "vpn", .vips = {"203.0.113.10"}, .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED}}},
    {.name = "full",
     .vips = {"203.0.113.11"},
     .mode = CONFIG_MODE_FULL_NAT,
     .snats = {"10.2.0.99", "10.2.0.100"},
     .backends = {{"a", "10.2.0.1", 0, CONFIG_STATE_ENABLED}}},
};

static bool may_test;

struct fixture {
    struct support_net net;
    struct xdp *xdp;
    const struct fastpath *fastpath;
    struct xdp_entry *entries;
    struct xdp_place *places;
    struct xdp_about *about;
    size_t entries_size, places_size, about_size;
    struct table table; /* over the same entries: to look things up */
};

static int set_up_group(void **state)
{
    (void)state;
    may_test = netns_enter();
    return 0;
}

static void begin(struct fixture *f)
{
    const struct config config = {.fastpath = CONFIG_FASTPATH_AUTO, .max_clients = CLIENTS};
    const struct log log = {.level = LOG_LEVEL_WARN, .out = stderr};

    if (!may_test)
        skip();
    support_net_init(&f->net, services, 2, CLIENTS);
    assert_int_equal(xdp_load(&config, &log, &f->xdp), 0);
    xdp_start(f->xdp, &f->net.dp.bindings, &log, START);
    f->fastpath = f->net.dp.bindings.fastpath;
    assert_non_null(f->fastpath);
    f->entries = open_map("ikelb_entries", &f->entries_size);
    f->places = open_map("ikelb_places", &f->places_size);
    f->about = open_map("ikelb_about", &f->about_size);
    f->table = (struct table){.entries = f->entries, .slots = f->about->slots, .seed = f->about->seed};
}

static void end(struct fixture *f)
{
    munmap(f->entries, f->entries_size);
    munmap(f->places, f->places_size);
    munmap(f->about, f->about_size);
    xdp_destroy(f->xdp, false);
    assert_null(f->net.dp.bindings.fastpath);
    support_net_deinit(&f->net);
}

static struct fastpath_binding binding_of(int number)
{
    struct fastpath_binding b = {
        .client = support_endpoint("198.51.100.1", 40000),
        .vip = support_endpoint("203.0.113.10", 4500),
        .server = support_endpoint("10.1.0.1", 4500),
        .backend = VPN_A,
        .source_index = FLOW_SOURCE_CLIENT,
        .spi = 11,
    };

    b.client.addr.bytes[15] = (uint8_t)number;
    b.source = b.client;
    return b;
}

static struct fastpath_binding full_nat_binding(void)
{
    struct fastpath_binding b = binding_of(1);

    b.vip = support_endpoint("203.0.113.11", 4500);
    b.source = support_endpoint("10.2.0.100", 2000);
    b.source_index = 1;
    b.server = support_endpoint("10.2.0.1", 4500);
    b.backend = FULL_A;
    return b;
}

static bool enter(struct fixture *f, const struct fastpath_binding *binding)
{
    return f->fastpath->ops->enter(f->fastpath->ctx, binding);
}

static struct xdp_entry *find(struct fixture *f, struct table_key key)
{
    const uint32_t index = table_find(&f->table, &key);

    return index == TABLE_NONE ? NULL : &f->entries[index];
}

static struct xdp_entry *find_in(struct fixture *f, const struct fastpath_binding *binding)
{
    return find(f, table_key_in(binding));
}

static struct xdp_entry *find_out(struct fixture *f, const struct fastpath_binding *binding)
{
    return find(f, table_key_out(binding));
}

static uint32_t count(struct fixture *f)
{
    struct fastpath_report report;

    fastpath_report(&f->net.dp.bindings, &report);
    return report.entries;
}

static uint32_t ticks(uint64_t ms)
{
    return (uint32_t)(ms * 1000000 >> XDP_TICK_SHIFT);
}

static void test_enter_and_leave(void **state)
{
    const struct fastpath_binding bindings[] = {binding_of(1), full_nat_binding()};
    struct fixture f;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct fastpath_binding *b = &bindings[i];
        const uint32_t spis[XDP_SPIS_MAX] = {11};
        begin(&f);
        assert_true(enter(&f, b));
        const struct xdp_entry *in = find_in(&f, b), *out = find_out(&f, b);
        assert_true(in && out);
        assert_int_equal(in->state, XDP_IN);
        assert_int_equal(ntohs(in->new_port), b->source.port);
        assert_int_equal(in->place, b->backend);
        assert_int_equal(in->source, i ? 1 : XDP_SOURCE_CLIENT);
        assert_int_equal(in->seen, ticks(START));
        assert_memory_equal(in->spis, spis, sizeof spis);
        assert_int_equal(out->state, XDP_OUT);
        assert_int_equal(ntohs(out->new_port), b->client.port);
        assert_int_equal(out->place, b->backend);
        assert_int_equal(out->is_asked, 0);
        assert_int_equal(out->seen, ticks(START));
        assert_memory_equal(out->client, b->client.addr.bytes, 16);
        assert_int_equal(count(&f), 2);
        f.fastpath->ops->leave(f.fastpath->ctx, b);
        assert_true(!find_in(&f, b) && !find_out(&f, b));
        assert_int_equal(count(&f), 0);
        f.fastpath->ops->leave(f.fastpath->ctx, b); /* nothing is there any more */
        assert_int_equal(count(&f), 0);
        end(&f);
    }
}

/* Other SPIs join, each once, and when there is no room the oldest goes. */
static void test_spis(void **state)
{
    static const struct {
        uint32_t spi;
        uint32_t spis[XDP_SPIS_MAX];
    } rows[] = {
        {12, {11, 12}},         {11, {11, 12}},         {13, {11, 12, 13}},     {14, {11, 12, 13, 14}},
        {12, {11, 12, 13, 14}}, {15, {12, 13, 14, 15}}, {16, {13, 14, 15, 16}}, {11, {14, 15, 16, 11}},
    };
    struct fastpath_binding b = binding_of(1);
    struct fixture f;

    (void)state;
    begin(&f);
    assert_true(enter(&f, &b));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        f.fastpath->ops->ask(f.fastpath->ctx, &b);
        assert_int_equal(find_out(&f, &b)->is_asked, 1);
        assert_int_equal(find_in(&f, &b)->source, XDP_SOURCE_CLIENT);
        b.spi = rows[i].spi;
        assert_true(enter(&f, &b));
        assert_int_equal(find_out(&f, &b)->is_asked, 0);
        assert_memory_equal(find_in(&f, &b)->spis, rows[i].spis, sizeof rows[i].spis);
        assert_int_equal(count(&f), 2);
    }
    const struct fastpath_binding stranger = binding_of(9);
    f.fastpath->ops->ask(f.fastpath->ctx, &stranger); /* which is not there */
    end(&f);
}

/* One of the two entries is missing: both are made anew. */
static void test_half_a_flow(void **state)
{
    const struct fastpath_binding b = binding_of(1);
    struct fixture f;

    (void)state;
    for (int i = 0; i < 2; i++) {
        begin(&f);
        struct fastpath_ages ages;
        assert_true(enter(&f, &b));
        const struct xdp_entry *rest = i ? find_out(&f, &b) : find_in(&f, &b);
        (i ? find_in(&f, &b) : find_out(&f, &b))->state = XDP_FREE;
        assert_false(f.fastpath->ops->ages(f.fastpath->ctx, &b, START, &ages));
        assert_true(enter(&f, &b));
        assert_true(find_in(&f, &b) && find_out(&f, &b));
        assert_int_equal(rest->state, XDP_GONE); /* or it would be there twice */
        assert_true(f.fastpath->ops->ages(f.fastpath->ctx, &b, START, &ages));
        end(&f);
    }
}

/* Makes every slot look used but those of that window; -1: all. */
static void fill(struct fixture *f, int64_t but)
{
    for (uint32_t i = 0; i < f->table.slots + TABLE_TAIL; i++)
        if (but < 0 || i < (uint32_t)but || i >= (uint32_t)but + XDP_WINDOW)
            f->entries[i].state = XDP_IN;
}

static uint32_t home_of(const struct fixture *f, struct table_key key)
{
    __u64 src[2], dst[2];

    table_put_addr(src, &key.src.addr);
    table_put_addr(dst, &key.dst.addr);
    return xdp_home(src, dst, htons(key.src.port), htons(key.dst.port), f->table.seed, f->table.slots);
}

/* No room for either entry, or for the second one: then the first is not left over. */
static void test_no_room(void **state)
{
    struct fastpath_binding b;
    struct fixture f;

    (void)state;
    begin(&f);
    b = binding_of(1);
    fill(&f, -1);
    assert_false(enter(&f, &b));
    assert_int_equal(count(&f), 0);
    end(&f);

    begin(&f);
    uint32_t in, out;
    int number = 1;
    do {
        b = binding_of(number++);
        in = home_of(&f, table_key_in(&b));
        out = home_of(&f, table_key_out(&b));
    } while ((in > out ? in - out : out - in) < XDP_WINDOW);
    fill(&f, out);
    assert_false(enter(&f, &b));
    assert_int_equal(f.entries[out].state, XDP_GONE);
    assert_int_equal(count(&f), 0);
    end(&f);
}

/* Since the packets that the program saw last; its clock may be ahead of ours. */
static void test_ages(void **state)
{
    static const struct {
        int32_t in_ago, out_ago; /* ticks */
        uint32_t client_ms, backend_ms;
    } rows[] = {
        {0, 0, 0, 0},  {1000, 0, 1048, 0}, {0, 1000, 0, 1048}, {3000000, 1, 3145728, 1},
        {-5, 7, 0, 7}, {7, -5, 7, 0},
    };
    const struct fastpath_binding b = binding_of(1);
    const uint64_t now_ms = UINT64_C(987654321);
    struct fixture f;

    (void)state;
    begin(&f);
    assert_true(enter(&f, &b));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fastpath_ages ages;
        find_in(&f, &b)->seen = ticks(now_ms) - (uint32_t)rows[i].in_ago;
        find_out(&f, &b)->seen = ticks(now_ms) - (uint32_t)rows[i].out_ago;
        assert_true(f.fastpath->ops->ages(f.fastpath->ctx, &b, now_ms, &ages));
        assert_int_equal(ages.client_ms, rows[i].client_ms);
        assert_int_equal(ages.backend_ms, rows[i].backend_ms);
    }
    end(&f);
}

/* Backends that may not be carried for are closed at once, and the daemon says that it is there. */
static void test_refresh_and_tick(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(f.places[VPN_A].is_open, 1);
    assert_int_equal(f.about->alive, ticks(START));
    f.net.pool->backends[VPN_A].state = CONFIG_STATE_DRAIN;
    fastpath_refresh(&f.net.dp.bindings);
    assert_int_equal(f.places[VPN_A].is_open, 0);
    assert_int_equal(f.places[FULL_A].is_open, 1);
    f.net.pool->backends[FULL_A].health = HEALTH_DOWN;
    xdp_tick(f.xdp, START + 5000);
    assert_int_equal(f.about->alive, ticks(START + 5000));
    assert_int_equal(f.places[FULL_A].is_open, 0);
    const struct fastpath_binding b = binding_of(1);
    assert_true(enter(&f, &b));
    assert_int_equal(find_in(&f, &b)->seen, ticks(START + 5000));
    end(&f);
}

static void test_report(void **state)
{
    struct fastpath_report report;
    struct fixture f;

    (void)state;
    begin(&f);
    fastpath_report(&f.net.dp.bindings, &report);
    assert_int_equal(report.mode, FASTPATH_OFF); /* no device */
    assert_int_equal(report.interface_count, 0);
    assert_true(report.capacity >= 2 * CLIENTS);
    assert_int_equal(report.reason_count, XDP_PASS_COUNT);
    assert_string_equal(report.reasons[XDP_PASS_NOT_ESP], "ike");
    assert_string_equal(report.reasons[XDP_PASS_IDLE], "idle");
    for (size_t i = 0; i < report.reason_count; i++)
        assert_true(report.reasons[i] && report.passed_total[i] == 0);
    end(&f);
}

static void test_off(void **state)
{
    const struct config config = {.fastpath = CONFIG_FASTPATH_OFF, .max_clients = CLIENTS};
    struct support_net net;
    struct xdp *xdp;

    (void)state;
    if (!may_test)
        skip();
    support_net_init(&net, services, 2, CLIENTS);
    assert_int_equal(xdp_load(&config, NULL, &xdp), 0);
    xdp_start(xdp, &net.dp.bindings, NULL, START);
    assert_null(net.dp.bindings.fastpath);
    xdp_tick(xdp, START + 100);
    xdp_destroy(xdp, true);
    xdp_destroy(NULL, false);
    support_net_deinit(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enter_and_leave),
        cmocka_unit_test(test_spis),
        cmocka_unit_test(test_half_a_flow),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_ages),
        cmocka_unit_test(test_refresh_and_tick),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_off),
    };

    return cmocka_run_group_tests(tests, set_up_group, NULL);
}
