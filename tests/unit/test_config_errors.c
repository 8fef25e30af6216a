/* Files that are no YAML, or YAML of another shape than a configuration: each error with its text, line and
 * column. */
#include "tests/unit/unit.h"

#include "tests/unit/config_errors.h"

static void test_yaml(void **state)
{
    static const struct error_case CASES[] = {
        {"", "t:1:1: the file is empty; it must have at least the key services\n"},
        {"# nothing\n", "t:1:1: the file is empty; it must have at least the key services\n"},
        {"---\n", "t:1:1: the file is empty; it must have at least the key services\n"},
        {"~\n", "t:1:1: the file is empty; it must have at least the key services\n"},
        {"services: [1\n", "t:2:1: not valid YAML: did not find expected ',' or ']' (while parsing a flow "
                           "sequence that begins on line 1)\n"},
        {"a: b: c\n", "t:1:5: not valid YAML: mapping values are not allowed in this context\n"},
        {"a:\n\tb: c\n", "t:2:1: not valid YAML: a tab where only spaces may stand\n"},
        {"services:\n- a: 'x\n", "t:3:1: not valid YAML: found unexpected end of stream (while scanning a "
                                 "quoted scalar that begins on line 2)\n"},
        {"services: @x\n", "t:1:11: not valid YAML: found character that cannot start any token (while "
                           "scanning for the next token that begins on line 1)\n"},
        {"\xc3\xa9\xc3\xa9: [1,\n  \xc3\xa9, \t]]\n",
         "t:2:8: not valid YAML: did not find expected key (while parsing a block mapping that begins on "
         "line 1)\n"},
        {HEAD BACKENDS "---\n" HEAD BACKENDS,
         "t:5:1: a second YAML document begins; the file must hold only one\n"},
        {HEAD BACKENDS "...\nx\n", "t:6:1: not valid YAML: did not find expected <document start>\n"},
        {"%YAML 9.0\n---\n" HEAD BACKENDS, "t:1:1: not valid YAML: found incompatible YAML document\n"},
        {"%TAG ! a\n%TAG ! a\n%TAG ! a\n%TAG ! a\n%TAG ! a\n%TAG ! a\n%TAG ! a\n%TAG ! a\n%TAG ! a\n%TAG ! "
         "a\n%TAG ! a\n%TAG ! a\n%TAG ! a\n%TAG ! a\n%TAG ! a\n%TAG ! a\n%TAG ! a\n",
         "t:17:1: too many %TAG directives; a file has at most 16\n"},
        {"a: \xff\n", "t:1:4: not valid text: invalid leading UTF-8 octet (0xff); must be UTF-8 text\n"},
        {"# \xc3\xa9\r\nb: \xfe\n",
         "t:2:4: not valid text: invalid leading UTF-8 octet (0xfe); must be UTF-8 text\n"},
        {"\xff\xfe"
         "a",
         "t:1:1: not valid text: invalid leading UTF-8 octet (0xff); must be UTF-8 text\n"},
        {"a: \xc3\xa9 \xff\n",
         "t:1:6: not valid text: invalid leading UTF-8 octet (0xff); must be UTF-8 text\n"},
        {"\xef\xbb\xbf"
         "a: b: c\n",
         "t:1:5: not valid YAML: mapping values are not allowed in this context\n"},
        {"\xef\xbb\xbf"
         "a: \x07\n",
         "t:1:4: not valid text: control characters are not allowed (0x07); must be UTF-8 text\n"},
        {"[[[[[[[[[[[[[[[[[", "t:1:17: nested too deeply; at most 16 levels are allowed\n"},
        {"- - - - - - - - - - - - - - - - - x\n",
         "t:1:33: nested too deeply; at most 16 levels are allowed\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
    assert_errors("a: \0", 4,
                  "t:1:4: not valid text: control characters are not allowed (0x00); must be UTF-8 text\n");
}

static void test_structure(void **state)
{
    static const struct error_case CASES[] = {
        {"- a\n",
         "t:1:1: (top level): is a list; must be a mapping of services, admin, dataplane, state, log\n"},
        {"x\n", "t:1:1: (top level): is a single value; must be a mapping of services, admin, dataplane, "
                "state, log\n"},
        {"backends: [{name: b, address: 10.0.0.1}]\n",
         "t:1:1: backends: unknown key; must be one of services, admin, dataplane, state, log\n"
         "t:1:1: services: required key is missing; must be a list of 1 to 256 services\n"},
        {"services:\n", "t:1:10: services: has no value; must be a list of 1 to 256 services\n"},
        {"services: []\n", "t:1:11: services: is empty; must be a list of 1 to 256 services\n"},
        {"services: {}\n", "t:1:11: services: is a mapping; must be a list of 1 to 256 services\n"},
        {"services: x\n", "t:1:11: services: is a single value; must be a list of 1 to 256 services\n"},
        {"services:\n- \n",
         "t:2:2: services[0].name: required key is missing; must be a name of 1 to 63 characters out of A-Z "
         "a-z 0-9 . _ -\n"
         "t:2:2: services[0].vip: required key is missing; must be a unicast IPv4 or IPv6 address, or a list "
         "of 1 to 2\n"
         "t:2:2: services[0].backends: required key is missing; must be a list of 1 to 1024 backends\n"},
        {"services: [x, [y]]\n", "t:1:12: services[0]: is a single value; must be a mapping of name, vip, "
                                 "mode, snat, schedule, persistence, health, backends\n"
                                 "t:1:15: services[1]: is a list; must be a mapping of name, vip, mode, "
                                 "snat, schedule, persistence, health, backends\n"},
        {HEAD,
         "t:2:3: services[0].backends: required key is missing; must be a list of 1 to 1024 backends\n"},
        {HEAD "  backends:\n",
         "t:4:12: services[0].backends: has no value; must be a list of 1 to 1024 backends\n"},
        {HEAD "  backends: []\n",
         "t:4:13: services[0].backends: is empty; must be a list of 1 to 1024 backends\n"},
        {HEAD "  backends: x\n",
         "t:4:13: services[0].backends: is a single value; must be a list of 1 to 1024 backends\n"},
        {HEAD "  backends:\n  - \n", "t:5:4: services[0].backends[0].name: required key is missing; must be "
                                     "a name of 1 to 63 characters out of A-Z a-z 0-9 . _ -\n"
                                     "t:5:4: services[0].backends[0].address: required key is missing; must "
                                     "be a unicast IPv4 or IPv6 address\n"},
        {HEAD "  backends:\n  - x\n", "t:5:5: services[0].backends[0]: is a single value; must be a mapping "
                                      "of name, address, weight, state\n"},
        {HEAD "  backends:\n  - {name: b}\n", "t:5:5: services[0].backends[0].address: required key is "
                                              "missing; must be a unicast IPv4 or IPv6 address\n"},
        {HEAD "  backends:\n  - {address: 10.0.0.1}\n",
         "t:5:5: services[0].backends[0].name: required key is missing; must be a name of 1 to 63 characters "
         "out of A-Z a-z 0-9 . _ -\n"},
        {"services:\n- vip: 192.0.2.1\n" BACKENDS,
         "t:2:3: services[0].name: required key is missing; must be a name of 1 to 63 characters out of A-Z "
         "a-z 0-9 . _ -\n"},
        {"services:\n- name: a\n" BACKENDS, "t:2:3: services[0].vip: required key is missing; must be a "
                                            "unicast IPv4 or IPv6 address, or a list of 1 to 2\n"},
        {HEAD BACKENDS "  helth: {}\n",
         "t:5:3: services[0].helth: unknown key, did you mean \"health\"? Must be one of name, vip, mode, "
         "snat, schedule, persistence, health, backends\n"},
        {HEAD BACKENDS "  idle_timeout: 1h\n",
         "t:5:3: services[0].idle_timeout: unknown key, did you mean \"persistence.idle_timeout\"? Must be "
         "one of name, vip, mode, snat, schedule, persistence, health, backends\n"},
        {HEAD BACKENDS "  Vip: 192.0.2.2\n",
         "t:5:3: services[0].Vip: unknown key, did you mean \"vip\"? Must be one of name, vip, mode, snat, "
         "schedule, persistence, health, backends\n"},
        {HEAD BACKENDS "  timeout: 1s\n",
         "t:5:3: services[0].timeout: unknown key, did you mean \"health.timeout\"? Must be one of name, "
         "vip, mode, snat, schedule, persistence, health, backends\n"},
        {HEAD BACKENDS "unrelated: 1\n",
         "t:5:1: unrelated: unknown key; must be one of services, admin, dataplane, state, log\n"},
        {HEAD BACKENDS "fastpath: x\n",
         "t:5:1: fastpath: unknown key, did you mean \"dataplane.fastpath\"? Must be one of services, admin, "
         "dataplane, state, log\n"},
        {HEAD BACKENDS "max_clients: 2000\n",
         "t:5:1: max_clients: unknown key, did you mean \"dataplane.max_clients\"? Must be one of services, "
         "admin, dataplane, state, log\n"},
        {HEAD BACKENDS "source_rate: off\n",
         "t:5:1: source_rate: unknown key, did you mean \"dataplane.source_rate\"? Must be one of services, "
         "admin, dataplane, state, log\n"},
        {HEAD BACKENDS "dataplane: {source_brust: 5}\n",
         "t:5:13: dataplane.source_brust: unknown key, did you mean \"source_burst\"? Must be one of "
         "fastpath, max_clients, source_rate, source_burst\n"},
        {HEAD BACKENDS "  spread_nat: true\n",
         "t:5:3: services[0].spread_nat: unknown key, did you mean \"persistence.spread_nat\"? Must be one "
         "of name, vip, mode, snat, schedule, persistence, health, backends\n"},
        {HEAD BACKENDS "<<: {}\n",
         "t:5:1: <<: unknown key; must be one of services, admin, dataplane, state, log\n"},
        {HEAD BACKENDS "\"a\\nb\\0\": 1\n",
         "t:5:1: \"a\\x0ab\\x00\": unknown key; must be one of services, admin, dataplane, state, log\n"},
        {HEAD BACKENDS "'': 1\n",
         "t:5:1: \"\": unknown key; must be one of services, admin, dataplane, state, log\n"},
        {HEAD BACKENDS "\"services\\0\": 1\n",
         "t:5:1: \"services\\x00\": unknown key, did you mean \"services\"? Must be one of services, admin, "
         "dataplane, state, log\n"},
        {HEAD BACKENDS "a.b[0]: 1\n",
         "t:5:1: \"a.b[0]\": unknown key; must be one of services, admin, dataplane, state, log\n"},
        {HEAD BACKENDS "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk: 1\n",
         "t:5:1: \"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...\": unknown key; must be one of "
         "services, admin, dataplane, state, log\n"},
        {HEAD "  backends:\n  - {name: b, address: 10.0.0.1, wieght: 2}\n",
         "t:5:34: services[0].backends[0].wieght: unknown key, did you mean \"weight\"? Must be one of name, "
         "address, weight, state\n"},
        {HEAD BACKENDS "log: {lvl: info}\n", "t:5:7: log.lvl: unknown key; must be one of level, format\n"},
        {HEAD BACKENDS "log: {levels: info}\n",
         "t:5:7: log.levels: unknown key, did you mean \"level\"? Must be one of level, format\n"},
        {HEAD BACKENDS "  name: c\n",
         "t:5:3: services[0].name: duplicate key; it is given on line 2 already\n"},
        {HEAD BACKENDS "log: {level: info}\nlog: {format: text}\n",
         "t:6:1: log: duplicate key; it is given on line 5 already\n"},
        {HEAD BACKENDS "log: {level: info, level: info}\n",
         "t:5:20: log.level: duplicate key; it is given on line 5 already\n"},
        {HEAD BACKENDS "admin:\n  listn: x\n", "t:6:3: admin.listn: unknown key, did you mean "
                                               "\"listen\"? Must be one of listen, token_file, socket\n"},
        {HEAD BACKENDS "state:\n  file: x\n  fiel: /x\n",
         "t:6:9: state.file: \"x\" is not absolute; must be off or an absolute path of at most 107 printable "
         "ASCII characters\n"
         "t:7:3: state.fiel: unknown key, did you mean \"file\"? Must be one of file\n"},
        {HEAD BACKENDS "log: &a {level: info}\nadmin: *a\n",
         "t:5:6: log: anchors (&name) are not supported; write each value out\n"
         "t:6:8: admin: aliases (*name) are not supported; write the value out\n"},
        {HEAD BACKENDS "log: {level: !!str info}\n",
         "t:5:14: log.level: tags (!name) are not supported; write the plain value\n"},
        {HEAD BACKENDS "log: !x {level: info}\n",
         "t:5:6: log: tags (!name) are not supported; write the plain value\n"},
        {HEAD BACKENDS "? [log]\n: 1\n", "t:5:3: (top level): a key must be a single word\n"},
        {HEAD BACKENDS "? {a: b}\n: [1]\n", "t:5:3: (top level): a key must be a single word\n"},
        {HEAD BACKENDS "*a: 1\n",
         "t:5:1: (top level): aliases (*name) are not supported; write the value out\n"},
        {HEAD BACKENDS "&k log: {}\n",
         "t:5:1: log: anchors (&name) are not supported; write each value out\n"},
        {HEAD BACKENDS "log: []\n", "t:5:6: log: is a list; must be a mapping of level, format\n"},
        {HEAD BACKENDS "admin: x\n",
         "t:5:8: admin: is a single value; must be a mapping of listen, token_file, socket\n"},
        {HEAD BACKENDS "dataplane: 5\n", "t:5:12: dataplane: is a single value; must be a mapping of "
                                         "fastpath, max_clients, source_rate, source_burst\n"},
        {HEAD BACKENDS "  health: [a]\n", "t:5:11: services[0].health: is a list; must be a mapping of "
                                          "probe, interval, timeout, rise, fall\n"},
        {HEAD BACKENDS "  persistence: 1h\n", "t:5:16: services[0].persistence: is a single value; must be a "
                                              "mapping of idle_timeout, half_open_timeout, spread_nat\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

/* All errors of a file come in one run, in the order of the file. */
static void test_several(void **state)
{
    static const struct error_case CASES[] = {
        {"services:\n- name: a b\n  vip: [192.0.2.1, 192.0.2.2]\n  mode: transparant\n  helth: {}\n  health: "
         "{probe: tcp, fall: 0}\n  backends:\n  - name: v1\n    address: 192.0.2.1\n    weight: 0\n  - name: "
         "v1\n    address: 2001:db8::1\n    wait: 3\n  -\n- name: c\n  vip: 192.0.2.1\n  backends: []\n  "
         "name: d\nlog:\n  level: loud\nadmin: {socket: x, listen: y}\n",
         "t:2:9: services[0].name: \"a b\" is not a name; must be a name of 1 to 63 characters out of A-Z "
         "a-z 0-9 . _ -\n"
         "t:3:20: services[0].vip[1]: a second IPv4 address; a service must have at most one IPv4 and one "
         "IPv6 VIP\n"
         "t:4:9: services[0].mode: \"transparant\" is unknown, did you mean \"transparent\"? Must be one of "
         "transparent, full-nat\n"
         "t:5:3: services[0].helth: unknown key, did you mean \"health\"? Must be one of name, vip, mode, "
         "snat, schedule, persistence, health, backends\n"
         "t:6:19: services[0].health.probe: \"tcp\" needs a port, such as tcp:443; must be one of ike, icmp, "
         "tcp:PORT, none\n"
         "t:6:30: services[0].health.fall: \"0\" is out of range; must be a whole number from 1 to 100\n"
         "t:9:14: services[0].backends[0].address: a backend's address must not be a VIP; it is given on "
         "line 3 (services[0].vip[0]) already\n"
         "t:9:14: services[0].backends[0].address: a backend's address must not be a VIP; it is given on "
         "line 16 (services[1].vip) already\n"
         "t:10:13: services[0].backends[0].weight: \"0\" is out of range; must be a whole number from 1 to "
         "1000\n"
         "t:11:11: services[0].backends[1].name: each backend of a service must have a name of its own; it "
         "is given on line 8 (services[0].backends[0].name) already\n"
         "t:12:14: services[0].backends[1].address: an IPv6 address, but the service has no IPv6 VIP; must "
         "be of a VIP's family\n"
         "t:13:5: services[0].backends[1].wait: unknown key; must be one of name, address, weight, state\n"
         "t:14:4: services[0].backends[2].name: required key is missing; must be a name of 1 to 63 "
         "characters out of A-Z a-z 0-9 . _ -\n"
         "t:14:4: services[0].backends[2].address: required key is missing; must be a unicast IPv4 or IPv6 "
         "address\n"
         "t:16:8: services[1].vip: each VIP must be used once; it is given on line 3 (services[0].vip[0]) "
         "already\n"
         "t:17:13: services[1].backends: is empty; must be a list of 1 to 1024 backends\n"
         "t:18:3: services[1].name: duplicate key; it is given on line 15 already\n"
         "t:20:10: log.level: \"loud\" is unknown; must be one of error, warn, info, debug\n"
         "t:21:17: admin.socket: \"x\" is not absolute; must be an absolute path of at most 107 printable "
         "ASCII characters\n"
         "t:21:28: admin.listen: \"y\" is not an address and a port; must be off or ADDRESS:PORT, such as "
         "127.0.0.1:8809 or \"[::1]:8809\"\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

/* Only the first hundred are shown. */
static void test_very_many(void **state)
{
    char *text = NULL;
    char *expected = NULL;
    size_t len = 0;
    size_t expected_len = 0;
    FILE *out = open_memstream(&text, &len);
    FILE *errors = open_memstream(&expected, &expected_len);

    (void)state;
    fputs(HEAD BACKENDS, out);
    for (unsigned i = 0; i < 105; i++) {
        fprintf(out, "wrong%u: x\n", i);
        if (i < 100)
            fprintf(errors,
                    "t:%u:1: wrong%u: unknown key; must be one of services, admin, dataplane, state, log\n",
                    5 + i, i);
    }
    fputs("t: and 5 more\n", errors);
    fclose(out);
    fclose(errors);
    assert_errors(text, len, expected);
    free(text);
    free(expected);
}

/* A file cannot make the process grow without bound: the list has one value too many, the list itself
 * counted. */
static void test_too_many_values(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    for (unsigned i = 0; i < 200000; i++)
        fputs("- x\n", out);
    fclose(out);
    assert_errors(text, len, "t:200000:3: too many values; a file holds at most 200000\n");
    free(text);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_very_many),
        cmocka_unit_test(test_too_many_values),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
