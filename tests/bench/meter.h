/*
 * What the BPF programs and the generator share: two maps of one entry each, which user space maps into its
 * memory. The meter belongs to the sink at the far end, the plan to the source at the near end; the source
 * reads the meter, too.
 */
#ifndef BENCH_METER_H
#define BENCH_METER_H

#include <linux/types.h>

/* Latencies are counted in buckets that are a 32nd of an octave wide: at most 3 % off. */
#define METER_STEPS_LOG 5
#define METER_STEPS     (1 << METER_STEPS_LOG)
#define METER_BUCKETS   1024

struct meter {
    __u64 arrived; /* packets to the port, counted and dropped */
    __u32 port;    /* in host order; 0: everything passes, nothing is counted */
    __u32 timing;  /* whether the packets say when they were sent */
    __u64 latency[METER_BUCKETS];
};

/* Where the time of sending stands in the UDP payload: behind ESP's SPI and sequence number. */
#define SENT_AT_OFFSET 8

#define VARY_SOURCE      0 /* from many clients to one server */
#define VARY_DESTINATION 1 /* from one server to many clients */

#define KIND_ESP 0 /* ESP in UDP, a constant SPI for each client */
#define KIND_IKE 1 /* IKE_SA_INIT, an SPI for each client */

struct plan {
    /* Addresses, ports and numbers are in host order. `ip_sum` is the checksum of the IP header without the
     * address that varies, not yet folded. */
    __u8 eth_dst[6];
    __u8 eth_src[6];
    __u32 saddr;
    __u32 daddr;
    __u16 sport;
    __u16 dport;
    __u32 ip_sum;
    __u16 payload;
    __u16 kind;
    __u32 vary;
    __u32 ifindex;
    /* Which clients: `count` of them from `first`, in an order that a generator of numbers modulo 2^n (`mask`
     * + 1) gives: each once before any comes again. */
    __u32 first;
    __u32 count;
    __u32 mask;
    __u32 position;
    /* Closed loop: at most `window` packets under way. Open loop: one each `interval_ns`, in either case no
     * more than `limit`. */
    __u64 window;
    __u64 limit;
    __u64 interval_ns;
    __u64 stall_ns; /* no progress for so long: what is under way is lost */
    /* What has come of it. */
    __u64 sent;
    __u64 lost;
    __u64 arrived_before;
    __u64 seen;
    __u64 progress_ns;
    __u64 next_ns;
    __u64 end_ns; /* when the last packet of a limited number had arrived, or was lost; 0: not yet */
};

#endif
