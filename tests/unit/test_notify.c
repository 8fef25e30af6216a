#include "tests/unit/unit.h"

#include "ike/notify.h"

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(notify_name(14), "NO_PROPOSAL_CHOSEN");
    assert_string_equal(notify_name(5), "INVALID_MAJOR_VERSION");
    assert_string_equal(notify_name(16390), "COOKIE");
    assert_string_equal(notify_name(16430), "IKEV2_FRAGMENTATION_SUPPORTED");
    assert_null(notify_name(0));
    assert_null(notify_name(65535));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
