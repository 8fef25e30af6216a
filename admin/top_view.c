#include "admin/top_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/fastpath_view.h"
#include "admin/field.h"
#include "admin/human.h"
#include "admin/table.h"
#include "base/plural.h"

#define INDENT 2

/* Lines above and below the services. */
#define HEAD_LINES 4
#define FOOT_LINES 2

/* From so many per cent of unanswered handshakes on somebody should look. */
#define UNANSWERED_WARN 5
#define UNANSWERED_BAD  50

/* Widths that make room for what is usual, so that columns stay where they are. Together with the gaps those
 * below rank 3 fill 80 columns; STATE and HEALTH may need more. */
static const struct table_column COLUMNS[] = {
    {.title = "  BACKEND"},
    {.title = "STATE", .least = sizeof "disabled" - 1},
    {.title = "HEALTH", .least = sizeof "unknown" - 1},
    {.title = "CLIENTS", .to_the_right = true},
    {.title = "NEW/S", .to_the_right = true, .rank = 1},
    {.title = "UNANSW.", .to_the_right = true},
    {.title = "IN b/s", .to_the_right = true, .rank = 1},
    {.title = "IN pps", .to_the_right = true, .rank = 3},
    {.title = "OUT b/s", .to_the_right = true, .rank = 1},
    {.title = "OUT pps", .to_the_right = true, .rank = 3},
    {.title = "PROBE", .to_the_right = true, .rank = 2, .least = sizeof "12.3 ms" - 1},
    {.title = "ADDRESS", .rank = 4},
};

#define COLUMN_COUNT (sizeof COLUMNS / sizeof COLUMNS[0])

/* What is written for the body, and which of its lines is the selected row. */
struct body {
    char *text;
    size_t len;
    struct term term;
    size_t selected_line;
};

struct totals {
    uint64_t rx_bps, tx_bps, rx_pps, tx_pps;
    struct top_trend trend;
};

/* Of the backends that are shown. */
static struct totals totals_of(const struct top_list *list)
{
    struct totals t = {0};

    for (size_t i = 0; i < list->count; i++) {
        const struct top_row *row = &list->rows[i];
        t.rx_bps += field_number(row->json, "rx_bps");
        t.tx_bps += field_number(row->json, "tx_bps");
        t.rx_pps += field_number(row->json, "rx_pps");
        t.tx_pps += field_number(row->json, "tx_pps");
        t.trend.new_per_s += row->trend.new_per_s;
        for (int c = 0; c < TOP_COUNT_COUNT; c++)
            t.trend.counts[c] += row->trend.counts[c];
    }
    return t;
}

static const char *per_second(double rate, char text[static HUMAN_TEXT_MAX])
{
    snprintf(text, HUMAN_TEXT_MAX, "%.*f", rate < 100 ? 1 : 0, rate);
    return text;
}

static enum term_tone unanswered_tone(int per_cent)
{
    if (per_cent >= UNANSWERED_BAD)
        return TERM_BAD;
    return per_cent >= UNANSWERED_WARN ? TERM_WARN : TERM_PLAIN;
}

static void print_rate(const struct term *term, const char *label, uint64_t bps, uint64_t pps)
{
    char bits[HUMAN_TEXT_MAX];
    char packets[HUMAN_TEXT_MAX];

    term_put(term, TERM_FAINT, label);
    term_printf(term, TERM_PLAIN, "%s, %s", human_rate(bps, "bit/s", bits), human_rate(pps, "pps", packets));
}

static size_t count_alarms(const json_t *status)
{
    size_t count = 0;
    size_t s;
    json_t *service;

    json_array_foreach(json_object_get(status, "services"), s, service) count +=
        json_array_size(json_object_get(service, "alarms"));
    return count;
}

