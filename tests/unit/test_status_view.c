#include "tests/unit/unit.h"

#include <stdlib.h>

#include "admin/status_view.h"
#include "base/err.h"
#include "tests/unit/screen.h"

static const char document[] =
    "{\"version\":\"9.8.7\",\"uptime_s\":93600,\"drops\":{\"no_backend\":1234,\"bad_source\":0,\"ttl_"
    "expired\":2},"
    "\"fastpath\":{\"mode\":\"native\",\"interfaces\":[{\"name\":\"eth0\",\"mode\":\"native\",\"trouble\":"
    "null},"
    "{\"name\":\"eth1\",\"mode\":\"off\",\"trouble\":\"another XDP program is attached\"}]},"
    "\"tables\":{\"pins\":{\"entries\":1500,\"capacity\":1000000}},"
    "\"services\":[{\"name\":\"aovpn\",\"mode\":\"transparent\",\"schedule\":\"bounded-hash\","
    "\"vip\":[\"192.0.2.1\",\"2001:db8::1\"],\"alarms\":[],\"backends\":["
    "{\"name\":\"vpn1\",\"address\":\"10.0.0.11\",\"weight\":100,\"state\":\"enabled\",\"health\":\"up\","
    "\"clients\":1500,\"new_clients_total\":20000,\"init_unanswered_total\":0,\"rx_pps\":1000,\"rx_bps\":"
    "3400000,"
    "\"tx_pps\":2000,\"tx_bps\":12000000,\"fast_pps\":2700,\"probe_ms\":0.83,\"fragmentation\":true},"
    "{\"name\":\"vpn2\",\"address\":\"10.0.0.12\",\"weight\":50,\"state\":\"drain\",\"health\":\"unknown\","
    "\"clients\":0,\"new_clients_total\":0,\"init_unanswered_total\":3,\"rx_pps\":0,\"rx_bps\":0,"
    "\"tx_pps\":0,\"tx_bps\":0,\"probe_ms\":null,\"fragmentation\":false}]},"
    "{\"name\":\"old\",\"mode\":\"full-nat\",\"schedule\":\"round-robin\",\"vip\":[\"192.0.2.2\"],"
    "\"alarms\":[\"no backend is up: new clients are dropped\"],\"backends\":["
    "{\"name\":\"rras\",\"address\":\"10.0.0.13\",\"weight\":100,\"state\":\"enabled\",\"health\":\"down\","
    "\"fragmentation\":null}]}]}";

static const char screen[] =
    "ikelb 9.8.7, up 1d 2h\n"
    "clients 1,500 of 1,000,000 | in 3.4 Mbit/s, 1.0 kpps | out 12 Mbit/s, 2.0 kpps\n"
    "fast path native, 90% of packets | not on eth1 (another XDP program is attached)\n"
    "\n"
    "aovpn  192.0.2.1, 2001:db8::1  transparent  bounded-hash\n"
    "  BACKEND  ADDRESS    WEIGHT  STATE    HEALTH   CLIENTS     NEW  UNANSWERED          IN        OUT   "
    "PROBE  "
    "FRAGMENTATION\n"
    "  vpn1     10.0.0.11     100  enabled  up         1,500  20,000           0  3.4 Mbit/s  12 Mbit/s  0.8 "
    "ms  "
    "yes\n"
    "  vpn2     10.0.0.12      50  drained  unknown        0       0           3           0          0      "
    " -  "
    "no\n"
    "  Note: vpn2 does not announce IKEV2_FRAGMENTATION_SUPPORTED: large certificates fail wherever IP "
    "fragments are dropped; on Windows set EnableServerFragmentation = 1, with strongSwan fragmentation = "
    "yes\n"
    "\n"
    "old  192.0.2.2  full-nat  round-robin\n"
    "  ALARM: no backend is up: new clients are dropped\n"
    "  BACKEND  ADDRESS    WEIGHT  STATE    HEALTH  CLIENTS  NEW  UNANSWERED  IN  OUT  PROBE  FRAGMENTATION\n"
    "  rras     10.0.0.13     100  enabled  down          0    0           0   0    0      -  -\n"
    "\n"
    "Dropped packets: no_backend 1,234, ttl_expired 2\n";

static char *show(const char *json, unsigned width, bool has_colour, int expected)
{
    return screen_of(status_view_print, json, &(struct term){.width = width, .has_colour = has_colour},
                     expected);
}

static void test_screen(void **state)
{
    (void)state;
    char *text = show(document, 0, false, 0);
    assert_string_equal(text, screen);
    free(text);
}

