#include "lb/nft.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/err.h"
#include "lb/kernel.h"
#include "lb/ports.h"

/* Ports of this machine that full NAT never uses (lb/ports.h): what comes to them answers some other program.
 */
#define SPARED_PORTS "{ 0-1023, 4500, 64512-65535 }"
_Static_assert(PORTS_FIRST == 1024 && PORTS_LAST == 64511 && PORTS_RESERVED == 4500,
               "SPARED_PORTS follows lb/ports.h");

#define FAMILY_COUNT 2

struct nft {
    struct nft_ctx *library;
};

/* One address family's share of the table. */
struct family {
    int family;
    const char *ip;     /* nft's word for it */
    const char *suffix; /* of the names of its sets and chains */
    uint16_t port;      /* of the socket of the way back; 0: the family is not served */
    bool full_nat;      /* any service in that mode? */
};

/* What a set holds: "elements = { ADDR, ADDR }". nft takes no empty list. */
static void put_element(FILE *out, const struct addr *addr, size_t *count)
{
    char text[ADDR_TEXT_MAX];

    fprintf(out, "%s%s", (*count)++ ? ", " : "    elements = { ", addr_format(addr, text));
}

static void end_elements(FILE *out, size_t count)
{
    fputs(count ? " }\n" : "", out);
}

static void put_servers(FILE *out, const struct pool *pool, int family)
{
    size_t count = 0;

    for (size_t i = 0; i < pool->server_count; i++) {
        const struct server *server = &pool->servers[i];
        if (server->used && addr_family(&server->addr) == family)
            put_element(out, &server->addr, &count);
    }
    end_elements(out, count);
}

static void put_vips(FILE *out, const struct pool *pool, int family)
{
    size_t count = 0;

    /* Not in the file's order, whose change is none for the kernel. */
    for (size_t s = 0; s < pool->service_count; s++) {
        const struct service *service = &pool->services[s];
        const struct addr *vip = service->used ? pool_vip(service, family) : NULL;
        if (vip)
            put_element(out, vip, &count);
    }
    end_elements(out, count);
}

static const char *set_type(const struct family *f)
{
    return f->family == AF_INET ? "ipv4_addr" : "ipv6_addr";
}

static void put_set(FILE *out, const char *name, const struct pool *pool, const struct family *f,
                    void (*put)(FILE *, const struct pool *, int))
{
    fprintf(out, "  set %s%s {\n    type %s\n", name, f->suffix, set_type(f));
    put(out, pool, f->family);
    fprintf(out, "  }\n");
}

/*
 * What ikelb carries needs no connection tracking. Ports come first: that test is cheap, and tells most
 * foreign packets.
 */
static void put_untrack_in(FILE *out, const struct family *f)
{
    fprintf(out, "    udp dport { 500, 4500 } %s daddr @vips%s notrack accept\n", f->ip, f->suffix);
    fprintf(out, "    udp sport { 500, 4500 } %s saddr @backends%s notrack accept\n", f->ip, f->suffix);
}

static void put_untrack_out(FILE *out, const struct family *f)
{
    fprintf(out, "    udp dport { 500, 4500 } %s daddr @backends%s notrack accept\n", f->ip, f->suffix);
    fprintf(out, "    udp sport { 500, 4500 } %s saddr @vips%s notrack accept\n", f->ip, f->suffix);
}

static void put_replies(FILE *out, const struct family *f)
{
    fprintf(out, "    udp sport { 500, 4500 } %s saddr @backends%s goto replies%s\n", f->ip, f->suffix,
            f->suffix);
}

/*
 * Replies go to our socket, with three exceptions. What claims to come from a backend must come in where the
 * route to that backend goes out, or anybody could speak for it. What a backend sends to a VIP's own ports
 * comes from a client. And what it sends to an address of this machine, but to no port of full NAT, answers
 * some program here. Where the socket has gone without the table, the rule ends at `tproxy`, before the mark
 * would lead the packet astray: it is forwarded as if there were no table.
 */
static void put_family_chain(FILE *out, const struct family *f)
{
    fprintf(out, "  chain replies%s {\n", f->suffix);
    fprintf(out, "    fib saddr . iif oif missing counter return\n");
    fprintf(out, "    %s daddr @vips%s udp dport { 500, 4500 } return\n", f->ip, f->suffix);
    fprintf(out, "    %sfib daddr type local return\n", f->full_nat ? "udp dport " SPARED_PORTS " " : "");
    fprintf(out,
            "    meta l4proto udp tproxy %s to :%u meta mark set meta mark and 0x%08x or 0x%08x accept\n",
            f->ip, f->port, ~KERNEL_MARK_MASK, KERNEL_MARK);
    fprintf(out, "  }\n");
}

static void put_base_chain(FILE *out, const char *name, const char *hook, const struct family *families,
                           void (*put)(FILE *, const struct family *))
{
    fprintf(out, "  chain %s {\n    type filter hook %s; policy accept;\n", name, hook);
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        if (families[i].port)
            put(out, &families[i]);
    fprintf(out, "  }\n");
}

