/*
 * Which backend a new client gets. Both hash schedules are weighted rendezvous hashing with a fixed seed: any
 * two nodes with the same configuration choose alike, and a backend that goes or comes moves only its own
 * share of the clients.
 */
#pragma once

#include "base/addr.h"
#include "lb/pool.h"

/* bounded-hash skips a backend that would hold more than this multiple of its fair share of the service's
 * clients. */
#define SCHEDULE_BOUND_PERCENT 125

/* What is hashed. */
struct schedule_key {
    struct addr client;
    uint64_t
        part; /* 0; where the clients behind one address are spread (persistence.spread_nat): which of them */
};

/*
 * The backend that the service's schedule gives this client: the index in pool->backends, or POOL_NONE when
 * no backend of the client's address family may get new clients. Advances round robin; changes nothing else.
 */
uint16_t schedule_pick(struct pool *pool, uint16_t service, const struct schedule_key *key);

/* The same by source-hash whatever the schedule: what needs no memory and no history. */
uint16_t schedule_pick_stateless(const struct pool *pool, uint16_t service, const struct schedule_key *key);

/*
 * The backend to ask after `current` did not answer: the next in the order of source-hash, and after the last
 * of them the first. POOL_NONE if there is no other.
 */
uint16_t schedule_pick_after(const struct pool *pool, uint16_t service, const struct schedule_key *key,
                             uint16_t current);
