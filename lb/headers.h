/* Writes the IP and UDP headers of a datagram that leaves through a raw socket with a source that is not
 * ours. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define HEADERS_LEN_V4  (20 + 8)
#define HEADERS_LEN_V6  (40 + 8)
#define HEADERS_LEN_MAX HEADERS_LEN_V6

struct headers_request {
    struct endpoint src; /* of dst's family */
    struct endpoint dst;
    const uint8_t *payload;
    size_t len; /* at most 65,507 (IPv4) or 65,527 (IPv6) */
    uint8_t tos;
    uint8_t ttl;
    uint16_t id;        /* IPv4: identification; 0: the kernel chooses */
    bool omit_checksum; /* IPv4 only: a zero UDP checksum, RFC 768 */
};

/*
 * Writes the headers and returns their length, HEADERS_LEN_V4 or _V6. In IPv4, the header checksum is
 * left zero, as may be the identification: the kernel fills them in (raw(7)); DF is clear, so that routers on
 * the way may fragment.
 */
size_t headers_write(const struct headers_request *request, uint8_t out[static HEADERS_LEN_MAX]);

/* The Internet checksum's running sum (RFC 1071) over `len` bytes; an odd last byte is padded with zero. */
uint64_t headers_sum(const void *data, size_t len, uint64_t sum);

/* Folds the running sum and complements it: the 16 bits as they stand in memory, in network order. */
uint16_t headers_fold(uint64_t sum);
