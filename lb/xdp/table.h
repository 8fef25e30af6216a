/*
 * The writer's side of the fast path's table of entries: memory that the XDP program reads while it changes.
 * An entry is written whole before it is found; what was removed rests for a while before its slot is used
 * again, so that a packet that has just found it never sees another's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "lb/fastpath.h"
#include "lb/xdp/layout.h"

#define TABLE_NONE UINT32_MAX

/* So many ticks a slot rests: longer than any packet takes through the program. */
#define TABLE_REST 1000

/* Room for a full window behind the last home slot. */
#define TABLE_TAIL (XDP_WINDOW - 1)

struct table {
    struct xdp_entry *entries; /* slots + TABLE_TAIL; borrowed */
    uint32_t slots;
    uint64_t seed;
    uint32_t count;
};

/* Who sends to whom, as a packet has it. */
struct table_key {
    struct endpoint src;
    struct endpoint dst;
};

/* The keys of a flow's two entries. */
struct table_key table_key_in(const struct fastpath_binding *binding);
struct table_key table_key_out(const struct fastpath_binding *binding);

/* Index of the entry with that key, or TABLE_NONE. */
uint32_t table_find(const struct table *t, const struct table_key *key);

/*
 * Enters a copy of `entry`, whose key and reach are not looked at, under a key that the table does not have.
 * Its index; TABLE_NONE if no slot of the key's window is free now. `now` is in ticks.
 */
uint32_t table_insert(struct table *t, const struct table_key *key, const struct xdp_entry *entry,
                      uint32_t now);

/* Nobody finds the entry of that index any more. */
void table_remove(struct table *t, uint32_t index, uint32_t now);

/* Is there an entry at that index? */
bool table_is_used(const struct table *t, uint32_t index);

/* How long ago a packet of the entry last passed; the program may have seen one since `now`. */
uint32_t table_age_ms(const struct xdp_entry *entry, uint32_t now);

/* An address as entries have it, and back. */
void table_put_addr(__u64 words[2], const struct addr *addr);
struct addr table_addr(const __u64 words[2]);
