/*
 * The journal: what happened to clients lately, after their sessions have ended, so that a failure can still
 * be explained minutes later. A table of fixed size in which the latest entries of an address are found in
 * one look-up.
 *
 * Entries without proof of the client's address (the handshake got no further than the answer to its
 * IKE_SA_INIT, or was refused) may come from spoofed sources; they have half of the table, so that a flood of
 * them displaces none of the others. Times are monotonic milliseconds, 64 bits. No clock and no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "persist/story.h"

/* The most entries that one address can have: one set of the table. */
#define JOURNAL_ENTRIES_MAX 8

enum journal_event {
    JOURNAL_ENDED,   /* a session ended; `story` is what was seen of it */
    JOURNAL_LEFT,    /* a session went on from this client to `other` */
    JOURNAL_CAME,    /* a session came to this client from `other` */
    JOURNAL_REFUSED, /* packets were dropped or not remembered; `reason` says why, `count` how many */
};

struct journal_entry {
    enum journal_event event;
    struct endpoint client;
    uint16_t service;
    uint16_t reason;       /* JOURNAL_REFUSED: enum drop_reason */
    uint32_t count;        /* JOURNAL_REFUSED */
    uint64_t at_ms;        /* when it happened; JOURNAL_REFUSED: the latest time */
    uint64_t since_ms;     /* JOURNAL_REFUSED: the first time */
    struct endpoint other; /* JOURNAL_LEFT, JOURNAL_CAME */
    struct story story;    /* all but JOURNAL_REFUSED */
};

struct journal;

/* Takes all its memory at once. `seed` is random. NULL without memory. */
struct journal *journal_create(uint64_t seed);
void journal_destroy(struct journal *journal);

/*
 * Writes an entry, in the place of the oldest with which it shares a half of a set if that is full: those
 * with proof (JOURNAL_LEFT, JOURNAL_CAME, and JOURNAL_ENDED whose story reached STAGE_AUTH_SENT), or those
 * without. A JOURNAL_REFUSED that matches an earlier one of the same address, service and reason is added to
 * that.
 */
void journal_note(struct journal *journal, const struct journal_entry *entry);

/* Copies the entries of an address, at every service and port, youngest first; returns their number. */
size_t journal_find(const struct journal *journal, const struct addr *client,
                    struct journal_entry out[static JOURNAL_ENTRIES_MAX]);
