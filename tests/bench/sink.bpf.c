/*
 * The sink: an XDP program at the far end that counts the packets under test and drops them, and, if they say
 * when they were sent, how long they took. It is the cheapest end there can be, and the same for every
 * forwarder.
 *
 * Everything else passes: ARP, pings, and IKE on port 4500, whose payload begins with four zero bytes.
 */
#include "tests/bench/meter.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct meter);
} meters SEC(".maps");

static __always_inline __u32 log2_of(__u64 v)
{
    __u32 log = 0;

    for (__u32 step = 32; step; step >>= 1) {
        if (v >> step) {
            v >>= step;
            log += step;
        }
    }
    return log;
}

static __always_inline __u64 bucket_of(__u64 ns)
{
    if (ns < METER_STEPS)
        return ns;
    const __u32 octave = log2_of(ns) - METER_STEPS_LOG;
    return ((__u64)octave << METER_STEPS_LOG) + (ns >> octave);
}

static __always_inline void note_latency(struct meter *meter, const __u8 *payload)
{
    const __u64 now = bpf_ktime_get_ns();
    const __u64 sent_at = *(const __u64 *)(payload + SENT_AT_OFFSET);

    __u64 bucket = now > sent_at ? bucket_of(now - sent_at) : 0;
    asm volatile(
        ""
        : "+r"(bucket)); /* or the compiler knows better than the verifier, and leaves the check out */
    if (bucket < METER_BUCKETS)
        meter->latency[bucket]++;
}

SEC("xdp")
int sink(struct xdp_md *ctx)
{
    const __u8 *data = (const __u8 *)(long)ctx->data;
    const __u8 *end = (const __u8 *)(long)ctx->data_end;
    const struct ethhdr *eth = (const void *)data;
    const struct iphdr *ip = (const void *)(eth + 1);
    const struct udphdr *udp = (const void *)(ip + 1);
    const __u8 *payload = (const void *)(udp + 1);
    const __u32 zero = 0;
    struct meter *meter = bpf_map_lookup_elem(&meters, &zero);

    if (!meter || payload + SENT_AT_OFFSET + 8 > end)
        return XDP_PASS;
    if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
        udp->dest != bpf_htons((__u16)meter->port) || *(const __u32 *)payload == 0)
        return XDP_PASS;
    if (meter->timing)
        note_latency(meter, payload);
    __sync_fetch_and_add(&meter->arrived, 1);
    return XDP_DROP;
}

const char bench_license[] SEC("license") = "GPL";
