/* The HTTP API: which path answers what. Knows nothing of sockets. */
#pragma once

#include <stdint.h>

#include "admin/http.h"
#include "admin/metrics.h"
#include "admin/token.h"
#include "base/histogram.h"
#include "lb/dataplane.h"

/*
 * A path that changes something when it is POSTed to. The handler is called only for requests that may
 * change things: local ones, and those with the token.
 */
struct api_change {
    const char *path; /* if it ends in '/' more must follow, which is the handler's business */
    http_handler handle;
    void *ctx;
};

struct api {
    const struct dataplane *dp;       /* borrowed, as are the others */
    uint64_t started_ms;              /* of the clock of clock_now_ms() ... */
    uint64_t started_wall_ms;         /* ... and of clock_wall_ms() */
    const struct histogram *loop_lag; /* admin/loop_lag.h */
    const struct metrics_saving *saving;
    const struct token *token; /* what a request over the network needs to change things */
    const struct api_change *changes;
    size_t change_count;
};

/* Answers one request, errors included; fills *response, which comes with status 200 and nothing else. */
void api_handle(const struct api *api, const struct http_request *request, uint64_t now_ms,
                struct http_response *response);
