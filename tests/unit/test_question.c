#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "lb/question.h"
#include "tests/unit/netns.h"

/* Questions to the kernel about the loopback's addresses, whose list takes several parts. */

#define ADDRESSES 1000

struct listing {
    uint32_t count;
    uint32_t stop_at;   /* gives up at this entry; 0: never */
    uint32_t change_at; /* the list changes at this one ... */
    uint32_t *changes;  /* ... so many times more; NULL: never */
};

static int set_up_group(void **state)
{
    static bool may_test = true;
    FILE *ip;

    *state = NULL;
    if (!netns_enter())
        return 0;
    netns_ip("link set lo up");
    ip = popen("ip -batch -", "w");
    assert_non_null(ip);
    for (int i = 0; i < ADDRESSES; i++)
        fprintf(ip, "addr add 10.9.%d.%d/32 dev lo\n", i / 200, i % 200 + 1);
    assert_int_equal(pclose(ip), 0);
    *state = &may_test;
    return 0;
}

static void begin(void **state, struct question *q)
{
    if (!*state)
        skip();
    assert_int_equal(question_open(q, NETLINK_ROUTE), 0);
}

static int on_address(const struct nlmsghdr *nlh, void *data)
{
    struct listing *listing = data;

    assert_int_equal(nlh->nlmsg_type, RTM_NEWADDR);
    listing->count++;
    if (listing->count == listing->change_at && *listing->changes > 0) {
        --*listing->changes;
        if (!netns_try_ip("addr add 10.9.255.1/32 dev lo"))
            netns_ip("addr del 10.9.255.1/32 dev lo");
    }
    if (listing->count != listing->stop_at)
        return MNL_CB_OK;
    errno = ECANCELED;
    return MNL_CB_ERROR;
}

static int list(struct question *q, struct listing *listing)
{
    struct nlmsghdr *nlh = question_begin(q, RTM_GETADDR, sizeof(struct ifaddrmsg));
    struct ifaddrmsg *about = mnl_nlmsg_get_payload(nlh);

    about->ifa_family = AF_INET;
    return question_list(q, nlh, on_address, listing, sizeof *listing);
}

static int on_link(const struct nlmsghdr *nlh, void *data)
{
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
    int *ifindex = data;

    assert_int_equal(nlh->nlmsg_type, RTM_NEWLINK);
    *ifindex = info->ifi_index;
    return MNL_CB_OK;
}

/* About the device with that index, as its answer says it. */
static int ask_link(struct question *q, int ifindex, int *answer)
{
    struct nlmsghdr *nlh = question_begin(q, RTM_GETLINK, sizeof(struct ifinfomsg));
    struct ifinfomsg *about = mnl_nlmsg_get_payload(nlh);

    about->ifi_index = ifindex;
    *answer = 0;
    return question_ask(q, nlh, on_link, answer);
}

/* The next questions get their own answers. */
static void check_next(struct question *q)
{
    struct listing all = {0};
    int ifindex;

    assert_int_equal(ask_link(q, 1, &ifindex), 0);
    assert_int_equal(ifindex, 1);
    assert_int_equal(list(q, &all), 0);
    assert_in_range(all.count, ADDRESSES, ADDRESSES + 2);
    assert_int_equal(ask_link(q, 1, &ifindex), 0);
    assert_int_equal(ifindex, 1);
}

static void test_answers(void **state)
{
    struct question q;

    begin(state, &q);
    check_next(&q);
    check_next(&q);
    question_close(&q);
}

/* Whoever reads the list gives up, in whichever part of it: the rest is of no interest any more. */
static void test_after_a_list_half_read(void **state)
{
    static const uint32_t stops[] = {1, 2, ADDRESSES / 2, ADDRESSES};
    struct question q;

    begin(state, &q);
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        struct listing part = {.stop_at = stops[i]};
        assert_int_equal(list(&q, &part), -ECANCELED);
        assert_int_equal(part.count, stops[i]);
        check_next(&q);
    }
    question_close(&q);
}

