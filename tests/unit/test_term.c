#include "tests/unit/unit.h"

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/term.h"

/* Text, what may be written of it, and how wide that is. */
static const struct {
    const char *text;
    const char *written;
    size_t columns;
} cases[] = {
    {"", "", 0},
    {"vpn1", "vpn1", 4},
    {"büro", "büro", 4},           /* two bytes, one column */
    {"e\xcc\x81", "e\xcc\x81", 1}, /* a combining accent takes none */
    {"東京", "東京", 4},           /* two columns each */
    {"a\tb\nc", "a?b?c", 5},       /* nobody's name moves the cursor ... */
    {"\033[2J", "?[2J", 4},        /* ... or clears the screen */
    {"\xc2\x9b"
     "2J",
     "?2J", 3}, /* the same as an 8-bit control */
    {"\x7f", "?", 1},
    {"a\xff", "a?", 2}, /* never a byte of UTF-8 */
    {"\xc3", "?", 1},   /* cut off */
    {"\xe2\x82", "??", 2},
    {"\xc0\xaf", "??", 2},           /* longer than it need be */
    {"\xed\xa0\x80", "???", 3},      /* half of a surrogate pair */
    {"\xf4\x90\x80\x80", "????", 4}, /* beyond the last code point */
    {"\xf0\x9f\x94\x92", "\xf0\x9f\x94\x92", 2},
};

static char *written(const struct term *like, enum term_tone tone, const char *text)
{
    char *out = NULL;
    size_t len = 0;
    struct term term = *like;

    term.out = open_memstream(&out, &len);
    assert_non_null(term.out);
    term_put(&term, tone, text);
    fclose(term.out);
    return out;
}

static void test_puts_only_what_is_safe(void **state)
{
    (void)state;
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *out = written(&(struct term){0}, TERM_PLAIN, cases[i].text);
        assert_string_equal(out, cases[i].written);
        assert_int_equal(term_columns(cases[i].text), cases[i].columns);
        free(out);
    }
}

static void test_counts_characters_without_a_locale(void **state)
{
    (void)state;
    assert_non_null(setlocale(LC_CTYPE, "C"));
    assert_int_equal(term_columns("büro"), 4);
}

static void test_colours(void **state)
{
    (void)state;
    const struct term colour = {.has_colour = true};
    char *plain = written(&(struct term){0}, TERM_BAD, "down");
    char *bad = written(&colour, TERM_BAD, "down");
    char *neutral = written(&colour, TERM_PLAIN, "down");

    assert_string_equal(plain, "down");
    assert_string_equal(bad, "\033[1;31mdown\033[0m");
    assert_string_equal(neutral, "down");
    free(plain);
    free(bad);
    free(neutral);
}

static void test_pipe_is_plain(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    FILE *out = fdopen(fds[1], "w");
    const struct term term = term_of(out);
    assert_false(term.has_colour);
    assert_int_equal(term.width, 0);
    fclose(out);
    close(fds[0]);
}

static void test_terminal_has_colour_unless_told(void **state)
{
    const int fd = posix_openpt(O_RDWR | O_NOCTTY);

    (void)state;
    assert_true(fd >= 0);
    FILE *out = fdopen(fd, "w");
    assert_non_null(out);
    setenv("TERM", "xterm", 1);
    setenv("COLUMNS", "91", 1);
    unsetenv("NO_COLOR");
    assert_true(term_of(out).has_colour);
    assert_int_equal(term_of(out).width, 91); /* a fresh terminal has no size of its own */
    setenv("NO_COLOR", "1", 1);
    assert_false(term_of(out).has_colour);
    setenv("NO_COLOR", "", 1);
    assert_true(term_of(out).has_colour);
    setenv("TERM", "dumb", 1);
    assert_false(term_of(out).has_colour);
    fclose(out);
}

static void test_prose(void **state)
{
    static const struct {
        unsigned width;
        const char *text;
        const char *lines;
    } prose[] = {
        {0, "one two three", "one two three\n"},
        {13, "one two three", "one two\n  three\n"}, /* two columns are the indent's */
        {15, "one two three", "one two three\n"},
        {14, "one two three", "one two\n  three\n"},
        {7, "one two three", "one\n  two\n  three\n"},
        {1, "one two", "one\n  two\n"}, /* a word is never cut */
        {8, "incompressible a", "incompressible\n  a\n"},
        {20, "", "\n"},
        {9, "büro bü", "büro bü\n"}, /* columns count, not bytes */
    };

    (void)state;
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    for (size_t i = 0; i < sizeof prose / sizeof prose[0]; i++) {
        char *out = NULL;
        size_t len = 0;
        const struct term term = {.out = open_memstream(&out, &len), .width = prose[i].width};
        term_prose(&term, TERM_PLAIN, 2, prose[i].text);
        fclose(term.out);
        assert_string_equal(out, prose[i].lines);
        free(out);
    }
}

/* Colours take no room, wide characters two columns each; neither is cut in two. */
static void test_fit(void **state)
{
    static const struct {
        const char *line;
        size_t columns;
        size_t bytes;
        size_t filled;
    } fits[] = {
        {"", 5, 0, 0},          {"abc", 5, 3, 3},    {"abc", 3, 3, 3},
        {"abc", 2, 2, 2},       {"abc", 0, 0, 0},    {"\033[1;31mab\033[0mcd", 3, 14, 3},
        {"ab\033[0m", 2, 6, 2}, {"\033[", 2, 2, 0},  {"日本", 3, 3, 2},
        {"日本", 4, 6, 4},      {"é\xff!", 2, 3, 2},
    };

    (void)state;
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    for (size_t i = 0; i < sizeof fits / sizeof fits[0]; i++) {
        size_t filled;
        const size_t bytes = term_fit(fits[i].line, fits[i].columns, &filled);
        if (bytes != fits[i].bytes || filled != fits[i].filled)
            fail_msg("case %zu: %zu bytes, %zu columns", i, bytes, filled);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_puts_only_what_is_safe),
        cmocka_unit_test(test_counts_characters_without_a_locale),
        cmocka_unit_test(test_colours),
        cmocka_unit_test(test_prose),
        cmocka_unit_test(test_pipe_is_plain),
        cmocka_unit_test(test_terminal_has_colour_unless_told),
        cmocka_unit_test(test_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
