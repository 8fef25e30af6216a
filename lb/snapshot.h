/*
 * What a restarted daemon must know, from the tables to records of persist/saved.h: the names of services and
 * backends, operator states, and the confirmed pins, sessions and flows. What is unconfirmed lives for
 * seconds, and is not saved.
 *
 * The walk goes in slices between which the tables change. Records refer to each other by keys, or by indices
 * that are checked when they are read, so each can be believed by itself: the file is right for what did not
 * change during the walk, and for the rest as it was at some moment of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lb/bindings.h"
#include "persist/saved.h"

enum snapshot_part {
    SNAPSHOT_SERVICES,
    SNAPSHOT_BACKENDS,
    SNAPSHOT_PINS, /* each with its sessions */
    SNAPSHOT_FLOWS,
    SNAPSHOT_DONE,
};

/* Where the walk stands. Visible so that it can be embedded; use the functions. */
struct snapshot {
    const struct bindings *bindings;
    uint64_t now_ms;
    enum snapshot_part part;
    uint32_t hand;      /* in the part's table */
    uint32_t pin;       /* written last */
    uint32_t session;   /* the next one of that pin's, or SESSION_NONE ... */
    uint8_t generation; /* ... and which of those that had its index */
    uint32_t pin_count; /* written so far */
};

/* The bindings are borrowed until the walk is over. `now_ms` is what the records' ages count back from. */
void snapshot_begin(struct snapshot *s, const struct bindings *bindings, uint64_t now_ms);

/*
 * Goes on for up to `steps` slots and sessions, or until the block is full; true when everything has been
 * written. A step costs some tenths of a microsecond.
 */
bool snapshot_write(struct snapshot *s, struct writer *block, uint32_t steps);
