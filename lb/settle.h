/* What a running service keeps against its configuration, written into that configuration. */
#pragma once

#include "lb/pool.h"

/*
 * Makes the configuration say what runs: mode, spread_nat, VIPs and SNAT addresses of each service, as the
 * pool has them. Call it for the configuration that pool_config_apply() took last.
 */
void settle_config(const struct pool *pool, struct config *config);
