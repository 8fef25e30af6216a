#include "tests/unit/unit.h"

#include <stdio.h>

#include "admin/top_history.h"

/* A document of one backend, whose counters are multiples of `n`; `more` stands before it in the list. */
static json_t *status_of(const char *more, unsigned n)
{
    char text[1024];

    snprintf(text, sizeof text,
             "{\"services\":[{\"name\":\"other\"},{\"name\":\"s\",\"backends\":[%s{\"name\":\"b\",\"new_"
             "clients_total\":%u,\"handshakes\":{\"answered\":%u,\"unanswered\":%u,\"init_sent\":%u,"
             "\"init_answered\":%u,\"auth_sent\":%u,\"auth_answered\":%u,\"established\":%u}}]}]}",
             more, 2 * n, 3 * n, n, 8 * n, 7 * n, 6 * n, 5 * n, 4 * n);
    json_t *status = json_loads(text, 0, NULL);
    assert_non_null(status);
    return status;
}

static void add(struct top_history *history, const char *more, unsigned n, uint64_t now_ms)
{
    json_t *status = status_of(more, n);

    assert_int_equal(top_history_add(history, status, now_ms), 0);
    json_decref(status);
}

#define TENTHS(trend) ((int)((trend).new_per_s * 10 + 0.5))

static void test_nothing(void **state)
{
    struct top_history *history = top_history_create();
    struct top_trend trend = top_history_of(history, "s", "b");

    (void)state;
    assert_int_equal(trend.counts[TOP_NEW], 0);
    assert_int_equal(top_history_unanswered(&trend), -1);
    add(history, "", 100, 5000);
    trend = top_history_of(history, "s", "b"); /* what was before the first look is not known to be recent */
    assert_int_equal(trend.counts[TOP_NEW], 0);
    assert_int_equal(TENTHS(trend), 0);
    top_history_destroy(history);
    top_history_destroy(NULL);
}

/* Counts are those of a minute, new clients a second those of the last ten seconds. */
static void test_periods(void **state)
{
    struct top_history *history = top_history_create();
    struct top_trend trend;

    (void)state;
    for (unsigned s = 0; s <= 30; s++)
        add(history, "", 10 * s, 1000 + UINT64_C(1000) * s);
    trend = top_history_of(history, "s", "b");
    assert_int_equal(trend.counts[TOP_NEW], 600);
    assert_int_equal(trend.counts[TOP_ESTABLISHED], 1200);
    assert_int_equal(trend.counts[TOP_INIT_SENT], 2400);
    assert_int_equal(TENTHS(trend), 200);
    for (unsigned s = 31; s <= 200; s++)
        add(history, "", 300 + s - 30, 1000 + UINT64_C(1000) * s);
    trend = top_history_of(history, "s", "b");
    assert_int_equal(trend.counts[TOP_NEW], 120);
    assert_int_equal(trend.counts[TOP_ANSWERED], 180);
    assert_int_equal(trend.counts[TOP_UNANSWERED], 60);
    assert_int_equal(top_history_unanswered(&trend), 25);
    assert_int_equal(TENTHS(trend), 20);
    trend = top_history_of(history, "s", "c");
    assert_int_equal(trend.counts[TOP_NEW], 0);
    top_history_destroy(history);
}

/* Backends come and go; each keeps its own. */
static void test_backends_come_and_go(void **state)
{
    struct top_history *history = top_history_create();

    (void)state;
    add(history, "", 10, 1000);
    add(history, "{\"name\":\"a\",\"new_clients_total\":70},", 20, 2000);
    add(history, "{\"name\":\"a\",\"new_clients_total\":75},{\"name\":\"b\"},", 30, 3000);
    assert_int_equal(top_history_of(history, "s", "a").counts[TOP_NEW], 5);
    add(history, "", 40, 4000);
    assert_int_equal(top_history_of(history, "s", "a").counts[TOP_NEW], 0);
    add(history, "{\"name\":\"a\",\"new_clients_total\":99},", 50, 5000);
    assert_int_equal(top_history_of(history, "s", "a").counts[TOP_NEW], 0);
    top_history_destroy(history);
}

/* A daemon that was started anew counts from zero. */
static void test_restart(void **state)
{
    struct top_history *history = top_history_create();

    (void)state;
    add(history, "", 10, 1000);
    add(history, "", 20, 2000);
    add(history, "", 1, 3000);
    assert_int_equal(top_history_of(history, "s", "b").counts[TOP_NEW], 0);
    add(history, "", 3, 4000);
    assert_int_equal(top_history_of(history, "s", "b").counts[TOP_NEW], 4);
    top_history_destroy(history);
}

/* Looked at often, it still goes back a minute; looked at seldom, no further than that. */
static void test_pace(void **state)
{
    struct top_history *history = top_history_create();

    (void)state;
    for (unsigned i = 0; i <= 1000; i++)
        add(history, "", i, 1000 + UINT64_C(50) * i);
    assert_in_range(top_history_of(history, "s", "b").counts[TOP_NEW], 1980 - 40, 2000);
    add(history, "", 2000, 1000000);
    assert_int_equal(top_history_of(history, "s", "b").counts[TOP_NEW], 0);
    top_history_destroy(history);
}

static void test_unanswered(void **state)
{
    static const struct {
        uint64_t answered, unanswered;
        int per_cent;
    } cases[] = {{0, 0, -1}, {1, 0, 0}, {0, 1, 100}, {99, 1, 1}, {100000, 1, 1}, {1, 2, 67}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct top_trend trend = {
            .counts = {[TOP_ANSWERED] = cases[i].answered, [TOP_UNANSWERED] = cases[i].unanswered}};
        assert_int_equal(top_history_unanswered(&trend), cases[i].per_cent);
    }
}

/* What is no status is an empty one. */
static void test_odd_documents(void **state)
{
    static const char *const documents[] = {"{}", "{\"services\":7}",
                                            "{\"services\":[7,{\"backends\":[1,{}]}]}"};
    struct top_history *history = top_history_create();

    (void)state;
    add(history, "", 10, 1000);
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        json_t *status = json_loads(documents[i], 0, NULL);
        assert_int_equal(top_history_add(history, status, 2000 + 1000 * i), 0);
        assert_int_equal(top_history_of(history, "s", "b").counts[TOP_NEW], 0);
        json_decref(status);
    }
    top_history_destroy(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_periods),
        cmocka_unit_test(test_backends_come_and_go),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_unanswered),
        cmocka_unit_test(test_odd_documents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
