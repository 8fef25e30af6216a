#include "lb/flows.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/err.h"
#include "base/pages.h"

_Static_assert(sizeof(struct flow) == 64, "a flow is one cache line");

/* Buckets and chains hold index + 1, so that fresh zero pages are empty. */
struct flows {
    struct flow *slots;
    uint32_t *in_buckets;
    uint32_t *out_buckets;
    uint32_t bucket_mask;
    uint32_t capacity;
    uint64_t seed;
    uint32_t untouched; /* slots from here on were never used: their pages cost no memory yet */
    uint32_t free_head;
    uint32_t count;
    uint32_t unconfirmed_max;
    uint32_t unconfirmed;
    uint32_t oldest;
    uint32_t youngest;
};

struct flows *flows_create(uint32_t capacity, uint32_t unconfirmed_max, uint64_t seed)
{
    uint32_t buckets = 16;
    struct flows *flows = calloc(1, sizeof *flows);

    if (!flows)
        return NULL;
    while (buckets < capacity && buckets < UINT32_C(1) << 30)
        buckets *= 2;
    flows->slots = pages_alloc(capacity, sizeof *flows->slots);
    flows->in_buckets = pages_alloc_ready(buckets, sizeof *flows->in_buckets);
    flows->out_buckets = pages_alloc_ready(buckets, sizeof *flows->out_buckets);
    flows->bucket_mask = buckets - 1;
    flows->capacity = capacity;
    flows->unconfirmed_max = unconfirmed_max;
    flows->seed = seed;
    flows->free_head = flows->oldest = flows->youngest = FLOW_NONE;
    if (!flows->slots || !flows->in_buckets || !flows->out_buckets) {
        flows_destroy(flows);
        return NULL;
    }
    return flows;
}

void flows_destroy(struct flows *flows)
{
    if (!flows)
        return;
    pages_free(flows->slots, flows->capacity, sizeof *flows->slots);
    pages_free(flows->in_buckets, (size_t)flows->bucket_mask + 1, sizeof *flows->in_buckets);
    pages_free(flows->out_buckets, (size_t)flows->bucket_mask + 1, sizeof *flows->out_buckets);
    free(flows);
}

/* The rest of a key goes into the seed: XXH3 of 16 bytes is a handful of instructions. */
static uint32_t *in_bucket(const struct flows *flows, const struct addr *client, uint16_t port,
                           uint16_t listener)
{
    const uint64_t seed = flows->seed ^ ((uint64_t)listener << 16 | port);

    return &flows->in_buckets[addr_hash(client, seed) & flows->bucket_mask];
}

static uint32_t *out_bucket(const struct flows *flows, const struct flow_out_key *key)
{
    const uint64_t seed = flows->seed ^ ((uint64_t)key->port << 48 | (uint64_t)key->server << 32 |
                                         (uint64_t)key->source << 16 | key->source_port);
    static const struct addr no_client;

    return &flows
                ->out_buckets[addr_hash(key->source == FLOW_SOURCE_CLIENT ? &key->client : &no_client, seed) &
                              flows->bucket_mask];
}

struct flow_out_key flow_out_key(const struct flow *flow)
{
    return (struct flow_out_key){
        .client = flow->client,
        .source = flow->source,
        .source_port = flow->source_port,
        .server = flow->server,
        .port = flow->listener % 2,
    };
}

uint32_t flows_find_in(const struct flows *flows, const struct flow_in_key *key)
{
    uint32_t link = *in_bucket(flows, &key->client, key->client_port, key->listener);

    while (link) {
        const struct flow *flow = &flows->slots[link - 1];
        if (flow->client_port == key->client_port && flow->listener == key->listener &&
            addr_equal(&flow->client, &key->client))
            return link - 1;
        link = flow->in_next;
    }
    return FLOW_NONE;
}

uint32_t flows_find_out(const struct flows *flows, const struct flow_out_key *key)
{
    uint32_t link = *out_bucket(flows, key);

    while (link) {
        const struct flow *flow = &flows->slots[link - 1];
        if (flow->source_port == key->source_port && flow->source == key->source &&
            flow->server == key->server && flow->listener % 2 == key->port &&
            (key->source != FLOW_SOURCE_CLIENT || addr_equal(&flow->client, &key->client)))
            return link - 1;
        link = flow->out_next;
    }
    return FLOW_NONE;
}

