/*
 * Measures how long each turn of the loop takes, from waking up to waiting again. So long, at most, a packet
 * waits that comes in meanwhile: the loop's lag.
 */
#pragma once

#include <uv.h>

#include "base/histogram.h"

struct loop_lag;

/* Measures from now on; does not keep the loop alive. NULL and a negative error in *err. */
struct loop_lag *loop_lag_create(uv_loop_t *loop, int *err);

/* Stops; frees it, and calls closed(ctx), when the loop has let go of the handle. */
void loop_lag_close(struct loop_lag *lag, void (*closed)(void *ctx), void *ctx);

/* Of all turns so far. */
const struct histogram *loop_lag_histogram(const struct loop_lag *lag);
