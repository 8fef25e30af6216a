#include "lb/xdp/hops.h"

#include <linux/rtnetlink.h>
#include <string.h>

/* The address of an attribute's `len` bytes; if it is none, *addr stays. */
static void read_addr(struct addr *addr, const void *bytes, size_t len)
{
    if (len == 4)
        *addr = addr_from_v4(bytes);
    else if (len == sizeof addr->bytes)
        memcpy(addr->bytes, bytes, sizeof addr->bytes);
}

static int on_route_attr(const struct nlattr *attr, void *data)
{
    struct hop *hop = data;
    const struct rtvia *via = mnl_attr_get_payload(attr);
    const size_t len = mnl_attr_get_payload_len(attr);

    switch (mnl_attr_get_type(attr)) {
    case RTA_OIF:
        hop->ifindex = mnl_attr_get_u32(attr);
        break;
    case RTA_GATEWAY:
        read_addr(&hop->addr, via, len);
        break;
    case RTA_VIA: /* a gateway of the other family */
        read_addr(&hop->addr, via->rtvia_addr, len - sizeof *via);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static int on_route(const struct nlmsghdr *nlh, void *data)
{
    if (nlh->nlmsg_type == RTM_NEWROUTE)
        (void)mnl_attr_parse(nlh, sizeof(struct rtmsg), on_route_attr, data);
    return MNL_CB_OK;
}

static void put_addr(struct nlmsghdr *nlh, uint16_t type, const struct addr *addr)
{
    if (addr_is_v4(addr))
        mnl_attr_put(nlh, type, 4, addr_v4_bytes(addr));
    else
        mnl_attr_put(nlh, type, sizeof addr->bytes, addr->bytes);
}

int hop_towards(struct question *question, const struct addr *dst, struct hop *out)
{
    struct nlmsghdr *nlh = question_begin(question, RTM_GETROUTE, sizeof(struct rtmsg));
    struct rtmsg *route = mnl_nlmsg_get_payload(nlh);

    route->rtm_family = (uint8_t)addr_family(dst);
    route->rtm_dst_len = addr_is_v4(dst) ? 32 : 128;
    put_addr(nlh, RTA_DST, dst);
    *out = (struct hop){.addr = *dst};
    const int err = question_ask(question, nlh, on_route, out);
    if (err)
        *out = (struct hop){0};
    return err;
}

void hop_use(struct question *question, const struct hop *hop)
{
    struct nlmsghdr *nlh = question_begin(question, RTM_NEWNEIGH, sizeof(struct ndmsg));
    struct ndmsg *neighbour = mnl_nlmsg_get_payload(nlh);

    neighbour->ndm_family = (uint8_t)addr_family(&hop->addr);
    neighbour->ndm_ifindex = (int)hop->ifindex;
    neighbour->ndm_flags = NTF_USE;
    put_addr(nlh, NDA_DST, &hop->addr);
    (void)question_ask(question, nlh, NULL, NULL);
}
