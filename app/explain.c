#include "app/explain.h"

#include <stdbool.h>
#include <stdio.h>

#include "admin/client.h"
#include "admin/explain_view.h"
#include "admin/term.h"
#include "app/cli.h"
#include "base/addr.h"
#include "base/err.h"

static const char help[] =
    "usage: ikelb explain [--json] [--socket PATH] ADDRESS\n"
    "\n"
    "Says why the client at ADDRESS does or doesn't connect, as the running daemon has seen\n"
    "it: the verdict, the stages of its latest handshakes, its moves, and what to do.\n"
    "ADDRESS is the one that the client has on the internet: behind NAT, its router's.\n"
    "\n"
    "      --json         as JSON, for scripts\n"
    "      --socket PATH  the daemon's admin.socket (default " CLI_DEFAULT_SOCKET ")\n"
    "      --help         this text\n"
    "\n"
    "Verdicts: established, moved, tunnel-known: the client is or was served;\n"
    "nothing-seen, init-unanswered, init-rejected, answered-no-auth, auth-unanswered, refused,\n"
    "tunnel-unanswered: it is not; auth-answered: nothing shows that it is.\n"
    "Exit status: 0 it is or was served, 1 it is not, 2 wrong usage, 3 the daemon cannot be reached.\n";

static int print(const json_t *document, bool as_json)
{
    const struct term term = term_of(stdout);
    int err = json_is_boolean(json_object_get(document, "connected")) ? 0 : ERR_PROTOCOL;

    if (!err && as_json) {
        cli_print_json(document);
    } else if (!err) {
        err = explain_view_print(document, &term);
    }
    if (err) {
        fprintf(stderr, "ikelb explain: %s\n", err_text(err));
        return CLI_UNREACHABLE;
    }
    return json_is_true(json_object_get(document, "connected")) ? CLI_DONE : CLI_NO;
}

static int show(const char *socket_path, const struct addr *address, bool as_json)
{
    struct client *client = client_create(socket_path);
    char text[ADDR_TEXT_MAX];
    char path[sizeof "/api/v1/clients/" + ADDR_TEXT_MAX];
    json_t *document = NULL;

    if (!client) {
        fputs("ikelb explain: out of memory\n", stderr);
        return CLI_NO;
    }
    snprintf(path, sizeof path, "/api/v1/clients/%s", addr_format(address, text));
    const int err = client_get(client, path, NULL, 0, &document);
    const int status = err ? cli_report_client("explain", client, err) : print(document, as_json);
    json_decref(document);
    client_destroy(client);
    return status;
}

static int complain(const char *problem)
{
    fprintf(stderr, "ikelb explain: %s\nSee `ikelb explain --help`.\n", problem);
    return CLI_USAGE;
}

int explain_command(int argc, char **argv)
{
    struct cli_query query;
    struct addr address;
    const int status = cli_read_query(argc, argv, help, 1, &query);

    if (status != CLI_GO_ON)
        return status;
    if (optind == argc)
        return complain("it needs the ADDRESS of a client");
    if (addr_parse(argv[optind], &address) != 0) {
        fprintf(stderr,
                "ikelb explain: '%s' is no IPv4 or IPv6 address; write it as 203.0.113.7 or 2001:db8::7\n",
                argv[optind]);
        return CLI_USAGE;
    }
    return cli_finish(argv[0], show(query.socket_path, &address, query.as_json));
}
