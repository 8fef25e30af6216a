#include "lb/xdp/links.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "lb/question.h"

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

    links->news = question_socket(NETLINK_ROUTE, groups);
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

static int on_xdp_attr(const struct nlattr *attr, void *data)
{
    struct link *link = data;

    if (mnl_attr_get_type(attr) == IFLA_XDP_DRV_PROG_ID)
        link->native_id = mnl_attr_get_u32(attr);
    else if (mnl_attr_get_type(attr) == IFLA_XDP_SKB_PROG_ID)
        link->generic_id = mnl_attr_get_u32(attr);
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
    case IFLA_XDP:
        (void)mnl_attr_parse_nested(attr, on_xdp_attr, details->link);
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

const struct link *link_find(const struct link *links, size_t count, uint32_t ifindex)
{
    for (size_t i = 0; i < count; i++)
        if (links[i].ifindex == ifindex)
            return &links[i];
    return NULL;
}

static struct link *find(const struct listing *listing, uint32_t ifindex)
{
    const struct link *found = link_find(listing->links, listing->count, ifindex);

    return found ? &listing->links[found - listing->links] : NULL;
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
    struct question *q = &links->question;
    struct listing listing = {.links = out};
    struct nlmsghdr *nlh = question_begin(q, RTM_GETLINK, sizeof(struct ifinfomsg));

    int err = question_list(q, nlh, on_link, &listing, sizeof listing);
    if (err)
        return err;
    nlh = question_begin(q, RTM_GETADDR, sizeof(struct ifaddrmsg));
    err = question_list(q, nlh, on_address, &listing, sizeof listing);
    if (err)
        return err;
    for (size_t i = 0; i < listing.count; i++) {
        struct link *lower = out[i].lower ? find(&listing, out[i].lower) : NULL;
        if (lower)
            lower->has_vlans = true;
    }
    return (int)listing.count;
}
