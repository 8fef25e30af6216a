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

/*
 * The backend that the service's schedule gives this client: the index in pool->backends, or POOL_NONE when
 * no backend of the client's address family may get new clients. Advances round robin; changes nothing else.
 */
uint16_t schedule_pick(struct pool *pool, uint16_t service, const struct addr *client);

/* The same by source-hash whatever the schedule: what needs no memory and no history. */
uint16_t schedule_pick_stateless(const struct pool *pool, uint16_t service, const struct addr *client);
