/* The small parts of config/: durations, suggestions, quoting for messages, and the bounded list of errors.
 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "config/duration.h"
#include "config/report.h"
#include "config/suggest.h"

static void test_duration_parse(void **state)
{
    static const struct {
        const char *text;
        int err;
        uint64_t ms;
    } CASES[] = {
        {"500ms", 0, 500},
        {"30s", 0, 30000},
        {"5m", 0, 300000},
        {"1h", 0, 3600000},
        {"0s", 0, 0},
        {"007s", 0, 7000},
        {"18446744073709551ms", 0, 18446744073709551},
        {"18446744073709551614ms", 0, UINT64_MAX - 1},
        {"18446744073709551616ms", ERR_RANGE, UINT64_MAX},
        {"18446744073709551s", 0, 18446744073709551000U},
        {"18446744073709552s", ERR_RANGE, UINT64_MAX},
        {"99999999999999999999999h", ERR_RANGE, UINT64_MAX},
        {"30", ERR_NOT_FOUND, 0},
        {"0", ERR_NOT_FOUND, 0},
        {"", ERR_MALFORMED, 0},
        {"s", ERR_MALFORMED, 0},
        {"-1s", ERR_MALFORMED, 0},
        {"+1s", ERR_MALFORMED, 0},
        {"1 s", ERR_MALFORMED, 0},
        {" 1s", ERR_MALFORMED, 0},
        {"1s ", ERR_MALFORMED, 0},
        {"1.5s", ERR_MALFORMED, 0},
        {"1h30m", ERR_MALFORMED, 0},
        {"1d", ERR_MALFORMED, 0},
        {"1S", ERR_MALFORMED, 0},
        {"1sec", ERR_MALFORMED, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        uint64_t ms = 0;
        const int err = duration_parse(CASES[i].text, &ms);
        if (err != CASES[i].err || ms != CASES[i].ms)
            fail_msg("\"%s\" gives %d and %llu ms", CASES[i].text, err, (unsigned long long)ms);
    }
}

static void test_duration_format(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } CASES[] = {
        {0, "0ms"},       {1, "1ms"},          {999, "999ms"},         {1000, "1s"},
        {1500, "1500ms"}, {60000, "1m"},       {90000, "90s"},         {3600000, "1h"},
        {5400000, "90m"}, {604800000, "168h"}, {3600001, "3600001ms"}, {UINT64_MAX, "18446744073709551615ms"},
    };
    char text[DURATION_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        assert_string_equal(duration_format(CASES[i].ms, text), CASES[i].text);
}

static void test_suggest(void **state)
{
    static const struct {
        const char *word;
        const char *known;
        unsigned slips;
    } CASES[] = {
        {"health", "health", 0},
        {"Full_NAT", "full-nat", 0},
        {"helth", "health", 1},
        {"heallth", "health", 1},
        {"haelth", "health", 1},
        {"heakth", "health", 1},
        {"eahlth", "health", 2},
        {"transprant", "transparent", 2},
        {"wxyzth", "health", SUGGEST_FAR},
        {"", "health", SUGGEST_FAR},
        {"vpi", "vip", 1},
        {"xpi", "vip", SUGGEST_FAR},
        {"snat", "", SUGGEST_FAR},
        {"warning", "warn", 3},
        {"err", "error", 2},
        {"er", "error", SUGGEST_FAR},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "health", SUGGEST_FAR},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const unsigned slips = suggest_distance(CASES[i].word, CASES[i].known);
        if (slips != CASES[i].slips)
            fail_msg("\"%s\" is %u from \"%s\"", CASES[i].word, slips, CASES[i].known);
    }
}

static void test_suggest_nearer(void **state)
{
    unsigned best = SUGGEST_FAR;

    (void)state;
    assert_false(suggest_nearer("weigth", "address", &best));
    assert_true(suggest_nearer("weigth", "weight", &best));
    assert_int_equal(best, 1);
    assert_false(suggest_nearer("weigth", "weight", &best));
}

static void test_quote(void **state)
{
    char quoted[REPORT_QUOTED_MAX];
    char longest[REPORT_QUOTED_BYTES + 1];

    (void)state;
    assert_string_equal(report_quote("a b", 3, quoted), "\"a b\"");
    assert_string_equal(report_quote("", 0, quoted), "\"\"");
    assert_string_equal(report_quote("\"\\\n\x1b\0\xc3\xa9\x7f", 8, quoted),
                        "\"\\\"\\\\\\x0a\\x1b\\x00\\xc3\\xa9\\x7f\"");
    /* The longest that a quotation becomes must fit its buffer: the sanitizer watches. */
    memset(longest, '\n', sizeof longest);
    report_quote(longest, sizeof longest, quoted);
    assert_int_equal(strlen(quoted), REPORT_QUOTED_MAX - 1);
    assert_string_equal(quoted + strlen(quoted) - 8, "\\x0a...\"");
    report_quote(longest, sizeof longest - 1, quoted);
    assert_string_equal(quoted + strlen(quoted) - 5, "\\x0a\"");
}

/* Errors come in the order of the file, and beyond a hundred they are only counted. */
static void test_report(void **state)
{
    struct report *report = report_create("f");
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    const char *line;

    (void)state;
    assert_int_equal(report_count(report), 0);
    report_add(report, 9, 1, "z", "last");
    report_add(report, 2, 7, "", "second");
    report_add(report, 2, 7, "y", "third");
    report_add(report, 2, 3, "x", "first of %d", 103);
    for (size_t i = 0; i < REPORT_ERRORS_MAX - 1; i++)
        report_add(report, 5, 1, "m", "many");
    assert_int_equal(report_count(report), REPORT_ERRORS_MAX + 3);
    report_print(report, out);
    fclose(out);
    report_destroy(report);
    report_destroy(NULL);

    assert_ptr_equal(strstr(text, "f:2:3: x: first of 103\nf:2:7: second\nf:2:7: y: third\nf:5:1: m: many\n"),
                     text);
    line = strstr(text, "f:9:1: z: last\n");
    assert_non_null(line);
    assert_string_equal(line, "f:9:1: z: last\nf: and 3 more\n");
    free(text);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(test_duration_parse), cmocka_unit_test(test_duration_format),
        cmocka_unit_test(test_suggest),        cmocka_unit_test(test_suggest_nearer),
        cmocka_unit_test(test_quote),          cmocka_unit_test(test_report),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
