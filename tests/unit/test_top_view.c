#include "tests/unit/unit.h"

#include <stdlib.h>

#include "admin/top_view.h"

static const char document[] =
    "{\"version\":\"9.8.7\",\"uptime_s\":93600,\"tables\":{\"pins\":{\"entries\":1500,\"capacity\":1000000}},"
    "\"fastpath\":{\"mode\":\"native\",\"interfaces\":[{\"name\":\"eth1\",\"trouble\":\"why\"}]},"
    "\"services\":[{\"name\":\"aovpn\",\"mode\":\"transparent\",\"schedule\":\"bounded-hash\","
    "\"vip\":[\"192.0.2.1\",\"2001:db8::1\"],\"alarms\":[],\"backends\":["
    "{\"name\":\"vpn1\",\"address\":\"10.0.0.11\",\"state\":\"enabled\",\"health\":\"up\",\"clients\":1500,"
    "\"rx_pps\":1000,\"rx_bps\":3400000,\"tx_pps\":20,\"tx_bps\":999,\"fast_pps\":510,\"probe_ms\":0.83},"
    "{\"name\":\"vpn2\",\"address\":\"10.0.0.12\",\"state\":\"drain\",\"health\":\"down\",\"clients\":0,"
    "\"probe_ms\":null},"
    "{\"name\":\"v\\u001b[2Jn\",\"address\":\"10.0.0.14\",\"state\":\"drain\",\"removed\":true,"
    "\"health\":\"up\",\"suspect\":\"refusing\",\"clients\":3}]},"
    "{\"name\":\"old\",\"mode\":\"full-nat\",\"schedule\":\"round-robin\",\"vip\":[],\"removed\":true,"
    "\"alarms\":[\"no backend is up: new clients are dropped\"],\"backends\":[]}]}";

static const char whole[] =
    "ikelb 9.8.7, up 1d 2h | clients 1,500 of 1,000,000 | 1 alarm | fast path 50%, not on eth1\n"
    "in 3.4 Mbit/s, 1.0 kpps | out 999 bit/s, 20 pps | new 0.0/s | unanswered -\n"
    "last 60 s: 0 begun > 0 answered > 0 auth > 0 answered > 0 up\n"
    "\n"
    "aovpn  192.0.2.1, 2001:db8::1  transparent  bounded-hash\n"
    "  BACKEND  STATE     HEALTH        CLIENTS  NEW/S  UNANSW.  IN b/s  IN pps  OUT b/s  OUT pps    PROBE  "
    "ADDRESS\n"
    "  vpn1     enabled   up              1,500    0.0        -   3.4 M   1.0 k      999       20   0.8 ms  "
    "10.0.0.11\n"
    "  vpn2     drained   down                0    0.0        -       0       0        0        0        -  "
    "10.0.0.12\n"
    "  v?[2Jn   removed   up, refusing        3    0.0        -       0       0        0        0        -  "
    "10.0.0.14\n"
    "\n"
    "old  full-nat  round-robin  removed\n"
    "  ALARM: no backend is up: new clients are dropped\n"
    "  BACKEND  STATE     HEALTH   CLIENTS  NEW/S  UNANSW.  IN b/s  IN pps  OUT b/s  OUT pps    PROBE  "
    "ADDRESS\n";

/* The screen of a document, to be freed. */
static char *show(const char *json, struct top_ui *ui, const char *trouble, struct term term, unsigned height)
{
    json_t *status = json_loads(json, 0, NULL);
    struct top_history *history = top_history_create();
    struct top_list list = {0};
    const struct top_order order = {.filter = ui->filter};
    const struct top_screen screen = {
        .status = status, .list = &list, .ui = ui, .trouble = trouble, .trouble_s = 75, .height = height};
    char *text = NULL;
    size_t len = 0;

    assert_non_null(status);
    assert_int_equal(top_list_make(&list, status, history, &order), 0);
    top_ui_settle(ui, &list);
    term.out = open_memstream(&text, &len);
    assert_int_equal(top_view_print(&screen, &term), 0);
    fclose(term.out);
    top_list_deinit(&list);
    top_history_destroy(history);
    json_decref(status);
    return text;
}

static void test_once(void **state)
{
    struct top_ui ui = {0};

    (void)state;
    char *text = show(document, &ui, NULL, (struct term){0}, 0);
    assert_string_equal(text, whole);
    free(text);
}

/* Whatever the height, there are just so many lines, the last one without an end. */
static void test_heights(void **state)
{
    (void)state;
    for (unsigned height = 7; height < 40; height++) {
        struct top_ui ui = {0};
        char *text = show(document, &ui, NULL, (struct term){.width = 80}, height);
        unsigned lines = 1;
        for (const char *c = text; *c; c++)
            lines += *c == '\n';
        assert_int_equal(lines, height);
        assert_non_null(strstr(text, "\nq quit  ? help"));
        free(text);
    }
}

/* The selected row has its mark and is never beyond the edge; what is beyond it is told. */
static void test_scrolls(void **state)
{
    static const struct {
        const char *selected;
        const char *mark;
        const char *more;
    } steps[] = {
        {"vpn1", "\n> vpn1 ", "(more below: "},
        {"v\033[2Jn", "\n> v?[2Jn ", "(more above and below: "},
        {"vpn2", "\n> vpn2 ", "(more below: "}, /* with what stands above the first one */
        {"vpn1", "\n> vpn1 ", "(more below: "},
    };
    struct top_ui ui = {0};

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        ui.selected = (struct top_target){.service = "aovpn"};
        snprintf(ui.selected.backend, sizeof ui.selected.backend, "%s", steps[i].selected);
        char *text = show(document, &ui, NULL, (struct term){.width = 80}, 10);
        if (!strstr(text, steps[i].mark) || !strstr(text, steps[i].more))
            fail_msg("step %zu:\n%s", i, text);
        free(text);
    }
}

