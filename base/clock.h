/* The two clocks. The core never reads them: it is given the time. */
#pragma once

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t clock_now_ms(void);

/* Milliseconds of wall time since 1970, UTC. */
uint64_t clock_wall_ms(void);

/* "2026-11-23T12:37:05.123Z" for such a time; returns `text`. */
#define CLOCK_TEXT_MAX 32
const char *clock_wall_format(uint64_t wall_ms, char text[static CLOCK_TEXT_MAX]);

/* The same of now, for log lines. */
const char *clock_wall_text(char text[static CLOCK_TEXT_MAX]);
