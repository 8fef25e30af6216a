/*
 * The fast path: forwards ESP in UDP, and its keepalives, of flows that the slow path has entered. It holds
 * no policy. Everything else, and everything that is not quite as usual, passes up to the slow path, which
 * does right by it.
 *
 * Addresses are rewritten, the TTL is decremented, checksums follow (RFC 1624), the kernel's routes say where
 * to. Identification, DF, TOS and flow label stay.
 */
#include "lb/xdp/checksum.bpf.h"
#include "lb/xdp/layout.h"
#include "lb/xdp/packet.bpf.h"

#define AF_INET     2
#define AF_INET6    10
#define ESP_LEN_MIN 8    /* as the slow path has it: ike/classify.h */
#define KEEPALIVE   0xff /* RFC 3948 section 2.3 */

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

static __always_inline int pass(enum xdp_pass reason)
{
    const __u32 key = reason;
    __u64 *count = bpf_map_lookup_elem(&ikelb_passed, &key);

    if (count)
        ++*count;
    return XDP_PASS;
}

/* Its state is read once: were it XDP_GONE a moment later, the packet still goes the way of one direction. */
static __always_inline struct xdp_entry *find_entry(struct datagram *d)
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
        const __u8 state = *(const volatile __u8 *)&entry->state;
        if ((state == XDP_IN || state == XDP_OUT) && entry->src[1] == d->src[1] &&
            entry->dst[1] == d->dst[1] && entry->src[0] == d->src[0] && entry->dst[0] == d->dst[0] &&
            entry->src_port == d->udp->source && entry->dst_port == d->udp->dest) {
            d->is_out = state == XDP_OUT;
            return entry;
        }
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
    if (d->is_out)
        return entry->is_asked ? XDP_PASS_ASKED : -1;
    return is_known_spi(entry, spi) ? -1 : XDP_PASS_NEW_SPI;
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
                                                        const struct xdp_place *place)
{
    const struct xdp_port *port = lookup_port(ctx->ingress_ifindex, d->vlan);

    if (!port)
        return NULL;
    for (int i = 0; i < ETH_ALEN; i++)
        if (port->mac[i] != d->eth->h_dest[i])
            return NULL;
    if (!d->is_out)
        return port;
    if (place->ifindex == 0)
        return NULL;
    if (port->ifindex)
        return port->ifindex == place->ifindex ? port : NULL;
    const struct xdp_exit *exit = lookup_exit(place->ifindex);
    return exit && exit->ifindex == ctx->ingress_ifindex ? port : NULL;
}

static __always_inline void fill_rewrite(const struct datagram *d, const struct xdp_entry *entry,
                                         const struct xdp_place *place, const struct xdp_source *source,
                                         struct rewrite *r)
{
    if (d->is_out) {
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

static __always_inline void count_packet(const struct datagram *d, const struct xdp_entry *entry)
{
    const __u32 cpu = bpf_get_smp_processor_id();
    const __u32 at = (cpu * XDP_PLACES_A_RUN + entry->place % XDP_PLACES_A_RUN) * 2 + d->is_out;
    struct xdp_count *count = bpf_map_lookup_elem(&ikelb_counts, &at);

    if (!count)
        return;
    count->packets++;
    count->bytes += d->payload;
}

/* Is that time longer ago? The daemon's clock may be a little ahead of ours, which is coarse. */
static __always_inline bool is_before(__u32 now, __u32 then, __u32 ticks)
{
    const __u32 age = now - then;

    return age > ticks && age < -(__u32)XDP_AHEAD_MAX;
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

    const __u32 key = entry->source;
    if (!d->is_out && key != XDP_SOURCE_CLIENT) {
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
    if (!exit || (!exit->takes_parts && is_in_parts(ctx, d)))
        return pass(XDP_PASS_EXIT);
    if (!find_check(ctx, d, &r, port->is_generic))
        return pass(XDP_PASS_CHECKSUM);
    if (!make_link(ctx, d, exit->vlan))
        return pass(XDP_PASS_EXIT);
    write_link(d, &fib, exit->vlan);
    write_datagram(d, &r);
    entry->seen = d->now;
    count_packet(d, entry);
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
    const struct xdp_port *port = find_port(ctx, &d, place);
    if (!port)
        return pass(XDP_PASS_INTERFACE);
    return forward(ctx, &d, entry, place, port);
}

/* The kernel lends its route look-up only to programs under this licence. */
char LICENSE[] SEC("license") = "GPL";
