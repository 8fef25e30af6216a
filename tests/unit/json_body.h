/* The document that a body of an answer is. */
#pragma once

#include <jansson.h>
#include <stdlib.h>

#include "admin/body.h"
#include "tests/unit/unit.h"

/* Reads and ends the body; to be released. Fails the test if it is no JSON. */
static inline json_t *json_body_take(struct body *body)
{
    char *text = body_collect(body);

    assert_non_null(text);
    json_t *document = json_loads(text, 0, NULL);
    if (!document)
        fail_msg("no JSON: %s", text);
    free(text);
    return document;
}
