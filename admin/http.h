/* HTTP on a listening socket, driven by the one loop: requests in, answers out, nothing of what they mean. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "admin/body.h"
#include "base/addr.h"
#include "base/log.h"

/* Bounds on what clients can make us hold. Above the first, more clients wait in the socket's backlog. */
#define HTTP_CONNECTIONS_MAX 32
#define HTTP_MEMORY_BYTES    16384 /* a connection's whole memory: request line, headers and output buffer */
#define HTTP_QUERY_MAX       8

/* Decoded already. */
struct http_query {
    const char *key;
    const char *value;
};

struct http_request {
    const char *method;
    const char *path; /* without the query */
    struct http_query query[HTTP_QUERY_MAX];
    size_t query_count; /* HTTP_QUERY_MAX + 1 if there are more than fit */
    bool is_local;      /* it came to a socket that only this machine's administrators can open */
    const char *bearer; /* the bearer token that came with it (RFC 6750 section 2.1), or NULL */
    struct addr peer;   /* who sent it; unspecified unless it came over TCP */
};

/* Who asks, for the log: "over the socket", or "from 203.0.113.7"; returns `text`. */
#define HTTP_ORIGIN_MAX (sizeof "from " + ADDR_TEXT_MAX)
const char *http_origin(const struct http_request *request, char text[static HTTP_ORIGIN_MAX]);

struct http_header {
    const char *name;
    const char *value;
};

/* Either `text`, which is static, or `json` or, if both are NULL, `body`; these two are taken over. */
struct http_response {
    unsigned status;
    const char *content_type;          /* static; NULL: application/json */
    const char *allow;                 /* with status 405: the methods that are allowed; static */
    const struct http_header *headers; /* more of them, up to one without a name; static; NULL: none */
    const char *text;
    size_t text_len;
    json_t *json;
    struct body body;
};

/* Fills *response, which has status 200 and nothing else. The request is valid during the call. */
typedef void (*http_handler)(void *ctx, const struct http_request *request, struct http_response *response);

struct http_settings {
    int listen_fd;         /* taken over, on failure too */
    bool is_local;         /* what its requests say of themselves */
    unsigned address_max;  /* of the connections, so many may be one address's; 0: all of them */
    unsigned idle_s;       /* a silent connection is closed after this */
    uint64_t request_ms;   /* and after this one that does not get a whole request through */
    const struct log *log; /* borrowed */
    http_handler handle;
    void *ctx;
};

struct http;

/* Serves from now on; NULL and a negative error in *err. */
struct http *http_create(uv_loop_t *loop, const struct http_settings *settings, int *err);

/* Cuts all connections at once; frees everything, and calls closed(ctx), when the loop has let go of the
 * handles. */
void http_close(struct http *http, void (*closed)(void *ctx), void *ctx);
