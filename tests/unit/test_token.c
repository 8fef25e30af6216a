#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/token.h"
#include "base/err.h"

#define GOOD "0123456789abcdefABCDEF-._~+/="

struct fixture {
    char path[32];
    char *logged;
    size_t logged_len;
    struct log log;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    snprintf(f->path, sizeof f->path, "/tmp/ikelb-token-XXXXXX");
    const int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    close(fd);
    f->log = (struct log){.level = LOG_LEVEL_INFO, .out = open_memstream(&f->logged, &f->logged_len)};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    (void)unlink(f->path);
    fclose(f->log.out);
    free(f->logged);
    free(f);
    return 0;
}

/* Writes the file, reads the token from it; what was logged is in f->logged afterwards. */
static int read_text(struct fixture *f, const char *text, struct token *token)
{
    FILE *file = fopen(f->path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    rewind(f->log.out);
    const int err = token_read(f->path, &f->log, token);
    fputc('\0', f->log.out);
    fflush(f->log.out);
    return err;
}

static void test_reads(void **state)
{
    static const char *const texts[] = {GOOD, GOOD "\n", GOOD " \t\r\n\n"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct token token;
        assert_int_equal(read_text(f, texts[i], &token), 0);
        assert_string_equal(token.text, GOOD);
        assert_string_equal(f->logged, "");
    }
}

static void test_faults(void **state)
{
    static const struct {
        const char *text;
        const char *fault;
    } cases[] = {
        {"", "is empty"},
        {" \n", "is empty"},
        {"123456789012345\n", "is too short"},
        {"0123456789 0123456789", "has characters that a token cannot have"},
        {"\n" GOOD, "has characters that a token cannot have"},
        {GOOD "\"", "has characters that a token cannot have"},
        {"token: " GOOD, "has characters that a token cannot have"},
    };
    struct fixture *f = *state;
    struct token token;
    char text[600];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(read_text(f, cases[i].text, &token), ERR_MALFORMED);
        assert_non_null(strstr(f->logged, cases[i].fault));
        assert_non_null(strstr(f->logged, f->path));
        assert_null(strstr(f->logged, GOOD)); /* what may be a secret stays one */
    }
    for (size_t len = 255; len <= 256; len++) {
        memset(text, 'x', len);
        text[len] = '\0';
        assert_int_equal(read_text(f, text, &token), len == 255 ? 0 : ERR_MALFORMED);
    }
    assert_non_null(strstr(f->logged, "is too long"));
}

static void test_no_file(void **state)
{
    struct fixture *f = *state;
    struct token token;

    assert_int_equal(token_read("/nowhere/token", &f->log, &token), -ENOENT);
    assert_int_equal(token_read("/", &f->log, &token), -EISDIR);
    fflush(f->log.out);
    assert_non_null(strstr(f->logged, "cannot read admin.token_file /nowhere/token: No such file"));
}

/* A file that others may read is the administrator's own affair, but he is told. */
static void test_readable_by_all(void **state)
{
    struct fixture *f = *state;
    struct token token;

    assert_int_equal(chmod(f->path, 0644), 0);
    assert_int_equal(read_text(f, GOOD, &token), 0);
    assert_non_null(strstr(f->logged, "chmod o-r"));
    assert_int_equal(chmod(f->path, 0640), 0);
    assert_int_equal(read_text(f, GOOD, &token), 0);
    assert_string_equal(f->logged, "");
}

static void test_matches(void **state)
{
    static const struct token token = {GOOD}, none = {""};
    char longest[TOKEN_MAX + 10];

    (void)state;
    assert_true(token_matches(&token, GOOD));
    assert_false(token_matches(&token, NULL));
    assert_false(token_matches(&token, ""));
    assert_false(token_matches(&token, GOOD "x"));
    assert_false(token_matches(&token, GOOD " "));
    assert_false(token_matches(&token, "0123456789abcdef"));
    assert_false(token_matches(&token, "1123456789abcdefABCDEF-._~+/="));
    assert_false(token_matches(&token, "0123456789abcdefABCDEF-._~+/-"));
    assert_false(token_matches(&none, ""));
    assert_false(token_matches(&none, NULL));

    struct token full = {0};
    memset(full.text, 'x', TOKEN_MAX);
    memset(longest, 'x', sizeof longest);
    longest[TOKEN_MAX] = '\0';
    assert_true(token_matches(&full, longest));
    longest[TOKEN_MAX] = 'x';
    longest[TOKEN_MAX + 1] = '\0';
    assert_false(token_matches(&full, longest));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reads),           TEST(test_faults),  TEST(test_no_file),
        TEST(test_readable_by_all), TEST(test_matches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
