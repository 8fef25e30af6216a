#include "app/target.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "app/cli.h"
#include "config/duration.h"
#include "lb/sockets.h"

#define TIMEOUT_MAX_MS  60000
#define DEFAULT_TIMEOUT "2s"
#define HOST_MAX        256

static bool read_literal(const char *host, struct addr *addr)
{
    char text[HOST_MAX];
    const size_t len = strlen(host);

    if (len > 2 && len < sizeof text && host[0] == '[' && host[len - 1] == ']') {
        memcpy(text, host + 1, len - 2);
        text[len - 2] = '\0';
        return addr_parse(text, addr) == 0;
    }
    return addr_parse(host, addr) == 0;
}

void target_resolve(const char *host, bool all_families, struct target *t)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = all_families ? 0 : AI_ADDRCONFIG};
    struct addrinfo *list = NULL;

    *t = (struct target){.host = host};
    t->is_literal = read_literal(host, &t->addresses[0]);
    if (t->is_literal) {
        t->count = 1;
        return;
    }
    const int failure = getaddrinfo(host, NULL, &hints, &list);
    if (failure) {
        t->problem = gai_strerror(failure);
        return;
    }
    for (const struct addrinfo *at = list; at; at = at->ai_next) {
        struct endpoint e;
        if (endpoint_from_sockaddr(at->ai_addr, &e) != 0)
            continue;
        if (t->count == TARGET_ADDRESSES_MAX)
            t->left_out++;
        else
            t->addresses[t->count++] = e.addr;
    }
    freeaddrinfo(list);
    if (t->count == 0)
        t->problem = "No IPv4 or IPv6 address";
}

bool target_is_own(const struct addr *addr)
{
    struct addr src;
    uint32_t mtu;

    /* The kernel answers to itself from the very address that it was asked at. */
    return sockets_route(addr, &src, &mtu) == 0 && addr_equal(&src, addr);
}

static int read_timeout(const char *command, const char *text, uint32_t *timeout_ms)
{
    uint64_t ms = 0;

    if (duration_parse(text, &ms) != 0 || ms < 1 || ms > TIMEOUT_MAX_MS) {
        fprintf(stderr,
                "ikelb %s: --timeout: '%s' is no duration from 1ms to 60s; it is a number and a unit: 500ms, "
                "5s\n",
                command, text);
        return CLI_USAGE;
    }
    *timeout_ms = (uint32_t)ms;
    return CLI_GO_ON;
}

int target_read_request(int argc, char **argv, const char *help, const char *purpose,
                        struct target_request *out)
{
    const char *timeout = DEFAULT_TIMEOUT;
    const struct cli_option options[] = {{"timeout", .value = &timeout}, {"json", .on = &out->as_json}, {0}};

    *out = (struct target_request){0};
    int status = cli_read(argc, argv, help, 1, options);
    if (status == CLI_GO_ON)
        status = read_timeout(argv[0], timeout, &out->timeout_ms);
    if (status == CLI_GO_ON && optind == argc) {
        fprintf(stderr, "ikelb %s: it needs a HOST %s\nSee `ikelb %s --help`.\n", argv[0], purpose, argv[0]);
        return CLI_USAGE;
    }
    out->host = argv[optind];
    return status;
}
