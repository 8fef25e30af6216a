#include "tests/unit/unit.h"

#include <stdio.h>

#include "admin/top_list.h"

static const char document[] =
    "{\"services\":["
    "{\"name\":\"aovpn\",\"backends\":["
    "{\"name\":\"vpn10\",\"address\":\"10.0.0.10\",\"state\":\"enabled\",\"health\":\"up\",\"clients\":5,"
    "\"rx_bps\":10,\"tx_bps\":1,\"probe_ms\":2.5},"
    "{\"name\":\"vpn2\",\"address\":\"10.0.0.2\",\"state\":\"drain\",\"health\":\"up\",\"clients\":7,"
    "\"rx_bps\":30,\"tx_bps\":1,\"probe_ms\":1},"
    "{\"name\":\"vpn1\",\"address\":\"10.0.0.1\",\"state\":\"enabled\",\"health\":\"down\",\"clients\":5,"
    "\"rx_bps\":20,\"tx_bps\":9,\"probe_ms\":null}]},"
    "{\"name\":\"empty\"},"
    "{\"name\":\"old\",\"backends\":[{\"name\":\"rras\",\"address\":\"10.1.0.1\",\"state\":\"enabled\","
    "\"health\":\"up\",\"clients\":99}]}]}";

static void check(struct top_list *list, const json_t *status, struct top_order order, const char *names)
{
    struct top_history *history = top_history_create();
    char text[256] = "";
    size_t len = 0;

    assert_int_equal(top_list_make(list, status, history, &order), 0);
    for (size_t i = 0; i < list->count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "", list->rows[i].backend);
    assert_string_equal(text, names);
    top_history_destroy(history);
}

/* Services stay in their order; ties are in that of the configuration. */
static void test_orders(void **state)
{
    static const struct {
        enum top_sort sort;
        bool reversed;
        const char *names;
    } cases[] = {
        {TOP_SORT_NOT, false, "vpn10 vpn2 vpn1 rras"},     {TOP_SORT_NOT, true, "vpn1 vpn2 vpn10 rras"},
        {TOP_SORT_NAME, false, "vpn1 vpn2 vpn10 rras"},    {TOP_SORT_NAME, true, "vpn10 vpn2 vpn1 rras"},
        {TOP_SORT_CLIENTS, false, "vpn2 vpn10 vpn1 rras"}, {TOP_SORT_CLIENTS, true, "vpn1 vpn10 vpn2 rras"},
        {TOP_SORT_NEW, false, "vpn10 vpn2 vpn1 rras"},     {TOP_SORT_IN, false, "vpn2 vpn1 vpn10 rras"},
        {TOP_SORT_OUT, false, "vpn1 vpn10 vpn2 rras"},     {TOP_SORT_PROBE, false, "vpn10 vpn2 vpn1 rras"},
    };
    json_t *status = json_loads(document, 0, NULL);
    struct top_list list = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct top_order order = {.filter = "", .sort = cases[i].sort, .reversed = cases[i].reversed};
        check(&list, status, order, cases[i].names);
        assert_int_equal(list.all, 4);
        assert_int_equal(list.rows[3].service_at, 2);
    }
    top_list_deinit(&list);
    json_decref(status);
}

static void test_filters(void **state)
{
    static const struct {
        const char *filter;
        const char *names;
    } cases[] = {
        {"vpn1", "vpn10 vpn1"},
        {"VPN1", "vpn10 vpn1"},
        {"aovpn/vpn2", "vpn2"},
        {"10.1.", "rras"},
        {"drain", "vpn2"},
        {"down", "vpn1"},
        {"zzz", ""},
        {"old/", "rras"},
        {"o", "vpn10 vpn2 vpn1 rras"},
    };
    json_t *status = json_loads(document, 0, NULL);
    struct top_list list = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(&list, status, (struct top_order){.filter = cases[i].filter}, cases[i].names);
        assert_int_equal(list.all, 4);
    }
    top_list_deinit(&list);
    json_decref(status);
}

/* What handshakes of the last minute say. */
static void test_trends(void **state)
{
    struct top_history *history = top_history_create();
    struct top_list list = {0};
    const struct top_order by_unanswered = {.filter = "", .sort = TOP_SORT_UNANSWERED};

    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        json_t *status = json_pack("{s:[{s:s, s:[{s:s, s:i}, {s:s, s:{s:i, s:i}}, {s:s, s:{s:i, s:i}}]}]}",
                                   "services", "name", "s", "backends", "name", "a", "new_clients_total",
                                   50 * n, "name", "b", "handshakes", "answered", 9 * n, "unanswered", n,
                                   "name", "c", "handshakes", "answered", n, "unanswered", n);
        assert_int_equal(top_history_add(history, status, 1000 + 5000 * n), 0);
        assert_int_equal(top_list_make(&list, status, history, &by_unanswered), 0);
        if (n == 1) {
            assert_string_equal(list.rows[0].backend, "c");
            assert_string_equal(list.rows[1].backend, "b");
            assert_int_equal((int)list.rows[2].trend.new_per_s, 10);
        }
        top_list_deinit(&list);
        json_decref(status);
    }
    top_history_destroy(history);
}

static void test_words(void **state)
{
    (void)state;
    for (int i = 0; i < TOP_SORT_COUNT; i++)
        assert_true(strlen(top_sort_word((enum top_sort)i)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_trends),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
