#include "tests/unit/unit.h"

#include "health/judge.h"

/*
 * Results: + and -. Expected: the state after each (u, U = just become up; d, D = just become down; ?
 * unknown).
 */
static const struct {
    enum health_state initial;
    uint32_t rise, fall;
    const char *results;
    const char *states;
} cases[] = {
    {HEALTH_UNKNOWN, 2, 3, "+", "U"},
    {HEALTH_UNKNOWN, 2, 3, "---", "??D"},
    {HEALTH_UNKNOWN, 5, 3, "--+", "??U"},
    {HEALTH_UNKNOWN, 2, 3, "+--+--+---", "UuuuuuuuuD"},
    {HEALTH_UNKNOWN, 2, 3, "+---+-++", "UuuDdddU"},
    {HEALTH_UNKNOWN, 1, 1, "+-+-", "UDUD"},
    {HEALTH_UNKNOWN, 0, 0, "+-+-", "UDUD"},
    {HEALTH_DOWN, 3, 1, "++-+++-", "dddddUD"},
    {HEALTH_UP, 1, 2, "+-+--", "uuuuD"},
    {HEALTH_DOWN, 2, 1, "----++", "dddddU"},
};

static char letter(enum health_state state, bool changed)
{
    switch (state) {
    case HEALTH_UP:
        return changed ? 'U' : 'u';
    case HEALTH_DOWN:
        return changed ? 'D' : 'd';
    case HEALTH_UNKNOWN:
        break;
    }
    return changed ? '!' : '?';
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct judge j;
        char states[32] = "";

        judge_init(&j, cases[i].initial, cases[i].rise, cases[i].fall);
        assert_int_equal(j.state, cases[i].initial);
        for (size_t k = 0; cases[i].results[k]; k++) {
            const bool changed = judge_result(&j, cases[i].results[k] == '+');
            states[k] = letter(j.state, changed);
        }
        assert_string_equal(states, cases[i].states);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(judge_state_name(HEALTH_UNKNOWN), "unknown");
    assert_string_equal(judge_state_name(HEALTH_UP), "up");
    assert_string_equal(judge_state_name(HEALTH_DOWN), "down");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