static void age_append(struct flows *flows, uint32_t index)
{
    struct flow *flow = &flows->slots[index];

    flow->age_prev = flows->youngest;
    flow->age_next = FLOW_NONE;
    if (flows->youngest == FLOW_NONE)
        flows->oldest = index;
    else
        flows->slots[flows->youngest].age_next = index;
    flows->youngest = index;
    flows->unconfirmed++;
}

static void age_unlink(struct flows *flows, uint32_t index)
{
    const struct flow *flow = &flows->slots[index];

    if (flow->age_prev == FLOW_NONE)
        flows->oldest = flow->age_next;
    else
        flows->slots[flow->age_prev].age_next = flow->age_next;
    if (flow->age_next == FLOW_NONE)
        flows->youngest = flow->age_prev;
    else
        flows->slots[flow->age_next].age_prev = flow->age_prev;
    flows->unconfirmed--;
}

bool flows_has_room(const struct flows *flows, bool confirmed)
{
    return flows->count < flows->capacity && (confirmed || flows->unconfirmed < flows->unconfirmed_max);
}

int flows_insert(struct flows *flows, const struct flow *flow, uint64_t now_ms, uint32_t *index)
{
    const bool confirmed = flow->flags & FLOW_CONFIRMED;

    if (!flows_has_room(flows, confirmed))
        return ERR_FULL;

    uint32_t slot = flows->free_head;
    if (slot == FLOW_NONE)
        slot = flows->untouched++;
    else
        flows->free_head = flows->slots[slot].age_next;

    const struct flow_out_key out_key = flow_out_key(flow);
    uint32_t *in_head = in_bucket(flows, &flow->client, flow->client_port, flow->listener);
    uint32_t *out_head = out_bucket(flows, &out_key);
    struct flow *made = &flows->slots[slot];
    *made = *flow;
    made->flags = confirmed ? FLOW_CONFIRMED : 0;
    made->in_use = 1;
    made->seen_ms = (uint32_t)now_ms;
    made->in_next = *in_head;
    made->out_next = *out_head;
    *in_head = slot + 1;
    *out_head = slot + 1;
    if (!confirmed)
        age_append(flows, slot);
    flows->count++;
    *index = slot;
    return 0;
}

struct flow *flows_get(struct flows *flows, uint32_t index)
{
    return &flows->slots[index];
}

void flows_confirm(struct flows *flows, uint32_t index, uint64_t now_ms)
{
    struct flow *flow = &flows->slots[index];

    if (flow->flags & FLOW_CONFIRMED)
        return;
    age_unlink(flows, index);
    flow->flags |= FLOW_CONFIRMED;
    flow->seen_ms = (uint32_t)now_ms;
}

void flows_remove(struct flows *flows, uint32_t index)
{
    struct flow *flow = &flows->slots[index];
    const struct flow_out_key out_key = flow_out_key(flow);
    uint32_t *link = in_bucket(flows, &flow->client, flow->client_port, flow->listener);

    while (*link != index + 1)
        link = &flows->slots[*link - 1].in_next;
    *link = flow->in_next;

    link = out_bucket(flows, &out_key);
    while (*link != index + 1)
        link = &flows->slots[*link - 1].out_next;
    *link = flow->out_next;

    if (!(flow->flags & FLOW_CONFIRMED))
        age_unlink(flows, index);
    *flow = (struct flow){.age_next = flows->free_head};
    flows->free_head = index;
    flows->count--;
}

uint32_t flows_oldest_unconfirmed(const struct flows *flows)
{
    return flows->oldest;
}

uint32_t flows_next(const struct flows *flows, uint32_t *cursor, uint32_t *budget)
{
    while (*cursor < flows->untouched && *budget) {
        const uint32_t index = (*cursor)++;
        --*budget;
        if (flows->slots[index].in_use)
            return index;
    }
    return FLOW_NONE;
}

uint32_t flows_count(const struct flows *flows)
{
    return flows->count;
}

uint32_t flows_unconfirmed_count(const struct flows *flows)
{
    return flows->unconfirmed;
}

uint32_t flows_capacity(const struct flows *flows)
{
    return flows->capacity;
}

size_t flows_memory(const struct flows *flows)
{
    return (size_t)flows->capacity * sizeof *flows->slots +
           2 * ((size_t)flows->bucket_mask + 1) * sizeof *flows->in_buckets;
}
