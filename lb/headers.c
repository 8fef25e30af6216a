#include "lb/headers.h"

#include <netinet/in.h>
#include <string.h>

#include "base/cursor.h"

/*
 * The sum is taken over words as they lie in memory: RFC 1071 section 2 (B), it comes out in the same byte
 * order. Four bytes a step into 64 bits cannot overflow below 16 GiB.
 */
uint64_t headers_sum(const void *data, size_t len, uint64_t sum)
{
    const uint8_t *p = data;
    uint32_t word;

    for (; len >= sizeof word; p += sizeof word, len -= sizeof word) {
        memcpy(&word, p, sizeof word);
        sum += word;
    }
    if (len) {
        word = 0;
        memcpy(&word, p, len);
        sum += word;
    }
    return sum;
}

uint16_t headers_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* RFC 768; RFC 8200 section 8.1: pseudo-header, UDP header with its checksum still zero, payload. */
static uint16_t udp_checksum(const struct headers_request *request, const uint8_t *udp)
{
    const uint16_t udp_len = (uint16_t)(8 + request->len);
    const bool v4 = addr_is_v4(&request->dst.addr);
    uint64_t sum = (uint64_t)htons(IPPROTO_UDP) + htons(udp_len);

    sum = headers_sum(v4 ? addr_v4_bytes(&request->src.addr) : request->src.addr.bytes, v4 ? 4 : 16, sum);
    sum = headers_sum(v4 ? addr_v4_bytes(&request->dst.addr) : request->dst.addr.bytes, v4 ? 4 : 16, sum);
    sum = headers_sum(udp, 8, sum);
    const uint16_t checksum = headers_fold(headers_sum(request->payload, request->len, sum));
    return checksum ? checksum : 0xffff; /* zero would say that there is none */
}

static void write_v4(struct writer *w, const struct headers_request *request)
{
    writer_u8(w, 0x45); /* version 4, five words */
    writer_u8(w, request->tos);
    writer_u16(w, (uint16_t)(HEADERS_LEN_V4 + request->len));
    writer_u16(w, request->id);
    writer_u16(w, 0); /* flags, fragment offset */
    writer_u8(w, request->ttl);
    writer_u8(w, IPPROTO_UDP);
    writer_u16(w, 0);
    writer_bytes(w, addr_v4_bytes(&request->src.addr), 4);
    writer_bytes(w, addr_v4_bytes(&request->dst.addr), 4);
}

static void write_v6(struct writer *w, const struct headers_request *request)
{
    writer_u32(w,
               UINT32_C(6) << 28 | (uint32_t)request->tos << 20); /* version, traffic class, no flow label */
    writer_u16(w, (uint16_t)(8 + request->len));
    writer_u8(w, IPPROTO_UDP);
    writer_u8(w, request->ttl);
    writer_bytes(w, request->src.addr.bytes, 16);
    writer_bytes(w, request->dst.addr.bytes, 16);
}

size_t headers_write(const struct headers_request *request, uint8_t out[static HEADERS_LEN_MAX])
{
    const bool v4 = addr_is_v4(&request->dst.addr);
    struct writer w = writer_over(out, HEADERS_LEN_MAX);

    if (v4)
        write_v4(&w, request);
    else
        write_v6(&w, request);
    uint8_t *udp = w.pos;
    writer_u16(&w, request->src.port);
    writer_u16(&w, request->dst.port);
    writer_u16(&w, (uint16_t)(8 + request->len));
    writer_u16(&w, 0);
    if (!request->omit_checksum || !v4) {
        const uint16_t checksum = udp_checksum(request, udp);
        memcpy(udp + 6, &checksum, sizeof checksum);
    }
    return writer_len(&w);
}
