#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "lb/xdp/links.h"
#include "tests/unit/netns.h"
#include "tests/unit/support.h"

/*
 * What the kernel says of devices, and what is news, in a namespace of the test's own. The devices
 * get no addresses by themselves: then all news are there when the command is done.
 */

static const char set_up_commands[] =
    "link set lo up\n"
    "link add ikelb-a address 02:00:00:00:00:0a type veth peer name ikelb-b address 02:00:00:00:00:0b\n"
    "link set ikelb-a addrgenmode none\n"
    "link set ikelb-b addrgenmode none\n"
    "link set ikelb-a up\n"
    "link set ikelb-b up\n"
    "link add ikelb-d type veth peer name ikelb-e\n"
    "addr add 10.1.0.254/24 dev ikelb-a\n"
    "addr add 2001:db8:1::fe/64 dev ikelb-b nodad\n";

static int set_up_group(void **state)
{
    *state = NULL;
    if (!netns_enter())
        return 0;
    netns_ip_batch(set_up_commands);
    struct links *links;
    assert_int_equal(links_open(&links), 0);
    *state = links;
    return 0;
}

static int tear_down_group(void **state)
{
    links_close(*state);
    return 0;
}

/* The links, without any news that nobody has read; or skips the test. */
static struct links *links_of(void **state)
{
    struct links *links = *state;

    if (!links)
        skip();
    while (links_changes(links))
        ;
    return links;
}

/* Everything is new to who has not asked yet. */
static void test_the_first_news(void **state)
{
    struct links *links;

    (void)links_of(state);
    assert_int_equal(links_open(&links), 0);
    assert_int_equal(links_changes(links), LINKS_ALL);
    assert_int_equal(links_changes(links), 0);
    links_close(links);
}

/* Each command is news of that kind, once. */
static void test_news(void **state)
{
    static const struct {
        const char *command;
        unsigned changes;
    } rows[] = {
        {"-4 rule add pref 100 from 198.51.100.0/24 lookup 100", LINKS_RULES},
        {"-4 rule del pref 100", LINKS_RULES},
        {"-6 rule add pref 100 from 2001:db8::/32 lookup 100", LINKS_RULES},
        {"-6 rule del pref 100", LINKS_RULES},
        {"route add 192.0.2.0/24 dev ikelb-a", LINKS_ROUTES},
        {"route del 192.0.2.0/24 dev ikelb-a", LINKS_ROUTES},
        {"route add 2001:db8:dead::/48 dev ikelb-b", LINKS_ROUTES},
        {"route del 2001:db8:dead::/48 dev ikelb-b", LINKS_ROUTES},
        {"link set ikelb-d address 02:00:00:00:00:0d", LINKS_DEVICES},
        {"addr add 10.1.0.253/24 dev ikelb-a", LINKS_DEVICES | LINKS_ROUTES},
        {"addr del 10.1.0.253/24 dev ikelb-a", LINKS_DEVICES | LINKS_ROUTES},
    };
    struct links *links = links_of(state);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        netns_ip(rows[i].command);
        const unsigned changes = links_changes(links);
        if (changes != rows[i].changes)
            fail_msg("%s: news %#x, expected %#x", rows[i].command, changes, rows[i].changes);
        assert_int_equal(links_changes(links), 0);
    }
}

static const struct link *link_named(struct links *links, const char *name)
{
    static struct link all[LINKS_MAX];
    const int count = links_list(links, all);

    assert_in_range(count, 1, LINKS_MAX);
    for (int i = 0; i < count; i++)
        if (strcmp(all[i].name, name) == 0)
            return &all[i];
    fail_msg("there is no %s", name);
    return NULL;
}

