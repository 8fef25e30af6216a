/* The two clocks. The core never reads them: it is given the time. */
#pragma once

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t clock_now_ms(void);

/* "2026-11-23T12:37:05.123Z", UTC wall time, for log lines; returns `text`. */
#define CLOCK_TEXT_MAX 32
const char *clock_wall_text(char text[static CLOCK_TEXT_MAX]);
