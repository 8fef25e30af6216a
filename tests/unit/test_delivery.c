#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "lb/delivery.h"
#include "lb/delivery_find.h"
#include "lb/question.h"
#include "tests/unit/netns.h"

/* The rule and the route in a namespace of the test's own, and what the kernel tells of their changes. */

static const int families[] = {AF_INET, AF_INET6};

struct fixture {
    struct question question;
    struct mnl_socket *news;
    char *logged;
    size_t logged_len;
    struct log log;
};

static void begin(struct fixture *f)
{
    static const int groups[] = {RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_IPV4_ROUTE,
                                 RTNLGRP_IPV6_ROUTE};

    *f = (struct fixture){0};
    if (!netns_enter())
        skip();
    netns_ip("link set lo up");
    f->log = (struct log){.level = LOG_LEVEL_WARN, .out = open_memstream(&f->logged, &f->logged_len)};
    assert_non_null(f->log.out);
    assert_int_equal(question_open(&f->question, NETLINK_ROUTE), 0);
    f->news = question_socket(NETLINK_ROUTE, 0);
    assert_non_null(f->news);
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        int group = groups[i];
        assert_int_equal(mnl_socket_setsockopt(f->news, NETLINK_ADD_MEMBERSHIP, &group, sizeof group), 0);
    }
}

static void end(struct fixture *f)
{
    fclose(f->log.out);
    free(f->logged);
    mnl_socket_close(f->news);
    question_close(&f->question);
}

/* Has anything changed since the last call? */
static bool has_changed(const struct fixture *f)
{
    char news[32768];
    bool any = false;

    while (mnl_socket_recvfrom(f->news, news, sizeof news) > 0)
        any = true;
    return any;
}

/* So many there are of each, and as many as they should be. */
static void check_found(struct fixture *f, int family, int count)
{
    struct delivery_found rules, routes;

    assert_int_equal(delivery_find_rules(&f->question, family, &rules), 0);
    assert_int_equal(delivery_find_routes(&f->question, family, &routes), 0);
    assert_int_equal(rules.count, count);
    assert_int_equal(rules.same_count, count);
    assert_int_equal(routes.count, count);
    assert_int_equal(routes.same_count, count);
}

/* What is there already stays: while it is put back replies would be lost. */
static void test_what_is_there_stays(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        check_found(&f, families[i], 0);
        assert_int_equal(delivery_start(families[i], &f.log), 0);
        check_found(&f, families[i], 1);
        assert_true(has_changed(&f));
        assert_int_equal(delivery_start(families[i], &f.log), 0);
        assert_false(has_changed(&f));
        delivery_stop(families[i], &f.log);
        check_found(&f, families[i], 0);
        assert_true(has_changed(&f));
    }
    end(&f);
}

/* Ours, but not quite as we would have it, or more than once. */
static void test_leftovers_are_replaced(void **state)
{
    static const char *const leftovers[] = {
        "rule add priority 45 fwmark 0x45000000/0xff000000 iif lo lookup 4500 protocol 73",
        "route add local default dev lo table 4500 protocol 73 mtu 1400",
    };

    (void)state;
    for (size_t i = 0; i < sizeof leftovers / sizeof leftovers[0]; i++) {
        struct delivery_found rules, routes;
        struct fixture f;
        begin(&f);
        netns_ip(leftovers[i]);
        assert_int_equal(delivery_find_rules(&f.question, AF_INET, &rules), 0);
        assert_int_equal(delivery_find_routes(&f.question, AF_INET, &routes), 0);
        assert_int_equal(rules.count + routes.count, 1);
        assert_int_equal(rules.same_count + routes.same_count, 0);
        assert_int_equal(delivery_start(AF_INET, &f.log), 0);
        check_found(&f, AF_INET, 1);
        end(&f);
    }
}

/* What the kernel says stands in the log: "Permission denied" alone would lead nowhere. */
static void test_why_it_fails(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f);
    netns_write_file("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "1");
    assert_int_equal(delivery_start(AF_INET6, &f.log), -EACCES);
    fflush(f.log.out);
    assert_non_null(strstr(f.logged, "cannot set up the route for IPv6"));
    assert_non_null(strstr(f.logged, ": Permission denied: IPv6 is disabled on nexthop device"));
    check_found(&f, AF_INET6, 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_there_stays),
        cmocka_unit_test(test_leftovers_are_replaced),
        cmocka_unit_test(test_why_it_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