/* Nothing but colours differs: without their sequences the screen is the same. */
static void test_colours(void **state)
{
    (void)state;
    char *text = show(document, 0, true, 0);
    assert_non_null(strstr(text, "\033[32mup\033[0m"));
    assert_non_null(strstr(text, "\033[1;31mdown\033[0m"));
    assert_non_null(strstr(text, "\033[1;31mALARM: \033[0m\033[1;31mno backend is up"));
    assert_non_null(strstr(text, "\033[33mNote: vpn2 "));
    assert_non_null(strstr(text, "\033[33mnot on eth1 "));
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from == '\033')
            from = strchr(from, 'm');
        else
            *to++ = *from;
    }
    *to = '\0';
    assert_string_equal(text, screen);
    free(text);
}

static void test_narrow_terminal(void **state)
{
    (void)state;
    char *text = show(document, 80, false, 0);
    assert_non_null(strstr(text, "  BACKEND  ADDRESS    STATE    HEALTH   CLIENTS  UNANSWERED"));
    assert_null(strstr(text, " FRAGMENTATION\n")); /* the column; there is the note */
    assert_non_null(strstr(text, "hidden: the terminal is 80 wide"));
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
    free(text);
}

/* Probes are answered, and new clients are not: the health column says both. */
static void test_suspects(void **state)
{
    static const char *const suspicions[] = {"\"silent\"", "\"refusing\"", "null"};
    static const char *const cells[] = {"  up, silent  ", "  up, refusing  ", "  up  "};

    (void)state;
    for (int i = 0; i < 3; i++) {
        char json[256];
        snprintf(json, sizeof json,
                 "{\"services\":[{\"backends\":[{\"name\":\"b\",\"state\":\"enabled\",\"health\":\"up\","
                 "\"suspect\":%s}]}]}",
                 suspicions[i]);
        char *text = show(json, 0, false, 0);
        assert_non_null(strstr(text, cells[i]));
        free(text);
    }
    char *text =
        show("{\"services\":[{\"backends\":[{\"health\":\"up\",\"suspect\":\"silent\"}]}]}", 0, true, 0);
    assert_non_null(strstr(text, "\033[1;31mup, silent\033[0m"));
    free(text);
}

/* How far a backend is from having nobody left. */
static void test_states(void **state)
{
    static const struct {
        const char *members;
        const char *cell;
    } cases[] = {
        {"\"state\":\"enabled\",\"clients\":5", "  enabled  up"},
        {"\"state\":\"disabled\",\"clients\":5", "  disabled  up"},
        {"\"state\":\"drain\",\"clients\":1234", "  drain, 1,234 left  up"},
        {"\"state\":\"drain\",\"clients\":0", "  drained  up"},
        {"\"state\":\"drain\",\"clients\":3,\"removed\":false", "  drain, 3 left  up"},
        {"\"state\":\"drain\",\"clients\":3,\"removed\":true", "  removed, 3 left  up"},
        {"\"state\":\"enabled\",\"clients\":0,\"removed\":true", "  removed  up"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[256];
        snprintf(json, sizeof json, "{\"services\":[{\"backends\":[{\"name\":\"b\",\"health\":\"up\",%s}]}]}",
                 cases[i].members);
        char *text = show(json, 0, false, 0);
        if (!strstr(text, cases[i].cell))
            fail_msg("%s: %s", cases[i].members, text);
        free(text);
    }
}

static void test_removed_service(void **state)
{
    (void)state;
    char *text = show("{\"services\":[{\"name\":\"s\",\"vip\":[],\"mode\":\"m\",\"schedule\":\"x\","
                      "\"removed\":true},{\"name\":\"t\",\"removed\":false}]}",
                      0, false, 0);
    assert_non_null(strstr(text, "\ns    m  x  removed\n"));
    assert_non_null(strstr(text, "\nt    -  -\n"));
    free(text);
}

/* A daemon of another version may know less, or say it otherwise. */
static void test_lenient(void **state)
{
    static const char *const sparse[] = {
        "{\"services\":[]}",
        "{\"services\":[{}]}",
        "{\"services\":[{\"name\":7,\"vip\":[1],\"alarms\":[null],\"backends\":[{},{\"clients\":-5}]}]}",
        "{\"services\":[1,null],\"drops\":[],\"tables\":7}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof sparse / sizeof sparse[0]; i++)
        free(show(sparse[i], 0, false, 0));
    char *text = show("{\"services\":{}}", 0, false, ERR_PROTOCOL);
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_screen),          cmocka_unit_test(test_colours),
        cmocka_unit_test(test_narrow_terminal), cmocka_unit_test(test_suspects),
        cmocka_unit_test(test_states),          cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_removed_service),
    };

    return cmocka_run_group_tests(tests, screen_set_up, NULL);
}
