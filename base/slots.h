/*
 * The slots of a table of fixed size: which are free, which are in use, and of these which are unconfirmed.
 * Unconfirmed slots have a bounded share and are kept in order of age. The table's entries live elsewhere, at
 * the same index: what stands here is touched only when an entry is made, confirmed or ended, not for each
 * packet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SLOT_NONE UINT32_MAX

struct slot_node;

/* Visible so that it can be embedded; use the functions. */
struct slots {
    uint32_t *slots;
    struct slot_node *nodes; /* the unconfirmed slots' list of age */
    uint32_t capacity;
    uint32_t unconfirmed_max;
    uint32_t untouched; /* slots from here on were never used: their pages cost no memory yet */
    uint32_t free_head;
    uint32_t count;
    uint32_t unconfirmed;
    uint32_t untouched_nodes; /* likewise */
    uint32_t free_node;
    uint32_t oldest; /* nodes, of the unconfirmed slots */
    uint32_t youngest;
};

/* 0 or -ENOMEM. At most 2^30 - 1 slots. */
int slots_init(struct slots *s, uint32_t capacity, uint32_t unconfirmed_max);
void slots_deinit(struct slots *s);

/* Is there room for one more? An unconfirmed one also needs room in the unconfirmed share. */
bool slots_has_room(const struct slots *s, bool confirmed);

/* A free slot, now in use, or SLOT_NONE without room. */
uint32_t slots_take(struct slots *s, bool confirmed);

/* Takes it out of the unconfirmed share; nothing if it is already. */
void slots_confirm(struct slots *s, uint32_t index);

/* Lets an unconfirmed slot count as the youngest; nothing if it is confirmed. */
void slots_renew(struct slots *s, uint32_t index);

/* Is this the index of a slot in use? */
bool slots_is_used(const struct slots *s, uint32_t index);

/* Frees a slot in use. */
void slots_release(struct slots *s, uint32_t index);

/* The oldest unconfirmed slot, and the next younger one of an unconfirmed slot; SLOT_NONE if there is none.
 */
uint32_t slots_oldest(const struct slots *s);
uint32_t slots_younger(const struct slots *s, uint32_t index);

/*
 * Walks the table in slices, in a stable order: the next slot in use at *cursor (0 to begin) or after, and
 * *cursor moved behind it. Looks at no more than *budget slots and takes them off *budget. SLOT_NONE when the
 * budget is used up, or, with budget left, when the table has ended.
 */
uint32_t slots_next(const struct slots *s, uint32_t *cursor, uint32_t *budget);
