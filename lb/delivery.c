#include "lb/delivery.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>

#include "base/err.h"
#include "lb/delivery_find.h"
#include "lb/kernel.h"
#include "lb/question.h"

/* The kernel removes the first rule that matches every attribute given, FRA_PROTOCOL among them: only ever
 * ours. */
static int change_rule(struct question *question, int family, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *nlh = question_begin(question, type, sizeof(struct fib_rule_hdr));
    struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);

    nlh->nlmsg_flags = flags;
    rule->family = (uint8_t)family;
    rule->table = RT_TABLE_UNSPEC;
    rule->action = FR_ACT_TO_TBL;
    mnl_attr_put_u32(nlh, FRA_PRIORITY, KERNEL_RULE_PRIORITY);
    mnl_attr_put_u32(nlh, FRA_FWMARK, KERNEL_MARK);
    mnl_attr_put_u32(nlh, FRA_FWMASK, KERNEL_MARK_MASK);
    mnl_attr_put_u32(nlh, FRA_TABLE, KERNEL_ROUTE_TABLE);
    mnl_attr_put_u8(nlh, FRA_PROTOCOL, KERNEL_PROTOCOL);
    return question_ask(question, nlh, NULL, NULL);
}

static int change_route(struct question *question, int family, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *nlh = question_begin(question, type, sizeof(struct rtmsg));
    struct rtmsg *route = mnl_nlmsg_get_payload(nlh);

    nlh->nlmsg_flags = flags;
    route->rtm_family = (uint8_t)family;
    route->rtm_table = RT_TABLE_UNSPEC;
    route->rtm_protocol = KERNEL_PROTOCOL;
    route->rtm_scope = RT_SCOPE_HOST;
    route->rtm_type = RTN_LOCAL;
    mnl_attr_put_u32(nlh, RTA_TABLE, KERNEL_ROUTE_TABLE);
    mnl_attr_put_u32(nlh, RTA_OIF, if_nametoindex("lo"));
    return question_ask(question, nlh, NULL, NULL);
}

/* A killed run may have left its own; several, if it ever went wrong. */
static void remove_rules(struct question *question, int family)
{
    while (change_rule(question, family, RTM_DELRULE, 0) == 0)
        ;
}

static void remove_both(struct question *question, int family)
{
    remove_rules(question, family);
    (void)change_route(question, family, RTM_DELROUTE, 0);
}

/*
 * What is there already, once and just as it should be, stays: while it is taken away and put back replies
 * would be lost. Anything else of ours is replaced.
 */
static bool is_in_place(struct question *question, int family,
                        int (*find)(struct question *, int, struct delivery_found *))
{
    struct delivery_found found;

    return find(question, family, &found) == 0 && found.count == 1 && found.same_count == 1;
}

static int start_route(struct question *question, int family)
{
    if (is_in_place(question, family, delivery_find_routes))
        return 0;
    (void)change_route(question, family, RTM_DELROUTE, 0);
    return change_route(question, family, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
}

static int start_rule(struct question *question, int family)
{
    if (is_in_place(question, family, delivery_find_rules))
        return 0;
    remove_rules(question, family);
    return change_rule(question, family, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
}

int delivery_start(int family, const struct log *log)
{
    const char *what = "netlink socket";
    struct question question;
    int err = question_open(&question, NETLINK_ROUTE);

    if (!err) {
        what = "route";
        err = start_route(&question, family);
    }
    if (!err) {
        what = "rule";
        err = start_rule(&question, family);
    }
    if (err) {
        log_error(log, "cannot set up the %s for IPv%d (fwmark %#x/%#x, priority %d, table %d): %s%s%s%s",
                  what, family == AF_INET ? 4 : 6, KERNEL_MARK, KERNEL_MARK_MASK, KERNEL_RULE_PRIORITY,
                  KERNEL_ROUTE_TABLE, err_text(err), question.trouble[0] ? ": " : "", question.trouble,
                  err == -EEXIST ? " (another program has put the same there: remove it)" : "");
        remove_both(&question, family);
    }
    question_close(&question);
    return err;
}

void delivery_stop(int family, const struct log *log)
{
    struct question question;
    const int err = question_open(&question, NETLINK_ROUTE);

    if (err) {
        log_warn(log, "cannot remove the rule and the route: %s", err_text(err));
        return;
    }
    remove_both(&question, family);
    question_close(&question);
}
