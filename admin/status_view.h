/* The status screen: the status document as a person wants to see it. */
#pragma once

#include <jansson.h>

#include "admin/term.h"

/*
 * Prints the document of GET /api/v1/status. What another version of the daemon left out is shown as "-". 0,
 * ERR_PROTOCOL with nothing printed if it is no status document at all, or -ENOMEM.
 */
int status_view_print(const json_t *status, const struct term *term);
