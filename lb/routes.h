/* Keeps what the routes towards backends say: the path MTU, and in full-NAT mode the source address. */
#pragma once

#include <stddef.h>

#include "base/log.h"
#include "lb/bindings.h"

/*
 * Asks the kernel about up to `count` backends from number `first` on (three system calls each) and returns
 * where to go on, 0 after the last one. A backend without a route keeps what was known; that it has none is
 * logged once.
 */
size_t routes_refresh(struct bindings *b, size_t first, size_t count, const struct log *log);

/* Asks about every backend of which nothing is known yet. */
void routes_refresh_new(struct bindings *b, const struct log *log);
