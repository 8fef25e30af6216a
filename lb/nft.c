#include "lb/nft.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "lb/kernel.h"

/* Writes "ADDR, ADDR, ..." of one family; the number written. */
static size_t put_servers(FILE *out, const struct pool *pool, int family)
{
    char text[ADDR_TEXT_MAX];
    size_t count = 0;

    for (size_t i = 0; i < pool->server_count; i++)
        if (addr_family(&pool->servers[i]) == family)
            fprintf(out, "%s%s", count++ ? ", " : "", addr_format(&pool->servers[i], text));
    return count;
}

static size_t put_vips(FILE *out, const struct pool *pool, int family)
{
    char text[ADDR_TEXT_MAX];
    size_t count = 0;

    for (size_t i = 0; i < pool->service_count; i++) {
        const struct addr *vip = pool_vip(&pool->services[i], family);
        if (vip)
            fprintf(out, "%s%s", count++ ? ", " : "", addr_format(vip, text));
    }
    return count;
}

static void put_set(FILE *out, const char *name, const struct pool *pool, int family,
                    size_t (*put)(FILE *, const struct pool *, int))
{
    fprintf(out, "  set %s%s {\n    type %s\n    elements = { ", name, family == AF_INET ? "4" : "6",
            family == AF_INET ? "ipv4_addr" : "ipv6_addr");
    put(out, pool, family);
    fprintf(out, " }\n  }\n");
}

/* One family's lines of the three chains; `chain` says which. */
static void put_rules(FILE *out, const char *chain, int family, uint16_t port)
{
    const char *ip = family == AF_INET ? "ip" : "ip6";
    const char *n = family == AF_INET ? "4" : "6";

    if (strcmp(chain, "untrack_in") == 0) {
        fprintf(out, "    %s daddr @vips%s udp dport { 500, 4500 } notrack\n", ip, n);
        fprintf(out, "    %s saddr @backends%s udp sport { 500, 4500 } notrack\n", ip, n);
    } else if (strcmp(chain, "untrack_out") == 0) {
        fprintf(out, "    %s saddr @vips%s udp sport { 500, 4500 } notrack\n", ip, n);
        fprintf(out, "    %s daddr @backends%s udp dport { 500, 4500 } notrack\n", ip, n);
    } else {
        /*
         * What claims to come from a backend must come in where the route to that backend goes out, or
         * anybody could speak for it. A backend that is a client of a VIP itself is a client, not a reply; a
         * VIP may be a SNAT address, too, whose ports are others (lb/ports.h).
         */
        fprintf(
            out,
            "    %s saddr @backends%s udp sport { 500, 4500 } fib saddr . iif oif missing counter return\n",
            ip, n);
        fprintf(out, "    %s daddr @vips%s udp dport { 500, 4500 } return\n", ip, n);
        fprintf(out,
                "    %s saddr @backends%s udp sport { 500, 4500 } "
                "meta mark set meta mark and 0x%08x or 0x%08x tproxy %s to :%u accept\n",
                ip, n, ~KERNEL_MARK_MASK, KERNEL_MARK, ip, port);
    }
}

static void put_chain(FILE *out, const char *name, const char *hook, struct io_return_ports ports)
{
    fprintf(out, "  chain %s {\n    type filter hook %s\n", name, hook);
    if (ports.v4)
        put_rules(out, name, AF_INET, ports.v4);
    if (ports.v6)
        put_rules(out, name, AF_INET6, ports.v6);
    fprintf(out, "  }\n");
}

/* `add` before `delete` makes the deletion succeed whether or not the table was there. */
static void put_ruleset(FILE *out, const struct pool *pool, struct io_return_ports ports)
{
    static const int families[] = {AF_INET, AF_INET6};

    fprintf(out, "add table inet %s\ndelete table inet %s\ntable inet %s {\n", KERNEL_NFT_TABLE,
            KERNEL_NFT_TABLE, KERNEL_NFT_TABLE);
    for (size_t i = 0; i < 2; i++) {
        if (!(families[i] == AF_INET ? ports.v4 : ports.v6))
            continue;
        put_set(out, "backends", pool, families[i], put_servers);
        put_set(out, "vips", pool, families[i], put_vips);
    }
    put_chain(out, "untrack_in", "prerouting priority raw; policy accept;", ports);
    put_chain(out, "untrack_out", "output priority raw; policy accept;", ports);
    put_chain(out, "replies", "prerouting priority mangle; policy accept;", ports);
    fprintf(out, "}\n");
}

/* Runs commands in one transaction. */
static int run(const char *commands, const struct log *log)
{
    struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
    int err = ERR_LIBRARY;

    if (!nft)
        return -ENOMEM;
    if (nft_ctx_buffer_error(nft) == 0 && nft_ctx_buffer_output(nft) == 0) {
        err = nft_run_cmd_from_buffer(nft, commands) == 0 ? 0 : ERR_LIBRARY;
        if (err)
            log_error(log, "nftables: %s", nft_ctx_get_error_buffer(nft));
    }
    nft_ctx_free(nft);
    return err;
}

int nft_start(const struct pool *pool, struct io_return_ports ports, const struct log *log)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return -errno;
    put_ruleset(out, pool, ports);
    int err = fclose(out) == 0 ? 0 : -errno;
    if (!err)
        err = run(text, log);
    free(text);
    return err;
}

void nft_stop(const struct log *log)
{
    (void)run("add table inet " KERNEL_NFT_TABLE "\ndelete table inet " KERNEL_NFT_TABLE "\n", log);
}
