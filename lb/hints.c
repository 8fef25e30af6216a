#include "lb/hints.h"

#include <stdlib.h>

#define HINT_COUNT 65536

struct hint {
    uint32_t tag; /* of the key, besides its place; 0: empty */
    uint16_t backend;
};

struct hints {
    uint64_t seed;
    struct hint table[HINT_COUNT];
};

struct hints *hints_create(uint64_t seed)
{
    struct hints *hints = calloc(1, sizeof *hints);

    if (hints)
        hints->seed = seed;
    return hints;
}

void hints_destroy(struct hints *hints)
{
    free(hints);
}

static uint64_t hash_of(const struct hints *hints, const struct hint_key *key)
{
    const uint64_t rest = (uint64_t)key->server << 32 | (uint64_t)key->port << 16 | key->client.port;

    return addr_hash(&key->client.addr, hints->seed ^ rest);
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32) | 1;
}

void hints_note(struct hints *hints, const struct hint_key *key, uint16_t backend)
{
    const uint64_t hash = hash_of(hints, key);

    hints->table[hash % HINT_COUNT] = (struct hint){.tag = tag_of(hash), .backend = backend};
}

uint16_t hints_find(const struct hints *hints, const struct hint_key *key)
{
    const uint64_t hash = hash_of(hints, key);
    const struct hint *hint = &hints->table[hash % HINT_COUNT];

    return hint->tag == tag_of(hash) ? hint->backend : HINTS_NONE;
}
