#include "persist/spis.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/pages.h"

#define SETS_MIN 16
#define SETS_MAX (UINT32_C(1) << 28)

struct way {
    uint32_t tag; /* of the key, besides its set; 0: empty */
    uint32_t flow;
};

/* One cache line. The latest stands first, so the empty ways are the last ones. */
struct set {
    struct way ways[SPIS_PROPOSALS_MAX];
};

_Static_assert(sizeof(struct set) == 64, "a look-up touches one cache line");

struct spis {
    struct set *sets;
    uint32_t set_mask;
    uint64_t seed;
};

struct spis *spis_create(uint32_t flow_capacity, uint64_t seed)
{
    uint32_t sets = SETS_MIN;
    struct spis *spis = calloc(1, sizeof *spis);

    if (!spis)
        return NULL;
    /* One way a flow or more: of a client's two flows one carries ESP, with two SPIs while a tunnel is
     * rekeyed. */
    while (sets < flow_capacity / SPIS_PROPOSALS_MAX && sets < SETS_MAX)
        sets *= 2;
    spis->sets = pages_alloc_ready(sets, sizeof *spis->sets);
    spis->set_mask = sets - 1;
    spis->seed = seed;
    if (!spis->sets) {
        spis_destroy(spis);
        return NULL;
    }
    return spis;
}

void spis_destroy(struct spis *spis)
{
    if (!spis)
        return;
    pages_free(spis->sets, (size_t)spis->set_mask + 1, sizeof *spis->sets);
    free(spis);
}

static uint64_t hash_of(const struct spis *spis, const struct spi_key *key)
{
    uint8_t bytes[sizeof key->client.bytes + sizeof key->spi + sizeof key->service];
    uint8_t *end = bytes;

    memcpy(end, key->client.bytes, sizeof key->client.bytes);
    end += sizeof key->client.bytes;
    memcpy(end, &key->spi, sizeof key->spi);
    end += sizeof key->spi;
    memcpy(end, &key->service, sizeof key->service);
    return XXH3_64bits_withSeed(bytes, sizeof bytes, spis->seed);
}

static struct set *set_of(const struct spis *spis, uint64_t hash)
{
    return &spis->sets[hash & spis->set_mask];
}

/* From bits that do not choose the set. */
static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32) | 1;
}

void spis_note(struct spis *spis, const struct spi_key *key, uint32_t flow)
{
    const uint64_t hash = hash_of(spis, key);
    const struct way latest = {.tag = tag_of(hash), .flow = flow};
    struct way *ways = set_of(spis, hash)->ways;
    uint32_t place = 0;

    /* Its earlier place, or else the last: that of the oldest, or an empty one. */
    while (place < SPIS_PROPOSALS_MAX - 1 &&
           !(ways[place].tag == latest.tag && ways[place].flow == latest.flow))
        place++;
    memmove(&ways[1], &ways[0], place * sizeof *ways);
    ways[0] = latest;
}

uint32_t spis_find(const struct spis *spis, const struct spi_key *key,
                   uint32_t out[static SPIS_PROPOSALS_MAX])
{
    const uint64_t hash = hash_of(spis, key);
    const struct way *ways = set_of(spis, hash)->ways;
    uint32_t count = 0;

    for (uint32_t i = 0; i < SPIS_PROPOSALS_MAX; i++) {
        if (ways[i].tag == tag_of(hash))
            out[count++] = ways[i].flow;
    }
    return count;
}
