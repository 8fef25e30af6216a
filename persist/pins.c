#include "persist/pins.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/pages.h"

/* A slot that was never used, or is free again, has no flow and this service. */
#define SERVICE_FREE UINT16_MAX

struct pins {
    struct pin *slots;
    uint32_t *buckets;
    uint32_t bucket_mask;
    uint64_t seed;
    uint32_t capacity;
    uint32_t untouched; /* slots from here on were never used: their pages cost no memory yet */
    uint32_t free_head;
    uint32_t count;
    uint32_t unconfirmed_max;
    uint32_t unconfirmed;
    uint32_t oldest;
    uint32_t youngest;
};

const char *pin_stage_name(enum pin_stage stage)
{
    static const char *const names[PIN_STAGE_COUNT] = {
        [PIN_STAGE_NONE] = "none",
        [PIN_STAGE_INIT_SENT] = "init-sent",
        [PIN_STAGE_INIT_ANSWERED] = "init-answered",
        [PIN_STAGE_AUTH_SENT] = "auth-sent",
        [PIN_STAGE_AUTH_ANSWERED] = "auth-answered",
        [PIN_STAGE_ESTABLISHED] = "established",
    };

    return names[stage];
}

struct pins *pins_create(uint32_t capacity, uint32_t unconfirmed_max, uint64_t seed)
{
    uint32_t buckets = 16;
    struct pins *pins = calloc(1, sizeof *pins);

    if (!pins)
        return NULL;
    while (buckets < capacity && buckets < UINT32_C(1) << 30)
        buckets *= 2;
    pins->slots = pages_alloc(capacity, sizeof *pins->slots);
    pins->buckets = pages_alloc_ready(buckets, sizeof *pins->buckets);
    pins->bucket_mask = buckets - 1;
    pins->capacity = capacity;
    pins->unconfirmed_max = unconfirmed_max;
    pins->seed = seed;
    pins->free_head = pins->oldest = pins->youngest = PIN_NONE;
    if (!pins->slots || !pins->buckets) {
        pins_destroy(pins);
        return NULL;
    }
    return pins;
}

void pins_destroy(struct pins *pins)
{
    if (!pins)
        return;
    pages_free(pins->slots, pins->capacity, sizeof *pins->slots);
    pages_free(pins->buckets, (size_t)pins->bucket_mask + 1, sizeof *pins->buckets);
    free(pins);
}

/* Buckets and chains hold index + 1, so that fresh zero pages are empty. */
static uint32_t *bucket_of(const struct pins *pins, uint16_t service, const struct addr *client)
{
    return &pins->buckets[addr_hash(client, pins->seed ^ service) & pins->bucket_mask];
}

uint32_t pins_find(const struct pins *pins, uint16_t service, const struct addr *client)
{
    uint32_t link = *bucket_of(pins, service, client);

    while (link) {
        const struct pin *pin = &pins->slots[link - 1];
        if (pin->service == service && addr_equal(&pin->client, client))
            return link - 1;
        link = pin->hash_next;
    }
    return PIN_NONE;
}

static void age_append(struct pins *pins, uint32_t index)
{
    struct pin *pin = &pins->slots[index];

    pin->age_prev = pins->youngest;
    pin->age_next = PIN_NONE;
    if (pins->youngest == PIN_NONE)
        pins->oldest = index;
    else
        pins->slots[pins->youngest].age_next = index;
    pins->youngest = index;
    pins->unconfirmed++;
}

static void age_unlink(struct pins *pins, uint32_t index)
{
    const struct pin *pin = &pins->slots[index];

    if (pin->age_prev == PIN_NONE)
        pins->oldest = pin->age_next;
    else
        pins->slots[pin->age_prev].age_next = pin->age_next;
    if (pin->age_next == PIN_NONE)
        pins->youngest = pin->age_prev;
    else
        pins->slots[pin->age_next].age_prev = pin->age_prev;
    pins->unconfirmed--;
}

int pins_insert(struct pins *pins, uint16_t service, const struct addr *client, uint16_t backend,
                bool confirmed, uint64_t now_ms, uint32_t *index)
{
    if (pins->count >= pins->capacity || (!confirmed && pins->unconfirmed >= pins->unconfirmed_max))
        return ERR_FULL;

    uint32_t slot = pins->free_head;
    if (slot == PIN_NONE)
        slot = pins->untouched++;
    else
        pins->free_head = pins->slots[slot].age_next;

    uint32_t *bucket = bucket_of(pins, service, client);
    pins->slots[slot] = (struct pin){
        .client = *client,
        .service = service,
        .backend = backend,
        .created_ms = (uint32_t)now_ms,
        .seen_ms = (uint32_t)now_ms,
        .hash_next = *bucket,
    };
    *bucket = slot + 1;
    if (confirmed)
        pins->slots[slot].flags = PIN_CONFIRMED;
    else
        age_append(pins, slot);
    pins->count++;
    *index = slot;
    return 0;
}

bool pins_has_room(const struct pins *pins)
{
    return pins->count < pins->capacity && pins->unconfirmed < pins->unconfirmed_max;
}

struct pin *pins_get(struct pins *pins, uint32_t index)
{
    return &pins->slots[index];
}

void pins_confirm(struct pins *pins, uint32_t index)
{
    struct pin *pin = &pins->slots[index];

    if (pin->flags & PIN_CONFIRMED)
        return;
    age_unlink(pins, index);
    pin->flags |= PIN_CONFIRMED;
}

void pins_remove(struct pins *pins, uint32_t index)
{
    struct pin *pin = &pins->slots[index];
    uint32_t *link = bucket_of(pins, pin->service, &pin->client);

    while (*link != index + 1)
        link = &pins->slots[*link - 1].hash_next;
    *link = pin->hash_next;
    if (!(pin->flags & PIN_CONFIRMED))
        age_unlink(pins, index);
    *pin = (struct pin){.service = SERVICE_FREE, .age_next = pins->free_head};
    pins->free_head = index;
    pins->count--;
}

uint32_t pins_oldest_unconfirmed(const struct pins *pins)
{
    return pins->oldest;
}

uint32_t pins_next(const struct pins *pins, uint32_t *cursor, uint32_t *budget)
{
    while (*cursor < pins->untouched && *budget) {
        const uint32_t index = (*cursor)++;
        --*budget;
        if (pins->slots[index].service != SERVICE_FREE)
            return index;
    }
    return PIN_NONE;
}

uint32_t pins_count(const struct pins *pins)
{
    return pins->count;
}

uint32_t pins_unconfirmed_count(const struct pins *pins)
{
    return pins->unconfirmed;
}

uint32_t pins_capacity(const struct pins *pins)
{
    return pins->capacity;
}

size_t pins_memory(const struct pins *pins)
{
    return (size_t)pins->capacity * sizeof *pins->slots +
           ((size_t)pins->bucket_mask + 1) * sizeof *pins->buckets;
}
