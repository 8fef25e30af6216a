/* The report of `ikelb doctor`, for people and for scripts. */
#pragma once

#include <jansson.h>

#include "admin/term.h"
#include "health/findings.h"

/* A checklist, a line each, with what to do below it, and the verdict last. `host` is what the user wrote. */
void doctor_view_print(const struct findings *all, const char *host, const struct term *term);

/* The same as one JSON object for the caller to release; NULL without memory. */
json_t *doctor_view_json(const struct findings *all, const char *host);
