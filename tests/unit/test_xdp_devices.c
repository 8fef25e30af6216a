#include "tests/unit/unit.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

#include "lb/question.h"
#include "lb/xdp/devices.h"
#include "tests/unit/netns.h"

/*
 * The mode that the program is attached in where it may choose: native, unless some device cannot take what
 * is sent to it natively, as a veth whose peer does not poll. In a namespace of the test's own; a veth NAME
 * has its peer NAMEp there, which has no address and so is not served.
 */

#define ENTRIES 64
#define TURNS   8 /* of the loop, for whatever follows from an event: then all is quiet */

/* The modes that the first device has been in, as the kernel has told it: a letter each. */
struct past {
    uint32_t ifindex;
    char modes[64];
    size_t count;
};

struct fixture {
    struct maps maps;
    struct links *links;
    struct devices *devices;
    struct mnl_socket *watch;
    struct log log;
    struct past past;
};

static void add_veth(const char *name, int number, bool is_polled)
{
    char lines[512], peer[IF_NAMESIZE + 1];

    snprintf(lines, sizeof lines,
             "link add %s type veth peer name %sp\n"
             "link set %s addrgenmode none\n"
             "link set %sp addrgenmode none\n"
             "link set %s up\n"
             "link set %sp up\n"
             "addr add 10.%d.0.254/24 dev %s\n",
             name, name, name, name, name, name, number, name);
    netns_ip_batch(lines);
    snprintf(peer, sizeof peer, "%sp", name);
    netns_set_gro(peer, is_polled);
}

static void turn(struct fixture *f)
{
    for (int i = 0; i < TURNS; i++)
        devices_refresh(f->devices, links_changes(f->links) & LINKS_DEVICES);
}

static void begin(struct fixture *f)
{
    *f = (struct fixture){.log = {.level = LOG_LEVEL_WARN, .out = stderr}};
    if (!netns_enter())
        skip();
    char trouble[MAPS_TROUBLE_MAX];
    assert_int_equal(maps_load(&f->maps, ENTRIES, trouble), 0);
    assert_int_equal(links_open(&f->links), 0);
    assert_int_equal(devices_create(&f->maps, f->links, CONFIG_FASTPATH_AUTO, &f->log, &f->devices), 0);
    f->watch = question_socket(NETLINK_ROUTE, RTMGRP_LINK);
    assert_non_null(f->watch);
    add_veth("ikelb-a", 1, true);
    f->past = (struct past){.ifindex = if_nametoindex("ikelb-a"), .modes = "-", .count = 1};
}

static void end(struct fixture *f)
{
    mnl_socket_close(f->watch);
    devices_destroy(f->devices, false);
    links_close(f->links);
    maps_unload(&f->maps);
}

static enum fastpath_mode mode_of(const struct fixture *f, const char *name)
{
    size_t count;
    const struct fastpath_interface *list = devices_list(f->devices, &count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return list[i].mode;
    return FASTPATH_OFF;
}

static int on_xdp_attr(const struct nlattr *attr, void *data)
{
    char *mode = data;

    if (mnl_attr_get_type(attr) == IFLA_XDP_ATTACHED)
        *mode = mnl_attr_get_u8(attr) == XDP_ATTACHED_DRV ? 'n' : mnl_attr_get_u8(attr) ? 'g' : '-';
    return MNL_CB_OK;
}

static int on_link_attr(const struct nlattr *attr, void *data)
{
    if (mnl_attr_get_type(attr) == IFLA_XDP)
        (void)mnl_attr_parse_nested(attr, on_xdp_attr, data);
    return MNL_CB_OK;
}

static int on_link(const struct nlmsghdr *nlh, void *data)
{
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
    struct past *past = data;
    char mode = '-';

    if (nlh->nlmsg_type != RTM_NEWLINK || (uint32_t)info->ifi_index != past->ifindex)
        return MNL_CB_OK;
    (void)mnl_attr_parse(nlh, sizeof *info, on_link_attr, &mode);
    if (past->modes[past->count - 1] == mode)
        return MNL_CB_OK;
    assert_true(past->count < sizeof past->modes - 1);
    past->modes[past->count++] = mode;
    return MNL_CB_OK;
}

/* Reads what has become of it, and begins the past anew with what it is now. */
static void read_past(struct fixture *f, char out[static sizeof f->past.modes])
{
    _Alignas(struct nlmsghdr) char news[32768];
    struct past *past = &f->past;
    ssize_t len;

    while ((len = mnl_socket_recvfrom(f->watch, news, sizeof news)) > 0)
        assert_true(mnl_cb_run(news, (size_t)len, 0, 0, on_link, past) >= 0);
    memcpy(out, past->modes + 1, sizeof past->modes - 1);
    *past = (struct past){.ifindex = past->ifindex, .modes = {past->modes[past->count - 1]}, .count = 1};
}

/* Which mode is chosen now, and by which ways the first device comes to it. */
static void check(struct fixture *f, enum fastpath_mode mode, const char *ways)
{
    char modes[sizeof f->past.modes];

    turn(f);
    read_past(f, modes);
    assert_string_equal(modes, ways);
    assert_int_equal(devices_mode(f->devices), mode);
    assert_int_equal(mode_of(f, "ikelb-a"), mode);
}

/* Two unsuitable devices come. A change of mode interrupts all that flows: the first one is reason enough. */
static void begin_with_two(struct fixture *f)
{
    begin(f);
    check(f, FASTPATH_NATIVE, "n");
    add_veth("ikelb-c", 2, false);
    check(f, FASTPATH_GENERIC, "-g");
    assert_int_equal(mode_of(f, "ikelb-c"), FASTPATH_GENERIC);
    add_veth("ikelb-d", 3, false);
    check(f, FASTPATH_GENERIC, "");
    assert_int_equal(mode_of(f, "ikelb-d"), FASTPATH_GENERIC);
}

static void test_unsuitable_devices_come_and_go(void **state)
{
    struct fixture f;

    (void)state;
    begin_with_two(&f);
    netns_ip("link del ikelb-d");
    check(&f, FASTPATH_GENERIC, "");
    netns_ip("link del ikelb-c");
    check(&f, FASTPATH_NATIVE, "-n");
    end(&f);
}

/* Only with the first one: whether the other would do nobody has tried yet. */
static void test_the_first_one_goes_first(void **state)
{
    struct fixture f;

    (void)state;
    begin_with_two(&f);
    netns_ip("link del ikelb-c");
    check(&f, FASTPATH_GENERIC, "-n-g");
    netns_ip("link del ikelb-d");
    check(&f, FASTPATH_NATIVE, "-n");
    end(&f);
}

/* What did not work is tried again when that very device has changed. */
static void test_an_unsuitable_device_becomes_suitable(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    check(&f, FASTPATH_NATIVE, "n");
    add_veth("ikelb-c", 2, false);
    add_veth("ikelb-d", 3, true);
    check(&f, FASTPATH_GENERIC, "-g");
    netns_set_gro("ikelb-dp", false);
    check(&f, FASTPATH_GENERIC, "");
    netns_set_gro("ikelb-dp", true);
    check(&f, FASTPATH_GENERIC, "");
    netns_set_gro("ikelb-cp", true);
    check(&f, FASTPATH_NATIVE, "-n");
    assert_int_equal(mode_of(&f, "ikelb-c"), FASTPATH_NATIVE);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsuitable_devices_come_and_go),
        cmocka_unit_test(test_the_first_one_goes_first),
        cmocka_unit_test(test_an_unsuitable_device_becomes_suitable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
