#include "tests/unit/unit.h"

#include <stdlib.h>

#include "admin/top_key.h"
#include "admin/top_ui.h"

#define ROWS 25

/* ROWS backends b0, b1, ... of one service. */
struct fixture {
    char names[ROWS][16];
    struct top_row rows[ROWS];
    struct top_list list;
    struct top_ui ui;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    for (int i = 0; i < ROWS; i++) {
        snprintf(f->names[i], sizeof f->names[i], "b%d", i);
        f->rows[i] = (struct top_row){.service = "s", .backend = f->names[i]};
    }
    f->list = (struct top_list){.rows = f->rows, .count = ROWS, .all = ROWS};
    top_ui_settle(&f->ui, &f->list);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static enum top_wish press(struct fixture *f, int key)
{
    return top_ui_key(&f->ui, key, &f->list);
}

static void test_moves(void **state)
{
    static const struct {
        int key;
        size_t at;
    } steps[] = {
        {TOP_KEY_UP, 0},
        {TOP_KEY_DOWN, 1},
        {TOP_KEY_DOWN, 2},
        {TOP_KEY_UP, 1},
        {TOP_KEY_PAGE_DOWN, 11},
        {TOP_KEY_PAGE_DOWN, 21},
        {TOP_KEY_PAGE_DOWN, 24},
        {TOP_KEY_DOWN, 24},
        {TOP_KEY_PAGE_UP, 14},
        {TOP_KEY_HOME, 0},
        {TOP_KEY_END, 24},
        {TOP_KEY_NONE, 24},
        {'z', 24},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_int_equal(press(f, steps[i].key), TOP_WISH_NOTHING);
        assert_int_equal(f->ui.selected_at, steps[i].at);
        assert_string_equal(f->ui.selected.backend, f->names[steps[i].at]);
    }
}

/* The selected backend is followed to its new row; when it goes its neighbour takes its place. */
static void test_settles(void **state)
{
    struct fixture *f = *state;

    press(f, TOP_KEY_END);
    f->rows[3].backend = "b24";
    f->rows[24].backend = "b3";
    top_ui_settle(&f->ui, &f->list);
    assert_int_equal(f->ui.selected_at, 3);
    f->rows[3].backend = "other";
    f->rows[24].backend = "b24";
    f->rows[24].service = "t"; /* of another service: another backend */
    top_ui_settle(&f->ui, &f->list);
    assert_int_equal(f->ui.selected_at, 3);
    assert_string_equal(f->ui.selected.backend, "other");
    f->list.count = 2;
    top_ui_settle(&f->ui, &f->list);
    assert_int_equal(f->ui.selected_at, 1);
    f->list.count = 0;
    top_ui_settle(&f->ui, &f->list);
    assert_string_equal(f->ui.selected.backend, "");
    press(f, TOP_KEY_DOWN);
    assert_int_equal(press(f, 'd'), TOP_WISH_NOTHING);
    assert_int_equal(f->ui.mode, TOP_MODE_LIST); /* there is nothing to ask about */
}

/* Only a yes does it, and to the backend that was selected when the question was asked. */
static void test_questions(void **state)
{
    static const struct {
        int key;
        const char *verb;
    } verbs[] = {{'d', "drain"}, {'e', "enable"}, {'x', "disable"}};
    static const int noes[] = {'n', 'q', ' ', TOP_KEY_ENTER, TOP_KEY_ESCAPE, TOP_KEY_DOWN};
    struct fixture *f = *state;

    for (size_t v = 0; v < 3; v++) {
        for (size_t i = 0; i < sizeof noes / sizeof noes[0]; i++) {
            assert_int_equal(press(f, verbs[v].key), TOP_WISH_NOTHING);
            assert_int_equal(f->ui.mode, TOP_MODE_CONFIRM);
            assert_int_equal(press(f, noes[i]), TOP_WISH_NOTHING);
            assert_int_equal(f->ui.mode, TOP_MODE_LIST);
            assert_string_equal(f->ui.message, "nothing was changed");
            assert_int_equal(f->ui.selected_at, 0);
        }
        press(f, verbs[v].key);
        f->list.rows++;
        f->list.count--;
        top_ui_settle(&f->ui, &f->list); /* b0 has gone meanwhile */
        assert_string_equal(f->ui.selected.backend, "b1");
        assert_int_equal(press(f, 'y'), TOP_WISH_CHANGE);
        assert_string_equal(f->ui.verb, verbs[v].verb);
        assert_string_equal(f->ui.asked.service, "s");
        assert_string_equal(f->ui.asked.backend, "b0");
        f->list.rows--;
        f->list.count++;
        press(f, TOP_KEY_HOME);
    }
}

static void test_filter(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(press(f, '/'), TOP_WISH_NOTHING);
    assert_int_equal(press(f, 'q'), TOP_WISH_LIST); /* letters, not commands */
    assert_int_equal(press(f, 'd'), TOP_WISH_LIST);
    assert_string_equal(f->ui.filter, "qd");
    assert_int_equal(press(f, TOP_KEY_BACKSPACE), TOP_WISH_LIST);
    assert_int_equal(press(f, TOP_KEY_DOWN), TOP_WISH_NOTHING);
    assert_int_equal(f->ui.selected_at, 1);
    assert_int_equal(press(f, TOP_KEY_ENTER), TOP_WISH_NOTHING);
    assert_string_equal(f->ui.filter, "q");
    assert_int_equal(f->ui.mode, TOP_MODE_LIST);
    assert_int_equal(press(f, TOP_KEY_ESCAPE), TOP_WISH_LIST);
    assert_string_equal(f->ui.filter, "");
    press(f, '/');
    for (int i = 0; i < 100; i++)
        press(f, 'a');
    assert_int_equal(strlen(f->ui.filter), TOP_FILTER_MAX - 1);
    assert_int_equal(press(f, TOP_KEY_ESCAPE), TOP_WISH_LIST);
    assert_string_equal(f->ui.filter, "");
    press(f, '/');
    assert_int_equal(press(f, TOP_KEY_BACKSPACE), TOP_WISH_LIST);
    assert_string_equal(f->ui.filter, "");
}

static void test_sorts(void **state)
{
    struct fixture *f = *state;

    for (int i = 1; i <= TOP_SORT_COUNT; i++) {
        assert_int_equal(press(f, 's'), TOP_WISH_LIST);
        assert_int_equal(f->ui.sort, i % TOP_SORT_COUNT);
    }
    assert_int_equal(press(f, 'S'), TOP_WISH_LIST);
    assert_int_equal(f->ui.sort, TOP_SORT_COUNT - 1);
    assert_int_equal(press(f, 'r'), TOP_WISH_LIST);
    assert_true(f->ui.reversed);
    press(f, 'r');
    assert_false(f->ui.reversed);
}

/* In every mode. */
static void test_control_keys(void **state)
{
    static const int modes[] = {0, '/', 'd', '?'};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        press(f, modes[i]);
        assert_int_equal(press(f, TOP_KEY_REDRAW), TOP_WISH_REDRAW);
        assert_int_equal(press(f, TOP_KEY_SUSPEND), TOP_WISH_SUSPEND);
        assert_int_equal(press(f, TOP_KEY_INTERRUPT), TOP_WISH_QUIT);
        press(f, TOP_KEY_ESCAPE);
    }
    assert_int_equal(press(f, '?'), TOP_WISH_NOTHING);
    assert_int_equal(f->ui.mode, TOP_MODE_HELP);
    assert_int_equal(press(f, 'q'), TOP_WISH_NOTHING); /* any key leads back */
    assert_int_equal(f->ui.mode, TOP_MODE_LIST);
    assert_int_equal(press(f, 'q'), TOP_WISH_QUIT);
}

static void test_message(void **state)
{
    struct fixture *f = *state;
    char text[2 * TOP_MESSAGE_MAX];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    top_ui_say(&f->ui, TERM_BAD, text);
    assert_int_equal(strlen(f->ui.message), TOP_MESSAGE_MAX - 1);
    press(f, TOP_KEY_NONE);
    assert_int_equal(strlen(f->ui.message), TOP_MESSAGE_MAX - 1);
    press(f, TOP_KEY_DOWN);
    assert_string_equal(f->ui.message, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_moves), TEST(test_settles),      TEST(test_questions), TEST(test_filter),
        TEST(test_sorts), TEST(test_control_keys), TEST(test_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
