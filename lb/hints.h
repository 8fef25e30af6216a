/*
 * Which backend a client was last forwarded to, where its replies do not tell: a server that several
 * transparent services share sends the same reply for each. A small table of guesses for clients without a
 * flow; a newer client takes the place of an older one.
 */
#pragma once

#include <stdint.h>

#include "base/addr.h"

#define HINTS_NONE UINT16_MAX

/* What is the same for all services that a reply could belong to. */
struct hint_key {
    struct endpoint client;
    uint16_t server;
    uint16_t port; /* enum ike_port */
};

struct hints;

/* `seed` is random. NULL without memory. */
struct hints *hints_create(uint64_t seed);
void hints_destroy(struct hints *hints);

void hints_note(struct hints *hints, const struct hint_key *key, uint16_t backend);

/* The backend noted last for this key, or HINTS_NONE. */
uint16_t hints_find(const struct hints *hints, const struct hint_key *key);
