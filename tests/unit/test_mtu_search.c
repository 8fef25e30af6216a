#include "tests/unit/unit.h"

#include "health/mtu_search.h"

/* Every MTU between two bounds is found to the byte, in few rounds, whatever the bounds. */
static void test_finds_each(void **state)
{
    static const struct {
        uint16_t passes, fails;
        int rounds;
    } cases[] = {{576, 1500, 4}, {1280, 1500, 3}, {576, 577, 0}, {576, 578, 1}, {576, 9000, 5}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (uint16_t mtu = cases[i].passes; mtu < cases[i].fails; mtu++) {
            struct mtu_search s = {.passes = cases[i].passes, .fails = cases[i].fails};
            uint16_t sizes[MTU_SEARCH_WIDTH];
            size_t count;
            int rounds = 0;
            while ((count = mtu_search_next(&s, sizes)) > 0) {
                rounds++;
                for (size_t k = 0; k < count; k++) {
                    assert_true(sizes[k] > s.passes && sizes[k] < s.fails);
                    assert_true(k == 0 || sizes[k] > sizes[k - 1]);
                }
                for (size_t k = 0; k < count; k++)
                    if (sizes[k] <= mtu)
                        mtu_search_passed(&s, sizes[k]);
                for (size_t k = 0; k < count; k++)
                    if (sizes[k] > mtu)
                        mtu_search_failed(&s, sizes[k]);
            }
            assert_int_equal(s.passes, mtu);
            assert_true(rounds <= cases[i].rounds);
        }
    }
}

/* A size that got lost by chance below one that passed does not count. */
static void test_chance(void **state)
{
    struct mtu_search s = {.passes = 576, .fails = 1500};

    (void)state;
    mtu_search_passed(&s, 1200);
    mtu_search_failed(&s, 900);
    mtu_search_failed(&s, 1300);
    mtu_search_passed(&s, 1000);
    mtu_search_failed(&s, 1400);
    assert_int_equal(s.passes, 1200);
    assert_int_equal(s.fails, 1300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_finds_each), cmocka_unit_test(test_chance)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
