#include "tests/unit/unit.h"

#include <time.h>
#include <unistd.h>

#include "admin/loop_lag.h"

#define BUSY_MS 60
#define WAIT_MS 150

static void on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static void finish(uv_loop_t *loop, struct loop_lag *lag)
{
    bool is_closed = false;

    loop_lag_close(lag, on_closed, &is_closed);
    uv_run(loop, UV_RUN_DEFAULT);
    assert_true(is_closed);
    assert_int_equal(uv_loop_close(loop), 0);
}

static void be_busy(uv_timer_t *timer)
{
    const uint64_t until_ns = uv_hrtime() + BUSY_MS * UINT64_C(1000000);

    (void)timer;
    while (uv_hrtime() < until_ns)
        ;
}

static void do_nothing(uv_timer_t *timer)
{
    (void)timer;
}

/* Runs the loop until the timer has called back, which it does after `wait_ms`. */
static struct histogram measure(uint64_t wait_ms, uv_timer_cb callback)
{
    uv_loop_t loop;
    uv_timer_t timer;
    int err;

    assert_int_equal(uv_loop_init(&loop), 0);
    struct loop_lag *lag = loop_lag_create(&loop, &err);
    assert_non_null(lag);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, callback, wait_ms, wait_ms);
    uv_run(&loop, UV_RUN_NOWAIT); /* the first turn only begins to measure */
    for (int turns = 0; turns < 3; turns++)
        uv_run(&loop, UV_RUN_ONCE);
    const struct histogram h = *loop_lag_histogram(lag);
    uv_close((uv_handle_t *)&timer, NULL);
    finish(&loop, lag);
    return h;
}

/* A turn that works for long shows; how long it took is within the machine's mood. */
static void test_work_is_lag(void **state)
{
    (void)state;
    const struct histogram h = measure(1, be_busy);
    assert_in_range(histogram_count(&h), 2, 4);
    assert_true(h.sum_us >= 2 * BUSY_MS * 1000);
}

/* A loop that only waits has no lag, however long it waits. */
static void test_waiting_is_none(void **state)
{
    (void)state;
    const struct histogram h = measure(WAIT_MS, do_nothing);
    assert_in_range(histogram_count(&h), 2, 4);
    assert_true(h.sum_us < WAIT_MS * 1000);
}

/* Nor does the measuring keep a loop alive that has nothing else to do. */
static void test_does_not_hold_the_loop(void **state)
{
    uv_loop_t loop;
    int err;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct loop_lag *lag = loop_lag_create(&loop, &err);
    assert_non_null(lag);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    finish(&loop, lag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_work_is_lag),
        cmocka_unit_test(test_waiting_is_none),
        cmocka_unit_test(test_does_not_hold_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
