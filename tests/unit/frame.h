/* Ethernet frames with a UDP datagram, written from scratch: what a packet is, or what it should have become.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define FRAME_MAX     9216
#define FRAME_PAYLOAD 9000

enum frame_check {
    FRAME_CHECK_RIGHT,
    FRAME_CHECK_ZERO,
    FRAME_CHECK_PARTIAL, /* the sum of the pseudo header, which the hardware was to complete */
    FRAME_CHECK_WRONG,   /* by one: whoever rewrites it must leave it wrong */
};

struct frame {
    uint8_t dst_mac[6];
    uint8_t src_mac[6];
    uint16_t tag; /* of 802.1Q, as in the frame; 0: none */
    bool has_zero_tag;
    struct endpoint src; /* both of one family */
    struct endpoint dst;
    uint8_t ttl;
    uint8_t tos;
    uint16_t id;        /* IPv4 */
    uint16_t fragment;  /* IPv4: flags and offset, as in the header */
    uint32_t flow;      /* IPv6: the label */
    size_t options;     /* IPv4: bytes of options, a multiple of four */
    bool bad_header;    /* IPv4: a wrong header checksum */
    int extra_ip_len;   /* added to the length in the IP header ... */
    int extra_udp_len;  /* ... and in the UDP header */
    uint8_t protocol;   /* 0 stands for UDP */
    uint8_t version;    /* 0 stands for the right one */
    uint16_t ethertype; /* 0 stands for the right one */
    enum frame_check check;
    size_t padding; /* zero bytes behind the datagram */
    uint8_t payload[FRAME_PAYLOAD];
    size_t payload_len;
};

/* The frame's bytes; their number. */
size_t frame_write(const struct frame *frame, uint8_t out[static FRAME_MAX]);

/* The UDP checksum that such a frame has, FRAME_CHECK_RIGHT or FRAME_CHECK_PARTIAL, in host order. */
uint16_t frame_check(const struct frame *frame, enum frame_check check);

/* Gives the payload's two bytes at `at`, an even number, the value with which the frame's right checksum
 * comes out as that; 0 stands for the checksum that is written as 0xffff. */
void frame_aim_check(struct frame *frame, size_t at, uint16_t check);

/* A SPI and some bytes after it. */
void frame_put_esp(struct frame *frame, uint32_t spi, size_t len);
