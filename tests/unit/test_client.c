#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/client.h"
#include "base/err.h"

#define REQUEST_MAX 2048

/* A server of one canned answer: a thread, because the client blocks. */
struct server {
    char directory[32];
    char path[64];
    int listen_fd;
    const char *answer; /* NULL: closes without one */
    char request[REQUEST_MAX];
};

static int set_up(void **state)
{
    struct server *s = calloc(1, sizeof *s);
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    assert_non_null(s);
    snprintf(s->directory, sizeof s->directory, "/tmp/ikelb-client-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    snprintf(s->path, sizeof s->path, "%s/ikelb.sock", s->directory);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", s->path);
    s->listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listen_fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(listen(s->listen_fd, 8), 0);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct server *s = *state;

    if (s->listen_fd >= 0)
        close(s->listen_fd);
    unlink(s->path);
    assert_int_equal(rmdir(s->directory), 0);
    free(s);
    return 0;
}

static void *serve(void *ctx)
{
    struct server *s = ctx;
    size_t len = 0;
    const int fd = accept(s->listen_fd, NULL, NULL);

    while (fd >= 0 && !strstr(s->request, "\r\n\r\n")) {
        const ssize_t got = read(fd, s->request + len, sizeof s->request - 1 - len);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    if (s->answer)
        (void)!write(fd, s->answer, strlen(s->answer));
    close(fd);
    return NULL;
}

/* A change asked for, and its answer. */
static int post(struct server *s, const char *answer, const char *const *words, size_t count, json_t **out)
{
    struct client *client = client_create(s->path);
    pthread_t thread;

    assert_non_null(client);
    s->answer = answer;
    memset(s->request, 0, sizeof s->request);
    assert_int_equal(pthread_create(&thread, NULL, serve, s), 0);
    const int err = client_post(client, "/api/v1/x", words, count, out);
    pthread_join(thread, NULL);
    client_destroy(client);
    return err;
}

/* One question and its answer; the result of client_get(), and what the client says of it in `error`. */
static int ask(struct server *s, const char *answer, const struct client_param *params, size_t count,
               json_t **out, char error[static 1024])
{
    struct client *client = client_create(s->path);
    pthread_t thread;

    assert_non_null(client);
    s->answer = answer;
    memset(s->request, 0, sizeof s->request);
    assert_int_equal(pthread_create(&thread, NULL, serve, s), 0);
    const int err = client_get(client, "/api/v1/x", params, count, out);
    pthread_join(thread, NULL);
    snprintf(error, 1024, "%s", client_error(client));
    client_destroy(client);
    return err;
}

static void test_gets(void **state)
{
    static const struct client_param params[] = {{"backend", "a/b c&d=é"}, {"limit", "5"}};
    struct server *s = *state;
    json_t *answer = NULL;
    char error[1024];

    setenv("http_proxy", "http://127.0.0.1:1", 1); /* must not come between */
    assert_int_equal(
        ask(s, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}", params, 2, &answer, error), 0);
    unsetenv("http_proxy");
    assert_int_equal(json_integer_value(json_object_get(answer, "a")), 1);
    assert_non_null(strstr(s->request, "GET /api/v1/x?backend=a%2Fb%20c%26d%3D%C3%A9&limit=5 HTTP/1.1\r\n"));
    json_decref(answer);
}

static void test_posts(void **state)
{
    static const char *const words[] = {"a/b c", "..", "drain"};
    struct server *s = *state;
    json_t *answer = NULL;

    assert_int_equal(post(s, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}", words, 3, &answer), 0);
    assert_int_equal(json_integer_value(json_object_get(answer, "a")), 1);
    assert_non_null(strstr(s->request, "POST /api/v1/x/a%2Fb%20c/../drain HTTP/1.1\r\n"));
    assert_non_null(strstr(s->request, "Content-Length: 0\r\n"));
    json_decref(answer);
    assert_int_equal(post(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", NULL, 0, &answer), 0);
    assert_non_null(strstr(s->request, "POST /api/v1/x HTTP/1.1\r\n"));
    json_decref(answer);
}

/* A refusal is told in full; what is no answer of ikelb is not. */
static void test_posts_refused(void **state)
{
    json_t *answer = NULL;

    assert_int_equal(post(*state,
                          "HTTP/1.1 422 No\r\nContent-Length: 25\r\n\r\n{\"error\":\"a\",\"errors\":[]}",
                          NULL, 0, &answer),
                     ERR_MALFORMED);
    assert_true(json_is_array(json_object_get(answer, "errors")));
    json_decref(answer);
    assert_int_equal(post(*state, "HTTP/1.1 422 No\r\nContent-Length: 2\r\n\r\n{}", NULL, 0, &answer),
                     ERR_PROTOCOL);
    assert_null(answer);
    assert_int_equal(post(*state, NULL, NULL, 0, &answer), ERR_UNREACHABLE);
    assert_null(answer);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *answer;
        int err;
        const char *error;
    } cases[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\n{\"error\":\"no such\"}", ERR_NOT_FOUND,
         "no such"},
        {"HTTP/1.1 400 Bad Request\r\nContent-Length: 15\r\n\r\n{\"error\":\"bad\"}", ERR_MALFORMED, "bad"},
        {"HTTP/1.1 500 No\r\nContent-Length: 16\r\n\r\n{\"error\":\"oops\"}", ERR_PROTOCOL, "oops"},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n<html", ERR_PROTOCOL,
         "does not speak like ikelb"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ERR_PROTOCOL, "does not speak like ikelb"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n{\"a\":1", ERR_PROTOCOL, "does not speak like ikelb"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]", ERR_PROTOCOL, "does not speak like ikelb"},
        {"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}", ERR_PROTOCOL, "HTTP status 500"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"a\":1}", ERR_UNREACHABLE, "is it the admin.socket"},
        {"SSH-2.0-OpenSSH\r\n", ERR_UNREACHABLE, "is it the admin.socket"},
        {NULL, ERR_UNREACHABLE, "is it the admin.socket"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *answer = NULL;
        char error[1024];
        assert_int_equal(ask(*state, cases[i].answer, NULL, 0, &answer, error), cases[i].err);
        assert_null(answer);
        if (!strstr(error, cases[i].error))
            fail_msg("case %zu: %s", i, error);
    }
}

/* Fails to reach anybody; the message names the socket, the cause and the remedy. */
static void check_unreachable(const char *path, const char *cause)
{
    struct client *client = client_create(path);
    json_t *answer = NULL;

    assert_non_null(client);
    assert_int_equal(client_get(client, "/api/v1/x", NULL, 0, &answer), ERR_UNREACHABLE);
    assert_non_null(strstr(client_error(client), path));
    if (!strstr(client_error(client), cause))
        fail_msg("%s", client_error(client));
    client_destroy(client);
}

static void test_unreachable(void **state)
{
    struct server *s = *state;
    char path[256];

    close(s->listen_fd);
    s->listen_fd = -1;
    check_unreachable(s->path, "nobody listens there any more: ikelb has ended; start it again");
    unlink(s->path);
    check_unreachable(s->path, "no such socket: is ikelb running?");
    check_unreachable("/dev/null", "nobody listens");
    snprintf(path, sizeof path, "%s/%0120d", s->directory, 0);
    check_unreachable(path, "is it the admin.socket of ikelb");
}

static void test_permission(void **state)
{
    struct server *s = *state;

    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(s->path, 0600), 0);
    assert_int_equal(chmod(s->directory, 0755), 0);
    assert_int_equal(seteuid(65534), 0);
    check_unreachable(s->path, "permission denied: try sudo");
    assert_int_equal(seteuid(0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_gets),     TEST(test_posts),       TEST(test_posts_refused),
                                       TEST(test_refusals), TEST(test_unreachable), TEST(test_permission)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
