#include "tests/unit/unit.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "lb/xdp/places.h"
#include "lb/xdp/table.h"
#include "tests/unit/support.h"

/* Backends and source addresses on their way into the program's maps, which are plain memory here. */

enum { VPN_A, VPN_SIX, FULL_A, FULL_SIX, BACKENDS };

static const struct support_service services[] = {
    {.name = "vpn",
     .vips = {"203.0.113.10", "2001:db8::10"},
     .idle_timeout_ms = 60000,
     .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                  {"six", "2001:db8:1::1", 0, CONFIG_STATE_ENABLED}}},
    {.name = "full",
     .vips = {"203.0.113.11", "2001:db8::11"},
     .mode = CONFIG_MODE_FULL_NAT,
     .snats = {"10.2.0.100", "2001:db8:2::100"},
     .idle_timeout_ms = 3600000,
     .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED}, /* the same server */
                  {"six", "2001:db8:2::1", 0, CONFIG_STATE_ENABLED}}},
};

static const struct {
    const char *server, *vip;
    uint32_t idle_ms;
} expected[BACKENDS] = {
    {"10.1.0.1", "203.0.113.10", 60000},
    {"2001:db8:1::1", "2001:db8::10", 60000},
    {"10.1.0.1", "203.0.113.11", 3600000},
    {"2001:db8:2::1", "2001:db8::11", 3600000},
};

#define PLACES_SIZE (XDP_RUNS * XDP_PLACES_A_RUN * sizeof(struct xdp_place))

struct fixture {
    struct support_net net;
    struct places places;
};

static void begin(struct fixture *f, uint32_t run)
{
    support_net_init(&f->net, services, 2, 100);
    f->places = (struct places){.run = run};
    f->places.places = mmap(NULL, PLACES_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    f->places.sources = calloc(XDP_RUNS * XDP_SOURCES_A_RUN, sizeof *f->places.sources);
    assert_true(f->places.places != MAP_FAILED && f->places.sources);
    for (size_t i = 0; i < f->net.pool->server_count; i++)
        f->places.ifindex[i] = (uint32_t)(10 + i);
}

static void end(struct fixture *f)
{
    munmap(f->places.places, PLACES_SIZE);
    free(f->places.sources);
    support_net_deinit(&f->net);
}

static void assert_addr(const __u64 words[2], const char *addr)
{
    const struct addr have = table_addr(words);
    char text[ADDR_TEXT_MAX];

    assert_string_equal(addr_format(&have, text), addr);
}

static void assert_empty(const void *place, size_t size)
{
    static const uint8_t zero[64];

    assert_memory_equal(place, zero, size);
}

static const struct xdp_place *place_of(const struct fixture *f, uint16_t backend)
{
    return &f->places.places[f->places.run * XDP_PLACES_A_RUN + backend];
}

static void test_numbers(void **state)
{
    const struct places runs[] = {{.run = 0}, {.run = 1}};

    (void)state;
    assert_int_equal(places_of_backend(&runs[0], 7), 7);
    assert_int_equal(places_of_backend(&runs[1], 7), XDP_PLACES_A_RUN + 7);
    assert_int_equal(places_of_source(&runs[0], 7), 7);
    assert_int_equal(places_of_source(&runs[1], 7), XDP_SOURCES_A_RUN + 7);
    assert_int_equal(places_of_source(&runs[0], FLOW_SOURCE_CLIENT), XDP_SOURCE_CLIENT);
    assert_int_equal(places_of_source(&runs[1], FLOW_SOURCE_CLIENT), XDP_SOURCE_CLIENT);
    assert_true(places_of_backend(&runs[1], POOL_BACKENDS_MAX - 1) < XDP_RUNS * XDP_PLACES_A_RUN);
    assert_true(places_of_source(&runs[1], SNAT_MAX - 1) < XDP_RUNS * XDP_SOURCES_A_RUN);
}

/* All of it, at this run's numbers; the other run's are left alone. */
static void test_everything(void **state)
{
    (void)state;
    for (uint32_t run = 0; run < XDP_RUNS; run++) {
        struct fixture f;
        begin(&f, run);
        struct xdp_place *other = &f.places.places[(1 - run) * XDP_PLACES_A_RUN];
        other->is_open = 77;
        places_refresh(&f.places, &f.net.dp.bindings);
        for (uint16_t i = 0; i < BACKENDS; i++) {
            const struct xdp_place *place = place_of(&f, i);
            const uint64_t idle_ns = ((uint64_t)place->idle << XDP_TICK_SHIFT);
            assert_addr(place->server, expected[i].server);
            assert_addr(place->vip, expected[i].vip);
            assert_int_equal(place->ifindex, 10 + f.net.pool->backends[i].server);
            assert_int_equal(place->is_open, 1);
            assert_int_equal(idle_ns / 1000000 + 1, expected[i].idle_ms);
        }
        assert_empty(place_of(&f, BACKENDS), sizeof(struct xdp_place));
        assert_int_equal(other->is_open, 77);
        assert_empty(other + 1, sizeof *other);
        const struct xdp_source *sources = &f.places.sources[run * XDP_SOURCES_A_RUN];
        assert_addr(sources[0].addr, "10.2.0.100");
        assert_addr(sources[1].addr, "2001:db8:2::100");
        assert_empty(&sources[2], sizeof sources[2]);
        assert_empty(&f.places.sources[(1 - run) * XDP_SOURCES_A_RUN], sizeof *sources);
        end(&f);
    }
}

/* A backend that may not be carried for is closed; where its packets go is still known. */
static void test_states(void **state)
{
    static const struct {
        enum health_state health;
        enum config_state state;
        bool removed;
        bool is_open;
    } rows[] = {
        {HEALTH_UP, CONFIG_STATE_ENABLED, false, true}, {HEALTH_DOWN, CONFIG_STATE_ENABLED, false, false},
        {HEALTH_UP, CONFIG_STATE_DRAIN, false, false},  {HEALTH_UP, CONFIG_STATE_DISABLED, false, false},
        {HEALTH_UP, CONFIG_STATE_ENABLED, true, false}, {HEALTH_UNKNOWN, CONFIG_STATE_ENABLED, false, true},
    };
    struct fixture f;

    (void)state;
    begin(&f, 1);
    struct backend *backend = &f.net.pool->backends[VPN_SIX];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        backend->health = rows[i].health;
        backend->state = rows[i].state;
        backend->removed = rows[i].removed;
        places_refresh(&f.places, &f.net.dp.bindings);
        assert_int_equal(place_of(&f, VPN_SIX)->is_open, rows[i].is_open);
        assert_addr(place_of(&f, VPN_SIX)->server, expected[VPN_SIX].server);
        assert_int_equal(place_of(&f, VPN_A)->is_open, 1);
    }
    end(&f);
}

