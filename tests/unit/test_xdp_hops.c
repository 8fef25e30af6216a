#include "tests/unit/unit.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "lb/xdp/hops.h"
#include "tests/unit/asking.h"
#include "tests/unit/support.h"

/* Where packets go from here, and what the kernel knows of that hop, in a namespace of the test's own. */

static const char set_up_commands[] = "link set lo up\n"
                                      "link add ikelb-a type veth peer name ikelb-b\n"
                                      "link set ikelb-a up\n"
                                      "link set ikelb-b up\n"
                                      "addr add 10.1.0.254/24 dev ikelb-a\n"
                                      "addr add 2001:db8:1::fe/64 dev ikelb-b nodad\n"
                                      "route add 192.0.2.0/24 via 10.1.0.1\n"
                                      "route add 198.51.100.0/24 via inet6 2001:db8:1::1 dev ikelb-b\n"
                                      "route add 2001:db8:9::/48 via 2001:db8:1::1\n";

static int set_up_group(void **state)
{
    return asking_set_up(state, set_up_commands);
}

static void test_towards(void **state)
{
    static const struct {
        const char *dst, *device, *hop; /* NULL: none */
    } rows[] = {
        {"10.1.0.1", "ikelb-a", "10.1.0.1"},
        {"2001:db8:1::1", "ikelb-b", "2001:db8:1::1"},
        {"127.0.0.1", "lo", "127.0.0.1"},
        {"10.1.0.254", "lo", "10.1.0.254"},
        {"192.0.2.1", "ikelb-a", "10.1.0.1"},
        {"198.51.100.7", "ikelb-b", "2001:db8:1::1"},
        {"2001:db8:9::5", "ikelb-b", "2001:db8:1::1"},
        {"203.0.113.1", NULL, NULL},
        {"2001:db8:2::1", NULL, NULL},
    };
    struct question *question = asking_of(state);

    for (int turn = 0; turn < 2; turn++) /* also after one that there is no way to */
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            const struct addr dst = support_addr(rows[i].dst);
            struct hop hop;
            assert_int_equal(hop_towards(question, &dst, &hop) == 0, rows[i].device != NULL);
            assert_int_equal(hop.ifindex, rows[i].device ? if_nametoindex(rows[i].device) : 0);
            if (!rows[i].hop)
                continue;
            const struct addr wanted = support_addr(rows[i].hop);
            assert_true(addr_equal(&hop.addr, &wanted));
        }
}

/* Does `ip neigh` say that of the address? */
static bool is_neighbour(const char *device, const char *address, const char *word)
{
    char command[128], line[256];
    bool found = false;

    snprintf(command, sizeof command, "ip neigh show %s dev %s", address, device);
    FILE *ip = popen(command, "r");
    assert_non_null(ip);
    while (fgets(line, sizeof line, ip))
        found = found || strstr(line, word) != NULL;
    assert_int_equal(pclose(ip), 0);
    return found;
}

/* What is in use is asked for again; what is not known stays so. */
static void test_use(void **state)
{
    static const char *const rows[][2] = {{"ikelb-a", "10.1.0.7"}, {"ikelb-b", "2001:db8:1::7"}};
    struct question *question = asking_of(state);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct hop hop = {.ifindex = if_nametoindex(rows[i][0]), .addr = support_addr(rows[i][1])};
        char line[128];
        hop_use(question, &hop);
        assert_false(is_neighbour(rows[i][0], rows[i][1], rows[i][1]));
        snprintf(line, sizeof line, "neigh add %s lladdr 02:00:00:00:00:07 dev %s nud stale", rows[i][1],
                 rows[i][0]);
        netns_ip(line);
        assert_true(is_neighbour(rows[i][0], rows[i][1], "STALE"));
        hop_use(question, &hop);
        assert_true(is_neighbour(rows[i][0], rows[i][1], "DELAY"));
        assert_true(is_neighbour(rows[i][0], rows[i][1], "02:00:00:00:00:07"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_towards),
        cmocka_unit_test(test_use),
    };

    return cmocka_run_group_tests(tests, set_up_group, asking_tear_down);
}
