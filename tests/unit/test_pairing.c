#include "tests/unit/unit.h"

#include "health/pairing.h"
#include "tests/unit/ike_server.h"

#define TIMEOUT_MS 60

struct scene {
    uv_loop_t loop;
    struct server server;
    struct server_socket sockets[2];
    enum pairing_verdict verdict;
    int done;
};

static void on_done(void *ctx, enum pairing_verdict verdict)
{
    struct scene *s = ctx;

    s->verdict = verdict;
    s->done++;
    server_close(&s->server);
}

static struct scene *ask(const struct server *server)
{
    struct scene *s = calloc(1, sizeof *s);
    struct pairing_request request = {.timeout_ms = TIMEOUT_MS, .done = on_done};

    assert_non_null(s);
    assert_int_equal(uv_loop_init(&s->loop), 0);
    s->server = *server;
    server_open(&s->server, s->sockets, &s->loop, "127.0.0.1");
    assert_int_equal(addr_parse("127.0.0.1", &request.target), 0);
    request.loop = &s->loop;
    request.ctx = s;
    assert_int_equal(pairing_start(&request, NULL), 0);
    assert_int_equal(s->done, 0);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(s->done, 1);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    return s;
}

static void test_verdicts(void **state)
{
    static const struct {
        struct server server;
        enum pairing_verdict verdict;
        int asked[2]; /* by port */
    } cases[] = {
        {{.manners = {SERVER_ACCEPTS, SERVER_ACCEPTS}}, PAIRING_SAME, {1, 2}},
        {{.manners = {SERVER_WANTS_BOTH, SERVER_ACCEPTS}}, PAIRING_SAME, {3, 2}},
        {{.manners = {SERVER_ACCEPTS, SERVER_ACCEPTS}, .spi_r = {1, 2}}, PAIRING_DIFFERENT, {2, 2}},
        {{.manners = {SERVER_WANTS_COOKIE, SERVER_WANTS_COOKIE}, .spi_r = {1, 2}}, PAIRING_DIFFERENT, {3, 2}},
        {{.manners = {SERVER_ACCEPTS, SERVER_SILENT}}, PAIRING_UNCLEAR, {1, 4}},
        {{.manners = {SERVER_ACCEPTS, SERVER_REFUSES}}, PAIRING_UNCLEAR, {1, 2}},
        {{.manners = {SERVER_ACCEPTS, SERVER_WANTS_COOKIE}}, PAIRING_UNCLEAR, {1, 2}},
        {{.manners = {SERVER_REFUSES, SERVER_ACCEPTS}}, PAIRING_NOT_BEGUN, {1, 0}},
        {{.manners = {SERVER_SILENT, SERVER_ACCEPTS}}, PAIRING_NOT_BEGUN, {2, 0}},
        {{.manners = {SERVER_REPEATS_COOKIE, SERVER_ACCEPTS}}, PAIRING_NOT_BEGUN, {2, 0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int before = server_open_descriptors();
        struct scene *s = ask(&cases[i].server);
        assert_int_equal(s->verdict, cases[i].verdict);
        for (int p = 0; p < 2; p++)
            assert_int_equal(s->server.counts[p], cases[i].asked[p]);
        assert_int_equal(server_open_descriptors(), before);
        free(s);
    }
}

/* A server that takes each source port for a new client says nothing about who is behind 4500. */
static void test_by_port(void **state)
{
    struct scene *s = ask(&(struct server){.manners = {SERVER_ACCEPTS, SERVER_ACCEPTS}, .spi_by_port = true});

    (void)state;
    assert_int_equal(s->verdict, PAIRING_BY_PORT);
    free(s);
}

/* The repetition may be answered to where the first message came from. */
static void test_answered_elsewhere(void **state)
{
    struct server server = {.manners = {SERVER_ACCEPTS, SERVER_ACCEPTS}, .answers_first = true};
    struct scene *s = ask(&server);

    (void)state;
    assert_int_equal(s->verdict, PAIRING_SAME);
    free(s);
    server.spi_r[1] = 2;
    s = ask(&server);
    assert_int_equal(s->verdict, PAIRING_DIFFERENT);
    free(s);
}

/* A late answer to the first message is none to its repetition. */
static void test_late_answer(void **state)
{
    struct scene *s = ask(&(struct server){.manners = {SERVER_ACCEPTS, SERVER_SILENT}, .late = true});

    (void)state;
    assert_int_equal(s->verdict, PAIRING_UNCLEAR);
    free(s);
}

/* What goes to 4500 is the very message of 500, from another port each time. */
static void test_message(void **state)
{
    struct scene *s = ask(&(struct server){.manners = {SERVER_ACCEPTS, SERVER_ACCEPTS}});
    const struct server_seen *first = &s->server.seen[0];

    (void)state;
    assert_int_equal(s->server.seen_count, 3);
    for (int i = 1; i < 3; i++) {
        const struct server_seen *again = &s->server.seen[i];
        assert_int_equal(again->len, first->len + IKE_NON_ESP_MARKER);
        assert_memory_equal(again->bytes + IKE_NON_ESP_MARKER, first->bytes, first->len);
        assert_int_not_equal(again->from.port, s->server.seen[i - 1].from.port);
    }
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdicts), cmocka_unit_test(test_by_port),
                                       cmocka_unit_test(test_answered_elsewhere),
                                       cmocka_unit_test(test_late_answer), cmocka_unit_test(test_message)};

    server_unshare_network();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
