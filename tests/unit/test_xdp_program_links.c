#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/netns.h"
#include "tests/unit/support.h"
#include "tests/unit/xdp_world.h"

/* Where the XDP program takes packets from and sends them to: devices, VLANs, routes, neighbours. */

#define TAG_BITS 0xb000 /* a priority and drop eligibility, above the VLAN's number */

/* Puts another address where the packet is to go. */
static void aim(struct world_case *c, const char *v4, const char *v6)
{
    const struct addr addr = support_addr(addr_is_v4(&c->in.src.addr) ? v4 : v6);

    table_put_addr(c->way->is_out ? c->entry->client : c->place->server, &addr);
    c->out.dst.addr = addr;
    c->out.dst_mac[5] = addr.bytes[15];
}

static void begin(struct world *w, int way, struct world_case *c)
{
    world_begin(w, &w->ways[way], c);
}

/* The frame's own address, and no other, be it for all. */
static void test_not_addressed_to_us(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    for (int k = 0; k < WORLD_WAYS; k++) {
        for (int byte = 0; byte < 6; byte++) {
            begin(w, k, &c);
            c.in.dst_mac[byte] ^= 0x10;
            world_check(&c, XDP_PASS_INTERFACE, "another MAC address");
        }
        begin(w, k, &c);
        memset(c.in.dst_mac, 0xff, 6);
        world_check(&c, XDP_PASS_INTERFACE, "broadcast");
    }
}

/* A device that is not served; and a backend's packets from where the route to it does not lead. */
static void test_where_it_comes_in(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    for (int k = 0; k < WORLD_WAYS; k++) {
        begin(w, k, &c);
        c.ingress = w->ifindex[WORLD_TRUNK];
        memcpy(c.in.dst_mac, w->mac[WORLD_TRUNK], 6);
        world_check(&c, XDP_PASS_INTERFACE, "a device that is not served");

        begin(w, k, &c);
        c.ingress = w->ifindex[WORLD_TRUNK];
        c.port.ifindex = c.ingress;
        memcpy(c.port.mac, w->mac[WORLD_TRUNK], 6);
        memcpy(c.in.dst_mac, w->mac[WORLD_TRUNK], 6);
        world_put_port(&c, c.ingress, 0);
        world_check(&c, c.way->is_out ? XDP_PASS_INTERFACE : WORLD_FORWARDED, "another device");

        begin(w, k, &c);
        c.place->ifindex = 0;
        world_check(&c, c.way->is_out ? XDP_PASS_INTERFACE : WORLD_FORWARDED, "it is not known which");
    }
}

static void test_no_way(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    netns_ip("route add blackhole 192.0.2.0/24");
    netns_ip("route add unreachable 2001:db8:dead::/48");
    for (int k = 0; k < WORLD_WAYS; k++) {
        begin(w, k, &c);
        aim(&c, "203.0.113.99", "2001:db9::99");
        world_check(&c, XDP_PASS_ROUTE, "no route");
        begin(w, k, &c);
        aim(&c, "192.0.2.1", "2001:db8:dead::1");
        world_check(&c, XDP_PASS_ROUTE, "a route that says no");
        begin(w, k, &c);
        aim(&c, "10.1.0.254", "2001:db8:1::fe");
        world_check(&c, XDP_PASS_ROUTE, "ourselves");
        begin(w, k, &c);
        aim(&c, "198.51.100.99", "2001:db8:c::99");
        world_check(&c, XDP_PASS_NEIGHBOUR, "a neighbour that is not known");
    }
    netns_ip("route del blackhole 192.0.2.0/24");
    netns_ip("route del unreachable 2001:db8:dead::/48");
}

