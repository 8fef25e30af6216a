/* The HTTP server of admin/http.c with clients beside it, one server a test. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/http.h"
#include "base/clock.h"
#include "tests/unit/unit.h"

#define REQUEST_MS  400
#define PATIENCE_MS 5000
#define ANSWER_MAX  65536
#define SLICES      500
#define SLICE_LEN   1000

/* A server on an abstract socket, so that no file is left behind whatever happens. */
struct server {
    uv_loop_t loop;
    struct http *http;
    struct sockaddr_un addr;
    socklen_t addr_len;
    int requests;
    int streams; /* open bodies */
    int slices;
    bool is_closed;
};

struct long_body {
    struct server *server;
    int left;
};

static inline int next_slice(void *state, FILE *out)
{
    struct long_body *b = state;

    b->server->slices++;
    fprintf(out, "%0*d", SLICE_LEN, b->left);
    return --b->left ? BODY_MORE : BODY_END;
}

static inline void destroy_body(void *state)
{
    ((struct long_body *)state)->server->streams--;
    free(state);
}

/* "/long" is a long body, "/short" one of a single slice, "/who" tells who asks; all else echoes what was
 * asked. */
static inline void handle(void *ctx, const struct http_request *request, struct http_response *response)
{
    struct server *s = ctx;

    s->requests++;
    if (strcmp(request->path, "/who") == 0) {
        response->json = json_pack("{s:b, s:s*}", "local", request->is_local, "bearer", request->bearer);
        response->content_type = "text/odd";
        response->allow = "BREW";
        return;
    }
    if (strcmp(request->path, "/page") == 0) {
        static const struct http_header headers[] = {{"X-One", "1"}, {"X-Two", "2"}, {NULL, NULL}};
        response->headers = headers;
        response->text = "a page, and what follows it";
        response->text_len = strlen("a page");
        return;
    }
    if (strcmp(request->path, "/long") != 0 && strcmp(request->path, "/short") != 0) {
        const size_t count = request->query_count < HTTP_QUERY_MAX ? request->query_count : HTTP_QUERY_MAX;
        response->json = json_pack("{s:s, s:s, s:i}", "method", request->method, "path", request->path,
                                   "count", (int)request->query_count);
        for (size_t i = 0; i < count; i++)
            json_object_set_new(response->json, request->query[i].key, json_string(request->query[i].value));
        return;
    }
    struct long_body *b = calloc(1, sizeof *b);
    assert_non_null(b);
    *b = (struct long_body){.server = s, .left = strcmp(request->path, "/long") == 0 ? SLICES : 1};
    s->streams++;
    response->body = (struct body){.next = next_slice, .destroy = destroy_body, .state = b};
}

static inline int set_up(void **state)
{
    struct server *s = calloc(1, sizeof *s);
    int err;

    assert_non_null(s);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    s->addr.sun_family = AF_UNIX;
    s->addr_len = sizeof s->addr;
    assert_int_equal(bind(fd, (struct sockaddr *)&s->addr, sizeof(sa_family_t)),
                     0); /* a name of the kernel's choice */
    assert_int_equal(getsockname(fd, (struct sockaddr *)&s->addr, &s->addr_len), 0);
    assert_int_equal(listen(fd, 128), 0);

    uv_loop_init(&s->loop);
    const struct http_settings settings = {
        .listen_fd = fd, .is_local = true, .idle_s = 1, .request_ms = REQUEST_MS, .handle = handle, .ctx = s};
    s->http = http_create(&s->loop, &settings, &err);
    assert_non_null(s->http);
    *state = s;
    return 0;
}

static inline void on_closed(void *ctx)
{
    ((struct server *)ctx)->is_closed = true;
}

static inline int tear_down(void **state)
{
    struct server *s = *state;

    http_close(s->http, on_closed, s);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_true(s->is_closed);
    assert_int_equal(s->streams, 0);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    free(s);
    return 0;
}

/* Turns the loop for a while; between turns it sleeps until something happens or 10 ms have passed. */
static inline void turn(struct server *s)
{
    uv_run(&s->loop, UV_RUN_NOWAIT);
    usleep(1000);
}

static inline int open_client(const struct server *s)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&s->addr, s->addr_len), 0);
    return fd;
}

static inline void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads until the server closes, or until `end` has come; false after PATIENCE_MS without either. */
static inline bool read_answer(struct server *s, int fd, const char *end, char *text)
{
    const uint64_t until_ms = clock_now_ms() + PATIENCE_MS;
    size_t len = 0;

    text[0] = '\0';
    while (clock_now_ms() < until_ms) {
        turn(s);
        const ssize_t got = recv(fd, text + len, ANSWER_MAX - 1 - len, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return true;
        if (got > 0)
            len += (size_t)got;
        text[len] = '\0';
        if (end && strstr(text, end))
            return true;
    }
    return false;
}

/* One good request over a connection of its own: the server still serves. */
static inline void check_serves(struct server *s)
{
    char text[ANSWER_MAX];
    const int fd = open_client(s);

    say(fd, "GET /x?a=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_true(read_answer(s, fd, NULL, text));
    assert_non_null(strstr(text, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(text, "\r\nContent-Type: application/json\r\n"));
    assert_null(strstr(text, "\r\nAllow:"));
    assert_non_null(strstr(text, "{\"method\":\"GET\",\"path\":\"/x\",\"count\":1,\"a\":\"1\"}"));
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
