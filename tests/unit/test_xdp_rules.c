#include "tests/unit/unit.h"

#include <stdio.h>
#include <sys/socket.h>

#include "lb/kernel.h"
#include "lb/xdp/rules.h"
#include "tests/unit/asking.h"

/* Which rules (ip-rule(8)) can lead a packet without a mark elsewhere, in a namespace of the test's own. */

static int set_up_group(void **state)
{
    return asking_set_up(state, "");
}

/* A rule beside the usual ones, and whether packets without a mark still go where no rule would lead them. */
struct rule_row {
    const char *rule;
    int is_direct;
};

static void check_rules(struct question *question, const struct rule_row *rows, size_t count, int family)
{
    char line[128];

    for (size_t i = 0; i < count; i++) {
        snprintf(line, sizeof line, "-%d rule add %s", family == AF_INET ? 4 : 6, rows[i].rule);
        netns_ip(line);
        const int is_direct = rules_are_direct(question, family);
        if (is_direct != rows[i].is_direct)
            fail_msg("%s: direct %d, expected %d", line, is_direct, rows[i].is_direct);
        /* It is the other family's alone. */
        assert_int_equal(rules_are_direct(question, family == AF_INET ? AF_INET6 : AF_INET), 1);
        snprintf(line, sizeof line, "-%d rule del %s", family == AF_INET ? 4 : 6, rows[i].rule);
        netns_ip(line);
        assert_int_equal(rules_are_direct(question, family), 1);
    }
}

static void test_rules(void **state)
{
    static const struct rule_row rows[] = {
        {"pref 100 fwmark 1 lookup 100", 1},
        {"pref 100 fwmark 1/0xff iif ikelb-a lookup 100", 1},
        {"pref 100 fwmark 1 unreachable", 1},
        {"pref 100 lookup main", 1},
        {"pref 40000 lookup default", 1}, /* after the main table */
        {"pref 100 lookup 100", 0},
        {"pref 40000 lookup 100", 0},
        {"pref 100 lookup default", 0}, /* before it */
        {"pref 100 unreachable", 0},
        {"pref 100 not fwmark 1 lookup main", 0},
        {"pref 100 lookup main suppress_prefixlength 0", 0},
        {"pref 100 iif ikelb-a lookup main", 0},
        {"pref 100 ipproto udp lookup main", 0},
        {"pref 100 dport 4500 lookup main", 0},
        {"pref 100 tos 0x10 lookup main", 0},
    };
    static const struct rule_row rows_v4[] = {
        {"pref 100 from 198.51.100.0/24 lookup main", 0},
        {"pref 100 to 10.1.0.0/24 lookup main", 0},
        {"pref 100 from 198.51.100.0/24 fwmark 1 lookup 100", 1},
    };
    static const struct rule_row rows_v6[] = {
        {"pref 100 from 2001:db8:c::/64 lookup main", 0},
        {"pref 100 to 2001:db8:1::/64 lookup main", 0},
        {"pref 100 from 2001:db8:c::/64 fwmark 1 lookup 100", 1},
    };
    struct question *question = asking_of(state);

    assert_int_equal(rules_are_direct(question, AF_INET), 1);
    assert_int_equal(rules_are_direct(question, AF_INET6), 1);
    check_rules(question, rows, sizeof rows / sizeof rows[0], AF_INET);
    check_rules(question, rows, sizeof rows / sizeof rows[0], AF_INET6);
    check_rules(question, rows_v4, sizeof rows_v4 / sizeof rows_v4[0], AF_INET);
    check_rules(question, rows_v6, sizeof rows_v6 / sizeof rows_v6[0], AF_INET6);
}

/* For devices of a VRF it leads to the table that they would have without rules, too. */
static void test_the_rule_of_vrfs(void **state)
{
    struct question *question = asking_of(state);

    if (!netns_try_ip("-4 rule add pref 100 l3mdev")) {
        print_message("this kernel has no VRFs\n");
        skip();
    }
    netns_ip("-6 rule add pref 100 l3mdev");
    assert_int_equal(rules_are_direct(question, AF_INET), 1);
    assert_int_equal(rules_are_direct(question, AF_INET6), 1);
    netns_ip("-4 rule del pref 100");
    netns_ip("-6 rule del pref 100");
}

/* Our own, as lb/kernel.c makes them. */
static void test_our_rules(void **state)
{
    struct question *question = asking_of(state);
    char line[128];

    for (int family = 4; family <= 6; family += 2) {
        snprintf(line, sizeof line, "-%d rule add pref %d fwmark %#x/%#x lookup %d protocol %d", family,
                 KERNEL_RULE_PRIORITY, KERNEL_MARK, KERNEL_MARK_MASK, KERNEL_ROUTE_TABLE, KERNEL_PROTOCOL);
        netns_ip(line);
    }
    assert_int_equal(rules_are_direct(question, AF_INET), 1);
    assert_int_equal(rules_are_direct(question, AF_INET6), 1);
    for (int family = 4; family <= 6; family += 2) {
        snprintf(line, sizeof line, "-%d rule del pref %d", family, KERNEL_RULE_PRIORITY);
        netns_ip(line);
    }
}

/* Nothing leads to the main table, or only what asks for a mark. */
static void test_no_rule_for_the_main_table(void **state)
{
    struct question *question = asking_of(state);

    for (int family = 4; family <= 6; family += 2) {
        const int family_number = family == 4 ? AF_INET : AF_INET6;
        char line[128];
        snprintf(line, sizeof line, "-%d rule del pref 32766", family);
        netns_ip(line);
        assert_int_equal(rules_are_direct(question, family_number), 0);
        snprintf(line, sizeof line, "-%d rule add pref 100 fwmark 1 lookup main", family);
        netns_ip(line);
        assert_int_equal(rules_are_direct(question, family_number), 0);
        snprintf(line, sizeof line, "-%d rule del pref 100", family);
        netns_ip(line);
        snprintf(line, sizeof line, "-%d rule add pref 32766 lookup main", family);
        netns_ip(line);
        assert_int_equal(rules_are_direct(question, family_number), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_the_rule_of_vrfs),
        cmocka_unit_test(test_our_rules),
        cmocka_unit_test(test_no_rule_for_the_main_table),
    };

    return cmocka_run_group_tests(tests, set_up_group, asking_tear_down);
}
