#include "admin/body.h"

#include <errno.h>
#include <stdlib.h>

/* Milliseconds with decimals are the only fractions in the API; more digits would be noise. */
#define REAL_DIGITS 6

int body_write_json(FILE *out, json_t *value, size_t flags)
{
    int failed;

    if (!value)
        return -ENOMEM;
    failed = json_dumpf(value, out, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS) | flags);
    json_decref(value);
    return failed ? -ENOMEM : 0;
}

char *body_collect(struct body *body)
{
    char *text = NULL;
    size_t len = 0;
    int step = -ENOMEM;
    FILE *out = open_memstream(&text, &len);

    if (out) {
        do
            step = body->next(body->state, out);
        while (step == BODY_MORE);
        if (fclose(out) != 0)
            step = -ENOMEM;
    }
    body->destroy(body->state);
    if (step != BODY_END) {
        free(text);
        return NULL;
    }
    return text;
}
