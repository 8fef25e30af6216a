#include "tests/unit/unit.h"

#include <jansson.h>
#include <stdlib.h>

#include "admin/clients_json.h"
#include "tests/unit/json_body.h"
#include "tests/unit/support.h"

#define MANY 1000000

static const struct support_service services[] = {
    {.name = "a",
     .vips = {"192.0.2.1"},
     .backends = {{.name = "vpn1", .address = "198.51.100.1"}, {.name = "vpn2", .address = "198.51.100.2"}}},
};

static json_t *page_of(const struct support_net *net, const struct clients_query *query)
{
    struct body body;

    assert_int_equal(clients_json(&net->dp, query, net->now_ms, &body), 0);
    return json_body_take(&body);
}

/* The slot that the page's `next` stands for; false if there is none. */
static bool next_of(const struct support_net *net, const json_t *page, uint32_t *slot)
{
    const json_t *next = json_object_get(page, "next");
    struct clients_query q;
    char error[CLIENTS_ERROR_MAX];

    if (json_is_null(next))
        return false;
    const struct http_query query = {"after", json_string_value(next)};
    assert_int_equal(clients_query_read(net->pool, &query, 1, &q, error), 0);
    *slot = q.after;
    return true;
}

static const struct clients_query all = {.every_backend = true, .limit = CLIENTS_LIMIT_DEFAULT};

static json_t *only_row(json_t *page)
{
    json_t *rows = json_object_get(page, "clients");

    assert_int_equal(json_array_size(rows), 1);
    assert_true(json_is_null(json_object_get(page, "next")));
    return json_array_get(rows, 0);
}

static void check_row(const struct support_net *net, const char *expected)
{
    json_t *page = page_of(net, &all);
    json_t *wanted = json_loads(expected, 0, NULL);
    char *seen = json_dumps(only_row(page), JSON_SORT_KEYS);
    char *want = json_dumps(wanted, JSON_SORT_KEYS);

    assert_non_null(wanted);
    assert_string_equal(seen, want);
    free(seen);
    free(want);
    json_decref(wanted);
    json_decref(page);
}

/* A client's way from its first message to a tunnel, and how long ago it was last heard of. */
static void test_row_follows_the_handshake(void **state)
{
    struct support_net net;
    const struct endpoint from_500 = support_endpoint("203.0.113.7", 40500);
    const struct endpoint from_4500 = support_endpoint("203.0.113.7", 44500);

    (void)state;
    support_net_init(&net, services, 1, 100);
    net.pool->backends[1].state = CONFIG_STATE_DISABLED;
    const struct verdict init =
        support_from_client(&net, 0, from_500, IKE_PORT_500, SUPPORT_INIT_FRAGMENTATION);
    check_row(&net,
              "{\"service\":\"a\",\"address\":\"203.0.113.7\",\"backend\":\"vpn1\",\"stage\":\"init-sent\","
              "\"ports\":{\"500\":40500,\"4500\":null},\"confirmed\":false,\"age_s\":0,\"idle_s\":0,"
              "\"flows\":1,\"fragmentation\":true,\"roams\":0}");

    net.now_ms += 2000;
    support_reply(&net, &init, SUPPORT_INIT_ANSWER);
    const struct verdict auth = support_from_client(&net, 0, from_4500, IKE_PORT_4500, SUPPORT_AUTH);
    support_reply(&net, &auth, SUPPORT_AUTH_ANSWER);
    support_from_client(&net, 0, from_4500, IKE_PORT_4500, SUPPORT_ESP);
    support_reply(&net, &auth, SUPPORT_ESP);
    net.now_ms += 60000;
    support_from_client(&net, 0, from_4500, IKE_PORT_4500,
                        SUPPORT_ESP); /* known to its flow, not to its pin */
    net.now_ms += 5999;
    check_row(&net,
              "{\"service\":\"a\",\"address\":\"203.0.113.7\",\"backend\":\"vpn1\",\"stage\":\"established\","
              "\"ports\":{\"500\":40500,\"4500\":44500},\"confirmed\":true,\"age_s\":67,\"idle_s\":5,"
              "\"flows\":2,\"fragmentation\":true,\"roams\":0}");
    support_net_deinit(&net);
}

