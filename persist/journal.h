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
    uint16_t reason;       /* JOURNAL_REFUSED: a number of the caller's, enum drop_reason of lb/ */
    uint32_t count;        /* JOURNAL_REFUSED; ends at UINT32_MAX */
    uint64_t at_ms;        /* when it happened; JOURNAL_REFUSED: the latest time */
    uint64_t since_ms;     /* JOURNAL_REFUSED: the first time */
    struct endpoint other; /* JOURNAL_LEFT, JOURNAL_CAME */
    struct story story;    /* all but JOURNAL_REFUSED */
};

struct journal;

/*
 * 4 MiB, paid for as they fill. `seed` is random, so that nobody outside can choose addresses that fall into
 * one set. NULL without memory.
 */
struct journal *journal_create(uint64_t seed);
void journal_destroy(struct journal *journal);

/*
 * Writes an entry. The entries with proof (JOURNAL_LEFT, JOURNAL_CAME, and JOURNAL_ENDED whose story reached
 * STAGE_AUTH_SENT) have one half of a set, those without the other; in a full half the one that was noted
 * first gives way, be it of another address. A JOURNAL_REFUSED that matches an earlier one of the same
 * address, service and reason takes its place: the counts are added up, and since_ms stays.
 */
void journal_note(struct journal *journal, const struct journal_entry *entry);

/* Copies the entries of an address, at every service and port, the one noted last first; their number. */
size_t journal_find(const struct journal *journal, const struct addr *client,
                    struct journal_entry out[static JOURNAL_ENTRIES_MAX]);
