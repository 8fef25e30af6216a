/* POST /api/v1/backends/SERVICE/BACKEND/{drain,enable,disable}: the operator's decisions on a backend. */
#pragma once

#include "admin/http.h"
#include "base/log.h"
#include "lb/pool.h"

#define BACKEND_CHANGE_PATH "/api/v1/backends/"

struct backend_change {
    struct pool *pool;          /* borrowed */
    const struct log *log;      /* borrowed */
    void (*changed)(void *ctx); /* called after each change, if not NULL: alarms may come or go */
    void *ctx;
};

/*
 * Answers a request below BACKEND_CHANGE_PATH; `ctx` is the struct backend_change. Made for struct
 * api_change, which lets only those in who may change things. The answer: {"service","backend","state","was",
 * "clients","health","warning"}, where `was` is the state before and `warning` a sentence, or null. An
 * unknown service or backend is 404, with the names that are like it.
 */
void backend_change_handle(void *ctx, const struct http_request *request, struct http_response *response);
