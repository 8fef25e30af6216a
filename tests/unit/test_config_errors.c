/* Every kind of error that a file can have, with the exact text, line and column. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "config/config.h"

/* The service fills lines 1 to 3, its backends line 4 if nothing is between. */
#define HEAD     "services:\n- name: a\n  vip: 192.0.2.1\n"
#define BACKENDS "  backends: [{name: b, address: 10.0.0.1}]\n"

/* What messages allow. */
#define NAME           "must be 1 to 63 characters out of A-Z a-z 0-9 . _ -\n"
#define ADDRESS        "must be one IPv4 or IPv6 address\n"
#define VIPS           "must be an IPv4 or IPv6 address, or a list of 1 to 2\n"
#define DURATION(a, b) "must be a whole number with a unit (ms, s, m or h) from " a " to " b "\n"
#define NUMBER(a, b)   "must be a whole number from " a " to " b "\n"
#define TOP_KEYS       "ust be one of services, admin, dataplane, log\n"
#define SERVICE_KEYS   "ust be one of name, vip, mode, snat, schedule, persistence, health, backends\n"
#define BACKEND_KEYS   "ust be one of name, address, weight, state\n"
#define NOT_ADDRESS    "is not an address (numeric, without port, prefix length or brackets); "

struct error_case {
    const char *text;
    const char *errors;
};

static void assert_errors(const char *text, size_t len, const char *expected)
{
    struct config *config = NULL;
    char *errors = NULL;
    size_t errors_len = 0;
    FILE *out = open_memstream(&errors, &errors_len);
    int err;

    assert_non_null(out);
    err = config_parse(text, len, "t", out, &config);
    fclose(out);
    if (strcmp(errors, expected) != 0)
        fail_msg("\n%s\ngives\n%s\nbut must give\n%s", text, errors, expected);
    assert_int_equal(err, ERR_CONFIG);
    assert_null(config);
    free(errors);
}

static void assert_cases(const struct error_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_errors(cases[i].text, strlen(cases[i].text), cases[i].errors);
}

#define ASSERT_CASES(cases) assert_cases((cases), sizeof(cases) / sizeof((cases)[0]))

static void test_yaml(void **state)
{
    static const struct error_case CASES[] = {
@@YAML@@
    };

    (void)state;
    ASSERT_CASES(CASES);
    assert_errors("a: \0", 4,
                  "t:1:4: not valid text: control characters are not allowed (0x00); must be UTF-8 text\n");
}

static void test_structure(void **state)
{
    static const struct error_case CASES[] = {
@@STRUCTURE@@
    };

    (void)state;
    ASSERT_CASES(CASES);
}

static void test_values(void **state)
{
    static const struct error_case CASES[] = {
@@VALUES@@
    };

    (void)state;
    ASSERT_CASES(CASES);
}

static void test_rules(void **state)
{
    static const struct error_case CASES[] = {
@@RULES@@
    };

    (void)state;
    ASSERT_CASES(CASES);
}

static void test_several(void **state)
{
    static const struct error_case CASES[] = {
@@SEVERAL@@
    };

    (void)state;
    ASSERT_CASES(CASES);
}

@@TAIL@@
