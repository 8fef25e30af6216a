#include "lb/schedule.h"

#include <math.h>
#include <sys/socket.h>

/* The backends that a choice is made among: those of the best fitness that any has. */
struct candidates {
    const struct service *service;
    int family;
    int fitness;
    uint64_t weight;  /* of all of them */
    uint64_t clients; /* of all of them */
};

static bool is_candidate(const struct candidates *c, const struct backend *backend)
{
    return pool_fitness(backend) == c->fitness && addr_family(&backend->addr) == c->family;
}

static struct candidates find_candidates(const struct pool *pool, uint16_t service,
                                         const struct schedule_key *key)
{
    struct candidates c = {.service = &pool->services[service], .family = addr_family(&key->client)};

    for (uint16_t i = c.service->first_backend; i != POOL_NONE; i = pool->backends[i].next) {
        const struct backend *backend = &pool->backends[i];
        const int fitness = pool_fitness(backend);
        if (addr_family(&backend->addr) != c.family || fitness < c.fitness || fitness == 0)
            continue;
        if (fitness > c.fitness) {
            c.fitness = fitness;
            c.weight = c.clients = 0;
        }
        c.weight += backend->weight;
        c.clients += backend->clients;
    }
    return c;
}

/*
 * Weighted rendezvous hashing: the hash as a uniform number u in (0, 1) gives the score -weight / ln(u); a
 * backend's score is the highest with a probability of its weight's share.
 */
static double score(const struct backend *backend, const struct schedule_key *key)
{
    const uint64_t hash = addr_hash(&key->client, backend->seed ^ key->part);
    const double u = ((double)(hash >> 11) + 0.5) * 0x1p-53;

    return -(double)backend->weight / log(u);
}

/* Would one more client make it more than SCHEDULE_BOUND_PERCENT of its fair share, rounded up? */
static bool is_over_bound(const struct candidates *c, const struct backend *backend)
{
    const uint64_t share_scaled = (c->clients + 1) * backend->weight * SCHEDULE_BOUND_PERCENT;
    const uint64_t bound = (share_scaled + 100 * c->weight - 1) / (100 * c->weight);

    return backend->clients + 1 > bound;
}

static uint16_t pick_hash(const struct pool *pool, const struct candidates *c, const struct schedule_key *key,
                          bool bounded)
{
    uint16_t best = POOL_NONE;
    double best_score = 0;

    for (uint16_t index = c->service->first_backend; index != POOL_NONE; index = pool->backends[index].next) {
        const struct backend *backend = &pool->backends[index];
        if (!is_candidate(c, backend) || (bounded && is_over_bound(c, backend)))
            continue;
        const double s = score(backend, key);
        if (best == POOL_NONE || s > best_score) {
            best = index;
            best_score = s;
        }
    }
    return best;
}

static uint16_t pick_least_clients(const struct pool *pool, const struct candidates *c)
{
    uint16_t best = POOL_NONE;

    for (uint16_t index = c->service->first_backend; index != POOL_NONE; index = pool->backends[index].next) {
        const struct backend *backend = &pool->backends[index];
        if (!is_candidate(c, backend))
            continue;
        /* clients / weight without division; one more client counted, so that weights tell among empty
         * backends. */
        if (best == POOL_NONE || (uint64_t)(backend->clients + 1) * pool->backends[best].weight <
                                     (uint64_t)(pool->backends[best].clients + 1) * backend->weight)
            best = index;
    }
    return best;
}

/* Smooth weighted round robin: every candidate gains its weight, the richest is chosen and pays the sum. */
static uint16_t pick_round_robin(struct pool *pool, const struct candidates *c)
{
    uint16_t best = POOL_NONE;

    for (uint16_t index = c->service->first_backend; index != POOL_NONE; index = pool->backends[index].next) {
        struct backend *backend = &pool->backends[index];
        if (!is_candidate(c, backend))
            continue;
        backend->round_robin += backend->weight;
        if (best == POOL_NONE || backend->round_robin > pool->backends[best].round_robin)
            best = index;
    }
    pool->backends[best].round_robin -= (int64_t)c->weight;
    return best;
}

uint16_t schedule_pick(struct pool *pool, uint16_t service, const struct schedule_key *key)
{
    const struct candidates c = find_candidates(pool, service, key);

    if (c.fitness == 0)
        return POOL_NONE;
    switch (c.service->schedule) {
    case CONFIG_SCHEDULE_LEAST_CLIENTS:
        return pick_least_clients(pool, &c);
    case CONFIG_SCHEDULE_ROUND_ROBIN:
        return pick_round_robin(pool, &c);
    case CONFIG_SCHEDULE_SOURCE_HASH:
        return pick_hash(pool, &c, key, false);
    case CONFIG_SCHEDULE_BOUNDED_HASH:
    default:
        return pick_hash(pool, &c, key, true);
    }
}

uint16_t schedule_pick_stateless(const struct pool *pool, uint16_t service, const struct schedule_key *key)
{
    const struct candidates c = find_candidates(pool, service, key);

    return c.fitness == 0 ? POOL_NONE : pick_hash(pool, &c, key, false);
}

uint16_t schedule_pick_after(const struct pool *pool, uint16_t service, const struct schedule_key *key,
                             uint16_t current)
{
    const struct candidates c = find_candidates(pool, service, key);
    const double current_score = score(&pool->backends[current], key);
    uint16_t first = POOL_NONE;
    uint16_t next = POOL_NONE;
    double first_score = 0;
    double next_score = 0;

    if (c.fitness == 0)
        return POOL_NONE;
    for (uint16_t index = c.service->first_backend; index != POOL_NONE; index = pool->backends[index].next) {
        if (index == current || !is_candidate(&c, &pool->backends[index]))
            continue;
        const double s = score(&pool->backends[index], key);
        if (first == POOL_NONE || s > first_score) {
            first = index;
            first_score = s;
        }
        if (s < current_score && (next == POOL_NONE || s > next_score)) {
            next = index;
            next_score = s;
        }
    }
    return next != POOL_NONE ? next : first;
}
