#include "admin/status_view.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "admin/fastpath_view.h"
#include "admin/field.h"
#include "admin/human.h"
#include "admin/table.h"
#include "base/err.h"

#define INDENT 2

/* The sum of one number over all backends. */
static uint64_t sum_of(const json_t *status, const char *key)
{
    uint64_t sum = 0;
    size_t s, b;
    json_t *service, *backend;

    json_array_foreach(json_object_get(status, "services"), s, service)
        json_array_foreach(json_object_get(service, "backends"), b, backend) sum +=
        field_number(backend, key);
    return sum;
}

static void print_rates(const struct term *term, const char *label, uint64_t bps, uint64_t pps)
{
    char bits[HUMAN_TEXT_MAX];
    char packets[HUMAN_TEXT_MAX];

    term_printf(term, TERM_FAINT, "%s ", label);
    term_printf(term, TERM_PLAIN, "%s, %s", human_rate(bps, "bit/s", bits), human_rate(pps, "pps", packets));
}

static void print_head(const struct term *term, const json_t *status)
{
    const json_t *pins = json_object_get(json_object_get(status, "tables"), "pins");
    char clients[HUMAN_TEXT_MAX];
    char capacity[HUMAN_TEXT_MAX];
    char uptime[HUMAN_TEXT_MAX];

    term_printf(term, TERM_STRONG, "ikelb %s", field_text(status, "version"));
    term_printf(term, TERM_PLAIN, ", up %s", human_duration(field_number(status, "uptime_s"), uptime));
    fputs("\n", term->out);
    term_put(term, TERM_FAINT, "clients ");
    term_printf(term, TERM_PLAIN, "%s of %s", human_count(field_number(pins, "entries"), clients),
                human_count(field_number(pins, "capacity"), capacity));
    print_rates(term, " | in", sum_of(status, "rx_bps"), sum_of(status, "rx_pps"));
    print_rates(term, " | out", sum_of(status, "tx_bps"), sum_of(status, "tx_pps"));
    fputc('\n', term->out);
}

/* Nothing about a daemon that does not know it. */
static void print_fastpath(const struct term *term, const json_t *status)
{
    const struct fastpath_view view = fastpath_view_of(status);
    char text[FASTPATH_VIEW_MAX];

    if (!view.mode)
        return;
    term_put(term, TERM_FAINT, "fast path ");
    term_put(term, TERM_PLAIN, fastpath_view_use(&view, text));
    if (view.trouble) {
        term_put(term, TERM_FAINT, " | ");
        term_put(term, TERM_WARN, fastpath_view_trouble(&view, text));
    }
    fputc('\n', term->out);
}

static void print_service_head(const struct term *term, const json_t *service)
{
    size_t i;
    json_t *item;

    term_put(term, TERM_STRONG, field_text(service, "name"));
    fputs("  ", term->out);
    json_array_foreach(json_object_get(service, "vip"), i, item) term_printf(
        term, TERM_PLAIN, "%s%s", i ? ", " : "", json_string_value(item) ? json_string_value(item) : "-");
    term_printf(term, TERM_PLAIN, "  %s  %s", field_text(service, "mode"), field_text(service, "schedule"));
    if (json_is_true(json_object_get(service, "removed")))
        term_put(term, TERM_WARN, "  removed");
    fputc('\n', term->out);
    json_array_foreach(json_object_get(service, "alarms"), i, item)
    {
        fputs("  ", term->out);
        term_put(term, TERM_BAD, "ALARM: ");
        term_prose(term, TERM_BAD,
                   INDENT + sizeof "ALARM:", json_string_value(item) ? json_string_value(item) : "-");
    }
}

static enum term_tone health_tone(const char *health)
{
    if (strcmp(health, "up") == 0)
        return TERM_GOOD;
    return strcmp(health, "down") == 0 ? TERM_BAD : TERM_WARN;
}

/* "up", or "up, refusing" where handshakes tell more than probes. */
static void add_health(struct table *table, const json_t *backend)
{
    const char *health = field_text(backend, "health");
    const char *suspect = json_string_value(json_object_get(backend, "suspect"));

    if (suspect)
        table_cell(table, TERM_BAD, "%s, %s", health, suspect);
    else
        table_cell(table, health_tone(health), "%s", health);
}

/* "drain, 12 left" tells how far a backend is from having nobody left; "drained" that it may be stopped. */
static void add_state(struct table *table, const json_t *backend)
{
    const char *state = field_text(backend, "state");
    const bool is_removed = json_is_true(json_object_get(backend, "removed"));
    const uint64_t clients = field_number(backend, "clients");
    char left[HUMAN_TEXT_MAX];

    if (!is_removed && strcmp(state, "drain") != 0)
        table_cell(table, strcmp(state, "enabled") == 0 ? TERM_PLAIN : TERM_WARN, "%s", state);
    else if (clients)
        table_cell(table, TERM_WARN, "%s, %s left", is_removed ? "removed" : "drain",
                   human_count(clients, left));
    else
        table_cell(table, TERM_WARN, "%s", is_removed ? "removed" : "drained");
}

