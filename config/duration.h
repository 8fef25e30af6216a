/* Durations as users write them: a whole number and one of the units ms, s, m, h. */
#pragma once

#include <stdint.h>

/*
 * Reads "500ms", "30s", "5m" or "1h" into milliseconds. ERR_NOT_FOUND if there is a number but no unit;
 * ERR_RANGE (and UINT64_MAX stored) if the number is too big to be counted; ERR_MALFORMED for anything else.
 */
int duration_parse(const char *text, uint64_t *out_ms);

/* Writes the duration with the biggest unit that needs no fraction, so that it reads back alike; returns
 * `text`. */
#define DURATION_TEXT_MAX 24
const char *duration_format(uint64_t ms, char text[static DURATION_TEXT_MAX]);
