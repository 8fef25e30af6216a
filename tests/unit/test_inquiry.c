#include "tests/unit/unit.h"

#include <errno.h>

#include "base/err.h"
#include "health/inquiry.h"
#include "tests/unit/ike_server.h"

#define TIMEOUT_MS 90

/* One inquiry to 127.0.0.1 and its outcome. */
struct scene {
    uv_loop_t loop;
    struct server server;
    struct server_socket sockets[2];
    struct inquiry_result result;
    int done;
};

static void on_done(void *ctx, const struct inquiry_result *result)
{
    struct scene *s = ctx;

    s->result = *result;
    s->done++;
    server_close(&s->server);
}

static struct scene *begin(enum server_manner plain, enum server_manner natt, bool fragmentation)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    assert_int_equal(uv_loop_init(&s->loop), 0);
    s->server.manners[0] = plain;
    s->server.manners[1] = natt;
    s->server.fragmentation = fragmentation;
    server_open(&s->server, s->sockets, &s->loop, "127.0.0.1");
    return s;
}

/* Asks, and checks that nothing stays behind. */
static void ask(struct scene *s)
{
    struct addr target;

    assert_int_equal(addr_parse("127.0.0.1", &target), 0);
    assert_int_equal(inquiry_start(&s->loop, &target, TIMEOUT_MS, on_done, s, NULL), 0);
    assert_int_equal(s->done, 0);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(s->done, 1);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    for (int i = 0; i < INQUIRY_PORTS; i++) {
        const struct inquiry_port *p = &s->result.ports[i];
        assert_int_equal(p->port, i == 0 ? 500 : 4500);
        assert_int_equal(p->alive, p->cause[0] == '\0');
        assert_int_equal(p->alive, p->answer[0] != '\0');
        assert_int_equal(p->alive, p->round_trip_us > 0);
        assert_true(!p->alive || !p->error);
    }
}

/* Requests to a port that a server would keep a half-open SA for: those that its manner accepts. */
static int accepted(const struct scene *s, uint16_t group)
{
    int count = 0;

    for (int i = 0; i < s->server.seen_count; i++) {
        const struct ike_datagram *d = &s->server.seen[i].datagram;
        const bool full = payload_find_notify(d, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, NULL);
        count += full && server_group_of(d) == group;
    }
    return count;
}

static void test_accepted(void **state)
{
    (void)state;
    for (int fragmentation = 0; fragmentation <= 1; fragmentation++) {
        const int before = server_open_descriptors();
        struct scene *s = begin(SERVER_ACCEPTS, SERVER_REFUSES, fragmentation);
        ask(s);
        const struct inquiry_result *r = &s->result;
        assert_string_equal(r->ports[0].answer, "handshake accepted");
        assert_string_equal(r->ports[1].answer, "NO_PROPOSAL_CHOSEN");
        assert_false(r->ports[0].refusing || r->ports[1].refusing || r->cookie_demanded);
        assert_int_equal(r->fragmentation,
                         fragmentation ? INQUIRY_FRAGMENTATION_YES : INQUIRY_FRAGMENTATION_NO);
        assert_int_equal(r->vendor_count, 2);
        assert_string_equal(r->vendors[0].name, "strongSwan");
        assert_null(r->vendors[1].name);
        assert_string_equal(r->vendors[1].hex, "30313233343536373839616263646566");
        assert_int_equal(accepted(s, 19), 1);
        assert_int_equal(server_open_descriptors(), before);
        free(s);
    }
}

