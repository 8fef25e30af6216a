#include "tests/unit/frame.h"

#include <string.h>

#include "base/cursor.h"
#include "tests/unit/unit.h"

#define IP_UDP 17

/* RFC 1071, as it is written there. */
static uint32_t add_bytes(uint32_t sum, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static bool is_v4(const struct frame *f)
{
    return addr_is_v4(&f->src.addr);
}

static uint32_t pseudo_sum(const struct frame *f)
{
    const size_t skip = is_v4(f) ? 12 : 0;
    const size_t udp_len = 8 + f->payload_len;
    const uint8_t rest[4] = {0, IP_UDP, (uint8_t)(udp_len >> 8), (uint8_t)udp_len};
    uint32_t sum = add_bytes(0, f->src.addr.bytes + skip, 16 - skip);

    sum = add_bytes(sum, f->dst.addr.bytes + skip, 16 - skip);
    return add_bytes(sum, rest, sizeof rest);
}

/* Of all that is covered, but the checksum itself. */
static uint32_t whole_sum(const struct frame *f)
{
    const size_t udp_len = 8 + f->payload_len;
    const uint8_t header[6] = {
        (uint8_t)(f->src.port >> 8), (uint8_t)f->src.port,    (uint8_t)(f->dst.port >> 8),
        (uint8_t)f->dst.port,        (uint8_t)(udp_len >> 8), (uint8_t)udp_len,
    };
    const uint32_t sum = add_bytes(pseudo_sum(f), header, sizeof header);

    return add_bytes(sum, f->payload, f->payload_len);
}

static uint16_t finish(uint32_t sum)
{
    const uint16_t check = (uint16_t)~add_bytes(sum, NULL, 0);

    return check ? check : 0xffff;
}

uint16_t frame_check(const struct frame *f, enum frame_check check)
{
    switch (check) {
    case FRAME_CHECK_RIGHT:
        return finish(whole_sum(f));
    case FRAME_CHECK_WRONG:
        return finish(whole_sum(f) + 1);
    case FRAME_CHECK_PARTIAL:
        return (uint16_t)pseudo_sum(f);
    default:
        return 0;
    }
}

void frame_aim_check(struct frame *f, size_t at, uint16_t check)
{
    f->payload[at] = f->payload[at + 1] = 0;
    /* The sum is to be ~check; in this arithmetic a number is taken away by adding its complement. */
    const uint32_t word =
        add_bytes((uint32_t)(uint16_t)~check + (uint16_t)~add_bytes(whole_sum(f), NULL, 0), NULL, 0);

    f->payload[at] = (uint8_t)(word >> 8);
    f->payload[at + 1] = (uint8_t)word;
    assert_int_equal(frame_check(f, FRAME_CHECK_RIGHT), check ? check : 0xffff);
}

void frame_put_esp(struct frame *f, uint32_t spi, size_t len)
{
    struct writer w = writer_over(f->payload, sizeof f->payload);

    writer_u32(&w, spi);
    for (size_t i = 4; i < len; i++)
        writer_u8(&w, (uint8_t)(i * 7));
    assert_false(w.failed);
    f->payload_len = len;
}

static void put_v4(struct writer *w, const struct frame *f)
{
    uint8_t bytes[60] = {0};
    struct writer h = writer_over(bytes, sizeof bytes);
    const size_t len = 20 + f->options;

    writer_u8(&h, (uint8_t)((f->version ? f->version : 4U) << 4 | len / 4));
    writer_u8(&h, f->tos);
    writer_u16(&h, (uint16_t)(len + 8 + f->payload_len + (size_t)f->extra_ip_len));
    writer_u16(&h, f->id);
    writer_u16(&h, f->fragment);
    writer_u8(&h, f->ttl);
    writer_u8(&h, f->protocol ? f->protocol : IP_UDP);
    writer_u16(&h, 0);
    writer_bytes(&h, addr_v4_bytes(&f->src.addr), 4);
    writer_bytes(&h, addr_v4_bytes(&f->dst.addr), 4);
    memset(bytes + 20, 1, f->options); /* no operation, RFC 791 section 3.1 */
    const uint16_t check = (uint16_t)(~add_bytes(0, bytes, len) + f->bad_header);
    bytes[10] = (uint8_t)(check >> 8);
    bytes[11] = (uint8_t)check;
    writer_bytes(w, bytes, len);
}

static void put_v6(struct writer *w, const struct frame *f)
{
    writer_u32(w, (uint32_t)(f->version ? f->version : 6) << 28 | (uint32_t)f->tos << 20 | f->flow);
    writer_u16(w, (uint16_t)(8 + f->payload_len + (size_t)f->extra_ip_len));
    writer_u8(w, f->protocol ? f->protocol : IP_UDP);
    writer_u8(w, f->ttl);
    writer_bytes(w, f->src.addr.bytes, 16);
    writer_bytes(w, f->dst.addr.bytes, 16);
}

size_t frame_write(const struct frame *f, uint8_t out[static FRAME_MAX])
{
    struct writer w = writer_over(out, FRAME_MAX);

    writer_bytes(&w, f->dst_mac, 6);
    writer_bytes(&w, f->src_mac, 6);
    if (f->tag || f->has_zero_tag) {
        writer_u16(&w, 0x8100);
        writer_u16(&w, f->tag);
    }
    writer_u16(&w, f->ethertype ? f->ethertype : is_v4(f) ? 0x0800 : 0x86dd);
    if (is_v4(f))
        put_v4(&w, f);
    else
        put_v6(&w, f);
    writer_u16(&w, f->src.port);
    writer_u16(&w, f->dst.port);
    writer_u16(&w, (uint16_t)(8 + f->payload_len + (size_t)f->extra_udp_len));
    writer_u16(&w, frame_check(f, f->check));
    writer_bytes(&w, f->payload, f->payload_len);
    for (size_t i = 0; i < f->padding; i++)
        writer_u8(&w, 0);
    assert_false(w.failed);
    return writer_len(&w);
}
