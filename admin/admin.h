/* The daemon's outward face: the HTTP API on a UNIX socket and on TCP, on the one loop. */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "admin/api.h"
#include "base/addr.h"
#include "base/log.h"
#include "lb/dataplane.h"

struct admin;

struct admin_settings {
    const char *socket_path;
    struct endpoint listen;           /* on TCP; port 0: not at all */
    const char *token_path;           /* of the file with the token; NULL or empty: none */
    const struct api_change *changes; /* what can be changed; borrowed, until closed */
    size_t change_count;
    const struct dataplane *dp; /* borrowed, until closed, as is the next */
    const struct metrics_saving *saving;
    const struct log *log; /* borrowed, until closed */
    uint64_t started_ms;   /* clock_now_ms() when the daemon started */
};

/* Listens and serves from now on. NULL after a logged error, which is also in *err (see unix_socket_listen(),
 * tcp_socket_listen() and token_read()). Then run the loop on, too: it may have to let go of handles. */
struct admin *admin_create(uv_loop_t *loop, const struct admin_settings *settings, int *err);

/* From now on this token allows changes over the network; an empty one: none does. */
void admin_set_token(struct admin *admin, const struct token *token);

/*
 * Removes the socket and cuts all connections at once. Memory is freed, and closed(ctx) called (if not NULL),
 * when the loop has let go of the handles: run it on. NULL calls closed(ctx) at once.
 */
void admin_close(struct admin *admin, void (*closed)(void *ctx), void *ctx);
