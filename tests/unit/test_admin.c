#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/clock.h"
#include "base/err.h"
#include "tests/unit/support.h"

#define PATIENCE_MS 5000

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
};

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
    *state = f;
    return 0;
}

/* Whatever a test did, the loop is empty at its end and the directory, too. */
static int tear_down(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(uv_loop_close(&f->loop), 0);
    unlink(f->path);
    assert_int_equal(rmdir(f->directory), 0);
    support_net_deinit(&f->net);
    fclose(f->log.out);
    free(f->logged);
    free(f);
    return 0;
}

static struct admin *start(struct fixture *f, int *err)
{
    const struct admin_settings settings = {
        .socket_path = f->path, .dp = &f->net.dp, .log = &f->log, .started_ms = clock_now_ms() - 5000};

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

static int open_client(const struct fixture *f)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", f->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

static void check_answer(struct fixture *f, const char *request, const char *expected)
{
    char text[8192] = "";
    size_t len = 0;
    ssize_t got = -1;
    const int fd = open_client(f);
    const uint64_t until_ms = clock_now_ms() + PATIENCE_MS;

    assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    while (got != 0 && clock_now_ms() < until_ms) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        got = read(fd, text + len, sizeof text - 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    assert_int_equal(got, 0);
    assert_non_null(strstr(text, expected));
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
        TEST(test_serves_and_stops),   TEST(test_second_daemon_is_refused), TEST(test_impossible_socket),
        TEST(test_stops_with_clients), TEST(test_close_of_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
