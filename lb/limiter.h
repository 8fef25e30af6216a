/*
 * Tokens per client source address, so that one noisy address can neither fill the tables nor drown the
 * servers, while the others go unharmed: each address has a bucket of `burst` tokens that fills at `rate`
 * tokens a second.
 *
 * An IPv4 address has a bucket of its own; IPv6 addresses share one per /64, as one host commands all of its
 * network. Memory is fixed: 65,536 addresses are remembered. Where more are active, the address whose bucket
 * is nearest to full gives way among the eight that compete for a place, hence the oldest of those that took
 * the same; the noisy ones stay. A forgotten address starts again with a full bucket. So an address that
 * sends seldom is never refused because of others, and whoever commands far more than 65,536 addresses (or
 * /64 networks) is not held back by this table. Bounds on the unconfirmed share of pins and flows are for
 * that.
 *
 * No clock and no I/O: time is an argument.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

#define LIMITER_ADDRESSES 65536U
#define LIMITER_RATE_MAX  1000000U /* per second */
#define LIMITER_BURST_MAX 10000000U

struct limiter;

/*
 * `rate_per_s` is 1..LIMITER_RATE_MAX, `burst` 1..LIMITER_BURST_MAX; `seed` is random, so that nobody knows
 * which addresses compete for a place. The long-run rate is exact as long as the burst is at least a
 * thousandth of it, since time comes in milliseconds. NULL without memory.
 */
struct limiter *limiter_create(uint32_t rate_per_s, uint32_t burst, uint64_t seed);

/* NULL is fine. */
void limiter_destroy(struct limiter *limiter);

/*
 * Takes one token of the client's bucket. False if there is none: nothing is changed then, so that going on
 * in vain delays no later token. `now_ms` never goes back, and stays below 2^64 / LIMITER_RATE_MAX, which is
 * 584 years.
 */
bool limiter_take(struct limiter *limiter, const struct addr *client, uint64_t now_ms);
