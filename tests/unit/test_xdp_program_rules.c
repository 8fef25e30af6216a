#include "tests/unit/unit.h"

#include <stdio.h>

#include "tests/unit/netns.h"
#include "tests/unit/support.h"
#include "tests/unit/xdp_world.h"

/* Rules (ip-rule(8)) for what the XDP program sends on: obeyed, or spared where they cannot matter. */

/* What the daemon says of each family's rules. */
static void set_direct(const struct world *w, bool v4, bool v6)
{
    w->maps.about->is_direct[0] = v4;
    w->maps.about->is_direct[1] = v6;
}

/* Rules for what is to leave are obeyed, whatever of it they ask for: here each says no to one thing. */
static void test_rules_are_asked(void **state)
{
    static const struct {
        const char *selector;
        int ways; /* bits: 1 the first in IPv4, 2 its way back, 4 in IPv6, 8 its way back */
    } rows[] = {
        {"from 198.51.100.1", 1},
        {"from 203.0.113.10", 2},
        {"-6 from 2001:db8:c::1", 4},
        {"-6 from 2001:db8::10", 8},
        {"to 10.1.0.1", 1},
        {"-6 to 2001:db8:c::1", 8},
        {"ipproto udp", 3},
        {"ipproto tcp", 0},
        {"-6 ipproto udp", 12},
        {"sport 40000", 1},
        {"dport 4500", 1},
        {"sport 4500", 2},
        {"dport 40000", 2},
        {"-6 sport 40000", 4},
        {"-6 dport 40000", 8},
        {"tos 0x10", 3},
        {"tos 0x08", 0},
        {"-6 tos 0x10", 12},
        {"-6 tos 0x20", 0},
        {"iif ikelb-c", 1},
        {"-6 iif ikelb-b", 8},
    };
    struct world *w = world_of(state);
    struct world_case c;
    char line[128];

    set_direct(w, false, false);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const bool is_six = strncmp(rows[i].selector, "-6 ", 3) == 0;
        const char *selector = rows[i].selector + (is_six ? 3 : 0);
        snprintf(line, sizeof line, "-%d rule add pref 100 %s unreachable", is_six ? 6 : 4, selector);
        netns_ip(line);
        for (int k = 0; k < 4; k++) { /* transparent mode */
            world_begin(w, &w->ways[k], &c);
            c.in.tos = c.out.tos = 0x10;
            world_check(&c, rows[i].ways >> k & 1 ? XDP_PASS_ROUTE : WORLD_FORWARDED, rows[i].selector);
        }
        snprintf(line, sizeof line, "-%d rule del pref 100", is_six ? 6 : 4);
        netns_ip(line);
    }
}

#define OTHER_HOST 3 /* where the rule's table leads: of the servers' network */

/* The packet leaves there, whoever it is for. */
static void expect_other_host(struct world_case *c)
{
    memcpy(c->out.src_mac, c->world->mac[WORLD_SERVERS], 6);
    c->out.dst_mac[5] = OTHER_HOST;
}

/* A rule for all packets leads elsewhere: it is not even looked at where the daemon says that none matters.
 */
static void test_rules_are_spared(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    for (int family = 4; family <= 6; family += 2) {
        char line[128];
        snprintf(line, sizeof line, "-%d route add default via %s%d table 100", family,
                 family == 4 ? "10.1.0." : "2001:db8:1::", OTHER_HOST);
        netns_ip(line);
        snprintf(line, sizeof line, "-%d rule add pref 100 lookup 100", family);
        netns_ip(line);
    }
    for (int k = 0; k < WORLD_WAYS; k++)
        for (int direct = 0; direct < 4; direct++) {
            world_begin(w, &w->ways[k], &c);
            set_direct(w, direct & 1, direct & 2);
            if (!(direct & (addr_is_v4(&c.in.src.addr) ? 1 : 2)))
                expect_other_host(&c);
            world_check(&c, WORLD_FORWARDED, "by a rule, or without");
        }
    set_direct(w, false, false);
    netns_ip("-4 rule del pref 100");
    netns_ip("-6 rule del pref 100");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_are_asked),
        cmocka_unit_test(test_rules_are_spared),
    };

    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
