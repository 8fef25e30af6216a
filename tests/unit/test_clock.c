#include "tests/unit/unit.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"

static void test_monotonic(void **state)
{
    const uint64_t begin_ms = clock_now_ms();
    const struct timespec pause = {.tv_nsec = 20000000};

    (void)state;
    nanosleep(&pause, NULL);
    const uint64_t elapsed_ms = clock_now_ms() - begin_ms;
    assert_in_range(elapsed_ms, 19, 10000);
}

static void test_wall_text(void **state)
{
    struct tm tm = {0};
    char text[CLOCK_TEXT_MAX];
    int ms = 0;

    (void)state;
    assert_ptr_equal(clock_wall_text(text), text);
    assert_int_equal(strlen(text), strlen("2026-11-23T12:37:05.123Z"));
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    assert_non_null(rest);
    assert_int_equal(sscanf(rest, ".%3dZ", &ms), 1);
    assert_int_equal(text[strlen(text) - 1], 'Z');
    assert_in_range(time(NULL) - timegm(&tm), 0, 10);
}

static void test_wall_format(void **state)
{
    char text[CLOCK_TEXT_MAX];

    (void)state;
    assert_string_equal(clock_wall_format(0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(clock_wall_format(UINT64_C(1709210096007), text), "2024-02-29T12:34:56.007Z");
    assert_in_range(clock_wall_ms() / 1000, time(NULL) - 10, time(NULL) + 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monotonic),
        cmocka_unit_test(test_wall_text),
        cmocka_unit_test(test_wall_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