/* Not by the device, but by the way: over a gateway, and where the routes of the packet's device lead. */
static void test_routes_are_asked(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    netns_ip("route add 192.0.2.0/24 via 10.1.0.3");
    netns_ip("route add 2001:db8:dead::/48 via 2001:db8:1::3");
    for (int k = 0; k < WORLD_WAYS; k++) {
        begin(w, k, &c);
        aim(&c, "192.0.2.1", "2001:db8:dead::1");
        c.out.dst_mac[5] = 3;
        memcpy(c.out.src_mac, w->mac[WORLD_SERVERS], 6);
        world_check(&c, WORLD_FORWARDED, "a gateway");
    }
    netns_ip("route del 192.0.2.0/24 via 10.1.0.3");
    netns_ip("route del 2001:db8:dead::/48 via 2001:db8:1::3");
}

/* One byte more than the MTU, of the device or of the route. */
static void test_mtu(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    netns_ip("route add 192.0.2.1/32 via 10.1.0.3 mtu lock 1300");
    netns_ip("route add 2001:db8:dead::1/128 via 2001:db8:1::3 mtu lock 1300");
    for (int k = 0; k < WORLD_WAYS; k++) {
        const size_t headers = addr_is_v4(&w->ways[k].binding.client.addr) ? 28 : 48;
        begin(w, k, &c);
        if (!c.way->is_out) {
            frame_put_esp(&c.in, WORLD_SPI, WORLD_MTU + 1 - headers);
            world_check(&c, XDP_PASS_MTU, "larger than the device's MTU");
        }
        for (size_t more = 0; more < 2; more++) {
            begin(w, k, &c);
            aim(&c, "192.0.2.1", "2001:db8:dead::1");
            c.out.dst_mac[5] = 3;
            memcpy(c.out.src_mac, w->mac[WORLD_SERVERS], 6);
            frame_put_esp(&c.in, WORLD_SPI, 1300 + more - headers);
            frame_put_esp(&c.out, WORLD_SPI, 1300 + more - headers);
            world_check(&c, more ? XDP_PASS_MTU : WORLD_FORWARDED, "the route's MTU");
        }
    }
    netns_ip("route del 192.0.2.1/32");
    netns_ip("route del 2001:db8:dead::1/128");
}

static void test_forwarding_off(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    for (int k = 0; k < WORLD_WAYS; k++) {
        begin(w, k, &c);
        const char *device = c.way->is_out ? "ikelb-b" : "ikelb-c";
        world_set_forwarding(device, false);
        world_check(&c, XDP_PASS_FORWARDING, "forwarding is off");
        world_set_forwarding(device, true);
        world_check(&c, WORLD_FORWARDED, "forwarding is on again");
    }
}

/* The way leads to a device that cannot take packets from here. */
static void test_no_exit(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    netns_ip("link add ikelb-x type veth peer name ikelb-xp");
    netns_ip("link set ikelb-x up");
    netns_ip("link set ikelb-xp up");
    netns_ip("addr add 192.0.2.254/24 dev ikelb-x");
    netns_ip("addr add 2001:db8:dead::fe/64 dev ikelb-x nodad");
    netns_ip("neigh add 192.0.2.1 lladdr 02:00:00:00:01:01 dev ikelb-x nud permanent");
    netns_ip("neigh add 2001:db8:dead::1 lladdr 02:00:00:00:01:01 dev ikelb-x nud permanent");
    for (int k = 0; k < WORLD_WAYS; k++) {
        begin(w, k, &c);
        aim(&c, "192.0.2.1", "2001:db8:dead::1");
        world_check(&c, XDP_PASS_EXIT, "no exit");
    }
    netns_ip("link del ikelb-x");
}

/* Which devices packets come from and go to; a VLAN is one of a trunk. */
struct vlans {
    int from; /* 0: a device without VLANs */
    int to;
};

static const struct vlans all_vlans[] = {{0, 7}, {7, 0}, {7, 7}, {7, 8}, {8, 7}};

static const char *const net_v4[] = {[7] = "10.7.0.3", [8] = "10.8.0.3"};
static const char *const net_v6[] = {[7] = "2001:db8:7::3", [8] = "2001:db8:8::3"};

