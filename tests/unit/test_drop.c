#include "tests/unit/unit.h"

#include "lb/drop.h"

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < DROP_REASON_COUNT; i++) {
        const char *name = drop_reason_name((enum drop_reason)i);
        assert_non_null(name);
        /* It is a label of a metric: small letters, digits and underscores. */
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
        assert_true(strlen(name) > 0);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(name, drop_reason_name((enum drop_reason)k));
    }
    assert_string_equal(drop_reason_name(DROP_NO_BACKEND), "no_backend");
    assert_string_equal(drop_reason_name(DROP_SEND_FAILED), "send_failed");
}

static void test_garbage_is_a_reason(void **state)
{
    (void)state;
    for (int i = 0; i < IKE_GARBAGE_COUNT; i++)
        assert_string_equal(drop_reason_name((enum drop_reason)i),
                            classify_garbage_name((enum ike_garbage)i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_garbage_is_a_reason)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
