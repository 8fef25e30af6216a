/* Aligned tables for people: column widths from what is in them, columns left out where the terminal is too
 * narrow. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "admin/term.h"

#define TABLE_COLUMNS_MAX 16

struct table_column {
    const char *title;
    bool to_the_right; /* numbers */
    unsigned rank;     /* 0: always shown; of the others those of the highest are left out first */
    unsigned least;    /* columns of the terminal that it takes at least, so that it stays where it is */
};

struct table;

/* The columns (at most TABLE_COLUMNS_MAX) are borrowed. NULL without memory. */
struct table *table_create(const struct table_column *columns, size_t count);
void table_destroy(struct table *table);

/* The next cell, row by row, copied. Without memory the table remembers it, and table_print() fails. */
void table_cell(struct table *table, enum term_tone tone, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Prints the rows (complete ones), each line after `indent` spaces, and forgets them. The first call prints
 * the titles before; later calls go on below, with columns at least as wide. 0, or -ENOMEM with nothing
 * printed.
 */
int table_print(struct table *table, const struct term *term, unsigned indent);

/* The columns that table_print() leaves out. */
size_t table_hidden(const struct table *table);

/* A line that says so, if there are any. */
void table_note_hidden(size_t hidden, const struct term *term);
