#include "tests/unit/unit.h"

#include <sys/resource.h>

#include "tests/unit/http_server.h"

/* Clients that are slow, silent, gone or no clients at all: they cost little, and others are served. */

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

/* Lets nobody open one more descriptor; returns the limit as it was. */
static struct rlimit take_descriptors(void)
{
    struct rlimit usual;
    const int next = dup(STDERR_FILENO);

    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = usual.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    return usual;
}

/* Who cannot be accepted waits until there are descriptors again, and does not keep the loop busy. */
static void test_out_of_descriptors(void **state)
{
    struct server *s = *state;
    char text[ANSWER_MAX];
    const int fd = open_client(s);
    int turns = 0;

    say(fd, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const struct rlimit usual = take_descriptors();
    const uint64_t start_ms = clock_now_ms();
    for (; clock_now_ms() - start_ms < 500; turns++)
        uv_run(&s->loop, UV_RUN_ONCE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    assert_in_range(turns, 1, 50);
    assert_int_equal(s->requests, 0);
    assert_true(read_answer(s, fd, NULL, text));
    assert_int_equal(s->requests, 1);
    close(fd);
    check_serves(s);
}

/* The same beside somebody who is connected, after whom the next one is accepted. */
static void test_last_descriptor(void **state)
{
    struct server *s = *state;
    char text[ANSWER_MAX];
    const int first = open_client(s);

    say(first, "GET /y HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(read_answer(s, first, "\"count\":0}", text));
    const int second = open_client(s);
    say(second, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const struct rlimit usual = take_descriptors();
    for (int i = 0; i < 50; i++)
        turn(s);
    assert_int_equal(s->requests, 1);
    close(first);
    assert_true(read_answer(s, second, NULL, text));
    assert_int_equal(s->requests, 2);
    close(second);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    check_serves(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reader_goes_away),      TEST(test_slow_reader),        TEST(test_garbage),
        TEST(test_endless_request),       TEST(test_silent_clients),     TEST(test_trickling_client),
        TEST(test_busy_connection_lasts), TEST(test_idle_server_sleeps), TEST(test_out_of_descriptors),
        TEST(test_last_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
