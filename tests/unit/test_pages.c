#include "tests/unit/unit.h"

#include "base/pages.h"

static void test_zeroed_and_writable(void **state)
{
    const size_t count = 1000, size = 64;
    uint8_t *pages = pages_alloc(count, size);

    (void)state;
    assert_non_null(pages);
    assert_int_equal((uintptr_t)pages % 4096, 0);
    for (size_t i = 0; i < count * size; i++) {
        assert_int_equal(pages[i], 0);
        pages[i] = 0xff;
    }
    pages_free(pages, count, size);
}

static void test_refusals(void **state)
{
    (void)state;
    assert_null(pages_alloc(0, 64));
    assert_null(pages_alloc(64, 0));
    assert_null(pages_alloc(SIZE_MAX / 2, 4));
    assert_null(pages_alloc(SIZE_MAX / 64, 64)); /* no overflow, but more than any machine has */
    pages_free(NULL, 10, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_zeroed_and_writable),
                                       cmocka_unit_test(test_refusals)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
