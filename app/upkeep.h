/* The daemon's regular chores, on timers of the one loop: expiry, rates, routes, alarms. Each call is a short
 * slice. */
#pragma once

#include <uv.h>

#include "base/log.h"
#include "lb/dataplane.h"

struct upkeep;

/*
 * Everything is borrowed and must outlive it; `second(ctx)` is called each second, after the rest. 0 and
 * *out, or a negative error. Runs from then on.
 */
int upkeep_create(uv_loop_t *loop, struct dataplane *dp, const struct log *log, void (*second)(void *ctx),
                  void *ctx, struct upkeep **out);

/* Logs each alarm, and each backend under suspicion, that has come or gone since the last call. The timers
 * call it, too. */
void upkeep_check_alarms(struct upkeep *upkeep);

/* Stops the timers and frees it; `closed(ctx)` is called from the loop when that is done. */
void upkeep_close(struct upkeep *upkeep, void (*closed)(void *ctx), void *ctx);
