#include "tests/unit/unit.h"

#include <stdlib.h>

#include "base/histogram.h"

static void test_buckets(void **state)
{
    static const struct {
        uint64_t us;
        const char *bucket;
    } cases[] = {
        {0, "0.0001"},  {100, "0.0001"},  {101, "0.00025"}, {1000, "0.001"},   {1001, "0.0025"},
        {1000000, "1"}, {1000001, "2.5"}, {2500000, "2.5"}, {2500001, "+Inf"}, {UINT64_C(1) << 40, "+Inf"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct histogram h = {0};
        histogram_note(&h, cases[i].us);
        assert_int_equal(h.sum_us, cases[i].us);
        for (unsigned k = 0; k < HISTOGRAM_BUCKETS; k++)
            if (h.counts[k] != (strcmp(histogram_bound_text(k), cases[i].bucket) == 0))
                fail_msg("%llu us: bucket %s has %llu", (unsigned long long)cases[i].us,
                         histogram_bound_text(k), (unsigned long long)h.counts[k]);
    }
}

static void test_sums(void **state)
{
    struct histogram h = {0};

    (void)state;
    assert_int_equal(histogram_count(&h), 0);
    for (uint64_t us = 1; us <= 4000000; us *= 2)
        histogram_note(&h, us);
    assert_int_equal(histogram_count(&h), 22);
    assert_int_equal(h.sum_us, (1 << 22) - 1);
}

/* The texts are the bounds: each value on a bound falls into its bucket, and what is longer does not. */
static void test_bounds_are_what_they_say(void **state)
{
    (void)state;
    for (unsigned k = 0; k < HISTOGRAM_BUCKETS - 1; k++) {
        const uint64_t us = (uint64_t)(strtod(histogram_bound_text(k), NULL) * 1e6 + 0.5);
        struct histogram h = {0};
        histogram_note(&h, us);
        assert_int_equal(h.counts[k], 1);
        histogram_note(&h, us + 1);
        assert_int_equal(h.counts[k + 1], 1);
    }
    assert_string_equal(histogram_bound_text(HISTOGRAM_BUCKETS - 1), "+Inf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_bounds_are_what_they_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
