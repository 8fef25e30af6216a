#include "tests/unit/unit.h"

#include <stdlib.h>

#include "base/log.h"

/* One line as the log writes it; to be freed. */
static char *written(enum log_level limit, enum log_format format, enum log_level level, const char *message)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    const struct log log = {.level = limit, .format = format, .out = out};

    assert_non_null(out);
    log_write(&log, level, "%s", message);
    fclose(out);
    assert_int_equal(strlen(text), len);
    return text;
}

struct line_case {
    enum log_format format;
    const char *message;
    const char *tail; /* what follows the time */
};

static const struct line_case line_cases[] = {
    {LOG_FORMAT_TEXT, "plain", " warn  plain\n"},
    {LOG_FORMAT_TEXT, "two\nlines\r\t\x1b[2J\x7f.", " warn  two?lines???[2J?.\n"},
    {LOG_FORMAT_TEXT, "Gr\xc3\xbc\xc3\x9f", " warn  Gr\xc3\xbc\xc3\x9f\n"},
    {LOG_FORMAT_TEXT, "", " warn  \n"},
    {LOG_FORMAT_JSON, "plain", "\",\"level\":\"warn\",\"message\":\"plain\"}\n"},
    {LOG_FORMAT_JSON, "say \"hi\" \\ now",
     "\",\"level\":\"warn\",\"message\":\"say \\\"hi\\\" \\\\ now\"}\n"},
    {LOG_FORMAT_JSON, "two\nlines\x01\x1f.",
     "\",\"level\":\"warn\",\"message\":\"two\\u000alines\\u0001\\u001f.\"}\n"},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof line_cases / sizeof line_cases[0]; i++) {
        const struct line_case *t = &line_cases[i];
        const bool json = t->format == LOG_FORMAT_JSON;
        const size_t before = strlen("2026-11-23T12:37:05.123Z") + (json ? strlen("{\"time\":\"") : 0);
        char *text = written(LOG_LEVEL_INFO, t->format, LOG_LEVEL_WARN, t->message);
        assert_true(strlen(text) > before);
        assert_string_equal(text + before, t->tail);
        free(text);
    }
}

static void test_levels(void **state)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};

    (void)state;
    for (enum log_level limit = LOG_LEVEL_ERROR; limit <= LOG_LEVEL_DEBUG; limit++) {
        for (enum log_level level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
            char *text = written(limit, LOG_FORMAT_TEXT, level, "x");
            assert_int_equal(strlen(text) > 0, level <= limit);
            assert_true(level > limit || strstr(text, names[level]));
            free(text);
        }
    }
    log_error(NULL, "a log that is not there: %d", 1);
}

/* A line has a bound; what is longer is cut, and stays one line. */
static void test_long_message(void **state)
{
    char message[5000];

    (void)state;
    memset(message, 'x', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    char *text = written(LOG_LEVEL_INFO, LOG_FORMAT_JSON, LOG_LEVEL_INFO, message);
    const size_t len = strlen(text);
    assert_in_range(len, 1000, 1200);
    assert_string_equal(text + len - 4, "x\"}\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_long_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
