#include "admin/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/plural.h"

#define GAP 2 /* spaces between columns */

struct cell {
    char *text;
    enum term_tone tone;
};

struct table {
    const struct table_column *columns;
    size_t column_count;
    size_t widths[TABLE_COLUMNS_MAX];
    bool shown[TABLE_COLUMNS_MAX];
    struct cell *cells; /* row by row */
    size_t cell_count;
    size_t cell_room;
    bool failed;
    bool has_columns; /* chosen already, so that all rows have the same */
};

struct table *table_create(const struct table_column *columns, size_t count)
{
    struct table *table = count <= TABLE_COLUMNS_MAX ? calloc(1, sizeof *table) : NULL;

    if (!table)
        return NULL;
    table->columns = columns;
    table->column_count = count;
    for (size_t c = 0; c < count; c++) {
        table->widths[c] = columns[c].least;
        table_cell(table, TERM_FAINT, "%s", columns[c].title); /* the titles are the first row */
    }
    return table;
}

static void forget_rows(struct table *table)
{
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i].text);
    table->cell_count = 0;
}

void table_destroy(struct table *table)
{
    if (!table)
        return;
    forget_rows(table);
    free(table->cells);
    free(table);
}

static bool make_room(struct table *table)
{
    if (table->cell_count < table->cell_room)
        return true;
    const size_t room = table->cell_room ? 2 * table->cell_room : 64;
    struct cell *cells = realloc(table->cells, room * sizeof *cells);
    if (!cells)
        return false;
    table->cells = cells;
    table->cell_room = room;
    return true;
}

void table_cell(struct table *table, enum term_tone tone, const char *format, ...)
{
    struct cell cell = {.tone = tone};
    va_list args;
    int len;

    va_start(args, format);
    len = vasprintf(&cell.text, format, args);
    va_end(args);
    if (len < 0 || !make_room(table)) {
        if (len >= 0)
            free(cell.text);
        table->failed = true;
        return;
    }
    const size_t column = table->cell_count % table->column_count;
    const size_t width = term_columns(cell.text);
    if (width > table->widths[column])
        table->widths[column] = width;
    table->cells[table->cell_count++] = cell;
}

static size_t line_width(const struct table *table, unsigned indent)
{
    size_t width = indent;
    size_t columns = 0;

    for (size_t c = 0; c < table->column_count; c++) {
        if (!table->shown[c])
            continue;
        width += table->widths[c] + (columns ? GAP : 0);
        columns++;
    }
    return width;
}

/* The highest rank among the columns that are shown. */
static unsigned highest_rank(const struct table *table)
{
    unsigned rank = 0;

    for (size_t c = 0; c < table->column_count; c++)
        if (table->shown[c] && table->columns[c].rank > rank)
            rank = table->columns[c].rank;
    return rank;
}

/* Leaves out columns, the highest rank first, until a line fits or only those remain that are always shown.
 */
static void choose_columns(struct table *table, const struct term *term, unsigned indent)
{
    for (size_t c = 0; c < table->column_count; c++)
        table->shown[c] = true;
    while (term->width && line_width(table, indent) > term->width) {
        const unsigned rank = highest_rank(table);
        if (rank == 0)
            return;
        for (size_t c = 0; c < table->column_count; c++)
            table->shown[c] = table->columns[c].rank < rank;
    }
}

static void put_spaces(const struct term *term, size_t count)
{
    fprintf(term->out, "%*s", (int)count, "");
}

/* One line; blanks go before what stands to the right, and never at the end of a line. */
static void print_line(const struct table *table, const struct term *term, unsigned indent,
                       const struct cell *cells)
{
    size_t pending = indent;

    for (size_t c = 0; c < table->column_count; c++) {
        if (!table->shown[c])
            continue;
        if (cells[c].text[0] == '\0') {
            pending += table->widths[c] + GAP;
            continue;
        }
        const size_t padding = table->widths[c] - term_columns(cells[c].text);
        const bool to_the_right = table->columns[c].to_the_right;
        put_spaces(term, pending + (to_the_right ? padding : 0));
        term_put(term, cells[c].tone, cells[c].text);
        pending = GAP + (to_the_right ? 0 : padding);
    }
    fputc('\n', term->out);
}

int table_print(struct table *table, const struct term *term, unsigned indent)
{
    if (table->failed)
        return -ENOMEM;
    if (!table->has_columns)
        choose_columns(table, term, indent);
    table->has_columns = true;
    for (size_t i = 0; i + table->column_count <= table->cell_count; i += table->column_count)
        print_line(table, term, indent, &table->cells[i]);
    forget_rows(table);
    return 0;
}

size_t table_hidden(const struct table *table)
{
    size_t hidden = 0;

    for (size_t c = 0; c < table->column_count; c++)
        hidden += table->has_columns && !table->shown[c];
    return hidden;
}

void table_note_hidden(size_t hidden, const struct term *term)
{
    if (hidden == 0)
        return;
    term_printf(term, TERM_FAINT, "(%zu column%s hidden: the terminal is %u wide; --json shows all)", hidden,
                plural(hidden), term->width);
    fputc('\n', term->out);
}
