/*
 * Takes a changed configuration file into the running daemon: either all of it that can change, or, if the
 * file is bad or something of it cannot be had, nothing at all.
 */
#pragma once

#include <jansson.h>

#include "admin/admin.h"
#include "app/handover.h"
#include "app/probes.h"
#include "base/log.h"
#include "config/config.h"
#include "lb/dataplane.h"
#include "lb/io_socket.h"
#include "lb/kernel.h"

/* What a reload reads and changes; all borrowed but `config`. */
struct renewal {
    const char *path;             /* of the file */
    const struct config *started; /* what the daemon was started with: some keys stay as they were then */
    struct config *config; /* what runs now; renewal_run() replaces it, and frees it if it is not `started` */
    struct log *log;
    struct dataplane *dp;
    struct io_socket *io;
    struct kernel *kernel;
    struct probes *probes;
    struct admin *admin;
    struct handover *handover; /* is told of sockets that come and go */
};

/* What came of it; to be freed by renewal_result_deinit(). */
struct renewal_result {
    json_t *changes;       /* each difference to the configuration before, in words */
    json_t *needs_restart; /* what the file says, but a running daemon cannot change */
    json_t *errors;        /* why nothing was changed */
};

/*
 * Reads the file and applies it. 0; or a negative error, after which everything is as before, and `errors`
 * has what is wrong. All of it is logged, too. *result is filled in either case.
 */
int renewal_run(struct renewal *renewal, struct renewal_result *result);
void renewal_result_deinit(struct renewal_result *result);

/* POST /api/v1/reload; `ctx` is the struct renewal (admin/api.h). */
void renewal_post(void *ctx, const struct http_request *request, struct http_response *response);

/* Lets go what was removed and has no clients any more: call it each second. */
void renewal_collect(struct renewal *renewal);
