#include "tests/unit/unit.h"

#include "admin/human.h"

static void test_count(void **state)
{
    static const struct {
        uint64_t n;
        const char *text;
    } cases[] = {{0, "0"},
                 {7, "7"},
                 {999, "999"},
                 {1000, "1,000"},
                 {123456, "123,456"},
                 {1234567, "1,234,567"},
                 {UINT64_MAX, "18,446,744,073,709,551,615"}};
    char text[HUMAN_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(human_count(cases[i].n, text), cases[i].text);
}

static void test_rate(void **state)
{
    static const struct {
        uint64_t rate;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "1 bit/s"},
                 {999, "999 bit/s"},
                 {1000, "1.0 kbit/s"},
                 {1049, "1.0 kbit/s"},
                 {1050, "1.1 kbit/s"},
                 {9949, "9.9 kbit/s"},
                 {9950, "10 kbit/s"},
                 {10400, "10 kbit/s"},
                 {999499, "999 kbit/s"},
                 {999500, "1.0 Mbit/s"},
                 {3400000, "3.4 Mbit/s"},
                 {123456789, "123 Mbit/s"},
                 {9876543210, "9.9 Gbit/s"},
                 {UINT64_MAX, "18 Ebit/s"}};
    char text[HUMAN_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(human_rate(cases[i].rate, "bit/s", text), cases[i].text);
}

static void test_duration(void **state)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } cases[] = {{0, "0s"},       {59, "59s"},        {60, "1m 0s"},    {3599, "59m 59s"},
                 {3600, "1h 0m"}, {86399, "23h 59m"}, {86400, "1d 0h"}, {1000000, "11d 13h"}};
    char text[HUMAN_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(human_duration(cases[i].seconds, text), cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_duration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