static uint32_t vlan_ifindex(const struct world *w, int vlan)
{
    return w->ifindex[vlan == 7 ? WORLD_VLAN_7 : WORLD_VLAN_8];
}

/* The packet comes with that tag, to the trunk. */
static void come_from(struct world_case *c, int vlan)
{
    struct world *w = c->world;

    c->ingress = w->ifindex[WORLD_TRUNK];
    c->port.ifindex = vlan_ifindex(w, vlan);
    memcpy(c->port.mac, w->mac[WORLD_TRUNK], 6);
    memcpy(c->in.dst_mac, w->mac[WORLD_TRUNK], 6);
    world_put_port(c, c->ingress, (uint32_t)vlan);
    c->in.tag = (uint16_t)(vlan | TAG_BITS);
    if (c->way->is_out)
        c->place->ifindex = c->port.ifindex;
}

static void go_to(struct world_case *c, int vlan)
{
    aim(c, net_v4[vlan], net_v6[vlan]);
    memcpy(c->out.src_mac, c->world->mac[WORLD_TRUNK], 6);
    c->out.tag = (uint16_t)vlan;
}

static void begin_vlans(struct world *w, int way, struct vlans vlans, struct world_case *c)
{
    begin(w, way, c);
    if (vlans.from)
        come_from(c, vlans.from);
    if (vlans.to)
        go_to(c, vlans.to);
}

/* Tags come off, go on, and are changed; every checksum is right at its new place. */
static void test_vlans(void **state)
{
    static const enum frame_check checks[] = {FRAME_CHECK_RIGHT, FRAME_CHECK_PARTIAL, FRAME_CHECK_ZERO};
    struct world *w = world_of(state);
    struct world_case c;

    for (size_t i = 0; i < sizeof all_vlans / sizeof all_vlans[0]; i++)
        for (int k = 0; k < WORLD_WAYS * 3; k++) {
            begin_vlans(w, k / 3, all_vlans[i], &c);
            const bool is_v4 = addr_is_v4(&c.in.src.addr);
            c.in.check = c.out.check = checks[k % 3];
            if (c.in.check == FRAME_CHECK_ZERO && !is_v4)
                continue;
            if (c.in.check == FRAME_CHECK_PARTIAL)
                c.out.check = is_v4 ? FRAME_CHECK_ZERO : FRAME_CHECK_RIGHT;
            c.in.padding = c.out.padding = 3;
            world_check(&c, WORLD_FORWARDED, "over VLANs");
        }
}

/* A tag that the port does not have, or none where it has one. */
static void test_wrong_tags(void **state)
{
    static const uint16_t tags[] = {0, 6, 8, 0x107, 0xfff};
    struct world *w = world_of(state);
    struct world_case c;

    for (int k = 0; k < WORLD_WAYS; k++) {
        for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
            begin_vlans(w, k, (struct vlans){7, 0}, &c);
            c.in.tag = tags[i];
            world_check(&c, XDP_PASS_INTERFACE, "a wrong tag");
        }
        begin(w, k, &c);
        c.in.tag = 7;
        world_check(&c, XDP_PASS_INTERFACE, "a tag where there are none");
        if (!w->ways[k].is_out)
            continue;
        begin_vlans(w, k, (struct vlans){7, 0}, &c);
        c.place->ifindex = vlan_ifindex(w, 8);
        world_check(&c, XDP_PASS_INTERFACE, "the VLAN of another backend");
    }
}

/* Routes are those of the VLAN that the packet came in by, and so is the permission to forward. */
static void test_a_vlan_is_what_ip_knows(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    for (int k = 0; k < WORLD_WAYS; k++) {
        begin_vlans(w, k, (struct vlans){7, 0}, &c);
        world_set_forwarding("ikelb-t", false);
        world_check(&c, WORLD_FORWARDED, "forwarding is off on the trunk");
        world_set_forwarding("ikelb-t", true);
        world_set_forwarding("ikelb-t7", false);
        world_check(&c, XDP_PASS_FORWARDING, "forwarding is off on the VLAN");
        world_set_forwarding("ikelb-t7", true);
    }
}

