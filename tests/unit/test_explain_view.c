#include "tests/unit/unit.h"

#include <stdlib.h>

#include "admin/explain_view.h"
#include "base/err.h"
#include "tests/unit/screen.h"

static const char document[] =
    "{\"address\":\"203.0.113.7\",\"verdict\":\"auth-unanswered\",\"connected\":false,\"ago_s\":12.5,"
    "\"summary\":\"The client's second message (IKE_AUTH) was handed to vpn1, which has not answered it. "
    "Another tunnel of this address, to vpn2, is connected.\","
    "\"advice\":[\"Look in the server's log: it may wait for RADIUS (NPS), for OCSP or for a revocation "
    "list, "
    "or drop the message without an answer.\",\"Second line.\"],\"complete\":true,"
    "\"clients\":[{\"service\":\"aovpn\",\"backend\":\"vpn1\",\"ports\":{\"500\":null,\"4500\":44500},"
    "\"idle_s\":75}],"
    "\"handshakes\":[{\"service\":\"aovpn\",\"backend\":\"vpn1\",\"port\":44500,\"ended\":true,"
    "\"spi_i\":\"0102030405060708\",\"spi_r\":null,\"init_count\":3,\"auth_count\":2,\"failovers\":1,"
    "\"roams\":4,\"error\":\"NO_PROPOSAL_CHOSEN\",\"rekeyed\":false,"
    "\"fragmentation\":{\"client\":true,\"server\":null},\"large_messages\":{\"in\":true,\"out\":true},"
    "\"stages\":[{\"stage\":\"init-sent\",\"at\":\"2026-11-23T12:37:05.123Z\",\"ago_s\":59.996},"
    "{\"stage\":\"auth-answered\",\"at\":\"2026-11-23T12:37:06.123Z\",\"ago_s\":3700.5}]},"
    "{\"service\":\"aovpn\",\"backend\":\"vpn2\",\"port\":1,\"rekeyed\":true,"
    "\"stages\":[{\"stage\":\"auth-answered\",\"at\":\"2026-11-23T12:37:06.123Z\",\"ago_s\":0}]}],"
    "\"moves\":[{\"from\":\"203.0.113.7:1\",\"to\":\"203.0.113.8:2\",\"at\":\"2026-11-23T12:37:06.123Z\","
    "\"ago_s\":5}],"
    "\"refusals\":[{\"service\":\"aovpn\",\"reason\":\"rate_limited\",\"count\":12345,\"ago_s\":61},"
    "{\"service\":\"aovpn\",\"reason\":\"no_backend\",\"count\":1,\"ago_s\":2}]}";

static const char screen[] =
    "203.0.113.7: auth-unanswered (12.50s ago)\n"
    "  The client's second message (IKE_AUTH) was handed to vpn1, which has not\n"
    "  answered it. Another tunnel of this address, to vpn2, is connected.\n"
    "\n"
    "Now\n"
    "  aovpn/vpn1, 44500 -> 4500, idle 1m 15s\n"
    "\n"
    "Handshakes, the latest first\n"
    "  aovpn/vpn1, client port 44500, ended, SPIs 0102030405060708 -\n"
    "    init-sent      2026-11-23T12:37:05.123Z     60.00s ago\n"
    "    auth-answered  2026-11-23T12:37:06.123Z      1h 1m ago\n"
    "    the server's error: NO_PROPOSAL_CHOSEN; IKE_SA_INIT came 3 times; an\n"
    "    IKE_AUTH message came 2 times; moved to another server 1 time; went on from\n"
    "    another place 4 times; IKE fragmentation: client yes; the client sent IP\n"
    "    fragments; the server sent IP fragments\n"
    "  aovpn/vpn2, client port 1, SPIs - -\n"
    "    seen           2026-11-23T12:37:06.123Z      0.00s ago\n"
    "    begun by rekeying, or before ikelb's time\n"
    "\n"
    "Moves, the latest first\n"
    "  203.0.113.7:1 -> 203.0.113.8:2  2026-11-23T12:37:06.123Z  5.00s ago\n"
    "\n"
    "Refused by ikelb\n"
    "  aovpn: rate_limited, 12,345 times, the latest 1m 1s ago\n"
    "  aovpn: no_backend, 1 time, the latest 2.00s ago\n"
    "\n"
    "What to do\n"
    "  - Look in the server's log: it may wait for RADIUS (NPS), for OCSP or for a\n"
    "    revocation list, or drop the message without an answer.\n"
    "  - Second line.\n";