/* At the end of a line, where there may be no room for more. */
static void print_fastpath(const struct term *term, const json_t *status)
{
    const struct fastpath_view view = fastpath_view_of(status);

    if (!view.mode)
        return;
    term_put(term, TERM_FAINT, " | fast path ");
    if (view.per_cent < 0 || strcmp(view.mode, "off") == 0)
        term_put(term, TERM_PLAIN, view.mode);
    else
        term_printf(term, TERM_PLAIN, "%d%%", view.per_cent);
    if (view.troubles)
        term_printf(term, TERM_WARN, ", not on %s", view.interface);
    else if (view.trouble)
        term_put(term, TERM_WARN, " (ikelb status says why)");
}

/* The alarms are counted here, as they may stand beyond the edge of the screen. */
static void print_first_line(const struct term *term, const json_t *status)
{
    const json_t *pins = json_object_get(json_object_get(status, "tables"), "pins");
    const size_t alarms = count_alarms(status);
    char clients[HUMAN_TEXT_MAX];
    char capacity[HUMAN_TEXT_MAX];
    char uptime[HUMAN_TEXT_MAX];

    term_printf(term, TERM_STRONG, "ikelb %s", field_text(status, "version"));
    term_printf(term, TERM_PLAIN, ", up %s", human_duration(field_number(status, "uptime_s"), uptime));
    term_put(term, TERM_FAINT, " | clients ");
    term_printf(term, TERM_PLAIN, "%s of %s", human_count(field_number(pins, "entries"), clients),
                human_count(field_number(pins, "capacity"), capacity));
    if (alarms) {
        term_put(term, TERM_FAINT, " | ");
        term_printf(term, TERM_BAD, "%zu alarm%s", alarms, plural(alarms));
    }
    print_fastpath(term, status);
    fputc('\n', term->out);
}

static void print_totals(const struct term *term, const struct totals *t)
{
    const int unanswered = top_history_unanswered(&t->trend);
    char text[HUMAN_TEXT_MAX];

    print_rate(term, "in ", t->rx_bps, t->rx_pps);
    print_rate(term, " | out ", t->tx_bps, t->tx_pps);
    term_put(term, TERM_FAINT, " | new ");
    term_printf(term, TERM_PLAIN, "%s/s", per_second(t->trend.new_per_s, text));
    term_put(term, TERM_FAINT, " | unanswered ");
    if (unanswered < 0)
        term_put(term, TERM_FAINT, "-");
    else
        term_printf(term, unanswered_tone(unanswered), "%d%%", unanswered);
    fputc('\n', term->out);
}

/* How far the handshakes of the last minute came; a step at which many were lost stands out. */
static void print_funnel(const struct term *term, const struct top_trend *trend)
{
    static const char *const words[] = {"begun", "answered", "auth", "answered", "up"};
    char text[HUMAN_TEXT_MAX];

    term_printf(term, TERM_FAINT, "last %u s: ", TOP_PERIOD_S);
    for (int i = TOP_INIT_SENT; i <= TOP_ESTABLISHED; i++) {
        const uint64_t n = trend->counts[i];
        const uint64_t before = i == TOP_INIT_SENT ? n : trend->counts[i - 1];
        term_put(term, TERM_FAINT, i == TOP_INIT_SENT ? "" : " > ");
        term_put(term, n * 10 < before * 9 ? TERM_WARN : TERM_PLAIN, human_count(n, text));
        term_printf(term, TERM_FAINT, " %s", words[i - TOP_INIT_SENT]);
    }
    fputc('\n', term->out);
}

static void print_head(const struct top_screen *screen, const struct term *term)
{
    const struct totals totals = totals_of(screen->list);
    char since[HUMAN_TEXT_MAX];

    print_first_line(term, screen->status);
    if (screen->trouble) {
        term_printf(term, TERM_BAD, "ikelb is not reachable, for %s; trying again",
                    human_duration(screen->trouble_s, since));
        fputc('\n', term->out);
        term_put(term, TERM_BAD, screen->trouble);
        fputc('\n', term->out);
    } else {
        print_totals(term, &totals);
        print_funnel(term, &totals.trend);
    }
    fputc('\n', term->out);
}

