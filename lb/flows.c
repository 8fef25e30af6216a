#include "lb/flows.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/err.h"
#include "base/pages.h"

_Static_assert(sizeof(struct flow) == 64, "a flow is one cache line");

/* Buckets and chains hold index + 1, so that fresh zero pages are empty. */
struct flows {
    struct slots slots;
    struct flow *flows; /* by slot */
    uint32_t *in_buckets;
    uint32_t *out_buckets;
    uint32_t bucket_mask;
    uint64_t seed;
};

struct flows *flows_create(uint32_t capacity, uint32_t unconfirmed_max, uint64_t seed)
{
    uint32_t buckets = 16;
    struct flows *flows = calloc(1, sizeof *flows);

    if (!flows)
        return NULL;
    while (buckets < capacity && buckets < UINT32_C(1) << 30)
        buckets *= 2;
    const int err = slots_init(&flows->slots, capacity, unconfirmed_max);
    flows->flows = pages_alloc(capacity, sizeof *flows->flows);
    flows->in_buckets = pages_alloc_ready(buckets, sizeof *flows->in_buckets);
    flows->out_buckets = pages_alloc_ready(buckets, sizeof *flows->out_buckets);
    flows->bucket_mask = buckets - 1;
    flows->seed = seed;
    if (err || !flows->flows || !flows->in_buckets || !flows->out_buckets) {
        flows_destroy(flows);
        return NULL;
    }
    return flows;
}

void flows_destroy(struct flows *flows)
{
    if (!flows)
        return;
    pages_free(flows->flows, flows->slots.capacity, sizeof *flows->flows);
    pages_free(flows->in_buckets, (size_t)flows->bucket_mask + 1, sizeof *flows->in_buckets);
    pages_free(flows->out_buckets, (size_t)flows->bucket_mask + 1, sizeof *flows->out_buckets);
    slots_deinit(&flows->slots);
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
        const struct flow *flow = &flows->flows[link - 1];
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
        const struct flow *flow = &flows->flows[link - 1];
        if (flow->source_port == key->source_port && flow->source == key->source &&
            flow->server == key->server && flow->listener % 2 == key->port &&
            (key->source != FLOW_SOURCE_CLIENT || addr_equal(&flow->client, &key->client)))
            return link - 1;
        link = flow->out_next;
    }
    return FLOW_NONE;
}

/* Writing is near as well: each packet leaves its time in its flow. */
static void expect_entry(const struct flows *flows, uint32_t link)
{
    if (link)
        __builtin_prefetch(&flows->flows[link - 1], 1);
}

uint32_t flows_expect_in(const struct flows *flows, const struct flow_in_key *key)
{
    const uint32_t *bucket = in_bucket(flows, &key->client, key->client_port, key->listener);

    __builtin_prefetch(bucket);
    return (uint32_t)(bucket - flows->in_buckets);
}

uint32_t flows_expect_out(const struct flows *flows, const struct flow_out_key *key)
{
    const uint32_t *bucket = out_bucket(flows, key);

    __builtin_prefetch(bucket);
    return (uint32_t)(bucket - flows->out_buckets);
}

void flows_expected_in(const struct flows *flows, uint32_t bucket)
{
    expect_entry(flows, flows->in_buckets[bucket]);
}

void flows_expected_out(const struct flows *flows, uint32_t bucket)
{
    expect_entry(flows, flows->out_buckets[bucket]);
}

uint16_t flows_next_id(struct flow *flow)
{
    flow->packet_id++;
    if (flow->packet_id == 0)
        flow->packet_id++;
    return flow->packet_id;
}

bool flows_has_room(const struct flows *flows, bool confirmed)
{
    return slots_has_room(&flows->slots, confirmed);
}

int flows_insert(struct flows *flows, const struct flow *flow, uint64_t now_ms, uint32_t *index)
{
    const bool confirmed = flow->flags & FLOW_CONFIRMED;
    const uint32_t slot = slots_take(&flows->slots, confirmed);

    if (slot == SLOT_NONE)
        return ERR_FULL;
    const struct flow_out_key out_key = flow_out_key(flow);
    uint32_t *in_head = in_bucket(flows, &flow->client, flow->client_port, flow->listener);
    uint32_t *out_head = out_bucket(flows, &out_key);
    struct flow *made = &flows->flows[slot];
    *made = *flow;
    made->esp_spi = 0;
    made->proved_spi = 0;
    made->client_ms = (uint32_t)now_ms;
    made->seen_ms = (uint32_t)now_ms;
    made->packet_id = (uint16_t)(addr_hash(&flow->client, flows->seed ^ flow->client_port) >> 32);
    made->in_next = *in_head;
    made->out_next = *out_head;
    *in_head = slot + 1;
    *out_head = slot + 1;
    *index = slot;
    return 0;
}

bool flows_is_used(const struct flows *flows, uint32_t index)
{
    return slots_is_used(&flows->slots, index);
}

struct flow *flows_get(struct flows *flows, uint32_t index)
{
    return &flows->flows[index];
}

void flows_confirm(struct flows *flows, uint32_t index, uint64_t now_ms)
{
    struct flow *flow = &flows->flows[index];

    if (flow->flags & FLOW_CONFIRMED)
        return;
    slots_confirm(&flows->slots, index);
    flow->flags |= FLOW_CONFIRMED;
    flow->seen_ms = (uint32_t)now_ms;
}

void flows_remove(struct flows *flows, uint32_t index)
{
    const struct flow *flow = &flows->flows[index];
    const struct flow_out_key out_key = flow_out_key(flow);
    uint32_t *link = in_bucket(flows, &flow->client, flow->client_port, flow->listener);

    while (*link != index + 1)
        link = &flows->flows[*link - 1].in_next;
    *link = flow->in_next;

    link = out_bucket(flows, &out_key);
    while (*link != index + 1)
        link = &flows->flows[*link - 1].out_next;
    *link = flow->out_next;
    slots_release(&flows->slots, index);
}

void flows_renew(struct flows *flows, uint32_t index)
{
    slots_renew(&flows->slots, index);
}

uint32_t flows_oldest_unconfirmed(const struct flows *flows)
{
    return slots_oldest(&flows->slots);
}

uint32_t flows_younger_unconfirmed(const struct flows *flows, uint32_t index)
{
    return slots_younger(&flows->slots, index);
}

uint32_t flows_next(const struct flows *flows, uint32_t *cursor, uint32_t *budget)
{
    return slots_next(&flows->slots, cursor, budget);
}

uint32_t flows_count(const struct flows *flows)
{
    return flows->slots.count;
}

uint32_t flows_unconfirmed_count(const struct flows *flows)
{
    return flows->slots.unconfirmed;
}

uint32_t flows_capacity(const struct flows *flows)
{
    return flows->slots.capacity;
}
