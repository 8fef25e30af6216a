#include "tests/unit/unit.h"

#include "admin/echo.h"

static void test_table(void **state)
{
    static const struct {
        const char *word;
        const char *shown;
    } cases[] = {
        {"", ""},
        {"vpn1", "vpn1"},
        {"a b~", "a b~"},
        {"\033[31mred\n", "?[31mred?"},
        {"v\xc3\xa9", "v??"},
        {"\x7f", "?"},
    };
    char text[ECHO_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_ptr_equal(echo_word(cases[i].word, text), text);
        assert_string_equal(text, cases[i].shown);
    }
}

static void test_long(void **state)
{
    char word[1000];
    char text[ECHO_MAX];

    (void)state;
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    assert_int_equal(strlen(echo_word(word, text)), ECHO_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_long)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
