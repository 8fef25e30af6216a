/* The CLI's side of the API: asks the daemon over its UNIX socket. */
#pragma once

#include <jansson.h>
#include <stddef.h>

struct client;

/* One parameter of a query; not yet encoded. */
struct client_param {
    const char *key;
    const char *value;
};

/* NULL without memory. The path is copied; nothing is connected yet. */
struct client *client_create(const char *socket_path);
void client_destroy(struct client *client);

/* How long an answer may take from now on, instead of the usual seconds. */
void client_set_timeout(struct client *client, unsigned timeout_ms);

/*
 * GETs a path. 0 and the answer (to be freed by json_decref()) in *out; ERR_UNREACHABLE when nobody answers,
 * ERR_NOT_FOUND or ERR_MALFORMED when the daemon says so (404, any other 4xx), ERR_PROTOCOL for what is no
 * answer of ikelb, -ENOMEM. client_error() then says what happened and what to do about it. Waits for some
 * seconds at most.
 */
int client_get(struct client *client, const char *path, const struct client_param *params, size_t count,
               json_t **out);

/*
 * POSTs, with no body, to the path that continues with these words: "/api/v1/backends" and {"a", "b c"} make
 * "/api/v1/backends/a/b%20c". The same results; but a refusal (ERR_NOT_FOUND, ERR_MALFORMED) has the daemon's
 * answer in *out, too, as it may say more than `error`.
 */
int client_post(struct client *client, const char *path, const char *const *words, size_t count,
                json_t **out);

/* The reason of the last failure, in a sentence or two; valid until the next call. */
const char *client_error(const struct client *client);
