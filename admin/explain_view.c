#include "admin/explain_view.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "admin/human.h"
#include "base/err.h"
#include "base/plural.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "-";
}

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void put_spaces(const struct term *term, unsigned count)
{
    fprintf(term->out, "%*s", (int)count, "");
}

/* "0.25s" up to a minute, then as durations are shown everywhere. */
static const char *ago(const json_t *seconds, char text[static HUMAN_TEXT_MAX])
{
    const double s = json_number_value(seconds);

    if (!json_is_number(seconds))
        return "-";
    if (s >= 60 && s < 1e15)
        return human_duration((uint64_t)s, text);
    snprintf(text, HUMAN_TEXT_MAX, "%.2fs", s < 0 ? 0 : s);
    return text;
}

static void print_verdict(const json_t *document, const struct term *term)
{
    const bool connected = json_is_true(json_object_get(document, "connected"));
    const json_t *age = json_object_get(document, "ago_s");
    char text[HUMAN_TEXT_MAX];

    term_put(term, TERM_STRONG, text_of(document, "address"));
    fputs(": ", term->out);
    term_put(term, connected ? TERM_GOOD : TERM_BAD, text_of(document, "verdict"));
    if (json_is_number(age))
        term_printf(term, TERM_FAINT, " (%s ago)", ago(age, text));
    fputc('\n', term->out);
    put_spaces(term, 2);
    term_prose(term, TERM_PLAIN, 2, text_of(document, "summary"));
}

static void print_title(const struct term *term, const char *title)
{
    fputc('\n', term->out);
    term_put(term, TERM_STRONG, title);
    fputc('\n', term->out);
}

/* The rows that are not printed. */
static void print_more(const struct term *term, size_t count)
{
    if (count <= EXPLAIN_VIEW_ROWS)
        return;
    term_printf(term, TERM_FAINT, "  (%zu more; --json shows them)", count - EXPLAIN_VIEW_ROWS);
    fputc('\n', term->out);
}

static void print_port(const struct term *term, const json_t *ports, const char *port)
{
    const json_t *own = json_object_get(ports, port);

    if (json_is_integer(own))
        term_printf(term, TERM_PLAIN, ", %" JSON_INTEGER_FORMAT " -> %s", json_integer_value(own), port);
}

static void print_clients(const json_t *clients, const struct term *term)
{
    const size_t count = json_array_size(clients);
    char text[HUMAN_TEXT_MAX];

    if (count == 0)
        return;
    print_title(term, "Now");
    for (size_t i = 0; i < count && i < EXPLAIN_VIEW_ROWS; i++) {
        const json_t *row = json_array_get(clients, i);
        const json_t *ports = json_object_get(row, "ports");
        const json_int_t idle = number_of(row, "idle_s");
        term_printf(term, TERM_PLAIN, "  %s/%s", text_of(row, "service"), text_of(row, "backend"));
        print_port(term, ports, "500");
        print_port(term, ports, "4500");
        term_printf(term, TERM_PLAIN, ", idle %s", human_duration(idle > 0 ? (uint64_t)idle : 0, text));
        fputc('\n', term->out);
    }
    print_more(term, count);
}

static void print_stages(const json_t *handshake, const struct term *term)
{
    const bool is_rekeyed = json_is_true(json_object_get(handshake, "rekeyed"));
    size_t i;
    json_t *stage;
    char text[HUMAN_TEXT_MAX];

    json_array_foreach(json_object_get(handshake, "stages"), i, stage)
    {
        /* Of a session that began unseen, "auth-answered" means no more than that it is there. */
        const char *name = is_rekeyed && strcmp(text_of(stage, "stage"), "auth-answered") == 0
                               ? "seen"
                               : text_of(stage, "stage");
        term_printf(term, TERM_PLAIN, "    %-13s  ", name);
        term_printf(term, TERM_FAINT, "%-24s", text_of(stage, "at"));
        term_printf(term, TERM_PLAIN, "  %9s ago", ago(json_object_get(stage, "ago_s"), text));
        fputc('\n', term->out);
    }
}

/* Adds to a list of remarks; what doesn't fit any more is left out. */
static __attribute__((format(printf, 3, 4))) void remark(char *text, size_t size, const char *format, ...)
{
    const size_t len = strlen(text);
    const size_t gap = len ? 2 : 0;
    va_list args;

    if (len + gap >= size)
        return;
    memcpy(text + len, "; ", gap);
    va_start(args, format);
    vsnprintf(text + len + gap, size - len - gap, format, args);
    va_end(args);
}

/* "moved 3 times", for a number that stands there and isn't below `least`. */
static void remark_times(char *text, size_t size, const json_t *handshake, const char *key, json_int_t least,
                         const char *what)
{
    const json_int_t n = number_of(handshake, key);

    if (n >= least)
        remark(text, size, "%s %" JSON_INTEGER_FORMAT " time%s", what, n, plural((uint64_t)n));
}

