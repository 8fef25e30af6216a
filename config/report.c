#include "config/report.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    size_t line;
    size_t column;
    size_t sequence; /* keeps errors of one place in the order in which they were found */
    char *text;
};

struct report {
    const char *name;
    size_t count; /* added */
    size_t kept;  /* of these, in `entries` */
    struct entry entries[REPORT_ERRORS_MAX];
};

struct report *report_create(const char *name)
{
    struct report *report = calloc(1, sizeof *report);

    if (report)
        report->name = name;
    return report;
}

void report_destroy(struct report *report)
{
    if (!report)
        return;
    for (size_t i = 0; i < report->kept; i++)
        free(report->entries[i].text);
    free(report);
}

void report_add_list(struct report *report, size_t line, size_t column, const char *where, const char *fmt,
                     va_list args)
{
    struct entry *entry = &report->entries[report->kept];
    char *message = NULL;
    const size_t sequence = report->count++;

    /* Without memory the error is counted all the same, so that a bad file can never pass for a good one. */
    if (report->kept == REPORT_ERRORS_MAX || vasprintf(&message, fmt, args) < 0)
        return;
    *entry = (struct entry){.line = line, .column = column, .sequence = sequence};
    if (asprintf(&entry->text, "%s%s%s", where, *where ? ": " : "", message) >= 0)
        report->kept++;
    free(message);
}

void report_add(struct report *report, size_t line, size_t column, const char *where, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    report_add_list(report, line, column, where, fmt, args);
    va_end(args);
}

size_t report_count(const struct report *report)
{
    return report->count;
}

static int compare_sizes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    int order = compare_sizes(a->line, b->line);

    if (order == 0)
        order = compare_sizes(a->column, b->column);
    return order != 0 ? order : compare_sizes(a->sequence, b->sequence);
}

void report_print(struct report *report, FILE *out)
{
    qsort(report->entries, report->kept, sizeof report->entries[0], compare_entries);
    for (size_t i = 0; i < report->kept; i++) {
        const struct entry *entry = &report->entries[i];
        fprintf(out, "%s:%zu:%zu: %s\n", report->name, entry->line, entry->column, entry->text);
    }
    if (report->count > report->kept)
        fprintf(out, "%s: and %zu more\n", report->name, report->count - report->kept);
}

const char *report_quote(const char *text, size_t len, char quoted[static REPORT_QUOTED_MAX])
{
    const bool cut = len > REPORT_QUOTED_BYTES;
    const size_t shown = cut ? REPORT_QUOTED_BYTES : len;
    char *p = quoted;

    *p++ = '"';
    for (size_t i = 0; i < shown; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            p += snprintf(p, 5, "\\%c", c);
        else if (c < 0x20 || c > 0x7e)
            p += snprintf(p, 5, "\\x%02x", c);
        else
            *p++ = (char)c;
    }
    memcpy(p, cut ? "...\"" : "\"", cut ? 5 : 2);
    return quoted;
}
