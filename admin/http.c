#include "admin/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

#define HANDLE_COUNT       3
#define LOG_TEXT_MAX       256
#define REST_MS            100 /* between two looks at who waits, where nobody can be accepted */
#define PORT_OF_ITS_SOCKET 0   /* the library is given a socket that listens already */

/* An open connection, and when it last got anywhere: opened, or a request answered. */
struct peer {
    struct MHD_Connection *connection;
    uint64_t progress_ms;
};

struct http {
    struct MHD_Daemon *daemon;
    uv_poll_t poll; /* of the daemon's epoll descriptor */
    uv_timer_t timer;
    uv_idle_t idle; /* on while the library has more to do at once */
    const struct log *log;
    http_handler handle;
    void *handle_ctx;
    bool is_local;
    bool is_starved; /* for want of a descriptor somebody could not be accepted, and nobody was since */
    uint64_t request_ms;
    struct peer peers[HTTP_CONNECTIONS_MAX];
    int open_handles;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* A body on its way to a client; the slice in `text` has been sent up to `sent`. */
struct stream {
    struct body body;
    char *text;
    size_t len;
    size_t sent;
    int step;
};

static void stream_destroy(void *cls)
{
    struct stream *s = cls;

    s->body.destroy(s->body.state);
    free(s->text);
    free(s);
}

static int stream_refill(struct stream *s)
{
    FILE *out;

    free(s->text);
    s->text = NULL;
    s->len = s->sent = 0;
    out = open_memstream(&s->text, &s->len);
    if (!out)
        return -ENOMEM;
    s->step = s->body.next(s->body.state, out);
    if (fclose(out) != 0)
        return -ENOMEM;
    return s->step < 0 ? s->step : 0;
}

static ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct stream *s = cls;
    size_t len;

    (void)pos; /* a chunked body is read in order */
    if (s->sent == s->len) {
        if (s->step == BODY_END)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (stream_refill(s) < 0)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (s->len == 0)
            return MHD_CONTENT_READER_END_OF_STREAM;
    }
    len = s->len - s->sent < max ? s->len - s->sent : max;
    memcpy(buf, s->text + s->sent, len);
    s->sent += len;
    return (ssize_t)len;
}

static struct MHD_Response *response_of_body(const struct body *body)
{
    struct stream *s = calloc(1, sizeof *s);
    struct MHD_Response *response;

    if (!s) {
        body->destroy(body->state);
        return NULL;
    }
    s->body = *body;
    s->step = BODY_MORE;
    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, HTTP_MEMORY_BYTES, stream_read, s,
                                                 stream_destroy);
    if (!response)
        stream_destroy(s);
    return response;
}

static struct MHD_Response *response_of_json(json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    struct MHD_Response *response = NULL;

    json_decref(json);
    if (text)
        response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(text);
    return response;
}

static struct MHD_Response *response_of(const struct http_response *content)
{
    /* As one piece of a list, since the library takes constant memory only so. */
    const struct MHD_IoVec text = {.iov_base = content->text, .iov_len = content->text_len};

    if (content->text)
        return MHD_create_response_from_iovec(&text, 1, NULL, NULL);
    if (content->json)
        return response_of_json(content->json);
    return content->body.next ? response_of_body(&content->body) : NULL;
}

static enum MHD_Result add_headers(struct MHD_Response *response, const struct http_response *content)
{
    const struct http_header always[] = {
        {MHD_HTTP_HEADER_CONTENT_TYPE, content->content_type ? content->content_type : "application/json"},
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
        {"X-Content-Type-Options", "nosniff"},
    };
    enum MHD_Result result = MHD_YES;

    for (size_t i = 0; result == MHD_YES && i < sizeof always / sizeof always[0]; i++)
        result = MHD_add_response_header(response, always[i].name, always[i].value);
    for (const struct http_header *h = content->headers; result == MHD_YES && h && h->name; h++)
        result = MHD_add_response_header(response, h->name, h->value);
    if (result == MHD_YES && content->allow)
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, content->allow);
    return result;
}

