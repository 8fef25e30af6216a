#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/backend_change.h"
#include "admin/tcp_socket.h"
#include "base/clock.h"
#include "base/err.h"
#include "tests/unit/support.h"

#define PATIENCE_MS 5000
#define ANSWER_MAX  65536

static const struct support_service services[] = {
    {.name = "a", .vips = {"192.0.2.1"}, .backends = {{.name = "vpn1", .address = "198.51.100.1"}}},
};

struct fixture {
    struct support_net net;
    uv_loop_t loop;
    char directory[32];
    char path[64];
    char *logged;
    size_t logged_len;
    struct log log;
    int closed;
    struct endpoint listen; /* port 0: not on TCP */
    char token_path[64];    /* empty: none */
    int probes;             /* how often the change was made */
    struct backend_change backend_change;
    struct api_change changes[2];
};

/* A change that a test makes up. */
static void probe(void *ctx, const struct http_request *request, struct http_response *response)
{
    (void)request;
    ++*(int *)ctx;
    response->json = json_pack("{s:b}", "done", 1);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    support_net_init(&f->net, services, 1, 100);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    snprintf(f->directory, sizeof f->directory, "/tmp/ikelb-admin-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof f->path, "%s/ikelb.sock", f->directory);
    f->log = (struct log){.level = LOG_LEVEL_INFO, .out = open_memstream(&f->logged, &f->logged_len)};
    f->backend_change = (struct backend_change){.pool = f->net.pool, .log = &f->log};
    f->changes[0] = (struct api_change){.path = "/probe", .handle = probe, .ctx = &f->probes};
    f->changes[1] = (struct api_change){
        .path = BACKEND_CHANGE_PATH, .handle = backend_change_handle, .ctx = &f->backend_change};
    *state = f;
    return 0;
}

/* Whatever a test did, the loop is empty at its end and the directory, too. */
static int tear_down(void **state)
{
    struct fixture *f = *state;

    uv_run(&f->loop, UV_RUN_NOWAIT); /* what could not be started is let go of */
    assert_int_equal(uv_loop_close(&f->loop), 0);
    unlink(f->path);
    if (f->token_path[0])
        unlink(f->token_path);
    assert_int_equal(rmdir(f->directory), 0);
    support_net_deinit(&f->net);
    fclose(f->log.out);
    free(f->logged);
    free(f);
    return 0;
}

static struct admin *start(struct fixture *f, int *err)
{
    static const struct metrics_saving not_saved;
    const struct admin_settings settings = {
        .socket_path = f->path,
        .listen = f->listen,
        .token_path = f->token_path,
        .changes = f->changes,
        .change_count = 2,
        .saving = &not_saved,
        .dp = &f->net.dp,
        .log = &f->log,
        .started_ms = clock_now_ms() - 5000,
    };

    return admin_create(&f->loop, &settings, err);
}

static void count_closed(void *ctx)
{
    ((struct fixture *)ctx)->closed++;
}

static void stop(struct fixture *f, struct admin *admin)
{
    admin_close(admin, count_closed, f);
    assert_int_equal(access(f->path, F_OK), -1); /* gone at once, not when the loop gets round to it */
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->closed, 1);
    f->closed = 0;
}

/* An address and port of its own for each test program: 127.0.0.0/8 has many. */
static void choose_port(struct fixture *f)
{
    char text[32];
    const int pid = getpid();

    snprintf(text, sizeof text, "127.%d.%d.%d:8809", 1 + pid / 62500 % 250, 1 + pid / 250 % 250,
             1 + pid % 250);
    assert_int_equal(endpoint_parse(text, &f->listen), 0);
}

#define TOKEN "0123456789abcdef"

static void write_token(struct fixture *f)
{
    snprintf(f->token_path, sizeof f->token_path, "%s/token", f->directory);
    FILE *file = fopen(f->token_path, "w");
    assert_non_null(file);
    fputs(TOKEN "\n", file);
    assert_int_equal(fclose(file), 0);
}