/* The driver takes tags off, and a packet can be of any VLAN of the trunk: that of its backend, too. */
static void test_tags_that_were_taken(void **state)
{
    struct world *w = world_of(state);
    struct world_case c;

    for (int k = 0; k < WORLD_WAYS; k++) {
        for (int vlan = 7; vlan <= 8; vlan++) {
            begin_vlans(w, k, (struct vlans){vlan, 0}, &c);
            c.in.tag = 0;
            c.port.ifindex = 0;
            world_put_port(&c, c.ingress, 0);
            world_check(&c, WORLD_FORWARDED, "the driver has taken the tag");
            world_set_forwarding("ikelb-t", false);
            world_check(&c, XDP_PASS_FORWARDING, "then the trunk must forward");
            world_set_forwarding("ikelb-t", true);
            if (!c.way->is_out)
                continue;
            c.place->ifindex = w->ifindex[WORLD_SERVERS];
            world_check(&c, XDP_PASS_INTERFACE, "a backend elsewhere");
            c.place->ifindex = w->ifindex[WORLD_TRUNK]; /* which is no exit */
            world_check(&c, XDP_PASS_INTERFACE, "a backend nowhere");
        }
    }
}

/* What comes out at a device's peer. */
static int open_peer(const char *name)
{
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
    const struct sockaddr_ll at = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* How many frames have come out since the last call that are what is to leave; the kernel sends some of its
 * own. */
static int count_arrived(const struct world_case *c, int fd)
{
    static uint8_t bytes[FRAME_MAX];
    int count = 0;

    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        count += memcmp(bytes, c->out.dst_mac, 6) == 0 && memcmp(bytes + 6, c->out.src_mac, 6) == 0;
    return count;
}

/* Sends the packet in earnest; it comes out there, and nowhere else. */
static void check_arrival(struct world_case *c, const int peers[static 3], int expected)
{
    struct pollfd poll_fd = {.fd = peers[expected], .events = POLLIN};
    int count = 0;

    world_send(c);
    while (count == 0) {
        assert_int_equal(poll(&poll_fd, 1, 5000), 1);
        count = count_arrived(c, peers[expected]);
    }
    assert_int_equal(count, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(count_arrived(c, peers[i]), 0);
}

/* The program's word for where a packet goes is not in its bytes: here it goes there. */
static void test_where_it_goes_out(void **state)
{
    static const char *const names[] = {"ikelb-bp", "ikelb-cp", "ikelb-tp"};
    struct world *w = world_of(state);
    struct world_case c;
    int peers[3];

    for (int i = 0; i < 3; i++)
        peers[i] = open_peer(names[i]);
    for (int k = 0; k < WORLD_WAYS; k++) {
        begin(w, k, &c);
        check_arrival(&c, peers, c.way->is_out);
        begin_vlans(w, k, (struct vlans){0, 7}, &c);
        check_arrival(&c, peers, 2);
    }
    for (int i = 0; i < 3; i++)
        close(peers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_addressed_to_us),
        cmocka_unit_test(test_where_it_comes_in),
        cmocka_unit_test(test_no_way),
        cmocka_unit_test(test_routes_are_asked),
        cmocka_unit_test(test_mtu),
        cmocka_unit_test(test_forwarding_off),
        cmocka_unit_test(test_no_exit),
        cmocka_unit_test(test_vlans),
        cmocka_unit_test(test_wrong_tags),
        cmocka_unit_test(test_a_vlan_is_what_ip_knows),
        cmocka_unit_test(test_tags_that_were_taken),
        cmocka_unit_test(test_where_it_goes_out),
    };

    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