/* Without memory for an answer the connection is closed. */
static enum MHD_Result answer(struct MHD_Connection *connection, const struct http_response *content)
{
    struct MHD_Response *response = response_of(content);
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    result = add_headers(response, content);
    if (result == MHD_YES)
        result = MHD_queue_response(connection, content->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result collect_query(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct http_request *request = cls;

    (void)kind;
    if (request->query_count < HTTP_QUERY_MAX)
        request->query[request->query_count] = (struct http_query){.key = key, .value = value ? value : ""};
    if (request->query_count <= HTTP_QUERY_MAX)
        request->query_count++;
    return MHD_YES;
}

static const char *bearer_of(struct MHD_Connection *connection)
{
    static const char scheme[] = "Bearer ";
    const char *value =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);

    return value && strncasecmp(value, scheme, strlen(scheme)) == 0 ? value + strlen(scheme) : NULL;
}

static struct addr peer_address(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct endpoint peer = {0};

    if (info && info->client_addr && endpoint_from_sockaddr(info->client_addr, &peer) != 0)
        peer = (struct endpoint){0}; /* over a UNIX socket */
    return peer.addr;
}

const char *http_origin(const struct http_request *request, char text[static HTTP_ORIGIN_MAX])
{
    char address[ADDR_TEXT_MAX];

    if (request->is_local)
        snprintf(text, HTTP_ORIGIN_MAX, "over the socket");
    else
        snprintf(text, HTTP_ORIGIN_MAX, "from %s", addr_format(&request->peer, address));
    return text;
}

/*
 * Called once when the headers are there and again when the body is. Bodies are not wanted and are thrown
 * away; the answer to a method that may bring one is given at once, after which the library closes the
 * connection.
 */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **seen)
{
    struct http *http = cls;
    struct http_request request = {
        .method = method,
        .path = url,
        .is_local = http->is_local,
        .bearer = bearer_of(connection),
        .peer = peer_address(connection),
    };
    struct http_response response = {.status = MHD_HTTP_OK};
    const bool brings_no_body =
        strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;

    (void)version;
    (void)upload;
    if (!*seen && brings_no_body) {
        *seen = http;
        return MHD_YES;
    }
    if (*upload_len) {
        *upload_len = 0;
        return MHD_YES;
    }
    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, collect_query, &request);
    http->handle(http->handle_ctx, &request, &response);
    return answer(connection, &response);
}

static struct peer *peer_of(struct http *http, const struct MHD_Connection *connection)
{
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
        if (http->peers[i].connection == connection)
            return &http->peers[i];
    return NULL;
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *http = cls;
    const bool started = code == MHD_CONNECTION_NOTIFY_STARTED;
    struct peer *peer = peer_of(http, started ? NULL : connection);

    (void)context;
    if (started)
        http->is_starved = false;
    if (peer)
        *peer = (struct peer){.connection = started ? connection : NULL, .progress_ms = clock_now_ms()};
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **seen,
                         enum MHD_RequestTerminationCode code)
{
    struct peer *peer = peer_of(cls, connection);

    (void)seen;
    (void)code;
    if (peer)
        peer->progress_ms = clock_now_ms();
}

/*
 * The library's own timeout starts again with every byte. A client that trickles is cut off here; each of its
 * bytes wakes us up to see it.
 */
static void cut_overdue(struct http *http)
{
    const uint64_t now_ms = clock_now_ms();

    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        const struct peer *peer = &http->peers[i];
        if (!peer->connection || now_ms - peer->progress_ms < http->request_ms)
            continue;
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(peer->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (info)
            shutdown(info->connect_fd, SHUT_RDWR); /* the library sees the end and closes it */
    }
}

/* Lets the library do what is due, and asks it when to be called again. */
static void pump(struct http *http);
static void on_timer(uv_timer_t *timer);

static size_t count_peers(const struct http *http)
{
    size_t count = 0;

    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
        count += http->peers[i].connection != NULL;
    return count;
}

