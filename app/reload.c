#include "app/reload.h"

#include <stdio.h>

#include "admin/client.h"
#include "admin/term.h"
#include "app/cli.h"
#include "base/err.h"

static const char help[] =
    "usage: ikelb reload [--json] [--socket PATH]\n"
    "\n"
    "Lets the running daemon read its configuration file again, as SIGHUP does, and prints what\n"
    "has changed, a line each. Clients keep their backends, and tunnels run on. What takes\n"
    "effect only with a restart is named on standard error. Of a bad file all errors are\n"
    "printed, as `ikelb check` does it, and nothing is changed.\n"
    "\n"
    "      --json         the outcome as JSON, for scripts\n"
    "      --socket PATH  the daemon's admin.socket (default " CLI_DEFAULT_SOCKET ")\n"
    "      --help         this text\n"
    "\n"
    "Exit status: 0 done, 1 the file is bad, 2 wrong usage, 3 the daemon cannot be reached.\n";

/* Prints each text of a list in a line of its own, after `label`. */
static void print_lines(FILE *out, const char *label, enum term_tone tone, const json_t *list)
{
    const struct term term = term_of(out);
    size_t i;
    json_t *line;

    json_array_foreach(list, i, line)
    {
        term_put(&term, tone, label);
        term_put(&term, TERM_PLAIN, json_string_value(line) ? json_string_value(line) : "-");
        fputc('\n', out);
    }
}

static int print_changes(const json_t *answer, bool as_json)
{
    const json_t *changes = json_object_get(answer, "changes");

    if (!json_is_array(changes)) {
        fprintf(stderr, "ikelb reload: %s\n", err_text(ERR_PROTOCOL));
        return CLI_UNREACHABLE;
    }
    if (as_json) {
        cli_print_json(answer);
        return CLI_DONE;
    }
    if (json_array_size(changes) == 0)
        puts("nothing has changed");
    print_lines(stdout, "", TERM_PLAIN, changes);
    cli_flush("reload");
    print_lines(stderr, "needs a restart: ", TERM_WARN, json_object_get(answer, "needs_restart"));
    return CLI_DONE;
}

/* The daemon's refusal; its `errors` are lines as `ikelb check` prints them. */
static int print_refusal(const struct client *client, int err, const json_t *answer, bool as_json)
{
    const json_t *errors = json_object_get(answer, "errors");

    if (!json_is_array(errors))
        return cli_report_client("reload", client, err);
    if (as_json)
        cli_print_json(answer);
    else
        print_lines(stderr, "", TERM_PLAIN, errors);
    fputs("ikelb reload: nothing was changed\n", stderr);
    return CLI_NO;
}

static int reload(const struct cli_query *query)
{
    struct client *client = client_create(query->socket_path);
    json_t *answer = NULL;
    int status;

    if (!client) {
        fputs("ikelb reload: out of memory\n", stderr);
        return CLI_NO;
    }
    const int err = client_post(client, "/api/v1/reload", NULL, 0, &answer);
    status = err ? print_refusal(client, err, answer, query->as_json) : print_changes(answer, query->as_json);
    json_decref(answer);
    client_destroy(client);
    return status;
}

int reload_command(int argc, char **argv)
{
    struct cli_query query;
    const int status = cli_read_query(argc, argv, help, 0, &query);

    if (status != CLI_GO_ON)
        return status;
    return cli_finish(argv[0], reload(&query));
}