/* Two at once: of the first one more would come while the second is asked. */
static void test_a_list_after_half_a_list(void **state)
{
    struct listing part = {.stop_at = 1}, all = {0};
    struct question q;

    begin(state, &q);
    assert_int_equal(list(&q, &part), -ECANCELED);
    assert_int_equal(list(&q, &all), 0);
    assert_in_range(all.count, ADDRESSES, ADDRESSES + 2);
    question_close(&q);
}

/* The list changes while it is read, which the kernel says in the parts that follow: it is read anew. */
static void test_a_list_that_changed(void **state)
{
    static const uint32_t times[] = {1, 2, 3};
    struct question q;

    begin(state, &q);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        uint32_t changes = times[i];
        struct listing all = {.change_at = 1, .changes = &changes};
        assert_int_equal(list(&q, &all), 0);
        assert_int_equal(changes, 0);
        assert_in_range(all.count, ADDRESSES + 1, ADDRESSES + 2); /* the loopback's own is one, too */
        check_next(&q);
    }
    question_close(&q);
}

static void test_after_a_list_that_goes_on_changing(void **state)
{
    uint32_t changes = 100;
    struct listing part = {.change_at = 1, .changes = &changes};
    struct question q;

    begin(state, &q);
    assert_int_equal(list(&q, &part), -EINTR);
    assert_in_range(part.count, 1, ADDRESSES - 1);
    assert_in_range(changes, 90, 98); /* it has been tried again, and given up */
    check_next(&q);
    question_close(&q);
}

/* The kernel says at its end that there is no list. */
static void test_a_list_of_nothing(void **state)
{
    struct listing none = {0};
    struct question q;

    begin(state, &q);
    struct nlmsghdr *nlh = question_begin(&q, RTM_GETROUTE, sizeof(struct rtmsg));
    struct rtmsg *route = mnl_nlmsg_get_payload(nlh);
    route->rtm_family = AF_INET;
    mnl_attr_put_u32(nlh, RTA_TABLE, 4711);
    assert_int_equal(question_list(&q, nlh, on_address, &none, sizeof none), -ENOENT);
    assert_non_null(strstr(q.trouble, "table does not exist"));
    check_next(&q);
    assert_string_equal(q.trouble, "");
    question_close(&q);
}

static void test_the_kernels_words(void **state)
{
    struct question q;

    begin(state, &q);
    struct nlmsghdr *nlh = question_begin(&q, RTM_NEWROUTE, sizeof(struct rtmsg));
    struct rtmsg *route = mnl_nlmsg_get_payload(nlh);
    route->rtm_family = AF_INET;
    route->rtm_dst_len = 77;
    assert_int_equal(question_ask(&q, nlh, NULL, NULL), -EINVAL);
    assert_string_equal(q.trouble, "Invalid prefix length");
    check_next(&q);
    question_close(&q);
}

static void test_too_large_a_list(void **state)
{
    char data[QUESTION_DATA_MAX + 1] = {0};
    struct question q;

    begin(state, &q);
    struct nlmsghdr *nlh = question_begin(&q, RTM_GETADDR, sizeof(struct ifaddrmsg));
    assert_int_equal(question_list(&q, nlh, on_address, data, sizeof data), ERR_RANGE);
    question_close(&q);
}

static void test_after_an_error(void **state)
{
    struct question q;
    int ifindex;

    begin(state, &q);
    const struct mnl_socket *socket = q.socket;
    assert_int_equal(ask_link(&q, 12345, &ifindex), -ENODEV);
    assert_int_equal(ifindex, 0);
    assert_ptr_equal(q.socket, socket); /* a refusal is a whole answer: hops are refused by the dozen */
    check_next(&q);
    question_close(&q);
    question_close(&q); /* nothing is open any more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_after_a_list_half_read),
        cmocka_unit_test(test_a_list_after_half_a_list),
        cmocka_unit_test(test_a_list_that_changed),
        cmocka_unit_test(test_after_a_list_that_goes_on_changing),
        cmocka_unit_test(test_a_list_of_nothing),
        cmocka_unit_test(test_the_kernels_words),
        cmocka_unit_test(test_too_large_a_list),
        cmocka_unit_test(test_after_an_error),
    };

    return cmocka_run_group_tests(tests, set_up_group, NULL);
}
