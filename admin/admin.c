#include "admin/admin.h"

#include <errno.h>
#include <stdlib.h>

#include "admin/api.h"
#include "admin/http.h"
#include "admin/unix_socket.h"
#include "base/clock.h"
#include "base/err.h"

/* For clients that connect and say nothing, or say it very slowly. */
#define IDLE_S     5
#define REQUEST_MS 30000

struct admin {
    struct api api;
    struct unix_socket socket;
    struct http *http;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void handle(void *ctx, const struct http_request *request, struct http_response *response)
{
    const struct admin *admin = ctx;

    api_handle(&admin->api, request, clock_now_ms(), response);
}

static int listen_at(struct admin *admin, const struct admin_settings *settings)
{
    const int fd = unix_socket_listen(settings->socket_path, &admin->socket);

    if (fd == ERR_EXISTS)
        log_error(settings->log,
                  "admin: another ikelb runs: it answers on %s; stop it, or give this one another "
                  "admin.socket",
                  settings->socket_path);
    else if (fd < 0)
        log_error(settings->log, "admin: cannot listen on %s: %s", settings->socket_path, err_text(fd));
    return fd;
}

struct admin *admin_create(uv_loop_t *loop, const struct admin_settings *settings, int *err)
{
    struct admin *admin = calloc(1, sizeof *admin);

    if (!admin) {
        *err = -ENOMEM;
        return NULL;
    }
    admin->api = (struct api){.dp = settings->dp, .started_ms = settings->started_ms};

    const int fd = listen_at(admin, settings);
    if (fd < 0) {
        *err = fd;
        free(admin);
        return NULL;
    }
    const struct http_settings http = {
        .listen_fd = fd,
        .idle_s = IDLE_S,
        .request_ms = REQUEST_MS,
        .log = settings->log,
        .handle = handle,
        .ctx = admin,
    };
    admin->http = http_create(loop, &http, err);
    if (!admin->http) {
        log_error(settings->log, "admin: cannot serve on %s: %s", settings->socket_path, err_text(*err));
        unix_socket_remove(&admin->socket);
        free(admin);
        return NULL;
    }
    return admin;
}

static void on_http_closed(void *ctx)
{
    struct admin *admin = ctx;

    if (admin->closed)
        admin->closed(admin->closed_ctx);
    free(admin);
}

void admin_close(struct admin *admin, void (*closed)(void *ctx), void *ctx)
{
    if (!admin) {
        if (closed)
            closed(ctx);
        return;
    }
    admin->closed = closed;
    admin->closed_ctx = ctx;
    unix_socket_remove(&admin->socket);
    http_close(admin->http, on_http_closed, admin);
}
