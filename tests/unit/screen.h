/* What a view prints of a document, as text. */
#pragma once

#include <jansson.h>
#include <locale.h>
#include <stdio.h>

#include "admin/term.h"
#include "tests/unit/unit.h"

/* In a group's set-up: what is printed is UTF-8. */
static inline int screen_set_up(void **state)
{
    (void)state;
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    return 0;
}

typedef int screen_print(const json_t *document, const struct term *term);

/* The screen for a document on such a terminal, to be freed; the view must return `expected`. */
static inline char *screen_of(screen_print *print, const char *json, const struct term *on, int expected)
{
    char *text = NULL;
    size_t len = 0;
    struct term term = *on;
    json_t *document = json_loads(json, 0, NULL);

    assert_non_null(document);
    term.out = open_memstream(&text, &len);
    assert_non_null(term.out);
    assert_int_equal(print(document, &term), expected);
    fclose(term.out);
    json_decref(document);
    return text;
}
