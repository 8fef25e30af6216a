/* UDP's checksum after addresses and ports have changed (RFC 1071, RFC 1624), also where there was none yet.
 */
#pragma once

#include "lb/xdp/packet.bpf.h"

#define CHUNK      64 /* bytes of a checksum at a time */
#define CHUNKS_MAX 144
#define SUM_MASK   0xffffffffffff
#define OFFSET_MAX 128 /* of the UDP header in a frame */

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
