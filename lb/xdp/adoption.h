/* Going on with the table of an earlier run: its entries get this run's numbers, or go. */
#pragma once

#include "base/log.h"
#include "lb/bindings.h"
#include "lb/xdp/places.h"
#include "lb/xdp/table.h"

/* Now, by both clocks. */
struct adoption_time {
    uint64_t ms;
    uint32_t ticks;
};

/*
 * Every entry whose flow is in `b` is kept; packets that come meanwhile are forwarded as by the run before.
 * Flows that `b` does not have, as of a client that came after the last saving, are put there from their
 * entries, if VIP, backend and mode are still as they say. The other entries are removed. 0, or -ENOMEM and
 * nothing is kept. Takes some tens of milliseconds for a million flows: for the start only.
 */
int adoption_run(struct table *table, struct places *places, struct xdp_about *about, struct bindings *b,
                 const struct adoption_time *now, const struct log *log);
