/* What `ikelb probe` has found out, for people and for scripts. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "admin/term.h"
#include "health/inquiry.h"

struct probe_view {
    const char *host;                     /* as the user wrote it */
    const struct inquiry_result *results; /* one an address */
    size_t count;
};

/* Do both ports answer at every address? */
bool probe_view_is_alive(const struct probe_view *view);

/* For people, with what to do about what is wrong. */
void probe_view_print(const struct probe_view *view, const struct term *term);

/* The same as an object, for the caller to release. */
json_t *probe_view_json(const struct probe_view *view);
