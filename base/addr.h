/* IP addresses and endpoints as plain values that compare, hash and print alike for both families. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* An IPv6 address, or an IPv4 address in its mapped form ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2); network
 * order. */
struct addr {
    uint8_t bytes[16];
};

/* An address with a UDP port; the port in host order. */
struct endpoint {
    struct addr addr;
    uint16_t port;
};

#define ADDR_TEXT_MAX     46
#define ENDPOINT_TEXT_MAX (ADDR_TEXT_MAX + 8)

/* From four bytes in network order. */
struct addr addr_from_v4(const void *bytes4);

/* Reads a numeric IPv4 or IPv6 address (no zone, no prefix, no brackets). 0, or ERR_MALFORMED. */
int addr_parse(const char *text, struct addr *out);

/* Writes the address in its usual form (IPv4 dotted, IPv6 as RFC 5952) and returns `text`. */
const char *addr_format(const struct addr *a, char text[static ADDR_TEXT_MAX]);

bool addr_is_v4(const struct addr *a);
bool addr_is_unspecified(const struct addr *a);
bool addr_is_multicast(const struct addr *a);

/* fe80::/10, which means nothing without an interface. */
bool addr_is_link_local(const struct addr *a);

/* 127.0.0.0/8 or ::1. */
bool addr_is_loopback(const struct addr *a);
bool addr_equal(const struct addr *a, const struct addr *b);

/* AF_INET or AF_INET6. */
int addr_family(const struct addr *a);

/* Pointer to the last four bytes: the IPv4 address in network order, if addr_is_v4(). */
const uint8_t *addr_v4_bytes(const struct addr *a);

/* XXH3 of the 16 bytes; the same on every machine, so that two nodes choose alike. */
uint64_t addr_hash(const struct addr *a, uint64_t seed);

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* "192.0.2.1:500" or "[2001:db8::1]:500"; returns `text`. */
const char *endpoint_format(const struct endpoint *e, char text[static ENDPOINT_TEXT_MAX]);

/* Reads what endpoint_format() writes; the port is decimal, 0 to 65535. 0, or ERR_MALFORMED. */
int endpoint_parse(const char *text, struct endpoint *out);

/* Fills a sockaddr_in or sockaddr_in6 and returns its length. */
socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *out);

/* From AF_INET or AF_INET6; any other family gives ERR_MALFORMED. */
int endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *out);
