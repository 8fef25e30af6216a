/* Shows people what came of POST /api/v1/backends/SERVICE/BACKEND/{drain,enable,disable}. */
#pragma once

#include <jansson.h>

#include "admin/term.h"

/*
 * Prints "drain; 12 clients stay until they end, new ones go elsewhere", without an end of line. The
 * `warning` of the answer is the caller's business. 0, or ERR_PROTOCOL with nothing printed.
 */
int change_view_print(const json_t *answer, const struct term *term);