/* Of a client whose handshake was before our time only its traffic is known. */
static void test_row_without_a_handshake(void **state)
{
    struct support_net net;
    const struct endpoint client = support_endpoint("203.0.113.7", 500);
    uint32_t pin;

    (void)state;
    support_net_init(&net, services, 1, 100);
    assert_int_equal(bindings_add_pin(&net.dp.bindings, &client, 1, true, net.now_ms, &pin), 0);
    net.now_ms += 90000;
    check_row(&net, "{\"service\":\"a\",\"address\":\"203.0.113.7\",\"backend\":\"vpn2\",\"stage\":\"none\","
                    "\"ports\":{\"500\":null,\"4500\":null},\"confirmed\":true,\"age_s\":90,\"idle_s\":90,"
                    "\"flows\":0,\"fragmentation\":null,\"roams\":0}");
    support_net_deinit(&net);
}

/* The clock of pins has 32 bits: ages stay right where it starts again. */
static void test_ages_over_the_wrap(void **state)
{
    struct support_net net;
    const struct endpoint client = support_endpoint("203.0.113.7", 500);
    uint32_t pin;

    (void)state;
    support_net_init(&net, services, 1, 100);
    net.now_ms = UINT32_MAX - UINT64_C(999);
    assert_int_equal(bindings_add_pin(&net.dp.bindings, &client, 0, true, net.now_ms, &pin), 0);
    net.now_ms += 3000;
    json_t *page = page_of(&net, &all);
    assert_int_equal(json_integer_value(json_object_get(only_row(page), "age_s")), 3);
    assert_int_equal(json_integer_value(json_object_get(only_row(page), "idle_s")), 3);
    json_decref(page);
    support_net_deinit(&net);
}

static void remove_pin(struct support_net *net, uint32_t pin)
{
    struct backend *backend = &net->pool->backends[pins_get(net->dp.bindings.pins, pin)->backend];

    backend->clients--;
    backend->clients_at[pins_get(net->dp.bindings.pins, pin)->stage]--;
    pins_remove(net->dp.bindings.pins, pin);
}

/* `count` clients, one in `share` of them at the second backend, with a hole at every fifth slot. */
static void fill(struct support_net *net, uint32_t count, uint32_t share)
{
    support_net_init(net, services, 1, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct endpoint client = {.addr = support_addr_v4(i)};
        uint32_t pin;
        assert_int_equal(
            bindings_add_pin(&net->dp.bindings, &client, i % share == 1, true, net->now_ms, &pin), 0);
    }
    for (uint32_t i = 0; i < count; i += 5)
        remove_pin(net, i);
}

/* Reads all pages; how often each client came. Fails the test if a page has more rows than asked for. */
static uint8_t *read_all(const struct support_net *net, struct clients_query query, uint32_t count,
                         size_t *pages)
{
    uint8_t *seen = calloc(count, 1);

    assert_non_null(seen);
    *pages = 0;
    do {
        json_t *page = page_of(net, &query);
        size_t i;
        json_t *row;
        assert_true(json_array_size(json_object_get(page, "clients")) <= query.limit);
        json_array_foreach(json_object_get(page, "clients"), i, row)
        {
            struct addr client;
            assert_int_equal(addr_parse(json_string_value(json_object_get(row, "address")), &client), 0);
            const uint8_t *b = addr_v4_bytes(&client);
            seen[(uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]]++;
        }
        ++*pages;
        const bool more = next_of(net, page, &query.after);
        json_decref(page);
        if (!more)
            return seen;
    } while (*pages < count);
    fail_msg("the pages have no end");
    return seen;
}

static void test_pages_hold_each_client_once(void **state)
{
    static const uint32_t limits[] = {1, 7, 20, 21, 100, 1000};
    enum { COUNT = 300 };
    struct support_net net;

    (void)state;
    fill(&net, COUNT, 2);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct clients_query query = all;
        size_t pages;
        query.limit = limits[i];
        uint8_t *seen = read_all(&net, query, COUNT, &pages);
        for (uint32_t c = 0; c < COUNT; c++)
            assert_int_equal(seen[c], c % 5 ? 1 : 0);
        assert_int_equal(pages, (COUNT * 4 / 5 + limits[i] - 1) / limits[i]);
        free(seen);
    }
    support_net_deinit(&net);
}

