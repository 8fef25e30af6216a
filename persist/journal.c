#include "persist/journal.h"

#include <stdlib.h>
#include <string.h>

#include "base/pages.h"

#define SET_COUNT 4096
#define HALF      (JOURNAL_ENTRIES_MAX / 2)

/* Entries of all addresses that fall here, of both halves, in one order: the one noted last stands first. */
struct set {
    struct journal_entry entries[JOURNAL_ENTRIES_MAX];
    uint32_t count;
};

struct journal {
    struct set *sets;
    uint64_t seed;
};

struct journal *journal_create(uint64_t seed)
{
    struct journal *journal = calloc(1, sizeof *journal);

    if (!journal)
        return NULL;
    journal->sets = pages_alloc(SET_COUNT, sizeof *journal->sets);
    journal->seed = seed;
    if (!journal->sets) {
        journal_destroy(journal);
        return NULL;
    }
    return journal;
}

void journal_destroy(struct journal *journal)
{
    if (!journal)
        return;
    pages_free(journal->sets, SET_COUNT, sizeof *journal->sets);
    free(journal);
}

static struct set *set_of(const struct journal *journal, const struct addr *client)
{
    return &journal->sets[addr_hash(client, journal->seed) % SET_COUNT];
}

/* Only the owner of the address can have brought this about. */
static bool is_proven(const struct journal_entry *entry)
{
    switch (entry->event) {
    case JOURNAL_LEFT:
    case JOURNAL_CAME:
        return true;
    case JOURNAL_ENDED:
        return entry->story.stage >= STAGE_AUTH_SENT;
    case JOURNAL_REFUSED:
        break;
    }
    return false;
}

/* The place of an earlier refusal that this one is added to, or the number of entries. */
static uint32_t same_refusal(const struct set *set, const struct journal_entry *entry)
{
    uint32_t place = 0;

    if (entry->event != JOURNAL_REFUSED)
        return set->count;
    while (place < set->count) {
        const struct journal_entry *e = &set->entries[place];
        if (e->event == JOURNAL_REFUSED && e->service == entry->service && e->reason == entry->reason &&
            addr_equal(&e->client.addr, &entry->client.addr))
            break;
        place++;
    }
    return place;
}

/* The place of the oldest of a half that is full, or that behind the last entry. */
static uint32_t room_in_half(const struct set *set, bool proven)
{
    uint32_t used = 0;

    for (uint32_t place = 0; place < set->count; place++) {
        used += is_proven(&set->entries[place]) == proven;
        if (used == HALF)
            return place;
    }
    return set->count;
}

void journal_note(struct journal *journal, const struct journal_entry *entry)
{
    struct set *set = set_of(journal, &entry->client.addr);
    struct journal_entry latest = *entry;
    uint32_t place = same_refusal(set, entry);

    if (place < set->count) {
        const struct journal_entry *earlier = &set->entries[place];
        latest.since_ms = earlier->since_ms;
        if (__builtin_add_overflow(latest.count, earlier->count, &latest.count))
            latest.count = UINT32_MAX;
    } else {
        place = room_in_half(set, is_proven(entry));
        if (place == set->count)
            set->count++;
    }
    memmove(&set->entries[1], &set->entries[0], place * sizeof set->entries[0]);
    set->entries[0] = latest;
}

size_t journal_find(const struct journal *journal, const struct addr *client,
                    struct journal_entry out[static JOURNAL_ENTRIES_MAX])
{
    const struct set *set = set_of(journal, client);
    size_t count = 0;

    for (uint32_t place = 0; place < set->count; place++) {
        if (addr_equal(&set->entries[place].client.addr, client))
            out[count++] = set->entries[place];
    }
    return count;
}
