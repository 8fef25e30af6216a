#include "base/slots.h"

#include <errno.h>

#include "base/pages.h"

/*
 * A slot is four bytes: what it is, in its two highest bits, and a number with it. A free one has the next
 * free one's index, or LINK_NONE; an unconfirmed one has its node in the list of age. Only unconfirmed slots
 * have a node, since they alone are in order, and they are few.
 */
#define KIND_MASK        (UINT32_C(3) << 30)
#define KIND_FREE        (UINT32_C(0) << 30)
#define KIND_CONFIRMED   (UINT32_C(1) << 30)
#define KIND_UNCONFIRMED (UINT32_C(2) << 30)
#define LINK_NONE        (~KIND_MASK)
#define SLOTS_MAX        LINK_NONE

/* Nodes are named by index, too; SLOT_NONE ends a list. */
struct slot_node {
    uint32_t older;
    uint32_t younger; /* of a free node: the next free one */
    uint32_t slot;
};

static uint32_t kind_of(const struct slots *s, uint32_t index)
{
    return s->slots[index] & KIND_MASK;
}

static uint32_t node_of(const struct slots *s, uint32_t index)
{
    return s->slots[index] & ~KIND_MASK;
}

int slots_init(struct slots *s, uint32_t capacity, uint32_t unconfirmed_max)
{
    *s = (struct slots){
        .slots = pages_alloc(capacity, sizeof *s->slots),
        .nodes = pages_alloc(unconfirmed_max ? unconfirmed_max : 1, sizeof *s->nodes),
        .capacity = capacity,
        .unconfirmed_max = unconfirmed_max,
        .free_head = LINK_NONE,
        .free_node = SLOT_NONE,
        .oldest = SLOT_NONE,
        .youngest = SLOT_NONE,
    };
    if (s->slots && s->nodes && capacity <= SLOTS_MAX)
        return 0;
    slots_deinit(s);
    return -ENOMEM;
}

void slots_deinit(struct slots *s)
{
    pages_free(s->slots, s->capacity, sizeof *s->slots);
    pages_free(s->nodes, s->unconfirmed_max ? s->unconfirmed_max : 1, sizeof *s->nodes);
    *s = (struct slots){0};
}

bool slots_has_room(const struct slots *s, bool confirmed)
{
    return s->count < s->capacity && (confirmed || s->unconfirmed < s->unconfirmed_max);
}

/* Puts a node at the young end of the list. */
static void append(struct slots *s, uint32_t node)
{
    s->nodes[node].older = s->youngest;
    s->nodes[node].younger = SLOT_NONE;
    if (s->youngest == SLOT_NONE)
        s->oldest = node;
    else
        s->nodes[s->youngest].younger = node;
    s->youngest = node;
}

static void unlink_node(struct slots *s, uint32_t index)
{
    const struct slot_node node = s->nodes[index];

    if (node.older == SLOT_NONE)
        s->oldest = node.younger;
    else
        s->nodes[node.older].younger = node.younger;
    if (node.younger == SLOT_NONE)
        s->youngest = node.older;
    else
        s->nodes[node.younger].older = node.older;
}

/* There is a node for each unconfirmed slot that there may be. */
static void begin_unconfirmed(struct slots *s, uint32_t index)
{
    uint32_t node = s->free_node;

    if (node == SLOT_NONE)
        node = s->untouched_nodes++;
    else
        s->free_node = s->nodes[node].younger;
    s->nodes[node].slot = index;
    s->slots[index] = KIND_UNCONFIRMED | node;
    append(s, node);
    s->unconfirmed++;
}

static void end_unconfirmed(struct slots *s, uint32_t index)
{
    const uint32_t node = node_of(s, index);

    unlink_node(s, node);
    s->nodes[node].younger = s->free_node;
    s->free_node = node;
    s->unconfirmed--;
}

uint32_t slots_take(struct slots *s, bool confirmed)
{
    if (!slots_has_room(s, confirmed))
        return SLOT_NONE;

    uint32_t index = s->free_head;
    if (index == LINK_NONE)
        index = s->untouched++;
    else
        s->free_head = s->slots[index] & ~KIND_MASK;
    if (confirmed)
        s->slots[index] = KIND_CONFIRMED;
    else
        begin_unconfirmed(s, index);
    s->count++;
    return index;
}

void slots_confirm(struct slots *s, uint32_t index)
{
    if (kind_of(s, index) == KIND_CONFIRMED)
        return;
    end_unconfirmed(s, index);
    s->slots[index] = KIND_CONFIRMED;
}

void slots_renew(struct slots *s, uint32_t index)
{
    if (kind_of(s, index) == KIND_CONFIRMED)
        return;
    unlink_node(s, node_of(s, index));
    append(s, node_of(s, index));
}

bool slots_is_used(const struct slots *s, uint32_t index)
{
    return index < s->untouched && kind_of(s, index) != KIND_FREE;
}

void slots_release(struct slots *s, uint32_t index)
{
    if (kind_of(s, index) == KIND_UNCONFIRMED)
        end_unconfirmed(s, index);
    s->slots[index] = KIND_FREE | s->free_head;
    s->free_head = index;
    s->count--;
}

static uint32_t slot_of_node(const struct slots *s, uint32_t node)
{
    return node == SLOT_NONE ? SLOT_NONE : s->nodes[node].slot;
}

uint32_t slots_oldest(const struct slots *s)
{
    return slot_of_node(s, s->oldest);
}

uint32_t slots_younger(const struct slots *s, uint32_t index)
{
    return slot_of_node(s, s->nodes[node_of(s, index)].younger);
}

uint32_t slots_next(const struct slots *s, uint32_t *cursor, uint32_t *budget)
{
    while (*cursor < s->untouched && *budget) {
        const uint32_t index = (*cursor)++;
        --*budget;
        if (kind_of(s, index) != KIND_FREE)
            return index;
    }
    return SLOT_NONE;
}
