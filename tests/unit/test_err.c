#include "tests/unit/unit.h"

#include <errno.h>

#include "base/err.h"

static const int codes[] = {
#define CODE(name, text) ERR_##name,
    ERR_LIST(CODE)
#undef CODE
};
#define CODE_COUNT (sizeof codes / sizeof codes[0])

static void test_own_codes(void **state)
{
    (void)state;
    for (size_t i = 0; i < CODE_COUNT; i++) {
        assert_true(codes[i] < 0);
        assert_true(strlen(err_text(codes[i])) > 3);
        assert_string_not_equal(err_text(codes[i]), "unknown error");
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(codes[i], codes[k]);
            assert_string_not_equal(err_text(codes[i]), err_text(codes[k]));
        }
    }
    assert_string_equal(err_text(ERR_FULL), "no room left");
    assert_string_equal(err_text(ERR_LIBRARY), "a library call failed");
}

static void test_system_errors(void **state)
{
    (void)state;
    /* No errno of Linux comes near our codes: 4095 is the largest that a system call can return. */
    for (size_t i = 0; i < CODE_COUNT; i++)
        assert_true(codes[i] < -4095);
    assert_string_equal(err_text(-ENOENT), strerror(ENOENT));
    assert_string_equal(err_text(-EPERM), strerror(EPERM));
    assert_string_equal(err_text(0), strerror(0));
}

static void test_strangers(void **state)
{
    (void)state;
    assert_string_equal(err_text(1), "unknown error");
    assert_string_equal(err_text(ERR_BASE), "unknown error");
    assert_string_equal(err_text(ERR_BASE - 1), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_codes),
        cmocka_unit_test(test_system_errors),
        cmocka_unit_test(test_strangers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
