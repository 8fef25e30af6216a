/*
 * The fast path: forwards ESP in UDP, and its keepalives, of flows that the slow path has entered. It holds
 * no policy. Everything else, and everything that is not quite as usual, passes up to the slow path, which
 * does right by it.
 *
 * Addresses are rewritten, the TTL is decremented, checksums follow (RFC 1624), the kernel's routes say where
 * to. Identification, DF, TOS and flow label stay.
 */
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

#include "lb/xdp/layout.h"

#define AF_INET       2
#define AF_INET6      10
#define NATT_PORT     4500
#define ESP_LEN_MIN   8    /* as the slow path has it: ike/classify.h */
#define KEEPALIVE     0xff /* RFC 3948 section 2.3 */
#define FRAGMENT_MASK 0x3fff
#define MAPPED        bpf_htonl(0xffff)
#define CHUNK         64 /* bytes of a checksum at a time */
#define CHUNKS_MAX    144
#define SUM_MASK      0xffffffffffff
#define OFFSET_MAX    128 /* of the UDP header in a frame */
#define VLAN_ID_MASK  0xfff
#define VLAN_LEN      4
#define AHEAD_MAX     1000 /* ticks */

const volatile __u32 slots = 1;
const volatile __u64 seed = 0;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct xdp_entry);
} ikelb_entries SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, XDP_RUNS *XDP_PLACES_A_RUN);
    __type(key, __u32);
    __type(value, struct xdp_place);
} ikelb_places SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, XDP_RUNS *XDP_SOURCES_A_RUN);
    __type(key, __u32);
    __type(value, struct xdp_source);
} ikelb_sources SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct xdp_about);
} ikelb_about SEC(".maps");

