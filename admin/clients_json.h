/* A page of the clients and what is known of each; see GET /api/v1/clients. */
#pragma once

#include <stdint.h>

#include "admin/body.h"
#include "admin/clients_query.h"
#include "lb/dataplane.h"

/* What is known of one client: a row of the page. `pin` may be a copy. NULL without memory. */
json_t *clients_json_row(const struct dataplane *dp, const struct pin *pin, uint64_t now_ms);

/*
 * A page looks at no more slots of the table than this, so it may hold fewer clients than asked for, even
 * none, and yet have a `next`.
 */
#define CLIENTS_PAGE_SLOTS 20000

/*
 * The page as of `now_ms`. The dataplane is borrowed and must outlive the body. Between pages, and between
 * the slices of one, clients may come and go: each that stays is on exactly one page. 0 or -ENOMEM.
 */
int clients_json(const struct dataplane *dp, const struct clients_query *query, uint64_t now_ms,
                 struct body *out);
