/*
 * Backends and source addresses as the XDP program has them. Entries name them by number, and the numbers of
 * a daemon that goes on with the table of another are not that one's; so two runs have numbers of their own,
 * of which the one or the other is in use.
 */
#pragma once

#include "lb/bindings.h"
#include "lb/xdp/layout.h"

struct places {
    struct xdp_place *places; /* borrowed, as is the next */
    struct xdp_source *sources;
    uint32_t run;
    uint32_t ifindex[POOL_BACKENDS_MAX]; /* by server: where its packets come in; 0: not known */
};

/* The number of a backend, and of a source address, as this run's entries have them. */
uint16_t places_of_backend(const struct places *places, uint16_t backend);
uint16_t places_of_source(const struct places *places, uint16_t source);

/* Writes what has changed of the pool, its states and addresses included. */
void places_refresh(struct places *places, const struct bindings *b);
