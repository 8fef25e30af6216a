#include "admin/admin.h"

#include <errno.h>
#include <stdlib.h>

#include "admin/http.h"
#include "admin/loop_lag.h"
#include "admin/tcp_socket.h"
#include "admin/unix_socket.h"
#include "base/clock.h"
#include "base/err.h"

/* For clients that connect and say nothing, or say it very slowly. */
#define IDLE_S     5
#define REQUEST_MS 30000

/* Of the connections on TCP one address may have so many: a browser takes six. */
#define ADDRESS_MAX 12

/* What has been started is not NULL; admin_close() closes just that. */
struct admin {
    struct api api;
    struct token token;
    const struct log *log;
    struct unix_socket socket;
    struct http *local;
    struct http *remote;
    struct loop_lag *loop_lag;
    int open_parts;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void handle(void *ctx, const struct http_request *request, struct http_response *response)
{
    const struct admin *admin = ctx;

    api_handle(&admin->api, request, clock_now_ms(), response);
}

/* Serves what comes to a listening socket, which is taken over. */
static struct http *serve(struct admin *admin, uv_loop_t *loop, int fd, bool is_local, int *err)
{
    const struct http_settings settings = {
        .listen_fd = fd,
        .is_local = is_local,
        .address_max = is_local ? 0 : ADDRESS_MAX,
        .idle_s = IDLE_S,
        .request_ms = REQUEST_MS,
        .log = admin->log,
        .handle = handle,
        .ctx = admin,
    };
    struct http *http = http_create(loop, &settings, err);

    if (!http)
        log_error(admin->log, "admin: cannot serve HTTP: %s", err_text(*err));
    return http;
}

static int start_local(struct admin *admin, uv_loop_t *loop, const char *path)
{
    const int fd = unix_socket_listen(path, &admin->socket);
    int err = 0;

    if (fd == ERR_EXISTS)
        log_error(admin->log,
                  "admin: another ikelb runs: it answers on %s; stop it, or give this one another "
                  "admin.socket",
                  path);
    else if (fd < 0)
        log_error(admin->log, "admin: cannot listen on %s: %s", path, err_text(fd));
    if (fd < 0)
        return fd;
    admin->local = serve(admin, loop, fd, true, &err);
    if (!admin->local)
        unix_socket_remove(&admin->socket);
    return err;
}

static const char *remedy(int err)
{
    switch (err) {
    case -EADDRINUSE:
        return "another program listens there; stop it, or give ikelb another port in admin.listen, or `off`";
    case -EADDRNOTAVAIL:
        return "this machine does not have that address (yet); see `ip address`, and admin.listen";
    default:
        return "see admin.listen, which may also be `off`";
    }
}

static int start_remote(struct admin *admin, uv_loop_t *loop, const struct endpoint *listen)
{
    const int fd = tcp_socket_listen(listen);
    char text[ENDPOINT_TEXT_MAX];
    int err = 0;

    endpoint_format(listen, text);
    if (fd < 0) {
        log_error(admin->log, "admin: cannot listen on %s: %s: %s", text, err_text(fd), remedy(fd));
        return fd;
    }
    admin->remote = serve(admin, loop, fd, false, &err);
    if (!err)
        log_info(admin->log, "admin: HTTP on %s%s", text,
                 admin->token.text[0] ? "" : ", for reading only: there is no admin.token_file");
    return err;
}

static int start(struct admin *admin, uv_loop_t *loop, const struct admin_settings *settings)
{
    int err = 0;

    if (settings->token_path && *settings->token_path)
        err = token_read(settings->token_path, settings->log, &admin->token);
    if (err)
        return err;
    admin->loop_lag = loop_lag_create(loop, &err);
    if (err) {
        log_error(settings->log, "admin: cannot measure the loop's lag: %s", err_text(err));
        return err;
    }
    admin->api.loop_lag = loop_lag_histogram(admin->loop_lag);
    err = start_local(admin, loop, settings->socket_path);
    if (!err && settings->listen.port)
        err = start_remote(admin, loop, &settings->listen);
    return err;
}

struct admin *admin_create(uv_loop_t *loop, const struct admin_settings *settings, int *err)
{
    struct admin *admin = calloc(1, sizeof *admin);

    if (!admin) {
        *err = -ENOMEM;
        return NULL;
    }
    admin->log = settings->log;
    admin->api = (struct api){
        .dp = settings->dp,
        .saving = settings->saving,
        .started_ms = settings->started_ms,
        .started_wall_ms = clock_wall_ms() - (clock_now_ms() - settings->started_ms),
        .token = &admin->token,
        .changes = settings->changes,
        .change_count = settings->change_count,
    };
    *err = start(admin, loop, settings);
    if (*err) {
        admin_close(admin, NULL, NULL);
        return NULL;
    }
    return admin;
}

void admin_set_token(struct admin *admin, const struct token *token)
{
    admin->token = *token;
}

static void on_part_closed(void *ctx)
{
    struct admin *admin = ctx;

    if (--admin->open_parts)
        return;
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
    admin->open_parts = 1; /* one for this call, so that it ends the same way whatever was started */
    if (admin->local) {
        unix_socket_remove(&admin->socket);
        admin->open_parts++;
        http_close(admin->local, on_part_closed, admin);
    }
    if (admin->remote) {
        admin->open_parts++;
        http_close(admin->remote, on_part_closed, admin);
    }
    if (admin->loop_lag) {
        admin->open_parts++;
        loop_lag_close(admin->loop_lag, on_part_closed, admin);
    }
    on_part_closed(admin);
}
