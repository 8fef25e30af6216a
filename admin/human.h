/* Numbers as people read them: 1,234,567, 3.4 Mbit/s, 2d 5h. */
#pragma once

#include <stdint.h>

#define HUMAN_TEXT_MAX 32

/* "1,234,567"; returns `text`, as all of these do. */
const char *human_count(uint64_t n, char text[static HUMAN_TEXT_MAX]);

/* Three digits at most and a decimal prefix: human_rate(3400000, "bit/s") is "3.4 Mbit/s", and 0 is "0". */
const char *human_rate(uint64_t rate, const char *unit, char text[static HUMAN_TEXT_MAX]);

/* The two greatest units: "45s", "12m 5s", "3h 20m", "2d 5h". */
const char *human_duration(uint64_t seconds, char text[static HUMAN_TEXT_MAX]);
