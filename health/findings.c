#include "health/findings.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "health/path_findings.h"
#include "health/reach_findings.h"
#include "health/server_findings.h"

static size_t count_of(const struct findings *all, int family)
{
    size_t count = 0;

    for (size_t i = 0; i < all->address_count; i++)
        count += addr_family(&all->addresses[i].addr) == family;
    return count;
}

static void list_addresses(const struct findings *all, char list[static FINDING_TEXT_MAX])
{
    char text[ADDR_TEXT_MAX];

    list[0] = '\0';
    for (size_t i = 0; i < all->address_count; i++) {
        const size_t len = strlen(list);
        snprintf(list + len, FINDING_TEXT_MAX - len, "%s%s", i ? ", " : "",
                 addr_format(&all->addresses[i].addr, text));
    }
}

void findings_of_name(struct findings *all, const struct findings_name *name)
{
    struct finding *f = &all->name;
    char list[FINDING_TEXT_MAX];

    f->id = "name";
    f->title = "name";
    list_addresses(all, list);
    if (name->problem)
        finding_set(f, FINDING_FAILED,
                    "Check the spelling, and that the name server that this machine asks knows the name: "
                    "clients on the internet need it in the public DNS.",
                    "%.128s has no address: %.100s", name->host, name->problem);
    else if (name->is_literal)
        finding_set(f, FINDING_OK, NULL, "%s is an address, there is no name to look up", list);
    else if (count_of(all, AF_INET) > 1 || count_of(all, AF_INET6) > 1)
        finding_set(f, FINDING_WARNING,
                    "Clients choose among the addresses by chance, one that is down included, and may come "
                    "back to another server than the one that has their session. Give the name one IPv4 "
                    "address and at most one IPv6 address: a balancer's VIP.",
                    "%.200s%s: several servers, or one with several addresses", list,
                    name->left_out ? " and more" : "");
    else
        finding_set(f, FINDING_OK, NULL, "%s", list);
}

void findings_of_checkup(struct findings_address *a, const struct checkup_result *r, bool is_own)
{
    static void (*const rest[])(const struct checkup_result *r, struct finding *f) = {
        reach_findings_source_ports,     server_findings_pairing,    server_findings_handshakes,
        path_findings_ike_fragmentation, path_findings_ip_fragments, path_findings_mtu,
        path_findings_mtu_back,          reach_findings_tcp,         server_findings_vendor,
    };

    a->addr = r->target;
    a->count = 0;
    for (int i = 0; i < INQUIRY_PORTS; i++)
        reach_findings_udp(r, i, is_own, &a->list[a->count++]);
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        rest[i](r, &a->list[a->count++]);
}

void findings_of_no_route(struct findings_address *a, int error, bool is_only_one)
{
    struct finding *f = &a->list[0];

    a->count = 1;
    f->id = "route";
    f->title = "route";
    if (is_only_one)
        finding_set(f, FINDING_FAILED, "Connect this machine to that network, or ask from another one.",
                    "this machine has none to it: %s", err_text(error));
    else
        finding_set(f, FINDING_UNTESTED, NULL, "this machine has none to it: %s", err_text(error));
}

enum finding_status findings_verdict(const struct findings *all)
{
    enum finding_status worst = all->name.status;

    for (size_t i = 0; i < all->address_count; i++)
        for (size_t k = 0; k < all->addresses[i].count; k++)
            if (all->addresses[i].list[k].status > worst)
                worst = all->addresses[i].list[k].status;
    return worst == FINDING_UNTESTED ? FINDING_OK : worst;
}

static void add(char *list, size_t size, const char *title, const char *at)
{
    const size_t len = strlen(list);

    snprintf(list + len, size - len, "%s%s%s%s", len ? ", " : "", title, at[0] ? " at " : "", at);
}

/* The titles of all findings of this status; with the address where there are several. */
static void list_titles(const struct findings *all, enum finding_status status, char *list, size_t size)
{
    list[0] = '\0';
    if (all->name.status == status)
        add(list, size, all->name.title, "");
    for (size_t i = 0; i < all->address_count; i++) {
        const struct findings_address *a = &all->addresses[i];
        char at[ADDR_TEXT_MAX] = "";
        if (all->address_count > 1)
            addr_format(&a->addr, at);
        for (size_t k = 0; k < a->count; k++)
            if (a->list[k].status == status)
                add(list, size, a->list[k].title, at);
    }
}

const char *findings_verdict_text(const struct findings *all, char text[static FINDINGS_VERDICT_MAX])
{
    const enum finding_status verdict = findings_verdict(all);
    char list[FINDINGS_VERDICT_MAX / 2];

    list_titles(all, verdict, list, sizeof list);
    if (verdict == FINDING_FAILED)
        snprintf(text, FINDINGS_VERDICT_MAX,
                 "Clients fail here, Windows with error 809. To be mended first: %s.", list);
    else if (verdict == FINDING_WARNING)
        snprintf(text, FINDINGS_VERDICT_MAX, "Clients can connect from here. Worth a look: %s.", list);
    else
        snprintf(
            text, FINDINGS_VERDICT_MAX,
            "From here nothing stands in the way of IKEv2. If a client fails all the same, look at its "
            "certificate and in the server's log; on a balancer, `ikelb explain` tells how far it came.");
    return text;
}
