#include "persist/pins.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/pages.h"

struct pins {
    struct slots slots;
    struct pin *pins; /* by slot */
    uint32_t *buckets;
    uint32_t bucket_mask;
    uint64_t seed;
};

struct pins *pins_create(uint32_t capacity, uint32_t unconfirmed_max, uint64_t seed)
{
    uint32_t buckets = 16;
    struct pins *pins = calloc(1, sizeof *pins);

    if (!pins)
        return NULL;
    while (buckets < capacity && buckets < UINT32_C(1) << 30)
        buckets *= 2;
    const int err = slots_init(&pins->slots, capacity, unconfirmed_max);
    pins->pins = pages_alloc(capacity, sizeof *pins->pins);
    pins->buckets = pages_alloc_ready(buckets, sizeof *pins->buckets);
    pins->bucket_mask = buckets - 1;
    pins->seed = seed;
    if (err || !pins->pins || !pins->buckets) {
        pins_destroy(pins);
        return NULL;
    }
    return pins;
}

void pins_destroy(struct pins *pins)
{
    if (!pins)
        return;
    pages_free(pins->pins, pins->slots.capacity, sizeof *pins->pins);
    pages_free(pins->buckets, (size_t)pins->bucket_mask + 1, sizeof *pins->buckets);
    slots_deinit(&pins->slots);
    free(pins);
}

/* Buckets and chains hold index + 1, so that fresh zero pages are empty. */
static uint32_t *bucket_of(const struct pins *pins, const struct pin_key *key)
{
    const uint64_t rest = (uint64_t)key->part << 16 | key->service;

    return &pins->buckets[addr_hash(&key->client, pins->seed ^ rest) & pins->bucket_mask];
}

uint32_t pins_find(const struct pins *pins, const struct pin_key *key)
{
    uint32_t link = *bucket_of(pins, key);

    while (link) {
        const struct pin *pin = &pins->pins[link - 1];
        if (pin->service == key->service && pin->part == key->part && addr_equal(&pin->client, &key->client))
            return link - 1;
        link = pin->hash_next;
    }
    return PIN_NONE;
}

int pins_insert(struct pins *pins, const struct pin_key *key, uint16_t backend, bool confirmed,
                uint64_t now_ms, uint32_t *index)
{
    const uint32_t slot = slots_take(&pins->slots, confirmed);

    if (slot == SLOT_NONE)
        return ERR_FULL;
    uint32_t *bucket = bucket_of(pins, key);
    pins->pins[slot] = (struct pin){
        .client = key->client,
        .service = key->service,
        .part = key->part,
        .backend = backend,
        .created_ms = (uint32_t)now_ms,
        .seen_ms = (uint32_t)now_ms,
        .flags = confirmed ? PIN_CONFIRMED : 0,
        .hash_next = *bucket,
    };
    *bucket = slot + 1;
    *index = slot;
    return 0;
}

bool pins_has_room(const struct pins *pins)
{
    return slots_has_room(&pins->slots, false);
}

struct pin *pins_get(struct pins *pins, uint32_t index)
{
    return &pins->pins[index];
}

void pins_confirm(struct pins *pins, uint32_t index)
{
    slots_confirm(&pins->slots, index);
    pins->pins[index].flags |= PIN_CONFIRMED;
}

void pins_remove(struct pins *pins, uint32_t index)
{
    const struct pin *pin = &pins->pins[index];
    const struct pin_key key = {.client = pin->client, .service = pin->service, .part = pin->part};
    uint32_t *link = bucket_of(pins, &key);

    while (*link != index + 1)
        link = &pins->pins[*link - 1].hash_next;
    *link = pin->hash_next;
    slots_release(&pins->slots, index);
}

void pins_renew(struct pins *pins, uint32_t index)
{
    slots_renew(&pins->slots, index);
}

uint32_t pins_oldest_unconfirmed(const struct pins *pins)
{
    return slots_oldest(&pins->slots);
}

uint32_t pins_next(const struct pins *pins, uint32_t *cursor, uint32_t *budget)
{
    return slots_next(&pins->slots, cursor, budget);
}

uint32_t pins_count(const struct pins *pins)
{
    return pins->slots.count;
}

uint32_t pins_unconfirmed_count(const struct pins *pins)
{
    return pins->slots.unconfirmed;
}

uint32_t pins_capacity(const struct pins *pins)
{
    return pins->slots.capacity;
}