static void test_demands(void **state)
{
    static const struct {
        const char *answer;
        enum server_manner manner;
        int questions; /* to port 500 */
        enum inquiry_fragmentation fragmentation;
        bool cookie;
    } cases[] = {
        {"handshake accepted", SERVER_WANTS_COOKIE, 2, INQUIRY_FRAGMENTATION_YES, true},
        {"handshake accepted", SERVER_WANTS_GROUP, 2, INQUIRY_FRAGMENTATION_YES, false},
        {"handshake accepted", SERVER_WANTS_BOTH, 3, INQUIRY_FRAGMENTATION_YES, true},
        {"INVALID_KE_PAYLOAD", SERVER_WANTS_ODD_GROUP, 1, INQUIRY_FRAGMENTATION_UNKNOWN, false},
        {"INVALID_KE_PAYLOAD", SERVER_REPEATS_GROUP, 2, INQUIRY_FRAGMENTATION_UNKNOWN, false},
        {"COOKIE", SERVER_REPEATS_COOKIE, 2, INQUIRY_FRAGMENTATION_UNKNOWN, true},
        {"NO_PROPOSAL_CHOSEN", SERVER_REFUSES, 1, INQUIRY_FRAGMENTATION_UNKNOWN, false},
        {"IKEv1 only (notify 5)", SERVER_V1_ONLY, 1, INQUIRY_FRAGMENTATION_UNKNOWN, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene *s = begin(cases[i].manner, SERVER_REFUSES, true);
        ask(s);
        assert_true(s->result.ports[0].alive && s->result.ports[1].alive);
        assert_string_equal(s->result.ports[0].answer, cases[i].answer);
        assert_int_equal(s->result.cookie_demanded, cases[i].cookie);
        assert_int_equal(s->result.fragmentation, cases[i].fragmentation);
        assert_int_equal(s->server.counts[0], cases[i].questions);
        assert_int_equal(s->server.counts[1], 1);
        free(s);
    }
}

static void test_silent(void **state)
{
    struct scene *s = begin(SERVER_SILENT, SERVER_BABBLES, true);

    (void)state;
    ask(s);
    assert_string_equal(s->result.ports[0].cause, "no answer on UDP 500 within 90 ms");
    assert_string_equal(s->result.ports[1].cause,
                        "no IKE answer, but other datagrams, on UDP 4500 within 90 ms");
    assert_int_equal(s->result.ports[0].error, 0);
    assert_int_equal(s->result.fragmentation, INQUIRY_FRAGMENTATION_UNKNOWN);
    /* Asked, the same once more, and in another way. */
    assert_int_equal(s->server.counts[0], 3);
    assert_int_equal(s->server.seen_count, 6);
    const struct server_seen *first = &s->server.seen[0], *again = &s->server.seen[2];
    assert_memory_equal(first->bytes, again->bytes, sizeof first->bytes);
    assert_int_equal(s->server.seen[4].datagram.header.major, 3);
    free(s);
}

/* With only 4500 alive it is asked in full, in a second round. */
static void test_only_4500(void **state)
{
    struct scene *s = begin(SERVER_SILENT, SERVER_ACCEPTS, true);

    (void)state;
    ask(s);
    assert_false(s->result.ports[0].alive);
    assert_true(s->result.ports[1].alive);
    assert_string_equal(s->result.ports[1].answer, "handshake accepted");
    assert_int_equal(s->result.fragmentation, INQUIRY_FRAGMENTATION_YES);
    assert_int_equal(s->server.counts[1], 2);
    free(s);
}

static void test_refusing(void **state)
{
    struct scene *s = begin(SERVER_VERSION_ONLY, SERVER_REFUSES, true);

    (void)state;
    ask(s);
    assert_true(s->result.ports[0].alive && s->result.ports[0].refusing);
    assert_string_equal(s->result.ports[0].answer, "INVALID_MAJOR_VERSION");
    assert_false(s->result.ports[1].refusing);
    assert_int_equal(s->result.fragmentation, INQUIRY_FRAGMENTATION_UNKNOWN);
    free(s);
}

static void test_closed(void **state)
{
    struct scene *s = begin(SERVER_ACCEPTS, SERVER_ACCEPTS, true);

    (void)state;
    server_close(&s->server);
    ask(s);
    assert_string_equal(s->result.ports[0].cause, "UDP 500: destination port unreachable (ICMP)");
    assert_string_equal(s->result.ports[1].cause, "UDP 4500: destination port unreachable (ICMP)");
    assert_int_equal(s->result.ports[0].error, -ECONNREFUSED);
    free(s);
}

static void test_cancel(void **state)
{
    struct scene *s = begin(SERVER_SILENT, SERVER_SILENT, true);
    struct inquiry *q;
    struct addr target;

    (void)state;
    assert_int_equal(addr_parse("127.0.0.1", &target), 0);
    assert_int_equal(inquiry_start(&s->loop, &target, 0, on_done, s, &q), ERR_RANGE);
    assert_int_equal(inquiry_start(&s->loop, &target, TIMEOUT_MS, on_done, s, &q), 0);
    while (s->server.counts[0] == 0)
        uv_run(&s->loop, UV_RUN_ONCE);
    inquiry_cancel(q);
    server_close(&s->server);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(s->done, 0);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),  cmocka_unit_test(test_demands),  cmocka_unit_test(test_silent),
        cmocka_unit_test(test_only_4500), cmocka_unit_test(test_refusing), cmocka_unit_test(test_closed),
        cmocka_unit_test(test_cancel),
    };

    server_unshare_network();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
