#include "base/slots.h"

#include <errno.h>

#include "base/pages.h"

/* `older` of a slot that is not in the age list. No index comes near: there are at most 2^31 slots. */
#define SLOT_FREE      (UINT32_MAX - 1)
#define SLOT_CONFIRMED (UINT32_MAX - 2)

struct slot {
    uint32_t older;
    uint32_t younger; /* of a free slot: the next free one */
};

int slots_init(struct slots *s, uint32_t capacity, uint32_t unconfirmed_max)
{
    *s = (struct slots){
        .slots = pages_alloc(capacity, sizeof(struct slot)),
        .capacity = capacity,
        .unconfirmed_max = unconfirmed_max,
        .free_head = SLOT_NONE,
        .oldest = SLOT_NONE,
        .youngest = SLOT_NONE,
    };
    return s->slots ? 0 : -ENOMEM;
}

void slots_deinit(struct slots *s)
{
    pages_free(s->slots, s->capacity, sizeof *s->slots);
    *s = (struct slots){0};
}

bool slots_has_room(const struct slots *s, bool confirmed)
{
    return s->count < s->capacity && (confirmed || s->unconfirmed < s->unconfirmed_max);
}

static void append(struct slots *s, uint32_t index)
{
    s->slots[index] = (struct slot){.older = s->youngest, .younger = SLOT_NONE};
    if (s->youngest == SLOT_NONE)
        s->oldest = index;
    else
        s->slots[s->youngest].younger = index;
    s->youngest = index;
    s->unconfirmed++;
}

static void unlink_slot(struct slots *s, uint32_t index)
{
    const struct slot slot = s->slots[index];

    if (slot.older == SLOT_NONE)
        s->oldest = slot.younger;
    else
        s->slots[slot.older].younger = slot.younger;
    if (slot.younger == SLOT_NONE)
        s->youngest = slot.older;
    else
        s->slots[slot.younger].older = slot.older;
    s->unconfirmed--;
}

uint32_t slots_take(struct slots *s, bool confirmed)
{
    if (!slots_has_room(s, confirmed))
        return SLOT_NONE;

    uint32_t index = s->free_head;
    if (index == SLOT_NONE)
        index = s->untouched++;
    else
        s->free_head = s->slots[index].younger;
    if (confirmed)
        s->slots[index].older = SLOT_CONFIRMED;
    else
        append(s, index);
    s->count++;
    return index;
}

void slots_confirm(struct slots *s, uint32_t index)
{
    if (s->slots[index].older == SLOT_CONFIRMED)
        return;
    unlink_slot(s, index);
    s->slots[index].older = SLOT_CONFIRMED;
}

void slots_renew(struct slots *s, uint32_t index)
{
    if (s->slots[index].older == SLOT_CONFIRMED)
        return;
    unlink_slot(s, index);
    append(s, index);
}

bool slots_is_used(const struct slots *s, uint32_t index)
{
    return index < s->untouched && s->slots[index].older != SLOT_FREE;
}

void slots_release(struct slots *s, uint32_t index)
{
    if (s->slots[index].older != SLOT_CONFIRMED)
        unlink_slot(s, index);
    s->slots[index] = (struct slot){.older = SLOT_FREE, .younger = s->free_head};
    s->free_head = index;
    s->count--;
}

uint32_t slots_oldest(const struct slots *s)
{
    return s->oldest;
}

uint32_t slots_younger(const struct slots *s, uint32_t index)
{
    return s->slots[index].younger;
}

uint32_t slots_next(const struct slots *s, uint32_t *cursor, uint32_t *budget)
{
    while (*cursor < s->untouched && *budget) {
        const uint32_t index = (*cursor)++;
        --*budget;
        if (s->slots[index].older != SLOT_FREE)
            return index;
    }
    return SLOT_NONE;
}
