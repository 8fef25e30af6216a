#include "app/clients.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "admin/client.h"
#include "admin/human.h"
#include "admin/table.h"
#include "admin/term.h"
#include "app/cli.h"
#include "base/err.h"

#define PAGE_ROWS  "1000" /* as many as the API gives at a time */
#define PARAMS_MAX 3
#define INDENT     0

static const char help[] =
    "usage: ikelb clients [--backend BACKEND] [--json] [--socket PATH]\n"
    "\n"
    "Lists the clients that the running daemon knows, and what it knows of each.\n"
    "\n"
    "      --backend BACKEND  only the clients of this backend: NAME or SERVICE/NAME\n"
    "      --json             as JSON, for scripts\n"
    "      --socket PATH      the daemon's admin.socket (default " CLI_DEFAULT_SOCKET ")\n"
    "      --help             this text\n"
    "\n"
    "STAGE is how far the latest handshake came: init-sent, init-answered, auth-sent,\n"
    "auth-answered, established. PORT 500 and PORT 4500 are the client's own ports towards\n"
    "those of the service. A client is CONFIRMED once its backend has proved it real.\n"
    "FRAGMENTATION: whether the client announces IKE fragmentation. ROAMS: how often it went\n"
    "on from another address or port. With persistence.spread_nat several clients have one\n"
    "address; their ports tell them apart.\n"
    "Exit status: 0 done, 1 no such backend, 2 wrong usage, 3 the daemon cannot be reached.\n";

struct listing {
    struct client *client;
    const char *backend; /* or NULL */
    bool as_json;
    struct term term;
    struct table *table; /* unless as_json */
    size_t rows;
    size_t pages;
};

static const struct table_column columns[] = {
    {.title = "SERVICE", .rank = 5},
    {.title = "CLIENT"},
    {.title = "BACKEND"},
    {.title = "STAGE"},
    {.title = "PORT 500", .to_the_right = true, .rank = 3},
    {.title = "PORT 4500", .to_the_right = true, .rank = 3},
    {.title = "CONFIRMED", .rank = 4},
    {.title = "AGE", .to_the_right = true, .rank = 2},
    {.title = "IDLE", .to_the_right = true, .rank = 1},
    {.title = "FLOWS", .to_the_right = true, .rank = 6},
    {.title = "ROAMS", .to_the_right = true, .rank = 5},
    {.title = "FRAGMENTATION", .rank = 7},
};

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));

    return text ? text : "-";
}

static void add_number(struct table *table, const json_t *value)
{
    if (json_is_integer(value))
        table_cell(table, TERM_PLAIN, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        table_cell(table, TERM_FAINT, "-");
}

static void add_seconds(struct table *table, const json_t *value)
{
    const json_int_t seconds = json_integer_value(value);
    char text[HUMAN_TEXT_MAX];

    table_cell(table, TERM_PLAIN, "%s", human_duration(seconds > 0 ? (uint64_t)seconds : 0, text));
}

static void add_truth(struct table *table, const json_t *value)
{
    if (json_is_boolean(value))
        table_cell(table, TERM_PLAIN, json_is_true(value) ? "yes" : "no");
    else
        table_cell(table, TERM_FAINT, "-");
}

static void add_row(struct table *table, const json_t *row)
{
    const json_t *ports = json_object_get(row, "ports");
    const char *stage = text_of(row, "stage");

    table_cell(table, TERM_PLAIN, "%s", text_of(row, "service"));
    table_cell(table, TERM_STRONG, "%s", text_of(row, "address"));
    table_cell(table, TERM_PLAIN, "%s", text_of(row, "backend"));
    table_cell(table, strcmp(stage, "established") == 0 ? TERM_GOOD : TERM_WARN, "%s", stage);
    add_number(table, json_object_get(ports, "500"));
    add_number(table, json_object_get(ports, "4500"));
    add_truth(table, json_object_get(row, "confirmed"));
    add_seconds(table, json_object_get(row, "age_s"));
    add_seconds(table, json_object_get(row, "idle_s"));
    add_number(table, json_object_get(row, "flows"));
    add_number(table, json_object_get(row, "roams"));
    add_truth(table, json_object_get(row, "fragmentation"));
}

/* Writes a page's rows at once, so that a million clients need no more memory than a page. An exit status. */
static int print_rows(struct listing *l, const json_t *rows)
{
    size_t i;
    json_t *row;

    if (l->as_json && l->pages++ == 0)
        fputs("{\"clients\":[", stdout); /* not before: nothing is printed if there is no answer at all */
    json_array_foreach(rows, i, row)
    {
        if (l->as_json) {
            fputs(l->rows ? ",\n" : "\n", stdout);
            json_dumpf(row, stdout, JSON_COMPACT);
        } else {
            add_row(l->table, row);
        }
        l->rows++;
    }
    if (l->as_json || json_array_size(rows) == 0)
        return CLI_DONE;
    const int err = table_print(l->table, &l->term, INDENT);
    if (err)
        fprintf(stderr, "ikelb clients: %s\n", err_text(err));
    return err ? CLI_NO : CLI_DONE;
}

/* The page after that cursor (NULL: the first); its own `next`, which lives as long as the page, in *next. */
static int get_page(struct listing *l, const char *after, json_t **page, const char **next)
{
    struct client_param params[PARAMS_MAX] = {{"limit", PAGE_ROWS}};
    size_t count = 1;

    if (l->backend)
        params[count++] = (struct client_param){"backend", l->backend};
    if (after)
        params[count++] = (struct client_param){"after", after};
    const int err = client_get(l->client, "/api/v1/clients", params, count, page);
    *next = err ? NULL : json_string_value(json_object_get(*page, "next"));
    return err;
}

/* Stops early when nobody reads any more. */
static int list_all(struct listing *l)
{
    json_t *page = NULL;
    const char *after = NULL;
    int err;

    do {
        json_t *previous = page; /* it holds the cursor that is about to be used */
        page = NULL;
        err = get_page(l, after, &page, &after);
        json_decref(previous);
        if (!err)
            err = print_rows(l, json_object_get(page, "clients"));
        else
            err = cli_report_client("clients", l->client, err);
    } while (!err && after && !ferror(stdout));
    json_decref(page);
    return err;
}

static int list(struct listing *l)
{
    const int status = list_all(l);

    if (l->as_json)
        fputs(status ? "" : "\n],\"next\":null}\n", stdout);
    else if (!status && l->rows == 0)
        puts("No clients.");
    else if (!status)
        table_note_hidden(table_hidden(l->table), &l->term);
    return status;
}

static int show(const char *socket_path, const char *backend, bool as_json)
{
    struct listing l = {
        .client = client_create(socket_path),
        .backend = backend,
        .as_json = as_json,
        .term = term_of(stdout),
        .table = table_create(columns, sizeof columns / sizeof columns[0]),
    };
    int status = CLI_NO;

    if (l.client && l.table)
        status = list(&l);
    else
        fputs("ikelb clients: out of memory\n", stderr);
    table_destroy(l.table);
    client_destroy(l.client);
    return status;
}

int clients_command(int argc, char **argv)
{
    const char *socket_path = CLI_DEFAULT_SOCKET;
    const char *backend = NULL;
    bool as_json = false;
    const struct cli_option options[] = {
        {"backend", .value = &backend}, {"json", .on = &as_json}, {"socket", .value = &socket_path}, {0}};
    const int status = cli_read(argc, argv, help, 0, options);

    if (status != CLI_GO_ON)
        return status;
    return cli_finish(argv[0], show(socket_path, backend, as_json));
}