/* Each thing that can change by itself does so. */
static void test_changes(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 0);
    places_refresh(&f.places, &f.net.dp.bindings);
    f.places.ifindex[f.net.pool->backends[VPN_A].server] = 99;
    places_refresh(&f.places, &f.net.dp.bindings);
    assert_int_equal(place_of(&f, VPN_A)->ifindex, 99);
    assert_int_equal(place_of(&f, FULL_A)->ifindex, 99); /* one server */
    assert_int_equal(place_of(&f, VPN_SIX)->ifindex, 10 + f.net.pool->backends[VPN_SIX].server);
    f.net.pool->services[0].persistence.idle_timeout_ms = 1000;
    places_refresh(&f.places, &f.net.dp.bindings);
    assert_int_equal(place_of(&f, VPN_A)->idle, 953); /* 1000 ms in ticks of 2^20 ns */
    f.net.pool->services[0].persistence.idle_timeout_ms = 30U * 86400 * 1000;
    places_refresh(&f.places, &f.net.dp.bindings);
    assert_int_equal(place_of(&f, VPN_A)->idle, UINT64_C(2592000000000000) >> XDP_TICK_SHIFT);
    f.net.pool->services[0].vips[0] = support_addr("203.0.113.99");
    f.net.pool->backends[VPN_A].addr = support_addr("10.1.0.9");
    places_refresh(&f.places, &f.net.dp.bindings);
    assert_addr(place_of(&f, VPN_A)->vip, "203.0.113.99");
    assert_addr(place_of(&f, VPN_A)->server, "10.1.0.9");
    assert_int_equal(place_of(&f, VPN_A)->is_open, 1);
    end(&f);
}

/* No backend there, or one that has no VIP of its family: nothing that a packet could take. */
static void test_nothing_there(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 0);
    places_refresh(&f.places, &f.net.dp.bindings);
    f.net.pool->backends[VPN_A].used = false;
    f.net.pool->services[0].vip_count = 1;
    places_refresh(&f.places, &f.net.dp.bindings);
    assert_empty(place_of(&f, VPN_A), sizeof(struct xdp_place));
    assert_empty(place_of(&f, VPN_SIX), sizeof(struct xdp_place));
    assert_int_equal(place_of(&f, FULL_A)->is_open, 1);
    f.net.pool->backends[VPN_A].used = true;
    f.net.pool->services[0].vip_count = 2;
    places_refresh(&f.places, &f.net.dp.bindings);
    assert_int_equal(place_of(&f, VPN_SIX)->is_open, 1);
    end(&f);
}

/* What has not changed is not touched, or its packets would pass up ten times a second. */
static void test_not_written_without_need(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 1);
    places_refresh(&f.places, &f.net.dp.bindings);
    assert_int_equal(mprotect(f.places.places, PLACES_SIZE, PROT_READ), 0);
    places_refresh(&f.places, &f.net.dp.bindings); /* a write would end the program */
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),       cmocka_unit_test(test_everything),
        cmocka_unit_test(test_states),        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_nothing_there), cmocka_unit_test(test_not_written_without_need),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
