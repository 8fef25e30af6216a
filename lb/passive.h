/*
 * Passive health: what the handshakes of real clients tell about a backend, without waiting for probes. One
 * that lets several clients in a row wait is suspect. If something else is heard from it, packets of tunnels
 * or answers to probes, it refuses new clients: the pattern behind "error 809". Otherwise it is silent.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lb/pool.h"

/*
 * A backend is suspect after so much evidence, the first so long ago: three clients without an answer. Five
 * handshakes of one address are as much, but make it silent only: a backend that is alive may have its
 * reasons to leave just this one without an answer.
 */
#define PASSIVE_EVIDENCE       6
#define PASSIVE_ANOTHER_CLIENT 2
#define PASSIVE_SAME_CLIENT    1
#define PASSIVE_WAIT_MS        1000
#define PASSIVE_SILENT_MS      3000 /* the same for one that nothing is heard from: time for a probe */

/* What is heard from a suspect so long after it has left the first client waiting shows that it is alive. */
#define PASSIVE_ALIVE_MS 100

/* A suspect gets a new client every so often all the same; its answer clears it. */
#define PASSIVE_TRIAL_MS 5000

/* Without a new handshake that is not answered, the evidence is forgotten after this. */
#define PASSIVE_FORGET_MS 60000

/* A handshake's first message goes to the backend for the first time. */
void passive_asked(struct backend *backend, const struct addr *client, uint64_t now_ms);

/* The backend has answered the first message of a handshake, with whatever. */
void passive_answered(struct backend *backend, bool is_v1);

/* It has come back after it was down: what was held against it does not count any more. */
void passive_forget(struct backend *backend);

/* It has sent a client something. */
void passive_heard(struct backend *backend, uint64_t now_ms);

/* It has answered a probe. */
void passive_probed(struct backend *backend, uint64_t now_ms);

/* Judges every backend anew: call it about every second. */
void passive_review(struct pool *pool, uint64_t now_ms);

/* "silent", "refusing"; NULL for SUSPICION_NONE. Static. */
const char *passive_suspicion_name(enum suspicion suspicion);
