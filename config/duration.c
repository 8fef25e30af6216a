#include "config/duration.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* Smallest first. */
static const struct {
    const char *name;
    uint64_t ms;
} UNITS[] = {{"ms", 1}, {"s", 1000}, {"m", UINT64_C(60) * 1000}, {"h", UINT64_C(60) * 60 * 1000}};

#define UNIT_COUNT (sizeof UNITS / sizeof UNITS[0])

int duration_parse(const char *text, uint64_t *out_ms)
{
    uint64_t number = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++) {
        const uint64_t digit = (uint64_t)(*p - '0');
        number = number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : number * 10 + digit;
    }
    if (p == text)
        return ERR_MALFORMED;
    if (*p == '\0')
        return ERR_NOT_FOUND;
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (strcmp(p, UNITS[i].name) != 0)
            continue;
        if (number > UINT64_MAX / UNITS[i].ms || number == UINT64_MAX) {
            *out_ms = UINT64_MAX;
            return ERR_RANGE;
        }
        *out_ms = number * UNITS[i].ms;
        return 0;
    }
    return ERR_MALFORMED;
}

const char *duration_format(uint64_t ms, char text[static DURATION_TEXT_MAX])
{
    size_t unit = UNIT_COUNT - 1;

    /* Nothing is zero hours as well, but "0ms" is what a reader expects. */
    while (unit > 0 && (ms == 0 || ms % UNITS[unit].ms != 0))
        unit--;
    snprintf(text, DURATION_TEXT_MAX, "%" PRIu64 "%s", ms / UNITS[unit].ms, UNITS[unit].name);
    return text;
}
