/* The answer of `ikelb explain`: the document of GET /api/v1/clients/ADDRESS as a person wants to read it. */
#pragma once

#include <jansson.h>

#include "admin/term.h"

/* Handshakes, and clients, that are printed; there may be more in the document. */
#define EXPLAIN_VIEW_ROWS 5

/*
 * Prints the document: the verdict, the handshakes with their stages, moves, refusals, advice. What another
 * version of the daemon left out is shown as "-". 0, or ERR_PROTOCOL with nothing printed if it is no such
 * document at all.
 */
int explain_view_print(const json_t *document, const struct term *term);