/* What a server can do shows only to a client that has announced it, too. */
static void remark_fragmentation(char *text, size_t size, const json_t *fragmentation)
{
    const json_t *client = json_object_get(fragmentation, "client");
    const json_t *server = json_object_get(fragmentation, "server");

    if (json_is_boolean(client))
        remark(text, size, "IKE fragmentation: client %s%s", json_is_true(client) ? "yes" : "no",
               json_is_true(server)    ? ", server yes"
               : json_is_false(server) ? ", server no"
                                       : "");
}

static void print_remarks(const json_t *handshake, const struct term *term)
{
    const json_t *large = json_object_get(handshake, "large_messages");
    const char *error = json_string_value(json_object_get(handshake, "error"));
    char text[512] = "";

    if (json_is_true(json_object_get(handshake, "rekeyed")))
        remark(text, sizeof text, "begun by rekeying, or before ikelb's time");
    if (error)
        remark(text, sizeof text, "the server's error: %s", error);
    remark_times(text, sizeof text, handshake, "init_count", 2, "IKE_SA_INIT came");
    remark_times(text, sizeof text, handshake, "auth_count", 2, "an IKE_AUTH message came");
    remark_times(text, sizeof text, handshake, "failovers", 1, "moved to another server");
    remark_times(text, sizeof text, handshake, "roams", 1, "went on from another place");
    remark_fragmentation(text, sizeof text, json_object_get(handshake, "fragmentation"));
    if (json_is_true(json_object_get(large, "in")))
        remark(text, sizeof text, "the client sent IP fragments");
    if (json_is_true(json_object_get(large, "out")))
        remark(text, sizeof text, "the server sent IP fragments");
    if (text[0] == '\0')
        return;
    put_spaces(term, 4);
    term_prose(term, TERM_PLAIN, 4, text);
}

static void print_handshakes(const json_t *handshakes, const struct term *term)
{
    const size_t count = json_array_size(handshakes);

    if (count)
        print_title(term, "Handshakes, the latest first");
    for (size_t i = 0; i < count && i < EXPLAIN_VIEW_ROWS; i++) {
        const json_t *handshake = json_array_get(handshakes, i);
        term_printf(term, TERM_PLAIN, "  %s/%s, client port %" JSON_INTEGER_FORMAT "%s",
                    text_of(handshake, "service"), text_of(handshake, "backend"),
                    number_of(handshake, "port"),
                    json_is_true(json_object_get(handshake, "ended")) ? ", ended" : "");
        term_printf(term, TERM_FAINT, ", SPIs %s %s", text_of(handshake, "spi_i"),
                    text_of(handshake, "spi_r"));
        fputc('\n', term->out);
        print_stages(handshake, term);
        print_remarks(handshake, term);
    }
    print_more(term, count);
}

static void print_moves(const json_t *moves, const struct term *term)
{
    size_t i;
    json_t *move;
    char text[HUMAN_TEXT_MAX];

    if (json_array_size(moves))
        print_title(term, "Moves, the latest first");
    json_array_foreach(moves, i, move)
    {
        term_printf(term, TERM_PLAIN, "  %s -> %s  ", text_of(move, "from"), text_of(move, "to"));
        term_printf(term, TERM_FAINT, "%s", text_of(move, "at"));
        term_printf(term, TERM_PLAIN, "  %s ago", ago(json_object_get(move, "ago_s"), text));
        fputc('\n', term->out);
    }
}

static void print_refusals(const json_t *refusals, const struct term *term)
{
    size_t i;
    json_t *refusal;
    char count[HUMAN_TEXT_MAX];
    char text[HUMAN_TEXT_MAX];

    if (json_array_size(refusals))
        print_title(term, "Refused by ikelb");
    json_array_foreach(refusals, i, refusal)
    {
        const json_int_t n = number_of(refusal, "count");
        term_printf(term, TERM_PLAIN, "  %s: %s, %s time%s, the latest %s ago", text_of(refusal, "service"),
                    text_of(refusal, "reason"), human_count(n > 0 ? (uint64_t)n : 0, count),
                    plural((uint64_t)n), ago(json_object_get(refusal, "ago_s"), text));
        fputc('\n', term->out);
    }
}

static void print_advice(const json_t *advice, const struct term *term)
{
    size_t i;
    json_t *line;

    if (json_array_size(advice))
        print_title(term, "What to do");
    json_array_foreach(advice, i, line)
    {
        fputs("  - ", term->out);
        term_prose(term, TERM_PLAIN, 4, json_string_value(line) ? json_string_value(line) : "-");
    }
}

int explain_view_print(const json_t *document, const struct term *term)
{
    if (!json_is_string(json_object_get(document, "verdict")))
        return ERR_PROTOCOL;
    print_verdict(document, term);
    print_clients(json_object_get(document, "clients"), term);
    print_handshakes(json_object_get(document, "handshakes"), term);
    print_moves(json_object_get(document, "moves"), term);
    print_refusals(json_object_get(document, "refusals"), term);
    print_advice(json_object_get(document, "advice"), term);
    return 0;
}
