#include "tests/unit/unit.h"

#include "tests/unit/http_server.h"

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
