/* What GET /api/v1/clients is asked for: the query's words checked and turned into numbers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/http.h"
#include "lb/pool.h"

#define CLIENTS_LIMIT_DEFAULT 100
#define CLIENTS_LIMIT_MAX     1000

struct clients_query {
    bool every_backend;
    bool wanted[POOL_BACKENDS_MAX]; /* by index in the pool, unless every_backend */
    uint32_t after;                 /* the slot of the table where the page begins */
    uint32_t limit;                 /* rows */
};

#define CLIENTS_ERROR_MAX 512

/*
 * Reads the query. 0; ERR_MALFORMED (bad or unknown parameter) or ERR_NOT_FOUND (no such backend), with what
 * is wrong and what is allowed in `error`. The backend is named NAME, at all services, or SERVICE/NAME.
 */
int clients_query_read(const struct pool *pool, const struct http_query *query, size_t count,
                       struct clients_query *out, char error[static CLIENTS_ERROR_MAX]);

/* The `next` of an answer: the opaque word for a slot, which clients_query_read() takes back as `after`. */
#define CLIENTS_CURSOR_MAX 12
const char *clients_query_cursor(uint32_t slot, char text[static CLIENTS_CURSOR_MAX]);
