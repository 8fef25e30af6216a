#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin/clients_query.h"
#include "base/err.h"
#include "tests/unit/support.h"

static const struct support_service services[] = {
    {.name = "a",
     .vips = {"192.0.2.1"},
     .backends = {{.name = "vpn1", .address = "10.0.0.1"}, {.name = "vpn2", .address = "10.0.0.2"}}},
    {.name = "b", .vips = {"192.0.2.2"}, .backends = {{.name = "vpn1", .address = "10.0.0.3"}}},
};

static int set_up(void **state)
{
    *state = support_pool(services, 2);
    return 0;
}

static int tear_down(void **state)
{
    pool_destroy(*state);
    return 0;
}

static void test_defaults(void **state)
{
    struct clients_query q;
    char error[CLIENTS_ERROR_MAX];

    assert_int_equal(clients_query_read(*state, NULL, 0, &q, error), 0);
    assert_true(q.every_backend);
    assert_int_equal(q.after, 0);
    assert_int_equal(q.limit, 100);
}

static void test_backends(void **state)
{
    static const struct {
        const char *name;
        bool wanted[3];
    } cases[] = {
        {"vpn1", {true, false, true}},
        {"vpn2", {false, true, false}},
        {"a/vpn1", {true, false, false}},
        {"b/vpn1", {false, false, true}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct http_query query = {"backend", cases[i].name};
        struct clients_query q;
        char error[CLIENTS_ERROR_MAX];
        assert_int_equal(clients_query_read(*state, &query, 1, &q, error), 0);
        assert_false(q.every_backend);
        assert_memory_equal(q.wanted, cases[i].wanted, sizeof cases[i].wanted);
    }
}

static void test_errors(void **state)
{
    static const struct {
        const char *key, *value;
        int err;
        const char *message;
    } cases[] = {
        {"backend", "vpn3", ERR_NOT_FOUND, "no backend 'vpn3'; there are: a/vpn1, a/vpn2, b/vpn1"},
        {"backend", "c/vpn1", ERR_NOT_FOUND, "no backend 'c/vpn1'; there are: a/vpn1, a/vpn2, b/vpn1"},
        {"backend", "b/vpn2", ERR_NOT_FOUND, "no backend 'b/vpn2'; there are: a/vpn1, a/vpn2, b/vpn1"},
        {"backend", "", ERR_NOT_FOUND, "no backend ''; there are: a/vpn1, a/vpn2, b/vpn1"},
        {"backend", "a/", ERR_NOT_FOUND, "no backend 'a/'; there are: a/vpn1, a/vpn2, b/vpn1"},
        {"backend", "x\ny\xff", ERR_NOT_FOUND, "no backend 'x?y?'; there are: a/vpn1, a/vpn2, b/vpn1"},
        {"limit", "0", ERR_MALFORMED, "limit: '0' is no number from 1 to 1000"},
        {"limit", "1001", ERR_MALFORMED, "limit: '1001' is no number from 1 to 1000"},
        {"limit", "-1", ERR_MALFORMED, "limit: '-1' is no number from 1 to 1000"},
        {"limit", "", ERR_MALFORMED, "limit: '' is no number from 1 to 1000"},
        {"limit", "1 ", ERR_MALFORMED, "limit: '1 ' is no number from 1 to 1000"},
        {"limit", "4294967297", ERR_MALFORMED, "limit: '4294967297' is no number from 1 to 1000"},
        {"after", "0", ERR_MALFORMED, "after: '0' is not the `next` of an answer"},
        {"after", "", ERR_MALFORMED, "after: '' is not the `next` of an answer"},
        {"after", "c1", ERR_MALFORMED, "after: 'c1' is not the `next` of an answer"},
        {"after", "c0000000g", ERR_MALFORMED, "after: 'c0000000g' is not the `next` of an answer"},
        {"after", "c000000001", ERR_MALFORMED, "after: 'c000000001' is not the `next` of an answer"},
        {"after", "c-0000001", ERR_MALFORMED, "after: 'c-0000001' is not the `next` of an answer"},
        {"limt", "1", ERR_MALFORMED, "unknown parameter 'limt'; allowed are backend, after and limit"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct http_query query = {cases[i].key, cases[i].value};
        struct clients_query q;
        char error[CLIENTS_ERROR_MAX] = "";
        assert_int_equal(clients_query_read(*state, &query, 1, &q, error), cases[i].err);
        assert_string_equal(error, cases[i].message);
    }
}

static void test_several(void **state)
{
    const struct http_query good[] = {{"limit", "1000"}, {"after", "c0000abcd"}, {"backend", "vpn2"}};
    const struct http_query twice[] = {{"limit", "1"}, {"limit", "2"}};
    const struct http_query many[HTTP_QUERY_MAX] = {{"limit", "1"}};
    struct clients_query q;
    char error[CLIENTS_ERROR_MAX];

    assert_int_equal(clients_query_read(*state, good, 3, &q, error), 0);
    assert_int_equal(q.limit, 1000);
    assert_int_equal(q.after, 0xabcd);
    assert_false(q.every_backend);
    assert_int_equal(clients_query_read(*state, twice, 2, &q, error), ERR_MALFORMED);
    assert_string_equal(error, "limit: given twice");
    assert_int_equal(clients_query_read(*state, many, HTTP_QUERY_MAX + 1, &q, error), ERR_MALFORMED);
    assert_string_equal(error, "too many parameters; allowed are backend, after and limit");
}

static void test_cursor_comes_back(void **state)
{
    static const uint32_t slots[] = {0, 1, 20000, 999999, UINT32_MAX};

    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++) {
        char text[CLIENTS_CURSOR_MAX];
        const struct http_query query = {"after", clients_query_cursor(slots[i], text)};
        struct clients_query q;
        char error[CLIENTS_ERROR_MAX];
        assert_int_equal(clients_query_read(*state, &query, 1, &q, error), 0);
        assert_int_equal(q.after, slots[i]);
    }
}

/* A thousand backends do not fit into a message: it says how many it leaves out. */
static void test_long_list_is_cut(void **state)
{
    struct pool *small = *state;
    struct backend *backends = calloc(CONFIG_BACKENDS_MAX, sizeof *backends);
    struct pool large = *small;
    const struct http_query query = {"backend", "none"};
    struct clients_query q;
    char error[CLIENTS_ERROR_MAX];

    assert_non_null(backends);
    for (int i = 0; i < CONFIG_BACKENDS_MAX; i++) {
        backends[i].used = true;
        snprintf(backends[i].name, sizeof backends[i].name, "%063d", i);
    }
    large.backends = backends;
    large.backend_count = CONFIG_BACKENDS_MAX;
    assert_int_equal(clients_query_read(&large, &query, 1, &q, error), ERR_NOT_FOUND);
    assert_non_null(strstr(error, ", and 1018 more"));
    assert_true(strlen(error) < CLIENTS_ERROR_MAX - 1);
    free(backends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_backends),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_cursor_comes_back),
        cmocka_unit_test(test_long_list_is_cut),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
