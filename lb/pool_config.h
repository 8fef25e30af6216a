/*
 * Takes a configuration into a pool, be it empty or running. What is the same in both keeps its index, and
 * with it its clients, counters and health: a service is known by its VIPs, a backend by its address in the
 * service. What the configuration has no more is drained: its clients stay until they end.
 */
#pragma once

#include "lb/pool.h"

/* Hears what the pool cannot do while it runs, as "services.NAME.KEY: why"; the text is borrowed. */
struct pool_config_notes {
    void (*note)(void *ctx, const char *text);
    void *ctx;
};

/*
 * Applies the configuration, which may go afterwards; call dataplane_refresh() then. An operator's state of a
 * backend stays unless the configuration gives that backend another one than before.
 *
 * A service that runs keeps its mode, its spread_nat and the VIP that it has for a family: each is noted, and
 * the rest is applied. ERR_EXISTS if the VIPs of several services are in one now, or those of one in several;
 * ERR_FULL if what was removed and has clients yet leaves no room: nothing is changed then, and the note says
 * which.
 */
int pool_config_apply(struct pool *pool, const struct config *config, const struct pool_config_notes *notes);

/* A removed backend without clients is about to go: let go of it. */
typedef void pool_config_gone_fn(void *ctx, uint16_t backend);

/*
 * Lets go what was removed and has no clients any more. True if anything went: call dataplane_refresh() then.
 */
bool pool_config_collect(struct pool *pool, pool_config_gone_fn *gone, void *ctx);