static int open_remote(const struct fixture *f)
{
    struct sockaddr_storage addr;
    const socklen_t len = endpoint_to_sockaddr(&f->listen, &addr);
    const int fd = socket(addr.ss_family, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static int open_client(const struct fixture *f)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", f->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

/* Asks over the connection, which the server must end, and closes it. */
static void exchange(struct fixture *f, int fd, const char *request, char text[static ANSWER_MAX])
{
    size_t len = 0;
    ssize_t got = -1;
    const uint64_t until_ms = clock_now_ms() + PATIENCE_MS;

    assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    while (got != 0 && clock_now_ms() < until_ms) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        got = read(fd, text + len, ANSWER_MAX - 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    text[len] = '\0';
    close(fd);
    assert_int_equal(got, 0);
}

static void check_answer(struct fixture *f, const char *request, const char *expected)
{
    char text[ANSWER_MAX];

    exchange(f, open_client(f), request, text);
    assert_non_null(strstr(text, expected));
}

static void check_remote(struct fixture *f, const char *request, const char *expected)
{
    char text[ANSWER_MAX];

    exchange(f, open_remote(f), request, text);
    if (!strstr(text, expected))
        fail_msg("%s: %s", request, text);
}

static void test_serves_and_stops(void **state)
{
    struct fixture *f = *state;
    int err;

    for (int i = 0; i < 2; i++) {
        struct admin *admin = start(f, &err);
        assert_non_null(admin);
        check_answer(f, "GET /api/v1/status HTTP/1.0\r\n\r\n",
                     "{\"version\":\"" IKELB_VERSION "\",\"uptime_s\":5,");
        check_answer(f, "GET /nothing HTTP/1.0\r\n\r\n", " 404 Not Found\r\n");
        check_answer(f, "DELETE /readyz HTTP/1.0\r\n\r\n", "Allow: GET, HEAD\r\n");
        stop(f, admin);
    }
}

static void test_second_daemon_is_refused(void **state)
{
    struct fixture *f = *state;
    int err = 0;
    struct admin *admin = start(f, &err);

    assert_non_null(admin);
    assert_null(start(f, &err));
    assert_int_equal(err, ERR_EXISTS);
    fflush(f->log.out);
    assert_non_null(strstr(f->logged, "another ikelb runs"));
    assert_non_null(strstr(f->logged, f->path));
    check_answer(f, "GET /healthz HTTP/1.0\r\n\r\n", "{\"alive\":true}");
    stop(f, admin);
}

static void test_impossible_socket(void **state)
{
    struct fixture *f = *state;
    int err = 0;

    snprintf(f->path, sizeof f->path, "%s/no/such/ikelb.sock", f->directory);
    assert_null(start(f, &err));
    assert_int_equal(err, -ENOENT);
    fflush(f->log.out);
    assert_non_null(strstr(f->logged, "cannot listen on"));
}

/* Clients that are connected, or in the middle of an answer, do not hold up the end. */
static void test_stops_with_clients(void **state)
{
    static const char request[] = "GET /api/v1/clients HTTP/1.1\r\nHost: x\r\n\r\n";
    struct fixture *f = *state;
    int err;
    struct admin *admin = start(f, &err);
    const int silent = open_client(f);
    const int asking = open_client(f);
    char byte;

    assert_non_null(admin);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(write(asking, request, strlen(request)), (ssize_t)strlen(request));
    uv_run(&f->loop, UV_RUN_NOWAIT);
    stop(f, admin);
    assert_int_equal(read(silent, &byte, 1), 0);
    close(silent);
    close(asking);
}

/* The same answers over both, whoever asks. */
static void test_tcp_is_the_same(void **state)
{
    static const char *const requests[] = {
        "GET /api/v1/status HTTP/1.0\r\n\r\n",
        "GET /api/v1/clients HTTP/1.0\r\n\r\n",
        "GET /readyz HTTP/1.0\r\n\r\n",
        "GET /nowhere HTTP/1.0\r\n\r\n",
    };
    struct fixture *f = *state;
    int err;

    choose_port(f);
    struct admin *admin = start(f, &err);
    assert_non_null(admin);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        char local[ANSWER_MAX], remote[ANSWER_MAX];
        exchange(f, open_client(f), requests[i], local);
        exchange(f, open_remote(f), requests[i], remote);
        assert_string_equal(strstr(local, "\r\n\r\n"), strstr(remote, "\r\n\r\n"));
    }
    check_remote(f, "GET /metrics HTTP/1.0\r\n\r\n", "\nikelb_clients{service=\"a\",backend=\"vpn1\",");
    check_answer(f, "GET /metrics HTTP/1.0\r\n\r\n",
                 "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    stop(f, admin);
}

static void test_changes_need_the_token(void **state)
{
    struct fixture *f = *state;
    int err;

    choose_port(f);
    struct admin *admin = start(f, &err);
    assert_non_null(admin);
    check_answer(f, "POST /probe HTTP/1.0\r\n\r\n", " 200 OK\r\n");
    assert_int_equal(f->probes, 1);
    check_remote(f, "POST /probe HTTP/1.0\r\n\r\n", " 403 Forbidden\r\n");
    check_remote(f, "POST /probe HTTP/1.0\r\nAuthorization: Bearer " TOKEN "\r\n\r\n", " 403 Forbidden\r\n");
    check_remote(f, "GET /probe HTTP/1.0\r\n\r\n", "\r\nAllow: POST\r\n");
    stop(f, admin);

    write_token(f);
    admin = start(f, &err);
    assert_non_null(admin);
    check_remote(f, "POST /probe HTTP/1.0\r\n\r\n", " 403 Forbidden\r\n");
    check_remote(f, "POST /probe HTTP/1.0\r\nAuthorization: Bearer x" TOKEN "\r\n\r\n", " 403 Forbidden\r\n");
    assert_int_equal(f->probes, 1);
    check_remote(f, "POST /probe HTTP/1.0\r\nAuthorization: Bearer " TOKEN "\r\n\r\n", "{\"done\":true}");
    assert_int_equal(f->probes, 2);
    stop(f, admin);
}

/* A backend's state, over both sockets; names come encoded, and the log tells who asked. */
static void test_backend_changes(void **state)
{
    struct fixture *f = *state;
    int err;

    choose_port(f);
    write_token(f);
    struct admin *admin = start(f, &err);
    assert_non_null(admin);
    check_answer(f, "POST /api/v1/backends/a/%76pn%31/drain HTTP/1.0\r\n\r\n", "\"state\":\"drain\"");
    assert_int_equal(f->net.pool->backends[0].state, CONFIG_STATE_DRAIN);
    check_remote(f, "POST /api/v1/backends/a/vpn1/enable HTTP/1.0\r\n\r\n", " 403 Forbidden\r\n");
    check_remote(f, "GET /api/v1/backends/a/vpn1/enable HTTP/1.0\r\n\r\n", "\r\nAllow: POST\r\n");
    check_answer(f, "POST /api/v1/backends/a/vpn2/enable HTTP/1.0\r\n\r\n", " 404 Not Found\r\n");
    assert_int_equal(f->net.pool->backends[0].state, CONFIG_STATE_DRAIN);
    check_remote(f, "POST /api/v1/backends/a/vpn1/enable HTTP/1.0\r\nAuthorization: Bearer " TOKEN "\r\n\r\n",
                 "\"was\":\"drain\"");
    assert_int_equal(f->net.pool->backends[0].state, CONFIG_STATE_ENABLED);
    fflush(f->log.out);
    assert_non_null(
        strstr(f->logged, "a/vpn1: drain, was enabled; clients: 0; by a request over the socket"));
    assert_non_null(strstr(f->logged, "by a request from 127.0.0.1, with the token"));
    stop(f, admin);
}

/* Nothing is served, and nothing left behind, if not all of it can be. */
static void check_refused(struct fixture *f, int wanted, const char *words)
{
    int err = 0;

    assert_null(start(f, &err));
    assert_int_equal(err, wanted);
    assert_int_equal(access(f->path, F_OK), -1);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    fflush(f->log.out);
    assert_non_null(strstr(f->logged, words));
}

static void test_port_is_taken(void **state)
{
    struct fixture *f = *state;

    choose_port(f);
    const int fd = tcp_socket_listen(&f->listen);
    assert_true(fd >= 0);
    check_refused(f, -EADDRINUSE, "another program listens there; stop it, or give ikelb another port");
    close(fd);
    f->listen.addr = support_addr("203.0.113.99");
    check_refused(f, -EADDRNOTAVAIL, "this machine does not have that address");
}

static void test_token_is_missing(void **state)
{
    struct fixture *f = *state;

    snprintf(f->token_path, sizeof f->token_path, "%s/token", f->directory);
    check_refused(f, -ENOENT, "cannot read admin.token_file");
}

/* One address that holds all the connections it gets, and reads nothing, keeps nobody else out. */
static void test_greedy_stranger(void **state)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    struct fixture *f = *state;
    int fds[HTTP_CONNECTIONS_MAX + 8]; /* those over it wait in the backlog */
    struct sockaddr_storage addr;
    int err;

    choose_port(f);
    struct admin *admin = start(f, &err);
    assert_non_null(admin);
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        fds[i] = open_remote(f);
        assert_true(send(fds[i], request, strlen(request), MSG_NOSIGNAL) > 0);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    const uint64_t asked_ms = clock_now_ms();
    const socklen_t len = endpoint_to_sockaddr(&f->listen, &addr);
    const struct endpoint other = {.addr = support_addr("127.0.0.7")};
    struct sockaddr_storage from;
    const socklen_t from_len = endpoint_to_sockaddr(&other, &from);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    char text[ANSWER_MAX];
    assert_int_equal(bind(fd, (struct sockaddr *)&from, from_len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    exchange(f, fd, "GET /healthz HTTP/1.0\r\n\r\n", text);
    assert_non_null(strstr(text, "{\"alive\":true}"));
    assert_true(clock_now_ms() - asked_ms < 1000);
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        close(fds[i]);
    stop(f, admin);
}

static void test_close_of_nothing(void **state)
{
    struct fixture *f = *state;

    admin_close(NULL, count_closed, f);
    assert_int_equal(f->closed, 1);
    admin_close(NULL, NULL, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_serves_and_stops),       TEST(test_second_daemon_is_refused),
        TEST(test_impossible_socket),      TEST(test_stops_with_clients),
        TEST(test_close_of_nothing),       TEST(test_tcp_is_the_same),
        TEST(test_changes_need_the_token), TEST(test_port_is_taken),
        TEST(test_token_is_missing),       TEST(test_greedy_stranger),
        TEST(test_backend_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
