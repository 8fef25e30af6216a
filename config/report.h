/* Collects the errors of one file, so that all are reported in one run and in the order of the file. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* Errors beyond these are only counted: "and N more". */
#define REPORT_ERRORS_MAX 100

struct report;

/* `name` (borrowed) stands before each error. NULL if there is no memory. */
struct report *report_create(const char *name);
void report_destroy(struct report *report);

/* Adds "NAME:LINE:COLUMN: WHERE: MESSAGE"; an empty `where` is left out. Line and column count from 1. */
void report_add(struct report *report, size_t line, size_t column, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void report_add_list(struct report *report, size_t line, size_t column, const char *where, const char *fmt,
                     va_list args) __attribute__((format(printf, 5, 0)));

/* Errors added so far, the merely counted ones included. */
size_t report_count(const struct report *report);

/* Writes what was collected, one error a line, in the order of the file. */
void report_print(struct report *report, FILE *out);

/*
 * Quotes text from the file for a message and returns `quoted`: long text is cut, and all but printable ASCII
 * is escaped, so that a file can neither forge a line of output nor move the cursor of a terminal.
 */
#define REPORT_QUOTED_BYTES 48
#define REPORT_QUOTED_MAX   (4 * REPORT_QUOTED_BYTES + 6)
const char *report_quote(const char *text, size_t len, char quoted[static REPORT_QUOTED_MAX]);
