#include "tests/unit/unit.h"

#include <errno.h>

#include "health/knock.h"
#include "tests/unit/ike_server.h"

#define TIMEOUT_MS 60
#define LINK_MTU   4000

struct scene {
    uv_loop_t loop;
    struct server server;
    struct server_socket sockets[2];
    struct knock_outcome outcome;
    int done;
};

static void on_done(void *ctx, const struct knock_outcome *outcome)
{
    struct scene *s = ctx;

    s->outcome = *outcome;
    s->done++;
    server_close(&s->server);
}

/* Narrows the loopback device. */
static void set_link_mtu(int mtu)
{
    struct ifreq ifr = {.ifr_name = "lo", .ifr_mtu = mtu};
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_int_equal(ioctl(fd, SIOCSIFMTU, &ifr), 0);
    close(fd);
}

static struct scene *begin(enum server_manner manner, const char *address)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    assert_int_equal(uv_loop_init(&s->loop), 0);
    s->server.manners[0] = s->server.manners[1] = manner;
    server_open(&s->server, s->sockets, &s->loop, address);
    return s;
}

static void knock(struct scene *s, struct knock_request request, const char *address)
{
    assert_int_equal(addr_parse(address, &request.target), 0);
    request.loop = &s->loop;
    request.timeout_ms = TIMEOUT_MS;
    request.done = on_done;
    request.ctx = s;
    assert_int_equal(knock_start(&request, NULL), 0);
    assert_int_equal(s->done, 0);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(s->done, 1);
    assert_int_equal(uv_loop_close(&s->loop), 0);
}

static void test_answered(void **state)
{
    static const struct {
        const char *address;
        struct knock_request request;
        size_t len; /* of the UDP payload; 0: not compared */
    } cases[] = {
        {"127.0.0.1", {.natt_port = false}, 0},
        {"127.0.0.1", {.natt_port = true}, 0},
        {"127.0.0.1", {.packet_len = 1500, .fragments = SOCKET_FRAGMENTS_NEVER}, 1472},
        {"127.0.0.1", {.packet_len = 1499, .natt_port = true}, 1471},
        {"127.0.0.1", {.packet_len = KNOCK_PACKET_MIN}, KNOCK_PACKET_MIN - 28},
        {"127.0.0.1", {.packet_len = 8000, .fragments = SOCKET_FRAGMENTS_ALLOWED}, 7972},
        {"::1", {.packet_len = 1500, .fragments = SOCKET_FRAGMENTS_NEVER}, 1452},
        {"::1", {.packet_len = 8000, .fragments = SOCKET_FRAGMENTS_ALLOWED, .natt_port = true}, 7952},
        {"127.0.0.1", {.source_port = 5500}, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int before = server_open_descriptors();
        struct scene *s = begin(SERVER_REFUSES, cases[i].address);
        knock(s, cases[i].request, cases[i].address);
        assert_int_equal(s->outcome.end, KNOCK_ANSWERED);
        assert_int_equal(s->server.counts[cases[i].request.natt_port], 1);
        assert_int_equal(s->server.counts[!cases[i].request.natt_port], 0);
        if (cases[i].len)
            assert_int_equal(s->server.seen[0].len, cases[i].len);
        if (cases[i].request.source_port)
            assert_int_equal(s->server.seen[0].from.port, cases[i].request.source_port);
        assert_int_equal(server_open_descriptors(), before);
        free(s);
    }
}

static void test_silent(void **state)
{
    struct scene *s = begin(SERVER_SILENT, "127.0.0.1");

    (void)state;
    knock(s, (struct knock_request){0}, "127.0.0.1");
    assert_int_equal(s->outcome.end, KNOCK_SILENT);
    assert_int_equal(s->server.counts[0], 2); /* repeated once */
    assert_memory_equal(s->server.seen[0].bytes, s->server.seen[1].bytes, s->server.seen[0].len);
    free(s);
}

static void test_refused(void **state)
{
    struct scene *s = begin(SERVER_REFUSES, "127.0.0.1");

    (void)state;
    server_close(&s->server);
    knock(s, (struct knock_request){0}, "127.0.0.1");
    assert_int_equal(s->outcome.end, KNOCK_ERROR);
    assert_int_equal(s->outcome.error, -ECONNREFUSED);
    assert_int_equal(s->outcome.limit.mtu, 0);
    free(s);
}

/* In one piece it does not fit onto the link, and the kernel says what would. */
static void test_too_large(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", "::1"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct scene *s = begin(SERVER_REFUSES, addresses[i]);
        knock(s, (struct knock_request){.packet_len = LINK_MTU + 1, .fragments = SOCKET_FRAGMENTS_NEVER},
              addresses[i]);
        assert_int_equal(s->outcome.end, KNOCK_ERROR);
        assert_int_equal(s->outcome.error, -EMSGSIZE);
        assert_int_equal(s->outcome.limit.mtu, LINK_MTU);
        assert_true(s->outcome.limit.is_own);
        assert_int_equal(s->server.counts[0], 0);
        free(s);
    }
}

static void test_port_in_use(void **state)
{
    struct scene *s = begin(SERVER_REFUSES, "127.0.0.1");

    (void)state;
    knock(s, (struct knock_request){.source_port = 4500}, "127.0.0.1");
    assert_int_equal(s->outcome.end, KNOCK_ERROR);
    assert_int_equal(s->outcome.error, -EADDRINUSE);
    free(s);
}

static void test_cancel(void **state)
{
    struct scene *s = begin(SERVER_SILENT, "127.0.0.1");
    struct knock_request request = {
        .loop = &s->loop, .timeout_ms = TIMEOUT_MS, .delay_ms = 1, .done = on_done, .ctx = s};
    struct knock *k;

    (void)state;
    assert_int_equal(addr_parse("127.0.0.1", &request.target), 0);
    assert_int_equal(knock_start(&request, &k), 0);
    while (s->server.counts[0] == 0)
        uv_run(&s->loop, UV_RUN_ONCE);
    knock_cancel(k);
    server_close(&s->server);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(s->done, 0);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answered),  cmocka_unit_test(test_silent),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_large), cmocka_unit_test(test_port_in_use), cmocka_unit_test(test_cancel),
    };

    server_unshare_network();
    set_link_mtu(LINK_MTU);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
