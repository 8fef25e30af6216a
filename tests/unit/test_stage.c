#include "tests/unit/unit.h"

#include "persist/stage.h"

static void test_names(void **state)
{
    static const char *const names[STAGE_COUNT] = {"none",      "init-sent",     "init-answered",
                                                   "auth-sent", "auth-answered", "established"};

    (void)state;
    for (int i = 0; i < STAGE_COUNT; i++)
        assert_string_equal(stage_name((enum stage)i), names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
