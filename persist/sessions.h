/*
 * Sessions: IKE SAs as they are seen from outside, by their SPIs (IKEv1: cookies). A session belongs to a
 * pin, the client that it was last confirmed for, and ends with it at the latest.
 *
 * SPIs in a header prove nothing, so a session is unconfirmed until its backend has proved the client;
 * unconfirmed sessions have a bounded share of the table, and the oldest of them gives way to a new one. No
 * clock and no I/O: time is an argument.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slots.h"
#include "persist/story.h"

#define SESSION_NONE SLOT_NONE

/* So many sessions may have one and the same SPIi: honest clients draw it at random. */
#define SESSIONS_SAME_SPI_MAX 8

/* A session may be followed to so many new places at once, and to one more after each such time. */
#define SESSION_MOVES_MAX      4
#define SESSION_MOVE_REGAIN_MS 1000

/* The session was learnt from something else than a response: what was answered before is not known. */
#define SESSION_ID_UNKNOWN UINT32_MAX

struct session {
    struct story story;
    uint32_t pin;
    uint32_t pin_next; /* the next older session of the same pin, or SESSION_NONE */
    uint32_t pin_prev;
    uint32_t hash_next;
    uint32_t next_id;   /* the lowest message ID without a protected response so far; SESSION_ID_UNKNOWN */
    uint32_t move_ms;   /* since when no move has been regained */
    uint8_t moves_left; /* of SESSION_MOVES_MAX */
    uint8_t generation; /* of the sessions that this index has named one after the other; it comes round */
    bool confirmed;
};

struct sessions;

/* As pins_create(); `pin_capacity` is the number of pins whose sessions are kept. NULL without memory. */
struct sessions *sessions_create(uint32_t capacity, uint32_t unconfirmed_max, uint32_t pin_capacity,
                                 uint64_t seed);
void sessions_destroy(struct sessions *sessions);

/*
 * The session of that service with exactly these SPIs; SESSION_NONE if there is none or spi_r is zero. Of
 * several the one that was begun first: a server answers a repeated IKE_SA_INIT alike wherever it comes from
 * (RFC 7296 section 2.1), and whoever repeats one from elsewhere shall not take the place of its sender.
 */
uint32_t sessions_find(const struct sessions *sessions, uint16_t service, const struct ike_spi *spi_i,
                       const struct ike_spi *spi_r);

/* Of the sessions that have this SPIi and are that pin's now, the one begun last, whatever its SPIr. */
uint32_t sessions_find_begun(const struct sessions *sessions, uint32_t pin, const struct ike_spi *spi_i);

/* Is there room for one more? An unconfirmed one also needs room in the unconfirmed share. */
bool sessions_has_room(const struct sessions *sessions, bool confirmed);

/*
 * A new session of the pin, its youngest, from a story. 0 and its index; ERR_FULL without room, or when
 * SESSIONS_SAME_SPI_MAX have this SPIi already.
 */
int sessions_insert(struct sessions *sessions, uint32_t pin, const struct story *story, bool confirmed,
                    uint32_t *index);

/*
 * The session of that index, which must be in use; valid until the next insert or remove. The caller writes
 * its story, but for service and spi_i, and next_id; the rest changes through the functions.
 */
struct session *sessions_get(struct sessions *sessions, uint32_t index);

/* Is the index in use, by a session of that pin? SESSION_NONE is not. */
bool sessions_is_of(const struct sessions *sessions, uint32_t index, uint32_t pin);

void sessions_confirm(struct sessions *sessions, uint32_t index);

/* Gives the session to another pin, as its youngest. */
void sessions_move(struct sessions *sessions, uint32_t index, uint32_t pin);

/*
 * Takes one move off the session's limit; false if none is left. After 49 days without a move, when the times
 * have come round, the next may have to wait for a few seconds.
 */
bool sessions_may_move(struct sessions *sessions, uint32_t index, uint64_t now_ms);

void sessions_remove(struct sessions *sessions, uint32_t index);

/* The youngest session of the pin, or SESSION_NONE; the older ones follow by pin_next. */
uint32_t sessions_of_pin(const struct sessions *sessions, uint32_t pin);

/* The oldest unconfirmed session, or SESSION_NONE. */
uint32_t sessions_oldest_unconfirmed(const struct sessions *sessions);

/* Walks the table in slices: slots_next(). */
uint32_t sessions_next(const struct sessions *sessions, uint32_t *cursor, uint32_t *budget);

uint32_t sessions_count(const struct sessions *sessions);
uint32_t sessions_unconfirmed_count(const struct sessions *sessions);
uint32_t sessions_capacity(const struct sessions *sessions);