static bool is_out_of_descriptors(void)
{
    const int fd = eventfd(0, EFD_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd < 0;
}

/*
 * Whom the library cannot accept keeps its socket readable. With a connection of its own it does not look
 * there again until that ends; without one it would, in each turn of the loop.
 */
static void rest_if_starved(struct http *http)
{
    if (count_peers(http) || !is_out_of_descriptors())
        return;
    if (!http->is_starved)
        log_warn(http->log, "admin: no descriptor is left for who asks over HTTP: raise the limit: "
                            "`ulimit -n`, or LimitNOFILE= in the unit");
    http->is_starved = true;
    uv_idle_stop(&http->idle);
    uv_poll_stop(&http->poll); /* on_timer() goes on */
    uv_timer_start(&http->timer, on_timer, REST_MS, 0);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct http *http = poll->data;

    (void)status;
    (void)events;
    if (uv_is_active((uv_handle_t *)&http->idle)) /* it is done in the next turn: once a turn is enough */
        return;
    pump(http);
    rest_if_starved(http);
}

static void on_timer(uv_timer_t *timer)
{
    struct http *http = timer->data;

    if (!uv_is_active((uv_handle_t *)&http->poll))
        uv_poll_start(&http->poll, UV_READABLE, on_readable);
    pump(http);
}

static void on_idle(uv_idle_t *idle)
{
    pump(idle->data);
}

/*
 * Work that is due at once waits for the next turn of the loop, so that packets come in between; a timer of 0
 * ms would run again within this one.
 */
static void schedule(struct http *http)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    const bool has_timeout = MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES;

    uv_idle_stop(&http->idle);
    uv_timer_stop(&http->timer);
    if (has_timeout && timeout_ms == 0)
        uv_idle_start(&http->idle, on_idle);
    else if (has_timeout)
        uv_timer_start(&http->timer, on_timer, timeout_ms, 0);
}

static void pump(struct http *http)
{
    const size_t count = count_peers(http);

    (void)MHD_run(http->daemon);
    /* Full, or without a descriptor, the library does not listen until one has gone, and takes that up again
     * only in its next run, which nobody else may cause. */
    if (count_peers(http) < count)
        (void)MHD_run(http->daemon);
    cut_overdue(http);
    schedule(http);
}

static void on_library_log(void *cls, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

static void on_library_log(void *cls, const char *format, va_list args)
{
    const struct http *http = cls;
    char text[LOG_TEXT_MAX];

    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\r\n")] = '\0';
    log_debug(http->log, "admin: http: %s", text);
}

static struct MHD_Daemon *start_daemon(struct http *http, const struct http_settings *settings)
{
    const struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_library_log, http}, /* first, to hear of the others */
        {MHD_OPTION_LISTEN_SOCKET, settings->listen_fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, settings->address_max, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, settings->idle_s, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_MEMORY_BYTES, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, http},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, http},
        {MHD_OPTION_END, 0, NULL},
    };

    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, PORT_OF_ITS_SOCKET, NULL, NULL, on_request,
                            http, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http *http = handle->data;

    if (--http->open_handles > 0)
        return;
    if (http->closed)
        http->closed(http->closed_ctx);
    free(http);
}

/* All handles join the loop, or none. */
static int join_loop(struct http *http, uv_loop_t *loop)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int err = info ? uv_poll_init(loop, &http->poll, info->epoll_fd) : ERR_LIBRARY;

    if (err)
        return err;
    uv_timer_init(loop, &http->timer);
    uv_idle_init(loop, &http->idle);
    http->poll.data = http->timer.data = http->idle.data = http;
    http->open_handles = HANDLE_COUNT;
    uv_poll_start(&http->poll, UV_READABLE, on_readable);
    return 0;
}

struct http *http_create(uv_loop_t *loop, const struct http_settings *settings, int *err)
{
    struct http *http = calloc(1, sizeof *http);

    *err = -ENOMEM;
    if (!http) {
        close(settings->listen_fd);
        return NULL;
    }
    http->log = settings->log;
    http->is_local = settings->is_local;
    http->request_ms = settings->request_ms;
    http->handle = settings->handle;
    http->handle_ctx = settings->ctx;
    http->daemon = start_daemon(http, settings);
    if (!http->daemon) {
        *err = ERR_LIBRARY;
        close(settings->listen_fd);
        free(http);
        return NULL;
    }
    *err = join_loop(http, loop);
    if (*err) {
        MHD_stop_daemon(http->daemon);
        free(http);
        return NULL;
    }
    pump(http);
    return http;
}

void http_close(struct http *http, void (*closed)(void *ctx), void *ctx)
{
    http->closed = closed;
    http->closed_ctx = ctx;
    /* The loop must let go of the descriptor before the library closes it. */
    uv_poll_stop(&http->poll);
    uv_close((uv_handle_t *)&http->poll, on_handle_closed);
    uv_close((uv_handle_t *)&http->timer, on_handle_closed);
    uv_close((uv_handle_t *)&http->idle, on_handle_closed);
    MHD_stop_daemon(http->daemon);
}
