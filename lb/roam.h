/* Follows a session to the place that its client has gone to, when the backend has confirmed that. */
#pragma once

#include "lb/bindings.h"

/*
 * The backend has sent the client of this session something on this flow, which proves that it knows the
 * client to be there. If the session was somewhere else until now it moves here; what it leaves behind lives
 * on for the half-open timeout, or longer if it is used again.
 */
void roam_confirmed(struct bindings *b, uint32_t session, uint32_t flow, uint64_t now_ms);

/* The same where no session is known: only ESP was seen, from another port than before. */
void roam_confirmed_esp(struct bindings *b, uint32_t flow, uint64_t now_ms);
