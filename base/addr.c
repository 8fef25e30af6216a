#include "base/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/err.h"

static const uint8_t V4_MAPPED_PREFIX[12] = {[10] = 0xff, [11] = 0xff};

struct addr addr_from_v4(const void *bytes4)
{
    struct addr a;

    memcpy(a.bytes, V4_MAPPED_PREFIX, sizeof V4_MAPPED_PREFIX);
    memcpy(a.bytes + sizeof V4_MAPPED_PREFIX, bytes4, 4);
    return a;
}

int addr_parse(const char *text, struct addr *out)
{
    uint8_t v4[4];

    if (inet_pton(AF_INET, text, v4) == 1) {
        *out = addr_from_v4(v4);
        return 0;
    }
    return inet_pton(AF_INET6, text, out->bytes) == 1 ? 0 : ERR_MALFORMED;
}

const char *addr_format(const struct addr *a, char text[static ADDR_TEXT_MAX])
{
    const int family = addr_family(a);
    const void *bytes = family == AF_INET ? addr_v4_bytes(a) : a->bytes;

    /* Cannot fail: the family is known and the buffer holds the longest text. */
    (void)inet_ntop(family, bytes, text, ADDR_TEXT_MAX);
    return text;
}

bool addr_is_v4(const struct addr *a)
{
    return memcmp(a->bytes, V4_MAPPED_PREFIX, sizeof V4_MAPPED_PREFIX) == 0;
}

bool addr_is_unspecified(const struct addr *a)
{
    static const uint8_t zero[16];

    return addr_is_v4(a) ? memcmp(addr_v4_bytes(a), zero, 4) == 0 : memcmp(a->bytes, zero, 16) == 0;
}

bool addr_is_multicast(const struct addr *a)
{
    return addr_is_v4(a) ? (addr_v4_bytes(a)[0] & 0xf0) == 0xe0 : a->bytes[0] == 0xff;
}

bool addr_is_link_local(const struct addr *a)
{
    return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

bool addr_is_loopback(const struct addr *a)
{
    static const uint8_t loopback[16] = {[15] = 1};

    return addr_is_v4(a) ? addr_v4_bytes(a)[0] == 127 : memcmp(a->bytes, loopback, 16) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

int addr_family(const struct addr *a)
{
    return addr_is_v4(a) ? AF_INET : AF_INET6;
}

const uint8_t *addr_v4_bytes(const struct addr *a)
{
    return a->bytes + sizeof V4_MAPPED_PREFIX;
}

uint64_t addr_hash(const struct addr *a, uint64_t seed)
{
    return XXH3_64bits_withSeed(a->bytes, sizeof a->bytes, seed);
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && addr_equal(&a->addr, &b->addr);
}

const char *endpoint_format(const struct endpoint *e, char text[static ENDPOINT_TEXT_MAX])
{
    char addr_text[ADDR_TEXT_MAX];

    addr_format(&e->addr, addr_text);
    if (addr_is_v4(&e->addr))
        snprintf(text, ENDPOINT_TEXT_MAX, "%s:%u", addr_text, e->port);
    else
        snprintf(text, ENDPOINT_TEXT_MAX, "[%s]:%u", addr_text, e->port);
    return text;
}

/* ":PORT" and nothing after it. */
static int parse_port(const char *text, uint16_t *out)
{
    const size_t digits = text[0] == ':' ? strspn(text + 1, "0123456789") : 0;
    unsigned port = 0;

    if (digits == 0 || digits > 5 || text[1 + digits] != '\0')
        return ERR_MALFORMED;
    for (size_t i = 0; i < digits; i++)
        port = port * 10 + (unsigned)(text[1 + i] - '0');
    if (port > UINT16_MAX)
        return ERR_MALFORMED;
    *out = (uint16_t)port;
    return 0;
}

int endpoint_parse(const char *text, struct endpoint *out)
{
    const bool has_brackets = text[0] == '[';
    const char *begin = text + has_brackets;
    const char *end = strchr(text, has_brackets ? ']' : ':');
    char addr_text[ADDR_TEXT_MAX];

    if (!end || (size_t)(end - begin) >= sizeof addr_text)
        return ERR_MALFORMED;
    memcpy(addr_text, begin, (size_t)(end - begin));
    addr_text[end - begin] = '\0';
    if (addr_parse(addr_text, &out->addr) || parse_port(end + has_brackets, &out->port))
        return ERR_MALFORMED;
    return has_brackets == (strchr(addr_text, ':') != NULL) ? 0 : ERR_MALFORMED;
}

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (addr_is_v4(&e->addr)) {
        struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(e->port)};
        memcpy(&sin.sin_addr, addr_v4_bytes(&e->addr), 4);
        memcpy(out, &sin, sizeof sin);
        return sizeof sin;
    }
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(e->port)};
    memcpy(&sin6.sin6_addr, e->addr.bytes, 16);
    memcpy(out, &sin6, sizeof sin6);
    return sizeof sin6;
}

int endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *out)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in sin;
        memcpy(&sin, sa, sizeof sin);
        out->addr = addr_from_v4(&sin.sin_addr);
        out->port = ntohs(sin.sin_port);
        return 0;
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 sin6;
        memcpy(&sin6, sa, sizeof sin6);
        memcpy(out->addr.bytes, &sin6.sin6_addr, 16);
        out->port = ntohs(sin6.sin6_port);
        return 0;
    }
    return ERR_MALFORMED;
}
