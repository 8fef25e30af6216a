#include "lb/xdp/routing.h"

#include <sys/socket.h>

#include "lb/xdp/hops.h"
#include "lb/xdp/rules.h"

/* Routes to so many servers are asked for in a tick, in turn, when they may have changed. */
#define ROUTES_A_TICK 32

/* In so many ticks the hop towards each server is used once. */
#define TICKS_A_ROUND 50

/* So many flows are looked at in a tick, for one whose client's hop is used. */
#define FLOWS_A_TICK 256

int routing_open(struct routing *r, const struct bindings *b)
{
    *r = (struct routing){.b = b};
    return question_open(&r->question, NETLINK_ROUTE);
}

void routing_close(struct routing *r)
{
    question_close(&r->question);
}

void routing_changed(struct routing *r, bool rules)
{
    r->routes_due = r->b->pool->server_count;
    r->rules_due |= rules;
}

static void ask_rules(struct routing *r, struct xdp_about *about)
{
    static const int families[] = {AF_INET, AF_INET6};

    r->rules_due = false;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        const int direct = rules_are_direct(&r->question, families[i]);
        about->is_direct[i] = direct > 0;
        r->rules_due |= direct < 0;
    }
}

/* Where a server's packets come in: where the way to it leads. Nowhere, if there is none, or none is found
 * now. */
static struct hop ask_route(struct routing *r, struct places *places, size_t server)
{
    const struct server *s = &r->b->pool->servers[server];
    struct hop hop = {0};

    if (s->used)
        (void)hop_towards(&r->question, &s->addr, &hop);
    places->ifindex[server] = hop.ifindex;
    return hop;
}

static void ask_next_route(struct routing *r, struct places *places)
{
    if (r->next_route >= r->b->pool->server_count)
        r->next_route = 0;
    (void)ask_route(r, places, r->next_route++);
    r->routes_due--;
}

/* Which also tells what an earlier question could not, as when there was no descriptor for it. */
static void use_hops_of_servers(struct routing *r, struct places *places)
{
    const size_t count = r->b->pool->server_count;

    for (size_t left = (count + TICKS_A_ROUND - 1) / TICKS_A_ROUND; left; left--) {
        if (r->next_server >= count)
            r->next_server = 0;
        const struct hop hop = ask_route(r, places, r->next_server++);
        if (hop.ifindex)
            hop_use(&r->question, &hop);
    }
}

/* Nearly all clients are behind a few gateways. */
static void use_hop_of_a_client(struct routing *r)
{
    uint32_t budget = FLOWS_A_TICK, index;

    while ((index = flows_next(r->b->flows, &r->flow_hand, &budget)) != FLOW_NONE) {
        const struct flow *flow = flows_get(r->b->flows, index);
        if (flow->flags & FLOW_FAST) {
            struct hop hop;
            if (hop_towards(&r->question, &flow->client, &hop) == 0)
                hop_use(&r->question, &hop);
            return;
        }
    }
    if (budget)
        r->flow_hand = 0;
}

void routing_ask_all(struct routing *r, struct places *places)
{
    routing_changed(r, false);
    while (r->routes_due)
        ask_next_route(r, places);
}

void routing_tick(struct routing *r, struct places *places, struct xdp_about *about)
{
    if (r->rules_due)
        ask_rules(r, about);
    for (int i = 0; i < ROUTES_A_TICK && r->routes_due; i++)
        ask_next_route(r, places);
    use_hops_of_servers(r, places);
    use_hop_of_a_client(r);
}
