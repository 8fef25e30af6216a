/* Where the CLI writes: a terminal with colours and a width, or a pipe that gets plain text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* What a piece of text means; a terminal shows it by colour. */
enum term_tone {
    TERM_PLAIN,
    TERM_STRONG,
    TERM_GOOD,
    TERM_WARN,
    TERM_BAD,
    TERM_FAINT,
    TERM_PICKED,
    TERM_TONE_COUNT
};

struct term {
    FILE *out;
    bool has_colour;
    unsigned width; /* columns; 0: no bound */
};

/* Looks at the file and at the environment (NO_COLOR, TERM, COLUMNS). The file is borrowed. */
struct term term_of(FILE *out);

/*
 * Writes the text in its tone. Control characters and bytes that are no UTF-8 come out as '?', so that
 * nobody's name steers the terminal.
 */
void term_put(const struct term *term, enum term_tone tone, const char *text);

/* printf() for term_put(), up to TERM_LINE_MAX bytes. */
#define TERM_LINE_MAX 1024
void term_printf(const struct term *term, enum term_tone tone, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Writes words in lines that fit the terminal, TERM_PROSE_MAX columns at most, and ends the last line. The
 * first begins where the caller has written `indent` columns, the others after as many blanks. Without a
 * terminal's bound all is one line.
 */
#define TERM_PROSE_MAX 100
void term_prose(const struct term *term, enum term_tone tone, unsigned indent, const char *text);

/* The columns that term_put() fills with this text. */
size_t term_columns(const char *text);

/*
 * The bytes of a line written by term_put(), colours and all, that fill so many columns at most; *filled has
 * the columns.
 */
size_t term_fit(const char *line, size_t columns_max, size_t *filled);