/* By CPU, backend and direction. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct xdp_count);
} ikelb_counts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, XDP_PASS_COUNT);
    __type(key, __u32);
    __type(value, __u64);
} ikelb_passed SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, XDP_WAYS);
    __type(key, __u32);
    __type(value, struct xdp_port_slot);
} ikelb_ports SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, XDP_WAYS);
    __type(key, __u32);
    __type(value, struct xdp_exit_slot);
} ikelb_exits SEC(".maps");

/* A packet as it is being looked at; the pointers are into the packet. */
struct datagram {
    void *end;
    struct ethhdr *eth;
    bool is_ipv4;
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

static __always_inline int pass(enum xdp_pass reason)
{
    const __u32 key = reason;
    __u64 *count = bpf_map_lookup_elem(&ikelb_passed, &key);

    if (count)
        ++*count;
    return XDP_PASS;
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

static __always_inline bool read_ipv6(struct datagram *d, void *at)
{
    struct ipv6hdr *ip6 = at;

    if ((void *)(ip6 + 1) > d->end || ip6->version != 6 || ip6->nexthdr != IPPROTO_UDP)
        return false;
    d->ip6 = ip6;
    d->udp = (struct udphdr *)(ip6 + 1);
    __builtin_memcpy(d->src, &ip6->saddr, sizeof d->src);
    __builtin_memcpy(d->dst, &ip6->daddr, sizeof d->dst);
    return (void *)(d->udp + 1) <= d->end && ip6->payload_len == d->udp->len;
}

/* A frame that was cut off goes nowhere. What the first buffer does not hold may be in others. */
static __always_inline bool is_whole(struct xdp_md *ctx, const struct datagram *d)
{
    const __u64 len = (__u64)((void *)d->udp - (void *)d->eth) + bpf_ntohs(d->udp->len);

    return len <= (__u64)(d->end - (void *)d->eth) || len <= bpf_xdp_get_buff_len(ctx);
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

static __always_inline struct xdp_entry *find_entry(const struct datagram *d)
{
    const __u32 home = xdp_home(d->src, d->dst, d->udp->source, d->udp->dest, seed, slots);
    __u32 reach = 0;

    for (__u32 i = 0; i < XDP_WINDOW; i++) {
        const __u32 slot = home + i;
        struct xdp_entry *entry = bpf_map_lookup_elem(&ikelb_entries, &slot);
        if (!entry)
            return NULL;
        if (i == 0)
            reach = entry->reach;
        if ((entry->state == XDP_IN || entry->state == XDP_OUT) && entry->src[1] == d->src[1] &&
            entry->dst[1] == d->dst[1] && entry->src[0] == d->src[0] && entry->dst[0] == d->dst[0] &&
            entry->src_port == d->udp->source && entry->dst_port == d->udp->dest)
            return entry;
        if (i >= reach)
            return NULL;
    }
    return NULL;
}

static __always_inline bool is_known_spi(const struct xdp_entry *entry, __u32 spi)
{
    for (int i = 0; i < XDP_SPIS_MAX; i++)
        if (entry->spis[i] == spi)
            return true;
    return false;
}

/* ESP, or a keepalive, that the flow may carry; a negative number, or why it passes up. */
static __always_inline int check_payload(const struct datagram *d, const struct xdp_entry *entry)
{
    const __u8 *data = (const __u8 *)(d->udp + 1);

    if ((void *)(data + 1) > d->end)
        return XDP_PASS_NOT_ESP;
    if (d->payload == 1)
        return *data == KEEPALIVE ? -1 : XDP_PASS_NOT_ESP;
    if (d->payload < ESP_LEN_MIN || (void *)(data + 4) > d->end)
        return XDP_PASS_NOT_ESP;
    const __u32 spi = (__u32)data[0] << 24 | (__u32)data[1] << 16 | (__u32)data[2] << 8 | data[3];
    if (spi == 0)
        return XDP_PASS_NOT_ESP;
    if (entry->state == XDP_IN)
        return is_known_spi(entry, spi) ? -1 : XDP_PASS_NEW_SPI;
    return entry->is_asked ? XDP_PASS_ASKED : -1;
}

static __always_inline const struct xdp_port *lookup_port(__u32 ifindex, __u32 vlan)
{
    for (__u32 i = 0; i < XDP_WAY_PROBES; i++) {
        const __u32 at = xdp_way(ifindex, vlan, i);
        const struct xdp_port_slot *slot = bpf_map_lookup_elem(&ikelb_ports, &at);
        if (slot && slot->key.ifindex == ifindex && slot->key.vlan == vlan)
            return &slot->port;
    }
    return NULL;
}

static __always_inline const struct xdp_exit *lookup_exit(__u32 ifindex)
{
    for (__u32 i = 0; i < XDP_WAY_PROBES; i++) {
        const __u32 at = xdp_way(ifindex, 0, i);
        const struct xdp_exit_slot *slot = bpf_map_lookup_elem(&ikelb_exits, &at);
        if (slot && slot->ifindex == ifindex)
            return &slot->exit;
    }
    return NULL;
}

/* Has the packet come in where it should? A backend's must come from where the route to it leads. */
static __always_inline const struct xdp_port *find_port(const struct xdp_md *ctx, const struct datagram *d,
                                                        const struct xdp_entry *entry,
                                                        const struct xdp_place *place)
{
    const struct xdp_port *port = lookup_port(ctx->ingress_ifindex, d->vlan);

    if (!port)
        return NULL;
    for (int i = 0; i < ETH_ALEN; i++)
        if (port->mac[i] != d->eth->h_dest[i])
            return NULL;
    if (entry->state == XDP_IN)
        return port;
    if (place->ifindex == 0)
        return NULL;
    if (port->ifindex)
        return port->ifindex == place->ifindex ? port : NULL;
    const struct xdp_exit *exit = lookup_exit(place->ifindex);
    return exit && exit->ifindex == ctx->ingress_ifindex ? port : NULL;
}

static __always_inline __u64 add64(__u64 sum, __u64 word)
{
    return sum + (word & 0xffffffff) + (word >> 32);
}

/* The Internet checksum's running sum, RFC 1071, over an address. */
static __always_inline __u64 add_addr(__u64 sum, const __u64 addr[2])
{
    return add64(add64(sum, addr[0]), addr[1]);
}

static __always_inline __u16 fold(__u64 sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return (__u16)((sum & 0xffff) + (sum >> 16));
}

static __always_inline bool is_ipv4_sum_right(const struct iphdr *ip)
{
    const __u16 *words = (const __u16 *)ip;
    __u64 sum = 0;

    for (unsigned i = 0; i < sizeof *ip / sizeof *words; i++)
        sum += words[i];
    return fold(sum) == 0xffff;
}

/* Are so many bytes there? The verifier knows no arithmetic on `end`, so the compiler may not do any. */
static __always_inline bool has_bytes(const __u8 *at, const __u8 *end, __u32 count)
{
    asm volatile("" : "+r"(end));
    return at + count <= end;
}

/*
 * The sum over the UDP header and payload; negative if they are in more than one buffer, or too long. Not
 * static: so the verifier looks at it once, by itself.
 */
__noinline long add_datagram(struct xdp_md *ctx, __u32 offset, __u32 len)
{
    __u8 *at = data_of(ctx);
    const __u8 *end = end_of(ctx);
    __u64 sum = 0;

    if (offset > OFFSET_MAX)
        return -1;
    at += offset;
    for (int i = 0; i < CHUNKS_MAX && len >= CHUNK; i++) {
        if (!has_bytes(at, end, CHUNK))
            return -1;
        sum += (__u32)bpf_csum_diff(NULL, 0, (__be32 *)at, CHUNK, 0);
        at += CHUNK;
        len -= CHUNK;
    }
    for (int i = 0; i < CHUNK / 2 && len >= 2; i++) {
        if (!has_bytes(at, end, 2))
            return -1;
        sum += *(__u16 *)at;
        at += 2;
        len -= 2;
    }
    if (len == 1 && has_bytes(at, end, 1)) {
        sum += bpf_htons((__u16)(*at << 8)); /* as if a zero byte followed */
        len = 0;
    }
    return len ? -1 : (long)(sum & SUM_MASK);
}

/* What is to be written into the packet. */
struct rewrite {
    __u64 src[2];
    __u64 dst[2];
    __be16 src_port;
    __be16 dst_port;
    __u16 check; /* of UDP */
};

/*
 * The new UDP checksum. The stack of this machine may have left it to the hardware, where a packet comes from
 * a veth peer or a virtual machine: then the field has the sum of the pseudo header only, not complemented.
 * What leaves natively must be finished here; a packet that stays an sk_buff is finished by whoever finishes
 * sk_buffs. False if it cannot be told.
 */
static __always_inline bool find_check(struct xdp_md *ctx, const struct datagram *d, struct rewrite *r,
                                       bool is_generic)
{
    const __u16 check = d->udp->check;
    const __u64 addrs = add_addr(add_addr(0, d->src), d->dst);
    const __u64 new_addrs = add_addr(add_addr(0, r->src), r->dst);
    const __u64 rest = (__u64)bpf_htons(IPPROTO_UDP) + d->udp->len;
    /* IPv4's mapped form adds words of 0xffff only, which are nothing in this arithmetic. */
    const __u16 pseudo = fold(addrs + rest);
    const __u16 new_pseudo = fold(new_addrs + rest);
    long sum;

    r->check = 0;
    if (check == 0)
        return d->is_ipv4; /* RFC 8200 section 8.1: IPv6 has no UDP without a checksum */
    if (check == pseudo) {
        if (!is_generic && d->is_ipv4)
            return true; /* RFC 3948 section 2.1: zero is right for ESP over IPv4 */
        sum = add_datagram(ctx, (__u32)((void *)d->udp - (void *)d->eth), bpf_ntohs(d->udp->len));
        if (sum < 0)
            return false;
        const bool is_finished = fold((__u64)sum + pseudo) == 0xffff;
        if (!is_finished) {
            /* The sum has the old ports and the old check in it. */
            const __u64 without = (__u64)sum + (__u16)~check + (__u16)~d->udp->source + (__u16)~d->udp->dest +
                                  r->src_port + r->dst_port;
            r->check = is_generic ? new_pseudo : (__u16)~fold(without + new_pseudo);
            if (r->check == 0)
                r->check = 0xffff;
            return true;
        }
    }
    r->check = (__u16)~fold((__u64)(__u16)~check + (__u16)~pseudo + new_pseudo + (__u16)~d->udp->source +
                            (__u16)~d->udp->dest + r->src_port + r->dst_port);
    if (r->check == 0)
        r->check = 0xffff;
    return true;
}

static __always_inline void fill_rewrite(const struct datagram *d, const struct xdp_entry *entry,
                                         const struct xdp_place *place, const struct xdp_source *source,
                                         struct rewrite *r)
{
    if (entry->state == XDP_OUT) {
        r->src[0] = place->vip[0];
        r->src[1] = place->vip[1];
        r->dst[0] = entry->client[0];
        r->dst[1] = entry->client[1];
        r->src_port = d->udp->source;
        r->dst_port = entry->new_port;
        return;
    }
    r->src[0] = source ? source->addr[0] : d->src[0];
    r->src[1] = source ? source->addr[1] : d->src[1];
    r->dst[0] = place->server[0];
    r->dst[1] = place->server[1];
    r->src_port = entry->new_port;
    r->dst_port = d->udp->dest;
}

static __always_inline void ask_route(struct bpf_fib_lookup *fib, const struct datagram *d,
                                      const struct rewrite *r, __u32 ifindex)
{
    fib->l4_protocol = IPPROTO_UDP;
    fib->sport = r->src_port;
    fib->dport = r->dst_port;
    fib->ifindex = ifindex;
    if (d->is_ipv4) {
        fib->family = AF_INET;
        fib->tos = d->ip->tos;
        fib->tot_len = bpf_ntohs(d->ip->tot_len);
        fib->ipv4_src = (__u32)(r->src[1] >> 32);
        fib->ipv4_dst = (__u32)(r->dst[1] >> 32);
    } else {
        fib->family = AF_INET6;
        fib->flowinfo = *(__be32 *)d->ip6 & bpf_htonl(0x0fffffff);
        fib->tot_len = bpf_ntohs(d->ip6->payload_len) + sizeof *d->ip6;
        __builtin_memcpy(fib->ipv6_src, r->src, sizeof r->src);
        __builtin_memcpy(fib->ipv6_dst, r->dst, sizeof r->dst);
    }
}

/*
 * Going through rules costs nearly as much as all else, and ours alone makes the kernel do it. Where no rule
 * can matter it is spared.
 */
static __always_inline __u32 route_flags(const struct datagram *d)
{
    const __u32 zero = 0;
    const struct xdp_about *about = bpf_map_lookup_elem(&ikelb_about, &zero);

    return about && about->is_direct[d->is_ipv4 ? 0 : 1] ? BPF_FIB_LOOKUP_DIRECT : 0;
}

static __always_inline enum xdp_pass reason_of(long result)
{
    switch (result) {
    case BPF_FIB_LKUP_RET_FRAG_NEEDED:
        return XDP_PASS_MTU;
    case BPF_FIB_LKUP_RET_NO_NEIGH:
        return XDP_PASS_NEIGHBOUR;
    case BPF_FIB_LKUP_RET_FWD_DISABLED:
        return XDP_PASS_FORWARDING;
    default:
        return XDP_PASS_ROUTE;
    }
}

static __always_inline void write_datagram(const struct datagram *d, const struct rewrite *r)
{
    if (d->is_ipv4) {
        /* The TTL is the high byte of a word that the checksum counts. */
        const __u64 old_addrs = (__u64)d->ip->saddr + d->ip->daddr;
        const __u32 src = (__u32)(r->src[1] >> 32);
        const __u32 dst = (__u32)(r->dst[1] >> 32);
        const __u16 old = fold(old_addrs + bpf_htons((__u16)(d->ip->ttl << 8)));
        const __u16 new = fold((__u64)src + dst + bpf_htons((__u16)((d->ip->ttl - 1) << 8)));
        d->ip->check = (__u16)~fold((__u64)(__u16)~d->ip->check + (__u16)~old + new);
        d->ip->ttl--;
        d->ip->saddr = src;
        d->ip->daddr = dst;
    } else {
        d->ip6->hop_limit--;
        __builtin_memcpy(&d->ip6->saddr, r->src, sizeof r->src);
        __builtin_memcpy(&d->ip6->daddr, r->dst, sizeof r->dst);
    }
    d->udp->source = r->src_port;
    d->udp->dest = r->dst_port;
    d->udp->check = r->check;
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

static __always_inline void count_packet(const struct xdp_entry *entry, __u32 payload)
{
    const __u32 cpu = bpf_get_smp_processor_id();
    const __u32 at =
        (cpu * XDP_PLACES_A_RUN + entry->place % XDP_PLACES_A_RUN) * 2 + (entry->state == XDP_OUT);
    struct xdp_count *count = bpf_map_lookup_elem(&ikelb_counts, &at);

    if (!count)
        return;
    count->packets++;
    count->bytes += payload;
}

/* Is that time longer ago? The daemon's clock may be a little ahead of ours, which is coarse. */
static __always_inline bool is_before(__u32 now, __u32 then, __u32 ticks)
{
    const __u32 age = now - then;

    return age > ticks && age < -(__u32)AHEAD_MAX;
}

/* Nobody sweeps while the daemon is away: then a flow ends by itself. */
static __always_inline bool is_idle(const struct datagram *d, const struct xdp_entry *entry,
                                    const struct xdp_place *place)
{
    const __u32 zero = 0;

    if (!is_before(d->now, entry->seen, place->idle))
        return false;
    const struct xdp_about *about = bpf_map_lookup_elem(&ikelb_about, &zero);
    return !about || is_before(d->now, about->alive, place->idle);
}

static __always_inline int forward(struct xdp_md *ctx, struct datagram *d, struct xdp_entry *entry,
                                   const struct xdp_place *place, const struct xdp_port *port)
{
    struct bpf_fib_lookup fib = {};
    struct rewrite r = {};
    const struct xdp_source *source = NULL;

    if (entry->state == XDP_IN && entry->source != XDP_SOURCE_CLIENT) {
        const __u32 key = entry->source;
        source = bpf_map_lookup_elem(&ikelb_sources, &key);
        if (!source)
            return XDP_PASS;
    }
    fill_rewrite(d, entry, place, source, &r);
    ask_route(&fib, d, &r, port->ifindex ? port->ifindex : ctx->ingress_ifindex);
    const long result = bpf_fib_lookup(ctx, &fib, sizeof fib, route_flags(d));
    if (result != BPF_FIB_LKUP_RET_SUCCESS)
        return pass(reason_of(result));
    const struct xdp_exit *exit = lookup_exit(fib.ifindex);
    if (!exit)
        return pass(XDP_PASS_EXIT);
    if (!find_check(ctx, d, &r, port->is_generic))
        return pass(XDP_PASS_CHECKSUM);
    if (!make_link(ctx, d, exit->vlan))
        return pass(XDP_PASS_EXIT);
    write_link(d, &fib, exit->vlan);
    write_datagram(d, &r);
    entry->seen = d->now;
    count_packet(entry, d->payload);
    return (int)bpf_redirect(exit->ifindex, 0);
}

SEC("xdp.frags")
int ikelb_fastpath(struct xdp_md *ctx)
{
    struct datagram d = {};

    if (!read_datagram(ctx, &d))
        return XDP_PASS;
    struct xdp_entry *entry = find_entry(&d);
    if (!entry)
        return XDP_PASS;
    const __u32 key = entry->place;
    const struct xdp_place *place = bpf_map_lookup_elem(&ikelb_places, &key);
    if (!place)
        return XDP_PASS;
    const int reason = check_payload(&d, entry);
    if (reason >= 0)
        return pass((enum xdp_pass)reason);
    if (!place->is_open)
        return pass(XDP_PASS_CLOSED);
    if ((d.is_ipv4 ? d.ip->ttl : d.ip6->hop_limit) <= 1)
        return pass(XDP_PASS_TTL);
    if (d.is_ipv4 && !is_ipv4_sum_right(d.ip))
        return pass(XDP_PASS_CHECKSUM);
    d.now = (__u32)(bpf_ktime_get_coarse_ns() >> XDP_TICK_SHIFT);
    if (is_idle(&d, entry, place))
        return pass(XDP_PASS_IDLE);
    const struct xdp_port *port = find_port(ctx, &d, entry, place);
    if (!port)
        return pass(XDP_PASS_INTERFACE);
    return forward(ctx, &d, entry, place, port);
}

/* The kernel lends its route look-up only to programs under this licence. */
char LICENSE[] SEC("license") = "GPL";
