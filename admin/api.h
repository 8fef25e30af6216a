/* The HTTP API: which path answers what. Knows nothing of sockets. */
#pragma once

#include <stdint.h>

#include "admin/http.h"
#include "lb/dataplane.h"

struct api {
    const struct dataplane *dp; /* borrowed */
    uint64_t started_ms;        /* of the clock of clock_now_ms() */
};

/* Answers one request, errors included; fills *response, which comes with status 200 and nothing else. */
void api_handle(const struct api *api, const struct http_request *request, uint64_t now_ms,
                struct http_response *response);
