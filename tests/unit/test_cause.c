#include "tests/unit/unit.h"

#include <errno.h>

#include "health/cause.h"

static void test_duration(void **state)
{
    static const struct {
        uint32_t ms;
        const char *text;
    } cases[] = {{0, "0 ms"},   {500, "500 ms"}, {999, "999 ms"},
                 {1000, "1 s"}, {1500, "1.5 s"}, {60000, "60 s"}};
    char text[CAUSE_DURATION_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(cause_duration(cases[i].ms, text), cases[i].text);
}

static void test_texts(void **state)
{
    char cause[CAUSE_MAX], lengthy[2 * CAUSE_MAX];

    (void)state;
    assert_string_equal(cause_set(cause, "UDP %u: %s", 4500, "x"), "UDP 4500: x");
    assert_string_equal(cause_set_errno(cause, "ICMP echo", ENETUNREACH),
                        "ICMP echo: Network is unreachable");
    memset(lengthy, 'a', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    assert_int_equal(strlen(cause_set(cause, "%s", lengthy)), CAUSE_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_duration), cmocka_unit_test(test_texts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
