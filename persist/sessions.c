#include "persist/sessions.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/err.h"
#include "base/pages.h"

struct sessions {
    struct slots slots;
    struct session *sessions; /* by slot */
    uint32_t *buckets;        /* by SPIi, since SPIr is known only later; index + 1, as in pins */
    uint32_t bucket_mask;
    uint32_t *youngest; /* by pin; index + 1 */
    uint32_t pin_capacity;
    uint64_t seed;
};

struct sessions *sessions_create(uint32_t capacity, uint32_t unconfirmed_max, uint32_t pin_capacity,
                                 uint64_t seed)
{
    uint32_t buckets = 16;
    struct sessions *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    while (buckets < capacity && buckets < UINT32_C(1) << 30)
        buckets *= 2;
    const int err = slots_init(&s->slots, capacity, unconfirmed_max);
    s->sessions = pages_alloc(capacity, sizeof *s->sessions);
    s->buckets = pages_alloc_ready(buckets, sizeof *s->buckets);
    s->bucket_mask = buckets - 1;
    s->youngest = pages_alloc(pin_capacity, sizeof *s->youngest);
    s->pin_capacity = pin_capacity;
    s->seed = seed;
    if (err || !s->sessions || !s->buckets || !s->youngest) {
        sessions_destroy(s);
        return NULL;
    }
    return s;
}

void sessions_destroy(struct sessions *s)
{
    if (!s)
        return;
    pages_free(s->sessions, s->slots.capacity, sizeof *s->sessions);
    pages_free(s->buckets, (size_t)s->bucket_mask + 1, sizeof *s->buckets);
    pages_free(s->youngest, s->pin_capacity, sizeof *s->youngest);
    slots_deinit(&s->slots);
    free(s);
}

static uint32_t *bucket_of(const struct sessions *s, const struct ike_spi *spi_i)
{
    return &s->buckets[XXH3_64bits_withSeed(spi_i->bytes, sizeof spi_i->bytes, s->seed) & s->bucket_mask];
}

uint32_t sessions_find(const struct sessions *s, uint16_t service, const struct ike_spi *spi_i,
                       const struct ike_spi *spi_r)
{
    uint32_t found = SESSION_NONE;

    if (header_spi_is_zero(spi_r))
        return SESSION_NONE;
    /* A chain grows at its head, so the last is the one begun first. */
    for (uint32_t link = *bucket_of(s, spi_i); link; link = s->sessions[link - 1].hash_next) {
        const struct story *story = &s->sessions[link - 1].story;
        if (story->service == service && header_spi_equal(&story->spi_i, spi_i) &&
            header_spi_equal(&story->spi_r, spi_r))
            found = link - 1;
    }
    return found;
}

uint32_t sessions_find_begun(const struct sessions *s, uint32_t pin, const struct ike_spi *spi_i)
{
    /* A chain grows at its head, so the first is the youngest. */
    for (uint32_t link = *bucket_of(s, spi_i); link; link = s->sessions[link - 1].hash_next) {
        const struct session *session = &s->sessions[link - 1];
        if (session->pin == pin && header_spi_equal(&session->story.spi_i, spi_i))
            return link - 1;
    }
    return SESSION_NONE;
}

static bool is_spi_overused(const struct sessions *s, const struct ike_spi *spi_i)
{
    int same = 0;

    for (uint32_t link = *bucket_of(s, spi_i); link; link = s->sessions[link - 1].hash_next)
        same += header_spi_equal(&s->sessions[link - 1].story.spi_i, spi_i);
    return same >= SESSIONS_SAME_SPI_MAX;
}

/* Puts it at the head of the pin's list. */
static void link_to_pin(struct sessions *s, uint32_t index, uint32_t pin)
{
    struct session *session = &s->sessions[index];

    session->pin = pin;
    session->pin_prev = SESSION_NONE;
    session->pin_next = sessions_of_pin(s, pin);
    if (session->pin_next != SESSION_NONE)
        s->sessions[session->pin_next].pin_prev = index;
    s->youngest[pin] = index + 1;
}

