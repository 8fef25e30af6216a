/* When probes are sent: with jitter, so that many probers never fall into step; pure. */
#pragma once

#include <stdint.h>

#define PACE_FIRST_MAX_MS 100

/* Until the first probe: spread over less than PACE_FIRST_MAX_MS, but no longer than one interval. */
uint32_t pace_first_ms(uint32_t interval_ms, uint32_t random);

/*
 * From the start of one probe to that of the next: the interval less up to a tenth of it, at least 1. Never
 * more, so that `fall` intervals and a timeout are what a dead backend can take to be found.
 */
uint32_t pace_next_ms(uint32_t interval_ms, uint32_t random);
