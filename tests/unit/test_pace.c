#include "tests/unit/unit.h"

#include "health/pace.h"

static void test_first(void **state)
{
    (void)state;
    assert_int_equal(pace_first_ms(2000, 0), 0);
    assert_int_equal(pace_first_ms(2000, 99), 99);
    assert_int_equal(pace_first_ms(2000, 100), 0);
    assert_int_equal(pace_first_ms(10, 25), 5);
    assert_int_equal(pace_first_ms(0, 7), 0);
}

static void test_next(void **state)
{
    (void)state;
    for (uint32_t random = 0; random < 1000; random++) {
        const uint32_t ms = pace_next_ms(2000, random);
        assert_in_range(ms, 1800, 2000);
    }
    /* Both ends and the middle are reached. */
    assert_int_equal(pace_next_ms(2000, 0), 2000);
    assert_int_equal(pace_next_ms(2000, 100), 1900);
    assert_int_equal(pace_next_ms(2000, 200), 1800);
    assert_int_equal(pace_next_ms(2000, 201), 2000);
}

static void test_extremes(void **state)
{
    (void)state;
    assert_int_equal(pace_next_ms(0, 12345), 1);
    assert_int_equal(pace_next_ms(5, 12345), 5);
    assert_int_equal(pace_next_ms(1, 0), 1);
    assert_true(pace_next_ms(UINT32_MAX / 2, UINT32_MAX) > UINT32_MAX / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_extremes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