static void unlink_from_pin(struct sessions *s, uint32_t index)
{
    const struct session *session = &s->sessions[index];

    if (session->pin_next != SESSION_NONE)
        s->sessions[session->pin_next].pin_prev = session->pin_prev;
    if (session->pin_prev != SESSION_NONE)
        s->sessions[session->pin_prev].pin_next = session->pin_next;
    else
        s->youngest[session->pin] = session->pin_next == SESSION_NONE ? 0 : session->pin_next + 1;
}

bool sessions_has_room(const struct sessions *s, bool confirmed)
{
    return slots_has_room(&s->slots, confirmed);
}

int sessions_insert(struct sessions *s, uint32_t pin, const struct story *story, bool confirmed,
                    uint32_t *index)
{
    if (is_spi_overused(s, &story->spi_i))
        return ERR_FULL;
    const uint32_t slot = slots_take(&s->slots, confirmed);
    if (slot == SLOT_NONE)
        return ERR_FULL;

    uint32_t *bucket = bucket_of(s, &story->spi_i);
    s->sessions[slot] = (struct session){
        .story = *story,
        .hash_next = *bucket,
        .confirmed = confirmed,
        .moves_left = SESSION_MOVES_MAX,
        .generation = (uint8_t)(s->sessions[slot].generation + 1),
    };
    *bucket = slot + 1;
    link_to_pin(s, slot, pin);
    *index = slot;
    return 0;
}

struct session *sessions_get(struct sessions *s, uint32_t index)
{
    return &s->sessions[index];
}

bool sessions_is_of(const struct sessions *s, uint32_t index, uint32_t pin)
{
    return slots_is_used(&s->slots, index) && s->sessions[index].pin == pin;
}

void sessions_confirm(struct sessions *s, uint32_t index)
{
    slots_confirm(&s->slots, index);
    s->sessions[index].confirmed = true;
}

void sessions_move(struct sessions *s, uint32_t index, uint32_t pin)
{
    unlink_from_pin(s, index);
    link_to_pin(s, index, pin);
}

bool sessions_may_move(struct sessions *s, uint32_t index, uint64_t now_ms)
{
    struct session *session = &s->sessions[index];
    const uint32_t elapsed_ms = (uint32_t)now_ms - session->move_ms;
    const uint32_t regained = elapsed_ms / SESSION_MOVE_REGAIN_MS;

    if (session->moves_left + regained >= SESSION_MOVES_MAX) {
        session->moves_left = SESSION_MOVES_MAX;
        session->move_ms = (uint32_t)now_ms;
    } else {
        session->moves_left = (uint8_t)(session->moves_left + regained);
        session->move_ms += regained * SESSION_MOVE_REGAIN_MS;
    }
    if (session->moves_left == 0)
        return false;
    session->moves_left--;
    return true;
}

void sessions_remove(struct sessions *s, uint32_t index)
{
    uint32_t *link = bucket_of(s, &s->sessions[index].story.spi_i);

    while (*link != index + 1)
        link = &s->sessions[*link - 1].hash_next;
    *link = s->sessions[index].hash_next;
    unlink_from_pin(s, index);
    slots_release(&s->slots, index);
}

uint32_t sessions_of_pin(const struct sessions *s, uint32_t pin)
{
    return s->youngest[pin] ? s->youngest[pin] - 1 : SESSION_NONE;
}

uint32_t sessions_oldest_unconfirmed(const struct sessions *s)
{
    return slots_oldest(&s->slots);
}

uint32_t sessions_next(const struct sessions *s, uint32_t *cursor, uint32_t *budget)
{
    return slots_next(&s->slots, cursor, budget);
}

uint32_t sessions_count(const struct sessions *s)
{
    return s->slots.count;
}

uint32_t sessions_unconfirmed_count(const struct sessions *s)
{
    return s->slots.unconfirmed;
}

uint32_t sessions_capacity(const struct sessions *s)
{
    return s->slots.capacity;
}
