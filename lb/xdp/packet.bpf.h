/* A packet as the XDP program looks at it: reading it, and its Ethernet header anew. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define NATT_PORT     4500
#define FRAGMENT_MASK 0x3fff
#define MAPPED        bpf_htonl(0xffff)
#define VLAN_ID_MASK  0xfff
#define VLAN_LEN      4

/* A packet as it is being looked at; the pointers are into the packet. */
struct datagram {
    void *end;
    struct ethhdr *eth;
    bool is_ipv4;
    bool is_out;      /* the entry that was found says so */
    struct iphdr *ip; /* one of the two */
    struct ipv6hdr *ip6;
    struct udphdr *udp;
    __u64 src[2];
    __u64 dst[2];
    __u32 vlan;    /* the tag in the packet; 0: none */
    __u32 payload; /* bytes */
    __u32 now;     /* ticks */
};

struct vlan {
    __be16 tag;
    __be16 protocol;
};

/* The kernel gives the packet's place as integers. */
static __always_inline void *data_of(const struct xdp_md *ctx)
{
    return (void *)(long)ctx->data; /* NOLINT(performance-no-int-to-ptr) */
}

static __always_inline void *end_of(const struct xdp_md *ctx)
{
    return (void *)(long)ctx->data_end; /* NOLINT(performance-no-int-to-ptr) */
}

/* IPv4's header without options, of a datagram that is whole. */
static __always_inline bool read_ipv4(struct datagram *d, void *at)
{
    struct iphdr *ip = at;

    if ((void *)(ip + 1) > d->end || ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
        ip->frag_off & bpf_htons(FRAGMENT_MASK))
        return false;
    d->is_ipv4 = true;
    d->ip = ip;
    d->udp = (struct udphdr *)(ip + 1);
    d->src[0] = d->dst[0] = 0;
    d->src[1] = (__u64)ip->saddr << 32 | MAPPED;
    d->dst[1] = (__u64)ip->daddr << 32 | MAPPED;
    return (void *)(d->udp + 1) <= d->end && bpf_ntohs(ip->tot_len) == sizeof *ip + bpf_ntohs(d->udp->len);
}

/* On the wire that is nobody's address (RFC 4291 section 2.5.5.2); in an entry it stands for one of IPv4. */
static __always_inline bool is_mapped(const __u64 addr[2])
{
    return addr[0] == 0 && (__u32)addr[1] == MAPPED;
}

static __always_inline bool read_ipv6(struct datagram *d, void *at)
{
    struct ipv6hdr *ip6 = at;

    if ((void *)(ip6 + 1) > d->end || ip6->version != 6 || ip6->nexthdr != IPPROTO_UDP)
        return false;
    d->ip6 = ip6;
    d->udp = (struct udphdr *)(ip6 + 1);
    __builtin_memcpy(d->src, &ip6->saddr, sizeof d->src);
    __builtin_memcpy(d->dst, &ip6->daddr, sizeof d->dst);
    return (void *)(d->udp + 1) <= d->end && ip6->payload_len == d->udp->len && !is_mapped(d->src) &&
           !is_mapped(d->dst);
}

/* A frame that was cut off goes nowhere. What the first buffer does not hold may be in others. */
static __always_inline bool is_whole(struct xdp_md *ctx, const struct datagram *d)
{
    const __u64 len = (__u64)((void *)d->udp - (void *)d->eth) + bpf_ntohs(d->udp->len);

    return len <= (__u64)(d->end - (void *)d->eth) || len <= bpf_xdp_get_buff_len(ctx);
}

/* Is the frame in more than one buffer? */
static __always_inline bool is_in_parts(struct xdp_md *ctx, const struct datagram *d)
{
    return bpf_xdp_get_buff_len(ctx) > (__u64)(d->end - (void *)d->eth);
}

/* A UDP datagram of port 4500 whose lengths agree; at most one VLAN tag. */
static __always_inline bool read_datagram(struct xdp_md *ctx, struct datagram *d)
{
    void *at = data_of(ctx);
    struct ethhdr *eth = at;
    bool found = false;

    d->end = end_of(ctx);
    at = eth + 1;
    if (at > d->end)
        return false;
    d->eth = eth;
    __be16 protocol = eth->h_proto;
    if (protocol == bpf_htons(ETH_P_8021Q)) {
        struct vlan *vlan = at;
        at = vlan + 1;
        if (at > d->end)
            return false;
        d->vlan = bpf_ntohs(vlan->tag) & VLAN_ID_MASK;
        protocol = vlan->protocol;
        if (d->vlan == 0)
            return false;
    }
    if (protocol == bpf_htons(ETH_P_IP))
        found = read_ipv4(d, at);
    else if (protocol == bpf_htons(ETH_P_IPV6))
        found = read_ipv6(d, at);
    if (!found || (d->udp->dest != bpf_htons(NATT_PORT) && d->udp->source != bpf_htons(NATT_PORT)))
        return false;
    d->payload = bpf_ntohs(d->udp->len) - sizeof *d->udp;
    return d->payload >= 1 && d->payload <= 0xffff && is_whole(ctx, d);
}

/* Makes room for another Ethernet header, with the tag of the next hop's VLAN or none, and finds the datagram
 * again. False if there is no room, and nothing has changed. */
static __always_inline bool make_link(struct xdp_md *ctx, struct datagram *d, __u16 vlan)
{
    if (d->vlan == 0 && vlan && bpf_xdp_adjust_head(ctx, -VLAN_LEN))
        return false;
    if (d->vlan && vlan == 0 && bpf_xdp_adjust_head(ctx, VLAN_LEN))
        return false;
    d->end = end_of(ctx);
    d->eth = data_of(ctx);
    void *at = d->eth + 1;
    if (vlan)
        at += sizeof(struct vlan);
    if (d->is_ipv4) {
        d->ip = at;
        d->udp = (struct udphdr *)(d->ip + 1);
    } else {
        d->ip6 = at;
        d->udp = (struct udphdr *)(d->ip6 + 1);
    }
    return (void *)(d->udp + 1) <= d->end; /* it is there: it was before */
}

static __always_inline void write_link(const struct datagram *d, const struct bpf_fib_lookup *fib, __u16 vlan)
{
    const __be16 protocol = d->is_ipv4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);

    __builtin_memcpy(d->eth->h_dest, fib->dmac, ETH_ALEN);
    __builtin_memcpy(d->eth->h_source, fib->smac, ETH_ALEN);
    d->eth->h_proto = protocol;
    if (vlan) {
        struct vlan *tag = (struct vlan *)(d->eth + 1);
        d->eth->h_proto = bpf_htons(ETH_P_8021Q);
        tag->tag = bpf_htons(vlan);
        tag->protocol = protocol;
    }
}