static void add_rate(struct table *table, const json_t *backend, const char *key)
{
    char text[HUMAN_TEXT_MAX];

    table_cell(table, TERM_PLAIN, "%s", human_rate(field_number(backend, key), "bit/s", text));
}

static void add_count(struct table *table, enum term_tone tone, uint64_t n)
{
    char text[HUMAN_TEXT_MAX];

    table_cell(table, n ? tone : TERM_FAINT, "%s", human_count(n, text));
}

static void add_fragmentation(struct table *table, const json_t *value)
{
    if (json_is_true(value))
        table_cell(table, TERM_PLAIN, "yes");
    else if (json_is_false(value))
        table_cell(table, TERM_WARN, "no");
    else
        table_cell(table, TERM_FAINT, "-");
}

static void add_backend(struct table *table, const json_t *backend)
{
    const json_t *probe_ms = json_object_get(backend, "probe_ms");

    table_cell(table, TERM_STRONG, "%s", field_text(backend, "name"));
    table_cell(table, TERM_PLAIN, "%s", field_text(backend, "address"));
    add_count(table, TERM_PLAIN, field_number(backend, "weight"));
    add_state(table, backend);
    add_health(table, backend);
    add_count(table, TERM_PLAIN, field_number(backend, "clients"));
    add_count(table, TERM_PLAIN, field_number(backend, "new_clients_total"));
    add_count(table, TERM_WARN, field_number(backend, "init_unanswered_total"));
    add_rate(table, backend, "rx_bps");
    add_rate(table, backend, "tx_bps");
    if (json_is_number(probe_ms))
        table_cell(table, TERM_PLAIN, "%.1f ms", json_number_value(probe_ms));
    else
        table_cell(table, TERM_FAINT, "-");
    add_fragmentation(table, json_object_get(backend, "fragmentation"));
}

/* A backend that has been seen not to announce it has its administrator's most frequent omission. */
static void print_notes(const struct term *term, const json_t *backends)
{
    size_t i;
    json_t *backend;
    char text[TERM_LINE_MAX];

    json_array_foreach(backends, i, backend)
    {
        if (!json_is_false(json_object_get(backend, "fragmentation")))
            continue;
        snprintf(
            text, sizeof text,
            "Note: %s does not announce IKEV2_FRAGMENTATION_SUPPORTED: large certificates fail wherever IP "
            "fragments are dropped; on Windows set EnableServerFragmentation = 1, with strongSwan "
            "fragmentation = yes",
            field_text(backend, "name"));
        fputs("  ", term->out);
        term_prose(term, TERM_WARN, INDENT, text);
    }
}

static int print_service(const struct term *term, const json_t *service, size_t *hidden)
{
    static const struct table_column columns[] = {
        {.title = "BACKEND"},
        {.title = "ADDRESS", .rank = 1},
        {.title = "WEIGHT", .to_the_right = true, .rank = 6},
        {.title = "STATE"},
        {.title = "HEALTH"},
        {.title = "CLIENTS", .to_the_right = true},
        {.title = "NEW", .to_the_right = true, .rank = 5},
        {.title = "UNANSWERED", .to_the_right = true, .rank = 2},
        {.title = "IN", .to_the_right = true, .rank = 3},
        {.title = "OUT", .to_the_right = true, .rank = 3},
        {.title = "PROBE", .to_the_right = true, .rank = 4},
        {.title = "FRAGMENTATION", .rank = 7},
    };
    struct table *table = table_create(columns, sizeof columns / sizeof columns[0]);
    size_t i;
    json_t *backend;
    int err;

    if (!table)
        return -ENOMEM;
    print_service_head(term, service);
    json_array_foreach(json_object_get(service, "backends"), i, backend) add_backend(table, backend);
    err = table_print(table, term, INDENT);
    if (!err)
        print_notes(term, json_object_get(service, "backends"));
    if (table_hidden(table) > *hidden)
        *hidden = table_hidden(table);
    table_destroy(table);
    return err;
}

static void print_drops(const struct term *term, json_t *drops)
{
    bool any = false;
    const char *reason;
    json_t *value;
    char text[HUMAN_TEXT_MAX];

    json_object_foreach(drops, reason, value)
    {
        const json_int_t n = json_integer_value(value);
        if (n <= 0)
            continue;
        fputs(any ? "" : "\n", term->out);
        term_printf(term, TERM_FAINT, "%s%s ", any ? ", " : "Dropped packets: ", reason);
        term_put(term, TERM_PLAIN, human_count((uint64_t)n, text));
        any = true;
    }
    if (any)
        fputc('\n', term->out);
}

int status_view_print(const json_t *status, const struct term *term)
{
    const json_t *services = json_object_get(status, "services");
    size_t hidden = 0;
    size_t i;
    json_t *service;
    int err = 0;

    if (!json_is_array(services))
        return ERR_PROTOCOL;
    print_head(term, status);
    print_fastpath(term, status);
    json_array_foreach(services, i, service)
    {
        fputc('\n', term->out);
        err = print_service(term, service, &hidden);
        if (err)
            return err;
    }
    print_drops(term, json_object_get(status, "drops"));
    table_note_hidden(hidden, term);
    return 0;
}
