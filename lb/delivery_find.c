#include "lb/delivery_find.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>

#include "lb/kernel.h"
#include "lb/question.h"

/* The priority that the kernel gives an IPv6 route without one (IP6_RT_PRIO_USER). */
#define PRIORITY_V6 1024

static uint32_t value_of(const struct nlattr *attr)
{
    switch (mnl_attr_get_payload_len(attr)) {
    case sizeof(uint8_t):
        return mnl_attr_get_u8(attr);
    case sizeof(uint32_t):
        return mnl_attr_get_u32(attr);
    default:
        return 0;
    }
}

/* The attributes by which our rules are told from others; FOREIGN stands for all that ours do not have. */
enum rule_part {
    PART_PRIORITY = 1,
    PART_MARK = 2,
    PART_MASK = 4,
    PART_TABLE = 8,
    PART_PROTOCOL = 16,
    PART_ALL = 31,
    PART_FOREIGN = 32,
};

static int part_of(const struct nlattr *attr)
{
    const uint32_t value = value_of(attr);

    switch (mnl_attr_get_type(attr)) {
    case FRA_PRIORITY:
        return value == KERNEL_RULE_PRIORITY ? PART_PRIORITY : 0;
    case FRA_FWMARK:
        return value == KERNEL_MARK ? PART_MARK : 0;
    case FRA_FWMASK:
        return value == KERNEL_MARK_MASK ? PART_MASK : 0;
    case FRA_TABLE:
        return value == KERNEL_ROUTE_TABLE ? PART_TABLE : 0;
    case FRA_PROTOCOL:
        return value == KERNEL_PROTOCOL ? PART_PROTOCOL : 0;
    case FRA_SUPPRESS_PREFIXLEN:
    case FRA_SUPPRESS_IFGROUP: /* -1: suppresses nothing */
        return value == UINT32_MAX ? 0 : PART_FOREIGN;
    default:
        return PART_FOREIGN;
    }
}

static int on_rule_attr(const struct nlattr *attr, void *data)
{
    int *parts = data;

    *parts |= part_of(attr);
    return MNL_CB_OK;
}

static int on_rule(const struct nlmsghdr *nlh, void *data)
{
    const struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);
    struct delivery_found *found = data;
    int parts = 0;

    if (mnl_nlmsg_get_payload_len(nlh) < sizeof *rule)
        return MNL_CB_OK;
    (void)mnl_attr_parse(nlh, sizeof *rule, on_rule_attr, &parts);
    if ((parts & PART_ALL) != PART_ALL || rule->action != FR_ACT_TO_TBL)
        return MNL_CB_OK;
    found->count++;
    if (parts == PART_ALL && !rule->dst_len && !rule->src_len && !rule->tos && !rule->flags)
        found->same_count++;
    return MNL_CB_OK;
}

int delivery_find_rules(struct question *question, int family, struct delivery_found *out)
{
    struct nlmsghdr *nlh = question_begin(question, RTM_GETRULE, sizeof(struct fib_rule_hdr));
    struct fib_rule_hdr *rule = mnl_nlmsg_get_payload(nlh);

    rule->family = (uint8_t)family;
    *out = (struct delivery_found){0};
    return question_list(question, nlh, on_rule, out, sizeof *out);
}

/* The attributes of a route. */
struct route {
    uint32_t table;
    uint32_t device;
    uint32_t priority;
    bool is_foreign; /* it has some that ours do not have */
};

static int on_route_attr(const struct nlattr *attr, void *data)
{
    struct route *route = data;

    switch (mnl_attr_get_type(attr)) {
    case RTA_TABLE:
        route->table = value_of(attr);
        break;
    case RTA_OIF:
        route->device = value_of(attr);
        break;
    case RTA_PRIORITY:
        route->priority = value_of(attr);
        break;
    case RTA_CACHEINFO: /* every IPv6 route has these two */
    case RTA_PREF:
        break;
    default:
        route->is_foreign = true;
    }
    return MNL_CB_OK;
}

static int on_route(const struct nlmsghdr *nlh, void *data)
{
    const struct rtmsg *header = mnl_nlmsg_get_payload(nlh);
    struct delivery_found *found = data;
    struct route route = {0};

    if (mnl_nlmsg_get_payload_len(nlh) < sizeof *header)
        return MNL_CB_OK;
    (void)mnl_attr_parse(nlh, sizeof *header, on_route_attr, &route);
    if (route.table != KERNEL_ROUTE_TABLE || route.device != if_nametoindex("lo") ||
        header->rtm_protocol != KERNEL_PROTOCOL || header->rtm_type != RTN_LOCAL || header->rtm_dst_len)
        return MNL_CB_OK;
    found->count++;
    if (!route.is_foreign && !header->rtm_src_len && !header->rtm_tos && !(header->rtm_flags & RTNH_F_DEAD) &&
        route.priority == (header->rtm_family == AF_INET6 ? PRIORITY_V6 : 0))
        found->same_count++;
    return MNL_CB_OK;
}

/* The kernel looks into our table only, and not through a whole internet's routes, if it checks strictly. */
int delivery_find_routes(struct question *question, int family, struct delivery_found *out)
{
    struct nlmsghdr *nlh = question_begin(question, RTM_GETROUTE, sizeof(struct rtmsg));
    struct rtmsg *route = mnl_nlmsg_get_payload(nlh);

    route->rtm_family = (uint8_t)family;
    mnl_attr_put_u32(nlh, RTA_TABLE, KERNEL_ROUTE_TABLE);
    *out = (struct delivery_found){0};
    const int err = question_list(question, nlh, on_route, out, sizeof *out);
    return err == -ENOENT ? 0 : err; /* there is no such table */
}
