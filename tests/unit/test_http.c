#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/http.h"
#include "base/clock.h"

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

static int next_slice(void *state, FILE *out)
{
    struct long_body *b = state;

    b->server->slices++;
    fprintf(out, "%0*d", SLICE_LEN, b->left);
    return --b->left ? BODY_MORE : BODY_END;
}

static void destroy_body(void *state)
{
    ((struct long_body *)state)->server->streams--;
    free(state);
}

/* "/long" is a long body, "/short" one of a single slice, "/who" tells who asks; all else echoes what was
 * asked. */
static void handle(void *ctx, const struct http_request *request, struct http_response *response)
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

static int set_up(void **state)
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

static void on_closed(void *ctx)
{
    ((struct server *)ctx)->is_closed = true;
}

static int tear_down(void **state)
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
static void turn(struct server *s)
{
    uv_run(&s->loop, UV_RUN_NOWAIT);
    usleep(1000);
}

static int open_client(const struct server *s)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&s->addr, s->addr_len), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads until the server closes, or until `end` has come; false after PATIENCE_MS without either. */
static bool read_answer(struct server *s, int fd, const char *end, char *text)
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
static void check_serves(struct server *s)
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

static void test_serves(void **state)
{
    check_serves(*state);
}

static void test_keeps_the_connection(void **state)
{
    struct server *s = *state;
    char text[ANSWER_MAX];
    const int fd = open_client(s);

    for (int i = 0; i < 3; i++) {
        say(fd, "GET /y HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(read_answer(s, fd, "\"count\":0}", text));
        assert_non_null(strstr(text, "HTTP/1.1 200 OK\r\n"));
    }
    assert_int_equal(s->requests, 3);
    close(fd);
}

static void test_decodes_the_query(void **state)
{
    char text[ANSWER_MAX];
    const int fd = open_client(*state);

    say(fd, "GET /z?a=%2Fb+c&empty&d=%C3%A9 HTTP/1.0\r\n\r\n");
    assert_true(read_answer(*state, fd, NULL, text));
    assert_non_null(strstr(text, "\"count\":3,\"a\":\"/b c\",\"empty\":\"\",\"d\":\"é\"}"));
    close(fd);
}

/* Who asks is told to the handler; what it says of its answer is in the header. */
static void test_who_asks(void **state)
{
    static const struct {
        const char *header;
        const char *answer;
    } cases[] = {
        {"X: y", "{\"local\":true}"},
        {"Authorization: Bearer abc=", "{\"local\":true,\"bearer\":\"abc=\"}"},
        {"authorization: bEARER x y", "{\"local\":true,\"bearer\":\"x y\"}"},
        {"Authorization: Bearer", "{\"local\":true}"},
        {"Authorization: Basic eDp5", "{\"local\":true}"},
        {"Authorization: Bearerabc", "{\"local\":true}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[ANSWER_MAX];
        char request[256];
        const int fd = open_client(*state);
        snprintf(request, sizeof request, "GET /who HTTP/1.0\r\n%s\r\n\r\n", cases[i].header);
        say(fd, request);
        assert_true(read_answer(*state, fd, NULL, text));
        if (!strstr(text, cases[i].answer))
            fail_msg("%s: %s", cases[i].header, text);
        assert_non_null(strstr(text, "\r\nContent-Type: text/odd\r\n"));
        assert_non_null(strstr(text, "\r\nAllow: BREW\r\n"));
        close(fd);
    }
}

/* A page is sent as far as it goes, with its headers; HEAD gets these alone. */
static void test_page(void **state)
{
    struct server *s = *state;
    static const char *const methods[] = {"GET", "HEAD"};

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        char request[64];
        char text[ANSWER_MAX];
        const int fd = open_client(s);
        snprintf(request, sizeof request, "%s /page HTTP/1.0\r\n\r\n", methods[i]);
        say(fd, request);
        assert_true(read_answer(s, fd, NULL, text));
        assert_non_null(strstr(text, "\r\nX-One: 1\r\nX-Two: 2\r\n"));
        assert_non_null(strstr(text, "\r\nX-Content-Type-Options: nosniff\r\n"));
        assert_non_null(strstr(text, "\r\nContent-Length: 6\r\n"));
        assert_string_equal(strstr(text, "\r\n\r\n") + 4, i ? "" : "a page");
        close(fd);
    }
}

