/*
 * The source: an XDP program that the kernel runs over frames of its own making (BPF_F_TEST_XDP_LIVE_FRAMES)
 * and that sends them into a veth. The other end gets them as a network card's driver would get them from its
 * ring: a page with a frame, and no socket buffer yet. So each forwarder pays for what it would pay for
 * behind a network card, and the native XDP of one need not first copy a ready socket buffer back into a
 * page.
 *
 * It keeps a fixed number of packets under way, or sends at a fixed rate. When nothing may be sent it drops
 * its frame, and the kernel calls again.
 */
#include "tests/bench/meter.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ORDER_FACTOR 1664525U /* full period modulo any power of two: Knuth, TAOCP 3.2.1.2 */
#define ORDER_ADD    1013904223U
#define ORDER_TRIES  8
#define TTL          64

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct meter);
} meters SEC(".maps"); /* the far end's: the loader puts it in the place of this one */

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct plan);
} plans SEC(".maps");

static __always_inline bool may_send(struct plan *plan, const struct meter *meter)
{
    const __u64 arrived = *(const volatile __u64 *)&meter->arrived - plan->arrived_before;
    /* Below zero if something arrives that was given up before. */
    const __s64 under_way = (__s64)(plan->sent - plan->lost - arrived);

    if (plan->sent < plan->limit && under_way < (__s64)plan->window)
        return true;
    const __u64 now = bpf_ktime_get_ns();
    if (arrived != plan->seen) {
        plan->seen = arrived;
        plan->progress_ns = now;
    } else if (now - plan->progress_ns > plan->stall_ns) {
        plan->lost = plan->sent - arrived;
        plan->progress_ns = now;
    }
    if (plan->sent >= plan->limit && under_way <= 0 && !plan->end_ns)
        plan->end_ns = now;
    return false;
}

/* Usually the first try is below `count`; if none is, the next frame tries on. */
static __always_inline bool next_client(struct plan *plan, __u32 *client)
{
    __u32 position = plan->position;

    for (int i = 0; i < ORDER_TRIES; i++) {
        position = (position * ORDER_FACTOR + ORDER_ADD) & plan->mask;
        if (position < plan->count)
            break;
    }
    plan->position = position;
    *client = plan->first + position;
    return position < plan->count;
}

static __always_inline __u16 fold(__u32 sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (__u16)~sum;
}

/* All of the headers, each time: the page may come back from a forwarder that has rewritten them. */
static __always_inline void fill_headers(const struct plan *plan, __u32 client, struct ethhdr *eth,
                                         struct iphdr *ip, struct udphdr *udp)
{
    const __u32 saddr = plan->saddr + (plan->vary == VARY_SOURCE ? client : 0);
    const __u32 daddr = plan->daddr + (plan->vary == VARY_DESTINATION ? client : 0);
    const __u32 varied = plan->vary == VARY_SOURCE ? saddr : daddr;

    __builtin_memcpy(eth->h_dest, plan->eth_dst, ETH_ALEN);
    __builtin_memcpy(eth->h_source, plan->eth_src, ETH_ALEN);
    eth->h_proto = bpf_htons(ETH_P_IP);
    ip->version = 4;
    ip->ihl = 5;
    ip->tos = 0;
    ip->tot_len = bpf_htons((__u16)(sizeof *ip + sizeof *udp + plan->payload));
    ip->id = 0;
    ip->frag_off = 0;
    ip->ttl = TTL;
    ip->protocol = IPPROTO_UDP;
    ip->check = bpf_htons(fold(plan->ip_sum + (varied >> 16) + (varied & 0xffff)));
    ip->saddr = bpf_htonl(saddr);
    ip->daddr = bpf_htonl(daddr);
    udp->source = bpf_htons(plan->sport);
    udp->dest = bpf_htons(plan->dport);
    udp->len = bpf_htons((__u16)(sizeof *udp + plan->payload));
    udp->check = 0; /* as ESP in UDP wants it: RFC 3948 section 2.1 */
}

SEC("xdp")
int source(struct xdp_md *ctx)
{
    __u8 *data = (__u8 *)(long)ctx->data;
    const __u8 *end = (const __u8 *)(long)ctx->data_end;
    struct ethhdr *eth = (void *)data;
    struct iphdr *ip = (void *)(eth + 1);
    struct udphdr *udp = (void *)(ip + 1);
    __u8 *payload = (void *)(udp + 1);
    const __u32 zero = 0;
    struct plan *plan = bpf_map_lookup_elem(&plans, &zero);
    const struct meter *meter = bpf_map_lookup_elem(&meters, &zero);
    __u64 now = 0;
    __u32 client;

    if (!plan || !meter || payload + SENT_AT_OFFSET + 8 > end)
        return XDP_ABORTED;
    if (!may_send(plan, meter))
        return XDP_DROP;
    if (plan->interval_ns) {
        now = bpf_ktime_get_ns();
        if (now < plan->next_ns)
            return XDP_DROP;
    }
    if (!next_client(plan, &client))
        return XDP_DROP;
    plan->next_ns += plan->interval_ns;
    fill_headers(plan, client, eth, ip, udp);
    *(__u32 *)payload = bpf_htonl(client + 1); /* ESP's SPI, or half of IKE's */
    if (plan->kind == KIND_ESP) {
        *(__u32 *)(payload + 4) = bpf_htonl((__u32)plan->sent);
        *(__u64 *)(payload + SENT_AT_OFFSET) = now;
    }
    plan->sent++;
    return (int)bpf_redirect(plan->ifindex, 0);
}

const char bench_license[] SEC("license") = "GPL";
