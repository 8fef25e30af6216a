#include "tests/unit/unit.h"

#include "admin/top_key.h"

static void test_table(void **state)
{
    static const struct {
        const char *bytes;
        bool is_all;
        int key;
        size_t taken;
    } cases[] = {
        {"", true, TOP_KEY_NONE, 0},
        {"q", false, 'q', 1},
        {"~", false, '~', 1},
        {" ", false, ' ', 1},
        {"\r", false, TOP_KEY_ENTER, 1},
        {"\n", false, TOP_KEY_ENTER, 1},
        {"\x7f", false, TOP_KEY_BACKSPACE, 1},
        {"\b", false, TOP_KEY_BACKSPACE, 1},
        {"\x03", false, TOP_KEY_INTERRUPT, 1},
        {"\x1a", false, TOP_KEY_SUSPEND, 1},
        {"\x0c", false, TOP_KEY_REDRAW, 1},
        {"\x01", false, TOP_KEY_NONE, 1},
        {"\xc3\xa9", false, TOP_KEY_NONE, 1},
        {"\033[A", false, TOP_KEY_UP, 3},
        {"\033OAx", false, TOP_KEY_UP, 3},
        {"\033[Bq", false, TOP_KEY_DOWN, 3},
        {"\033[5~", false, TOP_KEY_PAGE_UP, 4},
        {"\033[6~", false, TOP_KEY_PAGE_DOWN, 4},
        {"\033[H", false, TOP_KEY_HOME, 3},
        {"\033[4~", false, TOP_KEY_END, 4},
        {"\033[3~d", false, TOP_KEY_NONE, 4}, /* unknown, and swallowed whole: its letters are no keys */
        {"\033[1;5Ad", false, TOP_KEY_NONE, 6},
        {"\033OPd", false, TOP_KEY_NONE, 3},
        {"\033", false, TOP_KEY_NONE, 0}, /* more may come */
        {"\033[", false, TOP_KEY_NONE, 0},
        {"\033[1;", false, TOP_KEY_NONE, 0},
        {"\033O", false, TOP_KEY_NONE, 0},
        {"\033", true, TOP_KEY_ESCAPE, 1}, /* it does not */
        {"\033[", true, TOP_KEY_ESCAPE, 1},
        {"\033q", false, TOP_KEY_ESCAPE, 1},
        {"\033\033[A", false, TOP_KEY_ESCAPE, 1},
        {"\033[111111111111111111", false, TOP_KEY_NONE, 20}, /* longer than any */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int key = -1;
        const size_t taken = top_key_read(cases[i].bytes, strlen(cases[i].bytes), cases[i].is_all, &key);
        if (taken != cases[i].taken || key != cases[i].key)
            fail_msg("case %zu: key %d, %zu bytes", i, key, taken);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
