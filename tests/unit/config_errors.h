/* For the tests of erroneous files: parses a text and compares all that is said about it. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "config/config.h"
#include "tests/unit/unit.h"

/* A service that is fine. It fills lines 1 to 3; BACKENDS, its last key, is line 4 if nothing is between. */
#define HEAD     "services:\n- name: a\n  vip: 192.0.2.1\n"
#define BACKENDS "  backends: [{name: b, address: 10.0.0.1}]\n"

struct error_case {
    const char *text;
    const char *errors;
};

static inline void assert_errors(const char *text, size_t len, const char *expected)
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

static inline void assert_cases(const struct error_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_errors(cases[i].text, strlen(cases[i].text), cases[i].errors);
}

#define ASSERT_CASES(cases) assert_cases((cases), sizeof(cases) / sizeof((cases)[0]))
