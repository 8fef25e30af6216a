#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/diff.h"

/* Two configurations as text, and what must be said of them: "PATH: FROM -> TO", "PATH: added", "PATH:
 * removed", each with a "!" in front if it needs a restart. */
struct diff_case {
    const char *from;
    const char *to;
    const char *wanted;
};

#define SERVICE(name, vip, more) "services:\n- name: " name "\n  vip: " vip "\n" more
#define ANOTHER(name, vip, more) "- name: " name "\n  vip: " vip "\n" more
#define ONE                      "  backends:\n  - name: one\n    address: 10.0.0.1\n"
#define TWO                      "  - name: two\n    address: 10.0.0.2\n"
#define BASE                     SERVICE("vpn", "192.0.2.1", ONE TWO)

static const struct diff_case cases[] = {
    {BASE, BASE, ""},
    {BASE, SERVICE("vpn", "[192.0.2.1]", "  schedule: bounded-hash\n" ONE TWO), ""}, /* written otherwise */
    {BASE, SERVICE("vpn", "192.0.2.1", "  schedule: source-hash\n" ONE TWO),
     "services.vpn.schedule: bounded-hash -> source-hash\n"},
    {BASE, SERVICE("vpn", "192.0.2.1", "  persistence: {idle_timeout: 90m, spread_nat: true}\n" ONE TWO),
     "services.vpn.persistence.idle_timeout: 1h -> 90m\n"
     "services.vpn.persistence.spread_nat: false -> true\n"},
    {BASE, SERVICE("vpn", "192.0.2.1", "  health: {probe: 'tcp:443'}\n" ONE TWO),
     "services.vpn.health.probe: ike -> tcp:443\n"},
    {SERVICE("vpn", "192.0.2.1", "  health: {probe: 'tcp:443'}\n" ONE TWO),
     SERVICE("vpn", "192.0.2.1", "  health: {probe: 'tcp:444'}\n" ONE TWO),
     "services.vpn.health.probe: tcp:443 -> tcp:444\n"},
    /* backends */
    {BASE, SERVICE("vpn", "192.0.2.1", ONE "    weight: 7\n    state: drain\n" TWO),
     "services.vpn.backends.one.weight: 100 -> 7\n"
     "services.vpn.backends.one.state: enabled -> drain\n"},
    {BASE, SERVICE("vpn", "192.0.2.1", ONE), "services.vpn.backends.two: removed\n"},
    {SERVICE("vpn", "192.0.2.1", ONE), BASE, "services.vpn.backends.two: added\n"},
    {BASE, SERVICE("vpn", "192.0.2.1", "  backends:\n" TWO "  - name: one\n    address: 10.0.0.1\n"),
     ""}, /* order */
    {BASE, SERVICE("vpn", "192.0.2.1", ONE "  - name: twelve\n    address: 10.0.0.2\n"),
     "services.vpn.backends.two.name: two -> twelve\n"}, /* it is where it was */
    {BASE, SERVICE("vpn", "192.0.2.1", ONE "  - name: two\n    address: 10.0.0.3\n"),
     "services.vpn.backends.two.address: 10.0.0.2 -> 10.0.0.3\n"},
    {BASE, SERVICE("vpn", "192.0.2.1", ONE "  - name: three\n    address: 10.0.0.3\n"),
     "services.vpn.backends.two: removed\n"
     "services.vpn.backends.three: added\n"},
    {BASE, SERVICE("vpn", "192.0.2.1", "  backends:\n  - name: two\n    address: 10.0.0.1\n"),
     "services.vpn.backends.one: removed\n"
     "services.vpn.backends.two.address: 10.0.0.2 -> 10.0.0.1\n"}, /* the name goes before the address */
    /* services */
    {BASE, BASE ANOTHER("new", "192.0.2.2", ONE), "services.new: added\n"},
    {BASE ANOTHER("old", "192.0.2.2", ONE), BASE, "services.old: removed\n"},
    {BASE, SERVICE("other", "192.0.2.1", ONE TWO), "services.vpn.name: vpn -> other\n"},
    {BASE, SERVICE("vpn", "192.0.2.2", ONE TWO), "services.vpn.vip: 192.0.2.1 -> 192.0.2.2\n"},
    {BASE, SERVICE("vpn", "[192.0.2.1, '2001:db8::1']", ONE TWO),
     "services.vpn.vip: 192.0.2.1 -> 192.0.2.1, \"2001:db8::1\"\n"},
    {BASE, SERVICE("vpn", "192.0.2.1", "  mode: full-nat\n  snat: [10.0.0.9, 10.0.0.8]\n" ONE TWO),
     "services.vpn.mode: transparent -> full-nat\n"
     "services.vpn.snat:  -> 10.0.0.9, 10.0.0.8\n"},
    /* the rest */
    {BASE, BASE "log: {level: debug}\n", "log.level: info -> debug\n"},
    {BASE, BASE "dataplane: {max_clients: 5000, source_rate: 9}\n",
     "!dataplane.max_clients: 1000000 -> 5000\n"
     "dataplane.source_rate: 200 -> 9\n"},
    {BASE, BASE "admin: {listen: '127.0.0.1:9999', socket: /tmp/x}\n",
     "!admin.listen: 127.0.0.1:8809 -> 127.0.0.1:9999\n"
     "!admin.socket: /run/ikelb/ikelb.sock -> /tmp/x\n"},
};

static struct config *parse(const char *text)
{
    struct config *config = NULL;

    assert_int_equal(config_parse(text, strlen(text), "test", stderr, &config), 0);
    return config;
}

static void write_change(void *ctx, const struct diff_change *change)
{
    FILE *out = ctx;

    fprintf(out, "%s%s: ", change->needs_restart ? "!" : "", change->path);
    if (!change->from)
        fputs("added\n", out);
    else if (!change->to)
        fputs("removed\n", out);
    else
        fprintf(out, "%s -> %s\n", change->from, change->to);
}

static void check(const char *from, const char *to, const char *wanted)
{
    struct config *before = parse(from), *after = parse(to);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    assert_int_equal(diff_configs(before, after, write_change, out), 0);
    fclose(out);
    assert_string_equal(text, wanted);
    free(text);
    config_destroy(before);
    config_destroy(after);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(cases[i].from, cases[i].to, cases[i].wanted);
}

/* Names as long as they may be have room in a path. */
static void test_longest_path(void **state)
{
    char name[CONFIG_NAME_MAX], from[1024], wanted[512];

    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    static const char form[] = "services:\n- name: %s\n  vip: 192.0.2.1\n  backends:\n  - name: %s\n"
                               "    address: 10.0.0.1\n    weight: %d\n";
    char to[sizeof from];
    snprintf(from, sizeof from, form, name, name, 1);
    snprintf(to, sizeof to, form, name, name, 2);
    snprintf(wanted, sizeof wanted, "services.%s.backends.%s.weight: 1 -> 2\n", name, name);
    check(from, to, wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_longest_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
