#include "tests/unit/unit.h"

#include "health/path.h"
#include "tests/unit/ike_server.h"

#define PATIENCE_MS 60

struct scene {
    uv_loop_t loop;
    struct server server;
    struct server_socket sockets[2];
    struct path_result result;
    int done;
};

static void on_done(void *ctx, const struct path_result *result)
{
    struct scene *s = ctx;

    s->result = *result;
    s->done++;
    server_close(&s->server);
}

/* Measures the path to a server that gets no datagram longer than `largest`; 0: all. */
static struct scene *measure(size_t largest, enum server_manner natt, struct path_request request)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    assert_int_equal(uv_loop_init(&s->loop), 0);
    s->server.manners[0] = SERVER_REFUSES;
    s->server.manners[1] = natt;
    s->server.largest = largest;
    server_open(&s->server, s->sockets, &s->loop, "127.0.0.1");
    assert_int_equal(addr_parse("127.0.0.1", &request.target), 0);
    request.loop = &s->loop;
    request.patience_ms = PATIENCE_MS;
    request.done = on_done;
    request.ctx = s;
    assert_int_equal(path_start(&request, NULL), 0);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(s->done, 1);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    return s;
}

static void test_sizes(void **state)
{
    enum { HEADERS = 28 };
    static const struct {
        size_t largest;
        uint32_t link_mtu;
        bool alive[2];
        enum path_mtu_kind kind;
        uint16_t mtu;
        enum path_fragments fragments[2];
    } cases[] = {
        {0, 1500, {true, true}, PATH_MTU_FULL, 1500, {PATH_FRAGMENTS_ARRIVE, PATH_FRAGMENTS_ARRIVE}},
        {0, 1500, {true, false}, PATH_MTU_FULL, 1500, {PATH_FRAGMENTS_ARRIVE, PATH_FRAGMENTS_UNTESTED}},
        {0, 65536, {false, true}, PATH_MTU_FULL, 1500, {PATH_FRAGMENTS_UNTESTED, PATH_FRAGMENTS_UNTESTED}},
        {1500 - HEADERS, 1500, {true, true}, PATH_MTU_FULL, 1500, {PATH_FRAGMENTS_LOST, PATH_FRAGMENTS_LOST}},
        {1300 - HEADERS,
         1500,
         {true, true},
         PATH_MTU_BLACK_HOLE,
         1300,
         {PATH_FRAGMENTS_LOST, PATH_FRAGMENTS_LOST}},
        {577 - HEADERS,
         1500,
         {false, true},
         PATH_MTU_BLACK_HOLE,
         577,
         {PATH_FRAGMENTS_UNTESTED, PATH_FRAGMENTS_LOST}},
        {500 - HEADERS, 1500, {true, true}, PATH_MTU_UNKNOWN, 0, {PATH_FRAGMENTS_LOST, PATH_FRAGMENTS_LOST}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct path_request request = {.alive = {cases[i].alive[0], cases[i].alive[1]},
                                             .link_mtu = cases[i].link_mtu};
        const int before = server_open_descriptors();
        struct scene *s = measure(cases[i].largest, SERVER_REFUSES, request);
        assert_int_equal(s->result.mtu_kind, cases[i].kind);
        assert_int_equal(s->result.mtu, cases[i].mtu);
        for (int p = 0; p < 2; p++)
            assert_int_equal(s->result.fragments[p], cases[i].fragments[p]);
        assert_int_equal(server_open_descriptors(), before);
        free(s);
    }
}

/* The port where tunnels run is measured, but not if it is dead. */
static void test_port(void **state)
{
    (void)state;
    for (int alive = 0; alive <= 1; alive++) {
        const struct path_request request = {.alive = {true, alive}, .link_mtu = 65536};
        struct scene *s = measure(0, SERVER_REFUSES, request);
        assert_int_equal(s->server.counts[alive], 1);
        assert_int_equal(s->server.counts[!alive], 0);
        free(s);
    }
}

static void test_silent(void **state)
{
    const struct path_request request = {.alive = {false, true}, .link_mtu = 65536};
    struct scene *s = measure(0, SERVER_SILENT, request);

    (void)state;
    assert_int_equal(s->result.mtu_kind, PATH_MTU_UNKNOWN);
    assert_int_equal(s->server.counts[1], 4); /* the largest size and the control, each repeated */
    free(s);
}

/* What one's own link does not carry is no fault of the path, and nobody has to be asked. */
static void test_narrow_link(void **state)
{
    const struct path_request request = {.alive = {true, false}, .link_mtu = 1400};
    struct ifreq ifr = {.ifr_name = "lo", .ifr_mtu = 1400};
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);

    (void)state;
    assert_int_equal(ioctl(fd, SIOCSIFMTU, &ifr), 0);
    close(fd);
    struct scene *s = measure(0, SERVER_REFUSES, request);
    assert_int_equal(s->result.mtu_kind, PATH_MTU_FULL);
    assert_int_equal(s->result.mtu, 1400);
    assert_int_equal(s->result.fragments[0], PATH_FRAGMENTS_ARRIVE);
    assert_int_equal(s->server.counts[0], 2);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_port),
                                       cmocka_unit_test(test_silent), cmocka_unit_test(test_narrow_link)};

    server_unshare_network();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
