#include "lb/xdp/links.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "lb/xdp/question.h"

#define NEWS_BYTES 32768

/* So many parts of the news are read at once; where routes come and go by the thousand the rest waits. */
#define READS_MAX 16

struct links {
    struct question question;
    struct mnl_socket *news; /* not blocking */
    bool begun;
};

struct listing {
    struct link *links;
    size_t count;
};

static int open_news(struct links *links)
{
    static const int rules[] = {RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE};
    const unsigned groups =
        RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;

    links->news = question_socket(NETLINK_ROUTE, SOCK_NONBLOCK, groups);
    if (!links->news)
        return -errno;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        int group = rules[i];
        if (mnl_socket_setsockopt(links->news, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
            return -errno;
    }
    return 0;
}

int links_open(struct links **out)
{
    struct links *links = calloc(1, sizeof *links);

    if (!links)
        return -ENOMEM;
    int err = question_open(&links->question, NETLINK_ROUTE);
    if (!err)
        err = open_news(links);
    if (err) {
        links_close(links);
        return err;
    }
    *out = links;
    return 0;
}

void links_close(struct links *links)
{
    if (!links)
        return;
    question_close(&links->question);
    if (links->news)
        mnl_socket_close(links->news);
    free(links);
}

static int on_news(const struct nlmsghdr *nlh, void *data)
{
    unsigned *changes = data;

    switch (nlh->nlmsg_type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        *changes |= LINKS_ROUTES;
        break;
    case RTM_NEWRULE:
    case RTM_DELRULE:
        *changes |= LINKS_RULES;
        break;
    default:
        *changes |= LINKS_DEVICES;
    }
    return MNL_CB_OK;
}

unsigned links_changes(struct links *links)
{
    _Alignas(struct nlmsghdr) char news[NEWS_BYTES];
    unsigned changes = links->begun ? 0 : LINKS_ALL;

    links->begun = true;
    for (int i = 0; i < READS_MAX; i++) {
        const ssize_t len = mnl_socket_recvfrom(links->news, news, sizeof news);
        if (len > 0)
            (void)mnl_cb_run(news, (size_t)len, 0, 0, on_news, &changes);
        else if (errno == ENOBUFS) /* a full queue: some are lost */
            changes |= LINKS_ALL;
        else if (errno != EINTR)
            break;
    }
    return changes;
}

/* What a link's attributes say beside struct link. */
struct details {
    struct link *link;
    uint32_t on; /* IFLA_LINK */
    bool is_vlan;
    bool is_elsewhere; /* `on` is an index of another namespace */
};

static int on_vlan_attr(const struct nlattr *attr, void *data)
{
    struct details *details = data;

    if (mnl_attr_get_type(attr) == IFLA_VLAN_ID)
        details->link->vlan = mnl_attr_get_u16(attr);
    return MNL_CB_OK;
}

static int on_info_attr(const struct nlattr *attr, void *data)
{
    struct details *details = data;

    switch (mnl_attr_get_type(attr)) {
    case IFLA_INFO_KIND:
        details->is_vlan = strcmp(mnl_attr_get_str(attr), "vlan") == 0;
        break;
    case IFLA_INFO_DATA: /* after the kind */
        if (details->is_vlan)
            (void)mnl_attr_parse_nested(attr, on_vlan_attr, details);
        break;
    case IFLA_INFO_SLAVE_KIND: /* a VRF's devices have addresses of their own */
        details->link->is_port = strcmp(mnl_attr_get_str(attr), "vrf") != 0;
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static int on_link_attr(const struct nlattr *attr, void *data)
{
    struct details *details = data;

    switch (mnl_attr_get_type(attr)) {
    case IFLA_IFNAME:
        strncpy(details->link->name, mnl_attr_get_str(attr), sizeof details->link->name - 1);
        break;
    case IFLA_ADDRESS:
        if (mnl_attr_get_payload_len(attr) == sizeof details->link->mac)
            memcpy(details->link->mac, mnl_attr_get_payload(attr), sizeof details->link->mac);
        else
            details->link->is_ethernet = false;
        break;
    case IFLA_LINK:
        details->on = mnl_attr_get_u32(attr);
        break;
    case IFLA_LINK_NETNSID:
        details->is_elsewhere = true;
        break;
    case IFLA_LINKINFO:
        (void)mnl_attr_parse_nested(attr, on_info_attr, details);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static int on_link(const struct nlmsghdr *nlh, void *data)
{
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
    struct listing *listing = data;

    if (nlh->nlmsg_type != RTM_NEWLINK || listing->count == LINKS_MAX)
        return MNL_CB_OK;
    struct link *link = &listing->links[listing->count++];
    struct details details = {.link = link};
    *link = (struct link){
        .ifindex = (uint32_t)info->ifi_index,
        .is_ethernet = info->ifi_type == ARPHRD_ETHER,
        .is_up = (info->ifi_flags & IFF_UP) != 0,
    };
    (void)mnl_attr_parse(nlh, sizeof *info, on_link_attr, &details);
    if (details.is_vlan && !details.is_elsewhere)
        link->lower = details.on;
    return MNL_CB_OK;
}

static struct link *find(const struct listing *listing, uint32_t ifindex)
{
    for (size_t i = 0; i < listing->count; i++)
        if (listing->links[i].ifindex == ifindex)
            return &listing->links[i];
    return NULL;
}

static int on_address(const struct nlmsghdr *nlh, void *data)
{
    const struct ifaddrmsg *info = mnl_nlmsg_get_payload(nlh);
    struct link *link = find(data, info->ifa_index);

    if (link && (info->ifa_family == AF_INET || info->ifa_family == AF_INET6))
        link->has_address = true;
    return MNL_CB_OK;
}

int links_list(struct links *links, struct link *out)
{
    _Alignas(struct nlmsghdr) char buffer[256];
    struct listing listing = {.links = out};
    struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);

    nlh->nlmsg_type = RTM_GETLINK;
    (void)mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
    int err = question_ask(&links->question, nlh, NLM_F_DUMP, on_link, &listing);
    if (err)
        return err;
    nlh = mnl_nlmsg_put_header(buffer);
    nlh->nlmsg_type = RTM_GETADDR;
    (void)mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifaddrmsg));
    err = question_ask(&links->question, nlh, NLM_F_DUMP, on_address, &listing);
    if (err)
        return err;
    for (size_t i = 0; i < listing.count; i++) {
        struct link *lower = out[i].lower ? find(&listing, out[i].lower) : NULL;
        if (lower)
            lower->has_vlans = true;
    }
    return (int)listing.count;
}

static int on_route_attr(const struct nlattr *attr, void *data)
{
    uint32_t *ifindex = data;

    if (mnl_attr_get_type(attr) == RTA_OIF)
        *ifindex = mnl_attr_get_u32(attr);
    return MNL_CB_OK;
}

static int on_route(const struct nlmsghdr *nlh, void *data)
{
    if (nlh->nlmsg_type == RTM_NEWROUTE)
        (void)mnl_attr_parse(nlh, sizeof(struct rtmsg), on_route_attr, data);
    return MNL_CB_OK;
}

uint32_t links_towards(struct links *links, const struct addr *dst)
{
    _Alignas(struct nlmsghdr) char buffer[256];
    struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
    uint32_t ifindex = 0;

    nlh->nlmsg_type = RTM_GETROUTE;
    struct rtmsg *route = mnl_nlmsg_put_extra_header(nlh, sizeof *route);
    route->rtm_family = (uint8_t)addr_family(dst);
    if (addr_is_v4(dst)) {
        route->rtm_dst_len = 32;
        mnl_attr_put(nlh, RTA_DST, 4, addr_v4_bytes(dst));
    } else {
        route->rtm_dst_len = 128;
        mnl_attr_put(nlh, RTA_DST, sizeof dst->bytes, dst->bytes);
    }
    return question_ask(&links->question, nlh, NLM_F_ACK, on_route, &ifindex) == 0 ? ifindex : 0;
}

/* What a rule asks of a packet, as far as it matters here. */
struct rule {
    uint32_t table;
    uint32_t mark;
    uint32_t suppressed; /* prefix lengths up to this do not count; UINT32_MAX: none */
    bool is_l3mdev;      /* the table of the device's VRF */
    bool is_special;     /* it asks for something else */
};

static int on_rule_attr(const struct nlattr *attr, void *data)
{
    struct rule *rule = data;

    switch (mnl_attr_get_type(attr)) {
    case FRA_TABLE:
        rule->table = mnl_attr_get_u32(attr);
        break;
    case FRA_FWMARK:
        rule->mark = mnl_attr_get_u32(attr);
        break;
    case FRA_SUPPRESS_PREFIXLEN:
        rule->suppressed = mnl_attr_get_u32(attr);
        break;
    case FRA_L3MDEV:
        rule->is_l3mdev = mnl_attr_get_u8(attr) != 0;
        break;
    case FRA_FWMASK:
    case FRA_PRIORITY:
    case FRA_PROTOCOL:
        break;
    default:
        rule->is_special = true;
    }
    return MNL_CB_OK;
}

/* What the rules that have been looked at, in their order, do. */
struct rules {
    bool any_matters;
    bool any_main; /* the main table is among them */
};

/* Can the rule lead a packet without a mark anywhere else than no rule would? */
static bool matters(const struct rules *before, const struct fib_rule_hdr *header, const struct rule *rule)
{
    const bool is_usual = rule->table == RT_TABLE_LOCAL || rule->table == RT_TABLE_MAIN ||
                          (rule->table == RT_TABLE_DEFAULT && before->any_main);
    const bool is_inverted = header->flags & FIB_RULE_INVERT;

    if (rule->mark && !is_inverted)
        return false;
    if (header->src_len || header->dst_len || header->tos || is_inverted || rule->is_special)
        return true;
    return header->action != FR_ACT_TO_TBL || rule->suppressed != UINT32_MAX ||
           !(is_usual || rule->is_l3mdev);
}

static int on_rule(const struct nlmsghdr *nlh, void *data)
{
    const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(nlh);
    struct rule rule = {.table = header->table, .suppressed = UINT32_MAX};
    struct rules *rules = data;

    (void)mnl_attr_parse(nlh, sizeof *header, on_rule_attr, &rule);
    if (matters(rules, header, &rule))
        rules->any_matters = true;
    else if (rule.table == RT_TABLE_MAIN && !rule.mark)
        rules->any_main = true;
    return MNL_CB_OK;
}

int links_are_direct(struct links *links, int family)
{
    _Alignas(struct nlmsghdr) char buffer[256];
    struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
    struct rules rules = {0};

    nlh->nlmsg_type = RTM_GETRULE;
    struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header(nlh, sizeof *header);
    header->family = (uint8_t)family;
    const int err = question_ask(&links->question, nlh, NLM_F_DUMP, on_rule, &rules);
    return err ? err : rules.any_main && !rules.any_matters;
}
