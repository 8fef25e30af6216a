#include "lb/limiter.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"

#define WAYS      8
#define SET_COUNT (LIMITER_ADDRESSES / WAYS)

/*
 * Thousandths of tokens are the unit of account: a bucket gains exactly `rate_per_s` of them each
 * millisecond, so nothing is ever rounded. Counted from time zero, the same number is also a clock, and a
 * bucket is no more than the time on this clock at which it will be full. A time gone by says that it is
 * full: this needs no upkeep, makes the bucket end at `burst`, and lets zeroed memory be a table of full
 * buckets.
 */
#define TOKEN 1000ULL

struct bucket {
    uint64_t key;
    uint64_t full_at;
};

/* Two cache lines. */
struct set {
    struct bucket buckets[WAYS];
};
_Static_assert(sizeof(struct set) == 128, "a set is two cache lines");

/*
 * A token is complete somewhere within a millisecond, and is there for the taking at the end of it. What that
 * millisecond brings besides must not be lost, or a small burst would slow down every rate that 1000 is no
 * multiple of. So a bucket holds that, too: always less than a token, and nothing for one token a second.
 */
struct limiter {
    uint64_t rate;     /* thousandths of tokens a millisecond, which is tokens a second */
    uint64_t capacity; /* thousandths of tokens */
    uint64_t seed;
    struct set *sets;
};

struct limiter *limiter_create(uint32_t rate_per_s, uint32_t burst, uint64_t seed)
{
    struct limiter *limiter = malloc(sizeof *limiter);

    assert(rate_per_s > 0 && rate_per_s <= LIMITER_RATE_MAX && burst > 0 && burst <= LIMITER_BURST_MAX);
    if (!limiter)
        return NULL;
    *limiter = (struct limiter){
        .rate = rate_per_s,
        .capacity = burst * TOKEN + (rate_per_s < TOKEN ? rate_per_s : TOKEN) - 1,
        .seed = seed,
        .sets = pages_alloc_ready(SET_COUNT, sizeof *limiter->sets),
    };
    if (!limiter->sets) {
        free(limiter);
        return NULL;
    }
    return limiter;
}

void limiter_destroy(struct limiter *limiter)
{
    if (!limiter)
        return;
    pages_free(limiter->sets, SET_COUNT, sizeof *limiter->sets);
    free(limiter);
}

/* What shares a bucket, with the rest of the address cleared. */
static struct addr group_of(const struct addr *client)
{
    struct addr group = *client;

    if (!addr_is_v4(client))
        memset(group.bytes + 8, 0, 8);
    return group;
}

/*
 * Exact, not a hash, so that no two addresses ever share a bucket by chance: the half of the address that is
 * not constant. As a /64 of IPv6 the half of a mapped address would lie in 0::/8, which is not routed (RFC
 * 4291 section 2.4 and IANA's registry).
 */
static uint64_t key_of(const struct addr *group)
{
    uint64_t key;

    memcpy(&key, group->bytes + (addr_is_v4(group) ? 8 : 0), sizeof key);
    return key;
}

/* The bucket of this key, or else the one nearest to full, made a full one of this key. */
static struct bucket *find_bucket(struct set *set, uint64_t key)
{
    struct bucket *fullest = &set->buckets[0];

    for (unsigned i = 0; i < WAYS; i++) {
        struct bucket *bucket = &set->buckets[i];

        if (bucket->key == key)
            return bucket;
        if (bucket->full_at < fullest->full_at)
            fullest = bucket;
    }
    *fullest = (struct bucket){.key = key};
    return fullest;
}

bool limiter_take(struct limiter *limiter, const struct addr *client, uint64_t now_ms)
{
    const struct addr group = group_of(client);
    struct set *set = &limiter->sets[addr_hash(&group, limiter->seed) % SET_COUNT];
    struct bucket *bucket = find_bucket(set, key_of(&group));
    const uint64_t now = now_ms * limiter->rate;
    const uint64_t full_at = (bucket->full_at > now ? bucket->full_at : now) + TOKEN;

    if (full_at - now > limiter->capacity)
        return false;
    bucket->full_at = full_at;
    return true;
}
