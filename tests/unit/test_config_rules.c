/* Values that are fine by themselves but not with each other: names, VIPs, families, SNAT, health, sizes of
 * lists. */
#include "tests/unit/unit.h"

#include "tests/unit/config_errors.h"

static void test_rules(void **state)
{
    static const struct error_case CASES[] = {
        {HEAD BACKENDS "- name: a\n  vip: 192.0.2.2\n" BACKENDS,
         "t:5:9: services[1].name: each service must have a name of its own; it is given on line 2 "
         "(services[0].name) already\n"},
        {HEAD BACKENDS "- name: c\n  vip: [2001:db8::1, 192.0.2.1]\n" BACKENDS,
         "t:6:22: services[1].vip[1]: each VIP must be used once; it is given on line 3 (services[0].vip) "
         "already\n"},
        {"services:\n- name: a\n  vip: [192.0.2.1, 192.0.2.1]\n" BACKENDS,
         "t:3:20: services[0].vip[1]: each VIP must be used once; it is given on line 3 (services[0].vip[0]) "
         "already\n"},
        {"services:\n- name: a\n  vip: [192.0.2.1, 192.0.2.2]\n" BACKENDS,
         "t:3:20: services[0].vip[1]: a second IPv4 address; a service must have at most one IPv4 and one "
         "IPv6 VIP\n"},
        {"services:\n- name: a\n  vip:\n  - 2001:db8::1\n  - 2001:db8::2\n  backends: [{name: b, address: "
         "2001:db8::3}]\n",
         "t:5:5: services[0].vip[1]: a second IPv6 address; a service must have at most one IPv4 and one "
         "IPv6 VIP\n"},
        {"services:\n- name: a\n  vip: [192.0.2.1, '::ffff:192.0.2.1']\n" BACKENDS,
         "t:3:20: services[0].vip[1]: each VIP must be used once; it is given on line 3 (services[0].vip[0]) "
         "already\n"},
        {HEAD "  backends:\n  - {name: b, address: 2001:db8::2}\n",
         "t:5:24: services[0].backends[0].address: an IPv6 address, but the service has no IPv6 VIP; must be "
         "of a VIP's family\n"},
        {"services:\n- name: a\n  vip: 2001:db8::1\n" BACKENDS,
         "t:4:33: services[0].backends[0].address: an IPv4 address, but the service has no IPv4 VIP; must be "
         "of a VIP's family\n"},
        {HEAD "  backends:\n  - {name: b, address: 10.0.0.1}\n  - {name: b, address: 10.0.0.2}\n  - {name: "
              "b, address: 10.0.0.3}\n",
         "t:6:12: services[0].backends[1].name: each backend of a service must have a name of its own; it is "
         "given on line 5 (services[0].backends[0].name) already\n"
         "t:7:12: services[0].backends[2].name: each backend of a service must have a name of its own; it is "
         "given on line 5 (services[0].backends[0].name) already\n"},
        {HEAD "  backends:\n  - {name: b, address: 10.0.0.1}\n  - {name: c, address: 10.0.0.1}\n",
         "t:6:24: services[0].backends[1].address: each backend of a service must have an address of its "
         "own; it is given on line 5 (services[0].backends[0].address) already\n"},
        {HEAD "  backends:\n  - {name: b, address: 192.0.2.1}\n",
         "t:5:24: services[0].backends[0].address: a backend's address must not be a VIP; it is given on "
         "line 3 (services[0].vip) already\n"},
        {HEAD "  backends:\n  - {name: b, address: 192.0.2.2}\n- name: c\n  vip: 192.0.2.2\n" BACKENDS,
         "t:5:24: services[0].backends[0].address: a backend's address must not be a VIP; it is given on "
         "line 7 (services[1].vip) already\n"},
        {HEAD "  snat: 10.0.0.9\n" BACKENDS, "t:4:3: services[0].snat: must be given with \"mode: full-nat\" "
                                             "only; the mode here is transparent, the default\n"},
        {HEAD "  mode: transparent\n  snat: [10.0.0.9]\n" BACKENDS,
         "t:5:3: services[0].snat: must be given with \"mode: full-nat\" only; the mode here is "
         "transparent\n"},
        {HEAD "  mode: full-nat\n  snat: 2001:db8::9\n" BACKENDS,
         "t:5:9: services[0].snat: an IPv6 address, but the service has no IPv6 VIP; must be of a VIP's "
         "family\n"},
        {"services:\n- name: a\n  vip: [192.0.2.1, 2001:db8::1]\n  mode: full-nat\n  snat: 10.0.0.9\n"
         "  backends: [{name: b, address: 10.0.0.2}, {name: c, address: '2001:db8:0::3'}]\n",
         "t:5:3: services[0].snat: has no IPv6 address, but backend c has; must have one of each family of "
         "the "
         "backends, or be left out\n"},
        {HEAD "  mode: full-nat\n  snat: [10.0.0.9, 10.0.0.8, 10.0.0.9]\n" BACKENDS,
         "t:5:30: services[0].snat[2]: each SNAT address must be given once; it is given on line 5 "
         "(services[0].snat[0]) already\n"},
        {HEAD "  mode: full-nat\n  snat: 10.0.0.1\n" BACKENDS,
         "t:5:9: services[0].snat: a SNAT address must not be a backend's address; it is given on line 6 "
         "(services[0].backends[0].address) already\n"},
        {"services:\n- name: a\n  vip: 2001:db8::1\n  mode: full-nat\n  snat: [2001:db8::9, 2001:db8::3]\n"
         "  backends: [{name: b, address: 2001:db8::2}, {name: c, address: '2001:db8:0::3'}]\n",
         "t:5:23: services[0].snat[1]: a SNAT address must not be a backend's address; it is given on line 6 "
         "(services[0].backends[1].address) already\n"},
        /* A backend of any service, whatever its mode, in front of it or behind; named once. */
        {HEAD BACKENDS "- name: c\n  vip: 192.0.2.2\n  mode: full-nat\n  snat: [10.0.0.3, 10.0.0.1]\n"
                       "  backends: [{name: b, address: 10.0.0.2}]\n"
                       "- name: d\n  vip: 192.0.2.3\n"
                       "  backends: [{name: b, address: 10.0.0.3}, {name: c, address: 10.0.0.1}]\n",
         "t:8:10: services[1].snat[0]: a SNAT address must not be a backend's address; it is given on line "
         "12 (services[2].backends[0].address) already\n"
         "t:8:20: services[1].snat[1]: a SNAT address must not be a backend's address; it is given on line 4 "
         "(services[0].backends[0].address) already\n"},
        {HEAD "  health: {timeout: 3s}\n" BACKENDS, "t:4:21: services[0].health.timeout: 3s is longer than "
                                                    "the interval; must be at most 2s, the default\n"},
        {HEAD "  health: {timeout: 3s, interval: 2500ms}\n" BACKENDS,
         "t:4:21: services[0].health.timeout: 3s is longer than the interval; must be at most 2500ms\n"},
        {HEAD "  health: {interval: 500ms}\n" BACKENDS,
         "t:4:22: services[0].health.interval: 500ms is shorter than the timeout; must be at least 1s, the "
         "default timeout\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

/* What is wrong by itself is not blamed for what it would mean to other values. */
static void test_blamed_once(void **state)
{
    static const struct error_case CASES[] = {
        {HEAD "  mode: fullnat\n  snat: 10.0.0.9\n" BACKENDS,
         "t:4:9: services[0].mode: \"fullnat\" is unknown, did you mean \"full-nat\"? Must be one of "
         "transparent, full-nat\n"},
        {HEAD "  health: {timeout: 3h, interval: 1s}\n" BACKENDS,
         "t:4:21: services[0].health.timeout: \"3h\" is out of range; must be a whole number with a unit "
         "(ms, s, m or h) from 10ms to 1h\n"},
        {HEAD "  health: {timeout: 3s, interval: 1}\n" BACKENDS,
         "t:4:35: services[0].health.interval: \"1\" has no unit; must be a whole number with a unit (ms, s, "
         "m or h) from 100ms to 1h\n"},
        {HEAD "  health: {timeout: 5, interval: 500ms}\n" BACKENDS,
         "t:4:21: services[0].health.timeout: \"5\" has no unit; must be a whole number with a unit (ms, s, "
         "m or h) from 10ms to 1h\n"},
        {"services:\n- name: a\n  vip: [192.0.2.x, 2001:db8::1]\n" BACKENDS,
         "t:3:9: services[0].vip[0]: \"192.0.2.x\" is not an address (numeric, without port, prefix length "
         "or brackets); must be a unicast IPv4 or IPv6 address\n"},
        {"services:\n- name: a\n  vip: [0.0.0.0, 0.0.0.0]\n" BACKENDS,
         "t:3:9: services[0].vip[0]: \"0.0.0.0\" is the unspecified address; must be a unicast IPv4 or IPv6 "
         "address\n"
         "t:3:18: services[0].vip[1]: \"0.0.0.0\" is the unspecified address; must be a unicast IPv4 or IPv6 "
         "address\n"},
        {HEAD "  backends:\n  - {name: ' ', address: x}\n  - {name: ' ', address: x}\n",
         "t:5:12: services[0].backends[0].name: \" \" is not a name; must be a name of 1 to 63 characters "
         "out of A-Z a-z 0-9 . _ -\n"
         "t:5:26: services[0].backends[0].address: \"x\" is not an address (numeric, without port, prefix "
         "length or brackets); must be a unicast IPv4 or IPv6 address\n"
         "t:6:12: services[0].backends[1].name: \" \" is not a name; must be a name of 1 to 63 characters "
         "out of A-Z a-z 0-9 . _ -\n"
         "t:6:26: services[0].backends[1].address: \"x\" is not an address (numeric, without port, prefix "
         "length or brackets); must be a unicast IPv4 or IPv6 address\n"},
        {"services:\n- name: a\n" BACKENDS, "t:2:3: services[0].vip: required key is missing; must be a "
                                            "unicast IPv4 or IPv6 address, or a list of 1 to 2\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

#define NOT_LOOPBACK                                                                                         \
    "admin.listen: without admin.token_file the address must be a loopback one, such as 127.0.0.1 or ::1; "  \
    "give a token_file, or listen there\n"

/* Only a token makes changes over the network possible, and only then is the network let in. */
static void test_listen_needs_a_token(void **state)
{
    static const struct error_case CASES[] = {
        {HEAD BACKENDS "admin: {listen: 10.0.0.9:8809}\n", "t:5:17: " NOT_LOOPBACK},
        {HEAD BACKENDS "admin: {listen: 0.0.0.0:8809}\n", "t:5:17: " NOT_LOOPBACK},
        {HEAD BACKENDS "admin: {listen: '[::]:8809'}\n", "t:5:17: " NOT_LOOPBACK},
        /* A file that is given but wrong is blamed once. */
        {HEAD BACKENDS "admin: {listen: 0.0.0.0:8809, token_file: t}\n",
         "t:5:43: admin.token_file: \"t\" is not absolute; must be an absolute path of at most 107 printable "
         "ASCII characters\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

static void test_paths(void **state)
{
    static const struct error_case CASES[] = {
        {HEAD BACKENDS "state: {file: /run/t}\nadmin: {token_file: /run/t}\n",
         "t:5:15: state.file: is the path of admin.token_file, too; must be a path of its own\n"},
        {HEAD BACKENDS "state: {file: /run/ikelb/ikelb.sock}\n",
         "t:5:15: state.file: is the path of admin.socket, too; must be a path of its own\n"},
        {HEAD BACKENDS "admin: {token_file: /run/t, socket: /run/t}\n",
         "t:5:21: admin.token_file: is the path of admin.socket, too; must be a path of its own\n"},
    };

    (void)state;
    ASSERT_CASES(CASES);
}

static void put_services(FILE *out, unsigned count, unsigned backends)
{
    fputs("services:\n", out);
    for (unsigned i = 0; i < count; i++) {
        fprintf(out, "- name: s%u\n  vip: 192.0.%u.%u\n  backends:\n", i, i / 256, i % 256);
        for (unsigned j = 0; j < backends; j++)
            fprintf(out, "  - {name: b%u, address: 10.2.%u.%u}\n", j, j / 256, j % 256);
    }
}

static void test_list_sizes(void **state)
{
    static const struct {
        unsigned services;
        unsigned backends;
        const char *errors;
    } CASES[] = {
        {257, 1, "t:1026:3: services[256]: is one too many; must be a list of 1 to 256 services\n"},
        {1, 1025,
         "t:1029:5: services[0].backends[1024]: is one too many; must be a list of 1 to 1024 backends\n"},
        /* Only the service that makes them too many is blamed. */
        {4, 400,
         "t:810:3: services[2].backends: too many backends; all services together must have at most 1024\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        put_services(out, CASES[i].services, CASES[i].backends);
        fclose(out);
        assert_errors(text, len, CASES[i].errors);
        free(text);
    }
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_blamed_once),
        cmocka_unit_test(test_listen_needs_a_token),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_list_sizes),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
