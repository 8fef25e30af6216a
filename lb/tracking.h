/*
 * Sessions kept in step with what hangs on them: the backends' counts of handshakes, and the journal, which
 * keeps a session's story when it ends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lb/pool.h"
#include "persist/journal.h"
#include "persist/pins.h"
#include "persist/sessions.h"

/* Visible so that it can be embedded in struct bindings; use the functions. */
struct tracking {
    struct pool *pool; /* borrowed, as are the pins */
    struct pins *pins;
    struct sessions *sessions;
    struct journal *journal;
    uint32_t hand; /* where the sweep stands */
};

/* For max_clients sessions, of which at most `unconfirmed_max` are unconfirmed. 0 or -ENOMEM. */
int tracking_init(struct tracking *t, struct pool *pool, struct pins *pins, uint32_t max_clients,
                  uint32_t unconfirmed_max, uint64_t seed);
void tracking_deinit(struct tracking *t);

/*
 * A new session of the pin. Where the unconfirmed share is full the oldest of it ends. The index, or
 * SESSION_NONE without room: then the client is served all the same, and nothing is known of its handshake.
 */
uint32_t tracking_begin(struct tracking *t, uint32_t pin, const struct story *story, bool confirmed,
                        uint64_t now_ms);

/* The pin's handshake stands at that stage now: the only way to change it, since the backend's clients are
 * counted by it. */
void tracking_set_stage(struct tracking *t, uint32_t pin, enum stage stage);

/* The stage is reached; counted for the backend if it is the first time. */
void tracking_reach(struct tracking *t, uint32_t session, enum stage stage, uint64_t now_ms);

/* The backend has answered the first message, for the first time or again. */
void tracking_answered(struct tracking *t, uint32_t session, uint16_t backend);

/* It is this backend, not the one asked last, that the session will be with. */
void tracking_set_backend(struct tracking *t, uint32_t session, uint16_t backend);

/* The handshake goes on to another backend, since its own has not answered. */
void tracking_fail_over(struct tracking *t, uint32_t session, uint16_t backend);

/*
 * An IKE message of `len` bytes went between the session's client and that backend; noted if IP had to cut it
 * up. `from` says who sent it: STORY_LARGE_FROM_CLIENT or STORY_LARGE_FROM_SERVER.
 */
void tracking_note_size(struct tracking *t, uint32_t session, uint16_t backend, enum story_flag from,
                        size_t len);

void tracking_end(struct tracking *t, uint32_t session, uint64_t now_ms);

/* Ends sessions of a pin, at most as many as one packet may cost; true when none is left. */
bool tracking_end_of_pin(struct tracking *t, uint32_t pin, uint64_t now_ms);

/* After a failover two backends may have answered: the client goes on with this session, forget the others.
 */
void tracking_chosen(struct tracking *t, uint32_t session);

/* The session is out of the table as if it had never been: nothing is counted, and the journal has nothing of
 * it. */
void tracking_forget(struct tracking *t, uint32_t session);

/* Notes in the journal that a packet of the client was refused; `reason` is an enum drop_reason. */
void tracking_refused(struct tracking *t, uint16_t service, const struct endpoint *client, uint16_t reason,
                      uint64_t now_ms);

/* Ends what has expired: bindings_sweep(). */
void tracking_sweep(struct tracking *t, uint64_t now_ms, uint32_t steps);
