/* A page of the clients and what is known of each; see GET /api/v1/clients. */
#pragma once

#include <stdint.h>

#include "admin/body.h"
#include "admin/clients_query.h"
#include "lb/dataplane.h"

/* How long ago anything passed, as the pin's flows know. A copy of a pin has none, so it would not do. */
uint32_t clients_json_idle_ms(const struct bindings *b, const struct pin *pin, uint64_t now);

/* What is known of one client: a row of the page. Here `pin` may be a copy. NULL without memory. */
json_t *clients_json_row(const struct dataplane *dp, const struct pin *pin, uint32_t idle_ms,
                         uint64_t now_ms);

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