/* In words, for the log. */
static void test_origin(void **state)
{
    static const struct http_request local = {.is_local = true};
    struct http_request remote = {0};
    char text[HTTP_ORIGIN_MAX];

    (void)state;
    assert_string_equal(http_origin(&local, text), "over the socket");
    assert_int_equal(addr_parse("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", &remote.peer), 0);
    assert_string_equal(http_origin(&remote, text), "from 2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff");
}

static void test_counts_too_many_parameters(void **state)
{
    char text[ANSWER_MAX];
    const int fd = open_client(*state);

    say(fd, "GET /z?a&b&c&d&e&f&g&h&i&j&k HTTP/1.0\r\n\r\n");
    assert_true(read_answer(*state, fd, NULL, text));
    assert_non_null(strstr(text, "\"count\":9,\"a\""));
    close(fd);
}

/* Methods with a body are answered before it comes, and a body where none is expected is thrown away. */
static void test_unwanted_bodies(void **state)
{
    char text[ANSWER_MAX];
    int fd = open_client(*state);

    say(fd, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc");
    assert_true(read_answer(*state, fd, NULL, text));
    assert_non_null(strstr(text, "\"method\":\"POST\""));
    close(fd);

    fd = open_client(*state);
    say(fd, "GET /g HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
    assert_true(read_answer(*state, fd, NULL, text));
    assert_non_null(strstr(text, "\"path\":\"/g\""));
    close(fd);
}

static void test_short_body(void **state)
{
    char text[ANSWER_MAX];
    const int fd = open_client(*state);

    say(fd, "GET /short HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_true(read_answer(*state, fd, NULL, text));
    assert_non_null(strstr(text, "Transfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(text, "0001\r\n0\r\n"));
    close(fd);
}

/* A long answer takes many turns of the loop, none of which makes more than a few slices. */
static void test_long_body_in_slices(void **state)
{
    struct server *s = *state;
    char buffer[ANSWER_MAX];
    size_t len = 0;
    ssize_t got = -1;
    const int fd = open_client(s);

    say(fd, "GET /long HTTP/1.0\r\n\r\n");
    for (int turns = 0; got != 0 && turns < 10 * SLICES; turns++) {
        const int before = s->slices;
        uv_run(&s->loop, UV_RUN_NOWAIT);
        assert_true(s->slices - before <= 3);
        got = recv(fd, buffer, sizeof buffer, 0);
        len += got > 0 ? (size_t)got : 0;
    }
    assert_int_equal(got, 0);
    assert_int_equal(s->slices, SLICES);
    assert_true(len > (size_t)SLICES * SLICE_LEN);
    close(fd);
}

/* Whoever does not read his answer, or goes away in the middle of it, costs one slice and is forgotten. */
static void test_reader_goes_away(void **state)
{
    struct server *s = *state;
    const int fd = open_client(s);

    say(fd, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 50; i++)
        turn(s);
    assert_int_equal(s->streams, 1);
    close(fd);
    for (int i = 0; i < 50; i++)
        turn(s);
    assert_int_equal(s->streams, 0);
    assert_true(s->slices < SLICES);
    check_serves(s);
}

/* Whoever reads a byte now and then is cut off in the end, and holds up nobody meanwhile. */
static void test_slow_reader(void **state)
{
    struct server *s = *state;
    const uint64_t start_ms = clock_now_ms();
    const int fd = open_client(s);
    char byte;

    say(fd, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 50; i++)
        turn(s);
    assert_int_equal(s->streams, 1);
    check_serves(s);
    while (s->streams && clock_now_ms() - start_ms < PATIENCE_MS) {
        for (int i = 0; i < 20; i++)
            turn(s);
        (void)recv(fd, &byte, 1, 0);
    }
    assert_int_equal(s->streams, 0);
    assert_true(s->slices < SLICES);
    assert_true(clock_now_ms() - start_ms >= REQUEST_MS);
    close(fd);
}

static void test_garbage(void **state)
{
    static const char *const garbage[] = {
        "\r\n\r\n\r\n",
        "\x16\x03\x01\x02\x01\x01\xfc\x03\x03 not TLS\r\n\r\n",
        "GET\r\n\r\n",
        "GET /x\r\n\r\n",
        "GET /%zz%00%ff?%=&=&&a=%f HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /x HTTP/9.9\r\n\r\n",
        "GET /x HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /x HTTP/1.1\r\n: no name\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n",
    };

    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        char text[ANSWER_MAX];
        const int fd = open_client(*state);
        say(fd, garbage[i]);
        shutdown(fd, SHUT_WR);
        assert_true(read_answer(*state, fd, NULL, text));
        close(fd);
    }
    check_serves(*state);
}

/* A request without an end is refused when it has filled the connection's memory. */
static void test_endless_request(void **state)
{
    char text[ANSWER_MAX];
    const int fd = open_client(*state);
    size_t sent = 0;

    say(fd, "GET /");
    memset(text, 'a', sizeof text);
    while (sent < 1000000) {
        const ssize_t n = send(fd, text, sizeof text, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            break;
        sent += n > 0 ? (size_t)n : 0;
        turn(*state);
    }
    assert_true(sent < 500000); /* the socket's buffers take some more than the server does */
    close(fd);
    check_serves(*state);
}

/* More silent clients than there is room for: they are closed, and who came after them is served. */
static void test_silent_clients(void **state)
{
    struct server *s = *state;
    int fds[HTTP_CONNECTIONS_MAX + 8];
    char text[ANSWER_MAX];

    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        fds[i] = open_client(s);
    check_serves(s);
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        assert_true(read_answer(s, fds[i], NULL, text));
        close(fds[i]);
    }
}

/* A byte now and then keeps the library's own timeout from ever coming. */
static void test_trickling_client(void **state)
{
    struct server *s = *state;
    const uint64_t start_ms = clock_now_ms();
    const int fd = open_client(s);
    ssize_t sent = 1;

    say(fd, "GET /");
    while (sent == 1 && clock_now_ms() - start_ms < PATIENCE_MS) {
        for (int i = 0; i < 20; i++)
            turn(s);
        sent = send(fd, "a", 1, MSG_NOSIGNAL);
    }
    assert_int_equal(sent, -1);
    assert_true(clock_now_ms() - start_ms >= REQUEST_MS);
    close(fd);
    check_serves(s);
}

/* But a connection on which one request after the other gets through may last. */
static void test_busy_connection_lasts(void **state)
{
    struct server *s = *state;
    const uint64_t start_ms = clock_now_ms();
    char text[ANSWER_MAX];
    const int fd = open_client(s);

    while (clock_now_ms() - start_ms < 3 * REQUEST_MS) {
        say(fd, "GET /y HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(read_answer(s, fd, "\"count\":0}", text));
        assert_non_null(strstr(text, "200 OK"));
        for (int i = 0; i < 50; i++)
            turn(s);
    }
    close(fd);
}

/* Without anybody connected the server leaves the loop alone. */
static void test_idle_server_sleeps(void **state)
{
    struct server *s = *state;
    const int fd = open_client(s);
    int busy = 0;

    say(fd, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 50; i++) {
        turn(s);
        busy += uv_backend_timeout(&s->loop) == 0;
    }
    close(fd);
    for (int i = 0; i < 20; i++)
        turn(s);
    assert_true(busy > 0); /* there was more to do at once, and that was noticed */
    assert_int_equal(uv_backend_timeout(&s->loop), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_serves),
        TEST(test_keeps_the_connection),
        TEST(test_decodes_the_query),
        TEST(test_who_asks),
        TEST(test_page),
        TEST(test_origin),
        TEST(test_counts_too_many_parameters),
        TEST(test_unwanted_bodies),
        TEST(test_short_body),
        TEST(test_long_body_in_slices),
        TEST(test_reader_goes_away),
        TEST(test_slow_reader),
        TEST(test_garbage),
        TEST(test_endless_request),
        TEST(test_silent_clients),
        TEST(test_trickling_client),
        TEST(test_busy_connection_lasts),
        TEST(test_idle_server_sleeps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