static void test_lines_at_the_bottom(void **state)
{
    struct {
        struct top_ui ui;
        const char *words;
    } cases[] = {
        {{.mode = TOP_MODE_FILTER, .filter = "vp"}, "Show only what is like: vp_\nEnter: done"},
        {{.filter = "vpn1"}, "Only what is like \"vpn1\": 1 of 3 backends; Escape shows all\nq quit"},
        {{.filter = "zz"}, "No backend is like that.\n"},
        {{.mode = TOP_MODE_CONFIRM, .verb = "drain", .asked = {"a", "b\033c"}},
         "drain a/b?c? It keeps its clients and gets no new ones. (y/n)\ny: yes  any other key: no"},
        {{.mode = TOP_MODE_CONFIRM, .verb = "disable", .asked = {"a", "b"}}, "go elsewhere with their next"},
        {{.mode = TOP_MODE_CONFIRM, .verb = "enable", .asked = {"a", "b"}}, "It gets new clients."},
        {{.mode = TOP_MODE_HELP}, "\nd   drain it: "},
        {{.message = "it is done"}, "\nit is done\nq quit"},
        {{.sort = TOP_SORT_CLIENTS, .reversed = true}, "s sort: clients, rev."},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = show(document, &cases[i].ui, NULL, (struct term){.width = 80}, 30);
        if (!strstr(text, cases[i].words))
            fail_msg("case %zu:\n%s", i, text);
        free(text);
    }
}

/* The columns of all services stand below each other, however long the names of one are. */
static void test_aligned(void **state)
{
    struct top_ui ui = {0};

    (void)state;
    char *text = show("{\"services\":[{\"name\":\"a\",\"backends\":[{\"name\":\"b\"}]},"
                      "{\"name\":\"c\",\"backends\":[{\"name\":\"a-name-that-is-long\"}]}]}",
                      &ui, NULL, (struct term){0}, 0);
    const char *first = strstr(text, "\n  BACKEND");
    const char *second = strstr(first + 1, "\n  BACKEND");
    assert_int_equal(strcspn(first, "S"), strcspn(second, "S"));
    free(text);
}

/* What was known last stays, below what is wrong. */
static void test_trouble(void **state)
{
    struct top_ui ui = {0};

    (void)state;
    char *text = show(document, &ui, "/run/x: nobody listens", (struct term){.width = 80}, 24);
    assert_non_null(
        strstr(text, "\nikelb is not reachable, for 1m 15s; trying again\n/run/x: nobody listens\n\naovpn"));
    assert_null(strstr(text, "unanswered"));
    free(text);
}

/* At 80 columns the pps columns are left out; nothing but colours differs with colours. */
static void test_colours_and_width(void **state)
{
    struct top_ui ui = {0};

    (void)state;
    char *plain = show(document, &ui, NULL, (struct term){.width = 80}, 24);
    char *text = show(document, &ui, NULL, (struct term){.width = 80, .has_colour = true}, 24);
    assert_null(strstr(plain, "pps  "));
    assert_non_null(strstr(plain, "OUT b/s"));
    assert_non_null(strstr(text, "\033[7m> vpn1\033[0m"));
    assert_non_null(strstr(text, "\033[1;31m1 alarm\033[0m"));
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from == '\033')
            from = strchr(from, 'm');
        else
            *to++ = *from;
    }
    *to = '\0';
    assert_string_equal(text, plain);
    free(text);
    free(plain);
}

/* A daemon of another version may know less, or say it otherwise. */
static void test_lenient(void **state)
{
    static const char *const sparse[] = {
        "{\"services\":[]}",
        "{\"services\":[{}]}",
        "{\"services\":[{\"name\":7,\"vip\":[1],\"alarms\":[null],\"backends\":[{},{\"clients\":-5}]}]}",
        "{\"services\":[1,null],\"tables\":7}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof sparse / sizeof sparse[0]; i++) {
        struct top_ui ui = {0};
        free(show(sparse[i], &ui, NULL, (struct term){.width = 80}, 24));
    }
}

/* Without packets the mode stands for the share, and nothing at all for a daemon that does not know it. */
static void test_fastpath(void **state)
{
    static const struct {
        const char *json;
        const char *line;
    } cases[] = {
        {"{\"fastpath\":{\"mode\":\"generic\"},\"services\":[]}", "clients 0 of 0 | fast path generic\n"},
        {"{\"fastpath\":{\"mode\":\"off\"},\"services\":[{\"backends\":[{\"rx_pps\":5}]}]}",
         "clients 0 of 0 | fast path off\n"},
        {"{\"services\":[]}", "clients 0 of 0\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct top_ui ui = {0};
        char *text = show(cases[i].json, &ui, NULL, (struct term){.width = 80}, 24);
        if (!strstr(text, cases[i].line))
            fail_msg("case %zu:\n%s", i, text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),     cmocka_unit_test(test_heights),
        cmocka_unit_test(test_scrolls),  cmocka_unit_test(test_lines_at_the_bottom),
        cmocka_unit_test(test_trouble),  cmocka_unit_test(test_colours_and_width),
        cmocka_unit_test(test_lenient),  cmocka_unit_test(test_aligned),
        cmocka_unit_test(test_fastpath),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