static bool has_full_nat(const struct pool *pool, int family)
{
    for (uint16_t s = pool->first_service; s != POOL_NONE; s = pool->services[s].next)
        if (pool->services[s].mode == CONFIG_MODE_FULL_NAT && pool_vip(&pool->services[s], family))
            return true;
    return false;
}

/* Empties the sets and chains of a family that are there; those that are not wanted any more go. `add` before
 * it makes that succeed whether or not they were there. */
static void put_clearing(FILE *out, const struct family *f)
{
    static const char *const sets[] = {"backends", "vips"};
    const char *verb = f->port ? "flush" : "delete";

    fprintf(out,
            "add chain inet " KERNEL_NFT_TABLE " replies%s\n%s chain inet " KERNEL_NFT_TABLE " replies%s\n",
            f->suffix, verb, f->suffix);
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        fprintf(out, "add set inet " KERNEL_NFT_TABLE " %s%s { type %s; }\n", sets[i], f->suffix,
                set_type(f));
        fprintf(out, "%s set inet " KERNEL_NFT_TABLE " %s%s\n", verb, sets[i], f->suffix);
    }
}

/*
 * The table's chains and sets are kept, and their contents replaced: a packet meets either the old rules or
 * the new ones. New chains instead of the old ones would be hooked in beside those, and a packet between the
 * two could meet neither's rules. `anew` replaces the table all the same, for one that another version has
 * left.
 */
static void put_ruleset(FILE *out, const struct pool *pool, struct io_return_ports ports, bool anew)
{
    const struct family families[] = {
        {AF_INET, "ip", "4", ports.v4, has_full_nat(pool, AF_INET)},
        {AF_INET6, "ip6", "6", ports.v6, has_full_nat(pool, AF_INET6)},
    };

    fprintf(out, "add table inet " KERNEL_NFT_TABLE "\n%s table inet " KERNEL_NFT_TABLE "\n",
            anew ? "delete" : "flush");
    if (anew)
        fprintf(out, "add table inet " KERNEL_NFT_TABLE "\n");
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        put_clearing(out, &families[i]);
    fprintf(out, "table inet " KERNEL_NFT_TABLE " {\n");
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        if (!families[i].port)
            continue;
        put_set(out, "backends", pool, &families[i], put_servers);
        put_set(out, "vips", pool, &families[i], put_vips);
        put_family_chain(out, &families[i]);
    }
    put_base_chain(out, "untrack_in", "prerouting priority raw", families, put_untrack_in);
    put_base_chain(out, "untrack_out", "output priority raw", families, put_untrack_out);
    put_base_chain(out, "replies", "prerouting priority mangle", families, put_replies);
    fprintf(out, "}\n");
}

struct nft *nft_create(void)
{
    struct nft *nft = calloc(1, sizeof *nft);

    if (!nft)
        return NULL;
    nft->library = nft_ctx_new(NFT_CTX_DEFAULT);
    if (nft->library && nft_ctx_buffer_error(nft->library) == 0 && nft_ctx_buffer_output(nft->library) == 0)
        return nft;
    nft_destroy(nft);
    return NULL;
}

void nft_destroy(struct nft *nft)
{
    if (!nft)
        return;
    if (nft->library)
        nft_ctx_free(nft->library);
    free(nft);
}

/* Runs commands in one transaction. A failure is logged if `log` is not NULL: the first line of the library's
 * words says what is wrong, the others quote the command. */
static int run(struct nft *nft, const char *commands, const struct log *log)
{
    if (nft_run_cmd_from_buffer(nft->library, commands) == 0)
        return 0;
    const char *text = nft_ctx_get_error_buffer(nft->library); /* which begins a new one, too */
    if (log)
        log_error(log, "nftables: %.*s", (int)strcspn(text, "\n"), text);
    return ERR_LIBRARY;
}

/* All commands that make the table, to be freed; NULL without memory. */
static char *ruleset_text(const struct pool *pool, struct io_return_ports ports, bool anew)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return NULL;
    put_ruleset(out, pool, ports, anew);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static int replace(struct nft *nft, const struct pool *pool, struct io_return_ports ports, bool anew,
                   const struct log *log)
{
    char *text = ruleset_text(pool, ports, anew);
    const int err = text ? run(nft, text, log) : -ENOMEM;

    free(text);
    return err;
}

int nft_start(struct nft *nft, const struct pool *pool, struct io_return_ports ports, const struct log *log)
{
    return replace(nft, pool, ports, false, NULL) == 0 ? 0 : replace(nft, pool, ports, true, log);
}

uint64_t nft_fingerprint(const struct pool *pool, struct io_return_ports ports)
{
    char *text = ruleset_text(pool, ports, false);
    const uint64_t hash = text ? XXH3_64bits(text, strlen(text)) : 0;

    free(text);
    return hash;
}

void nft_stop(struct nft *nft, const struct log *log)
{
    (void)run(nft, "add table inet " KERNEL_NFT_TABLE "\ndelete table inet " KERNEL_NFT_TABLE "\n", log);
}
