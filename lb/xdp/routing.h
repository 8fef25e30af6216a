/*
 * What must be known and told of the kernel's routing while the program uses it: where backends' packets come
 * in, whether policy rules matter, and that next hops are in use.
 */
#pragma once

#include <stdbool.h>

#include "lb/bindings.h"
#include "lb/question.h"
#include "lb/xdp/places.h"

struct routing {
    const struct bindings *b; /* borrowed */
    struct question question;
    size_t next_route; /* the server to ask the route of next */
    size_t routes_due; /* so many are to be asked */
    bool rules_due;
    size_t next_server; /* whose hop to use next */
    uint32_t flow_hand; /* of flows_next() */
};

/* 0 or -errno. */
int routing_open(struct routing *r, const struct bindings *b);
void routing_close(struct routing *r);

/* Routes may have changed, and with `rules` rules as well: they will be asked for. */
void routing_changed(struct routing *r, bool rules);

/* Asks for the routes to all servers at once: some ten microseconds each. */
void routing_ask_all(struct routing *r, struct places *places);

/* To be called ten times a second: asks for some of what may have changed, and uses some next hops. */
void routing_tick(struct routing *r, struct places *places, struct xdp_about *about);
