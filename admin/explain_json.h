/* All that is known of one client address, with the verdict on it; see GET /api/v1/clients/ADDRESS. */
#pragma once

#include <stdint.h>

#include "admin/body.h"
#include "base/addr.h"
#include "lb/dataplane.h"

/* Of the table of pins, so many slots are looked at in a slice: about a tenth of a millisecond. */
#define EXPLAIN_SLICE_SLOTS 8192

/* Where one address has more (persistence.spread_nat), those found first are shown, and "complete" is false.
 */
#define EXPLAIN_CLIENTS_MAX    64
#define EXPLAIN_SESSIONS_MAX   128
#define EXPLAIN_SESSIONS_A_PIN 16 /* the youngest ones */

/* For a pin of whose youngest ones none is established, one that is is looked for; among so many in all. */
#define EXPLAIN_SESSIONS_LOOKED_AT 4096

/*
 * The document as of `now_ms`, which is `wall_ms` on the wall clock (base/clock.h). The dataplane is borrowed
 * and must outlive the body. 0 or -ENOMEM.
 */
int explain_json(const struct dataplane *dp, const struct addr *address, uint64_t now_ms, uint64_t wall_ms,
                 struct body *out);
