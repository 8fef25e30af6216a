/* Going on with the table of an earlier run: its entries get this run's numbers, or go. */
#pragma once

#include "base/log.h"
#include "lb/bindings.h"
#include "lb/xdp/places.h"
#include "lb/xdp/table.h"

/*
 * Every entry whose flow is in `b` is kept; packets that come meanwhile are forwarded as by the run before.
 * The others are removed. 0, or -ENOMEM and all are removed. Takes some tens of milliseconds for a million
 * flows: for the start only.
 */
int adoption_run(struct table *table, struct places *places, struct xdp_about *about, struct bindings *b,
                 uint32_t now, const struct log *log);
