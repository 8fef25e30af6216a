#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin/table.h"
#include "tests/unit/screen.h"

static const struct table_column columns[] = {
    {.title = "NAME"},
    {.title = "CLIENTS", .to_the_right = true},
    {.title = "IN", .to_the_right = true, .rank = 1},
    {.title = "OUT", .to_the_right = true, .rank = 1},
    {.title = "NOTE", .rank = 2},
};
#define COLUMN_COUNT (sizeof columns / sizeof columns[0])

static void add_row(struct table *table, const char *name, int clients, const char *note)
{
    table_cell(table, TERM_GOOD, "%s", name);
    table_cell(table, TERM_PLAIN, "%d", clients);
    table_cell(table, TERM_PLAIN, "%s", "1.2 k");
    table_cell(table, TERM_PLAIN, "%s", "3.4 M");
    table_cell(table, TERM_PLAIN, "%s", note);
}

/* Prints what is in the table on a terminal of that width, and compares. */
static void check_print(struct table *table, unsigned width, bool has_colour, const char *expected)
{
    char *text = NULL;
    size_t len = 0;
    const struct term term = {.out = open_memstream(&text, &len), .width = width, .has_colour = has_colour};

    assert_non_null(term.out);
    assert_int_equal(table_print(table, &term, 2), 0);
    fclose(term.out);
    assert_string_equal(text, expected);
    free(text);
}

static void test_aligns(void **state)
{
    struct table *table = table_create(columns, COLUMN_COUNT);

    (void)state;
    add_row(table, "büro", 5, "");
    add_row(table, "vpn10", 12345678, "x");
    check_print(table, 0, false,
                "  NAME    CLIENTS     IN    OUT  NOTE\n"
                "  büro          5  1.2 k  3.4 M\n"
                "  vpn10  12345678  1.2 k  3.4 M  x\n");
    table_destroy(table);
}

/* Colours are in the text but take no room, so columns stay where they were. */
static void test_colours_take_no_room(void **state)
{
    struct table *table = table_create(columns, COLUMN_COUNT);

    (void)state;
    add_row(table, "a", 1, "n");
    check_print(table, 0, true,
                "  \033[2mNAME\033[0m  \033[2mCLIENTS\033[0m     \033[2mIN\033[0m    \033[2mOUT\033[0m  "
                "\033[2mNOTE\033[0m\n"
                "  \033[32ma\033[0m           1  1.2 k  3.4 M  n\n");
    table_destroy(table);
}

static void test_goes_on_below(void **state)
{
    struct table *table = table_create(columns, COLUMN_COUNT);

    (void)state;
    add_row(table, "a", 1, "n");
    check_print(table, 0, false, "  NAME  CLIENTS     IN    OUT  NOTE\n  a           1  1.2 k  3.4 M  n\n");
    add_row(table, "longer", 2, "n");
    check_print(table, 0, false, "  longer        2  1.2 k  3.4 M  n\n");
    add_row(table, "b", 3, "n");
    check_print(table, 0, false, "  b             3  1.2 k  3.4 M  n\n");
    table_destroy(table);
}

/* Narrower and narrower: whole ranks go, the highest first, and what must be shown always is. */
static void test_fits_the_terminal(void **state)
{
    static const struct {
        unsigned width;
        size_t hidden;
        const char *title;
    } cases[] = {
        {36, 0, "  NAME  CLIENTS     IN    OUT  NOTE\n"},
        {35, 0, "  NAME  CLIENTS     IN    OUT  NOTE\n"},
        {34, 1, "  NAME  CLIENTS     IN    OUT\n"},
        {29, 1, "  NAME  CLIENTS     IN    OUT\n"},
        {28, 3, "  NAME  CLIENTS\n"},
        {1, 3, "  NAME  CLIENTS\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct table *table = table_create(columns, COLUMN_COUNT);
        char *text = NULL;
        size_t len = 0;
        const struct term term = {.out = open_memstream(&text, &len), .width = cases[i].width};
        add_row(table, "a", 1, "n");
        assert_int_equal(table_print(table, &term, 2), 0);
        assert_int_equal(table_hidden(table), cases[i].hidden);
        fclose(term.out);
        assert_memory_equal(text, cases[i].title, strlen(cases[i].title));
        free(text);
        table_destroy(table);
    }
}

static void test_says_what_is_hidden(void **state)
{
    char *text = NULL;
    size_t len = 0;
    const struct term term = {.out = open_memstream(&text, &len), .width = 40};

    (void)state;
    table_note_hidden(0, &term);
    table_note_hidden(1, &term);
    table_note_hidden(2, &term);
    fclose(term.out);
    assert_string_equal(text, "(1 column hidden: the terminal is 40 wide; --json shows all)\n"
                              "(2 columns hidden: the terminal is 40 wide; --json shows all)\n");
    free(text);
}

static void test_without_rows(void **state)
{
    struct table *table = table_create(columns, COLUMN_COUNT);

    (void)state;
    check_print(table, 0, false, "  NAME  CLIENTS  IN  OUT  NOTE\n");
    table_destroy(table);
    table_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aligns),
        cmocka_unit_test(test_colours_take_no_room),
        cmocka_unit_test(test_goes_on_below),
        cmocka_unit_test(test_fits_the_terminal),
        cmocka_unit_test(test_says_what_is_hidden),
        cmocka_unit_test(test_without_rows),
    };

    return cmocka_run_group_tests(tests, screen_set_up, NULL);
}