/* Short words: the number of clients stands in a column of its own. */
static void add_state(struct table *table, const json_t *backend)
{
    const char *state = field_text(backend, "state");

    if (json_is_true(json_object_get(backend, "removed")))
        state = "removed";
    else if (strcmp(state, "drain") == 0 && field_number(backend, "clients") == 0)
        state = "drained";
    table_cell(table, strcmp(state, "enabled") == 0 ? TERM_PLAIN : TERM_WARN, "%s", state);
}

static void add_health(struct table *table, const json_t *backend)
{
    const char *health = field_text(backend, "health");
    const char *suspect = json_string_value(json_object_get(backend, "suspect"));

    if (suspect)
        table_cell(table, TERM_BAD, "%s, %s", health, suspect);
    else if (strcmp(health, "up") == 0)
        table_cell(table, TERM_GOOD, "%s", health);
    else
        table_cell(table, strcmp(health, "down") == 0 ? TERM_BAD : TERM_WARN, "%s", health);
}

/* The unit is in the column's title. */
static void add_rate(struct table *table, const json_t *backend, const char *key)
{
    char text[HUMAN_TEXT_MAX];
    const uint64_t rate = field_number(backend, key);

    human_rate(rate, "", text);
    text[strcspn(text, " ") + (rate >= 1000 ? 2 : 0)] = '\0'; /* "3.4 M", but "12" */
    table_cell(table, rate ? TERM_PLAIN : TERM_FAINT, "%s", text);
}

static void add_row(struct table *table, const struct top_row *row, bool is_selected)
{
    const json_t *probe_ms = json_object_get(row->json, "probe_ms");
    const int unanswered = top_history_unanswered(&row->trend);
    char text[HUMAN_TEXT_MAX];

    table_cell(table, is_selected ? TERM_PICKED : TERM_STRONG, "%c %s", is_selected ? '>' : ' ',
               row->backend);
    add_state(table, row->json);
    add_health(table, row->json);
    table_cell(table, TERM_PLAIN, "%s", human_count(field_number(row->json, "clients"), text));
    table_cell(table, row->trend.new_per_s > 0 ? TERM_PLAIN : TERM_FAINT, "%s",
               per_second(row->trend.new_per_s, text));
    if (unanswered < 0)
        table_cell(table, TERM_FAINT, "-");
    else
        table_cell(table, unanswered_tone(unanswered), "%d%%", unanswered);
    add_rate(table, row->json, "rx_bps");
    add_rate(table, row->json, "rx_pps");
    add_rate(table, row->json, "tx_bps");
    add_rate(table, row->json, "tx_pps");
    if (json_is_number(probe_ms))
        table_cell(table, TERM_PLAIN, "%.1f ms", json_number_value(probe_ms));
    else
        table_cell(table, TERM_FAINT, "-");
    table_cell(table, TERM_FAINT, "%s", field_text(row->json, "address"));
}

static void print_service_head(const struct term *term, const json_t *service)
{
    size_t i;
    json_t *item;

    term_put(term, TERM_STRONG, field_text(service, "name"));
    json_array_foreach(json_object_get(service, "vip"), i, item)
    {
        const char *vip = json_string_value(item);
        term_printf(term, TERM_PLAIN, "%s%s", i ? ", " : "  ", vip ? vip : "-");
    }
    term_printf(term, TERM_FAINT, "  %s  %s", field_text(service, "mode"), field_text(service, "schedule"));
    if (json_is_true(json_object_get(service, "removed")))
        term_put(term, TERM_WARN, "  removed");
    fputc('\n', term->out);
    json_array_foreach(json_object_get(service, "alarms"), i, item)
    {
        const char *alarm = json_string_value(item);
        fprintf(term->out, "%*s", INDENT, "");
        term_put(term, TERM_BAD, "ALARM: ");
        term_prose(term, TERM_BAD, INDENT + sizeof "ALARM:", alarm ? alarm : "-");
    }
}