static char *show(const char *json, unsigned width, bool has_colour, int expected)
{
    return screen_of(explain_view_print, json, &(struct term){.width = width, .has_colour = has_colour},
                     expected);
}

static void test_screen(void **state)
{
    (void)state;
    char *text = show(document, 80, false, 0);
    assert_string_equal(text, screen);
    free(text);
}

static size_t longest_line(const char *text)
{
    size_t longest = 0;

    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        if (strcspn(line, "\n") > longest)
            longest = strcspn(line, "\n");
    return longest;
}

/* In a pipe prose is one line, for tools that read lines; on a wide terminal it stays legible. */
static void test_widths(void **state)
{
    (void)state;
    char *text = show(document, 0, false, 0);
    assert_non_null(strstr(text,
                           "  - Look in the server's log: it may wait for RADIUS (NPS), for OCSP or for a "
                           "revocation list, or drop the message without an answer.\n"));
    free(text);
    text = show(document, 250, false, 0);
    assert_in_range(longest_line(text), 85, 100);
    free(text);
}

static void test_colours(void **state)
{
    (void)state;
    char *text = show(document, 80, true, 0);
    assert_non_null(strstr(text, "\033[1;31mauth-unanswered\033[0m"));
    free(text);
    text = show("{\"verdict\":\"moved\",\"connected\":true}", 80, true, 0);
    assert_non_null(strstr(text, "\033[32mmoved\033[0m"));
    free(text);
}

static void test_fragmentation(void **state)
{
    static const struct {
        const char *json;
        const char *words; /* NULL: none */
    } cases[] = {
        {"{\"client\":true,\"server\":true}", "IKE fragmentation: client yes, server yes\n"},
        {"{\"client\":true,\"server\":false}", "IKE fragmentation: client yes, server no\n"},
        {"{\"client\":false,\"server\":null}", "IKE fragmentation: client no\n"},
        {"{\"client\":null,\"server\":null}", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[128];
        snprintf(json, sizeof json, "{\"verdict\":\"x\",\"handshakes\":[{\"fragmentation\":%s}]}",
                 cases[i].json);
        char *text = show(json, 80, false, 0);
        assert_int_equal(strstr(text, "fragmentation") == NULL, cases[i].words == NULL);
        if (cases[i].words)
            assert_non_null(strstr(text, cases[i].words));
        free(text);
    }
}

/* Long lists are cut, and say so. */
static void test_many(void **state)
{
    (void)state;
    char *text = show("{\"verdict\":\"x\",\"handshakes\":[{},{},{},{},{},{},{}]}", 80, false, 0);
    assert_non_null(strstr(text, "  (2 more; --json shows them)\n"));
    int shown = 0;
    for (const char *at = text; (at = strstr(at, "client port")); at++)
        shown++;
    assert_int_equal(shown, EXPLAIN_VIEW_ROWS);
    free(text);
    text = show("{\"verdict\":\"x\",\"handshakes\":[{},{},{},{},{}]}", 80, false, 0);
    assert_null(strstr(text, "more"));
    free(text);
}

/* A daemon of another version may know less, or say it otherwise; and its words may be hostile. */
static void test_lenient(void **state)
{
    static const char *const sparse[] = {
        "{\"verdict\":\"x\"}",
        "{\"verdict\":\"x\",\"clients\":[1,{\"idle_s\":-5}],\"handshakes\":[null,{\"stages\":[7]}],"
        "\"moves\":[{}],\"refusals\":[{\"count\":-1}],\"advice\":[null],\"ago_s\":1e300}",
        "{\"verdict\":\"x\",\"clients\":{},\"handshakes\":7,\"advice\":\"a\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof sparse / sizeof sparse[0]; i++)
        free(show(sparse[i], 80, false, 0));
    char *text = show("{\"verdict\":7}", 80, false, ERR_PROTOCOL);
    assert_string_equal(text, "");
    free(text);
    text = show("{\"verdict\":\"x\",\"summary\":\"\\u001b[2J\"}", 80, false, 0);
    assert_null(strchr(text, '\033'));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_screen),        cmocka_unit_test(test_widths), cmocka_unit_test(test_colours),
        cmocka_unit_test(test_fragmentation), cmocka_unit_test(test_many),   cmocka_unit_test(test_lenient),
    };

    return cmocka_run_group_tests(tests, screen_set_up, NULL);
}