/* Clients that come and go between pages do not disturb those that stay. */
static void test_pages_while_clients_change(void **state)
{
    enum { COUNT = 200 };
    struct support_net net;
    struct clients_query query = all;
    uint8_t seen[COUNT] = {0};
    uint64_t random = support_seed();
    bool more = true;

    (void)state;
    fill(&net, COUNT, 2);
    query.limit = 3;
    while (more) {
        json_t *page = page_of(&net, &query);
        size_t i;
        json_t *row;
        json_array_foreach(json_object_get(page, "clients"), i, row)
        {
            struct addr client;
            assert_int_equal(addr_parse(json_string_value(json_object_get(row, "address")), &client), 0);
            if (addr_v4_bytes(&client)[1] == 0)
                seen[addr_v4_bytes(&client)[3]]++;
        }
        more = next_of(&net, page, &query.after);
        json_decref(page);

        const struct endpoint newcomer = {.addr =
                                              support_addr_v4(1 << 20 | support_random_below(&random, 30))};
        const struct pin_key key = bindings_pin_key(&net.dp.bindings, 0, &newcomer);
        const uint32_t old = pins_find(net.dp.bindings.pins, &key);
        uint32_t pin;
        if (old != PIN_NONE)
            remove_pin(&net, old);
        else
            assert_int_equal(bindings_add_pin(&net.dp.bindings, &newcomer, 0, true, net.now_ms, &pin), 0);
    }
    for (uint32_t c = 0; c < COUNT; c++)
        assert_int_equal(seen[c], c % 5 ? 1 : 0);
    support_net_deinit(&net);
}

static void test_only_one_backend(void **state)
{
    enum { COUNT = 100 };
    struct support_net net;
    struct clients_query query = {.wanted = {false, true}, .limit = 10};
    size_t pages;

    (void)state;
    fill(&net, COUNT, 2);
    uint8_t *seen = read_all(&net, query, COUNT, &pages);
    for (uint32_t c = 0; c < COUNT; c++)
        assert_int_equal(seen[c], c % 5 && c % 2 ? 1 : 0);
    free(seen);
    support_net_deinit(&net);
}

static void test_beyond_the_end(void **state)
{
    struct support_net net;
    struct clients_query query = all;

    (void)state;
    fill(&net, 10, 2);
    query.after = UINT32_MAX;
    json_t *page = page_of(&net, &query);
    assert_int_equal(json_array_size(json_object_get(page, "clients")), 0);
    assert_true(json_is_null(json_object_get(page, "next")));
    json_decref(page);
    support_net_deinit(&net);
}

/*
 * The loop's millisecond: among a million clients, a page looks at no more than its share of slots, however
 * few of them are wanted, and a slice holds no more than its share of rows.
 */
static void test_a_million_clients(void **state)
{
    struct support_net net;
    struct clients_query nobody = {.limit = CLIENTS_LIMIT_MAX};
    struct clients_query most = all;
    struct body body;
    size_t slices = 0;
    uint32_t slot = 0;

    (void)state;
    fill(&net, MANY, 1000);
    json_t *page = page_of(&net, &nobody);
    assert_int_equal(json_array_size(json_object_get(page, "clients")), 0);
    assert_true(next_of(&net, page, &slot));
    assert_int_equal(slot, CLIENTS_PAGE_SLOTS);
    json_decref(page);

    most.limit = CLIENTS_LIMIT_MAX;
    assert_int_equal(clients_json(&net.dp, &most, net.now_ms, &body), 0);
    for (int step = BODY_MORE; step == BODY_MORE; slices++) {
        char *text = NULL;
        size_t len = 0;
        size_t rows = 0;
        FILE *out = open_memstream(&text, &len);
        step = body.next(body.state, out);
        assert_true(step >= 0);
        fclose(out);
        for (const char *at = text; (at = strstr(at, "\"address\"")); at++)
            rows++;
        assert_true(len > 0 && rows <= BODY_SLICE_ROWS);
        free(text);
    }
    body.destroy(body.state);
    assert_true(slices >= CLIENTS_LIMIT_MAX / BODY_SLICE_ROWS);

    size_t pages;
    nobody.wanted[1] = true;
    uint8_t *seen = read_all(&net, nobody, MANY, &pages);
    for (uint32_t c = 0; c < MANY; c++)
        assert_int_equal(seen[c], c % 1000 == 1);
    assert_int_equal(pages, MANY / CLIENTS_PAGE_SLOTS + 1); /* the last one finds that there is no more */
    free(seen);
    support_net_deinit(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_follows_the_handshake),
        cmocka_unit_test(test_row_without_a_handshake),
        cmocka_unit_test(test_ages_over_the_wrap),
        cmocka_unit_test(test_pages_hold_each_client_once),
        cmocka_unit_test(test_pages_while_clients_change),
        cmocka_unit_test(test_only_one_backend),
        cmocka_unit_test(test_beyond_the_end),
        cmocka_unit_test(test_a_million_clients),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