static size_t count_lines(struct body *body)
{
    size_t lines = 0;

    fflush(body->term.out);
    for (size_t i = 0; i < body->len; i++)
        lines += body->text[i] == '\n';
    return lines;
}

/* A service with its rows, list->rows[from .. to - 1]. */
static int print_service(struct body *body, const struct top_screen *screen, const json_t *service,
                         const struct table_column *columns, size_t from, size_t to)
{
    const size_t selected = screen->ui->selected_at;
    const bool has_keys = screen->height > 0;
    struct table *table;
    int err;

    print_service_head(&body->term, service);
    if (from <= selected && selected < to)
        body->selected_line = count_lines(body) + 1 + selected - from;
    table = table_create(columns, COLUMN_COUNT);
    if (!table)
        return -ENOMEM;
    for (size_t i = from; i < to; i++)
        add_row(table, &screen->list->rows[i], has_keys && i == selected);
    err = table_print(table, &body->term, 0);
    table_destroy(table);
    return err;
}

/* All services, or those of which the filter has left something. */
static int print_services(struct body *body, const struct top_screen *screen)
{
    const struct top_list *list = screen->list;
    struct table_column columns[COLUMN_COUNT];
    size_t at = 0;
    size_t s;
    json_t *service;
    bool any = false;

    memcpy(columns, COLUMNS, sizeof columns);
    for (size_t i = 0; i < list->count; i++) {
        const unsigned width = INDENT + (unsigned)term_columns(list->rows[i].backend);
        if (width > columns[0].least)
            columns[0].least = width; /* the same for all services */
    }
    json_array_foreach(json_object_get(screen->status, "services"), s, service)
    {
        const size_t from = at;
        while (at < list->count && list->rows[at].service_at == s)
            at++;
        if (from == at && screen->ui->filter[0])
            continue;
        if (any)
            fputc('\n', body->term.out);
        any = true;
        if (print_service(body, screen, service, columns, from, at) != 0)
            return -ENOMEM;
    }
    if (!any && screen->ui->filter[0])
        fprintf(body->term.out, "No backend is like that.\n");
    return 0;
}

static void print_help(const struct term *term)
{
    static const char *const lines[] = {
        "Up, Down, Page Up, Page Down, Home, End   select a backend",
        "d   drain it: it keeps its clients, and gets no new ones",
        "e   enable it: it gets new clients again",
        "x   disable it: its clients go elsewhere with their next handshake",
        "/   show only what is like the word (name, address, state, health); Escape: all",
        "s   sort within each service by the next column; S: by the one before",
        "r   the other way round",
        "q   quit",
        "",
        "NEW/S   new clients a second, of the last 10 seconds",
        "UNANSW. handshakes of the last minute whose first message was never answered",
        "IN      from clients to the backend; OUT: from it to them",
        "last 60 s: how far handshakes came: begun, IKE_SA_INIT answered, IKE_AUTH sent,",
        "        IKE_AUTH answered, tunnel up. This and the totals are of what is shown.",
        "A wider terminal shows more columns.",
    };

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        fprintf(term->out, "%s\n", lines[i]);
}

/* What is asked, and what it would do. */
static void print_question(const struct top_ui *ui, const struct term *term)
{
    const char *outcome = "It keeps its clients and gets no new ones.";

    if (strcmp(ui->verb, "enable") == 0)
        outcome = "It gets new clients.";
    else if (strcmp(ui->verb, "disable") == 0)
        outcome = "Its clients go elsewhere with their next handshake.";
    term_printf(term, TERM_STRONG, "%s %s/%s? %s (y/n)", ui->verb, ui->asked.service, ui->asked.backend,
                outcome);
}