static void test_list(void **state)
{
    static const struct {
        const char *name;
        uint8_t mac; /* its last byte */
        bool is_ethernet, is_up, has_address;
    } rows[] = {
        {"lo", 0, false, true, true},
        {"ikelb-a", 0x0a, true, true, true},
        {"ikelb-b", 0x0b, true, true, true},
        {"ikelb-d", 0x0d, true, false, false},
    };
    struct links *links = links_of(state);

    netns_ip("link set ikelb-d address 02:00:00:00:00:0d");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct link *link = link_named(links, rows[i].name);
        const uint8_t mac[6] = {rows[i].mac ? 2 : 0, 0, 0, 0, 0, rows[i].mac};
        assert_int_equal(link->ifindex, if_nametoindex(rows[i].name));
        assert_memory_equal(link->mac, mac, sizeof mac);
        assert_int_equal(link->is_ethernet, rows[i].is_ethernet);
        assert_int_equal(link->is_up, rows[i].is_up);
        assert_int_equal(link->has_address, rows[i].has_address);
        assert_true(!link->is_port && !link->has_vlans && !link->lower && !link->vlan);
    }
    netns_ip("addr add 192.0.2.254/32 dev ikelb-d");
    netns_ip("link set ikelb-b down");
    assert_int_equal(link_named(links, "ikelb-d")->has_address, 1);
    assert_int_equal(link_named(links, "ikelb-b")->is_up, 0);
    netns_ip("addr del 192.0.2.254/32 dev ikelb-d");
    netns_ip("link set ikelb-b up");
    netns_ip("addr replace 2001:db8:1::fe/64 dev ikelb-b nodad");
    assert_int_equal(link_named(links, "ikelb-d")->has_address, 0);
}

/* Not every kernel has these: then there is nothing to be told from others. */
static void add_or_skip(const char *command)
{
    if (netns_try_ip(command))
        return;
    print_message("this kernel cannot: ip %s\n", command);
    skip();
}

static void test_a_bridge(void **state)
{
    struct links *links = links_of(state);

    add_or_skip("link add ikelb-br type bridge");
    netns_ip("link set ikelb-d master ikelb-br");
    assert_int_equal(link_named(links, "ikelb-d")->is_port, 1);
    assert_int_equal(link_named(links, "ikelb-br")->is_port, 0);
    assert_int_equal(link_named(links, "ikelb-e")->is_port, 0);
    netns_ip("link del ikelb-br");
    assert_int_equal(link_named(links, "ikelb-d")->is_port, 0);
}

static void test_a_vlan(void **state)
{
    struct links *links = links_of(state);

    add_or_skip("link add link ikelb-d name ikelb-d7 type vlan id 7");
    const struct link *vlan = link_named(links, "ikelb-d7");
    assert_int_equal(vlan->vlan, 7);
    assert_int_equal(vlan->lower, if_nametoindex("ikelb-d"));
    assert_int_equal(link_named(links, "ikelb-d")->has_vlans, 1);
    netns_ip("link del ikelb-d7");
    assert_int_equal(link_named(links, "ikelb-d")->has_vlans, 0);
}

/* It is the same index, but of another namespace: here some other device may have it. */
static void test_a_vlan_of_a_device_elsewhere(void **state)
{
    struct links *links = links_of(state);
    char line[128];
    const int here = open("/proc/self/ns/net", O_RDONLY); /* which `ip` is to have open, too */

    assert_true(here >= 0);
    assert_true(netns_enter());
    const bool can = netns_try_ip("link add ikelb-x type veth peer name ikelb-y") &&
                     netns_try_ip("link add link ikelb-x name ikelb-x7 type vlan id 7");
    snprintf(line, sizeof line, "link set ikelb-x7 netns /proc/self/fd/%d", here);
    if (can)
        netns_ip(line);
    const int elsewhere = open("/proc/self/ns/net", O_RDONLY); /* or it would go */
    assert_int_equal(setns(here, CLONE_NEWNET), 0);
    close(here);
    if (can) {
        const struct link *vlan = link_named(links, "ikelb-x7");
        assert_int_equal(vlan->lower, 0);
        netns_ip("link del ikelb-x7");
    }
    close(elsewhere);
    if (!can)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_news), cmocka_unit_test(test_news),
        cmocka_unit_test(test_list),           cmocka_unit_test(test_a_bridge),
        cmocka_unit_test(test_a_vlan),         cmocka_unit_test(test_a_vlan_of_a_device_elsewhere),
    };

    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