/* The line for questions and messages; `lines` of the body, of which `room` are shown. */
static void print_message(const struct top_screen *screen, size_t lines, size_t room, const struct term *term)
{
    const struct top_ui *ui = screen->ui;
    const bool is_below = ui->scrolled + room < lines;

    if (ui->mode == TOP_MODE_CONFIRM)
        print_question(ui, term);
    else if (ui->mode == TOP_MODE_FILTER)
        term_printf(term, TERM_STRONG, "Show only what is like: %s_", ui->filter);
    else if (ui->message[0])
        term_put(term, ui->message_tone, ui->message);
    else if (ui->filter[0])
        term_printf(term, TERM_WARN, "Only what is like \"%s\": %zu of %zu backend%s; Escape shows all",
                    ui->filter, screen->list->count, screen->list->all, plural(screen->list->all));
    else if (ui->mode == TOP_MODE_LIST && (ui->scrolled || is_below))
        term_printf(term, TERM_FAINT, "(more %s: select with Up and Down)",
                    !is_below      ? "above"
                    : ui->scrolled ? "above and below"
                                   : "below");
    fputc('\n', term->out);
}

static void print_keys(const struct top_screen *screen, const struct term *term)
{
    const struct top_ui *ui = screen->ui;

    if (ui->mode == TOP_MODE_HELP)
        term_put(term, TERM_FAINT, "any key: back");
    else if (ui->mode == TOP_MODE_CONFIRM)
        term_put(term, TERM_FAINT, "y: yes  any other key: no");
    else if (ui->mode == TOP_MODE_FILTER)
        term_put(term, TERM_FAINT, "Enter: done  Escape: all backends");
    else
        term_printf(term, TERM_FAINT, "q quit  ? help  d drain  e enable  x disable  / filter  s sort: %s%s",
                    top_sort_word(ui->sort), ui->reversed ? ", rev." : "");
}

/* Prints `height` lines of the body from line `from` on; empty ones where it has no more. */
static void print_window(const struct body *body, size_t from, size_t height, const struct term *term)
{
    const char *line = body->text;

    for (size_t i = 0; i < from; i++)
        line += strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n');
    for (size_t i = 0; i < height; i++) {
        const size_t len = strcspn(line, "\n");
        fwrite(line, 1, len, term->out);
        fputc('\n', term->out);
        line += len + (line[len] == '\n');
    }
}

/* Scrolls as little as shows the selected row, and what stands above the first one. */
static size_t scroll(size_t scrolled, size_t selected, size_t lines, size_t height)
{
    if (selected + 1 > scrolled + height)
        scrolled = selected + 1 - height;
    if (selected < scrolled)
        scrolled = selected;
    if (selected < height)
        scrolled = 0;
    if (lines <= height)
        return 0;
    return scrolled > lines - height ? lines - height : scrolled;
}

static void print_all(struct body *body, const struct top_screen *screen, const struct term *term)
{
    const size_t lines = count_lines(body);

    print_head(screen, term);
    if (screen->height == 0) {
        fputs(body->text, term->out);
        return;
    }
    const unsigned around = HEAD_LINES + FOOT_LINES;
    const size_t room = screen->height > around ? screen->height - around : 1;
    if (screen->ui->mode != TOP_MODE_HELP)
        screen->ui->scrolled = scroll(screen->ui->scrolled, body->selected_line, lines, room);
    print_window(body, screen->ui->mode == TOP_MODE_HELP ? 0 : screen->ui->scrolled, room, term);
    print_message(screen, lines, room, term);
    print_keys(screen, term);
}

int top_view_print(const struct top_screen *screen, const struct term *term)
{
    struct body body = {.term = *term};
    int err = 0;

    body.term.out = open_memstream(&body.text, &body.len);
    if (!body.term.out)
        return -ENOMEM;
    if (screen->ui->mode == TOP_MODE_HELP)
        print_help(&body.term);
    else
        err = print_services(&body, screen);
    if (!err && fflush(body.term.out) != 0)
        err = -ENOMEM;
    if (!err)
        print_all(&body, screen, term);
    fclose(body.term.out);
    free(body.text);
    return err;
}
